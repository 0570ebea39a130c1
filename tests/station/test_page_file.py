"""Pages that are SQLite files: what a primary makes, a copy stores; anything else is refused, and nothing written."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from samesky.core.columns import Column, Kind
from samesky.core.strict import Reason, Refused
from samesky.station.archive_sqlite import SqliteArchive
from samesky.station.location import SqliteLocation
from samesky.station.page_file import (
    WrongType,
    is_supported,
    opened_page,
    read_page_file,
    schema_statements,
)
from samesky.station.schema import SUMMARY_COLUMNS

pytestmark = pytest.mark.skipif(not is_supported(), reason="this SQLite has no STRICT tables, so pages go as columns")

START = 1_700_000_100
NOW = START + 100_000
COLUMNS = (
    Column("dateTime", Kind.INTEGER),
    Column("usUnits", Kind.INTEGER),
    Column("interval", Kind.INTEGER),
    Column("outTemp", Kind.REAL),
    Column("note", Kind.TEXT),
)
SCHEMA = """
CREATE TABLE archive (dateTime INTEGER NOT NULL PRIMARY KEY, usUnits INTEGER NOT NULL, interval INTEGER NOT NULL,
                      outTemp REAL, note TEXT);
CREATE TABLE archive_day_outTemp (dateTime INTEGER NOT NULL PRIMARY KEY, min REAL, mintime INTEGER, max REAL,
                                  maxtime INTEGER, sum REAL, count INTEGER, wsum REAL, sumtime INTEGER);
CREATE TABLE archive_day__metadata (name CHAR(20) NOT NULL PRIMARY KEY, value TEXT);
"""


def make_archive(path: Path, *, count: int) -> SqliteArchive:
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    rows = [(START + 300 * number, number / 7, "Föhn" if number % 3 else None) for number in range(count)]
    connection.executemany("INSERT INTO archive VALUES (?, 1, 5, ?, ?)", rows)
    if count:
        connection.execute(
            "INSERT INTO archive_day_outTemp VALUES (?, 1, 2, 3, 4, 5, 6, 7, 8)", (START // 86400 * 86400,)
        )
    connection.commit()
    connection.close()
    return SqliteArchive(SqliteLocation(path))


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[SqliteArchive]:
    with make_archive(tmp_path / "primary.sdb", count=50) as archive:
        yield archive


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[SqliteArchive]:
    with make_archive(tmp_path / "copy.sdb", count=0) as archive:
        yield archive


def dump(archive: SqliteArchive) -> list[str]:
    return list(archive._connection.iterdump())


def make_page(primary: SqliteArchive, *, count: int = 1000) -> bytes:
    return read_page_file(primary, 0, count, now=NOW, summaries=True)[1]


def store(copy: SqliteArchive, page: bytes, *, names: tuple[str, ...] = ()) -> None:
    with opened_page(copy, page, COLUMNS) as file:
        file.apply(names or [column.name for column in COLUMNS], until=NOW, unit_system=1, before_day=1 << 40)


def refused(copy: SqliteArchive, page: bytes) -> Reason:
    """The reason for which ``page`` is refused; the copy must be as it was, and nothing attached."""
    before = dump(copy)
    with pytest.raises(Refused) as refusal:
        store(copy, page)
    assert dump(copy) == before
    assert [row[1] for row in copy._connection.execute("PRAGMA database_list")] == ["main"]
    return refusal.value.reason


def changed(page: bytes, change: Callable[[sqlite3.Connection], object]) -> bytes:
    """The page after ``change`` by somebody who has SQLite too."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(page)
    change(connection)
    result = connection.serialize()
    connection.close()
    return result


def rewritten(connection: sqlite3.Connection, name: str, sql: str | None) -> None:
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, name))


def test_a_page_brings_records_summaries_and_the_mark(primary: SqliteArchive, copy: SqliteArchive) -> None:
    store(copy, make_page(primary))
    assert copy.read_records(0, 100) == primary.read_records(0, 100)
    assert copy.read_summaries(0, NOW) == primary.read_summaries(0, NOW)
    assert copy._read_all("SELECT value FROM archive_day__metadata WHERE name = 'lastUpdate'") == [
        (str(START + 49 * 300),)
    ]


def test_a_page_brings_what_is_absent_and_leaves_what_is_stored(primary: SqliteArchive, copy: SqliteArchive) -> None:
    copy._execute("INSERT INTO archive VALUES (?, 1, 5, 99, 'kept')", START + 300)
    with opened_page(copy, make_page(primary), COLUMNS) as file:
        applied = file.apply([c.name for c in COLUMNS], until=NOW, unit_system=1, before_day=None)
    assert (applied.stored, applied.duplicates, applied.refused) == (49, 1, 0)
    assert copy.read_record(START + 300) == primary.read_record(START + 300) | {"outTemp": 99.0, "note": "kept"}


