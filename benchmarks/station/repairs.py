"""Check and repair: two processes through a broker, triggers at both ends, the primary recording a record a second."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.stands.databases import Database, SqliteDatabase
from tests.stands.differences import apply_at_copy, apply_at_primary, plan_differences, read_times
from tests.stands.mariadb import MariadbServer

from samesky.link.broker import MosquittoBroker

from ..claims import Claim, same
from .databases import make_part, make_year, place_of, read_newest
from .files import wait_until_same
from .peers import Peer

RECORDED = 900
"""Records that the primary may record meanwhile: a quarter of an hour's."""
CHECKS = 10
MILLION = 1_000_000
MOST_IN_SYNC = {"messages": 2, "bytes": 300, "s": 0.5}
MOST_MESSAGES, MOST_S = 6, 5.0
LATE_S, PUBLISH_MS = 1.0, 5.0
BUILD_DEADLINE_S, DEADLINE_S = 900.0, 120.0

Message = tuple[str, int, int]
"""Kind, bytes of payload and user properties, bytes of the whole packet."""


def measure(folder: Path, *, records: int) -> list[Claim]:
    """SQLite to SQLite: sums, checks in sync, 10 differences, 1,000 differences."""
    primary, source = _make_primary(folder, records)
    copy = SqliteDatabase(folder / "copy.sdb")
    shutil.copy(primary.path, copy.path)
    with _Run(folder, primary, source, copy) as run:
        what = f"{records:,} records, SQLite to SQLite"
        claims = run.add_up(what, records) + run.check(f"check in sync, {what}")
        claims += run.repair(f"repair, {what}", 10, bar=records >= MILLION)
        claims += run.repair(f"repair, {what}", 1000, bar=records >= MILLION)
        return claims + run.recorded(f"the primary meanwhile, {what}")


def measure_mariadb(folder: Path, *, records: int) -> list[Claim]:
    """SQLite to MariaDB: 1,000 differences."""
    primary, source = _make_primary(folder, records)
    with MariadbServer(folder / "mariadb") as server:
        copy = server.create_database()
        server.load_sqlite(primary, copy)
        with _Run(folder, primary, source, copy) as run:
            what = f"{records:,} records, SQLite to MariaDB"
            claims = run.add_up(what, records) + run.check(f"check in sync, {what}")
            return claims + run.repair(f"repair, {what}", 1000) + run.recorded(f"the primary meanwhile, {what}")


def _make_primary(folder: Path, records: int) -> tuple[SqliteDatabase, Path]:
    """A primary of so many records, and a database that holds what it will record."""
    source, primary = folder / "source.sdb", SqliteDatabase(folder / "primary.sdb")
    make_year(source, records + RECORDED)
    make_part(source, primary.path, RECORDED)
    return primary, source


