"""The split, the ranks and what a caption says, by hand and against slow loops."""

import numpy as np
import pandas as pd
import pytest

from lib import crossmodal

PHRASES = {
    "olive green": ("colour", "Olive"), "green": ("colour", "Green"), "red": ("colour", "Red"),
    "cap": ("type", "Caps"), "on tiles": ("place", "Tiles"),
}  # fmt: skip


def combinations(n=400, n_names=40, seed=0):
    return np.random.default_rng(seed).integers(0, n_names, n).astype(str)


# ------------------------------------------------------------------------------------------------------------ the split


def test_nothing_is_in_two_parts_and_new_combinations_are_in_one_alone():
    names = combinations()
    split = crossmodal.split_by_combination(names, 200, 40, 60)
    parts = (split.train, split.validation, split.test)
    assert [len(part) for part in parts] == [200, 40, 60]
    assert len(np.unique(np.concatenate(parts))) == 300
    elsewhere = np.concatenate([split.train, split.validation])
    assert not np.isin(names[split.test[split.is_new]], names[elsewhere]).any()
    assert split.is_new.sum() == 30


def test_half_of_the_validation_is_of_combinations_that_are_not_trained_on():
    names = combinations()
    split = crossmodal.split_by_combination(names, 300, 20, 60)
    assert (~np.isin(names[split.validation], names[split.train])).sum() == 10


def test_the_split_repeats_and_depends_on_the_seed():
    one, again, other = (crossmodal.split_by_combination(combinations(), 200, 40, 60, seed=s) for s in (0, 0, 1))
    assert np.array_equal(one.test, again.test) and not np.array_equal(one.test, other.test)


def test_a_split_with_nothing_left_to_train_on_is_refused():
    with pytest.raises(ValueError, match="expected more than 45 photos"):
        crossmodal.split_by_combination(combinations(40), 10, 10, 80)


@pytest.mark.parametrize("share", [0, 0.6])
def test_a_share_that_leaves_too_little_is_refused(share):
    with pytest.raises(ValueError, match="held_share"):
        crossmodal.split_by_combination(combinations(), 10, 10, 10, held_share=share)


def test_a_given_split_is_kept_and_all_its_test_is_new():
    splits = np.array(["train"] * 6 + ["validation"] * 3 + ["test"] * 4)
    split = crossmodal.split_as_given(splits, 4, 9, 2)
    assert [len(split.train), len(split.validation), len(split.test)] == [4, 3, 2]
    assert (splits[split.train] == "train").all() and split.is_new.all()


def test_a_missing_split_is_named():
    with pytest.raises(ValueError, match=r"'validation'.*'test', 'train'"):
        crossmodal.split_as_given(["train", "test"], 1, 1, 1)


# ------------------------------------------------------------------------------------------------------------ the ranks


def test_recall_and_median_rank_of_three_queries():
    found = crossmodal.summary([1.0, 6.0, 30.0], ks=(1, 10))
    assert found == {"R@1": 1 / 3, "R@10": 2 / 3, "MRR": pytest.approx((1 + 1 / 6 + 1 / 30) / 3), "median rank": 6.0}


# ------------------------------------------------------------------------------------------------- what a caption says


def test_the_longest_phrase_is_read_once_and_only_as_whole_words():
    assert crossmodal.said(["Olive green cap", "a red green cap", "a capped reddish thing", ""], PHRASES) == [
        {"colour": {"Olive"}, "type": {"Caps"}},
        {"colour": {"Red", "Green"}, "type": {"Caps"}},
        {},
        {},
    ]


def test_without_phrases_nothing_is_said(tmp_path):
    assert crossmodal.read_phrases(tmp_path) == {}
    assert crossmodal.said(["a red cap"], {}) == [{}]


def test_phrases_are_read_from_the_collection(tmp_path):
    (tmp_path / "phrases.csv").write_text("column,value,phrase\ncolour,Red,Bright red\n", encoding="utf-8")
    assert crossmodal.read_phrases(tmp_path) == {"bright red": ("colour", "Red")}


def test_what_fits_is_what_a_loop_over_photos_finds():
    table = pd.DataFrame({"colour": ["Red", "Red", "Olive"], "type": ["Caps", "Hats", "Caps"], "place": "Tiles"})
    sayings = crossmodal.said(["red cap on tiles", "cap", "green", "thing"], PHRASES)
    by_hand = [[row[c] in values for c in s for values in [s[c]]] for s in sayings for _, row in table.iterrows()]
    assert crossmodal.fits(sayings, table).ravel().tolist() == [all(some) for some in by_hand]
    assert crossmodal.fits(sayings, table, ["colour"])[:, :2].tolist() == [[True] * 2] * 2 + [[False] * 2, [True] * 2]


def test_found_fitting_counts_the_first_k():
    is_fitting = np.array([[True, False, True, False]])
    assert crossmodal.found_fitting([[2, 1, 0]], is_fitting, 2).tolist() == [1 / 2]


def test_the_ceiling_of_recall_is_what_shuffling_all_that_fits_gives():
    rng, is_fitting = np.random.default_rng(0), np.array([[True] * 8 + [False] * 4])
    ranks = np.array([rng.permutation(8)[0] + 1 for _ in range(20_000)])
    share, recall = crossmodal.ceilings(is_fitting, 5)
    assert share[0] == 1 and recall[0] == pytest.approx((ranks <= 5).mean(), abs=0.01)
    assert crossmodal.ceilings(is_fitting, 10)[0].tolist() == [8 / 10]
