"""The training loop: what it computes, keeps, resumes, refuses, and what several processes make of it."""

import itertools
import math
import os
import random
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler
from tqdm import tqdm

from lib import training

ROWS = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32))
LABELS = (ROWS.sum(1) > 0).long()


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch):
    """Tests of other files may have imported ipykernel into this process, which looks as if it were a notebook's."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def network(dropout=0.0):
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2))


def classify(model, batch):
    rows, labels = batch
    return functional.cross_entropy(model(rows), labels)


def adam(model, lr=0.01):
    return torch.optim.AdamW(model.parameters(), lr=lr)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def without_seconds(history):
    return history.drop(columns="seconds")


def noisy(rows, labels, rng):
    return rows + torch.from_numpy(rng.normal(size=rows.shape).astype(np.float32)), labels


def train(epochs=4, seed=0, dropout=0.5, batches=None, **more):
    """A training in which everything that can be random is: order, augmentation, dropout."""
    model = network(dropout)
    optimiser = adam(model)
    batches = training.Batches([ROWS, LABELS], 6, transform=noisy, seed=seed) if batches is None else batches
    schedule = training.warm_up_cosine(optimiser, 4 * len(batches), 2)
    options = {"schedule": schedule, "schedule_each": "batch", "seed": seed, "progress": False, **more}
    return model, training.train(model, classify, batches, optimiser, epochs, **options)


class Recorded:
    """validate whose numbers are given beforehand, one an epoch."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self, model):
        assert not model.training
        return {"loss": self.values.pop(0)}


# ------------------------------------------------------------------------------------------------------------- the loop


def test_the_loop_equals_five_plain_lines_of_torch():
    batches = [(ROWS[:10], LABELS[:10]), (ROWS[10:], LABELS[10:])]
    fitted, plain = network(), network()
    training.train(fitted, classify, batches, adam(fitted), 3, progress=False)
    optimiser = adam(plain)
    for batch in 3 * batches:
        optimiser.zero_grad()
        classify(plain, batch).backward()
        optimiser.step()
    assert torch.equal(weights(fitted), weights(plain))


def test_history_has_a_row_an_epoch_with_the_means_of_the_batches():
    model = network()
    numbers = iter([1.0, 2.0, 6.0, 4.0])

    def step(model, batch):
        return classify(model, batch), {"number": next(numbers)}

    batches = [(ROWS[:10], LABELS[:10]), (ROWS[10:], LABELS[10:])]
    history = training.train(
        model, step, batches, adam(model), 2, validate=lambda model: {"accuracy": torch.tensor(0.5)}, progress=False
    )
    assert isinstance(history, pd.DataFrame)
    assert list(history) == ["epoch", "loss", "number", "learning_rate", "validation_accuracy", "seconds"]
    assert history.number.tolist() == [(1 + 2) / 2, (6 + 4) / 2]
    assert history.epoch.tolist() == [1, 2]
    assert history.validation_accuracy.tolist() == [0.5, 0.5]
    assert history.attrs == {"best_epoch": None, "stopped_early": False}


def test_training_mode_is_on_in_each_epoch_though_validation_turns_it_off():
    model, modes = network(0.5), []

    def step(model, batch):
        modes.append(model.training)
        return classify(model, batch)

    def validate(model):
        modes.append(model.training)
        assert not torch.is_grad_enabled()
        return {}

    training.train(model, step, [(ROWS, LABELS)], adam(model), 2, validate=validate, progress=False)
    assert modes == [True, False, True, False]


def test_clipping_shortens_the_gradient_of_all_parameters_together():
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    # the gradient is the row itself, (3, 4), of length 5
    training.train(
        model,
        lambda model, row: model(row).sum(),
        [torch.tensor([[3.0, 4.0]])],
        optimiser,
        1,
        clip_norm=1.0,
        progress=False,
    )
    assert model.weight.detach().numpy() == pytest.approx(np.array([[-3 / 5, -4 / 5]]))


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_weights():
    model, kinds = network(), []

    def step(model, batch):
        output = model(batch[0])
        kinds.append(output.dtype)
        return functional.cross_entropy(output.float(), batch[1])

    training.train(model, step, [(ROWS, LABELS)], adam(model), 1, precision="bfloat16", progress=False)
    assert kinds == [torch.bfloat16]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_batches_may_be_dicts_and_loaders():
    model = network()
    dataset = [{"rows": row, "labels": label} for row, label in zip(ROWS, LABELS, strict=True)]
    loader = torch.utils.data.DataLoader(dataset, batch_size=10, shuffle=True)
    history = training.train(
        model,
        lambda model, batch: classify(model, (batch["rows"], batch["labels"])),
        loader,
        adam(model, 0.05),
        20,
        progress=False,
    )
    assert history.loss.iloc[-1] < 0.5 * history.loss.iloc[0]


