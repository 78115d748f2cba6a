"""Small folders laid out as the official archives are, for the tests of layouts and commands."""

import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
from PIL import Image
from scipy.io import savemat

from course.collections.layouts import fashion_products as fashion
from course.collections.layouts.scenes import OUTDOOR8, SCENES15

LABELS = ["null", "bag", "hair", "skirt", "t-shirt"]
WNIDS = ["n01443537", "n01629819", "n02124075"]
WORDS = {
    "n00001740": "entity",
    "n00015388": "animal, beast",
    "n01443537": "goldfish, Carassius auratus",
    "n01629819": "European fire salamander",
    "n02124075": "Egyptian cat",
    "n02121808": "domestic cat, house cat",
}
IS_A = ["n00001740 n00015388", "n00015388 n01443537", "n00015388 n01629819", "n00015388 n02121808"]
IS_A += ["n02121808 n02124075", "n00001740 n02124075"]  # a second parent, which is not taken


def encoded(image):
    """The bytes of an image as a JPEG."""
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=95)
    return file.getvalue()


def jpeg(colour=(90, 120, 30), size=(6, 8), mode="RGB"):
    """The bytes of a JPEG of one colour; size is width and height."""
    return encoded(Image.new(mode, size, colour))


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(folder, path):
    """A zip archive of what lies in `folder`, with its name as the first part of every name."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            archive.write(file, f"{folder.name}/{file.relative_to(folder).as_posix()}")
    return path


def tarred(folder, path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def fashion_products(folder):
    """Six products in two groups of equal attributes; the photo of one is absent. Not in the order of their ids."""
    group = {
        "shirt": "Men,Apparel,Topwear,Tshirts,Blue,Summer",
        "watch": "Women,Accessories,Watches,Watches,Black,Winter",
    }
    rows = [
        f"1165,{group['shirt']},2013,Sports,Nike Mean Team, India, Cricket Jersey",
        f"1163,{group['shirt']},2011,Sports,Nike Sahara Jersey",
        f"30,{group['watch']},2012,NA,Titan Watch",
        f'31,{group["watch"]},2013,NA,"Titan ""Raga"", small"',
        f"32,{group['watch']},2014,NA,Absent Watch",
        f"33,{group['watch']},,NA,None",
    ]
    put(folder / "styles.csv", ",".join(fashion.COLUMNS) + "\n" + "\n".join(rows) + "\n")
    for number, product in enumerate((1165, 1163, 30, 31, 33)):
        put(folder / "images" / f"{product}.jpg", jpeg((20 * number, 100, 60)))
    return folder


def clothing_co_parsing(folder):
    """Two photos with pixel masks, one with tags only."""
    for number, name in enumerate(("0001", "0002", "1005")):
        put(folder / "photos" / f"{name}.jpg", jpeg((20 * number, 100, 60), size=(20, 30)))
    for kind in ("pixel-level", "image-level"):
        (folder / "annotations" / kind).mkdir(parents=True)
    truth = np.zeros((30, 20), np.uint8)
    truth[:10], truth[20:] = 4, 2
    savemat(folder / "annotations" / "pixel-level" / "0001.mat", {"groundtruth": truth})
    savemat(folder / "annotations" / "pixel-level" / "0002.mat", {"groundtruth": np.full((30, 20), 3.0)})
    savemat(folder / "annotations" / "image-level" / "1005.mat", {"tags": np.array([[3], [1], [0]], np.uint8)})
    cells = np.empty((1, len(LABELS)), object)
    cells[0] = LABELS
    savemat(folder / "label_list.mat", {"label_list": cells})
    return folder


def flickr8k(folder):
    """Four photos in the splits 2 / 1 / 1, one more that no list names, and the stray line of the official file."""
    splits = {"trainImages": ["b.jpg", "a.jpg"], "devImages": ["c.jpg"], "testImages": ["d.jpg"]}
    lines = [f"{name}.jpg#{n}\tCaption {n} of {name} , a photo ." for name in "abcde" for n in (1, 0, 2, 3, 4)]
    put(folder / "Flickr8k_text" / "Flickr8k.token.txt", "\n".join([*lines, "e.jpg.1#0\tA stray line ."]))
    for name, photos in splits.items():
        put(folder / "Flickr8k_text" / f"Flickr_8k.{name}.txt", "\n".join(photos) + "\n")
    for number, name in enumerate("abcde"):
        put(folder / "Flicker8k_Dataset" / f"{name}.jpg", jpeg((20 * number, 100, 60)))
        put(folder / "__MACOSX" / "Flicker8k_Dataset" / f"._{name}.jpg", b"no image")
    return folder


def flickr30k(folder):
    splits = {"10.jpg": "train", "11.jpg": "train", "12.jpg": "val", "13.jpg": "test"}
    sentences = {photo: [f"Sentence {n} of {photo}." for n in range(5)] for photo in splits}
    images = [
        {"filename": photo, "split": split, "sentences": [{"raw": raw} for raw in sentences[photo]]}
        for photo, split in splits.items()
    ]
    put(folder / "dataset_flickr30k.json", json.dumps({"images": images, "dataset": "flickr30k"}))
    for photo in splits:
        put(folder / "flickr30k-images" / photo, jpeg())
    return folder


def scenes15(folder, per_class=102):
    official = {"suburb": "CALsuburb", "office": "PARoffice"}
    official |= {label: f"MIT{label}" for label in OUTDOOR8}
    photo = jpeg(120, (5, 4), "L")
    for label in SCENES15:
        for number in range(1, per_class + 1):
            put(folder / official.get(label, label) / f"image_{number:04d}.jpg", photo)
    return folder


def scenes8(folder, sizes):
    """All in one folder, as in the official archive. sizes: label -> number of photos."""
    photo = jpeg(size=(4, 4))
    for label, size in sizes.items():
        for number in range(size):
            put(folder / f"{label}_nat{number}.jpg", photo)
    return folder


def tiny_imagenet(folder, n_train=4, n_validation=2):
    put(folder / "wnids.txt", "\n".join(reversed(WNIDS)) + "\n")
    put(folder / "words.txt", "".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()))
    put(folder.parent / "wordnet.is_a.txt", "\n".join(IS_A) + "\n")
    lines = []
    for c, wnid in enumerate(WNIDS):
        for number in range(n_train):
            put(folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", jpeg((c, number, 0)))
        put(folder / "train" / wnid / f"{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t0\t5\t5\n")
        for number in range(n_validation):
            name = f"val_{len(WNIDS) * number + c}.JPEG"
            put(folder / "val" / "images" / name, jpeg((c, number, 255)))
            lines.append(f"{name}\t{wnid}\t0\t0\t5\t5")
    put(folder / "val" / "val_annotations.txt", "\n".join(lines) + "\n")
    put(folder / "test" / "images" / "test_0.JPEG", jpeg())
    return folder


CIFAR_NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def cifar10_arrays(per_batch=3, seed=0):
    """(pixels (n, 32, 32, 3), numbers (n,)) of the five training batches together, and of the test batch."""
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n) % 10) for n in (5 * per_batch, per_batch)
    ]


def cifar10(folder, per_batch=3):
    """The binary version."""
    (train, train_numbers), (test, test_numbers) = cifar10_arrays(per_batch)

    def records(pixels, numbers):
        return b"".join(bytes([n]) + p.transpose(2, 0, 1).tobytes() for p, n in zip(pixels, numbers, strict=True))

    for batch in range(5):
        part = slice(batch * per_batch, (batch + 1) * per_batch)
        put(folder / f"data_batch_{batch + 1}.bin", records(train[part], train_numbers[part]))
    put(folder / "test_batch.bin", records(test, test_numbers))
    put(folder / "batches.meta.txt", "\n".join(CIFAR_NAMES) + "\n\n")
    return folder


def idx(array):
    axes = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + axes + array.tobytes()


def fashion_mnist(folder, n_train=12, n_test=4, seed=0):
    rng = np.random.default_rng(seed)
    for start, n in (("train", n_train), ("t10k", n_test)):
        pixels, numbers = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), (np.arange(n) % 10).astype(np.uint8)
        for kind, array in (("images-idx3-ubyte", pixels), ("labels-idx1-ubyte", numbers)):
            put(folder / f"{start}-{kind}.gz", gzip.compress(idx(array)))
    return folder


def imagenet(folder):
    """The folders of Kaggle's copy, validation in class folders."""
    root = folder / "ILSVRC" / "Data" / "CLS-LOC"
    for c, wnid in enumerate(WNIDS):
        put(folder / "ILSVRC" / "Annotations" / "CLS-LOC" / "train" / wnid / f"{wnid}_1.xml", "<x/>")
        for number in range(3):
            put(root / "train" / wnid / f"{wnid}_{number}.JPEG", jpeg((c, number, 0)))
        for number in range(2):
            put(root / "val" / wnid / f"ILSVRC2012_val_{2 * c + number + 1:08d}.JPEG", jpeg((c, number, 9)))
    put(folder / "words.txt", "".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()))
    put(folder.parent / "wordnet.is_a.txt", "\n".join(IS_A) + "\n")
    return folder


def places365(folder):
    for label in ("airfield", "kitchen"):
        for split, n in (("train", 3), ("val", 1)):
            for number in range(n):
                put(folder / split / label / f"{number:08d}.jpg", jpeg())
    return folder


def clothing_photos(folder, sizes=(3, 1, 2), side=400):
    """The root folder of the repository's archive: train/, validation/ and test/ with class folders, and a README."""
    put(folder / "README.md", "## Clothing dataset (subset)")
    for split, n in zip(("train", "validation", "test"), sizes, strict=True):
        for c, label in enumerate(("dress", "hat", "t-shirt")):
            for number in range(n):
                put(folder / split / label / f"{label}-{split}-{number}.jpg", jpeg((60 * c, 20, 90), (side, side // 2)))
    return folder
