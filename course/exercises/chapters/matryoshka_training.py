"""Exercises of 11_matryoshka_training: the nested loss, cuts and lengths, top-1 and adaptive size, a shorter row."""

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch.nn import functional

from lib import losses

from ..judging import LEAK, mean_ap, rows_problem, unit
from ..kinds import Construction, Function, Prediction, Value

# 1. the nested loss with one classifier for all sizes


def _heads(rng):
    cases = []
    for n, width, n_classes, sizes in ((3, 4, 2, [2, 4]), (5, 6, 3, [2, 3, 6]), (8, 8, 4, [2, 4, 8])):
        shapes = (n, width), (n_classes, width), (n_classes,)
        z, weights, bias = (rng.normal(size=shape) for shape in shapes)
        cases.append((z, rng.integers(0, n_classes, n), weights, bias, sizes))
    return tuple(cases)


def _terms(z, y, weights, bias, sizes, last=False, with_bias=True):
    terms = []
    for d in sizes:
        part = slice(-d, None) if last else slice(0, d)
        logits = z[:, part] @ weights[:, part].T + (bias if with_bias else 0)
        terms.append(functional.cross_entropy(torch.tensor(logits), torch.tensor(y)).item())
    return np.array(terms)


def _nested(z, y, weights, bias, sizes):
    logits = [functional.linear(*map(torch.tensor, (z[:, :d], weights[:, :d], bias))) for d in sizes]
    return losses.nested_loss(logits, torch.tensor(y)).item()


nested_loss = Function(
    title="the nested loss, with one classifier for all sizes (MRL-E)",
    draw=_heads,
    right=_nested,
    slips={
        "You take the mean over sizes; the nested loss is their sum.": lambda *head: _terms(*head).mean(),
        "Only the full width pays. Every size has a cross entropy of its own.": lambda *head: _terms(*head)[-1],
        "You read the last d coordinates. The first ones must serve every size.": lambda *head: _terms(
            *head, last=True
        ).sum(),
        "The bias is missing.": lambda *head: _terms(*head, with_bias=False).sum(),
        "You add up over the photos. Each term is a mean over photos.": lambda *head: (
            len(head[0]) * _terms(*head).sum()
        ),
    },
)

# 2. cut, and not scaled again

not_scaled = Prediction(
    title="cut, and not scaled again",
    options=("the same answers", "other answers"),
    moral="Rows of length 1 are not of length 1 once they are cut: what is left of each has another "
    "length, and the dot "
    "product favours rows that keep much of theirs. Scale after the cut, not before.",
    draw=lambda rng: (unit(rng.normal(size=(20, 32))), unit(rng.normal(size=(200, 32)))),
)

# 3. accuracy by size


def _classifiers(rng):
    labels = rng.integers(0, 5, 80)
    z = 0.8 * rng.normal(size=(5, 16))[labels] + rng.normal(size=(80, 16))
    centres = np.stack([z[labels == c].mean(axis=0) for c in range(5)])
    return z, labels, centres + 0.2 * rng.normal(size=centres.shape), [2, 4, 8, 16]


def _distances(z, centres, d, full=None):
    full = d if full is None else full
    return ((z[:, None, :d] - centres[:, :d]) ** 2).sum(axis=2)


def _right_by_size(z, labels, centres, sizes):
    return np.array([
        (np.linalg.norm(z[:, None, :d] - centres[None, :, :d], axis=2).argmin(axis=1) == labels).mean() for d in sizes
    ])  # fmt: skip


by_size = Value(
    title="top-1 by size",
    draw=_classifiers,
    right=_right_by_size,
    expected="four shares, one for each size",
    slips={
        "You name the farthest centre. Look for the nearest one.": (
            lambda z, labels, centres, sizes: np.array(
                [(_distances(z, centres, d).argmax(1) == labels).mean() for d in sizes]
            )
        ),
        "You read the last d coordinates, not the first.": (
            lambda z, labels, centres, sizes: _right_by_size(z[:, ::-1], labels, centres[:, ::-1], sizes)
        ),
        "You read one coordinate too few: the first d coordinates are [:, :d].": (
            lambda z, labels, centres, sizes: _right_by_size(z, labels, centres, [d - 1 for d in sizes])
        ),
        "These are shares of wrong answers.": lambda *data: 1 - _right_by_size(*data),
    },
    tolerance=1e-6,
)

