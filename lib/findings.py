"""One measure and one claim: what a notebook found, as it is written to files, told in words and laid out in tables.

results.py notes them while a notebook runs. Needs the standard library alone. Copy this file alone.
"""

import html
import math
import numbers
import re
import textwrap
from dataclasses import asdict, dataclass, field

VERDICTS = ("holds", "contradicted", "undecided", "not run")
MEASURE_COLUMNS = ["notebook", "name", "value", "low", "high", "unit", "n", "data", "definition"]
CLAIM_COLUMNS = ["notebook", "text", "verdict", "value", "low", "high", "p_value", "relation", "margin", "n", "unit"]
CLAIM_COLUMNS += ["source", "evidence"]
UNITS_OF_MACHINES = {*"times s ms µs us ns min h bytes B KB MB GB KiB MiB GiB".split()}
_MARGINS = {"above": "one number", "below": "one number", "within": "a pair (low, high)", None: "None"}  # by relation


@dataclass(frozen=True)
class Measure:
    """A measured number. `more` names it further (method="HOG"): text, numbers or yes/no, each a column of a table."""

    notebook: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str | None = None
    n: int | None = None
    data: str | None = None
    definition: str | None = None
    more: dict = field(default_factory=dict)

    def __post_init__(self):
        name = _text(self.name, "the name of a measure")
        value = number(self.value, f"the value of {name!r}")
        low, high = _ends(self.low, self.high, value, name)
        reserved = sorted(set(self.more) & {*MEASURE_COLUMNS, "more"})
        if reserved:
            words = ", ".join(reserved)
            raise ValueError(f"measure {name!r}: {words} is set by the record itself; choose another word")
        more = {key: _scalar(item, f"{key} of {name!r}") for key, item in self.more.items() if item is not None}
        texts = _texts(self, name, "notebook", "unit", "data", "definition")
        _set(self, name=name, value=value, low=low, high=high, n=_count(self.n, f"n of {name!r}"), more=more, **texts)

    @property
    def identity(self) -> tuple:
        """What it is known by: notebook, name, data, definition and what `more` says. The same again replaces it."""
        return self.notebook, self.name, self.data, self.definition, *sorted(self.more.items())

    def to_dict(self) -> dict:
        rest = {key: getattr(self, key) for key in MEASURE_COLUMNS[2:]}
        return {"notebook": self.notebook, "name": self.name, **self.more, **rest}

    @classmethod
    def from_dict(cls, entry: dict) -> "Measure":
        """The measure that `to_dict` wrote; ValueError names a field that is missing or wrong."""
        need_fields(entry, ("notebook", "name", "value"), "a measure")
        known = {key: entry[key] for key in MEASURE_COLUMNS if key in entry}
        return cls(**known, more={key: item for key, item in entry.items() if key not in MEASURE_COLUMNS})

    def _ipython_display_(self):  # the last line of a cell: nothing to show
        pass


