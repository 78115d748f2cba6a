"""Public functions of lib under arguments of every kind: a right answer, or a ValueError or TypeError; nothing else.

For each function a sound call, then each of its arguments in each form of FORMS and SCALARS. What says the same in
another form (a list, a view, a tensor, a DataFrame) must give the same answer or be refused. NaN and infinity in
embeddings must be refused, but by losses, which pass them on to the training, which stops. The rest may be answered
or refused; any other exception, a bare assertion or a crash is a fault. A test with hypothesis then changes several
arguments at once. At the end of a run of pytest the counts are printed.
"""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib import (
    collapse,
    correlation,
    crossmodal,
    descriptors,
    hubness,
    indexes,
    keypoints,
    losses,
    masking,
    matryoshka,
    metrics,
    plots,
    relevance,
    significance,
    text,
    training,
    vectors,
)

REFUSALS = (ValueError, TypeError)


# ---- other forms of an argument ------------------------------------------------------------------------------------


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
LARGE = ("a thousand millions", "2 to the 70")
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


# ---- sound calls ---------------------------------------------------------------------------------------------------


def rows(rng, n=12, d=6):
    return rng.normal(size=(n, d)).astype(np.float32)


def relevance_of(rng):
    return {"relevance": rng.random((6, 5)) < 0.5, "n_relevant": np.full(6, 7), "k": 4}


def pictures(rng, n=3, side=32):
    return rng.integers(0, 256, (n, side, side, 3)).astype(np.uint8)


def labelled(rng, n=12):
    return np.arange(n) % 3


def ranked(rng):
    return {"neighbours": np.argsort(rng.random((4, 12)), axis=1)[:, :5], "query_labels": labelled(rng, 4)}


def sets(rng, n=6):
    return rng.random((n, 4)) < 0.6


def searched(index):
    def search(gallery, queries, k):
        return index().fit(gallery).search(queries, k)

    return search


def words_and_vectors(name, **options):
    def transformed(fitted, asked):
        model = getattr(text, name)(**options)
        return model.fit(fitted).transform(asked).toarray()

    return transformed


CAPTIONS = np.array(["a red shirt", "a blue shirt", "red shoes", "a red bag"])
SEARCH = lambda rng: {"gallery": rows(rng), "queries": rows(rng, 4), "k": 3}  # noqa: E731

