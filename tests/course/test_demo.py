"""The demo without its page: what is described, searched and refused, and how the page is started."""

import doctest
import io
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from toys import call

from course import ROOT, UsageError
from course.demo import photo_search, serve, words
from lib import text, training

NETWORK = photo_search.NETWORK.format(photo_search.BACKBONE)


def as_bytes(image, form="PNG"):
    image.save(buffer := io.BytesIO(), form)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_catalogue):
    """A working directory with a data folder: the catalogue in it, and what the demo keeps."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(tiny_catalogue, folder / "data" / "catalogue")
    return folder


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.delenv("RETRIEVAL_DATA", raising=False)


@pytest.fixture(scope="module")
def library(place):
    """The whole tiny catalogue: 150 drawn photos with captions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("RETRIEVAL_DATA", raising=False)
        return photo_search.Library("catalogue")


@pytest.fixture
def own_photos(tmp_path, library):
    """Photos of somebody's own, in class folders: two cannot be opened, names carry markup, none has a caption."""
    for number, label in enumerate(["<b>sea</b>", "wood", "![x](http://127.0.0.1/leak)", "*star*"]):
        folder = tmp_path / "photos" / label.replace("/", "\N{FRACTION SLASH}")
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(library.photos.image(4 * number + i)).save(folder / f"{i}.png")
    (tmp_path / "photos" / "wood" / "broken.jpg").write_bytes(b"no photo")
    (tmp_path / "photos" / "wood" / "empty.jpg").write_bytes(b"")
    return tmp_path / "photos"


# ---------------------------------------------------------------------------------------------- by image


@pytest.mark.parametrize("method", [photo_search.COLOUR, photo_search.SHAPE, NETWORK])
@pytest.mark.slow
def test_a_photo_of_the_library_finds_itself_as_an_upload_and_not_as_a_row(library, method):
    d = library.dimensions(method)[-1]
    data = Path(library.photos.paths[7]).read_bytes()
    uploaded = library.by_image(data, method, d, photo_search.EXACT, 5)
    assert uploaded.rows[0] == 7 and uploaded.distances[0] == pytest.approx(0, abs=1e-3)
    others = library.by_row(7, method, d, photo_search.EXACT, 5)
    assert 7 not in others.rows and others.rows[:4] == uploaded.rows[1:]
    assert others.distances == sorted(others.distances) and others.recall == 1.0
    assert uploaded.describe_ms > 0 == others.describe_ms and uploaded.search_ms > 0


def test_all_coordinates_give_the_cosine_of_centred_rows(library):
    rows = photo_search._by_colour(library.photos.images(photo_search.SMALL, fit="crop"))
    rows = rows - rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = np.argsort(-(rows @ rows[3]), kind="stable")[1:6]
    d = library.dimensions(photo_search.COLOUR)[-1]
    found = library.by_row(3, photo_search.COLOUR, d, photo_search.EXACT, 5)
    assert found.rows == nearest.tolist()
    np.testing.assert_allclose(found.distances, 1 - rows[nearest] @ rows[3], atol=1e-4)


def test_the_first_coordinates_have_the_most_variance(library):
    embeddings = library.space(NETWORK).embeddings
    variances = embeddings.var(axis=0)
    assert (variances[:-1] >= variances[1:] * (1 - 1e-4)).all()


def test_every_index_that_is_offered_answers(library):
    for d in library.dimensions(NETWORK):
        offered = library.indexes(NETWORK, d)
        assert (photo_search.SHORTLIST in offered) == (d > 16) and "IVF-PQ" not in offered  # 150 photos
        for index in offered:
            found = library.by_row(0, NETWORK, d, index, 10)
            assert len(set(found.rows)) == 10 and 0 not in found.rows
            assert 0 <= found.recall <= 1 and found.index_bytes > 0


