"""python -m lib.course data: from official archives, also over HTTP, to collections that load; and what is refused."""

import contextlib
import functools
import hashlib
import http.server
import io
import json
import os
import re
import stat
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import official_layouts as official
import pandas as pd
import pytest

from lib import course, data_commands, datasets, fetching, preparing

ROOT = Path(__file__).resolve().parent.parent
COUNTS = {  # of the small archives
    "fashion-products": {"train": 5},
    "clothing-co-parsing": {"train": 3},
    "flickr8k": {"train": 2, "validation": 1, "test": 1},
    "flickr30k": {"train": 2, "validation": 1, "test": 1},
    "scenes15": {"train": 1500, "test": 15},
    "scenes8": {"train": 28, "test": 12},
    "tiny-imagenet": {"train": 12, "validation": 6},
    "cifar10": {"train": 15, "test": 3},
    "fashion-mnist": {"train": 12, "test": 4},
}
REAL = ("fashion-products", "clothing-co-parsing", "flickr8k", "scenes15", "tiny-imagenet-100")


def call(*arguments):
    """The exit status, and all that was printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = course.main(["data", *map(str, arguments)])
    return status, said.getvalue()


def contents(folder):
    """path below the folder -> bytes, of every file, also the hidden ones."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def pages(monkeypatch):
    """The real pages with the numbers of the small archives; a test may change them further."""
    pages = tomllib.loads((ROOT / "data" / "collections.toml").read_text(encoding="utf-8"))
    for name, counts in COUNTS.items():
        pages[name].pop("official", None)
        pages[name]["images"] = counts
    monkeypatch.setattr(data_commands.Tools, "pages", lambda tools: pages)
    return pages


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder of collections, $RETRIEVAL_DATA."""
    place = tmp_path / "collections"
    place.mkdir()
    monkeypatch.setenv("RETRIEVAL_DATA", str(place))
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
    root.joinpath("flickr30k").mkdir()
    for name in ("dataset_flickr30k.json", "results_20130124.token"):
        official.put(root / "flickr30k" / name, (flickr30k / name).read_bytes())
    zips = {
        "fashion-products": fashion,
        "clothing-co-parsing": official.clothing_co_parsing(folder("clothing-co-parsing-cbc8")),
        "scenes15": official.scenes15(folder("scene_categories"), 101),
        "scenes8": official.scenes8(folder("static_8outdoorcategories"), dict.fromkeys(preparing.OUTDOOR8, 5)),
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
def test_official_archives_become_a_collection_that_is_found_by_its_name(name, archives, pages, place):
    before = [path.read_bytes() for path in archives[name] if path.is_file()]
    status, said = call("prepare", name, "--from", *archives[name])
    assert status == 0, said
    assert f"prepared: {place / name}" in said
    collection = datasets.load(name)
    assert collection.table["split"].value_counts().to_dict() == COUNTS[name]
    assert visible(place) == [name]
    assert [path.read_bytes() for path in archives[name] if path.is_file()] == before
    assert call("check", name)[0] == 0


def test_archives_and_a_folder_of_archives_may_be_mixed(archives, pages, place, tmp_path):
    photos, text = archives["flickr8k"]
    official.put(tmp_path / "downloads" / text.name, text.read_bytes())
    status, said = call("prepare", "flickr8k", "--from", photos, tmp_path / "downloads")
    assert status == 0, said


def test_an_archive_beside_its_unpacked_folder_is_not_unpacked_again(pages, place, tmp_path):
    official.flickr8k(tmp_path / "downloads")
    official.put(tmp_path / "downloads" / "Flickr8k_text.zip", b"never opened")
    status, said = call("prepare", "flickr8k", "--from", tmp_path / "downloads")
    assert status == 0, said


def test_what_nobody_needs_stays_packed(archives, pages, place, monkeypatch):
    read, seen = preparing.read, set()

    def looking(layout, sources, **options):
        seen.update(path.name for source in sources for path in source.rglob("*.JPEG"))
        return read(layout, sources, **options)

    monkeypatch.setattr(preparing, "read", looking)
    assert call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"])[0] == 0
    assert "val_0.JPEG" in seen
    assert "test_0.JPEG" not in seen


@pytest.mark.parametrize("name", ["flickr8k", "fashion-mnist", "clothing-co-parsing"])
def test_a_second_call_finds_all_in_place(name, archives, pages, place):
    call("prepare", name, "--from", *archives[name])
    before = {path: path.stat().st_mtime_ns for path in (place / name).rglob("*")}
    for again in (("prepare", name, "--from", place / "nowhere"), ("fetch", name)):
        status, said = call(*again)
        assert (status, said) == (0, f"in place: {place / name}\n")
    assert {path: path.stat().st_mtime_ns for path in (place / name).rglob("*")} == before


def test_the_manifest_says_from_what_and_how_it_was_made(archives, pages, place):
    call("prepare", "fashion-products", "--from", *archives["fashion-products"], "--per-group", 2, "--long-side", 7)
    manifest = json.loads((place / "fashion-products" / "manifest.json").read_text())
    archive = archives["fashion-products"][0]
    assert manifest["name"] == "fashion-products"
    assert manifest["options"] == {"per_group": 2, "skip_missing": True}
    assert manifest["long_side"] == 7
    assert manifest["images"] == {"train": 4}
    assert manifest["left_out"] == ["images/32.jpg"]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert manifest["from"] == [{"name": archive.name, "bytes": archive.stat().st_size, "sha256": digest}]
    files = {
        name: hashlib.sha256(content).hexdigest() for name, content in contents(place / "fashion-products").items()
    }
    del files["manifest.json"], files["files.csv"]
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    assert manifest["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert manifest["files"] == len(files) == 5  # four photos and their table


def test_the_same_archive_gives_the_same_digest(archives, pages, place, tmp_path):
    digests = []
    for to in ("one", "two"):
        assert call("prepare", "scenes8", "--from", *archives["scenes8"], "--to", tmp_path / to)[0] == 0
        digests.append(json.loads((tmp_path / to / "scenes8" / "manifest.json").read_text())["digest"])
    assert digests[0] == digests[1]


def test_a_collection_prepared_otherwise_or_by_hand_is_not_touched(archives, pages, place):
    call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"], "--per-class", 2)
    before = contents(place / "tiny-imagenet")
    status, said = call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"])
    assert status == 2
    assert "prepared with per_class = 2, and no option is asked for; remove it" in said
    assert contents(place / "tiny-imagenet") == before
    (place / "flickr8k").mkdir()
    status, said = call("prepare", "flickr8k", "--from", *archives["flickr8k"])
    assert status == 2
    assert "is there and was not made by this command" in said
    assert visible(place / "flickr8k") == []


def test_classes_are_given_on_the_command_line_or_in_a_file(archives, pages, place, tmp_path):
    file = official.put(tmp_path / "classes.txt", "\n".join(official.WNIDS[:2]))
    tree = official.put(tmp_path / "is_a.txt", "\n".join(official.IS_A))
    for to, classes in (("a", official.WNIDS[:2]), ("b", [",".join(official.WNIDS[:2])]), ("c", [f"@{file}"])):
        words = ["--from", *archives["tiny-imagenet"], "--to", tmp_path / to, "--tree", tree, "--classes", *classes]
        status, said = call("prepare", "tiny-imagenet", *words)
        assert status == 0, said
        collection = datasets.load(tmp_path / to / "tiny-imagenet")
        assert collection.table["split"].value_counts().to_dict() == {"train": 8, "validation": 4}
        assert collection.hierarchy.query("leaf")["class"].tolist() == official.WNIDS[:2]


def test_the_courses_selection_takes_its_classes_from_the_page(archives, pages, place):
    pages["tiny-imagenet-100"] |= {"images": {"train": 4, "validation": 4}}
    pages["tiny-imagenet-100"]["options"] = {"classes": official.WNIDS[1:], "per_class": 2}
    status, said = call("prepare", "tiny-imagenet-100", "--from", *archives["tiny-imagenet"])
    assert status == 0, said
    assert set(datasets.load("tiny-imagenet-100").table["label"]) == set(official.WNIDS[1:])


def nothing_is_left(place):
    return [name for name in contents(place) if not name.endswith(".lock")] == [] and visible(place) == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("flickr8k", ["--from", "nowhere.zip"], "nowhere.zip: there is no such file or folder"),
        ("nope", ["--from", "."], "no collection 'nope'; there are catalogue, fashion-products"),
        ("catalogue", ["--from", "."], "catalogue is not prepared from an archive"),
        ("tiny-imagenet", ["--classes", "n0"], "unknown classes: n0; allowed are its 3"),
        ("tiny-imagenet", ["--seed", "1"], "tiny-imagenet has no option seed; it has: classes"),
        ("tiny-imagenet", ["--seed", "0"], "tiny-imagenet has no option seed; it has: classes"),
        ("tiny-imagenet", ["--classes", "@nowhere.txt"], "nowhere.txt"),
    ],
)
def test_a_wrong_command_is_refused_and_leaves_nothing(name, arguments, message, archives, pages, place):
    source = [] if "--from" in arguments else ["--from", *archives[name]]
    status, said = call("prepare", name, *source, *arguments)
    assert status == 2
    assert message in said
    assert nothing_is_left(place)


@pytest.mark.parametrize("action", ["fetch", "prepare"])
@pytest.mark.parametrize(
    ("option", "least"), [("--per-class", 1), ("--per-group", 1), ("--long-side", 1), ("--seed", 0)]
)
def test_a_number_below_the_least_is_refused(action, option, least, pages, place, capsys):
    words = [action, "tiny-imagenet", *(["--from", "nowhere"] if action == "prepare" else [])]
    for text in (str(least - 1), "1.5", "many"):
        with pytest.raises(SystemExit) as caught:
            course.main(["data", *words, f"{option}={text}"])
        assert caught.value.code == 2
        assert f"argument {option}: {text!r}; a whole number, {least} or more, is allowed" in capsys.readouterr().err
    assert nothing_is_left(place)


def test_a_seed_of_zero_is_an_option_like_any_other(archives, pages, place):
    assert call("prepare", "scenes8", "--from", *archives["scenes8"], "--seed", 0)[0] == 0
    assert json.loads((place / "scenes8" / "manifest.json").read_text())["options"] == {"seed": 0}
    status, said = call("fetch", "scenes8", "--seed", 1)
    assert status == 2
    assert "prepared with seed = 0, and seed = 1 is asked for" in said


def test_another_collections_archive_is_recognised(archives, pages, place):
    status, said = call("prepare", "flickr8k", "--from", *archives["clothing-co-parsing"])
    assert status == 2
    assert "not the official files of flickr8k; this looks like clothing-co-parsing" in said
    assert nothing_is_left(place)


def test_other_numbers_of_images_are_refused_unless_accepted(archives, pages, place):
    pages["clothing-co-parsing"]["images"] = {"train": 2098}
    words = ["prepare", "clothing-co-parsing", "--from", *archives["clothing-co-parsing"]]
    status, said = call(*words)
    assert status == 2
    assert "clothing-co-parsing: train 3, where train 2,098 is expected; is the archive whole?" in said
    assert nothing_is_left(place)
    assert call(*words, "--accept-counts")[0] == 0
    assert call("check", "clothing-co-parsing")[0] == 0  # its manifest says what it has


def test_absent_photos_are_refused_or_left_out_and_told(archives, pages, place):
    pages["fashion-products"]["options"] = {}
    words = ["prepare", "fashion-products", "--from", *archives["fashion-products"]]
    status, said = call(*words)
    assert status == 2
    assert "1 of 6 images that" in said
    assert "images/32.jpg" in said
    status, said = call(*words, "--skip-missing")
    assert status == 0
    assert "left out, since absent: 1 images: images/32.jpg" in said


def test_a_photo_that_does_not_open_is_named_before_anything_is_in_place(pages, place, tmp_path):
    folder = official.flickr8k(tmp_path / "flickr8k")
    official.put(folder / "Flicker8k_Dataset" / "c.jpg", b"not a photo")
    status, said = call("prepare", "flickr8k", "--from", folder)
    assert status == 2
    assert "flickr8k: 1 faults in the official files:\n  validation/c.jpg: " in said
    assert "no image of a format that is read" in said
    assert nothing_is_left(place)


def test_a_damaged_archive_is_named(archives, pages, place, tmp_path):
    whole = archives["scenes8"][0].read_bytes()
    cut = official.put(tmp_path / "cut.zip", whole[: len(whole) // 2])
    status, said = call("prepare", "scenes8", "--from", cut)
    assert status == 2
    assert str(cut) in said
    assert nothing_is_left(place)


def test_what_a_killed_run_left_is_cleared_away(archives, pages, place):
    official.put(place / ".scenes8.preparing-x1" / "scenes8" / "train" / "metadata.csv", "file_name\n")
    assert call("prepare", "scenes8", "--from", *archives["scenes8"])[0] == 0
    assert not list(place.glob(".scenes8.preparing-*"))


def test_a_run_that_breaks_while_it_writes_leaves_nothing(archives, pages, place, monkeypatch):
    def breaks(contents, folder, **options):
        official.put(Path(folder) / "train" / "metadata.csv", "file_name\n")
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "write", breaks)
    status, said = call("prepare", "scenes8", "--from", *archives["scenes8"])
    assert status == 130
    assert "the same command goes on" in said
    assert nothing_is_left(place)


def test_two_processes_at_once_prepare_once(archives, place):
    command = [sys.executable, "-m", "lib.course", "data", "prepare", "scenes8", "--accept-counts", "--from"]
    command += archives["scenes8"]
    environment = {**os.environ, "RETRIEVAL_DATA": str(place), "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(run.communicate(timeout=120)[0].splitlines()[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    where = place / "scenes8"
    assert said[0] == f"in place: {where}"
    assert said[1].startswith(f"prepared: {where}")
    assert not list(place.glob(".scenes8.preparing-*"))
    assert len(datasets.load("scenes8")) == 40


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


# --- where ----------------------------------------------------------------------------------------------


def test_the_first_writable_folder_of_retrieval_data_is_taken(tmp_path, monkeypatch):
    closed, gone, opened = (tmp_path / name for name in ("closed", "gone", "open"))
    closed.mkdir()
    opened.mkdir()
    monkeypatch.setattr(data_commands.os, "access", lambda path, mode: Path(path) != closed)
    monkeypatch.setenv("RETRIEVAL_DATA", os.pathsep.join(map(str, (closed, gone, opened))))
    assert data_commands.target_folder(tmp_path / "data") == opened
    monkeypatch.setenv("RETRIEVAL_DATA", str(closed))
    assert data_commands.target_folder(tmp_path / "data") == tmp_path / "data"
    monkeypatch.delenv("RETRIEVAL_DATA")
    assert data_commands.target_folder(tmp_path / "data") == tmp_path / "data"


def test_list_says_what_is_here_and_how_to_get_the_rest(archives, pages, place):
    call("prepare", "flickr8k", "--from", *archives["flickr8k"])
    status, said = call("list")
    assert status == 0
    paragraphs = dict(part.split("  ", 1) for part in re.split(r"\n(?=\S)", said))
    assert paragraphs.keys() == pages.keys()
    assert f"here: {place / 'flickr8k'}  (train 2, validation 1, test 1)" in paragraphs["flickr8k"]
    assert "not here: `python -m lib.course data fetch cifar10`" in paragraphs["cifar10"]
    for name, page in pages.items():
        assert f"terms: {page['terms']}" in paragraphs[name]


def test_a_collection_that_is_not_here_names_the_command_that_gets_it(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, page in datasets.known().items():
        with pytest.raises(FileNotFoundError) as caught:
            datasets.load(name)
        commands = re.findall(r"`(python -m lib.course data (?:fetch|prepare) [^`]*)`", str(caught.value))
        assert commands, name
        arguments = commands[0].removeprefix("python -m lib.course ").split()
        options = course.parser().parse_args(arguments)
        assert options.name == name
        assert options.action == ("prepare" if page["fetch"] == "by hand" else "fetch")


def test_every_page_says_how_its_collection_is_fetched():
    for name, page in datasets.known().items():
        assert page["fetch"] in ("url", "kaggle", "by hand", "drawn"), name
        assert ("files" in page) == (page["fetch"] == "url"), name
        assert ("by_hand" in page) == (page["fetch"] != "drawn"), name
        assert page.get("layout", "") in ("", *preparing.LAYOUTS), name
        for file in page.get("files", ()):
            assert file.keys() <= {"url", "name", "size", "sha256", "md5"}, name
            assert re.fullmatch("[0-9a-f]{64}", file.get("sha256", "0" * 64)), name
            assert re.fullmatch("[0-9a-f]{32}", file.get("md5", "0" * 32)), name
    pages = datasets.known()
    assert len(pages["tiny-imagenet-100"]["options"]["classes"]) == 100
    assert {page["layout"] for page in pages.values() if "layout" in page} == preparing.LAYOUTS.keys()


# --- fetch ----------------------------------------------------------------------------------------------


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a line on stderr, and counts what was asked for."""

    asked: list[str]

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


