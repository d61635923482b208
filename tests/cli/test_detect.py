"""The contract of `attnkit detect`: what is found on each image, in order, and results that are whole or not there."""

import json

import pytest
from PIL import Image
from pycocotools import mask as run_lengths
from typer.testing import CliRunner

from attnkit.cli import app
from attnkit.errors import DataError
from attnkit.recipes.detection.recipe import DetectionInferenceConfig
from tests.recipes.object_runs import CATEGORY_IDS, CLASSES, FindsColours, object_run, painted
from tests.recipes.scene_runs import write_png

# Options


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--score-threshold", "1"], "--score-threshold 1: inference.score_threshold: expected below 1, got 1"),
        (
            ["--score-threshold", "-0.1"],
            "--score-threshold -0.1: inference.score_threshold: expected at least 0, got -0.1",
        ),
        (["--nms-threshold", "0"], "--nms-threshold 0: inference.nms_threshold: expected above 0, got 0"),
        (["--nms-threshold", "1.1"], "--nms-threshold 1.1: inference.nms_threshold: expected at most 1, got 1.1"),
        (["--max-detections", "0"], "--max-detections 0: inference.max_detections: expected at least 1, got 0"),
        (["--mask-threshold", "0"], "--mask-threshold 0: inference.mask_threshold: expected above 0, got 0"),
        (["--mask-threshold", "1"], "--mask-threshold 1: inference.mask_threshold: expected below 1, got 1"),
        (["--sizes", "640,x"], "--sizes 640,x: inference.short_sides[1]: expected an integer, got 'x'"),
        (["--sizes", "0.5"], "--sizes 0.5: inference.short_sides[0]: expected an integer, got 0.5"),
        (["--sizes", "15"], "--sizes 15: inference.short_sides[0]: expected at least 16, got 15"),
        (["--sizes", "8193"], "--sizes 8193: inference.short_sides[0]: expected at most 8192, got 8193"),
        (["--sizes", "-64"], "--sizes -64: inference.short_sides[0]: expected at least 16, got -64"),
        (["--sizes", "640,"], "--sizes 640,: inference.short_sides[1]: expected an integer, got ''"),
    ],
)
def test_options_that_the_recipe_cannot_have(runs, option, message):
    result = detect("a.png", "--run", "runs/coloured", *option)
    assert (result.exit_code, result.stderr) == (2, message + "\n")


