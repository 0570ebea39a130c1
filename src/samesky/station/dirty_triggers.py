"""Triggers in the user's own database that note which spans of the archive change: whoever changes them, and how.

Opt-in. They write one row, the leaf (time >> 12) and a number that grows, into a small table; a record that is
appended, which is all that a station does, writes nothing. Without them, changes by hand are found by reading all of it
again now and then.
"""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from ..core.timetree import LEAF
from .archive import Archive

_PREFIX = "samesky_dirty_"
_EVENTS = ("insert", "update", "delete")


class DirtyLeaf(NamedTuple):
    """A leaf in which rows have changed; ``number`` is higher when it has changed again."""

    leaf: int
    number: int


def ensure_triggers(archive: Archive) -> bool:
    """Make the table and its triggers; returns whether any was missing, so that changes went unnoted until now."""
    table = _PREFIX + archive.table
    if table not in archive.read_tables():
        archive.apply_statement(f"CREATE TABLE `{table}` ({_COLUMNS[archive.dialect]})")
    missing = [event for event in _EVENTS if _trigger(archive, event) not in _read_triggers(archive)]
    make = _sqlite_trigger if archive.dialect == "sqlite" else _mysql_trigger
    for event in missing:
        archive.apply_statement(make(archive, event))
    return bool(missing)


def drop_triggers(archive: Archive) -> None:
    """Remove the triggers and their table; harmless when there are none."""
    for event in _EVENTS:
        archive.apply_statement(f"DROP TRIGGER IF EXISTS `{_trigger(archive, event)}`")
    archive.apply_statement(f"DROP TABLE IF EXISTS `{_PREFIX}{archive.table}`")


def read_dirty(archive: Archive) -> Sequence[DirtyLeaf]:
    """What the triggers have noted and nobody has cleared, in order; nothing where there are no triggers."""
    table = _PREFIX + archive.table
    if table not in archive.read_tables():
        return ()
    rows = archive.read_query(f"SELECT `leaf`, `number` FROM `{table}` ORDER BY `number`")
    return [DirtyLeaf(int(leaf), int(number)) for leaf, number in rows]


def clear_dirty(archive: Archive, leaves: Iterable[DirtyLeaf]) -> None:
    """Remove what `read_dirty` returned, but for leaves that have changed again since."""
    query = f"DELETE FROM `{_PREFIX}{archive.table}` WHERE `leaf` = {archive.mark} AND `number` <= {archive.mark}"
    # MySQL: one at a time, for triggers lock them in any order. SQLite has one writer, and a transaction costs a sync.
    with archive.writing() if archive.dialect == "sqlite" else nullcontext():
        for each in leaves:
            archive.apply_statement(query, each.leaf, each.number)


_COLUMNS = {
    "sqlite": "`number` INTEGER PRIMARY KEY AUTOINCREMENT, `leaf` INTEGER NOT NULL UNIQUE",
    "mysql": "`leaf` BIGINT NOT NULL PRIMARY KEY, `number` BIGINT NOT NULL AUTO_INCREMENT, KEY (`number`)",
}


def _trigger(archive: Archive, event: str) -> str:
    return f"samesky_{archive.table}_{event}"


def _read_triggers(archive: Archive) -> set[str]:
    if archive.dialect == "sqlite":
        query = "SELECT name FROM main.sqlite_schema WHERE type = 'trigger'"
    else:
        query = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
    return {row[0] for row in archive.read_query(query)}


def _is_no_append(archive: Archive, relation: str) -> str:
    """SQL for: this new row isn't the newest, or wasn't, before newer ones were deleted that nobody has looked at."""
    return (
        f"NEW.`dateTime` {relation} (SELECT MAX(`dateTime`) FROM `{archive.table}`) "
        f"OR (NEW.`dateTime` >> {LEAF}) <= (SELECT MAX(`leaf`) FROM `{_PREFIX}{archive.table}`)"
    )


def _sqlite_trigger(archive: Archive, event: str) -> str:
    """An INSERT is looked at before it happens: a REPLACE deletes a row, and SQLite runs no trigger for that."""
    when = f"WHEN {_is_no_append(archive, '<=')}" if event == "insert" else ""
    # Not REPLACE: the statement that runs a trigger overrules its conflict clauses.
    notes = "".join(
        f"DELETE FROM `{_PREFIX}{archive.table}` WHERE `leaf` = ({row}.`dateTime` >> {LEAF}); "
        f"INSERT INTO `{_PREFIX}{archive.table}` (`leaf`) VALUES ({row}.`dateTime` >> {LEAF}); "
        for row in _rows(event)
    )
    moment = "BEFORE" if event == "insert" else "AFTER"
    return (
        f"CREATE TRIGGER `{_trigger(archive, event)}` {moment} {event.upper()} ON `{archive.table}` {when} "
        f"BEGIN {notes}END"
    )


def _mysql_trigger(archive: Archive, event: str) -> str:
    """A REPLACE runs the triggers for DELETE and INSERT here."""
    notes = "".join(
        f"REPLACE INTO `{_PREFIX}{archive.table}` (`leaf`) VALUES ({row}.`dateTime` >> {LEAF}); "
        for row in _rows(event)
    )
    if event == "insert":
        notes = f"IF {_is_no_append(archive, '<')} THEN {notes}END IF; "
    return (
        f"CREATE TRIGGER `{_trigger(archive, event)}` AFTER {event.upper()} ON `{archive.table}` "
        f"FOR EACH ROW BEGIN {notes}END"
    )


def _rows(event: str) -> Sequence[str]:
    return {"insert": ("NEW",), "update": ("OLD", "NEW"), "delete": ("OLD",)}[event]
