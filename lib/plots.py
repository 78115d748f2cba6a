"""The figures that the course draws again and again: neighbours of a query, curves, rankings, differences.

All are as wide as a notebook's column. What colour says is said a second time by a sign, a marker or a line style, so
that a figure can be read in grey and by the colour-blind. Each function returns a matplotlib Figure that pyplot no
longer holds: as the last expression of a cell it is shown once, assigned to a variable it is not shown, and
`figure.savefig(path)` works in both cases. Chinese, Japanese and Korean names are written in a font that has them,
where one is installed (Noto Sans CJK, for instance). Tables are DataFrames, and columns are given by their names. A
ValueError says what of the arguments does not fit: columns that are not there, values that are not finite, intervals
that do not hold their value, rows that come twice, an empty table.

Needs numpy, pandas, matplotlib and seaborn. Copy this file alone.
"""

import textwrap
from bisect import bisect_left
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.lines import Line2D
from matplotlib.path import Path as Shape
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

WIDTH = 9.0  # inches: 900 px at the 100 dots an inch of a notebook
RIGHT_COLOUR, WRONG_COLOUR = "#00594A", "#F28A3C"  # dark and light, so that they differ in grey too
QUERY_COLOUR, CHANCE_COLOUR, _BAR_COLOUR = "#1A1A1A", "#555555", "#8DBAD9"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))

_PALETTE, _TEXT_TO_PATH = sns.color_palette("colorblind", len(MARKERS)), TextToPath()
_ASIAN_FONTS = (  # with Chinese, Japanese and Korean letters, on Linux, macOS and Windows
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS", "PingFang SC", "Hiragino Sans", "SimHei",
)  # fmt: skip

# Drawn as lines, since a font need not have the signs.
_TICK = Shape([(-0.8, 0.0), (-0.2, -0.6), (0.8, 0.7)])
_CROSS = Shape([(-0.7, -0.7), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7)], [1, 2, 1, 2])  # move, line, move, line


