"""Training while something else keeps cores busy: threads that soon sleep while they wait, against threads that spin.

    pytest benchmarks/test_bench_waiting.py --benchmark-enable -s

Every convolution is shared out among threads, and the first ones to be done wait for the last. OpenMP's threads spin by
default: they ask again and again, at full load. With a core for each that is the fastest way. Where another program
wants one of the cores, the system takes turns, and a thread that spins uses up the turn of the one that it waits for.
With GOMP_SPINCOUNT=1000 they spin for a moment and sleep then. The runner and the tests of the course set it
so. (OMP_WAIT_POLICY=PASSIVE, never to spin, is as good beside other work and slower alone. GNU's OpenMP, which torch
has on Linux, knows the variable; others ignore it.)

A script that opens photos with PIL and lets torch scale and normalise them one by one is hit hardest: its threads meet
several times an image. So `lib` sets the variable where torch is not loaded yet; and where a script has loaded torch
first, it makes OpenMP count more threads than cores, with which they sleep soon too. Both are measured here.

Each side is a process of its own (the variable is read when torch is loaded), with as many threads as cores, in turns:
once alone, and once beside a process that computes in a loop.
"""

import os
import subprocess
import sys
from statistics import median

import pytest

ROUNDS, STEPS = 3, 20
TRAINING = f"""
import time, torch
from lib.networks import SmallNetwork
torch.manual_seed(0)
network, images = SmallNetwork(image_size=32), torch.randn(32, 3, 32, 32)
optimiser = torch.optim.Adam(network.parameters())
for step in range({STEPS} + 3):
    if step == 3:
        started = time.perf_counter()
    optimiser.zero_grad()
    (network(images) - 1).square().mean().backward()
    optimiser.step()
print(time.perf_counter() - started)
"""


OPENING = """
import io, time
FIRST
import numpy as np
from PIL import Image
from torchvision import models
rng, files = np.random.default_rng(0), []
for photo in rng.integers(0, 256, (16, 15, 20, 3), np.uint8).repeat(25, axis=1).repeat(25, axis=2):
    files.append(io.BytesIO())
    Image.fromarray(photo).save(files[-1], "JPEG")
preset = models.ResNet18_Weights.IMAGENET1K_V1.transforms()
for repeat in range(3):
    if repeat == 1:
        started = time.perf_counter()
    [preset(Image.open(file).convert("RGB")) for file in files]
print(time.perf_counter() - started)
"""
OPENINGS = {
    "torch as it comes": "import torch",
    "lib before torch": "from lib import embedding",
    "torch before lib": "import torch\nfrom lib import embedding",
}


def test_opening_photos_one_by_one_beside_a_busy_process(benchmark):
    programs = {way: OPENING.replace("FIRST", first) for way, first in OPENINGS.items()}
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        runs = [{way: seconds(program) for way, program in programs.items()} for _ in range(ROUNDS)]
    finally:
        busy.kill()
        busy.wait()
    ms = {way: 1000 * median(run[way] for run in runs) / 32 for way in programs}
    as_it_comes = ms["torch as it comes"]
    for way, each in ms.items():
        print(f"\n{way}: {each:.1f} ms an image, {as_it_comes / each:.1f} times as fast as torch as it comes", end="")
    benchmark.pedantic(seconds, args=(programs["lib before torch"],), rounds=1)
    if os.cpu_count() <= 4:
        assert max(ms["lib before torch"], ms["torch before lib"]) < as_it_comes / 1.5


def seconds(program, **variables):
    """What the program says it took, in a process with these variables."""
    without = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = without | {"OMP_NUM_THREADS": str(os.cpu_count())} | variables
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.parametrize("beside", ["nothing", "a busy process"])
def test_sleeping_against_spinning_threads(benchmark, beside):
    busy = [] if beside == "nothing" else [subprocess.Popen([sys.executable, "-c", "while True: pass"])]
    try:
        runs = [
            (seconds(TRAINING, GOMP_SPINCOUNT="300000"), seconds(TRAINING, GOMP_SPINCOUNT="1000"))
            for _ in range(ROUNDS)
        ]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    spinning, sleeping = (1000 * median(each) / STEPS for each in zip(*runs, strict=True))
    print(
        f"\nbeside {beside}: a step takes {spinning:.1f} ms with spinning threads, {sleeping:.1f} ms with sleeping "
        f"ones, {spinning / sleeping:.2f} times as long"
    )
    benchmark.extra_info["spinning over sleeping"] = spinning / sleeping
    benchmark.pedantic(seconds, args=(TRAINING,), kwargs={"GOMP_SPINCOUNT": "1000"}, rounds=1)
    if busy and os.cpu_count() <= 4:  # with many cores there may always be a free one
        assert spinning > 1.5 * sleeping
