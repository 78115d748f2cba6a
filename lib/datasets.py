"""Collections of images: found by name or folder, read lazily, checked.

A collection is a folder that Hugging Face's `imagefolder` loader reads as it is:

    <collection>/<split>/metadata.csv      one row an image, with a `file_name` column
    <collection>/<split>/...               the images, at `file_name` relative to the table
    <collection>/classes.csv               the tree of classes (class, parent, name, leaf), where there is one
    <collection>/mask_labels.csv           what a pixel value of the masks means, where there are masks

Columns with a meaning: `label` (one class), `labels` (several, joined with |), `caption_1`, `caption_2`, ...,
`mask_file_name`. All others are attributes. The table may also lie at the root, without split folders.
Your own photos need no table: class folders (`photos/cat/1.jpg`), the same below split folders
(`photos/train/cat/1.jpg`), or just photos.

Contents: `load(name_or_folder, split)` -> `Collection`; `known()`, the collections that the course has a page for.
Needs numpy, pandas, Pillow and tqdm. Copy this file alone: it imports nothing of its neighbours.
"""

import csv
import os
import re
import sys
import tomllib
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from tqdm.auto import tqdm

FITS = ("squash", "crop", "pad")
MAX_PIXELS = 80_000_000  # an image that claims to be larger is refused before a pixel of it is decoded
SPLIT_FOLDERS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "unseen")  # in this order
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # no format that starts another program, as EPS does
_TEXT_COLUMN = re.compile(r"file_name|mask_file_name|labels|split|caption_\d+")
_NUMBER = r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?"  # 007 is a name; so is what an int64 cannot hold
_COLLECTIONS_TOML = Path(__file__).resolve().parent.parent / "data" / "collections.toml"


def load(name_or_folder, split=None):
    """The collection of this name or in this folder: all its splits, or one of them.

    A path (`Path`, or text with a slash in it) is the folder itself. A bare name is looked up in the folders of
    $RETRIEVAL_DATA (several are joined as in $PATH), then in `data/` of the nearest parent of the working directory
    that has one, then in the working directory. Only the tables are read, no image.

    Tables are read as text. Nothing turns into NaN by its spelling: "NA" and "None" stay words, a missing word is "".
    A column whose every value is a number becomes numeric, with NaN where one is missing (a `label` only if none is);
    the type is decided over all splits, so that it does not depend on `split`. A collection without split folders, and
    without a `split` column of its own, is one split called "train", as `imagefolder` has it.

    Raises ValueError for an unknown name, an unknown split, or a table that is not sound (no `file_name`, a name twice,
    a path that leaves the folder, a row too long or too short, no row at all); FileNotFoundError for a folder that is
    not there, or a known collection that is not here yet.

    >>> import tempfile
    >>> from PIL import Image
    >>> photos = Path(tempfile.mkdtemp()) / "photos"
    >>> for name, colour in {"sea/1.png": (0, 0, 255), "wood/1.png": (0, 128, 0), "wood/2.png": (0, 99, 0)}.items():
    ...     (photos / name).parent.mkdir(parents=True, exist_ok=True)
    ...     Image.new("RGB", (40, 30), colour).save(photos / name)
    >>> collection = load(photos)
    >>> collection
    Collection 'photos': 3 images (train 3), columns: file_name, label, split
    >>> collection.table["label"].tolist()
    ['sea', 'wood', 'wood']
    >>> collection.image(1).shape, collection.images(8)[:, 0, 0].tolist()
    ((30, 40, 3), [[0, 0, 255], [0, 128, 0], [0, 99, 0]])
    """
    folder = _find(name_or_folder)
    table, parents = _read_folder(folder)
    collection = Collection(folder.name, folder, table, parents, _distinct_labels(table))
    if split is None:
        return collection
    splits = table["split"].unique().tolist()
    if split not in splits:
        raise ValueError(f"{folder} has no split {split!r}; it has: {', '.join(splits)} (or None for all)")
    return collection.subset((table["split"] == split).to_numpy())


def known():
    """The collections that the course has a page for: name -> title, splits, terms, citation, how_to_get.

    Read from data/collections.toml of the course; empty where this file was copied alone.
    """
    if not _COLLECTIONS_TOML.is_file():
        return {}
    return tomllib.loads(_COLLECTIONS_TOML.read_text(encoding="utf-8"))


