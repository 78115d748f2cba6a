"""Pages and tables of a report: what they show, that nothing in them runs, and that no claim is cut."""

import base64
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course import report
from course.report import wording
from lib.results import Claim, Measure

NOTEBOOK = "00_toy"
LONG = "a claim of many words that goes on " + "and on " * 40 + "to its end"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def claim(text="half is much", verdict="holds", **changes):
    fields = {"value": 3.2, "low": 1.0, "high": 5.4, "p_value": 0.001, "relation": "above", "margin": 0.0}
    return Claim(NOTEBOOK, text, verdict, **fields | {"n": 400, "unit": "points"} | changes)


CLAIMS = [
    claim(),
    claim("a quarter is more", "contradicted", value=-2.0, low=-3.0, high=-1.0),
    claim("thirds are even", "undecided", relation="within", margin=(-3.0, 3.0)),
    Claim(NOTEBOOK, "photos are larger", "not run", evidence="the photos are not here"),
]
MEASURES = [
    Measure(NOTEBOOK, "AP", 0.5, 0.4, 0.6, n=8, data="toys", more={"method": "HOG"}),
    Measure(NOTEBOOK, "time", 12.3, unit="ms", more={"method": "HOG"}),
    Measure(NOTEBOOK, "AP", 0.25, 0.2, 0.3, n=8, data="toys", more={"method": "colour", "bins": 8}),
]


def card(name=NOTEBOOK, **changes):
    return {"name": name, "question": "What is a toy?", "minutes": 1, "files": {"html": f"{name}.html"},
            "status": "ok", "seconds": 61, "given": {}} | changes  # fmt: skip


def index(measures=(), claims=(), cards=None, profile="quick", **changes):
    return report.index_page(profile, cards or [card()], list(measures), list(claims), {}, **changes)


def page(*cells, title="A toy", **state):
    return report.notebook_page(new_notebook(cells=list(cells)), title, {"status": "ok", "seconds": 3} | state)


def shown(**data):
    data = {kind.replace("_", "/", 1): content for kind, content in data.items()}
    return new_code_cell("1", outputs=[new_output("display_data", data=data)])


