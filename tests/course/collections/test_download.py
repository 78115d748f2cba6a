"""download: files from a server that misbehaves on demand. All on this machine."""

import contextlib
import errno
import hashlib
import io
import random
import re
import socket
import subprocess
import sys
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from course.collections import download as module
from course.collections.download import Unavailable, download, require_space

BODY = random.Random(0).randbytes(200_000)
DIGEST = hashlib.sha256(BODY).hexdigest()
OTHER = random.Random(1).randbytes(200_000)
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
    monkeypatch.setattr(module, "time", types.SimpleNamespace(sleep=waits.append))
    return waits


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def disk_with(free):
    return lambda place: types.SimpleNamespace(free=free)


# --- the plain cases ----------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", [DIGEST, DIGEST.upper(), f"md5:{hashlib.md5(BODY).hexdigest()}", None])
def test_a_file_comes_whole_into_a_folder_that_is_made_and_is_not_asked_for_again(server, tmp_path, digest):
    url = server.put("/a", file(BODY))
    for _ in range(2):
        path = download(url, tmp_path / "new" / "a.bin", digest)
        assert path == tmp_path / "new" / "a.bin"
        assert path.read_bytes() == BODY
    assert left(path.parent) == ["a.bin"]
    assert [request.headers["Accept-Encoding"] for request in server.requests] == ["identity"]


def test_a_file_that_is_there_with_another_digest_is_replaced_only_by_the_right_one(server, tmp_path):
    (tmp_path / "a").write_bytes(b"of last year")
    url = server.put("/a", status(404), file(BODY))
    with pytest.raises(Unavailable):
        download(url, tmp_path / "a", DIGEST)
    assert (tmp_path / "a").read_bytes() == b"of last year"
    assert download(url, tmp_path / "a").read_bytes() == b"of last year"  # no digest, no opinion
    assert download(url, tmp_path / "a", DIGEST).read_bytes() == BODY


def test_an_empty_file_is_a_file(server, tmp_path):
    assert download(server.put("/a", file(b"")), tmp_path / "a", EMPTY).read_bytes() == b""
    assert left(tmp_path) == ["a"]


@pytest.mark.parametrize("arguments", [{"url": "ftp://host/a"}, {"url": "host/a"}, {"path": "."}])
def test_another_address_and_a_folder_are_refused(tmp_path, arguments):
    with pytest.raises(ValueError, match="expected an http or https address and the path of a file, got"):
        download(**{"url": "http://127.0.0.1:1/a", "path": tmp_path / "a", **arguments})


# --- going on where it broke off ----------------------------------------------------------------------


def test_a_body_that_was_cut_off_is_gone_on_with_behind_its_last_byte(server, tmp_path, waits):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY, cut=50_000), file(BODY))
    assert download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-", "bytes=120000-"]
    assert [request.headers.get("If-Range") for request in server.requests] == [None, '"one"', '"one"']
    assert waits == [1, 2]


def test_a_later_call_goes_on_with_the_part_of_an_earlier_one(server, tmp_path):
    url = server.put("/a", file(BODY, etag=None, modified=DATE, cut=70_000), file(BODY, etag=None, modified=DATE))
    with pytest.raises(Unavailable, match="IncompleteRead"):
        download(url, tmp_path / "a", retries=0)
    assert left(tmp_path) == ["a.part", "a.part.json"]
    assert (tmp_path / "a.part").read_bytes() == BODY[:70_000]
    assert download(url, tmp_path / "a", retries=0).read_bytes() == BODY
    assert (server.ranges()[1], server.requests[1].headers["If-Range"]) == ("bytes=70000-", DATE)
    assert left(tmp_path) == ["a"]


def test_a_server_that_knows_no_ranges_sends_all_again(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY, ranges=False))
    assert download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-"]


def test_a_file_that_changed_in_between_is_not_mixed_with_its_predecessor(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(OTHER, etag='"two"'))
    assert download(url, tmp_path / "a").read_bytes() == OTHER
    assert len(server.requests) == 2  # If-Range: the server itself sees that the file is another


