"""Which gallery rows are nearest to a query? Exact or fast, behind one interface, and what each way costs.

An index has `fit(gallery)`, `search(queries, k) -> distances, neighbours`, `save(path)`, `load(path)` and `nbytes`.
distances are float32 (q, k), ascending: 1 - cosine, 0 to 2, by metric "cosine"; Euclidean, not squared, by "l2".
neighbours are int64 (q, k), k different gallery rows; equal distances go by lower row (in the approximate indexes:
among those found). FAISS uses all cores, or faiss.omp_set_num_threads; with several, two graphs of a gallery differ.

Needs numpy, faiss and scikit-learn (threadpoolctl comes with it). Copy with: vectors.py.
"""

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
from sklearn.neighbors import KDTree
from threadpoolctl import threadpool_limits

try:
    from lib import vectors
except ModuleNotFoundError:  # copied beside this file
    import vectors

METRICS = ("cosine", "l2")
_EPS = float(np.finfo(np.float32).eps)
_MAGIC = b"image retrieval index, version 1\n"


class _Index:
    """What all indexes have in common. Each defines how it is built (`_built`) and searched (`_nearest`)."""

    kind, metrics = "none", METRICS
    _index = None

    def __init__(self, metric="cosine", **settings):
        if metric not in self.metrics:
            raise ValueError(f"metric must be one of {', '.join(map(repr, self.metrics))}, got {metric!r}")
        self.metric, count = metric, vectors.checked_count
        self.settings = {name: None if value is None else count(value, name) for name, value in settings.items()}

    def fit(self, gallery):
        """Index the gallery (n, d), replacing an earlier one. Returns the index itself."""
        gallery = vectors.checked_embeddings(gallery, "gallery", self.metric)
        if len(gallery) == 0:
            raise ValueError("expected a gallery of 1 row or more, got 0")
        self._hold(self._built(gallery))
        return self

    def search(self, queries, k):
        """The k nearest gallery rows of each query: distances float32 (q, k), neighbours int64 (q, k)."""
        n, d = self._fitted()
        queries, squared_lengths = vectors.checked_with_lengths(queries, "queries", self.metric, n_columns=d)
        k, step = vectors.checked_k(k, n), vectors.rows_a_batch(max(d, k))
        found = [(np.empty((0, k), np.float32), np.empty((0, k), np.int64))] if len(queries) == 0 else []
        for i in range(0, len(queries), step):
            found.append(self._nearest(self._prepared(queries[i : i + step], squared_lengths[i : i + step]), k))
        return found[0] if len(found) == 1 else tuple(map(np.concatenate, zip(*found, strict=True)))

    def save(self, path):
        """Write the index to one file, whole or not at all: a header with a digest, then its contents. No pickle."""
        path, payload = Path(path), self._payload().tobytes()
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as place:
            with open(Path(place) / path.name, "wb") as file:
                file.write(_head(self._header(), payload))
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(file.name, path)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. ValueError if the file is damaged or holds another kind of index."""
        with open(path, "rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ValueError(f"{path}: not an index file (its first line is not {_MAGIC.decode().strip()!r})")
            digest, header_line, payload = file.readline().strip(), file.readline(), file.read()
        if digest != _digest(header_line, payload):
            cut = f"{len(payload)} bytes after its header"
            raise ValueError(f"{path}: damaged or cut short ({cut}), build the index again")
        header = json.loads(header_line)
        if header["kind"] != cls.kind:
            raise ValueError(f"{path}: expected an index of kind {cls.kind!r}, got {header['kind']!r}")
        index = cls(header["metric"], **header["settings"])
        index._hold(index._restored(np.frombuffer(payload, dtype=np.uint8), header))
        return index

    @property
    def nbytes(self):
        """Bytes of the file that `save` writes."""
        return len(_head(self._header(), b"")) + self._payload().nbytes

    def _hold(self, index):
        self._index, self._shape = index, (index.ntotal, index.d)

    @property
    def library_index(self):
        """What is searched, with its library's interface: an index of FAISS, for "kd-tree" a tree of scikit-learn."""
        return self._fitted() and self._index

    def _fitted(self):
        """(n, d) of the gallery."""
        if self._index is None:
            raise ValueError("the index is empty: call fit(gallery) first")
        return self._shape

    def _header(self):
        return {"kind": self.kind, "metric": self.metric, "settings": self.settings}

    def _payload(self):
        return faiss.serialize_index(self.library_index)

    def _restored(self, payload, header):
        return faiss.deserialize_index(payload)

    def _prepared(self, embeddings, squared_lengths=None):
        return vectors.unit_rows(embeddings, squared_lengths) if self.metric == "cosine" else embeddings

    def _add(self, index, gallery):
        """Add all rows, prepared in batches, so that no second copy of the whole gallery is made."""
        step = vectors.rows_a_batch(gallery.shape[1])
        for start in range(0, len(gallery), step):
            index.add(self._prepared(gallery[start : start + step]))
        return index

    def _from_squares(self, squares):
        """Distances of this metric from squared Euclidean ones: between unit rows 1 - cosine is half of them."""
        return squares / 2 if self.metric == "cosine" else np.sqrt(squares)


