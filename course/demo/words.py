"""Typed words as a query: checked, encoded, and mapped into a space that photos share.

Two ways into such a space, both learned from photos and their captions: two towers, the recipe at the end of notebook
08, and canonical correlation (CCA), a linear map. In both, hubs are corrected (notebook 08). Towers are trained once
and kept in data/models; a map takes a second. Towers find more among photos like those that they learned from, the
linear map more among photos of another kind: what is drawn is not what a camera sees.
"""

import threading

import numpy as np

from lib import cache, collection, correlation, hubness

TOWERS, LINEAR = "two towers (notebook 08)", "linear map, CCA (notebook 06)"
METHODS = (TOWERS, LINEAR)
ENCODER, COUNTS = "all-MiniLM-L6-v2", "TF-IDF"
MOST_LETTERS = 500
N_CAPTIONS = 3  # of a photo, learned from
LEAST_CAPTIONED, MOST_CAPTIONED = 64, 4000  # photos with captions to learn from
RECIPE = {  # of the towers, as in notebook 08; twice as wide inside, which finds more on validation photos
    "dimension": 256, "hidden": 256, "dropout": 0.2, "temperature": 0.07, "rate": 0.01, "batch": 256, "epochs": 20,
}  # fmt: skip
SEEDS = (0, 1, 2)  # of the towers, whose cosines are averaged
N_NEAREST = 10  # captions from which is seen how near a photo is to everything


def checked(typed):
    """The words without white space around them. ValueError for none, and for more than a caption would have."""
    typed = " ".join(str(typed).split())
    if not typed:
        raise ValueError("type a word or a sentence")
    if len(typed) > MOST_LETTERS:
        raise ValueError(f"the text has {len(typed):,} letters; at most {MOST_LETTERS} are read")
    return typed


class Words:
    """What typed words mean: learned from the captions of a collection, whose name is `learned_from`."""

    def __init__(self, folder, features):
        """features: photos -> float32 (n, d), what describes the photos of a collection.

        The captions of the collection in `folder` are learned from, where there are enough, else the catalogue's.
        `n_captioned`: the photos of the folder that have captions. `methods`: both, the better one first. `encoder`:
        what encodes texts, COUNTS where the sentence encoder is not on this machine; then only words of the captions
        are known.
        """
        own = _with_captions(collection.read(folder))
        self.n_captioned, self.is_borrowed = len(own), len(own) < LEAST_CAPTIONED
        self.methods = METHODS[::-1] if self.is_borrowed else METHODS
        captioned = _with_captions(collection.read("catalogue")) if self.is_borrowed else own
        captioned, self._photos = _described(captioned.sample(MOST_CAPTIONED, seed=0), features)
        self.learned_from, self._mappings, self._busy = captioned.name, {}, threading.RLock()
        captions = [
            some[(row + j) % len(some)] for j in range(N_CAPTIONS) for row, some in enumerate(captioned.captions)
        ]
        self.encoder, self._encode = _encoder(captions)
        key = {"captions": cache.digest_array(np.array(captions)), "encoder": self.encoder}
        compute = lambda start, stop: self._encode(captions[start:stop])  # noqa: E731
        rows = cache.embeddings(None, key, compute, n=len(captions), progress=False)
        self._captions = rows.reshape(N_CAPTIONS, len(captioned), -1)  # caption j of photo i

    def space(self, method, rows):
        """Photos, of what describes them (n, d), in the space they share with words, by one of METHODS.

        Returns float32 (n, e), and the function that gives a text there: text -> (1, e). By cosine they rank as the
        towers' or the map's cosine, less the correction of hubs. The first coordinates tell most.
        """
        with self._busy:
            if method not in self._mappings:
                learn = {TOWERS: _Towers, LINEAR: _Linear}[method]
                self._mappings[method] = learn(self._photos, self._captions, self.encoder)
            mapping = self._mappings[method]
        gallery, typical = mapping.photos(rows), mapping.texts(self._captions[0])
        offsets = hubness.csls_offsets(gallery, typical, N_NEAREST)
        lifted = hubness.lift(typical[:1], gallery, offsets)[1]
        directions = _directions(lifted)

        def describe(typed):  # what `checked` gave
            encoded = self._encode([typed])
            if not encoded.any():
                raise ValueError(f"none of these words is in the captions of {self.learned_from}")
            return hubness.lift(mapping.texts(encoded), gallery[:1], [0.0])[0] @ directions

        return np.ascontiguousarray(lifted @ directions), describe


