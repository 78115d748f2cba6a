"""archives: what zips and tars may be, and those that mean harm."""

import bz2
import contextlib
import gzip
import io
import itertools
import lzma
import random
import re
import shutil
import stat
import struct
import tarfile
import types
import zipfile

import pytest

from course.collections import archives
from course.collections.archives import extract

BODY = random.Random(0).randbytes(200_000)
TREE = {
    "readme.txt": b"hello",
    "photos/sea/1.jpg": BODY,
    "photos/sea/2.jpg": b"",
    "photos/wood/1.jpg": b"\xff\xd8" * 99,
}


def write_zip(path, members, compression=zipfile.ZIP_STORED):
    """members: name -> bytes, or ZipInfo -> bytes; a name that ends in / is a folder."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def entry(name, data=b"", **attributes):
    """(TarInfo, data) of a member of a tar; type, linkname, ... as attributes."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, data


def write_tar(path, entries, mode="w", **options):
    """entries: name -> bytes, or a list of what `entry` gives."""
    entries = [entry(name, data) for name, data in entries.items()] if isinstance(entries, dict) else entries
    with tarfile.open(path, mode, **options) as file:
        for info, data in entries:
            file.addfile(info, io.BytesIO(data))
    return path


def mode_of(kind, **attributes):
    """A ZipInfo of this kind of file, as zip on Unix writes it."""
    info = zipfile.ZipInfo(attributes.pop("name", "odd"))
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    return info


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WRITERS = {
    "zip stored": lambda path: write_zip(path, TREE),
    "zip deflated": lambda path: write_zip(path, TREE, zipfile.ZIP_DEFLATED),
    "zip bzip2": lambda path: write_zip(path, TREE, zipfile.ZIP_BZIP2),
    "zip lzma": lambda path: write_zip(path, TREE, zipfile.ZIP_LZMA),
    "tar": lambda path: write_tar(path, TREE),
    "tar ustar": lambda path: write_tar(path, TREE, format=tarfile.USTAR_FORMAT),
    "tar gnu": lambda path: write_tar(path, TREE, format=tarfile.GNU_FORMAT),
    "tar.gz": lambda path: write_tar(path, TREE, "w:gz"),
    "tar.bz2": lambda path: write_tar(path, TREE, "w:bz2"),
    "tar.xz": lambda path: write_tar(path, TREE, "w:xz"),
}


def refused(archive, message, max_bytes=10**9, **options):
    """The archive is refused with this message, and nothing is anywhere that was not there before."""
    folder = archive.parent / "sub" / "out"
    folder.parent.mkdir(exist_ok=True)
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(ValueError, match=message) as caught:
        extract(archive, folder, max_bytes, **options)
    assert str(archive) in str(caught.value)
    assert sorted(archive.parent.rglob("*")) == before


@pytest.mark.parametrize("kind", WRITERS)
def test_an_archive_is_known_by_what_is_in_it(tmp_path, kind):
    archive = WRITERS[kind](tmp_path / "archive.jpg")
    total = sum(map(len, TREE.values()))
    folder = extract(archive, tmp_path / "new" / "out", max_bytes=total)
    assert folder == tmp_path / "new" / "out"
    assert files_in(folder) == TREE
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    refused(archive, f"expected at most {total - 1:,} bytes", total - 1)


def test_old_tars_long_names_and_github_s_heading_are_read(tmp_path):
    long = "/".join(["folder" * 8] * 6) + "/é.txt"
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = write_tar(tmp_path / f"{format}.tar", {long: b"abc"}, format=format, pax_headers={"comment": "f00"})
        assert files_in(extract(archive, tmp_path / str(format), 3)) == {long: b"abc"}
    old = bytearray(entry("a.txt", b"abc")[0].tobuf(tarfile.USTAR_FORMAT))
    old[257:265] = bytes(8)  # before POSIX there was no "ustar" in a header
    old[148:156] = b"%06o\0 " % (sum(old[:148]) + 8 * 32 + sum(old[156:]))
    (tmp_path / "v7").write_bytes(bytes(old) + b"abc".ljust(512, b"\0") + bytes(1024))
    assert files_in(extract(tmp_path / "v7", tmp_path / "old", 3)) == {"a.txt": b"abc"}


