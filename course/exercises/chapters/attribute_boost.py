"""Exercises of 09_attribute_boost: the truth of a ranking, ties, missing labels, a price, what labels leave out."""

import itertools

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch.nn import functional

from lib import relevance

from ..judging import LEAK, mean_ap, rows_problem
from ..kinds import Construction, Function, Prediction, Value

WORDS = ["red", "cotton", "slim", "summer", "classic", "striped", "light", "sport"]

# 1. similarity from attributes and words


def _items(rng):
    def item():
        attributes = (str(rng.choice(["shirt", "hat"])), str(rng.choice(["men", "women"])))
        return attributes, {str(word) for word in rng.choice(WORDS, rng.integers(2, 6), replace=False)}

    cases = [((("shirt", "men"), {"red", "slim"}), (("shirt", "men"), {"red", "cotton", "light"}))]
    for _ in range(12):
        query, other = item(), item()
        cases.append((query, (query[0], other[1]) if rng.random() < 0.6 else other))
    return tuple(cases)


def _similarity(query, other):
    attributes = [np.array([each[0]]) for each in (query, other)]
    words = [np.array([[word in each[1] for word in WORDS]]) for each in (query, other)]
    return float(relevance.label_similarity(*attributes, *words)[0, 0])


def _share(query, other, of):
    if query[0] != other[0]:
        return 0.0
    parts = {"other": len(other[1]), "union": len(query[1] | other[1])}
    return len(query[1] & other[1]) / parts[of]


similarity = Function(
    title="how similar are two items?",
    draw=_items,
    right=_similarity,
    slips={
        "You divide by the other item's words. It is the share of the query's words.": lambda q, o: _share(
            q, o, "other"
        ),
        "You divide by all words of both. It is the share of the query's words that the other item has too.": (
            lambda q, o: _share(q, o, "union")
        ),
        "Items whose attributes differ have similarity 0, whatever their words.": (
            lambda q, o: len(q[1] & o[1]) / len(q[1])
        ),
        "One equal attribute is not enough: all of them must be equal.": (
            lambda q, o: len(q[1] & o[1]) / len(q[1]) if any(a == b for a, b in zip(q[0], o[0], strict=True)) else 0.0
        ),
    },
)

# 2. ties across the cut


def _tied_scores(rng):
    cases = []
    for n, k in ((5, 2), (8, 3), (10, 4), (12, 5)):
        scores = rng.integers(0, 4, n) / 3
        cases.append((scores, rng.random(n) < 0.5, k))
    return tuple(cases)


def _expected_hits(scores, is_right, k):
    """The mean over all ways to fill the open places, by counting them."""
    cut = np.sort(scores)[::-1][k - 1]
    sure = is_right[scores > cut].sum()
    tied = is_right[scores == cut]
    places = k - (scores > cut).sum()
    return float(np.mean([sure + sum(choice) for choice in itertools.combinations(tied.astype(int), places)]) / k)


def _ordered(scores, is_right, k, tie=0.0):
    return is_right[np.argsort(-(scores + tie * is_right), kind="stable")[:k]].mean()


ties = Function(
    title="precision when scores are tied",
    draw=_tied_scores,
    right=_expected_hits,
    slips={
        "You take tied items in the order in which they happen to stand. Reorder the rows, and the "
        "score changes.": _ordered,
        "You put right items first among equals; that is the best case, not the expected one.": (
            lambda scores, is_right, k: _ordered(scores, is_right, k, 1e-6)
        ),
        "You put right items last among equals; that is the worst case, not the expected one.": (
            lambda scores, is_right, k: _ordered(scores, is_right, k, -1e-6)
        ),
        "You let all tied items in, and so look at more than k answers.": (
            lambda scores, is_right, k: is_right[scores >= np.sort(scores)[::-1][k - 1]].mean()
        ),
    },
    tolerance=1e-6,
)

# 3. a missing label says nothing


