"""attnkit evaluate of detections in COCO's files, through the real entry point, and every mistake in one line."""

import copy
import gzip
import json

import pytest

from attnkit.data.formats.outlines import code_of, runs_of
from tests.command import evaluate, printed, refused
from tests.evaluation.lecture_files import FILES, lecture, with_masks, write
from tests.metrics.coco_sets import outline, pycocotools_eval, random_set


@pytest.fixture
def two(folder):
    write(folder, *lecture())
    return folder


@pytest.fixture
def masks(folder):
    write(folder, *with_masks(*lecture()))
    return folder


# Scores


def test_the_lecture(two):
    result = evaluate("--metric", "ap", *FILES)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0][:5] == ["metric", "IoU", "objects", "detections", "box"]
    assert "95 % interval (bootstrap)" in result.stdout
    assert rows[1:4] == [
        ["AP", "0.50:0.95", "all", "100", "63.22", "%", "-"],
        ["AP50", "0.50", "all", "100", "63.22", "%", "-"],
        ["AP75", "0.75", "all", "100", "63.22", "%", "-"],
    ]
    assert rows[4:7] == [
        ["APs", "0.50:0.95", "small", "100", "63.22", "%", "-"],
        ["APm", "0.50:0.95", "medium", "100", "-", "-"],
        ["APl", "0.50:0.95", "large", "100", "-", "-"],
    ]
    assert rows[7:10] == [
        ["AR1", "0.50:0.95", "all", "1", "20.00", "%", "-"],
        ["AR10", "0.50:0.95", "all", "10", "80.00", "%", "-"],
        ["AR100", "0.50:0.95", "all", "100", "80.00", "%", "-"],
    ]
    assert result.stderr == ""


@pytest.mark.parametrize("metric", [(), ("--metric", "ap")])
def test_they_are_pycocotools(folder, metric):
    instances, results = random_set(5, masks=True, detections=15)
    write(folder, instances, results)
    scores = printed(evaluate(*FILES, *metric, "--json"))["scores"]
    for kind in ("box", "mask"):
        expected = [None if one < 0 else 100 * one for one in pycocotools_eval(instances, results, kind).stats]
        found = [one["value"] for name, one in scores.items() if name.startswith(kind)]
        assert found == pytest.approx(expected, abs=1e-10)
    assert list(scores)[:4] == ["box_ap", "box_ap50", "box_ap75", "box_aps"]
    assert list(scores)[-1] == "mask_arl"
    assert scores["mask_ap"]["low"] < scores["mask_ap"]["value"] < scores["mask_ap"]["high"]


def test_images_in_any_order_and_files_that_are_packed(folder):
    instances, results = random_set(5)
    write(folder, instances, results)
    straight = printed(evaluate(*FILES, "--json"))["scores"]
    instances["images"].reverse()
    (folder / "truth.json").write_bytes(gzip.compress(json.dumps(instances).encode()))
    assert printed(evaluate(*FILES, "--json"))["scores"] == straight


def test_masks_of_either_kind(masks):
    """A polygon, a compressed code and a list of runs are the same; without boxes the masks have theirs."""
    instances, results = lecture()
    assert printed(evaluate(*FILES, "--json"))["scores"]["mask_ap"]["value"] == pytest.approx(
        100 * (41 + 40 * 4 / 7) / 101
    )
    first = printed(evaluate(*FILES, "--json"))
    for n, one in enumerate(with_masks(instances, results)[1]):
        runs = runs_of(one["segmentation"], 100, 120).tolist()
        counts = code_of(one["segmentation"], 100, 120)["counts"].decode() if n % 2 else runs
        one["segmentation"] = {"size": [100, 120], "counts": counts}
    write(masks, instances, results)
    assert printed(evaluate(*FILES, "--json")) == first
    for one in results:
        del one["bbox"]
    write(masks, instances, results)
    assert printed(evaluate(*FILES, "--json"))["scores"]["mask_ap"] == first["scores"]["mask_ap"]
    assert printed(evaluate(*FILES, "--json"))["scores"]["box_ap50"]["value"] == pytest.approx(
        first["scores"]["box_ap50"]["value"]
    )


