"""The attribute boost: what a few thousand careful labels add to any embedding.

A network with one hidden layer learns to read each image's attributes (and the words of its name) from an embedding
that another network, PCA or a histogram made. Its hidden layer then replaces the embedding in a search. After
"Boosting image retrieval with accurately labeled small data".

Contents
    fit                 train on embeddings and a table of attributes, or names, or both -> Boosted
    Boosted             what came of it; `.embed(embeddings)` gives the boosted ones
    sample_groups       rows of a table: so many groups of equal attributes, so many of each
    encode_attributes   a table as whole numbers
    encode_names        names as sequences of word numbers
    words_of, word_sets the words of a name; which name has which word

Needs numpy, pandas, torch. The network (`networks.BoostHead`) and the training loop (`training`) are handed in, so this
file imports nothing else of the course.
"""

import difflib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

__all__ = ["Boosted", "encode_attributes", "encode_names", "fit", "sample_groups", "word_sets", "words_of"]

MISSING = -1  # the code of a value that is not known, and of what stands behind the end of a name
END = 0  # the code of the end of a name


@dataclass(frozen=True, eq=False)
class Boosted:
    """What `fit` returns.

    head         the trained network
    values       attribute -> its values, in the order of the classifier's outputs
    vocabulary   the words that are written, in the order of their codes from 1; empty without names
    history      one row an epoch; `history.attrs["best_epoch"]` is the one whose weights were kept
    """

    head: torch.nn.Module
    values: dict
    vocabulary: list
    history: pd.DataFrame

    def embed(self, embeddings, batch_size=4096):
        """The boosted embeddings, rows of length 1: float32 (n, d), as wide as those that came."""
        embeddings, device = _checked(embeddings), next(self.head.parameters()).device
        if embeddings.shape[1] != self.head.hidden.in_features:
            raise ValueError(f"trained on {self.head.hidden.in_features} dimensions, came {embeddings.shape[1]}")
        boosted = np.empty_like(embeddings)
        self.head.eval()
        with torch.inference_mode():
            for start in range(0, len(embeddings), batch_size):
                batch = torch.from_numpy(embeddings[start : start + batch_size]).to(device)
                boosted[start : start + batch_size] = self.head.embed(batch).cpu().numpy()
        return boosted

    def predict(self, embeddings):
        """The most probable value of each attribute: DataFrame (n rows, a column an attribute)."""
        device = next(self.head.parameters()).device
        with torch.inference_mode():
            logits, _ = self.head(torch.from_numpy(_checked(embeddings)).to(device))
        best = (each.argmax(1).cpu().numpy() for each in logits)
        return pd.DataFrame(
            {name: np.array(known)[rows] for (name, known), rows in zip(self.values.items(), best, strict=True)}
        )


def fit(
    embeddings,
    attributes=None,
    names=None,
    *,
    networks,
    training,
    validation=0.1,
    epochs=200,
    patience=10,
    enough=None,
    batch_size=128,
    rate=1e-3,
    weight_decay=1e-5,
    n_recurrent=512,
    min_count=6,
    seed=0,
    watch=None,
    checkpoint=None,
    progress=True,
):
    """Train a `networks.BoostHead` on embeddings (n, d) with their labels, and return it as `Boosted`.

    attributes   DataFrame of n rows: every column is an attribute, every value a class. A missing value (NaN, None, "")
                 says nothing: it is left out of the loss. This is task 1 of the source
    names        n texts whose words are to be written (task 2); with attributes too it is task 3
    validation   share of the rows that is held back. Training stops after `patience` epochs in a row that do not lower
                 their loss, and the weights of the best epoch are kept. With 0 all rows are trained on, until the
                 training loss is below `enough` (as in the source) or `epochs` have passed
    min_count    a word of the vocabulary is in at least so many of the names (6: more than 5 times)
    watch        watch(Boosted) -> {name: number} after each epoch: columns "validation_<name>" of the history
    rate, weight_decay   of Adam, whose learning rate stays as it is
    checkpoint, progress  as in `training.fit`

    The loss is the mean over attributes of their cross entropies; with names, the mean of that and of the words' cross
    entropy. Embeddings are divided by one number, their root mean square, which changes no angle.

    ValueError for embeddings that are not finite (which rows), tables and names of another length, an attribute with
    one value or with as many values as rows, names without a word that is frequent enough.
    """
    embeddings = _checked(embeddings)
    if attributes is None and names is None:
        raise ValueError("there is nothing to learn: attributes, names or both are needed")
    if not 0 <= validation < 1:
        raise ValueError(f"validation is a share of the rows, from 0 to below 1; got {validation}")
    if (enough is not None) != (validation == 0):
        raise ValueError("`enough` says when to stop without a validation part: give it where validation is 0")
    n, d = embeddings.shape
    codes, values = np.zeros((n, 0), np.int64), {}
    if attributes is not None:
        codes, values = encode_attributes(attributes)
    words, vocabulary = np.zeros((n, 0), np.int64), []
    if names is not None:
        words, vocabulary = encode_names(names, min_count)
    for what, array in (("attributes", codes), ("names", words)):
        if len(array) != n:
            raise ValueError(f"{n} embeddings and {len(array)} {what}: as many are needed")

    order = np.random.default_rng(seed).permutation(n)
    held, kept = np.split(order, [round(validation * n)])
    arrays = [embeddings, codes, words]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = networks.BoostHead(
            d,
            [len(known) for known in values.values()],
            len(vocabulary) + 1 if vocabulary else 0,
            n_recurrent,
            scale=float(np.sqrt(np.mean(np.square(embeddings[kept], dtype=np.float64)))),
        )
    head.to("cuda" if torch.cuda.is_available() else "cpu")
    optimiser = torch.optim.Adam(head.parameters(), lr=rate, weight_decay=weight_decay)
    batches = training.Batches([array[kept] for array in arrays], min(batch_size, len(kept)), seed=seed)

    def validate(model):
        found = {} if watch is None else dict(watch(Boosted(model, values, vocabulary, pd.DataFrame())))
        rows = held if len(held) else kept
        loss = _mean_loss(model, [array[rows] for array in arrays])
        if len(held):
            return found | {"loss": loss}
        n_done = int(optimiser.state[head.hidden.weight]["step"]) // len(batches)
        return found | {"training_loss": loss, "countdown": -math.inf if loss < enough else -n_done}

    history = training.fit(
        head,
        _step,
        batches,
        optimiser,
        epochs,
        validate=validate,
        monitor="validation_loss" if len(held) else "validation_countdown",
        patience=patience if len(held) else 1,
        checkpoint=checkpoint,
        seed=seed,
        progress=progress,
    )
    return Boosted(head.eval(), values, vocabulary, history)


