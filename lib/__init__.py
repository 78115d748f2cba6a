"""A course in image retrieval: one file per idea. Each says which others to copy with it, most of them none."""

import os
import sys

if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    # Threads of torch that wait sleep soon, instead of spinning at full load on the core that others need. It is read
    # when torch is loaded; where torch came first, embedding.py does it in another way.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
