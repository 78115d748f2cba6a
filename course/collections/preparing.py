"""Official archives of image collections, written out in the course's layout.

    official files  --read-->  Contents (tables, images, masks, tree)  --write-->  <collection>/<split>/metadata.csv

`read(layout, sources)` looks at what was downloaded and unpacked; it opens tables and no photo. `write(contents,
folder)` copies the photos byte for byte, or shrinks them if asked. The columns are those of the course's collections,
so nothing behind `datasets.load` knows where the photos came from. What is listed but absent is counted, named and
refused, or left out where the caller says so.

Contents: `read`, `write`, `LAYOUTS` (the official layouts that are known), `Contents`.
Needs numpy, pandas, Pillow and tqdm; scipy for Clothing Co-Parsing, torchvision only for its own copy of CIFAR-10.
Copy this file alone: it imports nothing of its neighbours.
"""

import colorsys
import csv
import errno
import gzip
import inspect
import io
import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

SUFFIXES = (".jpg", ".jpeg", ".png")
OUTDOOR8 = ("coast", "forest", "highway", "insidecity", "mountain", "opencountry", "street", "tallbuilding")
SCENES15 = tuple(sorted((*OUTDOOR8, "bedroom", "industrial", "kitchen", "livingroom", "office", "store", "suburb")))
FASHION_COLUMNS = (
    "id gender masterCategory subCategory articleType baseColour season year usage productDisplayName".split()
)
FASHION_GROUP = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage")
FASHION_MNIST = (
    "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")  # numbered 0 to 9
)
CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes: the label, then red, green and blue, each row by row
MASK_COLOURS = 256

# A file that tells each layout apart. scenes15, scenes8, imagenet and places365 are known by their class folders.
MARKS = {
    "fashion-products": ("styles.csv",),
    "clothing-co-parsing": ("label_list.mat",),
    "flickr8k": ("Flickr8k.token.txt",),
    "flickr30k": ("dataset_flickr30k.json", "results_20130124.token"),
    "tiny-imagenet": ("wnids.txt",),
    "cifar10": ("data_batch_1.bin", "data_batch_1"),
    "fashion-mnist": ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"),
}
DEPTH = 5  # folders below what was given in which a file is looked for


@dataclass
class Contents:
    """What a prepared collection will hold, before a file of it is written.

    tables    split -> DataFrame, as its metadata.csv will be
    images    path in the collection -> the file to copy, or a function that gives the image to save as PNG
    texts     path in the collection -> text of a further table (classes.csv, mask_labels.csv)
    links     path in the collection -> the folder it points to, for collections too large to copy
    left_out  what is listed but absent, where leaving it out was asked for
    notes     sentences on how splits were made and what was not taken
    """

    tables: dict[str, pd.DataFrame]
    images: dict[str, Path | Callable[[], Image.Image]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    links: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self):
        """Images of each split."""
        return {split: len(table) for split, table in self.tables.items()}


def read(layout, sources, **options):
    """The `Contents` that a collection will have, from the official files of a layout.

    sources: the folder that holds them, or several folders and files (Flickr8k comes as two archives). Files are looked
    for down to five folders below, the nearest is taken. options: those of the layout, see its function in `LAYOUTS`.

    Raises ValueError for an unknown layout or option, a missing file or class, a table that is not sound, a name that
    leads out of the collection, and for images that are listed but absent unless `skip_missing` is true; each names
    what came and what is allowed.

    >>> import tempfile
    >>> official = Path(tempfile.mkdtemp())
    >>> item = "Men,Apparel,Topwear,Tshirts,Blue,Fall,2011,Casual"
    >>> rows = [",".join(FASHION_COLUMNS), f"7,{item},Tee, blue", f"8,{item},Tee"]
    >>> _ = (official / "styles.csv").write_text("\\n".join(rows))
    >>> (official / "images").mkdir()
    >>> _ = (official / "images" / "7.jpg").write_bytes(b"...")
    >>> contents = read("fashion-products", official, skip_missing=True)
    >>> contents.tables["train"][["file_name", "productDisplayName"]].values.tolist(), contents.left_out
    ([['7.jpg', 'Tee, blue']], ['images/8.jpg'])
    """
    if layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}; known are: {', '.join(LAYOUTS)}")
    function = LAYOUTS[layout]
    allowed = list(inspect.signature(function).parameters)[1:]
    unknown = sorted(options.keys() - set(allowed))
    if unknown:
        raise ValueError(f"{layout} has no option {', '.join(unknown)}; it has: {', '.join(allowed) or 'none'}")
    sources = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    sources = [Path(source).expanduser() for source in sources]
    for source in sources:
        if not source.exists():
            raise ValueError(f"{source} is neither a folder nor a file")
    contents = function(sources, **options)
    names = contents.images or [  # where the photos are linked, the tables alone have their names
        f"{split}/{name}" for split, table in contents.tables.items() for name in table["file_name"]
    ]
    for name in names:  # they come from tables that anyone may have written
        if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or "\0" in name:
            raise ValueError(f"{layout}: {name!r} leads out of the collection; plain names are allowed")
    empty = [split for split, table in contents.tables.items() if not len(table)]
    if empty:
        raise ValueError(f"{layout}: no image for {', '.join(empty)} in {_named(sources)}")
    return contents


