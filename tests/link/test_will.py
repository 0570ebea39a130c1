"""Wills and retained messages, against a real mosquitto, and a broker that refuses a connection with a will."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stands.waiting import wait_for

from samesky.link.broker import MosquittoBroker
from samesky.link.message import Arrived, Connected, Denied, Disconnected, Message
from samesky.link.mqtt import MqttLink, MqttSettings

WILL = Message(
    "wills/station", b"gone", retain=True, content_type="text/plain", properties=(("samesky", "2"), ("a", "ä"))
)
NOT_AUTHORIZED = 0x87

DYING = f"""
import os, sys
from samesky.link.message import Connected, Message
from samesky.link.mqtt import MqttLink, MqttSettings

def die(event):
    if isinstance(event, Connected):
        os._exit(9)

will = Message("wills/station", b"gone", retain=True, content_type="text/plain", properties={WILL.properties!r})
link = MqttLink(MqttSettings("dying", port=int(sys.argv[1]), will=will), [], die)
link.start()
link._thread.join(20)
"""


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[MosquittoBroker]:
    with MosquittoBroker() as broker:
        yield broker


def test_the_will_of_a_link_that_dies_is_published_with_everything_in_it(mosquitto, open_link) -> None:
    heir = open_link(mosquitto.port, "wills/#")
    ran = subprocess.run([sys.executable, "-c", DYING, str(mosquitto.port)], timeout=30)
    assert ran.returncode == 9
    came = heir.seen.wait_for(Arrived).message
    assert (came.topic, came.payload, came.content_type) == (WILL.topic, WILL.payload, WILL.content_type)
    assert came.properties == WILL.properties
    late = open_link(mosquitto.port, "wills/#")
    kept = late.seen.wait_for(Arrived).message
    assert (kept.payload, kept.retain) == (b"gone", True)


def test_a_link_that_is_closed_leaves_no_will(mosquitto, open_link) -> None:
    heir = open_link(mosquitto.port, "closed/#")
    leaving = open_link(mosquitto.port, will=Message("closed/will", b"gone"))
    leaving.publish(Message("closed/last", b"bye"))
    leaving.close()
    open_link(mosquitto.port).publish(Message("closed/after", b""))
    assert [message.topic for message in heir.seen.wait_for_messages(2)] == ["closed/last", "closed/after"]


def test_a_will_with_a_delay_is_not_published_when_the_link_is_back_in_time(mosquitto, open_link) -> None:
    heir = open_link(mosquitto.port, "delayed/#")
    first = open_link(mosquitto.port, client_id="back", will=Message("delayed/will", b""), will_delay_s=60)
    second = open_link(mosquitto.port, client_id="back")  # takes over: mosquitto cuts the first one off
    first.seen.wait_for(Disconnected)
    first.close()
    # Where the first was quick enough to connect again, it is the second that has to.
    wait_for(lambda: second.publish(Message("delayed/after", b"")), 60, what="the second link's connection")
    assert heir.seen.wait_for(Arrived).message.topic == "delayed/after"


def test_a_broker_that_keeps_nothing_retained_gets_neither_will_nor_retained_messages(
    open_link, tmp_path: Path
) -> None:
    with MosquittoBroker(dir=tmp_path, options=["retain_available false"]) as broker:
        link = open_link(broker.port, "status/#", will=WILL)
        refused = link.seen.wait_for(Denied)
        assert (refused.topic, refused.action) == (WILL.topic, "will")
        assert "retain" in refused.reason.lower()
        assert not link.retains
        assert link.publish(Message("status/a", b"1", retain=True))
        assert link.seen.wait_for(Arrived).message.payload == b"1"
        assert link.drain(30)
        assert link.connected
        assert link.seen.of(Disconnected) == []


def test_a_broker_that_refuses_a_will_is_connected_to_without_it(open_link) -> None:
    with _Strict(NOT_AUTHORIZED) as strict:
        link = open_link(strict.port, will=WILL, clean_start=True)
        refused = link.seen.wait_for(Denied)
        assert (refused.topic, refused.action) == (WILL.topic, "will")
        assert "Not authorized" in refused.reason
        assert strict.connects == [(True, True), (False, True)]
        assert link.seen.of(Disconnected) == []


def test_a_wrong_password_is_told_as_ever_when_there_is_a_will(open_link) -> None:
    with MosquittoBroker(users={"station": "right"}) as broker:
        link = open_link(broker.port, username="station", password="wrong", will=WILL, wait=False)
        assert "check username and password" in link.seen.wait_for(Disconnected).reason
        assert link.seen.of(Connected) == []


@pytest.mark.parametrize("topic", ["wills/#", "", "a\0b"])
def test_a_will_that_can_not_be_mqtt_is_refused_before_there_is_a_connection(topic: str) -> None:
    with pytest.raises(ValueError, match=r"topic|character"):
        MqttLink(MqttSettings("a", will=Message(topic, b"")), [], print)


def test_the_delay_of_a_will_has_bounds() -> None:
    with pytest.raises(ValueError, match="will_delay_s"):
        MqttLink(MqttSettings("a", will=WILL, will_delay_s=-1), [], print)


class _Strict:
    """A broker that takes no connection with a will; ``connects`` has (with a will, clean start) of each."""

    def __init__(self, code: int) -> None:
        self._code = code
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.connects: list[tuple[bool, bool]] = []
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "_Strict":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        for each in [self._server, *self._open]:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            connect = connection.recv(4096)
            if not connect:
                continue  # the link was closed meanwhile
            flags = connect.split(b"MQTT\x05", 1)[1][0]
            self.connects.append((bool(flags & 4), bool(flags & 2)))
            connection.sendall(bytes([0x20, 3, 0, self._code if flags & 4 else 0, 0]))
