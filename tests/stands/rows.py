"""Two WeeWX databases read row by row and compared, with sqlite3 and PyMySQL alone.

Nothing here knows how samesky reads, writes or compares, so it can say whether samesky is right. Values are compared
as numbers: 2 and 2.0 are the same observation, to the last bit of the double.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pymysql

from .databases import Database, SqliteDatabase, frozen, query, query_with_names
from .waiting import wait_for

Row = dict[str, Any]
Rows = dict[int, Row]
_MOST_SHOWN = 5


def read_newest(database: Database, *, table: str = "archive") -> int | None:
    """Time of the newest archive record; None when there is no database, no table or no record."""
    try:
        ((newest,),) = query(database, f"SELECT MAX(dateTime) FROM {table}")
    except (FileNotFoundError, sqlite3.OperationalError, pymysql.err.ProgrammingError):
        return None
    return newest


def read_count(database: Database, *, table: str = "archive", after: int = 0) -> int:
    """How many archive records there are after ``after``; 0 when there is no table."""
    if read_newest(database, table=table) is None:
        return 0
    ((count,),) = query(database, f"SELECT COUNT(*) FROM {table} WHERE dateTime > ?", after)
    return int(count)


def read_tables(database: Database, *, table: str = "archive") -> list[str]:
    """Names of the archive table and its daily summary tables, without the metadata table, sorted."""
    if isinstance(database, SqliteDatabase):
        names = query(database, "SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        names = query(database, "SHOW TABLES")
    days = f"{table}_day_"
    return sorted(
        name for (name,) in names if name == table or (name.startswith(days) and name != f"{table}_day__metadata")
    )


def read_rows(database: Database, table: str, *, until: int | None = None) -> Rows:
    """dateTime -> row (name -> value) of one table, up to ``until``."""
    limit = f" WHERE dateTime <= {int(until)}" if until is not None else ""
    names, rows = query_with_names(database, f"SELECT * FROM `{table}`{limit}")
    at = names.index("dateTime")
    return {row[at]: dict(zip(names, row, strict=True)) for row in rows}


def read_columns(database: Database, table: str) -> list[str]:
    """Column names of one table, in order."""
    return query_with_names(database, f"SELECT * FROM `{table}` LIMIT 0")[0]


def read_metadata(database: Database, *, table: str = "archive") -> dict[str, str]:
    """The daily summaries' metadata: Version, lastUpdate."""
    return dict(query(database, f"SELECT name, value FROM `{table}_day__metadata`"))


def find_row_differences(
    primary: Mapping[int, Row], copy: Mapping[int, Row], *, columns: Iterable[str] | None = None
) -> list[str]:
    """One sentence for each row that is missing, extra or different, in the columns named or all of them."""
    chosen = None if columns is None else {"dateTime", *columns}
    found = [f"{time} is missing at the copy" for time in sorted(primary.keys() - copy.keys())]
    found += [f"{time} is only at the copy" for time in sorted(copy.keys() - primary.keys())]
    for time in sorted(primary.keys() & copy.keys()):
        ours, theirs = primary[time], copy[time]
        if ours != theirs or chosen is not None:
            names = chosen if chosen is not None else ours.keys() | theirs.keys()
            wrong = [name for name in sorted(names) if ours.get(name) != theirs.get(name)]
            if wrong:
                pairs = ", ".join(f"{name} {ours.get(name)!r} -> {theirs.get(name)!r}" for name in wrong[:4])
                found.append(f"{time} differs in {len(wrong)} columns: {pairs}")
    return found


def find_archive_differences(
    primary: Database,
    copy: Database,
    *,
    table: str = "archive",
    columns: Iterable[str] | None = None,
    until: int | None = None,
) -> list[str]:
    """What differs between two archive tables up to ``until``; empty when they are the same."""
    wanted = None if columns is None else set(columns)
    with frozen(primary) as ours, frozen(copy) as theirs:
        if wanted is None and _read_all(ours, table, until) == _read_all(theirs, table, until):
            return []  # the quick way, without a dictionary a row
        rows = (read_rows(database, table, until=until) for database in (ours, theirs))
        return _shorten(table, find_row_differences(*rows, columns=wanted))


