"""The sources' published numbers beside ours: the page RESULTS.md, made of full runs that were kept.

`page(sources, runs)` needs the sources as data/headlines.toml holds them (their tables, and under which names our
numbers stand in the runs) and the runs as full_runs.py reads them. The same two give the same page.

A look-up is a table of what a measure is known by: `{name = "mAP@10", method = "resnet18", data = "fashion-*"}`. It
names all that the measure is known by; `*` and `?` stand for any text. `with` in it names parameters that the run must
have had. Where several runs hold a number, the first counts.
"""

import fnmatch
import re
import tomllib
from dataclasses import replace
from pathlib import Path

from course import UsageError
from course.files import write_text
from course.publish import agreement, full_runs, panels
from course.report import wording
from lib.results import Claim, Measure

__all__ = ["command", "find_claim", "find_claims", "find_measure", "look_ups", "page"]

# of a look-up and of a column, what says how the number is shown
SHOWN = {"title", "label", "scale", "digits", "unit", "notebook", "with"}
NOT_RUN = "not run"
OPPOSITE = {"holds": "contradicted", "contradicted": "holds"}
WORST_FIRST = ("contradicted", "undecided", "holds")
NO_RUN = "no finished full run of this {} yet"
NOT_NOTED = "the full run on record did not measure it"

HEAD = """\
# What the full runs gave

The published numbers of five sources, and beside each what this course measured when it asked the same question of the
collections and networks it had. A published number is the source's own, on its own data; where the data differ, so may
the numbers. Intervals are at 95 %.

A claim has one of four verdicts. *Holds* and *contradicted*: the data decide it, for or against; a contradicted claim
is a finding too. *Undecided*: corrected for all claims of a notebook, the data decide neither way. *Not run*: it was
not measured, and the page says why.

Written by `make results` from [docs/results](docs/results) and [data/headlines.toml](data/headlines.toml), never by
hand.
"""

OLD_VERDICTS = """\
The runs of {dates} recorded only whether a claim held. Those that did not are called contradicted where the interval of
the evidence lies wholly on the other side, and undecided elsewhere, also where no interval was recorded. "No worse" and
"within" are undecided where the interval reaches beyond the margin. These runs were not corrected for the number of
claims in a notebook.
"""
OLD_NETWORK = """\
Some runs used a small network trained for this course, called `course` or "the course's own network" below. It is no
longer part of the project, since EfficientNet-Lite0 now comes with the packages. What was measured with it stays on
record, but cannot be repeated with the present code.
"""


IN_SHORT = """
A row joins all claims of the notebooks that decide it: it holds where all hold, and is contradicted where one is;
claims that were not run are left out. "Asked" says what a number had to be, fixed before the runs; where nothing was
asked, it had to be above 0. A difference is the first thing named less the second, n is the number of queries. The
verdict is corrected for all claims of a notebook (Holm), the interval shown is not: so a claim may be undecided
although its interval lies clear of what was asked. "Drawn images" is the verdict of the same claims on the catalogue
that `make course` draws; the other numbers are of real collections.

*Task 1* is the training on attributes; *raw* and *boosted* are an embedding before and after it (notebook 09).
*Nested*, or Matryoshka: any first coordinates of an embedding are an embedding too (11). *mAP* is explained in
notebook 00; *KD-tree*, *LSH* and *HNSW*, ways to search fast, in 10.
"""

# ---- looking up ----------------------------------------------------------------------------------------------------


