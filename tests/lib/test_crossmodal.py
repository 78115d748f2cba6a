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


NEW = np.array([True, True, False, False])  # of four photos


def test_three_queries_by_hand():
    measures, row = crossmodal.evaluate([1.0, 6.0, 30.0], photos=[0, 1, 2], is_new=NEW)
    assert measures["R@10"].tolist() == [[1, 1, 0]] and measures["right in the top 20"].tolist() == [[1, 1, 0]]
    means = {"R@1": 1 / 3, "R@5": 1 / 3, "R@10": 2 / 3, "R@20": 2 / 3, "MRR": (1 + 1 / 6 + 1 / 30) / 3}
    assert row == pytest.approx(means | {"median rank": 6, "R@10, new": 1, "R@10, seen": 0})


def test_seeds_are_averaged_and_measured_apart():
    measures, row = crossmodal.evaluate([[1.0, 2.0, 9.0], [11.0, 30.0, 40.0]], photos=[0, 0, 3], is_new=NEW)
    assert measures["R@10"].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert measures["right in the top 20"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert (row["R@10"], row["median rank"]) == (1 / 2, (2 + 30) / 2)


def test_columns_come_in_one_order_and_only_those_that_can_be_told():
    nearest = np.tile([0, 1, 2, 3], (1, 2, 1))
    every = crossmodal.evaluate([1.0, 4.0], [0, 3], NEW, nearest, np.ones((2, 4), bool))[1]
    assert list(every) == [name for name in crossmodal.COLUMNS if name not in ("method", "low", "high")]
    all_new = crossmodal.evaluate([1.0, 4.0], [0, 1], NEW, nearest)[1]
    assert list(every)[: len(all_new)] == list(all_new) and list(all_new)[-1] == "median rank"


def test_queries_for_new_combinations_that_find_seen_ones_are_counted():
    nearest = [[[0, 2, 3], [2, 3, 1], [0, 1, 2]]]  # by the two queries for new photos: 4 seen of 6
    _, row = crossmodal.evaluate([1.0, 1.0, 1.0], [0, 1, 3], NEW, nearest)
    assert row["seen among first 10 of new"] == 4 / 6


def test_the_share_that_fits_counts_the_first_five_of_each_seed():
    is_fitting = np.array([[True, False, True, False, False, False, True], [False] * 7])
    nearest = [[[0, 1, 2, 3, 4, 6], [0, 1, 2, 3, 4, 5]], [[3, 4, 5, 1, 6, 0], [6, 5, 4, 3, 2, 1]]]
    _, row = crossmodal.evaluate(np.ones((2, 2)), [0, 1], np.zeros(7, bool), nearest, is_fitting)
    assert row["fits@5"] == (2 + 0 + 1 + 0) / 20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ranks": [1.0, np.nan]}, "ranks must be finite"),
        ({"ranks": [0.0, 1.0]}, "at least 1"),
        ({"photos": [0]}, r"photos must be rows 0 to 3, of shape \(2,\)"),
        ({"photos": [0, 4]}, "photos must be rows 0 to 3"),
        ({"photos": [0.0, 1.0]}, "float64"),
        ({"is_new": [0, 1, 0, 1]}, "is_new must be bool"),
        ({"nearest": [[0, 1], [2, 3]]}, "nearest must be rows"),
        ({"nearest": [[[0], [-1]]]}, "nearest must be rows"),
        ({"is_fitting": np.ones((2, 3), bool)}, r"is_fitting must be bool \(2, 4\), got bool \(2, 3\)"),
        ({"is_fitting": np.ones((2, 4))}, "got float64"),
    ],
)
def test_what_does_not_belong_together_is_refused(wrong, message):
    sound = {"ranks": [1.0, 2.0], "photos": [0, 1], "is_new": NEW, "nearest": [[[0, 1], [2, 3]]]}
    with pytest.raises(ValueError, match=message):
        crossmodal.evaluate(**sound | {"is_fitting": np.ones((2, 4), bool)} | wrong)


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


def test_the_ceiling_of_recall_is_what_shuffling_all_that_fits_gives():
    rng, is_fitting = np.random.default_rng(0), np.array([[True] * 8 + [False] * 4])
    ranks = np.array([rng.permutation(8)[0] + 1 for _ in range(20_000)])
    share, recall = crossmodal.ceilings(is_fitting, 5)
    assert share[0] == 1 and recall[0] == pytest.approx((ranks <= 5).mean(), abs=0.01)
    assert crossmodal.ceilings(is_fitting, 10)[0].tolist() == [8 / 10]
