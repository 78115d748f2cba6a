"""collection: collections in the layout, class folders, broken files, names. Each test makes its own folder."""

import csv
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from lib import collection, images


def _write_table(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "metadata.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def _write_image(path, colour=(10, 200, 30), size=(12, 8), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


@pytest.fixture
def shop(tmp_path):
    """Three images in train and two in test, with labels, captions, masks for two of them, and a tree."""
    folder = tmp_path / "shop"
    header = ["file_name", "label", "labels", "price", "usage", "code", "mask_file_name", "caption_2", "caption_1"]
    train = [
        ["a.png", "shoe", "shoe|hat", "10", "NA", "007", "masks/a.png", "a second", "a first"],
        ["b.png", "hat", "hat", "", "None", "012", "", "b second", ""],
        ["sub/c.png", "shoe", "", "12.5", "", "1", "masks/c.png", "c second", "c first"],
    ]
    test = [
        ["a.png", "hat", "hat|belt", "3", "Sports", "2", "", "d second", "d first"],
        ["e.png", "belt", "belt", "4", "Sports", "3", "", "e second", "e first"],
    ]
    for split, rows in (("train", train), ("test", test)):
        _write_table(folder / split, [header, *rows])
        for number, row in enumerate(rows):
            _write_image(folder / split / row[0], (number, 100, 200))
    indices = np.arange(12 * 8, dtype=np.uint8).reshape(8, 12) % 5
    for name in ("a", "c"):
        mask = Image.fromarray(indices).convert("P")
        mask.putpalette(bytes(range(255, 240, -1)))  # no colour is its own index
        (folder / "train" / "masks").mkdir(exist_ok=True)
        mask.save(folder / "train" / "masks" / f"{name}.png")
    (folder / "classes.csv").write_text("class,parent,name,leaf\nroot,,thing,0\nshoe,root,Shoe,1\nhat,root,Hat,1\n")
    (folder / "mask_labels.csv").write_text("value,label\n0,background\n1,shoe\n")
    return folder


# --- the table ----------------------------------------------------------------------------------------


def test_all_splits_are_loaded_unless_one_is_named(shop):
    whole, test = collection.read(shop), collection.read(shop, "test")
    assert whole.table["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert whole.table.index.tolist() == [0, 1, 2, 3, 4]
    assert (len(whole), len(test)) == (5, 2)
    assert test.table["file_name"].tolist() == ["a.png", "e.png"]
    assert test.table.index.tolist() == [0, 1]
    assert repr(test).startswith("Collection 'shop': 2 images (test 2), columns: file_name, label")


def test_an_image_comes_from_the_folder_of_its_own_split(shop):
    whole = collection.read(shop)
    assert whole.image(2)[0, 0].tolist() == [2, 100, 200]
    assert whole.image(3)[0, 0].tolist() == [0, 100, 200]
    assert whole.paths[3] == shop / "test" / "a.png"


def test_words_stay_words_and_numbers_become_numbers(shop):
    table = collection.read(shop).table
    assert table["usage"].tolist() == ["NA", "None", "", "Sports", "Sports"]
    assert table["code"].tolist() == ["007", "012", "1", "2", "3"]
    assert table["price"].dtype == np.float64
    np.testing.assert_array_equal(table["price"], [10, np.nan, 12.5, 3, 4])


def test_the_type_of_a_column_does_not_depend_on_the_split(shop):
    assert collection.read(shop, "test").table["price"].dtype == collection.read(shop, "train").table["price"].dtype
    assert collection.read(shop, "test").table["code"].tolist() == ["2", "3"]


def test_whole_numbers_are_integers(tmp_path):
    _write_table(tmp_path, [["file_name", "year", "label"], ["a.png", "2011", "3"], ["b.png", "2013", "10"]])
    table = collection.read(tmp_path).table
    assert table["year"].dtype == table["label"].dtype == np.int64


def test_numbers_that_two_spellings_share_and_labels_with_decimals_stay_text(tmp_path):
    header = ["file_name", "version", "price", "label"]
    _write_table(tmp_path, [header, ["a.png", "3.1", "3.1", "1.5"], ["b.png", "3.10", "3.2", "2.5"]])
    table = collection.read(tmp_path).table
    assert table["version"].tolist() == ["3.1", "3.10"]
    assert table["price"].tolist() == [3.1, 3.2]
    assert table["label"].tolist() == ["1.5", "2.5"]


def test_a_table_at_the_root_is_one_split_called_train(tmp_path):
    _write_table(tmp_path, [["file_name"], ["a.png"]])
    assert collection.read(tmp_path).table["split"].tolist() == ["train"]


def test_a_split_column_at_the_root_is_taken(tmp_path):
    _write_table(tmp_path, [["file_name", "split"], ["a.png", "train"], ["b.png", "test"]])
    _write_image(tmp_path / "b.png", (1, 2, 3))
    test = collection.read(tmp_path, "test")
    assert test.table["file_name"].tolist() == ["b.png"]
    assert test.image(0)[0, 0].tolist() == [1, 2, 3]


def test_a_split_column_that_says_something_else_is_refused(tmp_path):
    _write_table(tmp_path / "train", [["file_name", "split"], ["a.png", "test"]])
    with pytest.raises(ValueError, match="expected 'train' in every row"):
        collection.read(tmp_path)
    _write_table(tmp_path / "other", [["file_name", "split"], ["a.png", ""], ["b.png", "test"]])
    with pytest.raises(ValueError, match="1 rows have an empty split"):
        collection.read(tmp_path / "other")


def test_a_column_that_one_split_lacks_is_empty_there(tmp_path):
    _write_table(tmp_path / "train", [["file_name", "label"], ["a.png", "hat"]])
    _write_table(tmp_path / "test", [["file_name"], ["b.png"]])
    photos = collection.read(tmp_path)
    assert photos.table["label"].tolist() == ["hat", ""]
    assert list(photos.table.columns) == ["file_name", "label", "split"]


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path):
    (tmp_path / "metadata.csv").write_bytes("file_name,label\na.png,Schön\n".encode("utf-8-sig"))
    assert collection.read(tmp_path).table["label"].tolist() == ["Schön"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na.png,hat\n", "no column file_name; its columns are: name, label"),
        ("file_name;label\na.png;hat\n", "save it with commas between the columns"),
        ("", "no column file_name; its columns are: none"),
        ("file_name,label\n", "no row"),
        ("file_name, label\na.png,hat\n", "column ' label' has blanks around its name; write 'label'"),
        ("file_name\na.png\nb.png\na.png\n", "1 file names appear twice, the first is 'a.png'"),
        ("file_name,label,label\na.png,x,y\n", "a column appears twice"),
        ("file_name,label\na.png,x\nb.png\n", "line 3 has 1 values, the header has 2"),
        ("file_name,label\na.png,x,y\n", "line 2 has 3 values, the header has 2"),
        ('file_name,label\na.png,"x\n', "unexpected end of data"),
        ("file_name\n../a.png\n", "row 1: expected file_name to be a path below"),
        ("file_name\nb.png\nx/../../a.png\n", "row 2: expected file_name"),
        ("file_name\n/etc/a.png\n", "a path below"),
        ("file_name\nC:/a.png\n", "a path below"),
        ("file_name\nx\\a.png\n", "row 1: file_name 'x\\\\a.png' has a backslash; use /"),
        ("file_name\nb.png\na.png \n", "row 2: file_name 'a.png ' has blanks around it; remove them"),
        ("file_name,label\na.png,hat \n", "row 1: label 'hat ' has blanks around it"),
        ('file_name,label\n"",hat\n', "row 1: expected file_name"),
        ("file_name,mask_file_name\na.png,../m.png\n", "row 1: expected mask_file_name to be a path below"),
        ("file_name,label\na.png,hat\nb.png,\n", "1 of 2 labels are empty, the first in row 2; fill them in or remove"),
    ],
)
def test_an_unsound_table_is_refused(tmp_path, text, message):
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(ValueError, match="^" + str(tmp_path)) as caught:
        collection.read(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(("encoding", "first_byte"), [("cp1252", "0xf6"), ("utf-16", "0xff")])
def test_a_table_in_another_encoding_is_refused(tmp_path, encoding, first_byte):
    (tmp_path / "metadata.csv").write_bytes("file_name,label\na.png,Schön\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"metadata\.csv: not UTF-8 \(byte {first_byte}\); save it as 'CSV UTF-8'"):
        collection.read(tmp_path)


def test_tables_at_the_root_and_in_a_split_are_refused(shop):
    _write_table(shop, [["file_name"], ["a.png"]])
    with pytest.raises(ValueError, match=r"at the root or in splits, got it also in train/"):
        collection.read(shop)


def test_a_split_folder_without_a_table_beside_one_with_is_refused(shop):
    (shop / "test" / "metadata.csv").unlink()
    with pytest.raises(ValueError, match=r"no metadata\.csv in test/, but one in train/"):
        collection.read(shop)


def test_an_unknown_split_is_refused_with_those_there_are(shop):
    with pytest.raises(ValueError, match="no split 'validation'; it has: train, test"):
        collection.read(shop, "validation")


# --- your own photos ----------------------------------------------------------------------------------


def test_class_folders_are_labels(tmp_path):
    for name in ("wood/2.PNG", "wood/1.jpg", "sea/1.jpeg", "sea/.hidden.jpg", "__MACOSX/1.jpg", ".trash/1.jpg"):
        _write_image(tmp_path / name)
    photos = collection.read(tmp_path)
    assert photos.table["file_name"].tolist() == ["sea/1.jpeg", "wood/1.jpg", "wood/2.PNG"]
    assert photos.table["label"].tolist() == ["sea", "wood", "wood"]
    assert set(photos.table["split"]) == {"train"}
    assert photos.images(4).shape == (3, 4, 4, 3)


def test_class_folders_below_split_folders(tmp_path):
    for name in ("train/sea/1.png", "train/wood/1.png", "test/sea/1.png"):
        _write_image(tmp_path / name)
    photos = collection.read(tmp_path)
    assert photos.table["split"].tolist() == ["train", "train", "test"]
    assert photos.table["label"].tolist() == ["sea", "wood", "sea"]
    assert photos.paths[2] == tmp_path / "test" / "sea" / "1.png"


def test_photos_without_classes_have_no_label(tmp_path):
    _write_image(tmp_path / "2.png")
    _write_image(tmp_path / "1.png")
    table = collection.read(tmp_path).table
    assert table["file_name"].tolist() == ["1.png", "2.png"]
    assert "label" not in table


def test_files_that_are_no_photos_are_named_in_a_warning(tmp_path):
    _write_image(tmp_path / "sea" / "1.png")
    _write_image(tmp_path / "_sorted" / "1.png")
    _write_image(tmp_path / "__MACOSX" / "1.png")
    for name in ("sea/IMG_1.heic", "sea/Thumbs.db", "sea/.DS_Store", "README.md", "plan.pdf"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"3 files or folders are left out: plan\.pdf, _sorted/, sea/IMG_1\.heic"):
        assert len(collection.read(tmp_path)) == 1


def test_photos_beside_split_folders_are_named_in_a_warning(tmp_path):
    for name in ("train/sea/1.png", "test/sea/1.png", "1.png"):
        _write_image(tmp_path / name)
    with pytest.warns(UserWarning, match=r"1 files or folders are left out: 1\.png"):
        assert len(collection.read(tmp_path)) == 2


def test_the_name_of_a_class_folder_is_text(tmp_path):
    for name in ("3.1/1.png", "3.10/1.png", "train/10/1.png", "train/5/1.png"):
        _write_image(tmp_path / ("plain" if name[0] == "3" else "split") / name)
    assert collection.read(tmp_path / "plain").table["label"].tolist() == ["3.1", "3.10"]
    assert collection.read(tmp_path / "split").table["label"].tolist() == ["10", "5"]


def test_every_suffix_of_a_jpeg_is_a_photo(tmp_path):
    for suffix in ("jpg", "JPEG", "jpe", "jfif"):
        _write_image(tmp_path / "sea" / f"1.{suffix}", format="JPEG")
    assert collection.read(tmp_path).images(4).shape == (4, 4, 4, 3)


def test_a_folder_of_heic_photos_says_that_they_must_be_converted(tmp_path):
    (tmp_path / "sea").mkdir()
    (tmp_path / "sea" / "IMG_1.HEIC").touch()
    with pytest.raises(
        ValueError, match=r"sea: a class folder without photos, but 1 \.HEIC file lies there; convert it"
    ):
        collection.read(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.png", "sea/1.png"], "1 photos beside class folders, the first is 1.png"),
        (["train/1.png", "train/sea/1.png"], "train: 1 photos beside class folders"),
        (["train/sea/1.png", "wood/1.png"], "split folders .train. beside others .wood."),
        (["sea/north/1.png"], "a class folder holds photos, not folders .north/."),
        (["sea/1.png", "wood/readme.txt"], "a class folder without photos, expected .jpg"),
        (["train/sea/1.png", "test/1.png"], "some splits have class folders, others have none"),
        (["readme.txt"], "no metadata.csv and no photos"),
    ],
)
def test_mixed_layouts_are_refused(tmp_path, names, message):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        collection.read(tmp_path)


# --- names --------------------------------------------------------------------------------------------


def test_a_name_is_looked_up_in_every_folder_of_the_variable(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_DATA", os.pathsep.join([str(tmp_path / "nowhere"), str(tmp_path)]))
    assert collection.read("shop").folder == shop


def test_a_name_is_found_in_data_of_a_parent_of_the_working_directory(shop, tmp_path, monkeypatch):
    monkeypatch.delenv("RETRIEVAL_DATA", raising=False)
    (tmp_path / "course" / "data").mkdir(parents=True)
    (tmp_path / "course" / "notebooks").mkdir()
    shop.rename(tmp_path / "course" / "data" / "shop")
    monkeypatch.chdir(tmp_path / "course" / "notebooks")
    assert collection.read("shop").folder == tmp_path / "course" / "data" / "shop"


def test_the_variable_comes_before_data(shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _write_image(tmp_path / "data" / "shop" / "sea" / "1.png")
    monkeypatch.setenv("RETRIEVAL_DATA", str(tmp_path))
    assert len(collection.read("shop")) == 5
    monkeypatch.delenv("RETRIEVAL_DATA")
    assert len(collection.read("shop")) == 1


def test_an_unknown_name_lists_what_is_known_and_where_it_looked(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "a.npy").touch()
    with pytest.raises(ValueError, match="no collection 'shoop'") as caught:
        collection.read("shoop")
    assert "features" not in str(caught.value).partition("Looked for")[0]
    for part in ("./shoop", "shop", "catalogue", "tiny-imagenet-100", str(tmp_path / "shoop")):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("catalogue", "run `python -m course catalogue`"),
        ("catalogue-probes", "run `python -m course catalogue`"),
        ("scenes15", "data fetch scenes15"),
        ("flickr8k", "data prepare flickr8k --from"),
    ],
)
def test_a_known_collection_that_is_absent_says_how_it_is_got(name, advice, tmp_path, monkeypatch):
    monkeypatch.delenv("RETRIEVAL_DATA", raising=False)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        collection.read(name)
    for part in (advice, str(tmp_path / "data" / name), "$RETRIEVAL_DATA"):
        assert part in str(caught.value)


@pytest.mark.parametrize("folder", ["./nowhere", ""])
def test_a_folder_that_is_not_there_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a folder, got"):
        collection.read(folder)


def test_every_known_collection_has_its_facts():
    pages = collection.known()
    assert {"catalogue", "fashion-products", "clothing-co-parsing", "flickr8k", "scenes15"} < pages.keys()
    for name, page in pages.items():
        assert {"title", "what", "splits", "terms", "citation", "how_to_get"} <= page.keys(), name
        assert set(page.get("images", page["splits"])) == set(page["splits"]), name


# --- pixels -------------------------------------------------------------------------------------------


def _of_one_image(path):
    _write_table(path.parent, [["file_name"], [path.name]])
    return collection.read(path.parent)


def test_loading_opens_no_image(tmp_path):
    _write_table(tmp_path, [["file_name"], ["missing.png"]])
    assert len(collection.read(tmp_path)) == 1


@pytest.mark.parametrize(
    ("mode", "stored", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 200 * 256 + 255, (200, 200, 200)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (200, 0, 0, 255), (200, 0, 0)),
        ("LA", (50, 0), (255, 255, 255)),
    ],
)
def test_every_mode_comes_as_rgb(tmp_path, mode, stored, expected):
    image = _of_one_image(_write_image(tmp_path / "a.png", stored, mode=mode)).image(0)
    assert (image.shape, image.dtype) == ((8, 12, 3), np.uint8)
    assert (image == expected).all()


