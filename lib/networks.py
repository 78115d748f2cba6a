"""Small networks of the course, for torch.

Contents
    SmallNetwork   two convolutions and three linear maps: the network of the siamese and triplet notebook
    EmbeddingHead  a linear map to rows of length 1, on features or on any backbone
    NestedResNet   a small residual network that embeds photos of about 64 x 64
    NestedHead     classifiers on the first 8, 16, ... coordinates of an embedding
    BoostHead      reads attributes and a name from an embedding through a hidden layer, the boosted embedding
    ResNet18       torchvision's ResNet-18 without its classifier, of any width
    UNet           a value for every pixel, from the maps of one of these networks
    average_over_views    predictions for every pixel, averaged over enlarged and mirrored views
    load_weights   load pretrained weights into a network, from a file or a state dict
    initialise_he  new random weights, after He et al.

Needs torch, and safetensors for files of that kind. Copy this file alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "BoostHead",
    "EmbeddingHead",
    "NestedHead",
    "NestedResNet",
    "ResNet18",
    "SmallNetwork",
    "UNet",
    "average_over_views",
    "initialise_he",
    "load_weights",
]


class SmallNetwork(nn.Module):
    """Embed small images by two convolutions and three linear maps: float (n, channels, h, w) -> (n, dimension).

    5 x 5 convolutions to 32 and 64 channels, without padding, each followed by ReLU and 2 x 2 max pooling; linear maps
    to 256, 256 and `dimension`, each followed by ReLU. This is the network of Conde, Martin and López, Image retrieval,
    who have a ReLU after the last map too, so that no coordinate is negative; `output_relu=False` leaves it out. With
    `normalise`, rows have length 1 (a row of zeros stays zeros). h = w = `image_size`, at least 16. ValueError for
    images of another size.

    >>> import torch
    >>> SmallNetwork(image_size=32, dimension=10)(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        channels: int = 3,
        image_size: int = 64,
        dimension: int = 10,
        output_relu: bool = True,
        normalise: bool = False,
    ):
        super().__init__()
        side = ((image_size - 4) // 2 - 4) // 2  # of the maps, after both convolutions and poolings
        if side < 1:
            raise ValueError(f"image_size must be at least 16, got {image_size}")
        self.image_shape, self.normalise = (channels, image_size, image_size), normalise
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(channels, 32, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.linear = nn.Sequential(
            *(nn.Linear(64 * side * side, 256), nn.ReLU()),
            *(nn.Linear(256, 256), nn.ReLU()),
            nn.Linear(256, dimension),
            nn.ReLU() if output_relu else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.image_shape:
            raise ValueError(f"images must be (n, {', '.join(map(str, self.image_shape))}), got {tuple(x.shape)}")
        rows = self.linear(self.convolutions(x).flatten(1))
        return functional.normalize(rows) if self.normalise else rows


class EmbeddingHead(nn.Module):
    """Map features to an embedding by one linear map: -> (n, dimension), rows of length 1 with `normalise`.

    For given features (float (n, d)), `features` is their number d; for a network that computes them, the network, and
    `n_features` their number: `EmbeddingHead(backbone.model, 128, n_features=backbone.dimension)`. Then both are
    trained. ValueError for a network without `n_features`, or a number with it.

    >>> import torch
    >>> EmbeddingHead(512, dimension=3)(torch.randn(4, 512)).norm(dim=1).round(decimals=4).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self, features: int | nn.Module, dimension: int, normalise: bool = True, n_features: int | None = None
    ):
        super().__init__()
        is_network = isinstance(features, nn.Module)
        if is_network == (n_features is None):
            raise ValueError(
                f"expected a number of features, or a network and n_features, got {features!r}, {n_features}"
            )
        self.backbone, self.normalise = features if is_network else nn.Identity(), normalise
        self.linear = nn.Linear(n_features if is_network else features, dimension)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.linear(self.backbone(x))
        return functional.normalize(rows) if self.normalise else rows


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016); the shortcut averages before it strides."""

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

    A convolution of stride 2 (`stem` channels), then for each of `widths` a stage of `blocks` residual blocks that
    halves the sides once, the average over positions, and a linear map. At 64 x 64 the maps have sides of 32, 16, 8 and
    4. It is nested only by the loss that trains it (`NestedHead`). `NestedResNet(**network.config)` rebuilds it.

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
            raise ValueError(f"widths and blocks must be equally long, one of each a stage, got {widths} and {blocks}")
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

    >>> import torch
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
    these weights, and a linear map with a tanh brings the hidden layer to the GRU's width and range.

    Words are codes from 0 to n_words - 1; 0 marks the end of a name, and is the predecessor of its first word.

    >>> head = BoostHead(8, n_values=(3, 2), n_words=10, n_recurrent=16)
    >>> attributes, words = head(torch.ones(5, 8), torch.zeros(5, 4, dtype=torch.long))
    >>> [tuple(each.shape) for each in attributes], tuple(words.shape)
    ([(5, 3), (5, 2)], (5, 4, 10))
    >>> head.embed(torch.ones(5, 8)).norm(dim=1).round(decimals=4).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        n_inputs: int,
        n_values: Sequence[int] = (),
        n_words: int = 0,
        n_recurrent: int = 512,
        n_word_inputs: int = 128,
        scale: float = 1.0,
    ):
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


class BasicBlock(nn.Module):
    """ResNet-18's block, with torchvision's names: the shortcut strides without averaging first."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride > 1 or n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))) + shortcut)


class ResNet18(nn.Module):
    """Embed photos by ResNet-18 (He et al. 2016) without its classifier: float (n, 3, h, w) -> (n, 8 * width).

    Layers and names are torchvision's, so its checkpoints fit at width 64 (`load_weights`); a smaller width gives a
    smaller network of the same structure.

    >>> import torch
    >>> network = ResNet18(width=8)
    >>> network(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 64])
    >>> [tuple(each.shape[1:]) for each in network.maps(torch.zeros(2, 3, 64, 64))]
    [(8, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4), (64, 2, 2)]
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(BasicBlock(width, width, 1), BasicBlock(width, width, 1))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2), BasicBlock(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(BasicBlock(2 * width, 4 * width, 2), BasicBlock(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(BasicBlock(4 * width, 8 * width, 2), BasicBlock(8 * width, 8 * width, 1))
        self.map_widths = (width, width, 2 * width, 4 * width, 8 * width)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The outputs of the first convolution and of the four layers, finest first: sides of 1/2 to 1/32."""
        maps = [functional.relu(self.bn1(self.conv1(x)))]
        x = functional.max_pool2d(maps[0], 3, 2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x)[-1].mean((2, 3))


class UNet(nn.Module):
    """A value for every pixel: float (n, 3, h, w) -> logits (n, n_outputs, h, w) (Ronneberger et al. 2015).

    `encoder` is a network with `maps(x)`, finest first, and their widths `map_widths` (`ResNet18`, `NestedResNet`). The
    decoder works back up: at each step the map is enlarged to the next finer one and concatenated with it, followed by
    two 3 x 3 convolutions; the last step concatenates the photo itself. `widths` are those of the decoder, finest
    first, one for the photo and one for each map but the coarsest (default: 16, then half the map's width, at least
    16). Any height and width will do. The original crops instead of padding; here every convolution pads. ValueError
    for another number of widths.

    >>> import torch
    >>> UNet(ResNet18(width=8))(torch.zeros(2, 3, 50, 37)).shape
    torch.Size([2, 1, 50, 37])
    """

    def __init__(self, encoder: nn.Module, widths: Sequence[int] | None = None, n_outputs: int = 1):
        super().__init__()
        beside = (3, *encoder.map_widths[:-1])
        widths = [max(16, width // 2) for width in beside] if widths is None else list(widths)
        if len(widths) != len(beside):
            raise ValueError(
                f"expected {len(beside)} widths, one for the photo and each map but the coarsest, got {widths}"
            )
        self.encoder = encoder
        below = (*widths[1:], encoder.map_widths[-1])
        self.steps = nn.ModuleList(_two_convolutions(*each) for each in zip(below, beside, widths, strict=True))
        self.output = nn.Conv2d(widths[0], n_outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        *maps, coarse = [x, *self.encoder.maps(x)]
        for step, fine in zip(reversed(self.steps), reversed(maps), strict=True):
            enlarged = functional.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)
            coarse = step(torch.cat([enlarged, fine], dim=1))
        return self.output(coarse)


def _two_convolutions(n_below: int, n_beside: int, n_out: int) -> nn.Sequential:
    layers = []
    for n_in in (n_below + n_beside, n_out):
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers)


def average_over_views(network: nn.Module, x: Tensor, scales: Sequence[float] = (1,), mirrored: bool = True) -> Tensor:
    """A network's output for every pixel, averaged over views of the same photos: float (n, 3, h, w) -> (n, c, h, w).

    Test-time augmentation: each photo is shown at each of `scales` times its size, as it is and, if `mirrored`, also
    mirrored; the maps are brought back to (h, w) and averaged, since each view errs in other places. Scales above 1 are
    for a network trained on enlarged crops: it saw objects larger than they are in whole photos, and works best at
    the sizes it has seen (Touvron et al. 2019, Fixing the train-test resolution discrepancy). The network's mode is not
    changed. ValueError for no scale, or one that is not above 0 and finite.

    >>> double = lambda x: 2 * x  # treats each pixel separately, so all views agree
    >>> average_over_views(double, torch.ones(1, 3, 4, 4), scales=(1, 1.5)).unique().tolist()
    [2.0]
    """
    if not len(scales) or not all(0 < scale < float("inf") for scale in scales):
        raise ValueError(f"expected at least one scale, each above 0 and finite, got {list(scales)}")
    size, views = x.shape[2:], []
    for scale in scales:
        sides = [max(1, round(scale * side)) for side in size]
        view = x if sides == list(size) else _resized(x, sides)
        for flips in (False, True)[: 1 + mirrored]:
            found = network(view.flip(3)).flip(3) if flips else network(view)
            views.append(found if found.shape[2:] == size else _resized(found, size))
    return torch.stack(views).mean(0)


def _resized(x, sides):
    return functional.interpolate(x, tuple(sides), mode="bilinear", align_corners=False)


def load_weights(network: nn.Module, weights: Mapping[str, Tensor] | str | Path, leave_out: Sequence[str] = ("fc.",)):
    """Load pretrained weights into `network` and return it: all of its numbers are replaced, or none.

    `weights` is a state dict, or the path of a .pth or .safetensors file with one (no pickle is read). Entries whose
    names begin with one of `leave_out`, such as the classifier, are left out. FileNotFoundError for a missing file;
    ValueError for one that cannot be read, and for weights that do not fit, naming those that are missing, unexpected
    or of another shape.

    >>> network = load_weights(ResNet18(width=8), ResNet18(width=8).state_dict())
    """
    where = "the state dict"
    if not isinstance(weights, Mapping):
        where, weights = str(weights), _read_weights(Path(weights))
    weights = {name: weight for name, weight in weights.items() if not name.startswith(tuple(leave_out))}
    own = network.state_dict()
    missing = [name for name in own if name not in weights and not name.endswith("num_batches_tracked")]
    more = [name for name in weights if name not in own]
    shapes = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    for what, names in (("are missing", missing), ("are unexpected", more), ("have another shape", shapes)):
        if names:
            some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            raise ValueError(f"expected the weights of {type(network).__name__} in {where}, but these {what}: {some}")
    network.load_state_dict(weights, strict=False)  # old files count no batches
    return network


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if path.suffix not in (".pth", ".safetensors"):
        raise ValueError(f"expected a .pth or .safetensors file, got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file  # only for these files

            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} has no readable weights: {error}") from error
    if not isinstance(weights, Mapping) or not all(isinstance(weight, Tensor) for weight in weights.values()):
        raise ValueError(f"expected a state dict (name -> tensor) in {path}, got {type(weights).__name__}")
    return weights


def initialise_he(network: nn.Module) -> nn.Module:
    """Give `network` new random weights and return it, as He et al. (2015) do for layers before a ReLU.

    Weights of convolutions and linear layers are normal with variance 2 / fan-out, so that gradients keep their size
    from layer to layer; biases are 0, batch norm starts as the identity. Numbers come from torch's global generator:
    call `torch.manual_seed` before.

    >>> _ = torch.manual_seed(0)
    >>> layer = initialise_he(nn.Linear(1000, 500))
    >>> round(layer.weight.var().item() * 500, 1), layer.bias.abs().max().item()
    (2.0, 0.0)
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return network
