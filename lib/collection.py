"""Collections of images: found by name or folder, read lazily, checked.

A collection is a folder that Hugging Face's `imagefolder` loader reads as it is:

    <collection>/<split>/metadata.csv      one row an image; `file_name` is relative to this table
    <collection>/classes.csv               the tree of classes (class, parent, name, leaf), where there is one
    <collection>/mask_labels.csv           what a pixel value of the masks means, where there are masks

Columns with a meaning: `label` (one class), `labels` (several, joined with |), `caption_1`, `caption_2`, ...,
`mask_file_name`. All others are attributes. The table may also lie at the root, without split folders. Your own photos
need no table: class folders (`photos/cat/1.jpg`), the same in split folders (`photos/train/cat/1.jpg`), or just photos.

Needs numpy, pandas, Pillow and tqdm. Copy with: images.py, metadata.py.
"""

import os
import re
import tomllib
import warnings
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd

try:
    from lib import images, metadata
except ModuleNotFoundError:  # copied beside this file
    import images
    import metadata

SPLIT_FOLDERS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "unseen")  # in this order

_DRAWN = ("catalogue", "catalogue-probes")  # collections that are drawn by the course itself
_NOT_PHOTOS = ("classes.csv", "mask_labels.csv", "license", "readme.md", "readme.txt", "thumbs.db", "desktop.ini")
_COLLECTIONS_TOML = Path(__file__).resolve().parent.parent / "data" / "collections.toml"


def read(name_or_folder, split=None):
    """The collection of this name or in this folder: all its splits, or one of them. Only tables are read, no image.

    A path (`Path`, or text with a slash in it) is the folder itself. A bare name is looked up in the folders of
    $RETRIEVAL_DATA (joined as in $PATH), then in `data/` of the nearest parent of the working directory that has one,
    then in the working directory. Without split folders and a `split` column, all is one split called "train".

    Values are text, "" where missing ("NA" and "None" stay words); a column of numbers over all splits becomes numeric,
    with NaN where one is missing (`metadata.with_numbers`), the name of a class folder never. What is no photo is left
    out with a warning that counts and names it. ValueError for an unknown name, an unknown split, or an unsound table;
    FileNotFoundError for a folder that does not exist, or a known collection that is not here yet.
    >>> import tempfile
    >>> from PIL import Image
    >>> photos = Path(tempfile.mkdtemp()) / "photos"
    >>> for name, colour in {"sea/1.png": (0, 0, 255), "wood/1.png": (0, 128, 0)}.items():
    ...     (photos / name).parent.mkdir(parents=True, exist_ok=True)
    ...     Image.new("RGB", (40, 30), colour).save(photos / name)
    >>> collection = read(photos)
    >>> collection
    Collection 'photos': 2 images (train 2), columns: file_name, label, split
    >>> collection.where("label", "wood").images(8)[:, 0, 0].tolist()
    [[0, 128, 0]]
    """
    folder = _find(name_or_folder)
    table, parents = _read_folder(folder)
    label_names = sorted({label for labels in table.get("labels", ()) for label in labels.split("|")} - {""})
    collection = Collection(folder.name, folder, table, parents, label_names)
    if split is None:
        return collection
    splits = table["split"].unique().tolist()
    if split not in splits:
        raise ValueError(f"{folder} has no split {split!r}; it has: {', '.join(splits)} (or None for all)")
    return collection.where("split", split)


def known():
    """The collections in data/collections.toml of the course: name -> title, splits, terms, citation, how_to_get."""
    if not _COLLECTIONS_TOML.is_file():  # where this file was copied without it
        return {}
    return tomllib.loads(_COLLECTIONS_TOML.read_text(encoding="utf-8"))