def find_summary_differences(
    primary: Database, copy: Database, *, table: str = "archive", columns: Iterable[str] | None = None
) -> list[str]:
    """What differs between all daily summaries and lastUpdate; ``columns`` limits it to these observations."""
    with frozen(primary) as ours, frozen(copy) as theirs:
        return _compare_summaries(ours, theirs, table, None if columns is None else set(columns))


def _compare_summaries(primary: Database, copy: Database, table: str, wanted: set[str] | None) -> list[str]:
    found: list[str] = []
    present = set(read_tables(copy, table=table))
    for name in read_tables(primary, table=table):
        if name == table or (wanted is not None and name.removeprefix(f"{table}_day_") not in wanted):
            continue
        if name not in present:
            found.append(f"{name}: no such table at the copy")
            continue
        found += _shorten(name, find_row_differences(read_rows(primary, name), read_rows(copy, name)))
    ours, theirs = (read_metadata(database, table=table) for database in (primary, copy))
    return found if ours == theirs else [*found, f"{table}_day__metadata: {ours} -> {theirs}"]


def find_differences(
    primary: Database,
    copy: Database,
    *,
    table: str = "archive",
    summaries: bool = True,
    columns: Iterable[str] | None = None,
) -> list[str]:
    """What differs between two databases, table by table, a few lines each; empty when they are the same."""
    with frozen(primary) as ours, frozen(copy) as theirs:
        found = find_archive_differences(ours, theirs, table=table, columns=columns)
        return found + (find_summary_differences(ours, theirs, table=table, columns=columns) if summaries else [])


def wait_until_same(
    primary: Database,
    copy: Database,
    deadline_s: float,
    *,
    table: str = "archive",
    summaries: bool = True,
    columns: Iterable[str] | None = None,
    explain: Callable[[], str] | None = None,
) -> int:
    """Wait until a copy equals its primary, which may be recording all the while; returns the newest record's time.

    Both are compared as they were right after they had the same newest record. Raises AssertionError with what differed
    in the last comparison.
    """
    last: list[str] = []

    def same() -> int | None:
        newest, reached = read_newest(primary, table=table), read_newest(copy, table=table)
        if newest is None or reached != newest:
            last[:] = [f"the newest record is {newest} at the primary, {reached} at the copy"]
            return None
        counts = [_count_until(database, table, newest) for database in (primary, copy)]
        if counts[0] != counts[1]:  # while much is under way this is all that is looked at
            last[:] = [f"{counts[0]} records at the primary, {counts[1]} at the copy"]
            return None
        with frozen(primary) as ours, frozen(copy) as theirs:
            if read_newest(ours, table=table) != newest:
                return None
            last[:] = find_differences(ours, theirs, table=table, summaries=summaries, columns=columns)
        return None if last else newest

    def report() -> str:
        return "\n".join([*last, explain() if explain else ""])

    newest = wait_for(same, deadline_s, what=f"{copy} the same as {primary}", every_s=0.2, explain=report)
    assert newest is not None
    return newest


def _count_until(database: Database, table: str, until: int) -> int:
    ((count,),) = query(database, f"SELECT COUNT(*) FROM `{table}` WHERE dateTime <= ?", until)
    return int(count)


def _read_all(database: Database, table: str, until: int | None) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
    """Column names, sorted; those that hold anything; and all rows of these. Most of a wide table is NULLs."""
    names = sorted(read_columns(database, table))
    limit = f" WHERE dateTime <= {int(until)}" if until is not None else ""
    (counts,) = query(database, f"SELECT {', '.join(f'COUNT(`{name}`)' for name in names)} FROM `{table}`{limit}")
    filled = [name for name, count in zip(names, counts, strict=True) if count]
    chosen = ", ".join(f"`{name}`" for name in filled or names)
    return names, filled, query(database, f"SELECT {chosen} FROM `{table}`{limit} ORDER BY dateTime")


def _shorten(table: str, sentences: list[str]) -> list[str]:
    more = len(sentences) - _MOST_SHOWN
    shown = sentences[:_MOST_SHOWN] + ([f"and {more} more"] if more > 0 else [])
    return [f"{table}: {sentence}" for sentence in shown]
