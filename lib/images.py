"""Photos as arrays: opened safely, turned upright, in RGB, at one size. Files that cannot be read are named.

SUFFIXES are the file names that count as photos.

Needs numpy, Pillow and tqdm. Copy this file alone.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

FITS = ("squash", "crop")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # none that starts another program, as EPS does
MAX_PIXELS = 80_000_000  # an image that claims to be larger is refused before any of it is decoded
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def read(path):
    """The photo at its own size: uint8 (h, w, 3), RGB.

    It is turned upright as its EXIF tag says. Grey becomes three equal channels; 16-bit grey keeps its upper 8 bits; a
    palette is looked up; transparency is laid on white; of an animation the first frame is taken. ValueError, naming
    the file and the cause, if it is missing, truncated, no image, or above MAX_PIXELS.
    """
    return np.asarray(_open_rgb(path))


def read_at(path, size, fit="squash", grey=False):
    """The photo scaled to uint8 (size, size, 3), RGB; otherwise as `read`.

    fit: "squash" scales both sides to `size`, "crop" the central square; bilinear over the area covered. grey: the luma
    (ITU-R 601) in all three channels.
    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "wide.png")
    >>> Image.new("RGB", (8, 4), "black").save(path)
    >>> read_at(path, 2, fit="crop").shape
    (2, 2, 3)
    """
    size, fit = checked_count(size, "size"), checked_fit(fit)
    return _fitted(_open_rgb(path, size), size, fit, grey)


def read_mask(path):
    """The mask at its own size: uint8 (h, w), pixel values as stored (of a palette image, its indices)."""
    return np.asarray(_open_mask(path))


def read_mask_at(path, size, fit="squash"):
    """The mask scaled to uint8 (size, size) by nearest neighbour, so that no values are mixed."""
    size, fit = checked_count(size, "size"), checked_fit(fit)
    return _fitted(_open_mask(path), size, fit, resample=Image.Resampling.NEAREST)


def for_each(act, n, title, progress=True, rows_a_task=32):
    """Call act(row) for rows 0 to n-1, in threads. Returns the causes of those that failed: dict from row to text.

    Only a ValueError counts as a failure; any other exception is raised. progress: show a bar, if standard error is a
    terminal or this is a notebook; TQDM_DISABLE=1 turns it off.
    """

    def act_on_some(start):
        failed, stop = {}, min(start + rows_a_task, n)
        for row in range(start, stop):
            try:
                act(row)
            except ValueError as error:
                failed[row] = str(error)
        return stop - start, failed

    is_shown = progress and os.environ.get("TQDM_DISABLE", "0") in ("", "0")  # the bar for notebooks does not read it
    is_shown = is_shown and (sys.stderr.isatty() or "ipykernel" in sys.modules)  # in a file each step would be a line
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool, causes = ThreadPoolExecutor(min(threads, 16)), {}  # decoding and scaling release Python's lock
    try:
        with tqdm(total=n, desc=title, unit="image", leave=False, disable=not is_shown) as bar:
            for done, failed in pool.map(act_on_some, range(0, n, rows_a_task)):
                bar.update(done)
                causes.update(failed)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted cell does not go on reading
    return causes


def checked_count(value, name):
    """value as an int, or a ValueError: a positive integer."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return int(value)


def checked_fit(fit):
    """fit, or a ValueError: one of FITS."""
    if fit not in FITS:
        raise ValueError(f"fit must be one of {', '.join(map(repr, FITS))}, got {fit!r}")
    return fit


def _open(path, decode):
    """decode(image) of an opened and measured image; whatever is wrong with the file becomes one ValueError."""
    path = Path(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"expected at most {MAX_PIXELS:,} pixels, got {image.width} x {image.height}")
            return decode(image)
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise anything from SyntaxError to struct.error on broken bytes
        cause = str(error) or type(error).__name__
        if isinstance(error, FileNotFoundError):
            cause = "no such file"
        elif os.path.isfile(path) and os.path.getsize(path) == 0:
            cause = "empty file (0 bytes)"
        elif isinstance(error, Image.UnidentifiedImageError):
            cause = f"not an image in a supported format ({', '.join(FORMATS)})"
        raise ValueError(f"{path}: {cause}") from error


def _open_rgb(path, size=None):
    def decode(image):
        if size is not None:
            # A JPEG of a camera is decoded at 1/2, 1/4 or 1/8, which saves most of the time; the margin of 3 keeps the
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
        low, high = values.min(), values.max()
        if image.mode == "F" or low < 0 or high > 65535:
            raise ValueError(f"expected 8 or 16 bits a channel, got mode {image.mode} from {low} to {high}")
        return Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def _open_mask(path):
    def decode(image):
        if image.mode not in ("P", "L"):
            raise ValueError(f"expected a mask with one 8-bit value a pixel (mode L or P), got mode {image.mode}")
        return Image.fromarray(np.asarray(image))  # of a palette image the indices, now as plain values

    return _open(path, decode)


def _fitted(image, size, fit, grey=False, resample=Image.Resampling.BILINEAR):
    """The pixels of an image fitted into (size, size)."""
    side, box = min(image.size), None
    if fit == "crop":
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
    if image.size != (size, size):
        image = image.resize((size, size), resample, box=box)
    return np.asarray(image.convert("L").convert("RGB") if grey else image)
