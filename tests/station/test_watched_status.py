"""What is made of the status messages of others: by whom they are, how old, and that they are strangers' words."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from samesky.core.status import Snapshot, judge
from samesky.link.memory import MemoryBroker, MemoryLink
from samesky.link.message import Arrived, Denied, Event, Message, Subscription
from samesky.station import watched_status
from samesky.station.status_message import encode_presence, encode_status
from samesky.station.watched_status import SILENT_AFTER_S, WatchedStatus

TOPIC, NOW = "replicate/status", 1_700_000_000.0
COPY = Snapshot(stream="home/wx_binding", role="requester", state="live", different=False)


class Stand:
    """A page that listens, and a broker that brings it what is put there."""

    def __init__(self, **options: object) -> None:
        self.now = NOW
        self.broker = MemoryBroker(1)
        self.watched = WatchedStatus(self._make_link, TOPIC, ["home"], clock=lambda: self.now, **options)  # type: ignore[arg-type]
        self.watched.__enter__()
        self.sender = self.broker.link("sender", (), lambda _: None, window=5000)
        self.sender.start()
        self.broker.advance(1.0)

    def _make_link(self, subscriptions: tuple[Subscription, ...], on_event: Callable[[Event], None]) -> MemoryLink:
        self.on_event = on_event
        return self.broker.link("page", subscriptions, on_event)

    def put(self, *messages: Message) -> None:
        for message in messages:
            assert self.sender.publish(message)
        self.broker.advance(self.broker.now + 1.0)

    def tell(self, client_id: str, snapshot: Snapshot = COPY, *, at: float = NOW) -> None:
        self.put(encode_status(TOPIC, snapshot, client_id, at))

    @property
    def seen(self) -> dict[str, Snapshot]:
        return {each.client_id: each.snapshot for each in self.watched.read_watched()}


def test_the_copies_of_one_stream_are_told_apart_by_who_tells_of_them() -> None:
    stand = Stand()
    stand.tell("roof")
    stand.tell("cellar", replace(COPY, state="catching-up"))
    assert {name: each.state for name, each in stand.seen.items()} == {"roof": "live", "cellar": "catching-up"}
    assert stand.seen["roof"].same


def test_what_we_tell_ourselves_and_other_primaries_streams_are_left_out() -> None:
    stand = Stand(but=["home"])
    stand.tell("home", replace(COPY, role="responder"))
    stand.tell("roof", replace(COPY, stream="elsewhere/wx_binding"))
    assert stand.seen == {}


def test_who_is_offline_is_disconnected_until_it_is_back() -> None:
    stand = Stand()
    stand.tell("roof")
    stand.put(encode_presence(TOPIC, "roof", online=False))
    assert stand.seen["roof"].state == "disconnected"
    assert stand.seen["roof"].last_error == "roof has no connection to the broker"
    stand.put(encode_presence(TOPIC, "roof", online=True))
    assert stand.seen["roof"].state == "live"


def test_a_cleared_message_is_forgotten() -> None:
    stand = Stand()
    stand.tell("roof")
    stand.on_event(Arrived(replace(encode_status(TOPIC, COPY, "roof", NOW), payload=b"")))
    assert stand.seen == {}


def test_a_retained_word_is_as_old_as_it_says_and_never_from_the_future() -> None:
    stand = Stand()
    for client_id, at in (("old", NOW - 500), ("ahead", NOW + 3600)):
        stand.on_event(Arrived(encode_status(TOPIC, COPY, client_id, at)))
    heard = {each.client_id: each.heard_at for each in stand.watched.read_watched()}
    assert heard == {"old": NOW - 500, "ahead": NOW}


def test_who_says_nothing_any_more_is_told_as_silent_and_at_last_forgotten() -> None:
    stand = Stand()
    stand.tell("roof")
    assert judge(stand.seen["roof"], age_s=SILENT_AFTER_S - 1).level == "good"
    assert judge(stand.seen["roof"], age_s=SILENT_AFTER_S + 1).level == "bad"
    stand.now += 31 * 86_400
    assert stand.seen == {}


def test_a_strangers_commands_are_not_shown_as_something_to_type() -> None:
    stand = Stand()
    stand.tell("a`rm -rf x`", replace(COPY, state="stopped", last_error="type `rm -rf y`", hint="`rm -rf z`"))
    (shown,) = stand.seen.values()
    verdict = judge(shown)
    assert "rm -rf z" not in f"{verdict.words} {verdict.todo}"
    for words in (verdict.words, verdict.todo):
        assert not [code for code in words.split("`")[1::2] if "rm" in code]
    assert "`samesky status`" in verdict.todo


def test_there_is_an_end_to_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_status, "MOST_STREAMS", 3)
    monkeypatch.setattr(watched_status, "MOST_CLIENTS", 3)
    stand = Stand()
    for number in range(5):
        stand.tell(f"client-{number}")
        stand.put(encode_presence(TOPIC, f"client-{number}", online=False))
    assert len(stand.seen) == 3
    stand.tell("client-0", replace(COPY, state="stopped"))  # those that are known still change
    stand.put(encode_presence(TOPIC, "client-0", online=True))
    assert stand.seen["client-0"].state == "stopped"


def test_what_is_no_status_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    stand = Stand()
    for number in range(3):
        stand.put(Message(f"{TOPIC}/home/wx_binding/copy/evil-{number}", b"\xff"))
    stand.on_event(Denied(f"{TOPIC}/+", "subscribe", "Not authorized"))
    assert stand.watched.refused.total == 3
    assert [record.message.split()[0] for record in caplog.records] == ["status_refused", "status_not_heard"]
    stand.tell("roof")
    assert set(stand.seen) == {"roof"}
