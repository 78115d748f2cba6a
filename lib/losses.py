"""Losses that shape an embedding, for torch.

Every loss is a scalar, a mean over pairs, triples, rows or masks. Distances are Euclidean, d(a, b) = |a - b|, with
gradient 0 where the distance is 0, so that two equal rows do not give NaN. cos(a, b) is the cosine of two rows.

Needs torch. Copy this file alone.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional


def contrastive(distances: torch.Tensor, is_same: torch.Tensor, margin: float = 1.0) -> torch.Tensor:
    """Mean over pairs of d²/2 where the two match, and max(0, margin - d)²/2 where they differ; of no pairs, 0.

    `distances` float (n,), at least 0; `is_same` bool or 0 and 1, (n,). The factor 1/2 is that of Hadsell, Chopra and
    LeCun (2006); much code omits it. ValueError for other shapes or a margin that is not above 0.
    Matching at 0.4: 0.4²/2 = 0.08. Different at 0.4: 0.6²/2 = 0.18. Different at 2: 0. The mean of the three:
    >>> contrastive(torch.tensor([0.4, 0.4, 2.0]), torch.tensor([True, False, False]))
    tensor(0.0867)
    """
    _check_positive(margin, "margin")
    _check_tensors(distances, is_same)
    if distances.ndim != 1 or distances.shape != is_same.shape:
        raise ValueError(f"distances and is_same must both be (n,), got {_shapes(distances, is_same)}")
    return _mean(0.5 * torch.where(is_same.bool(), distances, functional.relu(margin - distances)).square())


def triplet(
    anchors: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, margin: float | str = 1.0
) -> torch.Tensor:
    """Mean over triples of max(0, d(a, p) - d(a, n) + margin); for margin "soft" of log(1 + exp(d(a, p) - d(a, n))).

    All three are float (t, dimension); each row is a triple. Distances are not squared (FaceNet squares them: Schroff
    et al. 2015). The soft margin (Hermans et al., 2017) never stops pulling. The mean includes triples that are already
    solved; the loss of no triples is 0. ValueError for other shapes or a margin that is not above 0.
    The positive at distance 1, the negatives at 3 (beyond the margin of 1) and at 1.5 (0.5 short of it):
    >>> anchors, positives = torch.zeros(2, 1), torch.ones(2, 1)
    >>> triplet(anchors, positives, torch.tensor([[3.0], [1.5]]))
    tensor(0.2500)
    """
    _check_tensors(anchors, positives, negatives)
    if not (anchors.ndim == 2 and anchors.shape == positives.shape == negatives.shape):
        raise ValueError(f"expected three tensors (t, dimension), got {_shapes(anchors, positives, negatives)}")
    to_positive, to_negative = (torch.linalg.vector_norm(anchors - each, dim=1) for each in (positives, negatives))
    excess = to_positive - to_negative
    if margin == "soft":
        return _mean(functional.softplus(excess))
    _check_positive(margin, "a margin other than 'soft'")
    return _mean(functional.relu(excess + margin))


def info_nce(
    queries: torch.Tensor, keys: torch.Tensor, temperature: float = 0.07, symmetric: bool = True
) -> torch.Tensor:
    """Mean cross entropy of finding key i for query i among all keys of the batch, by cosine / temperature.

    mean over i of -log(exp(cos(q_i, k_i) / temperature) / sum over j of exp(cos(q_i, k_j) / temperature))

    Both are float (n, dimension), of any length. Van den Oord et al. (2018) look for the key of each query; `symmetric`
    averages this with the search for the query of each key, as CLIP does (Radford et al. 2021). An equal row elsewhere
    in the batch counts as wrong. ValueError for other shapes, no rows, or a temperature that is not above 0.
    Two pairs at right angles, temperature 1: each finds its own with probability e / (e + 1), log(1 + 1/e) = 0.3133.
    >>> info_nce(torch.eye(2), torch.eye(2), temperature=1)
    tensor(0.3133)
    """
    _check_positive(temperature, "temperature")
    logits = _cosines(queries, keys) / temperature
    own = torch.arange(len(logits), device=logits.device)
    loss = functional.cross_entropy(logits, own)
    return (loss + functional.cross_entropy(logits.T, own)) / 2 if symmetric else loss


def sigmoid_loss(
    queries: torch.Tensor, keys: torch.Tensor, scale: float | torch.Tensor = 10.0, bias: float | torch.Tensor = -10.0
) -> torch.Tensor:
    """Every pair of the batch classified on its own, does it match or not, by a sigmoid of its scaled cosine.

    -1/n * sum over i and j of log sigmoid(z_ij * (scale * cos(q_i, k_j) + bias)), z_ij = 1 if i = j else -1

    SigLIP (Zhai et al., 2023). Both are float (n, dimension), of any length. Most pairs do not match, hence the bias;
    the source learns it and log scale, so both may be tensors with gradients. ValueError for other shapes or no rows.
    Two pairs at right angles, scale 1, bias 0: 2 pairs cost log(1 + 1/e) = 0.3133, 2 cost log 2 = 0.6931; half the sum:
    >>> sigmoid_loss(torch.eye(2), torch.eye(2), scale=1.0, bias=0.0)
    tensor(1.0064)
    """
    logits = scale * _cosines(queries, keys) + bias  # (n, n)
    signs = 2 * torch.eye(len(logits), dtype=logits.dtype, device=logits.device) - 1
    return -functional.logsigmoid(signs * logits).sum() / len(logits)


def supcon(embeddings: torch.Tensor, labels: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Supervised contrastive loss: each row finds every other row of its class among all other rows, by cosine.

    mean over i of -1/|P(i)| * sum over p in P(i) of log(exp(cos(i, p) / temperature) / sum over a of exp(cos(i, a) /
    temperature)), where P(i) are the other rows of the class of i, and a runs over all rows but i

    L_out of Khosla et al., 2020. embeddings float (n, dimension), of any length; labels int (n,). Rows alone in their
    class are no anchors; the loss of no anchors is 0. ValueError for other shapes or a temperature that is not above 0.
    Two equal rows of one class, and one at a right angle to them, temperature 1: log((e + 1) / e) = 0.3133 for both.
    >>> supcon(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]), temperature=1)
    tensor(0.3133)
    """
    _check_labels(embeddings, labels)
    _check_positive(temperature, "temperature")
    rows = functional.normalize(embeddings)
    is_self = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    logits = (rows @ rows.T / temperature).masked_fill(is_self, -math.inf)  # (n, n)
    is_positive = (labels[:, None] == labels) & ~is_self
    log_share = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(~is_positive, 0.0)
    n_positives = is_positive.sum(1)
    return _mean(-log_share.sum(1)[n_positives > 0] / n_positives[n_positives > 0])


