"""What a responder says of one binding's database, so that a copy knows what will come."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.columns import Column, Kind
from ..core.strict import (
    Reason,
    Refused,
    check_identifier,
    check_number,
    decode_json_object,
)
from ..link.message import Message
from .envelope import MAX_TIME
from .requests import Request, make_answer
from .schema import KEY_COLUMNS, check_unit_system

DESCRIPTION_TYPE = "application/vnd.samesky.description+json"


@dataclass(frozen=True, slots=True)
class Description:
    """What a responder says of one binding's database (version 2, ``op=describe``)."""

    columns: tuple[Column, ...]
    """Archive columns in the table's order, ``dateTime`` among them."""
    summaries: tuple[tuple[str, str], ...]
    """(observation, ``scalar`` or ``vector``) of every daily summary table that has version 4.0's columns."""
    unit_system: int | None
    """``usUnits`` of the table; None while it is empty."""
    interval_s: int | None
    """Archive interval of the newest record in seconds."""
    day_offsets: tuple[tuple[int, int], ...]
    """`days.read_day_offsets` over first to last."""
    count: int
    first: int | None
    last: int | None
    origin: str
    """Changes when the database is replaced by another; empty while it holds no record."""
    accepts: tuple[str, ...]
    """Content types of pages this side can make, best first."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the archive columns, in order."""
        return tuple(column.name for column in self.columns)


def encode_description(request: Request, description: Description, *, qos: int) -> Message:
    """The answer to a ``describe`` request."""
    document = {
        "columns": [[column.name, column.kind] for column in description.columns],
        "summaries": [list(entry) for entry in description.summaries],
        "unit_system": description.unit_system,
        "interval": description.interval_s,
        "day_offsets": [list(run) for run in description.day_offsets],
        "count": description.count,
        "first": description.first,
        "last": description.last,
        "origin": description.origin,
        "accepts": list(description.accepts),
    }
    return make_answer(request, "description", json.dumps(document).encode(), DESCRIPTION_TYPE, (), qos)


def decode_description(payload: bytes) -> Description:
    """A peer's description of a stream; every name in it is safe to put into SQL, every number in its range."""
    document = decode_json_object(payload)
    try:
        return Description(
            columns=_decode_columns(document),
            summaries=tuple(
                (check_identifier(obs), _summary_kind(kind)) for obs, kind in _pairs(document, "summaries")
            ),
            unit_system=None if document.get("unit_system") is None else check_unit_system(document, "unit_system"),
            interval_s=_optional(document, "interval", low=1),
            day_offsets=tuple(
                (int(check_number(day)), int(check_number(offset))) for day, offset in _pairs(document, "day_offsets")
            ),
            count=_optional(document, "count", low=0) or 0,
            first=_optional(document, "first", low=-MAX_TIME),
            last=_optional(document, "last", low=-MAX_TIME),
            origin=str(document.get("origin", ""))[:64],
            accepts=tuple(str(item)[:80] for item in _list(document, "accepts")[:16]),
        )
    except (TypeError, ValueError) as error:
        raise Refused(Reason.SHAPE, "the description hasn't the expected shape") from error


def _decode_columns(document: Mapping[str, Any]) -> tuple[Column, ...]:
    """The archive columns of a description: none, or the key columns and others, each once."""
    columns = tuple(Column(check_identifier(name), Kind(kind)) for name, kind in _pairs(document, "columns"))
    if len({column.name.lower() for column in columns}) != len(columns):
        raise Refused(Reason.DUPKEY, "the description names a column twice")
    if columns and not {Column(name, Kind.INTEGER) for name in KEY_COLUMNS} <= set(columns):
        raise Refused(Reason.SHAPE, "the description lacks dateTime, usUnits or interval as integers")
    return columns


def _pairs(document: Mapping[str, Any], name: str) -> list[tuple[Any, Any]]:
    return [(first, second) for first, second in _list(document, name)[:4096]]


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise Refused(Reason.SHAPE, f"the description has no list {name}")
    return value


def _optional(document: Mapping[str, Any], name: str, *, low: int) -> int | None:
    value = document.get(name)
    if value is not None and not low <= check_number(value, integer=True) <= MAX_TIME:
        raise Refused(Reason.RANGE, f"the description's {name} can't be right")
    return value


def _summary_kind(kind: Any) -> str:
    if kind not in ("scalar", "vector"):
        raise Refused(Reason.SHAPE, "a daily summary is neither scalar nor vector")
    return str(kind)
