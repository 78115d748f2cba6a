"""What a notebook measured and what it claims, written down while it runs and gathered afterwards.

A notebook says who it is once (`begin`), then notes numbers (`measure`) and findings (`claim`); `tables` shows
both. Each call writes the notebook's one JSON file anew: to a temporary file that is moved into place, so a killed
run leaves what it had noted and never half a file. `gather` reads the files of all notebooks into two tables.

    $RETRIEVAL_REPORTS/results/<profile>/<notebook>.json

Without that variable the folder is `reports`, beside the nearest `notebooks` folder around the working directory.

Needs: the standard library; pandas where a table is returned. Copy this file alone and it works.
"""

import json
import math
import numbers
import os
import platform
import re
import sys
import tempfile
from importlib import metadata
from pathlib import Path

__all__ = ["begin", "claim", "gather", "measure", "tables"]

MEASURE_COLUMNS = ["notebook", "name", "value", "low", "high", "unit", "n", "data", "definition"]
CLAIM_COLUMNS = ["notebook", "claim", "holds", "source", "evidence"]
ANSWERS = {"value", "low", "high", "unit", "n", "holds", "source", "evidence"}  # the other columns say what of

# imported name -> name of the package whose version is noted, for those that are in memory when a file is written
LIBRARIES = {
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "faiss": "faiss-cpu",
    "gensim": "gensim",
    "torch": "torch",
    "torchvision": "torchvision",
    "tensorflow": "tensorflow",
    "keras": "keras",
}

_current = None  # the record of the notebook that runs in this process, and the file it goes to: (dict, Path)


def begin(notebook: str, profile: str = "quick", folder: str | Path | None = None) -> None:
    """Start the notes of `notebook` (its file name without `.ipynb`); those of an earlier run are replaced.

    `folder` is the reports folder (see above for where it is by default). The file is there from now on, still empty.
    """
    global _current
    for what, name in (("notebook", notebook), ("profile", profile)):
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name) or name.endswith(".ipynb"):
            raise ValueError(
                f"{what} must be a plain name such as '01_descriptors' or 'quick', without a path; got {name!r}"
            )
    path = Path(folder or _reports_folder()).resolve() / "results" / profile / f"{notebook}.json"
    record = {"notebook": notebook, "profile": profile, "made_with": {}, "measures": [], "claims": []}
    _write(record, path)
    _current = record, path


def measure(
    name: str,
    value: float,
    interval: tuple[float, float] | None = None,
    n: int | None = None,
    data: str | None = None,
    definition: str | None = None,
    unit: str | None = None,
    **more,
) -> None:
    """Note a measured number.

    name        of the quantity: "mAP@10", "search time"
    value       a finite number
    interval    (low, high), around the value
    n           how many queries (images, pairs) it is the mean of
    data        on what: "catalogue test"
    definition  how it is computed, where there is more than one way: "divisor min(k, R)"
    unit        "ms", "s", "bytes", "1" (none, the default)
    more        what else names this number (method="HOG", words=64): text, numbers or yes/no, each a column

    The name, `data`, `definition` and `more` together are what the number is known by: noting the same again (a cell
    run twice) replaces it. A second quantity of the same method, its time say, is a second measure.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     begin("00_metrics", folder=folder)
    ...     measure("AP@5", (1 / 1 + 2 / 4) / 2, n=1, method="by hand")
    ...     tables()[0][["name", "method", "value"]].values.tolist()
    [['AP@5', 'by hand', 0.75]]
    """
    record, path = _running("measure")
    reserved = sorted(set(more) & {*MEASURE_COLUMNS, *ANSWERS})
    if reserved:
        raise ValueError(f"measure {name!r}: {', '.join(reserved)} is set by the record itself; choose another word")
    value = _number(value, f"the value of {name!r}")
    entry = {
        "name": _text(name, "a measure's name"),
        **{key: _scalar(item, f"{key} of {name!r}") for key, item in more.items() if item is not None},
        "value": value,
        **_interval(interval, value, name),
        "unit": _text(unit, f"the unit of {name!r}", optional=True),
        "n": _count(n, f"n of {name!r}"),
        "data": _text(data, f"the data of {name!r}", optional=True),
        "definition": _text(definition, f"the definition of {name!r}", optional=True),
    }
    _put(record["measures"], entry)
    _write(record, path)


def claim(text: str, holds: bool, source: str | None = None, evidence: str | None = None) -> None:
    """Note a finding in words and whether it `holds` here: one that does not is a finding too, never an error.

    source    where the claim comes from: a section of HEADLINES.md, a paper
    evidence  a short text: the numbers it was decided on

    The same `text` again replaces the earlier verdict.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     begin("00_metrics", folder=folder)
    ...     claim("a truncated gallery flatters", holds=0.75 > 0.5, evidence="0.75 against 0.50")
    ...     tables()[1][["claim", "holds"]].values.tolist()
    [['a truncated gallery flatters', True]]
    """
    record, path = _running("claim")
    text = _text(text, "a claim")
    verdict = _python(holds)
    if not isinstance(verdict, bool):
        raise ValueError(f"claim {text!r}: holds must be True or False, got {holds!r}; compare numbers first")
    entry = {
        "claim": text,
        "holds": verdict,
        "source": _text(source, f"the source of {text!r}", optional=True),
        "evidence": _text(evidence, f"the evidence for {text!r}", optional=True),
    }
    _put(record["claims"], entry)
    _write(record, path)


