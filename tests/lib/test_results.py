import json
import subprocess
import sys
import types

import numpy as np
import pytest

from lib import results


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty reports folder, and no notebook begun yet."""
    monkeypatch.setenv("RETRIEVAL_REPORTS", str(tmp_path))
    monkeypatch.setattr(results, "_current", None)
    return tmp_path


def written(folder, notebook="00_metrics", profile="quick"):
    return json.loads((folder / "results" / profile / f"{notebook}.json").read_text(encoding="utf-8"))


def test_a_measure_is_read_back_as_it_was_noted(folder):
    results.begin("01_descriptors")
    results.measure(
        "mAP@10", 3 / 4, interval=(0.5, 1.0), n=8, data="catalogue test", definition="min(k, R)", method="HOG"
    )
    measures, claims = results.gather(folder, "quick")
    row = measures.iloc[0]
    assert (row["notebook"], row["name"], row["method"], row["data"]) == (
        "01_descriptors",
        "mAP@10",
        "HOG",
        "catalogue test",
    )
    assert (row["value"], row["low"], row["high"], row["n"]) == (0.75, 0.5, 1.0, 8)
    assert len(claims) == 0


def test_a_claim_that_does_not_hold_is_kept_as_such(folder):
    results.begin("00_metrics")
    results.claim("colour beats shape", holds=False, source="a paper", evidence="0.2 against 0.3")
    results.claim("chance is the share of relevant items", holds=np.float64(0.2) < np.float64(0.3))
    _, claims = results.gather(folder, "quick")
    assert claims["holds"].tolist() == [False, True]
    assert claims["evidence"][0] == "0.2 against 0.3"


def test_tables_show_the_running_notebook_without_empty_columns():
    results.begin("00_metrics")
    results.measure("AP", 0.5, method="by hand")
    results.claim("AP is a mean", holds=True)
    measures, claims = results.tables()
    assert list(measures) == ["name", "method", "value"]
    assert list(claims) == ["claim", "holds"]


def test_the_same_measure_again_replaces_the_first_in_its_place():
    results.begin("01_descriptors")
    results.measure("mAP", 0.1, method="HOG", data="test")
    results.measure("mAP", 0.2, method="HOG", data="validation")
    results.measure("mAP", 0.3, method="HOG", data="test", n=5)
    assert results.tables()[0]["value"].tolist() == [0.3, 0.2]


def test_another_method_or_number_of_words_is_another_measure():
    results.begin("01_descriptors")
    for method, words in (("BoVW", 64), ("BoVW", 128), ("VLAD", 64), ("HOG", None)):
        results.measure("mAP", 0.5, method=method, words=words)
    assert len(results.tables()[0]) == 4


def test_the_same_claim_again_replaces_the_verdict():
    results.begin("00_metrics")
    results.claim("a is better than b", holds=True)
    results.claim("a is better than b", holds=False, evidence="on more queries")
    assert results.tables()[1]["holds"].tolist() == [False]


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
    quick, _ = results.gather(folder, "quick")
    assert quick[["notebook", "value"]].values.tolist() == [["00_metrics", 1.0], ["01_descriptors", 3.0]]
    assert results.gather(folder, "full")[0]["value"].tolist() == [2.0]


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
        "results.claim('it holds', holds=True); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    measures, claims = results.gather(folder, "quick")
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
        "assert not {'numpy', 'pandas', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert written(folder)["made_with"]["libraries"] == {}


def test_the_default_folder_is_reports_beside_the_notebooks(tmp_path, monkeypatch):
    monkeypatch.delenv("RETRIEVAL_REPORTS")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    results.begin("00_metrics")
    assert written(tmp_path / "reports")["notebook"] == "00_metrics"


def test_an_end_of_the_interval_may_be_the_value_up_to_rounding():
    results.begin("00_metrics")
    results.measure("AP", 0.1 + 0.2, interval=(0.1, 0.3))  # 0.30000000000000004
    assert len(results.tables()[0]) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.5", True, np.array([0.5])])
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
    with pytest.raises(ValueError, match="at least 1"):
        results.measure("AP", 0.5, n=n)


@pytest.mark.parametrize("holds", [1, 0, None, "yes", np.array([True])])
def test_a_verdict_that_is_not_a_bool_is_refused(holds):
    results.begin("00_metrics")
    with pytest.raises(ValueError, match="True or False"):
        results.claim("it holds", holds=holds)


@pytest.mark.parametrize("column", ["low", "notebook", "holds"])
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


@pytest.mark.parametrize("call", [lambda: results.measure("AP", 0.5), lambda: results.claim("x", True), results.tables])
def test_nothing_is_noted_before_begin(call):
    with pytest.raises(RuntimeError, match=r"before results\.begin"):
        call()


def test_a_profile_without_results_is_an_error_that_lists_those_there(folder):
    results.begin("00_metrics")
    with pytest.raises(ValueError, match=r"'full'.*there: quick"):
        results.gather(folder, "full")


@pytest.mark.parametrize("text", ['{"notebook": "00_met', "[]", "{}"])
def test_a_damaged_file_is_named(folder, text):
    results.begin("00_metrics")
    (folder / "results" / "quick" / "00_metrics.json").write_text(text)
    with pytest.raises(ValueError, match=r"00_metrics\.json is not a file of results"):
        results.gather(folder, "quick")


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


def test_a_file_that_is_gone_when_it_is_read_is_left_out(tmp_path):
    results.begin("00_toy", folder=tmp_path)
    results.measure("AP", 0.5)
    (tmp_path / "results" / "quick" / "01_started_anew.json").symlink_to(tmp_path / "gone")  # listed, and not there
    measures, claims = results.gather(tmp_path, "quick")
    assert measures["notebook"].tolist() == ["00_toy"] and len(claims) == 0
