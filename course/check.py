"""The gate: does a quick run still give what notebooks/expected.toml says, a file that people read and review?

    [01_descriptors]
    measures = [
        { name = "mAP", method = "HOG", data = "catalogue test", band = [0.14, 0.22] },
        { name = "search time", method = "HOG", data = "catalogue test" },
    ]

    [01_descriptors.claims]
    "HOG beats the colour histogram" = "holds"
    "TF-IDF helps ORB words" = "either"

A verdict must stay as it is. "either" marks a claim too close to call on another machine, where k-means ends a little
elsewhere; at most one claim in ten may be that. A value must stay inside its band (`band_of`), which leaves out 0 and
what chance gives, so that a collapse is found. Times and sizes depend on the machine: they must be there, whatever
their value, and a claim on them ("of the machine") must be made, whatever its verdict. Missing and new claims and
measures are deviations too.
"""

import json
import math
import re
import tomllib
from pathlib import Path

from course import UsageError, records
from course.files import write_text
from lib import results
from lib.findings import is_of_machine
from lib.results import Claim, Measure

__all__ = ["band_of", "command", "deviations", "expect", "expect_command", "to_toml"]

OPENING = """\
# What a quick run gives: the verdict of each claim, and for each value a band that leaves out 0 and chance.
# Written by `python -m course expect` after `python -m course run`; read the changes before you commit them.
"""
VERDICTS = ("holds", "contradicted", "undecided", "not run")
EITHER = "either"
OF_MACHINE = "of the machine"
MOST_EITHER = 0.1  # of all claims
DOUBTFUL = (0.01, 0.2)  # corrected p-values between these may fall on either side of 0.05 on another machine
ANSWERS = {"band", "at_chance", "at_zero"}  # of an entry, what does not name the measure


# ---- bands ---------------------------------------------------------------------------------------------------------


def band_of(measure: Measure, chance: float | None = None) -> dict:
    """The band of a measure, {"band": [low, high]}, marked `at_chance` or `at_zero` where it holds that level.

    It reaches as far as the measure's own interval and a slack for other machines beyond: a tenth of the value (a
    quarter where there is no interval), at least 0.02 (2 of "points" and "%"). It ends halfway to 0 and to `chance`,
    unless the measure's interval holds that level; a value that cannot be negative is at 0 only when it is 0.

    >>> band_of(Measure("00", "mAP", 0.4, 0.36, 0.44), chance=0.1)
    {'band': [0.32, 0.48]}
    >>> band_of(Measure("00", "mAP", 0.04, 0.03, 0.05), chance=0.02)
    {'band': [0.03, 0.07]}
    >>> band_of(Measure("00", "mAP", 0.04, 0.03, 0.05), chance=0.035)
    {'band': [0.0175, 0.07], 'at_chance': True}
    """
    value = measure.value
    has_interval = measure.low is not None
    low, high = (measure.low, measure.high) if has_interval else (value, value)
    floor = 2.0 if measure.unit in {"points", "%"} else 0.02
    slack = max(abs(value) * (0.1 if has_interval else 0.25), floor)
    ends = [low - slack, high + slack]
    at = {"at_chance": chance is not None and low <= chance <= high, "at_zero": value == 0 or low < 0 < high}
    if at["at_chance"]:
        ends = [min(ends[0], chance - slack), max(ends[1], chance + slack)]
    elif chance is not None:
        ends = _short_of(chance, value, ends)
    if not at["at_zero"]:
        nearest = min(value, chance, key=abs) if at["at_chance"] and chance * value > 0 else value
        ends = _short_of(0.0, nearest, ends)
    return {"band": [float(f"{end:.4g}") for end in ends], **{name: True for name, is_so in at.items() if is_so}}


def _short_of(level, value, ends):
    """The band cut halfway between `value` and a level outside of it."""
    halfway = (level + value) / 2
    return [max(ends[0], halfway), ends[1]] if level < value else [ends[0], min(ends[1], halfway)]


