"""Make .venv with everything the course needs, or find that it is there already.

Run by every make target; without make:  python install.py
The environment is made again when requirements.txt, constraints.txt, pyproject.toml, the Python version or the place
of this folder changed: their digest is kept in .venv/course-stamp, written last, so that a broken-off installation is
taken up again by the next call. Standard library only; needs Python 3.11 or newer.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "course-stamp"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST = (3, 11)


def digest() -> str:
    """sha256 of all that decides what is installed."""
    parts = [(ROOT / name).read_bytes() for name in ("requirements.txt", "constraints.txt", "pyproject.toml")]
    parts += [repr(sys.version_info[:3]).encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_current() -> bool:
    """True when .venv is complete and was made from the present requirements."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text().strip() == digest()


def works() -> bool:
    """True when the interpreter in .venv starts and is the Python that runs this script."""
    probe = [str(PYTHON), "-c", "import sys, pip; print(sys.version_info[:2])"]
    try:
        return subprocess.run(probe, capture_output=True, text=True).stdout.strip() == repr(sys.version_info[:2])
    except OSError:
        return False


def require_own_folder() -> None:
    """End with a sentence where .venv is something that making it anew would destroy or could not replace."""
    if VENV.is_symlink():
        what = f"a link to {os.readlink(VENV)}, which is no environment that works with this Python; remove the link"
    elif VENV.exists() and not VENV.is_dir():
        what = "a file; move it away"
    elif VENV.is_dir() and any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").is_file():
        what = "a folder with something else than an environment in it; move it away"
    else:
        return
    sys.exit(f"install.py: {VENV} is {what}, and call it again.")


def install() -> None:
    """Make .venv (anew where it does not work), install into it, and write the stamp."""
    if VENV.exists() and works():
        print("The requirements changed, or an installation was broken off: bringing .venv up to date.", flush=True)
    else:
        require_own_folder()
        print(f"Making .venv with Python {sys.version.split()[0]}.", flush=True)
        venv.EnvBuilder(clear=VENV.exists(), with_pip=True, symlinks=os.name != "nt").create(VENV)
    print("Installing the requirements (once; about 6 GB on Linux, a few minutes).", flush=True)
    STAMP.unlink(missing_ok=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", "requirements.txt", "-c", "constraints.txt"], cwd=ROOT, check=True)
    subprocess.run([*pip, "--no-deps", "-e", "."], cwd=ROOT, check=True)
    STAMP.write_text(digest() + "\n")
    print("Installed.", flush=True)


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        sys.exit(f"The course needs Python {'.'.join(map(str, OLDEST))} or newer; this is {sys.version.split()[0]}.")
    if not is_current():
        try:
            install()
        except subprocess.CalledProcessError as error:
            sys.exit(f"install.py: pip ended with status {error.returncode}; call it again to go on where it stopped.")
