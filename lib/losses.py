"""Losses that shape an embedding, for torch.

Contents
    contrastive      pairs: the same together, different ones apart by a margin
    triplet          triples: the positive nearer than the negative by a margin, hard or soft
    info_nce         a batch of matching rows: each query finds its key among all keys
    mine             which triples of a batch to learn from: random, semi-hard, batch-hard
    growing_margin   a margin that starts small
    dice             masks: the overlap of what is predicted with what is true
    nested_loss      one classification loss for the first 8, 16, ... coordinates together (Matryoshka)

Every loss is a scalar, a mean over pairs, triples, rows or masks. Distances are Euclidean, d(a, b) = |a - b|, with
gradient 0 where the distance is 0, so that two equal rows stop no training.

Needs torch. Copy this file alone: it imports nothing else of the course.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

__all__ = ["contrastive", "dice", "growing_margin", "info_nce", "mine", "nested_loss", "triplet"]


def contrastive(distances: torch.Tensor, is_same: torch.Tensor, margin: float = 1.0) -> torch.Tensor:
    """Mean over pairs of d²/2 where the two are the same, and max(0, margin - d)²/2 where they differ.

    `distances` float (n,), not negative: `torch.linalg.vector_norm(a - b, dim=1)`; `is_same` bool or 0 and 1, (n,). The
    factor 1/2 is that of Hadsell, Chopra and LeCun (2006); much code leaves it out. Different pairs beyond the margin
    cost nothing, the same ones always pull. No pair at all: 0. ValueError for other shapes or a margin that is not
    above 0.

    The same at 0.4: 0.08. Different at 0.4: 0.6²/2 = 0.18. Different at 2: nothing. The mean of the three:

    >>> contrastive(torch.tensor([0.4, 0.4, 2.0]), torch.tensor([True, False, False]))
    tensor(0.0867)
    """
    _check_margin(margin)
    if distances.ndim != 1 or distances.shape != is_same.shape:
        raise ValueError(f"distances and is_same are both (n,), got {_shapes(distances, is_same)}")
    apart = functional.relu(margin - distances)
    return _mean(0.5 * torch.where(is_same.bool(), distances, apart).square())


def triplet(
    anchors: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, margin: float | str = 1.0
) -> torch.Tensor:
    """Mean over triples of max(0, d(a, p) - d(a, n) + margin); for margin "soft" of log(1 + exp(d(a, p) - d(a, n))).

    All three float (t, dimension), row by row a triple. Distances are not squared (FaceNet squares them: Schroff et al.
    2015); the soft margin is Hermans et al., In Defense of the Triplet Loss, 2017: it never stops pulling. The mean is
    over all triples, solved ones too. No triple at all: 0. ValueError for other shapes or a margin that is not above 0.

    The positive at distance 1, the negatives at 3 (solved by a margin of 1) and at 1.5 (short of it by 0.5):

    >>> anchors, positives = torch.zeros(2, 1), torch.ones(2, 1)
    >>> triplet(anchors, positives, torch.tensor([[3.0], [1.5]]))
    tensor(0.2500)
    """
    if not (anchors.ndim == 2 and anchors.shape == positives.shape == negatives.shape):
        raise ValueError(f"triples are three times (t, dimension), got {_shapes(anchors, positives, negatives)}")
    excess = _distance(anchors, positives) - _distance(anchors, negatives)
    if margin == "soft":
        return _mean(functional.softplus(excess))
    _check_margin(margin)
    return _mean(functional.relu(excess + margin))


def info_nce(
    queries: torch.Tensor, keys: torch.Tensor, temperature: float = 0.07, symmetric: bool = True
) -> torch.Tensor:
    """Mean cross entropy of finding key i for query i among all keys of the batch, by cosine / temperature.

    Both float (n, dimension); of any length, since the cosine does not see it. Van den Oord et al. (2018) ask for the
    key of each query; `symmetric` takes the mean of that and of the query of each key, as CLIP does (Radford et al.
    2021). Equal rows at other places count as wrong ones. ValueError for other shapes, no row, or a temperature that
    is not above 0.

    Two pairs at right angles, temperature 1: each finds its own with probability e / (e + 1), log(1 + 1/e) = 0.3133.

    >>> info_nce(torch.eye(2), torch.eye(2), temperature=1)
    tensor(0.3133)
    """
    if queries.ndim != 2 or queries.shape != keys.shape or len(queries) == 0:
        raise ValueError(f"queries and keys are both (n, dimension) with n >= 1, got {_shapes(queries, keys)}")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    logits = functional.normalize(queries) @ functional.normalize(keys).T / temperature  # (n, n)
    own = torch.arange(len(logits), device=logits.device)
    loss = functional.cross_entropy(logits, own)
    return (loss + functional.cross_entropy(logits.T, own)) / 2 if symmetric else loss


@torch.no_grad()
def mine(
    embeddings: torch.Tensor,
    labels: torch.Tensor,
    how: str = "random",
    margin: float = 1.0,
    *,
    is_different: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Triples of a batch: the rows of (anchors, positives, negatives), int64 (t,) each, in the order of the anchors.

    embeddings   float (n, dimension), finite; only their distances are used, without gradient
    labels       int (n,), one class each; or bool (n, n), True where column j is a positive of row i. For several
                 labels a row: `labels=overlap >= 0.5, is_different=overlap == 0`. A row is no positive of itself
    how          "random": for each anchor one positive and one negative, drawn.
                 "semi-hard": for each anchor and each of its positives the nearest negative among those that are
                 farther than the positive, but by less than `margin` (FaceNet, Schroff et al. 2015); a pair without
                 such a negative is left out (memory: pairs x n numbers).
                 "batch-hard": for each anchor its farthest positive and its nearest negative (Hermans et al. 2017)
    is_different bool (n, n), True where column j is a negative of row i; default: all that are no positives
    generator    of random numbers, on the device of the embeddings; default: torch's own

    Ties go to the lower row. Anchors without a positive or without a negative are left out; where none is left, the
    three are empty (and `triplet` of them is 0). ValueError for other shapes, names, or numbers that are not finite.

    On a line at 0, 1, 1.5 and 3, the first two the same. Anchor 0: positive 1, nearest negative 2. Anchor 1: positive 0
    at distance 1; row 2 at 0.5 is the hardest negative, row 3 at 2 is farther, but by no less than the margin.

    >>> line, labels = torch.tensor([[0.0], [1.0], [1.5], [3.0]]), torch.tensor([0, 0, 1, 2])
    >>> [rows.tolist() for rows in mine(line, labels, "batch-hard")]
    [[0, 1], [1, 0], [2, 2]]
    >>> [rows.tolist() for rows in mine(line, labels, "semi-hard", margin=1.0)]
    [[0], [1], [2]]
    """
    same, different = _pairs(embeddings, labels, is_different)
    if how == "random":
        anchors = _usable(same, different)
        return anchors, _draw(same[anchors], generator), _draw(different[anchors], generator)
    if how not in ("semi-hard", "batch-hard"):
        raise ValueError(f"how is 'random', 'semi-hard' or 'batch-hard', got {how!r}")
    distances = torch.cdist(embeddings.float(), embeddings.float(), compute_mode="donot_use_mm_for_euclid_dist")
    if how == "batch-hard":
        anchors = _usable(same, different)
        farthest = _first_largest(distances[anchors], same[anchors])
        return anchors, farthest, _first_largest(-distances[anchors], different[anchors])
    _check_margin(margin)
    anchors, positives = torch.nonzero(same, as_tuple=True)
    beyond = distances[anchors] - distances[anchors, positives][:, None]  # (pairs, n): how much farther
    fitting = different[anchors] & (beyond > 0) & (beyond < margin)
    kept = fitting.any(1)
    anchors, positives = anchors[kept], positives[kept]
    return anchors, positives, _first_largest(-distances[anchors], fitting[kept])


