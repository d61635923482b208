"""attnkit recipe new translation: through the command line, on files."""

import gzip
import random
import subprocess
import sys
from string import ascii_letters

import pytest

from attnkit import recipe_file
from attnkit.data.open import OpenedData
from attnkit.data.text.check import check_parallel_text
from attnkit.new_recipe.translation_size import SideSize, TextSize
from attnkit.tokenizers.build import build_tokenizer
from tests.command import attnkit, refused

ENGLISH = ["the", "dog", "sees", "a", "small", "house", "in", "red", "light", "while", "my", "old", "friend", "sings"]
GERMAN = [
    "der",
    "Hund",
    "sieht",
    "ein",
    "kleines",
    "Haus",
    "im",
    "roten",
    "Licht",
    "während",
    "mein",
    "alter",
    "Freund",
]


def write_pairs(folder, name, count, seed=1):
    """Random sentences; every seventh source repeats an earlier one in capitals."""
    draw = random.Random(seed)
    src = [" ".join(draw.choices(ENGLISH, k=draw.randint(4, 9))) + "." for _ in range(count)]
    src = [src[draw.randrange(number)].upper() if number % 7 == 6 else line for number, line in enumerate(src)]
    tgt = [" ".join(draw.choices(GERMAN, k=draw.randint(4, 9))) + "." for _ in range(count)]
    (folder / f"{name}.en").write_text("".join(f"{line}\n" for line in src), encoding="utf-8")
    (folder / f"{name}.de").write_text("".join(f"{line}\n" for line in tgt), encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_pairs(tmp_path, "train", 1300)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)
    return tmp_path


def new(*arguments, task="translation"):
    return attnkit("recipe", "new", task, *arguments)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_from_two_files(folder):
    result = new("--src", "train.en", "--tgt", "train.de")
    assert (result.exit_code, result.stdout) == (0, "en_de.yaml\n")
    splits = [f"en_de.{split}.{side}" for split in ("test", "train", "valid") for side in ("de", "en")]
    assert names(folder) == sorted([*splits, "en_de.yaml", "train.de", "train.en"])
    recipe = recipe_file.load("en_de.yaml")
    assert recipe.name == "en_de"
    assert recipe.model.embed_dim == 128
    assert recipe.bleu.tokenize == "13a"
    counts = {split: len(OpenedData(recipe.data)[split].read()[0]) for split in ("train", "valid", "test")}
    assert counts["test"] == 100
    assert 95 <= counts["valid"] <= 100
    assert 1000 < counts["train"] < 1100


def test_nothing_leaks_and_the_data_check_finds_no_error(folder):
    new("--src", "train.en", "--tgt", "train.de")
    recipe = recipe_file.load("en_de.yaml")
    report = check_parallel_text(OpenedData(recipe.data))
    assert report.ok
    assert not [finding for finding in report.findings if "training text too" in str(finding)]
    seen = {}
    for split in ("train", "valid", "test"):
        src, tgt = OpenedData(recipe.data)[split].read()
        seen[split] = {line.lower() for line in src}, {line.lower() for line in tgt}
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        for side in (0, 1):
            assert not seen[one][side] & seen[other][side]


def test_the_tokenizer_of_the_recipe_can_be_trained(folder, tmp_path):
    new("--src", "train.en", "--tgt", "train.de")
    recipe = recipe_file.load("en_de.yaml")
    pairs = OpenedData(recipe.data)["train"]
    tokenizer = build_tokenizer(recipe.tokenizer, [*pairs.src_lines(), *pairs.tgt_lines()], tmp_path / "tokenizer")
    assert tokenizer.vocab_size == recipe.tokenizer.vocab_size


def test_every_choice_is_explained_in_the_recipe_and_on_stderr(folder):
    result = new("--src", "train.en", "--tgt", "train.de", "--output", "out/my.yaml", "--name", "mine")
    assert result.stdout == "out/my.yaml\n"
    lines = result.stderr.splitlines()
    starts = [
        "train.en and train.de: 1,300 pairs, ",
        "held back: ",
        "training text: ",
        "model: tiny, 128 wide, 4+4 layers",
    ]
    starts += ["dropout: 0.3", "vocabulary: ", "steps: ", "warm-up: ", "averaging: "]
    starts += [
        "train.en and train.de: 1,300 pairs are few; expected at least 200, and 10,000 or more",
        "next: attnkit train",
    ]
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    comments = " ".join(
        line.lstrip("# ") for line in (folder / "out/my.yaml").read_text().splitlines() if line.startswith("#")
    )
    assert all(reason in comments for reason in lines[:9])
    recipe = recipe_file.load("out/my.yaml")
    assert recipe.name == "mine"
    assert recipe.data.valid.src == "out/my.valid.en"