def test_records_of_the_future_the_past_or_another_unit_system_are_left_out(
    primary: SqliteArchive, copy: SqliteArchive
) -> None:
    primary._execute("UPDATE archive SET usUnits = 16 WHERE dateTime = ?", START)
    primary._execute("UPDATE archive SET dateTime = 17 WHERE dateTime = ?", START + 300)
    with opened_page(copy, make_page(primary), COLUMNS) as file:
        applied = file.apply([c.name for c in COLUMNS], until=START + 900, unit_system=1, before_day=None)
    assert (applied.stored, applied.refused) == (2, 2)
    assert [row["dateTime"] for row in copy.read_records(0, 9)] == [START + 600, START + 900]


def test_columns_that_the_copy_does_not_take_stay_out(primary: SqliteArchive, copy: SqliteArchive) -> None:
    store(copy, make_page(primary), names=("dateTime", "usUnits", "interval", "outTemp"))
    assert {record["note"] for record in copy.read_records(0, 100)} == {None}
    assert [record["outTemp"] for record in copy.read_records(0, 100)] == [number / 7 for number in range(50)]


def test_a_text_in_a_column_of_numbers_makes_no_page(primary: SqliteArchive) -> None:
    primary._execute("UPDATE archive SET outTemp = 'warm' WHERE dateTime = ?", START)
    with pytest.raises(WrongType):
        make_page(primary)
    assert primary.read_records(0, 1)[0]["outTemp"] == "warm"
    assert [row[1] for row in primary._connection.execute("PRAGMA database_list")] == ["main"]


