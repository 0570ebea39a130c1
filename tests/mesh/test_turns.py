"""Higher priorities first, and nobody waits for ever."""

import pytest

from samesky.mesh.turns import Turns


def test_higher_levels_come_first_and_within_a_level_who_came_first() -> None:
    turns: Turns[str] = Turns()
    for level, item in ((5, "late 1"), (0, "now 1"), (0, "now 2"), (5, "late 2")):
        turns.push(level, item)
    assert [turns.pop() for _ in range(len(turns))] == ["now 1", "now 2", "late 1", "late 2"]
    assert len(turns) == 0


def test_nobody_waits_for_ever_behind_those_of_a_higher_level() -> None:
    turns: Turns[int] = Turns()
    for level in (0, 1, 2):
        for _ in range(1000):
            turns.push(level, level)
    served = [turns.pop() for _ in range(640)]
    assert [served.count(level) for level in (0, 1, 2)] == [560, 70, 10]


def test_nobody_waits() -> None:
    with pytest.raises(IndexError):
        Turns[int]().pop()
