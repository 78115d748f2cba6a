"""The recipe of the project's own network: its crops, batches and measures, and a tiny run from teacher to card."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors
import torch
import torchvision
from PIL import Image

from lib import course, losses, networks, pretraining, training

BACKBONES = Path(__file__).resolve().parent.parent / "data" / "backbones"


def photos(n=12, side=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def some_views(n=12, n_views=2, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    features = [rng.normal(size=(n, 5)).astype(np.float16) for _ in range(n_views)]
    soft = [rng.dirichlet(np.ones(n_classes), n).astype(np.float16) for _ in range(n_views)]
    views = [photos(n, seed=view) for view in range(n_views)]
    return views, features, soft, np.arange(n) % n_classes, np.zeros(5, np.float32), np.ones(5, np.float32)


# ---------------------------------------------------------------------------------------------------------------- crops


def test_a_crop_of_a_ramp_is_a_flatter_ramp():
    ramp = np.repeat(np.linspace(20, 230, 64).round().astype(np.uint8)[None, None, :, None], 3, axis=3)
    ramp = np.repeat(np.repeat(ramp, 64, axis=1), 20, axis=0)
    views = pretraining.crops(ramp, np.random.default_rng(0)).astype(int)
    rise = views[:, 32, -1, 0] - views[:, 32, 0, 0]
    # the width of a crop of 0.35 of the area and aspect 3/4 is the square root of their product
    assert rise.min() >= np.sqrt(0.35 * 3 / 4) * 210 - 5
    assert rise.max() <= 212
    assert len(set(rise.tolist())) > 5
    assert np.abs(np.diff(views, axis=1)).max() <= 1  # the rows of an image stay alike


def test_crops_are_fixed_by_the_generator_and_leave_the_images_alone():
    images = photos()
    before = images.copy()
    first, again, other = (pretraining.crops(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("smallest", [0, 1.2])
def test_a_share_of_the_area_that_is_none_is_refused(smallest):
    with pytest.raises(ValueError, match=f"got {smallest}"):
        pretraining.crops(photos(), np.random.default_rng(0), smallest)


# -------------------------------------------------------------------------------------------------------------- batches


def test_an_epoch_is_fixed_by_seed_and_number():
    batches = pretraining.Views(*some_views(), pretraining.Settings(n_small=0, batch_size=4))
    epochs = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        epochs.append(torch.cat([x for x, _, _ in batches]))
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])


def test_two_processes_see_together_what_one_sees():
    settings = pretraining.Settings(batch_size=12)
    (whole,) = pretraining.Views(*some_views(), settings)
    parts = []
    for rank in range(2):
        batches = pretraining.Views(*some_views(), settings)
        batches.rank, batches.world = rank, 2
        parts.extend(batches)
    for of_one, of_first, of_second in zip(whole, *parts, strict=True):
        assert torch.equal(of_one[0::2], of_first)
        assert torch.equal(of_one[1::2], of_second)


def test_targets_are_half_the_class_and_half_the_teacher():
    views, features, soft, labels, centre, spread = some_views(n=3, n_views=1)
    soft = [np.array([[0.5, 0.5, 0], [0, 0, 1], [0.25, 0.25, 0.5]], np.float16)]
    settings = pretraining.Settings(batch_size=3)
    (batch,) = pretraining.Views(views, features, soft, labels, centre, spread, settings)
    expected = [[0.75, 0.25, 0], [0, 0.5, 0.5], [0.125, 0.125, 0.75]]
    assert sorted(batch[1].tolist()) == sorted(expected)
    assert torch.allclose(batch[2].norm(dim=1), torch.ones(3))


def test_the_first_epochs_are_small_and_the_later_ones_whole():
    batches = pretraining.Views(*some_views(), pretraining.Settings(n_small=1, small_side=48, batch_size=4))
    sides = []
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        sides.append({x.shape[1:] for x, _, _ in batches})
    assert sides == [{(3, 48, 48)}, {(3, 64, 64)}]


def test_shifts_move_an_image_by_so_many_pixels():
    images = photos(3, side=16)
    moved = pretraining._shifted(images, np.array([[4, 4], [6, 4], [4, 1]]))
    assert np.array_equal(moved[0], images[0])
    assert np.array_equal(moved[1, :-2], images[1, 2:])
    assert np.array_equal(moved[2, :, 3:], images[2, :, :-3])


# ------------------------------------------------------------------------------------------------------- what it learns


def test_soft_labels_know_classes_that_a_line_can_part():
    rng, labels = np.random.default_rng(0), np.arange(600) % 3
    features = [(np.eye(3)[labels] * 4 + rng.normal(size=(600, 3))).astype(np.float16) for _ in range(2)]
    soft, centre, spread = pretraining.soft_labels(features, labels, epochs=60, batch=20)
    for each in soft:
        assert (each.argmax(1) == labels).mean() > 0.95
        assert each.sum(1) == pytest.approx(np.ones(600), abs=2e-3)
    assert centre == pytest.approx(features[0].astype(np.float32).mean(0), abs=1e-5)
    assert spread == pytest.approx(features[0].astype(np.float32).std(0), abs=1e-4)


def test_nearest_neighbour_accuracy_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    gallery, queries = rng.normal(size=(40, 6)), rng.normal(size=(30, 6))
    gallery_labels, query_labels = rng.integers(3, size=40), rng.integers(3, size=30)
    found = pretraining.nearest_neighbour_accuracy(gallery, gallery_labels, queries, query_labels, (2, 6))
    for size, accuracy in zip(found.coordinates, found.accuracy, strict=True):
        right = 0
        for query, label in zip(queries[:, :size], query_labels, strict=True):
            cosines = [query @ row / np.linalg.norm(query) / np.linalg.norm(row) for row in gallery[:, :size]]
            right += gallery_labels[np.argmax(cosines)] == label
        assert accuracy == pytest.approx(right / 30)
    assert found.n.tolist() == [30, 30]


def test_a_row_left_out_is_not_its_own_neighbour():
    rows, labels = np.array([[1, 0], [1, 0.1], [0, 1]]), np.array([5, 5, 6])
    alone = pretraining.nearest_neighbour_accuracy(rows, labels, rows, labels, leave_self_out=True)
    assert alone.accuracy.item() == pytest.approx(2 / 3)
    assert pretraining.nearest_neighbour_accuracy(rows, labels, rows, labels).accuracy.item() == 1.0


def test_the_interval_is_wilsons():
    rows = np.eye(4)
    found = pretraining.nearest_neighbour_accuracy(rows, np.arange(4), rows, np.arange(4))
    z = 1.959964  # all four right: from n / (n + z^2) to 1
    assert found[["low", "high"]].to_numpy()[0] == pytest.approx([4 / (4 + z * z), 1.0])


# ---------------------------------------------------------------------------------------------------------- a whole run


# ------------------------------------------------------------------------------------------------ whitening of classes


def some_classes(n=600, d=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=(3, d))[labels]
    torch.manual_seed(seed)
    layer = torch.nn.Linear(d, d)
    return layer, torch.from_numpy(x).float(), labels


def within_covariance(rows, labels):
    rows = rows.astype(np.float64)
    return sum(np.cov(rows[labels == each].T, bias=True) * (labels == each).mean() for each in np.unique(labels))


def test_whitened_classes_spread_alike_in_all_directions():
    layer, x, labels = some_classes()
    with torch.no_grad():
        whitened = pretraining.whiten_within_classes(layer, layer(x).numpy(), labels, shrinkage=0)
        rows = whitened(x).numpy()
    covariance = within_covariance(rows, labels)
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(6), atol=2e-3)
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.square(rows).sum(1).mean(), 1, rtol=1e-4)


def test_whitening_keeps_a_nested_embedding_nested():
    layer, x, labels = some_classes()
    with torch.no_grad():
        z = layer(x).numpy()
        whole = pretraining.whiten_within_classes(layer, z, labels, shrinkage=0)(x).numpy()
        first = torch.nn.Linear(6, 2)
        first.weight.data, first.bias.data = layer.weight[:2].clone(), layer.bias[:2].clone()
        alone = pretraining.whiten_within_classes(first, z[:, :2], labels, shrinkage=0)(x).numpy()
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (whole[:, :2], alone)]
    np.testing.assert_allclose(unit[0], unit[1], atol=1e-4)


def test_whitening_finds_classes_that_loud_directions_hide():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    x = np.hstack([rng.normal(size=(400, 4)) * 20, np.eye(4)[labels] + 0.1 * rng.normal(size=(400, 4))])
    layer = torch.nn.Linear(8, 8, bias=False)
    layer.weight.data = torch.eye(8)
    with torch.no_grad():
        rows = pretraining.whiten_within_classes(layer, x, labels, shrinkage=0)(torch.from_numpy(x).float()).numpy()
    accuracy = [
        pretraining.nearest_neighbour_accuracy(each, labels, each, labels, leave_self_out=True).accuracy[0]
        for each in (x, rows)
    ]
    assert accuracy[0] < 0.6 < 0.9 < accuracy[1]


@pytest.mark.parametrize(
    ("shape", "shrinkage", "message"), [((5, 6), 0.1, r"\(5, 6\).*\(600, 6\)"), ((600, 6), -1, "got -1")]
)
def test_whitening_refuses_what_does_not_fit(shape, shrinkage, message):
    layer, _, labels = some_classes()
    with pytest.raises(ValueError, match=message):
        pretraining.whiten_within_classes(layer, np.ones(shape), labels, shrinkage)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2.pth"
    network = torchvision.models.mobilenet_v2(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # statistics of the next batch, so that untrained features differ from image to image
    with torch.no_grad():
        network(torch.randn(8, 3, 64, 64))
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def run(teacher, tmp_path_factory):
    """Eight photos, an epoch at 48 px and one whole; once at a stretch, once stopped after the first."""
    data, labels = photos(8), np.array(list("abcdabcd"))
    settings = pretraining.Settings(n_small=1, n_full=1, n_views=2, teacher_side=32, batch_size=4)
    modules = (networks, losses, training)
    whole = pretraining.pretrain((data, labels), teacher, tmp_path_factory.mktemp("whole"), *modules, settings)
    folder = tmp_path_factory.mktemp("stopped")

    class Stopping:
        warm_up_cosine = staticmethod(training.warm_up_cosine)

        @staticmethod
        def fit(student, step, batches, optimiser, epochs, **more):
            return training.fit(student, step, batches, optimiser, 1, **more)

    pretraining.pretrain((data, labels), teacher, folder, networks, losses, Stopping, settings)
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    resumed = pretraining.pretrain((data, labels), teacher, folder, *modules, settings)
    assert stamps == {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    return data, labels, folder, settings, whole, resumed


def test_a_stopped_run_goes_on_to_the_same_weights(run):
    *_, (whole, _), (resumed, history) = run
    assert history.epoch.tolist() == [1, 2]
    for name, each in whole.state_dict().items():
        assert torch.equal(each, resumed.state_dict()[name]), name


def test_views_of_other_photos_are_refused(run, teacher):
    data, labels, folder, settings, *_ = run
    with pytest.raises(ValueError, match="views of other photos"):
        pretraining.pretrain((255 - data, labels), teacher, folder, networks, losses, training, settings)


def test_publishing_writes_weights_that_load_and_a_card_with_their_digest(run, teacher, tmp_path):
    data, labels, _, settings, _, (network, history) = run
    photographs = (data, labels)
    describe = {
        "mean colour": lambda images: images.mean((1, 2)),
        "teacher": lambda images: pretraining.mobilenet_features(images, teacher, side=32),
    }
    accuracy = pretraining.publish(
        network, photographs, photographs, teacher, describe, tmp_path, history, settings, "a test"
    )
    path = tmp_path / "course.safetensors"
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
        kinds = {name: file.get_tensor(name).dtype for name in file.keys()}
    again = networks.NestedResNet(**json.loads(about["config"]))
    again.load_state_dict(safetensors.torch.load_file(path))
    assert {kind for name, kind in kinds.items() if "num_batches" not in name} == {torch.float16}
    assert json.loads(about["mean"]) == pytest.approx(pretraining.MEAN)
    card = (tmp_path / "course.md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert "{" not in card.replace(about["config"], "")  # every blank is filled
    # each photo finds itself in the gallery, which holds it too
    assert (accuracy[accuracy.protocol == "train gallery"].accuracy == 1).all()
    assert accuracy.groupby("method").size().to_dict() == {"this network": 14, "mean colour": 2, "teacher": 2}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["course.md", "course.safetensors"]


# --------------------------------------------------------------------------------------------------- the command line


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A collection named tiny-imagenet-100 of two classes, three photos a split, in $RETRIEVAL_DATA."""
    for split in ("train", "validation"):
        for name in ("n01", "n02"):
            place = tmp_path / "collections" / "tiny-imagenet-100" / split / name
            place.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (64, 64), (number * 40, 0, 0)).save(place / f"{number}.png")
    monkeypatch.setenv("RETRIEVAL_DATA", str(tmp_path / "collections"))
    monkeypatch.delenv("RETRIEVAL_WEIGHTS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def test_the_command_trains_on_the_collection_and_publishes_what_it_trained(tiny, monkeypatch, capsys):
    teacher, told = tiny / "mobilenet_v2.pth", {}
    teacher.write_bytes(b"weights")

    def pretrain(train, weights, folder, *modules):
        told["pretrain"] = train[0].shape, sorted(set(train[1])), weights, folder, modules
        return "network", "history"

    def publish(network, train, validation, weights, describe, folder, history):
        told["publish"] = network, validation[0].shape, weights, sorted(describe), folder, history
        return pd.DataFrame({"accuracy": [0.51234]})

    monkeypatch.setattr(pretraining, "pretrain", pretrain)
    monkeypatch.setattr(pretraining, "publish", publish)
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", str(tiny))
    assert course.main(["pretrain", "--work", str(tiny / "work"), "--out", str(tiny / "out")]) == 0
    modules = (networks, losses, training)
    assert told["pretrain"] == ((6, 64, 64, 3), ["n01", "n02"], teacher, tiny / "work", modules)
    compared = ["HOG", "teacher (mobilenet_v2)"]
    assert told["publish"] == ("network", (6, 64, 64, 3), teacher, compared, tiny / "out", "history")
    assert "0.512" in capsys.readouterr().out


def test_the_command_says_what_is_missing(tiny, monkeypatch, capsys):
    assert course.main(["pretrain", "--teacher", str(tiny / "none.pth")]) == 2
    assert "--teacher" in capsys.readouterr().err
    (tiny / "some.pth").write_bytes(b"")
    monkeypatch.setenv("RETRIEVAL_DATA", str(tiny / "elsewhere"))
    monkeypatch.chdir(tiny)
    assert course.main(["pretrain", "--teacher", str(tiny / "some.pth")]) == 2
    assert "tiny-imagenet-100" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------- the real weights


def test_the_weights_are_those_of_the_card_and_small():
    content = (BACKBONES / "course.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() in (BACKBONES / "course.md").read_text()
    assert len(content) <= 24e6


def test_the_real_weights_find_the_class_of_unseen_photos():
    folder = next((Path(each) for each in os.environ.get("RETRIEVAL_DATA", "").split(os.pathsep) if each), None)
    if folder is None or not (folder / "tiny-imagenet-100").exists():
        pytest.skip("tiny-imagenet-100 is not in $RETRIEVAL_DATA")
    from lib import datasets

    validation = datasets.load("tiny-imagenet-100", "validation")
    rows = np.arange(0, len(validation), 5)  # ten of each class
    validation = validation.subset(rows)
    labels = validation.table["label"].to_numpy()
    with safetensors.safe_open(BACKBONES / "course.safetensors", "pt") as file:
        network = networks.NestedResNet(**json.loads(file.metadata()["config"])).eval()
    network.load_state_dict(safetensors.torch.load_file(BACKBONES / "course.safetensors"))
    embeddings = pretraining._embed(network, validation.images(64, progress=False))
    found = pretraining.nearest_neighbour_accuracy(embeddings, labels, embeddings, labels, (16, 512), True)
    chance = 9 / 999
    assert found.accuracy.min() > 10 * chance  # among ten of each class; the card has the figures for all
