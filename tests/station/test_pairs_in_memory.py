"""The two brains, paired on a broker in memory, live through thousands of seeded histories of trouble.

Databases are dicts here, so that a history takes milliseconds; `simulation/test_station_pairs` has the same with the
real databases and everything around the brains. ``SAMESKY_HISTORIES`` sets how many, ``SAMESKY_HISTORY_SEED`` where to
begin; a failure names its seed.
"""

import json
import os
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from samesky.link.message import Arrived, Connected, Disconnected, Event, Message, Subscription
from samesky.station.description import Description, encode_description
from samesky.station.messages import PageAnswer, RecordMessage, decode_answer, decode_live, encode_page, encode_record
from samesky.station.requester import Action, Ask, Asking, Insert, Prepare, PutSummary, Requester, Store
from samesky.station.responder import Job, Responder, Throttle
from stands.history import Crash, World, find_lost

HISTORIES = int(os.environ.get("SAMESKY_HISTORIES", "300"))
FIRST_SEED = int(os.environ.get("SAMESKY_HISTORY_SEED", "0"))
STREAM = "home/wx_binding"
REQUESTS = "replicate/request/home"
ANSWERS = "replicate/response/copy"
LIVE = "replicate/archive"
NOBODY_KNOWS: dict[str, dict[str, object]] = {STREAM: {}}


class Process:
    """What both sides have: a link whose events wait until it is their turn."""

    def __init__(self, world: World, name: str, topics: tuple[str, ...]) -> None:
        self.world = world
        self.events: deque[Event] = deque()
        self.link = world.broker.link(name, [Subscription(topic) for topic in topics], self.events.append)
        self.link.start()

    def end(self) -> None:
        self.link.close()

    def due(self) -> float:
        return self.world.clock() if self.events else float("inf")


