"""Does memory stay flat as the corpus grows? Builds the token cache and makes one epoch of batches, for several sizes.

    python benchmarks/data_memory.py                                 100 thousand, 1 million and 5 million pairs
    python benchmarks/data_memory.py --pairs 20000 --no-report       a quick look

Text is generated. Every size and phase runs in a process of its own, one after the other, so that each peak is its own.
Linux only: memory is read from /proc. Needs about 300 bytes of disk for each pair in the temporary folder.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from measured import command

SIZES = [100_000, 1_000_000, 5_000_000]
PHASES = ["prepare", "build", "epoch"]
RESULTS = Path(__file__).parent / "results"
BATCH_TOKENS = 4096
WORDS_AT_ONCE = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=SIZES)
    parser.add_argument("--no-report", action="store_true", help="print only")
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase:
        print(json.dumps(globals()[options.phase](options.folder, options.pairs[0])))
        return
    report = render([measure(pairs) for pairs in options.pairs])
    print(report)
    if not options.no_report:
        path = RESULTS / f"{date.today():%Y-%m-%d}-data-memory.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(report, encoding="utf-8")
        print(path, file=sys.stderr)


def measure(pairs: int) -> dict[str, dict[str, float]]:
    """Run the phases for one size, each in a process of its own."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for phase in PHASES:
            print(f"{pairs:,} pairs: {phase}", file=sys.stderr)
            child = [sys.executable, __file__, "--phase", phase, "--pairs", str(pairs), "--folder", folder]
            done = subprocess.run(child, stdout=subprocess.PIPE, check=True, text=True)
            results[phase] = json.loads(done.stdout.splitlines()[-1])
    return results


def prepare(folder: Path, pairs: int) -> dict[str, float]:
    """Generate the text, and learn pieces from the head of it."""
    from itertools import islice

    from attnkit.data.files import read_lines
    from attnkit.tokenizers.build import build_tokenizer
    from attnkit.tokenizers.config import SentencePieceConfig

    for seed, name in enumerate(("src", "tgt")):
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(sentences(pairs, seed))
    build_tokenizer(
        SentencePieceConfig(vocab_size=8000), islice(read_lines(folder / "src", "src"), 20_000), folder / "tokenizer"
    )
    return {"bytes": float(sum((folder / name).stat().st_size for name in ("src", "tgt")))}


def sentences(count: int, seed: int) -> Iterator[str]:
    """Lines of 3 to 33 words, frequent ones more often. Both sides have about the same length."""
    import numpy as np

    letters = np.random.default_rng(7)
    words = ["".join(letters.choice(list("aeioubdgklmnrst"), size=n)) for n in letters.integers(2, 11, size=20_000)]
    lengths_of = np.random.default_rng(8)  # the same for both sides
    chosen = np.random.default_rng([9, seed])
    for begin in range(0, count, WORDS_AT_ONCE):
        for length in lengths_of.integers(3, 31, size=min(WORDS_AT_ONCE, count - begin)):
            ranks = (len(words) ** chosen.random(length + chosen.integers(4))).astype(int)
            yield " ".join([words[rank - 1] for rank in ranks]) + "\n"


def build(folder: Path, pairs: int) -> dict[str, float]:
    """Build the token cache."""
    with peak() as result:
        cache_in(folder)
    return {**result, "per second": pairs / result["seconds"]}


def epoch(folder: Path, pairs: int) -> dict[str, float]:
    """Open the cache, and make every batch of an epoch."""
    from attnkit.data.text.batching import TokenBatches

    tokens = places = 0
    with peak() as result:
        batches = TokenBatches(cache_in(folder), batch_tokens=(BATCH_TOKENS, BATCH_TOKENS), seed=1)
        for batch in batches.batches(0):
            for ids in (batch.src, batch.tgt_out):
                tokens += int((ids != batch.pad_id).sum())
                places += ids.numel()
    return {**result, "per second": pairs / result["seconds"], "padding": 1 - tokens / places}


def cache_in(folder: Path):  # type: ignore[no-untyped-def]
    from attnkit.data.text.pair_files import TextPairs
    from attnkit.data.text.token_cache import build_token_cache
    from attnkit.tokenizers.build import load_tokenizer

    tokenizer = load_tokenizer(folder / "tokenizer")
    pairs = TextPairs(str(folder / "src"), str(folder / "tgt"))
    return build_token_cache(pairs, tokenizer, tokenizer, max_length=256, max_ratio=4.0, folder=folder / "tokens")


@contextmanager
def peak() -> Iterator[dict[str, float]]:
    """Watch this process: MiB of memory of its own and of mapped file pages, at their highest, and seconds."""
    import numpy  # noqa: F401
    import sentencepiece  # noqa: F401
    import torch  # noqa: F401

    result: dict[str, float] = {"at start": resident("RssAnon"), "own": 0.0, "mapped": 0.0}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            result["own"] = max(result["own"], resident("RssAnon"))
            result["mapped"] = max(result["mapped"], resident("RssFile"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    yield result
    result["seconds"] = time.perf_counter() - begin
    done.set()
    watcher.join()
    result["resident"] = resident("VmHWM")


def resident(key: str) -> float:
    """One line of /proc/self/status, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise ValueError(key)


def render(sizes: list[dict[str, dict[str, float]]]) -> str:
    """The report."""
    import numpy
    import sentencepiece
    import torch

    import attnkit

    lines = [
        f"# Memory of the token cache and of batching, {date.today():%Y-%m-%d}",
        "",
        "Peaks in MiB of each process: *own* memory (anonymous pages), *mapped* pages of files, which the system takes "
        "back when it needs them (libraries among them), and the highest of both together (*resident*). "
        "*Start* is own memory once the libraries are loaded. "
        f"SentencePiece, 8,000 pieces; batches of {BATCH_TOKENS} tokens.",
        "",
        "| pairs | text, MB | phase | start | own | mapped | resident | seconds | pairs per second | padding |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for results in sizes:
        text = results["prepare"]["bytes"] / 1e6
        for phase in ("build", "epoch"):
            row = results[phase]
            numbers = [row[key] for key in ("at start", "own", "mapped", "resident", "seconds", "per second")]
            padding = f"{row['padding']:.1%}" if "padding" in row else ""
            pairs = round(row["per second"] * row["seconds"])
            cells = [f"{pairs:,}", f"{text:,.0f}", phase, *(f"{number:,.0f}" for number in numbers), padding]
            lines.append("| " + " | ".join(cells) + " |")
    versions = (
        f"attnkit {attnkit.__version__}, numpy {numpy.__version__}, torch {torch.__version__}, "
        f"sentencepiece {sentencepiece.__version__}, Python {platform.python_version()}, {platform.system()}"
    )
    return "\n".join([*lines, "", f"{versions}.", "", f"Made by `{command()}`.", ""])


if __name__ == "__main__":
    main()
