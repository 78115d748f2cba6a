"""Exercises of 06_text_vectors: BM25, a rank with ties, what a bag of words hears, a fair split, correlation."""

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from lib import text

from ..kinds import Construction, Function, Prediction, Value

COLOURS = ["red", "blue", "green", "black", "white", "navy", "pink", "grey"]
THINGS = ["hat", "shirt", "bag", "belt", "jacket", "scarf", "skirt", "cap"]
GROUNDS = ["wood", "tiles", "marble", "cloth", "sand"]

# 1. BM25


def _captions(rng, n):
    made = []
    for _ in range(n):
        colour, thing, ground = (str(rng.choice(words)) for words in (COLOURS[:4], THINGS[:4], GROUNDS))
        made.append(
            f"a {colour} {thing}"
            + (f" on {ground}" if rng.random() < 0.5 else "")
            + (f" and a {colour} cap" if rng.random() < 0.4 else "")
        )
    return made


def _searches(rng):
    return tuple((f"{rng.choice(COLOURS[:4])} {rng.choice(THINGS[:4])}", _captions(rng, n)) for n in (3, 6, 9))


def _bm25(query, documents, k1=1.2, b=0.75, smooth=True, saturate=True):
    counter = CountVectorizer(token_pattern=r"\w+").fit(documents)
    counts = counter.transform(documents).toarray().astype(float)
    n, n_with = len(documents), (counts > 0).sum(axis=0)
    rarity = np.log(1 + (n - n_with + 0.5) / (n_with + 0.5)) if smooth else np.log(n / n_with)
    length = counts.sum(axis=1, keepdims=True) / counts.sum(axis=1).mean()
    weights = counts * (k1 + 1) / (counts + k1 * (1 - b + b * length)) if saturate else counts
    return (rarity * weights) @ (counter.transform([query]).toarray()[0] > 0)


bm25 = Function(
    title="BM25",
    draw=_searches,
    right=_bm25,
    slips={
        "Long captions are not penalised: the length, over the mean length, belongs in the denominator.": (
            lambda query, documents: _bm25(query, documents, b=0.0)
        ),
        "Your rarity is ln(n / n_w). BM25 takes ln(1 + (n - n_w + 1/2) / (n_w + 1/2)).": (
            lambda query, documents: _bm25(query, documents, smooth=False)
        ),
        "The count enters as it is. In BM25 it saturates: c (k1 + 1) / (c + k1 (...)).": (
            lambda query, documents: _bm25(query, documents, saturate=False)
        ),
        "The factor k1 + 1 in the numerator is missing.": lambda query, documents: _bm25(query, documents) / 2.2,
    },
)

# 2. a rank with ties


def _scores(rng):
    cases = [(np.array([0.9, 0.5, 0.5, 0.5, 0.1]), np.array([False, True, False, False, False]))]
    for n in (6, 9, 12):
        scores = rng.integers(0, 4, n) / 4
        is_right = np.zeros(n, bool)
        is_right[rng.permutation(n)[: rng.integers(1, 3)]] = True
        cases.append((scores, is_right))
    return tuple(cases)


def _rank(scores, is_right, how="expected"):
    best = scores[is_right].max()
    wrong, tied = scores[~is_right], int((scores[is_right] == best).sum())
    nearer, as_near = int((wrong > best).sum()), int((wrong == best).sum())
    return 1 + nearer + {"expected": as_near / (tied + 1), "first": 0, "last": as_near, "half": as_near / 2}[how]


def _by_permutations(scores, is_right):
    """The mean over all places that the right ones can take among those tied with them: by counting, not by formula."""
    best = scores[is_right].max()
    n_tied, n_right = int((scores == best).sum()), int((is_right & (scores == best)).sum())
    from itertools import combinations

    first = [places[0] for places in combinations(range(n_tied), n_right)]
    return 1 + int((scores > best).sum()) + float(np.mean(first))


tied_rank = Function(
    title="a rank among equals",
    draw=_scores,
    right=_by_permutations,
    slips={
        "You put the right one first among equals: a method that gives every item the same score would be perfect.": (
            lambda scores, is_right: _rank(scores, is_right, "first")
        ),
        "You put the right one last among equals. It stands on average behind w / (m + 1) of the wrong ones.": (
            lambda scores, is_right: _rank(scores, is_right, "last")
        ),
        "Half of the tied wrong items is correct when one right item is tied. With m of them it is w / (m + 1).": (
            lambda scores, is_right: _rank(scores, is_right, "half")
        ),
        "Your ranks begin at 0. The first answer has rank 1.": lambda scores, is_right: (
            _by_permutations(scores, is_right) - 1
        ),
        "You sort in the wrong direction: a high score is near.": lambda scores, is_right: _by_permutations(
            -scores, is_right
        ),
    },
    tolerance=1e-6,
)

# 3. what a bag of words hears


def _negation(rng):
    colour, thing = str(rng.choice(COLOURS)), str(rng.choice(THINGS))
    query = f"a {colour} {thing} without stripes"
    return query, [f"a {colour} {thing} with stripes", f"a plain {colour} {thing}", f"a {colour} {thing} without dots"]


negation = Prediction(
    title="a hat without stripes",
    options=("the one with stripes", "the plain one", "the one without dots"),
    moral="The plain one is the only answer that means the same, and it shares the fewest words with the "
    "query. Counting "
    "words hears neither a negation nor a paraphrase; it hears rare words that are shared.",
    draw=_negation,
)

# 4. a split that leaks


