"""A course in image retrieval: one file per idea. Each says which others to copy with it, most of them none."""

import ctypes
import os
import sys

if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    # Threads of torch that wait sleep soon, instead of spinning at full load on the core that others need. It is read
    # when torch is loaded; where torch came first, embedding.py does it in another way.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def keep_freed_memory():
    """Let glibc keep up to 2 GB of freed memory for the next map of a network, unless a MALLOC_... variable is set.

    Otherwise large blocks go back to the system at once, and Linux clears each new one, while the network waits
    (benchmarks/test_bench_memory.py says how long). Blocks above 32 MB that do not fit into what is kept still go back.
    Was it done? False where there is no mallopt.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    settings = {-3: 1 << 25, -1: 2**31 - 1, -2: 1 << 28}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD of malloc.h
    return all([mallopt(*each) for each in settings.items()])


keep_freed_memory()
