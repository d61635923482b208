import pytest

from attnkit.data.text.languages import language_of


@pytest.mark.parametrize(
    ("file", "language"),
    [
        ("train.de", "de"),
        ("folder/train.lc.tok.fr.gz", "fr"),
        ("train.txt", None),
        ("train", None),
        ("de", "de"),
        ("train.DE", None),
        ("train.gz", None),
        ("train.mp4", None),
        ("a.de/train", None),
    ],
)
def test_the_ending_names_the_language(file, language):
    assert language_of(file) == language
