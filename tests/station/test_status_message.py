"""Status messages: what is in one, what is taken from one, and when one is published."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.config import Findings, Options
from samesky.core.status import Snapshot
from samesky.core.strict import Reason, Refused
from samesky.link.memory import MemoryBroker
from samesky.link.message import Arrived, Connected, Denied, Event, Link, Message, OnEvent, Subscription
from samesky.station.state import State
from samesky.station.status_message import (
    Presence,
    StreamStatus,
    decode_status,
    encode_presence,
    encode_status,
)
from samesky.station.status_publishing import REFRESH_S, StatusPublishing
from samesky.station.status_settings import OPTIONS, StatusSettings, read_status_settings

TOPIC, CLIENT, NOW = "replicate/status", "copy-1", 1_700_000_000.0
COPY = Snapshot(
    stream="home/wx_binding",
    role="requester",
    state="live",
    position=1_699_999_800,
    newest=1_699_999_800,
    behind=0,
    lag_s=200.0,
    proven_at=NOW - 60,
    proven_through=1_699_999_800,
    proven_count=5,
    different=False,
    since=NOW - 100,
)
PRIMARY = Snapshot(stream="home/wx_binding", role="responder", state="live", newest=1_699_999_800)
STREAM_TOPIC = f"{TOPIC}/home/wx_binding/copy/{CLIENT}"
PRESENCE_TOPIC = f"{TOPIC}/{CLIENT}"


class Stand:
    """A role's link to a broker in memory, what it publishes of its status, and what a listener hears of it."""

    def __init__(self, settings: StatusSettings | None = None, *, state: State | None = None) -> None:
        self.broker = MemoryBroker(1, reconnect_s=(0.0, 0.0))
        self.now = 0.0
        self.heard: list[Message] = []
        self.events: list[Event] = []
        self.listener = self.broker.link("listener", [Subscription("#")], self._hear)
        self.listener.start()
        self.status = StatusPublishing(settings or StatusSettings(), CLIENT, state=state, timer=lambda: self.now)
        self.link = self.status.around(self._make_link)((), self.events.append)
        self.link.start()
        self.pass_time(0.0)

    def _make_link(self, subscriptions: tuple[Subscription, ...], on_event: OnEvent) -> Link:
        self.on_event = on_event
        return self.broker.link(CLIENT, subscriptions, on_event)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Arrived):
            self.heard.append(event.message)
            self.listener.acknowledge(event.message)

    def tell(self, *snapshots: Snapshot) -> list[str]:
        """Tell; the topics on which something came."""
        self.heard.clear()
        self.status.tell(snapshots, NOW + self.now)
        self.pass_time(0.0)
        return [message.topic for message in self.heard]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.broker.advance(self.broker.now + seconds)

    def reconnect(self) -> None:
        self.broker.drop(CLIENT)
        self.pass_time(0.0)


# What is in a message


def test_a_status_message_says_how_the_stream_is_and_what_to_think_of_it() -> None:
    message = encode_status(TOPIC, COPY, CLIENT, NOW)
    assert message.topic == STREAM_TOPIC
    assert message.retain
    told = json.loads(message.payload)
    assert told | COPY.as_dict() == told
    assert (told["level"], told["words"], told["same"], told["problem"]) == ("good", "the same", True, False)
    assert told["times"] == {
        "at": "2023-11-14T22:13:20+00:00",
        "since": "2023-11-14T22:11:40+00:00",
        "newest": "2023-11-14T22:10:00+00:00",
        "proven_at": "2023-11-14T22:12:20+00:00",
    }


def test_what_is_told_is_what_is_taken() -> None:
    for snapshot in (COPY, PRIMARY, replace(COPY, last_error="the disk is full", hint="Make room.", different=True)):
        taken = decode_status(TOPIC, encode_status(TOPIC, snapshot, CLIENT, NOW))
        assert taken == StreamStatus(CLIENT, snapshot, NOW)
    for online in (True, False):
        assert decode_status(TOPIC, encode_presence(TOPIC, CLIENT, online=online)) == Presence(CLIENT, online)


