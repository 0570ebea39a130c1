"""A primary and its copies over a real broker: what differs is found and mended while both run, whoever changed it."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Link, OnEvent, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.checks import CheckSettings
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.standing_in import make_stand_ins
from samesky.station.state import State
from samesky.station.tree_store import TreeStore
from stands.databases import SqliteDatabase
from stands.rows import find_differences
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

STREAM = "home/wx_binding"
REQUESTS = ("replicate/request/home", "replicate/request")


class Bench:
    """Where primaries and copies are made, and ended."""

    def __init__(self, folder: Path, port: int, stack: ExitStack) -> None:
        self.folder, self.port, self.stack = folder, port, stack
        self.end = int(time.time()) // 300 * 300 - 600
        self.primary = SqliteDatabase(folder / "primary.sdb")
        write_year(self.primary.path, count=3_000, end_time=self.end)

    def serve(self, **settings: object) -> Serving:
        binding = ServedBinding("wx_binding", SqliteLocation(self.primary.path))
        serving = Serving(
            ServeSettings("home", (binding,), REQUESTS, tail=True, track_changes=True, **settings),  # type: ignore[arg-type]
            self._linking("primary", session_expiry_s=0),
            sums=TreeStore(self.folder / "primary-state"),
        )
        return self.stack.enter_context(serving)

    def follow(self, name: str, *, answer: bool = False) -> tuple[Following, SqliteDatabase]:
        database = SqliteDatabase(self.folder / f"{name}.sdb")
        reply_to = f"replicate/response/{name}"
        state, sums = State(self.folder / name), TreeStore(self.folder / name)
        settings = FollowSettings(
            (CopySettings(STREAM, SqliteLocation(database.path), create=True),),
            {STREAM: Asking(reply_to, REQUESTS)},
            reply_to,
        )
        checks = CheckSettings(sums, self.folder / name, interval_s=3600, track_changes=True)
        following = Following(settings, self._linking(name), state=state, checks=checks)
        self.stack.enter_context(following)
        if answer:
            mqtt = MqttSettings(host="127.0.0.1", port=self.port, client_id=name)
            for stand_in in make_stand_ins(settings, mqtt, following, state=state, sums=sums):
                self.stack.enter_context(stand_in)
        return following, database

    def _linking(self, client_id: str, **settings: int) -> Callable[[tuple[Subscription, ...], OnEvent], Link]:
        mqtt = MqttSettings(host="127.0.0.1", port=self.port, client_id=client_id, **settings)  # type: ignore[arg-type]
        return lambda subscriptions, on_event: MqttLink(mqtt, subscriptions, on_event)

    def append(self) -> None:
        """The station archives a record."""
        self.end += 300
        change(self.primary, "INSERT INTO archive (dateTime, usUnits, interval, outTemp) VALUES (?, 1, 5, 7)", self.end)
        change(self.primary, "UPDATE archive_day__metadata SET value = ? WHERE name = 'lastUpdate'", str(self.end))

    def wait_until_proven(self, following: Following, *, through: int = 0) -> None:
        def proven() -> bool:
            snapshot = following.snapshots()[0]
            return snapshot.different is False and (snapshot.proven_through or 0) >= (through or self.end)

        wait_for(proven, 30, what="the proof", explain=lambda: following.snapshots()[0].describe())


def change(database: SqliteDatabase, query: str, *values: object) -> None:
    with closing(sqlite3.connect(database.path, timeout=10)) as connection, connection:
        connection.execute(query, values)


@pytest.fixture
def bench(tmp_path: Path, broker: MosquittoBroker) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, broker.port, stack)


def test_changes_by_hand_on_either_side_are_mended_at_the_next_record(bench: Bench) -> None:
    bench.serve()
    following, copy = bench.follow("copy")
    bench.wait_until_proven(following)
    times = [bench.end - 300 * number for number in (10, 200, 1500, 2500)]
    change(bench.primary, "UPDATE archive SET outTemp = 99.5 WHERE dateTime = ?", times[0])
    change(bench.primary, "DELETE FROM archive WHERE dateTime = ?", times[1])
    change(bench.primary, "INSERT INTO archive (dateTime, usUnits, interval) VALUES (?, 1, 5)", times[2] + 7)
    change(copy, "UPDATE archive SET outTemp = -40 WHERE dateTime = ?", times[3])
    change(copy, "DELETE FROM archive WHERE dateTime = ?", times[3] - 300)
    change(copy, "INSERT INTO archive (dateTime, usUnits, interval) VALUES (?, 1, 5)", times[3] + 9)
    bench.append()
    bench.wait_until_proven(following)
    assert not find_differences(bench.primary, copy)
    assert following.snapshots()[0].repaired >= 6


def test_a_copy_answers_for_a_primary_that_is_away(bench: Bench) -> None:
    serving = bench.serve(shared=True)
    first, _ = bench.follow("first", answer=True)
    bench.append()
    bench.wait_until_proven(first)
    serving.close()
    second, there = bench.follow("second")
    bench.wait_until_proven(second)
    assert not find_differences(bench.primary, there)


def test_a_copy_that_was_changed_by_hand_answers_no_checks(bench: Bench) -> None:
    serving = bench.serve(shared=True)
    first, here = bench.follow("first", answer=True)
    second, there = bench.follow("second")
    for following in (first, second):
        bench.wait_until_proven(following)
    serving.close()
    change(here, "UPDATE archive SET outTemp = 99.5 WHERE dateTime = ?", bench.end - 3000)
    change(here, "DELETE FROM archive WHERE dateTime = ?", bench.end - 6000)
    second.request_check(STREAM)
    wait_for(
        lambda: second.check_counts(STREAM).get("busy", 0) >= 1,
        30,
        what="the refusal",
        explain=lambda: f"{second.check_counts(STREAM)}",
    )
    assert not find_differences(bench.primary, there)
