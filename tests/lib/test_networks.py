"""The small networks: what comes out for what goes in, and the heads against each other and against plain algebra."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional

from lib.losses import nested_loss
from lib.networks import (
    BoostHead,
    EmbeddingHead,
    NestedHead,
    NestedResNet,
    ResNet18,
    SmallNetwork,
    UNet,
    average_over_views,
    initialise_he,
    load_weights,
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
    with pytest.raises(ValueError, match="expected a number of features, or a network and n_features, got"):
        EmbeddingHead(dimension=3, **given)


# ----------------------------------------------------------------------------------------- ResNet-18, U-Net and weights


def test_resnet18_gives_torchvisions_features_with_torchvisions_weights():
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(weights=None).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean)  # so that statistics which were not taken over would show
    ours = load_weights(ResNet18(), theirs.state_dict()).eval()
    photos = torch.randn(2, 3, 70, 45)
    expected = torch.nn.Sequential(*list(theirs.children())[:-1])(photos).flatten(1)
    assert torch.allclose(ours(photos), expected, atol=1e-5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_pretrained_weights_land_in_the_encoder_from_a_file_in_half_precision(suffix, tmp_path):
    torch.manual_seed(1)
    state = ResNet18(width=4).state_dict()
    halved = {name: each.half() if each.is_floating_point() else each for name, each in state.items()}
    halved |= {"fc.weight": torch.zeros(5, 32), "fc.bias": torch.zeros(5)}
    path = tmp_path / f"weights{suffix}"
    torch.save(halved, path) if suffix == ".pth" else save_file(halved, path)
    network = UNet(load_weights(ResNet18(width=4), path))
    for name, each in network.encoder.state_dict().items():
        assert torch.equal(each, halved[name].to(each.dtype)), name


def test_an_old_file_that_counts_no_batches_fits():
    state = {name: w for name, w in ResNet18(width=4).state_dict().items() if "num_batches" not in name}
    assert torch.equal(load_weights(ResNet18(width=4), state).conv1.weight, state["conv1.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv1.weight"), r"these are missing: conv1\.weight"),
        (lambda state: state.update(head=torch.zeros(1)), "these are unexpected: head"),
        (lambda state: state.update({"bn1.bias": torch.zeros(5)}), r"these have another shape: bn1\.bias"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_changed(change, message):
    network, state = ResNet18(width=4), dict(ResNet18(width=4).state_dict())
    before = {name: each.clone() for name, each in network.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        load_weights(network, state)
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())


def test_files_that_hold_no_weights_are_refused(tmp_path):
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 half a file")
    (tmp_path / "cut.safetensors").write_bytes(b"half a file")
    torch.save(torch.zeros(3), tmp_path / "array.pth")
    for name, message in {
        "cut.pth": "has no readable weights",
        "cut.safetensors": "has no readable weights",
        "array.pth": r"expected a state dict .* got Tensor",
        "weights.h5": r"expected a \.pth or \.safetensors file",
    }.items():
        with pytest.raises(ValueError, match=message):
            load_weights(ResNet18(width=4), tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"no such file: .*absent"):
        load_weights(ResNet18(width=4), tmp_path / "absent.pth")


@pytest.mark.parametrize("encoder", [ResNet18(width=4), NestedResNet(**SMALL)], ids=["ResNet18", "NestedResNet"])
@pytest.mark.parametrize("sides", [(64, 64), (65, 47), (33, 64)])
def test_unet_gives_a_value_for_every_pixel(encoder, sides):
    assert UNet(encoder, n_outputs=2).eval()(torch.zeros(2, 3, *sides)).shape == (2, 2, *sides)


def test_every_map_of_the_encoder_reaches_the_output():
    torch.manual_seed(0)
    encoder = ResNet18(width=4)
    unet = UNet(encoder).eval()
    photos = torch.randn(1, 3, 64, 64)
    whole, maps = unet(photos), encoder.maps
    for silent in range(5):
        encoder.maps = lambda x, silent=silent: [0 * each if i == silent else each for i, each in enumerate(maps(x))]
        assert not torch.allclose(unet(photos), whole)
        del encoder.maps


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


def test_the_average_over_one_view_is_the_network_itself():
    unet = UNet(NestedResNet(**SMALL)).eval()
    photos = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(average_over_views(unet, photos, mirrored=False), unet(photos))


def test_the_average_is_over_the_photo_and_its_mirror_image():
    photos = torch.tensor([[[[1.0, 2.0, 4.0]]]])

    def left_neighbour(x):
        return functional.pad(x, (1, 0))[..., :-1]  # 0 1 2, and for the mirror image 0 4 2, mirrored back: 2 4 0

    found = average_over_views(left_neighbour, photos, mirrored=True)
    assert found.tolist() == [[[[(0 + 2) / 2, (1 + 4) / 2, (2 + 0) / 2]]]]


def test_mirrored_photos_get_the_mirrored_average():
    unet = UNet(NestedResNet(**SMALL)).eval()
    photos = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    there, back = (average_over_views(unet, each, scales=(1, 1.5)) for each in (photos, photos.flip(3)))
    torch.testing.assert_close(there, back.flip(3), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(unet(photos), unet(photos.flip(3)).flip(3), atol=1e-3)  # alone it has no such symmetry


def test_each_scale_shows_the_photo_at_its_size():
    seen = []

    def network(x):
        seen.append(tuple(x.shape[2:]))
        return x[:, :1]

    photos = torch.linspace(0, 1, 30).expand(1, 3, 20, 30)  # a ramp, which looks the same at every size
    found = average_over_views(network, photos, scales=(1, 1.25, 2), mirrored=False)
    assert seen == [(20, 30), (25, 38), (40, 60)]
    assert found.shape == (1, 1, 20, 30)
    torch.testing.assert_close(found[0, 0, 10], torch.linspace(0, 1, 30), rtol=0, atol=0.01)


@pytest.mark.parametrize("scales", [(), (0,), (1, -1), (float("inf"),), (float("nan"),)])
def test_scales_that_are_none_are_refused(scales):
    with pytest.raises(ValueError, match="expected at least one scale, each above 0 and finite, got"):
        average_over_views(torch.neg, torch.zeros(1, 3, 4, 4), scales)


def test_unet_widths_must_be_as_many_as_its_steps():
    with pytest.raises(ValueError, match=r"expected 5 widths, .* got \[16\]"):
        UNet(ResNet18(width=4), widths=[16])


def test_he_weights_have_their_variance_and_forget_the_old_ones():
    torch.manual_seed(0)
    network = ResNet18(width=16)
    with torch.no_grad():
        for each in network.parameters():
            each.fill_(7)
        network.bn1.running_mean.fill_(7)
    initialise_he(network)
    weight = network.layer4[1].conv2.weight  # 128 filters of 128 x 3 x 3
    assert weight.var().item() == pytest.approx(2 / (128 * 3 * 3), rel=0.05)
    assert (network.bn1.weight == 1).all() and (network.bn1.running_mean == 0).all()


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
