"""On a GPU nothing is forgotten on the CPU: the notebooks and the losses, on tensors that refuse to be mixed."""

import copy
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from pretend_gpu import pretend_gpu
from torch import nn
from torch.nn import functional

from course import ROOT
from course.__main__ import main
from course.runner import kernel
from lib import losses, nested, networks, training

NOTEBOOKS = ROOT / "notebooks"
BY_TORCH = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if "import torch\\n" in path.read_text(encoding="utf-8")]


@pytest.fixture
def gpu():
    with pretend_gpu() as device:
        yield device


# ------------------------------------------------------------------------------------------------- the pretence itself


def test_tensors_of_two_devices_do_not_mix(gpu):
    there = torch.ones(3, device="cuda")
    for mixed in (
        lambda: there + torch.ones(3),
        lambda: torch.ones(3) * there,
        lambda: torch.cat([there, torch.ones(1)]),
        lambda: torch.arange(3)[torch.tensor([0, 1], device=gpu)],
        lambda: nn.Linear(3, 2)(there),
        lambda: there.add_(torch.ones(3)),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()


def test_numbers_and_indices_may_come_from_the_cpu(gpu):
    there = torch.tensor([1.0, 2.0, 3.0]).to(gpu)
    assert (there + torch.tensor(1.0) + 1).tolist() == [3, 4, 5]
    assert there[torch.tensor([2, 0])].tolist() == [3, 1]
    assert torch.zeros(3).copy_(there).tolist() == [1, 2, 3]


def test_arrays_are_made_of_tensors_of_the_cpu_alone(gpu):
    there = torch.tensor([1.0, 2.0]).cuda()
    with pytest.raises(TypeError, match=r"Tensor\.cpu"):
        there.numpy()
    with pytest.raises(TypeError, match=r"Tensor\.cpu"):
        np.asarray(there)
    np.testing.assert_array_equal(there.cpu().numpy(), [1, 2])


def test_where_a_tensor_lies_can_be_asked_and_given(gpu):
    there = torch.ones(2).to(gpu)
    assert there.is_cuda and there.device == gpu and (2 * there).sum().device.type == "cuda"
    assert torch.zeros(2, device=there.device).device == torch.rand_like(there).device == gpu
    assert torch.ones(2).to(there).device == gpu and there.to("cpu").device.type == "cpu"
    assert there.to(torch.float64).dtype == torch.float64
    assert torch.ones(2).to(gpu, torch.float64, non_blocking=True).dtype == torch.float64


def test_gradients_are_those_of_the_cpu(gpu):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    x, target = torch.rand(5, 3, 4, 4), torch.tensor([0, 1, 0, 1, 1])
    functional.cross_entropy(model(x), target).backward()
    wanted = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model.to(gpu, memory_format=torch.channels_last)
    functional.cross_entropy(model(x.to(gpu)), target.to(gpu)).backward()
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        assert parameter.grad.device == gpu
        torch.testing.assert_close(parameter.grad.cpu(), gradient)


def test_afterwards_there_is_no_gpu():
    before = torch.cuda.is_available()
    with pretend_gpu():
        assert torch.cuda.is_available()
    assert torch.cuda.is_available() == before
    assert torch.ones(1).device.type == "cpu"


# ------------------------------------------------------------------------------------------------------------- the lib


def rows(seed):
    return torch.randn(12, 4, generator=torch.Generator().manual_seed(seed))


LABELS = torch.arange(12) % 3
LOSSES = {
    "contrastive": lambda a, b, y: losses.contrastive((a - b).norm(dim=1), y == 0),
    "triplet": lambda a, b, y: losses.triplet(a, b, a.roll(1, 0)),
    "soft triplet": lambda a, b, y: losses.triplet(a, b, a.roll(1, 0), "soft"),
    "softmax": lambda a, b, y: losses.info_nce(a, b),
    "sigmoid": lambda a, b, y: losses.sigmoid_loss(a, b),
    "supervised contrastive": lambda a, b, y: losses.supcon(a, y),
    "proxy anchor": lambda a, b, y: losses.proxy_anchor(a, y, b[:3]),
    "Dice": lambda a, b, y: losses.dice(a[:, None, None], (b > 0).float()[:, None, None]),
    "nested": lambda a, b, y: losses.nested_loss([a, b], y),
    **{
        f"mined {how}": lambda a, b, y, how=how: losses.triplet(*(a[i] for i in losses.mine(a, y, how)))
        for how in ("semi-hard", "batch-hard")
    },
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_same_there(name, gpu):
    loss, a, b = LOSSES[name], rows(0), rows(1)
    found = loss(a.to(gpu), b.to(gpu), LABELS.to(gpu))
    assert found.device == gpu
    torch.testing.assert_close(found.cpu(), loss(a, b, LABELS))


def test_random_triples_can_be_drawn_there(gpu):
    anchors, positives, negatives = (each.cpu() for each in losses.mine(rows(0).to(gpu), LABELS.to(gpu), "random"))
    assert (LABELS[anchors] == LABELS[positives]).all() and (LABELS[anchors] != LABELS[negatives]).all()


def test_training_moves_its_batches_and_learns_the_same(gpu):
    def trained(device):
        torch.manual_seed(0)
        model = nn.Linear(4, 3).to(device)
        batches = training.Batches([rows(0), LABELS], 4, seed=0)
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)

        def step(model, batch):
            return functional.cross_entropy(model(batch[0]), batch[1])

        def validate(model):
            return {"largest": model.weight.abs().max().item()}

        watch = dict(validate=validate, monitor="validation_largest")
        history = training.train(model, step, batches, optimiser, 3, clip_norm=1.0, progress=False, **watch)
        return history.drop(columns="seconds"), model.weight.detach().cpu()

    (history, weight), (history_there, weight_there) = trained("cpu"), trained(gpu)
    np.testing.assert_allclose(history_there, history, rtol=1e-5)
    torch.testing.assert_close(weight_there, weight)


def test_a_step_is_timed_until_the_gpu_has_done_it(gpu, monkeypatch):
    waits = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: waits.append(device))
    head = networks.NestedHead((2, 4), 3)
    models = {name: nested.Nested(nn.Linear(4, 4), copy.deepcopy(head)).to(gpu) for name in ("a", "b")}
    batch = rows(0).to(gpu), LABELS.to(gpu)
    nested.step_seconds(models, batch, nested.NestedSettings(1, 4), n_rounds=2, n_warm_up=1)
    assert waits == [gpu] * (3 * 2 * 2)  # rounds, models, before and after


