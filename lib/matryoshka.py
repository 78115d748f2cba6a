"""Coarse first, fine later: search with the first coordinates of nested embeddings, then judge the best by all of them.

Embeddings whose first 8, 16, 32, ... coordinates are embeddings themselves come from the nested loss (Kusupati et al.,
Matryoshka Representation Learning, 2022). Any embedding can be cut here; one trained otherwise loses more.
distances are 1 - cosine at full width, float32 (q, k), ascending; neighbours are int64 (q, k) gallery rows. Ties go by
lower row, also at the last place of each shortlist. With a shortlist as long as the gallery the search is exact.

Needs numpy and faiss. Copy with: vectors.py.
"""

from typing import NamedTuple

import faiss
import numpy as np

try:
    from lib import vectors
except ModuleNotFoundError:  # copied beside this file
    import vectors

_EPS = float(np.finfo(np.float32).eps)


def truncate(embeddings, d):
    """The first d coordinates of embeddings (n, width), each row scaled to length 1: float32 (n, d).

    ValueError: d outside 1 to width, NaN or infinite values, rows whose first d coordinates are all 0.
    >>> truncate(np.array([[3.0, 4.0, 12.0]]), 2).tolist()  # 3 and 4 over 5
    [[0.6000000238418579, 0.800000011920929]]
    """
    embeddings = vectors.checked_embeddings(embeddings, "embeddings", "cosine")
    if vectors.checked_count(d, "d") > embeddings.shape[1]:
        raise ValueError(f"d must be at most {embeddings.shape[1]}, the dimensions of the embeddings, got {d}")
    return _unit_rows(embeddings[:, :d], "embeddings")


def shortlist_and_rerank(gallery, queries, shortlist_d, shortlist, k):
    """The k best of a shortlist: `shortlist` rows by the first shortlist_d coordinates, ordered by the cosine of all.

    gallery (n, width), queries (q, width). shortlist is k at least and n at most, shortlist_d 1 to width. A `Funnel`
    need not be fitted again for a second search. Rows 0 and 1 are alike by the first coordinate; by all, 1 is nearer:
    >>> gallery = np.array([[3, 0, 4], [3, 4, 0], [-5, 0, 0]], dtype=np.float32)
    >>> query = np.array([[3, 4, 0]], dtype=np.float32)
    >>> distances, neighbours = shortlist_and_rerank(gallery, query, shortlist_d=1, shortlist=2, k=2)
    >>> neighbours.tolist(), (25 * distances).round().tolist()  # cosines 25/25 and 9/25
    ([[1, 0]], [[0.0, 16.0]])
    """
    return Funnel([(shortlist_d, shortlist)]).fit(gallery).search(queries, k)