BOXES_ALONE = "truth.json: {} of 5 objects have an outline; expected nine tenths or more to score masks; boxes alone a"


@pytest.mark.parametrize(
    ("which", "without", "note"),
    [
        ("truth", 5, BOXES_ALONE.format(0)),
        ("truth", 1, BOXES_ALONE.format(4)),
        ("results", 7, "results.json: none of 7 detections has a segmentation; boxes alone are scored\n"),
    ],
)
@pytest.mark.parametrize("boxed", [True, False])
def test_boxes_alone_where_one_file_has_too_few_masks(folder, which, without, note, boxed):
    """Detections without boxes have those of their masks all the same."""
    instances, results = with_masks(*lecture())
    for one in (instances["annotations"] if which == "truth" else results)[:without]:
        one["segmentation"] = []
    if not boxed and which == "truth":
        for one in results:
            del one["bbox"]
    write(folder, instances, results)
    result = evaluate(*FILES, "--json")
    assert result.stderr.startswith(note)
    assert result.stderr.count("\n") == 1
    scores = json.loads(result.stdout)["scores"]
    assert {name.split("_")[0] for name in scores} == {"box"}
    assert scores["box_ap50"]["value"] == pytest.approx(100 * (41 + 40 * 4 / 7) / 101)


def ten():
    """Ten objects of one class that are found, and a crowd, all with masks."""
    instances, results = lecture()
    instances["annotations"] = [
        {
            "id": i + 1,
            "image_id": 4,
            "category_id": 3,
            "bbox": [12 * i, 20, 10, 10],
            "area": 100,
            "iscrowd": int(i == 0),
        }
        for i in range(10)
    ] + [{"id": 11, "image_id": 4, "category_id": 3, "bbox": [0, 60, 10, 10], "area": 100, "iscrowd": 0}]
    results = [
        {"image_id": 4, "category_id": 3, "bbox": one["bbox"], "score": 1 - one["id"] / 20}
        for one in instances["annotations"][1:]
    ]
    return with_masks(instances, results)


def check_that_the_sixth_mask_is_wrong(note):
    """All boxes are right, and of the masks five before it and four after it; one line says why."""
    result = evaluate(*FILES, "--json")
    assert result.stderr.startswith(note)
    assert result.stderr.count("\n") == 1
    scores = json.loads(result.stdout)["scores"]
    assert scores["box_ap50"]["value"] == pytest.approx(100)
    assert scores["mask_ap50"]["value"] == pytest.approx(100 * (51 + 40 * 0.9) / 101)


@pytest.mark.parametrize(
    ("missing", "note"),
    [
        (
            None,
            "1 annotations have no segmentation, such as 7; their masks are empty, so that nothing finds them in mask",
        ),
        (
            [],
            "1 annotations have no segmentation, such as 7; their masks are empty, so that nothing finds them in mask",
        ),
        (
            [[]],
            "1 annotations have no segmentation, such as 7; their masks are empty, so that nothing finds them in mas",
        ),
        (
            [[1, 2, 3, 4], [5]],
            "annotation 7: a polygon of 4 numbers; expected 6 or more; 1 outlines like it cover noth",
        ),
        (
            [{"a": 1}],
            'annotation 7: {"a": 1} for a polygon; expected 6 or more numbers; 1 outlines like it cover nothi',
        ),
    ],
)
def test_an_object_without_an_outline_is_missed(folder, missing, note):
    """Nine of ten have one, which is enough; the sixth detection is wrong then and the last four are after it."""
    instances, results = ten()
    instances["annotations"][6]["segmentation"] = missing
    write(folder, instances, results)
    check_that_the_sixth_mask_is_wrong(f"truth.json: {note}")


