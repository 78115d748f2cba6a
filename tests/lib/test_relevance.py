from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from lib import metrics, relevance


def test_r_divisor_equals_pytorch_metric_learning():
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(20, 3)), rng.normal(size=(60, 3))
    query_labels, gallery_labels = rng.integers(0, 4, 20), np.repeat(np.arange(4), 15)
    found = {}
    for k in (10, 15, 40):
        oracle = AccuracyCalculator(include=("mean_average_precision", "mean_average_precision_at_r"), k=k)
        expected = oracle.get_accuracy(
            torch.tensor(queries), torch.tensor(query_labels), torch.tensor(gallery), torch.tensor(gallery_labels)
        )
        neighbours = np.argsort(np.linalg.norm(queries[:, None] - gallery, axis=2), axis=1)
        is_right = relevance.same_class(neighbours, query_labels, gallery_labels)
        n_relevant = relevance.count_relevant(query_labels, gallery_labels)
        found[k] = metrics.average_precision_at_k(is_right, n_relevant, k, "R").mean()
        assert_allclose(found[k], expected["mean_average_precision"])
    assert_allclose(found[15], expected["mean_average_precision_at_r"])  # every class has 15: k = R


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_order_of_the_gallery_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    distances = rng.random((5, 30))  # no ties
    labels, query_labels = rng.integers(0, 4, 30), rng.integers(0, 4, 5)
    shuffled = rng.permutation(30)
    scores = []
    for rows in (np.arange(30), shuffled):
        neighbours = np.argsort(distances[:, rows], axis=1)
        is_right = relevance.same_class(neighbours, query_labels, labels[rows])
        n_relevant = relevance.count_relevant(query_labels, labels[rows])
        scores.append(metrics.average_precision_at_k(is_right, n_relevant, 10))
    assert_array_equal(scores[0], scores[1])


def test_no_queries_give_no_values():
    assert relevance.average_precision(np.zeros((0, 5), dtype=int), [], ["hat"]).shape == (0,)
    assert relevance.same_class(np.zeros((0, 5), dtype=int), [], ["hat"]).shape == (0, 5)
    assert relevance.count_relevant([], ["hat"]).shape == (0,)


def test_average_precision_judges_by_class_as_the_metric_does_by_hand():
    # hats are rows 0, 1 and 3; the query is row 0: hits at ranks 1 and 3 of three, two hats are left to find
    labels = np.array(["hat", "hat", "bag", "hat"])
    found = relevance.average_precision([[1, 2, 3]], labels[:1], labels, self_in_gallery=True)
    assert_allclose(found, [(1 / 1 + 2 / 3) / 2])
    assert_allclose(relevance.average_precision([[1, 2, 3]], labels[:1], labels, k=2, divisor="k"), [(1 / 1) / 2])


def test_what_is_judged_is_what_every_metric_takes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 20)
    neighbours = np.array([rng.permutation(np.delete(np.arange(20), row)) for row in range(20)])
    judged = relevance.judge(neighbours, labels, labels, self_in_gallery=True)
    assert_array_equal(judged.n_relevant, judged.relevance.sum(axis=1))
    assert_array_equal(metrics.recall_at_k(*judged), 1.0)
    assert_array_equal(
        metrics.average_precision_at_k(*judged, 5), relevance.average_precision(neighbours, labels, labels, 5, True)
    )


def test_relevance_and_counts_agree_over_the_whole_gallery():
    rng = np.random.default_rng(0)
    query_labels, gallery_labels = rng.integers(0, 5, 12), rng.integers(0, 4, 50)
    everything = np.tile(np.arange(50), (12, 1))
    is_right = relevance.same_class(everything, query_labels, gallery_labels)
    assert_array_equal(is_right.sum(axis=1), relevance.count_relevant(query_labels, gallery_labels))


def test_a_query_in_the_gallery_is_not_counted_as_its_own_answer():
    labels = np.array(["hat", "bag", "hat", "hat"])
    assert_array_equal(relevance.count_relevant(labels, labels, self_in_gallery=True), [2, 0, 2, 2])
    with pytest.raises(ValueError, match="got 1 without, the first"):
        relevance.count_relevant(["shoe"], labels, self_in_gallery=True)


