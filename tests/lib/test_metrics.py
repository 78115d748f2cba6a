from itertools import combinations, permutations
from math import log2

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from scipy.stats import bootstrap, permutation_test
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    jaccard_score,
    ndcg_score,
    precision_score,
    recall_score,
)
from torchmetrics.functional.retrieval import retrieval_average_precision, retrieval_reciprocal_rank

from lib import metrics

ALL_DIVISORS = pytest.mark.parametrize("divisor", metrics.DIVISORS)
ONE_VALUE_A_QUERY = [
    metrics.average_precision_at_k,
    metrics.precision_at_k,
    metrics.recall_at_k,
    metrics.hit_rate_at_k,
    metrics.reciprocal_rank,
]


def random_rankings(seed=0, n_queries=40, k=12, share=0.3):
    rng = np.random.default_rng(seed)
    relevance = rng.random((n_queries, k)) < share
    n_relevant = relevance.sum(axis=1) + rng.integers(0, 20, n_queries)
    return relevance, n_relevant


@st.composite
def rankings(draw):
    relevance = draw(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
    missed = draw(hnp.arrays(np.int64, len(relevance), elements=st.integers(0, 12)))
    return relevance, relevance.sum(axis=1) + missed


# ------------------------------------------------------------------------------------------ average precision


def test_average_precision_by_hand_with_each_divisor():
    relevance, n_relevant = [[True, False, True, False]], [6]  # hits at ranks 1 and 3 of four answers
    total = 1 / 1 + 2 / 3
    expected = {"min(k, R)": total / 4, "R": total / 6, "k": total / 4, "hits": total / 2}
    for divisor, value in expected.items():
        assert_allclose(metrics.average_precision_at_k(relevance, n_relevant, divisor=divisor), [value])


def test_min_divisor_is_r_when_fewer_items_are_relevant_than_shown():
    assert_allclose(metrics.average_precision_at_k([[False, True, False, False]], [1]), [(1 / 2) / 1])


def test_default_divisor_is_min_of_k_and_r():
    relevance, n_relevant = random_rankings()
    assert_array_equal(
        metrics.average_precision_at_k(relevance, n_relevant),
        metrics.average_precision_at_k(relevance, n_relevant, divisor="min(k, R)"),
    )


@ALL_DIVISORS
@pytest.mark.parametrize("k", [1, 5, 12])
def test_average_precision_equals_a_slow_loop(divisor, k):
    relevance, n_relevant = random_rankings()
    expected = []
    for row, r in zip(relevance[:, :k], n_relevant, strict=True):
        total = sum(row[: i + 1].mean() for i in range(k) if row[i])
        divide_by = {"min(k, R)": min(k, r), "R": r, "k": k, "hits": max(row.sum(), 1)}[divisor]
        expected.append(total / divide_by if r else np.nan)
    assert_allclose(metrics.average_precision_at_k(relevance, n_relevant, k, divisor), expected, atol=1e-15)


@pytest.mark.parametrize("k", [1, 4, 12])
def test_hits_divisor_equals_torchmetrics(k):
    relevance, n_relevant = random_rankings()
    scores = torch.linspace(1.0, 0.1, relevance.shape[1])
    expected = [float(retrieval_average_precision(scores, torch.tensor(row), top_k=k)) for row in relevance]
    found = metrics.average_precision_at_k(relevance, n_relevant, k, "hits")
    assert_allclose(np.nan_to_num(found), expected, atol=1e-6)  # no relevant item: 0 there, NaN here


def test_torchmetrics_drops_hits_whose_score_is_not_positive():
    """A trap for cosine similarities, which are negative at times; our ranking has an order and no scores."""
    relevance = torch.tensor([True, False, True])
    assert_allclose(float(retrieval_average_precision(torch.tensor([0.5, 0.3, 0.1]), relevance)), (1 + 2 / 3) / 2)
    for last_score in (0.0, -0.2):
        scores = torch.tensor([0.5, 0.3, last_score])
        assert_allclose(float(retrieval_average_precision(scores, relevance)), 1.0)
    found = metrics.average_precision_at_k(relevance[None].numpy(), [2], divisor="hits")
    assert_allclose(found, [(1 + 2 / 3) / 2])


def test_hits_divisor_equals_scikit_learn_at_full_depth():
    relevance, _ = random_rankings()
    relevance = relevance[relevance.any(axis=1)]
    n_relevant = relevance.sum(axis=1)  # at full depth every relevant item is among the answers
    scores = -np.arange(relevance.shape[1])
    expected = [average_precision_score(row, scores) for row in relevance]
    for divisor in ("hits", "R", "min(k, R)"):
        assert_allclose(metrics.average_precision_at_k(relevance, n_relevant, divisor=divisor), expected)


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
        relevance = metrics.relevance(neighbours, query_labels, gallery_labels)
        n_relevant = metrics.count_relevant(query_labels, gallery_labels)
        found[k] = metrics.average_precision_at_k(relevance, n_relevant, k, "R").mean()
        assert_allclose(found[k], expected["mean_average_precision"])
    assert_allclose(found[15], expected["mean_average_precision_at_r"])  # every class has 15: k = R


@given(rankings())
def test_a_perfect_ranking_scores_one_and_an_empty_one_zero(case):
    relevance, n_relevant = case
    k = relevance.shape[1]
    n_relevant = np.maximum(n_relevant, 1)
    perfect = np.arange(k) < n_relevant[:, None]
    for divisor in ("min(k, R)", "hits"):
        assert_allclose(metrics.average_precision_at_k(perfect, n_relevant, divisor=divisor), 1.0)
    assert_allclose(metrics.average_precision_at_k(perfect, n_relevant, divisor="R"), np.minimum(k / n_relevant, 1))
    assert_allclose(metrics.average_precision_at_k(perfect, n_relevant, divisor="k"), np.minimum(n_relevant / k, 1))
    for divisor in metrics.DIVISORS:
        assert_array_equal(metrics.average_precision_at_k(perfect & False, n_relevant, divisor=divisor), 0.0)


@given(rankings())
def test_the_worst_order_of_the_same_answers_is_never_better(case):
    relevance, n_relevant = case
    found, best, worst = (
        np.nan_to_num(metrics.average_precision_at_k(order, n_relevant))
        for order in (relevance, -np.sort(-relevance.astype(int), axis=1), np.sort(relevance, axis=1))
    )
    assert np.all(worst <= found + 1e-12) and np.all(found <= best + 1e-12)


@given(rankings())
def test_sums_that_only_grow_with_k_grow(case):
    relevance, n_relevant = case
    for k in range(1, relevance.shape[1]):
        for measure in (
            lambda k: metrics.average_precision_at_k(relevance, n_relevant, k, "R"),
            lambda k: metrics.recall_at_k(relevance, n_relevant, k),
            lambda k: metrics.hit_rate_at_k(relevance, n_relevant, k),
            lambda k: metrics.reciprocal_rank(relevance, n_relevant, k),
        ):
            assert np.all(np.nan_to_num(measure(k)) <= np.nan_to_num(measure(k + 1)) + 1e-12)


@given(rankings(), st.randoms())
def test_each_query_is_scored_alone(case, random):
    relevance, n_relevant = case
    order = list(range(len(relevance)))
    random.shuffle(order)
    for measure in ONE_VALUE_A_QUERY:
        assert_array_equal(measure(relevance, n_relevant)[order], measure(relevance[order], n_relevant[order]))


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
        relevance = metrics.relevance(neighbours, query_labels, labels[rows])
        n_relevant = metrics.count_relevant(query_labels, labels[rows])
        scores.append(metrics.average_precision_at_k(relevance, n_relevant, 10))
    assert_array_equal(scores[0], scores[1])


# ------------------------------------------------------------------------------------- other values of a query


def test_precision_recall_hit_rate_and_reciprocal_rank_by_hand():
    relevance, n_relevant = [[False, True, True, False], [False, False, False, False]], [8, 2]
    assert_allclose(metrics.precision_at_k(relevance, n_relevant), [2 / 4, 0])
    assert_allclose(metrics.precision_at_k(relevance, n_relevant, k=3), [2 / 3, 0])
    assert_allclose(metrics.recall_at_k(relevance, n_relevant), [2 / 8, 0])
    assert_allclose(metrics.hit_rate_at_k(relevance, n_relevant), [1, 0])
    assert_allclose(metrics.hit_rate_at_k(relevance, n_relevant, k=1), [0, 0])
    assert_allclose(metrics.reciprocal_rank(relevance, n_relevant), [1 / 2, 0])


def test_reciprocal_rank_equals_torchmetrics():
    relevance, n_relevant = random_rankings(share=0.15)
    scores = torch.linspace(1.0, 0.1, relevance.shape[1])
    expected = [float(retrieval_reciprocal_rank(scores, torch.tensor(row))) for row in relevance]
    assert_allclose(np.nan_to_num(metrics.reciprocal_rank(relevance, n_relevant)), expected, atol=1e-6)


def test_recall_is_one_when_k_covers_the_gallery():
    relevance, _ = random_rankings(share=0.5)
    assert_array_equal(metrics.recall_at_k(relevance, relevance.sum(axis=1)), 1.0)


def test_zero_one_relevance_is_taken_like_bool():
    relevance, n_relevant = random_rankings()
    for measure in ONE_VALUE_A_QUERY:
        for dtype in (np.int8, np.float32):
            assert_array_equal(measure(relevance.astype(dtype), n_relevant), measure(relevance, n_relevant))


def test_a_query_without_relevant_items_is_nan():
    relevance = [[False, False], [True, False]]
    for measure in ONE_VALUE_A_QUERY:
        assert_array_equal(np.isnan(measure(relevance, [0, 1])), [True, False])


def test_no_queries_give_no_values():
    for measure in ONE_VALUE_A_QUERY:
        assert measure(np.zeros((0, 5), dtype=bool), []).shape == (0,)
    assert metrics.ndcg_at_k(np.zeros((0, 5)), np.zeros((0, 9))).shape == (0,)
    assert metrics.relevance(np.zeros((0, 5), dtype=int), [], ["hat"]).shape == (0, 5)
    assert metrics.count_relevant([], ["hat"]).shape == (0,)


@pytest.mark.parametrize("measure", ONE_VALUE_A_QUERY)
def test_bad_rankings_are_refused_with_what_came_and_what_is_allowed(measure):
    relevance = [[True, True, False]]
    with pytest.raises(ValueError, match="has 2 relevant neighbours, but n_relevant says 1"):
        measure(relevance, [1])
    with pytest.raises(ValueError, match="has 2 relevant neighbours, but n_relevant says 1"):
        measure(relevance, [1], k=1)  # also where the first k alone would not show it
    with pytest.raises(ValueError, match="relevance has 1 queries, n_relevant 2"):
        measure(relevance, [3, 3])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        measure(relevance[0], [3])
    with pytest.raises(ValueError, match="1 NaN or infinite values of 3"):
        measure([[1.0, np.nan, 0.0]], [3])
    with pytest.raises(ValueError, match=r"holds 0\.5, allowed: 0 and 1"):
        measure([[1.0, 0.5, 0.0]], [3])
    with pytest.raises(ValueError, match="k is 4, but the number of ranked items is 3"):
        measure(relevance, [3], k=4)
    with pytest.raises(ValueError, match="k is 0, allowed: a whole number from 1"):
        measure(relevance, [3], k=0)
    with pytest.raises(ValueError, match=r"k is 2\.0, allowed"):
        measure(relevance, [3], k=2.0)
    with pytest.raises(ValueError, match="holds -1, allowed: 0 and above"):
        measure(relevance, [-1])
    with pytest.raises(ValueError, match="n_relevant has dtype float64"):
        measure(relevance, [np.nan])


def test_an_unknown_divisor_lists_the_known_ones():
    for function, first in ((metrics.average_precision_at_k, [[True]]), (metrics.chance_average_precision, [1])):
        with pytest.raises(ValueError, match=r"divisor is 'N', allowed: 'min\(k, R\)', 'R', 'k', 'hits'"):
            function(first, [1] if function is metrics.average_precision_at_k else 5, divisor="N")


# --------------------------------------------------------------------------------------------------------- nDCG


def test_ndcg_by_hand():
    gains, gallery_gains = [[0, 3, 1]], [[1, 0, 3, 2, 0]]
    dcg = 0 + 3 / log2(3) + 1 / log2(4)
    ideal = 3 / log2(2) + 2 / log2(3) + 1 / log2(4)
    assert_allclose(metrics.ndcg_at_k(gains, gallery_gains), [dcg / ideal])
    assert_allclose(metrics.ndcg_at_k(gains, gallery_gains, k=2), [(3 / log2(3)) / (3 + 2 / log2(3))])


@pytest.mark.parametrize("k", [1, 5, 12])
def test_ndcg_equals_scikit_learn(k):
    rng = np.random.default_rng(0)
    gallery_gains = rng.integers(0, 4, (30, 12)).astype(float)
    order = rng.permuted(np.tile(np.arange(12), (30, 1)), axis=1)
    scores = np.empty((30, 12))
    np.put_along_axis(scores, order, np.arange(12.0, 0, -1)[None], axis=1)
    gains = np.take_along_axis(gallery_gains, order, axis=1)
    assert_allclose(metrics.ndcg_at_k(gains, gallery_gains, k).mean(), ndcg_score(gallery_gains, scores, k=k))


def test_ideal_ranking_counts_what_was_not_found():
    assert_allclose(metrics.ndcg_at_k([[1.0]], [[1.0, 2.0]]), [1 / 2])


def test_ndcg_needs_no_more_than_the_k_best_gains_of_the_gallery_and_copes_with_a_small_one():
    gains = [[2.0, 0.0, 1.0]]
    assert_allclose(metrics.ndcg_at_k(gains, [[0, 1, 2, 0, 1, 0]]), metrics.ndcg_at_k(gains, [[2, 1, 1]]))
    assert_allclose(metrics.ndcg_at_k(gains, [[1, 2]]), [(2 + 1 / 2) / (2 + 1 / log2(3))])


def test_ndcg_in_batches_equals_ndcg_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    gallery_gains = rng.random((17, 9))
    at_once = metrics.ndcg_at_k(gallery_gains[:, :4], gallery_gains)
    monkeypatch.setattr(metrics, "_BATCH_ELEMENTS", 20)
    assert_array_equal(metrics.ndcg_at_k(gallery_gains[:, :4], gallery_gains), at_once)


def test_bad_gains_are_refused():
    with pytest.raises(ValueError, match=r"gain of 2, but the best that gallery_gains allows is 1"):
        metrics.ndcg_at_k([[2.0]], [[1.0]])
    with pytest.raises(ValueError, match=r"gains holds -1, allowed: 0 and above"):
        metrics.ndcg_at_k([[-1.0]], [[1.0]])
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        metrics.ndcg_at_k([[np.inf]], [[1.0]])
    with pytest.raises(ValueError, match="gains has 1 queries, gallery_gains 2"):
        metrics.ndcg_at_k([[1.0]], [[1.0], [1.0]])


def test_no_gain_in_the_gallery_is_nan():
    assert np.isnan(metrics.ndcg_at_k([[0.0, 0.0]], [[0.0, 0.0, 0.0]])).all()


# ----------------------------------------------------------------------------------------------- who is relevant


def test_relevance_and_counts_agree_over_the_whole_gallery():
    rng = np.random.default_rng(0)
    query_labels, gallery_labels = rng.integers(0, 5, 12), rng.integers(0, 4, 50)
    everything = np.tile(np.arange(50), (12, 1))
    relevance = metrics.relevance(everything, query_labels, gallery_labels)
    assert_array_equal(relevance.sum(axis=1), metrics.count_relevant(query_labels, gallery_labels))


def test_a_query_in_the_gallery_is_not_counted_as_its_own_answer():
    labels = np.array(["hat", "bag", "hat", "hat"])
    assert_array_equal(metrics.count_relevant(labels, labels, self_in_gallery=True), [2, 0, 2, 2])
    with pytest.raises(ValueError, match="1 queries have a label that no gallery item carries"):
        metrics.count_relevant(["shoe"], labels, self_in_gallery=True)


def test_labels_may_come_from_a_table():
    table = pd.DataFrame({"label": ["hat", "bag", "hat"]})
    assert_array_equal(metrics.count_relevant(table.label, table.label), [2, 1, 2])
    assert_array_equal(metrics.count_relevant(table.label[:1], np.array(["hat", "shoe"])), [1])


def test_bad_labels_and_neighbours_are_refused():
    with pytest.raises(ValueError, match="rows -1 to 2, allowed: 0 to 1"):
        metrics.relevance([[2, -1]], ["hat"], ["hat", "bag"])
    with pytest.raises(ValueError, match=r"neighbours has shape \(2,\), allowed: \(1 queries, k\)"):
        metrics.relevance([0, 1], ["hat"], ["hat", "bag"])
    with pytest.raises(ValueError, match="neighbours has dtype float64"):
        metrics.relevance([[0.0]], ["hat"], ["hat"])
    with pytest.raises(ValueError, match="none can be equal"):
        metrics.relevance([[0]], ["1"], [1])
    with pytest.raises(ValueError, match="query_labels has dtype float64"):
        metrics.count_relevant([np.nan], [1])
    with pytest.raises(ValueError, match="query_labels mixes types"):
        metrics.count_relevant(np.array(["hat", None], dtype=object), ["hat"])


def test_label_iou_equals_python_sets():
    rng = np.random.default_rng(0)
    queries, gallery = rng.random((6, 70)) < 0.1, rng.random((20, 70)) < 0.1
    queries[0] = gallery[0] = False  # two empty sets share nothing
    neighbours = rng.integers(0, 20, (6, 8))
    neighbours[0, 0] = 0
    found = metrics.label_iou(queries, gallery, neighbours)
    for row, q in enumerate(queries):
        for column, n in enumerate(neighbours[row]):
            a, b = set(np.flatnonzero(q)), set(np.flatnonzero(gallery[n]))
            assert found[row, column] == (len(a & b) / len(a | b) if a | b else 0.0)


def test_label_iou_in_batches_equals_label_iou_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    sets, neighbours = rng.random((20, 5)) < 0.4, rng.integers(0, 20, (20, 3))
    at_once = metrics.label_iou(sets, sets, neighbours)
    monkeypatch.setattr(metrics, "_BATCH_ELEMENTS", 10)
    assert_array_equal(metrics.label_iou(sets, sets, neighbours), at_once)


def test_bad_label_sets_are_refused():
    with pytest.raises(ValueError, match="query_label_sets has 2 labels, gallery_label_sets 3"):
        metrics.label_iou([[1, 0]], [[1, 0, 0]], [[0]])
    with pytest.raises(ValueError, match="values other than 0 and 1"):
        metrics.label_iou([[2, 0]], [[1, 0]], [[0]])


TREE = pd.DataFrame(
    {
        "class": ["all", "animal", "vehicle", "cat", "tiger", "lion", "truck"],
        "parent": [None, "all", "all", "animal", "cat", "cat", "vehicle"],
    }
)


def test_hierarchy_similarity_by_hand():
    found = metrics.hierarchy_similarity(
        ["tiger", "truck"], ["tiger", "lion", "truck", "cat"], [[0, 1, 2, 3], [2, 0, 1, 3]], TREE
    )
    # depths: tiger 3, lion 3, truck 2, cat 2; tiger and lion meet at cat (2), tiger and truck at all (0)
    assert_allclose(found, [[1, 2 / 3, 0, 2 / ((3 + 2) / 2)], [1, 0, 0, 0]])


def test_hierarchy_similarity_does_not_depend_on_the_order_of_the_table():
    labels, neighbours = ["tiger", "lion", "truck", "cat"], np.tile(np.arange(4), (4, 1))
    expected = metrics.hierarchy_similarity(labels, labels, neighbours, TREE)
    assert_array_equal(expected, expected.T)
    assert_array_equal(metrics.hierarchy_similarity(labels, labels, neighbours, TREE[::-1]), expected)


def test_several_roots_hang_on_one_more():
    forest = {"class": ["a", "b", "a1", "a2", "b1"], "parent": [np.nan, "", "a", "a", "b"]}
    assert_allclose(metrics.hierarchy_similarity(["a1"], ["a2", "b1", "a1"], [[0, 1, 2]], forest), [[1 / 2, 0, 1]])


def test_bad_hierarchies_are_refused():
    def similarity(label, **hierarchy):
        return metrics.hierarchy_similarity([label], [label], [[0]], hierarchy)

    with pytest.raises(ValueError, match="'a' is its own ancestor"):
        similarity("a", **{"class": ["a", "b"], "parent": ["b", "a"]})
    with pytest.raises(ValueError, match="label 'c' is not among the 1 classes"):
        similarity("c", **{"class": ["a"], "parent": [""]})
    with pytest.raises(ValueError, match="the parent 'z' of 'a' is not among the 1 classes"):
        similarity("a", **{"class": ["a"], "parent": ["z"]})
    with pytest.raises(ValueError, match="has 2 rows, but 1 different classes"):
        similarity("a", **{"class": ["a", "a"], "parent": ["", ""]})
    with pytest.raises(ValueError, match="needed: class and parent"):
        similarity("a", name=["a"])


# ------------------------------------------------------------------------------------------- what chance gives


@ALL_DIVISORS
def test_chance_equals_the_mean_over_every_order_of_a_small_gallery(divisor):
    for n, r in ((1, 1), (2, 1), (4, 3), (5, 5), (6, 2)):
        gallery = np.arange(n) < r
        orders = np.array([gallery[list(order)] for order in permutations(range(n))])
        for k in range(1, n + 1):
            every = metrics.average_precision_at_k(orders, np.full(len(orders), r), k, divisor)
            found = metrics.chance_average_precision([r], n, k, divisor)
            assert_allclose(found, [every.mean()], err_msg=f"{n=} {r=} {k=}")


def test_chance_without_relevant_items_is_nan_and_with_only_relevant_ones_is_one():
    assert np.isnan(metrics.chance_average_precision([0], 9)).all()
    assert_allclose(metrics.chance_average_precision([9, 9], 9, k=4), 1.0)


def test_chance_approaches_the_share_of_relevant_items_in_a_large_gallery():
    assert_allclose(metrics.chance_average_precision([50_000], 1_000_000), 0.05, rtol=1e-3)


def test_impossible_chances_are_refused():
    with pytest.raises(ValueError, match="n_relevant is up to 6, but n_gallery is 5"):
        metrics.chance_average_precision([6], 5)
    with pytest.raises(ValueError, match="k is 6, but n_gallery is 5"):
        metrics.chance_average_precision([2], 5, k=6)


# ------------------------------------------------------------------------------------------- over many queries


def test_mean_leaves_out_and_counts_queries_without_a_value():
    assert metrics.mean_over_queries([1.0, np.nan, 0.5, np.nan]) == (0.75, 2, 2)
    mean, n_queries, n_left_out = metrics.mean_over_queries([np.nan])
    assert np.isnan(mean) and (n_queries, n_left_out) == (0, 1)


def test_bootstrap_interval_equals_scipy_within_its_noise():
    values = np.random.default_rng(0).exponential(size=200)
    expected = bootstrap([values], np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    found = metrics.bootstrap_interval(values, n_resamples=20_000)
    assert_allclose(found, expected, atol=0.05 * values.std() / np.sqrt(200) * 2)


def test_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [metrics.bootstrap_interval(rng.random(60), 0.9, seed, n_resamples=300) for seed in range(300)]
    covered = np.mean([low <= 0.5 <= high for low, high in intervals])
    assert abs(covered - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 300) + 0.02  # three standard errors, and the percentile's bias


def test_bootstrap_leaves_out_nan_repeats_with_the_seed_and_batches_alike(monkeypatch):
    values = np.random.default_rng(0).random(50)
    expected = metrics.bootstrap_interval(values, seed=3)
    assert metrics.bootstrap_interval(np.append(values, np.nan), seed=3) == expected
    assert metrics.bootstrap_interval(values, seed=4) != expected
    monkeypatch.setattr(metrics, "_BATCH_ELEMENTS", 1000)
    assert_allclose(metrics.bootstrap_interval(values, seed=3), expected, atol=0.01)


def test_a_wider_level_gives_a_wider_interval():
    values = np.random.default_rng(0).random(80)
    (low, high), (lower, higher) = (metrics.bootstrap_interval(values, level) for level in (0.8, 0.99))
    assert lower < low < values.mean() < high < higher


def test_p_value_by_hand():
    # differences 3, 2, 1: only +++ and --- reach |6|; differences 3, 2, -1: |4| is also reached by +++ and ---
    assert metrics.paired_difference([3, 2, 1], [0, 0, 0]).p_value == 2 / 8
    assert metrics.paired_difference([3, 2, 0], [0, 0, 1]).p_value == 4 / 8
    assert metrics.paired_difference([1, 1], [1, 1]) == (0, 0, 0, 1)


def test_p_value_equals_scipy_where_every_pattern_is_tried():
    rng = np.random.default_rng(0)
    a, b = rng.random(10), rng.random(10) - 0.2
    expected = permutation_test(
        (a, b), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", vectorized=True
    )
    assert_allclose(metrics.paired_difference(a, b).p_value, expected.pvalue)


def test_drawn_p_value_is_near_the_one_of_all_patterns():
    rng = np.random.default_rng(0)
    a, b = rng.random(12), rng.random(12) - 0.15
    exact = metrics.paired_difference(a, b).p_value
    drawn = metrics.paired_difference(a, b, n_resamples=4000).p_value
    assert 0.02 < exact < 0.5
    assert drawn != exact and abs(drawn - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000)


def test_p_value_is_never_zero_and_the_difference_changes_sign_with_the_order():
    a, b = np.linspace(0.5, 1.0, 100), np.linspace(0.0, 0.4, 100)
    forth, back = metrics.paired_difference(a, b), metrics.paired_difference(b, a)
    assert forth.p_value == back.p_value == 1 / 5001
    assert_allclose(back.mean, -forth.mean)
    assert 0 < forth.low < forth.mean < forth.high


def test_p_values_of_equal_methods_are_below_a_tenth_a_tenth_of_the_time():
    rng = np.random.default_rng(0)
    p_values = [metrics.paired_difference(*rng.random((2, 30)), n_resamples=400).p_value for _ in range(400)]
    assert abs(np.mean(np.array(p_values) <= 0.1) - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 400)


def test_pairs_without_a_value_are_left_out_and_half_pairs_refused():
    a, b = np.random.default_rng(0).random((2, 9))
    with_nan = [np.append(values, np.nan) for values in (a, b)]
    assert metrics.paired_difference(*with_nan) == metrics.paired_difference(a, b)
    with pytest.raises(ValueError, match="1 queries have a value in only one of a and b, the first is query 9"):
        metrics.paired_difference(with_nan[0], np.append(b, 0.5))
    with pytest.raises(ValueError, match="a has 9 queries, b 8"):
        metrics.paired_difference(a, b[:8])


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="0 queries with a value"):
        metrics.bootstrap_interval([np.nan])
    with pytest.raises(ValueError, match="1 infinite values"):
        metrics.mean_over_queries([np.inf])
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        metrics.bootstrap_interval([[0.1, 0.2]])
    with pytest.raises(ValueError, match="level is 95, allowed: between 0 and 1"):
        metrics.bootstrap_interval([0.1], level=95)


# ----------------------------------------------------------------------------- the rank of the right answer


def random_embeddings(seed=0, n_queries=30, n_gallery=50, d=4):
    rng = np.random.default_rng(seed)
    queries, gallery = rng.normal(size=(n_queries, d)), rng.normal(size=(n_gallery, d))
    return queries, gallery, rng.integers(0, 9, n_queries), rng.integers(0, 8, n_gallery)  # no item is right for 8


def nearest_first(queries, gallery, metric):
    if metric == "cosine":
        queries, gallery = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery))
    return np.argsort(np.linalg.norm(queries[:, None] - gallery, axis=2), axis=1)


