"""What a measured way to search would cost among more photos than it was measured on, for `matryoshka.plan` to choose.

Needs nothing. Copy this file alone.
"""

import math
from numbers import Real

GROWTH = {  # of the time of a first look, from n rows to N of them: what of the gallery the structure reads
    "all rows": lambda n, many: many / n,  # flat, bits or bytes scanned
    "lists": lambda n, many: math.sqrt(many / n),  # nprobe lists, of a number that grows with the square root
    "graph": lambda n, many: math.log(many) / math.log(n),  # a walk from level to level
}


def at_size(way, photos):
    """The same way to search among so many photos: a copy of the dict with its `ms` and `megabytes` there.

    way: rows (2 or more, on which it was measured), reads (a key of GROWTH), bytes (a photo), and milliseconds a query:
    embed_ms (to describe it), first_ms (the first look, which grows), again_ms (the second look at a shortlist, which
    does not). An estimate: mAP and shortlist are kept, though both lose as a gallery grows. ValueError: wrong numbers.
    >>> way = {"rows": 1000, "reads": "graph", "bytes": 64, "embed_ms": 5.0, "first_ms": 0.2, "again_ms": 0.1}
    >>> larger = at_size(way, 1_000_000)  # the logarithm doubles: 5 + 2 * 0.2 + 0.1
    >>> round(larger["ms"], 6), larger["megabytes"]
    (5.5, 64.0)
    """
    if way.get("reads") not in GROWTH:
        raise ValueError(f"reads must be one of {', '.join(GROWTH)}, got {way.get('reads')!r}")
    for name, least in {"photos": 2, "rows": 2, "bytes": 0, "embed_ms": 0, "first_ms": 0, "again_ms": 0}.items():
        number = photos if name == "photos" else way.get(name)
        if not isinstance(number, Real) or not least <= number < math.inf:
            raise ValueError(f"{name} must be a finite number from {least}, got {number!r}")
    grown = way["first_ms"] * GROWTH[way["reads"]](way["rows"], photos)
    return way | {"ms": way["embed_ms"] + grown + way["again_ms"], "megabytes": photos * way["bytes"] / 1e6}
