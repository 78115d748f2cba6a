"""Every loss by hand (points at known angles), against pytorch-metric-learning or a plain loop, and at its edges."""

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning import distances as oracle_distances
from pytorch_metric_learning import losses as oracle_losses
from pytorch_metric_learning import miners as oracle_miners
from pytorch_metric_learning.reducers import DoNothingReducer, MeanReducer
from torch.nn import functional

from lib.losses import (
    contrastive,
    dice,
    growing_margin,
    info_nce,
    mine,
    nested_loss,
    proxy_anchor,
    sigmoid_loss,
    supcon,
    triplet,
)

EUCLIDEAN = oracle_distances.LpDistance(normalize_embeddings=False)


def points_at(*degrees):
    """Points of the unit circle; two of them `a` degrees apart have the distance 2 sin(a / 2)."""
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def chord(degrees):
    return 2 * math.sin(math.radians(degrees) / 2)


def random_batch(n=24, d=5, n_classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return embeddings, torch.randint(n_classes, (n,), generator=generator)


def triples_of(rows):
    return sorted(zip(*(each.tolist() for each in rows), strict=True))


# ---------------------------------------------------------------------------------------------------------- contrastive


def test_contrastive_is_half_the_square_of_what_is_wrong():
    a, b = points_at(0, 0, 0), points_at(60, 60, 180)  # distances 1, 1, 2
    distances = torch.linalg.vector_norm(a - b, dim=1)
    is_same = torch.tensor([True, False, False])
    expected = (1**2 / 2 + (1.5 - 1) ** 2 / 2 + 0) / 3
    assert contrastive(distances, is_same, margin=1.5).item() == pytest.approx(expected)


def test_contrastive_is_half_the_mean_square_of_the_oracles_hinge():
    embeddings, labels = random_batch()
    hinge = oracle_losses.ContrastiveLoss(pos_margin=0, neg_margin=3, distance=EUCLIDEAN, reducer=DoNothingReducer())(
        embeddings, labels
    )
    parts = torch.cat([hinge["pos_loss"]["losses"], hinge["neg_loss"]["losses"]])  # every ordered pair
    i, j = torch.nonzero(~torch.eye(len(labels), dtype=torch.bool), as_tuple=True)
    distances = torch.linalg.vector_norm(embeddings[i] - embeddings[j], dim=1)
    ours = contrastive(distances, labels[i] == labels[j], margin=3)
    assert ours.item() == pytest.approx((parts.square().sum() / 2 / len(i)).item(), rel=1e-5)


def test_contrastive_takes_zeros_and_ones_for_is_same():
    distances = torch.tensor([0.3, 0.7])
    assert contrastive(distances, torch.tensor([1, 0])) == contrastive(distances, torch.tensor([True, False]))


def test_contrastive_costs_nothing_at_the_margin():
    assert contrastive(torch.tensor([1.0]), torch.tensor([False]), margin=1.0) == 0


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "soft triplet"])
def test_no_pair_or_triple_is_0_and_goes_backward(loss):
    embeddings = torch.ones(4, 3, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    nothing = embeddings[none]
    if loss == "contrastive":
        value = contrastive(torch.linalg.vector_norm(nothing - nothing, dim=1), torch.zeros(0, dtype=torch.bool))
    else:
        value = triplet(nothing, nothing, nothing, "soft" if loss == "soft triplet" else 1.0)
    value.backward()
    assert value == 0
    assert torch.equal(embeddings.grad, torch.zeros(4, 3))


@pytest.mark.parametrize("margin", [0, -1, math.inf, math.nan, "soft"])
def test_contrastive_refuses_a_margin_that_is_none(margin):
    with pytest.raises(ValueError, match="margin must be above 0"):
        contrastive(torch.ones(2), torch.tensor([True, False]), margin)


def test_contrastive_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"must both be \(n,\), got \(2,\) and \(3,\)"):
        contrastive(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match=r"must both be \(n,\), got \(2, 2\) and \(2, 2\)"):
        contrastive(torch.ones(2, 2), torch.ones(2, 2))


# -------------------------------------------------------------------------------------------------------------- triplet


