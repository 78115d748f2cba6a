"""The four plots of source 2, drawn from the kept record of benchmarks/million_rows.py: docs/results/million_rows.svg.

The picture names the digest of what it shows, so that it is drawn anew only when the record changes.
"""

import hashlib
import io
import json
from pathlib import Path

import numpy as np

from course.files import write_text

__all__ = ["digest", "draw", "write"]

NAME = "million_rows"
STRUCTURES = {"flat": "*-", "KD-tree": "X--", "LSH": "s-", "HNSW": "P-", "IVF-PQ": "o-"}  # and how each is drawn
PANELS = {  # a measure: how its axis is named, its scale, what it is multiplied with
    "mAP@100": ("mAP@100", "linear", 1),
    "single query": ("ms, single query", "log", 1),
    "size of the file": ("MB, file", "log", 1e-6),
    "build time": ("s, building", "log", 1),
}


def digest(measures: list) -> str:
    """Of the numbers that are drawn."""
    content = json.dumps([measure.to_dict() for measure in _drawn(measures)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def draw(measures: list) -> str:
    """The picture as SVG: a panel a measure against the coordinates, a line a structure."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawn, colours = _drawn(measures), mpl.color_sequences["tab10"]
    with mpl.rc_context({"svg.hashsalt": NAME, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(11, 2.9), layout="constrained")
        for ax, (name, (label, scale, factor)) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            widths = sorted({measure.more["d"] for measure in drawn})
            for colour, (structure, style) in zip(colours, STRUCTURES.items(), strict=False):
                points = [each for each in drawn if (each.name, each.more["method"]) == (name, structure)]
                points.sort(key=lambda each: each.more["d"])
                at, values, lows, highs = np.array([_place(each, factor) for each in points]).reshape(-1, 4).T
                error = values - lows, highs - values
                ax.errorbar(at, values, error, fmt=style, color=colour, label=structure, markersize=5, capsize=2)
            ax.set(xscale="log", yscale=scale, xlabel="coordinates", title=label)
            ax.set_xticks(widths, widths)
            ax.minorticks_off()
            ax.grid(alpha=0.3)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(STRUCTURES), frameon=False)
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata={"Date": None, "Description": digest(measures)})
    return page.getvalue()


def _place(measure, factor):
    """Of a point: coordinates, value and the ends of its interval, all at the value where it has none."""
    low, high = (measure.value if end is None else end for end in (measure.low, measure.high))
    return measure.more["d"], factor * measure.value, factor * low, factor * high


def write(runs: list[dict], folder: str | Path) -> Path | None:
    """Draw the record among `runs` into `folder`, unless the picture there shows it already; its path, None without."""
    run = next((run for run in runs if run["notebook"] == NAME), None)
    if run is None:
        return None
    path = Path(folder) / f"{NAME}.svg"
    if not path.is_file() or digest(run["measures"]) not in path.read_text(encoding="utf-8"):
        write_text(path, draw(run["measures"]))
    return path


def _drawn(measures):
    """The measures of the panels, each structure at its usual settings."""
    return [each for each in measures if each.name in PANELS and each.more.keys() == {"method", "d"}]
