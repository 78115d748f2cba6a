"""Sound calls of lib's functions, which test_any_input.py then makes with odd arguments: numbers, tables and files.

A name says what is called: "module.function", or "module.Class(method, method)"; what follows a comma is a variant.
Networks, trainings and Keras are in sound_calls_of_networks.py.
"""

import numpy as np
import pandas as pd
import torch

from lib import (
    collapse,
    correlation,
    crossmodal,
    descriptors,
    hubness,
    indexes,
    keypoints,
    losses,
    masking,
    matryoshka,
    metrics,
    plots,
    relevance,
    significance,
    text,
    training,
    vectors,
)


def rows(rng, n=12, d=6):
    return rng.normal(size=(n, d)).astype(np.float32)


def relevance_of(rng):
    return {"relevance": rng.random((6, 5)) < 0.5, "n_relevant": np.full(6, 7), "k": 4}


def pictures(rng, n=3, side=32):
    return rng.integers(0, 256, (n, side, side, 3)).astype(np.uint8)


def labelled(rng, n=12):
    return np.arange(n) % 3


def ranked(rng):
    return {"neighbours": np.argsort(rng.random((4, 12)), axis=1)[:, :5], "query_labels": labelled(rng, 4)}


def sets(rng, n=6):
    return rng.random((n, 4)) < 0.6


def searched(index):
    def search(gallery, queries, k):
        return index().fit(gallery).search(queries, k)

    return search


def shared_space_of(x, y, n_shared):
    fitted = correlation.CanonicalCorrelation(5, 4, n_shared).fit(x, y)
    return fitted.transform_x(x), fitted.transform_y(y)


def keypoints_of(rng, n=3, m=8):
    """Keypoints of n images: m places, and m looks of 16 numbers each."""
    made = (rng.uniform(0, 30, (n, m, 2)).astype(np.float32), rng.uniform(0, 9, (n, m, 16)).astype(np.float32))
    return [keypoints.Keypoints(xy, looks, 32, 32) for xy, looks in zip(*made, strict=True)]


def described(model, xy, looks, **options):
    """Words of two images' keypoints, and an image described by them."""
    found = [keypoints.Keypoints(place, look, 32, 32) for place, look in zip(xy, looks, strict=True)]
    return getattr(keypoints, model)(n_sample=100, **options).fit(found).transform(found)


def matched(function, **options):
    def of_two(xy, looks, **more):
        return function(keypoints.Keypoints(xy, looks, 32, 32), KEYPOINTS[0], **options, **more)

    return of_two


def places_and_looks(rng, n=2, m=8):
    place, looks = rng.uniform(0, 30, (n, m, 2)), rng.uniform(0, 9, (n, m, 16))
    return {"xy": place.astype(np.float32), "looks": looks.astype(np.float32)}


def place_and_look(rng):
    return {name: each[0] for name, each in places_and_looks(rng, 1).items()}


def words_and_vectors(name, **options):
    def transformed(fitted, asked):
        model = getattr(text, name)(**options)
        return model.fit(fitted).transform(asked).toarray()

    return transformed


def tree():
    return pd.DataFrame({"class": ["all", "cat", "truck", "tiger", "lion"], "parent": ["", "all", "all", "cat", "cat"]})


BANK = np.random.default_rng(1).normal(size=(300, 6)).astype(np.float32)
KEYPOINTS = keypoints_of(np.random.default_rng(1))
CAPTIONS = np.array(["a red shirt", "a blue shirt", "red shoes", "a red bag"])
SEARCH = lambda rng: {"gallery": rows(rng), "queries": rows(rng, 4), "k": 3}  # noqa: E731

