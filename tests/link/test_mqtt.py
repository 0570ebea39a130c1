"""The MQTT link against a real mosquitto."""

import base64
import hashlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.stands.waiting import wait_for

from samesky.link import mqtt
from samesky.link.broker import MosquittoBroker
from samesky.link.child_process import find_free_port
from samesky.link.connection import HANDSHAKE_TIMEOUT_S
from samesky.link.message import Arrived, Connected, Denied, Disconnected, Event, Link, Message, Published, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.link.tls import TlsSettings
from samesky.link.wire import Wire

DYNAMIC_SECURITY = Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[MosquittoBroker]:
    with MosquittoBroker() as broker:
        yield broker


@pytest.fixture
def private(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A broker that the test may stop and kill."""
    with MosquittoBroker(dir=tmp_path / "broker") as broker:
        yield broker


def signal_broker(broker: MosquittoBroker, what: signal.Signals) -> None:
    assert broker.pid
    os.kill(broker.pid, what)


# Connecting


def test_connected_comes_after_the_subscriptions_are_in_place(mosquitto, open_link) -> None:
    link = open_link(mosquitto.port, "first/+", "second/#")
    assert link.connected
    assert link.publish(Message("second/a/b", b"1"))
    assert link.seen.wait_for(Arrived).message.payload == b"1"


def test_everything_in_a_message_arrives(mosquitto, open_link) -> None:
    link = open_link(mosquitto.port, "all/#")
    sent = Message(
        "all/of it",
        b"\0\xff payload",
        response_topic="replicate/response/a",
        correlation=b"\0\1",
        expiry_s=1000,
        content_type="application/vnd.sqlite3",
        properties=(("samesky", "2"), ("again", "ä"), ("again", "🌦")),
    )
    assert link.publish(sent)
    assert link.seen.wait_for(Arrived).message == sent


def test_it_is_a_link() -> None:
    link: Link = MqttLink(MqttSettings("a"), [], print)
    link.close()
    assert link.client_id == "a"


def test_the_socket_does_not_wait_to_fill_packets(mosquitto, open_link, monkeypatch) -> None:
    """Nagle's algorithm, waiting for TCP's delayed acknowledgement, would take 40 ms of each request and answer."""
    opened: list[socket.socket] = []
    open_wire = Wire.open

    def keep(wire: Wire, sock: socket.socket) -> None:
        open_wire(wire, sock)
        opened.append(sock)

    monkeypatch.setattr(Wire, "open", keep)
    open_link(mosquitto.port)
    assert [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in opened] == [1]


def test_a_link_to_a_broker_that_comes_later_connects_by_itself(open_link, tmp_path) -> None:
    port = find_free_port()
    link = open_link(port, "a", wait=False)
    assert "is the broker running there?" in link.seen.wait_for(Disconnected).reason
    assert not link.publish(Message("a", b""))
    with MosquittoBroker(port=port, dir=tmp_path):
        link.seen.wait_for(Connected)


def test_a_host_that_does_not_exist_is_an_event_not_an_exception(open_link) -> None:
    link = open_link(1883, host="nowhere.invalid", wait=False)
    assert "nowhere.invalid:1883" in link.seen.wait_for(Disconnected).reason


def test_something_that_is_no_broker_is_described(open_link) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = open_link(server.getsockname()[1], wait=False)
        connection, _ = server.accept()
        connection.recv(100)
        connection.close()
        assert "is it an MQTT broker" in link.seen.wait_for(Disconnected).reason


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x20\x03\x00\x00",
        b"\x20\xff\xff\xff\xff\x01",
        b"\x30\x05\xff\xff\xff\xff\xff",
        b"\x20\x05\x00\x00\x02\x99\x99",
        b"\x20\x03\x00\x00\x00" + b"\x32\x06\x00\x02\xff\xff\x00\x01",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_rubbish_from_a_broker_ends_the_connection_and_nothing_else(rubbish, open_link) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = open_link(server.getsockname()[1], "a", wait=False)
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            assert link.seen.wait_for(Disconnected).reason
        server.accept()[0].close()  # it tries again


# Rights


@pytest.fixture(scope="module")
def guarded() -> Iterator[MosquittoBroker]:
    acl = "user station\ntopic readwrite ours/#\n"
    with MosquittoBroker(users={"station": "right"}, acl=acl) as broker:
        yield broker


def test_a_wrong_password_is_said_in_words_and_tried_again(guarded, open_link) -> None:
    link = open_link(guarded.port, username="station", password="wrong", wait=False)
    ended = link.seen.wait_for(Disconnected)
    assert "check username and password" in ended.reason
    assert not ended.final
    link.seen.wait_for(Disconnected, count=2)


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(MqttSettings("a", password="secret"))


def test_a_forbidden_publish_is_denied_once_and_the_rest_goes_on(guarded, open_link) -> None:
    link = open_link(guarded.port, "ours/a", username="station", password="right")
    for _ in range(5):
        assert link.publish(Message("theirs/a", b""))
    assert link.publish(Message("ours/a", b""))
    link.seen.wait_for(Arrived)
    assert link.drain(30)
    assert link.seen.of(Denied) == [Denied("theirs/a", "publish", "the broker refused it: Not authorized")]


@pytest.mark.skipif(
    not DYNAMIC_SECURITY.exists(), reason="mosquitto's ACL files never refuse a subscription; its plugin does"
)
def test_a_forbidden_subscription_is_denied_and_the_others_work(open_link, tmp_path) -> None:
    salt = b"twelve bytes"
    digest = hashlib.pbkdf2_hmac("sha512", b"right", salt, 101)
    client = {"username": "station", "salt": base64.b64encode(salt).decode(), "iterations": 101}
    allow = {"acltype": "subscribePattern", "topic": "ours/#", "allow": True}
    config = {
        "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True, "subscribe": False},
        "clients": [{**client, "password": base64.b64encode(digest).decode(), "roles": [{"rolename": "reader"}]}],
        "roles": [{"rolename": "reader", "acls": [allow]}],
    }
    path = tmp_path / "rights.json"
    path.write_text(json.dumps(config))
    with MosquittoBroker(options=[f"plugin {DYNAMIC_SECURITY}", f"plugin_opt_config_file {path}"]) as broker:
        link = open_link(broker.port, "theirs/a", "ours/a", username="station", password="right")
        assert link.seen.wait_for(Denied) == Denied("theirs/a", "subscribe", "the broker refused it: Not authorized")
        assert link.publish(Message("ours/a", b"1"))
        assert link.seen.wait_for(Arrived).message.payload == b"1"


# TLS


@pytest.fixture(scope="module")
def tls_broker(certificates: Path) -> Iterator[MosquittoBroker]:
    files = TlsSettings(cert_file=f"{certificates}/server.pem", key_file=f"{certificates}/server.key")
    with MosquittoBroker(tls=files) as broker:
        yield broker


def test_a_megabyte_goes_over_tls_and_back(tls_broker, certificates, open_link) -> None:
    link = open_link(tls_broker.port, "a", tls=TlsSettings(ca_file=f"{certificates}/ca.pem"))
    for _ in range(3):
        assert link.publish(Message("a", b"x" * (1 << 20)), timeout_s=30)
    link.seen.wait_for_messages(3)


def test_a_certificate_of_an_unknown_authority_is_refused(tls_broker, open_link) -> None:
    link = open_link(tls_broker.port, tls=TlsSettings(), wait=False)
    assert "isn't trusted: unable to get local issuer certificate" in link.seen.wait_for(Disconnected).reason


def test_a_certificate_for_another_name_is_refused(tls_broker, certificates, open_link) -> None:
    files = TlsSettings(ca_file=f"{certificates}/ca.pem")
    link = open_link(tls_broker.port, host="127.0.0.1", tls=files, wait=False)
    assert "isn't trusted: IP address mismatch" in link.seen.wait_for(Disconnected).reason


def test_a_port_without_tls_is_described(mosquitto, open_link) -> None:
    link = open_link(mosquitto.port, tls=TlsSettings(), wait=False)
    assert "TLS" in link.seen.wait_for(Disconnected).reason


def test_a_broker_that_wants_a_certificate_gets_ours(certificates, open_link) -> None:
    files = TlsSettings(*(f"{certificates}/{name}" for name in ("ca.pem", "server.pem", "server.key")))
    with MosquittoBroker(tls=files) as broker:
        ours = TlsSettings(*(f"{certificates}/{name}" for name in ("ca.pem", "client.pem", "client.key")))
        assert open_link(broker.port, client_id="with", tls=ours).connected
        without = TlsSettings(ca_file=f"{certificates}/ca.pem")
        link = open_link(broker.port, client_id="without", tls=without, wait=False)
        link.seen.wait_for(Disconnected)
        assert not link.seen.of(Connected)


# Acknowledgement


def test_what_was_not_acknowledged_comes_again_after_a_reconnection(private, open_link) -> None:
    link = open_link(private.port, "a", client_id="careful")
    sender = open_link(private.port, client_id="sender")
    sender.publish(Message("a", b"1"))
    sender.publish(Message("a", b"2"))
    first, _ = link.seen.wait_for_messages(2)
    link.acknowledge(first)
    wait_for(lambda: sender.drain(1), 30)
    link.close()
    again = open_link(private.port, "a", client_id="careful")
    assert again.seen.of(Connected)[0].session_present
    again.acknowledge(again.seen.wait_for_messages(1)[0])
    again.publish(Message("a", b"3"))
    assert [message.payload for message in again.seen.wait_for_messages(2)] == [b"2", b"3"]


def test_acknowledgements_are_held_back_until_all_earlier_ones_are_given(private, open_link) -> None:
    link = open_link(private.port, "a", client_id="careful")
    for number in range(3):
        link.publish(Message("a", b"%d" % number))
    _, second, third = link.seen.wait_for_messages(3)
    link.acknowledge(third)
    link.acknowledge(second)
    link.close()
    again = open_link(private.port, "a", client_id="careful")
    payloads = [message.payload for message in again.seen.wait_for_messages(3)]
    assert payloads == [b"0", b"1", b"2"]


def test_acknowledging_twice_or_from_an_older_connection_does_no_harm(private, open_link) -> None:
    link = open_link(private.port, "a")
    link.publish(Message("a", b"1"))
    [old] = link.seen.wait_for_messages(1)
    private.kill()
    link.seen.wait_for(Disconnected)
    private.start()
    link.seen.wait_for(Connected, count=2)
    ended = len(link.seen.of(Disconnected))  # more than one where the broker took its time to start
    link.publish(Message("a", b"2"))
    new = link.seen.wait_for_messages(2)[1]
    for message in (old, new, new, old, Message("a", b"never arrived")):
        link.acknowledge(message)
    link.publish(Message("a", b"3"))
    # QoS 1: what was on its way when the connection ended may come twice.
    wait_for(lambda: b"3" in [message.payload for message in link.seen.wait_for_messages(3)], 30, what="the third")
    assert len(link.seen.of(Disconnected)) == ended


def test_no_more_than_receive_maximum_come_before_the_first_is_acknowledged(private, open_link) -> None:
    link = open_link(private.port, "a", receive_maximum=2)
    sender = open_link(private.port, client_id="sender")
    for _ in range(3):
        sender.publish(Message("a", b""))
    assert sender.drain(30)
    first, _ = link.seen.wait_for_messages(2)
    link.publish(Message("elsewhere", b""))
    assert link.drain(30)  # the broker has answered us: what it wanted to send before that, it has sent
    assert len(link.seen.of(Arrived)) == 2
    link.acknowledge(first)
    link.seen.wait_for_messages(3)


def test_an_exception_in_on_event_neither_ends_the_thread_nor_keeps_the_message(private, open_link, caplog) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, Arrived):
            raise SystemExit if event.message.payload == b"exit" else ValueError("a fault of the application")

    link = open_link(private.port, "a", client_id="faulty", on_event=fail, receive_maximum=2)
    for payload in (b"1", b"exit", b"3", b"4", b"5"):
        link.publish(Message("a", payload))
    assert len(link.seen.wait_for_messages(5)) == 5
    assert len([record for record in caplog.records if "mqtt_event_failed" in record.message]) == 2
    link.close()
    again = open_link(private.port, "a", client_id="faulty")
    again.publish(Message("a", b"6"))
    assert [message.payload for message in again.seen.wait_for_messages(1)] == [b"6"]


# The window


def test_publish_returns_false_when_the_window_is_full(private, open_link) -> None:
    link = open_link(private.port, window=4)
    signal_broker(private, signal.SIGSTOP)
    assert [link.publish(Message("a", b"")) for _ in range(6)] == [True] * 4 + [False] * 2
    began = time.monotonic()
    assert not link.publish(Message("a", b""), timeout_s=0.2)
    assert time.monotonic() - began >= 0.2
    assert not link.drain(0.05)
    signal_broker(private, signal.SIGCONT)
    assert link.publish(Message("a", b""), timeout_s=30)
    assert link.drain(30)


def test_the_brokers_receive_maximum_is_obeyed(open_link, tmp_path) -> None:
    with MosquittoBroker(dir=tmp_path, options=["max_inflight_messages 3"]) as broker:
        link = open_link(broker.port)
        signal_broker(broker, signal.SIGSTOP)
        assert [link.publish(Message("a", b"")) for _ in range(4)] == [True, True, True, False]
        signal_broker(broker, signal.SIGCONT)
        assert link.drain(30)


def test_what_the_broker_has_acknowledged_is_told_when_asked_for(mosquitto, open_link) -> None:
    asked, quiet = open_link(mosquitto.port, tell_published=True), open_link(mosquitto.port)
    message = Message("told", b"1")
    assert asked.publish(message)
    assert asked.publish(Message("told", b"2", qos=0))
    assert quiet.publish(message)
    assert asked.seen.wait_for(Published).message is message
    assert quiet.drain(30)
    assert asked.drain(30)
    assert len(asked.seen.of(Published)) == 1
    assert quiet.seen.of(Published) == []


@pytest.mark.parametrize("topic", ["ours/a", "theirs/a"])
def test_what_became_of_a_message_is_told_before_it_counts_as_drained(guarded, open_link, topic) -> None:
    going_on, inside = threading.Event(), list[bool]()

    def take(event: Event) -> None:
        if isinstance(event, Published | Denied):
            inside.append(link.drain(0))
            assert going_on.wait(60)

    link = open_link(guarded.port, username="station", password="right", tell_published=True, on_event=take)
    assert link.publish(Message(topic, b""))
    wait_for(lambda: inside, 60)
    assert not link.drain(0)
    going_on.set()
    assert link.drain(60)
    assert inside == [True], "who asks there has been told"


def test_what_is_published_and_acknowledged_together_goes_out_at_its_end(private, open_link) -> None:
    link = open_link(private.port, "together/#", receive_maximum=4)
    sender = open_link(private.port)
    with sender.together():
        for number in range(8):
            assert sender.publish(Message("together/1", b"%d" % number))
    first = link.seen.wait_for_messages(4)
    with link.together():
        for message in first:
            link.acknowledge(message)
    assert [message.payload for message in link.seen.wait_for_messages(8)] == [b"%d" % number for number in range(8)]


def test_a_clean_start_forgets_what_the_broker_kept(private, open_link) -> None:
    open_link(private.port, "kept/#", client_id="forgetful").close()
    sender = open_link(private.port)
    assert sender.publish(Message("kept/1", b"1"))
    assert sender.drain(30)
    link = open_link(private.port, client_id="forgetful", clean_start=True)
    assert not link.seen.wait_for(Connected).session_present
    assert link.seen.of(Arrived) == []
    link.close()
    assert open_link(private.port, client_id="forgetful").seen.wait_for(Connected).session_present


def test_a_packet_larger_than_the_broker_takes_is_refused_here(open_link) -> None:
    with MosquittoBroker(options=["max_packet_size 20000"]) as broker:
        link = open_link(broker.port, "a")
        assert link.max_packet_bytes == 20_000
        assert link.seen.of(Connected)[0].max_packet_bytes == 20_000
        assert not link.publish(Message("a", b"x" * 20_000))
        overhead = 1 + 3 + 2 + 1 + 2 + 1  # type, length, topic's length, topic, packet identifier, no properties
        assert not link.publish(Message("a", b"x" * (20_001 - overhead)))
        assert link.publish(Message("a", b"x" * (20_000 - overhead)))
        link.seen.wait_for(Arrived)


def test_the_broker_keeps_from_us_what_is_larger_than_we_take(mosquitto, open_link) -> None:
    link = open_link(mosquitto.port, "large", max_packet_bytes=10_000)
    sender = open_link(mosquitto.port, client_id="sender")
    sender.publish(Message("large", b"x" * 20_000))
    sender.publish(Message("large", b"small"))
    assert link.seen.wait_for(Arrived).message.payload == b"small"


def test_qos_0_is_refused_when_too_much_of_it_waits(private, open_link) -> None:
    link = open_link(private.port, "a")
    signal_broker(private, signal.SIGSTOP)
    taken = 0
    while link.publish(Message("a", b"x" * 100_000, qos=0)):
        taken += 1
        assert taken < 1000
    assert link.publish(Message("a", b"qos 1 has a window of its own"))
    signal_broker(private, signal.SIGCONT)
    assert link.drain(30)
    wait_for(lambda: link.publish(Message("a", b"", qos=0)), 30, what="room for QoS 0")


def test_qos_0_arrives_and_needs_no_acknowledgement(mosquitto, open_link) -> None:
    link = open_link(mosquitto.port, "zero")
    link.publish(Message("zero", b"x", qos=0))
    message = link.seen.wait_for(Arrived).message
    assert message.qos == 0
    link.acknowledge(message)


def test_publish_inside_on_event_never_waits(private, open_link) -> None:
    results: list[bool] = []

    def publish_much(event: Event) -> None:
        if isinstance(event, Connected):
            results.extend(link.publish(Message("a", b""), timeout_s=60) for _ in range(3))

    link = MqttLink(MqttSettings("inside", port=private.port, window=2), [], publish_much)
    with link:
        wait_for(lambda: len(results) == 3, 30)
        assert results == [True, True, False]
        assert link.drain(30)


def test_what_cannot_be_mqtt_is_a_value_error(mosquitto, open_link) -> None:
    link = open_link(mosquitto.port)
    with pytest.raises(ValueError, match="wildcard"):
        link.publish(Message("a/#", b""))


# Going away and coming back


@pytest.mark.slow
def test_a_broker_that_stands_still_is_noticed_by_keepalive(private, open_link) -> None:
    link = open_link(private.port, keepalive_s=1)
    signal_broker(private, signal.SIGSTOP)
    link.seen.wait_for(Disconnected)
    signal_broker(private, signal.SIGCONT)
    link.seen.wait_for(Connected, count=2)


def test_a_hostile_message_of_many_properties_does_not_stall_the_link(mosquitto, open_link) -> None:
    link = open_link(mosquitto.port, "hostile")
    sender = open_link(mosquitto.port, client_id="hostile-sender")
    assert sender.publish(Message("hostile", b"", properties=(("", ""),) * 10_000))
    assert sender.publish(Message("hostile", b"good"))
    messages = link.seen.wait_for_messages(2, deadline_s=20)
    assert messages[1].payload == b"good"
    assert len(messages[0].properties) > 32


def test_what_paho_logs_is_there_when_asked_for(mosquitto, open_link, caplog) -> None:
    caplog.set_level("DEBUG", logger="samesky")
    link = open_link(mosquitto.port, "logged", username="name", password="secret-word", log_mqtt=True)
    link.publish(Message("logged", b"payload of it"))
    link.seen.wait_for(Arrived)
    assert "Sending PUBLISH" in caplog.text
    assert "mqtt_received" in caplog.text
    assert "secret-word" not in caplog.text
    assert "payload of it" not in caplog.text


def test_a_restarted_broker_is_found_again_and_the_subscriptions_are_renewed(private, open_link) -> None:
    link = open_link(private.port, "a")
    private.kill()
    assert not link.seen.wait_for(Disconnected).final
    assert not link.connected
    assert not link.publish(Message("a", b""), timeout_s=0)
    private.start()
    assert not link.seen.wait_for(Connected, count=2).session_present
    assert link.publish(Message("a", b"1"))
    link.seen.wait_for(Arrived)


def test_what_the_broker_had_not_acknowledged_is_sent_again(private, open_link) -> None:
    link = open_link(private.port, "a")
    signal_broker(private, signal.SIGSTOP)
    for number in range(3):
        assert link.publish(Message("a", b"%d" % number))
    private.kill()
    private.start()
    assert [message.payload for message in link.seen.wait_for_messages(3)] == [b"0", b"1", b"2"]
    assert link.drain(30)


def test_a_thread_that_waits_for_a_slot_is_let_go_when_the_connection_ends(private, open_link) -> None:
    link = open_link(private.port, window=1)
    signal_broker(private, signal.SIGSTOP)
    assert link.publish(Message("a", b""))
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(link.publish(Message("a", b""), timeout_s=60)))
    waiting.start()
    private.kill()
    waiting.join(30)
    assert answers == [False]


@pytest.mark.slow
def test_delays_between_attempts_grow_and_differ(open_link, caplog) -> None:
    """Of each link the first is logged; how long it really waited, the network's thread sees itself."""
    caplog.set_level("WARNING", logger="samesky")
    times: list[list[float]] = [[] for _ in range(4)]
    links = [
        open_link(
            1, client_id=f"late-{number}", wait=False, on_event=lambda _, each=each: each.append(time.monotonic())
        )
        for number, each in enumerate(times)
    ]
    for link in links:
        link.seen.wait_for(Disconnected, count=3)
        link.close()
    logged = re.findall(r"client=late-\d retry_s=([\d.]+)", caplog.text)
    assert len(logged) == 4
    assert all(0.5 <= float(delay_s) <= 1.0 for delay_s in logged)
    assert all(each[1] - each[0] >= 0.5 for each in times)
    assert all(each[2] - each[1] >= 1.0 for each in times)
    first = [each[1] - each[0] for each in times]
    assert max(first) - min(first) > 0.01


def test_a_client_id_used_twice_is_described(mosquitto, open_link) -> None:
    first = open_link(mosquitto.port, client_id="twice")
    open_link(mosquitto.port, client_id="twice")
    words = "does another program connect as client_id twice?"
    # A connection that lasted for seconds, as when the second begins late, is no sign of it yet.
    wait_for(lambda: any(ended.reason.endswith(words) for ended in first.seen.of(Disconnected)), 60, what=words)


def test_a_broker_that_accepts_and_says_nothing_does_not_hold_up_closing(open_link) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = open_link(server.getsockname()[1], wait=False)
        server.accept()
        began = time.monotonic()
        link.close()
        assert time.monotonic() - began < HANDSHAKE_TIMEOUT_S / 2


def test_closing_is_prompt_while_the_host_does_not_answer(open_link) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        link = open_link(port, wait=False)
        began = time.monotonic()
        link.close()
        assert time.monotonic() - began < 4  # paho waits 5 s for a host
        for filler in fillers:
            filler.close()


def test_closing_is_prompt_while_waiting_for_the_next_attempt_and_is_the_last_event(open_link, monkeypatch) -> None:
    monkeypatch.setattr(mqtt, "FIRST_DELAY_S", 60.0)
    link = open_link(1, wait=False)
    link.seen.wait_for(Disconnected)
    link.close()
    link.seen.wait_for(Disconnected, count=2, deadline_s=20)  # the next attempt would be in half a minute
    assert link.seen.events[-1] == Disconnected("closed", final=True)
    with pytest.raises(RuntimeError, match="closed"):
        link.start()


def test_closing_sends_what_was_published_and_tells_the_broker(private, open_link) -> None:
    watcher = open_link(private.port, "a", client_id="watcher")
    with MqttLink(MqttSettings("short", port=private.port), [], lambda event: None) as link:
        wait_for(lambda: link.connected, 30)
        link.publish(Message("a", b"last words"))
    assert watcher.seen.wait_for(Arrived).message.payload == b"last words"
    wait_for(lambda: "Client short disconnected." in private.log_file.read_text(), 30)


def test_closing_inside_on_event_ends_the_link(mosquitto) -> None:
    seen: list[Event] = []

    def close(event: Event) -> None:
        seen.append(event)
        link.close()

    link = MqttLink(MqttSettings("suicidal", port=mosquitto.port), [], close)
    link.start()
    wait_for(lambda: seen and seen[-1] == Disconnected("closed", final=True), 30)


def test_threads_have_the_name_of_their_client_and_go_with_it(mosquitto, open_link) -> None:
    def names() -> list[str]:
        return [thread.name for thread in threading.enumerate()]

    link = open_link(mosquitto.port, client_id="named")
    assert names().count("samesky-mqtt-named") == 1
    assert not [name for name in names() if name.startswith("paho")]
    link.close()
    wait_for(lambda: "samesky-mqtt-named" not in names(), 30, what="the end of the thread")


def test_many_threads_may_publish_at_once(mosquitto, open_link) -> None:
    """paho itself lets publishing threads write between each other's packets."""
    link = open_link(mosquitto.port, "many/#", window=16)

    def count_to_100(name: int) -> None:
        for number in range(100):
            assert link.publish(Message(f"many/{name}", b"%d " % number + b"x" * 20_000), timeout_s=30)

    def acknowledge_all() -> None:
        for number in range(400):
            link.acknowledge(link.seen.wait_for_messages(number + 1, deadline_s=60)[number])

    threads = [threading.Thread(target=count_to_100, args=(name,)) for name in range(4)]
    threads.append(threading.Thread(target=acknowledge_all))
    run_all(threads)
    for name in range(4):
        numbers = [
            int(each.message.payload.split()[0])
            for each in link.seen.of(Arrived)
            if each.message.topic == f"many/{name}"
        ]
        assert numbers == list(range(100))
    assert not link.seen.of(Disconnected)


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_a_topic_that_two_share_is_answered_by_one(mosquitto, open_link) -> None:
    left = open_link(mosquitto.port, "$share/us/work", client_id="left")
    right = open_link(mosquitto.port, "$share/us/work", client_id="right")
    for number in range(10):
        left.publish(Message("work", b"%d" % number))
    both: Callable[[], int] = lambda: len(left.seen.of(Arrived)) + len(right.seen.of(Arrived))  # noqa: E731
    wait_for(lambda: both() == 10, 30)
    assert left.seen.of(Arrived)
    assert right.seen.of(Arrived)


def test_subscriptions_may_be_none(mosquitto) -> None:
    seen: list[Event] = []
    with MqttLink(MqttSettings("quiet", port=mosquitto.port), [], seen.append) as link:
        wait_for(lambda: link.connected, 30)
    assert seen[0] == Connected(session_present=False, max_packet_bytes=link.max_packet_bytes)


def test_qos_2_is_taken_as_qos_1(mosquitto) -> None:
    seen: list[Event] = []
    with MqttLink(MqttSettings("two", port=mosquitto.port), [Subscription("two", 2)], seen.append) as link:
        wait_for(lambda: link.connected, 30)
        link.publish(Message("two", b"", qos=2))
        wait_for(lambda: any(isinstance(event, Arrived) for event in seen), 30)
        assert link.drain(30)
    assert [event.message.qos for event in seen if isinstance(event, Arrived)] == [1]