def growing_margin(epoch: int, epochs: int, start: float, end: float) -> float:
    """The margin in `epoch` (from 0): it grows in a line from `start` to `end` in the last of `epochs`, then stays.

    A small margin is soon met, so that the first steps need not push everything apart at once. With one epoch: `end`.
    ValueError for an epoch below 0, no epochs, or margins that are not 0 < start <= end.

    >>> [growing_margin(epoch, epochs=4, start=0.25, end=1.0) for epoch in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    if epoch < 0 or epochs < 1:
        raise ValueError(f"epoch counts from 0 and epochs from 1, got epoch {epoch} of {epochs}")
    if not 0 < start <= end < math.inf:
        raise ValueError(f"margins must be 0 < start <= end, got start {start} and end {end}")
    return start + (end - start) * min(epoch / (epochs - 1), 1) if epochs > 1 else end


def dice(logits: torch.Tensor, targets: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """Mean over masks of 1 - (2 overlap + smooth) / (predicted + true + smooth), with probabilities as soft masks.

    `logits` float (..., h, w), before the sigmoid; `targets` bool or 0 and 1 of the same shape; each (h, w) is a mask
    of its own. Overlap, predicted and true are areas in pixels; the overlap is the sum of probability x target. With
    `smooth` pixels an empty mask that is predicted empty costs 0, not 0 / 0. After Milletari et al., V-Net, 2016, who
    square the terms of the two areas. ValueError for other shapes, no mask, or smooth below 0.

    Four pixels, two of them true, all undecided: 1 - (2 x 1 + 1) / (2 + 2 + 1) = 0.4.

    >>> dice(torch.zeros(1, 2, 2), torch.tensor([[[1, 1], [0, 0]]]))
    tensor(0.4000)
    """
    if logits.ndim < 2 or logits.shape != targets.shape or logits.numel() == 0:
        raise ValueError(f"logits and targets are both (..., h, w) and not empty, got {_shapes(logits, targets)}")
    if not 0 <= smooth < math.inf:
        raise ValueError(f"smooth must be at least 0, got {smooth}")
    probability, truth = torch.sigmoid(logits.float()), targets.float()
    overlap = (probability * truth).sum((-2, -1))
    areas = probability.sum((-2, -1)) + truth.sum((-2, -1))
    return (1 - (2 * overlap + smooth) / (areas + smooth)).mean()


def nested_loss(
    logits: Sequence[torch.Tensor], targets: torch.Tensor, weights: Sequence[float] | None = None
) -> torch.Tensor:
    """Weighted sum over sizes of the mean cross entropy (Kusupati et al., Matryoshka Representation Learning, 2022).

    `logits` holds one (n, n_classes) for each size of the embedding, `targets` int64 (n,) classes or float
    (n, n_classes) probabilities, `weights` one number a size (default: 1 each, as in the paper). ValueError for no
    size, another number of weights, or a weight that is negative or not finite.

    Two sizes, each undecided between two classes: log 2 + log 2.

    >>> undecided = torch.zeros(3, 2)
    >>> nested_loss([undecided, undecided], torch.tensor([0, 1, 1]))
    tensor(1.3863)
    """
    if len(logits) == 0:
        raise ValueError("there is no size to take the loss of")
    weights = [1.0] * len(logits) if weights is None else list(weights)
    if len(weights) != len(logits):
        raise ValueError(f"{len(logits)} sizes need as many weights, got {len(weights)}")
    if not all(0 <= weight < math.inf for weight in weights):
        raise ValueError(f"weights must be finite and not negative, got {weights}")
    return sum(weight * functional.cross_entropy(each, targets) for weight, each in zip(weights, logits, strict=True))


def _distance(a, b):
    return torch.linalg.vector_norm(a - b, dim=1)


def _mean(values):
    """0 of no values, still joined to the graph, so that a step without a triple can go backward."""
    return values.mean() if len(values) else values.sum()


def _pairs(embeddings, labels, is_different):
    """Two bool (n, n): who is whose positive, and whose negative."""
    if embeddings.ndim != 2 or not torch.isfinite(embeddings).all():
        raise ValueError(f"embeddings must be (n, dimension) and finite, got {_shapes(embeddings)}")
    n = len(embeddings)
    if labels.shape == (n,) and not labels.is_floating_point():
        same = labels[:, None] == labels
    elif labels.shape == (n, n) and labels.dtype == torch.bool:
        same = labels
    else:
        raise ValueError(f"labels are int ({n},) or bool ({n}, {n}), got {labels.dtype} {_shapes(labels)}")
    different = ~same if is_different is None else is_different
    if different.shape != (n, n) or different.dtype != torch.bool:
        raise ValueError(f"is_different is bool ({n}, {n}), got {different.dtype} {_shapes(different)}")
    if (same & different).any():
        raise ValueError("a pair cannot be the same and different")
    others = ~torch.eye(n, dtype=torch.bool, device=embeddings.device)
    return same & others, different & others


def _usable(same, different):
    """Rows that have both a positive and a negative."""
    return torch.nonzero(same.any(1) & different.any(1)).flatten()


def _draw(candidates, generator):
    """One column a row, uniformly from those that are True; every row has one."""
    scores = torch.rand(candidates.shape, generator=generator, device=candidates.device)
    return _first_largest(scores, candidates)


def _first_largest(values, candidates):
    """The column of the largest value among the candidates of a row, the first of equal ones; every row has one."""
    if values.numel() == 0:
        return torch.zeros(len(values), dtype=torch.int64, device=values.device)
    values = values.masked_fill(~candidates, -math.inf)
    columns = torch.arange(values.shape[1], device=values.device)
    is_largest = values == values.amax(1, keepdim=True)  # argmax promises no order among equals
    return torch.where(is_largest, columns, values.shape[1]).amin(1)


def _check_margin(margin):
    if isinstance(margin, str) or not 0 < margin < math.inf:
        raise ValueError(f"margin must be a number above 0 (triplet also takes 'soft'), got {margin!r}")


def _shapes(*tensors):
    return " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
