"""Pages and tables of a run: one page a notebook, an index with what was measured and claimed, the tables as text.

Pages are single files that need no connection: styles are inside, pictures too (those of the index lie beside it),
formulas are drawn as paths by matplotlib. They follow the reader's light or dark setting and fit a phone.

Needs nbconvert and matplotlib for pages, pandas of the caller for tables. Copy this file alone and it works.
"""

import base64
import collections
import html
import itertools
import math
import textwrap

__all__ = ["claims_text", "first_figure", "index_page", "measures_text", "notebook_page", "text_table"]

FIXED = ["notebook", "name", "value", "low", "high", "unit", "n", "data", "definition"]

STYLE = """
:root { color-scheme: light dark; --page: #fbfaf7; --card: #fff; --ink: #22262b; --soft: #5d666f; --line: #dedbd3;
  --link: #0b5c8f; --good: #14653c; --good-back: #e1f2e7; --bad: #9a2c16; --bad-back: #fbe6e0; --idle-back: #eceae4;
  --code: #f3f1ec; --bar: #3b7ea1; }
@media (prefers-color-scheme: dark) { :root { --page: #15181b; --card: #1d2125; --ink: #e4e6e8; --soft: #9da7b0;
  --line: #343a40; --link: #7cc0ea; --good: #86d6a6; --good-back: #173626; --bad: #f3a48f; --bad-back: #43211a;
  --idle-back: #2a2f34; --code: #22272c; --bar: #6fb3d6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
a { color: var(--link); }
a:hover { text-decoration-thickness: 2px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .4em 0; }
h2 { font-size: 1.35rem; margin: 2.2em 0 .6em; }
h3 { font-size: 1.05rem; margin: 1.6em 0 .5em; }
.soft { color: var(--soft); }
.mono, code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .86em; }
.pill { display: inline-block; padding: .05em .65em; border-radius: 1em; font-size: .84rem; font-weight: 600;
  white-space: nowrap; background: var(--idle-back); color: var(--soft); }
.pill.good { background: var(--good-back); color: var(--good); }
.pill.bad { background: var(--bad-back); color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { padding: .38em .8em .38em 0; text-align: left; vertical-align: top; }
th { font-weight: 600; color: var(--soft); border-bottom: 2px solid var(--line); white-space: nowrap; }
td { border-bottom: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.failure { border-left: 4px solid var(--bad); background: var(--bad-back); padding: .6em .9em; border-radius: 0 6px
  6px 0; overflow-wrap: anywhere; }
.failure pre { overflow-x: auto; margin: .6em 0 0; }
"""

INDEX_STYLE = """
.sums { display: flex; flex-wrap: wrap; gap: .5rem 2.2rem; margin: 1.2rem 0 .4rem; padding: 0; list-style: none; }
.sums b { display: block; font-size: 1.5rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1.1rem;
  margin-top: 1.4rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; display:
  flex; flex-direction: column; }
.card .picture { display: block; height: 9.5rem; background: #fff; border-bottom: 1px solid var(--line); }
.card .picture img { width: 100%; height: 100%; object-fit: cover; object-position: left top; padding: .4rem; }
.card .none { background: var(--idle-back); display: grid; place-items: center; color: var(--soft); font-size:
  2.6rem; font-weight: 700; }
.card .text { padding: .9rem 1rem 1rem; display: flex; flex-direction: column; gap: .55rem; flex: 1; }
.card h3 { margin: 0; font-size: 1.08rem; line-height: 1.35; }
.card h3 a { color: inherit; text-decoration: none; }
.card h3 a:hover { text-decoration: underline; }
.card .foot { margin-top: auto; display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: center; font-size:
  .9rem; }
.card .failure { font-size: .9rem; }
.results { width: 100%; }
.results td:first-child { min-width: 9rem; }
.measures { table-layout: fixed; }
.measures .number { padding-right: 1.4em; }
.range { position: relative; display: inline-block; width: 8rem; height: .8rem; background:
  linear-gradient(var(--line), var(--line)) center / 100% 1px no-repeat; }
.range i { position: absolute; top: .22rem; height: .36rem; border-radius: 2px; background: var(--bar); opacity: .6; }
.range b { position: absolute; top: .15rem; width: 3px; height: .5rem; margin-left: -1px; background: var(--ink); }
@media (max-width: 40rem) {
  .wide { display: none; }
  h1 { font-size: 1.55rem; }
  main { padding: 1rem .9rem 3rem; }
  .claims thead { display: none; }
  .claims tr { display: block; padding: .7rem 0; border-bottom: 1px solid var(--line); }
  .claims td { display: block; border: 0; padding: .12rem 0; }
  .claims td.wide { display: none; }
  .measures { min-width: 30rem; }
}
"""

