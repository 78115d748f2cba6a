"""Is it the same answer, and how is an answer shown in one line?"""

import numpy as np


def alike(came, right, tolerance=1e-4) -> bool:
    """Whether two answers are equal: numbers and arrays of one shape up to `tolerance`, relative or absolute.

    Texts, sets and truth values must be equal, the values of a dict and the elements of a list each alike. NaN equals
    NaN. Tensors count as arrays.

    >>> alike(0.5000001, 0.5), alike([1, 2], (1.0, 2.0)), alike([1, 2], [[1, 2]]), alike("a", "b")
    (True, True, False, False)
    """
    if isinstance(right, dict):
        return (
            isinstance(came, dict)
            and came.keys() == right.keys()
            and all(alike(came[key], value, tolerance) for key, value in right.items())
        )
    if isinstance(right, str | set | frozenset) or right is None:
        return type(came) is type(right) and came == right
    came, right = as_array(came), as_array(right)
    if came is None or right is None or came.shape != right.shape:
        return False
    if right.dtype.kind not in "biufc" or came.dtype.kind not in "biufc":
        return bool((came == right).all())
    return bool(np.allclose(came, right, rtol=tolerance, atol=tolerance, equal_nan=True))


def as_array(value):
    """A number, list, array or tensor as an array; None for anything else, such as rows of different lengths."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if value is None or isinstance(value, str | dict | set | frozenset) or callable(value):
        return None
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return None if array.dtype == object else array


def described(value) -> str:
    """A value in one short line: numbers with four digits, a long array by its shape and range.

    >>> described(1 / 3), described([1, 2]), described(np.zeros((40, 2))), described(None), described("a")
    ('0.3333', '[1, 2]', 'an array of shape (40, 2), values from 0 to 0', 'nothing yet (None)', "'a'")
    """
    if value is None or value is Ellipsis:
        return "nothing yet (None)"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {described(each)}" for key, each in list(value.items())[:8]) + "}"
    if callable(value):
        return f"the function {getattr(value, '__name__', type(value).__name__)}"
    array = as_array(value)
    if array is None:
        text = repr(value)
        return text if len(text) <= 90 else f"{text[:87]}..."
    if array.dtype.kind in "US":
        return repr(array.tolist()) if array.size <= 8 else f"an array of {array.size} words, shape {array.shape}"
    if array.size == 0:
        return f"an empty array of shape {array.shape}"
    if array.size <= 12:
        return _in_full(array)
    if array.dtype.kind == "b":
        return f"an array of shape {array.shape}, {int(array.sum())} of {array.size} true"
    return f"an array of shape {array.shape}, values from {array.min():.4g} to {array.max():.4g}"


def _in_full(array):
    if array.ndim:
        return "[" + ", ".join(map(_in_full, array)) + "]"
    value = array.item()
    return f"{value:.4g}" if isinstance(value, float) else str(value)
