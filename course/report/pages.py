"""The pages of a report: index.html over all notebooks, and one page a notebook. Templates and styles: templates/."""

import base64
import copy
import html
import re
from pathlib import Path
from urllib.parse import urlsplit

from course import records
from course.files import write_text
from course.report import wording
from course.report.formulas import formula

__all__ = ["first_figure", "index_page", "link_profiles", "notebook_page"]

TEMPLATES = Path(__file__).parent / "templates"
PROFILE_LINKS = '<p class="profiles soft">{}</p><!-- other profiles -->'  # one line, found again by its comment
NEED_A_KERNEL = {"application/javascript", "application/vnd.jupyter.widget-view+json"}
TAGS = {
    *("a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6"
      " hr i img ins kbd li ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul"
      ).split()
}  # fmt: skip
ATTRIBUTES = {
    "*": ["class", "style", "title", "id"],
    "a": ["href"],
    "img": ["src", "alt", "width", "height"],
    "td": ["colspan", "rowspan", "align"],
    "th": ["colspan", "rowspan", "align", "scope"],
    "ol": ["start"],
    "details": ["open"],
}
STYLES = """background-color border border-bottom border-collapse border-left border-radius border-right
border-top color display float font-family font-size font-style font-weight height line-height margin margin-bottom
margin-left margin-right margin-top max-width min-width overflow-wrap overflow-x padding padding-bottom padding-left
padding-right padding-top text-align text-decoration vertical-align white-space width""".split()