def test_a_crowd_without_an_outline(folder):
    """It does not count among the nine tenths. An object without area has that of its box."""
    instances, results = ten()
    for row in (0, 6):
        del instances["annotations"][row]["segmentation"], instances["annotations"][row]["area"]
    write(folder, instances, results)
    result = evaluate(*FILES)
    assert result.stderr.splitlines()[1].startswith("truth.json: 2 annotations have no segmentation, such as 1; their")
    assert printed_after(result, "APs").split()[4:6] + printed_after(result, "APl").split()[4:6] == [
        "100.00",
        "%",
        "-",
        "-",
    ]


@pytest.mark.parametrize(
    ("missing", "note"),
    [
        (
            None,
            "1 of 10 detections have no segmentation, such as detection 6; their masks are empty, and wrong in mask ",
        ),
        ([[1, 2, 3, 4]], "detection 6: a polygon of 4 numbers; expected 6 or more; 1 outlines like it cover nothing"),
        (
            [{"a": 1}],
            'detection 6: {"a": 1} for a polygon; expected 6 or more numbers; 1 outlines like it cover nothin',
        ),
        (["abc"], 'detection 6: "abc" for a polygon; expected 6 or more numbers; 1 outlines like it cover nothing'),
    ],
)
def test_a_detection_without_a_mask_is_wrong(folder, missing, note):
    instances, results = ten()
    results[5]["segmentation"] = missing
    write(folder, instances, results)
    check_that_the_sixth_mask_is_wrong(f"results.json: {note}")


def test_classes(two):
    instances, results = lecture()
    instances["annotations"][4]["category_id"] = 7
    write(two, instances, results)
    result = evaluate(*FILES, "--metric", "ap", "--per-class")
    assert [line.split() for line in result.stdout.splitlines()[14:]] == [
        ["class", "objects", "box", "AP", "box", "AP50"],
        ["pear", "1", "0.00", "0.00"],
        ["apple", "4", "78.78", "78.78"],
        ["mean", "of", "2", "5", "39.39", "39.39"],
    ]
    fewer = evaluate(*FILES, "--metric", "ap", "--per-class", "--rows", "1")
    assert [line.split()[0] for line in fewer.stdout.splitlines()[15:]] == ["pear", "mean"]
    assert fewer.stderr == "1 more classes; all of them by --rows 0\n"
    ap = pytest.approx(100 * (51 + 50 * 4 / 7) / 101)
    assert printed(evaluate(*FILES, "--json"))["per_class"][1] == {
        "class": "apple", "index": 0, "objects": 4, "box_ap": ap, "box_ap50": ap
    }  # fmt: skip


def test_a_class_that_is_not_there(two):
    result = evaluate(*FILES, "--metric", "ap", "--per-class", "--errors")
    assert [line.split() for line in result.stdout.splitlines()[15:18]] == [
        ["apple", "5", "63.22", "63.22"],
        ["pear", "0", "-", "-"],
        ["mean", "of", "1", "5", "63.22", "63.22"],
    ]


def test_errors(masks):
    result = evaluate(*FILES, "--metric", "ap", "--errors")
    assert [line.split() for line in result.stdout.splitlines()[14:]] == [
        ["error", "box", "costs", "AP50", "mask", "costs", "AP50"],
        ["location", "0", "0.00", "0", "0.00"],
        ["class", "0", "0.00", "0", "0.00"],
        ["duplicate", "0", "0.00", "0", "0.00"],
        ["background", "3", "16.97", "3", "16.97"],
        ["both", "0", "0.00", "0", "0.00"],
        ["missed", "1", "15.56", "1", "15.56"],
    ]
    errors = printed(evaluate(*FILES, "--errors", "--json"))["errors"]
    assert errors["mask"][3] == {"name": "background", "count": 3, "cost": pytest.approx(16.97, abs=0.01)}
    assert "errors" not in printed(evaluate(*FILES, "--json"))


