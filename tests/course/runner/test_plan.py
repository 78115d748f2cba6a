"""Which notebooks are run, and with which parameters."""

import pytest
from toys import call, toy, toys

from course import UsageError
from course.runner import plan


def planned(folder, *given, profile="quick"):
    (notebook,) = plan.plan(plan.find(folder), plan.read_profiles(folder), profile, list(given))
    return notebook


def test_a_profile_changes_only_what_it_names(toy_folder):
    assert planned(toy_folder).changed == {}
    assert planned(toy_folder, profile="full").changed == {"profile": "full", "n": 30, "share": 1.0}


def test_text_needs_no_quotes_and_numbers_fit_their_parameter(toy_folder):
    given = planned(toy_folder, "dataset=scenes15", "share=1", "sizes=[4]", "fast=false").given
    assert given == {"dataset": "scenes15", "share": 1.0, "sizes": [4], "fast": False}
    assert isinstance(given["share"], float)


def test_a_dataset_folder_is_found_from_the_notebooks_folder_too(toy_folder, monkeypatch):
    monkeypatch.chdir(toy_folder)
    assert planned(toy_folder, "dataset=./photos").given["dataset"] == str(toy_folder / "photos")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("words=64", "unknown parameter words; known are profile, dataset, n, share, sizes, fast"),
        ("n=2.5", "n: expected int as in 3, got 2.5"),
        ("n=many", "n: expected a TOML literal such as 1,"),
        ("data=../x", "unknown parameter data; known are profile, dataset, n, share, sizes, fast"),
        ("n=true", "n: expected int as in 3, got True"),
        ("sizes=['a', 'b']", "sizes: expected int as in [1, 2], got ['a', 'b'], in which 'a' is of another type"),
        ("sizes=[1, 2.5]", "in which 2.5 is of another type"),
        ("fast=1", "fast: expected bool as in True, got 1"),
        ("n", "-p n: expected name=value"),
        ("profile=full", "set by --profile"),
    ],
)
def test_a_wrong_parameter_is_an_error_that_says_what_was_expected(toy_folder, given, message):
    status, said = call("run", "--notebooks", toy_folder, "--reports", toy_folder / "reports", "-p", given)
    assert status == 2 and message in said


def test_an_unknown_parameter_in_profiles_toml_is_the_notebooks_problem(toy_folder):
    toys(toy_folder, ["00_good"], extra="[00_good.full]\nwords = 3")
    assert "[00_good.full] of profiles.toml: unknown parameter words" in planned(toy_folder, profile="full").problem


def test_an_unknown_profile_is_an_error_that_lists_the_known(toy_folder):
    status, said = call("run", "--notebooks", toy_folder, "--reports", toy_folder / "reports", "--profile", "quikc")
    assert status == 2 and "expected one of full, quick" in said


def test_notebooks_are_chosen_by_number_or_name(toy_folder):
    toy(toy_folder, "01_other", ["1"])
    paths = plan.find(toy_folder)
    assert [path.stem for path in plan.select(paths, ["1"])] == ["01_other"]
    assert [path.stem for path in plan.select(paths, ["01_other", "00"])] == ["00_good", "01_other"]
    assert plan.select(paths, None) == paths
    assert [path.stem for path in plan.select(paths, ["notebooks/01_other.ipynb"])] == ["01_other"]
    for word in ("7", "", "/", ".", ".ipynb"):
        with pytest.raises(UsageError, match=f"--only {word!r}: .* name of 00_good, 01_other"):
            plan.select(paths, ["1", word])
