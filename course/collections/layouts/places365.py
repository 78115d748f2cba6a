"""Places365-Standard, the "easy format": train/<class>/*.jpg and val/<class>/*.jpg."""

from course.collections.layouts.files import chosen, class_root, folders
from course.collections.layouts.imagenet import linked


def read(sources, classes=None, per_class=None):
    """The photos are linked, not copied; classes and per_class as for ImageNet."""
    root = class_root(sources, r"(?!n\d{8}$)[a-z]{2}[a-z_0-9-]*")
    return linked(root, chosen(folders(root / "train"), classes, root / "train"), per_class)
