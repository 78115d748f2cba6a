"""The command line: what it refuses, in one sentence and with status 2, and what it shows."""

import json

import pytest
from toys import call, toy, toys

from course.runner import plan


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("qiuck", "--profile qiuck: no notebook has it; expected one of full, quick"),
        ("../x", "--profile ../x: no notebook has it"),
        ("quick", "no results of any notebook in {place}; run `python -m course run --profile quick` first"),
        ("full", "no results of any notebook in {place}; run `python -m course run --profile full` first"),
    ],
)
def test_results_of_nothing_are_an_error_and_leave_no_folder(toy_folder, profile, message):
    status, said = call("results", "--notebooks", toy_folder, "--reports", toy_folder / "typo", "--profile", profile)
    assert status == 2 and message.format(place=toy_folder / "typo" / "results" / profile) in said
    assert call("check", "--notebooks", toy_folder, "--reports", toy_folder / "typo")[0] == 2
    assert not (toy_folder / "typo").exists()


def test_results_of_a_notebook_that_was_not_run_are_an_error(finished):
    folder, where = finished
    toy(folder, "01_new", ["1"])
    toys(folder, ["00_good", "01_new"])
    status, said = call("results", "--only", "1", *where)
    assert status == 2 and "no results of these notebooks in" in said
    status, said = call("results", *where)
    assert status == 0 and "What was measured (profile quick)" in said and "What was claimed" in said


def test_a_file_where_a_folder_of_reports_should_be_is_an_error(toy_folder):
    where = ("--notebooks", toy_folder, "--reports", toy_folder / "00_good.ipynb")
    for command in ("run", "notebooks", "results", "check", "expect"):
        (toy_folder / "expected.toml").write_text("")
        status, said = call(command, *where)
        assert status == 2 and said.startswith("error: "), command
        assert command in ("check", "expect") or "00_good.ipynb" in said


def test_list_names_a_damaged_notebook(toy_folder):
    (toy_folder / "01_damaged.ipynb").write_text("{")
    status, said = call("list", "--notebooks", toy_folder)
    assert status == 2 and f"error: {toy_folder / '01_damaged.ipynb'}: 01_damaged.ipynb is not a notebook" in said


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
    assert status == 2 and said.startswith("error: ") and str(path) in said


def test_an_error_that_names_no_file_is_not_taken_for_a_wrong_command(toy_folder, monkeypatch):
    def breaks(*_):
        raise BrokenPipeError

    monkeypatch.setattr(plan, "read_toml", breaks)
    with pytest.raises(BrokenPipeError):
        call("list", "--notebooks", toy_folder)


def test_list_shows_question_minutes_and_parameters(toy_folder):
    status, said = call("list", "--notebooks", toy_folder)
    assert status == 0
    assert "00_good  What is a toy?  (about 1 min)" in said
    assert "full   n = 30, share = 1" in said


def test_list_as_json_names_the_notebooks_alone(toy_folder):
    toy(toy_folder, "01_other", ["1"])
    status, said = call("list", "--notebooks", toy_folder, "--json")
    assert (status, json.loads(said)) == (0, ["00_good", "01_other"])
    status, said = call("list", "--notebooks", toy_folder, "--json", "--only", "1", "00")
    assert (status, json.loads(said)) == (0, ["00_good", "01_other"]), "several words after one --only"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "--jobs: expected a positive integer, got 0"),
        (["--jobs", "two"], "--jobs: expected a positive integer, got two"),
        (["--timeout", "0"], "--timeout: expected a positive number, got 0"),
        (["--timeout", "-1"], "--timeout: expected a positive number, got -1"),
        (["--timeout", "nan"], "--timeout: expected a positive number, got nan"),
        (["--timeout", "inf"], "--timeout: expected a positive number, got inf"),
        (["--only"], "'--only' requires an argument"),
        (["--profil", "quick"], "No such option: --profil"),
        (["quick"], "unexpected extra argument"),
    ],
)
def test_a_wrong_option_is_one_sentence(toy_folder, arguments, message):
    status, said = call("run", "--notebooks", toy_folder, *arguments)
    assert status == 2 and said.startswith("error: ") and said.count("\n") == 1 and message in said


def test_no_command_shows_the_commands_and_is_no_success():
    status, said = call()
    assert status == 2 and "Commands" in said
    assert call("--help") == (0, said)


def test_every_command_has_help():
    commands = "run list check expect notebooks results copy catalogue data publish agreement".split()
    said = call("--help")[1]
    for command in commands:
        assert f" {command} " in said
        status, own = call(command, "--help")
        assert status == 0 and f"Usage: python -m course {command}" in own, command
