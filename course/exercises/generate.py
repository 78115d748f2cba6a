"""Write the exercises from their solutions: `python -m course exercises`.

notebooks/solutions holds the source: cells with nbgrader's metadata, answers between BEGIN SOLUTION and END SOLUTION.
An exercise is the same notebook with a stub in place of each answer, without outputs, with the teacher's seed in its
locked cell, and with checks and texts that cannot be edited. What is written equals what `nbgrader generate_assignment`
releases, but for the checksums that nbgrader adds.
"""

import re
from pathlib import Path

from course import UsageError, files, notebook_files
from course.runner.plan import find, select

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
STUBS = {"code": ("# YOUR CODE HERE", "raise NotImplementedError()"), "markdown": ("YOUR ANSWER HERE",)}  # nbgrader's
SEED = re.compile(r"^seed = \d+\b", re.MULTILINE)


def exercise(solution, seed: int = 0):
    """The notebook that students get, from the one with solutions; ValueError where nbgrader would not take it."""
    import nbformat

    problems = structure_problems(solution)
    if problems:
        raise ValueError("; ".join(problems))
    notebook = with_seed(solution, seed)
    cells = []
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        source = without_solution(cell.source, cell.cell_type) if about.get("solution") else cell.source
        rights = ({"deletable": False} if about else {}) | ({"editable": False} if about.get("locked") else {})
        cells.append(nbformat.from_dict({**cell, "metadata": {**cell.metadata, **rights}, "source": source}))
    notebook.cells = cells
    return notebook


def with_seed(solution, seed: int):
    """A clean copy of the notebook (no outputs, no metadata of a run), with this seed in its locked cell."""
    import nbformat

    notebook = nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": notebook_files.KERNEL, "language_info": notebook_files.LANGUAGE}
    )
    for cell in solution.cells:
        source = cell.source
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("locked"):
            source = SEED.sub(f"seed = {seed}", source)
        metadata = {name: cell.metadata[name] for name in ("nbgrader", "tags") if name in cell.metadata}
        clean = {"cell_type": cell.cell_type, "id": cell.id, "metadata": metadata, "source": source}
        if cell.cell_type == "code":
            clean |= {"execution_count": None, "outputs": []}
        notebook.cells.append(nbformat.from_dict(clean))
    return notebook


def without_solution(source: str, cell_type: str) -> str:
    """The source with a stub, as far indented, in place of what stands between the markers; all of it without any.

    >>> print(without_solution("def f():\\n    ### BEGIN SOLUTION\\n    return 1\\n    ### END SOLUTION", "code"))
    def f():
        # YOUR CODE HERE
        raise NotImplementedError()
    """
    stub, lines, inside = STUBS[cell_type], [], False
    if BEGIN not in source:
        return "\n".join(stub)
    for line in source.split("\n"):
        if BEGIN in line:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + each for each in stub]
            inside = True
        elif END in line:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def structure_problems(notebook) -> list[str]:
    """What nbgrader, or a student, would stumble over, in words; an empty list if nothing."""
    found, names = [], []
    for place, cell in enumerate(notebook.cells, start=1):
        about = cell.metadata.get("nbgrader", {})
        where = about.get("grade_id") or f"cell {place}"
        begins, ends = cell.source.count(BEGIN), cell.source.count(END)
        names += [about["grade_id"]] if about else []
        if begins != ends:
            found.append(f"{where}: {begins} times BEGIN SOLUTION, {ends} times END SOLUTION")
        if begins and not about.get("solution"):
            found.append(f"{where}: a solution in a cell that nbgrader does not take for one")
        if about.get("grade") and not about.get("points", 0) > 0:
            found.append(f"{where}: is graded without points")
        if about.get("grade") and not about.get("solution") and not about.get("locked"):
            found.append(f"{where}: a check that students could edit")
    found += [f"grade_id {name!r} occurs more than once" for name in sorted({n for n in names if names.count(n) > 1})]
    seeds = [cell for cell in notebook.cells if cell.cell_type == "code" and SEED.search(cell.source)]
    if len(seeds) != 1 or not seeds[0].metadata.get("nbgrader", {}).get("locked"):
        found.append("expected one locked cell that sets `seed`")
    return found


def command(notebooks: Path, only: list[str] | None, seed: int, nbgrader: Path | None) -> int:
    """Write the exercises of the notebooks named, or lay the solutions out for nbgrader, with this seed."""
    paths = select(find(notebooks / "solutions"), only)
    for path in paths:
        try:
            solution = notebook_files.read(path)
            made = with_seed(solution, seed) if nbgrader else exercise(solution, seed)
        except ValueError as error:
            raise UsageError(f"{path.name}: {error}") from error
        target = nbgrader / "source" / path.stem if nbgrader else notebooks / "exercises"
        target.mkdir(parents=True, exist_ok=True)
        files.write_text(target / path.name, notebook_files.to_text(made))
        print(target / path.name)
    return 0
