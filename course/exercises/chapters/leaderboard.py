"""Exercises of 13_leaderboard: a Pareto front, many claims, an order that flips, luck at the top, machines."""

import itertools
import math

import numpy as np
from scipy import stats

from lib import significance

from ..kinds import Construction, Function, Prediction, Value

# 1. the Pareto front


def _tables(rng):
    cases = [(np.array([0.5, 0.6, 0.6, 0.4]), np.array([2.0, 3.0, 5.0, 2.0]))]
    for n in (5, 8, 12):
        quality, ms = rng.integers(3, 9, n) / 10, rng.integers(1, 7, n) * 1.0
        cases.append((quality, ms))
    return tuple(cases)


def _front(quality, ms):
    """From the fastest on, whatever is better than all that are faster, or equals the best of them in both."""
    best, keep = -np.inf, np.zeros(len(ms), bool)
    for time in np.unique(ms):
        at = ms == time
        top = quality[at].max()
        if top > best:
            keep |= at & (quality == top)
            best = top
    return keep


def _dominated(quality, ms, worse, slower):
    others = ~np.eye(len(ms), dtype=bool)
    return (others & worse(quality[:, None], quality) & slower(ms[:, None], ms)).any(axis=1)


pareto_front = Function(
    title="the Pareto front",
    draw=_tables,
    right=_front,
    slips={
        "A method that is beaten in one and equalled in the other does not belong to the front.": (
            lambda quality, ms: ~_dominated(quality, ms, np.less, np.greater)
        ),
        "A method is not dominated by one that is equal to it in both: two equal ones may both be on the front.": (
            lambda quality, ms: ~_dominated(quality, ms, np.less_equal, np.greater_equal)
        ),
        "These are the methods that are dominated: invert the array.": lambda quality, ms: ~_front(quality, ms),
        "You look for slow ones: few milliseconds are good, a high mAP is good.": lambda quality, ms: _front(
            quality, -ms
        ),
    },
)

# 2. Holm's correction


def _p_values(rng):
    drawn = [np.round(rng.uniform(0, 0.2, n) ** 1.5 + 0.0005, 4) for n in (5, 8)]
    return tuple((p,) for p in (np.array([0.01, 0.04, 0.03]), *drawn, np.array([0.5, 0.9, 0.6])))


def _unsorted(p):
    order = np.argsort(p, kind="stable")
    raw = np.empty_like(p)
    raw[order] = np.minimum(p[order] * np.arange(len(p), 0, -1), 1)
    return raw


holm = Function(
    title="many claims at once",
    draw=_p_values,
    right=significance.holm,
    slips={
        "That is Bonferroni's correction: every p-value times the number of claims. Holm's factor falls "
        "by one each time.": (lambda p: np.minimum(p * len(p), 1)),
        "A corrected p-value may not be below that of a smaller one: take the running maximum.": _unsorted,
        "You return the corrected values sorted; put them back into the order of the claims.": (
            lambda p: np.sort(significance.holm(p))
        ),
        "That controls the false discovery rate (Benjamini and Hochberg), which is another promise.": (
            stats.false_discovery_control
        ),
    },
    tolerance=1e-6,
)

# 3. where the order flips


def _two_scores(rng):
    first = rng.permutation(12) / 20 + 0.2
    return first.round(3), np.argsort(np.argsort(first + rng.normal(0, 0.15, 12))) / 25 + 0.1


def _n_opposed(a, b):
    n = len(a) * (len(a) - 1) / 2
    return round((1 - stats.kendalltau(a, b).statistic) / 2 * n)


order_flips = Value(
    title="pairs of methods that change places",
    draw=_two_scores,
    right=_n_opposed,
    expected="a whole number from 0 to 66, the number of pairs of 12 methods",
    slips={
        "You count every pair twice, as (i, j) and as (j, i).": lambda a, b: 2 * _n_opposed(a, b),
        "These are the pairs on which the two scores agree.": lambda a, b: 66 - _n_opposed(a, b),
        "You count methods whose rank changes. Count pairs that are ordered in opposite ways.": (
            lambda a, b: int((np.argsort(np.argsort(a)) != np.argsort(np.argsort(b))).sum())
        ),
    },
    tolerance=1e-6,
)

