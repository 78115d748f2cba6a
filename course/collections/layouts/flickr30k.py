"""Flickr30k in Karpathy's split (dataset_flickr30k.json): 29,000 / 1,014 / 1,000."""

import json

from course.collections.layouts.files import find
from course.collections.layouts.flickr8k import captioned

SPLITS = {"train": "train", "restval": "train", "val": "validation", "test": "test"}


def read(sources, skip_missing=False):
    """Splits and captions are both in the JSON file."""
    path = find(sources, "dataset_flickr30k.json")
    splits, captions = {"train": [], "validation": [], "test": []}, {}
    try:
        for entry in json.loads(path.read_text(encoding="utf-8"))["images"]:
            splits[SPLITS[entry["split"]]].append(entry["filename"])
            captions[entry["filename"]] = [sentence["raw"].strip() for sentence in entry["sentences"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected Karpathy's images with split, filename, sentences: {error!r}") from error
    return captioned(sources, splits, captions, path, skip_missing)
