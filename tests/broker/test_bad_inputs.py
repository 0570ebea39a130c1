"""The table of bad inputs, rows 1 to 34, column A: what a running responder and a running requester do about each.

Every row sends its messages on each topic that it concerns, through a real broker. Then: nothing was written, the
message is counted under the reason named and kept in the quarantine, no thread has ended, and the next good message is
dealt with at once. The broker's own refusals (it ends the sender's connection over a wildcard ResponseTopic,
and never delivers what isn't MQTT) are left to the broker.

Rows 22 to 24 are in `test_signed_stream`: without trusted keys a signature says nothing, and does no harm.
Rows 30 and 32 are in `test_bad_checks`; here such an answer comes uninvited. Rows 27 and 29 need the primary's own
questions and answers, row 31 another primary.
"""

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Arrived, Event, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.envelope import seal
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.messages import SummaryMessage, encode_record, encode_summary
from samesky.station.requester import Asking
from samesky.station.requests import Request
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import State
from stands.databases import SqliteDatabase
from stands.rows import find_differences, read_count, read_rows
from stands.waiting import wait_for

STREAM = "home/wx_binding"
REQUESTS = "replicate/request/home"
COPY = "replicate/response/copy"
ATTACKER = "replicate/response/attacker"
LIVE = "replicate/archive"
SUMMARY = "replicate/archive/summary"
LOOP = "replicate/loop"
MINE = (("data_binding", STREAM),)
ASKS = (*MINE, ("samesky", "2"), ("op", "page"))
END = int(time.time()) // 300 * 300 - 3600
GOOD = {"dateTime": END, "usUnits": 1, "interval": 5, "outTemp": 71.3}


def record(**changes: object) -> bytes:
    """A good live record with changes; None takes a value away."""
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value is not ...}).encode()


def on_each(payload: bytes, *topics: str, **more: Any) -> list[Message]:
    return [Message(topic, payload, properties=MINE, **more) for topic in topics]


def request(payload: bytes = b"0", **changes: Any) -> Message:
    message = Message(REQUESTS, payload, response_topic=ATTACKER, correlation=b"1", properties=ASKS)
    return replace(message, **changes)


def answer(kind: str, payload: bytes, *properties: tuple[str, str], content_type: str | None = None) -> Message:
    message = Message(COPY, payload, correlation=b"x", content_type=content_type, properties=MINE)
    return seal(message, (("kind", kind), *properties))


@dataclass(frozen=True)
class Row:
    """Messages, and the reason under which whoever gets them counts each."""

    number: int
    name: str
    messages: list[Message]
    refused: str
    answered: str = ""
    """The error that the sender of a request is told, if any."""

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def marked(messages: list[Message], *properties: tuple[str, str]) -> list[Message]:
    """The messages with these user properties alone."""
    return [replace(message, properties=properties) for message in messages]


def called(name: str, messages: list[Message]) -> list[Message]:
    return marked(messages, ("data_binding", name))


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
LIVE_AND_ANSWERS = (LIVE, COPY)
JSON_TOPICS = (LIVE, COPY, LOOP)
SEALED = seal(Message(LIVE, record(), properties=MINE), (("previous", "0"),))
MANY = tuple((f"p{number}", "x") for number in range(10_000))

