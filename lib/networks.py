"""Small networks of the course, for torch.

Needs torch. Copy this file alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class SmallNetwork(nn.Module):
    """Embed small images by two convolutions and three linear maps: float (n, channels, h, w) -> (n, dimension).

    5 x 5 convolutions to 32 and 64 channels, without padding, each followed by ReLU and 2 x 2 max pooling; linear maps
    to 256, 256 and `dimension`, each followed by ReLU (Conde, Martin and López, Image retrieval); `output_relu=False`
    leaves the last one out. With `normalise`, rows have length 1 (a row of zeros stays zeros). h = w = `image_size`, at
    least 16. ValueError for images of another size.
    >>> SmallNetwork(image_size=32, dimension=10)(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self, channels: int = 3, image_size: int = 64, dimension: int = 10, output_relu: bool = True,
        normalise: bool = False,
    ):  # fmt: skip
        super().__init__()
        side = ((image_size - 4) // 2 - 4) // 2  # of the maps, after both convolutions and poolings
        if side < 1:
            raise ValueError(f"image_size must be at least 16, got {image_size}")
        self.image_shape, self.normalise = (channels, image_size, image_size), normalise
        first = nn.Conv2d(channels, 32, 5), nn.ReLU(), nn.MaxPool2d(2)
        self.convolutions = nn.Sequential(*first, nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2))
        hidden = nn.Linear(64 * side * side, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()
        self.linear = nn.Sequential(*hidden, nn.Linear(256, dimension), nn.ReLU() if output_relu else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.image_shape:
            raise ValueError(f"images must be (n, {', '.join(map(str, self.image_shape))}), got {tuple(x.shape)}")
        rows = self.linear(self.convolutions(x).flatten(1))
        return functional.normalize(rows) if self.normalise else rows


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016); the shortcut averages before it strides."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        first = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
        second = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
        self.convolutions, self.shortcut = nn.Sequential(*first, *second), nn.Identity()
        if stride > 1 or n_in != n_out:
            fitted = nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out)
            self.shortcut = nn.Sequential(nn.AvgPool2d(stride, ceil_mode=True), *fitted)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.convolutions(x) + self.shortcut(x))


class NestedResNet(nn.Module):
    """Embed photos by a small residual network: float (n, 3, h, w) -> (n, dimension).

    A convolution of stride 2 (`stem` channels), then for each of `widths` a stage of `blocks` residual blocks that
    halves the sides once, the average over positions, and a linear map. `NestedResNet(**network.config)` rebuilds it.
    >>> network = NestedResNet(stem=4, widths=(8, 16), blocks=(1, 1), dimension=32)
    >>> network(torch.zeros(5, 3, 64, 64)).shape
    torch.Size([5, 32])
    """

    def __init__(
        self, stem: int = 32, widths: Sequence[int] = (80, 160, 320), blocks: Sequence[int] = (2, 2, 1),
        dimension: int = 512,
    ):  # fmt: skip
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"widths and blocks must be equally long, one of each a stage, got {widths} and {blocks}")
        self.config = {"stem": stem, "widths": list(widths), "blocks": list(blocks), "dimension": dimension}
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, 2, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        stages, n_in = [], stem
        for width, n_blocks in zip(widths, blocks, strict=True):
            each = (ResidualBlock(width if b else n_in, width, 1 if b else 2) for b in range(n_blocks))
            stages.append(nn.Sequential(*each))
            n_in = width
        self.stages = nn.Sequential(*stages)
        self.embedding = nn.Linear(n_in, dimension)
        self.map_widths = (stem, *widths)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The outputs of the stem and of each stage, finest first: sides of a half, a quarter, ... of the photo's."""
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding(self.maps(x)[-1].mean((2, 3)))


class NestedHead(nn.Module):
    """Classify by the first coordinates of an embedding: (n, d) -> logits (n, n_classes) for each of `sizes`.

    With one classifier for each size (`shared=False`) this is MRL; with a single one whose first weights serve the
    smaller sizes (`shared=True`), MRL-E (Kusupati et al., Matryoshka Representation Learning, 2022). With `scale`, the
    logits are `scale` times the cosine to each class's weights, so training acts on the angle, by which neighbours are
    searched; without it they are the paper's linear maps (MRL-E without a bias).
    >>> head = NestedHead(sizes=(2, 4), n_classes=3)
    >>> [tuple(logits.shape) for logits in head(torch.zeros(5, 4))]
    [(5, 3), (5, 3)]
    """

    def __init__(self, sizes: Sequence[int], n_classes: int, shared: bool = False, scale: float | None = None):
        super().__init__()
        sizes = tuple(sizes)
        if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
            raise ValueError(f"sizes must be increasing positive integers, got {sizes}")
        self.sizes, self.shared, self.scale = sizes, shared, scale
        bias = not shared and scale is None
        widths = sizes[-1:] if shared else sizes
        self.classifiers = nn.ModuleList(nn.Linear(size, n_classes, bias=bias) for size in widths)

    def forward(self, embeddings: Tensor) -> list[Tensor]:
        if embeddings.shape[1] < self.sizes[-1]:
            raise ValueError(f"expected at least {self.sizes[-1]} dimensions, got {embeddings.shape[1]}")
        logits = []
        for i, size in enumerate(self.sizes):
            classifier = self.classifiers[0 if self.shared else i]
            first, weight = embeddings[:, :size], classifier.weight[:, :size]
            if self.scale is None:
                logits.append(functional.linear(first, weight, classifier.bias))
            else:
                logits.append(self.scale * functional.linear(functional.normalize(first), functional.normalize(weight)))
        return logits


