"""Images that a user names are found in order, and decoded in order while earlier ones are in use."""

import io
import os
import queue
import threading

import pytest

from attnkit.errors import DataError
from attnkit.predict.image_inputs import Decoded, ImageInput, decode_ahead, image_inputs, in_groups
from tests.predict.picture_tree import write_picture_tree
from tests.recipes.image_runs import write_picture


def listed(*names, stdin=b""):
    return [(one.name, one.problem) for one in image_inputs(names, io.BytesIO(stdin))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pictures at several depths, and files that are none, in the working directory."""
    write_picture_tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Inputs


def test_folders_are_sorted_at_every_depth_and_hold_images_only(folder):
    inside = ["more/a 2.jpeg", "more/b.jpg", "more/c.PNG", "more/deep/d.webp"]
    assert listed("more") == [(name, None) for name in inside]


def test_names_keep_their_order_and_may_come_twice(folder):
    assert [name for name, _ in listed("more/c.PNG", "a.png", "more/deep", "a.png")] == [
        "more/c.PNG", "a.png", "more/deep/d.webp", "a.png"
    ]  # fmt: skip


def test_a_file_that_is_named_may_have_any_name(folder):
    assert listed("more/notes.txt", "more/.hidden.png") == [("more/notes.txt", None), ("more/.hidden.png", None)]


def test_globs(folder):
    assert [name for name, _ in listed("more/*.[jJ]p*")] == ["more/a 2.jpeg", "more/b.jpg"]
    assert [name for name, _ in listed("**/*.webp", "mor?")] == [
        "more/deep/d.webp", "more/a 2.jpeg", "more/b.jpg", "more/c.PNG", "more/deep/d.webp"
    ]  # fmt: skip


def test_a_file_whose_name_looks_like_a_glob(folder):
    write_picture(folder / "x[1].png", "red")
    assert listed("x[1].png") == [("x[1].png", None)]


def test_dash_is_paths_on_stdin(folder):
    found = listed("a.png", "-", "more/b.jpg", stdin=b"more/c.PNG\r\n\n  \nmore/deep\nempty")
    assert [name for name, _ in found] == ["a.png", "more/c.PNG", "more/deep/d.webp", "empty", "more/b.jpg"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.jpg", "none.jpg: no such file; expected an image, a folder of images or a glob; check the name"),
        ("empty", "empty: a folder without images; expected files such as .jpg or .png; check the name"),
        ("*.gif", "*.gif: matches no image; expected files such as .jpg or .png; check the name"),
        ("x" * 5000, "x" * 5000 + ": no such file; expected an image, a folder of images or a glob; check the name"),
    ],
)
def test_a_name_that_leads_nowhere(folder, name, problem):
    assert listed(name, "a.png") == [(name, problem), ("a.png", None)]


def test_a_link_that_leads_back_is_not_followed_for_ever(folder):
    (folder / "more/deep/up").symlink_to(folder / "more")
    assert len([name for name, _ in listed("more")]) < 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_listed(folder):
    (folder / "more").chmod(0)
    try:
        ((name, problem),) = listed("more")
    finally:
        (folder / "more").chmod(0o755)
    assert name == "more"
    assert problem.startswith("more: cannot be listed")


def numbered(count):
    return [ImageInput(str(number)) for number in range(count)]


def test_full_groups():
    groups = list(in_groups(iter(numbered(7)), size=3, wait=True))
    assert [[one.name for one in group] for group in groups] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_groups_that_do_not_wait():
    wrote, inputs = queue.Queue(), queue.Queue()

    def slow():
        while (one := inputs.get()) is not None:
            yield one

    def read():
        for group in in_groups(slow(), size=3, wait=False):
            wrote.put([one.name for one in group])

    threading.Thread(target=read, daemon=True).start()
    for one in numbered(2):
        inputs.put(one)
        assert wrote.get(timeout=60) == [one.name]
    inputs.put(None)


# Decoding


def test_images_are_read_in_order_whoever_is_first():
    held = threading.Event()

    def load(path):
        if path.name == "0":
            assert held.wait(60)
        else:
            held.set()
        return int(path.name) * 10

    groups = [numbered(5)[:2], numbered(5)[2:]]
    decoded = list(decode_ahead(groups, load, threads=2))
    assert [[one.image for one in group] for group in decoded] == [[0, 10], [20, 30, 40]]


def test_the_next_group_is_read_while_one_is_in_use():
    read = queue.Queue()
    groups = decode_ahead([[one] for one in numbered(3)], lambda path: read.put(path.name), threads=1)
    next(groups)
    assert {read.get(timeout=60), read.get(timeout=60)} == {"0", "1"}
    groups.close()


def test_a_bad_image_has_a_problem_and_the_others_go_on():
    def load(path):
        if path.name == "1":
            raise DataError("1: broken")
        if path.name == "2":
            raise PermissionError(13, "Permission denied")
        return path.name

    ((_, *bad, last),) = decode_ahead(
        [[*numbered(3), ImageInput("none", "none: no such file"), *numbered(1)]], load, threads=3
    )
    assert last == Decoded("0", "0", None)
    assert bad == [
        Decoded("1", None, "1: broken"),
        Decoded("2", None, "2: cannot be read (Permission denied); expected a readable image; see its permissions"),
        Decoded("none", None, "none: no such file"),
    ]


def test_a_bug_is_no_bad_image():
    def load(path):
        raise TypeError("bug")

    with pytest.raises(TypeError, match=r"^bug$"):
        list(decode_ahead([numbered(2)], load, threads=1))
