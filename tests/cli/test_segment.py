"""The contract of `attnkit segment`: a mask per image, in order, and what is written is whole and lost nowhere."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from attnkit import recipe_file
from attnkit.cli import app
from attnkit.cli.options import FlipOptions, SegmenterOptions
from attnkit.recipes.segmentation.recipe import InferenceConfig
from tests.recipes.scene_runs import DRAWN, scene_run, striped, write_stripes

# Options


def test_options_change_the_recipe_s_way(runs):
    """What is not given stays as it is, and `whole` takes a window away."""
    recipe = recipe_file.load(
        runs / "runs/stripes/recipe.yaml", ["inference={window: [5, 7], scales: [2.0], flip: true}"]
    )
    kept = InferenceConfig(window=(5, 7), scales=(2.0,), flip=True)
    (runs / "recipe.yaml").write_text(recipe_file.dump(recipe))

    def changed(flip=None, **options):
        overrides = [*SegmenterOptions(**options).overrides(), *FlipOptions(flip=flip).overrides()]
        return recipe_file.load(runs / "recipe.yaml", options=overrides).inference

    assert changed() == kept
    assert changed(scales="0.75,1, 1.25", flip=False, window="96x128", overlap=0.5) == InferenceConfig(
        window=(96, 128), overlap=0.5, scales=(0.75, 1.0, 1.25), flip=False
    )
    assert changed(window="whole").window is None
    assert changed(window="512").window == (512, 512)


def opened(path):
    with Image.open(path) as picture:
        picture.load()
        return picture


# The command


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A run, and pictures of stripes at several depths."""
    monkeypatch.chdir(tmp_path)
    scene_run(tmp_path / "runs/stripes")
    write_stripes(tmp_path / "a.png", "red", "red", "blue")
    write_stripes(tmp_path / "more/a.png", "green", "blue", "green", "green")
    write_stripes(tmp_path / "more/deep/b.png", "blue", height=20)
    return tmp_path


def segment(*arguments, stdin=None):
    return CliRunner().invoke(app, ["segment", *arguments, "--precision", "float32"], input=stdin)


def answers_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_newest_run_and_nothing_is_written(runs):
    before = sorted(runs.rglob("*"))
    result = segment("a.png", "more")
    assert result.exit_code == 0, result.output
    assert result.stderr == "using the newest run, runs/stripes\n"
    assert result.stdout == (
        "file   class     area  pixels\n"
        "a.png  red    66.67 %      96\n"
        "       blue   33.33 %      48\n"
        "more/a.png  green  75.00 %     144\n"
        "            blue   25.00 %      48\n"
        "more/deep/b.png  blue   100.00 %      80\n"
    )
    assert sorted(runs.rglob("*")) == before


def test_json_files_and_bad_images(runs):
    (runs / "more/broken.jpg").write_bytes((runs / "a.png").read_bytes()[:60])
    result = segment("--json", "more", "none.png", "a.png", "--save", "masks", "--run", "runs/stripes")
    answers = answers_of(result)
    assert [answer["input"] for answer in answers] == [
        "more/a.png", "more/broken.jpg", "more/deep/b.png", "none.png", "a.png"
    ]  # fmt: skip
    assert [answer["error"][:12] for answer in answers if "error" in answer] == ["more/broken.", "none.png: no"]
    assert [answer["mask"] for answer in answers if "mask" in answer] == [
        "masks/a.png", "masks/deep/b.png", "masks/a_2.png"
    ]  # fmt: skip
    assert answers[0]["areas"][0] == {"class": "green", "index": 1, "pixels": 144, "share": 0.75}
    mask = opened(runs / "masks/a.png")
    assert np.array_equal(np.array(mask), striped("green", "blue", "green", "green")[1])
    assert mask.getpalette()[:9] == [value for colour in DRAWN for value in colour]
    assert opened(answers[0]["overlay"]).width == 480
    assert result.stderr == (
        "2 of 5 images could not be processed; expected images; fix or remove them, the others are done\n"
    )
    assert result.exit_code == 2


def test_bad_images_in_the_table_are_named_on_stderr(runs):
    result = segment("none.png", "a.png", "--run", "runs/stripes")
    assert result.exit_code == 2
    assert "none.png" not in result.stdout
    first, last = result.stderr.splitlines()
    assert first.startswith("none.png: no such file;")
    assert last.startswith("1 of 2 images could not be processed;")


