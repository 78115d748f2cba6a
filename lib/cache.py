"""The cache: embeddings and trained networks, computed once and found afterwards.

An entry is a folder whose name is the digest of everything the numbers depend on:

    data/features/<digest of key and n>/key.json                     the key, readable
    data/features/<digest of key and n>/rows-00000000-00000512.<digest>.npy    rows 0 to 511, float32
    data/features/<digest of key>/images-<digest>.npz    embeddings filed by image, shared by all who use the same key
    data/models/<digest of key and start>/<digest>.safetensors       the weights, with the training's history
    data/models/<digest of key and start>/unfinished.pt              only during training: the loop's own checkpoint

Files are written to a temporary place, then moved, and named by the digest of their bytes: a killed run resumes where
it stopped, a damaged file is noticed and replaced, and two processes may fill one entry. No pickle is read.
`embeddings`, `by_image`, `trained` read or compute and store; `digest_...` make keys. To clear it, delete its folders.

Needs numpy and tqdm; `trained` and `digest_weights` also torch, pandas and safetensors. Copy this file alone.
"""

import hashlib
import io
import json
import os
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm


def embeddings(folder, key, compute, n, part=512, progress=True):
    """Embeddings float32 (n, d) known by `key`: read from the cache, or computed and stored there.

    folder    of the cache; None: `data/features` beside or above the working directory, in the first `data` found
    key       dict that JSON can hold: everything the numbers depend on:
              {"texts": digest_array(np.array(texts)), "encoder": "all-MiniLM-L6-v2"}
    compute   compute(start, stop) -> embeddings (stop - start, d) of rows start to stop - 1; called for missing parts
    part      rows in a part, which is the most that a killed run loses. Parts stored with another size are not found
    A stored part whose bytes have changed is computed again, with a UserWarning that names the file. ValueError for a
    key that JSON cannot hold, and for embeddings of the wrong shape or type or not finite; they are not stored.
    >>> numbers = lambda start, stop: np.arange(start, stop)[:, None] / [1, 2]
    >>> place = tempfile.mkdtemp()
    >>> embeddings(place, {"of": "doctest"}, numbers, n=3)
    array([[0. , 0. ],
           [1. , 0.5],
           [2. , 1. ]], dtype=float32)
    >>> embeddings(place, {"of": "doctest"}, None, n=3)[2]  # read from the cache: nothing to compute
    array([2., 1.], dtype=float32)
    """
    for name, number in (("n", n), ("part", part)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"{name} must be a positive integer, got {number!r}")
    n, part = int(n), int(part)
    entry = _entry(folder, "features", {"key": _checked_key(key), "n": n})
    rows = None
    with _bar(n, "row", progress) as bar:
        for start in range(0, n, part):
            stop = min(start + part, n)
            new = _stored_rows(entry, start, stop)
            if new is None:
                new = _checked_rows(compute(start, stop), start, stop)
                np.save(buffer := io.BytesIO(), new, allow_pickle=False)
                _write(entry / f"rows-{start:08d}-{stop:08d}.{_digest(buffer.getvalue())}.npy", buffer.getvalue())
            rows = np.empty((n, new.shape[1]), np.float32) if rows is None else rows
            if new.shape[1] != rows.shape[1]:
                wanted = f"{rows.shape[1]} dimensions in rows {start} to {stop - 1}, as in the rows before"
                doubt = f"does the key hold everything the numbers depend on? The entry is {entry}"
                raise ValueError(f"expected {wanted}, got {new.shape[1]}; {doubt}")
            rows[start:stop] = new
            bar.update(stop - start)
    return rows


