"""Hubs: counts by hand, scipy's skewness, chance by simulation, and both corrections against a slow loop."""

import numpy as np
import pytest
from scipy import stats

from lib import hubness, indexes


def rows(n, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def cosines(a, b):
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a.astype(float), b.astype(float)))
    return a @ b.T


def with_a_hub(seed=0, d=32):
    """Queries and their answers, row by row, and as row 0 of the gallery the mean of all queries: near to each."""
    queries = rows(200, d, seed) + 1.0
    gallery = queries + 1.2 * rows(200, d, seed + 1)
    return queries, np.concatenate([queries.mean(axis=0, keepdims=True), gallery])


def search(queries, gallery, k, offsets=None):
    """The first k gallery rows by cosine less offset."""
    if offsets is None:
        return indexes.FlatIndex("cosine").fit(gallery).search(queries, k)[1]
    queries, gallery = hubness.lift(queries, gallery, offsets)
    return indexes.FlatIndex("l2").fit(gallery).search(queries, k)[1]


# ------------------------------------------------------------------------------------------------------------- counting


def test_counts_are_of_answers_and_sum_to_all_of_them():
    neighbours = np.array([[3, 1], [3, 0], [3, 1]])
    assert hubness.k_occurrence(neighbours, 5).tolist() == [1, 2, 0, 3, 0]


def test_an_even_search_has_no_skewness_and_leaves_nothing_out():
    found = hubness.hubness(np.array([[0], [1], [2]]), 3)
    assert (found.skewness, found.largest, found.never) == (0.0, 1, 0.0)


def test_the_skewness_is_that_of_scipy():
    neighbours = np.stack([np.random.default_rng(i).permutation(50)[:5] for i in range(80)])
    counts = hubness.k_occurrence(neighbours, 50)
    assert hubness.hubness(neighbours, 50).skewness == pytest.approx(stats.skew(counts), rel=1e-12)


def test_chance_is_the_skewness_of_a_binomial_and_of_a_random_search():
    rng = np.random.default_rng(0)
    q, k, n = 300, 4, 4000
    assert hubness.hubness(np.zeros((q, 1), int), n).chance == pytest.approx(float(stats.binom(q, 1 / n).stats("s")))
    measured = np.mean([hubness.hubness(np.argsort(rng.random((q, n)), axis=1)[:, :k], n).skewness for _ in range(4)])
    assert hubness.hubness(np.tile(np.arange(k), (q, 1)), n).chance == pytest.approx(measured, rel=0.05)


def test_a_search_that_returns_the_whole_gallery_has_no_hubs():
    assert hubness.hubness(np.tile(np.arange(4), (3, 1)), 4) == (0.0, 0.0, 3, 0.0)


@pytest.mark.parametrize(
    "neighbours, message",
    [
        ([[0, 5]], "must be rows 0 to 4, got 0 to 5"),
        ([[-1, 0]], "-1 to 0"),
        ([[1, 1]], "must be distinct, got 1 queries with repeats"),
        ([[0.0]], "must be integers .* got float64"),
        ([0, 1], r"got int64 \(2,\)"),
    ],
)
def test_answers_that_are_none_are_refused(neighbours, message):
    with pytest.raises(ValueError, match=message):
        hubness.k_occurrence(neighbours, 5)


# ----------------------------------------------------------------------------------------------------------- correction


def test_lifted_distances_are_those_of_the_formula():
    queries, gallery, offsets = rows(4), rows(9, seed=1), np.linspace(-0.3, 0.2, 9)
    lifted_queries, lifted_gallery = hubness.lift(queries, gallery, offsets)
    squares = ((lifted_queries[:, None] - lifted_gallery) ** 2).sum(axis=2)
    np.testing.assert_allclose(squares, 2 + 1 + 0.3**2 - 2 * (cosines(queries, gallery) - offsets), atol=1e-5)
    np.testing.assert_allclose((lifted_gallery**2).sum(axis=1), 1 + 0.3**2, atol=1e-5)
    assert lifted_queries.dtype == lifted_gallery.dtype == np.float32
    assert lifted_queries.flags.c_contiguous and lifted_gallery.flags.c_contiguous


def test_csls_ranks_as_its_formula_written_as_a_loop():
    queries, gallery, bank, k = rows(20), rows(60, seed=1), rows(40, seed=2), 5
    s, to_bank = cosines(queries, gallery), cosines(gallery, bank)
    expected = np.empty((20, 60), int)
    for i in range(20):
        r_query = np.sort(s[i])[-k:].mean()
        score = [2 * s[i, j] - r_query - np.sort(to_bank[j])[-k:].mean() for j in range(60)]
        expected[i] = np.argsort(-np.array(score), kind="stable")
    neighbours = search(queries, gallery, 60, hubness.csls_offsets(gallery, bank, k))
    np.testing.assert_array_equal(neighbours, expected)


def test_a_planted_hub_is_found_and_corrected():
    queries, gallery = with_a_hub()
    bank, _ = with_a_hub(seed=7)  # other queries of the same kind
    right = np.arange(1, 201)[:, None]
    before = search(queries, gallery, 1)
    after = search(queries, gallery, 1, hubness.csls_offsets(gallery, bank))
    assert hubness.hubness(before, 201).largest == (before == 0).sum() >= 50  # of 200
    assert (after == 0).sum() < (before == 0).sum() / 4
    assert hubness.hubness(after, 201).skewness < hubness.hubness(before, 201).skewness / 2
    assert (after == right).mean() > (before == right).mean()


def test_equal_offsets_change_no_rank():
    queries, gallery = rows(10), rows(40, seed=1)
    np.testing.assert_array_equal(search(queries, gallery, 40, np.full(40, 0.5)), search(queries, gallery, 40))


def test_the_length_of_a_row_and_the_size_of_a_batch_change_nothing(monkeypatch):
    queries, gallery, bank = rows(17), rows(33, seed=1), rows(21, seed=2)
    whole = [hubness.csls_offsets(gallery, bank)]
    whole += hubness.lift(queries, gallery, whole[0])
    monkeypatch.setattr(hubness, "_BATCH_ELEMENTS", 64)  # two rows at a time
    parts = [hubness.csls_offsets(3 * gallery, 0.1 * bank)]
    parts += hubness.lift(5 * queries, 2 * gallery, parts[0])
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)  # a root of a rounded 0 is not 0


def test_what_does_not_fit_is_refused():
    queries, gallery, bank = rows(3), rows(5, seed=1), rows(4, seed=2)
    with pytest.raises(ValueError, match=r"k must be an integer from 1 to 4 .* got 5"):
        hubness.csls_offsets(gallery, bank, 5)
    with pytest.raises(ValueError, match=r"offsets must be finite numbers \(5,\), .* got \(3,\)"):
        hubness.lift(queries, gallery, np.zeros(3))
    with pytest.raises(ValueError, match="expected rows of equal dimension, got 8 and 6"):
        hubness.csls_offsets(gallery, rows(5, d=6), 2)
    with pytest.raises(ValueError, match=r"gallery must have finite rows .* got 1 of .* first row 2"):
        hubness.lift(queries, np.where(np.arange(5)[:, None] == 2, 0, gallery), np.zeros(5))
