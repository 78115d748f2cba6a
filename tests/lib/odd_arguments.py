"""Other forms of an argument, and whether a function of lib takes them right: what test_any_input.py judges by.

`forms_of(value)` gives the other forms of an argument: an array, a tensor, a table, a list of texts, a number, a word.
What says the same in another form (a list, a view, a tensor, a DataFrame) must give the same answer or be refused. NaN
and infinity in embeddings must be refused, but by what stands inside a training, which stops. The rest may be answered
or refused; any other exception, a bare assertion or a crash is a fault.
"""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import torch

REFUSALS = (ValueError, TypeError)


def _at_one_place(value):
    def form(array):
        if array.dtype.kind != "f" or not array.size:
            return None
        changed = array.copy()
        changed.flat[array.size // 2] = value
        return changed

    return form


def _in_pandas(array):
    return pd.DataFrame(array) if array.ndim == 2 else pd.Series(array) if array.ndim == 1 else None


def _in_torch(array):
    return torch.from_numpy(array.copy()) if array.dtype.kind in "fbiu" else None


def _read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


SAME = {
    "a list": lambda array: array.tolist(),
    "Fortran order": np.asfortranarray,
    "every second row of a larger one": lambda array: np.repeat(array, 2, axis=0)[::2],
    "backwards, backwards": lambda array: array[::-1].copy()[::-1],
    "read-only": _read_only,
    "float64": lambda array: array.astype(np.float64) if array.dtype == np.float32 else None,
    "int32": lambda array: array.astype(np.int32) if array.dtype == np.int64 else None,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")) if array.dtype.kind in "fi" else None,
    "a tensor": _in_torch,
    "pandas": _in_pandas,
}
NOT_FINITE = {"NaN": _at_one_place(np.nan), "infinity": _at_one_place(np.inf), "-infinity": _at_one_place(-np.inf)}
ODD = {
    "None": lambda array: None,
    "text": lambda array: "text",
    "a number": lambda array: 3,
    "a dict": lambda array: {"a": 1},
    "objects": lambda array: np.full(array.shape, None, object),
    "complex": lambda array: array.astype(complex) if array.dtype.kind in "fbiu" else None,
    "words": lambda array: np.full(array.shape, "日本 👟"),
    "NaN for all": lambda array: np.full(array.shape, np.nan),
    "no row": lambda array: array[:0],
    "one row": lambda array: array[:1],
    "a row less": lambda array: array[:-1],
    "a column less": lambda array: array[..., :-1] if array.ndim > 1 else None,
    "no column": lambda array: array[..., :0] if array.ndim > 1 else None,
    "an axis more": lambda array: array[None],
    "an axis less": lambda array: array[0] if array.ndim > 1 else None,
    "all zero": np.zeros_like,
    "all the same row": lambda array: np.repeat(array[:1], len(array), axis=0),
    "huge": lambda array: np.full_like(array, 3e38) if array.dtype.kind == "f" else None,
    "tiny": lambda array: np.full_like(array, 1e-42) if array.dtype.kind == "f" else None,
    "negative": lambda array: -array - 1 if array.dtype.kind in "fi" else None,
    "large integers": lambda array: np.full(array.shape, 2**62),
    "uint8": lambda array: array.astype(np.uint8) if array.dtype.kind in "fi" else None,
    "ragged": lambda array: [[1.0], [1.0, 2.0]],
}
FORMS = {**SAME, **NOT_FINITE, **ODD}
LARGE = ("a thousand millions", "2 to the 70", "large integers")
SCALARS = {
    "zero": 0,
    "minus one": -1,
    "a thousand millions": 10**9,
    "2 to the 70": 2**70,
    "a fraction": 1.5,
    "True": True,
    "None": None,
    "text": "3",
    "NaN": float("nan"),
    "infinity": float("inf"),
    "numpy's 2": np.int64(2),
    "an array": np.array([1, 2]),
}
WORDS = {"no letter": "", "unicode": "日本 👟", "markup": "<b>&", "a zero byte": "a\0b", "long": "x" * 5000}
SAME_LIST = {
    "a tuple": tuple,
    "an array of objects": lambda items: _objects(items),
    "a Series": lambda items: pd.Series(items, index=range(5, 5 + len(items)), dtype=object),
}
ODD_LIST = {
    "None": lambda items: None,
    "text": lambda items: "text",
    "a number": lambda items: 3,
    "a dict": lambda items: {"a": 1},
    "nothing": lambda items: [],
    "one": lambda items: items[:1],
    "one less": lambda items: items[:-1],
    "all the same": lambda items: items[:1] * len(items),
    "NaN among them": lambda items: [float("nan"), *items[1:]],
    "None among them": lambda items: [*items[:-1], None],
    "a number among them": lambda items: [3, *items[1:]],
    "a list among them": lambda items: [items, *items[1:]],
    "unicode": lambda items: ["日本 👟"] * len(items),
    "empty texts": lambda items: [""] * len(items),
    "numbers": lambda items: np.arange(len(items)),
}
SAME_TABLE = {
    "another index": lambda table: table.set_axis(range(5, 5 + len(table))),
    "an index of equals": lambda table: table.set_axis([7] * len(table)),
    "columns in another order": lambda table: table[list(table)[::-1]],
    "categories": lambda table: _as_type(table, object, "category"),
    "objects": lambda table: table.astype(object),
    "float32": lambda table: _as_type(table, "float", np.float32),
}
ODD_TABLE = {
    "None": lambda table: None,
    "text": lambda table: "text",
    "a number": lambda table: 3,
    "a list": lambda table: [1, 2],
    "an array": lambda table: table.to_numpy(),
    "a dict of lists": lambda table: table.to_dict("list"),
    "no row": lambda table: table[:0],
    "one row": lambda table: table[:1],
    "a row less": lambda table: table[:-1],
    "no column": lambda table: table[[]],
    "a column less": lambda table: table.iloc[:, 1:],
    "the last column less": lambda table: table.iloc[:, :-1],
    "a column twice": lambda table: pd.concat([table, table.iloc[:, :1]], axis=1),
    "all the same row": lambda table: table.iloc[[0] * len(table)],
    "missing in the first row": lambda table: _with_first_row(table, None),
    "NaN in the first row": lambda table: _with_first_row(table, np.nan),
    "infinity in the first row": lambda table: _with_first_row(table, np.inf),
    "unicode in the first row": lambda table: _with_first_row(table, "日本 👟"),
    "lists in the first row": lambda table: _with_first_row(table, [1]),
    "NaN for all": lambda table: pd.DataFrame(np.nan, table.index, table.columns),
    "zero for all": lambda table: pd.DataFrame(0, table.index, table.columns),
}


def _objects(items):
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _as_type(table, which, dtype):
    chosen = [name for name in table if pd.api.types.is_string_dtype(table[name])] if which is object else None
    chosen = list(table.select_dtypes(which)) if chosen is None else chosen
    return table.astype(dict.fromkeys(chosen, dtype)) if chosen else None


def _with_first_row(table, value):
    changed = table.astype(object)
    changed.iloc[0] = pd.Series([value] * changed.shape[1], index=changed.columns, dtype=object)
    return changed


def is_same(form, value):
    """Whether a form of this value says the same as the value itself."""
    same = SAME_TABLE if isinstance(value, pd.DataFrame) else SAME_LIST if isinstance(value, list) else SAME
    return form in same


def forms_of(value):
    """The other forms of an argument: {name: value}."""
    if isinstance(value, torch.Tensor):
        made = {}
        for name, form in forms_of(value.numpy()).items():
            is_array = isinstance(form, np.ndarray) and form.dtype.kind in "fbiu"
            native = is_array and form.dtype.isnative and all(stride >= 0 for stride in form.strides)
            made[name] = torch.from_numpy(form.copy()) if native else form
        return made
    for kind, makers in (
        (np.ndarray, FORMS), (list, {**SAME_LIST, **ODD_LIST}), (pd.DataFrame, {**SAME_TABLE, **ODD_TABLE}),
    ):  # fmt: skip
        if isinstance(value, kind):
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = {name: maker(value) for name, maker in makers.items()}
            return {name: form for name, form in made.items() if form is not None or name == "None"}
    return {**SCALARS, **WORDS} if isinstance(value, str) else dict(SCALARS)


def sizes_apart(argument, forms, costs_memory):
    """The forms without a count that would fill the memory."""
    return {name: form for name, form in forms.items() if argument not in costs_memory or name not in LARGE}


def plain(answer):
    """The numbers and words of an answer, in one list of arrays."""
    if isinstance(answer, torch.Tensor):
        return [answer.detach().cpu().numpy()]
    if isinstance(answer, pd.DataFrame):
        return [answer[name].to_numpy() for name in sorted(answer)]
    if isinstance(answer, pd.Series):
        return [answer.to_numpy()]
    if dataclasses.is_dataclass(answer):
        return plain(dataclasses.astuple(answer))
    if isinstance(answer, dict):
        return plain(list(answer.values()))
    if isinstance(answer, tuple | list):
        return [array for item in answer for array in plain(item)]
    return [np.asarray(answer)]


def are_alike(answer, expected):
    answers, wanted = plain(answer), plain(expected)
    if len(answers) != len(wanted):
        return False
    for a, b in zip(answers, wanted, strict=True):
        if a.shape != b.shape:
            return False
        numbers = a.dtype.kind in "fbiuc" and b.dtype.kind in "fbiuc"
        if not (np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True) if numbers else (a == b).all()):
            return False
    return True


def call(function, arguments, also_refused=()):
    """What it answers, or the refusal; any other exception is raised."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(**arguments), None
        except (*REFUSALS, *also_refused) as refusal:
            assert str(refusal).strip(), "a refusal without a word"
            return None, refusal
