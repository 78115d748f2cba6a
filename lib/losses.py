"""Losses that shape an embedding, for torch.

Contents
    nested_loss   one classification loss for the first 8, 16, ... coordinates together (Matryoshka)

Needs torch. Copy this file alone: it imports nothing else of the course.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

__all__ = ["nested_loss"]


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
