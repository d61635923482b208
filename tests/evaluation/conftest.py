"""Folders that tests of evaluation begin with."""

import csv
import json

import pytest

from tests.recipes.scene_runs import GUESS, TRUTH, write_png


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def masks(folder):
    """Two folders of masks: GUESS of TRUTH, and a pair that is equal."""
    for name, truth, guess in (("a", TRUTH, GUESS), ("deep/b", TRUTH, TRUTH)):
        write_png(folder / f"labels/{name}.png", truth)
        write_png(folder / f"guesses/{name}.png", guess)
    return folder


@pytest.fixture
def files(folder):
    """Labels of four images, and predictions in every form: two of them right, three in the first two."""
    (folder / "labels.csv").write_text('input,label\na.jpg,cat\nb.jpg,"dog, big"\nc.jpg,cat\nd.jpg,eel\n')
    rows = [
        ("b.jpg", "cat", "dog, big"),
        ("a.jpg", "cat", "eel"),
        ("d.jpg", "eel", "cat"),
        ("c.jpg", "eel", "dog, big"),
    ]
    answers = [
        {"input": name, "predictions": [{"class": one, "probability": 0.75}, {"class": two, "probability": 0.25}]}
        for name, one, two in rows
    ]
    (folder / "p.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    with (folder / "ranks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["input", "rank", "class", "probability"])
        for name, one, two in rows:
            writer.writerows([[name, 1, one, 0.75], [name, 2, two, 0.25]])
    (folder / "best.tsv").write_text("Input\tLabel\n" + "".join(f"{name}\t{one}\n" for name, one, _ in rows))
    (folder / "best.txt").write_text("".join(f"./{name} {one}\n" for name, one, _ in rows))
    (folder / "alone.txt").write_text("cat\ncat\neel\neel\n")
    return folder