PAGE_STYLE = """
main { max-width: 66rem; }
.text_cell_render > :not(table) { max-width: 46rem; }
.top { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; font-size: .92rem; }
.prompt, .anchor-link { display: none; }
.cell { margin: .9rem 0; }
.input_area { background: var(--code); border-radius: 6px; padding: .1rem .9rem; overflow-x: auto; }
.input_area pre { margin: .6em 0; }
.output_area { margin: .5rem 0 .5rem .2rem; overflow-x: auto; }
.output_area pre { margin: .3em 0; white-space: pre; }
.output_area img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.output_area table { margin: .2em 0; }
.output_stderr, .output_error { border-left: 4px solid var(--bad); padding-left: .8rem; }
.text_cell_render img { max-width: 100%; }
.text_cell_render code { background: var(--code); border-radius: 4px; padding: .1em .3em; }
.text_cell_render pre { background: var(--code); border-radius: 6px; padding: .7em .9em; overflow-x: auto; }
.text_cell_render pre code { padding: 0; background: none; }
blockquote { margin: 1em 0; padding-left: 1em; border-left: 3px solid var(--line); color: var(--soft); }
table.dataframe td, table.dataframe th { text-align: right; }
.formula { fill: currentColor; overflow: visible; }
.block { display: block; text-align: center; margin: 1.1em 0; overflow-x: auto; }
@media (max-width: 40rem) { h1 { font-size: 1.5rem; } }
"""

DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style | safe }}</style>
</head>
<body>
<main>
{%- macro pill(state) %}
{%- if state.status == "ok" %}<span class="pill good">✓ ran</span>
{%- elif state.status == "failed" %}<span class="pill bad">✗ failed</span>
{%- else %}<span class="pill">{{ {"stopped": "stopped", "running": "did not end"}.get(state.status, "not run") }}</span>
{%- endif %}{% endmacro %}
{%- macro spent(state) %}
{%- if state.seconds is defined %}{{ state.seconds | clock }} min{% endif %}
{%- for name, value in (state.given or {}).items() %} · {{ name }} = {{ value }}{% endfor %}{% endmacro %}
{% block body %}{% endblock %}
</main>
</body>
</html>
"""

PAGE = """{% extends "document" %}{% block body %}
<p class="top"><a href="index.html">← all notebooks</a> {{ pill(state) }}
<span class="soft">{{ spent(state) }}</span></p>
{% if state.failure %}<div class="failure">{{ state.failure.text }}
{%- if state.failure.trace %}<pre>{{ state.failure.trace }}</pre>{% endif %}</div>{% endif %}
{{ notebook | safe }}
{% endblock %}"""

INDEX = """{% extends "document" %}{% block body %}
{%- macro link(name) %}
{%- if name in pages %}<a class="mono" href="{{ pages[name] }}">{{ name }}</a>
{%- else %}<span class="mono">{{ name }}</span>{% endif %}{% endmacro %}
<header>
<h1>Image retrieval, from HOG to Matryoshka</h1>
<p class="soft">Report of the profile <b>{{ profile }}</b>
{%- if made_with %}, made with {{ made_with.cpu }}{{ ", " + made_with.gpu if made_with.gpu }},
{{ made_with.cores }} cores, Python {{ made_with.python }}{% endif %}.</p>
<ul class="sums">
{% for number, what in sums %}<li><b>{{ number }}</b><span class="soft">{{ what }}</span></li>
{% endfor %}</ul>
</header>

