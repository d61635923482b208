"""How long does translating 1,000 sentences take, beside transformers, CTranslate2 and JoeyNMT with the same weights?

Every system searches with a beam of the same size for the same token ids of Multi30k's test_2016_flickr, in float32.
Each runs in a process of its own, with the batch size that is best for it (found beforehand), and they take turns, so
that whatever else the machine does meets all of them alike. Tokenisation and loading are not counted. The processes
that are timed are fresh ones, so that their peak memory is that of the chosen batch size.

    ATTNKIT_DATA=... python benchmarks/translation_decode.py --run runs/multi30k_en_de [--joeynmt PYTHON]

Without --run the weights are random, which never end a sentence: then every output has as many tokens, and neither
translations nor scores mean anything.

transformers holds the weights as MarianMTModel where they are post-norm, and as Pegasus, the same code pre-norm, where
they are pre-norm. CTranslate2 gets them by `attnkit export`. JoeyNMT 2.3.0 wants protobuf < 3.21, so give it an
environment of its own, and the dependency that it does not name: `pip install joeynmt importlib_metadata`; --joeynmt is
that environment's interpreter.
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
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from measured import Child, keep, peak_mib, questions, take_stdout

TEST = {"src": "multi30k/test_2016_flickr.en.gz", "tgt": "multi30k/test_2016_flickr.de.gz"}
MAX_LENGTH = 100
RANDOM_LENGTH = 16
RANDOM_MODEL = {"embed_dim": 128, "encoder_depth": 4, "decoder_depth": 4, "num_heads": 4, "mlp_dim": 256}
RANDOM_VOCAB_SIZE = 10_000
PAD, UNK, BOS, EOS = range(4)

Sentences = list[list[int]]
Translate = Callable[[dict[str, int]], Sentences]
"""From a setting (batch size, workers) to the ids of the best hypotheses, in the order of the sources."""


# the systems: each makes the function that translates all sentences; run in a child process


def attnkit_system(folder: Path, threads: int) -> Translate:
    import torch
    from safetensors.torch import load_model

    from attnkit.decoding.config import DecodeConfig
    from attnkit.decoding.search import search
    from attnkit.engine.memory import keep_pages
    from attnkit.models.config import TransformerConfig
    from attnkit.models.decoder_state import DecoderState
    from attnkit.models.transformer import Transformer

    keep_pages()
    facts = read(folder)
    model = Transformer(TransformerConfig.model_validate(facts["model"]), **facts["vocabulary"], pad_id=PAD)
    load_model(model, folder / "model.safetensors")
    model.eval().pack()
    config = DecodeConfig(
        beam_size=facts["beam"],
        length_penalty={"form": "power", "alpha": facts["alpha"]},
        min_length=facts["min_length"],
        allow_unknown=True,
    )

    @torch.inference_mode()
    def translate(setting: dict[str, int]) -> Sentences:
        def some(sources: Sentences) -> Sentences:
            found = search(
                DecoderState(model, padded(sources)),
                config,
                max_lengths=torch.full((len(sources),), facts["max_length"]),
                bos_id=BOS,
                eos_id=EOS,
                pad_id=PAD,
                unk_id=UNK,
            )
            return [hypotheses[0].tokens for hypotheses in found]

        return by_length(facts["sources"], setting["batch_size"], some)

    return translate


def transformers_system(folder: Path, threads: int) -> Translate:
    import torch
    from transformers import GenerationConfig

    facts = read(folder)
    model = transformers_model(facts, folder)
    generation = GenerationConfig(
        num_beams=facts["beam"],
        length_penalty=facts["alpha"],
        early_stopping=True,  # as soon as there are num_beams finished hypotheses, as the others do
        do_sample=False,
        max_new_tokens=facts["max_length"],
        min_new_tokens=facts["min_length"],
        decoder_start_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )

    @torch.inference_mode()
    def translate(setting: dict[str, int]) -> Sentences:
        def some(sources: Sentences) -> Sentences:
            src = padded(sources)
            out = model.generate(input_ids=src, attention_mask=(src != PAD).long(), generation_config=generation)
            return [until_end(ids) for ids in out[:, 1:].tolist()]

        return by_length(facts["sources"], setting["batch_size"], some)

    return translate


def transformers_model(facts: dict[str, Any], folder: Path) -> Any:
    """MarianMTModel for post-norm, PegasusForConditionalGeneration for pre-norm, with the weights of the run."""
    import torch
    from safetensors.torch import load_file
    from transformers import MarianConfig, MarianMTModel, PegasusConfig, PegasusForConditionalGeneration

    from attnkit.models.layers.positions import sinusoidal_positions

    own = facts["model"]
    make_config, make_model = {
        "post": (MarianConfig, MarianMTModel),
        "pre": (PegasusConfig, PegasusForConditionalGeneration),
    }[own["norm"]]
    config = make_config(
        vocab_size=facts["vocabulary"]["tgt_vocab_size"],
        d_model=own["embed_dim"],
        encoder_layers=own["encoder_depth"],
        decoder_layers=own["decoder_depth"],
        encoder_attention_heads=own["num_heads"],
        decoder_attention_heads=own["num_heads"],
        encoder_ffn_dim=own["mlp_dim"],
        decoder_ffn_dim=own["mlp_dim"],
        activation_function=own["activation"],
        scale_embedding=True,
        max_position_embeddings=512,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        forced_eos_token_id=None,
        decoder_start_token_id=BOS,
    )
    model = make_model(config).eval()
    weights = {f"model.{name}": tensor for name, tensor in transformers_names(load_file(folder / "model.safetensors"))}
    table = sinusoidal_positions(torch.arange(512), own["embed_dim"])
    for stack in ("encoder", "decoder"):
        weights[f"model.{stack}.embed_positions.weight"] = table
        weights[f"model.{stack}.embed_tokens.weight"] = weights["model.shared.weight"]
    weights["lm_head.weight"] = weights["model.shared.weight"]
    weights["final_logits_bias"] = torch.zeros(1, config.vocab_size)
    missing = model.load_state_dict(weights)
    assert not missing.missing_keys, missing
    return model


def transformers_names(weights: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The weights of a Transformer with one vocabulary, under the names of Marian and Pegasus."""
    for name, tensor in fused_apart(weights):
        if name in ("src_embedding.weight", "tgt_embedding.weight"):  # one tensor, under one of the two names
            yield "shared.weight", tensor
        elif name.startswith(("encoder_norm", "decoder_norm")):
            yield name.replace("_norm.", ".layer_norm."), tensor
        elif name.startswith(("encoder.", "decoder.")):
            for old, new in (
                ("encoder.", "encoder.layers."),
                ("decoder.", "decoder.layers."),
                ("self_attention.out.", "self_attn.out_proj."),
                ("self_attention.", "self_attn."),
                ("cross_attention.out.", "encoder_attn.out_proj."),
                ("cross_attention.", "encoder_attn."),
                (".q.", ".q_proj."),
                (".k.", ".k_proj."),
                (".v.", ".v_proj."),
                ("mlp.up.", "fc1."),
                ("mlp.down.", "fc2."),
                ("self_residual.norm.", "self_attn_layer_norm."),
                ("cross_residual.norm.", "encoder_attn_layer_norm."),
                ("mlp_residual.norm.", "final_layer_norm."),
            ):
                name = name.replace(old, new)
            yield name, tensor


