"""The two tables of a run for a terminal. Columns that are too wide are wrapped, never cut."""

import io

from course import records
from course.report import wording

__all__ = ["claims_text", "measures_text", "text_table"]

COLOURS = {"holds": "green", "contradicted": "red", "undecided": "yellow"}


def text_table(head: list[str], rows: list[list[str]], width: int = 100, colour: bool = False) -> str:
    """A table of texts, `width` characters wide at most; `colour` colours cells that are verdicts.

    >>> print(text_table(["claim", "verdict"], [["a is better than b", "holds"]], width=22))
    claim          verdict
    ──────────────────────
    a is better    holds
    than b
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for title in head:
        table.add_column(title, overflow="fold", no_wrap=False)
    for row in rows:
        table.add_row(*[Text(cell, style=COLOURS.get(cell, "") if colour else "") for cell in row])
    page = io.StringIO()
    console = Console(file=page, width=width, force_terminal=colour, color_system="standard" if colour else None)
    console.print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def measures_text(measures, width: int = 100) -> str:
    """The table of measures: Measure objects, or the table of lib/results.py."""
    rows = [
        [
            measure.notebook,
            measure.name,
            of,
            f"{wording.number(measure)} {wording.unit(measure)}".strip(),
            wording.interval(measure),
            wording.count(measure.n),
            measure.data or "",
        ]
        for measure, of in wording.by_name(records.measures_of(measures))
    ]
    return text_table(["notebook", "measure", "of", "value", "interval", "n", "data"], rows, width)


def claims_text(claims, width: int = 100, colour: bool = False) -> str:
    """The table of claims, and how many have each verdict."""
    claims = records.claims_of(claims)
    rows = [[claim.notebook, claim.verdict, claim.text, wording.decided(claim)] for claim in claims]
    table = text_table(["notebook", "verdict", "claim", "decided on"], rows, width, colour)
    counts = wording.verdict_counts(claims)
    return f"{table}\n\n{len(claims)} claims: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