def test_only_the_last_used_indexes_stay_in_memory(library, monkeypatch):
    library._indexes.clear()
    monkeypatch.setattr(photo_search, "MOST_INDEX_BYTES", 200_000)
    for d in library.dimensions(NETWORK):
        for index in library.indexes(NETWORK, d):
            library.by_row(0, NETWORK, d, index, 1)
            sizes = [n_bytes for _, n_bytes in library._indexes.values()]
            assert len(sizes) <= 2 or sum(sizes) <= 200_000


def test_many_threads_at_once_get_the_answers_of_one(library):
    data, d = Path(library.photos.paths[5]).read_bytes(), library.dimensions(NETWORK)[-1]
    expected = library.by_image(data, NETWORK, d, "HNSW", 5).rows
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(library.by_image(data, NETWORK, d, "HNSW", 5).rows))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


# ------------------------------------------------------------------------------------- images that are refused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"^empty file \(0 bytes\)$"),
        (b"no image at all", "^not an image in a supported format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "^not an image in a supported"),
        (as_bytes(Image.new("RGB", (300, 300), "red"), "JPEG")[:400], "(?i)truncated"),
        (b"x" * 20_000_001, r"^the file has 20\.0 MB; at most 20 MB are read$"),
        (as_bytes(Image.new("1", (8000, 6000))), r"^the image has 8,000 x 6,000 pixels; at most 40,000,000 in all"),
        (as_bytes(Image.new("RGB", (1, 1)), "PPM"), "^not an image in a supported format"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence_without_a_path(library, data, message):
    with pytest.raises(ValueError, match=message) as error:
        library.by_image(data, photo_search.COLOUR, 4, photo_search.EXACT, 5)
    assert "/tmp" not in str(error.value) and "Temporary" not in str(error.value)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_images_of_every_mode_and_of_one_pixel_are_searched_with(library, mode):
    for size in ((1, 1), (9, 3), (400, 300)):
        data = as_bytes(Image.new(mode, size), "TIFF" if mode == "CMYK" else "PNG")
        for method in library.methods:
            found = library.by_image(data, method, 4, photo_search.EXACT, 5)
            assert len(found.rows) == 5 and np.isfinite(found.distances).all()


# ------------------------------------------------------------------------------------------------ by words


@pytest.mark.slow
@pytest.mark.parametrize("method", words.METHODS)
def test_words_are_answered_from_the_captions_of_the_library(library, method):
    assert library.words().learned_from == "catalogue"
    assert library.words().n_captioned == (library.photos.table["split"] == "train").sum()
    d = library.dimensions(method)[-1]
    found = library.by_words("a pair of red shoes", method, d, photo_search.EXACT, 10)
    assert len(found.rows) == 10 and found.describe_ms > 0
    train = library.photos.where("split", "train")
    paths = {path: row for row, path in enumerate(library.photos.paths)}
    ranks = []
    for i in range(0, len(train), 4):  # what it was learned from, it must find
        found = library.by_words(train.captions[i][i % 5], method, d, photo_search.EXACT, 150)
        ranks.append(found.rows.index(paths[train.paths[i]]))
    assert np.median(ranks) < 20  # chance: 75


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "type a word or a sentence"),
        ("  \n\t ", "type a word or a sentence"),
        ("x" * 10_000, "the text has 10,000 letters; at most 500 are read"),
    ],
)
def test_no_words_and_too_many_are_refused(library, typed, message):
    with pytest.raises(ValueError, match=message):
        library.by_words(typed, words.TOWERS, 4, photo_search.EXACT, 5)


@pytest.mark.parametrize(
    "typed",
    [
        "<script>alert(1)</script>", "'; DROP TABLE photos; --", "鞋 \N{ATHLETIC SHOE}", "\0", "des chaussures rouges",
        "1234567890", "qwrtz xzqv", "shoes " * 83,
    ],
)  # fmt: skip
@pytest.mark.slow
def test_any_other_words_are_words(library, typed):
    for method in words.METHODS:
        found = library.by_words(typed, method, 4, photo_search.EXACT, 5)
        assert len(set(found.rows)) == 5 and np.isfinite(found.distances).all()


