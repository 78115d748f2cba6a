"""Folders of photos as they come: `data check FOLDER` names all that is wrong in one table, and what to do."""

import os
import struct
import zlib

import numpy as np
import official_layouts as official
import pytest
from PIL import Image
from toys import call as run_course

from course.collections import own
from lib import collection

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 30, 3)).astype(np.uint8)


def picture(path, seed=0, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 255, (40, 30, 3)).astype(np.uint8)).save(path, **how)
    return path


@pytest.fixture
def holiday(tmp_path):
    """Two classes of two sound photos each."""
    for seed, name in enumerate(("sea/1.jpg", "sea/2.jpg", "town/1.png", "town/2.webp")):
        picture(tmp_path / "holiday" / name, seed)
    return tmp_path / "holiday"


def faults(folder):
    _, found, _ = own.check(folder)
    return {row.file: row.fault for row in found.itertuples()}


def notes(folder):
    _, _, found = own.check(folder)
    return {row.file: row.fault for row in found.itertuples()}


def test_a_sound_folder_has_no_fault_and_nothing_to_know(holiday):
    assert own.check(holiday)[0] == "4 photos, 2 classes"
    assert faults(holiday) == {} and notes(holiday) == {}


BROKEN = {
    "cut.jpg": (lambda path: path.write_bytes(official.jpeg()[:300]), "runcated"),
    "empty.jpg": (lambda path: path.write_bytes(b""), "empty file (0 bytes)"),
    "text.jpg": (lambda path: path.write_text("no photo"), "not an image in a supported format"),
    "page.png": (lambda path: path.write_text("<html>sign in</html>"), "not an image in a supported format"),
    "phone.HEIC": (lambda path: path.write_bytes(b"\0\0\0\x18ftypheic"), "HEIC is not read"),
    "link.jpg": (lambda path: path.symlink_to("nowhere.jpg"), "a link to something that is not there"),
    "bomb.png": (lambda path: path.write_bytes(bomb()), "pixels"),
}


