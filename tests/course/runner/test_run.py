"""A run on a toy course: what it leaves, what a second run keeps, and how it is ended or refused."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from toys import call, good_cells, measured, toy, toys

from course import ROOT
from course.runner import kernel, plan
from course.runner.folder import ReportFolder


@pytest.mark.slow
def test_written_notebooks_carry_clean_outputs_and_keep_their_ids(course_folder):
    folder, said = course_folder
    node = nbformat.read(folder / "00_good.ipynb", as_version=4)
    outputs = [output for cell in node.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs if output.output_type == "stream"] == ["two words\n"]
    assert "stderr: ['noise']" in said
    assert [cell.id for cell in node.cells] == [f"toy-{place}" for place in range(6)]
    assert {key for cell in node.cells for key in cell.metadata} == {"tags"}
    assert node.metadata.course.profile == "quick"
    assert len(node.metadata.course.source_digest) == 64


def test_resume_keeps_what_is_unchanged(finished):
    status, said = call("run", "--resume", *finished[1])
    assert status == 0
    assert "kept     00_good" in said and "start    00_good" not in said
    assert "three quarters is more than half" in said


@pytest.mark.slow
def test_resume_runs_what_has_another_source(finished):
    folder, where = finished
    toy(folder, "00_good", good_cells("n / 6"))
    toy(folder, "01_new", ["1"], parameters=None)  # fails without a kernel, and does not stop the other
    toys(folder, ["00_good", "01_new"])
    status, said = call("run", "--resume", *where)
    assert status == 1 and "FAILED 01_new" in said
    assert "start    00_good" in said and "kept     00_good" not in said
    assert measured(folder)[0]["value"] == 3 / 6


@pytest.mark.slow
def test_a_parameter_of_the_command_line_reaches_the_notebook_and_resume_minds_it(finished):
    folder, where = finished
    status, said = call("run", "--resume", *where, "-p", "n=4")
    assert status == 0 and "start    00_good" in said
    assert measured(folder)[0]["value"] == 4 / 4
    assert call("expect", *where)[0] == 2, "values of other parameters must not become the expectation"


def planned(folder):
    (notebook,) = plan.plan(plan.find(folder), plan.read_profiles(folder), "quick", [])
    return notebook


def test_the_index_is_written_while_a_notebook_starts_anew(finished):
    folder, _ = finished
    (folder / "reports" / "results" / "quick" / "01_anew.json").symlink_to(folder / "gone")  # listed, and not there
    index = ReportFolder(folder / "reports", "quick").write_index([planned(folder)])
    assert "three quarters is more than half" in index.read_text()


def test_the_index_shows_beside_a_claim_what_another_profile_gave(finished):
    folder, _ = finished
    reports = folder / "reports"
    shutil.copytree(reports / "quick", reports / "photos")
    text = (reports / "results" / "quick" / "00_good.json").read_text().replace('"holds"', '"contradicted"')
    (reports / "results" / "photos").mkdir()
    path = reports / "results" / "photos" / "00_good.json"
    path.write_text(text.replace('"profile": "quick"', '"profile": "photos"'))
    state = json.loads((reports / "photos" / "state" / "00_good.json").read_text())
    state["results_digest"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (reports / "photos" / "state" / "00_good.json").write_text(json.dumps(state))
    assert "photos: contradicted" in ReportFolder(reports, "quick").write_index([planned(folder)]).read_text()
    path.write_text("{")
    index = ReportFolder(reports, "quick").write_index([planned(folder)])
    assert "photos: " not in index.read_text(), "damaged results of another profile do not stop this one"


def test_a_notebook_that_lost_its_results_is_not_finished(finished):
    folder, _ = finished
    reports = ReportFolder(folder / "reports", "quick")
    assert reports.finished(planned(folder))
    reports.result_path("00_good").unlink()
    assert not reports.finished(planned(folder))


def test_results_that_the_last_run_did_not_write_are_not_trusted(finished):
    folder, where = finished
    reports = ReportFolder(folder / "reports", "quick")
    assert call("expect", *where)[0] == 0 and reports.finished(planned(folder))
    with results_as_of_another_run(folder / "reports", known=False):
        assert not reports.finished(planned(folder))
        for command in ("check", "expect"):
            status, said = call(command, *where)
            assert status == 2 and "00_good were written anew outside of its run; run it again" in said


def test_expectations_are_written_and_then_met(finished):
    folder, where = finished
    assert call("check", *where)[0] == 2  # nothing recorded yet
    assert call("expect", *where)[0] == 0
    status, said = call("check", *where)
    assert status == 0, said
    with results_as_of_another_run(folder / "reports"):
        status, said = call("check", *where)
    assert status == 1 and "AP (method=toy) is 0.3" in said


@contextlib.contextmanager
def results_as_of_another_run(reports, known=True):
    """Less than half the AP, for a while; `known`: the runner's state says that its run wrote this."""
    paths = reports / "results" / "quick" / "00_good.json", reports / "quick" / "state" / "00_good.json"
    before = [path.read_text() for path in paths]
    other = before[0].replace("0.75", "0.3")
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (before[0], other)]
    paths[0].write_text(other)
    paths[1].write_text(before[1].replace(*digests) if known else before[1])
    yield
    for path, text in zip(paths, before, strict=True):
        path.write_text(text)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")
