"""The nested loss: by hand, against a plain loop, and what its weights and sizes do."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from lib.losses import nested_loss


def random_logits(n_sizes=3, n=6, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    logits = [torch.from_numpy(rng.normal(size=(n, n_classes))) for _ in range(n_sizes)]
    return logits, torch.from_numpy(rng.integers(n_classes, size=n))


def test_the_loss_is_the_weighted_sum_over_sizes():
    undecided, sure = torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]])  # probabilities 1/2, 1/2 and 3/4, 1/4
    target = torch.tensor([0])
    expected = 1 * math.log(2) + 1 * math.log(4 / 3)
    assert nested_loss([undecided, sure], target).item() == pytest.approx(expected)
    expected = 5 * math.log(2) + 0.5 * math.log(4 / 3)
    assert nested_loss([undecided, sure], target, weights=[5, 0.5]).item() == pytest.approx(expected)


def test_the_loss_equals_a_plain_loop_over_sizes_and_rows():
    logits, targets = random_logits()
    weights, total = [0.5, 1.0, 2.0], 0.0
    for weight, each in zip(weights, logits, strict=True):
        for row, target in zip(each.numpy(), targets.numpy(), strict=True):
            total -= weight * np.log(np.exp(row[target]) / np.exp(row).sum()) / len(targets)
    assert nested_loss(logits, targets, weights).item() == pytest.approx(total)


def test_one_size_is_ordinary_cross_entropy():
    (logits,), targets = random_logits(n_sizes=1)
    assert torch.equal(nested_loss([logits], targets), functional.cross_entropy(logits, targets))


def test_a_size_of_weight_zero_has_no_gradient():
    logits, targets = random_logits(n_sizes=2)
    logits = [each.requires_grad_() for each in logits]
    nested_loss(logits, targets, weights=[1, 0]).backward()
    assert logits[0].grad.abs().max() > 0
    assert logits[1].grad.abs().max() == 0


def test_sure_probabilities_are_the_same_as_classes():
    logits, targets = random_logits()
    probabilities = functional.one_hot(targets, 4).double()
    assert nested_loss(logits, probabilities).item() == pytest.approx(nested_loss(logits, targets).item())


def test_the_order_of_the_rows_does_not_matter():
    logits, targets = random_logits()
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = nested_loss([each[order] for each in logits], targets[order])
    assert shuffled.item() == pytest.approx(nested_loss(logits, targets).item())


def test_sizes_and_weights_that_do_not_fit_are_refused():
    logits, targets = random_logits()
    with pytest.raises(ValueError, match="3 sizes need as many weights, got 2"):
        nested_loss(logits, targets, weights=[1, 1])
    with pytest.raises(ValueError, match="no size"):
        nested_loss([], targets)
    with pytest.raises(ValueError, match=r"weights must be finite and not negative, got \[1, -1, 1\]"):
        nested_loss(logits, targets, weights=[1, -1, 1])
