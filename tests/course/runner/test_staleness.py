"""What makes a notebook that has run stale: the package boundary, not a list of names."""

import shutil

import pytest
from toys import toy, toys

from course import ROOT
from course.runner import plan, staleness


def digest_of(folder):
    (notebook,) = plan.plan(plan.find(folder), plan.read_profiles(folder), "quick", [])
    return staleness.digest(notebook)


def test_source_and_parameters_count(toy_folder):
    before = digest_of(toy_folder)
    assert digest_of(toy_folder) == before
    toys(toy_folder, ["00_good"])
    assert digest_of(toy_folder) == before, "another profile's table changes nothing"
    (toy_folder / "profiles.toml").write_text("[00_good.quick]\nn = 4")
    other_parameters = digest_of(toy_folder)
    toy(toy_folder, "00_good", ["2"])
    toys(toy_folder, ["00_good"])
    assert len({before, other_parameters, digest_of(toy_folder)}) == 3


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of what notebooks use, to change files in."""
    for name in ("lib", "course"):
        shutil.copytree(ROOT / name, tmp_path / name)
    copied = tuple(tmp_path / path.relative_to(ROOT) for path in staleness.USED_BY_NOTEBOOKS)
    monkeypatch.setattr(staleness, "USED_BY_NOTEBOOKS", copied)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "is_used"),
    [
        ("lib/metrics.py", True),
        ("lib/new.py", True),
        ("lib/tables/words.txt", True),
        ("course/catalogue/scenes.py", True),
        ("course/runner/run.py", False),
        ("course/check.py", False),
        ("course/report/templates/style.css", False),
        ("lib/__pycache__/metrics.cpython-311.pyc", False),
        ("lib/.metrics.py.swp", False),
    ],
)
def test_only_what_notebooks_use_counts(project, toy_folder, name, is_used):
    before = digest_of(toy_folder)
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n# another line\n")
    assert (digest_of(toy_folder) != before) == is_used


def test_a_file_that_moves_or_goes_counts(project, toy_folder):
    before = digest_of(toy_folder)
    (project / "lib" / "metrics.py").rename(project / "lib" / "measures.py")
    moved = digest_of(toy_folder)
    (project / "lib" / "measures.py").unlink()
    assert len({before, moved, digest_of(toy_folder)}) == 3