def bomb():
    """A PNG that says it has 30,000 x 30,000 pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_named_with_a_remedy(holiday, name):
    write, fault = BROKEN[name]
    write(holiday / "sea" / name)
    _, found, _ = own.check(holiday)
    [row] = found.to_dict("records")
    assert row["file"] == f"sea/{name}" and fault in row["fault"] and row["what to do"]


def test_everything_is_told_at_once(holiday):
    for name, (write, _) in BROKEN.items():
        write(holiday / "sea" / name)
    (holiday / "leer").mkdir()
    assert faults(holiday).keys() == {".", "leer/", *(f"sea/{name}" for name in BROKEN)}


SOUND = {
    "animated.gif": lambda path: Image.new("P", (20, 20)).save(
        path, save_all=True, append_images=[Image.new("P", (20, 20), 1)]
    ),
    "animated.webp": lambda path: Image.fromarray(PIXELS).save(
        path, save_all=True, append_images=[Image.fromarray(PIXELS[::-1])]
    ),
    "grey.png": lambda path: Image.fromarray(PIXELS[..., 0]).save(path),
    "alpha.png": lambda path: Image.fromarray(PIXELS).convert("RGBA").save(path),
    "palette.png": lambda path: Image.fromarray(PIXELS).quantize(8).save(path),
    "deep.png": lambda path: Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 256).save(path),
    "print.jpg": lambda path: Image.fromarray(PIXELS).convert("CMYK").save(path),
    "turned.jpg": lambda path: Image.fromarray(PIXELS).save(path, exif=turned()),
    "photo.JFIF": lambda path: Image.fromarray(PIXELS).save(path, "JPEG"),
    "scan.tiff": lambda path: Image.fromarray(PIXELS).save(path),
    "été 👟 鞋.jpg": lambda path: Image.fromarray(PIXELS).save(path),
    "[bold]a.jpg": lambda path: Image.fromarray(PIXELS).save(path),
}


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("name", SOUND)
def test_what_can_be_read_is_no_fault(holiday, name):
    SOUND[name](holiday / "sea" / name)
    assert faults(holiday) == {}
    assert f"sea/{name}" in collection.read(holiday).table["file_name"].tolist()


def test_hidden_files_and_what_systems_leave_behind_are_passed_over(holiday):
    for name in (".DS_Store", "sea/Thumbs.db", "sea/desktop.ini", "sea/._1.jpg", ".git/config", "__MACOSX/sea/1.jpg"):
        official.put(holiday / name, b"x")
    assert faults(holiday) == {}
    assert set(notes(holiday)) <= {"__MACOSX/"}


@pytest.mark.parametrize(
    ("name", "fault"),
    [("sea/clip.mov", "a video, left out"), ("sea/notes.txt", "no photo by its name, left out")],
)
def test_what_is_left_out_is_told(holiday, name, fault):
    official.put(holiday / name, b"x")
    assert notes(holiday)[name] == fault and faults(holiday) == {}


def test_doubled_tiny_and_plain_photos_are_told(holiday):
    (holiday / "town" / "again.jpg").write_bytes((holiday / "sea" / "1.jpg").read_bytes())
    Image.new("RGB", (1, 1)).save(holiday / "sea" / "dot.png")
    Image.new("RGB", (40, 40), "white").save(holiday / "sea" / "cap.png")
    found = notes(holiday)
    assert found["town/again.jpg"] == "the same file as sea/1.jpg"
    assert found["sea/dot.png"] == "only 1 x 1 pixels"
    assert found["sea/cap.png"].startswith("of one colour")


def test_a_class_of_one_photo_and_a_single_class_are_told(holiday, tmp_path):
    picture(holiday / "hill" / "1.jpg", 9)
    assert notes(holiday)["hill/"] == "a class of one photo"
    for seed in range(2):
        picture(tmp_path / "one" / "sea" / f"{seed}.jpg", seed)
    assert notes(tmp_path / "one")["."].startswith("one class only: sea")


def test_photos_without_classes_are_told(tmp_path):
    for seed in range(2):
        picture(tmp_path / "flat" / f"{seed}.jpg", seed)
    assert notes(tmp_path / "flat")["."] == "no classes" and faults(tmp_path / "flat") == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: picture(folder / "sea" / "deeper" / "1.jpg"), "a class folder holds photos, not folders"),
        (lambda folder: picture(folder / "1.jpg"), "photos beside class folders"),
        (lambda folder: official.put(folder / "metadata.csv", b"file_name;label\nsea/1.jpg;sea\n"), "with commas"),
        (lambda folder: official.put(folder / "metadata.csv", b"file_name,label\nsea\\1.jpg,sea\n"), "backslash"),
        (lambda folder: official.put(folder / "metadata.csv", b"label\nsea\n"), "no column file_name"),
        (lambda folder: official.put(folder / "metadata.csv", b"file_name\na.jpg\na.jpg\n"), "appear twice"),
        (lambda folder: official.put(folder / "metadata.csv", b"file_name,label\na.jpg,a,b\n"), "quotation marks"),
        (lambda folder: official.put(folder / "metadata.csv", b"\xff\xfef\0i\0"), "not UTF-8"),
    ],
)
def test_a_folder_that_cannot_be_understood_says_why_first(holiday, make, said):
    make(holiday)
    assert said in faults(holiday)["."]


def test_a_table_with_a_missing_photo_names_it(holiday):
    official.put(holiday / "metadata.csv", "\ufefffile_name,label\nsea/1.jpg,sea\nsea/9.jpg,sea\n".encode())
    assert faults(holiday) == {"sea/9.jpg": "no such file"}


def test_a_linked_photo_is_a_photo(holiday):
    os.symlink(holiday / "sea" / "1.jpg", holiday / "town" / "linked.jpg")
    assert faults(holiday) == {} and notes(holiday)["town/linked.jpg"] == "the same file as sea/1.jpg"


def test_the_command_shows_both_tables_and_its_status(holiday):
    status, said = run_course("data", "check", holiday)
    assert status == 0 and "4 photos, 2 classes" in said and "no fault" in said
    (holiday / "sea" / "[red]cut.jpg").write_bytes(official.jpeg()[:300])
    official.put(holiday / "sea" / "clip.mov", b"moving")
    status, said = run_course("data", "check", holiday)
    assert status == 1 and "[red]cut" in said and "to know:" in said and "clip.mov" in said


@pytest.mark.slow
def test_too_few_photos_for_a_notebook_are_told_with_how_many_it_needs(tmp_path):
    for number in range(16):
        picture(tmp_path / "few" / "ab"[number % 2] / f"{number}.jpg", number)
    where = ["--only", "00", "--reports", tmp_path / "reports", "-p", f"dataset={tmp_path / 'few'}"]
    status, said = run_course("run", *where, "-p", "split=train", "-p", "label_column=label", "-p", "k=10")
    assert status == 1 and "expected at least 20 images for k = 10, got 16; lower k" in " ".join(said.split())
