"""kill -9 of a busy primary, its copy and the broker, while somebody edits and deletes old records in silence.

The station archives many times a second, so days go by in seconds. Of every hundred records that it archives, another
program changes two older ones and deletes one, by plain SQL; now and then it meddles with the copy too. Whoever is
killed is started again at once. When it is over, both databases must become the same, table for table.

*Recovery* is from the moment when what was killed was started again until the copy has a record that was archived
after that moment, and thus all before it. It is measured after the killing, when each is killed a few times more and
left in peace until it has recovered. For the kills before, other kills that came in between count in, and the back-off
of links that lose their connection again and again: these figures are printed, not judged.

``SAMESKY_KILL_SECONDS`` sets how long, ``SAMESKY_KILL_SEED`` when and whom, ``SAMESKY_KILL_RUNS`` how many such runs
are made, each with the next seed. Six runs of 60 seconds are some 500 kills and 90 measured ones.
"""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path
from random import Random

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from stands.children import die_with_parent
from stands.databases import SqliteDatabase, query
from stands.rows import read_newest, wait_until_same
from stands.waiting import wait_for

SECONDS = float(os.environ.get("SAMESKY_KILL_SECONDS", "60"))
SEED = int(os.environ.get("SAMESKY_KILL_SEED", "1"))
RUNS = int(os.environ.get("SAMESKY_KILL_RUNS", "1"))
HALF = Path(__file__).parent / "checked_half.py"
COUNT = 20_000
INTERVAL_S = 300
PACE = 100.0
CALM_PACE = 1.0
EDITS, DELETIONS, MEDDLING = 0.02, 0.01, 0.005
"""Shares of what is archived."""
MOST_DELETIONS = 60
"""Well below the hundred at which a copy stops, because checks seldom end while the killing goes on."""
PAUSES_S = (0.15, 1.2)
RECOVERIES = 5
"""Of each."""
RECOVERY_P95_S = 5.0


class Half:
    """The primary or the copy, in a process of its own."""

    def __init__(self, role: str, database: SqliteDatabase, broker: MosquittoBroker, *arguments: str) -> None:
        self.command = [sys.executable, HALF, role, f"--port={broker.port}", f"--database={database.path}", *arguments]
        self.log = database.path.with_suffix(".log")
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

    def tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()


