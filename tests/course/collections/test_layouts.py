"""layouts: small folders as the official archives are become collections with the columns of the real ones."""

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import official_layouts as official
import pandas as pd
import pytest
from PIL import Image

from course.collections import contents as contents_module
from course.collections import layouts
from course.collections.contents import write
from course.collections.layouts.fashion_products import COLUMNS as FASHION_COLUMNS
from course.collections.layouts.scenes import OUTDOOR8, SCENES15
from lib import collection as collections

COLUMNS = {
    "fashion-products": "file_name id gender masterCategory subCategory articleType baseColour season year usage "
    "productDisplayName",
    "clothing-co-parsing": "file_name mask_file_name labels",
    "flickr8k": "file_name caption_1 caption_2 caption_3 caption_4 caption_5",
    "flickr30k": "file_name caption_1 caption_2 caption_3 caption_4 caption_5",
    "scenes15": "file_name label outdoor8",
    "scenes8": "file_name label outdoor8",
    "clothing-photos": "file_name label",
    "tiny-imagenet": "file_name label",
    "cifar10": "file_name label",
    "fashion-mnist": "file_name label",
    "imagenet": "file_name label",
    "places365": "file_name label",
}
SCENES = {"coast": 360, "forest": 328, "highway": 260, "insidecity": 308}
SCENES |= {"mountain": 374, "opencountry": 410, "street": 292, "tallbuilding": 356}


def read(layout, *sources, **options):
    """The contents that official folders give; scenes15 and scenes8 are one layout."""
    if layout in ("scenes15", "scenes8"):
        layout, options["n_classes"] = "scenes", int(layout.removeprefix("scenes"))
    return layouts.read(layout, sources, **options)


