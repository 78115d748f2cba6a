"""Downloads by pooch (digest, atomic move), taken up again where they were interrupted.

While `photos.zip` is fetched, `photos.zip.part` holds what has come so far, and `photos.zip.part.json` the address and
version it is a part of. Nothing appears under the name itself before it is whole and its digest is right.

Contents: `download`; `require_space`, before much is written; `Unavailable`, what the network or server did not give.
"""

import errno
import json
import os
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
import urllib3.exceptions
from tqdm.auto import tqdm

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds before the second try, doubled before each further one
WORTH_IT = 2**20  # bytes: a try that brought so many new ones starts the count of tries again
MARGIN = 100 * 2**20  # bytes that stay free on a disk, whatever is written
PASSING = (408, 425, 429)  # beside all from 500 on: answers that may be others in a while


class Unavailable(Exception):
    """What the network or the server did not give."""


def download(url, path, digest=None, retries=3, timeout=30.0):
    """Fetch `url` (http, https) to `path` with pooch, unless it is there with the right digest, and return the path.

    digest: "sha256:...", "md5:..." or the hexadecimal SHA-256; None takes what comes, and any file that is there.
    retries: tries after the first that failed in a way that may pass (no connection, one that broke or was silent for
    `timeout` seconds, a body cut off, a busy server), 1, 2, 4, ... seconds apart.

    Raises Unavailable for what the network or server did not give (a refusal such as 404 at once), ValueError for a
    wrong digest, OSError for a full disk. All but a wrong digest leave the part, with which the next call goes on.
    """
    path, failed = Path(path), 0
    if path.is_dir() or urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"expected an http or https address and the path of a file, got {url} and {path}")
    resume = Resume(path, timeout)
    pooch.get_logger().setLevel("WARNING")
    while True:
        before = resume.n_bytes
        try:
            pooch.retrieve(url, digest, path.name, path.parent, downloader=resume)
            return path
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            cause = str(error)
        except ValueError as error:  # pooch's word for another digest; it has removed the file
            cause = str(error)
            if not resume.resumed:
                raise ValueError(f"{url} is not the expected file: {cause}") from error
        failed = 1 if resume.n_bytes >= before + WORTH_IT else failed + 1
        if failed > retries:
            raise Unavailable(f"{url} could not be fetched, tried {failed} times: {cause}")
        time.sleep(min(FIRST_WAIT * 2 ** (failed - 1), LONGEST_WAIT))


class Resume:
    """A pooch downloader that goes on behind the bytes of an interrupted download if the file is still the same one.

    The same: its strong ETag or its Last-Modified, which If-Range names, and its size. Where the server gives neither,
    every try begins anew.
    """

    def __init__(self, path, timeout):
        self.part, self.page_file = (path.with_name(path.name + ending) for ending in (".part", ".part.json"))
        self.timeout, self.resumed = timeout, False

    def __call__(self, url, output_file, _pooch):
        start, page = self._kept(url)
        headers = {"Accept-Encoding": "identity"}  # otherwise lengths and ranges are of a compressed body
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": page["validator"]}
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
            _refuse(url, response)
            now = {"url": url, **_version(response)}
            if response.status_code == 200:
                start = 0
                self.discard()  # the page goes first: a part without one is never gone on with
            elif not start or now != page or not response.headers["Content-Range"].startswith(f"bytes {start}-"):
                self.discard()
                raise requests.ConnectionError("the file has changed on the server")
            self.resumed = start > 0
            require_space(self.part.parent, (now["total"] or 0) - start, self.part.stem)
            if not start:
                self.part.touch()
                self.page_file.write_text(json.dumps(now), encoding="utf-8")
            self._receive(response, start, now["total"])
        os.replace(self.part, output_file)  # pooch compares the digest and moves it on
        self.page_file.unlink()

    @property
    def n_bytes(self):
        return self.part.stat().st_size if self.part.exists() else 0

    def discard(self):
        self.page_file.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _kept(self, url):
        """(bytes to go on behind, the page about them); (0, {}) where the part is of another or an unknown file."""
        try:
            page = json.loads(self.page_file.read_text(encoding="utf-8"))
            if page["url"] == url and page["validator"] and self.n_bytes <= (page["total"] or self.n_bytes):
                # Of a part that is whole the last byte is asked for again: the answer tells whether it is that file.
                return min(self.n_bytes, (page["total"] or self.n_bytes + 1) - 1), page
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            pass
        return 0, {}

    def _receive(self, response, start, total):
        bar = {"total": total, "initial": start, "desc": self.part.stem, "unit": "B", "unit_scale": True}
        with open(self.part, "r+b") as file, tqdm(**bar, leave=False, disable=None) as shown:
            file.seek(start)
            for chunk in response.raw.stream(2**16, decode_content=False):
                file.write(chunk)
                shown.update(len(chunk))
            if total is not None and file.tell() != total:
                raise requests.ConnectionError(f"cut off after {file.tell():,} of {total:,} bytes")


def _version(response):
    """What tells a file on the server from its successor: size and strong validator, either None if not known."""
    etag, length = response.headers.get("ETag", "W/"), response.headers.get("Content-Length", "")
    total = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    total = int(total[1]) if total else int(length) if length.isdecimal() else None
    return {"validator": response.headers.get("Last-Modified") if etag.startswith("W/") else etag, "total": total}


def _refuse(url, response):
    """Raise for an answer that is not the file: Unavailable if it is final, HTTPError if it may pass."""
    status, kind = response.status_code, response.headers.get("Content-Type", "")
    if status in PASSING or status >= 500:
        raise requests.HTTPError(f"the server answered {status} {response.reason}")
    if status not in (200, 206, 416):
        raise Unavailable(f"{url} could not be fetched: the server answered {status} {response.reason}")
    if status == 200 and kind.startswith("text/html"):
        raise Unavailable(f"{url} could not be fetched: expected a file, got a web page, perhaps a sign-in")
    if url.startswith("https:") and not response.url.startswith("https:"):
        raise Unavailable(f"{url} could not be fetched: it redirects to {response.url}, which is not encrypted")
    if response.headers.get("Content-Encoding", "identity") != "identity" and not url.endswith((".gz", ".tgz")):
        raise Unavailable(f"{url} could not be fetched: the server compresses it on the way")


def require_space(folder, n_bytes, what):
    """OSError unless the disk of `folder` has room for so many bytes and the margin."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes + MARGIN:
        sizes = f"expected {(n_bytes + MARGIN) / 1e6:,.1f} MB free for {what}, got {free / 1e6:,.1f} MB"
        raise OSError(errno.ENOSPC, sizes, str(folder))
