"""Any network of timm as a classifier of ours. Nothing is ever downloaded: weights are fresh."""

import difflib
from typing import Any

from torch import nn

from attnkit.errors import AttnkitError
from attnkit.models.config import TimmConfig


def timm_model(config: TimmConfig, *, num_classes: int, image_size: int) -> nn.Module:
    """Make the network that the config names, with fresh weights.

    Raises:
        AttnkitError: timm is not installed, has no such network, or cannot make it for images of this size.
    """
    try:
        import timm
    except ImportError as error:
        raise AttnkitError(
            "model.name: 'timm' needs the package timm, which is not installed; "
            "expected it beside attnkit; pip install 'attnkit[timm]'"
        ) from error
    name = config.architecture
    if not timm.is_model(name):
        similar = difflib.get_close_matches(name, timm.list_models(), n=1)
        way_on = f"did you mean '{similar[0]}'?" if similar else "see timm.list_models()"
        raise AttnkitError(
            f"model.architecture: timm {timm.__version__} has no network '{name}'; expected one of its names; {way_on}"
        )
    pretrained = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {} if config.drop_path_rate is None else {"drop_path_rate": config.drop_path_rate}
    if pretrained is not None and pretrained.fixed_input_size:
        options["img_size"] = image_size
    try:
        network: Any = timm.create_model(name, pretrained=False, num_classes=num_classes, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        given = ", ".join(f"{key} {value}" for key, value in options.items())
        raise AttnkitError(
            f"model.architecture: timm's '{name}' cannot be made with {given or 'its defaults'} ({error}); "
            "expected what that network takes; change image.size or model.drop_path_rate"
        ) from error
    network.head_names = _head_names(network)
    return network


def _head_names(network: Any) -> tuple[str, ...]:
    """Names of the layers that give the logits, as timm's own description of the network has them."""
    named = network.pretrained_cfg.get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)
