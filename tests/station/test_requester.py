"""The requester's brain, question by question."""

import math
from typing import Any

import pytest

from samesky.link.message import Message
from samesky.station.description import Description
from samesky.station.messages import DescriptionAnswer, ErrorAnswer, PageAnswer, RecordMessage, SummaryMessage
from samesky.station.requester import (
    CHECK_INTERVAL_S,
    FEWEST_PAGE_BYTES,
    LONGEST_PAUSE_S,
    Action,
    Ask,
    Asking,
    Insert,
    Prepare,
    Requester,
    Store,
)
from samesky.station.requests import decode_request

STREAM = "home/wx_binding"
TOPICS = ("replicate/request/home", "replicate/request")
DESCRIPTION = Description((), (), 1, 300, (), 9, 300, 9000, "abc", ("test/json",))


@pytest.fixture
def brain() -> Requester:
    return Requester(STREAM, 0, asking=Asking("replicate/response/copy", TOPICS), random=lambda: 0.5)


def asked(actions: list[Action]) -> Message:
    (message,) = [action.message for action in actions if isinstance(action, Ask)]
    return message


def page(question: Message, *, after: int, last: int, newest: int, origin: str = "abc") -> PageAnswer:
    return PageAnswer(STREAM, question.correlation or b"", after, int(last > after), last, newest, origin, "x", b"x")


def live(time: int, *, previous: int | None, origin: str = "abc") -> RecordMessage:
    return RecordMessage(STREAM, {"dateTime": time, "usUnits": 1, "interval": 5}, True, previous, origin)


def described(brain: Requester, *, position: int = 0, now: float = 0.0) -> Message:
    """Connect, and let the primary describe itself; returns the question for the first page."""
    question = asked(brain.on_connected(now))
    assert decode_request(question).op == "describe"
    assert brain.on_message(DescriptionAnswer(STREAM, question.correlation or b"", DESCRIPTION), now) == [
        Prepare(DESCRIPTION)
    ]
    return asked(brain.on_prepared(DESCRIPTION, position=position, accepts=("x",), summaries=True, now=now))


def caught_up(brain: Requester) -> None:
    question = described(brain, position=9000)
    brain.on_message(page(question, after=9000, last=9000, newest=9000), 0.1)
    assert brain.phase == "live"


def test_the_next_page_is_asked_for_before_this_one_is_stored(brain: Requester) -> None:
    question = described(brain)
    actions = brain.on_message(page(question, after=0, last=3000, newest=9000), 1.0)
    assert [type(action) for action in actions] == [Ask, Store]
    assert decode_request(asked(actions)).after == 3000
    assert not brain.caught_up


def test_the_page_that_reaches_the_newest_record_ends_the_catch_up(brain: Requester) -> None:
    question = described(brain)
    assert [type(a) for a in brain.on_message(page(question, after=0, last=9000, newest=9000), 1.0)] == [Store]
    assert brain.caught_up
    assert brain.next_time() == pytest.approx(1.0 + CHECK_INTERVAL_S)
    assert decode_request(asked(brain.on_tick(brain.next_time()))).after == 9000


def test_nothing_is_due_while_disconnected_or_stopped(brain: Requester) -> None:
    assert brain.next_time() == math.inf
    described(brain)
    assert brain.next_time() < 10
    brain.on_disconnected()
    assert (brain.next_time(), brain.on_tick(1e9)) == (math.inf, [])
    described(brain)
    brain.stop("somebody has to decide")
    assert (brain.next_time(), brain.on_tick(1e9), brain.on_connected(0.0)) == (math.inf, [], [])
    brain.on_failed(5, "late", 0.0)
    assert brain.phase == "stopped"


