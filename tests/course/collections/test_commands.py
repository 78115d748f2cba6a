"""python -m course data: from official archives, also over HTTP, to collections that can be read; what is refused."""

import contextlib
import copy
import functools
import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import official_layouts as official
import pytest
from PIL import Image

from course.__main__ import main
from course.collections import contents as contents_module
from course.collections import layouts, prepare
from course.collections.layouts.scenes import OUTDOOR8
from lib import collection

ROOT = Path(__file__).resolve().parents[3]
COUNTS = {  # of the small archives
    "fashion-products": {"train": 5},
    "clothing-co-parsing": {"train": 3},
    "clothing-photos": {"train": 9, "validation": 3, "test": 6},
    "flickr8k": {"train": 2, "validation": 1, "test": 1},
    "flickr30k": {"train": 2, "validation": 1, "test": 1},
    "scenes15": {"train": 1500, "test": 15},
    "scenes8": {"train": 24, "test": 16},
    "tiny-imagenet": {"train": 12, "validation": 6},
    "cifar10": {"train": 15, "test": 3},
    "fashion-mnist": {"train": 12, "test": 4},
}
FETCHED = ("clothing-co-parsing", "clothing-photos", "scenes15", "scenes8", "tiny-imagenet", "cifar10", "fashion-mnist")
REAL = ("fashion-products", "clothing-co-parsing", "clothing-photos", "flickr8k", "scenes15", "tiny-imagenet-100")


def call(*arguments):
    """The exit status, and all that was printed, in lines as they were written."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(["data", *map(str, arguments)])
    return status, said.getvalue()


def contents(folder):
    """path below the folder -> bytes, of every file, also the hidden ones."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def nothing_is_left(place):
    return [name for name in contents(place) if not name.endswith(".lock")] == [] and visible(place) == []


@pytest.fixture
def pages(monkeypatch):
    """The real pages with the numbers of the small archives; a test may change them further."""
    monkeypatch.setenv("COLUMNS", "500")  # a table is not wrapped
    monkeypatch.setenv("NO_PROXY", "*")
    pages = copy.deepcopy(collection.known())
    for name, counts in COUNTS.items():
        pages[name].pop("official", None)
        pages[name]["images"] = counts
    monkeypatch.setattr(collection, "known", lambda: pages)
    return pages


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder of collections, $RETRIEVAL_DATA."""
    place = tmp_path / "collections"
    place.mkdir()
    monkeypatch.setenv("RETRIEVAL_DATA", str(place))
    monkeypatch.setattr(prepare, "DATA", tmp_path / "nowhere")
    return place


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The small archives as they are downloaded: name -> files."""
    root = tmp_path_factory.mktemp("archives")

    def folder(*names):
        return root.joinpath("unpacked", *names)

    fashion = official.fashion_products(folder("fashion"))
    official.fashion_products(fashion / "myntradataset")
    flickr8k, flickr30k = official.flickr8k(folder("flickr8k")), official.flickr30k(folder("flickr30k"))
    official.put(root / "flickr30k" / "dataset_flickr30k.json", (flickr30k / "dataset_flickr30k.json").read_bytes())
    zips = {
        "fashion-products": fashion,
        "clothing-co-parsing": official.clothing_co_parsing(folder("clothing-co-parsing-cbc8")),
        "clothing-photos": official.clothing_photos(folder("clothing-dataset-small-36364be1")),
        "scenes15": official.scenes15(folder("scene_categories"), 101),
        "scenes8": official.scenes8(folder("static_8outdoorcategories"), dict.fromkeys(OUTDOOR8, 5)),
        "tiny-imagenet": official.tiny_imagenet(folder("tiny-imagenet-200")),
    }
    made = {name: [official.zipped(content, root / f"{name}.zip")] for name, content in zips.items()}
    made["flickr8k"] = [
        official.zipped(flickr8k / "Flicker8k_Dataset", root / "Flickr8k_Dataset.zip"),
        official.zipped(flickr8k / "Flickr8k_text", root / "Flickr8k_text.zip"),
    ]
    official.tarred(flickr30k / "flickr30k-images", root / "flickr30k" / "flickr30k-images.tar.gz")
    made["flickr30k"] = [root / "flickr30k"]  # a folder of downloads
    made["cifar10"] = [official.tarred(official.cifar10(folder("cifar-10-batches-bin")), root / "cifar10.tar.gz")]
    made["fashion-mnist"] = sorted(official.fashion_mnist(root / "mnist").iterdir())
    return made


