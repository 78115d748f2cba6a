"""Who is relevant? By equal labels, shared labels, the tree of classes, attributes and words, or the one right item.

``neighbours`` (q, k) holds gallery rows, best answer first, as every search of indexes.py returns them.

Needs numpy. Copy with: metrics.py
"""

from typing import NamedTuple

import numpy as np

try:
    from lib import metrics
except ModuleNotFoundError:  # copied beside this file
    import metrics


class Judged(NamedTuple):
    relevance: np.ndarray  # bool (q, k), of each neighbour
    n_relevant: np.ndarray  # int64 (q,), in the whole gallery


def judge(neighbours, query_labels, gallery_labels, self_in_gallery=False):
    """Which neighbours carry their query's label, and how many such items the gallery holds: Judged.

    As every metric asks: `metrics.recall_at_k(*judge(neighbours, labels, labels, True), k)`. See the two functions.
    >>> judge([[2, 0]], ["shoe"], ["hat", "hat", "shoe"])
    Judged(relevance=array([[ True, False]]), n_relevant=array([1]))
    """
    relevance = same_class(neighbours, query_labels, gallery_labels)
    return Judged(relevance, count_relevant(query_labels, gallery_labels, self_in_gallery))


def average_precision(neighbours, query_labels, gallery_labels, k=None, self_in_gallery=False, divisor="min(k, R)"):
    """Average precision of the neighbours, relevant being those of the query's class: float64 (q,), NaN without any.

    k defaults to all of them, `divisor` is one of `metrics.DIVISORS`. With self_in_gallery, every query is a gallery
    item and must not be among its own neighbours.
    >>> average_precision([[2, 0]], ["hat"], ["hat", "hat", "shoe"]).tolist()  # a hit at rank 2, of 2 hats: (1 / 2) / 2
    [0.25]
    """
    return metrics.average_precision_at_k(*judge(neighbours, query_labels, gallery_labels, self_in_gallery), k, divisor)


def same_class(neighbours, query_labels, gallery_labels):
    """Whether each neighbour carries its query's label: bool (q, k).

    neighbours (q, k) holds gallery rows; query_labels (q,) and gallery_labels (n,) are both numbers or both text.
    ValueError for a row outside the gallery (some searches return -1 where they found nothing).
    >>> same_class([[2, 0], [1, 2]], ["shoe", "hat"], ["hat", "hat", "shoe"]).tolist()
    [[True, False], [True, False]]
    """
    query_labels, gallery_labels = _labels_pair(query_labels, gallery_labels)
    neighbours = _neighbours(neighbours, len(query_labels), len(gallery_labels))
    return gallery_labels[neighbours] == query_labels[:, None]  # (q, k)


def count_relevant(query_labels, gallery_labels, self_in_gallery=False):
    """How many gallery items carry each query's label: int64 (q,).

    With self_in_gallery, every query is itself a gallery item and is not counted as its own answer.
    >>> count_relevant(["shoe", "hat", "bag"], ["hat", "hat", "shoe"]).tolist()
    [1, 2, 0]
    """
    query_labels, gallery_labels = _labels_pair(query_labels, gallery_labels)
    if len(query_labels) == 0:
        return np.zeros(0, dtype=np.int64)
    known, inverse = np.unique(np.concatenate([gallery_labels, query_labels]), return_inverse=True)
    counts = np.bincount(inverse[: len(gallery_labels)], minlength=len(known))[inverse[len(gallery_labels) :]]
    if self_in_gallery:
        missing = query_labels[counts == 0]
        if len(missing):
            without = f"got {len(missing)} without, the first {missing[0]!r}"
            raise ValueError(f"self_in_gallery needs every query's label in the gallery, {without}")
        counts = counts - 1
    return counts.astype(np.int64)


