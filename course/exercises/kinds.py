"""What an answer may be, and how it is judged: Value, Function, Construction, Prediction.

Each has the data a student gets (`draw`) and a text of what is `expected`. A wrong answer of a usual kind is a *slip*:
`slips` maps the hint for it to what gives that wrong answer. A right answer is told the `moral`.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .comparing import alike, as_array, described


class NotYet(AssertionError):
    """An answer that is missing or wrong: a notebook shows its text without a traceback, nbgrader sees an error."""

    def _render_traceback_(self):
        return [str(self)]


@dataclass(frozen=True)
class Wrong:
    """What is told about a wrong answer."""

    expected: str
    came: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """What all kinds have: draw(rng) gives a tuple, the student's data."""

    title: str
    draw: Callable
    expected: str = ""
    moral: str = ""
    slips: Mapping[str, Callable] = field(default_factory=dict)
    tolerance: float = 1e-4

    def judge(self, answer, data) -> Wrong | None:
        """None for a right answer."""
        raise NotImplementedError

    def tells_apart(self, data) -> bool:
        """Whether on these data each slip gives another answer than the right one, and than each other slip."""
        return True

    def shown(self, data):
        """What of the data a student is given: all of it."""
        return data


@dataclass(frozen=True, kw_only=True)
class Value(Exercise):
    """A number, an array, a word or a dict of these: right(*data), or a slip's wrong answer, slip(*data)."""

    right: Callable

    def judge(self, answer, data):
        right = self.right(*copy.deepcopy(data))
        if alike(answer, right, self.tolerance):
            return None
        for hint, slip in self.slips.items():
            if alike(answer, slip(*copy.deepcopy(data)), self.tolerance):
                return Wrong(self.expected, described(answer), hint)
        return Wrong(self.expected, described(answer), _shape_hint(answer, right))

    def tells_apart(self, data):
        answers = [self.right(*copy.deepcopy(data)), *(slip(*copy.deepcopy(data)) for slip in self.slips.values())]
        return _all_differ(answers, self.tolerance)

    def wrong_answers(self, data):
        """{hint: the wrong answer that earns it}, for tests."""
        return {hint: slip(*copy.deepcopy(data)) for hint, slip in self.slips.items()}


@dataclass(frozen=True, kw_only=True)
class Function(Exercise):
    """A function of the student's, called on several cases: draw gives a tuple of them, each a tuple of arguments.

    `right` and each slip are functions of the same arguments. The student is shown the first case.
    """

    right: Callable

    def judge(self, answer, data):
        if not callable(answer):
            return Wrong(self.expected or "a function", described(answer))
        came = [answer(*copy.deepcopy(case)) for case in data]
        rights = self._of(self.right, data)
        wrong = [i for i, pair in enumerate(zip(came, rights, strict=True)) if not alike(*pair, self.tolerance)]
        if not wrong:
            return None
        first = wrong[0]
        names = _names(answer, len(data[first])) or _names(self.right, len(data[first]))
        given = ", ".join(f"{name} = {described(value)}" for name, value in zip(names, data[first], strict=True))
        hint = next((hint for hint, slip in self.slips.items() if self._slipped(came, slip, data, first)), "")
        if not hint:
            missing = "Does your function return its result?" if came[first] is None else ""
            hint = missing or _shape_hint(came[first], rights[first])
        return Wrong(f"{described(rights[first])} for {given}", described(came[first]), hint)

    def tells_apart(self, data):
        every = [self._of(function, data) for function in (self.right, *self.slips.values())]  # lists of answers
        return not any(alike_all(a, b, self.tolerance) for place, a in enumerate(every) for b in every[:place])

    def shown(self, data):
        return data[0]

    def wrong_answers(self, data):
        """{hint: the wrong function that earns it}, for tests."""
        return dict(self.slips)

    def _slipped(self, came, slip, data, first):
        """Whether these are the slip's answers: that to case `first`, and all others that are no 0 divided by 0."""
        pairs = list(zip(came, self._of(slip, data), strict=True))
        return all(alike(*pair, self.tolerance) for i, pair in enumerate(pairs) if i == first or not _is_nan(pair[0]))

    @staticmethod
    def _of(function, cases):
        return [function(*copy.deepcopy(case)) for case in cases]


@dataclass(frozen=True, kw_only=True)
class Construction(Exercise):
    """Something with a property, of which there are many: problem(answer, *data) says what is wrong, or None.

    Each slip is a bad answer, slip(*data), whose problem is the hint.
    """

    problem: Callable

    def judge(self, answer, data):
        if answer is None:
            return Wrong(self.expected, described(answer))
        problem = self.problem(copy.deepcopy(answer), *copy.deepcopy(data))
        return Wrong(self.expected, described(answer), problem) if problem else None

    def wrong_answers(self, data):
        """{hint: the bad answer that earns it}, for tests."""
        return {hint: slip(*copy.deepcopy(data)) for hint, slip in self.slips.items()}


@dataclass(frozen=True, kw_only=True)
class Prediction(Exercise):
    """A guess made before a run, one of `options`: any of them counts, and is compared with what came afterwards."""

    options: tuple[str, ...]
    draw: Callable = field(default=lambda rng: ())

    def judge(self, answer, data):
        if answer in self.options:
            return None
        return Wrong("one of " + ", ".join(map(repr, self.options)), described(answer))

    def wrong_answers(self, data):
        """None: any option counts."""
        return {}


def alike_all(came, others, tolerance) -> bool:
    """Whether two lists of answers are alike, one by one."""
    return all(alike(a, b, tolerance) for a, b in zip(came, others, strict=True))


def _is_nan(answer):
    return isinstance(answer, float) and answer != answer


def _all_differ(answers, tolerance):
    return not any(alike(a, b, tolerance) for place, a in enumerate(answers) for b in answers[:place])


def _names(function, n):
    """The names of the first n arguments of a function, or none: of a built-in one, or one that has fewer."""
    try:
        names = list(inspect.signature(function).parameters)[:n]
    except ValueError:
        return []
    return names if len(names) == n else []


def _shape_hint(came, right):
    came, right = as_array(came), as_array(right)
    if came is None or right is None or came.shape == right.shape:
        return ""
    return f"Expected {_shape(right)}, got {_shape(came)}."


def _shape(array):
    return f"an array of shape {array.shape}" if array.ndim else "a single value"
