"""The runner on toy notebooks: every way to fail, for real. One run of all failures serves most tests."""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lib import course, progress, reports

PARAMETERS = 'profile = "quick"\ndataset = "toy"\nn = 3  # images\nbatch_size = 8'
BEGIN = "from lib import results\nresults.begin({name!r}, profile)"
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
}


def toy(folder, name, cells, parameters=PARAMETERS, title="# What is a toy?\n\nAbout 1 minute."):
    tagged = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters else []
    sources = [cell.replace("{begin}", BEGIN.format(name=name)) for cell in cells]
    code = [new_code_cell(text, metadata={"tags": ["skip-execution"]} if "#skip" in text else {}) for text in sources]
    nodes = [new_markdown_cell(title), *tagged, *code]
    for place, node in enumerate(nodes):
        node.id = f"toy-{place}"
    nbformat.write(new_notebook(cells=nodes), folder / f"{name}.ipynb")


def toys(folder, names, extra=""):
    """profiles.toml for these names."""
    tables = "\n".join(f'[{name}.quick]\ndataset = "toy"\nn = 3' for name in names)
    (folder / "profiles.toml").write_text(f"{tables}\n{extra}")


def call(*arguments):
    """The exit status, and all that was printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = course.main([str(argument) for argument in arguments])
    return status, said.getvalue()


def good_cells(value="n / 4"):
    noisy = "import sys\nprint('two', end=' '); print('words'); print('noise', file=sys.stderr)"
    measured = (
        f"results.measure('AP', {value}, interval=(0, 1.5), n=8, method='toy')\nresults.measure('time', 2, unit='ms')"
    )
    return ["{begin}", noisy, measured, "results.claim('three quarters is more than half', n / 4 > 1 / 2)"]


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
    assert "1 of 12 notebooks ran to their end" in said


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
    assert index.count("✓ ran") == 1 and index.count("✗ failed") == 11
    assert "three quarters is more than half" in index and 'href="00_good.html"' in index


def test_pages_need_no_connection(failing):
    for page in (failing[0] / "quick").glob("*.html"):
        text = page.read_text()
        assert not any(mark in text for mark in ('src="http', 'href="http', "@import", "<script"))


@pytest.fixture(scope="module")
def course_folder(tmp_path_factory):
    """A course of one good notebook whose outputs have been written into it: (folder, what was printed)."""
    folder = tmp_path_factory.mktemp("course")
    toy(folder, "00_good", good_cells())
    toys(folder, ["00_good"])
    status, said = call("notebooks", "--notebooks", folder, "--reports", folder / "reports")
    assert status == 0, said
    return folder, said


def test_written_notebooks_carry_clean_outputs_and_keep_their_ids(course_folder):
    folder, said = course_folder
    node = nbformat.read(folder / "00_good.ipynb", as_version=4)
    outputs = [output for cell in node.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs] == ["two words\n"]
    assert "stderr: ['noise']" in said
    assert [cell.id for cell in node.cells] == [f"toy-{place}" for place in range(6)]
    assert {key for cell in node.cells for key in cell.metadata} == {"tags"}
    assert node.metadata.course.profile == "quick"
    assert len(node.metadata.course.source_digest) == 64


def test_expectations_are_written_and_then_met(course_folder):
    folder = course_folder[0]
    where = ("--notebooks", folder, "--reports", folder / "reports")
    assert call("check", *where)[0] == 2  # nothing recorded yet
    assert call("expect", *where)[0] == 0
    recorded = tomllib.loads((folder / "expected.toml").read_text())["00_good"]
    assert recorded["claims"] == {"three quarters is more than half": True}
    assert recorded["measures"] == [{"name": "AP", "method": "toy", "band": [0.5625, 0.9375]}]  # 3/4 ± a quarter of it
    status, said = call("check", *where)
    assert status == 0 and "as recorded: 1 claims, 1 values" in said

    with results_as_of_another_run(folder / "reports"):
        status, said = call("check", *where)
    assert status == 1
    assert "'three quarters is more than half' does not hold; recorded: holds" in said
    assert "AP (method=toy) is 0.5, outside 0.5625 to 0.9375" in said


@contextlib.contextmanager
def results_as_of_another_run(reports_folder, known=True):
    """Half the AP and no claim that holds, for a while; `known`: the runner's state says that its run wrote this."""
    paths = reports_folder / "results" / "quick" / "00_good.json", reports_folder / "quick" / "state" / "00_good.json"
    before = [path.read_text() for path in paths]
    other = before[0].replace("0.75", "0.5").replace('"holds": true', '"holds": false')
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (before[0], other)]
    paths[0].write_text(other)
    paths[1].write_text(before[1].replace(*digests) if known else before[1])
    yield
    for path, text in zip(paths, before, strict=True):
        path.write_text(text)


