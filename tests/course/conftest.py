"""A toy course that has run, for tests of what comes after a run."""

import shutil

import pytest
from toys import call, good_cells, toy, toys

from course.runner import staleness


@pytest.fixture(scope="session")
def course_folder(tmp_path_factory):
    """A course of one good notebook whose outputs have been written into it: (folder, what was printed)."""
    folder = tmp_path_factory.mktemp("course")
    toy(folder, "00_good", good_cells())
    toys(folder, ["00_good"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staleness, "USED_BY_NOTEBOOKS", ())  # lib may be edited while the tests run
        status, said = call("notebooks", "--notebooks", folder, "--reports", folder / "reports")
    assert status == 0, said
    return folder, said


@pytest.fixture
def finished(course_folder, tmp_path, monkeypatch):
    """A copy of the course in which its notebook has run: (folder, arguments that name it)."""
    monkeypatch.setattr(staleness, "USED_BY_NOTEBOOKS", ())
    folder = shutil.copytree(course_folder[0], tmp_path / "copy")
    return folder, ("--notebooks", folder, "--reports", folder / "reports")


@pytest.fixture
def toy_folder(tmp_path):
    """A course of one notebook that was never run, with parameters of every type and two profiles."""
    parameters = 'profile = "quick"\ndataset = "toy"\nn = 3\nshare = 0.5\nsizes = [1, 2]\nfast = True'
    toy(tmp_path, "00_good", ["1"], parameters=parameters)
    toys(tmp_path, ["00_good"], extra="[00_good.full]\nn = 30\nshare = 1")
    return tmp_path