def write(contents, folder, long_side=None, movable=None, progress=True):
    """Write `contents` into the empty folder `folder`.

    long_side: photos whose longer side has more pixels are shrunk to it (Lanczos, JPEG quality 95), masks along with
    them by nearest neighbour; None copies every byte. movable: a folder whose files nobody needs afterwards, such as an
    unpacked archive; they are moved instead of copied. progress: a bar in a terminal and in Jupyter.

    Raises OSError where the disk has too little room (before the first photo is written), ValueError for a photo that
    cannot be shrunk because it is broken.
    """
    folder = Path(folder)
    if long_side is not None and (not isinstance(long_side, int) or long_side < 1):
        raise ValueError(f"long_side={long_side!r}; a whole number of pixels, 1 or more, or None is allowed")
    files = [source for source in contents.images.values() if isinstance(source, Path)]
    copied = [file for file in files if movable is None or not file.is_relative_to(movable)]
    if copied:
        needed, free = sum(path.stat().st_size for path in copied), shutil.disk_usage(folder).free
        if needed > free:
            raise OSError(errno.ENOSPC, f"{needed / 1e9:.2f} GB of photos, {free / 1e9:.2f} GB free", str(folder))
    for split, table in contents.tables.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / split / "metadata.csv", index=False, lineterminator="\n")
    for name, text in contents.texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    for name, target in contents.links.items():
        try:
            (folder / name).symlink_to(target.resolve(), target_is_directory=True)
        except OSError as error:
            raise OSError(
                error.errno, f"cannot link to {target} (does this system allow it?)", folder / name
            ) from error
    shown = progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    shown = shown and os.environ.get("TQDM_DISABLE", "0") in ("", "0")
    made = set()
    for name, source in tqdm(contents.images.items(), desc="writing", unit="image", leave=False, disable=not shown):
        target = folder / name
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        if not isinstance(source, Path):
            _shrunk(source(), long_side, Image.Resampling.NEAREST).save(target, format="PNG")
        elif long_side is not None:
            _copy_shrunk(source, target, long_side)
        elif movable is not None and source.is_relative_to(movable):
            shutil.move(source, target)
        else:
            shutil.copyfile(source, target)


# ---- the layouts ----------------------------------------------------------------------------------------------------


def fashion_products(sources, skip_missing=False, per_group=None):
    """Fashion Product Images (Kaggle): styles.csv and images/<id>.jpg.

    Commas in product names are not quoted there, so a row is cut at its first nine commas and the rest is the name.
    per_group: keep groups of equal attributes that have at least so many photos, and of each the first so many by id.
    """
    path = _find(sources, "fashion-products", "styles.csv")
    (_, header), *lines = _lines(path) or [(1, "")]
    if header.split(",") != FASHION_COLUMNS:
        raise ValueError(f"{path}: its first line is {header!r}; {','.join(FASHION_COLUMNS)} is allowed")
    rows = []
    for number, line in lines:
        row = line.split(",", len(FASHION_COLUMNS) - 1)
        if len(row) < len(FASHION_COLUMNS) or not re.fullmatch(r"[0-9]{1,18}", row[0]):
            raise ValueError(f"{path}, line {number}: {line[:60]!r} has no id and nine values after it")
        name = row[-1]
        if len(name) > 1 and name[0] == name[-1] == '"':
            name = name[1:-1].replace('""', '"')
        rows.append([*row[:-1], name])
    table = pd.DataFrame(rows, columns=FASHION_COLUMNS, dtype=str)
    _once(table["id"], path, "id")
    table = table.iloc[table["id"].astype(np.int64).argsort(kind="stable")]
    table.insert(0, "file_name", table["id"] + ".jpg")
    files = [path.parent / "images" / name for name in table["file_name"]]
    table, files, left_out = _present(table, files, path, skip_missing)
    notes = []
    if per_group is not None:
        keep = _groups(table, per_group)
        notes.append(f"groups of equal attributes with {per_group} photos or more, the first {per_group} by id of each")
        table, files = table[keep], [file for file, kept in zip(files, keep, strict=True) if kept]
    return Contents({"train": table}, _under("train", table, files), left_out=left_out, notes=notes)


