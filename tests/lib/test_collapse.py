"""The signals of a collapse: by hand, against plain loops over all pairs, on collapsed rows, and at their edges."""

import itertools

import numpy as np
import pytest

from lib import collapse

N_PAIRS = 40_000
TOLERANCE = 4 / np.sqrt(N_PAIRS)  # four standard errors of a share, with room


def classes(n_classes=3, n_each=(5, 9, 2), spread=1.0, seed=0):
    """Points around one centre a class, in an order that mixes the classes."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(n_classes), n_each))
    return rng.normal(size=(n_classes, 4))[labels] + spread * rng.normal(size=(len(labels), 4)), labels


def all_pairs(rows, labels):
    """Distances of all pairs of one class, each row as often as any, and of all pairs of two; with their weights."""
    found = {True: ([], []), False: ([], [])}
    for a, b in itertools.permutations(range(len(rows)), 2):
        is_same = bool(labels[a] == labels[b])
        n_partners = (labels == labels[a]).sum() - 1 if is_same else (labels != labels[a]).sum()
        found[is_same][0].append(np.linalg.norm(rows[a] - rows[b]))
        found[is_same][1].append(1 / n_partners)
    return found[True], found[False]


# ------------------------------------------------------------------------------------------------------- effective rank


def test_the_effective_rank_of_equal_axes_is_their_number():
    for d in (1, 2, 5):
        assert collapse.effective_rank(7 * np.eye(5)[:, :d]) == pytest.approx(d)


def test_the_effective_rank_is_e_to_the_entropy_of_the_shares():
    shares = np.array([0.5, 0.3, 0.2])
    expected = np.exp(-(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2)))
    assert collapse.effective_rank(np.diag(shares)) == pytest.approx(expected)


def test_rows_that_are_nearly_one_row_have_rank_1_and_about_their_mean_a_full_one():
    rng = np.random.default_rng(0)
    rows = np.ones((200, 5)) + 1e-6 * rng.normal(size=(200, 5))
    assert collapse.effective_rank(rows) == pytest.approx(1, abs=1e-3)
    assert collapse.effective_rank(rows - rows.mean(0)) > 4.9


def test_rows_of_zeros_have_rank_0():
    assert collapse.effective_rank(np.zeros((3, 2))) == 0


def test_turning_and_scaling_all_rows_changes_no_rank():
    rows, _ = classes()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    assert collapse.effective_rank(9 * rows @ turn) == pytest.approx(collapse.effective_rank(rows))


# ------------------------------------------------------------------------------------------- distances and uniformity


def test_the_mean_distance_is_that_of_all_pairs():
    rows, _ = classes()
    exact = np.mean([np.linalg.norm(a - b) for a, b in itertools.combinations(rows, 2)])
    assert collapse.mean_distance(rows, N_PAIRS) == pytest.approx(exact, rel=2 * TOLERANCE)


def test_uniformity_is_that_of_all_pairs_of_unit_rows():
    rows, _ = classes()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    exact = np.log(np.mean([np.exp(-2 * ((a - b) ** 2).sum()) for a, b in itertools.combinations(unit, 2)]))
    assert collapse.uniformity(rows, N_PAIRS) == pytest.approx(exact, abs=2 * TOLERANCE)
    assert collapse.uniformity(5 * rows) == pytest.approx(collapse.uniformity(rows))


def test_even_directions_are_more_uniform_than_crowded_ones():
    angles = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    even = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    crowded = np.stack([np.cos(angles / 8), np.sin(angles / 8)], axis=1)
    assert collapse.uniformity(even) < collapse.uniformity(crowded) < 0


# ---------------------------------------------------------------------------------------------------- pairs and triples


def test_drawn_pairs_are_as_all_pairs_are():
    rows, labels = classes()
    for drawn, (distances, weights) in zip(
        collapse.pair_distances(rows, labels, N_PAIRS), all_pairs(rows, labels), strict=True
    ):
        for limit in np.quantile(distances, [0.1, 0.5, 0.9]):
            share = np.average(np.array(distances) <= limit, weights=weights)
            assert (drawn <= limit).mean() == pytest.approx(share, abs=2 * TOLERANCE)


def test_drawn_triples_are_an_anchor_its_class_and_another_class():
    _, labels = classes()
    anchors, positives, negatives = collapse._drawn_triples(labels, N_PAIRS, np.random.default_rng(0))
    assert (labels[anchors] == labels[positives]).all() and (anchors != positives).all()
    assert (labels[anchors] != labels[negatives]).all()
    n = len(labels)
    for one, is_fit in ((positives, labels == labels[0]), (negatives, labels != labels[0])):
        share = np.bincount(one[anchors == 0], minlength=n) / (anchors == 0).sum()
        is_fit = is_fit & (np.arange(n) > 0)
        assert share == pytest.approx(is_fit / is_fit.sum(), abs=4 * 0.5 / np.sqrt((anchors == 0).sum()))


def test_the_active_share_is_that_of_all_triples():
    rows, labels = classes()
    margin, active, weights = 0.5, [], []
    for a, p, n in itertools.permutations(range(len(rows)), 3):
        if labels[a] == labels[p] != labels[n]:
            near, far = np.linalg.norm(rows[a] - rows[p]), np.linalg.norm(rows[a] - rows[n])
            active.append(near + margin > far)
            weights.append(1 / ((labels == labels[a]).sum() - 1) / (labels != labels[a]).sum())
    expected = np.average(active, weights=weights)
    assert 0.1 < expected < 0.9
    assert collapse.active_share(rows, labels, margin, N_PAIRS) == pytest.approx(expected, abs=TOLERANCE)


def test_separation_is_the_share_of_pairs_in_the_right_order():
    rows, labels = classes()
    (same, same_weights), (different, different_weights) = all_pairs(rows, labels)
    same, different = np.array(same)[:, None], np.array(different)
    exact = np.average(
        ((same < different) + 0.5 * (same == different)) @ different_weights / np.sum(different_weights),
        weights=same_weights,
    )
    assert collapse.separation(rows, labels, N_PAIRS) == pytest.approx(exact, abs=2 * TOLERANCE)


def test_labels_may_be_words_and_rows_may_come_in_any_order():
    rows, labels = classes()
    words = np.array(["cup", "hat", "bag"])[labels]
    order = np.random.default_rng(5).permutation(len(rows))
    assert collapse.separation(rows[order], words[order], N_PAIRS) == pytest.approx(
        collapse.separation(rows, labels, N_PAIRS), abs=2 * TOLERANCE
    )


# ------------------------------------------------------------------------------------------------------------- collapse


def test_every_signal_sees_a_collapse_to_one_point():
    rng = np.random.default_rng(0)
    _, labels = classes()
    rows = np.ones(4) + 1e-4 * rng.normal(size=(len(labels), 4))
    found = collapse.signals(rows, labels, margin=1.0)
    assert found["effective_rank"] == pytest.approx(1, abs=0.01)
    assert found["mean_distance"] == pytest.approx(0, abs=0.001)
    assert found["uniformity"] == pytest.approx(0, abs=0.001)
    assert found["separation"] == pytest.approx(0.5, abs=0.15)
    assert found["active_share"] == 1


def test_every_signal_sees_classes_that_stand_apart():
    rows = np.repeat(5 * np.eye(4), 6, axis=0) + 0.01 * np.random.default_rng(0).normal(size=(24, 4))
    found = collapse.signals(rows, np.repeat(np.arange(4), 6), margin=1.0)
    assert found["effective_rank"] > 3.9
    assert found["mean_distance"] > 5
    assert found["uniformity"] < -1
    assert found["separation"] == 1
    assert found["active_share"] == 0


def test_the_same_seed_draws_the_same_and_inputs_are_left_alone():
    rows, labels = classes()
    kept = rows.copy(), labels.copy()
    first, second = (collapse.signals(rows.astype(np.float32), labels, 0.5, n_pairs=50, seed=3) for _ in range(2))
    assert first == second
    assert first != collapse.signals(rows.astype(np.float32), labels, 0.5, n_pairs=50, seed=4)
    assert np.array_equal(rows, kept[0]) and np.array_equal(labels, kept[1])


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]], ids=["one class", "all apart"])
@pytest.mark.parametrize("signal", [collapse.pair_distances, collapse.separation])
def test_rows_without_both_kinds_of_pairs_are_refused(signal, labels):
    with pytest.raises(ValueError, match="expected a class of 2 rows and another class, got 3 rows in"):
        signal(np.eye(3), labels)


@pytest.mark.parametrize("signal", [collapse.effective_rank, collapse.mean_distance, collapse.uniformity])
def test_rows_that_are_no_embeddings_are_refused(signal):
    with pytest.raises(ValueError, match=r"\(n, d\) with n >= 2, got \(1, 3\)"):
        signal(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        signal(np.ones(3))
    with pytest.raises(ValueError, match="got NaN or infinity in 1 of 2 rows"):
        signal([[1.0, np.nan], [1.0, 1.0]])


def test_labels_margins_and_numbers_that_do_not_fit_are_refused():
    rows, labels = classes()
    with pytest.raises(ValueError, match=r"labels must be \(16,\), got \(15,\)"):
        collapse.separation(rows, labels[1:])
    with pytest.raises(ValueError, match="margin must be above 0, got 0"):
        collapse.active_share(rows, labels, margin=0)
    with pytest.raises(ValueError, match="n_pairs must be at least 1, got 0"):
        collapse.mean_distance(rows, n_pairs=0)
    with pytest.raises(ValueError, match="n_pairs must be at least 1, got -1"):
        collapse.active_share(rows, labels, margin=1, n_pairs=-1)