TABLE = [
    Row(1, "empty", on_each(b"", LIVE, COPY, SUMMARY, LOOP, REQUESTS), "empty"),
    Row(1, "empty and retained", on_each(b"", LIVE, COPY, SUMMARY, LOOP, REQUESTS, retain=True), "empty"),
    Row(2, "not UTF-8", on_each(b'{"dateTime": "\xff\xfe"}', *JSON_TOPICS), "encoding"),
    Row(2, "UTF-16", on_each(record().decode().encode("utf-16"), *JSON_TOPICS), "encoding"),
    Row(2, "half a surrogate pair", on_each(b'{"dateTime": 1, "a": "\\ud800"}', *JSON_TOPICS), "encoding"),
    Row(3, "truncated", on_each(record()[:-1], *JSON_TOPICS), "json"),
    Row(4, "an array", on_each(b"[1,2]", *JSON_TOPICS), "shape"),
    Row(4, "a number", on_each(b"17", *JSON_TOPICS), "shape"),
    Row(5, "nested", on_each(DEEP, *JSON_TOPICS), "depth"),
    Row(6, "NaN", on_each(record(outTemp=float("nan")), *JSON_TOPICS), "nonfinite"),
    Row(6, "Infinity", on_each(record(outTemp=float("-inf")), *JSON_TOPICS), "nonfinite"),
    Row(6, "1e999", on_each(record().replace(b"71.3", b"1e999"), *JSON_TOPICS), "nonfinite"),
    Row(7, "a key twice", on_each(record().replace(b'"usUnits"', b'"dateTime": 5, "usUnits"'), *JSON_TOPICS), "dupkey"),
    Row(8, "5,000 digits", on_each(record().replace(b"71.3", b"9" * 5000), *JSON_TOPICS), "range"),
    Row(8, "2^63", on_each(record(dateTime=2**63), *JSON_TOPICS), "range"),
    Row(9, "over a mebibyte", on_each(record(note="x" * (1 << 20)), LIVE, COPY, SUMMARY, LOOP, REQUESTS), "size"),
    Row(11, "version 3", marked(on_each(record(), LIVE, COPY), *MINE, ("samesky", "3")), "version"),
    Row(11, "a request of version 3", [request(properties=(*MINE, ("samesky", "3")))], "version", "version"),
    Row(
        11,
        "an unknown operation",
        [request(properties=(*MINE, ("samesky", "2"), ("op", "drop")))],
        "version",
        "version",
    ),
    Row(13, "SQL in a name", on_each(record(**{"x); DROP TABLE archive; --": 1}), *LIVE_AND_ANSWERS), "name"),
    Row(14, "a text for a number", on_each(record(outTemp="abc"), *LIVE_AND_ANSWERS), "type"),
    Row(14, "a bool for a number", on_each(record(outTemp=True), *LIVE_AND_ANSWERS), "type"),
    Row(14, "an object for a number", on_each(record(outTemp={"a": 1}), *LIVE_AND_ANSWERS), "type"),
    Row(14, "a text for the time", on_each(record(dateTime=str(END)), *JSON_TOPICS), "type"),
    Row(15, "no time", on_each(record(dateTime=...), *JSON_TOPICS), "required"),
    Row(15, "no unit system", on_each(record(usUnits=...), *JSON_TOPICS), "required"),
    # A day, not the hour that is the limit: it may be an hour after this that the row's turn comes.
    Row(16, "a day in the future", on_each(record(dateTime=int(time.time()) + 86_400), *JSON_TOPICS), "future"),
    Row(17, "1970", on_each(record(dateTime=0), *JSON_TOPICS), "past"),
    Row(17, "negative", on_each(record(dateTime=-5), *JSON_TOPICS), "past"),
    Row(17, "milliseconds", on_each(record(dateTime=END * 1000), *JSON_TOPICS), "future"),
    Row(22, "a changed payload", [replace(SEALED, payload=record(outTemp=1))], "digest"),
    Row(23, "another station's", called("away/wx_binding", on_each(record(), *LIVE_AND_ANSWERS)), "scope"),
    Row(25, "a ResponseTopic elsewhere", [request(response_topic="house/door")], "replyto"),
    Row(25, "a ResponseTopic in $SYS", [request(response_topic="$SYS/broker")], "replyto"),
    Row(25, "a ResponseTopic that is our own", [request(response_topic=REQUESTS)], "replyto"),
    Row(25, "a ResponseTopic three levels deep", [request(response_topic=f"{ATTACKER}/x/y")], "replyto"),
    Row(25, "a ResponseTopic with an empty level", [request(response_topic=f"{ATTACKER}/")], "replyto"),
    Row(25, "no ResponseTopic", [request(response_topic=None)], "replyto"),
    *(
        Row(26, f"a request for {payload[:8]!r}", [request(payload)], "bad_request", "bad_request")
        for payload in (b"abc", b"-1", b"1" + b"0" * 30, b"1_000", "١٢".encode(), b"0x10", b" 5")
    ),
    Row(26, "a request of version 1 for text", [request(b"abc", properties=MINE)], "bad_request"),
    Row(
        28,
        "a stream that nobody serves",
        [request(properties=(("data_binding", "home/none"), ("samesky", "2")))],
        "not_found",
        "not_found",
    ),
    Row(
        29,
        "a page that nobody asked for",
        [answer("page", b"x", ("after", "0"), ("count", "0"), ("last", "0"), ("newest", "0"))],
        "uncorrelated",
    ),
    Row(29, "an error that nobody awaits", [answer("error", b"", ("code", "busy"))], "uncorrelated"),
    Row(30, "an answer that asks for deletions", [answer("deletions", json.dumps([END]).encode())], "uninvited"),
    Row(32, "an answer of digests", [answer("digests", b"\0" * 64)], "uninvited"),
    Row(
        33,
        "10,000 properties",
        [Message(topic, record(), properties=(*MINE, *MANY)) for topic in (LIVE, COPY, LOOP)],
        "props",
    ),
    Row(33, "a request with 10,000 properties", [request(properties=(*ASKS, *MANY))], "props", "bad_request"),
    Row(34, "wildcards in the name", called("home/#", on_each(record(), *JSON_TOPICS)), "name"),
    Row(34, "a name of too many levels", called("home/a/b", on_each(record(), *JSON_TOPICS)), "name"),
    Row(34, "no name", marked(on_each(record(), *JSON_TOPICS)), "required"),
    Row(
        34,
        "wildcards in a request's name",
        [request(properties=(("data_binding", "+/+"), ("samesky", "2")))],
        "name",
        "bad_request",
    ),
]


