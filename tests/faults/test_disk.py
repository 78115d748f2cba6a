"""A disk that is full, a folder that may not be written, a clock that goes back, a notebook edited while it runs.

"Full" is a limit on the size of files (RLIMIT_FSIZE) in a process of its own: a write beyond it fails with an OSError
after part of the bytes are on the disk, as on a full one.
"""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from toys import call, good_cells, measured, toy, toys

from course import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits and users as on Unix")

FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from lib import cache
folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def full(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
"""

EMBEDS = """
numbers = lambda start, stop: np.arange(start * 1.0, stop)[:, None] * np.ones(100)
embed = lambda: cache.embeddings(folder, {"of": "a full disk"}, numbers, n=30, part=10)
full(2000)
"""

TRAINS = """
import pandas as pd, torch
line = torch.nn.Linear(100, 100)
def train(checkpoint):
    torch.nn.init.ones_(line.weight)
    return pd.DataFrame({"epoch": [1], "loss": [0.5]})
embed = lambda: cache.trained(folder, {"of": "a full disk"}, line, train)["loss"].tolist()
full(2000)
"""

AFTER = """
try:
    embed()
except OSError as error:
    print("failed:", error)
else:
    sys.exit("it did not fail")
left = [path.name for path in folder.rglob("*") if path.suffix in (".npy", ".safetensors")]
print("left:", left)
full(resource.RLIM_INFINITY)
whole = embed()
print("then:", np.asarray(whole).sum())
"""


def run(code, *arguments, **options):
    code = textwrap.dedent(code)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, **options)


@pytest.mark.slow
@pytest.mark.parametrize(("what", "total"), [(EMBEDS, 43500.0), (TRAINS, 0.5)], ids=["features", "weights"])
def test_a_full_disk_leaves_nothing_under_a_final_name_and_the_next_run_writes_it(tmp_path, what, total):
    done = run(FULL + what + AFTER, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "failed: [Errno 27]" in done.stdout
    assert "left: []" in done.stdout
    assert f"then: {total}" in done.stdout


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path):
    code = FULL.replace("from lib import cache", "from course.files import write_text")
    code += """
    path = folder / "state.json"
    write_text(path, "old")
    full(2000)
    try:
        write_text(path, "new" * 2000)
    except OSError as error:
        print("failed:", error)
    print(path.read_text(), sorted(other.name for other in folder.iterdir()))
    """.replace("\n    ", "\n")
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "failed:" in done.stdout and "old ['state.json']" in done.stdout


@pytest.mark.slow
def test_a_report_that_does_not_fit_on_the_disk_fails_its_notebook_and_the_next_run_mends_it(tmp_path):
    toy(tmp_path, "00_good", [*good_cells(), "print('x' * 60_000)"])
    toys(tmp_path, ["00_good"])
    code = FULL.replace("from lib import cache", "from course.__main__ import main")
    code += """
    full(50_000)
    sys.exit(main(["run", "--notebooks", str(folder), "--reports", str(folder / "reports")]))
    """.replace("\n    ", "\n")
    done = run(code, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "00_good" in done.stdout + done.stderr and "File too large" in done.stdout + done.stderr
    status, said = call("run", "--resume", "--notebooks", tmp_path, "--reports", tmp_path / "reports")
    assert status == 0 and "kept" not in said


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    code = """
    import os, sys
    import numpy as np
    from lib import cache
    if os.geteuid() == 0:  # whom permissions do not stop
        os.setegid(65534)
        os.seteuid(65534)
    cache.embeddings(sys.argv[1], {"of": "read only"}, lambda a, b: np.ones((b - a, 1)), n=2)
    """
    with tempfile.TemporaryDirectory(prefix="read-only-") as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o555)
        done = run(code, folder)
    assert done.returncode == 1
    assert "PermissionError" in done.stderr and folder in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_clock_that_was_set_back_makes_nothing_stale_and_nothing_fresh(tmp_path):
    toy(tmp_path, "00_good", good_cells())
    toys(tmp_path, ["00_good"])
    arguments = ["run", "--resume", "--notebooks", tmp_path, "--reports", tmp_path / "reports"]
    assert call(*arguments)[0] == 0
    for path in [*tmp_path.glob("*.ipynb"), *(tmp_path / "reports").rglob("*")]:
        os.utime(path, (4e9, 4e9))  # the year 2096
    status, said = call(*arguments)
    assert status == 0 and "kept     00_good" in said
    toy(tmp_path, "00_good", good_cells("n / 6"))
    os.utime(tmp_path / "00_good.ipynb", (0, 0))  # older than everything, and yet another notebook
    status, said = call(*arguments)
    assert status == 0 and "kept" not in said


@pytest.mark.slow
def test_a_notebook_that_is_edited_while_it_runs_is_run_again(tmp_path):
    edit = "from pathlib import Path\npath = Path('00_good.ipynb')\n"
    edit += "path.write_text(path.read_text().replace('n / 4', 'n / 5'))"
    toy(tmp_path, "00_good", [*good_cells(), edit])
    toys(tmp_path, ["00_good"])
    arguments = ["run", "--resume", "--notebooks", tmp_path, "--reports", tmp_path / "reports"]
    assert call(*arguments)[0] == 0 and measured(tmp_path)[0]["value"] == 3 / 4
    status, said = call(*arguments)
    assert status == 0 and "kept" not in said and measured(tmp_path)[0]["value"] == 3 / 5
    assert "kept" in call(*arguments)[1]
