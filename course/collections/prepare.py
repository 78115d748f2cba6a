"""Official files, downloaded or given, written out as a collection.

A collection is prepared in a hidden folder beside its place, every image opened, and moved there in one step under a
lock: under its own name there is never half of one.

Contents: `prepare`; `fetch` (download, then prepare); `page`, `found`, `target_folder`, where collections are.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from course import ROOT
from course.collections import layouts, manifest
from course.collections.archives import extract
from course.collections.contents import write
from course.collections.download import Unavailable, download
from course.files import named_folders
from lib import collection

DATA = ROOT / "data"
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_UNPACKED = 64 * 2**30  # bytes that one archive may unpack to
NARROWING = {"classes", "per_class", "per_group"}  # options after which the numbers of the page no longer apply


def page(name):
    """The page of a collection in data/collections.toml; ValueError for a name without one."""
    pages = collection.known()
    if name not in pages:
        raise ValueError(f"expected one of the collections {', '.join(pages)}, got {name!r}")
    return pages[name]


def found(name):
    """The folder of a collection that is here, None if it is nowhere."""
    return next((place / name for place in [*named_folders("RETRIEVAL_DATA"), DATA] if (place / name).is_dir()), None)


def target_folder():
    """Where a collection is put by default: the first folder of $RETRIEVAL_DATA that can be written, else `data`."""
    places = [place for place in named_folders("RETRIEVAL_DATA") if place.is_dir()]
    return next((place for place in places if os.access(place, os.W_OK | os.X_OK)), DATA)


def prepare(name, sources, target, options=None, long_side=None, accept_counts=False):
    """Write collection `name` into target/name from official archives, files or folders. (folder, whether it was done)

    options: of the layout, over those of the page. long_side: shrink photos to so many pixels; by default the page's.
    accept_counts: take other numbers of images than the page has. A collection that is there, prepared with the same
    options, is left as it is. ValueError for another one that is there, and for unsound sources.
    """
    folder, asked = Path(target).resolve() / name, _asked(name, options, long_side)
    if _in_place(folder, asked):
        return folder, False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{name}.lock")):
        if _in_place(folder, asked):  # by another process, while this one waited
            return folder, False
        for left in folder.parent.glob(f".{name}.preparing-*"):  # of a process that was killed: the lock was free
            shutil.rmtree(left)
        work = Path(tempfile.mkdtemp(prefix=f".{name}.preparing-", dir=folder.parent))
        try:
            _write_into(work, name, [Path(source) for source in sources], options, asked, accept_counts)
            os.replace(work / name, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder, True


def _write_into(work, name, sources, options, asked, accept_counts):
    """Write the collection work/name, check it and seal it."""
    facts, ready = page(name), work / name
    official = _unpacked(sources, work / "official", tuple(facts.get("leave_packed", ())))
    contents = layouts.read(facts["layout"], official, **{**facts.get("options", {}), **(options or {})})
    expected = [facts[key] for key in ("images", "official") if key in facts]
    if expected and contents.counts not in expected and not accept_counts and not NARROWING & set(options or ()):
        allowed = " or ".join(map(manifest.in_words, expected))
        raise ValueError(
            f"{name}: expected {allowed} images, got {manifest.in_words(contents.counts)}; is the archive whole? "
            "--accept-counts takes it as it is"
        )
    ready.mkdir()
    write(contents, ready, asked["long_side"], movable=work)
    faults = [] if contents.links else manifest.broken(collection.read(ready))  # ImageNet is not read through
    if faults:
        raise ValueError("\n  ".join([f"{name}: {len(faults):,} faults in the official files", *faults[:5]]))
    manifest.seal(ready, name, asked, contents, sources)


def fetch(name, target, options=None, long_side=None, accept_counts=False, keep=False):
    """Download the official files of `name` and prepare them in target/name. (folder, whether anything was done)

    Only from the addresses on the collection's page. keep: leave the downloads in target/.downloads. The rest: as for
    `prepare`. Raises Unavailable, with how to go on by hand.
    """
    target, facts, asked = Path(target).resolve(), page(name), _asked(name, options, long_side)
    if _in_place(target / name, asked):
        return target / name, False
    by_hand, again = f"By hand: {facts['by_hand'].strip()}", f"Then: python -m course data prepare {name} --from"
    if "files" not in facts:
        raise Unavailable(f"{name} cannot be fetched from here. {by_hand} {again} FOLDER")
    downloads = target / ".downloads" / facts.get("downloads", name)
    downloads.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(downloads.with_name(f".{downloads.name}.lock")):
        if _in_place(target / name, asked):  # by another process, while this one waited
            return target / name, False
        sources = [downloads / file.get("name", file["url"].rpartition("/")[2]) for file in facts["files"]]
        try:
            for file, path in zip(facts["files"], sources, strict=True):
                digest = next((f"{kind}:{file[kind]}" for kind in ("sha256", "md5") if kind in file), None)
                download(file["url"], path, digest)
        except (Unavailable, ValueError) as error:
            raise Unavailable(
                f"{name} was not fetched: {error}\nWhat came is kept in {downloads}; the same command goes on.\n"
                f"{by_hand} Put it into {downloads}. {again} {downloads}"
            ) from error
        try:
            result = prepare(name, sources, target, options, long_side, accept_counts)
        except ValueError as error:
            raise ValueError(f"{error}\nThe downloads are kept in {downloads}; remove them to begin anew") from error
        if not keep:
            shutil.rmtree(downloads)
    return result


def _asked(name, options, long_side):
    """What is asked for, as manifest.json of a prepared collection has it: lists for tuples, the name for a path."""
    facts = page(name)
    if "layout" not in facts:
        raise ValueError(f"{name} is not prepared from an archive. {facts['how_to_get'].strip()}")
    options = {**facts.get("options", {}), **(options or {})}
    options = json.loads(json.dumps(options, default=lambda path: path.name))
    return {"options": options, "long_side": facts.get("long_side") if long_side is None else long_side}


def _in_place(folder, asked):
    """Whether the collection is there as it is asked for; ValueError if something else is."""
    if not folder.exists():
        return False
    facts = manifest.read(folder)
    if any(facts.get(key) != value for key, value in asked.items()):
        how = "prepared with other options" if "options" in facts else "not made by this command"
        raise ValueError(f"{folder} is there, {how}; remove it, or choose another place with --to")
    return True


def _unpacked(sources, work, leave_packed):
    """The sources, with each archive unpacked below `work`: those given, and those in a folder that holds no folder."""
    official, archives = [], []
    for source in sources:
        inside = sorted(source.iterdir()) if source.is_dir() else [source]
        if not any(path.is_dir() and not path.name.startswith((".", "__MACOSX")) for path in inside):
            archives += [path for path in inside if path.is_file() and path.name.lower().endswith(ARCHIVES)]
        if source not in archives:
            official.append(source)
    for number, archive in enumerate(archives):
        into = work / f"{number}-{archive.name.partition('.')[0]}"
        official.append(extract(archive, into, MAX_UNPACKED, lambda name: not name.startswith(leave_packed)))
    return official