class Funnel:
    """Search in steps of more coordinates and fewer rows, the last of them at full width. cosine.

    steps: (d, rows that stay) one after the other, with more coordinates and fewer rows each time: [(16, 400), (64,
    100)] keeps 400 rows by 16 coordinates and 100 of them by 64, which are then ordered by all.
    The first step compares all rows (FAISS, flat). With a `search_width` (efSearch; at least the rows that stay) it
    walks a graph instead (HNSW; `n_links`: M, `build_width`: efConstruction) of coordinates in half precision, far
    faster for single queries, and may miss rows. Each later step compares only the rows that are left, pair by pair.
    The index holds the rows in full and their first coordinates for the first step, both scaled to length 1. It is used
    as the indexes of `indexes.py` are, but not written to a file.
    >>> index = Funnel([(1, 2)]).fit(np.array([[3, 4, 0], [3, 0, 4], [-5, 0, 0]], dtype=np.float32))
    >>> index.search(np.array([[3, 4, 0]], dtype=np.float32), k=1)[1].tolist(), index.nbytes
    ([[0]], 48)
    """

    kind, metric = "funnel", "cosine"

    def __init__(self, steps, search_width=None, n_links=32, build_width=80):
        count = vectors.checked_count
        self.steps = [(count(d, "d of a step"), count(rows, "rows of a step")) for d, rows in steps]
        if not self.steps:
            raise ValueError("expected steps of one (d, rows that stay) or more, got none")
        for (d, rows), (more_d, fewer_rows) in zip(self.steps, self.steps[1:], strict=False):
            if more_d <= d or fewer_rows > rows:
                expected = f"after the step ({d}, {rows}) expected a larger d and no more rows"
                raise ValueError(f"{expected}, got ({more_d}, {fewer_rows})")
        self.search_width = None if search_width is None else count(search_width, "search_width")
        self._links, self._build_width = count(n_links, "n_links"), count(build_width, "build_width")
        self._first = self._full = None  # a FAISS index of the first step's coordinates, and the rows in full

    def fit(self, gallery):
        """Index the gallery (n, width), replacing an earlier one. Returns the index itself."""
        gallery = vectors.checked_embeddings(gallery, "gallery", "cosine")
        n, width = gallery.shape
        first_d, shortlist = self.steps[0]
        if n == 0:
            raise ValueError("expected a gallery of 1 row or more, got 0")
        if self.steps[-1][0] > width:
            raise ValueError(f"d of a step must be at most {width}, the gallery's dimensions, got {self.steps[-1][0]}")
        if shortlist > n:
            raise ValueError(f"the shortlist must be at most {n} rows, the whole gallery, got {shortlist}")
        # numpy asks for large pages of memory where FAISS does not: rows that lie far apart are read faster
        index, full = faiss.IndexFlatIP(first_d), np.empty((n, width), dtype=np.float32)
        if self.search_width is not None:
            index = faiss.IndexHNSWSQ(first_d, faiss.ScalarQuantizer.QT_fp16, self._links)
            index.hnsw.efConstruction = self._build_width
        first = np.empty((n, first_d), dtype=np.float32)  # added at once: FAISS reads what grew in parts more slowly
        lengths = {d: np.empty(n, dtype=np.float32) for d, _ in self.steps[1:]}
        step = vectors.rows_a_batch(width)
        for start in range(0, n, step):
            rows = full[start : start + step] = vectors.unit_rows(gallery[start : start + step])
            first[start : start + step] = _unit_rows(rows[:, :first_d], "gallery", start)
            for d in lengths:
                lengths[d][start : start + step] = np.linalg.norm(rows[:, :d], axis=1)
        index.add(first)
        self._first, self._full, self._lengths = index, full, lengths
        return self

    def search(self, queries, k):
        """The k nearest rows of what the steps leave: distances float32 (q, k), neighbours int64 (q, k)."""
        width = self._fitted().shape[1]
        queries, squared_lengths = vectors.checked_with_lengths(queries, "queries", "cosine", n_columns=width)
        k, step = vectors.checked_k(k, self.steps[-1][1], "the shortlist"), vectors.rows_a_batch(width)
        found = [(np.empty((0, k), np.float32), np.empty((0, k), np.int64))] if len(queries) == 0 else []
        for start in range(0, len(queries), step):
            part = vectors.unit_rows(queries[start : start + step], squared_lengths[start : start + step])
            (d, n_rows), *later = self.steps
            candidates = self._shortlist(_unit_rows(part[:, :d], "queries", start), n_rows)
            for d, n_rows in later:
                candidates = self._nearest_by(d, vectors.unit_rows(part[:, :d]), candidates, n_rows)
            found.append(vectors.nearest_among(self._full, part, candidates, k))
        return found[0] if len(found) == 1 else tuple(map(np.concatenate, zip(*found, strict=True)))

    @property
    def nbytes(self):
        """Bytes of what is held: full rows as float32, the first step's index, a length a row for each later step."""
        full, first = self._fitted(), self._first
        of_first = 4 * len(full) * first.d if self.search_width is None else faiss.serialize_index(first).nbytes
        return full.nbytes + 4 * len(full) * len(self._lengths) + of_first

    def _fitted(self):
        if self._full is None:
            raise ValueError("the index is empty: call fit(gallery) first")
        return self._full

    def _shortlist(self, queries, n_rows):
        """The n_rows that the first step leaves of all: int64 (q, n_rows)."""
        if self.search_width is None:
            return _nearest(self._first, queries, n_rows)
        self._first.hnsw.efSearch = max(self.search_width, n_rows)
        candidates = self._first.search(queries, n_rows)[1]
        lost = candidates[:, -1] < 0  # the graph yields fewer: all rows are compared
        if lost.any():
            candidates[lost] = self._first.storage.search(queries[lost], n_rows)[1]
        return candidates

    def _nearest_by(self, d, queries, candidates, n_rows):
        """The n_rows nearest of each query's candidates (q, c) by their first d coordinates: int64 (q, n_rows)."""
        distances = np.empty(candidates.shape, dtype=np.float32)
        step = vectors.rows_a_batch(candidates.shape[1] * d)
        for start in range(0, len(queries), step):
            some = candidates[start : start + step]
            products = np.einsum("qcd,qd->qc", self._full[some, :d], queries[start : start + step])
            distances[start : start + step] = 1 - products / self._lengths[d][some]
        return vectors.ordered(distances, candidates, n_rows)[1]


class Plan(NamedTuple):
    """What `plan` chose: whether it fits all limits, the measured row (a dict), and the reason in a sentence."""

    fits: bool
    row: dict
    why: str