class _Run:
    """A primary and a copy at work. A context manager."""

    def __init__(self, folder: Path, primary: SqliteDatabase, source: Path, copy: Database) -> None:
        self._primary, self._copy, self._source = primary, copy, source
        self._places = place_of(primary), place_of(copy)
        self._folders = folder / "primary-state", folder / "copy-state"
        self._stack = ExitStack()
        self._late_s = self._publish_s = 0.0
        self._count = 0

    def __enter__(self) -> "_Run":
        for folder in self._folders:
            folder.mkdir()
        broker = self._stack.enter_context(MosquittoBroker())
        ours, theirs = self._places
        self._serve = self._stack.enter_context(
            Peer(
                "checked_primary",
                port=broker.port,
                place=ours,
                source=str(self._source),
                folder=str(self._folders[0]),
            )
        )
        self._follow = self._stack.enter_context(
            Peer("checked_copy", port=broker.port, place=theirs, folder=str(self._folders[1]))
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # ------------------------------------------------------------------ parts

    def add_up(self, what: str, records: int) -> list[Claim]:
        """Both sides make their sums, and the first check proves them the same."""
        self._serve.ask("record", DEADLINE_S)
        seconds = self._follow.ask("first", BUILD_DEADLINE_S)["seconds"]
        claims = [Claim(f"sums of {what}: both made in the background, and the first check", seconds, "s")]
        for name, peer in (("primary", self._serve), ("copy", self._follow)):
            usage = peer.ask("usage", DEADLINE_S)
            used_us = usage["cpu_s"] / records * 1e6
            memory_mib = (usage["peak_kib"] - peer.ready["memory_kib"]) / 1024
            claims += [
                Claim(f"sums of {what}: processor time at the {name}, all it did", used_us, "µs a record"),
                Claim(f"sums of {what}: memory at the {name} above idle", memory_mib, "MiB"),
            ]
        return claims

    def check(self, what: str) -> list[Claim]:
        """Checks that find nothing; of each figure the worst."""
        done = [self._follow.ask("check", DEADLINE_S, allow=0) for _ in range(CHECKS)]
        found = {
            "messages": max(len(each["messages"]) for each in done),
            "bytes": max(_size(each["messages"]) for each in done),
            "s": max(each["seconds"] for each in done),
        }
        packets = max(_size(each["messages"], packets=True) for each in done)
        what = f"{what}, worst of {CHECKS}"
        says = {"messages": "messages", "bytes": "payload and user properties of both messages", "s": "time"}
        return [
            *(Claim(f"{what}: {says[unit]}", found[unit], unit, at_most=MOST_IN_SYNC[unit]) for unit in found),
            Claim(f"{what}: both messages as packets, topics and all", packets, "bytes"),
            Claim(f"{what}: rows changed", sum(each["repaired"] for each in done), "rows", at_most=0),
        ]

    def repair(self, what: str, count: int, *, bar: bool = True) -> list[Claim]:
        """Make ``count`` differences, ask for a check, wait for the proof; then compare everything."""
        what = f"{what}, {count:,} differences"
        differences = plan_differences(read_times(self._primary), count, seed=count)
        apply_at_primary(self._primary, differences)
        apply_at_copy(self._copy, differences)
        done = self._follow.ask("check", DEADLINE_S, allow=differences.deletions)
        finding, proving = _split(done["messages"])
        claims = [
            Claim(f"{what}: from asking to proven the same", done["seconds"], "s", at_most=MOST_S if bar else None),
            Claim(f"{what}: messages of the check that finds them", len(finding), "messages", at_most=MOST_MESSAGES),
            Claim(f"{what}: messages of the check that proves the repair", len(proving), "messages", at_most=2),
            Claim(f"{what}: payload and user properties, the rows included", _size(done["messages"]) / 1024, "KiB"),
            Claim(f"{what}: of that, the answer with the rows", _size(finding[-1:]) / 1024, "KiB"),
            Claim(f"{what}: rows changed beside those that differed", done["repaired"] - count, "rows", at_most=0),
        ]
        self._rest()
        claims.append(same(what, wait_until_same(*self._places)))
        self._serve.ask("record", DEADLINE_S)
        return claims

    def recorded(self, what: str) -> list[Claim]:
        """How the primary's own recording went all the while."""
        self._rest()
        publish_ms = self._publish_s * 1000
        return [
            Claim(f"{what}: records recorded, one a second", self._count, "records"),
            Claim(f"{what}: latest record in its own database", self._late_s, "s late", at_most=LATE_S),
            Claim(f"{what}: slowest publish_record", publish_ms, "ms", at_most=PUBLISH_MS),
        ]

    def _rest(self) -> None:
        """Let the primary stop recording, and the copy have all of it."""
        done = self._serve.ask("recorded", DEADLINE_S)
        self._count += done["count"]
        self._late_s = max(self._late_s, done["late_s"])
        self._publish_s = max(self._publish_s, done["slowest_publish_s"])
        newest = read_newest(self._places[0])
        self._follow.ask("reach", DEADLINE_S, position=newest)


def _split(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """The messages of the check that found something, and those of the last check, which proved the repair."""
    roots = [number for number, (kind, _, _) in enumerate(messages) if kind == "root?"]
    return messages[: roots[-1]], messages[roots[-1] :]


def _size(messages: Sequence[Message], *, packets: bool = False) -> int:
    return sum(packet if packets else size for _, size, packet in messages)
