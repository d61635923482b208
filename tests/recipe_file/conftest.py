"""A recipe file in the working directory, and the lines that it is refused with."""

import pytest

from attnkit import recipe_file
from attnkit.errors import RecipeError


@pytest.fixture
def my(tmp_path, monkeypatch):
    """Writes my.yaml into the working directory and loads it."""
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides, options=()):
        (tmp_path / "my.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return recipe_file.load("my.yaml", overrides, options=options)

    return load


@pytest.fixture
def mistakes(my):
    """The lines that a recipe is refused with."""

    def load(text, *overrides, options=()):
        with pytest.raises(RecipeError) as caught:
            my(text, *overrides, options=options)
        return str(caught.value).splitlines()

    return load
