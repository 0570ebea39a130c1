"""Checksums of groups of rows, which a database adds up by itself, a million rows a second: has a group changed?

A group is a day and a value of the second column of the primary key (a node), as in `digests`. A checksum is compared
with nothing but one that the same database gave for the same group before; only if they differ the rows are read.

PostgreSQL hashes values exactly. MariaDB and SQLite have no hash that is fast, so sums of doubles stand for one there:
one of the values times a weight that the key gives, which notices what was changed, swapped or moved; and one of what
the first is too coarse to see, the part of the values below 2^-16. Who wants no "very likely" compares deeply.
"""

import struct
import zlib
from collections.abc import Iterator
from hashlib import blake2b

from sqlalchemy import Connection

from .central_tables import SITE_COLUMN
from .databases import Dialect
from .digests import DAY_S, Group
from .model import ColumnModel, TableModel, ValueKind
from .sql_words import EPOCH_JULIAN_DAY, EPOCH_SECONDS, TimeForm, quote, seconds_of, spell_time
from .values import HIGHEST_DATE, LOWEST_DATE

# What is below the reciprocal of this is added up by itself: so a FLOAT's last bit is noticed beside integers of any
# size, and most of a double's.
_FINE = 1 << 16
_MOST = 1_000_000_000  # of larger values, what is above is left out, lest they hide the others
_LARGE_PRIME, _SMALL_PRIME = 16_777_213, 1021
_HASHED_NULL = -(1 << 63)
# Factors that no small integers make up for.
_FACTORS = (1.0, 1.618033988749895, 2.414213562373095, 3.302775637731995, 4.236067977499790, 5.192582403567252)


def read_checksums(
    connection: Connection,
    dialect: Dialect,
    table: TableModel,
    *,
    from_s: int,
    to_s: int,
    site_id: int | None = None,
    form: TimeForm = TimeForm.DATETIME,
) -> dict[Group, tuple[int, int]]:
    """How many rows each group of ``table`` has with ``from_s`` <= time < ``to_s``, and their checksum (63 bits).

    With ``site_id``, of the rows of this site. ``form`` is how times are held, which the centre's tables don't need.
    """
    from_s, to_s = max(from_s, LOWEST_DATE), min(to_s, HIGHEST_DATE + 1)
    if from_s >= to_s:
        return {}
    question = _Question(dialect, table, form, site_id)
    if dialect == "sqlite":
        return question.read_days(connection, from_s, to_s)
    columns, group_by = question.columns()
    rows = connection.exec_driver_sql(
        f"SELECT {columns} FROM {question.table} WHERE {question.between(from_s, to_s)} GROUP BY {group_by}"
    )
    return {
        (int(day) - question.first_day, second): (count, _fold(*sums))
        for day, second, count, *sums in rows.all()
        if day is not None
    }


