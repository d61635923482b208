"""attnkit evaluate through the real entry point: files alone, runs, and every mistake in one line."""

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from attnkit.metrics.text import score_text
from tests.command import evaluate, refused

REFERENCES = [
    "Das ist ein Test.",
    "Zwei Leute rennen im Park.",
    "Drei Hunde spielen mit dem Ball.",
    "Ein Mann isst Brot.",
]
HYPOTHESES = ["Das ist ein Test.", "Zwei Leute rannten im Park.", "Drei Hunde spielen mit dem Ball.", "Ein Mann isst."]
WORSE = ["Das war Test.", "Leute rannten.", "Drei Hunde spielen dem Ball.", "Mann isst."]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files of the three systems, in the working directory."""
    for name, lines in {"ref.de": REFERENCES, "hyp.de": HYPOTHESES, "worse.de": WORSE}.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)
    return tmp_path


def test_files_alone(folder):
    result = evaluate("--metric", "bleu", "--hyp", "hyp.de", "--ref", "ref.de")
    score = score_text("bleu", HYPOTHESES, [REFERENCES])
    header, row, note = result.stdout.splitlines()
    assert header.split() == ["metric", "score", "95", "%", "interval", "signature"]
    assert row.split() == ["BLEU", f"{score.value:.2f}", f"{score.low:.2f}", "to", f"{score.high:.2f}", score.signature]
    assert note == "  reading: over 60: quality often better than human"
    assert result.stderr == ""


def test_several_metrics_and_references(folder):
    (folder / "ref2.de").write_text("\n".join(HYPOTHESES), encoding="utf-8")
    result = evaluate("--metric", "ter", "--metric", "chrf", "--hyp", "hyp.de", "--ref", "ref.de", "--ref", "ref2.de")
    ter, chrf = result.stdout.splitlines()[1:]
    assert ter.startswith("TER     0.00")
    assert chrf.startswith("chrF2   100.00")
    assert ter.count("nrefs:2") == chrf.count("nrefs:2") == 1


def test_against_a_baseline(folder):
    result = evaluate(
        "--metric", "bleu", "--metric", "ter", "--hyp", "hyp.de", "--ref", "ref.de", "--baseline", "worse.de"
    )
    ours, theirs = (score_text("bleu", lines, [REFERENCES]).value for lines in (HYPOTHESES, WORSE))
    p_value = score_text("bleu", HYPOTHESES, [REFERENCES], baseline=WORSE).baseline.p_value
    header, bleu, _, ter = result.stdout.splitlines()
    assert header.split()[5:] == ["baseline", "difference", "p", "signature"]
    assert f"{theirs:.2f}     {ours - theirs:+.2f} better  {p_value:.3f}" in bleu
    assert " better " in ter
    assert "-" in ter.split("better")[0].split()[-1], "fewer edits are better"


def test_json(folder):
    result = evaluate("--hyp", "hyp.de", "--ref", "ref.de", "--baseline", "hyp.de", "--json", "--metric", "bleu")
    printed = json.loads(result.stdout)
    assert printed["hyp"] == "hyp.de"
    bleu = printed["scores"]["bleu"]
    assert bleu["value"] == pytest.approx(score_text("bleu", HYPOTHESES, [REFERENCES]).value)
    assert bleu["baseline"]["p_value"] == 1
    assert bleu["reading"].startswith("over 60")


def test_gzip_crlf_stdin_and_odd_line_ends(folder):
    odd = [
        "Eins\u0085zwei drei vier fünf.",
        "Sechs\u2028sieben acht neun.",
        "Zehn\x0celf zwölf dreizehn.",
        "Und vierzehn.",
    ]
    (folder / "odd.gz").write_bytes(gzip.compress("\r\n".join(odd).encode()))
    result = evaluate("--hyp", "-", "--ref", "odd.gz", stdin="\n".join(odd) + "\n")
    assert result.stdout.splitlines()[1].startswith("BLEU    100.00")


def test_tokenizer_and_case(folder):
    (folder / "lower.de").write_text("\n".join(REFERENCES).lower(), encoding="utf-8")
    lowercase = evaluate("--hyp", "hyp.de", "--ref", "lower.de", "--lowercase", "--tokenize", "char").stdout
    assert "case:lc" in lowercase
    assert "tok:char" in lowercase
    assert "case:mixed" in evaluate("--hyp", "hyp.de", "--ref", "lower.de").stdout


def test_compat_scores_tokenised_references(folder):
    pytest.importorskip("sacremoses")
    (folder / "ref.tok.de").write_text("das ist ein test .\nzwei leute rennen im park .\nx .\ny .\n", encoding="utf-8")
    result = evaluate("--compat", "lc-tok", "--hyp", "hyp.de", "--ref", "ref.tok.de")
    assert "tok:none" in result.stdout
    assert "|compat:lc-tok.de[hyp]|sacremoses:" in result.stdout
    same = evaluate("--compat", "lc-tok", "--raw-ref", "--hyp", "ref.de", "--ref", "ref.de")
    assert same.stdout.splitlines()[1].startswith("BLEU    100.00")
    assert "compat:lc-tok.de[hyp+ref]" in same.stdout


def test_text_that_looks_tokenised_is_noted(folder):
    (folder / "tok.de").write_text("".join(line.replace(".", " .") + "\n" for line in HYPOTHESES), encoding="utf-8")
    result = evaluate("--hyp", "tok.de", "--ref", "ref.de")
    assert result.exit_code == 0
    assert result.stderr.startswith(
        "tok.de: 4 of 4 lines end in a full stop with a space before it, which looks tokenised"
    )
    assert evaluate("--hyp", "tok.de", "--ref", "ref.de", "--tokenize", "none").stderr == ""


def test_no_torch_for_files(folder):
    code = (
        "import sys; from attnkit.cli import app\n"
        "app(['eval', '--metric', 'bleu', '--metric', 'ter', '--hyp', 'hyp.de', '--ref', 'ref.de', '--baseline', "
        "'worse.de'], standalone_mode=False)\n"
        "sys.exit(any(name.split('.')[0] == 'torch' for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("metric ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hyp", "hyp.de"], "--hyp: nothing to compare with; expected the references too; add --ref FILE"),
        (["--hyp", "none.de", "--ref", "ref.de"], "none.de: no such file"),
        (["--hyp", "hyp.de", "--ref", "none.de"], "none.de: no such file"),
        (["--hyp", "empty", "--ref", "ref.de"], "empty: empty; expected a sentence per line; see the file"),
        (
            ["--hyp", "hyp.de", "--ref", "short"],
            "hyp.de: 4 lines, but short has 3; expected line n of both to belong to",
        ),
        (["--hyp", "hyp.de", "--ref", "ref.de", "--baseline", "short"], "hyp.de: 4 lines, but short has 3;"),
        (["--hyp", "latin", "--ref", "ref.de"], "latin:2: not UTF-8, byte 0xfc"),
        (["--hyp", "hyp.de", "--ref", "ref.de", "--save", "x"], "--hyp: scores a file, no run; expected no --run, "),
        (["--hyp", "hyp.de", "--ref", "ref.de", "--tokenize", "13b"], "tokenize: sacreBLEU has no tokenizer '13b'"),
        (["--compat", "lctok"], "--compat: there is no 'lctok'; expected lc-tok, paper; did you mean lc-tok?"),
        (["--compat", "paper", "--tokenize", "intl"], "--tokenize: --compat paper tokenises already; expected one of"),
        (["--compat", "paper", "--metric", "ter"], "--compat: paper is a form of BLEU; expected --metric bleu alone;"),
        (["--raw-ref"], "--raw-ref: says how --compat reads references; expected --compat too; add it"),
        (["--run", "nowhere"], "nowhere: no such folder; expected a folder made by attnkit train"),
        (["--metric", "ter"], "runs: no finished translation run here; expected one made by attnkit train"),
    ],
)
def test_mistakes(folder, arguments, message):
    (folder / "empty").write_text("")
    (folder / "short").write_text("a\nb\nc\n")
    (folder / "latin").write_bytes("gut\nfünf\n".encode("latin1"))
    assert refused(evaluate(*arguments)).startswith(message)


def test_compat_mistakes(folder):
    pytest.importorskip("sacremoses")
    plain = refused(evaluate("--compat", "lc-tok", "--hyp", "hyp.de", "--ref", "ref.de"))
    assert plain.startswith("ref.de: plain text, for 4 of 4 lines that end in a full stop have no space before it;")
    (folder / "ref").write_text("a .\nb .\nc .\nd .\n")
    nameless = refused(evaluate("--compat", "lc-tok", "--hyp", "hyp.de", "--ref", "ref"))
    assert nameless.startswith("--compat: the language of ref is unknown; expected it by option; add --language de")


@dataclass
class Translations:
    sources: list[str]
    hypotheses: list[str]
    references: list[str]


@pytest.fixture
def finished(folder, monkeypatch):
    """A finished run with a test set, and a translator that keeps what it was asked."""
    recipe = """