def test_more_objects_than_detections_that_count(two):
    result = evaluate(*FILES, "--metric", "ap", "--max-detections", "4")
    assert result.stderr == (
        "1 images have more than 4 objects of a class (up to 5), but no more detections count: 1 of 5 objects cannot "
        "be found; --max-detections 5 counts them all\n"
    )
    assert result.stdout.splitlines()[8].split()[:4] == ["AR4", "0.50:0.95", "all", "4"]
    assert printed(evaluate(*FILES, "--max-detections", "500", "--json"))["max_detections"] == 500


def test_what_is_strange_is_said(two):
    instances, results = lecture()
    for one in instances["annotations"]:
        del one["area"]
    instances["annotations"].append({"id": 9, "image_id": 5, "category_id": 3, "bbox": [0, 0, 1, 1]})
    for one in results:
        one["bbox"] = [one["bbox"][0], one["bbox"][1], 130, 130]
    write(two, instances, results)
    result = evaluate(*FILES, "--metric", "ap")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "truth.json: 1 annotations are of images that it does not list, such as 5; they are left out",
        "results.json: 100 % of the boxes reach beyond their images; expected left, top, width and height; write these "
        "if they are corners",
        "truth.json: 5 annotations have no area, which says how large an object is; that of the mask, or else of the "
        "box, is taken",
    ]
    assert printed_after(result, "APs").startswith("APs     0.50:0.95  small    100         0.00 %")


def printed_after(result, name):
    return next(line for line in result.stdout.splitlines() if line.startswith(name))


def test_nothing_was_found(two):
    (two / "results.json").write_text("[]")
    assert printed(evaluate(*FILES, "--json"))["scores"]["box_ap"]["value"] == 0
    assert evaluate(*FILES, "--curves", "c.csv").exit_code == 0


def test_files_are_told_by_the_truth_beside_them(two):
    assert printed_after(evaluate(*FILES), "AP50")


# Curves


def test_curves(masks):
    pytest.importorskip("matplotlib")
    result = evaluate(*FILES, "--metric", "ap", "--curves", "out/curves.png")
    assert result.stderr == "out/curves.png: precision over recall of 2 classes\n"
    assert (masks / "out/curves.png").read_bytes()[:4] == b"\x89PNG"


# Mistakes


def changed(number, **values):
    """The lecture's files with other values in one detection; None takes a value out."""

    def change(instances, results):
        one = results[number]
        one.update(values)
        for name in [name for name, value in one.items() if value is None]:
            del one[name]

    return change


def annotation(number, **values):
    def change(instances, results):
        instances["annotations"][number].update(values)

    return change