def test_ctrl_c_ends_the_kernel_and_keeps_the_report(tmp_path):
    pid_file = tmp_path / "pid"
    wait = f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    toy(tmp_path, "00_waits", ["{begin}", wait])
    toys(tmp_path, ["00_waits"])
    command = [sys.executable, "-m", "course", "run", "--notebooks", tmp_path, "--reports", tmp_path / "reports"]
    runner = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where the tests run in background
    )
    _wait_until(lambda: pid_file.exists() and pid_file.read_text())
    kernel_pid = int(pid_file.read_text())
    os.kill(runner.pid, signal.SIGINT)
    _, said = runner.communicate(timeout=60)
    assert runner.returncode == 130 and "--resume" in said
    _wait_until(lambda: not _alive(kernel_pid))
    state = json.loads((tmp_path / "reports" / "quick" / "state" / "00_waits.json").read_text())
    assert state["status"] == "stopped"
    assert "stopped" in (tmp_path / "reports" / "quick" / "index.html").read_text()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")
def test_a_runner_that_is_killed_leaves_no_kernel_that_goes_on_writing(tmp_path):
    pids = tmp_path / "pids"
    wait = f"import os, time\nopen({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}}')\ntime.sleep(600)"
    toy(tmp_path, "00_waits", ["{begin}", wait])
    toys(tmp_path, ["00_waits"])
    command = [sys.executable, "-m", "course", "run", "--notebooks", tmp_path, "--reports", tmp_path / "reports"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=ROOT) as runner:
        _wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        runner.kill()
    of_kernel, of_papermill = map(int, pids.read_text().split())
    _wait_until(lambda: not _alive(of_kernel) and not _alive(of_papermill), seconds=20)


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


def test_a_run_is_refused_while_another_writes_to_its_folder(tmp_path):
    toy(tmp_path, "00_broken", ["1"], parameters=None)  # fails without a kernel
    toys(tmp_path, ["00_broken"])
    where = tmp_path / "reports" / "quick"
    hold = "import sys, time, pathlib; from course.runner.environment import locked\n"
    hold += "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", hold, where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout.readline() == "held\n"
        status, said = call("run", "--notebooks", tmp_path, "--reports", tmp_path / "reports")
        other.kill()
    assert status == 2 and f"a run is under way in {where}" in said and "another --reports" in said
    assert not list(where.glob("state/*"))
    status, said = call("run", "--notebooks", tmp_path, "--reports", tmp_path / "reports")
    assert status == 1 and "FAILED 00_broken" in said, "a run that was killed holds nothing"


@pytest.mark.parametrize(("given", "seconds"), [(["--timeout", "7.5"], 8), (["--timeout", "20"], 20), ([], 600)])
def test_the_time_of_a_cell_is_passed_on_in_whole_seconds(toy_folder, monkeypatch, given, seconds):
    seen = []
    monkeypatch.setattr(kernel, "execute_apart", lambda arguments, *_: seen.append(arguments["timeout"]))
    call("run", "--notebooks", toy_folder, "--reports", toy_folder / "reports", *given)
    assert seen == [seconds] and isinstance(seen[0], int)


def test_notebooks_refuses_a_parameters_cell_unlike_profile_quick(tmp_path):
    toy(tmp_path, "00_good", good_cells(), parameters='profile = "quick"\ndataset = "toy"\nn = 2')
    toys(tmp_path, ["00_good"])
    status, said = call("notebooks", "--notebooks", tmp_path, "--reports", tmp_path / "reports")
    assert status == 2 and "its parameters cell differs from profile quick in n" in said
    assert "start" not in said


def test_a_notebook_without_a_table_of_a_profile_of_some_is_not_run_in_it(toy_folder, monkeypatch):
    toy(toy_folder, "01_tables", ["1"], parameters=None)
    toys(toy_folder, ["00_good", "01_tables"], extra="[00_good.photos]\nn = 30")
    seen = []
    monkeypatch.setattr(kernel, "execute_apart", lambda arguments, *_: seen.append(arguments["parameters"]))
    where = ("--notebooks", toy_folder, "--reports", toy_folder / "reports", "--profile", "photos")
    _, said = call("run", *where)
    assert "not in profile photos: 01_tables" in said and "0 of 1 notebooks" in said
    assert seen == [{"n": 30, "profile": "photos"}]
    assert (toy_folder / "reports" / "photos" / "index.html").is_file()
    status, said = call("run", *where, "--only", "01")
    assert status == 2 and "profiles.toml has no table of profile photos for 01_tables" in said


def test_a_profile_that_every_notebook_must_have_fails_where_its_table_is_missing(toy_folder):
    toy(toy_folder, "01_new", ["1"])
    status, said = call("run", "--only", "1", "--notebooks", toy_folder, "--reports", toy_folder / "reports")
    assert status == 1 and "FAILED 01_new: profiles.toml has no table [01_new.quick]" in said
