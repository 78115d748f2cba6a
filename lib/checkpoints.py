"""Trained networks, kept: trained once, found afterwards, whoever asks.

An entry is a folder, named by the digest of everything that went into the training:

    data/models/<digest>/key.json                     the key, readable
    data/models/<digest>/<digest of it>.safetensors   the weights, with the history of the training in its metadata
    data/models/<digest>/unfinished.pt                while it is trained: the training loop's own checkpoint

The weights are written to a temporary file and then moved, and their name carries the digest of their bytes. So a
training that was killed goes on at its last epoch, a damaged file is noticed and said so, and a half-written one is
never trusted. No pickle is read.

Contents: `kept`, train or find; `digest_weights`, what a network's numbers are known by.
Needs: numpy, pandas, safetensors and torch. Copy this file alone.
"""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import safetensors
import safetensors.torch
from torch import nn

__all__ = ["digest_weights", "kept"]

UNFINISHED = "unfinished.pt"


def kept(folder: str | Path | None, key: dict, model: nn.Module, train: Callable) -> pd.DataFrame:
    """Give `model` the weights that this training ends with, and return its history: found, or trained and kept.

    folder  of the models; None: `data/models` below the nearest parent of the working directory with a `data` folder
    key     dict that JSON can hold: everything that the training depends on (digests of images and labels, rates,
            epochs, the seed, what the loss is). The weights that `model` comes with are added to it
    train   train(checkpoint) -> history, a DataFrame: trains `model` in place. `checkpoint` is a path for the loop's
            own use (training.fit's `checkpoint`): it stays if the training is killed, and is removed at the end

    `history.attrs` comes back too. A file whose bytes are not those that were written is removed with a UserWarning,
    and the training done again. ValueError for a key that JSON cannot hold.

    >>> def add_one(checkpoint):
    ...     _ = nn.init.constant_(line.weight, line.weight.item() + 1)
    ...     return pd.DataFrame({"epoch": [1], "loss": [0.1]})
    >>> place, line = tempfile.mkdtemp(), nn.Linear(1, 1, bias=False)
    >>> for _ in range(2):  # the second time it is found, not trained
    ...     _ = nn.init.constant_(line.weight, 2.0)
    ...     history = kept(place, {"of": "doctest"}, line, add_one)
    ...     line.weight.item(), history.loss.tolist()
    (3.0, [0.1])
    (3.0, [0.1])
    """
    entry = _entry(folder, key, model)
    stored = _stored(entry)
    if stored is not None:
        weights, history = stored
        model.load_state_dict(weights)
        return history
    history = train(entry / UNFINISHED)
    _store(entry, model, history)
    (entry / UNFINISHED).unlink(missing_ok=True)
    return history


def digest_weights(model: nn.Module) -> str:
    """SHA-256 (hex) of all numbers of a network, with their names, types and shapes.

    >>> line = nn.Linear(2, 1)
    >>> before = digest_weights(line)
    >>> _ = nn.init.zeros_(line.bias)
    >>> digest_weights(line) == before, digest_weights(line) == digest_weights(line)
    (False, True)
    """
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _entry(folder, key, model):
    """The folder of this training, made if it is not there, with its key written in it."""
    if not isinstance(key, dict) or not key:
        raise ValueError(f"key must be a dict of all that the training depends on; got {key!r}")
    try:
        page = json.dumps({**key, "starts from": digest_weights(model)}, sort_keys=True, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"key must be of text, numbers, lists and dicts, as JSON is: {error}; got {key!r}") from error
    if folder is None:
        here = Path.cwd()
        folder = next((p for p in (here, *here.parents) if (p / "data").is_dir()), here) / "data" / "models"
    entry = Path(folder) / hashlib.sha256(page.encode()).hexdigest()[:32]
    entry.mkdir(parents=True, exist_ok=True)
    if not (entry / "key.json").is_file() or (entry / "key.json").read_text(encoding="utf-8") != page:
        _write(entry / "key.json", page.encode())
    return entry


def _stored(entry):
    """The sound weights and history of a finished training, or None. A damaged file is removed, with a warning."""
    for path in sorted(entry.glob("*.safetensors")):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest()[:32] != path.stem:
            warnings.warn(f"{path} is damaged, its bytes are not those written: training again", stacklevel=3)
            path.unlink(missing_ok=True)
            continue
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
        if "rows" not in about and any(None in row for row in about["history"]):
            continue  # an older file, which has the same mark for NaN and infinite
        history = pd.DataFrame(about.get("rows", about.get("history")), columns=about["columns"])
        history.attrs = about["attrs"]
        return safetensors.torch.load(data), history
    return None


def _store(entry, model, history):
    table = history.to_dict("split")  # of Python's own numbers, which JSON gives back to the last digit
    about = {"rows": table["data"], "columns": table["columns"], "attrs": history.attrs}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    data = safetensors.torch.save(weights, {"about": json.dumps(about, default=lambda value: value.item())})
    _write(entry / f"{hashlib.sha256(data).hexdigest()[:32]}.safetensors", data)


def _write(path, data):
    """Put `data` at `path` in one step: a reader sees all of it or none."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as place:
        temporary = Path(place) / path.name
        temporary.write_bytes(data)  # not by mkstemp, whose files are for nobody else to read
        os.replace(temporary, path)
