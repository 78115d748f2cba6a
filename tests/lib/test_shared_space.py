"""shared_space: losses by hand, models that learn, and files that load to the same numbers."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA

from lib import shared_space

ROOT = Path(__file__).resolve().parents[2]
WORDS = {"red": 0, "blue": 1, "green": 2, "hat": 3, "shirt": 4, "sock": 5}


def captions_and_codes(seed=0):
    """Captions of a colour and a product, and codes that are the sum of a vector for each."""
    vectors = np.random.default_rng(seed).normal(size=(6, 5)).astype(np.float32)
    pairs = [(colour, product) for colour in list(WORDS)[:3] for product in list(WORDS)[3:]]
    captions = [f"A {colour} {product}." for colour, product in pairs for _ in range(8)]
    codes = np.array([vectors[WORDS[a]] + vectors[WORDS[b]] for a, b in pairs for _ in range(8)], np.float32)
    return captions, codes


def small_tower(captions, **change):
    how = dict(dimension=5, word_dimension=16, hidden=32, length=6) | change
    return shared_space.text_tower(captions, **how)


def right_first(points, codes):
    """Share of points whose nearest code, by cosine, is one equal to their own."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (points, codes)]
    nearest = np.argmax(unit[0] @ unit[1].T, axis=1)
    return np.mean(np.all(np.isclose(codes[nearest], codes), axis=1))


# ----------------------------------------------------------------------------------------------------- losses


def test_rmse_by_hand():
    targets, points = np.array([[0, 0], [1, 1]], np.float32), np.array([[1, 0], [1, 4]], np.float32)
    assert_allclose(shared_space.rmse(targets, points), np.sqrt((1 + 0 + 0 + 9) / 4), rtol=1e-6)


CODES = np.array([[1, 0], [0, 2], [-3, 0]], np.float32)
POINTS = np.array([[2, 0], [0.6, 0.8], [0, 1]], np.float32)  # cosines 1 0 -1, 0.6 0.8 -0.6, 0 1 0
COSINES = np.array([[1, 0, -1], [0.6, 0.8, -0.6], [0, 1, 0]])


@pytest.mark.parametrize("hardest", [False, True])
def test_triplet_by_hand(hardest):
    # 0.5 - right + wrong. Text 0: 0.5 - 1 + 0 or - 1: none; text 1: 0.5 - 0.8 + 0.6, - 0.6; text 2: 0.5 - 0 + 0, + 1
    excess = np.array([[0, 0], [0.3, 0], [0.5, 1.5]])
    expected = excess.max(axis=1) if hardest else excess.mean(axis=1)
    loss = shared_space.InBatchTriplet(margin=0.5, hardest=hardest)
    assert_allclose(loss.call(CODES, POINTS), expected, atol=1e-6)
    assert_allclose(loss(CODES, POINTS), expected.mean(), atol=1e-6)


@pytest.mark.parametrize("both_ways", [False, True])
def test_softmax_is_the_cross_entropy_of_cosines(both_ways):
    logits = COSINES / 0.5
    to_codes = np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)
    to_texts = np.log(np.exp(logits).sum(axis=0)) - np.diag(logits)
    expected = (to_codes + to_texts) / 2 if both_ways else to_codes
    assert_allclose(shared_space.InBatchSoftmax(0.5, both_ways).call(CODES, POINTS), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "loss", [shared_space.InBatchTriplet(0.5), shared_space.InBatchTriplet(0.5, True), shared_space.InBatchSoftmax(0.5)]
)
def test_another_caption_of_the_same_photo_is_no_wrong_answer(loss):
    codes, points = CODES[[0, 0, 1]], POINTS[[0, 1, 2]]
    without = loss.call(CODES[[0, 1]], POINTS[[0, 2]]).numpy()
    assert_allclose(loss.call(codes, points).numpy()[0], without[0], atol=0.2)  # but for the mean over wrong ones
    alone = loss.call(CODES[[0, 0]], POINTS[[0, 1]])
    assert_allclose(alone, [0, 0], atol=1e-6)


