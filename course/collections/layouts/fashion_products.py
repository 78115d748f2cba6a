"""Fashion Product Images (Kaggle): styles.csv and images/<id>.jpg."""

import re

import pandas as pd

from course.collections.contents import Contents
from course.collections.layouts.files import find, lines, present

COLUMNS = "id gender masterCategory subCategory articleType baseColour season year usage productDisplayName".split()
GROUP = ["gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage"]


def read(sources, skip_missing=False, per_group=None):
    """per_group: keep groups of equal attributes with at least so many photos, and of each the first so many by id."""
    path = find(sources, "styles.csv")
    (_, header), *rows = lines(path) or [(1, "")]
    if header.split(",") != COLUMNS:
        raise ValueError(f"{path}: expected the header {','.join(COLUMNS)}, got {header!r}")
    table = pd.DataFrame([_row(path, *row) for row in rows], columns=COLUMNS, dtype=str)
    table = table.iloc[table["id"].astype("int64").argsort(kind="stable")]
    table.insert(0, "file_name", table["id"] + ".jpg")
    table, files, left_out = present(
        table, [path.parent / "images" / name for name in table["file_name"]], path, skip_missing
    )
    contents = Contents(left_out=left_out)
    if per_group is not None:
        groups = table.groupby(GROUP, sort=False)
        keep = ((groups["id"].transform("size") >= per_group) & (groups.cumcount() < per_group)).tolist()
        table, files = table[keep], [file for file, kept in zip(files, keep, strict=True) if kept]
        contents.notes.append(f"groups of equal attributes with {per_group} photos or more, {per_group} of each")
    contents.add("train", table, files)
    return contents


def _row(path, number, line):
    """The ten values of a line. Commas in product names are not quoted, so all after the ninth comma is the name."""
    row = line.split(",", len(COLUMNS) - 1)
    if len(row) < len(COLUMNS) or not re.fullmatch(r"[0-9]{1,18}", row[0]):
        raise ValueError(f"{path}, line {number}: expected an id and nine values, got {line[:60]!r}")
    name = row[-1]
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1].replace('""', '"')
    return [*row[:-1], name]