FORM = "expected a list of detections, each with image_id, category_id, score and bbox (left, top, width, height) or se"
BOX = "expected four numbers: left, top, width and height; fix the file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(2, score=None), "results.json: detection 3: score null; expected a number; fix the file"),
        (changed(2, score="0.5"), 'results.json: detection 3: score "0.5"; expected a number; fix the file'),
        (changed(0, score=10**400), "results.json: detection 1: score 1000000000000000"),
        (changed(0, score=float("nan")), "results.json: detection 1: score NaN; expected a number; fix the file"),
        (changed(1, bbox=None), f"results.json: detection 2: bbox null; {BOX}"),
        (changed(1, bbox=[1, 2, 3]), f"results.json: detection 2: bbox [1, 2, 3]; {BOX}"),
        (changed(1, bbox=[1, 2, -3, 4]), f"results.json: detection 2: bbox [1, 2, -3, 4]; {BOX}"),
        (changed(1, bbox=[1, 2, "3", 4]), f'results.json: detection 2: bbox [1, 2, "3", 4]; {BOX}'),
        (
            changed(6, image_id=5),
            "results.json: detection 7: image_id 5 is not among the 1 images of truth.json; expected one of its ids, "
            "such as 4; give the truth of these images, or write its ids",
        ),
        (changed(6, image_id="4"), 'results.json: detection 7: image_id "4" is not among the 1 images of truth.json; '),
        (changed(6, image_id=[4]), "results.json: detection 7: image_id [4] is not among the 1 images of truth.json; "),
        (changed(6, image_id=None), "results.json: detection 7: {"),
        (
            changed(0, category_id=0),
            "results.json: detection 1: category_id 0 is not among the 2 categories of truth.json; expected one of its "
            "ids, such as 3, 7; write these ids, and not numbers of classes from 0",
        ),
        (
            changed(0, category_id=None),
            "results.json: detection 1: category_id null is not among the 2 categories of t",
        ),
        (
            annotation(1, category_id=4),
            "truth.json: annotation 2 is of category 4, which is not among the 2 categories",
        ),
        (
            annotation(1, bbox=None),
            "truth.json: annotation 2: no bbox and no segmentation; expected it in each; fix th",
        ),
        (
            annotation(1, bbox=[1, 2, 3]),
            "truth.json: annotation 2: bbox [1.0, 2.0, 3.0]; expected four numbers: left, ",
        ),
        (
            lambda instances, results: [one.update(iscrowd=1) for one in instances["annotations"]],
            "truth.json: no objects; expected annotations that are no crowds; correct the path",
        ),
        (
            lambda instances, results: instances.pop("categories"),
            "truth.json: not as COCO's json is (KeyError: 'categories'); expected images, annotations and categories, ",
        ),
        (
            lambda instances, results: instances.update(images=[], annotations=[]),
            "truth.json: lists no images; expected those that were detected on; correct the path",
        ),
        (
            lambda instances, results: instances["annotations"][0].update(segments_info=[], file_name="a.png"),
            "truth.json: a panoptic json; expected one of instances, as instances_val2017.json; give the instances",
        ),
        (
            annotation(1, image_id=float("inf")),
            "truth.json: annotation 2 has the image_id Infinity; expected the id of an image, a whole number; fix the",
        ),
        (
            changed(6, image_id=float("inf")),
            "results.json: detection 7: image_id Infinity is not among the 1 images of truth.json; expected one of its",
        ),
    ],
)
def test_what_is_wrong_in_files(folder, change, message):
    instances, results = copy.deepcopy(lecture())
    change(instances, results)
    write(folder, instances, results)
    assert refused(evaluate("--metric", "ap", *FILES)).startswith(message)