def label_iou(query_label_sets, gallery_label_sets, neighbours):
    """Intersection over union of the label sets of query and neighbour: float64 (q, k), 0 to 1.

    The label sets are bool, (q, L) and (n, L). Two empty sets share nothing: 0.
    >>> label_iou([[1, 1, 0]], [[1, 1, 0], [1, 0, 0], [0, 1, 1]], [[0, 1, 2]]).round(3).tolist()
    [[1.0, 0.5, 0.333]]
    """
    queries = metrics.bool_sets(query_label_sets, "query_label_sets")
    gallery = metrics.bool_sets(gallery_label_sets, "gallery_label_sets")
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"expected as many labels in both sets, got {queries.shape[1]} and {gallery.shape[1]}")
    neighbours = _neighbours(neighbours, len(queries), len(gallery))
    query_bits, gallery_bits = _pack(queries), _pack(gallery)  # (q, w), (n, w)
    query_sizes, gallery_sizes = queries.sum(axis=1), gallery.sum(axis=1)
    iou = np.zeros(neighbours.shape)
    for rows in metrics.batches(len(queries), neighbours.shape[1] * query_bits.shape[1]):
        shared = np.bitwise_count(gallery_bits[neighbours[rows]] & query_bits[rows, None]).sum(axis=-1, dtype=np.int64)
        union = query_sizes[rows, None] + gallery_sizes[neighbours[rows]] - shared  # (b, k)
        np.divide(shared, union, out=iou[rows], where=union > 0)
    return iou


def hierarchy_similarity(query_labels, gallery_labels, hierarchy, neighbours=None):
    """How far down the tree of classes query and neighbour go together: float64 (q, k), 0 to 1; by default (q, n).

    Depth of the lowest common ancestor over the mean depth of the two leaves (Wu and Palmer, 1994): 0 with only the
    root in common, 1 for equal classes. hierarchy has the columns ``class`` and ``parent`` (a DataFrame, or a dict of
    lists); the parent of a root is missing, empty, or itself. Several roots hang on one more root above them.
    >>> tree = {"class": ["all", "cat", "truck", "tiger", "lion"], "parent": ["", "all", "all", "cat", "cat"]}
    >>> hierarchy_similarity(["tiger"], ["tiger", "lion", "truck"], tree).tolist()
    [[1.0, 0.5, 0.0]]
    """
    query_labels, gallery_labels = _labels_pair(query_labels, gallery_labels)
    if neighbours is not None:
        neighbours = _neighbours(neighbours, len(query_labels), len(gallery_labels))
    used, inverse = np.unique(np.concatenate([query_labels, gallery_labels]), return_inverse=True)
    paths, depths = _paths_from_root(used, hierarchy)  # (c, depth + 1), (c,)
    common = np.zeros((len(used), len(used)), dtype=np.int64)
    together = np.ones((len(used), len(used)), dtype=bool)
    for level in paths.T[1:]:  # one step a level of the tree, not a query
        together &= (level[:, None] == level[None, :]) & (level[:, None] >= 0)
        common += together
    similarity = np.eye(len(used))  # a root compared with itself has depth 0 over 0: equal classes score 1
    np.divide(2.0 * common, depths[:, None] + depths, out=similarity, where=depths[:, None] + depths > 0)
    query_classes, gallery_classes = inverse[: len(query_labels)], inverse[len(query_labels) :]
    gallery_classes = gallery_classes[None] if neighbours is None else gallery_classes[neighbours]
    return similarity[query_classes[:, None], gallery_classes]


def label_similarity(query_attributes, gallery_attributes, query_words, gallery_words):
    """The share of the query's words that an item has, if all their attributes are equal, else 0: float64 (q, n).

    query_attributes (q, a) and gallery_attributes (n, a) are tables of numbers or text (one column may be (q,), (n,));
    what is missing is written as a value and is equal to itself. query_words (q, w) and gallery_words (n, w) are bool:
    which word of a vocabulary each name has. A query without a word is similar to nothing. It is not symmetric: the
    words counted are the query's. The whole q x n table is made, so hand in some queries at a time. After the code of
    "Boosting image retrieval with accurately labeled small data".
    A red shoe called "light shoe", against a red "light boot", a red "old hat" and a blue "light shoe":
    >>> has = [[1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]  # light, old, hat, boot, shoe
    >>> label_similarity([["red"]], [["red"], ["red"], ["blue"]], [[1, 0, 0, 0, 1]], has).tolist()
    [[0.5, 0.0, 0.0]]
    """
    words, more_words = metrics.bool_sets(query_words, "query_words"), metrics.bool_sets(gallery_words, "gallery_words")
    if words.shape[1] != more_words.shape[1]:
        raise ValueError(f"expected as many words in both vocabularies, got {words.shape[1]} and {more_words.shape[1]}")
    ours = _attributes(query_attributes, len(words), "query_attributes")
    theirs = _attributes(gallery_attributes, len(more_words), "gallery_attributes")
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"expected as many attributes in both tables, got {ours.shape[1]} and {theirs.shape[1]}")
    equal = np.ones((len(ours), len(theirs)), dtype=bool)
    for column in range(ours.shape[1]):
        ours_here, theirs_here = _labels_pair(ours[:, column], theirs[:, column])
        equal &= ours_here[:, None] == theirs_here[None, :]
    shared = words.astype(np.float32) @ more_words.T.astype(np.float32)  # (q, n), whole numbers: exact
    return np.where(equal, shared / np.maximum(words.sum(axis=1), 1)[:, None], 0.0)