class Collection:
    """Images with a table: row i of `table` is about image i. Made by `load`; narrowed by `subset`.

    name, folder    of the collection
    table           DataFrame, index 0..n-1: the columns of metadata.csv and `split`
    paths           the n paths of the images
    """

    def __init__(self, name, folder, table, parents, label_names=()):
        """parents: for each row the folder that its file names are relative to."""
        if len(table) != len(parents):
            raise ValueError(f"a table of {len(table)} rows and {len(parents)} parents: one a row is needed")
        self.name = name
        self.folder = Path(folder)
        self.table = table
        self.paths = [parent / file_name for parent, file_name in zip(parents, table["file_name"], strict=True)]
        self._parents = list(parents)
        self._label_names = tuple(label_names)

    def __len__(self):
        return len(self.paths)

    def __repr__(self):
        counts = self.table["split"].value_counts(sort=False)
        splits = ", ".join(f"{split} {count:,}" for split, count in counts.items()) or "none"
        return f"Collection {self.name!r}: {len(self):,} images ({splits}), columns: {', '.join(self.table.columns)}"

    def subset(self, rows):
        """The collection of these rows only, in the order given: row numbers, or a bool mask of length n.

        Its table is numbered from 0 again; a row may come twice. Label names (`label_sets`) stay those of the whole.
        """
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise ValueError(f"a bool mask of shape {rows.shape}; a collection of {len(self)} needs ({len(self)},)")
            rows = np.flatnonzero(rows)
        elif rows.size == 0:
            rows = np.zeros(0, np.int64)
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(
                f"rows of shape {rows.shape} and type {rows.dtype}; row numbers (m,) or a bool mask are allowed"
            )
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise ValueError(f"rows from {rows.min()} to {rows.max()}; allowed are 0 to {len(self) - 1}")
        table = self.table.iloc[rows].reset_index(drop=True)
        return Collection(self.name, self.folder, table, [self._parents[row] for row in rows], self._label_names)

    def image(self, i):
        """Image i at its own size: uint8 (h, w, 3), RGB.

        Turned upright as its EXIF tag says. Grey becomes three equal channels; 16-bit grey keeps its upper 8 bits;
        a palette is looked up; what is transparent is laid on white; of an animation the first frame is taken.
        ValueError, naming the file and the cause, for one that is missing, truncated, no image, or above MAX_PIXELS.
        """
        return np.asarray(_open_rgb(self.paths[self._row(i)]))

    def images(self, size, fit="squash", grey=False, progress=True):
        """All images at one size: uint8 (n, size, size, 3), RGB, row i from image i.

        fit: "squash" scales both sides to `size`; "crop" takes the central square; "pad" keeps the whole image,
        centred on white. Scaling is bilinear over the area covered. grey: the luma (ITU-R 601) in all three channels.
        progress: a bar in a terminal and in Jupyter, none where the output is a file; TQDM_DISABLE=1 turns it off.

        ValueError that counts and names the broken ones, if there are any. No row is ever left out: `check` gives the
        collection without them.
        """
        size = _checked_size(size)
        if fit not in FITS:
            raise ValueError(f"fit={fit!r}; allowed: {', '.join(FITS)}")
        pixels = np.empty((len(self), size, size, 3), np.uint8)

        def read(row):
            pixels[row] = _fitted(_open_rgb(self.paths[row], size), size, fit, grey)

        _raise_broken(self, _each(read, len(self), f"{self.name} at {size} px", progress), "check() gives the others")
        return pixels

    def check(self, progress=True):
        """Open every image. Returns (readable, broken): the collection of those that can be read, a table of the rest.

        broken: DataFrame with `row` (in this collection), `file_name`, `split`, `cause`; no row where all is well.
        """
        causes = _each(lambda row: _open_rgb(self.paths[row]), len(self), f"{self.name}: check", progress)
        rows = sorted(causes)
        broken = self.table.iloc[rows][["file_name", "split"]].reset_index(drop=True)
        broken.insert(0, "row", np.array(rows, np.int64))
        broken["cause"] = [causes[row] for row in rows]
        return self.subset(np.setdiff1d(np.arange(len(self)), rows)), broken

    def mask(self, i):
        """Mask i at its own size: uint8 (h, w), pixel values as stored (of a palette image its indices)."""
        return np.asarray(_open_mask(self._mask_paths([self._row(i)])[0]))

    def masks(self, size, fit="squash", progress=True):
        """All masks at one size: uint8 (n, size, size), by nearest neighbour, so that no value is mixed.

        fit: as for `images`, with 0 around a padded mask. ValueError if a row has no mask, with how to keep the rest.
        """
        size = _checked_size(size)
        if fit not in FITS:
            raise ValueError(f"fit={fit!r}; allowed: {', '.join(FITS)}")
        paths = self._mask_paths(range(len(self)))
        values = np.empty((len(self), size, size), np.uint8)

        def read(row):
            values[row] = _fitted(_open_mask(paths[row]), size, fit, resample=Image.Resampling.NEAREST, padding=0)

        _raise_broken(self, _each(read, len(self), f"{self.name}: masks at {size} px", progress), "of their masks")
        return values

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
        """The labels of each image as (bool (n, L), list of L names). An image without labels has a row of False.

        names: the labels asked for, in this order; others are left out. By default all that occur anywhere in the
        collection, sorted, so that the columns of its training and test split are the same.
        """
        if "labels" not in self.table:
            raise ValueError(f"{self.name} has no column `labels` (joined with |); it has: {', '.join(self.table)}")
        names = list(self._label_names if names is None else names)
        unknown = sorted(set(names) - set(self._label_names))
        if unknown or len(set(names)) < len(names):
            raise ValueError(f"names={names} (unknown: {unknown}); allowed, each once: {', '.join(self._label_names)}")
        column = {name: j for j, name in enumerate(names)}
        label_sets = np.zeros((len(self), len(names)), bool)
        for row, labels in enumerate(self.table["labels"]):
            label_sets[row, [column[label] for label in labels.split("|") if label in column]] = True
        return label_sets, names

    @cached_property
    def hierarchy(self):
        """The tree of classes: DataFrame of class, parent ("" for a root), name, leaf (bool). None if there is none."""
        path = self.folder / "classes.csv"
        if not path.is_file():
            return None
        tree = _read_csv(path, needed=("class", "parent", "name", "leaf"))
        orphans = sorted(set(tree["parent"]) - set(tree["class"]) - {""})
        if orphans:
            raise ValueError(f"{path}: parents that are no class: {', '.join(orphans[:5])}")
        if tree["class"].duplicated().any():
            raise ValueError(f"{path}: class {tree['class'][tree['class'].duplicated()].iloc[0]!r} comes twice")
        if not tree["leaf"].isin(["0", "1"]).all():
            raise ValueError(f"{path}: leaf must be 0 or 1, it has: {', '.join(sorted(set(tree['leaf']))[:5])}")
        return tree.assign(leaf=tree["leaf"] == "1")

    @cached_property
    def mask_labels(self):
        """What each pixel value of the masks means: dict from value to name, as mask_labels.csv has it."""
        path = self.folder / "mask_labels.csv"
        if not path.is_file():
            raise ValueError(f"{self.name} has no mask_labels.csv in {self.folder}")
        table = _read_csv(path)
        if len(table.columns) < 2 or not table.iloc[:, 0].str.fullmatch(r"\d{1,3}").all():
            raise ValueError(
                f"{path}: its first two columns must be the pixel value and its name; it has: {list(table)}"
            )
        return {int(value): name for value, name in zip(table.iloc[:, 0], table.iloc[:, 1], strict=True)}

    def _row(self, i):
        if not 0 <= i < len(self):
            raise ValueError(f"row {i}; {self.name} has rows 0 to {len(self) - 1}")
        return i

    def _mask_paths(self, rows):
        if "mask_file_name" not in self.table:
            raise ValueError(f"{self.name} has no masks (no column mask_file_name); it has: {', '.join(self.table)}")
        names = self.table["mask_file_name"]
        without = [row for row in rows if not names[row]]
        if without:
            raise ValueError(
                f"{len(without):,} of {len(rows):,} rows of {self.name} have no mask, the first is row {without[0]}; "
                "keep those that have: c.subset(c.table['mask_file_name'] != '')"
            )
        return [self._parents[row] / names[row] for row in rows]


