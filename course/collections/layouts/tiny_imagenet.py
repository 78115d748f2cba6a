"""Tiny ImageNet: wnids.txt, words.txt, train/<wnid>/images/*.JPEG, val/images with val_annotations.txt."""

import re

import pandas as pd

from course.collections.contents import Contents
from course.collections.layouts.files import chosen, find, lines, photos, present
from course.collections.layouts.wordnet import class_tree


def read(sources, classes=None, per_class=None, tree=None, skip_missing=False):
    """classes: these only (wnids), None for all. per_class: of each class the training images numbered below it.

    tree: the file wordnet.is_a.txt, from which classes.csv is made: each class and all above it.
    """
    path = find(sources, "wnids.txt")
    root, rows = path.parent, []
    classes = chosen([line.strip() for _, line in lines(path)], classes, path)
    for wnid in classes:
        folder = root / "train" / wnid / "images"
        for photo in photos(folder):
            number = re.fullmatch(rf"{wnid}_(\d+)\.\w+", photo)
            if number is None:
                raise ValueError(f"{folder}: expected names {wnid}_<number>, got {photo}")
            if per_class is None or int(number[1]) < per_class:
                rows.append((f"{wnid}/{photo}", wnid, folder / photo))
    without = sorted(set(classes) - {wnid for _, wnid, _ in rows})
    if without:
        raise ValueError(f"{root / 'train'}: no image of {without[0]}")
    contents = Contents(notes=[] if tree else ["no classes.csv: -o tree=wordnet.is_a.txt would make one"])
    table = pd.DataFrame([row[:2] for row in rows], columns=["file_name", "label"])
    contents.add("train", table, [file for _, _, file in rows])
    annotations = find([root / "val"], "val_annotations.txt")
    pairs = [line.split("\t") for _, line in lines(annotations)]
    pairs = sorted((wnid, photo) for photo, wnid, *_ in pairs if wnid in set(classes))
    table = pd.DataFrame([(f"{wnid}/{photo}", wnid) for wnid, photo in pairs], columns=["file_name", "label"])
    files = [root / "val" / "images" / photo for _, photo in pairs]
    table, files, contents.left_out = present(table, files, annotations, skip_missing)
    contents.add("validation", table, files)
    if tree:
        contents.extra["classes.csv"] = class_tree(tree, find([root], "words.txt"), classes)
    return contents
