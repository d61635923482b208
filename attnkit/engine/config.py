"""What a recipe may say about training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attnkit.config import MOST, Config, Count, NonNegative, Positive, Seed


class AdamConfig(Config):
    """Adam (Kingma and Ba 2015). The defaults are those of the Transformer paper."""

    name: Literal["adam"] = "adam"
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.98, ge=0.0, lt=1.0)
    eps: Positive = 1e-9


class AdamWConfig(Config):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019). Biases, norms and embeddings do not decay."""

    name: Literal["adamw"]
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01
    layer_decay: float = Field(default=1.0, gt=0.0, le=1.0)
    """Each layer learns this many times as fast as the one above it; 1 is the same rate for all."""
    decay_biases: bool = False
    """Biases of linear layers and convolutions decay too, as in mmdetection's configs of Swin; norms' do not."""


class SgdConfig(Config):
    """Gradient descent with momentum, which the ViT paper fine-tunes with. Its weight decay is part of the gradient."""

    name: Literal["sgd"]
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    nesterov: bool = False
    weight_decay: NonNegative = 0.0

    @model_validator(mode="after")
    def nesterov_needs_momentum(self) -> SgdConfig:
        """Refuse Nesterov's step without momentum."""
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov: needs momentum, which is 0; expected more than 0; change one of the two")
        return self


OptimizerConfig = Annotated[AdamConfig | AdamWConfig | SgdConfig, Field(discriminator="name")]


class InverseSqrtConfig(Config):
    """Linear warm-up, then the inverse square root of the step (the paper's section 5.3)."""

    name: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup_steps: Count = 4000
    lr: Positive | None = None
    """The peak, reached at the end of the warm-up; none is the paper's embed_dim**-0.5 * warmup_steps**-0.5."""


class CosineConfig(Config):
    """Linear warm-up, then half a cosine down to `final_lr` at the last step."""

    name: Literal["cosine"]
    lr: Positive
    warmup_steps: int = Field(default=0, ge=0, le=MOST)
    final_lr: NonNegative = 0.0


class PolyConfig(Config):
    """Linear warm-up, then (1 - progress) ** power."""

    name: Literal["poly"]
    lr: Positive
    warmup_steps: int = Field(default=0, ge=0, le=MOST)
    power: Positive = 1.0
    final_lr: NonNegative = 0.0


class MultiStepConfig(Config):
    """Linear warm-up, then the rate times `gamma` at each milestone."""

    name: Literal["multi_step"]
    lr: Positive
    warmup_steps: int = Field(default=0, ge=0, le=MOST)
    milestones: tuple[Count, ...] = ()
    gamma: Positive = 0.1


ScheduleConfig = Annotated[InverseSqrtConfig | CosineConfig | PolyConfig | MultiStepConfig, Field(discriminator="name")]


class TrainConfig(Config):
    """How a model is optimised, and when it is scored and saved. Knows no task."""

    steps: Count
    """Optimizer steps."""
    seed: Seed = 1
    accumulate: Count = 1
    """Batches per optimizer step; the gradient is that of one batch of all their targets."""
    optimizer: OptimizerConfig = AdamConfig()
    schedule: ScheduleConfig = InverseSqrtConfig()
    clip_norm: Positive | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` is what is fastest on this machine: bfloat16 where the processor computes in it, else float32."""
    compile: bool = False
    """Compile the model by torch.compile: slow first steps, faster ones after; needs a C++ compiler on a CPU."""
    ema_decay: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Keep an exponential moving average of the weights; it is what is scored and kept."""
    log_every: Count = 50
    validate_every: Count = 1000
    save_every: Count = 1000
    keep_last: Count = 5
    """How many step checkpoints are kept."""
    average_last: Count = 5
    """How many of them the final model is the mean of."""
    patience: Count | None = None
    """Stop after this many validations without a better score."""
    max_minutes: Positive | None = None
    """Stop after this much training time, counted over all resumes."""
    tensorboard: bool = False
    """Write what metrics.jsonl holds for TensorBoard too, into the run's folder `tensorboard`."""

    @model_validator(mode="after")
    def keeps_what_it_averages(self) -> TrainConfig:
        """Refuse to average more checkpoints than are kept."""
        if self.average_last > self.keep_last:
            raise ValueError(
                f"average_last {self.average_last} is above keep_last {self.keep_last}; raise keep_last to it"
            )
        return self
