"""Exercises of 05_masked_retrieval: IoU, hiding, pooling inside a mask, an error of the rim, what a mean IoU hides."""

import numpy as np
import torch
from torch.nn import functional

from lib import masking, metrics

from ..kinds import Construction, Function, Prediction, Value
from ..pictures import products

# 1. intersection over union


def _mask_pairs(rng):
    cases = []
    for n, side in ((1, 3), (3, 5), (4, 8)):
        true = rng.random((n, side, side)) < 0.4
        predicted = np.where(rng.random(true.shape) < 0.75, true, rng.random(true.shape) < 0.6)
        true[:, 0, 0] = predicted[:, 0, 1] = True
        cases.append((predicted, true))
    return tuple(cases)


def _pixels(masks):
    return masks.sum(axis=(1, 2))


mask_iou = Function(
    title="intersection over union",
    draw=_mask_pairs,
    right=metrics.mask_iou,
    slips={
        "That is the share of pixels that agree. On a small product a mask of nothing would score well.": (
            lambda predicted, true: (predicted == true).mean(axis=(1, 2))
        ),
        "That is the Dice score, twice the intersection over the sum of both areas.": (
            lambda predicted, true: 2 * _pixels(predicted & true) / (_pixels(predicted) + _pixels(true))
        ),
        "You divide by the true area alone (recall): what was wrongly called product costs nothing.": (
            lambda predicted, true: _pixels(predicted & true) / _pixels(true)
        ),
        "You pool the pixels of all images. Return one value an image.": (
            lambda predicted, true: (predicted & true).sum() / (predicted | true).sum()
        ),
    },
)

# 2. hiding the background


def _pictures(rng):
    images, masks, _ = products(rng, 4)
    return images, masks


def _mean_colour(images, masks):
    """The images, their backgrounds in the mean colour of all pixels of all images, rounded."""
    colour = images.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    return masking.without_background(images, masks, colour)


def _of_each(images, masks):
    hidden = [
        masking.without_background(images[[i]], masks[[i]], images[i].mean(axis=(0, 1)).round())
        for i in range(len(images))
    ]
    return np.concatenate(hidden)


hidden = Value(
    title="a background in the mean colour",
    draw=_pictures,
    right=_mean_colour,
    expected="an array uint8 of shape (4, 48, 48, 3)",
    slips={
        "You painted the product and left the background: what is not 0 in a mask lies inside the product.": (
            lambda images, masks: np.where(
                (masks > 0)[..., None], images.reshape(-1, 3).mean(axis=0).round().astype(np.uint8), images
            )
        ),
        "Your backgrounds are black. The exercise asks for the mean colour of the images.": masking.without_background,
        "Each image has its own mean colour. Use one colour for all: the mean over all images.": _of_each,
        "Your background is grey: average over images and pixels, but keep the three channels apart.": (
            lambda images, masks: masking.without_background(images, masks, [round(images.mean())] * 3)
        ),
    },
    tolerance=1e-6,
)

# 3. pooling inside a mask


def _maps_and_mask(rng):
    mask = np.zeros((12, 12), bool)
    y, x = rng.integers(0, 5, 2)
    mask[y : y + 5, x : x + 6] = True
    return rng.normal(size=(5, 4, 4)), mask


def _weights(mask):
    return functional.adaptive_avg_pool2d(torch.tensor(mask)[None, None].double(), 4)[0, 0].numpy()


pooled = Value(
    title="pooling inside a mask",
    draw=_maps_and_mask,
    right=lambda maps, mask: np.einsum("cij,ij->c", maps, _weights(mask)) / _weights(mask).sum(),
    expected="five numbers, the weighted mean of each map",
    slips={
        "The weighted sum is divided by the number of places. Divide by the sum of the weights.": (
            lambda maps, mask: (maps * _weights(mask)).mean(axis=(1, 2))
        ),
        "Every place that the mask touches counts in full. Weigh each by the share of it that is product.": (
            lambda maps, mask: maps[:, _weights(mask) > 0].mean(axis=1)
        ),
        "That is the mean over all places: the mask has no effect.": lambda maps, mask: maps.mean(axis=(1, 2)),
        "You took every third pixel of the mask. A place of the map stands for 3 x 3 pixels: take their mean.": (
            lambda maps, mask: (maps * mask[::3, ::3]).sum(axis=(1, 2)) / max(mask[::3, ::3].sum(), 1)
        ),
    },
)

# 4. an error of the rim


def _two_sizes(rng):
    large, small = rng.integers(38, 46), rng.integers(8, 13)
    return int(large), int(small)


thin_rim = Prediction(
    title="a rim of one pixel",
    options=("the large one", "the small one", "both alike"),
    moral="The rim grows with the outline, the IoU loses by rim over area: small and thin products pay "
    "most for the same "
    "error. A mean IoU over images of different sizes mixes the two.",
    draw=_two_sizes,
)

# 5. a good IoU that misses a product


def _outfit(rng):
    for _ in range(200):
        _, masks, _ = products(rng, 1, kind="outfit", size=64)
        values, areas = np.unique(masks[0][masks[0] > 0], return_counts=True)
        if len(values) >= 3 and areas.min() / areas.sum() < 0.12 and areas.min() >= 12:
            return (masks[0],)
    raise RuntimeError("no outfit with a small product was drawn")


def _missing_problem(answer, mask):
    answer = np.asarray(answer)
    if answer.shape != mask.shape or answer.dtype.kind not in "bui":
        return (
            f"Expected a mask of shape {mask.shape}, bool or whole numbers, got {answer.dtype} of shape {answer.shape}."
        )
    answer = answer != 0
    if metrics.mask_iou(answer[None], mask[None])[0] < 0.85:
        return "The IoU is below 0.85."
    if all(answer[mask == value].any() for value in np.unique(mask[mask > 0])):
        return "Some pixel of every product is still found. Which product can be left out at the least cost?"
    return None


missing = Construction(
    title="a good IoU that misses a product",
    draw=_outfit,
    expected="a mask of shape (64, 64) with an IoU of at least 0.85 in which one of the products is not found at all",
    problem=_missing_problem,
    slips={
        "Some pixel of every product is still found. Which product can be left out at the least cost?": (
            lambda mask: mask > 0
        ),
        "The IoU is below 0.85.": lambda mask: np.zeros_like(mask),
    },
    moral="For a search that asks for the belt, this mask is worthless, whatever its IoU.",
)

EXERCISES = (mask_iou, hidden, pooled, thin_rim, missing)
