"""requirements, constraints, environment.yml and pyproject.toml say the same, and install.py keeps them installed."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import install

ROOT = Path(__file__).resolve().parent.parent
# What a package is imported as, where that is not its own name.
IMPORTED_AS = {
    "faiss-cpu": "faiss",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pytest-benchmark": "pytest_benchmark",
    "pytorch-metric-learning": "pytorch_metric_learning",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}


def requirements(name):
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


CONSTRAINTS = {canonical(requirement.name): requirement for requirement in requirements("constraints.txt")}


@pytest.mark.parametrize("requirement", requirements("requirements.txt"), ids=lambda requirement: requirement.name)
def test_each_requirement_has_a_tested_version_that_it_admits(requirement):
    pin = CONSTRAINTS[canonical(requirement.name)]
    (exact,) = pin.specifier
    assert exact.operator == "=="
    assert requirement.specifier.contains(exact.version)
    assert any(bound.operator == ">=" for bound in requirement.specifier)


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
    assert "pip" in conda
    (python,) = [entry for entry in conda if entry.startswith("python=")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(python.removeprefix("python=") + ".0")


def test_the_package_reads_its_dependencies_from_requirements():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["dynamic"] == ["dependencies"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}
    assert pyproject["project"]["requires-python"] == ">=" + ".".join(map(str, install.OLDEST))


def test_every_import_is_a_requirement():
    known = {IMPORTED_AS.get(canonical(r.name), r.name.replace("-", "_")) for r in requirements("requirements.txt")}
    known |= set(sys.stdlib_module_names) | {"lib", "install", "packaging", "_pytest"}
    known |= {"sentence_transformers"}  # large and optional: text.py asks for it in an error that says how to get it
    for path in [*ROOT.glob("lib/*.py"), *ROOT.glob("tests/*.py"), *ROOT.glob("benchmarks/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                assert top in known or (ROOT / "tests" / f"{top}.py").exists(), f"{path.name} imports {name}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project in a folder with a space in its name; making a venv and calling pip are replaced by stand-ins."""
    root = tmp_path / "my course"
    root.mkdir()
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml"):
        (root / name).write_text((ROOT / name).read_text())
    for name, path in {"ROOT": root, "VENV": root / ".venv", "STAMP": root / ".venv/course-stamp"}.items():
        monkeypatch.setattr(install, name, path)
    monkeypatch.setattr(install, "PYTHON", root / ".venv" / install.PYTHON.relative_to(ROOT / ".venv"))
    calls = []

    def create(builder, folder):
        install.PYTHON.parent.mkdir(parents=True)
        install.PYTHON.write_text("stands for an interpreter")

    monkeypatch.setattr(install.venv.EnvBuilder, "create", create)
    monkeypatch.setattr(subprocess, "run", lambda command, **more: calls.append(command))
    return root, calls


def test_a_second_call_finds_all_in_place(folder):
    _, calls = folder
    assert not install.is_current()
    install.install()
    assert install.is_current()
    assert len(calls) == 2 and "constraints.txt" in calls[0]


def test_an_interpreter_that_does_not_start_is_not_trusted(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("stands for an interpreter of another machine")
    monkeypatch.setattr(install, "PYTHON", broken)
    assert not install.works()


def test_changed_requirements_are_installed_again(folder):
    root, _ = folder
    install.install()
    (root / "requirements.txt").write_text("numpy>=2.0\n")
    assert not install.is_current()


def test_an_installation_that_broke_off_is_not_trusted(folder, monkeypatch):
    install.install()

    def fails(command, **more):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(install, "works", lambda: True)
    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(subprocess.CalledProcessError):
        install.install()
    assert not install.is_current()


def test_only_an_environment_is_made_anew_nothing_else_is_erased(folder, monkeypatch):
    root, calls = folder
    monkeypatch.setattr(install, "works", lambda: False)
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "thesis.txt").write_text("years of work")
    (root / ".venv").symlink_to("elsewhere")
    with pytest.raises(SystemExit, match=r"\.venv is a link to elsewhere, .*; remove the link"):
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
    with pytest.raises(SystemExit, match=r"\.venv is a folder with something else .*; move it away"):
        install.install()
    assert (root / ".venv" / "thesis.txt").read_text() == "years of work"
    assert not calls


def test_a_broken_environment_and_an_empty_folder_are_made_anew(folder, monkeypatch):
    root, calls = folder
    monkeypatch.setattr(install, "works", lambda: False)
    (root / ".venv").mkdir()
    install.install()
    assert install.is_current() and len(calls) == 2
    for path in (install.STAMP, install.PYTHON):
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
