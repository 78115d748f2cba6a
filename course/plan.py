"""Which embedding, how many numbers, which structure? A plan for so many photos, from the measured leaderboard.

The ways to search that notebook 13 measured, scaled to the photos asked for (`lib.plan.at_size`); of those that keep
every limit, the best (`lib.matryoshka.plan`).
"""

from pathlib import Path
from typing import NamedTuple

from course import UsageError, records
from course.commands import terminal_width
from course.publish import full_runs
from lib import matryoshka
from lib.plan import at_size
from lib.results import Measure

__all__ = ["NOTEBOOK", "Limits", "command", "measured", "ways"]

NOTEBOOK = "13_leaderboard"
PARTS = {"mAP", "bytes", "first_ms", "again_ms"}  # what is measured of a way, each as "way, <part>"


class Limits(NamedTuple):
    photos: float
    ms: float | None = None  # a query
    gb: float | None = None  # of memory
    quality: float | None = None  # a share of the best mAP that was measured, 0 to 1


def measured(reports: Path, kept: Path, profile: str | None = None) -> tuple[str, list[Measure]]:
    """Where the leaderboard was measured, in words, and its measures: the last quick run, else a kept run.

    `profile` asks for that of one profile alone. UsageError where there is none.
    """
    for each in ("quick", "full", "photos") if profile is None else (profile,):
        try:
            run = records.last_run(reports, each, NOTEBOOK)
            about, measures = {**run.state, "made_with": run.made_with}, run.measures
        except ValueError:  # not run, or not to its end
            runs = [run for run in full_runs.read_runs(kept, each) if run["notebook"] == NOTEBOOK]
            if not runs:
                continue
            about, measures = runs[0], runs[0]["measures"]
        made_with, dataset = about["made_with"], about["parameters"].get("dataset", "unknown")
        machine = f"{made_with.get('cpu', 'unknown processor')}, one thread"
        return f"{NOTEBOOK}, profile {each}, {dataset}, {about['ended'][:10]}; {machine}", measures
    which = f"--profile {profile}" if profile else "--profile quick"
    raise UsageError(f"no leaderboard has been measured; run `python -m course run {which} --only 13` first")


def ways(measures: list[Measure]) -> list[dict]:
    """The ways to search among the measures of the leaderboard, as `at_size` takes them.

    >>> of = {"structure": "A: flat", "dimensions": 8, "shortlist": 0, "reads": "all rows", "rows": 9, "embedding": "A"}
    >>> numbers = {"way, mAP": 0.5, "way, bytes": 32, "way, first_ms": 0.1, "way, again_ms": 0}
    >>> made = [Measure("13", name, value, more=of) for name, value in numbers.items()]
    >>> (way,) = ways([*made, Measure("13", "alone, ms", 2.0, more={"method": "A"})])
    >>> way["structure"], way["mAP"], way["embed_ms"]
    ('A: flat', 0.5, 2.0)
    """
    embed_ms = {each.more["method"]: each.value for each in measures if each.name == "alone, ms"}
    found = {}
    for each in measures:
        part = each.name.removeprefix("way, ")
        if part in PARTS and part != each.name:
            found.setdefault(tuple(sorted(each.more.items())), {})[part] = each.value
    whole = [dict(of) | parts for of, parts in found.items() if set(parts) == PARTS]
    return [way | {"embed_ms": embed_ms[way["embedding"]]} for way in whole if way["embedding"] in embed_ms]


def command(limits: Limits, reports: Path, kept: Path, profile: str | None = None) -> int:
    """Print the plan, its arithmetic and its rivals; 0, or 1 where nothing keeps every limit."""
    from course.report import text_table

    where, measures = measured(reports, kept, profile)
    found = ways(measures)
    if not found:
        raise UsageError(f"the run ({where}) measured no way to search; run notebook 13 again")
    scaled = [at_size(way, limits.photos) for way in found]
    best = max(way["mAP"] for way in scaled)
    asked = {
        "ms": limits.ms,
        "megabytes": None if limits.gb is None else 1000 * limits.gb,
        "wanted_map": None if limits.quality is None else limits.quality * best,
    }
    plan = matryoshka.plan(scaled, **asked)
    print(f"Measured by {where}\n\n{plan.why}\n\n{_arithmetic(plan.row, limits.photos)}\n")
    order = sorted(scaled, key=lambda way: (not matryoshka.plan([way], **asked).fits, -way["mAP"], way["ms"]))
    rows = [_row(way, matryoshka.plan([way], **asked).fits) for way in order]
    print(text_table(["way", "numbers", "mAP@10", "ms", "GB", "fits"], rows, terminal_width()))
    print(
        "\nAn estimate: times grow as notebook 13 says; mAP@10 is of the gallery measured, and larger ones are harder."
    )
    return 0 if plan.fits else 1


def _arithmetic(way, photos):
    """How the milliseconds and the memory come about, in a sentence."""
    grown = way["ms"] - way["embed_ms"] - way["again_ms"]
    growth = f"{way['first_ms']:.3g} ms on {way['rows']:,} rows, of which a query reads {way['reads']}"
    again = f" + {way['again_ms']:.3g} (second look)" if way["shortlist"] else ""
    return (
        f"{way['ms']:.3g} ms = {way['embed_ms']:.3g} (embed) + {grown:.3g} (first look: {growth}){again}; "
        f"{way['megabytes'] / 1000:.3g} GB = {photos:,.0f} photos of {way['bytes']:,.0f} bytes."
    )


def _row(way, fits):
    numbers = [f"{way['mAP']:.3f}", f"{way['ms']:.3g}", f"{way['megabytes'] / 1000:.3g}"]
    return [way["structure"], str(way["dimensions"]), *numbers, "yes" if fits else "no"]