def first_figure(notebook) -> tuple[bytes, str] | None:
    """The first PNG or JPEG that an executed notebook shows, and the suffix of a file that holds it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind, suffix in (("image/png", ".png"), ("image/jpeg", ".jpg")):
                if kind in output.get("data", {}):
                    return base64.b64decode(output["data"][kind]), suffix
    return None


def notebook_page(notebook, title: str, state: dict) -> str:
    """The executed notebook as one HTML page, as far as it ran. `state` has its status, seconds and failure.

    HTML in its text and outputs is kept only as far as it lays out: scripts, forms, frames and handlers go.
    """
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    exporter = HTMLExporter(template_name="basic")
    exporter.register_filter("markdown2html", _markdown)
    body, _ = exporter.from_notebook_node(_harmless(notebook))
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("friendly", "github-dark"))
    return _fill(
        "notebook.html",
        sheets=["style.css", "notebook.css"],
        colours=f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n.highlight {{ background: none; }}\n",
        title=title,
        state=state,
        notebook=body,
    )


def index_page(profile: str, cards: list[dict], measures, claims, made_with: dict, elsewhere: dict | None = None):
    """The start page of a report: a card for each notebook, then claims and measures.

    A card has name, question, minutes (announced), files (of "html", "ipynb", "picture" those that are there) and, if
    it was run, status, seconds, failure, given (parameters set by hand). `measures` and `claims` are Measure and Claim
    objects or the tables of lib/results.py. `made_with` names the machine. `elsewhere` gives the verdicts of other
    profiles, {claim identity: {profile: verdict}}.
    """
    measures, claims = records.measures_of(measures), records.claims_of(claims)
    ran = sum(card.get("status") == "ok" for card in cards)
    sums = [(f"{ran} of {len(cards)}", "notebooks ran")]
    words = {"holds": "claims hold"}
    sums += [(count, words.get(verdict, verdict)) for verdict, count in wording.verdict_counts(claims).items()]
    sums += [(len(measures), "measures"), (wording.clock(sum(card.get("seconds", 0) for card in cards)), "minutes")]
    return _fill(
        "index.html",
        sheets=["style.css", "index.css"],
        title=f"Image retrieval: report of profile {profile}",
        profile=profile,
        profile_links=PROFILE_LINKS.format(""),
        made_with=made_with,
        sums=sums,
        cards=cards,
        pages={card["name"]: card["files"]["html"] for card in cards if "html" in card["files"]},
        questions={card["name"]: card["question"] for card in cards},
        elsewhere=elsewhere or {},
        claims=_by_notebook(claims),
        measures=[(notebook, wording.by_name(rows), wording.scale_top(rows))
                  for notebook, rows in _by_notebook(measures)],
    )  # fmt: skip


def link_profiles(reports: str | Path) -> list[str]:
    """Link the start pages of all profiles in the folder `reports` with each other; the profiles that have one."""
    pages = {path.parent.name: path for path in sorted(Path(reports).glob("*/index.html"))}
    line = re.compile(re.escape(PROFILE_LINKS).replace(r"\{\}", ".*"))
    for profile, path in pages.items():
        links = " ".join(
            f'<a href="../{html.escape(other)}/index.html">report of profile {html.escape(other)}</a>'
            for other in pages
            if other != profile
        )
        text = path.read_text(encoding="utf-8")
        linked = line.sub(lambda _, links=links: PROFILE_LINKS.format(links), text, count=1)
        if linked != text:
            write_text(path, linked)
    return list(pages)


def _by_notebook(rows):
    found = {}
    for row in rows:
        found.setdefault(row.notebook, []).append(row)
    return sorted(found.items())


def _fill(template, **values):
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        autoescape=lambda name: not name.endswith(".css"), trim_blocks=True, lstrip_blocks=True, loader=loader
    )
    environment.filters |= {
        "share": wording.is_share,
        "clock": wording.clock,
        "count": wording.count,
        "decided": wording.on_a_page,
        "interval": wording.interval,
        "unit": wording.unit,
        "value": wording.number,
    }
    return environment.get_template(template).render(values)


def _harmless(notebook):
    """A copy whose outputs run nothing: HTML without scripts, drawings as pictures, JavaScript left out."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "raw":
            cell.source = html.escape(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in NEED_A_KERNEL & data.keys():
                del data[kind]
                data.setdefault("text/plain", "(shown in a running notebook)")
            if "image/svg+xml" in data:
                drawing = base64.b64encode("".join(data.pop("image/svg+xml")).encode()).decode()
                data["text/html"] = f'<img src="data:image/svg+xml;base64,{drawing}" alt="drawing">'
            if "text/latex" in data:
                data["text/markdown"] = data.pop("text/latex")
            if "text/html" in data:
                data["text/html"] = _clean("".join(data["text/html"]))
    return notebook


def _clean(text):
    """HTML with nothing in it but layout, text and pictures."""
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", "", text)
    return bleach.clean(
        text,
        tags=TAGS,
        attributes=ATTRIBUTES,
        protocols=["http", "https", "mailto", "data"],
        strip=True,
        css_sanitizer=CSSSanitizer(allowed_css_properties=STYLES),
    )


def _markdown(text):
    """Markdown as HTML, with formulas drawn and HTML in it cleaned."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def inline_math(self, body):
            return formula(body)

        def block_math(self, body):
            return formula(body, block=True)

        def multiline_math(self, text):
            return formula(text.strip().removeprefix("$$").removesuffix("$$"), block=True)

        def latex_environment(self, name, body):
            return formula(body, block=True)

        def image(self, text, url, title=None):
            if urlsplit(url).netloc:  # a badge: a report fetches nothing
                return html.escape(text)
            return super().image(text, url, title)

        def block_html(self, html):
            return _clean_tags(super().block_html(html))

        def inline_html(self, html):
            return _clean_tags(html)

    return MarkdownWithMath(renderer=Renderer(escape=False)).render(text)


def _clean_tags(text):
    """A stretch of HTML in Markdown, tag by tag, since the partner of a tag may stand in another stretch."""
    text = re.sub(r"(?is)<!--.*?-->|<(script|style)\b.*?</\1\s*>", "", text)
    pieces = re.split(r"(<[^<>]*>)", text)  # text, tag, text, tag, ...
    return "".join(_clean_tag(piece) if i % 2 else piece.replace("<", "&lt;") for i, piece in enumerate(pieces))


def _clean_tag(tag):
    closing = re.fullmatch(r"</\s*([A-Za-z][\w-]*)\s*>", tag)
    if closing:
        return tag if closing[1].lower() in TAGS else ""
    return re.sub(r"</[\w-]+>$", "", _clean(tag))  # without the partner that the cleaner adds
