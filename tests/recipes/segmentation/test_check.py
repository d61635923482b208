"""The lines of a data check of masks."""

import pytest
from typer.testing import CliRunner

from attnkit.cli import app
from tests.recipes.scene_runs import scene_recipe, striped, write_png, write_stripes


def run(*arguments):
    return CliRunner().invoke(app, [*arguments])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)


def test_the_data_check_gives_the_share_of_each_class(tmp_path):
    for split, colours in (("train", ("red", "red", "green")), ("test", ("blue", "green"))):
        write_stripes(tmp_path / f"data/{split}/a.png", *colours)
        write_png(tmp_path / f"data/{split}_masks/a.png", striped(*colours)[1])
    recipe = scene_recipe(tmp_path / "data")
    from attnkit.recipe_file import dump

    (tmp_path / "mine.yaml").write_text(dump(recipe))
    result = run("data", "check", "mine.yaml")
    lines = result.stdout.splitlines()
    assert any(
        line.startswith("train: 1 images, 0 broken, 12x12 to 12x12 pixels; classes by 1 masks") for line in lines
    )
    assert "    red     66.667% of the pixels, in      1 images" in lines
    assert "    blue   100.000%" not in result.stdout