def test_rank_of_first_by_hand():
    relevance = [[True, False, True], [False, False, True], [False, False, False], [False, False, False]]
    assert_array_equal(metrics.rank_of_first(relevance, [2, 1, 1, 0]), [1, 3, np.inf, np.nan])
    assert_array_equal(metrics.rank_of_first(relevance, [2, 1, 1, 0], k=2), [1, np.inf, np.inf, np.nan])


def test_rank_of_first_is_one_over_the_reciprocal_rank():
    relevance, n_relevant = random_rankings()
    with np.errstate(divide="ignore"):
        expected = 1 / metrics.reciprocal_rank(relevance, n_relevant)
    assert_allclose(metrics.rank_of_first(relevance, n_relevant), expected)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_match_ranks_equal_the_rank_in_the_sorted_gallery(metric):
    queries, gallery, query_labels, gallery_labels = random_embeddings()
    relevance = gallery_labels[nearest_first(queries, gallery, metric)] == query_labels[:, None]
    expected = metrics.rank_of_first(relevance, metrics.count_relevant(query_labels, gallery_labels))
    assert np.isnan(expected).any()
    assert_array_equal(metrics.match_ranks(queries, gallery, query_labels, gallery_labels, metric), expected)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_query_is_not_its_own_answer_where_it_is_in_the_gallery(metric):
    _, rows, _, labels = random_embeddings()
    others = nearest_first(rows, rows, metric)[:, 1:]
    expected = metrics.rank_of_first(labels[others] == labels[:, None], metrics.count_relevant(labels, labels, True))
    assert_array_equal(metrics.match_ranks(rows, rows, labels, labels, metric, self_in_gallery=True), expected)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_ties_count_as_the_mean_over_all_orders_of_the_gallery(metric):
    gallery = np.array([[0.0, 2.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [3.0, 0.1]])
    labels = np.array([0, 1, 1, 0, 0])
    query = np.array([[2.0, 1.0]])
    nearness = -np.linalg.norm(query - gallery, axis=1) if metric == "l2" else query[0] @ gallery.T
    if metric == "cosine":
        nearness = nearness / np.linalg.norm(gallery, axis=1)
    ranks = []
    for order in map(np.array, permutations(range(5))):
        ranking = order[np.argsort(-nearness[order].round(12), kind="stable")]
        ranks.append(np.argmax(labels[ranking] == 1) + 1)
    assert_allclose(metrics.match_ranks(query, gallery, [1], labels, metric), [np.mean(ranks)])


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_embeddings_that_are_all_the_same_have_the_rank_of_chance(metric):
    same = np.full((101, 3), 0.3, np.float32)
    assert_allclose(metrics.match_ranks(same, same, np.arange(101), np.arange(101), metric), 1 + 100 / 2)


def test_a_row_of_zeros_has_the_rank_of_chance_by_cosine():
    gallery = np.random.default_rng(0).normal(size=(11, 3))
    assert_allclose(metrics.match_ranks(np.zeros((1, 3)), gallery, [4], np.arange(11)), [1 + 10 / 2])


def test_match_ranks_do_not_depend_on_the_order_of_the_gallery_the_scale_or_the_batches(monkeypatch):
    queries, gallery, query_labels, gallery_labels = random_embeddings()
    gallery = np.repeat(gallery, 2, axis=0).astype(np.float32)  # with ties
    gallery_labels = np.random.default_rng(1).integers(0, 8, len(gallery))
    expected = metrics.match_ranks(queries, gallery, query_labels, gallery_labels)
    order = np.random.default_rng(2).permutation(len(gallery))
    monkeypatch.setattr(metrics, "_BATCH_ELEMENTS", 700)
    found = metrics.match_ranks(7 * queries, 0.1 * gallery[order], query_labels, gallery_labels[order])
    assert_allclose(found, expected)


def test_no_query_and_no_gallery():
    assert metrics.match_ranks(np.zeros((0, 2)), np.ones((3, 2)), [], [1, 2, 3]).shape == (0,)
    assert_array_equal(metrics.match_ranks(np.ones((2, 2)), np.zeros((0, 2)), [1, 2], []), [np.nan, np.nan])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "dot"}, "metric is 'dot', allowed: 'cosine', 'l2'"),
        ({"queries": np.ones((2, 3))}, "queries have 3 dimensions, the gallery 2"),
        ({"queries": np.ones((3, 2))}, r"queries has shape \(3, 2\), allowed: \(2, d\)"),
        ({"gallery": np.full((2, 2), np.nan)}, "gallery holds 4 NaN"),
        ({"query_labels": [[1, 2]]}, "one label each"),
        ({"self_in_gallery": True}, "not the same rows"),
    ],
)
def test_match_ranks_refuse_what_does_not_fit(change, message):
    sound = dict(queries=np.ones((2, 2)), gallery=np.eye(2), query_labels=[1, 2], gallery_labels=[1, 2])
    with pytest.raises(ValueError, match=message):
        metrics.match_ranks(**{**sound, **change})


