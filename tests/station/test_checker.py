"""The checking brain: when it checks, what it leaves to a person, and what it doesn't try for ever."""

from collections.abc import Callable

from samesky.core.timetree import View
from samesky.station.check_answers import answer_question
from samesky.station.check_question import decode_question
from samesky.station.check_session import CheckSession, Scope
from samesky.station.checker import (
    AFTER_FAILURE_S,
    LONGEST_FAILURE_PAUSE_S,
    MOST_DELETIONS,
    Apply,
    AskCheck,
    CheckAction,
    Checker,
    Delete,
    Hold,
    Proven,
    most_deletions,
)
from samesky.station.envelope import StandIn, open_envelope
from samesky.station.messages import ErrorAnswer

from .test_check_session import NOW, STREAM, Origin, view_of, year

TOPIC, REPLY = "replicate/request/home", "replicate/response/copy"


def make_checker() -> Checker:
    checker = Checker(STREAM, topic=TOPIC, reply_to=REPLY, random=lambda: 0.5, interval_s=3600)
    checker.on_connected(0.0)
    return checker


def check(
    checker: Checker, mine: dict[int, float], origin: Origin, now: float, *, stand_in: StandIn | None = None
) -> list[CheckAction]:
    """Let a check that is due run to its end; what it wanted done. Nothing is done to ``mine``."""
    assert checker.wants_to_begin(now)
    view: View = view_of(mine)
    actions = checker.begin(CheckSession({"archive": view, "summary": view}, NOW, Scope(summaries=False)), now)
    wanted: list[CheckAction] = []
    while actions:
        asked = [action for action in actions if isinstance(action, AskCheck)]
        wanted += [action for action in actions if not isinstance(action, AskCheck)]
        if not asked:
            break
        message = asked[0].message
        question = decode_question(message, open_envelope(message))
        answer = answer_question(question, origin, stream=STREAM, correlation=message.correlation or b"", origin="a")
        if stand_in is not None:
            object.__setattr__(answer, "stand_in", stand_in)
        actions = checker.on_answer(answer, now)
    return wanted


def kinds(actions: list[CheckAction]) -> list[type]:
    return [type(action) for action in actions]


def test_a_check_is_due_soon_after_a_connection_and_then_once_in_a_while() -> None:
    checker = make_checker()
    assert not checker.wants_to_begin(1.0)
    assert kinds(check(checker, year(10), Origin(year(10)), 10.0)) == [Proven]
    assert 0.5 * 3600 < checker.next_time() - 10.0 < 1.5 * 3600


def test_rows_are_written_at_once_and_deletions_come_last() -> None:
    mine = year(1000)
    mine[NOW - 7] = 1.0
    mine.pop(NOW - 30_000)
    assert kinds(check(make_checker(), mine, Origin(year(1000)), 10.0)) == [Apply, Delete]


def test_more_deletions_than_usual_are_left_to_a_person() -> None:
    assert [most_deletions(count) for count in (5, 1000, 10**6)] == [1, 10, MOST_DELETIONS]
    checker, mine = make_checker(), year(1000)
    few = Origin(dict(list(year(1000).items())[:900]))
    assert check(checker, mine, few, 10.0) == [Hold(100, 1000)]
    assert checker.phase == "held"
    assert not checker.wants_to_begin(1e9)
    checker.release(20.0)
    checker.allowed_deletions = 100
    assert kinds(check(checker, mine, few, 20.0)) == [Delete]


def test_a_live_record_with_another_root_has_a_check_made_soon_but_not_at_every_record() -> None:
    checker = make_checker()
    check(checker, year(10), Origin(year(10)), 10.0)
    checker.on_live_root(True, 20.0)
    assert checker.next_time() > 1000
    checker.on_live_root(False, 30.0)
    assert checker.next_time() == 33.0
    check(checker, year(10), Origin(year(10)), 33.0)
    checker.on_live_root(False, 34.0)
    assert checker.next_time() == 63.0


