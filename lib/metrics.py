"""How good is a ranking? Measures for retrieval, one value a query, with intervals and paired tests.

What is in it
    who is relevant     relevance, count_relevant, label_iou, hierarchy_similarity, label_similarity
    one value a query   average_precision_at_k, precision_at_k, recall_at_k, hit_rate_at_k, reciprocal_rank, ndcg_at_k,
                        rank_of_first; match_ranks, from the embeddings themselves;
                        most_similar_average_precision, against the k items most similar by a given similarity
    labels of an image  label_scores, threshold_by_f1
    masks of an image   mask_iou
    what chance gives   chance_average_precision
    over many queries   mean_over_queries, bootstrap_interval, median_interval, paired_difference

Two arrays go in: ``relevance`` (q, k), best answer first, and ``n_relevant`` (q,), how many relevant items the whole
gallery holds. The second is asked for everywhere, since a ranking cut at k does not know what it has missed. A query
without a relevant item has no value: it gets NaN, is left out of a mean, and is counted there.

Needs numpy alone. Copy this file alone: it imports nothing else of the course.
"""

from typing import NamedTuple

import numpy as np

DIVISORS = ("min(k, R)", "R", "k", "hits")
_BATCH_ELEMENTS = 4_000_000  # of a temporary array: 32 MB of float64


class QueryMean(NamedTuple):
    mean: float
    n_queries: int
    n_left_out: int


class LabelScores(NamedTuple):
    f1: np.ndarray
    accuracy: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


class PairedDifference(NamedTuple):
    mean: float
    low: float
    high: float
    p_value: float


# ---------------------------------------------------------------------------------------------- who is relevant