def _attributes(attributes, n, name):
    attributes = np.asarray(attributes)
    attributes = attributes[:, None] if attributes.ndim == 1 else attributes
    if attributes.ndim != 2 or len(attributes) != n:
        raise ValueError(f"{name} must have shape ({n} items, attributes), got {attributes.shape}")
    return attributes


def match_ranks(queries, gallery, query_labels, gallery_labels, self_in_gallery=False):
    """The rank of each query's nearest right item in the whole gallery: float64 (q,), from 1, NaN where none is right.

    queries (q, d) and gallery (n, d) are embeddings; an item is right if it carries the query's label. For captions
    that search their photo, the label is the number of the photo: one item is right. For photos that search their
    captions several are, and the best of them counts. Nearness is the cosine, 0 to all for a row of zeros.
    With self_in_gallery the queries are the gallery, and row i is never its own answer.

    Ties count as in a shuffled gallery. Of w wrong items and m right ones at the same distance, w / (m + 1) wrong ones
    stand before the first right one on average: rank = 1 + (wrong items that are nearer) + w / (m + 1), which need not
    be whole. An embedding that is the same for all items gets the rank of chance, never rank 1.
    The two wrong items are as near as the right one: rank 1, 2 or 3, on average 2.
    >>> match_ranks([[1, 0]], [[2, 0], [1, 0], [3, 0], [0, 1]], ["a"], ["a", "b", "c", "d"]).tolist()
    [2.0]
    """
    query_labels, gallery_labels = _labels_pair(query_labels, gallery_labels)
    queries, gallery = _embeddings(queries, query_labels, "queries"), _embeddings(gallery, gallery_labels, "gallery")
    if len(queries) and len(gallery) and queries.shape[1] != gallery.shape[1]:
        d = gallery.shape[1]
        raise ValueError(f"expected queries of {d} dimensions, as the gallery has, got {queries.shape[1]}")
    if self_in_gallery and not (np.array_equal(queries, gallery) and np.array_equal(query_labels, gallery_labels)):
        raise ValueError("self_in_gallery is set, but queries and gallery are not the same rows with the same labels")
    queries, gallery = _unit_rows(queries), _unit_rows(gallery)
    ranks = np.full(len(queries), np.nan)
    for rows in metrics.batches(len(queries), len(gallery)):
        nearness = queries[rows] @ gallery.T  # (b, n), larger is nearer
        is_right = query_labels[rows, None] == gallery_labels  # (b, n)
        if self_in_gallery:
            own = np.arange(rows.start, rows.stop)
            nearness[own - rows.start, own], is_right[own - rows.start, own] = -np.inf, False
        best = np.max(nearness, axis=1, initial=-np.inf, where=is_right)[:, None]
        is_tied = np.abs(nearness - np.where(np.isinf(best), 0.0, best)) <= 1e-12  # but for rounding
        n_nearer = np.sum((nearness > best) & ~is_tied & ~is_right, axis=1)
        n_wrong, n_right = np.sum(is_tied & ~is_right, axis=1), np.sum(is_tied & is_right, axis=1)
        ranks[rows] = np.where(is_right.any(axis=1), 1.0 + n_nearer + n_wrong / (n_right + 1.0), np.nan)
    return ranks