@pytest.mark.parametrize(
    "name", ["clothing-co-parsing", "scenes15", "scenes8", "tiny-imagenet", "cifar10", "fashion-mnist"]
)
def test_a_collection_is_fetched_and_prepared_in_one_command(name, server, archives, pages, place):
    pages[name]["files"] = served(server, archives, name)
    status, said = call("fetch", name)
    assert status == 0, said
    assert datasets.load(name).table["split"].value_counts().to_dict() == COUNTS[name]
    assert len(server.asked) == len(archives[name])
    assert f"terms: {pages[name]['terms']}\n    cite: {pages[name]['citation']}" in said
    assert not [file for file in contents(place) if file.startswith(".downloads/") and not file.endswith(".lock")]
    assert call("fetch", name) == (0, f"in place: {place / name}\n")
    assert len(server.asked) == len(archives[name])


def test_downloads_are_kept_on_request(server, archives, pages, place):
    pages["scenes8"]["files"] = served(server, archives, "scenes8")
    assert call("fetch", "scenes8", "--keep")[0] == 0
    assert (place / ".downloads" / "scenes8" / "scenes8.zip").read_bytes() == archives["scenes8"][0].read_bytes()


def test_collections_of_one_archive_share_the_download(server, archives, pages, place):
    pages["tiny-imagenet-100"] |= {"images": {"train": 4, "validation": 4}}
    pages["tiny-imagenet-100"]["options"] = {"classes": official.WNIDS[1:], "per_class": 2}
    for name in ("tiny-imagenet", "tiny-imagenet-100"):
        digest = hashlib.sha256(archives["tiny-imagenet"][0].read_bytes()).hexdigest()
        pages[name]["files"] = served(server, archives, "tiny-imagenet", sha256=digest)
        status, said = call("fetch", name, "--keep")
        assert status == 0, said
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_digest_names_both_and_how_to_go_on_by_hand(kind, server, archives, pages, place):
    wanted = hashlib.new(kind, b"another file").hexdigest()
    came = hashlib.new(kind, archives["scenes8"][0].read_bytes()).hexdigest()
    pages["scenes8"]["files"] = served(server, archives, "scenes8", **{kind: wanted})
    status, said = call("fetch", "scenes8")
    assert status == 1
    downloads = place / ".downloads" / "scenes8"
    assert wanted in said
    assert came in said
    assert f"By hand: {pages['scenes8']['by_hand']} Put it into {downloads}. Then:" in said
    assert f"python -m lib.course data prepare scenes8 --from {downloads}" in said
    assert visible(place) == visible(downloads) == []