def clothing_co_parsing(sources, skip_missing=False):
    """Clothing Co-Parsing: photos/NNNN.jpg, pixel masks for some in annotations/pixel-level, labels for the rest.

    The labels of a photo with a mask are those in its mask, without the background ("null"). Masks are written as PNG
    with a palette whose index is the label's number. Reading all masks takes about a minute.
    """
    from scipy.io import loadmat  # only this layout needs it

    def values(path, name):
        try:
            return loadmat(path)[name]
        except Exception as error:  # scipy raises anything from KeyError to struct.error on broken bytes
            raise ValueError(f"{path}: no MATLAB file with {name!r}: {error}") from error

    path = _find(sources, "clothing-co-parsing", "label_list.mat")
    names = [str(cell.item() if cell.size else "") for cell in values(path, "label_list").ravel()]
    if not names or len(names) > MASK_COLOURS or any("|" in name for name in names):
        raise ValueError(f"{path}: {len(names)} labels; 1 to {MASK_COLOURS} names without | are allowed")

    def mask(mat):
        return _numbered(values(mat, "groundtruth"), names, mat, n_axes=2)

    rows, files, masks = [], [], {}
    root = path.parent
    marked = {mat.stem: mat for mat in sorted((root / "annotations" / "pixel-level").glob("*.mat"))}
    tagged = {mat.stem: mat for mat in sorted((root / "annotations" / "image-level").glob("*.mat"))}
    photos = {photo.stem for photo in (root / "photos").glob("*.jpg")}
    if not marked and not tagged:
        raise ValueError(f"{root}: no annotations/pixel-level/*.mat and no annotations/image-level/*.mat")
    palette = _colours(len(names))
    for stem in sorted(photos | marked.keys() | tagged.keys()):
        if stem not in marked and stem not in tagged:
            raise ValueError(f"{root}: photos/{stem}.jpg has no annotation")
        numbers = mask(marked[stem]) if stem in marked else _numbered(values(tagged[stem], "tags"), names, tagged[stem])
        labels = sorted(names[number] for number in np.unique(numbers) if number)
        rows.append([f"{stem}.jpg", f"masks/{stem}.png" if stem in marked else "", "|".join(labels)])
        files.append(root / "photos" / f"{stem}.jpg")
        if stem in marked:
            masks[f"{stem}.jpg"] = lambda mat=marked[stem]: _palette_image(mask(mat), palette)
    table = pd.DataFrame(rows, columns=["file_name", "mask_file_name", "labels"])
    table, files, left_out = _present(table, files, root / "annotations", skip_missing)
    images = _under("train", table, files)
    kept = set(table["file_name"])
    images |= {f"train/masks/{Path(name).stem}.png": draw for name, draw in masks.items() if name in kept}
    lines = [[n, name, " ".join(map(str, palette[n]))] for n, name in enumerate(names)]
    texts = {"mask_labels.csv": _csv(["label_id", "label_name", "palette_rgb"], lines)}
    return Contents({"train": table}, images, texts, left_out=left_out)


def flickr8k(sources, skip_missing=False):
    """Flickr8k: the photos, Flickr8k.token.txt with five captions each, and the lists of the official splits.

    Photos that no list names (92 of 8,092) are not taken. Captions are in the order #0 to #4.
    """
    path = _find(sources, "flickr8k", "Flickr8k.token.txt")
    captions = _captions(path)
    lists = {"train": "trainImages", "validation": "devImages", "test": "testImages"}
    splits = {}
    for split, name in lists.items():
        listed = _find(sources, "flickr8k", f"Flickr_8k.{name}.txt")
        splits[split] = [line.strip() for _, line in _lines(listed)]
        _once(pd.Series(splits[split], dtype=str), listed, "photo")
        without = [photo for photo in splits[split] if photo not in captions]
        if without:
            raise ValueError(f"{path}: no caption of {len(without)} photos of {listed.name}, first {without[0]}")
    photos = _photo_folder(sources, [name for names in splits.values() for name in names])
    return _captioned(splits, captions, photos, path, skip_missing)


def flickr30k(sources, skip_missing=False):
    """Flickr30k in Karpathy's split (dataset_flickr30k.json): 29,000 / 1,014 / 1,000.

    Captions are those of results_20130124.token where it is there, else those of the JSON file, which are the same.
    """
    path = _find(sources, "flickr30k", "dataset_flickr30k.json")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["images"]
        found = [
            (entry["split"], entry["filename"], [sentence["raw"].strip() for sentence in entry["sentences"]])
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not Karpathy's list of images with split, filename and sentences: {error!r}"
        ) from error
    names = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
    unknown = sorted({split for split, _, _ in found} - names.keys())
    if unknown:
        raise ValueError(f"{path}: splits {', '.join(unknown)}; allowed are {', '.join(names)}")
    _once(pd.Series([photo for _, photo, _ in found], dtype=str), path, "photo")
    splits = {"train": [], "validation": [], "test": []}
    for split, photo, _ in found:
        splits[names[split]].append(photo)
    token = _find(sources, "flickr30k", "results_20130124.token", needed=False)
    captions = _captions(token) if token else {photo: sentences for _, photo, sentences in found}
    without = [photo for _, photo, _ in found if photo not in captions]
    if without:
        raise ValueError(f"{token}: no caption of {len(without)} photos of {path.name}, first {without[0]}")
    photos = _photo_folder(sources, [photo for _, photo, _ in found])
    return _captioned(splits, captions, photos, path, skip_missing)


