"""Archives from elsewhere, unpacked so that they can do no harm.

Contents: `extract` a zip or tar. Every member is checked here, since the standard library's own checks differ between
versions: no name leaves the folder, no two names collide on any system, nothing but files and folders, and no more
bytes than allowed, as declared and as written.
"""

import bz2
import errno
import gzip
import lzma
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from pathlib import Path

from tqdm.auto import tqdm

from course.collections.download import require_space

MAX_MEMBERS = 3_000_000  # in an archive: the largest collection of the course has 1.8 million photos
MAX_HEADER = 2**24  # bytes tarfile may ask for at once: longer than any sound header, short enough for memory
OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


def extract(archive, folder, max_bytes, keep=None):
    """Unpack a zip or a tar (plain, gzip, bzip2, xz; told apart by content, not by name) as the new folder `folder`.

    max_bytes: of all files together. keep(name) -> bool: asked for each file by its name below the folder, with /
    between its parts; those it says no to stay packed. A backslash in a name counts as /.

    Raises ValueError, naming the archive, and leaves nothing, for a name that is absolute or has `..`, a drive or a
    control character in it, a link or device, two names that some system takes for one (capitals, accents, a dot at the
    end), an encrypted or damaged file, too many bytes or members, no file at all; OSError for a full disk.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(place / "photos.zip", "w") as file:
    ...     file.writestr("sea/1.txt", "waves")
    >>> (extract(place / "photos.zip", place / "photos", max_bytes=5) / "sea" / "1.txt").read_text()
    'waves'
    """
    archive, folder = Path(archive), Path(folder)
    with open(archive, "rb") as file:
        head = file.read(tarfile.BLOCKSIZE)
    folder.mkdir(parents=True)
    unpacking = _Unpacking(folder, max_bytes, keep or (lambda name: True))
    try:
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _unpack_zip(archive, unpacking)
        else:
            _unpack_tar(archive, head, unpacking)
        if not unpacking.n_files:
            raise ValueError("expected files in it, found none")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if is_full or isinstance(error, MemoryError) or not isinstance(error, Exception):
            raise
        what = "" if type(error) is ValueError else "damaged, or not a zip or tar (gzip, bzip2, xz): "
        raise ValueError(f"{archive}: {what}{error}") from error  # the readers raise a dozen kinds on broken bytes
    return folder


class _Unpacking:
    """Where members go, what has been unpacked so far, and what may not be."""

    def __init__(self, root, max_bytes, keep):
        self.root, self.max_bytes, self.keep = root, max_bytes, keep
        self.n_declared = self.n_written = self.n_files = self.n_members = 0
        self.files, self.folders = {}, {}  # as the least careful system sees a name -> as the archive has it

    def admit(self, raw_name, kind, n_bytes=0):
        """The name below the folder of a file to unpack, "" for a folder and what stays packed. ValueError for harm."""
        self.n_members += 1
        if self.n_members > MAX_MEMBERS:
            raise ValueError(f"expected at most {MAX_MEMBERS:,} members")
        name = safe_name(raw_name)
        if kind not in ("file", "folder") or (kind == "file" and not name):
            raise ValueError(f"{raw_name!r} is a {kind}, expected named files and folders")
        if kind == "folder" or not self.keep(name):
            return ""
        self._note(name)
        self.n_files += 1
        self.n_declared += n_bytes
        self._check_size(self.n_declared)
        return name

    def write(self, source, name, n_bytes):
        """Write a file that was admitted, of the size it was declared with."""
        path, before = self.root / name, self.n_written
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, open(path, "xb") as file:
            while chunk := source.read(2**20):
                self.n_written += len(chunk)
                self._check_size(self.n_written)  # headers may lie
                file.write(chunk)
        if self.n_written - before != n_bytes:
            raise ValueError(f"damaged: {name!r} has {self.n_written - before:,} bytes instead of {n_bytes:,}")

    def _note(self, name):
        """Refuse a name that would overwrite another, on this system or another."""
        parts = one_name(name).split("/")
        key, above = "/".join(parts), ["/".join(parts[:end]) for end in range(1, len(parts))]
        taken = next((self.files[each] for each in (key, *above) if each in self.files), self.folders.get(key))
        if taken:
            raise ValueError(f"{name!r} would overwrite {taken!r}, on this system or another")
        self.files[key] = name
        for each in above:
            self.folders.setdefault(each, name)

    def _check_size(self, n_bytes):
        if n_bytes > self.max_bytes:
            raise ValueError(f"expected at most {self.max_bytes:,} bytes, its files have more")


