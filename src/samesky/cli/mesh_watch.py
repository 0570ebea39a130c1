"""`samesky mesh watch`: announce whatever appears in a folder."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .configuration import json_option
from .mesh_options import (
    SEED_SPELLING,
    choose_base_url,
    make_client_id,
    posting_options,
    read_headers,
    read_post_settings,
    read_telling,
)
from .systemd import Systemd
from .web_options import beside_options, page_beside

if TYPE_CHECKING:
    from ..mesh.watching import Watching
    from ..web.posting import Latest

REPORT_INTERVAL_S = 60.0
PUT_INTERVAL_S = 1.0
LOOK_INTERVAL_S = 600.0


@click.command(
    "watch",
    short_help="Announce whatever appears in a folder.",
    context_settings=SEED_SPELLING,
    epilog="Example: samesky mesh watch --post-broker mqtt://owner:ownerpw@this_host --inline data",
)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@posting_options
@click.option("--removals/--no-removals", default=False, show_default=True, help="Announce files that go as removed.")
@click.option(
    "--existing/--no-existing",
    default=True,
    show_default=True,
    help="Announce what is there at the start and wasn't announced before.",
)
@click.option("--poll", is_flag=True, help="Look at every file instead of asking the system; for network file systems.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help=f"How often to look at every file (default: {LOOK_INTERVAL_S:.0f}; with --poll at least every 10 s).",
)
@beside_options
@json_option
def command(
    folder: Path, removals: bool, existing: bool, poll: bool, interval: float | None, as_json: bool, **options: Any
) -> None:
    """Announce the files of DIR to all peers, those that are there and whatever appears, until Ctrl-C.

    A file is announced when its writer has closed it. What was announced is kept in DIR/.samesky, together with what
    the broker hasn't taken yet, so nothing is lost between two runs, and nothing announced twice. Links, and names that
    begin with a dot, are left out.
    """
    from ..mesh.watching import WINDOW, Watching, WatchSettings
    from ..web.posting import Latest, posting

    settings = WatchSettings(
        folder=folder,
        mqtt=read_post_settings(options, make_client_id("watch"), window=WINDOW),
        base_url=choose_base_url(options["post_base_url"], folder),
        telling=read_telling(options),
        inline_most_bytes=options["inline_max"] if options["inline"] else 0,
        headers=read_headers(options["headers"]),
        removals=removals,
        existing=existing,
        asks_system=not poll,
        look_interval_s=interval or LOOK_INTERVAL_S,
    )
    latest, status_dir = Latest(), options["status_dir"]
    with (
        page_beside(options["web"], options["web_token_file"], status_dir=status_dir, quiet=as_json),
        posting(f"mesh watch {folder.absolute()}", latest, status_dir=status_dir),
        Systemd.from_environment() as systemd,
        Watching(settings) as watching,
    ):
        told = {"watching": str(folder), "base_url": settings.base_url}
        click.echo(json.dumps(told) if as_json else f"watching {folder}, to be fetched from {settings.base_url}")
        systemd.tell_ready(f"watching {folder}")
        watching.run(_Report(watching, latest, as_json, on_turn=systemd.watch("mesh-watch")))


class _Report:
    """Says once a minute how many files were announced, when there were any, and each second how it goes."""

    def __init__(self, watching: "Watching", latest: "Latest", as_json: bool, *, on_turn: Callable[[], None]) -> None:
        self._watching, self._latest, self._as_json, self._on_turn = watching, latest, as_json, on_turn
        self._next_put = 0.0
        self._said, self._next = 0, time.monotonic() + REPORT_INTERVAL_S

    def __call__(self) -> None:
        self._on_turn()
        if time.monotonic() >= self._next_put:
            self._next_put = time.monotonic() + PUT_INTERVAL_S
            self._latest.put([self._watching.snapshot()])
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REPORT_INTERVAL_S
        count = self._watching.announced
        if count != self._said:
            self._said = count
            click.echo(json.dumps({"announced": count}) if self._as_json else f"{count:,} announced")