def chance_level(measure: Measure, measures: list[Measure]) -> float | None:
    """What chance gave for the same quantity on the same data in the same notebook; None where it was not measured."""
    for other in measures:
        more = {key: item for key, item in other.more.items() if key != "method"}
        if (
            str(other.more.get("method")).lower() in {"chance", "random"}
            and other.identity != measure.identity
            and (other.notebook, other.name, other.data) == (measure.notebook, measure.name, measure.data)
            and other.definition in (None, measure.definition)
            and more.items() <= measure.more.items()
        ):
            return other.value
    return None


# ---- what to expect ------------------------------------------------------------------------------------------------


def expect(measures: list[Measure], claims: list[Claim], known: dict | None = None) -> dict:
    """What to expect after a run: {notebook: {"claims": {text: verdict}, "measures": [entry, ...]}}.

    Notebooks of `known` that were not run stay as they are. So do bands of `known` that hold their value and leave out
    0 and chance, so that one widened by hand is not narrowed again. The most doubtful claims become "either".
    """
    expected = dict(known or {})
    for notebook in dict.fromkeys(row.notebook for row in [*measures, *claims]):
        of_notebook = [measure for measure in measures if measure.notebook == notebook]
        recorded = {_identity(entry, notebook): entry for entry in (known or {}).get(notebook, {}).get("measures", [])}
        expected[notebook] = {
            "measures": [_entry(measure, of_notebook, recorded.get(measure.identity)) for measure in of_notebook],
            "claims": {claim.text: _to_expect(claim) for claim in claims if claim.notebook == notebook},
        }
    _mark_doubtful(expected, claims, known or {})
    return dict(sorted(expected.items()))


def _to_expect(claim):
    return OF_MACHINE if is_of_machine(claim) and claim.verdict != "not run" else claim.verdict


def _entry(measure, measures, recorded):
    """One measure in the file; the recorded one where it still fits."""
    entry = {"name": measure.name, **measure.more, "data": measure.data, "definition": measure.definition}
    entry = {key: item for key, item in entry.items() if item is not None}
    if is_of_machine(measure):
        return entry
    chance = chance_level(measure, measures)
    drawn = band_of(measure, chance)
    if recorded and "band" in recorded and not _faults(recorded, measure, chance):
        drawn = {key: item for key, item in recorded.items() if key in ANSWERS}
    return entry | drawn


def _mark_doubtful(expected, claims, known):
    """Set "either" for the most doubtful claims of the run, as far as the whole file may have some.

    First those set by hand on claims without a p-value, such as the order of two times; then by the corrected p-value,
    the nearest to 0.05 first.
    """
    run = {claim.notebook for claim in claims}
    total = sum(len(table.get("claims", {})) for table in expected.values())
    taken = sum(v == EITHER for name, table in expected.items() if name not in run for v in table["claims"].values())
    doubts = []
    for notebook in sorted(run):
        of_notebook = [claim for claim in claims if claim.notebook == notebook and claim.verdict != "not run"]
        by_hand = known.get(notebook, {}).get("claims", {})
        corrected = results.corrected_p_values(of_notebook)
        for claim, p_value in zip(of_notebook, corrected, strict=True):
            if is_of_machine(claim):
                continue
            if math.isnan(p_value) and by_hand.get(claim.text) == EITHER:
                doubts.append((0.0, notebook, claim.text))
            elif DOUBTFUL[0] <= p_value <= DOUBTFUL[1]:
                doubts.append((abs(math.log(p_value / 0.05)), notebook, claim.text))
    for _, notebook, text in sorted(doubts)[: max(0, int(total * MOST_EITHER) - taken)]:
        expected[notebook]["claims"][text] = EITHER


# ---- how a run compares --------------------------------------------------------------------------------------------


