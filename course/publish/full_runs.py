"""Finished full runs, kept: out of a folder of reports, which git ignores, into a folder that is committed.

    reports/results/full/<notebook>.json   written by the notebook while it runs
    reports/full/state/<notebook>.json     written by the runner: parameters, seconds, whether it ended well
    results/full/<run>.json                both in one, once the run is finished: numbers and words, no pictures

A run with the parameters of its profile is kept as `<notebook>.json`, one with others set on the command line beside
it as `<notebook>@<name>=<value>,....json`.

Needs: the standard library. Copy this file alone and it works.
"""

import hashlib
import json
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["file_name", "read_runs", "record", "take_over"]

# at least two folders deep, so that "1 /s" and "either/or" stay
MACHINE_PATH = re.compile(r"(?<![\w.:/\\])(?:~|[A-Za-z]:)?(?:[\\/][\w.@+=-]+){2,}[\\/]?")

OUTER = r'^\[|\]$|[\s"]'  # of a value that is part of a file name: the brackets of a list, spaces and quotes


def record(result: dict, state: dict, ended: str) -> dict:
    """What is kept of one finished run: its `result` and the runner's `state`, without any path of the machine.

    `ended` is when, as text in ISO format, for a state that does not say so itself. A run that failed, was stopped or
    still runs is a ValueError, and so are a result and a state of different notebooks.

    >>> made = record({"notebook": "00_toy", "profile": "full", "made_with": {}, "measures": [], "claims": []},
    ...               {"name": "00_toy", "status": "ok", "seconds": 61.23, "given": {"n": 3}}, "2030-01-02T03:04:05Z")
    >>> made["command"], made["seconds"]
    ('python -m lib.course run --profile full --only 00 -p n=3', 61.2)
    """
    name = state.get("name")
    if state.get("status") != "ok":
        raise ValueError(f"{name or 'a notebook'} has not run to its end: {state.get('status', 'never run')}")
    missing = [key for key in ("notebook", "profile", "made_with", "measures", "claims") if key not in result]
    if missing:
        raise ValueError(f"the results of {name} lack {', '.join(missing)}")
    if result["notebook"] != name:
        raise ValueError(f"the results are of {result['notebook']!r}, the state is of {name!r}")
    given = state.get("given") or {}
    words = ["python -m lib.course run", f"--profile {result['profile']}", f"--only {name[:2]}"]
    words += [f"-p {_word(f'{key}={_toml(value)}')}" for key, value in given.items()]
    kept = {
        "notebook": name,
        "profile": result["profile"],
        "ended": state.get("ended") or ended,
        "seconds": round(float(state.get("seconds", 0)), 1),
        "command": " ".join(words),
        "given": given,
        "parameters": state.get("parameters") or {},
        "made_with": result["made_with"],
        "measures": result["measures"],
        "claims": result["claims"],
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


def take_over(
    reports: str | Path, folder: str | Path, profile: str = "full", only: list[str] | None = None
) -> list[str]:
    """Keep the finished runs of `profile` from a folder of reports in `folder`; in words, what became of each.

    A newer run replaces an older one of the same parameters; an older, failed, stopped or half-written one never
    replaces anything. `only` names the notebooks to look at. A folder without reports gives an empty list.
    """
    said = []
    for state_path in sorted((Path(reports) / profile / "state").glob("*.json")):
        name = state_path.stem
        if only is not None and name not in only:
            continue
        result_path = Path(reports) / "results" / profile / f"{name}.json"
        try:
            state, result = (json.loads(path.read_bytes()) for path in (state_path, result_path))
            digest = state.get("results_digest")
            if digest and hashlib.sha256(result_path.read_bytes()).hexdigest() != digest:
                raise ValueError("its results were written anew outside of the run")
            stamp = datetime.fromtimestamp(state_path.stat().st_mtime, UTC)
            run = record(result, state, stamp.strftime("%Y-%m-%dT%H:%M:%SZ"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            said.append(f"left out {name}: {_without_paths(str(error))}")
            continue
        target = Path(folder) / file_name(run)
        known = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else None
        if known is not None and known["ended"] >= run["ended"]:
            said.append(
                f"kept     {target.name}: " + ("the same run" if known == run else f"it is of {known['ended']}")
            )
            continue
        _write(target, json.dumps(run, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        said.append(f"{'replaced' if known else 'new     '} {target.name}")
    return said


def read_runs(folder: str | Path) -> list[dict]:
    """The runs kept in `folder`, by notebook: those with the profile's own parameters first, then the newest.

    A file that is not one of ours is a ValueError that names it; a folder that is not there holds no runs.
    """
    runs = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            if file_name(run) != path.name:
                raise ValueError(f"it holds the run {file_name(run)}")
            for key in ("ended", "seconds", "command", "parameters", "made_with", "measures", "claims"):
                run[key]
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


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
