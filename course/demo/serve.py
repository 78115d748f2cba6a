"""Start the demo's page: describe the library, then serve, to this machine alone unless told otherwise."""

import importlib.util
import ipaddress
import os
import subprocess
import sys
from pathlib import Path

from course import UsageError

PAGE = Path(__file__).with_name("page.py")


def command(collection: str, split: str | None, backbone: str, address: str, port: int) -> int:
    """Serve the page until it is stopped; returns the status of the server."""
    if importlib.util.find_spec("streamlit") is None:
        raise UsageError("the demo needs Streamlit: `make demo` installs it, or `python install.py demo`")
    prepare(collection, split, backbone)
    if not is_local(address):
        print(
            f"warning: everyone who can reach {address}:{port} can use the page and see these photos", file=sys.stderr
        )
    print(f"Searching {collection}: http://{address}:{port} (stop with Ctrl-C)", flush=True)
    environment = os.environ | {
        "COURSE_DEMO_COLLECTION": collection, "COURSE_DEMO_SPLIT": split or "", "COURSE_DEMO_BACKBONE": backbone,
    }  # fmt: skip
    return subprocess.run([sys.executable, "-m", "streamlit", *options(address, port)], env=environment).returncode


def options(address: str, port: int) -> list[str]:
    """The arguments of Streamlit: nothing is sent anywhere, errors show no source, uploads are bounded."""
    given = {
        "server.address": address, "server.port": port, "server.headless": "true", "server.maxUploadSize": 20,
        "server.fileWatcherType": "none", "browser.gatherUsageStats": "false", "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none", "server.maxMessageSize": 50,
    }  # fmt: skip
    return ["run", str(PAGE), *(f"--{key}={value}" for key, value in given.items())]


def is_local(address: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def prepare(collection: str, split: str | None, backbone: str) -> None:
    """Describe the library once, so that the page finds it done."""
    from course.catalogue import commands
    from course.demo import photo_search, words
    from lib import collection as collections

    try:
        collections.read("catalogue")
    except FileNotFoundError:
        commands.command()  # words are learned from it where a library has no captions
    try:
        library = photo_search.Library(collection, split, backbone, progress=True)
        print(
            f"Describing {len(library):,} photos, and learning words from captions: minutes the first time, then it is "
            "kept in data/features and data/models.", flush=True,
        )  # fmt: skip
        for method in [*library.methods, *words.METHODS]:
            library.space(method)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error
    if len(library.broken):
        print(f"{len(library.broken)} files could not be opened and are left out; the page names them", file=sys.stderr)