def relevance(neighbours, query_labels, gallery_labels):
    """Whether each neighbour carries its query's label: bool (q, k).

    neighbours (q, k) holds gallery rows; query_labels (q,) and gallery_labels (n,) are both numbers or both text.
    ValueError for a row outside the gallery (some searches return -1 where they found nothing).

    >>> relevance([[2, 0], [1, 2]], ["shoe", "hat"], ["hat", "hat", "shoe"]).tolist()
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
        missing = counts == 0
        if missing.any():
            raise ValueError(
                f"self_in_gallery is set, but {missing.sum()} queries have a label that no gallery item carries, "
                f"the first {query_labels[missing][0]!r}"
            )
        counts = counts - 1
    return counts.astype(np.int64)


def label_iou(query_label_sets, gallery_label_sets, neighbours):
    """Intersection over union of the label sets of query and neighbour: float64 (q, k), 0 to 1.

    The label sets are bool, (q, L) and (n, L). Two empty sets share nothing: 0. The sets are packed into bits, so the
    temporary array is 8 bytes a neighbour for every 64 labels.

    >>> label_iou([[1, 1, 0]], [[1, 1, 0], [1, 0, 0], [0, 1, 1]], [[0, 1, 2]]).round(3).tolist()
    [[1.0, 0.5, 0.333]]
    """
    queries, gallery = (
        _label_sets(query_label_sets, "query_label_sets"),
        _label_sets(gallery_label_sets, "gallery_label_sets"),
    )
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"query_label_sets has {queries.shape[1]} labels, gallery_label_sets {gallery.shape[1]}")
    neighbours = _neighbours(neighbours, len(queries), len(gallery))
    query_bits, gallery_bits = _pack(queries), _pack(gallery)  # (q, w), (n, w)
    query_sizes, gallery_sizes = queries.sum(axis=1), gallery.sum(axis=1)
    iou = np.zeros(neighbours.shape)
    for rows in _batches(len(queries), neighbours.shape[1] * query_bits.shape[1]):
        shared = np.bitwise_count(gallery_bits[neighbours[rows]] & query_bits[rows, None]).sum(axis=-1, dtype=np.int64)
        union = query_sizes[rows, None] + gallery_sizes[neighbours[rows]] - shared  # (b, k)
        np.divide(shared, union, out=iou[rows], where=union > 0)
    return iou


def hierarchy_similarity(query_labels, gallery_labels, neighbours, hierarchy):
    """How far down the tree of classes query and neighbour go together: float64 (q, k), 0 to 1.

    Depth of the lowest common ancestor over the depth of the two leaves (their mean, where they differ: Wu and Palmer,
    1994). The root has depth 0, so two classes with only the root in common score 0, and equal classes score 1.
    hierarchy is a table with the columns ``class`` and ``parent`` (a DataFrame, or a dict of lists); the parent of a
    root is missing, empty, or itself. Several roots are taken to hang on one more root above them.

    >>> tree = {"class": ["all", "cat", "truck", "tiger", "lion"], "parent": ["", "all", "all", "cat", "cat"]}
    >>> hierarchy_similarity(["tiger"], ["tiger", "lion", "truck"], [[0, 1, 2]], tree).tolist()
    [[1.0, 0.5, 0.0]]
    """
    query_labels, gallery_labels = _labels_pair(query_labels, gallery_labels)
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
    return similarity[query_classes[:, None], gallery_classes[neighbours]]


def label_similarity(query_attributes, gallery_attributes, query_words, gallery_words):
    """The share of the query's words that an item has, if all their attributes are equal, else 0: float64 (q, n).

    query_attributes (q, a) and gallery_attributes (n, a) are tables of numbers or text (one column may be (q,), (n,));
    what is missing is written as a value and is equal to itself. query_words (q, w) and gallery_words (n, w) are bool:
    which word of a vocabulary each name has. A query without a word is similar to nothing. It is not symmetric: the
    words counted are the query's. The whole q x n table is made, so hand in some queries at a time, as
    `most_similar_average_precision` does.

    After the code of "Boosting image retrieval with accurately labeled small data".

    A red shoe called "light shoe", against a red "light boot", a red "old hat" and a blue "light shoe":

    >>> has = [[1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]  # light, old, hat, boot, shoe
    >>> label_similarity([["red"]], [["red"], ["red"], ["blue"]], [[1, 0, 0, 0, 1]], has).tolist()
    [[0.5, 0.0, 0.0]]
    """
    query_words, gallery_words = _label_sets(query_words, "query_words"), _label_sets(gallery_words, "gallery_words")
    if query_words.shape[1] != gallery_words.shape[1]:
        raise ValueError(f"query_words has {query_words.shape[1]} words, gallery_words {gallery_words.shape[1]}")
    columns = []
    for attributes, words, name in (
        (query_attributes, query_words, "query_attributes"),
        (gallery_attributes, gallery_words, "gallery_attributes"),
    ):
        attributes = np.asarray(attributes)
        attributes = attributes[:, None] if attributes.ndim == 1 else attributes
        if attributes.ndim != 2 or len(attributes) != len(words):
            raise ValueError(f"{name} has shape {attributes.shape}, allowed: ({len(words)} items, attributes)")
        columns.append(attributes)
    ours, theirs = columns
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"query_attributes has {ours.shape[1]} columns, gallery_attributes {theirs.shape[1]}")
    equal = np.ones((len(ours), len(theirs)), dtype=bool)
    for column in range(ours.shape[1]):
        ours_here, theirs_here = _labels_pair(ours[:, column], theirs[:, column])
        equal &= ours_here[:, None] == theirs_here[None, :]
    shared = query_words.astype(np.float32) @ gallery_words.T.astype(np.float32)  # (q, n), whole numbers: exact
    return np.where(equal, shared / np.maximum(query_words.sum(axis=1), 1)[:, None], 0.0)


# -------------------------------------------------------------------------------------------- one value a query


def average_precision_at_k(relevance, n_relevant, k=None, divisor="min(k, R)"):
    """Average precision of the first k answers: float64 (q,), NaN for a query without a relevant item.

    The sum, over the relevant answers i <= k, of the precision at i, divided by what `divisor` names; R is n_relevant:
        "min(k, R)"  the most hits that k answers can hold: a perfect ranking scores 1 at any k
        "R"          all that could be found: with k < R even a perfect ranking stays below 1 (k = R: MAP@R of
                     Musgrave and others, 2020)
        "k"          the answers shown: with R < k even a perfect ranking stays below 1
        "hits"       the hits that were found: blind to what was missed (torchmetrics; scikit-learn at full depth)
    k defaults to all columns. The order is taken as given, so ties are the search's affair.

    Hits at ranks 1 and 3, five relevant items in the gallery: (1/1 + 2/3) / min(3, 5) = 5/9.

    >>> float(average_precision_at_k([[True, False, True]], [5]).round(4)[0])
    0.5556
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    if divisor not in DIVISORS:
        raise ValueError(f"divisor is {divisor!r}, allowed: {', '.join(map(repr, DIVISORS))}")
    queries, ranks = np.nonzero(relevance)  # only the hits matter, and they are few
    hits = np.bincount(queries, minlength=len(relevance))  # (q,)
    hits_so_far = np.arange(1, len(queries) + 1) - np.repeat(np.cumsum(hits) - hits, hits)
    total = np.bincount(queries, weights=hits_so_far / (ranks + 1.0), minlength=len(relevance))
    parts = {"min(k, R)": np.minimum(k, n_relevant), "R": n_relevant, "k": np.full_like(n_relevant, k), "hits": hits}
    return _known(total / np.maximum(parts[divisor], 1), n_relevant)  # no hits: 0 / 1


def precision_at_k(relevance, n_relevant, k=None):
    """Share of the first k answers that is relevant: float64 (q,), NaN for a query without a relevant item.

    >>> precision_at_k([[True, False, True, False]], [2]).tolist()
    [0.5]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(relevance.sum(axis=1) / k, n_relevant)


def recall_at_k(relevance, n_relevant, k=None):
    """Share of all relevant items that is among the first k: float64 (q,), NaN for a query without a relevant item.

    Metric learning often says "Recall@k" for what is here `hit_rate_at_k`.

    >>> recall_at_k([[True, False, True, False]], [8]).tolist()
    [0.25]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(relevance.sum(axis=1) / np.maximum(n_relevant, 1), n_relevant)


def hit_rate_at_k(relevance, n_relevant, k=None):
    """1.0 if any of the first k answers is relevant, else 0.0: (q,), NaN for a query without a relevant item.

    >>> hit_rate_at_k([[False, True], [False, False]], [3, 3]).tolist()
    [1.0, 0.0]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(relevance.any(axis=1).astype(np.float64), n_relevant)


def reciprocal_rank(relevance, n_relevant, k=None):
    """One over the rank of the first relevant answer, 0.0 if none is among the first k: float64 (q,).

    NaN for a query without a relevant item.

    >>> reciprocal_rank([[False, True, True], [False, False, False]], [2, 2]).tolist()
    [0.5, 0.0]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(np.where(relevance.any(axis=1), 1.0 / (relevance.argmax(axis=1) + 1.0), 0.0), n_relevant)


def rank_of_first(relevance, n_relevant, k=None):
    """The rank of the first relevant answer, from 1: float64 (q,), NaN for a query without a relevant item.

    Infinity where none is among the first k: the rank is beyond what was ranked. A median may hold infinity, a mean may
    not, so rank the whole gallery for a mean (`match_ranks` does, without ever holding the whole ranking).

    >>> rank_of_first([[False, True, True], [False, False, False]], [2, 2]).tolist()
    [2.0, inf]
    """
    relevance, n_relevant, k = _ranking(relevance, n_relevant, k)
    return _known(np.where(relevance.any(axis=1), relevance.argmax(axis=1) + 1.0, np.inf), n_relevant)


def match_ranks(queries, gallery, query_labels, gallery_labels, metric="cosine", self_in_gallery=False):
    """The rank of each query's nearest right item in the whole gallery: float64 (q,), from 1, NaN where none is right.

    queries (q, d) and gallery (n, d) are embeddings; an item is right if it carries the query's label. For captions
    that search their photo, the label is the number of the photo: one item is right. For photos that search their
    captions several are, and the best of them counts. metric is "cosine" (a row of zeros has cosine 0 to all) or "l2".
    With self_in_gallery the queries are the gallery, and row i is never its own answer.

    Ties count as in a shuffled gallery. Of w wrong items and m right ones at the same distance, w / (m + 1) wrong ones
    stand before the first right one on average, so
        rank = 1 + (wrong items that are nearer) + w / (m + 1),
    which need not be whole. An embedding that is the same for all items gets the rank of chance, never rank 1.
    At most a few rows of all distances are in memory at a time.

    The two wrong items are as near as the right one: rank 1, 2 or 3, on average 2.

    >>> match_ranks([[1, 0]], [[2, 0], [1, 0], [3, 0], [0, 1]], ["a"], ["a", "b", "c", "d"]).tolist()
    [2.0]
    """
    query_labels, gallery_labels = _labels_pair(query_labels, gallery_labels)
    queries, gallery = _embeddings(queries, query_labels, "queries"), _embeddings(gallery, gallery_labels, "gallery")
    if len(queries) and len(gallery) and queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} dimensions, the gallery {gallery.shape[1]}")
    if self_in_gallery and not (np.array_equal(queries, gallery) and np.array_equal(query_labels, gallery_labels)):
        raise ValueError("self_in_gallery is set, but queries and gallery are not the same rows with the same labels")
    if metric == "cosine":
        queries, gallery = (
            np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
            for rows in (queries, gallery)
            for length in [np.linalg.norm(rows, axis=1, keepdims=True)]
        )
        offsets, size = np.zeros(len(gallery)), 1.0
    elif metric == "l2":  # |q - g|^2 = |q|^2 - 2 (q.g - |g|^2 / 2): the first term is the same for all g
        offsets = (gallery**2).sum(axis=1) / 2
        size = max(1e-300, offsets.max(initial=0), (queries**2).sum(axis=1).max(initial=0))
    else:
        raise ValueError(f"metric is {metric!r}, allowed: 'cosine', 'l2'")
    ranks = np.full(len(queries), np.nan)
    for rows in _batches(len(queries), len(gallery)):
        nearness = queries[rows] @ gallery.T - offsets  # (b, n), larger is nearer
        is_right = query_labels[rows, None] == gallery_labels  # (b, n)
        if self_in_gallery:
            own = np.arange(rows.start, rows.stop)
            nearness[own - rows.start, own], is_right[own - rows.start, own] = -np.inf, False
        best = np.max(nearness, axis=1, initial=-np.inf, where=is_right)[:, None]
        is_tied = np.abs(nearness - np.where(np.isinf(best), 0.0, best)) <= 1e-12 * size  # but for rounding
        n_nearer = np.sum((nearness > best) & ~is_tied & ~is_right, axis=1)
        n_wrong, n_right = np.sum(is_tied & ~is_right, axis=1), np.sum(is_tied & is_right, axis=1)
        ranks[rows] = np.where(is_right.any(axis=1), 1.0 + n_nearer + n_wrong / (n_right + 1.0), np.nan)
    return ranks


