"""Toy notebooks and a toy course for the tests of the runner, and a way to call the command line in this process."""

import contextlib
import io
import json

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.__main__ import main

PARAMETERS = 'profile = "quick"\ndataset = "toy"\nn = 3  # images\nbatch_size = 8'
BEGIN = "from lib import results\nresults.begin({name!r}, profile)"


def toy(folder, name, cells, parameters=PARAMETERS, title="# What is a toy?\n\nAbout 1 minute."):
    """Write a notebook of these code cells; `{begin}` stands for the cell that opens its results."""
    tagged = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters else []
    sources = [cell.replace("{begin}", BEGIN.format(name=name)) for cell in cells]
    code = [new_code_cell(text, metadata={"tags": ["skip-execution"]} if "#skip" in text else {}) for text in sources]
    nodes = [new_markdown_cell(title), *tagged, *code]
    for place, node in enumerate(nodes):
        node.id = f"toy-{place}"
    nbformat.write(new_notebook(cells=nodes), folder / f"{name}.ipynb")


def toys(folder, names, extra=""):
    """profiles.toml for these names."""
    tables = "\n".join(f'[{name}.quick]\ndataset = "toy"\nn = 3' for name in names)
    (folder / "profiles.toml").write_text(f"{tables}\n{extra}")


def call(*arguments):
    """The exit status, and all that was printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main([str(argument) for argument in arguments])
    return status, said.getvalue()


def good_cells(value="n / 4"):
    noisy = "import sys\nprint('two', end=' '); print('words'); print('noise', file=sys.stderr)"
    measured = (
        f"results.measure('AP', {value}, interval=(0, 1.5), n=8, method='toy')\nresults.measure('time', 2, unit='ms')"
    )
    return ["{begin}", noisy, measured, "results.claim('three quarters is more than half', n / 4, above=1 / 2)"]


def measured(folder):
    """What the toy course in `folder` measured in its last run."""
    return json.loads((folder / "reports" / "results" / "quick" / "00_good.json").read_text())["measures"]
