"""The training loop: the calendar of scoring and saving around the steps that `optimize` yields."""

import shlex
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from attnkit.engine import checkpoint
from attnkit.engine.config import TrainConfig
from attnkit.engine.distributed import Ranks
from attnkit.engine.ema import Ema
from attnkit.engine.evaluate import evaluate
from attnkit.engine.interrupt import StopRequest
from attnkit.engine.log import RunLog
from attnkit.engine.memory import give_back_pages, keep_pages
from attnkit.engine.optimize import TrainState, forever, forever_dealt, optimize
from attnkit.engine.optimizer import build_optimizer
from attnkit.engine.schedule import Schedule
from attnkit.engine.task import Batch, Task, TrainData, ValidData
from attnkit.errors import CheckpointError, Interrupted
from attnkit.run_dir import RunDir


@dataclass(frozen=True)
class Parts:
    """What `fit` trains and with what; built by the recipe."""

    task: Task
    train: TrainData[Batch]
    valid: ValidData | None
    schedule: Schedule


def fit(parts: Parts, config: TrainConfig, run: RunDir, log: RunLog, *, device: torch.device, resume: bool) -> None:
    """Train, score and save by the calendar of `config`; at the end write the result, `run.model`.

    Raises:
        Interrupted: a signal came; the state is saved.
        TrainingError, CheckpointError, DataError: as their names say.
    """
    keep_pages()
    stop = StopRequest()
    ranks = Ranks.here(lambda: stop.requested)
    if ranks.is_main:
        ranks.barrier()  # what all read from disk (tokenizers, caches) is there; see wait_for_main
    task = parts.task.to(device).train()
    ranks.broadcast(task)
    optimizer = build_optimizer(config.optimizer, task.model)
    ema = Ema(task.model, config.ema_decay) if config.ema_decay else None
    state = TrainState()
    if resume and run.resume.is_file():
        state = _restore(run, task, optimizer, ema)
    if resume and ranks.is_main:
        _forget_later(run, state.step)
    log.resume(state.step, state.seconds)
    batches = forever(parts.train, state) if ranks.count == 1 else forever_dealt(parts.train, state, ranks)
    steps = optimize(task, batches, optimizer, parts.schedule, config, state, device=device, warn=log.warn, ranks=ranks)
    with stop, log.progress(state.step, config.steps, seconds_left=state.seconds_left(config)):
        for step in steps:
            if ema:
                ema.update(task.model, step.step)
            over = state.over(config)
            # also before each save, or a resumed run would write other means than an uninterrupted one
            due = over or ranks.stopping or step.step % config.save_every == 0 or step.step % config.log_every == 0
            log.step(step, epoch=state.epoch, due=due)
            if parts.valid is not None and (over or step.step % config.validate_every == 0):
                if ranks.is_main:
                    with ranks.all_threads():
                        _validate(parts, config, run, state, ema, log, device=device)
                _take(ranks.broadcast_object(asdict(state)), state)
            if over or state.over(config) or ranks.stopping or step.step % config.save_every == 0:
                ranks.check_weights(state.step, list(task.parameters()))
                if ranks.is_main:
                    _save(run, config, state, task, optimizer, ema)
                give_back_pages()
            if ranks.stopping and not state.over(config):
                ranks.barrier()
                raise Interrupted(
                    f"stopped at step {state.step} of {config.steps}; everything is saved; go on with: "
                    f"attnkit train --resume --run {shlex.quote(str(run.path))}"
                )
        if ranks.is_main:
            with ranks.all_threads():
                _finish(parts, config, run, state, log, device=device)


def _take(facts: dict[str, Any], state: TrainState) -> None:
    for name, value in facts.items():
        setattr(state, name, value)


def _validate(
    parts: Parts,
    config: TrainConfig,
    run: RunDir,
    state: TrainState,
    ema: Ema | None,
    log: RunLog,
    *,
    device: torch.device,
) -> None:
    """Score the weights (their average, where one is kept) and keep them if they are the best so far."""
    assert parts.valid is not None
    started = time.perf_counter()
    task = parts.task
    with _averaged(ema, task):
        scores = evaluate(task, parts.valid, device=device, precision=config.precision)
        is_best = state.best is None or scores[task.score] > state.best
        if is_best:
            checkpoint.save_weights(run.best, task.model, {**task.facts, "step": state.step, "scores": scores})
    if is_best:
        state.best, state.best_step, state.worse = scores[task.score], state.step, 0
    else:
        state.worse += 1
    state.seconds += time.perf_counter() - started
    log.validation(state.step, scores, is_best=is_best)


def _averaged(ema: Ema | None, task: Task) -> AbstractContextManager[None]:
    return ema.applied(task.model) if ema else nullcontext()


def _save(
    run: RunDir, config: TrainConfig, state: TrainState, task: Task, optimizer: Optimizer, ema: Ema | None
) -> None:
    """Write the step's weights, then all that resuming needs, then forget the oldest weights."""
    with _averaged(ema, task):
        checkpoint.save_weights(run.step(state.step), task.model, {**task.facts, "step": state.step})
    tensors = {f"model/{name}": tensor for name, tensor in checkpoint.named_weights(task.model).items()}
    tensors |= {f"optimizer/{name}": t for name, t in checkpoint.optimizer_tensors(optimizer, task.model).items()}
    if ema:
        tensors |= {f"ema/{name}": tensor for name, tensor in ema.weights.items()}
    checkpoint.save_tensors(run.resume, tensors, asdict(state))
    for old in run.steps()[: -config.keep_last]:
        old.unlink()


def _restore(run: RunDir, task: Task, optimizer: Optimizer, ema: Ema | None) -> TrainState:
    """Put everything back as `_save` found it."""
    tensors, facts = checkpoint.load_tensors(run.resume)
    if facts.keys() != asdict(TrainState()).keys():
        raise CheckpointError(
            f"{run.resume}: holds no training state; expected the file that attnkit train wrote there; "
            "put it back, or train anew into another --run"
        )
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "ema": {}}
    for full_name, tensor in tensors.items():
        part, name = full_name.split("/", 1)
        parts[part][name] = tensor
    checkpoint.fit_weights(run.resume, parts["model"], task.model)
    checkpoint.restore_optimizer(optimizer, task.model, parts["optimizer"])
    if ema:
        for name, weight in ema.weights.items():
            weight.copy_(parts["ema"].get(name, parts["model"][name]))  # a resumed run may begin to average
    return TrainState(**facts)


def _forget_later(run: RunDir, step: int) -> None:
    """Remove weights of later steps than the state that is resumed: a process wrote them and was killed in between."""
    for later in run.steps():
        if later > run.step(step):
            later.unlink()


def _finish(
    parts: Parts, config: TrainConfig, run: RunDir, state: TrainState, log: RunLog, *, device: torch.device
) -> None:
    """Average the last checkpoints; the result is the average, or the best single one if that scores higher."""
    task = parts.task
    last = run.steps()[-config.average_last :]
    checkpoint.fit_weights(last[-1], checkpoint.average_weights(last), task.model)
    facts: dict[str, Any] = {**task.facts, "step": state.step, "averaged": [path.stem for path in last]}
    if parts.valid is not None:
        scores = evaluate(task, parts.valid, device=device, precision=config.precision)
        log.average(state.step, len(last), scores)
        if state.best is not None and scores[task.score] < state.best:
            facts = {"best": True, **checkpoint.load_weights(run.best, task.model)}
    checkpoint.save_weights(run.model, task.model, facts)
