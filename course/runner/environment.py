"""What notebooks find around them: folders of data and weights, threads, the drawn collection; and a lock for a run."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from course import ROOT, UsageError, notebook_files
from course.files import named_folders
from course.runner import kernel
from course.runner.plan import Notebook

DRAWN = re.compile(r"""["'](catalogue|catalogue-probes)["']""")


def environment(folder: str, reports: Path, jobs: int) -> dict:
    """The environment of the notebooks: this lib, this report folder, absolute data folders, threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    variables = kernel.prepare(folder, threads=max(1, cores // jobs) if jobs > 1 else None)
    for name in ("RETRIEVAL_DATA", "RETRIEVAL_WEIGHTS"):  # relative to where the command was given
        variables[name] = os.pathsep.join(map(str, named_folders(name)))
        if not variables[name]:
            del variables[name]
    variables["RETRIEVAL_REPORTS"] = str(reports.resolve())
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return variables


def drawn_collections(notebook: Notebook) -> set[str]:
    """The drawn collections that a parameter names, or code beside the parameters."""
    if notebook.problem:
        return set()
    cells = notebook_files.read(notebook.path).cells
    code = [c.source for c in cells if c.cell_type == "code" and "parameters" not in c.metadata.get("tags", [])]
    return set(DRAWN.findall("\n".join([repr(list(notebook.parameters.values())), *code])))


def draw(collections: set[str], folder: Path, variables: dict) -> None:
    """Draw the embedded collections before the first notebook that uses them, where a progress bar can be seen."""
    if not collections:
        return
    variables = {key: value for key, value in variables.items() if key != "TQDM_DISABLE"}
    if not sys.stderr.isatty():
        variables["TQDM_MININTERVAL"] = "20"  # seconds: in a log each step of the bar is kept
    write = "write" if "catalogue" in collections else "write_probes"  # the catalogue comes with its probes
    command = [sys.executable, "-c", f"from course import catalogue; catalogue.{write}()"]
    if subprocess.run(command, cwd=folder, env=variables, check=False).returncode:
        raise UsageError("the catalogue could not be drawn (see above)")


@contextlib.contextmanager
def locked(folder: Path):
    """Hold the lock of a folder that a run writes to, lost with its process; UsageError where another run holds it."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"a run is under way in {folder}; wait for its end, or give another --reports") from error
    try:
        yield
    finally:
        lock.release()
