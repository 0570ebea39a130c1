"""What a pusher remembers is there again in the next process, and losing it loses nothing."""

import logging
import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.core.columns import Table
from samesky.core.strict import Reason
from samesky.errors import DataError, Unreachable
from samesky.push.building import BUILDING
from samesky.push.cache_file import CacheFile
from samesky.push.digest_question import WHOLE, By
from samesky.push.digests import GroupDigest
from samesky.push.explanations import NOTHING, Explained, Explanation, Tally
from samesky.push.group_digests import DigestCache, Kept
from samesky.push.proof import Proof
from samesky.push.quarantine import MOST_TEXT
from samesky.push.site_cache import SiteCache
from samesky.push.status import PushStatus, TableStatus
from samesky.push.steps import Poison

READING = BUILDING.table("Reading")
HERE, THERE = GroupDigest(7, bytes(range(16))), GroupDigest(9, bytes(16))
TALLY = Tally(extra=2, refused=1, altered=1, since=1_700_000_000.5, examples=((19_700, 69), (19_701, -1)))
POISON = Poison(
    "Reading",
    (1_700_000_000, 69, 1),
    {"time": 1_700_000_000, "nodeId": 69, "type": 1, "locationId": None, "value": 1e999},
    Reason.NONFINITE,
    "value: infinite",
)
PROOF = Proof(table="Reading", same=True, rows=5, rows_at_centre=5, digest="00", at=2.0, from_s=0, to_s=9)
STATUS = PushStatus(
    target="centre",
    url="https://centre.example.org",
    state="idle",
    at=3.0,
    since=2.5,
    tables=(
        TableStatus(table="Reading", position=(5, 69, 1), backlog=0, proof=PROOF, quarantined={"future": 2}),
        TableStatus(table="NodeState"),
    ),
    refused_dimensions=("House 5: ambiguous",),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "push.sdb"


def rows_of(*values: object) -> Table:
    return Table.from_rows("Reading", READING.wire, [(1_700_000_000 + n, 69, 1, None, v) for n, v in enumerate(values)])


def test_digests_are_kept_by_day_and_replaced_by_group(path: Path) -> None:
    kept = {(19_700, 1): Kept(5, 1 << 90, b"a" * 16), (19_701, -2): Kept(6, -7, b"b" * 16, 2)}
    with SiteCache(path) as cache:
        digests: DigestCache = cache.digests("here")
        digests.write("Reading", kept)
        digests.write("Reading", {(19_700, 1): Kept(6, 8, b"c" * 16)})
        digests.write("NodeState", {(19_700, 1): Kept(1, 1, b"d" * 16)})
        digests.write("NodeState", {})
    with SiteCache(path) as cache:
        digests = cache.digests("here")
        assert digests.read("Reading", 19_000, 20_000) == kept | {(19_700, 1): Kept(6, 8, b"c" * 16)}
        assert digests.read("Reading", 19_701, 19_702) == {(19_701, -2): kept[19_701, -2]}
        assert digests.read("Reading", 19_702, 20_000) == {}


def test_digests_of_another_database_are_forgotten(path: Path) -> None:
    with SiteCache(path) as cache:
        cache.digests("here").write("Reading", {(1, 1): Kept(1, 1, bytes(16))})
        assert cache.digests("there").read("Reading", 0, 9) == {}
        assert cache.digests("here").read("Reading", 0, 9) == {}


def test_explanations_are_kept_of_each_target_table_and_part(path: Path) -> None:
    with SiteCache(path) as cache:
        explained: Explained = cache.explained("centre", "Reading")
        explained.write(By.ALL, WHOLE, Explanation(HERE, THERE, NOTHING))
        explained.write(By.ALL, WHOLE, Explanation(HERE, THERE, TALLY))
        explained.write(By.GROUP, (19_700, 69), Explanation(THERE, HERE, NOTHING))
    with SiteCache(path) as cache:
        explained = cache.explained("centre", "Reading")
        assert explained.read(By.ALL, WHOLE) == Explanation(HERE, THERE, TALLY)
        assert explained.read(By.GROUP, (19_700, 69)) == Explanation(THERE, HERE, NOTHING)
        assert explained.read(By.DAY, 19_700) is None
        assert cache.explained("other", "Reading").read(By.ALL, WHOLE) is None
        assert cache.explained("centre", "NodeState").read(By.ALL, WHOLE) is None


def test_a_refused_row_is_known_again_until_it_changes_or_is_released(path: Path) -> None:
    with SiteCache(path, clock=lambda: 5.0) as cache:
        assert cache.quarantine("centre").add([POISON]) == 1
    with SiteCache(path) as cache:
        quarantine = cache.quarantine("centre")
        assert quarantine.is_kept(READING, rows_of(1e999, 1e999)) == [True, False]
        assert quarantine.is_kept(READING, rows_of(5.0)) == [False]
        assert cache.quarantine("other").is_kept(READING, rows_of(1e999)) == [False]
        (told,) = cache.read_quarantine()
        assert (told.target, told.key, told.reason, told.words) == (
            "centre",
            (1_700_000_000, 69, 1),
            "nonfinite",
            "value: infinite",
        )
        assert told.since == 5.0
        assert '"nodeId": 69' in told.row
        assert quarantine.count("Reading") == {"nonfinite": 1}
        assert quarantine.release("Reading", [(1, 2, 3)]) == 0
        assert quarantine.release("Reading", [POISON.key]) == 1
        assert quarantine.is_kept(READING, rows_of(1e999)) == [False]


def test_a_row_that_the_centre_has_stored_after_all_is_released(path: Path) -> None:
    with SiteCache(path) as cache:
        quarantine = cache.quarantine("centre")
        assert quarantine.release_stored(READING, rows_of(5.0)) == 0
        quarantine.add([POISON, replace(POISON, key=(5, 69, 1))])
        assert quarantine.release_stored(READING, rows_of(5.0, 6.0)) == 1
        assert quarantine.release_stored(READING, rows_of(5.0, 6.0)) == 0
        assert [each.key for each in cache.read_quarantine()] == [(5, 69, 1)]


def test_rows_in_a_window_are_released_and_others_stay(path: Path) -> None:
    with SiteCache(path) as cache:
        quarantine = cache.quarantine("centre")
        poison = [Poison("Reading", (time, 69, 1), POISON.row, Reason.PAST, "") for time in (5, 10, 20)]
        quarantine.add(poison)
        assert quarantine.release_between("Reading", 10, 20) == 1
        assert [each.key[0] for each in cache.read_quarantine("centre", "Reading")] == [5, 20]
        assert quarantine.release("Reading") == 2


def test_a_quarantine_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samesky.push.quarantine.MOST_ROWS", 3)
    long = {"time": 1, "value": "x" * 100_000}
    poison = [Poison("Reading", (time, 69, 1), long, Reason.SIZE, "") for time in range(5)]
    with SiteCache(path) as cache:
        assert cache.quarantine("centre").add(poison) == 3
        assert cache.quarantine("centre").add(poison[2:4]) == 1
        assert [len(each.row) for each in cache.read_quarantine()] == [MOST_TEXT] * 3


def test_a_status_is_read_as_it_was_written_and_one_that_means_nothing_is_passed_over(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SiteCache(path) as cache:
        assert cache.read_status("centre") is None
        cache.write_status(STATUS)
        assert cache.read_status("centre") == STATUS
        with CacheFile(path) as file:
            file.write("INSERT INTO status VALUES ('later', '{}')", ())
        with caplog.at_level(logging.WARNING):
            assert cache.read_statuses() == [STATUS]
        assert "push_status_not_read" in caplog.text


def test_threads_share_a_cache(path: Path) -> None:
    with SiteCache(path) as cache:
        digests = cache.digests("here")

        def work(number: int) -> None:
            for day in range(50):
                digests.write("Reading", {(day, number): Kept(1, 1, bytes(16))})
                digests.read("Reading", 0, 50)

        threads = [threading.Thread(target=work, args=(number,), name=f"writer {number}") for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(digests.read("Reading", 0, 50)) == 200


def test_a_damaged_file_is_set_aside_and_made_anew(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with SiteCache(path) as cache:
        cache.write_status(STATUS)
    path.write_bytes(b"not a database, " * 1000)
    with caplog.at_level(logging.WARNING), SiteCache(path) as cache:
        assert cache.read_statuses() == []
    assert "push_cache_made_anew" in caplog.text
    assert path.with_name("push.sdb.damaged").exists()


def test_a_later_versions_file_is_left_alone(path: Path) -> None:
    SiteCache(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DataError, match="later samesky"):
        SiteCache(path)
    assert path.exists()


def test_a_place_that_cant_be_used_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable) as told:
        SiteCache(tmp_path / "file" / "push.sdb")
    assert "state_dir" in told.value.hint


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    SiteCache(path).close()
    assert os.stat(path).st_mode & 0o077 == 0
    assert os.stat(path.parent).st_mode & 0o077 == 0


def test_a_transaction_that_fails_changes_nothing(path: Path) -> None:
    with CacheFile(path) as file:
        with pytest.raises(DataError):
            _write_and_fail(file)
        assert file.read("SELECT name FROM source") == []


def _write_and_fail(file: CacheFile) -> None:
    with file.together():
        file.write("INSERT INTO source VALUES ('here')", ())
        raise DataError("something else went wrong")
