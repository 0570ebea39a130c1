"""What checks find is kept by day, until it is mended and for ninety days after."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from samesky.station.found import KEPT_S, FoundDay, count_days, read_found
from samesky.station.state import FILE_NAME, State

STREAM = "home/wx_binding"
DAY = 1_748_736_000  # 2025-06-01, UTC


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_are_counted_by_the_archive_day_to_which_midnight_belongs_that_ends_it() -> None:
    times = [DAY + 86_400, DAY + 300, DAY + 86_700, DAY + 10 * 86_400]
    assert count_days("missing", times) == {DAY: 2, DAY + 86_400: 1, DAY + 9 * 86_400: 1}
    assert count_days("summary", [DAY, DAY + 86_400]) == {DAY: 1, DAY + 86_400: 1}


def test_answers_to_one_check_add_up_and_the_next_check_finds_the_same_again(tmp_path: Path) -> None:
    with closing(State(tmp_path)) as state:
        state.note_found(STREAM, "missing", {DAY: 3}, check="a", now=1000.0)
        state.note_found(STREAM, "missing", {DAY: 4, DAY + 86_400: 1}, check="a", now=1001.0)
        assert [(each.day, each.count) for each in read_found(tmp_path / FILE_NAME, STREAM)] == [
            (DAY, 7),
            (DAY + 86_400, 1),
        ]
        state.note_found(STREAM, "missing", {DAY: 5}, check="b", now=2000.0)
        assert read_found(tmp_path / FILE_NAME, STREAM)[0] == FoundDay(DAY, "missing", 5, 1000.0)


def test_what_was_found_is_mended_by_a_proof_and_forgotten_after_ninety_days(tmp_path: Path) -> None:
    with closing(State(tmp_path)) as state:
        state.note_found(STREAM, "different", {DAY: 1}, check="a", now=1000.0)
        state.note_found("home/other", "different", {DAY: 1}, check="a", now=1000.0)
        state.mend_found(STREAM, 1060.0)
    with closing(State(tmp_path)) as state:
        assert read_found(tmp_path / FILE_NAME, STREAM) == [FoundDay(DAY, "different", 1, 1000.0, 1060.0)]
        assert read_found(tmp_path / FILE_NAME, "home/other")[0].mended_at is None
        state.note_found(STREAM, "different", {DAY: 2}, check="b", now=5000.0)
        assert [each.mended_at for each in read_found(tmp_path / FILE_NAME, STREAM)] == [1060.0, None]
        state.mend_found(STREAM, 1061.0 + KEPT_S)
        assert [each.count for each in read_found(tmp_path / FILE_NAME, STREAM)] == [2]


def test_where_there_is_no_state_file_nothing_was_found(tmp_path: Path) -> None:
    assert read_found(tmp_path / FILE_NAME, STREAM) == []
    assert not (tmp_path / FILE_NAME).exists()
