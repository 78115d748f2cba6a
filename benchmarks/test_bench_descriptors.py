"""HOG of a batch against scikit-image's, image by image: same pixels, same settings, one thread each.

Ours must take at most a fifth of the time an image. The ratio is taken over interleaved rounds of one run, so that a
busy machine slows both. Run with `make bench`, or `pytest benchmarks --benchmark-enable`.
"""

import time

import numpy as np
import pytest
from skimage import data
from skimage.feature import hog as skimage_hog

from lib.descriptors import hog

N_IMAGES, SIZE, ROUNDS = 64, 96, 7


def crops(colour):
    photo = data.astronaut()
    images = np.stack([photo[4 * i : 4 * i + SIZE, 3 * i : 3 * i + SIZE] for i in range(N_IMAGES)])
    return images if colour else np.ascontiguousarray(images[..., 1])


def one_by_one(images):
    axis = -1 if images.ndim == 4 else None
    return np.stack([skimage_hog(one, 9, (8, 8), (2, 2), channel_axis=axis) for one in images])


def seconds(act, images):
    start = time.perf_counter()
    act(images)
    return time.perf_counter() - start


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_hog_is_at_least_five_times_as_fast_as_scikit_image(benchmark, colour):
    images = crops(colour)
    np.testing.assert_allclose(hog(images), one_by_one(images), atol=1e-5)  # also warms both up
    pairs = [(seconds(hog, images), seconds(one_by_one, images)) for _ in range(ROUNDS)]
    ours, theirs = np.median(pairs, axis=0) / N_IMAGES * 1000
    benchmark.extra_info.update(ours_ms=ours, scikit_image_ms=theirs, ratio=theirs / ours)
    kind = "colour" if colour else "grey"
    print(f"\n{kind}: ours {ours:.2f} ms an image, scikit-image {theirs:.2f}, ratio {theirs / ours:.1f}")
    benchmark.pedantic(hog, args=(images,), rounds=ROUNDS, warmup_rounds=1)
    assert theirs / ours >= 5
