"""Finished runs on real collections, kept: out of a folder of reports, which git ignores, into docs/results.

    docs/results/<run>.json             of profile full: numbers and words, no pictures
    docs/results/<profile>/<run>.json   of another profile, such as photos

A run with the parameters of its profile is kept as `<notebook>.json`, one with others set on the command line beside
it as `<notebook>@<name>=<value>,....json`.
"""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

from course import records
from course.files import write_text

__all__ = ["file_name", "folder_of", "keep_script", "read_runs", "record", "take_over"]

# at least two folders deep, so that "1 /s" and "either/or" stay
MACHINE_PATH = re.compile(r"(?<![\w.:/\\])(?:~|[A-Za-z]:)?(?:[\\/][\w.@+=-]+){2,}[\\/]?")

OUTER = r'^\[|\]$|[\s"]'  # of a value that is part of a file name: the brackets of a list, spaces and quotes


def record(run: records.LastRun, profile: str = "full") -> dict:
    """What is kept of one finished run, without any path of the machine.

    >>> state = {"ended": "2030-01-02T03:04:05Z", "seconds": 61.23, "given": {"n": 3}, "parameters": {"n": 3}}
    >>> kept = record(records.LastRun("00_toy", state, {}, [], []))
    >>> kept["command"], kept["seconds"]
    ('python -m course run --profile full --only 00 -p n=3', 61.2)
    """
    given = run.state["given"]
    words = ["python -m course run", f"--profile {profile}", f"--only {run.name[:2]}"]
    words += [f"-p {_word(f'{key}={_toml(value)}')}" for key, value in given.items()]
    kept = {
        "notebook": run.name,
        "profile": profile,
        "ended": run.state["ended"],
        "seconds": round(float(run.state["seconds"]), 1),
        "command": " ".join(words),
        "given": given,
        "parameters": run.state["parameters"],
        "made_with": run.made_with,
        "measures": [measure.to_dict() for measure in run.measures],
        "claims": [claim.to_dict() for claim in run.claims],
    }
    return _without_paths(kept)


def file_name(run: dict) -> str:
    """Of the file of a run: its notebook, and the parameters that were given beside the profile's.

    >>> file_name({"notebook": "08_cross_modal", "given": {}})
    '08_cross_modal.json'
    >>> file_name({"notebook": "08_cross_modal", "given": {"dataset": "flickr30k", "dimensions": [256, 512]}})
    '08_cross_modal@dataset=flickr30k,dimensions=256,512.json'
    """
    given = ",".join(f"{key}={_toml(value)}" for key, value in sorted(run["given"].items()))
    shown = ",".join(f"{key}={re.sub(OUTER, '', _toml(value))}" for key, value in sorted(run["given"].items()))
    plain = re.sub(r"[^\w.=,-]+", "-", shown)
    if len(plain) > 80:
        plain = f"{plain[:60]}-{hashlib.sha256(given.encode()).hexdigest()[:12]}"
    return f"{run['notebook']}@{plain}.json" if plain else f"{run['notebook']}.json"


def folder_of(kept: str | Path, profile: str) -> Path:
    """Where runs of a profile are kept: full in `kept` itself, others in a folder below."""
    return Path(kept) if profile == "full" else Path(kept) / profile


def take_over(reports: str | Path, kept: str | Path, profile: str = "full", only: list[str] | None = None) -> list[str]:
    """Keep the finished runs of `profile` from a folder of reports below `kept`; in words, what became of each.

    A newer run replaces an older one of the same parameters; an older, failed, stopped or half-written one never
    replaces anything. `only` names the notebooks to look at. A folder without reports gives an empty list.
    """
    said = []
    for state_path in sorted((Path(reports) / profile / "state").glob("*.json")):
        name = state_path.stem
        if only is not None and name not in only:
            continue
        try:
            run = record(records.last_run(reports, profile, name), profile)
        except (OSError, ValueError, TypeError, KeyError) as error:
            said.append(f"left out {name}: {_without_paths(str(error))}")
            continue
        target = folder_of(kept, profile) / file_name(run)
        known = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else None
        if known is not None and known["ended"] >= run["ended"]:
            why = "the same run" if known == run else f"the one there is of {known['ended']}"
            said.append(f"kept     {target.name}: {why}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, json.dumps(run, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        said.append(f"{'replaced' if known else 'new     '} {target.name}")
    return said


def read_runs(kept: str | Path, profile: str = "full") -> list[dict]:
    """The kept runs of a profile, by notebook: those with the profile's own parameters first, then the newest.

    Measures and claims are objects. A file that is not one of ours is a ValueError that names it; a folder that is not
    there holds no runs.
    """
    runs = []
    for path in sorted(folder_of(kept, profile).glob("*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            if file_name(run) != path.name:
                raise ValueError(f"it holds the run {file_name(run)}")
            for key in ("ended", "seconds", "command", "parameters", "made_with"):
                run[key]
            run["measures"] = records.measures_of(run["measures"])
            run["claims"] = records.claims_of(run["claims"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path.name} is not the file of a run ({type(error).__name__}: {error})") from error
        runs.append(run)
    newest_first = sorted(runs, key=lambda run: run["ended"], reverse=True)
    return sorted(newest_first, key=lambda run: (run["notebook"], bool(run["given"])))


def _without_paths(value):
    """The same with each absolute path replaced by its last part.

    >>> _without_paths({"dataset": "/home/me/photos/trip", "say": ["see https://a.org/b/c", "image/text, 1 / 2"]})
    {'dataset': 'trip', 'say': ['see https://a.org/b/c', 'image/text, 1 / 2']}
    """
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    if not isinstance(value, str):
        return value
    return MACHINE_PATH.sub(lambda match: re.split(r"[\\/]", match[0].rstrip("\\/"))[-1], value)


def _toml(value):
    """A value as one writes it after `-p name=`: text without quotes, all else as in TOML.

    >>> _toml("scenes15"), _toml([1, "two"]), _toml({"fine-tuned": 0.5, "also": True})
    ('scenes15', '[1, "two"]', '{fine-tuned = 0.5, also = true}')
    """
    return value if isinstance(value, str) else _literal(value)


def _literal(value):
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        names = (key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key) for key in value)
        return (
            f"{{{', '.join(f'{name} = {_literal(item)}' for name, item in zip(names, value.values(), strict=True))}}}"
        )
    return json.dumps(value, ensure_ascii=False)


def _word(text):
    """Quoted for a shell where it must be."""
    return text if re.fullmatch(r"[\w./=,:@+-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def keep_script(name: str, found, seconds: float, given: dict, settings: dict, kept: Path) -> Path:
    """Keep what a script of the folder benchmarks found, a results.Record, as a full run is kept: the file's path."""
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {"ended": ended, "seconds": seconds, "given": given, "parameters": settings}
    run = record(records.LastRun(name, state, found.made_with, found.measures, found.claims))
    options = [f"--{option.replace('_', '-')} {value}" for option, value in given.items()]
    run["command"] = " ".join([f"python benchmarks/{name}.py", *options])
    path = Path(kept) / file_name(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(run, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path