def test_the_interval_of_a_median_is_near_the_exact_one_of_order_statistics():
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    low, high = metrics.median_interval(values)  # exact, by the binomial: the 40th and the 61st of 100 hold 96.5%
    assert abs(low - 40) <= 2 and abs(high - 61) <= 2
    assert metrics.median_interval(values) == (low, high)


def test_the_interval_of_a_median_is_wider_where_queries_come_in_groups():
    values = np.repeat(np.random.default_rng(0).exponential(10, 40), 5)
    alone, together = metrics.median_interval(values), metrics.median_interval(values, np.repeat(np.arange(40), 5))
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])


def test_the_interval_of_a_median_takes_infinity_leaves_out_nan_and_refuses_the_rest():
    assert metrics.median_interval([1, np.inf, np.inf, np.inf, np.nan]) == (1.0, np.inf)
    assert metrics.median_interval([2.0, np.nan]) == (2.0, 2.0)
    with pytest.raises(ValueError, match="0 queries with a value"):
        metrics.median_interval([np.nan])
    with pytest.raises(ValueError, match=r"groups \(1,\)"):
        metrics.median_interval([1.0, 2.0], groups=[1])
    with pytest.raises(ValueError, match="level is 95"):
        metrics.median_interval([1.0], level=95)


# --------------------------------------------------------------------------- the items most similar by their labels


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
    assert_allclose(metrics.most_similar_average_precision(neighbours, truth, n_similar), expected)