def test_given_sets_are_used_as_they_are(folder):
    write_pairs(folder, "valid", 40, seed=2)
    write_pairs(folder, "test", 50, seed=3)
    given = ["--valid-src", "valid.en", "--valid-tgt", "valid.de", "--test-src", "test.en", "--test-tgt", "test.de"]
    result = new("--src", "train.en", "--tgt", "train.de", *given)
    assert "held back" not in result.stderr
    assert "en_de.train.en" not in names(folder)
    data = recipe_file.load("en_de.yaml").data
    assert (data.train.src, data.valid.tgt, data.test.src) == ("train.en", "valid.de", "test.en")


def test_a_given_test_set_is_kept_out_of_what_is_held_back(folder):
    train = (folder / "train.en").read_text().splitlines()
    (folder / "test.en").write_text("".join(f"{line.upper()}\n" for line in train[:300]))
    (folder / "test.de").write_text("".join(f"anders {number}\n" for number in range(300)))
    new("--src", "train.en", "--tgt", "train.de", "--test-src", "test.en", "--test-tgt", "test.de")
    data = recipe_file.load("en_de.yaml").data
    assert (data.test.src, data.valid.src, data.train.src) == ("test.en", "en_de.valid.en", "en_de.train.en")
    test = {line.lower() for line in train[:300]}
    for split in ("valid", "train"):
        assert not test & {line.lower() for line in OpenedData(data)[split].src_lines()}
    assert "en_de.test.en" not in names(folder)


