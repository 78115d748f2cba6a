"""Run notebooks of one profile: take over what is unchanged, draw the catalogue, run each in a process of its own.

A notebook that dies, hangs or ends its kernel does no harm to the others. Ctrl-C ends the kernels and keeps what is
done.
"""

import math
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

from course import report
from course.runner import kernel
from course.runner.environment import draw, drawn_collections, environment, locked
from course.runner.folder import ReportFolder
from course.runner.plan import Notebook, find, plan, read_profiles, with_profile
from course.runner.progress import Progress
from course.runner.staleness import digest, digest_of_file

CELL_SECONDS = {"quick": 600, "photos": 600, "smoke": 300}
LONG_CELL_SECONDS = 4 * 3600
END_SECONDS = 10  # for a process to end its kernel by itself


@dataclass
class Options:
    """How a run goes: where notebooks and reports are, the profile, and what the command line sets."""

    notebooks: Path
    reports: Path
    profile: str = "quick"
    jobs: int = 1
    resume: bool = False
    timeout: float | None = None


class Run:
    """Notebooks of one profile on their way into one report folder."""

    def __init__(self, folder: ReportFolder, variables: dict, progress: Progress, timeout: int):
        self.folder, self.variables, self.progress, self.timeout = folder, variables, progress, timeout
        self.processes = []
        self.stopping = threading.Event()

    def execute(self, notebook: Notebook) -> None:
        """Run one notebook in a process of its own; write its state, page and thumbnail."""
        began = time.monotonic()
        name = notebook.name
        self.progress.start(name)
        state = {"name": name, "status": "running", "parameters": notebook.parameters, "given": notebook.given}
        self.folder.note(state)
        self.folder.remove_outputs(name)
        if notebook.problem:
            failure = kernel.Failure(notebook.problem)
        else:
            state["digest"] = digest(notebook)
            failure = self._execute_apart(notebook)
        if failure is None and not self.folder.result_path(name).is_file():
            failure = kernel.Failure(
                f"it wrote no results: {name}.json is missing; call results.begin({name!r}, profile)"
            )
        state |= {"status": "ok" if failure is None else "failed", "seconds": time.monotonic() - began}
        state["ended"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if failure is None:
            state["results_digest"] = digest_of_file(self.folder.result_path(name))
        elif self.stopping.is_set():
            state["status"], failure = "stopped", kernel.Failure("it was stopped")
            self._log(name).unlink(missing_ok=True)
        state["failure"] = failure and {**asdict(failure), "text": str(failure)}
        self.folder.write_page(notebook, state)
        self.folder.note(state)

    def _log(self, name):
        return self.folder.states / f"{name}.log"

    def _execute_apart(self, notebook):
        def started(process):
            self.processes.append(process)
            if self.stopping.is_set():
                process.terminate()

        def reached(event):
            self.progress.reach(notebook.name, event["cell"], event["of"])

        arguments = {
            "source": str(notebook.path.resolve()),
            "target": f"{notebook.name}.ipynb",
            "parameters": notebook.changed,
            "cwd": str(notebook.path.parent.resolve()),
            "timeout": self.timeout,
        }
        log = self._log(notebook.name)
        failure = kernel.execute_apart(arguments, self.variables, self.folder.folder, log, started, reached)
        return failure and kernel.with_advice(failure, notebook.parameters)

    def execute_all(self, notebooks: list[Notebook], jobs: int, after_each) -> dict[str, dict]:
        """Run them, `jobs` at a time, and call `after_each` as each ends: {name: state}. Ctrl-C ends what runs."""
        states = {}
        pool = ThreadPoolExecutor(max_workers=jobs)
        waiting = {pool.submit(self.execute, notebook): notebook.name for notebook in notebooks}
        try:
            while waiting:
                done, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    name = waiting.pop(future)
                    if future.exception():  # no failure of the notebook, but one that must not stop the others
                        self.folder.note_failure(name, f"the runner itself failed: {future.exception()!r}")
                    states[name] = state = self.folder.state(name)
                    word = "FAILED" if state["status"] == "failed" else state["status"]
                    self.progress.end(name, word, state["seconds"], (state["failure"] or {"text": ""})["text"])
                    after_each()
                self.progress.draw()
        finally:  # also on Ctrl-C: end the kernels, keep what is done
            self.progress.close()
            if waiting:
                self.stop()
            pool.shutdown(cancel_futures=True)
            after_each()
        return states

    def stop(self) -> None:
        """End what runs: each process ends its kernel itself; one that does not within 10 s is killed."""
        self.stopping.set()
        for process in self.processes:  # terminate and wait do nothing to those that have ended
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def run_notebooks(options: Options, notebooks: list[Notebook]) -> tuple[ReportFolder, list[dict]]:
    """Take over, draw, execute, report: the report folder, and the state of each notebook."""
    profiles = read_profiles(options.notebooks)
    chosen = [notebook.path for notebook in notebooks]
    others = [p for p in with_profile(find(options.notebooks), profiles, options.profile) if p not in chosen]
    everything = [*plan(others, profiles, options.profile, []), *notebooks]
    timeout = math.ceil(options.timeout or CELL_SECONDS.get(options.profile, LONG_CELL_SECONDS))  # whole for papermill
    folder = ReportFolder(options.reports, options.profile)
    with locked(folder.folder), tempfile.TemporaryDirectory() as files:
        folder.make()
        todo = [notebook for notebook in notebooks if not (options.resume and folder.finished(notebook))]
        states = {notebook.name: folder.state(notebook.name) for notebook in notebooks if notebook not in todo}
        for name in states:
            print(f"kept     {name}  (unchanged since its last run)", file=sys.stderr)
        variables = environment(files, options.reports, options.jobs)
        draw(set().union(*map(drawn_collections, todo)), options.notebooks, variables)
        progress = Progress({notebook.name: folder.expected_seconds(notebook) for notebook in todo}, options.jobs)
        run = Run(folder, variables, progress, timeout)
        states |= run.execute_all(todo, options.jobs, lambda: folder.write_index(everything))
        report.link_profiles(options.reports)
    print(f"\nreport: {folder.folder / 'index.html'}")
    return folder, [states[notebook.name] for notebook in notebooks]
