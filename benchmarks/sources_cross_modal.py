"""The cross-modal recipes of two sources, trained as they were published, from several starts, on Flickr8k.

    RETRIEVAL_DATA=... RETRIEVAL_WEIGHTS=... python benchmarks/sources_cross_modal.py

writes docs/results/sources_cross_modal.json; `make results` puts it beside the published numbers in RESULTS.md. About
half an hour on one CPU thread once the photos are embedded, and as long again for that.

Source 3 (Conde, Martin and López, Image retrieval): photos by VGG, captions by the mean or the sum of fastText or BERT
vectors; two towers without normalisation; a triplet loss whose anchor is the query of the direction; Adam at 0.01,
batches of 1,024, 25 epochs; output sizes 256 to 4,096. Source 5 (text to image in a shared space): an autoencoder
brings the photo features to 100 numbers; a text tower with its own word vectors is trained onto that code, by RMSE or
by triplets, for 15 epochs. The width of the towers, the margin, the negatives and the metric behind "accuracy" are not
published: SETTINGS has what was taken, and several metrics are measured.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from course.publish import full_runs
from lib import backbones, cache, collection, crossmodal, losses, relevance, results, text, training
from lib.two_towers import TwoTower

NAME, KEPT = "sources_cross_modal", Path(__file__).resolve().parent.parent / "docs" / "results"
T2I, I2T = "text to image", "image to text"
DEFINITIONS = {  # of what counts as right
    T2I: ("each caption asks", "one caption a photo"),
    I2T: ("any of its captions", "one given caption", "one caption a photo"),
}
SETTINGS = {
    "dataset": "flickr8k", "n_train": 6000, "n_test": 1000, "n_seeds": 3,
    "backbone": "vgg16_features", "image_size": 128, "encoder": "all-MiniLM-L6-v2",
    "n_word": 300, "word_epochs": 10, "min_count": 2,
    "sizes": [256, 512, 1024, 2048, 4096], "hidden": 256, "margin": 1.0, "rate": 0.01, "batch_size": 1024, "epochs": 25,
    "code_size": 100, "code_rate": 0.001, "code_batch_size": 256, "code_epochs": 15,
}  # fmt: skip


# ---- features ------------------------------------------------------------------------------------------------------


def read_parts(settings):
    """Photos to learn from and to search, as collections, by the given split; those without a caption left out."""
    whole = collection.read(settings["dataset"])
    whole = whole.subset(np.flatnonzero([any(text.tokens(each) for each in some) for some in whole.captions]))
    split = crossmodal.split_as_given(whole.table["split"], settings["n_train"], 1, settings["n_test"])
    return {"train": whole.subset(split.train), "test": whole.subset(split.test)}


def embed_photos(network, photos, size):
    """Embeddings of the photos, kept in the cache: float32 (n, d)."""
    pixels = lambda rows: photos.subset(rows).images(size, progress=False)  # noqa: E731
    compute = lambda rows: backbones.embed(network, pixels(rows), progress=False)  # noqa: E731
    return cache.by_image(None, {"size": size} | network.key, photos.paths, compute, progress=False)


def pool_tokens(encoder, captions):
    """The mean and the sum of an encoder's token vectors: {"mean": float32 (n, d), "sum": float32 (n, d)}."""

    def sum_and_count(start, stop):
        how = {"output_value": "token_embeddings", "batch_size": 64, "show_progress_bar": False}
        vectors = [each.cpu().numpy() for each in encoder.model.encode(captions[start:stop], **how)]
        return np.array([[*each.sum(axis=0), len(each)] for each in vectors], np.float32)

    key = {"encoder": encoder.name, "of": "sum and number of tokens", "texts": cache.digest_array(np.array(captions))}
    rows = cache.embeddings(None, key, sum_and_count, len(captions), progress=False)
    return {"mean": rows[:, :-1] / rows[:, -1:], "sum": np.ascontiguousarray(rows[:, :-1])}


