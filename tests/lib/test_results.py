import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tqdm import tqdm

from lib import findings, results, significance

ROOT = Path(results.__file__).parents[1]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty reports folder, and no notebook begun yet."""
    monkeypatch.setenv("RETRIEVAL_REPORTS", str(tmp_path))
    return tmp_path


def noted():
    """The running notebook's measures and claims as tables, without empty columns."""
    tables = (pd.DataFrame([each.to_dict() for each in found]) for found in results._running("")[0][3:5])
    return tuple(table.drop(columns="notebook", errors="ignore").dropna(axis="columns", how="all") for table in tables)


def read(folder, notebook, profile="quick"):
    record = results.read(folder / "results" / profile / f"{notebook}.json")
    return tuple(pd.DataFrame([each.to_dict() for each in found]) for found in record[3:5])


def written(folder, notebook="00_metrics", profile="quick"):
    return json.loads((folder / "results" / profile / f"{notebook}.json").read_text(encoding="utf-8"))


def test_a_measure_is_read_back_as_it_was_noted(folder):
    results.begin("01_descriptors")
    results.measure(
        "mAP@10", 3 / 4, interval=(0.5, 1.0), n=8, data="catalogue test", definition="min(k, R)", method="HOG"
    )
    measures, claims = read(folder, "01_descriptors")
    row = measures.iloc[0]
    assert (row["notebook"], row["name"], row["method"], row["data"]) == (
        "01_descriptors",
        "mAP@10",
        "HOG",
        "catalogue test",
    )
    assert (row["value"], row["low"], row["high"], row["n"]) == (0.75, 0.5, 1.0, 8)
    assert len(claims) == 0


def test_a_claim_that_is_contradicted_is_kept_as_such(folder):
    results.begin("00_metrics")
    results.claim("colour beats shape", (-0.1, -0.15, -0.05), above=0, source="a paper", evidence="0.2 against 0.3")
    results.claim("one answer is wrong", np.int64(1), within=(1, 1))
    _, claims = read(folder, "00_metrics")
    assert claims["verdict"].tolist() == ["contradicted", "holds"]
    assert claims["evidence"][0] == "0.2 against 0.3"


def test_tables_show_the_running_notebook_without_empty_columns():
    results.begin("00_metrics")
    results.measure("AP", 0.5, method="by hand")
    results.claim("AP is a mean", 0, within=0)
    measures, claims = noted()
    assert list(measures) == ["name", "method", "value"]
    assert list(claims) == ["text", "verdict", "value", "relation", "margin"]


def test_the_same_measure_again_replaces_the_first_in_its_place():
    results.begin("01_descriptors")
    results.measure("mAP", 0.1, method="HOG", data="test")
    results.measure("mAP", 0.2, method="HOG", data="validation")
    results.measure("mAP", 0.3, method="HOG", data="test", n=5)
    assert noted()[0]["value"].tolist() == [0.3, 0.2]


def test_another_method_or_number_of_words_is_another_measure():
    results.begin("01_descriptors")
    for method, words in (("BoVW", 64), ("BoVW", 128), ("VLAD", 64), ("HOG", None)):
        results.measure("mAP", 0.5, method=method, words=words)
    assert len(noted()[0]) == 4


def test_the_same_claim_again_replaces_the_verdict():
    results.begin("00_metrics")
    results.claim("a is better than b", 2, above=1)
    results.claim("a is better than b", 0, above=1, evidence="on more queries")
    assert noted()[1]["verdict"].tolist() == ["contradicted"]


def test_begin_forgets_an_earlier_run(folder):
    results.begin("00_metrics")
    results.measure("AP", 0.5)
    results.begin("00_metrics")
    assert written(folder)["measures"] == []


def test_profiles_and_notebooks_are_kept_apart(folder):
    for notebook, profile, value in (
        ("00_metrics", "quick", 1),
        ("00_metrics", "full", 2),
        ("01_descriptors", "quick", 3),
    ):
        results.begin(notebook, profile=profile)
        results.measure("AP", value)
    assert read(folder, "00_metrics")[0]["value"].tolist() == [1]
    assert read(folder, "01_descriptors")[0]["value"].tolist() == [3]
    assert read(folder, "00_metrics", "full")[0]["value"].tolist() == [2]


def test_scalars_of_numpy_are_written_as_plain_numbers(folder):
    results.begin("00_metrics")
    results.measure("AP", np.float32(0.5), interval=np.array([0.25, 0.75]), n=np.int64(3), words=np.int32(64))
    assert (
        written(folder)["measures"][0] | {"value": 0.5, "low": 0.25, "high": 0.75, "n": 3, "words": 64}
        == written(folder)["measures"][0]
    )


