"""Text and images in one space, in Keras: the autoencoder, the text tower, and the losses that bring them together.

An autoencoder compresses image embeddings into codes. A text tower maps a caption to a point among the codes. A search
then takes one step: find the images whose codes are nearest to the point of the text.

Needs numpy, pandas and keras 3 on tensorflow; import torch or torchvision, if at all, first. Copy this file alone.
"""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log lines about the processor; read when tensorflow is imported

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    raise ImportError(f"expected KERAS_BACKEND=tensorflow, which texts need, got {keras.backend.backend()}")

_registered = keras.saving.register_keras_serializable(package="shared_space")


def autoencoder(embeddings, dimension=100, seed=0):
    """A network from an embedding to `dimension` numbers and back, for rows like these: a keras.Model, not yet trained.

    One linear map each way, so PCA is the yardstick (Baldi and Hornik, 1989). embeddings (n, d) are the training rows:
    their mean is subtracted and added back, and one number scales all coordinates. The layer "encoder" gives the code;
    batch normalisation gives each of its coordinates mean 0 and variance 1.
    >>> model = autoencoder(np.eye(6, dtype=np.float32), dimension=2)
    >>> model.output_shape, model.get_layer("encoder").output_shape
    ((None, 6), (None, 2))
    """
    embeddings = _rows(embeddings, "embeddings")
    keras.utils.set_random_seed(seed)
    d = embeddings.shape[1]
    mean = embeddings.mean(axis=0)
    scale = {"mean": mean, "variance": np.full(d, max(float(((embeddings - mean) ** 2).mean()), 1e-12), np.float32)}
    centred = layers.BatchNormalization(center=False, scale=False, momentum=0.9)
    encoder = [keras.Input((d,)), layers.Normalization(**scale), layers.Dense(dimension), centred]
    encoder = keras.Sequential(encoder, name="encoder")
    decoder = [keras.Input((dimension,)), layers.Dense(d), layers.Normalization(**scale, invert=True)]
    decoder = keras.Sequential(decoder, name="decoder")
    return keras.Sequential([keras.Input((d,)), encoder, decoder], name="autoencoder")


def text_tower(
    captions, dimension=100, word_dimension=128, hidden=256, n_words=10_000, length=None, dropout=0.0, seed=0
):
    """A network from captions, as text, to points of `dimension` numbers: a keras.Model, not yet trained.

    TextVectorization (lower case, no punctuation) numbers the n_words most frequent words of the training captions;
    all others count as one unknown word. The average of the words' vectors (word_dimension numbers each) goes through a
    hidden layer with ReLU and a linear map, with dropout before both. Words beyond the first `length` are ignored
    (None: the length of the longest training caption). A caption without words gets the point of an empty text.
    >>> tower = text_tower(["a red shirt", "a blue shirt"], dimension=2, word_dimension=4, hidden=4)
    >>> encode(tower, ["a red shirt", "", "something unheard of"]).shape
    (3, 2)
    """
    captions = _texts(captions)
    if not captions or n_words < 3:  # of which two stand for padding and for the unknown word
        raise ValueError(f"expected captions and n_words of 3 or more, got {len(captions)} and {n_words}")
    keras.utils.set_random_seed(seed)
    length = length if length is not None else max((len(each.split()) for each in captions), default=1) or 1
    words = layers.TextVectorization(max_tokens=n_words, output_sequence_length=length, name="words")
    words.adapt(tf.constant(captions))
    if words.vocabulary_size() <= 2:  # padding and the unknown word
        raise ValueError(f"expected captions with at least one word, got {len(captions)} without any")
    vectors = layers.Embedding(words.vocabulary_size(), word_dimension, mask_zero=True, name="word_vectors")
    first, second = layers.Dense(hidden, activation="relu"), layers.Dense(dimension)
    body = [layers.Dropout(dropout, seed=seed), first, layers.Dropout(dropout, seed=seed + 1), second]
    return keras.Sequential([keras.Input((), dtype="string"), words, vectors, MeanOfWords(), *body], name="text_tower")