class _ExactIndex(_Index):
    """Misses no row. `_among` gives the k nearest of the `n_asked` found, and bool (b,): none outside can be nearer."""

    def _nearest(self, queries, k):
        # A search may leave out rows as near as its last. So ask for more until one is surely farther than the k-th.
        n, d = self._shape
        n_asked = min(k + 16, n)
        distances, neighbours, settled = self._among(queries, k, n_asked)
        while not settled.all():
            open_rows, n_asked = np.flatnonzero(~settled), min(4 * n_asked, n)
            step = vectors.rows_a_batch(max(d, n_asked))
            for rows in (open_rows[start : start + step] for start in range(0, len(open_rows), step)):
                distances[rows], neighbours[rows], settled[rows] = self._among(queries[rows], k, n_asked)
        return distances, neighbours


class FlatIndex(_ExactIndex):
    """Exact search: each query is compared with the whole gallery.
    >>> index = FlatIndex("l2").fit(np.array([[0, 0], [3, 4], [0, 0]], dtype=np.float32))
    >>> distances, neighbours = index.search(np.array([[0, 0]], dtype=np.float32), k=3)
    >>> distances.tolist(), neighbours.tolist()
    ([[0.0, 0.0, 5.0]], [[0, 2, 1]])
    """

    kind = "flat"

    def __init__(self, metric="cosine"):  # no settings
        super().__init__(metric)

    def _built(self, gallery):
        d = gallery.shape[1]
        return self._add(faiss.IndexFlatIP(d) if self.metric == "cosine" else faiss.IndexFlatL2(d), gallery)

    def _hold(self, index):
        rows = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)  # no copy
        super()._hold(index)
        self._longest = float(np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64).max()))

    def _among(self, queries, k, n_asked):
        index, (n, d) = self._index, self._shape
        approximate, candidates = vectors.search_flat(index, queries, n_asked)
        # FAISS may go through a matrix product, whose rounding depends on the place of a row: equal rows could differ.
        # Comparing pair by pair gives equal rows equal distances.
        raw, neighbours = vectors.nearest_among(index, queries, candidates, k, self.metric)
        distances = raw if self.metric == "cosine" else np.sqrt(raw)
        if n_asked == n:
            return distances, neighbours, np.ones(len(queries), dtype=bool)
        farthest = 1 - approximate[:, -1] if self.metric == "cosine" else approximate[:, -1]
        # the terms that were summed: products of unit rows, or squares and products of a query and a gallery row
        scale = 1 if self.metric == "cosine" else (np.linalg.norm(queries, axis=1) + self._longest) ** 2
        return distances, neighbours, raw[:, -1] < farthest - 4 * d**0.5 * _EPS * scale  # the last is the rounding


