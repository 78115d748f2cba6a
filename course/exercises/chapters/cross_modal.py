"""Exercises of 08_cross_modal: the hinge, recall with several captions, chance, CSLS, a hub of your own."""

import numpy as np

from lib import hubness, indexes

from ..judging import unit
from ..kinds import Construction, Function, Prediction, Value

# 1. the hinge with the hardest negative


def _batches(rng):
    return tuple(
        (unit(rng.normal(size=(b, d))), unit(rng.normal(size=(b, d))), margin)
        for b, d, margin in ((2, 2, 0.2), (4, 3, 0.5), (6, 4, 0.2))
    )


def _gaps(u, v, margin):
    cosines = u @ v.T
    own = np.diag(cosines)
    return np.stack([cosines - own[:, None], cosines.T - own[:, None]]) + margin  # (2, b, b)


def _hinge(u, v, margin, reduce="max", directions=(0, 1), own=False):
    gaps = _gaps(u, v, margin)
    mask = np.eye(len(u), dtype=bool)
    costs = np.maximum(0, gaps) if own else np.where(mask, 0, np.maximum(0, gaps))
    each = costs.max(axis=2) if reduce == "max" else costs.sum(axis=2)
    return each[list(directions)].mean()


def _by_loop(u, v, margin):
    total = 0.0
    for a, b in ((u, v), (v, u)):
        for i in range(len(a)):
            wrong = [float(a[i] @ b[j]) for j in range(len(b)) if j != i]
            total += max(0.0, margin + max(wrong) - float(a[i] @ b[i]))
    return total / (2 * len(u))


hardest_negative = Function(
    title="the hinge with the hardest negative",
    draw=_batches,
    right=_by_loop,
    slips={
        "The right item is among your negatives, where it costs the margin itself. Leave out the diagonal.": (
            lambda u, v, margin: _hinge(u, v, margin, own=True)
        ),
        "You add up over all negatives. VSE++ takes the hardest one alone.": (
            lambda u, v, margin: _hinge(u, v, margin, reduce="sum")
        ),
        "You ask in one direction only. Average over photo to caption and caption to photo.": (
            lambda u, v, margin: _hinge(u, v, margin, directions=(0,))
        ),
        "You add up the two directions. Average them.": lambda u, v, margin: 2 * _by_loop(u, v, margin),
        "The sign of the gap is wrong: a wrong item that is ahead of the right one must cost.": (
            lambda u, v, margin: (
                np.where(np.eye(len(u), dtype=bool), 0, np.maximum(0, 2 * margin - _gaps(u, v, margin)))
                .max(axis=2)
                .mean()
            )
        ),
    },
)

# 2. recall with several captions a photo


def _scores(rng):
    photo_of = np.sort(rng.integers(0, 20, 60))
    photo_of[:20] = np.arange(20)
    photo_of = np.sort(photo_of)
    scores = rng.normal(size=(20, 60)) + 1.5 * (np.arange(20)[:, None] == photo_of)
    return scores, photo_of


def _hits(scores, photo_of):
    order = np.argsort(-scores, axis=1)[:, :5]
    return photo_of[order] == np.arange(len(scores))[:, None]


def _best_rank(scores, photo_of):
    own = np.arange(len(scores))[:, None] == photo_of
    best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
    return (scores > best).sum(axis=1)


recall = Value(
    title="image to text with several captions",
    draw=_scores,
    right=lambda scores, photo_of: (_best_rank(scores, photo_of) < 5).mean(),
    expected="a share of the 20 photos",
    slips={
        "You count how many of a photo's captions are found. Any of them is enough.": (
            lambda scores, photo_of: (_hits(scores, photo_of).sum(axis=1) / np.bincount(photo_of)).mean()
        ),
        "That is the precision: the share of the first five captions that are right.": (
            lambda scores, photo_of: _hits(scores, photo_of).mean()
        ),
        "You count only the first caption of each photo. Any of its captions is right.": (
            lambda scores, photo_of: np.mean(
                [np.flatnonzero(photo_of == i)[0] in np.argsort(-scores[i])[:5] for i in range(len(scores))]
            )
        ),
        "That is the other direction: captions ask, and photos are searched.": (
            lambda scores, photo_of: (np.argsort(-scores.T, axis=1)[:, :5] == photo_of[:, None]).any(axis=1).mean()
        ),
        "You look at the lowest scores. A high score is near.": lambda scores, photo_of: (
            _best_rank(-scores, photo_of) < 5
        ).mean(),
    },
    tolerance=1e-6,
)