def embed_captions(texts, encoder, settings):
    """Every way of the source to make a vector of a caption: {name: {part: float32 (n, d)}}."""
    words = text.WordVectors(
        "fasttext", dimension=settings["n_word"], epochs=settings["word_epochs"], min_count=settings["min_count"]
    ).fit(texts["train"])
    features = {}
    for how in ("mean", "sum"):
        pooling = text.Pooling(how).fit(words, texts["train"])
        features[f"fastText, {how}"] = {part: pooling.transform(some) for part, some in texts.items()}
    of_tokens = {part: pool_tokens(encoder, some) for part, some in texts.items()}
    for how in ("mean", "sum"):
        features[f"BERT-kind, {how}"] = {part: rows[how] for part, rows in of_tokens.items()}
    return features


def standardised(rows):
    """Each column less its mean and by its standard deviation, both of the training rows: {part: float32 (n, d)}.

    As they come, the numbers of photos spread 50 times as far as those of captions, and the towers from text to image
    end near chance.
    """
    mean, deviation = rows["train"].mean(axis=0), rows["train"].std(axis=0) + 1e-6
    return {part: ((some - mean) / deviation).astype(np.float32) for part, some in rows.items()}


# ---- source 3: two towers by triplets ------------------------------------------------------------------------------


def train_towers(photos, captions, photo_of, direction, size, seed, settings):
    """Towers trained by triplets whose anchor is the query. The negative is the next row's positive, drawn at random.

    photos (n, d) and captions (m, d) are tensors of the training rows, photo_of int (m,) the ascending photo of each
    caption. In an epoch each photo is seen once, with one of its captions.
    """
    torch.manual_seed(seed)
    towers = TwoTower(photos.shape[1], captions.shape[1], size, settings["hidden"])
    first = torch.from_numpy(np.searchsorted(photo_of, np.arange(len(photos))))
    many = torch.from_numpy(np.bincount(photo_of))

    def step(towers, batch):
        rows = batch[0]
        drawn = first[rows] + (torch.rand(len(rows)) * many[rows]).long()
        u, v = towers.image_tower(photos[rows]), towers.text_tower(captions[drawn])
        anchors, positives = (v, u) if direction == T2I else (u, v)
        return losses.triplet(anchors, positives, positives.roll(1, 0), settings["margin"])

    batches = training.Batches([np.arange(len(photos))], settings["batch_size"], seed=seed)
    optimiser = torch.optim.Adam(towers.parameters(), lr=settings["rate"])
    training.train(towers, step, batches, optimiser, settings["epochs"], seed=seed, progress=False)
    return towers.eval()


def nearest_first(queries, gallery):
    """Two sets of rows whose cosines rank as the Euclidean distances of these do: float64 (q, d + 2), (n, d + 2).

    |q - g|² = |q|² - 2 (q·g - |g|²/2): the bracket is an inner product once |g|²/2 is a coordinate of g, and a cosine
    up to a factor of the query once another coordinate gives all g one length.
    >>> a, b = nearest_first([[1.0]], [[3.0], [0.0]])
    >>> bool((a @ b.T)[0, 1] > (a @ b.T)[0, 0])  # 0 is nearer to 1 than 3 is
    True
    """
    queries, gallery = np.asarray(queries, np.float64), np.asarray(gallery, np.float64)
    scale = np.sqrt((gallery**2).sum(axis=1).mean()) or 1.0  # rounding is least where lengths are near 1
    queries, gallery = queries / scale, gallery / scale
    longer = np.column_stack([gallery, (gallery**2).sum(axis=1) / 2])
    lengths = (longer**2).sum(axis=1)
    fill = np.sqrt(np.maximum(lengths.max() - lengths, 0.0))
    minus = np.tile([-1.0, 0.0], (len(queries), 1))
    return np.hstack([queries, minus]), np.column_stack([longer, fill])


