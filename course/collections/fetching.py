"""Files from elsewhere: fetched so that a broken connection costs little, unpacked so that an archive can do no harm.

Beside `data/photos.zip` while it is fetched:

    data/photos.zip.part          what came so far; moved to photos.zip when it is whole and its digest is right
    data/photos.zip.part.json     address, ETag, Last-Modified, size and type of what the part is a part of
    data/.photos.zip.lock         empty: who holds its lock is at work; it may lie there afterwards

A killed run leaves a part, which the next call goes on with, or drops where it cannot be of the same file.

pooch hashes the files. Its `retrieve` is not used, and this is why: it begins every try from nothing, which several
gigabytes over a weak line may never survive; it cannot tell a digest that is wrong since a resumed part was stale from
one that is wrong since the file is another; and when it is killed, the temporary file it makes stays behind. Its
processors for archives are not used either: they unpack on top of what lies there, and limit neither size nor links.

Contents: `download` one file; `extract` an archive; `exclusively`, a lock between processes; `free_bytes` on a disk;
`manifest` of a folder and `digest_of_manifest`, for a content whose archive has no digest that is known.
Needs: filelock, pandas, pooch, requests (with urllib3) and tqdm; Python 3.11.4 or newer. Copy this file alone.
"""

import bz2
import errno
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import stat
import struct
import sys
import tarfile
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

import pandas as pd
import pooch
import requests
import urllib3.exceptions
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

__all__ = [
    "NotEnoughSpace",
    "Unavailable",
    "digest_of_manifest",
    "download",
    "exclusively",
    "extract",
    "free_bytes",
    "manifest",
]

FIRST_WAIT = 1.0  # seconds before the second try; twice as long before each further one
LONGEST_WAIT = 60.0
MARGIN = 100 * 2**20  # bytes that stay free on a disk, whatever is fetched or unpacked
MAX_MEMBERS = 3_000_000  # in an archive: the largest collection of the course has 1.8 million photos
MAX_REDIRECTS = 10

_CHUNK = 2**16  # bytes; what a broken connection loses at most
_LONG_ENOUGH = 2**20  # a try that brought so many new bytes was worth it: the count of tries starts again
_LOOK_EVERY = 2**26  # bytes between two looks at the free space
_MOST_HEADER = 2**24  # bytes tarfile may ask for at once: longer than any sound header, short enough for memory
_MOST_PADDING = 2**26  # bytes after the end of a tar
_WEB_PAGE = "text/html"
_PASSING = (408, 425, 429)  # beside all from 500 on: answers that may be others in a while
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# What the system says to a place in the archive, or a name in it, that cannot be.
_NAME_OR_PLACE = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR)


class Unavailable(Exception):
    """What the network or the server did not give. Names the address, the cause and what can be done."""


class NotEnoughSpace(Exception):
    """The disk does not hold what was to be written. Names what is needed, what is there, and where."""


# --- fetching -------------------------------------------------------------------------------------


def download(
    url: str,
    path: str | Path,
    sha256: str | None = None,
    size: int | None = None,
    retries: int = 3,
    timeout: float = 30,
    progress: bool = True,
) -> Path:
    """Fetch the file at `url` to `path`, unless it is there, and return the path.

    url       http, https or file. Redirects are followed, at most 10, but never from https to http
    path      its folder is made. A file that is there is left alone if its digest is right or none is given; one with
              another digest is replaced, once the right one has come
    sha256    of the file, 64 hexadecimal digits; None: whatever comes is taken
    size      about how many bytes it has: for the space and the bar where the server does not say. It is no check
    retries   tries after the first that failed, with 1, 2, 4, ... seconds in between, or longer if the server asks for
              it (Retry-After). For what may pass: no connection, one that broke, a body that was cut off, nothing for
              `timeout` seconds, 408, 425, 429 and 5xx. A try that brought a mebibyte more than any before starts the
              count again
    progress  a bar in a terminal and in Jupyter; TQDM_DISABLE=1 turns it off

    A try goes on where the last one broke off, also in a later call, if the server sends ranges and the file is still
    the same: by a strong ETag or Last-Modified (asked for by If-Range, and compared in the answer), and its size.
    Where it sends neither of the two, only if `sha256` is there to tell in the end. If a file of which a part was
    resumed has a wrong digest, it is fetched anew once. A web page that comes instead of the rest (a sign-in) ends the
    tries and leaves the part. A body that the server compresses on its own is unpacked; but a .gz or .tgz stays what it
    is.

    Raises Unavailable (404 and other refusals at once); NotEnoughSpace, before anything is written where the size is
    known, else as soon as it shows, and then what came stays for the next call; ValueError for a digest that is wrong,
    naming both, and for an argument that is not allowed.

    >>> import tempfile
    >>> there, here = Path(tempfile.mkdtemp()) / "there.txt", Path(tempfile.mkdtemp()) / "data" / "here.txt"
    >>> _ = there.write_text("a b c")
    >>> download(there.as_uri(), here, sha256=hashlib.sha256(b"a b c").hexdigest()).read_text()
    'a b c'
    """
    path, wanted = Path(path), _checked_digest(sha256)
    if urlsplit(url).scheme.lower() not in ("http", "https", "file"):
        raise ValueError(f"address {_public(url)!r}; allowed: http://, https:// and file://")
    if not _is_count(retries) or (size is not None and not _is_count(size)) or not timeout > 0:
        raise ValueError(
            f"retries={retries!r}, size={size!r}, timeout={timeout!r}; allowed: whole numbers, none below 0, "
            "and seconds above 0"
        )
    if _in_place(path, wanted):
        return path
    with exclusively(path):
        if _in_place(path, wanted):  # another process brought it while this one waited
            return path
        part = _Part(path)
        shown = _shown(progress)
        was_resumed = _fetch(url, part, wanted, size, retries, timeout, shown)
        if wanted and pooch.file_hash(str(part.path)) != wanted and was_resumed:
            _say(shown, f"{path.name}: a resumed part was not of this file; fetched anew")
            part.discard()
            _fetch(url, part, wanted, size, retries, timeout, shown)
        if wanted and (digest := pooch.file_hash(str(part.path))) != wanted:
            page = " It begins like a web page: perhaps a sign-in." if _is_web_page(part.path) else ""
            part.discard()
            raise ValueError(
                f"{_public(url)} is not the file that was expected: its SHA-256 is {digest}, not {wanted}.{page} "
                "It was removed."
            )
        part.move()
    return path