CALLS = {
    "metrics.average_precision_at_k": (metrics.average_precision_at_k, relevance_of),
    "metrics.precision_at_k": (metrics.precision_at_k, relevance_of),
    "metrics.recall_at_k": (metrics.recall_at_k, relevance_of),
    "metrics.hit_rate_at_k": (metrics.hit_rate_at_k, relevance_of),
    "metrics.reciprocal_rank": (metrics.reciprocal_rank, relevance_of),
    "metrics.ndcg_at_k": (
        metrics.ndcg_at_k,
        lambda rng: {"gains": (g := rng.random((4, 6))), "gallery_gains": g, "k": 3},
    ),
    "metrics.label_scores": (metrics.label_scores, lambda rng: {"predicted_sets": sets(rng), "true_sets": sets(rng)}),
    "metrics.threshold_by_f1": (
        metrics.threshold_by_f1,
        lambda rng: {"probabilities": rng.random((6, 4)), "true_sets": sets(rng)},
    ),
    "metrics.mask_iou": (
        metrics.mask_iou,
        lambda rng: {"predicted_masks": rng.random((2, 4, 4)) < 0.5, "true_masks": rng.random((2, 4, 4)) < 0.5},
    ),
    "metrics.chance_average_precision": (
        metrics.chance_average_precision,
        lambda rng: {"n_relevant": np.array([2, 3]), "n_gallery": 10, "k": 5},
    ),
    "relevance.judge": (relevance.judge, lambda rng: ranked(rng) | {"gallery_labels": labelled(rng)}),
    "relevance.average_precision": (
        relevance.average_precision,
        lambda rng: ranked(rng) | {"gallery_labels": labelled(rng), "k": 3},
    ),
    "relevance.same_class": (relevance.same_class, lambda rng: ranked(rng) | {"gallery_labels": labelled(rng)}),
    "relevance.count_relevant": (
        relevance.count_relevant,
        lambda rng: {"query_labels": labelled(rng, 4), "gallery_labels": labelled(rng)},
    ),
    "relevance.label_iou": (
        relevance.label_iou,
        lambda rng: {
            "query_label_sets": sets(rng, 4),
            "gallery_label_sets": sets(rng, 12),
            "neighbours": ranked(rng)["neighbours"],
        },
    ),
    "relevance.match_ranks": (
        relevance.match_ranks,
        lambda rng: {
            "queries": rows(rng, 4),
            "gallery": rows(rng),
            "query_labels": labelled(rng, 4),
            "gallery_labels": labelled(rng),
        },
    ),
    "relevance.most_similar_average_precision": (
        relevance.most_similar_average_precision,
        lambda rng: {"neighbours": ranked(rng)["neighbours"], "similarity": rng.random((4, 12)), "n_similar": 3},
    ),
    "significance.mean_over_queries": (significance.mean_over_queries, lambda rng: {"values": rng.random(20)}),
    "significance.bootstrap_interval": (
        significance.bootstrap_interval,
        lambda rng: {"values": rng.random(20), "clusters": labelled(rng, 20), "n_resamples": 200},
    ),
    "significance.median_interval": (
        significance.median_interval,
        lambda rng: {"values": rng.random(20), "n_resamples": 200},
    ),
    "significance.paired_difference": (
        significance.paired_difference,
        lambda rng: {"a": rng.random(20), "b": rng.random(20), "n_resamples": 200},
    ),
    "significance.holm": (significance.holm, lambda rng: {"p_values": rng.random(5)}),
    "collapse.effective_rank": (collapse.effective_rank, lambda rng: {"embeddings": rows(rng)}),
    "collapse.mean_distance": (collapse.mean_distance, lambda rng: {"embeddings": rows(rng), "n_pairs": 50}),
    "collapse.uniformity": (collapse.uniformity, lambda rng: {"embeddings": rows(rng), "n_pairs": 50}),
    "collapse.separation": (
        collapse.separation,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "n_pairs": 50},
    ),
    "collapse.active_share": (
        collapse.active_share,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "margin": 1.0, "n_pairs": 50},
    ),
    "collapse.signals": (
        collapse.signals,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "margin": 1.0, "n_pairs": 50},
    ),
    "correlation.CanonicalCorrelation(fit, transform_x, transform_y)": (
        shared_space_of,
        lambda rng: {"x": rows(rng, 40, 6), "y": rows(rng, 40, 5), "n_shared": 3},
    ),
    "crossmodal.recall_at": (crossmodal.recall_at, lambda rng: {"ranks": np.array([1.0, 3, 9]), "k": 5}),
    "crossmodal.evaluate": (
        crossmodal.evaluate,
        lambda rng: {
            "ranks": rng.integers(1, 13, (2, 4)).astype(float),
            "photos": np.array([0, 0, 3, 11]),
            "is_new": np.arange(12) < 6,
            "nearest": np.array([rng.permutation(12) for _ in range(8)]).reshape(2, 4, 12),
            "is_fitting": rng.random((4, 12)) < 0.5,
        },
    ),
    "crossmodal.ceilings": (crossmodal.ceilings, lambda rng: {"is_fitting": rng.random((4, 12)) < 0.5, "k": 3}),
    "descriptors.colour_histogram": (descriptors.colour_histogram, lambda rng: {"images": pictures(rng)}),
    "descriptors.channel_histogram": (
        descriptors.channel_histogram,
        lambda rng: {"images": pictures(rng), "bins": 8},
    ),
    "descriptors.hog": (descriptors.hog, lambda rng: {"images": pictures(rng), "orientations": 9, "cell": 8}),
    "descriptors.PixelPCA(fit, transform)": (
        lambda fitted, images, d: descriptors.PixelPCA(d).fit(fitted).transform(images),
        lambda rng: {"fitted": pictures(rng, 6, 8), "images": pictures(rng, 2, 8), "d": 3},
    ),
    "hubness.k_occurrence": (
        hubness.k_occurrence,
        lambda rng: {"neighbours": ranked(rng)["neighbours"], "n_gallery": 12},
    ),
    "hubness.hubness": (hubness.hubness, lambda rng: {"neighbours": ranked(rng)["neighbours"], "n_gallery": 12}),
    "hubness.csls_offsets": (
        hubness.csls_offsets,
        lambda rng: {"gallery": rows(rng), "bank": rows(rng, 8), "k": 3},
    ),
    "indexes.FlatIndex(fit, search)": (searched(indexes.FlatIndex), SEARCH),
    "indexes.FlatIndex, Euclidean": (searched(lambda: indexes.FlatIndex(metric="l2")), SEARCH),
    "indexes.KDTreeIndex(fit, search)": (searched(indexes.KDTreeIndex), SEARCH),
    "indexes.LSHIndex(fit, search)": (searched(lambda: indexes.LSHIndex(n_bits=16)), SEARCH),
    "indexes.HNSWIndex(fit, search)": (searched(lambda: indexes.HNSWIndex(n_links=4)), SEARCH),
    "indexes.search_leave_self_out": (
        indexes.search_leave_self_out,
        lambda rng: {"embeddings": rows(rng), "k": 3, "rows": np.array([0, 5])},
    ),
    "indexes.recall_of_neighbours": (
        indexes.recall_of_neighbours,
        lambda rng: {"found": ranked(rng)["neighbours"], "exact": ranked(rng)["neighbours"]},
    ),
    "keypoints.root_sift": (
        keypoints.root_sift,
        lambda rng: {"descriptors": rng.integers(0, 255, (5, 128)).astype(np.float32)},
    ),
    "keypoints.mark_empty_rows": (keypoints.mark_empty_rows, lambda rng: {"embeddings": rows(rng)}),
    "losses.contrastive": (
        losses.contrastive,
        lambda rng: {"distances": torch.rand(6), "is_same": torch.tensor([True, False] * 3), "margin": 1.0},
    ),
    "losses.info_nce": (
        losses.info_nce,
        lambda rng: {"queries": torch.rand(4, 3), "keys": torch.rand(4, 3), "temperature": 0.1},
    ),
    "losses.supcon": (
        losses.supcon,
        lambda rng: {"embeddings": torch.rand(6, 3), "labels": torch.tensor([0, 0, 1, 1, 2, 2])},
    ),
    "losses.mine": (
        losses.mine,
        lambda rng: {"embeddings": torch.rand(6, 3), "labels": torch.tensor([0, 0, 1, 1, 2, 2]), "margin": 0.5},
    ),
    "losses.dice": (losses.dice, lambda rng: {"logits": torch.rand(2, 1, 4, 4), "targets": torch.ones(2, 1, 4, 4)}),
    "losses.growing_margin": (
        losses.growing_margin,
        lambda rng: {"epoch": 2, "epochs": 10, "start": 0.1, "end": 1.0},
    ),
    "masking.without_background": (
        masking.without_background,
        lambda rng: {"images": pictures(rng, 2, 8), "masks": rng.random((2, 8, 8)) < 0.5},
    ),
    "masking.without_product": (
        masking.without_product,
        lambda rng: {"images": pictures(rng, 2, 8), "masks": rng.random((2, 8, 8)) < 0.5, "reach": 1},
    ),
    "matryoshka.truncate": (matryoshka.truncate, lambda rng: {"embeddings": rows(rng), "d": 3}),
    "matryoshka.shortlist_and_rerank": (
        matryoshka.shortlist_and_rerank,
        lambda rng: {"gallery": rows(rng), "queries": rows(rng, 4), "shortlist_d": 2, "shortlist": 5, "k": 3},
    ),
    "plots.retrieval_grid": (
        lambda **arguments: plots.retrieval_grid(**arguments) and 1,
        lambda rng: {"queries": pictures(rng, 2, 8), "neighbours_images": pictures(rng, 6, 8).reshape(2, 3, 8, 8, 3)},
    ),
    "text.TfIdf(fit, transform)": (words_and_vectors("TfIdf"), lambda rng: {"fitted": CAPTIONS, "asked": CAPTIONS[:2]}),
    "text.tokens": (lambda text_: text.tokens(text_), lambda rng: {"text_": "a red shirt"}),
    "training.Batches": (
        lambda array, size: [batch[0].numpy() for batch in training.Batches([array], size, shuffle=False)],
        lambda rng: {"array": rows(rng), "size": 5},
    ),
    "vectors.checked_embeddings": (
        lambda embeddings: vectors.checked_embeddings(embeddings, "gallery", "cosine"),
        lambda rng: {"embeddings": rows(rng)},
    ),
    "vectors.enlarged": (
        vectors.enlarged,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "n": 20, "mix": 0.5},
    ),
    "metrics.positive_int": (lambda value: metrics.positive_int(value, "k"), lambda rng: {"value": 3}),
    "metrics.finite_numbers": (lambda array: metrics.finite_numbers(array, "values"), lambda rng: {"array": rows(rng)}),
    "metrics.bool_sets": (lambda some: metrics.bool_sets(some, "label_sets"), lambda rng: {"some": sets(rng)}),
    "relevance.hierarchy_similarity": (
        relevance.hierarchy_similarity,
        lambda rng: {
            "query_labels": np.array(["tiger", "lion"]),
            "gallery_labels": np.array(["lion", "truck", "tiger"]),
            "hierarchy": tree(),
            "neighbours": np.array([[0, 1], [2, 0]]),
        },
    ),
    "relevance.label_similarity": (
        relevance.label_similarity,
        lambda rng: {
            "query_attributes": labelled(rng, 4)[:, None],
            "gallery_attributes": labelled(rng)[:, None],
            "query_words": sets(rng, 4),
            "gallery_words": sets(rng, 12),
        },
    ),
    "significance.p_value_against": (
        significance.p_value_against,
        lambda rng: {"effect": np.array([1.0, 0.2, 1.8]), "margin": 0.1},
    ),
    "significance.verdict": (
        significance.verdict,
        lambda rng: {"effect": np.array([1.0, 0.2, 1.8]), "above": 0.1, "alpha": 0.05, "p_value": 0.01},
    ),
    "significance.the_relation": (significance.the_relation, lambda rng: {"within": np.array([-0.1, 0.1])}),
    "collapse.pair_distances": (
        collapse.pair_distances,
        lambda rng: {"embeddings": rows(rng), "labels": labelled(rng), "n_pairs": 50},
    ),
    "crossmodal.split_by_combination": (
        crossmodal.split_by_combination,
        lambda rng: {
            "combinations": np.repeat(list("abcdefghij"), 6),
            "n_train": 20,
            "n_validation": 6,
            "n_test": 10,
            "held_share": 0.2,
        },
    ),
    "crossmodal.split_as_given": (
        crossmodal.split_as_given,
        lambda rng: {
            "splits": np.array(["train", "test", "validation"] * 3),
            "n_train": 2,
            "n_validation": 2,
            "n_test": 2,
        },
    ),
    "hubness.lift": (
        hubness.lift,
        lambda rng: {"queries": rows(rng, 4), "gallery": rows(rng), "offsets": rng.random(12)},
    ),
    "indexes.IVFPQIndex(fit, search)": (
        searched(lambda: indexes.IVFPQIndex(n_lists=2, n_bytes=2)),
        lambda rng: {"gallery": rows(rng, 300), "queries": rows(rng, 4), "k": 3},
    ),
    "indexes.FlatIndex, its metric": (
        lambda metric: indexes.FlatIndex(metric).fit(np.eye(3, dtype=np.float32)).nbytes,
        lambda rng: {"metric": "l2"},
    ),
    "indexes.KDTreeIndex, its settings": (
        lambda leaf_size: searched(lambda: indexes.KDTreeIndex(leaf_size=leaf_size))(np.eye(3), np.eye(3), 2),
        lambda rng: {"leaf_size": 2},
    ),
    "indexes.LSHIndex, its settings": (
        lambda n_bits: searched(lambda: indexes.LSHIndex(n_bits=n_bits))(np.eye(3), np.eye(3), 2),
        lambda rng: {"n_bits": 16},
    ),
    "indexes.HNSWIndex, its settings": (
        lambda **settings: searched(lambda: indexes.HNSWIndex(**settings))(np.eye(3), np.eye(3), 2),
        lambda rng: {"n_links": 4, "build_width": 10, "search_width": 10},
    ),
    "indexes.IVFPQIndex, its settings": (
        lambda **settings: searched(lambda: indexes.IVFPQIndex(**settings))(BANK, BANK[:2], 2),
        lambda rng: {"n_lists": 2, "n_bytes": 2, "n_probe": 2},
    ),
    "indexes.benchmark": (
        lambda **arguments: indexes.benchmark(indexes.FlatIndex(), n_rounds=1, **arguments)["recall"],
        lambda rng: {
            "gallery": rows(rng),
            "queries": rows(rng, 4),
            "k": 3,
            "exact": ranked(rng)["neighbours"][:, :3],
            "threads": 1,
            "n_single": 2,
        },
    ),
    "indexes.seconds_in_turns": (
        lambda n_rounds: indexes.seconds_in_turns([int, float], n_rounds).shape,
        lambda rng: {"n_rounds": 2},
    ),
    "keypoints.keypoints": (
        lambda images, kind: [len(one.xy) for one in keypoints.keypoints(images, kind)],
        lambda rng: {"images": pictures(rng), "kind": "sift"},
    ),
    "keypoints.sift": (
        lambda **arguments: keypoints.sift(**arguments).descriptors,
        lambda rng: {"image": pictures(rng, 1)[0], "n_max": 5, "contrast": 0.04},
    ),
    "keypoints.orb": (
        lambda **arguments: keypoints.orb(**arguments).descriptors,
        lambda rng: {"image": pictures(rng, 1, 64)[0], "n_max": 5, "patch": 15, "contrast": 20},
    ),
    "keypoints.dense_sift": (
        lambda **arguments: keypoints.dense_sift(**arguments).descriptors,
        lambda rng: {"image": pictures(rng, 1)[0], "step": 8, "patches": np.array([16]), "blur": 0.8},
    ),
    "keypoints.BagOfVisualWords(fit, transform)": (
        lambda **arguments: described("BagOfVisualWords", **arguments),
        lambda rng: places_and_looks(rng) | {"n_words": 3, "levels": 2, "power": 0.5},
    ),
    "keypoints.VLAD(fit, transform)": (
        lambda **arguments: described("VLAD", **arguments),
        lambda rng: places_and_looks(rng) | {"n_words": 3, "power": 0.5},
    ),
    "keypoints.match": (matched(keypoints.match), lambda rng: place_and_look(rng) | {"ratio": 0.8}),
    "keypoints.count_inliers": (
        matched(keypoints.count_inliers),
        lambda rng: place_and_look(rng) | {"model": "similarity", "ratio": 1.0, "tolerance": 5.0},
    ),
    "keypoints.geometric_rerank": (
        lambda neighbours: keypoints.geometric_rerank(KEYPOINTS[:2], KEYPOINTS, neighbours, ratio=1.0),
        lambda rng: {"neighbours": np.array([[0, 1], [2, 0]])},
    ),
    "losses.triplet": (
        losses.triplet,
        lambda rng: {
            "anchors": torch.rand(4, 3),
            "positives": torch.rand(4, 3),
            "negatives": torch.rand(4, 3),
            "margin": 0.5,
        },
    ),
    "losses.triplet, soft": (
        lambda margin: losses.triplet(torch.eye(2), torch.eye(2), torch.zeros(2, 2), margin),
        lambda rng: {"margin": "soft"},
    ),
    "losses.sigmoid_loss": (
        losses.sigmoid_loss,
        lambda rng: {"queries": torch.rand(4, 3), "keys": torch.rand(4, 3), "scale": 10.0, "bias": -10.0},
    ),
    "losses.proxy_anchor": (
        losses.proxy_anchor,
        lambda rng: {
            "embeddings": torch.rand(6, 3),
            "labels": torch.tensor([0, 0, 1, 1, 2, 2]),
            "proxies": torch.rand(3, 3),
            "margin": 0.1,
            "scale": 32.0,
        },
    ),
    "losses.nested_loss": (
        lambda small, large, **arguments: losses.nested_loss([small, large], **arguments),
        lambda rng: {
            "small": torch.rand(4, 3),
            "large": torch.rand(4, 3),
            "targets": torch.tensor([0, 1, 2, 0]),
            "weights": np.array([1.0, 2.0]),
        },
    ),
    "masking.on_background_of": (
        masking.on_background_of,
        lambda rng: {
            "images": pictures(rng, 2, 8),
            "masks": rng.random((2, 8, 8)) < 0.5,
            "grounds": pictures(rng, 2, 8),
        },
    ),
    "masking.without_background, its colour": (
        lambda colour: masking.without_background(np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2)) > 0, colour),
        lambda rng: {"colour": np.array([1, 2, 3])},
    ),
    "masking.background_share": (
        masking.background_share,
        lambda rng: {
            "images": (images := 1 + rng.random((5, 4))),
            "same_product": images + 0.1 * rng.random((5, 4)),
            "same_ground": images + 0.2 * rng.random((5, 4)),
            "unrelated": rng.normal(size=(5, 4)),
        },
    ),
    "matryoshka.Funnel(fit, search)": (
        lambda steps, gallery, queries, k: matryoshka.Funnel(steps).fit(gallery).search(queries, k),
        lambda rng: SEARCH(rng) | {"steps": np.array([[2, 8], [4, 5]])},
    ),
    "matryoshka.Funnel, by a graph": (
        lambda **settings: matryoshka.Funnel([(2, 8)], **settings).fit(BANK).search(BANK[:2], 3)[1].shape,
        lambda rng: {"search_width": 10, "n_links": 4, "build_width": 10},
    ),
    "vectors.checked_with_lengths": (
        lambda embeddings, n_columns: vectors.checked_with_lengths(embeddings, "gallery", "cosine", n_columns),
        lambda rng: {"embeddings": rows(rng), "n_columns": 6},
    ),
    "vectors.checked_k": (lambda k: vectors.checked_k(k, 12), lambda rng: {"k": 3}),
    "vectors.checked_count": (lambda value: vectors.checked_count(value, "k"), lambda rng: {"value": 3}),
}