def test_the_most_similar_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, size=(20, 50)) / 4
    neighbours = np.array([rng.permutation(50)[:10] for _ in range(20)])
    order = rng.permutation(50)  # new row i is the old row order[i]
    moved = metrics.most_similar_average_precision(np.argsort(order)[neighbours], truth[:, order], 10)
    assert_allclose(moved, metrics.most_similar_average_precision(neighbours, truth, 10))


def test_without_ties_it_is_the_average_precision_of_the_most_similar():
    truth = np.array([[0.9, 0.5, 0.7, 0.1]])
    value = metrics.most_similar_average_precision([[1, 0, 2]], truth, n_similar=2)  # relevant: rows 0 and 2
    assert_allclose(value, [(1 / 2 + 2 / 3) / 2])


def test_fewer_similar_items_than_asked_lower_the_divisor_and_none_is_nan():
    truth = np.array([[0.5, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
    values = metrics.most_similar_average_precision([[3, 1, 0], [0, 1, 2]], truth, n_similar=3)
    assert_allclose(values, [(1 / 1 + 2 / 3) / 2, np.nan])


def test_a_query_is_not_among_the_items_most_similar_to_itself():
    truth = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0]])
    values = metrics.most_similar_average_precision([[1], [0]], truth, n_similar=1, own_rows=[0, 1])
    assert values.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="query 1 is among its own neighbours"):
        metrics.most_similar_average_precision([[1], [1]], truth[[0, 1]], n_similar=1, own_rows=[0, 1])


