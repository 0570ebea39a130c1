"""Many messages at once over the MQTT link: all of them, in order, and without making others wait."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stands.waiting import wait_for

from samesky.link.broker import MosquittoBroker
from samesky.link.frames import FrameReader, encode_frame
from samesky.link.message import Arrived, Connected, Denied, Disconnected, Event, Message, Published, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.link.tls import TlsSettings

pytestmark = pytest.mark.slow

OPTIONS = ["max_queued_messages 100000", "max_inflight_messages 1000"]
CONNACK = encode_frame(0x20, b"\x00\x00\x00")


@pytest.fixture(params=["tcp", "tls"])
def over(request: pytest.FixtureRequest, certificates: Path) -> Iterator[tuple[MosquittoBroker, dict[str, object]]]:
    """A broker, and the settings that a link to it needs."""
    ours = TlsSettings(ca_file=f"{certificates}/ca.pem")
    theirs = TlsSettings(cert_file=f"{certificates}/server.pem", key_file=f"{certificates}/server.key")
    is_tls = request.param == "tls"
    with MosquittoBroker(options=OPTIONS, tls=theirs if is_tls else None) as broker:
        yield broker, {"tls": ours} if is_tls else {}


def acknowledge_all(link_of: list[MqttLink]):
    def take(event: Event) -> None:
        if isinstance(event, Arrived):
            link_of[0].acknowledge(event.message)

    return take


def open_echo(open_link, broker: MosquittoBroker, settings: dict[str, object]):
    """A link that hears what it says, and acknowledges it."""
    links: list[MqttLink] = []
    link = open_link(broker.port, "a", wait=False, on_event=acknowledge_all(links), **settings)
    links.append(link)
    link.seen.wait_for(Connected)
    return link


def test_thousands_of_all_sizes_arrive_whole_and_in_order(over, open_link) -> None:
    broker, settings = over
    link = open_echo(open_link, broker, settings)
    sizes = [0, 1, 117, 118, 119, 400, 16_370, 16_380, 65_500, 65_530, 65_540, 200_000] * 20 + [400] * 3000
    sent = [(b"%06d" % number * (size // 6 + 1))[:size] for number, size in enumerate(sizes)]
    for payload in sent:
        assert link.publish(Message("a", payload), timeout_s=30)
    came = link.seen.wait_for_messages(len(sent), deadline_s=60)
    assert [message.payload for message in came] == sent
    assert link.drain(30)
    assert not link.seen.of(Disconnected)


def test_a_broker_that_reads_nothing_for_a_while_gets_all_in_order(over, open_link) -> None:
    broker, settings = over
    link = open_echo(open_link, broker, settings)
    assert broker.pid
    os.kill(broker.pid, signal.SIGSTOP)
    sent = [b"%03d" % number * 100_000 for number in range(60)]  # more than the buffers of TCP hold
    assert all(link.publish(Message("a", payload)) for payload in sent)
    taken = 0
    while link.publish(Message("b", b"x" * 300_000, qos=0)):
        taken += 1
    assert taken
    os.kill(broker.pid, signal.SIGCONT)
    came = link.seen.wait_for_messages(len(sent), deadline_s=60)
    assert [message.payload for message in came] == sent
    assert link.drain(30)
    wait_for(lambda: link.publish(Message("b", b"", qos=0)), 30, what="room for QoS 0")
    assert not link.seen.of(Disconnected)


def test_a_thousand_in_flight_are_each_told_once_or_denied_once(open_link) -> None:
    acl = "user station\ntopic readwrite ours/#\n"
    with MosquittoBroker(users={"station": "right"}, acl=acl, options=OPTIONS) as broker:
        link = open_link(
            broker.port, username="station", password="right", window=1000, tell_published=True, client_id="teller"
        )
        messages = [Message("theirs/a" if number % 100 == 7 else f"ours/{number}", b"") for number in range(3000)]
        for message in messages:
            assert link.publish(message, timeout_s=30)
        assert link.drain(30)
        # Of the last one the network's thread tells a moment after the broker has settled it.
        link.seen.wait_for(Published, count=2970)
        told = [event.message for event in link.seen.of(Published)]
        assert told == [message for message in messages if message.topic != "theirs/a"]
        assert link.seen.of(Denied) == [Denied("theirs/a", "publish", "the broker refused it: Not authorized")]


def test_closing_at_the_first_of_many_is_the_end_of_events_and_the_others_come_again(open_link) -> None:
    with MosquittoBroker(options=OPTIONS) as broker:
        keep_fifty(broker, open_link)
        came: list[Event] = []

        def close(event: Event) -> None:
            came.append(event)
            if isinstance(event, Arrived):
                link.acknowledge(event.message)
                link.close()

        link = MqttLink(MqttSettings("late", port=broker.port), [Subscription("a")], close)
        link.start()
        wait_for(lambda: came and isinstance(came[-1], Disconnected), 30)
        assert [type(event) for event in came] == [Connected, Arrived, Disconnected]
        again = open_link(broker.port, "a", client_id="late")
        payloads = [message.payload for message in again.seen.wait_for_messages(49)]
        assert payloads == [b"%d" % number for number in range(1, 50)]


def keep_fifty(broker: MosquittoBroker, open_link) -> None:
    """Let the broker keep 50 messages for the client ``late``."""
    open_link(broker.port, "a", client_id="late").close()
    sender = open_link(broker.port, client_id="sender")
    for number in range(50):
        assert sender.publish(Message("a", b"%d" % number), timeout_s=30)
    assert sender.drain(30)


def test_what_was_answered_goes_out_while_the_application_is_slow_with_what_came_with_it(open_link) -> None:
    """Fifty come at once. Each takes a while, and the answer to the first doesn't wait for the last."""
    with MosquittoBroker(options=OPTIONS) as broker:
        keep_fifty(broker, open_link)
        watcher = open_link(broker.port, "answer", client_id="watcher")
        slowness = threading.Event()
        turns: list[int] = []

        def answer(event: Event) -> None:
            if isinstance(event, Arrived):
                link.publish(Message("answer", event.message.payload))
                link.acknowledge(event.message)
                slowness.wait(0.01)
                if len(turns) == 40:  # what went out by then may have a while to get there
                    watcher.seen.wait_for(Arrived)
                turns.append(len(watcher.seen.of(Arrived)))

        link = MqttLink(MqttSettings("late", port=broker.port), [Subscription("a")], answer)
        with link:
            wait_for(lambda: len(turns) == 50, 30)
            assert link.drain(30)
        assert 0 < turns[40] <= 41


