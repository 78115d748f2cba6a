"""What changes when the network itself is trained with the nested loss, and not only a head on its features?

    RETRIEVAL_DATA=... python benchmarks/nested_end_to_end.py [--frozen-stages 0] [--work folder]

writes docs/results/nested_end_to_end.json. Every training begins as one of notebook 11: a linear map and classifiers on
the frozen features of EfficientNet-Lite0. From there the network and the head are trained on together by the same loss:
nested, or ordinary (full width alone), for equally many steps. Some of the classes are never trained.

SETTINGS has the numbers. By default the stem and the first four of the seven groups of blocks stay as they are, so that
their output is computed once; above them lie nine tenths of the network's weights. With --frozen-stages 0 everything is
trained, at three to four times the cost. Batch norms keep their statistics. Maps are computed in bfloat16, trainings in
float32: on the CPU it was measured on, a step above the cut took twice as long in bfloat16.

A run that is stopped is taken up at its last epoch. About 20 minutes on a free CPU thread, by the time of single steps.
"""

import argparse
import copy
import hashlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn

from course.publish import full_runs
from lib import backbones, collection, indexes, nested, networks, relevance, results, training

ROOT = Path(__file__).resolve().parent.parent
NAME, KEPT = "nested_end_to_end", ROOT / "docs" / "results"
SETTINGS = {
    "dataset": "tiny-imagenet-100", "train_split": "train", "query_split": "validation",
    "n_held_out": 20,  # classes that are never trained, drawn once
    "n_train": 100, "n_validation": 10,  # photos of a class; the training photos are the gallery, too
    "backbone": "efficientnet_lite0", "weights": "default", "image_size": 128,
    "frozen_stages": 5,  # of nine that stay as they are: the stem, blocks.0, ..., blocks.6, the last convolution
    "sizes": [8, 16, 32, 64, 128, 256, 512], "between": [12, 24, 48, 96, 192, 384],
    "n_seeds": 3,
    "head": {"epochs": 25, "batch_size": 256, "rate": 3e-3},  # on frozen features, as in notebook 11
    "tuning": {"epochs": 2, "batch_size": 32},
    "rates": [3e-4, 1e-3],  # of the tuning: the better one after an epoch, on validation photos
    "k": 100,
}  # fmt: skip
WAYS = ("nested (MRL)", "ordinary")
SOURCE = "Matryoshka retrieval"
TRIAL_SEED = 1000  # of the trainings that the rate is chosen by
OF_NOTES = ("n_seeds", "between", "k")  # settings that change no training


# ---- photos and the maps below what is trained -----------------------------------------------------------------------


@dataclass
class Part:
    """Photos of one part, their classes and what the frozen stages make of them: float16 (n, c, h, w)."""

    photos: collection.Collection
    classes: np.ndarray
    maps: np.ndarray | None = None
    mirrored: np.ndarray | None = None


def read_parts(settings):
    """train, validation and query of the trained classes, numbered from 0; new gallery and new query of the others."""
    whole = collection.read(settings["dataset"])
    labels, split = whole.column("label").astype(str), whole.column("split")
    names = np.unique(labels)
    order = np.random.default_rng(0).permutation(len(names))
    new, seen = (np.sort(names[each]) for each in np.split(order, [settings["n_held_out"]]))
    n_train, n_validation = settings["n_train"], settings["n_validation"]
    places = {"train": (0, n_train), "validation": (n_train, n_train + n_validation)}
    parts = {}
    for role, known, of, (start, stop) in (
        ("train", seen, "train_split", places["train"]), ("validation", seen, "train_split", places["validation"]),
        ("query", seen, "query_split", (0, None)),
        ("new gallery", new, "train_split", places["train"]), ("new query", new, "query_split", (0, None)),
    ):  # fmt: skip
        rows = [np.flatnonzero((labels == name) & (split == settings[of])) for name in known]
        rows = [np.random.default_rng(0).permutation(each)[start:stop] for each in rows]
        classes = np.repeat(np.arange(len(known)), [len(each) for each in rows])
        parts[role] = Part(whole.subset(np.concatenate(rows)), classes)
    return parts


def cut(network, n_frozen):
    """The network below and above the cut, as modules of their own."""
    stem = nn.Sequential(network.conv_stem, network.bn1)
    last = nn.Sequential(network.conv_head, network.bn2, network.global_pool)
    stages = [stem, *network.blocks, last]
    if not 0 <= n_frozen < len(stages):
        raise ValueError(f"frozen_stages must be from 0 to {len(stages) - 1}, got {n_frozen}")
    return nn.Sequential(*stages[:n_frozen]).eval(), Upper(*stages[n_frozen:]).eval()


