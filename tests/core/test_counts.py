"""How many there are, in words."""

from samesky.core.counts import count_of


def test_one_is_told_apart_from_several_and_none() -> None:
    assert count_of(1, "row") == "1 row"
    assert count_of(0, "row") == "0 rows"
    assert count_of(105_120, "row") == "105,120 rows"
