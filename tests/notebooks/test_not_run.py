"""What RESULTS.md calls "not run": the command of each row runs to its end on small stand-ins for what is missing."""

import json
import re
import shlex
import tomllib

import numpy as np
import official_layouts as official
import pytest
import tiny_towers
import torch
from PIL import Image
from torchvision import models

from course import ROOT
from course.__main__ import main
from course.runner.plan import read_profiles

FOLDER = ROOT / "notebooks"
pytestmark = [pytest.mark.slow, pytest.mark.end_to_end]
TOLD = tomllib.loads((ROOT / "data" / "headlines.toml").read_text(encoding="utf-8"))
NEEDS = {
    f"{number}, {name}": need
    for number, source in enumerate(TOLD["source"], 1)
    for name, need in source.get("needs", {}).items()
}
RNG = np.random.default_rng(0)


def photo(tint, side=40):
    """The bytes of a JPEG of noise with a tint, so that classes can be told apart."""
    noise = RNG.integers(0, 90, (side, side, 3)) + np.array([(40 * tint) % 160, (70 * tint) % 160, (110 * tint) % 160])
    return official.encoded(Image.fromarray(noise.astype(np.uint8)))


def imagenet(folder):
    official.imagenet(folder)
    for number in range(75):
        tint = number % 3
        wnid, root = official.WNIDS[tint], folder / "ILSVRC" / "Data" / "CLS-LOC"
        official.put(root / "train" / wnid / f"{wnid}_{100 + number}.JPEG", photo(tint))
        official.put(root / "val" / wnid / f"ILSVRC2012_val_{100 + number:08d}.JPEG", photo(tint))


def places365(folder):
    for number in range(75):
        tint = number % 3
        for split in ("train", "val"):
            official.put(folder / split / ("airfield", "beach", "kitchen")[tint] / f"{number:08d}.jpg", photo(tint))


def scenes8(folder):
    for tint, label in enumerate(official.OUTDOOR8):
        for number in range(12):
            official.put(folder / f"{label}_nat{number}.jpg", photo(tint))


def sentences(number):
    colour, what = ("red", "blue", "green", "grey")[number % 4], ("dog", "man", "car")[number % 3]
    return [f"A {colour} {what} in picture {number % 7} .", f"One {what} , all {colour} , with a {what} .",
            f"The {what} is {colour} .", f"{colour} {what}", f"There is a {what} ."]  # fmt: skip


def flickr30k(folder):
    images = []
    for number in range(110):
        split = "train" if number < 70 else "val" if number < 80 else "test"
        images.append(
            {"filename": f"{number}.jpg", "split": split, "sentences": [{"raw": raw} for raw in sentences(number)]}
        )
        official.put(folder / "flickr30k-images" / f"{number}.jpg", photo(number))
    official.put(folder / "dataset_flickr30k.json", json.dumps({"images": images, "dataset": "flickr30k"}))


def captioned(folder):
    """A folder as data/README.md describes it, which stands for COCO."""
    for split, n in (("train", 70), ("validation", 10), ("test", 30)):
        rows = []
        for number in range(n):
            official.put(folder / split / f"{number}.jpg", photo(number))
            rows.append(",".join([f"{number}.jpg", *(f'"{raw}"' for raw in sentences(number))]))
        head = ",".join(["file_name", *(f"caption_{i}" for i in range(1, 6))])
        official.put(folder / split / "metadata.csv", "\n".join([head, *rows]) + "\n")


def checkpoints(folder, *names):
    """Random weights of torchvision's networks under the names under which `backbones.load` looks for them."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    for name in names:
        more = {"weights_backbone": None} if name.startswith("fasterrcnn") else {}
        torch.save(models.get_model(name, weights=None, **more).state_dict(), folder / f"{name}.pth")


# what stands in for a missing collection, the missing checkpoints, and parameters that name networks
COLLECTIONS = {"imagenet": imagenet, "places": places365, "flickr30k": flickr30k, "coco": captioned, "colour": scenes8}
CHECKPOINTS = {
    "weights": ["resnet18", "resnet50", "vit_b_16"],
    "resnet50": ["resnet50"],
    "detectors": ["fasterrcnn_resnet50_fpn"],
}
LIKE_FULL = {"only", "label_column", "group_column", "other_column", "hold_out", "query_split", "validation_split"}
MORE = {
    "weights": ["-p", 'pretrained=[["efficientnet_lite0",64],["resnet18",64],["resnet50",64],["vit_b_16",224]]'],
    "detectors": ["-p", "paired=clip-of-random-weights"],
}


def runs_of(command):
    """(number, options without the profile) of each notebook that a command runs."""
    for part in command.split("&&"):
        words = shlex.split(part)
        if words[0] == "make":
            given = dict(word.split("=", 1) for word in words if re.match("(ONLY|ARGS)=", word))
            yield from ((number, shlex.split(given.get("ARGS", ""))) for number in given["ONLY"].split())
        elif words[3] == "run":
            at = words.index("--only")
            yield words[at + 1], words[at + 2 :]


def as_in_full(number):
    """The columns and splits of profile full in place of the catalogue's, but for a second collection."""
    (profiles,) = (of for stem, of in read_profiles(FOLDER).items() if stem.startswith(number))
    full = profiles["quick"] | profiles["full"]
    given = {key: full[key] for key in LIKE_FULL & set(full)} | (
        {"unseen": [], "n_held_out": 3} if "unseen" in full else {}
    )
    return [word for key, value in given.items() for word in ("-p", f"{key}={json.dumps(value)}")]


def test_every_need_has_a_stand_in():
    assert {name.split(", ")[1] for name in NEEDS} == {*COLLECTIONS, *CHECKPOINTS}


@pytest.mark.parametrize("need", NEEDS)
def test_the_command_of_a_row_that_was_not_run_works(need, tmp_path, tiny_catalogue, monkeypatch, capfd):
    name, weights, data = need.split(", ")[1], tmp_path / "weights", tmp_path / "data"
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", str(weights))
    monkeypatch.setenv("RETRIEVAL_DATA", str(data))
    data.mkdir()
    checkpoints(weights, *CHECKPOINTS.get(name, []))
    tiny_towers.save("clip", weights / "clip-of-random-weights")
    if name in COLLECTIONS:
        folder = data / "FOLDER" if name == "coco" else tmp_path / "official"
        COLLECTIONS[name](folder)
    for part in NEEDS[need]["command"].split("&&"):
        words = shlex.split(part)
        if words[:4] == ["python", "-m", "course", "data"]:  # fetched or had from its owners: here from the stand-in
            status = main(["data", "prepare", words[5], "--from", str(tmp_path / "official"), "--accept-counts"])
            assert status == 0, capfd.readouterr().out
    for notebook, options in runs_of(NEEDS[need]["command"]):
        options = [word.replace("dataset=FOLDER", f"dataset={data / 'FOLDER'}") for word in options]
        where = ["--notebooks", str(FOLDER), "--reports", str(tmp_path / "reports"), "--profile", "smoke"]
        given = as_in_full(notebook) if name in COLLECTIONS else ["-p", f"dataset={tiny_catalogue}"]
        status = main(["run", "--only", notebook, *where, *given, *options, *MORE.get(name, [])])
        assert status == 0, capfd.readouterr().out
