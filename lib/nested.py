"""Nested (Matryoshka) training: one network whose first coordinates are embeddings of their own.

A body embeds a photo; a head names its class from the first 8, 16, ... coordinates of the embedding at once, with one
classifier for each size (MRL) or one for all (MRL-E), and the losses of all sizes are added up (Kusupati et al.,
Matryoshka Representation Learning, 2022). With a single size this is ordinary training.

Under torchrun, call `train_nested` inside `with training.processes():`. Needs numpy, pandas and torch.
Copy with: losses.py, training.py
"""

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

try:
    from lib import losses, training
except ModuleNotFoundError:  # copied beside this file
    import losses
    import training


@dataclass(frozen=True)
class NestedSettings:
    """The numbers of a training, the same for every variant compared."""

    epochs: int = 20
    batch_size: int = 128  # used by the code that makes the batches
    rate: float = 2e-3  # of AdamW: rises over the first epoch, then falls to 0 along half a cosine
    weight_decay: float = 0.05  # of matrices; scales, shifts and biases have none
    clip_norm: float = 5.0  # the largest norm of the gradient
    seed: int = 0


class Nested(nn.Module):
    """A body that embeds, float (n, 3, h, w) -> (n, d), and a head that gives logits: [(n, classes)], one a size."""

    def __init__(self, body: nn.Module, head: Callable):
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.head(self.body(x))


def train_nested(
    model: nn.Module, batches: Iterable, settings: NestedSettings, *, weights: Sequence[float] | None = None,
    validate: Callable | None = None, checkpoint=None, progress: bool | str = True,
) -> pd.DataFrame:  # fmt: skip
    """Train `model` (`Nested`) in place, and return the history (see training.train), one row an epoch.

    batches    of (photos float (b, 3, h, w), classes int64 (b,)), with a length: a `training.Batches` or `Streamed`
    weights    of the sizes, one each, scaled to a sum of 1 so that the learning rate means the same for one size and
               for seven; None: equal
    validate, checkpoint, progress    as in `training.train`

    ValueError for weights that are negative, not finite or all 0, and for another number of them than of sizes.
    >>> model = Nested(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), lambda rows: [rows[:, :2], rows])
    >>> batches = training.Batches([torch.zeros(8, 3, 2, 2), torch.zeros(8, dtype=torch.int64)], size=4)
    >>> len(train_nested(model, batches, NestedSettings(epochs=2)))
    2
    """
    if weights is not None and not (np.isfinite(weights).all() and min(weights) >= 0 and sum(weights) > 0):
        raise ValueError(f"weights must be finite, at least 0 and not all 0, got {list(weights)}")

    def step(model, batch):
        x, classes = batch
        logits = model(x)
        each = [1.0] * len(logits) if weights is None else weights
        return losses.nested_loss(logits, classes, [weight / sum(each) for weight in each])

    n_steps, optimiser = len(batches), _optimiser(model, settings)
    schedule = training.warm_up_cosine(optimiser, settings.epochs * n_steps, n_steps if settings.epochs > 1 else 0)
    return training.train(
        model, step, batches, optimiser, settings.epochs, validate=validate, schedule=schedule, schedule_each="batch",
        clip_norm=settings.clip_norm, checkpoint=checkpoint, seed=settings.seed, progress=progress,
    )  # fmt: skip


class Streamed:
    """Batches of photos read as they are needed: the next batch is read while the network trains on this one.

    read        read(rows) -> the photos of these rows, uint8 (b, h, w, 3); of a collection:
                `lambda rows: collection.subset(rows).images(64, progress=False)`
    labels      int (n,), the class of each photo
    size        photos in a batch, of all processes together; a multiple of their number
    transform   transform(photos, classes, rng) -> the batch; None: both as tensors

    Training gives the same numbers as with `training.Batches` and `drop_last`. ValueError for a size that does not fit.
    >>> batches = Streamed(lambda rows: np.zeros((len(rows), 2, 2, 3), np.uint8), np.arange(7), size=3)
    >>> len(batches), sorted(len(classes) for _, classes in batches)
    (2, [3, 3])
    """

    def __init__(self, read: Callable, labels: np.ndarray, size: int, transform: Callable | None = None, seed: int = 0):
        self.rank, self.world = training.rank_and_world()
        if not 1 <= size <= len(labels) or size % self.world:
            wanted = f"from 1 to {len(labels)} (the photos) and a multiple of {self.world} (the processes)"
            raise ValueError(f"size must be {wanted}, got {size}")
        self.read, self.labels, self.size, self.transform = read, np.asarray(labels), size, transform
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.labels) // self.size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.labels))
        with ThreadPoolExecutor(1) as reader:
            upcoming = reader.submit(self._batch, order, 0)
            for number in range(len(self)):
                batch = upcoming.result()
                if number + 1 < len(self):
                    upcoming = reader.submit(self._batch, order, number + 1)
                yield batch

    def _batch(self, order, number):
        start = number * self.size
        rows = order[start : start + self.size][self.rank :: self.world]
        photos, classes = torch.from_numpy(self.read(rows)), torch.from_numpy(self.labels[rows])
        if self.transform is None:
            return photos, classes
        return self.transform(photos, classes, np.random.default_rng([self.seed, self.epoch, start, self.rank]))


