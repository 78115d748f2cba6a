import os

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neighbors import NearestNeighbors

from lib import indexes, vectors
from lib.indexes import (
    FlatIndex,
    HNSWIndex,
    IVFPQIndex,
    KDTreeIndex,
    LSHIndex,
    benchmark,
    recall_of_neighbours,
    search_leave_self_out,
)

BOTH_METRICS = pytest.mark.parametrize("metric", indexes.METRICS)


def all_distances(queries, gallery, metric):
    """In float64, (q, n)."""
    queries, gallery = np.asarray(queries, np.float64), np.asarray(gallery, np.float64)
    if metric == "l2":
        return np.sqrt(((queries[:, None] - gallery) ** 2).sum(axis=2))
    return 1 - (queries @ gallery.T) / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(gallery, axis=1)


def nearest(queries, gallery, k, metric):
    distances = all_distances(queries, gallery, metric)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]  # stable: ties by lower row
    return np.take_along_axis(distances, order, axis=1), order


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def signs(seed, n, d=16):
    """Rows of -1 and 1: their products and squared distances are whole numbers, so ties are exact, and many."""
    return np.random.default_rng(seed).choice(np.float32([-1, 1]), size=(n, d))


# ------------------------------------------------------------------------------------------------------- search


def test_distances_by_hand():
    gallery, query = np.float32([[0, 2], [3, 0], [-5, 0]]), np.float32([[1, 0]])
    distances, neighbours = FlatIndex("cosine").fit(gallery).search(query, 3)
    assert_allclose(distances, [[1 - 1, 1 - 0, 1 - -1]])
    assert_array_equal(neighbours, [[1, 0, 2]])
    distances, neighbours = FlatIndex("l2").fit(gallery).search(query, 3)
    assert_allclose(distances, [[2, np.sqrt(1**2 + 2**2), 6]])
    assert_array_equal(neighbours, [[1, 0, 2]])


@BOTH_METRICS
@pytest.mark.parametrize(("n", "k", "n_queries"), [(400, 10, 60), (400, 400, 7), (1, 1, 3), (20, 19, 1)])
def test_search_equals_a_float64_oracle(metric, n, k, n_queries):
    gallery, queries = normal(0, n, 33), normal(1, n_queries, 33)
    distances, neighbours = FlatIndex(metric).fit(gallery).search(queries, k)
    expected_distances, expected_neighbours = nearest(queries, gallery, k, metric)
    assert_allclose(distances, expected_distances, atol=2e-6)
    assert_array_equal(neighbours, expected_neighbours)
    assert (distances.dtype, neighbours.dtype) == (np.float32, np.int64)


@BOTH_METRICS
def test_search_equals_scikit_learn(metric):
    gallery, queries = normal(0, 300, 20), normal(1, 40, 20)
    oracle = NearestNeighbors(n_neighbors=8, metric={"l2": "euclidean"}.get(metric, metric)).fit(gallery)
    expected_distances, expected_neighbours = oracle.kneighbors(queries)
    distances, neighbours = FlatIndex(metric).fit(gallery).search(queries, 8)
    assert_allclose(distances, expected_distances, atol=2e-6)
    assert_array_equal(neighbours, expected_neighbours)


@BOTH_METRICS
@pytest.mark.parametrize("k", [1, 5, 30])
def test_ties_go_by_lower_row_also_where_they_cross_the_last_place(metric, k):
    gallery = signs(0, 9)[np.random.default_rng(1).integers(0, 9, 500)]  # each row about 55 times
    queries = np.concatenate([signs(2, 30), gallery[:5]])
    distances, neighbours = FlatIndex(metric).fit(gallery).search(queries, k)
    expected_distances, expected_neighbours = nearest(queries, gallery, k, metric)
    assert_array_equal(neighbours, expected_neighbours)
    assert_allclose(distances, expected_distances, atol=1e-6)


def test_faiss_alone_does_not_order_ties_by_row():
    """Why search asks for more than k. If this fails, FAISS has changed, and the search may become simpler."""
    gallery = signs(0, 9)[np.random.default_rng(1).integers(0, 9, 500)]
    index = faiss.IndexFlatIP(16)  # all rows have length 4: the order is that of the cosine
    index.add(gallery)
    _, neighbours = index.search(signs(2, 30), 5)
    assert np.any(neighbours != nearest(signs(2, 30), gallery, 5, "cosine")[1])


