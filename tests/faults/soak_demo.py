"""Fifty people use the demo's page at the same time; nothing may fail, and its memory may not grow.

    python tests/faults/soak_demo.py --users 50 --seconds 300          (start `python -m course demo` first)
    python tests/faults/soak_demo.py --address http://127.0.0.1:8501

Each user is a session of its own that speaks Streamlit's protocol, as a browser does: it loads the page, then picks
photos, types words (markup and 10,000 letters among them), uploads images (broken ones among them) and changes method
and index, with a pause between. What counts as an error: a traceback on the page, a refusal where an answer is due, an
answer where a refusal is due, a connection that breaks. Linux, for the memory of the server (/proc).
"""

import argparse
import collections
import io
import itertools
import random
import re
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np
import requests
import websocket
from PIL import Image
from streamlit.proto import BackMsg_pb2, ForwardMsg_pb2

PICK, UPLOAD, WORDS = "a photo of the library", "an image of mine", "words"
TYPED = (
    "red shoes",
    "a blue striped shirt",
    "a watch on wood",
    "<script>alert(1)</script>",
    "鞋",
    "'; DROP TABLE x; --",
)
TOO_LONG = "x" * 10_000
LIMIT_S = 60  # for one answer


def uploads():
    """{name: (bytes, whether they are an image)}"""

    def as_bytes(mode, size, form):
        Image.new(mode, size, 7).save(buffer := io.BytesIO(), form)
        return buffer.getvalue()

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 300, 3)).astype(np.uint8))
    noise.save(buffer := io.BytesIO(), "JPEG")
    whole = buffer.getvalue()
    return {
        "whole.jpg": (whole, True), "grey.png": (as_bytes("L", (90, 70), "PNG"), True),
        "sixteen.png": (as_bytes("I;16", (60, 60), "PNG"), True), "dot.gif": (as_bytes("P", (1, 1), "GIF"), True),
        "print.jpg": (as_bytes("CMYK", (200, 100), "JPEG"), True), "cut.jpg": (whole[:2000], False),
        "empty.png": (b"", False), "text.jpg": (b"no image at all", False), "a.svg": (b"<svg/>", False),
        "bomb.png": (as_bytes("1", (9000, 9000), "PNG"), False), "flipped.jpg": (whole[:500] + b"\0" * 5000, None),
        "<img src=x onerror=alert(1)>.png": (as_bytes("RGBA", (50, 90), "PNG"), True),
    }  # fmt: skip


UPLOADS = uploads()