def by_image(folder, key, paths, compute, part=512, progress=True):
    """Embeddings float32 (n, d) of image files: each computed once, whatever choice of images is asked for.

    key       everything the numbers depend on but the images: {"size": 96} | backbone.key
    paths     of the n image files, at least 1. An image is known by the SHA-256 of its bytes, not by its name
    compute   compute(rows) -> embeddings (len(rows), d) of paths[rows], rows an int array; called for what is missing
    folder, part, errors    as in `embeddings`
    >>> place = Path(tempfile.mkdtemp())
    >>> paths = [place / name for name in "abc"]
    >>> _ = [path.write_text(path.name) for path in paths]
    >>> length = lambda rows: np.array([[len(paths[row].read_text())] for row in rows], float)
    >>> by_image(place / "cache", {"of": "doctest"}, paths[:2], length).tolist()
    [[1.0], [1.0]]
    >>> by_image(place / "cache", {"of": "doctest"}, paths[1::-1], None).tolist()  # found: nothing to compute
    [[1.0], [1.0]]
    """
    paths = [Path(path) for path in paths]
    if not paths:
        raise ValueError("paths must name at least 1 image, got 0")
    entry = _entry(folder, "features", {"key": _checked_key(key), "filed by": "image"})
    known = _stored_images(entry)
    with ThreadPoolExecutor(8) as pool:  # reading and hashing release Python's lock
        names = list(pool.map(lambda path: hashlib.sha256(path.read_bytes()).hexdigest(), paths))
    first = {name: row for row, name in reversed(list(enumerate(names)))}  # of equal files the first is computed
    missing = np.array([row for name, row in sorted(first.items(), key=lambda item: item[1]) if name not in known], int)
    with _bar(len(missing), "image", progress) as bar:
        for start in range(0, len(missing), part):
            rows = missing[start : start + part]
            new = _checked_rows(compute(rows), 0, len(rows))
            ids = np.array([names[row] for row in rows], "U64")
            np.savez(buffer := io.BytesIO(), images=ids, rows=new)
            data = buffer.getvalue()
            _write(entry / f"images-{_digest(ids.tobytes())}.{_digest(data)}.npz", data)
            known |= zip(ids.tolist(), new, strict=True)
            bar.update(len(rows))
    sizes = {len(known[name]) for name in names}
    if len(sizes) > 1:
        raise ValueError(f"embeddings of one key must have one dimension, got {sorted(sizes)}; the entry is {entry}")
    return np.stack([known[name] for name in names])


def trained(folder, key, model, train):
    """Give `model` the weights that a training ends with and return its history: from the cache, or trained and stored.

    folder  of the cache; None: `data/models` beside or above the working directory, in the first `data` found
    key     dict that JSON can hold: everything the training depends on (digests of images and labels, learning rate,
            epochs, seed, loss). The weights that `model` starts from are added to it
    train   train(checkpoint=path) -> history, a DataFrame with attrs: trains `model` in place. A killed training
            resumes from `path` (`training.train(..., checkpoint=path)`), which is removed at the end
    A damaged file is removed with a UserWarning, and trained again. ValueError for a key that JSON cannot hold.
    >>> import pandas as pd
    >>> from torch import nn
    >>> line, place = nn.Linear(1, 1, bias=False), tempfile.mkdtemp()
    >>> def add_one(checkpoint):
    ...     _ = nn.init.constant_(line.weight, line.weight.item() + 1)
    ...     return pd.DataFrame({"epoch": [1], "loss": [0.1]})
    >>> for _ in range(2):  # the second time the weights come from the cache
    ...     _ = nn.init.constant_(line.weight, 2.0)
    ...     trained(place, {"of": "doctest"}, line, add_one).loss.tolist(), line.weight.item()
    ([0.1], 3.0)
    ([0.1], 3.0)
    """
    entry = _entry(folder, "models", {**_checked_key(key), "starts from": digest_weights(model)})
    if (stored := _stored_training(entry)) is not None:
        model.load_state_dict(stored[0])
        return stored[1]
    unfinished = entry / "unfinished.pt"
    history = train(checkpoint=unfinished)
    _store_training(entry, model, history)
    unfinished.unlink(missing_ok=True)
    return history


def digest_array(array):
    """SHA-256 (hex) of an array: its dtype, shape and values, in any memory layout. ValueError for Python objects.
    >>> a = np.arange(6).reshape(2, 3)
    >>> digest_array(a) == digest_array(a.T.copy().T), digest_array(a) == digest_array(a.reshape(3, 2))
    (True, False)
    """
    array = np.asarray(array)
    if array.dtype.hasobject:
        raise ValueError(f"expected an array of numbers or of fixed-width text, got dtype {array.dtype}")
    return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()).hexdigest()


