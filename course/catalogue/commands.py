"""The command `catalogue`: draw the embedded collection and its probes."""

from pathlib import Path

from .writing import default_folder, write


def command(n_images: int = 6000, size: int = 96, seed: int = 0, folder: Path | None = None) -> Path:
    """Draw the embedded catalogue and its probes, unless they are there, and print where they are.

    Raises ValueError for parameters out of range, and if the folder holds something else.
    """
    folder = default_folder() if folder is None else Path(folder).expanduser()
    probes = folder.with_name(f"{folder.name}-probes")
    before = {place: _identity(place) for place in (folder, probes)}
    write(folder, n_images, size, seed)
    for place, identity in before.items():
        print(f"{'already there' if _identity(place) == identity else 'drawn'}: {place}")
    return folder


def _identity(folder):
    """Changes whenever another folder takes this name; None where there is none."""
    return folder.stat().st_ino if folder.exists() else None
