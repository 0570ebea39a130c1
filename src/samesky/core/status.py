"""What a stream is doing, in one value that every system fills and everything that is told of it is made of.

`Snapshot` is a stream at one moment; `judge` says in words whether that is well and, if it isn't, what to do. The log
line, ``samesky status``, the page, ``/metrics``, the health checks and the message over MQTT are made of these two.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

System = Literal["station", "mesh", "push", "blocks"]
Role = Literal["responder", "requester", "peer", "pusher", "site", "primary", "replica"]
"""Station: who answers, and who keeps a copy. Mesh: a neighbour, as a peer sees it. Push: a centre, as a site sees it,
and a site, as the centre sees it. Blocks: a block that is broadcast, and one that follows."""
State = Literal["waiting", "catching-up", "live", "stopped", "disconnected"]
Level = Literal["good", "working", "attention", "bad"]
"""Proven or current; on its way there; well, but something was wrong; not well."""
Detail = str | int | float | bool | None

SILENT_S = 60.0
"""A process that runs is heard of more often than this."""
_COPIES: frozenset[Role] = frozenset({"requester", "peer", "pusher", "site"})
"""Those that can be proven the same as something."""
_NOT_LOGGED = frozenset({"system", "unit", "lag_s", "rate_per_s", "hint", "details"})


class Counters(Mapping[str, int]):
    """How often each thing happened: a dict in which what never happened is 0. One thread at a time may add."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = {str(reason): count for reason, count in (counts or {}).items()}

    def add(self, reason: str, count: int = 1) -> None:
        """Count ``reason`` once more, or ``count`` times."""
        name = str(reason)
        self._counts[name] = self._counts.get(name, 0) + count

    @property
    def total(self) -> int:
        """All counts together."""
        return sum(self._counts.values())

    def copy(self) -> dict[str, int]:
        """Return the counts as they are now, in a plain dict that stays as it is."""
        return dict(self._counts)

    def __getitem__(self, reason: str) -> int:
        return self._counts.get(reason, 0)

    def __contains__(self, reason: object) -> bool:
        return reason in self._counts

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"Counters({self._counts!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One stream at one moment: how far it is, how far behind, and what it refused.

    ``position`` and ``newest`` are Unix seconds of records: the last one stored without a hole before it, and the
    peer's last. ``behind`` counts records. ``since`` is when the stream came into ``state``, in Unix seconds.
    """

    stream: str
    role: Role
    state: State
    position: int | None = None
    newest: int | None = None
    behind: int | None = None
    stored: int = 0
    duplicates: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    proven_through: int | None = None
    """Time of the last record up to which this copy was proven the same as its primary."""
    proven_count: int | None = None
    """Records up to there."""
    proven_digest: str | None = None
    """The digest of these records, as `samesky verify` prints it."""
    proven_at: float | None = None
    """When that was proven, in Unix seconds."""
    different: bool | None = None
    """Whether the last check found a difference that isn't mended; None before the first check."""
    repaired: int = 0
    """Records, and days of summaries, that checks have mended since the start."""
    last_error: str | None = None
    since: float = 0.0
    system: System = "station"
    unit: str = "records"
    """What ``behind``, ``stored`` and ``rate_per_s`` count: records, files, rows, values."""
    lag_s: float | None = None
    """How old what is here is, or how far it is behind, in seconds of its own time."""
    rate_per_s: float | None = None
    """How many were stored a second, lately."""
    hint: str = ""
    """What to do, or to type, about ``last_error``."""
    details: Mapping[str, Detail] = field(default_factory=dict)
    """What only this system has to tell, by name: a neighbour's lacking files, a block's value."""

    @property
    def is_copy(self) -> bool:
        """Whether this stream can be proven the same as another."""
        return self.role in _COPIES

    @property
    def same(self) -> bool | None:
        """Whether it was the same when it was last compared; None before that, and for what is no copy."""
        return None if self.different is None or not self.is_copy else not self.different

    def describe(self) -> str:
        """Return the snapshot as one log line of ``key=value``; ``-`` is unknown or none."""
        pairs = ((name, value) for name, value in self.as_dict().items() if name not in _NOT_LOGGED)
        return " ".join(f"{name}={_describe_value(value)}" for name, value in pairs)

    def as_dict(self) -> dict[str, object]:
        """Return the snapshot as a new dict that ``json.dumps`` takes, in the order of the fields."""
        made = {each.name: getattr(self, each.name) for each in fields(self)}
        refused = {str(reason): count for reason, count in self.refused.items()}
        return made | {"refused": refused, "details": dict(self.details)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to think of a stream: how well it is, why in a sentence, and what to do now (empty: nothing)."""

    level: Level
    words: str
    todo: str = ""


def judge(snapshot: Snapshot, *, age_s: float = 0.0, max_lag_s: float | None = None) -> Verdict:
    """Return what to think of a stream that was last heard of ``age_s`` seconds ago.

    ``max_lag_s`` is what the user still takes for well (`Snapshot.lag_s`).
    """
    trouble, hint = snapshot.last_error or "", snapshot.hint
    if age_s > SILENT_S:
        return Verdict("bad", "nothing was heard of it lately", "See whether it runs; its log says why it ended.")
    if snapshot.state == "stopped":
        return Verdict("bad", trouble or "stopped", hint or "Its log says why.")
    if snapshot.state == "disconnected":
        return Verdict("bad", trouble or "no connection", hint or "See whether the broker or server there runs.")
    if snapshot.is_copy and snapshot.different:
        return Verdict("bad", trouble or "differs", hint or "It mends itself when it next compares.")
    if max_lag_s is not None and snapshot.lag_s is not None and snapshot.lag_s > max_lag_s:
        return Verdict("bad", f"{snapshot.lag_s:,.0f} s behind, more than {max_lag_s:,.0f}", hint)
    if snapshot.state != "live":
        return Verdict("working", trouble or _DOING[snapshot.state], hint)
    if trouble:
        return Verdict("attention", trouble, hint)
    if snapshot.is_copy and snapshot.same is None:
        return Verdict("working", "live, not compared yet")
    return Verdict("good", "the same" if snapshot.is_copy else "live")


_DOING: Mapping[State, str] = {"waiting": "waiting", "catching-up": "catching up"}


def _describe_value(value: object) -> str:
    """Return ``value`` so that it can't be taken for two pairs, or break the line."""
    match value:
        case None | "":
            return "-"
        case float():
            return f"{value:.0f}"
        case dict():
            return ",".join(f"{name}:{count}" for name, count in value.items()) or "-"
        case str() if not all(letter.isprintable() and letter not in ' "=' for letter in value):
            return json.dumps(value)
    return str(value)
