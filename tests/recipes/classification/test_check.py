"""The lines of a data check of images."""

from attnkit.data.classification.config import ShapesConfig
from attnkit.data.open import OpenedData
from attnkit.recipes.classification.check import check
from tests.data.image_files import png, write_files
from tests.recipes.tiny_images import recipe_with


def lines_of(root, counts, *, decode=False):
    """Of training images alone: so many of each class, of growing height, 13 pixels wide."""
    names = [f"train/{name}/{number}.png" for name, count in counts.items() for number in range(count)]
    write_files(root, {name: png(11 + row, 13, seed=row) for row, name in enumerate(names)})
    write_files(root, {f"test/{name}/0.png": png(7, 5, seed=99) for name in counts})
    data = {"format": "image_folder", "path": str(root), "train": "train", "test": "test", "hold_back": {"valid": 0.0}}
    recipe = recipe_with(data=data)
    return check(recipe, OpenedData(recipe.data), decode=decode, say=lambda line: None).lines


def test_few_classes_are_listed_in_columns(tmp_path):
    lines = lines_of(tmp_path, {"ant": 3, "guinea pig": 12})
    assert lines[:3] == [
        "train: 15 images of 2 classes, 0 broken, 13x11 to 13x25 pixels",
        "    ant               3",
        "    guinea pig       12",
    ]


def test_of_many_the_rarest_and_the_commonest_are_named(tmp_path):
    counts = {f"c{number:02}": 2 for number in range(21)} | {"c07": 1, "c19": 4}
    assert lines_of(tmp_path, counts)[1] == "    1 of c07 to 4 of c19"


def test_twenty_are_few(tmp_path):
    assert len([line for line in lines_of(tmp_path, {f"c{n:02}": 1 for n in range(20)}) if line[0] == " "]) == 40


def test_what_is_cut_off_counts_as_broken_where_images_are_decoded(tmp_path):
    root = write_files(tmp_path, {"train/ant/cut.png": png(60, 70)[:900]})
    quick, deep = (lines_of(root, {"ant": 2, "bee": 2}, decode=decode)[0] for decode in (False, True))
    assert quick.startswith("train: 5 images of 2 classes, 0 broken")
    assert deep.startswith("train: 5 images of 2 classes, 1 broken")


def test_progress():
    data = ShapesConfig(format="shapes", train_images=503, valid_images=1, test_images=1, size=16)
    told = []
    check(recipe_with(), OpenedData(data), decode=False, say=told.append)
    assert told == ["train: 500 of 503 images checked"]
