"""When a copy stops and asks: a primary from an old backup, an empty one, another database, too many deletions.

It says why, and what to type, and keeps all that it has. Once somebody has decided, it goes on.
"""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from samesky.config import Findings, read_toml
from samesky.demo.year import write_year
from samesky.errors import DifferenceFound
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Link, OnEvent, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.advice import advise
from samesky.station.agreement import CopySettings
from samesky.station.checks import CheckSettings
from samesky.station.days import start_of_archive_day
from samesky.station.decisions import Decisions
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.mending import repair
from samesky.station.requester import Asking
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.stanza import read_toml_requester
from samesky.station.state import State
from samesky.station.tree_store import TreeStore
from stands.databases import SqliteDatabase, query
from stands.rows import find_differences, read_count, read_rows, read_tables, wait_until_same
from stands.waiting import wait_for

STREAM = "home/wx_binding"
REQUESTS = ("replicate/request/home", "replicate/request")
ANSWERS = "replicate/response/copy"
COUNT = 3_000
LIMIT = 30
"""One in a hundred of them: more aren't deleted unasked."""
DAY = "INSERT OR IGNORE INTO {} (dateTime, sum, count, wsum, sumtime) VALUES (?, 0, 0, 0, 0)"
DAY_S = 86_400
INSERT = "INSERT INTO archive (dateTime, usUnits, interval, outTemp) VALUES (?, 1, 5, 7)"

pytestmark = pytest.mark.slow