# ------------------------------------------------------------------------------------------------------- the notebooks


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.parametrize("path", BY_TORCH, ids=lambda path: path.stem)
def test_every_cell_runs_there_with_the_least_parameters(path, tiny_catalogue, monkeypatch, capfd):
    prepare = kernel.prepare

    def with_gpu(folder, *args, **kwargs):
        environment = prepare(folder, *args, **kwargs)
        startup = Path(environment["IPYTHONDIR"]) / "profile_default" / "startup"
        startup.mkdir(parents=True)
        enter = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom pretend_gpu import pretend_gpu\n"
        (startup / "00_gpu.py").write_text(f"{enter}there = pretend_gpu()\nthere.__enter__()\n", encoding="utf-8")
        return environment

    monkeypatch.setattr(kernel, "prepare", with_gpu)
    with tempfile.TemporaryDirectory() as reports:
        where = ["--notebooks", str(NOTEBOOKS), "--reports", reports]
        given = ["--only", path.stem, "--profile", "smoke", "-p", f"dataset={tiny_catalogue}"]
        status = main(["run", *where, *given])
        assert status == 0, capfd.readouterr().out
        (page,) = Path(reports).glob("**/index.html")
        assert "a pretend GPU" in page.read_text(encoding="utf-8"), "it ran on the CPU"


def test_notebooks_that_train_with_torch_are_among_them():
    assert {path.stem[:2] for path in BY_TORCH} >= {"02", "03", "04", "05", "08", "09", "11"}