# --- finding a collection -------------------------------------------------------------------------


def _find(name_or_folder):
    """The folder meant by a name or a path."""
    text = os.fspath(name_or_folder)
    if isinstance(name_or_folder, Path) or any(mark in text for mark in "/\\~") or text in ("", ".", ".."):
        folder = Path(text).expanduser().resolve()
        if not text or not folder.is_dir():
            raise FileNotFoundError(f"{text!r} is no folder")
        return folder
    places = _places()
    for place in places:
        if (place / text).is_dir():
            return (place / text).resolve()
    looked = "\n".join(f"  {place / text}" for place in places)
    hint = "" if os.environ.get("RETRIEVAL_DATA") else "\n$RETRIEVAL_DATA, a folder of collections, is not set."
    pages = known()
    if text in pages:
        page = pages[text]
        how = page["how_to_get"].strip()
        raise FileNotFoundError(f"{text} ({page['title']}) is not here. {how}\nLooked for:\n{looked}{hint}")
    here = {child.name for place in places[:-1] if place.is_dir() for child in place.iterdir() if child.is_dir()}
    names = ", ".join(sorted(pages.keys() | {name for name in here if not name.startswith((".", "_"))})) or "none"
    raise ValueError(f"no collection {text!r}. Known: {names}\nLooked for:\n{looked}{hint}")


