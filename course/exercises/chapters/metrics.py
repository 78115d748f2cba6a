"""Exercises of 00_metrics: average precision, leave-one-out, chance, a paired test, divisors that disagree."""

import numpy as np
from scipy import stats

from lib import metrics, relevance

from ..kinds import Construction, Function, Prediction, Value

# 1. average precision of one query


def _rankings(rng):
    first = (np.array([True, False, True, True, False]), 5)
    others = [(rng.random(n) < 0.4, int(n)) for n in (6, 9, 14)]
    return (first, *((found, int(found.sum() + rng.integers(1, 4))) for found, _ in others), (np.zeros(4, bool), 2))


def _average_precision(relevance, n_relevant):
    return metrics.average_precision_at_k([relevance], [n_relevant], divisor="R")[0]


def _precisions(relevance):
    return np.cumsum(relevance) / np.arange(1, len(relevance) + 1)


average_precision = Function(
    title="average precision, divided by R",
    draw=_rankings,
    right=_average_precision,
    slips={
        "Your divisor is the number of relevant answers in the list. What was missed must count too: "
        "divide by n_relevant.": (
            lambda relevance, n_relevant: metrics.average_precision_at_k([relevance], [n_relevant], divisor="hits")[0]
        ),
        "Your divisor is the length of the list; the exercise asks for n_relevant.": (
            lambda relevance, n_relevant: metrics.average_precision_at_k([relevance], [n_relevant], divisor="k")[0]
        ),
        "You add up the precision at every rank. Only ranks that hold a relevant answer count.": (
            lambda relevance, n_relevant: _precisions(relevance).sum() / n_relevant
        ),
        "That is recall: it does not see at which ranks the hits stand.": (
            lambda relevance, n_relevant: relevance.sum() / n_relevant
        ),
    },
    moral="Missed items weigh as much as those found: that is why the divisor is R and not the number of hits.",
)

# 2. every row a query for all others


def _rows(rng):
    labels = rng.permutation(np.repeat(np.arange(4), 6))
    rows = rng.normal(size=(4, 5))[labels] + rng.normal(size=(24, 5))
    return (rows * rng.uniform(0.2, 5.0, size=(24, 1))).astype(np.float32), labels


def _ranked_by(scores, labels, own=False):
    """mAP of rankings by scores (n, n), highest first."""
    scores = scores.copy()
    if not own:
        np.fill_diagonal(scores, -np.inf)
    n = len(labels) if own else len(labels) - 1
    neighbours = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    found = labels[neighbours] == labels[:, None]
    return metrics.average_precision_at_k(found, found.sum(axis=1)).mean()


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _leave_one_out(embeddings, labels):
    from lib.indexes import search_leave_self_out

    _, neighbours = search_leave_self_out(embeddings, len(embeddings) - 1)
    return relevance.average_precision(neighbours, labels, labels, self_in_gallery=True).mean()


def _farthest_first(embeddings, labels):
    distances = 1 - _unit(embeddings) @ _unit(embeddings).T
    np.fill_diagonal(distances, -np.inf)
    return _ranked_by(distances, labels)


leave_one_out = Value(
    title="mean average precision of a gallery that asks itself",
    draw=_rows,
    right=_leave_one_out,
    expected="one number, the mean AP of 24 queries, each of which searches the other 23 rows by cosine",
    slips={
        "Each query has found itself first. Take the query out of its own ranking, and out of its relevant items.": (
            lambda embeddings, labels: _ranked_by(_unit(embeddings) @ _unit(embeddings).T, labels, own=True)
        ),
        "The query is out of its ranking, but still counts among its relevant items: not even a perfect "
        "ranking would score 1.": (lambda embeddings, labels: _leave_one_out(embeddings, labels) * 5 / 6),
        "Your rankings begin with the farthest row: distances are sorted in ascending order, "
        "similarities descending.": (_farthest_first),
        "You rank by the dot product of rows of different lengths. For cosines, scale the rows to length 1.": (
            lambda embeddings, labels: _ranked_by(embeddings @ embeddings.T, labels)
        ),
        "You rank by Euclidean distance, which depends on the lengths of the rows; the exercise asks for cosine.": (
            lambda embeddings, labels: _ranked_by(-((embeddings[:, None] - embeddings) ** 2).sum(axis=2), labels)
        ),
    },
)

# 3. chance in a smaller gallery

