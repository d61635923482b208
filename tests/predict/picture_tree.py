"""A folder tree for commands on images."""

from pathlib import Path

from tests.recipes.image_runs import write_picture


def write_picture_tree(folder: Path) -> None:
    """Write pictures at several depths, files that are none, hidden ones, and an empty folder."""
    for name, colour in {
        "a.png": "red",
        "more/c.PNG": "blue",
        "more/b.jpg": "green",
        "more/deep/d.webp": "red",
        "more/a 2.jpeg": "blue",
    }.items():
        write_picture(folder / name, colour)
    for name in ("more/notes.txt", "more/.hidden.png", "more/.cache/x.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("no picture")
    (folder / "empty").mkdir()