# --- prepare --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.slow
def test_official_archives_become_a_collection_that_is_found_by_its_name(name, archives, pages, place):
    before = [path.read_bytes() for path in archives[name] if path.is_file()]
    status, said = call("prepare", name, "--from", *archives[name])
    assert status == 0, said
    assert f"prepared: {place / name}" in said
    assert collection.read(name).table["split"].value_counts().to_dict() == COUNTS[name]
    assert visible(place) == [name]
    assert [path.read_bytes() for path in archives[name] if path.is_file()] == before
    status, said = call("check", name)
    assert status == 0, said
    assert "files compared" in said


def test_archives_and_a_folder_of_archives_may_be_mixed(archives, pages, place, tmp_path):
    photos, text = archives["flickr8k"]
    official.put(tmp_path / "downloads" / text.name, text.read_bytes())
    status, said = call("prepare", "flickr8k", "--from", photos, "--from", tmp_path / "downloads")
    assert status == 0, said


def test_an_archive_beside_its_unpacked_folder_is_not_unpacked_again(pages, place, tmp_path):
    official.flickr8k(tmp_path / "downloads")
    official.put(tmp_path / "downloads" / "Flickr8k_text.zip", b"never opened")
    status, said = call("prepare", "flickr8k", "--from", tmp_path / "downloads")
    assert status == 0, said


def test_what_nobody_needs_stays_packed(archives, pages, place, monkeypatch):
    read, seen = layouts.read, set()

    def looking(layout, sources, **options):
        seen.update(path.name for source in sources for path in source.rglob("*.JPEG"))
        return read(layout, sources, **options)

    monkeypatch.setattr(layouts, "read", looking)
    assert call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"])[0] == 0
    assert "val_0.JPEG" in seen
    assert "test_0.JPEG" not in seen


@pytest.mark.parametrize("name", ["flickr8k", "fashion-mnist", "clothing-photos"])
def test_a_second_call_finds_all_in_place(name, archives, pages, place):
    call("prepare", name, "--from", *archives[name])
    before = {path: path.stat().st_mtime_ns for path in (place / name).rglob("*")}
    for again in (("prepare", name, "--from", place), ("fetch", name)):
        assert call(*again) == (0, f"in place: {place / name}\n")
    assert {path: path.stat().st_mtime_ns for path in (place / name).rglob("*")} == before


def test_the_manifest_says_from_what_and_how_it_was_made(archives, pages, place):
    words = ["prepare", "fashion-products", "--from", *archives["fashion-products"], "-o", "per_group=2"]
    assert call(*words, "--long-side", 7)[0] == 0
    manifest = json.loads((place / "fashion-products" / "manifest.json").read_text())
    archive = archives["fashion-products"][0]
    assert manifest["name"] == "fashion-products"
    assert manifest["options"] == {"per_group": 2, "skip_missing": True}
    assert manifest["long_side"] == 7
    assert manifest["images"] == {"train": 4}
    assert manifest["left_out"] == ["images/32.jpg"]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert manifest["from"] == [{"name": archive.name, "bytes": archive.stat().st_size, "sha256": digest}]
    files = contents(place / "fashion-products")
    del files["manifest.json"]
    listed = files.pop("files.csv")
    assert manifest["digest"] == hashlib.sha256(listed).hexdigest()
    rows = [f"{name},{len(data)},{hashlib.sha256(data).hexdigest()}" for name, data in sorted(files.items())]
    assert listed.decode().splitlines() == ["file,bytes,sha256", *rows]
    assert len(rows) == 5  # four photos and their table


def test_the_same_archive_gives_the_same_digest(archives, pages, place, tmp_path):
    digests = []
    for to in ("one", "two"):
        assert call("prepare", "scenes8", "--from", *archives["scenes8"], "--to", tmp_path / to)[0] == 0
        digests.append(json.loads((tmp_path / to / "scenes8" / "manifest.json").read_text())["digest"])
    assert digests[0] == digests[1]


