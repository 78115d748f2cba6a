"""What several chapters judge answers by: mAP that leaves out the query, and functions that improve embeddings."""

import numpy as np

from lib import relevance
from lib.indexes import search_leave_self_out

LEAK = "The rows of a query change with what else is searched. Take means and directions from the training rows alone."


def mean_ap(rows, labels, metric="cosine") -> float:
    """mAP of the whole ranking, each row a query for all others."""
    rows = np.ascontiguousarray(rows, np.float32)
    _, neighbours = search_leave_self_out(rows, len(rows) - 1, metric=metric)
    return float(np.nanmean(relevance.average_precision(neighbours, labels, labels, self_in_gallery=True)))


def rows_problem(map_rows, rows, n_columns=None):
    """What is wrong with a function of rows (n, d) that gives an embedding of each, or None: shape, numbers, a leak."""
    if not callable(map_rows):
        return "Hand in a function."
    found = map_rows(rows.copy())
    if found is None:
        return "Does your function return its result?"
    found = np.asarray(found, float)
    if found.ndim != 2 or len(found) != len(rows) or (n_columns and found.shape[1] != n_columns):
        width = f"{n_columns} numbers" if n_columns else "an embedding"
        return f"Expected {width} for each of {len(rows)} rows, got an array of shape {found.shape}."
    if not np.isfinite(found).all():
        return "The result has numbers that are not finite."
    few = np.asarray(map_rows(rows[:5].copy()), float)
    if few.shape != found[:5].shape or not np.allclose(few, found[:5], rtol=1e-3, atol=1e-6):
        return LEAK
    return None


def unit(rows):
    """Rows scaled to length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
