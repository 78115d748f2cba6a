import faiss
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from lib import vectors
from lib.matryoshka import Funnel, plan, shortlist_and_rerank, truncate


def funnel(gallery, queries, steps, k):
    return Funnel(steps).fit(gallery).search(queries, k)


def nested(seed, n, d=64):
    """Rows whose spread falls from the first coordinate to the last, as those of a nested embedding do."""
    return (np.random.default_rng(seed).normal(size=(n, d)) / np.sqrt(1 + np.arange(d))).astype(np.float32)


def signs(seed, n, d=16):
    """Rows of -1 and 1: the cosines of 4 and of 16 coordinates are exact, so ties are exact, and many."""
    return np.random.default_rng(seed).choice(np.float32([-1, 1]), size=(n, d))


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def by_hand(gallery, query, steps, k):
    """One query in plain float64: sort what is left by (distance, row), keep the first, go on."""
    rows = np.arange(len(gallery))
    for d, n_rows in [*steps, (gallery.shape[1], k)]:
        distances = 1 - unit(gallery[rows, :d]) @ unit(query[None, :d])[0]
        order = np.lexsort((rows, distances.round(9)))[:n_rows]
        rows, distances = rows[order], distances[order]
    return distances, rows


# --------------------------------------------------------------------------------------------------- truncate


def test_the_first_coordinates_are_scaled_to_length_1():
    cut = truncate([[3.0, 4.0, 12.0], [0.0, -2.0, 5.0]], 2)
    assert_allclose(cut, [[3 / 5, 4 / 5], [0, -2 / 2]], rtol=1e-7)
    assert cut.dtype == np.float32 and cut.flags.c_contiguous


def test_cutting_twice_is_cutting_once_and_leaves_the_argument():
    embeddings = nested(0, 20)
    before = embeddings.copy()
    assert_allclose(truncate(truncate(embeddings, 32), 8), truncate(embeddings, 8), atol=1e-7)
    assert_array_equal(embeddings, before)


def test_the_full_width_only_scales():
    embeddings = nested(0, 20)
    assert_allclose(truncate(embeddings, 64), unit(embeddings), atol=1e-7)


def test_what_cannot_be_cut_is_refused():
    embeddings = nested(0, 5, 8)
    with pytest.raises(ValueError, match="d must be at most 8, the dimensions of the embeddings, got 9"):
        truncate(embeddings, 9)
    for d in (0, 2.0, True):
        with pytest.raises(ValueError, match="must be a positive integer"):
            truncate(embeddings, d)
    embeddings[3, :2] = 0
    with pytest.raises(ValueError, match="the first 2 coordinates of row 3 are 0"):
        truncate(embeddings, 2)
    assert truncate(embeddings, 3).shape == (5, 3)
    embeddings[1, 7] = np.nan
    with pytest.raises(ValueError, match="1 of 5 rows with NaN or infinite values, the first is row 1"):
        truncate(embeddings, 2)
    with pytest.raises(ValueError, match="got int64"):
        truncate(np.ones((2, 2), np.int64), 1)


# ------------------------------------------------------------------------------------------ shortlist and funnel


@pytest.mark.parametrize("steps", [[(8, 50)], [(4, 80), (16, 30)], [(4, 300), (16, 100), (32, 12)], [(64, 12)]])
def test_search_equals_the_steps_by_hand(steps):
    gallery, queries = nested(0, 300), nested(1, 25)
    distances, neighbours = funnel(gallery, queries, steps, 12)
    for row, query in enumerate(queries):
        expected_distances, expected_rows = by_hand(gallery, query, steps, 12)
        assert_array_equal(neighbours[row], expected_rows)
        assert_allclose(distances[row], expected_distances, atol=1e-6)
    assert (distances.dtype, neighbours.dtype) == (np.float32, np.int64)


def test_a_shortlist_is_a_funnel_of_one_step():
    gallery, queries = nested(0, 200), nested(1, 9)
    one, other = shortlist_and_rerank(gallery, queries, 8, 40, 5), funnel(gallery, queries, [(8, 40)], 5)
    for found, expected in zip(one, other, strict=True):
        assert_array_equal(found, expected)


