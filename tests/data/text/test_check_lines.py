import gzip

import numpy as np
import pytest

from attnkit.data.text.check_lines import Occurrences, OddCharacters, check_file


def warned(seen):
    return [str(finding) for finding in seen.warning(lambda number: f"a:{number}", "odd", "why", "fix it")]


def test_nothing_seen_is_no_warning():
    seen = Occurrences()
    seen.add_where(np.array([False, False]), 1)
    assert warned(seen) == []


def test_the_first_is_named_and_the_rest_counted():
    seen = Occurrences()
    seen.add(3, "x")
    assert warned(seen) == ["a:3: odd; why; fix it"]
    seen.add(2, "y")
    assert warned(seen) == ["a:3: odd (and 1 more); why; fix it"]
    assert seen.example == "x"


def test_chunks():
    seen = Occurrences()
    seen.add_where(np.array([False, False, True, True]), 5)
    seen.add_where(np.array([True, False]), 9)
    assert warned(seen) == ["a:7: odd (and 2 more); why; fix it"]


def place(number):
    return f"a.en:{number}"


def told(findings):
    return [f"{finding.place}: {finding.what}" for finding in findings]


@pytest.mark.parametrize("space", ["\u00a0", "\u1680", "\u2000", "\u200a", "\u202f", "\u205f", "\u3000"])
def test_spaces(space):
    odd = OddCharacters()
    odd.add(["one", f"two{space}three"], 5)
    assert told(odd.findings(place)) == [f"a.en:6: a space that is not the ordinary one (U+{ord(space):04X})"]


def test_the_first_of_each_kind_is_named_whatever_the_chunk():
    odd = OddCharacters()
    odd.add(["plain", "also"], 1)
    odd.add(["a\tb", "a\u200bb\u202fc\x07"], 3)
    odd.add(["a\u00a0b", "a\ufeff"], 5)
    assert told(odd.findings(place)) == [
        "a.en:4: a space that is not the ordinary one (U+202F) (and 1 more)",
        "a.en:4: an invisible character, or one that replaces a broken one (U+200B) (and 1 more)",
        "a.en:3: a tab inside the sentence",
    ]


def test_files(tmp_path):
    """Packed; a mark that does not stand at the head is a character like others."""
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\r\nc\r\nd\re\nf\r"))
    assert told(check_file("a", file, limit=None)) == [
        "a:1: a byte order mark",
        "a:2: the line ends in CR LF (and 2 more)",
    ]
    assert told(check_file("a", file, limit=2)) == ["a:1: a byte order mark", "a:2: the line ends in CR LF"]
    assert told(check_file("a", file, limit=1)) == ["a:1: a byte order mark"]
