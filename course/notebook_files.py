"""What a notebook's file says, without running it: its question, its parameters, a digest of its source; a clean copy.

question, minutes    of the first cell, as STYLE asks for them
parameters           the literals of the one cell tagged `parameters`; parse, coerced: other values for them
source_digest        changes when the source does, never with outputs
with_outputs         the outputs of a run put into the source, without anything of the machine that ran it
commit_problems      what keeps a notebook with outputs from being committed
"""

import ast
import hashlib
import json
import re
import tomllib
from pathlib import Path

SIZE_LIMIT = 1_000_000  # bytes of a committed notebook
MACHINE_PATHS = re.compile(r"(?<![\w.:/])/(?:root|work|home|tmp|Users|mnt|private)/\S*|\b[A-Z]:\\+Users\\+\S*")
ADDRESSES = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]{6,}>")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}


def read(path: str | Path):
    """The notebook at `path`, in format 4.5. A file that is not one is a ValueError that names it."""
    import nbformat

    try:
        node = nbformat.reads(Path(path).read_text(encoding="utf-8"), as_version=4)
        for place, cell in enumerate(node.cells):
            cell.setdefault("id", f"cell-{place + 1:02d}")  # before format 4.5 cells had no name of their own
        node.nbformat_minor = max(node.nbformat_minor, 5)
        nbformat.validate(node)
    except (ValueError, AttributeError, nbformat.ValidationError, nbformat.reader.NotJSONError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{Path(path).name} is not a notebook: {first_line}") from error
    return node


def to_text(notebook) -> str:
    """The file's text, the same for the same notebook on every machine."""
    import nbformat

    return nbformat.writes(notebook) + "\n"


def question(notebook) -> str:
    """The title in the first line of the first cell, without its `#`; empty where there is none."""
    lines = notebook.cells[0].source.strip().splitlines() if notebook.cells else []
    is_title = bool(lines) and notebook.cells[0].cell_type == "markdown" and lines[0].startswith("# ")
    return lines[0][2:].strip() if is_title else ""


def minutes(notebook) -> float | None:
    """The minutes that the first two cells announce ("about 2 minutes", "minutes on a laptop CPU: 2"), or None."""
    text = "\n".join(cell.source for cell in notebook.cells[:2] if cell.cell_type == "markdown")
    found = re.search(
        r"(\d+(?:\.\d+)?)\s*(?:to|-|–)?\s*(?:\d+)?\s*minutes?\b|[Mm]inutes?\b[^\d\n]*(\d+(?:\.\d+)?)", text
    )
    return float(found[1] or found[2]) if found else None


def parameters(notebook) -> dict:
    """Names and values of the cell tagged `parameters`: assignments of literals, one name each.

    Raises ValueError when there is no such cell, more than one, or something else than literals in it.
    """
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise ValueError(f"exactly one cell must be tagged 'parameters', found {len(tagged)}")
    values = {}
    for statement in ast.parse(tagged[0].source).body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
        if not isinstance(target, ast.Name):
            raise ValueError(f"the parameters cell may only say `name = literal`, found `{ast.unparse(statement)}`")
        try:
            values[target.id] = ast.literal_eval(statement.value)
        except ValueError as error:
            raise ValueError(
                f"parameter {target.id} must be a literal, found `{ast.unparse(statement.value)}`"
            ) from error
    return values


def parse(text: str, default):
    """The value written as `text`, a TOML literal; for a parameter whose `default` is text it needs no quotes.

    >>> parse("[1, 2]", [3]), parse("scenes15", "catalogue"), parse('"a b"', "c"), parse("15", "scenes")
    ([1, 2], 'scenes15', 'a b', '15')
    """
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if isinstance(default, str):
            return text
        such_as = '1, 0.5, true, [1, 2] or "text"'
        raise ValueError(f"expected a TOML literal such as {such_as}, got {text}: {error}") from error
    return text if isinstance(default, str) and not isinstance(value, str) else value


def coerced(name: str, value, literals: dict, where: str):
    """`value` as parameter `name` of a notebook whose cell has `literals`: of the same type; a whole number as float.

    So are the elements of a list, a tuple or a dict: each of a type that an element of the literal has, at every depth;
    where the literal is empty or None, anything goes. A name that is unknown or a value of another type is a
    ValueError; `where` says where it came from.

    >>> coerced("share", 1, {"share": 0.5}, "-p share=1")
    1.0
    >>> coerced("compared", [["vgg16", 64, "max"]], {"compared": [["resnet18", 64]]}, "quick")
    [['vgg16', 64, 'max']]
    """
    if name not in literals:
        raise ValueError(f"{where}: unknown parameter {name}; known are {', '.join(literals)}")
    try:
        return _like(value, [literals[name]])
    except _OtherType as error:
        element, allowed = error.args
        inside = "" if element is value else f", in which {element!r} is of another type"
        raise ValueError(
            f"{where}: {name}: expected {allowed} as in {literals[name]!r}, got {value!r}{inside}"
        ) from error


class _OtherType(Exception):
    """What was found, and the names of the types that are allowed."""


def _like(value, examples):
    """`value` with the types of `examples`, any of them; its elements with those of theirs."""
    kinds = {type(example) for example in examples}
    if not examples or type(None) in kinds:
        return value
    kind = type(value)
    if kind is int and int not in kinds and float in kinds:
        return float(value)
    if kind is list and list not in kinds and tuple in kinds:
        kind = tuple
    if kind not in kinds:
        raise _OtherType(value, " or ".join(sorted(allowed.__name__ for allowed in kinds)))
    alike = [example for example in examples if type(example) is kind]
    if kind is dict:
        others = [item for example in alike for item in example.values()]
        named = {key: [example[key] for example in alike if key in example] for key in value}
        return {key: _like(item, named[key] or others) for key, item in value.items()}
    if kind in (list, tuple):
        elements = [element for example in alike for element in example]
        return kind(_like(element, elements) for element in value)
    return value


def source_digest(notebook, code_only: bool = False) -> str:
    """SHA-256 over kind and source of the cells (those with code only, on request) and the tags that steer a run."""
    cells = [
        [cell.cell_type, cell.source, sorted(cell.metadata.get("tags", []))]
        for cell in notebook.cells
        if cell.cell_type == "code" or not code_only
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def with_outputs(source, executed, profile: str):
    """The notebook `source` with the outputs of its run: (notebook, what was left out).

    Left out: warnings and logs (stderr), progress widgets, metadata of the run. What was on stderr is told, since a
    warning may deserve a look. Prose may have been edited since the run: it is taken from `source`. ValueError where
    `executed` does not come from these code cells, as when parameters were injected.
    """
    import nbformat

    if source_digest(source, code_only=True) != source_digest(executed, code_only=True):
        raise ValueError("what was run is not the source as it stands: code differs, or parameters were injected")
    node = nbformat.from_dict(json.loads(json.dumps(source)))
    node.metadata = nbformat.from_dict(
        {
            "kernelspec": KERNEL,
            "language_info": LANGUAGE,
            "course": {"profile": profile, "source_digest": source_digest(source, code_only=True)},
        }
    )
    left_out, runs = [], (cell for cell in executed.cells if cell.cell_type == "code")
    for cell in node.cells:
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in ("tags",) if cell.metadata.get(key)})
        if cell.cell_type != "code":
            continue
        ran = next(runs)
        cell.execution_count = ran.execution_count
        cell.outputs = []
        for output in ran.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                left_out.append(f"cell [{ran.execution_count}] stderr: {output.text.strip().splitlines()[:1]}")
            elif not any("widget-view" in kind for kind in output.get("data", {})):
                cell.outputs.append(output)
        _join_streams(cell)
    return node, left_out


