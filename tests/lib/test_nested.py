"""Nested training, its batches from disk, and the script of notebook 11 that trains on ImageNet with torchrun."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from lib import nested, networks, training

ROOT = Path(__file__).resolve().parents[2]
TREE = {
    "class": ["thing", "animal", "dog", "collie", "beagle", "truck"],
    "parent": ["", "thing", "animal", "dog", "dog", "thing"],
}


def photos(n=48, n_classes=4, size=4, seed=0, noise=120):
    """Each class is a bright row of its own, in noise."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % n_classes
    images = rng.integers(0, noise, (n, size, size, 3)).astype(np.uint8)
    for row, number in enumerate(classes):
        images[row, number] = 230
    return images, classes


def model(sizes=(2, 8), n_classes=4, shared=False, seed=0):
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Flatten(), nn.Linear(48, sizes[-1]))
    return nested.Nested(body, networks.NestedHead(sizes, n_classes, shared))


def batches(size=16, **options):
    return training.Batches(photos(), size, transform=lambda x, y, rng: (x.float() / 255, y), **options)


def settings(**other):
    return nested.NestedSettings(**{"epochs": 4, "rate": 0.01, **other})


def weights_of(model):
    return torch.cat([each.detach().flatten() for each in model.parameters()])


# ------------------------------------------------------------------------------------------------------------- training


def test_with_one_size_it_is_the_ordinary_training():
    ours, theirs, numbers = model((8,)), model((8,)), settings(weight_decay=0.0, clip_norm=1e9)
    nested.train_nested(ours, batches(), numbers)
    optimiser, data = torch.optim.AdamW(theirs.parameters(), lr=numbers.rate, weight_decay=0.0), batches()
    n_steps = 3 * numbers.epochs  # 48 photos, 16 a batch
    for epoch in range(numbers.epochs):
        data.set_epoch(epoch)
        for number, (x, y) in enumerate(data):
            step = 3 * epoch + number
            falling = 0.5 * (1 + np.cos(np.pi * (step - 3) / (n_steps - 3)))
            optimiser.param_groups[0]["lr"] = numbers.rate * ((step + 1) / 3 if step < 3 else falling)
            optimiser.zero_grad()
            functional.cross_entropy(theirs(x)[0], y).backward()
            optimiser.step()
    torch.testing.assert_close(weights_of(ours), weights_of(theirs), rtol=1e-4, atol=1e-6)


def test_the_loss_is_the_weighted_mean_of_the_sizes():
    network, (x, y) = model(), next(iter(batches(size=48, shuffle=False)))
    small, large = (functional.cross_entropy(logits, y).item() for logits in network(x))
    for weights, expected in ((None, (small + large) / 2), ([3, 1], (3 * small + large) / 4)):
        history = nested.train_nested(copy.deepcopy(network), [(x, y)], settings(epochs=1), weights=weights)
        assert history.loss[0] == pytest.approx(expected, rel=1e-5)


def test_only_the_ratio_of_weights_counts():
    one, other = model(), model()
    nested.train_nested(one, batches(), settings(), weights=[1, 2])
    nested.train_nested(other, batches(), settings(), weights=[10, 20])
    torch.testing.assert_close(weights_of(one), weights_of(other))


def test_a_size_of_weight_0_learns_nothing():
    network = model()
    before = copy.deepcopy(network.head.classifiers)
    nested.train_nested(network, batches(), settings(weight_decay=0.0), weights=[0, 1])
    assert torch.equal(network.head.classifiers[0].weight, before[0].weight)
    assert not torch.equal(network.head.classifiers[1].weight, before[1].weight)


def class_share(rows, classes):
    """Of the first two coordinates: the variance between the classes' means over the variance."""
    means = np.stack([rows[classes == each].mean(0) for each in range(4)])[classes]
    return np.mean(means.var(0) / rows.var(0))


