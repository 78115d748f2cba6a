"""The chapters in a real JupyterLab in a real browser: the map opens, Restart and Run All ends without an error."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import browser
import pytest

from course import ROOT, notebook_files
from course.runner.plan import plan, read_profiles
from course.site import openings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.end_to_end,
    pytest.mark.skipif(browser.program() is None, reason="no Chromium here"),
    pytest.mark.skipif(os.name == "nt", reason="the folder of data is made of links"),
]
CHAPTERS = ("00_metrics", "03_siamese_triplet", "07_shared_space")  # numpy, torch, Keras
PANEL = "[...(window.jupyterapp?.shell.widgets('main') ?? [])].find(each => each.content?.model?.cells)"
CELLS = f"""[...{PANEL}.content.model.cells].map(cell => ({{
    type: cell.type, text: cell.sharedModel.source, count: cell.executionCount,
    outputs: cell.type === 'code' ? cell.outputs.toJSON() : []}}))"""
IDLE = f"{PANEL}.sessionContext.session?.kernel?.status === 'idle'"


@pytest.fixture(scope="module")
def lab(tiny_catalogue, tmp_path_factory):
    """The address of a JupyterLab on the map and three chapters, which have the parameters of profile smoke."""
    folder = tmp_path_factory.mktemp("lab")
    notebooks, data = folder / "notebooks", folder / "data"
    notebooks.mkdir()
    data.mkdir()
    for name in ("", "-probes"):
        (data / f"catalogue{name}").symlink_to(tiny_catalogue.with_name(f"{tiny_catalogue.name}{name}"))
    paths = [ROOT / "notebooks" / f"{name}.ipynb" for name in CHAPTERS]
    for notebook in plan(paths, read_profiles(ROOT / "notebooks"), "smoke", []):
        assert notebook.problem is None
        node = notebook_files.read(notebook.path)
        for cell in node.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = "\n".join(f"{name} = {value!r}" for name, value in notebook.parameters.items())
        (notebooks / notebook.path.name).write_text(notebook_files.to_text(node), encoding="utf-8")
    shutil.copy(ROOT / "notebooks" / openings.MAP, notebooks)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyterlab", openings.MAP, "--no-browser", "--allow-root", "--expose-app-in-browser",
        f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
    ]  # fmt: skip
    variables = {
        "PYTHONPATH": str(ROOT),
        "RETRIEVAL_DATA": str(data),
        "RETRIEVAL_REPORTS": str(folder / "reports"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    rest = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=notebooks, env={**rest, **variables}, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api?token={token}", server)
            yield f"{address}/lab", token
        finally:
            server.terminate()
            server.wait(30)


def wait_for(address, server, seconds=300):
    """Wait until a server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.5)
    raise TimeoutError("JupyterLab did not start")


@pytest.fixture
def page(tmp_path):
    with browser.chromium(tmp_path / "browser") as shown:
        shown.look(1400, 900)
        yield shown


def open_notebook(page, lab, name=""):
    """Show a notebook, by default what JupyterLab opens by itself, and wait until its kernel is there."""
    address, token = lab
    page.call("Page.navigate", url=f"{address}{f'/tree/{name}' if name else ''}?token={token}&reset")
    page.wait(f"{PANEL}?.content.model.cells.length > 1", 300)
    page.wait(IDLE, 300)
    page.evaluate(f"jupyterapp.shell.activateById({PANEL}.id)")


def cells(page):
    return page.evaluate(CELLS)


def errors(page):
    return [
        f"{cell['text'].splitlines()[0]}: {output['ename']}: {output['evalue']}"
        for cell in cells(page)
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]


def test_the_map_can_be_stepped_through_cell_by_cell(lab, page):
    open_notebook(page, lab, openings.MAP)
    assert page.evaluate(f"{PANEL}.context.path") == openings.MAP
    page.evaluate(f"{PANEL}.content.activeCellIndex = 0")
    for _ in cells(page):
        page.evaluate("jupyterapp.commands.execute('notebook:run-cell-and-select-next').then(() => true)")
    assert errors(page) == []
    said = ["".join(output.get("text", "")) for cell in cells(page) for output in cell["outputs"]]
    assert any("images are here; the nearest of image 0 are" in text for text in said)
    kinds = {kind for cell in cells(page) for output in cell["outputs"] for kind in output.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" in kinds  # the bar that shows how far it has read the images


@pytest.mark.parametrize("name", CHAPTERS)
def test_restart_and_run_all_ends_without_an_error(lab, page, name):
    open_notebook(page, lab, f"{name}.ipynb")
    page.evaluate("jupyterapp.commands.execute('notebook:restart-run-all'), true")
    page.wait("!!document.querySelector('.jp-Dialog button.jp-mod-accept')", 30)
    page.evaluate("document.querySelector('.jp-Dialog button.jp-mod-accept').click()")
    code = f"{CELLS}.filter(cell => cell.type === 'code' && cell.text.trim())"
    failed = f"{CELLS}.some(cell => cell.outputs.some(output => output.output_type === 'error'))"
    page.wait(f"{failed} || ({IDLE} && {code}.every(cell => cell.count > 0))", 800)
    assert errors(page) == []
    counts = [cell["count"] for cell in cells(page) if cell["type"] == "code" and cell["text"].strip()]
    assert counts == list(range(1, len(counts) + 1))
