"""kill -9 of the copy, the primary's responder and the broker, again and again, during a catch-up.

``SAMESKY_KILLS`` sets how often, ``SAMESKY_KILL_SEED`` when and whom.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from stands.children import die_with_parent
from stands.databases import SqliteDatabase, query
from stands.rows import read_count, wait_until_same
from stands.waiting import wait_for

KILLS = int(os.environ.get("SAMESKY_KILLS", "10"))
SEED = int(os.environ.get("SAMESKY_KILL_SEED", "1"))
HALF = Path(__file__).parent / "station_half.py"
COUNT = 12_000


class Half:
    """A process with one half of samesky in it; `kill` and `start` as often as one likes."""

    def __init__(self, role: str, database: Path, broker: MosquittoBroker, *, folder: Path) -> None:
        self.command = [sys.executable, HALF, role, f"--port={broker.port}", f"--database={database}"]
        self.command += ["--page-bytes=60000"]  # small pages: more moments at which to be killed
        self.log = folder / f"{role}.log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=log, stderr=log, preexec_fn=die_with_parent()
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


def archive_one(primary: SqliteDatabase) -> None:
    with primary.connect() as connection:
        connection.execute(
            "INSERT INTO archive (dateTime, usUnits, interval, outTemp) "
            "SELECT MAX(dateTime) + 60, 1, 5, 50.5 FROM archive"
        )
        connection.execute("UPDATE archive_day__metadata SET value = value + 60 WHERE name = 'lastUpdate'")


@pytest.mark.slow
def test_nothing_is_lost_when_either_side_or_the_broker_is_killed_again_and_again(
    tmp_path: Path, broker: MosquittoBroker
) -> None:
    primary, copy = SqliteDatabase(tmp_path / "primary.sdb"), SqliteDatabase(tmp_path / "copy" / "copy.sdb")
    write_year(primary.path, count=COUNT, end_time=int(time.time()) - 7200)
    chance = Random(SEED)
    halves = {
        "serve": Half("serve", primary.path, broker, folder=tmp_path),
        "follow": Half("follow", copy.path, broker, folder=tmp_path),
    }
    try:
        for _ in range(KILLS):
            wait_for_count(copy, min(COUNT, read_count(copy) + chance.randrange(1, 2 * COUNT // KILLS)))
            archive_one(primary)
            kill(chance.choice(("serve", "follow", "follow", "broker")), halves, broker)
            check_sound(copy)
        wait_until_same(primary, copy, 120)
    finally:
        for half in halves.values():
            half.kill()


def kill(whom: str, halves: dict[str, Half], broker: MosquittoBroker) -> None:
    if whom == "broker":
        broker.kill()
        broker.start()
    else:
        halves[whom].kill()
        halves[whom].start()


def wait_for_count(copy: SqliteDatabase, count: int) -> None:
    # After many kills a link waits up to a minute before it connects again.
    wait_for(lambda: read_count(copy) >= count, 140, what=f"{count} records", every_s=0.01)


def check_sound(copy: SqliteDatabase) -> None:
    if read_count(copy):
        assert query(copy, "PRAGMA quick_check") == [("ok",)]
