"""The window: bounded, in order, and not held up for ever by one message."""

from samesky.link.message import Message
from samesky.link.window import MOST_ATTEMPTS, Window


def make_window(most: int = 4, *, receive_maximum: int = 65_535, messages: int = 0) -> Window:
    window = Window(most)
    window.connection_began(receive_maximum, 1000)
    for number in range(messages):
        window.add(Message(f"t/{number}", b""), 10)
    return window


def send_all(window: Window) -> list[str]:
    topics = []
    while waiting := window.next_unsent():
        slot, message = waiting
        window.sent(slot, 100 + slot)
        topics.append(message.topic)
    return topics


def test_it_has_room_for_so_many_and_no_more_until_one_is_acknowledged() -> None:
    window = make_window(2, messages=2)
    assert not window.has_room
    send_all(window)
    acknowledged = window.acknowledged(100)
    assert acknowledged
    assert acknowledged.topic == "t/0"
    assert window.has_room


def test_the_brokers_receive_maximum_is_the_limit_if_it_is_lower() -> None:
    assert not make_window(10, receive_maximum=2, messages=2).has_room


def test_what_is_not_acknowledged_is_sent_again_in_order_on_the_next_connection() -> None:
    window = make_window(messages=3)
    send_all(window)
    window.acknowledged(101)
    assert window.connection_ended() is None
    window.connection_began(65_535, 1000)
    assert send_all(window) == ["t/0", "t/2"]


def test_a_smaller_receive_maximum_after_reconnecting_holds_the_rest_back() -> None:
    window = make_window(messages=4)
    send_all(window)
    window.connection_ended()
    window.connection_began(1, 1000)
    assert send_all(window) == ["t/0"]
    window.acknowledged(100)
    assert send_all(window) == ["t/1"]


def test_what_is_too_large_for_the_broker_that_came_back_is_dropped_and_named() -> None:
    window = make_window(messages=1)
    window.connection_ended()
    assert [message.topic for message in window.connection_began(65_535, 9)] == ["t/0"]
    assert len(window) == 0


def test_a_message_that_ends_every_connection_is_dropped_and_the_others_stay() -> None:
    window = make_window(messages=2)
    dropped = None
    for _ in range(MOST_ATTEMPTS):
        assert dropped is None
        send_all(window)
        dropped = window.connection_ended()
        window.connection_began(65_535, 1000)
    assert dropped is not None
    assert dropped.topic == "t/0"
    assert send_all(window) == ["t/1"]


def test_an_acknowledgement_of_something_else_changes_nothing() -> None:
    window = make_window(messages=1)
    assert window.acknowledged(9) is None
    assert len(window) == 1
