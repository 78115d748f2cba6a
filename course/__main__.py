"""The course on the command line: python -m course COMMAND. See `python -m course --help`.

Status: 0; 1 if a notebook failed or a result deviates; 2 if the command was wrong; 130 if it was stopped.
"""

import math
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from course import ROOT, UsageError

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Run the course's notebooks, look at what they gave, and get what they need.",
)
LISTS = {"--only", "--reports", "--from"}  # options that take several words: --only 01 03


def _positive(kind):
    """A parser of numbers of this kind above 0."""

    def number(text):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < math.inf:  # nan is neither
            expected = "a positive integer" if kind is int else "a positive number"
            raise typer.BadParameter(f"expected {expected}, got {text}")
        return value

    return number


NOTEBOOKS, REPORTS = ROOT / "notebooks", ROOT / "reports"
Notebooks = Annotated[
    Path, typer.Option("--notebooks", metavar="FOLDER", show_default=False, help="where the notebooks are")
]
Reports = Annotated[Path, typer.Option("--reports", metavar="FOLDER", show_default=False, help="where reports go")]
ReportsList = Annotated[
    list[Path], typer.Option("--reports", metavar="FOLDER...", show_default=False, help="where runs left their reports")
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME...", help="these notebooks, by number or name: --only 01 03_siamese_triplet"),
]
Profile = Annotated[str, typer.Option("--profile", help="a profile of notebooks/profiles.toml")]
Given = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="set a parameter (TOML: -p words=64); repeatable"),
]
Jobs = Annotated[int, typer.Option("--jobs", parser=_positive(int), metavar="N", help="notebooks at the same time")]
Resume = Annotated[
    bool, typer.Option("--resume", help="skip finished notebooks whose source, parameters and lib are unchanged")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        parser=_positive(float),
        help="longest time for one cell (default: 600 in quick and photos, 4 h in full)",
    ),
]


@app.command("list")
def list_notebooks(
    notebooks: Notebooks = NOTEBOOKS,
    only: Only = None,
    as_json: Annotated[bool, typer.Option("--json", help="their names alone, as a JSON list")] = False,
) -> int:
    """List the notebooks: question, minutes, parameters."""
    from course import commands

    return commands.list_notebooks(notebooks, only, as_json)


@app.command()
def run(
    notebooks: Notebooks = NOTEBOOKS,
    only: Only = None,
    reports: Reports = REPORTS,
    profile: Profile = "quick",
    jobs: Jobs = 1,
    resume: Resume = False,
    timeout: Timeout = None,
    given: Given = None,
) -> int:
    """Run notebooks and write a report of measures and claims."""
    from course import commands

    options = commands.Options(notebooks, reports, profile, jobs, resume, timeout)
    return commands.run(options, only, given or [])


@app.command()
def check(notebooks: Notebooks = NOTEBOOKS, only: Only = None, reports: Reports = REPORTS) -> int:
    """Compare the last quick run with notebooks/expected.toml."""
    from course import check

    return check.command(notebooks, reports, only)


@app.command()
def expect(notebooks: Notebooks = NOTEBOOKS, only: Only = None, reports: Reports = REPORTS) -> int:
    """Write notebooks/expected.toml from the last quick run."""
    from course import check

    return check.expect_command(notebooks, reports, only)


@app.command("notebooks")
def write_outputs(
    notebooks: Notebooks = NOTEBOOKS,
    only: Only = None,
    reports: Reports = REPORTS,
    jobs: Jobs = 1,
    resume: Resume = False,
    timeout: Timeout = None,
) -> int:
    """Run profile quick and write the outputs into the notebooks."""
    from course import commands

    return commands.write_outputs(commands.Options(notebooks, reports, "quick", jobs, resume, timeout), only)


@app.command()
def results(
    notebooks: Notebooks = NOTEBOOKS, only: Only = None, reports: Reports = REPORTS, profile: Profile = "quick"
) -> int:
    """Show what was measured and which claims held."""
    from course import commands

    return commands.show_results(notebooks, reports, profile, only)