<section class="cards">
{% for card in cards %}{% set page, title = card.files.html, card.question or card.name %}
<article class="card">
{% if page and card.files.picture %}
<a class="picture" href="{{ page }}">
<img src="{{ card.files.picture }}" alt="First figure of: {{ title }}" loading="lazy"></a>
{% else %}
<span class="picture none" aria-hidden="true">{{ card.name[:2] }}</span>
{% endif %}
<div class="text">
<span class="soft mono">{{ card.name }}</span>
<h3>{% if page %}<a href="{{ page }}">{{ title }}</a>{% else %}{{ title }}{% endif %}</h3>
{% if card.failure %}<div class="failure">{{ card.failure.text }}</div>{% endif %}
<div class="foot">{{ pill(card) }}
<span class="soft">{{ spent(card) or ("about %g min" % card.minutes if card.minutes) }}</span>
{% if page %}<a href="{{ page }}">page</a>{% endif %}
{% if card.files.ipynb %}<a href="{{ card.files.ipynb }}">notebook</a>{% endif %}
</div></div></article>
{% endfor %}</section>

{% if claims %}
<h2 id="claims">What was claimed</h2>
<p class="soft">A claim that does not hold on these data is a finding, not a failure.</p>
<div class="scroll"><table class="results claims">
<thead><tr><th>claim</th><th>verdict</th><th>decided on</th>
{% if sourced %}<th class="wide">source</th>{% endif %}<th>in</th></tr></thead>
<tbody>
{% for row in claims %}<tr><td>{{ row.claim }}</td>
<td>{% if row.holds %}<span class="pill good">✓ holds</span>
{% else %}<span class="pill bad">✗ does not hold</span>{% endif %}</td>
<td>{{ row.evidence | shown }}</td>
{% if sourced %}<td class="wide soft">{{ row.source | shown }}</td>{% endif %}<td>{{ link(row.notebook) }}</td></tr>
{% endfor %}</tbody></table></div>
{% endif %}

{% if measures %}<h2 id="results">What was measured</h2>{% endif %}
{% for notebook, rows, top in measures %}
<h3>{{ link(notebook) }} {{ questions[notebook] }}</h3>
<div class="scroll"><table class="results measures">
<thead><tr><th style="width:18%">measure</th><th>of</th><th class="number" style="width:11%">value</th>
<th class="number" style="width:15%">interval</th><th class="wide" style="width:8.5rem">0 to {{ top }}</th>
<th class="number wide" style="width:8%">n</th><th class="wide" style="width:16%">data</th></tr></thead>
<tbody>
{% for row in rows %}<tr title="{{ row.definition | shown }}"><td>{{ row.name if loop.changed(row.name) }}</td>
<td>{{ row.of }}</td><td class="number"><b>{{ row | value }}</b> {{ row | unit }}</td>
<td class="number soft">{{ row | interval }}</td>
<td class="wide">{% if row | share %}<span class="range">
<i style="left:{{ 100 * row.low / top }}%;width:{{ 100 * (row.high - row.low) / top }}%"></i>
<b style="left:{{ 100 * row.value / top }}%"></b></span>{% endif %}</td>
<td class="number wide">{{ row.n | count }}</td><td class="wide soft">{{ row.data | shown }}</td></tr>
{% endfor %}</tbody></table></div>
{% endfor %}
{% endblock %}"""


# ---- tables as text ------------------------------------------------------------------------------------------------


def text_table(head: list[str], rows: list[list[str]], width: int = 100) -> str:
    """A table of texts for a terminal of `width` characters: columns that are too wide are wrapped, the widest first.

    >>> print(text_table(["claim", "holds"], [["a is better than b", "yes"]], width=20))
    claim       holds
    ----------- -----
    a is better yes
    than b
    """
    widths = [max(len(text) for text in column) for column in zip(head, *rows, strict=True)]
    while sum(widths) + len(widths) - 1 > width and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    wrapped = [
        [textwrap.wrap(text, size) or [""] for text, size in zip(row, widths, strict=True)] for row in [head, *rows]
    ]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*wrapped, strict=True)]
    lines = []
    for row in [wrapped[0], [["-" * size] for size in widths], *wrapped[1:]]:
        for parts in itertools.zip_longest(*row, fillvalue=""):
            lines.append(" ".join(part.ljust(size) for part, size in zip(parts, widths, strict=True)).rstrip())
    return "\n".join(lines)


def measures_text(measures, width: int = 100) -> str:
    """The table of measures (see lib/results.py) for a terminal."""
    rows = [
        [
            row["notebook"],
            row["name"],
            row["of"],
            f"{_number(row)} {_unit(row)}",
            _interval(row),
            _count(row["n"]),
            _shown(row["data"]),
        ]
        for row in _by_name(measures)
    ]
    return text_table(["notebook", "measure", "of", "value", "interval", "n", "data"], rows, width)


def claims_text(claims, width: int = 100) -> str:
    """The table of claims for a terminal."""
    said = {True: "holds", False: "DOES NOT HOLD"}
    rows = [
        [row["notebook"], said[row["holds"]], row["claim"], _shown(row["evidence"])]
        for row in claims.to_dict("records")
    ]
    return text_table(["notebook", "verdict", "claim", "evidence"], rows, width)


# ---- pages ---------------------------------------------------------------------------------------------------------


def first_figure(notebook) -> tuple[bytes, str] | None:
    """The first PNG or JPEG that an executed notebook shows, and the suffix of a file that holds it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind, suffix in (("image/png", ".png"), ("image/jpeg", ".jpg")):
                if kind in output.get("data", {}):
                    return base64.b64decode(output["data"][kind]), suffix
    return None


