"""Records on their way to the engine."""

import threading

from samesky.station.engine_queue import EngineQueue


def records(*times: int) -> list[dict[str, int]]:
    return [{"dateTime": time} for time in times]


def test_records_come_out_in_order_and_count_as_under_way_until_done() -> None:
    queue = EngineQueue()
    done: list[int] = []
    queue.on_done = lambda: done.append(1)
    queue.put(records(1, 2))
    assert (queue.newest, queue.pending()) == (2, records(1, 2))
    assert queue.take(0) == {"dateTime": 1}
    assert queue.pending() == records(1, 2)
    queue.done()
    assert (queue.pending(), done) == (records(2), [1])


def test_nothing_is_taken_from_an_empty_queue() -> None:
    queue = EngineQueue()
    assert queue.take(0) is None
    assert queue.take(0.01) is None
    assert queue.newest == 0


def test_what_was_stored_in_another_way_is_taken_back() -> None:
    queue = EngineQueue()
    queue.put(records(1, 2, 3))
    queue.take(0)
    queue.drop(queue.pending()[:2])
    assert queue.take(0) == {"dateTime": 3}
    assert queue.newest == 3


def test_an_older_record_does_not_move_the_newest_back() -> None:
    queue = EngineQueue()
    queue.put(records(5))
    queue.put(records(3))
    assert queue.newest == 5


def test_whoever_waits_gets_a_record_as_soon_as_it_comes() -> None:
    queue = EngineQueue()
    taken: list[object] = []
    waiter = threading.Thread(target=lambda: taken.append(queue.take(60)), daemon=True)
    waiter.start()
    queue.put(records(1))
    waiter.join(30)
    assert taken == records(1)
