"""Exercises of 01_descriptors: histograms, gradients, visual words, what a descriptor is blind to, a similarity."""

import numpy as np

from lib import descriptors

from ..kinds import Construction, Function, Prediction, Value
from ..pictures import products

# 1. a joint histogram of colour


def _small_images(rng):
    return tuple((rng.integers(0, 256, size=(side, side + 1, 3), dtype=np.uint8),) for side in (2, 5, 8))


def _bins(image):
    return image.reshape(-1, 3) // 128


def _joint(image):
    return np.histogramdd(image.reshape(-1, 3).astype(float), bins=2, range=[(0, 256)] * 3)[0].ravel() / (
        image.size / 3
    )


def _counts(image):
    return np.bincount(_bins(image).astype(int) @ [4, 2, 1], minlength=8)


joint_histogram = Function(
    title="a joint colour histogram",
    draw=_small_images,
    right=_joint,
    slips={
        "These are counts of pixels. Divide by their number, so that a large image does not outweigh a "
        "small one.": _counts,
        "You counted each channel on its own (6 numbers). In a joint histogram red, green and blue "
        "choose one of 8 bins.": (
            lambda image: (
                np.concatenate([np.bincount(channel, minlength=2) for channel in _bins(image).T]) / (image.size / 3)
            )
        ),
        "You divide by the number of values; an image has three of them a pixel. The bins should add up to 1.": (
            lambda image: _counts(image) / image.size
        ),
        "The order of the bins is blue, green, red: red is to be the most significant of the three.": (
            lambda image: np.bincount(_bins(image).astype(int) @ [1, 2, 4], minlength=8) / (image.size / 3)
        ),
    },
    moral="Eight numbers, and none of them knows where its pixels were.",
)

# 2. the direction of edges


def _patches(rng):
    turn = rng.uniform(0.2, 1.3)
    y, x = np.mgrid[:7, :7]
    ramp = np.cos(turn) * x + np.sin(turn) * y
    return tuple((scale * ramp + rng.normal(0, 0.05, ramp.shape),) for scale in (10.0, 3.0, -8.0))


def _votes(patch, n=9, signed=False, weighted=True, unit=True):
    dy, dx = np.gradient(patch)
    dy, dx = dy[1:-1, 1:-1], dx[1:-1, 1:-1]
    full = 360 if signed else 180
    place = (np.degrees(np.arctan2(dy, dx)) % full // (full / n)).astype(int)
    votes = np.bincount(place.ravel(), np.hypot(dy, dx).ravel() if weighted else None, minlength=n)
    return votes / np.linalg.norm(votes) if unit else votes


def _by_complex(patch):
    across = (patch[1:-1, 2:] - patch[1:-1, :-2]) / 2
    down = (patch[2:, 1:-1] - patch[:-2, 1:-1]) / 2
    gradient = across + 1j * down
    turned = np.where(np.angle(gradient) < 0, gradient * -1, gradient)
    votes, _ = np.histogram(np.degrees(np.angle(turned)) % 180, bins=9, range=(0, 180), weights=np.abs(gradient))
    return votes / np.sqrt((votes**2).sum())


edge_directions = Function(
    title="one cell of HOG",
    draw=_patches,
    right=_by_complex,
    slips={
        "Every pixel has an equal vote. Weigh each by the length of its gradient, or noise outvotes the edges.": (
            lambda patch: _votes(patch, weighted=False)
        ),
        "The histogram is not scaled to length 1, so it depends on the contrast of the image.": (
            lambda patch: _votes(patch, unit=False)
        ),
        "You count directions over 360 degrees. HOG does not mind whether an edge goes from dark to light or back: "
        "take angles modulo 180.": lambda patch: _votes(patch, signed=True),
        "You have swapped x and y: np.gradient gives the derivative along rows (down the image) first.": (
            lambda patch: _votes(patch.T)
        ),
    },
    moral="The third patch is a negative of lower contrast, and its histogram is nearly that of the first.",
)

# 3. what is each descriptor blind to?

mirrored_picture = Prediction(
    title="who notices that an image was turned by 180 degrees?",
    options=("the colour histogram", "HOG", "both", "neither"),
    moral="Turning an image keeps all of its pixels, so a global histogram cannot change. HOG keeps a "
    "histogram for each "
    "cell: directions survive a turn by 180 degrees, but they come to stand in other cells.",
    draw=lambda rng: (products(rng, 12)[0],),
)

# 4. tf-idf of visual words


def _words(rng):
    counts = rng.poisson(rng.uniform(0.2, 3.0, size=8), size=(12, 8))
    counts[:, 0] = rng.integers(1, 9, size=12)  # a word that is everywhere
    counts[:, 7] = 0
    counts[rng.integers(12), 7] = 1
    return (counts,)


def _tf_idf(counts, smooth=True, unit=True, axis=0, idf=True):
    n_with = (counts > 0).sum(axis=axis)
    n = counts.shape[axis]
    rarity = np.log((1 + n) / (1 + n_with)) + 1 if smooth else np.log(n / np.maximum(n_with, 1))
    rows = counts / counts.sum(axis=1, keepdims=True) * (rarity if idf else 1.0)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) if unit else rows