def boost_loss(attribute_logits, word_logits, codes, words):
    """Mean over attributes of the cross entropy of the known values, averaged with that of the words: a tensor ().

    attribute_logits: of each attribute (n, values); codes int64 (n, attributes); word_logits (n, length, n_words) or
    None; words int64 (n, length). A code of -1 counts nowhere. An attribute that no row of the batch has counts 0.

    Two undecided attributes of two values, the second one unknown in all rows: (log 2 + 0) / 2.

    >>> undecided = torch.zeros(3, 2)
    >>> boost_loss([undecided, undecided], None, torch.tensor([[0, -1], [1, -1], [1, -1]]), None)
    tensor(0.3466)
    """
    parts = []
    if attribute_logits:
        each = [_cross_entropy(logits, codes[:, column]) for column, logits in enumerate(attribute_logits)]
        parts.append(sum(each) / len(each))
    if word_logits is not None:
        parts.append(_cross_entropy(word_logits.flatten(0, 1), words.flatten()))
    return sum(parts) / len(parts)


def sample_groups(table, columns, n_groups=100, group_size=40, seed=0):
    """Rows of `n_groups` groups, `group_size` of each, in random order: int64 (n_groups * group_size,).

    A group is all rows of the table with the same values in all of `columns`; a missing value is a value here. Groups
    with fewer than `group_size` rows are left out, the others are equally likely, and so are their rows. ValueError for
    a column that is not there (the nearest are offered), and where there are fewer groups than asked (how many).

    >>> table = pd.DataFrame({"colour": ["red", "red", "blue", "red", "blue"]})
    >>> sorted(sample_groups(table, ["colour"], n_groups=1, group_size=3).tolist())
    [0, 1, 3]
    """
    for what, number in (("n_groups", n_groups), ("group_size", group_size)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"{what} must be a whole number, at least 1; got {number!r}")
    groups = _columns(table, columns).reset_index(drop=True).groupby(list(columns), dropna=False, sort=True).indices
    large = [rows for rows in groups.values() if len(rows) >= group_size]
    if len(large) < n_groups:
        raise ValueError(
            f"{n_groups} groups of {group_size} asked, but only {len(large)} of the {len(groups)} groups by "
            f"{', '.join(columns)} have {group_size} rows (the largest has {max(map(len, groups.values()), default=0)})"
        )
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(large), n_groups, replace=False)
    rows = np.concatenate([rng.choice(large[group], group_size, replace=False) for group in chosen])
    return rng.permutation(rows).astype(np.int64)


