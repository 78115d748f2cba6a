"""Exercises: solutions pass, stubs do not, usual slips get their hint, and nbgrader takes the notebooks as they are."""

import contextlib
import copy
import doctest
import io
import json
import os
import pickle
import re
import shutil
import sys
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from toys import call

from course import ROOT, notebook_files
from course.exercises import NotYet, begin, comparing, generate, kinds
from course.exercises.comparing import alike, described
from course.exercises.judging import LEAK, rows_problem
from course.exercises.sheet import Sheet
from course.runner.plan import find

matplotlib.use("Agg")
FOLDER = ROOT / "notebooks"
SOLUTIONS = sorted((FOLDER / "solutions").glob("*.ipynb"))
STUDENTS = [("your name", 0), ("Ada Lovelace", 2027)]

every_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
every_sheet = pytest.mark.parametrize("name", [path.stem for path in SOLUTIONS])


def run(notebook, student="your name", seed=0, stop=True):
    """Run the code cells here, without a kernel: what was printed, and {cell: its NotYet or NotImplementedError}."""
    space, said, problems = {"__name__": "__main__"}, io.StringIO(), {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        source = generate.SEED.sub(f"seed = {seed}", cell.source).replace('"your name"', repr(student))
        try:
            with contextlib.redirect_stdout(said), warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                exec(compile(source, f"{cell.id}", "exec"), space)
        except (NotYet, NotImplementedError) as error:
            problems[cell.id] = error
            if stop:
                raise
        except NameError:  # in a stub: the cell before it could not run
            if stop:
                raise
    plt.close("all")
    return said.getvalue(), problems


def of_kind(notebook, kind):
    return [cell for cell in notebook.cells if kind(cell.metadata.get("nbgrader", {}))]


def one_line(told):
    return " ".join(str(told.value).split())


# ------------------------------------------------------------------------------------------------- every notebook


def test_every_notebook_has_exercises():
    names = {path.name for path in SOLUTIONS}
    assert {path.name for path in find(FOLDER)} <= names
    assert {path.name for path in (FOLDER / "exercises").glob("*.ipynb")} == names


def test_the_runner_leaves_exercises_and_solutions_alone():
    assert {path.parent for path in find(FOLDER)} == {FOLDER}


@every_solution
def test_exercises_are_what_the_command_writes_now(path):
    written = (FOLDER / "exercises" / path.name).read_text(encoding="utf-8")
    assert written == notebook_files.to_text(generate.exercise(notebook_files.read(path))), "run: course exercises"


@every_solution
def test_a_solution_has_no_outputs_and_links_to_its_notebook(path):
    notebook = notebook_files.read(path)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert notebook_files.question(notebook).startswith("Exercises: ")
    assert f"](../{path.name})" in notebook.cells[0].source


@every_solution
def test_there_are_three_to_six_exercises_each_with_a_check_and_points(path):
    notebook = notebook_files.read(path)
    n = len(Sheet(path.stem, "your name", 0).exercises)
    checks = of_kind(notebook, lambda about: about.get("grade") and not about["solution"])
    assert [cell.id for cell in checks] == [f"check-{i}" for i in range(1, n + 1)]
    assert all(f"exercises.check({i}, " in cell.source for i, cell in enumerate(checks, 1))
    assert 3 <= n <= 6
    headings = re.findall(r"^## (\d)\. .* \((.*)\)$", "\n".join(cell.source for cell in notebook.cells), re.MULTILINE)
    levels = [level for _, level in headings]
    assert [int(number) for number, _ in headings] == list(range(1, len(headings) + 1))
    assert (
        {"easy", "open", "predict first"}
        <= set(levels)
        <= {"easy", "medium", "harder", "open", "predict first", "in words"}
    )


@every_solution
@pytest.mark.parametrize(("student", "seed"), STUDENTS)
def test_solutions_pass_every_check(path, student, seed):
    notebook = notebook_files.read(path)
    said, _ = run(notebook, student, seed)
    n_checks = len(of_kind(notebook, lambda about: about.get("grade") and not about["solution"]))
    assert len(re.findall(r"^(?:Right\. Exercise|Noted:)", said, re.MULTILINE)) == n_checks
    assert said.count("That is what came.") == said.count("You expected") == said.count("Noted:") > 0


class LastOfEqualsFirst:
    """numpy, but argsort puts the last of equal values first: as another machine's sort may."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def argsort(values, axis=-1, **how):
        return np.shape(values)[axis] - 1 - np.argsort(np.flip(values, axis), axis, kind="stable")


@every_solution
@pytest.mark.parametrize(("student", "seed"), STUDENTS)
def test_a_right_answer_does_not_hang_on_the_order_of_equal_values(path, student, seed):
    notebook = notebook_files.read(path)
    for cell in notebook.cells:
        if cell.id == "setup":
            cell.source += f"\nfrom {__name__} import LastOfEqualsFirst\n\nnp = LastOfEqualsFirst()"
    assert run(notebook, student, seed)[1] == {}


def test_a_slip_that_divides_0_by_0_where_another_form_of_it_gives_0_earns_its_hint():
    def over_hits(relevance, n_relevant):
        precisions = np.cumsum(relevance) / np.arange(1, len(relevance) + 1)
        with np.errstate(invalid="ignore"):
            return precisions[relevance].sum() / relevance.sum()

    with pytest.raises(NotYet) as told:
        Sheet("00_metrics", "your name", 0).check(1, over_hits)
    assert "Your divisor is the number of relevant answers in the list." in one_line(told)


@every_solution
def test_stubs_pass_no_check_and_are_told_that_the_answer_is_missing(path):
    notebook = generate.exercise(notebook_files.read(path))
    _, problems = run(notebook, stop=False)
    for cell in of_kind(notebook, lambda about: about.get("grade") and not about["solution"]):
        assert isinstance(problems[cell.id], NotYet)
        assert "missing" in str(problems[cell.id]) or "nothing yet" in str(problems[cell.id])
    assert all(isinstance(problems[cell.id], NotYet) for cell in notebook.cells if cell.id.startswith("compare"))
    for cell in of_kind(notebook, lambda about: about.get("solution")):
        stub = {"code": "raise NotImplementedError()", "markdown": "YOUR ANSWER HERE"}[cell.cell_type]
        assert stub in cell.source and "SOLUTION" not in cell.source


@every_sheet
@pytest.mark.parametrize(("student", "seed"), STUDENTS)
def test_each_usual_slip_earns_its_own_hint(name, student, seed):
    sheet = Sheet(name, student, seed)
    for number, exercise in enumerate(sheet.exercises, start=1):
        wrong_answers = exercise.wrong_answers(sheet.drawn(number))
        assert len(wrong_answers) >= (
            0 if isinstance(exercise, kinds.Prediction) else 1 if isinstance(exercise, kinds.Construction) else 3
        )
        for hint, wrong in wrong_answers.items():
            with pytest.raises(NotYet) as told:
                sheet.check(number, wrong)
            assert f"hint: {hint}" in one_line(told)


@every_sheet
def test_a_wrong_value_is_told_what_was_expected_without_the_answer(name):
    sheet = Sheet(name, "your name", 0)
    for number, exercise in enumerate(sheet.exercises, start=1):
        if not isinstance(exercise, kinds.Value):
            continue
        right = exercise.right(*copy.deepcopy(sheet.drawn(number)))
        for wrong in (None, -12345.678, "no such answer", np.full((2, 3), -9.0)):
            with pytest.raises(NotYet) as told:
                sheet.check(number, wrong)
            assert f"expected: {exercise.expected}" in one_line(told) and f"got: {described(wrong)}" in one_line(told)
            assert described(right) not in one_line(told).replace(described(wrong), "")


@every_sheet
def test_another_seed_or_name_gives_other_data_and_another_right_answer(name):
    sheets = [Sheet(name, student, seed) for student, seed in [("Ada", 0), ("Ada", 1), ("Grace", 0), ("Grace", 3)]]
    for number, exercise in enumerate(sheets[0].exercises, start=1):
        data = [sheet.drawn(number) for sheet in sheets]
        if data[0]:  # a prediction may need none
            assert len(set(map(pickle.dumps, data))) > 1
        if isinstance(exercise, kinds.Value):
            rights = [exercise.right(*copy.deepcopy(each)) for each in data]
            assert not all(alike(rights[0], right, exercise.tolerance) for right in rights[1:])


@every_sheet
def test_the_same_student_gets_the_same_data_again_however_the_name_is_typed(name):
    first, again = Sheet(name, "Ada Lovelace", 4), Sheet(name, " ada lovelace ", 4)
    for number in range(1, len(first.exercises) + 1):
        assert pickle.dumps(first.drawn(number)) == pickle.dumps(again.drawn(number))


# ------------------------------------------------------------------------------------------------------ the checks


def test_a_student_may_change_what_was_given_without_changing_the_check():
    exercises = Sheet("00_metrics", "Ada", 0)
    embeddings, labels = exercises.data(2)
    before = exercises.exercises[1].right(*exercises.drawn(2))
    embeddings[:], labels[:] = 0, 0
    assert exercises.exercises[1].right(*exercises.drawn(2)) == before
    assert not (exercises.data(2)[0] == 0).all()


def test_a_function_that_changes_its_arguments_is_judged_on_fresh_copies():
    exercises = Sheet("00_metrics", "Ada", 0)

    def average_precision(relevance, n_relevant):
        ranks = np.flatnonzero(relevance) + 1
        relevance[:] = False
        return float((np.arange(1, len(ranks) + 1) / ranks).sum() / n_relevant)

    exercises.check(1, average_precision)
    exercises.check(1, average_precision)


def test_a_wrong_function_is_shown_a_case_with_what_was_expected_and_what_came(capsys):
    exercises = begin("00_metrics", "Ada", 0)
    with pytest.raises(NotYet) as told:
        exercises.check(1, lambda relevance, n_relevant: 0.25)
    assert "relevance = [True, False, True, True, False], n_relevant = 5" in one_line(told)
    assert f"expected: {(1 + 2 / 3 + 3 / 4) / 5:.4f}" in one_line(told) and "got: 0.25" in one_line(told)


def test_a_function_without_return_and_one_of_another_shape_are_told_so():
    exercises = Sheet("05_masked_retrieval", "Ada", 0)
    with pytest.raises(NotYet, match="Does your function return its result"):
        exercises.check(1, lambda predicted, true: None)
    with pytest.raises(NotYet, match=r"Expected an array of shape \(1,\), got an array of shape \(1, 3, 3\)"):
        exercises.check(1, lambda predicted, true: predicted & true)


def test_an_error_in_the_students_function_is_shown_as_it_is():
    def careless(relevance, n_relevant):
        return relevance["no such key"]

    with pytest.raises(IndexError):
        Sheet("00_metrics", "Ada", 0).check(1, careless)


def test_any_option_counts_as_a_prediction_and_nothing_else_does(capsys):
    exercises = Sheet("00_metrics", "Ada", 0)
    for option in exercises.options(3):
        exercises.check(3, option)
    with pytest.raises(NotYet, match="one of 'it falls'"):
        exercises.check(3, "it depends")
    capsys.readouterr()
    exercises.compare(3, "it falls", "it rises")
    assert "You expected 'it falls'. What came: 'it rises'." in capsys.readouterr().out
    for early in (lambda: exercises.require(3, None), lambda: exercises.compare(3, None, "it rises")):
        with pytest.raises(NotYet, match="Make your prediction first"):
            early()
    with pytest.raises(ValueError, match="expected one of 'it falls'"):
        exercises.compare(3, "it falls", "something else")


def test_a_notebook_shows_what_is_not_yet_right_without_a_traceback():
    assert NotYet("Not yet.")._render_traceback_() == ["Not yet."]
    assert issubclass(NotYet, AssertionError)  # nbgrader counts it as a check that failed


@pytest.mark.parametrize("number", [0, 6, "1", None])
def test_an_exercise_that_does_not_exist_is_named(number):
    with pytest.raises(ValueError, match="expected an exercise from 1 to 5"):
        Sheet("00_metrics", "Ada", 0).data(number)


def test_data_on_which_a_slip_is_right_are_drawn_again():
    drawn = []

    def draw(rng):
        drawn.append(len(drawn))
        return (drawn[-1],)

    sheet = Sheet("00_metrics", "Ada", 0)
    never_below_three = kinds.Value(title="", draw=draw, right=lambda n: n, slips={"": lambda n: max(n, 3) + (n > 2)})
    sheet.exercises = (never_below_three,)
    assert sheet.drawn(1) == (0,)  # 0 against 3
    sheet._data, drawn[:] = {}, [0, 1, 2]
    sheet.exercises = (kinds.Value(title="", draw=draw, right=lambda n: n, slips={"": lambda n: max(n, 5)}),)
    assert sheet.drawn(1) == (3,)
    sheet._data = {}
    sheet.exercises = (kinds.Value(title="", draw=draw, right=lambda n: n, slips={"": lambda n: n}),)
    with pytest.raises(RuntimeError, match="draws do not tell slips apart"):
        sheet.drawn(1)


def test_a_function_that_learns_from_what_is_searched_is_found_out():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    assert rows_problem(lambda some: some * 2, rows) is None
    assert rows_problem(lambda some: some - some.mean(axis=0), rows) == LEAK
    assert "got an array of shape (3, 40)" in rows_problem(lambda some: some.T, rows)
    assert "not finite" in rows_problem(lambda some: some * np.nan, rows)
    assert "return" in rows_problem(lambda some: None, rows)


def test_answers_are_alike_up_to_rounding_and_type():
    assert alike(np.float32(1 / 3), 1 / 3) and alike(np.array([1.0, np.nan]), [1, np.nan])
    assert alike({"a": 1, "b": [1.0]}, {"b": np.array([1]), "a": 1.0}) and not alike({"a": 1}, {"a": 1, "b": 2})
    assert not alike(0.33, 1 / 3) and not alike([[1, 2]], [1, 2]) and not alike([1, [2, 3]], [1, 2])
    assert not alike("1", 1) and not alike(1, "1") and not alike(None, 0) and not alike(print, 0)
    assert alike(["a", "b"], np.array(["a", "b"]))


# --------------------------------------------------------------------------------------------------- the generator


def test_doctests():
    assert doctest.testmod(comparing).failed == doctest.testmod(generate).failed == 0


def toy_solution(**changes):
    """A solution notebook of a locked seed, an answer and a check."""
    cells = []
    parts = {
        "setup": ("seed = 0\nanswer = None", {"locked": True, "solution": False, "grade": False}),
        "answer": (
            "### BEGIN SOLUTION\nanswer = 1\n### END SOLUTION",
            {"locked": False, "solution": True, "grade": False},
        ),
        "check": ("assert answer == 1", {"locked": True, "solution": False, "grade": True, "points": 1}),
    }
    for name, (source, about) in parts.items():
        source, more = changes.get(name, (source, {}))
        about = {"grade_id": name, "schema_version": 3, "task": False} | about | more
        cells.append(nbformat.v4.new_code_cell(source, id=name, metadata={"nbgrader": about}))
    return nbformat.v4.new_notebook(cells=cells)


def test_a_stub_stands_in_place_of_an_answer_and_the_seed_in_the_locked_cell():
    made = generate.exercise(toy_solution(), seed=12)
    assert [cell.source for cell in made.cells] == [
        "seed = 12\nanswer = None",
        "# YOUR CODE HERE\nraise NotImplementedError()",
        "assert answer == 1",
    ]
    assert [(cell.metadata.get("editable"), cell.metadata.deletable) for cell in made.cells] == [
        (False, False),
        (None, False),
        (False, False),
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"answer": ("### BEGIN SOLUTION\nanswer = 1", {})}, "answer: 1 times BEGIN SOLUTION, 0 times END SOLUTION"),
        ({"check": ("### BEGIN SOLUTION\n### END SOLUTION", {})}, "check: a solution in a cell"),
        ({"check": ("1", {"points": 0})}, "check: is graded without points"),
        ({"check": ("1", {"locked": False})}, "check: a check that students could edit"),
        ({"check": ("1", {"grade_id": "answer"})}, "grade_id 'answer' occurs more than once"),
        ({"setup": ("answer = None", {})}, "expected one locked cell that sets `seed`"),
        ({"setup": ("seed = 0", {"locked": False})}, "expected one locked cell that sets `seed`"),
    ],
)
def test_what_nbgrader_would_stumble_over_is_named(changes, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        generate.exercise(toy_solution(**changes))


def test_the_command_writes_exercises_or_the_source_of_an_nbgrader_course(tmp_path):
    (tmp_path / "solutions").mkdir()
    shutil.copy(FOLDER / "solutions" / "00_metrics.ipynb", tmp_path / "solutions")
    status, said = call("exercises", "--notebooks", tmp_path, "--seed", 5)
    assert status == 0 and "00_metrics.ipynb" in said
    text = (tmp_path / "exercises" / "00_metrics.ipynb").read_text()
    assert "seed = 5" in text and "BEGIN SOLUTION" not in text
    status, _ = call("exercises", "--notebooks", tmp_path, "--seed", 5, "--nbgrader", tmp_path / "nbgrader")
    text = (tmp_path / "nbgrader" / "source" / "00_metrics" / "00_metrics.ipynb").read_text()
    assert status == 0 and "seed = 5" in text and "BEGIN SOLUTION" in text


def test_the_command_names_what_it_cannot_do(tmp_path):
    (tmp_path / "solutions").mkdir()
    assert call("exercises", "--notebooks", tmp_path)[0] == 2
    nbformat.write(toy_solution(check=("1", {"points": 0})), tmp_path / "solutions" / "00_toy.ipynb")
    status, said = call("exercises", "--notebooks", tmp_path)
    assert status == 2 and "00_toy.ipynb: check: is graded without points" in said
    assert call("exercises", "--notebooks", tmp_path, "--only", "07")[0] == 2
    assert call("exercises", "--notebooks", tmp_path, "--seed", "-1")[0] == 2


# -------------------------------------------------------------------------------------------------------- nbgrader


@pytest.fixture(scope="module")
def nbgrader_course(tmp_path_factory):
    """A course in which one assignment was released, handed in by four students and graded: (folder, grades)."""
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    folder, name = tmp_path_factory.mktemp("nbgrader"), "00_metrics"
    assert call("exercises", "--seed", 11, "--only", "00", "--nbgrader", folder)[0] == 0
    api = NbGraderAPI(coursedir=CourseDirectory(root=str(folder), course_id="retrieval"))
    with pytest.MonkeyPatch.context() as patch:  # as in an environment that is activated: nbgrader starts alembic
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        released = api.generate_assignment(name)
        assert released["success"], released["log"]
        solved, stub = ((folder / part / name / f"{name}.ipynb").read_text() for part in ("source", "release"))
        solved = solved.replace("your name", "Ada")
        handed_in = {
            "ada": solved,
            "bob": stub,
            "cleo": solved.replace("return total / n_relevant", "return total / max(hits, 1)"),  # the wrong divisor
            "dan": stub.replace("exercises.check(1, average_precision)", "print('Right.')"),  # an edited check
        }
        for student, text in handed_in.items():
            (folder / "submitted" / student / name).mkdir(parents=True)
            (folder / "submitted" / student / name / f"{name}.ipynb").write_text(text)
            graded = api.autograde(name, student)
            assert graded["success"], graded["log"]
        with api.gradebook as book:
            grades = {
                student: {
                    grade.name: (grade.auto_score, grade.max_score)
                    for grade in book.find_submission_notebook(name, name, student).grades
                }
                for student in handed_in
            }
    return folder, grades


@pytest.mark.slow
@pytest.mark.end_to_end
def test_nbgrader_releases_what_the_command_writes(nbgrader_course):
    folder, _ = nbgrader_course
    released = nbformat.read(folder / "release" / "00_metrics" / "00_metrics.ipynb", as_version=4)
    ours = generate.exercise(notebook_files.read(FOLDER / "solutions" / "00_metrics.ipynb"), seed=11)
    assert [cell.source for cell in released.cells] == [cell.source for cell in ours.cells]
    for theirs, cell in zip(released.cells, ours.cells, strict=True):
        about = {
            key: value
            for key, value in theirs.metadata.get("nbgrader", {}).items()
            if key not in ("checksum", "cell_type")
        }
        assert json.loads(json.dumps({**theirs.metadata, "nbgrader": about})) == {
            **cell.metadata,
            "nbgrader": cell.metadata.get("nbgrader", {}),
        }


@pytest.mark.slow
@pytest.mark.end_to_end
def test_nbgrader_gives_the_points_for_right_answers_and_none_for_stubs_and_slips(nbgrader_course):
    _, grades = nbgrader_course
    checks = [name for name in grades["ada"] if name.startswith("check")]
    assert all(grades["ada"][name][0] == grades["ada"][name][1] > 0 for name in checks)
    assert all(grades["bob"][name][0] == 0 for name in checks)
    assert [name for name in checks if grades["cleo"][name][0] == 0] == ["check-1"]
    assert grades["ada"]["written-6"][0] is None  # a person grades it


@pytest.mark.slow
@pytest.mark.end_to_end
def test_nbgrader_puts_an_edited_check_back(nbgrader_course):
    folder, grades = nbgrader_course
    graded = nbformat.read(folder / "autograded" / "dan" / "00_metrics" / "00_metrics.ipynb", as_version=4)
    check = next(cell for cell in graded.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "check-1")
    assert check.source == "exercises.check(1, average_precision)" and grades["dan"]["check-1"][0] == 0
