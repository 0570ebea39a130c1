"""The publisher knows which announcements the broker has taken, and says why it hasn't taken others."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.errors import DataError, Unreachable
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Arrived, Connected, Event, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.mesh.publish import ReadFile, enter_files, make_message
from samesky.mesh.publisher import Publisher
from samesky.mesh.v03 import decode_v03
from stands.ports import free_port
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

NOW_NS = 1_700_000_000_000_000_000
URL = "http://blacklab:8000/data"


class Hearer:
    """Somebody who subscribes to everything."""

    def __init__(self, settings: MqttSettings) -> None:
        self.messages: list[Message] = []
        self._subscribed = threading.Event()
        self._link = MqttLink(settings, [Subscription("#")], self._on_event)

    def _on_event(self, event: Event) -> None:
        match event:
            case Connected():
                self._subscribed.set()
            case Arrived(message):
                self.messages.append(message)
                self._link.acknowledge(message)

    def __enter__(self) -> "Hearer":
        self._link.start()
        assert self._subscribed.wait(60)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._link.close()


def settings_for(port: int, **more: object) -> MqttSettings:
    return MqttSettings(client_id=f"publisher-{len(more)}", host="127.0.0.1", port=port, session_expiry_s=0, **more)


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """It lets `owner` write below `xpublic/open` alone."""
    acl = "user owner\ntopic write xpublic/v03/post/open/#\n"
    with MosquittoBroker(dir=tmp_path / "strict", users={"owner": "right"}, acl=acl) as running:
        yield running


def messages(count: int, directory: str = "open") -> list[Message]:
    file = ReadFile("", 6, NOW_NS, hashlib.sha512(b"hello\n").digest())
    files = [ReadFile(f"{directory}/{number}", file.size, file.mtime_ns, file.sha512) for number in range(count)]
    return [make_message(each, exchange="xpublic") for each in enter_files(None, files, base_url=URL)]


def test_every_announcement_is_acknowledged_by_the_broker_and_heard(broker: MosquittoBroker) -> None:
    with Hearer(MqttSettings("hearer", "127.0.0.1", broker.port)) as hearer:
        with Publisher(settings_for(broker.port, window=500)) as publisher:
            publisher.wait_until_connected(60)
            for message in messages(500):
                publisher.publish(message, 60)
            publisher.finish(60)
            assert publisher.taken == 500
        wait_for(lambda: len(hearer.messages) == 500, 60)
    assert len({decode_v03(each.payload, now_ns=1 << 62).path for each in hearer.messages}) == 500


def test_a_broker_that_is_not_there_is_told_after_the_time(tmp_path: Path) -> None:
    port = free_port()
    with Publisher(settings_for(port)) as publisher:
        wait_for(lambda: publisher.trouble, 60)
        with pytest.raises(Unreachable, match=f"broker at 127.0.0.1:{port} can't be reached: .*refused"):
            publisher.wait_until_connected(0.1)
        with pytest.raises(Unreachable, match="takes nothing"):
            publisher.publish(messages(1)[0], 0.3)


def test_a_wrong_password_is_told_at_once_and_never_shown(strict_broker: MosquittoBroker) -> None:
    with Publisher(settings_for(strict_broker.port, username="owner", password="geheim")) as publisher:
        with pytest.raises(Unreachable, match="password") as raised:
            publisher.wait_until_connected(100_000)
        assert "geheim" not in str(raised.value)


def test_what_the_broker_refuses_is_counted_and_the_rest_is_announced(strict_broker: MosquittoBroker) -> None:
    with Publisher(settings_for(strict_broker.port, username="owner", password="right")) as publisher:
        publisher.wait_until_connected(60)
        for message in [*messages(5), *messages(3, "closed"), *messages(2)]:
            publisher.publish(message, 60)
        with pytest.raises(Unreachable, match=r"didn't take 3 of 10 announcements: .*Not authorized"):
            publisher.finish(60)
        assert publisher.taken == 7


def test_what_a_broker_takes_in_after_its_restart_is_announced(broker: MosquittoBroker) -> None:
    with Publisher(settings_for(broker.port)) as publisher:
        publisher.wait_until_connected(60)
        broker.kill()
        starter = threading.Timer(0.5, broker.start)
        starter.start()
        for message in messages(3):
            publisher.publish(message, 60)
        publisher.finish(60)
        assert publisher.taken == 3
        starter.join()


def test_a_message_that_is_too_large_for_the_broker_is_told(tmp_path: Path) -> None:
    with (
        MosquittoBroker(dir=tmp_path / "small", options=["max_packet_size 2000"]) as small,
        Publisher(settings_for(small.port)) as publisher,
    ):
        publisher.wait_until_connected(60)
        with pytest.raises(DataError, match="takes no message of"):
            publisher.publish(Message("xpublic/v03/post", b"x" * 3000), 60)
        publisher.finish(60)
