"""plots: what is in a figure, in which order, inside its bounds, and told by more than colour."""

import dataclasses

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from nbclient import NotebookClient

from lib import plots

LONG = "Supercalifragilisticexpialidocious navy blue check shirt for $5, worn with a belt that costs $7"


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def methods():
    return pd.DataFrame(
        {
            "method": ["colour", "HOG", "small CNN", "a bag of visual words with a spatial pyramid of three levels"],
            "mAP": [0.12, 0.3, 0.85, 0.3],
            "low": [0.1, 0.27, 0.8, 0.25],
            "high": [0.15, 0.33, 0.9, 0.38],
        }
    )


@pytest.fixture
def trade():
    """Two curves of four points each, rows out of order."""
    return pd.DataFrame(
        {
            "d": [64, 8, 16, 32, 8, 16, 32, 64],
            "mAP": [0.5, 0.2, 0.3, 0.4, 0.1, 0.15, 0.2, 0.25],
            "low": [0.45, 0.15, 0.25, 0.35, 0.05, 0.1, 0.15, 0.2],
            "high": [0.55, 0.25, 0.35, 0.45, 0.15, 0.2, 0.25, 0.3],
            "way": ["nested"] * 4 + ["random"] * 4,
        }
    )


def _texts(figure):
    """The visible texts of a drawn figure with the box of each, in pixels."""
    figure.draw_without_rendering()
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = [(tick, sorted(axis.get_view_interval())) for axis in axes for tick in axis.get_major_ticks()]
    not_drawn = {
        label for tick, (a, b) in ticks if not a <= tick.get_loc() <= b for label in (tick.label1, tick.label2)
    }
    found = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in not_drawn]
    return {text: text.get_window_extent() for text in found}


def _words(figure):
    return [text.get_text() for text in _texts(figure)]


def _overflowing(figure):
    """Texts that stick out of the figure by more than a pixel."""
    width, height = figure.canvas.get_width_height()
    boxes = _texts(figure).items()
    return [t.get_text() for t, b in boxes if b.x0 < -1 or b.y0 < -1 or b.x1 > width + 1 or b.y1 > height + 1]


def _overlapping(figure):
    """Pairs of texts whose boxes share more than a pixel."""
    items = list(_texts(figure).items())
    return [
        (a.get_text(), b.get_text())
        for i, (a, box) in enumerate(items)
        for b, other in items[i + 1 :]
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 1 and min(box.y1, other.y1) - max(box.y0, other.y0) > 1
    ]


def _formulas(figure):
    """Texts whose dollars would be read as the marks of a formula."""
    return [text.get_text() for text in _texts(figure) if "$" in text.get_text() and text.get_parse_math()]


def _luminance(colour):
    return float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))


def _frame_colour(ax):
    return ax.spines["left"].get_edgecolor()


def _signs(ax):
    return {line.get_gid() for line in ax.lines}


# --- retrieval_grid -----------------------------------------------------------------------------------


def test_a_grid_has_the_query_first_and_the_neighbours_in_order(images):
    neighbours = np.array([[2, 3, 4], [7, 6, 5]])
    axes = plots.retrieval_grid(images[:2], images[neighbours]).axes
    shown = [ax.images[0].get_array() for ax in axes]
    assert len(axes) == 2 * (1 + 3)
    for shown_image, row in zip(shown, [0, 2, 3, 4, 1, 7, 6, 5], strict=True):
        np.testing.assert_array_equal(shown_image, images[row])
    lefts = [ax.get_position().x0 for ax in axes[:4]]
    assert lefts == sorted(lefts)
    assert axes[4].get_position().y1 < axes[0].get_position().y0


