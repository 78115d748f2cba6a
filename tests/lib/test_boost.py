"""The attribute boost: what is learned from, what is left out, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from lib import boost


def fit(embeddings, attributes=None, names=None, watch=None, checkpoint=None, **options):
    return boost.fit(embeddings, attributes, names, boost.Options(**options), watch, checkpoint, progress=False)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def shop(n=240, d=12, seed=0):
    """Embeddings in which colour and kind each have a direction, under much louder noise that means nothing."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"colour": rng.choice(["blue", "green", "red"], n), "kind": rng.choice(["hat", "shoe"], n)})
    embeddings = rng.normal(size=(n, d)) * np.r_[np.full(d // 2, 3.0), np.full(d - d // 2, 0.1)]
    embeddings[:, -1] += (table["kind"] == "hat").to_numpy()
    for place, colour in enumerate(["blue", "green", "red"]):
        embeddings[:, -2 - place] += (table["colour"] == colour).to_numpy()
    names = (table["colour"] + " " + table["kind"]).tolist()
    return embeddings.astype(np.float32), table, names


def share_of_alike_neighbours(embeddings, table):
    embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = embeddings @ embeddings.T
    np.fill_diagonal(similarity, -np.inf)
    labels = (table["colour"] + table["kind"]).to_numpy()
    return (labels[similarity.argmax(axis=1)] == labels).mean()


# ------------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("task", [1, 2, 3])
def test_boosted_embeddings_find_the_labels_that_noise_had_buried(task):
    embeddings, table, names = shop()
    tasks = {1: (table, None), 2: (None, names), 3: (table, names)}
    boosted = fit(embeddings, *tasks[task], epochs=12, n_recurrent=16, rate=0.03, batch_size=32)
    unseen, unseen_table, _ = shop(seed=1)
    before = share_of_alike_neighbours(unseen, unseen_table)
    after = share_of_alike_neighbours(boosted.embed(unseen), unseen_table)
    assert before < 0.5 and after > 0.8


def test_twice_the_embeddings_over_twice_the_scale_train_to_the_same_head():
    embeddings, table, _ = shop(n=60)
    once = fit(embeddings, table, epochs=2, scale=0.5).embed(embeddings)
    np.testing.assert_allclose(fit(2 * embeddings, table, epochs=2, scale=1.0).embed(2 * embeddings), once, atol=1e-6)
    assert np.abs(fit(embeddings, table, epochs=2, scale=5.0).embed(embeddings) - once).max() > 0.01


def test_without_a_scale_embeddings_are_divided_by_their_root_mean_square():
    embeddings = np.tile(np.array([[3.0, -3.0]]), (20, 1)).astype(np.float32)
    table = pd.DataFrame({"colour": ["red", "blue"] * 10})
    assert fit(embeddings, table, epochs=1).head.scale.item() == 3.0
    assert fit(embeddings, table, epochs=1, scale=7.0).head.scale.item() == 7.0


def test_embed_gives_float32_rows_of_length_one_whatever_the_batch():
    embeddings, table, _ = shop()
    boosted = fit(embeddings, table, epochs=2)
    found = boosted.embed(embeddings.astype(np.float64))
    assert found.dtype == np.float32 and found.shape == embeddings.shape and found.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(boosted.embed(embeddings, batch_size=7), found, atol=1e-6)
    with pytest.raises(ValueError, match="expected 12 dimensions, got 3"):
        boosted.embed(embeddings[:, :3])


def test_the_same_seed_gives_the_same_head_and_callers_random_numbers_are_left_alone():
    embeddings, table, _ = shop()
    torch.manual_seed(5)
    first = fit(embeddings, table, epochs=2).embed(embeddings)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    np.testing.assert_array_equal(first, fit(embeddings, table, epochs=2).embed(embeddings))
    assert not np.array_equal(first, fit(embeddings, table, epochs=2, seed=1).embed(embeddings))


def test_multiplying_all_embeddings_by_a_number_changes_nothing():
    embeddings, table, _ = shop()
    ours, theirs = (fit(times * embeddings, table, epochs=2) for times in (1, 1000))
    np.testing.assert_allclose(ours.embed(embeddings), theirs.embed(1000 * embeddings), atol=1e-4)


def test_it_predicts_values_by_name():
    embeddings, table, _ = shop()
    boosted = fit(embeddings, table, epochs=12, rate=0.03, batch_size=32)
    unseen, unseen_table, _ = shop(seed=1)
    predicted = boosted.predict(unseen)
    assert list(predicted) == ["colour", "kind"]
    assert (predicted == unseen_table).mean().min() > 0.8


def test_with_a_validation_part_the_best_epoch_by_its_loss_is_kept():
    embeddings, table, _ = shop()
    shuffled = table.sample(frac=1, random_state=0)  # nothing is left to learn: soon its loss can only rise
    boosted = fit(embeddings, shuffled, validation=0.25, patience=3, rate=0.03, epochs=60)
    history = boosted.history
    assert history.attrs["stopped_early"]
    assert history.attrs["best_epoch"] == 1 + history["validation_loss"].to_numpy().argmin() == len(history) - 3


def test_without_one_it_stops_once_the_training_loss_is_low_enough():
    embeddings, table, _ = shop()
    boosted = fit(embeddings, table, validation=0, stop_below=0.4, rate=0.03, batch_size=32, epochs=60)
    losses = boosted.history["validation_training_loss"].to_numpy()
    best = boosted.history.attrs["best_epoch"]
    assert losses[best - 1] < 0.4 <= losses[: best - 1].min()
    assert len(losses) == best + 1 < 60


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    embeddings, table, _ = shop()
    settings = dict(validation=0, stop_below=1e-9)
    whole = fit(embeddings, table, epochs=4, **settings).embed(embeddings)
    fit(embeddings, table, epochs=2, checkpoint=tmp_path / "head.pt", **settings)
    resumed = fit(embeddings, table, epochs=4, checkpoint=tmp_path / "head.pt", **settings)
    assert len(resumed.history) == 4
    np.testing.assert_allclose(resumed.embed(embeddings), whole, atol=1e-6)


def test_what_is_watched_is_a_column_of_the_history():
    embeddings, table, _ = shop()
    watch = lambda boosted: {"width": boosted.embed(embeddings[:2]).shape[1]}  # noqa: E731
    history = fit(embeddings, table, epochs=2, watch=watch).history
    assert history["validation_width"].tolist() == [12, 12]


def test_rows_whose_attributes_are_all_missing_do_not_count_in_the_loss():
    _, table, _ = shop(n=60)
    logits = [torch.randn(60, 3), torch.randn(60, 2)]
    codes, _ = boost.encode_attributes(table)
    unknown = codes.copy()
    unknown[20:] = boost.MISSING
    loss = boost.boost_loss(logits, None, torch.from_numpy(unknown), None)
    expected = [functional.cross_entropy(each[:20], torch.from_numpy(codes[:20, i])) for i, each in enumerate(logits)]
    torch.testing.assert_close(loss, sum(expected) / 2)


def test_attributes_weigh_the_same_however_many_values_they_have_and_words_as_much_as_all_of_them():
    undecided = [torch.zeros(1, 2), torch.zeros(1, 8)]
    codes, words = torch.tensor([[0, 7]]), torch.tensor([[1, 0, -1]])
    loss = boost.boost_loss(undecided, torch.zeros(1, 3, 4), codes, words)
    assert loss.item() == pytest.approx(((math.log(2) + math.log(8)) / 2 + math.log(4)) / 2)


# ------------------------------------------------------------------------------------------------------ tables to codes


@pytest.mark.parametrize("missing", [None, "", np.nan])
def test_a_missing_value_is_no_class(missing):
    codes, values = boost.encode_attributes(pd.DataFrame({"sleeve": ["long", missing, "short", "long"]}))
    assert codes[:, 0].tolist() == [0, -1, 1, 0] and values == {"sleeve": ["long", "short"]}


def test_attributes_may_be_numbers_yes_or_no_and_categories():
    table = pd.DataFrame({"size": [40, 41, 40], "sale": [True, False, True], "kind": pd.Categorical(["a", "b", "a"])})
    codes, values = boost.encode_attributes(table)
    assert codes.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert values == {"size": [40, 41], "sale": [False, True], "kind": ["a", "b"]}


def test_columns_come_in_the_order_asked():
    table = pd.DataFrame({"a": [1, 2, 2], "b": [3, 3, 4]})
    assert boost.encode_attributes(table, ["b", "a"])[0].tolist() == [[0, 0], [0, 1], [1, 1]]


def test_frequency_of_a_word_is_the_number_of_names_that_have_it():
    _, vocabulary = boost.encode_names(["red red hat", "hat", "red shoe"], min_count=2)
    assert vocabulary == ["hat", "red"]
    with pytest.raises(ValueError, match="expected a word in at least 3 of the 3 names, got none"):
        boost.encode_names(["red red red hat", "hat", "shoe"], min_count=3)


def test_groups_have_equal_attributes_and_the_size_asked():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.integers(0, 3, 200), "b": rng.choice(["x", "y", None], 200), "c": range(200)})
    rows = boost.sample_groups(table, ["a", "b"], n_groups=4, group_size=10, seed=3)
    assert len(set(rows.tolist())) == 40
    assert (table.iloc[rows].groupby(["a", "b"], dropna=False).size() == 10).all()
    np.testing.assert_array_equal(rows, boost.sample_groups(table, ["a", "b"], 4, 10, seed=3))
    assert not np.array_equal(rows, boost.sample_groups(table, ["a", "b"], 4, 10, seed=4))