# 4. adaptive size

SIZES = np.array([8, 16, 32, 64])


def _certainties(rng):
    n = 120
    difficulty = rng.uniform(0, 1.6, n)
    logits = rng.normal(size=(4, n, 6)) * 0.6
    logits[:, :, 0] += np.array([1.2, 2.0, 2.8, 3.5])[:, None] - difficulty
    shuffled = rng.permuted(logits, axis=2)
    return np.exp(shuffled) / np.exp(shuffled).sum(axis=2, keepdims=True), float(rng.choice([0.6, 0.7, 0.8]))


def _first_sure(probabilities, threshold):
    used = np.full(probabilities.shape[1], SIZES[-1])
    for place in reversed(range(len(SIZES) - 1)):
        used[probabilities[place].max(axis=1) >= threshold] = SIZES[place]
    return used


def _last_sure(probabilities, threshold):
    used = np.full(probabilities.shape[1], SIZES[-1])
    for place in range(len(SIZES) - 1):
        used[probabilities[place].max(axis=1) >= threshold] = SIZES[place]
    return used


adaptive = Value(
    title="as many coordinates as a photo needs",
    draw=_certainties,
    right=lambda probabilities, threshold: _first_sure(probabilities, threshold).mean(),
    expected="one number from 8 to 64",
    slips={
        "A photo stops at the first size that is sure, not at the last one.": lambda p, t: _last_sure(p, t).mean(),
        "Sizes are nested: going on from 8 to 16 coordinates uses 16 in all, not 24.": (
            lambda p, t: np.cumsum(SIZES)[np.searchsorted(SIZES, _first_sure(p, t))].mean()
        ),
        "The threshold is for the highest probability of each photo, not for its mean over photos.": (
            lambda p, t: float(SIZES[int(np.argmax([*(p[:-1].max(axis=2).mean(axis=1) >= t), True]))])
        ),
        "That is the number of sizes that were tried, not of coordinates.": (
            lambda p, t: (np.searchsorted(SIZES, _first_sure(p, t)) + 1).mean()
        ),
    },
)

# 5. shorter, for free


def _ordinary(rng):
    """Rows of eight classes of which four directions hold nearly all, and four coordinates do not."""
    labels = np.repeat(np.arange(8), 12)
    while True:
        centres = np.zeros((8, 24))
        centres[:, :5] = 2.5 * rng.normal(size=(8, 5))
        turn = np.linalg.qr(rng.normal(size=(24, 24)))[0]
        train, rows = (
            ((np.repeat(centres, n, axis=0) + 0.5 * rng.normal(size=(8 * n, 24))) @ turn).astype(np.float32)
            for n in (30, 12)
        )
        whole, cut = mean_ap(rows, labels), mean_ap(rows[:, :4], labels)
        if whole - mean_ap(PCA(4).fit(train).transform(rows), labels) < 0.02 and whole - cut > 0.05:
            return train, rows, labels


LOSES = (
    "It loses more than 3 points of mAP. Any four coordinates hold a part of everything: "
    "which four directions hold most?"
)


def _shorter_problem(answer, train, rows, labels):
    if not callable(answer):
        return "Hand in a function."
    problem = rows_problem(lambda some: answer(train.copy(), some), rows, n_columns=4)
    if problem:
        return problem
    found = np.asarray(answer(train.copy(), rows.copy()))
    return LOSES if mean_ap(rows, labels) - mean_ap(found, labels) > 0.03 else None


shorter = Construction(
    title="six times shorter",
    draw=_ordinary,
    expected="a function shorten(train, rows) that gives four numbers a row and loses at most 3 points of mAP",
    problem=_shorter_problem,
    slips={
        LOSES: lambda train, rows, labels: lambda train, rows: rows[:, :4],
        LEAK: lambda train, rows, labels: (
            lambda train, rows: PCA(4).fit_transform(rows) if len(rows) > 5 else rows[:, :4]
        ),
        "Expected 4 numbers for each of 96 rows, got an array of shape (96, 24).": (
            lambda train, rows, labels: lambda train, rows: rows
        ),
        "Hand in a function.": lambda train, rows, labels: rows,
    },
    moral="With few classes a few directions hold nearly everything, and the SVD is hard to beat. Nested "
    "training pays where "
    "there are many.",
)

EXERCISES = (nested_loss, not_scaled, by_size, adaptive, shorter)
