"""Clothing photos (A. Grigorev's clothing-dataset-small): train/, validation/ and test/, each with class folders."""

import pandas as pd

from course.collections.contents import Contents
from course.collections.layouts.files import class_root, folders, photos


def read(sources):
    """The published split, classes in alphabetical order."""
    root = class_root(sources, ".+")
    contents, classes = Contents(), folders(root / "train")
    for split in ("train", "validation", "test"):
        found = folders(root / split) if (root / split).is_dir() else []
        if found != classes:
            raise ValueError(f"{root / split}: expected the classes {', '.join(classes)}, got {', '.join(found)}")
        rows = [(f"{label}/{name}", label) for label in classes for name in photos(root / split / label)]
        table = pd.DataFrame(rows, columns=["file_name", "label"])
        contents.add(split, table, [root / split / name for name in table["file_name"]])
    return contents
