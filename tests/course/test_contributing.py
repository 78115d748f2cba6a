"""What CONTRIBUTING.md says is done here: its new method appears in the leaderboard."""

import json
import re
import shutil

import pytest
from toys import call

from course import ROOT, notebook_files
from course.runner.plan import read_profiles

BOARD = ROOT / "notebooks" / "13_leaderboard.ipynb"
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def snippets():
    """The blocks of Python in the section on a new method, without their indentation."""
    section = re.search(r"^## A new method.*?(?=^## )", TEXT, re.M | re.S)[0]
    blocks = re.findall(r"^( *)```python\n(.*?)\n *```", section, re.M | re.S)
    return ["\n".join(line.removeprefix(indent) for line in block.splitlines()) for indent, block in blocks]


def test_what_it_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in re.findall(r"^ *make ([a-z -]+?)(?: +ARGS=.*| +#.*)?$", TEXT, re.M):
        for target in line.split():
            assert re.search(rf"^{target}:", makefile, re.M), target
    for path in re.findall(r"`((?:notebooks|lib|tests)/[\w./]+)`", TEXT):
        assert "14_" in path or (ROOT / path).exists(), path


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.skipif(not BOARD.is_file(), reason="the leaderboard is not written yet")
def test_a_new_method_appears_in_the_leaderboard_by_one_function_and_two_entries(tiny_catalogue, tmp_path):
    function, base, method = snippets()
    node = notebook_files.read(BOARD)
    code = [cell for cell in node.cells if cell.cell_type == "code"]
    for name, entry in (("bases", base), ("methods", method)):
        (cell,) = [cell for cell in code if re.search(rf"^{name} = \{{$", cell.source, re.M)]
        cell.source = cell.source.replace(f"{name} = {{\n", f"{name} = {{\n    {entry}\n", 1)
        if name == "bases":
            cell.source = f"{function}\n\n\n{cell.source}"
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / BOARD.name).write_text(notebook_files.to_text(node), encoding="utf-8")
    shutil.copy(ROOT / "notebooks" / "profiles.toml", folder)
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "data" / "headlines.toml", tmp_path / "data")  # the claims of the sources, which it looks up
    shutil.copytree(ROOT / "docs" / "results", tmp_path / "docs" / "results")
    assert "smoke" in read_profiles(folder)[BOARD.stem]
    where = ["--notebooks", folder, "--reports", tmp_path / "reports", "--profile", "smoke"]
    status, said = call(
        "run", *where, "--only", "13", "-p", f"dataset={tiny_catalogue}", "-p", "equal_in=['masterCategory']"
    )
    assert status == 0, said
    result = json.loads((tmp_path / "reports" / "results" / "smoke" / f"{BOARD.stem}.json").read_text())
    assert "mean colour" in {each.get("method") for each in result["measures"]}
