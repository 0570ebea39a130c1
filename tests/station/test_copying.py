"""A copy: what it makes of a description, of pages, of live records, and what waits for the engine."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samesky.core.columns import Kind, Table, encode_tables
from samesky.core.strict import Reason, Refused
from samesky.errors import ConfigError
from samesky.station.agreement import CopySettings
from samesky.station.archive import open_archive
from samesky.station.archive_sqlite import SqliteArchive
from samesky.station.copying import Copy
from samesky.station.description import Description
from samesky.station.engine_queue import EngineQueue
from samesky.station.location import SqliteLocation
from samesky.station.messages import PageAnswer, RecordMessage, SummaryMessage
from samesky.station.paging import Pager
from samesky.station.requests import COLUMNS_TYPE, Request
from samesky.station.schema import SUMMARY_COLUMNS
from stands.small_archive import describe_columns

START = 1_700_000_100
NOW = START + 300 * 100
STREAM = "home/wx_binding"
DESCRIPTION = replace(describe_columns(texts=["note"], summaries=[("outTemp", "scalar")]), accepts=(COLUMNS_TYPE,))
FILE_AND_COLUMNS = pytest.mark.parametrize("accepts", [("application/vnd.sqlite3", COLUMNS_TYPE), (COLUMNS_TYPE,)])
MakeCopy = Callable[..., Copy]


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[SqliteArchive]:
    with open_archive(SqliteLocation(tmp_path / "primary.sdb"), create=True) as archive:
        assert isinstance(archive, SqliteArchive)
        archive.ensure_tables(DESCRIPTION)
        names = [column.name for column in DESCRIPTION.columns]
        rows = [(START + 300 * number, 1, 5, number / 7, "Föhn") for number in range(50)]
        archive.apply_rows(names, rows, mark_update=True)
        archive.write_summaries(
            [summary(START // 86_400 * 86_400, 1.0), summary(START // 86_400 * 86_400 + 86_400, 2.0)]
        )
        yield archive


def summary(day: int, low: float) -> tuple[Any, ...]:
    return ("outTemp", day, low, day + 5, 9.5, day + 9, 1.0, 2, 3.0, 4, *(None,) * (len(SUMMARY_COLUMNS) - 10))


def run_engine(engine: EngineQueue, copy: Copy) -> None:
    """Store what waits as WeeWX's engine does, record by record."""
    names = [column.name for column in DESCRIPTION.columns]
    while record := engine.take(0):
        copy.archive.apply_rows(names, [tuple(record[name] for name in names)], mark_update=True)
        engine.done()
        copy.settle(NOW)


@pytest.fixture
def make_copy(tmp_path: Path) -> Iterator[MakeCopy]:
    copies: list[Copy] = []

    def make(*, engine: EngineQueue | None = None, weewx_code: Any = None, **settings: Any) -> Copy:
        location = SqliteLocation(tmp_path / "copy.sdb")
        copy = Copy(CopySettings(STREAM, location, **{"create": True} | settings), engine=engine, weewx_code=weewx_code)
        copies.append(copy)
        return copy

    yield make
    for copy in copies:
        copy.close()


def page_of(primary: SqliteArchive, accepts: tuple[str, ...], *, after: int = 0, count: int = 1000) -> PageAnswer:
    request = Request(STREAM, after, "r", b"1", 2, "page", accepts=accepts, max_records=count)
    return Pager(primary).make_page(request, origin="abc", max_bytes=1 << 20, now=NOW)


def describe(primary: SqliteArchive) -> Description:
    return primary.read_description((), now=NOW)


def live(time: int, *, previous: int | None = 0, **values: Any) -> RecordMessage:
    record = {"dateTime": time, "usUnits": 1, "interval": 5, "outTemp": 5.0} | values
    return RecordMessage(STREAM, record, True, previous, "abc")


def times(copy: Copy) -> list[int]:
    return [record["dateTime"] for record in copy.archive.read_records(0, 1000)]


@FILE_AND_COLUMNS
def test_a_page_makes_the_copy_equal(primary: SqliteArchive, make_copy: MakeCopy, accepts: tuple[str, ...]) -> None:
    copy = make_copy()
    prepared = copy.prepare(describe(primary))
    assert (copy.read_position(NOW), prepared.summaries) == (0, "copied")
    assert copy.store_page(page_of(primary, accepts), NOW).stored == 50
    assert copy.archive.read_records(0, 100) == primary.read_records(0, 100)
    assert copy.archive.read_summaries(0, NOW) == primary.read_summaries(0, NOW)
    assert copy.archive.read_metadata() == primary.read_metadata()
    assert copy.read_position(NOW) == START + 49 * 300


@FILE_AND_COLUMNS
def test_the_same_page_again_changes_nothing(
    primary: SqliteArchive, make_copy: MakeCopy, accepts: tuple[str, ...]
) -> None:
    copy = make_copy()
    copy.prepare(describe(primary))
    copy.store_page(page_of(primary, accepts), NOW)
    applied = copy.store_page(page_of(primary, accepts), NOW)
    assert (applied.stored, applied.duplicates, applied.conflicts) == (0, 50, 0)


