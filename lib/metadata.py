"""Tables of a collection: CSV files read as text, every fault named with its file, its row and its remedy.

Needs numpy and pandas. Copy this file alone.
"""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd

_TEXT_COLUMN = re.compile(r"file_name|mask_file_name|labels|split|caption_\d+")
_WHOLE_NUMBER = r"-?(?:0|[1-9]\d{0,17})"  # 007 is a name; so is what an int64 cannot hold
_NUMBER = _WHOLE_NUMBER + r"(?:\.\d+)?"


def read_csv(path, needed=()):
    """A CSV file as a DataFrame of text, every row as long as the header. ValueError names the file and the line.

    needed: columns that must be there. Values stay as they are: "NA" is a word, a missing one is "".
    """
    try:
        with open(Path(path), encoding="utf-8-sig", newline="") as file:  # -sig: a spreadsheet may put a mark first
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = []
            for row in filter(None, reader):  # an empty line is no row
                if len(row) != len(header):
                    found = f"line {reader.line_num} has {len(row)} values, the header has {len(header)}"
                    raise ValueError(f"{found} (a comma inside a value needs quotation marks around it)")
                rows.append(row)
    except UnicodeDecodeError as error:
        what = f"not UTF-8 (byte 0x{error.object[error.start]:02x})"
        raise ValueError(f"{path}: {what}; save it as 'CSV UTF-8' in the spreadsheet") from error
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    _check_header(path, header, needed)
    return pd.DataFrame(rows, columns=header, dtype=str)


def read_metadata(path):
    """The table of images in metadata.csv: a DataFrame of text with `file_name`, a path below the table's folder.

    ValueError, with the row and what to do, for a file name that is empty, comes twice, leaves the folder or has
    backslashes; for blanks around a file name, a label or a split; for labels of which some are empty.
    """
    table = read_csv(path, needed=("file_name",))
    for column in ("file_name", "mask_file_name", "label", "split"):
        for row, value in enumerate(table.get(column, ()), 1):
            if value != value.strip():
                raise ValueError(f"{path}, row {row}: {column} {value!r} has blanks around it; remove them")
    for column in ("file_name", "mask_file_name"):
        for row, name in enumerate(table.get(column, ()), 1):
            if "\\" in name:
                raise ValueError(f"{path}, row {row}: {column} {name!r} has a backslash; use / on every system")
            leaves = ".." in name.split("/") or re.match(r"[/~]|[A-Za-z]:|.*[\x00-\x1f]", name, re.DOTALL)
            if leaves or (not name and column == "file_name"):
                expected = f"expected {column} to be a path below {path.parent.name}/"
                raise ValueError(f"{path}, row {row}: {expected}, got {name!r}")
    repeated = table["file_name"][table["file_name"].duplicated()]
    if len(repeated):
        raise ValueError(f"{path}: {len(repeated)} file names appear twice, the first is {repeated.iloc[0]!r}")
    is_empty = (table["label"] == "").to_numpy() if "label" in table else np.zeros(0)
    if 0 < is_empty.sum() < len(table):
        share = f"{is_empty.sum()} of {len(table)} labels are empty, the first in row {is_empty.argmax() + 1}"
        raise ValueError(f"{path}: {share}; fill them in or remove these rows")
    return table


def with_numbers(table, text=()):
    """The table with every column of numbers as numbers, NaN where one is missing.

    File names, `labels`, splits, captions and the columns in `text` stay text in any case; a `label` becomes a number
    only if all are whole; so does no column in which two spellings mean the same number.
    >>> table = pd.DataFrame({"price": ["3.5", ""], "version": ["3.1", "3.10"], "label": ["1", "2"]})
    >>> with_numbers(table).select_dtypes("number").columns.tolist()
    ['price', 'label']
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"expected a DataFrame of text, got {type(table).__name__}")
    numeric = {}
    for column in table.columns:
        if _TEXT_COLUMN.fullmatch(column) or column in list(text) or pd.api.types.is_numeric_dtype(table[column]):
            continue
        filled = table[column][table[column] != ""]
        if column == "label" and len(filled) < len(table):
            continue
        if not len(filled) or not filled.str.fullmatch(_WHOLE_NUMBER if column == "label" else _NUMBER).all():
            continue
        spellings = pd.Series(filled.unique())
        if pd.to_numeric(spellings).nunique() == len(spellings):
            numeric[column] = pd.to_numeric(table[column].where(table[column] != "", None))
    return table.assign(**numeric)


def _check_header(path, header, needed):
    """ValueError unless the columns are needed ones and others, each once, without blanks around a name."""
    blank = [column for column in header if column != column.strip()]
    if blank:
        raise ValueError(f"{path}: column {blank[0]!r} has blanks around its name; write {blank[0].strip()!r}")
    missing = [column for column in needed if column not in header]
    has = f"its columns are: {', '.join(header) or 'none'}"
    if missing:
        is_one = len(header) == 1 and any(mark in header[0] for mark in ";\t")
        advice = "; save it with commas between the columns" if is_one else ""
        raise ValueError(f"{path}: no column {', '.join(missing)}; {has}{advice}")
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: a column appears twice; {has}")
