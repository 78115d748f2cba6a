"""Exercises of 02_backbones: pooling, whitening, a common part, a choice on validation data, a better embedding."""

import numpy as np
from scipy.special import logsumexp
from sklearn.decomposition import PCA

from ..judging import LEAK, mean_ap, rows_problem
from ..kinds import Construction, Function, Prediction, Value

# 1. generalised-mean pooling


def _maps(rng):
    return tuple((rng.gamma(0.8, 1.0, size=(3, side, side + 1)), p) for side, p in ((2, 3.0), (4, 1.0), (5, 6.0)))


def _by_logarithms(maps, p):
    flat = maps.reshape(len(maps), -1)
    return np.exp((logsumexp(p * np.log(flat), axis=1) - np.log(flat.shape[1])) / p)


gem_pooling = Function(
    title="generalised-mean pooling",
    draw=_maps,
    right=_by_logarithms,
    slips={
        "You average over the maps, and are left with a value for each place. Average over the places of each map.": (
            lambda maps, p: (maps**p).mean(axis=0) ** (1 / p)
        ),
        "The p-th root is missing, so a large p gives numbers on another scale.": lambda maps, p: (maps**p).mean(
            (1, 2)
        ),
        "The root is taken before the mean. First the powers, then their mean, then the root.": (
            lambda maps, p: maps.mean((1, 2))
        ),
        "You add up the powers; take their mean, or a large map counts for more than a small one.": (
            lambda maps, p: (maps**p).sum((1, 2)) ** (1 / p)
        ),
    },
    moral="p = 1 is the average, and with growing p the result approaches the maximum.",
)

# 2. whitening, learned on the training rows


def _two_sets(rng):
    mix = rng.normal(size=(6, 6)) * np.array([6, 3, 2, 1, 0.5, 0.3])[:, None]
    return rng.normal(size=(60, 6)) @ mix + 4, rng.normal(size=(8, 6)) @ mix + 4


def _whitened(train, test, scale="std", centre=True):
    mean = train.mean(axis=0) if centre else 0.0
    _, lengths, directions = np.linalg.svd(train - mean, full_matrices=False)
    lengths = lengths[:3]
    scales = {"std": lengths / np.sqrt(len(train) - 1), "S": lengths, "none": np.ones(3)}
    rows = (test - mean) @ directions[:3].T / scales[scale]
    return rows @ rows.T


def _by_pca(train, test):
    rows = PCA(3, whiten=True).fit(train).transform(test)
    return rows @ rows.T


whitening = Value(
    title="whitening with three directions",
    draw=_two_sets,
    right=_by_pca,
    expected="an array of shape (8, 8), the dot products of the whitened test rows",
    slips={
        "Mean and directions come from the test rows. Whatever is learned, is learned on the training rows.": (
            lambda train, test: _by_pca(test, test)
        ),
        "The rows are turned by PCA, but not yet divided by the standard deviations: nothing is whitened.": (
            lambda train, test: _whitened(train, test, "none")
        ),
        "The training mean was not subtracted, so the first direction points from the origin to the mean.": (
            lambda train, test: _whitened(train, test, centre=False)
        ),
        "You divide by the singular values. The standard deviations are these over the root of n - 1.": (
            lambda train, test: _whitened(train, test, "S")
        ),
    },
)

# 3. a large common part


common_part = Prediction(
    title="all rows moved by the same vector",
    options=("cosine", "Euclidean distance", "both", "neither"),
    moral="Differences of rows do not see a common part, so Euclidean distance cannot change. Cosine "
    "measures angles at "
    "the origin, and the origin has moved away from the rows. So for a cosine it matters whether rows are centred.",
    draw=lambda rng: (rng.normal(size=(60, 8)).astype(np.float32),),
)

# 4. choose on validation data, report on test data


def _scores(rng):
    quality = rng.uniform(0.40, 0.50, size=6)
    return tuple(np.clip(q + rng.normal(0, 0.25, size=(40, 6)), 0, 1).round(2) for q in (quality, quality))


choice = Value(
    title="choose, then report",
    draw=_scores,
    right=lambda validation, test: test.mean(axis=0)[np.argsort(-validation.mean(axis=0))[0]],
    expected="one number: the test mAP of the one layer that you chose",
    slips={
        "You chose the layer that is best on the test queries. Then the test is part of the choice, and "
        "its score too high.": (lambda validation, test: test.mean(axis=0).max()),
        "That is the validation score of the chosen layer. It was picked for being high; report it on queries that had "
        "no part in the choice.": lambda validation, test: validation.mean(axis=0).max(),
        "You averaged over layers, not over queries: rows are queries, columns are layers.": (
            lambda validation, test: test.mean(axis=1)[validation.mean(axis=1).argmax()]
        ),
    },
    tolerance=1e-6,
)

# 5. a better embedding without a label


def _crooked(rng):
    labels = np.repeat(np.arange(6), 15)
    centres, mix = rng.normal(size=(6, 12)), np.linalg.qr(rng.normal(size=(12, 12)))[0]
    scale = np.array([25, 15] + [1] * 10)

    def rows(n_each):
        of = np.repeat(np.arange(6), n_each)
        clean = np.concatenate(
            [rng.normal(size=(len(of), 2)), centres[of][:, 2:] + 0.7 * rng.normal(size=(len(of), 10))], 1
        )
        return ((clean * scale) @ mix + 10).astype(np.float32)

    return rows(30), rows(15), labels


NO_GAIN = "mAP has not risen by 15 points yet. Which directions vary most here, and do they tell classes apart?"


def _improve_problem(answer, train, test, labels):
    problem = rows_problem(lambda rows: answer(train.copy(), rows), test) if callable(answer) else "Hand in a function."
    if problem:
        return problem
    gain = mean_ap(np.asarray(answer(train.copy(), test.copy())), labels) - mean_ap(test, labels)
    return NO_GAIN if gain < 0.15 else None


def _whiten_by(statistics, rows):
    return (rows - statistics.mean(axis=0)) / statistics.std(axis=0)


improved = Construction(
    title="a better embedding, without a label",
    draw=_crooked,
    expected="a function improve(train, rows) whose rows have an mAP at least 15 points above that of the raw rows",
    problem=_improve_problem,
    slips={
        NO_GAIN: lambda train, test, labels: lambda train, rows: rows - train.mean(axis=0),
        LEAK: lambda train, test, labels: lambda train, rows: _whiten_by(rows, rows),
        "Hand in a function.": lambda train, test, labels: test,
    },
    moral="A few loud directions outvoted the others. Whitening gives every direction one vote, the useless ones too: "
    "on real embeddings keep fewer directions, and choose how many on validation data.",
)

EXERCISES = (gem_pooling, whitening, common_part, choice, improved)