class _Failure(Exception):
    """A try that failed: why, whether another may do better, and how many seconds from now the server wants it."""

    def __init__(self, cause: str, may_pass: bool = True, after: float = 0.0, advice: str = ""):
        super().__init__(cause)
        self.cause, self.may_pass, self.after, self.advice = cause, may_pass, after, advice


class _Part:
    """What came so far of a file, and a page that says of what it is a part."""

    def __init__(self, path: Path):
        self.target = path
        self.path = path.with_name(path.name + ".part")
        self.page_path = path.with_name(path.name + ".part.json")

    def kept(self, url: str, has_digest: bool) -> tuple[int, dict]:
        """How many bytes to go on behind, 0 for none, and the page about them."""
        try:
            page = json.loads(self.page_path.read_text(encoding="utf-8"))
            n_bytes = self.path.stat().st_size
        except (FileNotFoundError, ValueError):
            return 0, {}
        if not isinstance(page, dict) or page.get("url") != _public(url) or not (has_digest or _validator(page)):
            return 0, {}
        total = page.get("total")
        if total is None or n_bytes < total:
            return n_bytes, page
        # Of a part that has all bytes the last is asked for again: the answer tells whether it is still that file.
        return (max(0, total - 1), page) if n_bytes == total else (0, {})

    def begin(self, page: dict | None) -> None:
        """Drop the old bytes, and only then say whose the new ones are."""
        self.discard()
        self.path.write_bytes(b"")
        if page is not None:
            self.page_path.write_text(json.dumps(page), encoding="utf-8")

    def discard(self) -> None:
        self.page_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def move(self) -> None:
        os.replace(self.path, self.target)
        self.page_path.unlink(missing_ok=True)


def _fetch(
    url: str, part: _Part, wanted: str | None, size: int | None, retries: int, timeout: float, shown: bool
) -> bool:
    """Bring the whole file into the part, with as many tries as are allowed. True if older bytes are in it."""
    tries, n_failed, most = 0, 0, part.path.stat().st_size if part.path.exists() else 0
    try_once = _copy if urlsplit(url).scheme.lower() == "file" else _get
    while True:
        tries += 1
        try:
            return try_once(url, part, bool(wanted), size, timeout, shown)
        except _Failure as failure:
            n_bytes = part.path.stat().st_size if part.path.exists() else 0
            n_failed = 1 if n_bytes >= most + _LONG_ENOUGH else n_failed + 1
            most = max(most, n_bytes)
            cause, may_pass = failure.cause, failure.may_pass
            if failure.after > LONGEST_WAIT:
                cause, may_pass = f"{cause}, and asks to come back in {failure.after:,.0f} s", False
            if not may_pass or n_failed > retries:
                count = f" (tried {tries} times)" if tries > 1 else ""
                advice = failure.advice or "Try again later, or where there is a better connection"
                digest = f", SHA-256 {wanted}" if wanted else ""
                raise Unavailable(
                    f"{_public(url)} could not be fetched: {cause}{count}.\n"
                    f"{advice}; or get the file by other means and put it at {part.target}{digest}."
                ) from failure
            wait = max(min(FIRST_WAIT * 2 ** (n_failed - 1), LONGEST_WAIT), failure.after)
        _say(shown, f"{part.target.name}: {cause}; once more in {wait:.0f} s")
        time.sleep(wait)