def _random_split(rng):
    n = 60
    products, colours = rng.choice(THINGS, n), rng.choice(COLOURS, n)
    return products, colours, rng.random(n) < 0.3


def _shared(test_keys, train_keys):
    return float(np.mean([key in set(train_keys) for key in test_keys]))


def _pairs_of(products, colours):
    return [f"{a} {b}" for a, b in zip(products, colours, strict=True)]


leaky_split = Value(
    title="what a random split lets through",
    draw=_random_split,
    right=lambda products, colours, is_test: float(
        np.isin(
            np.char.add(np.char.add(products, "|"), colours)[is_test],
            np.char.add(np.char.add(products, "|"), colours)[~is_test],
        ).mean()
    ),
    expected="a share, from 0 to 1",
    slips={
        "You ask for the product alone. A red hat is new if training has red shirts and blue hats, but no red hat.": (
            lambda products, colours, is_test: _shared(products[is_test], products[~is_test])
        ),
        "You ask for product and colour separately. The combination must occur.": (
            lambda products, colours, is_test: float(
                np.mean(np.isin(products[is_test], products[~is_test]) & np.isin(colours[is_test], colours[~is_test]))
            )
        ),
        "That is the share of the training images whose combination is in the test. The question is the "
        "other way round.": (
            lambda products, colours, is_test: _shared(
                _pairs_of(products[~is_test], colours[~is_test]), _pairs_of(products[is_test], colours[is_test])
            )
        ),
        "That is a share of the combinations. Count test images, each with its combination.": (
            lambda products, colours, is_test: _shared(
                sorted(set(_pairs_of(products[is_test], colours[is_test]))),
                _pairs_of(products[~is_test], colours[~is_test]),
            )
        ),
    },
    tolerance=1e-6,
)

# 5. the first canonical correlation


def _two_sides(rng):
    shared = rng.normal(size=(120, 1))
    x = rng.normal(size=(120, 4)) * [8, 2, 1, 1] + shared * [[0, 0, 0.8, 0.5]]
    y = rng.normal(size=(120, 3)) * [1, 6, 1] + shared * [[0.9, 0, 0.3]]
    return x + 3, y - 2


def _canonical(x, y):
    sides = [np.linalg.qr(side - side.mean(axis=0))[0] for side in (x, y)]
    return np.linalg.svd(sides[0].T @ sides[1], compute_uv=False)[0]


def _pls_correlation(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    a, _, b = np.linalg.svd(x.T @ y)
    return np.corrcoef(x @ a[:, 0], y @ b[0])[0, 1]


def _of_components(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    first = [np.linalg.svd(side, full_matrices=False)[0][:, 0] for side in (x, y)]
    return abs(first[0] @ first[1])


def _uncentred(x, y):
    sides = [np.linalg.qr(side)[0] for side in (x, y)]
    return np.linalg.svd(sides[0].T @ sides[1], compute_uv=False)[0]


correlation = Value(
    title="the first canonical correlation",
    draw=_two_sides,
    right=_canonical,
    expected="one number from 0 to 1",
    slips={
        "You maximise the covariance (PLS): directions that vary much win. Whiten both sides first.": _pls_correlation,
        "That is the correlation of the two first principal components, which were chosen without the other side.": (
            _of_components
        ),
        "The columns are not centred, so the two means alone look like something shared.": _uncentred,
    },
    tolerance=1e-3,
)

# 6. two captions that a bag of words confuses


def _one_caption(rng):
    first, second = rng.choice(COLOURS, 2, replace=False)
    thing, other = rng.choice(THINGS, 2, replace=False)
    return (f"a {first} {thing} beside a {second} {other}",)


SMALL_WORDS = {
    "a",
    "an",
    "the",
    "of",
    "in",
    "on",
    "with",
    "and",
    "beside",
    "by",
    "next",
    "to",
    "near",
    "is",
    "are",
    "there",
    "one",
}


def _captions_problem(answer, caption):
    if not (isinstance(answer, tuple | list) and len(answer) == 2 and all(isinstance(each, str) for each in answer)):
        return "Give two captions, as texts."
    words, (other, same) = text.tokens(caption), map(text.tokens, answer)
    if sorted(other) != sorted(words):
        return "The first caption must use exactly the words of yours, each as often."
    if other == words:
        return "The first caption is the given one. Say something else with the same words."
    shared = (set(same) & set(words)) - SMALL_WORDS
    if shared:
        return f"The second caption still shares {', '.join(sorted(shared))} with yours."
    if len(set(same) - SMALL_WORDS) < 3:
        return "The second caption says less than yours: it should mean the same."
    return None


confused = Construction(
    title="same words, other meaning; other words, same meaning",
    draw=_one_caption,
    expected="two captions: one of exactly the same words that means something else, one that means the same "
    "in other words",
    problem=_captions_problem,
    slips={
        "Give two captions, as texts.": lambda caption: caption,
        "The first caption must use exactly the words of yours, each as often.": lambda caption: (
            "a cat",
            "two dogs sleep here",
        ),
        "The first caption is the given one. Say something else with the same words.": lambda caption: (
            caption,
            "x y z",
        ),
        "The second caption says less than yours: it should mean the same.": (
            lambda caption: (" ".join(caption.split()[::-1]), "things")
        ),
    },
    moral="To TF-IDF the first has a cosine of 1 with yours, the second nearly 0. Whether they mean what "
    "they should, only a "
    "reader can say.",
)

EXERCISES = (bm25, tied_rank, negation, leaky_split, correlation, confused)
