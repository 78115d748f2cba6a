"""The pages of lib: what each module offers, from its source alone, so that no framework is loaded to write them.

Docstrings are shown as they are written: aligned lists and examples are read best in columns, so all but the first
paragraph is set in a fixed width where it has any.
"""

import ast
import re
import textwrap
from pathlib import Path

__all__ = ["index_page", "module_page", "modules"]


def modules(folder: Path) -> list[Path]:
    """The modules of lib, by name."""
    return sorted(path for path in folder.glob("*.py") if path.stem != "__init__")


def module_page(path: Path, source_address: str) -> str:
    """One module as Markdown: its docstring, then its public functions and classes with their signatures."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    summary, rest = _split(ast.get_docstring(tree) or "")
    n_lines = text.count("\n")
    parts = [f"# {path.name}", summary, _block(rest)]
    parts.append(
        f"{n_lines} lines: [read the source]({source_address}). Copy it with what it imports: "
        f"`python -m course copy {path.stem} FOLDER`."
    )
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and _is_public(node)]
    if public:
        parts.append("## Functions and classes")
    for node in public:
        parts += _entry(node, path.stem)
        if isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef) and _is_public(each)]
            for method in methods:
                parts += _entry(method, f"{path.stem}.{node.name}", f"#### {node.name}.")
    return "\n\n".join(filter(None, parts)) + "\n"


def index_page(paths: list[Path], about: dict[str, str]) -> str:
    """The table of all modules. `about` says in a few words what each does, as README has it."""
    lines = [
        "# The library",
        "`lib/` is what the notebooks import and what you may copy: short files, one idea each. Arrays, shapes, units "
        "and errors are in the docstrings, whose examples are run by the tests. `python -m course copy boost FOLDER` "
        "copies a module with the files that it imports.",
        "| module | what it does | public names |\n|---|---|---|\n"
        + "\n".join(_index_row(path, about.get(path.stem, "")) for path in paths),
        "```{toctree}\n:hidden:\n\n" + "\n".join(path.stem for path in paths) + "\n```",
    ]
    return "\n\n".join(lines) + "\n"


def _index_row(path, about):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    summary = about or _split(ast.get_docstring(tree) or "")[0]
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and _is_public(node)]
    shown = ", ".join(f"`{name}`" for name in names)
    return f"| [{path.name}]({path.stem}.md) | {_cell(summary)} | {shown} |"


def _entry(node, owner, marks="### "):
    """A heading, the signature and the docstring of a function, a class or a method."""
    summary, rest = _split(ast.get_docstring(node) or "")
    return [f"{marks}{node.name}", f"```python\n{signature(node, owner)}\n```", summary, _block(rest)]


def signature(node: ast.FunctionDef | ast.ClassDef, owner: str) -> str:
    """How it is called. A dataclass is called with its fields, another class as its __init__ says.

    >>> signature(ast.parse("def f(a, *, k: int = 3) -> list[int]: ...").body[0], "metrics")
    'metrics.f(a, *, k: int = 3) -> list[int]'
    """
    if isinstance(node, ast.FunctionDef):
        return _call(f"{owner}.{node.name}", node, is_method="." in owner)
    made = next((each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)
    if made:
        return _call(f"{owner}.{node.name}", made, is_method=True)
    fields = [ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign)]
    return _wrapped(f"{owner}.{node.name}", fields, "")


def _call(name, node, is_method):
    decorators = {ast.unparse(each).split("(")[0] for each in node.decorator_list}
    if decorators & {"property", "functools.cached_property", "cached_property"}:
        return name
    arguments = re.split(r", (?![^\[({]*[\])}])", ast.unparse(node.args)) if ast.unparse(node.args) else []
    arguments = [re.sub(r"^(\*{0,2}\w+: [^=]+)=", r"\1 = ", argument) for argument in arguments]  # as people write it
    if is_method and "staticmethod" not in decorators:
        arguments = arguments[1:]
    return _wrapped(name, arguments, f" -> {ast.unparse(node.returns)}" if node.returns else "")


def _wrapped(name, arguments, returns, width=88):
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= width:
        return line
    lines = [""]
    for argument in arguments:
        joined = f"{lines[-1]} {argument},".strip()
        lines = [*lines[:-1], joined] if len(joined) <= width - 4 else [*lines, f"{argument},"]
    return f"{name}(\n    " + "\n    ".join(filter(None, lines)) + f"\n){returns}"


def _is_public(node):
    return not node.name.startswith("_")


def _split(docstring):
    """The first paragraph in one line, as Markdown, and the rest as it is."""
    first, _, rest = docstring.strip().partition("\n\n")
    if "\n" in first and re.search(r"^ {2,}|>>>", first, re.M):  # a list stands in it: the first line alone is prose
        first, _, more = docstring.strip().partition("\n")
        rest = more
    return _prose(" ".join(first.split())), rest.strip("\n")


def _prose(text):
    """Markdown in which nothing but code in backticks is marked up."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if i % 2 else re.sub(r"([\\*_\[\]<>$|#{}])", r"\\\1", part) for i, part in enumerate(parts))


def _block(text):
    """The rest of a docstring: prose as paragraphs, examples as Python, anything set in columns as it stands."""
    blocks = []
    for paragraph in re.split(r"\n\s*\n", text):
        if not paragraph.strip():
            continue
        prose, _, example = paragraph.partition(">>> ")
        if prose.strip():
            is_set = re.search(r"^\s{2,}\S|\S {2,}\S", prose, re.M)
            blocks.append(
                f"```text\n{textwrap.dedent(prose).rstrip()}\n```" if is_set else _prose(" ".join(prose.split()))
            )
        if example:
            blocks.append(f"```pycon\n>>> {example.rstrip()}\n```")
    return "\n\n".join(blocks)


def _cell(text):
    return text.replace("|", "\\|") if "\\|" not in text else text
