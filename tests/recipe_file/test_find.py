"""Where recipes lie: a file, or the name of one that ships."""

import pytest

from attnkit import recipe_file
from attnkit.errors import RecipeError
from tests.recipe_file.test_load import MINIMAL


def test_shipped_recipe_by_name_with_and_without_ending(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipe_file.find_recipe("translation/toy") == recipe_file.shipped_folder() / "translation/toy.yaml"
    assert recipe_file.find_recipe("translation/toy.yaml") == recipe_file.find_recipe("translation/toy")


def test_file_before_shipped_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "translation").mkdir()
    (tmp_path / "translation/toy.yaml").write_text(MINIMAL)
    assert recipe_file.load("translation/toy.yaml").name == "mine"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("translation/toi", "did you mean translation/toy?"),
        (
            "toy.yaml",
            "did you mean classification/toy or detection/toy or segmentation/toy or translation/toy?",
        ),
        ("multi30k-en-de", "did you mean translation/multi30k_en_de?"),
        ("zzzzzzzzz", "see them by attnkit recipe list"),
    ],
)
def test_no_such_recipe(tmp_path, monkeypatch, name, hint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as caught:
        recipe_file.load(name)
    folder = recipe_file.shipped_folder()
    assert str(caught.value) == (
        f"{name}: no such recipe; looked in {tmp_path} and among the shipped recipes in {folder}; {hint}"
    )


def test_folder_is_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match=f"^{tmp_path}: a folder; expected a recipe file; name one in it$"):
        recipe_file.load(tmp_path)
    (tmp_path / "recipe.yaml").write_text(MINIMAL)
    with pytest.raises(RecipeError, match=f"expected a recipe file; name {tmp_path}/recipe.yaml$"):
        recipe_file.load(tmp_path)
