"""Keras's networks, apart from torch's: one framework computes in a process."""

import os
import random
import urllib.error
import warnings
from pathlib import Path

import numpy as np
import pytest

from lib import backbones

keras = pytest.importorskip("keras")  # after torch, which cannot be loaded after TensorFlow

WEIGHTS = [Path(place) for place in os.environ.get("RETRIEVAL_WEIGHTS", "").split(os.pathsep) if place]
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 40, 48, 3), np.uint8)
NAME = "keras:MobileNet"


def untrained(**options):
    return backbones.load(NAME, "none", **{"image_size": 32, "alpha": 0.25} | options)


@pytest.fixture(scope="module")
def small():
    return untrained()


def test_the_embedding_is_the_input_of_the_classifier(small):
    """Seen in Keras's whole network, with the same weights."""
    whole = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), alpha=0.25)
    for layer in small.model.layers:
        if layer.weights:
            whole.get_layer(layer.name).set_weights(layer.get_weights())
    before = keras.Model(whole.input, whole.get_layer("conv_preds").input)  # (n, 1, 1, 256)
    expected = before.predict_on_batch(small.preprocess(IMAGES))[:, 0, 0]
    embeddings = backbones.embed(small, IMAGES, batch_size=2)
    assert embeddings.shape == (5, 256) and small.dimension == 256
    assert embeddings.dtype == np.float32 and embeddings.flags.c_contiguous
    np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-6)


def test_preprocessing_is_that_of_the_model(small):
    """MobileNet takes -1 to 1: 0 and 255 are the ends; 40 x 48 loses 4 columns a side before it is scaled."""
    black_and_white = np.stack([np.zeros((40, 48, 3), np.uint8), np.full((40, 48, 3), 255, np.uint8)])
    assert small.preprocess(black_and_white).shape == (2, 32, 32, 3)
    assert small.preprocess(black_and_white).mean(axis=(1, 2, 3)).tolist() == [-1, 1]
    own = untrained(image_size=40).preprocess(IMAGES)
    np.testing.assert_allclose(own, IMAGES[:, :, 4:44] / 127.5 - 1, atol=1e-6)


def test_a_layer_is_pooled_by_the_formula(small):
    layer = "conv_pw_3_relu"
    maps = keras.Model(small.model.input, small.model.get_layer(layer).output)
    maps = maps.predict_on_batch(small.preprocess(IMAGES))  # (5, 8, 8, 32)
    by_hand = {
        "average": maps.mean(axis=(1, 2)),
        "max": maps.max(axis=(1, 2)),
        "gem": ((maps.clip(1e-6) ** 3).sum(axis=(1, 2)) / 64) ** (1 / 3),
    }
    for pooling, expected in by_hand.items():
        backbone = untrained(layer=layer, pooling=pooling)
        assert backbone.dimension == 32
        np.testing.assert_allclose(backbones.embed(backbone, IMAGES), expected, rtol=1e-3, atol=1e-5)


def test_an_untrained_control_is_fixed_by_its_seed_and_leaves_the_generators_alone(small):
    random.seed(7)
    expected = random.random()
    random.seed(7)
    again, other = untrained(), untrained(seed=1)
    assert random.random() == expected
    assert again.key == small.key and other.weights_digest != small.weights_digest
    assert small.source == "none"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "keras:MobileNetV9"}, "unknown model 'keras:MobileNetV9'; did you mean .*keras:MobileNetV"),
        ({"layer": "conv_pw_3_rely"}, "no layer 'conv_pw_3_rely'; nearest: conv_pw_3_relu"),
        ({"pooling": "class_token"}, "pooling 'class_token' does not go with that"),
        ({"pooling": "mean"}, "unknown pooling 'mean'"),
    ],
)
def test_what_is_unknown_is_refused_with_what_is_allowed(asked, message):
    with pytest.raises(ValueError, match=message):
        backbones.load(**{"name": NAME, "weights": "none", "image_size": 32, "alpha": 0.25} | asked)


def test_weights_come_from_a_file_or_say_that_they_do_not_fit(small, tmp_path):
    path = tmp_path / "small.weights.h5"
    headless = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    headless.save_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = backbones.load(NAME, path, image_size=32, alpha=0.25)
    assert loaded.source == str(path)
    for ours, saved in zip(loaded.model.get_weights(), headless.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, saved)
    with pytest.raises(ValueError, match=r"small\.weights\.h5 does not fit keras:MobileNet"):
        backbones.load(NAME, path, image_size=32, alpha=0.5)
    path.write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"small\.weights\.h5 does not fit keras:MobileNet"):
        backbones.load(NAME, path, image_size=32, alpha=0.25)
    with pytest.raises(backbones.MissingWeights, match=r"no file 'gone\.weights\.h5'"):
        backbones.load(NAME, "gone.weights.h5")


def test_a_missing_checkpoint_is_one_error_that_says_what_where_and_how(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", unreachable)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path / "keras"))
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", str(tmp_path / "mine"))
    with pytest.raises(backbones.MissingWeights) as error:
        backbones.load("keras:MobileNet", alpha=0.25)
    for part in ("weights of keras:MobileNet", "no route to host", "MobileNet.weights.h5", ".weights.h5 file"):
        assert part in str(error.value)


def test_real_weights_load_and_embed():
    file = "mobilenet_v1_0.25_224_no_top.weights.h5"
    path = next((place / file for place in WEIGHTS if (place / file).is_file()), None)
    if path is None:
        pytest.skip(f"no {file} in $RETRIEVAL_WEIGHTS")
    backbone = backbones.load("keras:MobileNet", path, alpha=0.25)
    embeddings = backbones.embed(backbone, IMAGES)
    assert embeddings.shape == (5, 256) and np.isfinite(embeddings).all() and embeddings.std() > 0
