"""A network in plain torch with freed memory kept, as `lib` asks glibc for, against freed memory given back.

    pytest benchmarks/test_bench_memory.py --benchmark-enable -s

A batch of photos makes maps of tens of megabytes in each layer. glibc's malloc gets blocks of this size from the system
and returns them as soon as they are freed, and Linux fills every page with zeros before it gives it away again. So a
layer waits for memory that the layer before it has just returned. `import lib` lets malloc keep it (lib/__init__.py),
and the runner does so for every kernel. Small batches need it less, which is why `embed` computes 8 photos of 224 x 224
pixels at a time on a CPU.

Each side is a process of its own, in turns; the times are the shortest of the rounds.
"""

import os
import subprocess
import sys

import pytest

ROUNDS = 3
PROGRAM = """
import resource, sys, time
import lib, timm, torch
network = timm.create_model(sys.argv[1]).eval().to(memory_format=torch.channels_last)
batch = torch.randn(int(sys.argv[2]), 3, 224, 224).contiguous(memory_format=torch.channels_last)
times = []
for _ in range(4):
    start = time.perf_counter()
    with torch.inference_mode():
        network(batch)
    times.append(time.perf_counter() - start)
print(min(times[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measured(name, size, **variables):
    """Seconds a batch, and the most memory that the process had (MB)."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    command = [sys.executable, "-c", PROGRAM, name, str(size)]
    done = subprocess.run(command, env=plain | variables, capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
@pytest.mark.parametrize("size", [32, 8])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50"])
def test_kept_against_given_back(benchmark, name, size):
    # a variable of glibc keeps `lib` from changing anything; this one is glibc's own default
    runs = [(measured(name, size, MALLOC_PERTURB_="0"), measured(name, size)) for _ in range(ROUNDS)]
    (back, back_mb), (kept, kept_mb) = (map(min, zip(*side, strict=True)) for side in zip(*runs, strict=True))
    print(
        f"\n{name}, {size} photos: {1000 * back / size:.1f} ms a photo with memory given back, "
        f"{1000 * kept / size:.1f} ms with memory kept: {back / kept:.2f} times as fast; "
        f"at most {back_mb:.0f} and {kept_mb:.0f} MB"
    )
    benchmark.extra_info["given back over kept"] = back / kept
    benchmark.pedantic(measured, args=(name, size), rounds=1)
