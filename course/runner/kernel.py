"""One notebook run by papermill, and every way in which that can fail told in one sentence.

papermill alone lets some failures pass: `sys.exit(0)` in a cell ends a notebook without an error, a cell may be
skipped, a dead kernel is a traceback of asyncio. Here each is a `Failure` that names cell and cause, and the notebook
with what it had shown until then is kept.

`execute` does it in this process. As a program this file reads one JSON object (the arguments of `execute`) from
standard input and writes one JSON object a line: {"cell": 3, "of": 9} as it goes, then {"failure": null} or what went
wrong. So a run can be watched, and ended without hurting others. `prepare` gives the environment for such a process.
Since it is run as a program, it imports nothing of the project.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

START_SECONDS = 120  # for a kernel to answer on a busy machine
# of glibc: freed memory is kept for the next map of a network; lib/__init__.py does the same when it is imported
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_TOP_PAD_": str(1 << 28)
}  # fmt: skip
MOST_TEXT = 100_000  # characters that a cell may print into its notebook and page
MARK = "papermill-error-cell-tag"  # papermill's own banners, which would shift the numbers of cells
# how torch, TensorFlow, NumPy, CUDA's libraries and `how_it_died` say that memory ran out
WITHOUT_MEMORY = re.compile(
    r"out ?of ?memory|ResourceExhausted|MemoryError|OOM when|allocate memory|ALLOC_FAILED|bad_alloc|memory runs out",
    re.I,
)


@dataclass
class Failure:
    """Why a notebook failed, and where: the number of the code cell, shown in [ ] by JupyterLab, and its first line."""

    cause: str
    cell: int | None = None
    line: str = ""
    trace: str = ""

    def __str__(self):
        """
        >>> print(Failure("ZeroDivisionError: division by zero", 3, "1 / 0"))
        cell [3] `1 / 0`: ZeroDivisionError: division by zero
        >>> print(Failure("no results were written"))
        no results were written
        """
        return self.cause if self.cell is None else f"cell [{self.cell}] `{self.line}`: {self.cause}"


def memory_advice(cause: str, parameters: dict) -> str:
    """Which `parameters` of a notebook to lower where `cause` says that memory ran out, the GPU's or the machine's.

    Named are whole numbers above 1 that bound memory: batches first, then the sides of images, then the largest of
    those that count things (n_...), five at most. Another cause gives an empty text.

    >>> memory_advice("OutOfMemoryError: CUDA out of memory.", {"n_train": 6000, "batch_size": 256, "seed": 7})
    'too little memory: lower batch_size (now 256) or n_train (now 6000), for example with -p batch_size=128'
    >>> memory_advice("ZeroDivisionError: division by zero", {"batch_size": 256})
    ''
    """
    if not WITHOUT_MEMORY.search(cause):
        return ""
    numbers = {name: value for name, value in parameters.items() if type(value) is int and value > 1}
    batches = [name for name in numbers if "batch" in name]
    sides = [name for name in numbers if re.fullmatch(r"((image|mask|pixel)_)?size", name)]
    counts = sorted((name for name in numbers if name.startswith("n_")), key=lambda name: -numbers[name])
    names = [*batches, *sides, *counts][:5]
    if not names:
        return "too little memory, and none of its parameters bounds it: a machine with more is needed"
    told = [f"{name} (now {numbers[name]})" for name in names]
    lower = " or ".join(filter(None, (", ".join(told[:-1]), told[-1])))
    return f"too little memory: lower {lower}, for example with -p {names[0]}={numbers[names[0]] // 2}"


def with_advice(failure: Failure, parameters: dict) -> Failure:
    """The same failure; where memory ran out, its cause also says which `parameters` to lower."""
    advice = memory_advice(failure.cause, parameters)
    return replace(failure, cause=f"{failure.cause} -- {advice}") if advice else failure


def how_it_died(status: int | None) -> str:
    """What the exit status of a kernel that died tells: below 0 it is the signal that ended it, None is unknown.

    >>> how_it_died(-9)
    'the kernel was killed (SIGKILL), which the system does when memory runs out'
    >>> how_it_died(3)
    'the kernel died: it ended itself with status 3'
    """
    if status is None:
        return "the kernel died (out of memory, a crash in a library, or os._exit)"
    if status >= 0:
        return f"the kernel died: it ended itself with status {status}"
    name = {number.value: number.name for number in signal.Signals}.get(-status, f"signal {-status}")
    if name == "SIGKILL":
        return "the kernel was killed (SIGKILL), which the system does when memory runs out"
    return f"the kernel died ({name}: a crash in a library)"


class _Ended(Exception):
    """A cell asked the kernel to stop."""


def prepare(folder: str | Path, threads: int | None = None) -> dict[str, str]:
    """The environment for running notebooks with this very interpreter; `folder` holds its files and must outlive them.

    A kernel named python3 of the user's own may belong to another Python; the one written here is found first. IPython
    starts without the user's history and start-up files. Progress bars and logs that would flood a notebook are
    silenced, hashes of text are the same in every run, and `threads` limits what one notebook's kernel uses.

    Threads that wait for one another soon sleep (GOMP_SPINCOUNT, unless the user has set it or OMP_WAIT_POLICY): by
    default they spin for long, and where something else runs on one of the cores they spin away the time of the one
    they wait for (benchmarks/test_bench_waiting.py). Memory that is freed is kept for what comes next, unless the user
    has set a MALLOC_... variable (benchmarks/test_bench_memory.py).
    """
    spec = Path(folder) / "kernels" / "python3"
    spec.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    environment = {
        **({} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": "1000"}),
        **({} if any(name.startswith("MALLOC_") for name in os.environ) else KEEPING),
        **os.environ,
        "JUPYTER_PATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")])),
        "IPYTHONDIR": str(Path(folder) / "ipython"),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "TQDM_DISABLE": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # another one, Agg say, would show no figure
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if threads:
        names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "TF_NUM_INTRAOP", "TF_NUM_INTEROP")
        environment |= {
            f"{name}_{'THREADS' if name.startswith('TF') else 'NUM_THREADS'}": str(threads) for name in names
        }
    return environment


def execute(source: str, target: str, parameters: dict, cwd: str, timeout: float | None, report=lambda event: None):
    """Run the notebook at `source` in the folder `cwd` and write it, executed, to `target`: None, or the `Failure`.

    `parameters` are put in after the cell tagged `parameters` (none: no cell is added); `timeout` in seconds is for
    each cell.
    `target` is written after every cell. `report` gets {"cell": number, "of": number} as code cells begin.
    """
    import nbformat

    notebook = nbformat.reads(Path(source).read_text(encoding="utf-8"), as_version=4)
    begun = []
    cause = _run(notebook, target, begun, report, parameters=parameters, cwd=cwd, execution_timeout=timeout)
    if not Path(target).is_file():
        return Failure(cause or "papermill wrote nothing")
    executed = nbformat.read(target, as_version=4)
    executed.cells = [cell for cell in executed.cells if MARK not in cell.metadata.get("tags", [])]
    nbformat.write(executed, target)
    if cause:
        number = sum(not _injected(cell) for cell in begun)
        return Failure(cause, number or None, _first_line(begun[-1].source) if begun else "")
    return failure_in(executed)


def _run(notebook, target, begun, report, **options):
    """Let papermill run `notebook`; the cells that began are added to `begun`. Why it stopped; None at its end.

    An error in a cell gives None too: the executed notebook says where it is, see `failure_in`.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    total = sum(map(_has_code, notebook.cells))
    statuses = []

    def on_cell_execute(cell, cell_index):
        begun.append(cell)
        if not _injected(cell):
            report({"cell": sum(not _injected(other) for other in begun), "of": total})

    try:
        papermill.execute_notebook(
            notebook,
            target,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=START_SECONDS,
            iopub_timeout=60,  # the default of 4 s is too little for a large figure on a busy machine
            shutdown_kernel="immediate",
            on_cell_execute=on_cell_execute,
            on_cell_executed=_after_cell,
            kernel_manager_class=_watching(statuses),
            **options,
        )
    except PapermillExecutionError:
        return None
    except _Ended:
        return "exit() ended the kernel; the cells after it did not run"
    except DeadKernelError:
        return how_it_died(statuses[0] if statuses else None)
    except CellTimeoutError:
        return f"it ran longer than the {options['execution_timeout']:g} s that a cell may take"
    except RuntimeError as error:  # the kernel did not start
        return f"the kernel failed: {error}"


