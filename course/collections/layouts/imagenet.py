"""ImageNet (ILSVRC 2012): train/<wnid>/*.JPEG and val/<wnid>/*.JPEG."""

import pandas as pd

from course.collections.contents import Contents
from course.collections.layouts.files import chosen, class_root, find, folders, photos
from course.collections.layouts.wordnet import class_tree


def read(sources, classes=None, per_class=None, tree=None):
    """classes: these only. per_class: of each the first so many by name, in both splits. tree: as for Tiny ImageNet."""
    root = class_root(sources, r"n\d{8}")
    contents = linked(root, classes, per_class)
    if tree:
        classes = sorted(set(contents.tables["train"]["label"]))
        contents.extra["classes.csv"] = class_tree(tree, find(sources, "words.txt"), classes)
    return contents


def linked(root, classes, per_class):
    """Contents of linked photos: <split>/metadata.csv refers to <split>/images, a link to the official folder."""
    classes = chosen(folders(root / "train"), classes, root / "train")
    contents = Contents(notes=["the photos are linked, not copied"])
    for split, name in (("train", "train"), ("validation", "val")):
        rows = []
        for label in classes:
            found = photos(root / name / label)[:per_class]
            if not found:
                raise ValueError(f"{root / name}: expected a folder of images for each class, found none for {label}")
            rows += [(f"images/{label}/{photo}", label) for photo in found]
        contents.tables[split] = pd.DataFrame(rows, columns=["file_name", "label"])
        contents.links[f"{split}/images"] = root / name
    return contents