def ctranslate2_system(folder: Path, threads: int) -> Translate:
    import ctranslate2

    facts = read(folder)
    pieces, words = facts["src_pieces"], facts["tgt_pieces"]
    ids = {word: number for number, word in enumerate(words)}
    sources = [[pieces[number] for number in source] for source in facts["sources"]]
    translators: dict[int, Any] = {}

    def translate(setting: dict[str, int]) -> Sentences:
        workers = setting["workers"]
        if workers not in translators:
            translators.clear()
            translators[workers] = ctranslate2.Translator(
                str(folder / "ct2"), compute_type="float32", inter_threads=workers, intra_threads=threads // workers
            )
        results = translators[workers].translate_batch(
            sources,
            max_batch_size=setting["batch_size"],
            beam_size=facts["beam"],
            length_penalty=facts["alpha"],
            max_decoding_length=facts["max_length"],
            min_decoding_length=facts["min_length"],
            max_input_length=0,
        )
        return [[ids[word] for word in result.hypotheses[0]] for result in results]

    return translate


def joeynmt_system(folder: Path, threads: int) -> Translate:
    import torch
    from joeynmt.batch import Batch
    from joeynmt.search import search

    facts = read(folder)
    model = joeynmt_model(facts, folder)

    def translate(setting: dict[str, int]) -> Sentences:
        def some(sources: Sentences) -> Sentences:  # longest first already
            src = padded(sources)
            batch = Batch(
                src=swapped(src),
                src_length=(src != PAD).sum(dim=1),
                src_prompt_mask=None,
                trg=None,
                trg_prompt_mask=None,
                indices=torch.arange(len(src)),
                device=src.device,
                pad_index=1,
                eos_index=EOS,
                is_train=False,
            )
            out, *_ = search(
                model,
                batch,
                max_output_length=facts["max_length"],
                min_output_length=facts["min_length"],
                beam_size=facts["beam"],
                beam_alpha=facts["alpha"],
            )
            return [until_end(ids) for ids in swapped(torch.as_tensor(out)).tolist()]

        return by_length(facts["sources"], setting["batch_size"], some)

    return translate


