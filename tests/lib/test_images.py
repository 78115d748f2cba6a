"""images: one photo at a given size, masks by nearest neighbour, and an action on every row. Files: test_collection."""

import threading

import numpy as np
import pytest
from PIL import Image

from lib import images


@pytest.fixture
def path(tmp_path):
    """A photo of 16 x 8 pixels, black but for its central square."""
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, 4:12] = (100, 150, 200)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_photo_is_read_whole_or_at_a_size(path):
    assert images.read(path).shape == (8, 16, 3)
    assert (images.read_at(path, 8, fit="crop") == (100, 150, 200)).all()
    assert (images.read_at(path, 8, fit="crop", grey=True) == round(0.299 * 100 + 0.587 * 150 + 0.114 * 200)).all()


def test_a_mask_keeps_its_values(tmp_path):
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    Image.fromarray(values).save(tmp_path / "m.png")
    np.testing.assert_array_equal(images.read_mask(tmp_path / "m.png"), values)
    np.testing.assert_array_equal(images.read_mask_at(tmp_path / "m.png", 4), values[1::2, 1::2])


@pytest.mark.parametrize("size", [0, -3, 2.5, True, "8"])
def test_a_size_is_a_positive_integer(path, size):
    with pytest.raises(ValueError, match="size must be a positive integer, got"):
        images.read_at(path, size)


def test_a_fit_is_one_of_two(path):
    with pytest.raises(ValueError, match="fit must be one of 'squash', 'crop', got 'stretch'"):
        images.read_at(path, 8, fit="stretch")


def test_every_row_is_acted_on_and_failures_are_returned():
    done, lock = [], threading.Lock()

    def act(row):
        if row in (3, 90):
            raise ValueError(f"no {row}")
        with lock:
            done.append(row)

    assert images.for_each(act, 100, "rows", progress=False) == {3: "no 3", 90: "no 90"}
    assert sorted(done) == [row for row in range(100) if row not in (3, 90)]


def test_another_error_is_not_swallowed():
    with pytest.raises(KeyError):
        images.for_each({}.__getitem__, 1, "rows", progress=False)
