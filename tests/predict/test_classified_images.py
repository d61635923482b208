"""The classes of images: an answer where its image stood, and tables that no name can break."""

from dataclasses import dataclass

from attnkit.data.formats.class_list import NamedClass
from attnkit.predict.classified_images import class_table, classify_images
from attnkit.predict.image_answers import ImageAnswer
from attnkit.predict.image_inputs import Decoded


@dataclass
class Guess:
    index: int
    name: str
    probability: float


class FakeClassifier:
    """Every image is a number, and its class that number."""

    def classify(self, images, *, top):
        return [[Guess(image + k, f"class {image + k}", 1 / (2 + k)) for k in range(top)] for image in images]


GUESSES = (NamedClass("grüner Tee", 7, 0.98765432), NamedClass('a "b", c', 11, 1.23456789e-7))
ANSWERS = [
    ImageAnswer("x/ä.jpg", GUESSES),
    ImageAnswer("bad.png", problem="bad.png: empty file"),
    ImageAnswer("y", GUESSES),
]


def test_answers_stand_where_their_images_stood():
    groups = [
        [Decoded("a", 3, None), Decoded("b", None, "b: bad"), Decoded("c", 5, None)],
        [Decoded("d", None, "d: bad")],
    ]
    first, second = classify_images(FakeClassifier(), groups, top=2)
    assert [(one.name, one.problem) for one in first] == [("a", None), ("b", "b: bad"), ("c", None)]
    assert [[guess.index for guess in one.found] for one in first] == [[3, 4], [], [5, 6]]
    assert second == [ImageAnswer("d", problem="d: bad")]


def test_table_with_a_line_per_image():
    table = class_table(top=2)
    assert table.write(ANSWERS) == (
        "file     class       prob.   class     prob.\n"
        'x/ä.jpg  grüner Tee  0.9877  a "b", c  0.0000\n'
        'y        grüner Tee  0.9877  a "b", c  0.0000\n'
    )
    wider = table.write([ImageAnswer("z" * 9, (NamedClass("茶", 0, 0.5), NamedClass("x", 1, 0.25)))])
    assert wider == "zzzzzzzzz  茶          0.5000  x         0.2500\n", "an ideograph is two columns wide"
    assert table.write(ANSWERS[:1]).startswith("x/ä.jpg    grüner Tee")


def test_table_of_more_classes():
    guesses = [*GUESSES, NamedClass("c", 1, 0.5), NamedClass("d", 2, 0.25)]
    assert class_table(top=4).write([ImageAnswer("a.jpg", guesses), ImageAnswer("b.jpg", guesses[2:])]) == (
        "file   rank  class       prob.\n"
        "a.jpg  1     grüner Tee  0.9877\n"
        '       2     a "b", c    0.0000\n'
        "       3     c           0.5000\n"
        "       4     d           0.2500\n"
        "b.jpg  1     c           0.5000\n"
        "       2     d           0.2500\n"
    )


def test_names_cannot_break_the_table():
    assert (
        class_table(top=1)
        .write([ImageAnswer("a\n\x1b[31m.png", GUESSES[:1])])
        .splitlines()[1]
        .startswith("a\\n\\x1b[31m.png  grüner")
    )
