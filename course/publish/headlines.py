"""The sources' published numbers beside ours: the page RESULTS.md, made of full runs that were kept.

`page(sources, runs)` needs the sources as data/headlines.toml holds them (their tables, and under which names our
numbers stand in the runs) and the runs as lib/full_runs.py reads them. The same two give the same page.

A look-up is a table of what a measure is known by: `{name = "mAP@10", method = "resnet18", data = "fashion-*"}`. It
names all that the measure is known by; `*` and `?` stand for any text. `with` in it names parameters that the run must
have had. Where several runs hold a number, the first counts.

Needs: the standard library. Copy this file alone and it works.
"""

import fnmatch

__all__ = ["find_claim", "find_measure", "page"]

# of a measure, what does not say what it is of
ANSWERS = {"value", "low", "high", "unit", "n"}
# of a look-up and of a column, what says how the number is shown
SHOWN = {"title", "label", "scale", "digits", "unit", "notebook", "with"}
VERDICTS = {True: "holds", False: "does not hold", None: "not run"}
NO_RUN = "no finished full run of this notebook yet"
NOT_NOTED = "the full run that is kept did not note it"

HEAD = """\
# What the full runs gave

The published numbers of five sources, and beside each what this course measured when it asked the same on the
collections and networks it had. A published number is the source's own, on its own data; where the data differ, so may
the numbers. An interval is at 95 %. "a is above b" holds where the interval of the paired difference is above 0; where
it does not hold, the interval says whether the opposite was seen or nothing was decided. Either is a finding.
"Within 3 points" and "less than" so many points ask that the whole interval lies within; "no worse" asks only that the
interval reaches 0, and it says how large a loss is left possible. What remains ("reaches", "at least", "within a
point", orders, times) is judged by the measured value alone.

Written by `make results` from [results/full](results/full) and [data/headlines.toml](data/headlines.toml), never by
hand.
"""


# ---- looking up ----------------------------------------------------------------------------------------------------


def find_measure(runs: list[dict], look_up: dict) -> dict | None:
    """The measure that `look_up` names, from the first of `runs` that has it; None where none has.

    A look-up that fits several measures of one run is a ValueError that shows them.

    >>> run = {"notebook": "00_toy", "measures": [{"name": "AP", "method": "HOG", "value": 0.5, "low": None, "n": 8}]}
    >>> find_measure([run], {"notebook": "00_toy", "name": "AP", "method": "H*"})["value"]
    0.5
    >>> find_measure([run], {"notebook": "00_toy", "name": "AP"})  # it is known by its method, too
    """
    wanted = {key: value for key, value in look_up.items() if key not in SHOWN}
    for run in _runs_of(runs, look_up):
        hits = [measure for measure in run["measures"] if _fits(_known_by(measure), wanted)]
        if len(hits) > 1:
            raise ValueError(
                f"{look_up} fits several measures of {run['notebook']}: {[_known_by(hit) for hit in hits]}"
            )
        if hits:
            return hits[0]
    return None


def find_claim(runs: list[dict], look_up: dict) -> dict | None:
    """The claim that `look_up` names by notebook and `claim` (`*` for any words), from the first run that made it.

    >>> run = {"notebook": "00_toy", "parameters": {"n": 3}, "claims": [{"claim": "3 is more than 2", "holds": True}]}
    >>> find_claim([run], {"notebook": "00_toy", "claim": "* is more than 2", "with": {"n": 3}})["holds"]
    True
    """
    for run in _runs_of(runs, look_up):
        for claim in run["claims"]:
            if fnmatch.fnmatchcase(claim["claim"], _pattern(look_up["claim"])):
                return claim
    return None


def _runs_of(runs, look_up):
    """Those of the notebook of a look-up that had the parameters it asks for."""
    asked = look_up.get("with", {})
    return [
        run
        for run in runs
        if run["notebook"] == look_up["notebook"]
        and all(run["parameters"].get(name) == value for name, value in asked.items())
    ]


def _known_by(measure):
    return {key: value for key, value in measure.items() if key not in ANSWERS and value is not None}


def _fits(names, wanted):
    return names.keys() == wanted.keys() and all(
        fnmatch.fnmatchcase(str(names[key]), _pattern(str(value))) for key, value in wanted.items()
    )


def _pattern(text):
    return text.replace("[", "[[]")  # only * and ? are special


