"""Places365-Standard, the "easy format": train/<class>/*.jpg and val/<class>/*.jpg."""

from course.collections.layouts.files import class_root
from course.collections.layouts.imagenet import linked


def read(sources, classes=None, per_class=None):
    """The photos are linked, not copied; classes and per_class as for ImageNet."""
    return linked(class_root(sources, r"(?!n\d{8}$)[a-z]{2}[a-z_0-9-]*"), classes, per_class)