def test_what_cannot_be_mended_is_tried_ever_more_rarely() -> None:
    """A column that can't hold the primary's values: what is written reads back as something else."""
    checker, mine = make_checker(), year(100)
    mine[NOW] += 1
    assert kinds(check(checker, mine, Origin(year(100)), 10.0)) == [Apply]
    pauses = []
    now = 10.0
    for _ in range(3):
        check(checker, mine, Origin(year(100)), now)
        assert "different again" in (checker.trouble or "")
        pauses.append(checker.next_time() - now)
        checker.on_live_root(False, now + 1)
        checker.on_disconnected()
        checker.on_connected(now + 2)
        assert checker.next_time() - now == pauses[-1]
        now = checker.next_time()
    assert AFTER_FAILURE_S / 2 < pauses[0] < pauses[1] < pauses[2]


def test_what_could_not_be_written_is_written_by_the_next_check() -> None:
    checker, mine = make_checker(), year(1000)
    mine[NOW - 7] = 1.0
    assert kinds(check(checker, mine, Origin(year(1000)), 10.0)) == [Delete]
    checker.give_up("the disk is full", 11.0)
    assert kinds(check(checker, mine, Origin(year(1000)), checker.next_time())) == [Delete]


def test_a_row_that_was_written_and_then_deleted_at_the_primary_goes_at_once() -> None:
    checker, mine = make_checker(), year(1000)
    missing = mine.pop(NOW - 300)
    assert kinds(check(checker, mine, Origin(year(1000)), 10.0)) == [Apply]
    assert kinds(check(checker, mine | {NOW - 300: missing}, Origin(mine), 10.0)) == [Delete]
    assert checker.trouble is None


def test_what_comes_back_after_each_deletion_is_deleted_each_time_but_ever_more_rarely() -> None:
    checker, mine, now = make_checker(), year(1000), 10.0
    mine[NOW - 7] = 1.0
    for _ in range(3):
        assert kinds(check(checker, mine, Origin(year(1000)), now)) == [Delete]
        now, before = checker.next_time(), now
    assert now - before > AFTER_FAILURE_S


def test_a_primary_that_was_silent_for_long_is_asked_within_an_hour() -> None:
    checker, view, now = make_checker(), view_of(year(10)), 10.0
    for _ in range(10):
        checker.begin(CheckSession({"archive": view}, NOW, Scope(summaries=False)), now)
        while checker.phase == "checking":
            now = checker.next_time()
            checker.on_tick(now)
        assert checker.next_time() - now <= LONGEST_FAILURE_PAUSE_S
        now = checker.next_time()


def test_a_busy_primary_is_asked_again_and_a_silent_one_given_up_for_a_while() -> None:
    checker, view = make_checker(), view_of(year(10))
    session: Callable[[], CheckSession] = lambda: CheckSession({"archive": view}, NOW, Scope(summaries=False))  # noqa: E731
    (asked,) = checker.begin(session(), 10.0)
    assert isinstance(asked, AskCheck)
    checker.on_error(ErrorAnswer(STREAM, asked.message.correlation or b"", "busy", 2), 11.0)
    now, questions = checker.next_time(), 0
    while checker.phase == "checking":
        questions += len(checker.on_tick(now))
        now = checker.next_time()
    assert questions == 5
    assert "nobody answers" in (checker.trouble or "")


def test_a_copy_that_is_not_proven_so_far_and_our_own_answers_prove_nothing() -> None:
    for stand_in in (StandIn("replicate/response/other", NOW - 300), StandIn(REPLY, NOW + 300)):
        checker = make_checker()
        assert check(checker, year(10), Origin(year(10)), 10.0, stand_in=stand_in) == []
        assert checker.counts["unproven"] == 1
    proven = StandIn("replicate/response/other", NOW)
    assert kinds(check(make_checker(), year(10), Origin(year(10)), 10.0, stand_in=proven)) == [Proven]


def test_a_check_ends_with_its_connection() -> None:
    checker = make_checker()
    checker.begin(CheckSession({"archive": view_of({})}, NOW, Scope(summaries=False)), 10.0)
    checker.on_disconnected()
    assert checker.next_time() == float("inf")
    assert checker.on_tick(1e9) == []


def test_an_answer_has_its_time_from_when_the_question_went_out() -> None:
    checker, view = make_checker(), view_of(year(10))
    checker.begin(CheckSession({"archive": view, "summary": view}, NOW, Scope(summaries=False)), 10.0)
    checker.on_asked(30.0)
    assert not checker.on_tick(33.0)
    assert kinds(checker.on_tick(37.0)) == [AskCheck]