def test_a_tar_whose_last_file_is_a_zip_is_a_tar(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", {"b": b"b"}).read_bytes()
    archive = write_tar(tmp_path / "outer", {"inner.zip": inner})
    assert zipfile.is_zipfile(archive)  # it looks at the end
    assert files_in(extract(archive, tmp_path / "out", 10**6)) == {"inner.zip": inner}


def test_a_backslash_in_a_name_counts_as_a_slash(tmp_path):
    zipped, tarred = write_zip(tmp_path / "z", {"a\\b.txt": b"b"}), write_tar(tmp_path / "t", {"a\\b.txt": b"b"})
    for archive in (zipped, tarred):
        assert files_in(extract(archive, tmp_path / f"out of {archive.name}", 1)) == {"a/b.txt": b"b"}


@pytest.mark.parametrize("kind", ["zip stored", "tar.gz"])
def test_only_what_is_kept_comes_out_and_counts(tmp_path, kind):
    asked = []
    archive = WRITERS[kind](tmp_path / "archive")
    keep = lambda name: asked.append(name) or name.endswith(".txt")  # noqa: E731
    folder = extract(archive, tmp_path / "out", max_bytes=5, keep=keep)
    assert files_in(folder) == {"readme.txt": b"hello"}
    assert not (folder / "photos").exists()
    assert asked == list(TREE)
    refused(archive, "expected files in it, found none", keep=lambda name: False)


def test_folders_are_not_asked_about(tmp_path):
    archive = write_zip(tmp_path / "z", {"a/": b"", "b/": b"", "b/c": b"c"})
    folder = extract(archive, tmp_path / "out", 1, keep={"b/c": True}.__getitem__)
    assert sorted(path.name for path in folder.rglob("*")) == ["b", "c"]


def test_the_folder_must_be_new(tmp_path):
    archive = write_zip(tmp_path / "z", {"b.txt": b"b"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("mine")
    with pytest.raises(FileExistsError):
        extract(archive, tmp_path / "mine", 1)
    assert files_in(tmp_path / "mine") == {"letter": b"mine"}


# --- what means harm -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "a/../../out.txt",
        "a/..",
        "/tmp/out.txt",
        "//host/share/out.txt",
        "C:/out.txt",
        "c:out.txt",
        "a/D:/out.txt",
        "..\\out.txt",
        "a\\..\\..\\out.txt",
        "\\out.txt",
        "\\\\host\\share\\out.txt",
        "C:\\out.txt",
    ],
)
def test_a_name_that_leaves_the_folder_is_refused_kept_or_not(tmp_path, name):
    tarred = write_tar(tmp_path / "t", {"a.txt": b"a", name: b"x"})
    for archive in (write_zip(tmp_path / "z", {"a.txt": b"a", name: b"x"}), tarred):
        refused(archive, re.escape(f"{name!r} leaves the folder"))
        refused(archive, "leaves the folder", keep=lambda name: name == "a.txt")


@pytest.mark.parametrize("letter", ["\n", "\x1b", "\x7f"])
def test_a_name_with_a_control_character_is_refused(tmp_path, letter):
    for archive in (write_zip(tmp_path / "z", {f"a{letter}b": b""}), write_tar(tmp_path / "t", {f"a{letter}b": b""})):
        refused(archive, "has a control character")


def test_a_name_that_hides_its_end_behind_a_zero_byte_is_refused(tmp_path):
    archive = write_zip(tmp_path / "z", {"a.txt?.exe": b""})
    archive.write_bytes(archive.read_bytes().replace(b"?", b"\0"))
    refused(archive, "has a control character")


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "file", "."])
def test_links_are_refused_wherever_they_lead(tmp_path, target):
    for type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        tarred = write_tar(tmp_path / "t", [entry("file", b"x"), entry("link", type=type, linkname=target)])
        refused(tarred, "'link' is a link, device or pipe, expected named files and folders", keep=lambda name: False)
    refused(write_zip(tmp_path / "z", {"file": b"", mode_of(stat.S_IFLNK, name="link"): target}), "'link' is a link")


@pytest.mark.parametrize("type", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"Z"])
def test_devices_pipes_and_unknown_kinds_are_refused_kept_or_not(tmp_path, type):
    archive = write_tar(tmp_path / "t", [entry("a.txt"), entry("odd", type=type)])
    refused(archive, "'odd' is a link, device or pipe", keep=lambda name: name == "a.txt")


