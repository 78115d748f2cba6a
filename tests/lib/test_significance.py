import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import bootstrap, permutation_test, t, ttest_1samp
from statsmodels.stats.multitest import multipletests

from lib import significance


def test_mean_leaves_out_and_counts_queries_without_a_value():
    assert significance.mean_over_queries([1.0, np.nan, 0.5, np.nan]) == (0.75, 2, 2)
    mean, n_queries, n_left_out = significance.mean_over_queries([np.nan])
    assert np.isnan(mean) and (n_queries, n_left_out) == (0, 1)


def test_bootstrap_interval_equals_scipy_within_its_noise():
    values = np.random.default_rng(0).exponential(size=200)
    expected = bootstrap([values], np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    found = significance.bootstrap_interval(values, n_resamples=20_000)
    assert_allclose(found, expected, atol=0.05 * values.std() / np.sqrt(200) * 2)


def test_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [
        significance.bootstrap_interval(rng.random(60), level=0.9, seed=seed, n_resamples=300) for seed in range(300)
    ]
    covered = np.mean([low <= 0.5 <= high for low, high in intervals])
    assert abs(covered - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 300) + 0.02  # three standard errors, and the percentile's bias


def test_bootstrap_leaves_out_nan_repeats_with_the_seed_and_batches_alike(monkeypatch):
    values = np.random.default_rng(0).random(50)
    expected = significance.bootstrap_interval(values, seed=3)
    assert significance.bootstrap_interval(np.append(values, np.nan), seed=3) == expected
    assert significance.bootstrap_interval(values, seed=4) != expected
    monkeypatch.setattr(significance, "BATCH_ELEMENTS", 1000)
    assert_allclose(significance.bootstrap_interval(values, seed=3), expected, atol=0.01)


def test_a_wider_level_gives_a_wider_interval():
    values = np.random.default_rng(0).random(80)
    (low, high), (lower, higher) = (significance.bootstrap_interval(values, level=level) for level in (0.8, 0.99))
    assert lower < low < values.mean() < high < higher


def test_p_value_by_hand():
    # differences 3, 2, 1: only +++ and --- reach |6|; differences 3, 2, -1: |4| is also reached by +++ and ---
    assert significance.paired_difference([3, 2, 1], [0, 0, 0]).p_value == 2 / 8
    assert significance.paired_difference([3, 2, 0], [0, 0, 1]).p_value == 4 / 8
    assert significance.paired_difference([1, 1], [1, 1]) == (0, 0, 0, 1, 2, 0)


def test_p_value_equals_scipy_where_every_pattern_is_tried():
    rng = np.random.default_rng(0)
    a, b = rng.random(10), rng.random(10) - 0.2
    expected = permutation_test(
        (a, b), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", vectorized=True
    )
    assert_allclose(significance.paired_difference(a, b).p_value, expected.pvalue)


def test_drawn_p_value_is_near_the_one_of_all_patterns():
    rng = np.random.default_rng(0)
    a, b = rng.random(12), rng.random(12) - 0.15
    exact = significance.paired_difference(a, b).p_value
    drawn = significance.paired_difference(a, b, n_resamples=4000).p_value
    assert 0.02 < exact < 0.5
    assert drawn != exact and abs(drawn - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000)


def test_p_value_is_never_zero_and_the_difference_changes_sign_with_the_order():
    a, b = np.linspace(0.5, 1.0, 100), np.linspace(0.0, 0.4, 100)
    forth, back = significance.paired_difference(a, b), significance.paired_difference(b, a)
    assert forth.p_value == back.p_value == 1 / 5001
    assert_allclose(back.mean, -forth.mean)
    assert 0 < forth.low < forth.mean < forth.high


def test_p_values_of_equal_methods_are_below_a_tenth_a_tenth_of_the_time():
    rng = np.random.default_rng(0)
    p_values = [significance.paired_difference(*rng.random((2, 30)), n_resamples=400).p_value for _ in range(400)]
    assert abs(np.mean(np.array(p_values) <= 0.1) - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 400)


def test_pairs_without_a_value_are_left_out_and_half_pairs_refused():
    a, b = np.random.default_rng(0).random((2, 9))
    with_nan = [np.append(values, np.nan) for values in (a, b)]
    assert significance.paired_difference(*with_nan) == significance.paired_difference(a, b)
    with pytest.raises(ValueError, match="query 9 is the first of 1 with a value in only one"):
        significance.paired_difference(with_nan[0], np.append(b, 0.5))
    with pytest.raises(ValueError, match="of the same queries, got 9 and 8"):
        significance.paired_difference(a, b[:8])


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="1 or more queries with a value, got 0"):
        significance.bootstrap_interval([np.nan])
    with pytest.raises(ValueError, match="got 1 infinite values"):
        significance.mean_over_queries([np.inf])
    with pytest.raises(ValueError, match=r"\(queries,\) or \(seeds, queries\), got \(1, 1, 2\)"):
        significance.bootstrap_interval([[[0.1, 0.2]]])
    with pytest.raises(ValueError, match="query 1 has a value under some seeds only"):
        significance.mean_over_queries([[0.1, 0.2], [0.1, np.nan]])
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        significance.bootstrap_interval([0.1], level=95)