def _after_cell(cell, cell_index, execute_reply):
    cell.outputs = shortened(cell.outputs)
    if any(item.get("source") == "ask_exit" for item in execute_reply["content"].get("payload", [])):
        raise _Ended


def shortened(outputs: list, most: int = MOST_TEXT) -> list:
    """The outputs of a cell, in which what it printed in one go is one text of about `most` characters at most.

    A longer text keeps its beginning and its end.

    >>> printed = [{"output_type": "stream", "name": "stdout", "text": text} for text in ("abcd", "efgh")]
    >>> shortened(printed, most=4)[0]["text"]
    'ab\\n[4 characters are left out here]\\ngh'
    """
    kept = []
    for output in outputs:
        is_printed = output["output_type"] == "stream"
        if is_printed and kept and kept[-1].get("name") == output["name"]:
            kept[-1] = type(output)({**output, "text": kept[-1]["text"] + output["text"]})
        else:
            kept.append(output)
    for place, output in enumerate(kept):
        text = output.get("text", "")
        if output["output_type"] == "stream" and len(text) > most:
            half = most // 2
            left_out = f"\n[{len(text) - 2 * half:,} characters are left out here]\n"
            kept[place] = type(output)({**output, "text": text[:half] + left_out + text[-half:]})
    return kept


