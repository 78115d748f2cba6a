"""Finding and reading official files, for all layouts."""

import os
import re

import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png")
DEPTH = 5  # folders below the sources in which a file is looked for


def levels(sources):
    """The folders given, then those one below, and so on, without hidden ones and what systems leave (__MACOSX)."""
    level = [source for source in sources if source.is_dir()]
    for _ in range(DEPTH + 1):
        yield level
        level = [folder / name for folder in level for name in folders(folder)]


def folders(folder):
    """Names of the folders in a folder, sorted."""
    entries = os.scandir(folder)
    return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__MACOSX")))


def photos(folder):
    """Names of the photos in a folder, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    names = [entry.name for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")]
    return sorted(name for name in names if name.lower().endswith(SUFFIXES))


def find(sources, name):
    """The file of this name that is nearest to the top."""
    for level in ([source.parent for source in sources if source.is_file()], *levels(sources)):
        hits = sorted({folder / name for folder in level if (folder / name).is_file()})
        if len(hits) > 1:
            raise ValueError(f"expected one {name}, got {hits[0]} and {hits[1]}")
        if hits:
            return hits[0]
    raise ValueError(f"expected {name}, found none in {', '.join(map(str, sources))}")


def class_root(sources, pattern):
    """The folder nearest to the top whose folder train/ has class folders with names like `pattern` and photos."""
    for level in levels(sources):
        for folder in level:
            classes = folders(folder / "train") if (folder / "train").is_dir() else []
            classes = [name for name in classes if re.fullmatch(pattern, name)]
            if classes and photos(folder / "train" / classes[0]):  # ImageNet's annotations have the same folders
                return folder
    raise ValueError(f"expected train/ with class folders, found none in {', '.join(map(str, sources))}")


def photo_folder(sources, names):
    """The folder that holds most of the first 20 photos named, nearest to the top."""
    candidates = [folder for level in levels(sources) for folder in level]
    return max(candidates, key=lambda folder: sum((folder / name).is_file() for name in names[:20]))


def lines(path):
    """(number from 1, text) of the lines that are not empty. Only line breaks end a line, no form feed."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # -sig: an editor may have put a mark first
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8: {error}") from error
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def present(table, files, listing, skip_missing):
    """(rows whose file is there, their files, the names of the others); ValueError unless those may be skipped."""
    there = np.array([file.is_file() for file in files], bool)
    missing = [f"{file.parent.name}/{file.name}" for file, is_there in zip(files, there, strict=True) if not is_there]
    if missing and not skip_missing:
        some = ", ".join([*missing[:5], *(["..."] if len(missing) > 5 else [])])
        counts = f"{len(missing):,} of the {len(files):,} images in it are missing"
        raise ValueError(f"{listing}: {counts} ({some}); -o skip_missing=true leaves them out")
    return table[there], [file for file, is_there in zip(files, there, strict=True) if is_there], missing


def chosen(known, wanted, path):
    """The classes wanted, sorted: all for None; ValueError for one that is not known."""
    unknown = sorted(set(wanted or ()) - set(known))
    if unknown or wanted == []:
        some = ", ".join(sorted(known)[:5])
        raise ValueError(f"{path}: expected some of its {len(known)} classes ({some}, ...), got {unknown[:5]}")
    return sorted(known if wanted is None else set(wanted))
