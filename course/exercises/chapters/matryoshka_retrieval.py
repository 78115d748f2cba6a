"""Exercises of 12_matryoshka_retrieval: cut, shortlist, cost, a second look that harms, a graded score, a plan."""

import numpy as np

from lib import matryoshka, metrics

from ..judging import unit
from ..kinds import Construction, Function, Prediction, Value

# 1. truncate


def _embeddings(rng):
    return tuple((rng.normal(size=(n, width)), d) for n, width, d in ((2, 4, 2), (5, 8, 3), (6, 16, 8)))


truncated = Function(
    title="the first d coordinates",
    draw=_embeddings,
    right=lambda embeddings, d: matryoshka.truncate(embeddings.astype(np.float32), d),
    slips={
        "The rows are not of length 1 after the cut.": lambda embeddings, d: embeddings[:, :d],
        "You scale before the cut, so the rows that are left have other lengths.": lambda embeddings, d: unit(
            embeddings
        )[:, :d],
        "These are the last d coordinates.": lambda embeddings, d: unit(embeddings[:, -d:]),
        "You cut rows, not columns.": lambda embeddings, d: unit(embeddings[:d]),
    },
)

# 2. shortlist and re-rank


def _searches(rng):
    cases = []
    for n, width, d, shortlist, k in ((6, 4, 2, 3, 2), (30, 8, 2, 8, 3), (60, 8, 2, 12, 5)):
        gallery = rng.normal(size=(n, width)).astype(np.float32)
        cases.append((gallery, rng.normal(size=width).astype(np.float32), d, shortlist, k))
    return tuple(cases)


def _first(gallery, query, d, n):
    return np.argsort(-(unit(gallery[:, :d]) @ query[:d]), kind="stable")[:n]


def _positions(gallery, query, d, shortlist, k):
    kept = gallery[_first(gallery, query, d, shortlist)]
    return _first(kept, query, gallery.shape[1], k)


def _rest_only(gallery, query, d, shortlist, k):
    kept = _first(gallery, query, d, shortlist)
    return kept[_first(gallery[kept][:, d:], query[d:], gallery.shape[1] - d, k)]


def _by_products(gallery, query, d, shortlist, k):
    kept = np.argsort(-(gallery[:, :d] @ query[:d]), kind="stable")[:shortlist]
    return kept[np.argsort(-(gallery[kept] @ query), kind="stable")[:k]]


def _two_steps(gallery, query, d, shortlist, k):
    return matryoshka.shortlist_and_rerank(gallery, query[None], d, shortlist, k)[1][0]


two_steps = Function(
    title="coarse first, fine later",
    draw=_searches,
    right=_two_steps,
    slips={
        "You return places in the shortlist. Turn them back into rows of the gallery.": _positions,
        "You search the whole gallery with all coordinates. Only the shortlist may be looked at a second time.": (
            lambda gallery, query, d, shortlist, k: _first(gallery, query, gallery.shape[1], k)
        ),
        "That is the shortlist in its first order. Put it into the order of all coordinates.": (
            lambda gallery, query, d, shortlist, k: _first(gallery, query, d, k)
        ),
        "The second look uses the coordinates after d alone. It uses all of them.": _rest_only,
        "Your answers come worst first.": lambda *search: _two_steps(*search)[::-1],
        "You order by the dot product, which longer rows win. For cosines, scale the rows to length 1.": _by_products,
    },
    tolerance=1e-6,
)

# 3. what it costs


def _sizes(rng):
    return int(rng.integers(2, 20) * 100_000), 512, int(rng.choice([8, 16, 32])), int(rng.integers(2, 20) * 100)


cost = Value(
    title="how much less is computed?",
    draw=_sizes,
    right=lambda n, width, d, shortlist: 1 / (d / width + shortlist / n),
    expected="a factor above 1: multiplications of exact search over those of the two steps",
    slips={
        "You forgot the second look: the rows of the shortlist are compared in full width.": lambda n, width, d, s: (
            width / d
        ),
        "You forgot the first look: all rows are compared by their first coordinates.": lambda n, width, d, s: n / s,
        "That is the inverse: how much of the work is left.": lambda n, width, d, s: d / width + s / n,
        "The second look costs the full width a row, also the coordinates that were compared before.": (
            lambda n, width, d, s: n * width / (n * d + s * (width - d))
        ),
    },
    tolerance=1e-5,
)

# 4. a second look that harms


