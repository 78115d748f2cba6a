"""python -m course data list | fetch | prepare | check

    list                        what there is, what is here and where, on what terms
    fetch NAME                  download the official files where that is allowed, then prepare them
    prepare NAME --from PATH    official files that are here already, written out in the course's layout
    check NAME or FOLDER        open every image, compare numbers and digests; or look through your own photos

`app` is mounted by the course's command line. Every command returns its status: 0; 1 where a check finds faults or
nothing could be fetched. UsageError where it cannot be carried out as it was given.
"""

import functools
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from course import UsageError
from course.collections import manifest, own, prepare
from course.collections.download import Unavailable
from lib import collection

app = typer.Typer(help="Fetch, prepare and check collections of photos.", add_completion=False)

To = Annotated[Path | None, typer.Option("--to", help="Default: the first writable of $RETRIEVAL_DATA, else data/.")]
Options = Annotated[list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="See data/README.md.")]
LongSide = Annotated[int | None, typer.Option(min=1, help="Shrink photos to so many pixels.")]
AcceptCounts = Annotated[bool, typer.Option("--accept-counts", help="Take other numbers of images than expected.")]


def reported(command):
    """The command, with what it raises as a status or as the one error of the course's command line."""

    @functools.wraps(command)
    def run(*arguments, **options):
        try:
            return command(*arguments, **options) or 0
        except Unavailable as error:
            typer.echo(f"error: {error}", err=True)
            return 1
        except (ValueError, OSError) as error:
            raise UsageError(str(error)) from error

    return run


@app.command("list")
@reported
def list_collections():
    """What there is, what is here and where, on what terms."""
    table = Table(show_lines=True)
    for column in ("collection", "what", "images", "where, or how to get it", "terms"):
        table.add_column(column, overflow="fold", no_wrap=column == "collection")
    for name, page in collection.known().items():
        where = str(prepare.found(name) or page["how_to_get"].strip())
        table.add_row(name, page["what"], manifest.in_words(page.get("images", {})), where, page["terms"])
    Console().print(table)


@app.command()
@reported
def fetch(
    name: str,
    to: To = None,
    option: Options = None,
    long_side: LongSide = None,
    accept_counts: AcceptCounts = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the downloaded archives.")] = False,
):
    """Download a collection and prepare it."""
    page, here = prepare.page(name), None if to else prepare.found(name)
    if here and not option and long_side is None and not manifest.read(here):
        collection.read(here)  # a copy of the user's own; ValueError if it is none
        return _say(here, False)
    target = to or (here.parent if here else prepare.target_folder())
    folder, done = prepare.fetch(name, target, _options(option), long_side, accept_counts, keep)
    _say(folder, done, f"terms: {page['terms']}", f"cite: {page['citation']}")


@app.command("prepare")
@reported
def prepare_official(
    name: str,
    sources: Annotated[list[Path], typer.Option("--from", exists=True, help="Archive or folder; may be repeated.")],
    to: To = None,
    option: Options = None,
    long_side: LongSide = None,
    accept_counts: AcceptCounts = False,
):
    """Prepare a collection from official files that are here."""
    target = to or prepare.target_folder()
    _say(*prepare.prepare(name, sources, target, _options(option), long_side, accept_counts))


@app.command()
@reported
def check(target: Annotated[str, typer.Argument(help="A collection, or a folder of your own photos.")]):
    """Open every image, compare numbers and digests, and show what is wrong."""
    page = collection.known().get(target)
    folder = prepare.found(target) if page else Path(target).expanduser()
    if folder is None or not folder.is_dir():
        how = page["how_to_get"].strip() if page else "expected a folder or the name of a collection"
        raise ValueError(f"{target} is not here: {how}")
    if page:
        fact, faults = manifest.check(folder, [page[key] for key in ("images", "official") if key in page])
        typer.echo(f"{target} in {folder}: {fact}")
        _show([["fault"], *([fault] for fault in faults)], "no fault")
        return int(bool(faults))
    fact, faults, notes = own.check(folder)
    typer.echo(f"{folder}: {fact}")
    _show([own.COLUMNS, *faults.to_numpy().tolist()], "no fault")
    if len(notes):
        typer.echo("to know:")
        _show([own.COLUMNS, *notes.to_numpy().tolist()], "")
    return int(len(faults) > 0)


def _show(rows, otherwise):
    """Rows below a header as a table; where there is none, other words."""
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*map(escape, row))  # square brackets in a name are no markup
    if len(rows) > 1:
        Console().print(table)
    else:
        typer.echo(otherwise)


def _options(given):
    """The options of the layout, from KEY=VALUE: numbers, true, a list (a,b or @FILE) for classes, else text."""
    options = {}
    for pair in given or ():
        key, _, value = pair.partition("=")
        if key == "classes":
            is_file = value.startswith("@")
            options[key] = Path(value[1:]).read_text(encoding="utf-8").split() if is_file else value.split(",")
        else:
            options[key] = int(value) if value.isdecimal() else True if value == "true" else value
    return options


def _say(folder, done, *further):
    typer.echo(f"{'prepared' if done else 'in place'}: {folder}")
    if done:
        facts = manifest.read(folder)
        left_out = [f"left out, since missing: {name}" for name in facts["left_out"]]
        typer.echo(
            "\n".join(
                f"    {line}" for line in [manifest.in_words(facts["images"]), *facts["notes"], *left_out, *further]
            )
        )
