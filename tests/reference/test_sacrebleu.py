"""Our scores against sacreBLEU's own command, in another process."""

import random
import re
import subprocess
import sys

import pytest

from attnkit.metrics.text import score_text

WORDS = [
    "der",
    "die",
    "das",
    "ein",
    "Mann",
    "Frau",
    "Hund",
    "geht",
    "läuft",
    "Park,",
    "Haus.",
    "Straße!",
    "3,5",
    "E-Mail",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """37 random sentences of odd lengths, two references, and two systems of different quality, as files."""
    draw = random.Random(7)
    folder = tmp_path_factory.mktemp("corpus")
    references = [[" ".join(draw.choices(WORDS, k=draw.randint(1, 13))) for _ in range(37)] for _ in range(2)]

    def system(loss):
        return [" ".join(word for word in line.split(" ") if draw.random() > loss) for line in references[0]]

    files = {"r1": references[0], "r2": references[1], "good": system(0.1), "bad": system(0.3)}
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder, files


def sacrebleu(folder, *arguments):
    """What `sacrebleu ...` prints."""
    command = [sys.executable, "-m", "sacrebleu", *arguments, "-w", "5"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


@pytest.mark.parametrize(
    ("metric", "lowercase", "options"),
    [("bleu", False, []), ("bleu", True, ["-lc"]), ("chrf", False, []), ("ter", False, [])],
)
def test_scores_signatures_and_intervals(corpus, metric, lowercase, options):
    folder, files = corpus
    printed = sacrebleu(folder, "r1", "r2", "-i", "good", "-m", metric, "--confidence", "-f", "text", *options)
    name, signature, value, mean, half_width = re.match(
        r"(\w+)\|(\S+) = (\S+) .*\(μ = (\S+) ± ([\d.]+)", printed
    ).groups()
    ours = score_text(metric, files["good"], [files["r1"], files["r2"]], lowercase=lowercase)
    assert (ours.name, ours.signature) == (name, signature)
    assert ours.value == pytest.approx(float(value), abs=1e-5)
    assert (ours.low + ours.high) / 2 == pytest.approx(float(mean), abs=1e-5)
    assert (ours.high - ours.low) / 2 == pytest.approx(float(half_width), abs=1e-5)


@pytest.mark.parametrize("metric", ["bleu", "chrf", "ter"])
def test_paired_bootstrap(corpus, metric):
    folder, files = corpus
    printed = sacrebleu(folder, "r1", "-i", "bad", "good", "-m", metric, "--paired-bs", "-f", "text")
    theirs = re.search(r"Baseline: bad │ +(\S+) \(.*\n.*\n│ +good │ +(\S+) \(.*\n│ +│ +\(p = (\S+)\)", printed).groups()
    ours = score_text(metric, files["good"], [files["r1"]], baseline=files["bad"])
    baseline, system, p_value = map(float, theirs)
    assert ours.baseline.value == pytest.approx(baseline, abs=1e-5)
    assert ours.value == pytest.approx(system, abs=1e-5)
    assert ours.baseline.p_value == pytest.approx(p_value, abs=1e-4)
    assert 0.0009 < p_value < 1


def test_the_tokenizer_none(corpus):
    folder, files = corpus
    printed = sacrebleu(folder, "r1", "-i", "good", "-tok", "none", "--force", "-b")
    ours = score_text("bleu", files["good"], [files["r1"]], tokenize="none")
    assert ours.value == pytest.approx(float(printed), abs=1e-5)
    assert ours.value != pytest.approx(score_text("bleu", files["good"], [files["r1"]]).value, abs=1e-3)
