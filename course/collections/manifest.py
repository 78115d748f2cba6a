"""What a prepared collection says of itself, and whether it still holds.

manifest.json: from what and how it was made. files.csv: size and SHA-256 of every file, so that a later check can name
what has changed; its own digest is in manifest.json.

Contents: `read`, `seal`; `check` (a collection), `broken`.
"""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pooch

from lib import collection

MANIFEST, FILES = "manifest.json", "files.csv"


def read(folder):
    """manifest.json of a collection as a dict, {} where there is none; ValueError where it is damaged."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        in_words(facts.get("images", {}))
        facts.get("options", {}).items()
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: expected a manifest with images and options, got {error}") from error
    return facts


def seal(folder, name, asked, contents, sources):
    """Write files.csv, and manifest.json last of all."""
    _files(folder).to_csv(folder / FILES, index=False, lineterminator="\n")
    origin = [{"name": source.resolve().name} for source in sources]
    for described, source in zip(origin, sources, strict=True):
        if source.is_file():
            described |= {"bytes": source.stat().st_size, "sha256": pooch.file_hash(str(source))}
    facts = {"name": name, **asked, "images": contents.counts, "from": origin, "left_out": contents.left_out}
    facts |= {"notes": contents.notes, "date": time.strftime("%Y-%m-%d")}
    facts["digest"] = pooch.file_hash(str(folder / FILES))
    (folder / MANIFEST).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _files(folder):
    """The files of a collection but for the two that describe it: file, bytes, sha256. Links are not followed."""
    paths = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    paths = sorted(path for path in paths if path.name not in (MANIFEST, FILES))
    with ThreadPoolExecutor(8) as pool:  # reading and hashing release Python's lock
        digests = list(pool.map(lambda path: pooch.file_hash(str(path)), paths))
    rows = [(p.relative_to(folder).as_posix(), p.stat().st_size, d) for p, d in zip(paths, digests, strict=True)]
    return pd.DataFrame(rows, columns=["file", "bytes", "sha256"])


def check(folder, expected):
    """(fact, faults): a sentence on what was compared in a collection, and sentences on what is wrong with it.

    The table must be sound, the numbers of images those of its manifest, or one of `expected` where it has none, every
    image and mask must open, and every file must be as files.csv has it.
    """
    try:
        facts, photos = read(folder), collection.read(folder)
    except (ValueError, OSError) as error:
        return "", [str(error)]
    counts, faults = photos.table["split"].value_counts(sort=False).to_dict(), broken(photos)
    own = facts.get("images") or facts.get("splits")  # the drawn catalogue calls them so
    expected = [own] if own else expected
    if expected and counts not in expected:
        faults.append(f"expected {' or '.join(map(in_words, expected))} images, got {in_words(counts)}")
    if "digest" in facts:
        return f"{in_words(counts)} images opened, files compared", faults + _changed(folder, facts["digest"])
    return f"{in_words(counts)} images opened, no digests to compare with", faults


def _changed(folder, digest):
    """Sentences on the files that are not as they were when the collection was prepared."""
    path = folder / FILES
    if not path.is_file() or pooch.file_hash(str(path)) != digest:
        return [f"{FILES}: expected the one with SHA-256 {digest}, which {MANIFEST} was written with"]
    then = pd.read_csv(path, dtype=str, keep_default_na=False)
    then, now = (dict(zip(table["file"], table["sha256"], strict=True)) for table in (then, _files(folder)))
    states = {file: "missing" if file not in now else "changed" if file in then else "new" for file in {**then, **now}}
    return [f"{f}: {state} since it was prepared" for f, state in states.items() if then.get(f) != now.get(f)]


def broken(photos):
    """Sentences on the images and masks of a collection that cannot be read, and on tables that contradict others."""
    faults = [f"{row.split}/{row.file_name}: {row.cause}" for row in photos.check()[1].itertuples()]
    table, tree = photos.table, photos.hierarchy
    for i in (table.get("mask_file_name", pd.Series(dtype=str)) != "").to_numpy().nonzero()[0]:
        try:
            strange = sorted(set(photos.mask(int(i)).tobytes()) - photos.mask_labels.keys())
            faults += [f"{table['mask_file_name'][i]}: values {strange[:5]} not in mask_labels.csv"] if strange else []
        except ValueError as error:
            faults.append(str(error))
    if tree is not None and "label" in table:
        without = sorted(set(table["label"].astype(str)) - set(tree["class"][tree["leaf"]]))
        faults += [f"classes.csv: expected each label as a leaf, {without[0]} is none"] if without else []
    return faults


def in_words(counts):
    """'train 9,040, test 100' of numbers of images."""
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())
