"""The page of published numbers beside ours: on a small source made up here, and on the committed files."""

import dataclasses
import re
import shlex
import tomllib

import pytest

from course import ROOT, UsageError, notebook_files
from course.publish import full_runs, headlines, panels
from course.runner import plan
from lib.results import Claim, Measure

TOLD = tomllib.loads((ROOT / "data" / "headlines.toml").read_text(encoding="utf-8"))
SOURCES, HEADLINES = TOLD["source"], TOLD["headline"]
RUNS, PHOTOS, DRAWN = (full_runs.read_runs(ROOT / "docs" / "results", name) for name in ("full", "photos", "quick"))

TOY = tomllib.loads("""
title = "A toy"
theirs = "Toys, 9 of them."
ours = "Blocks."
differ = ["Blocks are not toys."]
needs.weights = { why = "the weights are not here", command = "make full ONLY=09" }

[[table]]
title = "AP, in %"
corner = "method"
columns = ["theirs", { title = "raw, ours", head = "raw" }, { title = "boosted, ours", head = "boosted" }]
look_up = { notebook = "00_toy", name = "AP", data = "blocks *", scale = 100, digits = 1 }
note = "A note."
row = [
    { title = "HOG", theirs = [12.5], look_up = { method = "HOG" } },
    { title = "ResNet", theirs = [50], look_up = { method = "resnet" }, needs = "weights" },
    { title = "time", empty = ["boosted, ours"], cells = [
        { name = "time", scale = 1, digits = 0, without = ["head"], method = "HOG" },
    ] },
]

[[claim]]
asks = "Does it help?"
theirs = "yes"
notebook = "00_toy"
claim = "boosting * helps"

[[claim]]
asks = "Is it enough?"
theirs = "0.12"
notebook = "00_toy"
ours = [
    { notebook = "00_toy", name = "AP", data = "blocks *", method = "HOG", head = "raw", label = "HOG", unit = "AP" },
]
at_least = 0.12

[[claim]]
asks = "With ResNet?"
theirs = "yes"
notebook = "00_toy"
claim = "boosting * helps"
with = { backbone = "resnet" }
needs = "weights"
""")


def measure(value, low=None, high=None, n=None, name="AP", data=None, **more):
    return Measure("00_toy", name, value, low, high, n=n, data=data, more=more)


def toy_run(verdict="holds", given=None, **changes):
    measures = [
        measure(0.125, 0.1, 0.15, 40, method="HOG", head="raw", data="blocks test"),
        measure(0.25, 0.2, 0.3, 40, method="HOG", head="boosted", data="blocks test"),
        measure(7.6, name="time", method="HOG", data="blocks test"),
    ]
    claims = [
        Claim("00_toy", "boosting HOG helps", verdict, 12.5, 10.0, 20.0, 0.001, "above", 0.0, 40, "points"),
        Claim("00_toy", "blocks | toys", "undecided", 0, evidence="by eye"),
    ]
    return {
        "notebook": "00_toy", "profile": "full", "given": given or {}, "ended": "2026-11-26T12:00:00Z", "seconds": 3725,
        "command": "python -m course run --profile full --only 00", "parameters": {"dataset": "blocks"},
        "made_with": {"cpu": "a processor", "cores": 2, "gpu": "a card", "python": "3.11.7",
                      "libraries": {"numpy": "2.4.6"}},
        "measures": measures, "claims": claims, **changes,
    }  # fmt: skip


def test_ours_stands_beside_theirs_with_its_interval():
    page = headlines.page([TOY], [toy_run()])
    assert "| method | theirs | raw, ours | boosted, ours |" in page
    assert "| HOG | 12.5 | 12.5 (10.0 to 15.0) | 25.0 (20.0 to 30.0) |" in page
    assert "Ours on blocks test, n = 40.\n\nA note.\n" in page


def test_names_of_data_with_commas_are_told_apart():
    run, (table,) = toy_run(), TOY["table"]
    toy = TOY | {"table": [table | {"look_up": table["look_up"] | {"data": "blocks*"}}]}
    first, second, *_ = run["measures"]
    run["measures"] = [dataclasses.replace(first, data="blocks, red"), dataclasses.replace(second, data="blocks, blue")]
    assert "Ours on blocks, blue; and blocks, red" in headlines.page([toy], [run])


