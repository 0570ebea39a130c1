"""How every site of a centre is doing: its backlog, its last push, its last proof."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select, update

from ..core.counts import count_of
from .central_tables import SITE_COLUMN, CentralTables

HEARTBEATS_KEPT_S = 90 * 86_400
"""How long the rows of Pushstatus stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a site says of itself at the end of a run. Times are Unix seconds."""

    hostname: str
    version: str
    localtime_s: int
    """The site's clock."""
    backlog: int
    """Rows that the centre hasn't got yet."""
    proofs: Sequence[Mapping[str, object]] = ()
    """The last comparisons (`Proof.as_dict`), one a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """One table of a site, as the centre has it."""

    table: str
    position: list[object] | None
    """The key of the row up to which everything was pushed, in the site's ids."""
    rows: int
    """Rows that were new when they were pushed."""
    pushed_s: int
    """When the last page was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatus:
    """One site, as the centre sees it. Times are Unix seconds, None for never."""

    site: str
    created_s: int
    heartbeat_s: int | None = None
    clock_ahead_s: int | None = None
    """By how much the site's clock was ahead of the centre's at the last heartbeat."""
    hostname: str = ""
    version: str = ""
    backlog: int | None = None
    tables: tuple[TableStatus, ...] = ()
    proofs: tuple[Mapping[str, object], ...] = field(default=())

    @property
    def pushed_s(self) -> int | None:
        """When the last page was stored."""
        return max((table.pushed_s for table in self.tables), default=None)

    def describe(self) -> str:
        """One line for a person."""
        if self.heartbeat_s is None:
            return f"{self.site}: never heard of"
        rows = f"{count_of(self.backlog, 'row')} to push" if self.backlog else "nothing left to push"
        different = sum(not proof.get("same") for proof in self.proofs)
        differ = f"{different} table{' differs' if different == 1 else 's differ'}"
        proven = differ if different else "the same" if self.proofs else "not compared yet"
        return f"{self.site}: heard of {_datetime(self.heartbeat_s)} UTC from {self.hostname}, {rows}, {proven}"

    def as_dict(self) -> dict[str, object]:
        """The status as JSON has it."""
        return asdict(self) | {
            "pushed_s": self.pushed_s,
            "proofs": list(self.proofs),
            "tables": [asdict(t) for t in self.tables],
        }


def store_heartbeat(
    connection: Connection, tables: CentralTables, heartbeat: Heartbeat, *, site: int, now: float | None = None
) -> None:
    """Keep what a site says, and add it to Pushstatus, whose old rows go."""
    now_s = int(time.time() if now is None else now)
    values = {
        "heartbeat_s": now_s,
        "localtime_s": heartbeat.localtime_s,
        "hostname": heartbeat.hostname,
        "version": heartbeat.version,
        "backlog": heartbeat.backlog,
        "proofs": json.dumps(list(heartbeat.proofs)),
    }
    connection.execute(update(tables.site).where(tables.site.c.id == site).values(values))
    history = tables.pushstatus
    line = {"hostname": heartbeat.hostname, "version": heartbeat.version, "backlog": heartbeat.backlog}
    times = {"time": _datetime(now_s), "localtime": _datetime(heartbeat.localtime_s)}
    connection.execute(insert(history).values({SITE_COLUMN: site, **line, **times}))
    old = history.c.time < _datetime(now_s - HEARTBEATS_KEPT_S)
    connection.execute(delete(history).where(history.c[SITE_COLUMN] == site, old))


def read_fleet(connection: Connection, tables: CentralTables, *, site: int | None = None) -> list[SiteStatus]:
    """How all sites are doing, or ``site`` alone; by name."""
    positions: dict[int, list[TableStatus]] = {}
    asked, columns = select(tables.position), tables.site.c
    wanted = select(tables.site).order_by(columns.name)
    if site is not None:
        asked, wanted = asked.where(tables.position.c.site == site), wanted.where(columns.id == site)
    for row in connection.execute(asked.order_by(tables.position.c.table_name)):
        position = None if row.position is None else json.loads(row.position)
        status = TableStatus(table=row.table_name, position=position, rows=row.row_count, pushed_s=row.stored_s)
        positions.setdefault(row.site, []).append(status)
    return [
        SiteStatus(
            site=row.name,
            created_s=row.created_s,
            heartbeat_s=row.heartbeat_s,
            clock_ahead_s=None if row.heartbeat_s is None else row.localtime_s - row.heartbeat_s,
            hostname=row.hostname or "",
            version=row.version or "",
            backlog=row.backlog,
            tables=tuple(positions.get(row.id, ())),
            proofs=tuple(json.loads(row.proofs or "[]")),
        )
        for row in connection.execute(wanted)
    ]


def _datetime(time_s: int) -> datetime:
    return datetime.fromtimestamp(time_s, UTC).replace(tzinfo=None)
