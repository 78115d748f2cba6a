"""CIFAR-10, the binary version: data_batch_1.bin ..., test_batch.bin, batches.meta.txt. (The others are pickled.)"""

import numpy as np
import pandas as pd
from PIL import Image

from course.collections.contents import Contents
from course.collections.layouts.files import find, lines

RECORD = 1 + 3 * 32 * 32  # bytes: the label, then red, green and blue, each row by row
BATCHES = {"train": [f"data_batch_{n}.bin" for n in range(1, 6)], "test": ["test_batch.bin"]}


def read(sources):
    """Pixels are written as PNG, numbered in the official order."""
    meta = find(sources, "batches.meta.txt")
    labels = [line.strip() for _, line in lines(meta)]
    contents = Contents()
    for split, names in BATCHES.items():
        records = np.concatenate([_records(find([meta.parent], name)) for name in names])  # (n, 3073)
        if records[:, 0].max() >= len(labels):
            raise ValueError(f"{meta}: expected {records[:, 0].max() + 1} names or more, got {len(labels)}")
        pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # (n, 32, 32, 3)
        add_arrays(contents, split, pixels, [labels[number] for number in records[:, 0]])
    return contents


def add_arrays(contents, split, pixels, labels):
    """Add pictures (n, h, w) or (n, h, w, 3) with n labels, as <label>/<number in the split>.png."""
    names = [f"{label.replace('/', '-')}/{row:05d}.png" for row, label in enumerate(labels)]
    draws = [lambda picture=picture: Image.fromarray(np.ascontiguousarray(picture)) for picture in pixels]
    contents.add(split, pd.DataFrame({"file_name": names, "label": labels}), draws)


def _records(path):
    raw = path.read_bytes()
    if not raw or len(raw) % RECORD:
        raise ValueError(f"{path}: expected whole records of {RECORD:,} bytes, got {len(raw):,} bytes")
    return np.frombuffer(raw, np.uint8).reshape(-1, RECORD)