def test_a_large_number_in_the_name_of_data_has_separators():
    run, (table,) = toy_run(), TOY["table"]
    toy = TOY | {"table": [table | {"look_up": table["look_up"] | {"data": "blocks, *"}}]}
    run["measures"] = [dataclasses.replace(each, data="blocks, 1234567 rows") for each in run["measures"]]
    assert "Ours on blocks, 1,234,567 rows, n = 40." in headlines.page([toy], [run])


def test_a_row_that_is_not_there_says_why_and_how_to_run_it():
    page = headlines.page([TOY], [toy_run()])
    assert "| ResNet | 50 | not run | not run |" in page
    assert "Not run: ResNet. Why: the weights are not here. To run it: `make full ONLY=09`." in page


def test_a_cell_may_be_of_another_measure_and_a_row_may_leave_columns_empty():
    assert "| time |  | 8 |  |" in headlines.page([TOY], [toy_run()])


EFFECT = "+12.5 points (+10.0 to +20.0), n = 40"
HEADLINE = {
    "source": 1, "asks": "boosting helps", "theirs": "by 30 %", "notebook": "00_toy", "turns": "with the labels",
    "parts": [{"notebook": "00_toy", "claim": "boosting * helps", "label": "each:"}],
}  # fmt: skip


def in_short(*runs, drawn=(), headline=HEADLINE):
    page = headlines.page([TOY], list(runs), headlines=[headline], drawn=list(drawn))
    [row] = [line for line in page.splitlines() if line.startswith("| 1 |")]
    return row


@pytest.mark.parametrize("verdict", ["holds", "contradicted", "undecided"])
def test_a_claim_has_its_verdict_and_effect_in_short_and_at_length(verdict):
    row = in_short(toy_run(verdict), drawn=[toy_run("undecided")])
    assert row == f"| 1 | A toy | boosting helps | by 30 % | {verdict} | each: {EFFECT} | undecided | with the labels |"
    assert f"| Does it help? | yes | {verdict} | {EFFECT} |" in headlines.page([TOY], [toy_run(verdict)])


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["undecided", "contradicted", "holds"], "contradicted"),
        (["holds", "not run"], "holds"),
        (["not run", "not run"], "not run"),
    ],
)
def test_a_headline_joins_all_claims_that_decide_it(verdicts, together):
    claims = [
        Claim("00_toy", f"boosting {i} helps", verdict, None if verdict == "not run" else 1.0)
        for i, verdict in enumerate(verdicts)
    ]
    row = in_short(toy_run(claims=claims))
    n = len(verdicts) - verdicts.count("not run")
    assert f"| by 30 % | {together} |" in row and (f"each: the weakest of {n}:" in row) == (n > 1)


def test_where_ours_holds_against_theirs_theirs_is_contradicted():
    against = {**HEADLINE, "parts": [{**HEADLINE["parts"][0], "against": True}]}
    for ours, theirs in (("holds", "contradicted"), ("contradicted", "holds"), ("undecided", "undecided")):
        assert f"| by 30 % | {theirs} | each: {EFFECT} |" in in_short(toy_run(ours), headline=against)


def test_of_several_claims_a_headline_shows_the_weakest_number_without_its_evidence():
    asked = {"relation": "above", "margin": 0.0, "evidence": "a note"}
    claims = [
        Claim("00_toy", f"boosting {i} helps", "holds", i, i - 0.5, i + 0.5, p, **asked)
        for i, p in ((2, 0.001), (1, 0.04), (3, 0.002))
    ]
    assert "| holds | each: the weakest of 3: +1.00 (+0.50 to +1.50) |" in in_short(toy_run(claims=claims))
    worse = Claim("00_toy", "boosting 4 helps", "contradicted", -4, -4.5, -3.5, 1e-9, **asked)
    assert "each: the weakest of 4: −4.00 (−4.50 to −3.50) |" in in_short(toy_run(claims=[*claims, worse]))


def test_of_claims_with_one_p_value_the_one_nearest_to_what_was_asked_is_the_weakest():
    claims = [
        Claim("00_toy", f"boosting {i} helps", "holds", i, i - 0.5, i + 0.5, 0.001, relation="above", margin=5.0)
        for i in (20, 7, 400)
    ]
    assert "each: the weakest of 3: 7.00 (6.50 to 7.50), asked: above 5 |" in in_short(toy_run(claims=claims))


def test_a_headline_may_name_other_claims_for_the_drawn_collection():
    claims = [Claim("00_toy", "drawn ones help", "contradicted", -1.0, -2.0, -0.5, 0.001, relation="above", margin=0.0)]
    headline = {**HEADLINE, "drawn": [{"notebook": "00_toy", "claim": "drawn ones *"}]}
    row = in_short(toy_run(), drawn=[toy_run(claims=claims)], headline=headline)
    assert "| contradicted |" in row and row.index("holds") < row.index("contradicted")


