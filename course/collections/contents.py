"""What a prepared collection will hold, and how it is written.

Contents: `Contents`, which the official layouts return; `write`, which copies or shrinks the images into a folder.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from course.collections.download import require_space


@dataclass
class Contents:
    """A collection before any of its files is written.

    tables    split -> DataFrame, the future metadata.csv
    images    path in the collection -> the file to copy, or a function that returns the image to save as PNG
    extra     path in the collection -> a further table (classes.csv, mask_labels.csv)
    links     path in the collection -> the folder it points to, for collections too large to copy
    left_out  images that are listed but missing, where leaving them out was asked for
    notes     sentences on how the splits were made and what was not taken
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    images: dict[str, Path | Callable[[], Image.Image]] = field(default_factory=dict)
    extra: dict[str, pd.DataFrame] = field(default_factory=dict)
    links: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self):
        """Images in each split."""
        return {split: len(table) for split, table in self.tables.items()}

    def add(self, split, table, sources):
        """Add a split: its table, and for each row the file or function its image comes from."""
        self.tables[split] = table
        self.images |= {f"{split}/{name}": source for name, source in zip(table["file_name"], sources, strict=True)}


def write(contents, folder, long_side=None, movable=None):
    """Write `contents` into the empty folder `folder`.

    long_side: shrink photos to this many pixels (Lanczos, JPEG quality 95) and masks with them (nearest neighbour);
    None copies every byte. movable: a folder whose files may be moved instead of copied, such as an unpacked archive.
    Raises OSError for a full disk before the first photo is written, ValueError for a broken photo to be shrunk.
    """
    files = [source for source in contents.images.values() if isinstance(source, Path)]
    copied = [file for file in files if movable is None or not file.is_relative_to(movable)]
    require_space(folder, sum(file.stat().st_size for file in copied), f"the photos of {folder.name}")
    for split in contents.tables:
        (folder / split).mkdir()
    metadata = {f"{split}/metadata.csv": table for split, table in contents.tables.items()}
    for name, table in {**metadata, **contents.extra}.items():
        table.to_csv(folder / name, index=False, lineterminator="\n")
    for name, target in contents.links.items():
        (folder / name).symlink_to(target.resolve(), target_is_directory=True)
    for parent in {(folder / name).parent for name in contents.images}:
        parent.mkdir(parents=True, exist_ok=True)
    for name, source in tqdm(contents.images.items(), desc="writing", unit="image", leave=False, disable=None):
        if not isinstance(source, Path):
            _shrunk(source(), long_side, Image.Resampling.NEAREST).save(folder / name, format="PNG")
        elif long_side is not None:
            _copy_shrunk(source, folder / name, long_side)
        elif movable is not None and source.is_relative_to(movable):
            shutil.move(source, folder / name)
        else:
            shutil.copyfile(source, folder / name)


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
        raise ValueError(f"{source} could not be shrunk: {error}") from error