def proxy_anchor(
    embeddings: torch.Tensor, labels: torch.Tensor, proxies: torch.Tensor, margin: float = 0.1, scale: float = 32.0
) -> torch.Tensor:
    """Pull rows to the learned proxy of their class and push them from all others, the worst ones most, by cosine.

    mean over classes p of the batch of log(1 + sum over rows x of p of exp(-scale * (cos(x, p) - margin)))
    + mean over all classes p of log(1 + sum over other rows x of exp(scale * (cos(x, p) + margin)))

    Kim et al., Proxy Anchor Loss, 2020. embeddings float (n, dimension); labels int (n,), from 0 to n_classes - 1;
    proxies float (n_classes, dimension), parameters for the optimiser (in the source at 100 times the rate of the
    network). ValueError for other shapes, no rows, a label without a proxy, a negative margin, or a scale not above 0.
    One row at the first of two proxies, which are at a right angle; margin 0, scale 1: log(1 + 1/e) + (0 + log 2) / 2.
    >>> proxy_anchor(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), torch.eye(2), margin=0.0, scale=1.0)
    tensor(0.6598)
    """
    _check_labels(embeddings, labels)
    _check_tensors(proxies)
    is_sound = proxies.ndim == 2 and proxies.dtype == embeddings.dtype and len(embeddings) > 0
    if not is_sound or proxies.shape[1:] != embeddings.shape[1:]:
        raise ValueError(f"expected (n, dimension) and (n_classes, dimension), got {_shapes(embeddings, proxies)}")
    if labels.min() < 0 or labels.max() >= len(proxies):
        raise ValueError(f"labels must be from 0 to {len(proxies) - 1}, got {labels.min()} to {labels.max()}")
    if isinstance(margin, bool) or not 0 <= margin < 1e18:
        raise ValueError(f"margin must be at least 0, got {margin}")
    _check_positive(scale, "scale")
    cosines = functional.normalize(embeddings) @ functional.normalize(proxies).T  # (n, n_classes)
    is_own = labels[:, None] == torch.arange(len(proxies), device=labels.device)
    pull = _log_one_plus_sum((-scale * (cosines - margin)).masked_fill(~is_own, -math.inf))
    push = _log_one_plus_sum((scale * (cosines + margin)).masked_fill(is_own, -math.inf))
    return pull[is_own.any(0)].mean() + push.mean()