def test_what_was_noted_is_on_disk_before_the_notebook_ends(folder):
    code = (
        "import os; from lib import results; results.begin('00_metrics'); results.measure('AP', 0.5); "
        "results.claim('it holds', 1, above=0); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    measures, claims = read(folder, "00_metrics")
    assert (len(measures), len(claims)) == (1, 1)


def test_a_failed_write_leaves_the_file_as_it_was_and_nothing_beside_it(folder, monkeypatch):
    results.begin("00_metrics")
    results.measure("AP", 0.5)
    before = written(folder)

    def full_disk(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(results.os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        results.measure("AP", 0.6)
    assert written(folder) == before
    assert [path.name for path in (folder / "results" / "quick").iterdir()] == ["00_metrics.json"]


def test_hardware_and_versions_of_loaded_libraries_are_noted(folder):
    results.begin("00_metrics")
    made = written(folder)["made_with"]
    assert made["libraries"]["numpy"] == np.__version__
    assert made["cpu"] and made["cores"] >= 1 and made["python"].startswith(f"{sys.version_info.major}.")


def test_libraries_that_were_not_loaded_are_neither_named_nor_loaded(folder):
    code = (
        "import sys; from lib import results; results.begin('00_metrics'); "
        "assert not {'scipy', 'pandas', 'torch', 'IPython'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list(written(folder)["made_with"]["libraries"]) == ["numpy"]


def test_the_default_folder_is_reports_beside_the_notebooks(tmp_path, monkeypatch):
    monkeypatch.delenv("RETRIEVAL_REPORTS")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    results.begin("00_metrics")
    assert written(tmp_path / "reports")["notebook"] == "00_metrics"


def test_an_end_of_the_interval_may_be_the_value_up_to_rounding():
    results.begin("00_metrics")
    results.measure("AP", 0.1 + 0.2, interval=(0.1, 0.3))  # 0.30000000000000004
    assert len(noted()[0]) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.5", True])
def test_a_value_that_is_no_finite_number_is_refused(value):
    results.begin("00_metrics")
    with pytest.raises(ValueError, match="'AP' must be a finite number"):
        results.measure("AP", value)


@pytest.mark.parametrize(
    ("interval", "message"),
    [
        ((0.6, 0.7), "must hold its value: got 0.6 to 0.7 around 0.5"),
        ((0.7, 0.3), "must hold its value"),
        ((0.1, 0.2, 0.9), "got 3 numbers"),
        ((0.1, float("nan")), "finite number"),
    ],
)
def test_an_interval_that_is_none_is_refused(interval, message):
    results.begin("00_metrics")
    with pytest.raises(ValueError, match=message):
        results.measure("AP", 0.5, interval=interval)


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "8"])
def test_a_count_below_one_is_refused(n):
    results.begin("00_metrics")
    with pytest.raises(ValueError, match="must be a positive integer"):
        results.measure("AP", 0.5, n=n)


@pytest.mark.parametrize("effect", [True, np.True_, "yes", (0.1, 0.2), [1, 2, 3, 4]])
def test_an_effect_that_is_no_effect_is_refused(effect):
    results.begin("00_metrics")
    with pytest.raises(ValueError, match="must be an Effect"):
        results.claim("it holds", effect, above=0)


@pytest.mark.parametrize("column", ["low", "high"])
def test_a_column_of_the_record_itself_cannot_be_named_again(column):
    results.begin("00_metrics")
    with pytest.raises(ValueError, match=f"{column} is set by the record"):
        results.measure("AP", 0.5, **{column: 0.1})


def test_a_list_as_a_further_column_is_refused():
    results.begin("00_metrics")
    with pytest.raises(ValueError, match=r"methods of 'AP'.*list"):
        results.measure("AP", 0.5, methods=["HOG"])


@pytest.mark.parametrize("name", ["", "../00_metrics", "notebooks/00", "00_metrics.ipynb", None])
def test_a_notebook_name_with_a_path_is_refused(name):
    with pytest.raises(ValueError, match="plain name"):
        results.begin(name)


def test_nothing_is_noted_before_begin(folder):
    code = """
from lib import findings, results, significance
for call in (lambda: results.measure("AP", 0.5), lambda: results.claim("x", 1, above=0), results.show):
    try:
        call()
    except RuntimeError as error:
        assert "before results.begin" in str(error)
    else:
        raise SystemExit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("text", ['{"notebook": "00_met', "[]", "{}"])
def test_a_damaged_file_is_named(folder, text):
    results.begin("00_metrics")
    (folder / "results" / "quick" / "00_metrics.json").write_text(text)
    with pytest.raises(ValueError, match=r"00_metrics\.json is not a file of results"):
        read(folder, "00_metrics")


@pytest.mark.parametrize("details", [{"device_name": "a card"}, {}])
def test_a_gpu_that_tensorflow_uses_is_noted(folder, monkeypatch, details):
    gpu = types.SimpleNamespace(name="/physical_device:GPU:0")
    config = types.SimpleNamespace(
        list_physical_devices=lambda kind: [gpu] if kind == "GPU" else [],
        experimental=types.SimpleNamespace(get_device_details=lambda device: details),
    )
    monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(config=config))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    results.begin("07_shared_space")
    assert written(folder, "07_shared_space")["made_with"]["gpu"] == details.get("device_name", gpu.name)


# ------------------------------------------------------------------------------------------- computed in one call


def two_methods(seed=0, n=400, gain=0.05):
    rng = np.random.default_rng(seed)
    b = rng.random(n)
    return b + gain + 0.2 * rng.normal(size=n), b


def test_a_measure_of_values_has_their_mean_interval_and_number():
    values = np.append(np.random.default_rng(0).random(80), np.nan)
    results.begin("01_descriptors")
    found = results.measure("mAP", values, method="HOG")
    assert found.value == pytest.approx(np.nanmean(values)) and found.n == 80
    assert (found.low, found.high) == significance.bootstrap_interval(values)
    seeds = results.measure("mAP", np.stack([values, values + 0.1, values - 0.1]), method="trained")
    assert seeds.n == 80 and seeds.high - seeds.low > found.high - found.low
    assert results.measure("mAP", [0.5], method="one query").low is None
    with pytest.raises(ValueError, match="interval and n are computed"):
        results.measure("mAP", values, n=80)


def test_a_comparison_is_computed_recorded_and_shown_in_one_sentence(folder, capsys):
    a, b = two_methods()
    results.begin("01_descriptors")
    effect = results.compare(a, b, "HOG beats colour", source="a paper", note="On the same photos.")
    assert effect == significance.paired_difference(a, b)
    line = f"{100 * effect.mean:+.1f} points ({100 * effect.low:+.1f} to {100 * effect.high:+.1f}), 400 queries."
    assert capsys.readouterr().out == f"HOG beats colour? {line} On the same photos.\n"
    [claim] = results.read(folder / "results" / "quick" / "01_descriptors.json").claims
    assert claim.verdict == "holds" and (claim.unit, claim.n, claim.relation, claim.margin) == (
        "points",
        400,
        "above",
        0,
    )
    assert claim.value == pytest.approx(100 * effect.mean) and claim.p_value == effect.p_value


def test_a_comparison_without_a_claim_records_none_and_need_not_be_shown(capsys):
    results.begin("01_descriptors")
    results.compare(*two_methods(), show=False)
    assert capsys.readouterr().out == "" and len(noted()[1]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"a": [0.5] * 9, "b": [0.5] * 9}, "Difference: 0.00 points (0.00 to 0.00), 9 queries."),
        ({"a": [0.5], "b": [0.7]}, "Difference: −20.0 points, 1 query."),
        ({"a": [0.5], "b": [0.7], "claim": "a beats b"}, "a beats b? −20.0 points, 1 query."),
        (
            {"a": [0.5] * 4, "b": [0.5004] * 4, "clusters": [1, 1, 2, 2], "within": 0.03},
            "Difference: −0.04 points (−0.04 to −0.04), 4 queries in 2 clusters, asked: within −3.0 to 3.0 points.",
        ),
        (
            {"a": [[0.5] * 4] * 3, "b": [0.4] * 4, "above": 0.02},
            "Difference: +10.0 points (+10.0 to +10.0), 4 queries, seeds: 3 against 1, asked: above 2.0 points.",
        ),
        (
            {"a": [12.0] * 5, "b": [10.5] * 5, "unit": "", "below": 3},
            "Difference: 1.50 (1.50 to 1.50), 5 queries, asked: below 3.",
        ),
    ],
)
def test_the_sentence_reads_well_for_every_value(arguments, words, capsys):
    results.begin("01_descriptors")
    results.compare(**arguments)
    assert capsys.readouterr().out.strip() == words


def test_points_come_as_shares_and_their_margins_too():
    results.begin("01_descriptors")
    results.claim("within 3 points", (0.01, 0.005, 0.015), within=0.03, unit="points")
    row = noted()[1].iloc[0]
    assert row["value"] == pytest.approx(1.0) and row["margin"] == pytest.approx((-3, 3)) and row["verdict"] == "holds"
    with pytest.raises(ValueError, match=r"a margin in points is given as a share, such as 0\.03"):
        results.claim("within 3 points", (0.01, 0.005, 0.015), within=3, unit="points")
    with pytest.raises(ValueError, match="must be a share"):
        results.compare([12.0, 13.0], [1.0, 2.0])


def test_each_further_claim_makes_the_verdicts_of_all_stricter():
    results.begin("01_descriptors")
    first = results.claim("first", (1.0, 0.05, 1.95), above=0)
    assert first.verdict == "holds" and 0.03 < first.p_value < 0.05
    results.claim("second", (0.1, -0.9, 1.1), above=0)
    results.claim("exact", 3, above=2)
    results.claim("not here", None, above=0, evidence="weights not here")
    assert noted()[1]["verdict"].tolist() == ["undecided", "undecided", "holds", "not run"]
    results.claim("second", None)
    assert noted()[1]["verdict"].tolist() == ["holds", "not run", "holds", "not run"]


def test_claims_on_times_and_sizes_make_no_other_verdict_stricter():
    results.begin("10_indexes")
    found = results.claim("a finds more than b", (0.02, 0.001, 0.039), above=0)
    assert found.verdict == "holds"
    timed = [results.claim(f"{i} is faster", (1.3, 0.8, 1.8), above=1, unit="times") for i in range(9)]
    timed += [results.claim("a embeds in less", (-3.0, -5.8, -0.2), below=0, unit="ms an image")]
    timed += [results.claim("b embeds in more", (0.1, -5.8, 6.0), above=0, unit="ms an image")]
    claims = noted()[1].set_index("text")["verdict"]
    assert claims["a finds more than b"] == "holds"
    assert timed[-2].p_value < 0.05 and claims["a embeds in less"] == "undecided"  # corrected for the other ten
    corrected = results.corrected_p_values([found, *timed])
    assert corrected[0] == found.p_value and corrected[-2] > timed[-2].p_value
    assert results.corrected_p_values([]).shape == (0,)


def test_a_claim_takes_an_effect_whose_p_value_is_against_another_margin():
    results.begin("01_descriptors")
    effect = significance.paired_difference(*two_methods(gain=0.05))
    assert results.claim("above 0", effect, above=0).p_value == effect.p_value
    assert results.claim("above 4 points", effect, above=0.04).p_value > 0.1


# --------------------------------------------------------------------------------------------- one measure, one claim


def test_a_measure_and_a_claim_survive_being_written():
    measure = results.Measure("01_x", "mAP", 0.5, 0.4, 0.6, n=3, data="test", more={"method": "HOG", "words": 64})
    claim = results.Claim("01_x", "a beats b", "holds", 1.0, 0.5, 1.5, 0.01, "within", (-3.0, 3.0), 9, "points")
    for entry in (measure, claim):
        assert type(entry).from_dict(json.loads(json.dumps(entry.to_dict()))) == entry
    assert measure.identity == ("01_x", "mAP", "test", None, ("method", "HOG"), ("words", 64))
    assert claim.identity == ("01_x", "a beats b")


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("Measure", {"value": "0.5"}, "the value of 'mAP' must be a finite number"),
        ("Measure", {"n": 0}, "n of 'mAP' must be a positive integer, got 0"),
        ("Measure", {"low": 0.9, "high": 1.0}, "the interval of 'mAP' must hold its value"),
        ("Claim", {"verdict": True}, "verdict of 'a beats b' must be one of holds, contradicted, undecided, not run"),
        ("Claim", {"relation": "at least"}, "relation of 'a beats b' must be one of above, below, within"),
        ("Claim", {"value": None}, "value of 'a beats b' must be a number where the verdict is 'holds'"),
        ("Claim", {"margin": [1, 2]}, "margin of 'a beats b' must be one number"),
        ("Claim", {"holds": True}, "a claim has no field 'holds'"),
    ],
)
def test_a_wrong_field_is_named(kind, change, message):
    sound = {
        "Measure": {"notebook": "01_x", "name": "mAP", "value": 0.5},
        "Claim": {
            "notebook": "01_x",
            "text": "a beats b",
            "verdict": "holds",
            "value": 1,
            "relation": "above",
            "margin": 0,
        },
    }
    make = getattr(results, kind).from_dict
    make(sound[kind])
    with pytest.raises(ValueError, match=message):
        make(sound[kind] | change)
    for field in ("notebook", "name" if kind == "Measure" else "text"):
        with pytest.raises(ValueError, match=f"lacks the field '{field}'"):
            make({key: item for key, item in sound[kind].items() if key != field})


# ----------------------------------------------------------------------------------------------------------- shown


LONG = "a claim of many words that " * 8 + "ends <here>"


def test_a_long_claim_is_shown_whole_wrapped_in_a_terminal(capsys):
    results.begin("00_metrics")
    results.measure("mAP", 0.5, method="HOG")
    results.claim(LONG, (0.03, 0.01, 0.05), above=0, unit="points", source="a paper")
    results.show()
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 118
    lines = printed.split("Claims\n")[1].splitlines()
    column = [line[: lines[0].index("verdict")] for line in lines]
    assert " ".join(" ".join(column).split()) == f"claim {LONG}"
    assert "+3.0 points (+1.0 to +5.0)" in " ".join(printed.split()) and "holds" in printed


def test_a_long_claim_is_shown_whole_wrapped_and_escaped_in_html():
    claim = results.Claim("01_x", LONG, "undecided", 1.0, relation="above", margin=0)
    page = findings.as_html("Claims", findings.rows_of_claims([claim]))
    assert LONG.replace("<here>", "&lt;here&gt;") in page
    assert "white-space: normal" in page and "max-width" in page
    assert "overflow-wrap" not in page  # a number or a verdict is not broken in two to fit


def test_a_table_without_rows_is_its_title():
    assert findings.as_html("None <yet>", []) == "<table><caption>None &lt;yet&gt;</caption>\n</table>"
    assert findings.as_text("None yet", []) == "None yet"


def test_a_notebook_shows_the_table_and_echoes_nothing_that_was_told():
    code = """
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
with capture_output() as captured:
    shell.run_cell("from lib import results; results.begin('00_metrics'); results.measure('AP', 0.5)")
    shell.run_cell("results.compare([0.5, 0.6, 0.9], [0.1, 0.3, 0.4], 'a beats b')")
    shell.run_cell("results.show()")
kinds = [sorted(output.data) for output in captured.outputs]
assert kinds == [["text/markdown", "text/plain"]] + 2 * [["text/html", "text/plain"]], kinds
assert "Effect" not in captured.stdout and "Measure" not in captured.stdout, captured.stdout
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("terminal", "notebook", "switch", "shown"),
    [
        (True, False, None, True),
        (False, True, None, True),
        (False, True, "0", True),
        (False, True, "1", False),
        (True, False, "1", False),
        (False, False, None, False),
    ],
)
def test_a_loop_has_a_bar_that_vanishes_where_somebody_watches(terminal, notebook, switch, shown, monkeypatch, capsys):
    monkeypatch.setattr(results, "tqdm", tqdm)  # the bar made of text, whose output can be read here
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", results)
    if switch is not None:
        monkeypatch.setenv("TQDM_DISABLE", switch)
    assert list(results.progress(["a", "b"], "letters")) == ["a", "b"]
    printed = capsys.readouterr()
    assert (printed.out, "letters:   0%" in printed.err) == ("", shown)
    assert printed.err.rpartition("\r")[2] == ""
    assert "\n" not in printed.err


@pytest.mark.slow
@pytest.mark.parametrize(("switch", "n_bars"), [("", 2), ("1", 0)])
def test_a_kernel_shows_bars_and_takes_them_away(switch, n_bars, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    bars = """
import torch
from lib import results, training
for seed in results.progress(range(1), "seeds"):
    line = torch.nn.Linear(1, 1)
    optimiser = torch.optim.SGD(line.parameters(), lr=0.1)
    training.train(line, lambda model, batch: model(batch).square().mean(), [torch.ones(1, 1)], optimiser, 2)
"""
    left = """
from ipywidgets import widgets
sum(isinstance(each, widgets.HBox) for each in widgets.widget._instances.values())
"""
    cells = [nbformat.v4.new_code_cell(code) for code in (bars, left)]
    monkeypatch.setenv("TQDM_DISABLE", switch)
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    kinds = [kind for output in cells[0].outputs for kind in output.get("data", {"text": ""})]
    assert kinds.count("application/vnd.jupyter.widget-view+json") == n_bars
    assert len(cells[0].outputs) == n_bars
    assert cells[1].outputs[0]["data"]["text/plain"] == "0"


# ------------------------------------------------------------------------------------- a table of several notebooks


IMAGES = {"images": "a digest", "backbone": "a network"}
FOUND = {"method": "TF-IDF", "R@10": 0.25, "fits@5": None}


@pytest.fixture
def earlier(folder):
    """The file of an earlier notebook that kept one row, and the next notebook begun."""
    results.begin("06_text_vectors")
    results.grow([FOUND], IMAGES)
    results.begin("07_shared_space")
    return folder / "results" / "quick" / "06_text_vectors.json"


def grown(capsys, of=IMAGES):
    """The notebooks and methods of the table of 07 behind 06, and what was said beside it."""
    rows = results.grow([{"method": "tower", "R@10": 0.5}], of, after=["06_text_vectors"])
    return [(row["notebook"], row["method"]) for row in rows], capsys.readouterr().out


OWN = ("07_shared_space", "tower")


def test_rows_of_an_earlier_notebook_come_first_as_they_were_measured(earlier, capsys):
    assert grown(capsys) == ([("06_text_vectors", "TF-IDF"), OWN], "")
    first = results.grow([], IMAGES, after=["06_text_vectors"])[0]
    assert first == {"notebook": "06_text_vectors", **FOUND}


def test_a_notebook_that_has_not_been_run_is_told(capsys):
    results.begin("07_shared_space")
    rows, said = grown(capsys)
    assert rows == [OWN] and "without the rows of 06_text_vectors, which was not run here" in said


def test_a_notebook_that_has_not_come_to_its_table_is_told(earlier, capsys):
    results.begin("06_text_vectors")  # started anew, as by a second process
    results.begin("07_shared_space")
    rows, said = grown(capsys)
    assert rows == [OWN] and "was not run to its end" in said


@pytest.mark.parametrize("profile", ["full", "smoke"])
def test_another_profile_is_another_table(earlier, capsys, profile):
    results.begin("07_shared_space", profile)
    rows, said = grown(capsys)
    assert rows == [OWN] and "was not run here" in said


@pytest.mark.parametrize(
    ("of", "named"),
    [
        (IMAGES | {"images": "others"}, "which was run with another images."),
        (IMAGES | {"captions": 5, "backbone": "b"}, "which was run with another backbone and captions."),
    ],
)
def test_rows_on_something_else_are_left_out_and_what_differs_is_named(earlier, capsys, of, named):
    rows, said = grown(capsys, of)
    assert rows == [OWN] and named in said


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0.25", "0.95"),
        lambda text: text.replace("a digest", "b digest"),
        lambda text: text.replace('"of"', '"off"'),
        lambda text: json.dumps(json.loads(text) | {"table": [FOUND]}),
        lambda text: json.dumps(json.loads(text) | {"table": {"of": IMAGES, "rows": 3, "digest": ""}}),
        lambda text: "[]",
        lambda text: "",
    ],
    ids=["cut off", "a number", "the key", "a field", "a list", "no rows", "another file", "empty"],
)
def test_a_damaged_file_is_told_and_nothing_of_it_believed(earlier, capsys, damage):
    text = earlier.read_text(encoding="utf-8")
    assert damage(text) != text
    earlier.write_text(damage(text), encoding="utf-8")
    rows, said = grown(capsys)
    assert rows == [OWN] and "which left a damaged file" in said


def test_the_rows_kept_are_the_last_ones_and_scalars_of_numpy_plain_numbers(folder):
    results.begin("06_text_vectors")
    results.grow([FOUND, FOUND], IMAGES)
    results.measure("R@10", 0.5)
    results.grow([{"R@10": np.float32(0.5), "median rank": np.int64(7)}], {"images": np.int64(3)})
    assert written(folder, "06_text_vectors")["table"]["rows"] == [{"R@10": 0.5, "median rank": 7}]
    assert len(read(folder, "06_text_vectors")[0]) == 1


@pytest.mark.parametrize("rows", [[{"R@10": np.nan}], [{"R@10": object()}], ["R@10"], 3])
def test_rows_that_cannot_be_kept_are_refused_and_leave_the_file_as_it_was(folder, rows):
    results.begin("06_text_vectors")
    results.grow([FOUND], IMAGES)
    with pytest.raises((ValueError, TypeError)):
        results.grow(rows, IMAGES)
    assert written(folder, "06_text_vectors")["table"]["rows"] == [FOUND]
