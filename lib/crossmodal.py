"""Texts that search photos, judged the same way everywhere: which photos are searched, and what counts as found.

Ranks come from `relevance.match_ranks`. Needs numpy. Copy this file alone.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

KS = (1, 5, 10, 20)
COLUMNS = [*"method R@1 R@5 R@10 low high R@20 MRR".split(), "median rank", "R@10, new", "R@10, seen"]
COLUMNS += ["seen among first 10 of new", "fits@5"]  # of each table of methods, in this order


class Split(NamedTuple):
    train: np.ndarray  # int64, rows of the table, ascending; validation and test likewise
    validation: np.ndarray
    test: np.ndarray
    is_new: np.ndarray  # bool (n_test,): no photo of this combination is trained on or chosen on


def split_by_combination(combinations, n_train, n_validation, n_test, held_share=0.2, seed=0):
    """Photos to learn from, to choose on and to search: half of the last two of new combinations, half of seen ones.

    combinations (n,) names each photo's combination ("Shirts Red"). `held_share` of the combinations are for the test
    and half as many for validation; no photo of these is trained on. The other half of test and validation are photos
    of combinations that are trained on. n_train, n_validation, n_test: at most so many photos, drawn at random.
    >>> split = split_by_combination(np.repeat(list("abcdefghij"), 10), n_train=30, n_validation=6, n_test=20)
    >>> len(split.train), len(split.validation), len(split.test), int(split.is_new.sum())
    (30, 6, 20, 10)
    """
    combinations, rng = np.asarray(combinations), np.random.default_rng(seed)
    if combinations.ndim != 1 or not 0 < held_share <= 0.5:
        got = f"{combinations.shape}, {held_share}"
        raise ValueError(f"combinations must be (n,) and held_share above 0 and at most 0.5, got {got}")
    names = rng.permutation(np.unique(combinations))
    ends = np.cumsum([max(1, round(held_share * len(names))), max(1, round(held_share * len(names) / 2))])
    of_test, of_validation = names[: ends[0]], names[ends[0] : ends[1]]
    rows = rng.permutation(len(combinations))
    is_test, is_validation = np.isin(combinations[rows], of_test), np.isin(combinations[rows], of_validation)
    new_test, new_validation = rows[is_test][: n_test - n_test // 2], rows[is_validation][: -(-n_validation // 2)]
    seen_test, seen_validation, train, _ = np.split(
        rows[~is_test & ~is_validation], np.cumsum([n_test // 2, n_validation // 2, n_train]))  # fmt: skip
    if not len(train):
        raise ValueError(f"expected more than {n_test // 2 + n_validation // 2} photos of combinations not held out")
    validation, test = np.concatenate([new_validation, seen_validation]), np.sort(np.concatenate([new_test, seen_test]))
    return Split(np.sort(train), np.sort(validation), test, np.isin(combinations[test], of_test))


def split_as_given(splits, n_train, n_validation, n_test, seed=0):
    """The same from a column that says train, validation or test: every photo of the test counts as new."""
    splits, rng = np.asarray(splits), np.random.default_rng(seed)
    parts = []
    for name, n in (("train", n_train), ("validation", n_validation), ("test", n_test)):
        rows = np.flatnonzero(splits == name)
        if not len(rows):
            raise ValueError(f"expected a split called {name!r}, got {np.unique(splits).tolist()}")
        parts.append(np.sort(rng.permutation(rows)[:n]))
    return Split(*parts, np.ones(len(parts[2]), bool))


def recall_at(ranks, k):
    """1.0 where the right item is among the first k, else 0.0: (q,). With one right item this is Recall@k."""
    ranks = np.asarray(ranks, np.float64)
    if not (np.isfinite(ranks) & (ranks >= 1)).all():
        raise ValueError(f"ranks must be finite and at least 1, got {ranks.min():g} to {ranks.max():g}")
    return (ranks <= _checked(k)).astype(np.float64)


def evaluate(ranks, photos, is_new, nearest=None, is_fitting=None):
    """How a method is judged: ({measure: one value a query}, a row of the table: {column of COLUMNS: number}).

    ranks       (q,) or (seeds, q): of the right item, from 1. The row has means over seeds
    photos      int (q,): the photo that a query is, or belongs to
    is_new      bool (n,): the photos of combinations that training lacks, as in `Split`
    nearest     int (seeds, q, k): the photos found, best first, 10 if there are as many; None: photos are not searched
    is_fitting  bool (q, n), from `fits`; None: it is not known what queries say
    The measures are "R@10" and "right in the top 20", (seeds, q). Not in the row are the name of the method and the
    interval of R@10 (`low`, `high`), nor new and seen where all queries are one or the other.
    >>> measures, row = evaluate([1, 4, 30], photos=[0, 0, 1], is_new=[True, False])
    >>> measures["R@10"].tolist(), row["R@5"], row["median rank"], row["R@10, new"], row["R@10, seen"]
    ([[1.0, 1.0, 0.0]], 0.6666666666666666, 4.0, 1.0, 0.0)
    """
    ranks, is_new = np.atleast_2d(np.asarray(ranks, np.float64)), np.asarray(is_new)
    if is_new.ndim != 1 or is_new.dtype != bool:
        raise ValueError(f"is_new must be bool (n,), got {is_new.dtype} {is_new.shape}")
    new, hits = is_new[_rows(photos, ranks.shape[1:], len(is_new), "photos")], recall_at(ranks, 10)
    row = {f"R@{k}": recall_at(ranks, k).mean() for k in KS} | {"MRR": (1 / ranks).mean()}
    row["median rank"] = np.median(ranks, axis=1).mean()
    if has_both := 0 < new.sum() < len(new):
        row |= {"R@10, new": hits[:, new].mean(), "R@10, seen": hits[:, ~new].mean()}
    if nearest is not None:
        nearest = _rows(nearest, ranks.shape, len(is_new), "nearest", more=1)
        if has_both:
            row["seen among first 10 of new"] = (~is_new[nearest[:, new, :10]]).mean()
        if is_fitting is not None:
            is_fitting, shape = np.asarray(is_fitting), (len(new), len(is_new))
            if is_fitting.shape != shape or is_fitting.dtype != bool:
                raise ValueError(f"is_fitting must be bool {shape}, got {is_fitting.dtype} {is_fitting.shape}")
            row["fits@5"] = np.take_along_axis(is_fitting[None], nearest[:, :, :5], axis=2).mean()
    measures = {"R@10": hits, "right in the top 20": recall_at(ranks, 20)}
    return measures, {column: float(row[column]) for column in COLUMNS if column in row}


def read_phrases(folder):
    """What phrases say, from the `phrases.csv` of a collection: {phrase: (column, value)}, or {} without the file."""
    path = Path(folder) / "phrases.csv"
    if not path.is_file():
        return {}
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return {row["phrase"].lower(): (row["column"], row["value"]) for row in rows}


def said(texts, phrases):
    """What each text says: a list of {column: set of values}. The longest phrase is read, and read only once.
    >>> said(["An olive green cap."], {"olive green": ("colour", "Olive"), "green": ("colour", "Green")})
    [{'colour': {'Olive'}}]
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"expected a list of texts, got {texts!r:.80}")
    if not phrases:
        return [{} for _ in texts]
    longest_first = "|".join(map(re.escape, sorted(phrases, key=len, reverse=True)))
    pattern, found = re.compile(rf"(?<![\w-])(?:{longest_first})(?![\w-])"), [{} for _ in texts]
    for text, values in zip(texts, found, strict=True):
        for column, value in (phrases[phrase] for phrase in pattern.findall(text.lower())):
            values.setdefault(column, set()).add(value)
    return found