def test_labels_may_come_from_a_table():
    table = pd.DataFrame({"label": ["hat", "bag", "hat"]})
    assert_array_equal(relevance.count_relevant(table.label, table.label), [2, 1, 2])
    assert_array_equal(relevance.count_relevant(table.label[:1], np.array(["hat", "shoe"])), [1])


def test_bad_labels_and_neighbours_are_refused():
    with pytest.raises(ValueError, match="gallery rows 0 to 1, got -1 to 2"):
        relevance.same_class([[2, -1]], ["hat"], ["hat", "bag"])
    with pytest.raises(ValueError, match=r"neighbours must have shape \(1 queries, k\), got \(2,\)"):
        relevance.same_class([0, 1], ["hat"], ["hat", "bag"])
    with pytest.raises(ValueError, match="neighbours must hold integers, got float64"):
        relevance.same_class([[0.0]], ["hat"], ["hat"])
    with pytest.raises(ValueError, match="must be of one kind"):
        relevance.same_class([[0]], ["1"], [1])
    with pytest.raises(ValueError, match="query_labels must hold text or integers, got float64"):
        relevance.count_relevant([np.nan], [1])
    with pytest.raises(ValueError, match="query_labels must be all text or all integers"):
        relevance.count_relevant(np.array(["hat", None], dtype=object), ["hat"])


def test_label_iou_equals_python_sets():
    rng = np.random.default_rng(0)
    queries, gallery = rng.random((6, 70)) < 0.1, rng.random((20, 70)) < 0.1
    queries[0] = gallery[0] = False  # two empty sets share nothing
    neighbours = rng.integers(0, 20, (6, 8))
    neighbours[0, 0] = 0
    found = relevance.label_iou(queries, gallery, neighbours)
    for row, q in enumerate(queries):
        for column, n in enumerate(neighbours[row]):
            a, b = set(np.flatnonzero(q)), set(np.flatnonzero(gallery[n]))
            assert found[row, column] == (len(a & b) / len(a | b) if a | b else 0.0)


def test_label_iou_in_batches_equals_label_iou_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    sets, neighbours = rng.random((20, 5)) < 0.4, rng.integers(0, 20, (20, 3))
    at_once = relevance.label_iou(sets, sets, neighbours)
    monkeypatch.setattr(metrics, "BATCH_ELEMENTS", 10)
    assert_array_equal(relevance.label_iou(sets, sets, neighbours), at_once)


def test_bad_label_sets_are_refused():
    with pytest.raises(ValueError, match="as many labels in both sets, got 2 and 3"):
        relevance.label_iou([[1, 0]], [[1, 0, 0]], [[0]])
    with pytest.raises(ValueError, match="must hold bool or 0 and 1"):
        relevance.label_iou([[2, 0]], [[1, 0]], [[0]])


TREE = pd.DataFrame(
    {
        "class": ["all", "animal", "vehicle", "cat", "tiger", "lion", "truck"],
        "parent": [None, "all", "all", "animal", "cat", "cat", "vehicle"],
    }
)


def test_hierarchy_similarity_by_hand():
    found = relevance.hierarchy_similarity(
        ["tiger", "truck"], ["tiger", "lion", "truck", "cat"], TREE, [[0, 1, 2, 3], [2, 0, 1, 3]]
    )
    # depths: tiger 3, lion 3, truck 2, cat 2; tiger and lion meet at cat (2), tiger and truck at all (0)
    assert_allclose(found, [[1, 2 / 3, 0, 2 / ((3 + 2) / 2)], [1, 0, 0, 0]])


def test_hierarchy_similarity_does_not_depend_on_the_order_of_the_table():
    labels, neighbours = ["tiger", "lion", "truck", "cat"], np.tile(np.arange(4), (4, 1))
    expected = relevance.hierarchy_similarity(labels, labels, TREE, neighbours)
    assert_array_equal(expected, expected.T)
    assert_array_equal(relevance.hierarchy_similarity(labels, labels, TREE[::-1]), expected)


