"""A peer's neighbours as `Snapshot`s, which the page, the metrics and `samesky status` are made of."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath

from ..core.status import Detail, Snapshot, State, take_snapshot
from ..link.reasons import find_remedy
from .status import MeshStatus, NeighbourStatus

_USUAL_NAMES = frozenset({"data", "files", "tree"})


def snapshot_neighbours(status: MeshStatus, *, worker: str = "") -> list[Snapshot]:
    """Return how each neighbour of a peer is doing, as the peer sees it: a stream ``<tree>/<neighbour>`` each.

    ``worker`` tells the peers apart that share the work of one tree.
    """
    tree, seen = name_tree(status.tree), Counter[str]()
    found = []
    for each in status.neighbours:
        seen[each.name] += 1  # a broker may be followed twice, with two priorities
        name = each.name if seen[each.name] == 1 else f"{each.name} ({seen[each.name]})"
        found.append(_snapshot(status, each, f"{tree}/{name}{f' worker {worker}' if worker else ''}"))
    return found


def snapshot_folder(
    folder: str, broker: str, *, state: State, announced: int, waiting: int, trouble: str, since: float, now: float
) -> Snapshot:
    """Return how a folder is doing that is watched and announced: a stream ``<folder>/<broker>``, which is no copy."""
    rough = Snapshot(
        system="mesh",
        stream=f"{name_tree(folder)}/{broker}",
        role="primary",
        state=state,
        unit="files",
        behind=waiting,
        since=since,
        last_error=trouble,
        hint=find_remedy(trouble),
        details={"tree": folder, "announced": announced, "to announce": waiting},
    )
    return take_snapshot(rough, now)


def name_tree(folder: str) -> str:
    """Return what a tree is called: its folder, with the one around it if many are called so."""
    parts = PurePath(folder).parts
    short = parts[-2:] if parts and parts[-1] in _USUAL_NAMES and len(parts) > 2 else parts[-1:]
    return "/".join(short).strip("/") or "tree"


def _snapshot(status: MeshStatus, each: NeighbourStatus, stream: str) -> Snapshot:
    trouble = each.last_error or status.last_error
    rough = Snapshot(
        system="mesh",
        stream=stream,
        role="peer",
        state=each.state,
        unit="files",
        behind=each.queue + each.lacking,
        stored=each.fetched + each.inlined,
        duplicates=sum(each.skipped.values()),
        refused=dict(each.refused) | {"failed": each.failed},
        proven_at=each.proven_at,
        proven_count=status.files if each.same else None,
        different=None if each.same is None else not each.same,
        last_error=trouble,
        hint=each.remedy or find_remedy(trouble),
        since=each.since,
        lag_s=each.lag.mean_s if each.lag.count else None,
        rate_per_s=each.rate_per_s,
        details=dict(_describe(status, each)),
    )
    return take_snapshot(rough, status.at)


def _describe(status: MeshStatus, each: NeighbourStatus) -> Iterator[tuple[str, Detail]]:
    yield "neighbour", each.name
    yield "compares", each.compares
    yield "tree", status.tree
    yield "node", status.node
    yield "files here", status.files
    yield "newest file at", status.newest
    yield "lacking", each.lacking
    yield "queue", each.queue
    yield "late", each.late
    yield "announcements", each.received
    yield "fetched", each.fetched
    yield "inlined", each.inlined
    yield "removed", each.removed
    yield "failed", each.failed
    yield "bytes", each.size_bytes
    if each.lag.count:
        yield "lag mean, s", round(each.lag.mean_s, 3)
        yield "lag 95 %, s", round(each.lag.p95_s, 3)
        yield "lag at most, s", round(each.lag.max_s, 3)
    yield "announced by us", status.announced
    yield "to announce", status.to_announce
    yield "own broker", status.post_state
