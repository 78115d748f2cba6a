"""How good is a ranking? Measures for retrieval, one value a query.

Two arrays go in: ``relevance`` (q, k), best answer first, and ``n_relevant`` (q,), how many relevant items the whole
gallery holds; relevance.py makes both from labels. A query without a relevant item has no value: it gets NaN and is
left out of a mean; significance.py has means, intervals and tests over queries.

Needs numpy alone. Copy this file alone.
"""

from typing import NamedTuple

import numpy as np

DIVISORS = ("min(k, R)", "R", "k", "hits")
BATCH_ELEMENTS = 4_000_000  # of a temporary array: 32 MB of float64


class LabelScores(NamedTuple):
    f1: np.ndarray
    accuracy: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def average_precision_at_k(relevance, n_relevant, k=None, divisor="min(k, R)"):
    """Average precision of the first k answers: float64 (q,), NaN for a query without a relevant item.

    The sum, over the relevant answers i <= k, of the precision at i, divided by what `divisor` names; R is n_relevant:
        "min(k, R)"  the most hits that k answers can hold: a perfect ranking scores 1 at any k
        "R"          all that could be found: a perfect ranking stays below 1 for k < R (k = R: MAP@R, Musgrave, 2020)
        "k"          the answers shown: a perfect ranking stays below 1 for R < k
        "hits"       the hits that were found: blind to what was missed (torchmetrics; scikit-learn at full depth)
    k defaults to all columns. The order is taken as given, so ties are the search's affair.
    >>> float(average_precision_at_k([[True, False, True]], [5]).round(4)[0])  # (1/1 + 2/3) / min(3, 5) = 5/9
    0.5556
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    if divisor not in DIVISORS:
        raise ValueError(f"divisor must be one of {', '.join(map(repr, DIVISORS))}, got {divisor!r}")
    queries, ranks = np.nonzero(relevance)  # only the hits matter, and they are few
    hits = np.bincount(queries, minlength=len(relevance))  # (q,)
    hits_so_far = np.arange(1, len(queries) + 1) - np.repeat(np.cumsum(hits) - hits, hits)
    total = np.bincount(queries, weights=hits_so_far / (ranks + 1.0), minlength=len(relevance))
    parts = {"min(k, R)": np.minimum(k, n_relevant), "R": n_relevant, "k": np.full_like(n_relevant, k), "hits": hits}
    return _known(total / np.maximum(parts[divisor], 1), n_relevant)  # no hits: 0 / 1


def precision_at_k(relevance, n_relevant, k=None):
    """Share of the first k answers that is relevant: float64 (q,), NaN for a query without a relevant item.
    >>> precision_at_k([[True, False, True, False]], [2]).tolist()
    [0.5]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(relevance.sum(axis=1) / k, n_relevant)


def recall_at_k(relevance, n_relevant, k=None):
    """Share of all relevant items that is among the first k: float64 (q,), NaN for a query without a relevant item.

    Metric learning often says "Recall@k" for what is here `hit_rate_at_k`.
    >>> recall_at_k([[True, False, True, False]], [8]).tolist()
    [0.25]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(relevance.sum(axis=1) / np.maximum(n_relevant, 1), n_relevant)


def hit_rate_at_k(relevance, n_relevant, k=None):
    """1.0 if any of the first k answers is relevant, else 0.0: (q,), NaN for a query without a relevant item.
    >>> hit_rate_at_k([[False, True], [False, False]], [3, 3]).tolist()
    [1.0, 0.0]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(relevance.any(axis=1).astype(np.float64), n_relevant)


