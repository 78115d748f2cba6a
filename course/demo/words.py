"""Typed words as a query: checked, encoded by a sentence encoder, and mapped into the space that photos share.

The map is linear (canonical correlation, lib/correlation.py): learned from photos and their captions in seconds.
"""

import numpy as np

from lib import cache, collection, correlation

METHOD = "words and photos in one space"
ENCODER = "all-MiniLM-L6-v2"
MOST_LETTERS = 500
N_SHARED, N_CAPTIONS = 128, 3  # coordinates of the shared space; captions of a photo that are learned from
LEAST_CAPTIONED, MOST_CAPTIONED = 64, 2000  # photos with captions to learn from


def checked(typed):
    """The words without white space around them. ValueError for none, and for more than a caption would have."""
    typed = " ".join(str(typed).split())
    if not typed:
        raise ValueError("type a word or a sentence")
    if len(typed) > MOST_LETTERS:
        raise ValueError(f"the text has {len(typed):,} letters; at most {MOST_LETTERS} are read")
    return typed


class Towers:
    """Photos and texts in one space; `learned_from` names the collection whose captions it was learned from."""

    def __init__(self, folder, features):
        """features: photos -> float32 (n, d), what describes the photos of a collection.

        The captions of the collection in `folder` are learned from, where there are enough, else the catalogue's.
        """
        captioned = _with_captions(collection.read(folder))
        if captioned is None:
            captioned = _with_captions(collection.read("catalogue"))
        from lib import text  # only here: it takes seconds

        self.learned_from = captioned.name
        self._encoder = text.sentence_encoder(ENCODER, device="cpu")
        captions = [
            some[(row + j) % len(some)] for j in range(N_CAPTIONS) for row, some in enumerate(captioned.captions)
        ]
        rows = cache.embeddings(
            None, {"captions": cache.digest_array(np.array(captions)), "encoder": ENCODER},
            lambda start, stop: self._encoder.transform(captions[start:stop]), n=len(captions), progress=False,
        )  # fmt: skip
        self._shared = correlation.CanonicalCorrelation(n_x=256, n_y=128, n_shared=N_SHARED)
        self._shared.fit(np.tile(features(captioned), (N_CAPTIONS, 1)), rows)

    def of_photos(self, rows):
        """Photos in the shared space, of what describes them: float32 (n, d)."""
        return self._shared.transform_x(rows)

    def of_text(self, typed):
        """A text in the shared space: float32 (1, d)."""
        return self._shared.transform_y(self._encoder.transform([checked(typed)]))


def _with_captions(photos):
    """Photos of the split "train" that have captions, some where there are many; None for too few to learn from."""
    if "caption_1" not in photos.table or "train" not in set(photos.table["split"]):
        return None
    photos = photos.where("split", "train")
    rows = np.flatnonzero([bool(some) for some in photos.captions])
    if len(rows) < LEAST_CAPTIONED:
        return None
    return photos.subset(rows).sample(min(len(rows), MOST_CAPTIONED), seed=0)