# -------------------------------------------------------------------------------------- stopping, schedules, best epoch


def test_the_weights_of_the_best_epoch_are_kept():
    model, seen = network(), []
    recorded = Recorded(3.0, 1.0, 2.0)

    def validate(model):
        seen.append(weights(model).clone())
        return recorded(model)

    history = training.train(
        model, classify, [(ROWS, LABELS)], adam(model), 3, validate=validate, monitor="validation_loss", progress=False
    )
    assert torch.equal(weights(model), seen[1])
    assert not torch.equal(seen[1], seen[2])
    assert history.attrs == {"best_epoch": 2, "stopped_early": False}


@pytest.mark.parametrize(
    ("better", "values", "best", "n_epochs"),
    [
        ("lower", [5.0, 4.0, 4.0, 6.0, 1.0], 2, 4),  # the equal third epoch is not better
        ("higher", [5.0, 4.0, 4.0, 6.0, 1.0], 1, 3),
        ("lower", [5.0, 4.0, 3.0, 2.0, 1.0], 5, 5),
    ],
)
def test_patience_counts_epochs_without_a_better_one(better, values, best, n_epochs):
    model = network()
    history = training.train(
        model,
        classify,
        [(ROWS, LABELS)],
        adam(model),
        5,
        validate=Recorded(*values),
        monitor="validation_loss",
        better=better,
        patience=2,
        progress=False,
    )
    assert len(history) == n_epochs
    assert history.attrs == {"best_epoch": best, "stopped_early": n_epochs < 5}


def test_plateau_schedule_sees_the_monitored_column():
    model = network()
    optimiser = adam(model, 0.1)
    schedule = lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=0)
    history = training.train(
        model,
        classify,
        [(ROWS, LABELS)],
        optimiser,
        4,
        validate=Recorded(3.0, 3.0, 2.0, 2.5),
        monitor="validation_loss",
        schedule=schedule,
        progress=False,
    )
    assert history.learning_rate.tolist() == [0.1, 0.1, 0.05, 0.05]
    assert optimiser.param_groups[0]["lr"] == 0.025


def test_step_schedule_moves_on_once_an_epoch():
    model = network()
    optimiser = adam(model, 0.8)
    schedule = lr_scheduler.StepLR(optimiser, step_size=2, gamma=0.5)
    history = training.train(model, classify, 3 * [(ROWS, LABELS)], optimiser, 5, schedule=schedule, progress=False)
    assert history.learning_rate.tolist() == [0.8, 0.8, 0.4, 0.4, 0.2]


def rates(n, **schedule):
    optimiser = adam(network(), 1.0)
    schedule, found = training.warm_up_cosine(optimiser, **schedule), []
    for _ in range(n):
        found.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    return found


def test_warm_up_cosine_is_a_line_a_level_and_half_a_cosine():
    found = rates(16, n_steps=14, n_warm_up=4, n_hold=2)
    assert found[:7] == [1 / 4, 2 / 4, 3 / 4, 1.0, 1.0, 1.0, 1.0]
    assert found[10] == pytest.approx(0.5)  # half way from step 6 to 14
    assert found[8] == pytest.approx(0.5 + math.sqrt(0.5) / 2)  # a quarter of the way: (1 + cos 45 degrees) / 2
    assert found[14:] == pytest.approx([0.0, 0.0])
    assert all(later <= earlier for earlier, later in itertools.pairwise(found[4:]))


def test_without_warm_up_it_starts_at_the_top():
    assert rates(3, n_steps=2) == pytest.approx([1.0, 0.5, 0.0])


@pytest.mark.parametrize(("n_warm_up", "n_hold"), [(4, 0), (2, 2), (-1, 0), (0, -1)])
def test_a_schedule_that_leaves_no_step_to_fall_is_refused(n_warm_up, n_hold):
    with pytest.raises(ValueError, match=f"n_steps = 4, got {n_warm_up} and {n_hold}"):
        training.warm_up_cosine(adam(network()), 4, n_warm_up, n_hold)


