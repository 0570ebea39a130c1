"""The records of one day at a copy and at its primary, side by side."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from .asking import Asked
from .series import KEYS
from .station_databases import StationDatabase, StationRole

PairKind = Literal["same", "different", "missing", "extra", "alone"]
"""In both and equal, in both, only at the primary, only here; and what can't be said."""
PAIR_WORDS: Mapping[PairKind, str] = {
    "same": "the same",
    "different": "different",
    "missing": "missing here",
    "extra": "only here",
    "alone": "not compared",
}
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordPair:
    """One moment's record at both ends."""

    time: int
    here: Record | None
    there: Record | None
    kind: PairKind
    differing: tuple[str, ...] = ()
    """Columns whose values aren't the same."""


@dataclass(frozen=True, slots=True)
class DayRecords:
    """A day: of a copy with the primary's records beside it, or of a primary alone."""

    stream: str
    role: StationRole
    date: date
    start: int
    end: int
    columns: tuple[str, ...] = ()
    """Those with a value in any of the records; the three key columns first."""
    pairs: tuple[RecordPair, ...] = ()
    asked_at: float | None = None
    """When the primary said what it has."""
    why_not: str = ""
    """Why the primary's records, or those here, can't be shown."""
    hint: str = ""
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[PairKind, int]:
        """How many records are in each case."""
        counts: dict[PairKind, int] = dict.fromkeys(PAIR_WORDS, 0)
        for pair in self.pairs:
            counts[pair.kind] += 1
        return counts

    def as_dict(self) -> dict[str, object]:
        """The JSON twin."""
        return {
            "stream": self.stream,
            "role": self.role,
            "date": self.date.isoformat(),
            "start": self.start,
            "end": self.end,
            "asked_at": self.asked_at,
            "why_not": self.why_not,
            "hint": self.hint,
            "notes": list(self.notes),
            "counts": self.counts(),
            "columns": list(self.columns),
            "records": [
                {"time": pair.time, "verdict": pair.kind, "differing": list(pair.differing)}
                | {side: _values(record, self.columns) for side, record in (("here", pair.here), ("there", pair.there))}
                for pair in self.pairs
            ],
        }


def pair_records(
    database: StationDatabase,
    day: date,
    span: tuple[int, int],
    names: Sequence[str],
    here: Mapping[int, Record],
    asked: Asked | None,
) -> DayRecords:
    """The records ``here`` beside those that the primary has told when it was ``asked``; None: it is the primary's."""
    rows = asked.rows if asked is not None else None
    there = rows.records if rows is not None else {}
    compared = rows.compared if rows is not None else frozenset[str]()
    kept = [
        _pair(moment, here.get(moment), there.get(moment), compared, rows is not None)
        for moment in sorted({*here, *there})
    ]
    return DayRecords(
        database.stream,
        database.role,
        day,
        *span,
        columns=_filled(names, [*here.values(), *there.values()]),
        pairs=tuple(kept),
        asked_at=rows.asked_at if rows is not None else None,
        why_not=asked.why_not if asked is not None else "",
        hint=asked.hint if asked is not None else "",
        notes=rows.notes if rows is not None else (),
    )


def _pair(moment: int, here: Record | None, there: Record | None, compared: frozenset[str], asked: bool) -> RecordPair:
    if not asked:
        return RecordPair(moment, here, there, "alone")
    if here is None or there is None:
        return RecordPair(moment, here, there, "missing" if here is None else "extra")
    differing = tuple(sorted(name for name in compared if not _is_same(here.get(name), there.get(name))))
    return RecordPair(moment, here, there, "different" if differing else "same", differing)


def _is_same(here: object, there: object) -> bool:
    """As the row hash has it: 2 and 2.0 are the same, a number and a text never."""
    if isinstance(here, int | float) and isinstance(there, int | float):
        return float(here) == float(there)
    return here == there


def _filled(names: Sequence[str], records: Sequence[Record]) -> tuple[str, ...]:
    """The columns to show: keys first, then those with a value, in the order of the table."""
    more = [name for record in records for name in record if name not in names]
    known = list(dict.fromkeys([*names, *more]))
    filled = [name for name in known if any(record.get(name) is not None for record in records)]
    return (*(name for name in KEYS if name in filled), *(name for name in filled if name not in KEYS))


def _values(record: Record | None, columns: Sequence[str]) -> list[Any] | None:
    return None if record is None else [record.get(name) for name in columns]


def describe_time(moment: int) -> str:
    """``14:05``, with the zone's name, which tells the two hours apart in the night when summer time ends."""
    local = time.localtime(moment)
    return time.strftime("%H:%M:%S" if local.tm_sec else "%H:%M", local)