def ndcg_at_k(gains, gallery_gains, k=None):
    """Normalised discounted cumulative gain of the first k answers: float64 (q,), 0 to 1.

    After Järvelin and Kekäläinen (2002). gains (q, >= k) are those of the answers, best first; the gain at rank i is
    divided by log2(i + 1). gallery_gains (q, n) are the gains of the whole gallery in any order (each query's k largest
    are enough): the ideal ranking comes from them, not from what was found. Gains are used as they are; for the form
    with 2^grade - 1, pass 2.0**grade - 1. NaN for a query whose gallery holds no gain. ValueError for negative gains,
    and if the answers gain more than the ideal, which means that gallery_gains is not the whole gallery.

    Gains 1, 2 where 2, 1 was possible: (1 + 2 / log2(3)) / (2 + 1 / log2(3)).

    >>> float(ndcg_at_k([[1, 2]], [[2, 0, 1]]).round(4)[0])
    0.8597
    """
    gains, gallery_gains = _gains(gains, "gains"), _gains(gallery_gains, "gallery_gains")
    if len(gains) != len(gallery_gains):
        raise ValueError(f"gains has {len(gains)} queries, gallery_gains {len(gallery_gains)}")
    k = _depth(k, gains.shape[1])
    n_best = min(k, gallery_gains.shape[1])  # a gallery smaller than k has only zeros after its end
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    found, ideal = gains[:, :k] @ discounts, np.zeros(len(gains))
    for rows in _batches(len(gains), gallery_gains.shape[1]):
        best = np.partition(gallery_gains[rows], -n_best, axis=1)[:, -n_best:] if n_best else gallery_gains[rows]
        ideal[rows] = np.sort(best, axis=1)[:, ::-1] @ discounts[:n_best]
    above = np.flatnonzero(found > ideal * (1 + 1e-9))
    if len(above):
        raise ValueError(
            f"query {above[0]} has a discounted gain of {found[above[0]]:g}, but the best that gallery_gains allows is "
            f"{ideal[above[0]]:g}: pass the gains of the whole gallery"
        )
    return np.divide(found, ideal, out=np.full(len(gains), np.nan), where=ideal > 0)


