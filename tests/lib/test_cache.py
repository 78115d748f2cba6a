"""The cache: found if nothing changed, computed again if anything did, never taken from a bad file."""

import doctest
import functools
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import nn

from lib import cache, training

ROOT = Path(cache.__file__).resolve().parents[1]

KEY = {"images": "abc", "backbone": "toy", "layer": None}
ROWS = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)


class Computing:
    """Gives rows of ROWS and keeps count of what it was asked for; dies at row `dies_at`."""

    def __init__(self, dies_at=None):
        self.asked, self.dies_at = [], dies_at

    def __call__(self, start, stop):
        if self.dies_at is not None and stop > self.dies_at:
            raise KeyboardInterrupt
        self.asked.append((start, stop))
        return ROWS[start:stop]


@pytest.fixture
def filled(tmp_path):
    """A cache that holds ROWS in parts of 4, 4 and 2."""
    cache.embeddings(tmp_path, KEY, Computing(), n=10, part=4)
    return tmp_path


# ---------------------------------------------------------------------------------------------------------- embeddings


def parts(folder):
    return sorted(folder.glob("*/rows-*.npy"))


def test_rows_come_in_parts_and_the_last_is_short(tmp_path):
    compute = Computing()
    embeddings = cache.embeddings(tmp_path, KEY, compute, n=10, part=4)
    assert compute.asked == [(0, 4), (4, 8), (8, 10)]
    np.testing.assert_array_equal(embeddings, ROWS)
    assert embeddings.dtype == np.float32 and embeddings.flags.c_contiguous


def test_nothing_is_computed_twice(filled):
    compute = Computing()
    np.testing.assert_array_equal(cache.embeddings(filled, KEY, compute, n=10, part=4), ROWS)
    assert compute.asked == []


def test_who_may_read_other_files_may_read_the_cache(tmp_path):
    for umask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(umask)
        try:
            cache.embeddings(tmp_path / str(umask), KEY, Computing(), n=10)
        finally:
            os.umask(before)
        files = list((tmp_path / str(umask)).glob("*/*"))
        assert [oct(path.stat().st_mode & 0o777) for path in files] == [oct(mode)] * 2


@pytest.mark.parametrize(
    "other", [KEY | {"images": "abd"}, KEY | {"layer": "layer4"}, KEY | {"backbone": "Toy"}, KEY | {"more": 1}]
)
def test_another_key_is_another_entry(filled, other):
    compute = Computing()
    cache.embeddings(filled, other, compute, n=10, part=4)
    assert compute.asked == [(0, 4), (4, 8), (8, 10)]
    assert len(list(filled.glob("*/key.json"))) == 2


def test_another_number_of_rows_is_another_entry(filled):
    assert cache.embeddings(filled, KEY, Computing(), n=8, part=4).shape == (8, 3)
    assert {json.loads(page.read_text())["n"] for page in filled.glob("*/key.json")} == {8, 10}


def test_the_order_in_a_key_plays_no_part(filled):
    compute = Computing()
    cache.embeddings(filled, dict(reversed(KEY.items())), compute, n=10, part=4)
    assert compute.asked == []


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cache.embeddings(tmp_path, KEY, Computing(dies_at=9), n=10, part=4)
    assert [path.name.partition(".")[0] for path in parts(tmp_path)] == [
        "rows-00000000-00000004",
        "rows-00000004-00000008",
    ]
    compute = Computing()
    np.testing.assert_array_equal(cache.embeddings(tmp_path, KEY, compute, n=10, part=4), ROWS)
    assert compute.asked == [(8, 10)]


def test_a_run_killed_while_it_wrote_leaves_nothing_that_is_trusted(tmp_path, monkeypatch):
    replace = os.replace

    def killed_at_the_first_part(source, target):
        if target.suffix == ".npy":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed_at_the_first_part)
        cache.embeddings(tmp_path, KEY, Computing(), n=10, part=4)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["key.json"]
    np.testing.assert_array_equal(cache.embeddings(tmp_path, KEY, Computing(), n=10, part=4), ROWS)


