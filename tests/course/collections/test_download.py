"""fetching: files from a server that misbehaves on demand, and archives that mean harm. All on this machine."""

import bz2
import contextlib
import email.utils
import errno
import gzip
import hashlib
import io
import itertools
import lzma
import os
import queue
import random
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import types
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import requests

from lib import fetching

BODY = random.Random(0).randbytes(200_000)
DIGEST = hashlib.sha256(BODY).hexdigest()
OTHER = random.Random(1).randbytes(200_000)
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc", FIPS 180-2, appendix B.1
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


# --- a server that does what it is told ---------------------------------------------------------------


class Server:
    """Answers /... by the answers put there: the first to the first GET, ..., the last to all further ones."""

    def __init__(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.requests.append(self)
                left = server.answers[self.path]
                answer = left.pop(0) if len(left) > 1 else left[0]
                self.close_connection = True
                with contextlib.suppress(ConnectionError):
                    answer(self)

            def log_message(self, *_):
                pass

        self.answers, self.requests, self.released = {}, [], threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def put(self, path, *answers):
        self.answers[path] = list(answers)
        return self.url + path

    def ranges(self):
        return [request.headers.get("Range") for request in self.requests]

    def stop(self):
        self.released.set()
        self.http.shutdown()
        self.http.server_close()


def send(request, status, headers, body=b""):
    request.send_response(status)
    request.send_header("Connection", "close")
    for name, value in headers.items():
        if value is not None:
            request.send_header(name, str(value))
    request.end_headers()
    request.wfile.write(body)


def file(
    body, etag='"one"', modified=None, ranges=True, heeds_if_range=True, longest=None, cut=None, then=None, **headers
):
    """An answer: a file with what its server knows about it. No range is longer than `longest`; the body is `cut` off
    after so many bytes; `then` is called at the end.
    """

    def answer(request):
        validators = {"ETag": etag, "Last-Modified": modified}
        asked = request.headers.get("Range") if ranges else None
        condition = request.headers.get("If-Range")
        if asked and heeds_if_range and condition and condition not in (etag, modified):
            asked = None
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        if asked and start >= len(body):
            return send(request, 416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": 0})
        stop = len(body) if not asked or longest is None else min(start + longest, len(body))
        about = {"Content-Length": stop - start, **validators, **headers}
        if asked:
            about["Content-Range"] = headers.get("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
        send(request, 206 if asked else 200, about, body[start:stop][:cut])
        if then is not None:
            then()

    return answer


def status(code, body=b"", **headers):
    return lambda request: send(request, code, {"Content-Length": len(body), **headers}, body)


def chunked(body, whole=True):
    """An answer of unknown length, in chunks; the last of them missing if not whole."""

    def answer(request):
        send(request, 200, {"Transfer-Encoding": "chunked", "ETag": '"one"'})
        for start in range(0, len(body), 50_000):
            chunk = body[start : start + 50_000]
            request.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        request.wfile.write(b"0\r\n\r\n" if whole else b"")

    return answer


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Seconds that were to be waited between tries: noted, not waited. And no proxy between us and ourselves."""
    monkeypatch.setenv("NO_PROXY", "*")
    waits = []
    monkeypatch.setattr(fetching, "time", types.SimpleNamespace(sleep=waits.append))
    return waits


def left(folder):
    """What lies in a folder, but for locks."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def disk_with(free):
    return lambda place: types.SimpleNamespace(free=free)


# --- download: the plain cases ------------------------------------------------------------------------


def test_a_file_comes_whole_into_a_folder_that_is_made_and_nothing_else_stays(server, tmp_path):
    url = server.put("/a", file(BODY))
    path = fetching.download(url, tmp_path / "new" / "a.bin", sha256=DIGEST.upper())
    assert path == tmp_path / "new" / "a.bin"
    assert path.read_bytes() == BODY
    assert left(path.parent) == ["a.bin"]
    assert [request.headers["Accept-Encoding"] for request in server.requests] == ["identity"]


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_file_that_is_there_is_not_asked_for_again(server, tmp_path, digest):
    url = server.put("/a", file(BODY))
    for _ in range(2):
        assert fetching.download(url, tmp_path / "a", sha256=digest).read_bytes() == BODY
    assert len(server.requests) == 1


def test_a_file_that_is_there_with_another_digest_is_replaced_only_by_the_right_one(server, tmp_path):
    (tmp_path / "a").write_bytes(b"of last year")
    url = server.put("/a", status(404), file(BODY))
    with pytest.raises(fetching.Unavailable):
        fetching.download(url, tmp_path / "a", sha256=DIGEST)
    assert (tmp_path / "a").read_bytes() == b"of last year"
    assert fetching.download(url, tmp_path / "a").read_bytes() == b"of last year"  # no digest, no opinion
    assert fetching.download(url, tmp_path / "a", sha256=DIGEST).read_bytes() == BODY


def test_an_empty_file_is_a_file(server, tmp_path):
    assert fetching.download(server.put("/a", file(b"")), tmp_path / "a", sha256=EMPTY).read_bytes() == b""
    assert left(tmp_path) == ["a"]


def test_the_size_that_was_thought_is_no_check(server, tmp_path):
    assert fetching.download(server.put("/a", file(BODY)), tmp_path / "a", size=7).read_bytes() == BODY


def test_a_file_of_this_machine_has_an_address_too(tmp_path):
    (tmp_path / "two words.bin").write_bytes(BODY)
    url = (tmp_path / "two words.bin").as_uri()
    assert fetching.download(url, tmp_path / "copy", sha256=DIGEST).read_bytes() == BODY
    with pytest.raises(fetching.Unavailable, match="there is no such file"):
        fetching.download(url + ".gone", tmp_path / "other")
    assert left(tmp_path) == ["copy", "two words.bin"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "ftp://host/a"}, "'ftp://host/a'; allowed: http://, https:// and file://"),
        ({"url": "host/a"}, "allowed: http://"),
        ({"sha256": "abc"}, "sha256='abc'; 64 hexadecimal digits"),
        ({"retries": -1}, "retries=-1"),
        ({"retries": True}, "retries=True"),
        ({"size": 1.5}, "size=1.5"),
        ({"timeout": 0}, "timeout=0"),
        ({"path": "."}, "is a folder"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path, arguments, message):
    given = {"url": "http://127.0.0.1:1/a", "path": tmp_path / "a", **arguments}
    with pytest.raises(ValueError, match=re.escape(message)):
        fetching.download(**given)


# --- download: going on where it broke off ------------------------------------------------------------


def test_a_body_that_was_cut_off_is_gone_on_with_behind_its_last_byte(server, tmp_path, waits):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY, cut=50_000), file(BODY))
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-", "bytes=120000-"]
    assert [request.headers.get("If-Range") for request in server.requests] == [None, '"one"', '"one"']
    assert waits == [1, 2]