def most_similar_average_precision(neighbours, similarity, n_similar=10, own_rows=None):
    """Average precision of the answers, relevant being the `n_similar` items most similar to the query: float64 (q,).

    neighbours (q, k) holds gallery rows, best first. similarity is float (q, n), the truth that the answers are judged
    by; or a function that gives it for a slice of queries, similarity(rows) -> (b, n), so that the whole table need
    never be held. own_rows (q,) says which gallery row each query itself is: no answer, and never relevant.

    Ties at the last place. Where more items are as similar as the last one than there are places left, each choice of
    them is as likely as another, and the value is the expected average precision over all, computed exactly: with m
    places for t tied items, one of them is relevant with probability m / t, two are with m (m - 1) / (t (t - 1)). An
    item of similarity 0 is never relevant, so R, the number relevant, may be below `n_similar`; the divisor is
    min(k, R), and NaN stands where R is 0.
    One place for two tied items, the answers being one of them and an item that is not similar: 1 or 0, as likely.
    >>> most_similar_average_precision([[0, 2]], [[0.5, 0.5, 0.0]], n_similar=1).tolist()
    [0.5]
    """
    n_similar, n_queries = metrics.positive_int(n_similar, "n_similar"), len(neighbours)
    if not callable(similarity) and np.ndim(similarity) != 2:
        raise ValueError(f"similarity must be (q, n) or a function, got shape {np.shape(similarity)}")
    similarity_of = similarity if callable(similarity) else np.asarray(similarity).__getitem__
    n_gallery = np.shape(similarity_of(slice(0, min(1, n_queries))))[-1]
    neighbours = _neighbours(neighbours, n_queries, n_gallery)
    if own_rows is not None:
        own_rows = _neighbours(np.asarray(own_rows)[:, None], n_queries, n_gallery)
        if (neighbours == own_rows).any():
            query = np.flatnonzero((neighbours == own_rows).any(axis=1))[0]
            raise ValueError(f"query {query} is among its own neighbours, but own_rows says that it is no answer")
    values = np.full(n_queries, np.nan)
    for rows in metrics.batches(n_queries, n_gallery):
        truth = metrics.finite_numbers(similarity_of(rows), "similarity").copy()
        if truth.shape != (len(neighbours[rows]), n_gallery):
            raise ValueError(f"similarity must have shape {(len(neighbours[rows]), n_gallery)}, got {truth.shape}")
        if truth.size and truth.min() < 0:
            raise ValueError(f"similarity must be 0 or above, got {truth.min():g}")
        if own_rows is not None:
            np.put_along_axis(truth, own_rows[rows], 0.0, axis=1)
        values[rows] = _expected_average_precision(neighbours[rows], truth, min(n_similar, n_gallery))
    return values


def _expected_average_precision(neighbours, truth, place):
    """Of the answers (b, k), relevant being the `place` largest of truth (b, n); mean over all ways to break ties."""
    last = np.partition(truth, -place, axis=1)[:, -place]  # the last that is relevant
    n_above, n_tied = (truth > last[:, None]).sum(axis=1), (truth == last[:, None]).sum(axis=1)
    n_places = np.where(last > 0, place - n_above, 0)  # for those that are tied
    one = n_places / n_tied  # the chance of one of them, and of two
    two = one * (n_places - 1) / np.maximum(n_tied - 1, 1)
    found = np.take_along_axis(truth, neighbours, axis=1)
    sure = found > last[:, None]  # (b, k)
    tied = (found == last[:, None]) & (last > 0)[:, None]
    sure_before, tied_before = np.cumsum(sure, axis=1) - sure, np.cumsum(tied, axis=1) - tied
    one, two = one[:, None], two[:, None]
    hits = sure * (1 + sure_before + one * tied_before) + tied * (one + one * sure_before + two * tied_before)
    n_relevant = n_above + n_places
    ranks = np.arange(1, neighbours.shape[1] + 1)
    divisor = np.minimum(neighbours.shape[1], np.maximum(n_relevant, 1))
    return np.where(n_relevant > 0, (hits / ranks).sum(axis=1) / divisor, np.nan)


