"""Is a difference real? Intervals, paired tests and verdicts for values measured query by query.

``values`` is float (q,), one value a query, or (seeds, q): one row for each time the model was trained. A query without
a value is NaN (under every seed), is left out of a mean, and is counted there. ``clusters`` (q,) names what each query
belongs to (its photo, its class): the queries of a cluster are not independent, so clusters are resampled whole.

For an interval, queries or whole clusters are drawn again with replacement (Efron, 1979). Seeds are too few for that:
their share is drawn from a normal distribution with their variance. The arms of the percentile interval are lengthened
to match t * SE, which keeps its skewness. SE adds up the variance between queries and that between seeds, less the part
counted in both (two-way random effects); t mixes Student's t for the queries and for the seeds, each by its share in
the variance (close to Cochran, 1964). 95 % intervals cover the truth in 93 to 97 % of simulated studies
(tests/lib/test_significance.py).

Needs numpy alone. Copy this file alone.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

BATCH_ELEMENTS = 4_000_000  # of a temporary array: 32 MB of float64


class QueryMean(NamedTuple):
    mean: float
    n_queries: int
    n_left_out: int


class Effect(NamedTuple):
    """A difference with its interval, the two-sided p-value against `margin`, and over how many queries it is."""

    mean: float
    low: float
    high: float
    p_value: float
    n: int
    margin: float = 0.0


class _Sample(NamedTuple):
    parts: list  # float (seeds, q) each; what is estimated is the sum of their means
    members: np.ndarray  # (q,) number of each query's cluster
    sizes: np.ndarray  # (c,)


class _Spread(NamedTuple):
    mean: float
    error: float  # standard error
    queries_df: float
    of_seeds: float = 0.0  # the variance of the mean between seeds
    seeds_share: float = 0.0  # of the variance of the mean, 0 to 1
    seeds_df: float = math.inf


def mean_over_queries(values):
    """The mean of the queries that have a value (NaN if none), how many they are, and how many (NaN) were left out.
    >>> mean_over_queries([0.25, 0.75, float("nan")])
    QueryMean(mean=0.5, n_queries=2, n_left_out=1)
    """
    values = _values(values, "values")
    kept = values[:, ~np.isnan(values[0])]
    n = kept.shape[1]
    return QueryMean(float(kept.mean()) if n else float("nan"), n, values.shape[1] - n)


def bootstrap_interval(values, clusters=None, level=0.95, seed=0, n_resamples=5000):
    """Between which two means does the true one lie, in `level` of all studies like this one? (low, high).

    Such a study has other queries and new seeds, not another gallery. (nan, nan) for one cluster. ValueError for none.
    >>> bootstrap_interval([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    return _interval(_sample([_values(values, "values")], clusters), level, seed, n_resamples)


def median_interval(values, clusters=None, level=0.95, seed=0, n_resamples=2000):
    """Between which two medians do `level` of the resampled sets of queries lie? (low, high), the percentile bootstrap.

    values (q,): NaN are left out, infinite ones allowed; the lower of two in the middle counts. ValueError for all NaN.
    >>> median_interval([3, 3, 3, np.inf], clusters=["a", "a", "b", "b"])
    (3.0, 3.0)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"values must have shape (queries,), got {values.shape}")
    members = _members(clusters, len(values))
    tail, n_resamples = _tail(level), _positive_int(n_resamples, "n_resamples")
    values, members = values[~np.isnan(values)], members[~np.isnan(values)]
    if len(values) == 0:
        raise ValueError("expected 1 or more queries with a value, got 0")
    order = np.argsort(values, kind="stable")
    names, cluster_of = np.unique(members[order], return_inverse=True)
    rng = np.random.default_rng(seed)
    medians = np.empty(n_resamples)
    for rows in _batches(n_resamples, len(values)):
        times_drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rows.stop - rows.start)
        so_far = np.cumsum(times_drawn[:, cluster_of], axis=1)  # (b, q), along the sorted values
        medians[rows] = values[order][np.argmax(2 * so_far >= so_far[:, -1:], axis=1)]
    low, high = np.quantile(medians, [tail, 1 - tail], method="nearest")
    return float(low), float(high)


def paired_difference(a, b, clusters=None, margin=0.0, paired_seeds=False, level=0.95, seed=0, n_resamples=5000):
    """How much better is a than b on the same queries? Effect(mean of a - b, low, high, p_value, n, margin).

    a, b (q,), which counts as fixed, or (seeds, q), with the queries in the same order. The seeds of the two sides are
    separate draws, even under the same numbers; with paired_seeds, row i of a belongs to row i of b (both trained on
    the same drawn split, say). NaN in both is left out; in one only: ValueError. The p-value is two-sided against
    `margin`; for a pair (low, high), against the end nearer to the mean. With seeds it is from the t statistic of the
    interval; without, from the sign-flip permutation test (Fisher, 1935): the share of sign patterns, of the distances
    of queries or clusters from the margin, whose mean lies at least as far from it; of all patterns if at most
    n_resamples, otherwise of as many drawn ones and the observed one. Here only + + + and - - - of 8 are as extreme.
    >>> paired_difference([0.9, 0.8, 0.7], [0.5, 0.4, 0.3]).p_value
    0.25
    """
    a, b = _values(a, "a"), _values(b, "b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a and b must be of the same queries, got {a.shape[1]} and {b.shape[1]}")
    unpaired = np.isnan(a[0]) != np.isnan(b[0])
    if unpaired.any():
        first = np.argmax(unpaired)
        raise ValueError(f"query {first} is the first of {unpaired.sum()} with a value in only one of a and b")
    if paired_seeds and len(a) != len(b):
        raise ValueError(f"paired_seeds needs as many seeds in a as in b, got {len(a)} and {len(b)}")
    sample = _sample([a - b] if paired_seeds or len(a) == len(b) == 1 else [a, -b], clusters)
    low, high = _interval(sample, level, seed, n_resamples)
    spread = _spread(sample)
    margin = _nearer_end(spread.mean, margin)
    if max(map(len, sample.parts)) == 1:
        whole = sum(part[0] for part in sample.parts) - margin
        p_value = _sign_flip(np.bincount(sample.members, weights=whole), seed, n_resamples)
    elif len(sample.sizes) == 1 or spread.mean == margin:
        p_value = 1.0
    else:
        distance = abs(spread.mean - margin)
        p_value = float(2 * np.interp(distance / spread.error, *_tails(spread), right=0.0)) if spread.error else 0.0
    return Effect(spread.mean, low, high, p_value, len(sample.members), margin)


def holm(p_values):
    """The p-values of several claims, corrected for their number (Holm, 1979): float64, in the same order.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none falls below one before it, none passes 1.
    The chance that any claim below alpha is false is then at most alpha. None and NaN are not counted and stay NaN.
    >>> holm([0.04, None, 0.01]).tolist()
    [0.04, nan, 0.02]
    """
    p_values = np.array([np.nan if p is None else p for p in p_values], dtype=np.float64)
    if p_values.ndim != 1:
        raise ValueError(f"p_values must be (m,), one a claim, got {p_values.shape}")
    known = np.flatnonzero(~np.isnan(p_values))
    bad = (p_values[known] < 0) | (p_values[known] > 1)
    if bad.any():
        raise ValueError(f"a p-value must lie between 0 and 1, got {p_values[known][bad][0]:g}")
    order, corrected = known[np.argsort(p_values[known], kind="stable")], p_values.copy()
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)), 1.0)
    return corrected


def p_value_against(effect, margin=0.0):
    """The two-sided p-value of an effect against `margin`; for a pair (low, high), against the end nearer to the mean:
    the larger of two one-sided tests of equivalence (Schuirmann, 1987), doubled, where the effect lies between them.

    An Effect's own p-value is taken where it is against this margin. Otherwise, and for (value, low, high) with a 95 %
    interval, it is from the normal approximation: the standard error is the interval's width over 2 * 1.96.
    >>> round(p_value_against((1.0, 0.0, 2.0)), 3)
    0.05
    """
    value, low, high, *_ = effect
    margin = _nearer_end(value, margin)
    if isinstance(effect, Effect) and effect.margin == margin:
        return effect.p_value
    if value == margin or not np.isfinite([low, high]).all():
        return 1.0
    error = (high - low) / (2 * NormalDist().inv_cdf(0.975))
    return 2 * NormalDist().cdf(-abs(value - margin) / error) if error > 0 else 0.0


def verdict(effect, above=None, below=None, within=None, alpha=0.05, p_value=None):
    """ "holds", "contradicted" or "undecided": is the effect above or below a margin, or within one?

    effect is an Effect, (value, low, high), or an exact number, such as a count, decided as it stands (within counts
    its ends in). A claim is decided where the p-value, or a corrected one (`holm`) given as p_value, is below alpha.
    >>> verdict((0.03, 0.01, 0.05), above=0.0), verdict((0.03, 0.01, 0.05), within=0.04), verdict(7, below=3)
    ('holds', 'undecided', 'contradicted')
    """
    relation, margin = the_relation(above, below, within)
    is_exact = np.ndim(effect) == 0
    value, *_ = (effect,) if is_exact else effect
    if not (np.isfinite(value) and 0 < alpha < 1):
        raise ValueError(f"an effect must be finite, and alpha between 0 and 1, got {value} and {alpha}")
    if not is_exact and not (p_value_against(effect, margin) if p_value is None else p_value) < alpha:
        return "undecided"
    if relation == "within":
        return "holds" if margin[0] <= value <= margin[1] else "contradicted"
    return "holds" if (value > margin if relation == "above" else value < margin) else "contradicted"


def the_relation(above=None, below=None, within=None):
    """The one of the three that is given, by name, and its margin: a float, or (low, high) for within."""
    every = {"above": above, "below": below, "within": within}
    given = {name: margin for name, margin in every.items() if margin is not None}
    if len(given) != 1:
        raise ValueError(f"expected one of above, below and within, got {', '.join(given) or 'none of them'}")
    [(name, margin)] = given.items()
    if name == "within":
        return name, _ends(margin)
    if np.ndim(margin) or not np.isfinite(margin):
        raise ValueError(f"{name} must be a finite number, got {margin!r}")
    return name, float(margin)


def _sample(parts, clusters):
    """Parts without the queries that have no value, and the clusters of those that have."""
    members = _members(clusters, parts[0].shape[1])
    known = ~np.isnan(parts[0][0])
    if not known.any():
        raise ValueError("expected 1 or more queries with a value, got 0")
    members = np.unique(members[known], return_inverse=True)[1]
    return _Sample([part[:, known] for part in parts], members, np.bincount(members))


def _spread(sample):
    """Mean, standard error and degrees of freedom: two-way random effects, clusters by linearisation."""
    n, n_clusters = len(sample.members), len(sample.sizes)
    scale = n_clusters / n

    def influence(rows):  # (rows, q) -> (rows, c): how far each cluster pulls the mean of its row
        sums = np.array([np.bincount(sample.members, weights=row) for row in rows])
        return scale * (sums - rows.mean() * sample.sizes)

    whole = sum(part.mean(axis=0) for part in sample.parts)  # (q,)
    mean = float(whole.mean())
    if n_clusters == 1:
        return _Spread(mean, math.nan, math.nan)
    of_queries = influence(whole[None])[0].var(ddof=1) / n_clusters
    of_seeds, in_both, per_df = 0.0, 0.0, 0.0
    for part in sample.parts:
        n_seeds = len(part)
        if n_seeds > 1:
            table = influence(part)  # (seeds, c)
            rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0)
            variance = table.mean(axis=1).var(ddof=1) / n_seeds
            of_seeds, per_df = of_seeds + variance, per_df + variance**2 / (n_seeds - 1)
            in_both += (rest**2).sum() / ((n_seeds - 1) * (n_clusters - 1) * n_seeds * n_clusters)
    error = math.sqrt(max(of_queries + of_seeds - in_both, of_queries, of_seeds))
    if per_df == 0:
        return _Spread(mean, error, n_clusters - 1)
    share = of_seeds / (of_seeds + of_queries)
    return _Spread(mean, error, n_clusters - 1, of_seeds, share, of_seeds**2 / per_df)  # df: Satterthwaite, 1946


def _interval(sample, level, seed, n_resamples):
    tail, n_resamples = _tail(level), _positive_int(n_resamples, "n_resamples")
    spread = _spread(sample)
    n_clusters = len(sample.sizes)
    if n_clusters == 1:
        return math.nan, math.nan
    whole = sum(part.mean(axis=0) for part in sample.parts)
    sums = np.bincount(sample.members, weights=whole)
    rng = np.random.default_rng(seed)
    means = np.empty(n_resamples)
    for rows in _batches(n_resamples, n_clusters):
        drawn = rng.integers(0, n_clusters, size=(rows.stop - rows.start, n_clusters), dtype=np.int32)
        means[rows] = sums[drawn].sum(axis=1) / sample.sizes[drawn].sum(axis=1)
    if spread.of_seeds > 0:
        means += rng.normal(0.0, math.sqrt(spread.of_seeds), n_resamples)
    drawn_error = means.std()
    if drawn_error <= 1e-12 * np.abs(whole).max():  # all values are alike
        return spread.mean, spread.mean
    t, tails = _tails(spread)
    longer = np.interp(-tail, -tails, t) * spread.error / (NormalDist().inv_cdf(1 - tail) * drawn_error)
    low, high = spread.mean + (np.quantile(means, [tail, 1 - tail]) - spread.mean) * longer
    return float(min(low, spread.mean)), float(max(high, spread.mean))


def _sign_flip(distances, seed, n_resamples):
    """Two-sided p-value for a sum of 0, the signs of the terms being free."""
    n = len(distances)
    observed = abs(distances.sum()) - 1e-12 * np.abs(distances).sum()  # equal but for rounding counts as equal
    try_all = n < 63 and 2**n <= n_resamples
    n_patterns = 2**n if try_all else n_resamples
    rng = np.random.default_rng([seed, 1])
    extreme = 0
    for rows in _batches(n_patterns, n):
        if try_all:
            flipped = (np.arange(rows.start, rows.stop)[:, None] >> np.arange(n)) & 1  # (b, n)
        else:
            random_bytes = rng.integers(0, 256, size=(rows.stop - rows.start, -(-n // 8)), dtype=np.uint8)
            flipped = np.unpackbits(random_bytes, axis=1, count=n)  # (b, n)
        extreme += int(np.sum(np.abs(distances.sum() - 2.0 * (flipped @ distances)) >= observed))
    return extreme / n_patterns if try_all else (extreme + 1) / (n_patterns + 1)


def _tails(spread):
    """Values of t from 0 up, and the upper tail of the reference distribution beyond each."""
    of_queries = _student_tails(spread.queries_df)
    if spread.seeds_share == 0:
        return of_queries
    of_seeds = _student_tails(spread.seeds_df)
    t = np.union1d(of_queries[0], of_seeds[0])
    seeds, queries = (np.interp(t, *each, right=0.0) for each in (of_seeds, of_queries))
    return t, spread.seeds_share * seeds + (1 - spread.seeds_share) * queries


def _student_tails(df):
    """The same for one Student's t. With t = sqrt(df) tan(angle) its density is that of cos(angle)^(df - 1)."""
    df = min(df, 1e6)
    top = math.pi / 2 if df < 40 else math.atan(40 / math.sqrt(df))
    angles = np.linspace(0.0, top, 2001)
    density = np.cos(angles) ** (df - 1)
    steps = (density[1:] + density[:-1]) / 2
    tails = np.append(np.cumsum(steps[::-1])[::-1], 0.0)  # summed from the far end: small ones keep their digits
    return math.sqrt(df) * np.tan(angles), tails / (2 * tails[0])


def _values(values, name):
    """float64 (seeds, q), NaN under all seeds or none."""
    try:
        values = np.asarray(values).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers, got {np.asarray(values).dtype}") from None
    if values.ndim not in (1, 2) or (values.ndim == 2 and len(values) == 0):
        raise ValueError(f"{name} must have shape (queries,) or (seeds, queries), got {values.shape}")
    values = np.atleast_2d(values)
    if np.isinf(values).any():
        raise ValueError(f"{name} must be finite or NaN, got {np.isinf(values).sum()} infinite values")
    uneven = np.isnan(values).any(axis=0) != np.isnan(values).all(axis=0)
    if uneven.any():
        raise ValueError(f"{name}: query {np.argmax(uneven)} has a value under some seeds only")
    return values


def _members(clusters, n_queries):
    if clusters is None:
        return np.arange(n_queries)
    clusters = np.asarray(clusters)
    if clusters.shape != (n_queries,):
        raise ValueError(f"clusters must have shape ({n_queries},), one for each query, got {clusters.shape}")
    if clusters.dtype == object:
        clusters = clusters.astype(str)
    return np.unique(clusters, return_inverse=True)[1]


def _ends(within):
    low, high = (-within, within) if np.ndim(within) == 0 else within
    if not low <= high or not np.isfinite([low, high]).all():
        raise ValueError(f"within must be a number from 0 or a pair (low, high), got {within!r}")
    return float(low), float(high)


def _nearer_end(value, margin):
    return min(_ends(margin) if np.ndim(margin) else [the_relation(above=margin)[1]], key=lambda end: abs(value - end))


def _tail(level):
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    return (1 - level) / 2


def _positive_int(value, name):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(value)


def _batches(n_rows, row_elements):
    step = max(1, BATCH_ELEMENTS // max(1, row_elements))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]