class User(threading.Thread):
    """One session: acts until `end`, and notes the seconds of each act and what went wrong."""

    def __init__(self, address, number, end, pause_s):
        super().__init__(daemon=True)
        self.address, self.end, self.pause_s, self.rng = address, end, pause_s, random.Random(number)
        self.seconds, self.errors, self.widgets, self.states = collections.defaultdict(list), [], {}, {}
        self.requests = itertools.count()

    def run(self):
        try:
            self.connect()
            self.timed("load", lambda: self.rerun({}), "Its nearest neighbours")
            while time.monotonic() < self.end:
                time.sleep(self.pause_s * self.rng.random() * 2)
                self.rng.choice([self.pick, self.pick, self.change, self.words, self.words, self.upload])()
        except Exception as error:  # whatever it is, it is what a visitor would have met
            self.errors.append(f"{type(error).__name__}: {error}"[:300])
        finally:
            self.socket.close()

    def connect(self):
        self.http = requests.Session()
        self.http.get(f"{self.address}/_stcore/health", timeout=LIMIT_S)
        cookie = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        stream = self.address.replace("http", "ws", 1) + "/_stcore/stream"
        self.socket = websocket.create_connection(
            stream, timeout=LIMIT_S, cookie=cookie, origin=self.address, subprotocols=["streamlit"]
        )

    # ------------------------------------------------------------------------------------------------ acts

    def pick(self):
        self.set("how", string_value=PICK)
        self.timed("switch", lambda: self.rerun(), "Its nearest neighbours")
        buttons = [key for key in self.widgets if key.startswith("pick ")]
        self.timed("pick", lambda: self.rerun(pressed=self.rng.choice(buttons)), "Its nearest neighbours")

    def change(self):
        key = self.rng.choice([key for key in self.widgets if key.startswith(("method", "index"))])
        options = self.widgets[key].options
        self.set(key, string_value=self.rng.choice(options))
        self.timed("change", lambda: self.rerun(), None)

    def words(self):
        self.set("how", string_value=WORDS)
        self.timed("switch", lambda: self.rerun(), "Words are understood")
        typed = self.rng.choice([*TYPED, TOO_LONG])
        self.set("typed", string_value=typed)
        due = "at most 500 are read" if typed == TOO_LONG else "The photos that fit best"
        self.timed("words", lambda: self.rerun(), due)

    def upload(self):
        self.set("how", string_value=UPLOAD)
        self.states.pop(self.widgets["upload"].id if "upload" in self.widgets else None, None)
        self.timed("switch", lambda: self.rerun(), "at most 20 MB")
        name = self.rng.choice(list(UPLOADS))
        data, is_image = UPLOADS[name]
        due = {True: "The photos most like it", False: "This file cannot be searched with", None: None}[is_image]
        self.timed("upload", lambda: self.send_file(name, data), due)

    def send_file(self, name, data):
        wanted = BackMsg_pb2.BackMsg()
        wanted.file_urls_request.request_id = str(next(self.requests))
        wanted.file_urls_request.file_names.append(name)
        wanted.file_urls_request.session_id = self.session
        self.socket.send_binary(wanted.SerializeToString())
        while not (message := self.receive()).HasField("file_urls_response"):
            pass
        (urls,) = message.file_urls_response.file_urls
        token = {"X-Xsrftoken": self.http.cookies.get("_streamlit_xsrf", "")}
        self.http.put(
            self.address + urls.upload_url, files={"file": (name, data)}, headers=token, timeout=LIMIT_S
        ).raise_for_status()
        state = BackMsg_pb2.BackMsg().rerun_script.widget_states.widgets.add(id=self.widgets["upload"].id)
        state.file_uploader_state_value.uploaded_file_info.add(
            name=name, size=len(data), file_id=urls.file_id, file_urls=urls
        )
        self.states[state.id] = state
        return self.rerun()

    # ------------------------------------------------------------------------------------------ the protocol

    def set(self, key, **value):
        state = BackMsg_pb2.BackMsg().rerun_script.widget_states.widgets.add(id=self.widgets[key].id, **value)
        self.states[state.id] = state

    def rerun(self, pressed=None):
        """Let the page run with what is set, and return all the text that it shows."""
        message = BackMsg_pb2.BackMsg()
        message.rerun_script.widget_states.widgets.extend(self.states.values())
        if pressed:
            message.rerun_script.widget_states.widgets.add(id=self.widgets[pressed].id, trigger_value=True)
        self.socket.send_binary(message.SerializeToString())
        shown, self.widgets = [], {}
        while True:
            message = self.receive()
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session = message.new_session.initialize.session_id
            elif (
                kind == "script_finished"
                and message.script_finished != ForwardMsg_pb2.ForwardMsg.FINISHED_EARLY_FOR_RERUN
            ):
                return "\n".join(shown)
            elif kind == "delta":
                self.note(message.delta, shown)

    def note(self, delta, shown):
        if delta.WhichOneof("type") != "new_element":
            return
        name = delta.new_element.WhichOneof("type")
        element = getattr(delta.new_element, name)
        if name == "exception":
            raise RuntimeError(f"traceback on the page: {element.type}: {element.message}")
        if hasattr(element, "body"):
            shown.append(re.sub(r"\\(.)", r"\1", element.body))
        if hasattr(element, "label"):
            shown.append(element.label)
        if getattr(element, "id", ""):
            self.widgets[element.id.rpartition("-")[2]] = element

    def receive(self):
        message = ForwardMsg_pb2.ForwardMsg()
        message.ParseFromString(self.socket.recv())
        return message

    def timed(self, name, act, due):
        start = time.monotonic()
        text = act()
        self.seconds[name].append(time.monotonic() - start)
        if due is not None and due not in text:
            self.errors.append(f"{name}: expected {due!r}, the page says {text[-300:]!r}")


