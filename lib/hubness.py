"""Hubs, gallery items that are the answer to too many queries: counted and corrected.

In a space of many dimensions a few items are close to almost everything: hubs, which fill the answers to unrelated
queries, while many others are never found. Between two kinds of items (images and their captions) the effect is
stronger than within one.

The offsets are measured against a `bank` of queries. Use training queries: no search engine knows what is coming.

Needs numpy. Copy this file alone.
"""

from typing import NamedTuple

import numpy as np

_BATCH_ELEMENTS = 4_000_000  # of a temporary array: 16 MB of float32


class Hubness(NamedTuple):
    skewness: float  # of the k-occurrences
    chance: float  # the skewness of a random search
    largest: int  # k-occurrence
    never: float  # the share of items never found


def k_occurrence(neighbours, n_gallery):
    """How often each gallery row occurs among the answers: int64 (n_gallery,), from neighbours (q, k).

    The sum is q * k, so the mean is q * k / n_gallery. ValueError for a row outside the gallery, or twice in an answer.
    >>> k_occurrence([[0, 1], [0, 2], [0, 1]], n_gallery=4).tolist()
    [3, 2, 1, 0]
    """
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or 0 in neighbours.shape or not np.issubdtype(neighbours.dtype, np.integer):
        got = f"{neighbours.dtype} {neighbours.shape}"
        raise ValueError(f"neighbours must be integers (q, k) with q, k >= 1, got {got}")
    if neighbours.min() < 0 or neighbours.max() >= n_gallery:
        raise ValueError(f"neighbours must be rows 0 to {n_gallery - 1}, got {neighbours.min()} to {neighbours.max()}")
    ordered = np.sort(neighbours, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if twice.any():
        got = f"{twice.sum()} queries with repeats, first {np.argmax(twice)}"
        raise ValueError(f"neighbours must be distinct, got {got}")
    return np.bincount(neighbours.ravel(), minlength=n_gallery).astype(np.int64)


def hubness(neighbours, n_gallery):
    """How unevenly answers spread over the gallery: Hubness(skewness, chance, largest, never), from neighbours (q, k).

    The skewness of the k-occurrences is their third central moment over the cube of their standard deviation
    (Radovanovic et al., 2010): 0 if every item is found equally often, large if a few are found very often. Compare it
    with `chance`: a search that returns k random items has binomial counts, p = k / n_gallery, of skewness
    (1 - 2 p) / sqrt(q p (1 - p)).
    Counts 2, 0, 0, 0 about their mean 1/2: third moment (27 - 3) / 8 / 4 = 3/4, variance 3/4.
    >>> found = hubness([[0], [0]], n_gallery=4)
    >>> round(found.skewness, 4), round((3 / 4) / (3 / 4) ** 1.5, 4), found.largest, found.never
    (1.1547, 1.1547, 2, 0.75)
    """
    counts = k_occurrence(neighbours, n_gallery)
    n_queries, k = np.shape(neighbours)
    centred = counts - counts.mean()
    variance, share = np.mean(centred**2), k / n_gallery
    skewness = float(np.mean(centred**3) / variance**1.5) if variance > 0 else 0.0
    chance = float((1 - 2 * share) / np.sqrt(n_queries * share * (1 - share))) if share < 1 else 0.0
    return Hubness(skewness, chance, int(counts.max()), float(np.mean(counts == 0)))


def csls_offsets(gallery, bank, k=10):
    """Half the mean cosine of each gallery row to its k nearest rows of the bank: float32 (n,).

    Cosine minus these offsets (`lift`) ranks a gallery as cross-domain similarity local scaling does (CSLS, Conneau et
    al., 2018): 2 cos(q, g) - r(q) - r(g), where r(g) is that mean, and r(q) is the same for all answers to a query;
    halved, cos(q, g) - r(g) / 2 and a constant. gallery (n, d), bank (m, d): typical queries. ValueError for k above m.
    >>> csls_offsets([[1, 0], [0, 1]], bank=[[1, 0], [0.6, 0.8]], k=1).tolist()  # nearest at 1 and at 0.8
    [0.5, 0.4000000059604645]
    """
    gallery, bank = _unit_rows(gallery, "gallery"), _unit_rows(bank, "bank")
    if isinstance(k, bool | np.bool_) or not isinstance(k, int | np.integer) or not 1 <= k <= len(bank):
        raise ValueError(f"k must be an integer from 1 to {len(bank)} (the rows of the bank), got {k!r}")
    if gallery.shape[1] != bank.shape[1]:
        raise ValueError(f"expected rows of equal dimension, got {gallery.shape[1]} and {bank.shape[1]}")
    offsets, step = np.empty(len(gallery), np.float32), max(1, _BATCH_ELEMENTS // len(bank))
    for start in range(0, len(gallery), step):  # never the whole (n, m)
        cosines = gallery[start : start + step] @ bank.T  # (b, m)
        nearest = np.partition(cosines, len(bank) - k, axis=1)[:, len(bank) - k :]  # (b, k)
        offsets[start : start + step] = nearest.mean(axis=1) / 2
    return offsets


def lift(queries, gallery, offsets):
    """Add two coordinates with which any index ranks by cosine minus offset: float32 (q, d + 2) and (n, d + 2).

    queries (q, d), gallery (n, d), offsets (n,). All rows are scaled to length 1; then a query gets the coordinates 1
    and 0, a gallery row -offset and sqrt(m - offset²), m the largest offset². So the inner product is cosine - offset,
    and since all lifted gallery rows have one length, so do cosine and Euclidean distance rank. ValueError for rows of
    zeros, NaN or infinity, or another number of offsets.
    By cosine the first row is nearer (1 against 0.8), but it is close to everything. With the offsets 0.5 and 0.1:
    >>> lifted_queries, lifted_gallery = lift([[1, 0]], [[1, 0], [0.8, 0.6]], offsets=[0.5, 0.1])
    >>> (lifted_queries @ lifted_gallery.T).round(4)  # 1 - 0.5, 0.8 - 0.1
    array([[0.5, 0.7]], dtype=float32)
    """
    queries, gallery = _unit_rows(queries, "queries"), _unit_rows(gallery, "gallery")
    offsets = np.asarray(offsets, np.float64)
    if offsets.shape != (len(gallery),) or not np.isfinite(offsets).all():
        raise ValueError(f"offsets must be finite numbers ({len(gallery)},), one a gallery row, got {offsets.shape}")
    added = np.stack([-offsets, np.sqrt((offsets**2).max() - offsets**2)], axis=1).astype(np.float32)  # (n, 2)
    return np.insert(np.pad(queries, ((0, 0), (0, 1))), -1, 1, axis=1), np.hstack([gallery, added])


def _unit_rows(embeddings, name):
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or 0 in embeddings.shape or embeddings.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numbers (n, d) with n, d >= 1, got {embeddings.dtype} {embeddings.shape}")
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64))
    broken = ~((lengths > 0) & np.isfinite(lengths))
    if broken.any():
        got = f"{broken.sum()} of {len(embeddings)} that are not, first row {np.argmax(broken)}"
        raise ValueError(f"{name} must have finite rows that are not all zeros, got {got}")
    return (embeddings / lengths[:, None]).astype(np.float32)