# ------------------------------------------------------------------------------------------------------ seed and resume


def test_a_seed_fixes_the_run_and_another_changes_it():
    first, first_history = train(seed=3)
    again, again_history = train(seed=3)
    other, _ = train(seed=4)
    assert torch.equal(weights(first), weights(again))
    pd.testing.assert_frame_equal(without_seconds(first_history), without_seconds(again_history), check_exact=True)
    assert not torch.equal(weights(first), weights(other))


def test_a_run_does_not_depend_on_the_callers_random_state_nor_change_it():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    model = network(0.5)
    torch.set_rng_state(before[0])
    training.train(model, classify, [(ROWS, LABELS)], adam(model), 1, progress=False)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]
    other = network(0.5)
    torch.manual_seed(99)
    training.train(other, classify, [(ROWS, LABELS)], adam(other), 1, progress=False)
    assert torch.equal(weights(model), weights(other))


def shuffled_loader():
    dataset = torch.utils.data.TensorDataset(ROWS, LABELS)
    return torch.utils.data.DataLoader(dataset, 6, shuffle=True, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("batches", [lambda: None, shuffled_loader], ids=["Batches", "DataLoader"])
def test_two_epochs_and_two_more_are_the_same_as_four(tmp_path, batches):
    whole, whole_history = train(4, batches=batches())
    path = tmp_path / "folder" / "checkpoint.pt"
    train(2, batches=batches(), checkpoint=path)
    resumed, history = train(4, batches=batches(), checkpoint=path)
    assert torch.equal(weights(whole), weights(resumed))
    pd.testing.assert_frame_equal(without_seconds(whole_history), without_seconds(history), check_exact=True)
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint.pt"]


def test_a_resumed_run_remembers_the_best_epoch_and_its_patience(tmp_path):
    path = tmp_path / "checkpoint.pt"
    options = {"monitor": "validation_loss", "patience": 2, "checkpoint": path}
    first, _ = train(2, validate=Recorded(1.0, 2.0), **options)
    second, history = train(4, validate=Recorded(3.0), **options)
    assert history.attrs == {"best_epoch": 1, "stopped_early": True}
    assert torch.equal(weights(first), weights(second))
    third, again = train(4, validate=Recorded(), **options)  # finished: nothing is trained
    pd.testing.assert_frame_equal(history, again)
    assert torch.equal(weights(third), weights(first))


def test_a_run_killed_in_an_epoch_goes_on_from_the_epoch_before(tmp_path):
    path = tmp_path / "checkpoint.pt"
    whole, _ = train(4)
    model = network(0.5)
    optimiser = adam(model)
    batches = training.Batches([ROWS, LABELS], 6, transform=noisy)
    steps = iter(range(100))

    def killed(model, batch):
        if next(steps) == 2 * len(batches) + 1:
            raise KeyboardInterrupt
        return classify(model, batch)

    schedule = training.warm_up_cosine(optimiser, 4 * len(batches), 2)
    options = {"schedule": schedule, "schedule_each": "batch", "checkpoint": path, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        training.train(model, killed, batches, optimiser, 4, **options)
    resumed, history = train(4, checkpoint=path)
    assert history.epoch.tolist() == [1, 2, 3, 4]
    assert torch.equal(weights(whole), weights(resumed))


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    train(1, checkpoint=path)
    before = path.read_bytes()

    def broken(state, file):
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        train(2, checkpoint=path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_of_numpy_in_a_schedule_do_not_spoil_the_checkpoint(tmp_path):
    for epochs in (1, 2):
        model = network()
        optimiser = adam(model)
        schedule = lr_scheduler.LambdaLR(optimiser, lambda epoch: np.float64(0.5) ** epoch)
        history = training.train(
            model,
            classify,
            [(ROWS, LABELS)],
            optimiser,
            epochs,
            schedule=schedule,
            checkpoint=tmp_path / "checkpoint.pt",
            progress=False,
        )
    assert history.learning_rate.tolist() == [0.01, 0.005]


# ------------------------------------------------------------------------------------------------------------ bad input


def test_a_loss_that_is_not_finite_stops_with_epoch_and_batch():
    model = network()
    batches = [(ROWS[:5], LABELS[:5]), (ROWS[5:10], LABELS[5:10])]
    steps = iter([1.0, 1.0, 1.0, float("nan")])
    with pytest.raises(FloatingPointError, match="nan at epoch 2, batch 2"):
        training.train(model, lambda *a: classify(*a) * next(steps), batches, adam(model), 3, progress=False)


def test_a_monitored_number_that_is_nan_is_refused():
    with pytest.raises(FloatingPointError, match="expected a number for validation_loss, got nan at epoch 1"):
        train(2, validate=Recorded(float("nan")), monitor="validation_loss")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "at least 1, got 0"),
        ({"monitor": "loss", "better": "smaller"}, "better must be one of 'lower', 'higher', got 'smaller'"),
        ({"schedule_each": "step"}, "schedule_each must be one of 'epoch', 'batch', got 'step'"),
        ({"patience": 3}, "have a monitor, got 3 and monitor None"),
        ({"patience": 0, "monitor": "loss"}, "at least 1"),
        ({"precision": "half"}, "got 'half'"),
        ({"progress": "line"}, "progress must be one of True, False, 'lines', got 'line'"),
        ({"precision": "float16"}, "on a CPU, got 'float16'"),
        ({"monitor": "validation_loss"}, "needs a validate function"),
        ({"monitor": "accuracy"}, r"must be a column of the history \(epoch, loss, .*\), got 'accuracy'"),
        ({"batches": iter([])}, "expected batches in every epoch, got none"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    model = network()
    arguments = {"epochs": 1, "progress": False, **options}
    batches = arguments.pop("batches", [(ROWS, LABELS)])
    with pytest.raises(ValueError, match=message):
        training.train(model, classify, batches, adam(model), **arguments)


def test_a_plateau_schedule_without_monitor_is_refused():
    model = network()
    optimiser = adam(model)
    schedule = lr_scheduler.ReduceLROnPlateau(optimiser)
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs a monitor"):
        training.train(model, classify, [(ROWS, LABELS)], optimiser, 1, schedule=schedule, progress=False)


def test_checkpoints_that_do_not_belong_are_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint.pt"
    train(1, seed=3, checkpoint=path)
    with pytest.raises(ValueError, match=r"checkpoint.pt: expected a training with seed 4, got seed 3"):
        train(2, seed=4, checkpoint=path)
    wide = nn.Sequential(nn.Linear(3, 9), nn.ReLU(), nn.Linear(9, 2))
    optimiser = adam(wide)
    schedule = training.warm_up_cosine(optimiser, 8)
    with pytest.raises(ValueError, match=r"checkpoint.pt is the checkpoint of another training"):
        training.train(wide, classify, [(ROWS, LABELS)], optimiser, 2, schedule=schedule, seed=3, checkpoint=path)
    model = network()
    with pytest.raises(ValueError, match=r"checkpoint.pt: expected .* got .*'schedule'"):
        training.train(model, classify, [(ROWS, LABELS)], adam(model), 2, seed=3, checkpoint=path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"checkpoint.pt is not a readable checkpoint"):
        train(2, seed=3, checkpoint=path)


# ------------------------------------------------------------------------------------------------------------- progress


def in_a_notebook(monkeypatch):
    """Pretend to be a notebook's kernel; the bar is the one made of text, whose output can be read here."""
    monkeypatch.setitem(sys.modules, "ipykernel", training)
    monkeypatch.setattr(training, "tqdm", tqdm)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


def in_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


def in_a_file(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


def in_a_run_of_the_course(monkeypatch):
    in_a_notebook(monkeypatch)
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.mark.parametrize("place", [in_a_file, in_a_run_of_the_course])
def test_where_nobody_watches_nothing_is_printed(place, monkeypatch, capsys):
    place(monkeypatch)
    train(2, progress=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("place", [in_a_file, in_a_run_of_the_course])
def test_where_nobody_watches_lines_can_be_had_one_an_epoch(place, monkeypatch, capsys):
    place(monkeypatch)
    train(2, progress="lines")
    printed = capsys.readouterr()
    assert [line[:11] for line in printed.out.splitlines()] == ["epoch 1/2: ", "epoch 2/2: "]
    assert "loss" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("progress", [True, "lines"])
@pytest.mark.parametrize("place", [in_a_terminal, in_a_notebook])
def test_where_somebody_watches_there_is_a_bar_that_vanishes_at_the_end(place, progress, monkeypatch, capsys):
    place(monkeypatch)
    train(2, progress=progress)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "8/8" in printed.err
    assert "epoch 2: loss" in printed.err
    assert "\n" not in printed.err
    *_, wiped, left = printed.err.split("\r")
    assert (wiped.strip(), left) == ("", "")


def test_without_progress_nothing_is_printed(capsys):
    train(1, progress=False)
    assert capsys.readouterr() == ("", "")


# -------------------------------------------------------------------------------------------------------------- Batches


def test_every_row_comes_once_an_epoch_in_an_order_of_its_own():
    batches = training.Batches([np.arange(10), np.arange(10) * 2], 4, seed=1)
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        pairs = list(batches)
        assert all(torch.equal(2 * rows, doubled) for rows, doubled in pairs)
        assert [len(rows) for rows, _ in pairs] == [4, 4, 2]
        orders.append(torch.cat([rows for rows, _ in pairs]).tolist())
    assert sorted(orders[0]) == list(range(10))
    assert orders[0] == orders[2] != orders[1]


def test_a_last_batch_that_is_not_full_can_be_left_out():
    batches = training.Batches([np.arange(10)], 4, drop_last=True)
    assert [len(rows) for (rows,) in batches] == [4, 4]
    assert len(batches) == 2


@pytest.mark.parametrize(
    ("arrays", "size", "message"),
    [
        ([np.arange(3), np.arange(4)], 2, r"lengths \[3, 4\]"),
        ([np.arange(0)], 2, r"lengths \[0\]"),
        ([np.arange(3)], 0, "got 0"),
        ([np.arange(3)], 4, "expected at least 4 rows, got 3"),
    ],
)
def test_arrays_that_make_no_batches_are_refused(arrays, size, message):
    with pytest.raises(ValueError, match=message):
        training.Batches(arrays, size, drop_last=True)


# --------------------------------------------------------------------------------------------------- several processes

WORKER = """
import sys
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from lib import training

rng = np.random.default_rng(0)
rows = rng.normal(size=(22, 3)).astype(np.float32)
labels = (rows.sum(1) > 0).astype(np.int64)
with training.processes() as (rank, world):
    torch.manual_seed(7)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    batches = training.Batches([rows, labels], 6, seed=1)
    validate = lambda model: {"score": float(rank)}  # differs: the first process's must count
    history = training.train(
        model, lambda model, batch: functional.cross_entropy(model(batch[0]), batch[1]), batches, optimiser, 3,
        validate=validate, checkpoint=sys.argv[1] + "/checkpoint.pt", progress="lines",
    )
    with torch.no_grad():
        embeddings = training.embed_in_shards(lambda part: model(torch.from_numpy(part)).numpy(), rows[:7])
    normal = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    masks = []
    normal[1].register_forward_hook(lambda module, inputs, output: masks.append((output == 0).float().mean(1)))
    optimiser = torch.optim.SGD(normal.parameters(), lr=0.1)
    training.train(normal, lambda model, batch: model(batch[0]).square().mean(), batches, optimiser, 1, progress=False)
    parameters = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).numpy()
    np.savez(f"{sys.argv[1]}/{rank}_of_{world}.npz", parameters=parameters, embeddings=embeddings, loss=history.loss,
             score=history.validation_score, statistics=normal[0].running_mean, masks=torch.cat(masks))
"""


@pytest.mark.slow
def test_two_processes_train_and_embed_as_one(tmp_path, monkeypatch, capsys):
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(sys, "argv", [str(worker), str(folders[0])])
    runpy.run_path(str(worker))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(worker), str(folders[1])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(lines) == len([line for line in done.stdout.splitlines() if line.startswith("epoch")]) == 3
    one = np.load(folders[0] / "0_of_1.npz")
    assert one["embeddings"].shape == (7, 2)
    two = [np.load(folders[1] / f"{rank}_of_2.npz") for rank in range(2)]
    assert np.array_equal(two[0]["statistics"], two[1]["statistics"])
    assert not np.array_equal(two[0]["masks"], two[1]["masks"])  # each process drops units of its own
    for each in two:
        for name in ("parameters", "embeddings", "loss"):
            np.testing.assert_allclose(each[name], one[name], rtol=1e-5, atol=1e-6)
        assert each["score"].tolist() == [0.0, 0.0, 0.0]
    assert all((folder / "checkpoint.pt").exists() for folder in folders)
