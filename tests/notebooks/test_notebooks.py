"""Every committed notebook: its structure, its outputs, and a run with the least parameters that reach every cell."""

import ast
import json
import re
import shutil
import statistics
import tempfile
from html import unescape

import nbformat
import numpy as np
import pytest
from PIL import Image

from course import ROOT, notebook_files
from course.__main__ import main
from course.runner.plan import read_profiles
from lib import collection

FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
FRAMEWORKS = {"torch": "torch", "torchvision": "torch", "tensorflow": "tensorflow", "keras": "tensorflow"}
FORBIDDEN = {
    "an edit of sys.path": r"sys\.path",
    "an installation": r"^\s*[!%]?\s*(?:pip|conda|apt)\s+install|-m\s+pip",
    "autoreload": r"autoreload",
    "what runs the course": r"^\s*(?:import|from) course\b",
}
ON_CLASS_FOLDERS = {"00", "01", "02", "03", "10", "11", "12", "13"}  # need nothing but photos and their classes
BOOKKEEPING = {"say", "compare", "record", "average_precision", "chosen"}  # is in lib: results, relevance, collection

every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_of(path):
    return [cell.source for cell in read(path).cells if cell.cell_type == "code" and cell.source.strip()]


def profiles_of(path):
    return read_profiles(FOLDER).get(path.stem, {})


@every_notebook
def test_the_title_is_a_question(path):
    assert notebook_files.question(read(path)).endswith("?")


@every_notebook
def test_the_opening_says_what_is_learnt_needed_and_how_long_it_takes(path):
    opening = "\n".join(cell.source for cell in read(path).cells[:2] if cell.cell_type == "markdown")
    assert "**You will learn**" in opening and "**You need**" in opening
    assert notebook_files.minutes(read(path)) is not None


@every_notebook
def test_the_parameters_are_commented_literals_equal_to_profile_quick(path):
    literals = notebook_files.parameters(read(path))
    quick = {"profile": "quick", **profiles_of(path)["quick"]}
    assert {name: list(v) if isinstance(v, tuple) else v for name, v in literals.items()} == quick
    assert literals["profile"] == "quick" and "dataset" in literals
    lines = next(cell.source for cell in read(path).cells if "parameters" in cell.metadata.get("tags", [])).splitlines()
    assert [line for line in lines if line.strip() and "#" not in line] == [], "say in a comment what each one is"


@every_notebook
def test_other_profiles_set_known_parameters_only(path):
    literals = notebook_files.parameters(read(path))
    for profile, table in profiles_of(path).items():
        assert set(table) <= set(literals), profile
    assert {"quick", "full", "smoke"} <= set(profiles_of(path))
    assert ("photos" in profiles_of(path)) == (path.stem[:2] in ON_CLASS_FOLDERS)


@every_notebook
def test_it_was_run_in_order_without_error_noise_or_a_machines_path_and_is_small(path):
    assert notebook_files.commit_problems(read(path)) == []


@every_notebook
def test_each_figure_that_is_drawn_is_shown(path):
    for cell in read(path).cells:
        drawn = re.search(r"^\w[\w, ]*= plt\.subplots\(", cell.source, re.MULTILINE) and "plt.close" not in cell.source
        if cell.cell_type == "code" and drawn:
            kinds = {kind.partition("/")[0] for output in cell.outputs for kind in output.get("data", {})}
            assert "image" in kinds, cell.source


@every_notebook
def test_its_source_is_what_was_run(path):
    written = read(path).metadata.get("course", {})
    assert written.get("profile") == "quick", "its outputs were not written by `make notebooks`"
    assert written["source_digest"] == notebook_files.source_digest(read(path), code_only=True), "run `make notebooks`"


@every_notebook
def test_code_cells_are_short(path):
    lines = [sum(bool(line.strip()) for line in source.splitlines()) for source in code_of(path)]
    assert statistics.median(lines) <= 8
    assert sum(count < 25 for count in lines) >= 0.9 * len(lines)


@every_notebook
def test_it_has_at_most_60_cells_and_350_lines_of_code(path):
    assert len(read(path).cells) <= 60
    assert sum(bool(line.strip()) for source in code_of(path) for line in source.splitlines()) <= 350


@every_notebook
def test_bookkeeping_is_left_to_lib(path):
    code = "\n".join(re.sub(r"^\s*[%!].*", "", source, flags=re.MULTILINE) for source in code_of(path))
    defined = {node.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)}
    assert not defined & BOOKKEEPING


@every_notebook
@pytest.mark.parametrize("what", FORBIDDEN)
def test_it_does_without(path, what):
    assert [source for source in code_of(path) if re.search(FORBIDDEN[what], source, re.MULTILINE)] == []


