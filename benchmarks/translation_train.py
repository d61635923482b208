"""How many target tokens per second does training take in, beside MarianMTModel of transformers and JoeyNMT?

Every system trains a Transformer of the same dimensions on the same batches of Multi30k (of random words where it is
not found), with the same dropout, smoothing and fused Adam, in float32 and in bfloat16 autocast. Each runs in a process
of its own, and they take turns of a few steps, so that whatever else the machine does meets all of them alike.

    ATTNKIT_DATA=... python benchmarks/translation_train.py [--joeynmt PYTHON]

attnkit runs as `attnkit train` does: TokenBatches, TranslationTask, optimize(). The others get the batches made
beforehand, as tensors, and no more than a step needs (MarianMTModel no gradient norm, for one). They run with the C
library's way with memory, which attnkit changes (engine/memory.py); to give it to all, set
MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483647.

JoeyNMT 2.3.0 wants protobuf < 3.21, so give it an environment of its own, and the dependency that it does not name:
`pip install joeynmt importlib_metadata`; --joeynmt is that environment's interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from measured import Child, keep, peak_mib, questions, take_stdout

VOCAB_SIZE = 10_000
BATCH_TOKENS = 4096
DROPOUT = 0.3
SMOOTHING = 0.1
LR = 1e-3
MULTI30K = {"src": "multi30k/train.en.gz", "tgt": "multi30k/train.de.gz"}
PAD, UNK, BOS, EOS = range(4)


@dataclass(frozen=True)
class Size:
    """Dimensions of a Transformer."""

    name: str
    embed_dim: int
    depth: int
    num_heads: int
    mlp_dim: int


SIZES = {
    "small": Size("2.6 million parameters", embed_dim=128, depth=4, num_heads=4, mlp_dim=256),
    "large": Size("7.8 million parameters", embed_dim=256, depth=4, num_heads=4, mlp_dim=512),
}


# the systems: each makes the function that does a step and returns (target tokens, loss); run in a child process


def attnkit_steps(size: Size, precision: str, folder: Path) -> Callable[[], tuple[int, float]]:
    from attnkit.engine.config import TrainConfig
    from attnkit.engine.memory import keep_pages
    from attnkit.engine.optimize import TrainState, forever, optimize
    from attnkit.engine.optimizer import build_optimizer
    from attnkit.engine.precision import find_device
    from attnkit.recipes.translation.task import build_task
    from attnkit.tokenizers.build import load_tokenizer

    keep_pages()
    tokenizer = load_tokenizer(folder / "tokenizer")
    recipe = attnkit_recipe(size, precision)
    task = build_task(recipe, tokenizer, tokenizer).train()
    state = TrainState()
    steps = optimize(
        task,
        forever(attnkit_batches(folder), state),
        build_optimizer(recipe.train.optimizer, task.model),
        lambda step: LR,
        TrainConfig(steps=1_000_000, precision=precision),
        state,
        device=find_device("cpu"),
        warn=print,
    )

    def step() -> tuple[int, float]:
        done = next(steps)
        return done.count, done.loss

    return with_size(step, task.model)


def attnkit_recipe(size: Size, precision: str) -> Any:
    from attnkit.recipes.translation.recipe import TranslationRecipe

    return TranslationRecipe.model_validate(
        {
            "name": "benchmark",
            "data": {"format": "text", "train": MULTI30K},
            "model": {
                "embed_dim": size.embed_dim,
                "encoder_depth": size.depth,
                "decoder_depth": size.depth,
                "num_heads": size.num_heads,
                "mlp_dim": size.mlp_dim,
                "dropout": DROPOUT,
            },
            "loss": {"label_smoothing": SMOOTHING},
            "batch": {"src_tokens": BATCH_TOKENS, "tgt_tokens": BATCH_TOKENS},
            "train": {"steps": 1_000_000, "precision": precision},
        }
    )


def attnkit_batches(folder: Path) -> Any:
    from attnkit.data.open import OpenedData
    from attnkit.data.text.batching import TokenBatches
    from attnkit.data.text.config import PairOfFiles, TextPairsConfig
    from attnkit.data.text.token_cache import build_token_cache
    from attnkit.tokenizers.build import load_tokenizer

    files = json.loads((folder / "files.json").read_text())
    tokenizer = load_tokenizer(folder / "tokenizer")
    pairs = OpenedData(TextPairsConfig(train=PairOfFiles(**files)))["train"]
    cache = build_token_cache(pairs, tokenizer, tokenizer, max_length=256, max_ratio=4.0, folder=folder / "tokens")
    return TokenBatches(cache, batch_tokens=(BATCH_TOKENS, BATCH_TOKENS), seed=1)


def marian_steps(
    size: Size, precision: str, folder: Path, *, attention: str = "sdpa"
) -> Callable[[], tuple[int, float]]:
    import torch
    from torch.nn import functional as F
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(1)
    model = MarianMTModel._from_config(
        MarianConfig(
            vocab_size=VOCAB_SIZE,
            d_model=size.embed_dim,
            encoder_layers=size.depth,
            decoder_layers=size.depth,
            encoder_attention_heads=size.num_heads,
            decoder_attention_heads=size.num_heads,
            encoder_ffn_dim=size.mlp_dim,
            decoder_ffn_dim=size.mlp_dim,
            activation_function="relu",
            dropout=DROPOUT,
            attention_dropout=0.0,
            activation_dropout=0.0,
            scale_embedding=True,
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
            decoder_start_token_id=BOS,
            max_position_embeddings=512,
        ),
        attn_implementation=attention,
    ).train()
    optimizer = adam(model)
    batches = stored_batches(folder)

    def step() -> tuple[int, float]:
        src, tgt_in, tgt_out, count = next(batches)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(
                input_ids=src, attention_mask=src != PAD, decoder_input_ids=tgt_in, use_cache=False
            ).logits  # (B, T, V)
            loss = F.cross_entropy(logits.flatten(0, 1), tgt_out.flatten(), ignore_index=PAD, label_smoothing=SMOOTHING)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return count, loss.item()

    return with_size(step, model)


def marian_eager_steps(size: Size, precision: str, folder: Path) -> Callable[[], tuple[int, float]]:
    return marian_steps(size, precision, folder, attention="eager")


def joeynmt_steps(size: Size, precision: str, folder: Path) -> Callable[[], tuple[int, float]]:
    import torch
    from joeynmt.batch import Batch
    from joeynmt.model import build_model
    from joeynmt.transformer_layers import MultiHeadedAttention, PositionwiseFeedForward
    from joeynmt.vocabulary import Vocabulary

    torch.manual_seed(1)
    words = [f"word{number}" for number in range(VOCAB_SIZE - 4)]
    specials = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "sep_token": None}
    ids = {"unk_id": 0, "pad_id": 1, "bos_id": 2, "eos_id": 3}  # it can have them in this order only
    vocabulary = Vocabulary(words, SimpleNamespace(**specials, **ids, lang_tags=[]))
    stack = {
        "type": "transformer",
        "num_layers": size.depth,
        "num_heads": size.num_heads,
        "hidden_size": size.embed_dim,
        "ff_size": size.mlp_dim,
        "dropout": DROPOUT,
        "layer_norm": "post",
        "embeddings": {"embedding_dim": size.embed_dim, "scale": True, "dropout": DROPOUT},
    }
    config = {"tied_embeddings": True, "tied_softmax": True, "encoder": stack, "decoder": stack}
    model = build_model(config, vocabulary, vocabulary).train()
    model.loss_function = ("crossentropy", SMOOTHING)
    for module in model.modules():  # it drops here too, without being asked
        if isinstance(module, MultiHeadedAttention):
            module.dropout.p = 0.0
        elif isinstance(module, PositionwiseFeedForward):
            module.pwff_layer[2].p = 0.0
    optimizer = adam(model)
    batches = stored_batches(folder)

    def swapped(tokens: torch.Tensor) -> torch.Tensor:
        return torch.where(tokens < 2, 1 - tokens, tokens)

    def step() -> tuple[int, float]:
        src, tgt_in, tgt_out, count = next(batches)
        batch = Batch(
            src=swapped(src),
            src_length=(src != PAD).sum(dim=1),
            src_prompt_mask=None,
            trg=swapped(torch.cat([tgt_in[:, :1], tgt_out], dim=1)),
            trg_prompt_mask=None,
            indices=torch.arange(len(src)),
            device=src.device,
            pad_index=1,
            eos_index=EOS,
        )
        batch.sort_by_src_length()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss, *_ = model(return_type="loss", **vars(batch))
        loss = batch.normalize(loss, normalization="tokens")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return count, loss.item()

    return with_size(step, model)


SYSTEMS = {
    "attnkit": attnkit_steps,
    "MarianMTModel, sdpa": marian_steps,
    "MarianMTModel, eager": marian_eager_steps,
    "JoeyNMT": joeynmt_steps,
}
PRECISIONS = ["float32", "bfloat16"]


def adam(model: Any) -> Any:
    import torch

    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.Adam(weights, lr=LR, betas=(0.9, 0.98), eps=1e-9, fused=True)


def stored_batches(folder: Path) -> Iterator[tuple[Any, Any, Any, int]]:
    import torch

    batches = torch.load(folder / "batches.pt", weights_only=True)
    while True:
        yield from batches


def with_size(step: Callable[[], tuple[int, float]], model: Any) -> Callable[[], tuple[int, float]]:
    step.parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return step


# the child process


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import torch

    torch.set_num_threads(order["threads"])
    step = SYSTEMS[order["system"]](Size(**order["size"]), order["precision"], Path(order["folder"]))
    answer({"torch": torch.__version__, "parameters": step.parameters})
    for steps in questions():
        seconds, tokens, losses = 0.0, 0, []
        for _ in range(steps):
            started = time.perf_counter()
            count, loss = step()
            seconds += time.perf_counter() - started
            tokens += count
            losses.append(loss)
        answer({"tokens": tokens, "seconds": seconds, "losses": losses, "peak_mib": peak_mib()})


class System(Child):
    """A system at work in its own process."""

    def __init__(self, system: str, precision: str, size: Size, folder: Path, options: argparse.Namespace) -> None:
        order = {
            "system": system,
            "precision": precision,
            "size": asdict(size),
            "folder": str(folder),
            "threads": options.threads,
        }
        python = options.joeynmt if system == "JoeyNMT" else sys.executable
        super().__init__(f"{system}, {precision}", __file__, order, python=python)
        self.turns: list[dict[str, Any]] = []

    def turn(self, steps: int) -> dict[str, Any]:
        """Let it train for so many steps; how it went."""
        return self.ask(steps)

    def result(self) -> dict[str, Any]:
        """All its turns in a few numbers."""
        speeds = [turn["tokens"] / turn["seconds"] for turn in self.turns]
        return {
            "system": self.name,
            **self.about,
            "tokens_per_second": median(speeds),
            "slowest": min(speeds),
            "fastest": max(speeds),
            "peak_mib": self.turns[-1]["peak_mib"],
            "first_loss": self.turns[0]["losses"][0],
            "last_loss": self.turns[-1]["losses"][-1],
            "turns": speeds,
        }


# the parent process


def prepare(folder: Path, batches: int) -> str:
    """Text, tokenizer, token cache and stored batches, for all systems; says what the text is."""
    import torch

    from attnkit.data.files import find_file
    from attnkit.errors import DataError
    from attnkit.tokenizers.build import build_tokenizer
    from attnkit.tokenizers.config import SentencePieceConfig, WhitespaceConfig

    try:
        files = {side: str(find_file(name)) for side, name in MULTI30K.items()}
        said, config = "Multi30k English-German", SentencePieceConfig(vocab_size=VOCAB_SIZE)
    except DataError:
        files = random_words(folder)
        said, config = "random words", WhitespaceConfig(name="whitespace", vocab_size=VOCAB_SIZE)
    (folder / "files.json").write_text(json.dumps(files))
    from attnkit.data.files import read_lines

    lines = (line for name in files.values() for line in read_lines(Path(name), name))
    tokenizer = build_tokenizer(config, lines, folder / "tokenizer")
    assert tokenizer.vocab_size == VOCAB_SIZE
    first = islice(attnkit_batches(folder).batches(0), batches)
    torch.save([(b.src, b.tgt_in, b.tgt_out, b.num_tgt_tokens) for b in first], folder / "batches.pt")
    return said


def random_words(folder: Path) -> dict[str, str]:
    """As many pairs as Multi30k has, of about its lengths."""
    generator = random.Random(1)
    files = {}
    for side in MULTI30K:
        files[side] = str(folder / f"random.{side}")
        with open(files[side], "w", encoding="utf-8") as file:
            for pair in range(29_000):
                length = max(4, round(random.Random(pair).gauss(13, 4) + generator.gauss(0, 1)))
                file.write(" ".join(f"w{generator.randrange(VOCAB_SIZE - 4)}" for _ in range(length)) + "\n")
    return files


def measure(size: Size, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    systems = [system for system in options.systems if system != "JoeyNMT" or options.joeynmt]
    children = [
        System(system, precision, size, folder, options) for precision in options.precisions for system in systems
    ]
    for child in children:
        child.turn(options.warmup)
    for turn in range(options.turns):
        for child in children[:: 1 if turn % 2 == 0 else -1]:
            child.turns.append(child.turn(options.steps))
        print(f"{size.name}: turn {turn + 1} of {options.turns}", file=sys.stderr, flush=True)
    for child in children:
        child.close()
    return [child.result() for child in children]


def ratio(results: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How much faster than the best other system attnkit is, each in its better precision; by turn, then the median."""
    own = [result for result in results if result["system"].startswith("attnkit")]
    peers = [result for result in results if not result["system"].startswith("attnkit")]
    if not own or not peers:
        return None
    best, peer = (max(some, key=lambda result: result["tokens_per_second"]) for some in (own, peers))
    by_turn = [mine / theirs for mine, theirs in zip(best["turns"], peer["turns"], strict=True)]
    return {
        "of": best["system"],
        "over": peer["system"],
        "median": median(by_turn),
        "least": min(by_turn),
        "most": max(by_turn),
    }


