"""The tasks and what a network learns from them; and that notebooks 04 and 05 train the same."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.transforms import v2

from lib import metrics, relevance, supervision

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def photos(n=96, size=12, seed=0, tint=1):
    """Each of three labels is a bar of its own colour in its place; each picture has a tint of its own."""
    rng = np.random.default_rng(seed)
    label_sets = rng.random((n, 3)) < 0.5
    images = rng.integers(0, 60, (n, size, size, 3)).astype(np.uint8)
    images += rng.integers(0, tint, (n, 1, 1, 3)).astype(np.uint8)
    for row, column in np.argwhere(label_sets):
        images[row, 4 * column : 4 * column + 3, :, column] = 230
    return supervision.Photos(images, label_sets)


def network(n_outputs, seed=0, **options):
    torch.manual_seed(seed)
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten()
    )
    return supervision.Supervised(body, 72, n_outputs, **options)


def settings(**other):
    return supervision.TaskSettings(**{"epochs": 12, "batch_size": 16, "rate": 0.01, "patience": 20, **other})


def triplets(**other):
    return supervision.Triplets(**{"dimension": 8, **other})


# ---------------------------------------------------------------------------------------------------------------- tasks


def test_the_loss_of_labels_is_torchs_of_the_sigmoid():
    logits, truth = torch.randn(5, 3), torch.rand(5, 3) > 0.5
    expected = functional.binary_cross_entropy(torch.sigmoid(logits), truth.float())
    assert torch.allclose(supervision.Labels(3).loss(logits, truth, 0), expected)


def test_similar_rows_always_share_more_than_different_ones():
    rng = np.random.default_rng(0)
    for n_labels in (1, 3, 8):
        sets = rng.random((40, n_labels)) < 0.4
        overlap = relevance.label_iou(sets, sets, np.tile(np.arange(40), (40, 1)))
        similar, different = (each.numpy() for each in supervision.similar_and_different(torch.from_numpy(sets)))
        assert not (similar & different).any() and not np.diag(similar | different).any()
        for row in np.flatnonzero(similar.any(1) & different.any(1)):
            assert overlap[row, similar[row]].min() > overlap[row, different[row]].max()
    assert similar.any(1).mean() > 0.9 and different.any(1).mean() > 0.9


def test_where_all_overlap_alike_nobody_is_similar():
    similar, different = supervision.similar_and_different(torch.ones(6, 2, dtype=torch.bool))
    assert not similar.any() and not different.any()


@pytest.mark.parametrize("n", [1, 2])
def test_two_rows_make_no_triple(n):
    similar, different = supervision.similar_and_different(torch.ones(n, 2, dtype=torch.bool))
    assert similar.shape == (n, n) and not similar.any() and not different.any()


def test_the_margin_grows_while_training_and_is_the_last_one_for_held_out_photos():
    task = triplets(start=0.5, margin=2.0, growing=4)
    label_sets = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=torch.bool)
    at_one_point = torch.zeros(4, 8)  # every triple costs exactly the margin
    assert [task.loss(at_one_point, label_sets, epoch).item() for epoch in (0, 3, 9, None)] == [0.5, 2.0, 2.0, 2.0]


def test_turns_are_torchvisions():
    x, n_turns = torch.rand(4, 3, 6, 6), torch.arange(4)
    for image, ours, n in zip(x, supervision.turned(x, n_turns), n_turns, strict=True):
        assert torch.allclose(ours, v2.functional.rotate(image, 90.0 * int(n)), atol=1e-6)


def test_rotation_shows_each_turn_and_says_which():
    x = torch.rand(64, 3, 6, 6)
    shown, n_turns = supervision.Rotation(augment=False).batch(x, None, np.random.default_rng(0))
    assert set(n_turns.tolist()) == {0, 1, 2, 3}
    assert torch.equal(shown, supervision.turned(x, n_turns))


def test_crops_lie_inside_and_half_of_them_are_mirrored():
    ramp = torch.linspace(0, 1, 32).expand(200, 3, 32, 32)
    cropped = supervision.crop_and_flip(ramp, np.random.default_rng(0), smallest=0.5)
    assert cropped.min() >= 0 and cropped.max() <= 1
    rises = (cropped[:, 0, 0, -1] > cropped[:, 0, 0, 0]).float().mean()
    assert 0.4 < rises < 0.6
    span = (cropped[:, 0, 0].amax(1) - cropped[:, 0, 0].amin(1)).numpy()
    assert span.min() < 0.6 and span.max() > 0.9


# ------------------------------------------------------------------------------------------------------------- training


def test_labels_are_learned():
    taught = network(3)
    history = supervision.train_task(supervision.Labels(3), taught, photos(), photos(seed=1), settings())
    probabilities = supervision.label_probabilities(taught, photos(seed=2).images)
    assert history.validation_loss.iloc[-1] < 0.5 * history.validation_loss.iloc[0]
    assert metrics.threshold_by_f1(probabilities, photos(seed=2).label_sets)[1] > 0.9


def test_triplets_put_the_one_that_shares_more_nearer():
    taught, (some, held_out, other) = network(8), (photos(seed=seed, tint=190) for seed in range(3))
    overlap = relevance.label_iou(other.label_sets, other.label_sets, np.tile(np.arange(96), (96, 1)))

    def share_in_order():
        """Of triples whose overlaps differ by 0.4 or more: how often the nearer one shares more."""
        rows = supervision.embed_photos(taught, other.images, "head")
        distances = np.linalg.norm(rows[:, None] - rows, axis=2)
        a, b, c = np.random.default_rng(0).integers(0, 96, (3, 5000))
        clear = (overlap[a, b] > overlap[a, c] + 0.4) & (a != b) & (a != c)
        return (distances[a, b] < distances[a, c])[clear].mean()

    before = share_in_order()
    supervision.train_task(triplets(), taught, some, held_out, settings())
    assert share_in_order() > before + 0.5 * (1 - before)


def test_rotations_are_learned_without_looking_at_labels():
    some, held_out = photos(), photos(seed=1)
    none = [supervision.Photos(each.images, each.label_sets & False) for each in (some, held_out)]
    a, b = network(4), network(4)
    history = supervision.train_task(supervision.Rotation(), a, some, held_out, settings())
    again = supervision.train_task(supervision.Rotation(), b, *none, settings())
    assert history.validation_accuracy.max() > 0.5  # chance 0.25
    assert history.loss.tolist() == again.loss.tolist()


def test_fixed_statistics_stay_and_the_weights_learn():
    taught = network(3, fixed_statistics=True)
    mean, weight = taught.body[1].running_mean.clone(), taught.body[0].weight.clone()
    supervision.train_task(supervision.Labels(3), taught, photos(), photos(seed=1), settings(epochs=1))
    assert torch.equal(taught.body[1].running_mean, mean) and not torch.equal(taught.body[0].weight, weight)
    moving = network(3)
    supervision.train_task(supervision.Labels(3), moving, photos(), photos(seed=1), settings(epochs=1))
    assert not torch.equal(moving.body[1].running_mean, mean)


def test_embedding_leaves_the_network_as_it_was_and_gives_body_or_head():
    taught, some = network(3).train(), photos()
    before = copy.deepcopy(taught.state_dict())
    body, head = (
        supervision.embed_photos(taught, some.images),
        supervision.embed_photos(taught, some.images, "head", batch_size=7),
    )
    assert body.shape == (96, 72) and head.shape == (96, 3) and body.flags.c_contiguous
    np.testing.assert_allclose(head, taught.head(torch.from_numpy(body)).detach().numpy(), atol=1e-5)
    assert taught.training and all(torch.equal(each, before[name]) for name, each in taught.state_dict().items())
    with pytest.raises(ValueError, match="embeds must be 'body' or 'head', got 'tail'"):
        supervision.embed_photos(taught, some.images, "tail")
    with pytest.raises(ValueError, match="expected at least one image, got none"):
        supervision.embed_photos(taught, some.images[:0])


# ------------------------------------------------------------------------------------------------------------ notebooks


def test_the_head_lies_where_the_body_lies():
    on_meta = supervision.Supervised(nn.Linear(3, 4, device="meta"), 4, n_outputs=2)
    assert on_meta.head.weight.device.type == "meta"  # stands for a GPU
    assert supervision.Supervised(nn.Linear(3, 4), 4, n_outputs=2).head.weight.device.type == "cpu"
