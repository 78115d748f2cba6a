"""Exercises of 03_siamese_triplet: two losses, scale, mining, a diagnosis, and what a triple is content with."""

import itertools

import numpy as np
import torch

from lib import collapse, losses

from ..kinds import Construction, Function, Prediction, Value

# 1. the contrastive loss


def _pairs(rng):
    first = (np.array([0.4, 0.4, 2.0]), np.array([True, False, False]), 1.0)
    return (first, *((rng.uniform(0, 3, n), rng.random(n) < 0.5, margin) for n, margin in ((6, 1.0), (9, 2.0))))


def _contrastive(distances, is_same, margin):
    return losses.contrastive(torch.tensor(distances), torch.tensor(is_same), margin).item()


def _lack(distances, margin):
    return np.maximum(0, margin - distances)


contrastive_loss = Function(
    title="the contrastive loss",
    draw=_pairs,
    right=_contrastive,
    slips={
        "The factor 1/2 is missing.": lambda distances, is_same, margin: 2 * _contrastive(distances, is_same, margin),
        "Pairs of different classes go on paying beyond the margin. Clip what they lack to the margin at 0.": (
            lambda distances, is_same, margin: (np.where(is_same, distances, margin - distances) ** 2).mean() / 2
        ),
        "Same and different are swapped: a pair of one class should be near.": (
            lambda distances, is_same, margin: _contrastive(distances, ~is_same, margin)
        ),
        "You add up over the pairs; take the mean, so that the loss does not depend on how many there are.": (
            lambda distances, is_same, margin: len(distances) * _contrastive(distances, is_same, margin)
        ),
        "The distances are not squared.": (
            lambda distances, is_same, margin: np.where(is_same, distances, _lack(distances, margin)).mean() / 2
        ),
    },
)

# 2. the triplet loss


def _triples(rng):
    return tuple((*(rng.normal(size=(n, d)) for _ in range(3)), margin) for n, d, margin in ((3, 2, 1.0), (8, 3, 0.5)))


def _excess(anchors, positives, negatives, margin, power=1):
    near, far = (np.linalg.norm(anchors - each, axis=1) ** power for each in (positives, negatives))
    return near - far + margin


def _triplet(anchors, positives, negatives, margin):
    return losses.triplet(*map(torch.tensor, (anchors, positives, negatives)), margin).item()


triplet_loss = Function(
    title="the triplet loss",
    draw=_triples,
    right=_triplet,
    slips={
        "Your distances are squared, as in FaceNet. Here they are not.": (
            lambda *triple: np.maximum(0, _excess(*triple, power=2)).mean()
        ),
        "A solved triple earns you a negative loss. It should cost nothing: clip at 0.": lambda *triple: _excess(
            *triple
        ).mean(),
        "Positives and negatives are swapped: the positive should be nearer.": (
            lambda anchors, positives, negatives, margin: _triplet(anchors, negatives, positives, margin)
        ),
        "You take the mean over the active triples. Here solved ones count too, with a cost of 0.": (
            lambda *triple: _excess(*triple)[_excess(*triple) > 0].mean() if (_excess(*triple) > 0).any() else 0.0
        ),
        "You clip the mean. Each triple must be clipped on its own, or solved ones pay for the others.": (
            lambda *triple: max(0.0, _excess(*triple).mean())
        ),
    },
)

# 3. scale

smaller_scale = Prediction(
    title="all rows times 0.001",
    options=(
        "mAP falls to chance, the loss tends to 0",
        "mAP falls to chance, the loss tends to the margin",
        "mAP stays, the loss tends to 0",
        "mAP stays, the loss tends to the margin",
    ),
    moral="A ranking does not see scale, so mAP cannot tell a collapsing network from a healthy one; the "
    "mean distance, "
    "held against the margin, can.",
    draw=lambda rng: (
        (rng.normal(size=(4, 6))[np.repeat(np.arange(4), 10)] + 0.7 * rng.normal(size=(40, 6))).astype(np.float32),
        np.repeat(np.arange(4), 10),
    ),
)

# 4. batch-hard mining


def _batch(rng):
    labels = rng.permutation(np.repeat(np.arange(3), 4))
    return rng.normal(size=(12, 2)), labels


def _mined(embeddings, labels):
    found = losses.mine(torch.tensor(embeddings), torch.tensor(labels), "batch-hard")
    return torch.stack(found[1:], dim=1).numpy()


def _extremes(embeddings, labels, positive, negative):
    distances = np.linalg.norm(embeddings[:, None] - embeddings, axis=2)
    same = labels[:, None] == labels
    rows = []
    for mask, far in ((same & ~np.eye(len(labels), dtype=bool), positive == "far"), (~same, negative == "far")):
        rows.append(np.where(mask, distances if far else -distances, -np.inf).argmax(axis=1))
    return np.stack(rows, axis=1)