class Stand:
    """A primary and a copy that has caught up, a stranger on the same broker, and what they remember."""

    def __init__(
        self, folder: Path, broker: MosquittoBroker, *, primary: type[Serving] = Serving, known_origin: str = ""
    ) -> None:
        self.primary, self.copy = SqliteDatabase(folder / "primary.sdb"), SqliteDatabase(folder / "copy.sdb")
        write_year(self.primary.path, count=300, interval_s=60, end_time=END, schema="wview_small")
        self.primary_state, self.copy_state = State(None), State(None)
        if known_origin:
            self.copy_state.write_origin(STREAM, known_origin)
        served = ServeSettings("home", (ServedBinding("wx_binding", SqliteLocation(self.primary.path)),), (REQUESTS,))
        followed = CopySettings(STREAM, SqliteLocation(self.copy.path), create=True)
        asking = {STREAM: Asking(COPY, (REQUESTS,))}
        self.broker = broker
        self.serving = primary(served, self.linker("primary"), state=self.primary_state)
        self.following = Following(
            FollowSettings((followed,), asking, COPY), self.linker("copy"), state=self.copy_state
        )
        self.told: list[Message] = []
        self.stranger = self.linker("stranger")((Subscription(ATTACKER),), self.on_stranger_event)
        self.time = END

    def linker(self, name: str) -> Callable[..., MqttLink]:
        settings = MqttSettings(client_id=name, host="127.0.0.1", port=self.broker.port, max_packet_bytes=4 << 20)
        return lambda topics, on_event: MqttLink(settings, topics, on_event)

    def on_stranger_event(self, event: Event) -> None:
        if isinstance(event, Arrived):
            self.told.append(event.message)
            self.stranger.acknowledge(event.message)

    def __enter__(self) -> "Stand":
        self.serving.start()
        self.following.start()
        self.stranger.start()
        wait_for(lambda: self.stranger.connected, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self.stranger.close()
        self.following.close()
        self.serving.close()

    def send(self, message: Message) -> None:
        assert self.stranger.publish(message, timeout_s=30)
        assert self.stranger.drain(30)

    @property
    def stream(self) -> Any:
        (stream,) = self.following._streams.values()
        return stream

    def count(self, message: Message, reason: str) -> int:
        if message.topic == REQUESTS:
            return self.serving.brain.refused[reason]
        return self.following.refused[reason] + int(self.stream.brain.counts[reason])

    def kept(self, message: Message, reason: str) -> bool:
        state = self.primary_state if message.topic == REQUESTS else self.copy_state
        wanted = (message.topic, reason, len(message.payload), message.payload[:4096])
        return any(entry[1:] == wanted for entry in state.read_refused())

    def archive_one(self) -> None:
        """The station archives a record; it is at the copy at once."""
        self.time += 60
        with self.primary.connect() as connection:
            connection.execute(INSERT, (self.time,))
        self.serving.publish_record({"dateTime": self.time, "usUnits": 1, "interval": 1, "outTemp": 50.0})
        wait_for(
            lambda: self.time in read_rows(self.copy, "archive"), AT_ONCE_S, what="the next good record", every_s=0.01
        )

    def ask_one(self) -> None:
        """A good request is answered at once."""
        self.told.clear()
        self.send(request(properties=(*MINE, ("samesky", "2"), ("op", "describe"))))
        wait_for(lambda: self.told, AT_ONCE_S, what="the answer to a good request", every_s=0.01)
        assert ("kind", "description") in self.told[0].properties


AT_ONCE_S = 30.0
"""A second or less, unless the machine is busy."""
INSERT = "INSERT INTO archive (dateTime, usUnits, interval, outTemp) VALUES (?, 1, 1, 50)"
PRIMARY_THREADS = {"samesky-requester", "samesky-responder-home"}


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("bad")
    with MosquittoBroker(dir=folder / "broker") as broker, Stand(folder, broker) as stand:
        assert stand.following.wait_caught_up(60)
        yield stand


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_bad_message_is_refused_counted_kept_and_forgotten(stand: Stand, row: Row) -> None:
    before = read_rows(stand.copy, "archive")
    for message in row.messages:
        count = stand.count(message, row.refused)
        stand.told.clear()
        stand.send(message)
        wait_for(
            lambda message=message, count=count: stand.count(message, row.refused) == count + 1,
            30,
            what=f"{row.refused} on {message.topic}",
            explain=lambda: f"{stand.following.refused} {stand.serving.brain.refused}",
            every_s=0.01,
        )
        if row.refused not in ("uncorrelated", "scope"):  # neither says that anybody did wrong
            wait_for(lambda message=message: stand.kept(message, row.refused), 30, what="the quarantine", every_s=0.01)
        if row.answered:
            wait_for(lambda: stand.told, 30, what="the error", every_s=0.01)
            assert {("kind", "error"), ("code", row.answered)} <= set(stand.told[0].properties)
    assert read_rows(stand.copy, "archive") == before
    stand.archive_one()
    stand.ask_one()
    assert {thread.name for thread in threading.enumerate()} >= PRIMARY_THREADS


def live(stand: Stand, **changes: object) -> Message:
    """A live record as the primary itself sends it, with changes."""
    values: dict[str, Any] = {"dateTime": stand.time, "usUnits": 1, "interval": 1, "outTemp": 50.0} | changes
    previous, origin = values["dateTime"] - 60, stand.stream.brain.origin or ""
    return encode_record(LIVE, STREAM, values, qos=1, previous=previous, origin=origin)


def test_row_10_a_bomb_in_a_summary_is_stopped_and_the_stream_goes_on(stand: Stand) -> None:
    bomb = SummaryMessage(STREAM, stand.time, stand.stream.brain.origin or "", zlib.compress(bytes(100_000_000)))
    message = encode_summary(SUMMARY, bomb, qos=1)
    stand.send(message)
    wait_for(lambda: stand.kept(message, "bomb"), 30, what="the bomb in the quarantine")
    assert stand.stream.brain.phase == "live"
    stand.archive_one()


def test_row_12_an_unknown_column_is_left_out_and_no_table_is_changed(stand: Stand) -> None:
    stand.time += 60
    with stand.primary.connect() as connection:
        connection.execute(INSERT, (stand.time,))
    stand.send(live(stand, moonPhase=7.0))
    wait_for(lambda: stand.time in read_rows(stand.copy, "archive"), AT_ONCE_S, what="the record without the column")
    assert "moonPhase" not in read_rows(stand.copy, "archive")[stand.time]
    stand.archive_one()


def test_row_16_a_record_of_the_future_moves_no_position(stand: Stand) -> None:
    position, message = stand.stream.brain.taken, live(stand, dateTime=int(time.time()) + 7200)
    stand.send(message)
    wait_for(lambda: stand.kept(message, "future"), 30, what="the record in the quarantine")
    assert stand.stream.brain.taken == position
    stand.archive_one()


def test_row_18_the_same_record_again_is_counted_and_not_written(stand: Stand) -> None:
    stand.archive_one()
    count, before = stand.stream.counts["duplicate"], read_rows(stand.copy, "archive")
    stand.send(live(stand))
    wait_for(lambda: stand.stream.counts["duplicate"] == count + 1, 30, what="the duplicate")
    assert stand.stream.counts["conflict"] == 0
    assert read_rows(stand.copy, "archive") == before
    stand.archive_one()


def test_rows_19_and_20_another_content_for_a_stored_time_is_counted_and_the_first_is_kept(stand: Stand) -> None:
    stand.archive_one()
    count, before = stand.stream.counts["conflict"], read_rows(stand.copy, "archive")
    stand.send(live(stand, outTemp=99.0))
    wait_for(lambda: stand.stream.counts["conflict"] == count + 1, 30, what="the conflict")
    assert read_rows(stand.copy, "archive") == before
    stand.archive_one()


def test_row_21_records_out_of_order_are_stored(stand: Stand) -> None:
    late = stand.time - 30
    with stand.primary.connect() as connection:
        connection.execute(INSERT, (late,))
    stand.send(live(stand, dateTime=late))
    wait_for(lambda: late in read_rows(stand.copy, "archive"), AT_ONCE_S, what="the late record")
    stand.archive_one()


def test_row_27_a_hundred_requests_for_everything_make_one_job_at_a_time(stand: Stand) -> None:
    stand.told.clear()
    for number in range(100):
        assert stand.stranger.publish(request(correlation=str(number).encode()), timeout_s=30)
    assert stand.stranger.drain(30)

    def told() -> set[tuple[str, str]]:
        answers = [dict(message.properties) for message in list(stand.told)]
        return {(answer["kind"], answer.get("code", "")) for answer in answers}

    wait_for(lambda: len(told()) > 1, 30, what="a page, and that it is busy", explain=lambda: str(told()))
    assert told() == {("page", ""), ("error", "busy")}
    stand.archive_one()


class HostilePrimary(Serving):
    """A primary that spoils its pages while it has a way to."""

    spoil: "Spoil | None" = None

    def _make_answer(self, request: Request) -> Message:
        message = super()._make_answer(request)
        return self.spoil(message) if self.spoil and request.op == "page" else message


def sealed_anew(message: Message, *, property: tuple[str, str] | None = None, **changes: Any) -> Message:
    """The answer with changes, or with another value of one property, and a digest that fits."""
    plain = {name: value for name, value in message.properties if name not in ("digest", "samesky")}
    if property:
        plain[property[0]] = property[1]
    return seal(replace(message, properties=tuple(plain.items()), **changes), ())


def flipped(payload: bytes) -> bytes:
    return payload[:-9] + bytes([payload[-9] ^ 1]) + payload[-8:]


Spoil = Callable[[Message], Message]
BAD_PAGES: list[tuple[str, str, Spoil]] = [
    ("10 a bomb", "bomb", lambda page: sealed_anew(page, payload=zlib.compress(bytes(100_000_000)))),
    ("11 an unknown content type", "version", lambda page: sealed_anew(page, content_type="application/x-pickle")),
    ("11 no content type", "version", lambda page: sealed_anew(page, content_type=None)),
    ("11 a number that is none", "bad_request", lambda page: sealed_anew(page, property=("newest", "soon"))),
    ("a flipped bit", "digest", lambda page: replace(page, payload=flipped(page.payload))),
    ("a flipped bit, digest and all", "encoding", lambda page: sealed_anew(page, payload=flipped(page.payload))),
    ("what isn't compressed", "encoding", lambda page: sealed_anew(page, payload=b"SQLite format 3")),
    ("what is no page", "shape", lambda page: sealed_anew(page, payload=zlib.compress(b"x" * 9000))),
]


@pytest.mark.parametrize(("name", "reason", "spoil"), BAD_PAGES, ids=[name for name, _, _ in BAD_PAGES])
def test_a_bad_page_is_refused_and_the_next_good_one_stored(
    tmp_path: Path, broker: MosquittoBroker, name: str, reason: str, spoil: Spoil
) -> None:
    hostile = type("Hostile", (HostilePrimary,), {"spoil": staticmethod(spoil)})
    with Stand(tmp_path, broker, primary=hostile) as stand:
        wait_for(lambda: stand.following.refused[reason], 30, what=reason, explain=lambda: str(stand.following.refused))
        assert read_count(stand.copy) == 0
        wait_for(lambda: [entry for entry in stand.copy_state.read_refused() if entry[2] == reason], 30, what="a trace")
        hostile.spoil = None  # type: ignore[assignment]
        assert stand.following.wait_caught_up(60)
        assert not find_differences(stand.primary, stand.copy)


def test_row_31_another_database_at_the_primary_stops_the_copy_which_says_what_to_set(
    tmp_path: Path, broker: MosquittoBroker
) -> None:
    with Stand(tmp_path, broker, known_origin="0123456789abcdef") as stand:
        assert stand.following.wait_caught_up(60)
        (snapshot,) = stand.following.snapshots()
        assert snapshot.state == "stopped"
        assert f"samesky repair --stream {STREAM} --accept-origin " in snapshot.hint
        assert read_count(stand.copy) == 0
        assert stand.copy_state.read_origin(STREAM) == "0123456789abcdef"
        assert {thread.name for thread in threading.enumerate()} >= PRIMARY_THREADS
