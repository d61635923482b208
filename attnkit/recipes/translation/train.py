"""Train a translation recipe: tokenizer, token cache, batches, model and the loop, wired together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from attnkit.data.config import Split
from attnkit.data.text.batching import Batch, TokenBatches, batches_in_order_of_length
from attnkit.data.text.check import check_parallel_text
from attnkit.data.text.parallel_text import ParallelText
from attnkit.data.text.token_cache import SubwordSampler, build_token_cache
from attnkit.engine.log import RunLog, open_log
from attnkit.engine.loop import Parts, fit
from attnkit.engine.precision import find_device
from attnkit.engine.schedule import build_schedule
from attnkit.errors import DataError
from attnkit.recipes.translation.recipe import TranslationRecipe
from attnkit.recipes.translation.task import build_task
from attnkit.run_dir import RunDir
from attnkit.tokenizers.build import build_tokenizer, load_tokenizers
from attnkit.tokenizers.tokenizer import Tokenizer

Ids = list[list[int]]


def train(
    recipe: TranslationRecipe, run: RunDir, data: Mapping[Split, ParallelText | None], *, resume: bool, device: str
) -> None:
    """Train the model of a recipe in a run folder, from the beginning or from its last checkpoint.

    Raises:
        AttnkitError: whatever the user can fix; the run folder then holds what was saved before.
    """
    chosen = find_device(device)
    log = open_log(run, recipe.train)
    # the head of every file: what is wrong there shows before anything takes long
    check_parallel_text(data, quick=True).raise_or_warn(log.warn)
    pairs = _training_pairs(data)
    src_tokenizer, tgt_tokenizer = _tokenizers(recipe, run, pairs, log)
    task = build_task(recipe, src_tokenizer, tgt_tokenizer)
    train_batches = _train_batches(recipe, pairs, src_tokenizer, tgt_tokenizer, log)
    valid = data["valid"]
    valid_batches = None
    if valid is not None:
        src, task.references = valid.read()
        valid_batches = ValidBatches(
            src_tokenizer.encode(src),
            tgt_tokenizer.encode(task.references),
            (recipe.batch.src_tokens // 2, recipe.batch.tgt_tokens // 2),
        )
        _check_reach(recipe, valid, valid_batches)
    log.say(f"model: {sum(p.numel() for p in task.parameters()):,} parameters, on {chosen}")
    schedule = build_schedule(recipe.train.schedule, steps=recipe.train.steps, embed_dim=recipe.model.embed_dim)
    fit(Parts(task, train_batches, valid_batches, schedule), recipe.train, run, log, device=chosen, resume=resume)


@dataclass(frozen=True)
class ValidBatches:
    """A small set of pairs, longest first; it can be read again and again."""

    src: Ids
    tgt: Ids
    batch_tokens: tuple[int, int]

    def __iter__(self) -> Iterator[Batch]:
        return batches_in_order_of_length(self.src, self.tgt, batch_tokens=self.batch_tokens)


def _check_reach(recipe: TranslationRecipe, pairs: ParallelText, valid: ValidBatches) -> None:
    """Refuse validation sentences, which are not filtered, that a learned table has no positions for."""
    for number, (src, tgt) in enumerate(zip(valid.src, valid.tgt, strict=True), start=1):
        length = max(len(src), len(tgt)) + 1
        if recipe.model.positions == "learned" and length > recipe.model.max_positions:
            raise DataError(
                f"{pairs.src_place(number)}: {length} tokens on one side, but model.max_positions is "
                f"{recipe.model.max_positions}; expected at most that; take the pair out, or use sinusoidal positions"
            )


def _training_pairs(data: Mapping[Split, ParallelText | None]) -> ParallelText:
    pairs = data["train"]
    if pairs is None:
        raise DataError("data.train: none; expected training pairs; name them in the recipe")
    return pairs


def _tokenizers(
    recipe: TranslationRecipe, run: RunDir, pairs: ParallelText, log: RunLog
) -> tuple[Tokenizer, Tokenizer]:
    """Those that the run keeps, or new ones learned from the training text."""
    config = recipe.tokenizer
    names = ["joint"] if config.joint else ["src", "tgt"]
    if all((run.tokenizer / name / "tokenizer.json").is_file() for name in names):
        return load_tokenizers(run.tokenizer)
    log.say(f"tokenizer: learning {config.name} from the training text")
    if config.joint:
        joint = build_tokenizer(config, _both_sides(pairs), run.tokenizer / "joint")
        return joint, joint
    return (
        build_tokenizer(config, pairs.src_lines(), run.tokenizer / "src"),
        build_tokenizer(config, pairs.tgt_lines(), run.tokenizer / "tgt"),
    )


def _both_sides(pairs: ParallelText) -> Iterator[str]:
    for pair in pairs:
        yield pair.src
        yield pair.tgt


def _train_batches(
    recipe: TranslationRecipe,
    pairs: ParallelText,
    src_tokenizer: Tokenizer,
    tgt_tokenizer: Tokenizer,
    log: RunLog,
) -> TokenBatches:
    """The training pairs as batches; what the filter leaves out is said."""
    samples = src_tokenizer.sampling > 0 or tgt_tokenizer.sampling > 0
    cache = build_token_cache(
        pairs,
        src_tokenizer,
        tgt_tokenizer,
        max_length=recipe.filter.max_length,
        max_ratio=recipe.filter.max_ratio,
        keep_text=samples,
    )
    counts = cache.counts
    log.say(
        f"data: {counts.kept:,} of {counts.read:,} training pairs"
        f" ({counts.empty:,} empty, {counts.too_long:,} too long, {counts.uneven:,} of uneven length left out)"
    )
    sampler = SubwordSampler(cache, src_tokenizer, tgt_tokenizer, seed=recipe.train.seed) if samples else None
    return TokenBatches(
        cache,
        batch_tokens=(recipe.batch.src_tokens, recipe.batch.tgt_tokens),
        seed=recipe.train.seed,
        pool=recipe.batch.pool,
        pad_id=tgt_tokenizer.pad_id,
        bos_id=tgt_tokenizer.bos_id,
        eos_id=tgt_tokenizer.eos_id,
        sampler=sampler,
    )
