"""attnkit import: other people's weights as a run."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from attnkit.cli.options import spread_options


class Kernel(StrEnum):
    """Whose way of resizing a position embedding."""

    GOOGLE = "google"
    DEIT = "deit"
    TIMM = "timm"
    TORCHVISION = "torchvision"


class Pixels(StrEnum):
    """Mean and std of the images that weights were trained on."""

    IMAGENET = "imagenet"
    HALF = "half"


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the weights do not say, or what is wanted instead."""

    run: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="The run folder to make  [default: runs/<file name>]")
    ] = None
    position_interpolation: Annotated[
        Kernel | None,
        typer.Option("--position-interpolation", help="How positions are resized  [default: as the source does]"),
    ] = None
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            min=8,
            metavar="N",
            help="Pixels of a side, of a detector the shorter one  [default: those of the weights]",
        ),
    ] = None
    window_size: Annotated[
        int | None, typer.Option("--window-size", min=1, metavar="M", help="Of a Swin: resize its bias tables.")
    ] = None
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="FILE", help="Class names, one per line; or the word imagenet or coco."),
    ] = None
    num_heads: Annotated[
        int | None,
        typer.Option("--num-heads", min=1, metavar="N", help="Attention heads of a ViT of no published size."),
    ] = None
    normalize: Annotated[
        Pixels | None,
        typer.Option("--normalize", help="Mean and std of the images; half is 0.5  [default: as the source does]"),
    ] = None


@spread_options
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A .pth, .pt, .bin, .safetensors or .npz, or a folder of transformers or timm."
        ),
    ],
    options: ImportOptions,
) -> None:
    """Make a run of somebody's weights.

    Known are ViT, DeiT, Swin, ResNet and AlexNet as timm, torchvision, transformers, the official Swin and DeiT and
    Google (.npz) write them; UperNet as mmsegmentation, the official Swin and transformers do; Mask R-CNN, Cascade Mask
    R-CNN and HTC as mmdetection and the official Swin do, Mask R-CNN as torchvision. Nothing in the file is run.

    \b
    Examples:
      attnkit import swin_tiny_patch4_window7_224.pth --classes imagenet
      attnkit import ViT-B_16.npz --image-size 384
      attnkit classify photo.jpg --run runs/ViT-B_16
      attnkit import upernet_swin_tiny_patch4_window7_512x512.pth --run runs/streets
      attnkit import cascade_mask_rcnn_swin_tiny_patch4_window7.pth --classes coco
    """
    from attnkit import recipe_file
    from attnkit.engine.checkpoint import save_tensors
    from attnkit.new_recipe.imported_run import import_weights
    from attnkit.recipes.tasks import how_to_use
    from attnkit.run_dir import RunDir, create_run, write_whole

    imported = import_weights(
        file,
        image_size=options.image_size,
        window_size=options.window_size,
        position_interpolation=options.position_interpolation.value if options.position_interpolation else None,
        classes=options.classes,
        num_heads=options.num_heads,
        normalization=options.normalize.value if options.normalize else None,
    )
    for line in imported.report:
        typer.echo(line, err=True)
    made: RunDir = create_run(options.run or Path("runs") / imported.recipe.name)
    save_tensors(made.model, imported.weights, imported.facts)
    write_whole(made.recipe, recipe_file.dump(imported.recipe))
    typer.echo(f"imported; use it: {how_to_use(imported.recipe, made.path)}", err=True)
    typer.echo(made.path)
