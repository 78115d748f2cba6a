"""Exercises of 04_multilabel: one sigmoid a label, sets of labels, a threshold, what chance shares, the background."""

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch.nn import functional

from lib import masking, metrics, relevance

from ..judging import unit
from ..kinds import Construction, Function, Prediction, Value

# 1. binary cross entropy


def _logits(rng):
    return tuple((rng.normal(0, 2, (n, m)), rng.random((n, m)) < 0.4) for n, m in ((1, 2), (4, 3), (6, 5)))


def _bce(logits, targets):
    return functional.binary_cross_entropy_with_logits(
        torch.tensor(logits), torch.tensor(targets, dtype=torch.double)
    ).item()


def _only_present(logits, targets):
    return np.where(targets, np.log1p(np.exp(-logits)), 0).mean()


def _softmax_loss(logits, targets):
    return -(torch.log_softmax(torch.tensor(logits), dim=1).numpy() * targets).mean()


binary_cross_entropy = Function(
    title="one sigmoid a label",
    draw=_logits,
    right=_bce,
    slips={
        "You add up over the labels. Take the mean over photos and labels.": (
            lambda logits, targets: logits.shape[1] * _bce(logits, targets)
        ),
        "Absent labels cost nothing here, but saying yes to them must cost: the term with 1 - y is missing.": (
            _only_present
        ),
        "A softmax makes the labels compete. Each has a yes or no of its own: a sigmoid each.": _softmax_loss,
        "Your logarithm has the base 2. The loss is in nats: np.log.": lambda logits, targets: (
            _bce(logits, targets) / np.log(2)
        ),
        "The sign is wrong: a logarithm of a probability is negative, a loss is not.": (
            lambda logits, targets: -_bce(logits, targets)
        ),
    },
)

# 2. example-wise F1


def _label_sets(rng):
    cases = []
    for n, m in ((3, 4), (6, 5), (8, 7)):
        predicted, true = rng.random((2, n, m)) < 0.45
        predicted[np.arange(n), rng.integers(m, size=n)] = True
        true[np.arange(n), rng.integers(m, size=n)] = True
        cases.append((predicted, true))
    return tuple(cases)


example_f1 = Function(
    title="example-wise F1",
    draw=_label_sets,
    right=lambda predicted, true: f1_score(true, predicted, average="samples"),
    slips={
        "That is the IoU, |P ∩ T| / |P ∪ T|. F1 divides twice the shared labels by |P| + |T|.": (
            lambda predicted, true: metrics.label_scores(predicted, true).accuracy.mean()
        ),
        "You pool all photos before you divide (micro F1). First a score for each photo, then the mean.": (
            lambda predicted, true: f1_score(true, predicted, average="micro")
        ),
        "You score each label and average over labels (macro F1): the wrong axis. Score each photo.": (
            lambda predicted, true: f1_score(true, predicted, average="macro", zero_division=0)
        ),
        "The factor 2 is missing: two equal sets must score 1.": (
            lambda predicted, true: f1_score(true, predicted, average="samples") / 2
        ),
    },
)

# 3. a threshold, chosen and then scored


def _probabilities(rng):
    frequency = rng.uniform(0.05, 0.5, size=12)
    parts = []
    for n in (30, 30):
        true = rng.random((n, 12)) < frequency
        true[:, 0] |= ~true.any(axis=1)
        probability = 1 / (1 + np.exp(-(2.0 * true - 2.2 + rng.normal(0, 1.3, true.shape))))
        parts += [probability.round(3), true]
    return tuple(parts)


THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)


def _f1_at(probabilities, truth, threshold):
    return metrics.label_scores(probabilities >= threshold, truth).f1.mean()


def _best(probabilities, truth):
    return metrics.threshold_by_f1(probabilities, truth, THRESHOLDS)[0]


threshold = Value(
    title="a threshold",
    draw=_probabilities,
    right=lambda p_validation, validation, p_test, test: _f1_at(p_test, test, _best(p_validation, validation)),
    expected="one number: the example-wise F1 of the test photos at the threshold that you chose",
    slips={
        "The threshold was chosen on the test photos, with which it is then scored.": (
            lambda p_validation, validation, p_test, test: _f1_at(p_test, test, _best(p_test, test))
        ),
        "That is the F1 of the validation photos, on which the threshold was chosen.": (
            lambda p_validation, validation, p_test, test: _f1_at(
                p_validation, validation, _best(p_validation, validation)
            )
        ),
        "You say yes above one half. With rare labels that is too strict: choose the threshold on validation photos.": (
            lambda p_validation, validation, p_test, test: _f1_at(p_test, test, 0.5)
        ),
        "That is the threshold itself. What does it score on the test photos?": (
            lambda p_validation, validation, p_test, test: _best(p_validation, validation)
        ),
    },
    tolerance=1e-6,
)