def _partly_labelled(rng):
    cases = []
    for n, c in ((3, 2), (6, 3), (10, 4)):
        codes = rng.integers(0, c, n)
        codes[rng.permutation(n)[: max(1, n // 3)]] = -1
        cases.append((rng.normal(0, 2, (n, c)), codes))
    return tuple(cases)


def _cross_entropy(logits, codes, reduction="mean"):
    return functional.cross_entropy(
        torch.tensor(logits), torch.tensor(codes), ignore_index=-1, reduction=reduction
    ).item()


missing_labels = Function(
    title="cross entropy with missing labels",
    draw=_partly_labelled,
    right=_cross_entropy,
    slips={
        "You divide by all images. A missing label says nothing: divide by the number of those that are there.": (
            lambda logits, codes: _cross_entropy(logits, codes, "sum") / len(codes)
        ),
        "The code -1 picks the last value in numpy, so missing labels are taught as that value.": (
            lambda logits, codes: _cross_entropy(logits, codes % logits.shape[1])
        ),
        "You add up; take the mean over the labels that are there.": (
            lambda logits, codes: _cross_entropy(logits, codes, "sum")
        ),
        "The sign is wrong: a loss is minus the logarithm of the probability.": (
            lambda logits, codes: -_cross_entropy(logits, codes)
        ),
    },
)

# 4. a price


def _prices(rng):
    n_images, n_attributes = int(rng.integers(20, 40) * 100), int(rng.integers(3, 8))
    slow, fast = float(rng.integers(60, 120)), float(rng.integers(5, 20))
    return (
        n_images,
        n_attributes,
        float(rng.choice([0.02, 0.03, 0.05])),
        slow,
        fast,
        float(rng.choice([0.04, 0.06, 0.1])),
    )


def _break_even(n_images, n_attributes, label_price, slow_ms, fast_ms, hour_price):
    """By seconds of computing that the labels would buy."""
    hours = n_images * n_attributes * label_price / hour_price
    return hours * 3600 / ((slow_ms - fast_ms) / 1000)


price = Value(
    title="from how many images on do labels pay?",
    draw=_prices,
    right=_break_even,
    expected="a number of images",
    slips={
        "You count one label an image. Every image gets a label for each attribute.": (
            lambda n, a, label, slow, fast, hour: _break_even(n, 1, label, slow, fast, hour)
        ),
        "An hour has 3,600 seconds, a second 1,000 milliseconds: check the factors of 60.": (
            lambda n, a, label, slow, fast, hour: _break_even(n, a, label, slow, fast, hour) / 60
        ),
        "Milliseconds were taken for seconds.": (
            lambda n, a, label, slow, fast, hour: _break_even(n, a, label, slow, fast, hour) / 1000
        ),
        "The cheap representation has to be computed too: what is saved an image is the difference of the two times.": (
            lambda n, a, label, slow, fast, hour: _break_even(n, a, label, slow, 0.0, hour)
        ),
    },
    tolerance=1e-3,
)

# 5. what the labels do not mention


def _two_factors(rng):
    shape, colour = rng.integers(0, 4, 240), rng.integers(0, 4, 240)
    rows = np.concatenate([rng.normal(size=(4, 4))[shape], rng.normal(size=(4, 4))[colour]], axis=1)
    return (rows + 0.5 * rng.normal(size=rows.shape)).astype(np.float32), shape, colour


unmentioned = Prediction(
    title="trained on shapes, asked for colours",
    options=("mAP by colour rises too", "mAP by colour hardly changes", "mAP by colour falls"),
    moral="The labels said which directions to keep, and colour was not among them. What the labels do "
    "not mention is free "
    "to be lost: say what people will ask for before you label.",
    draw=_two_factors,
)

# 6. use the labels


def _labelled(rng):
    """Training rows and held-out rows of eight classes, on which LDA gains at least 8 points."""
    while True:
        train, labels, rows, truth = _two_halves(rng)
        boosted = LinearDiscriminantAnalysis().fit(train, labels).transform(rows)
        if mean_ap(boosted, truth) - mean_ap(rows, truth) > 0.08:
            return train, labels, rows, truth


def _two_halves(rng):
    labels, rows = np.repeat(np.arange(8), 15), []
    centres = rng.normal(size=(8, 20))
    mix, scale = np.linalg.qr(rng.normal(size=(20, 20)))[0], np.exp(rng.normal(0, 0.8, 20))
    for _ in range(2):
        rows.append(((0.6 * centres[labels] + rng.normal(size=(120, 20))) * scale @ mix).astype(np.float32))
    return rows[0], labels, rows[1], labels


NO_GAIN = (
    "mAP of the held-out rows has not risen by 5 points yet. What do the labels say about the spread inside a class?"
)


def _boost_problem(answer, train, labels, rows, truth):
    if not callable(answer):
        return "Hand in a function."
    problem = rows_problem(lambda some: answer(train.copy(), labels.copy(), some), rows)
    if problem:
        return problem
    found = np.asarray(answer(train.copy(), labels.copy(), rows.copy()))
    return NO_GAIN if mean_ap(found, truth) - mean_ap(rows, truth) < 0.05 else None


boost = Construction(
    title="use the labels",
    draw=_labelled,
    expected="a function boost(train, labels, rows) whose rows have an mAP at least 5 points above that of "
    "the raw rows",
    problem=_boost_problem,
    slips={
        NO_GAIN: lambda train, labels, rows, truth: lambda train, labels, rows: rows,
        LEAK: lambda train, labels, rows, truth: lambda train, labels, rows: (rows - rows.mean(0)) / rows.std(0),
        "Hand in a function.": lambda train, labels, rows, truth: rows,
    },
    moral="Linear discriminant analysis uses the same labels in closed form: try it before you train anything.",
)

EXERCISES = (similarity, ties, missing_labels, price, unmentioned, boost)
