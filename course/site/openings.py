"""The links at the top of each notebook, and the map of the course, notebooks/index.ipynb: `python -m course links`.

Both are written from the notebooks themselves, so the command may be called at any time and again. It changes Markdown
alone: the outputs of a notebook stay those of its code.
"""

import re
from pathlib import Path

from course import notebook_files
from course.files import write_text
from course.runner.plan import find
from course.site.address import BRANCH, repository

__all__ = ["MAP", "command", "fetching", "map_notebook", "opening", "with_opening"]

MAP = "index.ipynb"
MARK = "<!-- links: written by `python -m course links` -->"
COLAB_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
BINDER_BADGE = "https://mybinder.org/badge_logo.svg"
SETS = {  # ways through the course: their names, how long, and the notebooks
    "An afternoon": ["00", "01", "02", "13"],
    "Learn the distance": ["00", "02", "03", "04", "05", "09"],
    "Words and images": ["00", "02", "06", "07", "08"],
    "Fast and small": ["00", "10", "11", "12"],
}


def fetching(address: str) -> str:
    """The cell that fetches the course to where there is none, as on Colab, whose own Jupyter it leaves as it is."""
    name = repository(address).split("/")[1]
    return "\n".join(
        [
            f"!git clone --quiet --depth 1 {address}",
            f"%cd {name}",
            '!grep -vE "^(jupyter|ipy|nb|papermill)" requirements.txt > needed.txt',
            "%pip install --quiet -r needed.txt",
            "!python -m course catalogue",
        ]
    )


def opening(paths: list[Path], place: int, questions: dict[str, str], address: str) -> str:
    """The lines that close the first cell of the notebook at `place`: its neighbours, badges, the cell that fetches."""
    path, home = paths[place], repository(address)
    around = [f"[map of the course]({MAP})"]
    if (path.parent / "exercises" / path.name).is_file():
        around.append(f"[exercises](exercises/{path.name})")
    if place > 0:
        around.insert(0, f"[←\N{NO-BREAK SPACE}{_named(paths[place - 1], questions)}]({paths[place - 1].name})")
    if place + 1 < len(paths):
        around.append(f"[{_named(paths[place + 1], questions)}\N{NO-BREAK SPACE}→]({paths[place + 1].name})")
    colab = f"https://colab.research.google.com/github/{home}/blob/{BRANCH}/notebooks/{path.name}"
    binder = f"https://mybinder.org/v2/gh/{home}/{BRANCH}?urlpath=lab/tree/notebooks/{path.name}"
    return "\n".join(
        [
            MARK,
            " · ".join(around),
            "",
            f"[![Open in Colab]({COLAB_BADGE})]({colab}) [![Open in Binder]({BINDER_BADGE})]({binder})",
            "",
            "<details><summary>On Colab, run this first, in a cell of its own</summary>",
            "",
            f"```\n{fetching(address)}\n```",
            "",
            "</details>",
        ]
    )


def _named(path, questions):
    short = re.split(r"(?<=\?)|:", questions[path.stem])[0].strip()
    return f"{path.stem[:2]} {short}"


def with_opening(source: str, lines: str) -> str:
    """The text of a first cell with these lines at its end, in place of those that an earlier call wrote.

    >>> once = with_opening("# What is it?", MARK + " next")
    >>> with_opening(once, MARK + " next") == once
    True
    """
    return f"{source.partition(MARK)[0].rstrip()}\n\n{lines}"


# ---- the map -------------------------------------------------------------------------------------------------------


def needed(notebook, before: list[str]) -> list[str]:
    """The numbers of the notebooks that the paragraph "You need" names, of those `before` it."""
    text = "\n".join(cell.source for cell in notebook.cells[:2] if cell.cell_type == "markdown")
    paragraph = re.search(r"\*\*You need\*\*(.*?)(?:\n\s*\n|\Z)", text, re.S)
    numbers = re.findall(r"\b\d\d\b", paragraph[1]) if paragraph else []
    return [number for number in dict.fromkeys(numbers) if any(name.startswith(number) for name in before)]


