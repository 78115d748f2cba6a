"""Your own photos looked through: everything that is wrong in a folder, in one table, with what to do about it."""

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from lib import collection, images

CAMERAS = (".heic", ".heif", ".avif", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".jxl", ".psd")
MOVING = (".mov", ".mp4", ".avi", ".mkv", ".webm", ".m4v", ".3gp")
SMALLEST = 16  # pixels a side
COLUMNS = ["file", "fault", "what to do"]
# what the cause of an unreadable photo says, and the remedy
REMEDIES = {
    "0 bytes": "copy it again, or delete it",
    "runcated": "copy it again, or delete it",
    "not an image": "it is not what its name says: delete it, or save it as JPEG",
    "pixels": "save a smaller copy",
    "bits a channel": "save it as JPEG or 8-bit PNG",
}


def check(folder: Path) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """What is in a folder of photos: a sentence, the faults that stop a notebook or lose a photo, and what to know.

    Both tables have the columns `file`, `fault` and `what to do`. Faults: photos that cannot be read, formats that are
    not, folders that cannot be understood. To know: what is left out, doubled, of one colour, tiny or alone.
    """
    faults, notes = [], []
    has_table = any(folder.glob("metadata.csv")) or any(folder.glob("*/metadata.csv"))
    if not has_table:
        _look_at_names(folder, faults, notes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is left out is told by name
        try:
            photos = collection.read(folder)
        except (ValueError, OSError) as error:
            faults.append((".", _short(error, folder), "mend this first; nothing can be read before"))
            photos = None
    if photos is not None:
        _look_at_pixels(zip(photos.paths, photos.table["file_name"], strict=True), faults, notes)
        _look_at_classes(photos, notes)
    elif not has_table:
        found = sorted(path for path in folder.rglob("[!.]*") if path.suffix.lower() in images.SUFFIXES)
        seen = [(path, path.relative_to(folder).as_posix()) for path in found if path.is_file()]
        _look_at_pixels(seen, faults, notes)
    said = f"{len(photos):,} photos, {_classes(photos)}" if photos is not None else "not readable as it is"
    return said, pd.DataFrame(faults, columns=COLUMNS), pd.DataFrame(notes, columns=COLUMNS)


def _look_at_names(folder, faults, notes):
    """Formats, links and folders, by their names alone."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            path = Path(place) / name
            shown, suffix = path.relative_to(folder).as_posix(), path.suffix.lower()
            if not path.exists():
                faults.append((shown, "a link to something that is not there", "delete the link"))
            elif suffix in CAMERAS:
                faults.append((shown, f"{suffix[1:].upper()} is not read", "save it as JPEG"))
            elif suffix in MOVING:
                notes.append((shown, "a video, left out", "nothing, or take a frame of it"))
            elif suffix not in images.SUFFIXES and name.lower() not in collection._NOT_PHOTOS:
                notes.append((shown, "no photo by its name, left out", "nothing, if it is none"))
        for name in folders:
            inside = Path(place) / name
            shown = inside.relative_to(folder).as_posix() + "/"
            if name.startswith("_"):
                notes.append((shown, "left out: its name begins with _", "rename it if it is a class"))
            elif not any(entry for entry in inside.iterdir() if not entry.name.startswith(".")):
                faults.append((shown, "an empty folder", "put photos in it, or delete it"))


def _look_at_pixels(photos, faults, notes):
    """Every photo opened once: broken, of one colour, tiny, doubled."""
    first = {}  # digest -> the first photo with these bytes
    for path, name in photos:
        try:
            pixels = images.read(path)
        except ValueError as error:
            cause = str(error).removeprefix(f"{path}: ")
            remedy = next((advice for mark, advice in REMEDIES.items() if mark in cause), "replace or delete it")
            faults.append((name, cause, remedy))
            continue
        if min(pixels.shape[:2]) < SMALLEST:
            size = f"{pixels.shape[1]} x {pixels.shape[0]} pixels"
            notes.append((name, f"only {size}", "leave it out, unless all photos are so small"))
        elif np.ptp(pixels.reshape(-1, 3), axis=0).max() == 0:
            notes.append((name, "of one colour: HOG and keypoints see nothing in it", "leave it out"))
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest in first:
            notes.append((name, f"the same file as {first[digest]}", "keep one: each is the other's best answer"))
        first.setdefault(digest, name)


def _look_at_classes(photos, notes):
    if "label" not in photos.table:
        notes.append((".", "no classes", "one folder a class lets the notebooks judge answers"))
        return
    counts = photos.table["label"].value_counts()
    if len(counts) == 1:
        notes.append((".", f"one class only: {counts.index[0]}", "without a second one every answer is right"))
    for label in counts.index[counts == 1]:
        notes.append((f"{label}/", "a class of one photo", "no other can be a right answer: add some, or drop it"))


def _classes(photos):
    n_classes = photos.table["label"].nunique() if "label" in photos.table else 0
    return f"{n_classes} class{'es' * (n_classes != 1)}" if n_classes else "no classes"


def _short(error, folder):
    return str(error).removeprefix(f"{folder}: ").replace(f"{folder}/", "")
