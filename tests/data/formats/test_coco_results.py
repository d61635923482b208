"""Files of results are as COCO has them, and whole or not there; reading is tested where two files are scored."""

import json

import numpy as np
import pytest
from pycocotools import mask as run_lengths

from attnkit.data.formats.coco_results import CocoResult, CocoResultsWriter
from attnkit.structures.masks import Masks


def result(index, score, code=None):
    return CocoResult(category_id=10 + index, score=score, box=(1.0, 2.0, 4.5, 9.25), code=code)


CODE = run_lengths.encode(np.asfortranarray(np.eye(3, 5, dtype=np.uint8)))


def test_results_are_as_coco_has_them(tmp_path):
    path = tmp_path / "new" / "results.json"
    with CocoResultsWriter(path) as results:
        results.add(7, "a.jpg", [result(0, 0.1, code=CODE), result(3, 0.123456789123)])
        results.add(8, "b.jpg", [])
        results.add(9, "ä.jpg", [result(1, 0.5)])
        assert not path.exists()
    first, second, third = json.loads(path.read_bytes())
    assert first == {
        "image_id": 7,
        "file_name": "a.jpg",
        "category_id": 10,
        "bbox": [1.0, 2.0, 3.5, 7.25],
        "score": 0.1,
        "segmentation": {"size": [3, 5], "counts": CODE["counts"].decode()},
    }
    assert Masks.from_rle([first["segmentation"]], (3, 5)).bitmap(0).int().tolist() == np.eye(3, 5).tolist()
    assert (second["score"], "segmentation" in second) == (0.123456789, False)
    assert (third["image_id"], third["file_name"]) == (9, "ä.jpg")
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_float32_keeps_all_its_digits(tmp_path):
    score = float(np.float32(0.1) + np.float32(1e-8))
    with CocoResultsWriter(tmp_path / "r.json") as results:
        results.add(1, "a", [result(0, score)])
    assert np.float32(json.loads((tmp_path / "r.json").read_bytes())[0]["score"]) == np.float32(score)


def test_no_findings_are_an_empty_list(tmp_path):
    with CocoResultsWriter(tmp_path / "r.json"):
        pass
    assert json.loads((tmp_path / "r.json").read_bytes()) == []


def test_results_are_whole_or_as_they_were(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("before")

    def interrupted():
        with CocoResultsWriter(path) as results:
            results.add(1, "a", [result(0, 0.5)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
