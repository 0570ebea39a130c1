"""Daily summary rows that wait for their records: what is kept, for how long, and what is right at a position."""

from typing import Any

from samesky.station.waiting_summaries import MAX_MOMENTS, WaitingSummaries

DAY = 1_700_006_400  # midnight UTC, the time zone of the tests
NEXT_DAY = DAY + 86_400
OVER = DAY + 90_000


def row(day: int, value: float, obs: str = "outTemp") -> tuple[Any, ...]:
    return (obs, day, value)


def test_a_row_of_the_day_under_way_is_right_at_its_moment_only() -> None:
    waiting = WaitingSummaries()
    waiting.put(DAY + 300, [row(DAY, 1.0)])
    waiting.put(DAY + 600, [row(DAY, 2.0)])
    assert waiting.take(DAY) == []
    assert waiting.take(DAY + 600) == [row(DAY, 2.0)]
    assert not waiting


def test_a_complete_day_waits_however_many_rows_of_today_come_after_it() -> None:
    waiting = WaitingSummaries()
    waiting.put(OVER + 300, [row(DAY, 1.0), row(NEXT_DAY, 5.0)])
    moments = [OVER + 300 * number for number in range(2, 3 * MAX_MOMENTS)]
    for moment in moments:
        waiting.put(moment, [row(NEXT_DAY, float(moment))])
    assert waiting.take(OVER) == []
    assert waiting.take(OVER + 300) == [row(DAY, 1.0)]
    assert waiting.take(moments[-1]) == [row(NEXT_DAY, float(moments[-1]))]


def test_of_a_complete_day_the_row_that_was_read_last_counts() -> None:
    waiting = WaitingSummaries()
    waiting.put(OVER + 600, [row(DAY, 2.0)])
    waiting.put(OVER + 300, [row(DAY, 1.0), row(DAY, 7.0, "rain")])
    assert sorted(waiting.take(OVER + 600)) == [row(DAY, 2.0), row(DAY, 7.0, "rain")]


def test_a_day_that_may_have_an_hour_more_is_not_over_yet() -> None:
    waiting = WaitingSummaries()
    waiting.put(NEXT_DAY + 300, [row(DAY, 1.0)])
    assert waiting.take(NEXT_DAY + 600) == []
    waiting.put(NEXT_DAY + 3600, [row(DAY, 2.0)])
    assert waiting.take(NEXT_DAY + 3900) == [row(DAY, 2.0)]
