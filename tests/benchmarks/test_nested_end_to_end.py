"""The script that trains the network itself, on coloured squares and with an untrained network."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import nested_end_to_end as script

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


TINY = script.SETTINGS | {
    "n_held_out": 2, "n_train": 6, "n_validation": 2, "weights": "none", "image_size": 32,
    "sizes": [2, 4, 8], "between": [3, 6], "n_seeds": 2, "k": 5,
    "head": {"epochs": 2, "batch_size": 8, "rate": 1e-3}, "tuning": {"epochs": 2, "batch_size": 8},
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The settings for six classes of noisy squares, each of a grey of its own."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split, n in (("train", 8), ("validation", 3)):
        for label in range(6):
            place = folder / split / f"class {label}"
            place.mkdir(parents=True)
            for i in range(n):
                pixels = np.clip(rng.normal(40 * label + 20, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return TINY | {"dataset": f"{folder}/"}


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A run without a stop: its record and its rates."""
    return script.measure(tiny, tmp_path_factory.mktemp("work"))


def test_the_parts_share_no_photo_and_held_out_classes_are_in_no_trained_part(tiny):
    parts = script.read_parts(tiny)
    counts = {role: len(part.photos) for role, part in parts.items()}
    of_seen = {"train": 6 * 4, "validation": 2 * 4, "query": 3 * 4}
    assert counts == of_seen | {"new gallery": 6 * 2, "new query": 3 * 2}
    paths = [path for part in parts.values() for path in part.photos.paths]
    assert len(set(paths)) == len(paths)
    names = {role: set(part.photos.column("label")) for role, part in parts.items()}
    assert names["train"] == names["validation"] == names["query"]
    assert names["new gallery"] == names["new query"]
    assert not names["train"] & names["new query"]


@pytest.mark.parametrize("n_frozen", [0, 5, 8])
def test_the_two_sides_of_the_cut_are_the_network(n_frozen):
    backbone = script.backbones.load("efficientnet_lite0", "none", image_size=32, device="cpu")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = backbone.model(x)
        lower, upper = script.cut(backbone.model, n_frozen)
        torch.testing.assert_close(upper(lower(x)), expected)
    assert not any(module.training for module in upper.train().modules())  # statistics stay


def test_a_cut_beyond_the_last_stage_is_refused():
    backbone = script.backbones.load("efficientnet_lite0", "none", image_size=32, device="cpu")
    with pytest.raises(ValueError, match="frozen_stages must be from 0 to 8, got 9"):
        script.cut(backbone.model, 9)


def test_every_size_is_measured_for_both_bodies_and_both_kinds_of_classes(whole, tiny):
    record, rates = whole
    assert set(rates) == set(script.WAYS) and set(rates.values()) <= set(tiny["rates"])
    named = [each.more for each in record.measures if each.name == "top-1"]
    top1 = {(each["body"], each["method"], each["d"]) for each in named}
    for body in ("frozen", "fine-tuned"):
        assert {(body, "nested (MRL)", d) for d in (2, 4, 8)} <= top1
        assert (body, "ordinary", 8) in top1
    searched = [each.more for each in record.measures if each.name == "mAP@5" and each.more["method"] == "nested (MRL)"]
    assert len(searched) == 2 * 2 * len([2, 3, 4, 6, 8])  # bodies x kinds of classes x sizes
    assert {each.verdict for each in record.claims} <= {"holds", "contradicted", "undecided"}


def test_tuning_changes_the_network_and_leaves_the_frozen_head_as_it_was(whole):
    values = {
        each.more["body"]: each.value
        for each in whole[0].measures
        if each.name == "mAP@5" and each.more == each.more | {"method": "nested (MRL)", "d": 8, "classes": "seen"}
    }
    assert values["frozen"] != values["fine-tuned"]


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(tiny, tmp_path, monkeypatch):
    tiny = tiny | {"n_seeds": 1}
    _, expected, rates = script.take_up(tiny, tmp_path / "whole")
    train, calls, epochs = script.training.train, [], []

    def stopped_in_the_ninth(*arguments, **named):  # the first of the trainings that are measured
        calls.append(1)
        return train(*arguments, **named | ({"validate": stop} if len(calls) == 9 else {}))

    def stop(model):
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(script.training, "train", stopped_in_the_ninth)
    with pytest.raises(KeyboardInterrupt):
        script.take_up(tiny, tmp_path / "stopped")
    assert [path.name for path in (tmp_path / "stopped").rglob("*.pt")] == ["nested_0.pt"]
    _, found, same_rates = script.take_up(tiny, tmp_path / "stopped")
    assert same_rates == rates
    assert found.keys() == expected.keys()
    for key, (of_seed,) in expected.items():
        for name, values in of_seed.items():
            np.testing.assert_array_equal(found[key][0][name], values)
    before = len(calls)
    script.take_up(tiny, tmp_path / "stopped")
    assert len(calls) == before  # nothing is trained twice


def test_the_kept_file_is_one_that_results_can_be_written_from(whole, tmp_path):
    record, rates = whole
    path = script.full_runs.keep_script(
        script.NAME, record, 61.0, {"frozen_stages": 0}, TINY | {"rate": rates}, tmp_path
    )
    (run,) = script.full_runs.read_runs(tmp_path)
    assert path.name == "nested_end_to_end@frozen_stages=0.json"
    assert run["command"] == "python benchmarks/nested_end_to_end.py --frozen-stages 0"
    assert len(run["measures"]) == len(record.measures) == len(json.loads(path.read_text())["measures"])
