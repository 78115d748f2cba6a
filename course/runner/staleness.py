"""When a notebook that has run must run again: its source, its parameters, or what it was run with has changed.

What it was run with is the package boundary: every file of lib/, which notebooks import, and of course/catalogue/,
which draws the images they read. What only runs, checks or publishes them is not part of it.
"""

import hashlib
import json
from pathlib import Path

from course import ROOT, notebook_files
from course.runner.plan import Notebook

USED_BY_NOTEBOOKS = (ROOT / "lib", ROOT / "course" / "catalogue")


def digest(notebook: Notebook) -> str:
    """SHA-256 of all that decides what a run gives: source, parameters, and the files that notebooks use."""
    parts = [
        notebook_files.source_digest(notebook_files.read(notebook.path)),
        json.dumps(notebook.parameters, sort_keys=True),
        *map(digest_of_folder, USED_BY_NOTEBOOKS),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def digest_of_folder(folder: Path) -> str:
    """SHA-256 over names and contents of all files in `folder`, at every depth, but for compiled and hidden ones."""
    lines = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.parts):
            lines.append(f"{name.as_posix()} {digest_of_file(path)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