def test_triplet_is_the_margin_that_is_missing():
    anchors, positives, negatives = points_at(0, 0), points_at(60, 60), points_at(180, 90)
    expected = (0 + (chord(60) - chord(90) + 1)) / 2  # the first is solved: 1 - 2 + 1
    assert triplet(anchors, positives, negatives, margin=1.0).item() == pytest.approx(expected)


def test_a_soft_margin_is_the_softplus_of_the_excess():
    anchors, positives, negatives = points_at(0, 0), points_at(60, 90), points_at(180, 90)
    expected = (math.log(1 + math.exp(1 - 2)) + math.log(2)) / 2
    assert triplet(anchors, positives, negatives, margin="soft").item() == pytest.approx(expected)


@pytest.mark.parametrize("margin", [0.2, 1.0, "soft"])
def test_triplet_equals_the_oracle_on_all_triples(margin):
    embeddings, labels = random_batch()
    same = labels[:, None] == labels
    anchors, positives, negatives = torch.nonzero(same[:, :, None] & ~same[:, None, :], as_tuple=True)
    kept = anchors != positives
    anchors, positives, negatives = anchors[kept], positives[kept], negatives[kept]
    ours = triplet(embeddings[anchors], embeddings[positives], embeddings[negatives], margin)
    soft = margin == "soft"
    oracle = oracle_losses.TripletMarginLoss(
        margin=0 if soft else margin, smooth_loss=soft, distance=EUCLIDEAN, reducer=MeanReducer()
    )
    assert ours.item() == pytest.approx(oracle(embeddings, labels, (anchors, positives, negatives)).item(), rel=1e-5)


def test_shifting_and_turning_all_points_changes_no_triplet_loss():
    batch, _ = random_batch(n=30, d=2)
    turn = points_at(30, 120)
    before = triplet(*batch.split(10), margin=1.0)
    after = triplet(*(batch @ turn + 7).split(10), margin=1.0)
    assert after.item() == pytest.approx(before.item())


@pytest.mark.parametrize("margin", [1.0, "soft"])
def test_triplet_of_one_point_is_the_margin_and_has_a_finite_gradient(margin):
    point = torch.ones(3, 4, requires_grad=True)
    loss = triplet(point, point, point, margin)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) if margin == "soft" else 1.0)
    assert torch.isfinite(point.grad).all()


def test_contrastive_of_one_point_has_a_finite_gradient():
    a, b = torch.ones(2, 4, requires_grad=True), torch.ones(2, 4)
    loss = contrastive(torch.linalg.vector_norm(a - b, dim=1), torch.tensor([True, False]))
    loss.backward()
    assert loss.item() == pytest.approx((0 + 1**2 / 2) / 2)
    assert torch.isfinite(a.grad).all()


def test_triplet_refuses_other_shapes_and_margins():
    rows = torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(2, 3\) and \(1, 3\)"):
        triplet(rows, rows, rows[:1])
    with pytest.raises(ValueError, match="expected three tensors"):
        triplet(rows[0], rows[0], rows[0])
    with pytest.raises(ValueError, match="got 'hard'"):
        triplet(rows, rows, rows, margin="hard")


# ------------------------------------------------------------------------------------------------------------- info_nce


def test_info_nce_asks_for_the_own_key_by_the_cosine():
    queries, keys = points_at(0, 90), points_at(60, 90)
    towards_keys = [math.cos(math.radians(60)), 0.0], [math.cos(math.radians(30)), 1.0]  # cosines, query by query
    one_way = 0.0
    for i, cosines in enumerate(towards_keys):
        one_way -= math.log(math.exp(cosines[i] / 0.5) / sum(math.exp(cosine / 0.5) for cosine in cosines)) / 2
    assert info_nce(queries, keys, temperature=0.5, symmetric=False).item() == pytest.approx(one_way)


