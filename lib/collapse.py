"""Signals that an embedding has collapsed, for use on your own training.

A network that learns distances can cheat by giving all images the same row; the triplet loss then stays at its margin.

Embeddings are float (n, d), n >= 2; distances are Euclidean. `n_pairs` pairs or triples are sampled. Every function
raises ValueError for other shapes and for numbers that are not finite.

Needs numpy. Copy this file alone.
"""

import numpy as np


def effective_rank(embeddings):
    """How many directions the rows use: from 1, all on one line through the origin, to at most min(n, d); all zero: 0.

    exp of the entropy of the singular values, as shares of their sum (Roy and Vetterli, The effective rank, 2007). The
    mean is not subtracted: nearly equal rows lie on one line. Noise around one point would count in full otherwise.
    >>> effective_rank(np.eye(3)).round(6), effective_rank([[1, 2], [2, 4]]).round(6)  # three equal axes; one line
    (np.float64(3.0), np.float64(1.0))
    """
    values = np.linalg.svd(_rows(embeddings), compute_uv=False)
    if values.sum() == 0:
        return np.float64(0)
    share = values[values > 0] / values.sum()
    return np.exp(-(share * np.log(share)).sum())


def mean_distance(embeddings, n_pairs=20_000, seed=0):
    """Mean distance between two rows: 0 when all are equal. In the embedding's units; compare it with the margin.
    >>> mean_distance([[0.0, 0.0], [3.0, 4.0]])
    np.float64(5.0)
    """
    rows = _rows(embeddings)
    a, b = _drawn_pairs(len(rows), n_pairs, np.random.default_rng(seed))
    return np.linalg.norm(rows[a] - rows[b], axis=1).mean()


def uniformity(embeddings, n_pairs=20_000, seed=0):
    """Logarithm of the mean of exp(-2 distance²) of two rows, scaled to length 1 (Wang and Isola 2020).

    0 when all rows have the same direction; the lower, the more evenly they fill the sphere. Rows of zeros stay zeros.
    >>> uniformity([[3.0, 0.0], [-1.0, 0.0]]), uniformity([[3.0, 0.0], [1.0, 0.0]])  # opposite rows: -2 x 2² = -8
    (np.float64(-8.0), np.float64(0.0))
    """
    rows = _rows(embeddings)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths == 0, 1, lengths)
    a, b = _drawn_pairs(len(rows), n_pairs, np.random.default_rng(seed))
    return np.log(np.exp(-2 * ((rows[a] - rows[b]) ** 2).sum(1)).mean())


def pair_distances(embeddings, labels, n_pairs=20_000, seed=0):
    """Distances of same-class pairs and of different-class pairs: float64 (n_pairs,) each.

    `labels` (n,). Rows are sampled uniformly with replacement, then a partner uniformly among the eligible ones. The
    only row of a class has no same-class partner. ValueError if no two rows have the same class, or all have.
    >>> same, different = pair_distances([[0.0], [0.0], [2.0]], ["a", "a", "b"])
    >>> set(same.tolist()), set(different.tolist())
    ({0.0}, {2.0})
    """
    rows, labels = _rows_and_labels(embeddings, labels)
    anchors, positives, _ = _drawn_triples(labels, n_pairs, np.random.default_rng(seed))
    same = np.linalg.norm(rows[anchors] - rows[positives], axis=1)
    rng, (order, start, size) = np.random.default_rng([seed, 1]), _by_class(labels)
    a = rng.integers(len(labels), size=n_pairs)
    return same, np.linalg.norm(rows[a] - rows[_strangers(order, start[labels[a]], size[labels[a]], rng)], axis=1)


def separation(embeddings, labels, n_pairs=20_000, seed=0):
    """The probability that a same-class pair is closer than a different-class pair, an AUC: 0.5 is chance, 1 perfect.

    Ties count half. The two pairs are sampled separately, so all classes must share one scale of distances.
    >>> separation([[0.0], [0.0], [2.0]], [7, 7, 8]), separation([[1.0], [1.0], [1.0]], [7, 7, 8])
    (np.float64(1.0), np.float64(0.5))
    """
    same, different = pair_distances(embeddings, labels, n_pairs, seed)
    closer = [np.searchsorted(np.sort(different), same, side=side).mean() for side in ("left", "right")]
    return 1 - np.mean(closer) / len(different)