def encode_attributes(table, columns=None):
    """A table as whole numbers: codes int64 (n, attributes), and attribute -> its values, sorted; code i is value i.

    A missing value (NaN, None, "") has code -1. `columns`: those wanted (None: all). ValueError for a column that is
    not there (the nearest are offered), an attribute with one value, or one in which no value comes twice.

    >>> codes, values = encode_attributes(pd.DataFrame({"colour": ["red", "blue", None, "red"]}))
    >>> codes[:, 0].tolist(), values
    ([1, 0, -1, 1], {'colour': ['blue', 'red']})
    """
    table = _columns(table, list(table.columns) if columns is None else columns)
    codes, values = np.full(table.shape, MISSING, np.int64), {}
    for place, name in enumerate(table.columns):
        column = table[name].astype(object)
        known = ~(column.isna() | (column == "")).to_numpy()
        counts = Counter(column[known])
        if len(counts) < 2:
            only = f"one value, {next(iter(counts))!r}," if counts else "no value"
            raise ValueError(f"attribute {name!r} has {only} in {len(table)} rows: nothing can be learned from it")
        if max(counts.values()) == 1:
            raise ValueError(f"attribute {name!r} has {len(counts)} values in {known.sum()} rows, none of them twice")
        values[name] = sorted(counts, key=lambda value: (str(type(value)), value))
        code_of = {value: code for code, value in enumerate(values[name])}
        codes[known, place] = [code_of[value] for value in column[known]]
    return codes, values


def encode_names(names, min_count=6):
    """Names as numbers of words, int64 (n, length of the longest + 1), and the vocabulary, most frequent first.

    Code i from 1 is vocabulary[i - 1]; 0 ends a name; -1 fills the row. Words in fewer than `min_count` names are left
    out. A name without any word left is missing: -1 throughout.

    >>> encode_names(["red shoe", "old shoe", "Red hat", ""], min_count=2)[0].tolist()
    [[1, 2, 0], [2, 0, -1], [1, 0, -1], [-1, -1, -1]]
    """
    words = [words_of(name) for name in names]
    counts = Counter(word for each in words for word in dict.fromkeys(each))
    vocabulary = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    if not vocabulary:
        raise ValueError(f"no word is in {min_count} or more of the {len(words)} names: there is nothing to write")
    code_of = {word: code for code, word in enumerate(vocabulary, 1)}
    sequences = [[code_of[word] for word in each if word in code_of] for each in words]
    codes = np.full((len(sequences), 1 + max(map(len, sequences))), MISSING, np.int64)
    for row, sequence in enumerate(sequences):
        if sequence:
            codes[row, : len(sequence) + 1] = [*sequence, END]
    return codes, vocabulary


def words_of(name):
    """The words of a text in lower case: runs of letters and digits, with inner apostrophes and hyphens.

    >>> words_of("Nike Men's T-shirt, 2 pack & cap")
    ['nike', "men's", 't-shirt', '2', 'pack', 'cap']
    """
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", str(name).lower())


def word_sets(names):
    """Which name has which word: bool (n, w), and the w words, sorted.

    >>> word_sets(["red shoe", "shoe"])
    (array([[ True,  True],
           [False,  True]]), ['red', 'shoe'])
    """
    words = [words_of(name) for name in names]
    vocabulary = sorted({word for each in words for word in each})
    column = {word: place for place, word in enumerate(vocabulary)}
    sets = np.zeros((len(words), len(vocabulary)), bool)
    for row, each in enumerate(words):
        sets[row, [column[word] for word in each]] = True
    return sets, vocabulary


def _step(model, batch):
    embeddings, codes, words = batch
    words = words[:, : int((words != MISSING).any(dim=0).sum())]  # as long as the longest name of the batch
    return boost_loss(*model(embeddings, words), codes, words)


def _cross_entropy(logits, codes):
    known = (codes != MISSING).sum().clamp(min=1)
    return functional.cross_entropy(logits, codes, ignore_index=MISSING, reduction="sum") / known


def _mean_loss(head, arrays, batch_size=1024):
    """The loss over all rows, each batch weighed by its rows."""
    device = next(head.parameters()).device
    total = 0.0
    for start in range(0, len(arrays[0]), batch_size):
        rows = [torch.from_numpy(array[start : start + batch_size]).to(device) for array in arrays]
        total += len(rows[0]) * _step(head, rows).item()
    return total / len(arrays[0])


def _checked(embeddings):
    """Embeddings float32 (n, d), C-contiguous and finite."""
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or 0 in embeddings.shape or not np.issubdtype(embeddings.dtype, np.floating):
        raise ValueError(f"embeddings are {embeddings.dtype} {embeddings.shape}; floating point (n, d) is needed")
    embeddings = np.ascontiguousarray(embeddings, np.float32)
    broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if broken.size:
        some = ", ".join(map(str, broken[:10])) + (", ..." if broken.size > 10 else "")
        raise ValueError(f"NaN or infinite values in {broken.size} of {len(embeddings)} embeddings: rows {some}")
    return embeddings


def _columns(table, columns: Sequence[str]):
    """These columns of the table, or an error that offers the nearest names."""
    columns = [columns] if isinstance(columns, str) else list(columns)
    if not columns:
        raise ValueError(f"no column asked; the table has: {', '.join(map(str, table.columns))}")
    for column in columns:
        if column not in table.columns:
            known = [str(name) for name in table.columns]
            near = difflib.get_close_matches(str(column), known, n=3, cutoff=0.4) or known
            raise ValueError(f"no column {column!r}; the nearest: {', '.join(near)}")
    return table[columns]
