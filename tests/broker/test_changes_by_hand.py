"""Somebody changes rows behind our back, and no record comes that would show it: it is found and mended soon."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station import stream_trees
from samesky.station.agreement import CopySettings
from samesky.station.checks import CheckSettings
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.found import read_found
from samesky.station.location import SqliteLocation
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import FILE_NAME, State
from samesky.station.tree_store import TreeStore
from stands.databases import SqliteDatabase
from stands.rows import find_differences
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

STREAM = "home/wx_binding"
REQUESTS = ("replicate/request/home", "replicate/request")
DEADLINE_S = 120.0
COUNT = 6000
DAY_S = 86_400
COLUMNS = (
    ("dateTime", "INTEGER NOT NULL PRIMARY KEY"),
    ("usUnits", "INTEGER NOT NULL"),
    ("interval", "INTEGER NOT NULL"),
    ("outTemp", "REAL"),
)


class Pair:
    """A primary that archives nothing, and its copy, both without triggers; the next check is a month away."""

    def __init__(self, folder: Path, port: int, stack: ExitStack) -> None:
        self.folder = folder
        self.end = int(time.time()) // 300 * 300 - 600
        self.primary, self.copy = SqliteDatabase(folder / "primary.sdb"), SqliteDatabase(folder / "copy.sdb")
        write_year(self.primary.path, count=COUNT, end_time=self.end, schema=COLUMNS)
        served = ServedBinding("wx_binding", SqliteLocation(self.primary.path))
        stack.enter_context(
            Serving(
                ServeSettings("home", (served,), REQUESTS, tail=True),
                lambda subscriptions, on_event: MqttLink(
                    MqttSettings(host="127.0.0.1", port=port, client_id="primary"), subscriptions, on_event
                ),
                sums=TreeStore(folder / "primary-state"),
            )
        )
        reply_to = "replicate/response/copy"
        copied = CopySettings(STREAM, SqliteLocation(self.copy.path), create=True)
        state = folder / "copy-state"
        self.following = stack.enter_context(
            Following(
                FollowSettings((copied,), {STREAM: Asking(reply_to, REQUESTS)}, reply_to),
                lambda subscriptions, on_event: MqttLink(
                    MqttSettings(host="127.0.0.1", port=port, client_id="copy"), subscriptions, on_event
                ),
                state=State(state),
                checks=CheckSettings(TreeStore(state), state, interval_s=30 * DAY_S),
            )
        )

    @property
    def proven_at(self) -> float:
        return self.following.snapshots()[0].proven_at or 0.0

    def wait_until_mended(self) -> None:
        """Until checks have found it, and another has proven that it is mended.

        On a busy machine not all of it is found at once: each look has its share of time, and no more.
        """

        def is_mended() -> bool:
            snapshot = self.following.snapshots()[0]
            if not snapshot.repaired or snapshot.different is not False:
                return False
            return not find_differences(self.primary, self.copy)

        wait_for(is_mended, DEADLINE_S, what="the proof", explain=lambda: self.following.snapshots()[0].describe())


def change(database: SqliteDatabase, query: str, *values: object) -> None:
    with closing(sqlite3.connect(database.path, timeout=10)) as connection, connection:
        connection.execute(query, values)


@pytest.fixture
def pair(tmp_path: Path, broker: MosquittoBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(stream_trees, "RECHECK_INTERVAL_S", 1.0)  # usually half a minute
    with ExitStack() as stack:
        made = Pair(tmp_path, broker.port, stack)
        wait_for(lambda: made.proven_at > 0, DEADLINE_S, what="the first proof")
        yield made


def test_days_that_are_deleted_at_the_copy_come_back_by_itself(pair: Pair) -> None:
    last = pair.end - 8 * DAY_S
    change(pair.copy, "DELETE FROM archive WHERE dateTime > ? AND dateTime <= ?", last - 8 * DAY_S, last)
    pair.wait_until_mended()
    found = read_found(pair.folder / "copy-state" / FILE_NAME, STREAM)
    assert {each.kind for each in found} == {"missing"}
    assert sum(each.count for each in found) > 2200
    assert all(each.mended_at for each in found)


def test_a_record_that_is_edited_at_the_primary_is_edited_at_the_copy(pair: Pair) -> None:
    change(pair.primary, "UPDATE archive SET outTemp = 99.5 WHERE dateTime = ?", pair.end - 300 * 50)
    pair.wait_until_mended()
    (found,) = read_found(pair.folder / "copy-state" / FILE_NAME, STREAM)
    assert (found.kind, found.count, bool(found.mended_at)) == ("different", 1, True)


def test_a_record_that_is_deleted_at_the_primary_goes_from_the_copy(pair: Pair) -> None:
    change(pair.primary, "DELETE FROM archive WHERE dateTime = ?", pair.end - 300 * 4000)
    pair.wait_until_mended()
    (found,) = read_found(pair.folder / "copy-state" / FILE_NAME, STREAM)
    assert (found.kind, found.count) == ("extra", 1)
