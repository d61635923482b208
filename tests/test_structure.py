"""How the package is built: no circles of files, no room or function that has outgrown itself."""

import pytest

from benchmarks.structure import circles, functions, imports, modules, size

FILES = modules()


def test_no_circle_of_files():
    assert circles(imports(FILES)) == []


def test_circles_are_found(tmp_path):
    package = tmp_path / "odd"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from odd.b import x\n")
    (package / "b.py").write_text("def f():\n    from odd import c\n")
    (package / "c.py").write_text("import odd.a\n")
    (package / "d.py").write_text("from odd.a import y\n")
    assert circles(imports(modules(package))) == [["odd.a", "odd.b", "odd.c"]]


@pytest.mark.parametrize(("room", "most_files", "most_lines"), [("", 310, 41_800), ("attnkit.cli", 20, 2_200)])
def test_rooms_stay_small(room, most_files, most_lines):
    count, lines = size(FILES, room)
    assert count <= most_files
    assert lines <= most_lines


def test_functions_stay_small():
    every = functions(FILES)
    assert [function for function in every if function.lines > 60] == []
    assert [function for function in every if function.arguments > 12] == []


def test_no_setting_is_changed_without_being_validated():
    """`model_copy(update=...)` takes anything; Config.changed validates."""
    unchecked = [name for name, path in FILES.items() if "model_copy(" in path.read_text()]
    assert unchecked == []
