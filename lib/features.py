"""The cache of embeddings: computed once, found afterwards, whoever asks.

An entry is a folder, named by the digest of everything that went in:

    data/features/<digest of the key and n>/key.json                    the key, readable
    data/features/<the same>/rows-00000000-00000512.<digest>.npy       rows 0 to 511, float32

Each part is written to a temporary file and then moved, and carries the digest of its bytes in its name. So a run that
was killed goes on where it was; a damaged part is noticed, computed again, and said so; two processes that fill the
same entry at once do some work twice, and both end with a sound one. Nothing is ever pickled.

Contents: `cached`, the cache itself; `digest_files` and `digest_array`, what to put into its key; `entries` and
`clear`, what is there and away with it.
Needs: numpy and tqdm. Copy this file alone.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

__all__ = ["cached", "clear", "digest_array", "digest_files", "entries"]


def cached(folder, key, compute, n, part=512, progress=True):
    """The embeddings float32 (n, d) known by `key`: read where they are stored, else computed and stored.

    folder    of the cache; None: `data/features` below the nearest parent of the working directory with a `data` folder
    key       dict that JSON can hold: everything that the numbers depend on. For images through a network:
              {"images": digest_files(collection.paths), "size": 96} | backbone.key
    compute   compute(start, stop) -> embeddings (stop - start, d) of rows start to stop - 1; called for missing parts
    n         number of rows, at least 1
    part      rows in a part: what a killed run loses at most. Another value finds none of the parts stored before
    progress  a bar over the parts to compute, in a terminal and in Jupyter

    A stored part whose bytes are not those that were written is computed again, with a UserWarning that names it.
    ValueError for a key that JSON cannot hold, and for embeddings of a wrong shape or type or that are not finite
    (which rows): such a part is not stored.

    >>> numbers = lambda start, stop: np.arange(start, stop)[:, None] / [1, 2]
    >>> place = tempfile.mkdtemp()
    >>> cached(place, {"of": "doctest"}, numbers, n=3)
    array([[0. , 0. ],
           [1. , 0.5],
           [2. , 1. ]], dtype=float32)
    >>> cached(place, {"of": "doctest"}, None, n=3)[2]  # nothing is left to compute
    array([2., 1.], dtype=float32)
    """
    for name, number in (("n", n), ("part", part)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"{name} must be a whole number, at least 1; got {number!r}")
    n, part = int(n), int(part)
    entry = _entry(folder, key, n)
    embeddings = None
    bounds = [(start, min(start + part, n)) for start in range(0, n, part)]
    shown = progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    shown = shown and os.environ.get("TQDM_DISABLE", "0") in ("", "0")  # tqdm's bar for notebooks does not read it
    with tqdm(total=n, desc="embeddings", unit="row", leave=False, disable=not shown) as bar:
        for start, stop in bounds:
            rows = _stored(entry, start, stop)
            if rows is None:
                rows = _checked(compute(start, stop), start, stop)
                _store(entry, start, stop, rows)
            if embeddings is None:
                embeddings = np.empty((n, rows.shape[1]), np.float32)
            if rows.shape[1] != embeddings.shape[1]:
                raise ValueError(
                    f"rows {start} to {stop - 1} have {rows.shape[1]} dimensions, those before them "
                    f"{embeddings.shape[1]}: is all that decides it in the key? The entry is {entry}"
                )
            embeddings[start:stop] = rows
            bar.update(stop - start)
    return embeddings


def digest_files(paths):
    """SHA-256 (hex) of the bytes of these files, in this order; what they are called plays no part.

    The digest of a collection's images is `digest_files(collection.paths)`: it changes with any pixel, with the order
    and with a subset, and not with a label, since embeddings do not depend on labels. All bytes are read, since a size
    and a date would miss an image that was replaced. FileNotFoundError for a missing file.

    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = path.write_bytes(b"a")
    >>> digest_files([path]) == digest_files([str(path)]), digest_files([path]) == digest_files([path, path])
    (True, False)
    """
    whole = hashlib.sha256()
    with ThreadPoolExecutor(8) as pool:  # reading and hashing release Python's lock
        for digest in pool.map(lambda path: hashlib.sha256(Path(path).read_bytes()).digest(), paths):
            whole.update(digest)  # fixed length, so that no byte can pass from one file to the next unseen
    return whole.hexdigest()


def digest_array(array):
    """SHA-256 (hex) of an array: its type, its shape and its values.

    The layout in memory plays no part. ValueError for an array of Python objects.

    >>> a = np.arange(6).reshape(2, 3)
    >>> digest_array(a) == digest_array(a.T.copy().T), digest_array(a) == digest_array(a.reshape(3, 2))
    (True, False)
    """
    array = np.asarray(array)
    if array.dtype.hasobject:
        raise ValueError(f"an array of type {array.dtype} has no bytes to digest; numbers or text of fixed width do")
    whole = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def entries(folder=None):
    """What is stored: a list of dicts digest, key, n, n_stored (rows there so far) and bytes, largest first.

    >>> entries(tempfile.mkdtemp())
    []
    """
    found = []
    for page in sorted(_cache_folder(folder).glob("*/key.json")):
        parts = list(page.parent.glob("rows-*.npy"))
        spans = {tuple(part.name.split(".")[0].split("-")[1:]) for part in parts}
        found.append(
            {
                "digest": page.parent.name,
                **json.loads(page.read_text(encoding="utf-8")),
                "n_stored": sum(int(stop) - int(start) for start, stop in spans),
                "bytes": sum(part.stat().st_size for part in parts),
            }
        )
    return sorted(found, key=lambda entry: -entry["bytes"])


def clear(folder=None, digest=None):
    """Remove one entry, or all of them, and return how many. Nothing else in the folder is touched.

    KeyError for a digest that is not there.
    """
    chosen = [page.parent for page in _cache_folder(folder).glob("*/key.json") if digest in (None, page.parent.name)]
    if digest is not None and not chosen:
        raise KeyError(f"{_cache_folder(folder)} has no entry {digest!r}")
    for entry in chosen:
        shutil.rmtree(entry)
    return len(chosen)


def _cache_folder(folder):
    if folder is not None:
        return Path(folder)
    here = Path.cwd()
    return next((parent for parent in (here, *here.parents) if (parent / "data").is_dir()), here) / "data" / "features"


def _entry(folder, key, n):
    """The folder of this entry, made if it is not there, with its key written in it."""
    if not isinstance(key, dict) or not key:
        raise ValueError(f"key must be a dict of all that the embeddings depend on; got {key!r}")
    try:
        page = json.dumps({"key": key, "n": n}, sort_keys=True, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"key must be of text, numbers, lists and dicts, as JSON is: {error}; got {key!r}") from error
    entry = _cache_folder(folder) / hashlib.sha256(page.encode()).hexdigest()[:32]
    entry.mkdir(parents=True, exist_ok=True)
    if not (entry / "key.json").is_file() or (entry / "key.json").read_text(encoding="utf-8") != page:
        _write(entry / "key.json", page.encode())
    return entry


def _stored(entry, start, stop):
    """The sound stored rows start to stop - 1, or None. Damaged ones are removed, with a warning."""
    for path in sorted(entry.glob(f"{_part_name(start, stop)}.*.npy")):
        data = path.read_bytes()
        digest = path.name.split(".")[1]
        if _digest(data) == digest:
            return np.load(io.BytesIO(data), allow_pickle=False)
        warnings.warn(
            f"{path} is damaged: its bytes are not those that were written. "
            f"Rows {start} to {stop - 1} are computed again.",
            stacklevel=3,
        )
        path.unlink(missing_ok=True)
    return None


def _checked(rows, start, stop):
    """The rows that were computed as float32 (stop - start, d), or ValueError."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or len(rows) != stop - start or not rows.shape[1] or not np.issubdtype(rows.dtype, np.floating):
        raise ValueError(
            f"compute({start}, {stop}) gave {rows.dtype} {rows.shape}; floating point ({stop - start}, d) is needed"
        )
    with np.errstate(over="ignore"):  # too large for float32: infinite, and refused as such
        rows = np.ascontiguousarray(rows, np.float32)
    broken = start + np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if broken.size:
        some = ", ".join(map(str, broken[:10])) + (", ..." if broken.size > 10 else "")
        raise ValueError(f"NaN or infinite values in {broken.size} of the rows {start} to {stop - 1}: {some}")
    return rows


def _store(entry, start, stop, rows):
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    data = buffer.getvalue()
    _write(entry / f"{_part_name(start, stop)}.{_digest(data)}.npy", data)


def _part_name(start, stop):
    return f"rows-{start:08d}-{stop:08d}"


def _digest(data):
    return hashlib.sha256(data).hexdigest()[:32]


def _write(path, data):
    """Put `data` at `path` in one step: a reader sees all of it or none."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as place:
        temporary = Path(place) / path.name
        temporary.write_bytes(data)  # not by mkstemp, whose files are for nobody else to read
        os.replace(temporary, path)