class Collection:
    """Images with a table: row i of `table` is about image i. Made by `read`; narrowed by `where`, `sample`, `subset`.

    name, folder, paths (of the n images); table: DataFrame, index 0..n-1: the columns of metadata.csv and `split`.
    """

    def __init__(self, name, folder, table, parents, label_names=()):
        """parents: for each row the folder that its file names are relative to."""
        if len(table) != len(parents):
            raise ValueError(f"expected one parent folder a row ({len(table)}), got {len(parents)}")
        self.name, self.folder, self.table = name, Path(folder), table
        self.paths = [parent / file_name for parent, file_name in zip(parents, table["file_name"], strict=True)]
        self._parents, self._label_names = list(parents), tuple(label_names)

    def __len__(self):
        return len(self.paths)

    def __repr__(self):
        counts = self.table["split"].value_counts(sort=False)
        splits = ", ".join(f"{split} {count:,}" for split, count in counts.items()) or "none"
        return f"Collection {self.name!r}: {len(self):,} images ({splits}), columns: {', '.join(self.table.columns)}"

    def where(self, column, value):
        """The collection of the rows whose `column` is `value`, compared as text. ValueError if there is none."""
        texts = self.column(column).astype(str)
        rows = np.flatnonzero(texts == str(value))
        if not len(rows):
            has = ", ".join(map(repr, sorted(set(texts.tolist()))[:10])) or "no row"
            raise ValueError(f"{self.name} has no row with {column} {str(value)!r}; it has: {has}")
        return self.subset(rows)

    def sample(self, n, seed=0):
        """At most n rows, in random order: the first n of a permutation; None gives all of them."""
        if n is not None:
            n = images.checked_count(n, "n")
        return self.subset(np.random.default_rng(seed).permutation(len(self))[:n])

    def column(self, name):
        """The values of a column, "label" for one: (n,). ValueError if there is none, naming those there are."""
        if name not in self.table:
            raise ValueError(f"{self.name} has no column {name!r}; it has: {', '.join(self.table)}")
        return self.table[name].to_numpy()

    def subset(self, rows):
        """These rows, in this order: numbers (one may come twice) or a bool mask (n,). `label_sets` keeps its names."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise ValueError(f"expected a bool mask of shape ({len(self)},), got {rows.shape}")
            rows = np.flatnonzero(rows)
        elif rows.size == 0:
            rows = np.zeros(0, np.int64)
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(f"expected row numbers (m,) or a bool mask, got {rows.dtype} {rows.shape}")
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise ValueError(f"rows must be from 0 to {len(self) - 1}, got {rows.min()} to {rows.max()}")
        table = self.table.iloc[rows].reset_index(drop=True)
        return Collection(self.name, self.folder, table, [self._parents[row] for row in rows], self._label_names)

    def image(self, i):
        """Image i at its own size: uint8 (h, w, 3), RGB, upright, as `images.read` gives it."""
        return images.read(self.paths[self._row(i)])

    def images(self, size, fit="squash", grey=False, progress=True):
        """All images at one size: uint8 (n, size, size, 3), RGB, row i from image i.

        fit: "squash" scales both sides, "crop" the central square; bilinear over the area. grey: the luma (ITU-R 601)
        in each channel. ValueError names the broken: see `check`.
        """
        size, fit = images.checked_count(size, "size"), images.checked_fit(fit)
        read = partial(images.read_at, size=size, fit=fit, grey=grey)
        advice = "`readable, broken = collection.check()` gives the others"
        return self._read_all(self.paths, read, (size, size, 3), "photos", advice, progress)

    def check(self, progress=True):
        """(readable, broken): those that open; a DataFrame of the rest: `row` (here), `file_name`, `split`, `cause`."""
        title = f"{self.name}: check"
        causes = images.for_each(lambda row: images.read(self.paths[row]), len(self), title, progress)
        rows = sorted(causes)
        broken = self.table.iloc[rows][["file_name", "split"]].reset_index(drop=True)
        broken.insert(0, "row", np.array(rows, np.int64))
        broken["cause"] = [causes[row] for row in rows]
        return self.subset(np.setdiff1d(np.arange(len(self)), rows)), broken

    def mask(self, i):
        """Mask i at its own size: uint8 (h, w), as `images.read_mask` gives it."""
        return images.read_mask(self._mask_paths([self._row(i)])[0])

    def masks(self, size, fit="squash", progress=True):
        """uint8 (n, size, size), by nearest neighbour; fit as for `images`. ValueError if a row has none: drop it."""
        size, fit = images.checked_count(size, "size"), images.checked_fit(fit)
        read, paths = partial(images.read_mask_at, size=size, fit=fit), self._mask_paths(range(len(self)))
        advice = "leave these rows out with `collection.subset`"
        return self._read_all(paths, read, (size, size), "masks", advice, progress)

    @property
    def captions(self):
        """The captions of each image: n lists of text, in the order of the columns caption_1, caption_2, ..."""
        columns = [column for column in self.table.columns if re.fullmatch(r"caption_\d+", column)]
        if not columns:
            raise ValueError(f"{self.name} has no captions (columns caption_1, ...); it has: {', '.join(self.table)}")
        columns.sort(key=lambda column: int(column.rpartition("_")[2]))
        rows = zip(*(self.table[column] for column in columns), strict=True)
        return [[caption for caption in row if caption] for row in rows]

    def label_sets(self, names=None):
        """The labels of each image as (bool (n, L), list of L names).

        names: those asked for, in this order; by default all in the whole collection, sorted: the same in every split.
        """
        labels_of = self.column("labels")
        names = list(self._label_names if names is None else names)
        unknown = sorted(set(names) - set(self._label_names))
        if unknown or len(set(names)) < len(names):
            raise ValueError(f"names must be from {', '.join(self._label_names)}, each once, got {names}")
        column = {name: j for j, name in enumerate(names)}
        label_sets = np.zeros((len(self), len(names)), bool)
        for row, labels in enumerate(labels_of):
            label_sets[row, [column[label] for label in labels.split("|") if label in column]] = True
        return label_sets, names

    @cached_property
    def hierarchy(self):
        """The tree of classes: DataFrame of class, parent ("" for a root), name, leaf (bool). None if there is none."""
        path = self.folder / "classes.csv"
        if not path.is_file():
            return None
        tree = metadata.read_csv(path, needed=("class", "parent", "name", "leaf"))
        orphans = sorted(set(tree["parent"]) - set(tree["class"]) - {""})
        if orphans:
            raise ValueError(f"{path}: these parents are not classes: {', '.join(orphans[:5])}")
        if tree["class"].duplicated().any():
            raise ValueError(f"{path}: class {tree['class'][tree['class'].duplicated()].iloc[0]!r} appears twice")
        if not tree["leaf"].isin(["0", "1"]).all():
            raise ValueError(f"{path}: leaf must be 0 or 1, got {', '.join(sorted(set(tree['leaf']))[:5])}")
        return tree.assign(leaf=tree["leaf"] == "1")

    @cached_property
    def mask_labels(self):
        """What each pixel value of the masks means: dict from value to name, as mask_labels.csv has it."""
        path = self.folder / "mask_labels.csv"
        if not path.is_file():
            raise ValueError(f"{self.name} has no mask_labels.csv in {self.folder}")
        table = metadata.read_csv(path)
        if len(table.columns) < 2 or not table.iloc[:, 0].str.fullmatch(r"\d{1,3}").all():
            raise ValueError(f"{path}: the first two columns must be a pixel value and its name, got {list(table)}")
        return {int(value): name for value, name in zip(table.iloc[:, 0], table.iloc[:, 1], strict=True)}

    def _read_all(self, paths, read, shape, what, advice, progress):
        """read(path) of each path: uint8 (n, *shape). ValueError names the broken ones."""
        pixels = np.empty((len(paths), *shape), np.uint8)

        def read_one(row):
            pixels[row] = read(paths[row])

        causes = images.for_each(read_one, len(paths), f"{self.name}: {what} at {shape[0]} px", progress)
        if causes:  # the first of them in the first line, which a console may show alone
            first, *others = sorted(causes)
            more = "".join(f"\n  row {row}: {causes[row]}" for row in others[:4])
            more += f"\n  and {len(others) - 4:,} more" if len(others) > 4 else ""
            share = f"{len(causes):,} of {len(self):,} {what} of {self.name}"
            raise ValueError(f"{share} cannot be read; {advice}. Row {first}: {causes[first]}{more}")
        return pixels

    def _row(self, i):
        if not isinstance(i, int | np.integer) or not 0 <= i < len(self):
            raise ValueError(f"expected a row from 0 to {len(self) - 1} of {self.name}, got {i!r}")
        return int(i)

    def _mask_paths(self, rows):
        if "mask_file_name" not in self.table:
            raise ValueError(f"{self.name} has no masks (no column mask_file_name); it has: {', '.join(self.table)}")
        names = self.table["mask_file_name"]
        without = [row for row in rows if not names[row]]
        if without:
            which = f"{len(without):,} of {len(rows):,} rows of {self.name} have no mask, the first is row {without[0]}"
            raise ValueError(f"{which}; keep those that have: c.subset(c.table['mask_file_name'] != '')")
        return [self._parents[row] / names[row] for row in rows]


def _find(name_or_folder):
    text = os.fspath(name_or_folder)
    if isinstance(name_or_folder, Path) or any(mark in text for mark in "/\\~") or text in ("", ".", ".."):
        folder = Path(text).expanduser().resolve()
        if not text or not folder.is_dir():
            raise FileNotFoundError(f"expected a folder, got {text!r} (from {Path.cwd()}), which does not exist")
        return folder
    places = [Path(part).expanduser() for part in os.environ.get("RETRIEVAL_DATA", "").split(os.pathsep) if part]
    here = Path.cwd()
    places += [parent / "data" for parent in (here, *here.parents) if (parent / "data").is_dir()][:1]
    places.append(here)
    for place in places:
        if (place / text).is_dir():
            return (place / text).resolve()
    looked = "\nLooked for:\n" + "\n".join(f"  {place / text}" for place in places)
    if not os.environ.get("RETRIEVAL_DATA"):
        looked += "\n$RETRIEVAL_DATA, which names folders of collections, is not set."
    if text in _DRAWN:
        how = "run `python -m course catalogue`"
        raise FileNotFoundError(f"the collection {text} has not been drawn yet: {how}{looked}")
    pages = known()
    if text in pages:
        how = pages[text]["how_to_get"].strip()
        raise FileNotFoundError(f"{text} ({pages[text]['title']}) is not here. {how}{looked}")
    here = {child.name for place in places[:-1] if place.is_dir() for child in _folders_in(place) if _has_photos(child)}
    names = ", ".join(sorted({*_DRAWN, *pages, *here}))
    how = f"A folder of your own is given by its path, such as ./{text}{looked}"
    raise ValueError(f"no collection {text!r}. Known: {names}. {how}")


def _has_photos(folder):
    """Whether a folder looks like a collection: a table, or a photo in it or in its folders, two levels deep."""
    if any((place / "metadata.csv").is_file() for place in (folder, *_folders_in(folder))):
        return True
    found = (path for pattern in ("*", "*/*", "*/*/*") for path in folder.glob(pattern))
    return any(path.suffix.lower() in images.SUFFIXES for path in found)


def _read_folder(folder):
    """The table of a collection with its `split` column, and for each row the folder its file names are relative to."""
    order = {name: i for i, name in enumerate(SPLIT_FOLDERS)}
    folders = sorted(_folders_in(folder), key=lambda child: (order.get(child.name.lower(), len(order)), child.name))
    splits = [child for child in folders if (child / "metadata.csv").is_file()]
    at_root = (folder / "metadata.csv").is_file()
    if at_root and splits:
        raise ValueError(f"{folder}: expected metadata.csv at the root or in splits, got it also in {splits[0].name}/")
    is_plain = not at_root and not splits
    if is_plain:
        table, parents = _read_plain(folder, folders)
    elif at_root:
        table = metadata.read_metadata(folder / "metadata.csv")
        table = table if "split" in table else table.assign(split="train")
        if (table["split"] == "").any():
            raise ValueError(f"{folder / 'metadata.csv'}: {(table['split'] == '').sum()} rows have an empty split")
        parents = [folder] * len(table)
    else:
        without = [child.name for child in folders if child not in splits and child.name in SPLIT_FOLDERS]
        if without:
            raise ValueError(f"{folder}: no metadata.csv in {', '.join(without)}/, but one in {splits[0].name}/")
        tables = [metadata.read_metadata(child / "metadata.csv") for child in splits]
        for child, part in zip(splits, tables, strict=True):
            if "split" in part and (part["split"] != child.name).any():
                raise ValueError(f"{child / 'metadata.csv'}: expected {child.name!r} in every row of `split`")
        tables = [part.assign(split=child.name) for child, part in zip(splits, tables, strict=True)]
        # A column that one split lacks is empty there, as any missing word is.
        table = pd.concat(tables, ignore_index=True).fillna("")
        table = table[[column for column in table if column != "split"] + ["split"]]
        parents = [child for child, part in zip(splits, tables, strict=True) for _ in range(len(part))]
    if not len(table):
        raise ValueError(f"{folder}: its table has no row")
    # The name of a class folder is text, whatever it looks like.
    return metadata.with_numbers(table, text=("label",) if is_plain else ()), parents


def _read_plain(folder, folders):
    """The table of a folder of class folders, of split folders with class folders, or of photos alone."""
    splits = [child for child in folders if child.name.lower() in SPLIT_FOLDERS]
    if splits and len(splits) < len(folders):
        others = ", ".join(child.name for child in folders if child not in splits)
        raise ValueError(f"{folder}: split folders ({', '.join(c.name for c in splits)}) beside others ({others})")
    rows, left_out = [], []
    if splits:
        left_out += [folder / name for name in _photos(folder, left_out)]
    for root, split in [(child, child.name) for child in splits] or [(folder, "train")]:
        photos = _photos(root, left_out)
        classes = sorted(_folders_in(root)) if splits else folders
        if photos and classes:
            advice = "move each into a class folder, or write a metadata.csv"
            raise ValueError(f"{root}: {len(photos)} photos beside class folders, the first is {photos[0]}; {advice}")
        rows += [(name, "", split, root) for name in photos]
        for child in classes:
            rows += [(f"{child.name}/{name}", child.name, split, root) for name in _photos_of_class(child, left_out)]
    if not rows:
        raise ValueError(f"{folder}: no metadata.csv and no photos, {_expected_photos(left_out)}")
    is_labelled = {bool(label) for _, label, _, _ in rows}
    if len(is_labelled) == 2:
        raise ValueError(f"{folder}: some splits have class folders, others have none")
    if left_out:
        some = ", ".join(path.relative_to(folder).as_posix() + "/" * path.is_dir() for path in left_out[:5])
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        warnings.warn(f"{folder}: {len(left_out)} files or folders are left out: {some}{more}", stacklevel=4)
    table = pd.DataFrame(rows, columns=["file_name", "label", "split", "parent"])
    return table.drop(columns=["parent"] if True in is_labelled else ["parent", "label"]), table["parent"].tolist()


def _photos_of_class(folder, left_out):
    deeper = _folders_in(folder)
    if deeper:
        raise ValueError(f"{folder}: a class folder holds photos, not folders ({deeper[0].name}/)")
    n_left_out = len(left_out)
    photos = _photos(folder, left_out)
    if not photos:
        raise ValueError(f"{folder}: a class folder without photos, {_expected_photos(left_out[n_left_out:])}")
    return photos


def _expected_photos(others):
    kinds = [path.suffix for path in others if path.suffix.lower() in (".heic", ".heif", ".avif")]
    if kinds:
        verb = "file lies there; convert it" if len(kinds) == 1 else "files lie there; convert them"
        return f"but {len(kinds)} {kinds[0]} {verb} to JPEG"
    return f"expected {', '.join(images.SUFFIXES)}"


def _folders_in(folder):
    """The folders in a folder, except hidden ones, those that systems leave behind (__MACOSX)."""
    return [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith((".", "_"))]


def _photos(folder, left_out):
    """The names of the photos in a folder, sorted; what else is seen in it is appended to `left_out`."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX")))
    photos = [entry.name for entry in entries if entry.is_file() and entry.suffix.lower() in images.SUFFIXES]
    others = [entry for entry in entries if entry.is_file() and entry.suffix.lower() not in images.SUFFIXES]
    left_out += [entry for entry in others if entry.name.lower() not in _NOT_PHOTOS]
    left_out += [entry for entry in entries if entry.is_dir() and entry.name.startswith("_")]
    return photos