@dataclass(frozen=True)
class Claim:
    """A finding in words, the effect it rests on, and the verdict. Without a p-value the effect is exact.
    >>> measured(Claim("00_metrics", "a beats b", "holds", 3.21, 1.04, 5.38, 0.004, "above", 0.0, 400, "points"))
    '+3.2 points (+1.0 to +5.4)'
    """

    notebook: str
    text: str
    verdict: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    relation: str | None = None
    margin: float | tuple[float, float] | None = None
    n: int | None = None
    unit: str | None = None
    source: str | None = None
    evidence: str | None = None

    def __post_init__(self):
        text = _text(self.text, "the text of a claim")
        for name, allowed in (("verdict", VERDICTS), ("relation", tuple(_MARGINS))):
            if getattr(self, name) not in allowed:
                choices = ", ".join(str(each) for each in allowed)
                raise ValueError(f"{name} of {text!r} must be one of {choices}, got {getattr(self, name)!r}")
        value, low, high, margin, p_value = self.value, self.low, self.high, self.margin, self.p_value
        if value is None and self.verdict != "not run":
            raise ValueError(f"value of {text!r} must be a number where the verdict is {self.verdict!r}, got None")
        if value is not None:
            value = number(value, f"the value of {text!r}")
            low, high = _ends(low, high, value, text)
        if margin is not None:
            ends = margin if isinstance(margin, tuple | list) else [margin]
            ends = [number(end, f"the margin of {text!r}") for end in ends]
            margin = tuple(ends) if self.relation == "within" else ends[0]
            if len(ends) != 1 + (self.relation == "within"):
                raise ValueError(f"margin of {text!r} must be {_MARGINS[self.relation]}, got {self.margin!r}")
        if p_value is not None:
            p_value = number(p_value, f"the p_value of {text!r}")
        texts = _texts(self, text, "notebook", "unit", "source", "evidence")
        n = _count(self.n, f"n of {text!r}")
        _set(self, text=text, value=value, low=low, high=high, margin=margin, p_value=p_value, n=n, **texts)

    @property
    def identity(self) -> tuple:
        """What it is known by: notebook and text. The same text again replaces it."""
        return self.notebook, self.text

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: dict) -> "Claim":
        """The claim that `to_dict` wrote; ValueError names a field that is missing, wrong or unknown."""
        need_fields(entry, ("notebook", "text", "verdict"), "a claim")
        unknown = sorted(set(entry) - set(CLAIM_COLUMNS))
        if unknown:
            raise ValueError(f"a claim has no field {unknown[0]!r}; its fields: {', '.join(CLAIM_COLUMNS)}")
        return cls(**entry)

    def _ipython_display_(self):
        pass


def measured(entry):
    """+3.2 points (+1.0 to +5.4)"""
    if entry.value is None:
        return ""
    sign = isinstance(entry, Claim) and (entry.unit == "points" or entry.margin == 0)
    numbers = [each for each in (entry.value, entry.low, entry.high) if each is not None]
    text, *ends = (_figure(each, entry.unit, entry.value, sign) for each in numbers)
    text += f" {entry.unit}" if entry.unit else ""
    return f"{text} ({' to '.join(ends)})" if ends else text


def asked(entry):
    """above 0 points; within −3.0 to 3.0 points; exactly 0"""
    if entry.relation is None:
        return ""
    ends = entry.margin if entry.relation == "within" else (entry.margin,)
    words = ["0" if end == 0 else _figure(int(end) if end == int(end) else end, entry.unit) for end in ends]
    relation = "exactly" if len(ends) == 2 and ends[0] == ends[1] else entry.relation
    text = f"{relation} {' to '.join(dict.fromkeys(words))}"
    return f"{text} {entry.unit}" if entry.unit else text


def _figure(value, unit, decimals_of=None, sign=False):
    """A number in words: points with one decimal, or two below 0.1; else three digits and the decimals they need."""
    if isinstance(value, int) and unit != "points":
        return f"{value:{'+' if sign and value else ''},}".replace("-", "−")
    size = abs(value if decimals_of is None else decimals_of)
    decimals = next((each for each, least in enumerate((100, 10, 1, 0.1)) if size >= least), 4)
    if unit == "points":
        decimals = 1 if size >= 0.1 else 2
    text = f"{value:+,.{decimals}f}"
    if not sign or float(text.replace(",", "")) == 0:
        text = text.removeprefix("+") if value >= 0 or float(text.replace(",", "")) else text[1:]
    return text.replace("-", "−")


def rows_of_measures(measures):
    rows = [each.to_dict() | {"value": measured(each)} for each in measures]
    first = list(dict.fromkeys(["name", *(key for row in rows for key in row if key not in MEASURE_COLUMNS)]))
    return _filled(rows, [*first, "value", "n", "data", "definition"])


def rows_of_claims(claims):
    rows = [each.to_dict() | {"claim": each.text, "measured": measured(each), "asked": asked(each)} for each in claims]
    rows = [row | {"queries": row["n"]} for row in rows]
    return _filled(rows, ["claim", "verdict", "measured", "asked", "queries", "evidence", "source"])


