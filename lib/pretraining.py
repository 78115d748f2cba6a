"""The project's own pretrained network: the recipe that made `data/backbones/course.safetensors`.

A small residual network learns from 20,000 photos of 64 x 64 pixels and from a teacher, a larger network that knows
ImageNet. The teacher looks once at a few fixed crops of each photo; afterwards only its numbers are used. The small
one is trained (1) by the nested loss, to name the class of a crop from the first 8, 16, ... coordinates of its
embedding, half by the true class and half by what a linear classifier on the teacher's features makes of the crop, and
(2) to point, through a linear map that is thrown away afterwards, in the direction of the teacher's features
(knowledge distillation, Hinton et al. 2015; regression of features, Romero et al. 2015). Its weights start from random
numbers. At the end the spread within the classes is made the same in all directions, so that cosine weighs no
direction more than another for no reason; that is a matrix, which goes into the weights of the last layer.

Contents
    Settings              the numbers of the recipe
    pretrain              train it; takes up what is already there
    publish               write the weights and the card beside them, with what was measured
    crops                 one random crop of each image
    mobilenet_features    the teacher's features
    soft_labels           what a linear classifier on them makes of each crop
    Views                 the batches: a crop of each photo, its label, its features
    whiten_within_classes a last layer whose embeddings spread alike in all directions within a class
    nearest_neighbour_accuracy
                          of an embedding, by the number of coordinates used
    export                weights as float16 safetensors that say what they are of

Run it by `python -m lib.course pretrain`, or on two cores by `torchrun --nproc-per-node 2 -m lib.course pretrain`,
with one thread a process: that is how the weights were made. Needs numpy, pandas, torch, torchvision, safetensors. The
network, the loss and the training loop are handed in, so this file imports nothing else of the course.
"""

import copy
import dataclasses
import hashlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
import torchvision
from torch import distributed, nn
from torch.nn import functional

__all__ = [
    "Settings",
    "Views",
    "crops",
    "export",
    "mobilenet_features",
    "nearest_neighbour_accuracy",
    "pretrain",
    "publish",
    "soft_labels",
    "whiten_within_classes",
]

SIZES = (8, 16, 32, 64, 128, 256, 512)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos, as torchvision has them


@dataclasses.dataclass(frozen=True)
class Settings:
    """The numbers of the recipe. The defaults are those that made the weights in data/backbones."""

    n_small: int = 26  # epochs at small_side pixels and the full learning rate, after one epoch of warm-up
    n_full: int = 8  # epochs on whole crops, while the rate falls to 0
    small_side: int = 48
    n_views: int = 4  # fixed crops of each photo; the first is the photo itself
    smallest: float = 0.35  # share of the area that a crop may have
    teacher_side: int = 128  # pixels to which crops are enlarged for the teacher
    batch_size: int = 128
    rate: float = 2e-3
    weight_decay: float = 0.05
    clip_norm: float = 5.0
    scale: float = 16.0  # of the cosines that are the head's logits
    shrinkage: float = 0.1  # of the covariance within classes, towards the same in all directions
    seed: int = 0


