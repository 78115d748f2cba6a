"""Small networks of the course, for torch.

Contents
    NestedResNet   a small residual network for photos of about 64 x 64, which embeds
    NestedHead     classifiers on the first 8, 16, ... coordinates of an embedding

Needs torch. Copy this file alone: it imports nothing else of the course.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NestedHead", "NestedResNet"]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a short cut (He et al. 2016); the short cut averages before it strides."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.convolutions(x) + self.shortcut(x))


class NestedResNet(nn.Module):
    """Embed photos by a small residual network: float (n, 3, h, w) -> (n, dimension).

    A convolution of stride 2 (`stem` channels), then a stage for each of `widths`, which halves the sides once and has
    `blocks` residual blocks, the average over positions, and a linear map. At 64 x 64 the maps have sides of 32, 16, 8
    and 4. Nested is the loss that trains it (`NestedHead`). `config` rebuilds it: `NestedResNet(**network.config)`.

    >>> import torch
    >>> network = NestedResNet(stem=4, widths=(8, 16), blocks=(1, 1), dimension=32)
    >>> network(torch.zeros(5, 3, 64, 64)).shape
    torch.Size([5, 32])
    """

    def __init__(
        self,
        stem: int = 32,
        widths: Sequence[int] = (80, 160, 320),
        blocks: Sequence[int] = (2, 2, 1),
        dimension: int = 512,
    ):
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"each stage has a width and a number of blocks, got widths {widths} and blocks {blocks}")
        self.config = {"stem": stem, "widths": list(widths), "blocks": list(blocks), "dimension": dimension}
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, 2, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        stages, n_in = [], stem
        for width, n_blocks in zip(widths, blocks, strict=True):
            stages.append(
                nn.Sequential(*(ResidualBlock(width if b else n_in, width, 1 if b else 2) for b in range(n_blocks)))
            )
            n_in = width
        self.stages = nn.Sequential(*stages)
        self.embedding = nn.Linear(n_in, dimension)

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding(self.stages(self.stem(x)).mean((2, 3)))


class NestedHead(nn.Module):
    """Classify by the first `sizes` coordinates of an embedding: (n, d) -> one (n, n_classes) a size.

    With a classifier of its own for each size (`shared=False`) this is MRL, with one whose first rows serve the smaller
    sizes (`shared=True`) MRL-E (Kusupati et al., Matryoshka Representation Learning, 2022). With `scale` the logits are
    `scale` times the cosine to each class's weights, so that the angle, by which neighbours are searched, is what is
    trained; without it they are the paper's linear maps (MRL-E without a bias).

    >>> import torch
    >>> head = NestedHead(sizes=(2, 4), n_classes=3)
    >>> [tuple(logits.shape) for logits in head(torch.zeros(5, 4))]
    [(5, 3), (5, 3)]
    """

    def __init__(self, sizes: Sequence[int], n_classes: int, shared: bool = False, scale: float | None = None):
        super().__init__()
        sizes = tuple(sizes)
        if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
            raise ValueError(f"sizes are whole numbers from 1 that grow, got {sizes}")
        self.sizes, self.shared, self.scale = sizes, shared, scale
        bias = not shared and scale is None
        widths = sizes[-1:] if shared else sizes
        self.classifiers = nn.ModuleList(nn.Linear(size, n_classes, bias=bias) for size in widths)

    def forward(self, embeddings: Tensor) -> list[Tensor]:
        if embeddings.shape[1] < self.sizes[-1]:
            raise ValueError(f"embeddings have {embeddings.shape[1]} coordinates, the largest size is {self.sizes[-1]}")
        logits = []
        for i, size in enumerate(self.sizes):
            classifier = self.classifiers[0 if self.shared else i]
            first, weight = embeddings[:, :size], classifier.weight[:, :size]
            if self.scale is None:
                logits.append(functional.linear(first, weight, classifier.bias))
            else:
                logits.append(self.scale * functional.linear(functional.normalize(first), functional.normalize(weight)))
        return logits