def deviations(expected: dict, measures: list[Measure], claims: list[Claim], notebooks: list[str]) -> list[str]:
    """In words, whatever differs between `expected` and a run of `notebooks`, also what is missing or new."""
    found = _too_many_either(expected)
    for notebook in notebooks:
        table = {"claims": {}, "measures": []} | expected.get(notebook, {})
        of_claims = [claim for claim in claims if claim.notebook == notebook]
        of_measures = [measure for measure in measures if measure.notebook == notebook]
        found += [f"{notebook}: {line}" for line in _claims_that_differ(table["claims"], of_claims)]
        found += [f"{notebook}: {line}" for line in _measures_that_differ(table["measures"], of_measures, notebook)]
    return found


def _too_many_either(expected):
    verdicts = [verdict for table in expected.values() for verdict in table.get("claims", {}).values()]
    n_either = verdicts.count(EITHER)
    if n_either <= len(verdicts) * MOST_EITHER:
        return []
    return [f'{n_either} of {len(verdicts)} claims are "either", expected at most one in ten']


def _claims_that_differ(recorded, claims):
    verdicts = {claim.text: claim.verdict for claim in claims}
    of_machine = {claim.text for claim in claims if is_of_machine(claim)}
    for text, verdict in recorded.items():
        if text not in verdicts:
            yield f"the claim {text!r} was not made"
        elif verdict not in (*VERDICTS, EITHER, OF_MACHINE):
            yield f"{text!r} is recorded as {verdict!r}, expected one of {', '.join((*VERDICTS, EITHER, OF_MACHINE))}"
        elif verdict == OF_MACHINE and text not in of_machine:
            yield f"{text!r} is recorded as {verdict!r}, but its unit is not that of a time or a size"
        elif verdict in (EITHER, OF_MACHINE):
            if verdicts[text] == "not run":
                yield f"{text!r}: expected a verdict, got not run"
        elif verdicts[text] != verdict:
            yield f"{text!r}: expected {verdict}, got {verdicts[text]}"
    yield from (f"the claim {text!r} is new" for text in verdicts if text not in recorded)


def _measures_that_differ(entries, measures, notebook):
    found = {measure.identity: measure for measure in measures}
    recorded = {_identity(entry, notebook): entry for entry in entries}
    for identity, entry in recorded.items():
        measure = found.get(identity)
        if measure is None:
            yield f"{_name(entry)} was not measured"
        elif not is_of_machine(measure):
            yield from (f"{_name(entry)} {fault}" for fault in _faults(entry, measure, chance_level(measure, measures)))
    for measure in measures:
        if measure.identity not in recorded:
            entry = {"name": measure.name, "data": measure.data, "definition": measure.definition, **measure.more}
            yield f"{_name(entry)} is new"


def _faults(entry, measure, chance):
    """What is wrong with a value and its band: it lies outside, or the band would let a collapse pass."""
    if "band" not in entry:
        return ["has no band in the file"]
    low, high = entry["band"]
    faults = []
    if not low <= measure.value <= high:
        faults.append(f"is {measure.value:.4g}, outside {low:g} to {high:g}")
    if low <= 0 <= high and not entry.get("at_zero"):
        faults.append(f"has a band that holds 0: {low:g} to {high:g}")
    if chance is not None and low <= chance <= high and not entry.get("at_chance"):
        faults.append(f"has a band that holds what chance gives, {chance:.4g}: {low:g} to {high:g}")
    return faults


def _identity(entry, notebook):
    plain = {key: item for key, item in entry.items() if key not in ANSWERS}
    return Measure.from_dict({**plain, "notebook": notebook, "value": 0.0}).identity


def _name(entry):
    rest = sorted((key, item) for key, item in entry.items() if key not in {"name", *ANSWERS} and item is not None)
    more = ", ".join(f"{key}={item}" for key, item in rest)
    return f"{entry['name']} ({more})" if more else entry["name"]


# ---- the file ------------------------------------------------------------------------------------------------------


