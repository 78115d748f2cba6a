"""What a notebook measured and claimed: computed, written down and shown in one call each.

A notebook says who it is once (`begin`). Then `measure` notes a number, `compare` the paired difference of two
methods, `claim` any other finding; `say` shows a sentence, `progress` how far a loop is; `show` ends the notebook with
the tables of both; `grow` continues the table of an earlier notebook. Each call writes the notebook's one JSON file
anew. `read` gives it back as `Measure` and `Claim`.

    $RETRIEVAL_REPORTS/results/<profile>/<notebook>.json

Without that variable the folder is `reports`, beside the nearest `notebooks` folder around the working directory.

Verdicts. A claim is "holds", "contradicted" or "undecided" by its two-sided p-value against its margin, corrected
(Holm) for all claims of the notebook that have one, at 0.05; so the closing table is final. Claims on times and sizes
are corrected apart. An exact number (a count, an identity) is decided as it stands. "not run" lacks data or weights.

Points. Under unit="points" what comes in, margins too, are shares (0.03); what is stored and shown is points (3.0).

Needs numpy and tqdm; IPython to show in a notebook. Copy with: findings.py, significance.py
"""

import hashlib
import json
import math
import os
import platform
import re
import sys
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

try:
    from lib import findings, significance
except ModuleNotFoundError:  # copied beside this file
    import findings
    import significance

Measure, Claim = findings.Measure, findings.Claim

# imported name -> name of the package whose version is noted, for those that are in memory when a file is written
_SAME = "numpy pandas scipy gensim torch torchvision timm transformers tensorflow keras"
LIBRARIES = {name: name for name in _SAME.split()} | {
    "sklearn": "scikit-learn", "skimage": "scikit-image", "cv2": "opencv-python-headless", "PIL": "pillow",
    "faiss": "faiss-cpu", "sentence_transformers": "sentence-transformers",
}  # fmt: skip

_current = None  # the record of the notebook that runs in this process


class Record(NamedTuple):  # the file of one notebook
    notebook: str
    profile: str
    made_with: dict
    measures: list[Measure]
    claims: list[Claim]
    table: dict  # what `grow` keeps: the rows, of what they are, and a digest; or empty


class _Shown(significance.Effect):
    """An effect that `compare` has told in words: the last line of a cell need not tell it again."""

    def _ipython_display_(self):
        pass


def begin(notebook: str, profile: str = "quick", folder: str | Path | None = None) -> None:
    """Start the notes of `notebook` (its file name without `.ipynb`) in the reports folder, replacing earlier ones."""
    global _current
    for what, name in (("notebook", notebook), ("profile", profile)):
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name) or name.endswith(".ipynb"):
            wanted = "a plain name such as '01_descriptors' or 'quick', without a path"
            raise ValueError(f"{what} must be {wanted}; got {name!r}")
    here = Path.cwd()
    home = next((parent for parent in (here, *here.parents) if (parent / "notebooks").is_dir()), here)
    reports = Path(folder or os.environ.get("RETRIEVAL_REPORTS") or home / "reports").resolve()
    path = reports / "results" / profile / f"{notebook}.json"
    record = Record(notebook, profile, {}, [], [], {})
    _write(record, path)
    _current = record, path


def say(text: str) -> None:
    """Show Markdown: in a notebook rendered, elsewhere printed."""
    _display({"text/markdown": text, "text/plain": text})


def progress(loop, title):
    """`loop` with a bar in a terminal or a notebook, which vanishes at the end; TQDM_DISABLE=1 turns it off."""
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    shown = watched and os.environ.get("TQDM_DISABLE", "0") in ("", "0")  # which the bar for notebooks does not read
    return tqdm(loop, desc=title, leave=False, disable=not shown)


def measure(name, values, interval=None, n=None, data=None, definition=None, unit=None, clusters=None, **more):
    """Note a measured number, or the mean of values measured query by query, with its interval.

    name        of the quantity: "mAP@10", "search time"
    values      one finite number; or one value a query, (q,) or (seeds, q): then mean, interval and n are computed
    interval, n    (low, high) around one number, and how many queries (images, pairs) it is the mean of
    data        on what: "catalogue test"
    definition  how it is computed, where there is more than one way: "divisor min(k, R)"
    unit        "ms", "s", "bytes"; "points" for shares; none for a plain number
    clusters    (q,), what each query belongs to, where queries are not independent
    more        what else names this number (method="HOG", words=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     begin("00_metrics", folder=folder)
    ...     measure("AP@5", (1 / 1 + 2 / 4) / 2, n=1, method="by hand").value
    0.75
    """
    record, path = _running("measure")
    if np.ndim(values) > 0:
        if interval is not None or n is not None:
            raise ValueError(f"measure {name!r}: interval and n are computed from one value a query; leave them out")
        interval = significance.bootstrap_interval(values, clusters)
        values, n, _ = significance.mean_over_queries(values)
        interval = None if math.isnan(interval[0]) else interval
    value = findings.number(values, f"the value of {name!r}")
    ends = (None, None) if interval is None else tuple(interval)
    if len(ends) != 2:
        raise ValueError(f"the interval of {name!r} must be (low, high), got {len(ends)} numbers")
    low, high = ends
    if unit == "points":
        value, low, high = _in_points(value, low, high, name)
    entry = Measure(record.notebook, name, value, low, high, unit, n, data, definition, more)
    _put(record.measures, entry)
    _write(record, path)
    return entry