@pytest.mark.parametrize(
    "changed",
    [
        {"etag": '"two"'},
        {"etag": None, "modified": "Thu, 22 Oct 2015 07:28:00 GMT"},
        {"body": OTHER + b"more"},
        {"Content-Range": "bytes 69999-199999/200000"},
        {"Content-Range": "a few"},
        {"Content-Range": None},
    ],
)
def test_a_range_that_is_not_the_rest_of_the_same_file_is_not_taken(server, tmp_path, changed):
    changed = {"body": OTHER, "modified": DATE, **changed}
    changed["body"] = body = changed["body"]
    before = file(BODY, modified=DATE, cut=70_000)
    url = server.put("/a", before, file(**changed, heeds_if_range=False), file(body))
    assert download(url, tmp_path / "a").read_bytes() == body
    assert server.ranges() == [None, "bytes=70000-", None]


def test_a_range_under_the_same_weak_etag_but_of_another_day_is_not_taken(server, tmp_path):
    # If-Range names the date, since a weak ETag may not be named; this server does not heed it.
    old = file(BODY, etag='W/"same"', modified=DATE, cut=70_000)
    new = {"body": OTHER, "etag": 'W/"same"', "modified": "Thu, 22 Oct 2015 07:28:00 GMT"}
    url = server.put("/a", old, file(**new, heeds_if_range=False))
    assert download(url, tmp_path / "a").read_bytes() == OTHER
    assert server.ranges() == [None, "bytes=70000-", None]


@pytest.mark.parametrize("etag", [None, 'W/"one"'])
def test_without_a_strong_validator_every_try_begins_anew(server, tmp_path, etag):
    url = server.put("/a", file(BODY, etag=etag, cut=70_000), file(BODY, etag=etag))
    assert download(url, tmp_path / "a", DIGEST).read_bytes() == BODY
    assert server.ranges() == [None, None]


def test_a_range_beyond_the_end_begins_anew(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY[:60_000]), file(BODY[:60_000]))
    assert download(url, tmp_path / "a").read_bytes() == BODY[:60_000]
    assert server.ranges() == [None, "bytes=70000-", None]


def test_a_server_that_sends_ranges_in_pieces_is_asked_for_each(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY, longest=50_000))
    assert download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-", "bytes=120000-", "bytes=170000-"]
    url = server.put("/b", file(BODY, cut=70_000), file(BODY, longest=50_000))
    with pytest.raises(Unavailable, match="tried 2 times: cut off after 120,000 of 200,000 bytes"):
        download(url, tmp_path / "b", retries=1)


def test_a_part_that_is_whole_but_was_not_moved_costs_one_byte(server, tmp_path):
    url = server.put("/a", file(BODY, cut=70_000), file(BODY))
    with pytest.raises(Unavailable):
        download(url, tmp_path / "a", retries=0)
    (tmp_path / "a.part").write_bytes(BODY)
    assert download(url, tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None, "bytes=199999-"]


@pytest.mark.parametrize("page", ["", "no json", "[]", "5", '{"url": "http://elsewhere/a", "validator": "x"}', None])
def test_a_part_of_which_nothing_is_known_is_dropped(server, tmp_path, page):
    (tmp_path / "a.part").write_bytes(b"of something else")
    if page is not None:
        (tmp_path / "a.part.json").write_text(page)
    assert download(server.put("/a", file(BODY)), tmp_path / "a").read_bytes() == BODY
    assert server.ranges() == [None]
    assert left(tmp_path) == ["a"]


def test_a_killed_process_leaves_a_part_and_nothing_under_the_name(server, tmp_path):
    url = server.put("/a", file(BODY, cut=150_000, then=server.released.wait), file(BODY))
    program = f"from course.collections.download import download; download({url!r}, {str(tmp_path / 'a')!r})"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).resolve().parents[3])
    while not (tmp_path / "a.part").exists() or not (tmp_path / "a.part").stat().st_size:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "a").exists()
    assert download(url, tmp_path / "a", DIGEST).read_bytes() == BODY
    assert 0 < int(server.ranges()[1][6:-1]) <= 150_000


# --- what is not the file -----------------------------------------------------------------------------


def test_a_wrong_digest_is_named_beside_the_right_one_and_nothing_is_left(server, tmp_path):
    url = server.put("/a", file(OTHER))
    with pytest.raises(ValueError, match="is not the expected file") as caught:
        download(url, tmp_path / "a", DIGEST)
    for word in (url, DIGEST, hashlib.sha256(OTHER).hexdigest()):
        assert word in str(caught.value)
    assert len(server.requests) == 1
    assert left(tmp_path) == []