def test_right_and_wrong_differ_in_colour_luminance_line_and_sign(images):
    axes = plots.retrieval_grid(images[:1], images[None, 1:4], [[True, False, True]]).axes
    query, right, wrong, right_too = axes
    assert (_signs(query), _signs(right), _signs(wrong), _signs(right_too)) == (set(), {"right"}, {"wrong"}, {"right"})
    assert _frame_colour(right) == _frame_colour(right_too)
    assert abs(_luminance(_frame_colour(right)) - _luminance(_frame_colour(wrong))) > 0.3
    assert right.spines["left"].get_linestyle() != wrong.spines["left"].get_linestyle()
    assert query.spines["left"].get_linewidth() > right.spines["left"].get_linewidth()


def test_graded_relevance_counts_as_right_above_zero(images):
    axes = plots.retrieval_grid(images[:1], images[None, 1:4], np.array([[0.0, 0.2, 1.0]])).axes
    assert [_signs(ax) for ax in axes[1:]] == [{"wrong"}, {"right"}, {"right"}]


def test_without_relevance_nothing_is_marked_and_no_key_is_drawn(images):
    figure = plots.retrieval_grid(images[:1], images[None, 1:4])
    assert all(_signs(ax) == set() for ax in figure.axes)
    assert "relevant" not in _words(figure)
    assert {"relevant", "not relevant"} < set(_words(plots.retrieval_grid(images[:1], images[None, 1:4], [[1, 0, 1]])))


@pytest.mark.parametrize("k", [1, 3, 8, 20])
def test_long_titles_are_shortened_into_the_figure_and_do_not_touch(images, k):
    neighbours = np.zeros((2, k), int)
    titles = [[LONG] * k] * 2
    figure = plots.retrieval_grid(images[:2], images[neighbours], neighbours == 0, [LONG] * 2, titles, title=LONG * 3)
    assert _overflowing(figure) == []
    assert _overlapping(figure) == []
    assert sum(word.endswith("…") for word in _words(figure)) == 2 * (k + 1) + 1
    assert figure.get_figwidth() <= plots.WIDTH + 1e-9


def test_short_titles_are_shown_whole_and_dollars_are_no_formula(images):
    figure = plots.retrieval_grid(
        images[:1], images[None, 1:3], None, ["$5 or $6"], [["a $6 hat", "a $7 hat"]], "$1 to $2"
    )
    assert {"$5 or $6", "a $6 hat", "a $7 hat", "$1 to $2"} <= {word.replace("\n", " ") for word in _words(figure)}
    assert _formulas(figure) == []


def test_images_of_several_sizes_fit(images):
    tall, wide = np.zeros((30, 20, 3), np.uint8), np.zeros((10, 40, 3), np.uint8)
    figure = plots.retrieval_grid([tall], [[wide, images[0]]])
    figure.draw_without_rendering()
    boxes = [ax.get_window_extent() for ax in figure.axes]
    assert [round(box.height / box.width, 2) for box in boxes] == [30 / 20, 10 / 40, 1.0]


CAPTIONS = ["A dog runs.", "Two brown dogs that cost $5 run over a green meadow with $7 flowers. " * 5]


@pytest.mark.parametrize("k", [1, 5, 10, 20])
@pytest.mark.slow
def test_captions_as_queries_are_written_in_their_frame_beside_the_images(images, k):
    titles = [["title"] * k] * 2
    figure = plots.retrieval_grid(CAPTIONS, images[np.zeros((2, k), int)], np.ones((2, k)), ["a", LONG], titles)
    words = [word.replace("\n", " ") for word in _words(figure)]
    assert "A dog runs." in words and any(word.startswith("Two brown dogs") and word[-1] == "…" for word in words)
    assert _overflowing(figure) == _overlapping(figure) == _formulas(figure) == []
    assert figure.get_figwidth() <= plots.WIDTH + 1e-9
    texts = _texts(figure)
    for ax in figure.axes[:: k + 1]:
        assert len(ax.images) == 0 and ax.spines["left"].get_linewidth() == 3
        frame, inside = ax.get_window_extent(), next(texts[text] for text in ax.texts if text.get_position() == (7, -6))
        assert frame.x0 < inside.x0 and inside.x1 < frame.x1 and frame.y0 < inside.y0 and inside.y1 < frame.y1
    assert all(len(ax.images) == 1 for ax in figure.axes[1 : k + 1])