def _copy(url: str, part: _Part, has_digest: bool, size: int | None, timeout: float, shown: bool) -> bool:
    """A try with an address of this machine: always from the first byte."""
    address = urlsplit(url)
    source = Path(url2pathname(address.path))
    if address.netloc not in ("", "localhost") or not source.is_file():
        raise _Failure("there is no such file", may_pass=False, advice="Look the path up")
    n_bytes = source.stat().st_size
    _require_space(part.path.parent, n_bytes, part.target.name)
    part.begin(None)
    with open(source, "rb") as file:
        _write_part(part, 0, n_bytes, iter(lambda: file.read(_CHUNK), b""), shown)
    return False


def _get(url: str, part: _Part, has_digest: bool, size: int | None, timeout: float, shown: bool) -> bool:
    """A try over the network: behind the bytes that are there, or from the first."""
    have, page = part.kept(url, has_digest)
    headers = {"Accept-Encoding": "identity"}  # else Content-Length and ranges are of a compressed body
    if have:
        headers["Range"] = f"bytes={have}-"
        if _validator(page):
            headers["If-Range"] = _validator(page)
    try:
        with requests.Session() as session, _follow(session, url, headers, timeout) as response:
            if have and response.status_code == 200 and _type(response) == _WEB_PAGE != page.get("type"):
                advice = "Sign in where the network or the server asks for it; what came before is kept"
                raise _Failure("a web page came: perhaps a sign-in", may_pass=False, advice=advice)
            if have and response.status_code in (206, 416) and not _continues(response, have, page):
                part.discard()  # the file is another by now, or the range not the one asked for
                have = 0
            else:
                _receive(response, url, part, have, size, shown)
                return have > 0
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        may_pass = not isinstance(error, ValueError)  # requests has a ValueError for an address that is none
        raise _Failure(_in_words(error, timeout), may_pass) from error
    return _get(url, part, has_digest, size, timeout, shown)  # nothing is kept now, so this does not come again


def _follow(session: requests.Session, url: str, headers: dict, timeout: float) -> requests.Response:
    """The first answer that is no redirect. Only its head has been read."""
    here = url
    for _ in range(MAX_REDIRECTS + 1):
        response = session.get(here, headers=headers, stream=True, timeout=timeout, allow_redirects=False)
        target = session.get_redirect_target(response)
        if target is None:
            return response
        response.close()
        there = urljoin(here, target)
        old, new = urlsplit(here).scheme.lower(), urlsplit(there).scheme.lower()
        if new not in ("http", "https") or (old, new) == ("https", "http"):
            raise _Failure(f"it redirects from {old} to {new}, which is not followed", may_pass=False)
        here = there
    raise _Failure(f"it redirects more than {MAX_REDIRECTS} times", may_pass=False)


def _continues(response: requests.Response, have: int, page: dict) -> bool:
    """Whether the answer is the rest, from byte `have` on, of the very file that the page is about."""
    first, total = _content_range(response)
    now = _page("", response, total)
    if response.status_code != 206 or first != have or _coding(response):
        return False
    if None not in (total, page.get("total")) and total != page["total"]:
        return False
    shared = [name for name in ("etag", "last_modified") if now[name] and page.get(name)]
    if "etag" in shared and not page["etag"].startswith("W/"):
        shared = ["etag"]  # a strong one says it all; beside a weak one the date counts, which If-Range then names
    return all(now[name] == page[name] for name in shared)


def _receive(response: requests.Response, url: str, part: _Part, have: int, size: int | None, shown: bool) -> None:
    """Write the body behind the `have` bytes that are there, or, of an answer with the whole file, as the part."""
    status = response.status_code
    if status == 206 and have:
        total = _content_range(response)[1] or _content_length(response, have)
        coding, compressed = "", False
    elif status == 200:
        have, total = 0, _content_length(response)
        coding = _coding(response)
        # A .tar.gz that a server calls "a tar, sent as gzip" is wanted as it is sent.
        is_packed = urlsplit(url).path.lower().endswith((".gz", ".tgz")) or part.target.suffix in (".gz", ".tgz")
        compressed = bool(coding) and not ("gzip" in coding and is_packed)
        if compressed and coding not in ("gzip", "x-gzip", "deflate"):
            raise _Failure(f"it is sent as {coding!r}, which was not asked for", may_pass=False)
        part.discard()  # whatever there was makes room for the whole file
    else:
        raise _refusal(response)
    expected = size if total is None else total
    _require_space(part.path.parent, max(0, (expected or 0) - have), part.target.name)
    if status == 200:
        # Ranges are of the body as it is sent: what was unpacked on the way cannot be gone on with.
        part.begin(None if compressed else _page(url, response, total))
        total, expected = (None, size) if compressed else (total, expected)
    chunks = response.raw.stream(_CHUNK, decode_content=False)
    got = _write_part(part, have, expected, _unpacked(chunks, coding) if compressed else chunks, shown)
    if total is not None and got != total:
        raise _Failure(f"it was cut off after {got:,} of {total:,} bytes")


