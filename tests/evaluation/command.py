"""attnkit evaluate through the real entry point."""

from typer.testing import CliRunner, Result

from attnkit.cli import app


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments])


def refused(*arguments: str) -> str:
    """The one line that a mistake is said in."""
    result = evaluate(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr
