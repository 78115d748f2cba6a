"""The front page of the site, and the gallery of the figures that the notebooks show."""

import base64
import html
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Figure", "figures_of", "front_page", "gallery_page", "shown", "slug"]

KINDS = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True)
class Figure:
    """A picture that a notebook shows: its bytes, the kind of its file, and the heading that it stands under."""

    notebook: str
    number: int
    heading: str
    content: bytes
    suffix: str

    @property
    def file_name(self) -> str:
        return f"{self.notebook}-{self.number:02d}{self.suffix}"


def shown(notebook):
    """What the cells of an executed notebook show, each with the heading that it stands under: (heading, data)."""
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            titles = re.findall(r"^#{1,4} +(.+?) *$", cell.source, re.M)
            heading = titles[-1] if titles else heading
        yield from ((heading, output.get("data", {})) for output in cell.get("outputs", []))


def figures_of(notebook, name: str) -> list[Figure]:
    """The pictures among the outputs of an executed notebook, in order, numbered from 1."""
    found = []
    for heading, data in shown(notebook):
        kind = next((kind for kind in KINDS if kind in data), None)
        if kind:
            content = base64.b64decode("".join(data[kind]))
            found.append(Figure(name, len(found) + 1, heading, content, KINDS[kind]))
    return found


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def front_page(chapters: list[dict], groups: dict[str, list[str]]) -> str:
    """The start: what it is, the two commands, a card for each notebook. `groups` are the tables of contents.

    A chapter has name, question, minutes, figure (a file below _static/figures, or None) and told (a line of words).
    """
    cards = "\n".join(_card(chapter) for chapter in chapters)
    trees = "\n\n".join(
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```"
        for caption, pages in groups.items()
        if pages
    )
    return f"""# Image retrieval, from HOG to Matryoshka

<p class="lead">A course that runs. Each notebook asks one question about searching images, answers it in code, and
checks its own claims. Every method sees the same images; every comparison is paired and has an interval.</p>

```
make course     # run every notebook headlessly; ends with what was measured and which claims held
make lab        # step through them in JupyterLab
```

You need git, make and Python 3.11 or newer; no account, no download of data. [How to set it up](README.md), and
[how to teach with it](docs/teaching.md).

## The notebooks

<div class="cards">
{cards}
</div>

![One query and its five nearest neighbours through a colour histogram, PCA of pixels and HOG](docs/one_query.jpg)

One query and three ways to describe an image. What each notebook measured, and which of its claims held on drawn
images and on real ones, is in [results and claims](results/index.md); all figures are in the [gallery](gallery.md).

{trees}
"""


def _card(chapter):
    title = html.escape(chapter["question"])
    minutes = f"about {chapter['minutes']:g} min" if chapter["minutes"] else ""
    picture = f'<span class="picture none">{chapter["name"][:2]}</span>'
    if chapter["figure"]:
        picture = f'<span class="picture"><img src="_static/figures/{chapter["figure"]}" alt="" loading="lazy"></span>'
    foot = " · ".join(filter(None, [minutes, chapter["told"]]))
    return (
        f'<a class="card" href="notebooks/{chapter["name"]}.html">{picture}<span class="text">'
        f'<span class="soft">{chapter["name"]}</span><b>{title}</b><span class="soft foot">{foot}</span></span></a>'
    )


def gallery_page(questions: dict[str, str], figures: dict[str, list[Figure]]) -> str:
    """All figures, by notebook; each leads to the place where it is drawn and read."""
    parts = [
        "# Gallery",
        "The figures of the notebooks, as they were run on the drawn catalogue; each leads to the section that draws "
        "and reads it. For slides, `make figures` writes them anew as PNG and SVG.",
    ]
    for name, found in figures.items():
        if found:
            tiles = "\n".join(_tile(figure) for figure in found)
            parts += [f"## {name[:2]}: {questions[name]}", f'<div class="gallery">\n{tiles}\n</div>']
    return "\n\n".join(parts) + "\n"


def _tile(figure):
    heading = re.sub(r"[`*_]", "", figure.heading)
    place = f"notebooks/{figure.notebook}.html#{slug(figure.heading)}"
    alt = html.escape(f"Figure {figure.number} of notebook {figure.notebook[:2]}: {heading}", quote=True)
    return (
        f'<figure><a href="{place}"><img src="_static/figures/{figure.file_name}" alt="{alt}" loading="lazy"></a>'
        f'<figcaption><a href="{place}">{html.escape(heading)}</a></figcaption></figure>'
    )


def write_figures(figures: dict[str, list[Figure]], folder: Path) -> None:
    """Each figure as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in (figure for found in figures.values() for figure in found):
        (folder / figure.file_name).write_bytes(figure.content)
