"""A primary that archives fast, or a copy that checks itself, as a program of its own: to be killed.

The primary archives a record of ``--interval`` seconds so many times a second, as a station does, records and daily
summaries in one transaction, and goes on in the past where it was killed. A line on its stdin sets another pace.
"""

import argparse
import logging
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

from samesky.link.message import OnEvent, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.checks import CheckSettings
from samesky.station.days import start_of_archive_day
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import State
from samesky.station.tree_store import TreeStore

STREAM = "home/wx_binding"
REQUESTS = ("replicate/request/home", "replicate/request")
ANSWERS = "replicate/response/copy"
SUMMARY = """
INSERT INTO archive_day_{0} (dateTime, min, mintime, max, maxtime, sum, count, wsum, sumtime)
VALUES (:day, :{0}, :dateTime, :{0}, :dateTime, :{0}, 1, :{0} * :s, :s)
ON CONFLICT (dateTime) DO UPDATE SET
  mintime = CASE WHEN excluded.min < min THEN excluded.mintime ELSE mintime END, min = MIN(min, excluded.min),
  maxtime = CASE WHEN excluded.max > max THEN excluded.maxtime ELSE maxtime END, max = MAX(max, excluded.max),
  sum = sum + excluded.sum, count = count + 1, wsum = wsum + excluded.wsum, sumtime = sumtime + excluded.sumtime
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["serve", "follow"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--interval", type=int, default=300)
    parser.add_argument("--pace", type=float, default=0.0, help="records a second")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(levelname)s %(message)s")
    settings = MqttSettings(client_id=options.role, host="127.0.0.1", port=options.port)

    def make_link(topics: tuple[Subscription, ...], on_event: OnEvent) -> MqttLink:
        return MqttLink(settings, topics, on_event)

    location, folder = SqliteLocation(options.database), options.database.parent
    if options.role == "serve":
        binding = ServedBinding("wx_binding", location)
        served = ServeSettings("home", (binding,), REQUESTS, track_changes=True)
        with Serving(served, make_link, sums=TreeStore(folder)) as serving:
            Station(options.database, serving, interval_s=options.interval).archive(options.pace)
        return
    followed = FollowSettings(
        (CopySettings(STREAM, location, create=True),), {STREAM: Asking(ANSWERS, REQUESTS)}, ANSWERS
    )
    checks = CheckSettings(TreeStore(folder), folder, track_changes=True)
    with Following(followed, make_link, state=State(folder), checks=checks):
        sys.stdin.read()


class Station:
    """Archives records, each an interval after the last one."""

    def __init__(self, database: Path, serving: Serving, *, interval_s: int) -> None:
        self._database, self._serving, self._interval_s = database, serving, interval_s
        self._pace = 0.0
        self._told = threading.Event()

    def archive(self, pace: float) -> None:
        """Go on until stdin ends."""
        self._pace = pace
        threading.Thread(target=self._listen, daemon=True).start()
        with closing(sqlite3.connect(self._database, timeout=20)) as connection:
            while self._pace >= 0:
                if self._pace:
                    self._archive_one(connection)
                self._told.wait(1 / self._pace if self._pace else None)
                self._told.clear()

    def _archive_one(self, connection: sqlite3.Connection) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            ((time,),) = connection.execute("SELECT MAX(dateTime) + ? FROM archive", (self._interval_s,))
            record = {"dateTime": time, "usUnits": 1, "interval": self._interval_s / 60, "outTemp": time / 1e4 % 97}
            record["barometer"] = 29 + time / 1e5 % 2
            connection.execute(
                "INSERT INTO archive (dateTime, usUnits, interval, outTemp, barometer) "
                "VALUES (:dateTime, :usUnits, :interval, :outTemp, :barometer)",
                record,
            )
            for name in ("outTemp", "barometer"):
                values = {**record, "day": start_of_archive_day(time), "s": self._interval_s}
                connection.execute(SUMMARY.format(name), values)
            connection.execute("UPDATE archive_day__metadata SET value = ? WHERE name = 'lastUpdate'", (str(time),))
        self._serving.publish_record(record)

    def _listen(self) -> None:
        for line in sys.stdin:
            self._pace = float(line)
            self._told.set()
        self._pace = -1.0
        self._told.set()


if __name__ == "__main__":
    main()
