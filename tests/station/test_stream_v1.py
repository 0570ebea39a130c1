"""A version 1 primary streams without flow control, and the broker drops any part of it but the first record."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from samesky.station.messages import RecordMessage
from samesky.station.stream_v1 import CHECK_INTERVAL_S, QUIET_S, StreamV1
from stands.history import find_lost

START = 1_700_000_100
Loss = Callable[[Random, list[int]], list[int]]


def message(timestamp: int, *, live: bool = False) -> RecordMessage:
    return RecordMessage("home/wx_binding", {"dateTime": timestamp, "usUnits": 1, "interval": 5}, live)


def drop_nothing(chance: Random, times: list[int]) -> list[int]:
    return times


def drop_runs(chance: Random, times: list[int]) -> list[int]:
    """A queue overflows now and then: what comes while it is full is gone."""
    kept, at = times[:1], 1
    while at < len(times):
        length = chance.randrange(1, 120)
        kept += times[at : at + length]
        at += length + chance.randrange(1, 200)
    return kept


def drop_any(chance: Random, times: list[int]) -> list[int]:
    share = chance.choice((0.02, 0.3))
    return times[:1] + [time for time in times[1:] if chance.random() > share]


def drop_the_end(chance: Random, times: list[int]) -> list[int]:
    return times[: chance.randrange(1, len(times) + 1)] if times else []


def make_times(chance: Random, count: int, holes: int) -> list[int]:
    """Times of records five minutes apart, with holes: the station was off."""
    times, now = [], START
    for number in range(count):
        now += 300 if number % (count // (holes + 1)) or not number else 300 * chance.randrange(2, 500)
        times.append(now)
    return times


@dataclass
class Following:
    """`StreamV1` between a table of records and a store, with a clock of its own."""

    records: list[int]
    chance: Random
    loss: Loss
    now: float = 0.0
    asked: int = 0
    stored: dict[int, None] = field(default_factory=dict)

    def run(self, stream: StreamV1, *, upto: int = 3000) -> None:
        """Let the stream come and be asked for again until nothing is expected any more."""
        while True:
            assert self.asked < upto, "it asks without end"
            self.now = max(self.now, stream.next_time())
            if stream.on_tick(self.now):
                self.answer(stream, stream.taken)
            elif stream.next_time() - self.now > QUIET_S * 10:
                return

    def answer(self, stream: StreamV1, after: int) -> None:
        self.asked += 1
        for time in self.loss(self.chance, [time for time in self.records if time > after]):
            self.hand_over(stream, message(time))

    def hand_over(self, stream: StreamV1, record: RecordMessage) -> bool:
        self.now += 0.01
        stores, request = stream.on_record(record, self.now)
        if stores:
            self.stored[int(record.record["dateTime"])] = None
            lost = find_lost(dict.fromkeys(self.records), self.stored, but=set())
            assert not lost, f"{len(lost)} records were passed over, from {lost[0]}"
        return request


@pytest.mark.parametrize("loss", [drop_nothing, drop_runs, drop_any, drop_the_end])
def test_in_the_end_no_record_is_missing_and_real_holes_are_accepted(loss: Loss) -> None:
    for seed in range(25):
        chance = Random(f"{seed} {loss.__name__}")
        times = make_times(chance, 150 if loss is drop_any else 400, holes=chance.randrange(0, 8))
        following = Following(times, chance, loss)
        stream = StreamV1(0, answered=True, now=0.0)
        following.answer(stream, 0)
        following.run(stream)
        while following.stored.keys() != set(following.records):
            following.now += CHECK_INTERVAL_S  # the end of a stream is silence, so only the slow check finds it
            following.run(stream)
        assert list(following.stored) == following.records, f"seed {seed}"
        assert not stream.streaming


def test_a_stream_without_losses_is_asked_for_three_times_at_most_however_many_holes_it_has() -> None:
    following = Following(make_times(Random(1), 1000, holes=15), Random(1), drop_nothing)
    stream = StreamV1(0, answered=True, now=0.0)
    following.answer(stream, 0)
    following.run(stream)
    assert list(following.stored) == following.records
    assert following.asked == 3


def test_the_rest_of_an_earlier_stream_does_not_pass_over_records() -> None:
    records = make_times(Random(1), 100, holes=0)
    following = Following(records, Random(1), drop_nothing, stored=dict.fromkeys(records[:20]))
    stream = StreamV1(records[19], answered=True, now=0.0)
    for time in records[60:]:  # asked for before the connection was lost; the broker has forgotten what was between
        following.hand_over(stream, message(time))
    following.answer(stream, stream.taken)
    following.run(stream)
    assert sorted(following.stored) == records


def test_a_live_record_that_follows_is_stored_at_once() -> None:
    records = make_times(Random(1), 12, holes=0)
    following = Following(records[:10], Random(1), drop_nothing)
    stream = StreamV1(0, answered=True, now=0.0)
    following.answer(stream, 0)
    following.run(stream)
    assert not following.hand_over(stream, message(records[10], live=True))
    assert records[10] in following.stored


def test_a_live_record_that_leaves_a_hole_is_not_stored_but_asked_for() -> None:
    records = make_times(Random(1), 12, holes=0)
    following = Following(records, Random(1), drop_nothing, stored=dict.fromkeys(records[:10]))
    stream = StreamV1(records[9], answered=True, now=0.0)
    following.run(stream)
    assert following.hand_over(stream, message(records[11], live=True))
    assert records[11] not in following.stored
    following.answer(stream, stream.taken)
    following.run(stream)
    assert list(following.stored) == records


def test_a_live_record_during_a_stream_is_asked_for_afterwards() -> None:
    records = make_times(Random(1), 12, holes=0)
    following = Following(records[:11], Random(1), drop_nothing)
    stream = StreamV1(0, answered=True, now=0.0)
    following.answer(stream, 0)
    following.records = records
    assert not following.hand_over(stream, message(records[11], live=True))
    following.run(stream)
    assert list(following.stored) == records


def test_a_request_that_nobody_answers_is_repeated_while_records_are_known_to_be_missing() -> None:
    records = make_times(Random(1), 40, holes=0)
    stream = StreamV1(0, answered=True, now=0.0)
    following = Following(records, Random(1), drop_nothing)
    for time in (*records[:20], *records[30:]):
        following.hand_over(stream, message(time))
    waits = []
    for _ in range(12):
        before, following.now = following.now, stream.next_time()
        waits.append(following.now - before)
        assert stream.on_tick(following.now)
        assert stream.streaming
    assert [round(wait_s) for wait_s in waits[1:4]] == [30, 60, 120]
    assert round(waits[-1]) == CHECK_INTERVAL_S
    following.answer(stream, stream.taken)
    following.run(stream)
    assert list(following.stored) == records
