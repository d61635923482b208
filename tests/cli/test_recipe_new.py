"""attnkit recipe new: which options belong to which task, and which are needed."""

import pytest

from attnkit.cli.recipe_new import TextOptions
from attnkit.data.text.config import PairOfFiles
from attnkit.errors import AttnkitError
from tests.command import attnkit, refused


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments, task):
    return attnkit("recipe", "new", task, *arguments)


def test_unknown_tasks(folder):
    message = (
        "recipe new: there is no task 'sorting'; expected translation, classification, segmentation or detection; "
        "write one of them\n"
    )
    assert refused(new("--src", "train.en", "--tgt", "train.de", task="sorting")) == message


def test_options_of_images_are_refused_for_text():
    result = attnkit("recipe", "new", "translation", "--src", "a", "--tgt", "b", "--minutes", "3")
    assert result.exit_code == 2
    assert result.stderr.startswith("--minutes: not an option of translation; expected --src, --tgt,")
    result = attnkit("recipe", "new", "translation", "--src", "a")
    assert result.stderr == "--tgt: not given; expected --src and --tgt for translation; add it\n"


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("translation", ["--tgt", "b"], "--src: not given; expected --src and --tgt for translation; add it"),
        ("segmentation", ["--images", "a"], "--masks: not given; expected --images and --masks for segmentation;"),
        ("detection", [], "--images: not given; expected --images and --annotations, or --data alone, for detection;"),
        (
            "detection",
            ["--data", "a", "--images", "b"],
            "--images: given together with --data, which holds images and objects; expected one of them; leave one out",
        ),
        (
            "classification",
            ["--data", "a", "--masks", "b"],
            "--masks: not an option of classification; expected --data, --image-size, --minutes; leave it out",
        ),
    ],
)
def test_options_of_tasks(folder, task, arguments, message):
    assert refused(new(*arguments, task=task)).startswith(message)
    assert list(folder.iterdir()) == []


def test_the_pairs_that_are_given():
    options = TextOptions(src="a.en", tgt="a.de", test_src="c.en", test_tgt="c.de")
    assert options.pairs() == {
        "train": PairOfFiles(src="a.en", tgt="a.de"),
        "test": PairOfFiles(src="c.en", tgt="c.de"),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            TextOptions(src="a", tgt="b", valid_src="c"),
            "^--valid-src: its other side is not given; expected --valid-tgt",
        ),
        (TextOptions(src="a", tgt="b", test_src="c", test_tgt="c"), "^--test-src: c is --test-tgt too; expected one"),
    ],
)
def test_pairs_that_are_none(options, message):
    with pytest.raises(AttnkitError, match=message):
        options.pairs()


@pytest.mark.parametrize(
    ("src", "tgt", "name"), [("a/train.en", "train.de.gz", "en_de"), ("train.en", "train.txt", "translation")]
)
def test_a_name_of_the_languages(src, tgt, name):
    assert TextOptions(src=src, tgt=tgt).languages() == name