# ------------------------------------------------------------------------------------- what words are learned by


@pytest.fixture
def learned(place, library):
    """Words from the catalogue's captions, as a new start of the demo learns or reads them."""
    return lambda: words.Words(library.photos.folder, library.word_rows)


def first_answers(learned, library, method):
    embeddings, describe = learned.space(method, library.word_rows(library.photos))
    return embeddings @ describe("a red shirt")[0]


@pytest.fixture
def no_training(monkeypatch):
    """Fail where anything is trained."""

    def refuse(*_, **__):
        raise AssertionError("trained, though a training was kept")

    monkeypatch.setattr(training, "train", refuse)


def kept_towers(place):
    return sorted((place / "data" / "models").glob("*/*.safetensors"))


@pytest.mark.slow
def test_towers_are_trained_once_and_read_at_the_next_start(place, learned, library, request):
    before = first_answers(learned(), library, words.TOWERS)
    assert len(kept_towers(place)) == len(words.SEEDS)
    request.getfixturevalue("no_training")
    np.testing.assert_array_equal(first_answers(learned(), library, words.TOWERS), before)


@pytest.mark.slow
def test_a_training_gives_the_same_towers_again_and_damaged_ones_are_trained_again(place, learned, library):
    before = first_answers(learned(), library, words.TOWERS)
    removed, damaged, _ = kept_towers(place)
    removed.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x7f")
    with pytest.warns(UserWarning, match="is damaged: its bytes have changed. The network is trained again"):
        after = first_answers(learned(), library, words.TOWERS)
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert len(kept_towers(place)) == len(words.SEEDS)


@pytest.mark.slow
def test_a_training_does_not_change_what_else_is_drawn_at_random(place, learned, library):
    for path in kept_towers(place):
        path.unlink()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first_answers(learned(), library, words.TOWERS)
    assert torch.rand(3).equal(expected)


@pytest.mark.slow
def test_another_recipe_is_another_training(place, learned, library, monkeypatch):
    before, n = first_answers(learned(), library, words.TOWERS), len(kept_towers(place))
    monkeypatch.setitem(words.RECIPE, "epochs", 2)
    assert not np.allclose(first_answers(learned(), library, words.TOWERS), before, atol=0.01)
    assert len(kept_towers(place)) == n + len(words.SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("method", words.METHODS)
def test_all_coordinates_rank_by_cosine_less_the_correction_of_hubs(learned, library, method):
    new, rows = learned(), library.word_rows(library.photos)
    embeddings, describe = new.space(method, rows)
    mapping, text = new._mappings[method], new._encode(["a red shirt"])
    photos, typical, query = mapping.photos(rows), mapping.texts(new._captions[0]), mapping.texts(text)
    photos, typical, query = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (photos, typical, query))
    nearest = np.sort(photos @ typical.T, axis=1)[:, -10:]
    expected = query[0] @ photos.T - nearest.mean(axis=1) / 2
    np.testing.assert_allclose(embeddings @ describe("a red shirt")[0], expected, atol=1e-4)
    lengths = np.linalg.norm(embeddings, axis=1)
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-4)
    squares = (embeddings**2).sum(axis=0)
    assert (squares[:-1] >= squares[1:] - 1e-3).all()  # the first coordinates tell most


@pytest.mark.slow
def test_without_the_sentence_encoder_words_of_the_captions_alone_are_known(learned, library, monkeypatch):
    def missing(name, device=None):
        raise text.MissingEncoder(f"no {name}")

    monkeypatch.setattr(text, "sentence_encoder", missing)
    new = learned()
    assert new.encoder == words.COUNTS != library.words().encoder == words.ENCODER
    rows, train = library.word_rows(library.photos), library.photos.where("split", "train")
    paths = {path: row for row, path in enumerate(library.photos.paths)}
    for method in words.METHODS:
        embeddings, describe = new.space(method, rows)
        ranks = []
        for i in range(0, len(train), 4):
            cosines = embeddings @ describe(train.captions[i][i % 5])[0]
            ranks.append((cosines > cosines[paths[train.paths[i]]]).sum())
        assert np.median(ranks) < 20  # chance: 75
        with pytest.raises(ValueError, match=r"^none of these words is in the captions of catalogue$"):
            describe("qwrtz xzqv")