def test_a_caption_that_has_room_is_written_in_full(images):
    caption = "A man in a blue shirt is standing on a ladder cleaning a window of a tall house."
    figure = plots.retrieval_grid([caption], images[None, 1:6])
    assert caption in [word.replace("\n", " ") for word in _words(figure)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": ["a caption", np.zeros((4, 4, 3), np.uint8)]}, "all images or all texts"),
        ({"queries": ["a caption"]}, "got 1 queries and 2 rows"),
        ({"queries": np.zeros((0, 4, 4, 3), np.uint8), "neighbours_images": []}, "got 0 queries"),
        ({"queries": np.zeros((3, 4, 4, 3), np.uint8)}, "3 queries and 2 rows"),
        ({"neighbours_images": np.zeros((2, 0, 4, 4, 3), np.uint8)}, "1 or more"),
        ({"neighbours_images": [[np.zeros((4, 4, 3), np.uint8)], []]}, "all of one length"),
        ({"neighbours_images": np.zeros((2, 21, 4, 4, 3), np.uint8)}, "at most 20"),
        ({"neighbours_images": np.zeros((2, 3, 4, 4, 3))}, "got float64"),
        ({"queries": np.zeros((2, 4, 4), np.uint8)}, r"expected images as uint8 .*, got uint8 \(4, 4\)"),
        ({"relevance": [[True, False], [True, False]]}, r"expected relevance \(2, 3\) of numbers"),
        ({"relevance": np.full((2, 3), np.nan)}, r"expected relevance \(2, 3\) of numbers"),
        ({"query_titles": ["a"]}, "got 1 and"),
        ({"neighbour_titles": [["a", "b"], ["a", "b"]]}, r"3 neighbour titles a row, got 2 and \[2, 2\]"),
    ],
)
def test_a_grid_refuses_what_does_not_fit(change, message):
    sound = {"queries": np.zeros((2, 4, 4, 3), np.uint8), "neighbours_images": np.zeros((2, 3, 4, 4, 3), np.uint8)}
    with pytest.raises(ValueError, match=message):
        plots.retrieval_grid(**{**sound, **change})


# --- curves -------------------------------------------------------------------------------------------


def test_each_curve_has_its_points_in_order_of_x(trade):
    lines = plots.curves(trade, "d", "mAP", hue="way").axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["nested", "random"]
    assert lines[0].get_xdata().tolist() == [8, 16, 32, 64]
    assert lines[0].get_ydata().tolist() == [0.2, 0.3, 0.4, 0.5]


def test_whole_numbers_have_whole_numbers_as_ticks():
    table = pd.DataFrame({"epoch": [1, 2, 3], "share": [0.25, 0.5, 0.75], "y": [0.1, 0.2, 0.3]})
    whole, parts = (plots.curves(table, x, "y").axes[0].get_xticks() for x in ("epoch", "share"))
    assert all(tick == round(tick) for tick in whole)
    assert not all(tick == round(tick) for tick in parts)


def test_eight_curves_differ_in_marker_and_line_style():
    table = pd.DataFrame({"x": [1, 2] * 8, "y": np.arange(16.0), "way": np.repeat(list("abcdefgh"), 2)})
    lines = plots.curves(table, "x", "y", hue="way").axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == 8
    assert len({line.get_color() for line in lines}) == 8
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 8