# ------------------------------------------------------------------------------------------------------------ bad input


def test_fewer_groups_than_asked_says_how_many_there_are():
    table = pd.DataFrame({"a": [1, 1, 2, 2, 3]})
    with pytest.raises(ValueError, match=r"expected 3 groups of 2 rows by a, got 2 \(the largest of 3 .* has 2 rows\)"):
        boost.sample_groups(table, ["a"], n_groups=3, group_size=2)


@pytest.mark.parametrize("act", [boost.encode_attributes, boost.sample_groups])
def test_a_column_that_is_not_there_is_answered_with_the_nearest(act):
    with pytest.raises(ValueError, match=r"no column 'color'; did you mean colour\?"):
        act(pd.DataFrame({"colour": ["a", "b"], "kind": ["c", "d"]}), ["color"])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["red", "red", "red"], "expected at least 2 values of attribute 'x' in 3 rows, got only 'red'"),
        (["", None, np.nan], "expected at least 2 values of attribute 'x' in 3 rows, got none"),
        (["1", "2", "3"], "expected a value of 'x' that occurs twice, got 3 in 3 rows"),
    ],
)
def test_an_attribute_from_which_nothing_can_be_learned_is_refused(column, message):
    with pytest.raises(ValueError, match=message):
        fit(np.ones((3, 4)), pd.DataFrame({"x": column}))


