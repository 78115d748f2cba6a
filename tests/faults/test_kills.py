"""A course that is killed at random moments and taken up again ends as one that was left in peace.

Each round starts `python -m course run --resume`, waits for a random moment, and sends SIGKILL to the runner, to the
process that executes a notebook, or to its kernel. FAULT_KILLS says how often (by default 3; 20 is the full script:
`FAULT_KILLS=20 pytest tests/faults/test_kills.py -s`). What is compared are the results, the caches on the disk, and
the processes that are left.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys import toy, toys

from course import ROOT

KILLS = int(os.environ.get("FAULT_KILLS", "3"))
LONGEST = 9.0  # seconds until a kill: the toy course takes about this long on an idle machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.end_to_end,
    pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="finds processes by /proc"),
]

EMBEDS = """
import time, numpy as np
from lib import cache
def slowly(start, stop):
    time.sleep(0.05)
    return np.random.default_rng(start).normal(size=(stop - start, 8)).astype(np.float32)
embeddings = cache.embeddings({folder!r}, {{"of": "kills"}}, slowly, n=200, part=4)
results.measure("sum", float(embeddings.sum()), method="embeddings")
"""

TRAINS = """
import time, torch
from lib import cache, training
torch.manual_seed(0)
line = torch.nn.Linear(4, 1)
rows = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
def step(model, batch):
    time.sleep(0.02)
    return (model(batch) - batch.sum(1, keepdim=True)).square().mean()
def train(checkpoint):
    optimiser = torch.optim.Adam(line.parameters(), lr=0.01)
    batches = training.Batches([rows], 16, seed=2)
    return training.train(line, lambda model, batch: step(model, batch[0]), batches, optimiser, 25,
                          checkpoint=checkpoint, progress=False)
history = cache.trained({folder!r}, {{"of": "kills"}}, line, train)
results.measure("loss", float(history["loss"].iloc[-1]), method="training")
"""


def write_course(folder):
    caches = folder / "caches"
    toy(folder, "00_embeds", ["{begin}", EMBEDS.format(folder=str(caches / "features"))])
    toy(folder, "01_trains", ["{begin}", TRAINS.format(folder=str(caches / "models"))])
    toys(folder, ["00_embeds", "01_trains"])


def start(folder):
    command = [sys.executable, "-m", "course", "run", "--resume"]
    command += ["--notebooks", folder, "--reports", folder / "reports"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def processes_in(folder):
    """Those that work in the folder: {pid: command line}. A kernel works in it, papermill in its reports."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(place / "cwd")).is_relative_to(folder):
                found[int(place.name)] = (place / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # it has ended, or belongs to someone else
            continue
    return found


def outcome(folder):
    """What the notebooks measured."""
    measured = {}
    for path in sorted((folder / "reports" / "results" / "quick").glob("*.json")):
        measured[path.name] = [(row["name"], row["value"]) for row in json.loads(path.read_text())["measures"]]
    return measured


def damaged(folder):
    """Files of the caches whose bytes are not those that their names tell."""
    files = [path for pattern in ("*.npy", "*.safetensors") for path in (folder / "caches").rglob(pattern)]
    files = [path for path in files if not path.parent.name.startswith(".unfinished-")]
    assert files, "nothing was cached"
    return [p for p in files if hashlib.sha256(p.read_bytes()).hexdigest()[:32] != p.stem.split(".")[-1]]


def test_a_course_that_was_killed_and_taken_up_again_ends_as_one_left_in_peace(tmp_path):
    peace, war = tmp_path / "peace", tmp_path / "war"
    for folder in (peace, war):
        folder.mkdir()
        write_course(folder)
    assert start(peace).wait(timeout=300) == 0
    chance = random.Random(int(os.environ.get("FAULT_SEED", "0")))
    killed, n_ended = {"runner": 0, "papermill": 0, "kernel": 0}, 0
    while sum(killed.values()) < KILLS:
        runner = start(war)
        time.sleep(chance.uniform(0.5, LONGEST))
        inside = processes_in(war)
        kinds = {"kernel": "ipykernel_launcher", "papermill": "kernel.py"}
        pids = {kind: pid for kind, mark in kinds.items() for pid, line in inside.items() if mark in line}
        kind = chance.choice(["runner", *pids])
        if runner.poll() is None:
            os.kill(pids.get(kind, runner.pid), signal.SIGKILL)
            killed[kind] += 1
        runner.wait(timeout=300)
        end = time.monotonic() + 30
        while processes_in(war):  # a notebook whose runner was killed ends itself
            assert time.monotonic() < end, f"still there after killing the {kind}: {processes_in(war)}"
            time.sleep(0.2)
        if runner.returncode == 0:  # it came to its end: compare, and begin with an empty folder again
            assert outcome(war) == outcome(peace) and damaged(war) == []
            n_ended += 1
            shutil.rmtree(war / "reports")
            shutil.rmtree(war / "caches")
    assert start(war).wait(timeout=300) == 0
    print(f"\nkilled {killed}, came to its end {n_ended + 1} times")
    assert outcome(war) == outcome(peace) and len(outcome(peace)) == 2
    assert damaged(war) == []