def most_similar_average_precision(neighbours, similarity, n_similar=10, own_rows=None):
    """Average precision of the answers, relevant being the `n_similar` items most similar to the query: float64 (q,).

    neighbours (q, k) holds gallery rows, best first. similarity is float (q, n), the truth that the answers are judged
    by; or a function that gives it for a slice of queries, similarity(rows) -> (b, n), so that the whole table need
    never be held. own_rows (q,) says which gallery row each query itself is: no answer, and never relevant.

    Ties at the last place. Where more items are as similar as the last one than there are places left, any of them
    could be relevant, and which of them are would otherwise hang on the order of rows. Here each choice is as likely as
    another, and the value is the expected average precision over all of them, computed exactly: with m places for t
    tied items, one of them is relevant with probability m / t, two are with m (m - 1) / (t (t - 1)). Without such ties
    it is the plain average precision. An item of similarity 0 is never relevant. So R, the number relevant, is below
    `n_similar` where fewer items are similar at all; the divisor is min(k, R), and NaN stands where R is 0.

    One place for two tied items, the answers being one of them and an item that is not similar: 1 or 0, as likely.

    >>> most_similar_average_precision([[0, 2]], [[0.5, 0.5, 0.0]], n_similar=1).tolist()
    [0.5]
    """
    n_similar = _positive_int(n_similar, "n_similar")
    n_queries = len(neighbours)
    similarity_of = similarity if callable(similarity) else np.asarray(similarity).__getitem__
    n_gallery = np.shape(similarity_of(slice(0, min(1, n_queries))))[-1]
    neighbours = _neighbours(neighbours, n_queries, n_gallery)
    if own_rows is not None:
        own_rows = _neighbours(np.asarray(own_rows)[:, None], n_queries, n_gallery)
        if (neighbours == own_rows).any():
            query = np.flatnonzero((neighbours == own_rows).any(axis=1))[0]
            raise ValueError(f"query {query} is among its own neighbours, but own_rows says that it is no answer")
    values = np.full(n_queries, np.nan)
    for rows in _batches(n_queries, n_gallery):
        truth = _numbers(similarity_of(rows), "similarity").copy()
        if truth.shape != (len(neighbours[rows]), n_gallery):
            raise ValueError(f"similarity gave {truth.shape}, needed: {(len(neighbours[rows]), n_gallery)}")
        if truth.size and truth.min() < 0:
            raise ValueError(f"similarity holds {truth.min():g}, allowed: 0 and above")
        if own_rows is not None:
            np.put_along_axis(truth, own_rows[rows], 0.0, axis=1)
        place = min(n_similar, n_gallery)
        last = np.partition(truth, n_gallery - place, axis=1)[:, n_gallery - place]  # the n-th largest
        n_above, n_tied = (truth > last[:, None]).sum(axis=1), (truth == last[:, None]).sum(axis=1)
        n_places = np.where(last > 0, place - n_above, 0)  # for those that are tied
        one = n_places / n_tied
        two = one * (n_places - 1) / np.maximum(n_tied - 1, 1)
        found = np.take_along_axis(truth, neighbours[rows], axis=1)
        sure = found > last[:, None]  # (b, k)
        tied = (found == last[:, None]) & (last > 0)[:, None]
        sure_before, tied_before = np.cumsum(sure, axis=1) - sure, np.cumsum(tied, axis=1) - tied
        one, two = one[:, None], two[:, None]
        hits = sure * (1 + sure_before + one * tied_before) + tied * (one + one * sure_before + two * tied_before)
        n_relevant = n_above + n_places
        ranks = np.arange(1, neighbours.shape[1] + 1)
        divisor = np.minimum(neighbours.shape[1], np.maximum(n_relevant, 1))
        values[rows] = _known((hits / ranks).sum(axis=1) / divisor, n_relevant)
    return values


