"""The command line through its real entry point, and what tests ask of its answers."""

import json
from typing import Any

from typer.testing import CliRunner, Result

from attnkit.cli import app


def attnkit(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin, prog_name="attnkit")


def evaluate(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return attnkit("eval", *arguments, stdin=stdin)


def refused(result: Result) -> str:
    """The one line that a user's mistake is answered with; nothing else was printed."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def printed(result: Result) -> Any:
    """What a command that succeeded printed with --json."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def table(result: Result) -> list[list[str]]:
    """The cells of what a command that succeeded printed."""
    assert result.exit_code == 0, result.output
    return [line.split("  ") for line in result.stdout.splitlines()]


def scored(*arguments: object) -> dict[str, float]:
    """The value of each score that an evaluation printed."""
    return {name: score["value"] for name, score in printed(evaluate(*arguments, "--json"))["scores"].items()}