def scenes15(sources, seed=0):
    """The fifteen scene categories: a folder a class (MITcoast, CALsuburb, bedroom ...), grey JPEG.

    Folders called train and test keep their split. Else 100 images a class are drawn for training, as in the paper:
    numpy's default_rng(seed), classes in alphabetical order, of the sorted file names the first 100 of a permutation.
    """
    return _scenes(sources, SCENES15, seed, "scenes15", lambda sizes: dict.fromkeys(sizes, 100))


def scenes8(sources, seed=0):
    """The 8 outdoor scene categories in colour: class folders, or <class>_<name>.jpg all in one folder, 256 x 256.

    Folders called train and test keep their split (1,881 / 807 in the split that is passed around). Else 70% are drawn
    for training, 1,881 of 2,688, in proportion to the classes (largest remainders): numpy's default_rng(seed), classes
    in alphabetical order, of the sorted file names the first of a permutation. The numbers then agree with the 1,881 /
    807 split, the images do not.
    """

    def sizes_for_training(sizes):
        taken = {label: 7 * size // 10 for label, size in sizes.items()}
        more = 7 * sum(sizes.values()) // 10 - sum(taken.values())
        for label in sorted(sizes, key=lambda label: (-(7 * sizes[label] % 10), label))[:more]:
            taken[label] += 1
        return taken

    return _scenes(sources, OUTDOOR8, seed, "scenes8", sizes_for_training)


def tiny_imagenet(sources, classes=None, per_class=None, tree=None, skip_missing=False):
    """Tiny ImageNet: wnids.txt, words.txt, train/<wnid>/images/*.JPEG, val/images with val_annotations.txt.

    classes: these only (wnids); None takes all. per_class: of each class the training images numbered below it.
    tree: the file wordnet.is_a.txt, from which classes.csv is made: each class and all above it. Where WordNet gives a
    class several parents, the one that the file lists first is taken.
    """
    _one_or_more("per_class", per_class)
    path = _find(sources, "tiny-imagenet", "wnids.txt")
    root = path.parent
    classes = _chosen([line.strip() for _, line in _lines(path)], classes, path)
    rows = []
    for wnid in classes:
        photos = _photos(root / "train" / wnid / "images")
        numbers = {photo: re.fullmatch(rf"{wnid}_(\d+)", Path(photo).stem) for photo in photos}
        wrong = [photo for photo, number in numbers.items() if number is None]
        if wrong or not photos:
            cause = f"{wrong[0]} is not named {wnid}_<number>" if wrong else "no image"
            raise ValueError(f"{root / 'train' / wnid / 'images'}: {cause}")
        kept = [photo for photo in photos if per_class is None or int(numbers[photo][1]) < per_class]
        rows += [(f"{wnid}/{photo}", wnid, root / "train" / wnid / "images" / photo) for photo in kept]
    tables, images, left_out = {}, {}, []
    table = pd.DataFrame(rows, columns=["file_name", "label", "file"])
    files = table.pop("file").tolist()
    tables["train"], images = table, _under("train", table, files)
    annotations = root / "val" / "val_annotations.txt"
    if not annotations.is_file():
        raise ValueError(f"no {annotations}: the classes of the validation images")
    pairs = [line.split("\t")[:2] for _, line in _lines(annotations)]
    if any(len(pair) < 2 for pair in pairs):
        raise ValueError(f"{annotations}: a line without image, tab and class")
    pairs = sorted((wnid, photo) for photo, wnid in pairs if wnid in set(classes))
    table = pd.DataFrame([(f"{wnid}/{photo}", wnid) for wnid, photo in pairs], columns=["file_name", "label"])
    files = [root / "val" / "images" / photo for _, photo in pairs]
    table, files, left_out = _present(table, files, annotations, skip_missing)
    tables["validation"], images = table, images | _under("validation", table, files)
    texts = {"classes.csv": _class_tree(tree, root / "words.txt", classes)} if tree else {}
    notes = [] if tree else ["no classes.csv: --tree wordnet.is_a.txt would make one"]
    return Contents(tables, images, texts, left_out=left_out, notes=notes)


def cifar10(sources):
    """CIFAR-10: the binary version (data_batch_1.bin ..., test_batch.bin), or the folder that torchvision unpacked.

    The Python version is pickled, and no pickle is read here: torchvision reads it, after it has compared each of its
    files with the digest that it knows. Pixels are written as PNG, numbered in the official order.
    """
    meta = _find(sources, "cifar10", "batches.meta.txt", needed=False)
    if meta is None:
        return _array_contents(_cifar10_of_torchvision(_find(sources, "cifar10", "data_batch_1").parent))
    labels = [line.strip() for _, line in _lines(meta)]
    parts = {"train": [f"data_batch_{n}.bin" for n in range(1, 6)], "test": ["test_batch.bin"]}
    arrays = {}
    for split, names in parts.items():
        records = []
        for name in names:
            path = meta.parent / name
            raw = path.read_bytes() if path.is_file() else b""
            if not raw or len(raw) % CIFAR_RECORD:
                raise ValueError(f"{path}: {len(raw):,} bytes; whole records of {CIFAR_RECORD:,} are allowed")
            records.append(np.frombuffer(raw, np.uint8).reshape(-1, CIFAR_RECORD))
        records = np.concatenate(records)  # (n, 3073)
        if records[:, 0].max() >= len(labels):
            raise ValueError(f"{meta.parent}: class {records[:, 0].max()} in {split}, {meta.name} names {len(labels)}")
        pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # (n, 32, 32, 3)
        arrays[split] = pixels, [labels[number] for number in records[:, 0]]
    return _array_contents(arrays)


def fashion_mnist(sources):
    """Fashion-MNIST: the four IDX files, packed (.gz) or not; torchvision's folder FashionMNIST/raw is one such."""
    arrays = {}
    for split, start in (("train", "train"), ("test", "t10k")):
        parts = []
        for kind, axes in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1)):
            name = f"{start}-{kind}"
            path = _find(sources, "fashion-mnist", name, f"{name}.gz")
            parts.append(_idx(path, axes))
        pixels, numbers = parts
        if len(pixels) != len(numbers) or numbers.max(initial=0) >= len(FASHION_MNIST):
            raise ValueError(f"{path}: {len(numbers)} labels up to {numbers.max(initial=0)} for {len(pixels)} images")
        arrays[split] = pixels, [FASHION_MNIST[number] for number in numbers]
    return _array_contents(arrays)