def notebook_page(notebook, title: str, state: dict) -> str:
    """The executed notebook as one HTML page, as far as it ran. `state` has its status, seconds and failure."""
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
    from pygments.formatters import HtmlFormatter

    class Renderer(IPythonRenderer):
        """Markdown with formulas drawn, since a page must not need a connection to show them."""

        def inline_math(self, body):
            return formula(body)

        def block_math(self, body):
            return formula(body, block=True)

        def multiline_math(self, text):
            return formula(text.strip().removeprefix("$$").removesuffix("$$"), block=True)

        def latex_environment(self, name, body):
            return formula(body, block=True)

    def to_html(text):
        return MarkdownWithMath(renderer=Renderer(escape=False)).render(text)

    exporter = HTMLExporter(template_name="basic")
    exporter.register_filter("markdown2html", to_html)
    body, _ = exporter.from_notebook_node(notebook)
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("friendly", "github-dark"))
    colours = f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n.highlight {{ background: none; }}\n"
    return _fill(PAGE, title=title, style=STYLE + PAGE_STYLE + colours, state=state, notebook=body)


def index_page(profile: str, cards: list[dict], measures, claims, made_with: dict) -> str:
    """The way in to a report: a card for each notebook, then claims and measures.

    A card has name, question, minutes (announced), files (of "html", "ipynb", "picture" those that are there) and, if
    it was run, status, seconds, failure, given (parameters set by hand). `made_with` names the machine.
    """
    ran = sum(card.get("status") == "ok" for card in cards)
    sums = [
        (f"{ran} of {len(cards)}", "notebooks ran"),
        (f"{int(claims['holds'].sum())} of {len(claims)}", "claims hold on these data"),
        (len(measures), "numbers measured"),
        (_clock(sum(card.get("seconds", 0) for card in cards)), "minutes of running"),
    ]
    return _fill(
        INDEX,
        title=f"Image retrieval: report of profile {profile}",
        style=STYLE + INDEX_STYLE,
        profile=profile,
        made_with=made_with,
        sums=sums,
        cards=cards,
        pages={card["name"]: card["files"]["html"] for card in cards if "html" in card["files"]},
        questions={card["name"]: card["question"] for card in cards},
        claims=claims.to_dict("records"),
        sourced=any(map(_given, claims["source"])),
        measures=[(notebook, _by_name(table), _top(table)) for notebook, table in measures.groupby("notebook")],
    )