def active_share(embeddings, labels, margin, n_pairs=20_000, seed=0):
    """The share of triples with a loss: distance to the positive + margin > distance to the negative.

    Near 0 the triples are too easy to teach anything; at 1 throughout, with distances near 0, it is a collapse.
    ValueError for a margin that is not above 0, and if no row has both a positive and a negative.
    The anchors are the two at 0 and 1; the negative is 3 or 2 away, and only the first meets a margin of 1.5:
    >>> active_share([[0.0], [1.0], [3.0]], [7, 7, 8], margin=0.5)
    np.float64(0.0)
    >>> round(float(active_share([[0.0], [1.0], [3.0]], [7, 7, 8], margin=1.5)), 1)
    0.5
    """
    if not 0 < margin < np.inf:
        raise ValueError(f"margin must be above 0, got {margin}")
    rows, labels = _rows_and_labels(embeddings, labels)
    anchors, positives, negatives = _drawn_triples(labels, n_pairs, np.random.default_rng(seed))
    near = np.linalg.norm(rows[anchors] - rows[positives], axis=1)
    return (near + margin > np.linalg.norm(rows[anchors] - rows[negatives], axis=1)).mean()


def signals(embeddings, labels, margin, n_pairs=20_000, seed=0):
    """All numbers of this file in one dict, for a table or as `validate` of a training: name -> float."""
    found = {"effective_rank": effective_rank(embeddings)}
    found |= {each.__name__: each(embeddings, n_pairs, seed) for each in (mean_distance, uniformity)}
    found["separation"] = separation(embeddings, labels, n_pairs, seed)
    found["active_share"] = active_share(embeddings, labels, margin, n_pairs, seed)
    return {name: float(value) for name, value in found.items()}


def _rows(embeddings):
    rows = np.asarray(embeddings, np.float64)
    if rows.ndim != 2 or len(rows) < 2 or rows.shape[1] == 0:
        raise ValueError(f"embeddings must be (n, d) with n >= 2, got {rows.shape}")
    if not np.isfinite(rows).all():
        n_broken = (~np.isfinite(rows)).any(1).sum()
        raise ValueError(f"embeddings must be finite, got NaN or infinity in {n_broken} of {len(rows)} rows")
    return rows


def _rows_and_labels(embeddings, labels):
    """Rows, and labels as numbers of the classes."""
    rows, labels = _rows(embeddings), np.asarray(labels)
    if labels.shape != (len(rows),):
        raise ValueError(f"labels must be ({len(rows)},), got {labels.shape}")
    return rows, np.unique(labels, return_inverse=True)[1]


def _drawn_pairs(n, n_pairs, rng):
    """Pairs of different rows, every pair equally likely."""
    _check_n_pairs(n_pairs)
    a = rng.integers(n, size=n_pairs)
    b = rng.integers(n - 1, size=n_pairs)
    return a, b + (b >= a)


def _drawn_triples(labels, n_pairs, rng):
    """Anchors that have both, another row of their class, and a row of another class."""
    order, start, size = _by_class(labels)
    usable = np.flatnonzero((size[labels] > 1) & (size[labels] < len(labels)))
    if len(usable) == 0:
        raise ValueError(f"expected a class of 2 rows and another class, got {len(labels)} rows in {len(size)} classes")
    _check_n_pairs(n_pairs)
    place = np.empty(len(labels), int)
    place[order] = np.arange(len(labels))  # the place of each row when rows are sorted by class
    anchors = rng.choice(usable, n_pairs)
    first, n_same = start[labels[anchors]], size[labels[anchors]]
    steps = 1 + rng.integers(n_same - 1)  # on from the anchor, cyclically within its class
    positives = order[first + (place[anchors] - first + steps) % n_same]
    return anchors, positives, _strangers(order, first, n_same, rng)


def _strangers(order, first, n_same, rng):
    """For each anchor a row of another class: any place in the sorted rows outside its own class."""
    places = rng.integers(len(order) - n_same)
    return order[places + n_same * (places >= first)]


def _by_class(labels):
    """Rows sorted by class, where each class starts among them, and how many it has."""
    size = np.bincount(labels)
    return np.argsort(labels, kind="stable"), np.cumsum(size) - size, size


def _check_n_pairs(n_pairs):
    if n_pairs < 1:
        raise ValueError(f"n_pairs must be at least 1, got {n_pairs}")