def find_measure(runs: list[dict], look_up: dict) -> Measure | None:
    """The measure that `look_up` names, from the first of `runs` that has it; None where none has.

    A look-up that fits several measures of one run is a ValueError that shows them.

    >>> run = {"notebook": "00_toy", "measures": [Measure("00_toy", "AP", 0.5, more={"method": "HOG"})]}
    >>> find_measure([run], {"notebook": "00_toy", "name": "AP", "method": "H*"}).value
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


def find_claim(runs: list[dict], look_up: dict) -> Claim | None:
    """The claim that `look_up` names by notebook and `claim` (`*` for any words), from the first run that made it.

    >>> made = [Claim("00_toy", "3 is more than 2", "holds", 3 - 2)]
    >>> run = {"notebook": "00_toy", "parameters": {"n": 3}, "claims": made}
    >>> find_claim([run], {"notebook": "00_toy", "claim": "* is more than 2", "with": {"n": 3}}).verdict
    'holds'
    """
    return next(iter(find_claims(runs, look_up)), None)


def find_claims(runs: list[dict], look_up: dict) -> list[Claim]:
    """All claims that `look_up` names, from the first run that made any, as in `find_claim`."""
    for run in _runs_of(runs, look_up):
        found = [claim for claim in run["claims"] if fnmatch.fnmatchcase(claim.text, _pattern(look_up["claim"]))]
        if found:
            return found
    return []


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
    names = {"name": measure.name, **measure.more, "data": measure.data, "definition": measure.definition}
    return {key: value for key, value in names.items() if value is not None}


def _fits(names, wanted):
    return names.keys() == wanted.keys() and all(
        fnmatch.fnmatchcase(str(names[key]), _pattern(str(value))) for key, value in wanted.items()
    )


def _pattern(text):
    return text.replace("[", "[[]")  # only * and ? are special


# ---- the page ------------------------------------------------------------------------------------------------------


def page(
    sources: list[dict], runs: list[dict], photos: list[dict] | None = None,
    headlines: list[dict] | None = None, drawn: list[dict] | None = None,
) -> str:  # fmt: skip
    """RESULTS.md: in short; each source with its tables, its data and its claims; all other claims; the runs.

    In short are the `headlines`, with the verdicts of `drawn`, kept runs of profile quick, beside. With kept runs of
    profile `photos`, also how they agree with the full ones.
    """
    parts = [HEAD, _in_short(headlines, sources, runs, drawn or []), *_caveats(runs)]
    told = {(claim["notebook"], claim["claim"]) for source in sources for claim in source["claim"] if "claim" in claim}
    for number, source in enumerate(sources, start=1):
        parts += [f"## {number}. {source['title']}\n", _about(source), _tables(source, runs), _claims(source, runs)]
    parts += [_other_claims(runs, told), _agreement(runs, photos or []), _runs([*runs, *(photos or [])])]
    return "\n".join(part for part in parts if part)


def _caveats(runs):
    """What a reader must know of runs made with earlier versions, as long as some are on record."""
    old = sorted({run["ended"][:10] for run in runs if any(_is_yes_or_no(claim) for claim in run["claims"])})
    if old:
        yield OLD_VERDICTS.format(dates=old[0] if len(old) == 1 else f"{old[0]} to {old[-1]}")
    if any("course" in run["parameters"].values() or _names_network(run) for run in runs):
        yield OLD_NETWORK


def _is_yes_or_no(claim):
    """Whether a claim was recorded without the effect that decides it, or without its p-value."""
    return claim.verdict != "not run" and (claim.relation is None or (claim.low is not None and claim.p_value is None))


def _names_network(run):
    return any("course" in measure.more.values() for measure in run["measures"])


def _in_short(headlines, sources, runs, drawn):
    """The first table: a row for each headline claim, the same ones on the drawn collection beside it."""
    if not headlines:
        return ""
    rows = []
    for number, headline in enumerate(headlines, start=1):
        verdict, numbers = _together(runs, headline["parts"])
        if verdict == NOT_RUN:
            numbers = [_needed(sources[headline["source"] - 1], headline.get("needs"), headline["notebook"], runs)]
        title = sources[headline["source"] - 1]["title"]
        ours, there = "; ".join(numbers), _together(drawn, headline.get("drawn", headline["parts"]))[0]
        rows.append([number, title, headline["asks"], headline["theirs"], verdict, ours, there, headline["turns"]])
    head = ["", "source", "claim", "theirs", "verdict here", "ours", "drawn images", "what it depends on"]
    return "## In short\n\n" + _table(head, rows) + IN_SHORT


def _together(runs, parts):
    """One verdict on several claims, and what each was decided on, its label first.

    It holds where all hold and is contradicted where one is; claims that were not run are left out of it. Of a part
    that stands for several claims the number of the weakest is shown.
    """
    verdicts, numbers = set(), []
    for part in parts:
        found = [_as_theirs(claim, part) for claim in find_claims(runs, part) if claim.verdict != NOT_RUN]
        verdicts.update(claim.verdict for claim in found)
        if found:
            weakest = min(found, key=_strength)
            of = f"the weakest of {len(found)}:" if len(found) > 1 else None
            decided = wording.decided(weakest).partition("; ")[0]
            numbers.append(" ".join(filter(None, (part.get("label"), of, decided))))
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), NOT_RUN), numbers


def _strength(claim):
    """Of two claims the weaker comes first: by verdict, p-value, and how far the effect lies from what was asked."""
    far = abs(claim.value - claim.margin) if isinstance(claim.margin, int | float) and claim.value is not None else 0
    return WORST_FIRST.index(claim.verdict), -(claim.p_value or 0), far


def _as_theirs(claim, part):
    """The claim with the verdict on theirs, where a part says that ours is against it."""
    verdict = OPPOSITE.get(claim.verdict, claim.verdict) if part.get("against") else claim.verdict
    return replace(claim, verdict=verdict)


def _ours(runs, claim, evidence):
    """The numbers that a claim shows beside its verdict, as far as they are there, and the evidence: none twice."""
    texts = []
    for look_up in claim.get("ours", []):
        measure = find_measure(runs, look_up)
        if measure:
            number, label = _number(measure, look_up), look_up.get("label")
            if evidence.startswith(number):
                evidence = " ".join(filter(None, (label, evidence)))
            else:
                texts.append(" ".join(filter(None, (label, number, look_up.get("unit")))))
    return "; ".join(filter(None, (*texts, evidence)))


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
        theirs, ours = iter(row.get("theirs", [])), iter(look_ups(table, row))
        cells, here = [row["title"]], []
        for column in columns:
            if isinstance(column, str):
                cells.append(str(next(theirs, "")))
                continue
            look_up = next(ours)
            if look_up is None:
                cells.append("")
                continue
            asked = look_up
            here.append(find_measure(runs, look_up))
            cells.append(NOT_RUN if here[-1] is None else _number(here[-1], look_up))
        rows.append(cells)
        found += [measure for measure in here if measure]
        if here and not any(here):  # a row of theirs alone waits for nothing
            waiting.setdefault((row.get("needs"), asked["notebook"]), []).append(row["title"])
    titles = [column if isinstance(column, str) else column["title"] for column in columns]
    picture = [f"![{table['title']}]({table['picture']})\n"] if "picture" in table and found else []
    whole = [_table([table["corner"], *titles], rows)] if found or "picture" not in table else []
    lines = [f"### {table['title']}\n", *picture, *whole]
    data = {measure.data for measure in found if measure.data}
    on = sorted(re.sub(r"\b\d{5,}\b", lambda n: f"{int(n[0]):,}", each) for each in data)
    counts = {measure.n for measure in found if measure.n}
    if on:
        lines.append(f"Ours on {_list(on)}" + (f", n = {counts.pop():,}.\n" if len(counts) == 1 else ".\n"))
    if table.get("note"):
        lines.append(f"{table['note']}\n")
    for (need, notebook), names in waiting.items():
        what = "all of it" if len(names) == len(rows) else "; ".join(names)
        lines.append(f"Not run: {what}. {_needed(source, need, notebook, runs)}\n")
    return "\n".join(lines)


def look_ups(table, row):
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
    is_benchmark = not notebook[:2].isdigit()
    command = f"python benchmarks/{notebook}.py" if is_benchmark else f"make full ONLY={notebook[:2]}"
    entry = source["needs"][need] if need else {"command": command}
    there = any(run["notebook"] == notebook for run in runs)
    why = entry.get("why") or (NOT_NOTED if there else NO_RUN.format("benchmark" if is_benchmark else "notebook"))
    return f"Why: {why}. To run it: `{entry['command']}`."


def _claims(source, runs):
    rows = []
    for claim in source["claim"]:
        verdict, evidence = _verdict(runs, claim)
        if verdict == NOT_RUN and not evidence:
            evidence = _needed(source, claim.get("needs"), claim["notebook"], runs)
        rows.append([claim["asks"], claim["theirs"], verdict, _ours(runs, claim, evidence)])
    return "### Claims\n\n" + _table(["question", "their answer", "here", "evidence"], rows)


def _verdict(runs, claim):
    """The verdict and the evidence: of the notebook's claim, or of whether our first number reaches `at_least`."""
    if "claim" in claim:
        found = find_claim(runs, claim)
        return (found.verdict, wording.decided(found)) if found else (NOT_RUN, "")
    measure = find_measure(runs, claim["ours"][0]) if claim.get("ours") else None
    return (NOT_RUN if measure is None else _reaches(measure, claim["at_least"]), "")


