import doctest
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from lib import cache

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
    assert len(cache.entries(filled)) == 2


def test_another_number_of_rows_is_another_entry(filled):
    assert cache.embeddings(filled, KEY, Computing(), n=8, part=4).shape == (8, 3)
    assert {entry["n"] for entry in cache.entries(filled)} == {8, 10}


def test_the_order_in_a_key_plays_no_part(filled):
    compute = Computing()
    cache.embeddings(filled, dict(reversed(KEY.items())), compute, n=10, part=4)
    assert compute.asked == []


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cache.embeddings(tmp_path, KEY, Computing(dies_at=9), n=10, part=4)
    assert [entry["n_stored"] for entry in cache.entries(tmp_path)] == [8]
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
    digest = cache._digest(path.read_bytes())
    path.rename(path.with_name(f"{path.name.split('.')[0]}.{digest}.npy"))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        cache.embeddings(filled, KEY, Computing(), n=10, part=4)


def test_of_two_sound_copies_of_a_part_one_is_taken(filled):
    """As two processes leave them whose network does not give the same last bit twice."""
    cache._store(parts(filled)[0].parent, 0, 4, ROWS[:4] + 1)
    embeddings = cache.embeddings(filled, KEY, None, n=10, part=4)
    assert np.array_equal(embeddings[:4], ROWS[:4]) or np.array_equal(embeddings[:4], ROWS[:4] + 1)
    assert cache.entries(filled)[0]["n_stored"] == 10


def test_two_processes_at_once_end_with_the_same_rows(tmp_path):
    program = (
        "import sys, time, numpy as np; from lib import cache\n"
        "def compute(start, stop): time.sleep(0.005); return np.arange(start, stop)[:, None] * np.ones(7)\n"
        f"print(cache.embeddings(sys.argv[1], {KEY}, compute, n=40, part=2).sum())"
    )
    root = Path(__file__).resolve().parent.parent
    runs = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True, cwd=root)
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
        (np.zeros((3, 2), np.float32), r"compute\(0, 4\) gave float32 \(3, 2\); floating point \(4, d\)"),
        (np.zeros(4, np.float32), r"\(4, d\) is needed"),
        (np.zeros((4, 0), np.float32), r"\(4, d\) is needed"),
        (np.zeros((4, 2), np.int64), "gave int64"),
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
    with pytest.raises(ValueError, match="rows 4 to 7 have 5 dimensions, those before them 1"):
        cache.embeddings(tmp_path, KEY, lambda start, stop: np.zeros((4, start + 1)), n=8, part=4)


@pytest.mark.parametrize("key", [{}, "resnet18", {"a": np.zeros(2)}, {"a": float("nan")}, {"a": {1, 2}}])
def test_a_key_that_says_nothing_or_is_no_json_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="key must be"):
        cache.embeddings(tmp_path, key, Computing(), n=10)


@pytest.mark.parametrize("numbers", [{"n": 0}, {"n": -1}, {"n": 2.0}, {"n": True}, {"n": 4, "part": 0}])
def test_sizes_below_one_are_refused(tmp_path, numbers):
    with pytest.raises(ValueError, match="whole number, at least 1"):
        cache.embeddings(tmp_path, KEY, Computing(), **numbers)


def test_entries_and_clear_leave_alone_what_is_not_theirs(filled):
    (filled / "mine").mkdir()
    cache.embeddings(filled, KEY | {"layer": "b"}, Computing(), n=4)
    large, small = cache.entries(filled)
    assert (large["n_stored"], large["key"], small["n_stored"]) == (10, KEY, 4)
    assert large["bytes"] == sum(path.stat().st_size for path in (filled / large["digest"]).glob("rows-*"))
    assert cache.clear(filled, small["digest"]) == 1
    assert [entry["digest"] for entry in cache.entries(filled)] == [large["digest"]]
    with pytest.raises(KeyError, match="no entry"):
        cache.clear(filled, small["digest"])
    assert cache.clear(filled) == 1
    assert [path.name for path in filled.iterdir()] == ["mine"]


def test_the_default_folder_is_below_the_nearest_data_folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    cache.embeddings(None, KEY, Computing(), n=4)
    (page,) = tmp_path.glob("data/features/*/key.json")
    assert json.loads(page.read_text()) == {"key": KEY, "n": 4}


def test_the_digest_of_files_is_of_their_bytes_in_order(tmp_path):
    a, b, same_as_a = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    for path, data in ((a, b"12"), (b, b"3"), (same_as_a, b"12")):
        path.write_bytes(data)
    whole = cache.digest_files([a, b])
    assert whole == cache.digest_files([same_as_a, b])
    assert whole != cache.digest_files([b, a])
    a.write_bytes(b"1"), b.write_bytes(b"23")  # the same bytes in all, cut elsewhere
    assert whole != cache.digest_files([a, b])
    with pytest.raises(FileNotFoundError):
        cache.digest_files([tmp_path / "gone.png"])


def test_the_digest_of_an_array_is_of_type_shape_and_values():
    array = np.arange(6, dtype=np.int32)
    others = [array.astype(np.int64), array.reshape(2, 3), array[::-1], array.view(np.float32)]
    assert len({cache.digest_array(other) for other in [array, *others]}) == 5
    assert cache.digest_array(array[::-1]) == cache.digest_array(array[::-1].copy())
    with pytest.raises(ValueError, match="object"):
        cache.digest_array(np.array([{}]))


def test_the_file_alone_has_passing_doctests_and_no_heavy_import(tmp_path):
    program = "import sys, doctest, features; print(doctest.testmod(features).failed, 'torch' in sys.modules)"
    (tmp_path / "cache.py").write_bytes(Path(cache.__file__).read_bytes())
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0", "False"], done.stdout + done.stderr
    assert doctest.testmod(features).attempted >= 10


@pytest.mark.parametrize(("variable", "silent"), [("1", True), ("0", False)])
def test_the_bar_in_jupyter_is_silent_where_bars_are_switched_off(tmp_path, monkeypatch, variable, silent):
    asked = []

    class Bar(cache.tqdm):
        def __init__(self, *arguments, disable, **more):
            asked.append(disable)
            super().__init__(*arguments, disable=True, **more)

    monkeypatch.setattr(features, "tqdm", Bar)
    monkeypatch.setitem(cache.sys.modules, "ipykernel", features)
    monkeypatch.setenv("TQDM_DISABLE", variable)
    cache.embeddings(tmp_path, {"of": "bar"}, lambda start, stop: np.ones((stop - start, 2), np.float32), n=3)
    assert asked == [silent]
