"""The course on the command line: python -m lib.course COMMAND

    list       the notebooks, their questions, minutes and parameters
    run        execute notebooks headlessly and write a report of pages, results and claims
    check      compare the last quick run with notebooks/expected.toml
    expect     write notebooks/expected.toml from the last quick run, for review
    notebooks  run profile quick and put the outputs into the notebooks themselves
    results    show again what was measured and which claims held
    publish    keep finished full runs in results/full and write RESULTS.md from what is kept there
    pretrain   train the project's own network again (hours on a CPU)
    data       list, fetch, prepare and check the collections

Each notebook runs in a process of its own, so that one which dies, hangs or ends its kernel does no harm to the others.
The way in to the course: this module may import its siblings.
"""

import argparse
import contextlib
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lib import data_commands, execution, expectations, full_runs, headlines, notebook_files, progress, reports, results

ROOT = Path(__file__).resolve().parent.parent
RUNNERS = """course data_commands execution expectations fetching full_runs headlines notebook_files preparing progress
reports"""
OWN = {f"{name}.py" for name in RUNNERS.split()}
PICTURES = (".png", ".jpg")
CELL_SECONDS = {"quick": 600, "smoke": 300}
LONG_CELL_SECONDS = 4 * 3600
OPENING = """\
# What a quick run gives: claims that hold or do not, and bands for values, wide enough for other hardware.
# Written by `python -m lib.course expect` after `python -m lib.course run`, then read by a person.
"""


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


@dataclass
class Notebook:
    """One notebook of the course and what it is to be run with."""

    path: Path
    question: str = ""
    minutes: float | None = None
    parameters: dict = field(default_factory=dict)  # all of them, as they will be
    changed: dict = field(default_factory=dict)  # those that differ from the literals in the notebook
    given: dict = field(default_factory=dict)  # those set on the command line
    problem: str | None = None  # why it cannot run

    @property
    def name(self):
        return self.path.stem


# ---- which notebooks, with which parameters ------------------------------------------------------------------------


