"""What a WeeWX database looks like: archive columns, unit systems, daily summaries."""

from collections.abc import Mapping
from typing import Any

from ..core.columns import Column, Kind
from ..core.strict import Reason, Refused, check_number

KEY_COLUMNS = ("dateTime", "usUnits", "interval")
UNIT_SYSTEMS = {1: "US", 16: "METRIC", 17: "METRICWX"}

# Columns of WeeWX's daily summary tables, version 4.0 (weewx.manager.DaySummaryManager.day_schemas).
_INTEGER_PARTS = ("dateTime", "mintime", "maxtime", "count", "sumtime", "dirsumtime")
SCALAR_PARTS = ("dateTime", "min", "mintime", "max", "maxtime", "sum", "count", "wsum", "sumtime")
VECTOR_PARTS = (*SCALAR_PARTS, "max_dir", "xsum", "ysum", "dirsumtime", "squaresum", "wsquaresum")

# All summary rows travel in one table: the observation's name, then the parts a vector has (a scalar's are NULL).
SUMMARY_COLUMNS = (
    Column("obs", Kind.TEXT),
    *(Column(part, Kind.INTEGER if part in _INTEGER_PARTS else Kind.REAL) for part in VECTOR_PARTS),
)
METADATA_VERSION = "4.0"


def summary_parts(kind: str) -> tuple[str, ...]:
    """Column names of a daily summary table of that kind (``scalar`` or ``vector``)."""
    return VECTOR_PARTS if kind == "vector" else SCALAR_PARTS


def summary_kind(parts: tuple[str, ...]) -> str | None:
    """The kind of summary table that has exactly these columns, or None for another program's table."""
    if set(parts) == set(SCALAR_PARTS):
        return "scalar"
    return "vector" if set(parts) == set(VECTOR_PARTS) else None


def sql_type(column: Column, *, dialect: str) -> str:
    """The declaration WeeWX gives such a column, in ``sqlite`` or ``mysql``; times are 64 bits wide (2038)."""
    if column.name == "dateTime":
        return "BIGINT NOT NULL PRIMARY KEY" if dialect == "mysql" else "INTEGER NOT NULL PRIMARY KEY"
    if column.kind is Kind.INTEGER:
        wide = dialect == "mysql" and column.name.endswith("time")
        return ("BIGINT" if wide else "INTEGER") + (" NOT NULL" if column.name in KEY_COLUMNS else "")
    if column.kind is Kind.TEXT:
        return "TEXT"
    return "DOUBLE" if dialect == "mysql" else "REAL"


def kind_of(declaration: str) -> Kind:
    """The kind of a column declared so (SQLite's affinity rules, which fit MySQL's types as well)."""
    text = declaration.upper()
    if "INT" in text:
        return Kind.INTEGER
    return Kind.TEXT if any(word in text for word in ("CHAR", "TEXT", "CLOB")) else Kind.REAL


def check_unit_system(record: Mapping[str, Any], name: str = "usUnits") -> int:
    """The unit system that ``record`` says it is in; raises `Refused` (required, type, range)."""
    units = record.get(name)
    if units is None:
        raise Refused(Reason.REQUIRED, f"the record has no {name}")
    if check_number(units) not in UNIT_SYSTEMS:
        raise Refused(Reason.RANGE, f"{name} is none of 1 (US), 16 (METRIC), 17 (METRICWX)")
    return int(units)