def test_a_headline_that_was_not_run_says_why_and_how_to_run_it():
    assert "| not run | Why: no finished full run of this notebook yet. To run it: `make full ONLY=00`. |" in in_short()
    needy = in_short(headline={**HEADLINE, "needs": "weights"})
    assert "| not run | Why: the weights are not here. To run it: `make full ONLY=09`. |" in needy


@pytest.mark.parametrize(
    ("numbers", "verdict", "shown"),
    [
        ([0.12], "holds", "0.120"),
        ([0.119], "contradicted", "0.119"),
        ([0.14, 0.125, 0.16], "holds", "0.140 (0.125 to 0.160)"),
        ([0.14, 0.11, 0.16], "undecided", "0.140 (0.110 to 0.160)"),
        ([0.1, 0.09, 0.11], "contradicted", "0.100 (0.090 to 0.110)"),
    ],
)
def test_a_number_is_judged_by_whether_its_interval_reaches_what_it_must(numbers, verdict, shown):
    run = toy_run(measures=[measure(*numbers, method="HOG", head="raw", data="blocks test")])
    assert f"| Is it enough? | 0.12 | {verdict} | HOG {shown} AP |" in headlines.page([TOY], [run])


def test_a_claim_that_the_notebook_could_not_run_says_why():
    not_run = Claim("00_toy", "boosting HOG helps", "not run", evidence="the weights are not here")
    page = headlines.page([TOY], [toy_run(claims=[not_run])])
    assert "| Does it help? | yes | not run | the weights are not here |" in page


def test_the_page_explains_old_verdicts_and_the_old_network_while_runs_with_them_are_on_record():
    page = headlines.page([TOY], [toy_run(parameters={"backbone": "course"})])
    assert "The runs of 2026-11-26 recorded only whether a claim held." in page
    assert "cannot be repeated with the present code" in page
    new = headlines.page([TOY], [toy_run(claims=toy_run()["claims"][:1])])
    assert "recorded only" not in new and "cannot be repeated" not in new


def test_kept_photos_runs_are_compared_with_the_full_ones():
    page = headlines.page([TOY], [toy_run("contradicted")], [toy_run("holds", profile="photos")])
    assert "Of 2 claims made in both, both decide 1, and 0 alike." in page
    assert "| 00_toy | boosting HOG helps | holds | contradicted |" in page
    assert "Photos and full collections" not in headlines.page([TOY], [toy_run()])


def test_a_claim_that_asks_for_other_parameters_takes_no_other_run():
    page = headlines.page([TOY], [toy_run()])
    assert "| With ResNet? | yes | not run | Why: the weights are not here. To run it: `make full ONLY=09`. |" in page
    with_resnet = toy_run(given={"backbone": "resnet"}, parameters={"backbone": "resnet"})
    assert "| With ResNet? | yes | holds |" in headlines.page([TOY], [toy_run(), with_resnet])


def test_claims_told_with_a_source_are_not_told_again_among_the_others():
    others = headlines.page([TOY], [toy_run()]).split("## The other claims")[1]
    assert "| blocks \\| toys | undecided | by eye |" in others
    assert "boosting" not in others


def test_the_runs_name_collection_date_time_hardware_command_and_versions():
    page = headlines.page([TOY], [toy_run()])
    row = "| 00_toy | blocks | 2026-11-26 | 1:02 h | a processor, 2 cores, a card | `python -m course run"
    assert row in page
    assert "Versions: numpy 2.4.6, python 3.11.7." in page


def test_without_runs_everything_is_not_run():
    page = headlines.page([TOY], [])
    assert not {"holds", "contradicted", "undecided"} & set(page.removeprefix(headlines.HEAD).split())
    assert "Not run: HOG; time. Why: no finished full run of this notebook yet. To run it: `make full ONLY=00`." in page
    assert "None is finished yet" in page


def test_a_benchmark_that_was_not_run_is_named_as_one():
    look_up = TOY["table"][0]["look_up"] | {"notebook": "toy_sizes"}
    page = headlines.page([TOY | {"table": [TOY["table"][0] | {"look_up": look_up}]}], [])
    why = "Why: no finished full run of this benchmark yet. To run it: `python benchmarks/toy_sizes.py`."
    assert f"Not run: HOG; time. {why}" in page