def find(folder: Path) -> list[Path]:
    """The numbered notebooks of `folder`, in order."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise UsageError(f"no notebook named NN_*.ipynb in {folder}")
    return paths


def select(paths: list[Path], only: list[str] | None) -> list[Path]:
    """Those named in `only` by number (1, 01) or name; all without it."""
    chosen = []
    for given in only or []:
        word = Path(given).name.removesuffix(".ipynb")
        hits = [path for path in paths if word and (path.stem == word or path.stem[:2] == word.zfill(2))]
        if not hits:
            raise UsageError(f"--only {given!r}: no such notebook; there are {', '.join(path.stem for path in paths)}")
        chosen += hits
    return sorted(set(chosen)) if only else paths


def read_profiles(folder: Path) -> dict:
    """notebooks/profiles.toml: {notebook: {profile: {parameter: value}}}."""
    path = folder / "profiles.toml"
    if not path.is_file():
        raise UsageError(f"{path} is missing: it holds the parameters of each notebook in each profile")
    return _read_toml(path)


def _read_toml(path):
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no TOML, or no text
        raise UsageError(f"{path} cannot be read: {error}") from error


def require_profile(profiles: dict, profile: str) -> None:
    """UsageError unless a notebook has it."""
    known = sorted({name for tables in profiles.values() for name in tables})
    if profile not in known:
        raise UsageError(f"--profile {profile}: no notebook has it; there are {', '.join(known) or 'none'}")


def plan(paths: list[Path], profiles: dict, profile: str, given: list[str]) -> list[Notebook]:
    """Each notebook with the parameters of `profile`, then those `given` as name=value; UsageError if wrong."""
    require_profile(profiles, profile)
    planned = []
    for path in paths:
        notebook = Notebook(path)
        planned.append(notebook)
        try:
            node = notebook_files.read(path)
            notebook.question, notebook.minutes = notebook_files.question(node), notebook_files.minutes(node)
            literals = notebook_files.parameters(node)
            if profile not in profiles.get(path.stem, {}):
                raise ValueError(f"profiles.toml has no table [{path.stem}.{profile}]")
            if "profile" not in literals:
                raise ValueError("its parameters cell does not set `profile`")
            where = f"[{path.stem}.{profile}] of profiles.toml"
            table = {**profiles[path.stem][profile], "profile": profile}
            wanted = {name: notebook_files.fitting(name, value, literals, where) for name, value in table.items()}
        except (ValueError, SyntaxError) as error:
            notebook.problem = str(error)
            continue
        notebook.given = dict(_given(word, literals, path.stem) for word in given)
        notebook.parameters = {**literals, **wanted, **notebook.given}
        notebook.changed = {name: value for name, value in notebook.parameters.items() if value != literals[name]}
    return planned


def _given(word, literals, notebook):
    """Name and value of a parameter given as name=value."""
    name, equals, text = word.partition("=")
    if not equals:
        raise UsageError(f"-p {word}: write name=value")
    if name == "profile":
        raise UsageError(f"-p {word}: the profile is set by --profile")
    try:
        value = notebook_files.parse(text, literals.get(name))
        value = notebook_files.fitting(name, value, literals, f"-p {word} for {notebook}")
    except ValueError as error:
        raise UsageError(str(error)) from error
    if name == "dataset" and ("/" in value or os.sep in value or value.startswith("~")):
        value = str(Path(value).expanduser().resolve())  # notebooks run in another folder than this command
    return name, value


# ---- running -------------------------------------------------------------------------------------------------------


def digest(notebook: Notebook) -> str:
    """Of all that decides what a run gives: source, parameters, and the modules of lib."""
    parts = [
        notebook_files.source_digest(notebook_files.read(notebook.path)),
        json.dumps(notebook.parameters, sort_keys=True),
    ]
    parts += [_digest_of(path) for path in sorted(Path(__file__).parent.glob("*.py")) if path.name not in OWN]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Run:
    """Notebooks of one profile on their way into one report folder."""

    def __init__(self, profile, reports_folder, timeout=None):
        self.profile, self.timeout = profile, timeout
        self.reports = reports_folder.resolve()
        self.folder = self.reports / profile
        self.states = self.folder / "state"
        self.results = self.reports / "results" / profile
        self.processes = []
        self.progress = None
        self.stopping = threading.Event()
        self.paper = threading.Lock()  # matplotlib, which draws formulas, does so one at a time

    def state(self, name):
        """What is known of the last run of notebook `name`: a dict, empty if it was never run."""
        try:
            return json.loads((self.states / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # never run, or damaged: run again
            return {}

    def result_path(self, name):
        return self.results / f"{name}.json"

    def expected_seconds(self, notebook):
        """What it took last time, else what it announces."""
        return self.state(notebook.name).get("seconds") or 60 * (notebook.minutes or 1)

    def finished(self, notebook):
        """Whether the last run of `notebook` succeeded and would give the same again."""
        there = (self.folder / f"{notebook.name}.ipynb").is_file() and self.has_own_results(notebook.name)
        state = self.state(notebook.name)
        return there and not notebook.problem and state.get("status") == "ok" and state["digest"] == digest(notebook)

    def has_own_results(self, name):
        """Whether the results of notebook `name` are, byte for byte, those that its last run ended with."""
        path = self.result_path(name)
        return path.is_file() and self.state(name).get("results_digest") == _digest_of(path)

    def execute(self, notebook, environment):
        """Run one notebook in a process of its own; write its state, page and thumbnail."""
        began = time.monotonic()
        self.progress.start(notebook.name)
        state = {
            "name": notebook.name,
            "status": "running",
            "parameters": notebook.parameters,
            "given": notebook.given,
        }
        self._note(state)
        for stale in (self.folder / f"{notebook.name}.ipynb", self.result_path(notebook.name)):
            stale.unlink(missing_ok=True)
        if notebook.problem:
            failure = execution.Failure(notebook.problem)
        else:
            state["digest"] = digest(notebook)
            failure = self._execute(notebook, environment)
        if failure is None and not self.result_path(notebook.name).is_file():
            failure = execution.Failure(
                f"it wrote no results: {notebook.name}.json is missing; call results.begin({notebook.name!r}, profile)"
            )
        state |= {"status": "ok" if failure is None else "failed", "seconds": time.monotonic() - began}
        state["ended"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if failure is None:
            state["results_digest"] = _digest_of(self.result_path(notebook.name))
        if self.stopping.is_set() and failure is not None:
            state["status"], failure = "stopped", execution.Failure("it was stopped")
            (self.states / f"{notebook.name}.log").unlink(missing_ok=True)
        state["failure"] = failure and {**asdict(failure), "text": str(failure)}
        with self.paper:
            self._page(notebook, state)
        self._note(state)

    def _execute(self, notebook, environment):
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
        log = self.states / f"{notebook.name}.log"
        failure = execution.execute_apart(arguments, environment, self.folder, log, started, reached)
        return failure and execution.with_advice(failure, notebook.parameters)

    def fail(self, name, cause):
        """Note that notebook `name` failed for a reason that lies outside of it."""
        failure = execution.Failure(cause)
        self._note({"name": name, "status": "failed", "seconds": 0, "failure": {**asdict(failure), "text": cause}})

    def stop(self):
        """End what runs: each process ends its kernel itself; one that does not within 10 s is killed."""
        self.stopping.set()
        for process in self.processes:  # terminate and wait do nothing to those that have ended
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()

    def _note(self, state):
        _write(self.states / f"{state['name']}.json", json.dumps(state, indent=1) + "\n")

    def _page(self, notebook, state):
        """The HTML of the notebook as far as it ran, and its first figure."""
        import nbformat

        executed = self.folder / f"{notebook.name}.ipynb"
        page = executed.with_suffix(".html")
        for stale in (page, *map(executed.with_suffix, PICTURES)):
            stale.unlink(missing_ok=True)
        if not executed.is_file():
            return
        node = nbformat.read(executed, as_version=4)
        figure = reports.first_figure(node)
        if figure:
            executed.with_suffix(figure[1]).write_bytes(figure[0])
        _write(page, reports.notebook_page(node, notebook.question or notebook.name, state))

    def write_index(self, paths, notebooks):
        """index.html over all notebooks, also those that were not run this time."""
        planned = {notebook.name: notebook for notebook in notebooks}
        cards = []
        for path in paths:
            notebook = planned[path.stem]
            state = self.state(path.stem)
            kinds = {".html": "html", ".ipynb": "ipynb"} | dict.fromkeys(PICTURES, "picture")
            there = [file for file in self.folder.glob(f"{path.stem}.*") if file.suffix in kinds]
            files = {kinds[file.suffix]: file.name for file in there}
            cards.append(
                {"name": path.stem, "question": notebook.question, "minutes": notebook.minutes, "files": files, **state}
            )
        measures, claims = gathered(self.reports, self.profile)
        made = _made_with(self.reports, self.profile)
        _write(self.folder / "index.html", reports.index_page(self.profile, cards, measures, claims, made))
        return self.folder / "index.html"


def gathered(reports_folder, profile):
    """The two tables of `profile`; UsageError for a damaged file of results."""
    try:
        return results.gather(reports_folder, profile)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _made_with(reports_folder, profile):
    made = {}  # when a file was written -> what it was made with
    for path in (reports_folder / "results" / profile).glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # gone since it was listed: started anew
            made[path.stat().st_mtime] = json.loads(path.read_text(encoding="utf-8")).get("made_with", {})
    return made[max(made)] if made else {}


def _write(path, text):
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def draw_catalogue(folder: Path, environment: dict) -> None:
    """Draw the embedded collection before the first notebook that uses it, where its progress bar can be seen."""
    environment = {key: value for key, value in environment.items() if key != "TQDM_DISABLE"}
    if not sys.stderr.isatty():
        environment["TQDM_MININTERVAL"] = "20"  # seconds: in a log each step of the bar is kept
    code = "from lib import catalogue; catalogue.write()"
    if subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=False).returncode:
        raise UsageError("the catalogue could not be drawn (see above)")


def named_folders(variable: str) -> list[Path]:
    """The folders that an environment variable names, joined as in $PATH, absolute; empty parts are left out."""
    return [Path(part).expanduser().resolve() for part in os.environ.get(variable, "").split(os.pathsep) if part]


def course_environment(folder: str, reports_folder: Path, jobs: int) -> dict:
    """The environment of the notebooks: this lib, this report folder, absolute data folders, threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    environment = execution.prepare(folder, threads=max(1, cores // jobs) if jobs > 1 else None)
    for name in ("RETRIEVAL_DATA", "RETRIEVAL_WEIGHTS"):  # relative to where the command was given
        environment[name] = os.pathsep.join(map(str, named_folders(name)))
        if not environment[name]:
            del environment[name]
    environment["RETRIEVAL_REPORTS"] = str(reports_folder.resolve())
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return environment


@contextlib.contextmanager
def alone(folder: Path):
    """Hold the lock of a folder that a run writes to, lost with its process; UsageError where another holds it."""
    from filelock import FileLock, Timeout  # here, since `list --json` and `publish` need no packages

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"a run is under way in {folder}; wait for its end, or give another --reports") from error
    try:
        yield
    finally:
        lock.release()


def run_notebooks(options, notebooks) -> tuple[Run, list[dict]]:
    """What `run` and `notebooks` share: take over, draw, execute, report. The run, and each notebook's state."""
    paths = find(options.notebooks)
    chosen = [notebook.path for notebook in notebooks]
    rest = [path for path in paths if path not in chosen]
    everything = plan(rest, read_profiles(options.notebooks), options.profile, []) + notebooks
    timeout = math.ceil(options.timeout or CELL_SECONDS.get(options.profile, LONG_CELL_SECONDS))  # whole for papermill
    run = Run(options.profile, options.reports, timeout)
    with alone(run.folder), tempfile.TemporaryDirectory() as folder:
        for place in (run.states, run.results):
            place.mkdir(parents=True, exist_ok=True)
        todo = [notebook for notebook in notebooks if not (options.resume and run.finished(notebook))]
        states = {notebook.name: run.state(notebook.name) for notebook in notebooks if notebook not in todo}
        for name in states:
            print(f"kept     {name}  (unchanged since its last run)", file=sys.stderr)
        environment = course_environment(folder, options.reports, options.jobs)
        if any(notebook.parameters.get("dataset") == "catalogue" for notebook in todo):
            draw_catalogue(options.notebooks, environment)
        run.progress = progress.Progress({n.name: run.expected_seconds(n) for n in todo}, options.jobs)
        pool = ThreadPoolExecutor(max_workers=options.jobs)
        waiting = {pool.submit(run.execute, notebook, environment): notebook for notebook in todo}
        try:
            while waiting:
                done, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    name = waiting.pop(future).name
                    if future.exception():  # no failure of the notebook, but one that must not stop the others
                        run.fail(name, f"the runner itself failed: {future.exception()!r}")
                    states[name] = state = run.state(name)
                    word = "FAILED" if state["status"] == "failed" else state["status"]
                    run.progress.end(name, word, state["seconds"], (state["failure"] or {"text": ""})["text"])
                    run.write_index(paths, everything)
                run.progress.draw()
        finally:  # also on Ctrl-C: end the kernels, keep what is done
            run.progress.close()
            if waiting:
                run.stop()
            pool.shutdown(cancel_futures=True)
            index = run.write_index(paths, everything)
    print(f"\nreport: {index}")
    return run, [states[notebook.name] for notebook in notebooks]


# ---- the commands --------------------------------------------------------------------------------------------------


def command_list(options) -> int:
    profiles = read_profiles(options.notebooks)
    paths = select(find(options.notebooks), options.only)
    if options.json:
        print(json.dumps([path.stem for path in paths]))
        return 0
    for path in paths:
        try:
            node = notebook_files.read(path)
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
        minutes = notebook_files.minutes(node)
        print(f"{path.stem}  {notebook_files.question(node)}" + (f"  (about {minutes:g} min)" if minutes else ""))
        for profile, table in profiles.get(path.stem, {}).items():
            print(f"    {profile:<6} " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in table.items()))
    return 0


