"""The small networks: what comes out for what goes in, and the heads against each other and against plain algebra."""

import pytest
import torch
from torch.nn import functional

from lib.losses import nested_loss
from lib.networks import EmbeddingHead, NestedHead, NestedResNet, SmallNetwork

SMALL = {"stem": 4, "widths": [8, 16], "blocks": [1, 2], "dimension": 12}


def embeddings(n=5, d=8):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


# ------------------------------------------------------------------------------------------------------------- backbone


@pytest.mark.parametrize("side", [32, 48, 64, 75])
def test_photos_of_any_side_become_one_row_each(side):
    assert NestedResNet(**SMALL)(torch.zeros(3, 3, side, side)).shape == (3, 12)


def test_the_maps_halve_once_at_the_stem_and_once_a_stage():
    network = NestedResNet().eval()
    sides, x = [], torch.zeros(1, 3, 64, 64)
    for part in (network.stem, *network.stages):
        x = part(x)
        sides.append((x.shape[1], x.shape[2]))
    widths = network.config["widths"]
    assert sides == [(network.config["stem"], 32), (widths[0], 16), (widths[1], 8), (widths[2], 4)]


def test_its_config_rebuilds_it():
    torch.manual_seed(0)
    network = NestedResNet(**SMALL).eval()
    again = NestedResNet(**network.config).eval()
    again.load_state_dict(network.state_dict())
    photos = torch.randn(2, 3, 32, 32)
    assert network.config == SMALL
    assert torch.equal(network(photos), again(photos))


def test_a_block_without_its_convolutions_is_the_short_cut():
    network = NestedResNet(**SMALL).eval()
    block = network.stages[1][1]  # same width, no stride: the short cut is the identity
    torch.nn.init.zeros_(block.convolutions[-1].weight)
    x = torch.rand(2, 16, 4, 4)
    assert torch.equal(block(x), x)


def test_the_default_network_is_small():
    n_parameters = sum(parameter.numel() for parameter in NestedResNet().parameters())
    assert 2 * n_parameters <= 12e6  # bytes as float16


def test_widths_without_blocks_are_refused():
    with pytest.raises(ValueError, match=r"widths \[8, 16\] and blocks \[1\]"):
        NestedResNet(widths=[8, 16], blocks=[1])


# ----------------------------------------------------------------------------------------------------------------- head


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("scale", [None, 16.0])
def test_a_size_sees_only_its_first_coordinates(shared, scale):
    head = NestedHead((2, 5, 8), 3, shared, scale)
    whole = embeddings()
    changed = whole.clone()
    changed[:, 5:] += 1
    before, after = head(whole), head(changed)
    assert [logits.shape for logits in before] == 3 * [(5, 3)]
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert not torch.allclose(before[2], after[2])


def test_a_classifier_of_its_own_is_a_linear_map_of_the_first_coordinates():
    head, rows = NestedHead((2, 8), 3), embeddings()
    for classifier, size, logits in zip(head.classifiers, (2, 8), head(rows), strict=True):
        assert torch.allclose(logits, rows[:, :size] @ classifier.weight.T + classifier.bias)


def test_a_shared_classifier_uses_its_first_columns():
    head, rows = NestedHead((2, 8), 3, shared=True), embeddings()
    (classifier,) = head.classifiers
    for size, logits in zip((2, 8), head(rows), strict=True):
        assert torch.allclose(logits, rows[:, :size] @ classifier.weight[:, :size].T, atol=1e-6)


def test_own_classifiers_that_agree_are_the_same_as_a_shared_one():
    own, shared, rows = NestedHead((2, 8), 3), NestedHead((2, 8), 3, shared=True), embeddings()
    with torch.no_grad():
        for classifier in own.classifiers:
            classifier.weight.copy_(shared.classifiers[0].weight[:, : classifier.in_features])
            classifier.bias.zero_()
    targets = torch.tensor([0, 1, 2, 0, 1])
    assert nested_loss(own(rows), targets).item() == pytest.approx(nested_loss(shared(rows), targets).item())


def test_sharing_saves_the_weights_of_the_smaller_sizes():
    def count(head):
        return sum(parameter.numel() for parameter in head.parameters())

    assert count(NestedHead((2, 8), 3)) == (2 + 1) * 3 + (8 + 1) * 3
    assert count(NestedHead((2, 8), 3, shared=True)) == 8 * 3


@pytest.mark.parametrize("shared", [False, True])
def test_scaled_logits_are_cosines_and_ignore_length(shared):
    head, rows = NestedHead((2, 8), 3, shared, scale=16.0), embeddings()
    logits = head(rows)
    weight = head.classifiers[-1].weight
    cosine = functional.cosine_similarity(rows[:, None, :], weight[None, :, :], dim=2)
    assert torch.allclose(logits[1], 16 * cosine, atol=1e-5)
    for each, longer in zip(logits, head(7 * rows), strict=True):
        assert torch.allclose(each, longer, atol=1e-5)


