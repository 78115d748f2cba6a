"""Every module of lib, copied alone into an empty folder, imports there and its doctests pass.

`pip install -e` makes `lib` importable from anywhere, so the fresh process refuses it by name. `course` is the way in
and may import the others; whatever else lies in lib is covered as soon as it lies there.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parent.parent / "lib"
MODULES = sorted(path for path in LIB.glob("*.py") if path.stem not in ("__init__", "course"))

ALONE = """
import doctest, importlib, json, sys

class RefuseLib:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "lib":
            raise ModuleNotFoundError(f"{name} is not in the folder of a module copied alone", name=name)

sys.meta_path.insert(0, RefuseLib())
sys.path.insert(0, ".")
outcome = doctest.testmod(importlib.import_module(sys.argv[1]))
print(json.dumps({"attempted": outcome.attempted, "failed": outcome.failed}))
"""


def _run_alone(source, folder):
    """(exit status, {"attempted", "failed"} or None, everything written) of a module alone in a folder."""
    copy = shutil.copy(source, folder)
    # -I: neither PYTHONPATH nor the working directory is on the path; the folder is put there by the program itself.
    command = [sys.executable, "-I", "-c", ALONE, Path(copy).stem]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "MPLBACKEND": "Agg"}, capture_output=True, text=True, timeout=300
    )
    last = run.stdout.strip().rpartition("\n")[2]
    return run.returncode, json.loads(last) if run.returncode == 0 else None, run.stdout + run.stderr


def _imports_of_siblings(source):
    """Lines that import lib or a neighbour in it, also those inside functions, which importing the module passes by."""
    siblings = {"lib"} | {path.stem for path in LIB.glob("*.py")} - sys.stdlib_module_names
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.level == 0 else ["lib"]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        if any(name.partition(".")[0] in siblings for name in names):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_works_alone_in_an_empty_folder(path, tmp_path):
    assert _imports_of_siblings(path.read_text(encoding="utf-8")) == []
    status, doctests, written = _run_alone(path, tmp_path)
    assert status == 0, written
    assert doctests["failed"] == 0, written
    assert doctests["attempted"] > 0, f"{path.stem} has no doctest"


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("import lib", True),
        ("import lib.metrics as m", True),
        ("from lib import metrics", True),
        ("from . import metrics", True),
        ("from .metrics import count_relevant", True),
        ("import metrics", True),
        ("def f():\n    from lib.metrics import count_relevant", True),
        ("import numpy.lib", False),
        ("from sklearn import metrics", False),
    ],
)
def test_an_import_of_a_neighbour_is_found(line, is_found):
    assert bool(_imports_of_siblings(line)) == is_found


def test_the_fresh_process_has_no_lib_and_sees_a_failing_doctest(tmp_path):
    needy, wrong = tmp_path / "needy.py", tmp_path / "wrong.py"
    needy.write_text("import importlib\nimportlib.import_module('lib.metrics')\n")
    wrong.write_text('"""\n>>> 1 + 1\n3\n"""\n')
    (tmp_path / "alone").mkdir()
    status, _, written = _run_alone(needy, tmp_path / "alone")
    assert status != 0
    assert "lib is not in the folder of a module copied alone" in written
    assert _run_alone(wrong, tmp_path / "alone")[1] == {"attempted": 1, "failed": 1}