def test_info_nce_equals_the_oracle_in_both_directions():
    queries, _ = random_batch(seed=1)
    keys, _ = random_batch(seed=2)
    oracle = oracle_losses.SelfSupervisedLoss(oracle_losses.NTXentLoss(temperature=0.1), symmetric=False)
    there, back = oracle(queries, keys).item(), oracle(keys, queries).item()
    assert info_nce(queries, keys, 0.1, symmetric=False).item() == pytest.approx(there, rel=1e-5)
    assert info_nce(queries, keys, 0.1).item() == pytest.approx((there + back) / 2, rel=1e-5)


def test_info_nce_ignores_lengths_and_the_order_of_the_pairs():
    queries, _ = random_batch(seed=1)
    keys, _ = random_batch(seed=2)
    order = torch.randperm(len(keys), generator=torch.Generator().manual_seed(0))
    changed = info_nce(3 * queries[order], 0.2 * keys[order])
    assert changed.item() == pytest.approx(info_nce(queries, keys).item())


def test_info_nce_of_one_pair_is_0():
    assert info_nce(torch.ones(1, 3), -torch.ones(1, 3)) == 0


def test_info_nce_of_zeros_has_a_finite_gradient():
    queries = torch.zeros(3, 2, requires_grad=True)
    info_nce(queries, torch.eye(3)[:, :2]).backward()
    assert torch.isfinite(queries.grad).all()


def test_info_nce_refuses_what_does_not_fit():
    rows = torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(1, 3\)"):
        info_nce(rows, rows[:1])
    with pytest.raises(ValueError, match="n >= 1"):
        info_nce(rows[:0], rows[:0])
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        info_nce(rows, rows, temperature=0)


# --------------------------------------------------------------------------------------------------------- sigmoid loss


@pytest.mark.parametrize(("scale", "bias"), [(10.0, -10.0), (1.0, 0.5)])
def test_sigmoid_loss_is_the_formula_in_a_plain_loop(scale, bias):
    queries, keys = random_batch(6)[0], random_batch(6, seed=1)[0]
    total = 0.0
    for i, query in enumerate(queries):
        for j, key in enumerate(keys):
            logit = scale * functional.cosine_similarity(query, key, dim=0).item() + bias
            total -= math.log(1 / (1 + math.exp(-logit if i == j else logit)))
    assert sigmoid_loss(queries, keys, scale, bias).item() == pytest.approx(total / 6)


def test_sigmoid_loss_is_torchs_binary_cross_entropy_of_the_identity():
    queries, keys = random_batch(8)[0], random_batch(8, seed=1)[0]
    logits = 10 * functional.normalize(queries) @ functional.normalize(keys).T - 10
    oracle = functional.binary_cross_entropy_with_logits(logits, torch.eye(8, dtype=logits.dtype), reduction="sum") / 8
    torch.testing.assert_close(sigmoid_loss(queries, keys), oracle)


def test_sigmoid_loss_does_not_change_with_length_or_with_the_order_of_pairs():
    queries, keys = random_batch(8)[0], random_batch(8, seed=1)[0]
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sigmoid_loss(5 * queries[order], keys[order] / 3), sigmoid_loss(queries, keys))


def test_scale_and_bias_of_the_sigmoid_loss_can_be_learned():
    scale, bias = (torch.tensor(value, requires_grad=True) for value in (10.0, -10.0))
    sigmoid_loss(random_batch(8)[0].float(), random_batch(8, seed=1)[0].float(), scale, bias).backward()
    assert scale.grad != 0 and bias.grad != 0


def test_large_logits_do_not_overflow_the_sigmoid_loss():
    rows = torch.eye(3)
    assert sigmoid_loss(rows, -rows, scale=1e4, bias=0.0).item() == pytest.approx(1e4 + 2 * math.log(2), rel=1e-5)


def test_sigmoid_loss_refuses_rows_that_do_not_match():
    with pytest.raises(ValueError, match=r"must both be float \(n, dimension\) with n >= 1, got \(2, 3\) and \(1, 3\)"):
        sigmoid_loss(torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"got \(0, 3\) and \(0, 3\)"):
        sigmoid_loss(torch.zeros(0, 3), torch.zeros(0, 3))


# --------------------------------------------------------------------------------------------------------------- supcon


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_supcon_is_the_oracles(temperature):
    embeddings, labels = random_batch()
    oracle = oracle_losses.SupConLoss(temperature=temperature)(embeddings, labels)
    assert supcon(embeddings, labels, temperature).item() == pytest.approx(oracle.item(), rel=1e-6)


