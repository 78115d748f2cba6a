"""Write the site: stage its sources, let Sphinx make the pages, then look for links that lead nowhere."""

import contextlib
import io
import re
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from course import ROOT, UsageError, notebook_files
from course.report import wording
from course.runner.plan import find
from course.site import api, extension, findings, front, sources

__all__ = ["Site", "build", "command", "dead_links", "stage"]

TITLE = "Image retrieval, from HOG to Matryoshka"
# what Sphinx says of pages that were not written for it alone, such as the outputs of a notebook
QUIET = ["mystnb.unknown_mime_type", "myst.header"]


@dataclass
class Site:
    """Where the site takes what it shows, and where it goes."""

    notebooks: Path
    reports: Path
    kept: Path
    target: Path
    address: str


def stage(site: Site, folder: Path) -> list[str]:
    """Write the sources into `folder`; the links that lead nowhere, in words."""
    chapters, exercises = find(site.notebooks), sources.exercises_of(site.notebooks)
    nodes = {path.stem: notebook_files.read(path) for path in chapters}
    questions = {name: notebook_files.question(node) or name for name, node in nodes.items()}
    figures = {name: front.figures_of(node, name) for name, node in nodes.items()}
    found = findings.read(site.notebooks, site.reports, site.kept, list(questions))
    modules = api.modules(ROOT / "lib")
    relative = [path.relative_to(site.notebooks) for path in [*chapters, *exercises]]
    pages = {*sources.page_paths(), *(f"notebooks/{path.as_posix()}" for path in relative)}
    pages |= {f"lib/{path.stem}.md" for path in modules} | {"results/index.md", "gallery.md"}
    links = sources.Links(pages, site.address)
    cards = [_card(name, questions, nodes[name], figures[name], found[name]) for name in questions]
    index = front.front_page(cards, _groups(questions, [path.stem for path in exercises], pages))
    sources.write(folder / "index.md", links.fitted(index, "index.md"))
    sources.copy_pages(folder, links)
    sources.copy_notebooks([*chapters, *exercises], site.notebooks, folder, links)
    front.write_figures(figures, folder / "_static" / "figures")
    sources.write(folder / "_static" / "site.css", extension.style_sheet())
    _write_api(folder, modules, links)
    _write_findings(folder, questions, found)
    sources.write(folder / "gallery.md", front.gallery_page(questions, figures))
    return links.dead


def _card(name, questions, node, figures, chapter):
    claims = [claim for claim in chapter.claims.get("quick", [])]
    counts = wording.verdict_counts(claims) if claims else {}
    words = [wording.so_many(n, verdict) for verdict, n in counts.items()]
    return {
        "name": name,
        "question": questions[name],
        "minutes": notebook_files.minutes(node),
        "figure": figures[0].file_name if figures else None,
        "told": f"claims: {', '.join(words)}" if words else "",
    }


def _groups(questions, exercises, pages):
    """The tables of contents of the site, each with the pages in it."""
    short = {name: re.split(r"(?<=\?)|:", question)[0] for name, question in questions.items()}
    titles = {
        **sources.HEADED,
        "docs/teaching.md": "Teaching with it",
        "docs/exercises.md": "Exercises",
        "CONTRIBUTING.md": "Contribute",
        "RESULTS.md": "Beside the sources",
    }
    there = {page: f"{title} <{page}>" for page, title in titles.items() if page in pages}
    beside = [there.pop("RESULTS.md")] if "RESULTS.md" in there else []
    return {
        "Start": list(there.values()),
        "Notebooks": [f"{name[:2]} {_plain(short[name])} <notebooks/{name}>" for name in questions],
        "Exercises": [f"Exercises {name[:2]} <notebooks/exercises/{name}>" for name in exercises],
        "Findings": ["Results and claims <results/index>", *beside, "Gallery <gallery>"],
        "Library": ["lib/index"],
    }


def _plain(title):
    return title.replace("<", "").replace(">", "").strip()