def test_a_later_call_goes_on_with_the_part_of_an_earlier_one(server, tmp_path):
    url = server.put("/a", file(BODY, etag=None, modified=DATE, cut=70_000), file(BODY, etag=None, modified=DATE))
    with pytest.raises(fetching.Unavailable, match="the connection broke"):
        fetching.download(url, tmp_path / "a", retries=0)
    assert left(tmp_path) == ["a.part", "a.part.json"]
    assert (tmp_path / "a.part").read_bytes() == BODY[:70_000]
    assert fetching.download(url, tmp_path / "a", retries=0).read_bytes() == BODY
    assert (server.ranges()[1], server.requests[1].headers["If-Range"]) == ("bytes=70000-", DATE)
    assert left(tmp_path) == ["a"]


def test_a_server_that_knows_no_ranges_sends_all_again(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY, ranges=False))
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-"]


def test_a_file_that_changed_in_between_is_not_mixed_with_its_predecessor(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(OTHER, etag='"two"'))
    assert fetching.download(url, tmp_path / "a").read_bytes() == OTHER
    assert len(server.requests) == 2  # If-Range: the server itself sees that the file is another


@pytest.mark.parametrize(
    "changed",
    [
        {"etag": '"two"'},
        {"etag": None, "modified": "Thu, 22 Oct 2015 07:28:00 GMT"},
        {"body": OTHER + b"more"},
        {"Content-Range": "bytes 69999-199999/200000"},
        {"Content-Range": "a few"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_a_range_that_is_not_the_rest_of_the_same_file_is_not_taken(server, tmp_path, changed):
    changed = {"body": OTHER, "modified": DATE, **changed}
    changed["body"] = body = changed["body"]
    before = file(BODY, modified=DATE, cut=70_000)
    url = server.put("/a", before, file(**changed, heeds_if_range=False), file(body))
    assert fetching.download(url, tmp_path / "a").read_bytes() == body
    assert server.ranges() == [None, "bytes=70000-", None]


def test_a_range_under_the_same_weak_etag_but_of_another_day_is_not_taken(server, tmp_path):
    # If-Range names the date, since a weak ETag may not be named; this server does not heed it.
    old = file(BODY, etag='W/"same"', modified=DATE, cut=70_000)
    new = {"body": OTHER, "etag": 'W/"same"', "modified": "Thu, 22 Oct 2015 07:28:00 GMT"}
    url = server.put("/a", old, file(**new, heeds_if_range=False))
    assert fetching.download(url, tmp_path / "a").read_bytes() == OTHER
    assert server.ranges() == [None, "bytes=70000-", None]


def test_a_range_beyond_the_end_begins_anew(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY[:60_000]), file(BODY[:60_000]))
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY[:60_000]
    assert server.ranges() == [None, "bytes=70000-", None]


def test_a_server_that_sends_ranges_in_pieces_is_asked_for_each(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY, longest=50_000))
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-", "bytes=120000-", "bytes=170000-"]
    url = server.put("/b", file(BODY, cut=70_000), file(BODY, longest=50_000))
    with pytest.raises(fetching.Unavailable, match="it was cut off after 120,000 of 200,000 bytes"):
        fetching.download(url, tmp_path / "b", retries=1)


def test_a_part_that_is_whole_but_was_not_moved_costs_one_byte(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY))
    with pytest.raises(fetching.Unavailable):
        fetching.download(url, tmp_path / "a", retries=0)
    (tmp_path / "a.part").write_bytes(BODY)
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=199999-"]


@pytest.mark.parametrize("etag", [None, 'W/"one"'])
@pytest.mark.parametrize(("digest", "second"), [(DIGEST, "bytes=70000-"), (None, None)])
def test_without_a_strong_validator_a_part_is_used_only_if_a_digest_can_tell(server, tmp_path, etag, digest, second):
    url = server.put("/a", file(BODY, etag=etag, cut=70_000), file(BODY, etag=etag))
    assert fetching.download(url, tmp_path / "a", sha256=digest).read_bytes() == BODY
    assert server.ranges() == [None, second]
    assert server.requests[1].headers.get("If-Range") is None  # RFC 9110, 13.1.5: not with a weak one


def test_a_resumed_part_with_a_wrong_digest_is_fetched_anew_once(server, tmp_path):
    # The server says it is the same file, and it is not.
    url = server.put("/a", file(OTHER, cut=70_000), file(BODY))
    assert fetching.download(url, tmp_path / "a", sha256=DIGEST).read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-", None]


def test_a_wrong_digest_is_named_beside_the_right_one_and_nothing_is_left(server, tmp_path):
    url = server.put("/a", file(OTHER))
    with pytest.raises(ValueError) as caught:
        fetching.download(url, tmp_path / "a", sha256=DIGEST)
    for word in (url, DIGEST, hashlib.sha256(OTHER).hexdigest()):
        assert word in str(caught.value)
    assert len(server.requests) == 1
    assert left(tmp_path) == []


def test_a_wrong_digest_after_a_second_fetch_is_final(server, tmp_path):
    url = server.put("/a", file(OTHER, cut=70_000), file(OTHER))
    with pytest.raises(ValueError, match=DIGEST):
        fetching.download(url, tmp_path / "a", sha256=DIGEST)
    assert server.ranges() == [None, "bytes=70000-", None]
    assert left(tmp_path) == []


def test_a_web_page_instead_of_the_file_is_seen_as_one(server, tmp_path):
    url = server.put("/a", file(b"\n<!DOCTYPE html><title>Sign in"))
    with pytest.raises(ValueError, match="begins like a web page"):
        fetching.download(url, tmp_path / "a", sha256=DIGEST)


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_web_page_instead_of_the_rest_leaves_what_came_before(server, tmp_path, digest):
    sign_in = status(200, b"<!DOCTYPE html>", **{"Content-Type": "text/html; charset=utf-8"})
    url = server.put("/a", file(BODY, cut=70_000), sign_in, file(BODY))
    with pytest.raises(fetching.Unavailable, match=r"a web page came: perhaps a sign-in \(tried 2 times\)"):
        fetching.download(url, tmp_path / "a", sha256=digest)
    assert (tmp_path / "a.part").read_bytes() == BODY[:70_000]
    assert fetching.download(url, tmp_path / "a", sha256=digest).read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-", "bytes=70000-"]


def test_a_web_page_that_is_wanted_is_sent_again_by_a_server_without_ranges(server, tmp_path):
    pages = [file(BODY, cut=cut, ranges=False, **{"Content-Type": "text/html"}) for cut in (70_000, None)]
    assert fetching.download(server.put("/a", *pages), tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-"]


@pytest.mark.parametrize("page", ["", "no json", "[]", '{"url": "http://elsewhere/a", "etag": "x"}', None])
def test_a_part_of_which_nothing_is_known_is_dropped(server, tmp_path, page):
    (tmp_path / "a.part").write_bytes(b"of something else")
    if page is not None:
        (tmp_path / "a.part.json").write_text(page)
    url = server.put("/a", file(BODY))
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None]
    assert left(tmp_path) == ["a"]