@BOTH_METRICS
def test_copies_of_any_row_tie_although_the_numbers_are_not_whole(metric):
    gallery = normal(0, 7, 37)[np.arange(700) % 7]
    distances, neighbours = FlatIndex(metric).fit(gallery).search(normal(1, 50, 37), 250)
    for row_distances, row_neighbours in zip(distances, neighbours, strict=True):
        for first in (0, 100, 200):  # the nearest hundred are copies of one row, and so on
            assert_array_equal(row_neighbours[first : first + 50], np.arange(50) * 7 + row_neighbours[first] % 7)
            assert len(set(row_distances[first : first + 50])) == 1


@given(st.integers(0, 2**32 - 1), st.sampled_from(indexes.METRICS), st.integers(1, 60), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_whole_numbers_give_the_oracle_ranking_whatever_the_ties(seed, metric, n, d):
    rng = np.random.default_rng(seed)
    gallery, queries = (rng.choice(np.float32([-1, 1]), size=(rows, 4**d)) for rows in (n, 5))
    k = int(rng.integers(1, n + 1))
    _, neighbours = FlatIndex(metric).fit(gallery).search(queries, k)
    assert_array_equal(neighbours, nearest(queries, gallery, k, metric)[1])


def test_small_differences_far_from_the_origin_are_still_seen():
    gallery = np.float32(1000) + np.arange(64, dtype=np.float32)[:, None] * np.float32([[0.25, 0, 0]])
    queries = gallery[::2] + np.float32([[0.0625, 0, 0]])
    distances, neighbours = FlatIndex("l2").fit(gallery).search(queries, 3)
    assert_array_equal(neighbours[1:-1], np.arange(2, 62, 2)[:, None] + np.array([0, 1, -1]))
    assert_array_equal(distances[1:-1], np.tile([[0.0625, 0.25 - 0.0625, 0.25 + 0.0625]], (30, 1)))


def test_cosine_does_not_depend_on_length():
    gallery, queries = normal(0, 100, 12), normal(1, 10, 12)
    expected = FlatIndex().fit(gallery).search(queries, 5)
    scales = np.float32(2.0) ** np.random.default_rng(2).integers(-60, 60, (100, 1)).astype(np.float32)
    for found, other in zip(FlatIndex().fit(gallery * scales).search(queries * 1e-30, 5), expected, strict=True):
        assert_allclose(found, other, atol=1e-6)


def test_cosine_distances_stay_between_0_and_2_and_ascend():
    gallery = normal(0, 200, 64)
    distances, neighbours = FlatIndex().fit(np.concatenate([gallery, -gallery])).search(gallery, 400)
    assert distances.min() >= 0 and distances.max() <= 2 + 1e-6
    assert np.all(np.diff(distances, axis=1) >= 0)
    assert_array_equal(neighbours[:, 0], np.arange(200))


@BOTH_METRICS
def test_search_in_batches_equals_search_at_once(metric, monkeypatch):
    gallery, queries = signs(0, 50), signs(1, 40)
    at_once = FlatIndex(metric).fit(gallery).search(queries, 7)
    monkeypatch.setattr(vectors, "BATCH_ELEMENTS", 100)
    in_batches = FlatIndex(metric).fit(gallery).search(queries, 7)
    for found, expected in zip(in_batches, at_once, strict=True):
        assert_array_equal(found, expected)


def test_no_query_gives_no_answer():
    distances, neighbours = FlatIndex().fit(normal(0, 9, 4)).search(np.zeros((0, 4), np.float32), 3)
    assert distances.shape == neighbours.shape == (0, 3)


def test_the_second_gallery_takes_the_place_of_the_first():
    index = FlatIndex("l2").fit(normal(0, 9, 4)).fit(normal(1, 5, 6))
    assert index.search(normal(1, 5, 6), 1)[1].tolist() == [[0], [1], [2], [3], [4]]


@BOTH_METRICS
def test_arguments_are_left_as_they_were(metric):
    gallery = normal(0, 30, 5)
    before = gallery.copy()
    FlatIndex(metric).fit(gallery).search(gallery, 2)
    search_leave_self_out(gallery, 2, metric=metric)
    assert_array_equal(gallery, before)


# ------------------------------------------------------------------------------------------------------- checks


@BOTH_METRICS
def test_other_float_types_and_strides_are_taken(metric):
    gallery = normal(0, 60, 8).astype(np.float16)
    expected = FlatIndex(metric).fit(gallery.astype(np.float32)).search(gallery.astype(np.float32), 4)
    wide = np.zeros((60, 16), np.float32)
    wide[:, ::2] = gallery
    for same in (gallery, gallery.astype(np.float64), np.asfortranarray(gallery.astype(np.float32)), wide[:, ::2]):
        for found, other in zip(FlatIndex(metric).fit(same).search(same, 4), expected, strict=True):
            assert_array_equal(found, other)


@BOTH_METRICS
def test_bad_embeddings_are_refused_with_the_row(metric):
    good = normal(0, 10, 4)
    for bad_value in (np.nan, np.inf, -np.inf):
        bad = good.copy()
        bad[[3, 7], 2] = bad_value
        with pytest.raises(
            ValueError, match="gallery has 2 of 10 rows with NaN or infinite values, the first is row 3"
        ):
            FlatIndex(metric).fit(bad)
        with pytest.raises(ValueError, match="queries has 2 of 10 rows with NaN or infinite"):
            FlatIndex(metric).fit(good).search(bad, 1)
    with pytest.raises(ValueError, match=r"expected gallery of shape \(n, d\), got \(4,\)"):
        FlatIndex(metric).fit(good[0])
    with pytest.raises(ValueError, match=r"expected gallery as float32 .*, got int64"):
        FlatIndex(metric).fit(good.astype(np.int64))
    with pytest.raises(ValueError, match="expected a gallery of 1 row or more, got 0"):
        FlatIndex(metric).fit(good[:0])
    with pytest.raises(ValueError, match="expected queries of 4 dimensions"):
        FlatIndex(metric).fit(good).search(good[:, :3], 1)
    with pytest.raises(ValueError, match="10 rows with NaN or infinite"):
        FlatIndex(metric).fit(np.full((10, 4), 1e300))  # infinite in float32


def test_rows_of_zeros_are_refused_for_cosine_only():
    zeros = np.eye(4, dtype=np.float32) * [[1], [0], [1], [0]]
    with pytest.raises(ValueError, match=r"2 of 4 rows of zeros, which have no direction .* the first is row 1"):
        FlatIndex("cosine").fit(zeros)
    assert_allclose(FlatIndex("l2").fit(zeros).search(zeros[1:2], 2)[0], [[0, 0]])


def test_rows_too_long_for_float32_squares_are_refused_for_l2_only():
    long = np.float32([[1e20, 0], [0, 1]])
    with pytest.raises(ValueError, match="1 of 2 rows too long for float32 squares"):
        FlatIndex("l2").fit(long)
    assert_array_equal(FlatIndex("cosine").fit(long).search(long, 1)[1], [[0], [1]])


def test_bad_k_metric_and_order_of_calls_are_refused():
    index = FlatIndex().fit(normal(0, 10, 4))
    with pytest.raises(ValueError, match="k must be at most 10, the rows of the gallery, got 11"):
        index.search(normal(1, 2, 4), 11)
    for k in (0, -1, 2.0, True, None):
        with pytest.raises(ValueError, match="must be a positive integer"):
            index.search(normal(1, 2, 4), k)
    with pytest.raises(ValueError, match="metric must be one of 'cosine', 'l2', got 'dot'"):
        FlatIndex("dot")
    with pytest.raises(ValueError, match=r"call fit\(gallery\) first"):
        FlatIndex().search(normal(1, 2, 4), 1)


# ------------------------------------------------------------------------------------------------------- leave self out


@BOTH_METRICS
@pytest.mark.parametrize("rows", [None, [0, 7, 7, 39]])
def test_leave_self_out_equals_the_oracle_without_the_diagonal(metric, rows):
    embeddings = signs(0, 6)[np.random.default_rng(1).integers(0, 6, 40)]  # many copies, of which none is the query
    asked = np.arange(40) if rows is None else np.array(rows)
    distances = all_distances(embeddings[asked], embeddings, metric)
    distances[np.arange(len(asked)), asked] = np.inf
    expected = np.argsort(distances, axis=1, kind="stable")
    for k in (1, 8, 39):
        found_distances, found = search_leave_self_out(embeddings, k, rows, metric)
        assert_array_equal(found, expected[:, :k])
        assert_allclose(found_distances, np.take_along_axis(distances, found, axis=1), atol=1e-6)
        assert not np.any(found == asked[:, None])


def test_leave_self_out_refuses_what_cannot_be():
    embeddings = normal(0, 5, 3)
    with pytest.raises(ValueError, match="k must be at most 4, the rows of the gallery without the query, got 5"):
        search_leave_self_out(embeddings, 5)
    with pytest.raises(ValueError, match="rows must be from 0 to 4, got 0 to 5"):
        search_leave_self_out(embeddings, 1, rows=[0, 5])
    with pytest.raises(ValueError, match=r"expected rows as integers \(q,\), got bool"):
        search_leave_self_out(embeddings, 1, rows=np.ones(5, dtype=bool))
    assert search_leave_self_out(embeddings, 2, rows=[])[1].shape == (0, 2)


# ------------------------------------------------------------------------------------------------ save and load


@BOTH_METRICS
def test_a_loaded_index_answers_as_the_saved_one(metric, tmp_path):
    gallery, queries = signs(0, 80), signs(1, 9)
    index, path = FlatIndex(metric).fit(gallery), tmp_path / "gallery with a space.index"
    index.save(path)
    loaded = FlatIndex.load(path)
    for found, expected in zip(loaded.search(queries, 12), index.search(queries, 12), strict=True):
        assert_array_equal(found, expected)
    assert loaded.metric == metric
    assert index.nbytes == loaded.nbytes == path.stat().st_size >= gallery.nbytes
    assert os.listdir(tmp_path) == [path.name]


def test_saving_twice_gives_the_same_bytes_and_replaces_the_old(tmp_path):
    path = tmp_path / "i"
    FlatIndex().fit(normal(1, 3, 4)).save(path)
    contents = []
    for _ in range(2):
        FlatIndex().fit(normal(0, 20, 4)).save(path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_a_file_cut_short_or_changed_anywhere_is_refused_with_its_name(tmp_path):
    path = tmp_path / "flat.index"
    FlatIndex().fit(normal(0, 6, 3)).save(path)
    whole = path.read_bytes()
    for damaged in [whole[:n] for n in range(0, len(whole), 7)] + [whole + b"x"]:
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"flat\.index: (damaged|not an index)"):
            FlatIndex.load(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"flat\.index: (damaged|not an index)"):
            FlatIndex.load(path)


def test_another_kind_of_index_is_refused(tmp_path):
    KDTreeIndex().fit(normal(0, 6, 3)).save(tmp_path / "tree.index")
    with pytest.raises(ValueError, match=r"tree\.index: expected an index of kind 'flat', got 'kd-tree'"):
        FlatIndex.load(tmp_path / "tree.index")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.index"):
        FlatIndex.load(tmp_path / "nowhere.index")


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "flat.index"
    FlatIndex().fit(normal(0, 6, 3)).save(path)
    before = path.read_bytes()

    def full_disk(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(indexes.os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        FlatIndex().fit(normal(1, 6, 3)).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_an_index_without_a_gallery_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="the index is empty"):
        FlatIndex().save(tmp_path / "empty.index")
    assert os.listdir(tmp_path) == []


# --------------------------------------------------------------------------------- the other structures, side by side

EVERY_KIND = pytest.mark.parametrize(
    "make",
    [
        FlatIndex,
        KDTreeIndex,
        LSHIndex,
        HNSWIndex,
        lambda metric="cosine": IVFPQIndex(metric, n_lists=4, n_bytes=4, n_probe=1),
    ],
    ids=list(indexes.KINDS),
)


@BOTH_METRICS
@pytest.mark.parametrize(("n", "d", "k"), [(400, 3, 10), (60, 33, 60), (1, 5, 1)])
def test_the_tree_equals_a_float64_oracle(metric, n, d, k):
    gallery, queries = normal(0, n, d), normal(1, 30, d)
    distances, neighbours = KDTreeIndex(metric, leaf_size=5).fit(gallery).search(queries, k)
    expected_distances, expected_neighbours = nearest(queries, gallery, k, metric)
    assert_allclose(distances, expected_distances, atol=2e-6)
    assert_array_equal(neighbours, expected_neighbours)


@BOTH_METRICS
@pytest.mark.parametrize("k", [1, 5, 30])
def test_ties_go_by_lower_row_in_the_tree_too(metric, k):
    gallery = signs(0, 9)[np.random.default_rng(1).integers(0, 9, 500)]
    queries = np.concatenate([signs(2, 30), gallery[:5]])
    _, neighbours = KDTreeIndex(metric).fit(gallery).search(queries, k)
    assert_array_equal(neighbours, nearest(queries, gallery, k, metric)[1])


def test_the_file_of_a_tree_is_its_rows():
    gallery = normal(0, 200, 6)
    tree = KDTreeIndex("l2", leaf_size=10).fit(gallery)
    assert gallery.nbytes < tree.nbytes < gallery.nbytes + 400  # and a header


def test_codes_of_many_planes_estimate_the_angle():
    angles = np.radians([0, 30, 60, 90, 135, 180])
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    distances, neighbours = LSHIndex(n_bits=1024).fit(gallery).search(gallery[:1], 6)
    assert_array_equal(neighbours, [[0, 1, 2, 3, 4, 5]])
    assert_allclose(distances[0], 1 - np.cos(angles), atol=0.1)


def test_codes_take_an_eighth_of_a_byte_a_bit():
    sizes = [LSHIndex(n_bits=256).fit(normal(0, n, 8)).nbytes for n in (100, 300)]
    assert sizes[1] - sizes[0] == 200 * 256 / 8


@BOTH_METRICS
def test_a_wide_walk_finds_nearly_all_and_tells_true_distances(metric):
    gallery, queries = normal(0, 500, 8), normal(1, 40, 8)
    distances, neighbours = HNSWIndex(metric, search_width=200).fit(gallery).search(queries, 10)
    _, exact = nearest(queries, gallery, 10, metric)
    assert recall_of_neighbours(neighbours, exact).mean() > 0.98
    expected = np.take_along_axis(all_distances(queries, gallery, metric), neighbours, axis=1)
    assert_allclose(distances, expected, atol=2e-6)


def test_rows_that_the_graph_does_not_reach_are_found_all_the_same():
    gallery, queries = normal(0, 3, 16)[np.arange(300) % 3], normal(1, 5, 16)
    index = HNSWIndex("l2", n_links=4).fit(gallery)
    assert (index._index.search(queries, 300)[1] == -1).any(), "the graph reaches all: this test shows nothing"
    _, neighbours = index.search(queries, 300)
    assert_array_equal(np.sort(neighbours, axis=1), np.tile(np.arange(300), (5, 1)))


@BOTH_METRICS
def test_all_lists_with_parts_of_one_coordinate_come_near_to_exact(metric):
    gallery, queries = normal(0, 600, 4), normal(1, 40, 4)
    index = IVFPQIndex(metric, n_lists=2, n_bytes=4, n_probe=2).fit(gallery)
    distances, neighbours = index.search(queries, 10)
    expected, exact = nearest(queries, gallery, 10, metric)
    assert recall_of_neighbours(neighbours, exact).mean() > 0.9
    assert_allclose(distances, expected, atol=0.1)


def test_more_lists_are_read_where_few_hold_too_few_rows():
    gallery = normal(0, 300, 8)
    index = IVFPQIndex("l2", n_lists=8, n_bytes=2, n_probe=1).fit(gallery)
    assert (index._index.search(gallery[:5], 300)[1] == -1).any()
    _, neighbours = index.search(gallery[:5], 300)
    assert_array_equal(np.sort(neighbours, axis=1), np.tile(np.arange(300), (5, 1)))
    few = index.search(gallery[:5], 3)[1]  # and the next search reads few again
    assert_array_equal(few, IVFPQIndex("l2", n_lists=8, n_bytes=2, n_probe=1).fit(gallery).search(gallery[:5], 3)[1])


def test_parts_must_divide_the_dimension_and_need_rows_to_learn_from():
    with pytest.raises(ValueError, match="n_bytes must divide the dimension 8, got 3"):
        IVFPQIndex(n_bytes=3).fit(normal(0, 300, 8))
    with pytest.raises(ValueError, match="expected a gallery of 256 rows or more, one a centre, got 255"):
        IVFPQIndex().fit(normal(0, 255, 8))
    with pytest.raises(ValueError, match="expected a gallery of 301 rows or more, one a centre, got 300"):
        IVFPQIndex(n_lists=301).fit(normal(0, 300, 8))
    for d, n_parts in ((1, 1), (2, 1), (7, 1), (10, 2), (64, 16)):
        assert IVFPQIndex().fit(normal(0, 256, d))._index.pq.M == n_parts


def test_planes_do_not_see_lengths():
    with pytest.raises(ValueError, match="metric must be one of 'cosine', got 'l2'"):
        LSHIndex("l2")


@EVERY_KIND
def test_each_gives_k_different_rows_in_ascending_order(make):
    gallery = np.concatenate([normal(0, 300, 16), normal(0, 20, 16)])  # 20 rows twice
    for k in (1, 7, 320):
        distances, neighbours = make().fit(gallery).search(normal(1, 6, 16), k)
        assert (distances.shape, distances.dtype, neighbours.dtype) == ((6, k), np.float32, np.int64)
        assert neighbours.min() >= 0 and all(len(set(row)) == k for row in neighbours)
        tied = np.diff(distances, axis=1) == 0
        assert np.all(np.diff(distances, axis=1) >= 0) and np.all(np.diff(neighbours, axis=1)[tied] > 0)
    assert make().fit(gallery).search(np.zeros((0, 16), np.float32), 3)[1].shape == (0, 3)


@EVERY_KIND
def test_each_answers_after_loading_as_before_saving(make, tmp_path):
    gallery, queries = normal(0, 300, 16), normal(1, 9, 16)
    index, path = make().fit(gallery), tmp_path / "an.index"
    index.save(path)
    loaded = type(index).load(path)
    for found, expected in zip(loaded.search(queries, 12), index.search(queries, 12), strict=True):
        assert_array_equal(found, expected)
    assert (loaded.metric, loaded.settings) == (index.metric, index.settings)
    assert index.nbytes == loaded.nbytes == path.stat().st_size
    assert b"sklearn" not in path.read_bytes()  # as a pickle of the tree would have


@EVERY_KIND
def test_each_refuses_a_damaged_file_with_its_name(make, tmp_path):
    path = tmp_path / "some.index"
    make().fit(normal(0, 300, 16)).save(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:-1], whole[:middle], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"some\.index: damaged"):
            type(make()).load(path)


@EVERY_KIND
def test_each_refuses_bad_input(make):
    good = normal(0, 300, 16)
    bad = good.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"gallery has 1 of 300 rows with NaN .* the first is row 7"):
        make().fit(bad)
    index = make().fit(good)
    with pytest.raises(ValueError, match="queries has 1 of 300 rows with NaN"):
        index.search(bad, 1)
    with pytest.raises(ValueError, match=r"expected queries of 16 dimensions, .* got 15"):
        index.search(good[:, :15], 1)
    with pytest.raises(ValueError, match="k must be at most 300, the rows of the gallery, got 301"):
        index.search(good, 301)
    with pytest.raises(ValueError, match=r"call fit\(gallery\) first"):
        make().search(good, 1)
    with pytest.raises(ValueError, match=r"call fit\(gallery\) first"):
        make().nbytes  # noqa: B018
    with pytest.raises(ValueError, match="got 'dot'"):
        type(index)("dot")


