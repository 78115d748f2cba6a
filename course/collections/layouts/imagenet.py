"""ImageNet (ILSVRC 2012): train/<wnid>/*.JPEG, and val/ with class folders or with LOC_val_solution.csv."""

import csv

import pandas as pd

from course.collections.contents import Contents
from course.collections.layouts.files import chosen, class_root, find, folders, photos, present
from course.collections.layouts.wordnet import class_tree


def read(sources, classes=None, per_class=None, tree=None):
    """classes: these only. per_class: of each the first so many by name, in both splits. tree: as for Tiny ImageNet."""
    root = class_root(sources, r"n\d{8}")
    classes = chosen(folders(root / "train"), classes, root / "train")
    flat = None if folders(root / "val") else find(sources, "LOC_val_solution.csv")
    contents = linked(root, classes, per_class, flat)
    if tree:
        contents.extra["classes.csv"] = class_tree(tree, find(sources, "words.txt"), classes)
    return contents


def linked(root, classes, per_class, flat=None):
    """Contents whose photos are linked: <split>/metadata.csv refers to <split>/images, a link to the official folder.

    flat: the table of a val/ without class folders.
    """
    contents = Contents(notes=["the photos are linked, not copied"])
    for split, name in (("train", "train"), ("validation", "val")):
        listing = flat if name == "val" else None
        found = _solved(listing) if listing else {label: photos(root / name / label) for label in classes}
        without = sorted(label for label in classes if not found.get(label))
        if without:
            raise ValueError(f"{root / name}: no image of {len(without)} classes, first {without[0]}")
        pairs = [(photo, label) for label in classes for photo in found[label][:per_class]]
        rows = [(f"images/{photo}" if listing else f"images/{label}/{photo}", label) for photo, label in pairs]
        contents.tables[split] = table = pd.DataFrame(rows, columns=["file_name", "label"])
        if listing:
            present(table, [root / name / photo for photo, _ in pairs], listing, skip_missing=False)
        contents.links[f"{split}/images"] = root / name
    return contents


def _solved(path):
    """class -> its validation images, from the table with the columns ImageId and PredictionString."""
    found = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["PredictionString"].split()[0], []).append(f"{row['ImageId']}.JPEG")
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: expected ImageId and PredictionString (class first) in every row") from error
    return {label: sorted(names) for label, names in found.items()}