@pytest.mark.slow
def test_few_captions_are_counted_and_the_catalogue_is_learned_from(tmp_path, library):
    folder = tmp_path / "few"
    folder.mkdir()
    lines = ["file_name,caption_1"]
    for i in range(3):
        Image.fromarray(library.photos.image(i)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{'a boat' if i < 2 else ''}")
    (folder / "metadata.csv").write_text("\n".join(lines))
    few = photo_search.Library(folder)
    assert few.words().n_captioned == 2 and few.words().learned_from == "catalogue"
    assert few.words().methods[0] == words.LINEAR  # which finds more among photos of another kind


@pytest.mark.slow
@pytest.mark.parametrize("split", ["", "test"])
def test_own_captions_are_learned_from_though_a_photo_of_them_does_not_open(tmp_path, library, split):
    folder = tmp_path / "captioned" / split
    folder.mkdir(parents=True)
    lines = ["file_name,caption_1"]
    for i in range(words.LEAST_CAPTIONED + 6):
        Image.fromarray(library.photos.image(i)).save(folder / f"{i}.png")
        lines.append(f'{i}.png,"{library.photos.captions[i][0]}"')
    (folder / "metadata.csv").write_text("\n".join(lines))
    (folder / "3.png").write_bytes(b"no photo")
    own = photo_search.Library(tmp_path / "captioned")
    assert own.words().learned_from == "captioned" and own.words().methods[0] == words.TOWERS
    for method in words.METHODS:
        assert len(own.by_words("a boat", method, 4, photo_search.EXACT, 5).rows) == 5


# ------------------------------------------------------------------------------------------------ own photos


@pytest.mark.slow
def test_own_photos_are_searched_and_those_that_do_not_open_are_named(own_photos):
    library = photo_search.Library(own_photos)
    assert len(library) == 12
    assert sorted(Path(name).name for name in library.broken["file_name"]) == ["broken.jpg", "empty.jpg"]
    for method in library.methods:
        found = library.by_row(0, method, library.dimensions(method)[-1], photo_search.EXACT, 20)
        assert sorted(found.rows) == list(range(1, 12))  # all others
    assert library.words().learned_from == "catalogue" and library.words().n_captioned == 0
    assert len(library.by_words("a red shoe", words.TOWERS, 4, photo_search.EXACT, 20).rows) == 12
    assert "wood" in {library.name(row) for row in range(12)}


@pytest.mark.slow
def test_one_photo_has_no_neighbours_and_equal_photos_are_alike(tmp_path):
    (tmp_path / "one").mkdir()
    Image.new("RGB", (30, 20), "navy").save(tmp_path / "one" / "a.png")
    library = photo_search.Library(tmp_path / "one")
    for method in library.methods:
        d = library.dimensions(method)[-1]
        assert library.by_row(0, method, d, photo_search.EXACT, 5).rows == []
        data = (tmp_path / "one" / "a.png").read_bytes()
        assert library.by_image(data, method, d, photo_search.EXACT, 5).rows == [0]
    Image.new("RGB", (30, 20), "navy").save(tmp_path / "one" / "b.png")
    library = photo_search.Library(tmp_path / "one")
    found = library.by_row(0, photo_search.COLOUR, 1, photo_search.EXACT, 5)
    assert found.rows == [1] and found.distances == pytest.approx([0], abs=1e-6)
    assert library.name(1) in ("b.png", "one")


def test_a_folder_without_a_photo_that_opens_is_refused(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"expected a photo that opens in .*none, found none of 1"):
        photo_search.Library(tmp_path / "none")


def test_a_thumbnail_is_a_small_jpeg_that_keeps_the_shape(own_photos):
    with Image.open(io.BytesIO(photo_search.Library(own_photos).thumbnail(0, side=40))) as image:
        assert image.format == "JPEG" and max(image.size) == 40


# ------------------------------------------------------------------------------------------------- the start


def test_it_listens_to_this_machine_alone_unless_told_otherwise():
    assert "--server.address=127.0.0.1" in serve.options("127.0.0.1", 8501)
    _, said = call("demo", "--help")
    assert "127.0.0.1" in said
    assert all(map(serve.is_local, ("127.0.0.1", "::1", "localhost")))
    assert not any(map(serve.is_local, ("0.0.0.0", "192.168.1.5", "a.example")))


def test_nothing_is_reported_to_anyone_and_errors_show_no_source():
    options = serve.options("127.0.0.1", 8501)
    assert {"--browser.gatherUsageStats=false", "--client.showErrorDetails=none"} <= set(options)


def test_what_it_searches_and_by_which_network_is_handed_to_the_page(monkeypatch, capsys):
    started = []
    monkeypatch.setattr(serve, "prepare", lambda *given: started.append(given))
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, env: started.append((command, env)) or subprocess.CompletedProcess(command, 0),
    )
    assert serve.command("photos", None, "resnet18", "0.0.0.0", 9000) == 0
    prepared, (command, environment) = started
    assert prepared == ("photos", None, "resnet18")
    assert command[:4] == [sys.executable, "-m", "streamlit", "run"] and "--server.port=9000" in command
    assert environment["COURSE_DEMO_COLLECTION"] == "photos" and environment["COURSE_DEMO_BACKBONE"] == "resnet18"
    assert "everyone who can reach 0.0.0.0:9000 can use the page" in capsys.readouterr().err