def test_a_run_that_lacks_a_number_is_not_said_to_be_missing():
    page = headlines.page([TOY], [toy_run(measures=[])])
    assert "Not run: HOG; time. Why: the full run on record did not measure it." in page


def test_a_look_up_names_all_that_a_measure_is_known_by():
    run = toy_run()
    asked = {"notebook": "00_toy", "name": "AP", "data": "blocks test", "method": "HOG"}
    assert headlines.find_measure([run], asked) is None
    assert headlines.find_measure([run], asked | {"head": "r*"}).value == 0.125
    assert headlines.find_measure([run], asked | {"head": "raw", "data": "blocks"}) is None
    assert headlines.find_measure([run], asked | {"head": "raw", "notebook": "01_other"}) is None


def test_brackets_in_a_look_up_stand_for_themselves():
    run = toy_run(measures=[measure(1.0, method="[a]"), measure(2.0, method="a")])
    assert headlines.find_measure([run], {"notebook": "00_toy", "name": "AP", "method": "[a]"}).value == 1.0


def test_a_look_up_that_fits_two_measures_is_an_error_that_shows_them():
    asked = {"notebook": "00_toy", "name": "AP", "data": "*", "method": "HOG", "head": "*"}
    with pytest.raises(ValueError, match=r"fits several measures of 00_toy: .*raw.*boosted"):
        headlines.find_measure([toy_run()], asked)


def test_the_first_run_that_has_a_number_counts():
    asked = {"notebook": "00_toy", "name": "AP", "method": "HOG"}
    runs = [toy_run(measures=values) for values in ([], [measure(1.0, method="HOG")], [measure(2.0, method="HOG")])]
    assert headlines.find_measure(runs, asked).value == 1.0


# ---- the committed files -------------------------------------------------------------------------------------------


def all_look_ups():
    """All of data/headlines.toml: (what needs it, look-up), in tables and claims."""
    for source in SOURCES:
        for table in source.get("table", []):
            for row in table["row"]:
                for look_up in headlines.look_ups(table, row):
                    if look_up is not None:
                        yield row.get("needs"), look_up
        for claim in source["claim"]:
            for look_up in claim.get("ours", []):
                yield claim.get("needs"), look_up


def commands():
    """Each command that the page may give, by itself."""
    for source in SOURCES:
        for entry in source.get("needs", {}).values():
            yield from entry["command"].split(" && ")


def test_the_committed_page_is_what_the_committed_runs_give():
    page = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    assert page == headlines.page(SOURCES, RUNS, PHOTOS, HEADLINES, DRAWN), "run `make results`"


def test_each_number_asked_for_is_in_the_run_that_is_kept():
    kept = {run["notebook"] for run in RUNS if not run["given"]}
    missing = [look_up for needs, look_up in all_look_ups() if not needs and look_up["notebook"] in kept]
    missing = [look_up for look_up in missing if headlines.find_measure(RUNS, look_up) is None]
    assert missing == []


def test_each_claim_asked_for_is_in_the_run_that_is_kept():
    kept = {run["notebook"] for run in RUNS if not run["given"]}
    claims = [claim for source in SOURCES for claim in source["claim"] if "claim" in claim and not claim.get("needs")]
    missing = [c["claim"] for c in claims if c["notebook"] in kept and headlines.find_claim(RUNS, c) is None]
    assert missing == []


def test_the_headlines_are_the_fifteen_of_the_sources_and_name_claims_that_were_made():
    assert [headline["source"] for headline in HEADLINES] == [1] * 4 + [2] * 6 + [3] * 3 + [4] + [5]
    kept = {run["notebook"] for run in RUNS if not run["given"]}
    for headline in HEADLINES:
        parts = [part for part in headline["parts"] if part["notebook"] in kept]
        found = [part for part in parts if headlines.find_claims(RUNS, part)]
        assert found or not parts or "needs" in headline, headline["asks"]


def test_look_ups_are_of_the_collections_of_the_full_profile():
    profiles = plan.read_profiles(ROOT / "notebooks")
    n_checked = 0
    for needs, look_up in all_look_ups():
        if needs or look_up["notebook"] not in profiles or " rows of " in look_up["data"]:  # timed on rows made for it
            continue
        full = profiles[look_up["notebook"]]["full"]
        known = {value for item in full.values() for value in (item if isinstance(item, list) else [item])
                 if isinstance(value, str)}  # fmt: skip
        assert re.match(r"[\w-]+", look_up["data"])[0].rstrip("*") in known, look_up
        n_checked += 1
    assert n_checked > 50


