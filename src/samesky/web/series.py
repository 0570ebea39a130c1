"""The course of one observation in a database: a few hundred points, and where there are gaps."""

from dataclasses import dataclass

from ..core.columns import Kind
from ..station.archive_reader import ArchiveReader
from .station_databases import StationRole

MOST_POINTS = 600
KEYS = ("dateTime", "usUnits", "interval")
"""Columns that every record has, and that are no observations."""
_STEPS_S = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 2 * 86_400, 7 * 86_400, 28 * 86_400)
USUAL = ("outTemp", "inTemp", "barometer", "windSpeed", "rain", "outHumidity")
_LATELY = 50


@dataclass(frozen=True, slots=True)
class Point:
    """Some records that follow each other: their mean, lowest and highest value."""

    time: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    """An observation between two moments; each point stands for ``step_s`` seconds, None for a gap."""

    role: StationRole
    observation: str
    since: int
    until: int
    step_s: int
    points: tuple[Point | None, ...]
    unit_system: int | None = None

    def as_dict(self) -> dict[str, object]:
        """The JSON twin."""
        points = [None if each is None else [each.time, each.mean, each.low, each.high] for each in self.points]
        return {
            "role": self.role,
            "observation": self.observation,
            "since": self.since,
            "until": self.until,
            "step_s": self.step_s,
            "points": points,
        }


def read_observations(archive: ArchiveReader) -> list[str]:
    """The columns with a number in any of the newest records; what most people look for first."""
    names = [each.name for each in archive.read_columns() if each.kind is not Kind.TEXT and each.name not in KEYS]
    if not names:
        return []
    chosen = ", ".join(f"`{name}`" for name in names)
    rows = archive.read_query(f"SELECT {chosen} FROM `{archive.table}` ORDER BY `dateTime` DESC LIMIT {_LATELY}")
    filled = [name for at, name in enumerate(names) if any(isinstance(row[at], int | float) for row in rows)]
    return sorted(filled, key=lambda name: (USUAL.index(name) if name in USUAL else len(USUAL), name.lower()))


def read_series(archive: ArchiveReader, role: StationRole, observation: str, *, since: int, until: int) -> Series:
    """The course of ``observation``, which has to be a column; else it is empty."""
    step_s = next((step for step in _STEPS_S if (until - since) / step <= MOST_POINTS), _STEPS_S[-1])
    if observation not in {each.name for each in archive.read_columns() if each.kind is not Kind.TEXT}:
        return Series(role, observation, since, until, step_s, ())
    # A record is about the time before it: the one stamped at the end of a step belongs to it.
    bucket = f"(`dateTime` - 1) - (`dateTime` - 1) % {step_s}"
    query = (
        f"SELECT {bucket} AS bucket, AVG(`{observation}`), MIN(`{observation}`), MAX(`{observation}`), "
        f"AVG(`interval`) FROM `{archive.table}` WHERE `dateTime` > {archive.mark} AND `dateTime` <= {archive.mark} "
        "GROUP BY bucket ORDER BY bucket"
    )
    rows = archive.read_query(query, since, until)
    points: list[Point | None] = []
    last = None
    for begin, mean, low, high, minutes in rows:
        longest_s = max(step_s, float(minutes or 0) * 60) * 1.5
        if (last is not None and begin - last > longest_s) or mean is None:
            points.append(None)
        if mean is not None:
            points.append(Point(int(begin) + step_s // 2, float(mean), float(low), float(high)))
            last = begin
    return Series(role, observation, since, until, step_s, tuple(points), archive.read_unit_system())