def test_without_neighbours_the_whole_gallery_is_compared():
    queries, gallery = ["tiger", "truck"], ["tiger", "lion", "truck", "cat"]
    everything = np.tile(np.arange(4), (2, 1))
    whole = relevance.hierarchy_similarity(queries, gallery, TREE)
    assert_array_equal(whole, relevance.hierarchy_similarity(queries, gallery, TREE, everything))


def test_several_roots_hang_on_one_more():
    forest = {"class": ["a", "b", "a1", "a2", "b1"], "parent": [np.nan, "", "a", "a", "b"]}
    assert_allclose(relevance.hierarchy_similarity(["a1"], ["a2", "b1", "a1"], forest), [[1 / 2, 0, 1]])


def test_bad_hierarchies_are_refused():
    def similarity(label, **hierarchy):
        return relevance.hierarchy_similarity([label], [label], hierarchy, [[0]])

    with pytest.raises(ValueError, match="'a' is its own ancestor"):
        similarity("a", **{"class": ["a", "b"], "parent": ["b", "a"]})
    with pytest.raises(ValueError, match="label 'c' is not among the 1 classes"):
        similarity("c", **{"class": ["a"], "parent": [""]})
    with pytest.raises(ValueError, match="the parent 'z' of 'a' is not among the 1 classes"):
        similarity("a", **{"class": ["a"], "parent": ["z"]})
    with pytest.raises(ValueError, match="must name each class once, got 2 rows of 1 classes"):
        similarity("a", **{"class": ["a", "a"], "parent": ["", ""]})
    with pytest.raises(ValueError, match="must have the columns class and parent"):
        similarity("a", name=["a"])


def random_embeddings(seed=0, n_queries=30, n_gallery=50, d=4):
    rng = np.random.default_rng(seed)
    queries, gallery = rng.normal(size=(n_queries, d)), rng.normal(size=(n_gallery, d))
    return queries, gallery, rng.integers(0, 9, n_queries), rng.integers(0, 8, n_gallery)  # no item is right for 8


def nearest_first(queries, gallery):
    queries, gallery = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery))
    return np.argsort(np.linalg.norm(queries[:, None] - gallery, axis=2), axis=1)


def test_match_ranks_equal_the_rank_in_the_sorted_gallery():
    queries, gallery, query_labels, gallery_labels = random_embeddings()
    is_right = gallery_labels[nearest_first(queries, gallery)] == query_labels[:, None]
    expected = 1 / metrics.reciprocal_rank(is_right, relevance.count_relevant(query_labels, gallery_labels))
    assert np.isnan(expected).any()
    assert_allclose(relevance.match_ranks(queries, gallery, query_labels, gallery_labels), expected)


def test_a_query_is_not_its_own_answer_where_it_is_in_the_gallery():
    _, rows, _, labels = random_embeddings()
    others = nearest_first(rows, rows)[:, 1:]
    is_right = labels[others] == labels[:, None]
    expected = 1 / metrics.reciprocal_rank(is_right, relevance.count_relevant(labels, labels, True))
    assert_allclose(relevance.match_ranks(rows, rows, labels, labels, self_in_gallery=True), expected)


