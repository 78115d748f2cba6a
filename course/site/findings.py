"""What was measured and claimed: drawn catalogue, photos and real collections side by side, a page a notebook.

Real runs are those kept in docs/results. The drawn catalogue is the last quick run where the folder of reports has a
finished one; elsewhere what notebooks/expected.toml holds of it: verdicts, and the bands of values.
"""

import re
from pathlib import Path
from typing import NamedTuple

from course import records
from course.publish import agreement, full_runs
from course.report import wording
from course.runner.plan import read_toml
from lib.results import Claim, Measure

__all__ = ["COLUMNS", "Chapter", "agreement_table", "chapter_of", "chapter_page", "index_page", "read"]

COLUMNS = {"quick": "drawn catalogue", "photos": "photos", "full": "real collections"}
PILLS = {"holds": ("good", "✓ "), "contradicted": ("bad", "✗ "), "undecided": ("open", "? ")}
EXPECTED = {"either": "by machine", "of the machine": "by machine"}


class Chapter(NamedTuple):
    """What one notebook found: {profile: claims}, {profile: measures}, and how a cell is told where it is a band."""

    claims: dict[str, list[Claim]]
    measures: dict[str, list[Measure]]
    expected: dict  # its table of expected.toml, where there is no quick run of it
    given: list[str]  # of the kept runs, what was set by hand


def read(notebooks: Path, reports: Path, kept: Path, names: list[str]) -> dict[str, Chapter]:
    """Of each of these notebooks what is known of its runs."""
    path = notebooks / "expected.toml"
    expected = read_toml(path) if path.is_file() else {}
    runs = {profile: full_runs.read_runs(kept, profile) for profile in ("photos", "full")}
    return {name: chapter_of(name, reports, runs, expected) for name in names}


def chapter_of(name: str, reports: Path, runs: dict[str, list[dict]], expected: dict) -> Chapter:
    """What is known of one notebook."""
    claims, measures, given = {}, {}, []
    try:
        last = records.last_run(reports, "quick", name)
    except ValueError:  # never run here, or not to its end: what is committed of it counts
        last = None
    if last:
        claims["quick"], measures["quick"] = last.claims, last.measures
    for profile, of_profile in runs.items():
        own = [run for run in of_profile if run["notebook"] == name]
        found = {claim.identity: claim for run in reversed(own) for claim in run["claims"]}
        if own:
            claims[profile] = list(found.values())
            measures[profile] = [measure for run in own for measure in run["measures"]]
            given += [", ".join(run["given"]) for run in own if run["given"]]
    return Chapter(claims, measures, {} if last else _expected(name, expected), given)


def _expected(name, expected):
    return expected.get(name, {})


# ---- pages ---------------------------------------------------------------------------------------------------------


def index_page(questions: dict[str, str], chapters: dict[str, Chapter]) -> str:
    """How many claims have which verdict, notebook by notebook, and how far the drawn and the real images agree."""
    parts = ["# Results and claims", INTRO, "## The verdicts, notebook by notebook", _counts(questions, chapters)]
    parts += ["## Do the lessons transfer?", TRANSFER, agreement_table(questions, chapters)]
    parts.append("```{toctree}\n:hidden:\n\n" + "\n".join(questions) + "\n```")
    return "\n\n".join(filter(None, parts)) + "\n"


INTRO = """Every notebook writes down its claims beforehand and lets an interval decide: a claim **holds**, is
**contradicted**, stays **undecided**, or was **not run**. A contradicted claim is a finding, not a failure. The
tables put the drawn catalogue, on which everyone can run the course, beside what was run on photos and on real
collections. **By machine** stands where a claim is about a time, or so near to what it asks that machines differ.
Where the site was written without a run of the course, the drawn catalogue has what `notebooks/expected.toml` expects
of a run."""

TRANSFER = """A lesson that is learnt on drawn images should hold on real ones. Here are the claims that both decide,
and how many of them come out alike. Below are those that do not: read these with care."""


def _counts(questions, chapters):
    profiles = [profile for profile in COLUMNS if any(_verdicts(each, profile) for each in chapters.values())]
    rows = []
    for name, question in questions.items():
        cells = [_tally(_verdicts(chapters[name], profile)) for profile in profiles]
        rows.append([f"[{name[:2]} {cell(question)}]({name}.md)", *cells])
    return table(["notebook", *(COLUMNS[profile] for profile in profiles)], rows)


def _verdicts(chapter, profile):
    """{claim: verdict} of one profile; of quick what is expected of it where it was not run here."""
    found = {claim.text: claim.verdict for claim in chapter.claims.get(profile, [])}
    if profile == "quick" and not found:
        found = {text: EXPECTED.get(word, word) for text, word in chapter.expected.get("claims", {}).items()}
    return found


def _tally(verdicts):
    words = list(verdicts.values())
    kinds = [kind for kind in (*wording.VERDICTS, EXPECTED["either"]) if kind in words]
    return "<br>".join(_unbroken(wording.so_many(words.count(kind), kind)) for kind in kinds) or "–"


