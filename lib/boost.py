"""The attribute boost: what a few thousand carefully labelled images add to any embedding.

A network with one hidden layer learns to read each image's attributes (and the words of its name) from any embedding.
Its hidden layer is the new embedding. After "Boosting image retrieval with accurately labeled small data".

Needs numpy, pandas and torch. Copy with: networks.py, training.py.
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

try:
    from lib import networks, training
except ModuleNotFoundError:  # copied beside this file
    import networks
    import training

MISSING = -1  # the code of an unknown value, and of the padding after the end of a name
END = 0  # the code of the end of a name


def _check_counts(**counts):
    for name, number in counts.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"{name} must be a positive integer, got {number!r}")


@dataclass(frozen=True)
class Options:
    """The numbers of a training: it stops after `patience` epochs in a row without a lower loss on the rows held back.

    The best epoch's weights are used. With `validation` 0 it stops at a training loss below `stop_below` (source).
    """

    validation: float = 0.1  # share of the rows held back
    epochs: int = 200
    patience: int = 10
    stop_below: float | None = None  # None, unless validation is 0
    batch_size: int = 128
    rate: float = 1e-3  # of Adam, constant
    weight_decay: float = 1e-5
    scale: float | None = None  # embeddings are divided by it, which changes no angle; None: by their root mean square
    n_recurrent: int = 512  # units of the GRU that writes names
    min_count: int = 6  # the vocabulary holds the words that occur in at least this many names
    seed: int = 0

    def __post_init__(self):
        _check_counts(epochs=self.epochs, patience=self.patience, batch_size=self.batch_size)
        _check_counts(n_recurrent=self.n_recurrent, min_count=self.min_count)
        for name in ("rate", "weight_decay"):
            if isinstance(number := getattr(self, name), bool) or not 0 <= number < 1e18:
                raise ValueError(f"{name} must be a number from 0, got {number!r}")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation must be at least 0 and below 1, got {self.validation}")
        if (self.stop_below is not None) != (self.validation == 0):
            got = f"stop_below {self.stop_below} and validation {self.validation}"
            raise ValueError(f"stop_below must be given exactly when validation is 0, got {got}")


@dataclass(frozen=True, eq=False)
class Boosted:
    """What `fit` returns."""

    head: torch.nn.Module  # the trained `networks.BoostHead`
    values: dict  # attribute -> its values, in the order of the classifier's outputs
    vocabulary: list  # the words that names are written with, in the order of their codes from 1; empty without names
    history: pd.DataFrame  # one row an epoch; `history.attrs["best_epoch"]` is the one whose weights the head has

    def embed(self, embeddings, batch_size=4096):
        """The boosted embeddings, rows of length 1: float32 (n, d), as wide as the embeddings given."""
        embeddings, device = _checked(embeddings, self.head.hidden.in_features), next(self.head.parameters()).device
        self.head.eval()
        with torch.inference_mode():
            batches = torch.from_numpy(embeddings).split(batch_size)
            return torch.cat([self.head.embed(batch.to(device)).cpu() for batch in batches]).numpy()

    def predict(self, embeddings):
        """The most probable value of each attribute: DataFrame (n rows, one column an attribute)."""
        device = next(self.head.parameters()).device
        embeddings = torch.from_numpy(_checked(embeddings, self.head.hidden.in_features))
        with torch.inference_mode():
            logits, _ = self.head(embeddings.to(device))
        best = {name: each.argmax(1).cpu().numpy() for name, each in zip(self.values, logits, strict=True)}
        return pd.DataFrame({name: np.array(known)[best[name]] for name, known in self.values.items()})


def fit(embeddings, attributes=None, names=None, options=Options(), watch=None, checkpoint=None, progress=True):
    """Train a `networks.BoostHead` on embeddings (n, d) and their labels, with the loss `boost_loss`: `Boosted`.

    attributes   DataFrame (n rows, a column an attribute): task 1 of the source. The loss skips NaN, None and ""
    names        n texts whose words are to be written (task 2); with attributes too, task 3
    watch        watch(Boosted) -> {name: number} after each epoch: columns "validation_<name>" of the history
    checkpoint, progress  as in `training.train`
    ValueError for embeddings that are not finite (naming the rows), a table or names of another length, an attribute
    with one value or with no value that occurs twice, and names without a frequent word.
    >>> embeddings = np.random.default_rng(0).normal(size=(20, 4))
    >>> table = pd.DataFrame({"sign": np.where(embeddings[:, 0] > 0, "plus", "minus")})
    >>> boosted = fit(embeddings, table, options=Options(epochs=2), progress=False)
    >>> boosted.embed(embeddings).shape, boosted.values, len(boosted.history)
    ((20, 4), {'sign': ['minus', 'plus']}, 2)
    """
    embeddings = _checked(embeddings)
    codes, values, words, vocabulary = _encoded(len(embeddings), attributes, names, options.min_count)
    order = np.random.default_rng(options.seed).permutation(len(embeddings))
    n_held_out = max(1, round(options.validation * len(embeddings))) if options.validation else 0
    held_out, trained = np.split(order, [n_held_out])
    train, validation = ([array[rows] for array in (embeddings, codes, words)] for rows in (trained, held_out))
    n_values, n_words = [len(known) for known in values.values()], len(vocabulary) + 1 if vocabulary else 0
    scale = float(np.sqrt(np.mean(np.square(train[0], dtype=float)))) if options.scale is None else options.scale
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        head = networks.BoostHead(embeddings.shape[1], n_values, n_words, options.n_recurrent, scale=scale)
    head.to("cuda" if torch.cuda.is_available() else "cpu")
    optimiser = torch.optim.Adam(head.parameters(), lr=options.rate, weight_decay=options.weight_decay)
    batches = training.Batches(train, min(options.batch_size, len(trained)), seed=options.seed)

    def validate(model):
        found = {} if watch is None else dict(watch(Boosted(model, values, vocabulary, pd.DataFrame())))
        if len(held_out):
            return found | {"loss": _mean_loss(model, validation)}
        loss = _mean_loss(model, train)
        n_done = int(optimiser.state[head.hidden.weight]["step"]) // len(batches)
        return found | {"training_loss": loss, "countdown": -math.inf if loss < options.stop_below else -n_done}

    monitor, patience = ("validation_loss", options.patience) if len(held_out) else ("validation_countdown", 1)
    history = training.train(
        head, _step, batches, optimiser, options.epochs, validate=validate, monitor=monitor, patience=patience,
        checkpoint=checkpoint, seed=options.seed, progress=progress,
    )  # fmt: skip
    return Boosted(head.eval(), values, vocabulary, history)


def boost_loss(attribute_logits, word_logits, codes, words):
    """Mean over attributes of the cross entropy of the known values, averaged with that of the words: a tensor ().

    attribute_logits: of each attribute (n, values); codes int64 (n, attributes); word_logits (n, length, n_words) or
    None; words int64 (n, length). Codes of -1 are ignored. An attribute that no row of the batch has counts 0.
    >>> undecided = torch.zeros(3, 2)  # two attributes of two values, the second unknown in all rows: (log 2 + 0) / 2
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
    """Draw `n_groups` groups and `group_size` rows of each, in random order: int64 (n_groups * group_size,).

    A group: all rows alike in `columns` (missing is a value). ValueError: unknown column, too few groups of that size.
    >>> table = pd.DataFrame({"colour": ["red", "red", "blue", "red", "blue"]})
    >>> sorted(sample_groups(table, ["colour"], n_groups=1, group_size=3).tolist())
    [0, 1, 3]
    """
    _check_counts(n_groups=n_groups, group_size=group_size)
    groups = _columns(table, columns).reset_index(drop=True).groupby(list(columns), dropna=False, sort=True).indices
    large = [rows for rows in groups.values() if len(rows) >= group_size]
    if len(large) < n_groups:
        largest = f"the largest of {len(groups)} groups has {max(map(len, groups.values()), default=0)} rows"
        wanted = f"{n_groups} groups of {group_size} rows by {', '.join(columns)}"
        raise ValueError(f"expected {wanted}, got {len(large)} ({largest})")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(large), n_groups, replace=False)
    rows = np.concatenate([rng.choice(large[group], group_size, replace=False) for group in chosen])
    return rng.permutation(rows).astype(np.int64)


