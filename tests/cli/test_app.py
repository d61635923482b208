"""The command line as a whole: help, exit codes, what it imports, and the commands around recipes."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from attnkit import __version__, recipe_file
from attnkit.cli import app
from attnkit.cli.app import Commands
from attnkit.cli.summary import table
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
MINIMAL = "name: mine\ntrain: {steps: 7}\ndata: {format: reverse_digits}\n"


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), prog_name="attnkit")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


# recipe


def test_recipe_list():
    lines = run("recipe", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe_file.shipped_recipes()
    assert json.loads(run("recipe", "list", "--json").stdout)["translation/toy"].startswith("Reverse")


def test_recipe_show_prints_the_file_as_it_is():
    text = recipe_file.find_recipe("translation/toy").read_text(encoding="utf-8")
    assert run("recipe", "show", "translation/toy").stdout == text


def test_recipe_show_resolved():
    result = run("recipe", "show", "translation/toy", "--set", "train.steps=13")
    assert result.stdout.startswith("task: translation\nname: toy\n")
    assert "\n  steps: 13\n" in result.stdout
    assert "\n  activation_dropout: 0.0\n" in result.stdout


def test_recipe_copy(folder):
    result = run("recipe", "copy", "translation/toy")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr == "wrote toy.yaml; next: attnkit recipe check toy.yaml\n"
    first, *rest = (folder / "toy.yaml").read_text(encoding="utf-8").splitlines()
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert os.path.isabs(schema)
    assert json.loads(Path(schema).read_text(encoding="utf-8"))
    assert rest == recipe_file.find_recipe("translation/toy").read_text(encoding="utf-8").splitlines()[1:]


def test_recipe_copy_never_overwrites(folder):
    (folder / "mine.yaml").write_text("precious")
    result = run("recipe", "copy", "translation/toy", "mine.yaml")
    assert result.exit_code == 2
    assert result.stderr == "mine.yaml: exists already; expected a new file; name another, or remove it\n"
    assert (folder / "mine.yaml").read_text() == "precious"


def test_recipe_copy_into_a_folder(folder):
    (folder / "sub").mkdir()
    assert run("recipe", "copy", "translation/toy", "sub").exit_code == 0
    assert recipe_file.load(folder / "sub" / "toy.yaml").name == "toy"


def test_recipe_check_says_all_mistakes_of_all_files(folder):
    (folder / "right.yaml").write_text(MINIMAL)
    (folder / "wrong.yaml").write_text(MINIMAL + "zzz: 1\nloss: 3\n")
    result = run("recipe", "check", "wrong.yaml", "right.yaml", "missing.yaml")
    assert result.exit_code == 2
    assert result.stdout == "right.yaml: valid, a translation recipe named mine\n"
    places = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert places == ["wrong.yaml:4", "wrong.yaml:5", "missing.yaml"]


def test_recipe_check_with_set(folder):
    (folder / "my.yaml").write_text(MINIMAL)
    result = run("recipe", "check", "my.yaml", "--set", "train.steps=x")
    assert result.stderr == "--set train.steps=x: train.steps: expected an integer, got 'x'\n"


def test_recipe_schema():
    tasks = json.loads(run("recipe", "schema").stdout)["discriminator"]
    assert (tasks["propertyName"], list(tasks["mapping"])) == (
        "task",
        ["classification", "detection", "segmentation", "translation"],
    )


# doctor and summary


def test_doctor():
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["versions"]["attnkit"] == __version__
    assert facts["machine"]["cores"] >= 1
    assert set(facts["extras"]) == {"tensorboard", "ct2", "moses", "timm", "onnx", "plot", "peers"}


def test_doctor_says_what_is_missing_and_how_to_get_it(monkeypatch):
    from attnkit.cli import doctor

    monkeypatch.setattr(doctor, "package_version", lambda name: None)
    result = run("doctor")
    assert result.exit_code == 2
    assert result.stderr.startswith("missing: torch, torchvision,")
    assert result.stderr.endswith("; fix it by: pip install --upgrade attnkit\n")
    assert "not installed (export to CTranslate2): pip install 'attnkit[ct2]'" in result.stdout


def test_summary_of_a_recipe_and_of_a_run(folder):
    recipe = json.loads(run("summary", "translation/toy", "--json").stdout)
    assert recipe["parameters"]["total"] > 0
    (folder / "a").mkdir()
    (folder / "a" / "recipe.yaml").write_text(recipe_file.dump(recipe_file.load("translation/toy")))
    assert json.loads(run("summary", "a", "--json").stdout) == recipe
    assert "parameters\n  total " in run("summary", "a").stdout


def test_table():
    facts = {"a": 1234567, "bcd": {"e": 2.3e19, "fg": "text"}, "h": True}
    assert table(facts) == ["a    1,234,567", "bcd", "  e   2.3e+19", "  fg  text", "h    True"]


# data


def test_data_check(folder):
    result = run("data", "check", "translation/toy")
    assert result.exit_code == 0
    assert "train: 4,000 pairs" in result.stdout
    assert "0.000% unknown" in result.stdout
    assert result.stderr.splitlines()[0] == "learning characters from the training text"


def test_data_check_of_missing_files(folder):
    result = run("data", "check", "translation/multi30k_en_de", "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert not report["ok"]
    assert {finding["what"] for finding in report["findings"] if finding["severity"] == "error"} == {"no such file"}


def test_data_check_finds_that_the_vocabulary_is_too_large(folder):
    (folder / "a.tsv").write_text("".join(f"{n} a\tb {n}\n" for n in range(50)))
    (folder / "my.yaml").write_text("name: a\ntrain: {steps: 1}\ndata: {format: tsv, train: a.tsv}\n")
    result = run("data", "check", "my.yaml", "--json", "--set", "tokenizer.vocab_size=9000")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["findings"][0]
    assert error["severity"] == "error"
    assert "9000" in error["what"]
    assert run("data", "check", "my.yaml", "--json", "--no-tokens").exit_code == 0