# The command


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A run, whose network is exchanged for one that finds rectangles; and pictures of them at several depths."""
    monkeypatch.chdir(tmp_path)
    object_run(tmp_path / "runs/coloured")
    monkeypatch.setattr("attnkit.recipes.trained.fit_weights", lambda path, tensors, model: None)
    monkeypatch.setattr("attnkit.recipes.detection.detector.Rcnn", lambda config, **given: FindsColours())
    pictures = {
        "a.png": painted((40, 60), red=(5, 10, 25, 30, 250), green=(35, 5, 50, 35, 200)),
        "more/a.png": painted((64, 64), blue=(8, 8, 40, 56, 230)),
        "more/deep/b.png": painted((50, 40), red=(5, 5, 20, 20, 80)),
    }
    for name, pixels in pictures.items():
        write_png(tmp_path / name, pixels.permute(1, 2, 0).numpy())
    return tmp_path


def detect(*arguments, stdin=None):
    return CliRunner().invoke(app, ["detect", *arguments, "--precision", "float32"], input=stdin)


def answers_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_newest_run_and_nothing_is_written(runs):
    before = sorted(runs.rglob("*"))
    result = detect("a.png", "more")
    assert result.exit_code == 0, result.output
    assert result.stderr == "using the newest run, runs/coloured\n"
    assert result.stdout == (
        "file   class  objects  best\n"
        "a.png  red          1  0.98\n"
        "       green        1  0.78\n"
        "more/a.png  blue         1  0.90\n"
        "more/deep/b.png  nothing        0\n"
    )
    assert sorted(runs.rglob("*")) == before


def test_json_files_and_bad_images(runs):
    (runs / "more/broken.jpg").write_bytes((runs / "a.png").read_bytes()[:60])
    result = detect(
        "--json", "more", "none.png", "a.png", "--save", "found", "--run", "runs/coloured", "--score-threshold", "0.2"
    )
    answers = answers_of(result)
    assert [answer["input"] for answer in answers] == [
        "more/a.png", "more/broken.jpg", "more/deep/b.png", "none.png", "a.png"
    ]  # fmt: skip
    assert [answer["error"][:12] for answer in answers if "error" in answer] == ["more/broken.", "none.png: no"]
    overlays = [answer["overlay"] for answer in answers if "overlay" in answer]
    assert overlays == ["found/a_overlay.png", "found/deep/b_overlay.png", "found/a_2_overlay.png"]
    for name in overlays:
        with Image.open(runs / name) as picture:
            assert max(picture.size) >= 480
    (blue,) = answers[0]["objects"]
    assert (blue["class"], blue["index"], blue["category_id"]) == ("blue", 2, 20)
    assert blue["box"] == pytest.approx([8, 8, 40, 56])
    assert blue["area"] == 32 * 48
    assert result.stderr == (
        "2 of 5 images could not be processed; expected images; fix or remove them, the others are done\n"
    )
    assert result.exit_code == 2
    results = json.loads((runs / "found/results.json").read_bytes())
    assert [(one["image_id"], one["file_name"], one["category_id"]) for one in results] == [
        (1, "more/a.png", 20), (3, "more/deep/b.png", 3), (5, "a.png", 3), (5, "a.png", 7)
    ]  # fmt: skip
    assert results[0]["bbox"] == pytest.approx([8, 8, 32, 48])
    assert run_lengths.area(results[0]["segmentation"]) == 32 * 48


def test_bad_images_in_the_table_are_named_on_stderr(runs):
    result = detect("none.png", "a.png", "--run", "runs/coloured")
    assert result.exit_code == 2
    assert "none.png" not in result.stdout
    first, last = result.stderr.splitlines()
    assert first.startswith("none.png: no such file;")
    assert last.startswith("1 of 2 images could not be processed;")


def test_paths_on_stdin(runs):
    result = detect("-", "--run", "runs/coloured", "--json", "--save", "found", stdin="more/a.png\na.png\n")
    assert [(answer["input"], answer["overlay"]) for answer in answers_of(result)] == [
        ("more/a.png", "found/a_overlay.png"), ("a.png", "found/a_2_overlay.png")
    ]  # fmt: skip


def test_an_input_that_comes_later_is_not_written_over(runs):
    (runs / "a.png").rename(runs / "a_overlay.png")
    before = (runs / "a_overlay.png").read_bytes()
    result = detect("more/a.png", "a_overlay.png", "--save", ".", "--json", "--run", "runs/coloured")
    assert [answer["overlay"] for answer in answers_of(result)] == ["a_2_overlay.png", "a_overlay_overlay.png"]
    assert (runs / "a_overlay.png").read_bytes() == before


def test_every_way_to_look(runs):
    plain = answers_of(detect("a.png", "more/a.png", "--run", "runs/coloured", "--json"))
    ways = ["--sizes", "64,128", "--flip", "--soft-nms", "--nms-threshold", "0.4"]
    for way in (ways, [*ways, "--max-detections", "2"]):
        found = answers_of(detect("a.png", "more/a.png", "--run", "runs/coloured", "--json", *way))
        for one, other in zip(plain, found, strict=True):
            best = {thing["class"]: thing for thing in reversed(other["objects"])}
            for thing in one["objects"]:
                assert best[thing["class"]]["box"] == pytest.approx(thing["box"], abs=1)


def test_options_reach_the_detector(runs, monkeypatch):
    import attnkit.recipes.detection.detector as module

    def load(recipe, run, **options):
        raise DataError(f"{recipe.inference} {options['device']} {options['precision']} {options['weights']}")

    monkeypatch.setattr(module, "load_detector", load)
    result = detect(
        "a.png", "--run", "runs/coloured", "--no-flip", "--sizes", "96", "--max-detections", "500", "--device", "cpu",
        "--mask-threshold", "0.25",
    )  # fmt: skip
    expected = DetectionInferenceConfig(
        score_threshold=0.5, max_detections=500, mask_threshold=0.25, short_sides=(96,), flip=False
    )
    assert result.stderr == f"{expected} cpu float32 runs/coloured/model.safetensors\n"


def test_boxes_alone(runs):
    object_run(runs / "runs/boxes", masks=False)
    result = detect("a.png", "--run", "runs/boxes", "--json", "--save", "found")
    ((first, _),) = [answer["objects"] for answer in answers_of(result)]
    assert "area" not in first
    assert "segmentation" not in json.loads((runs / "found/results.json").read_bytes())[0]


def test_ids_of_a_data_set(runs):
    about = {"images": [{"id": 42, "file_name": "a.png"}, {"id": 41, "file_name": "deep/b.png"}]}
    (runs / "about.json").write_text(json.dumps(about))
    result = detect("a.png", "more/deep", "--run", "runs/coloured", "--save", "found", "--image-ids", "about.json")
    assert result.exit_code == 0, result.output
    assert {one["image_id"] for one in json.loads((runs / "found/results.json").read_bytes())} == {42}
    (runs / "c.png").write_bytes((runs / "a.png").read_bytes())
    result = detect("c.png", "a.png", "--run", "runs/coloured", "--save", "found", "--image-ids", "about.json")
    assert result.exit_code == 2
    assert result.stderr.startswith("c.png: not among the 2 images of about.json;")


def test_images_of_a_data_set_are_looked_at_as_they_are_stored(runs):
    """On its side by its EXIF data: turned for people, not where boxes are compared with a data set's."""
    with Image.open(runs / "a.png") as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(runs / "turned.png", exif=exif)
    (runs / "about.json").write_text(json.dumps({"images": [{"id": 1, "file_name": "turned.png"}]}))
    (seen,) = answers_of(detect("turned.png", "--run", "runs/coloured", "--json"))
    assert (seen["height"], seen["width"]) == (60, 40)
    given = ["--save", "found", "--image-ids", "about.json"]
    (stored,) = answers_of(detect("turned.png", "--run", "runs/coloured", "--json", *given))
    assert (stored["height"], stored["width"]) == (40, 60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--precision", "half"], "--precision: there is no 'half'; expected auto, float32 or bfloat16;"),
        (["a.png", "--alpha", "1.5"], "--alpha 1.5: not a share; expected 0 (the photograph) to 1 (colours); write"),
        (["a.png", "--image-ids", "x.json"], "--image-ids x.json: given without --save; expected a folder for results"),
        (["a.png", "--run", "nowhere"], "nowhere: no such folder; expected a folder made by attnkit train"),
        (["a.png", "--run", "runs/text"], "runs/text: a translation run; expected a detection run; name one with -"),
        (["more", "--run", "runs/coloured", "--save", "more/found"], "--save more/found: lies in more, whose images a"),
        (["a.png", "--checkpoint", "gone"], "using the newest run, runs/coloured\ngone: no such file; expected"),
    ],
)  # fmt: skip
def test_mistakes(runs, arguments, message):
    (runs / "runs/text").mkdir()
    (runs / "runs/text/recipe.yaml").write_text("task: translation\n")
    result = CliRunner().invoke(app, ["detect", *arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1 + message.count("\n")


def test_classes_of_the_run(runs):
    assert detect("a.png", "--json", "--run", "runs/coloured").exit_code == 0
    ((red, green),) = [answer["objects"] for answer in answers_of(detect("a.png", "--json"))]
    assert [one["class"] for one in (red, green)] == list(CLASSES[:2])
    assert [one["category_id"] for one in (red, green)] == list(CATEGORY_IDS[:2])