def encode_attributes(table, columns=None):
    """A table as integers: codes int64 (n, attributes), and attribute -> its values, sorted; code i is value i.

    NaN, None and "" are -1. ValueError for an unknown column (None: all), or an attribute with one value or none twice.
    >>> codes, values = encode_attributes(pd.DataFrame({"colour": ["red", "blue", None, "red"]}))
    >>> codes[:, 0].tolist(), values
    ([1, 0, -1, 1], {'colour': ['blue', 'red']})
    """
    table = _columns(table, columns)
    codes, values = np.full(table.shape, MISSING, np.int64), {}
    for place, name in enumerate(table.columns):
        column = table[name].astype(object)
        known = ~(column.isna() | (column == "")).to_numpy()
        counts = Counter(column[known])
        if len(counts) < 2:
            only = f"only {next(iter(counts))!r}" if counts else "none"
            raise ValueError(f"expected at least 2 values of attribute {name!r} in {len(table)} rows, got {only}")
        if max(counts.values()) == 1:
            raise ValueError(f"expected a value of {name!r} that occurs twice, got {len(counts)} in {known.sum()} rows")
        values[name] = sorted(counts, key=lambda value: (str(type(value)), value))
        code_of = {value: code for code, value in enumerate(values[name])}
        codes[known, place] = [code_of[value] for value in column[known]]
    return codes, values


