"""Pictures of all pages, as docs/ shows them: ``scripts/screenshots [folder]``."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from samesky.core.status import Snapshot
from samesky.link.broker import MosquittoBroker
from samesky.station.location import SqliteLocation

from . import web_streams as streams
from .browser import DESKTOP, PHONE, Browser
from .served_copy import make_serving
from .waiting import wait_for
from .web_page import ServedPage
from .web_station import WebStation, write_station

YEARS = 7
LONGEST = 2400
"""Pixels of a picture: a phone shows a station's year in many more."""
STATION_PAGE = "stream/station/home/wx_binding"


def main(folder: Path) -> None:
    """Write the pictures into ``folder``."""
    folder = folder.absolute()
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        stack.enter_context(chdir(temporary))  # so that no path of this machine is in the pictures
        broker = stack.enter_context(MosquittoBroker())
        station = write_station(Path(), days=365 * YEARS, interval_s=1800, port=broker.port)
        serving = make_serving(broker.port, SqliteLocation(station.primary))
        stack.enter_context(serving)
        wait_for(lambda: serving.snapshots()[0].state == "live", 60, what="the primary")
        page = stack.enter_context(ServedPage(station.folder / "board", configs=[station.config]))
        browser = stack.enter_context(Browser())
        nothing = stack.enter_context(ServedPage(Path("/var/lib/samesky/status")))
        for name, url in chain([("empty", nothing.url)], _show(page, station)):
            for width, dark in ((PHONE, False), (DESKTOP, False), *([(DESKTOP, True)] if name == "overview" else [])):
                target = folder / f"web-{name}-{width}{'-dark' if dark else ''}.png"
                with browser.open(url, width=width, dark=dark) as shown:
                    shown.page.wait_for_timeout(800)
                    shown.picture(target, longest=LONGEST)
                print(target.name)


def _show(page: ServedPage, station: WebStation) -> Iterator[tuple[str, str]]:
    """Bring about what is to be shown; yields each page's name and address."""
    station.tell_well()
    with _settled(page, *streams.all_well(time.time())[2:]):
        yield "overview", f"{page.url}"
    station.write_snapshots(streams.held_copy(time.time()))
    with _settled(page, *streams.some_trouble(time.time())[2:]):
        yield "trouble", f"{page.url}"
        yield "mesh", f"{page.url}stream/mesh/data/mqtt%3A/%2Fblacklab"
        yield "push", f"{page.url}stream/push/valley"
        yield "blocks", f"{page.url}stream/blocks/spark-slave.dummy-1"
    station.tell_well()
    with _settled(page, *streams.all_well(time.time())[2:]):
        yield "station", f"{page.url}{STATION_PAGE}"
    station.lose(41.3, 6.6)
    station.lose(12.4, 0.3)
    station.find_different(3)
    station.tell_different()
    with _settled(page, *streams.all_well(time.time())[2:]):
        wait_for(lambda: "are gone from this copy" in page.ask(f"/{STATION_PAGE}").text, 30, what="the loss")
        yield "station-differs", f"{page.url}{STATION_PAGE}"
        yield "day", f"{page.url}{STATION_PAGE}/day/{station.day(3)}"


@contextmanager
def _settled(page: ServedPage, *snapshots: Snapshot) -> Iterator[None]:
    page.post(*(replace(each, silent_after_s=None) for each in snapshots))
    time.sleep(1.0)  # the page reads anew after half a second
    yield


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures"))
