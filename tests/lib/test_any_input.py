"""Public functions of lib under arguments of every kind: a right answer, or a ValueError or TypeError; nothing else.

For each sound call of CALLS, each of its arguments in each form of odd_arguments.py, which says what is right. A test
with hypothesis then changes several arguments at once. Networks, clients and functions that are handed in are not
varied: only what a reader types or loads. At the end of a run of pytest the counts are printed, also how many of the
public functions and methods of lib are called; NOT_CALLED says of each of the others why not.
"""

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import sound_calls
import sound_calls_of_files
import sound_calls_of_networks
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_arguments import NOT_FINITE, REFUSALS, are_alike, call, forms_of, is_same, sizes_apart

LIB = Path(__file__).resolve().parents[2] / "lib"
CALLS = sound_calls.CALLS | sound_calls_of_files.CALLS | sound_calls_of_networks.CALLS
# What they count is made: a thousand million of them is a fair request that no machine here can meet.
COSTS_MEMORY = {
    *("n_pairs", "n_resamples", "bins", "n", "n_gallery", "reach", "orientations", "dimension", "hidden", "size"),
    *("n_words", "n_buckets", "epochs", "n_rounds", "n_warm_up", "n_single", "n_steps", "image_size", "resize", "crop"),
    *("channels", "n_out", "n_in", "stem", "widths", "n_classes", "n_inputs", "n_recurrent", "n_word_inputs"),
    *("n_outputs", "word_dimension", "length", "image_layers", "text_layers", "n_bits", "n_links", "build_width"),
    *("search_width", "levels", "blocks", "n_values", "n_max", "width", "first_d", "n_shards", "n_replicas", "threads"),
}
# In these a value that is not finite has a meaning, told in the docstring, or passes through to the training.
MAY_BE_NOT_FINITE = {
    "significance.mean_over_queries",  # NaN marks a query that is left out
    "significance.bootstrap_interval",
    "significance.median_interval",
    "significance.paired_difference",
    "significance.holm",  # NaN marks a claim that was not run
    "results.measure",  # as in mean_over_queries
    "results.claim",  # an effect of one cluster has no interval
    "cache.digest_array",
    "significance.p_value_against",  # an effect of one cluster has no interval
    "significance.verdict",
    "nested.train_nested, its settings",  # no limit of the gradient's norm
    "keypoints.mark_empty_rows",
    "training.Batches",
}
PASSES_ON = (
    *("losses.", "weights.", "networks.", "two_towers.", "supervision.", "training.", "nested.step"),
    "boost.boost_loss",
)
# Their tensors are varied as tensors only: networks put them together with tensors of their own.
TENSORS = ("networks.", "two_towers.", "supervision.", "weights.", "boost.boost_loss", "nested.step")
# Where arguments go on to torch inside a network or training, it refuses them in its own words, which are counted.
IN_TORCH_WORDS = ("networks.", "two_towers.", "supervision.", "boost.", "nested.", "training.", "backbones.", "losses.")
OF_TORCH = (RuntimeError, IndexError, NotImplementedError, OverflowError)
# Refusals of another type: what the system says of a path, and a training that came to NaN.
ALSO_REFUSED = (
    dict.fromkeys(
        (
            *("cache.by_image", "collection.read", "crossmodal.read_phrases", "metadata.read_csv"),
            *("metadata.read_metadata", "results.begin", "results.read", "weights.in_folders"),
            *("shared_space.restore_model", "weights.file", "weights.read_state", "weights.sha256", "backbones.load"),
        ),
        (OSError,),
    )
    | dict.fromkeys(
        ("training.train", "supervision.train_task", "nested.train_nested", "boost.fit"), (FloatingPointError,)
    )
    | {"vector_store.search": (RuntimeError,)}
)  # fewer rows than were asked for
# Public functions and methods with an argument that no sound call is made of, and why.
CHECKED_BEFORE = "its caller in lib has checked the arguments"
IN_A_NETWORK = "inside a network: gets what the layer before gives"
NOT_CALLED = {
    **dict.fromkeys(("vectors.unit_rows", "vectors.rows_a_batch", "vectors.search_flat"), CHECKED_BEFORE),
    **dict.fromkeys(("vectors.nearest_among", "vectors.ordered", "metrics.batches"), CHECKED_BEFORE),
    **dict.fromkeys(("findings.need_fields", "weights.missing", "embedding.precision_of"), CHECKED_BEFORE),
    **dict.fromkeys(("training.Batches.set_epoch", "nested.Streamed.set_epoch"), "training.train counts the epochs"),
    **dict.fromkeys(
        ("findings.as_html", "findings.as_text", "findings.is_of_machine", "findings.rows_of_claims"),
        "takes the Measures and Claims that were checked when they were made",
    ),
    "findings.rows_of_measures": "takes Measures, as above",
    "results.corrected_p_values": "takes Claims, as above",
    "results.say": "shows what it is given",
    "results.progress": "shows a bar around a loop",
    "collection.Collection.check": "takes a switch only",
    **dict.fromkeys(("backbones.Pool.forward", "nested.Nested.forward", "embedding.fused"), IN_A_NETWORK),
    **dict.fromkeys(
        [f"shared_space.MeanOfWords.{name}" for name in ("call", "compute_mask", "compute_output_shape")], IN_A_NETWORK
    ),
    **dict.fromkeys(
        ("shared_space.rmse", "shared_space.InBatchTriplet.call", "shared_space.InBatchSoftmax.call"), IN_A_NETWORK
    ),
    "cache.digest_weights": "takes a network",
    "vector_store.connect": "takes an address, tested with a stand-in of a server in test_vector_store.py",
    **dict.fromkeys(
        ("text.sentence_encoder", "text.SentenceEncoder.transform", "zero_shot.load", "weights.unpack"),
        "needs weights: tested with tiny ones in test_text.py, test_zero_shot.py and test_weights.py",
    ),
    **dict.fromkeys(
        ("zero_shot.PairedEncoder.embed_images", "zero_shot.PairedEncoder.embed_texts"), "needs weights, as above"
    ),
    **dict.fromkeys(("weights.downloaded", "weights.from_hub"), "goes to the network, tested in test_weights.py"),
}
DIFFERENT = {("cache.digest_array", form) for form in ("a list", "float64", "big-endian")}  # a digest knows the dtype
DIFFERENT |= {("weights.digest_state", "float64")}
DIFFERENT |= {("boost.fit", "columns in another order")}  # in which their classifiers draw their weights
COUNTS = {"tried": 0, "answered": 0, "refused": 0, "refused in torch's words": 0, "the same": 0}


