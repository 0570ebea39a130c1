"""Digests of readings by (day, node): what the two ends compare instead of rows. Pure.

A *group* is all rows of one append-only table that have one day (UTC) and one value in the second column of the primary
key, which is the node in the seed's readings. Its digest is exact: rows in key order, every value of every column. The
digests of a day, a month and the whole are hashed up from those below, so two ends that keep the digests of groups
compare a million rows in one short question, and find what differs in three more.

NULL differs from every value, 1 in a DOUBLE column is 1.0, and -0.0 is 0.0: SQLite stores no sign with a zero. Texts
are compared as they are spelled, code point by code point.
"""

import hashlib
import struct
import sys
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple, cast

from ..core.columns import Table
from .model import TableModel, ValueKind

DAY_S = 86_400
DIGEST_BYTES = 16

Group = tuple[int, int]
"""A day, and the value of the key's second column."""
Key = int | Group
"""What a digest is of: a group, a day, a month, or a value of the second column within a day."""


class GroupDigest(NamedTuple):
    """How many rows there are, and their BLAKE2b-128."""

    count: int  # type: ignore[assignment]  # a tuple's count() isn't needed here
    digest: bytes


def day_of(time_s: int) -> int:
    """Return the day of ``time_s``: whole days since 1970-01-01 UTC, which is 0."""
    return time_s // DAY_S


def month_of(day: int) -> int:
    """Return the month of ``day`` as a number to be read and sorted: 202611 is November 2026."""
    date = _EPOCH + timedelta(days=day)
    return date.year * 100 + date.month


def days_of(month: int) -> range:
    """Return the days of ``month``, which is spelled as `month_of` does."""
    year, number = divmod(month, 100)
    first = datetime(year, number, 1, tzinfo=UTC)
    after = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return range((first - _EPOCH).days, (after - _EPOCH).days)


def digest_group(table: TableModel, rows: Table) -> GroupDigest:
    """Return the digest of ``rows``, all of one group, in any order; ``rows`` has the table's columns in their order.

    Of no rows it is `NO_ROWS`, whatever the table. Two rows of one key, which no database has, have no order.
    """
    if not rows.count:
        return NO_ROWS
    return _digest_columns(_heading(table), table, _in_key_order(table, rows))


def digest_groups(table: TableModel, rows: Table) -> dict[Group, GroupDigest]:
    """Return the digest of every group in ``rows``, which hold each of these groups wholly, in any order."""
    values = _in_key_order(table, rows)
    heading = _heading(table)
    return {
        group: _digest_columns(heading, table, _take(values, places))
        for group, places in _find_groups(values[_place(table, 0)], values[_place(table, 1)])
    }


def combine(children: Mapping[int, GroupDigest]) -> GroupDigest:
    """Return the digest of what ``children`` make up together: their counts added, their keys and digests hashed.

    Children without rows don't count, so an end that knows of a day without rows and one that doesn't agree.
    """
    present = sorted((key, child) for key, child in children.items() if child.count)
    if not present:
        return NO_ROWS
    packed = b"".join(
        b"%d %d " % (key, child.count) + child.digest for key, child in present
    )  # every part has its length, or ends with a blank
    return GroupDigest(
        sum(child.count for _, child in present), hashlib.blake2b(packed, digest_size=DIGEST_BYTES).digest()
    )


def combine_days(groups: Mapping[Group, GroupDigest]) -> dict[int, GroupDigest]:
    """Return the digest of each day that has ``groups``, combined of theirs by the second column."""
    days: dict[int, dict[int, GroupDigest]] = {}
    for (day, second), digest in groups.items():
        days.setdefault(day, {})[second] = digest
    return {day: combine(of_day) for day, of_day in days.items()}


def combine_months(days: Mapping[int, GroupDigest]) -> dict[int, GroupDigest]:
    """Return the digest of each month that has ``days``, combined of theirs; `combine` of these is that of all."""
    months: dict[int, dict[int, GroupDigest]] = {}
    for day, digest in days.items():
        months.setdefault(month_of(day), {})[day] = digest
    return {month: combine(of_month) for month, of_month in months.items()}


def pack_rows(table: TableModel, rows: Table) -> bytes:
    """Return what is hashed of ``rows``, in their order: the values of every column, exactly."""
    return b"".join(_pack_columns(table, rows.values))


