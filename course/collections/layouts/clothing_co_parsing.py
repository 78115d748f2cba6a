"""Clothing Co-Parsing: photos/NNNN.jpg, pixel masks for some in annotations/pixel-level, labels for the rest."""

import numpy as np
import pandas as pd
from PIL import Image

from course.collections.contents import Contents
from course.collections.layouts.files import find, present


def read(sources, skip_missing=False):
    """The labels of a photo with a mask are those in its mask, without the background ("null"), which is label 0.

    Masks are written as PNG with a palette whose index is the label's number. Reading all masks takes about a minute.
    """
    path = find(sources, "label_list.mat")
    names = [str(cell.item() if cell.size else "") for cell in _matlab(path, "label_list").ravel()]
    if not 1 <= len(names) <= 256 or any("|" in name for name in names):
        raise ValueError(f"{path}: expected 1 to 256 names without |, got {len(names)}")
    root = path.parent
    masks = {mat.stem: mat for mat in (root / "annotations" / "pixel-level").glob("*.mat")}
    tags = {mat.stem: mat for mat in (root / "annotations" / "image-level").glob("*.mat")}
    palette = [(n * 67 % 256, n * 101 % 256, n * 151 % 256) for n in range(len(names))]  # all different, 0 black
    rows, pictures = [], {}
    for stem in sorted({photo.stem for photo in (root / "photos").glob("*.jpg")} | masks.keys() | tags.keys()):
        if stem not in masks and stem not in tags:
            raise ValueError(f"{root}: photos/{stem}.jpg has no annotation")
        mat, kind = (masks[stem], "groundtruth") if stem in masks else (tags[stem], "tags")
        labels = sorted(names[number] for number in np.unique(_numbers(mat, kind, names)) if number)
        rows.append([f"{stem}.jpg", f"masks/{stem}.png" if stem in masks else "", "|".join(labels)])
        if stem in masks:
            pictures[f"masks/{stem}.png"] = lambda mat=mat: _picture(_numbers(mat, "groundtruth", names), palette)
    table = pd.DataFrame(rows, columns=["file_name", "mask_file_name", "labels"])
    files = [root / "photos" / name for name in table["file_name"]]
    table, files, left_out = present(table, files, root / "annotations", skip_missing)
    legend = [[n, name, " ".join(map(str, palette[n]))] for n, name in enumerate(names)]
    legend = pd.DataFrame(legend, columns=["label_id", "label_name", "palette_rgb"])
    contents = Contents(extra={"mask_labels.csv": legend}, left_out=left_out)
    contents.add("train", table, files)
    contents.images |= {f"train/{name}": pictures[name] for name in table["mask_file_name"] if name}
    return contents


def _matlab(path, name):
    from scipy.io import loadmat  # only this layout needs it

    try:
        return loadmat(path)[name]
    except Exception as error:  # scipy raises anything from KeyError to struct.error on broken bytes
        raise ValueError(f"{path}: expected a MATLAB file with {name!r}: {error}") from error


def _numbers(path, kind, names):
    """Label numbers, uint8: of a mask (h, w), of tags in any shape."""
    values = np.asarray(_matlab(path, kind))
    if values.ndim != 2 or values.dtype.kind not in "uif" or not np.isin(values, range(len(names))).all():
        raise ValueError(f"{path}: expected labels 0 to {len(names) - 1}, got {values.dtype} {np.unique(values)[-5:]}")
    return values.astype(np.uint8)


def _picture(numbers, palette):
    image = Image.fromarray(numbers)
    image.putpalette([part for colour in palette for part in colour])  # L becomes P, the values stay
    return image
