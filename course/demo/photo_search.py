"""A library of photos that can be searched by an image or by words: described, indexed and searched, without the page.

Each method gives an embedding; it is centred and rotated (PCA), so that its first coordinates tell most and it can be
cut. What describes a photo is kept in data/features, as in the notebooks. All methods are safe to call from several
threads: one image at a time is decoded and described, which also bounds the memory that many users take.
"""

import io
import tempfile
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from course.demo import words
from lib import backbones, cache, collection, descriptors, images, indexes, matryoshka

BACKBONE = "efficientnet_lite0"
COLOUR, SHAPE, NETWORK = "colour (HSV histogram)", "shape (HOG)", "network ({})"
SIZE, SMALL = 160, 96  # pixels a side, for the network and for colour and shape
DIMENSIONS = (4, 16, 64, 256)
COLOUR_WEIGHT = 0.5  # of three tried: red things for "red", and still shoes for "shoes"
EXACT, SHORTLIST = "exact (flat)", "shortlist by 16 dimensions"
KINDS = {"KD-tree": "kd-tree", "LSH": "lsh", "HNSW": "hnsw", "IVF-PQ": "ivf-pq"}
MOST_BYTES, MOST_PIXELS = 20_000_000, 40_000_000  # of an uploaded image
MOST_INDEX_BYTES = 1_000_000_000  # kept in memory, the last used ones


class Space(NamedTuple):
    """Embeddings float32 (n, d) of one method, and what gives that of a query, (1, d): of an image or of a text."""

    embeddings: np.ndarray
    describe: Callable  # of uint8 (h, w, 3), or of a text where words are searched with


class Answers(NamedTuple):
    rows: list  # of the library, best first
    distances: list  # 1 - cosine
    describe_ms: float
    search_ms: float
    recall: float  # the share of the exact answers that is among these
    index_bytes: int


