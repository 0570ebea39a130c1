"""The sites of a centre as `Snapshot`s, which the page, the metrics and `samesky status` are made of."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..core.status import Detail, Snapshot, State, take_snapshot
from ..errors import SameskyError
from .fleet import SiteStatus
from .proof import moment

READ_INTERVAL_S = 5.0
LONGEST_PAUSE_S = 25 * 3600.0
"""A site whose pace isn't known yet may push once a day."""
SHORTEST_PAUSE_S = 900.0
MISSED = 3
"""So many pushes have to be missed before a site is taken for gone."""


class FleetSnapshots:
    """The snapshots of all sites, read anew when they are older than five seconds; calling it returns them.

    ``read`` reads the fleet. Where that fails, what was known is told as out of reach.
    """

    def __init__(self, read: Callable[[], Sequence[SiteStatus]], *, clock: Callable[[], float] = time.time) -> None:
        self._read, self._clock = read, clock
        self._read_at = -READ_INTERVAL_S
        self._known: list[Snapshot] = []
        self._heartbeats: dict[str, tuple[int, float | None]] = {}
        """Of each site the last heartbeat, and how long after the one before it came."""

    def __call__(self) -> Sequence[Snapshot]:
        now = self._clock()
        if now - self._read_at >= READ_INTERVAL_S:
            self._read_at = now
            try:
                fleet = self._read()
                self._known = [snapshot_site(each, now, longest_pause_s=self._find_pause(each)) for each in fleet]
            except SameskyError as error:
                words = f"the centre's database can't be read: {error}"
                self._known = [
                    replace(each, state="disconnected", last_error=words, hint=error.hint) for each in self._known
                ]
        return self._known

    def _find_pause(self, site: SiteStatus) -> float:
        """How long a site may be silent, by the pace at which it was heard of since we look."""
        if site.heartbeat_s is None:
            return LONGEST_PAUSE_S
        last, gap_s = self._heartbeats.get(site.site, (site.heartbeat_s, None))
        if site.heartbeat_s > last:
            gap_s = float(site.heartbeat_s - last)
        self._heartbeats[site.site] = site.heartbeat_s, gap_s
        return LONGEST_PAUSE_S if gap_s is None else max(SHORTEST_PAUSE_S, MISSED * gap_s)


def snapshot_site(site: SiteStatus, now: float, *, longest_pause_s: float = LONGEST_PAUSE_S) -> Snapshot:
    """Return how a site is doing, as the centre sees it; longer than ``longest_pause_s`` it may not be silent."""
    proofs = [proof for proof in site.proofs if proof.get("to_s") is not None]
    different = [proof for proof in proofs if not proof.get("same")]
    lag_s = None if site.heartbeat_s is None else now - site.heartbeat_s
    state, trouble, hint = _judge(site, different, lag_s, longest_pause_s)
    rough = Snapshot(
        system="push",
        stream=site.site,
        role="site",
        state=state,
        unit="rows",
        position=min((_time_of(table.position) for table in site.tables if table.position), default=None),
        behind=site.backlog,
        stored=sum(table.rows for table in site.tables),
        proven_through=min((_whole(proof["to_s"]) for proof in proofs), default=None),
        proven_count=sum(_whole(proof.get("rows")) for proof in proofs) if proofs else None,
        proven_digest=str(proofs[0].get("digest")) if len(proofs) == 1 else None,
        proven_at=min((float(str(proof.get("at", 0))) for proof in proofs), default=None),
        different=bool(different) if proofs else None,
        last_error=trouble,
        hint=hint,
        since=float(site.heartbeat_s or site.created_s),
        lag_s=lag_s,
        details=dict(_describe(site)),
    )
    return take_snapshot(rough, now)


def _judge(
    site: SiteStatus, different: Sequence[Mapping[str, object]], lag_s: float | None, longest_pause_s: float
) -> tuple[State, str, str]:
    """A site's state, what is wrong, and what to do about it."""
    if lag_s is None:
        return "waiting", "", ""
    if lag_s > longest_pause_s:
        words = f"nothing was heard of it since {moment(site.heartbeat_s or 0)}"
        return "disconnected", words, f"On {site.hostname or 'the site'}: samesky push status"
    state: State = "catching-up" if site.backlog else "live"
    if different:
        tables = ", ".join(str(proof.get("table")) for proof in different)
        return state, f"{tables}: differs from what the site has", f"On {site.hostname}: samesky push verify --repair"
    return state, "", ""


def _describe(site: SiteStatus) -> Iterator[tuple[str, Detail]]:
    yield "host", site.hostname
    yield "version", site.version
    yield "heard of", None if site.heartbeat_s is None else moment(site.heartbeat_s)
    yield "last page", None if site.pushed_s is None else moment(site.pushed_s)
    yield "clock ahead, s", site.clock_ahead_s
    yield "rows to push", site.backlog
    for table in site.tables:
        yield f"{table.table}: rows", table.rows
        yield f"{table.table}: up to", moment(_time_of(table.position)) if table.position else None
    for proof in site.proofs:
        yield f"{proof.get('table')}: compared", "the same" if proof.get("same") else "different"


def _time_of(position: list[object] | None) -> int:
    """The time of a position, whose first part it is."""
    return _whole(position[0]) if position else 0


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