def _places():
    """The folders in which a collection is looked for by its name, in this order."""
    places = [Path(place).expanduser() for place in os.environ.get("RETRIEVAL_DATA", "").split(os.pathsep) if place]
    here = Path.cwd()
    places += [parent / "data" for parent in (here, *here.parents) if (parent / "data").is_dir()][:1]
    return [*places, here]


# --- reading the tables ---------------------------------------------------------------------------


def _read_folder(folder):
    """The table of a collection with its `split` column, and for each row the folder its file names are relative to."""
    folders = sorted(_folders_in(folder), key=lambda child: (_split_order(child), child.name))
    splits = [child for child in folders if (child / "metadata.csv").is_file()]
    at_root = (folder / "metadata.csv").is_file()
    if at_root and splits:
        raise ValueError(f"{folder}: metadata.csv lies at the root and in {splits[0].name}/; one of the two is allowed")
    if not at_root and not splits:
        table, parents = _read_plain(folder, folders)
    elif at_root:
        table = _read_metadata(folder / "metadata.csv")
        table = table if "split" in table else table.assign(split="train")
        if (table["split"] == "").any():
            raise ValueError(f"{folder / 'metadata.csv'}: {(table['split'] == '').sum()} rows have an empty split")
        parents = [folder] * len(table)
    else:
        without = [child.name for child in folders if child not in splits and child.name in SPLIT_FOLDERS]
        if without:
            raise ValueError(f"{folder}: no metadata.csv in {', '.join(without)}/, but one in {splits[0].name}/")
        tables = [_read_metadata(child / "metadata.csv") for child in splits]
        for child, part in zip(splits, tables, strict=True):
            if "split" in part and (part["split"] != child.name).any():
                raise ValueError(
                    f"{child / 'metadata.csv'}: its column `split` does not say {child.name!r} in every row"
                )
        tables = [part.assign(split=child.name) for child, part in zip(splits, tables, strict=True)]
        # A column that one split lacks is empty there, as any missing word is.
        table = pd.concat(tables, ignore_index=True).fillna("")
        table = table[[column for column in table if column != "split"] + ["split"]]
        parents = [child for child, part in zip(splits, tables, strict=True) for _ in range(len(part))]
    if not len(table):
        raise ValueError(f"{folder}: its table has no row")
    return _with_numbers(table), parents