def test_a_right_md5_is_taken(server, archives, pages, place):
    for file, path in zip(served(server, archives, "fashion-mnist"), archives["fashion-mnist"], strict=True):
        pages["fashion-mnist"].setdefault("served", []).append(
            {**file, "md5": hashlib.md5(path.read_bytes()).hexdigest()}
        )
    pages["fashion-mnist"]["files"] = pages["fashion-mnist"].pop("served")
    assert call("fetch", "fashion-mnist")[0] == 0


def test_after_a_failed_fetch_the_advice_works(server, archives, pages, place):
    pages["scenes8"]["files"] = [{"url": f"{server.address}/nowhere.zip"}]
    status, said = call("fetch", "scenes8")
    assert status == 1
    assert "404" in said
    command = said.strip().splitlines()[-1].split()
    assert command[:5] == ["python", "-m", "lib.course", "data", "prepare"]
    official.put(Path(command[-1]) / "by-hand.zip", archives["scenes8"][0].read_bytes())
    status, said = call(*command[4:])
    assert status == 0, said
    assert len(datasets.load("scenes8")) == 40


def test_what_came_before_a_failure_is_not_asked_for_again(server, archives, pages, place):
    files = served(server, archives, "fashion-mnist")
    for file, path in zip(files, archives["fashion-mnist"], strict=True):
        file["md5"] = hashlib.md5(path.read_bytes()).hexdigest()
    right = files[-1]["url"]
    files[-1]["url"] += ".gone"
    files[-1]["name"] = archives["fashion-mnist"][-1].name
    pages["fashion-mnist"]["files"] = files
    assert call("fetch", "fashion-mnist")[0] == 1
    files[-1]["url"] = right
    assert call("fetch", "fashion-mnist")[0] == 0
    assert len(server.asked) == len(set(server.asked)) == 5


