"""Status messages through a real mosquitto: what a page elsewhere makes of them, and that they never cost anything."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from samesky.config import Findings, read_toml
from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Arrived, Event, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.following import Following
from samesky.station.serving import Serving
from samesky.station.stanza import read_toml_requester, read_toml_responder
from samesky.station.state import State
from samesky.station.status_publishing import StatusPublishing
from samesky.web.elsewhere import Elsewhere
from samesky.web.noticeboard import Heard
from stands.waiting import wait_for

STREAM = "home/wx_binding"
ACL_WITHOUT_STATUS = """
topic readwrite replicate/request/#
topic readwrite replicate/response/#
topic readwrite replicate/archive/#
topic readwrite replicate/archive
topic readwrite replicate/request
"""

pytestmark = pytest.mark.slow


class Site:
    """A primary and a copy of it, each with a samesky.toml, as `samesky station serve` and `follow` make them."""

    def __init__(self, folder: Path, port: int, *broker: str) -> None:
        self.primary, self.copy = folder / "primary" / "samesky.toml", folder / "copy" / "samesky.toml"
        for path, name, role in ((self.primary, "home", "serve"), (self.copy, "roof", "follow")):
            path.parent.mkdir()
            lines = ["[broker]", f"port = {port}", f'client_id = "{name}"', "session_expiry = 0", *broker]
            lines += [f"[station.{role}.{STREAM.replace('/', '.')}]", 'type = "main"']
            lines += [f'sqlite = "{path.parent / "weewx.sdb"}"']
            path.write_text("\n".join(lines) + "\n")
        write_year(self.primary.parent / "weewx.sdb", count=300, end_time=int(time.time()) - 600)

    @contextmanager
    def serve(self) -> Iterator[Serving]:
        settings = read_toml_responder(read_toml(self.primary), Findings())
        assert settings is not None
        state = State(self.primary.parent)
        status = StatusPublishing(settings.status, settings.mqtt.client_id, state=state)
        with Serving(settings.serve, status.link_to(settings.mqtt), state=state, status=status) as serving:
            yield serving

    @contextmanager
    def follow(self) -> Iterator[Following]:
        settings = read_toml_requester(read_toml(self.copy), Findings())
        assert settings is not None
        state = State(self.copy.parent)
        status = StatusPublishing(settings.status, settings.mqtt.client_id, state=state)
        with Following(settings.follow, status.link_to(settings.mqtt), state=state, status=status) as following:
            yield following


def find(elsewhere: Elsewhere, place: str) -> Heard | None:
    return next((heard for heard in elsewhere.read() if heard.place == place), None)


def wait_until(elsewhere: Elsewhere, place: str, state: str, *, same: bool | None = None) -> Heard:
    def is_so() -> bool:
        heard = find(elsewhere, place)
        return heard is not None and heard.snapshot.state == state and same in (None, heard.snapshot.same)

    wait_for(is_so, 60, what=f"{place} {state}", explain=lambda: str(elsewhere.read()))
    heard = find(elsewhere, place)
    assert heard is not None
    return heard


def retained(port: int, topic: str) -> dict[str, bytes]:
    """What the broker retains below ``topic``: all that comes before an answer to a message of ours."""
    found: dict[str, bytes] = {}
    done: list[str] = []

    def take(event: Event) -> None:
        if isinstance(event, Arrived):
            done.append(event.message.topic)
            if event.message.retain:
                found[event.message.topic] = event.message.payload

    mqtt = MqttSettings("looking", port=port, session_expiry_s=0, clean_start=True)
    with MqttLink(mqtt, [Subscription(topic, 0), Subscription("end", 0)], take) as link:
        wait_for(lambda: link.connected, 30)
        link.publish(Message("end", b""))
        wait_for(lambda: "end" in done, 30)
    return found


def test_a_page_at_the_primary_knows_how_its_copies_are(broker: MosquittoBroker, tmp_path: Path) -> None:
    site = Site(tmp_path, broker.port)
    with site.serve(), Elsewhere([site.primary]) as elsewhere:
        with site.follow():
            heard = wait_until(elsewhere, "roof", "live", same=True)
            assert (heard.snapshot.stream, heard.snapshot.role) == (STREAM, "requester")
            assert heard.age_s(time.time()) < 30
            assert heard.judge(time.time()).level == "good"
            assert find(elsewhere, "home") is None  # that is known by itself
        gone = wait_until(elsewhere, "roof", "disconnected")
        assert gone.snapshot.last_error == "roof has no connection to the broker"
    with Elsewhere([site.copy]) as elsewhere:  # later: it was retained
        wait_until(elsewhere, "home", "disconnected")


def test_a_copy_that_is_killed_is_known_to_be_gone(broker: MosquittoBroker, tmp_path: Path) -> None:
    site = Site(tmp_path, broker.port)
    command = [sys.executable, "-m", "samesky", "station", "follow", "--config", str(site.copy)]
    with site.serve(), Elsewhere([site.primary]) as elsewhere:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(elsewhere, "roof", "live")
            finally:
                process.kill()
        wait_until(elsewhere, "roof", "disconnected")


def count_denials(caplog: pytest.LogCaptureFixture) -> int:
    """How often it was logged that a status message was denied."""
    return sum(record.message.startswith("status_denied") for record in list(caplog.records))


@pytest.mark.parametrize("kind", ["forbidden", "nothing retained"])
def test_a_broker_that_does_not_want_status_messages_still_carries_everything_else(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        acl = ACL_WITHOUT_STATUS if kind == "forbidden" else None
        options = ["retain_available false"] if kind == "nothing retained" else []
        broker = stack.enter_context(MosquittoBroker(acl=acl, options=options))
        site = Site(tmp_path, broker.port)
        serving, following = stack.enter_context(site.serve()), stack.enter_context(site.follow())
        wait_for(lambda: following.snapshots()[0].same is True, 30, what="the same")
        for snapshot in (*serving.snapshots(), *following.snapshots()):
            assert (snapshot.state, snapshot.last_error) == ("live", None)
        wait_for(lambda: count_denials(caplog) >= 2, 30, what="what both say")
    assert count_denials(caplog) == 2  # once each


def test_a_stream_that_is_followed_no_more_is_forgotten_by_the_broker(broker: MosquittoBroker, tmp_path: Path) -> None:
    site = Site(tmp_path, broker.port, "home_assistant = true")
    with site.serve(), site.follow(), Elsewhere([site.primary]) as elsewhere:
        wait_until(elsewhere, "roof", "live")
        wait_for(lambda: len(retained(broker.port, "homeassistant/device/#")) == 2, 30, what="what both tell of")
    kept = retained(broker.port, "#")
    assert kept["replicate/status/roof"] == b"offline"
    site.copy.write_text(site.copy.read_text().replace("home_assistant = true", "status = false"))
    with site.follow():
        wait_for(
            lambda: not [topic for topic in retained(broker.port, "#") if "roof" in topic],
            30,
            explain=lambda: str(retained(broker.port, "#")),
        )
    assert sorted(topic for topic in retained(broker.port, "#") if topic.startswith("replicate/")) == [
        "replicate/status/home",
        f"replicate/status/{STREAM}/primary/home",
    ]


def test_hostile_status_messages_change_nothing_and_end(broker: MosquittoBroker, tmp_path: Path) -> None:
    site = Site(tmp_path, broker.port)
    topic = f"replicate/status/{STREAM}/copy"
    with Elsewhere([site.primary]) as elsewhere, MqttLink(MqttSettings("evil", port=broker.port), [], print) as evil:
        wait_for(lambda: evil.connected, 30)
        for number in range(300):
            evil.publish(Message(f"{topic}/evil{number}", b"\xff" * number, retain=True), timeout_s=30)
            evil.publish(Message(f"replicate/status/evil{number}", b"maybe"), timeout_s=30)
        evil.publish(Message(f"{topic}/large", b"x" * 200_000), timeout_s=30)
        with site.follow():
            wait_until(elsewhere, "roof", "waiting")
        assert len(elsewhere.read()) == 1
