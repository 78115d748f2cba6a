"""Reading the last run of a notebook, and rows of a table as measures and claims."""

import json

import pandas as pd
import pytest

from course import records
from lib.results import Claim, Measure

MEASURES = [
    Measure("00_toy", "AP", 0.5, 0.4, 0.6, n=8, data="toys", more={"method": "words", "words": 64}),
    Measure("00_toy", "AP", 0.25, more={"method": "HOG", "fast": True}),
]
CLAIMS = [
    Claim("00_toy", "half is much", "holds", 3.2, 1.0, 5.4, 0.001, "within", (-6.0, 6.0), 8, "points"),
    Claim("00_toy", "photos are larger", "not run", evidence="the photos are not here"),
]


def left(folder, result=None, **state):
    """Reports in which 00_toy has run."""
    content = {"notebook": "00_toy", "profile": "quick", "made_with": {"cores": 2}}
    content |= {"measures": [row.to_dict() for row in MEASURES], "claims": [row.to_dict() for row in CLAIMS]}
    state = {"name": "00_toy", "status": "ok", "seconds": 3, "given": None} | state
    for place, of in (("results/quick", content | (result or {})), ("quick/state", state)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "00_toy.json").write_text(json.dumps(of), encoding="utf-8")
    return folder


def test_the_last_run_holds_what_the_notebook_wrote_and_what_the_runner_noted(tmp_path):
    run = records.last_run(left(tmp_path), "quick", "00_toy")
    assert (run.name, run.measures, run.claims, run.made_with) == ("00_toy", MEASURES, CLAIMS, {"cores": 2})
    assert run.state["given"] == {} and run.state["seconds"] == 3 and run.state["ended"].endswith("Z")


@pytest.mark.parametrize(
    ("result", "state", "words"),
    [
        ({}, {"status": "running"}, r"has not run to its end \(running\); run `python -m course run --profile quick"),
        ({}, {"results_digest": "0" * 64}, "were written anew outside of its run"),
        ({"notebook": "01_other"}, {}, "the results are of '01_other', the state is of '00_toy'"),
        ({"profile": "full"}, {}, "are of profile 'full', expected 'quick'"),
        ({"claims": [{"text": "a", "verdict": "maybe"}]}, {}, "verdict of 'a' must be one of"),
    ],
)
def test_a_run_that_cannot_be_trusted_is_refused(tmp_path, result, state, words):
    with pytest.raises(ValueError, match=words):
        records.last_run(left(tmp_path, result, **state), "quick", "00_toy")


def test_a_notebook_that_never_ran_is_refused(tmp_path):
    with pytest.raises(ValueError, match="never run"):
        records.last_run(tmp_path, "quick", "00_toy")


def test_rows_of_a_table_are_the_measures_and_claims_that_went_in():
    measures = pd.DataFrame([row.to_dict() for row in MEASURES])  # 64 has become 64.0, what is missing is NaN
    claims = pd.DataFrame([row.to_dict() for row in CLAIMS])
    assert records.measures_of(measures) == MEASURES and records.claims_of(claims) == CLAIMS
    assert records.measures_of(MEASURES) == MEASURES


# ------------------------------------------------------------------------------------------------- of a whole profile


def test_a_profile_without_results_is_an_error_that_lists_those_there(tmp_path):
    left(tmp_path)
    with pytest.raises(ValueError, match=r"'full'.*there: quick"):
        records.noted(tmp_path, "full")


def test_a_file_that_is_gone_when_it_is_read_is_left_out(tmp_path):
    left(tmp_path)
    (tmp_path / "results" / "quick" / "01_started_anew.json").symlink_to(tmp_path / "gone")  # listed, and not there
    assert records.noted(tmp_path, "quick") == (MEASURES, CLAIMS)


def test_a_damaged_file_of_a_profile_is_named(tmp_path):
    left(tmp_path)
    (tmp_path / "results" / "quick" / "01_half.json").write_text('{"notebook": "01_h')
    with pytest.raises(ValueError, match=r"01_half\.json is not a file of results"):
        records.noted(tmp_path, "quick")