def machine(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    import transformers

    import attnkit

    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "attnkit": attnkit.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "joeynmt": _version_of("joeynmt", options.joeynmt) if options.joeynmt else "not measured",
        "python": platform.python_version(),
        "cpu": names[0] if names else platform.processor(),
        "threads": options.threads,
        "bfloat16 in hardware": bool(torch.cpu.get_capabilities().get("avx512_bf16")),
        "malloc": {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")},
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def _version_of(package: str, python: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Training speed, {facts['date']}",
        "",
        f"Target tokens per second, end of sentence counted and padding not, median of {facts['turns']} turns of"
        f" {facts['steps']} steps after {facts['warmup']} to warm up; slowest and fastest turn beside it. Batches of at"
        f" most {BATCH_TOKENS:,} tokens a side of {facts['text']}, vocabulary {VOCAB_SIZE:,} (joint, tied), dropout"
        f" {DROPOUT}, label smoothing {SMOOTHING}, fused Adam; no compilation."
        " Made by `python benchmarks/translation_train.py`.",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items() if value != {}),
    ]
    for run in facts["sizes"]:
        size = run["size"]
        lines += [
            "",
            f"## {size['name']}: width {size['embed_dim']}, {size['depth']} + {size['depth']} layers,"
            f" {size['num_heads']} heads, MLP {size['mlp_dim']}",
            "",
            "| system | parameters | tokens/s | slowest | fastest | peak memory, MiB | first loss | last loss |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {r['system']} | {r['parameters']:,} | {r['tokens_per_second']:,.0f} | {r['slowest']:,.0f}"
            f" | {r['fastest']:,.0f} | {r['peak_mib']:,.0f} | {r['first_loss']:.3f} | {r['last_loss']:.3f} |"
            for r in run["results"]
        ]
        if found := run["ratio"]:
            lines += [
                "",
                f"**{found['of']}** takes in **{found['median']:.2f}** times what {found['over']} does"
                f" ({found['least']:.2f} to {found['most']:.2f} by turn).",
            ]
    return "\n".join(
        [*lines, "", "Losses are not comparable: each system smooths in its own way; JoeyNMT's is a KL divergence.", ""]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="of each turn")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the first turn")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--joeynmt", metavar="PYTHON", help="an interpreter whose environment has joeynmt")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        text = prepare(folder, options.warmup + options.turns * options.steps)
        facts: dict[str, Any] = {
            "date": date.today().isoformat(),
            "text": text,
            "turns": options.turns,
            "steps": options.steps,
            "warmup": options.warmup,
            "machine": machine(options),
            "sizes": [],
        }
        for name in options.sizes:
            results = measure(SIZES[name], folder, options)
            recipe = attnkit_recipe(SIZES[name], "auto").model_dump(mode="json")
            facts["sizes"].append(
                {"size": asdict(SIZES[name]), "results": results, "ratio": ratio(results), "recipe": recipe}
            )
    keep(options.out, "translation_train", facts, report(facts))


if __name__ == "__main__":
    main()
