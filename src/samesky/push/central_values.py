"""Values of the model in SQL, and back: times are datetimes without a zone there, and Unix seconds here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import BigInteger, ColumnElement, Integer, Table, func, literal_column
from sqlalchemy import cast as sql_cast

from .databases import Dialect
from .model import ColumnModel, TableModel, ValueKind


def to_sql(column: ColumnModel, value: object) -> object:
    """``value`` as the database's driver takes it."""
    if column.kind is ValueKind.TIME and value is not None:
        return datetime.fromtimestamp(cast(int, value), UTC).replace(tzinfo=None)
    return value


def from_sql(column: ColumnModel, value: Any) -> object:
    """What the driver returned, as the model has it."""
    match column.kind:
        case ValueKind.TIME if isinstance(value, datetime):
            return int(value.replace(tzinfo=UTC).timestamp())
        case ValueKind.DOUBLE if isinstance(value, int):
            return float(value)
        case ValueKind.FLAG if isinstance(value, bool):
            return int(value)
    return cast(object, value)


def row_to_sql(table: TableModel, row: Mapping[str, object]) -> dict[str, object]:
    """``row``, or a part of one, by the names of its columns."""
    return {name: to_sql(table.column(name), value) for name, value in row.items()}


def row_from_sql(table: TableModel, row: Mapping[str, object]) -> dict[str, object]:
    """The model's columns of ``row``."""
    return {column.name: from_sql(column, row[column.name]) for column in table.columns}


def selectable(dialect: Dialect, model: TableModel, table: Table) -> list[ColumnElement[Any]]:
    """What to select of ``table`` so that the values come as the model has them, made by the database."""
    return [
        _epoch(dialect, table.c[column.name]).label(column.name)
        if column.kind is ValueKind.TIME
        else table.c[column.name]
        for column in model.columns
    ]


def _epoch(dialect: Dialect, time: ColumnElement[Any]) -> ColumnElement[Any]:
    match dialect:
        case "sqlite":
            return sql_cast(func.strftime("%s", time), Integer)
        case "mysql":
            return func.timestampdiff(literal_column("SECOND"), literal_column("'1970-01-01'"), time)
        case "postgresql":
            return sql_cast(func.extract("epoch", time), BigInteger)
