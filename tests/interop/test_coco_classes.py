"""COCO's classes, by name and number."""

from __future__ import annotations

from attnkit.interop.coco_classes import assumed_names, category_ids, coco_classes, torchvision_classes


def test_the_eighty() -> None:
    names = coco_classes()
    assert len(names) == 80
    assert list(names.items())[:2] == [("person", 1), ("bicycle", 2)]
    assert (names["stop sign"], names["bench"], names["toothbrush"]) == (13, 15, 90)
    assert sorted(names.values()) == list(names.values())


def test_a_name_for_each_of_torchvisions_rows() -> None:
    names = torchvision_classes()
    assert (len(names), len(set(names))) == (90, 90)
    assert (names[0], names[11], names[12], names[89]) == ("person", "N/A 12", "stop sign", "toothbrush")
    assert all(names[number - 1] == name for name, number in coco_classes().items())


def test_numbers_in_files_of_results() -> None:
    names = list(coco_classes())
    assert category_ids(names) == list(coco_classes().values())
    assert category_ids(names[:79]) == list(range(1, 80))
    assert category_ids(torchvision_classes()) == list(range(1, 91))


def test_what_is_assumed_where_a_file_says_nothing() -> None:
    assert assumed_names(79) == (None, None)
    names, note = assumed_names(80)
    assert names == tuple(coco_classes())
    assert note == (
        "names of the classes: the file has none; taken to be COCO's, since there are 80; where they are others, "
        "import with --classes"
    )