def encode_names(names, min_count=6):
    """Names as word codes, int64 (n, length of the longest + 1), and the vocabulary, most frequent first.

    Code i from 1 is vocabulary[i - 1]; 0 ends a name; -1 pads the row, and fills it where no word is left: those in
    fewer than `min_count` names are left out. ValueError if none is left at all.
    >>> encode_names(["red shoe", "old shoe", "Red hat", ""], min_count=2)[0].tolist()
    [[1, 2, 0], [2, 0, -1], [1, 0, -1], [-1, -1, -1]]
    """
    words = [words_of(name) for name in names]
    counts = Counter(word for each in words for word in dict.fromkeys(each))
    vocabulary = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    if not vocabulary:
        raise ValueError(f"expected a word in at least {min_count} of the {len(words)} names, got none")
    code_of = {word: code for code, word in enumerate(vocabulary, 1)}
    sequences = [[code_of[word] for word in each if word in code_of] for each in words]
    codes = np.full((len(sequences), 1 + max(map(len, sequences))), MISSING, np.int64)
    for row, sequence in enumerate(sequences):
        if sequence:
            codes[row, : len(sequence) + 1] = [*sequence, END]
    return codes, vocabulary


def words_of(name):
    """The words of a text in lower case: runs of letters and digits, with apostrophes and hyphens inside them.
    >>> words_of("Nike Men's T-shirt, 2 pack & cap")
    ['nike', "men's", 't-shirt', '2', 'pack', 'cap']
    """
    if name is None or name != name:
        raise ValueError(f"expected a name as text, got {name!r}")
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", str(name).lower())


def word_sets(names):
    """Which name contains which word: bool (n, w), and the w words, sorted.
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


def _encoded(n, attributes, names, min_count):
    """Codes and values of the attributes, word codes and vocabulary of the names; (n, 0) and empty without them."""
    if attributes is None and names is None:
        raise ValueError("expected attributes, names or both, got neither")
    codes, values = (np.zeros((n, 0), np.int64), {}) if attributes is None else encode_attributes(attributes)
    words, vocabulary = (np.zeros((n, 0), np.int64), []) if names is None else encode_names(names, min_count)
    for what, array in (("rows of attributes", codes), ("names", words)):
        if len(array) != n:
            raise ValueError(f"expected {n} {what}, one for each embedding, got {len(array)}")
    return codes, values, words, vocabulary


def _step(model, batch):
    embeddings, codes, words = batch
    words = words[:, : int((words != MISSING).any(dim=0).sum())]  # as long as the longest name of the batch
    return boost_loss(*model(embeddings, words), codes, words)


def _cross_entropy(logits, codes):
    known = (codes != MISSING).sum().clamp(min=1)
    return functional.cross_entropy(logits, codes, ignore_index=MISSING, reduction="sum") / known


def _mean_loss(head, arrays, batch_size=1024):
    device, total = next(head.parameters()).device, 0.0
    for start in range(0, len(arrays[0]), batch_size):
        rows = [torch.from_numpy(array[start : start + batch_size]).to(device) for array in arrays]
        total += len(rows[0]) * _step(head, rows).item()
    return total / len(arrays[0])


def _checked(embeddings, d=None):
    """Embeddings float32 (n, d), C-contiguous and finite."""
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or 0 in embeddings.shape or not np.issubdtype(embeddings.dtype, np.floating):
        raise ValueError(f"embeddings must be floating point (n, d), got {embeddings.dtype} {embeddings.shape}")
    if d is not None and embeddings.shape[1] != d:
        raise ValueError(f"expected {d} dimensions, got {embeddings.shape[1]}")
    embeddings = np.ascontiguousarray(embeddings, np.float32)
    broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if broken.size:
        some = ", ".join(map(str, broken[:10])) + (", ..." if broken.size > 10 else "")
        raise ValueError(f"embeddings must be finite, got NaN or infinite values in {broken.size} rows: {some}")
    return embeddings


def _columns(table, columns: Sequence[str] | None):
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"expected a DataFrame, got {type(table).__name__}")
    columns = [columns] if isinstance(columns, str) else list(table.columns if columns is None else columns)
    if not columns:
        raise ValueError(f"expected at least one of the columns {', '.join(map(str, table.columns))}, got none")
    for column in columns:
        if column not in table.columns:
            known = [str(name) for name in table.columns]
            near = difflib.get_close_matches(str(column), known, n=3, cutoff=0.4) or known
            raise ValueError(f"no column {column!r}; did you mean {', '.join(near)}?")
    return table[columns]