def _read_plain(folder, folders):
    """The table of a folder of class folders, of split folders with class folders, or of photos alone."""
    splits = [child for child in folders if child.name.lower() in SPLIT_FOLDERS]
    if splits and len(splits) < len(folders):
        others = ", ".join(child.name for child in folders if child not in splits)
        raise ValueError(f"{folder}: split folders ({', '.join(c.name for c in splits)}) beside others ({others})")
    rows, left_out = [], []
    for root, split in [(child, child.name) for child in splits] or [(folder, "train")]:
        photos = _photos(root, left_out)
        classes = sorted(_folders_in(root)) if splits else folders
        if photos and classes:
            raise ValueError(f"{root}: photos beside folders; put each photo into one, or write a metadata.csv")
        rows += [(name, "", split, root) for name in photos]
        for child in classes:
            deeper = _folders_in(child)
            if deeper:
                raise ValueError(
                    f"{child}: a class folder with a folder in it ({deeper[0].name}/); photos lie in theirs"
                )
            inside = _photos(child, left_out)
            if not inside:
                raise ValueError(f"{child}: a class folder without a photo ({', '.join(SUFFIXES)})")
            rows += [(f"{child.name}/{name}", child.name, split, root) for name in inside]
    if not rows:
        raise ValueError(
            f"{folder}: no metadata.csv, and no photo ({', '.join(SUFFIXES)}) in it, in class or in split folders"
        )
    labelled = {bool(label) for _, label, _, _ in rows}
    if len(labelled) == 2:
        raise ValueError(f"{folder}: some splits have class folders and some have not")
    if left_out:
        some = ", ".join(str(path.relative_to(folder)) for path in left_out[:5])
        warnings.warn(f"{folder}: {len(left_out)} files are no photos and left out: {some}", stacklevel=4)
    table = pd.DataFrame(rows, columns=["file_name", "label", "split", "parent"])
    parents = table.pop("parent").tolist()
    return table if True in labelled else table.drop(columns="label"), parents


def _folders_in(folder):
    """The folders in a folder, but for hidden ones and those that systems leave behind (__MACOSX)."""
    return [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith((".", "_"))]


def _split_order(folder):
    return SPLIT_FOLDERS.index(folder.name.lower()) if folder.name.lower() in SPLIT_FOLDERS else len(SPLIT_FOLDERS)


def _photos(folder, left_out):
    """The names of the photos in a folder, sorted; paths of visible files that are none are appended to `left_out`."""
    files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    left_out += [entry for entry in files if entry.suffix.lower() not in (*SUFFIXES, ".csv", ".md", ".txt")]
    return [entry.name for entry in files if entry.suffix.lower() in SUFFIXES]


def _read_csv(path, needed=()):
    """A CSV file as a DataFrame of text, every row as long as the header. ValueError names the file and the line."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # -sig: a spreadsheet may have put a mark first
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = []
            for row in reader:
                if row and len(row) != len(header):
                    raise ValueError(f"line {reader.line_num} has {len(row)} values, the header has {len(header)}")
                if row:
                    rows.append(row)
    except (csv.Error, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise ValueError(f"{path}: {error}") from error
    missing = [column for column in needed if column not in header]
    if missing or len(set(header)) < len(header):
        wrong = f"no column {', '.join(missing)}" if missing else "a column comes twice"
        raise ValueError(f"{path}: {wrong}; its columns are: {', '.join(header) or 'none'}")
    return pd.DataFrame(rows, columns=header, dtype=str)


def _read_metadata(path):
    table = _read_csv(path, needed=("file_name",))
    for column in ("file_name", "mask_file_name"):
        for line, name in enumerate(table.get(column, ()), 2):
            if (not name and column == "file_name") or _leaves(name):
                raise ValueError(
                    f"{path}, row {line - 1}: {column} {name!r}; a path below {path.parent.name}/ is allowed"
                )
    twice = table["file_name"].duplicated()
    if twice.any():
        raise ValueError(
            f"{path}: {twice.sum()} file names come twice, the first is {table['file_name'][twice].iloc[0]!r}"
        )
    return table


def _leaves(name):
    """Whether a path in a table is not plainly one below its folder, on any system."""
    return (
        name.startswith(("/", "~"))
        or "\\" in name
        or ".." in name.split("/")
        or re.match(r"[A-Za-z]:", name) is not None
    )


def _with_numbers(table):
    """The table with every column of numbers as numbers. File names, `labels` and captions stay text in any case."""
    numeric = {}
    for column in table.columns:
        if _TEXT_COLUMN.fullmatch(column):
            continue
        filled = table[column][table[column] != ""]
        if column == "label" and len(filled) < len(table):
            continue
        if len(filled) and filled.str.fullmatch(_NUMBER).all():
            numeric[column] = pd.to_numeric(table[column].where(table[column] != "", None))
    return table.assign(**numeric)


def _distinct_labels(table):
    if "labels" not in table:
        return ()
    return sorted({label for labels in table["labels"].unique() for label in labels.split("|")} - {""})


# --- reading pixels -------------------------------------------------------------------------------


def _open(path, decode):
    """decode(image) of an opened and measured image; whatever is wrong with the file becomes one ValueError."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are read")
            return decode(image)
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise anything from SyntaxError to struct.error on broken bytes
        cause = "no such file" if isinstance(error, FileNotFoundError) else _cause(path, error)
        raise ValueError(f"{path}: {cause}") from error