# --- download: what may pass, and what does not -------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "phrase"), [(401, "Unauthorized"), (403, "Forbidden"), (404, "Not Found"), (410, "Gone")]
)
def test_a_refusal_is_not_asked_again_and_names_all_that_helps(server, tmp_path, waits, code, phrase):
    url = server.put("/a", status(code, b"<html>no"))
    with pytest.raises(fetching.Unavailable) as caught:
        fetching.download(url, tmp_path / "a", sha256=DIGEST)
    for word in (url, f"{code} {phrase}", str(tmp_path / "a"), DIGEST):
        assert word in str(caught.value)
    assert (len(server.requests), waits, left(tmp_path)) == (1, [], [])


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(server, tmp_path, waits, code):
    url = server.put("/a", status(code), status(code), file(BODY))
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY
    assert waits == [1, 2]


def test_tries_end_and_the_last_cause_is_named(server, tmp_path, waits):
    url = server.put("/a", status(503))
    with pytest.raises(fetching.Unavailable, match=r"503 Service Unavailable \(tried 4 times\)"):
        fetching.download(url, tmp_path / "a")
    assert (len(server.requests), waits) == (4, [1, 2, 4])
    with pytest.raises(fetching.Unavailable, match=r"503 Service Unavailable\.\n"):
        fetching.download(url, tmp_path / "a", retries=0)
    assert len(server.requests) == 5


def test_waits_grow_up_to_a_minute(server, tmp_path, waits):
    with pytest.raises(fetching.Unavailable):
        fetching.download(server.put("/a", status(500)), tmp_path / "a", retries=8)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_server_that_says_when_to_come_back_is_obeyed_within_reason(server, tmp_path, waits):
    soon = email.utils.format_datetime(fetching.datetime.now(fetching.UTC) + pd.Timedelta(seconds=30), usegmt=True)
    busy = [status(429, **{"Retry-After": text}) for text in ("7", soon, "soon", "-1")]
    url = server.put("/a", *busy, file(BODY))
    fetching.download(url, tmp_path / "a", retries=4)
    assert waits[0] == 7
    assert 20 < waits[1] <= 30
    assert waits[2:] == [4, 8]
    with pytest.raises(fetching.Unavailable, match="come back in 3,600 s"):
        fetching.download(server.put("/b", status(503, **{"Retry-After": "3600"})), tmp_path / "b")


def test_tries_are_counted_from_the_last_one_that_brought_much(server, tmp_path, monkeypatch):
    url = server.put("/a", file(BODY, cut=40_000))
    with pytest.raises(fetching.Unavailable):
        fetching.download(url, tmp_path / "a", retries=1)
    assert server.ranges() == [None, "bytes=40000-"]
    monkeypatch.setattr(fetching, "_LONG_ENOUGH", 40_000)
    assert fetching.download(url, tmp_path / "a", retries=1).read_bytes() == BODY
    assert server.ranges()[2:] == ["bytes=80000-", "bytes=120000-", "bytes=160000-"]


def test_a_server_that_sends_the_same_beginning_for_ever_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_LONG_ENOUGH", 40_000)
    url = server.put("/a", file(BODY, ranges=False, cut=70_000))
    with pytest.raises(fetching.Unavailable, match="tried 3 times"):
        fetching.download(url, tmp_path / "a", retries=2)  # the first brought much, the two after it nothing new


def test_a_server_that_stalls_is_left_and_gone_back_to(server, tmp_path):
    url = server.put("/a", file(BODY, cut=150_000, then=server.released.wait), file(BODY))
    assert fetching.download(url, tmp_path / "a", timeout=0.3).read_bytes() == BODY
    first, second = server.ranges()
    assert first is None
    assert 0 < int(second[6:-1]) <= 150_000
    stalled = server.put("/b", lambda request: server.released.wait())
    with pytest.raises(fetching.Unavailable, match=r"nothing came for 0.1 s"):
        fetching.download(stalled, tmp_path / "b", retries=0, timeout=0.1)


def test_a_host_that_nobody_listens_on_or_knows_is_said_so(tmp_path, waits, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        with pytest.raises(fetching.Unavailable, match=r"no connection to the host \(tried 2 times\)"):
            fetching.download(url, tmp_path / "a", retries=1)

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(fetching.Unavailable, match="the host is not known"):
        fetching.download("http://nowhere.invalid/a", tmp_path / "a", retries=0)
    with pytest.raises(fetching.Unavailable, match="http:///a could not be fetched"):
        fetching.download("http:///a", tmp_path / "a")
    assert waits == [1]


def test_a_name_and_password_in_an_address_are_not_repeated(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), status(404)).replace("http://", "http://me:secret@")
    with pytest.raises(fetching.Unavailable) as caught:
        fetching.download(url, tmp_path / "a")
    assert server.url in str(caught.value)
    assert "secret" not in str(caught.value) + (tmp_path / "a.part.json").read_text()


# --- download: redirects, unknown lengths, compressed bodies -------------------------------------------


def test_redirects_are_followed_also_with_a_part(server, tmp_path):
    url = server.put("/a", status(302, Location="/b"))
    server.put("/b", status(307, Location=server.url + "/c"))
    server.put("/c", file(BODY, cut=70_000), file(BODY))
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY
    assert [request.path for request in server.requests] == ["/a", "/b", "/c"] * 2
    assert server.ranges()[-1] == "bytes=70000-"


def test_redirects_in_a_circle_end(server, tmp_path):
    url = server.put("/a", status(301, Location="/b"))
    server.put("/b", status(301, Location="/a"))
    with pytest.raises(fetching.Unavailable, match="redirects more than 10 times"):
        fetching.download(url, tmp_path / "a")
    assert len(server.requests) == 11


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a", "file:///etc/hostname", "data:,x"])
def test_a_redirect_out_of_the_web_is_not_followed(server, tmp_path, target):
    url = server.put("/a", status(302, Location=target))
    with pytest.raises(fetching.Unavailable, match="redirects from http to"):
        fetching.download(url, tmp_path / "a")
    assert left(tmp_path) == []


