"""Embedding on the CPU: what `embed` computes with, against eager torch, ONNX Runtime and torch.compile.

    pytest benchmarks/test_bench_backbones.py --benchmark-enable -s

Untrained weights: they cost what trained ones do. All ways get the same batch in the same process, with as many threads
(those that torch has), in turns, after a warm-up of each; the times are the shortest of the rounds, which other work on
the machine disturbs least. ONNX Runtime and eager torch compute in float32; torch.compile, with a C++ compiler, in
float32 and in `embed`'s precision. `embed` needs no compiler. Its precision here is that of "auto": a line says which.
"""

import io
from time import perf_counter

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torchvision import models
from torchvision.io import ImageReadMode, decode_jpeg

from lib import backbones, embedding

BATCH, ROUNDS = 32, 5
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, 14, 14, 3), np.uint8).repeat(16, axis=1).repeat(16, axis=2)


def in_turns(ways, rounds=ROUNDS):
    """Shortest seconds of each, called one after the other, `rounds` times over; warmed up."""
    times = {name: [] for name in ways}
    for function in ways.values():
        function()
    for _ in range(rounds):
        for name, function in ways.items():
            start = perf_counter()
            function()
            times[name].append(perf_counter() - start)
    return {name: min(seconds) for name, seconds in times.items()}


def in_onnx_runtime(model, batch, path):
    """A function that computes the batch."""
    torch.onnx.export(model, (batch,), path, dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name, array = session.get_inputs()[0].name, batch.numpy()
    return lambda: session.run(None, {name: array})[0]


def compiled(model, batch, half):
    """A function that computes the batch; None where torch.compile does not run (it needs a C++ compiler)."""
    torch._dynamo.reset()
    program = torch.compile(model)

    def compute():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return program(batch).float().numpy()

    try:
        compute()
    except Exception as error:  # whatever a missing compiler leads to
        print(f"\ntorch.compile does not run here: {type(error).__name__}")
        return None
    return compute


@pytest.mark.parametrize(
    ("name", "size"), [("efficientnet_lite0", 96), ("efficientnet_lite0", 224), ("resnet18", 224), ("resnet50", 224)]
)
def test_embed_against_the_fastest_ways_to_compute(benchmark, tmp_path, name, size):
    backbone = backbones.load(name, "none", image_size=size, device="cpu")
    eager = backbones.load(name, "none", image_size=size, device="cpu").model.to(memory_format=torch.contiguous_format)
    batch = backbone.preprocess(IMAGES).contiguous()  # made beforehand: the networks alone are compared
    precision = embedding.precision_of(backbone)
    half = precision == "bfloat16"
    fused = embedding.fused(backbone.model, batch, precision) or backbone.model

    def ours():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return fused(batch).float().numpy()

    def eagerly():
        with torch.no_grad():
            return eager(batch).numpy()

    ways = {"ours": ours, "eager float32": eagerly, "ONNX Runtime": in_onnx_runtime(eager, batch, tmp_path / "m.onnx")}
    last = batch.contiguous(memory_format=torch.channels_last)
    ways["torch.compile float32"] = compiled(backbone.model, last, half=False)
    ways[f"torch.compile {precision}"] = compiled(backbone.model, last, half)
    ways = {way: function for way, function in ways.items() if function is not None}
    expected, found = eagerly(), ours()
    cosines = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)

    seconds = benchmark.pedantic(in_turns, args=(ways,), rounds=1)
    others = {way: each for way, each in seconds.items() if way != "ours"}
    best = min(others, key=others.get)
    rates = ", ".join(f"{way} {BATCH / each:.0f}" for way, each in seconds.items())
    print(
        f"\n{name} at {size}, batch {BATCH}, {torch.get_num_threads()} threads, ours in {precision}, images a second: "
        f"{rates}; ours / {best} (the fastest other) {others[best] / seconds['ours']:.2f}, ours / eager "
        f"{others['eager float32'] / seconds['ours']:.2f}; mean cosine to eager {cosines.mean():.5f}"
    )
    benchmark.extra_info["over the fastest other"] = others[best] / seconds["ours"]
    assert cosines.mean() >= 0.997
    assert seconds["ours"] <= others["eager float32"]
    assert seconds["ours"] <= others[best] / 0.8


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

    def opened():
        for file in files:
            yield np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))

    def ours():
        return backbone.preprocess([image.numpy() for image in decoded()])

    ways = {
        "decode_jpeg, preprocess": ours,
        "PIL, preprocess": lambda: backbone.preprocess(list(opened())),
        "PIL, torchvision's preset": lambda: torch.stack([preset(Image.fromarray(image)) for image in opened()]),
        "decode_jpeg, embed": lambda: backbones.embed(
            backbone, (image.numpy() for image in decoded()), batch_size=BATCH, progress=False
        ),
        "PIL, embed": lambda: backbones.embed(backbone, opened(), batch_size=BATCH, progress=False),
    }
    assert (ours() - ways["PIL, torchvision's preset"]()).abs().mean() < 0.1
    seconds = benchmark.pedantic(in_turns, args=(ways,), rounds=1)
    rates = ", ".join(f"{way} {BATCH / each:.0f}" for way, each in seconds.items())
    print(f"\nJPEG bytes, {torch.get_num_threads()} threads, images a second: {rates}")
