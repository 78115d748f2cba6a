"""The fifteen scene categories (grey) and the eight outdoor ones (colour): class folders, or <class>_<name>.jpg.

Folders called train and test keep their split. Otherwise training images are drawn with numpy's default_rng(seed):
classes in alphabetical order, of the sorted file names the first of a permutation.
"""

import re

import numpy as np
import pandas as pd

from course.collections.contents import Contents
from course.collections.layouts.files import folders, levels, photos

OUTDOOR8 = ("coast", "forest", "highway", "insidecity", "mountain", "opencountry", "street", "tallbuilding")
SCENES15 = tuple(sorted((*OUTDOOR8, "bedroom", "industrial", "kitchen", "livingroom", "office", "store", "suburb")))


def read(sources, n_classes=15, seed=0):
    """n_classes: 15, where 100 images a class are drawn for training, as in the paper; or 8, where 70 % of them are."""
    labels = SCENES15 if n_classes == 15 else OUTDOOR8
    parts = _find(sources, labels)
    for folder, classes in parts.items():
        if set(classes) != set(labels):
            raise ValueError(f"{folder}: expected the classes {', '.join(labels)}, got {', '.join(sorted(classes))}")
    if len(parts) == 2:
        splits = dict(zip(("train", "test"), parts.values(), strict=True))
        note = "the split is that of the folders train and test"
    else:
        ((folder, found),) = parts.items()
        rng, splits = np.random.default_rng(seed), {"train": {}, "test": {}}
        for label in sorted(labels):
            n = len(found[label])
            n_train = 100 if n_classes == 15 else 7 * n // 10
            if n <= n_train:
                raise ValueError(f"{folder}: expected more than {n_train} images of {label}, got {n}")
            order = rng.permutation(n)
            for split, rows in (("train", order[:n_train]), ("test", order[n_train:])):
                splits[split][label] = [found[label][row] for row in np.sort(rows)]
        note = f"training images drawn with seed {seed}; the folder has no train and test of its own"
    contents = Contents(notes=[note])
    for split, classes in splits.items():
        files = [(label, path) for label in sorted(labels) for path in classes[label]]
        rows = [(f"{label}/{path.name}", label, int(label in OUTDOOR8)) for label, path in files]
        table = pd.DataFrame(rows, columns=["file_name", "label", "outdoor8"])
        contents.add(split, table, [path for _, path in files])
    return contents


def _find(sources, labels):
    """folder -> its classes: of the folder nearest to the top with two of the classes, or of its train and test."""
    for level in levels(sources):
        for folder in level:
            splits = [folder / split for split in ("train", "test") if (folder / split).is_dir()]
            for places in (splits, [folder]):
                parts = {place: _classes(place, labels) for place in places}
                if parts and all(len(set(classes) & set(labels)) >= 2 for classes in parts.values()):
                    return parts
    raise ValueError(f"expected class folders such as {labels[0]} and {labels[1]}, found none")


def _classes(folder, labels):
    """label -> its images, of a folder with class folders or of one with <class>_<name>.jpg in it."""
    classes = {}
    for name in folders(folder):
        if found := photos(folder / name):
            classes.setdefault(_label(name, labels), []).extend(folder / name / photo for photo in found)
    for photo in () if classes else photos(folder):
        classes.setdefault(_label(photo.partition("_")[0], labels), []).append(folder / photo)
    return classes


def _label(name, labels):
    """The class that a folder is named after (MITinsidecity, inside_city), or the name itself."""
    plain = re.sub(r"[^a-z]", "", name.lower())
    return next((label for label in (plain, re.sub(r"^(mit|cal|par)", "", plain)) if label in labels), name)