def test_a_download_that_cannot_be_prepared_is_kept_and_its_place_is_said(server, archives, pages, place):
    pages["scenes8"]["files"] = served(server, archives, "clothing-co-parsing")
    status, said = call("fetch", "scenes8")
    assert status == 2
    assert "not the official files of scenes8; this looks like clothing-co-parsing" in said
    assert f"The downloads are kept in {place / '.downloads' / 'scenes8'}; remove them to begin anew" in said
    assert visible(place / ".downloads" / "scenes8") == ["clothing-co-parsing.zip"]
    assert visible(place) == []


def test_a_file_with_a_wrong_md5_that_lies_there_is_replaced(server, archives, pages, place):
    path = archives["scenes8"][0]
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    pages["scenes8"]["files"] = served(server, archives, "scenes8", md5=digest)
    official.put(place / ".downloads" / "scenes8" / path.name, b"another file")
    status, said = call("fetch", "scenes8")
    assert status == 0, said


def test_what_is_got_by_hand_says_how(pages, place):
    for name in ("flickr8k", "flickr30k", "imagenet", "places365"):
        status, said = call("fetch", name)
        assert status == 1
        assert f"{name} cannot be fetched from here. By hand: {pages[name]['by_hand'].strip()}" in said
        assert f"python -m lib.course data prepare {name} --from FOLDER" in said
    assert nothing_is_left(place)


