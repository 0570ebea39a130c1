"""How three databases say the same thing: names, times as whole seconds, and values as the model has them.

No text here has a percent sign: two of the drivers would take it for a parameter.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from .databases import Dialect
from .model import ColumnModel, ValueKind
from .values import HIGHEST_DATE, LOWEST_DATE

EPOCH_SECONDS = 62_167_219_200
"""TO_SECONDS('1970-01-01'), as MariaDB and MySQL count."""
EPOCH_JULIAN_DAY = 2_440_587.5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimeForm(StrEnum):
    """How a database holds times, all of them UTC."""

    DATETIME = "datetime"  # DATETIME, TIMESTAMP; in SQLite the text that SQLAlchemy writes: 2023-11-15 10:00:00.000000
    ISO = "iso"  # in SQLite a text with a T: 2023-11-15T10:00:00
    EPOCH = "epoch"  # a number of seconds


def quote(dialect: Dialect, name: str) -> str:
    """``name`` as the name of a table or column, whatever its characters."""
    mark = '"' if dialect == "postgresql" else "`"  # SQLite takes "name" for a text where there is no such column
    return f"{mark}{name.replace(mark, mark + mark)}{mark}"


def spell_time(dialect: Dialect, form: TimeForm, time_s: int) -> str:
    """``time_s`` to be compared with a column of that form: never above a time of the same second."""
    if form is TimeForm.EPOCH:
        return str(int(time_s))
    bounded_s = max(LOWEST_DATE, min(HIGHEST_DATE, time_s))
    time = _EPOCH + timedelta(seconds=bounded_s)
    text = f"{time:%Y-%m-%d}{'T' if form is TimeForm.ISO else ' '}{time:%H:%M:%S}"
    return f"'{text}'" if dialect == "sqlite" else f"TIMESTAMP '{text}'"


def seconds_of(dialect: Dialect, form: TimeForm, column: str) -> str:
    """The whole seconds since 1970 of a time; NULL for what is no time to the database (0000-00-00, infinity).

    A text in SQLite that is no time stays what it is: whoever reads it must see that it is wrong.
    """
    if form is TimeForm.EPOCH:
        return column
    match dialect:
        case "sqlite":
            # The first 19 characters alone: SQLite rounds the fraction of a second, and .9996 would be the next one.
            seconds = f"CAST(strftime('{_SECONDS}', substr({column}, 1, 19)) AS INTEGER)"
            return f"CASE typeof({column}) WHEN 'text' THEN coalesce({seconds}, {column}) ELSE {column} END"
        case "mysql":
            return f"TO_SECONDS({column}) - {EPOCH_SECONDS}"
        case "postgresql":
            return f"CASE WHEN isfinite({column}) THEN floor(extract(epoch FROM {column}))::bigint END"


def has_fraction(dialect: Dialect, form: TimeForm, column: str) -> str:
    """The condition for a time that isn't a whole second; empty where there are none."""
    if form is TimeForm.EPOCH:
        return ""
    match dialect:
        case "sqlite":
            return f"CAST(substr({column}, 20) AS REAL) > 0"
        case "mysql":
            return f"MICROSECOND({column}) > 0"
        case "postgresql":
            return f"date_trunc('second', {column}) < {column}"


def value_of(dialect: Dialect, form: TimeForm, column: ColumnModel, name: str) -> str:
    """What to select of the column ``name`` so that its values come as the model has them, exact to the bit."""
    match column.kind, dialect:
        case ValueKind.TIME, _:
            return seconds_of(dialect, form, name)
        case ValueKind.DOUBLE, "mysql":
            return f"{name} + 0e0"  # a FLOAT would be told with 6 digits
        case ValueKind.DOUBLE, "postgresql":
            return f"{name}::float8"
        case ValueKind.FLAG, "mysql":
            return f"{name} + 0"  # a BIT would be told as bytes
        case ValueKind.FLAG, "postgresql":
            return f"{name}::int"
        case ValueKind.TEXT, "postgresql":
            return f"{name}::text"
    return name


_SECONDS = "%s"  # SQLite's driver has other marks for parameters
