"""Flickr8k: the photos, Flickr8k.token.txt with five captions each, and the lists of the official splits."""

import re

import pandas as pd

from course.collections.contents import Contents
from course.collections.layouts.files import find, lines, photo_folder, present

LISTS = {"train": "trainImages", "validation": "devImages", "test": "testImages"}


def read(sources, skip_missing=False):
    """Photos that no list names (92 of 8,092) are not taken. Captions are in the order #0 to #4."""
    path, splits = find(sources, "Flickr8k.token.txt"), {}
    for split, name in LISTS.items():
        listing = find(sources, f"Flickr_8k.{name}.txt")
        splits[split] = [line.strip() for _, line in lines(listing)]
    return captioned(sources, splits, _captions(path), path, skip_missing)


def _captions(path):
    """photo -> its captions in the order of their numbers, from lines `photo#number<tab>caption`."""
    numbered = {}
    for number, line in lines(path):
        found = re.fullmatch(r"([^#\t]+)#(\d+)\t(.*)", line)
        if not found:
            raise ValueError(f"{path}, line {number}: expected photo#number, tab, caption, got {line[:60]!r}")
        numbered.setdefault(found[1], {})[int(found[2])] = found[3].strip()
    return {photo: [captions[n] for n in sorted(captions)] for photo, captions in numbered.items()}


def captioned(sources, splits, captions, listing, skip_missing):
    """Contents of photos with captions. Every photo must have as many as the others."""
    names = [name for photos in splits.values() for name in photos]
    without = [name for name in names if name not in captions]
    if without:
        raise ValueError(f"{listing}: no caption of {len(without)} photos, first {without[0]}")
    counts = {len(captions[name]) for name in names} or {0}
    if len(counts) != 1:
        raise ValueError(f"{listing}: expected as many captions a photo, got {min(counts)} to {max(counts)}")
    columns = ["file_name", *(f"caption_{n}" for n in range(1, counts.pop() + 1))]
    folder, contents = photo_folder(sources, names), Contents()
    for split, photos in splits.items():
        table = pd.DataFrame([[name, *captions[name]] for name in sorted(photos)], columns=columns)
        files = [folder / name for name in table["file_name"]]
        table, files, left_out = present(table, files, listing, skip_missing)
        contents.add(split, table, files)
        contents.left_out += left_out
    return contents
