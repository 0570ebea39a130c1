"""The commands beside a real weewxd at either end, by the copy's own weewx.conf, while records come in."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from stands.databases import SqliteDatabase
from stands.pairs import main_binding, make_copy, make_primary, place_database
from stands.rows import find_archive_differences, read_newest, wait_until_same
from stands.waiting import wait_for
from stands.weewx_station import WeewxStation, tails

pytestmark = pytest.mark.slow

STREAM = "home/wx_binding"
DEADLINE_S = 120


@pytest.fixture
def pair(tmp_path: Path, broker: MosquittoBroker) -> Iterator[tuple[WeewxStation, WeewxStation]]:
    """A primary that archives a minute every two seconds, and a copy of it that has caught up."""
    year = SqliteDatabase(tmp_path / "year.sdb")
    write_year(year.path, count=3_000, end_time=int(time.time()) - 2 * 86_400)
    here = place_database("sqlite", tmp_path / "primary-data", like=year)
    there = place_database("sqlite", tmp_path / "copy-data")
    start = int(time.time()) - 86_400
    with ExitStack() as stack:
        primary = make_primary(
            tmp_path / "primary",
            [main_binding(here)],
            port=broker.port,
            archive_interval_s=60,
            loop_interval_s=15,
            speed=30,
            start_time=start,
        )
        copy = make_copy(tmp_path / "copy", [main_binding(there)], port=broker.port)
        for station in (primary, copy):
            stack.enter_context(station).start()
        wait_until_same(here, there, DEADLINE_S, explain=tails(primary, copy))
        yield primary, copy


def call(copy: WeewxStation, command: str, *more: str) -> int:
    return main([command, "--config", str(copy.config_path), *more])


def test_a_live_copy_is_the_same_at_every_look_and_mended_by_hand_without_a_stop(
    pair: tuple[WeewxStation, WeewxStation], capsys: pytest.CaptureFixture[str]
) -> None:
    primary, copy = pair
    first = read_newest(primary.database())
    assert first is not None
    looks = 0
    while looks < 15 or (read_newest(primary.database()) or 0) < first + 600:
        assert call(copy, "verify") == 0, capsys.readouterr().out
        looks += 1
    database = copy.database()
    with database.connect() as connection:
        change = "UPDATE archive SET outTemp = COALESCE(outTemp, 0) + 1 WHERE dateTime < ?"
        connection.execute(change, (first - 600_000,))
        connection.execute("DELETE FROM archive_day_outTemp WHERE dateTime < ?", (first - 600_000,))
    assert call(copy, "verify", "--deep") == 1
    assert call(copy, "repair", "--deep") == 0, capsys.readouterr().err
    assert call(copy, "verify", "--deep") == 0
    wait_until_same(primary.database(), database, DEADLINE_S, explain=tails(primary, copy))
    assert primary.running
    assert copy.running
    assert "Traceback" not in primary.log_text + copy.log_text


def test_an_undone_repair_stays_undone_until_somebody_says_so(
    pair: tuple[WeewxStation, WeewxStation], capsys: pytest.CaptureFixture[str]
) -> None:
    primary, copy = pair
    with copy.database().connect() as connection:
        connection.execute("UPDATE archive SET outTemp = 1 WHERE dateTime IN (SELECT dateTime FROM archive LIMIT 3)")
    assert call(copy, "repair", "--deep") == 0
    assert call(copy, "repair", "--undo") == 0
    # Its next check notices, after a record or two, and repairs nothing.
    copy.wait_for(lambda: "a repair was undone by hand" in copy.log_text, DEADLINE_S, what="the copy's word")
    wait_for(lambda: call(copy, "status") == 1 and " stopped " in capsys.readouterr().out, 60, what="the copy stopped")
    newest = read_newest(copy.database())
    assert len(find_archive_differences(primary.database(), copy.database(), until=newest)) == 3
    assert call(copy, "repair") == 0
    wait_until_same(primary.database(), copy.database(), DEADLINE_S, explain=tails(primary, copy))
    wait_for(lambda: call(copy, "status") == 0, 60, what="the copy live again")
