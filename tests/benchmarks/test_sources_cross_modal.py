"""The published cross-modal recipes: the ranks by hand and by scipy, and the whole path on a few coloured squares."""

import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import cdist

from benchmarks import sources_cross_modal as sources
from course import ROOT
from course.publish import full_runs, headlines
from lib import backbones

TOLD = tomllib.loads((ROOT / "data" / "headlines.toml").read_text(encoding="utf-8"))["source"]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_ranks_are_those_of_euclidean_distances_whatever_their_scale(scale):
    rng = np.random.default_rng(0)
    photos, captions = scale * rng.normal(size=(7, 3)) + 5 * scale, scale * rng.normal(size=(14, 3)) + 5 * scale
    photo_of = np.repeat(np.arange(7), 2)
    distances = cdist(captions, photos)
    expected = 1 + (distances < distances[np.arange(14), photo_of][:, None]).sum(axis=1)
    found = sources.ranks_of(photos, captions, photo_of, sources.T2I)
    assert found["each caption asks"].tolist() == expected.tolist()
    assert found["one caption a photo"].tolist() == expected[::2].tolist()
    own = np.minimum(distances[::2], distances[1::2]).diagonal()  # of each photo to the nearer of its two captions
    expected = 1 + (distances < own).sum(axis=0)
    found = sources.ranks_of(photos, captions, photo_of, sources.I2T)
    assert found["any of its captions"].tolist() == expected.tolist()


def test_what_counts_as_right_for_a_photo_by_hand():
    """The photo at 0 has its captions at 3 and 1, the one at 10 at 2 and 9.

    From 0 they lie at 3, 1, 2 and 9: its best is first, its first caption third; of the first captions (3 and 2) its
    own comes second. From 10 they lie at 7, 9, 8 and 1: its best is first, its first caption third; of the first
    captions (at 7 and 8) its own comes second.
    """
    photos, captions = np.array([[0.0], [10.0]]), np.array([[3.0], [1.0], [2.0], [9.0]])
    found = sources.ranks_of(photos, captions, np.array([0, 0, 1, 1]), sources.I2T)
    by_hand = {"any of its captions": [1, 1], "one given caption": [3, 3], "one caption a photo": [2, 2]}
    assert {what: ranks.tolist() for what, ranks in found.items()} == by_hand


@pytest.mark.parametrize("direction", [sources.T2I, sources.I2T])
def test_towers_find_what_belongs_together(direction):
    """Captions are a linear map of their photo, so that little training is needed."""
    rng = np.random.default_rng(0)
    photos, photo_of = rng.normal(size=(60, 6)).astype(np.float32), np.repeat(np.arange(60), 2)
    captions = (photos @ rng.normal(size=(6, 5)))[photo_of].astype(np.float32)
    settings = sources.SETTINGS | {"batch_size": 30, "epochs": 60}
    towers = sources.train_towers(
        torch.from_numpy(photos), torch.from_numpy(captions), photo_of, direction, 16, 0, settings
    )
    with torch.no_grad():
        u, v = towers.image_tower(torch.from_numpy(photos)), towers.text_tower(torch.from_numpy(captions))
    for ranks in sources.ranks_of(u.numpy(), v.numpy(), photo_of, direction).values():
        assert np.median(ranks) <= 6  # of 60 and more, where chance is 30


def test_words_are_numbered_and_unknown_ones_left_out():
    texts = {"train": ["a red dog", "a dog", "a cat"], "test": ["", "a green dog"]}
    ids, n_words = sources.number_words(texts, min_count=2)
    assert n_words == 2  # a and dog
    assert ids["train"].tolist() == [[1, 2], [1, 2], [1, 0]]
    assert ids["test"].tolist() == [[0, 0], [1, 2]]


def test_a_text_is_the_mean_of_its_words_whatever_the_padding():
    tower = sources.WordTower(n_words=3, width=4, code_size=2)
    short, padded = torch.tensor([[1, 2]]), torch.tensor([[1, 2, 0, 0]])
    mean = tower.words.weight[1:3].mean(dim=0)
    torch.testing.assert_close(tower.words(short)[0], mean)
    torch.testing.assert_close(tower(short), tower(padded))
    assert torch.isfinite(tower(torch.zeros(1, 2, dtype=torch.int64))).all()  # no known word