def test_supcon_with_one_positive_each_is_cross_entropy_over_all_other_rows():
    a, b = random_batch(4)[0], random_batch(4, seed=1)[0]
    rows = functional.normalize(torch.cat([a, b]))
    logits = (rows @ rows.T / 0.5).fill_diagonal_(-math.inf)
    expected = functional.cross_entropy(logits, torch.tensor([4, 5, 6, 7, 0, 1, 2, 3]))
    torch.testing.assert_close(supcon(torch.cat([a, b]), torch.arange(4).repeat(2), temperature=0.5), expected)


def test_a_row_alone_in_its_class_is_no_anchor_of_supcon_but_a_negative():
    pair, stranger = points_at(0, 60), points_at(90)
    labels = torch.tensor([0, 0, 1])
    assert supcon(pair, labels[:2], temperature=1).item() == pytest.approx(0)  # nothing else to find
    cosines = [math.cos(math.radians(angle)) for angle in (60, 90, 30)]
    each = [math.log(1 + math.exp(cosines[1] - cosines[0])), math.log(1 + math.exp(cosines[2] - cosines[0]))]
    assert supcon(torch.cat([pair, stranger]), labels, temperature=1).item() == pytest.approx(sum(each) / 2)


def test_supcon_of_no_pair_is_zero_and_of_equal_rows_has_finite_gradients():
    rows = torch.ones(3, 2, requires_grad=True)
    nothing = supcon(rows, torch.arange(3))
    nothing.backward()
    assert nothing.item() == 0 and torch.equal(rows.grad, torch.zeros(3, 2))
    supcon(rows, torch.tensor([0, 0, 1])).backward()
    assert torch.isfinite(rows.grad).all()


@pytest.mark.parametrize("labels", [torch.zeros(2, dtype=torch.long), torch.zeros(3), torch.zeros(3, 3) > 0])
def test_supcon_refuses_labels_that_are_not_one_class_a_row(labels):
    with pytest.raises(ValueError, match=r"embeddings float \(n, dimension\) and labels int \(n,\), got \(3, 2\)"):
        supcon(torch.ones(3, 2), labels)


def test_supcon_refuses_a_temperature_of_zero():
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        supcon(torch.ones(3, 2), torch.zeros(3, dtype=torch.long), temperature=0)


# --------------------------------------------------------------------------------------------------------- proxy anchor


@pytest.mark.parametrize(("margin", "scale"), [(0.1, 32), (0.3, 4)])
@pytest.mark.parametrize("n_classes", [4, 9])  # with 9, five classes are not in the batch
def test_proxy_anchor_is_the_oracles_with_its_gradients(margin, scale, n_classes):
    embeddings, labels = random_batch()
    oracle = oracle_losses.ProxyAnchorLoss(n_classes, 5, margin=margin, alpha=scale).double()
    proxies = oracle.proxies.detach().clone().requires_grad_()
    ours, theirs = proxy_anchor(embeddings, labels, proxies, margin, scale), oracle(embeddings, labels)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(proxies.grad, oracle.proxies.grad)


def test_proxy_anchor_by_hand():
    rows, proxies = points_at(0, 60), points_at(0, 180)
    labels = torch.tensor([0, 0])
    pull = math.log(1 + math.exp(-2 * (1 - 0.1)) + math.exp(-2 * (0.5 - 0.1)))  # the second class is not in the batch
    push = math.log(1 + math.exp(2 * (-1 + 0.1)) + math.exp(2 * (-0.5 + 0.1)))
    assert proxy_anchor(rows, labels, proxies, 0.1, 2).item() == pytest.approx(pull + (0 + push) / 2)


def test_proxy_anchor_does_not_change_with_length_order_or_large_scales():
    embeddings, labels = random_batch()
    proxies = random_batch(4, seed=1)[0]
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    loss = proxy_anchor(embeddings, labels, proxies)
    torch.testing.assert_close(proxy_anchor(3 * embeddings[order], labels[order], proxies / 7), loss)
    assert torch.isfinite(proxy_anchor(embeddings.float(), labels, proxies.float(), scale=1e4))


