import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.feature import hog as skimage_hog
from sklearn.decomposition import PCA

from lib.descriptors import FlatImagesWarning, PixelPCA, channel_histogram, colour_histogram, hog

rng = np.random.default_rng(0)
NOISE = rng.integers(0, 256, (5, 24, 32, 3), dtype=np.uint8)
PHOTO = data.astronaut()
CROPS = np.stack([PHOTO[i * 40 : i * 40 + 97, i * 30 : i * 30 + 70] for i in range(4)])  # sides that no cell divides
DESCRIPTORS = [colour_histogram, channel_histogram, hog]


def hsv_counts(image, bins):
    """Slow oracle: one pixel after the other, with Python's own colour conversion."""
    counts = np.zeros(bins)
    for red, green, blue in image.reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        counts[tuple(min(int(x * b + 1e-9), b - 1) for x, b in zip((hue, saturation, value), bins, strict=True))] += 1
    return counts.ravel()


# ---- colour ----------------------------------------------------------------------------------------------------------


def test_colour_histogram_equals_a_slow_count_with_another_conversion():
    bins = (6, 3, 5)  # many colours lie on an edge: hue 60 degrees, saturation 1/3, value 51/255
    expected = np.stack([hsv_counts(image, bins) for image in NOISE]) / (24 * 32)
    np.testing.assert_allclose(colour_histogram(NOISE, bins), expected, atol=1e-7)


def test_half_red_half_blue_is_one_half_in_each_bin():
    image = np.zeros((1, 2, 4, 3), np.uint8)
    image[:, :, :2, 0] = 255
    image[:, :, 2:, 2] = 255
    histogram = colour_histogram(image, (3, 1, 1))[0]
    np.testing.assert_array_equal(histogram, [1 / 2, 0, 1 / 2])  # hue 0, hue 240


def test_turning_the_hue_by_one_bin_moves_the_histogram_by_one_bin():
    hues = rng.integers(0, 6, (1, 8, 8))
    palette = np.array([colorsys.hsv_to_rgb((h + 0.5) / 6, 1, 1) for h in range(6)]) * 255  # centres of 6 bins
    before, after = palette[hues].astype(np.uint8), palette[(hues + 1) % 6].astype(np.uint8)
    np.testing.assert_array_equal(
        colour_histogram(after, (6, 1, 1))[0], np.roll(colour_histogram(before, (6, 1, 1))[0], 1)
    )


def test_channel_histogram_equals_numpy_histogram_of_each_channel():
    expected = [[np.histogram(image[..., c], bins=8, range=(0, 256))[0] for c in range(3)] for image in NOISE]
    np.testing.assert_allclose(channel_histogram(NOISE, 8), np.reshape(expected, (5, 24)) / (3 * 24 * 32), atol=1e-7)