def command_run(options) -> int:
    chosen = select(find(options.notebooks), options.only)
    notebooks = plan(chosen, read_profiles(options.notebooks), options.profile, options.parameter)
    run, states = run_notebooks(options, notebooks)
    _print_tables(run.reports, run.profile, [notebook.name for notebook in notebooks])
    return _verdict(states)


def command_notebooks(options) -> int:
    options.profile = "quick"
    chosen = select(find(options.notebooks), options.only)
    notebooks = plan(chosen, read_profiles(options.notebooks), "quick", [])
    for notebook in notebooks:
        if notebook.changed:
            names = ", ".join(notebook.changed)
            raise UsageError(f"{notebook.name}: its parameters cell differs from profile quick in {names}")
    run, states = run_notebooks(options, notebooks)
    failed = 0
    for notebook, state in zip(notebooks, states, strict=True):
        if state["status"] != "ok":
            continue
        executed = notebook_files.read(run.folder / notebook.path.name)
        node, left_out = notebook_files.cleaned(notebook_files.read(notebook.path), executed, "quick")
        problems = notebook_files.blemishes(node)
        for note in left_out:
            print(f"left out of {notebook.name}: {note}")
        for problem in problems:
            print(f"NOT WRITTEN {notebook.name}: {problem}")
        if problems:
            failed += 1
        else:
            _write(notebook.path, notebook_files.to_text(node))
            print(f"written  {notebook.path}")
    return 1 if failed else _verdict(states)


