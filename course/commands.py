"""What the commands do that need no room of their own: list, run, notebooks, results, copy. See course/__main__.py.

Each returns the exit status: 0, or 1 if a notebook failed. A command that cannot be carried out is a UsageError.
"""

import json
import shutil
import sys
from pathlib import Path

from course import UsageError, notebook_files
from course.files import write_text
from course.runner.folder import ReportFolder
from course.runner.plan import find, plan, read_profiles, require_profile, select, with_profile
from course.runner.run import Options, run_notebooks
from course.site import address, openings


def list_notebooks(folder: Path, only: list[str] | None, as_json: bool) -> int:
    """Their questions, minutes and the parameters of each profile; or their names alone, as a JSON list."""
    profiles = read_profiles(folder)
    paths = select(find(folder), only)
    if as_json:
        print(json.dumps([path.stem for path in paths]))
        return 0
    for path in paths:
        try:
            node = notebook_files.read(path)
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
        minutes = notebook_files.minutes(node)
        print(f"{path.stem}  {notebook_files.question(node)}" + (f"  (about {minutes:g} min)" if minutes else ""))
        for profile, table in profiles.get(path.stem, {}).items():
            print(f"    {profile:<6} " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in table.items()))
    return 0


def run(options: Options, only: list[str] | None, given: list[str]) -> int:
    """Run notebooks headlessly, then show what was measured and which claims held."""
    profiles = read_profiles(options.notebooks)
    chosen = select(find(options.notebooks), only)
    there = with_profile(chosen, profiles, options.profile)
    without = ", ".join(path.stem for path in chosen if path not in there)
    if without and only:
        raise UsageError(f"profiles.toml has no table of profile {options.profile} for {without}")
    if without:
        print(f"not in profile {options.profile}: {without}", file=sys.stderr)
    notebooks = plan(there, profiles, options.profile, given)
    folder, states = run_notebooks(options, notebooks)
    _print_tables(folder, [notebook.name for notebook in notebooks])
    return _print_verdict(states)


def write_outputs(options: Options, only: list[str] | None) -> int:
    """Run profile quick and write the outputs into the notebooks themselves, and their links to each other."""
    profiles = read_profiles(options.notebooks)
    notebooks = plan(select(find(options.notebooks), only), profiles, "quick", [])
    for notebook in notebooks:
        if notebook.changed:
            names = ", ".join(notebook.changed)
            raise UsageError(f"{notebook.name}: its parameters cell differs from profile quick in {names}")
    folder, states = run_notebooks(options, notebooks)
    ran = [notebook for notebook, state in zip(notebooks, states, strict=True) if state["status"] == "ok"]
    written = [_write_outputs(notebook.path, folder.folder / notebook.path.name) for notebook in ran]
    if (options.notebooks / openings.MAP).is_file():  # titles may have changed, on which the links depend
        openings.command(options.notebooks, address.stated())
    return _print_verdict(states) or int(not all(written))


def _write_outputs(path, executed):
    """Whether the outputs of the notebook `executed` could be put into the one at `path`."""
    source = notebook_files.read(path)
    node, left_out = notebook_files.with_outputs(source, notebook_files.read(executed), "quick")
    problems = notebook_files.commit_problems(node)
    for note in left_out:
        print(f"left out of {path.stem}: {note}")
    for problem in problems:
        print(f"NOT WRITTEN {path.stem}: {problem}")
    if not problems:
        write_text(path, notebook_files.to_text(node))
        print(f"written  {path}")
    return not problems


def show_results(notebooks: Path, reports: Path, profile: str, only: list[str] | None) -> int:
    """Show again what was measured and which claims held."""
    names = [path.stem for path in select(find(notebooks), only)]
    require_profile(read_profiles(notebooks), profile)
    folder = ReportFolder(reports, profile)
    if not folder.results.is_dir() or not _print_tables(folder, names):
        whose = "these notebooks" if only else "any notebook"
        raise UsageError(
            f"no results of {whose} in {reports / 'results' / profile}; "
            f"run `python -m course run --profile {profile}` first"
        )
    return 0


def _print_tables(folder, names):
    """Print both tables of these notebooks; False where there is nothing in them."""
    from course import report

    measures, claims = ([each for each in found if each.notebook in names] for found in folder.tables())
    width = terminal_width()
    if len(measures):
        print(f"\nWhat was measured (profile {folder.profile})\n" + report.measures_text(measures, width))
    if len(claims):
        print("\nWhat was claimed\n" + report.claims_text(claims, width, colour=sys.stdout.isatty()))
    return bool(len(measures) or len(claims))


def terminal_width() -> int:
    """Columns of the terminal, between 60 and 160; 110 where there is none."""
    return max(60, min(160, shutil.get_terminal_size((110, 40)).columns))


def _print_verdict(states):
    failed = [state for state in states if state["status"] != "ok"]
    print(f"\n{len(states) - len(failed)} of {len(states)} notebooks ran to their end")
    for state in failed:
        print(f"FAILED {state['name']}: {state['failure']['text']}")
    return 1 if failed else 0
