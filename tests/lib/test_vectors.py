"""vectors: what was expected and what came, lengths of 1, and ties by lower row. Searches with it: test_indexes."""

import faiss
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lib import vectors


def test_embeddings_come_back_as_they_are_or_as_contiguous_float32():
    rows = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    assert vectors.checked_embeddings(rows, "rows", "cosine") is rows
    for other in (rows.astype(np.float64), rows.astype(np.float16), np.asfortranarray(rows), rows.tolist()):
        checked = vectors.checked_embeddings(other, "rows", "cosine")
        assert checked.dtype == np.float32 and checked.flags.c_contiguous
        assert_array_equal(checked, rows)


@pytest.mark.parametrize(
    ("rows", "metric", "message"),
    [
        (np.ones(3, np.float32), "cosine", r"expected rows of shape \(n, d\), got \(3,\)"),
        (np.ones((2, 3), int), "cosine", "expected rows as float32 .*, got int64"),
        (np.ones((2, 4), np.float32), "cosine", "expected rows of 3 dimensions, as the gallery's, got 4"),
        ([[1.0, 2, 3], [np.nan, 0, 0]], "l2", "rows has 1 of 2 rows with NaN or infinite values, the first is row 1"),
        ([[1e300, 2, 3]], "cosine", "rows has 1 of 1 rows with NaN or infinite values"),
        (
            [[1.0, 2, 3], [0, 0, 0]],
            "cosine",
            "1 of 2 rows of zeros, which have no direction .cosine., .* row 1",
        ),
        ([[1e19, 2, 3]], "l2", "rows has 1 of 1 rows too long for float32 squares"),
    ],
)
def test_what_is_wrong_with_embeddings_is_said(rows, metric, message):
    with pytest.raises(ValueError, match=message):
        vectors.checked_embeddings(rows, "rows", metric, n_columns=3)


@pytest.mark.parametrize("k", [0, -1, 2.0, True, None, "3"])
def test_k_is_a_positive_integer(k):
    with pytest.raises(ValueError, match="k must be a positive integer, got"):
        vectors.checked_k(k, 5)


def test_k_is_at_most_the_gallery():
    assert vectors.checked_k(np.int64(5), 5) == 5
    with pytest.raises(ValueError, match="k must be at most 5, the rows of the gallery, got 6"):
        vectors.checked_k(6, 5)


def test_rows_have_length_1_with_known_lengths_or_without():
    rows = np.array([[3, 4], [0, -2]], np.float32)
    for lengths in (None, np.array([25.0, 4.0])):
        assert_allclose(vectors.unit_rows(rows, lengths), [[0.6, 0.8], [0, -1]], rtol=1e-7)


def test_ties_go_by_lower_candidate():
    distances, candidates = vectors.ordered(np.array([[2.0, 1, 1, 0]]), np.array([[4, 9, 3, 7]]), 3)
    assert_array_equal(candidates, [[7, 3, 9]])
    assert_array_equal(distances, [[0, 1, 1]])


@pytest.mark.parametrize(("n_queries", "by_products"), [(1, False), (3, False), (4, True), (300, True)])
def test_faiss_multiplies_matrices_from_four_queries_on_and_keeps_its_threshold(n_queries, by_products):
    usual = faiss.cvar.distance_compute_blas_threshold

    class Watched:
        def search(self, queries, n_asked):
            self.seen = faiss.cvar.distance_compute_blas_threshold
            raise RuntimeError("searched")

    index = Watched()
    with pytest.raises(RuntimeError, match="searched"):
        vectors.search_flat(index, np.zeros((n_queries, 2), np.float32), 1)
    assert index.seen == (1 if by_products else usual)
    assert faiss.cvar.distance_compute_blas_threshold == usual


@pytest.mark.parametrize(("metric", "make"), [("cosine", faiss.IndexFlatIP), ("l2", faiss.IndexFlatL2)])
def test_candidates_are_compared_with_an_array_as_with_an_index_that_holds_it(metric, make):
    rng = np.random.default_rng(0)
    rows, queries = (vectors.unit_rows(rng.standard_normal((n, 24), dtype=np.float32)) for n in (40, 6))
    rows[30:] = rows[:10]  # ties
    candidates = np.array([rng.permutation(40)[:25] for _ in queries])
    index = make(24)
    index.add(rows)
    distances, neighbours = vectors.nearest_among(rows, queries, candidates, 9, metric)
    by_index = vectors.nearest_among(index, queries, candidates, 9, metric)
    np.testing.assert_array_equal(by_index[0], distances)
    np.testing.assert_array_equal(by_index[1], neighbours)
    each = queries[:, None].astype(float)
    exact = 1 - (each * rows).sum(2) if metric == "cosine" else ((each - rows) ** 2).sum(2)  # (q, n)
    np.testing.assert_allclose(distances, np.take_along_axis(exact, neighbours, 1), atol=1e-6)
    np.testing.assert_allclose(distances, np.sort(np.take_along_axis(exact, candidates, 1), 1)[:, :9], atol=1e-6)
    of_equal = distances[:, 1:] == distances[:, :-1]
    assert of_equal.any() and (neighbours[:, 1:] > neighbours[:, :-1])[of_equal].all()


def test_an_enlarged_gallery_keeps_the_rows_given_and_the_mean_and_covariance_of_each_class():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 300)
    rows = (rng.normal(size=(600, 2)) @ [[2, 1], [0, 1]] + (labels == "b")[:, None] * 9).astype(np.float32)
    more, more_labels = vectors.enlarged(rows, labels, 40_000)
    assert_array_equal(more[:600], rows)
    assert_array_equal(more_labels[:600], labels)
    for name in "ab":
        new, given = more[600:][more_labels[600:] == name], rows[labels == name]
        assert_allclose(new.mean(axis=0), given.mean(axis=0), atol=0.05)
        assert_allclose(np.cov(new.T), np.cov(given.T), atol=0.15)


def test_an_enlarged_gallery_can_be_smaller_and_refuses_labels_that_do_not_fit():
    rows = np.eye(3, dtype=np.float32)
    assert_array_equal(vectors.enlarged(rows, [0, 1, 2], 2)[0], rows[:2])
    with pytest.raises(ValueError, match=r"one label a row and mix from 0 to 1, got 3 rows, 2 labels, mix 0.6"):
        vectors.enlarged(rows, [0, 1], 5)
    with pytest.raises(ValueError, match="n must be a positive integer, got 0"):
        vectors.enlarged(rows, [0, 1, 2], 0)