def test_the_interval_of_a_median_is_near_the_exact_one_of_order_statistics():
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    low, high = significance.median_interval(values)  # exact, by the binomial: the 40th and the 61st of 100 hold 96.5%
    assert abs(low - 40) <= 2 and abs(high - 61) <= 2
    assert significance.median_interval(values) == (low, high)


def test_the_interval_of_a_median_is_wider_where_queries_come_in_groups():
    values = np.repeat(np.random.default_rng(0).exponential(10, 40), 5)
    alone, together = (
        significance.median_interval(values),
        significance.median_interval(values, np.repeat(np.arange(40), 5)),
    )
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])


def test_the_interval_of_a_median_takes_infinity_leaves_out_nan_and_refuses_the_rest():
    assert significance.median_interval([1, np.inf, np.inf, np.inf, np.nan]) == (1.0, np.inf)
    assert significance.median_interval([2.0, np.nan]) == (2.0, 2.0)
    with pytest.raises(ValueError, match="1 or more queries with a value, got 0"):
        significance.median_interval([np.nan])
    with pytest.raises(ValueError, match=r"clusters must have shape \(2,\)"):
        significance.median_interval([1.0, 2.0], clusters=[1])
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        significance.median_interval([1.0], level=95)


# ------------------------------------------------------------------------------------- clusters, seeds and margins


def of_clusters(rng, n_clusters=20, sizes=None):
    """Values whose true mean is 0, and what each belongs to."""
    sizes = np.full(n_clusters, 5) if sizes is None else sizes
    members = np.repeat(np.arange(n_clusters), sizes)
    return rng.normal(size=n_clusters)[members] + rng.normal(size=len(members)), members


def of_seeds(rng, n_seeds, n_queries, spread):
    """Values of n_seeds trainings on the same queries, whose true mean is 0."""
    share = spread * rng.normal(size=(n_seeds, 1)) + 0.5 * rng.normal(size=(n_seeds, n_queries))
    return share + rng.normal(size=n_queries), None


STUDIES = {
    "10 queries": lambda rng: (rng.normal(size=10), None),
    "20 queries of [0, 1]": lambda rng: (rng.beta(0.7, 1.2, 20) - 0.7 / 1.9, None),
    "10 clusters": lambda rng: of_clusters(rng, 10),
    "20 clusters of 1 to 7": lambda rng: of_clusters(rng, 20, rng.integers(1, 8, 20)),
    "3 seeds, 20 queries": lambda rng: of_seeds(rng, 3, 20, 0.1),
    "3 seeds that differ, 20 queries": lambda rng: of_seeds(rng, 3, 20, 1.0),
    "3 seeds, 200 queries": lambda rng: of_seeds(rng, 3, 200, 0.3),
    "5 seeds, 60 queries": lambda rng: of_seeds(rng, 5, 60, 0.3),
}


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_95_percent_intervals_cover_the_truth_93_to_97_percent_of_the_time(study):
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(2000):
        values, clusters = STUDIES[study](rng)
        low, high = significance.bootstrap_interval(values, clusters, seed=seed, n_resamples=500)
        covered += low <= 0 <= high
    assert 0.93 <= covered / 2000 <= 0.97


@pytest.mark.slow
def test_p_values_of_equal_trained_methods_are_below_a_twentieth_a_twentieth_of_the_time():
    rng = np.random.default_rng(2)
    below = 0
    for _ in range(2000):
        shared = rng.normal(size=40)
        a, b = (shared + of_seeds(rng, 3, 40, 0.2)[0] for _ in range(2))
        below += significance.paired_difference(a, b, n_resamples=10).p_value < 0.05
    assert 0.02 <= below / 2000 <= 0.07