@pytest.mark.parametrize(("first", "second", "follows"), [("https", "http", False), ("http", "https", True)])
def test_a_redirect_may_gain_encryption_but_not_lose_it(tmp_path, monkeypatch, first, second, follows):
    asked = []

    def send(adapter, request, **_):  # in place of the network: no certificate is needed
        asked.append(request.url)
        response = requests.Response()
        response.status_code, response.url, response.request = 302, request.url, request
        response.headers["Location"] = f"{second}://host/b"
        response.raw = io.BytesIO()
        if request.url.endswith("/b"):
            response.status_code = 404
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(fetching.Unavailable, match="404" if follows else "redirects from https to http, which is not"):
        fetching.download(f"{first}://host/a", tmp_path / "a")
    assert asked == [f"{first}://host/a", f"{second}://host/b"][: 1 + follows]


def test_a_body_of_unknown_length_is_taken_and_its_cut_off_chunks_are_noticed(server, tmp_path):
    assert fetching.download(server.put("/a", chunked(BODY)), tmp_path / "a").read_bytes() == BODY
    url = server.put("/b", chunked(BODY[:100_000], whole=False), file(BODY))
    assert fetching.download(url, tmp_path / "b").read_bytes() == BODY
    assert server.ranges() == [None, None, "bytes=100000-"]
    until_it_closes = server.put("/c", lambda request: send(request, 200, {}, BODY))
    assert fetching.download(until_it_closes, tmp_path / "c").read_bytes() == BODY


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_a_body_compressed_on_the_way_is_unpacked_and_its_length_is_not_the_file_s(server, tmp_path, coding):
    text = BODY.hex().encode()
    sent = gzip.compress(text)
    assert len(sent) < 0.7 * len(text)
    url = server.put(
        "/a.csv",
        file(sent, cut=len(sent) // 2, **{"Content-Encoding": coding}),
        file(sent, **{"Content-Encoding": coding}),
    )
    path = fetching.download(url, tmp_path / "a.csv", sha256=hashlib.sha256(text).hexdigest())
    assert path.read_bytes() == text
    assert server.ranges() == [None, None]  # what was unpacked cannot be gone on with


@pytest.mark.parametrize("length", [{}, {"Content-Length": None}])
@pytest.mark.parametrize("kept", [0, 1, 5_000, -8, -1])
def test_half_of_a_body_compressed_on_the_way_is_not_taken_for_the_whole(server, tmp_path, length, kept):
    text = BODY.hex().encode()
    sent = gzip.compress(text)
    half, whole = (file(body, **{"Content-Encoding": "gzip"}, **length) for body in (sent[:kept], sent))
    url = server.put("/a.csv", half, whole)
    assert fetching.download(url, tmp_path / "a.csv").read_bytes() == text
    with pytest.raises(fetching.Unavailable, match="it was cut off: its compressed body has no end"):
        fetching.download(server.put("/b.csv", half), tmp_path / "b.csv", retries=0)
    assert "b.csv" not in left(tmp_path)


def test_a_compressed_body_may_be_of_several_parts_or_deflated_with_and_without_a_head(server, tmp_path):
    text = BODY.hex().encode()
    bare = zlib.compressobj(wbits=-15)
    bodies = {
        "members": ("gzip", gzip.compress(text[:150_000]) + gzip.compress(text[150_000:])),
        "zlib": ("deflate", zlib.compress(text)),
        "bare": ("deflate", bare.compress(text) + bare.flush()),
    }
    for name, (coding, body) in bodies.items():
        url = server.put(f"/{name}", file(body, **{"Content-Encoding": coding}))
        assert fetching.download(url, tmp_path / name).read_bytes() == text


def test_an_archive_that_is_called_a_compressed_body_stays_packed(server, tmp_path):
    sent = gzip.compress(BODY)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-tar"}
    url = server.put("/a.tar.gz?raw=1", file(sent, cut=70_000, **headers), file(sent))
    assert fetching.download(url, tmp_path / "a").read_bytes() == sent
    assert server.ranges() == [None, "bytes=70000-"]
    assert fetching.download(server.put("/b", file(sent, **headers)), tmp_path / "b.tgz").read_bytes() == sent


def test_a_body_compressed_as_nobody_asked_is_refused(server, tmp_path):
    url = server.put("/a", file(BODY, **{"Content-Encoding": "br"}))
    with pytest.raises(fetching.Unavailable, match="sent as 'br'"):
        fetching.download(url, tmp_path / "a")
    url = server.put("/b", file(BODY, **{"Content-Encoding": "gzip"}))
    with pytest.raises(fetching.Unavailable, match="cannot be unpacked"):
        fetching.download(url, tmp_path / "b", retries=0)
    assert "b" not in left(tmp_path)


# --- download: the disk, the bar ----------------------------------------------------------------------


@pytest.mark.parametrize("answer", [file(BODY), chunked(BODY)])
def test_a_disk_too_full_is_said_before_anything_is_written(server, tmp_path, monkeypatch, answer):
    needed = len(BODY) + fetching.MARGIN
    monkeypatch.setattr(fetching.shutil, "disk_usage", disk_with(needed - 1))
    with pytest.raises(fetching.NotEnoughSpace) as caught:
        fetching.download(server.put("/a", answer), tmp_path / "a", size=len(BODY))
    # 200,000 bytes and 100 * 2^20 of margin are 105,057,600; the disk has one less
    for word in ("200.0 kB", "104.9 MB", "105.1 MB", str(tmp_path)):
        assert word in str(caught.value)
    assert left(tmp_path) == []
    monkeypatch.setattr(fetching.shutil, "disk_usage", disk_with(needed))
    assert fetching.download(server.put("/a", answer), tmp_path / "a", size=len(BODY)).read_bytes() == BODY


def test_a_part_that_cannot_be_used_makes_room_before_the_disk_is_called_full(server, tmp_path, monkeypatch):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY, ranges=False))
    with pytest.raises(fetching.Unavailable):
        fetching.download(url, tmp_path / "a", retries=0)
    held = lambda: sum(path.stat().st_size for path in tmp_path.glob("a.part"))  # noqa: E731
    monkeypatch.setattr(fetching, "free_bytes", lambda folder: fetching.MARGIN + 200_000 - held())
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY


def test_only_the_rest_of_a_part_needs_space(server, tmp_path, monkeypatch):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY))
    with pytest.raises(fetching.Unavailable):
        fetching.download(url, tmp_path / "a", retries=0)
    monkeypatch.setattr(fetching.shutil, "disk_usage", disk_with(130_000 + fetching.MARGIN))
    assert fetching.download(url, tmp_path / "a").read_bytes() == BODY


def test_a_disk_that_fills_while_it_is_written_stops_the_fetch_and_keeps_the_part(server, tmp_path, monkeypatch):
    free = itertools.chain([fetching.MARGIN], itertools.repeat(fetching.MARGIN - 1))
    monkeypatch.setattr(fetching, "_LOOK_EVERY", 2**17)
    monkeypatch.setattr(fetching, "free_bytes", lambda folder: next(free))
    with pytest.raises(fetching.NotEnoughSpace):
        fetching.download(server.put("/a", chunked(BODY)), tmp_path / "a")
    assert left(tmp_path) == ["a.part", "a.part.json"]
    assert 2**17 <= (tmp_path / "a.part").stat().st_size < len(BODY)


