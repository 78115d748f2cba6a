"""One loop for every training of the course that uses torch: the caller passes network, step, batches and optimiser.

Every epoch begins by seeding torch, numpy and random from (seed, epoch), so a killed run resumes to the same numbers;
the caller's own generators are restored afterwards. Call `torch.manual_seed` before making the network. With the same
machine and number of threads a CPU reproduces its numbers; a GPU may need `torch.use_deterministic_algorithms(True)`.

Needs numpy, pandas, torch and tqdm. Copy this file alone.
"""

import contextlib
import copy
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import distributed, nn
from torch.optim import lr_scheduler
from tqdm.auto import tqdm


def train(
    model: nn.Module, step: Callable, batches: Iterable, optimiser: torch.optim.Optimizer, epochs: int, *,
    validate: Callable | None = None, monitor: str | None = None, better: str = "lower", patience: int | None = None,
    schedule: lr_scheduler.LRScheduler | None = None, schedule_each: str = "epoch", clip_norm: float | None = None,
    precision: str = "float32", checkpoint: str | Path | None = None, seed: int = 0, progress: bool | str = True,
) -> pd.DataFrame:  # fmt: skip
    """Train `model` in place until it has had `epochs` epochs, and return the history, one row an epoch.

    step        step(model, batch) -> the loss of one batch, or (loss, {name: number}) for more columns in the history.
                The batch is on the model's device. Parameters of the loss (a head, say) belong in `model`
    batches     a `Batches`, a DataLoader or any list of batches; `set_epoch(epoch)` is called where it exists
    validate    validate(model) -> {name: number} after each epoch, in evaluation mode and without gradients
    monitor     the column to watch ("validation_loss"), for which `better` is "lower" or "higher"; the model ends with
                the weights of the best epoch, the earlier of two equal ones
    patience    stop after this many epochs in a row without a better one
    schedule    a torch schedule, stepped each "epoch" or "batch" (`schedule_each`); ReduceLROnPlateau gets `monitor`
    clip_norm   the largest norm of the gradient of all parameters together; a longer one is scaled down to it
    precision   "float32", or autocast to "bfloat16", or to "float16" (on a GPU only, with a scaled loss)
    checkpoint  a file rewritten whole after each epoch, from which training resumes: 2 epochs and 2 more equal 4
    progress    True: a bar in a terminal or a notebook, nothing where the output is a file or TQDM_DISABLE is set;
                "lines": there, a line an epoch is printed

    Columns: epoch (from 1), loss and what `step` gave (means over batches), learning_rate (at the end of the epoch),
    "validation_<name>", seconds. `history.attrs` holds "best_epoch" (None without `monitor`) and "stopped_early". Under
    several processes (`processes`) gradients and history are averaged, and only the first validates, prints and writes.
    ValueError for arguments that do not fit together, and for a checkpoint that is damaged or of another seed or
    network; FloatingPointError with epoch and batch for a loss that is not finite.
    >>> line = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(line.weight)
    >>> square = lambda model, batch: (model(batch) - 1).square().mean()
    >>> optimiser = torch.optim.SGD(line.parameters(), lr=0.25)
    >>> train(line, square, [torch.ones(1, 1)], optimiser, epochs=5, progress=False).loss.tolist()
    [1.0, 0.25, 0.0625, 0.015625, 0.00390625]
    """
    device = next(model.parameters()).device
    _check(epochs, monitor, better, patience, schedule, schedule_each, precision, progress, device, validate)
    rank, world = rank_and_world()
    run = _Run(model, optimiser, schedule, device, precision, seed)
    if checkpoint is not None:
        run.resume(Path(checkpoint))
    trained = nn.parallel.DistributedDataParallel(model) if world > 1 else model
    display = _Display(epochs, len(run.rows), rank == 0 and progress)
    with _own_random_numbers(device):
        while len(run.rows) < epochs and not run.stopped_early:
            started = time.perf_counter()
            _seed_epoch(seed, len(run.rows), batches)
            each_batch = schedule if schedule_each == "batch" else None
            row = run.epoch(trained, step, display.batches(batches), clip_norm, each_batch)
            if validate is not None:
                row |= _validated(model, validate)
            row["seconds"] = time.perf_counter() - started
            if monitor is not None:
                run.compare(row, monitor, 1 if better == "lower" else -1, patience)
            if schedule is not None and schedule_each == "epoch":
                schedule.step(*([row[monitor]] if isinstance(schedule, lr_scheduler.ReduceLROnPlateau) else []))
            run.rows.append(row)
            if checkpoint is not None and rank == 0:
                run.save(Path(checkpoint))
            display.epoch(row)
    display.close()
    if run.best is not None:
        model.load_state_dict(run.best)
    history = pd.DataFrame(run.rows)
    history.attrs = {"best_epoch": run.best_epoch, "stopped_early": run.stopped_early}
    return history