def pretrain(
    train: tuple[np.ndarray, np.ndarray],
    teacher: str | Path,
    folder: str | Path,
    networks,
    losses,
    training,
    settings: Settings | None = None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train the network on `train` = (photos uint8 (n, s, s, 3), labels (n,)), and return it with the history.

    `teacher` is a file of torchvision's mobilenet_v2 weights. `folder` keeps the crops, the features and a checkpoint:
    called again, it goes on where it was. `networks`, `losses` and `training` are the course's modules of these names.
    Under several processes each makes its share of the views.
    """
    settings = settings or Settings()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    photos, names = train
    classes, labels = np.unique(names, return_inverse=True)
    views, features = _teach(photos, teacher, folder, settings)
    soft, centre, spread = soft_labels(features, labels, settings.seed)
    batches = Views(views, features, soft, labels, centre, spread, settings)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(settings.seed)
    network, head = networks.NestedResNet(), networks.NestedHead(SIZES, len(classes), scale=settings.scale)
    student = Student(network, head, features[0].shape[1]).to(device, memory_format=torch.channels_last)
    groups = [
        {"params": [each for each in student.parameters() if each.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [each for each in student.parameters() if each.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.rate)
    n_epochs, steps = settings.n_small + settings.n_full, len(batches)

    def step(model, batch):
        x, targets, directions = batch
        logits, projected = model(x)
        nested = losses.nested_loss(logits, targets, [1 / len(SIZES)] * len(SIZES))
        apart = 1 - functional.cosine_similarity(projected, directions).mean()
        return nested + 2 * apart, {"nested": nested.detach(), "apart_from_teacher": apart.detach()}

    history = training.fit(
        student,
        step,
        batches,
        optimiser,
        n_epochs,
        schedule=training.warm_up_cosine(optimiser, n_epochs * steps, steps, (settings.n_small - 1) * steps),
        schedule_each="batch",
        clip_norm=settings.clip_norm,
        checkpoint=folder / "checkpoint.pt",
        seed=settings.seed,
    )
    network = copy.deepcopy(student.network).cpu().eval()
    network.embedding = whiten_within_classes(
        network.embedding, _embed(network, photos), labels, shrinkage=settings.shrinkage
    )
    return network, history


def whiten_within_classes(
    layer: nn.Linear, embeddings: np.ndarray, labels: np.ndarray, shrinkage: float = 0.1
) -> nn.Linear:
    """A linear layer that gives what `layer` gives, centred and whitened within classes.

    `embeddings` (n, d) are `layer`'s outputs for n photos with `labels` (n,). With W their mean covariance within
    classes, plus `shrinkage` times its mean variance on the diagonal, and W = L L' (Cholesky, L lower triangular), a
    row z becomes L^-1 (z - mean). L^-1 is lower triangular too: the first coordinates of the answer come from the
    first coordinates of z alone, so a nested embedding stays nested, and each of its prefixes is whitened. This is the
    first half of linear discriminant analysis (Fisher 1936). The answer is scaled to rows of mean square 1.

    >>> layer = nn.Linear(2, 2, bias=False)
    >>> layer.weight.data = torch.eye(2)
    >>> rows = np.array([[9.0, 0], [11, 0], [10, 2], [10, -2]])  # one class: variance 1/2 along x, 2 along y
    >>> whitened = whiten_within_classes(layer, rows, np.zeros(4, int), shrinkage=0)
    >>> whitened(torch.tensor(rows).float()).abs().max(0).values.tolist()
    [1.0, 1.0]
    """
    if shrinkage < 0:
        raise ValueError(f"shrinkage is 0 or more, got {shrinkage}")
    z = embeddings.astype(np.float64)
    if len(z) != len(labels) or z.shape[1] != layer.out_features:
        allowed = f"({len(labels)}, {layer.out_features}), a row a label and a column an output of the layer"
        raise ValueError(f"embeddings have the shape {embeddings.shape}; allowed: {allowed}")
    _, classes = np.unique(labels, return_inverse=True)
    sums = np.zeros((classes.max() + 1, z.shape[1]))
    np.add.at(sums, classes, z)
    within = z - (sums / np.bincount(classes)[:, None])[classes]
    covariance = within.T @ within / len(z)
    covariance += shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    turn = np.linalg.inv(np.linalg.cholesky(covariance))  # lower triangular
    turn /= np.sqrt(np.square((z - z.mean(0)) @ turn.T).sum(1).mean())
    bias = 0 if layer.bias is None else layer.bias.detach().double().numpy()
    whitened = nn.Linear(layer.in_features, layer.out_features)
    whitened.weight.data = torch.from_numpy(turn @ layer.weight.detach().double().numpy()).float()
    whitened.bias.data = torch.from_numpy(turn @ (bias - z.mean(0))).float()
    return whitened


class Student(nn.Module):
    """Network, nested head and the map to the teacher's features: all that is trained."""

    def __init__(self, network: nn.Module, head: nn.Module, n_features: int = 1280):
        super().__init__()
        self.network, self.head = network, head
        self.projection = nn.Linear(network.config["dimension"], n_features)

    def forward(self, x: torch.Tensor):
        embeddings = self.network(x)
        return self.head(embeddings), self.projection(embeddings)


class Views:
    """Batches of (photos, class probabilities, teacher's features), for `fit`.

    Each epoch takes one of the fixed crops of each photo, at random, mirrors half of them and shifts them by up to
    four pixels, which leaves the teacher's answer as good as true. The first `n_small` epochs are scaled to
    `small_side` pixels. The targets are half the true class, half the teacher's probabilities; the features are
    standardised rows of length 1. Under several processes each takes its rows of every batch. Rows that do not fill a
    batch wait for the next epoch.
    """

    def __init__(self, views, features, soft, labels, centre, spread, settings):
        self.views, self.features, self.soft, self.labels = views, features, soft, labels
        self.centre, self.spread, self.settings, self.epoch = centre, spread, settings, 0
        self.rank, self.world = _rank_and_world()
        self.hard = np.eye(soft[0].shape[1], dtype=np.float32)

    def __len__(self) -> int:
        return len(self.labels) // self.settings.batch_size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        size, n = self.settings.batch_size, len(self.labels)
        rng = np.random.default_rng([self.settings.seed, self.epoch])
        order, view, mirrored = rng.permutation(n), rng.integers(len(self.views), size=n), rng.random(n) < 0.5
        shift = rng.integers(0, 9, size=(n, 2))
        for number in range(len(self)):
            rows = order[number * size : (number + 1) * size][self.rank :: self.world]
            x = np.stack([self.views[view[row]][row] for row in rows])
            x[mirrored[rows]] = x[mirrored[rows], :, ::-1]
            x = pixels(_shifted(x, shift[rows]))
            if self.epoch < self.settings.n_small:
                x = functional.interpolate(x, size=self.settings.small_side, mode="bilinear", antialias=True)
                x = x.contiguous(memory_format=torch.channels_last)
            soft = np.stack([self.soft[view[row]][row] for row in rows]).astype(np.float32)
            targets = 0.5 * self.hard[self.labels[rows]] + 0.5 * soft
            directions = np.stack([self.features[view[row]][row] for row in rows]).astype(np.float32)
            directions = _unit((directions - self.centre) / self.spread)
            yield x, torch.from_numpy(targets), torch.from_numpy(directions)


def crops(images: np.ndarray, rng: np.random.Generator, smallest: float = 0.35) -> np.ndarray:
    """One random crop of each image, uint8 (n, h, w, 3), scaled back to h x w by cubic interpolation.

    It holds `smallest` to all of the area, with an aspect from 3/4 to 4/3 (of the image's own; Szegedy et al. 2015).

    >>> images = np.full((2, 8, 8, 3), 7, np.uint8)
    >>> np.array_equal(crops(images, np.random.default_rng(0)), images)
    True
    """
    if not 0 < smallest <= 1:
        raise ValueError(f"smallest is a share of the area, above 0 and up to 1; got {smallest}")
    n = len(images)
    area, aspect = rng.uniform(smallest, 1.0, n), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), n))
    widths, heights = np.minimum(np.sqrt(area * aspect), 1.0), np.minimum(np.sqrt(area / aspect), 1.0)
    left, top = rng.uniform(0, 1 - widths), rng.uniform(0, 1 - heights)
    maps = np.zeros((n, 2, 3), np.float32)  # affine_grid's coordinates run from -1 to 1
    maps[:, 0, 0], maps[:, 0, 2] = widths, 2 * left + widths - 1
    maps[:, 1, 1], maps[:, 1, 2] = heights, 2 * top + heights - 1
    views = np.empty_like(images)
    for start in range(0, n, 500):
        batch = torch.from_numpy(images[start : start + 500]).permute(0, 3, 1, 2).float()
        grid = functional.affine_grid(torch.from_numpy(maps[start : start + 500]), batch.shape, align_corners=False)
        batch = functional.grid_sample(batch, grid, mode="bicubic", padding_mode="border", align_corners=False)
        views[start : start + 500] = batch.clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy()
    return views