def commit_problems(notebook) -> list[str]:
    """What keeps a notebook with outputs from being committed, in words; an empty list if nothing does."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):
        found.append(f"the code cells were not run once each, in order: their counts are {counts}")
    for cell in notebook.cells:
        where = f"cell [{cell.get('execution_count')}]" if cell.cell_type == "code" else f"the text cell {cell.id}"
        for text in [cell.source, *map(_shown, cell.get("outputs", []))]:
            found += [f"{where} has a machine's path: {path[:80]}" for path in MACHINE_PATHS.findall(text)[:1]]
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"{where} ends in an error: {output.ename}: {output.evalue[:80]}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"{where} writes to stderr: {output.text.strip()[:80]}")
            found += [f"{where} shows a memory address: {text[:80]}" for text in ADDRESSES.findall(_plain(output))[:1]]
    size = len(to_text(notebook).encode())
    if size > SIZE_LIMIT:
        largest = max(code, key=lambda cell: len(json.dumps(cell.outputs)))
        share = len(json.dumps(largest.outputs))
        found.append(
            f"{size:,} bytes, above the limit of {SIZE_LIMIT:,}; cell [{largest.execution_count}] alone shows {share:,}"
        )
    return found


def _join_streams(cell):
    joined = []
    for output in cell.outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    cell.outputs = joined


def _shown(output):
    """All text of an output; pictures aside."""
    data = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")}
    return "\n".join([str(output.get("text", "")), *map(str, data.values()), *output.get("traceback", [])])


def _plain(output):
    """The text a reader sees: beside a picture the text/plain of a display is not shown."""
    data = output.get("data", {})
    seen = "" if any(kind.startswith("image/") or kind == "text/html" for kind in data) else data.get("text/plain", "")
    return f"{output.get('text', '')}{seen}"
