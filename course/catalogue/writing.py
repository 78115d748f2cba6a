"""Write the catalogue and its probes to disk, each in one step, as collections that `lib.collection` reads.

What is drawn goes into a hidden folder beside its destination and is moved there once it is complete, with a
manifest.json (parameters, a digest of all pixels). So a run that is stopped leaves nothing that a later one would
trust, and of two runs at once the first to finish stays. What is complete is found, not drawn again.
"""

import csv
import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from tqdm.auto import tqdm

from .drawing import COLUMNS, PROBES, VERSION, check, check_probe, draw, draw_probe
from .products import MASK_VALUE, SEEN, TYPES, UNSEEN
from .queries import COLUMNS as COLUMNS_OF_QUERIES
from .queries import hard_query
from .words import phrases

MIN_IMAGES = 40  # fewer would leave a split almost empty
SHARES = {"train": 0.65, "validation": 0.10, "test": 0.20, "unseen": 0.05}

_SERIAL_BELOW = 200  # images: for fewer, starting other processes takes longer than drawing
_ABANDONED_S = 3600  # seconds after which the folder of an unfinished drawing counts as left by a killed run
_MASK_PALETTE = [0, 0, 0] + [
    c for i in range(1, 64) for c in (60 + (i * 67) % 190, 60 + (i * 101) % 190, 60 + (i * 151) % 190)
]


def write(folder=None, n_images=6000, size=96, seed=0, progress=True, workers=None, n_probe=240):
    """Draw the catalogue into `folder`, and its probes beside it, unless they are there; returns the folder.

    The default folder is `data/catalogue` below the nearest parent of the working directory that has a `data` folder.
    Splits: 65 % train, 10 % validation, 20 % test, 5 % unseen, whose product types occur in no other split; a quarter
    of each are outfits. `phrases.csv` says what the phrases of the captions mean, `queries.csv` has a hard query about
    each image outside "unseen" (`queries.hard_query`). The probes (`write_probes`, `n_probe` images a factor, 0 for
    none) go into a folder of the same name with "-probes" appended. `workers` processes draw (default: one a core); the
    files do not depend on their number. progress: a bar in a terminal and in Jupyter, none where the output is a file;
    TQDM_DISABLE=1 turns it off.

    A complete catalogue with the same parameters is found, not drawn; one that lacks files or was drawn by another
    version of this package is drawn anew. Raises ValueError for parameters out of range, and if the folder holds
    anything else, such as a catalogue with other parameters.
    """
    check(size, seed)
    _check_number("n_images", n_images, MIN_IMAGES)
    _check_workers(workers)
    if n_probe:
        _check_probes(n_probe, size, seed)
    folder = default_folder() if folder is None else Path(folder)
    parameters = {"version": VERSION, "n_images": int(n_images), "size": int(size), "seed": int(seed)}

    def draw_into(drawing):
        _draw_catalogue(drawing, parameters, progress, workers)

    _put(folder, parameters, draw_into, ("", "masks"))
    if not (folder / "phrases.csv").is_file():
        _write_table(folder / "phrases.csv", ("column", "value", "phrase"), phrases())
    if not (folder / "queries.csv").is_file():  # from the plans of the images: nothing is drawn again
        jobs = [job for job in plan_images(n_images, seed) if job[0] != "unseen"]
        _write_table(folder / "queries.csv", COLUMNS_OF_QUERIES, [hard_query(*job[1:], seed) for job in jobs])
    if n_probe:
        write_probes(folder.with_name(f"{folder.name}-probes"), n_probe, size, seed, progress, workers)
    return folder


def write_probes(folder=None, n_images=240, size=96, seed=0, progress=True, workers=None):
    """Draw the images of `probe` into `folder`, unless they are there; returns the folder.

    Splits: colour, shape and texture, `n_images` each, in the order of `probe`; column `label`: the class. The default
    folder is `catalogue-probes` beside the default folder of `write`. Everything else is as in `write`.
    """
    _check_probes(n_images, size, seed)
    _check_workers(workers)
    folder = default_folder().with_name("catalogue-probes") if folder is None else Path(folder)
    parameters = {"version": VERSION, "n_images": int(n_images), "size": int(size), "seed": int(seed)}

    def draw_into(drawing):
        _draw_probes(drawing, parameters, progress, workers)

    _put(folder, parameters, draw_into, ("",))
    return folder