class BoostHead(nn.Module):
    """Read attributes, and the words of a name, from an embedding: the hidden layer between is the boosted embedding.

    embeddings (n, n_inputs) -> hidden layer (n, n_inputs), ReLU -> one softmax classifier for each attribute, with
    `n_values` values; and, with `n_words`, a GRU of `n_recurrent` units that starts from the hidden layer and writes a
    name word by word. As in "Boosting image retrieval with accurately labeled small data", the linear maps have He's
    initial weights (2015, uniform) and a bias of 0.01. Two additions of ours: embeddings are divided by `scale` to suit
    these weights, and a linear map with a tanh brings the hidden layer to the GRU's width and range. Words are codes
    from 0 to n_words - 1; 0 marks the end of a name, and is the predecessor of its first word.
    >>> head = BoostHead(8, n_values=(3, 2), n_words=10, n_recurrent=16)
    >>> attributes, words = head(torch.ones(5, 8), torch.zeros(5, 4, dtype=torch.long))
    >>> [tuple(each.shape) for each in attributes], tuple(words.shape)
    ([(5, 3), (5, 2)], (5, 4, 10))
    """

    def __init__(
        self, n_inputs: int, n_values: Sequence[int] = (), n_words: int = 0, n_recurrent: int = 512,
        n_word_inputs: int = 128, scale: float = 1.0,
    ):  # fmt: skip
        super().__init__()
        if not n_values and not n_words:
            raise ValueError("expected n_values, n_words or both, got neither")
        if any(n < 2 for n in n_values):
            raise ValueError(f"n_values must be at least 2 each, got {tuple(n_values)}")
        if not 0 < scale < float("inf"):
            raise ValueError(f"scale must be above 0 and finite, got {scale}")
        self.register_buffer("scale", torch.tensor(float(scale)))
        self.hidden = nn.Linear(n_inputs, n_inputs)
        self.attributes = nn.ModuleList(nn.Linear(n_inputs, n) for n in n_values)
        self.words = None
        if n_words:
            self.words = nn.Embedding(n_words, n_word_inputs)
            self.start = nn.Sequential(nn.Linear(n_inputs, n_recurrent), nn.Tanh())
            self.recurrent = nn.GRU(n_word_inputs, n_recurrent, batch_first=True)
            self.next_word = nn.Linear(n_recurrent, n_words)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight)
                nn.init.constant_(module.bias, 0.01)

    def forward(self, embeddings: Tensor, words: Tensor | None = None) -> tuple[list[Tensor], Tensor | None]:
        """Logits of each attribute (n, values), and of each word given the ones before it, (n, length, n_words).

        `words` int64 (n, length); codes below 0 (after the end) are read as 0. None: no logits of words.
        """
        hidden = self._hidden(embeddings)
        attributes = [classifier(hidden) for classifier in self.attributes]
        if self.words is None or words is None:
            return attributes, None
        before = functional.pad(words[:, :-1].clamp(min=0), (1, 0))  # (n, length): each word's predecessor
        states, _ = self.recurrent(self.words(before), self.start(hidden)[None])
        return attributes, self.next_word(states)

    def embed(self, embeddings: Tensor) -> Tensor:
        """The hidden layer scaled to length 1: float (n, n_inputs). A row of zeros stays zeros."""
        return functional.normalize(self._hidden(embeddings))

    def _hidden(self, embeddings):
        return functional.relu(self.hidden(embeddings / self.scale))


class UNet(nn.Module):
    """A value for every pixel: float (n, 3, h, w) -> logits (n, n_outputs, h, w) (Ronneberger et al. 2015).

    `encoder` is a network with `maps(x)`, finest first, and their widths `map_widths` (`NestedResNet`). At each step
    back up the map is enlarged to the next finer one and concatenated with it (the last one with the photo itself),
    followed by two 3 x 3 convolutions, padded where the original crops. `widths` are those of the decoder, finest
    first, one for the photo and one for each map but the coarsest (default: half the map's width, at least 16).
    ValueError for another number of widths.
    >>> UNet(NestedResNet())(torch.zeros(2, 3, 50, 37)).shape
    torch.Size([2, 1, 50, 37])
    """

    def __init__(self, encoder: nn.Module, widths: Sequence[int] | None = None, n_outputs: int = 1):
        super().__init__()
        beside = (3, *encoder.map_widths[:-1])
        widths = [max(16, width // 2) for width in beside] if widths is None else list(widths)
        if len(widths) != len(beside):
            wanted = f"{len(beside)} widths, one for the photo and each map but the coarsest"
            raise ValueError(f"expected {wanted}, got {widths}")
        self.encoder = encoder
        below = (*widths[1:], encoder.map_widths[-1])
        self.steps = nn.ModuleList()
        for n_below, n_beside, n_out in zip(below, beside, widths, strict=True):
            layers = []
            for n_in in (n_below + n_beside, n_out):
                layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
            self.steps.append(nn.Sequential(*layers))
        self.output = nn.Conv2d(widths[0], n_outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        *maps, coarse = [x, *self.encoder.maps(x)]
        for step, fine in zip(reversed(self.steps), reversed(maps), strict=True):
            enlarged = functional.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)
            coarse = step(torch.cat([enlarged, fine], dim=1))
        return self.output(coarse)