class FewTokens:
    """A sentence encoder whose tokens are the letters of a text: (its place in the alphabet, 1)."""

    name = "letters"

    class model:
        @staticmethod
        def encode(texts, output_value, **_):
            assert output_value == "token_embeddings"
            return [torch.tensor([[ord(sign) - 96.0, 1.0] for sign in each if sign.isalpha()]) for each in texts]


def test_tokens_are_pooled_by_mean_and_sum(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sources.pool_tokens(FewTokens, ["ac", "bbbb"])
    assert found["sum"].tolist() == [[1 + 3, 2], [2 * 4, 4]]
    assert found["mean"].tolist() == [[(1 + 3) / 2, 1], [2, 1]]


def squares(folder):
    """A collection of coloured squares with two captions each."""
    colours = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220), "grey": (120, 120, 120)}
    for split, n in (("train", 12), ("validation", 4), ("test", 8)):
        (folder / split).mkdir(parents=True)
        lines = ["file_name,caption_1,caption_2"]
        for i in range(n):
            name = list(colours)[i % 4]
            Image.new("RGB", (40, 40), tuple(min(255, c + i) for c in colours[name])).save(folder / split / f"{i}.png")
            lines.append(f"{i}.png,a {name} square,the {name} thing number {i}")
        (folder / split / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What the script keeps of a run on squares: the folder."""
    place = tmp_path_factory.mktemp("sources")
    small = {"n_seeds": 2, "image_size": 32, "n_word": 8, "word_epochs": 1, "hidden": 4, "epochs": 1, "code_epochs": 1}
    settings = sources.SETTINGS | small | {"dataset": str(squares(place / "flickr8k")), "code_size": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(sources, "SETTINGS", settings)
        network = backbones.load("squeezenet1_1", "none", image_size=32, device="cpu")
        patch.setattr(sources.backbones, "load", lambda name, image_size: network)
        patch.setattr(sources.text, "sentence_encoder", lambda name: FewTokens)
        sources.main(["--kept", str(place / "kept")])
    return place / "kept"


@pytest.mark.slow
def test_the_script_keeps_a_run_that_the_page_shows(kept):
    (run,) = full_runs.read_runs(kept)
    assert (run["notebook"], run["command"]) == (sources.NAME, "python benchmarks/sources_cross_modal.py")
    assert [path.name for path in kept.iterdir()] == ["sources_cross_modal.json"]
    asked = [
        look_up
        for source in TOLD
        for table in source.get("table", [])
        for row in table["row"]
        for look_up in headlines.look_ups(table, row)
        if look_up and look_up["notebook"] == sources.NAME
    ]
    assert asked and None not in [headlines.find_measure([run], look_up) for look_up in asked]
    claims = [claim for source in TOLD for claim in source["claim"] if claim["notebook"] == sources.NAME]
    assert claims and None not in [headlines.find_claim([run], claim) for claim in claims]


@pytest.mark.slow
def test_recall_grows_with_k_and_every_number_is_a_share(kept):
    (run,) = full_runs.read_runs(kept)
    by = {(m.name, m.definition, *sorted(m.more.items())): m for m in run["measures"] if m.more["method"] == "source 3"}
    for (name, *what), measure in by.items():
        assert 0 <= measure.value <= 1 and measure.n in (8, 16)
        if name == "R@1":
            assert measure.value <= by["R@5", *what].value <= by["R@10", *what].value
    assert len(by) == (2 * 5 + 2) * (2 + 3) * 3  # fastText at all sizes, the BERT-kind at the smallest


def test_another_collection_is_kept_beside_and_said_in_the_command(tmp_path):
    record = SimpleNamespace(made_with={}, measures=[], claims=[])
    path = full_runs.keep_script(sources.NAME, record, 1.0, {"dataset": "flickr30k"}, sources.SETTINGS, tmp_path)
    assert path.name == "sources_cross_modal@dataset=flickr30k.json"
    (run,) = full_runs.read_runs(tmp_path)
    assert run["command"] == "python benchmarks/sources_cross_modal.py --dataset flickr30k"
