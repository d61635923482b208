import pytest

from attnkit.data.detection.trained_images import trained_images
from attnkit.data.formats.annotations import Annotation
from attnkit.errors import DataError
from tests.data.detection.listed_objects import ListedObjects, rectangle


class Written(ListedObjects):
    """One image per list of annotations."""

    def __init__(self, *annotations, masks=False):
        super().__init__(len(annotations), sizes=[(30, 50)], masks=masks)
        self._annotations = annotations

    def annotations(self, index):
        return self._annotations[index]


def test_their_numbers_and_sizes():
    indices, sizes = trained_images(ListedObjects(7, empty=[0, 4], crowds=[5]), None)
    assert indices.tolist() == [1, 2, 3, 6]
    assert sizes.tolist() == [[60, 40], [40, 60], [40, 60], [40, 60]]


def test_what_makes_an_object():
    data = Written(
        [Annotation(0, "1", (49, 29, 70, 31))],
        [Annotation(0, "1", (49.1, 0, 70, 30))],
        [Annotation(0, "1", (0, 29.1, 50, 31))],
        [Annotation(0, "1", (-9, -9, 0.9, 30))],
        [Annotation(0, "1", (-9, -9, 50, 1))],
        [Annotation(0, "1", (60, 0, 70, 30))],
        [Annotation(0, "1", (0, 0, 50, 30), crowd=True)],
        [Annotation(0, "1", None, [rectangle(1, 2, 5, 9)])],
        [Annotation(0, "1", (0, 0, 50, 30), crowd=True), Annotation(0, "2", (0, 0, 50, 30))],
    )
    assert trained_images(data, None)[0].tolist() == [0, 4, 7, 8]


def test_with_masks_an_object_has_an_outline():
    box, outline = (0, 0, 50, 30), [rectangle(1, 2, 5, 9)]
    bare = [Annotation(0, "1", box), Annotation(0, "2", box, []), Annotation(0, "3", box, [[1, 2, 5, 9]])]
    images = bare, [*bare, Annotation(0, "4", box, outline)]
    assert trained_images(Written(*images), None)[0].tolist() == [0, 1]
    assert trained_images(Written(*images, masks=True), None)[0].tolist() == [1]


def test_what_cannot_be_read_is_left_out_and_told():
    said = []
    indices, _ = trained_images(ListedObjects(5, unread=[1, 3]), said.append)
    assert indices.tolist() == [0, 2, 4]
    assert said == [f"notes/{index}.txt: broken; it is left out" for index in (1, 3)]
    assert trained_images(ListedObjects(5, unread=[1, 3]), None)[0].tolist() == [0, 2, 4]


def test_if_none_can_be_read_the_first_are_named():
    lines = "\n".join([f"notes/{index}.txt: broken" for index in range(10)])
    with pytest.raises(DataError, match=f"^{lines}$"):
        trained_images(ListedObjects(12, unread=range(12)), None)


@pytest.mark.parametrize("about", [{"empty": range(5)}, {"crowds": range(5)}, {"unread": [1, 2], "empty": range(5)}])
def test_none_has_an_object(about):
    message = (
        r"^notes/0.txt: no object to be learned, nor in any of the 5 training images; expected boxes of a pixel or "
        r"more that are no crowds; correct the annotations$"
    )
    with pytest.raises(DataError, match=message):
        trained_images(ListedObjects(5, **about), None)
