"""Copy a module of lib with those it imports into a folder of one's own coursework, and say what to install.

modules_needed    a module and what it imports of lib, read from the sources without running them
to_install        what else they import, as names for pip: always, and in some functions only
"""

import ast
import functools
import importlib.metadata
import sys
from pathlib import Path

from course import ROOT, UsageError

LIB = ROOT / "lib"


def modules_needed(name: str, lib: Path = LIB) -> list[str]:
    """Module `name` of `lib` first, then those it imports of lib, and those that these import."""
    needed = [name]
    for module in needed:  # grows as it goes
        source = (lib / f"{module}.py").read_text(encoding="utf-8")
        needed += [other for other in _siblings(source, lib) if other not in needed]
    return needed


def _siblings(source, lib):
    """Modules of lib that a source imports, wherever it does, by any of the forms `from lib import x`, `import x`."""
    known = {path.stem for path in lib.glob("*.py")} - {"__init__"}
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("lib", None):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module.removeprefix("lib.").partition(".")[0]]
        elif isinstance(node, ast.Import):
            names = [alias.name.removeprefix("lib.").partition(".")[0] for alias in node.names]
        else:
            continue
        found += [name for name in names if name in known and name not in found]
    return found


def to_install(modules: list[str], lib: Path = LIB) -> tuple[list[str], list[str]]:
    """Names for pip of what these modules import: always, and in some functions only."""
    always, sometimes = set(), set()
    for module in modules:
        tree = ast.parse((lib / f"{module}.py").read_text(encoding="utf-8"))
        at_top = _imported(tree, into_functions=False)
        always |= at_top
        sometimes |= _imported(tree, into_functions=True)
    ours = {path.stem for path in lib.glob("*.py")} | {"lib"}
    others = [sorted({_name_for_pip(n) for n in names - ours}) for names in (always, sometimes - always)]
    return others[0], [name for name in others[1] if name not in others[0]]


def _imported(tree, into_functions):
    """The top-level names that a module imports from outside of the standard library."""
    names, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
        elif into_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)
    return names - sys.stdlib_module_names


def _name_for_pip(name):
    """The package that brings a module, as pip knows it: cv2 is opencv-python-headless."""
    return min(_packages().get(name, [name]), key=len)


@functools.cache
def _packages():
    return importlib.metadata.packages_distributions()


def command(module: str, folder: Path, force: bool = False) -> int:
    """Copy lib/MODULE.py and what it imports into `folder`; files of other content are overwritten only by `force`."""
    name = Path(module).name.removesuffix(".py").removeprefix("lib.")
    known = sorted(path.stem for path in LIB.glob("*.py") if path.stem != "__init__")
    if name not in known:
        raise UsageError(f"no module {module!r} in lib; expected one of {', '.join(known)}")
    modules = modules_needed(name, LIB)
    contents = {folder / f"{other}.py": (LIB / f"{other}.py").read_bytes() for other in modules}
    if folder.resolve() == LIB:
        raise UsageError(f"{folder} is lib itself; expected a folder of your own")
    changed = [str(path) for path, content in contents.items() if path.exists() and path.read_bytes() != content]
    if changed and not force:
        raise UsageError(f"{', '.join(changed)} would be overwritten by other content; --force overwrites")
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        path.write_bytes(content)
        print(f"copied   {path}")
    always, sometimes = to_install(modules, LIB)
    if always:
        print(f"install  pip install {' '.join(always)}")
    if sometimes:
        print(f"         some functions also need: {' '.join(sometimes)}")
    print(f"use      import {name}")
    return 0