@pytest.mark.parametrize("damage", ["cut off", "one bit", "empty"])
def test_a_damaged_part_is_computed_again_and_said_so(filled, damage):
    path = parts(filled)[1]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes({"cut off": data[:-5], "one bit": data, "empty": b""}[damage])
    compute = Computing()
    with pytest.warns(UserWarning, match=f"{re.escape(path.name)}.*Rows 4 to 7"):
        embeddings = cache.embeddings(filled, KEY, compute, n=10, part=4)
    assert compute.asked == [(4, 8)]
    np.testing.assert_array_equal(embeddings, ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.embeddings(filled, KEY, None, n=10, part=4)


def test_a_pickle_is_never_loaded_even_with_a_right_digest(filled):
    path = parts(filled)[0]
    np.save(path, np.array([{"an": "object"}]), allow_pickle=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    path.rename(path.with_name(f"{path.name.split('.')[0]}.{digest}.npy"))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        cache.embeddings(filled, KEY, Computing(), n=10, part=4)


def test_of_two_sound_copies_of_a_part_one_is_taken(filled):
    """As two processes leave them whose network does not give the same last bit twice."""
    buffer = io.BytesIO()
    np.save(buffer, ROWS[:4] + 1)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:32]
    (parts(filled)[0].parent / f"rows-00000000-00000004.{digest}.npy").write_bytes(buffer.getvalue())
    assert len(parts(filled)) == 4
    embeddings = cache.embeddings(filled, KEY, None, n=10, part=4)
    assert np.array_equal(embeddings[:4], ROWS[:4]) or np.array_equal(embeddings[:4], ROWS[:4] + 1)


def test_two_processes_at_once_end_with_the_same_rows(tmp_path):
    program = (
        "import sys, time, numpy as np; from lib import cache\n"
        "def compute(start, stop): time.sleep(0.005); return np.arange(start, stop)[:, None] * np.ones(7)\n"
        f"print(cache.embeddings(sys.argv[1], {KEY}, compute, n=40, part=2).sum())"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    sums = [run.communicate(timeout=60)[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sums == [str(7.0 * sum(range(40)))] * 2
    assert len(parts(tmp_path)) == 20
    assert not list(tmp_path.glob("*/.unfinished-*"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 2), np.float32), r"compute\(0, 4\) must return floating point \(4, d\), got float32 \(3, 2\)"),
        (np.zeros(4, np.float32), r"must return floating point \(4, d\)"),
        (np.zeros((4, 0), np.float32), r"must return floating point \(4, d\), got float32 \(4, 0\)"),
        (np.zeros((4, 2), np.int64), "got int64"),
        (np.array([[0.0], [np.nan], [0], [np.inf]]), "2 of the rows 0 to 3: 1, 3"),
        (np.array([[0.0], [0], [0], [1e300]]), "1 of the rows 0 to 3: 3"),
    ],
)
def test_unsound_rows_are_refused_and_not_stored(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        cache.embeddings(tmp_path, KEY, lambda start, stop: given, n=10, part=4)
    assert parts(tmp_path) == []


def test_rows_are_named_by_their_number_in_the_whole(tmp_path):
    def compute(start, stop):
        return np.where(np.arange(start, stop)[:, None] == 9, np.nan, 0.0)

    with pytest.raises(ValueError, match="1 of the rows 8 to 9: 9"):
        cache.embeddings(tmp_path, KEY, compute, n=10, part=4)


def test_parts_of_different_width_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected 1 dimensions in rows 4 to 7, .* got 5"):
        cache.embeddings(tmp_path, KEY, lambda start, stop: np.zeros((4, start + 1)), n=8, part=4)


@pytest.mark.parametrize("key", [{}, "resnet18", {"a": np.zeros(2)}, {"a": float("nan")}, {"a": {1, 2}}])
def test_a_key_that_says_nothing_or_is_no_json_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="key must be"):
        cache.embeddings(tmp_path, key, Computing(), n=10)


@pytest.mark.parametrize("numbers", [{"n": 0}, {"n": -1}, {"n": 2.0}, {"n": True}, {"n": 4, "part": 0}])
def test_sizes_below_one_are_refused(tmp_path, numbers):
    with pytest.raises(ValueError, match="must be a positive integer, got"):
        cache.embeddings(tmp_path, KEY, Computing(), **numbers)


def test_the_default_folder_is_below_the_nearest_data_folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    cache.embeddings(None, KEY, Computing(), n=4)
    (page,) = tmp_path.glob("data/features/*/key.json")
    assert json.loads(page.read_text()) == {"key": KEY, "n": 4}


def test_the_digest_of_an_array_is_of_type_shape_and_values():
    array = np.arange(6, dtype=np.int32)
    others = [array.astype(np.int64), array.reshape(2, 3), array[::-1], array.view(np.float32)]
    assert len({cache.digest_array(other) for other in [array, *others]}) == 5
    assert cache.digest_array(array[::-1]) == cache.digest_array(array[::-1].copy())
    with pytest.raises(ValueError, match="expected an array of numbers or of fixed-width text, got dtype object"):
        cache.digest_array(np.array([{}]))


@pytest.mark.slow
def test_the_file_alone_has_passing_doctests_and_no_heavy_import(tmp_path):
    program = "import sys, doctest, cache; heavy = 'torch' in sys.modules; print(doctest.testmod(cache).failed, heavy)"
    (tmp_path / "cache.py").write_bytes(Path(cache.__file__).read_bytes())
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0", "False"], done.stdout + done.stderr
    assert doctest.testmod(cache).attempted >= 10


@pytest.mark.parametrize(("variable", "silent"), [("1", True), ("0", False)])
def test_the_bar_in_jupyter_is_silent_where_bars_are_switched_off(tmp_path, monkeypatch, variable, silent):
    asked = []

    class Bar(cache.tqdm):
        def __init__(self, *arguments, disable, **more):
            asked.append(disable)
            super().__init__(*arguments, disable=True, **more)

    monkeypatch.setattr(cache, "tqdm", Bar)
    monkeypatch.setitem(cache.sys.modules, "ipykernel", cache)
    monkeypatch.setenv("TQDM_DISABLE", variable)
    cache.embeddings(tmp_path, {"of": "bar"}, lambda start, stop: np.ones((stop - start, 2), np.float32), n=3)
    assert asked == [silent]


# ----------------------------------------------------------------------------------------------------------- trainings

TRAINING = {"photos": "abc", "rate": 0.1}


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


def train_line(folder, key=TRAINING, weight=2.0):
    model = line(weight)
    train = AddOne(model)
    return model.weight.item(), cache.trained(folder, key, model, train), model.weight.item(), train.n_done


def test_a_training_is_done_once_and_found_with_its_history(tmp_path):
    _, first, trained, n_first = train_line(tmp_path)
    _, again, found, n_again = train_line(tmp_path)
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
    cache.trained(tmp_path, TRAINING, line(), lambda checkpoint: history)
    found = cache.trained(tmp_path, TRAINING, line(), None)
    pd.testing.assert_frame_equal(found, history, check_exact=True)
    assert np.signbit(found["rate"][2])
    assert found.attrs == history.attrs


@pytest.mark.parametrize(("loss", "n_trained"), [(0.333333333333333, 0), (None, 1)])
def test_an_older_file_is_found_unless_its_history_lost_a_number(tmp_path, loss, n_trained):
    train_line(tmp_path)
    (path,) = tmp_path.glob("*/*.safetensors")
    about = {"history": [[1, loss]], "columns": ["epoch", "loss"], "attrs": {}}  # null: NaN or infinite, who knows
    data = safetensors.torch.save(safetensors.torch.load_file(path), {"about": json.dumps(about)})
    path.unlink()
    (path.parent / f"{hashlib.sha256(data).hexdigest()[:32]}.safetensors").write_bytes(data)
    _, history, trained, n_done = train_line(tmp_path)
    assert (trained, n_done) == (3.0, n_trained)
    assert history["loss"].tolist() == ([1 / 3, 0.1] if n_trained else [loss])
    assert train_line(tmp_path)[3] == 0


def test_who_may_read_other_files_may_read_trained_weights(tmp_path):
    for umask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(umask)
        try:
            train_line(tmp_path / str(umask))
        finally:
            os.umask(before)
        files = [path for path in (tmp_path / str(umask)).glob("*/*") if path.is_file()]
        assert [oct(path.stat().st_mode & 0o777) for path in files] == [oct(mode)] * 2


def test_nothing_is_written_where_a_training_is_found(tmp_path):
    train_line(tmp_path)
    (page,) = tmp_path.glob("*/key.json")
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in (page, page.parent)]
    assert train_line(tmp_path)[3] == 0
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in (page, page.parent)] == before


