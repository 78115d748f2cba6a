"""What notebooks find around them, and which drawn collections they need."""

import os
import subprocess
import sys

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course import UsageError, notebook_files
from course.runner.environment import draw, drawn_collections, environment
from course.runner.plan import Notebook


@pytest.mark.parametrize("name", ["RETRIEVAL_DATA", "RETRIEVAL_WEIGHTS"])
@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("one", ["one"]),
        (os.pathsep.join(["one", "two"]), ["one", "two"]),
        (os.pathsep.join(["", "two", "", "/of another/machine"]), ["two", "/of another/machine"]),
        (os.pathsep, []),
        ("", []),
    ],
)
def test_data_folders_are_absolute_for_the_kernels_and_empty_ones_are_left_out(
    tmp_path, monkeypatch, name, value, parts
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    variables = environment(tmp_path / "jupyter", tmp_path / "reports", jobs=1)
    wanted = os.pathsep.join(str(tmp_path / part) for part in parts)
    assert variables.get(name, "not set") == (wanted or "not set")


def test_the_kernel_is_this_interpreter_whatever_the_user_has_installed(tmp_path):
    variables = environment(tmp_path, tmp_path / "reports", jobs=1)
    code = "from jupyter_client.kernelspec import get_kernel_spec as get; print(get('python3').argv[0])"
    said = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == sys.executable


@pytest.mark.parametrize(
    ("parameters", "code", "needed"),
    [
        ({"dataset": "catalogue"}, "1", {"catalogue"}),
        ({"dataset": "scenes15", "elsewhere": ["catalogue", 300]}, "1", {"catalogue"}),
        ({"dataset": "clothing-photos"}, 'collection.read("catalogue-probes", "colour")', {"catalogue-probes"}),
        ({"dataset": "/tmp/catalogue"}, "print('a catalogue of photos')", set()),
    ],
)
def test_a_drawn_collection_is_needed_where_a_parameter_or_code_names_it(tmp_path, parameters, code, needed):
    path = tmp_path / "00_toy.ipynb"
    literals = new_code_cell('dataset = "catalogue"', metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell('# Is "catalogue" named?'), literals, new_code_cell(code)]
    path.write_text(notebook_files.to_text(new_notebook(cells=cells)))
    assert drawn_collections(Notebook(path, parameters=parameters)) == needed
    assert drawn_collections(Notebook(path, parameters=parameters, problem="damaged")) == set()


def test_the_catalogue_is_drawn_with_its_probes_and_the_probes_alone_without_it(tmp_path):
    (tmp_path / "course").mkdir()
    source = 'def write(): open("drawn", "w").write("both")\ndef write_probes(): open("drawn", "w").write("probes")\n'
    (tmp_path / "course" / "__init__.py").write_text("")
    (tmp_path / "course" / "catalogue.py").write_text(source)
    for collections, drawn in (({"catalogue", "catalogue-probes"}, "both"), ({"catalogue-probes"}, "probes")):
        draw(collections, tmp_path, {**os.environ})
        assert (tmp_path / "drawn").read_text() == drawn
    draw(set(), tmp_path / "no such folder", {})
    (tmp_path / "course" / "catalogue.py").write_text("def write(): raise ValueError")
    with pytest.raises(UsageError, match="could not be drawn"):
        draw({"catalogue"}, tmp_path, {**os.environ})
