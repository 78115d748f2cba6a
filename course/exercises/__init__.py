"""Exercises that check themselves: what the notebooks in notebooks/exercises import, and the command that writes them.

from course.exercises import begin
exercises = begin("00_metrics", "Ada", seed=0)   # this student's data
relevance, n_relevant = exercises.data(1)
exercises.check(1, average_precision)            # says right, or what was expected and what came

kinds.py      Value, Function, Construction, Prediction: what an answer may be, and how it is judged
sheet.py      begin, Sheet: the exercises of one notebook for one student
comparing.py  alike, described: is it the same answer, and how is it shown
chapters/     one module a notebook: the data, the right answer by a route of its own, the usual slips
generate.py   `python -m course exercises`: notebooks/solutions -> notebooks/exercises, or nbgrader's source folder
"""

from .kinds import NotYet
from .sheet import Sheet, begin

__all__ = ["NotYet", "Sheet", "begin"]