def test_similarity_may_come_some_queries_at_a_time(monkeypatch):
    monkeypatch.setattr(metrics, "_BATCH_ELEMENTS", 20)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, size=(7, 9)) / 2
    neighbours = np.array([rng.permutation(9)[:4] for _ in range(7)])
    asked = []

    def some(rows):
        asked.append(len(truth[rows]))
        return truth[rows]

    values = metrics.most_similar_average_precision(neighbours, some, 3)
    assert_array_equal(values, metrics.most_similar_average_precision(neighbours, truth, 3))
    assert max(asked) == 2 and sum(asked[1:]) == 7


def test_label_similarity_is_the_share_of_the_querys_words_where_all_attributes_are_equal():
    words = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 1]])
    table = pd.DataFrame({"colour": ["red", "red", "red", "red"], "size": ["S", "S", "L", "S"]})
    similarity = metrics.label_similarity(table, table, words, words)
    assert_allclose(similarity[0], [3 / 3, 1 / 3, 0, 0])
    assert_allclose(similarity[1], [1 / 2, 2 / 2, 0, 1 / 2])
    assert_array_equal(metrics.label_similarity([7, 8], [7, 7], words[:2], words[:2])[1], [0, 0])


def test_label_similarity_of_a_name_without_words_is_nothing():
    assert metrics.label_similarity([1], [1], [[0, 0]], [[1, 0]]).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_words": [[1, 0]]}, "query_words has 2 words, gallery_words 3"),
        ({"query_attributes": [["a"], ["b"]]}, r"query_attributes has shape \(2, 1\)"),
        ({"query_attributes": [["a", "b"]]}, "query_attributes has 2 columns, gallery_attributes 1"),
        ({"query_words": [[2, 0, 0]]}, "values other than 0 and 1"),
    ],
)
def test_label_similarity_refuses_what_does_not_fit(change, message):
    sound = dict(
        query_attributes=[["a"]], gallery_attributes=[["a"]], query_words=[[1, 0, 1]], gallery_words=[[1, 1, 0]]
    )
    with pytest.raises(ValueError, match=message):
        metrics.label_similarity(**{**sound, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"similarity": [[0.5, np.nan]]}, "similarity holds 1 NaN"),
        ({"similarity": [[0.5, -1.0]]}, "similarity holds -1"),
        ({"similarity": lambda rows: np.ones((2, 2))}, r"similarity gave \(2, 2\)"),
        ({"n_similar": 0}, "n_similar is 0"),
        ({"neighbours": [[2]]}, "allowed: 0 to 1"),
        ({"own_rows": [5]}, "allowed: 0 to 1"),
    ],
)
def test_the_most_similar_refuse_what_does_not_fit(change, message):
    sound = dict(neighbours=[[0]], similarity=[[0.5, 0.2]], n_similar=1)
    with pytest.raises(ValueError, match=message):
        metrics.most_similar_average_precision(**{**sound, **change})


