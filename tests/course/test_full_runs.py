"""Which runs are kept, under which names, and that nothing of the machine goes with them."""

import hashlib
import json
import os

import pytest

from course import ROOT
from course.publish import full_runs
from course.records import LastRun
from course.report.wording import VERDICTS
from lib.results import Claim, Measure

MADE_WITH = {"python": "3.11.7", "cpu": "a processor", "cores": 2, "gpu": None, "libraries": {"numpy": "2.4.6"}}


def result(name="00_toy", value=0.5, evidence="0.5 against 0.4", profile="full"):
    measure = Measure(name, "AP", value, 0.05, 0.95, n=8, more={"method": "toy"})
    claim = Claim(name, "half is much", "holds", 0.1, 0.05, 0.15, 0.001, "above", 0.0, evidence=evidence)
    return {"notebook": name, "profile": profile, "made_with": MADE_WITH, "measures": [measure.to_dict()],
            "claims": [claim.to_dict()]}  # fmt: skip


def state(name="00_toy", status="ok", ended="2026-11-26T12:00:00Z", given=None):
    return {"name": name, "status": status, "seconds": 61.26, "ended": ended, "given": given or {},
            "parameters": {"dataset": "toys", "n": 3} | (given or {})}  # fmt: skip


def left(folder, of_run, of_runner, profile="full"):
    """A folder of reports in which one notebook has left `of_run`, and the runner `of_runner`."""
    name = of_runner["name"]
    for path, content in ((f"results/{profile}/{name}.json", of_run), (f"{profile}/state/{name}.json", of_runner)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_finished_run_is_kept_with_its_numbers_hardware_date_and_command(tmp_path):
    said = full_runs.take_over(left(tmp_path / "reports", result(), state()), tmp_path / "kept")
    assert said == ["new      00_toy.json"]
    (run,) = full_runs.read_runs(tmp_path / "kept")
    assert [measure.to_dict() for measure in run["measures"]] == result()["measures"]
    assert [claim.to_dict() for claim in run["claims"]] == result()["claims"]
    assert run["made_with"] == MADE_WITH
    assert (run["ended"], run["seconds"]) == ("2026-11-26T12:00:00Z", 61.3)
    assert run["command"] == "python -m course run --profile full --only 00"


@pytest.mark.parametrize("status", ["failed", "stopped", "running"])
def test_a_run_that_did_not_end_well_is_not_kept_and_replaces_nothing(tmp_path, status):
    full_runs.take_over(left(tmp_path / "reports", result(), state()), tmp_path / "kept")
    newer = state(status=status, ended="2026-11-27T12:00:00Z")
    said = full_runs.take_over(left(tmp_path / "reports", result(value=0.1), newer), tmp_path / "kept")
    assert said == [
        f"left out 00_toy: 00_toy has not run to its end ({status}); "
        "run `python -m course run --profile full --only 00` first"
    ]
    (run,) = full_runs.read_runs(tmp_path / "kept")
    assert run["measures"][0].value == 0.5


def test_a_newer_run_replaces_an_older_one_and_not_the_other_way_round(tmp_path):
    for ended, value, word in (
        ("2026-11-26T12:00:00Z", 0.5, "new"),
        ("2026-11-25T12:00:00Z", 0.1, "kept"),
        ("2026-11-27T12:00:00Z", 0.45, "replaced"),
    ):
        (said,) = full_runs.take_over(
            left(tmp_path / ended, result(value=value), state(ended=ended)), tmp_path / "kept"
        )
        assert said.startswith(word)
    (run,) = full_runs.read_runs(tmp_path / "kept")
    assert run["measures"][0].value == 0.45


def test_to_take_over_twice_changes_nothing(tmp_path):
    reports = left(tmp_path / "reports", result(), state())
    full_runs.take_over(reports, tmp_path / "kept")
    before = (tmp_path / "kept" / "00_toy.json").read_bytes()
    assert full_runs.take_over(reports, tmp_path / "kept") == ["kept     00_toy.json: the same run"]
    assert (tmp_path / "kept" / "00_toy.json").read_bytes() == before


def test_a_run_with_other_parameters_lies_beside_that_of_the_profile_and_is_read_after_it(tmp_path):
    for ended, given in (
        ("2026-11-26T12:00:00Z", {}),
        ("2026-11-27T12:00:00Z", {"n": 4}),
        ("2026-11-28T12:00:00Z", {"n": 5}),
    ):
        full_runs.take_over(left(tmp_path / "reports", result(), state(ended=ended, given=given)), tmp_path / "kept")
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == ["00_toy.json", "00_toy@n=4.json", "00_toy@n=5.json"]
    assert [run["given"] for run in full_runs.read_runs(tmp_path / "kept")] == [{}, {"n": 5}, {"n": 4}]


def test_results_written_anew_after_the_run_are_not_taken_for_its_own(tmp_path):
    reports = left(tmp_path / "reports", result(), state())
    written = (reports / "results/full/00_toy.json").read_bytes()
    left(reports, result(), state() | {"results_digest": hashlib.sha256(written).hexdigest()})
    assert full_runs.take_over(reports, tmp_path / "kept") == ["new      00_toy.json"]
    left(reports, result(value=0.9), state(ended="2026-11-27T12:00:00Z") | {"results_digest": "0" * 64})
    (said,) = full_runs.take_over(reports, tmp_path / "kept")
    assert said == "left out 00_toy: the results of 00_toy were written anew outside of its run; run it again"


def test_a_state_without_a_date_gets_that_of_its_file(tmp_path):
    old = {key: value for key, value in state().items() if key != "ended"}
    reports = left(tmp_path / "reports", result(), old)
    os.utime(reports / "full/state/00_toy.json", (1_800_000_000, 1_800_000_000))
    full_runs.take_over(reports, tmp_path / "kept")
    assert full_runs.read_runs(tmp_path / "kept")[0]["ended"] == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda reports: (reports / "results/full/00_toy.json").unlink(), "00_toy.json"),
        (lambda reports: (reports / "results/full/00_toy.json").write_text('{"half'), "Unterminated"),
        (lambda reports: (reports / "full/state/00_toy.json").write_text(""), "is not JSON"),
        (
            lambda reports: (reports / "results/full/00_toy.json").write_text('{"notebook": "00_toy"}'),
            "lacks the field 'measures'",
        ),
        (lambda reports: left(reports, result("01_other"), state()), "results are of '01_other'"),
    ],
)
def test_a_damaged_report_is_left_out_by_name_and_the_others_are_kept(tmp_path, damage, words):
    reports = left(tmp_path / "reports", result(), state())
    left(reports, result("02_good"), state("02_good"))
    damage(reports)
    said = full_runs.take_over(reports, tmp_path / "kept")
    assert said[0].startswith("left out 00_toy: ") and words in said[0] and str(tmp_path) not in said[0]
    assert said[1] == "new      02_good.json"


