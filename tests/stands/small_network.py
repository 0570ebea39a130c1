"""A small network on a virtual clock: seeded loss, duplicates, delay and disorder, and processes that come and go.

`MemoryBroker` is MQTT to the letter; this is what is left of it when a hundred thousand histories have to be lived in
minutes. A place's session outlives its connection and its process: what comes meanwhile waits there, as much as fits,
and what its process was busy with when it ended comes again. A broker that forgets loses all of that.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any, Protocol

from samesky.link.message import Message

from .history import Crash

MOST_STEPS = 5000
"""Twenty times what an ordinary history takes."""

LATEST_DUPLICATE_S = 300.0
"""What wasn't acknowledged comes again with the next connection."""


class Storm(AssertionError):
    """So much happens that it won't end."""


class Process(Protocol):
    """One side's brains and what is around them. Each method may raise `Crash`: then the process ends there."""

    def on_connected(self, now: float) -> None: ...

    def on_disconnected(self) -> None: ...

    def on_message(self, message: Message, now: float) -> None: ...

    def on_tick(self, now: float) -> None:
        """The time of `next_time` has come."""

    def next_time(self) -> float: ...


@dataclass(slots=True, eq=False)
class Place:
    """Where a process runs: itself while it does, its connection while there is one, what the broker keeps for it."""

    name: str
    topics: frozenset[str]
    make: Callable[[], Process]
    process: Process | None = None
    connected: bool = False
    due: float = float("inf")
    session: int = 0
    """Another number whenever the broker has forgotten it."""
    waiting: deque[tuple[float, Message]] = field(default_factory=deque)
    _life: int = 0
    """Another number whenever process or connection end: what was to happen to the last one doesn't."""


class Network:
    """The broker, the places around it, and time."""

    def __init__(self, random: Random, *, now: float) -> None:
        self.now = now
        self.random = random
        self.loss = self.duplicate = self.delay_s = 0.0
        self.queue = 1000
        self.sent = 0
        self.steps = 0
        self.places: dict[str, Place] = {}
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def add(self, name: str, topics: Iterable[str], make: Callable[[], Process]) -> Place:
        """Let ``make`` begin a process there at once, and after each of its ends."""
        place = self.places[name] = Place(name, frozenset(topics), make)
        self._begin(place, 0)
        return place

    def run(self, until: float) -> None:
        """Let time pass, and everything happen that is due."""
        agenda, places = self._agenda, list(self.places.values())
        while True:
            due = min([place.due for place in places])
            if agenda and agenda[0][0] <= due:
                if agenda[0][0] > until:
                    break
                time, _, action, values = heappop(agenda)
                self.now = max(self.now, time)
                action(*values)
            elif due <= until:
                self.now = max(self.now, due)
                for place in places:
                    if place.due <= self.now:
                        self._do(place, "on_tick", self.now)
            else:
                break
        self.now = max(self.now, until)

    def at(self, time: float, action: Callable[..., None], *values: Any) -> None:
        """Let ``action`` happen at that time."""
        self._number += 1
        heappush(self._agenda, (time, self._number, action, values))

    # ------------------------------------------------------------------ what goes wrong

    def end(self, name: str, *, for_s: float) -> None:
        """End the process there, as ``kill -9`` does; another begins after so many seconds."""
        place = self.places[name]
        if place.process is not None:
            place.process, place.connected, place.due = None, False, float("inf")
            place._life += 1
            self.at(self.now + for_s, self._begin, place, place._life)

    def drop(self, name: str, *, for_s: float) -> None:
        """Cut its connection for so many seconds."""
        place = self.places[name]
        if place.connected:
            place.connected = False
            place._life += 1
            self.at(self.now + for_s, self._connect, place, place._life)
            self._do(place, "on_disconnected")

    def restart(self, *, forget: bool, for_s: float) -> None:
        """Cut all connections; with ``forget``, what waits and what is under way are lost."""
        for place in self.places.values():
            if forget:
                place.session += 1
                place.waiting.clear()
            self.drop(place.name, for_s=for_s)

    # ------------------------------------------------------------------ messages

    def publish(self, sender: str, message: Message) -> None:
        """Send ``message`` to everybody who wants it, unless the sender isn't connected."""
        self.sent += 1
        if not self.places[sender].connected:
            return
        for place in self.places.values():
            if message.topic in place.topics:
                if not self.loss or self.random.random() >= self.loss:
                    self._send(place, message, self.delay_s)
                if self.duplicate and self.random.random() < self.duplicate:
                    self._send(place, message, self.random.choice((self.delay_s, LATEST_DUPLICATE_S)))

    def _send(self, place: Place, message: Message, longest_s: float) -> None:
        delay_s = longest_s * self.random.random() if longest_s else 0.0
        self.at(self.now + delay_s, self._deliver, place, place.session, self.now, message)

    def _deliver(self, place: Place, session: int, published: float, message: Message) -> None:
        if session != place.session:
            return
        if place.connected:
            self._hand_over(place, published, message)
        elif len(place.waiting) < self.queue:
            place.waiting.append((published, message))

    def _hand_over(self, place: Place, published: float, message: Message) -> None:
        if message.expiry_s is not None and self.now - published > message.expiry_s:
            return
        if not self._do(place, "on_message", message, self.now):
            place.waiting.appendleft((published, message))

    # ------------------------------------------------------------------ processes

    def _begin(self, place: Place, life: int) -> None:
        if life == place._life:
            place.process = place.make()
            self._connect(place, life)

    def _connect(self, place: Place, life: int) -> None:
        if life != place._life:
            return
        place.connected = True
        self._do(place, "on_connected", self.now)
        while place.waiting and place.connected:
            self._hand_over(place, *place.waiting.popleft())

    def _do(self, place: Place, method: str, *values: Any) -> bool:
        """Let the process do something; whether it is still there then."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Storm(f"{self.steps} steps")
        process = place.process
        assert process is not None
        try:
            getattr(process, method)(*values)
        except Crash:
            self.end(place.name, for_s=self.random.choice((0.0, 3.0, 60.0)))
            return False
        place.due = process.next_time()
        return True