def test_silence_makes_it_ask_again_for_less_later_and_on_the_other_topic(brain: Requester) -> None:
    question = described(brain)
    topics, sizes, waits, now = [question.topic], [decode_request(question).max_bytes], [], 0.0
    for _ in range(3):
        waits.append(brain.next_time() - now)
        now = brain.next_time()
        question = asked(brain.on_tick(now))
        topics.append(question.topic)
        sizes.append(decode_request(question).max_bytes)
    assert topics == [TOPICS[0], TOPICS[1], TOPICS[0], TOPICS[1]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == FEWEST_PAGE_BYTES
    assert waits == sorted(waits)
    assert "nobody answers" in str(brain.trouble)
    assert decode_request(asked(brain.on_tick(brain.next_time()))).op == "describe"


def test_an_answer_to_an_earlier_try_counts(brain: Requester) -> None:
    first = described(brain)
    brain.on_tick(brain.next_time())
    assert brain.on_message(page(first, after=0, last=9000, newest=9000), 20.0)
    assert brain.taken == 9000


def test_an_answer_that_nobody_awaits_is_counted_and_dropped(brain: Requester) -> None:
    question = described(brain)
    brain.on_message(page(question, after=0, last=9000, newest=9000), 1.0)
    assert brain.on_message(page(question, after=0, last=9000, newest=9000), 1.0) == []
    assert brain.counts["uncorrelated"] == 1


def test_busy_means_the_same_again_after_the_pause_that_was_asked_for(brain: Requester) -> None:
    question = described(brain)
    assert brain.on_message(ErrorAnswer(STREAM, question.correlation or b"", "busy", 4), 1.0) == []
    assert brain.next_time() == 5.0
    again = asked(brain.on_tick(5.0))
    assert (again.topic, decode_request(again).max_bytes) == (question.topic, decode_request(question).max_bytes)
    assert brain.counts["timeout"] == 0


def test_not_found_is_said_and_asked_again_ever_more_rarely(brain: Requester) -> None:
    question, now, waits = described(brain), 0.0, []
    for _ in range(5):
        brain.on_message(ErrorAnswer(STREAM, question.correlation or b"", "not_found", 2), now)
        assert "not_found" in str(brain.trouble)
        waits.append(brain.next_time() - now)
        now = brain.next_time()
        question = asked(brain.on_tick(now))
    assert waits == sorted(waits)
    assert waits[-1] >= 30


def test_no_error_makes_it_wait_for_more_than_ten_minutes(brain: Requester) -> None:
    question = described(brain)
    brain.on_message(ErrorAnswer(STREAM, question.correlation or b"", "failed", 86_400), 0.0)
    assert brain.next_time() <= 900


def test_a_failure_at_the_copy_makes_it_ask_from_what_is_stored_soon_and_for_little(brain: Requester) -> None:
    question = described(brain)
    brain.on_message(page(question, after=0, last=3000, newest=9000), 1.0)
    now = 1.0
    for _ in range(6):
        brain.on_failed(0, "the disk is full", now)
        assert now < brain.next_time() <= now + LONGEST_PAUSE_S
        now = brain.next_time()
        question = asked(brain.on_tick(now))
        brain.on_message(DescriptionAnswer(STREAM, question.correlation or b"", DESCRIPTION), now)
        question = asked(brain.on_prepared(DESCRIPTION, position=0, accepts=("x",), summaries=True, now=now))
        assert (decode_request(question).after, decode_request(question).max_bytes) == (0, 2 * FEWEST_PAGE_BYTES)
        brain.on_message(page(question, after=0, last=3000, newest=9000), now)


def test_what_was_asked_before_the_connection_was_lost_may_still_be_answered_and_does_no_harm(
    brain: Requester,
) -> None:
    question = described(brain)
    brain.on_disconnected()
    assert brain.on_message(page(question, after=0, last=9000, newest=9000), 1.0) == []
    assert brain.taken == 0
    described(brain, position=6000, now=2.0)
    assert not any(isinstance(a, Store) for a in brain.on_message(page(question, after=0, last=9000, newest=9000), 3.0))
    assert brain.taken == 6000


def test_a_live_record_that_follows_is_inserted_at_once(brain: Requester) -> None:
    caught_up(brain)
    assert brain.on_message(live(9300, previous=9000), 1.0) == [Insert(live(9300, previous=9000))]
    assert brain.taken == 9300


def test_a_live_record_that_leaves_a_hole_is_asked_for_instead(brain: Requester) -> None:
    caught_up(brain)
    actions = brain.on_message(live(9600, previous=9300), 1.0)
    assert [type(action) for action in actions] == [Ask]
    assert decode_request(asked(actions)).after == 9000
    assert brain.phase == "catching-up"


def test_a_live_record_during_a_catch_up_makes_it_ask_once_more(brain: Requester) -> None:
    question = described(brain)
    assert brain.on_message(live(9300, previous=9000), 1.0) == []
    actions = brain.on_message(page(question, after=0, last=9000, newest=9000), 2.0)
    assert [type(action) for action in actions] == [Ask, Store]


def test_a_late_record_is_inserted_without_moving_the_position(brain: Requester) -> None:
    caught_up(brain)
    assert brain.on_message(live(8901, previous=8900), 1.0) == [Insert(live(8901, previous=8900))]
    assert brain.taken == 9000


def test_a_primary_that_speaks_before_it_has_said_who_it_is_is_asked_again_at_once(brain: Requester) -> None:
    brain.on_connected(0.0)
    assert brain.on_message(live(9300, previous=9000), 0.1) == []  # the answer may be on its way
    question = asked(brain.on_message(live(9300, previous=9000), 1.0))
    assert decode_request(question).op == "describe"
    assert brain.on_message(SummaryMessage(STREAM, 9300, "abc", b"x"), 1.1) == []
    answer = DescriptionAnswer(STREAM, question.correlation or b"", DESCRIPTION)
    assert brain.on_message(answer, 1.2) == [Prepare(DESCRIPTION)]


@pytest.mark.parametrize("kind", ["page", "live"])
def test_another_origin_makes_it_ask_for_a_description(brain: Requester, kind: str) -> None:
    caught_up(brain)
    if kind == "live":
        actions = brain.on_message(live(9300, previous=9000, origin="other"), 1.0)
    else:
        question = asked(brain.on_tick(brain.next_time()))
        actions = brain.on_message(page(question, after=9000, last=9300, newest=9300, origin="other"), 1.0)
    assert decode_request(asked(actions)).op == "describe"
    assert brain.taken == 9000


def test_a_version_1_record_turns_it_into_a_follower_of_version_1_and_back(brain: Requester) -> None:
    asked(brain.on_connected(0.0))
    record = RecordMessage(STREAM, {"dateTime": 9000, "usUnits": 1, "interval": 5}, False)
    assert brain.on_message(record, 1.0) == [Insert(record)]
    assert brain.phase == "version-1"
    assert not brain.caught_up
    assert brain.on_tick(brain.next_time()) == []
    assert brain.caught_up
    question = asked(brain.on_tick(brain.next_time()))
    assert (question.payload, decode_request(question).version) == (b"9000", 1)
    actions = brain.on_message(live(9300, previous=9000), 9000.0)
    assert decode_request(asked(actions)).op == "describe"
    assert brain.next_time() < 9100.0


def test_a_version_1_record_where_version_2_was_agreed_is_refused(brain: Requester) -> None:
    caught_up(brain)
    assert brain.on_message(live(9300, previous=None), 1.0) == []
    assert (brain.counts["uninvited"], brain.taken) == (1, 9000)


def test_every_request_is_a_decimal_number_whatever_else_it_says(brain: Requester) -> None:
    messages: list[Any] = [asked(brain.on_connected(0.0)), described(brain, position=1_700_000_000)]
    assert [message.payload for message in messages] == [b"0", b"1700000000"]