@app.command()
def copy(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="of lib: boost, or lib/boost.py")],
    folder: Annotated[Path, typer.Argument(metavar="DEST", help="the folder to copy into")],
    force: Annotated[bool, typer.Option("--force", help="overwrite files of other content")] = False,
) -> int:
    """Copy a module of lib, and those it imports, into a folder of your own."""
    from course import copying

    return copying.command(module, folder, force)


@app.command()
def catalogue(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", help="default: catalogue in data/")] = None,
    images: Annotated[int, typer.Option("--images", metavar="N", help="number of images")] = 6000,
    size: Annotated[int, typer.Option("--size", metavar="PIXELS", help="width and height")] = 96,
    seed: Annotated[int, typer.Option("--seed", help="another seed draws other images")] = 0,
) -> int:
    """Draw the embedded collection, unless it is there."""
    from course.catalogue import commands

    try:
        commands.command(images, size, seed, folder)
    except ValueError as error:  # a number out of range, or a folder that holds something else
        raise UsageError(str(error)) from error
    return 0


@app.command()
def exercises(
    notebooks: Notebooks = NOTEBOOKS,
    only: Only = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="yours: another seed gives every student other data")
    ] = 0,
    nbgrader: Annotated[
        Path | None,
        typer.Option("--nbgrader", metavar="FOLDER", help="lay the solutions out as the source of an nbgrader course"),
    ] = None,
) -> int:
    """Write notebooks/exercises from notebooks/solutions."""
    from course.exercises import generate

    return generate.command(notebooks, only, seed, nbgrader)


def _path(option, place, text):
    shown = f"{text} (default: {place.relative_to(ROOT)})"
    return Annotated[Path, typer.Option(option, metavar="PATH", show_default=False, help=shown)]


KEPT, HEADLINES, PAGE = ROOT / "docs" / "results", ROOT / "data" / "headlines.toml", ROOT / "RESULTS.md"
Kept = _path("--kept", KEPT, "where finished runs are kept")


@app.command()
def publish(
    notebooks: Notebooks = NOTEBOOKS,
    only: Only = None,
    reports: ReportsList = (REPORTS,),
    kept: Kept = KEPT,
    headlines: _path("--headlines", HEADLINES, "what the sources published") = HEADLINES,
    page: _path("--page", PAGE, "the page to write") = PAGE,
) -> int:
    """Keep finished full runs and write RESULTS.md from what is kept."""
    from course.publish import headlines as pages

    return pages.command(list(reports), kept, headlines, page, only, notebooks)


@app.command()
def agreement(
    profiles: Annotated[
        list[str] | None, typer.Argument(metavar="PROFILE...", help="default: quick, photos and full")
    ] = None,
    reports: Reports = REPORTS,
    kept: Kept = KEPT,
) -> int:
    """Compare the claims of the profiles: which change sign?"""
    from course.commands import terminal_width
    from course.publish import agreement

    return agreement.command(profiles, reports, kept, terminal_width())


@app.command()
def site(
    notebooks: Notebooks = NOTEBOOKS,
    reports: Reports = REPORTS,
    kept: Kept = KEPT,
    out: _path("--out", ROOT / "_site", "the folder to write") = ROOT / "_site",
) -> int:
    """Write the course as a website, from the notebooks as they were executed."""
    from course.site import address, build

    return build.command(build.Site(notebooks, reports, kept, out, address.address()))


@app.command()
def figures(
    notebooks: Notebooks = NOTEBOOKS,
    only: Only = None,
    out: _path("--out", REPORTS / "figures", "the folder to write to") = REPORTS / "figures",
) -> int:
    """Run notebooks and write each figure as PNG and SVG, for slides."""
    from course.runner.plan import find, select
    from course.site import figures

    return figures.command(notebooks, select(find(notebooks), only), out)


