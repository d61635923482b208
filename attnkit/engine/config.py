"""The part of a recipe about training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attnkit.config import MOST, Config, Count, NonNegative, Positive, Seed


class AdamConfig(Config):
    """Adam (Kingma and Ba 2015). The defaults are those of the Transformer paper."""

    name: Literal["adam"] = "adam"
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    """This share of the mean of gradients is kept at each step."""
    beta2: float = Field(default=0.98, ge=0.0, lt=1.0)
    """This share of the mean of squared gradients is kept at each step."""
    eps: Positive = 1e-9
    """This number is added to the root of the mean square that gradients are divided by."""


class AdamWConfig(Config):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019). Biases, norms and embeddings do not decay."""

    name: Literal["adamw"]
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    """This share of the mean of gradients is kept at each step."""
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    """This share of the mean of squared gradients is kept at each step."""
    eps: Positive = 1e-8
    """This number is added to the root of the mean square that gradients are divided by."""
    weight_decay: NonNegative = 0.01
    """Each step takes the learning rate times this share off the weights."""
    layer_decay: float = Field(default=1.0, gt=0.0, le=1.0)
    """The learning rate of each layer is that of the layer above it times this factor; 1 is the same rate for all."""
    decay_biases: bool = False
    """Whether biases of linear layers and convolutions decay too, as in mmdetection's configs of Swin; those of norms
    never do."""


class SgdConfig(Config):
    """Gradient descent with momentum, with which the ViT paper fine-tunes. Its weight decay is part of the gradient."""

    name: Literal["sgd"]
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    """This share of the last update is added to the next one."""
    nesterov: bool = False
    """Whether the momentum is Nesterov's."""
    weight_decay: NonNegative = 0.0
    """The weights times this factor are added to their gradients."""

    @model_validator(mode="after")
    def nesterov_needs_momentum(self) -> "SgdConfig":
        """Refuse Nesterov's step without momentum."""
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov: needs momentum, which is 0; expected more than 0; change one of the two")
        return self


OptimizerConfig = Annotated[AdamConfig | AdamWConfig | SgdConfig, Field(discriminator="name")]


class InverseSqrtConfig(Config):
    """Linear warm-up, then the inverse square root of the step (the paper's section 5.3)."""

    name: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup_steps: Count = 4000
    """The learning rate rises for this many steps."""
    lr: Positive | None = None
    """The learning rate at the end of the warm-up; none is the paper's embed_dim**-0.5 * warmup_steps**-0.5."""


class CosineConfig(Config):
    """Linear warm-up, then half a cosine down to `final_lr` at the last step."""

    name: Literal["cosine"]
    lr: Positive
    """The learning rate at the end of the warm-up."""
    warmup_steps: int = Field(default=0, ge=0, le=MOST)
    """The learning rate rises for this many steps."""
    final_lr: NonNegative = 0.0
    """The learning rate at the last step."""


class PolyConfig(Config):
    """Linear warm-up, then (1 - progress) ** power."""

    name: Literal["poly"]
    lr: Positive
    """The learning rate at the end of the warm-up."""
    warmup_steps: int = Field(default=0, ge=0, le=MOST)
    """The learning rate rises for this many steps."""
    power: Positive = 1.0
    """The exponent of the decay; 1 is a straight line."""
    final_lr: NonNegative = 0.0
    """The learning rate at the last step."""


class MultiStepConfig(Config):
    """Linear warm-up, then the rate times `gamma` at each milestone."""

    name: Literal["multi_step"]
    lr: Positive
    """The learning rate at the end of the warm-up."""
    warmup_steps: int = Field(default=0, ge=0, le=MOST)
    """The learning rate rises for this many steps."""
    milestones: tuple[Count, ...] = ()
    """The learning rate changes after each of these steps."""
    gamma: Positive = 0.1
    """The factor by which the learning rate changes at a milestone."""


ScheduleConfig = Annotated[InverseSqrtConfig | CosineConfig | PolyConfig | MultiStepConfig, Field(discriminator="name")]


class TrainConfig(Config):
    """How a model is optimised, and when it is scored and saved. Knows no task."""

    steps: Count
    """The number of optimizer steps."""
    seed: Seed = 1
    """The seed of the initial weights, of the order of the data and of dropout."""
    accumulate: Count = 1
    """The number of batches per optimizer step; the gradient is that of one batch of all their targets."""
    optimizer: OptimizerConfig = AdamConfig()
    """How gradients change the weights."""
    schedule: ScheduleConfig = InverseSqrtConfig()
    """How the learning rate depends on the step."""
    clip_norm: Positive | None = None
    """Gradients are scaled down to this norm, taken over all of them together, where it is larger."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """The numbers of matrix products; `auto` is bfloat16 where the processor computes in it, else float32."""
    compile: bool = False
    """Whether torch.compile compiles the model: slow first steps, faster ones after; a CPU needs a C++ compiler."""
    ema_decay: float | None = Field(default=None, gt=0.0, lt=1.0)
    """The decay of an exponential moving average of the weights, which is then scored and kept; none is no average."""
    log_every: Count = 50
    """Numbers are logged each time after this many steps."""
    validate_every: Count = 1000
    """The validation set is scored each time after this many steps."""
    save_every: Count = 1000
    """Everything is saved each time after this many steps."""
    keep_last: Count = 5
    """The number of step checkpoints that are kept."""
    average_last: Count = 5
    """The final weights are the mean of this many step checkpoints, unless the best single one scores higher."""
    patience: Count | None = None
    """Training stops after this many validations without a better score."""
    max_minutes: Positive | None = None
    """Training stops after this many minutes, counted over all resumes."""
    tensorboard: bool = False
    """Whether the numbers of metrics.jsonl are also written for TensorBoard, into the run's folder `tensorboard`."""

    @model_validator(mode="after")
    def keeps_what_it_averages(self) -> "TrainConfig":
        """Refuse to average more checkpoints than are kept."""
        if self.average_last > self.keep_last:
            raise ValueError(
                f"average_last {self.average_last} is above keep_last {self.keep_last}; raise keep_last to it"
            )
        return self
