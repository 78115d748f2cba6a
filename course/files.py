"""Two acts of every command: write a text file in one step, and read a variable that names folders."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step: a reader finds the old file or the new one, never half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def named_folders(variable: str) -> list[Path]:
    """The folders that an environment variable names, joined as in $PATH, absolute; empty parts are left out."""
    return [Path(part).expanduser().resolve() for part in os.environ.get(variable, "").split(os.pathsep) if part]