def test_a_collection_prepared_otherwise_or_by_hand_is_not_touched(archives, pages, place):
    call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"], "-o", "per_class=2")
    before = contents(place / "tiny-imagenet")
    assert call("fetch", "tiny-imagenet", "-o", "per_class=2") == (0, f"in place: {place / 'tiny-imagenet'}\n")
    for words in (["prepare", "tiny-imagenet", "--from", place], ["fetch", "tiny-imagenet"]):
        status, said = call(*words, "--long-side", 7)
        assert status == 2
        assert "is there, prepared with other options; remove it" in said
    assert contents(place / "tiny-imagenet") == before
    (place / "flickr8k").mkdir()
    status, said = call("prepare", "flickr8k", "--from", *archives["flickr8k"])
    assert status == 2
    assert "is there, not made by this command; remove it" in said
    assert visible(place / "flickr8k") == []


def test_classes_are_given_on_the_command_line_or_in_a_file(archives, pages, place, tmp_path):
    file = official.put(tmp_path / "classes.txt", "\n".join(official.WNIDS[:2]))
    tree = official.put(tmp_path / "is_a.txt", "\n".join(official.IS_A))
    for to, classes in (("a", ",".join(official.WNIDS[:2])), ("b", f"@{file}")):
        words = ["--from", *archives["tiny-imagenet"], "--to", tmp_path / to, "-o", f"tree={tree}"]
        status, said = call("prepare", "tiny-imagenet", *words, "-o", f"classes={classes}")
        assert status == 0, said
        prepared = collection.read(tmp_path / to / "tiny-imagenet")
        assert prepared.table["split"].value_counts().to_dict() == {"train": 8, "validation": 4}
        assert prepared.hierarchy.query("leaf")["class"].tolist() == official.WNIDS[:2]


def test_the_courses_selection_takes_its_classes_from_the_page(archives, pages, place):
    pages["tiny-imagenet-100"] |= {"images": {"train": 4, "validation": 4}}
    pages["tiny-imagenet-100"]["options"] = {"classes": official.WNIDS[1:], "per_class": 2}
    status, said = call("prepare", "tiny-imagenet-100", "--from", *archives["tiny-imagenet"])
    assert status == 0, said
    assert set(collection.read("tiny-imagenet-100").table["label"]) == set(official.WNIDS[1:])


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("flickr8k", ["--from", "nowhere.zip"], "nowhere.zip"),
        ("nope", ["--from", "."], "expected one of the collections catalogue, catalogue-probes, clothing-photos"),
        ("catalogue", ["--from", "."], "catalogue is not prepared from an archive. Run `python -m course catalogue`"),
        ("tiny-imagenet", ["-o", "classes=n0"], "expected some of its 3 classes"),
        ("tiny-imagenet", ["-o", "seed=1"], "tiny-imagenet takes the options classes, per_class, tree, skip_missing"),
        ("tiny-imagenet", ["-o", "classes=@nowhere.txt"], "nowhere.txt"),
        ("tiny-imagenet", ["-o", "per_class=0"], "per_class must be an integer of at least 1, got 0"),
        ("scenes8", ["-o", "seed=-1"], "seed must be an integer of at least 0, got -1"),
        ("tiny-imagenet", ["-o", "per_class=many"], "per_class must be an integer of at least 1, got many"),
        ("tiny-imagenet", ["-o", "tree=nowhere.txt"], "nowhere.txt"),
        ("tiny-imagenet", ["--long-side", "0"], "--long-side"),
        ("flickr8k", ["--from", "OTHER"], "flickr8k: expected Flickr8k.token.txt, found none in"),
    ],
)
def test_a_wrong_command_is_refused_and_leaves_nothing(name, arguments, message, archives, pages, place):
    arguments = [archives["scenes8"][0] if word == "OTHER" else word for word in arguments]
    source = [] if "--from" in arguments else ["--from", *archives[name]]
    status, said = call("prepare", name, *source, *arguments)
    assert status == 2
    assert message in said
    assert nothing_is_left(place)