def map_notebook(paths: list[Path], nodes: dict, exercises: list[Path], address: str):
    """The notebook that `make lab` opens: every notebook with its question, what it builds on, and ways through."""
    from nbformat import from_dict
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    cells = [
        new_markdown_cell(_head(paths, address)),
        new_markdown_cell(_ways(paths)),
        new_markdown_cell(HOW),
        new_code_cell(CHECK),
        new_markdown_cell(_after(exercises)),
    ]
    if not exercises:
        cells = cells[:-1]
    rows = _rows(paths, nodes)
    cells.insert(1, new_markdown_cell(rows))
    for place, cell in enumerate(cells):
        cell.id = f"map-{place}"
    metadata = {"kernelspec": notebook_files.KERNEL, "language_info": notebook_files.LANGUAGE}
    return new_notebook(cells=cells, metadata=from_dict(metadata))


def _head(paths, address):
    return f"""# The map of the course

{len(paths)} notebooks, each of which asks one question about searching images, answers it in code and checks its own
claims. Start at the top, or take one of the ways below. Everything runs on a laptop's CPU.

<details><summary>On Colab, run this first, in a cell of its own</summary>

```
{fetching(address)}
```

</details>"""


def _rows(paths, nodes):
    lines = ["| | question | builds on | minutes |", "|---|---|---|---|"]
    for place, path in enumerate(paths):
        node = nodes[path.stem]
        minutes = notebook_files.minutes(node)
        before = ", ".join(needed(node, [other.stem for other in paths[:place]])) or "–"
        title = notebook_files.question(node)
        lines.append(f"| [{path.stem[:2]}]({path.name}) | [{title}]({path.name}) | {before} | {minutes or 1:g} |")
    return "\n".join(lines)


def _ways(paths):
    links = {path.stem[:2]: f"[{path.stem[:2]}]({path.name})" for path in paths}
    lines = ["## Ways through", ""]
    for name, numbers in SETS.items():
        there = [links[number] for number in numbers if number in links]
        if there:
            lines.append(f"- **{name}**: {' → '.join(there)}")
    return "\n".join(lines)


HOW = """## How to work with a notebook

Read a section, guess what comes, then run its cell (Shift+Enter). *Run → Restart Kernel and Run All Cells* runs a
whole notebook. The second cell holds its **parameters**: change one, run it again, and see which claims still hold. The
last cell shows what was measured and which claims held.

The circle at the top right fills as cells are run; point at it for the time so far.

Is everything in place? The next cell reads the collection that the course draws itself and searches it once."""

CHECK = """from lib import collection, descriptors, indexes

images = collection.read("catalogue", "test")
embeddings = descriptors.hog(images.images(64)[:200])
distances, neighbours = indexes.search_leave_self_out(embeddings, k=5)
print(f"{len(images)} images are here; the nearest of image 0 are {neighbours[0].tolist()}")"""


def _after(exercises):
    links = "\n".join(f"- [{path.stem}](exercises/{path.name})" for path in exercises)
    return f"## Exercises\n\nThey check themselves: after each answer a cell says whether it is right.\n\n{links}"


# ---- the command ---------------------------------------------------------------------------------------------------


def command(notebooks: Path, address: str) -> int:
    """Write the links into the notebooks of a folder, and its map; say which files changed."""
    paths = find(notebooks)
    nodes = {path.stem: notebook_files.read(path) for path in paths}
    questions = {name: notebook_files.question(node) or name for name, node in nodes.items()}
    for place, path in enumerate(paths):
        node = nodes[path.stem]
        node.cells[0].source = with_opening(node.cells[0].source, opening(paths, place, questions, address))
        _write(path, node)
    exercises = sorted((notebooks / "exercises").glob("*.ipynb"))
    _write(notebooks / MAP, map_notebook(paths, nodes, exercises, address))
    return 0


def _write(path, node):
    text = notebook_files.to_text(node)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
        print(f"written  {path}")
