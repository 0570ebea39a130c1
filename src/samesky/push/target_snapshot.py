"""A push to one centre as a `Snapshot`, which the page, the metrics and `samesky status` are made of."""

from collections.abc import Callable, Iterator

from ..core.counts import count_of
from ..core.status import Detail, Snapshot, take_snapshot
from ..core.status import State as StreamState
from .proof import moment
from .status import PushStatus, TableStatus

SILENT_S = 300.0
"""A pusher that runs is heard of more often than this."""


def snapshot_target(status: PushStatus, now: float, *, command: Callable[[str], str]) -> Snapshot:
    """Return how the push of ``status`` is going; ``command`` makes what to type from the name of a command."""
    trouble, hint = _find_trouble(status, command)
    proofs = [table.proof for table in status.tables if table.proof is not None and table.proof.to_s is not None]
    positions = [int(str(table.position[0])) for table in status.tables if table.position]
    refused = [count for table in status.tables for count in table.quarantined.items()]
    rough = Snapshot(
        system="push",
        stream=status.target,
        role="pusher",
        state=_STATES[status.state] if not status.last_error or status.state != "idle" else "disconnected",
        unit="rows",
        position=min(positions, default=None),
        behind=status.backlog,
        stored=status.sent_rows,
        refused={reason: sum(count for each, count in refused if each == reason) for reason, _ in refused},
        proven_through=min((proof.to_s for proof in proofs if proof.to_s is not None), default=None),
        proven_count=sum(proof.rows for proof in proofs) if proofs else None,
        proven_digest=proofs[0].digest if len(proofs) == 1 else None,
        proven_at=min((proof.at for proof in proofs), default=None),
        different=not all(table.is_well for table in status.tables) if proofs or refused else None,
        last_error=trouble,
        hint=hint,
        since=status.since,
        lag_s=None if status.last_push_at is None else now - status.last_push_at,
        rate_per_s=status.rows_per_s,
        details=dict(_describe(status)),
        silent_after_s=_find_patience(status),
    )
    return take_snapshot(rough, now)


_STATES: dict[str, StreamState] = {
    "pushing": "catching-up",
    "waiting": "waiting",
    "idle": "live",
    "stopped": "stopped",
}


def _find_trouble(status: PushStatus, command: Callable[[str], str]) -> tuple[str, str]:
    """What is wrong with a push, and what to do or to type."""
    if status.last_error:
        return status.last_error, status.hint
    for table in status.tables:
        if table.quarantined:
            count = sum(table.quarantined.values())
            return f"{table.table}: the centre refused {count_of(count, 'row')}", f"{command('status')} --quarantine"
        if table.proof is not None and not table.proof.same:
            return f"{table.table}: {table.proof.describe()}", f"{command('verify')} --repair"
    if status.refused_dimensions:
        return f"the centre refused {status.refused_dimensions[0]}", command("status")
    return "", ""


def _find_patience(status: PushStatus) -> float | None:
    """How long nothing may be heard of the pusher; None: it has ended, as a single run does."""
    if status.state == "stopped" or (status.state == "idle" and status.next_run_at is None):
        return None
    return SILENT_S + max(0.0, (status.next_run_at or 0.0) - status.at)


def _describe(status: PushStatus) -> Iterator[tuple[str, Detail]]:
    yield "url", status.url
    yield "site", status.site
    yield "last_push_at", status.last_push_at
    yield "next_run_at", status.next_run_at
    yield "tables", len(status.tables)
    for table in status.tables:
        yield from _describe_table(table)


def _describe_table(table: TableStatus) -> Iterator[tuple[str, Detail]]:
    position = table.position[0] if table.position else None
    yield f"{table.table}: pushed up to", moment(position) if isinstance(position, int | float) else None
    yield f"{table.table}: rows to push", table.backlog
    yield f"{table.table}: compared", table.proof.describe() if table.proof else "not yet"
    if table.quarantined:
        yield f"{table.table}: refused rows", sum(table.quarantined.values())