def test_the_width_of_a_normal_sample_is_that_of_students_t():
    values = np.random.default_rng(0).normal(size=12)
    low, high = significance.bootstrap_interval(values, n_resamples=40_000)
    expected = 2 * t.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
    assert_allclose(high - low, expected, rtol=0.05)


def test_clusters_of_equal_size_are_tested_by_their_means():
    values, clusters = of_clusters(np.random.default_rng(3), 9)
    means = values.reshape(9, 5).mean(axis=1)
    together = significance.paired_difference(values, np.zeros(45), clusters)
    assert_allclose(together.p_value, significance.paired_difference(means, np.zeros(9)).p_value)
    assert_allclose(together[1:3], significance.bootstrap_interval(means))
    assert together.n == 45
    apart = significance.paired_difference(values, np.zeros(45))
    assert together.high - together.low > 1.3 * (apart.high - apart.low)


def test_names_of_clusters_and_their_order_do_not_matter_to_the_test():
    values, clusters = of_clusters(np.random.default_rng(4), 8)
    order = np.random.default_rng(5).permutation(40)
    names = np.array([f"photo {cluster}" for cluster in clusters], dtype=object)
    p_values = [
        significance.paired_difference(values[rows], np.zeros(40), named[rows]).p_value
        for rows, named in ((np.arange(40), clusters), (order, names))
    ]
    assert_allclose(*p_values)


def test_seeds_that_are_alike_change_nothing_and_those_that_differ_widen_the_interval():
    values = np.random.default_rng(6).random(50)
    single = significance.bootstrap_interval(values)
    assert_allclose(significance.bootstrap_interval(np.stack([values] * 3)), single)
    apart = significance.bootstrap_interval(values + np.array([[-0.1], [0.0], [0.1]]))
    assert apart[1] - apart[0] > 2 * (single[1] - single[0])


def test_where_only_seeds_differ_the_test_is_the_t_test_over_them():
    seeds = np.array([0.31, 0.36, 0.33])
    a = np.tile(seeds[:, None], (1, 30))
    effect = significance.paired_difference(a, np.full(30, 0.30))
    assert_allclose(effect.p_value, ttest_1samp(seeds, 0.30).pvalue, rtol=1e-3)
    half = t.ppf(0.975, 2) * seeds.std(ddof=1) / np.sqrt(3)
    assert_allclose(effect.high - effect.low, 2 * half, rtol=0.03)


def test_one_side_may_have_seeds_both_may_and_pairs_of_seeds_cancel():
    rng = np.random.default_rng(7)
    b = rng.random((3, 60)) + np.array([[0.0], [0.3], [0.6]])
    a = b + 0.05 + 0.01 * rng.normal(size=b.shape)
    separate, paired = significance.paired_difference(a, b), significance.paired_difference(a, b, paired_seeds=True)
    assert_allclose(separate.mean, paired.mean)
    assert separate.p_value > 0.5 > 0.01 > paired.p_value
    assert separate.low < 0 < paired.low
    forth, back = significance.paired_difference(a, b[0]), significance.paired_difference(b[0], a)
    assert_allclose([back.mean, back.p_value], [-forth.mean, forth.p_value])
    assert significance.paired_difference(a, b[:2]).n == 60
    with pytest.raises(ValueError, match="as many seeds in a as in b, got 3 and 2"):
        significance.paired_difference(a, b[:2], paired_seeds=True)


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_p_values_agree_with_the_interval_near_its_ends(n_seeds):
    rng = np.random.default_rng(8)
    a, b = 0.05 + rng.normal(0, 0.3, (n_seeds, 200)), np.zeros(200)
    effect = significance.paired_difference(a, b, n_resamples=20_000)
    for end in (effect.low, effect.high):
        at_the_end = significance.paired_difference(a, b, margin=end, n_resamples=20_000).p_value
        assert 0.035 < at_the_end < 0.07


def test_one_query_or_one_cluster_has_no_interval_and_decides_nothing():
    assert np.isnan(significance.bootstrap_interval([0.5])).all()
    effect = significance.paired_difference([0.5, 0.6], [0.1, 0.1], clusters=["a", "a"])
    assert np.isnan([effect.low, effect.high]).all() and significance.verdict(effect, above=0) == "undecided"