def test_a_resumed_part_with_a_wrong_digest_is_fetched_anew_once(server, tmp_path):
    # The server says it is the same file, and it is not.
    url = server.put("/a", file(OTHER, cut=70_000), file(BODY))
    assert download(url, tmp_path / "a", DIGEST).read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-", None]
    url = server.put("/b", file(OTHER, cut=70_000), file(OTHER))
    with pytest.raises(ValueError, match=DIGEST):
        download(url, tmp_path / "b", DIGEST)
    assert server.ranges()[3:] == [None, "bytes=70000-", None]
    assert left(tmp_path) == ["a"]


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_web_page_instead_of_the_file_ends_the_tries_and_leaves_what_came_before(server, tmp_path, digest):
    sign_in = status(200, b"<!DOCTYPE html>", **{"Content-Type": "text/html; charset=utf-8"})
    url = server.put("/a", file(BODY, cut=70_000), sign_in, file(BODY))
    with pytest.raises(Unavailable, match="expected a file, got a web page, perhaps a sign-in"):
        download(url, tmp_path / "a", digest)
    assert (tmp_path / "a.part").read_bytes() == BODY[:70_000]
    assert download(url, tmp_path / "a", digest).read_bytes() == BODY
    assert server.ranges() == [None, "bytes=70000-", "bytes=70000-"]


def test_a_body_compressed_on_the_way_is_refused_but_for_an_archive_that_is_called_one(server, tmp_path):
    coded = {"Content-Encoding": "gzip"}
    with pytest.raises(Unavailable, match="the server compresses it on the way"):
        download(server.put("/a.csv", file(BODY, **coded)), tmp_path / "a.csv")
    assert left(tmp_path) == []
    url = server.put("/a.tar.gz", file(BODY, cut=70_000, **coded), file(BODY, **coded))
    assert download(url, tmp_path / "a", DIGEST).read_bytes() == BODY


# --- what may pass, and what does not -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "phrase"), [(401, "Unauthorized"), (403, "Forbidden"), (404, "Not Found"), (410, "Gone")]
)
def test_a_refusal_is_not_asked_again(server, tmp_path, waits, code, phrase):
    url = server.put("/a", status(code, b"<html>no"))
    with pytest.raises(Unavailable, match=f"{url} could not be fetched: the server answered {code} {phrase}"):
        download(url, tmp_path / "a", DIGEST)
    assert (len(server.requests), waits, left(tmp_path)) == (1, [], [])


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(server, tmp_path, waits, code):
    url = server.put("/a", status(code), status(code), file(BODY))
    assert download(url, tmp_path / "a").read_bytes() == BODY
    assert waits == [1, 2]


def test_tries_end_with_the_last_cause_and_waits_grow_up_to_a_minute(server, tmp_path, waits):
    with pytest.raises(Unavailable, match="tried 9 times: the server answered 503 Service Unavailable"):
        download(server.put("/a", status(503)), tmp_path / "a", retries=8)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_tries_are_counted_from_the_last_one_that_brought_much(server, tmp_path, monkeypatch):
    url = server.put("/a", file(BODY, cut=40_000))
    with pytest.raises(Unavailable):
        download(url, tmp_path / "a", retries=1)
    assert server.ranges() == [None, "bytes=40000-"]
    monkeypatch.setattr(module, "WORTH_IT", 40_000)
    assert download(url, tmp_path / "a", retries=1).read_bytes() == BODY
    assert server.ranges()[2:] == ["bytes=80000-", "bytes=120000-", "bytes=160000-"]


def test_a_server_that_sends_the_same_beginning_for_ever_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WORTH_IT", 40_000)
    url = server.put("/a", file(BODY, ranges=False, cut=70_000))
    with pytest.raises(Unavailable, match="tried 3 times"):
        download(url, tmp_path / "a", retries=2)  # the first brought much, those after it nothing new


def test_a_server_that_stalls_is_left_and_gone_back_to(server, tmp_path):
    url = server.put("/a", file(BODY, cut=150_000, then=server.released.wait), file(BODY))
    assert download(url, tmp_path / "a", timeout=0.3).read_bytes() == BODY
    first, second = server.ranges()
    assert first is None
    assert 0 < int(second[6:-1]) <= 150_000
    stalled = server.put("/b", lambda request: server.released.wait())
    with pytest.raises(Unavailable, match="timed out"):
        download(stalled, tmp_path / "b", retries=0, timeout=0.1)