# ---------------------------------------------------------------------------------- labels and masks of an image


def label_scores(predicted_sets, true_sets, zero_division=0.0):
    """Example-wise F1, accuracy, precision and recall of predicted label sets: four float64 (n,), 0 to 1.

    predicted_sets and true_sets are bool (n, L). With P and T the labels predicted for an image and its true ones:
        precision |P and T| / |P|         recall |P and T| / |T|
        accuracy  |P and T| / |P or T|    F1     2 |P and T| / (|P| + |T|)
    (Godbole and Sarawagi, 2004). Where a divisor is 0 the value is `zero_division`: 0, or 1 to praise an empty
    prediction for an image without labels. Their means are scikit-learn's scores with average="samples".

    Predicted shirt and hat, true shirt and shoe: one of two is right, one of two is found, one of three is shared.

    >>> scores = label_scores([[1, 1, 0]], [[1, 0, 1]])
    >>> scores.f1.tolist(), scores.accuracy.round(3).tolist()
    ([0.5], [0.333])
    """
    predicted, true = _label_sets(predicted_sets, "predicted_sets"), _label_sets(true_sets, "true_sets")
    if predicted.shape != true.shape:
        raise ValueError(f"predicted_sets has shape {predicted.shape}, true_sets {true.shape}: the same is allowed")
    if zero_division not in (0, 1):
        raise ValueError(f"zero_division is {zero_division!r}, allowed: 0 and 1")
    shared = (predicted & true).sum(axis=1)
    n_predicted, n_true = predicted.sum(axis=1), true.sum(axis=1)

    def share(part, whole):
        return np.divide(part, whole, out=np.full(len(true), float(zero_division)), where=whole > 0)

    return LabelScores(
        f1=share(2 * shared, n_predicted + n_true),
        accuracy=share(shared, n_predicted + n_true - shared),
        precision=share(shared, n_predicted),
        recall=share(shared, n_true),
    )


def threshold_by_f1(probabilities, true_sets, thresholds=None):
    """The threshold whose label sets, probabilities >= threshold, have the best mean example-wise F1: (threshold, F1).

    probabilities float (n, L), true_sets bool (n, L). thresholds are those tried, by default 0.05, 0.10, ..., 0.95; of
    equal ones the first is taken. The F1 is flattering where it is of the images on which the threshold was chosen.

    At 0.05 to 0.4 both labels are predicted for the second image, from 0.45 on only the right one.

    >>> threshold_by_f1([[0.9, 0.1], [0.6, 0.4]], [[1, 0], [1, 0]])
    (0.45, 1.0)
    """
    probabilities = _numbers(probabilities, "probabilities")
    thresholds = np.arange(1, 20) / 20 if thresholds is None else np.atleast_1d(_numbers(thresholds, "thresholds"))
    if thresholds.size == 0 or len(probabilities) == 0:
        raise ValueError(f"{thresholds.size} thresholds and {len(probabilities)} images, allowed: 1 or more of each")
    f1 = [label_scores(probabilities >= threshold, true_sets).f1.mean() for threshold in thresholds]
    best = int(np.argmax(f1))
    return float(thresholds[best]), float(f1[best])


def mask_iou(predicted_masks, true_masks):
    """Intersection over union of predicted and true masks, image by image: float64 (n,), 0 to 1.

    Both (n, h, w), bool or whole numbers; what is not 0 lies inside. NaN for an image with nothing inside either.

    Two pixels each, one shared: 1 / 3.

    >>> mask_iou([[[1, 1, 0]]], [[[0, 1, 1]]]).round(3).tolist()
    [0.333]
    """
    predicted, true = np.asarray(predicted_masks), np.asarray(true_masks)
    if predicted.shape != true.shape or predicted.ndim != 3:
        raise ValueError(f"masks have shapes {predicted.shape} and {true.shape}, allowed: the same (n, h, w)")
    if predicted.dtype.kind not in "biu" or true.dtype.kind not in "biu":
        raise ValueError(f"masks have dtypes {predicted.dtype} and {true.dtype}, allowed: bool or whole numbers")
    predicted, true = predicted != 0, true != 0
    shared = (predicted & true).sum(axis=(1, 2))
    return _known(shared / np.maximum((predicted | true).sum(axis=(1, 2)), 1), (predicted | true).sum(axis=(1, 2)))


