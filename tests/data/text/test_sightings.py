import numpy as np

from attnkit.data.text.sightings import Sightings


def warned(seen):
    return [str(finding) for finding in seen.warning(lambda number: f"a:{number}", "odd", "why", "mend it")]


def test_nothing_seen_is_no_warning():
    seen = Sightings()
    seen.add_where(np.array([False, False]), 1)
    assert warned(seen) == []


def test_the_first_is_named_and_the_rest_counted():
    seen = Sightings()
    seen.add(3, "x")
    assert warned(seen) == ["a:3: odd; why; mend it"]
    seen.add(2, "y")
    assert warned(seen) == ["a:3: odd (and 1 more); why; mend it"]
    assert seen.example == "x"


def test_chunks():
    seen = Sightings()
    seen.add_where(np.array([False, False, True, True]), 5)
    seen.add_where(np.array([True, False]), 9)
    assert warned(seen) == ["a:7: odd (and 2 more); why; mend it"]