def test_bands_span_low_to_high(trade):
    bands = plots.curves(trade, "d", "mAP", "low", "high", "way").axes[0].collections
    assert len(bands) == 2
    corners = bands[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (0.15, 0.55)
    assert plots.curves(trade, "d", "mAP", hue="way").axes[0].collections[:] == []


def test_a_logarithmic_axis_has_the_measured_values_as_ticks(trade):
    ax = plots.curves(trade, "d", "mAP", hue="way", log_x=True).axes[0]
    ax.figure.draw_without_rendering()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["8", "16", "32", "64"]


@pytest.mark.parametrize(("least", "most"), [(0.6, 0.65), (0.14, 0.8), (0.001, 5000.0)])
def test_a_logarithmic_axis_of_any_span_has_readable_ticks(least, most):
    table = pd.DataFrame({"x": [1.0, 1.01, 3.0, 9.0], "y": [least, least * 1.01, most * 0.98, most]})
    figure = plots.curves(table, "x", "y", log_x=True, log_y=True)
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_ylim()
    assert sum(low <= tick <= high for tick in figure.axes[0].get_yticks()) >= 3
    assert _overlapping(figure) == []


def test_labels_legend_and_chance_are_written_inside_the_figure(trade):
    name = "the nested loss of Matryoshka, with the weights of the paper, in $d$ dimensions"
    trade["way"] = trade["way"].map({"nested": name, "random": "random"})
    figure = plots.curves(
        trade, "d", "mAP", "low", "high", "way", x_label="dimensions", y_label="mAP@10", title=LONG * 2, chance=0.05
    )
    words = _words(figure)
    assert {"dimensions", "mAP@10", "random", "way", "chance, 0.05"} <= set(words)
    assert name in {word.replace("\n", " ") for word in words}
    assert _formulas(figure) == []
    assert _overflowing(figure) == []
    assert _overlapping(figure) == []
    assert figure.get_figwidth() == plots.WIDTH
    assert figure.get_figwidth() / figure.get_figheight() > 2


def test_a_label_is_the_name_of_the_column_unless_given(trade):
    ax = plots.curves(trade.rename(columns={"d": "search_ms"}), "search_ms", "mAP", hue="way").axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("search ms", "mAP")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": "recall"}, "no column 'recall'; the table has: d, mAP"),
        ({"hue": "method"}, "no column 'method'"),
        ({"low": "low"}, "expected both low and high or neither"),
        ({"hue": None}, "expected one point a curve at each 'd', got 4 more"),
        ({"y": "way"}, "must hold finite numbers only"),
        ({"y": "low", "low": "mAP", "high": "high"}, "inside its interval"),
    ],
)
def test_curves_refuse_what_cannot_be_drawn(trade, arguments, message):
    with pytest.raises(ValueError, match=message):
        plots.curves(trade, **{"x": "d", "y": "mAP", "hue": "way", **arguments})


def test_curves_refuse_gaps_no_rows_many_curves_and_zero_on_a_logarithmic_axis(trade):
    with pytest.raises(ValueError, match="must hold finite numbers only"):
        plots.curves(trade.assign(mAP=np.nan), "d", "mAP", hue="way")
    with pytest.raises(ValueError, match="an empty table"):
        plots.curves(trade[:0], "d", "mAP")
    with pytest.raises(ValueError, match="expected a DataFrame of 1 row or more, got list"):
        plots.curves([1, 2], "d", "mAP")
    with pytest.raises(ValueError, match="at most 8 names in column 'way', to be told apart, got 9"):
        plots.curves(pd.DataFrame({"x": range(9), "y": range(9), "way": list("abcdefghi")}), "x", "y", hue="way")
    with pytest.raises(ValueError, match="column 'd' must be above 0 on a logarithmic axis, got 0"):
        plots.curves(trade.replace({"d": {8: 0}}), "d", "mAP", hue="way", log_x=True)


# --- ranked -------------------------------------------------------------------------------------------


def _bars_from_the_top(ax):
    """(name, value) of each bar, by where it is drawn."""
    ax.figure.draw_without_rendering()
    bars = sorted(ax.patches, key=lambda bar: -bar.get_window_extent().y0)
    labels = sorted(ax.get_yticklabels(), key=lambda label: -label.get_window_extent().y0)
    return [(label.get_text().replace("\n", " "), bar.get_width()) for label, bar in zip(labels, bars, strict=True)]


def test_methods_come_from_best_to_worst_and_ties_in_order_of_the_table(methods):
    drawn = _bars_from_the_top(plots.ranked(methods, "mAP").axes[0])
    assert drawn == [("small CNN", 0.85), ("HOG", 0.3), (methods["method"][3], 0.3), ("colour", 0.12)]