def test_paths_on_stdin(runs):
    result = segment("-", "--run", "runs/stripes", "--json", "--save", "masks", stdin="more/a.png\na.png\n")
    assert [(answer["input"], answer["mask"]) for answer in answers_of(result)] == [
        ("more/a.png", "masks/a.png"), ("a.png", "masks/a_2.png")
    ]  # fmt: skip


def test_an_input_that_comes_later_is_not_written_over(runs):
    before = (runs / "a.png").read_bytes()
    result = segment("more/a.png", "a.png", "--save", ".", "--json", "--run", "runs/stripes")
    assert [answer["mask"] for answer in answers_of(result)] == ["a_2.png", "a_3.png"]
    assert (runs / "a.png").read_bytes() == before


def test_every_way_to_look(runs):
    plain = segment("more", "--run", "runs/stripes", "--json").stdout
    ways = ["--window", "8x12", "--overlap", "0.5", "--scales", "1,2", "--flip"]
    assert segment("more", "--run", "runs/stripes", "--json", *ways).stdout == plain


def test_options_reach_the_segmenter(runs, monkeypatch):
    import attnkit.recipes.segmentation.segmenter as module

    monkeypatch.setattr(module, "load_segmenter", lambda recipe, run, **options: told.append((recipe, options)))
    told = []
    segment("a.png", "--run", "runs/stripes", "--no-flip", "--window", "9x7", "--device", "cpu")
    ((recipe, options),) = told
    assert recipe.inference == InferenceConfig(window=(9, 7), flip=False)
    assert (options["device"], options["precision"]) == ("cpu", "float32")
    assert options["weights"] == Path("runs/stripes/model.safetensors")


def test_alpha(runs):
    for alpha in ("0", "1"):
        segment("more/deep", "--save", f"masks{alpha}", "--alpha", alpha, "--run", "runs/stripes")
    photo, colours = (opened(runs / f"masks{alpha}/b_overlay.png").getpixel((50, 50)) for alpha in (0, 1))
    assert colours == DRAWN[2]
    assert photo == pytest.approx((5, 30, 245), abs=12)


STRIPES = ("--run", "runs/stripes")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--precision", "half"], "--precision: there is no 'half'; expected auto, float32 or bfloat16;"),
        (["a.png", "--alpha", "1.5"], "--alpha 1.5: not a share; expected 0 (the photograph) to 1 (colours); write"),
        (["a.png", *STRIPES, "--overlap", "1"], "--overlap 1: inference.overlap: expected below 1, got 1"),
        (["a.png", *STRIPES, "--window", "0x5"], "--window 0x5: inference.window[0]: expected at least 1, got 0"),
        (["a.png", "--window", "5*5"], "--window 5*5: not a size; expected height and width in pixels, or whole;"),
        (["a.png", *STRIPES, "--scales", "1,"], "--scales 1,: inference.scales[1]: expected a number, got ''"),
        (["a.png", *STRIPES, "--scales", "0"], "--scales 0: inference.scales[0]: expected above 0, got 0"),
        (["a.png", *STRIPES, "--scales", "nan"], "--scales nan: inference.scales[0]: expected a number, got 'nan'"),
        (["a.png", "--run", "nowhere"], "nowhere: no such folder; expected a folder made by attnkit train"),
        (["a.png", "--run", "runs/text"], "runs/text: a translation run; expected a segmentation run; name one with -"),
        (["more", "--run", "runs/stripes", "--save", "more/masks"], "--save more/masks: lies in more, whose images ar"),
        (["a.png", "--checkpoint", "gone"], "using the newest run, runs/stripes\ngone: no such file; expected weights"),
    ],
)  # fmt: skip
def test_mistakes(runs, arguments, message):
    (runs / "runs/text").mkdir()
    (runs / "runs/text/recipe.yaml").write_text("task: translation\n")
    result = CliRunner().invoke(app, ["segment", *arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1 + message.count("\n")


def test_it_is_said_that_a_large_image_is_cut_into_windows(runs, monkeypatch):
    import attnkit.recipes.segmentation.segmenter as module

    load = module.load_segmenter
    monkeypatch.setattr(module, "load_segmenter", lambda *given, **options: load(*given, memory=5_000, **options))
    result = segment("more", "--run", "runs/stripes")
    assert result.exit_code == 0
    assert result.stderr.startswith(
        "an image of 12x16 pixels: the whole of it needs about 0.0 GiB, more than 0.0; windows"
    )
    assert result.stderr.count("\n") == 1