def _unpacked(chunks: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """What a body that was compressed on its way holds. A try that failed, if the body ends before its end mark."""
    body = None
    try:
        for chunk in chunks:
            while chunk:
                if body is None or body.eof:  # gzip may come in several members
                    has_no_head = coding == "deflate" and chunk[0] & 15 != zlib.DEFLATED  # as some servers send it
                    body = zlib.decompressobj(-zlib.MAX_WBITS if has_no_head else 32 + zlib.MAX_WBITS)
                yield body.decompress(chunk)
                chunk = body.unused_data
    except zlib.error as error:
        raise _Failure(f"what came cannot be unpacked ({error})") from error
    if body is None or not body.eof:
        raise _Failure("it was cut off: its compressed body has no end")


def _write_part(part: _Part, have: int, expected: int | None, chunks: Iterator[bytes], shown: bool) -> int:
    """Write the chunks behind the first `have` bytes of the part. Returns its size."""
    looked = have
    name = part.target.name
    with (
        _disk_full_named(part.path.parent, name),
        open(part.path, "r+b") as file,
        tqdm(total=expected, initial=have, desc=name, unit="B", unit_scale=True, leave=False, disable=not shown) as bar,
    ):
        file.seek(have)
        for chunk in chunks:
            file.write(chunk)
            bar.update(len(chunk))
            if file.tell() >= looked + _LOOK_EVERY:
                looked = file.tell()
                _require_space(part.path.parent, 0, name)
        return file.tell()


def _refusal(response: requests.Response) -> _Failure:
    status = response.status_code
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else response.reason or ""
    cause = f"the server answered {status} {phrase}".rstrip()
    if status in _PASSING or status >= 500:
        return _Failure(cause, after=_retry_after(response.headers.get("Retry-After", "")))
    advice = {
        401: "It may want a sign-in, or terms to be accepted: see the page of the collection",
        403: "It may want a sign-in, or terms to be accepted: see the page of the collection",
        404: "It may have moved: see the page of the collection",
        410: "It may have moved: see the page of the collection",
    }
    return _Failure(cause, may_pass=False, advice=advice.get(status, "See the page of the collection"))


def _retry_after(text: str) -> float:
    """Seconds from now that a Retry-After header asks for, as a number or as a date; 0 where it says neither."""
    if text.isdecimal():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def _content_length(response: requests.Response, have: int = 0) -> int | None:
    text = response.headers.get("Content-Length", "")
    return have + int(text) if text.isdecimal() else None


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """The first byte of a range and the size of the whole file, where the answer says them."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _coding(response: requests.Response) -> str:
    """How the body is compressed on its way, "" if it is not."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    return "" if coding == "identity" else coding


def _type(response: requests.Response) -> str:
    """What the server says that it sends, as text/html; "" if it does not."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _page(url: str, response: requests.Response, total: int | None) -> dict:
    headers = response.headers
    return {
        "url": _public(url),
        "etag": headers.get("ETag"),
        "last_modified": headers.get("Last-Modified"),
        "total": total,
        "type": _type(response),
    }


def _validator(page: dict) -> str | None:
    """What If-Range may name: a strong ETag, else a date; a weak ETag stands for files that only mean the same."""
    etag = page.get("etag")
    return etag if etag and not etag.startswith("W/") else page.get("last_modified")


def _in_words(error: BaseException, timeout: float) -> str:
    """The cause of an error of requests or urllib3, which wrap it several times, in a few words."""
    chain: list[BaseException] = []
    following: object = error
    while isinstance(following, BaseException) and following not in chain:
        chain.append(following)
        inner = [argument for argument in following.args if isinstance(argument, BaseException)]
        following = getattr(following, "reason", None) or (inner[0] if inner else following.__cause__)
    words = {
        urllib3.exceptions.NameResolutionError: "the host is not known: a wrong name, or no connection",
        urllib3.exceptions.NewConnectionError: "there is no connection to the host",
        urllib3.exceptions.ConnectTimeoutError: f"no connection within {timeout:g} s",
        urllib3.exceptions.ReadTimeoutError: f"nothing came for {timeout:g} s",
        urllib3.exceptions.ProxyError: "there is no connection to the proxy",
        urllib3.exceptions.SSLError: f"the encrypted connection failed ({chain[-1]})",
        urllib3.exceptions.ProtocolError: "the connection broke",
        urllib3.exceptions.IncompleteRead: "the connection broke",
    }
    return next((text for kind, text in words.items() if any(isinstance(e, kind) for e in chain)), str(error))


def _in_place(path: Path, wanted: str | None) -> bool:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; the path of a file is needed")
    return path.is_file() and (wanted is None or pooch.file_hash(str(path)) == wanted)


def _checked_digest(sha256: str | None) -> str | None:
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", str(sha256)):
        raise ValueError(f"sha256={sha256!r}; 64 hexadecimal digits, or None, are allowed")
    return None if sha256 is None else sha256.lower()


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _is_web_page(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(512).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _public(url: str) -> str:
    """The address without a name and password in it."""
    address = urlsplit(url)
    return urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))


# --- one process at a time ------------------------------------------------------------------------


@contextmanager
def exclusively(path: str | Path) -> Iterator[None]:
    """Hold the lock of `path`: whoever else asks for it, in any process or thread, waits until it is given back.

    The lock is a file beside the path, `.<name>.lock`. The system gives it back when its holder ends, however it ends.
    Who waits says so on stderr; when its turn comes, what it wanted may be in place: look again. A thread that holds
    the lock may ask for it again, as it does when it calls `download` or `extract` for that path.

    >>> import tempfile
    >>> with exclusively(Path(tempfile.mkdtemp()) / "photos") as nothing:
    ...     "alone"
    'alone'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.parent.resolve() / f".{path.name}.lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{path}: another process is at work on it; waiting", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


# --- the disk -------------------------------------------------------------------------------------


def free_bytes(folder: str | Path) -> int:
    """Bytes that may still be written in a folder; one that is not there yet counts as its nearest parent that is."""
    folder = Path(folder).resolve()
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


def _require_space(folder: Path, n_bytes: int, what: str) -> None:
    free = free_bytes(folder)
    if free < n_bytes + MARGIN:
        raise NotEnoughSpace(
            f"{what} needs {_size(n_bytes)} more, and {_size(MARGIN)} are to stay free: {_size(n_bytes + MARGIN)} "
            f"together; {_size(free)} are free in {folder}. Make room, or choose another disk"
        )


@contextmanager
def _disk_full_named(folder: Path, what: str) -> Iterator[None]:
    """Turn the system's error for a full disk, or a used-up quota, into ours."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise NotEnoughSpace(
            f"the disk became full while {what} was written: {_size(free_bytes(folder))} are free in {folder}. "
            "Make room, or choose another disk"
        ) from error


def _size(n_bytes: int) -> str:
    """A number of bytes as it is read.

    >>> _size(999), _size(1_234_567), _size(7_200_000_000)
    ('999 bytes', '1.2 MB', '7.2 GB')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes} bytes"