class Upper(nn.Sequential):
    """What is trained of the network. Its batch norms keep the statistics of the pretraining."""

    def train(self, mode=True):
        return super().train(False)


class Standardised(nn.Module):
    """Features less their mean, divided by their spread: both of the network before it was trained on."""

    def __init__(self, features):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(features.mean(axis=0)))
        self.register_buffer("spread", torch.from_numpy(features.std(axis=0) + 1e-6))

    def forward(self, x):
        return (x - self.mean) / self.spread


def in_batches(module, rows, size=64):
    """What a module makes of these rows, batch by batch: float32 (n, ...)."""
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        parts = [module(torch.from_numpy(rows[i : i + size]).to(device).float()) for i in range(0, len(rows), size)]
    return torch.cat(parts).float().cpu().numpy()


def map_photos(lower, preprocess, photos, size, mirrored):
    """The output of the frozen stages for each photo, or for its mirror image: float16 (n, c, h, w)."""
    device = next((each.device for each in lower.parameters()), torch.device("cpu"))
    found = []
    for start in range(0, len(photos), 64):
        rows = photos.subset(np.arange(start, min(start + 64, len(photos))))
        x = preprocess(rows.images(size, progress=False)).to(device, memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            found.append(lower(x.flip(3) if mirrored else x).to(torch.float16).cpu().contiguous().numpy())
    return np.concatenate(found)


def add_maps(parts, backbone, settings, work):
    """Fill in the maps of all parts, from `work` where they lie there; returns what is to be trained."""
    lower, upper = cut(backbone.model, settings["frozen_stages"])
    for role, part in parts.items():
        for what in ("maps", "mirrored") if role == "train" else ("maps",):
            path = work / f"{role.replace(' ', '_')}_{what}.npy"
            if not path.exists():
                how = settings["image_size"], what == "mirrored"
                save(path, np.save, map_photos(lower, backbone.preprocess, part.photos, *how))
            setattr(part, what, np.load(path, allow_pickle=False))
    return upper


def save(path, write, *what, **named):
    """Write a file whole or not at all."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as place:
        unfinished = Path(place) / path.name
        write(unfinished, *what, **named)
        os.replace(unfinished, path)


# ---- training --------------------------------------------------------------------------------------------------------


def either(rows, mirrored, classes, rng):
    """A batch in which each photo is itself or its mirror image, by chance."""
    turned = torch.from_numpy(rng.random(len(rows)) < 0.5)
    return torch.where(turned.view(-1, *[1] * (rows.ndim - 1)), mirrored, rows).float(), classes


def fit(model, pair, classes, settings, checkpoint=None):
    """Train the model in place on rows and their mirror images."""
    how = {"drop_last": True, "transform": either, "seed": settings.seed}
    batches = training.Batches([*pair, classes], settings.batch_size, **how)
    nested.train_nested(model, batches, settings, checkpoint=checkpoint)
    return model.eval()


def head_on_frozen(features, classes, sizes, seed, settings):
    """A linear map and classifiers, trained on frozen features as in notebook 11."""
    torch.manual_seed(seed)
    n_classes = classes["train"].max() + 1
    model = nested.Nested(nn.Linear(features["train"].shape[1], sizes[-1]), networks.NestedHead(sizes, n_classes))
    how = nested.NestedSettings(**settings["head"], seed=seed)
    return fit(model, (features["train"], features["mirrored"]), classes["train"], how)


def tuned(frozen, standardised, upper, train, settings, rate, epochs, seed, checkpoint=None):
    """The network above the cut and a copy of the head that was trained on its frozen features, trained on together."""
    body = nn.Sequential(*(copy.deepcopy(each) for each in (upper, standardised, frozen.body)))
    device = next(upper.parameters()).device
    model = nested.Nested(body, copy.deepcopy(frozen.head)).to(device, memory_format=torch.channels_last)
    how = nested.NestedSettings(**settings["tuning"] | {"epochs": epochs}, rate=rate, seed=seed)
    return fit(model, (train.maps, train.mirrored), train.classes, how, checkpoint)


def outcome(model, rows):
    """The embeddings of all parts, and the class each size names for each query: {name: array}."""
    found = {role: in_batches(model.body, each) for role, each in rows.items() if role != "mirrored"}
    scores = nested.class_scores(model.head, found["query"])
    weight, bias = (each.detach().cpu().numpy() for each in model.head.classifiers[-1].parameters())
    return found | {"named": np.stack([each.argmax(axis=1) for each in scores]), "weight": weight, "bias": bias}


def choose_rate(start, parts, settings, seed):
    """The rate of `rates` whose first epoch names most validation photos right, by the mean over sizes."""
    right = {}
    for rate in settings["rates"]:
        model = tuned(*start, parts["train"], settings, rate, 1, seed)
        scores = nested.class_scores(model.head, in_batches(model.body, parts["validation"].maps))
        right[rate] = float(np.mean([(each.argmax(axis=1) == parts["validation"].classes).mean() for each in scores]))
    return max(right, key=right.get), right


def train_all(parts, upper, settings, work):
    """Everything trained and embedded: {(way, body): [outcome of each seed]}, and the rate of each way."""
    classes = {role: part.classes for role, part in parts.items()}
    maps = {role: part.maps for role, part in parts.items()}
    features = {role: in_batches(upper, rows) for role, rows in (maps | {"mirrored": parts["train"].mirrored}).items()}
    standardised = Standardised(features["train"])
    features = {role: in_batches(standardised, rows) for role, rows in features.items()}
    found = {("raw", "frozen"): [{role: rows for role, rows in features.items() if role != "mirrored"}]}
    rates = {}
    for way in WAYS:
        sizes = settings["sizes"] if way == WAYS[0] else settings["sizes"][-1:]
        path = work / f"rate_{way.split()[0]}.json"
        if not path.exists():
            frozen = head_on_frozen(features, classes, sizes, TRIAL_SEED, settings)
            chosen = choose_rate((frozen, standardised, upper), parts, settings, TRIAL_SEED)
            save(path, lambda to, what: to.write_text(json.dumps(what)), chosen)
        rates[way], tried = json.loads(path.read_text())
        print(f"{way}: rate {rates[way]}, validation top-1 after one epoch {tried}", flush=True)
    for seed in range(settings["n_seeds"]):
        for way in WAYS:
            sizes = settings["sizes"] if way == WAYS[0] else settings["sizes"][-1:]
            stem = f"{way.split()[0]}_{seed}"
            for body in ("frozen", "fine-tuned"):
                path = work / f"{stem}_{body}.npz"
                if not path.exists():
                    started = time.process_time()
                    model, rows = head_on_frozen(features, classes, sizes, seed, settings), features
                    if body == "fine-tuned":
                        start, epochs = (model, standardised, upper), settings["tuning"]["epochs"]
                        model = tuned(*start, parts["train"], settings, rates[way], epochs, seed, work / f"{stem}.pt")
                        rows = maps
                    save(path, np.savez, **outcome(model, rows))
                    print(f"{way}, body {body}, seed {seed}: {time.process_time() - started:.0f} s of CPU", flush=True)
                found.setdefault((way, body), []).append(dict(np.load(path, allow_pickle=False)))
    return found, rates


# ---- what is noted ---------------------------------------------------------------------------------------------------


def refitted(embedded, directions, classes):
    """Right or not for each query, by a classifier fitted on the projected training embeddings, as in notebook 11."""
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
    classifier.fit(embedded["train"] @ directions, classes["train"])
    return 1.0 * (classifier.predict(embedded["query"] @ directions) == classes["query"])


def by_rank(embedded, d, classes):
    """Right or not, by the ordinary classifier with its weights replaced by their best approximation of rank d."""
    left, singular, other = np.linalg.svd(embedded["weight"], full_matrices=False)
    scores = embedded["query"] @ (other[:d].T * singular[:d]) @ left[:, :d].T + embedded["bias"]
    return 1.0 * (scores.argmax(axis=1) == classes["query"])


def main_directions(embedded):
    """The directions along which the training embeddings reach furthest, longest first: float32 (d, d)."""
    return np.linalg.svd(embedded["train"], full_matrices=False)[2].T


def accuracy_by_size(of_seeds, classes, sizes):
    """{(method, d): right or not, float (seeds, queries)} of one body: `of_seeds` has the outcomes of both ways."""
    by_nested, ordinary = (of_seeds[way] for way in WAYS)
    right = {("ordinary", sizes[-1]): np.array([1.0 * (each["named"][-1] == classes["query"]) for each in ordinary])}
    main = [main_directions(each) for each in ordinary]
    for place, d in enumerate(sizes):
        right["nested (MRL)", d] = np.array([1.0 * (each["named"][place] == classes["query"]) for each in by_nested])
        if d < sizes[-1]:
            cuts = [(each, main[seed][:, :d]) for seed, each in enumerate(ordinary)]
            right["SVD of ordinary", d] = np.array([refitted(each, to, classes) for each, to in cuts])
            first = [refitted(each, np.eye(sizes[-1])[:, :d], classes) for each in ordinary]
            right["first coordinates of ordinary", d] = np.array(first)
            right["SVD of its classifier", d] = np.array([by_rank(each, d, classes) for each in ordinary])
    return right


def search_ap(gallery, queries, gallery_classes, query_classes, k):
    """AP of the best k by cosine, divisor min(k, R): float (queries,)."""
    index = indexes.FlatIndex("cosine").fit(np.ascontiguousarray(gallery))
    _, neighbours = index.search(np.ascontiguousarray(queries), min(k, len(gallery)))
    return relevance.average_precision(neighbours, query_classes, gallery_classes, k=neighbours.shape[1])


def precision_by_size(of_seeds, classes, roles, every_size, k):
    """{(method, d): AP, float (seeds, queries)} of one body; roles: those of the gallery and of the queries."""
    found = {}
    turned = []
    for each in of_seeds[WAYS[1]]:
        main = main_directions(each)
        turned.append({role: each[role] @ main for role in roles})
    by_nested, ordinary = (of_seeds[way] for way in WAYS)
    rows = {"nested (MRL)": by_nested, "first coordinates of ordinary": ordinary, "SVD of ordinary": turned}
    for method, outcomes in rows.items():
        for d in every_size:
            pairs = [[each[role][:, :d] for role in roles] for each in outcomes]
            found[method, d] = np.array([search_ap(*pair, *(classes[role] for role in roles), k) for pair in pairs])
    return found


def note_all(values, what, clusters, data, **more):
    """Note the means of a table of values by (method, size)."""
    for (method, d), of_queries in values.items():
        results.measure(what, of_queries, data=data, clusters=clusters, method=method, d=d, **more)


def note(found, parts, settings):
    """Measures and claims of everything that was trained."""
    classes = {role: part.classes for role, part in parts.items()}
    sizes, k = settings["sizes"], settings["k"]
    every_size = sorted({*sizes, *settings["between"]})
    searches = {"seen": ("train", "query"), "held out": ("new gallery", "new query")}
    data = f"{settings['dataset']} {settings['query_split']}"
    right, ap = {}, {}
    for body in ("frozen", "fine-tuned"):
        of_seeds = {way: found[way, body] for way in WAYS}
        right[body] = accuracy_by_size(of_seeds, classes, sizes)
        note_all(right[body], "top-1", classes["query"], data, definition="classifier", body=body)
        for which, roles in searches.items():
            ap[body, which] = precision_by_size(of_seeds, classes, roles, every_size, k)
            known = {"definition": "cosine", "body": body, "classes": which}
            note_all(ap[body, which], f"mAP@{k}", classes[roles[1]], data, **known)
    raw = {}
    for which, roles in searches.items():
        rows = [found["raw", "frozen"][0][role] for role in roles]
        raw[which] = search_ap(*rows, *(classes[role] for role in roles), k)
        known = {"definition": "cosine", "body": "frozen", "classes": which, "method": "raw features"}
        results.measure(f"mAP@{k}", raw[which], data=data, clusters=classes[roles[1]], **known)
    of_seeds, roles = {way: found[way, "fine-tuned"] for way in WAYS}, ("train", "validation")
    on_validation = precision_by_size(of_seeds, classes, roles, every_size[:-1], k)
    best = max(every_size[:-1], key=lambda d: on_validation["nested (MRL)", d].mean())
    claim_accuracy(right, classes["query"], sizes)
    claim_search(ap, raw, classes, best, settings)


def claim_accuracy(right, clusters, sizes):
    """What is claimed of top-1."""
    how, (first, full) = {"clusters": clusters, "source": SOURCE}, (sizes[0], sizes[-1])
    few = min(16, sizes[-2])
    mine, frozen = right["fine-tuned"], right["frozen"]
    of_nested = {d: mine["nested (MRL)", d] for d in sizes}
    claim = f"fine-tuned, top-1: {few} coordinates lose less than 4 points to full"
    results.compare(of_nested[full], of_nested[few], claim, below=0.04, paired_seeds=True, **how)
    lost = [each["nested (MRL)", full] - each["nested (MRL)", few] for each in (frozen, mine)]
    claim = f"top-1: {few} coordinates lose less once the network is fine-tuned than on frozen features"
    results.compare(*lost, claim, paired_seeds=True, **how)
    claim = f"top-1, {full}: nested finds more once the network is fine-tuned than on frozen features"
    results.compare(of_nested[full], frozen["nested (MRL)", full], claim, paired_seeds=True, **how)
    claim = f"fine-tuned, top-1, {full}: nested is at most 3 points below ordinary"
    results.compare(of_nested[full], mine["ordinary", full], claim, above=-0.03, **how)
    for rival in ("SVD of ordinary", "SVD of its classifier"):
        claim = f"fine-tuned, top-1, {first}: nested is at least 30 points above the {rival}"
        results.compare(of_nested[first], mine[rival, first], claim, above=0.30, **how)
    claim = f"fine-tuned, top-1, {first}: nested is above the SVD of ordinary"
    results.compare(of_nested[first], mine["SVD of ordinary", first], claim, **how)


def claim_search(ap, raw, classes, best, settings):
    """What is claimed of searches; best: the size below full that finds most for the validation photos."""
    sizes, k, name = settings["sizes"], settings["k"], "nested (MRL)"
    first, full, few = sizes[0], sizes[-1], min(16, sizes[-2])
    how = {"clusters": classes["query"], "source": SOURCE}
    seen, new = ap["fine-tuned", "seen"], ap["fine-tuned", "held out"]
    claim = f"fine-tuned, mAP@{k} peaks before the full width"
    results.compare(seen[name, best], seen[name, full], claim, paired_seeds=True, note=f"(at {best})", **how)
    around = {d: (max(s for s in sizes if s < d), min(s for s in sizes if s > d)) for d in settings["between"]}
    promise = {d: (seen[name, low] + seen[name, high]) / 2 for d, (low, high) in around.items()}
    worst = min(promise, key=lambda d: (seen[name, d] - promise[d]).mean())
    claim = f"mAP@{k}: a size between ({worst}, the worst) is at most 1 point below the mean of its neighbours"
    claim = f"fine-tuned, {claim}"
    results.compare(seen[name, worst], promise[worst], claim, above=-0.01, paired_seeds=True, **how)
    claim = f"fine-tuned, mAP@{k}, {first}: nested is above the SVD of ordinary"
    results.compare(seen[name, first], seen["SVD of ordinary", first], claim, **how)
    how["clusters"] = classes["new query"]
    claim = f"fine-tuned, held-out classes: {full} coordinates find more than {few}"
    results.compare(new[name, full], new[name, few], claim, paired_seeds=True, **how)
    claim = f"fine-tuned, held-out classes, {first}: nested is above the SVD of ordinary"
    results.compare(new[name, first], new["SVD of ordinary", first], claim, **how)
    claim = f"held-out classes, {full}: nested finds more once the network is fine-tuned than on frozen features"
    results.compare(new[name, full], ap["frozen", "held out"][name, full], claim, paired_seeds=True, **how)
    claim = "held-out classes: the raw features find more than the fine-tuned embedding"
    results.compare(raw["held out"], new[name, full], claim, **how)


# ---- the run ---------------------------------------------------------------------------------------------------------


def take_up(settings, work):
    """Train it all below the folder `work`, or take it up there: (parts, outcomes, rates)."""
    decides = {name: value for name, value in settings.items() if name not in OF_NOTES}
    folder = Path(work) / hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    parts = read_parts(settings)
    backbone = backbones.load(settings["backbone"], settings["weights"], image_size=settings["image_size"])
    return parts, *train_all(parts, add_maps(parts, backbone, settings, folder), settings, folder)


def measure(settings, work):
    """Train it all and note it: (results.Record, rates)."""
    parts, found, rates = take_up(settings, work)
    with tempfile.TemporaryDirectory() as place:
        results.begin(NAME, "full", place)
        note(found, parts, settings)
        return results.read(Path(place, "results", "full", f"{NAME}.json")), rates


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="a collection with the splits train and validation and the column label")
    parser.add_argument("--frozen-stages", type=int, help="of nine; 0: the whole network is trained")
    parser.add_argument("--seeds", type=int, dest="n_seeds", help="trainings of each kind")
    parser.add_argument("--work", type=Path, default=ROOT / "reports" / NAME, help="for what is taken up again")
    parser.add_argument("--kept", type=Path, default=KEPT, help="the folder of kept results")
    asked = vars(parser.parse_args(argv))
    given = {name: value for name, value in asked.items() if name in SETTINGS and value not in (None, SETTINGS[name])}
    settings, start = SETTINGS | given, time.perf_counter()
    record, rates = measure(settings, asked["work"])
    seconds, settings = time.perf_counter() - start, settings | {"rate": rates}
    path = full_runs.keep_script(NAME, record, seconds, given, settings, asked["kept"])
    print(f"written: {path}")


if __name__ == "__main__":
    main()
