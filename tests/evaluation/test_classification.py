"""attnkit evaluate of classes, through the real entry point: runs, files alone, and every mistake in one line."""

import csv
import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from typer.testing import CliRunner

from attnkit.cli import app
from attnkit.data.formats.class_list import read_classes
from attnkit.errors import AttnkitError
from attnkit.evaluation.request import METRICS
from attnkit.metrics.accuracy import wilson_interval
from attnkit.metrics.text import TEXT_METRICS
from attnkit.report import confusion_plot, picture_file
from tests.command import evaluate, refused
from tests.recipes.image_runs import CLASSES, colour_recipe, colour_run, write_picture

TEST_SET = {
    "blue/b.png": "blue", "green/g.png": "green", "red/r.png": "red", "red/s.png": "blue", "red/t.png": "red"
}  # fmt: skip
"""Pictures in the folder of their class, and the colour that they have: one of five is wrong."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder):
    """A finished run with a test set, in the working directory."""
    for colour in CLASSES:
        write_picture(folder / "data/train" / colour / "0.png", colour)
    for name, colour in TEST_SET.items():
        write_picture(folder / "data/test" / name, colour)
    return colour_run(folder / "runs/colours", colour_recipe(folder / "data"))


def table(result):
    assert result.exit_code == 0, result.output
    return [line.split("  ") for line in result.stdout.splitlines()]


# Runs


def test_the_newest_run(run):
    result = evaluate("--metric", "top1", "--metric", "top2")
    low, high = wilson_interval(4, 5)
    header, top1, top2 = result.stdout.splitlines()
    assert header.split("  ")[0] == "metric"
    assert "95 % interval (Wilson)" in header
    assert top1.split() == ["top1", "80.00", "%", f"{low:.2f}", "to", f"{high:.2f}", "4", "of", "5"]
    assert top2.startswith("top2    ")
    assert result.stderr == "using the newest run, runs/colours\n"


def test_without_metrics_the_run_says_what_is_usual(run):
    result = evaluate("--run", "runs/colours")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["metric", "top1", "ece"]
    assert "using the newest run, runs/colours" in evaluate().stderr


def test_scores_are_kept_beside_others(run):
    run.scores.write_text(json.dumps({"valid": {"top1": 1.5}, "test": {"loss": 2.5}}))
    evaluate("--metric", "top1", "--precision", "float32")
    kept = json.loads(run.scores.read_text())
    assert kept["valid"] == {"top1": 1.5}
    assert kept["test"]["loss"] == 2.5
    top1 = kept["test"]["top1"]
    assert (top1["value"], top1["right"], top1["images"]) == (80.0, 4, 5)
    assert (top1["weights"], top1["precision"]) == ("runs/colours/model.safetensors", "float32")


def test_json(run):
    printed = json.loads(evaluate("--json", "--per-class", "--batch-size", "2", "--device", "cpu").stdout)
    assert (printed["run"], printed["split"]) == ("runs/colours", "test")
    assert printed["scores"]["top1"]["value"] == 80.0
    assert 0 < printed["scores"]["ece"]["value"] < 100
    assert [one["class"] for one in printed["per_class"]] == ["red", "green", "blue"]
    red = printed["per_class"][0]
    assert (red["support"], red["predicted"], red["precision"]) == (3, 2, 100.0)
    assert red["recall"] == pytest.approx(200 / 3)


def test_classes_from_the_worst_to_the_best(run):
    lines = evaluate("--metric", "top1", "--per-class").stdout.splitlines()
    assert lines[2] == ""
    assert [line.split() for line in lines[3:]] == [
        ["class", "images", "recall", "precision", "F1"],
        ["red", "3", "66.67", "100.00", "80.00"],
        ["green", "1", "100.00", "100.00", "100.00"],
        ["blue", "1", "100.00", "50.00", "66.67"],
        ["mean", "of", "3", "5", "88.89", "83.33", "82.22"],
    ]


def test_only_so_many_rows(run):
    result = evaluate("--metric", "top1", "--per-class", "--rows", "1")
    assert [line.split()[0] for line in result.stdout.splitlines()[4:]] == ["red", "mean"]
    assert result.stderr.endswith("2 more classes; all of them by --rows 0\n")
    assert evaluate("--per-class", "--rows", "0").stdout.count("\n") == 9


@pytest.mark.parametrize("name", ["out/saved.csv", "out/saved.jsonl"])
def test_saved_predictions_score_the_same(run, name):
    first = evaluate("--metric", "top1", "--metric", "top2", "--metric", "ece", "--save", name)
    assert f"{name}: predictions of 5 images\n" in first.stderr
    again = evaluate(
        "--predictions", name, "--labels", "data/test", "--metric", "top1", "--metric", "top2", "--metric", "ece"
    )
    assert again.stdout == first.stdout
    assert again.stderr == ""


def test_what_classify_prints_is_scored(run):
    answers = CliRunner().invoke(app, ["classify", "data/test", "--json", "--top", "2"])
    (run.path / "answers.jsonl").write_text(answers.stdout)
    result = evaluate("--metric", "top1", "--predictions", str(run.path / "answers.jsonl"), "--labels", "data/test")
    assert table(result)[1][-1].strip() == "4 of 5"


def test_real_labels_of_a_run(run):
    (run.path / "real.json").write_text(
        json.dumps({"b.png": ["blue"], "g.png": [], "r.png": [1, 2], "s.png": [0, "blue"], "t.png": [0]})
    )
    result = evaluate("--real", str(run.path / "real.json"))
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["metric", "top1", "ece", "real"]
    assert result.stdout.splitlines()[-1].endswith("3 of 4")


@pytest.mark.parametrize("wrong", [3, -1, "brown", None])
def test_real_labels_of_classes_that_the_model_lacks(run, wrong):
    (run.path / "real.json").write_text(json.dumps([[wrong], [], [], [], []]))
    result = evaluate("--metric", "real", "--real", str(run.path / "real.json"))
    assert result.exit_code == 2
    assert f"real.json: there is no class {wrong!r}; expected a name, or a number below 3, the num" in result.stderr


def test_no_such_split(folder):
    recipe = colour_recipe(folder / "data")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"test": None})})
    for colour in CLASSES:
        write_picture(folder / "data/train" / colour / "0.png", colour)
    run = colour_run(folder / "runs/colours", recipe)
    assert refused(evaluate("--run", str(run.path))).startswith(
        f"{run.recipe}: data: no test images; expected a test set;"
    )


# Files alone


@pytest.fixture
def files(folder):
    """Labels of four images, and predictions in every form: two of them right, three in the first two."""
    (folder / "labels.csv").write_text('input,label\na.jpg,cat\nb.jpg,"dog, big"\nc.jpg,cat\nd.jpg,eel\n')
    rows = [
        ("b.jpg", "cat", "dog, big"),
        ("a.jpg", "cat", "eel"),
        ("d.jpg", "eel", "cat"),
        ("c.jpg", "eel", "dog, big"),
    ]
    answers = [
        {"input": name, "predictions": [{"class": one, "probability": 0.75}, {"class": two, "probability": 0.25}]}
        for name, one, two in rows
    ]
    (folder / "p.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    with (folder / "ranks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["input", "rank", "class", "probability"])
        for name, one, two in rows:
            writer.writerows([[name, 1, one, 0.75], [name, 2, two, 0.25]])
    (folder / "best.tsv").write_text("Input\tLabel\n" + "".join(f"{name}\t{one}\n" for name, one, _ in rows))
    (folder / "best.txt").write_text("".join(f"./{name} {one}\n" for name, one, _ in rows))
    (folder / "alone.txt").write_text("cat\ncat\neel\neel\n")
    return folder


@pytest.mark.parametrize("name", ["p.jsonl", "ranks.csv"])
def test_predictions_with_ranks(files, name):
    result = evaluate(
        "--predictions", name, "--labels", "labels.csv", "--metric", "top1", "--metric", "top2", "--metric", "ece"
    )
    rows = table(result)
    assert [row[-1].strip() for row in rows[1:]] == ["2 of 4", "3 of 4", "4"]
    assert rows[3][:2] == ["ece", "   25.00 %"] or "25.00 %" in result.stdout.splitlines()[3]


@pytest.mark.parametrize("name", ["best.tsv", "best.txt", "alone.txt"])
def test_one_prediction_per_image(files, name):
    result = evaluate("--predictions", name, "--labels", "labels.csv", "--per-class")
    lines = result.stdout.splitlines()
    assert lines[1].startswith("top1    50.00 %")
    assert lines[1].endswith("2 of 4")
    assert lines[2] == "", "there are no probabilities, and so no calibration error"
    assert [line.split()[0] for line in lines[4:]] == ["dog,", "cat", "eel", "mean"]


def test_numbers_of_classes(files):
    (files / "labels.txt").write_text("x/a.jpg 0\nx/b.jpg 1\nx/c.jpg 0\nx/d.jpg 2\n")
    (files / "p.txt").write_text("d.jpg\t2\nc.jpg\t1\nb.jpg\t1\na.jpg\t2\n")
    result = evaluate("--metric", "top1", "--predictions", "p.txt", "--labels", "labels.txt")
    assert result.stdout.splitlines()[1].endswith("2 of 4")
    named = [
        {"input": f"{name}.jpg", "class": one, "index": k}
        for name, one, k in zip("abcd", ["cat", "eel", "cat", "eel"], [0, 2, 0, 2], strict=True)
    ]
    (files / "named.jsonl").write_text("\n".join(map(json.dumps, named)))
    result = evaluate("--metric", "top1", "--predictions", "named.jsonl", "--labels", "labels.txt")
    assert result.stdout.splitlines()[1].endswith("3 of 4"), "labels are numbers, so numbers are compared"


def test_images_that_could_not_be_read_count_as_wrong(files):
    lines = (files / "p.jsonl").read_text().splitlines()
    lines[1] = json.dumps({"input": "a.jpg", "error": "a.jpg: broken"})
    (files / "p.jsonl").write_text("\n".join(lines))
    result = evaluate("--predictions", "p.jsonl", "--labels", "labels.csv", "--per-class")
    top1, ece = result.stdout.splitlines()[1:3]
    assert top1.endswith("1 of 4")
    assert ece.endswith("  3")
    assert result.stderr == (
        "p.jsonl: 1 images that could not be read: topK and real count them as wrong, the rest leaves them out\n"
    )


def test_real_labels_by_imagenet_names(files):
    """The third list is of an image that nobody classified."""
    (files / "real.json").write_text("[[1, 2], [], [0], [3]]")
    (files / "p.csv").write_text(
        "input,class,index\n"
        + "".join(f"v/ILSVRC2012_val_{n:08d}.JPEG,c{k},{k}\n" for n, k in [(4, 2), (1, 2), (2, 3)])
    )
    result = evaluate("--metric", "real", "--real", "real.json", "--predictions", "p.csv")
    assert result.stdout.splitlines()[1].endswith("1 of 2")
    assert result.stderr == ""


def test_real_labels_in_the_order_of_the_images(files):
    (files / "real.json").write_text('[["cat"], ["eel", "cat"], [], ["eel"]]')
    result = evaluate("--real", "real.json", "--metric", "real", "--predictions", "alone.txt")
    assert result.stdout.splitlines()[1].endswith("3 of 3")
    assert result.stderr == "real.json: taken in the order of the images, whose names are not ImageNet's\n"


def test_no_torch_for_files(files):
    code = (
        "import sys; from attnkit.cli import app\n"
        "app(['eval', '--metric', 'top1', '--metric', 'ece', '--predictions', 'p.jsonl', '--labels', 'labels.csv'], "
        "standalone_mode=False)\n"
        "sys.exit(any(name.split('.')[0] in ('torch', 'matplotlib') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("metric ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "bad: empty; expected lines of 'path class', a table with the columns input and label, or what attnkit"),
        ('{"input": "a.jpg"', "bad:1: no prediction (Expecting ',' delimiter"),
        ('{"input": "a.jpg"}', "bad:1: no prediction (neither a class nor an index); expected a line of attnkit"),
        ('{"input": "a.jpg", "class": "x"}\n{"class": "x"}', "bad:2: no prediction (no 'input'); expected a line of"),
        ('{"input": "a.jpg", "class": "x"}\n[]', "bad:2: no prediction (no object with an input); expected a line of"),
        ('{"input": "a.jpg", "index": -1}', "bad:1: no prediction (index -1); expected a line of attnkit classify"),
        ('{"input": "a", "class": "x", "probability": NaN}', "bad:1: no prediction (probability nan); expected a"),
        ('{"input": "a", "class": "x", "probability": "1"}', "bad:1: no prediction (probability '1'); expected a"),
        ('{"input": "a", "class": ["x"]}', "bad:1: no prediction (class ['x'], index None); expected a line of"),
        (
            '{"input": "a", "class": "x"}\n{"input": "a", "class": "x"}',
            "bad:2: 'a' is in bad:1 too; expected each",
        ),
        ("input,size\na,3", "bad:1: no column of classes; expected label or class beside input; name the columns"),
        ("input,label\na,x\nb,x,y", "bad:3: 3 columns, but line 1 names 2; expected as many; quote commas"),
        ("input,label\na,", "bad:2: no class (neither a class nor an index); expected a name or a number from 0, and"),
        ("input,label,probability\na,x,85%", "bad:2: no class (could not convert string to float: '85%'); expected"),
        ("input,label,probability\na,x,85", "bad:2: no class (probability 85.0); expected a name or a number from 0"),
        ("input,label\na,x\na,x", "bad:3: 'a' is in bad:2 too; expected each image once; remove one"),
        ("input,label,rank\na,x,1\na,y,3", "bad:3: rank 3; expected 2, best first, none left out; sort the file"),
        ("a.jpg x\nb.jpg", "bad:2: 'b.jpg'; expected a path and a class, as in line 1; fix the line, or lines of"),
        ("cat\na.jpg x", "bad:2: 'a.jpg x'; expected a class alone, as in line 1; fix the line"),
        ("cat\n\ncat", "bad:2: ''; expected a class alone, as in line 1; fix the line"),
    ],
)
def test_bad_predictions(files, content, message):
    (files / "bad").write_text(content)
    assert refused(evaluate("--metric", "top1", "--predictions", "bad", "--labels", "labels.csv")).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "cat\ncat\n",
            "p.jsonl: classes of 4 images, but other has 2; expected one prediction for each; see both files",
        ),
        (
            "a.jpg cat\nb.jpg cat\nd.jpg cat",
            "p.jsonl: classes of 4 images, but other has 3; expected one prediction for ",
        ),
        (
            "a.jpg cat\nb.jpg cat\nd.jpg cat\ne.jpg cat",
            "p.jsonl:4: 'c.jpg' has no label in other; expected a label for",
        ),
        (
            "a.jpg 0\nb.jpg 1\nc.jpg 0\nd.jpg 1",
            "other: classes such as '1', but those of p.jsonl are such as 'cat'; exp",
        ),
    ],
)
def test_files_that_do_not_belong_together(files, content, message):
    (files / "other").write_text(content)
    assert refused(evaluate("--metric", "top1", "--predictions", "p.jsonl", "--labels", "other")).startswith(message)


def test_the_image_without_a_prediction_is_named(files):
    with (files / "labels.csv").open("a") as file:
        file.write("e.jpg,cat\n")
    message = refused(evaluate("--predictions", "p.jsonl", "--labels", "labels.csv"))
    assert message.endswith("expected one prediction for each; 'e.jpg' stands in one of them only\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[0]", "real.json: not JSON ("),
        ("3", "real.json: neither of the two forms; expected a list of lists of classes, or an object from path to li"),
        ("[0, 1]", "real.json: neither of the two forms; expected a list of lists of classes, or an object from path"),
        (
            "[[0]]",
            "real.json: lists for 1 images, but there are 4, such as 'b.jpg'; expected ImageNet's file names, or",
        ),
        ('{"a.jpg": [0]}', "real.json: nothing about 'b.jpg'; expected a list of classes for each image; see the file"),
        (
            "[[0], [3], [], []]",
            "real.json: class 0 is a number, but the predictions have names only; expected numbers ",
        ),
        (
            "[[0.5], [], [], []]",
            "real.json: there is no class 0.5; expected a name, or a number below 3, the number of",
        ),
    ],
)
def test_bad_real_labels(files, content, message):
    (files / "real.json").write_text(content)
    result = evaluate("--metric", "real", "--real", "real.json", "--predictions", "p.jsonl", "--labels", "labels.csv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--metric", "top0"],
            "--metric: there is no 'top0'; expected bleu, chrf, ter, top1, top5, ece, real, miou, ",
        ),
        (
            ["--metric", "bleu", "--metric", "top1"],
            "--metric top1: is for classification, but --metric bleu for transl",
        ),
        (
            ["--metric", "top1", "--hyp", "x"],
            "--hyp: is for translation, but --metric top1 for classification; expected",
        ),
        (
            ["--real", "x", "--beam-size", "2"],
            "--real: is for classification, but --beam-size for translation; expected",
        ),
        (["--metric", "top1"], "runs: no finished classification run here; expected one made by attnkit train"),
        (
            ["--metric", "real"],
            "--metric real: needs ImageNet-ReaL's labels; expected their file; add --real real.json",
        ),
        (["--rows", "3"], "--rows: says how long --per-class is; expected that too; add it"),
        (["--labels", "x"], "--labels: nothing to compare with; expected --predictions too; add it"),
        (
            ["--predictions", "p.jsonl"],
            "--predictions: nothing to compare with; expected the true classes too; add --l",
        ),
        (
            ["--predictions", "p.jsonl", "--real", "x", "--per-class"],
            "--predictions: nothing to compare with; expected",
        ),
        (["--predictions", "p.jsonl", "--labels", "x", "--save", "y.csv"], "--predictions: scores a file, no run; exp"),
        (["--predictions", "none", "--labels", "x"], "none: no such file; looked in"),
        (
            ["--predictions", "p.jsonl", "--labels", "runs"],
            "runs: no images in folders; expected a folder of images pe",
        ),
        (["--metric", "top1", "--save", "x.txt"], "--save x.txt: no known ending; expected .csv or .jsonl; rename it"),
        (
            ["--metric", "top1", "--confusion", "x.gif"],
            "--confusion x.gif: no known ending; expected .png, .svg, .pdf,",
        ),
        (
            ["--metric", "top1", "--precision", "half"],
            "--precision: there is no 'half'; expected auto, float32 or bflo",
        ),
        (
            ["--metric", "top1", "--run", "runs/text"],
            "runs/text: a translation run; expected a classification run; nam",
        ),
    ],
)
def test_mistakes(files, arguments, message):
    (files / "runs/text").mkdir(parents=True)
    (files / "runs/text/recipe.yaml").write_text("task: translation\n")
    assert refused(evaluate(*arguments)).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "top3"], "--metric top3: p.jsonl names 2 classes per image; expected at most top2; ask for that"),
        (["--predictions", "best.txt", "--metric", "ece"], "--metric ece: best.txt has no probabilities; expected one"),
    ],
)
def test_metrics_that_the_file_is_not_enough_for(files, arguments, message):
    assert refused(evaluate("--predictions", "p.jsonl", "--labels", "labels.csv", *arguments)).startswith(message)


def test_the_metrics_that_are_listed_are_those_of_the_package():
    assert METRICS["translation"] == TEXT_METRICS


def test_folder_classes_are_numbered_as_sorted(run):
    rows = read_classes("data/test")
    assert [(row.input, row.classes[0].name, row.classes[0].index) for row in rows[:3]] == [
        ("data/test/blue/b.png", "blue", 0), ("data/test/green/g.png", "green", 1), ("data/test/red/r.png", "red", 2)
    ]  # fmt: skip


# The confusion matrix


def test_confusion_as_numbers(run):
    assert "confusion matrix of 3 classes" in evaluate("--metric", "top1", "--confusion", "out/c.csv").stderr
    with open("out/c.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["truth \\ predicted", "red", "green", "blue"],
            ["red", "2", "0", "1"],
            ["green", "0", "1", "0"],
            ["blue", "0", "0", "1"],
        ]


def test_without_matplotlib_one_line_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr(picture_file, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    message = refused(evaluate("--metric", "top1", "--run", "runs/colours", "--confusion", "c.png"))
    assert message == (
        "--confusion c.png: drawing needs matplotlib, which is not installed; expected it; "
        "pip install 'attnkit[plot]', or name a .csv file\n"
    )
    picture_file.check_picture("--confusion", run.path / "c.csv")


def test_confusion_as_a_picture(run):
    pytest.importorskip("matplotlib")
    assert evaluate("--metric", "top1", "--confusion", "c.png").exit_code == 0
    assert (run.path.parent.parent / "c.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_drawn():
    pytest.importorskip("matplotlib")
    confusion = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 2]])
    axes = confusion_plot.draw_confusion(confusion, ["a", "$b_1$", "a very long name of a class, indeed"]).axes[0]
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), [[75, 25, 0], [0, 0, 0], [50, 0, 50]])
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "3"), ((1, 0), "1"), ((0, 2), "2"), ((2, 2), "2")
    }  # fmt: skip
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["a", "$b_1$", "a very long …lass, indeed"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")
    assert axes.get_title() == "5 of 8 images right (62.50 %)"


@pytest.mark.parametrize(("count", "numbers", "names"), [(20, 20, 20), (21, 0, 21), (150, 0, 150), (151, 0, 76)])
def test_many_classes_stay_readable(count, numbers, names):
    pytest.importorskip("matplotlib")
    axes = confusion_plot.draw_confusion(np.eye(count, dtype=np.int64), [f"class {k}" for k in range(count)]).axes[0]
    assert len(axes.texts) == numbers
    assert len(axes.get_yticks()) == names
    assert axes.get_yticklabels()[-1].get_text() == f"class {count - 1}"


def test_letters_that_the_font_lacks_are_no_warning(tmp_path):
    pytest.importorskip("matplotlib")
    confusion_plot.write_confusion(tmp_path / "c.svg", np.eye(2, dtype=np.int64), ["名前", "b"])
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(
        AttnkitError, match=r"c: no known ending; expected .png, .svg, .pdf, .csv; rename it, to confus"
    ):
        picture_file.check_picture("--confusion", tmp_path / "c")
