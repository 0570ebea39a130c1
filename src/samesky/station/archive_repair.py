"""What a repair writes into an archive: rows over others, rows that go, whole days of daily summaries.

Each function is one transaction, or part of the caller's (`Archive.writing`). ``lastUpdate`` says up to which record
the summaries are complete; it goes back only when the newest record goes, for WeeWX recomputes days that are later.
"""

from collections.abc import Iterable, Sequence

from ..core.slices import slices_of
from ..errors import DataError
from .archive import Archive
from .archive_reader import Row, quoted_names
from .schema import SUMMARY_COLUMNS, summary_parts

_MOST_TIMES = 500  # in one statement
# SQLite's writer is alone with the database; MySQL has to be told which rows nobody else may change until the end.
_LOCKING = {"sqlite": "", "mysql": " FOR UPDATE"}
_OVER = {"sqlite": "ON CONFLICT (`dateTime`) DO UPDATE SET ", "mysql": "ON DUPLICATE KEY UPDATE "}
_NEW_VALUE = {"sqlite": "`{0}` = excluded.`{0}`", "mysql": "`{0}` = VALUES(`{0}`)"}


def read_rows_at(archive: Archive, names: Sequence[str], times: Iterable[int]) -> dict[int, Row]:
    """time -> the columns ``names`` of its row, for those of ``times`` that have one.

    Inside `Archive.writing` nobody else changes these rows until its end.
    """
    found: dict[int, Row] = {}
    for chunk in slices_of(sorted(times), _MOST_TIMES):
        query = (
            f"SELECT `dateTime`, {quoted_names(names)} FROM `{archive.table}` "
            f"WHERE `dateTime` IN ({archive._marks(len(chunk))}){_LOCKING[archive.dialect]}"
        )
        found |= {row[0]: tuple(row[1:]) for row in archive._read_all(query, *chunk)}
    return found


def replace_rows(archive: Archive, names: Sequence[str], rows: Sequence[Row]) -> list[int]:
    """Insert the rows, or put them over those stored, in the columns ``names``; other columns keep their values.

    A row that the database refuses is left out, its neighbours are stored. Returns the times of those left out.
    """
    over = ", ".join(_NEW_VALUE[archive.dialect].format(name) for name in names if name != "dateTime")
    query = (
        f"INSERT INTO `{archive.table}` ({quoted_names(names)}) VALUES ({archive._marks(len(names))}) "
        f"{_OVER[archive.dialect]}{over}"
    )
    if not rows:
        return []
    with archive.writing():
        archive._execute("SAVEPOINT before_rows")
        try:
            archive._execute_many(query, rows)
        except DataError:
            archive._execute("ROLLBACK TO SAVEPOINT before_rows")
            return _replace_each(archive, query, rows, at=list(names).index("dateTime"))
    return []


def _replace_each(archive: Archive, query: str, rows: Sequence[Row], *, at: int) -> list[int]:
    refused = []
    for row in rows:
        try:
            archive._execute_many(query, [row])
        except DataError:
            refused.append(int(row[at]))
    return refused


def delete_rows(archive: Archive, times: Iterable[int]) -> int:
    """Delete the rows of these times; returns how many there were. ``lastUpdate`` is never after the newest record."""
    deleted = 0
    with archive.writing():
        for chunk in slices_of(sorted(times), _MOST_TIMES):
            deleted += archive._execute(
                f"DELETE FROM `{archive.table}` WHERE `dateTime` IN ({archive._marks(len(chunk))})", *chunk
            )
        if deleted:
            _lower_last_update(archive)
    return deleted


def read_summary_rows(archive: Archive, days: Iterable[int], observations: Iterable[str]) -> list[Row]:
    """The daily summary rows of these days (their first moments) and observations, as in `schema.SUMMARY_COLUMNS`."""
    kinds, wanted = archive.read_summary_kinds(), sorted(days)
    rows: list[Row] = []
    for obs in observations:
        parts = summary_parts(kinds[obs])
        for chunk in slices_of(wanted, _MOST_TIMES):
            query = (
                f"SELECT {quoted_names(parts)} FROM `{archive.table}_day_{obs}` "
                f"WHERE `dateTime` IN ({archive._marks(len(chunk))}){_LOCKING[archive.dialect]}"
            )
            rows += [padded((obs, *row)) for row in archive._read_all(query, *chunk)]
    return rows


def replace_summary_days(
    archive: Archive, days: Iterable[int], rows: Sequence[Row], *, observations: Iterable[str]
) -> int:
    """Put ``rows`` in place of all summary rows of these days and observations; returns how many were written."""
    wanted = sorted(days)
    with archive.writing():
        for obs in observations:
            for chunk in slices_of(wanted, _MOST_TIMES):
                marks = archive._marks(len(chunk))
                archive._execute(f"DELETE FROM `{archive.table}_day_{obs}` WHERE `dateTime` IN ({marks})", *chunk)
        return archive.write_summaries(rows)


def padded(row: Row) -> Row:
    """A summary row with a NULL for every part that it lacks: a scalar has fewer than a vector."""
    return (*row, *(None,) * (len(SUMMARY_COLUMNS) - len(row)))


def summaries_are_complete(archive: Archive) -> bool:
    """Whether ``lastUpdate`` says that the daily summaries include the newest record."""
    (newest,) = archive._read_row(f"SELECT MAX(`dateTime`) FROM `{archive.table}`")
    return newest is None or int(archive.read_metadata().get("lastUpdate") or 0) >= newest


def raise_last_update(archive: Archive) -> None:
    """Let ``lastUpdate`` be the newest record, which the summaries include."""
    (newest,) = archive._read_row(f"SELECT MAX(`dateTime`) FROM `{archive.table}`")
    if newest is not None:
        archive._mark_update(newest)


def _lower_last_update(archive: Archive) -> None:
    (newest,) = archive._read_row(f"SELECT MAX(`dateTime`) FROM `{archive.table}`")
    if int(archive.read_metadata().get("lastUpdate") or 0) <= (newest or 0):
        return
    metadata = f"{archive.table}_day__metadata"
    if newest is None:
        archive._execute(f"DELETE FROM `{metadata}` WHERE `name` = 'lastUpdate'")
    else:
        archive._execute(f"UPDATE `{metadata}` SET `value` = {archive.mark} WHERE `name` = 'lastUpdate'", str(newest))