# 4. luck at the top

luck = Prediction(
    title="the best of twenty, measured again",
    options=("lower", "about the same", "higher"),
    moral="The winner was chosen for a high score, and part of that was luck, which does not come twice. "
    "Choose on one set of "
    "queries and report on another; and before you announce a winner, test it against the second in pairs.",
)

# 5. machines


def _requirements(rng):
    n = int(rng.integers(2, 20)) * 100_000_000
    return n, int(rng.choice([256, 384, 512, 768])), int(rng.integers(2, 4)), int(rng.choice([64, 128])), 0.7


def _machines(n, width, copies, gigabytes, usable):
    return math.ceil(n * width * 4 * copies / (gigabytes * 1e9 * usable))


machines = Value(
    title="how many machines?",
    draw=_requirements,
    right=_machines,
    expected="a whole number of machines",
    slips={
        "The copies are missing: with replication every row is held more than once.": (
            lambda n, width, copies, gigabytes, usable: _machines(n, width, 1, gigabytes, usable)
        ),
        "A float32 has four bytes, not eight.": (
            lambda n, width, copies, gigabytes, usable: _machines(2 * n, width, copies, gigabytes, usable)
        ),
        "Not all of a machine's memory is free for rows: only the usable share counts.": (
            lambda n, width, copies, gigabytes, usable: _machines(n, width, copies, gigabytes, 1.0)
        ),
        "Round up: a part of a machine cannot be rented, and what does not fit is lost.": (
            lambda n, width, copies, gigabytes, usable: math.floor(n * width * 4 * copies / (gigabytes * 1e9 * usable))
        ),
    },
    tolerance=1e-9,
)

# 6. two notions of relevance, two winners

COLUMNS = ("class", "colour", "pattern")


def _agreements(rng):
    """For each method, of each of its five answers: does it agree with the query in class, colour, pattern?"""
    while True:
        a = rng.random((5, 3)) < [0.8, 0.4, 0.4]
        b = rng.random((5, 3)) < [0.4, 0.7, 0.5]
        leads = [_precision(a, some) - _precision(b, some) for some in _notions()]
        if max(leads) > 0 > min(leads):
            return a, b


def _notions():
    return [some for n in (1, 2, 3) for some in itertools.combinations(COLUMNS, n)]


def _precision(agrees, columns):
    return agrees[:, [COLUMNS.index(name) for name in columns]].all(axis=1).mean()


def _notions_problem(answer, a, b):
    try:
        for_a, for_b = (tuple([each] if isinstance(each, str) else each) for each in answer)
    except (TypeError, ValueError):
        return "Give two lists of columns."
    for names in (for_a, for_b):
        if not names or not set(names) <= set(COLUMNS):
            return "Each list holds one or more of 'class', 'colour' and 'pattern'."
    if _precision(a, for_a) <= _precision(b, for_a):
        return "By the first notion A does not win."
    if _precision(b, for_b) <= _precision(a, for_b):
        return "By the second notion B does not win."
    return None


notions = Construction(
    title="two notions of relevance, two winners",
    draw=_agreements,
    expected="two lists of columns: where all of the first must agree A wins, where all of the second must "
    "agree B wins",
    problem=_notions_problem,
    slips={
        "Give two lists of columns.": lambda a, b: 3,
        "Each list holds one or more of 'class', 'colour' and 'pattern'.": lambda a, b: (["shape"], ["class"]),
        "By the first notion A does not win.": lambda a, b: (
            [min(_notions(), key=lambda some: _precision(a, some) - _precision(b, some))] * 2
        ),
        "By the second notion B does not win.": lambda a, b: (
            [max(_notions(), key=lambda some: _precision(a, some) - _precision(b, some))] * 2
        ),
    },
    moral="No method wins as such: a leaderboard has to say what it counts as right.",
)

EXERCISES = (pareto_front, holm, order_flips, luck, machines, notions)
