"""Two workers share the cores (`make test`): threads that wait sleep, and leave the cores to the other worker.

Set before torch is loaded. By default waiting threads spin, see benchmarks/test_bench_waiting.py.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