def test_it_equals_faiss_refining_an_index_that_cuts_its_rows():
    gallery, queries, k = truncate(nested(0, 300), 64), truncate(nested(1, 20), 64), 10
    cut = faiss.IndexPreTransform(faiss.NormalizationTransform(8), faiss.IndexFlatIP(8))
    cut.prepend_transform(faiss.RemapDimensionsTransform(64, 8, False))  # the first 8 of 64
    refined = faiss.IndexRefineFlat(cut)
    refined.add(gallery)
    refined.k_factor = 5
    cosines, expected = refined.search(queries, k)
    distances, neighbours = shortlist_and_rerank(gallery, queries, 8, 5 * k, k)
    assert_array_equal(neighbours, expected)
    assert_allclose(distances, 1 - cosines, atol=1e-6)


def test_a_shortlist_of_the_whole_gallery_or_by_all_coordinates_is_exact():
    gallery, queries = nested(0, 150), nested(1, 20)
    exact = np.argsort(1 - unit(queries) @ unit(gallery).T, axis=1)
    for shortlist_d, shortlist in ((1, 150), (64, 10)):
        assert_array_equal(shortlist_and_rerank(gallery, queries, shortlist_d, shortlist, 10)[1], exact[:, :10])


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_ties_go_by_lower_row_in_every_step(seed, n, n_steps):
    rng = np.random.default_rng(seed)
    gallery, queries = signs(seed, n)[rng.integers(0, n, n)], signs(seed + 1, 4)
    stays = np.sort(rng.integers(1, n + 1, n_steps))[::-1]
    steps = list(zip((1, 4, 16)[:n_steps], (int(rows) for rows in stays), strict=True))
    k = int(rng.integers(1, stays[-1] + 1))
    _, neighbours = funnel(gallery, queries, steps, k)
    assert_array_equal(neighbours, [by_hand(gallery, query, steps, k)[1] for query in queries])


def test_copies_that_do_not_all_fit_into_the_shortlist_get_in_by_lower_row():
    gallery = np.repeat(nested(0, 3, 37), 200, axis=0)  # each row 200 times
    nearest_copy = 200 * np.argmax(unit(nested(1, 6, 37)[:, :5]) @ unit(gallery[::200, :5]).T, axis=1)
    _, neighbours = shortlist_and_rerank(gallery, nested(1, 6, 37), 5, 30, 30)
    assert_array_equal(neighbours, nearest_copy[:, None] + np.arange(30))


def test_search_in_batches_equals_search_at_once(monkeypatch):
    gallery, queries = nested(0, 200), nested(1, 30)
    at_once = funnel(gallery, queries, [(8, 40), (16, 20)], 5)
    monkeypatch.setattr(vectors, "BATCH_ELEMENTS", 200)
    for found, expected in zip(funnel(gallery, queries, [(8, 40), (16, 20)], 5), at_once, strict=True):
        assert_array_equal(found, expected)


def test_a_fitted_funnel_answers_one_query_as_it_answers_all():
    gallery, queries = nested(0, 200), nested(1, 10)
    index = Funnel([(8, 30)]).fit(gallery)
    _, together = index.search(queries, 5)
    alone = [index.search(query[None], 5)[1][0] for query in queries]
    assert_array_equal(together, alone)
    assert index.search(queries[:0], 5)[1].shape == (0, 5)
    assert_array_equal(Funnel([(8, 30)]).fit(nested(2, 50)).fit(gallery).search(queries, 5)[1], together)


