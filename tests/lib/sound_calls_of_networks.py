"""Sound calls of lib's functions, which test_any_input.py then makes with odd arguments: networks, trainings, Keras.

Networks are as small as they can be, trainings take an epoch or two, and all start from the same numbers.
"""

import functools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from sound_calls import labelled, pictures, rows, sets
from sound_calls_of_files import PLACE, attributes, captions
from torch import nn

from lib import (
    backbones,
    boost,
    cache,
    embedding,
    nested,
    networks,
    shared_space,
    supervision,
    training,
    two_towers,
    weights,
)


def seeded(function):
    """The call with torch's numbers drawn from the same start each time."""

    def drawn(**arguments):
        torch.manual_seed(0)
        with torch.no_grad():
            return function(**arguments)

    return drawn


def trained_from_the_same(function):
    def from_seed(**arguments):
        torch.manual_seed(0)
        return function(**arguments)

    return from_seed


@functools.cache
def tiny_backbone():
    torch.manual_seed(0)
    mean = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return SimpleNamespace(name="mean", model=mean, preprocess=embedding.Preprocess(8, 8, (0.5,) * 3, (0.5,) * 3))


@functools.cache
def boosted():
    options = boost.Options(epochs=1, min_count=1, n_recurrent=4)
    return boost.fit(rows(np.random.default_rng(0)), attributes(), options=options, progress=False)


def boosted_by(embeddings, table, names, **options):
    options = {"epochs": 1, "min_count": 1, "n_recurrent": 4} | options
    return boost.fit(embeddings, table, names, boost.Options(**options), progress=False).embed(rows_of(embeddings))


def rows_of(embeddings):
    return embeddings if isinstance(embeddings, np.ndarray) else np.asarray(embeddings)


def nested_network():
    return nested.Nested(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), networks.NestedHead((2, 4), 3))


def nested_training(photos, classes, given=None, **numbers):
    settings = nested.NestedSettings(**({"epochs": 1} | numbers))
    model, batches = nested_network(), training.Batches([photos, classes], 4)
    return nested.train_nested(model, batches, settings, weights=given)["loss"]


def line_training(array, **how):
    line = nn.Linear(6, 1)
    optimiser = torch.optim.SGD(line.parameters(), lr=0.1)

    def step(model, batch):
        return (model(batch[0]) - 1).square().mean()

    return training.train(line, step, training.Batches([array], 4), optimiser, progress=False, **how)["loss"]


def rate_after(n_steps, n_warm_up, n_hold):
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=8.0)
    return training.warm_up_cosine(optimiser, n_steps, n_warm_up, n_hold).get_last_lr()


def task_training(images, label_sets, task=None, **numbers):
    task = task or supervision.Labels(2)
    network = supervision.Supervised(nn.Flatten(), 48, task.n_outputs)
    photos = supervision.Photos(images, label_sets)
    settings = supervision.TaskSettings(**({"epochs": 1} | numbers))
    return supervision.train_task(task, network, photos, photos, settings)["loss"]


@functools.cache
def supervised():
    torch.manual_seed(0)
    return supervision.Supervised(nn.Flatten(), 48, n_outputs=2)


@functools.cache
def tower():
    return shared_space.text_tower(captions(), dimension=2, word_dimension=4, hidden=4)


def towers_of(images, texts, **sizes):
    return two_towers.TwoTower(6, 5, **({"dimension": 4, "hidden": 4} | sizes))(images, texts)


def trained_tower(inputs, targets, **how):
    model = shared_space.autoencoder(rows(np.random.default_rng(0)), 2)
    history = shared_space.train_model(model, inputs, targets, shared_space.rmse, **({"epochs": 1} | how))
    return history["loss"]


def saved(path):
    shared_space.save_model(tower(), PLACE / path)
    return shared_space.encode(shared_space.restore_model(PLACE / path), ["red"])


def fitted(weight, path="here"):
    network = nn.Linear(3, 2, bias=False)
    weights.fit(network, {"weight": weight}, path, "a line")
    return network.weight


def read(path):
    if not (PLACE / "line.pth").exists():
        torch.save({"weight": torch.ones(2, 3)}, PLACE / "line.pth")
    return weights.read_state(PLACE / path)


def cached_training(key):
    line = nn.Linear(2, 1)

    def train(checkpoint):
        return pd.DataFrame({"epoch": [1], "loss": [0.5]})

    return cache.trained(PLACE / "models", {"of": key}, line, train)


