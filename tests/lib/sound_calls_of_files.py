"""Sound calls of lib's functions, which test_any_input.py then makes with odd arguments: tables, texts and files.

The files that they read and write lie in PLACE, which is gone when the process ends.
"""

import functools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sound_calls import labelled, pictures, rows

from lib import (
    boost,
    cache,
    collection,
    crossmodal,
    findings,
    images,
    matryoshka,
    metadata,
    nested,
    plan,
    plots,
    results,
    text,
    vector_store,
    weights,
)

_KEPT = tempfile.TemporaryDirectory(prefix="any-input-")
PLACE = Path(_KEPT.name)


@functools.cache
def photos():
    """Six photos with labels, captions and masks: a Collection."""
    folder = PLACE / "photos"
    folder.mkdir()
    table = pd.DataFrame({"file_name": [f"{i}.png" for i in range(6)], "label": list("aabbcc")})
    table["labels"], table["caption_1"] = ["x|y", "x", "y", "", "x|y", "y"], [f"photo {i}" for i in range(6)]
    table["mask_file_name"] = [f"mask-{i}.png" for i in range(6)]
    for i in range(6):
        Image.fromarray(pictures(np.random.default_rng(i), 1, 8)[0]).save(folder / f"{i}.png")
        Image.fromarray(np.uint8(np.eye(8) * i)).save(folder / f"mask-{i}.png")
    table.to_csv(folder / "metadata.csv", index=False)
    return collection.read(folder)


def a_file(name, content):
    path = PLACE / name
    if not path.exists():
        path.write_bytes(content)
    return str(path)


def captions():
    return ["a red shirt", "a blue shirt", "red shoes", "a red bag", "a blue bag"]


def attributes(n=12):
    return pd.DataFrame({"colour": (["red", "blue", "red"] * n)[:n], "size": ([1, 2, 2] * n)[:n]})


def curve_points():
    return pd.DataFrame({"d": [8, 16, 8, 16], "mAP": [0.2, 0.4, 0.3, 0.5], "way": ["cut", "cut", "PCA", "PCA"]})


def effects():
    return pd.DataFrame({"method": ["a", "b"], "points": [2.0, -1.0], "low": [1.0, -3.0], "high": [3.0, 1.0]})


def drawn(function):
    """What stands on the figure: the texts of its axes."""

    def draw(**arguments):
        figure = function(**arguments)
        figure.draw_without_rendering()
        return [label.get_text() for ax in figure.axes for label in (*ax.get_yticklabels(), ax.xaxis.label)]

    return draw


def ways():
    return pd.DataFrame({
        "structure": ["flat", "graph"], "dimensions": [512, 32], "shortlist": [0, 100], "ms": [8.0, 0.5],
        "megabytes": [200.0, 13.0], "mAP": [0.4, 0.35],
    })  # fmt: skip


def begun(function):
    """The call, in the notes of a notebook that was just begun."""

    def noted(**arguments):
        results.begin("00_toy", folder=PLACE)
        return function(**arguments)

    return noted


def stored(embeddings, queries, first_d, shortlist, k, start):
    client = vector_store.connect()
    vector_store.create(client, "toy", first_d, width=6)
    vector_store.upload(client, "toy", embeddings, start)
    return vector_store.search(client, "toy", queries, shortlist, k)


def uploaded(embeddings, start):
    client = vector_store.connect()
    vector_store.create(client, "toy", first_d=2, width=6)
    return vector_store.upload(client, "toy", embeddings, start)


def vectors_of(**options):
    return text.WordVectors(**({"dimension": 4, "epochs": 1, "min_count": 1, "n_buckets": 50} | options))


@functools.cache
def some_vectors():
    return vectors_of().fit(captions())


def state_of(numbers):
    return weights.digest_state({"weight": numbers})


MEASURE = {"notebook": "00_toy", "name": "mAP", "value": 0.5, "low": 0.4, "high": 0.6, "unit": "ms", "n": 3}
CLAIM = {"notebook": "00_toy", "text": "a is better", "verdict": "holds", "value": 1.0, "low": 0.5, "high": 1.5}
CLAIM |= {"p_value": 0.01, "relation": "above", "margin": 0.0}