def _reaches(measure, at_least):
    """The verdict on a measure that must be at least so high: by its interval where it has one."""
    low, high = (measure.value, measure.value) if measure.low is None else (measure.low, measure.high)
    if low >= at_least:
        return "holds"
    return "contradicted" if high < at_least else "undecided"


def _other_claims(runs, told):
    parts = []
    for run in runs:
        rows = [
            [claim.text, claim.verdict, wording.decided(claim)]
            for claim in run["claims"]
            if not any(run["notebook"] == n and fnmatch.fnmatchcase(claim.text, _pattern(t)) for n, t in told)
        ]
        if rows:
            given = f", with {', '.join(run['given'])} given" if run["given"] else ""
            parts.append(f"### {run['notebook']}{given}\n\n" + _table(["claim", "verdict", "decided on"], rows))
    intro = "What the notebooks claimed beside the above, on the same collections.\n"
    return "\n".join(["## The other claims\n", intro, *parts]) if parts else ""


def _agreement(runs, photos):
    """How the claims of kept photos runs agree with those of the full runs; nothing without photos runs."""
    if not photos:
        return ""
    made = {"photos": photos, "full": runs}
    claims = {profile: [claim for run in of for claim in run["claims"]] for profile, of in made.items()}
    [found] = agreement.pairs(claims)
    text = f"Of {found.n_both} claims made in both, both decide {found.n_decided}, and {found.n_same} alike.\n"
    rows = [[claim.notebook, claim.text, claim.verdict, other.verdict] for claim, other in found.opposite]
    table = "\n" + _table(["notebook", "claim", *made], rows) if rows else ""
    return "## Photos and full collections\n\n" + text + table


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
    >>> _number(Measure("00", "AP", 0.1234, 0.11, 0.14), {"scale": 100, "digits": 1})
    '12.3 (11.0 to 14.0)'
    >>> _number(Measure("00", "size", 1234567, unit="bytes"), {"scale": 1e-6, "digits": 2})
    '1.23'
    >>> _number(Measure("00", "gain", 0.01, -0.02, 0.04), {})
    '0.010 (−0.020 to 0.040)'
    """
    scale, digits = shown.get("scale", 1), shown.get("digits", 3)
    value, low, high = (
        None if number is None else f"{number * scale:z,.{digits}f}".replace("-", "−")
        for number in (measure.value, measure.low, measure.high)
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
    mark = ";" if any("," in word for word in words) else ","
    return words[0] if len(words) == 1 else f"{f'{mark} '.join(words[:-1])}{mark * (mark == ';')} and {words[-1]}"


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


# ---- the command ---------------------------------------------------------------------------------------------------


def command(
    reports: list[Path], kept: Path, headlines: Path, page_path: Path, only: list[str] | None, notebooks: Path
) -> int:
    """Keep finished runs of profiles full, photos and quick, then write RESULTS.md from what is kept alone.

    `reports` are the folders where runs left their results; `only` names notebooks of the folder `notebooks`.
    """
    from course.runner import plan

    names = [path.stem for path in plan.select(plan.find(notebooks), only)] if only else None
    for folder in reports:
        for profile in ("full", "photos", "quick"):
            for line in full_runs.take_over(folder, kept, profile, names):
                print(line)
    try:
        told = tomllib.loads(headlines.read_text(encoding="utf-8"))
        full, photos, drawn = (full_runs.read_runs(kept, profile) for profile in ("full", "photos", "quick"))
        text = page(told["source"], full, photos, told.get("headline"), drawn)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{page_path.name} was not written: {error}") from error
    panels.write(full, kept)
    write_text(page_path, text)
    print(f"written: {page_path}")
    return 0
