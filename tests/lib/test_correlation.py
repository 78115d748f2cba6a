"""correlation: the same as scikit-learn's slower ways, fair to any linear change of a view, blind to noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cross_decomposition import CCA, PLSCanonical

from lib.correlation import CanonicalCorrelation


def two_views(n=400, noise=(0.3, 1.0), seed=0):
    """Two shared directions, the first told better; both sides have loud directions of their own."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 2))
    told = shared + np.array(noise) * rng.normal(size=(n, 2))
    x = np.hstack([told, 9 * rng.normal(size=(n, 3))]) @ (np.eye(5) + 0.3 * rng.normal(size=(5, 5)))
    y = np.hstack([shared, 5 * rng.normal(size=(n, 2))]) @ (np.eye(4) + 0.3 * rng.normal(size=(4, 4))) + 7
    return x, y


def correlations(a, b):
    return [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(a.shape[1])]


def test_the_correlations_are_those_of_scikit_learn():
    x, y = two_views()
    model = CanonicalCorrelation(n_shared=2).fit(x, y)
    expected = CCA(2, max_iter=5000, tol=1e-10).fit(x, y).transform(x, y)
    assert_allclose(model.correlations, correlations(*expected), atol=1e-4)
    for ours, theirs in zip((model.transform_x(x), model.transform_y(y)), expected, strict=True):
        assert_allclose(np.abs(correlations(ours, theirs)), 1, atol=1e-3)


def test_without_whitening_the_first_direction_is_that_of_partial_least_squares():
    x, y = two_views()
    model = CanonicalCorrelation(n_shared=1, whiten=False).fit(x, y)
    expected = PLSCanonical(1, scale=False, tol=1e-12, max_iter=5000).fit(x, y).transform(x, y)
    assert_allclose(np.abs(correlations(model.transform_x(x), expected[0])), 1, atol=1e-4)
    assert_allclose(np.abs(correlations(model.transform_y(y), expected[1])), 1, atol=1e-4)


def test_each_shared_direction_has_the_variance_of_its_squared_correlation():
    x, y = two_views()
    model = CanonicalCorrelation(n_shared=2).fit(x, y)
    assert model.correlations[0] > model.correlations[1] > 0.5
    for rows in (model.transform_x(x), model.transform_y(y)):
        assert rows.dtype == np.float32 and rows.shape == (400, 2)
        assert_allclose(rows.var(axis=0, ddof=1), model.correlations**2, rtol=1e-4)


def test_a_linear_change_of_a_view_changes_nothing_with_whitening_and_something_without():
    x, y = two_views()
    change = np.random.default_rng(1).normal(size=(5, 5))
    for whiten in (True, False):
        before, after = (CanonicalCorrelation(n_shared=2, whiten=whiten).fit(rows, y) for rows in (x, 4 * x @ change))
        same = np.allclose(before.correlations, after.correlations, atol=1e-4)
        assert same == whiten


def test_what_belongs_together_is_found_among_new_rows():
    x, y = two_views(600, noise=(0.05, 0.05))
    model = CanonicalCorrelation(n_shared=2).fit(x[:500], y[:500])
    a, b = model.transform_x(x[500:]), model.transform_y(y[500:])
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    cosines = a @ b.T
    ranks = 1 + (cosines > np.diag(cosines)[:, None]).sum(axis=1)
    assert np.median(ranks) < 15  # chance: 50


def test_directions_without_variance_are_left_out():
    x, y = two_views()
    twice = np.hstack([x, x, np.ones((len(x), 2))])  # rank 5 of 12
    assert_allclose(
        CanonicalCorrelation(n_shared=2).fit(twice, y).correlations,
        CanonicalCorrelation(n_shared=2).fit(x, y).correlations,
        atol=1e-5,
    )


def test_a_fit_repeats_and_changes_no_argument():
    x, y = two_views()
    before = x.copy(), y.copy()
    first, second = (CanonicalCorrelation(n_x=3, seed=2).fit(x, y).transform_x(x) for _ in range(2))
    assert_array_equal(first, second)
    assert_array_equal(x, before[0])
    assert_array_equal(y, before[1])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: CanonicalCorrelation(n_shared=0), "n_shared must be a positive integer, got 0"),
        (lambda: CanonicalCorrelation().fit(np.ones((4, 2)), np.ones((5, 2))), r"got \(4, 2\) and \(5, 2\)"),
        (lambda: CanonicalCorrelation().fit(np.eye(4), np.ones((4, 2))), "expected rows of y that differ, got 4"),
        (lambda: CanonicalCorrelation().fit(np.full((4, 2), np.nan), np.eye(4)), "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(act, message):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        act()
