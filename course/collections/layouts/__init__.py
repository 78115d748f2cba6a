"""The official layouts of image collections: one short module each, whose `read` opens tables and no photo.

Contents: `read` looks at what was downloaded and unpacked and returns the `Contents` of the future collection;
`LAYOUTS`, their names.
"""

import inspect
from importlib import import_module
from pathlib import Path

LAYOUTS = (
    *("fashion-products", "clothing-co-parsing", "clothing-photos", "flickr8k", "flickr30k", "scenes"),
    *("tiny-imagenet", "cifar10", "fashion-mnist", "imagenet", "places365"),
)


def read(layout, sources, **options):
    """The `Contents` that a collection will have, from the official files of a layout.

    sources: the folders and files that hold them (Flickr8k comes as two archives). Files are looked for down to five
    folders below, the nearest is taken. options: those of the layout's own `read`.

    Raises ValueError for an unknown layout or option, a missing file or class, an unsound table, a name that leaves the
    collection, and for images that are listed but missing unless `skip_missing` is true.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"expected one of the layouts {', '.join(LAYOUTS)}, got {layout!r}")
    function = import_module(f"course.collections.layouts.{layout.replace('-', '_')}").read
    allowed = list(inspect.signature(function).parameters)[1:]
    unknown = sorted(options.keys() - set(allowed))
    if unknown:
        raise ValueError(f"{layout} takes the options {', '.join(allowed) or '(none)'}, got {', '.join(unknown)}")
    for key, least in {"per_class": 1, "per_group": 1, "seed": 0}.items():
        if not isinstance(options.get(key, 1), int) or options.get(key, 1) < least:
            raise ValueError(f"{key} must be an integer of at least {least}, got {options[key]}")
    sources = [Path(source).expanduser() for source in sources]
    for source in sources:
        if not source.exists():
            raise ValueError(f"{source}: expected a file or folder, found nothing")
    try:
        contents = function(sources, **options)
    except ValueError as error:
        raise ValueError(f"{layout}: {error}") from error
    for split, table in contents.tables.items():
        if not len(table):
            raise ValueError(f"{layout}: no image for {split}")
        for name in table["file_name"]:  # from tables that anyone may have written
            if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or "\0" in name:
                raise ValueError(f"{layout}: {name!r} in {split} leaves the collection")
    return contents
