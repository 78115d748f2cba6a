"""What finished runs left behind, as the Measure and Claim of lib/results.py.

reports/results/<profile>/<notebook>.json   written by the notebook while it runs
reports/<profile>/state/<notebook>.json     written by the runner: status, seconds, parameters, digest of the results
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from lib import results
from lib.results import Claim, Measure

__all__ = ["LastRun", "claims_of", "last_run", "measures_of", "noted"]


class LastRun(NamedTuple):
    """The last run of one notebook, which ended well."""

    name: str
    state: dict  # what the runner noted, with "ended" as text in ISO format
    made_with: dict
    measures: list[Measure]
    claims: list[Claim]


def last_run(reports: str | Path, profile: str, name: str) -> LastRun:
    """The last run of notebook `name`; ValueError where it did not end well or its results are not its own."""
    state_path = Path(reports) / profile / "state" / f"{name}.json"
    result_path = Path(reports) / "results" / profile / f"{name}.json"
    state = _read(state_path) if state_path.is_file() else {}
    if state.get("status") != "ok":
        command = f"python -m course run --profile {profile} --only {name[:2]}"
        raise ValueError(f"{name} has not run to its end ({state.get('status', 'never run')}); run `{command}` first")
    if not result_path.is_file():
        raise ValueError(f"the results of {name} are missing: {result_path.name}; run it again")
    digest = state.get("results_digest")
    if digest and hashlib.sha256(result_path.read_bytes()).hexdigest() != digest:
        raise ValueError(f"the results of {name} were written anew outside of its run; run it again")
    result = results.read(result_path)
    if result.notebook != name or state.get("name") != name:
        raise ValueError(f"the results are of {result.notebook!r}, the state is of {state.get('name')!r}")
    if result.profile != profile:
        raise ValueError(f"the results of {name} are of profile {result.profile!r}, expected {profile!r}")
    stamp = datetime.fromtimestamp(state_path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {"ended": stamp, "parameters": {}, "seconds": 0} | state | {"given": state.get("given") or {}}
    return LastRun(name, state, result.made_with, result.measures, result.claims)


def _read(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds a {type(content).__name__}, expected an object")
    return content


def measures_of(rows) -> list[Measure]:
    """Measure objects from themselves, from dicts, or from the rows of a table whose empty cells are NaN."""
    return [row if isinstance(row, Measure) else Measure.from_dict(_plain(row)) for row in _rows(rows)]


def claims_of(rows) -> list[Claim]:
    """Claim objects from themselves, from dicts, or from the rows of a table whose empty cells are NaN."""
    return [row if isinstance(row, Claim) else Claim.from_dict(_plain(row)) for row in _rows(rows)]


def _rows(rows):
    return rows.to_dict("records") if hasattr(rows, "to_dict") else rows


def _plain(row):
    """Python values, without empty cells; whole numbers that a table turned into floats are whole again."""
    plain = {key: item.item() if hasattr(item, "item") else item for key, item in row.items()}
    plain = {key: item for key, item in plain.items() if item is not None and str(item) not in {"nan", "<NA>", "NaT"}}
    answers = {"value", "low", "high", "p_value", "margin"}
    return {
        key: int(item) if isinstance(item, float) and item.is_integer() and key not in answers else item
        for key, item in plain.items()
    }


def noted(reports: str | Path, profile: str) -> tuple[list[Measure], list[Claim]]:
    """Measures and claims of all notebooks of `profile` under the reports folder, by notebook, in the order noted.

    ValueError where there are none, and for a file that is not one of results: it is named.
    """
    place = Path(reports) / "results" / profile
    if not place.is_dir():
        known = sorted(path.name for path in place.parent.glob("*") if path.is_dir())
        raise ValueError(f"no results of profile {profile!r} in {place.parent}; there: {', '.join(known) or 'none'}")
    measures, claims = [], []
    for path in sorted(place.glob("*.json")):
        try:
            record = results.read(path)
        except FileNotFoundError:  # gone since it was listed: its notebook has just been started anew
            continue
        measures, claims = measures + record.measures, claims + record.claims
    return measures, claims