def test_a_palette_is_looked_up_and_its_transparent_entry_is_white(tmp_path):
    indices = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    indices.putpalette([9, 8, 7, 60, 50, 40, 1, 2, 3])
    indices.save(tmp_path / "a.png", transparency=2)
    assert _of_one_image(tmp_path / "a.png").image(0).tolist() == [[[9, 8, 7], [60, 50, 40], [255, 255, 255]]]


def test_an_image_is_turned_upright(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255  # stored: left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # show it turned by 90 degrees clockwise: upper half white
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    image = _of_one_image(tmp_path / "a.jpg").image(0)
    assert image.shape == (16, 8, 3)
    assert (image[:8] > 200).all()
    assert (image[8:] < 55).all()


def test_squash_and_crop(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, 4:12] = (100, 150, 200)  # the central square
    Image.fromarray(pixels).save(tmp_path / "a.png")
    photos = _of_one_image(tmp_path / "a.png")
    squashed, cropped = (photos.images(8, fit=fit)[0] for fit in ("squash", "crop"))
    assert (squashed[:, 0] == 0).all() and (squashed[:, 4] == (100, 150, 200)).all()
    assert (cropped == (100, 150, 200)).all()


def test_grey_is_the_luma_in_three_channels(tmp_path):
    grey = _of_one_image(_write_image(tmp_path / "a.png", (100, 150, 200))).images(4, grey=True)
    assert (grey == round(0.299 * 100 + 0.587 * 150 + 0.114 * 200)).all()


def test_images_keep_the_order_of_the_table(tmp_path):
    n = 100
    for i in range(n):
        _write_image(tmp_path / f"{i}.png", (i, 0, 255 - i))
    _write_table(tmp_path, [["file_name"], *[[f"{i}.png"] for i in reversed(range(n))]])
    pixels = collection.read(tmp_path).images(5)
    assert (pixels.shape, pixels.dtype) == ((n, 5, 5, 3), np.uint8)
    np.testing.assert_array_equal(pixels[:, 0, 0, 0], np.arange(n)[::-1])


def test_a_large_jpeg_scales_as_if_all_its_pixels_were_decoded(tmp_path):
    rows, columns = np.mgrid[:800, :1200]
    board = np.where((rows // 16 + columns // 16) % 2, 200, 60)
    pixels = np.stack([board, board, board], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    photos = _of_one_image(tmp_path / "a.jpg")
    for size in (32, 128):  # decoded at 1/8 and at 1/2
        whole = Image.fromarray(photos.image(0)).resize((size, size), Image.Resampling.BILINEAR)
        assert np.abs(np.asarray(whole).astype(int) - photos.images(size)[0]).mean() < 2


@pytest.mark.parametrize(("size", "fit"), [(0, "squash"), (2.5, "squash"), ((8, 8), "crop"), (8, "pad")])
def test_a_wrong_size_or_fit_is_refused(shop, size, fit):
    with pytest.raises(ValueError, match="must be"):
        collection.read(shop).images(size, fit=fit)


@pytest.mark.parametrize("row", [-1, 5])
def test_a_row_outside_is_refused(shop, row):
    with pytest.raises(ValueError, match="expected a row from 0 to 4 of shop"):
        collection.read(shop).image(row)


def test_no_images_are_an_empty_array(shop):
    assert collection.read(shop).subset([]).images(6).shape == (0, 6, 6, 3)


# --- broken images ------------------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path):
    """Two sound images, rows 0 and 3, and six broken ones."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    noise.save(tmp_path / "noise.png")
    noise.save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "cut.png").write_bytes((tmp_path / "noise.png").read_bytes()[:3000])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "folder.jpg").mkdir()
    names = ["whole.jpg", "cut.jpg", "cut.png", "noise.png", "empty.jpg", "text.jpg", "missing.jpg", "folder.jpg"]
    _write_table(tmp_path, [["file_name"], *[[name] for name in names]])
    return collection.read(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (1, "cut.jpg: .*truncated"),
        (2, "cut.png: .*truncated"),
        (4, "empty.jpg: empty file .0 bytes."),
        (5, "text.jpg: not an image in a supported format"),
        (6, "missing.jpg: no such file"),
        (7, "folder.jpg: "),
    ],
)
def test_a_broken_image_is_named_and_refused(broken, row, message):
    with pytest.raises(ValueError, match=message):
        broken.image(row)


def test_images_counts_and_names_the_broken(broken):
    with pytest.raises(ValueError, match=r"^6 of 8 photos of .* cannot be read; .*check.* Row 1: .*cut\.jpg") as caught:
        broken.images(8)
    assert "\n  row 2: " in str(caught.value) and "and 1 more" in str(caught.value)


def test_check_leaves_the_broken_out_and_keeps_rows_aligned(broken):
    readable, causes = broken.check()
    assert readable.table["file_name"].tolist() == ["whole.jpg", "noise.png"]
    assert readable.images(64)[1].tolist() == broken.image(3).tolist()
    assert causes["row"].tolist() == [1, 2, 4, 5, 6, 7]
    assert causes["file_name"].iloc[-2] == "missing.jpg" and "no such file" in causes["cause"].iloc[-2]


def test_check_of_a_sound_collection_finds_nothing(shop):
    readable, causes = collection.read(shop).check()
    assert (len(readable), len(causes)) == (5, 0)
    assert list(causes.columns) == ["row", "file_name", "split", "cause"]


def test_an_image_that_claims_too_many_pixels_is_refused(tmp_path, monkeypatch):
    photos = _of_one_image(_write_image(tmp_path / "a.png", size=(100, 100)))
    monkeypatch.setattr(images, "MAX_PIXELS", 9_999)
    with pytest.raises(ValueError, match=r"expected at most 9,999 pixels, got 100 x 100"):
        photos.images(8)


def test_a_format_that_starts_another_program_is_not_read(tmp_path):
    _write_image(tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match="not an image in a supported format"):
        _of_one_image(tmp_path / "a.png").image(0)


def test_float_pixels_are_refused(tmp_path):
    path = _write_image(tmp_path / "a.tiff", 0.5, mode="F")
    with pytest.raises(ValueError, match=r"expected 8 or 16 bits a channel, got mode F from 0\.5 to 0\.5"):
        _of_one_image(path).image(0)


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
def test_progress_is_shown_to_someone_who_looks_on(shop, monkeypatch, looks_on, variable, progress, shown):
    disabled = []

    class Bar(images.tqdm):
        def __init__(self, *arguments, disable, **more):
            disabled.append(disable)
            super().__init__(*arguments, disable=True, **more)

    monkeypatch.setattr(images, "tqdm", Bar)
    monkeypatch.delitem(images.sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(images.sys.stderr, "isatty", lambda: looks_on, raising=False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if variable is not None:
        monkeypatch.setenv("TQDM_DISABLE", variable)
    collection.read(shop).images(8, progress=progress)
    assert disabled == [not shown]


# --- masks, captions, labels, tree ----------------------------------------------------------------------


def test_masks_keep_the_indices_of_the_palette(shop):
    train = collection.read(shop, "train")
    masked = train.subset(train.table["mask_file_name"] != "")
    stored = np.arange(12 * 8).reshape(8, 12) % 5
    np.testing.assert_array_equal(masked.mask(1), stored)
    masks = masked.masks(16)
    assert (masks.shape, masks.dtype) == ((2, 16, 16), np.uint8)
    assert set(np.unique(masks)) == {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(masked.masks(4, fit="crop")[0], stored[1::2, 3:11:2])
    assert train.mask_labels == {0: "background", 1: "shoe"}


def test_a_row_without_a_mask_is_refused_with_the_way_out(shop):
    train = collection.read(shop, "train")
    with pytest.raises(ValueError, match=r"1 of 3 rows of shop have no mask, the first is row 1; keep those"):
        train.masks(8)
    with pytest.raises(ValueError, match="row 1"):
        train.mask(1)


def test_a_collection_without_masks_or_captions_or_label_sets_says_so(tmp_path):
    photos = _of_one_image(_write_image(tmp_path / "a.png"))
    for ask in (lambda: photos.masks(8), lambda: photos.captions, lambda: photos.label_sets()):
        with pytest.raises(ValueError, match="it has: file_name, split"):
            ask()
    with pytest.raises(ValueError, match=r"no mask_labels\.csv"):
        _ = photos.mask_labels
    assert photos.hierarchy is None


def test_a_mask_in_colour_is_refused(shop):
    _write_image(shop / "train" / "masks" / "a.png")
    with pytest.raises(ValueError, match="got mode RGB"):
        collection.read(shop, "train").mask(0)


def test_captions_come_in_the_order_of_their_numbers_without_empty_ones(shop):
    captions = collection.read(shop, "train").captions
    assert captions == [["a first", "a second"], ["b second"], ["c first", "c second"]]


def test_label_sets_have_the_same_columns_in_every_split(shop):
    train, names = collection.read(shop, "train").label_sets()
    test, names_of_test = collection.read(shop, "test").label_sets()
    assert names == names_of_test == ["belt", "hat", "shoe"]
    assert train.tolist() == [[False, True, True], [False, True, False], [False, False, False]]
    assert test.tolist() == [[True, True, False], [True, False, False]]


def test_label_sets_of_chosen_names_leave_the_others_out(shop):
    chosen, names = collection.read(shop, "train").label_sets(["shoe", "belt"])
    assert (chosen.tolist(), names) == ([[True, False], [False, False], [False, False]], ["shoe", "belt"])
    with pytest.raises(ValueError, match=r"names must be from belt, hat, shoe, each once, got .'scarf'."):
        collection.read(shop).label_sets(["scarf"])


def test_the_tree_of_classes(shop):
    tree = collection.read(shop).hierarchy
    assert tree["class"].tolist() == ["root", "shoe", "hat"]
    assert tree["parent"].tolist() == ["", "root", "root"]
    assert tree["leaf"].tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,parent,name\na,,A\n", "no column leaf"),
        ("class,parent,name,leaf\na,b,A,1\n", "these parents are not classes: b"),
        ("class,parent,name,leaf\na,,A,1\na,,A,1\n", "class 'a' appears twice"),
        ("class,parent,name,leaf\na,,A,yes\n", "leaf must be 0 or 1, got yes"),
    ],
)
def test_an_unsound_tree_is_refused(shop, text, message):
    (shop / "classes.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        _ = collection.read(shop).hierarchy


# --- subset -------------------------------------------------------------------------------------------


def test_a_subset_is_in_the_order_asked_and_numbered_anew(shop):
    whole = collection.read(shop)
    part = whole.subset([4, 0, 4])
    assert part.table["file_name"].tolist() == ["e.png", "a.png", "e.png"]
    assert part.table.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(part.images(8), whole.images(8)[[4, 0, 4]])
    assert len(whole) == 5


@pytest.mark.parametrize("rows", [[5], [-1], [0.5], [True, False], [[0, 1]]])
def test_rows_that_are_none_are_refused(shop, rows):
    with pytest.raises(ValueError, match=r"expected|must be"):
        collection.read(shop).subset(rows)


def test_where_compares_as_text_and_keeps_the_order(tmp_path):
    _write_table(tmp_path, [["file_name", "year"], ["a.png", "2011"], ["b.png", "2013"], ["c.png", "2011"]])
    photos = collection.read(tmp_path)
    assert photos.where("year", 2011).table["file_name"].tolist() == ["a.png", "c.png"]
    assert photos.where("year", "2013").table["file_name"].tolist() == ["b.png"]


def test_where_and_column_name_what_is_there(shop):
    photos = collection.read(shop)
    assert photos.column("label").tolist() == ["shoe", "hat", "shoe", "hat", "belt"]
    for ask in (lambda: photos.where("kind", "single"), lambda: photos.column("kind")):
        with pytest.raises(ValueError, match="shop has no column 'kind'; it has: file_name, label, labels"):
            ask()
    with pytest.raises(ValueError, match="shop has no row with label 'scarf'; it has: 'belt', 'hat', 'shoe'"):
        photos.where("label", "scarf")


def test_a_sample_is_the_start_of_a_permutation(shop):
    photos = collection.read(shop)
    names = photos.table["file_name"].to_numpy()
    for seed in (0, 3):
        rows = np.random.default_rng(seed).permutation(np.arange(5))
        assert photos.sample(3, seed).table["file_name"].tolist() == names[rows[:3]].tolist()
        assert photos.sample(9, seed).table["file_name"].tolist() == names[rows].tolist()
    assert len(photos.sample(None)) == 5
    with pytest.raises(ValueError, match="n must be a positive integer, got 0"):
        photos.sample(0)


# --- real collections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, page in collection.known().items() if "images" in page])
def test_a_real_collection_has_as_many_images_as_its_page_says(name):
    page = collection.known()[name]
    if not os.environ.get("RETRIEVAL_DATA"):
        pytest.skip("$RETRIEVAL_DATA is not set: the real collections are not here")
    try:
        photos = collection.read(name)
    except FileNotFoundError:
        pytest.skip(f"{name} is not in $RETRIEVAL_DATA")
    counts = photos.table["split"].value_counts().to_dict()
    assert counts in (page["images"], page.get("official"))  # the course's selection, or all of the official archive
    assert all(path.is_file() for path in photos.paths)
    some = photos.subset(np.linspace(0, len(photos) - 1, 64).astype(int))
    assert some.images(32).shape == (64, 32, 32, 3)
    if name == "clothing-co-parsing":
        masked = photos.subset(photos.table["mask_file_name"] != "")
        assert len(masked) == 1_004
        assert set(np.unique(masked.subset(range(40)).masks(64))) <= photos.mask_labels.keys()
        assert photos.label_sets()[0].any(axis=1).mean() > 0.99
    if name == "flickr8k":
        assert {len(captions) for captions in photos.captions} == {5}
    if name == "tiny-imagenet-100":
        if photos.hierarchy is not None:
            assert set(photos.hierarchy.query("leaf")["class"]) == set(photos.table["label"])
        single = next(i for i, path in enumerate(photos.paths) if Image.open(path).mode == "L")
        assert photos.image(single).shape == (64, 64, 3)


def test_importing_and_reading_a_table_warns_of_nothing(shop):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(collection.read(shop)) == 5
