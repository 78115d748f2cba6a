"""How two profiles agree: which claims count, and what is said of them."""

import json

import pytest

from course import UsageError
from course.publish import agreement, full_runs
from lib.results import Claim


def claims(notebook="00_toy", **verdicts):
    return [Claim(notebook, text, verdict, None if verdict == "not run" else 1) for text, verdict in verdicts.items()]


QUICK = claims(a="holds", b="contradicted", c="holds", d="undecided", e="not run", f="holds")
FULL = claims(a="holds", b="contradicted", c="contradicted", d="holds", e="holds", g="holds")


def test_claims_decided_in_both_count_and_those_of_opposite_sign_are_listed():
    found = agreement.compare(("quick", "full"), QUICK, FULL)
    assert (found.n_both, found.n_decided, found.n_same) == (5, 3, 2)  # a to e; a, b, c; a, b
    assert found.share_same == 2 / 3
    assert [(one.text, one.verdict, other.verdict) for one, other in found.opposite] == [("c", "holds", "contradicted")]


def test_agreement_does_not_depend_on_which_profile_comes_first():
    there, back = (agreement.compare(("x", "y"), *two) for two in ((QUICK, FULL), (FULL, QUICK)))
    assert there[1:3] == back[1:3] and [pair[::-1] for pair in there.opposite] == back.opposite


def test_the_same_words_in_another_notebook_are_another_claim():
    assert agreement.compare(("quick", "full"), QUICK, claims("01_toy", a="holds")).n_both == 0


def test_where_nothing_is_decided_in_both_there_is_no_share():
    found = agreement.compare(("quick", "full"), claims(a="undecided"), claims(a="holds"))
    assert found.share_same is None


def test_the_share_undecided_leaves_out_what_was_not_run():
    assert agreement.share_undecided(QUICK) == 1 / 5
    assert agreement.share_undecided(claims(a="not run")) is None


def test_three_profiles_make_three_pairs():
    found = agreement.pairs({"quick": QUICK, "photos": QUICK[:2], "full": FULL})
    assert [pair.profiles for pair in found] == [("quick", "photos"), ("quick", "full"), ("photos", "full")]


def test_verdicts_elsewhere_name_each_other_profile():
    found = agreement.verdicts_elsewhere({"quick": QUICK, "photos": QUICK[:1], "full": FULL}, "quick")
    assert found["00_toy", "a"] == {"photos": "holds", "full": "holds"}
    assert ("00_toy", "f") not in found


def finished(reports, profile, made, status="ok"):
    """A finished run of 00_toy in a folder of reports."""
    result = {"notebook": "00_toy", "profile": profile, "made_with": {}, "measures": []}
    result["claims"] = [claim.to_dict() for claim in made]
    for place, content in ((f"results/{profile}", result), (f"{profile}/state", {"name": "00_toy", "status": status})):
        (reports / place).mkdir(parents=True, exist_ok=True)
        (reports / place / "00_toy.json").write_text(json.dumps(content))


def kept_run(kept, profile, made, given=None, ended="2026-11-26T12:00:00Z"):
    run = {"notebook": "00_toy", "profile": profile, "given": given or {}, "ended": ended, "seconds": 1, "command": ""}
    run |= {"parameters": {}, "made_with": {}, "measures": [], "claims": [claim.to_dict() for claim in made]}
    folder = full_runs.folder_of(kept, profile)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / full_runs.file_name(run)).write_text(json.dumps(run))


def test_the_command_compares_what_is_there_and_names_what_is_not(tmp_path, capsys):
    finished(tmp_path / "reports", "quick", QUICK)
    kept_run(tmp_path / "kept", "full", FULL)
    assert agreement.command(None, tmp_path / "reports", tmp_path / "kept", 120) == 0
    said = capsys.readouterr().out
    assert [line.split() for line in said.splitlines() if line.startswith("quick and full")] == [
        ["quick", "and", "full", "5", "3", "2", "67", "%"]
    ]
    assert "quick: holds" in said and "full: contradicted" in said
    assert "no finished run of profile photos: `python -m course run --profile photos` makes one" in said


def test_photos_are_read_from_the_reports_first_then_from_the_kept_runs(tmp_path):
    where = tmp_path / "reports", tmp_path / "kept"
    kept_run(tmp_path / "kept", "photos", claims(a="contradicted", b="holds"))
    assert agreement.claims_of_profile("photos", *where) == claims(a="contradicted", b="holds")
    finished(tmp_path / "reports", "photos", claims(a="holds"))
    assert agreement.claims_of_profile("photos", *where) == claims(a="holds", b="holds")


def test_a_run_that_failed_does_not_count(tmp_path):
    finished(tmp_path / "reports", "quick", QUICK, status="failed")
    assert agreement.claims_of_profile("quick", tmp_path / "reports", tmp_path / "kept") == []


def test_a_kept_run_of_the_profile_itself_counts_before_one_with_other_parameters(tmp_path):
    kept_run(tmp_path, "full", claims(a="holds"))
    kept_run(tmp_path, "full", claims(a="contradicted", b="holds"), {"n": 3}, "2026-11-27T12:00:00Z")
    assert agreement.claims_of_profile("full", tmp_path, tmp_path) == claims(a="holds", b="holds")


def test_one_profile_alone_is_refused(tmp_path):
    kept_run(tmp_path / "kept", "full", FULL)
    with pytest.raises(UsageError, match="expected finished runs of two profiles, found only full"):
        agreement.command(None, tmp_path / "reports", tmp_path / "kept")