def test_descending_proxy_anchor_brings_rows_to_their_own_proxies():
    torch.manual_seed(0)
    labels, rows, proxies = torch.arange(12) % 3, torch.randn(12, 4, requires_grad=True), torch.randn(3, 4)
    optimiser = torch.optim.Adam([rows], lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        proxy_anchor(rows, labels, proxies).backward()
        optimiser.step()
    cosines = functional.normalize(rows) @ functional.normalize(proxies).T
    assert torch.equal(cosines.argmax(1), labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.tensor([0, 2])}, "labels must be from 0 to 1, got 0 to 2"),
        ({"labels": torch.tensor([0.0, 1.0])}, r"labels int \(n,\), got \(2, 3\) and torch.float32 \(2,\)"),
        ({"proxies": torch.ones(2, 4)}, r"got \(2, 3\) and \(2, 4\)"),
        ({"embeddings": torch.ones(0, 3), "labels": torch.zeros(0).long()}, r"got \(0, 3\) and \(2, 3\)"),
        ({"margin": -1}, "margin must be at least 0, got -1"),
        ({"scale": 0}, "scale must be above 0, got 0"),
    ],
)
def test_proxy_anchor_refuses_what_does_not_fit(change, message):
    given = {"embeddings": torch.ones(2, 3), "labels": torch.tensor([0, 1]), "proxies": torch.ones(2, 3)}
    with pytest.raises(ValueError, match=message):
        proxy_anchor(**given | change)


# ----------------------------------------------------------------------------------------------------------------- mine


def test_batch_hard_triples_are_the_oracles():
    embeddings, labels = random_batch()
    theirs = oracle_miners.BatchHardMiner(distance=EUCLIDEAN)(embeddings, labels)
    assert triples_of(mine(embeddings, labels, "batch-hard")) == triples_of(theirs)


@pytest.mark.parametrize("margin", [0.3, 2.0])
def test_semi_hard_triples_are_the_oracles_with_the_nearest_negative(margin):
    embeddings, labels = random_batch()
    all_of_them = oracle_miners.TripletMarginMiner(margin, type_of_triplets="semihard", distance=EUCLIDEAN)
    nearest = {}
    for a, p, n in triples_of(all_of_them(embeddings, labels)):
        far = torch.linalg.vector_norm(embeddings[a] - embeddings[n]).item()
        if (a, p) not in nearest or far < nearest[a, p][0]:
            nearest[a, p] = far, n
    expected = sorted((a, p, n) for (a, p), (_, n) in nearest.items())
    assert expected and triples_of(mine(embeddings, labels, "semi-hard", margin)) == expected


def test_semi_hard_takes_neither_the_nearer_negative_nor_one_beyond_the_margin():
    degrees = points_at(0, 60, 30, 90, 180)  # the first two are the same
    labels = torch.tensor([0, 0, 1, 2, 3])
    found = triples_of(mine(degrees, labels, "semi-hard", margin=chord(90) - chord(60) + 0.01))
    assert (0, 1, 3) in found  # 30 is nearer than the positive, 90 is farther by less than the margin
    assert [triple for triple in found if triple[:2] == (1, 0)] == []  # 30 and 90 are nearer, 180 is too far


def test_random_gives_one_right_triple_an_anchor():
    embeddings, labels = random_batch()
    anchors, positives, negatives = mine(embeddings, labels, "random")
    assert anchors.tolist() == list(range(len(labels)))
    assert (labels[anchors] == labels[positives]).all() and (anchors != positives).all()
    assert (labels[anchors] != labels[negatives]).all()