def test_ties_count_as_the_mean_over_all_orders_of_the_gallery():
    gallery = np.array([[0.0, 2.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [3.0, 0.1]])
    labels = np.array([0, 1, 1, 0, 0])
    query = np.array([[2.0, 1.0]])
    nearness = query[0] @ gallery.T / np.linalg.norm(gallery, axis=1)
    ranks = []
    for order in map(np.array, permutations(range(5))):
        ranking = order[np.argsort(-nearness[order].round(12), kind="stable")]
        ranks.append(np.argmax(labels[ranking] == 1) + 1)
    assert_allclose(relevance.match_ranks(query, gallery, [1], labels), [np.mean(ranks)])


def test_embeddings_that_are_all_the_same_have_the_rank_of_chance():
    same = np.full((101, 3), 0.3, np.float32)
    assert_allclose(relevance.match_ranks(same, same, np.arange(101), np.arange(101)), 1 + 100 / 2)


def test_a_row_of_zeros_has_the_rank_of_chance_by_cosine():
    gallery = np.random.default_rng(0).normal(size=(11, 3))
    assert_allclose(relevance.match_ranks(np.zeros((1, 3)), gallery, [4], np.arange(11)), [1 + 10 / 2])


def test_match_ranks_do_not_depend_on_the_order_of_the_gallery_the_scale_or_the_batches(monkeypatch):
    queries, gallery, query_labels, gallery_labels = random_embeddings()
    gallery = np.repeat(gallery, 2, axis=0).astype(np.float32)  # with ties
    gallery_labels = np.random.default_rng(1).integers(0, 8, len(gallery))
    expected = relevance.match_ranks(queries, gallery, query_labels, gallery_labels)
    order = np.random.default_rng(2).permutation(len(gallery))
    monkeypatch.setattr(metrics, "BATCH_ELEMENTS", 700)
    found = relevance.match_ranks(7 * queries, 0.1 * gallery[order], query_labels, gallery_labels[order])
    assert_allclose(found, expected)


def test_no_query_and_no_gallery():
    assert relevance.match_ranks(np.zeros((0, 2)), np.ones((3, 2)), [], [1, 2, 3]).shape == (0,)
    assert_array_equal(relevance.match_ranks(np.ones((2, 2)), np.zeros((0, 2)), [1, 2], []), [np.nan, np.nan])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": np.ones((2, 3))}, "expected queries of 2 dimensions, as the gallery has, got 3"),
        ({"queries": np.ones((3, 2))}, r"queries must have shape \(2, d\), a row for each label, got \(3, 2\)"),
        ({"gallery": np.full((2, 2), np.nan)}, "gallery must be finite, got 4 NaN"),
        ({"query_labels": [[1, 2]]}, "one label each, got"),
        ({"self_in_gallery": True}, "not the same rows"),
    ],
)
def test_match_ranks_refuse_what_does_not_fit(change, message):
    sound = dict(queries=np.ones((2, 2)), gallery=np.eye(2), query_labels=[1, 2], gallery_labels=[1, 2])
    with pytest.raises(ValueError, match=message):
        relevance.match_ranks(**{**sound, **change})


def most_similar_by_trying_all(neighbours, truth, n_similar):
    """The mean, over every choice among those tied at the last place, of the plain average precision."""
    values = []
    for found, row in zip(neighbours, truth, strict=True):
        order = sorted((item for item in range(len(row)) if row[item] > 0), key=lambda item: -row[item])
        last = row[order[:n_similar][-1]] if order else 0
        sure = [item for item in order[:n_similar] if row[item] > last]
        tied = [item for item in order if row[item] == last]
        choices = list(combinations(tied, min(n_similar, len(order)) - len(sure)))
        tries = [np.isin(found, [*sure, *choice])[None] for choice in choices]
        n_relevant = [min(n_similar, len(order))]
        values.append(np.mean([metrics.average_precision_at_k(each, n_relevant)[0] for each in tries]))
    return values


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_ties_at_the_last_place_give_the_mean_over_every_choice_among_them(seed, n_similar, k):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, size=(3, 7)) / 4
    neighbours = np.array([rng.permutation(7)[:k] for _ in range(3)])
    expected = most_similar_by_trying_all(neighbours, truth, n_similar)
    assert_allclose(relevance.most_similar_average_precision(neighbours, truth, n_similar), expected)


def test_the_most_similar_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, size=(20, 50)) / 4
    neighbours = np.array([rng.permutation(50)[:10] for _ in range(20)])
    order = rng.permutation(50)  # new row i is the old row order[i]
    moved = relevance.most_similar_average_precision(np.argsort(order)[neighbours], truth[:, order], 10)
    assert_allclose(moved, relevance.most_similar_average_precision(neighbours, truth, 10))


def test_without_ties_it_is_the_average_precision_of_the_most_similar():
    truth = np.array([[0.9, 0.5, 0.7, 0.1]])
    value = relevance.most_similar_average_precision([[1, 0, 2]], truth, n_similar=2)  # relevant: rows 0 and 2
    assert_allclose(value, [(1 / 2 + 2 / 3) / 2])