def test_a_damaged_key_is_written_again(tmp_path):
    train_line(tmp_path)
    (page,) = tmp_path.glob("*/key.json")
    whole = page.read_text()
    page.write_text("{")
    assert train_line(tmp_path)[3] == 0 and page.read_text() == whole


@pytest.mark.parametrize(
    ("key", "weight"), [({**TRAINING, "rate": 0.2}, 2.0), ({"photos": "abc"}, 2.0), (TRAINING, 2.5)]
)
def test_another_key_or_other_starting_weights_are_another_training(tmp_path, key, weight):
    train_line(tmp_path)
    _, _, trained, n_done = train_line(tmp_path, key, weight)
    assert (trained, n_done) == (weight + 1, 1)


def test_a_damaged_file_of_weights_is_reported_and_trained_again(tmp_path):
    train_line(tmp_path)
    (path,) = tmp_path.glob("*/*.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="damaged"):
        _, _, trained, n_done = train_line(tmp_path)
    assert (trained, n_done) == (3.0, 1)
    assert train_line(tmp_path)[3] == 0


def test_a_half_written_file_is_not_trusted(tmp_path):
    train_line(tmp_path)
    (path,) = tmp_path.glob("*/*.safetensors")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.warns(UserWarning, match="damaged"):
        assert train_line(tmp_path)[3] == 1


def test_a_training_that_failed_leaves_nothing_that_is_found(tmp_path):
    model = line()

    def fail(checkpoint):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        cache.trained(tmp_path, TRAINING, model, fail)
    assert train_line(tmp_path)[3] == 1


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
        return lambda checkpoint: training.train(
            model, step, [torch.ones(1, 1)], optimiser, epochs, checkpoint=checkpoint, progress=False
        )

    killed, whole = line(), line()
    with pytest.raises(KeyboardInterrupt):
        cache.trained(tmp_path / "a", TRAINING, killed, train_on(killed, 5, stop=4))
    seen.clear()
    again = line()
    history = cache.trained(tmp_path / "a", TRAINING, again, train_on(again, 5))
    assert (len(seen), len(history)) == (2, 5)  # three epochs were there already
    cache.trained(tmp_path / "b", TRAINING, whole, train_on(whole, 5))
    assert torch.equal(again.weight, whole.weight)
    assert not list(tmp_path.glob("a/*/unfinished*"))


def test_weights_in_channels_last_and_counts_are_stored_exactly(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    model(torch.randn(2, 3, 8, 8))
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    other.load_state_dict(model.state_dict())
    digest = cache.digest_weights(model)
    assert digest == cache.digest_weights(other)
    history = pd.DataFrame({"epoch": [1]})
    cache.trained(tmp_path, TRAINING, model, lambda checkpoint: history)
    cache.trained(tmp_path, TRAINING, other, None)  # found: nothing to train
    assert cache.digest_weights(other) == digest


@pytest.mark.parametrize("key", [{}, None, {"seed": float("nan")}, {"photos": np.zeros(2)}])
def test_a_key_of_a_training_that_says_nothing_or_is_no_json_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="key must be"):
        train_line(tmp_path, key)


def test_a_training_given_by_partial_gets_the_checkpoint_by_name(tmp_path):
    def train(model, epochs, checkpoint):
        assert checkpoint.parent.parent == tmp_path
        return pd.DataFrame({"epoch": np.arange(epochs)})

    model = line()
    assert len(cache.trained(tmp_path, TRAINING, model, functools.partial(train, model, 3))) == 3


# ------------------------------------------------------------------------------------------------ filed by image


def _files(folder, texts):
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.txt")
        paths[-1].write_text(text)
    return paths


def _letters(paths, calls):
    def compute(rows):
        calls.append(rows.tolist())
        return np.array([[float(ord(paths[row].read_text())), 1.0] for row in rows])

    return compute


def test_images_that_others_computed_are_found_whatever_their_order_and_name(tmp_path):
    paths, calls = _files(tmp_path, "abcd"), []
    cache.by_image(tmp_path / "cache", {"size": 1}, paths[:3], _letters(paths, calls))
    (tmp_path / "other").mkdir()
    renamed = _files(tmp_path / "other", "dcb")
    rows = cache.by_image(tmp_path / "cache", {"size": 1}, renamed, _letters(renamed, calls))
    assert calls == [[0, 1, 2], [0]]
    np.testing.assert_array_equal(rows[:, 0], [ord("d"), ord("c"), ord("b")])


def test_equal_images_are_computed_once(tmp_path):
    paths, calls = _files(tmp_path, "aab"), []
    rows = cache.by_image(tmp_path / "cache", {"size": 1}, paths, _letters(paths, calls))
    assert calls == [[0, 2]]
    np.testing.assert_array_equal(rows[:, 0], [ord("a"), ord("a"), ord("b")])


def test_another_key_has_other_embeddings_of_the_same_images(tmp_path):
    paths, calls = _files(tmp_path, "ab"), []
    for size in (1, 2):
        cache.by_image(tmp_path / "cache", {"size": size}, paths, _letters(paths, calls))
    assert calls == [[0, 1], [0, 1]]


def test_a_killed_run_keeps_the_images_of_finished_parts(tmp_path):
    paths, calls = _files(tmp_path, "abcd"), []

    def stops_at_the_second_part(rows):
        if 2 in rows:
            raise KeyboardInterrupt
        return _letters(paths, calls)(rows)

    with pytest.raises(KeyboardInterrupt):
        cache.by_image(tmp_path / "cache", {"size": 1}, paths, stops_at_the_second_part, part=2)
    cache.by_image(tmp_path / "cache", {"size": 1}, paths, _letters(paths, calls), part=2)
    assert calls == [[0, 1], [2, 3]]


def test_a_damaged_file_of_images_is_named_and_its_images_are_computed_again(tmp_path):
    paths, calls = _files(tmp_path, "ab"), []
    cache.by_image(tmp_path / "cache", {"size": 1}, paths, _letters(paths, calls))
    stored = next((tmp_path / "cache").glob("*/images-*.npz"))
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="damaged"):
        rows = cache.by_image(tmp_path / "cache", {"size": 1}, paths, _letters(paths, calls))
    assert len(calls) == 2 and rows[1, 0] == ord("b")


def test_no_images_are_refused_and_embeddings_that_are_not_finite_are_not_stored(tmp_path):
    with pytest.raises(ValueError, match="paths must name at least 1 image, got 0"):
        cache.by_image(tmp_path, {"size": 1}, [], None)
    paths = _files(tmp_path, "a")
    with pytest.raises(ValueError, match="finite"):
        cache.by_image(tmp_path / "cache", {"size": 1}, paths, lambda rows: np.full((1, 2), np.nan))
    assert not list((tmp_path / "cache").glob("*/*.npz"))