def imagenet(sources, classes=None, per_class=None, tree=None):
    """ImageNet (ILSVRC 2012): train/<wnid>/*.JPEG, and val/ with folders of classes or with LOC_val_solution.csv.

    Nothing is copied: <split>/metadata.csv refers to <split>/images, a link to the official folder. classes, tree: as
    for `tiny_imagenet`. per_class: of each class the first so many by name, in both splits.
    """
    root = _class_root(sources, "imagenet", r"n\d{8}")
    return _linked(root, sources, classes, per_class, tree, "LOC_val_solution.csv")


def places365(sources, classes=None, per_class=None):
    """Places365-Standard, the "easy format": train/<class>/*.jpg and val/<class>/*.jpg.

    Nothing is copied: <split>/metadata.csv refers to <split>/images, a link to the official folder. classes, per_class:
    as for `imagenet`.
    """
    root = _class_root(sources, "places365", r"(?!n\d{8}$)[a-z]{2}[a-z_0-9-]*")
    return _linked(root, sources, classes, per_class, None, None)


LAYOUTS = {
    "fashion-products": fashion_products,
    "clothing-co-parsing": clothing_co_parsing,
    "flickr8k": flickr8k,
    "flickr30k": flickr30k,
    "scenes15": scenes15,
    "scenes8": scenes8,
    "tiny-imagenet": tiny_imagenet,
    "cifar10": cifar10,
    "fashion-mnist": fashion_mnist,
    "imagenet": imagenet,
    "places365": places365,
}


# ---- finding official files -----------------------------------------------------------------------------------------


def _named(sources):
    return ", ".join(str(source) for source in sources)


def _levels(sources):
    """The folders given, then those one below, and so on, but for hidden ones and what systems leave (__MACOSX)."""
    level = [source for source in sources if source.is_dir()]
    for _ in range(DEPTH + 1):
        yield level
        level = [
            Path(entry.path)
            for folder in level
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
            if entry.is_dir() and not entry.name.startswith((".", "__MACOSX"))
        ]


def _look(sources, names):
    """The file of one of these names nearest to the top. None if there is none, ValueError if two are as near."""
    given = [source for source in sources if source.is_file() and source.name in names]
    if given:
        return given[0]
    for level in _levels(sources):
        for name in names:
            hits = [folder / name for folder in level if (folder / name).is_file()]
            if len(hits) > 1:
                raise ValueError(f"{name} lies in {hits[0].parent} and in {hits[1].parent}; give the one that is meant")
            if hits:
                return hits[0]
    return None


def _find(sources, layout, *names, needed=True):
    path = _look(sources, names)
    if path is None and needed:
        raise ValueError(_not_found(sources, layout, " or ".join(names)))
    return path


def _not_found(sources, layout, what):
    others = [name for name, marks in MARKS.items() if name != layout and _look(sources, marks)]
    hint = f"; this looks like {others[0]}" if others else ""
    return f"no {what} in {_named(sources)}: not the official files of {layout}{hint}"


def _lines(path):
    """(number from 1, text) of the lines of a table that are not empty. Only line breaks end a line, no form feed."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # -sig: an editor may have put a mark first
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _photos(folder):
    """The names of the photos in a folder, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
    )


def _photo_folder(sources, names):
    """The folder that holds most of the first 20 photos named, nearest to the top."""
    some, best = names[:20], (0, sources[0])
    for level in _levels(sources):
        for folder in level:
            n = sum((folder / name).is_file() for name in some)
            best = (n, folder) if n > best[0] else best
    return best[1]