def test_the_system_s_own_word_for_a_full_disk_is_understood(server, tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, chunk):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching, "open", lambda *_: Full(), raising=False)
    with pytest.raises(fetching.NotEnoughSpace, match="became full while a was written"):
        fetching.download(server.put("/a", file(BODY)), tmp_path / "a")


def test_free_bytes_of_a_folder_to_be_are_those_of_its_parent(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda place: asked.append(place) or disk_with(7)(place))
    assert fetching.free_bytes(tmp_path / "not" / "yet") == fetching.free_bytes(tmp_path) == 7
    assert asked == [tmp_path.resolve()] * 2


@pytest.mark.parametrize(
    ("looks_on", "variable", "progress", "shown"),
    [
        (True, None, True, True),
        (True, "0", True, True),
        (True, "1", True, False),
        (True, None, False, False),
        (False, None, True, False),
    ],
)
def test_progress_is_shown_to_someone_who_looks_on(
    server, tmp_path, monkeypatch, capsys, looks_on, variable, progress, shown
):
    bars = []

    class Bar(fetching.tqdm):
        def __init__(self, *arguments, disable, **more):
            bars.append((not disable, more.get("initial", 0), more["total"], 0))
            super().__init__(*arguments, disable=True, **more)

        def update(self, n=1):
            bars[-1] = (*bars[-1][:3], bars[-1][3] + n)

    monkeypatch.setattr(fetching, "tqdm", Bar)
    monkeypatch.delitem(fetching.sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(fetching.sys.stderr, "isatty", lambda: looks_on, raising=False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if variable is not None:
        monkeypatch.setenv("TQDM_DISABLE", variable)
    url = server.put("/a", file(BODY, cut=70_000), file(BODY))
    fetching.download(url, tmp_path / "a", progress=progress)
    assert bars == [(shown, 0, 200_000, 70_000), (shown, 70_000, 200_000, 130_000)]
    assert capsys.readouterr().err == ("a: the connection broke; once more in 1 s\n" if shown else "")
    fetching.extract(write_zip(tmp_path / "z", {"b": b"abc"}), tmp_path / "b", 10, progress=progress)
    assert bars[-1] == (shown, 0, 3, 3)


# --- one process at a time ----------------------------------------------------------------------------


def test_a_lock_is_held_by_one_thread_at_a_time_and_may_be_asked_for_again_by_it(tmp_path, capsys):
    entered, order = threading.Event(), []

    def second():
        entered.wait()
        with fetching.exclusively(tmp_path / "a"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with fetching.exclusively(tmp_path / "a"), fetching.exclusively(str(tmp_path / "a")):
        entered.set()
        with fetching.exclusively(tmp_path / "other"):  # another path, another lock
            pass
        while "another process is at work on it" not in (said := capsys.readouterr().err):
            time.sleep(0.001)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert str(tmp_path / "a") in said


def test_a_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyError), fetching.exclusively(tmp_path / "a"):
        raise KeyError
    thread = threading.Thread(target=lambda: fetching.exclusively(tmp_path / "a").__enter__())
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_two_processes_fetch_once_and_what_a_killed_one_leaves_is_gone_on_with(server, tmp_path):
    program = (
        "import sys; from lib import fetching\n"
        "there, here, digest = sys.argv[1:]\n"
        "for name in ('shared', 'killed'): fetching.download(f'{there}/{name}', f'{here}/{name}', digest)"
    )
    both_are_there, said = threading.Event(), queue.Queue()

    def once_both_are_there(request):
        both_are_there.wait()
        file(BODY)(request)

    server.put("/shared", once_both_are_there)
    server.put("/killed", file(BODY, cut=150_000, then=server.released.wait), file(BODY))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, server.url, tmp_path, DIGEST],
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parent.parent,
        )
        for _ in range(2)
    ]

    def listen(process):
        for line in process.stderr:
            said.put((process, line))

    ears = [threading.Thread(target=listen, args=(process,)) for process in processes]
    for ear in ears:
        ear.start()
    try:
        assert "shared: another process is at work on it" in said.get(timeout=60)[1]
        both_are_there.set()
        second, line = said.get(timeout=60)
        assert "killed: another process is at work on it" in line
        (first,) = (process for process in processes if process is not second)
        while not (tmp_path / "killed.part").exists() or not (tmp_path / "killed.part").stat().st_size:
            time.sleep(0.005)
        assert [request.path for request in server.requests] == ["/shared", "/killed"]
        assert left(tmp_path) == ["killed.part", "killed.part.json", "shared"]
        first.kill()
        assert first.wait() != 0
        assert second.wait(60) == 0  # the system gave the lock back
    finally:
        both_are_there.set()
        for process, ear in zip(processes, ears, strict=True):
            process.kill()
            process.wait()
            ear.join()
            process.stderr.close()
    assert said.empty()
    assert (tmp_path / "shared").read_bytes() == (tmp_path / "killed").read_bytes() == BODY
    assert [request.path for request in server.requests] == ["/shared", "/killed", "/killed"]
    assert 0 < int(server.ranges()[2][6:-1]) <= 150_000
    assert left(tmp_path) == ["killed", "shared"]