def test_no_path_of_the_machine_is_kept(tmp_path):
    given = {"dataset": "/home/me/photos/my trip", "unseen": ["~/more/photos", "test"]}
    told = "read /tmp/run/a.json and C:\\Users\\me\\b.json, image/text, 3 / 4, https://example.org/a/b"
    full_runs.take_over(left(tmp_path / "reports", result(evidence=told), state(given=given)), tmp_path / "kept")
    (run,) = full_runs.read_runs(tmp_path / "kept")
    text = (tmp_path / "kept" / full_runs.file_name(run)).read_text(encoding="utf-8")
    assert not any(path in text for path in ("/home", "/tmp", "Users", "~"))
    assert run["claims"][0].evidence == "read a.json and b.json, image/text, 3 / 4, https://example.org/a/b"


def test_only_the_notebooks_asked_for_are_taken_over(tmp_path):
    reports = left(left(tmp_path / "reports", result(), state()), result("01_other"), state("01_other"))
    assert full_runs.take_over(reports, tmp_path / "kept", only=["01_other"]) == ["new      01_other.json"]


def test_a_folder_without_reports_gives_nothing(tmp_path):
    assert full_runs.take_over(tmp_path / "none", tmp_path / "kept") == []
    assert full_runs.read_runs(tmp_path / "kept") == []


def test_values_that_a_shell_would_split_are_quoted_in_the_command():
    run = full_runs.record(LastRun("00_toy", state(given={"steps": [[16, 400]], "name": "it's"}), {}, [], []))
    assert run["command"].endswith("--only 00 -p 'steps=[[16, 400]]' -p 'name=it'\\''s'")


def test_a_long_list_of_parameters_makes_a_short_file_name_of_its_own():
    names = {full_runs.file_name({"notebook": "00_toy", "given": {"words": ["long"] * 40 + [n]}}) for n in range(3)}
    assert len(names) == 3 and max(map(len, names)) < 100


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"notebook": "00_toy", "given": {}}', '{"notebook": "01_x", "given": {}}']
)
def test_a_file_that_is_no_run_is_refused_by_name(tmp_path, content):
    (tmp_path / "00_toy.json").write_text(content)
    with pytest.raises(ValueError, match=r"^00_toy\.json is not the file of a run"):
        full_runs.read_runs(tmp_path)


def test_runs_of_photos_are_kept_in_a_folder_of_their_own(tmp_path):
    left(tmp_path / "reports", result(profile="photos"), state(), "photos")
    assert full_runs.take_over(tmp_path / "reports", tmp_path / "kept", "photos") == ["new      00_toy.json"]
    assert full_runs.read_runs(tmp_path / "kept") == []
    (run,) = full_runs.read_runs(tmp_path / "kept", "photos")
    assert run["command"] == "python -m course run --profile photos --only 00"


def test_the_committed_runs_are_whole_and_hold_no_path_and_no_picture():
    kept = ROOT / "docs" / "results"
    runs = full_runs.read_runs(kept)
    assert len(runs) >= 13
    for run in runs:
        assert run["profile"] == "full" and run["measures"], run["notebook"]
        assert {claim.verdict for claim in run["claims"]} <= set(VERDICTS)
        text = (kept / full_runs.file_name(run)).read_text(encoding="utf-8")
        assert full_runs.MACHINE_PATH.search(text.replace("\\n", " ")) is None
        assert len(text) < 200_000  # numbers and words: a picture would not fit