def test_embeddings_that_are_not_finite_are_refused_with_their_rows():
    embeddings, table, _ = shop(n=40)
    embeddings[[3, 17], 2] = np.nan, np.inf
    with pytest.raises(ValueError, match="embeddings must be finite, got NaN or infinite values in 2 rows: 3, 17"):
        fit(embeddings, table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attributes": None}, "expected attributes, names or both, got neither"),
        (
            {"attributes": pd.DataFrame({"a": [1, 1, 2]})},
            "expected 40 rows of attributes, .* got 3",
        ),
        ({"names": ["red hat"] * 6}, "expected 40 names, one for each embedding, got 6"),
        ({"validation": 1.0}, "validation must be at least 0 and below 1, got 1.0"),
        ({"stop_below": 0.1}, "stop_below must be given exactly when validation is 0"),
        ({"validation": 0}, "stop_below must be given exactly when validation is 0"),
        ({"embeddings": np.ones(5)}, r"embeddings must be floating point \(n, d\), got float64 \(5,\)"),
        ({"embeddings": np.zeros((40, 4))}, "scale must be above 0"),
        ({"scale": 0.0}, "scale must be above 0 and finite, got 0.0"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    embeddings, table, _ = shop(n=40)
    with pytest.raises(ValueError, match=message):
        fit(**{"embeddings": embeddings, "attributes": table, **change})
