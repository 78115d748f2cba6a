"""What a network is taught decides what its embedding knows: three tasks for images with several labels each.

    Labels      which labels? One sigmoid for each, binary cross entropy
    Triplets    which of two images shares more labels with a third? The triplet loss
    Rotation    by how many quarter turns was the image turned? No label at all (Gidaris et al. 2018)

All are trained alike by `train`, with Adam, a rate that is divided by 10 when the held-out loss stands still, and early
stopping; so what differs between two embeddings is the task and the weights it started from.

Contents
    Photos, Settings                what is trained on, and the numbers of a training
    Labels, Triplets, Rotation      the tasks
    Supervised                      a backbone and a head, the network of a task
    train                           train it, or find it where it was trained before
    embed, label_probabilities      what it says about images
    crop_and_flip, turned, similar_and_different
                                    the parts of the tasks

Needs numpy, pandas and torch. The training loop, the store of trained networks and the triplet loss are handed in, so
this file imports nothing else of the course. Copy this file alone.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "Labels", "Photos", "Rotation", "Settings", "Supervised", "Triplets", "crop_and_flip", "embed",
    "label_probabilities", "similar_and_different", "train", "turned",
]  # fmt: skip

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos, as torchvision has them
RECIPE = 2  # raise it with every change that changes what a training ends with


class Photos(NamedTuple):
    images: np.ndarray  # uint8 (n, h, w, 3)
    label_sets: np.ndarray  # bool (n, L)


@dataclass(frozen=True)
class Settings:
    """The numbers of a training; by default those of the report that the course follows, but for `epochs`."""

    epochs: int = 30  # at most
    batch_size: int = 128
    rate: float = 3e-4  # of Adam
    plateau: int = 2  # epochs without a better held-out loss, after which the rate is divided by 10
    patience: int = 6  # epochs without a better one, after which training stops
    seed: int = 0


class Supervised(nn.Module):
    """A backbone and a linear head: float (n, 3, h, w) -> (n, n_outputs).

    `body` gives (n, dimension). With `fixed_statistics` its batch norms keep the statistics they came with, as they
    must where these are estimates, or where batches are small; their scales and shifts are trained all the same. The
    head is drawn by `seed`, and lies on the device of the body.

    >>> Supervised(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), 4, n_outputs=5)(torch.zeros(2, 3, 2, 2)).shape
    torch.Size([2, 5])
    """

    def __init__(self, body: nn.Module, dimension: int, n_outputs: int, fixed_statistics: bool = False, seed: int = 0):
        super().__init__()
        self.body, self.fixed_statistics = body, fixed_statistics
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(dimension, n_outputs)  # drawn on the CPU: the same numbers wherever it goes
        where = next(body.parameters(), None)
        if where is not None:
            self.head.to(where.device)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def train(self, mode: bool = True):
        super().train(mode)
        if self.fixed_statistics:
            for module in self.body.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


# -------------------------------------------------------------------------------------------------------------- tasks


class _Task:
    """What a task is asked for, with what holds for most."""

    augment = True
    embeds = "body"  # what the embedding is: what goes into the head ("body"), or what comes out of it ("head")

    def batch(self, x, targets, rng):
        """What is shown of a batch of training images, and the right answers."""
        return (crop_and_flip(x, rng) if self.augment else x), targets

    def held_out(self, x, targets, rows):
        """The same of held-out images, numbers `rows`; nothing is random here."""
        return x, targets

    def loss(self, outputs, targets, epoch):
        """In this epoch, from 0; None: of the held-out photos."""
        raise NotImplementedError

    def scores(self, outputs, targets):
        """More columns of the history."""
        return {}


@dataclass(frozen=True)
class Labels(_Task):
    """Name the labels: one logit for each of n_labels, binary cross entropy, the mean over labels and images.

    The embedding is what goes into the head. `augment`: show a random crop, perhaps mirrored, instead of the image.
    """

    n_labels: int
    augment: bool = True

    @property
    def n_outputs(self):
        return self.n_labels

    def loss(self, outputs, targets, epoch):
        return functional.binary_cross_entropy_with_logits(outputs, targets.float())


@dataclass(frozen=True)
class Triplets(_Task):
    """Bring images that share many labels nearer than images that share few, by a margin that grows.

    mine, triplet, growing_margin: those of losses.py. In a batch an image's positives and negatives are those of
    `similar_and_different`; `mine` draws from them by `how`. The embedding is the head's output, of `dimension`
    coordinates. The margin grows from `start` to `margin` over `growing` epochs; held-out photos are judged at its end.
    """

    mine: Callable
    triplet: Callable
    growing_margin: Callable
    dimension: int = 128
    how: str = "random"
    start: float = 0.2
    margin: float = 1.0
    growing: int = 10
    augment: bool = True
    embeds = "head"

    @property
    def n_outputs(self):
        return self.dimension

    def loss(self, outputs, targets, epoch):
        generator = torch.Generator().manual_seed(0) if epoch is None else None
        margin = self.margin if epoch is None else self.growing_margin(epoch, self.growing, self.start, self.margin)
        same, different = similar_and_different(targets)
        rows = self.mine(outputs, same, self.how, margin, is_different=different, generator=generator)
        return self.triplet(*(outputs[each] for each in rows), margin)


@dataclass(frozen=True)
class Rotation(_Task):
    """Say by how many quarter turns an image was turned: four classes, cross entropy. Labels are not looked at."""

    augment: bool = True
    n_outputs = 4

    def batch(self, x, targets, rng):
        n_turns = torch.from_numpy(rng.integers(0, 4, len(x)))
        return turned(super().batch(x, targets, rng)[0], n_turns), n_turns

    def held_out(self, x, targets, rows):
        return turned(x, rows % 4), rows % 4

    def loss(self, outputs, targets, epoch):
        return functional.cross_entropy(outputs, targets)

    def scores(self, outputs, targets):
        return {"accuracy": (outputs.argmax(1) == targets).float().mean()}


def crop_and_flip(x: Tensor, rng: np.random.Generator, smallest: float = 0.7) -> Tensor:
    """A random square part of each image, enlarged to its size and mirrored half of the time: float (n, 3, h, w).

    The sides of the part are `smallest` to 1 of the image's, evenly drawn, and it lies anywhere inside.

    >>> x = torch.arange(4.0).expand(1, 3, 4, 4)  # grows to the right
    >>> crop_and_flip(x, np.random.default_rng(0), smallest=1.0)[0, 0, 0].tolist() in ([0, 1, 2, 3], [3, 2, 1, 0])
    True
    """
    n = len(x)
    side = rng.uniform(smallest, 1, n)
    maps = np.zeros((n, 2, 3), np.float32)  # affine_grid's coordinates run from -1 to 1
    maps[:, 0, 0], maps[:, 1, 1] = side * rng.choice((-1, 1), n), side
    maps[:, :, 2] = rng.uniform(-1, 1, (n, 2)) * (1 - side)[:, None]
    grid = functional.affine_grid(torch.from_numpy(maps).to(x), x.shape, align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def turned(x: Tensor, n_turns: Tensor) -> Tensor:
    """Each image turned by its number of quarter turns, against the clock: (n, 3, h, h).

    >>> turned(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([1])).tolist()
    [[[[2, 4], [1, 3]]]]
    """
    return torch.stack([torch.rot90(each, int(n), (1, 2)) for each, n in zip(x, n_turns, strict=True)])


def similar_and_different(label_sets: Tensor, n_similar: float = 0.1, n_different: float = 0.5):
    """Who is like whom in a batch, by shared labels: two bool (n, n), similar and different.

    By the intersection over union of the label sets (`metrics.label_iou`). Similar to an image is the share `n_similar`
    of the others that overlaps with it most, different the share `n_different` that overlaps least, at least one each
    and all that tie with the last of them. Whoever would be both is neither, so a similar one always shares more than a
    different one. Relative, because where all photos share
    a label (skin, hair) no overlap is 0. Label sets are bool (n, L); two empty ones share nothing.

    Of the three others the first shares both labels, the second one of two, the third none:

    >>> similar, different = similar_and_different(torch.tensor([[1, 1], [1, 1], [1, 0], [0, 0]]))
    >>> similar[0].tolist(), different[0].tolist()
    ([False, True, False, False], [False, False, True, True])
    """
    sets = label_sets.float()
    shared = sets @ sets.T
    union = sets.sum(1)[:, None] + sets.sum(1) - shared
    overlap = shared / union.clamp(min=1)  # (n, n)
    n = len(sets)
    is_self = torch.eye(n, dtype=torch.bool, device=sets.device)
    others = overlap[~is_self].view(n, max(n - 1, 0)).sort(dim=1).values  # (n, n - 1), ascending
    if n < 3:
        return torch.zeros_like(is_self), torch.zeros_like(is_self)
    high = others[:, -max(1, round(n_similar * (n - 1)))][:, None]
    low = others[:, max(1, round(n_different * (n - 1))) - 1][:, None]
    similar, different = (overlap >= high) & (overlap > low), (overlap <= low) & (overlap < high)
    return similar & ~is_self, different & ~is_self


# ----------------------------------------------------------------------------------------------- training and embedding


def train(
    task,
    network: Supervised,
    photos: Photos,
    held_out: Photos,
    settings: Settings,
    *,
    fit: Callable,
    batches: Callable,
    kept: Callable | None = None,
    folder=None,
    progress: bool = False,
) -> pd.DataFrame:
    """Train `network` in place for `task`, and return the history (see training.fit), one row an epoch.

    fit, batches    training.fit and training.Batches
    kept            checkpoints.kept: where this very training was done before its result is read instead, from `folder`

    Validation is the task's loss on `held_out`, of which nothing is trained: on the whole images (triplets drawn by a
    fixed seed, image i turned by i quarter turns). The weights of its best epoch are those that the network ends with.
    """
    arrays = [[torch.from_numpy(np.asarray(each)) for each in part] for part in (photos, held_out)]
    size = min(settings.batch_size, len(photos.images))

    def prepare(images, targets, rng):
        return task.batch(normalised(images), targets, rng)

    train_batches = batches(arrays[0], size, drop_last=True, transform=prepare, seed=settings.seed)

    def step(model, batch):
        return task.loss(model(batch[0]), batch[1], train_batches.epoch)

    def validate(model):
        outputs, wanted = [], []
        for rows in torch.arange(len(held_out.images)).split(256):
            x, targets = task.held_out(normalised(arrays[1][0][rows]), arrays[1][1][rows], rows)
            outputs.append(model(x.to(next(model.parameters()).device)).cpu())
            wanted.append(targets)
        outputs, wanted = torch.cat(outputs), torch.cat(wanted)
        return {"loss": task.loss(outputs, wanted, None), **task.scores(outputs, wanted)}

    def run(checkpoint=None):
        optimiser = torch.optim.Adam(network.parameters(), lr=settings.rate, fused=True)  # one pass over the weights
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=settings.plateau)
        watch = {"validate": validate, "monitor": "validation_loss", "patience": settings.patience}
        return fit(
            network, step, train_batches, optimiser, settings.epochs, **watch, schedule=schedule,
            checkpoint=checkpoint, seed=settings.seed, progress=progress,
        )  # fmt: skip

    return run() if kept is None else kept(folder, _key(task, network, (photos, held_out), settings), network, run)


def normalised(images: Tensor) -> Tensor:
    """uint8 (n, h, w, 3) as float (n, 3, h, w), less ImageNet's mean, by its standard deviation.

    >>> normalised(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)).flatten().tolist() == [
    ...     (1 - mean) / std for mean, std in zip(torch.tensor(MEAN), torch.tensor(STD))
    ... ]
    True
    """
    x = images.permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def embed(network: Supervised, images: np.ndarray, embeds: str = "body", batch_size: int = 128) -> np.ndarray:
    """Embeddings float32 (n, d), C-contiguous, of uint8 (n, h, w, 3): what goes into the head, or what comes out of it.

    `embeds` is "body" or "head", as the task has it. The network computes in evaluation mode and is left as it was.

    >>> network = Supervised(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), 4, n_outputs=5)
    >>> embed(network, np.zeros((3, 2, 2, 3), np.uint8)).shape
    (3, 4)
    """
    if embeds not in ("body", "head"):
        raise ValueError(f"embeds is {embeds!r}, allowed: 'body' and 'head'")
    if len(images) == 0:
        raise ValueError("no images: at least one is needed")
    part = network.body if embeds == "body" else network
    device, was_training = next(network.parameters()).device, network.training
    network.eval()
    try:
        with torch.inference_mode():
            batches = torch.from_numpy(np.asarray(images)).split(batch_size)
            rows = [part(normalised(batch).to(device)).float().cpu() for batch in batches]
    finally:
        network.train(was_training)
    return np.ascontiguousarray(torch.cat(rows).numpy())


def label_probabilities(network: Supervised, images: np.ndarray) -> np.ndarray:
    """How probable each label is, by a network that was trained for `Labels`: float32 (n, L), 0 to 1.

    >>> network = Supervised(nn.Flatten(), 12, n_outputs=5)
    >>> label_probabilities(network, np.zeros((3, 2, 2, 3), np.uint8)).shape
    (3, 5)
    """
    return torch.sigmoid(torch.from_numpy(embed(network, images, "head"))).numpy()


def _key(task, network, parts, settings):
    """All that a training depends on besides the weights that it starts from."""
    numbers = {name: value for name, value in vars(task).items() if not callable(value)}
    return {
        "recipe": RECIPE,
        "task": {"name": type(task).__name__, **numbers},
        "settings": asdict(settings),
        "fixed statistics": network.fixed_statistics,
        "body": type(network.body).__name__,
        "photos": [[_digest(array) for array in part] for part in parts],
    }


def _digest(array):
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()).hexdigest()