# --- unpacking ------------------------------------------------------------------------------------


def extract(
    archive: str | Path,
    folder: str | Path,
    max_bytes: int,
    keep: Callable[[str], bool] | None = None,
    progress: bool = True,
) -> Path:
    """Unpack a zip or a tar (plain, gzip, bzip2, xz; told apart by what is in it, not by its name) as `folder`.

    folder     must not be there, or be empty. It appears in one step, when all is unpacked; whatever goes wrong before
               leaves nothing
    max_bytes  that the files may have together: as they are declared, and as they are written
    keep       keep(name) -> bool, asked for each file and link by its name below the folder, with / between its parts;
               only those it says True to are unpacked. Folders are made as they are needed
    progress   a bar in a terminal and in Jupyter; TQDM_DISABLE=1 turns it off

    What comes out is files and folders, readable by whom the system's settings say, dated now. A link to a file of the
    archive becomes a copy of that file; so there is nothing to follow out of the folder, and no system that cannot hold
    it. A backslash in a name counts as /.

    Refused, with the whole archive, also if `keep` would have left it out: a name that is absolute, has `..`, a drive
    or a control character in it; a link that leaves the folder; a device or pipe; an encrypted file; more than
    MAX_MEMBERS members. Refused among those unpacked: two names that some system takes for one (capitals, accents
    spelled in two ways, a dot at the end), a file where a folder is to be, a link to what is no file or was left out.

    Raises ValueError, naming the archive, for all these, for a damaged one and for one without a file to unpack;
    NotEnoughSpace; FileNotFoundError.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(place / "photos.zip", "w") as file:
    ...     file.writestr("sea/1.txt", "waves")
    >>> (extract(place / "photos.zip", place / "photos", max_bytes=5) / "sea" / "1.txt").read_text()
    'waves'
    >>> extract(place / "photos.zip", place / "again", max_bytes=4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: .../photos.zip: its files have more than max_bytes=4 bytes
    """
    archive, folder = Path(archive), Path(os.path.abspath(folder))
    if not _is_count(max_bytes):
        raise ValueError(f"max_bytes={max_bytes!r}; a whole number, 0 or more, is allowed")
    kind = _kind(archive)
    with exclusively(folder):
        if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
            raise ValueError(f"{folder} is there and not empty: an archive is unpacked as a new folder")
        unfinished = folder.with_name(f".{folder.name}.unfinished")
        if unfinished.exists():  # of a run that was killed: nobody else is at it, since the lock is ours
            shutil.rmtree(unfinished)
        unfinished.mkdir()
        try:
            with _damage_named(archive), _disk_full_named(folder.parent, folder.name):
                unpacking = _Unpacking(unfinished, max_bytes, keep, folder.name)
                (_unpack_zip if kind == "zip" else _unpack_tar)(archive, kind, unpacking, _shown(progress))
            if folder.exists():
                folder.rmdir()
            os.rename(unfinished, folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return folder


@dataclass(slots=True)
class _Member:
    """One entry of an archive, of either kind."""

    name: str  # as the archive has it
    kind: str  # "file", "folder", "link" (target from the member's own folder), "hard link" (from the root)
    n_bytes: int = 0  # as declared
    open: Callable[[], BinaryIO] | None = None
    target: str = ""
    position: int = 0  # in the archive, for the bar


class _Unpacking:
    """Where members go, what has been unpacked so far, and what may not be."""

    def __init__(self, root: Path, max_bytes: int, keep: Callable[[str], bool] | None, title: str):
        self.root, self.max_bytes, self.keep, self.title = root, max_bytes, keep, title
        self.n_declared = self.n_written = self.looked = self.n_files = self.n_members = 0
        self.files: dict[str, str] = {}  # as the least careful system sees a name -> as the archive has it
        self.folders: dict[str, str] = {}
        self.links: dict[str, str] = {}  # name -> name
        self.made: set[Path] = set()  # folders, so that the system is not asked for each file

    def admit(self, member: _Member) -> str:
        """The name of the member below the folder, "" if it is not to be unpacked. ValueError if it may not be."""
        self.n_members += 1
        if self.n_members > MAX_MEMBERS:
            raise ValueError(f"it has more than {MAX_MEMBERS:,} members")
        name = _safe_name(member.name)
        if member.kind not in ("file", "folder", "link", "hard link"):
            raise ValueError(f"{member.name!r} is {member.kind}; files, folders and links to files are allowed")
        target = None
        if member.kind.endswith("link"):
            target = _safe_target(name if member.kind == "link" else "", member.target)
            if target is None:
                raise ValueError(f"{member.name!r} is a link that leaves the folder, to {member.target!r}")
        if not name:
            if member.kind != "folder":
                raise ValueError(f"{member.name!r} is no name for a file")
            return ""
        if self.keep is not None and (member.kind == "folder" or not self.keep(name)):
            return ""
        self._note(name, member.kind == "folder")
        if target is not None:
            self.links[name] = target
        self.n_files += member.kind != "folder"
        self.n_declared += member.n_bytes
        self._check_size(self.n_declared)
        return name

    def put(self, member: _Member, name: str) -> None:
        """Make the folder or write the file. Links wait for `finish`, since what they point at may come after them."""
        if member.kind == "folder":
            (self.root / name).mkdir(parents=True, exist_ok=True)
        elif member.kind == "file":
            with member.open() as source:
                n_bytes = self._write(source, name)
            if n_bytes != member.n_bytes:
                raise ValueError(f"damaged: {member.name!r} has {n_bytes:,} bytes instead of {member.n_bytes:,}")

    def finish(self) -> None:
        for name, target in self.links.items():
            passed = {name}
            while target in self.links and target not in passed:
                passed.add(target)
                target = self.links[target]
            if target in self.links or not (self.root / target).is_file():
                raise ValueError(f"{name!r} is a link to {target!r}, which is no file among those unpacked")
            with open(self.root / target, "rb") as source:
                self._write(source, name)
        if not self.n_files:
            raise ValueError("there is no file in it" + ("" if self.keep is None else " that `keep` says yes to"))

    def _note(self, name: str, is_folder: bool) -> None:
        """Keep account of the name, and refuse one that would overwrite another, on this system or another."""
        key = _as_one_name(name)
        parts = key.split("/")
        taken = self.files.get(key) or (None if is_folder else self.folders.get(key))
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            taken = taken or self.files.get(above)
            self.folders.setdefault(above, name)
        if taken:
            raise ValueError(f"{name!r} would overwrite {taken!r}, on this system or another")
        (self.folders if is_folder else self.files).setdefault(key, name)

    def _write(self, source: BinaryIO, name: str) -> int:
        path = self.root / name
        if path.parent not in self.made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.made.add(path.parent)
        before = self.n_written
        with open(path, "xb") as file:
            while chunk := source.read(2**20):
                self.n_written += len(chunk)
                self._check_size(self.n_written)
                file.write(chunk)
                if self.n_written >= self.looked + _LOOK_EVERY:
                    self.looked = self.n_written
                    _require_space(self.root, 0, self.title)
        return self.n_written - before

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self.max_bytes:
            raise ValueError(f"its files have more than max_bytes={self.max_bytes:,} bytes")


def _unpack_zip(archive: Path, kind: str, unpacking: _Unpacking, shown: bool) -> None:
    """All is checked against the directory of the zip before the first byte is written."""
    with zipfile.ZipFile(archive) as file:
        plan = [(member, unpacking.admit(member)) for member in _zip_members(file)]
        _require_space(unpacking.root, unpacking.n_declared, unpacking.title)
        with _bar(plan[-1][0].position if plan else 0, unpacking.title, shown) as bar:
            for member, name in plan:
                if name:
                    unpacking.put(member, name)
                bar.update(member.position - bar.n)
            unpacking.finish()


def _zip_members(file: zipfile.ZipFile) -> Iterator[_Member]:
    position = 0
    for info in file.infolist():
        name = info.orig_filename  # before zipfile cuts it at a zero byte
        if info.flag_bits & 0x1:
            raise ValueError(f"{name!r} is encrypted, which is not read")
        position += info.compress_size
        made_by_unix = info.create_system in (3, 19)  # the others have no such modes
        mode = stat.S_IFMT(info.external_attr >> 16) if made_by_unix else 0
        if name.endswith(("/", "\\")) or mode == stat.S_IFDIR:
            yield _Member(name, "folder", position=position)
        elif mode == stat.S_IFLNK:
            with file.open(info) as source:
                target = source.read(4097).decode("utf-8")
            yield _Member(name, "link", target=target, position=position)
        elif mode in (0, stat.S_IFREG):
            yield _Member(name, "file", info.file_size, lambda info=info: file.open(info), position=position)
        else:
            yield _Member(name, "a device or pipe")


def _unpack_tar(archive: Path, kind: str, unpacking: _Unpacking, shown: bool) -> None:
    """Each member is checked and written as it comes, so that a compressed archive is read only once."""
    n_bytes = archive.stat().st_size
    _require_space(unpacking.root, n_bytes if unpacking.keep is None else 0, unpacking.title)
    with open(archive, "rb") as raw, _decompressed(raw, kind) as whole:
        stream = _Stream(whole)
        with tarfile.TarFile(fileobj=stream, encoding="utf-8") as file, _bar(n_bytes, unpacking.title, shown) as bar:
            for info, member in _tar_members(file):
                if name := unpacking.admit(member):
                    tarfile.data_filter(info, str(unpacking.root))  # a second opinion: raises for what it would refuse
                    if member.n_bytes > _LOOK_EVERY:
                        _require_space(unpacking.root, member.n_bytes, unpacking.title)
                    unpacking.put(member, name)
                bar.update(raw.tell() - bar.n)
        # tarfile takes a broken header in the middle for the end. The real end is a block of zeros.
        if stream.last != bytes(tarfile.BLOCKSIZE):
            raise ValueError("damaged: it breaks off, there is no end mark")
        padding = 0  # read on, so that the checksum at the end of a compressed file is looked at
        while chunk := whole.read(2**20):
            padding += len(chunk)
            if padding > _MOST_PADDING:
                raise ValueError(f"it goes on for more than {_MOST_PADDING:,} bytes after its end mark")
        unpacking.finish()


def _tar_members(file: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, _Member]]:
    while (info := file.next()) is not None:
        file.members.clear()  # tarfile keeps every header otherwise: gigabytes of them for a million photos
        if info.isreg():
            member = _Member(info.name, "file", info.size, lambda info=info: file.extractfile(info))
        elif info.isdir():
            member = _Member(info.name, "folder")
        elif info.issym():
            member = _Member(info.name, "link", target=info.linkname)
        elif info.islnk():
            member = _Member(info.name, "hard link", target=info.linkname)
        else:
            member = _Member(info.name, "a device or pipe" if info.isdev() else f"of an unknown kind {info.type!r}")
        yield info, member


