"""attnkit evaluate: what it makes of its options, before a task scores anything."""

from pathlib import Path

import pytest

from attnkit.recipe_file import Override
from tests.command import attnkit, evaluate, refused


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Translations and references, in the working directory."""
    (tmp_path / "hyp.de").write_text("Das ist ein Test.\nEin Mann isst.\n")
    (tmp_path / "ref.de").write_text("Das ist ein Test.\nEin Mann isst Brot.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(folder, monkeypatch):
    """What the tasks are asked, in place of their scores."""
    asked = []
    monkeypatch.setattr("attnkit.cli.evaluate.evaluate_task", lambda *given: asked.append(given))
    return asked


def test_evaluate_is_the_same_command(folder):
    long = attnkit("evaluate", "--hyp", "hyp.de", "--ref", "ref.de")
    assert long.stdout == evaluate("--hyp", "hyp.de", "--ref", "ref.de").stdout != ""


def test_a_metric_that_is_named_twice_is_computed_once(asked):
    assert evaluate("--metric", "top5", "--metric", "top1", "--metric", "top5").exit_code == 0
    ((task, request, _),) = asked
    assert (task, request.metrics) == ("classification", ("top5", "top1"))


def test_every_general_option_reaches_the_task(asked):
    evaluate(
        "--metric", "ap", "--run", "a", "--split", "valid", "--checkpoint", "b", "--device", "cpu", "--save", "c",
        "--json",
    )  # fmt: skip
    ((task, request, _),) = asked
    assert (task, request.run, request.split, request.checkpoint) == ("detection", Path("a"), "valid", Path("b"))
    assert (request.device, request.save, request.as_json) == ("cpu", Path("c"), True)
    assert not request.overrides


def test_options_of_a_search_change_the_recipe(asked):
    evaluate("--metric", "bleu", "--beam-size", "3")
    evaluate("--metric", "miou", "--flip", "--overlap", "0.25")
    (_, text, _), (_, masks, _) = asked
    assert Override("--beam-size 3", "decode.beam_size", "3") in text.overrides
    assert {one.key for one in text.overrides} == {"decode.method", "decode.beam_size"}
    assert {(one.option, one.key) for one in masks.overrides} == {
        ("--flip", "inference.flip"),
        ("--overlap 0.25", "inference.overlap"),
    }


def test_options_of_a_task_stay_together(asked):
    evaluate("--metric", "top1", "--per-class", "--rows", "3", "--labels", "x", "--predictions", "y")
    ((_, _, options),) = asked
    assert (options.images.per_class, options.images.rows, options.images.predictions) == (True, 3, "y")
    assert options.labels.labels == "x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "all"], "--split: there is no 'all' to score; expected test or valid; choose one of them\n"),
        (
            ["--metric", "top1", "--precision", "int8"],
            "--precision: there is no 'int8'; expected auto, float32 or bfloat16; choose one of them\n",
        ),
    ],
)
def test_what_no_task_can_do_is_refused_first(asked, arguments, message):
    assert refused(evaluate(*arguments)) == message
    assert asked == []