# ---- the page ------------------------------------------------------------------------------------------------------


def page(sources: list[dict], runs: list[dict]) -> str:
    """RESULTS.md: in short; each source with its tables, its data and its claims; all other claims; the runs."""
    parts = [HEAD, _in_short(sources, runs)]
    told = {(claim["notebook"], claim["claim"]) for source in sources for claim in source["claim"] if "claim" in claim}
    for number, source in enumerate(sources, start=1):
        parts += [f"## {number}. {source['title']}\n", _about(source), _tables(source, runs), _claims(source, runs)]
    parts += [_other_claims(runs, told), _runs(runs)]
    return "\n".join(part for part in parts if part)


def _in_short(sources, runs):
    rows = []
    for source in sources:
        for claim in source["claim"]:
            if claim.get("short"):
                verdict, evidence = _verdict(runs, claim)
                ours = _ours(runs, claim) or evidence or "–"
                rows.append([source["title"], claim["asks"], claim["theirs"], ours, verdict])
    head = ["source", "question", "their number", "ours", "does the claim hold here?"]
    return "## In short\n\n" + _table(head, rows)


def _ours(runs, claim):
    """The numbers that a claim shows beside its verdict, as far as they are there."""
    texts = []
    for look_up in claim.get("ours", []):
        measure = find_measure(runs, look_up)
        if measure:
            words = (look_up.get("label"), _number(measure, look_up), look_up.get("unit"))
            texts.append(" ".join(filter(None, words)))
    return "; ".join(texts)


def _about(source):
    lines = [f"**Theirs.** {source['theirs']}\n", f"**Ours.** {source['ours']}\n"]
    if source.get("differ"):
        lines += ["**How they differ.**\n", *(f"- {line}" for line in source["differ"]), ""]
    return "\n".join(lines)


def _tables(source, runs):
    return "\n".join(_source_table(source, table, runs) for table in source.get("table", []))


def _source_table(source, table, runs):
    """One table of a source: a column that is a text is theirs, one that is a table is ours."""
    columns = table["columns"]
    rows, found, waiting = [], [], {}
    for row in table["row"]:
        theirs, look_ups = iter(row.get("theirs", [])), iter(_look_ups(table, row))
        cells, here = [row["title"]], []
        for column in columns:
            if isinstance(column, str):
                cells.append(str(next(theirs, "")))
                continue
            look_up = next(look_ups)
            if look_up is None:
                cells.append("")
                continue
            asked = look_up
            here.append(find_measure(runs, look_up))
            cells.append(VERDICTS[None] if here[-1] is None else _number(here[-1], look_up))
        rows.append(cells)
        found += [measure for measure in here if measure]
        if here and not any(here):  # a row of theirs alone waits for nothing
            waiting.setdefault((row.get("needs"), asked["notebook"]), []).append(row["title"])
    titles = [column if isinstance(column, str) else column["title"] for column in columns]
    lines = [f"### {table['title']}\n", _table([table["corner"], *titles], rows)]
    on = sorted({measure["data"] for measure in found if measure.get("data")})
    counts = {measure["n"] for measure in found if measure.get("n")}
    if on:
        lines.append(f"Ours on {_list(on)}" + (f", n = {counts.pop():,}.\n" if len(counts) == 1 else ".\n"))
    if table.get("note"):
        lines.append(f"{table['note']}\n")
    for (need, notebook), names in waiting.items():
        what = "all of it" if len(names) == len(rows) else "; ".join(names)
        lines.append(f"Not run: {what}. {_needed(source, need, notebook, runs)}\n")
    return "\n".join(lines)


def _look_ups(table, row):
    """For each column of ours the look-up of one row; None for those that the row leaves empty.

    What is said of a cell comes before what is said of its row, its column, the table. `cells` are in the order of the
    columns of ours; `empty` names those that the row leaves empty. A cell drops what it lists in `without`.
    """
    ours = [column for column in table["columns"] if not isinstance(column, str)]
    cells = [*row.get("cells", []), *[{}] * len(ours)]
    for column, cell in zip(ours, cells, strict=False):
        look_up = {**table["look_up"], **column, **row.get("look_up", {}), **cell}
        dropped = {"without", *look_up.get("without", [])}
        is_empty = column["title"] in row.get("empty", [])
        yield None if is_empty else {key: value for key, value in look_up.items() if key not in dropped}


