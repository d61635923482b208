"""attnkit summary: of a recipe, of a run, and the table that it prints."""

import json

import pytest

from attnkit import recipe_file
from attnkit.cli.summary import table
from tests.command import attnkit


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_summary_of_a_recipe_and_of_a_run(folder):
    recipe = json.loads(attnkit("summary", "translation/toy", "--json").stdout)
    assert recipe["parameters"]["total"] > 0
    (folder / "a").mkdir()
    (folder / "a" / "recipe.yaml").write_text(recipe_file.dump(recipe_file.load("translation/toy")))
    assert json.loads(attnkit("summary", "a", "--json").stdout) == recipe
    assert "parameters\n  total " in attnkit("summary", "a").stdout


def test_table():
    facts = {"a": 1234567, "bcd": {"e": 2.3e19, "fg": "text"}, "h": True}
    assert table(facts) == ["a    1,234,567", "bcd", "  e   2.3e+19", "  fg  text", "h    True"]


def test_mistakes(folder):
    def refused(*arguments):
        result = attnkit("summary", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        return result.stderr

    assert refused("swin_q") == "swin_q: no such recipe, run or architecture; did you mean swin_t?\n"
    assert refused("nothing_like_it").startswith("nothing_like_it: no such recipe; looked in ")
    architecture = "--set: swin_t is an architecture, not a recipe; expected a recipe; leave it out\n"
    assert refused("swin_t", "--set", "image.size=32") == architecture
    size = "--image-size: is for architectures; expected --set image.size=N for a recipe; write that\n"
    assert refused("classification/toy", "--image-size", "64") == size
    for option, arguments in (("--speed", ["--speed"]), ("--convention", ["--convention", "mmcv"])):
        message = f"{option}: is for images, but translation/toy is a translation recipe; leave it out\n"
        assert refused("translation/toy", *arguments) == message