batch_hard = Value(
    title="batch-hard mining",
    draw=_batch,
    right=_mined,
    expected="an array of shape (12, 2): for each anchor the row of its hardest positive, then that of its "
    "hardest negative",
    slips={
        "Your positives are the nearest ones. The hardest positive is the farthest of its class.": (
            lambda embeddings, labels: _extremes(embeddings, labels, "near", "near")
        ),
        "Your negatives are the farthest ones, which are solved already. The hardest negative is the nearest.": (
            lambda embeddings, labels: _extremes(embeddings, labels, "far", "far")
        ),
        "Your first column holds each anchor itself. An anchor is not its own positive.": (
            lambda embeddings, labels: np.stack([np.arange(len(labels)), _mined(embeddings, labels)[:, 1]], axis=1)
        ),
        "The two columns are swapped: positives come first.": lambda embeddings, labels: _mined(embeddings, labels)[
            :, ::-1
        ],
    },
)

# 5. a diagnosis


def _patient(rng):
    rows = np.maximum(0, rng.normal(size=(60, 3)) @ rng.normal(size=(3, 10)) + 0.3 * rng.normal(size=(60, 10)))
    rows[:, rng.permutation(10)[: rng.integers(2, 5)]] = 0
    rows[rng.permutation(60)[: rng.integers(3, 9)]] = 0
    return (rows,)


def _findings(rows, dead=None, zero=None, rank=None):
    return {
        "dead coordinates": int((rows.max(axis=0) == 0).sum()) if dead is None else dead,
        "rows of zeros": int((~rows.any(axis=1)).sum()) if zero is None else zero,
        "effective rank": collapse.effective_rank(rows) if rank is None else rank,
    }


def _rank(rows, power=1, log=np.log):
    values = np.linalg.svd(rows, compute_uv=False) ** power
    share = values[values > 1e-12] / values.sum()
    return np.exp(-(share * log(share)).sum())


diagnosis = Value(
    title="what is wrong with this embedding?",
    draw=_patient,
    right=_findings,
    expected="a dict with 'dead coordinates', 'rows of zeros' (whole numbers) and 'effective rank'",
    slips={
        "Dead coordinates and rows of zeros are swapped: a coordinate is a column.": (
            lambda rows: _findings(rows, int((~rows.any(axis=1)).sum()), int((rows.max(axis=0) == 0).sum()))
        ),
        "You call a coordinate dead if it is 0 for some image. It is dead if it is 0 for all of them.": (
            lambda rows: _findings(rows, dead=int((rows == 0).any(axis=0).sum()))
        ),
        "The effective rank takes shares of the singular values, not of their squares.": (
            lambda rows: _findings(rows, rank=_rank(rows, power=2))
        ),
        "The effective rank needs one base throughout: e to an entropy in natural logarithms.": (
            lambda rows: _findings(rows, rank=_rank(rows, log=np.log2))
        ),
        "That is the rank of the matrix. The effective rank weighs directions by how much they are used.": (
            lambda rows: _findings(rows, rank=np.linalg.matrix_rank(rows))
        ),
    },
)

# 6. content with an order


def _labels(rng):
    return rng.permutation(np.repeat(np.arange(3), 2)), float(np.round(rng.uniform(0.5, 1.5), 1))


def _content_problem(answer, labels, margin):
    rows = np.asarray(answer, float)
    if rows.shape != (6, 2) or not np.isfinite(rows).all():
        return f"Expected six points in the plane, an array of shape (6, 2), got {rows.shape}."
    distances = np.linalg.norm(rows[:, None] - rows, axis=2)
    triples = [t for t in itertools.permutations(range(6), 3) if labels[t[0]] == labels[t[1]] != labels[t[2]]]
    if any(distances[a, p] - distances[a, n] + margin > 1e-9 for a, p, n in triples):
        return "A triple still costs something: some negative is not farther than the positive by the margin."
    first, second = np.triu_indices(6, 1)
    pairs = distances[first, second], labels[first] == labels[second]
    if _contrastive(*pairs, margin) < 1.0:
        return "All triples are solved, but the pairs cost less than 1. Which pairs pay however well they are ordered?"
    return None


def _points(labels, within, between):
    side = np.array([list(labels[:i]).count(labels[i]) for i in range(6)])
    return np.stack([side * within, labels * between], axis=1)


content = Construction(
    title="what a triple is content with, and a pair is not",
    draw=_labels,
    expected="six points (6, 2) whose triples all cost 0, while the mean contrastive loss of their 15 pairs "
    "is at least 1",
    problem=_content_problem,
    slips={
        "A triple still costs something: some negative is not farther than the positive by the margin.": (
            lambda labels, margin: _points(labels, 1.0, 0.5)
        ),
        "All triples are solved, but the pairs cost less than 1. Which pairs pay however well they are ordered?": (
            lambda labels, margin: _points(labels, 0.1, 5.0)
        ),
    },
    moral="A pair of one class is pulled at any distance; a triple only asks for an order.",
)

EXERCISES = (contrastive_loss, triplet_loss, smaller_scale, batch_hard, diagnosis, content)
