"""Exercises of 10_indexes: recall, bits and angles, product quantisation, equal recall, lists of your own choice."""

import numpy as np

from lib import indexes

from ..kinds import Construction, Function, Prediction, Value

# 1. recall


def _answers(rng):
    def found_of(row, n, k):
        n_right = rng.integers(0, k + 1)
        others = rng.permutation(np.setdiff1d(np.arange(n), row))[: k - n_right]
        return rng.permutation(np.concatenate([rng.permutation(row)[:n_right], others]))

    cases = []
    for n, q, k in ((6, 3, 3), (12, 5, 5), (30, 8, 10)):
        exact = np.stack([rng.permutation(n)[:k] for _ in range(q)])
        cases.append((np.stack([found_of(row, n, k) for row in exact]), exact))
    return tuple(cases)


def _recall(found, exact):
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact, strict=True)]))


recall = Function(
    title="recall against exact search",
    draw=_answers,
    right=_recall,
    slips={
        "You compare place by place. Recall does not mind the order of the answers.": (
            lambda found, exact: _position_wise(found, exact)
        ),
        "You ask whether any exact answer was found. Recall is the share of them that was.": (
            lambda found, exact: float(np.mean([bool(set(a) & set(b)) for a, b in zip(found, exact, strict=True)]))
        ),
        "You look at the first answer alone.": (
            lambda found, exact: float(np.mean([b[0] in a for a, b in zip(found, exact, strict=True)]))
        ),
        "You pool all queries: a row that one query should find and another one does counts as found.": (
            lambda found, exact: len(np.intersect1d(found, exact)) / len(np.unique(exact))
        ),
    },
)


def _position_wise(found, exact):
    return float(np.mean(found == exact))


# 2. bits and angles


def _two_rows(rng):
    a, b = rng.normal(size=(2, 6))
    return a, b, int(rng.choice([64, 128, 256]))


