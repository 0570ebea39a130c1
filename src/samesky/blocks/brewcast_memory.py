"""What a service of today's Brewblox has told of its blocks, and whether it can still be believed: `BrewcastMemory`."""

import time
from collections.abc import Callable, Mapping

from ..errors import Unreachable
from .brewcast_events import PatchEvent, StateEvent
from .freshness import Freshness
from .objects import Block, NoSuchBlock
from .paths import Value


class BrewcastMemory:
    """What the service ``name`` has told since the connection began; not for two threads at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.events = 0
        """How many there were."""
        self.forget()

    def forget(self) -> None:
        """Know nothing any more."""
        self.blocks: dict[str, Block] = {}
        self._numbers: dict[str, int] = {}
        self.away = ""
        self._has_all = False
        self._freshness = Freshness(None)

    def take_state(self, event: StateEvent) -> None:
        """A live event came: these are all blocks."""
        self._note()
        self.away = event.away
        self.blocks = dict(event.blocks)
        self._numbers = dict.fromkeys(self.blocks, self.events)
        self._has_all = not event.away

    def take_patch(self, event: PatchEvent) -> None:
        """A live event came: these blocks have changed."""
        self._note()
        self.blocks.update(event.changed)
        self._numbers.update(dict.fromkeys(event.changed, self.events))
        for id in event.deleted:
            self.blocks.pop(id, None)

    def find(self, id: str) -> Block | None:
        """The block; None when it isn't known whether there is one. Raises `NoSuchBlock`, `Unreachable`."""
        self._check()
        if id in self.blocks:
            return self.blocks[id] if self._is_fresh() else None
        if self._has_all and self._is_fresh():
            raise NoSuchBlock(f"{self._name} has no block {id}", hint="look at its name there")
        return None

    def find_after(self, events: int, id: str, is_it: Callable[[Mapping[str, Value]], bool]) -> Block | None:
        """The block, when it was told after so many ``events``, and ``is_it``."""
        block = self.find(id)
        return block if block is not None and self._numbers[id] > events and is_it(block.data) else None

    def find_ids(self) -> list[str] | None:
        """All ids; None when they aren't known."""
        self._check()
        return list(self.blocks) if self._has_all and self._is_fresh() else None

    def _note(self) -> None:
        self.events += 1
        now = time.monotonic()
        self._freshness.note_heard(now, None)
        self._freshness.note_value(now)

    def _is_fresh(self) -> bool:
        return self._freshness.state(time.monotonic()) == "fresh"

    def _check(self) -> None:
        if self.away:
            raise Unreachable(
                f"{self._name} has no blocks now: {self.away}",
                hint="look whether the service runs, and its controller is connected",
            )