def test_a_device_in_a_zip_is_refused(tmp_path):
    refused(write_zip(tmp_path / "z", {mode_of(stat.S_IFIFO): b""}), "'odd' is a device or pipe")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.txt", "a.txt"),
        ("a.txt", "./a.txt"),
        ("a.txt", "A.TXT"),
        ("Sea/a.txt", "sea/a.txt"),
        ("é.txt", "e\u0301.txt"),
        ("straße", "STRASSE"),
        ("a.txt", "a.txt. "),
        ("a/b", "a\\b"),
        ("a", "a/b"),
        ("a/b", "A"),
    ],
)
def test_names_that_some_system_takes_for_one_are_refused(tmp_path, first, second):
    tarred = write_tar(tmp_path / "t", [entry(first, b"1"), entry(second, b"2")])
    with zipfile.ZipFile(tmp_path / "z", "w") as file, contextlib.suppress(UserWarning):
        file.writestr(first, b"1")
        if first == second:
            with pytest.warns(UserWarning, match="Duplicate name"):
                file.writestr(second, b"2")
        else:
            file.writestr(second, b"2")
    for archive in (tarred, tmp_path / "z"):
        refused(archive, "would overwrite")
    kept = itertools.count()
    assert files_in(extract(tarred, tmp_path / "out", 1, keep=lambda name: next(kept) == 0)).popitem()[1] == b"1"


def test_an_encrypted_file_is_refused(tmp_path):
    archive = write_zip(tmp_path / "z", {"a.txt": b"abc"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flags in the file's own header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    archive.write_bytes(data)
    refused(archive, "'a.txt' is encrypted")


def test_a_bomb_is_refused_by_what_its_headers_say_before_a_byte_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "open", lambda *_: pytest.fail("something was unpacked"), raising=False)
    zeros = bytes(20_000_000)
    write_zip(tmp_path / "z", {"zeros": zeros}, zipfile.ZIP_DEFLATED)
    write_tar(tmp_path / "gz", {"zeros": zeros}, "w:gz")
    info = entry("holes")[0]
    info.size = 512
    info.pax_headers = {"GNU.sparse.size": str(10**12), "GNU.sparse.map": "0,0", "GNU.sparse.numblocks": "1"}
    with tarfile.open(tmp_path / "sparse", "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info, io.BytesIO(bytes(512)))
    monkeypatch.setattr(archives, "open", lambda path, mode: open(path, mode) if mode == "rb" else pytest.fail(path))
    for name in ("z", "gz", "sparse"):
        assert (tmp_path / name).stat().st_size < 40_000
        refused(tmp_path / name, "expected at most 1,000,000 bytes", 1_000_000)


def test_bytes_are_counted_as_they_are_written_since_headers_may_lie(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "z", {"a.txt": b"abc"})
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: io.BytesIO(bytes(5 * 2**20)))
    refused(archive, "expected at most 2,000,000 bytes", 2_000_000)
    refused(archive, "damaged: 'a.txt' has 5,242,880 bytes instead of 3", 6_000_000)


@pytest.mark.parametrize("said", [3, 5_000_000])
def test_a_zip_that_lies_about_the_size_of_a_file_is_refused(tmp_path, said):
    archive = write_zip(tmp_path / "z", {"a.txt": bytes(1_000_000)}, zipfile.ZIP_DEFLATED)
    true, lie = struct.pack("<L", 1_000_000), struct.pack("<L", said)
    assert archive.read_bytes().count(true) == 2  # in the file's own header and in the directory
    archive.write_bytes(archive.read_bytes().replace(true, lie))
    refused(archive, "damaged")


def test_many_files_over_the_same_bytes_are_refused(tmp_path):
    # D. Fifield, A better zip bomb, 2019: the directory names one compressed stretch again and again.
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("0", bytes(100_000))
        for number in range(1, 10):
            info = zipfile.ZipInfo(str(number))
            for attribute in ("header_offset", "CRC", "file_size", "compress_size", "compress_type"):
                setattr(info, attribute, getattr(file.filelist[0], attribute))
            file.filelist.append(info)
        file._didModify = True
    refused(tmp_path / "z", "expected at most 999,999 bytes", 999_999)
    refused(tmp_path / "z", "damaged", 1_000_000)  # zipfile sees that the headers differ


def test_more_members_than_any_collection_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    for archive in (write_zip(tmp_path / "z", TREE), write_tar(tmp_path / "t", TREE)):
        refused(archive, "expected at most 3 members", keep=lambda name: name == "readme.txt")
    assert files_in(extract(write_tar(tmp_path / "u", dict(list(TREE.items())[:3])), tmp_path / "out", 10**6))


def test_a_header_longer_than_memory_is_not_read(tmp_path):
    header = entry("././@LongLink", type=tarfile.GNUTYPE_LONGNAME)[0]
    header.size = 2**26
    with gzip.open(tmp_path / "t", "wb", 1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**26))
    refused(tmp_path / "t", "expected a header of at most 16,777,216 bytes, got 67,108,[0-9]+")


def test_headers_within_headers_without_end_are_refused(tmp_path):
    header = entry("x", type=tarfile.XHDTYPE)[0].tobuf(tarfile.USTAR_FORMAT)
    with gzip.open(tmp_path / "t", "wb") as file:
        file.write(header * 5000)
    refused(tmp_path / "t", "damaged")