def command_results(options) -> int:
    paths = select(find(options.notebooks), options.only)
    require_profile(read_profiles(options.notebooks), options.profile)
    folder = options.reports / "results" / options.profile
    if not folder.is_dir() or not _print_tables(options.reports, options.profile, [path.stem for path in paths]):
        raise UsageError(
            f"no results of {'these notebooks' if options.only else 'a notebook'} in {folder}; "
            f"`python -m lib.course run --profile {options.profile}` first"
        )
    return 0


def command_publish(options) -> int:
    """Merge finished full runs into the committed folder, then write RESULTS.md from that folder alone."""
    only = [path.stem for path in select(find(options.notebooks), options.only)] if options.only else None
    for folder in options.reports:
        for line in full_runs.take_over(folder, options.kept, only=only):
            print(line)
    try:
        sources = tomllib.loads(options.headlines.read_text(encoding="utf-8"))["source"]
        page = headlines.page(sources, full_runs.read_runs(options.kept))
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{options.page.name} was not written: {error}") from error
    _write(options.page, page)
    print(f"written: {options.page}")
    return 0


def command_check(options) -> int:
    path = options.notebooks / "expected.toml"
    if not path.is_file():
        raise UsageError(f"{path} is missing; write it with `python -m lib.course expect`, and read it")
    expected = _read_toml(path)
    names = [path.stem for path in select(find(options.notebooks), options.only)]
    measures, claims = _last_quick_run(options, names)
    gone = (
        []
        if options.only
        else [f"{name}: expected, but there is no such notebook" for name in expected if name not in names]
    )
    found = gone + expectations.deviations(expected, measures, claims, names)
    for deviation in found:
        print(deviation)
    counts = sum(len(expected.get(name, {}).get("claims", {})) for name in names)
    values = sum(len(expected.get(name, {}).get("measures", [])) for name in names)
    print(f"{len(found)} deviations" if found else f"as recorded: {counts} claims, {values} values")
    return 1 if found else 0