def retrieval_grid(queries, neighbours_images, relevance=None, query_titles=None, neighbour_titles=None, title=None):
    """One row a query: its image or its caption in a dark frame, then its k neighbours, best first.

    queries             uint8 (q, h, w, 3), or a list of q images of any size; or a list of q texts. These and titles
                        that are too long for their place are shortened with an ellipsis
    neighbours_images   uint8 (q, k, h, w, 3), as `gallery_images[neighbours]`, or q lists of k images; k up to 20
    relevance           (q, k) of bool, or of graded relevance where above 0 counts as right. A right answer has a dark
                        frame and a tick, a wrong one a light dashed frame and a cross; None marks nothing
    query_titles        q texts below the queries; neighbour_titles: q lists of k texts
    Returns a Figure with q * (k + 1) axes, row by row.
    >>> images = np.zeros((6, 8, 8, 3), np.uint8)
    >>> figure = retrieval_grid(images[:2], images[[[2, 3, 4], [4, 5, 2]]], [[True, False, True], [False, True, True]])
    >>> len(figure.axes)  # 2 rows of 1 query and 3 neighbours
    8
    """
    are_texts = any(isinstance(query, str) for query in queries)
    n_queries, k = _checked_images(queries, neighbours_images, are_texts)
    if relevance is not None:
        relevance = np.asarray(relevance)
        if relevance.shape != (n_queries, k) or relevance.dtype.kind not in "bif" or np.isnan(relevance).any():
            got = f"{relevance.shape} {relevance.dtype}"
            raise ValueError(f"expected relevance ({n_queries}, {k}) of numbers, got {got}")
    query_titles = [""] * n_queries if query_titles is None else query_titles
    neighbour_titles = [[""] * k] * n_queries if neighbour_titles is None else neighbour_titles
    n_titles = [len(titles) for titles in neighbour_titles]
    if len(query_titles) != n_queries or n_titles != [k] * n_queries:
        expected = f"{n_queries} query titles and {k} neighbour titles a row"
        raise ValueError(f"expected {expected}, got {len(query_titles)} and {n_titles}")
    grid = _Grid(queries, neighbours_images, query_titles, neighbour_titles, has_head=title or relevance is not None)
    with _new_figure((grid.width, grid.height), "white") as figure:
        for row in range(n_queries):
            for column in range(k + 1):
                ax = figure.add_axes(grid.place(row, column))
                if column == 0 and are_texts:
                    lines = _fitted(queries[row], grid.widths[0] - 0.2, int((grid.heights[0] - 0.1) / 0.15), 9)
                    ax.annotate(
                        lines, (0, 1), xytext=(7, -6), textcoords="offset points", va="top", xycoords="axes fraction",
                        fontsize=9, parse_math=False, linespacing=1.1,
                    )  # fmt: skip
                else:
                    image = queries[row] if column == 0 else neighbours_images[row][column - 1]
                    ax.imshow(image, interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                _write_beside(ax, grid.titles[row][column], below=True, fontsize=8, linespacing=1.05)
                if row == 0:
                    weight = "normal" if column else "bold"
                    _write_beside(ax, str(column or "query"), below=False, fontsize=9, fontweight=weight)
                if column == 0:
                    _frame(ax, QUERY_COLOUR, 3.0, "-")
                elif relevance is not None:
                    _mark(ax, bool(relevance[row, column - 1] > 0), grid.widths[column])
                else:
                    _frame(ax, "#999999", 0.8, "-")
        _write_head(figure, grid, title, has_key=relevance is not None)
    return figure


class _Grid:
    """Where the cells of a retrieval grid are, and their texts cut to fit. All lengths in inches."""

    gap, query_gap, margin, line = 0.14, 0.34, 0.14, 0.14  # between cells, after the query, around all, of a text line
    largest_cell, caption_width, least_caption_height, least_width = 1.5, 1.6, 0.75, 4.5
    key_width, key_places = 2.2, (2.1, 1.15)  # of the signs' key, and where its two signs are, from the right

    def __init__(self, queries, neighbours_images, query_titles, neighbour_titles, has_head):
        are_texts, n_queries, k = isinstance(queries[0], str), len(queries), len(neighbours_images[0])
        room = WIDTH - 2 * self.margin - self.query_gap - (k - 1) * self.gap
        cell = min(self.largest_cell, (room - self.caption_width) / k if are_texts else room / (k + 1))
        images = [image for row in neighbours_images for image in row] + ([] if are_texts else list(queries))
        height = cell * min(max(image.shape[0] / image.shape[1] for image in images), 1.6)
        self.widths = [self.caption_width if are_texts else cell] + [cell] * k
        self.heights = [max(height, self.least_caption_height) if are_texts else height] + [height] * k
        self.titles = [
            [_fitted(t, w + 0.8 * self.gap, 2, fontsize=8) for t, w in zip((first, *rest), self.widths, strict=True)]
            for first, rest in zip(query_titles, neighbour_titles, strict=True)
        ]
        n_lines = max(text.count("\n") + 1 if text else 0 for row in self.titles for text in row)
        self.head = 0.3 + (0.36 if has_head else 0.0)  # the ranks, and the line of the title and the key
        self.row_height = self.heights[0] + (0.1 + self.line * n_lines if n_lines else 0.0) + self.gap
        width = 2 * self.margin + self.query_gap + sum(self.widths) + (k - 1) * self.gap
        self.width, self.height = max(width, self.least_width), self.head + n_queries * self.row_height

    def place(self, row, column):
        """left, bottom, width and height of a cell, as shares of the figure."""
        left = self.margin
        if column:
            left += self.widths[0] + self.query_gap + (column - 1) * (self.widths[1] + self.gap)
        bottom = self.height - self.head - row * self.row_height - self.heights[column]
        width, height = self.widths[column], self.heights[column]
        return left / self.width, bottom / self.height, width / self.width, height / self.height


def _write_beside(ax, text, below, **style):
    """A centred text just below or just above an axes."""
    ax.annotate(
        text, (0.5, 0 if below else 1), xytext=(0, -4 if below else 7), va="top" if below else "bottom", ha="center",
        xycoords="axes fraction", textcoords="offset points", parse_math=False, color=QUERY_COLOUR, **style,
    )  # fmt: skip


def _write_head(figure, grid, title, has_key):
    """The line above a grid: its title on the left, what the signs mean on the right."""
    y = 1 - 0.17 / grid.height
    if has_key:
        for inches, is_right, word in zip(grid.key_places, (True, False), ("relevant", "not relevant"), strict=True):
            x = 1 - inches / grid.width
            _sign(figure, x, y, is_right, figure.transFigure)
            figure.text(x + 0.12 / grid.width, y, word, va="center_baseline", fontsize=9, color="#333333")
    if title:
        room = grid.width - 2 * grid.margin - (grid.key_width if has_key else 0.0)
        text = _fitted(title, room, n_lines=1, fontsize=12)
        figure.text(grid.margin / grid.width, y, text, va="center_baseline", fontsize=12, parse_math=False)


def curves(
    table, x, y, low=None, high=None, hue=None, x_label=None, y_label=None, title=None, log_x=False, log_y=False,
    chance=None,
):  # fmt: skip
    """A value over another, one curve for each value of `hue`, with the intervals as bands.

    table: one row a point. low and high come together. x_label, y_label: with units; by default the names of the
    columns. log_x: a logarithmic axis, with the measured values as its ticks where there is room. chance: a value of y
    that guessing reaches, drawn as a dashed line. Curves have their own colour, marker and line style, in the order of
    first appearance in the table; eight at most.
    >>> table = pd.DataFrame({"d": [8, 16, 8, 16], "mAP": [0.2, 0.4, 0.3, 0.5], "way": ["cut", "cut", "PCA", "PCA"]})
    >>> axes = curves(table, "d", "mAP", hue="way", x_label="dimensions", log_x=True).axes[0]
    >>> axes.get_xlabel(), [line.get_label() for line in axes.get_lines()]
    ('dimensions', ['cut', 'PCA'])
    """
    _check_table(table, [x, y], low, high, y, hue, line=chance)
    names = _names_of_hue(table, hue)
    for column, is_log in ((x, log_x), (y, log_y), *(((low, log_y),) if low else ())):
        if is_log and (table[column] <= 0).any():
            raise ValueError(f"column {column!r} must be above 0 on a logarithmic axis, got {table[column].min()}")
    is_repeated = table.duplicated([x] if hue is None else [x, hue])
    if is_repeated.any():
        raise ValueError(f"expected one point a curve at each {x!r}, got {int(is_repeated.sum())} more")
    with _new_figure((WIDTH, 3.4), "whitegrid", layout="constrained") as figure:
        ax = figure.add_subplot()
        for colour, marker, style, name in zip(_PALETTE, MARKERS, LINE_STYLES, names, strict=False):
            points = (table if hue is None else table[table[hue] == name]).sort_values(x)
            if low is not None:
                ax.fill_between(points[x], points[low], points[high], color=colour, alpha=0.18, linewidth=0)
            label = "_" if name is None else _wrapped(name, 26)
            ax.plot(
                points[x], points[y], color=colour, marker=marker, linestyle=style, label=label, linewidth=1.8,
                markersize=6.5, markeredgecolor="white", markeredgewidth=0.8,
            )  # fmt: skip
        if chance is not None:
            ax.axhline(chance, color=CHANCE_COLOUR, linestyle=(0, (2, 2)), linewidth=1.2, label=f"chance, {chance:.3g}")
        if log_x:
            ax.set_xscale("log")
            _plain_ticks(ax.xaxis, table[x])
        elif pd.api.types.is_integer_dtype(table[x]):
            ax.xaxis.get_major_locator().set_params(integer=True)  # no epoch 1.25
        if log_y:
            ax.set_yscale("log")
            _plain_ticks(ax.yaxis, [table[low or y].min(), table[high or y].max()])
        ax.set_xlabel(_label(x if x_label is None else x_label), parse_math=False)
        ax.set_ylabel(_wrapped(_label(y if y_label is None else y_label), 34), parse_math=False)
        _set_title(ax, title)
        if hue is not None or chance is not None:
            _write_legend(figure, ax, hue)
        sns.despine(ax=ax)
    return figure


def ranked(
    table, value, low=None, high=None, name="method", label=None, title=None, chance=None, number="{:.3f}",
    smaller_is_better=False,
):  # fmt: skip
    """Methods from best (top) to worst: a bar from 0 to the value, its interval, and the number written out.

    table: one row a method. low and high come together. label: of the axis, with the unit; by default the column's
    name. chance: what guessing reaches, a dashed line. number: how a value is written.
    >>> table = pd.DataFrame({"method": ["colour", "HOG"], "mAP": [0.1, 0.3]})
    >>> [text.get_text() for text in ranked(table, "mAP").axes[0].get_yticklabels()]  # from the top
    ['HOG', 'colour']
    """
    _check_table(table, [value], low, high, value, name, line=chance)
    if table[name].duplicated().any():
        raise ValueError(f"expected each {name!r} once, got {table[name][table[name].duplicated()].iloc[0]!r} twice")
    table = table.sort_values(value, ascending=smaller_is_better, kind="stable")
    names = [_wrapped(text, 34) for text in table[name]]
    n_lines = sum(max(1.0, 0.75 * (text.count("\n") + 1)) for text in names)
    height = 0.34 * n_lines + 0.75 + (0.3 if title else 0.0) + (0.25 if chance is not None else 0.0)
    with _new_figure((WIDTH, height), "whitegrid", layout="constrained") as figure:
        ax = figure.add_subplot()
        rows = np.arange(len(table))
        ax.barh(rows, table[value], height=0.62, color=_BAR_COLOUR)
        ends = table[value].clip(lower=0)
        if low is not None:
            ax.hlines(rows, table[low], table[high], color=QUERY_COLOUR, linewidth=1.6)
            for end in (low, high):
                ax.plot(table[end], rows, "|", color=QUERY_COLOUR, markersize=8, markeredgewidth=1.6)
            ends = table[high].clip(lower=0)
        # Room on the right for the numbers, about 0.6 inch of the 6 that the bars have.
        least = min(0.0, table[value if low is None else low].min(), chance or 0.0)
        most = max(ends.max(), chance or 0.0)
        most = most if most > least else 1.0
        ax.set_xlim(least - (0.02 * (most - least) if least < 0 else 0), most + 0.12 * (most - least))
        for row, amount, end in zip(rows, table[value], ends, strict=True):
            ax.annotate(
                str.format(number, amount).replace("-", "\N{MINUS SIGN}"), (end, row), xytext=(5, 0), va="center",
                textcoords="offset points", fontsize=10,
                bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
            )  # fmt: skip
        if chance is not None:
            ax.axvline(chance, color=CHANCE_COLOUR, linestyle=(0, (3, 2)), linewidth=1.4)
            ax.annotate(
                f"chance, {str.format(number, chance)}", (chance, 1), xytext=(0, 3), xycoords=("data", "axes fraction"),
                textcoords="offset points", va="bottom", fontsize=9, color=CHANCE_COLOUR,
                ha="left" if chance < most / 2 else "right",  # where there is room
            )  # fmt: skip
        _label_rows(ax, names, value if label is None else label, title, above=20 if chance is not None else 6)
    return figure


def intervals(table, value, low, high, name="method", hue=None, label=None, title=None, line=0.0):
    """Effects as points with their intervals, one row a `name`, in the order of the table; several colours by `hue`.

    table: one row an effect. label: of the axis, with the unit; by default the column's name. line: where there is no
    effect, a vertical line; None draws none. Each hue has its own colour and marker; eight at most.
    >>> table = pd.DataFrame({"method": ["margin 0.2", "margin 1"], "points": [2, -1], "low": [1, -3], "high": [3, 1]})
    >>> [text.get_text() for text in intervals(table, "points", "low", "high").axes[0].get_yticklabels()]
    ['margin 0.2', 'margin 1']
    """
    _check_table(table, [value], low, high, value, name, hue, line=line)
    if table.duplicated([name] if hue is None else [name, hue]).any():
        raise ValueError(f"expected each {name!r} once{'' if hue is None else f' a {hue!r}'}, got one twice")
    hues, places = _names_of_hue(table, hue), {text: i for i, text in enumerate(dict.fromkeys(table[name]))}
    table = table.reset_index(drop=True)
    in_row = table[name].map(table[name].value_counts())  # points that share a row stand below each other, by hue
    rank = (table[name] if hue is None else table[hue]).map({each: i for i, each in enumerate(hues)}).fillna(0)
    rank = rank.groupby(table[name]).rank(method="first") - 0.5
    height = 0.18 * len(table) + 0.2 * len(places) + 0.75 + (0.3 if title else 0.0)
    with _new_figure((WIDTH, height), "whitegrid", layout="constrained") as figure:
        ax = figure.add_subplot()
        for colour, marker, each in zip(_PALETTE, MARKERS, hues, strict=False):
            part = table if hue is None else table[table[hue] == each]
            y = part[name].map(places) + 0.7 * (rank / in_row - 0.5).loc[part.index]
            ax.errorbar(
                part[value], y, xerr=[part[value] - part[low], part[high] - part[value]], fmt=marker, capsize=3,
                color=QUERY_COLOUR if hue is None else colour, label="_" if each is None else _wrapped(each, 26),
            )  # fmt: skip
        if line is not None:
            ax.axvline(line, color=CHANCE_COLOUR, linewidth=1.2, zorder=1)
        _label_rows(ax, [_wrapped(text, 34) for text in places], value if label is None else label, title)
        if hue is not None:
            _write_legend(figure, ax, hue)
    return figure


@contextmanager
def _new_figure(size, style, layout=None):
    """A figure in the course's style: made by pyplot, so that a notebook can show it, then forgotten by it."""
    fonts = {"font.family": _font_families()}
    with sns.axes_style(style), sns.plotting_context("notebook", font_scale=0.9), plt.rc_context(fonts):
        figure = plt.figure(figsize=size, layout=layout)
        try:
            yield figure
        finally:
            plt.close(figure)


def _font_families():
    """matplotlib's own fonts, and the first installed one with Chinese, Japanese and Korean letters, if any."""
    installed = {font.name for font in fontManager.ttflist}
    return [*plt.rcParams["font.family"], *[name for name in _ASIAN_FONTS if name in installed][:1]]


def _names_of_hue(table, hue):
    """The names of the colours, in order of first appearance: [None] where all are alike, else at most eight."""
    names = [None] if hue is None else list(dict.fromkeys(table[hue]))
    if len(names) > len(MARKERS):
        raise ValueError(f"expected at most {len(MARKERS)} names in column {hue!r}, to be told apart, got {len(names)}")
    return names


def _label_rows(ax, names, label, title, above=6):
    """One name a row, the first on top; the label of the axis below and the title above."""
    ax.set_yticks(range(len(names)), names, parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(_label(label), parse_math=False)
    _set_title(ax, title, above)
    ax.grid(axis="y", visible=False)
    sns.despine(ax=ax, left=True)


def _write_legend(figure, ax, hue):
    legend = figure.legend(
        *ax.get_legend_handles_labels(), loc="outside right center", frameon=False, handlelength=3.2,
        title=None if hue is None else _label(hue), alignment="left",
    )  # fmt: skip
    legend.get_title().set_fontweight("bold")
    for text in legend.get_texts():
        text.set_parse_math(False)


def _frame(ax, colour, width, style):
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linewidth=width, linestyle=style)


def _mark(ax, is_right, inches):
    """Frame and sign of a right or a wrong answer in a cell of this width."""
    _frame(ax, RIGHT_COLOUR if is_right else WRONG_COLOUR, 2.6, "-" if is_right else (0, (3, 1.2)))
    _sign(ax, 1, 1, is_right, ax.transAxes, size=min(13.0, 7 + 7 * inches))


def _sign(parent, x, y, is_right, transform, size=13.0):
    """A disc of `size` points with a tick or a cross, at a point of `transform`."""
    disc = {"markerfacecolor": RIGHT_COLOUR if is_right else WRONG_COLOUR, "markeredgecolor": "white"}
    line = {"markerfacecolor": "none", "markeredgecolor": "white" if is_right else "black", "markeredgewidth": size / 7}
    for marker, share, more in (("o", 1.0, disc), (_TICK if is_right else _CROSS, 0.54, line)):
        artist = Line2D([x], [y], marker=marker, markersize=share * size, transform=transform, clip_on=False, **more)
        artist.set(gid="right" if is_right else "wrong", zorder=5)
        parent.add_artist(artist)


def _label(text):
    return str(text).replace("_", " ")  # a column's name as words: search_ms -> search ms


def _wrapped(text, n_letters):
    return "\n".join(textwrap.wrap(str(text), n_letters, break_long_words=True)) or " "


def _fitted(text, inches, n_lines, fontsize):
    """The text wrapped to at most n_lines of a width, what does not fit cut off and replaced by an ellipsis."""
    font = FontProperties(family=_font_families(), size=fontsize)

    def is_wide(line):
        return _TEXT_TO_PATH.get_text_width_height_descent(line, font, False)[0] > inches * 72

    words, lines = str(text).split(), []
    while words and len(lines) < n_lines:
        line = words.pop(0)
        while words and not is_wide(f"{line} {words[0]}"):
            line = f"{line} {words.pop(0)}"
        lines.append(line)
    if words:
        lines[-1] = " ".join([lines[-1], *words])
    for i, line in enumerate(lines):
        if is_wide(line):  # the longest beginning that fits with its ellipsis, by bisection
            n = bisect_left(range(1, len(line)), True, key=lambda n, line=line: is_wide(line[:n].rstrip() + "…"))
            lines[i] = line[:n].rstrip() + "…"
    return "\n".join(lines)


def _set_title(ax, title, above=6):
    if title:
        ax.set_title(_wrapped(title, 80), loc="left", pad=above, parse_math=False)


def _plain_ticks(axis, values):
    """Ticks of a logarithmic axis as plain numbers: the measured values where there is room, else round ones."""
    ticks = np.unique(values)
    steps = np.diff(np.log(ticks))
    if 3 <= len(ticks) <= 12 and steps.min() > np.log(ticks[-1] / ticks[0]) / 16:
        axis.set_ticks(ticks)
    elif ticks[-1] < 10 * ticks[0]:
        axis.set_major_locator(MaxNLocator(5))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if ticks[-1] < 1000 * ticks[0] else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_locator(NullLocator())


def _check_table(table, columns, low, high, value, *names, line=None):
    """ValueError unless these columns are there, finite, and each interval holds its value."""
    if not isinstance(table, pd.DataFrame) or not len(table):
        got = "an empty table" if isinstance(table, pd.DataFrame) else type(table).__name__
        raise ValueError(f"expected a DataFrame of 1 row or more, got {got}")
    if table.columns.has_duplicates or not np.isfinite(0.0 if line is None else line):
        raise ValueError(f"expected each column once and a finite line or None, got {list(table.columns)}, {line!r}")
    if (low is None) != (high is None):
        raise ValueError(f"expected both low and high or neither, got low={low!r} and high={high!r}")
    columns = [*columns, *([low, high] if low is not None else [])]
    missing = [column for column in (*columns, *(name for name in names if name is not None)) if column not in table]
    if missing:
        has = ", ".join(map(str, table.columns))
        raise ValueError(f"no column {', '.join(map(repr, missing))}; the table has: {has}")
    for column in columns:
        if table[column].dtype.kind not in "bif" or not np.isfinite(table[column]).all():
            raise ValueError(f"column {column!r} must hold finite numbers only, got {table[column].dtype}")
    if low is not None:
        room = 1e-9 * table[value].abs().max()
        outside = ~table[value].between(table[low] - room, table[high] + room)
        if outside.any():
            row = table[outside].iloc[0]
            raise ValueError(f"expected {value!r} inside its interval, got {row[value]} for {row[low]} to {row[high]}")


def _checked_images(queries, neighbours_images, are_texts):
    """(q, k) of a grid whose images all are uint8 (h, w, 3), and whose queries are all images or all texts."""
    n_queries = len(queries)
    ks = sorted({len(row) for row in neighbours_images})
    if n_queries == 0 or len(neighbours_images) != n_queries or len(ks) != 1 or ks[0] == 0:
        got = f"{n_queries} queries and {len(neighbours_images)} rows of {ks} neighbours"
        raise ValueError(f"expected a row of neighbours for each query, all of one length, 1 or more, got {got}")
    if ks[0] > 20:
        raise ValueError(f"expected at most 20 neighbours a row, which are large enough to see, got {ks[0]}")
    if are_texts and not all(isinstance(query, str) for query in queries):
        raise ValueError("expected queries that are all images or all texts, got some of each")
    for image in (*(() if are_texts else queries), *(image for row in neighbours_images for image in row)):
        shape, dtype = np.shape(image), getattr(image, "dtype", type(image).__name__)
        if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"expected images as uint8 (h, w, 3), got {dtype} {shape}")
    return n_queries, ks[0]