class Pair:
    """A primary and a copy that was proven the same, both of which can be ended and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.end = int(time.time()) // 300 * 300 - 6000
        if self.end % DAY_S < 3600:  # the summaries of a day are compared when it is over in any time zone
            self.end -= 7200
        self.primary, self.copy = SqliteDatabase(folder / "primary.sdb"), SqliteDatabase(folder / "copy.sdb")
        write_year(self.primary.path, count=COUNT, end_time=self.end, schema="wview_small")
        self.state = State(folder / "copy-state")
        self.start_primary()
        self.start_copy()
        wait_for(lambda: self.snapshot.proven_through == self.end, 30, what="the proof", explain=self.describe)

    def start_primary(self) -> None:
        binding = ServedBinding("wx_binding", SqliteLocation(self.primary.path))
        self.serving = Serving(
            ServeSettings("home", (binding,), REQUESTS, track_changes=True),
            self._linking("primary"),
            sums=TreeStore(self.folder / "primary-state"),
        )
        self.serving.start()
        wait_for(lambda: self.serving.snapshots()[0].state == "live", 30, what="a primary that is connected")

    def start_copy(self) -> None:
        settings = FollowSettings(
            (CopySettings(STREAM, SqliteLocation(self.copy.path), create=True),),
            {STREAM: Asking(ANSWERS, REQUESTS)},
            ANSWERS,
        )
        sums = TreeStore(self.folder / "copy-state")
        checks = CheckSettings(sums, self.folder / "copy-state", track_changes=True)
        self.following = Following(settings, self._linking("copy"), state=self.state, checks=checks)
        self.following.start()

    def restart_primary(self, change: Callable[[], None]) -> None:
        """End the primary, do something to its database, start it again."""
        self.serving.close()
        change()
        self.start_primary()

    def restart_copy(self) -> None:
        self.following.close()
        self.start_copy()

    def close(self) -> None:
        self.following.close()
        self.serving.close()
        self.state.close()

    def _linking(self, client_id: str) -> Callable[[tuple[Subscription, ...], OnEvent], Link]:
        mqtt = MqttSettings(host="127.0.0.1", port=self.port, client_id=client_id, session_expiry_s=0)
        return lambda subscriptions, on_event: MqttLink(mqtt, subscriptions, on_event)

    @property
    def snapshot(self):  # type: ignore[no-untyped-def]
        (snapshot,) = self.following.snapshots()
        return snapshot

    def describe(self) -> str:
        return f"{self.snapshot.describe()} {self.following.check_counts(STREAM)}"

    def append(self) -> None:
        """The station archives a record."""
        self.end += 300
        change(self.primary, INSERT, self.end)
        change(self.primary, "UPDATE archive_day__metadata SET value = ? WHERE name = 'lastUpdate'", str(self.end))
        for table in read_tables(self.primary)[1:]:
            change(self.primary, DAY.format(table), start_of_archive_day(self.end))
        self.serving.publish_record({"dateTime": self.end, "usUnits": 1, "interval": 5, "outTemp": 7.0})

    def wait_until_stopped(self) -> str:
        """Why it stopped, as `samesky status` says as well."""
        wait_for(lambda: self.snapshot.state == "stopped", 30, what="the stop", explain=self.describe)
        reason = self.state.read_hold(STREAM)
        assert (self.snapshot.last_error, self.snapshot.hint) == advise(reason, stream=STREAM)
        return reason

    def repair(self, decisions: Decisions) -> None:
        """As ``samesky repair`` does, beside the running copy."""
        path = self.folder / "samesky.toml"
        path.write_text(
            f'[broker]\nhost = "127.0.0.1"\nport = {self.port}\nclient_id = "copy"\n'
            f'[station.follow.home.wx_binding]\ntype = "main"\nsqlite = "{self.copy.path}"\n'
        )
        findings = Findings()
        config = read_toml_requester(read_toml(path), findings)
        findings.raise_errors("samesky.toml")
        assert config is not None
        repair(config, STREAM, state_dir=self.folder / "copy-state", decisions=decisions)

    def wait_until_same(self) -> None:
        """The copy goes on, takes what comes, and is proven the same."""
        wait_for(lambda: self.snapshot.state == "live", 30, what="the copy to go on", explain=self.describe)
        self.append()
        wait_until_same(self.primary, self.copy, 60, explain=self.describe)
        wait_for(self._is_proven, 60, what="the proof", explain=self.describe, every_s=1)
        assert self.state.read_hold(STREAM) == ""
        assert self.snapshot.last_error is None

    def _is_proven(self) -> bool:
        self.following.request_check(STREAM)  # the record may have come during one, and the next is five minutes off
        return bool(self.snapshot.proven_through == self.end)


def change(database: SqliteDatabase, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(database.path, timeout=10)) as connection, connection:
        connection.execute(statement, values)


@pytest.fixture
def pair(tmp_path: Path, broker: MosquittoBroker) -> Iterator[Pair]:
    with closing(Pair(tmp_path, broker.port)) as pair:
        yield pair


def from_old_backup(pair: Pair) -> None:
    """A thousand records are gone, and the daily summaries of their days."""
    ((newest,),) = query(pair.primary, "SELECT dateTime FROM archive ORDER BY dateTime DESC LIMIT 1 OFFSET 1000")
    change(pair.primary, "DELETE FROM archive WHERE dateTime > ?", newest)
    for table in read_tables(pair.primary)[1:]:
        change(pair.primary, f"DELETE FROM {table} WHERE dateTime > ?", newest)


def test_a_primary_from_an_old_backup_stops_a_copy_that_connects_until_its_owner_has_decided(pair: Pair) -> None:
    before = read_rows(pair.copy, "archive")
    pair.restart_primary(lambda: from_old_backup(pair))
    pair.restart_copy()
    reason = pair.wait_until_stopped()
    assert "the primary has 2,000 records; it had 3,000" in reason
    assert "restored from an old backup?" in reason
    assert f"samesky repair --stream {STREAM} --accept-deletions 1000" in reason
    pair.append()  # nothing that comes meanwhile is taken
    pair.restart_copy()
    assert pair.wait_until_stopped() == reason
    with pytest.raises(DifferenceFound, match="the primary has 2,001 records; it had 3,000") as error:
        pair.repair(Decisions())
    assert "--accept-deletions 999" in error.value.hint
    assert read_rows(pair.copy, "archive") == before
    pair.repair(Decisions(deletions=1000))
    pair.wait_until_same()
    assert read_count(pair.copy) == 2_002


def test_a_primary_from_an_old_backup_stops_a_copy_that_stayed_connected(pair: Pair) -> None:
    before = read_rows(pair.copy, "archive")
    pair.restart_primary(lambda: from_old_backup(pair))
    pair.append()  # the station goes on: until then there is nothing to be noticed
    reason = pair.wait_until_stopped()
    assert "1,000 of 3,001 records of this copy are not at the primary" in reason
    assert "nothing was deleted" in reason
    assert "restored from an old backup?" in reason
    assert f"samesky repair --stream {STREAM} --accept-deletions 1000" in reason
    after = read_rows(pair.copy, "archive")
    assert after.pop(pair.end)
    assert after == before
    pair.repair(Decisions(deletions=1000))
    pair.wait_until_same()
    assert read_count(pair.copy) == 2_002


def test_an_empty_primary_stops_the_copy_which_goes_on_when_the_right_one_is_back(pair: Pair) -> None:
    before, kept = read_rows(pair.copy, "archive"), pair.folder / "kept.sdb"
    shutil.copy(pair.primary.path, kept)
    pair.restart_primary(lambda: change(pair.primary, "DELETE FROM archive"))
    pair.restart_copy()
    reason = pair.wait_until_stopped()
    assert "the primary has 0 records; it had 3,000" in reason
    assert f"samesky repair --stream {STREAM} --accept-deletions 3000" in reason
    assert read_rows(pair.copy, "archive") == before
    pair.restart_primary(lambda: shutil.copy(kept, pair.primary.path))
    pair.state.write_hold(STREAM, "")
    pair.wait_until_same()


def test_a_new_database_at_the_primary_stops_the_copy(pair: Pair) -> None:
    """The disk was lost, WeeWX began anew: a copy that follows the stream mustn't."""
    before = read_rows(pair.copy, "archive")

    def begin_anew() -> None:
        change(pair.primary, "DELETE FROM archive")
        for number in range(50):
            change(pair.primary, INSERT, pair.end + 7 + number)

    pair.restart_primary(begin_anew)
    pair.append()
    reason = pair.wait_until_stopped()
    assert "the primary's database is another one" in reason
    assert "nothing was changed" in reason
    assert read_rows(pair.copy, "archive") == before
    origin = reason.rpartition("--accept-origin ")[2].split()[0]
    with pytest.raises(DifferenceFound, match="are not at the primary"):
        pair.repair(Decisions(origin=origin))  # all that the copy has would go: that takes another word
    assert before.items() <= read_rows(pair.copy, "archive").items()