@dataclass
class Watch:
    """Looks at the copy's newest record all the time."""

    copy: SqliteDatabase
    seen: list[tuple[float, int]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.wait(0.02):
            newest = read_newest(self.copy) or 0
            if not self.seen or newest > self.seen[-1][1]:
                self.seen.append((time.monotonic(), newest))

    def recovery_s(self, since: float, newest: int) -> float | None:
        """How long after ``since`` the copy had a record later than ``newest``; None when it hadn't."""
        later = dropwhile(lambda each: each[1] <= newest, self.seen)
        return next((max(0.0, moment - since) for moment, _ in later), None)


class Meddler:
    """Changes and deletes old records of both databases, as anybody may with a database client."""

    def __init__(self, primary: SqliteDatabase, copy: SqliteDatabase, chance: Random) -> None:
        self.primary, self.copy, self.chance = primary, copy, chance
        self.newest = self.first = read_newest(primary) or 0
        self.done = {"edited": 0, "deleted": 0, "at the copy": 0}

    def keep_pace(self) -> None:
        """Do what is due for the records that have been archived since the last time."""
        newest = read_newest(self.primary) or self.newest
        archived, self.newest = (newest - self.newest) // INTERVAL_S, newest
        with closing(sqlite3.connect(self.primary.path, timeout=20, isolation_level=None)) as connection:
            for _ in range(archived):
                draw = self.chance.random()
                if draw < EDITS:
                    self._edit(connection)
                    self.done["edited"] += 1
                elif draw < EDITS + DELETIONS and self.done["deleted"] < MOST_DELETIONS:
                    connection.execute("DELETE FROM archive WHERE dateTime = ?", (self._pick(connection),))
                    self.done["deleted"] += 1
        if self.chance.random() < archived * MEDDLING:
            self._meddle_with_copy()

    def _edit(self, connection: sqlite3.Connection) -> None:
        value = self.chance.uniform(-40, 120)
        connection.execute("UPDATE archive SET outTemp = ? WHERE dateTime = ?", (value, self._pick(connection)))

    def _meddle_with_copy(self) -> None:
        if not read_newest(self.copy):
            return
        with closing(sqlite3.connect(self.copy.path, timeout=20, isolation_level=None)) as connection:
            self._edit(connection)
            connection.execute("DELETE FROM archive WHERE dateTime = ?", (self._pick(connection),))
            extra = (self._pick(connection) + 7,)
            connection.execute("INSERT OR IGNORE INTO archive (dateTime, usUnits, interval) VALUES (?, 1, 5)", extra)
        self.done["at the copy"] += 3

    def _pick(self, connection: sqlite3.Connection) -> int:
        """The time of an old record: neither the first, by which a database is known, nor one of the newest."""
        ((first, newest),) = connection.execute("SELECT MIN(dateTime), MAX(dateTime) FROM archive")
        wanted = self.chance.randint(first + 1, max(first + 1, newest - 20 * INTERVAL_S))
        query = "SELECT dateTime FROM archive WHERE dateTime >= ? ORDER BY dateTime LIMIT 1"
        return int(connection.execute(query, (wanted,)).fetchone()[0])


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_whoever_is_killed_and_whatever_is_changed_in_silence_both_become_the_same(
    tmp_path: Path, broker: MosquittoBroker, seed: int
) -> None:
    primary, copy = SqliteDatabase(tmp_path / "primary" / "primary.sdb"), SqliteDatabase(tmp_path / "copy" / "copy.sdb")
    for database in (primary, copy):
        database.path.parent.mkdir()
    past_s = int((SECONDS + 120) * PACE) * INTERVAL_S  # what will be archived isn't of the future
    write_year(primary.path, count=COUNT, end_time=int(time.time()) - past_s, schema="wview_small")
    chance, watch = Random(seed), Watch(copy)
    halves = {
        "primary": Half("serve", primary, broker, f"--pace={PACE}"),
        "copy": Half("follow", copy, broker),
    }
    watcher = threading.Thread(target=watch.run, daemon=True)
    watcher.start()
    meddler = Meddler(primary, copy, chance)
    try:
        kills = kill_all_the_time(halves, broker, meddler, chance)
        for kill in kills:
            recover(kill, watch, meddler)
        recoveries = [
            recover(Kill(whom, halves, broker, meddler), watch, meddler)
            for whom in ("primary", "copy", "broker") * RECOVERIES
        ]
        end = time.monotonic()
        halves["primary"].tell(str(CALM_PACE))
        wait_until_same(primary, copy, 90, explain=lambda: last_words(halves))
        same_s = time.monotonic() - end
    finally:
        watch.ended.set()
        watcher.join()
        for half in halves.values():
            half.kill()
    assert query(copy, "PRAGMA integrity_check") == [("ok",)]
    hurried = [watch.recovery_s(kill.started, kill.newest) or 0.0 for kill in kills]
    whom = {name: sum(kill.whom == name for kill in kills) for name in ("primary", "copy", "broker")}
    print(
        f"seed={seed} kills={len(kills)} {whom} {meddler.done} recovery {percentiles(recoveries)}, "
        f"with further kills in between {percentiles(hurried)}, the same {same_s:.1f} s after the last kill"
    )
    assert percentile(recoveries, 0.95) < RECOVERY_P95_S


class Kill:
    """Kills one of the three and starts it again."""

    def __init__(self, whom: str, halves: dict[str, Half], broker: MosquittoBroker, meddler: Meddler) -> None:
        self.whom = whom
        victim = broker if whom == "broker" else halves[whom]
        victim.kill()
        self.newest = read_newest(meddler.primary) or 0
        self.started = time.monotonic()
        victim.start()


def kill_all_the_time(halves: dict[str, Half], broker: MosquittoBroker, meddler: Meddler, chance: Random) -> list[Kill]:
    """Kill for `SECONDS`."""
    kills = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        pause_until = time.monotonic() + chance.uniform(*PAUSES_S)
        while time.monotonic() < pause_until:
            meddler.keep_pace()
            time.sleep(0.02)
        kills.append(Kill(chance.choice(("primary", "copy", "broker")), halves, broker, meddler))
    return kills


def recover(kill: Kill, watch: Watch, meddler: Meddler) -> float:
    """How long it took to recover from a kill; everybody is in order when it is over."""

    def recovered() -> float | None:
        meddler.keep_pace()
        return watch.recovery_s(kill.started, kill.newest)

    # After a minute of kills a link waits up to a minute before it connects again.
    took_s = wait_for(recovered, 70, what=f"the recovery of the {kill.whom}", every_s=0.02)
    assert took_s is not None
    return took_s


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def percentiles(values: list[float]) -> str:
    return f"p50={percentile(values, 0.5):.2f} p95={percentile(values, 0.95):.2f} worst={max(values):.2f} s"


def last_words(halves: dict[str, Half]) -> str:
    return "\n".join(half.log.read_text(errors="replace")[-2000:] for half in halves.values())
