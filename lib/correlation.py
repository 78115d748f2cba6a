"""Two views of the same items, such as captions and photos, and the directions they share: `CanonicalCorrelation`.

Needs numpy and scikit-learn. Copy this file alone.
"""

import numpy as np
from sklearn.cross_decomposition import PLSSVD
from sklearn.decomposition import PCA


class CanonicalCorrelation:
    """Directions of x and of y along which matching rows are most correlated (Hotelling, 1936).

    Each side is first reduced to its principal components, at most n_x and n_y of them (fewer if some have no
    variance), scaled to equal variance (whitened); the singular value decomposition of their cross-covariance then
    gives all shared directions at once. Each is multiplied by its correlation on the training rows, so that strongly
    shared ones weigh most in a cosine (Gong et al., 2014). With `whiten=False` it is partial least squares instead:
    directions of largest covariance, unweighted.

    ValueError for n_x, n_y, n_shared below 1, for x and y that do not match, and for rows that are all equal.
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(500, 1))
    >>> x, y = np.hstack([shared, rng.normal(size=(500, 2))]), np.hstack([rng.normal(size=(500, 1)), -3 * shared])
    >>> CanonicalCorrelation(n_shared=1).fit(x, y).correlations.round(3).tolist()
    [1.0]
    """

    def __init__(self, n_x=200, n_y=128, n_shared=64, whiten=True, seed=0):
        for name, value in {"n_x": n_x, "n_y": n_y, "n_shared": n_shared}.items():
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        self.n_x, self.n_y, self.n_shared, self.whiten, self.seed = n_x, n_y, n_shared, whiten, seed

    def fit(self, x, y):
        """x (n, d) and y (n, e), n >= 3, of which rows i match. Sets `correlations`, largest first."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 3:
            raise ValueError(f"x and y must be (n, d) and (n, e) with n >= 3, got {x.shape} and {y.shape}")
        self._x, self._y = self._main_directions(x, self.n_x, "x"), self._main_directions(y, self.n_y, "y")
        x, y = self._x(x), self._y(y)
        model = PLSSVD(min(self.n_shared, x.shape[1], y.shape[1]), scale=False).fit(x, y)
        self._to_shared_x, self._to_shared_y = model.x_weights_, model.y_weights_
        x, y = x @ self._to_shared_x, y @ self._to_shared_y
        self.correlations = (x * y).mean(axis=0) / (x.std(axis=0) * y.std(axis=0))
        self._weight = self.correlations if self.whiten else 1.0
        return self

    def transform_x(self, x):
        """Rows of the first view in the shared space: float32 (n, n_shared)."""
        return np.ascontiguousarray(self._x(np.asarray(x)) @ self._to_shared_x * self._weight, np.float32)

    def transform_y(self, y):
        """Rows of the second view in the shared space: float32 (n, n_shared)."""
        return np.ascontiguousarray(self._y(np.asarray(y)) @ self._to_shared_y * self._weight, np.float32)

    def _main_directions(self, rows, n, name):
        how = "covariance_eigh" if rows.shape[1] < min(len(rows), 5000) else "auto"  # of few columns: exact, and fast
        n = min(n, rows.shape[1], len(rows) - 1)
        pca = PCA(n, whiten=self.whiten, svd_solver=how, random_state=self.seed).fit(rows)
        n_directions = int((pca.explained_variance_ > 1e-9 * pca.explained_variance_[0]).sum())
        if not n_directions:
            raise ValueError(f"expected rows of {name} that differ, got {len(rows)} equal rows")
        return lambda some: pca.transform(some)[:, :n_directions]