def kaggle(folder, script):
    """A path beside which a `kaggle` command lies, as in the folder of a virtual environment."""
    program = official.put(folder / "kaggle.py", f"import shutil, sys\n{script}\n")
    start = f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n'  # a path in the first line may hold no space
    path = official.put(folder / "kaggle", start)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(folder / "python")


def test_kaggle_is_asked_through_the_users_own_command(archives, pages, place, tmp_path, monkeypatch):
    archive = archives["fashion-products"][0]
    script = (
        "assert sys.argv[1:-1] == ['datasets', 'download', '-d', 'paramaggarwal/fashion-product-images-small', '-p']\n"
        f"shutil.copy({str(archive)!r}, sys.argv[-1] + '/fashion-product-images-small.zip')"
    )
    monkeypatch.setattr(sys, "executable", kaggle(tmp_path / "bin", script))
    status, said = call("fetch", "fashion-products")
    assert status == 0, said
    assert len(datasets.load("fashion-products")) == 5


def test_without_kaggle_or_when_it_fails_the_way_by_hand_is_said(pages, place, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", kaggle(tmp_path / "bin", "sys.exit(3)"))
    status, said = call("fetch", "fashion-products")
    assert status == 1
    assert "ended with 3" in said
    monkeypatch.setattr(data_commands.shutil, "which", lambda name, path: None)
    status, said = call("fetch", "fashion-products")
    assert status == 1
    for part in ("the command `kaggle` is not here", "sign in to https://www.kaggle.com/datasets/paramaggarwal/"):
        assert part in said
    assert visible(place) == []


def test_fetch_finds_a_copy_of_the_users_own_in_place(archives, pages, place, tmp_path):
    assert call("prepare", "scenes8", "--from", *archives["scenes8"])[0] == 0
    for name in ("manifest.json", "files.csv"):
        (place / "scenes8" / name).unlink()
    assert call("fetch", "scenes8") == (0, f"in place: {place / 'scenes8'}\n")
    status, said = call("fetch", "scenes8", "--seed", 3)
    assert status == 2
    assert "is there and was not made by this command" in said


def test_fetch_does_not_take_an_empty_or_damaged_folder_for_the_collection(tiny, pages, place):
    (place / "scenes15").mkdir()
    status, said = call("fetch", "scenes15")
    assert status == 2
    assert f"{place / 'scenes15'} is there and is no collection that can be read" in said
    (tiny / "manifest.json").write_text("{")
    status, said = call("fetch", "tiny-imagenet")
    assert status == 2
    assert "manifest.json cannot be read: " in said
    (tiny / "manifest.json").unlink()
    assert call("fetch", "tiny-imagenet")[0] == 0
    (tiny / "train" / "metadata.csv").unlink()
    status, said = call("fetch", "tiny-imagenet")
    assert status == 2
    assert "is no collection that can be read: " in said
    assert "no metadata.csv in train/" in said


def test_fetch_does_not_take_what_was_prepared_otherwise_for_what_is_asked(archives, pages, place):
    call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"], "--per-class", 2)
    before = contents(place / "tiny-imagenet")
    assert call("fetch", "tiny-imagenet", "--per-class", 2) == (0, f"in place: {place / 'tiny-imagenet'}\n")
    for words in ([], ["--per-class", 2, "--long-side", 7]):
        status, said = call("fetch", "tiny-imagenet", *words)
        assert status == 2
        assert "tiny-imagenet is there, prepared with per_class = 2, and " in said
    assert contents(place / "tiny-imagenet") == before


@pytest.fixture
def small_catalogue(monkeypatch):
    """The catalogue is drawn with its fewest images."""
    from lib import catalogue

    monkeypatch.setattr(catalogue, "write", functools.partial(catalogue.write, n_images=40, progress=False))


def test_the_catalogue_is_drawn_and_what_is_not_whole_is_drawn_again(small_catalogue, pages, place):
    folder = place / "catalogue"
    folder.mkdir()
    for _ in range(2):  # into an empty folder, then into one that lacks a photo
        status, said = call("fetch", "catalogue")
        assert status == 0
        assert said.startswith(f"prepared: {folder}\n")
        photos = sorted(folder.glob("*/*.png"))
        assert len(photos) == 40
        photos[0].unlink()
    assert call("fetch", "catalogue", "--to", place)[1].startswith(f"prepared: {folder}\n")
    for words in ([], ["--to", place]):
        assert call("fetch", "catalogue", *words) == (0, f"in place: {folder}\n")


def test_the_catalogue_takes_no_option_and_the_place_of_nothing_else(small_catalogue, pages, place):
    status, said = call("fetch", "catalogue", "--per-class", 3, "--long-side", 7)
    assert status == 2
    assert "catalogue is drawn as it is; per_class, long_side cannot be asked for" in said
    assert visible(place) == []
    official.put(place / "catalogue" / "letter.txt", "mine")
    status, said = call("fetch", "catalogue")
    assert status == 2
    assert "holds something that is not a drawn catalogue" in said
    assert contents(place) == {"catalogue/letter.txt": b"mine"}


# --- check ----------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(archives, pages, place, tmp_path):
    """A prepared Tiny ImageNet with a tree."""
    tree = official.put(tmp_path / "is_a.txt", "\n".join(official.IS_A))
    assert call("prepare", "tiny-imagenet", "--from", *archives["tiny-imagenet"], "--tree", tree)[0] == 0
    return place / "tiny-imagenet"


def test_a_sound_collection_has_no_fault(tiny):
    status, said = call("check", "tiny-imagenet")
    assert status == 0
    digest = json.loads((tiny / "manifest.json").read_text())["digest"]
    for part in ("train 12, validation 6", "18 images, all of them sound", f"{digest}, as prepared", "no fault"):
        assert part in said


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edited(path):
    path.write_text(path.read_text().replace("n01443537_1.JPEG", "n01443537_9.JPEG"))


def shorter(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    ("file", "harm", "faults"),
    [
        ("train/n01443537/n01443537_1.JPEG", cut, ["train/n01443537/n01443537_1.JPEG: ", "changed since it was prep"]),
        ("train/n01443537/n01443537_1.JPEG", Path.unlink, ["no such file", "n01443537_1.JPEG: gone since"]),
        ("train/metadata.csv", edited, ["n01443537_9.JPEG: ", "no such file", "train/metadata.csv: changed"]),
        ("train/metadata.csv", shorter, ["train 11, validation 6, where manifest.json says train 12, validation 6"]),
        ("train/metadata.csv", Path.unlink, ["no metadata.csv in train/"]),
        ("manifest.json", cut, ["manifest.json cannot be read"]),
        ("files.csv", shorter, ["files.csv is not the one that manifest.json was written with"]),
        ("classes.csv", shorter, ["classes.csv: 1 labels are no leaf in it, the first is n02124075"]),
    ],
)
def test_check_names_what_is_broken(file, harm, faults, tiny):
    harm(tiny / file)
    status, said = call("check", "tiny-imagenet")
    assert status == 1
    for fault in faults:
        assert fault in said
    assert "no fault" not in said


def test_without_the_list_of_files_the_digest_still_tells_whether_anything_changed(tiny):
    (tiny / "files.csv").unlink()
    status, said = call("check", "tiny-imagenet")
    assert status == 1
    assert "1 faults\n    files.csv is gone\n" in said
    official.put(tiny / "train" / "new.txt", "x")
    status, said = call("check", "tiny-imagenet")
    assert status == 1
    digest = json.loads((tiny / "manifest.json").read_text())["digest"]
    assert "2 faults\n    files.csv is gone\n    digest: " in said
    assert f", where manifest.json says {digest}" in said


UNSOUND = {
    "images": (5, [1], {"train": "12"}, {"train": 1.5}, {"train": -1}, {"train": True}, None),
    "options": (5, [1], "per_class", None),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in UNSOUND.items() for value in values])