def _needed(source, need, notebook, runs):
    """Why something was not run, and the command that runs it."""
    entry = source["needs"][need] if need else {"command": f"make full ONLY={notebook[:2]}"}
    there = any(run["notebook"] == notebook for run in runs)
    why = entry.get("why") or (NOT_NOTED if there else NO_RUN)
    return f"Why: {why}. To run it: `{entry['command']}`."


def _claims(source, runs):
    rows = []
    for claim in source["claim"]:
        verdict, evidence = _verdict(runs, claim)
        if verdict == VERDICTS[None]:
            evidence = _needed(source, claim.get("needs"), claim["notebook"], runs)
        told = "; ".join(filter(None, (_ours(runs, claim), evidence)))
        rows.append([claim["asks"], claim["theirs"], verdict, told])
    return "### Claims\n\n" + _table(["question", "their answer", "here", "evidence"], rows)


def _verdict(runs, claim):
    """In words, and the evidence: as the notebook claimed it, or by whether our first number is `at_least` so high."""
    if "claim" in claim:
        found = find_claim(runs, claim)
        return (VERDICTS[found["holds"]], found.get("evidence") or "") if found else (VERDICTS[None], "")
    measure = find_measure(runs, claim["ours"][0]) if claim.get("ours") else None
    return (VERDICTS[None if measure is None else measure["value"] >= claim["at_least"]], "")


def _other_claims(runs, told):
    parts = []
    for run in runs:
        rows = [
            [claim["claim"], VERDICTS[claim["holds"]], claim.get("evidence") or ""]
            for claim in run["claims"]
            if not any(run["notebook"] == n and fnmatch.fnmatchcase(claim["claim"], _pattern(t)) for n, t in told)
        ]
        if rows:
            given = f", with {', '.join(run['given'])} given" if run["given"] else ""
            parts.append(f"### {run['notebook']}{given}\n\n" + _table(["claim", "here", "evidence"], rows))
    intro = "What the notebooks claimed beside the above, on the same collections.\n"
    return "\n".join(["## The other claims\n", intro, *parts]) if parts else ""


def _runs(runs):
    if not runs:
        return "## The runs\n\nNone is finished yet: `make full`, then `make results`.\n"
    rows, versions = [], {}
    for run in runs:
        made = run["made_with"]
        libraries = {"python": made.get("python", "unknown"), **made.get("libraries", {})}
        for name, version in libraries.items():
            versions.setdefault(name, set()).add(version)
        machine = f"{made.get('cpu', 'unknown')}, {made.get('cores', '?')} cores"
        machine += f", {made['gpu']}" if made.get("gpu") else ", no GPU"
        data = run["parameters"].get("dataset", "")
        rows.append(
            [run["notebook"], data, run["ended"][:10], _duration(run["seconds"]), machine, f"`{run['command']}`"]
        )
    used = ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in sorted(versions.items()))
    head = ["notebook", "collection", "date", "took", "hardware", "command"]
    return "## The runs\n\n" + _table(head, rows) + f"\nVersions: {used}.\n"


def _number(measure, shown):
    """
    >>> _number({"value": 0.1234, "low": 0.11, "high": 0.14}, {"scale": 100, "digits": 1})
    '12.3 (11.0 to 14.0)'
    >>> _number({"value": 1234567, "unit": "bytes"}, {"scale": 1e-6, "digits": 2})
    '1.23'
    """
    scale, digits = shown.get("scale", 1), shown.get("digits", 3)
    value, low, high = (
        None if number is None else f"{number * scale:,.{digits}f}"
        for number in (measure["value"], measure.get("low"), measure.get("high"))
    )
    return value if low is None else f"{value} ({low} to {high})"


def _duration(seconds):
    """
    >>> _duration(59), _duration(3725)
    ('0:01 h', '1:02 h')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _list(words):
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _table(head, rows):
    """A table in Markdown; a bar inside a cell is escaped.

    >>> print(_table(["a", "b"], [["x|y", 1]]), end="")
    | a | b |
    |---|---|
    | x\\|y | 1 |
    """
    lines = [[_cell(cell) for cell in head], ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    text[1] = text[1].replace(" ", "")
    return "\n".join(text) + "\n"


def _cell(value):
    return " ".join(str(value).split()).replace("|", "\\|")
