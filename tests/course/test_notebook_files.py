"""Values of parameters take the types of the literals in the notebook."""

import re

import nbformat
import pytest

from course import notebook_files


@pytest.mark.parametrize(
    ("literal", "value", "taken"),
    [
        ([0.2, 0.0], [1, 0.5], [1.0, 0.5]),
        ([], [["resnet18", 64]], [["resnet18", 64]]),
        ([1, 2], [], []),
        ([["resnet18", 64]], [["vgg16", 224, "max"], []], [["vgg16", 224, "max"], []]),
        (["", "unseen", 300], ["test", 20], ["test", 20]),
        ((("a", 1.0),), [["b", 2]], (("b", 2.0),)),
        ({"stem": 4, "widths": [8]}, {"stem": 8, "widths": [1, 2]}, {"stem": 8, "widths": [1, 2]}),
        ({"scratch": 3}, {"other": 4}, {"other": 4}),
        ([None, 1], ["any"], ["any"]),
    ],
)
def test_elements_take_the_types_of_the_literal(literal, value, taken):
    coerced = notebook_files.coerced("p", value, {"p": literal}, "here")
    assert repr(coerced) == repr(taken)


@pytest.mark.parametrize(
    ("literal", "value", "expected", "element"),
    [
        ([["resnet18", 64]], [["vgg16", 224.5]], "int or str", 224.5),
        ([["resnet18", 64]], ["vgg16", 224], "list", "vgg16"),
        ([1, 2], [[1, 2]], "int", [1, 2]),
        ([1, 2], [True], "int", True),
        ({"stem": 4, "widths": [8]}, {"stem": [8]}, "int", [8]),
        ({"scratch": 3}, {"other": "many"}, "int", "many"),
        ((1, 2), ["a"], "int", "a"),
    ],
)
def test_an_element_of_another_type_is_an_error_that_names_it(literal, value, expected, element):
    said = f"here: p: expected {expected} as in {literal!r}, got {value!r}, in which {element!r} is of another type"
    with pytest.raises(ValueError, match=re.escape(said)):
        notebook_files.coerced("p", value, {"p": literal}, "here")


def _notebook(prose, code, *outputs):
    cells = [nbformat.v4.new_markdown_cell(text) for text in prose] + [nbformat.v4.new_code_cell(code)]
    cells[-1].outputs = list(outputs)
    return nbformat.v4.new_notebook(cells=cells)


def test_prose_that_was_edited_since_the_run_is_kept_and_the_outputs_are_put_in():
    said = nbformat.v4.new_output("stream", name="stdout", text="3\n")
    source, executed = _notebook(["a better sentence", "one more"], "1 + 2"), _notebook(["a sentence"], "1 + 2", said)
    node, _ = notebook_files.with_outputs(source, executed, "quick")
    assert [cell.source for cell in node.cells] == ["a better sentence", "one more", "1 + 2"]
    assert [output.text for output in node.cells[-1].outputs] == ["3\n"]


def test_outputs_of_other_code_are_refused():
    with pytest.raises(ValueError, match="code differs"):
        notebook_files.with_outputs(_notebook([], "1 + 3"), _notebook([], "1 + 2"), "quick")