def test_random_draws_every_positive_and_negative_as_often():
    labels = torch.tensor([0, 0, 0, 1, 1])
    generator = torch.Generator().manual_seed(0)
    drawn = [mine(torch.zeros(5, 1), labels, "random", generator=generator) for _ in range(2000)]
    positives = torch.bincount(torch.stack([each[1][0] for each in drawn]), minlength=5) / 2000
    negatives = torch.bincount(torch.stack([each[2][0] for each in drawn]), minlength=5) / 2000
    tolerance = 4 * math.sqrt(0.5 * 0.5 / 2000)
    assert positives.tolist() == pytest.approx([0, 0.5, 0.5, 0, 0], abs=tolerance)
    assert negatives.tolist() == pytest.approx([0, 0, 0, 0.5, 0.5], abs=tolerance)


def test_the_generator_decides_and_torchs_own_is_left_alone():
    embeddings, labels = random_batch()
    before = torch.get_rng_state()
    first, second = (mine(embeddings, labels, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert triples_of(first) == triples_of(second)
    assert torch.equal(torch.get_rng_state(), before)


def test_ties_go_to_the_lower_row():
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    assert triples_of(mine(torch.zeros(6, 2), labels, "batch-hard")) == [
        (0, 2, 1),
        (1, 3, 0),
        (2, 0, 1),
        (3, 1, 0),
        (4, 0, 1),
        (5, 1, 0),
    ]


def test_points_that_are_all_equal_have_no_semi_hard_triple():
    assert triples_of(mine(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]), "semi-hard")) == []


@pytest.mark.parametrize("how", ["random", "semi-hard", "batch-hard"])
@pytest.mark.parametrize("labels", [[], [5], [0, 0, 0], [0, 1, 2]], ids=["no row", "one row", "one class", "all apart"])
def test_a_batch_without_a_triple_gives_three_empty_ones(how, labels):
    labels = torch.tensor(labels, dtype=torch.int64)
    rows = mine(torch.randn(len(labels), 2), labels, how)
    assert [(each.dtype, tuple(each.shape)) for each in rows] == 3 * [(torch.int64, (0,))]


@pytest.mark.parametrize("how", ["random", "semi-hard", "batch-hard"])
def test_an_anchor_alone_in_its_class_is_only_a_negative(how):
    embeddings = torch.tensor([[0.0], [1.0], [1.5]])
    anchors, positives, negatives = mine(embeddings, torch.tensor([0, 0, 1]), how)
    assert 2 not in anchors and 2 not in positives and set(negatives.tolist()) == {2}


@pytest.mark.parametrize("how", ["semi-hard", "batch-hard"])
def test_a_matrix_of_who_is_the_same_says_what_labels_say(how):
    embeddings, labels = random_batch()
    same = labels[:, None] == labels
    assert triples_of(mine(embeddings, same, how)) == triples_of(mine(embeddings, labels, how))


def test_pairs_in_between_are_neither_positive_nor_negative():
    label_sets = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 1, 1], [0, 0, 1]], dtype=torch.float32)
    both = label_sets @ label_sets.T
    overlap = both / (label_sets.sum(1)[:, None] + label_sets.sum(1) - both)  # of 0: 1, 2/3, 1/3, 0
    line = torch.tensor([[0.0], [1.0], [0.5], [2.0]])
    found = triples_of(mine(line, overlap >= 0.5, "batch-hard", is_different=overlap == 0))
    assert found == [(0, 1, 3), (3, 2, 0)]


def test_a_negative_is_never_too_low_in_precision_to_be_told_from_the_positive():
    far = torch.tensor([[1000.0], [1000.1], [1000.2], [1000.3]])  # |a|² + |b|² - 2ab would lose these digits
    found = triples_of(mine(far, torch.tensor([0, 0, 1, 1]), "batch-hard"))
    assert found == [(0, 1, 2), (1, 0, 2), (2, 3, 1), (3, 2, 1)]


def test_mining_takes_no_gradient():
    embeddings, labels = random_batch()
    assert not any(rows.requires_grad for rows in mine(embeddings.requires_grad_(), labels, "batch-hard"))


