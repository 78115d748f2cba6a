"""The four plots of source 2 at its own size: MAP, query time, bytes and building time at 1.28 million rows.

    python benchmarks/million_rows.py [--folder data/million_rows] [--rows 1281167] [--keep docs/results]

Flat search, KD-tree, LSH and IVF-PQ over the first 16 to 512 coordinates of nested embeddings, HNSW over 16 to 128 (a
graph of more takes too long on one core), and so its rival at equal recall, LSH with a second look at whole rows. The
rows are made as in notebook 10: Tiny ImageNet through EfficientNet-Lite0 and a nested head, enlarged within its
classes. One thread and processor time; each number is of our classes' `search`.

One structure is held at a time, beside the rows, which lie in a file that is mapped: at most 8 GB of memory. What is
measured goes to a file each, so a run that was stopped goes on where it was. About 45 minutes and 3 GB of disk.

It writes docs/results/million_rows.json; `make results` draws the four plots of it and puts its numbers in RESULTS.md.
The KD-tree is exact, and slow in many coordinates, so it answers only the queries that are timed; its answers there are
compared with those of flat search, and its MAP is that of flat search over all queries.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from course import ROOT
from course.files import write_text
from course.publish import full_runs
from course.records import LastRun
from lib import backbones, cache, collection, indexes, nested, networks, relevance, results, training, vectors
from lib.significance import bootstrap_interval

NAME = "million_rows"  # of the record
PART = 100_000  # rows that are made at once


@dataclass(frozen=True)
class Settings:
    """What is measured; the defaults are those of the kept record."""

    rows: int = 1_281_167
    widths: tuple = (16, 32, 64, 128, 256, 512)
    graph_widths: tuple = (16, 32, 64, 128)
    k: int = 100
    noise: float = 0.6
    n_single: int = 20
    n_rounds: int = 3
    n_links: int = 16
    build_width: int = 64
    search_widths: tuple = (100, 200, 400, 800, 1600)
    n_lists: int = 1024
    n_probe: int = 16
    n_bits: int = 256
    factors: tuple = (4, 16, 64, 256, 1024)

    def structures(self):
        """Name -> (index, the widths that it is measured at), the exact ones first."""
        hnsw = indexes.HNSWIndex("cosine", self.n_links, self.build_width, self.search_widths[0])
        return {
            "flat": (indexes.FlatIndex(), self.widths),
            "KD-tree": (indexes.KDTreeIndex(), self.widths),
            "LSH": (indexes.LSHIndex(n_bits=self.n_bits), self.widths),
            "IVF-PQ": (indexes.IVFPQIndex(n_lists=self.n_lists, n_probe=self.n_probe), self.widths),
            "HNSW": (hnsw, self.graph_widths),
            "LSH refined": (RefinedLSH(self.n_bits, self.factors[0]), self.graph_widths),
        }

    def swept(self, name):
        """The setting of a structure that buys recall with time, and its values; None for the others."""
        return {"HNSW": ("search_width", self.search_widths), "LSH refined": ("k_factor", self.factors)}.get(name)


class RefinedLSH:
    """The best k_factor * k rows by codes of n_bits are compared in full, by cosine (FAISS's IndexRefineFlat)."""

    def __init__(self, n_bits, k_factor):
        self.settings = {"n_bits": n_bits, "k_factor": k_factor}

    def fit(self, gallery):
        self._codes = faiss.IndexLSH(gallery.shape[1], self.settings["n_bits"], True, False)
        self._index = faiss.IndexRefineFlat(self._codes)
        self._index.add(vectors.unit_rows(gallery))
        return self

    def search(self, queries, k):
        """Squared distances of rows of length 1 and neighbours, both (q, k), nearest first."""
        self._index.k_factor = self.settings["k_factor"]
        return self._index.search(vectors.unit_rows(queries), k)

    @property
    def nbytes(self):
        return faiss.serialize_index(self._index).nbytes


# ---- the rows ------------------------------------------------------------------------------------------------------


def nested_embeddings(dataset, n_images=20_000, n_queries=1000, image_size=128, sizes=(8, 16, 32, 64, 128, 256, 512)):
    """Embeddings and labels of images and of queries, as notebook 10 makes them: (rows, labels, queries, labels)."""
    network = backbones.load("efficientnet_lite0", image_size=image_size)

    def embedded(split, n):
        photos = collection.read(dataset, split).sample(n)

        def embed(rows):
            return backbones.embed(network, photos.subset(rows).images(image_size, progress=False), progress=False)

        key = {"size": image_size} | network.key
        return cache.by_image(None, key, photos.paths, embed, progress=False), photos.column("label")

    (raw, labels), (raw_queries, query_labels) = embedded("train", n_images), embedded("validation", n_queries)
    names, classes = np.unique(labels, return_inverse=True)
    torch.manual_seed(0)
    body = nn.Linear(raw.shape[1], sizes[-1])
    model = nested.Nested(body, networks.NestedHead(sizes, len(names)))
    batches = training.Batches([torch.from_numpy(raw), torch.from_numpy(classes)], size=min(128, len(raw)))
    nested.train_nested(model, batches, nested.NestedSettings(epochs=12))
    rows, queries = (body(torch.from_numpy(each)).detach().numpy() for each in (raw, raw_queries))
    return rows, labels, queries, query_labels


def write_gallery(folder, rows, labels, n, noise):
    """n rows enlarged from the given ones, in parts, to gallery.npy and labels.npy; what is there is not made again."""
    path, unfinished = folder / "gallery.npy", folder / "gallery.unfinished.npy"
    if path.is_file() and len(np.load(path, mmap_mode="r")) == n:
        return
    gallery = np.lib.format.open_memmap(unfinished, "w+", np.float32, (n, rows.shape[1]))
    gallery[: len(rows)], names = rows[:n], [labels[:n]]
    for part, start in enumerate(range(len(rows), n, PART)):
        stop = min(start + PART, n)
        made, its_labels = vectors.enlarged(rows, labels, len(rows) + stop - start, noise, seed=part)
        gallery[start:stop] = made[len(rows) :]
        names.append(its_labels[len(rows) :])
    gallery.flush()
    np.save(folder / "labels.npy", np.concatenate(names))
    unfinished.replace(path)


# ---- measuring -----------------------------------------------------------------------------------------------------


def single_ms(index, queries, k, n_rounds):
    """Milliseconds of each query (q, d) by itself, the median of rounds: float64 (q,)."""
    ones = [np.ascontiguousarray(query[None]) for query in queries]
    acts = [lambda one=one: index.search(one, k) for one in ones]
    return 1000 * np.median(indexes.seconds_in_turns(acts, n_rounds), axis=0)


def measure(name, index, gallery, queries, exact, settings):
    """Build the structure over gallery (n, d) and search it: a dict of arrays. `exact`: neighbours (q, k), or None."""
    k, asked = settings.k, queries[: settings.n_single]
    with threadpool_limits(1):
        start = time.process_time()
        index.fit(gallery)
        built = time.process_time()
        neighbours = index.search(asked if name == "KD-tree" else queries, k)[1]
        searched = time.process_time()
    costs = {"build_s": built - start, "batch_ms": 1000 * (searched - built) / len(neighbours)}
    costs["neighbours"] = neighbours
    costs["single_ms"] = single_ms(index, asked, k, 1 if name == "KD-tree" else settings.n_rounds)
    if exact is not None:
        costs["recall"] = indexes.recall_of_neighbours(neighbours, exact[: len(neighbours)])
    if settings.swept(name):
        setting, values = settings.swept(name)
        by_value = []
        for value in values:
            index.settings[setting] = value
            with threadpool_limits(1):
                recall = indexes.recall_of_neighbours(index.search(queries, k)[1], exact)
            by_value.append((recall.mean(), single_ms(index, asked, k, settings.n_rounds)))
        costs["sweep_recall"], costs["sweep_ms"] = (np.array(each) for each in zip(*by_value, strict=True))
    return costs | {"index_bytes": index.nbytes, "spent_s": time.process_time() - start}


def measure_all(folder, queries, settings, say=print):
    """Each structure at each width, the missing ones only: files <width>-<name>.npz in the folder."""
    gallery = np.load(folder / "gallery.npy", mmap_mode="r")
    for name, (_, widths) in settings.structures().items():
        for d in widths:
            path, exact_path = folder / f"{d}-{name}.npz", folder / f"{d}-flat.npz"
            if path.is_file():
                continue
            index = settings.structures()[name][0]  # a new one, so that no other is held
            exact = None if name == "flat" else np.load(exact_path)["neighbours"]
            rows = gallery if d == gallery.shape[1] else np.ascontiguousarray(gallery[:, :d])
            costs = measure(name, index, rows, np.ascontiguousarray(queries[:, :d]), exact, settings)
            unfinished = path.with_suffix(".unfinished.npz")
            np.savez(unfinished, **costs)
            unfinished.replace(path)
            took = f"{costs['spent_s']:.0f} s, {costs['build_s']:.0f} of them to build"
            say(f"{name}, {d} coordinates: {took}; a query {np.median(costs['single_ms']):.3g} ms")


# ---- the record ----------------------------------------------------------------------------------------------------


def read(folder, query_labels, settings):
    """(name, width) -> what was measured, with AP of each query, NaN-free recall and all."""
    labels, found = np.load(folder / "labels.npy"), {}
    for name, (_, widths) in settings.structures().items():
        for d in widths:
            costs = dict(np.load(folder / f"{d}-{name}.npz"))
            judged = query_labels[: len(costs["neighbours"])]
            ap = relevance.average_precision(costs["neighbours"], judged, labels, settings.k)
            if name == "flat":
                costs["recall"] = np.ones(len(ap))
            if name == "KD-tree":
                of_flat = found["flat", d]["ap"]
                if not np.allclose(ap, of_flat[: len(ap)], atol=1e-3):
                    raise ValueError(f"expected the KD-tree at {d} coordinates to answer as flat search does")
                ap = of_flat
            found[name, d] = costs | {"ap": ap}
    return found


def note(found, query_labels, data, settings):
    """Measures and claims, through lib.results."""
    k, by_class = settings.k, {"clusters": query_labels}
    for (name, d), costs in found.items():
        of = {"data": data, "method": name, "d": d}
        how = "answers of flat search, which it gave on the timed queries" if name == "KD-tree" else None
        results.measure(f"mAP@{k}", costs["ap"], definition=how, **by_class, **of)
        results.measure(f"recall@{k}", costs["recall"], **of)
        results.measure("single query", costs["single_ms"], unit="ms", **of)
        results.measure("query in a batch", float(costs["batch_ms"]), unit="ms", **of)
        results.measure("size of the file", float(costs["index_bytes"]), unit="bytes", **of)
        results.measure("build time", float(costs["build_s"]), unit="s", **of)
    for d in settings.graph_widths:
        for other in ("HNSW", "LSH"):
            text = f"the KD-tree is above {other} in mAP, {d} coordinates"
            results.compare(found["flat", d]["ap"], found[other, d]["ap"], text, show=False, **by_class)
    for d in settings.graph_widths:
        note_speed(found, d, data, settings)


def note_speed(found, d, data, settings):
    """How many times as fast as the other ways HNSW is at recall 0.95: by its narrowest search that reaches it.

    LSH, too, takes the fewest second looks that reach it, or the most there are.
    """
    at_recall = {other: (found[other, d]["single_ms"], "exact") for other in ("KD-tree", "flat")}
    for name in ("HNSW", "LSH refined"):
        (setting, values), costs = settings.swept(name), found[name, d]
        setting = {"search_width": "efSearch"}.get(setting, setting)  # as FAISS calls it
        for value, recall, ms in zip(values, costs["sweep_recall"], costs["sweep_ms"], strict=True):
            of = {"data": data, "method": name, "d": d, setting: value}
            results.measure(f"recall@{settings.k}", float(recall), **of)
            results.measure("single query", ms, unit="ms", **of)
        suffices = costs["sweep_recall"] >= 0.95
        place = int(suffices.argmax()) if suffices.any() else len(values) - 1
        reached = f"{setting} {values[place]}, recall {costs['sweep_recall'][place]:.3f}"
        at_recall[name] = costs["sweep_ms"][place], reached
    graph_ms, graph_setting = at_recall.pop("HNSW")
    reaches = found["HNSW", d]["sweep_recall"].max() >= 0.95
    for other, (ms, setting) in at_recall.items():
        logs = np.log(ms / graph_ms)
        ratio = tuple(np.exp([logs.mean(), *bootstrap_interval(logs)])) if reaches else None
        evidence = f"{graph_setting}; {other}: {setting}; {len(logs)} queries"
        text = f"single queries: HNSW at recall 0.95 takes at most a fifth of the time of {other}, {d} coordinates"
        results.claim(text, ratio, above=5, unit="times", evidence=evidence)


def keep(folder, query_labels, dataset, settings, kept):
    """Write the record of all that was measured to `kept`: its path."""
    found = read(folder, query_labels, settings)
    with TemporaryDirectory() as place:
        results.begin(NAME, "full", place)
        note(found, query_labels, f"{dataset} train, enlarged to {settings.rows} rows", settings)
        noted = results.read(Path(place, "results", "full", f"{NAME}.json"))
    parameters = {"dataset": dataset} | {name: _plain(value) for name, value in asdict(settings).items()}
    seconds = sum(float(costs["spent_s"]) for costs in found.values())
    state = {"ended": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "seconds": seconds, "given": {}}
    state["parameters"] = parameters
    run = full_runs.record(LastRun(NAME, state, noted.made_with, noted.measures, noted.claims))
    run["command"] = f"python benchmarks/{NAME}.py"
    kept.mkdir(parents=True, exist_ok=True)
    path = kept / full_runs.file_name(run)
    write_text(path, json.dumps(run, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def main(folder, embedded, dataset, settings, kept, say=print):
    """From embeddings, (rows, labels, queries, labels) as `embedded()` gives them, to the record: its path."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "embeddings.npz").is_file():
        unfinished = folder / "embeddings.unfinished.npz"
        made = [each.astype(str) if each.dtype == object else each for each in map(np.asarray, embedded())]
        np.savez(unfinished, **dict(zip(("rows", "labels", "queries", "query_labels"), made, strict=True)))
        unfinished.replace(folder / "embeddings.npz")
    rows, labels, queries, query_labels = (np.load(folder / "embeddings.npz")[each] for each in
                                           ("rows", "labels", "queries", "query_labels"))  # fmt: skip
    write_gallery(folder, rows, labels, settings.rows, settings.noise)
    measure_all(folder, queries, settings, say)
    return keep(folder, query_labels, dataset, settings, kept)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / NAME)
    parser.add_argument("--rows", type=int, default=Settings.rows)
    parser.add_argument("--dataset", default="tiny-imagenet-100")
    parser.add_argument("--keep", type=Path, default=ROOT / "docs" / "results")
    asked = parser.parse_args()
    given = asked.folder, lambda: nested_embeddings(asked.dataset), asked.dataset, Settings(rows=asked.rows), asked.keep
    print(f"written: {main(*given)}")