@every_notebook
def test_one_framework_a_notebook(path):
    imported = re.findall(r"^\s*(?:import|from)\s+(\w+)", "\n".join(code_of(path)), re.MULTILINE)
    assert len({FRAMEWORKS[name] for name in imported if name in FRAMEWORKS}) <= 1


@every_notebook
def test_it_notes_its_results_under_its_own_name(path):
    assert re.search(
        rf"results\.begin\(\s*[\"']{path.stem}[\"'],\s*(?:profile=)?profile\s*\)", "\n".join(code_of(path))
    )


def test_no_profile_is_left_over_from_a_notebook_that_is_gone():
    assert set(read_profiles(FOLDER)) <= {path.stem for path in PATHS}


@pytest.mark.slow
@every_notebook
def test_every_cell_runs_with_the_least_parameters(path, tiny_catalogue, capfd):
    with tempfile.TemporaryDirectory() as reports:
        where = ["--notebooks", str(FOLDER), "--reports", reports]
        given = ["--only", path.stem, "--profile", "smoke", "-p", f"dataset={tiny_catalogue}"]
        status = main(["run", *where, *given])
    assert status == 0, capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.end_to_end
def test_one_table_of_methods_grows_from_06_to_08(tiny_catalogue, tmp_path, capfd):
    where = ["--notebooks", str(FOLDER), "--reports", str(tmp_path), "--profile", "smoke"]
    status = main(["run", *where, "--only", "06", "07", "08", "-p", f"dataset={tiny_catalogue}"])
    assert status == 0, capfd.readouterr().out
    tables = [json.loads(path.read_text(encoding="utf-8"))["table"] for path in (tmp_path / "results").rglob("0*.json")]
    methods = [row["method"] for table in tables for row in table["rows"]]
    *_, cell = (c for c in read(tmp_path / "smoke" / "08_cross_modal.ipynb").cells if "results.grow(" in c.source)
    (html,) = (output.data["text/html"] for output in cell.outputs)
    shown = [(unescape(method), name) for method, name in re.findall(r"<th>([^<]+)</th>\s*<th>(0\d)</th>", html)]
    assert {name for _, name in shown} == {"06", "07", "08"}
    shown = [method for method, _ in shown]
    assert set(shown) == set(methods) and len(shown) == len(methods) - 1  # the oracle is in 06 and in 07


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.parametrize("is_known", [True, False], ids=["known classes", "other classes"])
def test_nothing_is_claimed_of_unseen_classes_that_were_in_training(is_known, tmp_path, capfd):
    rng = np.random.default_rng(0)
    for split in ("train", "test", "elsewhere"):
        for label in range(12):
            name = f"other {label}" if split == "elsewhere" and not is_known else f"class {label}"
            place = tmp_path / "elsewhere" / name if split == "elsewhere" else tmp_path / "trip" / split / name
            place.mkdir(parents=True)
            for photo in range(4):
                pixels = np.clip(20 * label + rng.normal(0, 9, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{photo}.png")
    elsewhere = json.dumps([str(tmp_path / "elsewhere"), "train", 48])
    given = [f"dataset={tmp_path / 'trip'}", "only=[]", "label_column=label", "group_column=label", 'other_column=""']
    given += ['validation_split=""', f"unseen={elsewhere}", "n_test=48", "n_train=36", "n_validation=12"]
    where = ["--notebooks", str(FOLDER), "--reports", str(tmp_path / "reports"), "--profile", "smoke"]
    status = main(["run", *where, "--only", "02", *[word for each in given for word in ("-p", each)]])
    assert status == 0, capfd.readouterr().out
    ran = json.loads((tmp_path / "reports" / "results" / "smoke" / "02_backbones.json").read_text(encoding="utf-8"))
    claims = [claim["text"] for claim in ran["claims"] if re.search("unseen|never saw", claim["text"])]
    assert len(claims) == (0 if is_known else 3)


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.parametrize("name", ["holiday", "trip"])
def test_ones_own_photos_run_as_the_readme_says(name, tiny_catalogue, tmp_path, capfd):
    for split in ("train", "test"):
        photos = collection.read(tiny_catalogue, split)
        for path, label in zip(photos.paths, photos.table["masterCategory"], strict=True):
            place = tmp_path / name / label if name == "holiday" else tmp_path / name / split / label
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    (given,) = re.findall(rf'^make course ARGS="(.*-p dataset=../{name}\b.*)"$', readme, re.MULTILINE)
    given = given.replace(f"../{name}", str(tmp_path / name)).split()
    where = ["--notebooks", str(FOLDER), "--reports", str(tmp_path / "reports"), "--profile", "smoke"]
    status = main(["run", *where, *given, "-p", "label_column=label"])
    assert status == 0, capfd.readouterr().out