@FILE_AND_COLUMNS
def test_records_beyond_the_span_that_a_page_names_are_not_stored(
    primary: SqliteArchive, make_copy: MakeCopy, accepts: tuple[str, ...]
) -> None:
    copy = make_copy()
    copy.prepare(describe(primary))
    copy.store_page(replace(page_of(primary, accepts), last=START + 2700, count=10), NOW)
    assert copy.read_position(NOW) == START + 2700


@FILE_AND_COLUMNS
def test_the_newest_records_go_through_the_engine_and_the_older_ones_are_written(
    primary: SqliteArchive, make_copy: MakeCopy, accepts: tuple[str, ...]
) -> None:
    engine = EngineQueue()
    copy = make_copy(engine=engine, newest=10)
    copy.prepare(describe(primary))
    copy.store_page(page_of(primary, accepts), NOW)
    assert len(times(copy)) == 40
    assert [record["dateTime"] for record in engine.pending()] == [START + 300 * n for n in range(40, 50)]
    assert engine.pending()[0] == primary.read_record(START + 300 * 40)
    assert copy.read_position(NOW) == START + 49 * 300


def test_summaries_wait_until_the_engine_has_stored_their_newest_record(
    primary: SqliteArchive, make_copy: MakeCopy
) -> None:
    engine = EngineQueue()
    copy = make_copy(engine=engine, newest=10)
    copy.prepare(describe(primary))
    copy.store_page(page_of(primary, (COLUMNS_TYPE,)), NOW)
    assert copy.archive.read_summaries(0, NOW) != primary.read_summaries(0, NOW)
    run_engine(engine, copy)
    assert copy.archive.read_summaries(0, NOW) == primary.read_summaries(0, NOW)


def test_yesterdays_summary_survives_the_many_of_today_while_the_engine_is_slow(
    primary: SqliteArchive, make_copy: MakeCopy
) -> None:
    engine = EngineQueue()
    copy = make_copy(engine=engine, newest=1000)
    copy.prepare(describe(primary))
    yesterday, today = START // 86_400 * 86_400, START // 86_400 * 86_400 + 86_400
    newest = [today + 300 * number for number in range(1, 30)]
    primary.apply_rows(["dateTime", "usUnits", "interval"], [(each, 1, 5) for each in newest], mark_update=True)
    copy.store_page(page_of(primary, (COLUMNS_TYPE,)), NOW)
    for through in newest:
        table = Table.from_rows("summary", SUMMARY_COLUMNS, [summary(today, float(through))])
        copy.put_summary(SummaryMessage(STREAM, through, "abc", zlib.compress(encode_tables([table]))), NOW)
    run_engine(engine, copy)
    assert copy.archive.read_summaries(yesterday, today).column("min") == [1.0, float(newest[-1])]


def test_a_live_record_that_is_late_does_not_overtake_those_in_the_engine(
    primary: SqliteArchive, make_copy: MakeCopy
) -> None:
    engine = EngineQueue()
    copy = make_copy(engine=engine, newest=10)
    copy.prepare(describe(primary))
    copy.store_page(page_of(primary, (COLUMNS_TYPE,)), NOW)
    again = live(START + 300 * 45, outTemp=45 / 7, note="Föhn")
    assert copy.insert([again], NOW).duplicates == 1
    assert max(times(copy)) == START + 300 * 39
    copy.insert([live(START + 300 * 45 + 7)], NOW)
    assert times(copy)[-11:] == sorted([START + 300 * 45 + 7, *(START + 300 * n for n in range(40, 50))])
    assert engine.pending() == []


def test_live_records_are_inserted_and_another_content_is_counted_and_left(
    primary: SqliteArchive, make_copy: MakeCopy
) -> None:
    copy = make_copy()
    copy.prepare(describe(primary))
    copy.store_page(page_of(primary, (COLUMNS_TYPE,)), NOW)
    applied = copy.insert([live(START + 300 * 50), live(START, outTemp=99.0), live(START + 7)], NOW)
    assert (applied.stored, applied.duplicates, applied.conflicts) == (2, 1, 1)
    assert copy.archive.read_record(START)["outTemp"] == 0.0  # type: ignore[index]
    assert START + 7 in times(copy)


def test_an_open_copy_knows_its_columns_before_anybody_describes_them(make_copy: MakeCopy) -> None:
    with make_copy().archive as archive:
        archive.ensure_tables(DESCRIPTION)
    copy = make_copy()
    copy.open()
    assert copy.kinds["outTemp"] is Kind.REAL


