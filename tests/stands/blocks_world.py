"""Blocks, services and a broker in memory, with a clock of their own: brains led through loss and disorder."""

import heapq
import itertools
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from samesky.blocks.envelope import Metadata, decode_message, encode_body, encode_headers
from samesky.blocks.links import PrimaryLink, ReplicaLink
from samesky.blocks.primary import Broadcast, PrimaryBrain
from samesky.blocks.replica import ReadOwn, ReplicaBrain
from samesky.core.strict import Refused
from samesky.link.amqp_message import matches

WALL_S = 1_700_000_000.0


@dataclass(slots=True)
class Faults:
    """How bad the broker and the controllers are; shares of 1, and seconds."""

    loss: float = 0.0
    duplicates: float = 0.0
    delay_s: float = 0.01
    jitter_s: float = 0.0
    controller_failures: float = 0.0
    controller_s: float = 0.01


@dataclass
class World:
    """Services on one broker. ``headers`` False: all of them are old peers."""

    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    headers: bool = True
    now: float = 0.0
    blocks: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    """Every write to a block, when it was and what it was."""
    sensors: dict[str, Callable[[float], Any]] = field(default_factory=dict)
    """What the value of a block is at a time, whatever was written to it."""
    primaries: list[PrimaryBrain] = field(default_factory=list)
    replicas: list[ReplicaBrain] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    # ------------------------------------------------------------------ making

    def add_primary(self, link: PrimaryLink, *, epoch: int = 1) -> PrimaryBrain:
        """Broadcast a block of this world from now on."""
        brain = PrimaryBrain(link, epoch=epoch, now=self.now)
        self.primaries.append(brain)
        self._at(0, lambda: self._run_primary(brain))
        return brain

    def add_replica(self, link: ReplicaLink) -> ReplicaBrain:
        """Have a block of this world follow a key from now on."""
        own = next((each for each in self.primaries if each.link.key == f"{link.service}.{link.id}"), None)
        brain = ReplicaBrain(link, echo_interval_s=own.link.interval_s if own else None)
        self.replicas.append(brain)
        return brain

    def stop_primary(self, brain: PrimaryBrain, *, says_goodbye: bool = False) -> None:
        """End the service of a primary, orderly or by a power cut."""
        self.primaries.remove(brain)
        last = brain.goodbye(wall_s=self.wall_s)
        if says_goodbye and last is not None:
            self._publish(brain, last)

    # ------------------------------------------------------------------ time

    @property
    def wall_s(self) -> float:
        """Unix time."""
        return WALL_S + self.now

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end
        for brain in self.replicas:
            self._work(brain)

    def read(self, block: str) -> dict[str, Any]:
        """The data of the block ``service.id`` now."""
        data = deepcopy(self.blocks[block])
        if block in self.sensors:
            data["value"] = self.sensors[block](self.now)
        return data

    def _at(self, delay_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_s, next(self._order), event))

    # ------------------------------------------------------------------ primaries

    def _run_primary(self, brain: PrimaryBrain) -> None:
        if brain not in self.primaries:
            return
        brain.begin_reading(self.now)
        if self._random.random() < self.faults.controller_failures:
            brain.on_read_failed("the controller didn't answer")
        else:
            broadcast = brain.on_read(
                self.read(brain.link.key), self.now, wall_s=self.wall_s, lineage=self._lineage(brain)
            )
            if broadcast is not None:
                self._publish(brain, broadcast)
                brain.on_published(self.now)
                for replica in self._replicas_of(brain):
                    replica.echoes.note_published(broadcast.data, self.now)
        next_time = brain.next_time()
        assert next_time is not None
        self._at(next_time - self.now, lambda: self._run_primary(brain))

    def _replicas_of(self, brain: PrimaryBrain) -> list[ReplicaBrain]:
        return [each for each in self.replicas if f"{each.link.service}.{each.link.id}" == brain.link.key]

    def _lineage(self, brain: PrimaryBrain) -> Any:
        return next((each.lineage for each in self._replicas_of(brain) if each.lineage), None)

    # ------------------------------------------------------------------ the broker

    def _publish(self, brain: PrimaryBrain, broadcast: Broadcast) -> None:
        body, key = encode_body(broadcast.data), brain.link.key
        self.deliver(key, body, broadcast.metadata if self.headers else None)

    def deliver(self, key: str, body: bytes, metadata: Metadata | None = None, *, retained: bool = False) -> None:
        """Bring a message to every replica that is bound with its key, or lose it on the way."""
        headers = [] if metadata is None else list(encode_headers(metadata).items())
        for replica in self.replicas:
            if matches(replica.link.key, key):
                copies = 0 if self._random.random() < self.faults.loss else 1
                copies += self._random.random() < self.faults.duplicates
                for _ in range(copies):
                    delay_s = self.faults.delay_s + self.faults.jitter_s * self._random.random()
                    self._at(delay_s, lambda to=replica: self._arrive(to, key, body, headers, retained))  # type: ignore[misc]

    def _arrive(self, brain: ReplicaBrain, key: str, body: bytes, headers: list[Any], retained: bool) -> None:
        try:
            message = decode_message(key, body, headers, now=self.wall_s, retained=retained)
        except Refused as refusal:
            brain.on_refused(str(refusal.reason), str(refusal))
            return
        brain.on_message(message, self.now, wall_s=self.wall_s)
        self._work(brain)

    # ------------------------------------------------------------------ replicas

    def _work(self, brain: ReplicaBrain) -> None:
        step = brain.next_step(self.now)
        if isinstance(step, ReadOwn):
            self._at(self.faults.controller_s, lambda: self._read_own(brain))
        elif (next_time := brain.next_time()) is not None:
            self._at(max(0.001, next_time - self.now), lambda: self._work(brain))

    def _read_own(self, brain: ReplicaBrain) -> None:
        if self._random.random() < self.faults.controller_failures:
            brain.on_failed("the controller didn't answer", self.now)
            self._work(brain)
            return
        write = brain.on_own(self.read(f"{brain.link.service}.{brain.link.id}"), self.now)
        if write is None:
            self._work(brain)
        else:
            self._at(self.faults.controller_s, lambda: self._write(brain, dict(write.data)))

    def _write(self, brain: ReplicaBrain, data: dict[str, Any]) -> None:
        name = f"{brain.link.service}.{brain.link.id}"
        if self._random.random() < self.faults.controller_failures:
            brain.on_failed("the controller didn't answer", self.now)
        else:
            self.blocks[name] = deepcopy(data)
            self.written.append((self.now, name, deepcopy(data)))
            brain.on_written(None, self.now)
        self._work(brain)
