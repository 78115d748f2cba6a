"""Which gallery rows are nearest to a query? Exact search, checked, with ties in a known order.

What is in it
    FlatIndex               compares each query with the whole gallery (FAISS): the truth that faster ones are held to
    search_leave_self_out   every row queries the gallery that it is itself in, and is never its own answer
    checked_embeddings, checked_k, write_index, read_index   what every index of the course shares

An index has `fit(gallery)`, `search(queries, k) -> distances, neighbours`, `save(path)`, `load(path)` and `nbytes`.
distances are float32 (q, k), ascending; neighbours are int64 (q, k) gallery rows; equal distances go by lower row.

Needs numpy and faiss. Copy this file alone: it imports nothing else of the course.
"""

import hashlib
import json
import os
from pathlib import Path
from uuid import uuid4

import faiss
import numpy as np

METRICS = ("cosine", "l2")
_BATCH_ELEMENTS = 4_000_000  # of a temporary array: 16 MB of float32
_MAGIC = b"image retrieval index, version 1\n"


class FlatIndex:
    """Exact search: each query is compared with the whole gallery.

    metric "cosine": rows are scaled to length 1; distances are 1 - cosine, 0 to 2.
    metric "l2":     distances are Euclidean, in the unit of the embeddings (not squared, as FAISS has them).

    >>> index = FlatIndex("l2").fit(np.array([[0, 0], [3, 4], [0, 0]], dtype=np.float32))
    >>> distances, neighbours = index.search(np.array([[0, 0]], dtype=np.float32), k=3)
    >>> distances.tolist(), neighbours.tolist()
    ([[0.0, 0.0, 5.0]], [[0, 2, 1]])
    """

    kind = "flat"

    def __init__(self, metric="cosine"):
        if metric not in METRICS:
            raise ValueError(f"metric is {metric!r}, allowed: {', '.join(map(repr, METRICS))}")
        self.metric = metric
        self._index = None

    def fit(self, gallery):
        """Take in the gallery (n, d), in place of an earlier one. Returns the index itself."""
        gallery = checked_embeddings(gallery, "gallery", self.metric)
        if len(gallery) == 0:
            raise ValueError("gallery has 0 rows, allowed: 1 or more")
        n_columns = gallery.shape[1]
        index = faiss.IndexFlatIP(n_columns) if self.metric == "cosine" else faiss.IndexFlatL2(n_columns)
        for start in range(0, len(gallery), _rows_a_batch(n_columns)):
            index.add(self._prepared(gallery[start : start + _rows_a_batch(n_columns)]))
        self._index = index
        self._longest = _longest(index)
        return self

    def search(self, queries, k):
        """The k nearest gallery rows of each query: distances float32 (q, k), neighbours int64 (q, k).

        Refused with a ValueError: k above the gallery, another dimension than the gallery's, NaN, infinity, and for
        cosine rows of zeros, which have no direction.
        """
        index = self._fitted()
        queries = checked_embeddings(queries, "queries", self.metric, n_columns=index.d)
        k = checked_k(k, index.ntotal)
        distances = np.empty((len(queries), k), dtype=np.float32)
        neighbours = np.empty((len(queries), k), dtype=np.int64)
        # FAISS may leave out any of several rows at the same distance as the last. So ask for some more than k: once
        # one of them is surely farther than the k-th, none that is missing can be as near. Ask for more till then.
        open_rows, n_asked = np.arange(len(queries)), min(k + 16, index.ntotal)
        while len(open_rows):
            settled = np.zeros(len(open_rows), dtype=bool)
            step = _rows_a_batch(max(index.d, n_asked))
            for start in range(0, len(open_rows), step):
                rows = open_rows[start : start + step]
                distances[rows], neighbours[rows], settled[start : start + step] = self._nearest(
                    self._prepared(queries[rows]), k, n_asked
                )
            open_rows, n_asked = open_rows[~settled], min(4 * n_asked, index.ntotal)
        return distances, neighbours

    def save(self, path):
        """Write the index to one file: first a header with a digest, then the vectors. No pickle.

        The file appears under its name only once it is complete.
        """
        write_index(path, self._header(), faiss.serialize_index(self._fitted()).tobytes())

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. ValueError that names the file, if it is damaged or holds another kind of index."""
        header, payload = read_index(path, cls.kind)
        index = cls(header["metric"])
        index._index = faiss.deserialize_index(np.frombuffer(payload, dtype=np.uint8))
        index._longest = _longest(index._index)
        return index

    @property
    def nbytes(self):
        """Bytes of the file that `save` writes."""
        return len(_head(self._header(), b"")) + faiss.serialize_index(self._fitted()).nbytes

    def _header(self):
        return {"kind": self.kind, "metric": self.metric}

    def _fitted(self):
        if self._index is None:
            raise ValueError("the index holds no gallery yet, call fit(gallery) first")
        return self._index

    def _prepared(self, embeddings):
        return _unit_rows(embeddings) if self.metric == "cosine" else embeddings

    def _nearest(self, queries, k, n_asked):
        """Distances and neighbours (b, k), and bool (b,): whether no row outside the n_asked can be among them."""
        index = self._index
        approximate, candidates = index.search(queries, n_asked)
        # FAISS may go through a matrix product, whose rounding depends on the place of a row: equal rows could differ.
        # Comparing pair by pair gives equal rows equal distances.
        raw = np.empty(candidates.shape, dtype=np.float32)
        index.compute_distance_subset(
            len(queries), faiss.swig_ptr(queries), n_asked, faiss.swig_ptr(raw), faiss.swig_ptr(candidates)
        )
        raw = np.maximum(1 - raw if self.metric == "cosine" else raw, 0)
        distances = raw if self.metric == "cosine" else np.sqrt(raw)
        order = np.lexsort((candidates, distances))[:, :k]
        if n_asked == index.ntotal:
            settled = np.ones(len(queries), dtype=bool)
        else:
            farthest = 1 - approximate[:, -1] if self.metric == "cosine" else approximate[:, -1]
            # the terms that were summed: products of unit rows, or squares and products of a query and a gallery row
            scale = 1 if self.metric == "cosine" else (np.linalg.norm(queries, axis=1) + self._longest) ** 2
            rounding = 4 * np.sqrt(index.d) * np.finfo(np.float32).eps * scale
            settled = np.take_along_axis(raw, order, axis=1)[:, -1] < farthest - rounding
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(candidates, order, axis=1), settled


def search_leave_self_out(embeddings, k, rows=None, metric="cosine"):
    """The k nearest other rows, of every row or of `rows`: distances float32 (q, k), neighbours int64 (q, k).

    The gallery is embeddings (n, d) as a whole, whichever rows are asked for. A query is never its own answer; a copy
    of it at another row is. k is at most n - 1.

    >>> points = np.array([[0.0], [1.0], [3.0]], dtype=np.float32)
    >>> search_leave_self_out(points, k=2, metric="l2")[1].tolist()
    [[1, 2], [0, 2], [1, 0]]
    """
    embeddings = checked_embeddings(embeddings, "embeddings", metric)
    n = len(embeddings)
    rows = np.arange(n) if rows is None else np.asarray(rows)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise ValueError(f"rows has shape {rows.shape} and dtype {rows.dtype}, allowed: whole numbers (q,)")
    rows = rows.astype(np.int64)
    if rows.size and (rows.min() < 0 or rows.max() >= n):
        raise ValueError(f"rows holds {rows.min()} to {rows.max()}, allowed: 0 to {n - 1}")
    k = checked_k(k, n - 1, "the gallery without the query")
    distances, neighbours = FlatIndex(metric).fit(embeddings).search(embeddings[rows], k + 1)
    others = neighbours != rows[:, None]  # (q, k + 1)
    others[others.all(axis=1), -1] = False  # its copies in lower rows came first: drop the last in its stead
    return distances[others].reshape(-1, k), neighbours[others].reshape(-1, k)


# ------------------------------------------------------------------------------------- what the indexes share


def checked_embeddings(embeddings, name, metric, n_columns=None):
    """The embeddings as float32 (n, d), C-contiguous, or a ValueError that says what is wrong with them.

    float16 and float64 are converted, other types refused. Refused too: NaN, infinity, for cosine rows of zeros, and
    for l2 rows so long that their squared length leaves float32.
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or embeddings.shape[1] == 0:
        raise ValueError(f"{name} has shape {embeddings.shape}, allowed: (rows, dimensions)")
    if embeddings.dtype not in (np.float16, np.float32, np.float64):
        raise ValueError(f"{name} has dtype {embeddings.dtype}, allowed: float32 (float16 and float64 are converted)")
    if n_columns is not None and embeddings.shape[1] != n_columns:
        raise ValueError(f"{name} has {embeddings.shape[1]} dimensions, the gallery {n_columns}")
    with np.errstate(over="ignore"):  # what leaves float32 becomes infinite, and is refused below
        embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    squared_lengths = np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64)
    problems = [(~np.isfinite(squared_lengths), "with NaN or infinite values")]
    if metric == "cosine":
        problems.append((squared_lengths == 0, "of zeros, which have no direction (cosine)"))
    else:
        problems.append((squared_lengths > np.finfo(np.float32).max / 8, "too long for squares in float32 (l2)"))
    for is_bad, what in problems:
        if is_bad.any():
            raise ValueError(
                f"{name} has {is_bad.sum()} rows {what} among {len(embeddings)}, the first is row {np.argmax(is_bad)}"
            )
    return embeddings