@pytest.fixture
def finished(course_folder, tmp_path):
    """A copy of the course in which its notebook has run: (folder, arguments that name it)."""
    folder = shutil.copytree(course_folder[0], tmp_path / "copy")
    return folder, ("--notebooks", folder, "--reports", folder / "reports")


def test_resume_keeps_what_is_unchanged(finished):
    status, said = call("run", "--resume", *finished[1])
    assert status == 0
    assert "kept     00_good" in said and "start    00_good" not in said
    assert "three quarters is more than half" in said


def test_resume_runs_what_has_another_source(finished):
    folder, where = finished
    toy(folder, "00_good", good_cells("n / 6"))
    toy(folder, "01_new", ["1"], parameters=None)  # fails without a kernel, and does not stop the other
    toys(folder, ["00_good", "01_new"])
    status, said = call("run", "--resume", *where)
    assert status == 1 and "FAILED 01_new" in said
    assert "start    00_good" in said and "kept     00_good" not in said
    assert measured(folder)[0]["value"] == 3 / 6


def test_a_parameter_of_the_command_line_reaches_the_notebook_and_resume_minds_it(finished):
    folder, where = finished
    status, said = call("run", "--resume", *where, "-p", "n=4")
    assert status == 0 and "start    00_good" in said
    assert measured(folder)[0]["value"] == 4 / 4
    assert call("expect", *where)[0] == 2, "values of other parameters must not become the expectation"


def test_expectations_of_one_notebook_leave_the_others_as_they_are(finished):
    folder, where = finished
    toy(folder, "01_new", ["1"])  # never run
    toys(folder, ["00_good", "01_new"])
    (folder / "expected.toml").write_text('[01_new.claims]\n"from before" = true\n')
    assert call("expect", *where)[0] == 2, "one of the notebooks was never run"
    assert call("expect", "--only", "00", *where)[0] == 0
    recorded = tomllib.loads((folder / "expected.toml").read_text())
    assert recorded["01_new"]["claims"] == {"from before": True}
    assert recorded["00_good"]["claims"] == {"three quarters is more than half": True}


def test_the_index_is_written_while_a_notebook_starts_anew(finished):
    folder, _ = finished
    (folder / "reports" / "results" / "quick" / "01_anew.json").symlink_to(folder / "gone")  # listed, and not there
    run = course.Run("quick", folder / "reports")
    planned = course.plan(course.find(folder), course.read_profiles(folder), "quick", [])
    assert "three quarters is more than half" in run.write_index(course.find(folder), planned).read_text()


def test_resume_runs_again_what_lost_its_results(finished):
    folder, _ = finished
    run = course.Run("quick", folder / "reports")
    (notebook,) = course.plan(course.find(folder), course.read_profiles(folder), "quick", [])
    assert run.finished(notebook)
    run.result_path("00_good").unlink()
    assert not run.finished(notebook)


