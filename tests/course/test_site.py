"""The site, the links at the top of the notebooks, and figures for slides."""

import ast
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import browser
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from toys import PARAMETERS, call, toy, toys

from course import ROOT, UsageError, notebook_files
from course.runner.plan import find
from course.site import address, api, build, extension, figures, findings, front, openings, sources
from lib.results import Claim, Measure

pytest.importorskip("sphinx", reason="the extra `site` is not installed: python install.py site")
pytest.importorskip("myst_nb", reason="the extra `site` is not installed: python install.py site")

PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000a49444154789c6300010000050001"
        "0d0a2db40000000049454e44ae426082"
    )
).decode()
ADDRESS = "https://github.com/someone/a-course"
needs_chromium = pytest.mark.skipif(browser.program() is None, reason="no Chromium here")


def executed(folder, name, title, shown=()):
    """A notebook that was run: these outputs below a section of its own, a formula, a link to the other one."""
    other = {"00_one": "01_two", "01_two": "00_one"}[name]
    sums = "## The sum\n\n$$\\frac{a}{b}$$\n\n- its half, $$\\frac{a}{2b};$$"
    told = f"{sums}\n\nSee [the other]({other}.ipynb) and [code](../lib/metrics.py)."
    cells = [
        new_markdown_cell(f"# {title}\n\n**You need** notebook 00.\n\n**Time**: about 2 minutes."),
        new_code_cell('profile = "quick"', metadata={"tags": ["parameters"]}),
        new_markdown_cell(told),
        new_code_cell("print(1 + 1)", outputs=[new_output("stream", text="2\n"), *shown]),
    ]
    for place, cell in enumerate(cells):
        cell.id = f"cell-{place}"
    about = nbformat.from_dict({"kernelspec": notebook_files.KERNEL, "language_info": notebook_files.LANGUAGE})
    nbformat.write(new_notebook(cells=cells, metadata=about), folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Two notebooks that were run, what is expected of them, and a kept run of one on real photos."""
    folder = tmp_path_factory.mktemp("site")
    picture = new_output("display_data", {"image/png": PNG, "text/plain": "<Figure>"})
    script = new_output("display_data", {"text/html": "<b>kept</b><script>document.title = 'gone'</script>"})
    executed(folder, "00_one", "Is it one?", [picture, script])
    executed(folder, "01_two", "Is it two: or three?")
    (folder / "expected.toml").write_text(
        '[00_one]\nmeasures = [{ name = "mAP", method = "HOG", data = "drawn test", band = [0.1, 0.2] }]\n'
        '[00_one.claims]\n"a beats b" = "holds"\n"a beats c" = "either"\n"only drawn" = "undecided"\n'
    )
    claims = [Claim("00_one", "a beats b", "contradicted", -3.0, -4.0, -2.0, 0.001, "above", 0.0, 100, "points")]
    measures = [Measure("00_one", "mAP", 0.5, 0.4, 0.6, data="real test", more={"method": "HOG"})]
    run = {
        "notebook": "00_one", "profile": "full", "ended": "2030-01-01T00:00:00Z", "seconds": 1.0, "command": "x",
        "given": {}, "parameters": {}, "made_with": {}, "measures": [each.to_dict() for each in measures],
        "claims": [each.to_dict() for each in claims],
    }  # fmt: skip
    (folder / "kept").mkdir()
    (folder / "kept" / "00_one.json").write_text(json.dumps(run))
    return folder


@pytest.fixture(scope="module")
def site(places):
    """The site of these two notebooks, with few of the other pages: (folder, problems)."""
    target = places / "html"
    modules = [ROOT / "lib" / f"{name}.py" for name in ("metrics", "vectors")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PAGES", ("README.md", "CONTRIBUTING.md"))
        patch.setattr(api, "modules", lambda folder: modules)
        problems = build.build(build.Site(places, places / "reports", places / "kept", target, ADDRESS))
    return target, problems


def page(site, name):
    return (site[0] / name).read_text(encoding="utf-8")


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# ---- the pages -----------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_the_site_and_no_link_in_it_is_dead(site):
    assert site[1] == []
    assert len(list(site[0].rglob("*.html"))) >= 11


def test_a_notebook_shows_its_outputs_its_formulas_and_what_the_reader_may_follow(site):
    html = page(site, "notebooks/00_one.html")
    assert html.count('<span class="block"><svg class="formula"') == 2
    assert "$" not in words(re.sub(r"(?s)<script.*?</script>|aria-label=\"[^\"]*\"", "", html))
    assert re.search(r"<pre>.*2\n", html) and "<b>kept</b>" in html and "document.title" not in html
    assert 'href="01_two.html"' in html and 'href="../lib/metrics.html"' in html


def test_the_front_page_has_a_card_for_each_notebook_and_a_table_of_contents(site):
    html = page(site, "index.html")
    assert html.count('class="card"') == 2 and "Is it two: or three?" in words(html)
    assert 'src="_static/figures/00_one-01.png"' in html
    for target in ("results/index.html", "gallery.html", "lib/index.html", "README.html"):
        assert f'href="{target}"' in html


def test_claims_and_measures_of_drawn_and_real_images_stand_side_by_side(site):
    said = words(page(site, "results/00_one.html"))
    assert re.search(r"a beats b ✓ holds ✗ contradicted −3.0 points \(−4.0 to −2.0\)", said)
    assert re.search(r"a beats c by machine –", said)
    assert re.search(r"mAP HOG 0.100 to 0.200 drawn test 0.500 \(0.400 to 0.600\) real test", said)


def test_the_verdicts_are_counted_in_words(site):
    said = words(page(site, "results/index.html"))
    assert "00 Is it one? 1 holds 1 undecided 1 by machine 1 contradicted" in said


def test_a_claim_that_is_decided_otherwise_on_real_images_is_named(site):
    said = words(page(site, "results/index.html"))
    assert "real collections 1 1 0 0 %" in said
    assert re.search(r"Decided differently .* a beats b ✓ holds ✗ contradicted real collections", said)


def test_the_readme_is_named_by_what_is_in_it(site):
    assert "<h1>Set up and use<" in page(site, "README.html")
    assert "<h1>Image retrieval, from HOG to Matryoshka<" in page(site, "index.html")


def test_sections_stand_below_the_part_that_they_belong_to(tmp_path):
    texts = ["# Is it one?", "## First\n\n```\n# a comment\n```", "# A part\n\n## Second", "### Detail"]
    node = new_notebook(cells=[new_markdown_cell(text) for text in texts])
    node.metadata["kernelspec"] = notebook_files.KERNEL
    nbformat.write(node, tmp_path / "00_one.ipynb")
    sources.copy_notebooks([tmp_path / "00_one.ipynb"], tmp_path, tmp_path / "to", sources.Links(set(), ADDRESS))
    copied = nbformat.read(tmp_path / "to" / "notebooks" / "00_one.ipynb", 4)
    assert [cell.source for cell in copied.cells] == [*texts[:2], "## A part\n\n### Second", "#### Detail"]


def test_the_gallery_leads_to_the_section_that_draws_a_figure(site):
    assert 'href="notebooks/00_one.html#the-sum"' in page(site, "gallery.html")
    assert 'id="the-sum"' in page(site, "notebooks/00_one.html")


def test_no_page_fetches_anything_from_elsewhere(site):
    fetched = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//|<link[^>]+stylesheet[^>]+href=\"(?:https?:)?//"
    )
    for path in site[0].rglob("*.html"):
        assert not fetched.search(path.read_text(encoding="utf-8")), path.name
    for sheet in site[0].rglob("*.css"):
        assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_the_colours_are_those_of_the_reports(site):
    light, dark = extension.palette()
    sheet = page(site, "_static/site.css")
    assert light in sheet and sheet.count(dark) == 2 and "--page" in light and light != dark


def test_another_folder_is_not_overwritten(places, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_sphinx", lambda source, made, doctrees: made.mkdir() or [])
        status, said = call("site", "--notebooks", places, "--reports", places / "reports", "--out", tmp_path)
    assert status == 2 and "something else than a site" in said
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


# ---- links ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "word"),
    [
        ("gone.html", "a dead link in page.html: gone.html"),
        ("../outside.html", "a dead link in page.html: ../outside.html"),
        ("#nowhere", "a dead anchor in page.html: #nowhere"),
        ("other.html#nowhere", "a dead anchor in page.html: other.html#nowhere"),
        ("other.html#there", None),
        ("other%20one.html?q=1", None),
        ("https://example.org/gone", None),
    ],
)
def test_a_link_that_leads_nowhere_is_found(tmp_path, link, word):
    (tmp_path / "outside.html").write_text("")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "page.html").write_text(f'<a href="{link}">x</a>')
    (folder / "other.html").write_text('<p id="there">')
    (folder / "other one.html").write_text("")
    assert build.dead_links(folder) == ([word] if word else [])


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("[a](docs/teaching.md#x)", "[a](docs/teaching.md#x)"),
        ("[a](lib/metrics.py)", "[a](lib/metrics.md)"),
        ("[a](Makefile)", f"[a]({ADDRESS}/blob/main/Makefile)"),
        ("[a](lib)", f"[a]({ADDRESS}/tree/main/lib)"),
        ("[a](notebooks/index.ipynb)", "[a](index.md)"),
        ("[a](https://example.org) [b](#there)", "[a](https://example.org) [b](#there)"),
        ("[![Open](https://b.org/x.svg)](https://c.org)", "[Open](https://c.org)"),
        ("`[a](Makefile)`\n```\n[a](Makefile)\n```", "`[a](Makefile)`\n```\n[a](Makefile)\n```"),
    ],
)
def test_links_of_a_page_are_made_to_fit(text, fitted):
    links = sources.Links({"README.md", "docs/teaching.md", "lib/metrics.md"}, ADDRESS)
    assert links.fitted(text, "README.md") == fitted and links.dead == []


def test_a_link_to_no_file_is_told():
    links = sources.Links(set(), ADDRESS)
    links.fitted("[a](docs/gone.md) [b](../../etc/passwd)", "README.md")
    assert links.dead == ["README.md: docs/gone.md", "README.md: ../../etc/passwd"]


def test_the_address_is_that_of_the_repository_which_github_runs(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert address.address() == address.stated() and address.repository(address.stated())
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/a-course")
    assert address.address() == ADDRESS


def test_an_address_is_written_wherever_it_stands(tmp_path, monkeypatch):
    for name in ("pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(address, "ROOT", tmp_path)
    for given in ("https://github.com/first/course.git", f"{ADDRESS}/"):
        address.state(given, tmp_path)
    assert address.stated() == ADDRESS
    before, after = ((folder / "CITATION.cff").read_text().splitlines() for folder in (ROOT, tmp_path))
    assert [line for line in after if ADDRESS in line] == [f'repository-code: "{ADDRESS}"']
    assert [line for line in after if "repository-code" not in line] == [
        line for line in before if "repository-code" not in line
    ]
    with pytest.raises(UsageError, match="expected an address such as"):
        address.state("http://elsewhere.org/course", tmp_path)
    assert address.stated() == ADDRESS


# ---- lib -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", api.modules(ROOT / "lib"), ids=lambda path: path.stem)
def test_the_page_of_a_module_has_every_public_function_with_its_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    text = api.module_page(path, ADDRESS)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert f"### {node.name}\n" in text and f"{path.stem}.{node.name}" in text
            example = re.search(r">>> (.+)", ast.get_docstring(node) or "")
            assert example is None or example[1].strip() in text
    assert text.count("```") % 2 == 0


@pytest.mark.parametrize(
    ("source", "called"),
    [
        ("def f(a, b=(1, 2)): ...", "m.f(a, b=(1, 2))"),
        ("def f() -> dict[str, int]: ...", "m.f() -> dict[str, int]"),
        ("class C:\n    def __init__(self, n: int = 3): ...", "m.C(n: int = 3)"),
        ("class C:\n    n: int = 3\n    name: str = 'a'", "m.C(n: int = 3, name: str = 'a')"),
    ],
)
def test_a_signature_says_how_to_call_it(source, called):
    assert api.signature(ast.parse(source).body[0], "m") == called


def test_a_method_is_headed_by_its_class_too(tmp_path):
    (tmp_path / "m.py").write_text("class A:\n    def fit(self): ...\n\n\nclass B:\n    def fit(self): ...\n")
    headings = re.findall(r"^#+ .*", api.module_page(tmp_path / "m.py", ADDRESS), re.M)
    assert headings[-4:] == ["### A", "#### A.fit", "### B", "#### B.fit"]


# ---- what was found ------------------------------------------------------------------------------------------------


def test_a_finished_quick_run_counts_before_what_is_expected(finished):
    folder, _ = finished
    (folder / "expected.toml").write_text('[00_good.claims]\n"not made" = "holds"\n')
    found = findings.read(folder, folder / "reports", folder / "kept", ["00_good"])["00_good"]
    text = findings.chapter_page("00_good", "What is a toy?", found)
    assert "three quarters is more than half" in text and "not made" not in text and "**0.750**" in text


def test_text_of_a_claim_is_not_taken_for_markup():
    assert findings.cell("a|b *c* $d$ [e](f)") == r"a\|b \*c\* \$d\$ \[e\](f)"


# ---- figures -------------------------------------------------------------------------------------------------------


def test_figures_are_numbered_under_their_headings(places):
    (figure,) = front.figures_of(notebook_files.read(places / "00_one.ipynb"), "00_one")
    assert (figure.heading, figure.file_name) == ("The sum", "00_one-01.png")
    assert figure.content == base64.b64decode(PNG)


def test_a_notebook_that_chooses_a_format_shows_both_instead():
    own = (
        '%config InlineBackend.figure_formats = ["jpeg"]\n%config InlineBackend.print_figure_kwargs = {"a": {}}\nx = 1'
    )
    cells = [
        new_code_cell("n = 1", metadata={"tags": ["parameters"]}),
        new_code_cell("import this"),
        new_code_cell(own),
    ]
    shown = figures.shown_twice(new_notebook(cells=cells))
    assert [cell.source.strip() for cell in shown.cells] == ["n = 1", f"{figures.FORMATS}\nimport this", "x = 1"]


@pytest.mark.slow
def test_each_figure_is_written_as_png_and_svg_and_those_of_an_earlier_run_go(tmp_path):
    drawing = "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    chosen = '%config InlineBackend.figure_formats = ["jpeg"]'
    toy(tmp_path, "00_good", [chosen, "{begin}", drawing], parameters=PARAMETERS)
    toys(tmp_path, ["00_good"])
    out = tmp_path / "figures"
    (out / "00_good").mkdir(parents=True)
    (out / "00_good" / "07-old.svg").write_text("of an earlier run")
    status, said = call("figures", "--notebooks", tmp_path, "--out", out)
    assert status == 0 and "1 pictures, 1 of them also as SVG" in said, said
    png, svg = sorted((out / "00_good").iterdir())
    assert (png.name, svg.name) == ("01-what-is-a-toy.png", "01-what-is-a-toy.svg")
    assert png.read_bytes().startswith(b"\x89PNG") and ElementTree.parse(svg).getroot().tag.endswith("}svg")
    assert not (tmp_path / "reports").exists()  # a run for slides is no run of the course


# ---- the top of a notebook -----------------------------------------------------------------------------------------


@pytest.fixture
def linked(places, tmp_path):
    """The two notebooks with their links, and what was printed."""
    for name in ("00_one", "01_two"):
        shutil.copy(places / f"{name}.ipynb", tmp_path)
    (tmp_path / "exercises").mkdir()
    shutil.copy(places / "00_one.ipynb", tmp_path / "exercises")
    before = {path: notebook_files.source_digest(notebook_files.read(path), code_only=True) for path in find(tmp_path)}
    status, said = call("links", "--notebooks", tmp_path)
    assert status == 0
    return tmp_path, said, before


def test_the_links_are_written_once_and_change_no_code(linked):
    folder, said, before = linked
    assert len(said.splitlines()) == 3
    assert call("links", "--notebooks", folder) == (0, "")
    for path, digest in before.items():
        node = notebook_files.read(path)
        assert notebook_files.source_digest(node, code_only=True) == digest
        assert node.cells[0].source.count(openings.MARK) == 1 and node.cells[3].outputs


def test_a_notebook_leads_to_its_neighbours_the_map_and_two_places_to_run_it(linked):
    opening = notebook_files.read(linked[0] / "00_one.ipynb").cells[0].source
    assert opening.startswith("# Is it one?") and notebook_files.minutes(
        notebook_files.read(linked[0] / "00_one.ipynb")
    )
    assert (
        "[01 Is it two\N{NO-BREAK SPACE}→](01_two.ipynb)" in opening
        and "(index.ipynb)" in opening
        and "←" not in opening
    )
    home = address.repository(address.stated())
    assert f"colab.research.google.com/github/{home}/blob/main/notebooks/00_one.ipynb" in opening
    assert f"mybinder.org/v2/gh/{home}/main?urlpath=lab/tree/notebooks/00_one.ipynb" in opening
    assert openings.fetching(address.stated()) in opening
    assert "[exercises](exercises/00_one.ipynb)" in opening
    assert "[exercises]" not in notebook_files.read(linked[0] / "01_two.ipynb").cells[0].source


def test_the_map_names_each_notebook_and_what_it_builds_on_and_is_none_of_them(linked):
    node = notebook_files.read(linked[0] / openings.MAP)
    text = "\n".join(cell.source for cell in node.cells)
    assert "| [01](01_two.ipynb) | [Is it two: or three?](01_two.ipynb) | 00 | 2 |" in text
    assert "| [00](00_one.ipynb) | [Is it one?](00_one.ipynb) | – | 2 |" in text
    assert [path.stem for path in find(linked[0])] == ["00_one", "01_two"]


def test_an_edit_above_the_links_is_kept(linked):
    path = linked[0] / "00_one.ipynb"
    node = notebook_files.read(path)
    node.cells[0].source = node.cells[0].source.replace("# Is it one?", "# Is it really one?")
    path.write_text(notebook_files.to_text(node))
    call("links", "--notebooks", linked[0])
    assert notebook_files.read(path).cells[0].source.startswith("# Is it really one?")
    assert (
        "[←\N{NO-BREAK SPACE}00 Is it really one?](00_one.ipynb)"
        in notebook_files.read(linked[0] / "01_two.ipynb").cells[0].source
    )


def test_the_committed_notebooks_have_the_links_that_the_command_writes(tmp_path):
    paths = [*find(ROOT / "notebooks"), ROOT / "notebooks" / openings.MAP, *sources.exercises_of(ROOT / "notebooks")]
    for path in paths:
        target = tmp_path / path.relative_to(ROOT / "notebooks")
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    before = {path: notebook_files.read(path).cells[0].source for path in find(tmp_path)}
    status, _ = call("links", "--notebooks", tmp_path)
    assert status == 0
    stale = [path.stem for path in before if notebook_files.read(path).cells[0].source != before[path]]
    assert stale == [], "run `python -m course links`"
    texts = [[c.source for c in notebook_files.read(f / openings.MAP).cells] for f in (tmp_path, ROOT / "notebooks")]
    assert texts[0] == texts[1], "run `python -m course links`"


def test_binder_draws_the_images_as_it_builds():
    script = ROOT / "postBuild"
    command = [line for line in script.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert os.access(script, os.X_OK) and command == ["python -m course catalogue"]
    assert command[0] in openings.fetching(address.stated())


@pytest.mark.slow
def test_the_links_are_written_with_the_outputs_where_there_is_a_map(finished):
    folder, where = finished
    call("links", *where[:2])
    path = folder / "00_good.ipynb"
    node = notebook_files.read(path)
    node.cells[0].source = "# What is another toy?\n\nAbout 1 minute."  # as one who rewrites the first cell leaves it
    path.write_text(notebook_files.to_text(node), encoding="utf-8")
    assert call("notebooks", *where)[0] == 0
    assert openings.MARK in notebook_files.read(path).cells[0].source
    assert "What is another toy?" in (folder / openings.MAP).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_cell_that_fetches_the_course_works_in_an_empty_folder(tmp_path, monkeypatch):
    """The cell as it stands, but for the number of images to draw; git is told that the address is this checkout."""
    from nbclient import NotebookClient

    settings = {f"url.{ROOT.as_uri()}.insteadOf": address.stated(), "safe.directory": "*"}
    for place, (key, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{place}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{place}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # all of it is here: nothing is to be fetched
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("PYTHONPATH", "RETRIEVAL_DATA"):
        monkeypatch.delenv(name, raising=False)
    fetch = openings.fetching(address.stated())
    use = (
        "import lib\nfrom lib import collection, descriptors\nimages = collection.read('catalogue', 'test')\n"
        "print(lib.__file__, len(descriptors.hog(images.images(32)[:4])))"
    )
    cells = [new_code_cell(f"{fetch} --images 150 --size 64"), new_code_cell(use)]
    folder = tmp_path / "empty"
    folder.mkdir()
    node = new_notebook(cells=cells)
    NotebookClient(node, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    (said,) = [output.text for output in node.cells[1].outputs if output.get("name") == "stdout"]
    name = address.repository(address.stated()).split("/")[1]
    assert said.split() == [str(folder / name / "lib" / "__init__.py"), "4"]


# ---- the whole site, in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    target = tmp_path_factory.mktemp("whole") / "html"
    run = subprocess.run(
        [sys.executable, "-m", "course", "site", "--out", str(target)], cwd=ROOT, capture_output=True, text=True
    )
    return target, run


@pytest.mark.slow
def test_the_whole_site_is_written_without_a_dead_link(whole):
    target, run = whole
    assert run.returncode == 0, run.stderr
    for path in find(ROOT / "notebooks"):
        for folder in ("notebooks", "results"):
            assert (target / folder / f"{path.stem}.html").is_file()
    assert build.dead_links(target) == []


@pytest.mark.slow
def test_every_formula_is_drawn(whole):
    shown_as_code = re.compile(r"<code>[^<]*\\(?:frac|sum|text|mathrm|big|operatorname)\b[^<]*")
    pages = (whole[0] / "notebooks").rglob("*.html")
    assert [found[0] for path in pages if (found := shown_as_code.search(path.read_text(encoding="utf-8")))] == []


BROKEN_WORDS = """[...document.querySelectorAll("td, th")].filter(cell => {
    const text = cell.firstChild, range = document.createRange();
    if (cell.childNodes.length != 1 || text.nodeType != 3 || !/^\\w+$/.test(text.data)) return false;
    range.selectNode(text);
    return range.getClientRects().length > 1;
}).map(cell => cell.innerText)"""  # cells of a table that hold one word, and not on one line


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_a_phone_and_a_desktop_in_light_and_dark(whole, tmp_path, dark):
    names = ["index", "gallery", "results/index", "results/02_backbones", "notebooks/03_siamese_triplet", "lib/metrics"]
    colour = re.search(r"--page: (#\w+);", extension.palette()[dark])[1]
    red_green_blue = "rgb({}, {}, {})".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))
    with browser.chromium(tmp_path) as shown:
        for width in (390, 1100, 1400):
            shown.look(width, 900, dark)
            for name in names:
                shown.open((whole[0] / f"{name}.html").as_uri())
                assert shown.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
                assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == red_green_blue
                assert shown.evaluate(BROKEN_WORDS) == [], (name, width)
        assert shown.problems == []


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("collapse", ["collapse.py", "Can distance itself be learned?"]),
        ("Matryoshka", ["matryoshka.py", "Can one embedding be many?"]),
        ("BM25", ["What do words tell?"]),
        ("SIFT", ["keypoints.py", "What can be found without learning?"]),
    ],
)
def test_search_works_from_the_disk(whole, tmp_path, words, found):
    with browser.chromium(tmp_path) as shown:
        shown.open((whole[0] / "search.html").as_uri() + f"?q={words}")
        shown.wait("document.querySelectorAll('#search-results li a').length > 3")
        titles = shown.evaluate("document.querySelector('#search-results').innerText").splitlines()
    assert set(found) <= set(titles)