def checked_k(k, n_rows, of="the gallery"):
    """k as int, or a ValueError: a whole number from 1 to n_rows."""
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k is {k!r}, allowed: a whole number from 1")
    if k > n_rows:
        raise ValueError(f"k is {k}, but {of} has {n_rows} rows")
    return int(k)


def write_index(path, header, payload):
    """Write header (a dict for JSON) and payload (bytes) to path, with the digest of both, all or nothing."""
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.{uuid4().hex}.unfinished")
    try:
        with open(unfinished, "xb") as file:
            file.write(_head(header, payload))
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_index(path, kind):
    """header and payload that `write_index` wrote. ValueError if the file is damaged, or of another kind."""
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError(f"{path}: not an index file, its first line should be {_MAGIC.decode().strip()!r}")
        digest, header_line, payload = file.readline().strip(), file.readline(), file.read()
    expected = hashlib.sha256(header_line)
    expected.update(payload)
    if digest != expected.hexdigest().encode():
        raise ValueError(f"{path}: damaged or cut short ({len(payload)} bytes after its header), build the index again")
    header = json.loads(header_line)
    if header["kind"] != kind:
        raise ValueError(f"{path}: holds an index of kind {header['kind']!r}, asked for: {kind!r}")
    return header, payload


def _head(header, payload):
    line = json.dumps(header, sort_keys=True).encode() + b"\n"
    digest = hashlib.sha256(line)
    digest.update(payload)
    return _MAGIC + digest.hexdigest().encode() + b"\n" + line


def _unit_rows(embeddings):
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64))
    return np.divide(embeddings, lengths[:, None], out=np.empty_like(embeddings), casting="same_kind")


def _longest(index):
    """The length of the longest row of a FAISS flat index, without a copy of it."""
    vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
    return float(np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64).max()))


def _rows_a_batch(n_columns):
    return max(1, _BATCH_ELEMENTS // n_columns)