def test_a_collection_that_is_not_there_is_said_before_anything_starts(tmp_path):
    status, said = call("demo", tmp_path / "nowhere")
    assert status == 2 and "expected a folder, got" in said


def test_without_streamlit_it_says_what_installs_it(monkeypatch):
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="make demo"):
        serve.command("catalogue", "test", photo_search.BACKBONE, "127.0.0.1", 8501)


@pytest.mark.parametrize(
    ("own", "encoder", "expected"),
    [
        (100, words.ENCODER, ["in the captions of holiday."]),
        (2, words.ENCODER, ["Only 2 of these photos have captions, too few to learn from.", "drawn catalogue"]),
        (0, words.COUNTS, ["These photos have no captions to learn from.", f"{words.ENCODER} is not installed"]),
    ],
)
def test_the_page_says_whose_captions_words_were_learned_from_and_what_is_missing(own, encoder, expected):
    source = (ROOT / "course" / "demo" / "page.py").read_text(encoding="utf-8")
    names = {"words": words}
    exec(source[source.index("def about_words") : source.index("def small")], names)
    learned = SimpleNamespace(
        learned_from="holiday", n_captioned=own, is_borrowed=own < words.LEAST_CAPTIONED, encoder=encoder
    )
    said = names["about_words"](SimpleNamespace(words=lambda: learned))
    assert all(part in said for part in expected) and ("not installed" in said) == (encoder == words.COUNTS)


def test_names_are_escaped_for_the_page():
    source = (ROOT / "course" / "demo" / "page.py").read_text(encoding="utf-8")
    assert "unsafe_allow_html" not in source and "st.html" not in source and "components" not in source
    program = f"import doctest, re\n{source[source.index('def plain') : source.index('@st.cache_resource')]}"
    names = {}
    exec(program, names)
    assert names["plain"]("![x](http://a) <b>\n$y$") == r"\!\[x\]\(http\://a\) \<b\> \$y\$"
    assert doctest.run_docstring_examples(names["plain"], names) is None
