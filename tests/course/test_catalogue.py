import csv
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course import catalogue
from course.catalogue import plans, queries, words, writing
from course.catalogue.commands import command
from lib import crossmodal

N, SIZE, N_PROBE = 120, 48, 16


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collections") / "catalogue"
    return catalogue.write(folder, N, SIZE, seed=3, progress=False, n_probe=N_PROBE)


def write_small(folder, **changes):
    """The smallest catalogue, without probes."""
    return catalogue.write(folder, **{"n_images": 40, "size": SIZE, "progress": False, "n_probe": 0, **changes})


def rows_of(folder, split):
    with open(folder / split / "metadata.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def all_rows(folder):
    return [(split, row) for split in ("train", "validation", "test", "unseen") for row in rows_of(folder, split)]


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def pixels_of(folder):
    """Of every image and mask, by its path: the digest of its pixels."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(read(path).tobytes()).hexdigest()
        for path in sorted(folder.rglob("*.png"))
    }


# ------------------------------------------------------------------------------------------------- the layout


def test_every_row_has_an_image_and_a_mask_of_the_size_asked_for(drawn):
    rows = all_rows(drawn)
    assert len(rows) == N
    for split, row in rows:
        image, mask = read(drawn / split / row["file_name"]), read(drawn / split / row["mask_file_name"])
        assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
        assert mask.shape == (SIZE, SIZE) and mask.dtype == np.uint8


def test_every_png_is_named_in_metadata(drawn):
    named = {f"{split}/{row[column]}" for split, row in all_rows(drawn) for column in ("file_name", "mask_file_name")}
    assert {path.relative_to(drawn).as_posix() for path in drawn.rglob("*.png")} == named


def test_the_table_has_the_columns_it_promises(drawn):
    assert tuple(rows_of(drawn, "train")[0]) == catalogue.COLUMNS


def test_ids_are_in_one_split_only(drawn):
    ids = [row["id"] for _, row in all_rows(drawn)]
    assert len(set(ids)) == len(ids) == N


def test_types_of_the_unseen_split_occur_nowhere_else(drawn):
    seen = {label for split, row in all_rows(drawn) if split != "unseen" for label in row["labels"].split("|")}
    unseen = {label for row in rows_of(drawn, "unseen") for label in row["labels"].split("|")}
    assert unseen and unseen <= set(catalogue.UNSEEN)
    assert seen == set(catalogue.SEEN)


def test_types_are_balanced_among_the_singles_of_each_split():
    jobs = writing.plan_images(6000, 0)
    assert [job[1] for job in jobs] == list(range(6000))
    for split, n in (("train", 3900), ("validation", 600), ("test", 1200), ("unseen", 300)):
        mine = [job for job in jobs if job[0] == split]
        singles = [job[2] for job in mine if job[3] == "single"]
        assert (len(mine), len(singles)) == (n, n * 3 // 4)
        counts = [singles.count(name) for name in set(singles)]
        assert max(counts) - min(counts) <= 1


def test_the_tree_has_three_levels_below_its_root(drawn):
    with open(drawn / "classes.csv", newline="", encoding="utf-8") as file:
        tree = {row["class"]: row for row in csv.DictReader(file)}
    leaves = [name for name, row in tree.items() if row["leaf"] == "1"]
    assert sorted(leaves) == sorted(catalogue.TYPES) and len(catalogue.SEEN) >= 24
    for name in leaves:
        sub = tree[name]["parent"]
        master = tree[sub]["parent"]
        assert tree[master]["parent"] == "catalogue" and tree["catalogue"]["parent"] == ""
        assert (tree[master]["name"], tree[sub]["name"]) == tuple(catalogue.TYPES[name].place.split("/"))


def test_mask_labels_name_every_value(drawn):
    with open(drawn / "mask_labels.csv", newline="", encoding="utf-8") as file:
        values = {int(row["value"]): row["label"] for row in csv.DictReader(file)}
    assert values.pop(0) == "background"
    assert values == {value: name for name, value in catalogue.MASK_VALUE.items()}


# --------------------------------------------------------------------------------------- what is in an image


def test_a_mask_holds_its_labels_and_the_background_only(drawn):
    for split, row in all_rows(drawn):
        found = np.unique(read(drawn / split / row["mask_file_name"])).tolist()
        assert found == sorted([0, *(catalogue.MASK_VALUE[name] for name in row["labels"].split("|"))]), row["id"]


def test_singles_have_one_product_and_outfits_two_to_five(drawn):
    for _, row in all_rows(drawn):
        labels = row["labels"].split("|")
        assert len(set(labels)) == len(labels)
        assert len(labels) == 1 if row["kind"] == "single" else 2 <= len(labels) <= 5


def test_the_label_is_the_product_with_the_most_pixels(drawn):
    for split, row in all_rows(drawn):
        areas = np.bincount(read(drawn / split / row["mask_file_name"]).ravel(), minlength=64)
        order = [areas[catalogue.MASK_VALUE[name]] for name in row["labels"].split("|")]
        assert order == sorted(order, reverse=True)
        assert row["label"] == row["articleType"] == row["labels"].split("|")[0]


def test_attributes_are_among_those_of_the_type(drawn):
    for _, row in all_rows(drawn):
        t = catalogue.TYPES[row["articleType"]]
        assert (row["masterCategory"], row["subCategory"]) == tuple(t.place.split("/"))
        assert row["baseColour"] in catalogue.COLOURS and row["background"] in catalogue.BACKGROUNDS
        assert row["pattern"] in t.patterns and row["sleeve"] in t.sleeves and row["neckline"] in t.necklines
        assert row["gender"] in t.genders and row["season"] in t.seasons and row["usage"] in t.usages


def test_the_base_colour_is_what_the_pixels_show():
    """A plain red dress has red pixels, and a plain blue one blue."""
    images, labels = catalogue.probe("colour", n_images=32, size=SIZE)
    for name, channel in (("Red", 0), ("Blue", 2)):
        shown = images[labels == name].astype(int)
        vivid = shown[np.ptp(shown, axis=-1) > 60]
        assert (vivid.argmax(axis=-1) == channel).mean() > 0.9


def test_ten_base_colours_or_more():
    assert len(catalogue.COLOURS) >= 10


# ---------------------------------------------------------------------------------------------------- words


def test_the_five_captions_of_an_image_differ(drawn):
    for _, row in all_rows(drawn):
        assert len({row[f"caption_{i}"] for i in range(1, 6)}) == 5


def test_every_caption_names_its_product_and_that_of_an_outfit_two_or_more(drawn):
    nouns = {name: [noun.removeprefix("pair of ").lower() for noun in t.nouns] for name, t in catalogue.TYPES.items()}
    for _, row in all_rows(drawn):
        labels = row["labels"].split("|")
        for i in range(1, 6):
            text = row[f"caption_{i}"].lower()
            named = [name for name in labels if any(noun in text for noun in nouns[name])]
            assert len(named) >= min(2, len(labels)), text


def test_some_captions_leave_the_colour_or_the_pattern_out():
    rows = [catalogue.draw(i, "Tshirts", size=48)[2] for i in range(12)]
    texts = [(row, row[f"caption_{i}"].lower()) for row in rows for i in range(1, 6)]
    patterned = [(row, text) for row, text in texts if row["pattern"] == "Striped" or row["pattern"] == "Checked"]
    said = [any(word in text for word in ("strip", "check", "chequer")) for _, text in patterned]
    assert any(said) and not all(said)


@pytest.mark.parametrize("name", catalogue.TYPES)
def test_articles_and_plurals_agree(name):
    rng = np.random.default_rng(0)
    for _ in range(40):
        text, plural = words.noun_phrase(rng, plans.random_look(rng, name))
        first, second = text.split()[:2]
        if plural:
            assert first not in ("a", "an") and "pair of" not in text
        elif first == "an":
            assert second[0] in "aeiou" and not second.startswith("uni")
        else:
            assert first == "a" and (second[0] not in "aeiou" or second.startswith("uni"))


def test_product_names_hold_brand_colour_and_product():
    row = catalogue.draw(1, "Jeans", size=48)[2]
    assert any(row["productDisplayName"].startswith(brand) for brand in words.BRANDS)
    assert row["baseColour"] in row["productDisplayName"] and row["productDisplayName"].endswith("Jeans")


# -------------------------------------------------------------------------------------------- the same again

PICTURES = ((0, "Tshirts", "single"), (1, "Boots", "single"), (2, "Watches", "single"), (3, "Dresses", "outfit"))
PIXELS = "66b2a7ed16fb9d6b0f70d082ac704cadb588a38cc336cfd363d12c7e96aba1dd"


EVERY_TYPE = "6c0096939a8abf7a7e7327e7da3aa50265777a126ae7097b3ea8c440758ad5f7"
WORDS = "4508561297c3dbb65c4a2a97c3ac6fb616067d378971413464ed358342642b15"
PROBES = "100b8a10a37f1e6c9ddf65e5290f0b647a3dac18510f5ee5e87f0f742b319c7f"


def digest_of_pictures():
    pixels = hashlib.sha256()
    for index, name, kind in PICTURES:
        image, mask, _ = catalogue.draw(index, name, kind, size=64, seed=11)
        pixels.update(image.tobytes() + mask.tobytes())
    return pixels.hexdigest()


def test_the_pixels_are_those_of_this_version():
    """If a change to the drawing is meant, raise catalogue.VERSION and pin the new digest."""
    assert digest_of_pictures() == PIXELS


def digest_of_every_type():
    pixels, rows = hashlib.sha256(), []
    for index, name in enumerate(catalogue.TYPES):
        for kind in ("single", "outfit"):
            image, mask, row = catalogue.draw(index, name, kind, size=48, seed=12)
            pixels.update(image.tobytes() + mask.tobytes())
            rows.append(row)
    return pixels.hexdigest(), hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def test_every_type_has_the_pixels_and_the_words_of_this_version():
    assert digest_of_every_type() == (EVERY_TYPE, WORDS)


def test_the_probes_are_those_of_this_version():
    pixels = hashlib.sha256()
    for factor in catalogue.PROBES:
        images, labels = catalogue.probe(factor, 16, size=SIZE)
        pixels.update(images.tobytes() + "|".join(labels).encode())
    assert pixels.hexdigest() == PROBES


def test_another_process_draws_the_same():
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; import test_catalogue; print(test_catalogue.digest_of_pictures())"
    )
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        [sys.executable, "-c", program, str(here), str(here.parents[1])], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest_of_pictures()


@pytest.mark.slow
def test_one_worker_and_two_draw_the_same_bytes(tmp_path):
    few = {"n_images": 200, "n_probe": 70}  # enough for `workers` to count
    one = write_small(tmp_path / "1" / "c", workers=1, **few).parent
    two = write_small(tmp_path / "2" / "c", workers=2, **few).parent
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    ("progress", "terminal", "switch", "shown"),
    [(True, True, "0", True), (True, True, "1", False), (True, False, "0", False), (False, True, "0", False)],
)
def test_a_bar_is_shown_when_asked_for_in_a_terminal(tmp_path, monkeypatch, progress, terminal, switch, shown):
    asked = []
    monkeypatch.setenv("TQDM_DISABLE", switch)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(writing, "tqdm", lambda items, **options: asked.append(not options["disable"]) or items)
    write_small(tmp_path / "c", progress=progress)
    assert asked == [shown]


def test_another_seed_draws_something_else():
    a, b = (catalogue.draw(0, "Caps", size=48, seed=seed)[0] for seed in (0, 1))
    assert (a != b).any()


def test_another_size_shows_the_same_scene():
    for index, name, kind in PICTURES:
        small, large = (catalogue.draw(index, name, kind, size=size)[0].astype(int) for size in (64, 128))
        halved = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        other = catalogue.draw(index + 10, name, kind, size=64)[0].astype(int)
        assert np.abs(halved - small).mean() < 0.3 * np.abs(other - small).mean()


# ------------------------------------------------------------------------------------------- found or drawn


def test_a_complete_catalogue_is_found_and_not_touched(drawn):
    before = {path: path.stat().st_mtime_ns for path in drawn.parent.rglob("*")}
    assert catalogue.write(drawn, N, SIZE, seed=3, progress=False, n_probe=N_PROBE) == drawn
    assert {path: path.stat().st_mtime_ns for path in drawn.parent.rglob("*")} == before


def test_the_manifest_says_what_was_drawn(drawn):
    manifest = json.loads((drawn / "manifest.json").read_text(encoding="utf-8"))
    assert {k: manifest[k] for k in ("n_images", "size", "seed")} == {"n_images": N, "size": SIZE, "seed": 3}
    digests = [
        hashlib.sha256(
            read(drawn / split / row["file_name"]).tobytes() + read(drawn / split / row["mask_file_name"]).tobytes()
        ).hexdigest()
        for split, row in sorted(all_rows(drawn), key=lambda x: int(x[1]["id"]))
    ]
    assert manifest["pixels_sha256"] == hashlib.sha256("".join(digests).encode()).hexdigest()


@pytest.mark.parametrize("what", ["train/*.png", "test/masks/*.png", "validation/metadata.csv"])
def test_a_catalogue_that_lacks_a_file_is_drawn_anew(tmp_path, what):
    folder = write_small(tmp_path / "c")
    whole = pixels_of(folder)
    next(folder.glob(what)).unlink()
    write_small(folder)
    assert pixels_of(folder) == whole and (folder / "validation" / "metadata.csv").is_file()


def test_a_catalogue_of_an_older_version_is_drawn_anew(tmp_path):
    folder = write_small(tmp_path / "c")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "version": 0}))
    write_small(folder)
    assert json.loads((folder / "manifest.json").read_text()) == manifest


def test_a_run_that_is_stopped_leaves_nothing(tmp_path, monkeypatch):
    def stop_at_ten(index, *rest):
        if index == 10:
            raise KeyboardInterrupt
        return catalogue.draw(index, *rest)

    monkeypatch.setattr(writing, "draw", stop_at_ten)
    with pytest.raises(KeyboardInterrupt):
        write_small(tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


def test_of_two_runs_at_once_the_first_to_finish_stays(tmp_path, monkeypatch):
    def another_run_first(*arguments):
        if not others:
            others["started"] = True
            write_small(tmp_path / "c")
            others.update({path: path.stat().st_mtime_ns for path in (tmp_path / "c").rglob("*")})
        return catalogue.draw(*arguments)

    others = {}
    monkeypatch.setattr(writing, "draw", another_run_first)
    folder = write_small(tmp_path / "c")
    assert others.pop("started")
    assert others == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not overwrite")
    with pytest.raises(ValueError, match=r"expected a drawn catalogue in .*, found other files"):
        write_small(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"expected JSON in .*manifest\.json"):
        write_small(tmp_path)


def test_a_catalogue_of_other_parameters_is_refused(drawn):
    with pytest.raises(ValueError, match=f"'n_images': 40.*found.*'n_images': {N}"):
        write_small(drawn, seed=3)


def test_the_default_folder_is_below_the_nearest_data_folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert write_small(None) == tmp_path / "data" / "catalogue"
    assert catalogue.write_probes(None, 16, SIZE, progress=False) == tmp_path / "data" / "catalogue-probes"


@pytest.mark.slow
def test_the_command_says_what_it_drew_and_what_it_found(tmp_path, capsys):
    folder, probes = tmp_path / "c", tmp_path / "c-probes"
    command(n_images=40, size=SIZE, folder=folder)
    assert capsys.readouterr().out == f"drawn: {folder}\ndrawn: {probes}\n"
    command(n_images=40, size=SIZE, folder=folder)
    assert capsys.readouterr().out == f"already there: {folder}\nalready there: {probes}\n"
    next(probes.glob("shape/*.png")).unlink()
    command(n_images=40, size=SIZE, folder=folder)
    assert capsys.readouterr().out == f"already there: {folder}\ndrawn: {probes}\n"


# -------------------------------------------------------------------------------------------------- probes


@pytest.mark.parametrize(("factor", "n_classes"), [("colour", 8), ("shape", 8), ("texture", 6)])
def test_a_probe_has_balanced_classes(factor, n_classes):
    images, labels = catalogue.probe(factor, n_images=2 * n_classes, size=SIZE)
    assert images.shape == (2 * n_classes, SIZE, SIZE, 3) and images.dtype == np.uint8
    assert sorted(np.unique(labels, return_counts=True)[1].tolist()) == [2] * n_classes


@pytest.mark.parametrize("factor", catalogue.PROBES)
def test_the_probes_on_disk_are_those_of_probe(drawn, factor):
    images, labels = catalogue.probe(factor, N_PROBE, SIZE, seed=3)
    folder = drawn.with_name("catalogue-probes")
    rows = rows_of(folder, factor)
    assert [row["label"] for row in rows] == labels.tolist()
    assert (np.stack([read(folder / factor / row["file_name"]) for row in rows]) == images).all()


def test_the_first_images_of_a_probe_do_not_depend_on_how_many_follow():
    for factor in catalogue.PROBES:
        assert (catalogue.probe(factor, 20, SIZE)[0][:16] == catalogue.probe(factor, 16, SIZE)[0]).all()


def nearest_other_is_of_the_same_class(features, labels):
    distances = np.abs(features[:, None] - features[None]).sum(axis=-1)  # (n, n)
    np.fill_diagonal(distances, np.inf)
    return (labels[distances.argmin(axis=1)] == labels).mean()


def colour_features(images):
    index = (images // 52).reshape(len(images), -1, 3) @ np.array([25, 5, 1])  # (n, pixels)
    return np.stack([np.bincount(row, minlength=125) for row in index]).astype(float)


def test_colour_tells_the_classes_of_the_colour_probe_apart():
    images, labels = catalogue.probe("colour", n_images=64, size=SIZE)
    assert nearest_other_is_of_the_same_class(colour_features(images), labels) > 0.6


def test_the_shape_probe_has_no_colour():
    images, _ = catalogue.probe("shape", n_images=16, size=SIZE)
    assert (images == images[..., :1]).all()


def test_the_texture_probe_shows_one_type_in_two_colours():
    images, _ = catalogue.probe("texture", n_images=12, size=SIZE)
    for image in images.astype(int):
        warm = (image[..., 0] - image[..., 2] > 25).mean()  # beige
        cold = (image[..., 2] - image[..., 0] > 20).mean()  # navy blue
        assert warm > 0.004 and cold > 0.004


# ----------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_images": 39}, "n_images must be an integer of at least 40, got 39"),
        ({"n_images": 100.5}, "n_images must be .*got 100.5"),
        ({"size": 47}, "size must be a whole number of pixels from 48 to 1024, got 47"),
        ({"size": 96.0}, "size must be .* got 96.0"),
        ({"seed": -1}, "seed must be a non-negative integer, got -1"),
        ({"workers": 0}, "workers must be a positive integer.* got 0"),
        ({"n_probe": 15}, "of colour images must be an integer of at least 16, two for each of 8 classes, got 15"),
    ],
)
def test_write_refuses_parameters_out_of_range(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        catalogue.write(tmp_path / "c", **{"n_images": 40, "size": 48, "progress": False, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_draw_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"expected a product type \(Tshirts, .*\), got 'Spoons'"):
        catalogue.draw(0, "Spoons")
    with pytest.raises(ValueError, match="kind must be 'single' or 'outfit', got 'trio'"):
        catalogue.draw(0, "Caps", kind="trio")


def test_probe_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"expected a factor \(colour, shape, texture\), got 'smell'"):
        catalogue.probe("smell")
    with pytest.raises(ValueError, match=r"of shape images must be an integer of at least 16, .* got 15"):
        catalogue.probe("shape", n_images=15)


def test_an_unknown_pattern_is_refused():
    with pytest.raises(ValueError, match=r"expected a pattern \(Solid, .*\), got 'Tartan'"):
        catalogue.pattern_map("Tartan", 0.0, 0.0)


# ------------------------------------------------------------------------------------------------------------- phrases


def test_what_the_phrases_of_a_caption_say_is_true_of_its_product(drawn):
    sayings = crossmodal.read_phrases(drawn)
    n_said = 0
    for row in rows_of(drawn, "train"):
        if row["kind"] == "single":
            captions = [row[f"caption_{i}"] for i in range(1, 6) if row[f"caption_{i}"]]
            for values in crossmodal.said(captions, sayings):
                assert all(of_column == {row[column]} for column, of_column in values.items())
                n_said += len(values)
    assert n_said > 2 * len(rows_of(drawn, "train"))


def test_no_phrase_says_two_things():
    assert len({phrase for *_, phrase in words.phrases()}) == len(words.phrases())


# ------------------------------------------------------------------------------------------------------- hard queries


@pytest.fixture(scope="module")
def asked():
    """Hard queries about 400 images, by kind."""
    seen = catalogue.SEEN
    rows = [queries.hard_query(i, seen[i % len(seen)], ("single", "outfit")[i % 4 == 3], seed=5) for i in range(400)]
    return {kind: [row[2:] for row in rows if row[1] == kind] for kind in (*queries.KINDS, *queries.KINDS_OF_OUTFITS)}


def words_of(text):
    return re.findall(r"[a-z-]+", text.lower())


def test_every_kind_of_hard_query_is_asked_and_its_two_answers_differ(asked):
    assert all(len(rows) >= 10 for rows in asked.values())
    assert all(same != other and query not in (same, other) for rows in asked.values() for query, same, other in rows)


@pytest.mark.parametrize("kind", ["colours", "relation", "two objects"])
def test_where_the_order_decides_both_answers_have_the_very_same_words(asked, kind):
    assert all(sorted(words_of(same)) == sorted(words_of(other)) for _, same, other in asked[kind])


def test_words_that_no_caption_uses_are_in_no_caption(drawn):
    used = {word for _, row in all_rows(drawn) for i in range(1, 6) for word in words_of(row[f"caption_{i}"])}
    assert used.isdisjoint(queries.UNHEARD.values())


def test_a_misspelled_word_is_another_word_by_one_edit():
    rng = np.random.default_rng(0)
    for word in ("red", "boots", "turquoise", "aaaa") * 50:
        typed = queries.misspelled(rng, word)
        assert typed != word and abs(len(typed) - len(word)) <= 1


def test_what_a_negated_query_names_is_not_in_the_right_answer(asked):
    for query, same, other in asked["negation"]:
        if " not " in query and "sleeve" not in query:
            assert query.split()[-1] not in words_of(same) and query.split()[-1] in words_of(other)


def test_hard_queries_lie_beside_the_catalogue_and_leave_the_captions_alone(drawn):
    with open(drawn / "queries.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    splits = {row["id"]: (split, row) for split, row in all_rows(drawn)}
    assert [int(row["id"]) for row in rows] == sorted(int(i) for i, (split, _) in splits.items() if split != "unseen")
    kinds = {"single": queries.KINDS, "outfit": queries.KINDS_OF_OUTFITS}
    assert all(row["kind"] in kinds[splits[row["id"]][1]["kind"]] for row in rows)
    (drawn / "queries.csv").unlink()
    before = (drawn / "manifest.json").stat().st_mtime_ns
    catalogue.write(drawn, N, SIZE, seed=3, progress=False, n_probe=N_PROBE)
    assert (drawn / "queries.csv").is_file() and (drawn / "manifest.json").stat().st_mtime_ns == before