class KDTreeIndex(_ExactIndex):
    """Exact search by a tree: the gallery is halved again and again along its widest coordinate (Bentley 1975).

    From a leaf of about `leaf_size` rows on, every box is read that may hold a nearer row: few in 2 dimensions, nearly
    all in 50. One thread. The file holds the rows, from which `load` builds the larger tree again.
    >>> index = KDTreeIndex("l2").fit(np.array([[0, 0], [3, 4], [0, 0]], dtype=np.float32))
    >>> index.search(np.array([[0, 0]], dtype=np.float32), k=3)[1].tolist()
    [[0, 2, 1]]
    """

    kind = "kd-tree"

    def __init__(self, metric="cosine", leaf_size=40):
        super().__init__(metric, leaf_size=leaf_size)

    def _built(self, gallery):
        return KDTree(self._prepared(gallery), leaf_size=self.settings["leaf_size"])

    def _hold(self, index):
        self._index, self._shape = index, index.data.shape

    def _header(self):
        return {**super()._header(), "n_columns": self._fitted()[1]}

    def _payload(self):
        return np.asarray(self.library_index.data, dtype="<f4")  # they were float32 before the tree took them

    def _restored(self, payload, header):
        return KDTree(payload.view("<f4").reshape(-1, header["n_columns"]), leaf_size=self.settings["leaf_size"])

    def _among(self, queries, k, n_asked):
        distances, candidates = self._index.query(queries, n_asked)  # float64, pair by pair
        distances = self._from_squares(np.square(distances)).astype(np.float32)
        nearest, neighbours = vectors.ordered(distances, candidates, k)
        return nearest, neighbours, (nearest[:, -1] < distances[:, -1]) | (n_asked == self._shape[0])


class LSHIndex(_Index):
    """Locality-sensitive hashing: rows on the same side of most random planes are near (Charikar 2002).

    Each of `n_bits` planes through the origin (FAISS: nbits) gives a bit; the share of different bits estimates the
    angle, the distance is 1 - its cosine. Lengths are not seen. All codes are compared. Any row tied for last may come.
    >>> index = LSHIndex(n_bits=64).fit(np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32))
    >>> distances, neighbours = index.search(np.array([[2, 0]], dtype=np.float32), k=3)
    >>> neighbours.tolist(), float(distances[0, 0]), float(distances[0, 2])
    ([[0, 1, 2]], 0.0, 2.0)
    """

    kind, metrics = "lsh", ("cosine",)

    def __init__(self, metric="cosine", n_bits=256):
        super().__init__(metric, n_bits=n_bits)

    def _built(self, gallery):
        return self._add(faiss.IndexLSH(gallery.shape[1], self.settings["n_bits"], True, False), gallery)

    def _nearest(self, queries, k):
        n_different, candidates = self._index.search(queries, k)
        return _ties_ordered(1 - np.cos(np.pi * n_different / self.settings["n_bits"]), candidates)


class HNSWIndex(_Index):
    """A graph of neighbours (HNSW), walked greedily towards the query, long steps first (Malkov and Yashunin 2016).

    A row is linked to about `n_links` others (FAISS: M; lowest level: 2 M), found among `build_width` (efConstruction).
    A query keeps the best `search_width` (efSearch), at least k; where the graph yields fewer, all rows are compared.
    >>> index = HNSWIndex("l2").fit(np.array([[0, 0], [3, 4], [0, 0]], dtype=np.float32))
    >>> index.search(np.array([[0, 0]], dtype=np.float32), k=3)[0].tolist()
    [[0.0, 0.0, 5.0]]
    """

    kind = "hnsw"

    def __init__(self, metric="cosine", n_links=32, build_width=80, search_width=64):
        super().__init__(metric, n_links=n_links, build_width=build_width, search_width=search_width)

    def _built(self, gallery):
        index = faiss.IndexHNSWFlat(gallery.shape[1], self.settings["n_links"])
        index.hnsw.efConstruction = self.settings["build_width"]
        return self._add(index, gallery)

    def _hold(self, index):
        super()._hold(index)
        self._graph = index.hnsw  # asked for once, for each asking makes a new object

    def _nearest(self, queries, k):
        self._graph.efSearch = self.settings["search_width"]
        squares, candidates = self._index.search(queries, k)
        if candidates.min() < 0:
            lost = candidates[:, -1] < 0
            squares[lost], candidates[lost] = self._index.storage.search(queries[lost], k)
        return _ties_ordered(self._from_squares(squares), candidates)