class Batches:
    """Arrays in memory as batches of tensors, in a new order each epoch, which depends on (seed, epoch) (`set_epoch`).

    `arrays` (equally long; numpy or torch) are cut into batches of `size` rows. `transform(*tensors, rng)` may change a
    batch. Several processes, whose number must divide `size`, together see what one would. An incomplete last batch is
    left out with `drop_last`, else shortened to a multiple of their number. ValueError if lengths or size do not fit.
    >>> [batch.tolist() for (batch,) in Batches([np.arange(5)], size=2, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, arrays: Sequence, size: int, shuffle: bool = True, drop_last: bool = False,
        transform: Callable | None = None, seed: int = 0,
    ):  # fmt: skip
        self.arrays = tuple(torch.as_tensor(a if isinstance(a, torch.Tensor) else np.asarray(a)) for a in arrays)
        lengths = sorted({len(array) for array in self.arrays})
        if len(lengths) != 1 or lengths[0] == 0:
            raise ValueError(f"arrays must be equally long and not empty, got lengths {lengths}")
        self.rank, self.world = rank_and_world()
        if size < 1 or size % self.world:
            raise ValueError(f"size must be a positive multiple of {self.world} (the processes), got {size}")
        self.size, self.shuffle, self.transform, self.seed, self.epoch = size, shuffle, transform, seed, 0
        self.stop = lengths[0] - lengths[0] % (size if drop_last else self.world)
        if self.stop == 0:
            raise ValueError(f"expected at least {size if drop_last else self.world} rows, got {lengths[0]}")

    def __len__(self) -> int:
        return -(-self.stop // self.size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        order = np.arange(len(self.arrays[0]))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        for start in range(0, self.stop, self.size):
            rows = torch.from_numpy(order[start : min(start + self.size, self.stop)][self.rank :: self.world])
            batch = tuple(array[rows] for array in self.arrays)
            if self.transform is not None:
                batch = self.transform(*batch, np.random.default_rng([self.seed, self.epoch, start, self.rank]))
            yield batch


def warm_up_cosine(
    optimiser: torch.optim.Optimizer, n_steps: int, n_warm_up: int = 0, n_hold: int = 0
) -> lr_scheduler.LambdaLR:
    """The rate rises linearly for `n_warm_up` steps, stays for `n_hold`, then falls along half a cosine to 0 at
    `n_steps`. For `train(..., schedule_each="batch")`. ValueError if nothing is left to fall.
    >>> optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=8.0)
    >>> schedule, rates = warm_up_cosine(optimiser, n_steps=7, n_warm_up=4, n_hold=1), []
    >>> for _ in range(7):
    ...     rates.append(round(schedule.get_last_lr()[0], 6))
    ...     _ = optimiser.step(), schedule.step()
    >>> rates
    [2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 4.0]
    """
    n_before = n_warm_up + n_hold  # the rate falls from here on
    if min(n_warm_up, n_hold) < 0 or n_before >= n_steps:
        raise ValueError(f"n_warm_up + n_hold must be less than n_steps = {n_steps}, got {n_warm_up} and {n_hold}")

    def factor(step):
        if step < n_warm_up:
            return (step + 1) / n_warm_up
        return 0.5 * (1 + math.cos(math.pi * min(max(step - n_before, 0) / (n_steps - n_before), 1)))

    return lr_scheduler.LambdaLR(optimiser, factor)


@contextlib.contextmanager
def processes():
    """Connect the processes that torchrun started, inside a `with`; yields (rank, number of processes).

    `torchrun --nproc-per-node 2 script.py` runs the script twice, over gloo on CPUs and NCCL on GPUs, one GPU a
    process. Make the `Batches` and call `train` inside. Without torchrun nothing happens.
    """
    if "WORLD_SIZE" not in os.environ or distributed.is_initialized():
        yield rank_and_world()
        return
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if gpus else "gloo")
    try:
        yield rank_and_world()
        distributed.barrier()  # a process that left while another still spoke to it would abort now and then
    finally:
        distributed.destroy_process_group()


def embed_in_shards(embed: Callable, rows: Sequence) -> np.ndarray:
    """Embed `rows` with all processes together; embed(rows of this process) -> float32 (m, d), all get (n, d) in order.

    Each process takes consecutive rows, equally many up to one. ValueError for fewer rows than processes.
    """
    rank, world = rank_and_world()
    if len(rows) < world:
        raise ValueError(f"expected at least {world} rows, one for each process, got {len(rows)}")
    if world == 1:
        return embed(rows)
    edges, shards = np.linspace(0, len(rows), world + 1).astype(int), [None] * world
    distributed.all_gather_object(shards, np.asarray(embed(rows[edges[rank] : edges[rank + 1]])))
    return np.concatenate(shards)


def rank_and_world() -> tuple[int, int]:
    """The number of this process, from 0, and how many there are: (0, 1) outside `processes`."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class _Run:
    """The state of a training between two epochs, which a checkpoint holds."""

    ABOUT = ("seed", "rows", "best", "best_epoch", "stopped_early")

    def __init__(self, model, optimiser, schedule, device, precision, seed):
        self.model, self.optimiser, self.schedule, self.device = model, optimiser, schedule, device
        self.precision, self.seed = precision, seed
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
        self.rows, self.best, self.best_epoch, self.stopped_early = [], None, None, False

    def autocast(self):
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.precision))

    def epoch(self, trained, step, batches, clip_norm, schedule):
        """Train on all batches once; the columns epoch, loss, what `step` gave, and learning_rate."""
        number, place, sums = len(self.rows) + 1, 0, {}
        self.model.train()
        for place, batch in enumerate(batches, 1):
            with self.autocast():
                result = step(trained, _to(batch, self.device))
            loss, more = result if isinstance(result, tuple) else (result, {})
            if not math.isfinite(loss.item()):
                raise FloatingPointError(f"expected a finite loss, got {loss.item()} at epoch {number}, batch {place}")
            self.descend(loss, clip_norm)
            if schedule is not None:
                schedule.step()
            for name, value in {"loss": loss, **more}.items():
                sums[name] = sums.get(name, 0.0) + (value.item() if isinstance(value, torch.Tensor) else float(value))
        if place == 0:
            raise ValueError("expected batches in every epoch, got none; an iterator is read once, a loader often")
        means = {name: total / place for name, total in sums.items()}
        _, world = rank_and_world()
        if world > 1:
            for buffer in self.model.buffers():
                distributed.broadcast(buffer, 0)  # batch-norm statistics of the first; each has seen its own batches
            gathered = [None] * world
            distributed.all_gather_object(gathered, means)
            means = {name: sum(each[name] for each in gathered) / world for name in means}
        return {"epoch": number, **means, "learning_rate": float(self.optimiser.param_groups[0]["lr"])}

    def descend(self, loss, clip_norm):
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        if clip_norm is not None:
            self.scaler.unscale_(self.optimiser)
            parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def compare(self, row, monitor, sign, patience):
        """Remember the weights of the best epoch so far, and whether patience has run out."""
        if monitor not in row:
            raise ValueError(f"monitor must be a column of the history ({', '.join(row)}), got {monitor!r}")
        if math.isnan(row[monitor]):
            raise FloatingPointError(f"expected a number for {monitor}, got nan at epoch {row['epoch']}")
        if self.best is None or sign * row[monitor] < sign * self.rows[self.best_epoch - 1][monitor]:
            self.best, self.best_epoch = copy.deepcopy(self.model.state_dict()), row["epoch"]
        self.stopped_early = patience is not None and row["epoch"] - self.best_epoch >= patience

    def save(self, path):
        state = {name: _plain(part.state_dict()) for name, part in self._parts().items()}
        state |= {"model": self.model.state_dict(), **{name: getattr(self, name) for name in self.ABOUT}}
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as place:
            temporary = Path(place) / path.name
            torch.save(state, temporary)
            os.replace(temporary, path)  # in one step: a reader sees all of it or none

    def resume(self, path):
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:
            raise ValueError(f"{path} is not a readable checkpoint: {error}") from error
        wanted = {*self._parts(), *self.ABOUT}
        if not isinstance(state, dict) or set(state) != wanted:
            found = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(f"{path}: expected a checkpoint with {sorted(wanted)}, got {found}")
        if state["seed"] != self.seed:
            raise ValueError(f"{path}: expected a training with seed {self.seed}, got seed {state['seed']}")
        try:
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ValueError(f"{path} is the checkpoint of another training: {error}") from error
        for name in self.ABOUT:
            setattr(self, name, state[name])

    def _parts(self):
        parts = {"model": self.model, "optimiser": self.optimiser, "scaler": self.scaler, "schedule": self.schedule}
        return {name: part for name, part in parts.items() if part is not None}