def _once(values, path, what):
    twice = values[values.duplicated()]
    if len(twice):
        raise ValueError(f"{path}: {len(twice)} times a {what} comes again, the first is {twice.iloc[0]!r}")


def _present(table, files, listing, skip_missing):
    """The rows whose file is there, their files, the names of the others; ValueError unless those may be skipped."""
    there = [file.is_file() for file in files]
    absent = [f"{file.parent.name}/{file.name}" for file, is_there in zip(files, there, strict=True) if not is_there]
    if absent and not skip_missing:
        raise ValueError(f"{_absent(absent, len(files), listing)}; skip_missing (--skip-missing) leaves them out")
    return table[np.array(there, bool)], [file for file, is_there in zip(files, there, strict=True) if is_there], absent


def _absent(names, n_listed, listing):
    more = ", ..." if len(names) > 5 else ""
    return f"{len(names):,} of {n_listed:,} images that {listing} lists are absent: {', '.join(names[:5])}{more}"


def _under(split, table, files):
    """path in the collection -> file, row for row."""
    return {f"{split}/{name}": file for name, file in zip(table["file_name"], files, strict=True)}


def _chosen(known, wanted, path):
    """The classes wanted, sorted: all if None; ValueError for one that is not known."""
    if wanted is None:
        return sorted(known)
    unknown = sorted(set(wanted) - set(known))
    if unknown or not wanted:
        which = f"unknown classes: {', '.join(unknown[:5])}" if unknown else "no class chosen"
        raise ValueError(f"{path}: {which}; allowed are its {len(known)}, such as {', '.join(sorted(known)[:5])}")
    return sorted(set(wanted))


# ---- parts of several layouts ---------------------------------------------------------------------------------------


def _one_or_more(option, number):
    if number is not None and number < 1:
        raise ValueError(f"{option}={number}; 1 or more is allowed")


def _groups(table, per_group):
    """bool (n,): the first `per_group` rows of each group of equal attributes that has so many."""
    _one_or_more("per_group", per_group)
    groups = table.groupby(list(FASHION_GROUP), sort=False)
    number, size = groups.cumcount(), groups["id"].transform("size")
    return ((size >= per_group) & (number < per_group)).tolist()


def _captions(path):
    """photo -> its captions in the order of their numbers, from lines `photo#number<tab>caption`."""
    numbered = {}
    for number, line in _lines(path):
        found = re.fullmatch(r"([^#\t]+)#(\d+)\t(.*)", line)
        if not found:
            raise ValueError(f"{path}, line {number}: {line[:60]!r} is not photo#number, tab, caption")
        numbered.setdefault(found[1], {})[int(found[2])] = found[3].strip()
    return {photo: [captions[n] for n in sorted(captions)] for photo, captions in numbered.items()}


def _captioned(splits, captions, photos, listing, skip_missing):
    """Contents of photos with captions. Every photo must have as many as the others."""
    counts = {len(captions[photo]) for names in splits.values() for photo in names}
    if len(counts) != 1:
        raise ValueError(f"{listing}: photos with {min(counts, default=0)} to {max(counts, default=0)} captions")
    columns = [f"caption_{n}" for n in range(1, counts.pop() + 1)]
    tables, images, left_out = {}, {}, []
    for split, names in splits.items():
        table = pd.DataFrame([[name, *captions[name]] for name in sorted(names)], columns=["file_name", *columns])
        files = [photos / name for name in table["file_name"]]
        tables[split], files, absent = _present(table, files, listing, skip_missing)
        images |= _under(split, tables[split], files)
        left_out += absent
    return Contents(tables, images, left_out=left_out)


def _scene(name, labels):
    """The class that a folder is named after (MITinsidecity, inside_city), or None."""
    plain = re.sub(r"[^a-z]", "", name.lower())
    return next((label for label in (plain, re.sub(r"^(mit|cal|par)", "", plain)) if label in labels), None)


def _scene_classes(folder, labels):
    """label -> paths of its images, of a folder with class folders or of one with <class>_<name>.jpg in it."""
    classes, strange = {}, []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith((".", "_")):
            label, photos = _scene(entry.name, labels), _photos(Path(entry.path))
            if label is None and photos:
                strange.append(entry.name)
            elif label:
                classes.setdefault(label, []).extend(Path(entry.path) / photo for photo in photos)
    for photo in _photos(folder) if not classes else ():
        label = _scene(photo.partition("_")[0], labels)
        if label:
            classes.setdefault(label, []).append(folder / photo)
        else:
            strange.append(photo)
    return classes, strange