def ranks_of(photos, captions, photo_of, direction):
    """The rank of the right item by each definition of it: {definition: float64 (q,)}, by Euclidean distance."""
    own, one = np.arange(len(photos)), np.searchsorted(photo_of, np.arange(len(photos)))  # its first caption
    rank = lambda a, b, *labels: relevance.match_ranks(*nearest_first(a, b), *labels)  # noqa: E731
    if direction == T2I:
        every = rank(captions, photos, photo_of, own)
        ranks = every, every[one]
    else:
        ranks = (
            rank(photos, captions, own, photo_of),
            rank(photos, captions, one, np.arange(len(captions))),
            rank(photos, captions[one], own, own),
        )
    return dict(zip(DEFINITIONS[direction], ranks, strict=True))


def search_by_towers(photos, captions, photo_of, settings):
    """Ranks of the test by every text vector, direction and size: {(...): {definition: (seeds, q)}}.

    Those of each training are kept in the cache, so that a run that is stopped is taken up where it was.
    """
    found, photos = {}, {part: torch.from_numpy(rows) for part, rows in photos.items()}
    n, m = len(photos["test"]), len(photo_of["test"])
    known = {name: settings[name] for name in ("hidden", "margin", "rate", "batch_size", "epochs")}
    known |= {f"photos, {part}": cache.digest_array(rows.numpy()) for part, rows in photos.items()}
    known |= {f"photo of, {part}": cache.digest_array(rows) for part, rows in photo_of.items()}
    for (name, rows), direction, size in itertools.product(captions.items(), (I2T, T2I), settings["sizes"]):
        if name.startswith("BERT") and size > min(settings["sizes"]):
            continue  # the source prints no number of them
        rows, start = {part: torch.from_numpy(some) for part, some in rows.items()}, time.process_time()

        def ranks_of_start(seed, _, rows=rows, direction=direction, size=size):
            of = photos["train"], rows["train"], photo_of["train"]
            towers = train_towers(*of, direction, size, seed, settings)
            with torch.no_grad():
                u, v = towers.image_tower(photos["test"]).numpy(), towers.text_tower(rows["test"]).numpy()
            return np.concatenate([*ranks_of(u, v, photo_of["test"], direction).values()])[None]

        key = known | {f"captions, {part}": cache.digest_array(some.numpy()) for part, some in rows.items()}
        key |= {"ranks of": "source 3", "direction": direction, "size": size}
        ranks = cache.embeddings(None, key, ranks_of_start, settings["n_seeds"], part=1, progress=False)
        lengths = [m if what == "each caption asks" else n for what in DEFINITIONS[direction]]
        parts = np.split(ranks, np.cumsum(lengths)[:-1], axis=1)
        found[name, direction, size] = dict(zip(DEFINITIONS[direction], parts, strict=True))
        told = ", ".join(f"{what} {(some <= 10).mean():.3f}" for what, some in found[name, direction, size].items())
        print(f"{name}, {direction}, {size}: R@10 {told}; {time.process_time() - start:.0f} s", flush=True)
    return found


# ---- source 5: a text tower onto an autoencoder's code ---------------------------------------------------------------


class WordTower(nn.Module):
    """Word vectors of its own, averaged over a text, a hidden layer, and a linear layer onto the code."""

    def __init__(self, n_words, width, code_size):
        super().__init__()
        self.words = nn.EmbeddingBag(n_words + 1, width, mode="mean", padding_idx=0)
        self.hidden, self.out = nn.Linear(width, width), nn.Linear(width, code_size)

    def forward(self, ids):
        return self.out(functional.relu(self.hidden(self.words(ids))))


def number_words(texts, min_count):
    """The words of each text as numbers from 1, 0 where there is no more: ({part: int64 (n, longest)}, how many words).

    Known are the words that so many training texts have; the others are left out.
    """
    known = text.TfIdf(min_count=min_count).fit(texts["train"]).words
    number, ids = {word: i for i, word in enumerate(known, start=1)}, {}
    for part, some in texts.items():
        rows = [torch.tensor([number[word] for word in text.tokens(each) if word in number]) for each in some]
        ids[part] = nn.utils.rnn.pad_sequence(rows, batch_first=True).long()
    return ids, len(known)