def test_fewer_similar_items_than_asked_lower_the_divisor_and_none_is_nan():
    truth = np.array([[0.5, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
    values = relevance.most_similar_average_precision([[3, 1, 0], [0, 1, 2]], truth, n_similar=3)
    assert_allclose(values, [(1 / 1 + 2 / 3) / 2, np.nan])


def test_a_query_is_not_among_the_items_most_similar_to_itself():
    truth = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0]])
    values = relevance.most_similar_average_precision([[1], [0]], truth, n_similar=1, own_rows=[0, 1])
    assert values.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="query 1 is among its own neighbours"):
        relevance.most_similar_average_precision([[1], [1]], truth[[0, 1]], n_similar=1, own_rows=[0, 1])


def test_similarity_may_come_some_queries_at_a_time(monkeypatch):
    monkeypatch.setattr(metrics, "BATCH_ELEMENTS", 20)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, size=(7, 9)) / 2
    neighbours = np.array([rng.permutation(9)[:4] for _ in range(7)])
    asked = []

    def some(rows):
        asked.append(len(truth[rows]))
        return truth[rows]

    values = relevance.most_similar_average_precision(neighbours, some, 3)
    assert_array_equal(values, relevance.most_similar_average_precision(neighbours, truth, 3))
    assert max(asked) == 2 and sum(asked[1:]) == 7


def test_label_similarity_is_the_share_of_the_querys_words_where_all_attributes_are_equal():
    words = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 1]])
    table = pd.DataFrame({"colour": ["red", "red", "red", "red"], "size": ["S", "S", "L", "S"]})
    similarity = relevance.label_similarity(table, table, words, words)
    assert_allclose(similarity[0], [3 / 3, 1 / 3, 0, 0])
    assert_allclose(similarity[1], [1 / 2, 2 / 2, 0, 1 / 2])
    assert_array_equal(relevance.label_similarity([7, 8], [7, 7], words[:2], words[:2])[1], [0, 0])


def test_label_similarity_of_a_name_without_words_is_nothing():
    assert relevance.label_similarity([1], [1], [[0, 0]], [[1, 0]]).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_words": [[1, 0]]}, "as many words in both vocabularies, got 2 and 3"),
        (
            {"query_attributes": [["a"], ["b"]]},
            r"query_attributes must have shape \(1 items, attributes\), got \(2, 1\)",
        ),
        ({"query_attributes": [["a", "b"]]}, "as many attributes in both tables, got 2 and 1"),
        ({"query_words": [[2, 0, 0]]}, "must hold bool or 0 and 1"),
    ],
)
def test_label_similarity_refuses_what_does_not_fit(change, message):
    sound = dict(
        query_attributes=[["a"]], gallery_attributes=[["a"]], query_words=[[1, 0, 1]], gallery_words=[[1, 1, 0]]
    )
    with pytest.raises(ValueError, match=message):
        relevance.label_similarity(**{**sound, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"similarity": [[0.5, np.nan]]}, "similarity must be finite, got 1 NaN"),
        ({"similarity": [[0.5, -1.0]]}, "similarity must be 0 or above, got -1"),
        ({"similarity": lambda rows: np.ones((2, 2))}, r"similarity must have shape \(1, 2\), got \(2, 2\)"),
        ({"n_similar": 0}, "n_similar must be a positive integer, got 0"),
        ({"neighbours": [[2]]}, "gallery rows 0 to 1"),
        ({"own_rows": [5]}, "gallery rows 0 to 1"),
    ],
)
def test_the_most_similar_refuse_what_does_not_fit(change, message):
    sound = dict(neighbours=[[0]], similarity=[[0.5, 0.2]], n_similar=1)
    with pytest.raises(ValueError, match=message):
        relevance.most_similar_average_precision(**{**sound, **change})


def test_label_iou_takes_label_sets_in_any_layout():
    sets = np.random.default_rng(5).random((9, 70)) < 0.3
    chosen = sets[:, sets.any(axis=0)]  # numpy lays the columns chosen out one after the other
    neighbours = np.tile(np.arange(9), (9, 1))
    expected = relevance.label_iou(np.ascontiguousarray(chosen), np.ascontiguousarray(chosen), neighbours)
    assert_array_equal(relevance.label_iou(chosen, chosen, neighbours), expected)
