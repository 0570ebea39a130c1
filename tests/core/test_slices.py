"""Long sequences in pieces."""

from hypothesis import given
from hypothesis import strategies as st

from samesky.core.slices import slices_of


@given(st.lists(st.integers()), st.integers(1, 10))
def test_slices_hold_everything_once_in_order_and_only_the_last_is_short(values: list[int], size: int) -> None:
    slices = list(slices_of(values, size))
    assert [each for part in slices for each in part] == values
    assert all(len(part) == size for part in slices[:-1])
    assert all(0 < len(part) <= size for part in slices)