def fit_code(model, step, n, seed, settings):
    batches = training.Batches([np.arange(n)], settings["code_batch_size"], seed=seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings["code_rate"])
    training.train(model, step, batches, optimiser, settings["code_epochs"], seed=seed, progress=False)


def root_mean_square(difference):
    return difference.square().mean().sqrt()


def encode_photos(photos, seed, settings):
    """The code of an autoencoder trained on the training photos, of mean square 1 there: {part: float32 (n, code)}."""
    torch.manual_seed(seed)
    train, d = photos["train"], photos["train"].shape[1]
    coder = nn.Sequential(nn.Linear(d, settings["code_size"]), nn.Linear(settings["code_size"], d))

    def rebuild(coder, batch):
        return root_mean_square(coder(train[batch[0]]) - train[batch[0]])

    fit_code(coder, rebuild, len(train), seed, settings)
    with torch.no_grad():
        code = {part: coder[0](rows) for part, rows in photos.items()}
    return {part: rows / root_mean_square(code["train"]) for part, rows in code.items()}


def train_text_tower(ids, n_words, code, photo_of, loss, seed, settings):
    """A text tower trained onto the code of each text's photo; the other photo of a triplet is drawn at random."""
    torch.manual_seed(seed)
    tower, photo_of = WordTower(n_words, settings["hidden"], code.shape[1]), torch.from_numpy(photo_of)

    def step(tower, batch):
        out, right = tower(ids[batch[0]]), code[photo_of[batch[0]]]
        if loss == "RMSE":
            return root_mean_square(out - right)
        return losses.triplet(out, right, right.roll(1, 0), settings["margin"])

    fit_code(tower, step, len(ids), seed, settings)
    return tower.eval()


def search_by_code(photos, texts, photo_of, settings):
    """Ranks of the right photo: {(loss, what asks): float64 (seeds, q)}. One caption asks, or all of a photo."""
    photos, own = {part: torch.from_numpy(rows) for part, rows in photos.items()}, np.arange(len(photos["test"]))
    whole = [" ".join(np.array(texts["test"])[photo_of["test"] == i]) for i in own]
    ids, n_words = number_words({**texts, "whole": whole}, settings["min_count"])
    asked, found = {"one caption": ("test", photo_of["test"]), "all captions of a photo": ("whole", own)}, {}
    for seed in range(settings["n_seeds"]):
        code = encode_photos(photos, seed, settings)
        for loss in ("RMSE", "triplet"):
            tower = train_text_tower(ids["train"], n_words, code["train"], photo_of["train"], loss, seed, settings)
            for what, (part, labels) in asked.items():
                with torch.no_grad():
                    sides = nearest_first(tower(ids[part]).numpy(), code["test"].numpy())
                found.setdefault((loss, what), []).append(relevance.match_ranks(*sides, labels, own))
    return {key: np.stack(ranks) for key, ranks in found.items()}


# ---- what is noted -------------------------------------------------------------------------------------------------