@pytest.mark.parametrize("shared", [False, True])
def test_nesting_makes_the_first_coordinates_say_more_about_classes_than_ordinary_training_does(shared):
    share, (images, classes) = {}, photos(400, noise=240, seed=1)
    data = training.Batches(photos(400, noise=240), 40, transform=lambda x, y, rng: (x.float() / 255, y))
    for way, weights in (("nested", None), ("ordinary", [0, 1])):
        network = model((2, 32), shared=shared)
        nested.train_nested(network, data, settings(epochs=15), weights=weights)
        embeddings = network.body(torch.from_numpy(images).float() / 255).detach().numpy()
        share[way] = class_share(embeddings[:, :2], classes)
    assert share["nested"] > share["ordinary"] + 0.01


@pytest.mark.parametrize("weights", [[-1, 2], [0, 0], [float("nan"), 1], [1, float("inf")]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be finite"):
        nested.train_nested(model(), batches(), settings(), weights=weights)


def test_another_number_of_weights_than_of_sizes_is_refused():
    with pytest.raises(ValueError, match="expected 2 weights, one for each size, got 3"):
        nested.train_nested(model(), batches(), settings(), weights=[1, 1, 1])


def test_a_training_that_was_stopped_goes_on_to_the_same_numbers(tmp_path):
    whole, parts = model(), model()
    nested.train_nested(whole, batches(), settings())

    class Stopped(Exception):
        pass

    seen = []

    def validate(_):
        seen.append(1)
        if len(seen) == 3:
            raise Stopped
        return {}

    path = tmp_path / "unfinished.pt"
    with pytest.raises(Stopped):
        nested.train_nested(parts, batches(), settings(), validate=validate, checkpoint=path)
    parts = model(seed=1)
    history = nested.train_nested(parts, batches(), settings(), checkpoint=path)
    assert len(history) == 4
    torch.testing.assert_close(weights_of(parts), weights_of(whole))


# ------------------------------------------------------------------------------------------------------------ from disk


def both_kinds(monkeypatch, rank, world, n=23, size=6):
    """The batches of `Streamed` and of `training.Batches`, over the same photos, as process `rank` of `world`."""
    images, classes = photos(n)

    def noisy(x, y, rng):
        return x.float() + torch.from_numpy(rng.normal(size=(len(x), 1, 1, 1))), y

    monkeypatch.setattr(training, "rank_and_world", lambda: (rank, world))
    streamed = nested.Streamed(lambda rows: images[rows], classes, size, noisy, seed=3)
    return streamed, training.Batches([images, classes], size, drop_last=True, transform=noisy, seed=3)


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (0, 2), (1, 2), (2, 3)])
def test_photos_from_disk_come_in_the_batches_of_photos_in_memory(monkeypatch, rank, world):
    streamed, in_memory = both_kinds(monkeypatch, rank, world)
    assert len(streamed) == len(in_memory) == 3  # 23 photos, 6 a batch
    for epoch in (0, 1):
        streamed.set_epoch(epoch)
        in_memory.set_epoch(epoch)
        pairs = list(zip(streamed, in_memory, strict=True))
        assert len(pairs) == 3
        for ours, theirs in pairs:
            assert len(ours[1]) == 6 // world
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])


def test_epochs_differ_in_order(monkeypatch):
    streamed, _ = both_kinds(monkeypatch, 0, 1)
    first = torch.cat([x for x, _ in streamed])
    streamed.set_epoch(1)
    assert not torch.equal(first, torch.cat([x for x, _ in streamed]))


def test_a_photo_that_cannot_be_read_stops_the_training():
    def read(rows):
        raise ValueError("photo 7 is broken")

    with pytest.raises(ValueError, match="photo 7 is broken"):
        list(nested.Streamed(read, np.arange(9), 3))


@pytest.mark.parametrize("size", [0, 10])
def test_a_batch_of_no_photo_or_of_more_than_there_are_is_refused(size):
    with pytest.raises(ValueError, match=f"from 1 to 9 .* got {size}"):
        nested.Streamed(lambda rows: rows, np.arange(9), size)


# ------------------------------------------------------------------------------------------------- scores, groups, time


