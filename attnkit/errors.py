"""What can go wrong for a user. The command line prints these as plain lines, exit code 2; all else is a bug.

A message reads `place: what is wrong, with the value; what was expected; what to do`, one line per mistake.
"""


class AttnkitError(Exception):
    """A mistake that the user can fix. `str(error)` is the whole message, one line per mistake."""


class RecipeError(AttnkitError):
    """The recipe file or an override of it is wrong."""


class DataError(AttnkitError):
    """A data file is missing, unreadable or inconsistent."""


class CheckpointError(AttnkitError):
    """A run folder or a checkpoint is missing, truncated or does not fit."""


class TrainingError(AttnkitError):
    """Training cannot go on: a loss that is not finite, or no memory left."""


class Interrupted(AttnkitError):
    """Ctrl-C or SIGTERM arrived; the work so far is saved. The command line exits with 130."""
