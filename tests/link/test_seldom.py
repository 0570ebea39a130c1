"""What is logged again and again is logged once a minute."""

import logging

import pytest

from samesky.link.seldom import EVERY_S, MOST_KNOWN, Seldom


class Log:
    def __init__(self) -> None:
        self.now = 0.0
        self._filter = Seldom(clock=lambda: self.now)

    def say(self, message: str, *arguments: object, level: int = logging.WARNING, error: object = None) -> str | None:
        exc_info = (type(error), error, None) if error else None
        record = logging.LogRecord("log", level, "file", 1, message, arguments, exc_info)  # type: ignore[arg-type]
        return record.getMessage() if self._filter.filter(record) else None


def test_the_first_passes_and_then_one_a_minute_with_how_many_were_left_out() -> None:
    log = Log()
    assert [log.say("failed error=%s", number) for number in range(4)] == ["failed error=0", None, None, None]
    log.now = EVERY_S
    assert log.say("failed error=%s", 4) == "failed error=4 left_out=3"
    assert log.say("failed error=%s", 5) is None


def test_other_messages_and_other_exceptions_are_others() -> None:
    log = Log()
    assert log.say("failed", error=ValueError("a")) and log.say("failed", error=KeyError("a"))  # noqa: PT018
    assert log.say("failed", error=KeyError("b")) is None
    assert log.say("another") == "another"


def test_what_is_no_warning_passes() -> None:
    log = Log()
    assert [log.say("started", level=logging.INFO) for _ in range(3)] == ["started"] * 3


@pytest.mark.parametrize("many", [MOST_KNOWN + 1, 10 * MOST_KNOWN])
def test_it_remembers_a_bounded_number(many: int) -> None:
    log = Log()
    for number in range(many):
        log.say(f"message {number}")
    assert len(log._filter._said) <= MOST_KNOWN