HOSTILE: dict[str, Callable[[sqlite3.Connection], object]] = {
    "a view": lambda page: page.execute("CREATE VIEW v AS SELECT * FROM archive"),
    "a view for a table": lambda page: page.executescript(
        "ALTER TABLE archive RENAME TO other; CREATE VIEW archive AS SELECT * FROM other"
    ),
    "a trigger": lambda page: page.execute("CREATE TRIGGER t AFTER INSERT ON archive BEGIN DELETE FROM summary; END"),
    "another table": lambda page: page.execute("CREATE TABLE more (a)"),
    "an index": lambda page: page.execute("CREATE INDEX i ON archive (outTemp)"),
    "an index on an expression": lambda page: page.execute("CREATE INDEX i ON archive (outTemp + 1)"),
    "a table less": lambda page: page.execute("DROP TABLE summary"),
    "a column more": lambda page: page.execute("ALTER TABLE archive ADD COLUMN more REAL"),
    "a column less": lambda page: page.execute("ALTER TABLE archive DROP COLUMN note"),
    "a generated column": lambda page: page.execute("ALTER TABLE archive ADD COLUMN g REAL AS (outTemp * 2)"),
    "a column of another name": lambda page: page.execute("ALTER TABLE archive RENAME COLUMN note TO notes"),
    "a virtual table": lambda page: page.execute("CREATE VIRTUAL TABLE f USING fts5(a)"),
    "statistics": lambda page: page.executescript("CREATE INDEX i ON archive (outTemp); ANALYZE; DROP INDEX i"),
    "no STRICT": lambda page: rewritten(page, "archive", schema_statements(COLUMNS)["archive"].removesuffix(" STRICT")),
    "a default": lambda page: rewritten(
        page, "archive", schema_statements(COLUMNS)["archive"].replace("`note` TEXT", "`note` TEXT DEFAULT 'x'")
    ),
    "a schema without SQL": lambda page: rewritten(page, "summary", None),
    "a schema that is no SQL": lambda page: rewritten(page, "summary", "DROP TABLE archive"),
    "a schema in UTF-16": lambda page: page.executescript("PRAGMA writable_schema = ON; PRAGMA encoding = 'UTF-16'"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_with_any_other_schema_is_refused(primary: SqliteArchive, copy: SqliteArchive, name: str) -> None:
    page = changed(make_page(primary), HOSTILE[name])
    if name == "a schema in UTF-16":
        other = sqlite3.connect(":memory:")
        other.executescript("PRAGMA encoding = 'UTF-16';" + ";".join(schema_statements(COLUMNS).values()))
        page = other.serialize()
    assert refused(copy, page) in (Reason.SHAPE, Reason.TYPE)


def hand_made(*rows: tuple[object, ...], summary: tuple[object, ...] | None = None) -> bytes:
    """A page of the right schema, whose values nobody has checked: the tables weren't STRICT when they were filled."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    statements = schema_statements(COLUMNS)
    connection.execute(statements["archive"].removesuffix(" STRICT"))
    connection.execute(statements["summary"].replace("STRICT, ", ""))
    connection.executemany("INSERT INTO archive VALUES (?, ?, ?, ?, ?)", rows)
    if summary:
        connection.execute(f"INSERT INTO summary VALUES ({', '.join('?' * len(SUMMARY_COLUMNS))})", summary)
    for name, sql in statements.items():
        rewritten(connection, name, sql)
    return connection.serialize()


@pytest.mark.parametrize(
    "row",
    [
        (START, "US", 5, 1.0, None),
        (START, 1, 5.5, 1.0, None),
        (START, 1, 5, "warm", None),
        (START, 1, 5, b"warm", None),
        (START, 1, 5, 1.0, b"blob"),
    ],
)
def test_values_of_a_wrong_type_are_refused(copy: SqliteArchive, row: tuple[object, ...]) -> None:
    assert refused(copy, hand_made(row)) is Reason.TYPE


def test_a_summary_of_a_wrong_type_is_refused(copy: SqliteArchive) -> None:
    summary = ("outTemp", START, "low", *(None,) * (len(SUMMARY_COLUMNS) - 3))
    assert refused(copy, hand_made((START, 1, 5, 1.0, None), summary=summary)) is Reason.TYPE


def test_a_text_that_is_not_utf_8_is_refused(copy: SqliteArchive) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for sql in schema_statements(COLUMNS).values():
        connection.execute(sql)
    connection.execute("INSERT INTO archive VALUES (?, 1, 5, 1.0, CAST(x'46f6686e' AS TEXT))", (START,))
    assert refused(copy, connection.serialize()) is Reason.SHAPE


def test_a_file_in_wal_mode_is_refused(primary: SqliteArchive, copy: SqliteArchive) -> None:
    page = bytearray(make_page(primary))
    page[18:20] = b"\x02\x02"
    assert refused(copy, bytes(page)) is Reason.SHAPE


@pytest.mark.parametrize("pages", [0, 1, 2, 1 << 20, 0xFFFFFFFF])
def test_a_file_that_lies_about_its_length_is_refused_or_read_as_it_is(
    primary: SqliteArchive, copy: SqliteArchive, pages: int
) -> None:
    page, before = bytearray(make_page(primary)), dump(copy)
    page[28:32] = pages.to_bytes(4, "big")
    try:
        store(copy, bytes(page))
    except Refused:
        assert dump(copy) == before
    else:
        assert copy.read_records(0, 100) == primary.read_records(0, 100)


def test_a_file_cut_short_anywhere_is_refused(primary: SqliteArchive, copy: SqliteArchive) -> None:
    page = make_page(primary)
    for length in [0, 1, 15, 16, 50, 99, 100, 101, *range(512, len(page) - 1, 1777)]:
        refused(copy, page[:length])


@pytest.mark.slow
def test_bits_flipped_anywhere_are_refused_or_change_no_more_than_values(
    primary: SqliteArchive, copy: SqliteArchive
) -> None:
    """The digest finds every flipped bit; here somebody has made it anew. Nothing may come but Refused or records."""
    page, chance = make_page(primary), Random(7)
    outcomes = {"stored": 0, "refused": 0}
    for _ in range(1500):
        damaged = bytearray(page)
        for _ in range(chance.choice((1, 1, 3))):
            damaged[chance.randrange(len(page)) if chance.random() < 0.6 else chance.randrange(200)] = chance.randrange(
                256
            )
        copy._execute("DELETE FROM archive")
        copy._execute("DELETE FROM archive_day_outTemp")
        before = dump(copy)
        try:
            store(copy, bytes(damaged))
            outcomes["stored"] += 1
        except Refused:
            outcomes["refused"] += 1
            assert dump(copy) == before
        assert copy._read_all("PRAGMA main.quick_check(1)") == [("ok",)]
        copy.read_records(0, 1000)
    assert all(outcomes.values()), outcomes


def test_a_page_of_zeros_or_of_another_kind_is_refused(copy: SqliteArchive) -> None:
    for page in (b"", b"\0" * 8192, b"PK\x03\x04", b"SQLite format 3\0", b"SQLite format 3\0" + b"\xff" * 8000):
        refused(copy, page)