@_registered
class MeanOfWords(layers.Layer):
    """The mean of a text's word vectors; zeros for a text without words, for which Keras's own pooling gives NaN."""

    def call(self, vectors, mask=None):
        is_word = ops.ones(ops.shape(vectors)[:2]) if mask is None else ops.cast(mask, vectors.dtype)  # (b, words)
        total = ops.sum(vectors * is_word[:, :, None], axis=1)  # (b, d)
        return total / ops.maximum(ops.sum(is_word, axis=1, keepdims=True), 1.0)

    def compute_mask(self, vectors, mask=None):
        return None

    def compute_output_shape(self, shape):
        return shape[0], shape[2]


@_registered
def rmse(targets, points):
    """The root of the mean squared difference, over all rows and coordinates of a batch: a number.
    >>> round(float(rmse(np.zeros((1, 2), np.float32), np.array([[7, 1]], np.float32))), 3)  # root of (49 + 1) / 2
    5.0
    """
    return ops.sqrt(ops.mean(ops.square(points - ops.cast(targets, points.dtype))) + 1e-12)


@_registered
class InBatchTriplet(keras.losses.Loss):
    """The right code must be nearer to the text than any other code of the batch, by `margin` in cosine.

    For each text, max(0, margin - cosine(text, its code) + cosine(text, another code)): the largest over the batch
    (`hardest`; Faghri et al., 2018) or the mean. Codes equal to its own (of the same photo) do not count as wrong.
    """

    def __init__(self, margin=0.2, hardest=False, name="in_batch_triplet", **more):
        super().__init__(name=name, **more)
        self.margin, self.hardest = margin, hardest

    def call(self, codes, points):
        cosines, right, is_wrong = _in_batch(codes, points)
        excess = ops.relu(self.margin - right[:, None] + cosines) * is_wrong  # (b, b)
        if self.hardest:
            return ops.max(excess, axis=1)
        return ops.sum(excess, axis=1) / ops.maximum(ops.sum(is_wrong, axis=1), 1.0)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin, "hardest": self.hardest}


@_registered
class InBatchSoftmax(keras.losses.Loss):
    """Which code of the batch belongs to the text? Cross-entropy of the softmax of cosine / temperature.

    From text to code or, with `both_ways`, the average of text to code and code to text. Codes equal to its own (of the
    same photo) do not count as wrong. The loss of a single text in a batch is 0.
    """

    def __init__(self, temperature=0.07, both_ways=True, name="in_batch_softmax", **more):
        super().__init__(name=name, **more)
        self.temperature, self.both_ways = temperature, both_ways

    def call(self, codes, points):
        cosines, right, is_wrong = _in_batch(codes, points)
        wrong = ops.where(is_wrong > 0, cosines, -1e9)
        losses = []
        for others in (wrong, ops.transpose(wrong))[: 1 + self.both_ways]:
            candidates = ops.concatenate([right[:, None], others], axis=1) / self.temperature  # (b, 1 + b)
            losses.append(ops.logsumexp(candidates, axis=1) - right / self.temperature)
        return sum(losses) / len(losses)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature, "both_ways": self.both_ways}


def _in_batch(codes, points):
    """Cosine of every text to every code (b, b), to its own (b,), and 1.0 where a code is not its own (b, b)."""
    codes = ops.normalize(ops.cast(codes, points.dtype), axis=1)
    cosines = ops.normalize(points, axis=1) @ ops.transpose(codes)
    is_wrong = ops.cast(codes @ ops.transpose(codes) < 1 - 1e-6, points.dtype)
    return cosines, ops.diagonal(cosines), is_wrong