CALLS = {
    "metrics.average_precision_at_k": (metrics.average_precision_at_k, relevance_of),
    "metrics.precision_at_k": (metrics.precision_at_k, relevance_of),
    "metrics.recall_at_k": (metrics.recall_at_k, relevance_of),
    "metrics.hit_rate_at_k": (metrics.hit_rate_at_k, relevance_of),
    "metrics.reciprocal_rank": (metrics.reciprocal_rank, relevance_of),
    "metrics.ndcg_at_k": (
        metrics.ndcg_at_k,
        lambda rng: {"gains": (g := rng.random((4, 6))), "gallery_gains": g, "k": 3},
    ),
    "metrics.label_scores": (metrics.label_scores, lambda rng: {"predicted_sets": sets(rng), "true_sets": sets(rng)}),
    "metrics.threshold_by_f1": (
        metrics.threshold_by_f1,
        lambda rng: {"probabilities": rng.random((6, 4)), "true_sets": sets(rng)},
    ),
    "metrics.mask_iou": (
        metrics.mask_iou,
        lambda rng: {"predicted_masks": rng.random((2, 4, 4)) < 0.5, "true_masks": rng.random((2, 4, 4)) < 0.5},
    ),
    "metrics.chance_average_precision": (
        metrics.chance_average_precision,
        lambda rng: {"n_relevant": np.array([2, 3]), "n_gallery": 10, "k": 5},
    ),
    "relevance.judge": (relevance.judge, lambda rng: ranked(rng) | {"gallery_labels": labelled(rng)}),
    "relevance.average_precision": (
        relevance.average_precision,
        lambda rng: ranked(rng) | {"gallery_labels": labelled(rng), "k": 3},
    ),
    "relevance.same_class": (relevance.same_class, lambda rng: ranked(rng) | {"gallery_labels": labelled(rng)}),
    "relevance.count_relevant": (
        relevance.count_relevant,
        lambda rng: {"query_labels": labelled(rng, 4), "gallery_labels": labelled(rng)},
    ),
    "relevance.label_iou": (
        relevance.label_iou,
        lambda rng: {
            "query_label_sets": sets(rng, 4),
            "gallery_label_sets": sets(rng, 12),
            "neighbours": ranked(rng)["neighbours"],
        },
    ),
    "relevance.match_ranks": (
        relevance.match_ranks,
        lambda rng: {
            "queries": rows(rng, 4),
            "gallery": rows(rng),
            "query_labels": labelled(rng, 4),
            "gallery_labels": labelled(rng),
        },
    ),
    "relevance.most_similar_average_precision": (
        relevance.most_similar_average_precision,
        lambda rng: {"neighbours": ranked(rng)["neighbours"], "similarity": rng.random((4, 12)), "n_similar": 3},
    ),
    "significance.mean_over_queries": (significance.mean_over_queries, lambda rng: {"values": rng.random(20)}),
    "significance.bootstrap_interval": (
        significance.bootstrap_interval,
        lambda rng: {"values": rng.random(20), "clusters": labelled(rng, 20), "n_resamples": 200},
    ),
    "significance.median_interval": (
        significance.median_interval,
        lambda rng: {"values": rng.random(20), "n_resamples": 200},
    ),
    "significance.paired_difference": (
        significance.paired_difference,
        lambda rng: {"a": rng.random(20), "b": rng.random(20), "n_resamples": 200},
    ),
    "significance.holm": (significance.holm, lambda rng: {"p_values": rng.random(5)}),
    "collapse.effective_rank": (collapse.effective_rank, lambda rng: {"embeddings": rows(rng)}),
    "collapse.mean_distance": (collapse.mean_distance, lambda rng: {"embeddings": rows(rng), "n_pairs": 50}),
    "collapse.uniformity": (collapse.uniformity, lambda rng: {"embeddings": rows(rng), "n_pairs": 50}),
    "collapse.separation": (
        collapse.separation,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "n_pairs": 50},
    ),
    "collapse.active_share": (
        collapse.active_share,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "margin": 1.0, "n_pairs": 50},
    ),
    "collapse.signals": (
        collapse.signals,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "margin": 1.0, "n_pairs": 50},
    ),
    "correlation.CanonicalCorrelation": (
        lambda x, y, n_shared: correlation.CanonicalCorrelation(5, 4, n_shared).fit(x, y).transform_x(x),
        lambda rng: {"x": rows(rng, 40, 6), "y": rows(rng, 40, 5), "n_shared": 3},
    ),
    "crossmodal.recall_at": (crossmodal.recall_at, lambda rng: {"ranks": np.array([1.0, 3, 9]), "k": 5}),
    "crossmodal.summary": (crossmodal.summary, lambda rng: {"ranks": np.array([1.0, 3, 9])}),
    "crossmodal.found_fitting": (
        crossmodal.found_fitting,
        lambda rng: {"neighbours": ranked(rng)["neighbours"], "is_fitting": rng.random((4, 12)) < 0.5, "k": 3},
    ),
    "crossmodal.ceilings": (crossmodal.ceilings, lambda rng: {"is_fitting": rng.random((4, 12)) < 0.5, "k": 3}),
    "descriptors.colour_histogram": (descriptors.colour_histogram, lambda rng: {"images": pictures(rng)}),
    "descriptors.channel_histogram": (
        descriptors.channel_histogram,
        lambda rng: {"images": pictures(rng), "bins": 8},
    ),
    "descriptors.hog": (descriptors.hog, lambda rng: {"images": pictures(rng), "orientations": 9, "cell": 8}),
    "descriptors.PixelPCA": (
        lambda fitted, images, d: descriptors.PixelPCA(d).fit(fitted).transform(images),
        lambda rng: {"fitted": pictures(rng, 6, 8), "images": pictures(rng, 2, 8), "d": 3},
    ),
    "hubness.k_occurrence": (
        hubness.k_occurrence,
        lambda rng: {"neighbours": ranked(rng)["neighbours"], "n_gallery": 12},
    ),
    "hubness.hubness": (hubness.hubness, lambda rng: {"neighbours": ranked(rng)["neighbours"], "n_gallery": 12}),
    "hubness.csls_offsets": (
        hubness.csls_offsets,
        lambda rng: {"gallery": rows(rng), "bank": rows(rng, 8), "k": 3},
    ),
    "indexes.FlatIndex": (searched(indexes.FlatIndex), SEARCH),
    "indexes.FlatIndex, Euclidean": (searched(lambda: indexes.FlatIndex(metric="l2")), SEARCH),
    "indexes.KDTreeIndex": (searched(indexes.KDTreeIndex), SEARCH),
    "indexes.LSHIndex": (searched(lambda: indexes.LSHIndex(n_bits=16)), SEARCH),
    "indexes.HNSWIndex": (searched(lambda: indexes.HNSWIndex(n_links=4)), SEARCH),
    "indexes.search_leave_self_out": (
        indexes.search_leave_self_out,
        lambda rng: {"embeddings": rows(rng), "k": 3, "rows": np.array([0, 5])},
    ),
    "indexes.recall_of_neighbours": (
        indexes.recall_of_neighbours,
        lambda rng: {"found": ranked(rng)["neighbours"], "exact": ranked(rng)["neighbours"]},
    ),
    "keypoints.root_sift": (
        keypoints.root_sift,
        lambda rng: {"descriptors": rng.integers(0, 255, (5, 128)).astype(np.float32)},
    ),
    "keypoints.mark_empty_rows": (keypoints.mark_empty_rows, lambda rng: {"embeddings": rows(rng)}),
    "losses.contrastive": (
        losses.contrastive,
        lambda rng: {"distances": torch.rand(6), "is_same": torch.tensor([True, False] * 3), "margin": 1.0},
    ),
    "losses.info_nce": (
        losses.info_nce,
        lambda rng: {"queries": torch.rand(4, 3), "keys": torch.rand(4, 3), "temperature": 0.1},
    ),
    "losses.supcon": (
        losses.supcon,
        lambda rng: {"embeddings": torch.rand(6, 3), "labels": torch.tensor([0, 0, 1, 1, 2, 2])},
    ),
    "losses.mine": (
        losses.mine,
        lambda rng: {"embeddings": torch.rand(6, 3), "labels": torch.tensor([0, 0, 1, 1, 2, 2]), "margin": 0.5},
    ),
    "losses.dice": (losses.dice, lambda rng: {"logits": torch.rand(2, 1, 4, 4), "targets": torch.ones(2, 1, 4, 4)}),
    "losses.growing_margin": (
        losses.growing_margin,
        lambda rng: {"epoch": 2, "epochs": 10, "start": 0.1, "end": 1.0},
    ),
    "masking.without_background": (
        masking.without_background,
        lambda rng: {"images": pictures(rng, 2, 8), "masks": rng.random((2, 8, 8)) < 0.5},
    ),
    "masking.without_product": (
        masking.without_product,
        lambda rng: {"images": pictures(rng, 2, 8), "masks": rng.random((2, 8, 8)) < 0.5, "reach": 1},
    ),
    "matryoshka.truncate": (matryoshka.truncate, lambda rng: {"embeddings": rows(rng), "d": 3}),
    "matryoshka.shortlist_and_rerank": (
        matryoshka.shortlist_and_rerank,
        lambda rng: {"gallery": rows(rng), "queries": rows(rng, 4), "shortlist_d": 2, "shortlist": 5, "k": 3},
    ),
    "plots.retrieval_grid": (
        lambda **arguments: plots.retrieval_grid(**arguments) and 1,
        lambda rng: {"queries": pictures(rng, 2, 8), "neighbours_images": pictures(rng, 6, 8).reshape(2, 3, 8, 8, 3)},
    ),
    "text.TfIdf": (words_and_vectors("TfIdf"), lambda rng: {"fitted": CAPTIONS, "asked": CAPTIONS[:2]}),
    "text.tokens": (lambda text_: text.tokens(text_), lambda rng: {"text_": "a red shirt"}),
    "training.Batches": (
        lambda array, size: [batch[0].numpy() for batch in training.Batches([array], size, shuffle=False)],
        lambda rng: {"array": rows(rng), "size": 5},
    ),
    "vectors.checked_embeddings": (
        lambda embeddings: vectors.checked_embeddings(embeddings, "gallery", "cosine"),
        lambda rng: {"embeddings": rows(rng)},
    ),
    "vectors.enlarged": (
        vectors.enlarged,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "n": 20, "mix": 0.5},
    ),
}
# What they count is made: a thousand million of them is a fair request that no machine here can meet.
COSTS_MEMORY = {"n_pairs", "n_resamples", "bins", "n", "n_gallery", "reach", "orientations"}
# In these a value that is not finite has a meaning, told in the docstring, or passes through to the training.
MAY_BE_NOT_FINITE = {
    "significance.mean_over_queries",  # NaN marks a query that is left out
    "significance.bootstrap_interval",
    "significance.median_interval",
    "significance.paired_difference",
    "significance.holm",  # NaN marks a claim that was not run
    "keypoints.mark_empty_rows",
    "training.Batches",
}
COUNTS = {"tried": 0, "answered": 0, "refused": 0, "the same": 0}