def test_results_that_the_last_run_did_not_write_are_not_trusted(finished):
    folder, where = finished
    run = course.Run("quick", folder / "reports")
    (notebook,) = course.plan(course.find(folder), course.read_profiles(folder), "quick", [])
    assert call("expect", *where)[0] == 0 and run.finished(notebook)
    with results_as_of_another_run(folder / "reports", known=False):
        assert not run.finished(notebook)
        for command in ("check", "expect"):
            status, said = call(command, *where)
            assert status == 2 and "00_good.json is not what the last run of 00_good wrote; run it again" in said


def measured(folder):
    return json.loads((folder / "reports" / "results" / "quick" / "00_good.json").read_text())["measures"]


def test_ctrl_c_ends_the_kernel_and_keeps_the_report(tmp_path):
    pid_file = tmp_path / "pid"
    wait = f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    toy(tmp_path, "00_waits", ["{begin}", wait])
    toys(tmp_path, ["00_waits"])
    command = [sys.executable, "-m", "lib.course", "run", "--notebooks", tmp_path, "--reports", tmp_path / "reports"]
    runner = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=course.ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where the tests run in background
    )
    _wait_until(lambda: pid_file.exists() and pid_file.read_text())
    kernel = int(pid_file.read_text())
    os.kill(runner.pid, signal.SIGINT)
    _, said = runner.communicate(timeout=60)
    assert runner.returncode == 130 and "--resume" in said
    _wait_until(lambda: not _alive(kernel))
    state = json.loads((tmp_path / "reports" / "quick" / "state" / "00_waits.json").read_text())
    assert state["status"] == "stopped"
    assert "stopped" in (tmp_path / "reports" / "quick" / "index.html").read_text()


def _wait_until(fact, seconds=60):
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def _alive(pid):
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


# ---- without a kernel ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    parameters = 'profile = "quick"\ndataset = "toy"\nn = 3\nshare = 0.5\nsizes = [1, 2]\nfast = True'
    toy(tmp_path, "00_good", ["1"], parameters=parameters)
    toys(tmp_path, ["00_good"], extra="[00_good.full]\nn = 30\nshare = 1")
    return tmp_path


def planned(folder, *given, profile="quick"):
    (notebook,) = course.plan(course.find(folder), course.read_profiles(folder), profile, list(given))
    return notebook


def test_a_profile_changes_only_what_it_names(folder):
    assert planned(folder).changed == {}
    assert planned(folder, profile="full").changed == {"profile": "full", "n": 30, "share": 1.0}


def test_text_needs_no_quotes_and_numbers_fit_their_parameter(folder):
    given = planned(folder, "dataset=scenes15", "share=1", "sizes=[4]", "fast=false").given
    assert given == {"dataset": "scenes15", "share": 1.0, "sizes": [4], "fast": False}
    assert isinstance(given["share"], float)


def test_a_dataset_folder_is_found_from_the_notebooks_folder_too(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert planned(folder, "dataset=./photos").given["dataset"] == str(folder / "photos")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("words=64", "unknown parameter words; known are profile, dataset, n, share, sizes, fast"),
        ("n=2.5", "n is 2.5, which must be of type int like 3"),
        ("n=many", "no TOML literal"),
        ("n=true", "must be of type int"),
        ("sizes=['a', 'b']", "sizes is ['a', 'b'], in which 'a' must be of type int like [1, 2]"),
        ("sizes=[1, 2.5]", "in which 2.5 must be of type int like [1, 2]"),
        ("fast=1", "must be of type bool"),
        ("n", "write name=value"),
        ("profile=full", "set by --profile"),
    ],
)
def test_a_wrong_parameter_is_an_error_that_says_what_is_known(folder, given, message):
    status, said = call("run", "--notebooks", folder, "--reports", folder / "reports", "-p", given)
    assert status == 2 and message in said