def _unbroken(text):
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def agreement_table(questions: dict[str, str], chapters: dict[str, Chapter]) -> str:
    """Of the claims that the drawn catalogue and another profile decide, how many alike; then those that differ."""
    rows, opposite = [], []
    for profile in ("photos", "full"):
        both = []
        for name, chapter in chapters.items():
            drawn, real = _verdicts(chapter, "quick"), _verdicts(chapter, profile)
            both += [(name, text, drawn[text], real[text]) for text in drawn if text in real]
        decided = [pair for pair in both if pair[2] in agreement.DECIDED and pair[3] in agreement.DECIDED]
        alike = [pair for pair in decided if pair[2] == pair[3]]
        if both:
            share = f"{100 * len(alike) / len(decided):.0f} %" if decided else "–"
            rows.append([COLUMNS[profile], len(both), len(decided), len(alike), share])
        opposite += [[f"[{name[:2]}]({name}.md)", cell(text), pill(drawn), pill(real), _unbroken(COLUMNS[profile])]
                     for name, text, drawn, real in decided if drawn != real]  # fmt: skip
    if not rows:
        return "Nothing was run on other images yet."
    parts = [table(["drawn catalogue against", "claims in both", "decided in both", "alike", "share"], rows)]
    if opposite:
        parts += [
            "**Decided differently**",
            table(["", "claim", "drawn catalogue", "elsewhere", "on"], opposite, "turned"),
        ]
    return "\n\n".join(parts)


def chapter_page(name: str, question: str, chapter: Chapter) -> str:
    """The claims and the measures of one notebook."""
    parts = [f"# {name[:2]}: {question}", f"[To the notebook](../notebooks/{name}.ipynb)"]
    parts.append(f"## Claims\n\n{_claims(chapter)}")
    parts.append(f"## Measures\n\n{_sources(chapter)}\n\n{_measures(chapter)}")
    return "\n\n".join(parts) + "\n"


def _sources(chapter):
    """What the columns were made with."""
    said = []
    if "quick" not in chapter.measures:
        said.append("Of the drawn catalogue the band is given in which a run must lie (`notebooks/expected.toml`).")
    if chapter.given:
        said.append(f"The real collections were also run with other values of {'; '.join(chapter.given)}.")
    return " ".join(said)


def _claims(chapter):
    profiles = [profile for profile in COLUMNS if _verdicts(chapter, profile)]
    if not profiles:
        return "It makes none, or was not run yet."
    details = {profile: {claim.text: claim for claim in chapter.claims.get(profile, [])} for profile in profiles}
    texts = list(dict.fromkeys(text for profile in profiles for text in _verdicts(chapter, profile)))
    rows = []
    for text in texts:
        row = [cell(text)]
        for profile in profiles:
            verdict = _verdicts(chapter, profile).get(text)
            claim = details[profile].get(text)
            told = cell(wording.on_a_page(claim)) if claim else ""
            row.append(f"{pill(verdict)}<br>{told}" if told else pill(verdict))
        rows.append(row)
    return table(["claim", *(COLUMNS[profile] for profile in profiles)], rows, "claims")


def _measures(chapter):
    """One row a quantity: the collections differ between profiles, so they are named in the cells."""
    found, order = {}, {}
    for profile in COLUMNS:
        for measure, of in wording.by_name(chapter.measures.get(profile, [])):
            key = (measure.name, _known_by(measure) or of)
            order.setdefault(key)
            found.setdefault((key, profile), []).append(_value(measure))
    if "quick" not in chapter.measures:
        for entry in chapter.expected.get("measures", []):
            key = (entry["name"], _of(entry))
            order.setdefault(key)
            found.setdefault((key, "quick"), []).append(_band(entry))
    profiles = [profile for profile in COLUMNS if any(key[1] == profile for key in found)]
    if not profiles:
        return "None yet."
    rows, last = [], None
    for name, of in sorted(order, key=_first_seen(order)):
        values = ("<br>".join(found.get(((name, of), profile), ["–"])) for profile in profiles)
        rows.append(["" if name == last else cell(name), cell(of), *values])
        last = name
    return table(["measure", "of", *(COLUMNS[profile] for profile in profiles)], rows, "measures")


def _first_seen(order):
    """By the quantity as first noted, then by the row itself."""
    names = list(dict.fromkeys(name for name, _ in order))
    rows = list(order)
    return lambda key: (names.index(key[0]), rows.index(key))


def _known_by(measure):
    return _of({**measure.more, "definition": measure.definition})


def _of(entry):
    """What an entry is of, in words: its method first, then the rest."""
    skipped = {"name", "data", "band", "at_chance", "at_zero", "method"}
    rest = [
        f"{key}={value}" for key, value in entry.items() if key not in skipped | {"definition"} and value is not None
    ]
    words = [str(entry["method"])] if entry.get("method") is not None else []
    return ", ".join([*words, *rest, *([entry["definition"]] if entry.get("definition") else [])])


def _value(measure):
    words = f"**{wording.number(measure)}** {wording.unit(measure)}".strip()
    if measure.low is not None:
        words += f" ({wording.interval(measure)})"
    return words + (f"<br><small>{cell(measure.data)}</small>" if measure.data else "")


def _band(entry):
    data = f"<br><small>{cell(entry['data'])}</small>" if entry.get("data") else ""
    if "band" not in entry:
        return f"by machine{data}"
    low, high = entry["band"]
    return f"{wording.figure(low)} to {wording.figure(high)}{data}"


# ---- tables in Markdown --------------------------------------------------------------------------------------------


def pill(verdict: str | None) -> str:
    """A verdict as it is shown in the reports."""
    if verdict is None:
        return "–"
    kind, mark = PILLS.get(verdict, ("", ""))
    return f'<span class="pill {kind}">{mark}{verdict}</span>'


def cell(text: str) -> str:
    """Text for a cell of a table, in which nothing is marked up."""
    flat = re.sub(r"[ \t\r\n]+", " ", str(text)).strip(" ")
    for letter in "\\`*_[]<>|$#":
        flat = flat.replace(letter, f"\\{letter}")
    return flat


def table(head: list[str], rows: list[list], kind: str = "") -> str:
    """A table in Markdown, with a class for its style where `kind` names one."""
    lines = [head, ["---"] * len(head), *rows]
    text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    return f"```{{rst-class}} {kind}\n```\n\n{text}" if kind else text
