"""How far a run is, on a terminal and in a log."""

import io
import re

from course.runner.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream):
    """The last line that a terminal shows, without the control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).replace("\r", "\n").strip().splitlines()[-1].strip()


def test_on_a_terminal_progress_is_one_line_with_both_times(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    progress = Progress({"00_good": 60, "01_other": 90}, stream=Terminal())
    progress.start("00_good")
    progress.reach("00_good", 2, 9)
    progress.draw()
    assert shown(progress.stream).endswith("0 of 2 0:00 elapsed, about 2:30 left 00_good cell 2 of 9")
    progress.end("00_good", "ok", 62)
    assert "00_good  1:02" in progress.stream.getvalue()
    progress.draw()
    assert shown(progress.stream).endswith("1 of 2 0:00 elapsed, about 1:30 left")
    progress.close()


def test_two_at_a_time_take_half_as_long(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    progress = Progress({"00_good": 60, "01_other": 60}, at_once=2, stream=Terminal())
    progress.draw()
    assert "about 1:00 left" in shown(progress.stream)
    progress.close()


def test_square_brackets_of_a_failure_are_shown_as_they_are(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    progress = Progress({"00_good": 60}, stream=Terminal())
    progress.end("00_good", "FAILED", 3, "cell [2] `x[bold]`: KeyError")
    assert "cell [2] `x[bold]`: KeyError" in progress.stream.getvalue()
    progress.close()


def test_progress_in_a_log_has_no_control_characters():
    progress = Progress({"00_good": 60}, stream=io.StringIO())
    progress.start("00_good")
    progress.draw()
    progress.end("00_good", "FAILED", 3, "cell [2] `1 / 0`: ZeroDivisionError")
    progress.close()
    said = progress.stream.getvalue()
    assert said == "start    00_good\nFAILED   00_good  0:03  cell [2] `1 / 0`: ZeroDivisionError\n"
