"""Numbers, measures and claims in the words in which pages, terminals and RESULTS.md show them."""

import collections
import math
import re

from lib.results import Claim, Measure

__all__ = [
    "VERDICTS",
    "by_name",
    "clock",
    "count",
    "decided",
    "figure",
    "interval",
    "is_share",
    "number",
    "on_a_page",
    "scale_top",
    "so_many",
    "unit",
    "verdict_counts",
]

VERDICTS = ("holds", "contradicted", "undecided", "not run")


def by_name(measures: list[Measure]) -> list[tuple[Measure, str]]:
    """Measures of one quantity side by side, in the order first noted, each with what tells it from the others.

    That is its method and further columns; its definition too, where only that differs.
    """
    said = [(measure, _method(measure)) for measure in measures]
    seen = collections.Counter((measure.notebook, measure.name, of, measure.data) for measure, of in said)
    rows = []
    for measure, of in said:
        if seen[measure.notebook, measure.name, of, measure.data] > 1:
            of = ", ".join(filter(None, [of, measure.definition]))
        rows.append((measure, of))
    order = list(dict.fromkeys((measure.notebook, measure.name) for measure in measures))
    return sorted(rows, key=lambda row: order.index((row[0].notebook, row[0].name)))


def _method(measure):
    """The method by itself, the other columns as name=value."""
    more = dict(measure.more)
    first = [str(more.pop("method"))] if "method" in more else []
    return ", ".join(
        first + [f"{key}={figure(item) if isinstance(item, float) else item}" for key, item in more.items()]
    )


def verdict_counts(claims: list[Claim]) -> dict[str, int]:
    """How many claims have each verdict, in the order of `VERDICTS`; verdicts that none has are left out."""
    found = collections.Counter(claim.verdict for claim in claims)
    return {verdict: found[verdict] for verdict in VERDICTS if found[verdict]}


def so_many(n: int, verdict: str) -> str:
    """A number of claims with a verdict.

    >>> so_many(1, "holds"), so_many(5, "holds"), so_many(2, "undecided")
    ('1 holds', '5 hold', '2 undecided')
    """
    return f"{n} hold" if verdict == "holds" and n != 1 else f"{n} {verdict}"


def decided(claim: Claim) -> str:
    """What a claim was decided on: the effect with its interval, what it was compared with, and the evidence.

    Evidence that gives an interval itself replaces the effect; so does that of a claim which records only yes or no
    (1 or 0, compared with nothing).
    """
    evidence = claim.evidence or ""
    if claim.value is None or claim.relation is None or re.search(r"\([^()]* to [^()]*\)", evidence):
        return evidence
    digits = _decimals(claim)
    # a level, such as 0.86 where 0.78 was asked, has no sign; a difference has one
    is_level = claim.unit != "points" and claim.relation != "within" and (claim.margin or 0) > 0
    sign = (lambda number, digits: _signed(number, digits).removeprefix("+")) if is_level else _signed
    words = sign(claim.value, digits)
    if claim.unit:
        words += f" {claim.unit}"
    if claim.low is not None and claim.high is not None:
        words += f" ({sign(claim.low, digits)} to {sign(claim.high, digits)})"
    if asked := _asked(claim):
        words += f", asked: {asked}"
    if claim.n:
        words += f", n = {claim.n:,}"
    return "; ".join(filter(None, [words, evidence]))


def on_a_page(claim: Claim) -> str:
    """What `decided` says, for a column of a page: no line ends within "n = 400"."""
    return re.sub(r"\bn = (?=\d)", "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}", decided(claim))


def _decimals(claim):
    """How many decimals an effect and its interval are shown with; None for whole numbers."""
    size = abs(claim.value)
    if claim.unit == "points":
        return 1 if size >= 0.1 else 2
    if isinstance(claim.value, int) and claim.low is None:
        return None
    return next((digits for digits, least in enumerate((100, 10, 1, 0.1)) if size >= least), 4)


def _signed(value, digits):
    text = f"{value:+,}" if digits is None else f"{value:+,.{digits}f}"
    return text.replace("-", "−")


def _asked(claim):
    """What a claim asks of its effect; nothing for the usual "above 0"."""
    if claim.relation == "within":
        low, high = map(figure, claim.margin)
        return f"within {low} to {high}" if low != high else low
    end = figure(claim.margin or 0)
    return f"{claim.relation} {end}" if claim.margin or claim.relation == "below" else ""


def is_share(measure: Measure) -> bool:
    """Whether a measure with its interval lies between 0 and 1, and can be drawn there."""
    return not unit(measure) and measure.low is not None and 0 <= measure.low and measure.high <= 1


def scale_top(measures: list[Measure]) -> float:
    """The end of the scale on which a notebook's shares are drawn."""
    highest = max([measure.high for measure in measures if is_share(measure)], default=1)
    return next(top for top in (0.1, 0.2, 0.3, 0.5, 1) if highest <= top)


def unit(measure: Measure) -> str:
    """The unit as it is shown: nothing for a plain number."""
    return "" if measure.unit in (None, "1") else measure.unit


def interval(measure: Measure) -> str:
    """'0.30 to 0.34', or nothing where a measure has no interval."""
    return "" if measure.low is None else f"{number(measure, 'low')} to {number(measure, 'high')}"


def number(measure: Measure, field: str = "value") -> str:
    """A measure's value or an end of its interval: points with a decimal, other units with three digits.

    Numbers without a unit are shown as `figure` has them.
    """
    value = getattr(measure, field)
    if measure.unit == "points":
        return _minus(f"{value:.1f}" if abs(measure.value) >= 0.1 else f"{value:.2f}")
    return _minus(f"{value:.3g}") if unit(measure) and 0 < abs(value) < 1000 else figure(value)


def count(n: int | None) -> str:
    """A count with grouped thousands; nothing for None."""
    return "" if n is None else f"{n:,}"


def figure(value: float) -> str:
    """A number as a reader wants it: three decimals near 1, thousands grouped, a minus sign and no hyphen.

    >>> [figure(value) for value in (0.31249, 12345, 12.345, 0.00012, 64.0, -0.5)]
    ['0.312', '12,345', '12.3', '0.00012', '64', '−0.500']
    """
    value = float(value)
    if value.is_integer():
        return _minus(f"{int(value):,}")
    if abs(value) >= 1000:
        return _minus(f"{value:,.0f}")
    return _minus(f"{value:.3f}" if 0.001 <= abs(value) < 10 else f"{value:.3g}")


def _minus(text):
    """The text of a number with a minus sign in place of its hyphen, and none before a 0."""
    if not text.startswith("-"):
        return text
    return f"−{text[1:]}" if re.search("[1-9]", text) else text[1:]


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(61.2)
    '1:01'
    """
    return f"{math.floor(round(seconds) / 60)}:{round(seconds) % 60:02d}"