def test_a_live_summary_waits_for_its_record_and_an_old_one_does_no_harm(
    primary: SqliteArchive, make_copy: MakeCopy
) -> None:
    copy = make_copy()
    copy.prepare(describe(primary))
    copy.store_page(page_of(primary, (COLUMNS_TYPE,)), NOW)
    day, newest = START // 86_400 * 86_400 + 86_400, START + 300 * 50

    def send(through: int, low: float) -> None:
        table = Table.from_rows("summary", SUMMARY_COLUMNS, [summary(day, low)])
        copy.put_summary(SummaryMessage(STREAM, through, "abc", zlib.compress(encode_tables([table]))), NOW)

    def low() -> Any:
        return copy.archive.read_summaries(day, day).column("min")

    send(newest, -5.0)
    assert low() == [2.0]
    copy.insert([live(newest)], NOW)
    assert low() == [-5.0]
    send(newest - 300, 2.0)
    assert low() == [-5.0]


def test_missing_columns_are_ignored_added_or_a_reason_to_stop(primary: SqliteArchive, make_copy: MakeCopy) -> None:
    with make_copy().archive as archive:
        archive.ensure_tables(replace(DESCRIPTION, columns=DESCRIPTION.columns[:-1]))
    with pytest.raises(ConfigError, match="lacks note"):
        make_copy(missing_columns="stop").prepare(describe(primary))
    ignoring = make_copy(missing_columns="ignore")
    ignoring.prepare(describe(primary))
    ignoring.store_page(page_of(primary, ("application/vnd.sqlite3", COLUMNS_TYPE), count=10), NOW)
    assert "note" not in ignoring.archive.read_records(0, 1)[0]
    adding = make_copy(missing_columns="add")
    adding.prepare(describe(primary))
    adding.store_page(page_of(primary, (COLUMNS_TYPE,), after=START + 2700), NOW)
    assert [record["note"] for record in adding.archive.read_records(0, 100)] == [None] * 10 + ["Föhn"] * 40


def test_a_copy_without_tables_is_not_made_unless_asked_for(primary: SqliteArchive, make_copy: MakeCopy) -> None:
    make_copy().archive.close()
    with pytest.raises(ConfigError, match="has no table"):
        make_copy(create=False).prepare(describe(primary))


def test_units_are_never_mixed(primary: SqliteArchive, make_copy: MakeCopy) -> None:
    copy = make_copy()
    copy.archive.ensure_tables(DESCRIPTION)
    copy.archive.apply_rows(["dateTime", "usUnits", "interval"], [(START - 300, 17, 5)], mark_update=False)
    with pytest.raises(ConfigError, match="only WeeWX converts"):
        copy.prepare(describe(primary))
    applied = make_copy().insert([live(START), live(START + 300, usUnits=17)], NOW)
    assert (applied.stored, applied.refused) == (1, 1)


class MetricCode:
    """As `weewx_code` converts, for one observation."""

    def __init__(self) -> None:
        self.rebuilt = 0

    def convert(self, record: dict[str, Any], unit_system: int) -> dict[str, Any]:
        return record | {"usUnits": unit_system, "outTemp": (record["outTemp"] - 32) / 1.8}

    def rebuild_summaries(self) -> None:
        self.rebuilt += 1


def test_with_weewx_records_are_converted_and_summaries_rebuilt(primary: SqliteArchive, make_copy: MakeCopy) -> None:
    code = MetricCode()
    copy = make_copy(weewx_code=code, unit_system=17)
    prepared = copy.prepare(describe(primary))
    assert (prepared.accepts, prepared.summaries) == ((COLUMNS_TYPE,), "rebuilt")
    copy.store_page(page_of(primary, (COLUMNS_TYPE,)), NOW)
    stored = copy.archive.read_records(0, 1)[0]
    assert (stored["usUnits"], stored["outTemp"]) == (17, pytest.approx((0 - 32) / 1.8))
    assert code.rebuilt == 1


def test_what_is_no_page_is_refused_and_nothing_written(primary: SqliteArchive, make_copy: MakeCopy) -> None:
    copy, good = make_copy(), page_of(primary, (COLUMNS_TYPE,))
    copy.prepare(describe(primary))
    other = Table.from_rows("archive", DESCRIPTION.columns[:-1], [])
    for page, reason in (
        (replace(good, content_type="x/y"), Reason.VERSION),
        (replace(good, body=b"rubbish"), Reason.ENCODING),
        (replace(good, body=zlib.compress(bytes(50_000_000))), Reason.BOMB),
        (replace(good, body=zlib.compress(encode_tables([other]))), Reason.SHAPE),
        (replace(good, body=zlib.compress(encode_tables([]))), Reason.SHAPE),
    ):
        with pytest.raises(Refused) as refusal:
            copy.store_page(page, NOW)
        assert refusal.value.reason is reason
    assert times(copy) == []


def test_records_of_another_unit_system_or_of_no_time_are_left_out_and_counted(
    primary: SqliteArchive, make_copy: MakeCopy
) -> None:
    primary._execute("UPDATE archive SET usUnits = 16 WHERE dateTime = ?", START + 300)
    primary._execute("UPDATE archive SET dateTime = 17 WHERE dateTime = ?", START + 600)
    copy = make_copy()
    copy.prepare(replace(describe(primary), unit_system=1))
    assert copy.store_page(page_of(primary, (COLUMNS_TYPE,)), NOW).refused == 2
    assert len(times(copy)) == 48