def class_scores(head: nn.Module, embeddings: np.ndarray, batch_size: int = 4096) -> list[np.ndarray]:
    """The logits of each size, float32 (n, n_classes), for embeddings float32 (n, d).
    >>> [scores.tolist() for scores in class_scores(lambda rows: [rows[:, :1], 2 * rows], np.float32([[3, 4]]))]
    [[[3.0]], [[6.0, 8.0]]]
    """
    embeddings = np.asarray(embeddings)
    if not np.isfinite(embeddings).all():
        raise ValueError(f"embeddings must be finite, got {(~np.isfinite(embeddings)).sum()} NaN or infinite values")
    device = next((each.device for each in getattr(head, "parameters", lambda: ())()), torch.device("cpu"))
    with torch.inference_mode():
        parts = [head(rows.to(device)) for rows in torch.from_numpy(embeddings).split(batch_size)]
    return [torch.cat(scores).float().cpu().numpy() for scores in zip(*parts, strict=True)]


def groups_at(hierarchy, classes: Sequence[str], level: int) -> np.ndarray:
    """The ancestor of each class `level` steps below the root, or the class itself where it is higher up: (n_classes,).

    `hierarchy` has the columns class and parent (a DataFrame, or a dict of lists); the parent of a root is empty,
    missing or the root itself. ValueError for a class that is not in the tree, a cycle, a negative level.
    >>> tree = {"class": ["all", "cat", "truck", "tiger", "lion"], "parent": ["", "all", "all", "cat", "cat"]}
    >>> groups_at(tree, ["tiger", "lion", "truck"], 1).tolist()
    ['cat', 'cat', 'truck']
    """
    if not isinstance(level, int | np.integer) or level < 0:
        raise ValueError(f"level must be an integer from 0 (the root), got {level!r}")
    parent_of = dict(zip(hierarchy["class"], hierarchy["parent"], strict=True))
    found = []
    for name in classes:
        path = [name]
        while (parent := parent_of.get(path[-1])) and parent == parent and parent != path[-1]:  # NaN is not NaN
            path.append(parent)
            if len(path) > len(parent_of) + 1:
                raise ValueError(f"expected a tree, got a cycle: {name!r} is its own ancestor")
        missing = [each for each in path if each not in parent_of]
        if missing:
            raise ValueError(f"expected a class of the tree ({len(parent_of)} classes), got {missing[0]!r}")
        found.append(path[::-1][min(level, len(path) - 1)])
    return np.array(found)


def step_seconds(
    models: dict[str, nn.Module], batch: tuple[Tensor, Tensor], settings: NestedSettings, n_rounds: int = 20,
    n_warm_up: int = 3, clock: Callable | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Seconds of one step of each training (forward, loss, backward, AdamW): one row a round, one column a model.

    In every round each model takes one step on the same `batch`, in every second round in reverse order, so that rows
    can be compared as pairs. The default `clock` is processor time of all threads; on a GPU, wall time read once the
    GPU has finished. The steps change the models: pass copies. ValueError for less than one round.
    """
    if n_rounds < 1:
        raise ValueError(f"n_rounds must be at least 1, got {n_rounds}")
    optimisers = {name: _optimiser(model, settings) for name, model in models.items()}
    x, classes = batch
    clock = clock or (functools.partial(_gpu_clock, x.device) if x.device.type == "cuda" else time.process_time)
    rows = []
    for number in range(n_warm_up + n_rounds):
        row = {}
        for name in list(models)[:: -1 if number % 2 else 1]:
            started = clock()
            loss = losses.nested_loss(models[name].train()(x), classes)
            optimisers[name].zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(models[name].parameters(), settings.clip_norm)
            optimisers[name].step()
            row[name] = clock() - started
        rows.append(row)
    return pd.DataFrame(rows[n_warm_up:], columns=list(models))


def _gpu_clock(device):
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _optimiser(model, settings):
    decays = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim <= 1]
    groups = [{"params": decays, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.rate, fused=True)
