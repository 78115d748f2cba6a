"""Nested search in a vector database, Qdrant: the same lines in this process, on a server, and on many machines.

Every row is stored under two names: "first", its first coordinates, in memory with a graph (HNSW), and "all", on disk
without one. A search takes a shortlist by "first" and orders it by "all", both where the rows are (Qdrant's prefetch),
as `matryoshka.shortlist_and_rerank` does. What fails for want of a connection, or by the server's fault, is tried six
times in half a minute. Needs numpy, faiss, qdrant-client and tenacity. Copy with: vectors.py.
"""

import hashlib
import os

import numpy as np
import tenacity
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException

try:
    from lib import vectors
except ModuleNotFoundError:  # copied beside this file
    import vectors

REQUEST_NUMBERS = 500_000  # about 10 MB of JSON, of the 32 that a server accepts


def connect(url=None, folder=None):
    """A client of the server or cluster at `url` (default: $QDRANT_URL; key: $QDRANT_API_KEY). Without an address,
    of a store in this process, in `folder` or in memory: exact, and quick enough for some 20,000 rows.
    """
    if url := url or os.environ.get("QDRANT_URL"):
        return QdrantClient(url=url, api_key=os.environ.get("QDRANT_API_KEY") or None, timeout=60)
    return QdrantClient(path=str(folder)) if folder else QdrantClient(":memory:")


def create(client, name, first_d, width, n_shards=1, n_replicas=1):
    """Make the collection `name` for rows of `width` dimensions, shortlisted by the first `first_d`, unless there.

    n_shards, n_replicas: into how many parts the rows are cut, and how many machines keep each part; a row is written
    when most of these have it. ValueError for a collection that is there with other dimensions.
    """
    n_replicas = vectors.checked_count(n_replicas, "n_replicas")
    if vectors.checked_count(first_d, "first_d") > vectors.checked_count(width, "width"):
        raise ValueError(f"first_d must be at most {width}, the width of a row, got {first_d}")
    if not _insist(client.collection_exists, name):
        first, every = (models.VectorParams(size=d, distance=models.Distance.COSINE) for d in (first_d, width))
        every.on_disk, every.hnsw_config = True, models.HnswConfigDiff(m=0)  # rows are fetched, never searched
        spread = {"shard_number": vectors.checked_count(n_shards, "n_shards")}
        spread |= {"replication_factor": n_replicas, "write_consistency_factor": n_replicas // 2 + 1}
        _insist(client.create_collection, name, vectors_config={"first": first, "all": every}, **spread)
    if _dimensions(client, name) != (first_d, width):
        raise ValueError(f"expected {name!r} of {(first_d, width)} dimensions, it has {_dimensions(client, name)}")


def upload(client, name, embeddings, start=0):
    """Store rows (n, width) as the gallery's rows `start`, start + 1, ...; returns how many had to be sent.

    What is there and has not changed is not sent again: an upload that was killed goes on, and several machines can
    each upload a part of the gallery. ValueError for rows that are not finite or have no direction.
    """
    n_sent, dimensions = 0, _dimensions(client, name)
    for part in _parts(len(embeddings), dimensions):
        rows = _named(embeddings[part], f"embeddings from row {part.start}", dimensions)
        numbers = range(start + part.start, start + part.stop)
        digests = [hashlib.blake2b(row, digest_size=8).hexdigest() for row in rows["all"]]
        stored = _insist(client.retrieve, name, list(numbers), with_vectors=False)
        known = {(point.id, point.payload.get("digest")) for point in stored}
        new = [i for i, row in enumerate(zip(numbers, digests, strict=True)) if row not in known]
        if new:
            values = {each: array[new].tolist() for each, array in rows.items()}
            digests = [{"digest": digests[i]} for i in new]
            batch = models.Batch(ids=[numbers[i] for i in new], vectors=values, payloads=digests)
            _insist(client.upsert, name, batch, wait=True)
        n_sent += len(new)
    return n_sent


def search(client, name, queries, shortlist, k):
    """The k best, by all coordinates, of each shortlist: distances float32 (q, k), neighbours int64 (q, k). cosine.

    RuntimeError where fewer than k come back: too few rows, or a shard that no machine answers for.
    >>> client = QdrantClient(":memory:")
    >>> create(client, "doctest", first_d=1, width=3)
    >>> upload(client, "doctest", np.array([[3, 0, 4], [3, 4, 0], [-5, 0, 0]], dtype=np.float32))
    3
    >>> distances, neighbours = search(client, "doctest", np.array([[3, 4, 0]], dtype=np.float32), shortlist=2, k=2)
    >>> neighbours.tolist(), (25 * distances).round().tolist()  # cosines 25/25 and 9/25
    ([[1, 0]], [[0.0, 16.0]])
    """
    k = vectors.checked_k(k, vectors.checked_count(shortlist, "shortlist"), "the shortlist")
    dimensions = _dimensions(client, name)
    rows, pairs = _named(queries, "queries", dimensions), np.empty((len(queries), k, 2))
    for part in _parts(len(queries), dimensions):
        requests = []
        for first, query in zip(rows["first"][part].tolist(), rows["all"][part].tolist(), strict=True):
            prefetch = models.Prefetch(query=first, using="first", limit=shortlist)
            requests.append(models.QueryRequest(prefetch=prefetch, query=query, using="all", limit=k))
        for row, answer in enumerate(_insist(client.query_batch_points, name, requests), part.start):
            if len(answer.points) < k:
                raise RuntimeError(f"expected {k} answers to query {row}, got {len(answer.points)}")
            pairs[row] = [(1 - point.score, point.id) for point in answer.points]
    return vectors.ordered(np.float32(pairs[..., 0].clip(0)), pairs[..., 1].astype(np.int64), k)


def _dimensions(client, name):
    stored = _insist(client.get_collection, name).config.params.vectors
    return stored["first"].size, stored["all"].size


def _named(rows, name, dimensions):
    rows = vectors.checked_embeddings(rows, name, "cosine", n_columns=dimensions[1])
    first = vectors.checked_embeddings(rows[:, : dimensions[0]], f"first coordinates of {name}", "cosine")
    return {"first": first, "all": rows}


def _parts(n, dimensions):
    step = max(1, REQUEST_NUMBERS // sum(dimensions))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _may_pass(error):
    status = getattr(error, "status_code", 503)  # without one: no connection
    return isinstance(error, ApiException | ResourceExhaustedResponse) and (status == 429 or status >= 500)


_how = {"retry": tenacity.retry_if_exception(_may_pass), "wait": tenacity.wait_exponential(), "reraise": True}
_insist = tenacity.Retrying(stop=tenacity.stop_after_attempt(6), **_how)