def text_of(html):
    """What a reader sees: without tags, spaces made one."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.split("<main>")[1]).split())


# ---- the index -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "colour"), [("holds", "good"), ("contradicted", "bad"), ("undecided", "open"), ("not run", "")]
)
def test_each_verdict_is_a_word_with_a_colour_of_its_own(verdict, colour):
    html = index(claims=[c for c in CLAIMS if c.verdict == verdict])
    pills = re.findall(r'<td class="verdict"><span class="pill ?(\w*)">([^<]*)</span>', html)
    assert pills == [(colour, pills[0][1])] and pills[0][1].endswith(verdict)


def test_the_verdicts_are_counted_at_the_top():
    said = text_of(index(claims=CLAIMS))
    assert "1 claims hold 1 contradicted 1 undecided 1 not run" in said


def test_a_claim_is_there_to_its_last_word_and_its_cell_wraps():
    html = index(claims=[claim(LONG)])
    assert f"<td>{LONG}</td>" in html
    assert ".claims td { overflow-wrap: anywhere; }" in html
    rules = re.sub(r"(?s)\.card .*?\}|\.pill \{.*?\}", "", html)
    assert "ellipsis" not in rules and "line-clamp" not in rules


def test_a_claim_shows_its_effect_what_was_asked_and_why_it_was_not_run():
    said = text_of(index(claims=CLAIMS))
    assert "half is much ✓ holds +3.2 points (+1.0 to +5.4), n = 400" in said
    assert "asked: within −3 to 3" in said
    assert "photos are larger not run the photos are not here" in said


def test_a_claim_that_asks_for_one_number_names_it_once():
    none = claim("pairs that swap", value=0, low=None, high=None, relation="within", margin=(0, 0), unit=None)
    assert "+0, asked: 0, n" in text_of(index(claims=[none]))


def test_claims_of_other_profiles_stand_beside_the_verdict():
    html = index(claims=CLAIMS, elsewhere={CLAIMS[0].identity: {"full": "contradicted"}})
    assert "✓ holds full: contradicted" in text_of(html)


def test_measures_of_one_quantity_stand_side_by_side():
    said = text_of(index(measures=MEASURES))
    assert said.index("HOG 0.500") < said.index("colour, bins=8 0.250") < said.index("12.3 ms")


def test_everything_from_notebooks_is_escaped_in_the_index():
    evil = "<script>alert(1)</script>"
    html = index(
        [Measure(NOTEBOOK, evil, 0.5, data=evil, definition=evil, more={"method": evil})],
        [claim(evil, evidence=evil, source=evil)],
        [card(question=evil, failure={"text": evil}, given={evil: evil}, status="failed")],
        profile=evil,
        elsewhere={(NOTEBOOK, evil): {evil: evil}},
    )
    assert "<script" not in html and html.count("&lt;script&gt;") >= 10


def test_a_notebook_that_failed_or_never_ran_says_so():
    said = text_of(index(cards=[card(status="failed", failure={"text": "cell 3 broke"}), card("01_x", status=None)]))
    assert "cell 3 broke" in said and "✗ failed" in said and "not run" in said and "0 of 2 notebooks ran" in said


def test_an_index_without_results_is_a_page():
    assert "What is a toy?" in index() and "<h2" not in index()


def test_tables_of_lib_results_are_taken_as_well_as_objects():
    import pandas as pd

    measures = pd.DataFrame([measure.to_dict() for measure in MEASURES])  # bins is NaN where there is none
    claims = pd.DataFrame([made.to_dict() for made in CLAIMS])
    assert report.index_page("quick", [card()], measures, claims, {}) == index(MEASURES, CLAIMS)


# ---- profiles side by side -----------------------------------------------------------------------------------------


def reports_of(folder, *profiles):
    for profile in profiles:
        (folder / profile).mkdir(exist_ok=True)
        (folder / profile / "index.html").write_text(index(profile=profile), encoding="utf-8")
    return folder


def links(folder, profile):
    return re.findall(r'href="(\.\./[^"]*)"', (folder / profile / "index.html").read_text(encoding="utf-8"))


def test_reports_of_two_profiles_are_linked_from_each_other(tmp_path):
    assert report.link_profiles(reports_of(tmp_path, "quick", "photos")) == ["photos", "quick"]
    assert links(tmp_path, "quick") == ["../photos/index.html"]
    assert links(tmp_path, "photos") == ["../quick/index.html"]


def test_linking_twice_changes_nothing_and_a_report_written_anew_is_linked_again(tmp_path):
    reports_of(tmp_path, "quick", "photos")
    report.link_profiles(tmp_path)
    before = (tmp_path / "quick" / "index.html").read_bytes()
    report.link_profiles(tmp_path)
    assert (tmp_path / "quick" / "index.html").read_bytes() == before
    report.link_profiles(reports_of(tmp_path, "quick"))
    assert (tmp_path / "quick" / "index.html").read_bytes() == before


def test_a_report_alone_has_no_link(tmp_path):
    report.link_profiles(reports_of(tmp_path, "quick"))
    assert links(tmp_path, "quick") == []


# ---- pages of notebooks --------------------------------------------------------------------------------------------


def test_formulas_are_drawn_and_read_aloud():
    html = page(new_markdown_cell("the sum $x^2 < 1$"))
    [drawing] = re.findall(r"<svg [^>]*>", html)
    assert 'aria-label="x^2 &lt; 1"' in drawing and 'role="img"' in drawing


@pytest.mark.parametrize(
    "tex",
    [r"\tfrac12 d^2", r"\Big(\frac1n \sum_i x_i^p\Big)^{1/p}", r"\max\bigl(0,\; \lVert a - p \rVert + m\bigr)",
     r"u\,u^{\mathsf T} m", r"\big[\, y_j \,\big]", r"a \le b \ge c"],
)  # fmt: skip
def test_what_matplotlib_does_not_know_is_spelled_as_it_does(tex):
    assert report.formula(tex).startswith("<svg")


def test_a_formula_that_cannot_be_drawn_is_shown_as_code_and_escaped():
    assert report.formula("<b> {") == "<code>&lt;b&gt; {</code>"


EVILS = [
    "<script>alert(1)</script>",
    '<img src="x" onerror="alert(1)">',
    '<img alt=">" src="x" onerror="alert(1)">',
    '<a href="javascript:alert(1)">here</a>',
    '<iframe src="https://example.org"></iframe>',
    '<form action="https://example.org"><input name="a"></form>',
    '<div style="background: url(https://example.org/a.png)">a</div>',
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    '<img src="x" onerror="alert(1)" ',  # never closed: a browser closes it with the next tag
]


@pytest.mark.parametrize("place", ["text", "block", "output", "markdown output", "title and failure"])
def test_nothing_in_a_page_runs_or_calls_out(place):
    html = {
        "text": lambda: page(*[new_markdown_cell(f"see {evil} there") for evil in EVILS]),
        "block": lambda: page(*[new_markdown_cell(f"above\n\n{evil}\n\nbelow") for evil in EVILS]),
        "output": lambda: page(*[shown(text_html=evil) for evil in EVILS]),
        "markdown output": lambda: page(*[shown(text_markdown=evil) for evil in EVILS]),
        "title and failure": lambda: page(title=str(EVILS), failure={"text": str(EVILS), "trace": str(EVILS)}),
    }[place]()
    tags = " ".join(re.findall(r"<[^>]*>", html.split("<main>")[1])).lower()
    assert not re.search(r"<(script|iframe|form|input|svg)|\son\w+=|javascript:|example\.org", tags)


def test_javascript_goes_and_a_drawing_becomes_a_picture():
    drawing = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    html = page(shown(**{"application_javascript": "alert(1)"}), shown(**{"image_svg+xml": drawing}))
    assert "alert(1)" not in html and 'src="data:image/svg+xml;base64,' in html
    assert "(shown in a running notebook)" in html


def test_a_page_forbids_scripts_and_connections_itself():
    for html in (page(), index()):
        assert "default-src 'none'" in html and "script-src" not in html


def test_a_picture_from_elsewhere_is_told_in_words_and_one_of_the_notebook_is_shown():
    badge = "[![Open in Colab](https://example.org/badge.svg)](https://example.org/there)"
    html = page(new_markdown_cell(f"{badge} ![a dot](data:image/png;base64,{PIXEL})"))
    assert '<a href="https://example.org/there">Open in Colab</a>' in html
    assert re.findall(r"<img[^>]* alt=.([\w ]+)", html) == ["a dot"]


def test_tables_of_pandas_and_their_layout_stay():
    table = '<style scoped>td {color: red}</style><table><tr><td style="white-space: normal">1</td></tr></table>'
    html = page(shown(text_html=table))
    assert '<td style="white-space: normal;">1</td>' in html and "scoped" not in html and "color: red" not in html


def test_html_in_text_that_only_lays_out_stays():
    html = page(new_markdown_cell("H<sub>2</sub>O<br>and\n\n<details><summary>more</summary>\n\nwords\n\n</details>"))
    assert re.search(r"H<sub>2</sub>O<br ?/?>", html) and "<details>" in html and "<summary>more</summary>" in html


def test_code_and_plain_output_are_escaped():
    cell = new_code_cell('print("<b>")', outputs=[new_output("stream", text="<b>bold</b>")])
    assert "&lt;b&gt;bold&lt;/b&gt;" in page(cell) and "<b>bold" not in page(cell)


def test_a_failure_stands_at_the_top_with_its_trace():
    said = text_of(page(status="failed", failure={"text": "cell 3 broke", "trace": "ValueError: <k>"}))
    assert said.startswith("← all notebooks ✗ failed 0:03 min cell 3 broke ValueError: &lt;k&gt;")


def test_a_notebook_is_not_changed_by_its_page():
    notebook = new_notebook(cells=[shown(text_html="<script>1</script>")])
    before = nbformat.writes(notebook)
    report.notebook_page(notebook, "A toy", {"status": "ok"})
    assert nbformat.writes(notebook) == before


def test_the_first_figure_is_found_with_its_suffix():
    notebook = new_notebook(cells=[new_markdown_cell("a"), shown(text_plain="1"), shown(image_png=PIXEL)])
    assert report.first_figure(notebook) == (base64.b64decode(PIXEL), ".png")
    assert report.first_figure(new_notebook()) is None


# ---- tables as text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 100, 160])
def test_a_table_keeps_to_its_width_and_loses_no_word(width):
    text = report.claims_text([claim(LONG)], width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("on") >= 40 and "its end" in " ".join(text.split())


def test_the_claims_end_with_how_many_have_each_verdict():
    last = report.claims_text(CLAIMS).splitlines()[-1]
    assert last == "4 claims: 1 holds, 1 contradicted, 1 undecided, 1 not run"


def test_verdicts_are_coloured_only_where_asked():
    assert "\x1b[" not in report.claims_text(CLAIMS)
    assert "\x1b[32mholds" in report.claims_text(CLAIMS, colour=True)


def test_brackets_in_a_claim_are_not_markup():
    assert "[red]a[/red]" in report.claims_text([claim("[red]a[/red]")])


def test_measures_show_value_unit_interval_and_method():
    lines = [line.split() for line in report.measures_text(MEASURES, 120).splitlines()]
    assert ["00_toy", "AP", "HOG", "0.500", "0.400", "to", "0.600", "8", "toys"] in lines
    assert ["00_toy", "time", "HOG", "12.3", "ms"] in lines


def test_evidence_with_an_interval_replaces_the_effect():
    assert wording.decided(claim(evidence="+3.2 points (+1.0 to +5.4) on all")) == "+3.2 points (+1.0 to +5.4) on all"
    assert wording.decided(claim(evidence="of all")).endswith("n = 400; of all")
    level = Claim("00", "a reaches 0.78", "holds", 0.863, 0.843, 0.883, 0.001, "above", 0.78)
    assert wording.decided(level) == "0.863 (0.843 to 0.883), asked: above 0.780"
    loss = Claim("00", "a loses less than b", "holds", -2.3, -3.4, -1.2, 0.01, "above", -3.0, unit="points")
    assert wording.decided(loss) == "−2.3 points (−3.4 to −1.2), asked: above −3"


def test_a_loss_has_a_minus_sign_and_zero_has_none():
    loss = Measure("00", "effect on mAP", -1.04, -2.0, -0.04, unit="points")
    assert (wording.number(loss), wording.interval(loss)) == ("−1.0", "−2.0 to 0.0")
    assert [wording.figure(value) for value in (-1234.5, -0.25, -3.0, -2e-7)] == ["−1,234", "−0.250", "−3", "−2e-07"]


def test_a_line_of_a_page_does_not_end_within_the_number_of_queries():
    assert wording.on_a_page(claim()) == wording.decided(claim()).replace("n = 400", "n\xa0=\xa0400")


def test_a_claim_below_or_above_a_margin_says_what_was_asked():
    assert "asked: below 0" in wording.decided(claim(relation="below"))
    assert "asked: above 0.180" in wording.decided(claim(margin=0.18))
    assert "asked" not in wording.decided(claim())