class _Question:
    """One table in one database, and what to ask of it."""

    def __init__(self, dialect: Dialect, table: TableModel, form: TimeForm, site_id: int | None) -> None:
        self._dialect = dialect
        self._form = form
        self._site = f"{self._name(SITE_COLUMN)} = {int(site_id)} AND " if site_id is not None else ""
        self.table = self._name(table.name)
        self._time = self._name(table.key[0])
        self._second = self._name(table.key[1])
        self._rest = [table.column(name) for name in table.key[2:]]
        self._others = [column for column in table.columns if column.name not in table.key]
        self.first_day = EPOCH_SECONDS // DAY_S if dialect == "mysql" and form is not TimeForm.EPOCH else 0

    def between(self, from_s: int, to_s: int) -> str:
        """The condition for rows of the site with such times."""
        low, high = (spell_time(self._dialect, self._form, time_s) for time_s in (from_s, to_s))
        return f"{self._site}{self._time} >= {low} AND {self._time} < {high}"

    def columns(self) -> tuple[str, str]:
        """What to select (day, second, count, sums) and to group by."""
        if self._dialect == "postgresql":
            is_number = self._form is TimeForm.EPOCH
            day = f"{self._time} / {DAY_S}" if is_number else f"{self._time}::date - DATE '1970-01-01'"
            return f"{day}, {self._second}, count(*), bit_xor({self._hash()})", f"{day}, {self._second}"
        day = f"{self._mysql_seconds()} DIV {DAY_S}"
        return f"{day}, {self._second}, COUNT(*), {self._sums(self._mysql_weight())}", f"{day}, {self._second}"

    def read_days(self, connection: Connection, from_s: int, to_s: int) -> dict[Group, tuple[int, int]]:
        """The answer in SQLite, which sorts no more than a day at a time."""
        if any(column.kind is ValueKind.TEXT for column in (*self._rest, *self._others)):
            driver = connection.connection.driver_connection
            driver.create_function("samesky_crc32", 1, _crc32, deterministic=True)  # type: ignore[union-attr]
        found = {}
        for start_s in self._days(connection, from_s, to_s):
            end_s = (start_s // DAY_S + 1) * DAY_S
            rows = connection.exec_driver_sql(
                f"SELECT {self._second}, count(*), {self._sums(self._sqlite_weight(start_s // DAY_S))} "
                f"FROM {self.table} WHERE {self.between(start_s, min(end_s, to_s))} GROUP BY {self._second}"
            )
            for second, count, *sums in rows.all():
                found[start_s // DAY_S, second] = count, _fold(*sums)
        return found

    def _days(self, connection: Connection, from_s: int, to_s: int) -> Iterator[int]:
        """Where each day that has rows begins, or the span in it."""
        select = f"SELECT {seconds_of('sqlite', self._form, self._time)} FROM {self.table}"
        while from_s < to_s:
            first = f"{select} WHERE {self.between(from_s, to_s)} ORDER BY {self._time} LIMIT 1"
            next_s = connection.exec_driver_sql(first).scalar()
            if not isinstance(next_s, int):
                return
            from_s = max(from_s, next_s // DAY_S * DAY_S)
            yield from_s
            from_s = (from_s // DAY_S + 1) * DAY_S

    def _hash(self) -> str:
        """PostgreSQL's hash of a row but for the second column of the key, each value seeded by those before."""
        if self._form is TimeForm.EPOCH:
            seed = f"hashint8extended({self._time}::bigint, 0)"
        else:
            seed = f"timestamp_hash_extended({self._time}::timestamp, 0)"
        for column in (*self._rest, *self._others):
            seed = self._hash_value(column, seed)
        return seed

    def _hash_value(self, column: ColumnModel, seed: str) -> str:
        name = self._name(column.name)
        match column.kind:
            case ValueKind.DOUBLE:
                return f"hashfloat8extended(coalesce({name}::float8, 'NaN'), {seed})"
            case ValueKind.TEXT:
                return f"hashtextextended(coalesce({name}::text, E'\\x01'), {seed})"
            case ValueKind.TIME:
                return f"hashtextextended(coalesce({name}::text, ''), {seed})"
            case ValueKind.FLAG:
                return f"hashint8extended(coalesce({name}::int::bigint, {_HASHED_NULL}), {seed})"
        return f"hashint8extended(coalesce({name}::bigint, {_HASHED_NULL}), {seed})"

    def _sums(self, weight: str) -> str:
        """The sum of the values times ``weight``, and that of what it is too coarse for."""
        total = "total" if self._dialect == "sqlite" else "SUM"
        coarse, fine = [], []
        for number, column in enumerate(self._others):
            factor = _FACTORS[number % len(_FACTORS)] + number // len(_FACTORS)
            name = self._name(column.name)
            if column.kind is ValueKind.DOUBLE:
                bounded = self._bounded(name)
                coarse.append(f"coalesce({bounded}, -77.7e0) * {factor:.15e}")
                scaled = f"{bounded} * {_FINE}e0"
                floor = f"CAST({scaled} AS INTEGER)" if self._dialect == "sqlite" else f"FLOOR({scaled})"
                fine.append(f"coalesce({scaled} - {floor}, 0) * {2 * number + 1}")
            else:
                coarse.append(f"coalesce({self._remainder(column, _LARGE_PRIME)}, -7) * {factor:.15e}")
        return f"{total}(({' + '.join(coarse) or '1e0'}) * {weight}), {total}({' + '.join(fine) or '0'})"

    def _bounded(self, name: str) -> str:
        if self._dialect == "mysql":
            return f"MOD({name}, {_MOST}e0)"
        return f"CASE WHEN abs({name}) < {_MOST}e0 THEN {name} ELSE CAST({name} AS INTEGER) % {_MOST} END"

    def _remainder(self, column: ColumnModel, by: int) -> str:
        """A number below ``by`` for an integer, a time, a flag or a text."""
        name = self._name(column.name)
        mysql = self._dialect == "mysql"
        match column.kind:
            case ValueKind.TEXT:
                name = f"CRC32({name})" if mysql else f"samesky_crc32({name})"
            case ValueKind.TIME if mysql:
                name = f"coalesce(TO_SECONDS({name}), {name})"
            case ValueKind.TIME:
                name = f"({seconds_of('sqlite', TimeForm.DATETIME, name)})"
        return f"MOD({name}, {by})" if mysql else f"{name} % {by}"

    def _mysql_seconds(self) -> str:
        return self._time if self._form is TimeForm.EPOCH else f"TO_SECONDS({self._time})"

    def _mysql_weight(self) -> str:
        rest = "".join(f" + {self._remainder(column, _SMALL_PRIME)} * 89" for column in self._rest)
        return f"(MOD({self._mysql_seconds()}, {DAY_S}) + {DAY_S}{rest})"

    def _sqlite_weight(self, day: int) -> str:
        rest = "".join(f" + {self._remainder(column, _SMALL_PRIME)} * 89" for column in self._rest)
        if self._form is TimeForm.EPOCH:
            return f"({self._time} - {(day - 1) * DAY_S}{rest})"
        return f"((julianday({self._time}) - {EPOCH_JULIAN_DAY + day - 1}) * {DAY_S}{rest})"

    def _name(self, name: str) -> str:
        return quote(self._dialect, name)


def _fold(*sums: float | int | None) -> int:
    """One number of 63 bits for what a database added up."""
    if len(sums) == 1 and isinstance(sums[0], int):
        return sums[0] & (1 << 63) - 1
    packed = struct.pack(f"<{len(sums)}d", *(0.0 if each is None else each for each in sums))
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), "little") >> 1


def _crc32(text: object) -> int | None:
    return None if text is None else zlib.crc32(str(text).encode("utf-8", "surrogatepass"))
