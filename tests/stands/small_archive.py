"""A WeeWX database with a handful of columns, described in one line."""

from collections.abc import Iterable

from samesky.core.columns import Column, Kind
from samesky.station.description import Description

_KEYS = tuple(Column(name, Kind.INTEGER) for name in ("dateTime", "usUnits", "interval"))


def describe_columns(
    reals: Iterable[str] = ("outTemp",), texts: Iterable[str] = (), *, summaries: Iterable[tuple[str, str]] = ()
) -> Description:
    """What an empty primary with these columns, after WeeWX's three, says of itself."""
    return Description(
        columns=(
            *_KEYS,
            *(Column(name, Kind.REAL) for name in reals),
            *(Column(name, Kind.TEXT) for name in texts),
        ),
        summaries=tuple(summaries),
        unit_system=1,
        interval_s=300,
        day_offsets=(),
        count=0,
        first=None,
        last=None,
        origin="",
        accepts=(),
    )