def test_the_smallest_is_on_top_where_smaller_is_better(methods):
    drawn = _bars_from_the_top(plots.ranked(methods, "mAP", smaller_is_better=True).axes[0])
    assert [value for _, value in drawn] == [0.12, 0.3, 0.3, 0.85]


def test_intervals_are_drawn_at_their_own_bar(methods):
    ax = plots.ranked(methods, "mAP", "low", "high").axes[0]
    segments = np.array(ax.collections[0].get_segments())
    assert segments[0].tolist() == [[0.8, 0.0], [0.9, 0.0]]
    assert segments[-1].tolist() == [[0.1, 3.0], [0.15, 3.0]]


@pytest.mark.parametrize("chance", [None, 0.05, 0.8])
def test_numbers_names_and_chance_are_written_inside_without_touching(methods, chance):
    figure = plots.ranked(methods, "mAP", "low", "high", label="mAP@10 (200 queries)", title=LONG, chance=chance)
    words = _words(figure)
    assert {"0.850", "0.300", "0.120", "mAP@10 (200 queries)"} <= set(words)
    assert (f"chance, {chance or 0:.3f}" in words) == (chance is not None)
    assert _overflowing(figure) == []
    assert _overlapping(figure) == []
    box = figure.axes[0].get_window_extent()
    numbers = [extent for text, extent in _texts(figure).items() if text.get_text() in ("0.850", "0.300", "0.120")]
    assert all(box.x0 < extent.x0 and extent.x1 < box.x1 for extent in numbers)


def test_differences_below_zero_are_drawn_to_the_left(methods):
    table = pd.DataFrame({"method": ["a", "b"], "d": [0.03, -0.02], "low": [0.01, -0.04], "high": [0.05, -0.01]})
    figure = plots.ranked(table, "d", "low", "high", label="difference in mAP")
    assert "\N{MINUS SIGN}0.020" in _words(figure)
    low, high = figure.axes[0].get_xlim()
    assert low < -0.04 and high > 0.05
    assert _overlapping(figure) == []


def test_values_of_zero_have_an_axis():
    low, high = plots.ranked(pd.DataFrame({"method": ["a"], "v": [0.0]}), "v").axes[0].get_xlim()
    assert (low, high) == (0.0, 1.12)


def test_ranked_refuses_what_cannot_be_drawn(methods):
    with pytest.raises(ValueError, match="an empty table"):
        plots.ranked(methods[:0], "mAP")
    with pytest.raises(ValueError, match="expected each 'method' once, got 'HOG' twice"):
        plots.ranked(pd.concat([methods, methods[1:2]]), "mAP")
    with pytest.raises(ValueError, match=r"expected 'mAP' inside its interval, got 0\.12 for 0\.27 to"):
        plots.ranked(methods.assign(low=0.27, high=0.9), "mAP", "low", "high")
    with pytest.raises(ValueError, match="no column 'name'"):
        plots.ranked(methods, "mAP", name="name")


# --- intervals ----------------------------------------------------------------------------------------


def test_effects_stand_in_the_order_of_the_table_with_their_intervals():
    table = pd.DataFrame({"change": ["a", "b"], "points": [2.0, -1.0], "low": [1.0, -3.0], "high": [3.0, 0.5]})
    figure = plots.intervals(table, "points", "low", "high", name="change", label="points of mAP", title=LONG)
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    points, *_, line = ax.lines
    assert (points.get_xdata().tolist(), points.get_ydata().tolist()) == ([2, -1], [0, 1])
    segments = ax.collections[0].get_segments()
    assert [segment[:, 0].tolist() for segment in segments] == [[1, 3], [-3, 0.5]]
    assert list(line.get_xdata()) == [0, 0]
    assert _overflowing(figure) == _overlapping(figure) == []