def formula(tex: str, block: bool = False) -> str:
    """TeX mathematics as an inline drawing in the colour of the text; as code where matplotlib does not know a command.

    >>> formula("x^2").startswith('<svg class="formula"')
    True
    >>> formula("not closed {")
    '<code>not closed {</code>'
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser
    from matplotlib.textpath import TextPath

    size = 95  # of a letter, in units of the drawing: a little larger than the text around it
    font = FontProperties(size=size, math_fontfamily="stix")
    text = f"${' '.join(tex.split())}$"
    scale = 90
    if block:  # as TeX does: larger, and fractions in full height
        text, scale = text.replace("\\frac", "\\dfrac"), 78
    try:
        measured = MathTextParser("path").parse(text, dpi=72, prop=font)
        path = TextPath((0, 0), text, prop=font)
    except ValueError:
        return f"<code>{html.escape(tex.strip())}</code>"
    letters = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # the codes of matplotlib.path.Path
    steps = [
        letters[int(code)] + ("" if code == 79 else " ".join(f"{number:.1f}" for number in points))
        for points, code in path.iter_segments(simplify=False)
    ]
    wide, high, deep = measured[0] + 2, measured[1] + 2, measured[2] + 1
    box = f"0 {deep - high:.1f} {wide:.1f} {high:.1f}"
    place = f"width:{wide / scale:.3f}em;height:{high / scale:.3f}em;vertical-align:{-deep / scale:.3f}em"
    label = html.escape(tex.strip(), quote=True)
    drawing = (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="{box}" style="{place}">'
        f'<path transform="scale(1,-1)" d="{"".join(steps)}"/></svg>'
    )
    return f'<span class="block">{drawing}</span>' if block else drawing


def _fill(template, **values):
    import jinja2

    loader = jinja2.DictLoader({"document": DOCUMENT})
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, loader=loader)
    environment.filters |= {
        "share": _is_share,
        "clock": _clock,
        "count": _count,
        "interval": _interval,
        "shown": _shown,
        "unit": _unit,
        "value": _number,
    }
    return environment.from_string(template).render(values)


def _by_name(measures):
    """Rows of one quantity together, in the order in which they were first noted: methods compare.

    Each gets "of", what names it beside the quantity; with the definition where that alone tells two rows apart.
    """
    rows = [{**row, "of": _method(row)} for row in measures.to_dict("records")]
    seen = collections.Counter((row["notebook"], row["name"], row["of"], row["data"]) for row in rows)
    for row in rows:
        if seen[row["notebook"], row["name"], row["of"], row["data"]] > 1:
            row["of"] = ", ".join(filter(None, [row["of"], _shown(row["definition"])]))
    order = list(dict.fromkeys((row["notebook"], row["name"]) for row in rows))
    return sorted(rows, key=lambda row: order.index((row["notebook"], row["name"])))


def _method(row):
    """What else names a measure: the method alone, the rest as name=value."""
    more = {key: item for key, item in row.items() if key not in FIXED and _given(item)}
    first = [str(more.pop("method"))] if "method" in more else []
    return ", ".join(
        first + [f"{key}={_figure(item) if isinstance(item, float) else item}" for key, item in more.items()]
    )


def _unit(row):
    return "" if row["unit"] == "1" else _shown(row["unit"])


def _interval(row):
    return f"{_number(row, 'low')} to {_number(row, 'high')}" if _given(row["low"]) else ""


def _count(number):
    return _figure(number) if _given(number) else ""


def _shown(item):
    return str(item) if _given(item) else ""


def _given(item):
    """Whether a table's cell holds something: not None, NaN or pandas' NA."""
    return item is not None and str(item) not in {"nan", "<NA>", "NaT"}


def _is_share(row):
    """Whether a measure with its interval lies between 0 and 1, and can be drawn there."""
    return not _unit(row) and _given(row["low"]) and 0 <= row["low"] and row["high"] <= 1


def _top(measures):
    """The end of the scale on which a notebook's shares are drawn."""
    highest = max([row["high"] for row in measures.to_dict("records") if _is_share(row)], default=1)
    return next(top for top in (0.1, 0.2, 0.3, 0.5, 1) if highest <= top)


def _number(row, column="value"):
    """A measure's value or an end of its interval: with a unit in three digits, others as `_figure` has them."""
    return f"{row[column]:.3g}" if _unit(row) and 0 < abs(row[column]) < 1000 else _figure(row[column])


def _figure(number):
    """A number as a reader wants it: three decimals near 1, thousands grouped.

    >>> [_figure(number) for number in (0.31249, 12345, 12.345, 0.00012, 64.0)]
    ['0.312', '12,345', '12.3', '0.00012', '64']
    """
    number = float(number)
    if number.is_integer():
        return f"{int(number):,}"
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3f}" if 0.001 <= abs(number) < 10 else f"{number:.3g}"


def _clock(seconds):
    return f"{math.floor(round(seconds) / 60)}:{round(seconds) % 60:02d}"