def _labels_pair(query_labels, gallery_labels):
    pair = []
    for labels, name in ((query_labels, "query_labels"), (gallery_labels, "gallery_labels")):
        labels = np.asarray(labels)
        if labels.ndim != 1:
            raise ValueError(f"{name} must have shape (n,), one label each, got {labels.shape}")
        if labels.dtype == object:  # a pandas column of text
            if not all(isinstance(label, str) for label in labels):
                raise ValueError(f"{name} must be all text or all integers, got a mixture")
            labels = labels.astype(str)
        if len(labels) and labels.dtype.kind not in "biuUS":
            raise ValueError(f"{name} must hold text or integers, got {labels.dtype}")
        pair.append(labels)
    if len(pair[0]) and len(pair[1]) and (pair[0].dtype.kind in "US") != (pair[1].dtype.kind in "US"):
        kinds = f"{pair[0].dtype} and {pair[1].dtype}"
        raise ValueError(f"query_labels and gallery_labels must be of one kind, got {kinds}")
    return pair


def _neighbours(neighbours, n_queries, n_gallery):
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or len(neighbours) != n_queries:
        raise ValueError(f"neighbours must have shape ({n_queries} queries, k), got {neighbours.shape}")
    if neighbours.size == 0:
        return neighbours.astype(np.int64)
    if not np.issubdtype(neighbours.dtype, np.integer):
        raise ValueError(f"neighbours must hold integers, got {neighbours.dtype}")
    low, high = neighbours.min(), neighbours.max()
    if low < 0 or high >= n_gallery:
        raise ValueError(f"neighbours must be gallery rows 0 to {n_gallery - 1}, got {low} to {high}")
    return neighbours


def _embeddings(embeddings, labels, name):
    """float64 (n, d), as many as there are labels."""
    embeddings = metrics.finite_numbers(embeddings, name)
    if embeddings.ndim != 2 or len(embeddings) != len(labels):
        raise ValueError(f"{name} must have shape ({len(labels)}, d), a row for each label, got {embeddings.shape}")
    return embeddings


def _unit_rows(rows):
    """Each row divided by its length; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def _pack(label_sets):
    """Label sets as 64-bit words: uint64 (n, w)."""
    padding = -label_sets.shape[1] % 64
    padded = np.pad(label_sets, ((0, 0), (0, padding)))
    return np.ascontiguousarray(np.packbits(padded, axis=1)).view(np.uint64).reshape(len(label_sets), -1)


def _paths_from_root(labels, hierarchy):
    """The classes from the root down to each label, as numbers, -1 after its end: int64 (c, levels); depths (c,)."""
    try:
        classes, parents = list(hierarchy["class"]), list(hierarchy["parent"])
    except (KeyError, TypeError, IndexError):
        raise ValueError("hierarchy must have the columns class and parent") from None
    row_of = {name: row for row, name in enumerate(classes)}
    if len(row_of) < len(classes):
        raise ValueError(f"hierarchy must name each class once, got {len(classes)} rows of {len(row_of)} classes")
    parent_of = {}
    for name, parent in zip(classes, parents, strict=True):
        is_root = parent is None or parent == "" or parent != parent or parent == name  # parent != parent: NaN
        if not is_root and parent not in row_of:
            raise ValueError(f"hierarchy: the parent {parent!r} of {name!r} is not among the {len(classes)} classes")
        parent_of[name] = None if is_root else parent
    several_roots = sum(parent is None for parent in parent_of.values()) > 1
    paths = []
    for label in labels.tolist():
        if label not in row_of:
            raise ValueError(f"label {label!r} is not among the {len(classes)} classes of the hierarchy")
        path = []
        while label is not None:
            path.append(row_of[label])
            label = parent_of[label]
            if len(path) > len(classes):
                raise ValueError(f"hierarchy: {classes[path[0]]!r} is its own ancestor")
        paths.append(([len(classes)] if several_roots else []) + path[::-1])
    depths = np.array([len(path) - 1 for path in paths], dtype=np.int64)
    table = np.full((len(paths), depths.max(initial=0) + 1), -1, dtype=np.int64)
    for row, path in enumerate(paths):
        table[row, : len(path)] = path
    return table, depths
