"""A station's databases on this machine: a primary with years of records, and a copy where a few went wrong."""

import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from samesky.core.status import Snapshot
from samesky.demo.tables import KEYS
from samesky.demo.year import write_year
from samesky.station.found import FoundKind, count_days
from samesky.station.state import State

from . import web_streams as streams

DAY_S = 86_400
COLUMNS = (
    *KEYS,
    *((name, "REAL") for name in ("outTemp", "outHumidity", "barometer", "windSpeed", "windGust", "rain")),
)


@dataclass(frozen=True, slots=True)
class WebStation:
    """``samesky.toml`` names a primary (primary.sdb) and a copy of it (copy.sdb); nobody runs either."""

    folder: Path
    now: float

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "samesky.toml"

    @property
    def primary(self) -> Path:
        """The primary's database."""
        return self.folder / "primary.sdb"

    @property
    def copy(self) -> Path:
        """The copy's database."""
        return self.folder / "copy.sdb"

    def day(self, days_ago: int) -> str:
        """A day's date, as the page's paths have it."""
        return date.fromtimestamp(self.now - days_ago * DAY_S).isoformat()

    def change(self, path: Path, statement: str, *values: object) -> None:
        """Change a database by hand."""
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement, values)

    def times(self, path: Path, since: float, until: float) -> list[int]:
        """The times of the records after ``since``, up to ``until``."""
        with closing(sqlite3.connect(path)) as connection:
            query = "SELECT dateTime FROM archive WHERE dateTime > ? AND dateTime <= ? ORDER BY 1"
            return [row[0] for row in connection.execute(query, (since, until))]

    def write_snapshots(self, *snapshots: Snapshot) -> None:
        """Write down how both are doing, as they would; nobody is taken for silent, however long a test looks at it."""
        with closing(State(self.folder)) as state:
            for each in snapshots:
                state.write_snapshot(replace(each, silent_after_s=None), time.time())

    def tell_well(self) -> None:
        """Write down that all is well, as it was checked a minute ago: of the records that there are now."""
        newest = self.times(self.copy, 0, self.now)[-1]
        count = len(self.times(self.copy, 0, newest))
        self._tell(newest=newest, proven_count=count)

    def tell_different(self) -> None:
        """Write down what the copy says when a check has just found that it isn't its primary any more."""
        newest = self.times(self.copy, 0, self.now)[-1]
        hint = f"It mends itself when it next compares. To do that now: samesky repair --stream {streams.STATION}"
        count = len(self.times(self.primary, 0, newest))
        self._tell(newest=newest, proven_count=count, different=True, proven_at=self.now - 400, hint=hint)

    def _tell(self, *, newest: int, proven_count: int, **more: object) -> None:
        told = {"position": newest, "newest": newest}
        proven = {"proven_through": newest, "proven_count": proven_count, "stored": proven_count}
        copy = streams.copy_of(streams.STATION, self.now, **told, **proven, **more)
        self.write_snapshots(copy, streams.primary_of(streams.STATION, self.now, **told))

    def lose(self, days_ago: float, days: float) -> list[int]:
        """Delete records of the copy by hand, and note what a check would have found; returns their times."""
        since, until = self.now - days_ago * DAY_S, self.now - (days_ago - days) * DAY_S
        lost = self.times(self.copy, since, until)
        self.change(self.copy, "DELETE FROM archive WHERE dateTime > ? AND dateTime <= ?", since, until)
        self._note("missing", lost)
        return lost

    def find_different(self, days_ago: int) -> None:
        """Change three records of the copy, early on a day, and note what a check would have found."""
        early = datetime.fromisoformat(f"{self.day(days_ago)}T01:00:00").timestamp()
        times = self.times(self.copy, early, early + DAY_S / 4)[:3]
        for each in times:
            self.change(self.copy, "UPDATE archive SET outTemp = COALESCE(outTemp, 0) + 40 WHERE dateTime = ?", each)
        self._note("different", times)

    def _note(self, kind: FoundKind, times: list[int]) -> None:
        with closing(State(self.folder)) as state:
            state.note_found(streams.STATION, kind, count_days(kind, times), check="1", now=self.now - 300)


def write_station(folder: Path, *, days: int = 400, interval_s: int = 3600, port: int = 1) -> WebStation:
    """Make the databases, equal to each other, and samesky.toml, for a broker on ``port`` of this machine."""
    station = WebStation(folder, time.time())
    count = days * DAY_S // interval_s
    end = int(station.now) - 60
    write_year(station.primary, count=count, interval_s=interval_s, end_time=end, schema=COLUMNS, summaries=False)
    shutil.copy(station.primary, station.copy)
    station.config.write_text(
        f"""[broker]
host = "127.0.0.1"
port = {port}

[station.serve.home.wx_binding]
type = "main"
sqlite = "{station.primary.absolute()}"

[station.follow.home.wx_binding]
type = "main"
sqlite = "{station.copy.absolute()}"
""",
        encoding="utf-8",
    )
    return station
