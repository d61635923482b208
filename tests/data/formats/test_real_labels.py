"""Labels of ImageNet-ReaL find their images by number, by path or by order; bad files are tested with the command."""

import json

import pytest

from attnkit.data.formats.real_labels import NEVER, read_real_labels
from attnkit.errors import DataError

NAMES = ("ant", "bee", "cow")


def read(tmp_path, value, inputs, *, warned=None, own_numbers=None):
    path = tmp_path / "real.json"
    path.write_text(json.dumps(value))
    warn = pytest.fail if warned is None else warned.append
    return read_real_labels(str(path), inputs, NAMES, own_numbers=own_numbers, warn=warn)


def test_by_the_number_in_imagenets_names(tmp_path):
    inputs = [f"v/ILSVRC2012_val_{number:08d}.JPEG" for number in (3, 1)]
    assert read(tmp_path, [[0, 2], [1], ["bee"]], inputs) == [{1}, {0, 2}]


def test_by_path(tmp_path):
    assert read(tmp_path, {"a/1.png": [0], "b/2.png": []}, ["/x/b/2.png", "/x/a/1.png"]) == [set(), {0}]


def test_by_their_order(tmp_path):
    warned = []
    assert read(tmp_path, [[2], [0]], ["b.png", "a.png"], warned=warned) == [{2}, {0}]
    assert warned == [f"{tmp_path}/real.json: taken in the order of the images, whose names are not ImageNet's"]


def test_classes_that_no_prediction_names(tmp_path):
    inputs = ["ILSVRC2012_val_00000001.JPEG"]
    assert read(tmp_path, [[7, 9, "emu"]], inputs, own_numbers={7: 1}) == [{1, NEVER}]
    with pytest.raises(DataError, match=r"real.json: there is no class 7; expected a name, or a number below 3"):
        read(tmp_path, [[7]], inputs)