def as_html(title, rows):
    """A table whose cells wrap, in JupyterLab as in a page; nothing is cut."""
    cell = "white-space: normal; max-width: 28em; text-align: left; vertical-align: top"
    lines = [f"<table><caption>{html.escape(title)}</caption>"]
    for tag, cells in [*(("th", list(row)) for row in rows[:1]), *(("td", list(row.values())) for row in rows)]:
        lines.append("<tr>" + "".join(f'<{tag} style="{cell}">{html.escape(each)}</{tag}>' for each in cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def as_text(title, rows, width=118):
    """The same for a terminal: columns as wide as they need, the widest ones wrapped until all fit."""
    cells = [*(list(row) for row in rows[:1]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > 12:
        widths[widths.index(max(widths))] -= 1
    lines = [title]
    for row in cells:
        wrapped = [textwrap.wrap(cell, size) or [""] for cell, size in zip(row, widths, strict=True)]
        for place in range(max(map(len, wrapped))):
            parts = [each[place] if place < len(each) else "" for each in wrapped]
            lines.append("  ".join(part.ljust(size) for part, size in zip(parts, widths, strict=True)).rstrip())
    return "\n".join(lines)


def _filled(rows, columns):
    """The rows as text, without columns that are empty in all of them."""
    rows = [{key: "" if row.get(key) is None else f"{row[key]}" for key in columns} for row in rows]
    return [{key: item for key, item in row.items() if any(other[key] for other in rows)} for row in rows]


def number(value, what):
    plain = _python(value)
    if isinstance(plain, bool) or not isinstance(plain, numbers.Real) or not math.isfinite(plain):
        raise ValueError(f"{what} must be a finite number, got {value!r}")
    return int(plain) if isinstance(plain, numbers.Integral) else float(plain)


def is_of_machine(row: Measure | Claim) -> bool:
    """Whether a row is on a time, a ratio of times or a size: "ms", "ms an image", "images/s", "times"."""
    is_timed = getattr(row, "name", "").startswith("time ")
    return is_timed or not UNITS_OF_MACHINES.isdisjoint(re.split(r"[ /]+", f"{row.unit}"))


def need_fields(entry, keys, what):
    if not isinstance(entry, dict):
        raise ValueError(f"{what} must be a dict, got {type(entry).__name__}")
    missing = [key for key in keys if key not in entry]
    if missing:
        raise ValueError(f"{what} lacks the field {missing[0]!r}")


def _python(value):
    """The Python scalar of a NumPy or torch scalar; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _set(entry, **fields):
    for name, value in fields.items():
        object.__setattr__(entry, name, value)  # of a frozen dataclass, while it is made


def _ends(low, high, value, name):
    if low is None and high is None:
        return None, None
    low, high = (number(end, f"an end of the interval of {name!r}") for end in (low, high))
    slack = 1e-9 * max(1.0, abs(value))  # sums in another order differ in the last digits
    if not low - slack <= value <= high + slack or low > high:
        raise ValueError(f"the interval of {name!r} must hold its value: got {low} to {high} around {value}")
    return low, high


def _count(n, what):
    plain = _python(n)
    if plain is None:
        return None
    if isinstance(plain, bool) or not isinstance(plain, numbers.Integral) or plain < 1:
        raise ValueError(f"{what} must be a positive integer, got {n!r}")
    return int(plain)


def _texts(entry, name, *keys):
    given = {key: getattr(entry, key) for key in keys}
    return {key: None if text is None else _text(text, f"{key} of {name!r}") for key, text in given.items()}


def _text(text, what):
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{what} must be a text that is not empty, got {text!r}")
    return text.strip()


def _scalar(value, what):
    plain = _python(value)
    if isinstance(plain, bool | str):
        return plain
    if not isinstance(plain, numbers.Real):
        raise ValueError(f"{what} must be a text, a number or yes/no, got {type(value).__name__}")
    return number(plain, what)
