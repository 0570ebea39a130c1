"""Whether a copy is its primary: said rightly by sums, by samples and row by row, and nothing is changed by asking."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samesky.core.timetree import NOTHING
from samesky.errors import ConfigError, DataError, Unreachable
from samesky.link.broker import MosquittoBroker
from samesky.link.child_process import find_free_port
from samesky.station.archive import open_archive
from samesky.station.checker import Proof
from samesky.station.dirty_triggers import ensure_triggers, read_dirty
from samesky.station.location import SqliteLocation
from samesky.station.serving import Authority
from samesky.station.state import State
from samesky.station.verdict import Verdict
from samesky.station.verification import verify
from stands.served_copy import COUNT, STREAM, ServedCopy, make_serving
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from stands.mariadb import MariadbServer

USERS = {"home": "h", "copy": "c"}
HOME_RIGHTS = "user home\ntopic write replicate/response/#\ntopic read replicate/request/#\n"


@pytest.fixture
def pair(broker: MosquittoBroker, tmp_path: Path) -> Iterator[ServedCopy]:
    with ServedCopy(tmp_path / "pair", broker.port) as pair:
        yield pair


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pair"
    folder.mkdir()
    return folder


def look(pair: ServedCopy, share: float = 0.0) -> Verdict:
    return verify(pair.config, STREAM, state_dir=pair.state_dir, share=share)


def test_a_copy_that_is_the_same_is_known_by_two_small_messages_and_one_digest(pair: ServedCopy) -> None:
    verdict = look(pair)
    assert (verdict.same, verdict.here, verdict.there, verdict.messages) == (True, COUNT, COUNT, 2)
    assert verdict.through == pair.times()[-1]
    assert verdict.size_bytes < 300
    assert verdict.digest == look(pair, 1.0).digest == look(pair, 0.05).digest
    assert verdict.describe().startswith(f"the same: {COUNT:,} records up to ")


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_every_kind_of_difference_is_told_with_its_number_and_place(pair: ServedCopy, share: float) -> None:
    times = pair.times()
    pair.spoil()
    verdict = look(pair, share)
    assert not verdict.same
    assert (verdict.here, verdict.there) == (COUNT - 11, COUNT)
    assert (verdict.missing.count, verdict.missing.examples) == (12, tuple(times[10:15]))
    assert (verdict.different.count, verdict.different.first, verdict.different.last) == (3, times[100], times[102])
    assert verdict.extra.examples == (times[500] + 7,)
    assert verdict.days.count == 1
    assert "12 records missing here, 3 different, 1 only here; between " in verdict.describe()
    assert "summaries of 1 day differ" in verdict.describe()


def test_to_look_changes_nothing(pair: ServedCopy) -> None:
    with closing(open_archive(SqliteLocation(pair.copy))) as archive:
        ensure_triggers(archive)
        pair.spoil()
        noted = read_dirty(archive)
        files, before = sorted(pair.folder.iterdir()), pair.copy.read_bytes()
        for share in (0.0, 0.3, 1.0):
            assert not look(pair, share).same
        assert read_dirty(archive) == noted != []
    assert (sorted(pair.folder.iterdir()), pair.copy.read_bytes()) == (files, before)


def test_summaries_alone_are_told_by_their_days(pair: ServedCopy) -> None:
    pair.change(
        pair.copy,
        "DELETE FROM archive_day_windSpeed WHERE dateTime = (SELECT MIN(dateTime) FROM archive_day_windSpeed)",
    )
    for share in (0.0, 1.0):
        assert "different: summaries of 1 day differ; at " in look(pair, share).describe()


@pytest.mark.parametrize("seed", range(5))
def test_one_flipped_byte_of_a_value_is_found_by_a_deep_look(pair: ServedCopy, seed: int) -> None:
    look(pair)
    (time, value) = random.Random(seed).choice(pair.rows("SELECT dateTime, outTemp FROM archive WHERE outTemp <> 0"))
    side = (pair.copy, pair.primary)[seed % 2]
    pair.change(side, f"UPDATE archive SET outTemp = {value!r} + 1e-12 * abs({value!r}) WHERE dateTime = {time}")
    verdict = look(pair, 1.0)
    assert (verdict.same, verdict.different.examples) == (False, (time,))


def test_a_damaged_file_is_said_to_be_damaged(pair: ServedCopy) -> None:
    with pair.copy.open("r+b") as file:
        for page in range(40, 80):
            file.seek(page * 4096)
            file.write(b"\xff" * 200)
    with pytest.raises(DataError, match=r"damaged|malformed"):
        look(pair, 1.0)


def test_an_empty_copy_and_an_empty_primary_need_no_questions(pair: ServedCopy) -> None:
    pair.change(pair.copy, "DELETE FROM archive")
    verdict = look(pair)
    assert (verdict.same, verdict.missing.count, verdict.messages) == (False, COUNT, 0)
    pair.change(pair.primary, "DELETE FROM archive")
    assert look(pair).same


def test_records_that_an_emptied_primary_lacks_are_only_here(pair: ServedCopy) -> None:
    pair.change(pair.primary, "DELETE FROM archive")
    verdict = look(pair)
    assert (verdict.same, verdict.extra.count) == (False, COUNT)


def test_columns_that_the_copy_lacks_are_named_and_the_others_compared(pair: ServedCopy) -> None:
    pair.change(pair.copy, "ALTER TABLE archive DROP COLUMN UV", "DROP TABLE archive_day_UV")
    verdict = look(pair)
    assert verdict.same
    assert verdict.notes == (
        "the copy lacks UV: not compared",
        "the copy lacks the daily summaries of UV: not compared",
    )
    pair.change(pair.copy, "UPDATE archive SET outTemp = 1 WHERE dateTime = (SELECT MIN(dateTime) FROM archive)")
    assert not look(pair).same


def test_records_in_other_units_are_compared_by_their_times(pair: ServedCopy) -> None:
    pair.change(pair.copy, "UPDATE archive SET usUnits = 16, outTemp = (outTemp - 32) / 1.8")
    verdict = look(pair)
    assert verdict.same
    assert verdict.notes[0] == "the copy is in METRIC, the primary in US: only the records' times were compared"
    pair.change(pair.copy, "DELETE FROM archive WHERE dateTime = (SELECT MIN(dateTime) FROM archive)")
    assert look(pair).missing.count == 1


def test_a_stopped_copy_and_a_replaced_primary_are_told_with_what_to_type(pair: ServedCopy) -> None:
    with closing(State(pair.state_dir)) as state:
        state.write_origin(STREAM, "abc")
        state.write_hold(STREAM, "because")
    pair.spoil()
    verdict = look(pair)
    assert verdict.held == "because"
    assert f"samesky repair --stream {STREAM} --accept-origin " in verdict.obstacle


def test_a_stream_that_nobody_follows_is_a_mistake(pair: ServedCopy) -> None:
    with pytest.raises(ConfigError, match="isn't followed here"):
        verify(pair.config, "home/other", state_dir=pair.state_dir)


def test_no_broker_is_told_at_once(folder: Path) -> None:
    with ServedCopy(folder, find_free_port(), serve=False) as pair, pytest.raises(Unreachable, match="no connection"):
        look(pair)


def test_nobody_there_is_told_after_a_while(broker: MosquittoBroker, folder: Path) -> None:
    with ServedCopy(folder, broker.port, serve=False) as pair, pytest.raises(Unreachable, match="nobody answers for"):
        look(pair)


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        ("topic read replicate/response/#\n", "doesn't let this user ask"),
        ("topic write replicate/request/#\ntopic read replicate/response/copy\n", "doesn't let this user read"),
    ],
)
def test_a_right_that_the_broker_denies_is_named(folder: Path, rights: str, words: str) -> None:
    with (
        MosquittoBroker(users=USERS, acl=f"{HOME_RIGHTS}user copy\n{rights}", persistence=False) as broker,
        ServedCopy(folder, broker.port, username="copy", password="c", serve=False) as pair,
        make_serving(broker.port, SqliteLocation(pair.primary), username="home", password="h"),
        pytest.raises(ConfigError, match=words) as caught,
    ):
        look(pair)
    assert "ACL" in caught.value.hint


def test_a_copy_in_mariadb_is_compared_with_a_primary_in_sqlite(
    broker: MosquittoBroker, folder: Path, mariadb: "MariadbServer"
) -> None:
    from stands.databases import SqliteDatabase

    with ServedCopy(folder, broker.port) as pair:
        target = mariadb.create_database()
        mariadb.load_sqlite(SqliteDatabase(pair.copy), target)
        database = f'mysql = {{ database = "{target.name}", host = "{target.host}", port = {target.port}, '
        database += f'user = "{target.user}", password = "{target.password}" }}'
        pair.write_config(broker.port, [], database)
        assert look(pair).same
        assert look(pair, 1.0).same
        mariadb.execute(f"USE `{target.name}`", "UPDATE archive SET outTemp = 1 ORDER BY dateTime LIMIT 2")
        assert look(pair, 1.0).different.count == 2


@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_copy_that_answers_for_its_primary_is_not_asked_about_itself(
    broker: MosquittoBroker, folder: Path, shared: bool
) -> None:
    with ServedCopy(folder, broker.port, serve=False) as pair:
        proof = Proof(pair.times()[-1], COUNT, NOTHING, 0.0)
        itself = Authority(pair.config.follow.reply_to, lambda stream: proof)
        pair.spoil()
        with (
            make_serving(broker.port, SqliteLocation(pair.copy), shared=True, authority=itself) as copy,
            make_serving(broker.port, SqliteLocation(pair.primary), shared=shared) as primary,
        ):
            wait_for(lambda: {each.snapshots()[0].state for each in (copy, primary)} == {"live"}, 60)
            assert look(pair).missing.count == 12
            assert look(pair, 1.0).missing.count == 12


def test_a_running_writer_is_waited_for(pair: ServedCopy) -> None:
    with closing(sqlite3.connect(pair.copy)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert look(pair).same