@pytest.mark.parametrize(
    ("topic", "change", "reason"),
    [
        (STREAM_TOPIC, {"stream": "home/other"}, Reason.SCOPE),
        (STREAM_TOPIC, {"role": "responder"}, Reason.SCOPE),
        (STREAM_TOPIC, {"system": "mesh"}, Reason.SCOPE),
        (STREAM_TOPIC, {"role": "nobody"}, Reason.RANGE),
        (STREAM_TOPIC, {"at": "now"}, Reason.TYPE),
        (STREAM_TOPIC, {"at": True}, Reason.TYPE),
        (STREAM_TOPIC, {"at": -1}, Reason.TYPE),
        (STREAM_TOPIC, {"behind": "many"}, Reason.TYPE),
        (STREAM_TOPIC, {"hint": "a\nb"}, Reason.TYPE),
        (STREAM_TOPIC, {"last_error": "x" * 70_000}, Reason.SIZE),
        (f"{TOPIC}/home/wx_binding/thief/{CLIENT}", {}, Reason.NAME),
        (f"{TOPIC}/home/wx_binding/copy", {}, Reason.NAME),
        (f"{TOPIC}/home/wx_binding/copy/{CLIENT}/more", {}, Reason.NAME),
        (f"{TOPIC}//wx_binding/copy/{CLIENT}", {}, Reason.NAME),
        (PRESENCE_TOPIC, {}, Reason.SHAPE),
    ],
)
def test_a_status_message_that_is_not_one_is_refused(topic: str, change: dict[str, object], reason: Reason) -> None:
    payload = json.dumps(json.loads(encode_status(TOPIC, COPY, CLIENT, NOW).payload) | change).encode()
    with pytest.raises(Refused) as refused:
        decode_status(TOPIC, Message(topic, payload))
    assert refused.value.reason is reason


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b"\xff", b"1e999", b'{"stream": "a", "stream": "b"}'])
def test_rubbish_is_refused_as_a_status(payload: bytes) -> None:
    with pytest.raises(Refused):
        decode_status(TOPIC, Message(STREAM_TOPIC, payload))


# When one is published


def test_who_is_there_is_told_with_the_first_status_and_after_each_reconnection() -> None:
    stand = Stand()
    assert stand.tell(COPY) == [PRESENCE_TOPIC, STREAM_TOPIC]
    assert stand.heard[0].payload == b"online"
    assert stand.tell(COPY) == []
    stand.reconnect()
    assert stand.tell(COPY) == [PRESENCE_TOPIC, STREAM_TOPIC]


def test_nothing_is_told_without_a_connection() -> None:
    stand = Stand()
    stand.link.close()
    assert stand.tell(COPY) == []


@pytest.mark.parametrize(
    "change", [{"state": "stopped"}, {"different": True}, {"last_error": "broken"}, {"last_error": "a", "hint": "b"}]
)
def test_what_a_person_wants_to_know_is_told_at_once(change: dict[str, object]) -> None:
    stand = Stand()
    stand.tell(COPY)
    assert stand.tell(replace(COPY, **change)) == [STREAM_TOPIC]  # type: ignore[arg-type]


def test_progress_is_told_every_ten_seconds_at_most() -> None:
    stand = Stand()
    stand.tell(COPY)
    told = []
    for second in range(1, 31):
        stand.pass_time(1.0)
        told += stand.tell(replace(COPY, stored=second))
    assert told == [STREAM_TOPIC] * 3


def test_what_stays_as_it_is_is_told_every_five_minutes() -> None:
    stand = Stand()
    stand.tell(COPY)
    told = []
    for _ in range(62):
        stand.pass_time(10.0)
        told += stand.tell(replace(COPY, lag_s=COPY.lag_s + stand.now))  # type: ignore[operator]
    assert told == [STREAM_TOPIC] * 2


def test_a_goodbye_says_what_the_will_would_have_said() -> None:
    stand = Stand()
    stand.tell(COPY)
    stand.heard.clear()
    stand.status.say_goodbye()
    stand.pass_time(0.0)
    assert [(message.topic, message.payload) for message in stand.heard] == [(PRESENCE_TOPIC, b"offline")]
    assert encode_presence(TOPIC, CLIENT, online=False).retain


