"""The collections on the command line: python -m lib.course data list | fetch | prepare | check

    list                        what there is, what is here and where, on what terms
    fetch NAME                  download the official files where that is allowed, then prepare them
    prepare NAME --from PATH    official files that lie here already, written out in the course's layout
    check NAME                  counts, table, every image and mask, digests: what is broken is named

A collection is prepared in a hidden folder beside its place, checked, and moved there in one step, under a lock: under
its own name there is never half of one. `manifest.json` in it says from what and how it was made; `files.csv` has the
size and digest of every file, so that a later check can name what has changed.

Contents: `add_commands`, `run`; `fetch`, `prepare`, `check`, `listing`. Needs only the standard library by itself: the
modules that read, download and prepare are handed in. Copy this file alone: it imports nothing of its neighbours.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

MANIFEST, FILES = "manifest.json", "files.csv"
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_UNPACKED = 64 * 2**30  # bytes that one archive may unpack to
NARROWING = {"classes", "per_class", "per_group"}  # options after which the numbers of the page no longer apply
COMMAND = "python -m lib.course data"


class Refused(Exception):
    """The command cannot be carried out as it was given."""


class NotFetched(Exception):
    """What was asked for could not be downloaded; the text says how to go on by hand."""


@dataclass
class Tools:
    """What the commands work with: the modules handed in, and the page of collections."""

    datasets: ModuleType
    fetching: ModuleType
    preparing: ModuleType
    catalogue: ModuleType
    page_file: Path

    def pages(self):
        """name -> page, as collections.toml has it."""
        return tomllib.loads(self.page_file.read_text(encoding="utf-8"))

    def page(self, name):
        """The page of one collection; Refused for a name without one."""
        pages = self.pages()
        if name not in pages:
            raise Refused(f"no collection {name!r}; there are {', '.join(pages)}")
        return pages[name]


# ---- where collections lie ------------------------------------------------------------------------------------------


def places(data):
    """The folders in which collections are looked for: those of $RETRIEVAL_DATA, then `data` of the course."""
    given = [Path(place).expanduser() for place in os.environ.get("RETRIEVAL_DATA", "").split(os.pathsep) if place]
    return [*given, Path(data)]


def target_folder(data):
    """Where a collection is put by default: the first folder of $RETRIEVAL_DATA that can be written, else `data`.

    >>> target_folder("data") if "RETRIEVAL_DATA" not in os.environ else Path("data")
    PosixPath('data')
    """
    for place in places(data)[:-1]:
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            return place
    return Path(data)


def found(name, data):
    """The folder of a collection that is here, None if it is nowhere."""
    return next((place / name for place in places(data) if (place / name).is_dir()), None)


def read_manifest(folder):
    """manifest.json of a prepared collection as a dict; None where there is none, ValueError where it is damaged."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise ValueError(f"{path} holds no table")
    images, options = manifest.get("images", {}), manifest.get("options", {})
    if not isinstance(images, dict) or any(type(count) is not int or count < 0 for count in images.values()):
        raise ValueError(f"{path}: images is {images!r}; a whole number for each split is allowed")
    if not isinstance(options, dict):
        raise ValueError(f"{path}: options is {options!r}; a table is allowed")
    return manifest


# ---- list -----------------------------------------------------------------------------------------------------------


def listing(tools, data):
    """One paragraph a collection: what it is, whether it is here, how to get it, its terms."""
    lines = []
    for name, page in tools.pages().items():
        folder = found(name, data)
        lines += [f"{name}  {page['title']}: {page['what']}"]
        if folder:
            lines += [f"    here: {folder}  ({_counts_here(folder, tools)})"]
        else:
            lines += [f"    not here: {page['how_to_get'].strip()}"]
        lines += [f"    terms: {page['terms']}"]
    return lines


def _counts_here(folder, tools):
    """'train 9,040' of a collection; from its manifest where there is one, since tables may be long."""
    try:
        manifest = read_manifest(folder)
        if manifest is None or "images" not in manifest:
            counts = tools.datasets.load(folder).table["split"].value_counts(sort=False).to_dict()
        else:
            counts = manifest["images"]
    except (ValueError, OSError) as error:
        return f"cannot be read: {error}"
    return _in_words(counts)


def _in_words(counts):
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())


