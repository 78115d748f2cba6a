import doctest
import functools
import json
import os
import pickle
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision import models
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from lib import backbones, networks, pretraining

WEIGHTS = [Path(place) for place in os.environ.get("RETRIEVAL_WEIGHTS", "").split(os.pathsep) if place]
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 40, 48, 3), np.uint8)


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


def test_the_embedding_of_vgg_is_what_its_last_linear_layer_takes():
    with torch.device("meta"):
        network, classifier = backbones._headless("vgg16", 0, untrained=False)
        assert (classifier, tuple(network(torch.zeros(1, 3, 64, 64)).shape)) == ("classifier.6", (1, 4096))


@pytest.mark.parametrize(
    "name",
    [
        *("alexnet", "convnext_tiny", "efficientnet_b0", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5"),
        *("mobilenet_v3_small", "regnet_y_400mf", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_t"),
        *("swin_v2_t", "vgg16_bn", "vit_b_32"),
    ],
)
def test_the_classifier_is_found_in_every_family(name):
    """It is what gives the 1,000 classes; nothing else is replaced. Without memory for the weights where that works."""
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        network, classifier = backbones._headless(name, 0, untrained=False)
        options = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        whole = dict(models.get_model(name, weights=None, **options).named_modules())
    head = whole[classifier]
    assert getattr(head, "out_features", getattr(head, "out_channels", None)) == 1000
    replaced = [layer for layer, module in network.named_modules() if type(module) is not type(whole[layer])]
    assert replaced == [classifier]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit_b_16"])
def test_bfloat16_keeps_the_direction_of_float32(name):
    backbone = shared(name)
    full, half = (backbones.embed(backbone, IMAGES, precision=kind) for kind in ("float32", "bfloat16"))
    assert cosine(full, half).mean() >= 0.999
    assert not np.array_equal(full, half)


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


def test_tokens_of_a_transformer_are_pooled_without_the_class_token():
    tokens = torch.tensor([[[9.0, 0.0], [1.0, 4.0], [3.0, 2.0]]])  # (1, 1 + 2, 2): class token (9, 0)
    assert backbones.Pool("class_token")(tokens).tolist() == [[9, 0]]
    assert backbones.Pool("average")(tokens).tolist() == [[(1 + 3) / 2, (4 + 2) / 2]]
    assert backbones.Pool("max")(tokens).tolist() == [[3, 4]]
    default = backbones.embed(shared("vit_b_16"), IMAGES[:2], precision="float32")
    named, dimension = backbones._up_to(shared("vit_b_16").model, "vit_b_16", "encoder.ln", None, 64)
    with torch.no_grad():
        np.testing.assert_allclose(default, named(shared("vit_b_16").preprocess(IMAGES[:2])), rtol=1e-4, atol=1e-5)
    assert dimension == 768


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


# --- images in, embeddings out


def test_images_may_come_in_any_form_and_batches_of_any_size():
    backbone = shared("squeezenet1_1")
    whole = backbones.embed(backbone, IMAGES, precision="float32")
    assert whole.shape == (5, 512) and whole.dtype == np.float32 and whole.flags.c_contiguous

    class Photos:
        def __len__(self):
            return 5

        def image(self, i):
            return IMAGES[i]

    read_only = IMAGES.copy()
    read_only.flags.writeable = False
    forms = [list(IMAGES), (image for image in IMAGES), iter([IMAGES[:2], IMAGES[2], IMAGES[3:]]), Photos(), read_only]
    for images in forms:
        np.testing.assert_allclose(
            backbones.embed(backbone, images, batch_size=2, precision="float32"), whole, rtol=1e-4, atol=1e-6
        )


def test_images_of_different_sizes_are_embedded_as_each_would_be_alone():
    backbone = shared("squeezenet1_1")
    images = [IMAGES[0], IMAGES[1, :30], IMAGES[2, :, :33]]
    alone = [backbones.embed(backbone, image[None], precision="float32") for image in images]
    np.testing.assert_allclose(
        backbones.embed(backbone, images, precision="float32"), np.concatenate(alone), rtol=1e-4, atol=1e-6
    )


def test_a_generator_is_read_a_batch_ahead_at_most():
    drawn, embedded = [], []
    backbone = untrained("squeezenet1_1")
    backbone.model.register_forward_hook(lambda module, inputs, output: embedded.append((len(drawn), len(output))))
    backbones.embed(backbone, (drawn.append(i) or IMAGES[i] for i in range(5)), batch_size=2)
    assert embedded == [(2, 2), (4, 2), (5, 1)]


def test_preprocessing_is_that_of_the_weights():
    """torchvision's own, an image at a time; ours resizes in 8 bits, so a value may differ by one step of 255."""
    preset = models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    ours = backbones.load("resnet18", "none", device="cpu").preprocess(IMAGES)
    theirs = torch.stack([preset(torch.from_numpy(image).permute(2, 0, 1)) for image in IMAGES])
    assert ours.shape == theirs.shape == (5, 3, 224, 224)
    assert float((ours - theirs).abs().max()) <= 1.01 / 255 / min(preset.std)
    assert float((ours - theirs).abs().mean()) < 0.2 / 255 / min(preset.std)


def test_images_that_have_the_size_already_are_not_resampled():
    preprocess = untrained("resnet18", image_size=40).preprocess
    expected = (IMAGES[:, :, 4:44] / 255 - preprocess.mean) / preprocess.std  # 40 x 48: the central 40 x 40
    np.testing.assert_allclose(preprocess(IMAGES).permute(0, 2, 3, 1), expected, rtol=1e-4, atol=1e-5)


def test_the_model_is_left_as_it_was():
    backbone = untrained("resnet18")
    backbone.model.train()
    backbone.model.layer1.eval()
    before = backbone.weights_digest
    first = backbones.embed(backbone, IMAGES)
    assert backbone.model.training and backbone.model.bn1.training and not backbone.model.layer1[0].training
    assert backbone.weights_digest == before
    np.testing.assert_array_equal(backbones.embed(backbone, IMAGES), first)


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


@pytest.mark.parametrize(("has", "precision"), [({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True}, "float32")])
def test_the_key_names_the_precision_that_auto_means_here(monkeypatch, has, precision):
    """Two machines that share a cache must not share an entry where one computes in bfloat16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert shared("squeezenet1_1").key["precision"] == precision


def test_the_key_of_a_detector_says_float32_wherever_it_computes(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    detector = backbones.load("fasterrcnn_resnet50_fpn", "none", image_size=64, device="cpu", n_boxes=2)
    assert detector.key["precision"] == "float32"


def test_an_untrained_control_is_fixed_by_its_seed_and_leaves_the_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    first = untrained("squeezenet1_1", seed=1)
    assert torch.equal(torch.rand(2), expected)
    assert untrained("squeezenet1_1", seed=1).weights_digest == first.weights_digest
    assert untrained("squeezenet1_1", seed=2).weights_digest != first.weights_digest
    assert first.source == "none"


@pytest.mark.parametrize(("has", "precision"), [({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True}, "float32")])
def test_auto_is_bfloat16_where_the_cpu_gains_by_it(monkeypatch, has, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    backbone = shared("squeezenet1_1")
    auto, named = (backbones.embed(backbone, IMAGES, precision=kind) for kind in ("auto", precision))
    np.testing.assert_array_equal(auto, named)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES / 255, r"image 0 is float64 \(40, 48, 3\); uint8 \(h, w, 3\), RGB, is needed"),
        (IMAGES[0], r"images are uint8 \(40, 48, 3\); uint8 \(n, h, w, 3\)"),
        (IMAGES[..., :1], r"image 0 is uint8 \(40, 48, 1\)"),
        (IMAGES[:0], "no images: at least one"),
        ([], "no images: at least one"),
        (iter(()), "no images: at least one"),
        ([IMAGES[0], IMAGES[1], IMAGES[2, :, :, 0]], r"image 2 is uint8 \(40, 48\)"),
        ([IMAGES[0], IMAGES[1, :0]], r"image 1 is uint8 \(0, 48, 3\)"),
        ([IMAGES[0], "photo.jpg"], r"image 1 is str \(\)"),
    ],
)
def test_images_of_wrong_type_or_shape_are_named(images, message):
    with pytest.raises(ValueError, match=message):
        backbones.embed(untrained("squeezenet1_1", image_size=32), images)


def test_rows_that_are_not_finite_are_named():
    backbone = untrained("squeezenet1_1", image_size=32)
    rows = iter([[0, 0], [float("nan"), 0], [1, float("inf")]])
    backbone.model.register_forward_hook(lambda module, inputs, output: torch.tensor([next(rows) for _ in output]))
    with pytest.raises(ValueError, match=r"NaN or infinite values for 2 images: rows 1, 2$"):
        backbones.embed(backbone, IMAGES[:3])


@pytest.mark.parametrize("bad", [{"precision": "float16"}, {"batch_size": 0}, {"batch_size": 2.0}])
def test_unknown_precision_and_empty_batches_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        backbones.embed(untrained("squeezenet1_1", image_size=32), IMAGES, **bad)


# --- names


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "resnet_50"}, "unknown model 'resnet_50'; did you mean .*resnet50"),
        ({"name": "zzzzzzzz"}, r"names\(\) lists them"),
        ({"layer": "layer_4"}, "has no layer 'layer_4'; nearest: .*layer4"),
        ({"layer": "layer4", "pooling": "mean"}, "unknown pooling 'mean'; allowed are average, max, gem, class_token"),
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
        backbones.region_features(IMAGES)


def test_a_checkpoint_in_the_cache_is_used_if_its_digest_is_that_in_its_name(no_connection, monkeypatch):
    network = models.squeezenet1_1(weights=None)
    no_connection.mkdir(parents=True)
    torch.save(network.state_dict(), no_connection / "file.pth")
    digest = backbones._sha256(no_connection / "file.pth")
    path = (no_connection / "file.pth").rename(no_connection / f"squeezenet1_1-{digest[:8]}.pth")

    class Version:
        url = f"https://weights.example/{path.name}"

    assert backbones._checkpoint("squeezenet1_1", Version, []) == path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"is damaged: its SHA-256 does not begin with"):
        backbones._checkpoint("squeezenet1_1", Version, [])


def test_the_page_of_a_proxy_is_not_taken_for_a_checkpoint(tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("<html>Please log in</html>")

    def open_page(request, timeout=None):
        return real_open(page.as_uri())

    real_open = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", open_page)
    monkeypatch.setattr(torch.hub, "urlopen", open_page)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("RETRIEVAL_WEIGHTS", raising=False)
    with pytest.raises(ValueError, match="did not give the weights of squeezenet1_1, nothing was kept"):
        backbones.load("squeezenet1_1")
    assert list((tmp_path / "hub" / "checkpoints").iterdir()) == []


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


def test_a_file_that_is_no_state_dict_is_refused_by_name(tmp_path):
    (tmp_path / "page.pth").write_text("<html>404</html>")
    torch.save(models.squeezenet1_1(weights=None).state_dict(), tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-1000])
    (tmp_path / "page.safetensors").write_text("<html>404</html>")
    torch.save({"model": {}, "epoch": 3}, tmp_path / "checkpoint.pth")
    for name, message in [
        ("page.pth", "cannot be read"),
        ("cut.pth", "cannot be read"),
        ("page.safetensors", "cannot be read"),
        ("checkpoint.pth", "holds a dict of model, epoch; a state dict"),
    ]:
        with pytest.raises(ValueError, match=f"{name}.*{message}"):
            backbones.load("squeezenet1_1", tmp_path / name)
    with pytest.raises(backbones.MissingWeights, match=r"no file 'gone\.pth'.*IMAGENET1K_V1"):
        backbones.load("squeezenet1_1", "gone.pth")


def test_code_in_a_pickle_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"a": Trap()}, protocol=2))
    torch.save({"a": Trap()}, tmp_path / "zipped.pth")
    for name in ("trap.pth", "zipped.pth"):
        with pytest.raises(ValueError, match="cannot be read"):
            backbones.load("squeezenet1_1", tmp_path / name)
    assert not (tmp_path / "ran").exists()


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


def test_the_old_names_in_a_checkpoint_of_densenet_become_the_new():
    old = ("denselayer1.norm.1.weight", "denselayer1.conv.2.weight", "denselayer12.norm.2.running_var", "norm5.bias")
    new = ("denselayer1.norm1.weight", "denselayer1.conv2.weight", "denselayer12.norm2.running_var", "norm5.bias")
    assert tuple(backbones._adapted("densenet121", None, dict.fromkeys(old))) == new


def test_real_weights_load_and_embed():
    path = next((place / "squeezenet1_1.pth" for place in WEIGHTS if (place / "squeezenet1_1.pth").is_file()), None)
    if path is None:
        pytest.skip("no squeezenet1_1.pth in $RETRIEVAL_WEIGHTS")
    backbone = backbones.load("squeezenet1_1")
    assert backbone.source == str(path) and backbone.dimension == 512
    full = backbones.embed(backbone, IMAGES, precision="float32")
    half = backbones.embed(backbone, IMAGES, precision="bfloat16")
    assert np.isfinite(full).all() and cosine(full, half).mean() >= 0.999


# --- the project's own network


@pytest.fixture
def course_weights(tmp_path):
    torch.manual_seed(0)
    network = networks.NestedResNet(stem=4, widths=(8, 16), blocks=(1, 2), dimension=32).eval()
    folder = tmp_path / "data" / "backbones"
    pretraining.export(network, folder / "course.safetensors")
    network.load_state_dict(safetensors.torch.load_file(folder / "course.safetensors"))
    return folder, network


def test_the_network_of_the_course_is_that_of_networks(course_weights, monkeypatch):
    folder, network = course_weights
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("RETRIEVAL_WEIGHTS", raising=False)
    backbone = backbones.load("course", device="cpu")
    assert (backbone.dimension, backbone.preprocess.crop) == (32, 64)
    assert Path(backbone.source) == folder / "course.safetensors"
    with torch.no_grad():
        expected = network(backbone.preprocess(IMAGES)).numpy()
    np.testing.assert_allclose(backbones.embed(backbone, IMAGES, precision="float32"), expected, rtol=1e-4, atol=1e-5)
    assert backbones.load("course", "none").weights_digest != backbone.weights_digest
    assert backbones.load("course", layer="stages.0", pooling="gem").dimension == 8
    (folder / "course.safetensors").write_bytes((folder / "course.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"course\.safetensors .* is no sound"):
        backbones.load("course")


def test_without_its_file_the_network_of_the_course_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRIEVAL_WEIGHTS", raising=False)
    monkeypatch.setattr(backbones, "__file__", str(tmp_path / "lib" / "backbones.py"))
    with pytest.raises(backbones.MissingWeights, match=r"course's own network are not here(.|\n)*course\.safetensors"):
        backbones.load("course")


# --- regions


def test_region_features_average_the_box_head_over_the_best_boxes():
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


def test_region_features_is_a_detector_loaded_and_embedding(monkeypatch):
    asked = {}
    monkeypatch.setattr(backbones, "load", lambda *names, **options: asked.update(names=names, **options) or detector)
    detector = shared("fasterrcnn_resnet50_fpn", n_boxes=5)
    features = backbones.region_features(IMAGES[:1], "none", n_boxes=5, image_size=64, device="cpu", progress=False)
    assert asked == {"names": ("fasterrcnn_resnet50_fpn", "none"), "n_boxes": 5, "image_size": 64, "device": "cpu"}
    np.testing.assert_allclose(features, backbones.embed(detector, IMAGES[:1]), rtol=1e-4, atol=1e-5)


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


# --- the file


def test_the_file_alone_has_passing_doctests_and_refuses_to_follow_tensorflow(tmp_path):
    program = (
        "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
        "try: import backbones\n"
        "except ImportError as error: print('before' in str(error))\n"
        "else: print(True)  # no triton here: no conflict\n"
        "del sys.modules['tensorflow']\n"
        "import doctest, backbones; print(doctest.testmod(backbones).failed, 'tensorflow' in sys.modules)"
    )
    (tmp_path / "backbones.py").write_bytes(Path(backbones.__file__).read_bytes())
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["True", "0", "False"], done.stdout + done.stderr
    assert len([test for test in doctest.DocTestFinder().find(backbones) if test.examples]) >= 4