def command_expect(options) -> int:
    path = options.notebooks / "expected.toml"
    everything = find(options.notebooks)
    names = [path.stem for path in select(everything, options.only)]
    measures, claims = (table[table["notebook"].isin(names)] for table in _last_quick_run(options, names))
    known = _read_toml(path) if path.is_file() else {}
    known = {name: table for name, table in known.items() if name in {path.stem for path in everything}}
    _write(path, expectations.to_toml(expectations.expect(measures, claims, known), OPENING))
    print(f"written: {path}; read it before you commit it")
    return 0


def command_pretrain(options) -> int:
    """Train data/backbones/course.safetensors anew; a run that was stopped is taken up where it was."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each process, read when torch is loaded: how the card's run was
    from lib import datasets, descriptors, losses, networks, pretraining, training

    folders = named_folders("RETRIEVAL_WEIGHTS") or [Path()]
    places = [options.teacher] if options.teacher else [folder / "mobilenet_v2.pth" for folder in folders]
    teacher = next((place for place in places if place.is_file()), None)
    if teacher is None:
        raise UsageError(
            f"the teacher's weights, torchvision's mobilenet_v2, are not at {' or '.join(map(str, places))}; "
            "name them: --teacher"
        )
    describe = {
        "HOG": descriptors.hog,
        "teacher (mobilenet_v2)": lambda images: pretraining.mobilenet_features(images, teacher),
    }
    with training.processes() as (rank, _):
        splits = {}
        for split in ("train", "validation"):
            try:
                photos = datasets.load("tiny-imagenet-100", split)
            except FileNotFoundError as error:
                raise UsageError(str(error)) from error
            splits[split] = photos.images(64), photos.table["label"].to_numpy()
        network, history = pretraining.pretrain(splits["train"], teacher, options.work, networks, losses, training)
        if rank == 0:
            table = pretraining.publish(
                network, splits["train"], splits["validation"], teacher, describe, options.out, history
            )
            print(table.round(3).to_string(index=False))
    return 0


def command_data(options) -> int:
    """List, fetch, prepare or check collections; see lib/data_commands.py."""
    from lib import catalogue, datasets, fetching, preparing

    data = ROOT / "data"
    tools = data_commands.Tools(datasets, fetching, preparing, catalogue, data / "collections.toml")
    try:
        return data_commands.run(options, tools, data)
    except data_commands.Refused as error:
        raise UsageError(str(error)) from error


def _last_quick_run(options, names):
    """Its tables, refused where a notebook failed or ran with other parameters than the profile's."""
    run = Run("quick", options.reports)
    for name in names:
        state = run.state(name)
        if state.get("status") != "ok":
            raise UsageError(
                f"{name} has not run to its end ({state.get('status', 'never run')}); `python -m lib.course run` first"
            )
        if state["given"]:
            raise UsageError(f"{name} last ran with {state['given']} beside profile quick; run it again without -p")
        if not run.has_own_results(name):
            raise UsageError(f"{run.result_path(name)} is not what the last run of {name} wrote; run it again")
    return gathered(options.reports, "quick")