CALLS = {
    "backbones.load": (
        lambda name, **how: seeded(lambda: backbones.load(name, "none", device="cpu", **how).dimension)(),
        lambda rng: {"name": "timm:test_resnet", "image_size": 64, "layer": "layer1", "pooling": "max", "seed": 0},
    ),
    "backbones.load, its weights": (
        lambda weights: backbones.load("timm:test_resnet", weights, device="cpu").dimension,
        lambda rng: {"weights": "none"},
    ),
    "backbones.blocks": (
        lambda backbone: len(backbones.blocks(backbone)),
        lambda rng: {"backbone": backbones.load("timm:test_resnet", "none", device="cpu")},
    ),
    "backbones.layer_names": (backbones.layer_names, lambda rng: {"name": "timm:test_resnet"}),
    "boost.fit": (
        boosted_by,
        lambda rng: {"embeddings": rows(rng), "table": attributes(), "names": (captions() * 3)[:12]},
    ),
    "boost.fit, its options": (
        lambda **options: boosted_by(rows(np.random.default_rng(0)), attributes(), (captions() * 3)[:12], **options),
        lambda rng: {
            "validation": 0.2,
            "epochs": 1,
            "patience": 2,
            "batch_size": 4,
            "rate": 1e-3,
            "weight_decay": 1e-5,
            "scale": 2.0,
            "n_recurrent": 4,
            "min_count": 2,
            "seed": 0,
        },
    ),
    "boost.Boosted(embed)": (
        lambda **asked: boosted().embed(**asked),
        lambda rng: {"embeddings": rows(rng), "batch_size": 5},
    ),
    "boost.Boosted(predict)": (lambda embeddings: boosted().predict(embeddings), lambda rng: {"embeddings": rows(rng)}),
    "boost.boost_loss": (
        lambda logits, word_logits, codes, words: boost.boost_loss([logits], word_logits, codes, words),
        lambda rng: {
            "logits": torch.rand(4, 3),
            "word_logits": torch.rand(4, 2, 5),
            "codes": torch.tensor([[0], [1], [2], [-1]]),
            "words": torch.tensor([[1, 0], [2, 0], [0, -1], [4, 0]]),
        },
    ),
    "cache.trained": (cached_training, lambda rng: {"key": "a line"}),
    "embedding.Preprocess": (
        lambda images: embedding.Preprocess(10, 8, mean=(0.5,) * 3, std=(0.5,) * 3)(images),
        lambda rng: {"images": pictures(rng, 2, 16)},
    ),
    "embedding.DetectorPreprocess": (
        lambda images: embedding.DetectorPreprocess(8)(images),
        lambda rng: {"images": pictures(rng, 2, 16)},
    ),
    "embedding.embed": (
        lambda **asked: embedding.embed(tiny_backbone(), progress=False, **asked),
        lambda rng: {"images": pictures(rng, 3, 16), "batch_size": 2, "precision": "float32"},
    ),
    "nested.train_nested": (
        trained_from_the_same(nested_training),
        lambda rng: {
            "photos": rng.random((8, 3, 2, 2)).astype(np.float32),
            "classes": labelled(rng, 8),
            "given": np.array([1.0, 2.0]),
        },
    ),
    "nested.train_nested, its settings": (
        trained_from_the_same(lambda **numbers: nested_training(torch.ones(8, 3, 2, 2), labelled(None, 8), **numbers)),
        lambda rng: {"epochs": 1, "rate": 1e-3, "weight_decay": 0.05, "clip_norm": 5.0, "seed": 0},
    ),
    "nested.Streamed": (
        lambda labels, size, seed: [
            batch[1].numpy()
            for batch in nested.Streamed(lambda rows: np.zeros((len(rows), 2, 2, 3), np.uint8), labels, size, seed=seed)
        ],
        lambda rng: {"labels": labelled(rng), "size": 5, "seed": 0},
    ),
    "nested.class_scores": (
        lambda **asked: nested.class_scores(lambda rows: [rows[:, :1], 2 * rows], **asked),
        lambda rng: {"embeddings": rows(rng), "batch_size": 5},
    ),
    "nested.step_seconds": (
        lambda photos, classes, **how: (
            nested.step_seconds({"a": nested_network()}, (photos, classes), nested.NestedSettings(), **how).shape
        ),
        lambda rng: {
            "photos": torch.rand(4, 3, 2, 2),
            "classes": torch.tensor([0, 1, 2, 0]),
            "n_rounds": 1,
            "n_warm_up": 0,
        },
    ),
    "networks.SmallNetwork(forward)": (
        seeded(lambda x, **sizes: networks.SmallNetwork(**sizes)(x)),
        lambda rng: {"x": torch.rand(2, 3, 16, 16), "channels": 3, "image_size": 16, "dimension": 4},
    ),
    "networks.ResidualBlock(forward)": (
        seeded(lambda x, **sizes: networks.ResidualBlock(**sizes)(x)),
        lambda rng: {"x": torch.rand(2, 3, 8, 8), "n_in": 3, "n_out": 4, "stride": 2},
    ),
    "networks.NestedResNet(forward, maps)": (
        seeded(lambda x, **sizes: networks.NestedResNet(**sizes)(x)),
        lambda rng: {
            "x": torch.rand(2, 3, 8, 8),
            "stem": 4,
            "widths": np.array([4, 8]),
            "blocks": np.array([1, 1]),
            "dimension": 4,
        },
    ),
    "networks.NestedHead(forward)": (
        seeded(lambda embeddings, **sizes: networks.NestedHead(**sizes)(embeddings)),
        lambda rng: {"embeddings": torch.rand(2, 4), "sizes": np.array([2, 4]), "n_classes": 3, "scale": 8.0},
    ),
    "networks.BoostHead(forward, embed)": (
        seeded(lambda embeddings, words, **sizes: networks.BoostHead(**sizes)(embeddings, words)),
        lambda rng: {
            "embeddings": torch.rand(2, 4),
            "words": torch.tensor([[1, 0], [2, 0]]),
            "n_inputs": 4,
            "n_values": [3, 2],
            "n_words": 5,
            "n_recurrent": 4,
            "n_word_inputs": 4,
            "scale": 2.0,
        },
    ),
    "networks.UNet(forward)": (
        seeded(lambda x, **sizes: networks.UNet(networks.NestedResNet(4, (4,), (1,), 4), **sizes)(x)),
        lambda rng: {"x": torch.rand(2, 3, 8, 8), "widths": np.array([4, 4]), "n_outputs": 1},
    ),
    "shared_space.autoencoder": (
        lambda embeddings, dimension, seed: shared_space.encode(
            shared_space.autoencoder(embeddings, dimension, seed), np.ones((2, 6), np.float32)
        ),
        lambda rng: {"embeddings": rows(rng), "dimension": 2, "seed": 0},
    ),
    "shared_space.text_tower": (
        lambda captions, **sizes: shared_space.encode(shared_space.text_tower(captions, **sizes), ["red", "hat"]),
        lambda rng: {"captions": captions()},
    ),
    "shared_space.text_tower, its sizes": (
        lambda **sizes: shared_space.text_tower(captions(), **sizes).output_shape,
        lambda rng: {
            "dimension": 2,
            "word_dimension": 4,
            "hidden": 4,
            "n_words": 10,
            "length": 3,
            "dropout": 0.1,
            "seed": 0,
        },
    ),
    "shared_space.train_model": (
        lambda targets: trained_tower(rows(np.random.default_rng(0)), targets),
        lambda rng: {"targets": rows(rng)},
    ),
    "shared_space.train_model, its numbers": (
        lambda **how: trained_tower(np.ones((4, 6), np.float32), np.ones((4, 6), np.float32), **how),
        lambda rng: {"epochs": 1, "batch_size": 2, "learning_rate": 1e-3, "seed": 0},
    ),
    "shared_space.encode": (
        lambda inputs, batch_size: shared_space.encode(tower(), inputs, batch_size),
        lambda rng: {"inputs": captions(), "batch_size": 2},
    ),
    "shared_space.encode, rows": (
        lambda inputs: shared_space.encode(shared_space_of_rows(), inputs),
        lambda rng: {"inputs": rows(rng)},
    ),
    "shared_space.save_model": (saved, lambda rng: {"path": "tower.keras"}),
    "shared_space.restore_model": (
        lambda path: shared_space.restore_model(path) and 1,
        lambda rng: {"path": str(shared_space.save_model(tower(), PLACE / "tower.keras"))},
    ),
    "supervision.Supervised(forward, train)": (
        lambda x, **sizes: supervision.Supervised(nn.Flatten(), **sizes)(x),
        lambda rng: {"x": torch.rand(2, 3, 2, 2), "dimension": 12, "n_outputs": 2, "seed": 0},
    ),
    "supervision.crop_and_flip": (
        lambda **how: supervision.crop_and_flip(rng=np.random.default_rng(0), **how),
        lambda rng: {"x": torch.rand(2, 3, 4, 4), "smallest": 0.7},
    ),
    "supervision.turned": (
        supervision.turned,
        lambda rng: {"x": torch.rand(2, 3, 4, 4), "n_turns": torch.tensor([1, 3])},
    ),
    "supervision.similar_and_different": (
        supervision.similar_and_different,
        lambda rng: {"label_sets": torch.from_numpy(sets(rng)), "n_similar": 0.1, "n_different": 0.5},
    ),
    "supervision.train_task": (
        trained_from_the_same(task_training),
        lambda rng: {"images": pictures(rng, 8, 4), "label_sets": sets(rng, 8)[:, :2]},
    ),
    "supervision.train_task, its numbers": (
        trained_from_the_same(
            lambda **numbers: task_training(np.zeros((8, 4, 4, 3), np.uint8), np.eye(8, 2, dtype=bool), **numbers)
        ),
        lambda rng: {"epochs": 1, "batch_size": 4, "rate": 1e-3, "plateau": 1, "patience": 1, "seed": 0},
    ),
    "supervision.Labels(loss)": (
        lambda outputs, targets: supervision.Labels(2).loss(outputs, targets, 0),
        lambda rng: {"outputs": torch.rand(4, 2), "targets": torch.rand(4, 2) < 0.5},
    ),
    "supervision.Triplets(loss)": (
        trained_from_the_same(lambda outputs, targets, **how: supervision.Triplets(**how).loss(outputs, targets, 0)),
        lambda rng: {
            "outputs": torch.rand(6, 2),
            "targets": torch.from_numpy(sets(rng)),
            "how": "batch-hard",
            "start": 0.2,
            "margin": 1.0,
            "growing": 10,
        },
    ),
    "supervision.Rotation(batch, held_out, loss, scores)": (
        lambda x, outputs: [
            supervision.Rotation(augment=False).batch(x, None, np.random.default_rng(0)),
            supervision.Rotation().held_out(x, None, torch.arange(len(x))),
            supervision.Rotation().loss(outputs, torch.tensor([0, 3]), 0),
            supervision.Rotation().scores(outputs, torch.tensor([0, 3])),
        ],
        lambda rng: {"x": torch.rand(2, 3, 4, 4), "outputs": torch.rand(2, 4)},
    ),
    "supervision.normalised": (
        supervision.normalised,
        lambda rng: {"images": torch.from_numpy(pictures(rng, 2, 4))},
    ),
    "supervision.embed_photos": (
        lambda **asked: supervision.embed_photos(supervised(), **asked),
        lambda rng: {"images": pictures(rng, 3, 4), "embeds": "head", "batch_size": 2},
    ),
    "supervision.label_probabilities": (
        lambda images: supervision.label_probabilities(supervised(), images),
        lambda rng: {"images": pictures(rng, 3, 4)},
    ),
    "training.train": (
        trained_from_the_same(line_training),
        lambda rng: {
            "array": rows(rng),
            "epochs": 2,
            "monitor": "loss",
            "better": "lower",
            "patience": 1,
            "schedule_each": "epoch",
            "clip_norm": 1.0,
            "precision": "float32",
            "seed": 0,
        },
    ),
    "training.warm_up_cosine": (rate_after, lambda rng: {"n_steps": 7, "n_warm_up": 4, "n_hold": 1}),
    "training.embed_in_shards": (
        lambda array: training.embed_in_shards(np.asarray, array),
        lambda rng: {"array": rows(rng)},
    ),
    "two_towers.TwoTower(forward, images, texts)": (
        seeded(towers_of),
        lambda rng: {
            "images": torch.rand(3, 6),
            "texts": torch.rand(3, 5),
            "dimension": 4,
            "hidden": 4,
            "image_layers": 1,
            "text_layers": 2,
            "dropout": 0.0,
        },
    ),
    "weights.digest_state": (
        lambda weight: weights.digest_state({"weight": weight}),
        lambda rng: {"weight": torch.ones(2, 3)},
    ),
    "weights.fit": (fitted, lambda rng: {"weight": torch.ones(2, 3)}),
    "weights.read_state": (read, lambda rng: {"path": "line.pth"}),
}


@functools.cache
def shared_space_of_rows():
    return shared_space.autoencoder(rows(np.random.default_rng(0)), 2)
