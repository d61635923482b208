"""The command line as a whole: help, exit codes, and what it imports."""

import errno
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from attnkit import __version__
from attnkit.cli import app
from attnkit.cli.app import Commands
from attnkit.errors import AttnkitError, DataError, Interrupted

COMMANDS = [
    ["train"],
    ["translate"],
    ["classify"],
    ["segment"],
    ["detect"],
    ["evaluate"],
    ["eval"],
    ["summary"],
    ["import"],
    ["export"],
    ["doctor"],
    ["recipe", "list"],
    ["recipe", "show"],
    ["recipe", "copy"],
    ["recipe", "check"],
    ["recipe", "schema"],
    ["recipe", "new"],
    ["data", "check"],
]


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), prog_name="attnkit")


# Help and imports


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_and_shows_an_example(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert f"Usage: attnkit {' '.join(command)}" in result.stdout
    assert "Example" in result.stdout
    assert f"  attnkit {command[0].replace('evaluate', 'eval')}" in result.stdout
    assert r"\b" not in result.stdout, "the docstring of a command must not be raw"


def test_help_lists_every_command_on_one_line():
    lines = run("--help").stdout.splitlines()
    listed = {line.split()[0]: line for line in lines[lines.index("Commands:") + 1 :]}
    assert list(listed) == [*dict.fromkeys(command[0] for command in COMMANDS if len(command) == 1), "recipe", "data"]
    assert not [line for line in listed.values() if line.endswith("...")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["recipe", "list"],
        ["recipe", "check", "translation/toy"],
        ["recipe", "show", "translation/toy", "--resolved"],
        ["train", "no_such_recipe"],
        ["translate", "no_such_file"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(arguments, tmp_path):
    program = (
        "import sys\nfrom attnkit.cli import main\nsys.argv[1:] = " + repr(arguments) + "\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'numpy', 'sentencepiece', 'sacrebleu', 'safetensors', 'pandas'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.stderr.splitlines()[-1] == "heavy: []"


def test_version_is_single_sourced():
    assert run("--version").stdout == f"attnkit {__version__}\n"


def test_python_m_attnkit():
    result = subprocess.run([sys.executable, "-m", "attnkit", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"attnkit {__version__}\n"


def test_unknown_command_is_the_users_mistake():
    result = run("trian")
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.stderr


# Errors become lines and exit codes


def failing(error):
    """An application with one command, which fails."""
    program = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @program.command()
    def fail():
        raise error

    @program.command()
    def other():
        pass

    return CliRunner().invoke(program, ["fail"])


@pytest.mark.parametrize(
    ("error", "code", "stderr"),
    [
        (DataError("a.txt:3: wrong; expected right; mend it"), 2, "a.txt:3: wrong; expected right; mend it\n"),
        (AttnkitError("one\ntwo"), 2, "one\ntwo\n"),
        (Interrupted("stopped at step 7; go on with --resume"), 130, "stopped at step 7; go on with --resume\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a/model.safetensors"),
            2,
            "runs/a/model.safetensors: the disk is full; free some space; what was saved before is whole\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "runs"),
            2,
            "runs: permission denied; name a place that you may read and write; what was saved before is whole\n",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_the_user_are_plain_lines(error, code, stderr):
    result = failing(error)
    assert (result.exit_code, result.stderr, result.stdout) == (code, stderr, "")


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError(errno.ENOENT, "none", "x")])
def test_bugs_keep_their_traceback(error):
    result = failing(error)
    assert result.exit_code == 1
    assert result.exception is error


def attnkit(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "attnkit", *arguments], stderr=subprocess.PIPE, **options)


def test_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    process = attnkit("recipe", "schema", stdout=write)
    os.close(write)
    assert process.communicate()[1] == b""
    assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_line():
    with open("/dev/full", "wb") as full:
        process = attnkit("recipe", "schema", stdout=full)
        assert (
            process.communicate()[1] == b"writing: the disk is full; free some space; what was saved before is whole\n"
        )
    assert process.returncode == 2