def _angle(a, b):
    """By the lengths of sum and difference, not by a cosine."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))


bits = Value(
    title="how many bits differ?",
    draw=_two_rows,
    right=lambda a, b, n_bits: n_bits * _angle(a, b) / np.pi,
    expected="the expected number of different bits, from 0 to the number of bits",
    slips={
        "Your angle is in degrees. P(bit differs) is the angle over pi, in radians.": (
            lambda a, b, n_bits: n_bits * np.degrees(_angle(a, b)) / np.pi
        ),
        "That is the number of bits that are equal.": lambda a, b, n_bits: n_bits * (1 - _angle(a, b) / np.pi),
        "You divide the cosine by pi. First turn it into the angle: arccos.": (
            lambda a, b, n_bits: n_bits * np.cos(_angle(a, b)) / np.pi
        ),
        "You divide by 2 pi. Two opposite rows (angle pi) differ in every bit.": (
            lambda a, b, n_bits: n_bits * _angle(a, b) / (2 * np.pi)
        ),
        "The rows are not of length 1: divide their dot product by both lengths.": (
            lambda a, b, n_bits: n_bits * np.arccos(np.clip(a @ b, -1, 1)) / np.pi
        ),
    },
    tolerance=1e-3,
)

# 3. product quantisation


def _quantised(rng):
    return rng.normal(size=6), rng.normal(size=(3, 8, 2)), rng.integers(0, 8, size=(15, 3))


def _estimates(query, typical, codes):
    rebuilt = np.stack([typical[part, codes[:, part]] for part in range(3)], axis=1).reshape(len(codes), -1)
    return ((rebuilt - query) ** 2).sum(axis=1)


def _symmetric(query, typical, codes):
    own = ((query.reshape(3, 1, 2) - typical) ** 2).sum(axis=2).argmin(axis=1)
    return _estimates(typical[np.arange(3), own].ravel(), typical, codes)


product_quantisation = Value(
    title="distances from a lookup table",
    draw=_quantised,
    right=_estimates,
    expected="15 squared distances",
    slips={
        "You quantise the query too. Only the stored rows are codes; the query itself is known exactly.": _symmetric,
        "These are distances; the look-ups add up to squared distances.": lambda *data: np.sqrt(_estimates(*data)),
        "The parts of the query are interleaved with you: part m has the coordinates 2m and 2m + 1.": (
            lambda query, typical, codes: _estimates(query.reshape(2, 3).T.ravel(), typical, codes)
        ),
        "You take the mean over the parts. Squared distances of parts add up.": lambda *data: _estimates(*data) / 3,
    },
)

# 4. the ceiling of IVF-PQ

ceiling = Prediction(
    title="reading every list",
    options=("both reach 1", "only IVF with whole rows reaches 1", "only IVF-PQ reaches 1", "neither reaches 1"),
    moral="With every list read, IVF compares every row exactly. IVF-PQ compares every row too, but by "
    "codes of a few bytes, "
    "whose distances are estimates: more lists cannot make them exact.",
    draw=lambda rng: (rng.normal(size=(1500, 16)).astype(np.float32), rng.normal(size=(50, 16)).astype(np.float32)),
)

# 5. at the same recall


def _measured(rng):
    rows = []
    for name, base in (("HNSW", 0.05), ("IVF-PQ", 0.08), ("LSH", 0.3)):
        speed = base * rng.uniform(0.6, 1.8)
        for setting in (8, 16, 32, 64, 128):
            recall = 1 - rng.uniform(0.3, 0.9) * np.exp(-rng.uniform(0.6, 1.4) * np.log2(setting / 4))
            rows.append((name, setting, round(float(recall), 3), round(float(speed * (1 + setting / 16)), 3)))
    rows.append(("flat", 0, 1.0, round(float(rng.uniform(0.8, 1.2)), 3)))
    order = rng.permutation(len(rows))
    return ([rows[i] for i in order],)


def _named(row):
    return f"{row[0]} {row[1]}"


def _fastest_good(table):
    names, settings, recalls, times = (np.array(column) for column in zip(*table, strict=True))
    place = np.where(recalls >= 0.95, times, np.inf).argmin()
    return f"{names[place]} {settings[place]}"


same_recall = Value(
    title="the fastest at a recall of 0.95",
    draw=_measured,
    right=_fastest_good,
    expected="a text: the structure and its setting, such as 'HNSW 32'",
    slips={
        "That is the fastest of all, but its recall is below 0.95. Times are compared at the same quality.": (
            lambda table: _named(min(table, key=lambda row: row[3]))
        ),
        "That one has the highest recall. Choose the fastest of those that reach 0.95.": (
            lambda table: _named(max(table, key=lambda row: (row[2], -row[3])))
        ),
        "That one is the slowest of those with a recall of at least 0.95.": (
            lambda table: _named(max((row for row in table if row[2] >= 0.95), key=lambda row: row[3]))
        ),
    },
)

# 6. lists of your own choice


def _clustered(rng):
    centres = 3 * rng.normal(size=(40, 12))
    gallery, queries = (
        (centres[rng.integers(0, 40, n)] + rng.normal(size=(n, 12))).astype(np.float32) for n in (3000, 100)
    )
    return gallery, queries


def _lists_problem(answer, gallery, queries):
    import faiss

    try:
        n_lists, n_read = map(int, answer)
    except (TypeError, ValueError):
        return "Give two whole numbers: (nlist, nprobe)."
    if not (1 <= n_read <= n_lists <= 500):
        return "Expected 1 <= nprobe <= nlist <= 500."
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(12), 12, n_lists)
    index.cp.min_points_per_centroid = 1
    index.train(gallery)
    index.add(gallery)
    index.nprobe = n_read
    exact = indexes.FlatIndex("l2").fit(gallery).search(queries, 10)[1]
    found = index.search(queries, 10)[1]
    if _recall(found, exact) < 0.95:
        return "The recall is below 0.95: neighbours lie in lists that are not read."
    sizes = np.array([index.invlists.list_size(i) for i in range(n_lists)])
    read = sizes[index.quantizer.search(queries, n_read)[1]].sum(axis=1).mean() + n_lists
    if read > 0.25 * len(gallery):
        return (
            "Too much is compared: rows in the lists that are read, and all centres, are more than a "
            "quarter of the rows."
        )
    return None


lists = Construction(
    title="lists of your own choice",
    draw=_clustered,
    expected="(nlist, nprobe) with a recall@10 of at least 0.95 that compares at most a quarter as much as "
    "exact search",
    problem=_lists_problem,
    slips={
        "Give two whole numbers: (nlist, nprobe).": lambda gallery, queries: 8,
        "Expected 1 <= nprobe <= nlist <= 500.": lambda gallery, queries: (8, 9),
        "The recall is below 0.95: neighbours lie in lists that are not read.": lambda gallery, queries: (200, 1),
        "Too much is compared: rows in the lists that are read, and all centres, are more than a "
        "quarter of the rows.": (lambda gallery, queries: (40, 40)),
    },
    moral="Few lists are long, many lists mean many centres to compare. A common start is nlist near the "
    "root of the rows.",
)

EXERCISES = (recall, bits, product_quantisation, ceiling, same_recall, lists)
