"""attnkit data check of text and of images, through the command line."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from attnkit.cli import app
from tests.command import attnkit

RECIPE = """\
task: classification
name: mine
data: {format: image_folder, path: photos, hold_back: {valid: 0.2, test: 0.2}}
image: {size: 32}
model: {name: lenet5}
train: {steps: 5}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)
    for name, colour in (("daisy", 60), ("rose", 120)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (130 + number, 110), (colour, 5 * number, 7)).save(
                tmp_path / f"photos/{name}/{number}.png"
            )
    (tmp_path / "my.yaml").write_text(RECIPE)
    return tmp_path


def check(*arguments):
    return CliRunner().invoke(app, ["data", "check", *arguments])


def test_sound_images(folder):
    result = check("my.yaml")
    assert result.exit_code == 0, result.output
    assert "train: 24 images of 2 classes, 0 broken, 1" in result.stdout
    assert "    daisy       12\n    rose        12\n" in result.stdout
    assert result.stderr.endswith("0 errors, 0 warnings\n")


def test_as_json(folder):
    report = json.loads(check("my.yaml", "--json").stdout)
    assert report["ok"]
    assert report["splits"]["valid"]["per_class"] == {"daisy": 4, "rose": 4}


def test_quick_does_not_decode(folder):
    path = folder / "photos/rose/3.png"
    Image.effect_noise((200, 200), 50).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    assert f"{path}: cannot be decoded" in check("my.yaml").stdout
    assert "cannot be decoded" not in check("my.yaml", "--quick").stdout


def test_missing_images_are_an_error(folder):
    result = check("my.yaml", "--set", "data.path=nowhere")
    assert result.exit_code == 2
    assert result.stdout.startswith("error: nowhere: no such file")
    assert result.stderr.endswith("1 error, 0 warnings\n")


def test_many_classes_in_one_line(folder):
    for number in range(21):
        (folder / "photos" / f"c{number:02}").mkdir()
        for image in range(10):
            Image.new("RGB", (120, 120), (number, 9 * image, 200)).save(folder / f"photos/c{number:02}/{image}.png")
    assert "    6 of c00 to 12 of rose\n" in check("my.yaml").stdout


def test_data_check(folder):
    result = attnkit("data", "check", "translation/toy")
    assert result.exit_code == 0
    assert "train: 4,000 pairs" in result.stdout
    assert "0.000% unknown" in result.stdout
    assert result.stderr.splitlines()[0] == "learning characters from the training text"


def test_data_check_of_missing_files(folder):
    result = attnkit("data", "check", "translation/multi30k_en_de", "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert not report["ok"]
    assert {finding["what"] for finding in report["findings"] if finding["severity"] == "error"} == {"no such file"}


def test_data_check_finds_that_the_vocabulary_is_too_large(folder):
    (folder / "a.tsv").write_text("".join(f"{n} a\tb {n}\n" for n in range(50)))
    (folder / "my.yaml").write_text("name: a\ntrain: {steps: 1}\ndata: {format: tsv, train: a.tsv}\n")
    result = attnkit("data", "check", "my.yaml", "--json", "--set", "tokenizer.vocab_size=9000")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["findings"][0]
    assert error["severity"] == "error"
    assert "9000" in error["what"]
    assert attnkit("data", "check", "my.yaml", "--json", "--no-tokens").exit_code == 0