class _Linear:
    """Photos and captions mapped linearly: the directions that are most correlated."""

    def __init__(self, photos, captions, _):
        self._shared = correlation.CanonicalCorrelation(n_x=256, n_y=128, n_shared=128)
        self._shared.fit(np.tile(photos, (len(captions), 1)), captions.reshape(-1, captions.shape[2]))
        self.photos, self.texts = self._shared.transform_x, self._shared.transform_y


class _Towers:
    """Small networks on both sides, trained from several starts; rows of all side by side: cosines are averaged."""

    def __init__(self, photos, captions, encoder):
        import torch

        self._scale_photos, self._scale_texts = _standard(photos), np.asarray
        if encoder != COUNTS:  # whose rare words would weigh far too much
            self._scale_texts = _standard(captions.reshape(-1, captions.shape[2]))
        x = torch.from_numpy(self._scale_photos(photos))
        y = torch.from_numpy(self._scale_texts(captions))
        key = {name: cache.digest_array(rows.numpy()) for name, rows in (("photos", x), ("captions", y))} | RECIPE
        self._members = [_trained(x, y, key, seed) for seed in SEEDS]

    def photos(self, rows):
        """float32 (n, e)"""
        return self._mapped([member.images for member in self._members], self._scale_photos(rows))

    def texts(self, rows):
        return self._mapped([member.texts for member in self._members], self._scale_texts(rows))

    def _mapped(self, towers, rows):
        import torch

        with torch.inference_mode():
            return np.hstack([tower(torch.from_numpy(rows)).numpy() for tower in towers])


def _trained(x, y, key, seed):
    """Towers trained on photos x (n, d) and captions y (N_CAPTIONS, n, e), or read from data/models."""
    import torch

    from lib import losses, training
    from lib.two_towers import TwoTower

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        towers = TwoTower(
            x.shape[1], y.shape[2], RECIPE["dimension"], RECIPE["hidden"], 2, 2, dropout=RECIPE["dropout"]
        )

    def step(towers, batch):
        (rows,) = batch
        photos, loss = towers.images(x[rows]), 0.0
        for _ in range(N_CAPTIONS):  # a caption of each photo, drawn at random; all others in the batch are wrong
            drawn = y[torch.randint(N_CAPTIONS, (len(rows),)), rows]
            loss = loss + losses.info_nce(photos, towers.texts(drawn), RECIPE["temperature"]) / N_CAPTIONS
        return loss

    def train(checkpoint):
        batches = training.Batches([np.arange(len(x))], min(RECIPE["batch"], len(x)), drop_last=True, seed=seed)
        optimiser = torch.optim.Adam(towers.parameters(), lr=RECIPE["rate"])
        schedule = training.warm_up_cosine(optimiser, RECIPE["epochs"] * len(batches))
        how = {"schedule": schedule, "schedule_each": "batch", "checkpoint": checkpoint, "progress": False}
        return training.train(towers, step, batches, optimiser, RECIPE["epochs"], seed=seed, **how)

    cache.trained(None, key | {"seed": seed, "captions a step": N_CAPTIONS}, towers, train)
    return towers.eval()


def _encoder(captions):
    """The name of what encodes texts, and the function: texts -> float32 (n, d)."""
    from lib import text  # only here: it takes seconds

    try:
        return ENCODER, text.sentence_encoder(ENCODER, device="cpu").transform
    except text.MissingEncoder:
        counts = text.TfIdf(min_count=2).fit(captions)
        return COUNTS, lambda texts: counts.transform(texts).toarray()


def _standard(rows):
    """The function that takes from each column its mean, and divides it by its standard deviation, both of `rows`."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    return lambda some: ((some - mean) / deviation).astype(np.float32)


def _directions(rows):
    """A rotation float32 (d, d), the direction in which rows are longest first."""
    sample = rows[:: max(1, len(rows) // 10_000)].astype(np.float64)
    return np.linalg.eigh(sample.T @ sample)[1][:, ::-1].astype(np.float32)


def _described(photos, features):
    """The photos that open, and what describes them. Each is opened only if one does not: that takes seconds."""
    try:
        return photos, features(photos)
    except ValueError:
        readable, broken = photos.check(progress=False)
        if not len(broken):
            raise
    return readable, features(readable)


def _with_captions(photos):
    """Photos that have captions: of the split "train" where there is one, else of all."""
    if "train" in set(photos.table["split"]):
        photos = photos.where("split", "train")
    return photos.subset([bool(some) for some in photos.captions]) if "caption_1" in photos.table else photos.subset([])