def _write_api(folder, modules, links):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    about = {name: links.fitted(words, "lib/index.md") for name, words in
             re.findall(r"^\| \[(\w+)\.py\]\(lib/\w+\.py\) \| ([^|]*?) \|", readme, re.M)}  # fmt: skip
    sources.write(folder / "lib" / "index.md", api.index_page(modules, about))
    for path in modules:
        address = f"{links.address}/blob/main/lib/{path.name}"
        sources.write(folder / "lib" / f"{path.stem}.md", api.module_page(path, address))


def _write_findings(folder, questions, found):
    sources.write(folder / "results" / "index.md", findings.index_page(questions, found))
    for name, question in questions.items():
        sources.write(folder / "results" / f"{name}.md", findings.chapter_page(name, question, found[name]))


def build(site: Site) -> list[str]:
    """Write the site into its folder; what is wrong with it, in words: warnings of Sphinx, links that lead nowhere.

    The folder is replaced only by a site that was written to its end.
    """
    with tempfile.TemporaryDirectory() as place:
        staged, made = Path(place) / "source", Path(place) / "html"
        staged.mkdir()
        dead = [f"a dead link in {link}" for link in stage(site, staged)]
        warnings = _sphinx(staged, made, Path(place) / "doctrees")
        problems = [*dead, *warnings, *dead_links(made)]
        if site.target.exists():
            if not (site.target / "searchindex.js").is_file() and any(site.target.iterdir()):
                raise UsageError(f"{site.target} holds something else than a site; move it away or give another --out")
            shutil.rmtree(site.target)
        shutil.copytree(made, site.target)
    return problems


def _sphinx(source, made, doctrees):
    """Let Sphinx write the pages; its warnings."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    said, warned = io.StringIO(), io.StringIO()
    with patch_docutils(str(source)), docutils_namespace(), contextlib.redirect_stderr(warned):
        app = Sphinx(source, None, made, doctrees, "html", confoverrides=_settings(source), status=said, warning=warned)
        app.build(force_all=True)
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in warned.getvalue().splitlines())
    return [line.replace(f"{source}/", "") for line in lines if "WARNING" in line or "ERROR" in line]


def _settings(source):
    return {
        "project": TITLE,
        "author": "the authors of the course",
        "extensions": ["myst_nb", "course.site.extension"],
        "html_theme": "furo",
        "html_title": "Image retrieval",
        "html_static_path": ["_static"],
        "html_css_files": ["site.css"],
        "html_math_renderer": "drawn",
        "html_copy_source": False,
        "html_show_sphinx": False,
        "html_show_copyright": False,
        "html_theme_options": {"navigation_with_keys": True},
        "pygments_style": "friendly",
        "highlight_language": "bash",  # where a fence names none: commands
        "nb_execution_mode": "off",
        "nb_merge_streams": True,
        "nb_ipywidgets_js": {},
        "myst_enable_extensions": ["dollarmath", "amsmath"],
        "myst_dmath_double_inline": True,  # a formula that is set apart within a sentence
        "myst_heading_anchors": 4,
        "suppress_warnings": QUIET,
        "keep_warnings": False,
        "smartquotes": False,
    }


# ---- links ---------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """The links and anchors of one page."""

    def __init__(self):
        super().__init__()
        self.links, self.anchors = [], Counter()

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value is not None:
                self.links.append(value)
            if name in ("id", "name") and value:
                self.anchors[value] += 1


def dead_links(site: Path) -> list[str]:
    """Links and sources inside of a built site that lead to no file or no anchor, in words."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        pages[path] = _Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    found = []
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            if not target.is_file() or site.resolve() not in target.parents:
                found.append(f"a dead link in {path.relative_to(site)}: {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"a dead anchor in {path.relative_to(site)}: {link}")
    return found


def command(site: Site) -> int:
    """Write the site and say where it is; 1 where something is wrong with it."""
    try:
        problems = build(site)
    except ModuleNotFoundError as error:
        if error.name not in {"sphinx", "myst_nb", "furo", "docutils"}:
            raise
        raise UsageError(f"{error.name} is missing; run `python install.py site` first") from error
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"site: {site.target / 'index.html'}" + (f", with {len(problems)} problems" if problems else ""))
    return int(bool(problems))
