"""How far a run of several notebooks is: a line that is drawn again and again on a terminal, plain lines elsewhere.

The time left is the sum of what is expected of each, less what has gone: a bar that counts notebooks alone would stand
still through the longest of them.
"""

import sys
import time

COLOURS = {"ok": "green", "FAILED": "bold red", "stopped": "yellow"}


class Progress:
    """Progress over tasks that take about `expected` seconds each ({name: seconds}), `at_once` at the same time."""

    def __init__(self, expected: dict[str, float], at_once: int = 1, stream=None):
        self.left = dict(expected)
        self.at_once, self.stream = at_once, stream or sys.stderr
        self.began = time.monotonic()
        self.started, self.places = {}, {}
        self._bar = _bar(len(expected), self.stream) if self.stream.isatty() else None

    def start(self, name: str) -> None:
        self.started[name] = time.monotonic()
        if self._bar is None:
            self._say("start", name)

    def reach(self, name: str, step: int, of: int) -> None:
        """Task `name` is at `step` of so many."""
        self.places[name] = f"{name} cell {step} of {of}"

    def end(self, name: str, word: str, seconds: float, text: str = "") -> None:
        """Task `name` is over: `word` says how, `text` why."""
        self.left[name] = 0
        self.started.pop(name, None)
        self.places.pop(name, None)
        self._say(word, f"{name}  {clock(seconds)}  {text}".rstrip())
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])

    def draw(self) -> None:
        """Draw the line anew; nothing where there is no terminal."""
        if self._bar is None:
            return
        now = time.monotonic()
        left = sum(max(0, seconds - (now - self.started.get(name, now))) for name, seconds in self.left.items())
        times = f"{clock(now - self.began)} elapsed, about {clock(left / self.at_once)} left"
        self._bar.update(self._bar.task_ids[0], times=times, places=", ".join(self.places.values()))
        self._bar.refresh()

    def close(self) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, word, text):
        """A line that stays. One write for each, since tasks start in threads."""
        if self._bar is None:
            self.stream.write(f"{word:<8} {text}\n")
            self.stream.flush()
        else:
            from rich.text import Text

            line = Text.assemble((f"{word:<8}", COLOURS.get(word, "")), f" {text}")
            self._bar.console.print(line, soft_wrap=True)


def _bar(total, stream):
    """rich's bar on a terminal, drawn only when asked to."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(12),
        MofNCompleteColumn(" of "),
        TextColumn("{task.fields[times]}", markup=False),
        TextColumn("{task.fields[places]}", markup=False),
    )
    console = Console(file=stream, force_terminal=True)
    bar = Bar(*columns, console=console, auto_refresh=False, transient=True)
    bar.add_task("", total=total, times="", places="")
    bar.start()
    return bar


def clock(seconds: float) -> str:
    """Minutes and seconds, hours where there are any.

    >>> clock(75), clock(3661)
    ('1:15', '1:01:01')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