# ---- the judge -----------------------------------------------------------------------------------------------------


def plain(answer):
    """The numbers of an answer, in one list of arrays."""
    if isinstance(answer, torch.Tensor):
        return [answer.detach().cpu().numpy()]
    if isinstance(answer, pd.DataFrame | pd.Series):
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


def call(function, arguments):
    """What it answers, or the refusal; any other exception is raised."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(**arguments), None
        except REFUSALS as refusal:
            assert str(refusal).strip(), "a refusal without a word"
            return None, refusal


def forms_of(value):
    """The other forms of an argument: {name: value}."""
    if isinstance(value, torch.Tensor):
        arrays = forms_of(value.numpy())
        made = {}
        for name, form in arrays.items():
            is_array = isinstance(form, np.ndarray) and form.dtype.kind in "fbiu"
            native = is_array and form.dtype.isnative and all(stride >= 0 for stride in form.strides)
            made[name] = torch.from_numpy(form.copy()) if native else form
        return made
    if isinstance(value, np.ndarray):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = {name: form(value) for name, form in FORMS.items()}
        return {name: form for name, form in made.items() if form is not None or name == "None"}
    return dict(SCALARS)


def sizes_apart(argument, forms):
    """The forms without a count that would fill the memory."""
    return {name: form for name, form in forms.items() if argument not in COSTS_MEMORY or name not in LARGE}


def fault(name, argument, form, value, expected):
    """What is wrong with how the function takes this form of this argument; None if nothing is."""
    function, build = CALLS[name]
    arguments = build(np.random.default_rng(0)) | {argument: value}
    COUNTS["tried"] += 1
    try:
        answer, refusal = call(function, arguments)
    except BaseException as error:
        return f"{argument} as {form}: {type(error).__name__}: {str(error)[:100]}"
    COUNTS["refused" if refusal else "answered"] += 1
    if refusal:
        return None
    if form in SAME and not name.startswith("losses."):
        if not are_alike(answer, expected):
            return f"{argument} as {form}: another answer than as an array"
        COUNTS["the same"] += 1
    if form in NOT_FINITE and name not in MAY_BE_NOT_FINITE and not name.startswith("losses."):
        return f"{argument} with {form}: answered, not refused"
    return None


@pytest.mark.parametrize("name", CALLS)
def test_every_form_of_every_argument_is_answered_right_or_refused(name, record_property):
    torch.manual_seed(0)
    function, build = CALLS[name]
    sound = build(np.random.default_rng(0))
    expected = function(**sound)
    before = dict(COUNTS)
    faults = [
        fault(name, argument, form, value, expected)
        for argument, base in sound.items()
        for form, value in sizes_apart(argument, forms_of(base)).items()
    ]
    for what, count in COUNTS.items():
        record_property(f"any input, {what}", count - before[what])
    assert not [text for text in faults if text]


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_several_odd_arguments_at_once_are_answered_or_refused(data):
    name = data.draw(st.sampled_from(sorted(CALLS)))
    function, build = CALLS[name]
    arguments = build(np.random.default_rng(data.draw(st.integers(0, 5))))
    for argument in data.draw(st.lists(st.sampled_from(sorted(arguments)), unique=True, min_size=1)):
        forms = sizes_apart(argument, forms_of(arguments[argument]))
        arguments[argument] = forms[data.draw(st.sampled_from(sorted(forms)))]
    call(function, arguments)