class _Stream:
    """What tarfile reads from: remembers the last block, and gives no more at once than a header may sensibly have."""

    def __init__(self, file: BinaryIO):
        self.file, self.last = file, b""

    def read(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= _MOST_HEADER:
            raise ValueError(f"a header of {n_bytes:,} bytes; up to {_MOST_HEADER:,} are read")
        self.last = self.file.read(n_bytes)
        return self.last

    def seek(self, position: int) -> int:
        return self.file.seek(position)

    def tell(self) -> int:
        return self.file.tell()


def _decompressed(raw: BinaryIO, kind: str) -> BinaryIO:
    return raw if kind == "tar" else {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}[kind](raw, "rb")


def _kind(archive: Path) -> str:
    """What the file is, by its first bytes."""
    with open(archive, "rb") as file:
        head = file.read(tarfile.BLOCKSIZE)
    starts = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
    for start, kind in starts.items():
        if head.startswith(start):
            return kind
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")  # checks the checksum
        return "tar"
    except tarfile.TarError:
        page = ", but a web page: perhaps the server wants a sign-in" if _is_web_page(archive) else ""
        raise ValueError(f"{archive} is no archive that is read (zip; tar, also with gzip, bzip2, xz){page}") from None


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    """Name the archive in whatever is wrong with it: on broken bytes the readers raise a dozen kinds of errors."""
    try:
        yield
    except (UnicodeError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ValueError(f"{archive}: damaged, or not to be trusted: {error}") from error
    except (EOFError, NotImplementedError, RecursionError, OverflowError) as error:
        raise ValueError(f"{archive}: damaged, or of a kind that is not read: {error}") from error
    except ValueError as error:
        raise ValueError(f"{archive}: {error}") from error
    except OSError as error:
        if error.errno is None:  # gzip's and bz2's own
            raise ValueError(f"{archive}: damaged: {error}") from error
        if error.errno in _NAME_OR_PLACE:
            raise ValueError(f"{archive}: damaged, or not for this system: {error}") from error
        raise


def _safe_name(name: str) -> str:
    """A member's name below the folder, with / between its parts; "" for the folder itself.

    >>> _safe_name("./photos\\\\sea//1.jpg"), _safe_name("./")
    ('photos/sea/1.jpg', '')
    """
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or any(re.match(r"[A-Za-z]:", part) for part in parts):
        raise ValueError(f"{name!r} leaves the folder")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise ValueError(f"{name!r} has a control character in it")
    return "/".join(parts)


def _safe_target(name: str, target: str) -> str | None:
    """The name that a link `name` points at, None if it leaves the folder. A hard link's counts from the root: name "".

    >>> _safe_target("a/b/link", "../c.jpg"), _safe_target("a/link", "../../c.jpg"), _safe_target("", "a/c.jpg")
    ('a/c.jpg', None, 'a/c.jpg')
    """
    path = target.replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or "\0" in path:
        return None
    parts = name.split("/")[:-1]
    for part in path.split("/"):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _as_one_name(name: str) -> str:
    """What all names have in common that some system takes for the same.

    >>> _as_one_name("Sea/A.JPG") == _as_one_name("sea/a.jpg. ")
    True
    """
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "/".join(part.rstrip(" .") or part for part in name.split("/"))


def _bar(total: int, title: str, shown: bool) -> tqdm:
    return tqdm(total=total, desc=title, unit="B", unit_scale=True, leave=False, disable=not shown)


def _shown(progress: bool) -> bool:
    """A bar is for someone who looks on; and tqdm's bar for notebooks does not read TQDM_DISABLE by itself."""
    looks_on = sys.stderr.isatty() or "ipykernel" in sys.modules
    return bool(progress and looks_on and os.environ.get("TQDM_DISABLE", "0") in ("", "0"))


def _say(shown: bool, text: str) -> None:
    if shown:
        print(text, file=sys.stderr, flush=True)


# --- what is in a folder --------------------------------------------------------------------------


def manifest(folder: str | Path) -> pd.DataFrame:
    """What a folder holds: a row a file, with `file` (path below it, / between parts), `bytes` and `sha256`, by `file`.

    All files at all depths, hidden ones too; empty folders are not seen, and a link to a file counts as that file.
    Names are in Unicode's NFC, since some systems store them otherwise. No row for an empty folder. ValueError for
    what is no folder, and for a link to a folder, which might lead anywhere.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "b.txt").write_bytes(b"")
    >>> (folder / "a").mkdir()
    >>> _ = (folder / "a" / "c.txt").write_bytes(b"abc")
    >>> manifest(folder).assign(sha256=lambda table: table["sha256"].str[:8])
          file  bytes    sha256
    0  a/c.txt      3  ba7816bf
    1    b.txt      0  e3b0c442
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    paths = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        if links:
            link = Path(place) / links[0]
            raise ValueError(f"{link} is a link to a folder; files, folders and links to files are read")
        paths += [Path(place) / name for name in names]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path} is no file, or a link to nothing; files, folders and links to files are read")
    by_name = sorted((unicodedata.normalize("NFC", path.relative_to(folder).as_posix()), path) for path in paths)
    shown = _shown(True)
    bar = tqdm(total=len(paths), desc=f"{folder.name}: digests", unit="file", leave=False, disable=not shown)
    with ThreadPoolExecutor(8) as pool, bar:  # reading and hashing release Python's lock
        digests = []
        for digest in pool.map(lambda entry: pooch.file_hash(str(entry[1])), by_name):
            digests.append(digest)
            bar.update()
    return pd.DataFrame(
        {
            "file": pd.Series([name for name, _ in by_name], dtype=str),
            "bytes": pd.Series([path.stat().st_size for _, path in by_name], dtype="int64"),
            "sha256": pd.Series(digests, dtype=str),
        }
    )


def digest_of_manifest(table: pd.DataFrame) -> str:
    """One SHA-256 (hex) for the files of a manifest and what is in them, whatever the order of its rows.

    It is that of the text which `sha256sum` writes about the files, with two spaces between digest and name, sorted by
    name (by code points, UTF-8): the same on every system. `bytes` plays no part, since the digests hold it. Of no row
    it is that of an empty text. ValueError for a missing column, a file that comes twice, a digest that is none, and a
    name with a line break or a backslash, which `sha256sum` would write otherwise.

    >>> abc = hashlib.sha256(b"abc").hexdigest()
    >>> table = pd.DataFrame({"file": ["b.txt", "a.txt"], "sha256": [abc, abc]})
    >>> digest_of_manifest(table) == hashlib.sha256(f"{abc}  a.txt\\n{abc}  b.txt\\n".encode()).hexdigest()
    True
    """
    missing = [column for column in ("file", "sha256") if column not in table]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has: {', '.join(map(str, table.columns))}")
    rows = sorted(zip(table["file"], table["sha256"], strict=True))
    whole = hashlib.sha256()
    for number, (name, digest) in enumerate(rows):
        if number and rows[number - 1][0] == name:
            raise ValueError(f"file {name!r} comes twice")
        if not isinstance(name, str) or not name or re.search(r"[\n\r\\]", name):
            raise ValueError(f"file {name!r}; a name without line break and backslash is allowed")
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"the sha256 of {name!r} is {digest!r}; 64 hexadecimal digits are allowed")
        whole.update(f"{digest}  {name}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _raise(error: OSError) -> None:
    raise error