# -------------------------------------------------------------------------------------------- what chance gives


def chance_average_precision(n_relevant, n_gallery, k=None, divisor="min(k, R)"):
    """Expected average precision at k if the gallery is shuffled: float64 (q,), NaN without a relevant item. Exact.

    n_relevant (q,) of n_gallery items are relevant. In a shuffled gallery of N items, rank i holds a relevant one with
    probability R / N, and then i - 1 ranks before it hold a relevant one with probability (R - 1) / (N - 1) each. So
        E[sum of precisions] = R / N * (H + (R - 1) / (N - 1) * (k - H)),   H = 1 + 1/2 + ... + 1/k,
    divided by `divisor`. With "hits" the divisor varies too: given h > 0 hits, they lie anywhere in the first k, which
    is the sum above for R = h, N = k; h follows the hypergeometric distribution.

    One relevant item of two: 1 with probability 1/2, else 1/2.

    >>> chance_average_precision([1], 2).tolist()
    [0.75]
    """
    n_relevant = _counts(n_relevant)
    n_gallery = _positive_int(n_gallery, "n_gallery")
    if len(n_relevant) and n_relevant.max() > n_gallery:
        raise ValueError(f"n_relevant is up to {n_relevant.max()}, but n_gallery is {n_gallery}")
    k = _depth(k, n_gallery, of="n_gallery")
    harmonic = np.sum(1.0 / np.arange(1, k + 1))
    if divisor == "hits":
        log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n_gallery + 1)))])
        others = n_gallery - n_relevant
        log_none = log_factorial[others] - log_factorial[np.maximum(others - k, 0)]
        log_none += log_factorial[n_gallery - k] - log_factorial[n_gallery]
        some = 1.0 - np.where(others >= k, np.exp(log_none), 0.0)  # chance of a hit in the first k
        more = k * n_relevant / n_gallery - some  # expected hits beyond the first
        return _known((harmonic * some + (k - harmonic) / max(k - 1, 1) * more) / k, n_relevant)
    if divisor not in DIVISORS:
        raise ValueError(f"divisor is {divisor!r}, allowed: {', '.join(map(repr, DIVISORS))}")
    pairs = (n_relevant - 1) / max(n_gallery - 1, 1)
    total = n_relevant / n_gallery * (harmonic + pairs * (k - harmonic))
    parts = {"min(k, R)": np.minimum(k, n_relevant), "R": n_relevant, "k": np.full_like(n_relevant, k)}
    return _known(total / np.maximum(parts[divisor], 1), n_relevant)


# -------------------------------------------------------------------------------------------- over many queries


def mean_over_queries(values):
    """The mean of the queries that have a value, how many they are, and how many (NaN) were left out.

    NaN if no query has a value.

    >>> mean_over_queries([0.25, 0.75, float("nan")])
    QueryMean(mean=0.5, n_queries=2, n_left_out=1)
    """
    values = _values(values, "values")
    kept = values[~np.isnan(values)]
    return QueryMean(float(kept.mean()) if len(kept) else float("nan"), len(kept), len(values) - len(kept))