def mobilenet_features(images: np.ndarray, weights: str | Path, side: int = 128, batch: int = 100) -> np.ndarray:
    """Embed uint8 images (n, h, w, 3) by torchvision's mobilenet_v2 with the weights of a file: float16 (n, 1280).

    The images are enlarged to `side` pixels; the features are the last map's averages. bfloat16, as fast on a CPU as it
    gets; a student does not see the difference.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = torchvision.models.mobilenet_v2(weights=None)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network = network.features.eval().to(device, memory_format=torch.channels_last)
    found = np.empty((len(images), 1280), np.float16)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for start in range(0, len(images), batch):
            x = functional.interpolate(pixels(images[start : start + batch]).to(device), size=side, mode="bicubic")
            maps = network(x.contiguous(memory_format=torch.channels_last))
            found[start : start + batch] = maps.float().mean((2, 3)).half().cpu().numpy()
    return found


def soft_labels(
    features: Sequence[np.ndarray], labels: np.ndarray, seed: int = 0, epochs: int = 12, batch: int = 500
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Class probabilities that a linear classifier gives each view, float16 (n, n_classes) a view; centre and spread.

    `features` has an array (n, d) for each view of the same n photos, `labels` int (n,). The classifier is trained on
    all the views, on features standardised by the first view's mean and standard deviation, which come with the
    answer.
    """
    first = features[0].astype(np.float32)
    centre, spread = first.mean(0), first.std(0) + 1e-6
    torch.manual_seed(seed)
    layer = nn.Linear(first.shape[1], int(labels.max()) + 1)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=1e-3, weight_decay=0.1)
    targets = torch.from_numpy(labels)
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        order, view = rng.permutation(len(labels)), rng.integers(len(features), size=len(labels))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            x = np.stack([features[view[row]][row] for row in rows]).astype(np.float32)
            logits = layer(torch.from_numpy((x - centre) / spread))
            loss = functional.cross_entropy(logits, targets[rows], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        standard = (torch.from_numpy((each.astype(np.float32) - centre) / spread) for each in features)
        return [layer(each).softmax(1).half().numpy() for each in standard], centre, spread


def pixels(images: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) as float32 (n, 3, h, w), channels last in memory, less ImageNet's mean, over its deviation."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    return x.contiguous(memory_format=torch.channels_last)


def nearest_neighbour_accuracy(
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    sizes: Sequence[int] | None = None,
    leave_self_out: bool = False,
) -> pd.DataFrame:
    """Share of queries whose nearest gallery row by cosine has their label, by the number of first coordinates used.

    `sizes` None: the full width. With `leave_self_out` the queries are the gallery's own rows, in the same order, and
    none is its own answer. Ties go to the lower row. Columns: coordinates, accuracy, low, high (95%, Wilson 1927), n.

    The second query's neighbour by two coordinates is the second row, by one coordinate it is the first.

    >>> gallery, queries = np.eye(2), np.array([[1, 0.1], [0.1, 1]])
    >>> nearest_neighbour_accuracy(gallery, np.array([5, 6]), queries, np.array([5, 6]), (1, 2)).accuracy.tolist()
    [0.5, 1.0]
    """
    rows = []
    for size in sizes or (gallery.shape[1],):
        ours, theirs = (_unit(each[:, :size]) for each in (queries, gallery))
        right = np.empty(len(ours), bool)
        for start in range(0, len(ours), 500):
            similarity = ours[start : start + 500] @ theirs.T  # (500, n_gallery)
            if leave_self_out:
                own = np.arange(start, start + len(similarity))
                similarity[own - start, own] = -np.inf
            right[start : start + 500] = gallery_labels[similarity.argmax(1)] == query_labels[start : start + 500]
        rows.append({"coordinates": size, "accuracy": right.mean(), **_wilson(right), "n": len(right)})
    return pd.DataFrame(rows)


def export(network: nn.Module, path: str | Path, **about: str) -> str:
    """Write the weights as float16 safetensors, whole or not at all, and return the file's SHA-256.

    The file says of itself: config (of the network, as JSON), image_size, mean, std, and what `about` adds.
    """
    path = Path(path)
    tensors = {
        name: (each.half() if each.is_floating_point() else each).detach().cpu().contiguous()
        for name, each in network.state_dict().items()
    }
    described = {"config": network.config, "image_size": 64, "mean": MEAN, "std": STD}
    metadata = {**{name: json.dumps(value) for name, value in described.items()}, **about}
    content = safetensors.torch.save(tensors, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
    return hashlib.sha256(content).hexdigest()


def publish(
    network: nn.Module,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    teacher: str | Path,
    describe: dict[str, Callable],
    folder: str | Path,
    history: pd.DataFrame,
    settings: Settings | None = None,
    hardware: str | None = None,
) -> pd.DataFrame:
    """Write course.safetensors and its card, course.md, into `folder`; return the accuracies that the card shows.

    They are measured with the written weights. `describe` holds what the network is compared with: name -> function
    from uint8 images to embeddings (HOG, the teacher). `hardware` is where it was trained (default: this machine), in
    words.
    """
    settings = settings or Settings()
    path = Path(folder) / "course.safetensors"
    digest = export(network, path)
    network = copy.deepcopy(network).cpu().float().eval()
    network.load_state_dict(safetensors.torch.load_file(path))
    describe = {"this network": lambda images: _embed(network, images), **describe}
    tables = []
    for method, function in describe.items():
        gallery, queries = function(train[0]), function(validation[0])
        sizes = SIZES if method == "this network" else None
        split = nearest_neighbour_accuracy(gallery, train[1], queries, validation[1], sizes)
        within = nearest_neighbour_accuracy(queries, validation[1], queries, validation[1], sizes, leave_self_out=True)
        for protocol, found in (("train gallery", split), ("leave one out", within)):
            tables.append(found.assign(method=method, protocol=protocol))
    accuracy = pd.concat(tables, ignore_index=True)
    lines = ["| embedding | protocol | coordinates | accuracy | 95% interval |", "|---|---|---|---|---|"]
    for row in accuracy.itertuples():
        numbers = f"{row.coordinates} | {row.accuracy:.3f} | {row.low:.3f} to {row.high:.3f}"
        lines.append(f"| {row.method} | {row.protocol} | {numbers} |")
    text = CARD.format(
        table="\n".join(lines),
        parameters=f"{sum(each.numel() for each in network.parameters()):,}",
        bytes=f"{path.stat().st_size:,}",
        digest=digest,
        config=json.dumps(network.config),
        n_queries=f"{len(validation[0]):,}",
        n_gallery=f"{len(train[0]):,}",
        chance=f"1/{len(np.unique(train[1]))}",
        versions=f"torch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}",
        hardware=hardware or f"{platform.machine()}, {os.cpu_count()} cores",
        minutes=round(history.seconds.sum() / 60),
        teacher_digest=hashlib.sha256(Path(teacher).read_bytes()).hexdigest(),
        **dataclasses.asdict(settings),
    )
    _write(path.with_suffix(".md"), lambda file: file.write(text.encode()))
    return accuracy


CARD = """# course.safetensors: the project's own pretrained network

A residual network of {parameters} parameters for photos of 64 x 64 pixels. Its embedding of 512 coordinates was
trained by the nested (Matryoshka) loss, so its first 8, 16, 32, 64, 128 or 256 coordinates can be used alone. It is
here so that the course can show a pretrained network without a connection; where there is one, torchvision's know far
more.

    from lib import backbones
    backbone = backbones.load("course")
    embeddings = backbones.embed(backbone, images)

| | |
|---|---|
| file | course.safetensors, {bytes} bytes, float16, contiguous; its metadata hold config, image_size, mean and std |
| SHA-256 | `{digest}` |
| architecture | `NestedResNet(**config)` of lib/networks.py, config {config} |
| input | RGB, 64 x 64, divided by 255, ImageNet's mean and standard deviation |

## Accuracy

Share of the {n_queries} validation photos (none of them trained on) whose nearest neighbour by cosine shows their
class. *Train gallery*: among the {n_gallery} training photos, on which the network was trained. *Leave one out*: among
the other validation photos, on which it was not. Measured with the float16 weights of this file. Chance is about
{chance}.

{table}

## Data and their terms

100 classes of Tiny ImageNet (Stanford CS231N), 20,000 training photos of 64 x 64 pixels. It was cut from ImageNet,
whose photos are given for non-commercial research and teaching; they keep their owners' rights, and none of them is in
this repository. Treat these weights as ImageNet's terms ask: for teaching and research, not for a product.

## Recipe

`python -m lib.course pretrain`, which is lib/pretraining.py. The weights start from random numbers (seed {seed}).
AdamW with a rate of {rate}, weight decay {weight_decay}, batches of {batch_size} and gradients cut at length
{clip_norm}: {n_small} epochs at {small_side} pixels, the first with a rising rate, then {n_full} at 64 pixels while
the rate falls to 0 by half a cosine. Each epoch shows one of {n_views} fixed crops of each photo, mirrored and shifted
at random. The loss is the mean over the seven sizes of a cross entropy (logits are {scale} times the cosine to the
classes' weights; targets are half the true class, half the teacher's opinion of the crop), plus twice the cosine
distance to the teacher's features. At the end the last layer is whitened within classes (a triangular matrix, which
keeps the embedding nested; shrinkage {shrinkage}), fitted on the training photos.

Teacher: torchvision's mobilenet_v2 with ImageNet weights (SHA-256 `{teacher_digest}`; dequantised int8, Apache-2.0,
google-coral/test_data), which saw the crops at {teacher_side} pixels, and a linear classifier on its features. It
looked at crops of the training photos alone. Tiny ImageNet's validation photos were cut from ImageNet too, so the
teacher may have seen some of them when it was trained: our network has seen none, but a little may have come through
the teacher.

Hardware: {hardware}. Time: {minutes} minutes of training. {versions}.

## What it is not good for

- Photos much larger than 64 pixels: it sees them at 64, and fine detail is gone.
- Classes far from its 100 (animals, household things, vehicles, buildings, food): its features are general only as far
  as 20,000 photos make them. People, text, medical or aerial pictures: not tested.
- Deciding anything about persons, or any product. It carries the biases of ImageNet's photos and labels.
- Claims about the state of the art: a network of this size serves a lesson.
"""


def _teach(photos, weights, folder, settings):
    """The crops and the teacher's features of each, from `folder` where they are; the first view is the whole photo."""
    about = {
        "photos": hashlib.sha256(np.ascontiguousarray(photos)).hexdigest(),
        "teacher": hashlib.sha256(Path(weights).read_bytes()).hexdigest(),
        **{name: getattr(settings, name) for name in ("teacher_side", "smallest", "seed")},
    }
    key = folder / "views.json"
    if key.exists() and json.loads(key.read_text()) != about:
        raise ValueError(f"{folder} holds views of other photos, another teacher or other numbers; take another folder")
    rank, world = _rank_and_world()
    if rank == 0:
        _write(key, lambda file: file.write(json.dumps(about, indent=1).encode()))
    for view in range(settings.n_views)[rank::world]:
        paths = [folder / f"{kind}_{view}.npy" for kind in ("views", "features")]
        if all(path.exists() for path in paths):
            continue
        rng = np.random.default_rng([settings.seed, view])
        images = crops(photos, rng, settings.smallest) if view else photos
        features = mobilenet_features(images, weights, settings.teacher_side)
        for path, array in zip(paths, (images, features), strict=True):
            _write(path, lambda file, array=array: np.save(file, array))
    if world > 1:
        distributed.barrier()
    views = [np.load(folder / f"views_{view}.npy", mmap_mode="r") for view in range(settings.n_views)]
    return views, [np.load(folder / f"features_{view}.npy") for view in range(settings.n_views)]


def _write(path, write):
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with open(partial, "wb") as file:
        write(file)
    os.replace(partial, path)


def _shifted(images, shift, most=4):
    """Each image moved by (shift - most) pixels, its edge mirrored."""
    _, h, w, _ = images.shape
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="reflect")
    return np.stack([image[top : top + h, left : left + w] for image, (top, left) in zip(padded, shift, strict=True)])


def _embed(network, images, batch=250):
    with torch.inference_mode():
        return np.concatenate([network(pixels(images[at : at + batch])).numpy() for at in range(0, len(images), batch)])


def _unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _wilson(right, z=1.959964):
    """95% interval of a proportion (Wilson 1927)."""
    n, share = len(right), right.mean()
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return {"low": middle - half, "high": middle + half}


def _rank_and_world():
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