def prepared(layout, source, folder, long_side=None, movable=None, **options):
    """The collection as `collections.read` reads it after read and write."""
    contents = read(layout, source, **options)
    folder.mkdir()
    write(contents, folder, long_side=long_side, movable=movable)
    return collections.read(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every layout, built once: layout -> official folder. Nothing may be moved out of them."""
    root = tmp_path_factory.mktemp("official")
    folders = {
        "fashion-products": official.fashion_products(root / "fashion" / "archive"),
        "clothing-co-parsing": official.clothing_co_parsing(root / "clothing" / "clothing-co-parsing-1234"),
        "flickr8k": official.flickr8k(root / "flickr8k"),
        "flickr30k": official.flickr30k(root / "flickr30k"),
        "scenes15": official.scenes15(root / "scenes15" / "scene_categories", 101),
        "scenes8": official.scenes8(root / "scenes8" / "spatial_envelope", dict.fromkeys(OUTDOOR8, 5)),
        "clothing-photos": official.clothing_photos(root / "clothes" / "clothing-dataset-small-36364be1", side=40),
        "tiny-imagenet": official.tiny_imagenet(root / "tiny" / "tiny-imagenet-200"),
        "cifar10": official.cifar10(root / "cifar" / "cifar-10-batches-bin"),
        "fashion-mnist": official.fashion_mnist(root / "mnist"),
        "imagenet": official.imagenet(root / "imagenet"),
        "places365": official.places365(root / "places" / "places365_standard"),
    }
    return {layout: root / folder.relative_to(root).parts[0] for layout, folder in folders.items()}


OPTIONS = {"fashion-products": {"skip_missing": True}}


@pytest.mark.parametrize("layout", COLUMNS)
def test_each_layout_becomes_a_sound_collection_with_the_columns_of_the_real_one(layout, made, tmp_path):
    collection = prepared(layout, made[layout], tmp_path / layout, **OPTIONS.get(layout, {}))
    assert list(collection.table.columns) == [*COLUMNS[layout].split(), "split"]
    readable, broken = collection.check(progress=False)
    assert len(broken) == 0
    assert len(readable) == len(collection) > 0


@pytest.mark.parametrize(
    "name", ["fashion-products", "clothing-co-parsing", "clothing-photos", "flickr8k", "scenes15", "tiny-imagenet-100"]
)
def test_the_real_collections_have_those_columns(name):
    try:
        collection = collections.read(name)
    except FileNotFoundError:
        pytest.skip(f"{name} is not in $RETRIEVAL_DATA ({os.environ.get('RETRIEVAL_DATA', 'not set')})")
    assert list(collection.table.columns) == [*COLUMNS[name.removesuffix("-100")].split(), "split"]


def test_every_layout_is_tested():
    assert {name.rstrip("158") if "scenes" in name else name for name in COLUMNS} == set(layouts.LAYOUTS)


# --- fashion-products -----------------------------------------------------------------------------------


def test_commas_and_quotes_in_product_names_are_part_of_the_name(made, tmp_path):
    table = prepared("fashion-products", made["fashion-products"], tmp_path / "shop", skip_missing=True).table
    assert table["id"].tolist() == [30, 31, 33, 1163, 1165]  # by id, without the absent 32
    assert table["productDisplayName"].tolist() == [
        "Titan Watch",
        'Titan "Raga", small',
        "None",
        "Nike Sahara Jersey",
        "Nike Mean Team, India, Cricket Jersey",
    ]
    assert table["usage"].tolist() == ["NA"] * 3 + ["Sports"] * 2
    assert table["year"].isna().tolist() == [False, False, True, False, False]


def test_an_absent_photo_is_counted_and_named_or_left_out_on_request(made):
    with pytest.raises(
        ValueError, match=r"styles.csv: 1 of the 6 images in it are missing \(images/32.jpg\); -o skip_missing"
    ):
        read("fashion-products", made["fashion-products"])
    contents = read("fashion-products", made["fashion-products"], skip_missing=True)
    assert contents.left_out == ["images/32.jpg"]
    assert contents.counts == {"train": 5}


def test_groups_keep_their_first_photos_by_id(made):
    def ids(per_group):
        contents = read("fashion-products", made["fashion-products"], skip_missing=True, per_group=per_group)
        assert len(contents.images) == len(contents.tables["train"])
        return contents.tables["train"]["id"].tolist()

    assert ids(2) == ["30", "31", "1163", "1165"]
    assert ids(3) == ["30", "31", "33"]
    with pytest.raises(ValueError, match="no image for train"):
        ids(4)
    with pytest.raises(ValueError, match="per_group must be an integer of at least 1, got 0"):
        ids(0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("9,Men,Apparel,Topwear,Tshirts,Blue,Fall,2011,Casual", "line 3: expected an id and nine values, got '9,Men"),
        (
            "x,Men,Apparel,Topwear,Tshirts,Blue,Fall,2011,Casual,Tee",
            "line 3: expected an id and nine values, got 'x,Men",
        ),
    ],
)
def test_a_row_that_is_none_is_refused_with_its_line(line, message, tmp_path):
    row = "7,Men,Apparel,Topwear,Tshirts,Blue,Fall,2011,Casual,Tee"
    official.put(tmp_path / "styles.csv", "\n".join([",".join(FASHION_COLUMNS), row, line]))
    with pytest.raises(ValueError, match=message):
        read("fashion-products", tmp_path, skip_missing=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,gender\n1,Men\n", "expected the header id,.*got 'id,gender'"),
        (b"", "got ''"),
        (b"id\xff", "codec can't decode"),
    ],
)
def test_a_table_with_other_columns_or_another_encoding_is_refused(content, message, tmp_path):
    official.put(tmp_path / "styles.csv", content)
    with pytest.raises(ValueError, match=f"styles.csv: .*{message}"):
        read("fashion-products", tmp_path)


def test_only_line_breaks_end_a_row(tmp_path):
    row = "7,Men,Apparel,Topwear,Tshirts,Blue,Fall,2011,Casual,Tee\u2028one\x85 "
    official.put(tmp_path / "styles.csv", ",".join(FASHION_COLUMNS) + "\r\n" + row + "\r\n")
    official.put(tmp_path / "images" / "7.jpg", official.jpeg())
    table = read("fashion-products", tmp_path).tables["train"]
    assert table["productDisplayName"].tolist() == ["Tee\u2028one\x85 "]


def test_a_second_copy_further_down_is_passed_by(made, tmp_path):
    archive = official.fashion_products(tmp_path / "archive")
    official.fashion_products(archive / "myntradataset")
    assert read("fashion-products", tmp_path, skip_missing=True).images["train/30.jpg"].parent.parent == archive


# --- clothing-co-parsing --------------------------------------------------------------------------------


def test_masks_and_labels_are_those_of_the_matlab_files(made, tmp_path):
    collection = prepared("clothing-co-parsing", made["clothing-co-parsing"], tmp_path / "clothing")
    assert collection.table["labels"].tolist() == ["hair|t-shirt", "skirt", "bag|skirt"]  # without "null"
    assert collection.table["mask_file_name"].tolist() == ["masks/0001.png", "masks/0002.png", ""]
    expected = np.repeat(np.array([4, 0, 2], np.uint8), 10)[:, None].repeat(20, axis=1)
    np.testing.assert_array_equal(collection.mask(0), expected)
    assert (collection.mask(1) == 3).all()
    assert collection.mask_labels == dict(enumerate(official.LABELS))


def test_a_shrunk_photo_and_its_mask_have_the_same_size(made, tmp_path):
    collection = prepared("clothing-co-parsing", made["clothing-co-parsing"], tmp_path / "clothing", long_side=15)
    assert collection.image(0).shape == (15, 10, 3)  # of 30 x 20
    assert collection.mask(0).shape == (15, 10)
    assert set(np.unique(collection.mask(0))) == {0, 2, 4}  # no value between them


def test_the_palette_shows_each_label_in_a_colour_of_its_own(made, tmp_path):
    prepared("clothing-co-parsing", made["clothing-co-parsing"], tmp_path / "clothing")
    table = pd.read_csv(tmp_path / "clothing" / "mask_labels.csv", keep_default_na=False)
    assert list(table.columns) == ["label_id", "label_name", "palette_rgb"]
    colours = [tuple(map(int, text.split())) for text in table["palette_rgb"]]
    assert colours[0] == (0, 0, 0)
    assert len(set(colours)) == len(official.LABELS)
    with Image.open(tmp_path / "clothing" / "train" / "masks" / "0001.png") as mask:
        assert mask.mode == "P"
        assert mask.convert("RGB").getpixel((0, 0)) == colours[4]


def test_a_photo_without_annotation_and_a_label_without_name_are_refused(tmp_path):
    root = official.clothing_co_parsing(tmp_path / "clothing")
    official.put(root / "photos" / "0003.jpg", official.jpeg())
    with pytest.raises(ValueError, match=r"photos/0003.jpg has no annotation"):
        read("clothing-co-parsing", root)
    (root / "photos" / "0003.jpg").unlink()
    official.savemat(root / "annotations" / "image-level" / "1005.mat", {"tags": np.array([[5]], np.uint8)})
    with pytest.raises(ValueError, match=r"1005.mat: expected labels 0 to 4, got uint8 .5."):
        read("clothing-co-parsing", root)
    official.put(root / "annotations" / "image-level" / "1005.mat", b"MATLAB 5.0 MAT-file, cut off")
    with pytest.raises(ValueError, match=r"1005.mat: expected a MATLAB file with 'tags'"):
        read("clothing-co-parsing", root)


def test_an_annotation_without_photo_is_an_absent_image(tmp_path):
    root = official.clothing_co_parsing(tmp_path / "clothing")
    (root / "photos" / "0001.jpg").unlink()
    with pytest.raises(ValueError, match=r"1 of the 3 images in it are missing \(photos/0001.jpg\)"):
        read("clothing-co-parsing", root)
    contents = read("clothing-co-parsing", root, skip_missing=True)
    assert sorted(contents.images) == ["train/0002.jpg", "train/1005.jpg", "train/masks/0002.png"]


# --- captions -------------------------------------------------------------------------------------------


def test_flickr8k_has_its_official_splits_and_captions_by_number(made, tmp_path):
    collection = prepared("flickr8k", made["flickr8k"], tmp_path / "flickr8k")
    assert collection.table["file_name"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert collection.table["split"].tolist() == ["train", "train", "validation", "test"]
    assert collection.captions[2] == [f"Caption {n} of c , a photo ." for n in range(5)]


def test_flickr8k_may_come_as_two_folders(made):
    folder = made["flickr8k"]
    whole = read("flickr8k", folder)
    parts = read("flickr8k", folder / "Flickr8k_text", folder / "Flicker8k_Dataset")
    assert parts.counts == whole.counts == {"train": 2, "validation": 1, "test": 1}
    assert parts.images == whole.images


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("Flickr_8k.devImages.txt", "c.jpg\nx.jpg\n", "no caption of 1 photos, first x.jpg"),
        ("Flickr_8k.devImages.txt", "", "no image for validation"),
        ("Flickr_8k.devImages.txt", None, "expected Flickr_8k.devImages.txt, found none in"),
        (
            "Flickr8k.token.txt",
            "a.jpg 0 A caption",
            "line 1: expected photo#number, tab, caption, got 'a.jpg 0 A caption'",
        ),
        (
            "Flickr8k.token.txt",
            "a.jpg#0\tA\na.jpg#1\tB\nb.jpg#0\tC\nc.jpg#0\tD\nd.jpg#0\tE",
            "expected as many captions a photo, got 1 to 2",
        ),
    ],
)
def test_flickr8k_refuses_lists_that_do_not_fit(file, content, message, tmp_path):
    folder = official.flickr8k(tmp_path / "flickr8k")
    (folder / "Flickr8k_text" / file).unlink()
    if content is not None:
        official.put(folder / "Flickr8k_text" / file, content)
    with pytest.raises(ValueError, match=message):
        read("flickr8k", folder)


def test_flickr8k_names_the_photos_that_are_absent(tmp_path):
    folder = official.flickr8k(tmp_path / "flickr8k")
    (folder / "Flicker8k_Dataset" / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"1 of the 2 images in it are missing \(Flicker8k_Dataset/a.jpg\)"):
        read("flickr8k", folder)
    contents = read("flickr8k", folder, skip_missing=True)
    assert (contents.counts["train"], contents.left_out) == (1, ["Flicker8k_Dataset/a.jpg"])


def test_flickr30k_takes_split_and_captions_from_the_json_file(made, tmp_path):
    collection = prepared("flickr30k", made["flickr30k"], tmp_path / "flickr30k")
    assert collection.table["split"].tolist() == ["train", "train", "validation", "test"]
    assert collection.captions[3][1] == "Sentence 1 of 13.jpg."


def test_flickr30k_refuses_another_json(tmp_path):
    for text in ("{}", '{"images": [{"split": "train"}]}', "no json"):
        official.put(tmp_path / "dataset_flickr30k.json", text)
        with pytest.raises(ValueError, match="expected Karpathy's images"):
            read("flickr30k", tmp_path)
    official.put(tmp_path / "dataset_flickr30k.json", '{"images": [{"split": "x", "filename": "a", "sentences": []}]}')
    with pytest.raises(ValueError, match=r"KeyError\('x'\)"):
        read("flickr30k", tmp_path)


# --- clothing-photos ------------------------------------------------------------------------------------


def test_clothing_photos_keep_the_published_split(made, tmp_path):
    collection = prepared("clothing-photos", made["clothing-photos"], tmp_path / "clothes", long_side=16)
    assert collection.table.groupby(["split", "label"]).size().unique().tolist() == [2, 3, 1]
    assert collection.table["file_name"][0] == "dress/dress-train-0.jpg"
    assert collection.image(0).shape == (8, 16, 3)  # of 20 x 40
    for split, label in zip(collection.table["split"], collection.table["file_name"], strict=True):
        assert split in label


def test_clothing_photos_need_the_same_classes_in_every_split(tmp_path):
    folder = official.clothing_photos(tmp_path / "clothing-dataset-small-master", side=8)
    (folder / "test" / "hat").rename(folder / "test" / "cap")
    with pytest.raises(ValueError, match=r"test: expected the classes dress, hat, t-shirt, got cap, dress, t-shirt"):
        read("clothing-photos", folder)
    (folder / "validation").rename(folder / "val")
    with pytest.raises(ValueError, match=r"validation: expected the classes dress, hat, t-shirt, got $"):
        read("clothing-photos", folder)


def test_the_real_clothing_photos_come_back_from_their_folders():
    folder, tables = real("clothing-photos")
    same(read("clothing-photos", folder), tables)


# --- scenes ---------------------------------------------------------------------------------------------


def test_a_hundred_images_of_each_scene_are_drawn_for_training(made):
    contents = read("scenes15", made["scenes15"])
    train, test = contents.tables["train"], contents.tables["test"]
    assert set(train["label"]) == set(SCENES15)
    assert (train["label"].value_counts() == 100).all()
    assert (test["label"].value_counts() == 1).all()
    assert len(set(train["file_name"]) & set(test["file_name"])) == 0
    outdoor = train.groupby("label")["outdoor8"].agg(["min", "max"])
    assert outdoor.loc[list(OUTDOOR8)].to_numpy().all()
    assert outdoor.to_numpy().sum() == 2 * 8
    assert "drawn with seed 0" in contents.notes[0]


def test_the_draw_depends_on_the_seed_alone(made):
    first, again, other = (read("scenes15", made["scenes15"], seed=seed).tables["test"] for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert first["file_name"].tolist() != other["file_name"].tolist()
    rng = np.random.default_rng(0)  # the rule of the docstring, written out for the first class
    names = [f"bedroom/image_{number:04d}.jpg" for number in range(1, 102)]
    assert first["file_name"][0] == names[rng.permutation(101)[100]]


def test_seventy_percent_of_the_colour_scenes_are_drawn(tmp_path):
    contents = read("scenes8", official.scenes8(tmp_path / "static_8outdoorcategories", SCENES))
    assert sum(SCENES.values()) == 2688
    assert contents.counts == {"train": 1879, "test": 809}
    taken = contents.tables["train"]["label"].value_counts()
    assert (abs(taken - 0.7 * pd.Series(SCENES)) < 1).all()
    assert (contents.tables["test"]["outdoor8"] == 1).all()


def test_folders_train_and_test_keep_their_split(tmp_path):
    for split, n in (("train", 3), ("test", 2)):
        for label in OUTDOOR8:
            name = {"insidecity": "inside_city", "opencountry": "Opencountry"}.get(label, label)
            for number in range(n):
                official.put(tmp_path / "MIT_split" / split / name / f"{split}{number}.jpg", official.jpeg())
    contents = read("scenes8", tmp_path)
    assert contents.counts == {"train": 24, "test": 16}
    assert all(name.partition("/")[2].startswith("test") for name in contents.tables["test"]["file_name"])
    assert set(contents.tables["test"]["label"]) == set(OUTDOOR8)
    assert contents.notes == ["the split is that of the folders train and test"]


def test_scenes_refuse_a_class_too_few_and_one_too_many(tmp_path):
    folder = official.scenes8(tmp_path / "scenes", dict.fromkeys(OUTDOOR8[:-1], 3))
    with pytest.raises(ValueError, match=r"expected the classes coast, .*tallbuilding, got coast"):
        read("scenes8", folder)
    official.scenes8(folder, {"tallbuilding": 3, "desert": 1})
    with pytest.raises(ValueError, match=r"expected the classes coast, .* got coast, desert"):
        read("scenes8", folder)
    with pytest.raises(ValueError, match="expected more than 100 images of bedroom, got 2"):
        read("scenes15", official.scenes15(tmp_path / "few", per_class=2))


# --- tiny-imagenet --------------------------------------------------------------------------------------


def test_tiny_imagenet_comes_by_class_with_the_annotated_classes_of_its_validation_images(made, tmp_path):
    collection = prepared("tiny-imagenet", made["tiny-imagenet"], tmp_path / "tiny")
    assert collection.table.groupby(["split", "label"]).size().tolist() == [4] * 3 + [2] * 3
    for i, row in collection.table.iterrows():
        red, _, blue = collection.image(i)[0, 0].astype(int)  # made as: number of the class, number, split
        assert abs(red - official.WNIDS.index(row["label"])) <= 3
        assert (blue > 128) == (row["split"] == "validation")
    assert collection.table["file_name"][0] == "n01443537/n01443537_0.JPEG"
    assert collection.hierarchy is None


def test_classes_and_images_of_tiny_imagenet_can_be_chosen(made):
    wanted = [official.WNIDS[2], official.WNIDS[0]]
    contents = read("tiny-imagenet", made["tiny-imagenet"], classes=wanted, per_class=3)
    assert contents.counts == {"train": 6, "validation": 4}
    names = contents.tables["train"]["file_name"].tolist()
    assert names[:3] == [f"n01443537/n01443537_{number}.JPEG" for number in range(3)]
    assert set(contents.tables["validation"]["label"]) == set(wanted)
    for classes, message in (
        (["n9"], "expected some of its 3 classes .n01443537, .*, got .'n9'"),
        ([], "expected some of its 3 classes"),
    ):
        with pytest.raises(ValueError, match=message):
            read("tiny-imagenet", made["tiny-imagenet"], classes=classes)


def test_the_tree_has_all_above_the_classes_and_the_first_parent_of_each(made, tmp_path):
    tree = made["tiny-imagenet"] / "wordnet.is_a.txt"
    collection = prepared("tiny-imagenet", made["tiny-imagenet"], tmp_path / "tiny", tree=tree)
    rows = collection.hierarchy.values.tolist()
    assert rows == [
        ["n00001740", "", "entity", False],
        ["n00015388", "n00001740", "animal, beast", False],
        ["n01443537", "n00015388", "goldfish, Carassius auratus", True],
        ["n01629819", "n00015388", "European fire salamander", True],
        ["n02121808", "n00015388", "domestic cat, house cat", False],
        ["n02124075", "n02121808", "Egyptian cat", True],
    ]


def test_a_tree_with_a_gap_is_refused(made, tmp_path):
    for lines, lacking in ((["n00015388 n01443537"], "n01629819"), ([*official.IS_A[1:], "n9 n00015388"], "n9")):
        tree = official.put(tmp_path / "is_a.txt", "\n".join(sorted(lines, reverse=True)))
        with pytest.raises(ValueError, match=f"expected a parent in .* and a name in .*, found none for {lacking}"):
            read("tiny-imagenet", made["tiny-imagenet"], tree=tree)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt"):
        read("tiny-imagenet", made["tiny-imagenet"], tree=tmp_path / "nowhere.txt")


def test_tiny_imagenet_without_validation_table_or_with_a_strange_name_is_refused(tmp_path):
    folder = official.tiny_imagenet(tmp_path / "tiny-imagenet-200")
    stray = official.put(folder / "train" / official.WNIDS[0] / "images" / "cat.JPEG", official.jpeg())
    with pytest.raises(ValueError, match=r"expected names n01443537_<number>, got cat.JPEG"):
        read("tiny-imagenet", folder)
    stray.unlink()
    (folder / "val" / "images" / "val_0.JPEG").unlink()
    with pytest.raises(ValueError, match=r"1 of the 6 images in it are missing \(images/val_0.JPEG\)"):
        read("tiny-imagenet", folder)
    assert read("tiny-imagenet", folder, skip_missing=True).counts == {"train": 12, "validation": 5}
    (folder / "val" / "val_annotations.txt").unlink()
    with pytest.raises(ValueError, match=r"expected val_annotations.txt, found none"):
        read("tiny-imagenet", folder)


# --- arrays ---------------------------------------------------------------------------------------------


def test_cifar10_has_every_pixel_of_the_binary_files(made, tmp_path):
    collection = prepared("cifar10", made["cifar10"], tmp_path / "cifar10")
    for split, (pixels, numbers) in zip(("train", "test"), official.cifar10_arrays(), strict=True):
        part = collection.subset((collection.table["split"] == split).to_numpy())
        np.testing.assert_array_equal(part.images(32, progress=False), pixels)
        assert part.table["label"].tolist() == [official.CIFAR_NAMES[number] for number in numbers]
    assert collection.table["file_name"][3] == "cat/00003.png"


def test_cifar10_refuses_half_a_record_and_a_class_without_name(tmp_path):
    folder = official.cifar10(tmp_path / "cifar-10-batches-bin")
    batch = folder / "data_batch_2.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"data_batch_2.bin: expected whole records of 3,073 bytes, got 9,218 bytes"):
        read("cifar10", folder)
    batch.write_bytes(bytes([10]) + whole[1:])
    with pytest.raises(ValueError, match=r"batches.meta.txt: expected 11 names or more, got 10"):
        read("cifar10", folder)
    batch.unlink()
    with pytest.raises(ValueError, match=r"expected data_batch_2.bin, found none"):
        read("cifar10", folder)


def test_fashion_mnist_has_its_labels_and_every_pixel(made, tmp_path):
    folder = official.fashion_mnist(tmp_path / "FashionMNIST" / "raw")
    collection = prepared("fashion-mnist", tmp_path / "FashionMNIST", tmp_path / "fashion-mnist")
    assert collection.table["split"].value_counts().to_dict() == {"train": 12, "test": 4}
    assert collection.table["label"].tolist()[:2] == ["T-shirt/top", "Trouser"]
    assert collection.table["file_name"][0] == "T-shirt-top/00000.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(collection.image(11)[..., 0], pixels[11])
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (official.idx(np.zeros((3, 3), np.uint8)), "expected an IDX file with 3 axes, got 21 bytes"),
        (official.idx(np.zeros((12, 28, 28), np.uint8))[:-1], "expected an IDX file with 3 axes, got 9,423 bytes"),
        (official.idx(np.zeros((11, 28, 28), np.uint8)), "expected 11 labels up to 9, got 12 up to 9"),
        (b"", "got 0 bytes, b''"),
    ],
)
def test_fashion_mnist_refuses_other_arrays(content, message, tmp_path):
    official.fashion_mnist(tmp_path)
    official.put(tmp_path / "train-images-idx3-ubyte.gz", gzip.compress(content))
    with pytest.raises(ValueError, match=message):
        read("fashion-mnist", tmp_path)


def test_a_damaged_gzip_is_named(tmp_path):
    official.fashion_mnist(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte.gz could not be unpacked"):
        read("fashion-mnist", tmp_path)


def test_a_flipped_bit_in_a_gzip_is_named_wherever_it_is(tmp_path):
    official.fashion_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    pixels = np.add.outer(np.arange(12), np.add.outer(np.arange(28), np.arange(28))) % 50 * 5
    sound = gzip.compress(official.idx(pixels.astype(np.uint8)))  # pictures that compress, as the real ones do
    rng = np.random.default_rng(0)
    for place in rng.integers(10, len(sound), 100):  # behind the head, which holds a date and the like
        flipped = bytearray(sound)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz could not be unpacked"):
            read("fashion-mnist", tmp_path)


# --- linked collections ---------------------------------------------------------------------------------


def test_a_class_without_validation_images_is_refused(tmp_path):
    folder = official.places365(tmp_path / "places365_standard")
    shutil.rmtree(folder / "val" / "airfield")
    with pytest.raises(ValueError, match="val: expected a folder of images for each class, found none for airfield"):
        read("places365", folder)


def test_imagenet_is_linked_and_not_copied(tmp_path):
    folder = official.imagenet(tmp_path / "official")
    collection = prepared("imagenet", folder, tmp_path / "imagenet", tree=tmp_path / "wordnet.is_a.txt")
    assert collection.table.groupby(["split", "label"]).size().tolist() == [3] * 3 + [2] * 3
    written = [path for path in (tmp_path / "imagenet").rglob("*") if path.is_file() and path.suffix != ".csv"]
    assert written == []
    assert (tmp_path / "imagenet" / "train" / "images").resolve() == folder / "ILSVRC" / "Data" / "CLS-LOC" / "train"
    for i, row in collection.table.iterrows():
        assert abs(int(collection.image(i)[0, 0, 0]) - official.WNIDS.index(row["label"])) <= 3
    assert collection.hierarchy.query("leaf")["class"].tolist() == official.WNIDS


def test_classes_of_linked_collections_can_be_chosen(made):
    contents = read("imagenet", made["imagenet"], classes=official.WNIDS[1:], per_class=1)
    assert contents.counts == {"train": 2, "validation": 2}
    assert read("places365", made["places365"], classes=["kitchen"]).counts == {"train": 3, "validation": 1}
    with pytest.raises(ValueError, match=r"expected some of its 2 classes .airfield, kitchen, .*, got .'cellar'"):
        read("places365", made["places365"], classes=["cellar"])


# --- the real collections, laid out again as their official files are ---------------------------------------


def real(name):
    """The folder of a real collection and its tables by split; the test is skipped where it is not here."""
    try:
        folder = collections.read(name).folder
    except FileNotFoundError:
        pytest.skip(f"{name} is not in $RETRIEVAL_DATA ({os.environ.get('RETRIEVAL_DATA', 'not set')})")
    tables = {
        path.parent.name: pd.read_csv(path, dtype=str, keep_default_na=False) for path in folder.glob("*/metadata.csv")
    }
    return folder, tables


def same(contents, tables):
    assert contents.tables.keys() == tables.keys()
    for split, table in tables.items():
        pd.testing.assert_frame_equal(contents.tables[split].reset_index(drop=True), table, check_dtype=False)


def test_fashion_products_come_back_from_styles_csv(tmp_path):
    folder, tables = real("fashion-products")
    rows = tables["train"].drop(columns="file_name").sample(frac=1, random_state=0)
    lines = [",".join(row) for row in rows.itertuples(index=False)]  # nothing quoted, as in the official file
    official.put(tmp_path / "styles.csv", "\n".join([",".join(FASHION_COLUMNS), *lines]))
    (tmp_path / "images").symlink_to(folder / "train")
    same(read("fashion-products", tmp_path), tables)
    if len(tables["train"]) == collections.known()["fashion-products"]["images"]["train"]:  # the course's selection
        same(read("fashion-products", tmp_path, per_group=40), tables)


@pytest.mark.slow
def test_tiny_imagenet_comes_back_with_its_tree(tmp_path):
    folder, tables = real("tiny-imagenet-100")
    root = tmp_path / "tiny-imagenet-200"
    tree = pd.read_csv(folder / "classes.csv", dtype=str, keep_default_na=False)
    leaves = tree["class"][tree["leaf"] == "1"].tolist()
    official.put(root / "wnids.txt", "\n".join(leaves))
    official.put(root / "words.txt", "\n".join(tree["class"] + "\t" + tree["name"]))
    is_a = official.put(tmp_path / "is_a.txt", "\n".join((tree["parent"] + " " + tree["class"])[tree["parent"] != ""]))
    for wnid in leaves:
        (root / "train" / wnid).mkdir(parents=True)
        (root / "train" / wnid / "images").symlink_to(folder / "train" / wnid)
    (root / "val" / "images").mkdir(parents=True)
    lines = []
    for name, label in tables["validation"].sample(frac=1, random_state=0).itertuples(index=False):
        photo = name.partition("/")[2]
        (root / "val" / "images" / photo).symlink_to(folder / "validation" / name)
        lines.append(f"{photo}\t{label}\t0\t0\t63\t63")
    official.put(root / "val" / "val_annotations.txt", "\n".join(lines))
    contents = read("tiny-imagenet", tmp_path, per_class=200, tree=is_a)
    same(contents, tables)
    assert contents.extra["classes.csv"].to_csv(index=False) == (folder / "classes.csv").read_text(encoding="utf-8")


@pytest.mark.slow
def test_flickr8k_comes_back_from_its_lists_and_tokens(tmp_path):
    folder, tables = real("flickr8k")
    photos = tmp_path / "Flicker8k_Dataset"
    photos.mkdir()
    lines = []
    for split, name in (("train", "trainImages"), ("validation", "devImages"), ("test", "testImages")):
        rows = tables[split].sample(frac=1, random_state=0)
        official.put(tmp_path / f"Flickr_8k.{name}.txt", "\n".join(rows["file_name"]))
        for photo, *captions in rows.itertuples(index=False):
            (photos / photo).symlink_to(folder / split / photo)
            lines += [f"{photo}#{n}\t{caption}" for n, caption in enumerate(captions)]
    official.put(tmp_path / "Flickr8k.token.txt", "\n".join(lines))
    same(read("flickr8k", tmp_path), tables)


def test_scenes15_keep_the_split_of_their_folders():
    folder, tables = real("scenes15")
    contents = read("scenes15", folder)
    for split, table in tables.items():
        ours = contents.tables[split].astype(str).sort_values("file_name", ignore_index=True)
        pd.testing.assert_frame_equal(ours, table.sort_values("file_name", ignore_index=True), check_dtype=False)


def test_clothing_co_parsing_comes_back_from_matlab_files(tmp_path):
    folder, tables = real("clothing-co-parsing")
    names = pd.read_csv(folder / "mask_labels.csv", keep_default_na=False)["label_name"].tolist()
    cells = np.empty((1, len(names)), object)
    cells[0] = names
    official.put(tmp_path / "README.md", "")
    official.savemat(tmp_path / "label_list.mat", {"label_list": cells})
    for kind in ("photos", "annotations/pixel-level", "annotations/image-level"):
        (tmp_path / kind).mkdir(parents=True)
    some = pd.concat([tables["train"].iloc[::100], tables["train"].iloc[[-1]]], ignore_index=True)
    masks = {}
    for photo, mask, labels in some.itertuples(index=False):
        (tmp_path / "photos" / photo).symlink_to(folder / "train" / photo)
        if mask:
            masks[f"train/{mask}"] = values = np.asarray(Image.open(folder / "train" / mask))
            official.savemat(tmp_path / f"annotations/pixel-level/{Path(photo).stem}.mat", {"groundtruth": values})
        else:
            numbers = np.array([[names.index(label)] for label in labels.split("|")])
            official.savemat(tmp_path / f"annotations/image-level/{Path(photo).stem}.mat", {"tags": numbers})
    contents = read("clothing-co-parsing", tmp_path)
    same(contents, {"train": some})
    assert len(masks) > 5
    for name, values in masks.items():
        np.testing.assert_array_equal(np.asarray(contents.images[name]()), values)


# --- whatever the layout --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_an_empty_folder_and_another_collection_are_refused_by_every_layout(layout, made, tmp_path):
    with pytest.raises(ValueError, match=f"{layout}: expected"):
        read(layout, tmp_path)
    with pytest.raises(ValueError, match=f"{layout}: expected"):
        read(layout, made["clothing-co-parsing" if layout != "clothing-co-parsing" else "fashion-mnist"])


def test_unknown_layouts_options_and_folders_are_refused(made, tmp_path):
    with pytest.raises(ValueError, match=r"expected one of the layouts fashion-products, .*, got 'coco'"):
        read("coco", tmp_path)
    with pytest.raises(ValueError, match=r"flickr8k takes the options skip_missing, got classes"):
        read("flickr8k", made["flickr8k"], classes=["a"])
    with pytest.raises(ValueError, match=r"cifar10 takes the options \(none\), got seed"):
        read("cifar10", made["cifar10"], seed=1)
    with pytest.raises(ValueError, match="nowhere: expected a file or folder, found nothing"):
        read("cifar10", tmp_path / "nowhere")


@pytest.mark.parametrize("layout", ["tiny-imagenet", "imagenet", "places365"])
def test_less_than_one_image_of_each_class_is_refused(layout, made):
    for per_class in (0, -1):
        with pytest.raises(ValueError, match=f"per_class must be an integer of at least 1, got {per_class}"):
            read(layout, made[layout], per_class=per_class)


def test_two_files_that_may_both_be_meant_are_refused(tmp_path):
    for name in ("one", "two"):
        official.put(tmp_path / name / "wnids.txt", "n01443537\n")
    with pytest.raises(ValueError, match=r"expected one wnids.txt, got .*one/wnids.txt and .*two/wnids.txt"):
        read("tiny-imagenet", tmp_path)


def test_a_name_that_leads_out_of_the_collection_is_refused(tmp_path):
    flickr = official.flickr8k(tmp_path / "flickr8k")
    for part in ("Flickr8k.token.txt", "Flickr_8k.devImages.txt"):
        table = flickr / "Flickr8k_text" / part
        table.write_text(table.read_text().replace("c.jpg", "../../c.jpg"))
    official.put(tmp_path / "c.jpg", official.jpeg())  # not in the folder, but there
    cifar = official.cifar10(tmp_path / "cifar-10-batches-bin")
    names = cifar / "batches.meta.txt"
    names.write_text(names.read_text().replace("cat", ".."))
    with pytest.raises(ValueError, match=r"'\.\./\.\./c\.jpg' in validation leaves the collection"):
        read("flickr8k", flickr)
    with pytest.raises(ValueError, match=r"'\.\./00003\.png' in train leaves the collection"):
        read("cifar10", cifar)


def test_a_name_that_is_a_path_from_the_root_is_refused(tmp_path):
    private = official.put(tmp_path / "private" / "me.JPEG", official.jpeg())
    for name in (str(private), "./val_0.JPEG", "a//val_0.JPEG"):
        folder = official.tiny_imagenet(tmp_path / "tiny-imagenet-200")
        official.put(folder / "val" / "images" / "a" / "val_0.JPEG", official.jpeg())
        table = folder / "val" / "val_annotations.txt"
        table.write_text(table.read_text().replace("val_0.JPEG", name))
        with pytest.raises(ValueError, match="leaves the collection"):
            read("tiny-imagenet", folder)


def test_photos_are_copied_byte_for_byte_and_what_is_ours_is_moved(tmp_path):
    theirs, ours = (official.flickr8k(tmp_path / name) for name in ("theirs", "ours"))
    before = {path.name: path.read_bytes() for path in (theirs / "Flicker8k_Dataset").iterdir()}
    for name, folder, n_left in (("copied", theirs, 5), ("moved", ours, 1)):
        prepared("flickr8k", folder, tmp_path / name, movable=ours)
        assert (tmp_path / name / "train" / "a.jpg").read_bytes() == before["a.jpg"]
        assert len(list((folder / "Flicker8k_Dataset").iterdir())) == n_left  # e.jpg is in no split
    assert {path.name: path.read_bytes() for path in (theirs / "Flicker8k_Dataset").iterdir()} == before


def test_only_larger_photos_are_shrunk(tmp_path):
    folder = official.flickr8k(tmp_path / "flickr8k")
    official.put(folder / "Flicker8k_Dataset" / "b.jpg", official.jpeg((200, 10, 10), size=(64, 32)))
    small = (folder / "Flicker8k_Dataset" / "a.jpg").read_bytes()
    collection = prepared("flickr8k", folder, tmp_path / "shrunk", long_side=16)
    assert collection.image(1).shape == (8, 16, 3)
    np.testing.assert_allclose(collection.image(1)[4, 8].astype(int), [200, 10, 10], atol=6)
    assert (tmp_path / "shrunk" / "train" / "a.jpg").read_bytes() == small


def test_a_broken_photo_cannot_be_shrunk_and_is_named(tmp_path):
    folder = official.flickr8k(tmp_path / "flickr8k")
    official.put(folder / "Flicker8k_Dataset" / "b.jpg", b"\xff\xd8\xff broken")
    with pytest.raises(ValueError, match=r"b.jpg could not be shrunk"):
        prepared("flickr8k", folder, tmp_path / "shrunk", long_side=16)


def test_a_full_disk_is_seen_before_the_first_photo_is_written(made, tmp_path, monkeypatch):
    monkeypatch.setattr(contents_module.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 100})())
    with pytest.raises(OSError, match=r"expected .* MB free for the photos of flickr8k, got 0.0 MB"):
        prepared("flickr8k", made["flickr8k"], tmp_path / "flickr8k")
    assert list((tmp_path / "flickr8k").iterdir()) == []
