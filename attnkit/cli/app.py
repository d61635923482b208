"""The application: the list of commands, and the one place where errors become plain lines and exit codes."""

import errno
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from attnkit import __version__
from attnkit.cli import (
    classify,
    data,
    detect,
    doctor,
    evaluate,
    export,
    import_,
    recipe,
    segment,
    summary,
    train,
    translate,
)
from attnkit.errors import AttnkitError, Interrupted

_DISK = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; name a folder that can be written",
    errno.EACCES: "permission denied; name a place that you may read and write",
    errno.EPERM: "permission denied; name a place that you may read and write",
}


class Commands(TyperGroup):
    """A group of commands that says the user's mistakes in plain lines. Bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command: exit code 0 fine, 2 the user's input, 1 a bug, 130 interrupted."""
        try:
            return super().invoke(ctx)
        except Interrupted as error:
            stop(str(error), code=130)
        except KeyboardInterrupt:
            stop("interrupted", code=130)
        except AttnkitError as error:
            stop(str(error), code=2)
        except BrokenPipeError:
            _leave_stdout()
            raise typer.Exit(0) from None
        except OSError as error:
            if error.errno not in _DISK:
                raise
            stop(f"{error.filename or 'writing'}: {_DISK[error.errno]}; what was saved before is whole", code=2)


def stop(message: str, *, code: int) -> None:
    """Say why on stderr and leave."""
    typer.echo(message, err=True)
    raise typer.Exit(code) from None


def _leave_stdout() -> None:
    """Whoever read our output has gone (`| head`); let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"attnkit {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def attnkit(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Train attention models from a recipe, score them and run them.

    \b
    Two commands from text files, or a folder of images, to a model:
      attnkit recipe new translation --src train.en --tgt train.de -o my.yaml
      attnkit recipe new classification --data photos/ -o my.yaml
      attnkit train my.yaml
    and then:
      attnkit translate < input.txt
      attnkit classify photo.jpg
      attnkit segment street.jpg --save masks
      attnkit detect photo.jpg --save found
    """


app.command("train")(train.train)
app.command("translate")(translate.translate)
app.command("classify", short_help="Say what images show: their most probable classes.")(classify.classify)
app.command("segment", short_help="Find the class of every pixel of images.")(segment.segment)
app.command("detect", short_help="Find the objects on images: boxes, masks, classes.")(detect.detect)
app.command("evaluate", short_help="Score a run, or anyone's predictions.")(evaluate.evaluate)
app.command("eval", short_help="The same as evaluate.")(evaluate.evaluate)
app.command("summary")(summary.summary)
app.command("import")(import_.import_)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)
app.add_typer(recipe.app, name="recipe")
app.add_typer(data.app, name="data")


def main() -> None:
    """Entry point of the console script."""
    app()
