"""embedding: images in any form to rows, precision, and the fused network that must be the network itself."""

import ctypes
import doctest
import functools
import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torchvision import models

from lib import backbones, embedding

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 40, 48, 3), np.uint8)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def untrained(name, **options):
    return backbones.load(name, "none", **{"image_size": 64, "device": "cpu"} | options)


shared = functools.cache(untrained)  # for tests that change nothing of it


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


# --- images in, embeddings out


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit_b_16"])
@pytest.mark.slow
def test_bfloat16_keeps_the_direction_of_float32(name):
    backbone = shared(name)
    full, half = (embedding.embed(backbone, IMAGES, precision=kind) for kind in ("float32", "bfloat16"))
    assert cosine(full, half).mean() >= 0.999
    assert not np.array_equal(full, half)


def test_images_may_come_in_any_form_and_batches_of_any_size():
    backbone = shared("squeezenet1_1")
    whole = embedding.embed(backbone, IMAGES, precision="float32")
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
            embedding.embed(backbone, images, batch_size=2, precision="float32"), whole, rtol=1e-4, atol=1e-6
        )


def test_images_of_different_sizes_are_embedded_as_each_would_be_alone():
    backbone = shared("squeezenet1_1")
    images = [IMAGES[0], IMAGES[1, :30], IMAGES[2, :, :33]]
    alone = [embedding.embed(backbone, image[None], precision="float32") for image in images]
    np.testing.assert_allclose(
        embedding.embed(backbone, images, precision="float32"), np.concatenate(alone), rtol=1e-4, atol=1e-6
    )


def test_a_generator_is_read_a_batch_ahead_at_most():
    drawn, embedded = [], []
    backbone = untrained("squeezenet1_1")
    backbone.model.register_forward_hook(lambda module, inputs, output: embedded.append((len(drawn), len(output))))
    embedding.embed(backbone, (drawn.append(i) or IMAGES[i] for i in range(5)), batch_size=2)
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
    first = embedding.embed(backbone, IMAGES)
    assert backbone.model.training and backbone.model.bn1.training and not backbone.model.layer1[0].training
    assert backbone.weights_digest == before
    np.testing.assert_array_equal(embedding.embed(backbone, IMAGES), first)


