"""What a stream is doing, in one value that every system fills and everything that is told of it is made of.

`Snapshot` is a stream at one moment; all four systems make it by `take_snapshot`. `judge` says in words whether that is
well and, if it isn't, what to do. The log line, ``samesky status``, the page, ``/metrics``, the health checks and the
message over MQTT are made of these; `snapshot_document.decode_snapshot` takes a snapshot that another process wrote.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
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
_NOT_LOGGED = frozenset({"system", "unit", "lag_s", "rate_per_s", "hint", "details", "silent_after_s"})

MOST_WORDS = 600
"""Characters of an error or a hint; whatever is longer ends with an ellipsis."""
MOST_NAME = 300
MOST_DETAILS = 64
MOST_REASONS = 64


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
    silent_after_s: float | None = SILENT_S
    """Not heard of for so long, it is taken for gone; None: it is no process that stays, so nothing is to be heard."""

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


def take_snapshot(rough: Snapshot, now: float) -> Snapshot:
    """Return ``rough`` as it can be written down, sent and shown: what every system makes of what it knows.

    A copy of records gets its ``lag_s``, if it has none: the time from ``position`` to ``newest`` while it hears of
    what is new, else to ``now``, for more isn't known. Counts are plain dicts without zeros; words and names are in
    one line and not long; numbers are finite; nothing lies in the future.
    """
    return replace(
        rough,
        stream=_shorten(rough.stream, MOST_NAME),
        behind=None if rough.behind is None else max(0, rough.behind),
        refused=_plain_counts(rough.refused),
        last_error=_shorten(rough.last_error or "", MOST_WORDS) or None,
        hint=_shorten(rough.hint, MOST_WORDS),
        since=min(rough.since, now),
        proven_at=None if rough.proven_at is None else min(rough.proven_at, now),
        lag_s=_finite(_find_lag(rough, now) if rough.lag_s is None else rough.lag_s),
        rate_per_s=_finite(rough.rate_per_s),
        details=dict(_plain_details(rough.details)),
    )


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
    if snapshot.silent_after_s is not None and age_s > snapshot.silent_after_s:
        return Verdict("bad", "nothing was heard of it lately", "See whether it runs; its log says why it ended.")
    if snapshot.state == "stopped":
        return Verdict("bad", trouble or "stopped", hint or "Its log says why.")
    if snapshot.state == "disconnected" and not trouble:
        return Verdict("working", "connecting")
    if snapshot.state == "disconnected":
        return Verdict("bad", trouble, hint or "See whether the broker or server there runs.")
    if snapshot.state == "waiting" and trouble:
        return Verdict("bad", trouble, hint or "Its log says more.")
    if snapshot.is_copy and snapshot.different and snapshot.state == "catching-up" and not trouble:
        return Verdict("working", "differs, and is being mended")
    if snapshot.is_copy and snapshot.different:
        return Verdict("bad", trouble or "differs", hint or "It mends itself when it next compares.")
    if max_lag_s is not None and snapshot.lag_s is not None and snapshot.lag_s > max_lag_s:
        return Verdict("bad", f"{snapshot.lag_s:,.0f} s behind, more than {max_lag_s:,.0f}", hint)
    if snapshot.state != "live":
        return Verdict("working", trouble or _DOING[snapshot.state], hint)
    if trouble:
        return Verdict("attention", trouble, hint)
    if snapshot.is_copy and snapshot.details.get("compares") is False:
        return Verdict("good", "live, without comparisons")
    if snapshot.is_copy and snapshot.same is None:
        return Verdict("working", "live, not compared yet")
    return Verdict("good", "the same" if snapshot.is_copy else "live")


def _find_lag(rough: Snapshot, now: float) -> float | None:
    """How far a copy of records is behind, at most."""
    if not rough.is_copy or rough.position is None:
        return None
    hears = rough.state in ("live", "catching-up") and rough.newest is not None
    return (rough.newest or 0 if hears else now) - rough.position


def _finite(number: float | None) -> float | None:
    """``number``, not below zero and not longer than a thousandth tells."""
    return None if number is None or not math.isfinite(number) else round(max(0.0, number), 3)


def _plain_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """What happened at all, most of it if there are very many reasons."""
    named = {_shorten(str(reason), MOST_NAME): int(count) for reason, count in counts.items() if count}
    most = sorted(named, key=named.__getitem__, reverse=True)[:MOST_REASONS]
    return {reason: named[reason] for reason in named if reason in most}


def _plain_details(details: Mapping[str, Detail]) -> Iterator[tuple[str, Detail]]:
    for name, value in islice(details.items(), MOST_DETAILS):
        match value:
            case float() if not math.isfinite(value):
                yield name, None
            case str():
                yield name, _shorten(value, MOST_WORDS)
            case _:
                yield name, value


def _shorten(text: str, most: int) -> str:
    """``text`` in one line of printable characters, ``most`` of them."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * most])
    line = " ".join(line.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


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