OUTLINE = outline([0, 0, 10, 10])
CODE = {"size": [100, 120], "counts": "T"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed(0, segmentation=CODE),
            "results.json: detection 1: a segmentation that cannot be drawn (ValueError: its runs cover 0 pixels); exp",
        ),
        (
            changed(0, segmentation={"size": [120, 100], "counts": [12000]}),
            "results.json: detection 1: a segmentation that cannot be drawn (ValueError: its size is [120, 100]); "
            "expected polygons, or a run-length code of 100 x 120; fix the file",
        ),
        (
            changed(0, segmentation={"size": [100, 120]}),
            "results.json: detection 1: a segmentation that cannot be drawn (KeyError: 'counts'); expected polygons",
        ),
        (
            changed(4, segmentation={"size": [100, 120], "counts": [10**30]}),
            "results.json: detection 5: a segmentation that cannot be drawn (ValueError: a run has over 64 bits); expe",
        ),
        (
            changed(4, segmentation={"size": [100, 120], "counts": [2**62] * 3 + [2**62 + 12000]}),
            "results.json: detection 5: a segmentation that cannot be drawn (ValueError: its runs cover 18446744073709",
        ),
        (
            annotation(4, segmentation={"size": [1, 2], "counts": [2]}),
            "truth.json: annotation 5: a segmentation that cannot be drawn (ValueError: its size is [1, 2]); expected",
        ),
        (
            annotation(4, segmentation=CODE),
            "truth.json: annotation 5: a segmentation that cannot be drawn (ValueError: its runs cover 0 pixels); exp",
        ),
        (
            annotation(4, segmentation={"size": [1, 2], "counts": "2"}),
            "truth.json: annotation 5: a segmentation that cannot be drawn (ValueError: its size is [1, 2]); expected",
        ),
        (
            annotation(4, segmentation={"size": [100, 120], "counts": [10**30]}),
            "truth.json: annotation 5: a segmentation that cannot be drawn (ValueError: a run has over 64 bits); expec",
        ),
        (
            lambda instances, results: instances["images"].append(
                {"id": 9, "file_name": "b.jpg", "height": 10**5, "width": 10**5}
            ),
            "truth.json: image 9: 100000 x 100000 pixels; expected below 2^32 of them, for masks are drawn on it; fix",
        ),
    ],
)
def test_what_is_wrong_in_masks(folder, change, message):
    instances, results = copy.deepcopy(with_masks(*lecture()))
    change(instances, results)
    write(folder, instances, results)
    assert refused(evaluate("--metric", "ap", *FILES)).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": []}', f"results.json: an object, as the truth is; {FORM}"),
        (
            "[{]",
            "results.json: not JSON (Expecting property name enclosed in double quotes: line 1 column 3 (char 2)); ",
        ),
        ("", "results.json: not JSON (Expecting value: line 1 column 1 (char 0)); expected a list of detections"),
        ("7", f"results.json: not a list; {FORM}"),
        ("[7]", f"results.json: detection 1: 7 has no image_id; {FORM}"),
        ('[[{"image_id": 4}]]', "results.json: detection 1: category_id null is not among"),
        ("\xff", "results.json: not JSON ("),
    ],
)
def test_results_of_another_form(two, content, message):
    (two / "results.json").write_text(content, encoding="latin-1")
    assert refused(evaluate("--metric", "ap", *FILES)).startswith(message)


@pytest.mark.parametrize("name", ["truth", "results"])
def test_what_is_nested_too_deeply(two, name):
    text = (two / f"{name}.json").read_text()
    (two / f"{name}.json").write_text(text.replace('"bbox": ', '"more": ' + "[" * 3000 + "]" * 3000 + ', "bbox": ', 1))
    wrong = "not as COCO's json is (RecursionError: maximum" if name == "truth" else "not JSON (maximum"
    assert refused(evaluate("--metric", "ap", *FILES)).startswith(f"{name}.json: {wrong} recursion depth exceeded")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--predictions", "results.json"],
            "--predictions: nothing to compare with; expected the truth too; add --grou",
        ),
        (
            ["--ground-truth", "truth.json"],
            "--ground-truth: nothing to compare with; expected --predictions too; add it",
        ),
        (
            [*FILES, "--sizes", "640"],
            "--predictions: scores detections, no run; expected no --run, --checkpoint, --sav",
        ),
        (
            [*FILES, "--save", "x.json"],
            "--predictions: scores detections, no run; expected no --run, --checkpoint, --s",
        ),
        (
            [*FILES, "--flip"],
            "--predictions: scores detections, no run; expected no --run, --checkpoint, --save, --prec",
        ),
        (
            [*FILES, "--max-detections", "0"],
            "--max-detections 0: must be at least 1\n",
        ),
        (
            [*FILES, "--curves", "x.gif"],
            "--curves x.gif: no known ending; expected .png, .svg, .pdf, .csv; rename it, ",
        ),
        (
            [*FILES, "--metric", "miou"],
            "--metric miou: is for segmentation, but --metric ap for detection; expected on",
        ),
        (["--predictions", "no.json", "--ground-truth", "truth.json"], "no.json: no such file; looked in "),
        (["--predictions", "results.json", "--ground-truth", "no.json"], "no.json: no such file; looked in "),
    ],
)
def test_options_that_do_not_go_together(two, arguments, message):
    assert refused(evaluate("--metric", "ap", *arguments)).startswith(message)