def _scenes(sources, labels, seed, layout, sizes_for_training):
    folder, parts = _scene_root(sources, labels)
    if folder is None:
        raise ValueError(_not_found(sources, layout, f"folder with classes such as {labels[0]} and {labels[1]}"))
    strange = [name for part in parts.values() for name in part[1]]
    if strange:
        raise ValueError(f"{folder}: unknown class {strange[0]}; allowed are {', '.join(labels)}")
    classes = {split: part[0] for split, part in parts.items()}
    for split, found in classes.items():
        lacking = [label for label in labels if not found.get(label)]
        if lacking:
            raise ValueError(f"{folder / split if split else folder}: no image of {', '.join(lacking)}")
    if "" in classes:
        found = classes.pop("")
        taken = sizes_for_training({label: len(found[label]) for label in labels})
        rng, classes = np.random.default_rng(seed), {"train": {}, "test": {}}
        for label in sorted(labels):
            if len(found[label]) <= taken[label]:
                raise ValueError(f"{folder}: {len(found[label])} of {label}; over {taken[label]} are needed for a test")
            order = rng.permutation(len(found[label]))
            for split, rows in (("train", order[: taken[label]]), ("test", order[taken[label] :])):
                classes[split][label] = [found[label][row] for row in np.sort(rows)]
        notes = [f"training images drawn with seed {seed}; the folder has no train and test of its own"]
    else:
        notes = ["the split is that of the folders train and test"]
    tables, images = {}, {}
    for split in ("train", "test"):
        rows = [(label, path) for label in sorted(labels) for path in classes[split][label]]
        lines = [(f"{label}/{path.name}", label, int(label in OUTDOOR8)) for label, path in rows]
        tables[split] = pd.DataFrame(lines, columns=["file_name", "label", "outdoor8"])
        images |= _under(split, tables[split], [path for _, path in rows])
    return Contents(tables, images, notes=notes)


def _scene_root(sources, labels):
    """The folder nearest to the top with at least two of the classes in it, or in its folders train and test."""
    for level in _levels(sources):
        for folder in level:
            splits = [split for split in ("train", "test") if (folder / split).is_dir()]
            parts = {split: _scene_classes(folder / split, labels) for split in splits}
            if len(parts) < 2 or any(len(part[0]) < 2 for part in parts.values()):
                parts = {"": _scene_classes(folder, labels)}
            if all(len(part[0]) >= 2 for part in parts.values()):
                return folder, parts
    return None, {}


def _class_tree(is_a, words, leaves):
    """classes.csv as text: the leaves and all above them. is_a: lines `parent child`; words: `class<tab>name`."""
    parents, names = {}, {}
    for path in (Path(is_a), words):
        if not path.is_file():
            raise ValueError(f"{path} is no file; the tree of classes needs wordnet.is_a.txt and words.txt")
    for _, line in _lines(Path(is_a)):
        parent, _, child = line.strip().partition(" ")
        parents.setdefault(child, parent)
    for _, line in _lines(words):
        wnid, _, name = line.strip().partition("\t")
        names[wnid] = name
    above = set()
    for leaf in leaves:
        if leaf not in parents:
            raise ValueError(f"{is_a}: no parent of {leaf}")
        line, node = [], leaf
        while node in parents and node not in above:
            if node in line:
                raise ValueError(f"{is_a}: {node} lies above itself")
            line.append(node)
            node = parents[node]
        above |= {*line, node}
    nameless = sorted(above - names.keys())
    if nameless:
        raise ValueError(f"{words}: no name of {len(nameless)} classes, first {nameless[0]}")
    rows = [[node, parents.get(node, ""), names[node], int(node in set(leaves))] for node in sorted(above)]
    return _csv(["class", "parent", "name", "leaf"], rows)


def _class_root(sources, layout, pattern):
    """The folder nearest to the top whose folder train/ has class folders named like `pattern`."""
    level = [source for source in sources if source.is_dir()]
    for _ in range(DEPTH):
        for folder in level:
            classes = _folders(folder / "train") if (folder / "train").is_dir() else []
            classes = [name for name in classes if re.fullmatch(pattern, name)]
            if classes and _photos(folder / "train" / classes[0]):  # the annotations have the same folders, of XML
                return folder
        level = [folder / name for folder in level for name in _folders(folder) if name not in ("train", "val", "test")]
    raise ValueError(_not_found(sources, layout, "folder train/ with class folders"))


def _folders(folder):
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def _linked(root, sources, classes, per_class, tree, solution):
    _one_or_more("per_class", per_class)
    classes = _chosen(_folders(root / "train"), classes, root / "train")
    if not (root / "val").is_dir():
        raise ValueError(f"{root}: no folder val/ beside train/")
    tables, links = {}, {}
    for split, name in (("train", "train"), ("validation", "val")):
        official = root / name
        rows = [(f"{label}/{photo}", label) for label in classes for photo in _photos(official / label)]
        listing = None
        if name == "val" and not rows and solution:
            listing = _find(sources, "imagenet", solution)
            rows = _solved(listing, set(classes))
        if per_class is not None and rows:
            rows = [row for _, part in pd.DataFrame(rows).groupby(1) for row in part.head(per_class).values.tolist()]
        without = sorted(set(classes) - {label for _, label in rows})
        if without:
            raise ValueError(f"{official}: no image of {len(without)} classes, first {without[0]}")
        absent = [f"{name}/{file}" for file, _ in rows if listing and not (official / file).is_file()]
        if absent:
            raise ValueError(_absent(absent, len(rows), listing))
        table = pd.DataFrame([(f"images/{file}", label) for file, label in rows], columns=["file_name", "label"])
        tables[split], links[f"{split}/images"] = table, official
    texts = {}
    if tree:
        texts["classes.csv"] = _class_tree(tree, _find(sources, "imagenet", "words.txt"), classes)
    return Contents(tables, texts=texts, links=links, notes=["the photos are linked, not copied"])