def test_settings_are_whole_numbers_from_1():
    for make in (lambda n: KDTreeIndex(leaf_size=n), lambda n: LSHIndex(n_bits=n), lambda n: IVFPQIndex(n_probe=n)):
        for value in (0, 2.0, True):
            with pytest.raises(ValueError, match=f"must be a positive integer, got {value!r}"):
                make(value)


# ------------------------------------------------------------------------------------------------------ benchmark


def test_recall_by_hand():
    found, exact = [[5, 2, 9], [0, 1, 2], [4, 5, 6]], [[2, 5, 7], [2, 0, 1], [1, 2, 3]]
    assert_allclose(recall_of_neighbours(found, exact), [2 / 3, 3 / 3, 0 / 3])
    with pytest.raises(ValueError, match=r"one shape \(q, k\), got \(1, 2\) and \(1, 3\)"):
        recall_of_neighbours([[1, 2]], [[1, 2, 3]])


@EVERY_KIND
def test_benchmark_fits_searches_and_counts(make):
    gallery, queries = normal(0, 300, 16), normal(1, 20, 16)
    costs = benchmark(make(), gallery, queries, 5, n_single=25, n_rounds=2)
    index = make().fit(gallery)
    expected = recall_of_neighbours(index.search(queries, 5)[1], nearest(queries, gallery, 5, "cosine")[1]).mean()
    assert costs["recall"] == pytest.approx(expected, abs=0 if index.kind != "hnsw" else 0.05)
    assert [costs[name] for name in ("kind", "n", "d", "k", "n_queries", "threads")] == [index.kind, 300, 16, 5, 20, 1]
    assert costs["index_bytes"] == index.nbytes
    assert 0 < costs["single_ms"] and 0 < costs["batch_ms"]
    assert costs["build_s"] > 0


