"""Delays double from the first to the most, each spread over its upper half."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.backoff import Backoff


def test_delays_double_up_to_the_most():
    backoff = Backoff(1, 60, random=lambda: 1.0)
    assert [backoff.next_s() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_success_starts_again_at_the_first_delay():
    backoff = Backoff(0.5, 60, random=lambda: 1.0)
    for _ in range(5):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 0.5


@given(st.floats(0, 1), st.integers(1, 3000))
def test_a_delay_is_between_half_and_whole_however_many_came_before(chance, tries):
    backoff = Backoff(1, 60, random=lambda: chance)
    delays_s = [backoff.next_s() for _ in range(tries)]
    whole_s = min(60, 2 ** (tries - 1))
    assert whole_s / 2 <= delays_s[-1] <= whole_s


@pytest.mark.parametrize(("first_s", "most_s"), [(0, 60), (-1, 60), (2, 1), (float("nan"), 60)])
def test_delays_that_make_no_sense_are_a_mistake_of_the_program(first_s, most_s):
    with pytest.raises(ValueError, match="first_s"):
        Backoff(first_s, most_s, random=lambda: 0.5)
