"""A trained network whose predictions another one learns: the distillation of Touvron et al. 2020 (DeiT), section 4."""

from collections.abc import Sequence
from pathlib import Path

import torch
from ruamel.yaml import YAML
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.data.classification.config import ImageConfig
from attnkit.engine.checkpoint import fit_weights, load_tensors
from attnkit.errors import AttnkitError
from attnkit.models.build import build_model
from attnkit.models.config import ViTConfig
from attnkit.recipes.classification.recipe import ClassificationRecipe, TeacherConfig
from attnkit.run_dir import open_run


class Teacher:
    """A trained network that teaches. It is no module: its weights are neither trained nor saved with the task's."""

    def __init__(self, config: TeacherConfig, model: nn.Module, *, image: ImageConfig, student: ImageConfig) -> None:
        """Let a model teach.

        Args:
            config: how.
            model: from images to logits (B, K) of the student's classes, on the student's device.
            image: what the teacher was trained on.
            student: what the images are prepared for.
        """
        self.config = config
        self._model = model.eval().requires_grad_(False)
        std, own_std = torch.tensor(student.std), torch.tensor(image.std)
        self._scale = std / own_std
        self._shift = (torch.tensor(student.mean) - torch.tensor(image.mean)) / own_std

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """(B, K) the teacher's logits of images (B, 3, S, S) that were normalised for the student."""
        scale, shift = (values.to(images.device).view(3, 1, 1) for values in (self._scale, self._shift))
        logits: Tensor = self._model(images * scale + shift).float()
        return logits

    def loss(self, logits: Tensor, images: Tensor) -> Tensor:
        """How far a student's logits (B, K) are from the teacher's, a mean over the images.

        hard: cross entropy with the teacher's decision (equation 3); soft: tau^2 KL of the two at temperature tau
        (equation 2).
        """
        taught = self.logits(images)
        if self.config.form == "hard":
            return F.cross_entropy(logits.float(), taught.argmax(dim=1))
        tau = self.config.temperature
        ours, theirs = ((scores.float() / tau).log_softmax(dim=1) for scores in (logits, taught))
        return tau**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def open_teacher(
    config: TeacherConfig, *, student: ImageConfig, class_names: Sequence[str], device: torch.device
) -> Teacher:
    """Load the run that a recipe names as its teacher.

    Raises:
        CheckpointError: it is no run, or nothing was saved in it.
        AttnkitError: it tells other classes apart, or takes images of another size only.
    """
    run = open_run(Path(config.from_))
    recipe = ClassificationRecipe.model_validate(YAML(typ="safe", pure=True).load(run.recipe))
    path = run.weights()
    tensors, facts = load_tensors(path)
    if facts.get("classes") != list(class_names):
        raise AttnkitError(
            f"loss.teacher.from: {run.path} knows other classes; expected the {len(class_names)} of the data, "
            f"'{class_names[0]}' first; take a teacher of the same data"
        )
    if isinstance(recipe.model, ViTConfig) and recipe.image.size != student.size:
        raise AttnkitError(
            f"loss.teacher.from: {run.path} is a ViT for images of {recipe.image.size} pixels; "
            f"expected image.size {student.size}; set image.size, or take a Swin or ResNet for a teacher"
        )
    model = build_model(recipe.model, num_classes=len(class_names), image_size=recipe.image.size)
    fit_weights(path, tensors, model)
    return Teacher(config, model.to(device), image=recipe.image, student=student)