def test_benchmark_takes_known_answers_holds_to_its_threads_and_gives_them_back():
    gallery, before, seen = normal(0, 50, 4), faiss.omp_get_max_threads(), []

    class Watched(FlatIndex):
        def search(self, queries, k):
            seen.append(faiss.omp_get_max_threads())
            return super().search(queries, k)

    exact = np.full((6, 2), 49)
    exact[:, 1] = 48
    exact[0] = FlatIndex().fit(gallery).search(gallery[:1], 2)[1]
    costs = benchmark(Watched(), gallery, gallery[:6], 2, exact=exact, threads=2, n_single=1, n_rounds=1)
    assert set(seen) == {2} and faiss.omp_get_max_threads() == before
    truth = FlatIndex().fit(gallery).search(gallery[:6], 2)[1]
    assert costs["recall"] == recall_of_neighbours(truth, exact).mean()
    assert 1 / 6 <= costs["recall"] < 1
    ticks = iter(range(100))
    costs = benchmark(FlatIndex(), gallery, gallery[:4], 2, n_single=3, n_rounds=2, clock=lambda: float(next(ticks)))
    assert (costs["build_s"], costs["single_ms"], costs["batch_ms"]) == (1.0, 1000 * 1.0, 1000 * 1.0 / 4)
    for wrong in ({"threads": 0}, {"n_single": 0}, {"n_rounds": 1.5}):
        with pytest.raises(ValueError, match="must be a positive integer"):
            benchmark(FlatIndex(), gallery, gallery, 2, **wrong)
    with pytest.raises(ValueError, match="expected 1 query or more, got 0"):
        benchmark(FlatIndex(), gallery, gallery[:0], 2)


