"""Two workers share the cores (`make test`): threads that wait soon sleep and leave them to the other one.

Set before torch is loaded. By default waiting threads spin, see benchmarks/test_bench_waiting.py.
"""

import os

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
