import json

import pytest

from attnkit.data.formats import known_coco_json as module
from attnkit.data.formats.known_coco_json import known_coco_json
from attnkit.errors import DataError


def content(name):
    return json.dumps({"images": [], "annotations": [], "categories": [{"id": 3, "name": name}]}).encode()


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(module, "_known", {})
    return module


def test_the_same_is_read_once():
    found = known_coco_json(content("cat"), "a.json")
    assert found.names == ("cat",)
    assert known_coco_json(content("cat"), "a.json") is found


def test_what_has_changed_is_read_again():
    found = known_coco_json(content("cat"), "a.json")
    assert known_coco_json(content("dog"), "a.json").names == ("dog",)
    assert known_coco_json(content("cat"), "b.json") is not found  # errors name the file


def test_two_are_kept():
    first, second = known_coco_json(content("cat"), "a.json"), known_coco_json(content("dog"), "b.json")
    assert known_coco_json(content("cat"), "a.json") is first
    known_coco_json(content("emu"), "c.json")
    assert known_coco_json(content("cat"), "a.json") is first
    assert known_coco_json(content("dog"), "b.json") is not second
    assert len(module._known) == 2


def test_a_broken_one_is_not_kept():
    for _ in range(2):
        with pytest.raises(DataError, match=r"^a.json: not as COCO's json is \(JSONDecodeError: "):
            known_coco_json(b"{", "a.json")
    assert module._known == {}