def test_a_host_that_nobody_listens_on_is_said_so(tmp_path, waits):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        with pytest.raises(Unavailable, match=r"tried 2 times: .*Connection refused"):
            download(url, tmp_path / "a", retries=1)
    assert waits == [1]


# --- redirects, unknown lengths -----------------------------------------------------------------------


def test_redirects_are_followed_also_with_a_part(server, tmp_path):
    url = server.put("/a", status(302, Location="/b"))
    server.put("/b", status(307, Location=server.url + "/c"))
    server.put("/c", file(BODY, cut=70_000), file(BODY))
    assert download(url, tmp_path / "a").read_bytes() == BODY
    assert [request.path for request in server.requests] == ["/a", "/b", "/c"] * 2
    assert server.ranges()[-1] == "bytes=70000-"


def test_redirects_in_a_circle_and_out_of_the_web_end(server, tmp_path):
    server.put("/a", status(301, Location="/b"))
    for answer in (status(301, Location="/a"), status(302, Location="file:///etc/hostname")):
        server.put("/b", answer)
        with pytest.raises(Unavailable):
            download(server.url + "/a", tmp_path / "a", retries=0)
    assert left(tmp_path) == []


@pytest.mark.parametrize(("first", "second", "message"), [("https", "http", "not encrypted"), ("http", "https", "404")])
def test_a_redirect_may_gain_encryption_but_not_lose_it(tmp_path, monkeypatch, first, second, message):
    def send(adapter, request, **_):  # in place of the network: no certificate is needed
        response = requests.Response()
        response.status_code, response.url, response.request = 302, request.url, request
        response.headers["Location"] = f"{second}://host/b"
        response.raw = io.BytesIO()
        if request.url.endswith("/b"):
            response.status_code = 200 if second == "http" else 404
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(Unavailable, match=message):
        download(f"{first}://host/a", tmp_path / "a")
    assert left(tmp_path) == []


def test_a_body_of_unknown_length_is_taken_and_its_cut_off_chunks_are_noticed(server, tmp_path):
    assert download(server.put("/a", chunked(BODY)), tmp_path / "a").read_bytes() == BODY
    url = server.put("/b", chunked(BODY[:100_000], whole=False), file(BODY), file(BODY))
    assert download(url, tmp_path / "b").read_bytes() == BODY
    until_it_closes = server.put("/c", lambda request: send(request, 200, {}, BODY))
    assert download(until_it_closes, tmp_path / "c").read_bytes() == BODY


# --- the disk -----------------------------------------------------------------------------------------


def test_a_disk_too_full_is_said_before_anything_is_fetched_and_only_the_rest_needs_space(
    server, tmp_path, monkeypatch
):
    needed = len(BODY) + module.MARGIN
    monkeypatch.setattr(module.shutil, "disk_usage", disk_with(needed - 1))
    with pytest.raises(OSError, match=r"expected 105\.1 MB free for a, got 105\.1 MB") as caught:
        download(server.put("/a", file(BODY)), tmp_path / "a")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))
    assert left(tmp_path) == []
    monkeypatch.setattr(module.shutil, "disk_usage", disk_with(needed))
    url = server.put("/a", file(BODY, cut=70_000), file(BODY))
    with pytest.raises(Unavailable):
        download(url, tmp_path / "a", retries=0)
    monkeypatch.setattr(module.shutil, "disk_usage", disk_with(needed - 70_000))
    assert download(url, tmp_path / "a").read_bytes() == BODY


def test_a_disk_that_fills_while_it_is_written_stops_the_fetch_and_keeps_the_part(server, tmp_path, monkeypatch):
    class Full:
        """A file on a disk that is full after 100,000 bytes."""

        def __init__(self, path, mode):
            self.file = open(path, mode)

        def write(self, chunk):
            if self.file.tell() > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(chunk)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

    monkeypatch.setattr(module, "open", Full, raising=False)
    url = server.put("/a", file(BODY))
    with pytest.raises(OSError, match="No space left"):
        download(url, tmp_path / "a")
    monkeypatch.undo()
    assert 100_000 < (tmp_path / "a.part").stat().st_size < len(BODY)
    assert download(url, tmp_path / "a", DIGEST).read_bytes() == BODY
    assert server.ranges()[1].startswith("bytes=1")


def test_space_is_that_of_the_disk_less_a_margin(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", disk_with(module.MARGIN + 7))
    require_space(tmp_path, 7, "a")
    with pytest.raises(OSError, match="free for a"):
        require_space(tmp_path, 8, "a")
