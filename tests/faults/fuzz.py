"""The readers of files under a coverage-guided fuzzer: a ValueError is an answer, anything else a find.

    pip install atheris
    python tests/faults/fuzz.py                     the targets
    python tests/faults/fuzz.py metadata 600        one of them for ten minutes, from the cases that are kept

A find is written to tests/faults/cases/<target>/ and read again by tests/faults/test_cases.py from then on.
"""

import importlib
import json
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = HERE / "cases"
sys.path.insert(0, str(HERE.parent.parent))

PLACE = Path(tempfile.mkdtemp(prefix="fuzz-"))


def of_metadata(data):
    """metadata.csv of a collection, which is then used as a notebook would."""
    from lib import collection

    folder = PLACE / "photos"
    folder.mkdir(exist_ok=True)
    (folder / "metadata.csv").write_bytes(data)
    photos = collection.read(folder)
    for name in photos.table.columns:
        photos.column(name)
    if any(name.startswith("caption_") for name in photos.table):
        assert len(photos.captions) == len(photos)
    photos.sample(2)


def of_classes(data):
    """classes.csv, the tree of classes of a collection."""
    from lib import collection, relevance

    folder = PLACE / "tree"
    folder.mkdir(exist_ok=True)
    (folder / "metadata.csv").write_text("file_name,label\na.png,cat\n")
    (folder / "classes.csv").write_bytes(data)
    relevance.hierarchy_similarity(["cat"], ["cat"], collection.read(folder).hierarchy)


def of_results(data):
    """What a notebook measured and claimed, which the report and RESULTS.md show."""
    from lib import results

    path = PLACE / "results.json"
    path.write_bytes(data)
    record = results.read(path)
    json.dumps([row.to_dict() for row in (*record.measures, *record.claims)])


def of_checkpoint(data):
    """The weights of a network."""
    from lib import weights

    path = PLACE / "weights.pth"
    path.write_bytes(data)
    weights.read_state(path)


def of_photo(data):
    """A photo."""
    from lib import images

    path = PLACE / "photo.jpg"
    path.write_bytes(data)
    images.read_at(path, 8)


def of_rows(data):
    """A file of the features cache whose name agrees with its bytes."""
    import hashlib

    import numpy as np

    from lib import cache

    for old in PLACE.glob("cache/*/rows-*.npy"):
        old.unlink()
    key = {"of": "the fuzzer"}
    cache.embeddings(PLACE / "cache", key, lambda start, stop: np.ones((stop - start, 2)), n=2, progress=False)
    [sound] = PLACE.glob("cache/*/rows-*.npy")
    digest = hashlib.sha256(data).hexdigest()[:32]
    (sound.parent / f"{sound.name.split('.')[0]}.{digest}.npy").write_bytes(data)
    if digest not in sound.name:
        sound.unlink()
    cache.embeddings(PLACE / "cache", key, lambda start, stop: np.ones((stop - start, 2)), n=2, progress=False)


TARGETS = {name.removeprefix("of_"): function for name, function in list(globals().items()) if name.startswith("of_")}


def read(target, data):
    """Let the reader have these bytes: None, or the refusal. Any other exception is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            TARGETS[target](data)
        except (ValueError, FileNotFoundError) as refusal:
            return refusal
    return None


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in TARGETS:
        print(__doc__, "\n".join(f"    {name:<12} {function.__doc__}" for name, function in TARGETS.items()), sep="\n")
        return
    atheris = importlib.import_module("atheris")  # not among the requirements: only this script needs it
    target, seconds = sys.argv[1], int(sys.argv[2])
    tables = ["pandas"] if target in ("metadata", "classes") else []  # minutes, where nobody reads a table
    with atheris.instrument_imports(include=["lib", "PIL", "csv", "json", *tables]):
        import lib.cache
        import lib.collection
        import lib.images
        import lib.results
        import lib.weights  # noqa: F401
    corpus = CASES / target
    corpus.mkdir(parents=True, exist_ok=True)
    grown = PLACE / "corpus"
    grown.mkdir()
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={corpus}/", "-max_len=4096", "-timeout=20"]
    options += ["-rss_limit_mb=3000", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(grown), str(corpus)], lambda data: read(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
