"""Learning rates by step. Step 1 is the first; every schedule may begin with a linear warm-up."""

import math
from collections.abc import Callable

from attnkit.engine.config import CosineConfig, InverseSqrtConfig, MultiStepConfig, PolyConfig, ScheduleConfig

Schedule = Callable[[int], float]


def build_schedule(config: ScheduleConfig, *, steps: int, embed_dim: int) -> Schedule:
    """The learning rate of each step.

    Args:
        config: which schedule.
        steps: the last step, where cosine and poly end.
        embed_dim: the width that the paper's peak is computed from, where the recipe names none.
    """
    match config:
        case InverseSqrtConfig():
            peak = config.lr or embed_dim**-0.5 * config.warmup_steps**-0.5
            return lambda step: peak * _inverse_sqrt(step, config.warmup_steps)
        case CosineConfig():
            return lambda step: _warm(
                step, config, _between(config, 0.5 + 0.5 * math.cos(math.pi * _past(step, config, steps)))
            )
        case PolyConfig():
            return lambda step: _warm(step, config, _between(config, (1 - _past(step, config, steps)) ** config.power))
        case MultiStepConfig():
            return lambda step: _warm(
                step, config, config.lr * config.gamma ** sum(step > milestone for milestone in config.milestones)
            )


def _inverse_sqrt(step: int, warmup_steps: int) -> float:
    """min(step**-0.5, step * warmup**-1.5) of the paper's equation 3, scaled to 1 at the end of the warm-up."""
    return min(step / warmup_steps, (step / warmup_steps) ** -0.5)


def _warm(step: int, config: CosineConfig | PolyConfig | MultiStepConfig, lr: float) -> float:
    return config.lr * step / config.warmup_steps if step < config.warmup_steps else lr


def _past(step: int, config: CosineConfig | PolyConfig, steps: int) -> float:
    """How much of the way behind the warm-up is done, 0 to 1."""
    return min(1.0, max(0, step - config.warmup_steps) / max(1, steps - config.warmup_steps))


def _between(config: CosineConfig | PolyConfig, share: float) -> float:
    return config.final_lr + (config.lr - config.final_lr) * share