@pytest.mark.parametrize(
    ("literal", "value", "taken"),
    [
        ([0.2, 0.0], [1, 0.5], [1.0, 0.5]),
        ([], [["course", 64]], [["course", 64]]),
        ([1, 2], [], []),
        ([["course", 64]], [["vgg16", 224, "max"], []], [["vgg16", 224, "max"], []]),
        (["", "unseen", 300], ["test", 20], ["test", 20]),
        ((("a", 1.0),), [["b", 2]], (("b", 2.0),)),
        ({"stem": 4, "widths": [8]}, {"stem": 8, "widths": [1, 2]}, {"stem": 8, "widths": [1, 2]}),
        ({"scratch": 3}, {"other": 4}, {"other": 4}),
        ([None, 1], ["any"], ["any"]),
    ],
)
def test_elements_fit_those_of_the_literal(literal, value, taken):
    fitted = course.notebook_files.fitting("p", value, {"p": literal}, "here")
    assert repr(fitted) == repr(taken)


@pytest.mark.parametrize(
    ("literal", "value", "message"),
    [
        ([["course", 64]], [["vgg16", 224.5]], "in which 224.5 must be of type int or str"),
        ([["course", 64]], ["vgg16", 224], "in which 'vgg16' must be of type list"),
        ([1, 2], [[1, 2]], "in which [1, 2] must be of type int"),
        ([1, 2], [True], "in which True must be of type int"),
        ({"stem": 4, "widths": [8]}, {"stem": [8]}, "in which [8] must be of type int"),
        ({"scratch": 3}, {"other": "many"}, "in which 'many' must be of type int"),
        ((1, 2), ["a"], "in which 'a' must be of type int"),
    ],
)
def test_an_element_of_another_type_is_an_error_that_names_it(literal, value, message):
    with pytest.raises(ValueError, match=re.escape(f"here: p is {value!r}, {message} like {literal!r}")):
        course.notebook_files.fitting("p", value, {"p": literal}, "here")


def test_an_unknown_parameter_in_profiles_toml_is_the_notebooks_problem(folder):
    toys(folder, ["00_good"], extra="[00_good.full]\nwords = 3")
    assert "[00_good.full] of profiles.toml: unknown parameter words" in planned(folder, profile="full").problem


def test_an_unknown_profile_is_an_error_that_lists_the_known(folder):
    status, said = call("run", "--notebooks", folder, "--reports", folder / "reports", "--profile", "quikc")
    assert status == 2 and "there are full, quick" in said


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("qiuck", "--profile qiuck: no notebook has it; there are full, quick"),
        ("../x", "--profile ../x: no notebook has it"),
        ("quick", "no results of a notebook in {place}; `python -m lib.course run --profile quick` first"),
        ("full", "no results of a notebook in {place}; `python -m lib.course run --profile full` first"),
    ],
)
def test_results_of_nothing_are_an_error_and_leave_no_folder(folder, profile, message):
    status, said = call("results", "--notebooks", folder, "--reports", folder / "typo", "--profile", profile)
    assert status == 2 and message.format(place=folder / "typo" / "results" / profile) in said
    assert call("check", "--notebooks", folder, "--reports", folder / "typo")[0] == 2
    assert not (folder / "typo").exists()


def test_results_of_a_notebook_that_was_not_run_are_an_error(finished):
    folder, where = finished
    toy(folder, "01_new", ["1"])
    toys(folder, ["00_good", "01_new"])
    status, said = call("results", "--only", "1", *where)
    assert status == 2 and "no results of these notebooks in" in said
    status, said = call("results", *where)
    assert status == 0 and "What was measured (profile quick)" in said and "What was claimed" in said


def test_a_file_where_a_folder_of_reports_should_be_is_an_error(folder):
    where = ("--notebooks", folder, "--reports", folder / "00_good.ipynb")
    for command in ("run", "notebooks", "results", "check", "expect"):
        (folder / "expected.toml").write_text("")
        status, said = call(command, *where)
        assert status == 2 and said.startswith("error: "), command
        assert command in ("check", "expect") or "00_good.ipynb" in said


