"""Trained networks are found if nothing changed, trained again if anything did, and never taken from a bad file."""

import hashlib
import json
import os

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import nn

from lib import checkpoints, training

KEY = {"photos": "abc", "rate": 0.1}


def line(weight=2.0):
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    return model


class AddOne:
    """A training of one step, which counts how often it was done."""

    def __init__(self, model):
        self.model, self.n_done = model, 0

    def __call__(self, checkpoint):
        self.n_done += 1
        with torch.no_grad():
            self.model.weight += 1
        history = pd.DataFrame({"epoch": [1, 2], "loss": [1 / 3, 0.1], "validation_loss": [np.pi, 1e-12]})
        history.attrs = {"best_epoch": 2, "stopped_early": False}
        return history


def kept(folder, key=KEY, weight=2.0):
    model = line(weight)
    train = AddOne(model)
    return model.weight.item(), checkpoints.kept(folder, key, model, train), model.weight.item(), train.n_done


def test_a_training_is_done_once_and_found_with_its_history(tmp_path):
    _, first, trained, n_first = kept(tmp_path)
    _, again, found, n_again = kept(tmp_path)
    assert (trained, n_first, found, n_again) == (3.0, 1, 3.0, 0)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert again.attrs == first.attrs == {"best_epoch": 2, "stopped_early": False}


def test_each_number_of_the_history_is_found_as_it_was(tmp_path):
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "loss": [1e-9 / 3, np.inf, -np.inf],
            "validation_loss": [np.nan, 1e300 / 3, 0.1 + 0.2],
            "rate": [np.float64(2.0), 5e-324, -0.0],
            "word": ["a", None, "c"],
            "fast": [True, False, True],
        }
    )
    history.attrs = {"best_epoch": np.int64(2), "best": np.float32(0.5), "worst": np.inf}
    checkpoints.kept(tmp_path, KEY, line(), lambda checkpoint: history)
    found = checkpoints.kept(tmp_path, KEY, line(), None)
    pd.testing.assert_frame_equal(found, history, check_exact=True)
    assert np.signbit(found["rate"][2])
    assert found.attrs == history.attrs


@pytest.mark.parametrize(("loss", "n_trained"), [(0.333333333333333, 0), (None, 1)])
def test_an_older_file_is_found_unless_its_history_lost_a_number(tmp_path, loss, n_trained):
    kept(tmp_path)
    (path,) = tmp_path.glob("*/*.safetensors")
    about = {"history": [[1, loss]], "columns": ["epoch", "loss"], "attrs": {}}  # null: NaN or infinite, who knows
    data = safetensors.torch.save(safetensors.torch.load_file(path), {"about": json.dumps(about)})
    path.unlink()
    (path.parent / f"{hashlib.sha256(data).hexdigest()[:32]}.safetensors").write_bytes(data)
    _, history, trained, n_done = kept(tmp_path)
    assert (trained, n_done) == (3.0, n_trained)
    assert history["loss"].tolist() == ([1 / 3, 0.1] if n_trained else [loss])
    assert kept(tmp_path)[3] == 0


def test_who_may_read_other_files_may_read_what_is_kept(tmp_path):
    for umask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(umask)
        try:
            kept(tmp_path / str(umask))
        finally:
            os.umask(before)
        files = [path for path in (tmp_path / str(umask)).glob("*/*") if path.is_file()]
        assert [oct(path.stat().st_mode & 0o777) for path in files] == [oct(mode)] * 2


def test_nothing_is_written_where_a_training_is_found(tmp_path, monkeypatch):
    kept(tmp_path)
    (page,) = tmp_path.glob("*/key.json")
    before = page.stat()
    monkeypatch.setattr(checkpoints, "_write", lambda *_: pytest.fail("it was written to"))
    assert kept(tmp_path)[3] == 0
    assert (page.stat().st_ino, page.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_damaged_key_is_written_again(tmp_path):
    kept(tmp_path)
    (page,) = tmp_path.glob("*/key.json")
    whole = page.read_text()
    page.write_text("{")
    assert kept(tmp_path)[3] == 0 and page.read_text() == whole


@pytest.mark.parametrize(("key", "weight"), [({**KEY, "rate": 0.2}, 2.0), ({"photos": "abc"}, 2.0), (KEY, 2.5)])
def test_another_key_or_other_starting_weights_are_another_training(tmp_path, key, weight):
    kept(tmp_path)
    _, _, trained, n_done = kept(tmp_path, key, weight)
    assert (trained, n_done) == (weight + 1, 1)


def test_a_damaged_file_is_said_and_trained_again(tmp_path):
    kept(tmp_path)
    (path,) = tmp_path.glob("*/*.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="damaged"):
        _, _, trained, n_done = kept(tmp_path)
    assert (trained, n_done) == (3.0, 1)
    assert kept(tmp_path)[3] == 0


def test_a_half_written_file_is_not_trusted(tmp_path):
    kept(tmp_path)
    (path,) = tmp_path.glob("*/*.safetensors")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.warns(UserWarning, match="damaged"):
        assert kept(tmp_path)[3] == 1


def test_a_training_that_failed_leaves_nothing_that_is_found(tmp_path):
    model = line()

    def fail(checkpoint):
        raise RuntimeError("out of light")

    with pytest.raises(RuntimeError, match="out of light"):
        checkpoints.kept(tmp_path, KEY, model, fail)
    assert kept(tmp_path)[3] == 1


def test_a_killed_training_goes_on_behind_its_last_epoch(tmp_path):
    square = lambda model, batch: (model(batch) - 1).square().mean()  # noqa: E731
    seen = []

    def train_on(model, epochs, stop=None):
        def step(model, batch):
            seen.append(1)
            if len(seen) == stop:
                raise KeyboardInterrupt
            return square(model, batch)

        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        return lambda checkpoint: training.fit(
            model, step, [torch.ones(1, 1)], optimiser, epochs, checkpoint=checkpoint, progress=False
        )

    killed, whole = line(), line()
    with pytest.raises(KeyboardInterrupt):
        checkpoints.kept(tmp_path / "a", KEY, killed, train_on(killed, 5, stop=4))
    seen.clear()
    again = line()
    history = checkpoints.kept(tmp_path / "a", KEY, again, train_on(again, 5))
    assert (len(seen), len(history)) == (2, 5)  # three epochs were there already
    checkpoints.kept(tmp_path / "b", KEY, whole, train_on(whole, 5))
    assert torch.equal(again.weight, whole.weight)
    assert not list(tmp_path.glob("a/*/unfinished*"))


def test_weights_in_channels_last_and_counts_are_kept_exactly(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    model(torch.randn(2, 3, 8, 8))
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    other.load_state_dict(model.state_dict())
    digest = checkpoints.digest_weights(model)
    assert digest == checkpoints.digest_weights(other)
    history = pd.DataFrame({"epoch": [1]})
    checkpoints.kept(tmp_path, KEY, model, lambda checkpoint: history)
    checkpoints.kept(tmp_path, KEY, other, None)  # found: nothing to train
    assert checkpoints.digest_weights(other) == digest


@pytest.mark.parametrize("key", [{}, None, {"seed": float("nan")}, {"photos": np.zeros(2)}])
def test_a_key_that_says_nothing_or_that_json_cannot_hold_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="key must be"):
        kept(tmp_path, key)
