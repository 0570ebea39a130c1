"""The requester's brain and a version 1 primary that listens on one of the two request topics."""

import pytest

from samesky.station.messages import RecordMessage
from samesky.station.requester import Action, Ask, Asking, Requester
from samesky.station.stream_v1 import QUIET_S, UNANSWERED_S

START = 1_700_000_100
TOPICS = ("replicate/request/home", "replicate/request")


def record(number: int) -> RecordMessage:
    return RecordMessage("home/wx_binding", {"dateTime": START + 300 * number, "usUnits": 1, "interval": 5}, live=False)


def topics(actions: list[Action]) -> list[str]:
    return [action.message.topic for action in actions if isinstance(action, Ask)]


def make_requester() -> Requester:
    asking = Asking(reply_to="replicate/response/copy", request_topics=TOPICS)
    return Requester("home/wx_binding", 0, asking=asking, random=lambda: 0.5)


@pytest.mark.parametrize("listens", TOPICS)
def test_it_goes_on_asking_on_the_topic_that_was_answered(listens: str) -> None:
    requester, now = make_requester(), 1_000.0
    asked = topics(requester.on_connected(now))
    while asked != [listens]:
        now = requester.next_time()
        asked = topics(requester.on_tick(now))
    for first in range(0, 30, 3):  # each stream loses its second half
        for number in (first, first + 1, first + 2, first + 40):
            requester.on_message(record(number), now)
        now += QUIET_S
        assert topics(requester.on_tick(now)) == [listens]


def test_it_tries_the_other_topic_when_the_answer_was_to_an_earlier_request() -> None:
    requester, now = make_requester(), 1_000.0
    requester.on_connected(now)
    now = requester.next_time()
    assert topics(requester.on_tick(now)) == [TOPICS[1]]
    for number in (0, 1, 40):  # the instance's topic was answered, late
        requester.on_message(record(number), now)
    assert topics(requester.on_tick(now + QUIET_S)) == [TOPICS[1]]
    assert topics(requester.on_tick(now + QUIET_S + UNANSWERED_S)) == [TOPICS[0]]
    assert requester.taken == START + 300
