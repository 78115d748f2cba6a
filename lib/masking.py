"""Images without their background, without their product, or before another's background.

What an embedding sees can be asked with a mask: hide the background and compare; or put the same product before another
ground, and another product before the same ground, and see which of the two the embedding calls alike.

Contents
    without_background   all outside the mask in one colour
    without_product      all inside the mask filled from its surroundings
    on_background_of     the product of one image before the ground of another
    background_share     how much of the similarity of images comes from their grounds alone

Images are uint8 (n, h, w, 3), masks (n, h, w): what is not 0 is the product. Needs numpy and opencv (cv2). Copy this
file alone: it imports nothing else of the course.
"""

import cv2
import numpy as np

__all__ = ["background_share", "on_background_of", "without_background", "without_product"]


def without_background(images, masks, colour=(0, 0, 0)):
    """The images with every pixel outside the mask in `colour`: uint8 (n, h, w, 3).

    >>> without_background(np.full((1, 1, 2, 3), 9, np.uint8), [[[1, 0]]])[0, 0, :, 0].tolist()
    [9, 0]
    """
    images, inside = _checked(images, masks)
    return np.where(inside[..., None], images, np.asarray(colour, np.uint8))


def without_product(images, masks, reach=3):
    """The images with the product filled in from its surroundings (Telea, 2004): uint8 (n, h, w, 3).

    `reach`, in pixels, is how far around each pixel is looked, and how far the hole is widened first, so that a rim of
    the product does not colour the filling. An image that is all product becomes grey: nothing is known of its ground.

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
    """The product of each image before the ground of the same row of `grounds` (images without their product).

    >>> product, ground = np.full((1, 1, 2, 3), 9, np.uint8), np.full((1, 1, 2, 3), 7, np.uint8)
    >>> on_background_of(product, [[[1, 0]]], ground)[0, 0, :, 0].tolist()
    [9, 7]
    """
    images, inside = _checked(images, masks)
    if np.shape(grounds) != images.shape or np.asarray(grounds).dtype != np.uint8:
        raise ValueError(f"grounds are {np.asarray(grounds).dtype} {np.shape(grounds)}; uint8 {images.shape} is needed")
    return np.where(inside[..., None], images, grounds)


def background_share(images, same_product, same_ground, unrelated):
    """How much of the similarity of images comes from the ground alone: float64 (n,), whose mean is the share.

    Four times embeddings (n, d), row by row: of an image; of its product before another ground; of another product
    before its ground; of that other product before that other ground, which shares neither. With s the cosine to the
    image, the product brings p = s(same_product) - s(unrelated), the ground g = s(same_ground) - s(unrelated), and the
    share is mean(g) / (mean(g) + mean(p)): 0 if only products are seen, 1 if only grounds are, 1/2 if both alike.

    A ratio of two means has no value for each image that it is the mean of. The n numbers returned are its
    linearisation, share + (g - share (g + p)) / mean(g + p): their mean is the share, and their bootstrap interval and
    paired differences are the share's to first order (the delta method). ValueError if product and ground together
    bring nothing, so that there is no similarity to divide.

    The first image is taken for its product alone, the second for both alike: (0 + 1/2) / (0 + 1/2 + 1 + 1/2).

    >>> image, other, between = [1.0, 0.0], [0.0, 1.0], [1.0, 3**0.5]
    >>> float(background_share([image] * 2, [image, between], [other, between], [other] * 2).mean().round(3))
    0.25
    """
    rows = [_directions(each, len(images)) for each in (images, same_product, same_ground, unrelated)]
    to_product, to_ground, to_neither = ((rows[0] * other).sum(axis=1) for other in rows[1:])
    product, ground = to_product - to_neither, to_ground - to_neither
    total = (product + ground).mean()
    if not total > 0:
        raise ValueError(f"product and ground bring {total:.3g} of similarity together; above 0 there is a share")
    share = ground.mean() / total
    return share + (ground - share * (ground + product)) / total


def _directions(embeddings, n):
    """Rows of length 1, float64 (n, d)."""
    embeddings = np.asarray(embeddings, np.float64)
    if embeddings.ndim != 2 or len(embeddings) != n or n == 0:
        raise ValueError(f"embeddings have shape {embeddings.shape}; ({n}, d) with a row or more is needed")
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise ValueError("embeddings hold rows that are zero or not finite, which have no direction")
    return embeddings / lengths


def _checked(images, masks):
    """The images, and bool (n, h, w): inside or not."""
    images, masks = np.asarray(images), np.asarray(masks)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images are {images.dtype} {images.shape}; uint8 (n, h, w, 3) is needed")
    if masks.shape != images.shape[:3] or masks.dtype.kind not in "biu":
        raise ValueError(f"masks are {masks.dtype} {masks.shape}; bool or whole numbers {images.shape[:3]} are needed")
    return images, masks != 0