def reciprocal_rank(relevance, n_relevant, k=None):
    """One over the rank of the first relevant answer, 0.0 if none is among the first k: float64 (q,), NaN without any.
    >>> reciprocal_rank([[False, True, True], [False, False, False]], [2, 2]).tolist()
    [0.5, 0.0]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(np.where(relevance.any(axis=1), 1.0 / (relevance.argmax(axis=1) + 1.0), 0.0), n_relevant)


def ndcg_at_k(gains, gallery_gains, k=None):
    """Normalised discounted cumulative gain of the first k answers: float64 (q,), 0 to 1.

    After Järvelin and Kekäläinen (2002). gains (q, >= k) are those of the answers, best first; the gain at rank i is
    divided by log2(i + 1). gallery_gains (q, n) are the gains of the whole gallery in any order (each query's k largest
    are enough), for the ideal ranking. For the form with 2^grade - 1, pass 2.0**grade - 1. NaN for a query whose
    gallery holds no gain. ValueError for negative gains, and if the answers gain more than the ideal.
    >>> float(ndcg_at_k([[1, 2]], [[2, 0, 1]]).round(4)[0])  # 2, 1 was possible: (1 + 2 / log2(3)) / (2 + 1 / log2(3))
    0.8597
    """
    gains, gallery_gains = _gains(gains, "gains"), _gains(gallery_gains, "gallery_gains")
    if len(gains) != len(gallery_gains):
        sizes = f"{len(gains)} and {len(gallery_gains)}"
        raise ValueError(f"gains and gallery_gains must be of the same queries, got {sizes}")
    k = _depth(k, gains.shape[1])
    n_best = min(k, gallery_gains.shape[1])  # a gallery smaller than k has only zeros after its end
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    found, ideal = gains[:, :k] @ discounts, np.zeros(len(gains))
    for rows in batches(len(gains), gallery_gains.shape[1]):
        best = np.partition(gallery_gains[rows], -n_best, axis=1)[:, -n_best:] if n_best else gallery_gains[rows]
        ideal[rows] = np.sort(best, axis=1)[:, ::-1] @ discounts[:n_best]
    above = np.flatnonzero(found > ideal * (1 + 1e-9))
    if len(above):
        got = f"query {above[0]} gains {found[above[0]]:g}, the best that gallery_gains allows is {ideal[above[0]]:g}"
        raise ValueError(f"{got}: pass the gains of the whole gallery")
    return np.divide(found, ideal, out=np.full(len(gains), np.nan), where=ideal > 0)


def label_scores(predicted_sets, true_sets):
    """Example-wise F1, accuracy, precision and recall of predicted label sets: four float64 (n,), 0 to 1.

    predicted_sets and true_sets are bool (n, L). With P and T the labels predicted for an image and its true ones:
        precision |P and T| / |P|         recall |P and T| / |T|
        accuracy  |P and T| / |P or T|    F1     2 |P and T| / (|P| + |T|)
    (Godbole and Sarawagi, 2004), 0 where a divisor is 0. Their means are scikit-learn's scores with average="samples".
    Predicted shirt and hat, true shirt and shoe: one of two is right, one of two is found, one of three is shared.
    >>> scores = label_scores([[1, 1, 0]], [[1, 0, 1]])
    >>> scores.f1.tolist(), scores.accuracy.round(3).tolist()
    ([0.5], [0.333])
    """
    predicted, true = bool_sets(predicted_sets, "predicted_sets"), bool_sets(true_sets, "true_sets")
    if predicted.shape != true.shape:
        raise ValueError(f"predicted_sets and true_sets must have one shape, got {predicted.shape} and {true.shape}")
    shared = (predicted & true).sum(axis=1)
    n_predicted, n_true = predicted.sum(axis=1), true.sum(axis=1)

    def share(part, whole):
        return np.divide(part, whole, out=np.zeros(len(true)), where=whole > 0)

    f1, accuracy = share(2 * shared, n_predicted + n_true), share(shared, n_predicted + n_true - shared)
    return LabelScores(f1, accuracy, precision=share(shared, n_predicted), recall=share(shared, n_true))


def threshold_by_f1(probabilities, true_sets, thresholds=None):
    """The threshold whose label sets, probabilities >= threshold, have the best mean example-wise F1: (threshold, F1).

    probabilities float (n, L), true_sets bool (n, L). thresholds are those tried, by default 0.05, 0.10, ..., 0.95; of
    equal ones the first is taken. The F1 is flattering where it is of the images on which the threshold was chosen.
    At 0.05 to 0.4 both labels are predicted for the second image, from 0.45 on only the right one.
    >>> threshold_by_f1([[0.9, 0.1], [0.6, 0.4]], [[1, 0], [1, 0]])
    (0.45, 1.0)
    """
    probabilities = finite_numbers(probabilities, "probabilities")
    thresholds = np.arange(1, 20) / 20 if thresholds is None else thresholds
    thresholds, n = finite_numbers(np.atleast_1d(thresholds), "thresholds"), len(probabilities)
    if thresholds.size == 0 or n == 0:
        raise ValueError(f"expected at least one threshold and one image, got {thresholds.size} and {n}")
    f1 = [label_scores(probabilities >= threshold, true_sets).f1.mean() for threshold in thresholds]
    best = int(np.argmax(f1))
    return float(thresholds[best]), float(f1[best])


def mask_iou(predicted_masks, true_masks):
    """Intersection over union of predicted and true masks, image by image: float64 (n,), 0 to 1.

    Both (n, h, w), bool or whole numbers; what is not 0 lies inside. NaN for an image with nothing inside either.
    >>> mask_iou([[[1, 1, 0]]], [[[0, 1, 1]]]).round(3).tolist()  # two pixels each, one shared: 1 / 3
    [0.333]
    """
    predicted, true = np.asarray(predicted_masks), np.asarray(true_masks)
    if predicted.shape != true.shape or predicted.ndim != 3:
        raise ValueError(f"both masks must have one shape (n, h, w), got {predicted.shape} and {true.shape}")
    if predicted.dtype.kind not in "biu" or true.dtype.kind not in "biu":
        raise ValueError(f"masks must hold bool or integers, got {predicted.dtype} and {true.dtype}")
    predicted, true = predicted != 0, true != 0
    union = (predicted | true).sum(axis=(1, 2))
    return _known((predicted & true).sum(axis=(1, 2)) / np.maximum(union, 1), union)


def chance_average_precision(n_relevant, n_gallery, k=None, divisor="min(k, R)"):
    """Expected average precision at k if the gallery is shuffled: float64 (q,), NaN without a relevant item. Exact.

    n_relevant (q,) of n_gallery items are relevant. In a shuffled gallery of N items, rank i holds a relevant one with
    probability R / N, and then i - 1 ranks before it hold a relevant one with probability (R - 1) / (N - 1) each. So
        E[sum of precisions] = R / N * (H + (R - 1) / (N - 1) * (k - H)),   H = 1 + 1/2 + ... + 1/k,
    divided by `divisor`. With "hits", given h > 0 hits, it is the sum for R = h, N = k, and h is hypergeometric.
    >>> chance_average_precision([1], 2).tolist()  # one relevant item of two: 1 with probability 1/2, else 1/2
    [0.75]
    """
    n_relevant = _counts(n_relevant)
    n_gallery = positive_int(n_gallery, "n_gallery")
    if len(n_relevant) and n_relevant.max() > n_gallery:
        raise ValueError(f"n_relevant must be at most n_gallery, {n_gallery}, got {n_relevant.max()}")
    k = _depth(k, n_gallery, of="n_gallery")
    harmonic = np.sum(1.0 / np.arange(1, k + 1))
    if divisor == "hits":
        log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n_gallery + 1)))])
        others = n_gallery - n_relevant
        log_none = log_factorial[others] - log_factorial[np.maximum(others - k, 0)]
        log_none += log_factorial[n_gallery - k] - log_factorial[n_gallery]
        some = 1.0 - np.where(others >= k, np.exp(log_none), 0.0)  # chance of a hit in the first k
        more = k * n_relevant / n_gallery - some  # expected hits beyond the first
        return _known((harmonic * some + (k - harmonic) / max(k - 1, 1) * more) / k, n_relevant)
    if divisor not in DIVISORS:
        raise ValueError(f"divisor must be one of {', '.join(map(repr, DIVISORS))}, got {divisor!r}")
    pairs = (n_relevant - 1) / max(n_gallery - 1, 1)
    total = n_relevant / n_gallery * (harmonic + pairs * (k - harmonic))
    parts = {"min(k, R)": np.minimum(k, n_relevant), "R": n_relevant, "k": np.full_like(n_relevant, k)}
    return _known(total / np.maximum(parts[divisor], 1), n_relevant)


def _ranking(relevance, n_relevant, k):
    """Checked bool (q, k), int64 (q,), int."""
    relevance = np.asarray(relevance)
    if relevance.ndim != 2:
        raise ValueError(f"relevance must have shape (queries, neighbours), got {relevance.shape}")
    n_relevant = _counts(n_relevant)
    if len(n_relevant) != len(relevance):
        sizes = f"{len(relevance)} and {len(n_relevant)}"
        raise ValueError(f"relevance and n_relevant must be of the same queries, got {sizes}")
    if relevance.dtype != bool:
        relevance = finite_numbers(relevance, "relevance")
        other = (relevance != 0) & (relevance != 1)
        if other.any():
            got = f"{relevance[other][0]} (for graded relevance use ndcg_at_k)"
            raise ValueError(f"relevance must hold 0 and 1, got {got}")
        relevance = relevance.astype(bool)
    k = _depth(k, relevance.shape[1])
    n_found = relevance.sum(axis=1)
    above = np.flatnonzero(n_found > n_relevant)
    if len(above):
        found, said = n_found[above[0]], n_relevant[above[0]]
        raise ValueError(f"query {above[0]} has {found} relevant neighbours, but n_relevant says {said}")
    return relevance[:, :k], n_relevant, k


def _known(values, n_relevant):
    return np.where(n_relevant > 0, values, np.nan)


def positive_int(value, name):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(value)


def _depth(k, n_columns, of="the number of ranked items"):
    k = positive_int(n_columns if k is None else k, "k")
    if k > n_columns:
        raise ValueError(f"k must be at most {of}, {n_columns}, got {k}")
    return k


def finite_numbers(array, name):
    """As float64 without NaN or infinity."""
    try:
        array = np.asarray(array).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers, got {np.asarray(array).dtype}") from None
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(f"{name} must be finite, got {bad.sum()} NaN or infinite values of {array.size}")
    return array


def _gains(gains, name):
    gains = finite_numbers(gains, name)
    if gains.ndim != 2:
        raise ValueError(f"{name} must have shape (queries, items), got {gains.shape}")
    if gains.size and gains.min() < 0:
        raise ValueError(f"{name} must be 0 or above, got {gains.min():g}")
    return gains


def _counts(n_relevant):
    counts = np.asarray(n_relevant)
    if counts.ndim != 1:
        raise ValueError(f"n_relevant must have shape (queries,), got {counts.shape}")
    if counts.size == 0:
        return np.zeros(0, dtype=np.int64)
    if not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"n_relevant must hold integers, got {counts.dtype}")
    if counts.min() < 0:
        raise ValueError(f"n_relevant must be 0 or above, got {counts.min()}")
    return counts.astype(np.int64)


def bool_sets(label_sets, name):
    label_sets = np.asarray(label_sets)
    if label_sets.ndim != 2:
        raise ValueError(f"{name} must have shape (items, labels), got {label_sets.shape}")
    if label_sets.dtype != bool and not np.isin(label_sets, (0, 1)).all():
        raise ValueError(f"{name} must hold bool or 0 and 1, got other values of {label_sets.dtype}")
    return label_sets.astype(bool)


def batches(n_rows, row_elements):
    """Slices over n_rows, such that one batch of rows stays within BATCH_ELEMENTS."""
    step = max(1, BATCH_ELEMENTS // max(1, row_elements))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]
