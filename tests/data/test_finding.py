import pytest

from attnkit.data.finding import DataReport, Finding
from attnkit.errors import DataError

WARNING = Finding("warning", "data.valid", "no images", "nothing is scored", "add some")
ERROR = Finding("error", "a.png:3", "is cut off", "cannot be read", "take it out")


def test_warnings_are_told():
    told = []
    DataReport([WARNING]).raise_or_warn(told.append)
    assert told == ["data.valid: no images; nothing is scored; add some"]


def test_errors_stop_before_anything_is_told():
    told = []
    with pytest.raises(DataError) as caught:
        DataReport([ERROR, WARNING]).raise_or_warn(told.append)
    assert str(caught.value) == "a.png:3: is cut off; cannot be read; take it out"
    assert told == []
