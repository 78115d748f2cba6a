"""What a measured way to search would cost among more photos."""

import math

import pytest

from lib import plan

WAY = {"rows": 1000, "reads": "all rows", "bytes": 64, "embed_ms": 5.0, "first_ms": 0.2, "again_ms": 0.1, "mAP": 0.5}


@pytest.mark.parametrize(
    ("reads", "times"),
    [("all rows", 100), ("lists", math.sqrt(100)), ("graph", 5 / 3)],  # from 1,000 rows to 100,000
)
def test_only_the_first_look_grows_as_its_structure_does(reads, times):
    assert plan.at_size(WAY | {"reads": reads}, 100_000)["ms"] == pytest.approx(5.0 + 0.2 * times + 0.1)


@pytest.mark.parametrize("reads", plan.GROWTH)
def test_at_the_size_that_was_measured_nothing_changes(reads):
    at_home = plan.at_size(WAY | {"reads": reads}, 1000)
    assert at_home["ms"] == pytest.approx(5.0 + 0.2 + 0.1) and at_home["megabytes"] == 64 * 1000 / 1e6


def test_the_way_itself_is_left_as_it_is_and_what_else_it_holds_is_kept():
    before = dict(WAY)
    assert plan.at_size(WAY, 5000)["mAP"] == 0.5 and before == WAY


@pytest.mark.parametrize(
    ("change", "photos", "message"),
    [
        ({"reads": "tree"}, 10, "reads must be one of all rows, lists, graph, got 'tree'"),
        ({}, 1, "photos must be a finite number from 2, got 1"),
        ({}, math.inf, "photos must be a finite number from 2, got inf"),
        ({}, math.nan, "photos must be a finite number from 2, got nan"),
        ({"rows": 0}, 10, "rows must be a finite number from 2, got 0"),
    ],
)
def test_wrong_numbers_are_refused(change, photos, message):
    with pytest.raises(ValueError, match=message):
        plan.at_size(WAY | change, photos)
