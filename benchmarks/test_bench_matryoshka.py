"""Shortlist by a few coordinates and re-rank by 2,048, against flat search: batches and single queries, one thread.

    pytest benchmarks/test_bench_matryoshka.py --benchmark-enable -s

100,000 rows of 2,048 coordinates whose spread falls as i^-0.75, as that of nested embeddings does; the queries are
drawn alike. Top 200 by the first 32, then the best 10. All times are medians of rounds in turns, warmed up, in one
process: its CPU time, which with one thread is that of the wall on a quiet machine. Flat is FAISS's IndexFlatIP over
the same rows, called without our checks; ours is timed with them. Takes about 4 GB of memory and some minutes.

The paper of the method (Kusupati et al. 2022) reports "up to 14 times" in wall-clock time, against graphs (HNSW), whose
work hardly grows with the gallery: a walk at 2,048 coordinates looks at some thousand rows, not at all of them. Flat
search reads every row, so there is more to save, and most for single queries: one query reads the whole gallery from
memory (0.8 GB against 13 MB), while a batch reads it once for many and is bound by arithmetic.

In batches both ways multiply matrices, which FAISS 1.15 by itself does not do for 256 queries of 32 coordinates: left
to its own threshold the shortlist takes 1.5 to 1.9 ms a query instead of 0.2, and the whole is 3 times flat, not 9.

A first step that compares all rows reads at least 13 MB a query. One that walks a graph (HNSW, M 32, efSearch 48) of 64
coordinates in half precision and leaves 40 rows reads some hundred of them: GRAPH below, held to 200 times flat at a
recall@10 of 0.95, and to 1.05 times the bytes of the rows.

Measured on an AMD EPYC of two cores, both busy with other work:

    single queries, all rows compared first    0.63 ms, 51 times flat (recall 1.000), 0.72 times IndexRefineFlat
    single queries, a graph first              0.138 ms, 236 times flat (recall 0.9605), 1.10 times its two raw calls
    batches of 256, all rows compared first    0.26 ms a query, 14.1 times flat, 1.96 times IndexRefineFlat

For single queries IndexRefineFlat stays ahead where all rows are compared: it is one call, while ours checks and scales
the query, looks for ties at the end of the shortlist and puts those of the answer in order, in Python whose own memory
the scan has just pushed out of the caches. Where that matters, let a graph go first: 4 times as fast as either.
"""

from statistics import median
from time import process_time

import faiss
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lib.indexes import recall_of_neighbours
from lib.matryoshka import Funnel, truncate

N, WIDTH, SHORTLIST_D, SHORTLIST, K = 100_000, 2048, 32, 200, 10
N_BATCH, N_SINGLE, ROUNDS = 256, 200, 3
GRAPH = {"steps": [(64, 40)], "search_width": 48}


@pytest.fixture(scope="module")
def searches():
    """The fitted funnel, a flat index of the whole rows, and the queries."""
    rng = np.random.default_rng(0)
    spread = np.arange(1, WIDTH + 1, dtype=np.float32) ** -0.75
    gallery = rng.standard_normal((N, WIDTH), dtype=np.float32)
    gallery *= spread
    queries = truncate(rng.standard_normal((N_BATCH, WIDTH), dtype=np.float32) * spread, WIDTH)
    with threadpool_limits(1):
        index = Funnel([(SHORTLIST_D, SHORTLIST)]).fit(gallery)
        flat = faiss.IndexFlatIP(WIDTH)
        for start in range(0, N, 10_000):
            flat.add(truncate(gallery[start : start + 10_000], WIDTH))
        yield index, flat, queries


