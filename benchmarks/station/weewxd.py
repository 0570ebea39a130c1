"""A real weewxd that starts far behind its primary."""

import re
import time
from pathlib import Path

from tests.stands.databases import SqliteDatabase
from tests.stands.pairs import main_binding, make_copy
from tests.stands.weewx_station import WeewxStation

from samesky.link.broker import MosquittoBroker

from ..claims import Claim, same
from .databases import Place, make_part, make_year
from .files import wait_until_same
from .peers import Peer

MOST_S = 5.0
BEFORE = 1000
DEADLINE_S = 120.0
READY = "Starting main packet loop"


def measure(folder: Path, *, records: int) -> list[Claim]:
    """From the start of the weewxd process to its main loop, with ``records`` to fetch and then with none."""
    primary, copy = folder / "primary.sdb", folder / "copy" / "weewx.sdb"
    copy.parent.mkdir()
    make_year(primary, BEFORE + records)
    make_part(primary, copy, records)
    ours: Place = {"path": str(primary)}
    theirs: Place = {"path": str(copy)}
    binding = main_binding(SqliteDatabase(copy))
    with (
        MosquittoBroker() as broker,
        Peer("serve", port=broker.port, place=ours),
        make_copy(folder / "station", [binding], port=broker.port) as station,
    ):
        behind_s = _start(station)
        fetched_s = _read_fetching_s(station)
        differences = wait_until_same(ours, theirs)
        station.stop()
        station.log_path.unlink()
        level_s = _start(station)
        station.stop()
    what = f"weewxd, main binding, {records:,} records behind"
    return [
        Claim(f"{what}: process started to main loop", behind_s, "s", at_most=MOST_S),
        Claim(f"{what}: of that, connecting and fetching; WeeWX's engine archives the newest 288", fetched_s, "s"),
        same(what, differences),
        Claim("weewxd, main binding, nothing to catch up: process started to main loop", level_s, "s"),
    ]


def _start(station: WeewxStation) -> float:
    start = time.monotonic()
    station.start()
    station.wait_for(lambda: READY in station.log_text, DEADLINE_S, what="the main loop")
    return time.monotonic() - start


def _read_fetching_s(station: WeewxStation) -> float:
    """What the driver says of its constructor; the rest is Python's and WeeWX's own."""
    found = re.search(r"started caught_up=True seconds=([0-9.]+)", station.log_text)
    if found is None:
        raise RuntimeError("the driver didn't say that it had caught up")
    return float(found[1])
