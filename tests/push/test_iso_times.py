"""Times as REST spells them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.push.iso_times import decode_time, encode_time
from samesky.push.values import HIGHEST_DATE, LOWEST_DATE


@given(st.integers(LOWEST_DATE, HIGHEST_DATE))
def test_times_come_back_as_they_went(time_s: int) -> None:
    assert decode_time(encode_time(time_s)) == time_s


def test_a_time_has_no_zone_and_no_fractions() -> None:
    assert encode_time(0) == "1970-01-01T00:00:00"
    assert encode_time(LOWEST_DATE) == "1000-01-01T00:00:00"


@pytest.mark.parametrize("text", ["", "2026", "2026-1-1", "2026-01-01T24:00:00", "2026-01-01T00:00:60", "٢٠٢٦-01-01"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        decode_time(text)
    assert refused.value.reason is Reason.TYPE