class Primary(Process):
    """`Responder` over a dict, as `serving` has it over a database."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "primary", (REQUESTS,))
        self.brain = Responder([STREAM], throttle=Throttle())

    def next_time(self) -> float:
        if self.world.new:
            return 0.0
        job_time = self.brain.next_time()
        return min(self.due(), float("inf") if job_time is None else job_time)

    def step(self) -> None:
        if self.world.new:
            self.publish_record(self.world.new.pop(0))
        elif self.events:
            self.on_event(self.events.popleft())
        elif job := self.brain.next_job(self.world.clock()):
            self.brain.on_done(job)
            self.link.publish(self.answer(job))

    def on_event(self, event: Event) -> None:
        match event:
            case Arrived(message):
                answer = self.brain.on_request(message, self.world.clock())
                self.link.acknowledge(message)
                if answer is not None:
                    self.link.publish(answer)
            case Disconnected():
                self.brain.forget()

    def publish_record(self, timestamp: int) -> None:
        previous = max((time for time in self.world.records if time < timestamp), default=0)
        record = {"dateTime": timestamp, "usUnits": 1, "interval": 5, "outTemp": self.world.records[timestamp]}
        self.link.publish(encode_record(LIVE, STREAM, record, qos=1, previous=previous, origin=self.origin()))

    def answer(self, job: Job) -> Message:
        request, records = job.request, self.world.records
        if request.op == "describe":
            return encode_description(request, self.describe(), qos=1)
        size = self.world.random.choice((1, 7, 100))
        times = sorted(time for time in records if time > request.after)[:size]
        page = PageAnswer(
            stream=STREAM,
            correlation=request.correlation or b"",
            after=request.after,
            count=len(times),
            last=times[-1] if times else request.after,
            newest=max(records, default=0),
            origin=self.origin(),
            content_type="test/json",
            body=json.dumps([[time, records[time]] for time in times]).encode(),
        )
        return encode_page(request, page, qos=1)

    def describe(self) -> Description:
        records = self.world.records
        first, last = min(records, default=None), max(records, default=None)
        return Description((), (), 1, 300, (), len(records), first, last, self.origin(), ("test/json",))

    def origin(self) -> str:
        return "abc" if self.world.records else ""


class Copy(Process):
    """`Requester` over a dict that outlives it, as `following` has it over a database."""

    def __init__(self, world: World, stored: dict[int, float], brain: type[Requester]) -> None:
        super().__init__(world, "copy", (ANSWERS, LIVE))
        self.stored = stored
        asking = Asking(ANSWERS, (REQUESTS, "replicate/request"))
        self.brain = brain(STREAM, self.position(), asking=asking, random=world.random.random)
        self.connected = False

    def position(self) -> int:
        return max(self.stored, default=0)

    def next_time(self) -> float:
        return min(self.due(), self.brain.next_time() if self.connected else float("inf"))

    def step(self) -> None:
        if self.events:
            self.on_event(self.events.popleft())
        else:
            self.do(self.brain.on_tick(self.world.clock()))

    def on_event(self, event: Event) -> None:
        match event:
            case Connected():
                self.connected = True
                self.do(self.brain.on_connected(self.world.clock()))
            case Disconnected():
                self.connected = False
                self.brain.on_disconnected()
            case Arrived(message):
                decode = decode_live if message.topic == LIVE else decode_answer
                self.do(
                    self.brain.on_message(decode(message, NOBODY_KNOWS, now=self.world.clock()), self.world.clock())
                )
                self.link.acknowledge(message)

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            if self.world.trouble and self.world.random.random() < 0.005:
                raise Crash
            if isinstance(action, Store | Insert) and self.world.trouble and self.world.random.random() < 0.02:
                self.brain.on_failed(self.position(), "disk full", self.world.clock())
                return
            self.do_one(action)

    def do_one(self, action: Action) -> None:
        match action:
            case Ask(message):
                self.link.publish(message)
            case Prepare(description):
                prepared = self.brain.on_prepared(
                    description,
                    position=self.position(),
                    accepts=("test/json",),
                    summaries=True,
                    now=self.world.clock(),
                )
                self.do(prepared)
            case Store(page):
                for time, value in json.loads(page.body):
                    self.stored.setdefault(time, value)
            case Insert(message):
                self.stored.setdefault(int(message.record["dateTime"]), message.record["outTemp"])
            case PutSummary():
                pass


def live_a_life(seed: int, brain: type[Requester] = Requester) -> None:
    stored: dict[int, float] = {}
    world = World(seed, make_primary=Primary, make_copy=lambda world: Copy(world, stored, brain))

    def check() -> None:
        lost = find_lost(world.records, stored, but=world.late)
        assert not lost, f"{len(lost)} records were passed over, from {lost[0]}"

    for _ in range(4):
        world.live_through_faults(5)
        check()
    world.settle(for_s=1800)  # a broken connection takes up to 900 s, and then the slow check finds the last record
    check()
    missing = world.records.keys() - stored.keys() - world.late
    assert not missing, f"{len(missing)} records never came"
    assert stored == {time: world.records[time] for time in stored}, "values differ"
    check_quiet(world)


def live_lives(seeds: range, brain: type[Requester] = Requester) -> None:
    for seed in seeds:
        try:
            live_a_life(seed, brain)
        except BaseException as failure:
            failure.add_note(f"SAMESKY_HISTORY_SEED={seed} SAMESKY_HISTORIES=1 repeats it")
            raise


def check_quiet(world: World) -> None:
    before = world.broker._order
    world.settle(for_s=7200)
    things = world.broker._order - before  # a question and its answer, each delivered and acknowledged
    assert things < 16 * 8, f"{things} things happened on the broker in two quiet hours"


def test_a_copy_is_equal_and_then_quiet_after_any_history_of_trouble() -> None:
    live_lives(range(FIRST_SEED, FIRST_SEED + HISTORIES))


class TakesLiveRecordsDuringCatchUp(Requester):
    def _on_live(self, message: RecordMessage, now: float) -> list[Action]:
        return [Insert(message)]


class BelievesThatNothingLiesBetween(Requester):
    def _on_live(self, message: RecordMessage, now: float) -> list[Action]:
        return super()._on_live(replace(message, previous=0), now)


class ForgetsWhatItWasPromised(Requester):
    def _on_live(self, message: RecordMessage, now: float) -> list[Action]:
        actions = super()._on_live(message, now)
        self._promised = 0
        return actions

    def _rest(self, now: float) -> None:
        self._deadline = float("inf")


class TakesPagesInAnyOrder(Requester):
    def _on_page(self, page: PageAnswer, now: float) -> list[Action]:
        self.taken = page.after
        return super()._on_page(page, now)

    def _is_awaited(self, correlation: bytes, op: str | None) -> bool:
        return True


class GoesOnAfterAFailure(Requester):
    def on_failed(self, position: int, reason: str, now: float) -> None:
        super().on_failed(self.taken, reason, now)

    def on_prepared(self, description: Description, *, position: int, **rest: Any) -> list[Action]:
        return super().on_prepared(description, position=max(position, self.taken), **rest)


class NeverLooksAgain(Requester):
    def _rest(self, now: float) -> None:
        self._deadline = float("inf")


class AsksOnce(Requester):
    def _timeout_s(self) -> float:
        return float("inf")


class AsksWithoutEnd(Requester):
    def _on_page(self, page: PageAnswer, now: float) -> list[Action]:
        return [*super()._on_page(page, now), *self._ask("page", now)]


class AsksOnlyOnce(Requester):
    def on_connected(self, now: float) -> list[Action]:
        return super().on_connected(now) if self.origin is None else []


@pytest.mark.slow
@pytest.mark.parametrize(
    "brain",
    [
        TakesLiveRecordsDuringCatchUp,
        BelievesThatNothingLiesBetween,
        ForgetsWhatItWasPromised,
        TakesPagesInAnyOrder,
        GoesOnAfterAFailure,
        NeverLooksAgain,
        AsksOnce,
        AsksWithoutEnd,
        AsksOnlyOnce,
    ],
)
def test_a_planted_mistake_is_found(brain: type[Requester]) -> None:
    with pytest.raises(AssertionError):
        live_lives(range(3000), brain)
