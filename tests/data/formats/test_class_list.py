"""Lists of the classes of images: what is written can be read again, and images are found under other names."""

import csv
import io
import json

import pytest

from attnkit.data.formats.class_list import (
    CSV_HEADER,
    ImageClasses,
    NamedClass,
    format_csv,
    format_json,
    match_inputs,
    read_classes,
)

CLASSES = (NamedClass("grüner Tee", 7, 0.98765432), NamedClass('a "b", c', 11, 1.23456789e-7))
ROWS = [
    ImageClasses("x/ä.jpg", CLASSES),
    ImageClasses("bad.png", (), "bad.png: empty file"),
    ImageClasses("y", CLASSES),
]


def test_json_lines():
    lines = format_json(ROWS).splitlines()
    assert "grüner Tee" in lines[0]
    assert [json.loads(line) for line in lines] == [
        {
            "input": "x/ä.jpg",
            "predictions": [
                {"class": "grüner Tee", "index": 7, "probability": 0.987654},
                {"class": 'a "b", c', "index": 11, "probability": 1.23457e-07},
            ],
        },
        {"input": "bad.png", "error": "bad.png: empty file"},
        json.loads(lines[0]) | {"input": "y"},
    ]


def test_csv_rows():
    assert list(csv.reader(io.StringIO(format_csv(ROWS[:2])))) == [
        ["x/ä.jpg", "1", "grüner Tee", "7", "0.987654", ""],
        ["x/ä.jpg", "2", 'a "b", c', "11", "1.23457e-07", ""],
        ["bad.png", "", "", "", "", "bad.png: empty file"],
    ]


@pytest.mark.parametrize(("name", "write"), [
    ("a.jsonl", format_json),
    ("a.csv", lambda rows: CSV_HEADER + format_csv(rows)),
])  # fmt: skip
def test_what_is_written_can_be_read(tmp_path, name, write):
    path = tmp_path / name
    path.write_text(write(ROWS), encoding="utf-8")
    rounded = [(NamedClass("grüner Tee", 7, 0.987654), NamedClass('a "b", c', 11, 1.23457e-7)), ()]
    assert [(row.input, row.classes) for row in read_classes(str(path))] == [
        ("x/ä.jpg", rounded[0]), ("bad.png", ()), ("y", rounded[0])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "known", "places"),
    [
        (["a/1.jpg", "./b/1.jpg"], ["b/1.jpg", "a/1.jpg"], [1, 0]),
        (["/x/a/1.jpg", "/x/b/1.jpg"], ["b/1.jpg", "a/1.jpg", "c/1.jpg"], [1, 0]),
        (["/x/a/1.jpg"], ["y/2.jpg", "y/1.jpg"], [1]),
        (["val.tar:1.jpg"], ["2.jpg", "1.jpg"], [1]),
        (["a/1.jpg", "b/1.jpg"], ["1.jpg", "2.jpg"], [None, None]),
        (["a/1.jpg", "a/3.jpg"], ["a/1.jpg", "a/2.jpg"], [0, None]),
    ],
)
def test_matching_of_paths(wanted, known, places):
    assert match_inputs(wanted, known) == places
