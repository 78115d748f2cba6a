"""Exercises of 07_shared_space: a code, the in-batch losses, the modality gap, unknown words."""

import numpy as np
from scipy.special import logsumexp
from sklearn.decomposition import PCA

from ..judging import unit
from ..kinds import Construction, Function, Prediction, Value

# 1. variance left


def _train_and_test(rng):
    mix = rng.normal(size=(8, 8)) * np.array([5, 4, 3, 1, 1, 0.5, 0.5, 0.5])[:, None]
    return rng.normal(size=(80, 8)) @ mix + 3, rng.normal(size=(20, 8)) @ mix + 3.5


def _left(train, test, centre=True, fit_on=None, baseline=None):
    fitted = train if fit_on is None else fit_on
    mean = fitted.mean(axis=0) if centre else np.zeros(train.shape[1])
    _, _, directions = np.linalg.svd(fitted - mean, full_matrices=False)
    rebuilt = (test - mean) @ directions[:3].T @ directions[:3] + mean
    from_mean = test - (train.mean(axis=0) if baseline is None else baseline)
    return ((test - rebuilt) ** 2).sum() / (from_mean**2).sum()


def _by_pca(train, test):
    code = PCA(3).fit(train)
    rebuilt = code.inverse_transform(code.transform(test))
    return ((test - rebuilt) ** 2).sum() / ((test - train.mean(axis=0)) ** 2).sum()


variance_left = Value(
    title="what a code of three numbers leaves out",
    draw=_train_and_test,
    right=_by_pca,
    expected="a share: 0 for perfectly rebuilt test rows, 1 for the training mean in place of each",
    slips={
        "That is the share that is kept. Variance left is the rest.": lambda train, test: 1 - _by_pca(train, test),
        "The code was fitted on the test rows. It has to be learned on the training rows.": (
            lambda train, test: _left(train, test, fit_on=test)
        ),
        "The rows are not centred before the code: its first number is spent on the mean.": (
            lambda train, test: _left(train, test, centre=False)
        ),
        "You measure how well the training rows are rebuilt. The question is about test rows.": (
            lambda train, test: _by_pca(train, train)
        ),
        "You compare with rows of zeros. The yardstick is the mean training row.": (
            lambda train, test: _left(train, test, baseline=0.0)
        ),
        "You compare with the mean test row, which a search does not know. The yardstick is the mean training row.": (
            lambda train, test: _left(train, test, baseline=test.mean(axis=0))
        ),
    },
)

# 2. the in-batch softmax, in both directions


def _batches(rng):
    return tuple(
        (rng.normal(size=(b, d)), rng.normal(size=(b, d)), t) for b, d, t in ((2, 2, 1.0), (4, 3, 0.2), (6, 5, 0.07))
    )


def _cross(scores):
    return float((logsumexp(scores, axis=1) - np.diag(scores)).mean())


def _softmax(codes, points, temperature):
    scores = unit(points) @ unit(codes).T / temperature
    return (_cross(scores) + _cross(scores.T)) / 2


in_batch_softmax = Function(
    title="the in-batch softmax",
    draw=_batches,
    right=_softmax,
    slips={
        "You ask from text to code only. Ask from code to text too, and average.": (
            lambda codes, points, temperature: _cross(unit(points) @ unit(codes).T / temperature)
        ),
        "You ask from code to text only. Ask from text to code too, and average.": (
            lambda codes, points, temperature: _cross(unit(codes) @ unit(points).T / temperature)
        ),
        "The rows are not scaled to length 1, so these are not cosines.": (
            lambda codes, points, temperature: (
                (_cross(points @ codes.T / temperature) + _cross(codes @ points.T / temperature)) / 2
            )
        ),
        "The temperature divides the cosines; you multiply by it, or leave it out.": (
            lambda codes, points, temperature: _softmax(codes, points, 1 / temperature)
        ),
        "You add up the two directions. Average them.": (
            lambda codes, points, temperature: 2 * _softmax(codes, points, temperature)
        ),
    },
)

# 3. a gap

moved_images = Prediction(
    title="all images moved by the same vector",
    options=("dot product", "cosine", "both", "neither"),
    moral="Adding v to every image adds the same q · v to all dot products of a query, so its ranking "
    "stays. Cosine divides "
    "by the lengths of the moved images, which differ. A gap between the means need not hurt: it "
    "depends on the measure.",
    draw=lambda rng: (rng.normal(size=(30, 6)), rng.normal(size=(200, 6)), 2 * rng.normal(size=6)),
)

# 4. the modality gap


def _two_modalities(rng):
    shift = rng.normal(size=8)
    texts = (rng.normal(size=(40, 8)) + 1.2 * shift) * rng.uniform(0.3, 4, size=(40, 1))
    return texts, (rng.normal(size=(50, 8)) - 0.5 * shift) * rng.uniform(0.3, 4, size=(50, 1))


