"""Each figure of the notebooks as PNG and SVG, for slides: `python -m course figures`.

A committed notebook holds pictures of pixels, and an SVG cannot be had from these. So each notebook is run again, with
its parameters of profile quick, and told to show its figures in both formats; what it computed earlier is kept under
data/ and not computed anew. Photos inside a figure stay pixels, also in its SVG. What a notebook shows without
matplotlib, such as a photo, is a PNG alone.
"""

import re
import sys
import tempfile
from base64 import b64decode
from pathlib import Path

from course import UsageError, notebook_files
from course.files import write_text
from course.runner import kernel
from course.runner.environment import draw, drawn_collections, environment
from course.runner.plan import Notebook, plan, read_profiles
from course.site.front import shown, slug

__all__ = ["command", "shown_twice", "write_figures"]

FORMATS = '%config InlineBackend.figure_formats = ["retina", "svg"]'
OWN_FORMATS = re.compile(r"^%config InlineBackend\.(?:figure_formats|print_figure_kwargs) *=.*$", re.M)
SECONDS = 600  # for a cell, as in profile quick


def shown_twice(notebook):
    """The notebook with its own choice of a format taken out, and both formats put in before its first figure."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = OWN_FORMATS.sub("", cell.source)
    place = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    first = next(cell for cell in notebook.cells[place + 1 :] if cell.cell_type == "code")
    first.source = f"{FORMATS}\n{first.source}"
    return notebook


def write_figures(notebook, folder: Path) -> list[Path]:
    """The figures of an executed notebook into `folder`, named by number and heading; those of an earlier run go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.png"), *folder.glob("*.svg"), *folder.glob("*.jpg")]:
        old.unlink()
    written, number = [], 0
    for heading, data in shown(notebook):
        if not {"image/png", "image/jpeg", "image/svg+xml"} & data.keys():
            continue
        number += 1
        stem = folder / f"{number:02d}-{slug(heading)[:50].strip('-') or 'figure'}"
        for kind, suffix in (("image/png", ".png"), ("image/jpeg", ".jpg")):
            if kind in data:
                written.append(stem.with_suffix(suffix))
                written[-1].write_bytes(b64decode("".join(data[kind])))
        if "image/svg+xml" in data:
            written.append(stem.with_suffix(".svg"))
            write_text(written[-1], "".join(data["image/svg+xml"]))
    return written


def _run(notebook: Notebook, variables: dict, place: Path) -> Path:
    """Run the notebook with both formats; where it was written. A failure is a UsageError."""
    source, executed = place / f"{notebook.name}.ipynb", place / "executed" / f"{notebook.name}.ipynb"
    write_text(source, notebook_files.to_text(shown_twice(notebook_files.read(notebook.path))))
    executed.parent.mkdir(exist_ok=True)
    arguments = {
        "source": str(source),
        "target": executed.name,
        "parameters": notebook.changed,
        "cwd": str(notebook.path.parent.resolve()),
        "timeout": SECONDS,
    }
    log = place / f"{notebook.name}.log"
    processes = []
    try:
        failure = kernel.execute_apart(arguments, variables, executed.parent, log, processes.append, lambda event: None)
    finally:  # also on Ctrl-C: it ends its kernel
        for process in processes:
            process.terminate()
    if failure:
        raise UsageError(f"{notebook.name} failed: {failure}")
    return executed


def command(notebooks: Path, paths: list[Path], out: Path) -> int:
    """Run these notebooks and write their figures, a folder each, below `out`."""
    planned = plan(paths, read_profiles(notebooks), "quick", [])
    broken = [notebook for notebook in planned if notebook.problem]
    if broken:
        raise UsageError(f"{broken[0].name}: {broken[0].problem}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        variables = environment(folder, place / "reports", 1)  # the reports of the last run stay as they are
        draw(set().union(*map(drawn_collections, planned)), notebooks, variables)
        for notebook in planned:
            print(f"running  {notebook.name}", file=sys.stderr)
            executed = notebook_files.read(_run(notebook, variables, place))
            written = write_figures(executed, out / notebook.name)
            n_svg = sum(path.suffix == ".svg" for path in written)
            n_pictures = len(written) - n_svg
            print(f"{notebook.name}: {n_pictures} pictures, {n_svg} of them also as SVG, in {out / notebook.name}")
    return 0