def test_packed_text_stays_packed_and_files_without_a_language(folder):
    for side in ("en", "de"):
        (folder / f"{side}.txt.gz").write_bytes(gzip.compress((folder / f"train.{side}").read_bytes()))
    result = new("--src", "en.txt.gz", "--tgt", "de.txt.gz")
    assert result.stdout == "translation.yaml\n"
    data = recipe_file.load("translation.yaml").data
    assert (data.test.src, data.test.tgt) == ("translation.test.src.gz", "translation.test.tgt.gz")
    assert OpenedData(data)["test"].read()[0]
    assert (folder / "translation.test.src.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_odd_names_are_quoted(folder):
    (folder / 'a "b": #c.en').write_bytes((folder / "train.en").read_bytes())
    new("--src", 'a "b": #c.en', "--tgt", "train.de", "--output", "1e5 ü.yaml")
    recipe = recipe_file.load("1e5 ü.yaml")
    assert recipe.name == "1e5_"
    assert recipe.data.train.src == "1e5 ü.train.en"
    assert OpenedData(recipe.data)["test"].read()[0]
    given = [
        "--valid-src",
        'a "b": #c.en',
        "--valid-tgt",
        "train.de",
        "--test-src",
        "train.en",
        "--test-tgt",
        "train.de",
    ]
    new("--src", 'a "b": #c.en', "--tgt", "train.de", *given, "--output", "null.yaml")
    assert recipe_file.load("null.yaml").name == "null"
    assert recipe_file.load("null.yaml").data.train.src == 'a "b": #c.en'


def test_text_without_spaces_is_scored_by_character(folder):
    draw = random.Random(5)
    for name, language in (("a.zh", "zh"), ("a.ja", "ja")):
        lines = ["".join(chr(0x4E00 + draw.randrange(2000)) for _ in range(draw.randint(7, 19))) for _ in range(1300)]
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
        new("--src", "train.en", "--tgt", name)
        recipe = recipe_file.load(f"en_{language}.yaml")
        assert recipe.bleu.tokenize == {"zh": "zh", "ja": "char"}[language]
        assert recipe.tokenizer.byte_fallback
        pairs = OpenedData(recipe.data)["train"]
        build_tokenizer(recipe.tokenizer, [*pairs.src_lines(), *pairs.tgt_lines()], folder / language)


def test_files_that_are_there_are_not_written_over(folder):
    new("--src", "train.en", "--tgt", "train.de")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    message = "en_de.yaml: exists already; expected to write 7 new files; name another --output, or add --force"
    assert refused(new("--src", "train.en", "--tgt", "train.de")).startswith(message)
    (folder / "en_de.yaml").unlink()
    assert refused(new("--src", "train.en", "--tgt", "train.de")).startswith("en_de.train.en: exists already;")
    assert new("--src", "train.en", "--tgt", "train.de", "--force").exit_code == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_failure_leaves_nothing_behind(folder):
    with (folder / "train.de").open("ab") as file:
        file.write(b"\xff\n")
    before = names(folder)
    assert refused(new("--src", "train.en", "--tgt", "train.de")).startswith("train.de:1301: not UTF-8")
    assert names(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--src", "few.en", "--tgt", "few.de"],
            "few.en and few.de: 199 pairs are too few; expected at least 200, and",
        ),
        (["--src", "none.en", "--tgt", "train.de"], "none.en: no such file"),
        (["--src", "few.en", "--tgt", "train.de"], "few.en: 199 lines, but train.de has 1300;"),
        (["--src", "train.en", "--tgt", "train.en"], "--src: train.en is --tgt too; expected one file per language;"),
        (
            ["--src", "same.en", "--tgt", "same.de"],
            "same.en and same.de: nothing left to hold back; expected many different",
        ),
        (
            ["--src", "train.en", "--tgt", "train.de", "--test-src", "few.en"],
            "--test-src: its other side is not given;",
        ),
        (
            ["--src", "train.en", "--tgt", "train.de", "--valid-tgt", "x"],
            "--valid-tgt: its other side is not given; expected --valid-src",
        ),
    ],
)
def test_mistakes(folder, arguments, message):
    write_pairs(folder, "few", 199)
    (folder / "same.en").write_text("".join(f"{number}\n" for number in range(300)))
    (folder / "same.de").write_text("same\n" * 300)
    before = names(folder)
    assert refused(new(*arguments)).startswith(message)
    assert names(folder) == before


def test_a_name_that_no_recipe_may_have(folder):
    message = refused(new("--src", "train.en", "--tgt", "train.de", "--name", "my name"))
    assert message.startswith("--name my name: name: expected a text like ^[A-Za-z0-9]")
    assert not list(folder.glob("*.yaml"))


def test_no_torch(folder):
    code = (
        "import sys; from attnkit.cli import app\n"
        "app(['recipe', 'new', 'translation', '--src', 'train.en', '--tgt', 'train.de'], standalone_mode=False)\n"
        "sys.exit(any(name.split('.')[0] == 'torch' for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "en_de.yaml\n"), done.stderr


@pytest.mark.parametrize(
    ("pairs", "mlp_dim", "optimizer", "form"), [(160_000, 1024, "adamw", "power"), (4_500_000, 2048, "adam", "gnmt")]
)
def test_large_text_gives_right_recipes_too(folder, monkeypatch, pairs, mlp_dim, optimizer, form):
    side = SideSize(words=20 * pairs, characters=120 * pairs)
    size = TextSize(pairs, side, side, set(ascii_letters), {str(number) for number in range(70_000)})
    monkeypatch.setattr("attnkit.new_recipe.translation.measure", lambda pairs: size)
    write_pairs(folder, "test", 50, seed=2)
    given = ["--valid-src", "test.en", "--valid-tgt", "test.de", "--test-src", "test.en", "--test-tgt", "test.de"]
    assert new("--src", "train.en", "--tgt", "train.de", *given).exit_code == 0
    recipe = recipe_file.load("en_de.yaml")
    assert (recipe.model.mlp_dim, recipe.train.optimizer.name) == (mlp_dim, optimizer)
    assert recipe.decode.length_penalty.form == form
    assert recipe.train.schedule.lr == (5e-4 if pairs < 1_000_000 else None)
    assert recipe.train.accumulate * recipe.batch.tgt_tokens == (4096 if pairs < 1_000_000 else 25_000)
