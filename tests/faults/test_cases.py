"""Files that the readers once took wrongly, or that resemble them, are read or refused with a ValueError."""

import pytest
from fuzz import CASES, TARGETS, read

FILES = sorted(path for path in CASES.rglob("*") if path.is_file())


def test_every_target_has_cases():
    assert {path.parent.name for path in FILES} == set(TARGETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name[:24]}")
def test_a_kept_case_is_read_or_refused(path):
    refusal = read(path.parent.name, path.read_bytes())
    assert (refusal is None) == path.name.startswith("sound"), refusal