def test_mine_refuses_what_does_not_fit():
    rows, labels = torch.ones(3, 2), torch.tensor([0, 0, 1])
    with pytest.raises(ValueError, match="how must be 'random', 'semi-hard' or 'batch-hard', got 'hard'"):
        mine(rows, labels, "hard")
    with pytest.raises(ValueError, match=r"labels must be int \(3,\) or bool \(3, 3\), got torch.int64 \(2,\)"):
        mine(rows, labels[:2])
    with pytest.raises(ValueError, match=r"got torch\.float32"):
        mine(rows, labels.float())
    with pytest.raises(ValueError, match="finite"):
        mine(rows * math.nan, labels)
    with pytest.raises(ValueError, match="is_different must be bool"):
        mine(rows, labels, is_different=torch.ones(3, 3))
    with pytest.raises(ValueError, match="got pairs that are both"):
        mine(rows, labels, is_different=torch.ones(3, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="margin must be"):
        mine(rows, labels, "semi-hard", margin=0)


# ------------------------------------------------------------------------------------------------------- growing margin


def test_the_margin_grows_in_equal_steps_and_stays_at_its_end():
    margins = [growing_margin(epoch, 5, 0.2, 1.0) for epoch in range(8)]
    assert margins == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 1.0])
    assert growing_margin(0, 1, 0.2, 1.0) == 1.0
    assert growing_margin(3, 9, 0.7, 0.7) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("given", "named"),
    [((-1, 4, 0.1, 1.0), "epoch -1 of 4"), ((0, 0, 0.1, 1.0), "of 0"), ((0, 4, 1.0, 0.1), "start 1.0 and end 0.1")],
)
def test_a_schedule_that_does_not_grow_is_refused(given, named):
    with pytest.raises(ValueError, match=named):
        growing_margin(*given)


# ----------------------------------------------------------------------------------------------------------------- dice


def test_a_mask_that_is_predicted_for_sure_costs_nothing_and_its_opposite_everything():
    truth = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    sure = 200 * (truth - 0.5)
    assert dice(sure, truth).item() == pytest.approx(0)
    assert dice(-sure, truth).item() == pytest.approx(1 - (2 * 0 + 1) / (2 + 2 + 1))
    assert dice(-sure, truth, smooth=0).item() == pytest.approx(1)


def test_dice_equals_a_plain_loop_over_masks_and_pixels():
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(3, 2, 4, 5)), rng.integers(2, size=(3, 2, 4, 5))
    total = 0.0
    for mask, true in zip(logits.reshape(6, 20), truth.reshape(6, 20), strict=True):
        probability = 1 / (1 + np.exp(-mask))
        total += 1 - (2 * (probability * true).sum() + 1) / (probability.sum() + true.sum() + 1)
    assert dice(torch.tensor(logits), torch.tensor(truth)).item() == pytest.approx(total / 6)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_masks_of_any_number_type_are_taken(dtype):
    truth = torch.tensor([[[1, 0], [0, 0]]]).to(dtype)
    assert dice(torch.zeros(1, 2, 2), truth).item() == pytest.approx(1 - (2 * 0.5 + 1) / (2 + 1 + 1))


def test_an_empty_mask_predicted_empty_costs_nothing():
    assert dice(torch.full((1, 4, 4), -100.0), torch.zeros(1, 4, 4)).item() == pytest.approx(0)


def test_areas_are_summed_exactly_in_low_precision():
    logits, truth = torch.zeros(1, 64, 64), torch.ones(1, 64, 64)
    expected = 1 - (2 * 2048 + 1) / (2048 + 4096 + 1)
    assert dice(logits.bfloat16(), truth).item() == pytest.approx(expected)


def test_dice_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"got \(1, 2, 2\) and \(2, 2\)"):
        dice(torch.zeros(1, 2, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="not empty"):
        dice(torch.zeros(0, 2, 2), torch.zeros(0, 2, 2))
    with pytest.raises(ValueError, match="smooth"):
        dice(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), smooth=-1)


# --------------------------------------------------------------------------------------------------------------- nested


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
    with pytest.raises(ValueError, match="expected 3 weights, one for each size, got 2"):
        nested_loss(logits, targets, weights=[1, 1])
    with pytest.raises(ValueError, match="expected logits of at least one size, got none"):
        nested_loss([], targets)
    with pytest.raises(ValueError, match=r"weights must be finite and at least 0, got \[1, -1, 1\]"):
        nested_loss(logits, targets, weights=[1, -1, 1])
