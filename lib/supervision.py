"""What a network is taught decides what its embedding knows: three tasks for images with several labels each.

    Labels      which labels? One sigmoid for each, binary cross entropy
    Triplets    which of two images shares more labels with a third? The triplet loss
    Rotation    by how many quarter turns was the image turned? No label at all (Gidaris et al. 2018)

`train_task` trains them all alike, so two embeddings differ only in the task and the weights they started from.
`embed_photos` and `label_probabilities` use the trained network.

Needs numpy, pandas and torch. Copy with: losses.py, training.py
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

try:
    from lib import losses, training
except ModuleNotFoundError:  # copied beside this file
    import losses
    import training

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos, as in torchvision


class Photos(NamedTuple):
    images: np.ndarray  # uint8 (n, h, w, 3)
    label_sets: np.ndarray  # bool (n, L)


@dataclass(frozen=True)
class TaskSettings:
    """The numbers of a training; the defaults, except `epochs`, are those of the report the course follows."""

    epochs: int = 30  # at most
    batch_size: int = 128
    rate: float = 3e-4  # of Adam
    plateau: int = 2  # epochs without a lower held-out loss after which the rate is divided by 10
    patience: int = 6  # epochs without one after which training stops
    seed: int = 0


class Supervised(nn.Module):
    """A backbone and a linear head: float (n, 3, h, w) -> `body` (n, dimension) -> (n, n_outputs).

    With `fixed_statistics` batch norms keep running statistics but train scales and shifts. `seed` is the head's.
    >>> Supervised(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), 4, n_outputs=5)(torch.zeros(2, 3, 2, 2)).shape
    torch.Size([2, 5])
    """

    def __init__(self, body: nn.Module, dimension: int, n_outputs: int, fixed_statistics: bool = False, seed: int = 0):
        super().__init__()
        self.body, self.fixed_statistics = body, fixed_statistics
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(dimension, n_outputs)  # drawn on the CPU: the same numbers wherever it goes
        parameter = next(body.parameters(), None)
        if parameter is not None:
            self.head.to(parameter.device)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def train(self, mode: bool = True):
        super().train(mode)
        if self.fixed_statistics:
            for module in self.body.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


class _Task:
    """What training asks of a task, with defaults; and loss(outputs, targets, epoch); epoch None: held-out photos."""

    augment = True
    embeds = "body"  # what the embedding is: what goes into the head ("body"), or what comes out of it ("head")

    def batch(self, x, targets, rng):
        """Network input and targets of a batch of training images."""
        return (crop_and_flip(x, rng) if self.augment else x), targets

    def held_out(self, x, targets, rows):
        """The same of the held-out images `rows`; nothing is random here."""
        return x, targets

    def scores(self, outputs, targets):
        return {}  # more columns of the history


@dataclass(frozen=True)
class Labels(_Task):
    """Predict the labels: one logit for each of n_labels, binary cross entropy, the mean over labels and images."""

    n_labels: int
    augment: bool = True  # train on random crops, half of them mirrored
    n_outputs = property(lambda self: self.n_labels)

    def loss(self, outputs, targets, epoch):
        return functional.binary_cross_entropy_with_logits(outputs, targets.float())


@dataclass(frozen=True)
class Triplets(_Task):
    """Bring images that share many labels nearer than others, by a growing margin; held-out photos: the final one."""

    dimension: int = 128  # of the embedding, the head's output
    how: str = "random"  # of `losses.mine`
    start: float = 0.2
    margin: float = 1.0  # reached after `growing` epochs
    growing: int = 10
    augment: bool = True
    embeds = "head"
    n_outputs = property(lambda self: self.dimension)

    def loss(self, outputs, targets, epoch):
        generator, margin = torch.Generator().manual_seed(0), self.margin
        if epoch is not None:
            generator, margin = None, losses.growing_margin(epoch, self.growing, self.start, self.margin)
        same, different = similar_and_different(targets)
        rows = losses.mine(outputs, same, self.how, margin, is_different=different, generator=generator)
        return losses.triplet(*(outputs[each] for each in rows), margin)


@dataclass(frozen=True)
class Rotation(_Task):
    """Tell by how many quarter turns an image was turned: four classes, cross entropy. Labels are ignored."""

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
    """A random crop of each image, enlarged to the image's size and mirrored half of the time: float (n, 3, h, w). Its
    sides are a uniform share of the image's, from `smallest` to 1, and its place is uniform.
    """
    n = len(x)
    side = rng.uniform(smallest, 1, n)
    maps = np.zeros((n, 2, 3), np.float32)  # affine_grid's coordinates run from -1 to 1
    maps[:, 0, 0], maps[:, 1, 1] = side * rng.choice((-1, 1), n), side
    maps[:, :, 2] = rng.uniform(-1, 1, (n, 2)) * (1 - side)[:, None]
    grid = functional.affine_grid(torch.from_numpy(maps).to(x), x.shape, align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def turned(x: Tensor, n_turns: Tensor) -> Tensor:
    """Each image turned counterclockwise by its number of quarter turns: (n, 3, h, h).
    >>> turned(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([1])).tolist()
    [[[[2, 4], [1, 3]]]]
    """
    return torch.stack([torch.rot90(each, int(n), (1, 2)) for each, n in zip(x, n_turns, strict=True)])


def similar_and_different(label_sets: Tensor, n_similar: float = 0.1, n_different: float = 0.5):
    """Which pairs of a batch count as similar and which as different, by shared labels: two bool (n, n).

    The overlap of label sets, bool (n, L), is the intersection over union (`relevance.label_iou`), of two empty ones 0.
    Similar to an image is the share `n_similar` of the others with the largest overlap, different the share
    `n_different` with the smallest, at least one each and all ties with the last. Images that would be both are
    neither. Of the three others here, the first shares both labels, the second one of two, the third none.
    >>> similar, different = similar_and_different(torch.tensor([[1, 1], [1, 1], [1, 0], [0, 0]]))
    >>> similar[0].tolist(), different[0].tolist()
    ([False, True, False, False], [False, False, True, True])
    """
    sets = label_sets.float()
    shared = sets @ sets.T
    union = sets.sum(1)[:, None] + sets.sum(1) - shared
    overlap, n = shared / union.clamp(min=1), len(sets)  # (n, n)
    is_self = torch.eye(n, dtype=torch.bool, device=sets.device)
    others = overlap[~is_self].view(n, max(n - 1, 0)).sort(dim=1).values  # (n, n - 1), ascending
    if n < 3:
        return torch.zeros_like(is_self), torch.zeros_like(is_self)
    high = others[:, -max(1, round(n_similar * (n - 1)))][:, None]
    low = others[:, max(1, round(n_different * (n - 1))) - 1][:, None]
    similar, different = (overlap >= high) & (overlap > low), (overlap <= low) & (overlap < high)
    return similar & ~is_self, different & ~is_self


def train_task(
    task, network: Supervised, photos: Photos, held_out: Photos, settings: TaskSettings, *,
    checkpoint=None, progress: bool | str = True,
) -> pd.DataFrame:  # fmt: skip
    """Train `network` in place for `task`, and return the history (see training.train), one row an epoch.

    The validation loss is on whole `held_out` images, with triplets from a fixed seed and image i turned i times.
    >>> photos = Photos(np.zeros((8, 4, 4, 3), np.uint8), np.eye(8, 2, dtype=bool))
    >>> network = Supervised(nn.Flatten(), 48, n_outputs=2)
    >>> len(train_task(Labels(2), network, photos, photos, TaskSettings(epochs=2)))
    2
    """
    arrays = [[torch.from_numpy(np.asarray(each)) for each in part] for part in (photos, held_out)]
    size = min(settings.batch_size, len(photos.images))

    def prepare(images, targets, rng):
        return task.batch(normalised(images), targets, rng)

    batches = training.Batches(arrays[0], size, drop_last=True, transform=prepare, seed=settings.seed)

    def step(model, batch):
        return task.loss(model(batch[0]), batch[1], batches.epoch)

    def validate(model):
        outputs, expected = [], []
        for rows in torch.arange(len(held_out.images)).split(256):
            x, targets = task.held_out(normalised(arrays[1][0][rows]), arrays[1][1][rows], rows)
            outputs.append(model(x.to(next(model.parameters()).device)).cpu())
            expected.append(targets)
        outputs, expected = torch.cat(outputs), torch.cat(expected)
        return {"loss": task.loss(outputs, expected, None), **task.scores(outputs, expected)}

    optimiser = torch.optim.Adam(network.parameters(), lr=settings.rate, fused=True)  # one pass over the weights
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=settings.plateau)
    return training.train(
        network, step, batches, optimiser, settings.epochs, validate=validate, monitor="validation_loss",
        patience=settings.patience, schedule=schedule, checkpoint=checkpoint, seed=settings.seed, progress=progress,
    )  # fmt: skip


def normalised(images: Tensor) -> Tensor:
    """uint8 (n, h, w, 3) as float (n, 3, h, w), standardised by ImageNet's mean and standard deviation.
    >>> normalised(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8))[0, 0]  # (1 - 0.485) / 0.229
    tensor([[2.2489]])
    """
    x = images.permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def embed_photos(network: Supervised, images: np.ndarray, embeds: str = "body", batch_size: int = 128) -> np.ndarray:
    """Embeddings float32 (n, d), C-contiguous, of images uint8 (n, h, w, 3).

    What goes into the head ("body") or comes out of it ("head"); ValueError for another `embeds`, and for no image.
    >>> network = Supervised(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), 4, n_outputs=5)
    >>> embed_photos(network, np.zeros((3, 2, 2, 3), np.uint8)).shape
    (3, 4)
    """
    if embeds not in ("body", "head"):
        raise ValueError(f"embeds must be 'body' or 'head', got {embeds!r}")
    if len(images) == 0:
        raise ValueError("expected at least one image, got none")
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
    """The probability of each label by a network trained for `Labels`: float32 (n, L), 0 to 1."""
    return torch.sigmoid(torch.from_numpy(embed_photos(network, images, "head"))).numpy()
