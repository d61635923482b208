import pytest

from attnkit.data.formats.annotations import check_names
from attnkit.errors import DataError


def test_names_that_differ():
    check_names(["cat"], "x.json")
    check_names(("cat", "dog"), "x.json")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no classes; expected one at least; fix the file"),
        (("cat", "dog", "cat"), "two classes are named cat; expected a name for each; rename one of them"),
    ],
)
def test_names_that_are_none(names, message):
    with pytest.raises(DataError, match=f"^x.json: {message}$"):
        check_names(names, "x.json")