@pytest.mark.parametrize("histogram", [colour_histogram, channel_histogram])
def test_histograms_sum_to_one_and_their_roots_have_length_one(histogram):
    np.testing.assert_allclose(histogram(NOISE).sum(axis=1), 1, rtol=1e-6)
    roots = histogram(NOISE, square_root=True)
    np.testing.assert_allclose(np.linalg.norm(roots, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(roots**2, histogram(NOISE), atol=1e-7)


@pytest.mark.parametrize("histogram", [colour_histogram, channel_histogram])
def test_histograms_do_not_know_where_a_pixel_is(histogram):
    shuffled = rng.permutation(NOISE.reshape(5, -1, 3), axis=1).reshape(NOISE.shape)
    np.testing.assert_array_equal(histogram(shuffled), histogram(NOISE))


@pytest.mark.parametrize("bins", [(4, 4), (0, 2, 2), (2, 2, 2, 2)])
def test_colour_histogram_refuses_other_than_three_positive_counts(bins):
    with pytest.raises(ValueError, match="three positive integers"):
        colour_histogram(NOISE, bins)


@pytest.mark.parametrize("bins", [0, 257])
def test_channel_histogram_refuses_bins_that_a_byte_cannot_fill(bins):
    with pytest.raises(ValueError, match=f"from 1 to 256, got {bins}"):
        channel_histogram(NOISE, bins)


# ---- HOG -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orientations", "cell", "block"), [(9, 8, 2), (9, 8, 3), (8, 6, 1), (12, 16, 2), (7, 5, 4), (18, 10, 2), (1, 8, 2)]
)
@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("name", ["noise", "photo"])
def test_hog_equals_scikit_image(name, colour, orientations, cell, block):
    images = {"noise": rng.integers(0, 256, (2, 64, 50, 3), dtype=np.uint8), "photo": CROPS}[name]
    images = images if colour else np.ascontiguousarray(images[..., 1])
    expected = [
        skimage_hog(one, orientations, (cell, cell), (block, block), channel_axis=-1 if colour else None)
        for one in images
    ]
    ours = hog(images, orientations, cell, block)
    assert ours.dtype == np.float32 and ours.flags.c_contiguous
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


def test_every_gradient_between_two_bytes_gets_the_bin_of_scikit_image():
    pairs = rng.integers(0, 256, (400, 3, 3), dtype=np.uint8)  # the middle pixel's gradient, whatever the direction
    pairs[:9] = np.array([[0, 255, 0], [255, 0, 0], [0, 0, 255]], np.uint8)[np.arange(9) % 3][:, None]
    for orientations in (4, 8, 12):  # 45 and 90 degrees lie on the edge of a bin
        expected = [skimage_hog(one, orientations, (3, 3), (1, 1)) for one in pairs]
        np.testing.assert_allclose(hog(pairs, orientations, 3, 1), expected, atol=1e-5)


def test_images_of_one_colour_are_named_and_farthest_from_all_others():
    images = CROPS[[0, 1, 2, 3, 0]].copy()
    images[1], images[4] = (10, 20, 30), 255
    with pytest.warns(FlatImagesWarning, match="2 of 5 images are of one colour .*: rows 1, 4 .*HOG puts") as caught:
        rows = hog(images)
    assert caught[0].message.rows == [1, 4]
    np.testing.assert_allclose(np.linalg.norm(rows[[1, 4]], axis=1), 1, rtol=1e-6)
    cosines = rows @ rows.T
    assert (cosines[[1, 1, 1], [0, 2, 3]] < 0).all() and cosines[1, 4] == pytest.approx(1, abs=1e-5)
    assert (cosines[[0, 0, 2], [2, 3, 3]] > 0).all()


def test_hog_sees_edges_of_colour_alone():
    isoluminant = np.zeros((1, 16, 16, 3), np.uint8)
    isoluminant[:, :, :8, 0] = 150
    isoluminant[:, :, 8:, 1] = 150
    assert hog(isoluminant).any()


def test_hog_does_not_change_with_brightness_and_contrast():
    dark = CROPS // 4 * 2  # even, at most 126
    np.testing.assert_array_equal(hog(dark + 50), hog(dark))  # brighter everywhere
    np.testing.assert_allclose(hog(dark // 2), hog(dark), atol=1e-6)  # half the contrast


def test_hog_refuses_an_image_smaller_than_a_block():
    with pytest.raises(ValueError, match=r"expected images of 16 x 16 pixels or more \(a block\), got 15 x 40"):
        hog(np.zeros((1, 15, 40), np.uint8), cell=8, block=2)


@pytest.mark.parametrize("wrong", [{"orientations": 0}, {"cell": 0}, {"block": 0}])
def test_hog_refuses_settings_below_one(wrong):
    with pytest.raises(ValueError, match="positive integers"):
        hog(NOISE, **wrong)


# ---- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("describe", DESCRIPTORS)
@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(5)))
def test_rows_follow_a_permutation_of_the_images(describe, order):
    np.testing.assert_array_equal(describe(NOISE[list(order)]), describe(NOISE)[list(order)])


@pytest.mark.parametrize("describe", DESCRIPTORS)
def test_a_batch_larger_than_what_is_worked_on_at_once_changes_nothing(describe):
    images = rng.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)  # 102,400 pixels
    one_by_one = np.concatenate([describe(images[i : i + 1]) for i in range(100)])
    np.testing.assert_array_equal(describe(images), one_by_one)