CALLS = {
    "boost.sample_groups": (
        boost.sample_groups,
        lambda rng: {"table": attributes(), "columns": ["colour"], "n_groups": 2, "group_size": 3, "seed": 0},
    ),
    "boost.encode_attributes": (
        boost.encode_attributes,
        lambda rng: {"table": attributes(), "columns": ["colour", "size"]},
    ),
    "boost.encode_names": (boost.encode_names, lambda rng: {"names": captions(), "min_count": 2}),
    "boost.words_of": (boost.words_of, lambda rng: {"name": "a red shirt"}),
    "boost.word_sets": (boost.word_sets, lambda rng: {"names": captions()}),
    "cache.embeddings": (
        lambda key, computed, **sizes: cache.embeddings(
            tempfile.mkdtemp(dir=PLACE), {"of": key}, lambda start, stop: computed, progress=False, **sizes
        ),
        lambda rng: {"key": "a test", "computed": rows(rng), "n": 12, "part": 12},
    ),
    "cache.by_image": (
        lambda key, paths, computed: cache.by_image(
            tempfile.mkdtemp(dir=PLACE), {"of": key}, paths, lambda asked: computed, progress=False
        ),
        lambda rng: {"key": "a test", "paths": list(map(str, photos().paths)), "computed": rows(rng, 6)},
    ),
    "cache.digest_array": (cache.digest_array, lambda rng: {"array": rows(rng)}),
    "collection.read": (
        lambda name_or_folder: collection.read(name_or_folder).table,
        lambda rng: {"name_or_folder": str(photos().folder)},
    ),
    "collection.read, a split": (
        lambda split: collection.read(photos().folder, split).table,
        lambda rng: {"split": "train"},
    ),
    "collection.Collection(where)": (
        lambda **arguments: photos().where(**arguments).table,
        lambda rng: {"column": "label", "value": "a"},
    ),
    "collection.Collection(sample)": (
        lambda **arguments: photos().sample(**arguments).table,
        lambda rng: {"n": 3, "seed": 0},
    ),
    "collection.Collection(column)": (lambda name: photos().column(name), lambda rng: {"name": "label"}),
    "collection.Collection(subset)": (
        lambda rows: photos().subset(rows).table,
        lambda rng: {"rows": np.array([0, 3, 3])},
    ),
    "collection.Collection(image)": (lambda i: photos().image(i), lambda rng: {"i": 1}),
    "collection.Collection(images)": (
        lambda **how: photos().images(progress=False, **how),
        lambda rng: {"size": 4, "fit": "crop"},
    ),
    "collection.Collection(mask)": (lambda i: photos().mask(i), lambda rng: {"i": 1}),
    "collection.Collection(masks)": (
        lambda **how: photos().masks(progress=False, **how),
        lambda rng: {"size": 4, "fit": "crop"},
    ),
    "collection.Collection(label_sets)": (lambda names: photos().label_sets(names), lambda rng: {"names": ["y", "x"]}),
    "crossmodal.read_phrases": (
        lambda folder: list(crossmodal.read_phrases(folder)),
        lambda rng: {"folder": str(PLACE)},
    ),
    "crossmodal.said": (
        lambda texts: [
            {name: sorted(values) for name, values in each.items()}
            for each in crossmodal.said(texts, {"red": ("colour", "red"), "bag": ("kind", "bag")})
        ],
        lambda rng: {"texts": captions()},
    ),
    "crossmodal.fits": (
        lambda table: crossmodal.fits([{"colour": {"red"}}, {}], table),
        lambda rng: {"table": attributes()},
    ),
    "findings.Measure(from_dict)": (
        lambda **entry: findings.Measure.from_dict(findings.Measure(**entry).to_dict()).to_dict(),
        lambda rng: dict(MEASURE),
    ),
    "findings.Claim(from_dict)": (
        lambda **entry: findings.Claim.from_dict(findings.Claim(**entry).to_dict()).to_dict(),
        lambda rng: dict(CLAIM),
    ),
    "findings.measured": (
        lambda value: findings.measured(findings.Measure("00_toy", "mAP", value)),
        lambda rng: {"value": 0.5},
    ),
    "findings.asked": (
        lambda margin: findings.asked(findings.Claim("00_toy", "a", "holds", 1.0, relation="above", margin=margin)),
        lambda rng: {"margin": 0.5},
    ),
    "findings.number": (lambda value: findings.number(value, "mAP"), lambda rng: {"value": 0.5}),
    "images.read": (images.read, lambda rng: {"path": str(photos().paths[0])}),
    "images.read_at": (
        images.read_at,
        lambda rng: {"path": str(photos().paths[0]), "size": 4, "fit": "crop"},
    ),
    "images.read_mask": (images.read_mask, lambda rng: {"path": str(photos().folder / "mask-1.png")}),
    "images.read_mask_at": (
        images.read_mask_at,
        lambda rng: {"path": str(photos().folder / "mask-1.png"), "size": 4, "fit": "crop"},
    ),
    "images.for_each": (
        lambda **counts: images.for_each(lambda row: None, title="nothing", progress=False, **counts),
        lambda rng: {"n": 3, "rows_a_task": 2},
    ),
    "images.checked_count": (lambda value: images.checked_count(value, "size"), lambda rng: {"value": 3}),
    "images.checked_fit": (images.checked_fit, lambda rng: {"fit": "crop"}),
    "matryoshka.plan": (
        lambda **arguments: [*(chosen := matryoshka.plan(**arguments))[::2], *sorted(chosen.row.items())],
        lambda rng: {"table": ways(), "ms": 1.0, "megabytes": 50.0, "wanted_map": 0.3},
    ),
    "metadata.read_csv": (metadata.read_csv, lambda rng: {"path": a_file("t.csv", b"a,b\n1,2\n"), "needed": ["a"]}),
    "metadata.read_metadata": (
        metadata.read_metadata,
        lambda rng: {"path": a_file("metadata.csv", b"file_name,label\na.png,1\n")},
    ),
    "metadata.with_numbers": (
        metadata.with_numbers,
        lambda rng: {"table": pd.DataFrame({"price": ["3.5", "2"], "label": ["1", "2"]}), "text": ["price"]},
    ),
    "nested.groups_at": (
        lambda parents, **arguments: nested.groups_at(
            {"class": ["all", "cat", "truck", "tiger", "lion"], "parent": parents}, **arguments
        ),
        lambda rng: {
            "parents": ["", "all", "all", "cat", "cat"],
            "classes": ["tiger", "lion", "truck"],
            "level": 1,
        },
    ),
    "plan.at_size": (
        lambda photos, **way: plan.at_size(way, photos),
        lambda rng: {
            "photos": 1000,
            "rows": 100,
            "reads": "graph",
            "bytes": 64,
            "embed_ms": 5.0,
            "first_ms": 0.2,
            "again_ms": 0.1,
        },
    ),
    "plots.curves": (
        drawn(plots.curves),
        lambda rng: {"table": curve_points(), "x": "d", "y": "mAP", "hue": "way", "chance": 0.1, "title": "curves"},
    ),
    "plots.ranked": (
        drawn(plots.ranked),
        lambda rng: {
            "table": effects(),
            "value": "points",
            "low": "low",
            "high": "high",
            "chance": 0.1,
            "number": "{:.2f}",
        },
    ),
    "plots.intervals": (
        drawn(plots.intervals),
        lambda rng: {"table": effects(), "value": "points", "low": "low", "high": "high", "line": 0.0, "title": "t"},
    ),
    "results.begin": (
        lambda **arguments: results.begin(folder=PLACE, **arguments),
        lambda rng: {"notebook": "00_toy", "profile": "quick"},
    ),
    "results.measure": (
        begun(lambda **arguments: results.measure(**arguments).to_dict()),
        lambda rng: {"name": "AP", "values": rng.random(20), "clusters": labelled(rng, 20), "unit": "points"},
    ),
    "results.measure, one number": (
        begun(lambda **arguments: results.measure("AP", **arguments).to_dict()),
        lambda rng: {"values": 0.5, "interval": np.array([0.4, 0.6]), "n": 3, "data": "toys", "way": "cut"},
    ),
    "results.compare": (
        begun(lambda **arguments: results.compare(claim="a is better", show=False, **arguments)),
        lambda rng: {"a": rng.random(20), "b": rng.random(20) / 2, "clusters": labelled(rng, 20), "above": 0.1},
    ),
    "results.claim": (
        begun(lambda **arguments: results.claim(**arguments).to_dict()),
        lambda rng: {"text": "a is better", "effect": np.array([1.0, 0.5, 1.5]), "above": 0.1, "evidence": "seen"},
    ),
    "results.grow": (
        begun(lambda **arguments: results.grow(after=["00_other"], **arguments)),
        lambda rng: {"rows": [{"method": "cut", "R@10": 0.5}], "of": {"images": "a digest", "n": 3}},
    ),
    "results.read": (
        lambda path: list(results.read(path)[:2]),
        lambda rng: {"path": a_file("r.json", b'{"notebook": "00_toy", "measures": [], "claims": []}')},
    ),
    "text.flatten": (
        lambda captions: text.flatten([captions, captions[:1]]),
        lambda rng: {"captions": captions()},
    ),
    "text.TfIdf, its settings": (
        lambda **how: text.TfIdf(**how).fit(captions()).transform(captions()).toarray(),
        lambda rng: {"n_grams": 2, "min_count": 1, "n_words": 5},
    ),
    "text.TfIdf(knows)": (lambda word: text.TfIdf().fit(captions()).knows(word), lambda rng: {"word": "red"}),
    "text.WordVectors(fit, lookup)": (
        lambda captions, tokens: vectors_of().fit(captions).lookup(tokens),
        lambda rng: {"captions": captions(), "tokens": ["red", "green"]},
    ),
    "text.WordVectors, its settings": (
        lambda **how: vectors_of(**how).fit(captions()).lookup(["red", "rex"]),
        lambda rng: {
            "kind": "fasttext",
            "dimension": 4,
            "window": 2,
            "epochs": 1,
            "min_count": 1,
            "n_buckets": 50,
            "seed": 0,
        },
    ),
    "text.WordVectors(knows)": (lambda word: some_vectors().knows(word), lambda rng: {"word": "red"}),
    "text.WordVectors(nearest)": (
        lambda **asked: some_vectors().nearest(**asked),
        lambda rng: {"word": "red", "k": 2},
    ),
    "text.Pooling(fit, transform)": (
        lambda how, fitted, asked: text.Pooling(how).fit(some_vectors(), fitted).transform(asked),
        lambda rng: {"how": "sif", "fitted": captions(), "asked": captions()[:2]},
    ),
    "text.DocVectors(fit, transform)": (
        lambda fitted, asked, **how: text.DocVectors(**how).fit(fitted).transform(asked),
        lambda rng: {
            "fitted": captions(),
            "asked": captions()[:2],
            "dimension": 4,
            "window": 2,
            "epochs": 1,
            "min_count": 1,
            "seed": 0,
        },
    ),
    "text.DocVectors(knows)": (
        lambda word: text.DocVectors(dimension=2, epochs=1, min_count=1).fit(captions()).knows(word),
        lambda rng: {"word": "red"},
    ),
    "text.mistyped": (text.mistyped, lambda rng: {"text": "a grey shirt"}),
    "vector_store.search": (
        stored,
        lambda rng: {
            "embeddings": rows(rng),
            "queries": rows(rng, 3),
            "first_d": 2,
            "shortlist": 5,
            "k": 3,
            "start": 0,
        },
    ),
    "vector_store.upload": (
        uploaded,
        lambda rng: {"embeddings": rows(rng), "start": 0},
    ),
    "vector_store.create": (
        lambda **sizes: vector_store.create(vector_store.connect(), **sizes),
        lambda rng: {"name": "toy", "first_d": 2, "width": 6, "n_shards": 1, "n_replicas": 1},
    ),
    "weights.in_folders": (
        lambda name: weights.in_folders(name)[0],
        lambda rng: {"name": "no such weights"},
    ),
    "weights.file": (
        lambda **named: weights.file(**named),
        lambda rng: {"name": "a", "path": a_file("t.csv", b"a,b\n1,2\n")},
    ),
    "weights.packaged": (weights.packaged, lambda rng: {"name": "no such package"}),
    "weights.to_install": (weights.to_install, lambda rng: {"name": "efficientnet_lite0"}),
    "weights.sha256": (weights.sha256, lambda rng: {"path": a_file("t.csv", b"a,b\n1,2\n")}),
}
