"""The sources of the site: a copy of the repository's pages and notebooks, in which every link leads somewhere.

The copy has the folders of the repository, so that a link between two pages stays as it is. A link to a module of lib
leads to its page, one to any other file of the repository to that file on GitHub. What leads nowhere is told.
"""

import json
import os
import posixpath
import re
import shutil
from pathlib import Path

from course import ROOT, notebook_files
from course.files import write_text
from course.site.address import BRANCH

__all__ = ["PAGES", "Links", "copy_notebooks", "copy_pages", "exercises_of"]

PAGES = ("README.md", "RESULTS.md", "CONTRIBUTING.md", "data/README.md", "docs/*.md")
HEADED = {"README.md": "Set up and use", "data/README.md": "Collections"}  # whose own title is that of a folder
LINK = re.compile(r"(?<=\]\()([^()\s<>]+(?:\([^()\s]*\)[^()\s]*)*)(?=\))|(?<=^\]: )\S+$", re.M)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#", re.I)
CODE = re.compile(r"^(```|~~~).*?^\1[ \t]*$|`[^`\n]+`", re.M | re.S)
BADGE = re.compile(r"\[!\[([^\]]*)\]\(https?:[^)]*\)\]\(([^)]*)\)")
PICTURES = {".jpg", ".jpeg", ".png", ".svg", ".gif", ".webp"}


class Links:
    """The links of pages that are moved into the site. `dead` collects those that lead nowhere: "page: link"."""

    def __init__(self, pages: set[str], address: str, root: Path = ROOT):
        self.pages, self.address, self.root = pages, address, root
        self.dead, self.pictures = [], set()

    def fitted(self, text: str, page: str) -> str:
        """The Markdown `text` of `page` (its path in the repository) with links as the site needs them."""
        return _outside_code(
            lambda part: LINK.sub(lambda found: self._target(found[0], page), _without_badges(part)), text
        )

    def _target(self, link, page):
        if ELSEWHERE.match(link):
            return link
        path, hash_mark, anchor = link.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        if place == "notebooks/index.ipynb":  # the map of the course: the front page of the site
            return posixpath.relpath("index.md", posixpath.dirname(page) or ".")
        if place in self.pages:
            return link
        module = re.fullmatch(r"lib/(\w+)\.py", place)
        if module and f"lib/{module[1]}.md" in self.pages:
            return posixpath.relpath(f"lib/{module[1]}.md", posixpath.dirname(page) or ".") + hash_mark + anchor
        if place.startswith("..") or not (self.root / place).exists():
            self.dead.append(f"{page}: {link}")
            return link
        if Path(place).suffix in PICTURES:
            self.pictures.add(place)
            return link
        kind = "tree" if (self.root / place).is_dir() else "blob"
        return f"{self.address}/{kind}/{BRANCH}/{place}"


def _without_badges(text):
    """Links in words: the pictures of badges would be fetched from elsewhere."""
    return BADGE.sub(r"[\1](\2)", text).replace(") [Open in ", ") · [Open in ")


def _outside_code(change, text):
    """Markdown in which what stands outside of code is changed."""
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(text[end:])])


def exercises_of(notebooks: Path) -> list[Path]:
    """The exercises beside the notebooks, in order; none where there are none yet."""
    return sorted((notebooks / "exercises").glob("*.ipynb"))


def page_paths(root: Path = ROOT) -> list[str]:
    """The repository's own pages, as far as they are there."""
    return [path.relative_to(root).as_posix() for pattern in PAGES for path in sorted(root.glob(pattern))]


def copy_pages(target: Path, links: Links) -> None:
    """The repository's pages into the folder `target`, and the pictures that they show."""
    for page in page_paths(links.root):
        text = (links.root / page).read_text(encoding="utf-8")
        if page in HEADED:
            text = re.sub(r"\A# .*", f"# {HEADED[page]}", text)
        write(target / page, links.fitted(text, page))
    for picture in sorted(links.pictures):
        (target / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(links.root / picture, target / picture)


def copy_notebooks(paths: list[Path], notebooks: Path, target: Path, links: Links) -> None:
    """Notebooks as they were executed into `target`, below notebooks/."""
    for path in paths:
        page = posixpath.join("notebooks", Path(os.path.relpath(path, notebooks)).as_posix())
        node = notebook_files.read(path)
        in_parts = False
        for place, cell in enumerate(node.cells):
            if cell.cell_type == "markdown":
                cell.source = links.fitted(cell.source, page)
            if cell.cell_type == "markdown" and place > 0:
                cell.source, in_parts = _below_the_title(cell.source, in_parts)
            for output in cell.get("outputs", []):
                _tidy(output)
        write(target / page, json.dumps(node))


def _below_the_title(text, in_parts):
    """A page has one title: a later one heads a part, and the headings after it are of its sections.

    >>> _below_the_title("# Part\\n## Section", False)
    ('## Part\\n### Section', True)
    """

    def lowered(mark):
        nonlocal in_parts
        in_parts = in_parts or mark[0] == "# "
        return f"#{mark[0]}" if in_parts else mark[0]

    return _outside_code(lambda part: re.sub(r"^#{1,5} ", lowered, part, flags=re.M), text), in_parts


def _tidy(output):
    """No page runs a script of an output: what needs one is shown in a running notebook."""
    data = output.get("data", {})
    for kind in [kind for kind in data if "javascript" in kind or "widget-view" in kind]:
        del data[kind]
    if "text/html" in data:
        data["text/html"] = re.sub(r"(?is)<script\b.*?</script\s*>", "", "".join(data["text/html"]))


def write(path: Path, text: str) -> None:
    """Write a page, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
