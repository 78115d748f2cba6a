"""How far a run of several notebooks is: one line on a terminal, drawn again and again; elsewhere a line at each end.

The time left is the sum of what is expected of each, less what has gone: a bar that counts notebooks alone would stand
still through the longest of them.

Needs the standard library. Copy this file alone and it works.
"""

import shutil
import sys
import time

__all__ = ["Progress", "clock"]


class Progress:
    """Progress over tasks that take about `expected` seconds each ({name: seconds}), `at_once` at the same time."""

    def __init__(self, expected: dict[str, float], at_once: int = 1, stream=None):
        self.left = dict(expected)
        self.at_once, self.stream = at_once, stream or sys.stderr
        self.live = self.stream.isatty()
        self.began = time.monotonic()
        self.started, self.places, self.done = {}, {}, 0

    def start(self, name: str) -> None:
        self.started[name] = time.monotonic()
        if not self.live:
            self.say(f"start    {name}")

    def reach(self, name: str, step: int, of: int) -> None:
        """Task `name` is at `step` of so many."""
        self.places[name] = f"{name} cell {step} of {of}"

    def end(self, name: str, word: str, seconds: float, text: str = "") -> None:
        """Task `name` is over: `word` says how, `text` why."""
        self.done += 1
        self.left[name] = 0
        self.started.pop(name, None)
        self.places.pop(name, None)
        self.say(f"{word:<8} {name}  {clock(seconds)}  {text}".rstrip())

    def say(self, text: str) -> None:
        """A line that stays. One write for each, since tasks start in threads."""
        self.stream.write(f"\r\x1b[K{text}\n" if self.live else f"{text}\n")
        self.stream.flush()

    def draw(self) -> None:
        """Draw the line anew; nothing where there is no terminal."""
        if not self.live:
            return
        now = time.monotonic()
        left = sum(max(0, seconds - (now - self.started.get(name, now))) for name, seconds in self.left.items())
        bar = ("#" * round(12 * self.done / max(1, len(self.left)))).ljust(12, ".")
        times = f"{clock(now - self.began)} gone, about {clock(left / self.at_once)} left"
        line = f"[{bar}] {self.done} of {len(self.left)}  {times}  {', '.join(self.places.values())}"
        self.stream.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        self.stream.flush()

    def close(self) -> None:
        """Take the line away."""
        if self.live:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def clock(seconds: float) -> str:
    """Minutes and seconds, hours where there are any.

    >>> clock(75), clock(3661)
    ('1:15', '1:01:01')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
