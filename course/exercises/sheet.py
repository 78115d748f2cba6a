"""The exercises of one notebook for one student: other names and other seeds get other data."""

import copy
import hashlib
import importlib
import textwrap

import numpy as np

from .comparing import described
from .kinds import NotYet

PLACEHOLDER = "your name"
N_DRAWS = 200  # data on which a slip would give the right answer are drawn again, so often at most


class Sheet:
    """The exercises of a notebook, numbered from 1, with the data of one student.

    The data of each exercise come from a digest of the notebook, the exercise, the student's name and the teacher's
    seed: the same four always give the same data. Data on which one of the usual slips gives the right answer are
    drawn again.
    """

    def __init__(self, notebook: str, student: str, seed: int):
        self.notebook, self.student, self.seed = notebook, student, seed
        name = notebook.partition("_")[2]
        self.exercises = importlib.import_module(f"course.exercises.chapters.{name}").EXERCISES
        self._data = {}

    def data(self, number: int):
        """What this student is given for an exercise: one array or a tuple of them, a fresh copy each time."""
        exercise = self._exercise(number)
        shown = copy.deepcopy(exercise.shown(self.drawn(number)))
        return shown[0] if len(shown) == 1 else shown

    def check(self, number: int, answer) -> None:
        """Say that an answer is right; NotYet with what was expected, what came and, for a usual slip, a hint."""
        exercise = self._exercise(number)
        try:
            wrong = exercise.judge(answer, self.drawn(number))
        except NotImplementedError:
            raise NotYet(f"Not yet. Exercise {number}: {exercise.title}\n  The answer is still missing.") from None
        if wrong:
            told = {"expected": wrong.expected, "got": wrong.came, "hint": wrong.hint}
            lines = [_wrapped(text, f"  {name + ':':<10}") for name, text in told.items() if text]
            raise NotYet("\n".join([f"Not yet. Exercise {number}: {exercise.title}", *lines]))
        if hasattr(exercise, "options"):
            print(f"Noted: {answer!r}. Run on to see what comes.")
        else:
            print(f"Right. Exercise {number}: {exercise.title}" + _moral(exercise))

    def options(self, number: int) -> tuple[str, ...]:
        """What a prediction may be."""
        return self._exercise(number).options

    def require(self, number: int, prediction) -> None:
        """Stop before a run whose outcome was to be predicted first."""
        if prediction not in self.options(number):
            raise NotYet(f"Not yet. Exercise {number}: {self._exercise(number).title}\n  Make your prediction first.")

    def compare(self, number: int, prediction, measured) -> None:
        """Say whether a prediction came true, and why it came as it did."""
        exercise = self._exercise(number)
        self.require(number, prediction)
        if measured not in exercise.options:
            raise ValueError(f"expected one of {', '.join(map(repr, exercise.options))}, got {measured!r}")
        came_true = "That is what came." if prediction == measured else f"What came: {measured!r}."
        print(f"You expected {described(prediction)}. {came_true}" + _moral(exercise))

    def drawn(self, number: int) -> tuple:
        """All data of an exercise, those of the check included."""
        if number not in self._data:
            exercise, rng = self._exercise(number), np.random.default_rng(self._digest(number))
            for _ in range(N_DRAWS):
                data = exercise.draw(rng)
                if exercise.tells_apart(data):
                    break
            else:
                raise RuntimeError(f"{self.notebook}, exercise {number}: {N_DRAWS} draws do not tell slips apart")
            self._data[number] = data
        return self._data[number]

    def _exercise(self, number):
        if not (isinstance(number, int) and 1 <= number <= len(self.exercises)):
            raise ValueError(f"expected an exercise from 1 to {len(self.exercises)}, got {number!r}")
        return self.exercises[number - 1]

    def _digest(self, number):
        text = f"{self.notebook}\n{number}\n{self.student.strip().casefold()}\n{self.seed}"
        return list(hashlib.sha256(text.encode()).digest())


def _wrapped(text, head):
    """Text in lines of at most 100 letters behind a head, as far indented."""
    return textwrap.fill(text, 100, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False)


def _moral(exercise):
    return f"\n{_wrapped(exercise.moral, '')}" if exercise.moral else ""


def begin(notebook: str, student: str, seed: int = 0) -> Sheet:
    """The exercises of a notebook, such as "00_metrics", for a student; says whose data they are."""
    sheet = Sheet(notebook, student, seed)
    print(f"{len(sheet.exercises)} exercises of {notebook}, with the data of {student!r} (seed {seed}).")
    if student.strip().casefold() == PLACEHOLDER:
        print("Put your own name into `student` first: your data, and so your answers, depend on it.")
    return sheet
