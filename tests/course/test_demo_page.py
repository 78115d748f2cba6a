"""The page of the demo in a headless Chromium, as a visitor uses it. $COURSE_DEMO_PICTURES: where pictures go."""

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import browser
import pytest
from PIL import Image

from course import ROOT
from course.demo import words

pytest.importorskip("streamlit", reason="the extra `demo` is not installed: python install.py demo")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.end_to_end,
    pytest.mark.skipif(browser.program() is None, reason="no Chromium here"),
]

RUNS = "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'notRunning'"
TEXT = "document.querySelector('[data-testid=stMain]').innerText"
PHOTOS = "[...document.querySelectorAll('[data-testid=stImage] img')]"


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_catalogue):
    """A working directory with the catalogue in its data folder."""
    place = tmp_path_factory.mktemp("page")
    shutil.copytree(tiny_catalogue, place / "data" / "catalogue")
    return place


@contextlib.contextmanager
def served(folder, *arguments):
    """The address of the page, started as a user starts it, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "course", "demo", *arguments, "--port", str(port)]
    environment = {key: value for key, value in os.environ.items() if key not in ("RETRIEVAL_DATA", "STREAMLIT")}
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 300
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            assert process.poll() is None and time.monotonic() < end, (folder / "server.log").read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def address(folder):
    if os.environ.get("COURSE_DEMO_ADDRESS"):
        yield os.environ["COURSE_DEMO_ADDRESS"]
        return
    with served(folder, "catalogue", "--split", "test") as found:
        yield found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(chromium, address):
    return visited(chromium, address)


def visited(chromium, address):
    chromium.look(1280, 900)
    chromium.problems.clear()
    chromium.open("about:blank")  # so that what is waited for is of the new page
    chromium.open(address)
    chromium.wait(f"{TEXT}.includes('Its nearest neighbours')", 120)
    settled(chromium)
    return chromium


def settled(page):
    """Wait until the page has run, and shows the same for a while: it is drawn bit by bit."""
    before, end = None, time.monotonic() + 60
    while time.monotonic() < end:
        shown = page.evaluate(f"[{RUNS}, {TEXT}, {PHOTOS}.length, {PHOTOS}.every(e => e.complete)]")
        if shown == before and shown[0] is False and shown[3]:
            return
        before = shown
        time.sleep(0.5)
    raise TimeoutError("the page does not come to rest")


def click(page, script):
    """Press the mouse in the middle of an element, once it stands still: what opens above it pushes it down."""
    page.wait(f"!!({script})")
    middle, before, end = f"(e => [e.x + e.width / 2, e.y + e.height / 2])({script}.getBoundingClientRect())", None, 60
    for _ in range(end * 5):
        page.evaluate(f"{script}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = page.evaluate(middle)
        is_hit = page.evaluate(f"(e => e.contains(document.elementFromPoint({x}, {y})))({script})")
        if before == (x, y) and is_hit:
            break
        before = x, y
        time.sleep(0.2)
    else:
        raise TimeoutError(f"after {end} s it moves still or lies under something: {script}")
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def labelled(text):
    return f"[...document.querySelectorAll('label')].find(e => e.innerText.trim() === {json.dumps(text)})"


def search_by(page, how):
    click(page, labelled(how))
    field = {"words": "[data-testid=stTextInput]", "an image of mine": "input[type=file]"}[how]
    page.wait(f"!!document.querySelector('{field}')")
    settled(page)


def type_words(page, text):
    field = "document.querySelector('[data-testid=stTextInput] input')"
    click(page, field)
    page.evaluate(f"{field}.select()")
    page.call("Input.insertText", text=text)
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")


def upload(page, path):
    page.wait("!!document.querySelector('input[type=file]')")
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    page.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


def choose(page, label, option):
    """Take an option of a list."""
    boxes = "[...document.querySelectorAll('[data-testid=stSelectbox]')]"
    box = f"{boxes}.find(e => e.innerText.includes({json.dumps(label)})).querySelector('[role=combobox]')"
    click(page, box)
    click(
        page, f"[...document.querySelectorAll('[role=option]')].find(e => e.innerText.trim() === {json.dumps(option)})"
    )
    page.wait(f"{box}.value === {json.dumps(option)}")
    settled(page)


def told(page, text, seconds=60):
    """What the page says, once it says this."""
    page.wait(f"{TEXT}.includes({json.dumps(text)})", seconds)
    settled(page)
    return page.evaluate(TEXT)


def pictured(page, name):
    where = os.environ.get("COURSE_DEMO_PICTURES")
    if where:
        page.picture(Path(where, f"{name}.png"), whole=True)


def chosen(page, label):
    """What a list shows."""
    boxes = "[...document.querySelectorAll('[data-testid=stSelectbox]')]"
    return page.evaluate(f"{boxes}.find(e => e.innerText.includes({json.dumps(label)})).querySelector('input').value")


def luminance(colour):
    """Relative luminance (WCAG 2.2) of a colour without transparency, as a browser writes it: rgb(0, 0, 0)."""
    parts = [int(number) / 255 for number in re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", colour).groups()]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def is_well(page):
    """All pictures are there, nothing threw, and no traceback is shown."""
    page.wait(f"{PHOTOS}.every(e => e.complete && e.naturalWidth > 0)")
    assert not page.problems and not page.evaluate("document.querySelectorAll('[data-testid=stException]').length")


def test_a_photo_of_the_library_is_searched_with(page):
    assert "Library: catalogue, 30 photos." in page.evaluate(TEXT)
    assert page.evaluate(f"{PHOTOS}.length") == 8 + 1 + 20  # offered, the query, the answers
    before = page.evaluate(f"{PHOTOS}[8].src")
    click(page, "[...document.querySelectorAll('button')].filter(e => e.innerText.trim() === 'Search')[3]")
    page.wait(f"{PHOTOS}[8].src !== {json.dumps(before)}")
    settled(page)
    is_well(page)
    pictured(page, "pick")


def test_the_method_the_dimensions_and_the_index_can_be_changed(page):
    choose(page, "Method", "colour (HSV histogram)")
    choose(page, "Dimensions", "16")
    for index in ("HNSW", "LSH", "KD-tree", "exact (flat)"):
        choose(page, "Index", index)
        assert "nearest, " in told(page, "searched for in")
        is_well(page)
    assert "100% are here" in page.evaluate(TEXT)


def test_typed_words_are_answered_with_photos(page):
    search_by(page, "words")
    type_words(page, "a pair of red shoes")
    assert "Words are understood as in the captions of catalogue." in told(page, "The photos that fit best")
    assert page.evaluate(f"{PHOTOS}.length") == 20
    is_well(page)
    pictured(page, "words")


def test_words_are_answered_by_the_towers_and_by_the_linear_map(page):
    search_by(page, "words")
    assert chosen(page, "Method") == words.TOWERS
    type_words(page, "a pair of red shoes")
    told(page, "near to every text")
    order = f"{TEXT}.match(/[0-9]+\\. .*/g).join()"
    by_towers = page.evaluate(order)
    assert by_towers.count("(") == 20
    choose(page, "Method", words.LINEAR)
    page.wait(f"{order} !== {json.dumps(by_towers)}")
    assert page.evaluate(f"{PHOTOS}.length") == 20
    is_well(page)


def test_small_letters_are_dark_enough_to_be_read(page):
    """At least 4.5 to 1, as WCAG 2.2 asks for."""
    name = "[...document.querySelectorAll('[data-testid=stMarkdown] span')].find(e => e.innerText.startsWith('1. '))"
    app = "document.querySelector('[data-testid=stApp]')"
    for dark in (False, True):
        page.look(1280, 900, dark)
        page.wait(f"(getComputedStyle({app}).colorScheme === 'dark') === {json.dumps(dark)}")
        settled(page)
        colours = page.evaluate(f"[getComputedStyle({name}).color, getComputedStyle({app}).backgroundColor]")
        light, other = sorted(map(luminance, colours), reverse=True)
        assert (light + 0.05) / (other + 0.05) >= 4.5


def test_words_that_are_too_many_or_none_are_answered_with_a_sentence(page):
    search_by(page, "words")
    type_words(page, "x" * 10_000)
    told(page, "The text has 10,000 letters; at most 500 are read.")
    assert page.evaluate(f"{PHOTOS}.length") == 0
    is_well(page)
    pictured(page, "too-long")
    type_words(page, "   ")
    told(page, "Type a word or a sentence.")
    type_words(page, "<img src=x onerror=\"document.title='broken in'\">")
    told(page, "The photos that fit best")
    assert page.evaluate("document.title") == "Find photos"
    is_well(page)


def test_an_image_of_ones_own_is_searched_with(page, tmp_path):
    Image.linear_gradient("L").convert("RGB").resize((300, 200)).save(tmp_path / "mine.jpg")
    search_by(page, "an image of mine")
    upload(page, tmp_path / "mine.jpg")
    assert "described in" in told(page, "The photos most like it")
    assert page.evaluate(f"{PHOTOS}.length") == 1 + 20
    is_well(page)
    pictured(page, "upload")


def test_a_broken_image_is_answered_with_a_sentence(page, tmp_path):
    Image.effect_noise((300, 200), 80).save(tmp_path / "whole.jpg")
    broken = tmp_path / "<b>cut</b>.jpg".replace("/", "\N{FRACTION SLASH}")
    broken.write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    search_by(page, "an image of mine")
    upload(page, broken)
    assert "truncated" in told(page, "This file cannot be searched with:")
    assert page.evaluate(f"{PHOTOS}.length") == 0
    is_well(page)
    pictured(page, "broken")


def test_svg_and_text_are_no_images(page, tmp_path):
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload=\"document.title='broken in'\"/>")
    search_by(page, "an image of mine")
    upload(page, tmp_path / "a.svg")
    told(page, "not an image in a supported format")
    assert page.evaluate("document.title") == "Find photos"


def test_on_a_phone_nothing_is_wider_than_the_screen_and_answers_stand_side_by_side(chromium, address):
    page = visited(chromium, address)
    page.look(390, 844)
    told(page, "Its nearest neighbours", 120)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = page.evaluate(f"{PHOTOS}.slice(9).map(e => Math.round(e.getBoundingClientRect().top))")
    assert len(set(tops)) <= len(tops) / 2 + 1  # two a row or more
    pictured(page, "phone")


class Leak(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_):
        pass


def test_markup_in_the_names_of_own_photos_is_shown_as_text(folder, chromium, tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Leak) as outside:
        outside.asked = []
        threading.Thread(target=outside.serve_forever, daemon=True).start()
        labels = [
            f"![x](http:∕∕127.0.0.1:{outside.server_port}∕leak)",
            "<img src=x onerror=alert(1)>",
            "*star* $x$ `c`",
        ]
        for label in labels:
            place = tmp_path / "own" / label
            place.mkdir(parents=True)
            for i in range(2):
                Image.effect_noise((64, 64), 60 + i).convert("RGB").save(place / f"{i}.png")
        (tmp_path / "own" / labels[1] / "<script>alert(2)<script>.png").write_bytes(b"none")
        with served(folder, str(tmp_path / "own")) as address:
            page = visited(chromium, address)
            text = page.evaluate(TEXT)
            for label in labels:
                assert label in text
            click(page, "document.querySelector('[data-testid=stExpander] summary')")
            assert "<script>alert(2)<script>.png" in told(page, "not an image in a supported format")
            search_by(page, "words")
            type_words(page, "noise")
            text = told(page, "The photos that fit best")
            assert "These photos have no captions to learn from." in text and "drawn catalogue" in text
            assert chosen(page, "Method") == words.LINEAR
            is_well(page)
            pictured(page, "own")
        outside.shutdown()
        assert outside.asked == []


def test_several_visitors_at_once_are_all_answered(address):
    """The soak in small; in full: python tests/faults/soak_demo.py --users 50 --seconds 300."""
    program = [sys.executable, ROOT / "tests" / "faults" / "soak_demo.py", "--address", address]
    run = subprocess.run([*program, "--users", "5", "--seconds", "20"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(re.search(r"(\d+) runs of the page", run.stdout)[1]) >= 10 and "\n0 errors" in run.stdout