def _by_sklearn(counts):
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer(norm="l2", smooth_idf=True).fit_transform(counts).toarray()


visual_words = Value(
    title="weights of visual words",
    draw=_words,
    right=_by_sklearn,
    expected="an array of shape (12, 8), rows of length 1",
    slips={
        "The rows are not of length 1 yet.": lambda counts: _tf_idf(counts, unit=False),
        "You take log(N / N_w), which gives a word that is everywhere the weight 0. `lib` takes the smooth form.": (
            lambda counts: _tf_idf(counts, smooth=False)
        ),
        "The words have no weights yet: these are only counts, scaled to length 1.": lambda counts: _tf_idf(
            counts, idf=False
        ),
        "N_w is the number of images that contain the word, not how often it occurs in all of them.": (
            lambda counts: (lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True))(
                counts * (np.log((1 + len(counts)) / (1 + counts.sum(axis=0))) + 1)
            )
        ),
    },
)

# 5. a picture that fools a descriptor


def _alike_to_hog(image, other):
    edges = descriptors.hog(np.stack([image, other]))
    return edges[0] @ edges[1] / (np.linalg.norm(edges[0]) * np.linalg.norm(edges[1]))


def _by_brightness(image):
    pixels = image.reshape(-1, 3)
    return pixels[np.argsort(pixels.sum(axis=1), kind="stable")].reshape(image.shape)


def _one_picture(rng):
    """Of eight pictures one that has a solution, and is not fooled too easily."""
    images = products(rng, 8)[0]
    return (min(images, key=lambda image: _alike_to_hog(image, _by_brightness(image))),)


def _fooled_problem(answer, image):
    answer = np.asarray(answer)
    if answer.shape != image.shape or answer.dtype != np.uint8:
        return f"The image must be uint8 of shape {image.shape}, got {answer.dtype} of shape {answer.shape}."
    pair = np.stack([image, answer])
    colours = descriptors.colour_histogram(pair)
    if np.abs(colours[0] - colours[1]).max() > 1e-6:
        return "The colour histograms differ. Only move pixels: every colour must occur as often as before."
    if _alike_to_hog(image, answer) > 0.6:
        return (
            "To HOG the two still look alike (cosine above 0.6). Noise has edges too: can pixels be put in "
            "a smooth order?"
        )
    return None


fooled = Construction(
    title="the same to colour, different to edges",
    draw=_one_picture,
    expected="an image with the colour histogram of yours and a HOG whose cosine to yours is at most 0.6",
    problem=_fooled_problem,
    slips={
        "The colour histograms differ. Only move pixels: every colour must occur as often as before.": (
            lambda image: 255 - image
        ),
        "To HOG the two still look alike (cosine above 0.6). Noise has edges too: can pixels be put in "
        "a smooth order?": (lambda image: image.copy()),
    },
    moral="A descriptor is a choice of what to forget.",
)

EXERCISES = (joint_histogram, edge_directions, mirrored_picture, visual_words, fooled)