def bootstrap_interval(values, level=0.95, seed=0, n_resamples=5000):
    """Between which two means do `level` of the resampled sets of queries lie? (low, high), the percentile bootstrap.

    values (q,), one a query; NaN are left out, as in a mean. The queries are drawn again with replacement n_resamples
    times (Efron, 1979). It says how far the mean would move with other queries of the same kind; not with another
    gallery or a newly trained model. ValueError if no query has a value.

    >>> bootstrap_interval([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    values = _values(values, "values")
    values = values[~np.isnan(values)]
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, allowed: between 0 and 1, both excluded")
    n_resamples = _positive_int(n_resamples, "n_resamples")
    if len(values) == 0:
        raise ValueError("values holds 0 queries with a value, allowed: 1 or more")
    rng = np.random.default_rng(seed)
    means = np.empty(n_resamples)
    for rows in _batches(n_resamples, len(values)):
        drawn = rng.integers(0, len(values), size=(rows.stop - rows.start, len(values)), dtype=np.int32)
        means[rows] = values[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def median_interval(values, groups=None, level=0.95, seed=0, n_resamples=2000):
    """Between which two medians do `level` of the resampled sets of queries lie? (low, high), as `bootstrap_interval`.

    values (q,), one a query; NaN are left out, infinite ones (a rank beyond what was ranked) are allowed. groups (q,):
    queries that belong together, such as the captions of one photo, are drawn together, since five captions of one
    photo are not five independent queries. For the interval of a mean, take the mean of each group first. Of an even
    number of values the lower one in the middle counts. ValueError if no query has a value.

    >>> median_interval([3, 3, 3, np.inf], groups=["a", "a", "b", "b"])
    (3.0, 3.0)
    """
    values = np.asarray(values, dtype=np.float64)
    groups = np.arange(len(values)) if groups is None else np.asarray(groups)
    if values.ndim != 1 or groups.shape != values.shape:
        raise ValueError(f"values has shape {values.shape}, groups {groups.shape}, allowed: (queries,) for both")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, allowed: between 0 and 1, both excluded")
    n_resamples = _positive_int(n_resamples, "n_resamples")
    values, groups = values[~np.isnan(values)], groups[~np.isnan(values)]
    if len(values) == 0:
        raise ValueError("values holds 0 queries with a value, allowed: 1 or more")
    order = np.argsort(values, kind="stable")
    names, group_of = np.unique(groups[order], return_inverse=True)
    rng = np.random.default_rng(seed)
    medians = np.empty(n_resamples)
    for rows in _batches(n_resamples, len(values)):
        times_drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rows.stop - rows.start)
        so_far = np.cumsum(times_drawn[:, group_of], axis=1)  # (b, q), along the sorted values
        medians[rows] = values[order][np.argmax(2 * so_far >= so_far[:, -1:], axis=1)]
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return float(low), float(high)


def paired_difference(a, b, seed=0, level=0.95, n_resamples=5000):
    """Is a better than b on the same queries? (mean of a - b, low, high, p_value).

    a, b (q,): one value a query, in the same order. The interval is the bootstrap of the differences. The p-value,
    two-sided, is from the sign-flip permutation test (Fisher, 1935): were a and b alike, each difference could as well
    have the other sign; it is the share of sign patterns whose mean is at least as far from 0. All patterns are tried
    where they are at most n_resamples; otherwise as many are drawn, and the observed one is counted among them, so it
    is never below 1 / (n_resamples + 1). A query that is NaN in both is left out; in one only: ValueError.

    Three queries, a better in each: only + + + and - - - of the 8 patterns are as extreme.

    >>> paired_difference([0.9, 0.8, 0.7], [0.5, 0.4, 0.3]).p_value
    0.25
    """
    a, b = _values(a, "a"), _values(b, "b")
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} queries, b {len(b)}: pairs are of the same queries")
    unpaired = np.isnan(a) != np.isnan(b)
    if unpaired.any():
        raise ValueError(
            f"{unpaired.sum()} queries have a value in only one of a and b, the first is query {np.argmax(unpaired)}"
        )
    differences = (a - b)[~np.isnan(a)]
    low, high = bootstrap_interval(differences, level, seed, n_resamples)
    n = len(differences)
    observed = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()  # equal but for rounding counts as equal
    try_all = n < 63 and 2**n <= n_resamples
    n_patterns = 2**n if try_all else n_resamples
    rng = np.random.default_rng([seed, 1])
    extreme = 0
    for rows in _batches(n_patterns, n):
        if try_all:
            flipped = (np.arange(rows.start, rows.stop)[:, None] >> np.arange(n)) & 1  # (b, n)
        else:
            random_bytes = rng.integers(0, 256, size=(rows.stop - rows.start, -(-n // 8)), dtype=np.uint8)
            flipped = np.unpackbits(random_bytes, axis=1, count=n)  # (b, n)
        extreme += int(np.sum(np.abs(differences.sum() - 2.0 * (flipped @ differences)) >= observed))
    p_value = extreme / n_patterns if try_all else (extreme + 1) / (n_patterns + 1)
    return PairedDifference(float(differences.mean()), low, high, p_value)


# ------------------------------------------------------------------------------------------------------- checks


def _ranking(relevance, n_relevant, k):
    """Checked bool (q, k), int64 (q,), int."""
    relevance = np.asarray(relevance)
    if relevance.ndim != 2:
        raise ValueError(f"relevance has shape {relevance.shape}, allowed: (queries, neighbours)")
    n_relevant = _counts(n_relevant)
    if len(n_relevant) != len(relevance):
        raise ValueError(f"relevance has {len(relevance)} queries, n_relevant {len(n_relevant)}")
    if relevance.dtype != bool:
        relevance = _numbers(relevance, "relevance")
        other = (relevance != 0) & (relevance != 1)
        if other.any():
            raise ValueError(
                f"relevance holds {relevance[other][0]}, allowed: 0 and 1 (for graded relevance use ndcg_at_k)"
            )
        relevance = relevance.astype(bool)
    k = _depth(k, relevance.shape[1])
    n_found = relevance.sum(axis=1)
    above = np.flatnonzero(n_found > n_relevant)
    if len(above):
        raise ValueError(
            f"query {above[0]} has {n_found[above[0]]} relevant neighbours, but n_relevant says {n_relevant[above[0]]}"
        )
    return relevance[:, :k], n_relevant, k


def _known(values, n_relevant):
    return np.where(n_relevant > 0, values, np.nan)


def _positive_int(value, name):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} is {value!r}, allowed: a whole number from 1")
    return int(value)


def _depth(k, n_columns, of="the number of ranked items"):
    if k is None:
        k = n_columns
    k = _positive_int(k, "k")
    if k > n_columns:
        raise ValueError(f"k is {k}, but {of} is {n_columns}")
    return k


def _numbers(array, name):
    """As float64 without NaN or infinity."""
    try:
        array = np.asarray(array).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} has dtype {np.asarray(array).dtype}, allowed: numbers") from None
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(f"{name} holds {bad.sum()} NaN or infinite values of {array.size}, allowed: 0")
    return array


def _gains(gains, name):
    gains = _numbers(gains, name)
    if gains.ndim != 2:
        raise ValueError(f"{name} has shape {gains.shape}, allowed: (queries, items)")
    if gains.size and gains.min() < 0:
        raise ValueError(f"{name} holds {gains.min():g}, allowed: 0 and above")
    return gains


def _counts(n_relevant):
    counts = np.asarray(n_relevant)
    if counts.ndim != 1:
        raise ValueError(f"n_relevant has shape {counts.shape}, allowed: (queries,)")
    if counts.size == 0:
        return np.zeros(0, dtype=np.int64)
    if not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"n_relevant has dtype {counts.dtype}, allowed: whole numbers")
    if counts.min() < 0:
        raise ValueError(f"n_relevant holds {counts.min()}, allowed: 0 and above")
    return counts.astype(np.int64)


def _values(values, name):
    try:
        values = np.asarray(values).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} has dtype {np.asarray(values).dtype}, allowed: numbers") from None
    if values.ndim != 1:
        raise ValueError(f"{name} has shape {values.shape}, allowed: (queries,)")
    if np.isinf(values).any():
        raise ValueError(f"{name} holds {np.isinf(values).sum()} infinite values, allowed: 0")
    return values


def _labels_pair(query_labels, gallery_labels):
    pair = []
    for labels, name in ((query_labels, "query_labels"), (gallery_labels, "gallery_labels")):
        labels = np.asarray(labels)
        if labels.ndim != 1:
            raise ValueError(f"{name} has shape {labels.shape}, allowed: one label each, (n,)")
        if labels.dtype == object:  # a pandas column of text
            if not all(isinstance(label, str) for label in labels):
                raise ValueError(f"{name} mixes types, allowed: all text or all whole numbers")
            labels = labels.astype(str)
        if len(labels) and labels.dtype.kind not in "biuUS":
            raise ValueError(f"{name} has dtype {labels.dtype}, allowed: text or whole numbers")
        pair.append(labels)
    if len(pair[0]) and len(pair[1]) and (pair[0].dtype.kind in "US") != (pair[1].dtype.kind in "US"):
        raise ValueError(f"query_labels has dtype {pair[0].dtype}, gallery_labels {pair[1].dtype}: none can be equal")
    return pair


def _embeddings(embeddings, labels, name):
    """float64 (n, d), as many as there are labels."""
    embeddings = _numbers(embeddings, name)
    if embeddings.ndim != 2 or len(embeddings) != len(labels):
        raise ValueError(f"{name} has shape {embeddings.shape}, allowed: ({len(labels)}, d), a row for each label")
    return embeddings


def _label_sets(label_sets, name):
    label_sets = np.asarray(label_sets)
    if label_sets.ndim != 2:
        raise ValueError(f"{name} has shape {label_sets.shape}, allowed: (items, labels)")
    if label_sets.dtype != bool and not np.isin(label_sets, (0, 1)).all():
        raise ValueError(f"{name} holds values other than 0 and 1, dtype {label_sets.dtype}, allowed: bool")
    return label_sets.astype(bool)


def _neighbours(neighbours, n_queries, n_gallery):
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or len(neighbours) != n_queries:
        raise ValueError(f"neighbours has shape {neighbours.shape}, allowed: ({n_queries} queries, k)")
    if neighbours.size == 0:
        return neighbours.astype(np.int64)
    if not np.issubdtype(neighbours.dtype, np.integer):
        raise ValueError(f"neighbours has dtype {neighbours.dtype}, allowed: whole numbers")
    if neighbours.min() < 0 or neighbours.max() >= n_gallery:
        raise ValueError(
            f"neighbours holds rows {neighbours.min()} to {neighbours.max()}, allowed: 0 to {n_gallery - 1}"
        )
    return neighbours


def _batches(n_rows, row_elements):
    """Slices over n_rows, such that one batch of rows stays within _BATCH_ELEMENTS."""
    step = max(1, _BATCH_ELEMENTS // max(1, row_elements))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


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
        raise ValueError("hierarchy lacks a column, needed: class and parent") from None
    row_of = {name: row for row, name in enumerate(classes)}
    if len(row_of) < len(classes):
        raise ValueError(f"hierarchy has {len(classes)} rows, but {len(row_of)} different classes")
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