def compare(
    a, b, claim=None, above=None, below=None, within=None, clusters=None, unit="points", source=None, note=None,
    paired_seeds=False, show=True,
):  # fmt: skip
    """How much better is a than b on the same queries? Compute it, record the claim, show one sentence: an Effect.

    a, b      one value a query, (q,) or (seeds, q), of the same queries in the same order
    claim     what is claimed of a - b: that it lies above 0 (the default), above or below a margin, or within one.
              Without a text nothing is recorded
    unit      "points" (a and b are shares, and so is the effect returned) or "" (plain numbers)
    note      a sentence shown behind; show=False for a loop that ends in a table
    """
    above = 0.0 if (above, below, within) == (None, None, None) else above
    relation, margin = significance.the_relation(above, below, within)
    effect = significance.paired_difference(a, b, clusters, margin, paired_seeds)
    if claim is None:
        entry = _claim_of("the difference", effect, relation, margin, unit or None)
    else:
        entry = _record(claim, effect, relation, margin, unit or None, source, note)
    if not show:
        return effect
    parts = [findings.measured(entry), _how_many(a, b, clusters, effect.n)]
    if relation == "within" or margin != 0:
        parts.append(f"asked: {findings.asked(entry)}")
    text = f"{f'{claim}?' if claim else 'Difference:'} {', '.join(parts)}."
    say(text if note is None else f"{text} {note}")
    return _Shown(*effect)


def claim(text, effect, above=None, below=None, within=None, source=None, evidence=None, unit=None) -> Claim:
    """Note a finding in words and the effect it rests on; one that is contradicted is a finding too, never an error.

    effect       an Effect; (value, low, high) with a 95 % interval (its p-value is from the normal approximation); an
                 exact number (a count, an identity), decided as it stands; or None: not run, and the evidence says why
    above ...    one of the three: the margin beyond or within which the effect is claimed to lie
    source       where the claim comes from: a section of HEADLINES.md, a paper
    evidence     a short text: what a reader should see beside the verdict
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     begin("00_metrics", folder=folder)
    ...     claim("a truncated gallery flatters", 0.75 - 0.5, above=0, evidence="0.75 against 0.50").verdict
    'holds'
    """
    relation, margin = None, None
    if effect is not None or (above, below, within) != (None, None, None):
        relation, margin = significance.the_relation(above, below, within)
    return _record(text, effect, relation, margin, unit, source, evidence)


def grow(rows, of, after=()):
    """One table of several notebooks: the rows of earlier ones, then these; dicts that have `notebook` too.

    rows    dicts of text and finite numbers, kept in this notebook's file for those that come after it
    of      dict of text and numbers: all that makes rows comparable ({"photos": a digest of their names})
    after   earlier notebooks. Where one has not been run in this folder, was run on something else or left a damaged
            file, a sentence says so, and its rows are missing
    """
    record, path = _running("grow")
    record.table.update(_sealed(of, rows))
    _write(record, path)
    grown = []
    for name in after:
        try:
            table = read(path.with_name(f"{name}.json")).table
            differ = [key for key, value in record.table["of"].items() if table and table["of"].get(key) != value]
            why = f"was run with another {' and '.join(differ)}" * bool(differ) if table else "was not run to its end"
        except FileNotFoundError:
            why = "was not run here"
        except ValueError:
            why = "left a damaged file"
        if why:
            say(f"The table is without the rows of {name}, which {why}.")
        grown += [] if why else [{"notebook": name} | row for row in table["rows"]]
    return grown + [{"notebook": record.notebook} | row for row in record.table["rows"]]


def show() -> None:
    """The closing tables: what was measured, and what was claimed with its final verdict. Long texts wrap."""
    record, _ = _running("show")
    measures, claims = findings.rows_of_measures(record.measures), findings.rows_of_claims(record.claims)
    for title, rows in (("Measured", measures), ("Claims", claims)):
        if rows:
            _display({"text/html": findings.as_html(title, rows), "text/plain": findings.as_text(title, rows)})