def also_refused(name):
    more = ALSO_REFUSED.get(re.match(r"[\w.]+", name)[0], ())
    return (*more, *OF_TORCH) if name.startswith(IN_TORCH_WORDS) else more


def fault(name, argument, form, value, expected):
    """What is wrong with how the function takes this form of this argument; None if nothing is."""
    function, build = CALLS[name]
    torch.manual_seed(0)
    sound = build(np.random.default_rng(0))
    if isinstance(sound[argument], torch.Tensor) and not isinstance(value, torch.Tensor) and name.startswith(TENSORS):
        return None
    COUNTS["tried"] += 1
    try:
        answer, refusal = call(function, sound | {argument: value}, also_refused(name))
    except BaseException as error:
        return f"{argument} as {form}: {type(error).__name__}: {str(error)[:100]}"
    is_ours = refusal is None or isinstance(refusal, (*REFUSALS, OSError))
    COUNTS["answered" if refusal is None else "refused" if is_ours else "refused in torch's words"] += 1
    if refusal:
        return None
    if is_same(form, sound[argument]) and (name, form) not in DIFFERENT:
        if not are_alike(answer, expected):
            return f"{argument} as {form}: another answer than as it was"
        COUNTS["the same"] += 1
    may_be = name in MAY_BE_NOT_FINITE or name.startswith(PASSES_ON) or isinstance(sound[argument], str)
    if form in NOT_FINITE and not may_be:
        return f"{argument} with {form}: answered, not refused"
    return None


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.slow
def test_every_form_of_every_argument_is_answered_right_or_refused(name, record_property, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a path of any kind may be written to
    torch.manual_seed(0)
    function, build = CALLS[name]
    sound = build(np.random.default_rng(0))
    expected = function(**sound)
    before = dict(COUNTS)
    faults = [
        fault(name, argument, form, value, expected)
        for argument, base in sound.items()
        for form, value in sizes_apart(argument, forms_of(base), COSTS_MEMORY).items()
    ]
    for what, count in COUNTS.items():
        record_property(f"any input, {what}", count - before[what])
    assert not [text for text in faults if text]


def public_functions():
    """Functions of lib, and methods of its classes, that take an argument and begin with no underscore."""
    found = set()
    for path in LIB.glob("[!_]*.py"):
        module = importlib.import_module(f"lib.{path.stem}")
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(thing):
                found |= {f"{path.stem}.{name}"} if inspect.signature(thing).parameters else set()
            elif inspect.isclass(thing):
                found |= {f"{path.stem}.{name}.{method}" for method in methods_of(thing)}
    return found


def methods_of(cls):
    members = {name: getattr(member, "__func__", member) for name, member in vars(cls).items() if name[0] != "_"}
    return [
        name for name, member in members.items()
        if inspect.isfunction(member) and len(inspect.signature(member).parameters) > 1
    ]  # fmt: skip


def called():
    """The functions and methods that the names of CALLS say."""
    found = set()
    for name in CALLS:
        first, methods = re.match(r"([\w.]+)(?:\(([\w, ]+)\))?", name).groups()
        found |= {first, *(f"{first}.{method}" for method in (methods or "").split(", "))}
    return found


def test_every_public_function_is_called_or_it_is_said_why_not(record_property):
    public, there = public_functions(), called()
    record_property("any input, public functions and methods", len(public))
    record_property("any input, called", len(public & there))
    assert public - there == set(NOT_CALLED)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_several_odd_arguments_at_once_are_answered_or_refused(data):
    name = data.draw(st.sampled_from(sorted(CALLS)))
    function, build = CALLS[name]
    arguments = build(np.random.default_rng(data.draw(st.integers(0, 5))))
    for argument in data.draw(st.lists(st.sampled_from(sorted(arguments)), unique=True, min_size=1)):
        forms = sizes_apart(argument, forms_of(arguments[argument]), COSTS_MEMORY)
        if name.startswith(TENSORS) and isinstance(arguments[argument], torch.Tensor):
            forms = {form: value for form, value in forms.items() if isinstance(value, torch.Tensor)}
        arguments[argument] = forms[data.draw(st.sampled_from(sorted(forms)))]
    call(function, arguments, also_refused(name))
