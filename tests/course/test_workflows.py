"""The workflows are valid, ask for little, and run what also runs here: make targets."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import install

ROOT = Path(__file__).resolve().parent.parent.parent
PATHS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in PATHS}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
JOBS = [(stem, name) for stem, workflow in WORKFLOWS.items() for name in workflow["jobs"]]

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
needs_current = pytest.mark.skipif(
    not install.is_current(), reason="the tests run outside of .venv, or it is out of date"
)


def triggers(workflow):
    return workflow[True]  # YAML 1.1 reads the key `on` as yes


def jobs():
    for stem, name in JOBS:
        yield WORKFLOWS[stem]["jobs"][name]


def steps():
    for job in jobs():
        yield from job["steps"]


def validate(*paths):
    """What the JSON schema of GitHub's workflows, which the package carries with it, says of these files."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *map(str, paths),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def make(*arguments, **environment):
    """Run make as from a shell of its own: where `make test` runs this, its options would go on to the inner make."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "ARGS"))}
    return subprocess.run(
        ["make", "--silent", f"PYTHON={sys.executable}", *arguments],
        cwd=ROOT, env={**outside, **environment}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_the_workflows_fit_the_schema():
    run = validate(*PATHS)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
def test_the_schema_refuses_a_key_that_does_not_exist(tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text(PATHS[0].read_text(encoding="utf-8").replace("timeout-minutes", "timeout-hours", 1))
    run = validate(broken)
    assert run.returncode == 1 and "timeout-hours" in run.stdout


def test_there_is_one_for_pull_requests_one_for_the_full_course_one_for_newest_versions_and_one_for_the_site():
    assert WORKFLOWS.keys() == {"tests", "full", "newest", "pages"}
    assert "pull_request" in triggers(WORKFLOWS["tests"])
    for stem in ("full", "newest"):
        assert triggers(WORKFLOWS[stem]).keys() == {"workflow_dispatch", "schedule"}
        ((cron,),) = [entry.values() for entry in triggers(WORKFLOWS[stem])["schedule"]]
        assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", cron)  # once a week


@pytest.mark.parametrize("stem", WORKFLOWS)
def test_a_workflow_may_only_read_and_runs_once_at_a_time(stem):
    assert WORKFLOWS[stem]["permissions"] == {"contents": "read"}
    assert WORKFLOWS[stem]["concurrency"]["group"]


@pytest.mark.parametrize(("stem", "name"), JOBS)
def test_a_job_ends_in_time_and_asks_for_no_more_than_to_write_issues_or_pages(stem, name):
    job = WORKFLOWS[stem]["jobs"][name]
    assert 0 < job["timeout-minutes"] <= 900
    allowed = {
        ("newest", "issue"): {"contents": "read", "issues": "write"},
        ("pages", "publish"): {"pages": "write", "id-token": "write"},
    }
    assert job.get("permissions") == allowed.get((stem, name))


def test_actions_are_githubs_own_at_a_stated_version_and_keep_no_credentials():
    used = [step for step in steps() if "uses" in step]
    for step in used:
        assert re.fullmatch(r"actions/[a-z-]+(/[a-z]+)?@v\d+", step["uses"]), step["uses"]
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    versions = {step["uses"] for step in used}
    assert len(versions) == len({use.split("@")[0] for use in versions}), "one action in two versions"


def test_what_runs_is_a_make_target():
    called = set()
    for step in steps():
        for line in step.get("run", "").splitlines():
            if line == 'echo "names=$names" >> "$GITHUB_OUTPUT"':
                continue
            target = re.fullmatch(r'(?:names=\$\()?make (?:--silent )?([a-z-]+)( [A-Z]+="[^"`$]*")?\)?', line)
            assert target, line
            called.add(target[1])
    assert called <= TARGETS
    assert called >= {"test-all", "course", "check", "lint", "full", "matrix", "results", "newest", "breakage", "site"}


def test_no_expression_is_pasted_into_a_shell_and_no_secret_is_used():
    for step in steps():
        assert "${{" not in step.get("run", "")
    for path in PATHS:
        text = path.read_text(encoding="utf-8")
        assert "secrets" not in text
        assert text.count("github.token") == (path.stem == "newest")


@pytest.mark.parametrize(
    ("stem", "name"), [("tests", "tests"), ("tests", "course"), ("full", "full"), ("newest", "newest")]
)
def test_reports_are_kept_also_of_a_run_that_failed(stem, name):
    (upload,) = [s for s in WORKFLOWS[stem]["jobs"][name]["steps"] if "upload-artifact" in s.get("uses", "")]
    assert upload["if"] in ("${{ !cancelled() }}", "${{ always() }}")
    assert upload["with"]["path"] == "reports/"


@needs_make
@needs_current
def test_the_matrix_holds_every_notebook():
    names = json.loads(make("matrix").stdout)
    assert names == sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    assert json.loads(make("matrix", ONLY="2 01").stdout) == names[1:3]
    full = WORKFLOWS["full"]["jobs"]
    assert full["full"]["strategy"]["matrix"] == {"notebook": "${{ fromJSON(needs.notebooks.outputs.names) }}"}
    assert full["full"]["strategy"]["fail-fast"] is False
    assert full["notebooks"]["outputs"] == {"names": "${{ steps.list.outputs.names }}"}


def test_the_site_is_published_as_it_was_written_and_only_where_that_is_wanted():
    site, publish = WORKFLOWS["pages"]["jobs"].values()
    written = re.search(r'ROOT / "(_site)"', (ROOT / "course" / "__main__.py").read_text("utf-8"))[1]
    assert site["steps"][-1]["with"]["path"] == written
    assert publish["needs"] == "site" and publish["if"] == "${{ vars.PAGES == 'true' }}"


def test_the_gpu_runner_is_named_in_one_place():
    named = [job["runs-on"] for job in jobs() if job["runs-on"] != "ubuntu-latest"]
    assert named == ["""${{ fromJSON(vars.GPU_RUNNER || '["self-hosted", "gpu"]') }}"""]


def test_what_is_restored_is_what_is_saved():
    cached = [step for step in WORKFLOWS["full"]["jobs"]["full"]["steps"] if "cache" in step.get("uses", "")]
    restored, saved = cached
    assert restored["with"]["path"] == saved["with"]["path"]
    assert restored["with"]["key"] == saved["with"]["key"]
    assert all(restored["with"]["key"].startswith(key) for key in restored["with"]["restore-keys"].splitlines())


@needs_make
@pytest.mark.parametrize(
    ("only", "words"), [("04 05", "--profile full --resume --only 04 05 -p n=1"), ("", "--resume -p n=1")]
)
def test_make_full_hands_notebooks_and_arguments_to_the_runner(only, words):
    said = make("--dry-run", "full", ONLY=only, ARGS="-p n=1").stdout
    assert " ".join(said.split()).endswith(words)


@needs_make
@pytest.mark.parametrize(
    ("target", "installs", "runs"),
    [
        ("course", [], "-m course run --profile quick"),
        ("check", [], "-m course check"),
        ("test", ["dev"], '-m pytest -n 2 --dist loadgroup -m "not end_to_end"'),
        ("test-all", ["dev"], "-m pytest -n 2 --dist loadgroup"),
        ("test-fast", ["dev"], '-m pytest -n 2 --dist loadgroup -m "not slow"'),
        ("full", ["full"], "-m course run --profile full --resume"),
        ("photos", [], "-m course data fetch clothing-photos .* -m course run --profile photos"),
        ("lab", [], "-m course catalogue .* -m jupyterlab"),
        ("results", [], "-m course publish"),
        ("agreement", [], "-m course agreement"),
        ("site", ["site"], "-m course site"),
        ("figures", [], "-m course figures"),
        ("notebooks", [], "-m course notebooks"),
        ("bench", ["dev"], "-m pytest benchmarks"),
        ("lint", ["dev"], "-m ruff check"),
    ],
)
def test_a_target_installs_what_it_needs_and_no_more_before_it_runs(target, installs, runs):
    said = " ".join(make("--dry-run", target).stdout.split())
    assert re.findall(r"install\.py(?: (\w+))?", said.partition("-m ")[0]) == ["", *installs]
    assert re.search(runs, said)


@needs_make
@pytest.mark.skipif(os.name == "nt", reason="a shell script")
@pytest.mark.parametrize(("open_issue", "act"), [("", "issue create --title"), ("17", "issue comment 17 --body")])
def test_breakage_opens_an_issue_or_adds_to_the_open_one(tmp_path, open_issue, act):
    log = tmp_path / "log"
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\necho "$@" >> "{log}"\ncase "$2" in list) echo "{open_issue}";; esac\n')
    gh.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = make("breakage", "TITLE=It broke `now`", PATH=path, URL="https://example.org/runs/1")
    assert run.returncode == 0, run.stderr
    said = log.read_text()
    assert act in said and "https://example.org/runs/1" in said
    assert ("issue create --title It broke `now` --label" in said) != ("issue comment" in said)


@needs_make
@pytest.mark.skipif(os.name == "nt", reason="a shell script")
@pytest.mark.parametrize("breaks", ["course", "pytest", "nothing"])
def test_newest_installs_without_constraints_and_runs_the_tests_whatever_the_course_did(tmp_path, breaks):
    log = tmp_path / "log"
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho "$@" >> "{log}"\n'
        'case "$*" in *"-m venv"*) mkdir -p .venv-newest/bin && cp "$0" .venv-newest/bin/python;; '
        f'"-m {breaks}"*) exit 1;; esac\n'
    )
    python.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    run = subprocess.run(
        ["make", "--silent", f"PYTHON={python}", "newest"], cwd=tmp_path, capture_output=True, text=True
    )
    calls = log.read_text()
    assert (run.returncode == 0) == (breaks == "nothing"), run.stderr
    assert "-m pip install --no-input --upgrade -r requirements.txt -e .[dev]" in calls and "constraints" not in calls
    assert "-m course run --profile quick" in calls and "-m pytest" in calls
