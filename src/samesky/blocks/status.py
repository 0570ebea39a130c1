"""How a link is doing: `PrimaryStatus`, `ReplicaStatus`, one value for the command, the page and the metrics."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from .freshness import State

Health = Literal["ok", "waiting", "failing", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryStatus:
    """One block that is broadcast."""

    service: str
    id: str
    key: str
    health: Health
    published: int = 0
    unchanged: int = 0
    """Readings that weren't worth a message (``on_change``)."""
    failed: Mapping[str, int] = field(default_factory=dict)
    age_s: float | None = None
    """How long ago the last message was taken by the broker."""
    last_error: str = ""
    hint: str = ""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"role": "master", **asdict(self), "failed": dict(self.failed)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """One block that follows a key."""

    service: str
    id: str
    key: str
    health: Health
    freshness: State
    received: int = 0
    written: int = 0
    unchanged: int = 0
    """Messages after which the block was as it should be already."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Messages of which nothing was written, by reason."""
    age_s: float | None = None
    """How old the value is: since it came."""
    lag_s: float | None = None
    """From the last message's coming to its being written."""
    last_error: str = ""
    hint: str = ""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"role": "slave", **asdict(self), "dropped": dict(self.dropped)}