def joeynmt_model(facts: dict[str, Any], folder: Path) -> Any:
    import torch
    from joeynmt.model import build_model
    from joeynmt.vocabulary import Vocabulary
    from safetensors.torch import load_file

    own = facts["model"]
    words = [f"word{number}" for number in range(facts["vocabulary"]["tgt_vocab_size"] - 4)]
    specials = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "sep_token": None}
    ids = {"unk_id": 0, "pad_id": 1, "bos_id": 2, "eos_id": 3}  # it can have them in this order only
    vocabulary = Vocabulary(words, SimpleNamespace(**specials, **ids, lang_tags=[]))
    stacks = {
        stack: {
            "type": "transformer",
            "num_layers": own[f"{stack}_depth"],
            "num_heads": own["num_heads"],
            "hidden_size": own["embed_dim"],
            "ff_size": own["mlp_dim"],
            "layer_norm": own["norm"],
            "embeddings": {"embedding_dim": own["embed_dim"], "scale": True},
        }
        for stack in ("encoder", "decoder")
    }
    model = build_model({"tied_embeddings": True, "tied_softmax": True, **stacks}, vocabulary, vocabulary).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5
    weights = dict(joeynmt_names(load_file(folder / "model.safetensors")))
    order = [1, 0, *range(2, len(vocabulary))]
    embedding = weights.pop("embedding")[order]
    for name in ("src_embed.lut.weight", "trg_embed.lut.weight", "decoder.output_layer.weight"):
        weights[name] = embedding
    found = model.load_state_dict(weights, strict=False)
    assert not found.unexpected_keys, found
    assert {name.rpartition(".")[2] for name in found.missing_keys} <= {"pe"}, found
    return model


