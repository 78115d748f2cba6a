"""The benchmark of five structures at many rows, on 2,000 rows of a few classes."""

import json

import numpy as np
import pytest

from benchmarks import million_rows
from course.publish import full_runs, panels

TINY = million_rows.Settings(
    rows=2000, widths=(4, 8, 16), graph_widths=(4, 8), k=100, n_single=5, n_rounds=1, search_widths=(100, 200),
    n_lists=4, n_bits=32, factors=(1, 20),
)  # fmt: skip


def embedded():
    """300 rows of five classes, and 20 queries."""
    rng, names = np.random.default_rng(0), np.array(list("abcde"))
    centres = rng.normal(size=(5, 16))
    classes, asked = np.repeat(np.arange(5), 60), np.arange(20) % 5
    rows, queries = (np.float32(centres[each] + rng.normal(size=(len(each), 16))) for each in (classes, asked))
    return rows, names[classes].astype(object), queries, names[asked]  # as a column of a table is


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a finished run, and what it said."""
    folder, said = tmp_path_factory.mktemp("run"), []
    path = million_rows.main(folder / "work", embedded, "toy", TINY, folder / "kept", said.append)
    assert path == folder / "kept" / "million_rows.json"
    return folder, said


def value(run, name, **more):
    [found] = [each.value for each in run["measures"] if each.name == name and each.more == more]
    return found


@pytest.mark.slow
def test_every_structure_is_measured_at_each_of_its_widths(ran):
    folder, said = ran
    [run] = full_runs.read_runs(folder / "kept")
    for name, (_, widths) in TINY.structures().items():
        for d in widths:
            assert value(run, "single query", method=name, d=d) > 0
            assert value(run, "size of the file", method=name, d=d) > 0
    assert len(said) == 3 * 4 + 2 * 2
    assert value(run, "recall@100", method="flat", d=8) == 1
    assert value(run, "recall@100", method="KD-tree", d=8) == 1
    assert value(run, "mAP@100", method="KD-tree", d=8) == value(run, "mAP@100", method="flat", d=8)
    assert value(run, "recall@100", method="LSH", d=4) < 1
    assert value(run, "size of the file", method="flat", d=16) > 2000 * 16 * 4
    assert run["parameters"]["rows"] == 2000 and run["parameters"]["widths"] == [4, 8, 16]


def test_claims_compare_the_exact_answers_with_both_others_at_each_width_of_the_graph(ran):
    [run] = full_runs.read_runs(ran[0] / "kept")
    texts = {claim.text for claim in run["claims"]}
    assert "the KD-tree is above HNSW in mAP, 4 coordinates" in texts
    assert "the KD-tree is above LSH in mAP, 8 coordinates" in texts
    by_speed = "single queries: HNSW at recall 0.95 takes at most a fifth of the time of {}, 8 coordinates"
    assert {by_speed.format(other) for other in ("KD-tree", "flat", "LSH refined")} <= texts
    assert len(texts) == 2 * (2 + 3)


def test_a_second_look_at_every_row_gives_the_exact_answers_and_at_few_of_them_fewer():
    rows, _, queries, _ = embedded()
    exact = million_rows.indexes.FlatIndex("cosine").fit(rows).search(queries, 10)[1]
    recalls = []
    for factor in (1, 3, 30):  # 30 times 10: all 300 rows
        index = million_rows.RefinedLSH(n_bits=32, k_factor=factor).fit(rows)
        recalls.append(million_rows.indexes.recall_of_neighbours(index.search(queries, 10)[1], exact).mean())
    assert recalls[0] < recalls[1] < recalls[2] == 1
    assert index.nbytes > rows.nbytes


@pytest.mark.slow
def test_a_setting_is_swept_until_its_recall_suffices(ran):
    [run] = full_runs.read_runs(ran[0] / "kept")
    few, many = (value(run, "recall@100", method="LSH refined", d=8, k_factor=factor) for factor in (1, 20))
    assert few < many == 1
    [claim] = [each for each in run["claims"] if each.text.endswith("of LSH refined, 8 coordinates")]
    assert "; LSH refined: k_factor 20, recall 1.000; 5 queries" in claim.evidence


def test_the_gallery_begins_with_the_given_rows_and_keeps_their_classes(ran):
    rows, labels, *_ = embedded()
    gallery, names = (np.load(ran[0] / "work" / f"{name}.npy") for name in ("gallery", "labels"))
    assert gallery.shape == (2000, 16) and len(names) == 2000
    np.testing.assert_array_equal(gallery[:300], rows)
    np.testing.assert_array_equal(names[:300], labels)
    for each in "abcde":
        made, given = gallery[300:][names[300:] == each], rows[labels == each]
        assert np.linalg.norm(made.mean(axis=0) - given.mean(axis=0)) < 0.5


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_where_it_was(ran, tmp_path):
    folder, _ = ran
    (folder / "work" / "8-LSH.npz").unlink()
    said = []

    def none():
        raise AssertionError("the embeddings are there")

    million_rows.main(folder / "work", none, "toy", TINY, tmp_path, said.append)
    assert len(said) == 1 and said[0].startswith("LSH, 8 coordinates")


def test_a_tree_that_answers_otherwise_is_refused(ran, tmp_path):
    folder, _ = ran
    path = folder / "work" / "4-KD-tree.npz"
    costs = dict(np.load(path))
    np.savez(path, **costs | {"neighbours": costs["neighbours"][:, ::-1]})
    try:
        with pytest.raises(ValueError, match="expected the KD-tree at 4 coordinates to answer as flat search does"):
            million_rows.main(folder / "work", embedded, "toy", TINY, tmp_path, lambda line: None)
    finally:
        np.savez(path, **costs)


@pytest.mark.slow
def test_the_four_plots_show_each_structure_and_are_drawn_anew_when_the_record_changes(ran, tmp_path):
    [run] = full_runs.read_runs(ran[0] / "kept")
    path = panels.write([run], tmp_path)
    text = path.read_text(encoding="utf-8")
    assert all(f">{name}<" in text for name in (*panels.STRUCTURES, "coordinates", "mAP@100", "MB, file"))
    assert panels.digest(run["measures"]) in text
    path.write_text(text.replace("flat", "kept"), encoding="utf-8")
    assert "kept" in panels.write([run], tmp_path).read_text(encoding="utf-8")  # shows the record: left as it is
    assert "flat" in panels.write([run | {"measures": run["measures"][1:]}], tmp_path).read_text(encoding="utf-8")
    assert panels.write([run | {"notebook": "00_toy"}], tmp_path) is None


def test_the_record_holds_no_path_of_the_machine(ran):
    text = (ran[0] / "kept" / "million_rows.json").read_text(encoding="utf-8")
    assert str(ran[0]) not in text and json.loads(text)["command"] == "python benchmarks/million_rows.py"