def read(path: str | Path) -> Record:
    """The file of one notebook. ValueError names a file that is not one of ours, and what is wrong with it."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        findings.need_fields(content, ("notebook", "measures", "claims"), "a file of results")
        name = {"notebook": content["notebook"]}
        measures = [Measure.from_dict(name | entry) for entry in content["measures"]]
        claims = [Claim.from_dict(name | entry) for entry in content["claims"]]
        table = content.get("table", {})
        if table:
            findings.need_fields(table, ("of", "rows"), "a table")
            if table != _sealed(table["of"], table["rows"]):
                raise ValueError("its table was changed")
        made_with = content.get("made_with", {})
        return Record(content["notebook"], content.get("profile"), made_with, measures, claims, table)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a file of results ({error}); run its notebook again") from error


def _running(caller):
    if _current is None:
        raise RuntimeError(f"results.{caller}() before results.begin('00_metrics'), say, which names the notebook")
    return _current


def _record(text, effect, relation, margin, unit, source, evidence):
    """Note the claim, decide all claims anew, and return it as decided."""
    record, path = _running("claim")
    entry = replace(_claim_of(text, effect, relation, margin, unit), notebook=record.notebook, source=source)
    _put(record.claims, replace(entry, evidence=evidence))
    record.claims[:] = _decided(record.claims)
    _write(record, path)
    return next(each for each in record.claims if each.text == entry.text)


def _claim_of(text, effect, relation, margin, unit):
    """A claim that is not decided yet, in points where the unit asks for them."""
    if effect is None:
        return Claim("-", text, "not run", relation=relation, margin=margin, unit=unit)
    is_exact = np.ndim(effect) == 0
    if isinstance(effect, bool | np.bool_ | str) or (not is_exact and np.shape(effect) not in ((3,), (6,))):
        wanted = "an Effect, (value, low, high), an exact number or None"
        raise ValueError(f"claim {text!r}: the effect must be {wanted}, got {effect!r}")
    value, low, high = (effect, None, None) if is_exact else effect[:3]
    value = findings.number(value, f"the effect of {text!r}")
    p_value = None if is_exact else significance.p_value_against(effect, margin)
    if low is not None and math.isnan(low):
        low = high = None
    if unit == "points":
        value, low, high = _in_points(value, low, high, text)
        if np.abs(margin).max() > 1:
            raise ValueError(f"claim {text!r}: a margin in points is given as a share, such as 0.03; got {margin}")
        margin = tuple(np.multiply(100, margin).tolist()) if relation == "within" else 100 * margin
    return Claim("-", text, "undecided", value, low, high, p_value, relation, margin, getattr(effect, "n", None), unit)


def _decided(claims):
    """The claims with their verdicts, the p-values corrected for one another."""
    decided = []
    for each, p_value in zip(claims, corrected_p_values(claims), strict=True):
        if each.value is not None:
            effect = each.value if each.p_value is None else (each.value, each.low, each.high)
            verdict = significance.verdict(effect, p_value=p_value, **{each.relation: each.margin})
            each = replace(each, verdict=verdict)
        decided.append(each)
    return decided


def corrected_p_values(claims):
    """Holm's for the claims on quality and those on times and sizes apart: a slow machine moves no other verdict."""
    of_machine = np.array([findings.is_of_machine(each) for each in claims], dtype=bool)
    corrected = np.full(len(claims), np.nan)
    for family in (of_machine, ~of_machine):
        corrected[family] = significance.holm([claims[i].p_value for i in np.flatnonzero(family)])
    return corrected


def _sealed(of, rows):
    """A table as JSON gives it back, with a digest by which one that was changed is known."""
    table = {"of": dict(of), "rows": [dict(row) for row in rows]}
    text = json.dumps(table, sort_keys=True, allow_nan=False, default=float)
    return json.loads(text) | {"digest": hashlib.sha256(text.encode()).hexdigest()}


def _put(entries, entry):
    """Append `entry`, or replace the one that names the same thing."""
    place = next((i for i, other in enumerate(entries) if other.identity == entry.identity), len(entries))
    entries[place : place + 1] = [entry]


def _write(record, path):
    record.made_with.update(_made_with())
    content = record._asdict()
    content |= {key: [each.to_dict() for each in content[key]] for key in ("measures", "claims")}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as place:
        temporary = Path(place) / path.name
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


def _display(bundle):
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(bundle, raw=True)
    else:
        print(bundle["text/plain"])


def _how_many(a, b, clusters, n):
    text = f"{n:,} {'query' if n == 1 else 'queries'}"
    if clusters is not None:
        n_clusters = len(np.unique(np.asarray(clusters).astype(str)))
        text += f" in {n_clusters:,} {'cluster' if n_clusters == 1 else 'clusters'}"
    seeds = [len(each) if np.ndim(each) == 2 else 1 for each in (a, b)]
    if max(seeds) > 1:
        text += f", {seeds[0]} seeds each" if seeds[0] == seeds[1] else f", seeds: {seeds[0]} against {seeds[1]}"
    return text


def _in_points(value, low, high, name):
    if abs(value) > 1:
        raise ValueError(f"{name!r} in points must be a share between -1 and 1, got {value:g}; or give another unit")
    return tuple(None if number is None else 100 * number for number in (value, low, high))


def _made_with():
    """Hardware and versions: what a reader needs to judge a time or to explain a number that moved."""
    made = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    made |= {"cpu": _cpu_model(), "cores": cores, "gpu": _gpu()}
    versions = {}
    for package in sorted({package for name, package in LIBRARIES.items() if name in sys.modules}):
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
    path = Path("/proc/cpuinfo")  # of Linux
    names = re.findall(r"^model name\s*: *(.+?)\s*$", path.read_text(encoding="utf-8"), re.M) if path.is_file() else []
    return names[0] if names else platform.processor() or platform.machine()
