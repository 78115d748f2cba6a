"""Draw one image of the catalogue, or of its probes: pixels, mask and words, all decided by a seed and a number."""

import numpy as np

from .plans import pick, random_plan
from .products import MASK_VALUE, TYPES
from .scenes import render
from .words import captions, product_name

VERSION = 4  # raise it with every change of a pixel or a word, so that older drawings are drawn anew
COLUMNS = (
    "file_name", "label", "labels", "kind", "id", "gender", "masterCategory", "subCategory", "articleType",
    "baseColour", "season", "usage", "productDisplayName", "pattern", "sleeve", "neckline", "background", "caption_1",
    "caption_2", "caption_3", "caption_4", "caption_5", "mask_file_name",
)  # fmt: skip
PROBES = {  # factor -> its classes
    "colour": ("Blue", "Green", "Yellow", "Red", "Purple", "Brown", "Turquoise Blue", "Grey"),
    "shape": ("Tshirts", "Jeans", "Dresses", "Casual Shoes", "Handbags", "Caps", "Sunglasses", "Watches"),
    "texture": ("Striped", "Checked", "Dotted", "Floral", "Zigzag", "Camouflage"),
}


def draw(index, type_name, kind="single", size=96, seed=0):
    """One image: image uint8 (size, size, 3), mask uint8 (size, size), and its row of metadata.csv (a dict).

    `index` numbers the image: together with `seed` it decides everything that is left to chance. kind: "single", or
    "outfit" with `type_name` among its products. The row of an outfit has the attributes of the product with the most
    pixels; its `labels` are ordered from the largest to the smallest. Raises ValueError for an unknown type or kind, a
    size outside 48..1024, a negative seed.

    >>> image, mask, row = draw(7, "Jeans", size=48)
    >>> image.shape, mask.shape, sorted(set(mask.ravel().tolist())) == [0, MASK_VALUE["Jeans"]]
    ((48, 48, 3), (48, 48), True)
    """
    check(size, seed)
    if type_name not in TYPES:
        raise ValueError(f"expected a product type ({', '.join(TYPES)}), got {type_name!r}")
    if kind not in ("single", "outfit"):
        raise ValueError(f"kind must be 'single' or 'outfit', got {kind!r}")
    rng = np.random.default_rng([seed, 0, index])
    plan = random_plan(rng, type_name, kind)
    image, mask = render(rng, plan, size)
    area = np.bincount(mask.ravel(), minlength=len(TYPES) + 1)
    looks = sorted(plan.looks, key=lambda x: (-area[MASK_VALUE[x.type]], MASK_VALUE[x.type]))
    words = np.random.default_rng([seed, 1, index])
    main, t = looks[0], TYPES[looks[0].type]
    name = f"{index:06d}.png"
    shown = product_name(words, main) + (f" in a Set of {len(looks)}" if len(looks) > 1 else "")
    row = (
        name, main.type, "|".join(x.type for x in looks), kind, index, main.gender, t.category, t.subcategory,
        main.type, main.colour, main.season, main.usage, shown, main.pattern, main.sleeve, main.neckline,
        plan.background, *captions(words, looks, plan.worn, plan.background), f"masks/{name}",
    )  # fmt: skip
    return image, mask, dict(zip(COLUMNS, row, strict=True))


def probe(factor, n_images=240, size=96, seed=0):
    """Images of classes that differ in one factor only, uint8 (n, size, size, 3), and their labels (n,).

    "colour": classes are base colours; product types and poses are distributed alike, all plain. "shape": classes are
    product types, all plain and without any colour. "texture": classes are patterns, all on T-shirts in the same two
    colours. Each image has its own pose, on a pale ground in white light with nothing in front. The classes take turns.
    Raises ValueError for an unknown factor, and for fewer than two images a class.
    """
    check_probe(factor, n_images, size, seed)
    images, labels = zip(*(draw_probe(factor, i, size, seed) for i in range(n_images)), strict=True)
    return np.stack(images), np.array(labels)


def draw_probe(factor, index, size=96, seed=0):
    """Image number `index` of `probe`, uint8 (size, size, 3), and its label."""
    name = PROBES[factor][index % len(PROBES[factor])]
    rng = np.random.default_rng([seed, 3, index])
    type_name = {"colour": pick(rng, PROBES["shape"]), "shape": name, "texture": "Tshirts"}[factor]
    plan = random_plan(rng, type_name, "single")
    look = plan.looks[0]
    look.finish, look.pattern = "cotton", name if factor == "texture" else "Solid"
    look.colour = look.second = name if factor == "colour" else "Grey"
    if factor == "texture":
        look.colour, look.second = pick(rng, (("Navy Blue", "Beige"), ("Beige", "Navy Blue")))
    look.a |= {"trim": False, "faded": False, "metal": False, "dark": False}
    image, _ = render(rng, plan, size, bare=True)
    if factor == "shape":
        image = np.repeat(image.astype(np.uint16).sum(axis=2, keepdims=True) // 3, 3, axis=2).astype(np.uint8)
    return image, name


def check(size, seed):
    """ValueError for a size or a seed out of range."""
    if not (isinstance(size, int | np.integer) and 48 <= size <= 1024):
        raise ValueError(f"size must be a whole number of pixels from 48 to 1024, got {size!r}")
    if not (isinstance(seed, int | np.integer) and seed >= 0):
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}")


def check_probe(factor, n_images, size, seed):
    """ValueError for an unknown factor, for fewer than two images a class, and for what `check` refuses."""
    check(size, seed)
    if factor not in PROBES:
        raise ValueError(f"expected a factor ({', '.join(PROBES)}), got {factor!r}")
    n_classes = len(PROBES[factor])
    if not (isinstance(n_images, int | np.integer) and n_images >= 2 * n_classes):
        raise ValueError(
            f"the number of {factor} images must be an integer of at least {2 * n_classes}, "
            f"two for each of {n_classes} classes, got {n_images!r}"
        )