def test_hues_stand_above_each_other_and_are_told_by_marker_and_legend():
    table = pd.DataFrame({"network": ["x", "x", "y"], "way": ["$1 cut", "$2 whole", "$1 cut"], "points": [1.0, 2, 3]})
    table = table.assign(low=table["points"] - 0.5, high=table["points"] + 0.5)
    figure = plots.intervals(table, "points", "low", "high", name="network", hue="way", line=None)
    first, second = (container.lines[0] for container in figure.axes[0].containers)
    assert first.get_marker() != second.get_marker()
    assert first.get_ydata()[0] < second.get_ydata()[0] < 0.5 < first.get_ydata()[1]
    assert {"$1 cut", "$2 whole"} <= set(_words(figure))
    assert _formulas(figure) == _overflowing(figure) == _overlapping(figure) == []


def test_a_point_that_has_a_row_to_itself_stands_at_its_label():
    table = pd.DataFrame({"type": ["a", "b", "c"], "size": ["small", "large", "small"], "iou": [0.1, 0.2, 0.3]})
    table = table.assign(low=table["iou"] - 0.05, high=table["iou"] + 0.05).set_index([[0, 0, 0]])
    ax = plots.intervals(table, "iou", "low", "high", name="type", hue="size").axes[0]
    assert sorted(y for drawn in ax.containers for y in drawn.lines[0].get_ydata()) == [0, 1, 2]


def test_intervals_refuse_what_cannot_be_drawn(methods):
    for change, arguments, message in [
        (methods[:0], {}, "got an empty table"),
        (pd.concat([methods, methods[1:2]]), {}, "expected each 'method' once, got one twice"),
        (methods, {"hue": "seed"}, "no column 'seed'"),
        (methods, {"low": None}, "both low and high"),
    ]:
        with pytest.raises(ValueError, match=message):
            plots.intervals(change, **{"value": "mAP", "low": "low", "high": "high", **arguments})


# --- all ----------------------------------------------------------------------------------------------


def test_no_figure_stays_open_no_other_is_closed_and_no_style_is_left_behind(images, methods, trade):
    own = plt.figure()
    style = dict(matplotlib.rcParams)
    plots.retrieval_grid(images[:1], images[None, 1:3])
    plots.curves(trade, "d", "mAP", hue="way")
    plots.ranked(methods, "mAP")
    plots.intervals(methods, "mAP", "low", "high")
    with pytest.raises(ValueError, match="empty"):
        plots.ranked(methods[:0], "mAP")
    assert plt.get_fignums() == [own.number]
    assert plt.gcf() is own
    assert dict(matplotlib.rcParams) == style
    plt.close(own)


def test_asian_names_are_written_in_a_font_that_has_them(methods, monkeypatch):
    fonts = plots.fontManager.ttflist
    own = next(font for font in fonts if font.name == "DejaVu Sans")
    asian = dataclasses.replace(own, name="Noto Sans CJK JP")
    monkeypatch.setattr(plots.fontManager, "ttflist", [*fonts, asian])
    figure = plots.ranked(methods, "mAP")
    assert figure.axes[0].get_yticklabels()[0].get_fontfamily()[-1] == "Noto Sans CJK JP"


def test_no_table_or_image_is_changed(images, methods):
    images_before, methods_before = images.copy(), methods.copy()
    plots.retrieval_grid(images[:1], images[None, 1:3], [[True, False]])
    plots.ranked(methods, "mAP", "low", "high")
    np.testing.assert_array_equal(images, images_before)
    pd.testing.assert_frame_equal(methods, methods_before)


@pytest.mark.slow
def test_a_notebook_shows_a_returned_figure_once_and_a_kept_one_not(tmp_path):
    cells = [
        "import pandas as pd\nfrom lib import plots\ntable = pd.DataFrame({'method': ['a', 'b'], 'mAP': [0.1, 0.2]})",
        "plots.ranked(table, 'mAP')",
        "figure = plots.ranked(table, 'mAP')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = [["image/png" in output.get("data", {}) for output in cell["outputs"]] for cell in notebook.cells]
    assert shown == [[], [True], []]
