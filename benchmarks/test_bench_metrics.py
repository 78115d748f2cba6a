"""Average precision of 5,000 queries x their first 100 answers, against two libraries, on one thread.

    pytest benchmarks/test_bench_metrics.py --benchmark-enable -s

Each time is the median of several rounds after a warm-up, all in this process. The libraries get what they need ready
made (scores, indexes), so that only the measuring is timed; all three must agree on the mean before they are compared.
"""

from statistics import median
from time import perf_counter

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.retrieval import RetrievalMAP

from lib import metrics

N_QUERIES, K = 5000, 100


@pytest.fixture(scope="module")
def rankings():
    rng = np.random.default_rng(0)
    relevance = rng.random((N_QUERIES, K)) < rng.beta(1, 6, (N_QUERIES, 1))  # hard and easy queries, 14 % on average
    relevance[~relevance.any(axis=1), 0] = True  # the libraries have no value for a query without a hit
    return relevance, relevance.sum(axis=1) + rng.integers(0, 200, N_QUERIES)


def torchmetrics_mean(relevance):
    preds = torch.linspace(1.0, 0.01, K).repeat(N_QUERIES)
    target, indexes = torch.from_numpy(relevance).flatten(), torch.arange(N_QUERIES).repeat_interleave(K)

    def measure():
        mean_average_precision = RetrievalMAP(top_k=K)
        mean_average_precision.update(preds, target, indexes=indexes)
        return float(mean_average_precision.compute())

    return measure


def scikit_learn_loop(relevance):
    scores = np.linspace(1.0, 0.01, K)
    return lambda: float(np.mean([average_precision_score(row, scores) for row in relevance]))


def milliseconds(function, rounds):
    function()
    times = []
    for _ in range(rounds):
        start = perf_counter()
        function()
        times.append(1000 * (perf_counter() - start))
    return median(times)


@pytest.mark.parametrize(
    ("name", "alternative", "rounds"),
    [("torchmetrics", torchmetrics_mean, 5), ("scikit-learn loop", scikit_learn_loop, 3)],
)
def test_average_precision_against(benchmark, rankings, name, alternative, rounds):
    relevance, n_relevant = rankings
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def ours():
        return float(metrics.average_precision_at_k(relevance, n_relevant, divisor="hits").mean())

    theirs = alternative(relevance)
    np.testing.assert_allclose(ours(), theirs(), rtol=1e-5)
    benchmark(ours)
    ours_ms, theirs_ms = milliseconds(ours, 20 * rounds), milliseconds(theirs, rounds)
    torch.set_num_threads(n_threads)
    benchmark.extra_info.update(ours_ms=ours_ms, theirs_ms=theirs_ms, ratio=theirs_ms / ours_ms)
    print(f"\nours {ours_ms:.2f} ms, {name} {theirs_ms:.0f} ms, one thread: {theirs_ms / ours_ms:.0f} times as fast")
