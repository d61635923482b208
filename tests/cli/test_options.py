"""Options that are declared as dataclasses, on a command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from attnkit.cli.options import spread_options


@dataclass(frozen=True, kw_only=True)
class Look:
    scales: Annotated[str | None, typer.Option("--scales", metavar="LIST", help="Several sizes.")] = None
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Mirrored too.", show_default=False)] = None


@dataclass(frozen=True, kw_only=True)
class Keep:
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Keep it.")] = None
    rows: Annotated[list[int] | None, typer.Option("--rows", metavar="N", help="Repeatable.")] = None


def run(*arguments):
    app = typer.Typer(rich_markup_mode=None)
    got = []

    @app.command()
    @spread_options
    def command(
        name: Annotated[str, typer.Argument(metavar="NAME")],
        look: Look,
        keep: Keep,
        top: Annotated[int, typer.Option()] = 3,
    ) -> None:
        """Do it."""
        got.append((name, look, keep, top))

    return CliRunner().invoke(app, arguments), got


def test_every_field_is_an_option():
    result, got = run(
        "cat", "--scales", "1,2", "--no-flip", "--save", "x.png", "--rows", "1", "--rows", "5", "--top", "7"
    )
    assert result.exit_code == 0, result.output
    assert got == [("cat", Look(scales="1,2", flip=False), Keep(save=Path("x.png"), rows=[1, 5]), 7)]


def test_defaults_are_those_of_the_fields():
    assert run("cat")[1] == [("cat", Look(), Keep(rows=None), 3)]


def test_help_shows_the_options_in_the_order_of_the_parameters():
    text = run("--help")[0].output
    places = [text.index(option) for option in ("NAME", "--scales", "--flip", "--save", "--rows", "--top")]
    assert places == sorted(places)
    assert "Do it." in text
    assert "Several sizes." in text


def test_two_options_of_one_name_are_a_bug():
    def command(look: Look, flip: bool = False) -> None: ...

    with pytest.raises(TypeError, match="command: two options of one name among scales, flip, flip"):
        spread_options(command)
