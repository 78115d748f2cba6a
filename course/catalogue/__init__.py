"""The embedded collection: a small shop catalogue whose every pixel and word is known, because code draws it.

    from course import catalogue
    folder = catalogue.write()                  # data/catalogue and data/catalogue-probes: drawn once, then found
    image, mask, row = catalogue.draw(7, "Jeans")

How an image comes about. A *plan* (products, attributes, background) comes from `default_rng([seed, 0, image])`. Each
product type is a short function that fills smooth outlines with materials, in coordinates of its own. A pose turns,
shears and tilts them into the image; colours, pattern, folds and light turn them into pixels; they are laid over a
ground with their shadow. What lies on top of a product is cut out of its mask.

    pen.py          outlines, poses, and the pen that fills them
    garments.py, footwear.py, accessories.py    the drawing of each product type
    products.py     the tables: TYPES, COLOURS, PATTERNS, FINISHES, BACKGROUNDS
    plans.py        what an image will show
    surfaces.py     patterns and colours of materials
    grounds.py      backgrounds
    props.py        what lies around, and the figure that wears an outfit
    scenes.py       light, shadow, masks: from a plan to pixels
    words.py        captions and product names
    queries.py      hard queries: what captions lack
    drawing.py      draw, probe: one image, the images of one factor
    writing.py      write, write_probes: the collections on disk
    commands.py     `python -m course catalogue`
"""

from .drawing import COLUMNS, PROBES, VERSION, draw, probe
from .products import BACKGROUNDS, COLOURS, MASK_VALUE, PATTERNS, SEEN, TYPES, UNSEEN
from .surfaces import pattern_map
from .writing import default_folder, write, write_probes

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "COLUMNS",
    "MASK_VALUE",
    "PATTERNS",
    "PROBES",
    "SEEN",
    "TYPES",
    "UNSEEN",
    "VERSION",
    "default_folder",
    "draw",
    "pattern_map",
    "probe",
    "write",
    "write_probes",
]