@pytest.mark.parametrize("describe", DESCRIPTORS)
def test_rows_are_contiguous_float32_and_no_images_give_no_rows(describe):
    rows = describe(NOISE)
    assert rows.dtype == np.float32 and rows.flags.c_contiguous
    none = describe(NOISE[:0])
    assert none.shape == (0, rows.shape[1]) and none.dtype == np.float32


@pytest.mark.parametrize("describe", [*DESCRIPTORS, PixelPCA(1).fit])
@pytest.mark.parametrize("wrong", [NOISE.astype(np.float32), NOISE[..., :2], NOISE[0, 0], NOISE[:, :0]])
def test_other_types_and_shapes_are_refused_by_name(describe, wrong):
    with pytest.raises(ValueError, match="expected uint8 images"):
        describe(wrong)


@pytest.mark.parametrize("describe", [*DESCRIPTORS, PixelPCA(1).fit])
def test_one_image_and_images_of_several_sizes_are_refused_with_what_to_do(describe):
    with pytest.raises(ValueError, match=r"got one image \(24, 32, 3\); give image\[None\]"):
        describe(NOISE[0])
    with pytest.raises(ValueError, match=r"got 2 sizes: 20 x 32, 24 x 32; `collection\.images\(size\)` scales them"):
        describe([NOISE[0], NOISE[1, :20]])


@pytest.mark.parametrize("histogram", [colour_histogram, channel_histogram])
def test_colour_descriptors_refuse_grey_images(histogram):
    with pytest.raises(ValueError, match=r"expected uint8 images \(n, h, w, 3\) of one size"):
        histogram(NOISE[..., 0])


@pytest.mark.parametrize("describe", [*DESCRIPTORS, PixelPCA(2).fit])
def test_images_are_not_changed(describe):
    before = NOISE.copy()
    describe(NOISE)
    np.testing.assert_array_equal(NOISE, before)


# ---- PCA of pixels ---------------------------------------------------------------------------------------------------


def test_pixel_pca_equals_the_exact_decomposition_up_to_sign():
    images = rng.integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)
    exact = PCA(29, svd_solver="full").fit_transform(images.reshape(30, -1) / 255)
    ours = PixelPCA(29).fit(images).transform(images)
    assert ours.dtype == np.float32 and ours.flags.c_contiguous
    np.testing.assert_allclose(np.abs(ours), np.abs(exact), atol=1e-3)


def test_all_directions_keep_all_distances():
    pca = PixelPCA(4).fit(NOISE)  # 5 images lie in 4 dimensions around their mean
    pixels, rows = NOISE.reshape(5, -1) / 255, pca.transform(NOISE)
    np.testing.assert_allclose(np.linalg.norm(rows[0] - rows[3]), np.linalg.norm(pixels[0] - pixels[3]), rtol=1e-4)
    assert pca.explained == pytest.approx(1, abs=1e-5)


def test_the_same_seed_gives_the_same_directions():
    first, second = (PixelPCA(3, seed=4).fit(NOISE).transform(NOISE) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_pixel_pca_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="d must be from 1 to 5 for 5 images of 2304 values, got 6"):
        PixelPCA(6).fit(NOISE)
    with pytest.raises(ValueError, match="call fit before transform"):
        PixelPCA(2).transform(NOISE)
    with pytest.raises(ValueError, match=r"expected images of shape \(24, 32, 3\), as those fitted, got \(24, 31, 3\)"):
        PixelPCA(2).fit(NOISE).transform(NOISE[:, :, 1:])
    assert PixelPCA(2).fit(NOISE).transform(NOISE[:0]).shape == (0, 2)
