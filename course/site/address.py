"""Where the course is published: one entry of pyproject.toml, from which badges and links to files are made."""

import os
import re
import tomllib

from course import ROOT, UsageError

__all__ = ["BRANCH", "address", "repository", "stated"]

BRANCH = "main"


def address() -> str:
    """The address of the repository: its own where GitHub runs this, else the one that pyproject.toml states."""
    here = os.environ.get("GITHUB_REPOSITORY")
    return f"https://github.com/{here}" if here else stated()


def stated() -> str:
    """The address that pyproject.toml states."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def repository(given: str) -> str:
    """OWNER/NAME of an address on GitHub; UsageError for another one.

    >>> repository("https://github.com/someone/image-retrieval-course")
    'someone/image-retrieval-course'
    """
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", given)
    if not found:
        raise UsageError(f"expected an address such as https://github.com/OWNER/NAME, got {given}")
    return found[1]