# ----------------------------------------------------------------------------------------- labels and masks of an image


def label_sets_with_empty_ones(rng, n=60, n_labels=5):
    true, predicted = rng.random((n, n_labels)) < 0.4, rng.random((n, n_labels)) < 0.5
    true[:3], predicted[2:6] = False, False  # nothing true, nothing predicted, and once neither
    return predicted, true


@pytest.mark.parametrize("zero_division", [0, 1])
def test_label_scores_are_scikit_learns_over_samples(zero_division):
    predicted, true = label_sets_with_empty_ones(np.random.default_rng(0))
    scores = metrics.label_scores(predicted, true, zero_division)
    how = {"average": "samples", "zero_division": zero_division}
    for ours, theirs in zip(scores, (f1_score, jaccard_score, precision_score, recall_score), strict=True):
        assert ours.mean() == pytest.approx(theirs(true, predicted, **how))
        one_by_one = [theirs(true[[i]], predicted[[i]], **how) for i in range(len(true))]
        assert_allclose(ours, one_by_one)


def test_label_scores_by_hand():
    scores = metrics.label_scores([[1, 1, 1, 0]], [[0, 1, 1, 1]])
    assert [float(each[0]) for each in scores] == pytest.approx([2 * 2 / (3 + 3), 2 / 4, 2 / 3, 2 / 3])