task: translation
name: mine
attnkit: "0.1"
data:
  format: text
  train: {src: train.en, tgt: train.de}
  test: {src: test.en, tgt: ref.de}
train: {steps: 3}
decode: {beam_size: 4}
bleu: {lowercase: true}
"""
    (folder / "test.en").write_text("a\nb\nc\nd\n")
    for name in ("runs/mine", "runs/unfinished"):
        (folder / name).mkdir(parents=True)
        (folder / name / "recipe.yaml").write_text(recipe.lstrip())
    (folder / "runs/mine/model.safetensors").write_bytes(b"")
    asked = []

    def load_translator(recipe, run, *, device, weights):
        return device, recipe.decode, str(weights)

    def translate_split(translator, data, run, split):
        asked.append((str(run.path), split, *translator))
        return Translations(["a", "b", "c", "d"], HYPOTHESES, REFERENCES)

    module = ModuleType("attnkit.recipes.translation.translator")
    module.load_translator = load_translator
    module.translate_split = translate_split
    monkeypatch.setitem(sys.modules, "attnkit.recipes.translation.translator", module)
    return asked


def kept(folder):
    return json.loads((folder / "runs/mine/scores.json").read_text())


def test_the_newest_run(finished, folder):
    result = evaluate("--metric", "bleu")
    ((path, split, device, decode, checkpoint),) = finished
    assert (path, split, device, checkpoint) == ("runs/mine", "test", "auto", "runs/mine/model.safetensors")
    assert decode.beam_size == 4
    assert "runs/mine" in result.stderr
    score = score_text("bleu", HYPOTHESES, [REFERENCES], lowercase=True)
    assert f"BLEU    {score.value:.2f}" in result.stdout
    assert "case:lc" in result.stdout
    assert kept(folder)["test"]["bleu"]["value"] == score.value
    assert kept(folder)["test"]["bleu"]["weights"] == "runs/mine/model.safetensors"


def test_options_reach_the_run(finished, folder):
    (folder / "best.safetensors").write_bytes(b"")
    arguments = [
        "--run",
        "runs/mine",
        "--beam-size",
        "7",
        "--length-penalty",
        "power:1.5",
        "--device",
        "cpu",
        "--cased",
    ]
    result = evaluate(
        *arguments, "--checkpoint", "best.safetensors", "--save", "out/hyp.de", "--json", "--metric", "chrf"
    )
    ((_, _, device, decode, checkpoint),) = finished
    assert (device, checkpoint) == ("cpu", "best.safetensors")
    assert (decode.beam_size, decode.length_penalty.form, decode.length_penalty.alpha) == (7, "power", 1.5)
    assert (folder / "out/hyp.de").read_text(encoding="utf-8") == "".join(f"{line}\n" for line in HYPOTHESES)
    printed = json.loads(result.stdout)
    assert (printed["run"], printed["split"], printed["weights"]) == ("runs/mine", "test", "best.safetensors")
    assert printed["decode"]["beam_size"] == 7
    assert "case:mixed" in printed["scores"]["chrf"]["signature"]


def test_scores_are_merged_with_those_that_are_there(finished, folder):
    before = {"valid": {"bleu": 1.5}, "test": {"loss": 2.5, "bleu": {"value": 3.5}}, "steps": 7}
    (folder / "runs/mine/scores.json").write_text(json.dumps(before))
    evaluate("--metric", "bleu")
    evaluate("--metric", "ter", "--cased", "--tokenize", "intl")
    after = kept(folder)
    assert after["valid"] == before["valid"]
    assert after["steps"] == 7
    assert after["test"]["loss"] == 2.5
    assert after["test"]["bleu"]["value"] == score_text("bleu", HYPOTHESES, [REFERENCES], lowercase=True).value
    assert set(after["test"]) == {"loss", "bleu", "ter.intl.cased"}


def test_scores_that_cannot_be_kept_are_still_printed(finished, folder):
    (folder / "runs/mine/scores.json").write_text("[")
    result = evaluate("--metric", "bleu")
    assert result.exit_code == 0
    assert result.stdout.startswith("metric ")
    assert "runs/mine/scores.json: the scores were not kept: Expecting value" in result.stderr
    assert (folder / "runs/mine/scores.json").read_text() == "["


def test_a_run_against_other_references(finished, folder):
    (folder / "other.de").write_text("".join(f"{line}\n" for line in HYPOTHESES), encoding="utf-8")
    assert evaluate("--ref", "other.de").stdout.splitlines()[1].startswith("BLEU    100.00")
    (folder / "other.de").write_text("a\n")
    assert "runs/mine (test): 4 lines, but other.de has 1;" in refused(
        evaluate("--run", "runs/mine", "--ref", "other.de")
    )


def test_compat_of_a_run_prepares_its_own_references(finished, folder):
    pytest.importorskip("sacremoses")
    result = evaluate("--compat", "lc-tok")
    assert "compat:lc-tok.de[hyp+ref]" in result.stdout
    assert "bleu.lc-tok" in kept(folder)["test"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--split", "valid"],
            "runs/mine/recipe.yaml: data.valid: not set, so there is nothing to score on; expected a",
        ),
        (
            ["--checkpoint", "none"],
            "none: no such file; expected weights of the run, such as runs/mine/checkpoints/best",
        ),
        (["--beam-size", "0"], "--beam-size 0: decode.beam_size: expected at least 1, got 0"),
        (
            ["--length-penalty", "long"],
            "--length-penalty long: decode.length_penalty.form: expected gnmt, power or none",
        ),
    ],
)
def test_mistakes_about_a_run(finished, folder, arguments, message):
    assert refused(evaluate("--run", "runs/mine", *arguments)).startswith(message)
    assert finished == []
