"""What the search modules share: embeddings checked, scaled to length 1, and compared by FAISS.

Needs numpy and faiss. Copy this file alone.
"""

import faiss
import numpy as np

BATCH_ELEMENTS = 4_000_000  # of a temporary array: 16 MB of float32
_BLAS_THRESHOLD = faiss.cvar.distance_compute_blas_threshold  # FAISS's own
_LONGEST_SQUARED = np.finfo(np.float32).max / 8


def checked_embeddings(embeddings, name, metric, n_columns=None):
    """The embeddings as float32 (n, d), C-contiguous, or a ValueError that says what is wrong with them.

    float16 and float64 are converted; other types are refused. So are NaN, infinity, for cosine rows of zeros, and for
    l2 rows so long that their squared length leaves float32.
    """
    return checked_with_lengths(embeddings, name, metric, n_columns)[0]


def checked_with_lengths(embeddings, name, metric, n_columns=None):
    """The embeddings as of `checked_embeddings`, and their squared lengths, float64 (n,)."""
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or embeddings.shape[1] == 0:
        raise ValueError(f"expected {name} of shape (n, d), got {embeddings.shape}")
    if embeddings.dtype != np.float32 or not embeddings.flags.c_contiguous:
        if embeddings.dtype not in (np.float16, np.float32, np.float64):
            raise ValueError(f"expected {name} as float32 (float16 and float64 are converted), got {embeddings.dtype}")
        with np.errstate(over="ignore"):  # what leaves float32 becomes infinite, and is refused below
            embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    if n_columns is not None and embeddings.shape[1] != n_columns:
        raise ValueError(f"expected {name} of {n_columns} dimensions, as the gallery's, got {embeddings.shape[1]}")
    squared_lengths = np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64)
    least, most = (0, np.inf) if metric == "cosine" else (-1, _LONGEST_SQUARED)
    ends = squared_lengths.tolist() if len(embeddings) < 2 else [squared_lengths.min(), squared_lengths.max()]
    if ends and not least < ends[0] <= ends[-1] < most:  # NaN fails too; for one row min and max would take longest
        is_fine = (squared_lengths > least) & (squared_lengths < most)
        is_finite = np.isfinite(squared_lengths)
        of_zeros, too_long = "of zeros, which have no direction (cosine)", "too long for float32 squares (l2)"
        is_bad, what = ~is_fine, of_zeros if metric == "cosine" else too_long
        if not is_finite.all():
            is_bad, what = ~is_finite, "with NaN or infinite values"
        n_bad, first = is_bad.sum(), is_bad.argmax()
        raise ValueError(f"{name} has {n_bad} of {len(embeddings)} rows {what}, the first is row {first}")
    return embeddings, squared_lengths


def checked_k(k, n_rows, of="the gallery"):
    """k as int, or a ValueError: an integer from 1 to n_rows."""
    if checked_count(k, "k") > n_rows:
        raise ValueError(f"k must be at most {n_rows}, the rows of {of}, got {k}")
    return int(k)


def checked_count(value, name):
    """value as int, or a ValueError: a positive integer."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not 1 <= value < 2**63:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(value)


def unit_rows(embeddings, squared_lengths=None):
    """The embeddings (n, d) scaled to length 1, C-contiguous; squared_lengths (n,) saves computing them again."""
    if squared_lengths is None:
        squared_lengths = np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64)
    lengths = np.sqrt(squared_lengths)[:, None]
    return np.divide(embeddings, lengths, out=np.empty(embeddings.shape, np.float32), casting="same_kind")


def rows_a_batch(n_columns):
    """How many rows of n_columns fit into a temporary array of 16 MB, 1 or more."""
    return max(1, BATCH_ELEMENTS // n_columns)


def search_flat(index, queries, n_asked):
    """index.search of a flat index, with matrix products from four queries on.

    FAISS 1.15 compares row by row until queries times dimensions come to 128,000: 32 queries of 2,048 dimensions then
    take 8 times as long, and 256 of 32 dimensions 7 times. Its threshold is global, so it is restored afterwards.
    """
    if len(queries) < 4:
        return index.search(queries, n_asked)
    faiss.cvar.distance_compute_blas_threshold = 1
    try:
        return index.search(queries, n_asked)
    finally:
        faiss.cvar.distance_compute_blas_threshold = _BLAS_THRESHOLD


def nearest_among(rows, queries, candidates, k, metric="cosine"):
    """The k nearest of each query's candidates (q, c), compared pair by pair with rows (n, d), or a FAISS flat index's.

    Returns 1 - cosine, or squared Euclidean distances, float32 (q, k), and neighbours int64 (q, k); ties by lower row.
    """
    candidates = np.sort(candidates, axis=1)  # so that a stable sort of the distances puts the lower row first
    raw = np.empty(candidates.shape, dtype=np.float32)
    compare = faiss.fvec_inner_products_by_idx if metric == "cosine" else faiss.fvec_L2sqr_by_idx
    of_rows = faiss.swig_ptr(rows) if isinstance(rows, np.ndarray) else rows.get_xb()
    out, of_queries, wanted = map(faiss.swig_ptr, (raw, queries, candidates))
    compare(out, of_queries, of_rows, wanted, queries.shape[1], *candidates.shape)
    distances = np.maximum(1 - raw if metric == "cosine" else raw, 0)
    each, order = np.arange(len(raw))[:, None], distances.argsort(axis=1, kind="stable")[:, :k]
    return distances[each, order], candidates[each, order]


def ordered(distances, candidates, k):
    """The k of least distance in each row, ties by lower candidate: distances and candidates (q, k)."""
    order = np.lexsort((candidates, distances))[:, :k]
    rows = np.arange(len(order))[:, None]
    return distances[rows, order], candidates[rows, order]


def enlarged(embeddings, labels, n, mix=0.6, seed=0):
    """A gallery of n rows of the same classes: (embeddings float32 (n, d), labels (n,)), the given rows first.

    A new row is its class's mean, plus the deviations from it of two random rows of the class, weighted sqrt(1 - mix^2)
    and mix (0, copies, to 1): so the class keeps its mean and its covariance. With n below the rows given, the first n.
    It serves to compare ways of searching; it says nothing about how good an embedding is.
    >>> rows, labels = enlarged(np.array([[0], [2], [9]], np.float32), np.array(["a", "a", "b"]), n=6)
    >>> rows[:3].ravel().tolist(), sorted(set(labels[3:].tolist()) - {"a", "b"})
    ([0.0, 2.0, 9.0], [])
    """
    embeddings, labels = checked_embeddings(embeddings, "embeddings", "l2"), np.asarray(labels)
    if len(embeddings) != len(labels) or len(labels) == 0 or not 0 <= mix <= 1:
        got = f"{len(embeddings)} rows, {len(labels)} labels, mix {mix}"
        raise ValueError(f"expected one label a row and mix from 0 to 1, got {got}")
    rng, n_given = np.random.default_rng(seed), min(len(labels), checked_count(n, "n"))
    first = np.concatenate([np.arange(n_given), rng.integers(0, len(labels), n - n_given)])
    second, mean = np.empty_like(first), np.empty_like(embeddings)
    for name in np.unique(labels):
        members, here = np.flatnonzero(labels == name), labels[first] == name
        mean[members], second[here] = embeddings[members].mean(axis=0), rng.choice(members, here.sum())
    centred = embeddings - mean
    rows = mean[first] + np.float32((1 - mix**2) ** 0.5) * centred[first] + np.float32(mix) * centred[second]
    rows[:n_given] = embeddings[:n_given]
    return rows, labels[first]