def _print_tables(reports_folder, profile, names):
    """Print both tables of these notebooks; False where there is nothing in them."""
    measures, claims = (table[table["notebook"].isin(names)] for table in gathered(reports_folder, profile))
    width = _terminal_width()
    if len(measures):
        print(f"\nWhat was measured (profile {profile})\n" + reports.measures_text(measures, width))
    if len(claims):
        print("\nWhat was claimed\n" + reports.claims_text(claims, width))
    return bool(len(measures) or len(claims))


def _terminal_width():
    return max(60, min(160, shutil.get_terminal_size((110, 40)).columns))


def _verdict(states):
    failed = [state for state in states if state["status"] != "ok"]
    print(f"\n{len(states) - len(failed)} of {len(states)} notebooks ran to their end")
    for state in failed:
        print(f"FAILED {state['name']}: {state['failure']['text']}")
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(
        prog="python -m lib.course", description="Run the course's notebooks and look at what they gave."
    )
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, function, text, *options):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(function=function, only=None)
        sub.add_argument(
            "--notebooks", type=Path, default=ROOT / "notebooks", metavar="FOLDER", help="where the notebooks are"
        )
        if "only" in options:
            sub.add_argument(
                "--only",
                nargs="+",
                metavar="NAME",
                help="these notebooks, by number or name: --only 01 03_siamese_triplet",
            )
        if "reports" in options:
            sub.add_argument(
                "--reports", type=Path, default=ROOT / "reports", metavar="FOLDER", help="where reports go"
            )
        if "profile" in options:
            sub.add_argument("--profile", default="quick", help="a profile of notebooks/profiles.toml (default: quick)")
        if "run" in options:
            sub.add_argument(
                "--jobs", type=_positive(int), default=1, metavar="N", help="notebooks at the same time (default: 1)"
            )
            sub.add_argument(
                "--resume",
                action="store_true",
                help="keep finished notebooks whose source, parameters and lib are unchanged",
            )
            sub.add_argument(
                "--timeout",
                type=_positive(float),
                metavar="SECONDS",
                help="longest time for one cell (default: 600 in quick, 4 h in full)",
            )
        if "parameter" in options:
            sub.add_argument(
                "-p",
                "--parameter",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="set a parameter (TOML: -p words=64), repeatable",
            )
        return sub

    listing = command("list", command_list, "list the notebooks: question, minutes, parameters of each profile", "only")
    listing.add_argument("--json", action="store_true", help="their names alone, as a JSON list")
    command(
        "run", command_run, "execute notebooks and write a report", "only", "reports", "profile", "run", "parameter"
    )
    command("check", command_check, "compare the last quick run with notebooks/expected.toml", "only", "reports")
    command("expect", command_expect, "write notebooks/expected.toml from the last quick run", "only", "reports")
    command(
        "notebooks",
        command_notebooks,
        "run profile quick and write the outputs into the notebooks",
        "only",
        "reports",
        "run",
    )
    command("results", command_results, "show what was measured and which claims held", "only", "reports", "profile")
    publish = command("publish", command_publish, "keep finished full runs and write RESULTS.md from them", "only")
    publish.add_argument(
        "--reports",
        type=Path,
        nargs="+",
        default=[ROOT / "reports"],
        metavar="FOLDER",
        help="where runs left their reports (default: reports)",
    )
    for option, place, text in (
        ("--kept", "results/full", "where the runs are kept"),
        ("--headlines", "data/headlines.toml", "what the sources published"),
        ("--page", "RESULTS.md", "the page to write"),
    ):
        publish.add_argument(option, type=Path, default=ROOT / place, metavar="PATH", help=f"{text} (default: {place})")
    pretrain = command("pretrain", command_pretrain, "train the project's own network again (hours on a CPU)")
    pretrain.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="weights of torchvision's mobilenet_v2 (default: mobilenet_v2.pth in $RETRIEVAL_WEIGHTS)",
    )
    for option, name, text in (
        ("--work", "pretraining", "where crops, features and checkpoints are kept"),
        ("--out", "backbones", "where weights and card go"),
    ):
        default = ROOT / "data" / name
        pretrain.add_argument(
            option, type=Path, default=default, metavar="FOLDER", help=f"{text} (default: data/{name})"
        )
    data_commands.add_commands(command("data", command_data, "list, fetch, prepare and check the collections"))
    return main


def _positive(kind):
    def number(text):
        value = kind(text)
        if not 0 < value < math.inf:  # nan is neither
            raise argparse.ArgumentTypeError(f"must be a number above 0, got {text}")
        return value

    number.__name__ = f"positive {kind.__name__}"
    return number


def _interrupt(*_):
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command: 0; 1 if a notebook failed or a result deviates; 2 if it was wrong; 130 if stopped."""
    options = parser().parse_args(arguments)
    try:
        return options.function(options)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:  # it says nothing of what was given, as a broken pipe does not
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = "the same command goes on" if options.command in ("pretrain", "data") else "--resume takes it over"
        print(f"\nstopped; what was done is kept: {again}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    status = 0
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a console that lacks a letter of a title must not end the run
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `results | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