def train_model(model, inputs, targets, loss, epochs=15, batch_size=128, learning_rate=1e-3, validation=None, seed=0):
    """Train the model (in place) and return a DataFrame: epoch, loss and, with `validation`, validation_loss.

    inputs: rows (n, d), or texts; targets: the rows (n, d) they should map to; validation: (inputs, targets). By Adam.
    An incomplete last batch is left out (in-batch losses depend on the batch size), unless it is the only one.
    ValueError for another number of targets than of inputs, and for a loss that is not finite.
    >>> rows = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    >>> list(train_model(autoencoder(rows, 2), rows, rows, rmse, epochs=2, batch_size=16))
    ['epoch', 'loss']
    """
    if not (epochs >= 1 and batch_size >= 1):
        raise ValueError(f"epochs and batch_size must be at least 1, got {epochs} and {batch_size}")
    words = model.layers[0] if isinstance(model.layers[0], layers.TextVectorization) else None
    pairs, n = _pairs(inputs, targets, words), len(targets)
    keras.utils.set_random_seed(seed)
    batches = pairs.shuffle(n, seed=seed, reshuffle_each_iteration=True)
    batches = batches.batch(batch_size, drop_remainder=n >= batch_size).prefetch(1)
    if validation is not None:
        validation = _pairs(*validation, words).batch(batch_size, drop_remainder=len(validation[1]) >= batch_size)
    if words is not None:  # words are numbered once, not in each epoch
        model = keras.Sequential([keras.Input(pairs.element_spec[0].shape, dtype="int64"), *model.layers[1:]])
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss, jit_compile=False)  # XLA takes seconds
    history = model.fit(batches, epochs=epochs, validation_data=validation, shuffle=False, verbose=0).history
    table = pd.DataFrame({"epoch": np.arange(1, epochs + 1), "loss": history["loss"]})
    if validation is not None:
        table["validation_loss"] = history["val_loss"]
    if not np.isfinite(table["loss"].to_numpy()).all():
        first = table["epoch"][~np.isfinite(table["loss"])].iloc[0]
        got = f"NaN or infinity from epoch {first} on; try a smaller learning_rate"
        raise ValueError(f"expected a finite loss, got {got}")
    return table


def encode(model, inputs, batch_size=512):
    """Rows (n, d), or a list of texts, through the model in inference mode: float32 (n, dimension)."""
    is_text = not isinstance(inputs, np.ndarray)
    inputs = _texts(inputs) if is_text else _rows(inputs, "inputs", empty=True)
    if not is_text and inputs.shape[1:] != model.input_shape[1:]:
        raise ValueError(f"expected inputs of shape {model.input_shape}, got {inputs.shape}")
    found = [np.zeros((0, model.output_shape[-1]), np.float32)]
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        found.append(model(tf.constant(batch) if is_text else batch, training=False).numpy())
    return np.ascontiguousarray(np.concatenate(found), np.float32)


def save_model(model, path):
    """Write the model, words and weights, to a .keras file in one step, and return its path."""
    path = Path(path)
    if path.suffix != ".keras":
        raise ValueError(f"expected a path that ends in .keras, got {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as place:
        temporary = Path(place) / path.name
        model.save(temporary)
        os.replace(temporary, path)  # in one step: a reader sees all of it or none
    return path


def restore_model(path):
    """Read a model that `save_model` wrote. No code is loaded, only known layers. Train it further by `train_model`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"expected a model written by save_model, got no file {path}")
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _pairs(inputs, targets, words=None):
    inputs = _rows(inputs, "inputs") if isinstance(inputs, np.ndarray) else _texts(inputs)
    targets = _rows(targets, "targets")
    if len(inputs) != len(targets):
        raise ValueError(f"expected as many targets as inputs, got {len(targets)} and {len(inputs)}")
    return tf.data.Dataset.from_tensor_slices((inputs if words is None else words(tf.constant(inputs)), targets))


def _rows(rows, name, empty=False):
    rows = np.asarray(rows)
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating) or (not len(rows) and not empty):
        raise ValueError(f"{name} must be floating point (n, d) with at least one row, got {rows.dtype} {rows.shape}")
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if broken.size:
        raise ValueError(f"{name} must be finite, got NaN or infinity in {broken.size} rows, first row {broken[0]}")
    return np.ascontiguousarray(rows, np.float32)


def _texts(texts):
    if isinstance(texts, str | dict):
        raise ValueError(f"expected a list of strings, got one {'string' if isinstance(texts, str) else 'dict'}")
    texts = list(texts)
    for other in (text for text in texts if not isinstance(text, str)):
        raise ValueError(f"expected strings, got {type(other).__name__}")
    return texts