def plan(table, ms=None, megabytes=None, wanted_map=None):
    """Choose a way to search from a measured table, within so many milliseconds and megabytes, with at least that mAP.

    table: a DataFrame, or a list of dicts, one row a way that was measured: structure, dimensions, shortlist (0 for
    none), ms (a query), megabytes, mAP. Limits that are None are not asked for. Of the rows that keep every limit:
    where a mAP is wanted, the fastest; where none is, the one of the highest mAP; ties go by mAP, then milliseconds,
    then megabytes, then the earlier row. If no row keeps every limit, `fits` is False and the row is that whose worst
    breach is least, counted as a factor: twice the milliseconds, half the mAP.
    >>> measured = [
    ...     {"structure": "flat", "dimensions": 512, "shortlist": 0, "ms": 8.0, "megabytes": 200, "mAP": 0.40},
    ...     {"structure": "flat", "dimensions": 32, "shortlist": 0, "ms": 0.5, "megabytes": 13, "mAP": 0.35},
    ... ]
    >>> plan(measured, ms=1.0).why
    'flat at 32 dimensions: 0.5 ms (1 at most), 13 MB, mAP 0.35; of 2 ways 1 fits, this one has the highest mAP.'
    >>> plan(measured, ms=1.0, wanted_map=0.40).fits
    False
    """
    rows = table.to_dict("records") if hasattr(table, "to_dict") else [dict(row) for row in table]
    limits = {"ms": ms, "megabytes": megabytes, "mAP": wanted_map}
    for name, limit in limits.items():
        if limit is not None and not (np.isfinite(limit) and limit > 0):
            raise ValueError(f"the limit of {name} must be a positive number or None, got {limit!r}")
    if not rows:
        raise ValueError("expected a table of 1 row or more, got 0")
    for i, row in enumerate(rows):
        missing = {"structure", "dimensions", "shortlist", *limits} - set(row)
        if missing:
            raise ValueError(f"row {i} of the table has no {', '.join(sorted(missing))}")
        if not all(np.isfinite(row[name]) and row[name] >= 0 for name in limits):
            measured = {name: row[name] for name in limits}
            raise ValueError(f"row {i} of the table must hold finite numbers from 0, got {measured}")
    breaches = [_breaches(row, limits) for row in rows]
    fitting = [row for row, breach in zip(rows, breaches, strict=True) if not breach]
    if fitting:
        by_time = wanted_map is not None
        best = min(fitting, key=lambda row: ((row["ms"] if by_time else 0), -row["mAP"], row["ms"], row["megabytes"]))
        reason = "is the fastest" if by_time else "has the highest mAP"
        verb = "fits" if len(fitting) == 1 else "fit"
        why = f"{_described(best, limits)}; of {len(rows)} ways {len(fitting)} {verb}, this one {reason}."
        return Plan(True, best, why)
    nearest = min(range(len(rows)), key=lambda i: (max(breaches[i].values()), sum(breaches[i].values())))
    broken = ", ".join(f"{name} by a factor of {factor:.3g}" for name, factor in breaches[nearest].items())
    why = f"None of {len(rows)} ways fits. Nearest: {_described(rows[nearest], limits)}; it misses {broken}."
    return Plan(False, rows[nearest], why)


def _nearest(index, queries, n_rows):
    """The n_rows nearest of the whole index, in any order, ties at the last place by lower row: int64 (q, n_rows)."""
    n_asked = min(n_rows + 1, index.ntotal)
    similarities, candidates = vectors.search_flat(index, queries, n_asked)
    rows = candidates[:, :n_rows]
    if n_rows == index.ntotal:
        return rows
    # Of several rows at the last distance FAISS may return any, and its matrix product may round equal rows unequally.
    # Where the next row is not surely farther than the last one returned, compare pair by pair, which gives equal rows
    # equal distances, and ask for more until one surely is.
    rounding = 4 * index.d**0.5 * _EPS
    pending = [i for i, (last, after) in enumerate(similarities[:, -2:].tolist()) if last - after <= 2 * rounding]
    while len(pending):
        n_asked = min(4 * n_asked, index.ntotal)
        similarities, candidates = vectors.search_flat(index, queries[pending], n_asked)
        distances, rows[pending] = vectors.nearest_among(index, queries[pending], candidates, n_rows)
        is_open = distances[:, -1] >= 1 - similarities[:, -1] - rounding
        pending = np.asarray(pending)[is_open & (n_asked < index.ntotal)]
    return rows


def _breaches(row, limits):
    """The limits that a row breaks, each with the factor it is off by, above 1."""
    factors = {}
    for name, limit in limits.items():
        if limit is not None and (row[name] < limit if name == "mAP" else row[name] > limit):
            factors[name] = (limit / row[name] if row[name] else np.inf) if name == "mAP" else row[name] / limit
    return factors


def _described(row, limits):
    parts = []
    for name, limit in limits.items():
        value, end = (f"{x:,.0f}" if x and x >= 100 else f"{x or 0:.3g}" for x in (row[name], limit))
        asked = "" if limit is None else f" ({end} at {'least' if name == 'mAP' else 'most'})"
        parts.append({"ms": f"{value} ms", "megabytes": f"{value} MB", "mAP": f"mAP {value}"}[name] + asked)
    shortlist = f", shortlist of {row['shortlist']}" if row["shortlist"] else ""
    return f"{row['structure']} at {row['dimensions']} dimensions{shortlist}: {', '.join(parts)}"


def _unit_rows(embeddings, name, first=0):
    """Rows of length 1, C-contiguous. ValueError for a row of zeros; `first` is the number of the first row here."""
    squared_lengths = np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64)
    if np.count_nonzero(squared_lengths) < len(embeddings):
        d, row = embeddings.shape[1], first + int(np.argmin(squared_lengths))
        raise ValueError(f"{name}: the first {d} coordinates of row {row} are 0, they have no direction")
    return vectors.unit_rows(embeddings, squared_lengths)