def test_label_scores_do_not_depend_on_the_order_of_labels():
    predicted, true = label_sets_with_empty_ones(np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(true.shape[1])
    for a, b in zip(
        metrics.label_scores(predicted, true), metrics.label_scores(predicted[:, order], true[:, order]), strict=True
    ):
        assert_array_equal(a, b)


def test_label_scores_of_no_image_are_empty():
    assert [len(each) for each in metrics.label_scores(np.zeros((0, 3), bool), np.zeros((0, 3), bool))] == [0] * 4


@pytest.mark.parametrize(
    ("predicted", "true", "zero_division", "message"),
    [
        ([[1, 0]], [[1, 0, 0]], 0, r"predicted_sets has shape \(1, 2\), true_sets \(1, 3\)"),
        ([[0.3, 0.7]], [[1, 0]], 0, "predicted_sets holds values other than 0 and 1"),
        ([1, 0], [1, 0], 0, r"predicted_sets has shape \(2,\)"),
        ([[1, 0]], [[1, 0]], 0.5, "zero_division is 0.5, allowed: 0 and 1"),
    ],
)
def test_label_scores_refuse(predicted, true, zero_division, message):
    with pytest.raises(ValueError, match=message):
        metrics.label_scores(predicted, true, zero_division)


def test_the_threshold_has_the_best_f1_of_scikit_learn_over_all_tried():
    rng = np.random.default_rng(3)
    true = rng.random((80, 6)) < 0.4
    probabilities = np.clip(0.3 * true + 0.5 * rng.random(true.shape), 0, 1)
    tried = [0.2, 0.35, 0.5, 0.65]
    f1 = [f1_score(true, probabilities >= t, average="samples", zero_division=0) for t in tried]
    threshold, value = metrics.threshold_by_f1(probabilities, true, tried)
    assert (threshold, value) == (tried[int(np.argmax(f1))], pytest.approx(max(f1)))
    assert len(set(f1)) > 1


def test_of_thresholds_with_equal_f1_the_first_is_taken():
    assert metrics.threshold_by_f1([[0.9, 0.1]], [[1, 0]], [0.8, 0.3, 0.2])[0] == 0.8


def test_a_threshold_cannot_be_chosen_without_images_or_among_none():
    with pytest.raises(ValueError, match="19 thresholds and 0 images"):
        metrics.threshold_by_f1(np.zeros((0, 2)), np.zeros((0, 2), bool))
    with pytest.raises(ValueError, match="0 thresholds and 1 images"):
        metrics.threshold_by_f1([[0.5]], [[True]], [])


def test_mask_iou_is_scikit_learns_jaccard_of_each_image():
    rng = np.random.default_rng(4)
    predicted, true = rng.integers(0, 3, (5, 6, 7)).astype(np.uint8), rng.random((5, 6, 7)) < 0.3
    expected = [jaccard_score(t.ravel(), p.ravel() > 0) for p, t in zip(predicted, true, strict=True)]
    assert_allclose(metrics.mask_iou(predicted, true), expected)
    assert_allclose(metrics.mask_iou(true, predicted), expected)


def test_mask_iou_of_two_empty_masks_is_left_out_and_of_disjoint_ones_is_zero():
    empty, full = np.zeros((1, 2, 2), bool), np.ones((1, 2, 2), bool)
    predicted, true = np.concatenate([empty, empty, full]), np.concatenate([empty, full, full])
    assert_array_equal(metrics.mask_iou(predicted, true), [np.nan, 0, 1])


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (np.zeros((2, 3, 3), bool), np.zeros((2, 3, 4), bool), r"\(2, 3, 3\) and \(2, 3, 4\)"),
        (np.zeros((3, 3), bool), np.zeros((3, 3), bool), r"allowed: the same \(n, h, w\)"),
        (np.full((1, 2, 2), 0.7), np.zeros((1, 2, 2), bool), "dtypes float64 and bool"),
    ],
)
def test_mask_iou_refuses(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        metrics.mask_iou(predicted, true)


def test_label_iou_takes_label_sets_in_any_layout():
    sets = np.random.default_rng(5).random((9, 70)) < 0.3
    chosen = sets[:, sets.any(axis=0)]  # numpy lays the columns chosen out one after the other
    neighbours = np.tile(np.arange(9), (9, 1))
    expected = metrics.label_iou(np.ascontiguousarray(chosen), np.ascontiguousarray(chosen), neighbours)
    assert_array_equal(metrics.label_iou(chosen, chosen, neighbours), expected)
