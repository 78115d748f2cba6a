"""Make .venv with everything the course needs, or find that it is there already.

    python install.py                  what the course imports
    python install.py dev              also what tests, benchmarks and style checks use
    python install.py site             also what writes the site
    python install.py demo             also what serves the page of the demo
    python install.py full             also the further weights of full runs

Every make target calls it. What is installed is brought up to date when requirements.txt, constraints.txt,
pyproject.toml, the Python version or the place of this folder has changed: their digest is kept in .venv/course-stamp,
and in .venv/course-stamp-dev for an extra. A stamp is written last, so an interrupted installation is completed by the
next call. Standard library only; needs Python 3.11 or newer.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST = (3, 11)
EXTRAS = ("dev", "site", "demo", "full")


def digest() -> str:
    """SHA-256 of all that decides what is installed."""
    parts = [(ROOT / name).read_bytes() for name in ("requirements.txt", "constraints.txt", "pyproject.toml")]
    parts += [repr(sys.version_info[:3]).encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp(extra: str | None = None) -> Path:
    """The file that says what was last installed completely: the requirements, or an extra."""
    return VENV / "-".join(filter(None, ["course-stamp", extra]))


def is_current(extra: str | None = None) -> bool:
    """Whether .venv holds the present requirements, or this extra of them."""
    path = stamp(extra)
    return PYTHON.exists() and path.exists() and path.read_text().strip() == digest()


def works() -> bool:
    """Whether the interpreter in .venv starts and is the Python that runs this script."""
    probe = [str(PYTHON), "-c", "import sys, pip; print(sys.version_info[:2])"]
    try:
        return subprocess.run(probe, capture_output=True, text=True).stdout.strip() == repr(sys.version_info[:2])
    except OSError:
        return False


def require_own_folder() -> None:
    """Stop where .venv is something that a new environment would destroy or cannot replace."""
    if VENV.is_symlink():
        fault, remedy = f"a link to {os.readlink(VENV)}, where no working environment of this Python is", "remove it"
    elif VENV.exists() and not VENV.is_dir():
        fault, remedy = "a file", "move it away"
    elif VENV.is_dir() and any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").is_file():
        fault, remedy = "a folder that is not a Python environment", "move it away"
    else:
        return
    sys.exit(f"install.py: {VENV} is {fault}; {remedy} and run this again.")


def install() -> None:
    """Make .venv (anew where it does not work), install the requirements, and write the stamp."""
    if VENV.exists() and works():
        print("Updating .venv: the requirements changed, or an installation was interrupted.", flush=True)
    else:
        require_own_folder()
        print(f"Creating .venv with Python {sys.version.split()[0]}.", flush=True)
        venv.EnvBuilder(clear=VENV.exists(), with_pip=True, symlinks=os.name != "nt").create(VENV)
    print("Installing the requirements: a few minutes, once; about 8 GB on Linux.", flush=True)
    stamp().unlink(missing_ok=True)
    pip("-r", "requirements.txt", "-c", "constraints.txt")
    pip("--no-deps", "-e", ".")
    stamp().write_text(digest() + "\n")
    print("Installed.", flush=True)


def install_extra(extra: str) -> None:
    """Install an extra of pyproject.toml into .venv, and write its stamp."""
    print(f"Installing the extra packages of `{extra}`.", flush=True)
    stamp(extra).unlink(missing_ok=True)
    pip("-c", "constraints.txt", "-e", f".[{extra}]")
    stamp(extra).write_text(digest() + "\n")


def pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    subprocess.run([*command, *arguments], cwd=ROOT, check=True)


def main(extras: list[str]) -> None:
    """Bring .venv up to date, with these extras."""
    unknown = [extra for extra in extras if extra not in EXTRAS]
    if unknown:
        sys.exit(f"install.py: expected {', '.join(EXTRAS[:-1])} or {EXTRAS[-1]}, got {unknown[0]}.")
    if sys.version_info < OLDEST:
        needed = ".".join(map(str, OLDEST))
        sys.exit(f"install.py: expected Python {needed} or newer, got {sys.version.split()[0]}.")
    try:
        if not is_current():
            install()
        for extra in extras:
            if not is_current(extra):
                install_extra(extra)
    except subprocess.CalledProcessError as error:
        sys.exit(f"install.py: pip failed with status {error.returncode}; run this again to continue.")


if __name__ == "__main__":
    main(sys.argv[1:])