def test_a_seed_of_zero_is_an_option_like_any_other(archives, pages, place):
    assert call("prepare", "scenes8", "--from", *archives["scenes8"], "-o", "seed=0")[0] == 0
    assert json.loads((place / "scenes8" / "manifest.json").read_text())["options"] == {"n_classes": 8, "seed": 0}
    status, said = call("fetch", "scenes8", "-o", "seed=1")
    assert status == 2
    assert "prepared with other options" in said


def test_other_numbers_of_images_are_refused_unless_accepted(archives, pages, place):
    pages["clothing-co-parsing"]["images"] = {"train": 2098}
    words = ["prepare", "clothing-co-parsing", "--from", *archives["clothing-co-parsing"]]
    status, said = call(*words)
    assert status == 2
    assert "clothing-co-parsing: expected train 2,098 images, got train 3; is the archive whole?" in said
    assert nothing_is_left(place)
    assert call(*words, "--accept-counts")[0] == 0
    assert call("check", "clothing-co-parsing")[0] == 0  # its manifest says what it has


def test_missing_photos_are_refused_or_left_out_and_told(archives, pages, place):
    pages["fashion-products"]["options"] = {}
    words = ["prepare", "fashion-products", "--from", *archives["fashion-products"]]
    status, said = call(*words)
    assert status == 2
    assert "1 of the 6 images in it are missing (images/32.jpg); -o skip_missing" in said
    status, said = call(*words, "-o", "skip_missing=true")
    assert status == 0
    assert "left out, since missing: images/32.jpg" in said


def test_a_photo_that_does_not_open_is_named_before_anything_is_in_place(pages, place, tmp_path):
    folder = official.flickr8k(tmp_path / "flickr8k")
    official.put(folder / "Flicker8k_Dataset" / "c.jpg", b"not a photo")
    status, said = call("prepare", "flickr8k", "--from", folder)
    assert status == 2
    assert "flickr8k: 1 faults in the official files\n  validation/c.jpg: " in said
    assert nothing_is_left(place)


def test_a_photo_that_is_listed_twice_is_named(pages, place, tmp_path):
    folder = official.flickr8k(tmp_path / "flickr8k")
    official.put(folder / "Flickr8k_text" / "Flickr_8k.devImages.txt", "c.jpg\nc.jpg\n")
    status, said = call("prepare", "flickr8k", "--from", folder, "--accept-counts")
    assert status == 2
    assert re.search(r"twice.*c\.jpg", said)
    assert nothing_is_left(place)


