"""attnkit recipe: list, show, copy, check and schema."""

import json
import os
from pathlib import Path

import pytest

from attnkit import recipe_file
from tests.command import attnkit

MINIMAL = "name: mine\ntrain: {steps: 7}\ndata: {format: reverse_digits}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_recipe_list():
    lines = attnkit("recipe", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe_file.shipped_recipes()
    assert json.loads(attnkit("recipe", "list", "--json").stdout)["translation/toy"].startswith("Reverse")


def test_recipe_show_prints_the_file_as_it_is():
    text = recipe_file.find_recipe("translation/toy").read_text(encoding="utf-8")
    assert attnkit("recipe", "show", "translation/toy").stdout == text


def test_recipe_show_resolved():
    result = attnkit("recipe", "show", "translation/toy", "--set", "train.steps=13")
    assert result.stdout.startswith("task: translation\nname: toy\n")
    assert "\n  steps: 13\n" in result.stdout
    assert "\n  activation_dropout: 0.0\n" in result.stdout


def test_recipe_copy(folder):
    result = attnkit("recipe", "copy", "translation/toy")
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
    result = attnkit("recipe", "copy", "translation/toy", "mine.yaml")
    assert result.exit_code == 2
    assert result.stderr == "mine.yaml: exists already; expected a new file; name another, or remove it\n"
    assert (folder / "mine.yaml").read_text() == "precious"


def test_recipe_copy_into_a_folder(folder):
    (folder / "sub").mkdir()
    assert attnkit("recipe", "copy", "translation/toy", "sub").exit_code == 0
    assert recipe_file.load(folder / "sub" / "toy.yaml").name == "toy"


def test_recipe_check_says_all_mistakes_of_all_files(folder):
    (folder / "right.yaml").write_text(MINIMAL)
    (folder / "wrong.yaml").write_text(MINIMAL + "zzz: 1\nloss: 3\n")
    result = attnkit("recipe", "check", "wrong.yaml", "right.yaml", "missing.yaml")
    assert result.exit_code == 2
    assert result.stdout == "right.yaml: valid, a translation recipe named mine\n"
    places = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert places == ["wrong.yaml:4", "wrong.yaml:5", "missing.yaml"]


def test_recipe_check_with_set(folder):
    (folder / "my.yaml").write_text(MINIMAL)
    result = attnkit("recipe", "check", "my.yaml", "--set", "train.steps=x")
    assert result.stderr == "--set train.steps=x: train.steps: expected an integer, got 'x'\n"


def test_recipe_schema():
    tasks = json.loads(attnkit("recipe", "schema").stdout)["discriminator"]
    assert (tasks["propertyName"], list(tasks["mapping"])) == (
        "task",
        ["classification", "detection", "segmentation", "translation"],
    )