smaller_gallery = Prediction(
    title="chance in a smaller gallery",
    options=("it falls", "it stays the same", "it rises"),
    moral="With R above k the divisor is k. In the small gallery R is below k, so the divisor min(k, R) "
    "is smaller, while each rank is still as likely to hold a hit. So name the size of the gallery "
    "beside a score, even beside that of chance.",
)

# 4. the sign-flip test, exactly


def _pairs(rng):
    a = rng.uniform(0.2, 0.9, 9)
    return (np.round(a, 2), np.round(np.clip(a - rng.normal(0.06, 0.1, 9), 0.01, 0.99), 2))


def _permuted(a, b, kind, alternative):
    samples = (a - b,) if kind == "samples" else (a, b)
    statistic = (lambda d: d.mean()) if kind == "samples" else (lambda x, y: x.mean() - y.mean())
    how = dict(permutation_type=kind, vectorized=False, n_resamples=np.inf, alternative=alternative)
    return stats.permutation_test(samples, statistic, **how).pvalue


def _without_margin(a, b):
    signs = 1 - 2 * ((np.arange(2 ** len(a))[:, None] >> np.arange(len(a))) & 1)
    means = np.abs((signs * (a - b)).mean(axis=1))
    return np.mean(means > means[0] + 1e-9)


sign_flips = Value(
    title="the p-value of a paired comparison",
    draw=_pairs,
    right=lambda a, b: _permuted(a, b, "samples", "two-sided"),
    expected="a share of the 512 patterns of signs, from 2/512 to 1",
    slips={
        "You count one side only. A mean as far below 0 as the one observed is just as surprising: take "
        "absolute values.": (lambda a, b: _permuted(a, b, "samples", "greater")),
        "The pattern that was observed counts too: ask for means at least as far from 0 (>=, with a little room for "
        "rounding), or p could be 0.": _without_margin,
        "You treat the two methods as separate samples (a t-test without pairs). Take differences query "
        "by query first.": (lambda a, b: stats.ttest_ind(a, b).pvalue),
        "That is the paired t-test, which assumes normal differences. Count patterns of signs instead.": (
            lambda a, b: stats.ttest_rel(a, b).pvalue
        ),
    },
    tolerance=1e-6,
)

# 5. two divisors, two winners


def _two_counts(rng):
    return (np.array([rng.integers(1, 3), rng.integers(8, 15)]),)


def _contest_problem(answer, n_relevant):
    try:
        a, b = (np.asarray(each).astype(bool) for each in answer)
    except (TypeError, ValueError):
        return "Give a pair (A, B) of arrays of shape (2, 5)."
    if a.shape != (2, 5) or b.shape != (2, 5):
        return f"A and B must each have the shape (2, 5): two queries, five answers. Got {a.shape} and {b.shape}."
    if (a.sum(axis=1) > n_relevant).any() or (b.sum(axis=1) > n_relevant).any():
        return "A list holds more relevant answers than the gallery does: look at n_relevant."
    means = {
        divisor: [metrics.average_precision_at_k(each, n_relevant, 5, divisor).mean() for each in (a, b)]
        for divisor in ("min(k, R)", "k")
    }
    if means["min(k, R)"][0] <= means["min(k, R)"][1] + 1e-9:
        return "Under min(k, R) A does not win yet. Which query can A make perfect with a single hit or two?"
    if means["k"][1] <= means["k"][0] + 1e-9:
        return "Under k B does not win yet. On which query can B collect many hits?"
    return None


def _hits(*counts):
    return np.array([[True] * n + [False] * (5 - n) for n in counts])


two_winners = Construction(
    title="a contest that the divisor decides",
    draw=_two_counts,
    expected="a pair (A, B) of rankings, each (2, 5), such that A wins under min(k, R) and B wins under k",
    problem=_contest_problem,
    slips={
        "Give a pair (A, B) of arrays of shape (2, 5).": lambda n_relevant: 3,
        "A list holds more relevant answers than the gallery does: look at n_relevant.": (
            lambda n_relevant: (_hits(5, 0), _hits(0, 5))
        ),
        "Under min(k, R) A does not win yet. Which query can A make perfect with a single hit or two?": (
            lambda n_relevant: (_hits(0, 1), _hits(n_relevant[0], 1))
        ),
        "Under k B does not win yet. On which query can B collect many hits?": (
            lambda n_relevant: (_hits(n_relevant[0], 5), _hits(0, 1))
        ),
    },
    moral="A solves the query with few relevant items; under the divisor k such a query can hardly count.",
)

EXERCISES = (average_precision, leave_one_out, smaller_gallery, sign_flips, two_winners)