def test_searches_timed_in_turns_alternate_and_the_first_round_does_not_count():
    calls, ticks = [], iter(range(1000))
    seconds = indexes.seconds_in_turns([lambda: calls.append("a"), lambda: calls.append("b")], 2, lambda: next(ticks))
    assert calls == ["a", "b"] * 3
    np.testing.assert_array_equal(seconds, np.ones((2, 2)))


@pytest.mark.parametrize("make", [HNSWIndex, lambda metric: IVFPQIndex(metric, n_lists=2, n_bytes=4)])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_single_query_has_its_ties_in_order_as_a_batch_has(make, metric):
    rng = np.random.default_rng(0)
    gallery = np.tile(rng.standard_normal((75, 8), dtype=np.float32), (4, 1))  # each row four times
    index, queries = make(metric).fit(gallery), rng.standard_normal((5, 8), dtype=np.float32)
    singles = [index.search(query[None], 12) for query in queries]
    distances, neighbours = (np.concatenate(each) for each in zip(*singles, strict=True))
    of_equal = distances[:, 1:] == distances[:, :-1]
    assert of_equal.sum() >= 5 * 8 and (neighbours[:, 1:] > neighbours[:, :-1])[of_equal].all()
    np.testing.assert_array_equal(neighbours, index.search(queries, 12)[1])