@pytest.mark.parametrize("loss", [shared_space.InBatchTriplet(0.3, True), shared_space.InBatchSoftmax(0.2, False)])
def test_a_loss_is_made_again_from_its_settings(loss):
    again = type(loss).from_config(loss.get_config())
    assert again is not loss and again.get_config() == loss.get_config()
    assert_allclose(again.call(CODES, POINTS), loss.call(CODES, POINTS))


# ------------------------------------------------------------------------------------------------ the autoencoder


@pytest.fixture(scope="module")
def embeddings():
    """Rows that vary along three directions above all, around a mean far from 0."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(512, 3)) @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(512, 12)) + 7
    return rows.astype(np.float32)


@pytest.mark.slow
def test_the_autoencoder_comes_near_pca_of_the_same_size_and_never_below_it(embeddings):
    model = shared_space.autoencoder(embeddings, dimension=3)
    before = float(shared_space.rmse(embeddings, shared_space.encode(model, embeddings)))
    shared_space.train_model(
        model, embeddings, embeddings, shared_space.rmse, epochs=60, batch_size=64, learning_rate=1e-2
    )
    error = float(shared_space.rmse(embeddings, shared_space.encode(model, embeddings)))
    pca = PCA(3).fit(embeddings)
    best = float(shared_space.rmse(embeddings, pca.inverse_transform(pca.transform(embeddings)).astype(np.float32)))
    assert best - 1e-5 <= error < 2.0 * best < before


def test_the_code_has_the_size_asked_for_and_about_unit_variance(embeddings):
    model = shared_space.autoencoder(embeddings, dimension=3)
    shared_space.train_model(model, embeddings, embeddings, shared_space.rmse, epochs=10, batch_size=64)
    codes = shared_space.encode(model.get_layer("encoder"), embeddings)
    assert codes.shape == (512, 3) and codes.dtype == np.float32
    assert_allclose(codes.mean(axis=0), 0, atol=0.3)
    assert_allclose(codes.std(axis=0), 1, atol=0.3)


# ------------------------------------------------------------------------------------------------- the text tower


@pytest.mark.parametrize(
    "loss",
    [shared_space.rmse, shared_space.InBatchTriplet(), shared_space.InBatchSoftmax(0.1)],
    ids=["rmse", "triplet", "softmax"],
)
@pytest.mark.slow
def test_a_tower_learns_to_find_the_code_of_its_caption_by_each_loss(loss):
    captions, codes = captions_and_codes()
    tower = small_tower(captions)
    assert right_first(shared_space.encode(tower, captions), codes) < 0.5
    table = shared_space.train_model(
        tower, captions, codes, loss, epochs=40, batch_size=24, learning_rate=1e-2, validation=(captions, codes)
    )
    assert table["loss"].iloc[-1] < 0.5 * table["loss"].iloc[0]
    assert list(table) == ["epoch", "loss", "validation_loss"] and table["epoch"].tolist() == list(range(1, 41))
    assert right_first(shared_space.encode(tower, captions), codes) == 1.0


def test_words_are_read_without_case_signs_or_order_and_unknown_ones_are_one_word():
    captions, _ = captions_and_codes()
    tower = small_tower(captions)
    red, again, turned, unknown, other = shared_space.encode(
        tower, ["a red hat", "A red, HAT!", "hat red a", "a red zebra", "a red yak"]
    )
    assert_allclose(again, red, atol=1e-6)
    assert_allclose(turned, red, atol=1e-6)
    assert_array_equal(unknown, other)
    assert np.abs(unknown - red).max() > 1e-4


def test_an_empty_text_is_a_finite_point_and_no_text_gives_no_row():
    tower = small_tower(["a red hat"])
    empty, signs = shared_space.encode(tower, ["", "..."])
    assert np.isfinite(empty).all()
    assert_array_equal(empty, signs)
    assert shared_space.encode(tower, []).shape == (0, 5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_tower():
    captions, codes = captions_and_codes()
    towers = [small_tower(captions, dropout=0.2, seed=seed) for seed in (3, 3, 4)]
    for tower in towers:
        shared_space.train_model(tower, captions, codes, shared_space.rmse, epochs=2, batch_size=24, seed=5)
    first, same, other = (shared_space.encode(tower, captions) for tower in towers)
    assert_allclose(first, same, atol=1e-5)
    assert np.abs(first - other).max() > 1e-3


# ---------------------------------------------------------------------------------------------------------- files

LOADED_ELSEWHERE = """
import json, sys
import numpy as np
from lib import shared_space
tower, model = (shared_space.restore_model(path) for path in sys.argv[1:])
rows = np.arange(24, dtype=np.float32).reshape(2, 12)
encoder = model.get_layer("encoder")
found = [(tower, ["A red hat.", "", "zebra"]), (model, rows), (encoder, rows)]
print(json.dumps([shared_space.encode(each, inputs).tolist() for each, inputs in found]))
"""


@pytest.mark.slow
def test_what_is_saved_loads_to_the_same_numbers_in_another_process(embeddings, tmp_path):
    captions, codes = captions_and_codes()
    tower, model = small_tower(captions), shared_space.autoencoder(embeddings, 3)
    shared_space.train_model(tower, captions, codes, shared_space.InBatchSoftmax(), epochs=2, batch_size=24)
    shared_space.train_model(model, embeddings, embeddings, shared_space.rmse, epochs=2, batch_size=64)
    paths = [shared_space.save_model(each, tmp_path / "new" / f"{each.name}.keras") for each in (tower, model)]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["autoencoder.keras", "text_tower.keras"]
    rows = np.arange(24, dtype=np.float32).reshape(2, 12)
    expected = [
        shared_space.encode(tower, ["A red hat.", "", "zebra"]),
        shared_space.encode(model, rows),
        shared_space.encode(model.get_layer("encoder"), rows),
    ]
    run = subprocess.run(
        [sys.executable, "-c", LOADED_ELSEWHERE, *map(str, paths)], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    for found, rows in zip(json.loads(run.stdout.splitlines()[-1]), expected, strict=True):
        assert_allclose(found, rows, rtol=1e-6, atol=1e-6)


def test_a_loaded_model_can_be_trained_further(tmp_path):
    captions, codes = captions_and_codes()
    path = shared_space.save_model(small_tower(captions), tmp_path / "tower.keras")
    restored = shared_space.restore_model(path)
    table = shared_space.train_model(restored, captions, codes, shared_space.rmse, epochs=5, batch_size=24)
    assert table["loss"].iloc[-1] < table["loss"].iloc[0]


def test_a_wrong_suffix_a_missing_file_and_a_failed_write_are_told_and_leave_nothing(tmp_path, monkeypatch):
    tower = small_tower(["a red hat"])
    with pytest.raises(ValueError, match=r"expected a path that ends in \.keras, got .*tower\.h5"):
        shared_space.save_model(tower, tmp_path / "tower.h5")
    with pytest.raises(FileNotFoundError, match=r"got no file .*tower\.keras"):
        shared_space.restore_model(tmp_path / "tower.keras")

    def full(self, path, **more):
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(keras.Model, "save", full)
    monkeypatch.setattr(keras.Sequential, "save", full)
    with pytest.raises(OSError, match="no space left"):
        shared_space.save_model(tower, tmp_path / "tower.keras")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: shared_space.text_tower(["", "..."]), "expected captions with at least one word, got 2 without any"),
        (lambda: shared_space.text_tower("a hat"), "expected a list of strings, got one string"),
        (lambda: shared_space.text_tower([1]), "expected strings, got int"),
        (lambda: shared_space.autoencoder(np.zeros((0, 3), np.float32)), r"float32 \(0, 3\)"),
        (lambda: shared_space.autoencoder(np.full((2, 3), np.nan)), "got NaN or infinity in 2 rows, first row 0"),
    ],
)
def test_what_does_not_fit_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_inputs_and_targets_of_different_number_and_a_loss_that_explodes_are_refused(embeddings):
    tower = small_tower(["a red hat"])
    with pytest.raises(ValueError, match="expected as many targets as inputs, got 2 and 1"):
        shared_space.train_model(tower, ["a hat"], np.zeros((2, 5), np.float32), shared_space.rmse)
    model = shared_space.autoencoder(embeddings, 3)
    with pytest.raises(ValueError, match="expected a finite loss, got NaN or infinity from epoch"):
        shared_space.train_model(model, embeddings, embeddings, shared_space.rmse, epochs=3, learning_rate=1e30)


def test_tensorflow_is_the_backend():
    assert keras.backend.backend() == "tensorflow" and tf.executing_eagerly()
