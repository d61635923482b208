"""An image as a sequence of patches (Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1)."""

from jaxtyping import Float
from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """Cut images into square patches and embed each by the same linear map.

    With a stem, the patches are cut from its feature map: the hybrid of the paper.
    """

    def __init__(self, in_channels: int, embed_dim: int, *, patch_size: int, stem: nn.Module | None = None) -> None:
        super().__init__()
        self.stem = stem
        self.proj = nn.Conv2d(in_channels, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N C"]:
        """Embedded patches, row by row; what does not fill a patch at the right and bottom edges is left out."""
        maps = images if self.stem is None else self.stem(images)
        return self.proj(maps).flatten(2).transpose(1, 2)
