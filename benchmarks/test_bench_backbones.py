"""Embedding on the CPU: bfloat16 with channels_last against eager float32, and the whole path from JPEG bytes.

    pytest benchmarks/test_bench_backbones.py --benchmark-enable -s

Untrained weights: they cost what trained ones do. All sides get the same batch in the same process, in turns, after a
warm-up of each; the times are medians of the rounds. Threads as torch has them. The gain is that of AMX: without it
bfloat16 is no faster (a line says whether this CPU has it), and `embed` computes in float32.
"""

import io
from statistics import median
from time import perf_counter

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models
from torchvision.io import ImageReadMode, decode_jpeg

from lib import backbones

BATCH, ROUNDS = 64, 3
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, 14, 14, 3), np.uint8).repeat(16, axis=1).repeat(16, axis=2)


def in_turns(*functions, rounds=ROUNDS):
    """Median seconds of each, called one after the other, `rounds` times over; warmed up."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for function, seconds in zip(functions, times, strict=True):
            start = perf_counter()
            function()
            seconds.append(perf_counter() - start)
    return [median(seconds) for seconds in times]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_bfloat16_with_channels_last_against_eager_float32(benchmark, name):
    backbone = backbones.load(name, "none", device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        eager = models.get_model(name, weights=None).eval()
    eager.fc = torch.nn.Identity()
    batch = backbone.preprocess(IMAGES).contiguous()  # made beforehand: the networks alone are compared

    def float32():
        with torch.no_grad():
            return eager(batch).numpy()

    def float32_channels_last():
        with torch.inference_mode():
            return backbone.model(batch).numpy()

    def bfloat16():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return backbone.model(batch).float().numpy()

    a, b = float32(), bfloat16()
    cosine = float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())
    ways = (float32, float32_channels_last, bfloat16)
    eager_s, last_s, half_s = benchmark.pedantic(in_turns, args=ways, rounds=1)
    amx = "with" if torch.cpu.get_capabilities().get("amx_bf16") else "without"
    print(
        f"\n{name}, batch {BATCH}, {torch.get_num_threads()} threads, CPU {amx} AMX, images a second: "
        f"eager float32 {BATCH / eager_s:.0f}, float32 with channels_last {BATCH / last_s:.0f} "
        f"({eager_s / last_s:.2f} times), bfloat16 with channels_last {BATCH / half_s:.0f} "
        f"({eager_s / half_s:.2f} times); mean cosine {cosine:.5f}"
    )
    assert cosine >= 0.999


def test_the_whole_path_from_jpeg_bytes(benchmark):
    """500 x 375, as the photos of many collections: decoded, resized, normalised, embedded by resnet18."""
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (BATCH, 15, 20, 3), np.uint8).repeat(25, axis=1).repeat(25, axis=2)
    files = []
    for photo in photos:
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=85)
        files.append(buffer.getvalue())
    backbone = backbones.load("resnet18", "none", device="cpu")
    preset = models.ResNet18_Weights.IMAGENET1K_V1.transforms()

    def decoded():
        for file in files:
            yield decode_jpeg(torch.frombuffer(bytearray(file), dtype=torch.uint8), ImageReadMode.RGB).permute(1, 2, 0)

    def ours():
        return backbone.preprocess([image.numpy() for image in decoded()])

    def with_pil():
        return torch.stack([preset(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])

    def whole():
        return backbones.embed(backbone, (image.numpy() for image in decoded()), batch_size=BATCH, progress=False)

    assert (ours() - with_pil()).abs().mean() < 0.1
    prepared, pil, path = benchmark.pedantic(in_turns, args=(ours, with_pil, whole), rounds=1)
    print(
        f"\nJPEG bytes to a batch, {torch.get_num_threads()} threads: {BATCH / prepared:.0f} images a second with "
        f"decode_jpeg and transforms v2, {BATCH / pil:.0f} with PIL: {pil / prepared:.1f} times; "
        f"with resnet18 behind it: {BATCH / path:.0f} images a second"
    )
