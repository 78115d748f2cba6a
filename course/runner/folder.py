"""The report folder of one profile: what is known of each notebook's last run, its page, and the index over all.

reports/<profile>/<notebook>.ipynb, .html, .png     as far as it ran
reports/<profile>/state/<notebook>.json             status, parameters, seconds, failure, digests
reports/<profile>/index.html                        all notebooks, measures and claims
reports/results/<profile>/<notebook>.json           written by the notebook itself (lib/results.py)
"""

import contextlib
import functools
import json
import threading
from dataclasses import asdict
from pathlib import Path

from course import ROOT, UsageError
from course.files import write_text
from course.records import noted
from course.runner import kernel
from course.runner.plan import Notebook
from course.runner.staleness import digest, digest_of_file

PICTURES = (".png", ".jpg")
OTHERS = {"quick", "photos", "full"}  # profiles whose verdicts are shown beside each other
KEPT = ROOT / "docs" / "results"


class ReportFolder:
    """What runs of one profile have left and leave in a folder of reports."""

    def __init__(self, reports: Path, profile: str):
        self.reports, self.profile = reports.resolve(), profile
        self.folder = self.reports / profile
        self.states = self.folder / "state"
        self.results = self.reports / "results" / profile
        self._drawing = threading.Lock()  # matplotlib, which draws the formulas of pages, does so one at a time

    def make(self) -> None:
        for place in (self.states, self.results):
            place.mkdir(parents=True, exist_ok=True)

    def state(self, name: str) -> dict:
        """What is known of the last run of notebook `name`: empty if it was never run."""
        try:
            return json.loads((self.states / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):  # never run, or damaged: run again
            return {}

    def note(self, state: dict) -> None:
        """Write the state of the notebook that it names."""
        write_text(self.states / f"{state['name']}.json", json.dumps(state, indent=1) + "\n")

    def note_failure(self, name: str, cause: str) -> None:
        """Note that notebook `name` failed for a reason that lies outside of it."""
        failure = kernel.Failure(cause)
        self.note({"name": name, "status": "failed", "seconds": 0, "failure": {**asdict(failure), "text": cause}})

    def result_path(self, name: str) -> Path:
        return self.results / f"{name}.json"

    def expected_seconds(self, notebook: Notebook) -> float:
        """What it took last time, else what it announces."""
        return self.state(notebook.name).get("seconds") or 60 * (notebook.minutes or 1)

    def finished(self, notebook: Notebook) -> bool:
        """Whether the last run of `notebook` succeeded and would give the same again."""
        there = (self.folder / f"{notebook.name}.ipynb").is_file() and self.has_own_results(notebook.name)
        state = self.state(notebook.name)
        ended_well = there and not notebook.problem and state.get("status") == "ok"
        return ended_well and state["digest"] == digest(notebook)

    def has_own_results(self, name: str) -> bool:
        """Whether the results of notebook `name` are, byte for byte, those that its last run ended with."""
        path = self.result_path(name)
        return path.is_file() and self.state(name).get("results_digest") == digest_of_file(path)

    def remove_outputs(self, name: str) -> None:
        """Take away what the last run of notebook `name` left, as a new run of it begins."""
        for stale in (self.folder / f"{name}.ipynb", self.result_path(name)):
            stale.unlink(missing_ok=True)

    def write_page(self, notebook: Notebook, state: dict) -> None:
        """The HTML of the notebook as far as it ran, and its first figure."""
        import nbformat

        from course import report

        executed = self.folder / f"{notebook.name}.ipynb"
        page = executed.with_suffix(".html")
        with self._drawing:
            for stale in (page, *map(executed.with_suffix, PICTURES)):
                stale.unlink(missing_ok=True)
            if not executed.is_file():
                return
            try:
                node = nbformat.read(executed, as_version=4)
            except ValueError:  # half written, as on a full disk; the failure says so
                executed.unlink()
                return
            figure = report.first_figure(node)
            if figure:
                executed.with_suffix(figure[1]).write_bytes(figure[0])
            write_text(page, report.notebook_page(node, notebook.question or notebook.name, state))

    def write_index(self, notebooks: list[Notebook]) -> Path:
        """index.html over these notebooks, also those that were not run this time."""
        from course import report

        cards = []
        for notebook in sorted(notebooks, key=lambda notebook: notebook.path):
            kinds = {".html": "html", ".ipynb": "ipynb"} | dict.fromkeys(PICTURES, "picture")
            there = [file for file in self.folder.glob(f"{notebook.name}.*") if file.suffix in kinds]
            card = {"name": notebook.name, "question": notebook.question, "minutes": notebook.minutes}
            cards.append(
                card | {"files": {kinds[file.suffix]: file.name for file in there}, **self.state(card["name"])}
            )
        measures, claims = self.tables()
        page = report.index_page(self.profile, cards, measures, claims, self._made_with(), self._elsewhere)
        write_text(self.folder / "index.html", page)
        return self.folder / "index.html"

    def tables(self):
        """What was measured and what was claimed; UsageError for a damaged file of results."""
        try:
            return noted(self.reports, self.profile)
        except ValueError as error:
            raise UsageError(str(error)) from error

    @functools.cached_property  # a run of this profile does not change what others gave
    def _elsewhere(self):
        """The verdicts of other profiles, by their last runs or the kept ones: {claim identity: {profile: verdict}}."""
        from course.publish.agreement import claims_of_profile

        verdicts = {}
        for profile in sorted(OTHERS - {self.profile}):
            try:
                claims = claims_of_profile(profile, self.reports, KEPT)
            except ValueError:  # damaged results of another profile are no reason to lose the report of this one
                continue
            for claim in claims:
                verdicts.setdefault(claim.identity, {})[profile] = claim.verdict
        return verdicts

    def _made_with(self):
        """Of the latest file of results."""
        made = {}  # when a file was written -> what it was made with
        for path in self.results.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed: started anew
                made[path.stat().st_mtime] = json.loads(path.read_text(encoding="utf-8")).get("made_with", {})
        return made[max(made)] if made else {}
