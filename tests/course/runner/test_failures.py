"""The runner on toy notebooks: every way to fail, for real. One run of all failures serves most tests."""

import hashlib
import json
from datetime import datetime

import nbformat
import pytest
from toys import call, good_cells, toy, toys

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("failures")]  # one run of all failures, on one worker

FAILURES = {
    # name: (cells after the parameters, what the failure must say)
    "01_error": (["{begin}", "x = 1\n1 / 0", "x"], ["cell [3] `x = 1`", "ZeroDivisionError: division by zero"]),
    "02_sys_exit": (["{begin}", "import sys\nsys.exit(0)", "2"], ["cell [3] `import sys`", "sys.exit(0) ended"]),
    "03_exit": (["{begin}", "exit()", "2"], ["cell [3] `exit()`", "exit() ended the kernel"]),
    "04_dies": (
        ["print('before')", "import os\nos._exit(3)"],
        ["cell [3] `import os`", "the kernel died: it ended itself with status 3"],
    ),
    "05_hangs": (["{begin}", "import time\ntime.sleep(600)"], ["cell [3] `import time`", "longer than the 8 s"]),
    "06_skipped": (["{begin}", "#skip\n1 + 1"], ["cell [3] `1 + 1`", "did not run"]),
    "07_silent": (["1 + 1"], ["it wrote no results", "results.begin('07_silent', profile)"]),
    "10_killed": (
        ["{begin}", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"],
        ["cell [3] `import os, signal`", "the kernel was killed (SIGKILL)", "lower batch_size (now 8)"],
    ),
    "11_too_large": (
        ["{begin}", "import numpy\nnumpy.ones((10**9, 10**9))"],
        ["cell [3] `import numpy`", "MemoryError: Unable to allocate", "lower batch_size (now 8)"],
    ),
    "12_broken_photo": (
        ["{begin}", "raise ValueError('1 of 2 photos are broken:\\n  a.jpg: truncated\\n(check() gives the others)')"],
        ["ValueError: 1 of 2 photos are broken:", "a.jpg: truncated", "(check() gives the others)"],
    ),
}


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """One run over a good notebook and all failing ones: (folder of the reports, exit status, what was printed)."""
    folder = tmp_path_factory.mktemp("failing notebooks")  # with a space in its name
    toy(folder, "00_good", good_cells())
    for name, (cells, _) in FAILURES.items():
        toy(folder, name, cells)
    toy(folder, "08_no_parameters", ["1"], parameters=None)
    (folder / "09_no_notebook.ipynb").write_text("{")
    toys(folder, ["00_good", *FAILURES, "08_no_parameters", "09_no_notebook"])
    status, said = call("run", "--notebooks", folder, "--reports", folder / "reports", "--jobs", 2, "--timeout", 8)
    return folder / "reports", status, said


def test_a_failing_notebook_makes_the_exit_status_one(failing):
    _, status, said = failing
    assert status == 1
    assert "1 of 13 notebooks ran to their end" in said


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_names_notebook_cell_and_cause(failing, name):
    reports_folder, _, said = failing
    line = next(line for line in said.splitlines() if line.startswith(f"FAILED {name}:"))
    state = json.loads((reports_folder / "quick" / "state" / f"{name}.json").read_text())
    for words in FAILURES[name][1]:
        assert words in line
        assert words in state["failure"]["text"]


def test_a_notebook_without_parameters_cell_fails_without_being_run(failing):
    reports_folder, _, said = failing
    assert "FAILED 08_no_parameters: exactly one cell must be tagged 'parameters', found 0" in said
    assert not (reports_folder / "quick" / "08_no_parameters.ipynb").exists()


def test_a_damaged_notebook_fails_by_name(failing):
    assert "FAILED 09_no_notebook: 09_no_notebook.ipynb is not a notebook" in failing[2]


@pytest.mark.parametrize("name", ["01_error", "02_sys_exit", "03_exit", "04_dies", "05_hangs", "10_killed"])
def test_the_partial_notebook_and_its_page_are_kept(failing, name):
    folder = failing[0] / "quick"
    executed = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert code[1].execution_count == 2
    cause = FAILURES[name][1][1]
    assert cause in (folder / f"{name}.html").read_text()


def test_a_flood_of_text_keeps_its_beginning_and_its_end(tmp_path):
    flood = "for i in range(50_000):\n    print('x' * 40, i)"
    toy(tmp_path, "00_floods", ["{begin}", flood])
    toys(tmp_path, ["00_floods"])
    status, _ = call("run", "--notebooks", tmp_path, "--reports", tmp_path / "reports")
    executed = tmp_path / "reports" / "quick" / "00_floods.ipynb"
    assert status == 0 and executed.stat().st_size < 250_000
    [printed] = [output for cell in nbformat.read(executed, 4).cells for output in cell.get("outputs", [])]
    assert printed.text.startswith("x" * 40 + " 0\n") and printed.text.endswith(" 49999\n")
    assert "characters are left out here" in printed.text


def test_what_was_printed_before_the_kernel_died_is_in_the_page(failing):
    assert "before" in (failing[0] / "quick" / "04_dies.html").read_text()


def test_only_a_run_that_ended_well_carries_the_digest_of_its_results(failing):
    states = {path.stem: json.loads(path.read_text()) for path in (failing[0] / "quick" / "state").glob("*.json")}
    written = failing[0] / "results" / "quick" / "00_good.json"
    assert states["00_good"]["results_digest"] == hashlib.sha256(written.read_bytes()).hexdigest()
    assert [name for name, state in states.items() if "results_digest" in state] == ["00_good"]
    assert all(datetime.fromisoformat(state["ended"]).tzinfo for state in states.values())


def test_the_others_go_on_and_their_results_are_kept(failing):
    reports_folder, _, said = failing
    assert (reports_folder / "results" / "quick" / "00_good.json").is_file()
    assert "three quarters is more than half" in said
    index = (reports_folder / "quick" / "index.html").read_text()
    assert index.count("✓ ran") == 1 and index.count("✗ failed") == len(FAILURES) + 2
    assert "three quarters is more than half" in index and 'href="00_good.html"' in index


def test_pages_need_no_connection(failing):
    for page in (failing[0] / "quick").glob("*.html"):
        text = page.read_text()
        assert not any(mark in text for mark in ('src="http', 'href="http', "@import", "<script"))
