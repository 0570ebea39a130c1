"""How much each host may have on its way: `Shares`, so that one that says nothing holds up nobody else's files."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .turns import Turns

Item = TypeVar("Item")

MOST_UNDER_WAY = 128
"""Downloads from one host: as many as the HTTP client has in its connections there."""
MOST_BYTES = 4 << 20
"""Of files on their way into memory from one host; one larger file may always be."""
KNOWN_HOSTS = 1000
SMOOTHING = 0.1


@dataclass(slots=True)
class _Host(Generic[Item]):
    under_way: int = 0
    size_bytes: int = 0
    seconds: float | None = None
    """A moving mean of how long it takes."""
    held: Turns[Item] = field(default_factory=Turns)

    @property
    def has_room(self) -> bool:
        return self.under_way < MOST_UNDER_WAY and self.size_bytes < MOST_BYTES

    @property
    def is_idle(self) -> bool:
        return not self.under_way and not len(self.held)


class Shares(Generic[Item]):
    """What each host has on its way, and what waits for it alone."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host[Item]] = {}
        self._held = 0

    def __len__(self) -> int:
        """How many wait for their host."""
        return self._held

    def begin(self, host: str, size_bytes: int) -> None:
        """A download from ``host`` begins."""
        found = self._of(host)
        found.under_way += 1
        found.size_bytes += size_bytes

    def end(self, host: str, size_bytes: int, took_s: float) -> None:
        """A download from ``host`` is over."""
        found = self._of(host)
        found.under_way -= 1
        found.size_bytes -= size_bytes
        before = took_s if found.seconds is None else found.seconds
        found.seconds = before + SMOOTHING * (took_s - before)

    def has_room(self, host: str) -> bool:
        """Whether another download from ``host`` may begin."""
        found = self._hosts.get(host)
        return found is None or found.has_room

    def seconds(self, host: str) -> float:
        """How long ``host`` takes; 0 when that isn't known."""
        found = self._hosts.get(host)
        return found.seconds or 0.0 if found is not None else 0.0

    def hold(self, host: str, level: int, item: Item) -> None:
        """Let ``item`` wait until there is room for its host."""
        self._of(host).held.push(level, item)
        self._held += 1

    def take(self, host: str) -> Item | None:
        """What waits for ``host``, when there is room."""
        found = self._hosts.get(host)
        if found is None or not len(found.held) or not found.has_room:
            return None
        self._held -= 1
        return found.held.pop()

    def _of(self, host: str) -> _Host[Item]:
        if host not in self._hosts:
            if len(self._hosts) >= KNOWN_HOSTS:
                self._hosts = {name: each for name, each in self._hosts.items() if not each.is_idle}
            self._hosts[host] = _Host()
        return self._hosts[host]