def test_a_database_that_was_replaced_on_purpose_is_followed_once_its_origin_is_accepted(pair: Pair) -> None:
    """Older records were imported before the first one."""
    before = read_rows(pair.copy, "archive")
    ((first,),) = query(pair.primary, "SELECT MIN(dateTime) FROM archive")

    def import_older() -> None:
        for number in range(1, 21):
            change(pair.primary, INSERT, first - 300 * number)

    pair.restart_primary(import_older)
    pair.append()
    reason = pair.wait_until_stopped()
    assert "the primary's database is another one" in reason
    assert read_rows(pair.copy, "archive") == before
    origin = reason.rpartition("--accept-origin ")[2].split()[0]
    assert f"samesky repair --stream {STREAM} --accept-origin {origin}" in reason
    pair.state.write_origin(STREAM, origin)
    pair.state.write_hold(STREAM, "")
    pair.wait_until_same()
    assert read_count(pair.copy) == COUNT + 22


def test_more_deletions_than_are_made_unasked_stop_the_copy_after_it_took_what_was_missing(pair: Pair) -> None:
    times = [pair.end - 300 * number for number in range(500, 500 + 10 * (LIMIT + 1), 10)]
    missing = [time - 600 for time in times]
    for gone, hole in zip(times, missing, strict=True):
        change(pair.primary, "DELETE FROM archive WHERE dateTime = ?", gone)
        change(pair.copy, "DELETE FROM archive WHERE dateTime = ?", hole)
    pair.append()
    reason = pair.wait_until_stopped()
    assert f"{LIMIT + 1} of 2,970 records of this copy are not at the primary" in reason
    assert f"more than the {LIMIT - 1} that are deleted unasked; nothing was deleted" in reason
    assert f"samesky repair --stream {STREAM} --accept-deletions {LIMIT + 1}" in reason
    held = read_rows(pair.copy, "archive")
    assert held.keys() >= {*times, *missing}
    assert len(find_differences(pair.primary, pair.copy, summaries=False)) > 0
    pair.repair(Decisions(deletions=LIMIT + 1))
    pair.wait_until_same()
    assert not read_rows(pair.copy, "archive").keys() & set(times)
