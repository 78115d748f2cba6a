"""Which notebooks are run, and with which parameters: profiles.toml, then what the command line sets.

find, select     the numbered notebooks of a folder, and those that --only names
read_profiles    notebooks/profiles.toml
plan             each notebook with the parameters of a profile, its question and what keeps it from running
"""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from course import UsageError, notebook_files

EVERY_NOTEBOOK_HAS = ("quick", "full", "smoke")  # a notebook may lack other profiles, and is then not run in them


@dataclass
class Notebook:
    """One notebook of the course and what it is to be run with."""

    path: Path
    question: str = ""
    minutes: float | None = None
    parameters: dict = field(default_factory=dict)  # all of them, as they will be
    changed: dict = field(default_factory=dict)  # those that differ from the literals in the notebook
    given: dict = field(default_factory=dict)  # those set on the command line
    problem: str | None = None  # why it cannot run

    @property
    def name(self) -> str:
        return self.path.stem


def find(folder: Path) -> list[Path]:
    """The numbered notebooks of `folder`, in order."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise UsageError(f"no notebook named NN_*.ipynb in {folder}")
    return paths


def select(paths: list[Path], only: list[str] | None) -> list[Path]:
    """Those named in `only` by number (1, 01) or name; all without it."""
    chosen = []
    for given in only or []:
        word = Path(given).name.removesuffix(".ipynb")
        hits = [path for path in paths if word and (path.stem == word or path.stem[:2] == word.zfill(2))]
        if not hits:
            names = ", ".join(path.stem for path in paths)
            raise UsageError(f"--only {given!r}: no such notebook; expected a number or name of {names}")
        chosen += hits
    return sorted(set(chosen)) if only else paths


def read_profiles(folder: Path) -> dict:
    """notebooks/profiles.toml: {notebook: {profile: {parameter: value}}}."""
    path = folder / "profiles.toml"
    if not path.is_file():
        raise UsageError(f"{path} is missing: it holds the parameters of each notebook in each profile")
    return read_toml(path)


def read_toml(path: Path) -> dict:
    """The tables of a TOML file; UsageError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not TOML, or not text
        raise UsageError(f"{path} cannot be read: {error}") from error


def require_profile(profiles: dict, profile: str) -> None:
    """UsageError unless a notebook has it."""
    known = sorted({name for tables in profiles.values() for name in tables})
    if profile not in known:
        raise UsageError(f"--profile {profile}: no notebook has it; expected one of {', '.join(known) or '(none)'}")


def with_profile(paths: list[Path], profiles: dict, profile: str) -> list[Path]:
    """The notebooks that are run in `profile`: all, or those with a table of a profile that not every notebook has."""
    require_profile(profiles, profile)
    if profile in EVERY_NOTEBOOK_HAS:
        return paths
    return [path for path in paths if profile in profiles.get(path.stem, {})]


def plan(paths: list[Path], profiles: dict, profile: str, given: list[str]) -> list[Notebook]:
    """Each notebook with the parameters of `profile`, then those `given` as name=value; UsageError if wrong."""
    require_profile(profiles, profile)
    return [_planned(path, profiles.get(path.stem, {}), profile, given) for path in paths]


def _planned(path, tables, profile, given):
    """One notebook; what is wrong with its file or its table is its `problem`."""
    notebook = Notebook(path)
    try:
        node = notebook_files.read(path)
        notebook.question, notebook.minutes = notebook_files.question(node), notebook_files.minutes(node)
        literals = notebook_files.parameters(node)
        if profile not in tables:
            raise ValueError(f"profiles.toml has no table [{path.stem}.{profile}]")
        if "profile" not in literals:
            raise ValueError("its parameters cell does not set `profile`")
        where = f"[{path.stem}.{profile}] of profiles.toml"
        table = {**tables[profile], "profile": profile}
        wanted = {name: notebook_files.coerced(name, value, literals, where) for name, value in table.items()}
    except (ValueError, SyntaxError) as error:
        notebook.problem = str(error)
        return notebook
    notebook.given = dict(_given(word, literals, path.stem) for word in given)
    notebook.parameters = {**literals, **wanted, **notebook.given}
    notebook.changed = {name: value for name, value in notebook.parameters.items() if value != literals[name]}
    return notebook


def _given(word, literals, notebook):
    """Name and value of a parameter given as name=value."""
    name, equals, text = word.partition("=")
    if not equals:
        raise UsageError(f"-p {word}: expected name=value")
    if name == "profile":
        raise UsageError(f"-p {word}: the profile is set by --profile")
    where = f"-p {word} for {notebook}"
    try:
        value = notebook_files.parse(text, literals[name]) if name in literals else text  # unknown: said by `coerced`
    except ValueError as error:
        raise UsageError(f"{where}: {name}: {error}") from error
    try:
        value = notebook_files.coerced(name, value, literals, where)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if name == "dataset" and ("/" in value or os.sep in value or value.startswith("~")):
        value = str(Path(value).expanduser().resolve())  # notebooks run in another folder than this command
    return name, value
