import tomllib

import pandas as pd
import pytest

from lib import expectations


def measures(*rows):
    columns = ["notebook", "name", "method", "words", "value", "low", "high", "unit", "n", "data", "definition"]
    return pd.DataFrame([{"notebook": "01_descriptors", **row} for row in rows], columns=columns)


def claims(**verdicts):
    rows = [{"notebook": "01_descriptors", "claim": claim, "holds": holds} for claim, holds in verdicts.items()]
    return pd.DataFrame(rows, columns=["notebook", "claim", "holds", "source", "evidence"])


HOG = {"name": "mAP", "method": "HOG", "value": 0.4}
WORDS = {"name": "mAP", "method": "words", "words": 64, "value": 0.2}


def test_a_run_meets_what_it_was_expected_to_give():
    run = measures(HOG, WORDS), claims(first=True, second=False)
    assert expectations.deviations(expectations.expect(*run), *run) == []


def test_the_file_reads_back_as_it_was_written():
    expected = expectations.expect(measures(HOG, WORDS), claims(**{'says "so", über': True}))
    assert tomllib.loads(expectations.to_toml(expected, "# opening\n")) == expected


@pytest.mark.parametrize("run", [(measures(HOG), claims()), (measures(), claims(first=True))])
def test_a_notebook_with_values_alone_or_claims_alone_is_written_and_met(run):
    expected = tomllib.loads(expectations.to_toml(expectations.expect(*run)))
    assert expectations.deviations(expected, *run) == []
    assert tomllib.loads(expectations.to_toml(expected)) == expected


@pytest.mark.parametrize(("value", "is_met"), [(0.3, True), (0.5, True), (0.29, False), (0.51, False)])
def test_a_value_may_move_by_a_quarter(value, is_met):
    expected = expectations.expect(measures(HOG), claims())
    found = expectations.deviations(expected, measures({**HOG, "value": value}), claims())
    assert (found == []) == is_met


def test_values_that_differ_by_their_definition_alone_have_bands_of_their_own():
    both = measures({**HOG, "definition": "divisor k"}, {**HOG, "definition": "divisor R", "value": 0.8})
    bands = [entry["band"] for entry in expectations.expect(both, claims())["01_descriptors"]["measures"]]
    assert bands == [[0.3, 0.5], [0.6, 1.0]]
    swapped = both.assign(value=[0.8, 0.4])
    found = expectations.deviations(expectations.expect(both, claims()), swapped, claims())
    assert found[0] == "01_descriptors: mAP (definition=divisor k, method=HOG) is 0.8, outside 0.3 to 0.5"
    assert len(found) == 2


def test_small_values_and_points_may_move_by_a_floor():
    assert expectations.band(0.02) == (-0.03, 0.07)
    assert expectations.band(1, "points") == (-4, 6)


def test_a_verdict_that_turned_is_told():
    expected = expectations.expect(measures(), claims(first=True))
    found = expectations.deviations(expected, measures(), claims(first=False))
    assert found == ["01_descriptors: 'first' does not hold; recorded: holds"]


def test_a_verdict_marked_as_either_may_turn_and_stays_marked():
    known = {"01_descriptors": {"claims": {"close": "either", "clear": True}, "measures": []}}
    for holds in (True, False):
        run = measures(), claims(close=holds, clear=True)
        assert expectations.deviations(known, *run) == []
        assert expectations.expect(*run, known) == known
    (found,) = expectations.deviations(known, measures(), claims(clear=True))
    assert found == "01_descriptors: the claim 'close' was not made"


def test_a_verdict_of_another_word_is_refused():
    known = {"01_descriptors": {"claims": {"first": "maybe"}, "measures": []}}
    (found,) = expectations.deviations(known, measures(), claims(first=True))
    assert found == "01_descriptors: 'first' is recorded as 'maybe'; allowed: true, false, \"either\""


def test_missing_and_new_ones_are_named():
    expected = expectations.expect(measures(HOG), claims(first=True))
    found = expectations.deviations(expected, measures(WORDS), claims(second=True))
    assert found == [
        "01_descriptors: the claim 'first' was not made",
        "01_descriptors: the claim 'second' is new",
        "01_descriptors: mAP (method=HOG) was not measured",
        "01_descriptors: mAP (method=words, words=64) is new",
    ]


@pytest.mark.parametrize("unit", ["ms", "ms an image", "images/s", "bytes"])
def test_times_and_sizes_are_not_kept(unit):
    run = measures({**HOG, "unit": unit}), claims()
    assert expectations.expect(*run) == {"01_descriptors": {"claims": {}, "measures": []}}


def test_a_band_widened_by_hand_stays_and_one_that_no_longer_holds_is_drawn_anew():
    known = expectations.expect(measures(HOG, WORDS), claims())
    known["01_descriptors"]["measures"][0]["band"] = [0.0, 1.0]
    again = expectations.expect(measures(HOG, {**WORDS, "value": 0.8}), claims(), known)
    assert [entry["band"] for entry in again["01_descriptors"]["measures"]] == [[0.0, 1.0], [0.6, 1.0]]


def test_other_notebooks_stay_as_they_were_recorded():
    known = {"00_metrics": {"claims": {"a": True}, "measures": []}}
    assert expectations.expect(measures(HOG), claims(), known)["00_metrics"] == known["00_metrics"]
