from itertools import permutations
from math import log2

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
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


# ---------------------------------------------------------------------------------------------------- average precision


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


# ---------------------------------------------------------------------------------------------- other values of a query


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


def test_no_queries_give_no_values():
    for measure in ONE_VALUE_A_QUERY:
        assert measure(np.zeros((0, 5), dtype=bool), []).shape == (0,)
    assert metrics.ndcg_at_k(np.zeros((0, 5)), np.zeros((0, 9))).shape == (0,)


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


@pytest.mark.parametrize("measure", ONE_VALUE_A_QUERY)
def test_bad_rankings_are_refused_with_what_came_and_what_is_allowed(measure):
    relevance = [[True, True, False]]
    with pytest.raises(ValueError, match="has 2 relevant neighbours, but n_relevant says 1"):
        measure(relevance, [1])
    with pytest.raises(ValueError, match="has 2 relevant neighbours, but n_relevant says 1"):
        measure(relevance, [1], k=1)  # also where the first k alone would not show it
    with pytest.raises(ValueError, match="of the same queries, got 1 and 2"):
        measure(relevance, [3, 3])
    with pytest.raises(ValueError, match=r"must have shape \(queries, neighbours\), got \(3,\)"):
        measure(relevance[0], [3])
    with pytest.raises(ValueError, match="1 NaN or infinite values of 3"):
        measure([[1.0, np.nan, 0.0]], [3])
    with pytest.raises(ValueError, match=r"must hold 0 and 1, got 0\.5"):
        measure([[1.0, 0.5, 0.0]], [3])
    with pytest.raises(ValueError, match="k must be at most the number of ranked items, 3, got 4"):
        measure(relevance, [3], k=4)
    with pytest.raises(ValueError, match="k must be a positive integer, got 0"):
        measure(relevance, [3], k=0)
    with pytest.raises(ValueError, match=r"k must be a positive integer, got 2\.0"):
        measure(relevance, [3], k=2.0)
    with pytest.raises(ValueError, match="must be 0 or above, got -1"):
        measure(relevance, [-1])
    with pytest.raises(ValueError, match="n_relevant must hold integers, got float64"):
        measure(relevance, [np.nan])


def test_an_unknown_divisor_lists_the_known_ones():
    for function, first in ((metrics.average_precision_at_k, [[True]]), (metrics.chance_average_precision, [1])):
        with pytest.raises(ValueError, match=r"divisor must be one of 'min\(k, R\)', 'R', 'k', 'hits', got 'N'"):
            function(first, [1] if function is metrics.average_precision_at_k else 5, divisor="N")


# ----------------------------------------------------------------------------------------------------------------- nDCG


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
    monkeypatch.setattr(metrics, "BATCH_ELEMENTS", 20)
    assert_array_equal(metrics.ndcg_at_k(gallery_gains[:, :4], gallery_gains), at_once)


def test_bad_gains_are_refused():
    with pytest.raises(ValueError, match=r"query 0 gains 2, the best that gallery_gains allows is 1"):
        metrics.ndcg_at_k([[2.0]], [[1.0]])
    with pytest.raises(ValueError, match=r"gains must be 0 or above, got -1"):
        metrics.ndcg_at_k([[-1.0]], [[1.0]])
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        metrics.ndcg_at_k([[np.inf]], [[1.0]])
    with pytest.raises(ValueError, match="of the same queries, got 1 and 2"):
        metrics.ndcg_at_k([[1.0]], [[1.0], [1.0]])


def test_no_gain_in_the_gallery_is_nan():
    assert np.isnan(metrics.ndcg_at_k([[0.0, 0.0]], [[0.0, 0.0, 0.0]])).all()


# ---------------------------------------------------------------------------------------------------- what chance gives


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
    with pytest.raises(ValueError, match="n_relevant must be at most n_gallery, 5, got 6"):
        metrics.chance_average_precision([6], 5)
    with pytest.raises(ValueError, match="k must be at most n_gallery, 5, got 6"):
        metrics.chance_average_precision([2], 5, k=6)


# ----------------------------------------------------------------------------------------- labels and masks of an image


def label_sets_with_empty_ones(rng, n=60, n_labels=5):
    true, predicted = rng.random((n, n_labels)) < 0.4, rng.random((n, n_labels)) < 0.5
    true[:3], predicted[2:6] = False, False  # nothing true, nothing predicted, and once neither
    return predicted, true


def test_label_scores_are_scikit_learns_over_samples():
    predicted, true = label_sets_with_empty_ones(np.random.default_rng(0))
    scores = metrics.label_scores(predicted, true)
    how = {"average": "samples", "zero_division": 0}
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
    ("predicted", "true", "message"),
    [
        ([[1, 0]], [[1, 0, 0]], r"must have one shape, got \(1, 2\) and \(1, 3\)"),
        ([[0.3, 0.7]], [[1, 0]], "predicted_sets must hold bool or 0 and 1"),
        ([1, 0], [1, 0], r"predicted_sets must have shape \(items, labels\), got \(2,\)"),
    ],
)
def test_label_scores_refuse(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        metrics.label_scores(predicted, true)


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
    with pytest.raises(ValueError, match="got 19 and 0"):
        metrics.threshold_by_f1(np.zeros((0, 2)), np.zeros((0, 2), bool))
    with pytest.raises(ValueError, match="got 0 and 1"):
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
        (np.zeros((3, 3), bool), np.zeros((3, 3), bool), r"must have one shape \(n, h, w\)"),
        (np.full((1, 2, 2), 0.7), np.zeros((1, 2, 2), bool), "must hold bool or integers, got float64 and bool"),
    ],
)
def test_mask_iou_refuses(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        metrics.mask_iou(predicted, true)
