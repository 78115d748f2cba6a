"""The sources' published numbers beside ours: the page RESULTS.md, made of full runs that were kept.

`page(sources, runs)` needs the sources as data/headlines.toml holds them (their tables, and under which names our
numbers stand in the runs) and the runs as lib/full_runs.py reads them. The same two give the same page.

A look-up is a table of what a measure is known by: `{name = "mAP@10", method = "resnet18", data = "fashion-*"}`. It
names all that the measure is known by; `*` and `?` stand for any text. Where several runs hold a number, the first
counts.

Needs: the standard library. Copy this file alone and it works.
"""

import fnmatch

__all__ = ["find_claim", "find_measure", "page"]

# of a measure, what does not say what it is of
ANSWERS = {"value", "low", "high", "unit", "n"}
# of a look-up and of a column, what says how the number is shown
SHOWN = {"title", "label", "scale", "digits", "notebook"}
VERDICTS = {True: "holds", False: "does not hold", None: "not run"}
NO_RUN = "no finished full run of this notebook yet"

HEAD = """\
# What the full runs gave

The published numbers of five sources, and beside each what this course measured when it asked the same on the
collections and networks it had. A published number is the source's own, on its own data; where the data differ, so may
the numbers. An interval is at 95 %. A claim that does not hold here is a finding.

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
    for run in runs:
        if run["notebook"] != look_up["notebook"]:
            continue
        hits = [measure for measure in run["measures"] if _fits(_known_by(measure), wanted)]
        if len(hits) > 1:
            raise ValueError(
                f"{look_up} fits several measures of {run['notebook']}: {[_known_by(hit) for hit in hits]}"
            )
        if hits:
            return hits[0]
    return None


def find_claim(runs: list[dict], notebook: str, text: str) -> dict | None:
    """The claim of `notebook` that reads like `text` (`*` stands for any words), from the first run that made it."""
    for run in runs:
        if run["notebook"] == notebook:
            for claim in run["claims"]:
                if fnmatch.fnmatchcase(claim["claim"], _pattern(text)):
                    return claim
    return None


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
                ours = "; ".join(filter(None, (_labelled(runs, look_up) for look_up in claim.get("ours", []))))
                rows.append([source["title"], claim["asks"], claim["theirs"], ours or "–", _verdict(runs, claim)[0]])
    head = ["source", "question", "their number", "ours", "does the claim hold here?"]
    return "## In short\n\n" + _table(head, rows)


def _labelled(runs, look_up):
    measure = find_measure(runs, look_up)
    return measure and f"{look_up.get('label', '')} {_number(measure, look_up)}".strip()


def _about(source):
    lines = [f"**Theirs.** {source['theirs']}\n", f"**Ours.** {source['ours']}\n"]
    if source.get("differ"):
        lines += ["**How they differ.**\n", *(f"- {line}" for line in source["differ"]), ""]
    return "\n".join(lines)


def _tables(source, runs):
    return "\n".join(_source_table(source, table, runs) for table in source.get("table", []))


def _source_table(source, table, runs):
    """One table of a source: its columns in the order of data/headlines.toml; one with a look-up is ours."""
    columns = [{"title": column} if isinstance(column, str) else column for column in table["columns"]]
    rows, found, waiting = [], [], {}
    for row in table["row"]:
        theirs, own = iter(row.get("theirs", [])), iter(row.get("cells", []))
        cells, here = [row["title"]], []
        for column in columns:
            if column.keys() == {"title"}:
                value = next(theirs, "")
                cells.append("" if value == "" else str(value))
            elif row.get("ours", True):
                look_up = {**table.get("look_up", {}), **column, **row.get("look_up", {}), **next(own, {})}
                measure = find_measure(runs, look_up)
                here.append(measure)
                cells.append("not run" if measure is None else _number(measure, look_up))
            else:
                cells.append("")
        rows.append(cells)
        found += [measure for measure in here if measure]
        if here and not any(here):
            waiting.setdefault(row.get("needs", ""), []).append(row["title"])
    lines = [f"### {table['title']}\n", _table([table["corner"], *(column["title"] for column in columns)], rows)]
    on = sorted({measure["data"] for measure in found if measure.get("data")})
    queries = sorted({measure["n"] for measure in found if measure.get("n")})
    if on:
        count = f"; each a mean over {queries[0]:,}" if len(queries) == 1 else ""
        lines.append(f"Ours on {_list(on)}{count}.\n")
    if table.get("note"):
        lines.append(f"{table['note']}\n")
    for need, names in waiting.items():
        lines.append(f"Not run: {'; '.join(names)}. {_needed(source, need, table['look_up']['notebook'])}\n")
    return "\n".join(lines)


def _needed(source, need, notebook):
    """Why something was not run and the command that would run it."""
    entry = source.get("needs", {}).get(need) or {"why": NO_RUN, "command": f"make full ONLY={notebook[:2]}"}
    return f"Why: {entry['why']}. To run it: `{entry['command']}`."


def _claims(source, runs):
    rows = []
    for claim in source["claim"]:
        verdict, evidence = _verdict(runs, claim)
        if verdict == VERDICTS[None]:
            evidence = _needed(source, claim.get("needs", ""), claim["notebook"])
        ours = "; ".join(filter(None, (_labelled(runs, look_up) for look_up in claim.get("ours", []))))
        rows.append([claim["asks"], claim["theirs"], verdict, "; ".join(filter(None, [ours, evidence]))])
    return "### Claims\n\n" + _table(["question", "their answer", "here", "evidence"], rows)


def _verdict(runs, claim):
    found = find_claim(runs, claim["notebook"], claim["claim"]) if "claim" in claim else None
    return (VERDICTS[found["holds"]], found.get("evidence") or "") if found else (VERDICTS[None], "")


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