@app.command()
def links(
    notebooks: Notebooks = NOTEBOOKS,
    published: Annotated[
        str | None,
        typer.Option("--address", metavar="URL", help="of your copy: https://github.com/OWNER/NAME, kept from now on"),
    ] = None,
) -> int:
    """Write the links at the top of each notebook, and the map of the course."""
    from course.site import address, openings

    return openings.command(notebooks, address.state(published) if published else address.stated())


@app.command("plan")
def plan_search(
    photos: Annotated[float, typer.Option("--photos", parser=_positive(float), metavar="N", help="photos: 10e6")],
    ms: Annotated[
        float | None,
        typer.Option(
            "--ms", parser=_positive(float), metavar="MS", help="longest time of a query, its embedding included"
        ),
    ] = None,
    gb: Annotated[
        float | None, typer.Option("--gb", parser=_positive(float), metavar="GB", help="most memory of the index")
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option("--quality", parser=_positive(float), metavar="SHARE", help="least share of the best mAP: 0.95"),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="whose leaderboard (default: the last quick run, else a kept one)")
    ] = None,
    reports: Reports = REPORTS,
    kept: Kept = KEPT,
) -> int:
    """Choose embedding, structure and shortlist for so many photos."""
    from course import plan

    return plan.command(plan.Limits(photos, ms, gb, quality), reports, kept, profile)


@app.command()
def demo(
    collection: Annotated[
        str, typer.Argument(metavar="COLLECTION", help="a name, or a folder of your own photos")
    ] = "catalogue",
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="one split (default: all; of the catalogue, test)")
    ] = None,
    backbone: Annotated[
        str, typer.Option("--backbone", metavar="NAME", help="any network of lib/backbones.py")
    ] = "efficientnet_lite0",
    address: Annotated[
        str, typer.Option("--address", metavar="IP", help="0.0.0.0 lets other machines in; there is no password")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", parser=_positive(int), metavar="N")] = 8501,
) -> int:
    """Search a collection on a web page: by a photo, by an image of your own, by words."""
    from course.demo import serve

    return serve.command(collection, split or ("test" if collection == "catalogue" else None), backbone, address, port)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def data(context: typer.Context) -> int:
    """List, fetch, prepare and check collections."""
    from course.collections import commands  # a command line of its own, loaded only where it is asked for

    return _call(commands.app, "python -m course data", context.args)


def _call(application, name, arguments):
    """Run one command of a typer application and return what it returns: no exception is turned into an exit."""
    with typer.main.get_command(application).make_context(name, arguments) as context:
        return context.command.invoke(context) or 0


def _spread(arguments: list[str]) -> list[str]:
    """Repeat an option that takes several words for each of them.

    >>> _spread(["run", "--only", "01", "03", "--jobs", "2"])
    ['run', '--only', '01', '--only', '03', '--jobs', '2']
    """
    spread, option, n_words = [], None, 0
    for word in arguments:
        if word.startswith("-"):
            option, n_words = (word if word in LISTS else None), 0
        else:
            if option and n_words:
                spread.append(option)
            n_words += 1
        spread.append(word)
    return spread


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command and return its status."""
    arguments = _spread(sys.argv[1:] if arguments is None else list(arguments))
    if not arguments:
        main(["--help"])
        return 2
    try:
        return _call(app, "python -m course", arguments)
    except typer.Exit as ended:  # --help
        return ended.exit_code
    except typer.TyperException as error:
        option = getattr(error, "param", None)
        where = f"{option.opts[-1]}: " if option and error.message else ""
        print(f"error: {where}{error.message or error.format_message()}", file=sys.stderr)
        return 2
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:  # it says nothing of what was given, as a broken pipe does not
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = "--resume skips what is finished" if {"run", "notebooks"} & set(arguments) else "call it again to go on"
        print(f"\nstopped; what was done is kept: {again}", file=sys.stderr)
        return 130


def _interrupt(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    status = 0
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a console that lacks a letter of a title must not end the run
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `results | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
