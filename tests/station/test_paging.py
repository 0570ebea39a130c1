"""Pages fit the wire, whatever the records weigh."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from samesky.core.columns import Column, Kind, decode_tables
from samesky.core.strict import inflate
from samesky.demo.year import write_year
from samesky.errors import DataError
from samesky.station.archive import open_archive
from samesky.station.archive_sqlite import SqliteArchive
from samesky.station.location import SqliteLocation
from samesky.station.messages import PageAnswer
from samesky.station.page_file import CONTENT_TYPE as FILE_TYPE
from samesky.station.paging import Pager
from samesky.station.requests import COLUMNS_TYPE, Request

STREAM = "home/wx_binding"
COUNT = 2000
BOTH = pytest.mark.parametrize("content_type", [FILE_TYPE, COLUMNS_TYPE])


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SqliteArchive]:
    write_year(tmp_path / "year.sdb", count=COUNT, end_time=int(time.time()) - 3600, schema="wview_small")
    with open_archive(SqliteLocation(tmp_path / "year.sdb")) as archive:
        assert isinstance(archive, SqliteArchive)
        yield archive


def ask(
    pager: Pager, content_type: str, *, after: int = 0, max_bytes: int = 1 << 20, records: int = 10_000
) -> PageAnswer:
    request = Request(STREAM, after, "r", b"1", 2, "page", accepts=(content_type,), max_records=records)
    return pager.make_page(request, origin="abc", max_bytes=max_bytes, now=time.time())


@BOTH
@pytest.mark.parametrize("max_bytes", [9_000, 30_000, 1 << 20])
def test_pages_are_as_large_as_they_may_be_and_follow_one_another(
    archive: SqliteArchive, content_type: str, max_bytes: int
) -> None:
    pager, after, count, pages = Pager(archive), 0, 0, 0
    while True:
        page = ask(pager, content_type, after=after, max_bytes=max_bytes)
        assert len(page.body) <= max_bytes
        assert (page.after, page.content_type) == (after, content_type)
        count, pages, after = count + page.count, pages + 1, page.last
        if not page.more:
            break
    assert (count, after) == (COUNT, archive.read_position(time.time()))
    assert pages <= 3 + COUNT * 400 // max_bytes


@BOTH
def test_no_more_records_come_than_were_asked_for(archive: SqliteArchive, content_type: str) -> None:
    assert ask(Pager(archive), content_type, records=7).count == 7


@BOTH
def test_after_the_newest_record_comes_an_empty_page(archive: SqliteArchive, content_type: str) -> None:
    newest = archive.read_position(time.time())
    page = ask(Pager(archive), content_type, after=newest)
    assert (page.count, page.last, page.newest, page.more) == (0, newest, newest, False)


@BOTH
@pytest.mark.parametrize("max_bytes", [100, 0, -500])
def test_a_record_that_fits_no_page_is_an_error_and_no_endless_loop(
    archive: SqliteArchive, content_type: str, max_bytes: int
) -> None:
    with pytest.raises(DataError, match="doesn't fit"):
        ask(Pager(archive), content_type, max_bytes=max_bytes)


def test_records_that_suddenly_weigh_more_still_fit(archive: SqliteArchive) -> None:
    archive.ensure_columns([Column("note", Kind.TEXT)], {})
    chance = Random(1)
    for (timestamp,) in archive._read_all("SELECT dateTime FROM archive ORDER BY dateTime LIMIT 100 OFFSET 1500"):
        archive._execute("UPDATE archive SET note = ? WHERE dateTime = ?", chance.randbytes(900).hex(), timestamp)
    pager, after, count = Pager(archive), 0, 0
    while (page := ask(pager, COLUMNS_TYPE, after=after, max_bytes=20_000)).count:
        assert len(page.body) <= 20_000
        after, count = page.last, count + page.count
    assert count == COUNT


def test_a_text_among_numbers_costs_that_record_alone(archive: SqliteArchive, caplog: pytest.LogCaptureFixture) -> None:
    ((bad,),) = archive._read_all("SELECT MIN(dateTime) FROM archive WHERE outTemp IS NOT NULL")
    archive._execute("UPDATE archive SET outTemp = 'warm' WHERE dateTime = ?", bad)
    page = ask(Pager(archive), FILE_TYPE, records=50)
    assert (page.content_type, page.count) == (COLUMNS_TYPE, 50)
    table = decode_tables(inflate(page.body, max_bytes=1 << 24), max_rows=1 << 20)[0]
    assert table.count == 49
    assert bad not in table.column("dateTime")
    assert "record_left_out" in caplog.text
