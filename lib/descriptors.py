"""Global descriptors: one row of numbers for a whole image, without anything learned from labels.

Contents: `colour_histogram` (joint HSV), `channel_histogram`, `hog`, `PixelPCA`. All take uint8 images (n, h, w, 3),
RGB (grey ones, (n, h, w), where colour is not needed), and give float32 (n, d), one row an image, also (0, d).
ValueError for images of another type or shape. Local descriptors (keypoints, visual words) are in `keypoints.py`.

Needs numpy, OpenCV (colour space) and scikit-learn (PCA). Copy this file alone.
"""

import warnings
from functools import lru_cache

import cv2
import numpy as np
from sklearn.decomposition import PCA

BATCH_PIXELS = 65_536  # pixels worked on at once: what the caches of a laptop hold
EDGE = 1e-4  # of a bin; a colour on the edge of two bins is then in the upper one, however its hue was rounded


class FlatImagesWarning(UserWarning):
    """Some images are of one colour, so they have no gradient. The message names them, `.rows` holds all of them."""

    def __init__(self, rows, n):
        self.rows = rows
        named = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
        super().__init__(
            f"{len(rows)} of {n} images are of one colour (a lens cap, a white page?): rows {named} (files: "
            "`collection.paths[row]`); HOG puts them farthest from all others"
        )


