"""Files that aren't complete are looked at ever more rarely, and what was noticed comes before what was found."""

from samesky.mesh.pending import MOST_DELAY_S, Pending


def paths(pending: Pending, now: float, limit: int = 10) -> list[str]:
    return [path for path, _ in pending.take(limit, now)]


def test_what_was_noticed_comes_first() -> None:
    pending = Pending()
    for number in range(3):
        pending.find(f"found{number}", 0.0)
    pending.notice("noticed", 0.0)
    assert paths(pending, 0.0) == ["noticed"]
    pending.done("noticed")
    assert paths(pending, 0.0, limit=2) == ["found0", "found1"]
    assert len(pending) == 3


def test_a_file_that_is_not_complete_is_looked_at_ever_more_rarely() -> None:
    pending, now, delays = Pending(), 0.0, []
    pending.notice("a", now)
    for _ in range(10):
        ((_, file),) = pending.take(10, now)
        pending.postpone(file, "state", now)
        due = pending.next_due()
        assert due is not None
        assert paths(pending, due - 0.001) == []
        delays.append(round(due - now, 6))
        now = due
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0.02, MOST_DELAY_S)
    pending.notice("a", now)
    assert paths(pending, now) == ["a"]


def test_how_long_a_file_has_been_as_it_is_begins_with_its_latest_change() -> None:
    pending = Pending()
    pending.notice("a", 0.0)
    ((_, file),) = pending.take(1, 0.0)
    for state, now in (("x", 1.0), ("x", 2.0), ("y", 3.0), ("y", 4.0)):
        pending.postpone(file, state, now)
    assert (file.state, file.since) == ("y", 3.0)


def test_a_file_that_is_noticed_after_it_was_found_is_announced_aloud() -> None:
    pending = Pending()
    pending.find("a", 0.0, silent=True)
    pending.notice("a", 0.0)
    pending.find("a", 0.0, silent=True)
    ((_, file),) = pending.take(9, 0.0)
    assert not file.silent
    assert len(pending) == 1