def _solved(path, classes):
    """(file, class) of the validation images, from the table with the columns ImageId and PredictionString."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            pairs = [(row["ImageId"], row["PredictionString"].split()[0]) for row in csv.DictReader(file)]
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: ImageId and PredictionString (class first) are needed in every row") from error
    return sorted(((f"{photo}.JPEG", wnid) for photo, wnid in pairs if wnid in classes), key=lambda row: row[::-1])


# ---- arrays, masks, pixels ------------------------------------------------------------------------------------------


def _array_contents(arrays):
    """Contents of {split: (pixels (n, h, w) or (n, h, w, 3), n labels)}: <label>/<number in the split>.png"""
    tables, images = {}, {}
    for split, (pixels, labels) in arrays.items():
        names = [f"{label.replace('/', '-')}/{row:05d}.png" for row, label in enumerate(labels)]
        tables[split] = pd.DataFrame({"file_name": names, "label": labels})
        draws = [lambda picture=picture: Image.fromarray(np.ascontiguousarray(picture)) for picture in pixels]
        images |= _under(split, tables[split], draws)
    return Contents(tables, images)


def _cifar10_of_torchvision(folder):
    from torchvision.datasets import CIFAR10  # heavy, and needed for this one layout

    arrays = {}
    for split in ("train", "test"):
        try:
            official = CIFAR10(folder.parent, train=split == "train")
        except RuntimeError as error:  # a digest is not that of the official file, or the folder has another name
            raise ValueError(f"{folder}: torchvision does not take it for CIFAR-10: {error}") from error
        arrays[split] = official.data, [official.classes[number] for number in official.targets]
    return arrays


def _idx(path, n_axes):
    """The array of an IDX file of bytes: two zero bytes, type 8, number of axes, their lengths (big-endian), values."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be unpacked: {error}") from error
    start = 4 + 4 * n_axes
    if raw[:4] != bytes([0, 0, 8, n_axes]) or len(raw) < start:
        raise ValueError(f"{path}: starts with {raw[:4]!r}; an IDX file of bytes with {n_axes} axes is allowed")
    shape = np.frombuffer(raw[4:start], ">u4").astype(int)
    if len(raw) - start != shape.prod():
        raise ValueError(f"{path}: {len(raw) - start:,} values for an array of {' x '.join(map(str, shape))}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _numbered(values, names, path, n_axes=None):
    """Label numbers as uint8; ValueError for one that has no name."""
    values = np.asarray(values)
    if n_axes is None:
        values = values.ravel()
    if values.ndim != (n_axes or 1) or not values.size or values.dtype.kind not in "uif":
        raise ValueError(f"{path}: an array of shape {values.shape} and type {values.dtype}; label numbers are allowed")
    if values.min() < 0 or values.max() >= len(names) or (values != np.floor(values)).any():
        raise ValueError(f"{path}: values from {values.min()} to {values.max()}; 0 to {len(names) - 1} are labels")
    return values.astype(np.uint8)


def _colours(n):
    """n colours, black first, the others by golden-angle steps of hue: [(r, g, b)], each 0 to 255."""
    hues = [(number * 0.61803398875 % 1, 0.95 - 0.15 * (number % 3)) for number in range(1, n)]
    rest = [colorsys.hsv_to_rgb(hue, 0.8, value) for hue, value in hues]
    return [(0, 0, 0), *(tuple(round(255 * part) for part in colour) for colour in rest)]


def _palette_image(numbers, palette):
    image = Image.fromarray(numbers)
    image.putpalette([part for colour in palette for part in colour])  # L becomes P, the values stay
    return image


def _shrunk(image, long_side, resample):
    if long_side is None or max(image.size) <= long_side:
        return image
    scale = long_side / max(image.size)
    return image.resize([max(1, round(side * scale)) for side in image.size], resample)


def _copy_shrunk(source, target, long_side):
    try:
        with Image.open(source) as image:
            if max(image.size) <= long_side:
                shutil.copyfile(source, target)
                return
            options = {"quality": 95, "exif": image.getexif()} if image.format == "JPEG" else {}
            _shrunk(image, long_side, Image.Resampling.LANCZOS).save(target, format=image.format, **options)
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise anything from SyntaxError to struct.error on broken bytes
        raise ValueError(f"{source}: cannot be shrunk: {error}") from error


def _csv(header, rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