def test_list_names_a_damaged_notebook(folder):
    (folder / "01_damaged.ipynb").write_text("{")
    status, said = call("list", "--notebooks", folder)
    assert status == 2 and f"error: {folder / '01_damaged.ipynb'}: 01_damaged.ipynb is not a notebook" in said


@pytest.mark.parametrize("command", ["check", "expect"])
@pytest.mark.parametrize("content", [b"[00_good.claims\n", b"\xff"])
def test_a_damaged_file_of_expectations_is_named(finished, command, content):
    folder, where = finished
    (folder / "expected.toml").write_bytes(content)
    status, said = call(command, *where)
    assert status == 2 and f"error: {folder / 'expected.toml'} cannot be read: " in said


def test_a_damaged_file_of_results_is_named(finished):
    folder, where = finished
    path = folder / "reports" / "results" / "quick" / "00_good.json"
    path.write_text("{")
    status, said = call("results", *where)
    assert status == 2 and f"error: {path} is not a file of results" in said


def test_an_error_that_names_no_file_is_not_taken_for_a_wrong_command(folder, monkeypatch):
    def breaks(*_):
        raise BrokenPipeError

    monkeypatch.setattr(course, "find", breaks)
    with pytest.raises(BrokenPipeError):
        call("list", "--notebooks", folder)


def test_notebooks_are_chosen_by_number_or_name(folder):
    toy(folder, "01_other", ["1"])
    paths = course.find(folder)
    assert [path.stem for path in course.select(paths, ["1"])] == ["01_other"]
    assert [path.stem for path in course.select(paths, ["01_other", "00"])] == ["00_good", "01_other"]
    assert course.select(paths, None) == paths
    assert [path.stem for path in course.select(paths, ["notebooks/01_other.ipynb"])] == ["01_other"]
    for word in ("7", "", "/", ".", ".ipynb"):
        with pytest.raises(course.UsageError, match=f"--only {word!r}: .*; there are 00_good, 01_other"):
            course.select(paths, ["1", word])


def test_list_shows_question_minutes_and_parameters(folder):
    status, said = call("list", "--notebooks", folder)
    assert status == 0
    assert "00_good  What is a toy?  (about 1 min)" in said
    assert "full   n = 30, share = 1" in said


def test_list_as_json_names_the_notebooks_alone(folder):
    toy(folder, "01_other", ["1"])
    status, said = call("list", "--notebooks", folder, "--json")
    assert (status, json.loads(said)) == (0, ["00_good", "01_other"])


@pytest.mark.parametrize(
    "arguments", [["--jobs", "0"], ["--jobs", "two"], *(["--timeout", word] for word in ("-1", "0", "nan", "inf"))]
)
def test_a_number_that_makes_no_sense_is_refused(folder, arguments):
    with pytest.raises(SystemExit) as ended:
        call("run", "--notebooks", folder, *arguments)
    assert ended.value.code == 2


def test_a_run_is_refused_while_another_writes_to_its_folder(tmp_path):
    toy(tmp_path, "00_broken", ["1"], parameters=None)  # fails without a kernel
    toys(tmp_path, ["00_broken"])
    where = tmp_path / "reports" / "quick"
    hold = "import sys, time, pathlib; from lib import course\n"
    hold += "with course.alone(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", hold, where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=course.ROOT) as other:
        assert other.stdout.readline() == "held\n"
        status, said = call("run", "--notebooks", tmp_path, "--reports", tmp_path / "reports")
        other.kill()
    assert status == 2 and f"a run is under way in {where}" in said and "another --reports" in said
    assert not list(where.glob("state/*"))
    status, said = call("run", "--notebooks", tmp_path, "--reports", tmp_path / "reports")
    assert status == 1 and "FAILED 00_broken" in said, "a run that was killed holds nothing"