def test_every_row_and_claim_that_needs_something_says_what():
    for number, source in enumerate(SOURCES, start=1):
        named = {headline["needs"] for headline in HEADLINES if headline["source"] == number and "needs" in headline}
        named |= {row["needs"] for table in source.get("table", []) for row in table["row"] if "needs" in row}
        named |= {claim["needs"] for claim in source["claim"] if "needs" in claim}
        assert named == source.get("needs", {}).keys(), source["title"]
        for claim in source["claim"]:
            assert ("claim" in claim) + ("at_least" in claim) + ("needs" in claim) >= 1, claim["asks"]
            assert "at_least" not in claim or claim["ours"], claim["asks"]


@pytest.mark.parametrize("command", dict.fromkeys(commands()))
def test_each_command_of_the_page_names_notebooks_and_parameters_that_exist(command):
    words = shlex.split(command)
    if words[:2] == ["make", "full"]:
        variables = dict(word.split("=", 1) for word in words[2:])
        words = ["run", "--profile", "full", "--only", *variables["ONLY"].split()]
        words += shlex.split(variables.get("ARGS", ""))
    else:
        assert words[:3] == ["python", "-m", "course"]
        words = words[3:]
    if words[0] == "data":
        assert words[1] in {"fetch", "prepare"}
        return
    assert words[0] == "run" and words[1:3] == ["--profile", "full"]
    given = [words[i + 1] for i, word in enumerate(words) if word == "-p"]
    only = [word for word in words[words.index("--only") + 1 :] if word.isdigit()]
    chosen = plan.select(plan.find(ROOT / "notebooks"), only)
    planned = plan.plan(chosen, plan.read_profiles(ROOT / "notebooks"), "full", given)
    assert [notebook.problem for notebook in planned] == [None] * len(planned)


def test_each_notebook_or_benchmark_that_is_asked_for_exists():
    names = {path.stem for path in [*plan.find(ROOT / "notebooks"), *(ROOT / "benchmarks").glob("*.py")]}
    assert {claim["notebook"] for source in SOURCES for claim in source["claim"]} <= names
    assert {look_up["notebook"] for _, look_up in all_look_ups()} <= names


def test_parameters_that_a_look_up_asks_for_exist():
    asked = {(look_up["notebook"], name) for _, look_up in all_look_ups() for name in look_up.get("with", {})}
    asked |= {(c["notebook"], name) for source in SOURCES for c in source["claim"] for name in c.get("with", {})}
    for notebook, name in asked:
        node = notebook_files.read(ROOT / "notebooks" / f"{notebook}.ipynb")
        assert name in notebook_files.parameters(node), (notebook, name)
    assert asked


def test_publish_keeps_finished_runs_and_writes_the_page(tmp_path):
    where = [tmp_path / "none"], tmp_path / "kept", ROOT / "data" / "headlines.toml", tmp_path / "page.md"
    assert headlines.command(*where, None, ROOT / "notebooks") == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == headlines.page(SOURCES, [], headlines=HEADLINES)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "00_toy.json").write_text("{")
    with pytest.raises(UsageError, match=r"page\.md was not written: 00_toy\.json is not the file of a run"):
        headlines.command(*where, None, ROOT / "notebooks")


def test_a_table_with_a_picture_shows_both_or_neither():
    with_picture = {**TOY, "table": [{**TOY["table"][0], "picture": "docs/toy.svg"}]}
    run = toy_run(measures=[measure(0.125, method="HOG", head="raw", data="blocks test")])
    shown = headlines.page([with_picture], [run])
    assert "### AP, in %\n\n![AP, in %](docs/toy.svg)\n\n| method |" in shown
    absent = headlines.page([with_picture], [])
    assert "docs/toy.svg" not in absent and "| method |" not in absent
    assert "### AP, in %\n\nA note.\n\nNot run: HOG; time. Why: no finished full run of this notebook yet." in absent


def test_the_committed_picture_shows_the_committed_record():
    record = next((run for run in RUNS if run["notebook"] == panels.NAME), None)
    pictures = [table["picture"] for source in SOURCES for table in source.get("table", []) if "picture" in table]
    assert pictures == [f"docs/results/{panels.NAME}.svg"]
    assert (ROOT / pictures[0]).is_file() == (record is not None)
    if record is not None:
        assert panels.digest(record["measures"]) in (ROOT / pictures[0]).read_text(encoding="utf-8")