class Rotation:
    """Rows less their mean, along their principal directions, the one of most variance first."""

    def __init__(self, rows):
        sample = rows[:: max(1, len(rows) // 10_000)].astype(np.float64)
        self.mean = sample.mean(axis=0)
        variances, directions = np.linalg.eigh((sample - self.mean).T @ (sample - self.mean))
        order = np.argsort(-variances, kind="stable")
        is_used = variances[order] > 1e-9 * max(variances.max(), 1e-30)
        self.directions = directions[:, order[: max(1, is_used.sum())]]

    def __call__(self, rows):
        """float32 (n, d). A row that equals the mean gets the first direction: it has none of its own."""
        rotated = np.ascontiguousarray((rows - self.mean) @ self.directions, np.float32)
        rotated[~rotated.any(axis=1), 0] = 1.0
        return rotated


class Library:
    """Photos that open, of a collection by name or folder; `broken` is a table of those that do not."""

    def __init__(self, name_or_folder="catalogue", split=None, backbone=BACKBONE, progress=False):
        everything = collection.read(name_or_folder, split)
        self.photos, self.broken = everything.check(progress=progress)
        if not len(self.photos):
            raise ValueError(f"expected a photo that opens in {everything.folder}, found none of {len(everything)}")
        self.backbone, self.progress = backbone, progress
        self.methods = [COLOUR, SHAPE, NETWORK.format(backbone)]
        self._busy, self._building, self._short = threading.RLock(), threading.RLock(), threading.Lock()
        self._spaces, self._indexes = {}, OrderedDict()
        self._words = None

    def __len__(self):
        return len(self.photos)

    # ------------------------------------------------------------------------------------- what can be chosen

    def dimensions(self, method):
        """The numbers of coordinates that this method can be cut to, all of them last."""
        width = self.space(method).embeddings.shape[1]
        return [d for d in DIMENSIONS if d < width] + [width]

    def indexes(self, method, d):
        """The names of the indexes that this gallery is large enough for."""
        offered = [EXACT, *KINDS]
        if len(self) < 256:
            offered.remove("IVF-PQ")
        return [*offered, SHORTLIST] if d > 16 else offered

    # ------------------------------------------------------------------------------------------------- search

    def by_row(self, row, method, d, index, k):
        """The photos most like one of the library, which is itself no answer."""
        return self._search(self.space(method).embeddings[[row]], method, d, index, k, without=row)

    def by_image(self, data, method, d, index, k):
        """The photos most like an image that comes as the bytes of a file. ValueError says what is wrong with it."""
        start = time.perf_counter()
        with self._busy:
            query = self.space(method).describe(opened(data))
        return self._search(query, method, d, index, k, start=start)

    def by_words(self, text, method, d, index, k):
        """The photos that fit some words best, in a space that words and photos share: one of `words.METHODS`."""
        start, text = time.perf_counter(), words.checked(text)
        with self._busy:
            query = self.space(method).describe(text)
        return self._search(query, method, d, index, k, start=start)

    def _search(self, query, method, d, index, k, without=None, start=None):
        k, n_asked = min(k, len(self) - (without is not None)), k + (without is not None)
        if k < 1:
            return Answers([], [], 0.0, 0.0, 1.0, 0)
        describe_ms = 0.0 if start is None else 1000 * (time.perf_counter() - start)
        query, n_asked = np.ascontiguousarray(query[:, :d]), min(n_asked, len(self))
        if not query.any():
            query[0, 0] = 1.0
        (built, n_bytes), (exact, _) = self._index(method, d, index), self._index(method, d, EXACT)
        start = time.perf_counter()
        distances, rows = built.search(query, n_asked)
        search_ms = 1000 * (time.perf_counter() - start)
        wanted = exact.search(query, n_asked)[1] if built is not exact else rows
        recall = float(indexes.recall_of_neighbours(rows, wanted)[0])
        found = [(int(row), float(far)) for row, far in zip(rows[0], distances[0], strict=True) if row != without][:k]
        rows, distances = (list(part) for part in zip(*found, strict=True))
        return Answers(rows, distances, describe_ms, search_ms, recall, n_bytes)

    def _index(self, method, d, name):
        """The index, and its bytes."""
        key = method, d, name
        if (found := self._kept(key)) is not None:
            return found
        with self._building:  # who has an index does not wait for those who want another
            if (found := self._kept(key)) is not None:
                return found
            gallery = np.ascontiguousarray(self.space(method).embeddings[:, :d])
            gallery[~gallery.any(axis=1), 0] = 1.0
            built = _new_index(name, len(gallery)).fit(gallery)
            with self._short:
                self._indexes[key] = built, built.nbytes
                while len(self._indexes) > 2 and sum(n for _, n in self._indexes.values()) > MOST_INDEX_BYTES:
                    self._indexes.popitem(last=False)
                return self._indexes[key]

    def _kept(self, key):
        with self._short:
            if key in self._indexes:
                self._indexes.move_to_end(key)
            return self._indexes.get(key)

    # -------------------------------------------------------------------------------------------- embeddings

    def space(self, method):
        """The embeddings by this method: computed, or read from data/features, at the first call."""
        if method in self._spaces:
            return self._spaces[method]
        with self._busy:
            if method not in self._spaces:
                if method in words.METHODS:
                    made = Space(*self.words().space(method, self.word_rows(self.photos)))
                elif method == NETWORK.format(self.backbone):
                    made = _rotated(self.network_rows(self.photos), self._by_network)
                else:
                    describe = {COLOUR: _by_colour, SHAPE: _by_shape}[method]
                    made = _rotated(
                        self._described(self.photos, describe), lambda image: describe(_square(image, SMALL)[None])
                    )
                self._spaces[method] = made
            return self._spaces[method]

    def words(self):
        """What typed words mean, learned from the library's captions or, if it has too few, the catalogue's."""
        with self._busy:
            if self._words is None:
                self._words = words.Words(self.photos.folder, self.word_rows)
            return self._words

    def network_rows(self, photos):
        """What the network gives for photos: float32 (n, d)."""
        key = {"size": SIZE, "fit": "crop"} | self._network.key

        def compute(rows):
            pixels = photos.subset(rows).images(SIZE, fit="crop", progress=False)
            return backbones.embed(self._network, pixels, progress=False)

        return cache.by_image(None, key, photos.paths, compute, progress=self.progress)

    def word_rows(self, photos):
        """What words are matched with: the network's rows, which lose much of the colours, and colours beside them."""
        network = self.network_rows(photos)
        network /= np.linalg.norm(network, axis=1, keepdims=True)
        return np.hstack([network, COLOUR_WEIGHT * self._described(photos, _by_colour)])

    def _by_network(self, image):
        return backbones.embed(self._network, _square(image, SIZE)[None], progress=False)

    @property
    def _network(self):
        return _loaded(self.backbone)

    def _described(self, photos, describe):
        """The rows of a descriptor, kept as those of the network are."""

        def compute(rows):
            return describe(photos.subset(rows).images(SMALL, fit="crop", progress=False))

        key = {"demo": describe.__name__, "size": SMALL, "fit": "crop"}
        return cache.by_image(None, key, photos.paths, compute, progress=self.progress)

    # -------------------------------------------------------------------------------------------- what is shown

    def thumbnail(self, row, side):
        """A photo of the library as a JPEG of at most so many pixels a side, which the page shows as it is: bytes."""
        return _thumbnail(str(self.photos.paths[row]), side)

    def name(self, row):
        """The label of a photo, or its file name where it has none: text as it was given, to be escaped where shown."""
        label = self.photos.table["label"].iloc[row] if "label" in self.photos.table else ""
        return str(label) or Path(self.photos.paths[row]).name


def opened(data):
    """The pixels of an image file's bytes: uint8 (h, w, 3), RGB, upright. ValueError says what is wrong with it."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"the file has {len(data) / 1e6:,.1f} MB; at most {MOST_BYTES / 1e6:,.0f} MB are read")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(data)
        try:
            with Image.open(io.BytesIO(data), formats=images.FORMATS) as header:
                width, height = header.size
        except Exception:  # lib says it better
            width, height = 0, 0
        if width * height > MOST_PIXELS:
            raise ValueError(f"the image has {width:,} x {height:,} pixels; at most {MOST_PIXELS:,} in all are read")
        try:
            return images.read(path)
        except ValueError as error:
            raise ValueError(str(error).removeprefix(f"{path}: ")) from error


def small(data, side):
    """The image of a file's bytes as a small JPEG: bytes."""
    return _as_jpeg(opened(data), side)


def _square(image, size):
    """The central square of an image at a size: uint8 (size, size, 3)."""
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=box))


def _by_colour(pixels):
    return descriptors.colour_histogram(pixels, square_root=True)


def _by_shape(pixels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", descriptors.FlatImagesWarning)  # an image of one colour may be asked for
        return descriptors.hog(pixels, cell=16)


def _rotated(rows, describe):
    rotation = Rotation(rows)
    return Space(rotation(rows), lambda image: rotation(describe(image)))


def _new_index(name, n):
    if name == EXACT:
        return indexes.FlatIndex("cosine")
    if name == SHORTLIST:
        return matryoshka.Funnel([(16, min(n, 200))])
    return indexes.KINDS[KINDS[name]]("cosine")


@lru_cache(maxsize=2)
def _loaded(backbone):
    return backbones.load(backbone, image_size=SIZE, device="cpu")


@lru_cache(maxsize=4000)
def _thumbnail(path, side):
    return _as_jpeg(images.read(path), side)


def _as_jpeg(pixels, side):
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    image.save(buffer := io.BytesIO(), "JPEG", quality=88)
    return buffer.getvalue()