def broken(address):
    """One visitor uploads each kind of image, broken ones and the kept finds of the fuzzer: how many, and errors."""
    kept = Path(__file__).resolve().parent / "cases" / "photo"
    files = UPLOADS | {path.name: (path.read_bytes(), path.name.startswith("sound")) for path in sorted(kept.iterdir())}
    user = User(address, 0, 0, 0)
    user.connect()
    user.rerun({})
    for name, (data, is_image) in files.items():
        user.set("how", string_value=UPLOAD)
        user.states.pop(user.widgets["upload"].id if "upload" in user.widgets else None, None)
        user.rerun()
        due = {True: "The photos most like it", False: "This file cannot be searched with", None: None}[is_image]
        user.timed(name, lambda name=name, data=data: user.send_file(name, data), due)
    user.socket.close()
    return len(files), user.errors


def memory_mb(port):
    """The resident memory of the process that listens on a port of this machine, MB; None where it is not known."""
    wanted = {
        fields[9]
        for table in ("/proc/net/tcp", "/proc/net/tcp6") if Path(table).exists()
        for fields in map(str.split, Path(table).read_text().splitlines()[1:])
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    }  # fmt: skip
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in {f"socket:[{inode}]" for inode in wanted}:
                return int(re.search(r"VmRSS:\s+(\d+)", (link.parent.parent / "status").read_text())[1]) / 1000
        except OSError:
            continue
    return None


def soak(address, n_users, seconds, pause_s=2.0, growth_mb=300):
    """Let them use it; returns (a table of acts, memory in MB minute by minute, errors)."""
    port = int(address.rpartition(":")[2])
    end = time.monotonic() + seconds
    users = [User(address, number, end, pause_s) for number in range(n_users)]
    for user in users:
        user.start()
        time.sleep(min(0.2, seconds / 10 / n_users))
    memory = []
    while any(user.is_alive() for user in users):
        memory.append(memory_mb(port))
        for user in users:
            user.join(max(0.01, seconds / 20 / n_users))
    errors = [error for user in users for error in user.errors]
    acts = collections.defaultdict(list)
    for user in users:
        for name, values in user.seconds.items():
            acts[name] += values
    known = [each for each in memory if each is not None]
    if len(known) > 4 and max(known[len(known) // 2 :]) > max(known[: len(known) // 2]) + growth_mb:
        errors.append(f"memory grew from {max(known[: len(known) // 2]):.0f} to {max(known[len(known) // 2 :]):.0f} MB")
    return acts, memory, errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--address", default="http://127.0.0.1:8501")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    acts, memory, errors = soak(given.address, given.users, given.seconds)
    n = sum(map(len, acts.values()))
    print(f"{given.users} users, {given.seconds:.0f} s: {n:,} runs of the page, {n / given.seconds:.1f} a second")
    for name, values in sorted(acts.items()):
        p95 = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
        print(f"  {name:<8}{len(values):>6,}  median {statistics.median(values):6.2f} s  95 % within {p95:6.2f} s")
    print("memory, MB: " + ", ".join("?" if each is None else f"{each:.0f}" for each in memory))
    n_files, more = broken(given.address)
    print(f"{n_files} kinds of images after that: {len(more)} errors")
    errors += more
    print(f"{len(errors)} errors")
    for error, count in collections.Counter(errors).most_common(20):
        print(f"  {count} x {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
