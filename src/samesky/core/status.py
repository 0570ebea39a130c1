"""What a stream is doing: one value that feeds the log line, ``samesky status`` and the metrics."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

Role = Literal["responder", "requester"]
State = Literal["waiting", "catching-up", "live", "stopped", "disconnected"]


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

    def describe(self) -> str:
        """Return the snapshot as one log line of ``key=value``; ``-`` is unknown or none."""
        return " ".join(f"{name}={_describe_value(value)}" for name, value in self.as_dict().items())

    def as_dict(self) -> dict[str, object]:
        """Return the snapshot as a new dict that ``json.dumps`` takes, in the order of the fields."""
        made = {each.name: getattr(self, each.name) for each in fields(self)}
        return made | {"refused": {str(reason): count for reason, count in self.refused.items()}}


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
