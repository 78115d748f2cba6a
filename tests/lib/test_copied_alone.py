"""Every module of lib, copied by `python -m course copy` into an empty folder, does its work there.

In a fresh process that refuses `lib` and `course`, each module is imported from its own folder, its entry point is
called, and its doctests run. Modules with the same heavy imports share a process; what was imported from one folder is
forgotten before the next.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from course import ROOT, copying

# What a user would do first with each module; `here` is an empty folder, `rng` numpy's generator.
LIGHT = {
    "metrics": "assert metrics.precision_at_k([[True, False]], n_relevant=[1], k=2).tolist() == [1 / 2]",
    "significance": """
        effect = significance.paired_difference(np.arange(20.0) + 1, np.arange(20.0))
        assert abs(effect.mean - 1) < 1e-9 and significance.verdict(effect, above=0.5) == "holds"
        """,
    "relevance": """
        values = relevance.average_precision([[1, 2], [0, 2], [0, 1]], list("aab"), list("aab"), self_in_gallery=True)
        assert values[:2].tolist() == [1, 1] and np.isnan(values[2])
        """,
    "findings": "assert findings.number(1.5, 'value') == 1.5",
    "results": """
        os.environ["RETRIEVAL_REPORTS"] = str(here)
        results.begin("00_toy", "quick")
        results.measure("AP", rng.random(50))
        results.compare(rng.random(50) / 2 + 0.5, rng.random(50) / 2, claim="a half is more than none", show=False)
        (claim,) = results.read(here / "results" / "quick" / "00_toy.json").claims
        assert claim.verdict == "holds"
        """,
    "crossmodal": "assert crossmodal.evaluate([1.0, 4.0], [0, 1], np.ones(2, bool))[1]['MRR'] == 0.625",
    "images": """
        Image.fromarray(rng.integers(0, 255, (8, 4, 3)).astype(np.uint8)).save(here / "photo.png")
        assert images.read_at(here / "photo.png", 4).shape == (4, 4, 3)
        """,
    "metadata": """
        (here / "metadata.csv").write_text("file_name,label\\na.png,1\\n")
        assert metadata.read_metadata(here / "metadata.csv")["file_name"].tolist() == ["a.png"]
        """,
    "collection": """
        (here / "photos" / "sea").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(here / "photos" / "sea" / "1.png")
        assert collection.read(here / "photos").images(4, progress=False).shape == (1, 4, 4, 3)
        """,
    "descriptors": "assert len(descriptors.hog(rng.integers(0, 255, (2, 32, 32, 3)).astype(np.uint8))) == 2",
    "keypoints": "assert len(keypoints.sift(rng.integers(0, 255, (64, 64)).astype(np.uint8)).descriptors) > 0",
    "vectors": "assert np.allclose(vectors.unit_rows(np.array([[3, 4]], np.float32)), [[0.6, 0.8]])",
    "indexes": """
        rows = rng.random((50, 8)).astype(np.float32)
        index = indexes.FlatIndex(metric="cosine").fit(rows)
        assert index.search(rows[:2], k=1)[1].tolist() == [[0], [1]]
        assert indexes.benchmark(indexes.HNSWIndex(), rows, rows[:5], k=3, n_single=5, n_rounds=1)["recall"] > 0
        """,
    "plan": """
        way = {"rows": 100, "reads": "all rows", "bytes": 8, "embed_ms": 1.0, "first_ms": 2.0, "again_ms": 3.0}
        assert plan.at_size(way, 1000)["ms"] == 1 + 10 * 2 + 3
        """,
    "matryoshka": """
        rows = rng.random((50, 8)).astype(np.float32)
        assert matryoshka.shortlist_and_rerank(rows, rows[:2], 4, 10, 1)[1].tolist() == [[0], [1]]
        """,
    "vector_store": """
        rows, client = rng.random((50, 8)).astype(np.float32), vector_store.connect()
        vector_store.create(client, "toy", first_d=4, width=8)
        assert vector_store.upload(client, "toy", rows) == 50
        assert vector_store.search(client, "toy", rows[:2], shortlist=10, k=1)[1].tolist() == [[0], [1]]
        """,
    "hubness": "assert hubness.hubness([[0], [0]], n_gallery=4).never == 3 / 4",
    "collapse": "assert collapse.effective_rank(rng.random((20, 4))) > 1",
    "masking": "assert masking.without_product(np.zeros((1, 8, 8, 3), np.uint8), np.eye(8, dtype=bool)[None]).shape",
    "correlation": """
        x = rng.normal(size=(100, 3))
        assert correlation.CanonicalCorrelation(n_shared=2).fit(x, x).correlations.min() > 0.9
        """,
    "cache": """
        ones = lambda start, stop: np.ones((stop - start, 2))
        rows = cache.embeddings(here, {"of": "a toy"}, ones, n=3, progress=False)
        assert rows.shape == (3, 2) and len(list(here.glob("*/rows-*.npy"))) == 1
        """,
    "plots": """
        photos = rng.integers(0, 255, (6, 8, 8, 3)).astype(np.uint8)
        figure = plots.retrieval_grid(photos[:2], photos[[[2, 3], [4, 5]]], [[True, False], [False, True]])
        figure.savefig(here / "figure.png")
        """,
}
TORCH = {
    "training": """
        line = torch.nn.Linear(1, 1)
        optimiser = torch.optim.SGD(line.parameters(), lr=0.1)
        step = lambda model, batch: (model(batch) - 1).square().mean()
        assert len(training.train(line, step, [torch.ones(1, 1)], optimiser, epochs=2, progress=False)) == 2
        """,
    "losses": """
        rows = torch.nn.functional.normalize(torch.rand(8, 4), dim=1).requires_grad_()
        losses.info_nce(rows, rows.detach()).backward()
        assert rows.grad.isfinite().all()
        """,
    "networks": "assert networks.NestedResNet(4, (8, 16), (1, 1), 32)(torch.zeros(2, 3, 32, 32)).shape == (2, 32)",
    "two_towers": "assert two_towers.TwoTower(8, 4, 2)(torch.rand(3, 8), torch.rand(3, 4))[0].shape == (3, 2)",
    "boost": """
        table = pd.DataFrame({"colour": ["red", "blue"] * 10})
        options = boost.Options(epochs=2, batch_size=10)
        boosted = boost.fit(rng.random((20, 8)).astype(np.float32), table, options=options, progress=False)
        assert boosted.embed(rng.random((3, 8)).astype(np.float32)).shape == (3, 8)
        """,
    "nested": """
        body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4))
        model = nested.Nested(body, lambda rows: [rows[:, :2], rows])
        batches = [(torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1]))] * 2  # two steps
        assert len(nested.train_nested(model, batches, nested.NestedSettings(epochs=1))) == 1
        """,
    "supervision": """
        photos = supervision.Photos(np.zeros((8, 4, 4, 3), np.uint8), np.eye(8, 2, dtype=bool))
        network = supervision.Supervised(torch.nn.Flatten(), 48, n_outputs=2)
        settings = supervision.TaskSettings(epochs=1)
        assert len(supervision.train_task(supervision.Labels(2), network, photos, photos, settings)) == 1
        """,
    "weights": """
        assert weights.in_folders("resnet18")[0] is None
        assert len(weights.digest_state(torch.nn.Linear(2, 2).state_dict())) == 64
        """,
    "embedding": """
        preprocess = embedding.Preprocess(resize=8, crop=4, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        assert preprocess(np.zeros((2, 16, 16, 3), np.uint8)).flatten().unique().tolist() == [-1]
        """,
    "backbones": """
        network = backbones.load("efficientnet_lite0", "none", image_size=96, device="cpu")
        assert backbones.embed(network, np.zeros((1, 96, 96, 3), np.uint8), progress=False).shape == (1, 1280)
        """,
    "text": """
        assert text.TfIdf().fit(["a red shirt", "a blue shirt"]).transform(["red"]).shape[0] == 1
        """,
    "zero_shot": """
        try:
            zero_shot.load(here)
        except zero_shot.MissingWeights as error:
            assert "config.json" in str(error)
        """,
}
TENSORFLOW = {
    "shared_space": """
        rows = rng.random((64, 4)).astype(np.float32)
        model = shared_space.autoencoder(rows, 2)
        assert len(shared_space.train_model(model, rows, rows, shared_space.rmse, epochs=1, batch_size=16)) == 1
        """,
}

PROGRAM = """
import doctest, importlib, json, os, sys, traceback
from pathlib import Path

import numpy as np
{imports}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("lib", "course"):
            raise ModuleNotFoundError(f"{{name}} is not in the folder of a copied module", name=name)

sys.meta_path.insert(0, Refuse())
outcomes = {{}}
for name, folder, here, code in json.load(sys.stdin):
    sys.path.insert(0, folder)
    try:
        module = importlib.import_module(name)
        assert Path(module.__file__).parent == Path(folder), module.__file__
        rng = np.random.default_rng(0)
        exec(code, {{**globals(), name: module, "here": Path(here), "rng": rng}})
        outcome = doctest.testmod(module)
        outcomes[name] = f"{{outcome.failed}} doctests failed" if outcome.failed else "works"
    except BaseException:
        outcomes[name] = traceback.format_exc()
    sys.path.remove(folder)
    copied = {{path.stem for path in Path(folder).glob("*.py")}}
    for loaded in copied & set(sys.modules):
        del sys.modules[loaded]
print(json.dumps(outcomes))
"""


def outcomes(calls, tmp_path, imports=""):
    """{module: "works", or what went wrong} of modules copied into folders of their own, in one fresh process."""
    jobs = []
    for name, code in calls.items():
        folder, here = tmp_path / name / "copied", tmp_path / name / "empty"
        here.mkdir(parents=True)
        with contextlib.redirect_stdout(io.StringIO()):
            copying.command(name, folder)
        jobs.append((name, str(folder), str(here), textwrap.dedent(code)))
    # -I: neither PYTHONPATH nor the working directory is on the path; the program itself puts the folder there
    command = [sys.executable, "-I", "-c", PROGRAM.format(imports=imports)]
    unset = ("RETRIEVAL_DATA", "RETRIEVAL_WEIGHTS", "RETRIEVAL_REPORTS", "QDRANT_URL")
    environment = {key: value for key, value in os.environ.items() if key not in unset} | {"MPLBACKEND": "Agg"}
    run = subprocess.run(
        command, input=json.dumps(jobs), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout.strip().rpartition("\n")[2])
    return {name: f"{outcome}\n{run.stdout}" if "doctests" in outcome else outcome for name, outcome in found.items()}


def faults(calls, tmp_path, imports=""):
    return {name: text for name, text in outcomes(calls, tmp_path, imports).items() if text != "works"}


def test_every_module_is_called():
    modules = {path.stem for path in (ROOT / "lib").glob("*.py")} - {"__init__"}
    assert modules == {*LIGHT, *TORCH, *TENSORFLOW}


@pytest.mark.slow
def test_modules_that_need_no_network_work_where_they_are_copied(tmp_path):
    assert faults(LIGHT, tmp_path, "from PIL import Image") == {}


@pytest.mark.slow
def test_modules_of_torch_work_where_they_are_copied(tmp_path):
    assert faults(TORCH, tmp_path, "import pandas as pd\nimport torch") == {}


@pytest.mark.slow
def test_modules_of_tensorflow_work_where_they_are_copied(tmp_path):
    assert faults(TENSORFLOW, tmp_path) == {}


def test_the_fresh_process_has_no_lib_and_sees_a_failing_doctest(tmp_path, monkeypatch):
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "needy.py").write_text("import importlib\nimportlib.import_module('lib.metrics')\n")
    (lib / "wrong.py").write_text('"""\n>>> 1 + 1\n3\n"""\n')
    (lib / "fails.py").write_text("")
    monkeypatch.setattr(copying, "LIB", lib)
    found = outcomes({"needy": "", "wrong": "", "fails": "assert fails.missing"}, tmp_path / "work")
    assert "lib is not in the folder of a copied module" in found["needy"]
    assert "1 doctests failed" in found["wrong"] and "Expected:\n    3" in found["wrong"]
    assert "AttributeError" in found["fails"]


def test_nothing_else_is_in_the_folder(tmp_path):
    with contextlib.redirect_stdout(io.StringIO()):
        copying.command("boost", tmp_path)
    assert {path.name for path in Path(tmp_path).iterdir()} == {"boost.py", "networks.py", "training.py"}
