"""How hard is the drawn catalogue? Mean AP on its test split, from chance to a network trained on its train split.

    python benchmarks/catalogue_hardness.py [folder]

Queries and gallery: the single products of the test split; relevant: the same product type. A query is never its own
answer, and the whole ranking counts. Training the small network takes some minutes on two cores.
"""

import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from course import catalogue
from lib import backbones, collection, descriptors, indexes, keypoints, metrics, relevance, significance

SIDE, EPOCHS, BATCH, SEED = 64, 40, 64, 0  # of the network: pixels, passes over the train split, images a step


def singles(folder, split):
    """Images and product types of the single products of a split."""
    single = collection.read(folder, split).where("kind", "single")
    return single.images(96), single.table["label"].to_numpy()


def average_precision(embeddings, labels):
    """Each row as a query against all others: float64 (n,)."""
    empty = ~embeddings.any(axis=1)
    embeddings = np.hstack([embeddings, empty[:, None].astype(np.float32)])  # images without a visual word are alike
    _, neighbours = indexes.search_leave_self_out(np.ascontiguousarray(embeddings), len(labels) - 1)
    return relevance.average_precision(neighbours, labels, labels, self_in_gallery=True)


def handcrafted(train, test):
    """Embeddings of the test images by each method; vocabularies are learned on the train images."""
    yield "colour histogram (joint HSV)", descriptors.colour_histogram(test)
    yield "HOG (cells of 8)", descriptors.hog(test)
    yield "HOG (cells of 16)", descriptors.hog(test, cell=16)
    to_learn_from = train[:1000]
    for name, settings in (
        ("SIFT", {"kind": "sift", "contrast": 0.02}),
        ("dense SIFT", {"kind": "dense_sift", "step": 6, "patches": (16, 24)}),
    ):
        learn, find = keypoints.keypoints(to_learn_from, **settings), keypoints.keypoints(test, **settings)
        for levels in (1, 3):
            words = keypoints.BagOfVisualWords(256, levels=levels, seed=SEED).fit(learn)
            yield f"{name} words, {levels} pyramid level(s)", words.transform(find)
        yield f"{name} VLAD", keypoints.VLAD(32, seed=SEED).fit(learn).transform(find)


class SmallNetwork(nn.Module):
    """Seven 3x3 convolutions, the later ones in pairs with a shortcut; 128 numbers; a cosine classifier."""

    def __init__(self, n_classes, widths=(16, 32, 64, 128), d=128):
        super().__init__()

        def convolve(a, b, stride=1):
            return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b))

        self.stem = convolve(3, widths[0], 2)
        self.down = nn.ModuleList(convolve(a, b) for a, b in pairwise(widths))
        self.more = nn.ModuleList(convolve(b, b) for b in widths[1:])
        self.embed = nn.Linear(widths[-1] * 4, d)
        self.classes = nn.Parameter(torch.randn(n_classes, d))

    def forward(self, images):
        x = F.relu(self.stem(images))
        for down, more in zip(self.down, self.more, strict=True):
            x = F.max_pool2d(F.relu(down(x)), 2)
            x = F.relu(x + more(x))
        x = F.adaptive_avg_pool2d(x, 2)  # (n, c, 2, 2): a little of where things are
        return F.normalize(self.embed(x.flatten(1)))

    def logits(self, embeddings):
        return 16 * embeddings @ F.normalize(self.classes).T


def resized(images):
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.interpolate(x, SIDE, mode="area")


def augmented(images):
    """Each image mirrored, turned, moved and scaled a little at random, brighter or darker, with other colours."""
    n = len(images)
    angle, scale = (torch.rand(n) - 0.5) * 0.8, 0.8 + 0.4 * torch.rand(n)
    cos, sin, flip = torch.cos(angle) * scale, torch.sin(angle) * scale, torch.randint(0, 2, (n,)) * 2 - 1
    move = (torch.rand(n, 2) - 0.5) * 0.3
    theta = torch.stack(
        [torch.stack([cos * flip, -sin, move[:, 0]], 1), torch.stack([sin * flip, cos, move[:, 1]], 1)], 1
    )
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return images * (0.7 + 0.6 * torch.rand(n, 3, 1, 1)) + (torch.rand(n, 3, 1, 1) - 0.5) * 0.3


def network_embeddings(train, train_labels, test):
    torch.manual_seed(SEED)
    names, targets = np.unique(train_labels, return_inverse=True)
    images, targets = resized(train), torch.from_numpy(targets)
    model = SmallNetwork(len(names)).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for _ in tqdm(range(EPOCHS), desc="training the network", mininterval=10):
        model.train()
        for rows in torch.randperm(len(images)).split(BATCH):
            if len(rows) < BATCH:
                continue
            batch = augmented(images[rows]).to(memory_format=torch.channels_last)
            loss = F.cross_entropy(model.logits(model(batch)), targets[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        return np.concatenate([model(batch).numpy() for batch in resized(test).split(256)])


def pretrained_embeddings(images):
    """EfficientNet-Lite0, trained on ImageNet, at its own size."""
    return backbones.embed(backbones.load("efficientnet_lite0"), images)


def main(folder=None):
    folder = catalogue.write(n_probe=0) if folder is None else Path(folder)
    train, train_labels = singles(folder, "train")
    test, labels = singles(folder, "test")
    print(f"{len(train)} train images, {len(labels)} queries, {len(set(labels))} product types, seed {SEED}")
    warnings.simplefilter("ignore", keypoints.NoKeypointsWarning)
    n_relevant = relevance.count_relevant(labels, labels, self_in_gallery=True)
    values = {"chance": metrics.chance_average_precision(n_relevant, len(labels) - 1)}
    for name, embeddings in handcrafted(train, test):
        values[name] = average_precision(embeddings, labels)
    values["EfficientNet-Lite0"] = average_precision(pretrained_embeddings(test), labels)
    start = time.process_time()
    embeddings = network_embeddings(train, train_labels, test)
    print(f"training the small network took {time.process_time() - start:.0f} s of CPU time")
    values["small network"] = average_precision(embeddings, labels)
    table = pd.DataFrame(
        [(name, ap.mean(), *significance.bootstrap_interval(ap)) for name, ap in values.items()],
        columns=["method", "mean AP", "from", "to"],
    )
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:2])
