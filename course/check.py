"""What a run is expected to give, kept in a TOML file that people read and review, and how a new run compares with it.

    [01_descriptors.claims]
    "shape finds product types better than colour" = true
    "TF-IDF helps ORB words" = "either"

    [[01_descriptors.measures]]
    name = "mAP@10"
    method = "HOG"
    band = [0.21, 0.36]

Verdicts must stay as they are, but for those marked by hand as "either": too close to call on other hardware, where
k-means ends a little elsewhere. A value must stay inside its band, which is wide enough for other hardware and library
versions (`band`). Times and sizes depend on the machine and are not kept. Values arrive as tables with the columns of
lib/results.py.

Needs pandas (of the caller) and the standard library. Copy this file alone and it works.
"""

import json
import re
import tomllib

__all__ = ["band", "deviations", "expect", "to_toml"]

UNITS_OF_MACHINES = {"s", "ms", "µs", "us", "ns", "min", "h", "bytes", "B", "KB", "MB", "GB", "KiB", "MiB", "GiB"}
# what a measure's name does not consist of
ANSWERS = {"notebook", "value", "low", "high", "unit", "n"}


def band(value: float, unit: str | None = None) -> tuple[float, float]:
    """The range in which `value` may lie on other hardware: a quarter to each side, at least 0.05 (5 points, 5 %).

    >>> band(0.8), band(0.1)
    ((0.6, 1.0), (0.05, 0.15))
    >>> band(4.0, "points")
    (-1.0, 9.0)
    """
    reach = max(abs(value) / 4, 5 if unit in {"points", "%"} else 0.05)
    return round(value - reach, 4), round(value + reach, 4)


def expect(measures, claims, known: dict | None = None) -> dict:
    """What to expect after a run that gave `measures` and `claims`: {notebook: {"claims": ..., "measures": ...}}.

    A band of `known` that holds its value stays, so that one widened by hand is not narrowed again; so does an
    "either". Other notebooks of `known` stay as they are.
    """
    expected = dict(known or {})
    for notebook in [*dict.fromkeys([*measures["notebook"], *claims["notebook"]])]:
        bands = {_name(entry): entry["band"] for entry in (known or {}).get(notebook, {}).get("measures", [])}
        entries = []
        for row in _rows(measures, notebook):
            low, high = bands.get(_name(row), (1, 0))
            fits = low <= row["value"] <= high
            entries.append(
                {**_identity(row), "band": [low, high] if fits else list(band(row["value"], row.get("unit")))}
            )
        verdicts = {row["claim"]: bool(row["holds"]) for _, row in claims[claims["notebook"] == notebook].iterrows()}
        recorded = (known or {}).get(notebook, {}).get("claims", {})
        verdicts |= {claim: "either" for claim in verdicts if recorded.get(claim) == "either"}
        expected[notebook] = {"claims": verdicts, "measures": entries}
    return dict(sorted(expected.items()))


def deviations(expected: dict, measures, claims, notebooks: list[str] | None = None) -> list[str]:
    """In words, whatever differs between `expected` and a run's tables, also what is missing or new."""
    found = []
    for notebook in notebooks or sorted({*expected, *measures["notebook"], *claims["notebook"]}):
        table = {"claims": {}, "measures": []} | expected.get(notebook, {})  # a table may have one of the two alone
        verdicts = {row["claim"]: bool(row["holds"]) for _, row in claims[claims["notebook"] == notebook].iterrows()}
        for claim, holds in table["claims"].items():
            if claim not in verdicts:
                found.append(f"{notebook}: the claim {claim!r} was not made")
            elif holds not in (True, False, "either"):
                found.append(f'{notebook}: {claim!r} is recorded as {holds!r}; allowed: true, false, "either"')
            elif holds != "either" and verdicts[claim] != holds:
                said = {True: "holds", False: "does not hold"}
                found.append(f"{notebook}: {claim!r} {said[verdicts[claim]]}; recorded: {said[holds]}")
        found += [f"{notebook}: the claim {claim!r} is new" for claim in verdicts if claim not in table["claims"]]
        values = {_name(row): row["value"] for row in _rows(measures, notebook)}
        bands = {_name(entry): entry["band"] for entry in table["measures"]}
        for name, (low, high) in bands.items():
            if name not in values:
                found.append(f"{notebook}: {name} was not measured")
            elif not low <= values[name] <= high:
                found.append(f"{notebook}: {name} is {values[name]:.4g}, outside {low:g} to {high:g}")
        found += [f"{notebook}: {name} is new" for name in values if name not in bands]
    return found


def to_toml(expected: dict, opening: str = "") -> str:
    """The text of the file; `tomllib` reads back what was given.

    >>> print(to_toml({"00_metrics": {"claims": {"a is b": True}, "measures": [{"name": "AP", "band": [0.5, 1.0]}]}}))
    [00_metrics.claims]
    "a is b" = true
    <BLANKLINE>
    [[00_metrics.measures]]
    name = "AP"
    band = [0.5, 1.0]
    <BLANKLINE>
    """
    parts = [opening] if opening else []
    for notebook, table in expected.items():
        lines = [
            f"{json.dumps(claim, ensure_ascii=False)} = {json.dumps(holds)}"
            for claim, holds in table.get("claims", {}).items()
        ]
        parts.append("\n".join([f"[{_key(notebook)}.claims]", *lines]) + "\n")
        for entry in table.get("measures", []):
            lines = [f"{_key(key)} = {json.dumps(item, ensure_ascii=False)}" for key, item in entry.items()]
            parts.append("\n".join([f"[[{_key(notebook)}.measures]]", *lines]) + "\n")
    text = "\n".join(parts)
    tomllib.loads(text)  # what cannot be read back is not written
    return text


def _rows(measures, notebook):
    """A notebook's measures but for times and sizes: "ms", "ms an image", "images/s"."""
    rows = measures[measures["notebook"] == notebook].to_dict("records")
    return [row for row in rows if UNITS_OF_MACHINES.isdisjoint(re.split(r"[\s/]+", str(row.get("unit"))))]


def _identity(row):
    """Whatever names the measure, as plain Python values; empty cells (None, NaN) left out."""
    plain = {key: item.item() if hasattr(item, "item") else item for key, item in row.items() if key not in ANSWERS}
    kept = {key: item for key, item in plain.items() if key != "band" and item is not None and item == item}
    return {key: int(item) if isinstance(item, float) and item.is_integer() else item for key, item in kept.items()}


def _name(row):
    identity = _identity(row)
    rest = ", ".join(f"{key}={item}" for key, item in sorted(identity.items()) if key != "name")
    return f"{identity['name']} ({rest})" if rest else identity["name"]


def _key(text):
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text, ensure_ascii=False)
