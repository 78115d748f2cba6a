"""Copying a module of lib: what goes along, what is to be installed, and what is not overwritten."""

import pytest
from toys import call

from course import copying


@pytest.fixture
def lib(tmp_path, monkeypatch):
    folder = tmp_path / "lib"
    folder.mkdir()
    sources = {
        "__init__": "",
        "leaf": "import json\nimport numpy as np\nfrom PIL import Image",
        "other": "def f():\n    import cv2\n    from sklearn.decomposition import PCA",
        "composite": "try:\n    from lib import leaf, other\nexcept ModuleNotFoundError:\n    import leaf, other",
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.setattr(copying, "LIB", folder)
    return folder


def test_a_composite_brings_what_it_imports_of_lib(lib):
    assert copying.modules_needed("composite", lib) == ["composite", "leaf", "other"]
    assert copying.modules_needed("leaf", lib) == ["leaf"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import lib", []),
        ("import lib.leaf as m", ["leaf"]),
        ("from lib import leaf", ["leaf"]),
        ("from . import leaf", ["leaf"]),
        ("from .leaf import f", ["leaf"]),
        ("import leaf", ["leaf"]),
        ("def f():\n    from lib.leaf import f", ["leaf"]),
        ("import numpy.lib", []),
        ("from sklearn import leaf", []),
    ],
)
def test_every_form_of_an_import_is_found(lib, line, found):
    (lib / "asks.py").write_text(line)
    assert copying.modules_needed("asks", lib) == ["asks", *found]


def test_what_to_install_is_named_as_pip_knows_it_and_apart_where_only_a_function_needs_it(lib):
    assert copying.to_install(["composite", "leaf", "other"], lib) == (
        ["numpy", "pillow"],
        ["opencv-python-headless", "scikit-learn"],
    )


def test_the_command_copies_and_says_what_to_install(lib, tmp_path):
    status, said = call("copy", "composite", tmp_path / "my work")
    assert status == 0
    assert {path.name for path in (tmp_path / "my work").iterdir()} == {"composite.py", "leaf.py", "other.py"}
    assert "pip install numpy pillow" in said and "import composite" in said
    assert call("copy", "lib/composite.py", tmp_path / "my work")[0] == 0, "what is the same is no hindrance"


def test_a_file_of_other_content_is_overwritten_only_by_force(lib, tmp_path):
    (tmp_path / "leaf.py").write_text("my own work")
    status, said = call("copy", "composite", tmp_path)
    assert status == 2 and f"{tmp_path / 'leaf.py'} would be overwritten" in said and "--force" in said
    assert (tmp_path / "leaf.py").read_text() == "my own work" and not (tmp_path / "composite.py").exists()
    assert call("copy", "composite", tmp_path, "--force")[0] == 0
    assert (tmp_path / "leaf.py").read_text() == (lib / "leaf.py").read_text()


def test_an_unknown_module_and_lib_itself_are_refused(lib, tmp_path):
    status, said = call("copy", "leave", tmp_path)
    assert status == 2 and "no module 'leave' in lib; expected one of composite, leaf, other" in said
    assert call("copy", "leaf", lib)[0] == 2