def digest_weights(model):
    """SHA-256 (hex) of all numbers of a torch network, with their names, dtypes and shapes."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def _checked_key(key):
    if not isinstance(key, dict) or not key:
        raise ValueError(f"key must be a dict of everything the numbers depend on, got {key!r}")
    try:
        json.dumps(key, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"key must be of text, finite numbers, lists and dicts, got {key!r}: {error}") from error
    return key


def _entry(folder, kind, content):
    """The folder of an entry, made if it is missing, with its key written in it."""
    page = json.dumps(content, sort_keys=True, indent=1, allow_nan=False)
    if folder is None:
        here = Path.cwd()
        folder = next((parent for parent in (here, *here.parents) if (parent / "data").is_dir()), here) / "data" / kind
    entry = Path(folder) / hashlib.sha256(page.encode()).hexdigest()[:32]
    entry.mkdir(parents=True, exist_ok=True)
    if not (entry / "key.json").is_file() or (entry / "key.json").read_text(encoding="utf-8") != page:
        _write(entry / "key.json", page.encode())
    return entry


def _sound_files(entry, pattern, consequence):
    """Pairs of path and bytes of the undamaged files. Damaged ones are removed with a warning."""
    for path in sorted(entry.glob(pattern)):
        data = path.read_bytes()
        if data and _digest(data) == path.stem.split(".")[-1]:
            yield path, data
        else:
            warnings.warn(f"{path} is damaged: its bytes have changed. {consequence}", stacklevel=4)
            path.unlink(missing_ok=True)


def _stored_rows(entry, start, stop):
    again = f"Rows {start} to {stop - 1} are computed again."
    for path, data in _sound_files(entry, f"rows-{start:08d}-{stop:08d}.*.npy", again):
        try:
            rows = np.load(io.BytesIO(data), allow_pickle=False)
        except Exception as error:  # numpy raises anything on a broken header, a TokenError too
            raise ValueError(f"{path} cannot be read: {error}; delete it") from error
        return _checked_rows(rows, start, stop)
    return None


def _checked_rows(rows, start, stop):
    """The computed rows as float32 (stop - start, d), or ValueError."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or len(rows) != stop - start or not rows.shape[1] or not np.issubdtype(rows.dtype, np.floating):
        got = f"{rows.dtype} {rows.shape}"
        raise ValueError(f"compute({start}, {stop}) must return floating point ({stop - start}, d), got {got}")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused as such
        rows = np.ascontiguousarray(rows, np.float32)
    broken = start + np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if broken.size:
        some = ", ".join(map(str, broken[:10])) + (", ..." if broken.size > 10 else "")
        where = f"{broken.size} of the rows {start} to {stop - 1}: {some}"
        raise ValueError(f"expected finite embeddings, got NaN or infinite values in {where}")
    return rows


def _stored_images(entry):
    """Embeddings by the digest of their image."""
    known = {}
    for _, data in _sound_files(entry, "images-*.npz", "Its images are embedded again."):
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            known |= zip(stored["images"].tolist(), stored["rows"], strict=True)
    return known


def _stored_training(entry):
    import pandas as pd  # only trainings need it
    import safetensors.torch

    for path, data in _sound_files(entry, "*.safetensors", "The network is trained again."):
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
        if "rows" not in about and any(None in row for row in about["history"]):
            continue  # an older file, which writes NaN and infinity alike
        history = pd.DataFrame(about.get("rows", about.get("history")), columns=about["columns"])
        history.attrs = about["attrs"]
        return safetensors.torch.load(data), history
    return None


def _store_training(entry, model, history):
    import safetensors.torch  # only trainings need it

    table = history.to_dict("split")  # of Python's own numbers, which JSON gives back to the last digit
    about = {"rows": table["data"], "columns": table["columns"], "attrs": history.attrs}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    data = safetensors.torch.save(weights, {"about": json.dumps(about, default=lambda value: value.item())})
    _write(entry / f"{_digest(data)}.safetensors", data)


def _digest(data):
    return hashlib.sha256(data).hexdigest()[:32]


def _write(path, data):
    """Write `data` to `path` in one step: a reader sees all of it or none."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as place:
        temporary = Path(place) / path.name
        temporary.write_bytes(data)  # not by mkstemp, whose files only their owner may read
        os.replace(temporary, path)


def _bar(total, unit, progress):
    """Shown when asked for, in a terminal or a notebook, unless TQDM_DISABLE is set (which notebook bars ignore)."""
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    shown = progress and watched and os.environ.get("TQDM_DISABLE", "0") in ("", "0")
    return tqdm(total=total, desc="embeddings", unit=unit, leave=False, disable=not shown)