def test_what_one_thread_holds_together_holds_up_no_other_thread(open_link, monkeypatch) -> None:
    monkeypatch.setattr("samesky.link.connection.TICK_S", 60.0)
    with MosquittoBroker(options=OPTIONS) as broker:
        link = open_link(broker.port, "a")
        with link.together():
            with link.together():
                assert link.publish(Message("a", b"held"))
            other = threading.Thread(target=link.publish, args=(Message("a", b"at once"),))
            other.start()
            assert len(link.seen.wait_for_messages(2)) == 2
            other.join(30)


def test_a_full_window_inside_of_together_is_sent_to_make_room(open_link, monkeypatch) -> None:
    monkeypatch.setattr("samesky.link.connection.TICK_S", 60.0)
    with MosquittoBroker(options=OPTIONS) as broker:
        link = open_link(broker.port, "a", window=2)
        with link.together():
            assert all(link.publish(Message("a", b"%d" % number), timeout_s=30) for number in range(7))
        assert link.drain(30)
        link.seen.wait_for_messages(7)


def test_a_silent_link_keeps_itself_alive(open_link, caplog) -> None:
    caplog.set_level("DEBUG", logger="samesky")
    with MosquittoBroker() as broker:
        link = open_link(broker.port, keepalive_s=1, log_mqtt=True)
        wait_for(lambda: caplog.text.count("Received PINGRESP") >= 2, 30)
        assert not link.seen.of(Disconnected)


def test_a_packet_larger_than_we_said_we_take_ends_the_connection_and_says_so(open_link) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = open_link(server.getsockname()[1], wait=False, max_packet_bytes=10_000)
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(CONNACK + encode_frame(0x30, bytes(20_000)))
            reason = link.seen.wait_for(Disconnected).reason
            assert "a packet of 20004 bytes came, and we take 10000" in reason


def test_every_packet_is_whole_and_in_order_for_a_broker_that_reads_a_little_at_a_time(open_link) -> None:
    """A broker of our own: it acknowledges everything, and sends as well, so that all kinds of packets mix."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        links: list[MqttLink] = []
        link = open_link(server.getsockname()[1], wait=False, on_event=acknowledge_all(links), receive_maximum=500)
        links.append(link)
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(CONNACK)
            link.seen.wait_for(Connected)
            publishes = b"".join(
                encode_frame(0x32, b"\x00\x01t" + mid.to_bytes(2, "big") + b"\x00x") for mid in range(1, 301)
            )
            assert all(link.publish(Message("a", b"%02d" % number * 20_000)) for number in range(50))
            connection.sendall(publishes)
            link.seen.wait_for_messages(300)
            payloads, acknowledged = read_slowly(connection)
        assert payloads == [b"%02d" % number * 20_000 for number in range(50)]
        assert acknowledged == list(range(1, 301))
        assert not [event for event in link.seen.of(Disconnected) if "MQTT" in event.reason]


def read_slowly(connection: socket.socket) -> tuple[list[bytes], list[int]]:
    """The payloads of 50 PUBLISHes, and the identifiers of 300 PUBACKs."""
    connection.settimeout(10)
    reader = FrameReader(1 << 20)
    payloads: list[bytes] = []
    acknowledged: list[int] = []
    deadline = time.monotonic() + 30
    while (len(payloads) < 50 or len(acknowledged) < 300) and time.monotonic() < deadline:
        for command, body in reader.take(connection.recv_into(reader.room[:1500])):
            if command >> 4 == 3:
                payloads.append(bytes(body[6:]))
                connection.sendall(encode_frame(0x40, body[3:5]))
            else:
                assert command == 0x40
                acknowledged.append(int.from_bytes(body, "big"))
    return payloads, acknowledged