@torch.no_grad()
def mine(
    embeddings: torch.Tensor, labels: torch.Tensor, how: str = "random", margin: float = 1.0, *,
    is_different: torch.Tensor | None = None, generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Triples of a batch: the rows of (anchors, positives, negatives), int64 (t,) each, in the order of the anchors.

    embeddings   float (n, dimension), finite; only their distances are used, without gradient
    labels       int (n,), one class each; or bool (n, n), True where column j is a positive of row i. For rows with
                 several labels: `labels=overlap >= 0.5, is_different=overlap == 0`. A row is not its own positive
    how          "random": for each anchor a random positive and a random negative.
                 "semi-hard": for each anchor and each positive the nearest negative that is farther, but by less than
                 `margin` (FaceNet, Schroff et al. 2015); pairs without one are left out (memory: pairs x n numbers).
                 "batch-hard": for each anchor its farthest positive and its nearest negative (Hermans et al. 2017)
    is_different bool (n, n), True where column j is a negative of row i; default: everything but the positives
    generator    of random numbers, on the device of the embeddings; default: torch's own

    Ties go to the lower row. Anchors without a positive or without a negative are left out; all three may be empty.
    ValueError for other shapes, names, or numbers that are not finite.

    On a line, the first two of one class. Row 2 is the hardest negative of both; of row 1 no negative is semi-hard, as
    row 3, at 2, is farther than the positive at 1, but not by less than the margin.
    >>> line, labels = torch.tensor([[0.0], [1.0], [1.5], [3.0]]), torch.tensor([0, 0, 1, 2])
    >>> [rows.tolist() for rows in mine(line, labels, "batch-hard")]
    [[0, 1], [1, 0], [2, 2]]
    >>> [rows.tolist() for rows in mine(line, labels, "semi-hard", margin=1.0)]
    [[0], [1], [2]]
    """
    same, different = _pairs(embeddings, labels, is_different)
    anchors = torch.nonzero(same.any(1) & different.any(1)).flatten()  # with both a positive and a negative
    if how == "random":
        return anchors, _draw(same[anchors], generator), _draw(different[anchors], generator)
    if how not in ("semi-hard", "batch-hard"):
        raise ValueError(f"how must be 'random', 'semi-hard' or 'batch-hard', got {how!r}")
    distances = torch.cdist(embeddings.float(), embeddings.float(), compute_mode="donot_use_mm_for_euclid_dist")
    if how == "batch-hard":
        farthest = _first_largest(distances[anchors], same[anchors])
        return anchors, farthest, _first_largest(-distances[anchors], different[anchors])
    _check_positive(margin, "margin")
    anchors, positives = torch.nonzero(same, as_tuple=True)
    beyond = distances[anchors] - distances[anchors, positives][:, None]  # (pairs, n): how much farther
    is_semi_hard = different[anchors] & (beyond > 0) & (beyond < margin)
    usable = is_semi_hard.any(1)
    anchors, positives = anchors[usable], positives[usable]
    return anchors, positives, _first_largest(-distances[anchors], is_semi_hard[usable])


def growing_margin(epoch: int, epochs: int, start: float, end: float) -> float:
    """The margin in `epoch` (from 0): it grows linearly from `start` to `end` over `epochs` epochs, then stays.

    With one epoch it is `end`. ValueError for an epoch below 0, no epochs, or margins that are not 0 < start <= end.
    >>> [growing_margin(epoch, epochs=4, start=0.25, end=1.0) for epoch in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    if epoch < 0 or epochs < 1:
        raise ValueError(f"epoch must be at least 0 and epochs at least 1, got epoch {epoch} of {epochs}")
    if not 0 < start <= end < math.inf:
        raise ValueError(f"expected margins with 0 < start <= end, got start {start} and end {end}")
    return start + (end - start) * min(epoch / (epochs - 1), 1) if epochs > 1 else end


def dice(logits: torch.Tensor, targets: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """Mean over masks of 1 - (2 overlap + smooth) / (predicted + true + smooth), with probabilities as soft masks.

    `logits` float (..., h, w), before the sigmoid; `targets` bool or 0 and 1 of the same shape; each (h, w) is a mask.
    Areas and `smooth` are in pixels; overlap: the sum of probability x target. An empty mask predicted empty costs 0.
    Milletari et al., V-Net, 2016, square the terms of areas. ValueError for other shapes, no mask, or smooth below 0.
    >>> dice(torch.zeros(1, 2, 2), torch.tensor([[[1, 1], [0, 0]]]))  # all at 1/2: 1 - (2 x 1 + 1) / (2 + 2 + 1)
    tensor(0.4000)
    """
    _check_tensors(logits, targets)
    if logits.ndim < 2 or logits.shape != targets.shape or logits.numel() == 0:
        raise ValueError(f"logits and targets must both be (..., h, w) and not empty, got {_shapes(logits, targets)}")
    if not 0 <= smooth < math.inf:
        raise ValueError(f"smooth must be at least 0, got {smooth}")
    probability, truth = torch.sigmoid(logits.float()), targets.float()
    overlap = (probability * truth).sum((-2, -1))
    return (1 - (2 * overlap + smooth) / (probability.sum((-2, -1)) + truth.sum((-2, -1)) + smooth)).mean()


def nested_loss(
    logits: Sequence[torch.Tensor], targets: torch.Tensor, weights: Sequence[float] | None = None
) -> torch.Tensor:
    """Weighted sum over sizes of the mean cross entropy (Kusupati et al., Matryoshka Representation Learning, 2022).

    sum over sizes m of weight_m * cross entropy of the classifier of the first m coordinates

    `logits`: (n, n_classes) for each size; `targets`: int64 (n,) classes or float (n, n_classes) probabilities;
    `weights`: by size (default: 1, the paper's). ValueError: no sizes, other numbers of weights, one < 0 or not finite.
    >>> nested_loss([torch.zeros(3, 2)] * 2, torch.tensor([0, 1, 1]))  # two sizes, both undecided: log 2 + log 2
    tensor(1.3863)
    """
    if len(logits) == 0:
        raise ValueError("expected logits of at least one size, got none")
    weights = [1.0] * len(logits) if weights is None else list(weights)
    if len(weights) != len(logits):
        raise ValueError(f"expected {len(logits)} weights, one for each size, got {len(weights)}")
    if not all(0 <= weight < math.inf for weight in weights):
        raise ValueError(f"weights must be finite and at least 0, got {weights}")
    return sum(weight * functional.cross_entropy(each, targets) for weight, each in zip(weights, logits, strict=True))


def _mean(values):
    """The mean, or 0 of no values; still part of the graph, so that a step without a triple can call backward."""
    return values.mean() if len(values) else values.sum()


def _pairs(embeddings, labels, is_different):
    """Two bool (n, n): is column j a positive of row i, and is it a negative?"""
    _check_tensors(embeddings, labels)
    if embeddings.ndim != 2 or not torch.isfinite(embeddings).all():
        raise ValueError(f"embeddings must be (n, dimension) and finite, got {_shapes(embeddings)}")
    n = len(embeddings)
    if labels.shape == (n,) and not labels.is_floating_point():
        same = labels[:, None] == labels
    elif labels.shape == (n, n) and labels.dtype == torch.bool:
        same = labels
    else:
        raise ValueError(f"labels must be int ({n},) or bool ({n}, {n}), got {labels.dtype} {_shapes(labels)}")
    different = ~same if is_different is None else is_different
    if different.shape != (n, n) or different.dtype != torch.bool:
        raise ValueError(f"is_different must be bool ({n}, {n}), got {different.dtype} {_shapes(different)}")
    if (same & different).any():
        raise ValueError("expected each pair to be positive or negative, got pairs that are both")
    others = ~torch.eye(n, dtype=torch.bool, device=embeddings.device)
    return same & others, different & others


def _draw(candidates, generator):
    """A random column of each row, uniformly from those that are True; every row has at least one."""
    return _first_largest(torch.rand(candidates.shape, generator=generator, device=candidates.device), candidates)


def _first_largest(values, candidates):
    """The column of the largest value among the candidates of each row, the first of equal ones."""
    if values.numel() == 0:
        return torch.zeros(len(values), dtype=torch.int64, device=values.device)
    values = values.masked_fill(~candidates, -math.inf)
    columns = torch.arange(values.shape[1], device=values.device)
    is_largest = values == values.amax(1, keepdim=True)  # argmax promises no order among equals
    return torch.where(is_largest, columns, values.shape[1]).amin(1)


def _log_one_plus_sum(exponents):
    """log(1 + sum of exp) of each column, (n, m) -> (m,), without overflow."""
    return functional.pad(exponents, (0, 0, 1, 0)).logsumexp(0)  # the row of zeros is the 1


def _cosines(queries, keys):
    _check_tensors(queries, keys)
    is_sound = queries.ndim == 2 and len(queries) and queries.is_floating_point() and queries.dtype == keys.dtype
    if not is_sound or queries.shape != keys.shape:
        got = f"{_shapes(queries, keys)} of {queries.dtype} and {keys.dtype}"
        raise ValueError(f"queries and keys must both be float (n, dimension) with n >= 1, got {got}")
    return functional.normalize(queries) @ functional.normalize(keys).T  # (n, n)


def _check_labels(embeddings, labels):
    _check_tensors(embeddings, labels)
    is_sound = embeddings.ndim == 2 and embeddings.is_floating_point() and not labels.is_floating_point()
    if not is_sound or labels.shape != embeddings.shape[:1]:
        got = f"{_shapes(embeddings)} and {labels.dtype} {_shapes(labels)}"
        raise ValueError(f"expected embeddings float (n, dimension) and labels int (n,), got {got}")


def _check_tensors(*tensors):
    others = [type(tensor).__name__ for tensor in tensors if not isinstance(tensor, torch.Tensor)]
    if others:
        raise TypeError(f"expected torch tensors, got {', '.join(others)}")


def _check_positive(number, name):
    if isinstance(number, str | bool) or not 0 < number < 1e18:  # above which torch takes no whole number
        raise ValueError(f"{name} must be above 0, got {number!r}")


def _shapes(*tensors):
    return " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
