"""What is inside and what is outside of a mask, taken away or exchanged; and what the ground brings to a similarity."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lib import masking, significance


def pictures(n=3, size=12, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (n, size, size, 3)).astype(np.uint8)
    masks = np.zeros((n, size, size), np.uint8)
    masks[:, 3:8, 4:9] = 7
    return images, masks


def test_the_product_stays_and_all_else_is_one_colour():
    images, masks = pictures()
    bare = masking.without_background(images, masks, (9, 8, 7))
    assert_array_equal(bare[masks > 0], images[masks > 0])
    assert_array_equal(bare[masks == 0], np.broadcast_to([9, 8, 7], (int((masks == 0).sum()), 3)))


def test_the_hole_is_filled_with_what_is_around_it():
    images, masks = pictures()
    images[:] = (10, 120, 230)
    images[masks > 0] = 255 - images[masks > 0]
    filled = masking.without_product(images, masks)
    assert np.abs(filled.astype(int) - (10, 120, 230)).max() <= 5


def test_far_from_the_hole_nothing_is_changed():
    images, masks = pictures(size=20)
    filled = masking.without_product(images, masks, reach=2)
    assert_array_equal(filled[:, 13:], images[:, 13:])
    assert not np.array_equal(filled[masks > 0], images[masks > 0])


def test_an_image_that_is_all_product_becomes_grey():
    images, masks = pictures(n=1)
    assert (masking.without_product(images, np.ones_like(masks)) == 127).all()


def test_a_product_before_its_own_ground_is_the_image():
    images, masks = pictures()
    assert_array_equal(masking.on_background_of(images, masks, images), images)
    swapped = masking.on_background_of(images, masks, images[::-1])
    assert_array_equal(swapped[masks > 0], images[masks > 0])
    assert_array_equal(swapped[masks == 0], images[::-1][masks == 0])


def test_no_argument_is_changed():
    images, masks = pictures()
    before = images.copy(), masks.copy()
    masking.without_background(images, masks)
    masking.without_product(images, masks)
    masking.on_background_of(images, masks, images[::-1])
    assert_array_equal(images, before[0])
    assert_array_equal(masks, before[1])


def embeddings(product_weight, n=400, d=60, seed=0):
    """Of an embedding that adds what the product says and what the ground says: the four times of background_share."""
    rng = np.random.default_rng(seed)
    product, ground, other_product, other_ground = rng.standard_normal((4, n, d))

    def seen(product, ground):
        return product_weight * product + ground

    return (
        seen(product, ground),
        seen(product, other_ground),
        seen(other_product, ground),
        seen(other_product, other_ground),
    )


@pytest.mark.parametrize(("product_weight", "share"), [(1.0, 1 / 2), (2.0, 1 / 5), (0.0, 1.0), (1e6, 0.0)])
def test_the_share_is_that_of_the_squared_weights(product_weight, share):
    # cosines are shares of squared length: w² of the product, 1 of the ground
    assert masking.background_share(*embeddings(product_weight)).mean() == pytest.approx(share, abs=0.03)


def test_what_all_images_have_in_common_plays_no_part():
    alike = [rows + 0 for rows in embeddings(2.0)]
    raised = [np.concatenate([rows, np.full((len(rows), 1), 20.0)], axis=1) for rows in alike]
    assert masking.background_share(*raised).mean() == pytest.approx(1 / 5, abs=0.04)


def test_its_mean_is_the_ratio_of_the_means_and_its_spread_the_ratios():
    parts = embeddings(1.5, n=300)

    def cosine(a, b):
        return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)

    image, same_product, same_ground, unrelated = parts
    p = cosine(image, same_product) - cosine(image, unrelated)
    g = cosine(image, same_ground) - cosine(image, unrelated)
    values = masking.background_share(*parts)
    assert values.mean() == pytest.approx(g.mean() / (g.mean() + p.mean()))
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(p), (2000, len(p)))
    resampled = g[rows].mean(1) / (g[rows].mean(1) + p[rows].mean(1))
    assert_allclose(significance.bootstrap_interval(values), np.quantile(resampled, [0.025, 0.975]), atol=0.01)


def test_bad_input_is_refused():
    images, masks = pictures()
    with pytest.raises(ValueError, match=r"images must be uint8 .* got float64 \(3, 12, 12, 3\)"):
        masking.without_background(images / 255, masks)
    with pytest.raises(ValueError, match=r"masks must be .* got uint8 \(3, 12, 11\)"):
        masking.without_product(images, masks[:, :, :-1])
    with pytest.raises(ValueError, match=r"grounds must be .* got uint8 \(2, 12, 12, 3\)"):
        masking.on_background_of(images, masks, images[:2])
    one = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"must be \(2, d\) with at least one row, got \(1, 3\)"):
        masking.background_share(one, one, one, one[:1])
    with pytest.raises(ValueError, match="must be finite rows that are not all zeros, got 2 of 2"):
        masking.background_share(one, one, one, 0 * one)
    with pytest.raises(ValueError, match="expected a similarity above 0"):
        masking.background_share(one, one, one, one)
