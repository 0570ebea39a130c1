"""What is still to be done: nothing is forgotten, nothing handed out twice, and the low ones get their turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samesky.mesh.statefile import StateFile
from samesky.mesh.waiting import Depth, Waiting, WaitingRow


def row(name: str, *, priority: int = 0, due_ns: int = 0) -> WaitingRow:
    return WaitingRow("xpublic/v03/post/a", name.encode(), "application/json", "north", priority, due_ns)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[StateFile]:
    with StateFile(tmp_path) as opened:
        yield opened


@pytest.fixture
def waiting(file: StateFile) -> Waiting:
    return Waiting(file, "me")


def names(rows: list[WaitingRow]) -> list[str]:
    return [each.payload.decode() for each in rows]


def test_rows_come_back_as_they_were_in_the_order_they_are_due(waiting: Waiting) -> None:
    ids = waiting.add([row("b", due_ns=2), row("a", due_ns=1), row("c", due_ns=2), row("later", due_ns=9)])
    found = waiting.next(10, 5)
    assert names(found) == ["a", "b", "c"]
    assert found[0] == row("a", due_ns=1)._replace(id=ids[1])


def test_a_row_isnt_handed_out_twice_until_it_is_given_back(waiting: Waiting) -> None:
    waiting.add([row("a"), row("b")])
    (first,) = waiting.next(1, 5)
    assert names(waiting.next(5, 5)) == ["b"]
    assert waiting.next(5, 5) == []
    waiting.release([first.id])
    assert waiting.next(5, 5) == [first]


def test_rows_that_were_taken_when_they_were_added_arent_handed_out(waiting: Waiting) -> None:
    waiting.add([row("a")], take=True)
    assert waiting.next(5, 5) == []
    assert waiting.depth() == Depth(1, 0)


def test_after_a_restart_all_rows_are_handed_out_again(waiting: Waiting, file: StateFile) -> None:
    waiting.add([row("a"), row("b")])
    waiting.next(5, 5)
    assert names(Waiting(file, "me").next(5, 5)) == ["a", "b"]


def test_each_consumer_has_its_own(waiting: Waiting, file: StateFile) -> None:
    waiting.add([row("mine")])
    other = Waiting(file, "other")
    assert other.next(5, 5) == []
    assert other.depth() == Depth(0, 0)
    other.add([row("theirs")])
    assert names(waiting.next(5, 5)) == ["mine"]


def test_a_postponed_row_waits_for_its_time_and_counts_the_try(waiting: Waiting) -> None:
    waiting.add([row("a"), row("b", due_ns=50)])
    (taken,) = waiting.next(1, 10)
    waiting.postpone([(taken.id, 30)])
    assert waiting.next(5, 29) == []
    assert waiting.next_due() == 30
    (again,) = waiting.next(5, 30)
    assert (again.id, again.tries, again.due_ns) == (taken.id, 1, 30)
    assert waiting.next_due() == 50
    waiting.next(5, 50)
    assert waiting.next_due() is None


def test_the_higher_priority_comes_first_and_every_eighth_is_a_lower_one(waiting: Waiting) -> None:
    waiting.add([row("low", priority=-1) for _ in range(30)] + [row("high", priority=5) for _ in range(30)])
    found = names(waiting.next(16, 5))
    assert found == (["high"] * 7 + ["low"]) * 2
    assert names(waiting.next(8, 5)) == ["high"] * 7 + ["low"], "also when few are taken at a time"


def test_the_lowest_of_three_priorities_isnt_starved_even_when_one_row_is_taken_at_a_time(waiting: Waiting) -> None:
    waiting.add([row(name, priority=priority) for priority, name in enumerate("lmh") for _ in range(200)])
    found = [name for _ in range(128) for name in names(waiting.next(1, 5))]
    assert (found.count("h"), found.count("m"), found.count("l")) == (112, 14, 2)


def test_when_the_high_ones_are_through_the_low_ones_have_all_room(waiting: Waiting) -> None:
    waiting.add([row("high", priority=1)] * 2 + [row("low")] * 20)
    assert names(waiting.next(10, 5)) == ["high"] * 2 + ["low"] * 8


def test_a_stored_file_is_to_be_announced_until_it_is_done(waiting: Waiting, file: StateFile) -> None:
    ids = waiting.add([row("a"), row("b"), row("c")])
    waiting.next(5, 5)
    waiting.to_announce(ids[:2])
    assert waiting.depth() == Depth(1, 2)
    assert waiting.next_to_announce(5) == [], "their holder has them"
    after_restart = Waiting(file, "me")
    assert names(after_restart.next_to_announce(5)) == ["a", "b"]
    assert names(after_restart.next(5, 5)) == ["c"]
    waiting.done(ids)
    assert waiting.depth() == Depth(0, 0)
    assert Waiting(file, "me").next(5, 5) == []


def test_the_id_of_a_row_that_is_done_isnt_used_again(waiting: Waiting) -> None:
    first = waiting.add([row("a"), row("b")])
    waiting.done(first)
    assert not set(waiting.add([row("c")])) & set(first)


def test_a_row_isnt_lost_when_one_before_it_was_taken_in_a_transaction_that_failed(
    waiting: Waiting, file: StateFile
) -> None:
    def fail() -> None:
        with file.writing():
            waiting.add([row("never written")], take=True)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail()
    waiting.add([row("a")])
    assert names(waiting.next(5, 5)) == ["a"]


def test_a_backlog_of_many_rows_is_taken_in_small_parts(waiting: Waiting) -> None:
    waiting.add([row(str(number), due_ns=number) for number in range(5000)])
    taken: list[str] = []
    while rows := waiting.next(100, 9999):
        taken += names(rows)
        waiting.done(each.id for each in rows)
    assert taken == [str(number) for number in range(5000)]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.tuples(st.sampled_from("anprdsx"), st.integers(0, 5), st.integers(0, 30)), max_size=40))
def test_whatever_is_done_every_row_is_handed_out_until_it_is_done_and_never_twice_at_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    """Steps: add, next, postpone, release, done, stored, and x: begin anew."""
    with StateFile(tmp_path_factory.mktemp("tree")) as file:
        waiting = Waiting(file, "me")
        to_fetch: dict[int, int] = {}
        held: list[int] = []
        stored: set[int] = set()
        for step, count, time in steps:
            some = held[:count]
            match step:
                case "a":
                    rows = [row("", priority=number % 3, due_ns=time) for number in range(count)]
                    to_fetch.update((id, time) for id in waiting.add(rows))
                case "n":
                    due = {id for id, due_ns in to_fetch.items() if due_ns <= time and id not in held}
                    found = {each.id for each in waiting.next(count, time)}
                    assert found <= due
                    assert len(found) == min(count, len(due))
                    held += sorted(found)
                case "p":
                    waiting.postpone([(id, time) for id in some])
                    to_fetch.update((id, time) for id in some)
                case "r":
                    waiting.release(some)
                case "d":
                    waiting.done(some)
                    to_fetch = {id: due_ns for id, due_ns in to_fetch.items() if id not in some}
                case "s":
                    waiting.to_announce(some)
                    stored |= {id for id in some if to_fetch.pop(id, None) is not None}
                    waiting.release(some)
                case "x":
                    waiting, held = Waiting(file, "me"), []
            if step in "prds":
                held = held[count:]
        assert waiting.depth() == Depth(len(to_fetch), len(stored))
        again = Waiting(file, "me")
        assert {each.id for each in again.next(1000, 99)} == to_fetch.keys()
        assert {each.id for each in again.next_to_announce(1000)} == stored