def _unpack_zip(archive, unpacking):
    """All is checked against the directory of the zip before the first byte is written."""
    with zipfile.ZipFile(archive) as file:
        plan = []
        for info in file.infolist():
            name = info.orig_filename  # before zipfile cuts it at a zero byte
            if info.flag_bits & 0x1:
                raise ValueError(f"{name!r} is encrypted")
            mode = stat.S_IFMT(info.external_attr >> 16) if info.create_system in (3, 19) else 0  # Unix has modes
            kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
            kind = "folder" if name.endswith(("/", "\\")) else kinds.get(mode, "device or pipe")
            if name := unpacking.admit(name, kind, info.file_size):
                plan.append((info, name))
        require_space(unpacking.root, unpacking.n_declared, archive.name)
        for info, name in tqdm(plan, desc=archive.name, unit="file", leave=False, disable=None):
            unpacking.write(file.open(info), name, info.file_size)


def _unpack_tar(archive, head, unpacking):
    """Each member is checked and written as it comes, so that a compressed archive is read only once."""
    opener = next((opener for start, opener in OPENERS.items() if head.startswith(start)), open)
    if head.lstrip().startswith(b"<"):
        raise ValueError("expected a zip or a tar, got a web page, perhaps a sign-in")
    require_space(unpacking.root, archive.stat().st_size, archive.name)
    with opener(archive, "rb") as whole, tqdm(desc=archive.name, unit="file", leave=False, disable=None) as bar:
        stream = _Stream(whole)
        with tarfile.TarFile(fileobj=stream, encoding="utf-8") as file:
            while (info := file.next()) is not None:
                file.members.clear()  # tarfile keeps every header otherwise: gigabytes for a million photos
                kind = "folder" if info.isdir() else "file" if info.isreg() else "link, device or pipe"
                if name := unpacking.admit(info.name, kind, info.size):
                    require_space(unpacking.root, info.size, archive.name)
                    unpacking.write(file.extractfile(info), name, info.size)
                bar.update()
        # tarfile takes a broken header in the middle for the end. The real end is a block of zeros.
        if stream.last != bytes(tarfile.BLOCKSIZE):
            raise ValueError("damaged: it breaks off, there is no end mark")
        while whole.read(2**20):  # to the end, so that the checksum of a compressed file is compared
            pass


class _Stream:
    """What tarfile reads from: remembers the last block, and gives no more at once than a header may sensibly have."""

    def __init__(self, file):
        self.file, self.last, self.seek, self.tell = file, b"", file.seek, file.tell

    def read(self, n_bytes):
        if not 0 <= n_bytes <= MAX_HEADER:
            raise ValueError(f"expected a header of at most {MAX_HEADER:,} bytes, got {n_bytes:,}")
        self.last = self.file.read(n_bytes)
        return self.last


def safe_name(name):
    """A member's name below the folder, with / between its parts; "" for the folder itself. ValueError if it leaves it.

    >>> safe_name("./photos\\\\sea//1.jpg"), safe_name("./")
    ('photos/sea/1.jpg', '')
    """
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or any(re.match(r"[A-Za-z]:", part) for part in parts):
        raise ValueError(f"{name!r} leaves the folder")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise ValueError(f"{name!r} has a control character in it")
    return "/".join(parts)


def one_name(name):
    """What all names have in common that some system takes for the same: Sea/A.JPG and sea/a.jpg. (with a dot)"""
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "/".join(part.rstrip(" .") or part for part in name.split("/"))