@pytest.mark.parametrize(
    ("has", "precision"), [({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True}, "bfloat16"), ({}, "float32")]
)
def test_the_key_names_the_precision_that_auto_means_here(monkeypatch, has, precision):
    """Two machines that share a cache must not share an entry where one computes in bfloat16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert shared("squeezenet1_1").key["precision"] == precision


def test_the_key_of_a_detector_says_float32_wherever_it_computes(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    detector = backbones.load("fasterrcnn_resnet50_fpn", "none", image_size=64, device="cpu", n_boxes=2)
    assert detector.key["precision"] == "float32"


@pytest.mark.parametrize(
    ("has", "precision"), [({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True}, "bfloat16"), ({}, "float32")]
)
def test_auto_is_bfloat16_where_the_cpu_gains_by_it(monkeypatch, has, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    backbone = shared("squeezenet1_1")
    auto, named = (embedding.embed(backbone, IMAGES, precision=kind) for kind in ("auto", precision))
    np.testing.assert_array_equal(auto, named)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES / 255, r"expected images uint8 \(h, w, 3\), RGB; image 0 is float64 \(40, 48, 3\)"),
        (IMAGES[0], r"expected images uint8 \(n, h, w, 3\), RGB, got uint8 \(40, 48, 3\)"),
        (IMAGES[..., :1], r"image 0 is uint8 \(40, 48, 1\)"),
        (IMAGES[:0], "expected at least one image, got none"),
        ([], "expected at least one image, got none"),
        (iter(()), "expected at least one image, got none"),
        ([IMAGES[0], IMAGES[1], IMAGES[2, :, :, 0]], r"image 2 is uint8 \(40, 48\)"),
        ([IMAGES[0], IMAGES[1, :0]], r"image 1 is uint8 \(0, 48, 3\)"),
        ([IMAGES[0], "photo.jpg"], r"image 1 is str \(\)"),
    ],
)
def test_images_of_wrong_type_or_shape_are_named(images, message):
    with pytest.raises(ValueError, match=message):
        embedding.embed(untrained("squeezenet1_1", image_size=32), images)


def test_rows_that_are_not_finite_are_named():
    backbone = untrained("squeezenet1_1", image_size=32)
    rows = iter([[0, 0], [float("nan"), 0], [1, float("inf")]])
    backbone.model.register_forward_hook(lambda module, inputs, output: torch.tensor([next(rows) for _ in output]))
    with pytest.raises(ValueError, match=r"NaN or infinite values for 2 images: rows 1, 2$"):
        embedding.embed(backbone, IMAGES[:3])


@pytest.mark.parametrize("bad", [{"precision": "float16"}, {"batch_size": 0}, {"batch_size": 2.0}])
def test_unknown_precision_and_empty_batches_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        embedding.embed(untrained("squeezenet1_1", image_size=32), IMAGES, **bad)


# --- fused convolutions


def network_of(name):
    """With batch norms that do something, in evaluation mode."""
    torch.manual_seed(0)
    zoo = (lambda name: timm.create_model(name, num_classes=0)) if name in timm.list_models() else models.get_model
    network = zoo(name).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            if module.weight is not None:
                module.weight.data.uniform_(0.5, 1.5)
    return network


FAMILIES = [
    *("resnet18", "mobilenet_v2", "tf_efficientnet_lite0", "squeezenet1_1", "mobilenet_v3_small", "regnety_002"),
    *("shufflenet_v2_x0_5", "gcresnet33ts", "seresnet18", "densenet121", "dla34", "hrnet_w18_small", "skresnet18"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_fused_network_gives_what_the_network_gives(name):
    network = network_of(name)
    images = torch.randn(3, 3, 96, 96).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        fused = embedding.fused(network, images)
        if fused is None:
            pytest.skip("oneDNN fuses nothing on this machine")
        expected, found = network(images), fused(images)
        assert sum(isinstance(module, nn.Conv2d | nn.BatchNorm2d) for module in fused.modules()) < 80
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
        half = embedding.fused(network, images, "bfloat16")
        if half is not None:
            with torch.autocast("cpu", torch.bfloat16):
                rows = half(images).float()
            assert cosine(rows.numpy(), expected.numpy()).mean() >= 0.995


def test_sums_activations_and_norms_are_computed_by_the_convolutions():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()
            self.second = nn.Conv2d(3, 3, 1, bias=False)

        def forward(self, images):
            hidden = self.relu(self.norm(self.first(images)))
            return self.relu(self.second(hidden) + hidden).mean((2, 3))

    torch.manual_seed(0)
    block, images = Block().eval(), torch.randn(2, 3, 8, 8)
    fused = embedding.fused(block, images)
    if fused is None:
        pytest.skip("oneDNN fuses nothing on this machine")
    assert [node.op for node in fused.graph.nodes].count("call_module") == 2
    with torch.inference_mode():
        torch.testing.assert_close(fused(images), block(images), rtol=1e-4, atol=1e-5)


def test_the_fused_network_follows_the_weights():
    backbone = untrained("resnet18")
    before = embedding.embed(backbone, IMAGES)
    with torch.no_grad():
        backbone.model.layer4[1].conv2.weight.data.mul_(3)  # which does not count as a change for torch
        backbone.model.bn1.running_mean.add_(0.5)
    after = embedding.embed(backbone, IMAGES, precision="float32")
    with torch.no_grad():
        expected = backbone.model.eval()(backbone.preprocess(IMAGES)).numpy()
    assert not np.allclose(before, after, rtol=0.05)
    np.testing.assert_allclose(after, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())
    backbone.model.relu = nn.Identity()  # another network
    with torch.no_grad():
        expected = backbone.model(backbone.preprocess(IMAGES)).numpy()
    found = embedding.embed(backbone, IMAGES, precision="float32")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


def test_hooks_are_called():
    backbone, seen = untrained("resnet18"), []
    embedding.embed(backbone, IMAGES)
    backbone.model.layer1.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    embedding.embed(backbone, IMAGES)
    assert seen == [(5, 64, 16, 16)]


def test_a_network_that_cannot_be_followed_is_computed_as_it_is():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(3, 4, 3)

        def forward(self, images):
            maps = self.convolution(images)
            return (maps if maps.mean() > 100 else -maps).mean((2, 3))

    model = Twice().eval()
    assert embedding.fused(model, torch.zeros(2, 3, 8, 8)) is None


def test_a_network_that_was_embedded_can_be_forgotten():
    backbone = untrained("squeezenet1_1")
    embedding.embed(backbone, IMAGES)
    seen = weakref.ref(backbone.model)
    del backbone
    gc.collect()
    assert seen() is None


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP is that of Linux")
@pytest.mark.parametrize(
    ("first", "expected"), [("", "1000 0"), ("import torch;", "None 1"), ("import numpy;", "1000 0")]
)
@pytest.mark.slow
def test_waiting_threads_sleep_whether_torch_was_loaded_before_or_after(first, expected):
    """By the variable, or by a thread that parks; torch computes with as many threads as before."""
    program = (
        f"import os, threading; {first} from lib import embedding; import torch; n = torch.get_num_threads()\n"
        "parked = [each for each in threading.enumerate() if each.name == 'waiting threads sleep']\n"
        "ones = torch.ones(1000, 1000); assert float((ones @ ones).sum()) == 1e9 and n == torch.get_num_threads()\n"
        "print(os.environ.get('GOMP_SPINCOUNT'), len(parked))"
    )
    without = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", program], env=without, capture_output=True, text=True)
    assert done.stdout.split() == expected.split(), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_memory_that_is_freed_is_used_again_unless_the_user_wants_it_otherwise():
    """A block of 30 MB, written and freed over and over: how much Linux must clear for it, after the first time."""
    program = (
        "import lib, resource, ctypes; malloc = ctypes.CDLL(None).malloc; malloc.restype = ctypes.c_void_p\n"
        "def once():\n    block = malloc(30 << 20); ctypes.memset(block, 1, 30 << 20); free(ctypes.c_void_p(block))\n"
        "free = ctypes.CDLL(None).free; once(); before = resource.getrusage(0).ru_minflt\n"
        "for _ in range(20): once()\nprint((resource.getrusage(0).ru_minflt - before) * 4096 >> 20, 'MB')"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    told = plain | {"MALLOC_MMAP_THRESHOLD_": "131072"}  # as glibc begins
    run = functools.partial(subprocess.run, [sys.executable, "-c", program], capture_output=True, check=True)
    kept, given_back = (int(run(env=each).stdout.split()[0]) for each in (plain, told))
    assert kept < 10 and given_back > 500


@pytest.mark.parametrize("side", [8, 40])
def test_parts_that_fit_the_cache_give_the_same_as_the_whole_batch(side, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (11, side, side, 3), np.uint8)
    backbone = untrained("squeezenet1_1", image_size=32)
    whole = embedding.embed(backbone, images, precision="float32")
    for n_pixels in (1, 3 * 32 * 32, 10**9):
        monkeypatch.setattr(embedding, "PIXELS_AT_ONCE", n_pixels)
        found = embedding.embed(backbone, images, precision="float32")
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-5)


def test_doctests():
    assert doctest.testmod(embedding).failed == 0
