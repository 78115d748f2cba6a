"""The house: lib is small, its files are short, and it knows nothing of what runs the course."""

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LIB = sorted(path for path in (ROOT / "lib").rglob("*.py") if path.name != "__init__.py")
COURSE = sorted((ROOT / "course").rglob("*.py"))
MODULES = {path.stem for path in LIB}
TAKEN = sys.stdlib_module_names | set(importlib.metadata.packages_distributions()) - {"lib", "course"}

every_module_of_lib = pytest.mark.parametrize("path", LIB, ids=lambda path: path.stem)
every_file = pytest.mark.parametrize("path", LIB + COURSE, ids=lambda path: str(path.relative_to(ROOT)))


def n_lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def imports_of_lib(source):
    """Modules of lib that a source imports, by any form and at any depth."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module or 'lib'}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            found |= {part for part in (parts[1:2] if parts[0] == "lib" else parts[:1]) if part in MODULES}
    return found


def long_functions(source, limit):
    """Names and lines of functions longer than `limit`, from `def` to the last line, without the docstring."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    lengths = [(node.name, node.end_lineno - node.lineno + 1 - _docstring_lines(node)) for node in functions]
    return [(name, length) for name, length in lengths if length > limit]


def _docstring_lines(function):
    first = function.body[0]
    return first.end_lineno - first.lineno + 1 if ast.get_docstring(function) else 0


def test_lib_has_at_most_9000_lines():
    assert sum(map(n_lines, (ROOT / "lib").rglob("*.py"))) <= 9_000  # __init__.py too


@every_file
def test_a_file_has_at_most_500_lines_and_a_function_at_most_60(path):
    assert n_lines(path) <= 500
    assert long_functions(path.read_text(encoding="utf-8"), 60) == []


def test_a_function_of_61_lines_is_found():
    source = "class A:\n    def f(self):\n        'said'\n" + "        1\n" * 60
    assert long_functions(source, 60) == [("f", 61)]


@every_module_of_lib
def test_lib_does_not_import_course(path):
    assert not any("course" in name.split(".") for name in _imported(path))


def _imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@every_module_of_lib
@pytest.mark.slow
def test_a_module_says_what_to_copy_with_it_and_imports_just_that(path):
    source = path.read_text(encoding="utf-8")
    imported = imports_of_lib(source)
    docstring = " ".join(ast.get_docstring(ast.parse(source)).split())
    if not imported:
        assert "Copy this file alone" in docstring
        return
    assert len(imported) <= 2, "a composite imports at most two leaves"
    names = " and ".join(f"{name}.py" for name in sorted(imported))
    said = docstring.partition("Copy with: ")[2]
    assert [word for word in sorted(imported) if f"{word}.py" in said] == sorted(imported), f"Copy with: {names}"
    for leaf in imported:
        assert not imports_of_lib((ROOT / "lib" / f"{leaf}.py").read_text(encoding="utf-8")), f"{leaf} is no leaf"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import lib", set()),
        ("import lib.metrics as m", {"metrics"}),
        ("from lib import metrics, plots", {"metrics", "plots"}),
        ("from . import metrics", {"metrics"}),
        ("from lib.metrics import hit_rate_at_k", {"metrics"}),
        ("import metrics", {"metrics"}),
        ("def f():\n    from lib.metrics import hit_rate_at_k", {"metrics"}),
        ("import numpy.lib", set()),
        ("from sklearn import metrics", set()),
    ],
)
def test_an_import_of_a_sibling_is_found(line, found):
    assert imports_of_lib(line) == found


@every_module_of_lib
def test_no_file_hides_a_module_of_python_or_of_an_installed_package(path):
    assert path.stem not in TAKEN, f"copied beside a script, {path.name} would hide the package {path.stem}"


def test_the_readme_lists_every_file_and_what_to_copy_with_it():
    rows = re.findall(
        r"^\| \[(\w+)\.py\]\(lib/\1\.py\) \| .+ \| (.*) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(name for name, _ in rows) == sorted(MODULES)
    for name, others in rows:
        imported = imports_of_lib((ROOT / "lib" / f"{name}.py").read_text(encoding="utf-8"))
        assert re.findall(r"(\w+)\.py", others) == sorted(imported), name
