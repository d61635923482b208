"""attnkit recipe new: to be written."""


def new() -> None:
    """Write a recipe sized to your data."""
    raise NotImplementedError
