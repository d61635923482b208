"""attnkit evaluate of two files of classes, through the real entry point."""

import json
import subprocess
import sys

import pytest

from tests.command import evaluate, refused, table


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
        (["--metric", "top3"], "--metric top3: p.jsonl names 2 classes per image; expected at most top2; ask for that"),
        (["--predictions", "best.txt", "--metric", "ece"], "--metric ece: best.txt has no probabilities; expected one"),
    ],
)
def test_metrics_that_the_file_is_not_enough_for(files, arguments, message):
    assert refused(evaluate("--predictions", "p.jsonl", "--labels", "labels.csv", *arguments)).startswith(message)