# 3. chance in two directions

two_chances = Prediction(
    title="chance in two directions",
    options=("text to image by far", "about the same", "image to text by far"),
    moral="Three right captions instead of one photo, but in a gallery three times as large: the two "
    "effects nearly cancel. "
    "What counts as right, and in which gallery, has to be said for each direction.",
)

# 4. CSLS


def _three_sets(rng):
    hub = rng.normal(size=5)
    gallery = unit(rng.normal(size=(30, 5)) + hub * rng.uniform(0, 1.2, size=(30, 1)))
    bank, queries = (unit(rng.normal(size=(n, 5)) + 0.5 * hub) for n in (60, 20))
    return queries, gallery, bank


def _first_answers(queries, gallery, bank, k=4, sign=-1, weight=0.5, reverse=False):
    near = np.sort((queries @ bank.T) if reverse else (gallery @ bank.T), axis=1)[:, -k:].mean(axis=1)
    scores = queries @ gallery.T + sign * weight * (near[:, None] if reverse else near)
    return scores.argmax(axis=1)


def _lifted(queries, gallery, bank):
    offsets = hubness.csls_offsets(gallery, bank, k=4)
    lifted = hubness.lift(queries, gallery, offsets)
    return indexes.FlatIndex("l2").fit(lifted[1]).search(lifted[0], 1)[1][:, 0]


csls = Value(
    title="answers without hubs",
    draw=_three_sets,
    right=_lifted,
    expected="20 gallery rows: the first answer to each query after the correction",
    slips={
        "These are the first answers by cosine alone: nothing is corrected yet.": (
            lambda queries, gallery, bank: (queries @ gallery.T).argmax(axis=1)
        ),
        "You add r(g), and so favour hubs. Subtract it.": (
            lambda queries, gallery, bank: _first_answers(queries, gallery, bank, sign=1)
        ),
        "You subtract all of r(g). With 2 cos - r(q) - r(g), halved, it is half of it.": (
            lambda queries, gallery, bank: _first_answers(queries, gallery, bank, weight=1.0)
        ),
        "r(g) is the mean over the 4 nearest rows of the bank, not over all of them.": (
            lambda queries, gallery, bank: _first_answers(queries, gallery, bank, k=len(bank))
        ),
        "The neighbours of a gallery row come from the bank of typical queries, not from the queries that ask now.": (
            lambda queries, gallery, bank: _first_answers(queries, gallery, queries)
        ),
    },
    tolerance=1e-6,
)

# 5. make a hub


def _to_flood(rng):
    centre = np.sqrt(8) * unit(rng.normal(size=(1, 8)))
    queries = unit(rng.normal(size=(100, 8)) + centre)
    return queries, unit(rng.normal(size=(60, 8)) + 0.2 * centre)


def _hub_problem(answer, queries, gallery):
    item = np.asarray(answer, float)
    if item.shape != (queries.shape[1],) or not np.isfinite(item).all() or not np.linalg.norm(item) > 0:
        return (
            f"Expected one embedding, an array of shape ({queries.shape[1]},), not all zeros, got shape {item.shape}."
        )
    everything = np.concatenate([gallery, unit(item[None])])
    nearest = np.argsort(-(queries @ everything.T), axis=1)[:, :5]
    found = (nearest == len(gallery)).any(axis=1).mean()
    if found < 0.6:
        return (
            "Fewer than 60 of the 100 queries find your item among their first five. What is near to all of "
            "them at once?"
        )
    return None


hub = Construction(
    title="make a hub",
    draw=_to_flood,
    expected="an embedding of 8 numbers that at least 60 of the 100 queries find among their first five",
    problem=_hub_problem,
    slips={
        "Fewer than 60 of the 100 queries find your item among their first five. What is near to all of "
        "them at once?": (lambda queries, gallery: -queries.mean(axis=0)),
    },
    moral="The mean of the queries is near to all of them and belongs to none. Items near the centre become hubs.",
)

EXERCISES = (hardest_negative, recall, two_chances, csls, hub)