def test_threads_that_want_the_same_file_fetch_it_once(server, tmp_path):
    url = server.put("/a", file(BODY))
    threads = [threading.Thread(target=fetching.download, args=(url, tmp_path / "a", DIGEST)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() == BODY
    assert len(server.requests) == 1


# --- extract: what an archive may be ------------------------------------------------------------------


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
        fetching.extract(archive, folder, max_bytes, **options)
    assert str(archive) in str(caught.value)
    lock = folder.parent / ".out.lock"
    assert [path for path in sorted(archive.parent.rglob("*")) if path != lock] == [p for p in before if p != lock]


@pytest.mark.parametrize("kind", WRITERS)
def test_an_archive_is_known_by_what_is_in_it(tmp_path, kind):
    archive = WRITERS[kind](tmp_path / "archive.jpg")
    total = sum(map(len, TREE.values()))
    folder = fetching.extract(archive, tmp_path / "new" / "out", max_bytes=total)
    assert folder == tmp_path / "new" / "out"
    assert files_in(folder) == TREE
    assert left(folder.parent) == ["out"]
    refused(archive, f"more than max_bytes={total - 1:,} bytes", total - 1)


def test_old_tars_long_names_and_github_s_heading_are_read(tmp_path):
    long = "/".join(["folder" * 8] * 6) + "/é.txt"
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = write_tar(tmp_path / f"{format}.tar", {long: b"abc"}, format=format, pax_headers={"comment": "f00"})
        assert files_in(fetching.extract(archive, tmp_path / str(format), 3)) == {long: b"abc"}
    old = bytearray(entry("a.txt", b"abc")[0].tobuf(tarfile.USTAR_FORMAT))
    old[257:265] = bytes(8)  # before POSIX there was no "ustar" in a header
    old[148:156] = b"%06o\0 " % (sum(old[:148]) + 8 * 32 + sum(old[156:]))
    (tmp_path / "v7").write_bytes(bytes(old) + b"abc".ljust(512, b"\0") + bytes(1024))
    assert files_in(fetching.extract(tmp_path / "v7", tmp_path / "old", 3)) == {"a.txt": b"abc"}


def test_a_tar_whose_last_file_is_a_zip_is_a_tar(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", {"b": b"b"}).read_bytes()
    archive = write_tar(tmp_path / "outer", {"inner.zip": inner})
    assert zipfile.is_zipfile(archive)  # it looks at the end
    assert files_in(fetching.extract(archive, tmp_path / "out", 10**6)) == {"inner.zip": inner}


def test_folders_come_out_also_empty_ones_and_twice_is_no_harm(tmp_path):
    zipped = write_zip(tmp_path / "z", {"a/": b"", "a/b/": b"", "./c/d": b"d"})
    tarred = write_tar(
        tmp_path / "t",
        [entry("./", type=tarfile.DIRTYPE), *[entry("a/b", type=tarfile.DIRTYPE)] * 2, entry("./c/d", b"d")],
    )
    for archive in (zipped, tarred):
        folder = fetching.extract(archive, tmp_path / f"out of {archive.name}", 1)
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == ["a", "a/b", "c", "c/d"]


def test_a_backslash_in_a_name_counts_as_a_slash(tmp_path):
    zipped, tarred = write_zip(tmp_path / "z", {"a\\b.txt": b"b"}), write_tar(tmp_path / "t", {"a\\b.txt": b"b"})
    for archive in (zipped, tarred):
        assert files_in(fetching.extract(archive, tmp_path / f"out of {archive.name}", 1)) == {"a/b.txt": b"b"}


def test_an_empty_folder_is_filled_and_any_other_place_refused_untouched(tmp_path):
    archive = write_zip(tmp_path / "z", {"b.txt": b"b"})
    (tmp_path / "empty").mkdir()
    assert files_in(fetching.extract(archive, tmp_path / "empty", 1)) == {"b.txt": b"b"}
    (tmp_path / "file").write_text("mine")
    for place in ("empty", "file"):
        with pytest.raises(ValueError, match=f"{place} is there and not empty"):
            fetching.extract(archive, tmp_path / place, 1)
    assert files_in(tmp_path / "empty") == {"b.txt": b"b"}
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("kind", ["zip stored", "tar.gz"])
def test_only_what_is_kept_comes_out_and_counts(tmp_path, kind):
    asked = []
    archive = WRITERS[kind](tmp_path / "archive")
    keep = lambda name: asked.append(name) or name.endswith(".txt")  # noqa: E731
    folder = fetching.extract(archive, tmp_path / "out", max_bytes=5, keep=keep)
    assert files_in(folder) == {"readme.txt": b"hello"}
    assert not (folder / "photos").exists()
    assert asked == list(TREE)
    refused(archive, "no file in it that `keep` says yes to", keep=lambda name: False)


def test_folders_are_not_asked_about(tmp_path):
    archive = write_zip(tmp_path / "z", {"a/": b"", "b/": b"", "b/c": b"c"})
    folder = fetching.extract(archive, tmp_path / "out", 1, keep={"b/c": True}.__getitem__)
    assert sorted(path.name for path in folder.rglob("*")) == ["b", "c"]


def test_an_error_of_the_caller_s_own_leaves_nothing(tmp_path):
    archive = write_tar(tmp_path / "t", {"a": b"a", "b": b"b"})

    def keep(name):
        if name == "b":
            raise KeyError(name)
        return True

    with pytest.raises(KeyError):
        fetching.extract(archive, tmp_path / "out", 10, keep=keep)
    assert left(tmp_path) == ["t"]


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    (tmp_path / ".out.unfinished" / "half").mkdir(parents=True)
    archive = write_zip(tmp_path / "z", {"b.txt": b"b"})
    assert files_in(fetching.extract(archive, tmp_path / "out", 1)) == {"b.txt": b"b"}
    assert left(tmp_path) == ["out", "z"]


@pytest.mark.parametrize("max_bytes", [-1, 1.0, None, True])
def test_a_limit_that_is_no_number_of_bytes_is_refused(tmp_path, max_bytes):
    with pytest.raises(ValueError, match="max_bytes="):
        fetching.extract(write_zip(tmp_path / "z", {"a": b""}), tmp_path / "out", max_bytes)


# --- extract: what means harm -------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("type", "name", "target"),
    [
        (tarfile.SYMTYPE, "link", "/etc/passwd"),
        (tarfile.SYMTYPE, "link", "../secret"),
        (tarfile.SYMTYPE, "a/b/link", "../../../secret"),
        (tarfile.SYMTYPE, "a/link", "b/../../../secret"),
        (tarfile.SYMTYPE, "link", "..\\secret"),
        (tarfile.SYMTYPE, "link", "C:\\secret"),
        (tarfile.LNKTYPE, "link", "/etc/passwd"),
        (tarfile.LNKTYPE, "a/link", "../secret"),
    ],
)
def test_a_link_that_leaves_the_folder_is_refused(tmp_path, type, name, target):
    (tmp_path / "secret").write_text("secret")
    refused(write_tar(tmp_path / "t", [entry("a.txt"), entry(name, type=type, linkname=target)]), "a link that leaves")
    if type == tarfile.SYMTYPE:
        refused(
            write_zip(tmp_path / "z", {"a.txt": b"", mode_of(stat.S_IFLNK, name=name): target}), "a link that leaves"
        )


def test_links_to_files_inside_become_copies_of_them(tmp_path):
    links = [
        entry("a/soft", type=tarfile.SYMTYPE, linkname="../b/file"),  # what it points at comes later
        entry("b/file", b"abc"),
        entry("hard", type=tarfile.LNKTYPE, linkname="./b/file"),
        entry("of a link", type=tarfile.SYMTYPE, linkname="a/soft"),
    ]
    archives = [
        write_tar(tmp_path / "t", links, "w:gz"),
        write_zip(
            tmp_path / "z",
            {
                mode_of(stat.S_IFLNK, name="a/soft"): "../b/file",
                "b/file": b"abc",
                "hard": b"abc",
                mode_of(stat.S_IFLNK, name="of a link"): "a/soft",
            },
        ),
    ]
    for archive in archives:
        folder = fetching.extract(archive, tmp_path / f"out of {archive.name}", 12)
        assert files_in(folder) == dict.fromkeys(["a/soft", "b/file", "hard", "of a link"], b"abc")
        assert not any(path.is_symlink() for path in folder.rglob("*"))
        refused(archive, "more than max_bytes=11 bytes", 11)  # copies count


@pytest.mark.parametrize("target", [".", ""])
def test_a_link_to_the_folder_itself_is_refused(tmp_path, target):
    entries = [entry("file"), entry("link", type=tarfile.SYMTYPE, linkname=target)]
    refused(write_tar(tmp_path / "t", entries), "'link' is a link to '', which is no file")


@pytest.mark.parametrize("target", ["folder", "missing", "link", "other link", "left out"])
def test_a_link_to_what_is_no_file_of_the_archive_is_refused(tmp_path, target):
    entries = [
        entry("folder/file"),
        entry("left out"),
        entry("link", type=tarfile.SYMTYPE, linkname=target),
        entry("other link", type=tarfile.SYMTYPE, linkname="link"),
    ]
    keep = lambda name: name != "left out"  # noqa: E731
    refused(write_tar(tmp_path / "t", entries), "which is no file among those unpacked", keep=keep)


def test_nothing_is_written_through_a_link(tmp_path):
    entries = [entry("in/file"), entry("link", type=tarfile.SYMTYPE, linkname="in"), entry("link/file", b"x")]
    refused(write_tar(tmp_path / "t", entries), "'link/file' would overwrite 'link'")


@pytest.mark.parametrize("type", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"Z"])
def test_devices_pipes_and_unknown_kinds_are_refused_kept_or_not(tmp_path, type):
    archive = write_tar(tmp_path / "t", [entry("a.txt"), entry("odd", type=type)])
    refused(archive, "'odd' is (a device or pipe|of an unknown kind b'Z')", keep=lambda name: name == "a.txt")


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
    assert (
        files_in(fetching.extract(tarred, tmp_path / "out", 1, keep=lambda name: next(kept) == 0)).popitem()[1] == b"1"
    )


def test_an_encrypted_file_is_refused(tmp_path):
    archive = write_zip(tmp_path / "z", {"a.txt": b"abc"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flags in the file's own header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    archive.write_bytes(data)
    refused(archive, "'a.txt' is encrypted")


def test_a_bomb_is_refused_by_what_its_headers_say_before_a_byte_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching._Unpacking, "put", lambda *_: pytest.fail("something was unpacked"))
    zeros = bytes(20_000_000)
    archives = [
        write_zip(tmp_path / "z", {"zeros": zeros}, zipfile.ZIP_DEFLATED),
        write_tar(tmp_path / "gz", {"zeros": zeros}, "w:gz"),
        write_tar(tmp_path / "sparse", [entry("a")], pax_headers={}),
    ]
    info = entry("holes")[0]
    info.size, info.pax_headers = (
        512,
        {"GNU.sparse.size": str(10**12), "GNU.sparse.map": "0,0", "GNU.sparse.numblocks": "1"},
    )
    with tarfile.open(archives[2], "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info, io.BytesIO(bytes(512)))
    for archive in archives:
        assert archive.stat().st_size < 40_000
        refused(archive, "more than max_bytes=1,000,000 bytes", 1_000_000)


def test_bytes_are_counted_as_they_are_written_since_headers_may_lie(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "z", {"a.txt": b"abc"})
    written = []
    count = fetching._Unpacking._check_size
    monkeypatch.setattr(fetching._Unpacking, "_check_size", lambda self, n: written.append(n) or count(self, n))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: io.BytesIO(bytes(5 * 2**20)))
    refused(archive, "more than max_bytes=2,000,000 bytes", 2_000_000)
    assert written == [3, 2**20, 2**21]
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
    refused(tmp_path / "z", "more than max_bytes=999,999 bytes", 999_999)
    refused(tmp_path / "z", "damaged", 1_000_000)  # zipfile sees that the headers differ


def test_more_members_than_any_collection_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_MEMBERS", 3)
    for archive in (write_zip(tmp_path / "z", TREE), write_tar(tmp_path / "t", TREE)):
        refused(archive, "more than 3 members", keep=lambda name: name == "readme.txt")
    assert files_in(fetching.extract(write_tar(tmp_path / "u", dict(list(TREE.items())[:3])), tmp_path / "out", 10**6))


def test_a_header_longer_than_memory_is_not_read(tmp_path):
    header = entry("././@LongLink", type=tarfile.GNUTYPE_LONGNAME)[0]
    header.size = 2**26
    with gzip.open(tmp_path / "t", "wb", 1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**26))
    refused(tmp_path / "t", "a header of 67,108,[0-9]+ bytes")


def test_headers_within_headers_without_end_are_refused(tmp_path):
    header = entry("x", type=tarfile.XHDTYPE)[0].tobuf(tarfile.USTAR_FORMAT)
    with gzip.open(tmp_path / "t", "wb") as file:
        file.write(header * 5000)
    refused(tmp_path / "t", "damaged")


def test_bytes_without_end_after_the_end_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_MOST_PADDING", 2**21)
    with gzip.open(tmp_path / "t", "wb", 1) as file:
        file.write(write_tar(tmp_path / "plain", {"a": b"a"}).read_bytes() + bytes(2**22))
    refused(tmp_path / "t", "goes on for more than 2,097,152 bytes after its end mark")


# --- extract: what is broken, and a disk that is full -------------------------------------------------


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
    refused(archive, "damaged: CRC check failed")


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
            folder = fetching.extract(tmp_path / "broken", tmp_path / f"out {round}", 10_000)
        except ValueError as error:
            n_refused += 1
            assert str(tmp_path / "broken") in str(error)
            assert not (tmp_path / f"out {round}").exists()
        else:
            assert sum(map(len, files_in(folder).values())) <= 10_000
            shutil.rmtree(folder)
        assert left(tmp_path) == ["broken", "whole"]
    assert n_refused > 0


@pytest.mark.parametrize("data", [b"", b"some text" * 100, b"Rar!\x1a\x07\x00" + bytes(600), bytes(10240)])
def test_what_is_no_archive_is_said_so(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", r"is no archive that is read \(zip; tar, also with gzip, bzip2, xz\)$")


def test_what_is_no_archive_but_a_web_page_is_said_so_and_a_compressed_file_is_no_tar(tmp_path):
    (tmp_path / "a.zip").write_bytes(b" <HTML><title>Sign in" + bytes(600))
    refused(tmp_path / "a.zip", "but a web page")
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        (tmp_path / "a.tar").write_bytes(compress(BODY))
        refused(tmp_path / "a.tar", "damaged, or not to be trusted")
    with pytest.raises(FileNotFoundError):
        fetching.extract(tmp_path / "missing.zip", tmp_path / "out", 1)


def test_an_archive_without_a_file_is_refused(tmp_path):
    refused(write_zip(tmp_path / "z", {}), "there is no file in it$")
    refused(write_tar(tmp_path / "t", [entry("a", type=tarfile.DIRTYPE)]), "there is no file in it$")


def test_a_disk_too_full_for_what_is_inside_is_said_before(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "z", {"zeros": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(fetching.shutil, "disk_usage", disk_with(10**7 + fetching.MARGIN - 1))
    monkeypatch.setattr(fetching._Unpacking, "put", lambda *_: pytest.fail("something was unpacked"))
    with pytest.raises(fetching.NotEnoughSpace, match=r"out needs 10\.0 MB more"):
        fetching.extract(archive, tmp_path / "out", 10**8)
    assert left(tmp_path) == ["z"]


def test_a_disk_that_fills_while_an_archive_is_unpacked_is_left_as_it_was(tmp_path, monkeypatch):
    archive = write_tar(tmp_path / "t", {"zeros": bytes(10**7)}, "w:gz")
    free = itertools.chain([fetching.MARGIN + 10**6], itertools.repeat(fetching.MARGIN - 1))
    monkeypatch.setattr(fetching, "_LOOK_EVERY", 2**20)
    monkeypatch.setattr(fetching, "free_bytes", lambda folder: next(free))
    with pytest.raises(fetching.NotEnoughSpace):
        fetching.extract(archive, tmp_path / "out", 10**8)
    assert left(tmp_path) == ["t"]


def test_a_large_file_in_a_tar_needs_its_space_before_a_byte_of_it_is_written(tmp_path, monkeypatch):
    archive = write_tar(tmp_path / "t", {"a": b"abc", "zeros": bytes(10**7)}, "w:gz")
    written = []
    put = fetching._Unpacking.put
    monkeypatch.setattr(fetching._Unpacking, "put", lambda *each: written.append(each[2]) or put(*each))
    monkeypatch.setattr(fetching, "_LOOK_EVERY", 2**20)
    monkeypatch.setattr(fetching.shutil, "disk_usage", disk_with(10**7 + fetching.MARGIN - 1))
    with pytest.raises(fetching.NotEnoughSpace, match=r"out needs 10\.0 MB more"):
        fetching.extract(archive, tmp_path / "out", 10**8)
    assert (written, left(tmp_path)) == (["a"], ["t"])
    monkeypatch.setattr(fetching.shutil, "disk_usage", disk_with(10**7 + fetching.MARGIN))
    fetching.extract(archive, tmp_path / "out", 10**8)


# --- manifest -----------------------------------------------------------------------------------------


def test_a_manifest_names_each_file_with_its_bytes_and_digest_sorted(tmp_path):
    for name in ("b/c.txt", "b-c.txt", "B", "b/.hidden", "b/d/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"abc" if name == "b/c.txt" else b"")
    (tmp_path / "empty").mkdir()
    table = fetching.manifest(tmp_path)
    assert list(table.columns) == ["file", "bytes", "sha256"]
    assert table["file"].tolist() == ["B", "b-c.txt", "b/.hidden", "b/c.txt", "b/d/e"]
    assert table["bytes"].tolist() == [0, 0, 0, 3, 0]
    assert table["sha256"].tolist() == [EMPTY, EMPTY, EMPTY, ABC, EMPTY]
    lines = f"{EMPTY}  B\n{EMPTY}  b-c.txt\n{EMPTY}  b/.hidden\n{ABC}  b/c.txt\n{EMPTY}  b/d/e\n"
    assert fetching.digest_of_manifest(table) == hashlib.sha256(lines.encode()).hexdigest()


def test_a_manifest_of_nothing_has_no_row_and_the_digest_of_nothing(tmp_path):
    table = fetching.manifest(tmp_path)
    assert (list(table.columns), len(table), table["bytes"].dtype) == (["file", "bytes", "sha256"], 0, "int64")
    assert fetching.digest_of_manifest(table) == EMPTY


def test_the_digest_depends_on_names_and_contents_alone(tmp_path):
    def digest(files, folder):
        for name, data in files.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_bytes(data)
        return fetching.digest_of_manifest(fetching.manifest(tmp_path / folder))

    first = digest({"é.txt": b"1", "b/c": b"2"}, "first")
    assert digest({"b/c": b"2", "e\u0301.txt": b"1"}, "another order, and é spelled in two letters") == first
    assert digest({"é.txt": b"2", "b/c": b"1"}, "swapped") != first
    assert digest({"é.txt": b"1", "b/d": b"2"}, "renamed") != first
    assert digest({"é.txt": b"1", "b/c": b"2", "d": b""}, "one more") != first
    table = fetching.manifest(tmp_path / "first")
    assert fetching.digest_of_manifest(table[::-1]) == first
    assert fetching.digest_of_manifest(pd.read_csv(io.StringIO(table.to_csv(index=False)))) == first


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not on this system")
def test_the_digest_is_that_of_the_list_sha256sum_writes(tmp_path):
    for name, data in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    table = fetching.manifest(tmp_path)
    written = subprocess.run(["sha256sum", *table["file"]], cwd=tmp_path, capture_output=True, check=True).stdout
    assert fetching.digest_of_manifest(table) == hashlib.sha256(written).hexdigest()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes in folders")
def test_what_is_no_file_is_refused_and_a_link_to_a_file_is_that_file(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_bytes(b"abc")
    (tmp_path / "in" / "link").symlink_to("file")
    assert fetching.manifest(tmp_path / "in")["sha256"].tolist() == [ABC, ABC]
    for name, make in {
        "loop": lambda path: path.symlink_to(".", target_is_directory=True),
        "gone": lambda path: path.symlink_to("nowhere"),
        "pipe": os.mkfifo,
    }.items():
        make(tmp_path / "in" / name)
        with pytest.raises(ValueError, match=name):
            fetching.manifest(tmp_path / "in")
        (tmp_path / "in" / name).unlink()
    for place in ("in/file", "nowhere"):
        with pytest.raises(ValueError, match="is no folder"):
            fetching.manifest(tmp_path / place)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"file": ["a"]}, "no column sha256; it has: file"),
        ({"file": ["a", "a"], "sha256": [ABC, EMPTY]}, "'a' comes twice"),
        ({"file": ["a"], "sha256": ["abc"]}, "sha256 of 'a' is 'abc'"),
        ({"file": ["a"], "sha256": [ABC.upper()]}, "64 hexadecimal digits"),
        ({"file": [f"a\n{ABC}  b"], "sha256": [ABC]}, "without line break"),
        ({"file": [""], "sha256": [ABC]}, "file ''"),
    ],
)
def test_a_table_that_is_no_manifest_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        fetching.digest_of_manifest(pd.DataFrame(table))
