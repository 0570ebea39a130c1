"""A seeded history: a primary and a copy on a broker in memory, a virtual clock, and what goes wrong between them.

The two sides are whatever has the methods of `Side`: a test gives the ways to make them. Nothing here knows how they
work. After `World.live_through_faults` everything works again, and `World.settle` says whether the copy came to rest.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol

from samesky.link.memory import MemoryBroker

START = 1_700_000_100  # a multiple of 300
INTERVAL_S = 300
MOST_STEPS = 50_000  # fifty times what an ordinary history takes


class Crash(Exception):
    """The process ends here, between two instructions."""


class Side(Protocol):
    """One process: the world tells it to go on, and when."""

    def next_time(self) -> float:
        """When `step` has something to do; the past when it has now."""

    def step(self) -> None:
        """Do one thing; raises `Crash` to end."""

    def end(self) -> None:
        """End without a word, as ``kill -9`` does."""


class Clock:
    """The broker's virtual time, as seconds since 1970."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def __call__(self) -> float:
        return START + self._broker.now


class World:
    """One history. ``records`` are the primary's; the sides' makers get this world and return a `Side`."""

    def __init__(
        self,
        seed: int,
        *,
        make_primary: Callable[["World"], Side],
        make_copy: Callable[["World"], Side],
        archive: Callable[[int, float], None] = lambda timestamp, value: None,
        late_records: bool = True,
    ) -> None:
        """``archive`` is told of each record, before the primary's process is."""
        self.random = chance = Random(seed)
        self.broker = MemoryBroker(seed)
        self.clock = Clock(self.broker)
        self.trouble = True
        """Whether things go wrong now; sides that fail by themselves ask this."""
        self.records: dict[int, float] = {}
        self.late: set[int] = set()
        """Records that were archived after later ones: their one message may be lost, a page won't bring them."""
        self.new: list[int] = []
        """Records that the primary's process hasn't been told of."""
        for number in range(chance.choice((0, 1, 30, 300))):
            if number < 2 or chance.random() > 0.02:
                self.records[START - INTERVAL_S * number] = chance.random()
        for timestamp, value in self.records.items():
            archive(timestamp, value)
        self._archive_record = archive
        self._late_records = late_records
        self._make = {"primary": make_primary, "copy": make_copy}
        self._sides: dict[str, Side] = {}
        self._back_at: dict[str, float] = {"primary": 0.0, "copy": 0.0}
        self._next_record = float(INTERVAL_S)
        self._next_fault = 0.0
        self.ends = 0
        self.steps = 0

    @property
    def copy(self) -> Side | None:
        """The copy's process, while there is one."""
        return self._sides.get("copy")

    def live_through_faults(self, faults: int, *, growing: bool = True) -> None:
        """Let so many things go wrong, a few minutes apart, while the primary archives; then all works again."""
        chance, broker, self.trouble = self.random, self.broker, True
        broker.loss = chance.choice((0.0, 0.05, 0.3))
        broker.duplicate = chance.choice((0.0, 0.05, 0.3))
        broker.delay_s = (0.0, chance.choice((0.0, 0.2, 2.0, 20.0)))
        broker.queue = chance.choice((3, 50, 1000))
        for _ in range(faults):
            self._run(self.broker.now + self.random.choice((0.3, 7.0, 90.0, 700.0)), growing=growing)
            self._do_harm()
        self._heal()

    def settle(self, *, for_s: float) -> None:
        """Let time pass, with nothing going wrong and nothing archived."""
        self._run(self.broker.now + for_s, growing=False)

    def grow(self, count: int) -> None:
        """Let so many records be archived, with nothing going wrong."""
        self._run(self.broker.now + count * INTERVAL_S, growing=True)

    def end(self) -> None:
        """End both sides."""
        for side in self._sides.values():
            side.end()

    def _run(self, until: float, *, growing: bool) -> None:
        if growing:
            self._next_record = max(self._next_record, self.broker.now)
        while True:
            times = [until, *(time for name, time in self._back_at.items() if name not in self._sides)]
            times += [side.next_time() - START for side in self._sides.values()]
            if growing:
                times.append(self._next_record)
            if (due := self.broker.next_time()) is not None:
                times.append(due)
            self.broker.advance(max(self.broker.now, min(times)))
            if growing and self.broker.now >= self._next_record:
                self._archive()
            for name, time in self._back_at.items():
                if name not in self._sides and time <= self.broker.now:
                    self._sides[name] = self._make[name](self)
            self._step_sides()
            if self.broker.now >= until:
                return

    def _step_sides(self) -> None:
        for name, side in list(self._sides.items()):
            while side.next_time() <= self.clock():
                self.steps += 1
                assert self.steps < MOST_STEPS, f"{self.steps} steps: a storm"
                try:
                    side.step()
                except Crash:
                    self._end(name)
                    break

    def _archive(self) -> None:
        timestamp = START + int(self.broker.now) // INTERVAL_S * INTERVAL_S
        self._next_record += INTERVAL_S
        if self.random.random() < 0.1:
            return  # the station was off: a hole
        self._add(timestamp)
        if self.trouble and self._late_records and self.random.random() < 0.1:
            self._add(timestamp - 60 * self.random.randrange(1, 300) - 1)

    def _add(self, timestamp: int) -> None:
        if timestamp in self.records or timestamp < min(self.records, default=0):
            return  # another first record makes another origin: copies stop and ask
        if self.records and timestamp < max(self.records):
            self.late.add(timestamp)
        self.records[timestamp] = self.random.random()
        self._archive_record(timestamp, self.records[timestamp])
        if "primary" in self._sides:
            self.new.append(timestamp)

    def _do_harm(self) -> None:
        match self.random.randrange(7):
            case 0 | 1:
                self._end("copy")
            case 2:
                self._end("primary")
            case 3:
                self.broker.restart(forget=self.random.random() < 0.5, for_s=self.random.choice((None, 200.0)))
            case 4 | 5:
                name = self.random.choice(list(self._sides) or [""])
                if name:
                    self.broker.drop(name, for_s=self.random.choice((None, 30.0, 900.0)))

    def _end(self, name: str) -> None:
        side = self._sides.pop(name, None)
        if side is not None:
            side.end()
            self.ends += 1
            self._back_at[name] = self.broker.now + self.random.choice((0.0, 3.0, 700.0))
        if name == "primary":
            self.new.clear()

    def _heal(self) -> None:
        self.trouble = False
        self.broker.loss = self.broker.duplicate = 0.0
        self.broker.delay_s = (0.0, 0.05)
        self.broker.queue = 1000
        for name in self._back_at:
            self._back_at[name] = self.broker.now


def find_lost(primary: Mapping[int, object], copy: Mapping[int, object], *, but: set[int]) -> list[int]:
    """Times of records before the copy's newest that it lacks, besides ``but``: a hole that nobody would ask for."""
    newest = max(copy, default=0)
    return sorted(time for time in primary if time <= newest and time not in copy and time not in but)