modality_gap = Value(
    title="the modality gap",
    draw=_two_modalities,
    right=lambda texts, images: np.sqrt(((unit(texts).mean(axis=0) - unit(images).mean(axis=0)) ** 2).sum()),
    expected="one number from 0 to 2",
    slips={
        "The rows are not scaled to length 1 before their mean is taken.": (
            lambda texts, images: np.linalg.norm(texts.mean(axis=0) - images.mean(axis=0))
        ),
        "Scale each row to length 1 and then take the mean; you scale the mean.": (
            lambda texts, images: np.linalg.norm(unit(texts.mean(axis=0)[None]) - unit(images.mean(axis=0)[None]))
        ),
        "That is the mean distance of a text and an image. The gap is the distance of the two means.": (
            lambda texts, images: np.linalg.norm(unit(texts)[:, None] - unit(images), axis=2).mean()
        ),
        "You average over the wrong axis: the mean text is a vector, the mean over texts of each coordinate.": (
            lambda texts, images: abs(unit(texts).mean() - unit(images).mean())
        ),
    },
)

# 5. numbering words, and the unknown


def _vocabularies(rng):
    words = ["a", "red", "blue", "hat", "shirt", "on", "wood"]
    typed = ["a red hat", "a blu hat on wood", "shirt"]
    first = (["a red hat", "a blue hat", "a red shirt"], "a red scarf", 4)
    more = [
        ([" ".join(rng.choice(words, rng.integers(2, 6))) for _ in range(5)], str(rng.choice(typed)), int(length))
        for length in (2, 5, 6)
    ]
    return (first, *more)


def _numbered(captions, query, length):
    counts = {}
    for word in " ".join(captions).split():
        counts[word] = counts.get(word, 0) + 1
    number = {word: i for i, word in enumerate(sorted(counts, key=lambda word: (-counts[word], word)), start=2)}
    numbers = [number.get(word, 1) for word in query.split()][:length]
    return numbers + [0] * (length - len(numbers))


def _by_alphabet(captions, query, length):
    number = {word: i for i, word in enumerate(sorted(set(" ".join(captions).split())), start=2)}
    numbers = [number.get(word, 1) for word in query.split()][:length]
    return numbers + [0] * (length - len(numbers))


def _as_they_come(captions, query, length):
    words = " ".join(captions).split()
    number = {word: i for i, word in enumerate(sorted(dict.fromkeys(words), key=lambda word: -words.count(word)), 2)}
    numbers = [number.get(word, 1) for word in query.split()][:length]
    return numbers + [0] * (length - len(numbers))


def _unknown_dropped(captions, query, length):
    known = set(" ".join(captions).split())
    return _numbered(captions, " ".join(word for word in query.split() if word in known), length)


def _padded_in_front(captions, query, length):
    numbers = [each for each in _numbered(captions, query, length) if each]
    return [0] * (length - len(numbers)) + numbers


word_numbers = Function(
    title="from words to numbers",
    draw=_vocabularies,
    right=_numbered,
    slips={
        "Words are numbered by frequency, the most frequent first; only words that are equally frequent "
        "go by the alphabet.": (_by_alphabet),
        "Words that are equally frequent go by the alphabet; yours go by where they first stand.": _as_they_come,
        "You leave out unknown words. They get the number 1.": _unknown_dropped,
        "Zeros fill up behind the caption, not in front of it.": _padded_in_front,
        "Your numbers begin at 1, which is the number of unknown words. Known words begin at 2.": (
            lambda captions, query, length: [each - (each > 1) for each in _numbered(captions, query, length)]
        ),
    },
)

# 6. content


def _settings(rng):
    return float(rng.choice([0.1, 0.2, 0.3])), float(rng.choice([0.3, 0.4, 0.5]))


def _batch_problem(answer, margin, temperature):
    try:
        texts, codes = (np.asarray(each, float) for each in answer)
    except (TypeError, ValueError):
        return "Give a pair (texts, codes) of arrays of shape (3, 2)."
    if texts.shape != (3, 2) or codes.shape != (3, 2) or not (np.linalg.norm([*texts, *codes], axis=1) > 0).all():
        return "Give a pair (texts, codes) of arrays of shape (3, 2)."
    cosines = unit(texts) @ unit(codes).T
    wrong = np.where(np.eye(3, dtype=bool), -np.inf, cosines).max(axis=1)
    if (margin - np.diag(cosines) + wrong > 1e-9).any():
        return "The triplet loss is not 0 yet: each text must lead by the margin over its nearest wrong code."
    if _cross(cosines / temperature) < 0.25:
        return "The softmax is below 0.25: the wrong codes are too far away. How near may they be for the triplet?"
    return None


def _fan(degrees):
    turns = np.radians(np.array([0, 1, 2]) * degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


triplet_content = Construction(
    title="a batch on which two losses disagree",
    draw=_settings,
    expected="three texts and their codes in the plane, with a triplet loss of 0 and a softmax of at least 0.25",
    problem=_batch_problem,
    slips={
        "Give a pair (texts, codes) of arrays of shape (3, 2).": lambda margin, temperature: np.ones(3),
        "The triplet loss is not 0 yet: each text must lead by the margin over its nearest wrong code.": (
            lambda margin, temperature: (_fan(1), _fan(1))
        ),
        "The softmax is below 0.25: the wrong codes are too far away. How near may they be for the triplet?": (
            lambda margin, temperature: (_fan(120), _fan(120))
        ),
    },
    moral="The triplet stops at its margin, the softmax never does: it would push these codes still farther apart.",
)

EXERCISES = (variance_left, in_batch_softmax, moved_images, modality_gap, word_numbers, triplet_content)