def test_scores_are_those_of_the_head_however_many_rows_at_a_time():
    head, rows = networks.NestedHead((2, 5), 3), np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    with torch.no_grad():
        expected = [logits.numpy() for logits in head(torch.from_numpy(rows))]
    for batch_size in (2, 7, 100):
        for ours, theirs in zip(nested.class_scores(head, rows, batch_size), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0, ["thing", "thing", "thing"]),
        (1, ["animal", "animal", "truck"]),
        (2, ["dog", "dog", "truck"]),
        (3, ["collie", "beagle", "truck"]),
        (9, ["collie", "beagle", "truck"]),
    ],
)
def test_groups_are_the_ancestors_so_many_steps_below_the_root(level, expected):
    assert nested.groups_at(TREE, ["collie", "beagle", "truck"], level).tolist() == expected


@pytest.mark.parametrize("root", [None, float("nan"), "thing"])
def test_a_root_has_no_parent_or_itself(root):
    tree = {**TREE, "parent": [root, *TREE["parent"][1:]]}
    assert nested.groups_at(tree, ["beagle"], 1).tolist() == ["animal"]


def test_classes_and_trees_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"expected a class of the tree \(6 classes\), got 'cat'"):
        nested.groups_at(TREE, ["beagle", "cat"], 1)
    with pytest.raises(ValueError, match=r"level must be an integer from 0 .*got -1"):
        nested.groups_at(TREE, ["beagle"], -1)
    with pytest.raises(ValueError, match="own ancestor"):
        nested.groups_at({"class": ["a", "b"], "parent": ["b", "a"]}, ["a"], 1)


class Watched(nn.Module):
    """Notes who takes a step; a step of it takes so many ticks of the clock."""

    def __init__(self, name, ticks, log):
        super().__init__()
        self.linear, self.name, self.ticks, self.log = nn.Linear(2, 2), name, ticks, log

    def forward(self, x):
        self.log.append(self.name)
        self.clock.now += self.ticks
        return [self.linear(x)]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_steps_are_timed_in_turns_after_the_warm_up():
    log, clock = [], Clock()
    models = {name: Watched(name, ticks, log) for name, ticks in (("plain", 2), ("nested", 3))}
    Watched.clock = clock
    before = copy.deepcopy(models["plain"].linear.weight)
    batch = torch.ones(4, 2), torch.tensor([0, 1, 0, 1])
    table = nested.step_seconds(models, batch, settings(), n_rounds=3, n_warm_up=1, clock=clock)
    assert table.to_dict("list") == {"plain": [2, 2, 2], "nested": [3, 3, 3]}
    assert log == ["plain", "nested", "nested", "plain"] * 2  # every second round in the other order
    assert not torch.equal(models["plain"].linear.weight, before)  # whole steps
    with pytest.raises(ValueError, match="n_rounds must be at least 1, got 0"):
        nested.step_seconds(models, batch, settings(), n_rounds=0, clock=clock)


# ------------------------------------------------------------------------------------------------- the script, torchrun


@pytest.mark.slow
@pytest.mark.end_to_end
def test_the_script_for_imagenet_trains_in_two_processes_and_goes_on(tmp_path):
    page = nbformat.read(ROOT / "notebooks" / "11_matryoshka_training.ipynb", as_version=4)
    (script,) = re.findall(r"```python\n(.*?)```", page.cells[-1].source, re.DOTALL)
    for large, small in (("resnet50", "resnet18"), (", 512, 1024, 2048)", ", 512)")):  # minutes become seconds
        assert large in script
        script = script.replace(large, small)
    (tmp_path / "nested_imagenet.py").write_text(script)
    images, classes = photos(16, n_classes=2, size=32)
    for number, (image, each) in enumerate(zip(images, classes, strict=True)):
        place = tmp_path / "photos" / "train" / f"class{each}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for _ in range(2):  # the second time all is done already
        run = [*torchrun, "nested_imagenet.py", "./photos", "32", "1", "8"]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    weights = safetensors.torch.load_file(tmp_path / "nested.safetensors")
    assert weights["head.classifiers.0.weight"].shape == (2, 8)
    assert (tmp_path / "nested.pt").is_file()
