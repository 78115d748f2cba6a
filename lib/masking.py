"""Images without their background, without their product, or on the background of another image.

Masks show what an embedding responds to: hide the background, or put the product on another one, and compare.

Images are uint8 (n, h, w, 3), masks (n, h, w), nonzero on the product. Needs numpy and OpenCV. Copy this file alone.
"""

import cv2
import numpy as np


def without_background(images, masks, colour=(0, 0, 0)):
    """The images with `colour` in every pixel outside the mask: uint8 (n, h, w, 3).
    >>> without_background(np.full((1, 1, 2, 3), 9, np.uint8), [[[1, 0]]])[0, 0, :, 0].tolist()
    [9, 0]
    """
    images, inside = _checked(images, masks)
    return np.where(inside[..., None], images, np.asarray(colour, np.uint8))


def without_product(images, masks, reach=3):
    """The images with the product filled in from its surroundings (Telea, 2004): uint8 (n, h, w, 3).

    `reach`, in pixels, is the radius of the neighbourhood that a pixel is filled from, and by how much the hole is
    widened first, so that a rim of the product does not colour the filling. An image that is all product becomes grey.
    >>> image = np.full((1, 9, 9, 3), 50, np.uint8)
    >>> image[0, 4, 4] = 255
    >>> bool(without_product(image, image[..., 0] == 255, reach=1).max() < 55)
    True
    """
    images, inside = _checked(images, masks)
    filled = np.empty_like(images)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    for row, (image, hole) in enumerate(zip(images, inside, strict=True)):
        hole = cv2.dilate(hole.astype(np.uint8), kernel)
        filled[row] = cv2.inpaint(image, hole, reach, cv2.INPAINT_TELEA) if not hole.all() else 127
    return filled


def on_background_of(images, masks, grounds):
    """The product of each image on the same row of `grounds`, images without their product: uint8 (n, h, w, 3).
    >>> product, ground = np.full((1, 1, 2, 3), 9, np.uint8), np.full((1, 1, 2, 3), 7, np.uint8)
    >>> on_background_of(product, [[[1, 0]]], ground)[0, 0, :, 0].tolist()
    [9, 7]
    """
    images, inside = _checked(images, masks)
    if np.shape(grounds) != images.shape or np.asarray(grounds).dtype != np.uint8:
        raise ValueError(f"grounds must be uint8 {images.shape}, got {np.asarray(grounds).dtype} {np.shape(grounds)}")
    return np.where(inside[..., None], images, grounds)


def background_share(images, same_product, same_ground, unrelated):
    """How much of the similarity of images comes from the background alone: float64 (n,), whose mean is the share.

    Four embeddings (n, d), row by row: of an image; of its product on another background; of another product on its
    background; of that other product on that other background, which shares neither. With s the cosine to the image,
    the product contributes p = s(same_product) - s(unrelated), the background g = s(same_ground) - s(unrelated), and
    the share is mean(g) / (mean(g) + mean(p)): 0 if only products count, 1 if only backgrounds, 1/2 if both equally.

    The n numbers returned are a linearisation, share + (g - share (g + p)) / mean(g + p): their mean is the share, and
    their bootstrap interval and paired differences are the share's to first order (the delta method). ValueError if
    product and background together contribute nothing.
    To the first embedding only the product counts, to the second both equally: (0 + 1/2) / (0 + 1/2 + 1 + 1/2).
    >>> image, other, between = [1.0, 0.0], [0.0, 1.0], [1.0, 3**0.5]
    >>> float(background_share([image] * 2, [image, between], [other, between], [other] * 2).mean().round(3))
    0.25
    """
    rows = [_directions(each, len(images)) for each in (images, same_product, same_ground, unrelated)]
    to_product, to_ground, to_neither = ((rows[0] * other).sum(axis=1) for other in rows[1:])
    product, ground = to_product - to_neither, to_ground - to_neither
    total = (product + ground).mean()
    if not total > 0:
        raise ValueError(f"expected a similarity above 0 from product and background together, got {total:.3g}")
    share = ground.mean() / total
    return share + (ground - share * (ground + product)) / total


def _directions(embeddings, n):
    """Rows of length 1, float64 (n, d)."""
    embeddings = np.asarray(embeddings, np.float64)
    if embeddings.ndim != 2 or len(embeddings) != n or n == 0:
        raise ValueError(f"embeddings must be ({n}, d) with at least one row, got {embeddings.shape}")
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    n_broken = n - int((np.isfinite(lengths) & (lengths > 0)).sum())
    if n_broken:
        raise ValueError(f"embeddings must be finite rows that are not all zeros, got {n_broken} of {n} that are not")
    return embeddings / lengths


def _checked(images, masks):
    """The images, and bool (n, h, w), True on the product."""
    images, masks = np.asarray(images), np.asarray(masks)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images must be uint8 (n, h, w, 3), got {images.dtype} {images.shape}")
    if masks.shape != images.shape[:3] or masks.dtype.kind not in "biu":
        raise ValueError(f"masks must be bool or integers {images.shape[:3]}, got {masks.dtype} {masks.shape}")
    return images, masks != 0