def colour_histogram(images, bins=(12, 3, 3), square_root=False):
    """Share of the pixels in each joint bin of hue, saturation and value: float32 (n, product of bins).

    Columns run over hue first, then saturation, then value, as a C-ordered array of shape `bins`. Hue bin i holds
    hues from i * 360 / bins[0] degrees up to the next; a grey pixel has no hue and counts as hue 0, saturation 0.
    Rows sum to 1. With `square_root` their Euclidean length is 1 instead, and a dot product of two rows is the
    Bhattacharyya coefficient (the "Hellinger kernel"): frequent colours then dominate less.
    After Swain and Ballard, "Color Indexing", 1991, there in opponent colours.
    >>> one_red_three_black = np.zeros((1, 2, 2, 3), np.uint8)
    >>> one_red_three_black[0, 0, 0, 0] = 255
    >>> histogram = colour_histogram(one_red_three_black, bins=(3, 2, 2)).reshape(3, 2, 2)
    >>> float(histogram[0, 1, 1]), float(histogram[0, 0, 0])  # saturated and bright; black
    (0.25, 0.75)
    """
    images = _checked(images, colour=True)
    if len(bins) != 3 or min(bins) < 1:
        raise ValueError(f"bins must be three positive integers (hue, saturation, value), got {bins!r}")
    width = np.array([360 / bins[0], 1 / bins[1], 1 / bins[2]], np.float32)
    highest = np.array(bins) - 1
    place = np.array([bins[1] * bins[2], bins[2], 1])

    def bin_of(pixels):  # (m, h, w, 3) -> (m, h, w)
        m, h, w, _ = pixels.shape
        hsv = cv2.cvtColor(pixels.reshape(m * h, w, 3).astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
        return (np.minimum((hsv / width + EDGE).astype(np.intp), highest) @ place).reshape(m, h, w)

    return _histograms(images, bin_of, int(np.prod(bins)), square_root)


def channel_histogram(images, bins=16, square_root=False):
    """Share of the pixels in each bin of each channel on its own: float32 (n, 3 * bins), red, then green, then blue.

    The histogram of a channel sums to 1/3, so that a row sums to 1 (with `square_root` its length is 1). Bin i of a
    channel holds the values v with v * bins // 256 == i; bins is 1 to 256. Three marginal histograms are shorter than
    the joint one, and less specific: an image half red, half green has the same row as one half yellow, half black.
    >>> images = np.array([[[[255, 0, 0], [0, 255, 0]]], [[[255, 255, 0], [0, 0, 0]]]], np.uint8)  # these two
    >>> (channel_histogram(images, bins=2) * 6).round().tolist()
    [[1.0, 1.0, 1.0, 1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0, 2.0, 0.0]]
    """
    images = _checked(images, colour=True)
    if not 1 <= bins <= 256:
        raise ValueError(f"bins must be from 1 to 256, got {bins!r}")
    bin_of_value = np.arange(256) * bins // 256 + bins * np.arange(3)[:, None]  # (3, 256)
    return _histograms(images, lambda pixels: bin_of_value[np.arange(3), pixels], 3 * bins, square_root)


def hog(images, orientations=9, cell=8, block=2):
    """Histograms of oriented gradients: float32 (n, block rows * block columns * block * block * orientations).

    Each pixel votes with the length of its gradient for one of `orientations` bins of direction, 180 degrees in all
    (a step from dark to bright counts as one from bright to dark). Votes are averaged over cells of `cell` x `cell`
    pixels. Every square of `block` x `block` cells is then scaled to length 1, clipped at 0.2, and scaled again
    ("L2-Hys"), which takes away light and contrast. Columns run over block row, block column, cell row, cell column,
    orientation. Pixels right of and below the last whole cell are not used.

    At a pixel of a colour image the channel with the longest gradient votes. An image of one colour has no gradient:
    its row would be zero, which has no direction. It gets the value -1 / sqrt(d) in every column instead, so that it is
    farther from all others than they are from each other, and a `FlatImagesWarning` names it.

    Otherwise equal within 1e-5 to `skimage.feature.hog(image, orientations, (cell, cell), (block, block))`,
    with `channel_axis=-1` for colour, and faster: a difference of two bytes is one of 511 numbers, so length and
    direction of every possible gradient stand in a table. ValueError for images smaller than a block.
    After Dalal and Triggs, CVPR 2005, without their Gaussian window and without votes shared between neighbouring bins.
    >>> upright_edge = np.zeros((1, 8, 8), np.uint8)
    >>> upright_edge[:, :, 4:] = 255  # all gradients point along the row: bin 0
    >>> hog(upright_edge, orientations=4, cell=8, block=1).round(3).tolist()
    [[1.0, 0.0, 0.0, 0.0]]
    """
    images = _checked(images)
    if min(orientations, cell, block) < 1:
        raise ValueError(f"orientations, cell and block must be positive integers, got {orientations}, {cell}, {block}")
    images = images[..., None] if images.ndim == 3 else images
    n, h, w, _ = images.shape
    rows, columns = h // cell, w // cell
    if min(rows, columns) < block:
        raise ValueError(f"expected images of {block * cell} x {block * cell} pixels or more (a block), got {h} x {w}")
    length, direction = _gradient_tables(orientations)
    batch = max(1, BATCH_PIXELS // (h * w))
    cells = (np.arange(rows * cell)[:, None] // cell) * columns + np.arange(columns * cell) // cell
    first_bin = (np.arange(batch)[:, None, None] * (rows * columns) + cells) * orientations  # (batch, height, width)
    blocks = np.empty((n, rows - block + 1, columns - block + 1, block, block, orientations), np.float32)
    for start in range(0, n, batch):
        gradient, votes = _strongest_gradient(images[start : start + batch], length, rows * cell, columns * cell)
        m = len(gradient)
        bins = first_bin[:m] + direction[gradient]
        histogram = np.bincount(bins.ravel(), votes.ravel(), minlength=m * rows * columns * orientations)
        histogram = histogram.reshape(m, rows, columns, orientations) / cell**2
        square = np.lib.stride_tricks.sliding_window_view(histogram, (block, block), axis=(1, 2))
        square = square.transpose(0, 1, 2, 4, 5, 3)  # (m, block rows, block columns, block, block, orientations)
        blocks[start : start + m] = _unit_block(np.minimum(_unit_block(square), 0.2))
    rows = blocks.reshape(n, int(np.prod(blocks.shape[1:])))
    flat = np.flatnonzero((images == images[:, :1, :1]).all(axis=(1, 2, 3)))
    if len(flat):
        rows[flat] = -1 / np.sqrt(rows.shape[1])
        warnings.warn(FlatImagesWarning(flat.tolist(), n), stacklevel=2)
    return rows


class PixelPCA:
    """The d directions in which the pixels of a collection vary most, and the coordinates of images along them.

    Pixels are scaled to 0..1; the mean image is subtracted; nothing is whitened (scikit-learn's randomised PCA, drawn
    by `seed`). `explained` is the share of the variance that the d directions hold. ValueError if d is above the number
    of images or of pixel values, for images of another size than those fitted, and for `transform` before `fit`.
    >>> dark_to_bright = np.arange(0, 250, 50, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    >>> pca = PixelPCA(1).fit(dark_to_bright)
    >>> abs(pca.transform(dark_to_bright)[:, 0] * 255 / 4).round().tolist()  # four times as long: 16 pixels move as one
    [100.0, 50.0, 0.0, 50.0, 100.0]
    """

    def __init__(self, d, seed=0):
        self.d, self.seed = d, seed

    def fit(self, images):
        pixels = self._pixels(images)
        n, n_values = pixels.shape
        if not 1 <= self.d <= min(n, n_values):
            most = f"{min(n, n_values)} for {n} images of {n_values} values"
            raise ValueError(f"d must be from 1 to {most}, got {self.d}")
        self.pca = PCA(self.d, svd_solver="randomized", random_state=self.seed).fit(pixels)
        self.shape = np.shape(images)[1:]
        self.explained = float(self.pca.explained_variance_ratio_.sum())
        return self

    def transform(self, images):
        if not hasattr(self, "pca"):
            raise ValueError("call fit before transform")
        pixels = self._pixels(images)
        if np.shape(images)[1:] != self.shape:
            raise ValueError(f"expected images of shape {self.shape}, as those fitted, got {np.shape(images)[1:]}")
        if not len(pixels):
            return np.zeros((0, self.d), np.float32)
        return np.ascontiguousarray(self.pca.transform(pixels), np.float32)

    def _pixels(self, images):
        images = _checked(images)
        return images.reshape(len(images), int(np.prod(images.shape[1:]))).astype(np.float32) / 255


def _checked(images, colour=False):
    """The images as an array, after a check of type and shape."""
    expected = f"uint8 images {'(n, h, w, 3)' if colour else '(n, h, w, 3) or (n, h, w)'} of one size"
    if isinstance(images, (list, tuple)):
        sizes = sorted({np.shape(image)[:2] for image in images})
        if len(sizes) > 1:
            some = f"{len(sizes)} sizes: {', '.join(' x '.join(map(str, size)) for size in sizes[:3])}"
            raise ValueError(f"expected {expected}, got {some}; `collection.images(size)` scales them")
    images = np.asarray(images)
    is_array_of_images = (images.ndim == 4 and images.shape[-1] == 3) or (images.ndim == 3 and not colour)
    if images.ndim == 3 and images.shape[-1] == 3 < images.shape[1]:  # grey images are seldom 3 pixels wide
        raise ValueError(f"expected {expected}, got one image {images.shape}; give image[None]")
    if images.dtype != np.uint8 or not is_array_of_images or 0 in images.shape[1:]:
        raise ValueError(f"expected {expected}, got {images.dtype} {images.shape}")
    return images


def _histograms(images, bin_of, n_bins, square_root):
    """Rows that sum to 1: how many of an image's bin numbers `bin_of(batch)` are equal to each of 0..n_bins-1."""
    n, h, w, _ = images.shape
    batch = max(1, BATCH_PIXELS // (h * w))
    counts = np.empty((n, n_bins))
    for start in range(0, n, batch):
        bins = bin_of(images[start : start + batch])
        m = len(bins)
        bins = bins.reshape(m, -1) + n_bins * np.arange(m)[:, None]
        counts[start : start + m] = np.bincount(bins.ravel(), minlength=m * n_bins).reshape(m, n_bins)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.ascontiguousarray(np.sqrt(shares) if square_root else shares, np.float32)


@lru_cache(maxsize=4)
def _gradient_tables(orientations):
    """Length and direction bin of every gradient between bytes, at index 511 * (row step + 255) + column step + 255."""
    steps = np.arange(-255.0, 256.0)
    angle = np.rad2deg(np.arctan2(steps[:, None], steps)) % 180
    return np.hypot(steps[:, None], steps).ravel(), (angle // (180 / orientations)).astype(np.intp).ravel()


def _strongest_gradient(images, length, height, width):
    """Table index and length (m, height, width) of each pixel's gradient, from the channel where it is longest."""
    gradient = votes = None  # at the rim the step across it is 0; of equal channels the first counts
    for channel in np.moveaxis(images, -1, 0):
        channel = channel.astype(np.intp)
        index = np.full(channel.shape, 511 * 255 + 255)
        index[:, 1:-1] += 511 * (channel[:, 2:] - channel[:, :-2])
        index[:, :, 1:-1] += channel[:, :, 2:] - channel[:, :, :-2]
        index = index[:, :height, :width]
        candidate = length[index]
        if gradient is None:
            gradient, votes = index, candidate
        else:
            np.copyto(gradient, index, where=candidate > votes)
            np.maximum(votes, candidate, out=votes)
    return gradient, votes


def _unit_block(blocks):  # (..., block, block, orientations)
    return blocks / np.sqrt((blocks**2).sum(axis=(-3, -2, -1), keepdims=True) + 1e-10)