@pytest.mark.parametrize(("given", "seconds"), [(["--timeout", "7.5"], 8), (["--timeout", "20"], 20), ([], 600)])
def test_the_time_of_a_cell_is_passed_on_in_whole_seconds(folder, monkeypatch, given, seconds):
    seen = []
    monkeypatch.setattr(course.execution, "execute_apart", lambda arguments, *_: seen.append(arguments["timeout"]))
    call("run", "--notebooks", folder, "--reports", folder / "reports", *given)
    assert seen == [seconds] and isinstance(seen[0], int)


def test_notebooks_refuses_a_parameters_cell_unlike_profile_quick(tmp_path):
    toy(tmp_path, "00_good", good_cells(), parameters=PARAMETERS.replace("n = 3", "n = 2"))
    toys(tmp_path, ["00_good"])
    status, said = call("notebooks", "--notebooks", tmp_path, "--reports", tmp_path / "reports")
    assert status == 2 and "its parameters cell differs from profile quick in n" in said
    assert "start" not in said


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
    environment = course.course_environment(tmp_path / "jupyter", tmp_path / "reports", jobs=1)
    wanted = os.pathsep.join(str(tmp_path / part) for part in parts)
    assert environment.get(name, "not set") == (wanted or "not set")


def test_the_teacher_is_looked_for_in_each_folder_of_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))  # pretrain sets it
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", os.pathsep.join(["one", "two"]))
    status, said = call("pretrain")
    places = [str(tmp_path / name / "mobilenet_v2.pth") for name in ("one", "two")]
    assert status == 2 and f"are not at {' or '.join(places)}; name them" in said
    (tmp_path / "two").mkdir()
    Path(places[1]).write_text("weights")
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("RETRIEVAL_DATA", str(tmp_path / "data"))
    status, said = call("pretrain")
    assert status == 2 and "tiny-imagenet-100" in said, "found, so that the photos are what is missing next"


def test_the_kernel_is_this_interpreter_whatever_the_user_has_installed(tmp_path):
    environment = course.course_environment(tmp_path, tmp_path / "reports", jobs=1)
    code = "from jupyter_client.kernelspec import get_kernel_spec as get; print(get('python3').argv[0])"
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == sys.executable


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_progress_is_one_line_with_both_times(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    line = progress.Progress({"00_good": 60, "01_other": 90}, stream=Terminal())
    line.start("00_good")
    line.reach("00_good", 2, 9)
    line.draw()
    assert line.stream.getvalue() == "\r\x1b[K[............] 0 of 2  0:00 gone, about 2:30 left  00_good cell 2 of 9"
    line.end("00_good", "ok", 62)
    line.draw()
    assert line.stream.getvalue().endswith(
        "\r\x1b[Kok       00_good  1:02\n\r\x1b[K[######......] 1 of 2  0:00 gone, about 1:30 left  "
    )


def test_progress_in_a_log_has_no_control_characters():
    line = progress.Progress({"00_good": 60}, stream=io.StringIO())
    line.start("00_good")
    line.draw()
    line.end("00_good", "FAILED", 3, "cell [2] `1 / 0`: ZeroDivisionError")
    line.close()
    assert line.stream.getvalue() == "start    00_good\nFAILED   00_good  0:03  cell [2] `1 / 0`: ZeroDivisionError\n"


def test_a_table_fits_the_terminal_and_loses_no_word():
    text = reports.text_table(["a", "claim"], [["x", "one two three four five six seven"]], width=20)
    assert max(map(len, text.splitlines())) <= 20
    assert text.split() == ["a", "claim", "-", "-" * 18, "x", *"one two three four five six seven".split()]


def test_formulas_are_drawn_and_text_is_escaped():
    assert reports.formula(r"\frac{1}{k}").startswith("<svg")
    assert reports.formula("<b>{") == "<code>&lt;b&gt;{</code>"