def execute_apart(arguments: dict, environment: dict, folder, log, started, report) -> Failure | None:
    """`execute(**arguments)` in a process of its own, working in `folder`: a crash or a signal ends that one alone.

    `started` gets the process as soon as it runs, `report` what `execute` reports. What the process complains about
    goes to the file `log`, which is kept only where it ended without a verdict.
    """
    verdict, cell = {}, None
    with Path(log).open("w", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve())],  # -P: its folder is no place to import from
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
            cwd=folder,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C reaches the caller alone, who then ends each notebook properly
        )
        started(process)
        with process:
            with contextlib.suppress(BrokenPipeError):  # it was ended at once
                process.stdin.write(json.dumps(arguments))
                process.stdin.close()
            for line in process.stdout:
                event = json.loads(line)
                if "cell" in event:
                    cell = event["cell"]
                    report(event)
                else:
                    verdict = event
    if "failure" in verdict:
        Path(log).unlink(missing_ok=True)
        return verdict["failure"] and Failure(**verdict["failure"])
    last = Path(log).read_text(encoding="utf-8").strip().splitlines()[-1:] or ["no message"]
    return Failure(f"papermill ended with status {process.returncode}: {last[0]} (see {log})", cell)


def failure_in(notebook) -> Failure | None:
    """The first cell of an executed notebook that ended in an error or did not run; None if there is none."""
    number = 0
    for cell in notebook.cells:
        if not _has_code(cell):
            continue
        number += not _injected(cell)
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors:
            name, value = errors[0].ename, errors[0].evalue.strip()
            cause = f"{name}: {value}".removesuffix(": ")
            if name == "SystemExit":
                cause = f"sys.exit({value}) ended the notebook; the cells after it did not run"
            trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(errors[0].traceback))
            return Failure(cause.splitlines()[0], number, _first_line(cell.source), trace)
        if cell.execution_count is None:
            return Failure("it did not run", number, _first_line(cell.source))
    return None


def _watching(statuses):
    """A kernel manager that adds to `statuses` the exit status of a kernel found to have ended."""
    from jupyter_client.manager import AsyncKernelManager

    class Watching(AsyncKernelManager):
        async def _async_is_alive(self):
            status = await self.provisioner.poll() if self.has_kernel else None
            if status is not None:
                statuses.append(status)
            return self.has_kernel and status is None

        is_alive = _async_is_alive

    return Watching


def _has_code(cell):
    return cell.cell_type == "code" and bool(cell.source.strip())


def _injected(cell):
    return "injected-parameters" in cell.metadata.get("tags", [])


def _first_line(source):
    """The first line that does something; a comment where there is nothing else."""
    lines = [line.strip() for line in source.strip().splitlines()]
    return next((line for line in lines if line and not line.startswith(("#", "%"))), lines[0] if lines else "")


def _stop(*_):
    raise KeyboardInterrupt


def _end_with(parent, seconds=1.0):
    """End this process as a signal would as soon as `parent`, the runner that started it, is gone (SIGKILL)."""
    while os.getppid() == parent:
        time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)  # for the kernel to be ended and the notebook to be written
    os._exit(1)  # the kernel ends itself when it finds its parent gone


def main():
    signal.signal(signal.SIGTERM, _stop)  # so that the kernel is ended, too
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()

    def report(event):
        print(json.dumps(event), flush=True)

    failure = execute(**json.load(sys.stdin), report=report)
    report({"failure": failure and asdict(failure)})


if __name__ == "__main__":
    main()
