"""The broker in memory: deterministic, and as unreliable as it is told to be."""

import pytest

from samesky.link.memory import MemoryBroker, MemoryLink
from samesky.link.message import Arrived, Connected, Disconnected, Event, Link, Message, Published, Subscription


class Client:
    """A link, what it saw, and whether it acknowledges at once."""

    def __init__(
        self, broker: MemoryBroker, name: str, *topics: str, qos: int = 1, acknowledge: bool = True, **more: int
    ) -> None:
        self.events: list[Event] = []
        self.acknowledges = acknowledge
        self.link: MemoryLink = broker.link(name, [Subscription(topic, qos) for topic in topics], self.take, **more)
        self.link.start()

    def take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Arrived) and self.acknowledges:
            self.link.acknowledge(event.message)

    @property
    def messages(self) -> list[Message]:
        return [event.message for event in self.events if isinstance(event, Arrived)]

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


def publish_numbers(client: Client, topic: str, count: int) -> None:
    for number in range(count):
        assert client.link.publish(Message(topic, b"%d" % number))


def test_nothing_happens_before_time_passes() -> None:
    broker = MemoryBroker(1, delay_s=(1, 1))
    client = Client(broker, "a")
    assert client.events == []
    assert broker.next_time() == 1
    broker.advance(0.9)
    assert client.events == []
    broker.advance(1)
    assert client.events == [Connected(False, broker.max_packet_bytes)]
    assert broker.now == 1
    assert broker.next_time() is None


def test_it_is_a_link_and_a_context() -> None:
    broker = MemoryBroker(1)
    seen: list[Event] = []
    link: Link = broker.link("a", [], seen.append)
    with link:
        broker.advance(0)
        assert link.connected
        assert link.publish(Message("b", b""), timeout_s=60)
    assert seen[-1] == Disconnected("closed", final=True)
    assert not link.publish(Message("b", b""))
    broker.advance(100)
    assert len(seen) == 2


def test_what_is_published_arrives_as_it_is_after_the_delay() -> None:
    broker = MemoryBroker(1, delay_s=(2, 2))
    a, b = Client(broker, "a"), Client(broker, "b", "topic")
    broker.advance(2)
    message = Message(
        "topic", b"1", response_topic="r", correlation=b"c", content_type="t", properties=(("x", "y"),), expiry_s=9
    )
    assert a.link.publish(message)
    broker.advance(3.9)
    assert b.messages == []
    assert not a.link.drain(0)
    broker.advance(4)
    assert b.messages == [message]
    assert a.link.drain(0)


