"""The plan of the command line: read from a measured leaderboard, scaled to the photos asked for."""

import json

import pytest
from toys import call

from course import UsageError, plan
from course.publish import full_runs


def way(structure, reads, map_, size, first_ms, shortlist=0, again_ms=0.0, rows=1000):
    """The measures of one way to search, as notebook 13 writes them."""
    of = {"structure": f"A: {structure}", "dimensions": 16, "shortlist": shortlist, "reads": reads, "rows": rows,
          "embedding": "A"}  # fmt: skip
    numbers = {"mAP": map_, "bytes": size, "first_ms": first_ms, "again_ms": again_ms}
    return [{"name": f"way, {part}", "value": value} | of for part, value in numbers.items()]


LEADERBOARD = [
    {"name": "alone, ms", "value": 5.0, "method": "A", "unit": "ms", "data": "toy test"},
    *way("flat", "all rows", 0.50, 64, 0.1),
    *way("HNSW", "graph", 0.49, 320, 0.2),
    *way("IVF-PQ", "lists", 0.40, 8, 0.1),
    *way("flat first", "all rows", 0.48, 128, 0.05, shortlist=100, again_ms=0.3),
]


@pytest.fixture
def kept(tmp_path):
    """A folder of kept runs with one full run of the leaderboard; beside it a folder for reports that is not there."""
    run = {"notebook": plan.NOTEBOOK, "profile": "full", "ended": "2030-01-02T03:04:05Z", "seconds": 1, "command": "c",
           "given": {}, "parameters": {"dataset": "toy"}, "made_with": {"cpu": "a CPU"}, "claims": [],
           "measures": [{"notebook": plan.NOTEBOOK} | each for each in LEADERBOARD]}  # fmt: skip
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / full_runs.file_name(run)).write_text(json.dumps(run))
    return folder


def asked(kept, *options):
    return call("plan", "--kept", kept, "--reports", kept.parent / "reports", *options)


def test_the_best_way_that_keeps_every_limit_is_chosen_with_its_arithmetic(kept):
    status, said = asked(kept, "--photos", "1e6", "--ms", "20", "--gb", "1")
    # flat: 5 + 0.1 * 1000 = 105 ms; the graph: 5 + 0.2 * ln(1e6) / ln(1e3) = 5.4 ms, 1e6 * 320 bytes
    assert status == 0 and "A: HNSW at 16 dimensions: 5.4 ms (20 at most), 320 MB (1,000 at most), mAP 0.49" in said
    assert "5.4 ms = 5 (embed) + 0.4 (first look: 0.2 ms on 1,000 rows, of which a query reads graph)" in said
    assert "0.32 GB = 1,000,000 photos of 320 bytes." in said


def test_it_says_which_run_was_read(kept):
    assert (
        "Measured by 13_leaderboard, profile full, toy, 2030-01-02; a CPU, one thread" in asked(kept, "--photos", 9)[1]
    )


def test_less_memory_takes_a_structure_of_fewer_bytes(kept):
    assert "A: IVF-PQ at 16 dimensions" in asked(kept, "--photos", "1e6", "--ms", "20", "--gb", "0.2")[1]


def test_a_second_look_does_not_grow(kept):
    (first,) = [each for each in plan.ways(plan.measured(kept.parent, kept)[1]) if each["shortlist"]]
    assert plan.at_size(first, 10_000)["ms"] == pytest.approx(5 + 0.05 * 10 + 0.3)


def test_where_nothing_fits_the_nearest_is_named_and_the_status_is_1(kept):
    status, said = asked(kept, "--photos", "1e9", "--ms", "6", "--gb", "1", "--quality", "1")
    assert status == 1 and "None of 4 ways fits. Nearest: " in said


def test_without_a_limit_the_best_quality_is_chosen(kept):
    assert "A: flat at 16 dimensions" in asked(kept, "--photos", "1e6")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--photos", "many"], "--photos: expected a positive number, got many"),
        (["--photos", "0"], "--photos: expected a positive number, got 0"),
        (["--photos", "1e6", "--ms", "-1"], "--ms: expected a positive number, got -1"),
        (["--photos", "1e6", "--profile", "photos"], "no leaderboard has been measured; run `python -m course run "
         "--profile photos --only 13` first"),
        ([], "Missing option '--photos'"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused_in_a_sentence(kept, options, message):
    status, said = asked(kept, *options)
    assert status == 2 and said.startswith("error: ") and message in said


def test_no_run_at_all_says_which_command_makes_one(tmp_path):
    with pytest.raises(UsageError, match="run `python -m course run --profile quick --only 13` first"):
        plan.measured(tmp_path, tmp_path)


def test_a_run_that_measured_no_way_is_named(kept):
    (path,) = kept.glob("*.json")
    run = json.loads(path.read_text())
    path.write_text(json.dumps(run | {"measures": run["measures"][:4]}))  # one way, and not all of it
    status, said = asked(kept, "--photos", "1e6")
    assert status == 2 and "measured no way to search; run notebook 13 again" in said