class IVFPQIndex(_Index):
    """Inverted lists of product-quantised rows: few lists are read, a few bytes a row (Jegou, Douze, Schmid 2011).

    A row goes into the list of the nearest of `n_lists` k-means centres (FAISS: nlist; default 4 sqrt(n), but 39 or
    more rows a list). Its difference to the centre is cut into `n_bytes` parts (M; default: the most of 4 or more
    coordinates), each stored as the nearest of 256 typical parts. A query reads `n_probe` lists (nprobe), more where
    they hold fewer than k rows. The gallery needs 256 rows or more.
    """

    kind = "ivf-pq"

    def __init__(self, metric="cosine", n_lists=None, n_bytes=None, n_probe=16):
        super().__init__(metric, n_lists=n_lists, n_bytes=n_bytes, n_probe=n_probe)

    def _built(self, gallery):
        n, d = gallery.shape
        n_lists, n_bytes = self.settings["n_lists"], self.settings["n_bytes"]
        n_lists = max(1, min(int(4 * n**0.5), n // 39)) if n_lists is None else n_lists
        n_bytes = max(m for m in range(1, max(1, d // 4) + 1) if d % m == 0) if n_bytes is None else n_bytes
        if d % n_bytes:
            raise ValueError(f"n_bytes must divide the dimension {d}, got {n_bytes}")
        if n < max(n_lists, 256):
            raise ValueError(f"expected a gallery of {max(n_lists, 256)} rows or more, one a centre, got {n}")
        index = faiss.IndexIVFPQ(faiss.IndexFlatL2(d), d, n_lists, n_bytes, 8)
        for clustering in (index.cp, index.pq.cp):
            clustering.min_points_per_centroid = 1  # said above instead of on the error stream
        n_train = min(n, 256 * max(n_lists, 256))  # as many as k-means would look at
        index.train(self._prepared(gallery[np.random.default_rng(0).permutation(n)[:n_train]]))
        return self._add(index, gallery)

    def _nearest(self, queries, k):
        index, n_probe = self._index, min(self.settings["n_probe"], self._index.nlist)
        squares = np.empty((len(queries), k), dtype=np.float32)
        candidates = np.full((len(queries), k), -1, dtype=np.int64)
        while len(short := np.flatnonzero(candidates[:, -1] < 0)):
            index.nprobe = n_probe
            squares[short], candidates[short] = index.search(queries[short], k)
            n_probe = min(2 * n_probe, index.nlist)
        return _ties_ordered(self._from_squares(np.maximum(squares, 0)), candidates)


KINDS = {index.kind: index for index in (FlatIndex, KDTreeIndex, LSHIndex, HNSWIndex, IVFPQIndex)}


def recall_of_neighbours(found, exact):
    """The share of the exact neighbours (q, k) that are among those found (q, k), in any order: float64 (q,).
    >>> recall_of_neighbours([[3, 1, 7, 0]], [[1, 2, 3, 4]]).tolist()  # 1 and 3 of four
    [0.5]
    """
    found, exact = np.asarray(found), np.asarray(exact)
    if found.ndim != 2 or found.shape != exact.shape or found.shape[1] == 0:
        raise ValueError(f"expected found and exact of one shape (q, k), got {found.shape} and {exact.shape}")
    both = np.sort(np.concatenate([found, exact], axis=1), axis=1)  # each row once in either: a pair is in both
    return (both[:, 1:] == both[:, :-1]).sum(axis=1) / found.shape[1]


def benchmark(index, gallery, queries, k, exact=None, threads=1, n_single=100, n_rounds=5, clock=time.perf_counter):
    """Fit the index, search it, and measure what that costs: a dict, one row of a table.

    build_s: seconds of `fit`; index_bytes: `nbytes`; recall: mean share found of the `exact` neighbours (q, k), by
    default a FlatIndex's. single_ms: milliseconds of one query, the median of `n_single` warm searches; batch_ms: the
    same a query when all are searched together, in `n_rounds`. Libraries are held to `threads` threads. With one, the
    clock time.process_time ignores other programs; the default does not.
    >>> rows = np.eye(3, dtype=np.float32)
    >>> costs = benchmark(FlatIndex(), rows, rows, k=2, n_single=3)
    >>> costs["recall"], costs["threads"], costs["single_ms"] > 0
    (1.0, 1, True)
    """
    n_single, n_rounds = vectors.checked_count(n_single, "n_single"), vectors.checked_count(n_rounds, "n_rounds")
    if len(queries) == 0:
        raise ValueError("expected 1 query or more, got 0")
    if exact is None:
        exact = FlatIndex(index.metric).fit(gallery).search(queries, k)[1]
    with threadpool_limits(vectors.checked_count(threads, "threads")):
        build_s, _ = _timed(clock, index.fit, gallery)
        found = index.search(queries, k)[1]
        batches = [_timed(clock, index.search, queries, k)[0] for _ in range(n_rounds)]
        ones = [np.ascontiguousarray(queries[i : i + 1]) for i in np.arange(n_single) % len(queries)]
        index.search(ones[0], k)
        singles = [_timed(clock, index.search, one, k)[0] for one in ones]
    return {
        "kind": index.kind, "metric": index.metric, "n": len(gallery), "d": np.shape(gallery)[1], "k": k,
        "n_queries": len(queries), "threads": threads, "build_s": build_s, "index_bytes": index.nbytes,
        "single_ms": 1000 * float(np.median(singles)), "batch_ms": 1000 * float(np.median(batches)) / len(queries),
        "recall": float(recall_of_neighbours(found, exact).mean()),
    }  # fmt: skip


def seconds_in_turns(searches, n_rounds, clock=time.process_time):
    """Seconds of each of `searches` (no arguments), in turns: float64 (n_rounds, n_searches), one thread, warmed up."""
    with threadpool_limits(1):
        rounds = [[_timed(clock, search)[0] for search in searches] for _ in range(n_rounds + 1)]
    return np.array(rounds[1:])


def search_leave_self_out(embeddings, k, rows=None, metric="cosine"):
    """The k nearest other rows, of every row or of `rows`: distances float32 (q, k), neighbours int64 (q, k).

    The gallery is all of embeddings (n, d). A query is never its own answer; a copy of it at another row is.
    >>> points = np.array([[0.0], [1.0], [3.0]], dtype=np.float32)
    >>> search_leave_self_out(points, k=2, metric="l2")[1].tolist()
    [[1, 2], [0, 2], [1, 0]]
    """
    embeddings = vectors.checked_embeddings(embeddings, "embeddings", metric)
    n = len(embeddings)
    rows = np.arange(n) if rows is None else np.asarray(rows)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise ValueError(f"expected rows as integers (q,), got {rows.dtype} {rows.shape}")
    rows = rows.astype(np.int64)
    if rows.size and (rows.min() < 0 or rows.max() >= n):
        raise ValueError(f"rows must be from 0 to {n - 1}, got {rows.min()} to {rows.max()}")
    k = vectors.checked_k(k, n - 1, "the gallery without the query")
    distances, neighbours = FlatIndex(metric).fit(embeddings).search(embeddings[rows], k + 1)
    others = neighbours != rows[:, None]  # (q, k + 1)
    others[others.all(axis=1), -1] = False  # its copies in lower rows came first: drop the last instead
    return distances[others].reshape(-1, k), neighbours[others].reshape(-1, k)


def _head(header, payload):
    line = json.dumps(header, sort_keys=True).encode() + b"\n"
    return _MAGIC + _digest(line, payload) + b"\n" + line


def _digest(line, payload):
    digest = hashlib.sha256(line)
    digest.update(payload)
    return digest.hexdigest().encode()


def _ties_ordered(distances, candidates):
    """The same, of distances that ascend already: only where some are equal, their candidates are put in order."""
    n, k = distances.shape  # one query in plain Python: a search drives numpy's code out of the processor's cache
    if len(set(distances[0].tolist())) == k if n == 1 else (distances[:, 1:] > distances[:, :-1]).all():
        return distances, candidates
    return vectors.ordered(distances, candidates, k)


def _timed(clock, act, *arguments):
    start = clock()
    result = act(*arguments)
    return clock() - start, result
