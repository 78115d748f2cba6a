import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from sklearn.feature_extraction.text import TfidfTransformer

from lib.keypoints import (
    VLAD,
    BagOfVisualWords,
    Keypoints,
    NoKeypointsWarning,
    count_inliers,
    dense_sift,
    geometric_rerank,
    keypoints,
    mark_empty_rows,
    match,
    orb,
    root_sift,
    sift,
)

rng = np.random.default_rng(0)
PHOTO = data.astronaut()
PHOTOS = [PHOTO[:128, 180:308], PHOTO[200:328, 100:260], PHOTO[300:420, 300:460]]  # sizes differ
BLANK = np.full((64, 64, 3), 128, np.uint8)
KINDS = ["sift", "orb", "dense_sift"]


def drawn(n, d=6, shape=(40, 60), seed=0):
    """Keypoints of one image, at random."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 1, (n, 2)) * [shape[1], shape[0]]
    return Keypoints(xy.astype(np.float32), rng.normal(size=(n, d)).astype(np.float32), *shape)


IMAGES = [drawn(n, seed=n) for n in (30, 1, 55, 12, 80)]
NOTHING = Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 6), np.float32), 40, 60)


def words_of(model, image):
    """Slow oracle: the word nearest to each descriptor."""
    return [int(np.argmin(((model.words - x) ** 2).sum(axis=1))) for x in image.descriptors]


# ---- keypoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "d", "dtype"), [("sift", 128, np.float32), ("orb", 32, np.uint8)])
def test_keypoints_equal_opencv_on_the_grey_image(kind, d, dtype):
    grey = cv2.cvtColor(PHOTOS[1], cv2.COLOR_RGB2GRAY)
    detector = cv2.SIFT_create() if kind == "sift" else cv2.ORB_create(edgeThreshold=31)
    points, descriptors = detector.detectAndCompute(grey, None)
    ours = keypoints([PHOTOS[1]], kind)[0]
    np.testing.assert_array_equal(ours.descriptors, descriptors)
    np.testing.assert_allclose(ours.xy, [point.pt for point in points])
    assert ours.descriptors.shape[1] == d and ours.descriptors.dtype == dtype
    assert (ours.height, ours.width) == PHOTOS[1].shape[:2]


@pytest.mark.parametrize("kind", KINDS)
def test_every_keypoint_lies_in_its_image_and_has_one_descriptor(kind):
    for one, image in zip(keypoints(PHOTOS, kind), PHOTOS, strict=True):
        assert one.xy.shape == (len(one.descriptors), 2) and len(one.xy) > 10
        assert (one.xy >= 0).all() and (one.xy <= [image.shape[1], image.shape[0]]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_grey_images_and_arrays_of_images_are_taken_too(kind):
    grey = cv2.cvtColor(PHOTOS[0], cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(keypoints([grey], kind)[0].descriptors, keypoints([PHOTOS[0]], kind)[0].descriptors)
    assert len(keypoints(np.stack([PHOTOS[0]] * 2), kind)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_no_images_give_no_keypoints(kind):
    assert keypoints([], kind) == []
    assert keypoints(np.zeros((0, 8, 8, 3), np.uint8), kind) == []


@pytest.mark.parametrize(("kind", "d"), [("sift", 128), ("orb", 32)])
def test_a_blank_image_has_no_keypoint_but_keeps_the_width_of_a_descriptor(kind, d):
    blank = keypoints([BLANK], kind)[0]
    assert blank.xy.shape == (0, 2) and blank.descriptors.shape == (0, d)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [1, 2, 5, 12])
def test_an_image_smaller_than_any_patch_has_no_keypoint(kind, side):
    tiny = rng.integers(0, 256, (side, side), dtype=np.uint8)
    assert len(keypoints([tiny], kind)[0].xy) == 0


def test_orb_leaves_a_rim_as_wide_as_its_patch():
    image = rng.integers(0, 256, (62, 200), dtype=np.uint8)
    assert len(orb(image, patch=31).xy) == 0
    assert len(orb(image, patch=15).xy) > 0


def test_matches_on_one_point_or_one_line_fix_no_homography():
    looks = 100 * np.eye(9, dtype=np.float32)
    point = Keypoints(np.zeros((9, 2), np.float32), looks, 99, 99)
    line = Keypoints(np.repeat(np.arange(9, dtype=np.float32)[:, None], 2, axis=1), looks, 99, 99)
    assert count_inliers(point, point, model="homography") == count_inliers(line, line, model="homography") == 0
    assert count_inliers(line, line, model="similarity") == 9


def test_dense_grids_of_two_scales_have_as_many_points_as_fit():
    found = dense_sift(np.zeros((40, 60), np.uint8), step=10, patches=(20, 30))
    small = [(x, y) for y in (10, 20, 30) for x in (10, 20, 30, 40, 50)]
    large = [(x, y) for y in (15, 25) for x in (15, 25, 35, 45)]
    np.testing.assert_array_equal(found.xy, small + large)


def test_dense_sift_sees_little_further_than_its_square():
    dark, bright = (np.full((64, 64), grey, np.uint8) for grey in (0, 255))
    dark[18:46, 18:46] = bright[18:46, 18:46] = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    one, other = (dense_sift(image, step=24, patches=(16,)) for image in (dark, bright))
    assert one.xy[4].tolist() == [32, 32]  # its square is 24..40
    np.testing.assert_array_equal(one.descriptors[4], other.descriptors[4])
    assert not np.array_equal(one.descriptors, other.descriptors)


def test_dense_sift_of_a_patch_larger_than_the_image_is_empty():
    assert len(dense_sift(np.zeros((12, 12), np.uint8), patches=(16,)).xy) == 0


def test_upright_patch_turned_by_half_a_circle_turns_its_descriptor():
    patch = cv2.GaussianBlur(rng.integers(0, 256, (17, 17), dtype=np.uint8), (0, 0), 2)
    one, turned = (
        dense_sift(p, step=99, patches=(17,)).descriptors[0].reshape(4, 4, 8) for p in (patch, patch[::-1, ::-1])
    )
    expected = np.roll(one[::-1, ::-1], 4, axis=2)  # cells change places, directions turn by 180 degrees
    assert np.corrcoef(turned.ravel(), expected.ravel())[0, 1] > 0.99
    assert np.corrcoef(turned.ravel(), one.ravel())[0, 1] < 0.9


def test_root_sift_rows_have_length_one_and_zeros_stay_zero():
    descriptors = rng.integers(0, 256, (5, 128)).astype(np.float32)
    descriptors[2] = 0
    lengths = np.linalg.norm(root_sift(descriptors), axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 0, 1, 1], rtol=1e-6)
    np.testing.assert_array_equal(sift(PHOTOS[0], root=True).descriptors, root_sift(sift(PHOTOS[0]).descriptors))


def test_n_max_limits_and_a_lower_contrast_adds_keypoints():
    assert len(sift(PHOTOS[0], n_max=7).xy) <= 8  # OpenCV keeps equals of the last
    assert 0 < len(orb(PHOTOS[0], n_max=7).xy) <= 7 < len(orb(PHOTOS[0]).xy)
    assert len(sift(PHOTOS[0], contrast=0.01).xy) > len(sift(PHOTOS[0], contrast=0.04).xy)


def test_unknown_kinds_and_wrong_images_are_refused_with_their_row():
    with pytest.raises(ValueError, match="one of sift, orb, dense_sift, got 'surf'"):
        keypoints(PHOTOS, "surf")
    with pytest.raises(ValueError, match=r"image 1: expected a uint8 image .* got float64 \(8, 8\)"):
        keypoints([PHOTOS[0], np.zeros((8, 8))])
    with pytest.raises(ValueError, match=r"image 0: .* got uint8 \(8, 8, 4\)"):
        keypoints([np.zeros((8, 8, 4), np.uint8)])
    with pytest.raises(ValueError, match="at least 1 pixel, got 0"):
        dense_sift(BLANK, step=0)
    with pytest.raises(TypeError):
        keypoints(PHOTOS, "sift", step=4)


# ---- bag of visual words ---------------------------------------------------------------------------------------------


def test_bag_of_words_equals_scikit_learn_tf_idf_of_a_slow_count():
    model = BagOfVisualWords(7).fit(IMAGES)
    counts = np.array([np.bincount(words_of(model, image), minlength=7) for image in IMAGES])
    expected = TfidfTransformer().fit(counts).transform(counts).toarray()
    np.testing.assert_allclose(model.transform(IMAGES), expected, atol=1e-6)


def test_weights_of_words_come_from_the_fitted_images_alone():
    model = BagOfVisualWords(5).fit(IMAGES)
    np.testing.assert_array_equal(model.transform(IMAGES[:2]), model.transform(IMAGES)[:2])


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_spatial_pyramid_equals_a_slow_count_of_each_cell(power):
    n_words, levels = 3, 3
    model = BagOfVisualWords(n_words, tf_idf=False, levels=levels, power=power).fit(IMAGES)
    expected = []
    for image in IMAGES:
        row = []
        for level, weight in enumerate([1 / 4, 1 / 4, 1 / 2]):
            counts = np.zeros((2**level, 2**level, n_words))
            for (x, y), word in zip(image.xy, words_of(model, image), strict=True):
                counts[int(y / image.height * 2**level), int(x / image.width * 2**level), word] += 1
            row.append(weight * counts.ravel() / len(image.xy))
        row = np.concatenate(row) ** power
        expected.append(row / np.linalg.norm(row))
    rows = model.transform(IMAGES)
    assert rows.shape == (5, n_words * (1 + 4 + 16))
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_hellinger_rows_multiply_to_the_weighted_bhattacharyya_sum():
    plain = BagOfVisualWords(6, tf_idf=False, levels=2).fit(IMAGES)
    rooted = BagOfVisualWords(6, tf_idf=False, levels=2, power=0.5).fit(IMAGES)
    shares = plain.transform(IMAGES)
    shares = shares / shares.sum(axis=1, keepdims=True)  # weights of two levels add up to 1
    rows = rooted.transform(IMAGES)
    np.testing.assert_allclose(rows @ rows.T, np.sqrt(shares) @ np.sqrt(shares).T, atol=1e-5)


def test_a_keypoint_on_the_right_or_lower_rim_counts_in_the_last_cell():
    on_rim = Keypoints(np.array([[60, 40]], np.float32), np.ones((1, 6), np.float32), 40, 60)
    row = BagOfVisualWords(1, tf_idf=False, levels=2).fit([on_rim]).transform([on_rim])[0]
    np.testing.assert_allclose(row / row[0], [1, 0, 0, 0, 1])


def test_orb_words_count_bits():
    images = keypoints(PHOTOS, "orb")
    model = BagOfVisualWords(9).fit(images)
    assert model.words.shape == (9, 256) and model.words.min() >= 0 and model.words.max() <= 1
    nearest = [np.argmin(((model.words - np.unpackbits(x)) ** 2).sum(axis=1)) for x in images[0].descriptors]
    counts = np.bincount(nearest, minlength=9) * model.idf
    np.testing.assert_allclose(model.transform(images[:1])[0], counts / np.linalg.norm(counts), atol=1e-6)


# ---- VLAD ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_vlad_equals_a_slow_loop(power):
    model = VLAD(4, power=power).fit(IMAGES)
    expected = np.zeros((5, 4, 6))
    for row, image in enumerate(IMAGES):
        for word, x in zip(words_of(model, image), image.descriptors, strict=True):
            expected[row, word] += x - model.words[word]
    expected = np.sign(expected) * np.abs(expected) ** power
    expected = expected.reshape(5, 24)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(model.transform(IMAGES), expected, atol=1e-5)


def test_one_word_and_no_power_leave_the_direction_of_the_sum():
    model = VLAD(1, power=1).fit(IMAGES)
    residual = IMAGES[0].descriptors.sum(axis=0) - 30 * model.words[0]
    np.testing.assert_allclose(model.transform(IMAGES[:1])[0], residual / np.linalg.norm(residual), atol=1e-5)


# ---- both ------------------------------------------------------------------------------------------------------------

MODELS = [BagOfVisualWords(6), BagOfVisualWords(4, levels=3, power=0.5), VLAD(3)]


@pytest.mark.parametrize("model", MODELS)
def test_rows_are_contiguous_float32_of_length_one(model):
    rows = model.fit(IMAGES).transform(IMAGES)
    assert rows.dtype == np.float32 and rows.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(5)))
def test_rows_follow_a_permutation_of_the_images(model, order):
    model.fit(IMAGES)
    shuffled = model.transform([IMAGES[i] for i in order])
    np.testing.assert_allclose(shuffled, model.transform(IMAGES)[list(order)], atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_rows_do_not_depend_on_the_order_of_keypoints(model):
    backwards = [Keypoints(one.xy[::-1], one.descriptors[::-1], one.height, one.width) for one in IMAGES]
    model.fit(IMAGES)
    np.testing.assert_allclose(model.transform(backwards), model.transform(IMAGES), atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_images_without_a_keypoint_get_zero_rows_and_are_named(model):
    images = [NOTHING, *IMAGES, NOTHING]
    model.fit(images)
    with pytest.warns(NoKeypointsWarning, match="2 of 7 images have no keypoint, their rows are zero: 0, 6") as caught:
        rows = model.transform(images)
    assert caught[0].message.rows == [0, 6]
    np.testing.assert_array_equal(np.flatnonzero(~rows.any(axis=1)), [0, 6])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(model.transform(IMAGES), rows[1:6], atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_only_images_without_a_keypoint_and_no_images_at_all(model):
    model.fit(IMAGES)
    with pytest.warns(NoKeypointsWarning):
        assert not model.transform([NOTHING]).any()
    assert model.transform([]).shape == (0, model.transform(IMAGES).shape[1])


@pytest.mark.parametrize("model", MODELS)
def test_more_images_than_are_worked_on_at_once_change_nothing(model):
    many = [IMAGES[i % 5] for i in range(300)]
    np.testing.assert_allclose(model.fit(IMAGES).transform(many), np.tile(model.transform(IMAGES), (60, 1)), atol=1e-5)


@pytest.mark.parametrize("kind", [BagOfVisualWords, VLAD])
def test_the_same_seed_gives_the_same_words_and_another_seed_others(kind):
    first, second, other = (kind(6, seed=seed).fit(IMAGES).words for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_words_from_a_sample_use_no_more_descriptors_than_asked():
    model = BagOfVisualWords(10, n_sample=10).fit(IMAGES)  # 10 descriptors, 10 words: each is a descriptor
    distances = [[((word - x) ** 2).sum() for one in IMAGES for x in one.descriptors] for word in model.words]
    np.testing.assert_allclose(np.min(distances, axis=1), 0, atol=1e-10)


@pytest.mark.parametrize("kind", [BagOfVisualWords, VLAD])
def test_what_cannot_be_fitted_is_refused(kind):
    with pytest.raises(ValueError, match="expected 179 descriptors or more, one a word, got 178 in 5 images"):
        kind(179).fit(IMAGES)
    with pytest.raises(ValueError, match="got 0 in 0 images"):
        kind(2).fit([])
    with pytest.raises(ValueError, match="call fit before transform"):
        kind(2).transform(IMAGES)
    with pytest.raises(ValueError, match=r"at least 1, .*got 0"):
        kind(0)
    with pytest.raises(ValueError, match="of one kind"):
        kind(2).fit([*IMAGES, drawn(5, d=7)])
    with pytest.raises(ValueError, match="expected descriptors of 6 numbers, as the words, got 7"):
        kind(2).fit(IMAGES).transform([drawn(5, d=7)])


def test_marked_rows_can_be_searched_by_cosine():
    rows = np.array([[3, 4], [0, 0], [0, 0], [4, 3]], np.float32) / 5
    cosine = mark_empty_rows(rows) @ mark_empty_rows(rows).T
    expected = [[1, 0, 0, 24 / 25], [0, 1, 1, 0], [0, 1, 1, 0], [24 / 25, 0, 0, 1]]
    np.testing.assert_allclose(cosine, expected, atol=1e-6)
    assert mark_empty_rows(rows).dtype == np.float32 and mark_empty_rows(rows[:0]).shape == (0, 3)
    with pytest.raises(ValueError, match=r"\(n, d\), got \(2,\)"):
        mark_empty_rows(rows[0])


# ---- geometry --------------------------------------------------------------------------------------------------------


def test_match_equals_a_slow_ratio_test():
    a, b = drawn(20, d=3, seed=1), drawn(25, d=3, seed=2)
    expected = []
    for i, x in enumerate(a.descriptors):
        distances = np.linalg.norm(b.descriptors - x, axis=1)
        nearest, second = np.argsort(distances)[:2]
        if distances[nearest] < 0.8 * distances[second]:
            expected.append([i, nearest])
    assert 0 < len(expected) < 20
    np.testing.assert_array_equal(match(a, b, ratio=0.8), expected)


def test_orb_is_matched_by_the_number_of_differing_bits():
    one, two, six = (np.packbits([1] * bits + [0] * (256 - bits)) for bits in (1, 2, 6))
    a = Keypoints(np.zeros((1, 2)), np.stack([one]), 9, 9)
    b = Keypoints(np.zeros((2, 2)), np.stack([six, two]), 9, 9)  # 5 bits and 1 bit away
    assert match(a, b, ratio=0.21).tolist() == [[0, 1]]
    assert match(a, b, ratio=0.2).tolist() == []


def test_nothing_is_matched_to_fewer_than_two_keypoints():
    assert match(IMAGES[0], IMAGES[1]).shape == (0, 2)
    assert match(NOTHING, IMAGES[0]).shape == (0, 2)


def test_two_kinds_of_descriptors_cannot_be_matched():
    with pytest.raises(ValueError, match=r"expected descriptors of one kind, got .*float32.* and .*uint8"):
        match(sift(PHOTOS[0]), orb(PHOTOS[0]))


def moved(seed, n_wrong=0, matrix=None):
    """Twenty keypoints, and the same ones shifted, turned and enlarged, with the first n_wrong of them elsewhere."""
    rng = np.random.default_rng(seed)
    xy, looks = rng.uniform(0, 100, (20, 2)), 100 * np.eye(20, dtype=np.float32)
    matrix = np.array([[1.2, -0.5, 8], [0.5, 1.2, -3]]) if matrix is None else matrix
    there = xy @ matrix[:, :2].T + matrix[:, 2]
    there[:n_wrong] = rng.uniform(500, 900, (n_wrong, 2))
    return Keypoints(xy.astype(np.float32), looks, 99, 99), Keypoints(there.astype(np.float32), looks, 99, 99)


@pytest.mark.parametrize("model", ["similarity", "homography"])
@pytest.mark.parametrize("n_wrong", [0, 6])
def test_ransac_counts_the_matches_that_move_together(model, n_wrong):
    assert count_inliers(*moved(3, n_wrong), model=model) == 20 - n_wrong


def test_a_sheared_plane_fits_a_homography_and_not_a_similarity():
    sheared = moved(3, matrix=np.array([[1, 3, 0], [0, 0.3, 0]]))
    assert count_inliers(*sheared, model="homography") == 20
    assert count_inliers(*sheared, model="similarity") < 15


def test_as_many_matches_as_fix_the_model_prove_nothing():
    a, b = moved(0)
    few = [Keypoints(one.xy[:2], one.descriptors[:2], 99, 99) for one in (a, b)]
    assert len(match(*few)) == 2 and count_inliers(*few) == 0
    assert count_inliers(NOTHING, NOTHING) == 0


def test_the_same_seed_gives_the_same_count():
    pair = sift(PHOTO[:200, :200]), sift(PHOTO[20:220, 30:230])
    assert len({count_inliers(*pair, seed=5) for _ in range(5)}) == 1


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="one of similarity, homography, got 'affine'"):
        count_inliers(*moved(0), model="affine")


@pytest.mark.parametrize("kind", ["sift", "orb"])
def test_a_turned_and_enlarged_photo_comes_first_after_reranking(kind):
    query = PHOTO[0:200, 150:350]
    turned = cv2.warpAffine(query, cv2.getRotationMatrix2D((100, 100), 25, 1.1), (200, 200))
    gallery = keypoints([PHOTO[300:500, 300:500], PHOTO[300:500, 0:200], turned], kind)
    neighbours, inliers = geometric_rerank(keypoints([query], kind), gallery, np.array([[0, 1, 2]]))
    assert neighbours[0, 0] == 2 and inliers[0, 0] > 20 > inliers[0, 1]


NOTHING_LIKE_IT = Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 20), np.float32), 99, 99)


def test_equal_inliers_keep_their_former_order():
    a, b = moved(1)
    gallery = [NOTHING_LIKE_IT, b, NOTHING_LIKE_IT, b]
    neighbours, inliers = geometric_rerank([a, a], gallery, np.array([[2, 3, 0, 1], [0, 1, 2, 3]]))
    np.testing.assert_array_equal(neighbours, [[3, 1, 2, 0], [1, 3, 0, 2]])
    np.testing.assert_array_equal(inliers, [[20, 20, 0, 0]] * 2)
    assert neighbours.dtype == inliers.dtype == np.int64


def test_reranking_checks_its_rows_and_takes_no_queries():
    assert geometric_rerank([], [moved(0)[0]], np.zeros((0, 3), np.int64))[0].shape == (0, 3)
    with pytest.raises(ValueError, match=r"integers \(1, k\), one row a query, got float64 \(1, 1\)"):
        geometric_rerank([moved(0)[0]], [moved(0)[1]], np.zeros((1, 1)))
    with pytest.raises(ValueError, match=r"one row a query, got int64 \(2, 1\)"):
        geometric_rerank([moved(0)[0]], [moved(0)[1]], np.zeros((2, 1), np.int64))
    with pytest.raises(ValueError, match=r"gallery rows, 0 to 0, got 1 to 1"):
        geometric_rerank([moved(0)[0]], [moved(0)[1]], np.array([[1]]))