class _Display:
    """A bar over the batches of all epochs in a terminal or a notebook, else nothing or a line an epoch."""

    def __init__(self, epochs, done, progress):
        self.epochs, self.done, self.bar = epochs, done, None
        watched = sys.stderr.isatty() or "ipykernel" in sys.modules  # in a terminal or a notebook
        watched = watched and os.environ.get("TQDM_DISABLE", "0") in ("", "0")  # which notebook bars ignore
        self.shown, self.lines = progress and watched, progress == "lines" and not watched

    def batches(self, batches):
        if self.shown and self.bar is None and hasattr(batches, "__len__"):
            total, initial = self.epochs * len(batches), self.done * len(batches)
            self.bar = tqdm(total=total, initial=initial, desc="training", unit="batch", leave=False)
        for batch in batches:
            yield batch
            if self.bar is not None:
                self.bar.update()

    def epoch(self, row):
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "seconds"))
        if self.lines:
            print(f"epoch {row['epoch']}/{self.epochs}: {numbers}, {row['seconds']:.1f} s", flush=True)
        elif self.bar is not None:
            self.bar.set_postfix_str(f"epoch {row['epoch']}: {numbers}")

    def close(self):
        if self.bar is not None:
            self.bar.close()


def _check(epochs, monitor, better, patience, schedule, schedule_each, precision, progress, device, validate):
    for name, count in (("epochs", epochs), ("patience", 1 if patience is None else patience)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"{name} must be an integer and at least 1, got {count!r}")
    for name, value, allowed in (
        ("better", better, ("lower", "higher")), ("schedule_each", schedule_each, ("epoch", "batch")),
        ("precision", precision, ("float32", "bfloat16", "float16")), ("progress", progress, (True, False, "lines")),
    ):  # fmt: skip
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    if patience is not None and monitor is None:
        raise ValueError(f"patience must have a monitor, got {patience} and monitor {monitor}")
    if isinstance(schedule, lr_scheduler.ReduceLROnPlateau) and (monitor is None or schedule_each == "batch"):
        raise ValueError(f"ReduceLROnPlateau needs a monitor and steps each epoch, got {monitor} and {schedule_each!r}")
    if precision == "float16" and device.type == "cpu":
        raise ValueError("precision must be 'bfloat16' or 'float32' on a CPU, got 'float16'")
    if validate is None and str(monitor).startswith("validation_"):
        raise ValueError(f"monitor {monitor!r} needs a validate function, got None")