def _cause(path, error):
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        return "empty, 0 bytes"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"no image of a format that is read ({', '.join(_FORMATS)})"
    return str(error) or type(error).__name__


def _open_rgb(path, size=None):
    """The image upright in RGB. size: a JPEG may be decoded smaller, but never below 3 x size on its shorter side."""

    def decode(image):
        if size is not None:
            # Decoding at 1/2, 1/4 or 1/8 saves most of the time on photos of a camera; the margin of 3 keeps the
            # scaled picture within a grey level or two of the one that is scaled from all pixels.
            image.draft(None, (3 * size, 3 * size))
        return _to_rgb(ImageOps.exif_transpose(image))

    return _open(path, decode)


def _to_rgb(image):
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise ValueError(
                f"pixels of mode {image.mode} from {values.min()} to {values.max()}; 8 or 16 bits are read"
            )
        return Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _open_mask(path):
    def decode(image):
        if image.mode not in ("P", "L"):
            raise ValueError(f"a mask of mode {image.mode}; one value a pixel, 8 bits (L or P), is allowed")
        return Image.fromarray(np.asarray(image))  # of a palette image the indices, now as plain values

    return _open(path, decode)


def _fitted(image, size, fit, grey=False, resample=Image.Resampling.BILINEAR, padding=255):
    """The pixels of an image fitted into (size, size)."""
    width, height = image.size
    box, inner, corner = (0, 0, width, height), (size, size), (0, 0)
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    elif fit == "pad":
        scale = size / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        corner = ((size - inner[0]) // 2, (size - inner[1]) // 2)
    if image.size != (size, size):
        image = image.resize(inner, resample, box=box)
    if grey:
        image = image.convert("L").convert("RGB")
    pixels = np.asarray(image)
    if inner == (size, size):
        return pixels
    framed = np.full((size, size, *pixels.shape[2:]), padding, np.uint8)
    framed[corner[1] : corner[1] + inner[1], corner[0] : corner[0] + inner[0]] = pixels
    return framed


def _checked_size(size):
    if not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"size={size!r}; a whole number of pixels, 1 or more, is allowed")
    return int(size)


def _each(read, n, title, progress, rows_a_task=32):
    """read(row) of every row, in threads, with a progress bar. Returns the causes of those that failed: row -> text."""

    def read_some(start):
        failed = {}
        stop = min(start + rows_a_task, n)
        for row in range(start, stop):
            try:
                read(row)
            except ValueError as error:
                failed[row] = str(error)
        return stop - start, failed

    # A bar is for someone who looks on. With its output in a file, tqdm would write a line a step; and its bar for
    # notebooks does not read TQDM_DISABLE by itself.
    shown = progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    shown = shown and os.environ.get("TQDM_DISABLE", "0") in ("", "0")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool, causes = ThreadPoolExecutor(min(threads, 16)), {}  # decoding and scaling release Python's lock
    try:
        with tqdm(total=n, desc=title, unit="image", leave=False, disable=not shown) as bar:
            for done, failed in pool.map(read_some, range(0, n, rows_a_task)):
                bar.update(done)
                causes.update(failed)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted cell does not go on reading
    return causes


def _raise_broken(collection, causes, advice):
    if causes:
        some = "\n".join(f"  row {row}: {causes[row]}" for row in sorted(causes)[:5])
        more = f"\n  and {len(causes) - 5:,} more" if len(causes) > 5 else ""
        raise ValueError(
            f"{len(causes):,} of {len(collection):,} of {collection.name} are broken ({advice}):\n{some}{more}"
        )