def _noisy_tail(rng):
    labels, asked = rng.integers(0, 20, 1500), rng.integers(0, 20, 150)
    centres = rng.normal(size=(20, 16))
    rows = []
    for of in (labels, asked):
        rows.append(
            np.concatenate(
                [centres[of] + 0.9 * rng.normal(size=(len(of), 16)), 1.5 * rng.normal(size=(len(of), 112))], 1
            )
        )
    return rows[0].astype(np.float32), labels, rows[1].astype(np.float32), asked


second_look = Prediction(
    title="a second look with all coordinates",
    options=("mAP@10 rises", "mAP@10 stays about the same", "mAP@10 falls"),
    moral="Here the later coordinates hold nothing of the class, and a cosine weighs them like the "
    "others. More coordinates "
    "are better only if they tell something: choose the width of the second look on held-out queries.",
    draw=_noisy_tail,
)

# 5. a graded score


def _grades(rng):
    cases = []
    for n, k in ((5, 3), (8, 5), (12, 10)):
        possible = rng.choice([0.0, 1 / 3, 2 / 3, 1.0], n)
        possible[0] = 1.0
        order = rng.permutation(n)
        cases.append((possible[order][:k], possible))
    return tuple(cases)


def _dcg(grades, log=np.log2, shift=1):
    return (grades / log(np.arange(1, len(grades) + 1) + shift)).sum()


def _best(possible, n):
    return np.sort(possible)[::-1][:n]


ndcg = Function(
    title="nDCG with graded answers",
    draw=_grades,
    right=lambda grades, possible: metrics.ndcg_at_k(grades[None], possible[None], len(grades))[0],
    slips={
        "The ideal is the best order of your k answers. Take the best k grades of the whole gallery.": (
            lambda grades, possible: _dcg(grades) / max(_dcg(_best(grades, len(grades))), 1e-12)
        ),
        "The sum is not divided by that of the ideal ranking.": lambda grades, possible: _dcg(grades),
        "The ideal runs over the whole gallery. It may show only k answers too.": (
            lambda grades, possible: _dcg(grades) / _dcg(_best(possible, len(possible)))
        ),
        "The gain at rank i is divided by log2(i + 1); you divide by i + 1 or by i itself.": (
            lambda grades, possible: (
                _dcg(grades, log=lambda x: x, shift=0) / _dcg(_best(possible, len(grades)), log=lambda x: x, shift=0)
            )
        ),
    },
)

# 6. a plan


def _nested(rng):
    centres = rng.normal(size=(30, 64)) * np.linspace(2.2, 0.5, 64)
    of, asked = rng.integers(0, 30, 4000), rng.integers(0, 30, 100)
    gallery, queries = (
        (centres[each] + rng.normal(size=(len(each), 64)) * np.linspace(1.4, 0.9, 64)).astype(np.float32)
        for each in (of, asked)
    )
    return gallery, queries


def _plan_problem(answer, gallery, queries):
    try:
        d, shortlist = map(int, answer)
    except (TypeError, ValueError):
        return "Give two whole numbers: (d, shortlist)."
    n, width = gallery.shape
    if not (1 <= d <= width and 10 <= shortlist <= n):
        return f"Expected 1 <= d <= {width} and 10 <= shortlist <= {n}."
    if n * d + shortlist * width > 0.3 * n * width:
        return "That is more than 30 % of the multiplications of exact search: n d + shortlist width, against n width."
    exact = np.argsort(-(unit(queries) @ unit(gallery).T), axis=1)[:, :10]
    _, found = matryoshka.shortlist_and_rerank(gallery, queries, d, shortlist, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
    if recall < 0.9:
        return (
            "The recall@10 against exact search is below 0.9. Spend the budget otherwise: more coordinates, "
            "or more rows?"
        )
    return None


plan = Construction(
    title="a plan within a budget",
    draw=_nested,
    expected="(d, shortlist) with at most 30 % of the multiplications and a recall@10 of at least 0.9",
    problem=_plan_problem,
    slips={
        "Give two whole numbers: (d, shortlist).": lambda gallery, queries: 8,
        "Expected 1 <= d <= 64 and 10 <= shortlist <= 4000.": lambda gallery, queries: (8, 5),
        "That is more than 30 % of the multiplications of exact search: n d + shortlist width, against n width.": (
            lambda gallery, queries: (32, 400)
        ),
        "The recall@10 against exact search is below 0.9. Spend the budget otherwise: more coordinates, "
        "or more rows?": (lambda gallery, queries: (1, 100)),
    },
    moral="Between many coordinates with a short list and few coordinates with a long one, the best lies "
    "in the middle.",
)

EXERCISES = (truncated, two_steps, cost, second_look, ndcg, plan)