def _validated(model, validate):
    model.eval()
    with torch.no_grad():
        values = {f"validation_{name}": float(value) for name, value in validate(model).items()}
    if distributed.is_initialized():
        shared = [values]
        distributed.broadcast_object_list(shared)  # all stop at the same epoch
        values = shared[0]
    return values


def _seed_epoch(seed, epoch, batches):
    rank, _ = rank_and_world()
    number, own = (int(each) for each in np.random.SeedSequence([seed, epoch]).generate_state(2))
    random.seed(own + rank)
    np.random.seed((own + rank) % 2**32)  # noqa: NPY002 (third-party transforms draw from it)
    torch.manual_seed(own + rank)  # dropout must differ between processes, the order below must not
    for part in (batches, getattr(batches, "sampler", None)):
        if isinstance(getattr(part, "generator", None), torch.Generator):
            part.generator.manual_seed(number)
        if hasattr(part, "set_epoch"):
            part.set_epoch(epoch)


@contextlib.contextmanager
def _own_random_numbers(device):  # restores the global generators afterwards
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _to(batch, device):
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: _to(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(_to(part, device) for part in batch)
    return batch


def _plain(state):
    """The same state with Python numbers instead of numpy's, which a schedule may hold and a safe load refuses."""
    if isinstance(state, np.generic):
        return state.item()
    if isinstance(state, dict):
        return {name: _plain(part) for name, part in state.items()}
    return type(state)(_plain(part) for part in state) if type(state) in (list, tuple) else state