def in_turns(*functions, rounds):
    """Median milliseconds of each, called one after the other, `rounds` times over; warmed up."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for function, spent in zip(functions, times, strict=True):
            start = process_time()
            function()
            spent.append(1000 * (process_time() - start))
    return [median(spent) for spent in times]


def one_after_another(search, queries):
    """A function that searches for the next query each time it is called."""
    place = iter(range(10**9))
    return lambda: search(np.ascontiguousarray(queries[[next(place) % len(queries)]]), K)


def test_batches_are_8_times_and_single_queries_many_times_as_fast_as_flat(benchmark, searches):
    index, flat, queries = searches
    recall = recall_of_neighbours(index.search(queries, K)[1], flat.search(queries, K)[1]).mean()
    batch = in_turns(lambda: index.search(queries, K), lambda: flat.search(queries, K), rounds=ROUNDS)
    # each for itself, as in a service that searches one index: after a flat search the caches would hold the wrong rows
    singles = [in_turns(one_after_another(each.search, queries), rounds=N_SINGLE)[0] for each in (index, flat)]
    benchmark.pedantic(index.search, args=(queries, K), rounds=1)
    work = N * WIDTH / (N * SHORTLIST_D + SHORTLIST * WIDTH)
    benchmark.extra_info.update(batch_ratio=batch[1] / batch[0], single_ratio=singles[1] / singles[0], recall=recall)
    print(
        f"\nbatches of {N_BATCH}: ours {batch[0] / N_BATCH:.2f} ms a query, flat {batch[1] / N_BATCH:.2f}: "
        f"{batch[1] / batch[0]:.1f} times; single queries: ours {singles[0]:.2f} ms, flat {singles[1]:.1f}: "
        f"{singles[1] / singles[0]:.0f} times; multiply-adds: {work:.0f} times fewer; recall@{K} "
        f"against flat {recall:.4f}"
    )
    assert recall >= 0.99
    assert batch[1] / batch[0] >= 8
    assert singles[1] / singles[0] >= 25


def test_a_graph_first_is_200_times_as_fast_as_flat_for_single_queries(benchmark, searches):
    """Beside it what our class adds to its two raw calls, the walk and the products with the rows that it leaves."""
    _, flat, queries = searches
    with threadpool_limits(1):
        gallery = faiss.rev_swig_ptr(flat.get_xb(), N * WIDTH).reshape(N, WIDTH)
        index = Funnel(**GRAPH).fit(gallery)
    (d, n_rows), firsts = index.steps[0], truncate(queries, index.steps[0][0])
    products, place = np.empty((1, n_rows), dtype=np.float32), iter(range(10**9))

    def raw_calls():
        i = next(place) % N_BATCH
        rows = index._first.search(firsts[i : i + 1], n_rows)[1]
        query, out, of = (faiss.swig_ptr(array) for array in (queries[i : i + 1], products, rows))
        flat.compute_distance_subset(1, query, n_rows, out, of)

    recall = recall_of_neighbours(index.search(queries, K)[1], flat.search(queries, K)[1]).mean()
    acts = one_after_another(index.search, queries), raw_calls, one_after_another(flat.search, queries)
    ours, raw, theirs = (in_turns(act, rounds=N_SINGLE)[0] for act in acts)  # each for itself, as above
    benchmark.pedantic(index.search, args=(queries[:1], K), rounds=20)
    size = index.nbytes / (4 * N * WIDTH)
    benchmark.extra_info.update(single_ratio=theirs / ours, over_raw=ours / raw, recall=recall, size=size)
    print(
        f"\ngraph of {d} coordinates, {n_rows} re-ranked: ours {ours:.3f} ms, raw calls {raw:.3f} ({ours / raw:.2f} "
        f"times), flat {theirs:.1f}: {theirs / ours:.0f} times; recall@{K} {recall:.4f}; "
        f"{size:.4f} times the rows' bytes"
    )
    assert recall >= 0.95
    assert size <= 1.05
    assert theirs / ours >= 200


def test_re_ranking_against_gather_and_einsum_and_index_refine_flat(benchmark, searches):
    """The order of a shortlist that is there, and the whole search. IndexRefineFlat does not check or order ties."""
    index, flat, queries = searches
    rows = np.ascontiguousarray(flat.search(queries, SHORTLIST)[1][:, ::-1])
    gallery = faiss.rev_swig_ptr(flat.get_xb(), N * WIDTH).reshape(N, WIDTH)

    def ours():
        cosines = np.empty(rows.shape, dtype=np.float32)
        pointers = (faiss.swig_ptr(array) for array in (cosines, rows))
        flat.compute_distance_subset(len(queries), faiss.swig_ptr(queries), SHORTLIST, *pointers)
        return cosines

    def gather_and_einsum():
        parts = range(0, len(queries), 16)  # 16 x 200 rows are 26 MB
        return np.concatenate([np.einsum("qsd,qd->qs", gallery[rows[i : i + 16]], queries[i : i + 16]) for i in parts])

    np.testing.assert_allclose(ours(), gather_and_einsum(), atol=1e-5)
    cut = faiss.IndexPreTransform(faiss.NormalizationTransform(SHORTLIST_D), faiss.IndexFlatIP(SHORTLIST_D))
    cut.prepend_transform(faiss.RemapDimensionsTransform(WIDTH, SHORTLIST_D, False))
    refined = faiss.IndexRefineFlat(cut)
    refined.add(gallery)
    refined.k_factor = SHORTLIST / K
    same = recall_of_neighbours(refined.search(queries, K)[1], index.search(queries, K)[1]).mean()
    assert same > 0.999
    order = in_turns(ours, gather_and_einsum, rounds=ROUNDS)
    whole = in_turns(lambda: index.search(queries, K), lambda: refined.search(queries, K), rounds=ROUNDS)
    singles = [in_turns(one_after_another(each.search, queries), rounds=N_SINGLE)[0] for each in (index, refined)]
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info.update(einsum_ratio=order[1] / order[0], refine_ratio=whole[1] / whole[0])
    print(
        f"\nre-ranking {SHORTLIST} rows: ours {order[0] / N_BATCH:.3f} ms a query, gather and einsum "
        f"{order[1] / N_BATCH:.3f} ({order[1] / order[0]:.1f} times); the whole search against IndexRefineFlat: "
        f"batches {whole[0] / N_BATCH:.2f} and {whole[1] / N_BATCH:.2f} ms a query ({whole[1] / whole[0]:.2f} times), "
        f"single {singles[0]:.2f} and {singles[1]:.2f} ms ({singles[1] / singles[0]:.2f} times)"
    )
    assert order[1] / order[0] >= 1