def tables():
    """The running notebook's measures and claims so far: two DataFrames, in the order noted, empty columns left out."""
    record, _ = _running("tables")
    shown = [table.drop(columns="notebook").dropna(axis="columns", how="all") for table in _frames([record])]
    return tuple(table.fillna({name: "" for name in table.select_dtypes(["object", "str"])}) for table in shown)


def gather(folder: str | Path, profile: str):
    """The measures and claims of all notebooks of `profile` noted under the reports folder `folder`: two DataFrames.

    Columns of measures: notebook, name, then those that `more` named, value, low, high, unit, n, data, definition; of
    claims: notebook, claim, holds, source, evidence. Sorted by notebook, then in the order noted. A folder without
    results, and a file that is not one of ours, is a ValueError that names it.
    """
    place = Path(folder) / "results" / profile
    if not place.is_dir():
        known = sorted(path.name for path in place.parent.glob("*") if path.is_dir())
        raise ValueError(f"no results of profile {profile!r} in {place.parent}; there: {', '.join(known) or 'none'}")
    records = []
    for path in sorted(place.glob("*.json")):
        try:
            records.append(_read(path))
        except FileNotFoundError:  # gone since it was listed: its notebook has just been started anew
            continue
    return _frames(records)


def _reports_folder() -> Path:
    if os.environ.get("RETRIEVAL_REPORTS"):
        return Path(os.environ["RETRIEVAL_REPORTS"])
    here = Path.cwd()
    home = next((folder for folder in (here, *here.parents) if (folder / "notebooks").is_dir()), here)
    return home / "reports"


def _running(caller):
    if _current is None:
        raise RuntimeError(
            f"results.{caller}() before results.begin(): say once which notebook this is, e.g. begin('00_metrics')"
        )
    return _current


def _put(entries, entry):
    """Append `entry`, or replace the one that names the same thing."""

    def names(other):
        return {key: item for key, item in other.items() if key not in ANSWERS and item is not None}

    same = [place for place, other in enumerate(entries) if names(other) == names(entry)]
    if same:
        entries[same[0]] = entry
    else:
        entries.append(entry)


def _python(value):
    """The Python scalar of a NumPy or torch scalar; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _number(value, what):
    plain = _python(value)
    if isinstance(plain, bool) or not isinstance(plain, numbers.Real) or not math.isfinite(plain):
        raise ValueError(f"{what} must be a finite number, got {value!r}")
    return int(plain) if isinstance(plain, numbers.Integral) else float(plain)


def _interval(interval, value, name):
    if interval is None:
        return {"low": None, "high": None}
    ends = list(interval)
    if len(ends) != 2:
        raise ValueError(f"the interval of {name!r} must be (low, high), got {len(ends)} numbers")
    low, high = (_number(end, f"an end of the interval of {name!r}") for end in ends)
    slack = 1e-9 * max(1.0, abs(value))  # sums in another order differ in the last digits
    if not low - slack <= value <= high + slack or low > high:
        raise ValueError(f"the interval of {name!r} must hold its value: got {low} to {high} around {value}")
    return {"low": low, "high": high}


def _count(n, what):
    plain = _python(n)
    if plain is None:
        return None
    if isinstance(plain, bool) or not isinstance(plain, numbers.Integral) or plain < 1:
        raise ValueError(f"{what} must be a whole number of at least 1, got {n!r}")
    return int(plain)


def _text(text, what, optional=False):
    if text is None and optional:
        return None
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{what} must be a text that is not empty, got {text!r}")
    return text.strip()


def _scalar(value, what):
    plain = _python(value)
    if isinstance(plain, bool | str):
        return plain
    if not isinstance(plain, numbers.Real):
        raise ValueError(f"{what} must be a text, a number or yes/no, got {type(value).__name__}")
    return _number(plain, what)


def _write(record, path):
    record["made_with"] = _made_with()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path):
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {key: record[key] for key in ("notebook", "measures", "claims")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a file of results ({type(error).__name__}: {error}); run its notebook again"
        ) from error


def _frames(records):
    import pandas as pd

    rows = [{"notebook": record["notebook"], **entry} for record in records for entry in record["measures"]]
    more = list(dict.fromkeys(key for row in rows for key in row if key not in MEASURE_COLUMNS))
    measures = pd.DataFrame(rows, columns=[*MEASURE_COLUMNS[:2], *more, *MEASURE_COLUMNS[2:]])
    whole = [name for name in more if all(type(row.get(name)) in (int, type(None)) for row in rows)]
    measures = measures.astype({"value": float, "low": float, "high": float} | dict.fromkeys([*whole, "n"], "Int64"))
    rows = [{"notebook": record["notebook"], **entry} for record in records for entry in record["claims"]]
    return measures, pd.DataFrame(rows, columns=CLAIM_COLUMNS).astype({"holds": bool})


def _made_with():
    """Hardware and versions: what a reader needs to judge a time or to explain a number that moved."""
    made = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": _gpu(),
    }
    loaded = {package for name, package in LIBRARIES.items() if name in sys.modules}
    versions = {}
    for package in sorted(loaded):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # the same library under another package's name, e.g. faiss-gpu
            versions[package] = "unknown"
    return {**made, "libraries": versions}


def _gpu():
    """Name of the GPU that a framework in memory would use; None without one."""
    torch, tensorflow = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    if tensorflow is not None and hasattr(tensorflow, "config"):
        for gpu in tensorflow.config.list_physical_devices("GPU"):
            return tensorflow.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
    return None


def _cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