@pytest.mark.parametrize(
    ("wanted", "topic", "fits"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/b", "a/b", True),
        ("+", "a/b", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/load", False),
        ("+/load", "$SYS/load", False),
        ("$SYS/#", "$SYS/load", True),
        ("a/+/c", "a//c", True),
    ],
)
def test_wildcards_are_those_of_mqtt(wanted: str, topic: str, fits: bool) -> None:
    broker = MemoryBroker(1)
    client = Client(broker, "a", wanted)
    broker.advance(0)
    client.link.publish(Message(topic, b""))
    broker.advance(0)
    assert bool(client.messages) == fits


def test_overlapping_subscriptions_deliver_once_with_the_better_qos() -> None:
    broker = MemoryBroker(1)
    seen: list[Event] = []
    link = broker.link("a", [Subscription("a/#", 0), Subscription("a/b", 1)], seen.append)
    link.start()
    broker.advance(0)
    link.publish(Message("a/b", b""))
    broker.advance(0)
    assert [event.message.qos for event in seen if isinstance(event, Arrived)] == [1]


def test_a_shared_subscription_gives_each_message_to_one_in_turn_and_only_to_who_is_there() -> None:
    broker = MemoryBroker(1)
    clients = [Client(broker, name, "$share/group/work/+") for name in "ab"]
    other = Client(broker, "c", "$share/others/work/+")
    broker.advance(0)
    publish_numbers(clients[0], "work/1", 10)
    broker.advance(0)
    assert [len(client.messages) for client in clients] == [5, 5]
    assert len(other.messages) == 10
    broker.drop("b", for_s=100)
    publish_numbers(clients[0], "work/1", 10)
    broker.advance(1)
    assert [len(client.messages) for client in clients] == [15, 5]


def run_history(seed: int) -> list[bytes]:
    broker = MemoryBroker(seed, loss=0.2, duplicate=0.2, delay_s=(0.01, 1.0))
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t")
    broker.advance(1)
    publish_numbers(sender, "t", 60)
    broker.advance(1.3)
    broker.drop("b")
    broker.advance(100)
    return receiver.payloads


def test_a_history_follows_from_its_seed() -> None:
    assert run_history(7) == run_history(7)
    assert run_history(7) != run_history(8)


def test_messages_are_lost_doubled_and_disordered() -> None:
    payloads = run_history(1)
    numbers = [int(payload) for payload in payloads]
    assert len(set(payloads)) < 60
    assert len(payloads) > len(set(payloads))
    assert numbers != sorted(numbers)


def test_without_chances_nothing_is_lost_doubled_or_disordered() -> None:
    broker = MemoryBroker(1)
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t")
    broker.advance(0)
    publish_numbers(sender, "t", 60)
    broker.advance(0)
    assert [int(payload) for payload in receiver.payloads] == list(range(60))
    assert broker.dropped == 0


def test_a_full_window_refuses() -> None:
    broker = MemoryBroker(1, delay_s=(1, 1))
    client = Client(broker, "a", window=2)
    broker.advance(1)
    assert [client.link.publish(Message("t", b"")) for _ in range(3)] == [True, True, False]
    assert client.link.publish(Message("t", b"", qos=0))
    broker.advance(2)
    assert client.link.publish(Message("t", b""))


def test_what_the_broker_has_acknowledged_is_told_when_asked_for() -> None:
    broker = MemoryBroker(1, delay_s=(1, 1))
    asked, quiet = Client(broker, "a", tell_published=True), Client(broker, "b")
    broker.advance(1)
    publish_numbers(asked, "told", 2)
    publish_numbers(quiet, "told", 2)
    assert not any(isinstance(event, Published) for event in asked.events)
    broker.advance(2)
    assert [event.message.payload for event in asked.events if isinstance(event, Published)] == [b"0", b"1"]
    assert not any(isinstance(event, Published) for event in quiet.events)


def test_what_the_real_link_refuses_is_refused_here() -> None:
    broker = MemoryBroker(1, max_packet_bytes=100)
    client = Client(broker, "a")
    assert not client.link.publish(Message("t", b""))
    broker.advance(0)
    assert client.link.max_packet_bytes == 100
    assert not client.link.publish(Message("t", b"x" * 100))
    with pytest.raises(ValueError, match="wildcard"):
        client.link.publish(Message("#", b""))


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not() -> None:
    broker = MemoryBroker(1)
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t", acknowledge=False)
    broker.advance(0)
    publish_numbers(sender, "t", 3)
    broker.advance(0)
    old = receiver.messages
    receiver.link.acknowledge(old[0])
    broker.drop("b", for_s=1)
    broker.advance(1)
    assert receiver.payloads == [b"0", b"1", b"2", b"1", b"2"]
    assert receiver.events[-3] == Connected(True, broker.max_packet_bytes)
    receiver.link.acknowledge(old[1])  # of the older connection: without effect
    broker.drop("b", for_s=1)
    broker.advance(2)
    assert len(receiver.payloads) == 7


def test_acknowledgements_wait_for_all_earlier_ones() -> None:
    broker = MemoryBroker(1)
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t", acknowledge=False)
    broker.advance(0)
    publish_numbers(sender, "t", 2)
    broker.advance(0)
    receiver.link.acknowledge(receiver.messages[1])
    broker.drop("b", for_s=1)
    broker.advance(1)
    assert receiver.payloads == [b"0", b"1", b"0", b"1"]


def test_no_more_than_receive_maximum_come_unacknowledged() -> None:
    broker = MemoryBroker(1)
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t", acknowledge=False, receive_maximum=2)
    broker.advance(0)
    publish_numbers(sender, "t", 5)
    broker.advance(0)
    assert receiver.payloads == [b"0", b"1"]
    receiver.link.acknowledge(receiver.messages[0])
    broker.advance(0)
    assert receiver.payloads == [b"0", b"1", b"2"]


def test_a_client_that_was_away_gets_what_was_kept_for_it_up_to_the_queue() -> None:
    broker = MemoryBroker(1, queue=3)
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t")
    broker.advance(0)
    broker.drop("b", for_s=10)
    publish_numbers(sender, "t", 5)
    sender.link.publish(Message("t", b"qos 0", qos=0))
    broker.advance(10)
    assert receiver.payloads == [b"0", b"1", b"2"]
    assert broker.dropped == 2


def test_a_message_older_than_its_expiry_is_not_delivered() -> None:
    broker = MemoryBroker(1)
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t")
    broker.advance(0)
    broker.drop("b", for_s=10)
    sender.link.publish(Message("t", b"short", expiry_s=5))
    sender.link.publish(Message("t", b"long", expiry_s=50))
    broker.advance(10)
    assert receiver.payloads == [b"long"]


def test_a_client_that_was_never_there_gets_nothing() -> None:
    broker = MemoryBroker(1)
    sender = Client(broker, "a")
    broker.advance(0)
    publish_numbers(sender, "t", 1)
    late = Client(broker, "b", "t")
    broker.advance(1)
    assert late.messages == []


@pytest.mark.parametrize("forget", [True, False])
def test_a_restarted_broker_remembers_unless_it_forgets(forget: bool) -> None:
    broker = MemoryBroker(1)
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t", acknowledge=False)
    broker.advance(0)
    publish_numbers(sender, "t", 2)
    broker.advance(0)
    broker.restart(forget=forget, for_s=1)
    assert not sender.link.connected
    broker.advance(1)
    assert [event.session_present for event in receiver.events if isinstance(event, Connected)] == [False, not forget]
    assert receiver.payloads == ([b"0", b"1"] if forget else [b"0", b"1", b"0", b"1"])


def test_what_the_broker_had_not_acknowledged_is_sent_again() -> None:
    broker = MemoryBroker(1, delay_s=(1, 1))
    sender, receiver = Client(broker, "a"), Client(broker, "b", "t")
    broker.advance(1)
    publish_numbers(sender, "t", 1)
    broker.drop("a", for_s=5)
    broker.advance(20)
    assert receiver.payloads == [b"0", b"0"]
    assert sender.link.drain(0)


def test_an_answer_from_inside_on_event_goes_out() -> None:
    broker = MemoryBroker(1)
    answers: list[Event] = []
    asking = broker.link("asking", [Subscription("answer")], answers.append)

    def answer(event: Event) -> None:
        if isinstance(event, Arrived):
            answering.publish(Message("answer", event.message.payload))
            answering.acknowledge(event.message)

    answering = broker.link("answering", [Subscription("question")], answer)
    asking.start()
    answering.start()
    broker.advance(0)
    asking.publish(Message("question", b"?"))
    broker.advance(0)
    assert isinstance(answers[-1], Arrived)


def test_what_on_event_raises_reaches_the_test() -> None:
    broker = MemoryBroker(1)

    def fail(event: Event) -> None:
        raise LookupError

    broker.link("a", [], fail).start()
    with pytest.raises(LookupError):
        broker.advance(0)


def test_a_closed_client_keeps_its_session_for_the_next_of_its_name() -> None:
    broker = MemoryBroker(1)
    sender, first = Client(broker, "a"), Client(broker, "b", "t")
    broker.advance(0)
    first.link.close()
    publish_numbers(sender, "t", 2)
    broker.advance(1)
    second = Client(broker, "b", "t")
    broker.advance(2)
    assert first.messages == []
    assert second.payloads == [b"0", b"1"]


def test_closing_during_a_reconnection_is_final() -> None:
    broker = MemoryBroker(1)
    client = Client(broker, "a")
    broker.advance(0)
    broker.drop("a", for_s=1)
    client.link.close()
    broker.advance(5)
    assert client.events[-1] == Disconnected("closed", final=True)