def fits(sayings, table, columns=None):
    """Which photos have all that is said (in `columns`): bool (q, n), from `said` and a table with a row a photo."""
    of_value = {}  # (column, value) -> bool (n,)
    result = np.ones((len(sayings), len(table)), bool)
    for i, values in enumerate(sayings):
        for name in ((c, v) for c in values if columns is None or c in columns for v in values[c]):
            if name not in of_value:
                if name[0] not in table:
                    raise ValueError(f"expected a column {name[0]!r} in the table of photos, got none")
                of_value[name] = np.asarray(table[name[0]]).astype(str) == name[1]
            result[i] &= of_value[name]
    return result


def ceilings(is_fitting, k):
    """A search that puts all that fits first, in any order: its share that fits and its R@k of the right photo, (q,).
    >>> [values.tolist() for values in ceilings(np.array([[True] * 4 + [False] * 6]), k=2)]  # 4 fit, the right one too
    [[1.0], [0.5]]
    """
    n_fitting, k = np.asarray(is_fitting).sum(axis=1), _checked(k)
    return np.minimum(n_fitting / k, 1.0), np.minimum(k / np.maximum(n_fitting, 1), 1.0)


def _rows(rows, shape, n, name, more=0):
    rows = np.asarray(rows)
    is_shaped = rows.size and rows.shape[: len(shape)] == shape and rows.ndim == len(shape) + more
    if not is_shaped or rows.dtype.kind not in "iu" or not 0 <= rows.min() <= rows.max() < n:
        raise ValueError(f"{name} must be rows 0 to {n - 1}, of shape {shape}, got {rows.dtype} {rows.shape}")
    return rows


def _checked(k):
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k must be a positive integer, got {k!r}")
    return k
