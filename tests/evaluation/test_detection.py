"""attnkit evaluate of the detections of a run, through the real entry point."""

import json
from pathlib import Path

import pytest

from tests.command import evaluate, printed, refused
from tests.recipes.object_runs import CATEGORY_IDS, FindsColours, object_recipe, object_run, painted
from tests.recipes.scene_runs import write_png

PICTURES = {
    "a.png": painted((64, 64), red=(8, 8, 40, 56, 250), green=(44, 4, 60, 60, 200)),
    "b.png": painted((64, 96), blue=(8, 8, 40, 56, 230)),
    "c.png": painted((64, 64)),
}
BOXES = {
    1: [("red", [8, 8, 32, 48]), ("green", [44, 4, 16, 56])],
    2: [("blue", [8, 8, 32, 40])],
    3: [("blue", [8, 8, 32, 40])],
}
"""Both of the first image are found; that of the second with an overlap of 5/6; that of the third is missed."""


def instances(names=("red", "green", "blue"), boxes=BOXES):
    ids = dict(zip(("red", "green", "blue"), CATEGORY_IDS, strict=True))
    annotations = [
        {"image_id": image, "category_id": ids[name], "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        | {"segmentation": [_corners(*box)]}
        for image, of_image in boxes.items()
        for name, box in of_image
    ]
    return {
        "images": [
            {"id": n, "file_name": name, "height": pixels.shape[1], "width": pixels.shape[2]}
            for n, (name, pixels) in enumerate(PICTURES.items(), start=1)
        ],
        "categories": [{"id": ids[name], "name": name} for name in names],
        "annotations": [one | {"id": n} for n, one in enumerate(annotations, start=1)],
    }


def _corners(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run that finds each colour; its masks are the boxes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("attnkit.recipes.trained.fit_weights", lambda path, tensors, model: None)
    monkeypatch.setattr("attnkit.recipes.detection.detector.Rcnn", lambda config, **given: FindsColours())
    for name, pixels in PICTURES.items():
        write_png(tmp_path / "data/images" / name, pixels.permute(1, 2, 0).numpy())
    (tmp_path / "data/test.json").write_text(json.dumps(instances()))
    split = {"images": "images", "annotations": "test.json"}
    recipe = object_recipe({"format": "coco", "path": str(tmp_path / "data"), "train": split, "test": split})
    return object_run(tmp_path / "runs/coloured", recipe)


def test_the_newest_run(run):
    """Red and green are found at every overlap; one of two blue ones at 7 of 10, which is 51 of 101 points."""
    result = evaluate("--metric", "ap", "--precision", "float32")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0].count("interval") == 2
    blue = 100 * 51 / 101
    assert float(rows[1][4]) == pytest.approx((200 + 0.7 * blue) / 3, abs=0.005)
    assert float(rows[2][4]) == pytest.approx((200 + blue) / 3, abs=0.005)
    assert result.stderr == "using the newest run, runs/coloured\n"


def test_json_of_a_run(run):
    about = printed(evaluate("--run", "runs/coloured", "--errors", "--json", "--precision", "float32"))
    assert (about["run"], about["split"], about["precision"]) == ("runs/coloured", "test", "float32")
    assert about["inference"]["score_threshold"] == 0.05
    assert about["max_detections"] == 100
    assert about["per_class"][0]["class"] == "blue"
    assert about["per_class"][0]["objects"] == 2
    assert {one["name"]: one["count"] for one in about["errors"]["box"] if one["count"]} == {"missed": 1}
    assert about["scores"]["box_ap"]["images"] == 3


def test_scores_are_kept_beside_others(run):
    run.scores.write_text(json.dumps({"test": {"loss": 2.5}}))
    printed(evaluate("--metric", "ap", "--json", "--precision", "float32"))
    printed(
        evaluate(
            "--metric",
            "ap",
            "--max-detections",
            "1",
            "--sizes",
            "64,96",
            "--flip",
            "--soft-nms",
            "--json",
            "--precision",
            "float32",
        )
    )
    kept = json.loads(run.scores.read_text())["test"]
    variant = ".soft_nms=true.max_detections=1.short_sides=[64,96].flip=true"
    assert list(kept)[:2] == ["loss", "box_ap"]
    assert f"mask_ap50{variant}" in kept
    assert kept["box_ap50"]["weights"] == "runs/coloured/model.safetensors"
    assert kept[f"box_ap50{variant}"]["inference"]["short_sides"] == [64, 96]
    assert f"box_ar1{variant}" in kept
    assert f"box_ar10{variant}" not in kept


def test_saved_results_score_the_same(run):
    first = evaluate(
        "--run", "runs/coloured", "--per-class", "--errors", "--save", "out/r.json", "--precision", "float32"
    )
    assert first.stderr == "out/r.json: what was found, as COCO's results\n"
    again = evaluate("--per-class", "--errors", "--predictions", "out/r.json", "--ground-truth", "data/test.json")
    assert again.stdout == first.stdout
    assert again.stderr == ""


@pytest.mark.parametrize("order", [1, -1])
def test_of_equal_scores_that_on_the_image_of_the_lower_id_comes_first(run, order):
    """In whatever order the json names them. Of two blue ones that of the image 9 is found: 51 of 101 points at 1/2."""
    images, blue = [(9, "right.png"), (4, "wrong.png")], CATEGORY_IDS[2]
    boxes = {9: [8, 8, 32, 48], 4: [44, 4, 12, 8]}
    for _, name in images:
        write_png(Path("data/images", name), painted((64, 64), blue=(8, 8, 40, 56, 230)).permute(1, 2, 0).numpy())
    truth = instances() | {
        "images": [{"id": n, "file_name": name, "height": 64, "width": 64} for n, name in images[::order]],
        "annotations": [{"id": n, "image_id": n, "category_id": blue, "bbox": box} for n, box in boxes.items()],
    }
    Path("data/test.json").write_text(json.dumps(truth))
    for files in (["--run", "runs/coloured", "--save", "r.json"], ["--predictions", "r.json"]):
        own = ["--precision", "float32"] if "--run" in files else ["--ground-truth", "data/test.json"]
        result = evaluate("--metric", "ap", "--json", *files, *own)
        assert json.loads(result.stdout)["scores"]["box_ap50"]["value"] == pytest.approx(100 * 51 / 101 / 2)


def test_classes_in_another_order(run):
    """The model's numbers, not those of the data."""
    before = printed(evaluate("--metric", "ap", "--json", "--precision", "float32"))["scores"]
    other = instances(("green", "blue", "red"))
    swapped = dict(zip(CATEGORY_IDS, (20, 3, 7), strict=True))
    for one in other["annotations"] + other["categories"]:
        key = "category_id" if "category_id" in one else "id"
        one[key] = swapped[one[key]]
    (run.path.parent.parent / "data/test.json").write_text(json.dumps(other))
    assert printed(evaluate("--metric", "ap", "--json", "--precision", "float32"))["scores"] == before


def test_boxes_alone_where_the_data_has_no_masks(run):
    plain = instances()
    for one in plain["annotations"]:
        del one["segmentation"]
    (run.path.parent.parent / "data/test.json").write_text(json.dumps(plain))
    assert {
        name.split("_")[0] for name in printed(evaluate("--metric", "ap", "--json", "--precision", "float32"))["scores"]
    } == {"box"}
    evaluate("--metric", "ap", "--save", "r.json", "--precision", "float32")
    with open("r.json") as file:
        assert all("segmentation" in one for one in json.load(file)), "what the model drew is kept all the same"


def test_a_split_without_objects(run):
    (run.path.parent.parent / "data/test.json").write_text(json.dumps(instances(boxes={})))
    message = refused(evaluate("--run", "runs/coloured", "--metric", "ap", "--precision", "float32"))
    assert message.startswith(
        "runs/coloured/recipe.yaml: data.test: no objects; expected some to be found; see attnkit"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--split", "valid"],
            "runs/coloured/recipe.yaml: data: no valid images; expected a valid set; name one in the",
        ),
        (["--save", "data"], "--save data: is a folder; expected a file for results; name results.json in it"),
        (
            ["--sizes", "big"],
            "--sizes big: inference.short_sides[0]: expected an integer, got 'big'",
        ),
        (["--checkpoint", "no"], "no: no such file; expected weights of the run, such as "),
    ],
)
def test_mistakes(run, arguments, message):
    assert refused(evaluate("--metric", "ap", "--run", "runs/coloured", *arguments)).startswith(message)


def test_there_is_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(evaluate("--metric", "ap")).startswith(
        "runs: no finished detection run here; expected one made by attnkit tra"
    )