def test_a_damaged_archive_is_named(archives, pages, place, tmp_path):
    whole = archives["scenes8"][0].read_bytes()
    cut = official.put(tmp_path / "cut.zip", whole[: len(whole) // 2])
    status, said = call("prepare", "scenes8", "--from", cut)
    assert status == 2
    assert str(cut) in said
    assert nothing_is_left(place)


def test_what_a_killed_run_left_is_cleared_away_and_a_run_that_breaks_leaves_nothing(
    archives, pages, place, monkeypatch
):
    def breaks(*_, **__):
        raise KeyboardInterrupt

    official.put(place / ".scenes8.preparing-x1" / "scenes8" / "train" / "metadata.csv", "file_name\n")
    with monkeypatch.context() as patched:
        patched.setattr(contents_module.shutil, "move", breaks)
        assert call("prepare", "scenes8", "--from", *archives["scenes8"])[0] == 130
    assert nothing_is_left(place)
    assert not list(place.glob(".scenes8.preparing-*"))
    assert call("prepare", "scenes8", "--from", *archives["scenes8"])[0] == 0


@pytest.mark.slow
def test_two_processes_at_once_prepare_once(archives, place):
    command = [sys.executable, "-m", "course", "data", "prepare", "scenes8", "--accept-counts", "--from"]
    command += archives["scenes8"]
    environment = {**os.environ, "RETRIEVAL_DATA": str(place), "OMP_NUM_THREADS": "1"}
    runs = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(run.communicate(timeout=120)[0].splitlines()[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert said == [f"in place: {place / 'scenes8'}", f"prepared: {place / 'scenes8'}"]
    assert len(collection.read("scenes8")) == 40


def test_linked_collections_hold_tables_and_links_only(pages, place, tmp_path):
    folder = official.imagenet(tmp_path / "official")
    pages["imagenet"]["images"] = {"train": 9, "validation": 6}
    status, said = call("prepare", "imagenet", "--from", folder)
    assert status == 0, said
    assert "the photos are linked, not copied" in said
    files = {path.relative_to(place / "imagenet").as_posix() for path in (place / "imagenet").rglob("*.*")}
    own = {"train/metadata.csv", "validation/metadata.csv", "files.csv", "manifest.json"}
    assert {file for file in files if "/images/" not in file} == own
    assert call("check", "imagenet")[0] == 0
    (folder / "ILSVRC" / "Data" / "CLS-LOC" / "train" / official.WNIDS[0] / f"{official.WNIDS[0]}_1.JPEG").unlink()
    status, said = call("check", "imagenet")
    assert status == 1
    assert "n01443537_1.JPEG: " in said


# --- where, and the pages -------------------------------------------------------------------------------


def test_the_first_writable_folder_of_retrieval_data_is_taken(tmp_path, monkeypatch):
    closed, gone, opened = (tmp_path / name for name in ("closed", "gone", "open"))
    closed.mkdir()
    opened.mkdir()
    monkeypatch.setattr(prepare, "DATA", tmp_path / "data")
    monkeypatch.setattr(prepare.os, "access", lambda path, mode: Path(path) != closed)
    for folders, expected in (
        ((closed, gone, opened), opened),
        ((closed,), tmp_path / "data"),
        ((), tmp_path / "data"),
    ):
        monkeypatch.setenv("RETRIEVAL_DATA", os.pathsep.join(map(str, folders)))
        assert prepare.target_folder() == expected


def test_list_says_what_is_here_and_how_to_get_the_rest(archives, pages, place):
    call("prepare", "flickr8k", "--from", *archives["flickr8k"])
    status, said = call("list")
    assert status == 0
    rows = {row.split("│")[1].strip(): row for row in said.splitlines() if row.count("│") > 3}
    assert rows.keys() == pages.keys()
    for name, words in {
        "flickr8k": ("train 2, validation 1, test 1 ", f" {place / 'flickr8k'} "),
        "scenes15": ("Run `python -m course data fetch scenes15`",),
    }.items():
        assert all(word in rows[name] for word in words)
    for name, page in pages.items():
        assert page["terms"] in rows[name]


def test_a_collection_that_is_not_here_names_a_command_that_is_one():
    for name, page in collection.known().items():
        commands = re.findall(r"`python -m course ([^`]*)`", page["how_to_get"])
        assert commands, name
        if "layout" in page:
            assert commands[0].split()[:3] == ["data", "fetch" if "files" in page else "prepare", name]
        status, said = call(*commands[0].split()[1:2], "--help")
        assert status == 0, said


def test_every_page_says_how_its_collection_is_got():
    pages = tomllib.loads((ROOT / "data" / "collections.toml").read_text(encoding="utf-8"))
    facts = {"title", "what", "splits", "images", "official", "terms", "citation", "how_to_get", "known_faults"}
    facts |= {"files", "by_hand", "layout", "options", "long_side", "downloads", "leave_packed"}
    for name, page in pages.items():
        assert page.keys() <= facts, name
        assert ("by_hand" in page) == ("layout" in page), name
        assert list(page.get("images", page["splits"])) == page["splits"], name
        for file in page.get("files", ()):
            assert file.keys() <= {"url", "name", "sha256", "md5"}, name
            assert file["url"].startswith("http")
            assert re.fullmatch("[0-9a-f]{64}", file.get("sha256", "0" * 64)), name
            assert re.fullmatch("[0-9a-f]{32}", file.get("md5", "0" * 32)), name
    assert len(pages["tiny-imagenet-100"]["options"]["classes"]) == 100
    assert {page["layout"] for page in pages.values() if "layout" in page} == set(layouts.LAYOUTS)
    (photos,) = pages["clothing-photos"]["files"]
    assert re.fullmatch(
        r"https://github\.com/alexeygrigorev/clothing-dataset-small/archive/[0-9a-f]{40}\.zip", photos["url"]
    )


# --- fetch ----------------------------------------------------------------------------------------------


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a line on stderr, and counts what was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(archives):
    root = archives["scenes8"][0].parent
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=root)) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        server.address = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


def served(server, archives, name, **facts):
    """The `files` of a page, from the server."""
    root = archives["scenes8"][0].parent
    return [{"url": f"{server.address}/{path.relative_to(root).as_posix()}", **facts} for path in archives[name]]


@pytest.mark.parametrize("name", FETCHED)
def test_a_collection_is_fetched_and_prepared_in_one_command(name, server, archives, pages, place):
    pages[name]["files"] = served(server, archives, name)
    status, said = call("fetch", name)
    assert status == 0, said
    assert collection.read(name).table["split"].value_counts().to_dict() == COUNTS[name]
    assert len(server.asked) == len(archives[name])
    assert f"terms: {pages[name]['terms']}\n    cite: {pages[name]['citation']}" in said
    assert not [file for file in contents(place) if file.startswith(".downloads/") and not file.endswith(".lock")]
    assert call("fetch", name) == (0, f"in place: {place / name}\n")
    assert len(server.asked) == len(archives[name])


def test_clothing_photos_are_shrunk_to_the_size_on_their_page(server, archives, pages, place):
    pages["clothing-photos"]["files"] = served(server, archives, "clothing-photos")
    pages["clothing-photos"]["files"][0]["name"] = "clothing-dataset-small.zip"
    assert call("fetch", "clothing-photos")[0] == 0
    sizes = {Image.open(path).size for path in collection.read("clothing-photos").paths}  # of 400 x 200
    assert sizes == {(160, 80)}
    assert sorted(collection.read("clothing-photos", "test").table["label"].unique()) == ["dress", "hat", "t-shirt"]


def test_downloads_are_kept_on_request_and_collections_of_one_archive_share_them(server, archives, pages, place):
    pages["tiny-imagenet-100"] |= {"images": {"train": 4, "validation": 4}}
    pages["tiny-imagenet-100"]["options"] = {"classes": official.WNIDS[1:], "per_class": 2}
    archive = archives["tiny-imagenet"][0].read_bytes()
    for name in ("tiny-imagenet", "tiny-imagenet-100"):
        pages[name]["files"] = served(server, archives, "tiny-imagenet", sha256=hashlib.sha256(archive).hexdigest())
        status, said = call("fetch", name, "--keep")
        assert status == 0, said
    assert len(server.asked) == 1
    assert (place / ".downloads" / "tiny-imagenet" / "tiny-imagenet.zip").read_bytes() == archive


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_digest_names_both_and_how_to_go_on_by_hand(kind, server, archives, pages, place):
    wanted = hashlib.new(kind, b"another file").hexdigest()
    came = hashlib.new(kind, archives["scenes8"][0].read_bytes()).hexdigest()
    pages["scenes8"]["files"] = served(server, archives, "scenes8", **{kind: wanted})
    status, said = call("fetch", "scenes8")
    assert status == 1
    downloads = place / ".downloads" / "scenes8"
    for words in (wanted, came, f"By hand: {pages['scenes8']['by_hand']} Put it into {downloads}. Then:"):
        assert words in said
    assert visible(place) == visible(downloads) == []


def test_a_right_md5_is_taken_and_a_file_with_a_wrong_one_is_replaced(server, archives, pages, place):
    path = archives["scenes8"][0]
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    pages["scenes8"]["files"] = served(server, archives, "scenes8", md5=digest)
    official.put(place / ".downloads" / "scenes8" / path.name, b"another file")
    status, said = call("fetch", "scenes8")
    assert status == 0, said


def test_after_a_failed_fetch_the_advice_works(server, archives, pages, place):
    pages["scenes8"]["files"] = [{"url": f"{server.address}/nowhere.zip"}]
    status, said = call("fetch", "scenes8")
    assert status == 1
    assert "404" in said
    command = said.partition("Then: ")[2].split()
    assert command[:5] == ["python", "-m", "course", "data", "prepare"]
    official.put(Path(command[-1]) / "by-hand.zip", archives["scenes8"][0].read_bytes())
    status, said = call(*command[4:])
    assert status == 0, said
    assert len(collection.read("scenes8")) == 40


def test_what_came_before_a_failure_is_not_asked_for_again(server, archives, pages, place):
    files = served(server, archives, "fashion-mnist")
    for file, path in zip(files, archives["fashion-mnist"], strict=True):
        file["md5"] = hashlib.md5(path.read_bytes()).hexdigest()
    right = files[-1]["url"]
    files[-1] |= {"url": f"{right}.gone", "name": archives["fashion-mnist"][-1].name}
    pages["fashion-mnist"]["files"] = files
    assert call("fetch", "fashion-mnist")[0] == 1
    files[-1]["url"] = right
    assert call("fetch", "fashion-mnist")[0] == 0
    assert len(server.asked) == len(set(server.asked)) == 5


def test_a_download_that_cannot_be_prepared_is_kept_and_its_place_is_said(server, archives, pages, place):
    pages["scenes8"]["files"] = served(server, archives, "clothing-co-parsing")
    status, said = call("fetch", "scenes8")
    assert status == 2
    assert "scenes: expected class folders such as coast and forest, found none" in said
    assert f"The downloads are kept in {place / '.downloads' / 'scenes8'}; remove them to begin anew" in said
    assert visible(place / ".downloads" / "scenes8") == ["clothing-co-parsing.zip"]
    assert visible(place) == []


@pytest.mark.parametrize("name", ["fashion-products", "flickr8k", "flickr30k", "imagenet", "places365"])
def test_what_is_got_by_hand_says_how(name, pages, place):
    status, said = call("fetch", name)
    assert status == 1
    assert f"{name} cannot be fetched from here. By hand: {pages[name]['by_hand'].strip()} Then:" in said
    assert f"python -m course data prepare {name} --from FOLDER" in said
    assert nothing_is_left(place)


def test_fetch_finds_a_copy_of_the_users_own_in_place_if_it_can_be_read(archives, pages, place):
    assert call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"])[0] == 0
    for name in ("manifest.json", "files.csv"):
        (place / "tiny-imagenet" / name).unlink()
    assert call("fetch", "tiny-imagenet") == (0, f"in place: {place / 'tiny-imagenet'}\n")
    status, said = call("fetch", "tiny-imagenet", "-o", "per_class=3")
    assert status == 2
    assert "is there, prepared" not in said
    assert "not made by this command" in said
    (place / "tiny-imagenet" / "train" / "metadata.csv").unlink()
    (place / "scenes15").mkdir()
    for name in ("tiny-imagenet", "scenes15"):
        status, said = call("fetch", name)
        assert status == 2
        assert str(place / name) in said


# --- check ----------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(archives, pages, place, tmp_path):
    """A prepared Tiny ImageNet with a tree."""
    tree = official.put(tmp_path / "is_a.txt", "\n".join(official.IS_A))
    assert call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"], "-o", f"tree={tree}")[0] == 0
    return place / "tiny-imagenet"


def test_a_sound_collection_has_no_fault(tiny):
    assert call("check", "tiny-imagenet") == (
        0,
        f"tiny-imagenet in {tiny}: train 12, validation 6 images opened, files compared\nno fault\n",
    )


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edited(path):
    path.write_text(path.read_text().replace("n01443537_1.JPEG", "n01443537_9.JPEG"))


def shorter(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def more(path):
    path.with_name("new.txt").write_text("x")


@pytest.mark.parametrize(
    ("file", "harm", "faults"),
    [
        ("train/n01443537/n01443537_1.JPEG", cut, ["train/n01443537/n01443537_1.JPEG: ", "changed since it was prep"]),
        ("train/n01443537/n01443537_1.JPEG", Path.unlink, ["no such file", "n01443537_1.JPEG: missing since"]),
        ("train/metadata.csv", edited, ["n01443537_9.JPEG: ", "no such file", "train/metadata.csv: changed"]),
        ("train/metadata.csv", shorter, ["expected train 12, validation 6 images, got train 11, validation 6"]),
        ("train/metadata.csv", Path.unlink, ["no metadata.csv in train/"]),
        ("train/metadata.csv", more, ["train/new.txt: new since it was prepared"]),
        ("manifest.json", cut, ["manifest.json: expected a manifest"]),
        ("files.csv", shorter, ["files.csv: expected the one with SHA-256"]),
        ("files.csv", Path.unlink, ["files.csv: expected the one with SHA-256"]),
        ("classes.csv", shorter, ["classes.csv: expected each label as a leaf, n02124075 is none"]),
    ],
)
def test_check_names_what_is_broken(file, harm, faults, tiny):
    harm(tiny / file)
    status, said = call("check", "tiny-imagenet")
    assert status == 1
    for fault in faults:
        assert fault in said
    assert "no fault" not in said


UNSOUND = {"images": ([1], {"train": "12"}, None), "options": (5, [1], "per_class", None)}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in UNSOUND.items() for value in values])
def test_an_unsound_manifest_is_named_and_no_traceback(key, value, tiny, pages):
    manifest = json.loads((tiny / "manifest.json").read_text())
    (tiny / "manifest.json").write_text(json.dumps(manifest | {key: value}))
    for words, expected in (
        (["check", "tiny-imagenet"], 1),
        (["prepare", "tiny-imagenet", "--from", tiny], 2),
        (["fetch", "tiny-imagenet"], 2),
    ):
        status, said = call(*words)
        assert status == expected
        assert "manifest.json: expected a manifest with images and options" in said


def test_check_opens_the_masks_and_knows_their_values(archives, pages, place):
    call("prepare", "clothing-co-parsing", "--from", *archives["clothing-co-parsing"])
    folder = place / "clothing-co-parsing"
    (folder / "mask_labels.csv").write_text("label_id,label_name\n0,null\n4,t-shirt\n")
    cut(folder / "train" / "masks" / "0002.png")
    status, said = call("check", "clothing-co-parsing")
    assert status == 1
    assert "masks/0001.png: values [2] not in mask_labels.csv" in said
    assert re.search(r"masks/0002.png: (?!values|changed)", said)


def test_without_a_manifest_the_numbers_of_the_page_are_compared(tiny, pages):
    for name in ("manifest.json", "files.csv"):
        (tiny / name).unlink()
    status, said = call("check", "tiny-imagenet")
    assert status == 0
    assert "no digests to compare with" in said
    pages["tiny-imagenet"] |= {"images": {"train": 9}, "official": {"train": 7}}
    status, said = call("check", "tiny-imagenet")
    assert status == 1
    assert "expected train 9 or train 7 images, got train 12, validation 6" in said


def test_your_own_photos_are_checked_by_their_folder(pages, place, tmp_path):
    for name in ("mug/1.jpg", "mug/2.jpg", "cup/1.jpg"):
        official.put(tmp_path / "mine" / name, official.jpeg())
    status, said = call("check", tmp_path / "mine")
    assert status == 0 and "3 photos, 2 classes\nno fault\n" in said
    cut(tmp_path / "mine" / "mug" / "2.jpg")
    official.put(tmp_path / "mine" / "cup" / "clip.mov", b"moving")
    status, said = call("check", tmp_path / "mine")
    assert status == 1
    assert re.search(r"mug/2\.jpg +│ \w+", said)
    assert "clip.mov" in said
    (tmp_path / "none").mkdir()
    assert call("check", tmp_path / "none")[0] == 1


def test_check_of_what_is_not_here_says_how_to_get_it(pages, place, tmp_path):
    status, said = call("check", "scenes8")
    assert status == 2
    assert "scenes8 is not here: Run `python -m course data fetch scenes8`" in said
    status, said = call("check", tmp_path / "nowhere")
    assert status == 2
    assert "nowhere is not here: expected a folder or the name of a collection" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_the_real_collection_passes(name):
    if not os.environ.get("RETRIEVAL_DATA") or prepare.found(name) is None:
        pytest.skip(f"{name} is not in $RETRIEVAL_DATA ({os.environ.get('RETRIEVAL_DATA', 'not set')})")
    status, said = call("check", name)
    assert status == 0, said
    assert "no fault" in said