# 4. a label that everybody has

everybody = Prediction(
    title="a label that nine photos in ten have",
    options=("it falls", "it stays the same", "it rises"),
    moral="Two photos that share nothing else now share this label, so even random neighbours look "
    "better, although the "
    "search knows no more than before. Compare label IoU only on the same labels, and beside that of random retrieval.",
    draw=lambda rng: (rng.random((200, 10)) < 0.15,),
)

# 5. how much comes from the background


def _recomposed(rng):
    n, d, share = 40, 16, rng.uniform(0.2, 0.8)
    product, ground, other_product, other_ground = rng.normal(size=(4, n, d)) * np.exp(
        rng.normal(0, 0.5, size=(4, n, 1))
    )
    common, scale = 1.5 * rng.normal(size=d), np.exp(rng.normal(0, 0.4, size=(4, n, 1)))
    pairs = ((product, ground), (product, other_ground), (other_product, ground), (other_product, other_ground))
    rows = [(1 - share) * a + share * b + common + 0.2 * rng.normal(size=(n, d)) for a, b in pairs]
    return tuple(scale[i] * each for i, each in enumerate(rows))


def _shares(reference, same_product, same_ground, neither):
    a, p, g, n = map(unit, (reference, same_product, same_ground, neither))
    return (a * p).sum(1), (a * g).sum(1), (a * n).sum(1)


def _share(reference, same_product, same_ground, neither):
    p, g, n = _shares(reference, same_product, same_ground, neither)
    return (g - n).mean() / ((g - n).mean() + (p - n).mean())


def _without_baseline(*rows):
    p, g, _ = _shares(*rows)
    return g.mean() / (g.mean() + p.mean())


def _mean_of_ratios(*rows):
    p, g, n = _shares(*rows)
    return ((g - n) / (g - n + p - n)).mean()


def _of_dots(reference, same_product, same_ground, neither):
    p, g, n = ((reference * each).sum(axis=1) for each in (same_product, same_ground, neither))
    return (g - n).mean() / ((g - n).mean() + (p - n).mean())


background = Value(
    title="the background share",
    draw=_recomposed,
    right=lambda *rows: masking.background_share(*rows).mean(),
    expected="one number: the background share of this embedding",
    slips={
        "The similarity of pictures that share neither is not subtracted. Any two photos have something in common.": (
            _without_baseline
        ),
        "You take the mean of the photos' shares; a photo whose total is near 0 ruins it. Divide the "
        "means.": _mean_of_ratios,
        "That is the share of the product; the exercise asks for that of the background.": lambda *rows: (
            1 - _share(*rows)
        ),
        "These are dot products, so long rows count more. Take cosines.": _of_dots,
    },
)

# 6. two measures that disagree


def _query_set(rng):
    query = np.zeros(8, bool)
    query[rng.permutation(8)[: rng.integers(3, 5)]] = True
    return (query,)


def _disagree_problem(answer, query):
    try:
        first, second = (np.asarray(each).astype(bool) for each in answer)
    except (TypeError, ValueError):
        return "Give a pair of boolean arrays, each of eight labels."
    if first.shape != (8,) or second.shape != (8,):
        return "Give a pair of boolean arrays, each of eight labels."
    iou = relevance.label_iou(query[None], np.stack([first, second]), [[0, 1]])[0]
    shared = (query & first).sum(), (query & second).sum()
    if shared[1] <= shared[0]:
        return "The second photo does not share more labels with the query than the first."
    if iou[0] <= iou[1] + 1e-9:
        return "By IoU the first photo is not ahead. What makes the union of two label sets large?"
    return None


disagree = Construction(
    title="more in common, less alike",
    draw=_query_set,
    expected="label sets of two photos: the second shares more labels with the query, but the first has the higher IoU",
    problem=_disagree_problem,
    slips={
        "Give a pair of boolean arrays, each of eight labels.": lambda query: query,
        "The second photo does not share more labels with the query than the first.": lambda query: (query, query),
        "By IoU the first photo is not ahead. What makes the union of two label sets large?": (
            lambda query: (~query, query)
        ),
    },
    moral="A photo of everything shares something with every query. IoU makes it pay for what it has besides.",
)

EXERCISES = (binary_cross_entropy, example_f1, threshold, everybody, background, disagree)