def joeynmt_names(weights: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The weights of a Transformer with one vocabulary, under JoeyNMT's names."""
    for name, tensor in fused_apart(weights):
        if name in ("src_embedding.weight", "tgt_embedding.weight"):  # one tensor, under one of the two names
            yield "embedding", tensor
        elif name.startswith(("encoder_norm", "decoder_norm")):
            yield name.replace("_norm.", ".layer_norm."), tensor
        elif name.startswith(("encoder.", "decoder.")):
            in_encoder = name.startswith("encoder.")
            for old, new in (
                ("encoder.", "encoder.layers."),
                ("decoder.", "decoder.layers."),
                ("self_attention.", "src_src_att." if in_encoder else "trg_trg_att."),
                ("cross_attention.", "src_trg_att."),
                (".q.", ".q_layer."),
                (".k.", ".k_layer."),
                (".v.", ".v_layer."),
                (".out.", ".output_layer."),
                ("mlp.up.", "feed_forward.pwff_layer.0."),
                ("mlp.down.", "feed_forward.pwff_layer.3."),
                ("self_residual.norm.", "layer_norm." if in_encoder else "x_layer_norm."),
                ("cross_residual.norm.", "dec_layer_norm."),
                ("mlp_residual.norm.", "feed_forward.layer_norm."),
            ):
                name = name.replace(old, new)
            yield name, tensor


def swapped(tokens: Any) -> Any:
    """JoeyNMT's ids of padding and unknown, which are the other way round, from attnkit's or back."""
    import torch

    return torch.where(tokens < 2, 1 - tokens, tokens)


def fused_apart(weights: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Queries, keys and values as matrices of their own."""
    for name, tensor in weights.items():
        layer, _, kind = name.rpartition(".")
        fused = layer.rpartition(".")[2]
        if fused in ("qkv", "kv"):
            for letter, part in zip(fused, tensor.chunk(len(fused)), strict=True):
                yield f"{layer.removesuffix(fused)}{letter}.{kind}", part
        else:
            yield name, tensor


SYSTEMS = {
    "attnkit": attnkit_system,
    "CTranslate2": ctranslate2_system,
    "transformers": transformers_system,
    "JoeyNMT": joeynmt_system,
}


def settings_of(system: str, threads: int) -> list[dict[str, int]]:
    """What each system may choose from."""
    if system == "CTranslate2":
        workers = sorted({1, threads})
        return [{"batch_size": size, "workers": some} for size in (16, 32, 64, 128) for some in workers]
    sizes = (8, 16, 32, 64) if system == "JoeyNMT" else (16, 32, 64, 128, 256)
    return [{"batch_size": size} for size in sizes]


def padded(sources: Sentences) -> Any:
    """(B, S) ids with the end of sentence, padded on the right."""
    import torch

    src = torch.full((len(sources), max(map(len, sources)) + 1), PAD)
    for row, ids in zip(src, sources, strict=True):
        row[: len(ids) + 1] = torch.tensor([*ids, EOS])
    return src


def until_end(ids: Sequence[int]) -> list[int]:
    ends = [place for place, number in enumerate(ids) if number in (EOS, PAD)]
    return list(ids[: ends[0]]) if ends else list(ids)


def by_length(sources: Sentences, batch_size: int, some: Callable[[Sentences], Sentences]) -> Sentences:
    """Translate batches of like length, longest first; give the outputs in the order of the sources."""
    order = sorted(range(len(sources)), key=lambda number: -len(sources[number]))
    outputs: Sentences = [[] for _ in sources]
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        for row, ids in zip(rows, some([sources[row] for row in rows]), strict=True):
            outputs[row] = ids
    return outputs


def read(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return facts


# the child process: translates once for every setting that comes in


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    if order["system"] != "CTranslate2":
        import torch

        torch.set_num_threads(order["threads"])
    translate = SYSTEMS[order["system"]](Path(order["folder"]), order["threads"])
    answer({"loaded_mib": peak_mib()})
    for setting in questions():
        started, cpu_started = time.perf_counter(), time.process_time()
        outputs = translate(setting)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        answer({"seconds": seconds, "cpu_seconds": cpu_seconds, "outputs": outputs, "peak_mib": peak_mib()})


class System(Child):
    """A system at work in its own process."""

    def __init__(self, system: str, folder: Path, options: argparse.Namespace) -> None:
        self.system = system
        order = {"system": system, "folder": str(folder), "threads": options.threads}
        python = options.joeynmt if system == "JoeyNMT" else sys.executable
        super().__init__(system, __file__, order, python=python, environment={"TOKENIZERS_PARALLELISM": "false"})
        self.turns: list[dict[str, Any]] = []

    def turn(self, setting: dict[str, int]) -> dict[str, Any]:
        """Translate all sentences once."""
        return self.ask(setting)


# the parent process


def prepare(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Weights, sentences and CTranslate2's files for all systems; returns what the parent needs itself."""
    from safetensors.torch import save_model

    from attnkit.interop.ctranslate2 import build_spec

    model, src_tokenizer, tgt_tokenizer, sources, references = (
        trained(options) if options.run else random_weights(options)
    )
    config = model.config
    assert (config.tied_embeddings, config.positions) == ("all", "sinusoidal"), "the peers have no other model"
    save_model(model, str(folder / "model.safetensors"))
    (folder / "ct2").mkdir()
    build_spec(model, src_tokenizer, tgt_tokenizer).save(str(folder / "ct2"))
    src_pieces, tgt_pieces = (
        tokenizer.pieces(range(tokenizer.vocab_size)) for tokenizer in (src_tokenizer, tgt_tokenizer)
    )
    facts = {
        "model": config.model_dump(mode="json"),
        "vocabulary": {"src_vocab_size": src_tokenizer.vocab_size, "tgt_vocab_size": tgt_tokenizer.vocab_size},
        "sources": sources,
        "src_pieces": src_pieces,
        "tgt_pieces": tgt_pieces,
        "beam": options.beam,
        "alpha": options.alpha,
        "min_length": 0 if options.run else RANDOM_LENGTH,
        "max_length": MAX_LENGTH if options.run else RANDOM_LENGTH,
    }
    (folder / "facts.json").write_text(json.dumps(facts))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"facts": facts, "references": references, "decode": tgt_tokenizer.decode, "parameters": parameters}


def trained(options: argparse.Namespace) -> tuple[Any, Any, Any, Sentences, list[str] | None]:
    from attnkit import recipe_file
    from attnkit.data.files import find_file, read_lines
    from attnkit.recipes.translation.translator import load_translator
    from attnkit.run_dir import open_run

    run = open_run(options.run)
    translator = load_translator(recipe_file.load(run.recipe), run, device="cpu")
    src, tgt = (list(islice(read_lines(find_file(name), name), options.sentences)) for name in TEST.values())
    sources = translator.src_tokenizer.encode(src)
    return translator.model.eval(), translator.src_tokenizer, translator.tgt_tokenizer, sources, tgt


def random_weights(options: argparse.Namespace) -> tuple[Any, Any, Any, Sentences, None]:
    import torch

    from attnkit.models.config import TransformerConfig
    from attnkit.models.transformer import Transformer
    from attnkit.tokenizers.lookup import WhitespaceTokenizer

    torch.manual_seed(1)
    tokenizer = WhitespaceTokenizer([f"w{number}" for number in range(RANDOM_VOCAB_SIZE - 4)])
    size = {"src_vocab_size": RANDOM_VOCAB_SIZE, "tgt_vocab_size": RANDOM_VOCAB_SIZE}
    model = Transformer(TransformerConfig.model_validate(RANDOM_MODEL), **size, pad_id=PAD).eval()
    generator = random.Random(1)
    lengths = [max(4, round(generator.gauss(15, 5))) for _ in range(options.sentences)]
    sources = [[generator.randrange(4, RANDOM_VOCAB_SIZE) for _ in range(length)] for length in lengths]
    return model, tokenizer, tokenizer, sources, None


def choose(system: str, folder: Path, options: argparse.Namespace) -> dict[str, int]:
    """The setting that is fastest for a system, each tried twice in turns."""
    child = System(system, folder, options)
    settings = settings_of(system, options.threads)
    child.turn(settings[0])
    seconds = [[child.turn(setting)["seconds"] for setting in settings] for _ in range(options.tries)]
    child.close()
    best = min(range(len(settings)), key=lambda place: min(row[place] for row in seconds))
    print(
        f"{system}: {settings[best]} of {list(zip(settings, zip(*seconds, strict=True), strict=True))}", file=sys.stderr
    )
    return settings[best]


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    systems = [system for system in options.systems if system != "JoeyNMT" or options.joeynmt]
    settings = {system: choose(system, folder, options) for system in systems}
    children = [System(system, folder, options) for system in systems]
    for child in children:
        child.turn(settings[child.system])
    for turn in range(options.turns):
        for child in children[:: 1 if turn % 2 == 0 else -1]:
            child.turns.append(child.turn(settings[child.system]))
        print(f"turn {turn + 1} of {options.turns}", file=sys.stderr, flush=True)
    for child in children:
        child.close()
    return [result_of(child, settings[child.system]) for child in children]


def result_of(child: System, setting: dict[str, int]) -> dict[str, Any]:
    seconds = [turn["seconds"] for turn in child.turns]
    outputs = child.turns[-1]["outputs"]
    return {
        "system": child.system,
        "setting": setting,
        "seconds": median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "cpu_seconds": median(turn["cpu_seconds"] for turn in child.turns),
        "sentences_per_second": len(outputs) / median(seconds),
        "tokens_per_second": sum(len(ids) + 1 for ids in outputs) / median(seconds),
        "loaded_mib": child.about["loaded_mib"],
        "peak_mib": child.turns[-1]["peak_mib"],
        "turns": seconds,
        "outputs": outputs,
    }


def compare(results: list[dict[str, Any]], prepared: dict[str, Any]) -> None:
    """Add to each result what its outputs are worth, and how its time compares with attnkit's, turn by turn."""
    own = next((result for result in results if result["system"] == "attnkit"), None)
    for result in results:
        outputs = result.pop("outputs") if result is not own else result["outputs"]
        if own is not None:
            same = sum(one == other for one, other in zip(outputs, own["outputs"], strict=True))
            result["same_as_attnkit"] = same / len(outputs)
            ratios = [theirs / mine for theirs, mine in zip(result["turns"], own["turns"], strict=True)]
            result["times_attnkit"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
        if prepared["references"] is not None:
            import sacrebleu

            hypotheses = prepared["decode"](outputs)
            result["bleu"] = sacrebleu.corpus_bleu(hypotheses, [prepared["references"]]).score
    if own is not None:
        del own["outputs"]


def machine(options: argparse.Namespace) -> dict[str, Any]:
    from importlib.metadata import version

    import torch

    import attnkit

    names = [line.split(":")[1].strip() for line in lines_of("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "attnkit": attnkit.__version__,
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "ctranslate2": version("ctranslate2"),
        "joeynmt": version_of("joeynmt", options.joeynmt) if options.joeynmt else "not measured",
        "python": platform.python_version(),
        "cpu": names[0] if names else platform.processor(),
        "threads": options.threads,
    }


def lines_of(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def version_of(package: str, python: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def report(facts: dict[str, Any]) -> str:
    model, has_bleu = facts["model"], facts["run"] is not None
    lines = [
        f"# Translation speed, {facts['date']}",
        "",
        f"{facts['sentences']:,} sentences of {facts['text']}, beam {facts['beam']}, length penalty L^{facts['alpha']}"
        f" (JoeyNMT: its GNMT form), float32, the same weights for all: {facts['parameters']:,} parameters, width"
        f" {model['embed_dim']}, {model['encoder_depth']} + {model['decoder_depth']} layers, {model['norm']}-norm,"
        f" vocabulary {facts['vocab_size']:,}, {facts['weights']}. Median of {facts['turns']} turns after one to warm"
        " up, fastest and slowest beside it; each system in its own process with the setting that is best for it.",
        "`python benchmarks/translation_decode.py`",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
        "",
        "| system | setting | seconds | fastest | slowest | CPU seconds | sentences/s | tokens/s | peak memory, MiB"
        + " | of these after loading | same outputs as attnkit |"
        + (" BLEU |" if has_bleu else ""),
        "| --- " * (11 + has_bleu) + "|",
    ]
    for r in facts["results"]:
        setting = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in r["setting"].items())
        lines.append(
            f"| {r['system']} | {setting} | {r['seconds']:.2f} | {r['fastest']:.2f} | {r['slowest']:.2f}"
            f" | {r['cpu_seconds']:.2f} | {r['sentences_per_second']:,.0f} | {r['tokens_per_second']:,.0f}"
            f" | {r['peak_mib']:,.0f} | {r['loaded_mib']:,.0f} | {r.get('same_as_attnkit', float('nan')):.1%} |"
            + (f" {r['bleu']:.2f} |" if has_bleu else "")
        )
    lines.append("")
    for r in facts["results"]:
        if r["system"] != "attnkit" and "times_attnkit" in r:
            ratio = r["times_attnkit"]
            lines.append(
                f"- **{r['system']}** takes **{ratio['median']:.2f}** times as long as attnkit"
                f" ({ratio['least']:.2f} to {ratio['most']:.2f} by turn)."
            )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run folder of Multi30k English-German; random weights without it")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tries", type=int, default=2, help="of each setting, to find the best")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--joeynmt", metavar="PYTHON", help="an interpreter whose environment has joeynmt")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    with tempfile.TemporaryDirectory() as temporary:
        prepared = prepare(Path(temporary), options)
        results = measure(Path(temporary), options)
    compare(results, prepared)
    facts = {
        "date": date.today().isoformat(),
        "text": "Multi30k test_2016_flickr, English to German" if options.run else "random words",
        "weights": "trained" if options.run else f"random: all outputs have {RANDOM_LENGTH} tokens",
        "run": options.run.name if options.run else None,
        "sentences": options.sentences,
        "beam": options.beam,
        "alpha": options.alpha,
        "turns": options.turns,
        "model": prepared["facts"]["model"],
        "vocab_size": prepared["facts"]["vocabulary"]["tgt_vocab_size"],
        "parameters": prepared["parameters"],
        "machine": machine(options),
        "results": results,
    }
    keep(options.out, "translation_decode", facts, report(facts))


if __name__ == "__main__":
    main()