def test_what_the_broker_does_not_want_is_no_trouble_and_tried_again_on_the_next_connection(caplog) -> None:
    stand = Stand()
    stand.tell(COPY)
    stand.events.clear()
    stand.on_event(Denied(STREAM_TOPIC, "publish", "Not authorized"))
    stand.on_event(Denied(PRESENCE_TOPIC, "will", "Not authorized"))
    assert stand.events == []
    assert stand.tell(replace(COPY, state="stopped")) == []
    assert [record.message.split()[0] for record in caplog.records] == ["status_denied"]
    stand.reconnect()
    assert stand.tell(COPY) == [PRESENCE_TOPIC, STREAM_TOPIC]


def test_denials_of_other_topics_are_handed_on() -> None:
    stand = Stand()
    denied = Denied("replicate/archive", "publish", "Not authorized")
    stand.on_event(denied)
    assert stand.events == [Connected(False, 2 << 20), denied]


def test_a_stream_that_is_no_more_is_cleared_at_the_broker(tmp_path: Path) -> None:
    other = replace(COPY, stream="home/other")
    Stand(state=State(tmp_path)).tell(COPY, other)
    later = Stand(state=State(tmp_path))
    cleared = f"{TOPIC}/home/other/copy/{CLIENT}"
    assert later.tell(COPY) == [cleared, PRESENCE_TOPIC, STREAM_TOPIC]
    assert later.heard[0].payload == b""
    later.reconnect()  # before it is sure that the broker has it
    assert later.tell(COPY) == [cleared, PRESENCE_TOPIC, STREAM_TOPIC]
    later.pass_time(REFRESH_S)
    later.tell(COPY)
    assert Stand(state=State(tmp_path)).tell(COPY) == [PRESENCE_TOPIC, STREAM_TOPIC]


def test_status_messages_that_were_turned_off_are_cleared_and_come_no_more(tmp_path: Path) -> None:
    Stand(state=State(tmp_path)).tell(COPY)
    stand = Stand(StatusSettings(enabled=False), state=State(tmp_path))
    assert stand.tell(COPY) == [PRESENCE_TOPIC, STREAM_TOPIC]
    assert [message.payload for message in stand.heard] == [b"", b""]
    assert stand.tell(replace(COPY, state="stopped")) == []
    stand.heard.clear()
    stand.status.say_goodbye()
    stand.pass_time(0.0)
    assert stand.heard == []


def test_a_full_link_has_the_status_wait() -> None:
    stand = Stand()
    while stand.link.publish(Message("page", b"")):
        pass
    stand.status.tell([COPY], NOW)
    stand.pass_time(0.0)
    assert stand.tell(COPY) == [PRESENCE_TOPIC, STREAM_TOPIC]


# The options, and the page that tells of all this


def test_the_options_are_read_with_every_mistake() -> None:
    findings = Findings()
    told = {"status": "no", "status_topic": "a/#", "home_assistant": "yes", "discovery_prefix": ""}
    settings = read_status_settings(Options(told, "here", findings))
    assert not settings.enabled
    words = [str(each) for each in findings.errors]
    assert len(words) == 3
    for each in ("remove status = false", "status_topic = 'a/#' can't be a topic", "discovery_prefix = ''"):
        assert any(each in word for word in words), words
    assert read_status_settings(Options({}, "here", Findings())) == StatusSettings()
    shown = read_status_settings(Options({"home_assistant": "true", "status_topic": "x/y/"}, "here", Findings()))
    assert shown == StatusSettings(topic="x/y", discovery_prefix="homeassistant")


def test_the_guide_names_the_options_their_defaults_and_what_is_in_a_message() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "status-messages.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in guide.splitlines() if line[:1] == "|"]
    defaults = {row[0].strip("`"): row[1] for row in rows if len(row) == 3}
    expected = {"status": "true", "status_topic": TOPIC, "home_assistant": "false", "discovery_prefix": "homeassistant"}
    assert {name: defaults[name] for name in OPTIONS} == expected
    told = json.loads(encode_status(TOPIC, COPY, CLIENT, NOW).payload)
    members = next(index for index, row in enumerate(rows) if row[0] == "member")
    named = [name for row in rows[members + 2 :] if len(row) == 2 for name in re.findall(r"`(\w+)`", row[0])]
    assert set(named) <= set(told), set(named) - set(told)
    assert len(named) > 20