# ---- prepare --------------------------------------------------------------------------------------------------------


def prepare(name, sources, target, tools, options=None, long_side=None, accept_counts=False):
    """Write collection `name` into target/name from official archives, files or folders. (folder, whether it was done)

    options: of the layout (`classes`, `per_class`, ...), over those of the collection's page. long_side: photos are
    shrunk to so many pixels, None leaves them as they are. accept_counts: take other numbers of images than expected.

    A collection that lies there already, prepared with the same options, is left as it is: (folder, False). Raises
    Refused for one that lies there otherwise, ValueError for sources that are not what they should be.
    """
    page = tools.page(name)
    if "layout" not in page:
        raise Refused(f"{name} is not prepared from an archive. {page['how_to_get'].strip()}")
    asked = _asked(page, options, long_side)
    options = {**page.get("options", {}), **(options or {})}
    folder = Path(target).expanduser().resolve() / name
    if _in_place(folder, asked):
        return folder, False
    sources = [Path(source).expanduser() for source in sources]
    for source in sources:
        if not source.exists():
            raise ValueError(f"{source}: there is no such file or folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tools.fetching.exclusively(folder):
        if _in_place(folder, asked):  # by another process, while this one waited
            return folder, False
        for left in folder.parent.glob(f".{name}.preparing-*"):  # of a process that was killed: the lock was free
            shutil.rmtree(left)
        work = Path(tempfile.mkdtemp(prefix=f".{name}.preparing-", dir=folder.parent))
        try:
            official = _unpacked(sources, work / "official", tools, page.get("leave_packed", ()))
            contents = tools.preparing.read(page["layout"], official, **options)
            narrowed = any(options.get(key) != page.get("options", {}).get(key) for key in NARROWING)
            if not accept_counts and not narrowed:
                _expect(name, page, contents)
            ready = work / name
            ready.mkdir()
            tools.preparing.write(contents, ready, long_side=long_side, movable=work)
            collection = tools.datasets.load(ready)
            _no_faults(name, [] if contents.links else _broken(collection))  # ImageNet is not read from end to end
            _seal(ready, name, sources, asked, contents, tools)
            os.replace(ready, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder, True


def _asked(page, options, long_side):
    """What is asked for, as the manifest of a prepared collection has it."""
    return {"options": _plain({**page.get("options", {}), **(options or {})}), "long_side": long_side}


def _in_place(folder, asked):
    """Whether the collection lies there as it is asked for; Refused if something else does."""
    if not folder.exists() and not folder.is_symlink():
        return False
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        raise Refused(f"{error}; remove {folder}, or choose another place with --to") from error
    if manifest is None:
        raise Refused(f"{folder} is there and was not made by this command; remove it, or choose another with --to")
    made = {key: manifest.get(key) for key in asked}
    if made != asked:
        raise Refused(
            f"{folder} is there, prepared with {_settings(made)}, and {_settings(asked)} is asked for; "
            "remove it, or choose another place with --to"
        )
    return True


def _settings(asked):
    given = {**(asked["options"] or {}), "long_side": asked["long_side"]}
    words = []
    for key, value in given.items():
        if value is not None and value is not False:
            shown = f"{len(value)} of them" if isinstance(value, list) and len(value) > 3 else value
            words.append(f"{key} = {shown}")
    return ", ".join(words) or "no option"


def _plain(options):
    """Options as JSON gives them back: lists for tuples, the name for a path."""
    return json.loads(json.dumps({k: Path(v).name if isinstance(v, Path) else v for k, v in options.items()}))


def _is_archive(path):
    return path.is_file() and path.name.lower().endswith(ARCHIVES)


def _unpacked(sources, work, tools, leave_packed):
    """The sources, with each archive unpacked below `work`: those given, and those in a folder that holds no folder.

    leave_packed: beginnings of names in an archive that nobody needs.
    """

    def keep(name):
        return not name.startswith(tuple(leave_packed))

    official = [source for source in sources if not _is_archive(source)]
    archives = [source for source in sources if _is_archive(source)]
    for folder in (source for source in official if source.is_dir()):
        inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__MACOSX"))]
        if not any(path.is_dir() for path in inside):
            archives += [path for path in inside if _is_archive(path)]
    for number, archive in enumerate(archives):
        into = work / f"{number}-{archive.name.partition('.')[0]}"
        work.mkdir(exist_ok=True)
        tools.fetching.extract(archive, into, max_bytes=MAX_UNPACKED, keep=keep if leave_packed else None)
        official.append(into)
    return official


def _expect(name, page, contents):
    """ValueError unless the numbers of images are those of the page, less what was left out on request."""
    expected = [counts for counts in (page.get("official"), page.get("images")) if counts]
    if expected and contents.counts not in expected:
        allowed = " or ".join(_in_words(counts) for counts in expected)
        left_out = f" ({len(contents.left_out):,} were absent)" if contents.left_out else ""
        raise ValueError(
            f"{name}: {_in_words(contents.counts)}{left_out}, where {allowed} is expected; is the archive whole? "
            "--accept-counts takes it as it is"
        )


def _broken(collection):
    """Sentences on the images and masks that cannot be read, and on tables that contradict each other."""
    faults = []
    _, broken = collection.check()
    faults += [f"{row.split}/{row.file_name}: {row.cause}" for row in broken.itertuples()]
    if "mask_file_name" in collection.table:
        values = collection.mask_labels.keys()
        for i in (collection.table["mask_file_name"] != "").to_numpy().nonzero()[0]:
            try:
                strange = sorted(set(collection.mask(int(i)).tobytes()) - values)
            except ValueError as error:
                faults.append(str(error))
                continue
            if strange:
                faults.append(f"{collection.table['mask_file_name'][i]}: values {strange[:5]} not in mask_labels.csv")
    tree = collection.hierarchy
    if tree is not None and "label" in collection.table:
        without = sorted(set(collection.table["label"].astype(str)) - set(tree["class"][tree["leaf"]]))
        if without:
            faults.append(f"classes.csv: {len(without)} labels are no leaf in it, the first is {without[0]}")
    return faults


def _no_faults(name, faults):
    if faults:
        some = "\n".join(f"  {fault}" for fault in faults[:5])
        raise ValueError(f"{name}: {len(faults):,} faults in the official files:\n{some}")


def _content(folder, tools):
    """The table of files (file, bytes, sha256) of a collection, but for the two that describe it.

    Where the photos are linked, the table has only what lies in the folder itself: names and classes, no pixel.
    """
    linked = any((place / "images").is_symlink() for place in Path(folder).iterdir())
    if linked:
        import pandas as pd  # what fetching.manifest gives is a table of pandas anyway

        files = sorted(Path(place) / name for place, _, names in os.walk(folder) for name in names)  # follows no link
        rows = [(path.relative_to(folder).as_posix(), path.stat().st_size, _digest(path, "sha256")) for path in files]
        table = pd.DataFrame(rows, columns=["file", "bytes", "sha256"])
    else:
        table = tools.fetching.manifest(folder)
    return table[~table["file"].isin([MANIFEST, FILES])].reset_index(drop=True)


def _seal(folder, name, sources, asked, contents, tools):
    """Write files.csv, and manifest.json last of all."""
    table = _content(folder, tools)
    table.to_csv(folder / FILES, index=False, lineterminator="\n")
    packages = ("numpy", "pandas", "Pillow")
    manifest = {
        "name": name,
        **asked,
        "images": contents.counts,
        "from": [_described(source) for source in sources],
        "left_out": contents.left_out,
        "notes": contents.notes,
        "linked": sorted(contents.links),
        "files": len(table),
        "digest": tools.fetching.digest_of_manifest(table),
        "made_with": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in packages},
        "date": time.strftime("%Y-%m-%d"),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _described(source):
    """Name of an official folder; of an archive its size and digest too."""
    if not source.is_file():
        return {"name": source.resolve().name}
    return {"name": source.name, "bytes": source.stat().st_size, "sha256": _digest(source, "sha256")}


def _digest(path, kind):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


# ---- fetch ----------------------------------------------------------------------------------------------------------


def fetch(name, target, tools, options=None, long_side=None, accept_counts=False, keep=False):
    """Download the official files of `name` and prepare them in target/name. (folder, whether anything was done)

    Only from the addresses on the collection's page, or through the user's own Kaggle command. keep: leave the
    downloads in target/.downloads/NAME, where those of an interrupted fetch lie, too. The rest: as for `prepare`.
    Raises NotFetched, with how to go on by hand, where the files cannot be downloaded from here.
    """
    page, target = tools.page(name), Path(target).expanduser().resolve()
    if page["fetch"] == "drawn":
        return _drawn(name, target, tools, options, long_side)
    asked = _asked(page, options, long_side)
    if _in_place(target / name, asked):
        return target / name, False
    again = f"{COMMAND} prepare {name} --from"
    if page["fetch"] == "by hand":
        raise NotFetched(
            f"{name} cannot be fetched from here. By hand: {page['by_hand'].strip()} Then:\n    {again} FOLDER"
        )
    downloads = target / ".downloads" / page.get("downloads", name)
    downloads.mkdir(parents=True, exist_ok=True)
    with tools.fetching.exclusively(downloads):
        if _in_place(target / name, asked):  # by another process, while this one waited
            return target / name, False
        downloads.mkdir(exist_ok=True)  # the other may have removed it
        try:
            sources = _download(page, downloads, tools)
        except (tools.fetching.Unavailable, NotFetched, ValueError) as error:
            raise NotFetched(
                f"{name} was not fetched: {error}\nWhat came is kept in {downloads}; the same command goes on.\n"
                f"By hand: {page['by_hand'].strip()} Put it into {downloads}. Then:\n    {again} {downloads}"
            ) from error
        try:
            result = prepare(name, sources, target, tools, options, long_side, accept_counts)
        except ValueError as error:
            raise ValueError(f"{error}\nThe downloads are kept in {downloads}; remove them to begin anew") from error
        if not keep:
            shutil.rmtree(downloads)
    return result


def _drawn(name, target, tools, options, long_side):
    """Draw the collection into target/name, unless it lies there whole. (folder, whether it was drawn)"""
    unused = [*(options or {}), *(["long_side"] if long_side is not None else [])]
    if unused:
        raise Refused(f"{name} is drawn as it is; {', '.join(unused)} cannot be asked for")
    folder = target / name
    read_manifest(folder)  # ValueError for a damaged one
    before = folder.stat().st_ino if folder.exists() else None
    tools.catalogue.write(folder)
    return folder, folder.stat().st_ino != before  # what is drawn is moved there as a new folder


def _download(page, downloads, tools):
    """The files of a page, each checked by what is known of it; those that are here and right are not fetched again."""
    if page["fetch"] == "kaggle":
        return [_kaggle(page["kaggle"], downloads)]
    paths = []
    for file in page["files"]:
        path = downloads / file.get("name", file["url"].rpartition("/")[2])
        if path.is_file() and "md5" in file and _digest(path, "md5") != file["md5"]:
            path.unlink()
        tools.fetching.download(file["url"], path, sha256=file.get("sha256"), size=file.get("size"))
        if "md5" in file and _digest(path, "md5") != file["md5"]:
            came = _digest(path, "md5")
            path.unlink()
            raise ValueError(f"{file['url']}: md5 {came} came, {file['md5']} is the published one")
        paths.append(path)
    return paths


def _kaggle(dataset, downloads):
    """The archive of a Kaggle data set, through the user's own command and credentials; none are read or kept here."""
    archive = downloads / f"{dataset.rpartition('/')[2]}.zip"
    if archive.is_file():
        return archive
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # a venv not activated
    command = shutil.which("kaggle", path=beside)
    if command is None:
        raise NotFetched("the command `kaggle` is not here (`pip install kaggle`, then its own set-up of an account)")
    with tempfile.TemporaryDirectory(dir=downloads, prefix=".kaggle-") as part:  # an archive by its name is a whole one
        done = subprocess.run([command, "datasets", "download", "-d", dataset, "-p", part], check=False)
        if done.returncode or not (Path(part) / archive.name).is_file():
            raise NotFetched(f"`kaggle datasets download -d {dataset}` ended with {done.returncode} (see above)")
        os.replace(Path(part) / archive.name, archive)
    return archive


# ---- check ----------------------------------------------------------------------------------------------------------


def check(name, folder, tools):
    """(facts, faults): sentences on what was looked at in the collection, and on what is wrong with it.

    The table must be sound, the numbers of images those of its manifest, or of its page where it has none, every image
    and mask must open, and every file must be as files.csv has it.
    """
    page, facts, faults = tools.page(name), [], []
    try:
        manifest = read_manifest(folder)
        collection = tools.datasets.load(Path(folder))
    except (ValueError, OSError) as error:
        return facts, [str(error)]
    counts = collection.table["split"].value_counts(sort=False).to_dict()
    facts.append(f"images: {_in_words(counts)}")
    own = manifest is not None and "images" in manifest
    expected = [manifest["images"]] if own else [c for c in (page.get("images"), page.get("official")) if c]
    if expected and counts not in expected:
        allowed = " or ".join(_in_words(each) for each in expected)
        faults.append(f"images: {_in_words(counts)}, where {'manifest.json' if own else 'the page'} says {allowed}")
    broken = _broken(collection)
    faults += broken
    facts.append(f"opened: {len(collection):,} images" + ("" if broken else ", all of them sound"))
    if manifest is None or "digest" not in manifest:
        facts.append(f"digest: none to compare with ({FILES} and {MANIFEST} are written by `data prepare`)")
    else:
        changed = _changed(folder, manifest, tools)
        faults += changed
        facts.append(f"digest: {manifest['digest']}" + ("" if changed else ", as prepared"))
    return facts, faults


def _changed(folder, manifest, tools):
    """Sentences on the files that are not as they were when the collection was prepared."""
    import pandas as pd  # what fetching.manifest gives is a table of pandas anyway

    if not (Path(folder) / FILES).is_file():
        digest = tools.fetching.digest_of_manifest(_content(folder, tools))
        other = f"digest: {digest}, where {MANIFEST} says {manifest['digest']}"
        return [f"{FILES} is gone", *([other] if digest != manifest["digest"] else [])]
    then = pd.read_csv(Path(folder) / FILES, dtype={"file": str, "sha256": str}, keep_default_na=False)
    if tools.fetching.digest_of_manifest(then) != manifest["digest"]:
        return [f"{FILES} is not the one that {MANIFEST} was written with"]
    now = _content(folder, tools)
    then, now = (dict(zip(table["file"], table["sha256"], strict=True)) for table in (then, now))
    kinds = {
        "gone": sorted(then.keys() - now.keys()),
        "new": sorted(now.keys() - then.keys()),
        "changed": sorted(file for file in then.keys() & now.keys() if then[file] != now[file]),
    }
    return [f"{file}: {kind} since it was prepared" for kind, files in kinds.items() for file in files]


# ---- the command line -----------------------------------------------------------------------------------------------


def add_commands(parser):
    """Add list, fetch, prepare and check to an argparse parser."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the collections: what is here, where, terms")
    count = _whole_number(1)
    for action, text in (
        ("fetch", "download a collection and prepare it"),
        ("prepare", "prepare a collection from official files that lie here"),
    ):
        sub = actions.add_parser(action, help=text)
        sub.add_argument("name", metavar="NAME", help="of a collection in data/collections.toml")
        if action == "prepare":
            sub.add_argument(
                "--from",
                dest="sources",
                nargs="+",
                type=Path,
                required=True,
                metavar="PATH",
                help="archives, folders",
            )
        else:
            sub.add_argument("--keep", action="store_true", help="keep the downloaded archives")
        sub.add_argument(
            "--to", type=Path, metavar="FOLDER", help="default: the first writable of $RETRIEVAL_DATA, else data/"
        )
        sub.add_argument("--classes", nargs="+", metavar="CLASS", help="these classes only, or @FILE with one a line")
        sub.add_argument("--per-class", type=count, metavar="N", help="at most N training images of each class")
        sub.add_argument("--per-group", type=count, metavar="N", help="fashion-products: groups of N photos")
        sub.add_argument("--tree", type=Path, metavar="FILE", help="wordnet.is_a.txt, for classes.csv")
        sub.add_argument(
            "--seed", type=_whole_number(0), metavar="N", help="of the draw of training images (scenes; default: 0)"
        )
        sub.add_argument(
            "--long-side", type=count, metavar="PIXELS", help="shrink photos to this (default: as they are)"
        )
        sub.add_argument("--skip-missing", action="store_true", help="leave out rows whose image is absent")
        sub.add_argument("--accept-counts", action="store_true", help="take other numbers of images than expected")
    sub = actions.add_parser("check", help="open every image, compare counts and digests")
    sub.add_argument("name", metavar="NAME")
    sub.add_argument("--in", dest="place", type=Path, metavar="FOLDER", help="the folder that holds NAME")


def _whole_number(least):
    """A type for argparse: whole numbers, none below `least`."""

    def number(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least:
            raise argparse.ArgumentTypeError(f"{text!r}; a whole number, {least} or more, is allowed")
        return value

    return number


def run(arguments: argparse.Namespace, tools, data) -> int:
    """Carry out what `add_commands` understood: 0, or 1 where a check finds faults or nothing could be fetched."""
    try:
        return {"list": _run_list, "fetch": _run_fetch, "prepare": _run_prepare, "check": _run_check}[arguments.action](
            arguments, tools, data
        )
    except NotFetched as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError, tools.fetching.Unavailable, tools.fetching.NotEnoughSpace) as error:
        raise Refused(str(error)) from error


def _run_list(arguments, tools, data):
    print("\n".join(listing(tools, data)))
    return 0


def _run_fetch(arguments, tools, data):
    page = tools.page(arguments.name)
    options, here = _options(arguments), None if arguments.to else found(arguments.name, data)
    if here and page["fetch"] != "drawn" and _is_here(here, page, options, arguments.long_side, tools):
        return _say(here, False)
    target = arguments.to or (here.parent if here else target_folder(data))
    rest = (tools, options, arguments.long_side, arguments.accept_counts, arguments.keep)
    folder, done = fetch(arguments.name, target, *rest)
    _say(folder, done)
    if done:
        print(f"    terms: {page['terms']}\n    cite: {page['citation']}")
    return 0


def _is_here(folder, page, options, long_side, tools):
    """Whether the collection lies there as it is asked for, prepared or as a copy of the user's own; else Refused.

    A copy of the user's own has no manifest: it must be read as a collection, and only the page's options can be asked.
    """
    if (folder / MANIFEST).is_file() or options or long_side is not None:
        return _in_place(folder, _asked(page, options, long_side))
    try:
        tools.datasets.load(folder)
    except (ValueError, OSError) as error:
        raise Refused(
            f"{folder} is there and is no collection that can be read: {error}; remove it, or choose another place "
            "with --to"
        ) from error
    return True


def _run_prepare(arguments, tools, data):
    folder, done = prepare(
        arguments.name,
        arguments.sources,
        arguments.to or target_folder(data),
        tools,
        _options(arguments),
        arguments.long_side,
        arguments.accept_counts,
    )
    return _say(folder, done)


def _run_check(arguments, tools, data):
    tools.page(arguments.name)
    folder = arguments.place / arguments.name if arguments.place else found(arguments.name, data)
    if folder is None or not folder.is_dir():
        looked = ", ".join(str(place) for place in ([arguments.place] if arguments.place else places(data)))
        raise Refused(f"{arguments.name} is not in {looked}. {tools.page(arguments.name)['how_to_get'].strip()}")
    facts, faults = check(arguments.name, folder, tools)
    print(f"{arguments.name} in {folder}")
    print("\n".join(f"    {fact}" for fact in facts))
    shown = faults[:20] + ([f"and {len(faults) - 20:,} more"] if len(faults) > 20 else [])
    print("\n".join([f"{len(faults):,} faults", *(f"    {fault}" for fault in shown)]) if faults else "    no fault")
    return 1 if faults else 0


def _options(arguments):
    """The options of the layout that were given."""
    names = ("classes", "per_class", "per_group", "tree", "seed", "skip_missing")
    options = {name: getattr(arguments, name) for name in names}
    options = {name: value for name, value in options.items() if value is not None and value is not False}
    if "classes" in options:
        options["classes"] = [word for given in options["classes"] for word in _words(given)]
    return options


def _words(given):
    if not given.startswith("@"):
        return given.split(",")
    return Path(given[1:]).read_text(encoding="utf-8").split()


def _say(folder, done):
    if not done:
        print(f"in place: {folder}")
        return 0
    manifest = read_manifest(folder) or {}
    print(f"prepared: {folder}" + (f"  ({_in_words(manifest['images'])})" if "images" in manifest else ""))
    for note in manifest.get("notes", []):
        print(f"    {note}")
    if manifest.get("left_out"):
        some = ", ".join(manifest["left_out"][:5])
        print(f"    left out, since absent: {len(manifest['left_out']):,} images: {some}")
    return 0