def test_an_unsound_manifest_is_named_and_no_traceback(key, value, tiny, pages):
    manifest = json.loads((tiny / "manifest.json").read_text())
    (tiny / "manifest.json").write_text(json.dumps(manifest | {key: value}))
    message = f"manifest.json: {key} is {value!r}; "
    for words, expected in (
        (["check", "tiny-imagenet"], 1),
        (["prepare", "tiny-imagenet", "--from", tiny], 2),
        (["fetch", "tiny-imagenet"], 2),
        (["list"], 0),
    ):
        status, said = call(*words)
        assert status == expected
        assert message in said
    assert said.count("terms: ") == len(pages)  # the list goes on behind it


def test_check_sees_a_new_file(tiny):
    official.put(tiny / "train" / "new.txt", "x")
    status, said = call("check", "tiny-imagenet")
    assert status == 1
    assert "1 faults\n    train/new.txt: new since it was prepared" in said


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
    assert "digest: none to compare with" in said
    pages["tiny-imagenet"] |= {"images": {"train": 9}, "official": {"train": 7}}
    status, said = call("check", "tiny-imagenet")
    assert status == 1
    assert "images: train 12, validation 6, where the page says train 9 or train 7" in said


def test_check_of_what_is_not_here_says_how_to_get_it(pages, place, tmp_path):
    status, said = call("check", "scenes8")
    assert status == 2
    assert f"scenes8 is not in {place}" in said
    assert "`python -m lib.course data fetch scenes8`" in said
    assert call("check", "scenes8", "--in", tmp_path)[0] == 2


@pytest.mark.parametrize("name", REAL)
def test_the_real_collection_passes(name):
    if not os.environ.get("RETRIEVAL_DATA") or data_commands.found(name, ROOT / "data") is None:
        pytest.skip(f"{name} is not in $RETRIEVAL_DATA ({os.environ.get('RETRIEVAL_DATA', 'not set')})")
    status, said = call("check", name)
    assert status == 0, said
    assert "no fault" in said


def test_the_digest_of_files_is_that_of_fetching(tiny):
    table = fetching.manifest(tiny)
    table = table[~table["file"].isin(["manifest.json", "files.csv"])]
    assert json.loads((tiny / "manifest.json").read_text())["digest"] == fetching.digest_of_manifest(table)
    pd.testing.assert_frame_equal(pd.read_csv(tiny / "files.csv"), table.reset_index(drop=True), check_dtype=False)