# --- what is broken, and a disk that is full -------------------------------------------------


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_an_archive_that_was_cut_off_is_called_damaged(tmp_path, kind, share):
    archive = WRITERS[kind](tmp_path / "archive")
    data = archive.read_bytes()
    if kind.startswith("tar") and "." not in kind:
        data = data[:-10240]  # less of its padding, which may well be missing
    archive.write_bytes(data[: max(600, int(share * len(data)))])
    refused(archive, "damaged")


def test_a_tar_that_ends_between_two_files_is_called_damaged(tmp_path):
    archive = write_tar(tmp_path / "t", {"a": b"a", "b": b"b"})
    archive.write_bytes(archive.read_bytes()[:1024])
    with tarfile.open(archive) as file:
        assert file.getnames() == ["a"]  # to tarfile it is whole
    refused(archive, "damaged: it breaks off")


def test_a_broken_header_in_the_middle_is_not_taken_for_the_end(tmp_path):
    archive = write_tar(tmp_path / "t", {"a": b"a", "b": b"b"})
    data = bytearray(archive.read_bytes())
    data[1024] ^= 1
    archive.write_bytes(data)
    with tarfile.open(archive) as file:
        assert file.getnames() == ["a"]  # to tarfile it is
    refused(archive, "damaged: it breaks off")


@pytest.mark.parametrize("kind", ["zip stored", "zip deflated", "zip bzip2", "zip lzma", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_flipped_bit_in_a_file_is_noticed(tmp_path, kind):
    archive = WRITERS[kind](tmp_path / "archive")
    data = bytearray(archive.read_bytes())
    data[100_000] ^= 4
    archive.write_bytes(data)
    refused(archive, "damaged")


def test_the_checksum_at_the_end_of_a_compressed_tar_is_looked_at(tmp_path):
    archive = WRITERS["tar.gz"](tmp_path / "archive")
    data = bytearray(archive.read_bytes())
    data[-6] ^= 1  # CRC-32 and length are the last 8 bytes of a gzip file
    archive.write_bytes(data)
    refused(archive, "damaged.*CRC check failed")


@pytest.mark.parametrize("kind", WRITERS)
def test_whatever_is_broken_it_is_refused_as_a_value_error_or_comes_out_within_the_limit(tmp_path, monkeypatch, kind):
    monkeypatch.setitem(globals(), "TREE", {"readme.txt": b"hello", "sea/1.jpg": BODY[:700], "é.txt": b"abc" * 50})
    rng, whole = random.Random(kind), WRITERS[kind](tmp_path / "whole").read_bytes()
    n_refused = 0
    for round in range(40):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 1, 3, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "broken").write_bytes(data)
        try:
            folder = extract(tmp_path / "broken", tmp_path / f"out {round}", 10_000)
        except ValueError as error:
            n_refused += 1
            assert str(tmp_path / "broken") in str(error)
            assert not (tmp_path / f"out {round}").exists()
        else:
            assert sum(map(len, files_in(folder).values())) <= 10_000
            shutil.rmtree(folder)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "whole"]
    assert n_refused > 0


@pytest.mark.parametrize("data", [b"", b"some text" * 100, b"Rar!\x1a\x07\x00" + bytes(600), bytes(10240)])
def test_what_is_no_archive_is_said_so(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", r"damaged, or not a zip or tar|expected files in it, found none")


def test_what_is_no_archive_but_a_web_page_is_said_so_and_a_compressed_file_is_no_tar(tmp_path):
    (tmp_path / "a.zip").write_bytes(b" <HTML><title>Sign in" + bytes(600))
    refused(tmp_path / "a.zip", "expected a zip or a tar, got a web page")
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        (tmp_path / "a.tar").write_bytes(compress(BODY))
        refused(tmp_path / "a.tar", "damaged")
    with pytest.raises(FileNotFoundError):
        extract(tmp_path / "missing.zip", tmp_path / "out", 1)


def test_an_archive_without_a_file_is_refused(tmp_path):
    refused(write_zip(tmp_path / "z", {}), "expected files in it, found none")
    refused(write_tar(tmp_path / "t", [entry("a", type=tarfile.DIRTYPE)]), "expected files in it, found none")


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_disk_too_full_for_what_is_inside_is_said_and_left_as_it_was(tmp_path, monkeypatch, write):
    archive = write(tmp_path / "archive", {"zeros": bytes(10**7)})
    monkeypatch.setattr(shutil, "disk_usage", lambda place: types.SimpleNamespace(free=10**7))
    with pytest.raises(OSError, match=r"MB free for archive, got 10\.0 MB"):
        extract(archive, tmp_path / "out", 10**8)
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