def default_folder():
    """`data/catalogue` below the nearest parent of the working directory that has a `data` folder, else below it."""
    here = Path.cwd()
    for parent in (here, *here.parents):
        if (parent / "data").is_dir():
            return parent / "data" / "catalogue"
    return here / "data" / "catalogue"


def plan_images(n_images, seed):
    """(split, index, type, kind) of each image: three singles to an outfit, types balanced among a split's singles."""
    counts = {name: max(1, round(share * n_images)) for name, share in SHARES.items()}
    counts["train"] = n_images - sum(n for name, n in counts.items() if name != "train")
    jobs = []
    for number, (split, n) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, 2, number])
        types = UNSEEN if split == "unseen" else SEEN
        kinds = ["single"] * (n - n // 4) + ["outfit"] * (n // 4)
        rounds = [types[j] for _ in range(n // len(types) + 2) for j in rng.permutation(len(types))]
        for i in rng.permutation(n):
            jobs.append((split, len(jobs), rounds[i], kinds[i]))
    return jobs


def _check_number(name, value, least):
    if not (isinstance(value, int | np.integer) and value >= least):
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")


def _check_workers(workers):
    if workers is not None and not (isinstance(workers, int | np.integer) and workers >= 1):
        raise ValueError(f"workers must be a positive integer, or None for one a core, got {workers!r}")


def _check_probes(n_images, size, seed):
    for factor in PROBES:
        check_probe(factor, n_images, size, seed)


# ---------------------------------------------------------------------------------------------------- what is drawn


def _draw_catalogue(folder, parameters, progress, workers):
    """The whole collection, in the folder of a drawing."""
    size, seed = parameters["size"], parameters["seed"]
    jobs = plan_images(parameters["n_images"], seed)
    splits = {name: sum(job[0] == name for job in jobs) for name in SHARES}
    for split in splits:
        (folder / split / "masks").mkdir(parents=True)
    calls = [delayed(_draw_file)(job, str(folder), size, seed) for job in jobs]
    done = _run(calls, "drawing the catalogue", progress, workers)
    for split in splits:
        rows = [row.values() for job, (row, _) in zip(jobs, done, strict=True) if job[0] == split]
        _write_table(folder / split / "metadata.csv", COLUMNS, rows)
    _write_table(folder / "classes.csv", ("class", "parent", "name", "leaf"), _tree())
    values = [(0, "background"), *((value, name) for name, value in MASK_VALUE.items())]
    _write_table(folder / "mask_labels.csv", ("value", "label"), values)
    _write_manifest(folder, parameters, splits, [digest for _, digest in done])


def _draw_file(job, folder, size, seed):
    """Draw one image of the catalogue into its two files: its row and the digest of its pixels."""
    split, index, type_name, kind = job
    image, mask, row = draw(index, type_name, kind, size, seed)
    Image.fromarray(image).save(Path(folder) / split / row["file_name"])
    picture = Image.fromarray(mask)
    picture.putpalette(_MASK_PALETTE)
    picture.save(Path(folder) / split / row["mask_file_name"])
    return row, hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()


def _draw_probes(folder, parameters, progress, workers):
    """All probes, in the folder of a drawing."""
    n, size, seed = parameters["n_images"], parameters["size"], parameters["seed"]
    jobs = [(factor, i) for factor in PROBES for i in range(n)]
    for factor in PROBES:
        (folder / factor).mkdir()
    calls = [delayed(_draw_probe_file)(job, str(folder), size, seed) for job in jobs]
    done = _run(calls, "drawing the probes", progress, workers)
    for factor in PROBES:
        rows = [row for job, (row, _) in zip(jobs, done, strict=True) if job[0] == factor]
        _write_table(folder / factor / "metadata.csv", ("file_name", "label"), rows)
    _write_manifest(folder, parameters, dict.fromkeys(PROBES, n), [digest for _, digest in done])


def _draw_probe_file(job, folder, size, seed):
    """Draw one image of the probes into its file: its row and the digest of its pixels."""
    factor, index = job
    image, label = draw_probe(factor, index, size, seed)
    name = f"{index:06d}.png"
    Image.fromarray(image).save(Path(folder) / factor / name)
    return (name, label), hashlib.sha256(image.tobytes()).hexdigest()


def _run(calls, title, progress, workers):
    """Results of the calls, in their order, from `workers` fresh processes."""
    workers = (os.cpu_count() or 1) if workers is None else workers
    pool = Parallel(1 if len(calls) < _SERIAL_BELOW else workers, batch_size=16, return_as="generator")
    shown = progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    shown = shown and os.environ.get("TQDM_DISABLE", "0") in ("", "0")  # tqdm's bar for notebooks does not read it
    return list(tqdm(pool(calls), total=len(calls), desc=title, unit="image", disable=not shown))


def _tree():
    """Rows of classes.csv, parents before children: the root, master categories, sub-categories, product types."""
    rows = [("catalogue", "", "catalogue", 0)]
    for t in TYPES.values():
        for row in ((t.category, "catalogue", t.category, 0), (t.place, t.category, t.subcategory, 0)):
            if row not in rows:
                rows.append(row)
    return rows + [(t.name, t.place, t.name, 1) for t in TYPES.values()]


def _write_table(path, header, rows):
    unfinished = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    with open(unfinished, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    os.replace(unfinished, path)


def _write_manifest(folder, parameters, splits, digests):
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    manifest = {**parameters, "splits": splits, "pixels_sha256": digest}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------------- found or put there


def _found(folder, parameters, places):
    """Whether `folder` holds this very drawing, complete: in each split, all images in each of `places`.

    Raises ValueError if something else is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    manifest_file = folder / "manifest.json"
    if not manifest_file.is_file():
        raise ValueError(
            f"expected a drawn catalogue in {folder}, found other files (no manifest.json); choose another folder"
        )
    try:
        manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"expected JSON in {manifest_file}, got {error}") from None
    there = {k: manifest.get(k) for k in parameters}
    if {**there, "version": 0} != {**parameters, "version": 0}:
        raise ValueError(
            f"expected {parameters} in {folder}, found a drawing with {there}; choose another folder or remove that one"
        )
    if there != parameters:
        return False  # drawn by another version of this package
    return all(
        (folder / split / "metadata.csv").is_file()
        and all(sum(1 for _ in (folder / split / place).glob("*.png")) == n for place in places)
        for split, n in manifest["splits"].items()
    )


def _put(folder, parameters, draw_into, places):
    """Have `draw_into` draw into a hidden folder and move it to `folder` in one step, unless it is there."""
    if _found(folder, parameters, places):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.parent.glob(f".{folder.name}-drawing-*"):
        if time.time() - abandoned.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(abandoned, ignore_errors=True)
    drawing = _beside(folder)
    drawing.mkdir()
    try:
        draw_into(drawing)
        _move_in(drawing, folder, parameters, places)
    finally:
        shutil.rmtree(drawing, ignore_errors=True)


def _beside(folder):
    return folder.parent / f".{folder.name}-drawing-{uuid.uuid4().hex}"


def _move_in(drawing, folder, parameters, places):
    """Move a finished drawing to its place; if another process was faster, keep what that one put there."""
    for _ in range(3):
        if _found(folder, parameters, places):
            return
        old = _beside(folder)
        try:
            os.rename(folder, old)  # what is empty, incomplete or older makes way
            shutil.rmtree(old, ignore_errors=True)
        except FileNotFoundError:  # the usual case: nothing is there
            pass
        try:
            os.rename(drawing, folder)
            return
        except OSError:  # it is there again
            continue
    raise OSError(f"could not move the finished drawing to {folder}")
