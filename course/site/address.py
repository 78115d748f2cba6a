"""Where the course is published: one entry of pyproject.toml, from which badges and links to files are made."""

import os
import re
import tomllib
from pathlib import Path

from course import ROOT, UsageError
from course.files import write_text

__all__ = ["BRANCH", "address", "repository", "state", "stated"]

BRANCH = "main"


def address() -> str:
    """The address of the repository: its own where GitHub runs this, else the one that pyproject.toml states."""
    here = os.environ.get("GITHUB_REPOSITORY")
    return f"https://github.com/{here}" if here else stated()


def stated() -> str:
    """The address that pyproject.toml states."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def state(given: str, root: Path = ROOT) -> str:
    """Write this address into pyproject.toml and CITATION.cff; the address as it now stands there."""
    address = f"https://github.com/{repository(given)}"
    project, citation = root / "pyproject.toml", root / "CITATION.cff"
    write_text(project, re.sub(r'(?m)^Repository = ".*"$', f'Repository = "{address}"', project.read_text("utf-8")))
    lines = [line for line in citation.read_text("utf-8").splitlines() if not line.startswith("repository-code:")]
    place = next(place for place, line in enumerate(lines) if line.startswith("license:"))
    write_text(citation, "\n".join([*lines[:place], f'repository-code: "{address}"', *lines[place:]]) + "\n")
    return address


def repository(given: str) -> str:
    """OWNER/NAME of an address on GitHub; UsageError for another one.

    >>> repository("https://github.com/someone/image-retrieval-course")
    'someone/image-retrieval-course'
    """
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", given)
    if not found:
        raise UsageError(f"expected an address such as https://github.com/OWNER/NAME, got {given}")
    return found[1]