# -------------------------------------------------------------------------------------- many claims, the decision


def test_holm_equals_statsmodels():
    p_values = np.random.default_rng(9).random(17) ** 3
    assert_allclose(significance.holm(p_values), multipletests(p_values, method="holm")[1])


def test_holm_by_hand_leaves_out_what_has_no_p_value():
    # sorted: 0.01 * 3, 0.02 * 2, 0.03 * 1; the last is not below the one before it
    found = significance.holm([0.03, None, 0.01, np.nan, 0.02])
    assert_allclose(found, [0.04, np.nan, 0.03, np.nan, 0.04])
    assert significance.holm([]).shape == (0,)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        significance.holm([1.5])


@pytest.mark.parametrize(
    ("effect", "relation", "expected"),
    [
        ((0.03, 0.01, 0.05), {"above": 0}, "holds"),
        ((0.03, -0.01, 0.07), {"above": 0}, "undecided"),
        ((-0.03, -0.05, -0.01), {"above": 0}, "contradicted"),
        ((0.03, 0.01, 0.05), {"above": 0.02}, "undecided"),
        ((0.005, 0.001, 0.009), {"below": 0.01}, "holds"),
        ((0.03, 0.02, 0.04), {"below": 0.01}, "contradicted"),
        ((0.01, -0.02, 0.04), {"within": 0.05}, "holds"),
        ((0.01, -0.04, 0.06), {"within": 0.05}, "undecided"),
        ((0.10, 0.06, 0.14), {"within": 0.05}, "contradicted"),
        ((1.0, 0.9, 1.1), {"within": (0.5, 1.5)}, "holds"),
        (3, {"above": 3}, "contradicted"),
        (2, {"below": 3}, "holds"),
        (0, {"within": 0}, "holds"),
        (1, {"within": 0}, "contradicted"),
        (significance.Effect(0.03, -0.01, 0.07, 0.01, 9), {"above": 0.0}, "holds"),
    ],
)
def test_a_verdict_follows_the_interval_or_the_exact_number(effect, relation, expected):
    assert significance.verdict(effect, **relation) == expected


def test_a_corrected_p_value_takes_the_place_of_the_effects_own():
    effect = significance.Effect(0.03, 0.01, 0.05, 0.003, 9)
    assert significance.verdict(effect, above=0.0, p_value=0.06) == "undecided"


def test_the_p_value_of_an_effect_against_another_margin_is_not_its_own():
    rng = np.random.default_rng(10)
    a, b = 0.1 + rng.normal(0, 0.5, 300), np.zeros(300)
    effect = significance.paired_difference(a, b)
    own = significance.paired_difference(a, b, margin=0.05)
    assert significance.p_value_against(effect, 0.0) == effect.p_value
    assert abs(significance.p_value_against(effect, 0.05) - own.p_value) < 0.03
    assert significance.p_value_against(own, 0.05) == own.p_value


def test_equivalence_is_twice_the_larger_of_two_one_sided_t_tests():
    values = np.random.default_rng(11).normal(0.1, 1.0, 400)
    effect = significance.paired_difference(values, np.zeros(400), margin=(-0.3, 0.3), n_resamples=20_000)
    larger = max(
        ttest_1samp(values, -0.3, alternative="greater").pvalue, ttest_1samp(values, 0.3, alternative="less").pvalue
    )
    assert effect.margin == (0.3 if effect.mean > 0 else -0.3)
    assert_allclose(significance.p_value_against(effect, (-0.3, 0.3)), 2 * larger, atol=3e-3)


@pytest.mark.parametrize(
    ("relation", "message"),
    [
        ({}, "one of above, below and within, got none"),
        ({"above": 0, "within": 1}, "got above, within"),
        ({"above": np.nan}, "above must be a finite number"),
        ({"within": (2, 1)}, "within must be a number from 0 or a pair"),
        ({"within": -1}, "within must be a number from 0 or a pair"),
    ],
)
def test_a_verdict_needs_one_sound_margin(relation, message):
    with pytest.raises(ValueError, match=message):
        significance.verdict((0.0, -1.0, 1.0), **relation)
    with pytest.raises(ValueError, match="an effect must be finite"):
        significance.verdict(float("nan"), above=0)