def to_toml(expected: dict, opening: str = "") -> str:
    """The text of the file, one line a measure or claim; `tomllib` reads back what was given.

    >>> print(to_toml({"00_metrics": {"measures": [{"name": "AP", "band": [0.5, 1.0]}], "claims": {"a": "holds"}}}))
    [00_metrics]
    measures = [
        { name = "AP", band = [0.5, 1.0] },
    ]
    <BLANKLINE>
    [00_metrics.claims]
    "a" = "holds"
    <BLANKLINE>
    """
    parts = [opening] if opening else []
    for notebook, table in expected.items():
        entries = [
            "    { " + ", ".join(f"{_key(key)} = {_literal(item)}" for key, item in entry.items()) + " },"
            for entry in table.get("measures", [])
        ]
        verdicts = [f"{_literal(text)} = {_literal(verdict)}" for text, verdict in table.get("claims", {}).items()]
        parts.append("\n".join([f"[{_key(notebook)}]", "measures = [", *entries, "]"]) + "\n")
        parts.append("\n".join([f"[{_key(notebook)}.claims]", *verdicts]) + "\n")
    text = "\n".join(parts)
    tomllib.loads(text)  # what cannot be read back is not written
    return text


def _literal(value):
    return json.dumps(value, ensure_ascii=False)


def _key(text):
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _literal(text)


# ---- the commands --------------------------------------------------------------------------------------------------


def command(notebooks: Path, reports: Path, only: list[str] | None = None) -> int:
    """Compare the last quick run with notebooks/expected.toml; 1 where something deviates."""
    from course.runner import plan

    path = notebooks / "expected.toml"
    if not path.is_file():
        raise UsageError(f"{path} is missing; write it with `python -m course expect`, and read it")
    expected = plan.read_toml(path)
    names = [notebook.stem for notebook in plan.select(plan.find(notebooks), only)]
    measures, claims = _last_quick_run(reports, names)
    found = (
        [] if only else [f"{name}: expected, but there is no such notebook" for name in sorted({*expected} - {*names})]
    )
    found += deviations(expected, measures, claims, names)
    for deviation in found:
        print(deviation)
    n_claims, n_measures = (sum(len(expected.get(name, {}).get(kind, [])) for name in names)
                            for kind in ("claims", "measures"))  # fmt: skip
    print(f"deviations: {len(found)}" if found else f"as expected: {n_claims} claims, {n_measures} measures")
    return 1 if found else 0


def expect_command(notebooks: Path, reports: Path, only: list[str] | None = None) -> int:
    """Write notebooks/expected.toml from the last quick run."""
    from course.runner import plan

    path = notebooks / "expected.toml"
    everything = plan.find(notebooks)
    names = [notebook.stem for notebook in plan.select(everything, only)]
    measures, claims = _last_quick_run(reports, names)
    known = plan.read_toml(path) if path.is_file() else {}
    known = {name: table for name, table in known.items() if name in {path.stem for path in everything}}
    expected = expect(measures, claims, known)
    write_text(path, to_toml(expected, OPENING))
    verdicts = [verdict for name in names for verdict in expected.get(name, {}).get("claims", {}).values()]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in (*VERDICTS, EITHER, OF_MACHINE) if word in verdicts)
    print(f"written: {path} ({counts or 'no claims'}); read it before you commit it")
    return 0


def _last_quick_run(reports, names):
    """Measures and claims of these notebooks; UsageError where one failed or ran with other parameters."""
    try:
        runs = [records.last_run(reports, "quick", name) for name in names]
    except ValueError as error:
        raise UsageError(str(error)) from error
    for run in runs:
        if run.state["given"]:
            given = ", ".join(f"{name}={value}" for name, value in run.state["given"].items())
            raise UsageError(f"{run.name} last ran with -p {given}, expected profile quick as it is; run it again")
    return [row for run in runs for row in run.measures], [row for run in runs for row in run.claims]
