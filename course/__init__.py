"""What runs the course and publishes what it gave: `python -m course --help`. It imports lib; lib never imports it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class UsageError(Exception):
    """The command cannot be carried out as it was given: its text is shown as one sentence, and the status is 2."""
