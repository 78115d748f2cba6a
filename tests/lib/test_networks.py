"""The small networks: what comes out for what goes in, and the heads against each other and against plain algebra."""

import pytest
import torch
from torch.nn import functional

from lib.losses import nested_loss
from lib.networks import (
    BoostHead,
    NestedHead,
    NestedResNet,
    SmallNetwork,
    UNet,
)

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
    with pytest.raises(ValueError, match=r"equally long, .* got \[8, 16\] and \[1\]"):
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
    with pytest.raises(ValueError, match="sizes must be increasing positive integers, got"):
        NestedHead(sizes, 3)


def test_embeddings_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="expected at least 4 dimensions, got 3"):
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


def test_images_it_was_not_made_for_are_refused():
    with pytest.raises(ValueError, match="image_size must be at least 16, got 15"):
        SmallNetwork(image_size=15)
    with pytest.raises(ValueError, match=r"images must be \(n, 3, 32, 32\), got \(2, 3, 40, 32\)"):
        SmallNetwork(image_size=32)(torch.zeros(2, 3, 40, 32))


# ----------------------------------------------------------------------------------------- ResNet-18, U-Net and weights


@pytest.mark.parametrize("sides", [(64, 64), (65, 47), (33, 64)])
def test_unet_gives_a_value_for_every_pixel(sides):
    assert UNet(NestedResNet(**SMALL), n_outputs=2).eval()(torch.zeros(2, 3, *sides)).shape == (2, 2, *sides)


def test_every_map_of_the_encoder_reaches_the_output():
    torch.manual_seed(0)
    encoder = NestedResNet(**SMALL)
    unet = UNet(encoder).eval()
    photos = torch.randn(1, 3, 64, 64)
    whole, maps = unet(photos), encoder.maps
    for silent in range(len(encoder.map_widths)):
        encoder.maps = lambda x, silent=silent: [0 * each if i == silent else each for i, each in enumerate(maps(x))]
        assert not torch.allclose(unet(photos), whole)
        del encoder.maps


@pytest.mark.slow
def test_unet_learns_a_mask():
    torch.manual_seed(0)
    photos = torch.rand(8, 3, 32, 32)
    masks = (photos[:, :1] > 0.5).float()
    unet = UNet(NestedResNet(stem=4, widths=[8], blocks=[1], dimension=4))
    optimiser = torch.optim.Adam(unet.parameters(), lr=0.02)
    for _ in range(60):
        loss = functional.binary_cross_entropy_with_logits(unet(photos), masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert ((unet(photos) > 0) == (masks > 0)).float().mean() > 0.95


def test_unet_widths_must_be_as_many_as_its_steps():
    with pytest.raises(ValueError, match=r"expected 3 widths, .* got \[16\]"):
        UNet(NestedResNet(**SMALL), widths=[16])


# ----------------------------------------------------------------------------------------------------------- boost head


def test_the_boosted_embedding_is_the_relu_of_one_linear_map_at_length_one():
    head, rows = BoostHead(8, n_values=(3, 2), scale=2.0), embeddings()
    hidden = (rows / 2 @ head.hidden.weight.T + head.hidden.bias).clamp(min=0)
    torch.testing.assert_close(head.embed(rows), hidden / hidden.norm(dim=1, keepdim=True))
    logits, words = head(rows)
    torch.testing.assert_close(logits[1], hidden @ head.attributes[1].weight.T + head.attributes[1].bias)
    assert words is None


def test_the_boost_head_begins_with_he_weights_and_small_biases():
    head = BoostHead(64, n_values=(5,), n_words=9, n_recurrent=16)
    for linear in (head.hidden, head.attributes[0], head.start[0], head.next_word):
        bound = (6 / linear.in_features) ** 0.5  # uniform, He et al. 2015: variance 2 / inputs
        assert 0.9 * bound < linear.weight.abs().max() <= bound
        assert (linear.bias == 0.01).all()


def test_a_word_is_written_from_the_embedding_and_the_words_before_it_alone():
    head, rows = BoostHead(8, n_words=7, n_recurrent=16), embeddings(n=1)
    logits = head(rows, torch.tensor([[3, 5, 0, -1]]))[1]
    other = head(rows, torch.tensor([[3, 6, 2, 2]]))[1]
    assert torch.equal(logits[:, :2], other[:, :2]) and not torch.allclose(logits[:, 2], other[:, 2])
    assert not torch.allclose(logits, head(-rows, torch.tensor([[3, 5, 0, -1]]))[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_values": ()}, "expected n_values, n_words or both, got neither"),
        ({"n_values": (3, 1)}, r"at least 2 each, got \(3, 1\)"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"scale": float("nan")}, "scale must be above 0"),
    ],
)
def test_boost_heads_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        BoostHead(**{"n_inputs": 8, "n_values": (3,), **change})