def note_towers(found, photo_of, data):
    """R@k of source 3's towers, by all that was varied, and the claims about them."""
    clusters, hits = {"each caption asks": photo_of}, {}
    for (captions, direction, size), ranks in found.items():
        for definition, some in ranks.items():
            for k in (1, 5, 10):
                known = {"direction": direction, "captions": captions, "size": size, "method": "source 3"}
                hit = crossmodal.recall_at(some, k)
                results.measure(
                    f"R@{k}", hit, data=data, definition=definition, clusters=clusters.get(definition), **known
                )
            hits[captions, direction, size, definition] = hit
    first, *sizes = sorted({size for _, _, size in found})
    published = (("fastText, sum", T2I, "each caption asks"), ("fastText, mean", I2T, "any of its captions"))
    for captions, direction, definition in published:
        for size in sizes:
            pair = [hits[captions, direction, each, definition] for each in (size, first)]
            claim = f"{direction}, {captions}: output size {size} is within 3 points of {first}"
            results.compare(*pair, claim, within=0.03, clusters=clusters.get(definition), source="source 3")
    for direction, definition in ((T2I, "each caption asks"), (I2T, "any of its captions")):
        of = {captions: hits[captions, direction, first, definition] for captions in {name for name, _, _ in found}}
        how = {"clusters": clusters.get(definition), "source": "source 3"}
        pair = of["fastText, sum"], of["fastText, mean"]
        results.compare(*pair, f"{direction}: sum and mean of fastText are within 5 points", within=0.05, **how)
        pair = of["BERT-kind, mean"], of["fastText, mean"]
        results.compare(*pair, f"{direction}: the mean of BERT-kind vectors beats that of fastText", **how)
    alike = [hits["fastText, mean", direction, first, "one caption a photo"] for direction in (T2I, I2T)]
    results.compare(*alike, "one caption a photo: text to image beats image to text", source="source 3")


def note_code(found, photo_of, data):
    """How often the right photo is among the first 20 by source 5's shared space, and the claims about it."""
    hits = {}
    for (loss, what), ranks in found.items():
        clusters = photo_of if what == "one caption" else None
        hits[loss, what] = crossmodal.recall_at(ranks, 20)
        known = {"loss": loss, "asks": what, "method": "source 5"}
        noted = results.measure("R@20", hits[loss, what], data=data, clusters=clusters, **known)
        results.claim(
            f"{loss}, {what}: 65 % of the right photos are among the first 20",
            (noted.value, noted.low, noted.high), above=0.65, source="source 5",
        )  # fmt: skip
    for what in dict.fromkeys(what for _, what in found):
        clusters = photo_of if what == "one caption" else None
        claim = f"{what}: triplets and RMSE are within 3 points"
        results.compare(
            hits["triplet", what], hits["RMSE", what], claim, within=0.03, clusters=clusters, source="source 5"
        )


# ---- the run -------------------------------------------------------------------------------------------------------


def measure(parts, network, encoder, settings, folder):
    """Train and search it all, and note it: a results.Record."""
    flat = {part: text.flatten(photos.captions) for part, photos in parts.items()}
    texts, photo_of = ({part: both[i] for part, both in flat.items()} for i in (0, 1))
    photos = {part: embed_photos(network, some, settings["image_size"]) for part, some in parts.items()}
    captions = embed_captions(texts, encoder, settings)
    results.begin(NAME, "full", folder)
    data = f"{parts['test'].name} test"
    note_code(search_by_code(photos, texts, photo_of, settings), photo_of["test"], data)
    photos, captions = standardised(photos), {name: standardised(rows) for name, rows in captions.items()}
    note_towers(search_by_towers(photos, captions, photo_of, settings), photo_of["test"], data)
    return results.read(Path(folder, "results", "full", f"{NAME}.json"))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default=SETTINGS["dataset"], help="a collection with captions")
    parser.add_argument("--kept", type=Path, default=KEPT, help="the folder of kept results")
    asked = parser.parse_args(argv)
    settings = SETTINGS | {"dataset": asked.dataset}
    start, given = time.perf_counter(), {} if settings == SETTINGS else {"dataset": asked.dataset}
    network = backbones.load(settings["backbone"], image_size=settings["image_size"])
    encoder = text.sentence_encoder(settings["encoder"])
    with tempfile.TemporaryDirectory() as folder:
        record = measure(read_parts(settings), network, encoder, settings, folder)
    print(f"written: {full_runs.keep_script(NAME, record, time.perf_counter() - start, given, settings, asked.kept)}")


if __name__ == "__main__":
    main()