def test_coordinates_behind_the_largest_size_are_left_alone():
    head, rows = NestedHead((2, 4), 3), embeddings(d=8)
    assert torch.equal(head(rows)[1], head(rows[:, :4])[1])


@pytest.mark.parametrize("sizes", [(), (0, 2), (4, 2), (2, 2)])
def test_sizes_that_do_not_grow_are_refused(sizes):
    with pytest.raises(ValueError, match="sizes are whole numbers from 1 that grow"):
        NestedHead(sizes, 3)


def test_embeddings_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="embeddings have 3 coordinates, the largest size is 4"):
        NestedHead((2, 4), 3)(embeddings(d=3))


# -------------------------------------------------------------------------------------------------------- small network


def test_the_small_network_has_the_layers_of_the_source():
    network = SmallNetwork(channels=3, image_size=64, dimension=10)
    convolutions = [layer for layer in network.convolutions if isinstance(layer, torch.nn.Conv2d)]
    linear = [layer for layer in network.linear if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_channels, layer.out_channels, layer.kernel_size) for layer in convolutions] == [
        (3, 32, (5, 5)),
        (32, 64, (5, 5)),
    ]
    side = ((64 - 4) / 2 - 4) / 2
    assert [(layer.in_features, layer.out_features) for layer in linear] == [
        (64 * side * side, 256),
        (256, 256),
        (256, 10),
    ]
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in network.modules()) == 2 + 3


@pytest.mark.parametrize("image_size", [16, 17, 28, 33, 48])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_the_size_it_was_made_for_become_one_row_each(image_size, channels):
    network = SmallNetwork(channels, image_size, dimension=7)
    assert network(torch.zeros(2, channels, image_size, image_size)).shape == (2, 7)


def test_the_last_relu_alone_keeps_coordinates_from_being_negative():
    photos, rows = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)), {}
    for output_relu in (True, False):
        torch.manual_seed(0)
        rows[output_relu] = SmallNetwork(image_size=32, output_relu=output_relu)(photos)
    assert rows[False].min() < 0
    assert torch.equal(rows[True], rows[False].relu())


def test_normalised_rows_have_length_one_and_the_same_direction():
    photos, rows = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)), {}
    for normalise in (True, False):
        torch.manual_seed(0)
        rows[normalise] = SmallNetwork(image_size=32, output_relu=False, normalise=normalise)(photos)
    assert torch.allclose(rows[True].norm(dim=1), torch.ones(8))
    assert torch.allclose(rows[True], rows[False] / rows[False].norm(dim=1, keepdim=True))


def test_a_row_of_zeros_stays_one_and_has_a_finite_gradient():
    head = EmbeddingHead(4, 2)
    torch.nn.init.zeros_(head.linear.bias)
    row = torch.zeros(1, 4, requires_grad=True)
    head(row).sum().backward()
    assert torch.equal(head(row), torch.zeros(1, 2))
    assert torch.isfinite(row.grad).all()


def test_images_it_was_not_made_for_are_refused():
    with pytest.raises(ValueError, match="image_size must be at least 16, got 15"):
        SmallNetwork(image_size=15)
    with pytest.raises(ValueError, match=r"images must be \(n, 3, 32, 32\), got \(2, 3, 40, 32\)"):
        SmallNetwork(image_size=32)(torch.zeros(2, 3, 40, 32))


# ------------------------------------------------------------------------------------------------------- embedding head


def test_a_head_on_features_is_a_linear_map_of_length_one():
    rows = embeddings()
    head, plain = EmbeddingHead(8, 3), EmbeddingHead(8, 3, normalise=False)
    plain.load_state_dict(head.state_dict())
    mapped = rows @ head.linear.weight.T + head.linear.bias
    assert torch.allclose(plain(rows), mapped, atol=1e-6)
    assert torch.allclose(head(rows), mapped / mapped.norm(dim=1, keepdim=True), atol=1e-6)


def test_a_head_on_a_network_trains_both():
    head = EmbeddingHead(NestedResNet(**SMALL), 3, n_features=12)
    photos = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    (head(photos) - 1).square().sum().backward()
    assert head(photos).shape == (4, 3)
    assert head.backbone.stem[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("given", [{"features": NestedResNet(**SMALL)}, {"features": 12, "n_features": 12}])
def test_a_network_without_its_number_of_features_is_refused(given):
    with pytest.raises(ValueError, match="a number of features, or a network and n_features"):
        EmbeddingHead(dimension=3, **given)