def test_a_fit_that_is_refused_leaves_the_gallery_that_was_there():
    rng = np.random.default_rng(3)
    gallery, queries = (rng.standard_normal((n, 8), dtype=np.float32) for n in (50, 4))
    index = Funnel([(2, 20), (4, 10)]).fit(gallery)
    before = index.search(queries, 5)
    without_direction = rng.standard_normal((90, 8), dtype=np.float32)
    without_direction[70, :2] = 0
    with pytest.raises(ValueError, match="the first 2 coordinates of row 70 are 0"):
        index.fit(without_direction)
    for found, wanted in zip(index.search(queries, 5), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_costs_by_hand():
    index = Funnel([(8, 30), (16, 10)]).fit(nested(0, 200))
    assert index.nbytes == 200 * 4 * (64 + 8 + 1)  # full rows, the first 8, and a length for the step of 16
    rows = np.random.default_rng(0).normal(size=(3000, 2048)).astype(np.float32)
    share = Funnel([(64, 20)], search_width=32).fit(rows).nbytes / rows.nbytes
    assert 1 + 32 / 2048 < share < 1.05  # 64 coordinates in half precision are 32 in single


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_a_graph_that_is_walked_as_wide_as_the_gallery_leaves_out_nothing(seed, n):
    gallery, queries, k = nested(seed, n), nested(seed + 1, 4), min(n, 5)
    index = Funnel([(8, n)], search_width=n).fit(gallery)
    distances, neighbours = index.search(queries, k)
    expected_distances, expected = funnel(gallery, queries, [(8, n)], k)
    assert_array_equal(neighbours, expected)
    assert_array_equal(distances, expected_distances)
    assert_array_equal(index.search(queries[:1], k)[1], expected[:1])


def test_a_graph_finds_most_of_what_comparing_all_rows_finds_and_more_with_a_wider_walk():
    gallery, queries = nested(0, 4000), nested(1, 100)
    exact = funnel(gallery, queries, [(16, 40)], 10)[1]
    index, recalls = Funnel([(16, 40)], search_width=1, n_links=4, build_width=8).fit(gallery), []
    for index.search_width in (1, 400):
        found = index.search(queries, 10)[1]
        recalls.append(np.mean([np.isin(*pair).mean() for pair in zip(found, exact, strict=True)]))
    assert recalls[1] > max(recalls[0], 0.9)


def test_rows_that_a_graph_does_not_reach_are_looked_for_by_comparing_all():
    gallery = np.repeat(nested(0, 1), 300, axis=0)  # copies: links among the first few, the rest cut off
    index = Funnel([(8, 250)], search_width=1, n_links=2).fit(gallery)
    neighbours = index.search(nested(1, 3), 250)[1]
    assert (np.sort(neighbours, axis=1)[:, 1:] > np.sort(neighbours, axis=1)[:, :-1]).all() and neighbours.min() >= 0


def test_lengths_do_not_matter():
    gallery, queries = nested(0, 100), nested(1, 10)
    scales = np.float32(2.0) ** np.random.default_rng(2).integers(-30, 30, (100, 1)).astype(np.float32)
    assert_array_equal(
        shortlist_and_rerank(gallery * scales, queries * 1e-20, 8, 20, 5)[1],
        shortlist_and_rerank(gallery, queries, 8, 20, 5)[1],
    )


def test_bad_input_is_refused():
    gallery, queries = nested(0, 50), nested(1, 5)
    index = Funnel([(8, 20)]).fit(gallery)
    with pytest.raises(ValueError, match="k must be at most 20, the rows of the shortlist, got 21"):
        index.search(queries, 21)
    with pytest.raises(ValueError, match="the shortlist must be at most 50 rows, the whole gallery, got 51"):
        shortlist_and_rerank(gallery, queries, 8, 51, 5)
    with pytest.raises(ValueError, match=r"d of a step must be at most 64, .* got 65"):
        shortlist_and_rerank(gallery, queries, 65, 20, 5)
    with pytest.raises(ValueError, match=r"expected queries of 64 dimensions, .* got 63"):
        index.search(queries[:, :63], 5)
    for k in (0, 1.0, True):
        with pytest.raises(ValueError, match="must be a positive integer"):
            index.search(queries, k)
    with pytest.raises(ValueError, match=r"expected steps of one .* got none"):
        Funnel([])
    for steps in ([(8, 20), (8, 10)], [(8, 20), (16, 30)]):
        with pytest.raises(ValueError, match=r"after the step \(8, 20\) expected"):
            Funnel(steps)
    for settings_of_graph in ({"search_width": 0}, {"search_width": 8, "n_links": 0}, {"build_width": 1.5}):
        with pytest.raises(ValueError, match="must be a positive integer"):
            Funnel([(8, 20)], **settings_of_graph)
    with pytest.raises(ValueError, match=r"call fit\(gallery\) first"):
        Funnel([(8, 20)]).search(queries, 5)
    with pytest.raises(ValueError, match="expected a gallery of 1 row or more, got 0"):
        Funnel([(8, 20)]).fit(gallery[:0])
    bad = queries.copy()
    bad[2, 60] = np.inf
    with pytest.raises(ValueError, match=r"queries has 1 of .* rows with NaN or infinite values, the first is row 2"):
        index.search(bad, 5)
    headless = gallery.copy()
    headless[7, :8] = 0
    with pytest.raises(ValueError, match="gallery: the first 8 coordinates of row 7 are 0"):
        index.fit(headless)


# ------------------------------------------------------------------------------------------------------------ plan

MEASURED = pd.DataFrame(
    [
        ("flat", 512, 0, 8.0, 200.0, 0.40),
        ("flat", 32, 0, 0.5, 13.0, 0.35),
        ("flat", 32, 200, 0.7, 213.0, 0.40),
        ("hnsw", 64, 0, 0.1, 60.0, 0.38),
        ("lsh", 512, 0, 0.2, 3.0, 0.30),
    ],
    columns=["structure", "dimensions", "shortlist", "ms", "megabytes", "mAP"],
)


@pytest.mark.parametrize(
    ("limits", "row", "reason"),
    [
        ({}, 2, "of 5 ways 5 fit, this one has the highest mAP"),  # 0.40 twice: the faster of them
        ({"wanted_map": 0.39}, 2, "of 5 ways 2 fit, this one is the fastest"),
        ({"megabytes": 100}, 3, "of 5 ways 3 fit, this one has the highest mAP"),
        ({"ms": 1, "megabytes": 20, "wanted_map": 0.3}, 4, "of 5 ways 2 fit, this one is the fastest"),
        ({"megabytes": 20, "wanted_map": 0.35}, 1, "of 5 ways 1 fits, this one is the fastest"),
        ({"ms": 0.1, "megabytes": 60, "wanted_map": 0.38}, 3, "1 fits"),  # a limit may be met exactly
    ],
)
def test_the_plan_keeps_every_limit_and_says_why(limits, row, reason):
    choice = plan(MEASURED, **limits)
    assert choice.fits and choice.row == MEASURED.to_dict("records")[row]
    assert reason in choice.why


def test_where_nothing_fits_the_plan_says_what_comes_nearest():
    choice = plan(MEASURED, ms=0.4, megabytes=250, wanted_map=0.40)
    # too slow by 20, 1.25 (and 0.40/0.35 in mAP), 1.75; mAP too low by 0.40/0.38 = 1.05, 0.40/0.30
    assert not choice.fits and choice.row["structure"] == "hnsw"
    assert choice.why == (
        "None of 5 ways fits. Nearest: hnsw at 64 dimensions: 0.1 ms (0.4 at most), 60 MB (250 at most), "
        "mAP 0.38 (0.4 at least); it misses mAP by a factor of 1.05."
    )


def test_a_way_that_finds_nothing_is_never_nearest_to_a_wanted_map():
    rows = [dict(structure="a", dimensions=8, shortlist=0, ms=1, megabytes=1, mAP=value) for value in (0.0, 0.01)]
    assert plan(rows, wanted_map=0.9).row["mAP"] == 0.01


def test_a_shortlist_is_named_in_the_reason():
    assert plan(MEASURED, wanted_map=0.39).why.startswith("flat at 32 dimensions, shortlist of 200: 0.7 ms, 213 MB")


def test_bad_tables_and_limits_are_refused():
    with pytest.raises(ValueError, match="the limit of ms must be a positive number or None, got 0"):
        plan(MEASURED, ms=0)
    with pytest.raises(ValueError, match="expected a table of 1 row or more, got 0"):
        plan(MEASURED[:0], ms=1)
    with pytest.raises(ValueError, match="row 0 of the table has no mAP, shortlist"):
        plan(MEASURED.drop(columns=["mAP", "shortlist"]), ms=1)
    with pytest.raises(ValueError, match=r"row 0 of the table must hold finite numbers from 0, got .*nan"):
        plan(MEASURED.assign(mAP=np.nan))
