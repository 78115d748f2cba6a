"""Fashion-MNIST: the four packed IDX files, which are also in torchvision's folder FashionMNIST/raw."""

import gzip
import zlib

import numpy as np

from course.collections.contents import Contents
from course.collections.layouts.cifar10 import add_arrays
from course.collections.layouts.files import find

LABELS = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")  # numbered 0 to 9


def read(sources):
    """Pixels are written as PNG, numbered in the official order."""
    contents = Contents()
    for split, start in (("train", "train"), ("test", "t10k")):
        paths = [find(sources, f"{start}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")]
        pixels, numbers = _idx(paths[0], 3), _idx(paths[1], 1)
        if len(pixels) != len(numbers) or numbers.max(initial=0) >= len(LABELS):
            raise ValueError(
                f"{paths[1]}: expected {len(pixels)} labels up to {len(LABELS) - 1}, "
                f"got {len(numbers)} up to {numbers.max(initial=0)}"
            )
        add_arrays(contents, split, pixels, [LABELS[number] for number in numbers])
    return contents


def _idx(path, n_axes):
    """The array of an IDX file of bytes: two zero bytes, type 8, number of axes, their lengths (big-endian), values."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} could not be unpacked: {error}") from error
    shape = np.frombuffer(raw[4 : 4 + 4 * n_axes], ">u4").astype(int)
    if raw[:4] != bytes([0, 0, 8, n_axes]) or len(raw) != 4 + 4 * n_axes + shape.prod():
        raise ValueError(f"{path}: expected an IDX file with {n_axes} axes, got {len(raw):,} bytes, {raw[:16]!r} ...")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_axes).reshape(shape)