def _heading(table: TableModel) -> bytes:
    """What tells digests of one table, and of one description of it, from those of another."""
    return "\n".join([table.name, *(f"{column.name} {column.kind}" for column in table.columns), ""]).encode()


def _in_key_order(table: TableModel, rows: Table) -> tuple[Sequence[object], ...]:
    """The columns with the rows put in the order of the primary key, as they mostly come."""
    keys = list(zip(*(rows.values[place] for place in map(table.names.index, table.key)), strict=True))
    if keys == sorted(keys):  # a third of what comparing neighbours takes
        return rows.values
    take = itemgetter(*sorted(range(len(keys)), key=keys.__getitem__))  # of two rows at least: one is in order
    return tuple(map(take, rows.values))


def _find_groups(times: Sequence[object], seconds: Sequence[object]) -> Iterator[tuple[Group, list[int]]]:
    """The places of the rows of each group; ``times`` are sorted."""
    start = 0
    while start < len(times):
        day = day_of(cast(int, times[start]))
        end = bisect_left(cast(Sequence[int], times), (day + 1) * DAY_S, start)
        of_day: defaultdict[int, list[int]] = defaultdict(list)
        for place, second in enumerate(cast(Sequence[int], seconds[start:end]), start):
            of_day[second].append(place)
        for second, places in of_day.items():
            yield (day, second), places
        start = end


def _place(table: TableModel, part: int) -> int:
    """Where the columns have this part of the key."""
    return table.names.index(table.key[part])


def _take(values: Sequence[Sequence[object]], places: list[int]) -> tuple[Sequence[object], ...]:
    """The rows at ``places``, which ascend."""
    if places[-1] - places[0] == len(places) - 1:  # they follow one another, as when few nodes send much
        return tuple(column[places[0] : places[-1] + 1] for column in values)
    take = itemgetter(*places)
    return tuple(map(take, values))


def _digest_columns(heading: bytes, table: TableModel, values: Sequence[Sequence[object]]) -> GroupDigest:
    count = len(values[0])
    digest = hashlib.blake2b(heading, digest_size=DIGEST_BYTES)
    digest.update(count.to_bytes(8, "little"))
    for packed in _pack_columns(table, values):
        digest.update(packed)
    return GroupDigest(count, digest.digest())


def _pack_columns(table: TableModel, values: Sequence[Sequence[object]]) -> Iterator[bytes]:
    for column, of_column in zip(table.columns, values, strict=True):
        pack = _PACK[column.kind]
        try:
            yield pack(of_column)
        except _MISFITS:  # mostly NULLs: to look for them first takes longer than all the rest
            yield b"N" + bytes([value is None for value in of_column])
            yield _pack_present(pack, [value for value in of_column if value is not None])


def _pack_present(pack: Callable[[Sequence[Any]], bytes], values: Sequence[object]) -> bytes:
    """The values that aren't NULL, also those that the column can't have: SQLite stores 'abc' in a REAL column."""
    try:
        return pack(values)
    except _MISFITS:
        return b"?" + "\n".join(f"{type(value).__name__} {value!r}" for value in values).encode()


def _pack_integers(numbers: Sequence[Any]) -> bytes:
    return b"q" + _little(array("q", numbers))


def _pack_doubles(numbers: Sequence[Any]) -> bytes:
    packed = _little(array("d", numbers))
    if _MINUS_ZERO in packed:  # or so it seems, when it lies across two numbers
        packed = _little(array("d", [number + 0.0 for number in numbers]))  # -0.0 + 0.0 is 0.0
    return b"d" + packed


def _pack_texts(texts: Sequence[Any]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"t" + _little(array("q", map(len, encoded))) + b"".join(encoded)


def _little(numbers: "array[int] | array[float]") -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


_PACK: dict[ValueKind, Callable[[Sequence[Any]], bytes]] = {
    ValueKind.INTEGER: _pack_integers,
    ValueKind.DOUBLE: _pack_doubles,
    ValueKind.TEXT: _pack_texts,
    ValueKind.TIME: _pack_integers,
    ValueKind.FLAG: _pack_integers,
}
_MISFITS = (TypeError, OverflowError, AttributeError, UnicodeEncodeError)
_MINUS_ZERO = struct.pack("<d", -0.0)
NO_ROWS = GroupDigest(0, hashlib.blake2b(b"", digest_size=DIGEST_BYTES).digest())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
