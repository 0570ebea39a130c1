"""A hostile client on a real broker: it hears all, publishes what it likes, and answers before the primary does.

Rows 22 to 24 of the table of bad inputs (`test_bad_inputs`), as they are where a copy trusts its primary's key: nothing
that the key hasn't signed is stored, nothing is taken twice, and the stream goes on.
"""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Arrived, Event, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.archive import open_archive
from samesky.station.checks import CheckSettings
from samesky.station.envelope import seal
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.messages import (
    SummaryMessage,
    encode_error,
    encode_loop,
    encode_page,
    encode_record,
    encode_summary,
)
from samesky.station.paging import Pager
from samesky.station.requester import Asking
from samesky.station.requests import decode_request
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.signatures import Signing, TrustSettings, digest_question
from samesky.station.signing_keys import SecretKey, make_key
from samesky.station.standing_in import make_stand_ins
from samesky.station.state import State
from samesky.station.tree_store import TreeStore
from stands.databases import SqliteDatabase
from stands.rows import Rows, find_differences, read_rows
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

STREAM = "home/wx_binding"
REQUESTS = "replicate/request/home"
COPY = "replicate/response/copy"
LIVE, SUMMARY, LOOP = "replicate/archive", "replicate/archive/summary", "replicate/loop"
END = int(time.time()) // 300 * 300 - 3600
KEY, COPYS_KEY = make_key("home"), make_key("home+copy")
INSERT = "INSERT INTO archive (dateTime, usUnits, interval, outTemp) VALUES (?, 1, 1, ?)"
PLACE = (("data_binding", STREAM),)


class Hostile:
    """Hears everything, and says what it is told to; ``answer`` is called with each request that comes."""

    def __init__(self, port: int, answer: Callable[["Hostile", Message], None] | None = None) -> None:
        self.heard: list[Message] = []
        self.forged = 0
        self._answer = answer
        mqtt = MqttSettings("hostile", port=port)
        self.link = MqttLink(mqtt, [Subscription("replicate/#")], self._take)

    def __enter__(self) -> "Hostile":
        self.link.start()
        wait_for(lambda: self.link.connected, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def _take(self, event: Event) -> None:
        if not isinstance(event, Arrived):
            return
        self.heard.append(event.message)
        self.link.acknowledge(event.message)
        if self._answer is not None and event.message.topic == REQUESTS:
            self._answer(self, event.message)

    def send(self, message: Message) -> None:
        assert self.link.publish(replace(message, receipt=None), timeout_s=30)
        assert self.link.drain(30)

    def find(self, topic: str, **wanted: str) -> Message | None:
        """The last message on ``topic`` with these properties."""
        for message in reversed(self.heard):
            if message.topic == topic and set(wanted.items()) <= set(message.properties):
                return message
        return None


class Stand:
    """A primary that signs, unless it has no key, and a copy that trusts; a context manager that starts both."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        key: SecretKey | None = KEY,
        trusted: tuple[SecretKey, ...] = (KEY,),
        count: int = 300,
    ) -> None:
        self.port, self._folder = port, folder
        self.primary, self.copy = SqliteDatabase(folder / "primary.sdb"), SqliteDatabase(folder / "copy.sdb")
        write_year(self.primary.path, count=count, interval_s=60, end_time=END, schema="wview_small")
        self.trusted = folder / "trusted-keys"
        self.trusted.write_text("".join(f"{each.public.line}\n" for each in trusted))
        self.state = State(None)
        self.serving = self.make_serving(self.primary, "primary", key)
        self.following = self.make_following(self.copy, COPY)
        self.time = END
        self._rival: Serving | None = None

    def add_rival(self, key: SecretKey | None) -> Serving:
        """A second primary, of a database of the same times with other values, and a tenth of them missing."""
        self._rival = self.make_serving(make_false(self._folder), "false", key)
        return self._rival

    def make_serving(self, database: SqliteDatabase, name: str, key: SecretKey | None) -> Serving:
        bindings = (ServedBinding("wx_binding", SqliteLocation(database.path)),)
        settings = ServeSettings("home", bindings, (REQUESTS,), sign_key=key, track_changes=True)
        return Serving(settings, self._linking(name))

    def make_following(
        self, database: SqliteDatabase, reply_to: str, *, answer_keys: Mapping[str, SecretKey] | None = None
    ) -> Following:
        settings = FollowSettings(
            (CopySettings(STREAM, SqliteLocation(database.path), create=True),),
            {STREAM: Asking(reply_to, (REQUESTS,))},
            reply_to,
            trust=TrustSettings(self.trusted),
            answer_keys=answer_keys or {},
        )
        checks = CheckSettings(TreeStore(None), interval_s=3600)
        linking = self._linking(reply_to.rpartition("/")[2])
        return Following(settings, linking, state=self.state if database is self.copy else State(None), checks=checks)

    def _linking(self, name: str) -> Callable[..., MqttLink]:
        settings = MqttSettings(client_id=name, port=self.port)
        return lambda topics, on_event: MqttLink(settings, topics, on_event)

    def __enter__(self) -> "Stand":
        self.serving.start()
        wait_for(lambda: self.serving.snapshots()[0].state == "live", 30)
        if self._rival is not None:
            self._rival.start()
            wait_for(lambda: self._rival.snapshots()[0].state == "live", 30)
        self.following.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.following.close()
        self.serving.close()
        if self._rival is not None:
            self._rival.close()

    @property
    def stream(self) -> Any:
        (stream,) = self.following._streams.values()
        return stream

    @property
    def trouble(self) -> str:
        (snapshot,) = self.following.snapshots()
        return f"{snapshot.last_error} {snapshot.hint}"

    def counted(self, reason: str) -> int:
        return self.following.refused[reason] + self.following.check_counts(STREAM).get(reason, 0)

    def await_proof(self, following: Following | None = None) -> None:
        wait_for(
            lambda: (following or self.following).check_counts(STREAM).get("proven"),
            30,
            what="the proof",
            explain=lambda: f"{self.following.snapshots()} {self.following.refused}",
        )

    def archive_one(self, temperature: float = 50.0) -> None:
        """The station archives a record; it comes to the copy at once."""
        self.time += 60
        with self.primary.connect() as connection:
            connection.execute(INSERT, (self.time, temperature))
        record = {"dateTime": self.time, "usUnits": 1, "interval": 1, "outTemp": temperature}
        self.serving.publish_record(record)
        wait_for(lambda: self.time in read_rows(self.copy, "archive"), 30, what="the next record", every_s=0.01)

    def differences(self) -> list[str]:
        """Tables of the copy that aren't the primary's."""
        return find_differences(self.primary, self.copy, summaries=False)


def read_all(database: SqliteDatabase) -> Rows:
    """The records of a copy; none while its database or its table isn't there."""
    try:
        return read_rows(database, "archive")
    except (OSError, sqlite3.OperationalError):
        return {}


@pytest.fixture
def broker() -> Iterator[MosquittoBroker]:
    with MosquittoBroker(persistence=False) as broker:
        yield broker


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with (
        MosquittoBroker(persistence=False) as broker,
        Stand(tmp_path_factory.mktemp("signed"), broker.port) as stand,
    ):
        stand.await_proof()
        yield stand


@pytest.fixture(scope="module")
def hostile(stand: Stand) -> Iterator[Hostile]:
    with Hostile(stand.port) as hostile:
        stand.archive_one()
        stand.following.request_check(STREAM)
        wait_for(lambda: hostile.find(LIVE) and hostile.find(SUMMARY) and hostile.find(COPY, kind="check"), 30)
        yield hostile


def record(stand: Stand, **changes: Any) -> Message:
    """A live record as the primary makes it, but for the signature; of a minute that the primary hasn't come to."""
    values = {"dateTime": stand.time + 60, "usUnits": 1, "interval": 1, "outTemp": -99.0} | changes
    origin = stand.stream.brain.origin or ""
    return encode_record(LIVE, STREAM, values, qos=1, previous=stand.time, origin=origin)


def without(message: Message, *names: str) -> Message:
    return replace(message, properties=tuple(each for each in message.properties if each[0] not in names))


def with_property(message: Message, name: str, value: str) -> Message:
    said = tuple((each, value if each == name else old) for each, old in message.properties)
    return replace(message, properties=said)


@dataclass(frozen=True)
class Row:
    """What the hostile client sends, given what it has heard, and the reason under which the copy counts it."""

    number: int
    name: str
    reason: str
    make: Callable[[Stand, Hostile], Message]

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def heard(topic: str, **wanted: str) -> Callable[[Stand, Hostile], Message]:
    def find(_: Stand, hostile: Hostile) -> Message:
        found = hostile.find(topic, **wanted)
        assert found is not None
        return found

    return find


def moved(stand: Stand, hostile: Hostile) -> Message:
    """A record that the primary has signed, with another time."""
    signed = heard(LIVE)(stand, hostile)
    forged = record(stand)
    return replace(forged, properties=(*forged.properties, *signed.properties[-3:]))


def readdressed(stand: Stand, hostile: Hostile) -> Message:
    """An answer of the primary's under a correlation that the copy hasn't used."""
    return replace(heard(COPY, kind="check", key=KEY.public.key_id)(stand, hostile), correlation=b"another")


def error(_: Stand, hostile: Hostile) -> Message:
    return encode_error(COPY, b"c1", STREAM, code="not_found", retry_after_s=86_400, qos=1)


def page(_: Stand, hostile: Hostile) -> Message:
    said = (("after", "0"), ("count", "0"), ("last", "0"), ("newest", "0"), ("origin", "x"))
    return seal(Message(COPY, b"x", correlation=b"x", properties=PLACE), (("kind", "page"), *said))


STRANGERS, OTHERS = make_key("home"), make_key("away")
TABLE = [
    Row(22, "a record without a signature", "sig", lambda stand, _: record(stand)),
    Row(22, "a record of version 1", "sig", lambda stand, _: encode_record(LIVE, STREAM, {"dateTime": END}, qos=1)),
    Row(22, "a stranger's signature", "sig", lambda stand, _: Signing(STRANGERS).sign(record(stand), "record")),
    Row(
        22,
        "a stranger's signature under the primary's key id",
        "sig",
        lambda stand, _: with_property(Signing(STRANGERS).sign(record(stand), "record"), "key", KEY.public.key_id),
    ),
    Row(22, "the primary's signature of another record", "sig", moved),
    Row(
        22,
        "a summary without a signature",
        "sig",
        lambda stand, _: encode_summary(SUMMARY, SummaryMessage(STREAM, stand.time, "o", b"x"), qos=1),
    ),
    Row(
        22,
        "a LOOP packet without a signature",
        "sig",
        lambda stand, _: replace(encode_loop(LOOP, STREAM, {"dateTime": int(time.time()), "usUnits": 1}), qos=1),
    ),
    Row(22, "a page without a signature", "sig", page),
    Row(22, "an error without a signature", "sig", error),
    Row(23, "another instance's key", "scope", lambda stand, _: Signing(OTHERS).sign(record(stand), "record")),
    Row(23, "a copy's key under a record", "scope", lambda stand, _: Signing(COPYS_KEY).sign(record(stand), "record")),
    Row(
        23,
        "the primary's record as a summary",
        "sig",
        lambda stand, hostile: replace(heard(LIVE)(stand, hostile), topic=SUMMARY),
    ),
    Row(24, "the primary's record again", "replay", heard(LIVE)),
    Row(24, "the primary's summary again", "replay", heard(SUMMARY)),
    Row(24, "the primary's answer again", "uncorrelated", heard(COPY, kind="check", key=KEY.public.key_id)),
    Row(24, "the primary's answer to another question", "uncorrelated", readdressed),
]


@pytest.fixture(scope="module", autouse=True)
def others_are_trusted_too(stand: Stand) -> None:
    """The copy knows keys of others as well: of another instance, and of a copy that answers."""
    with stand.trusted.open("a") as file:
        file.write(f"{OTHERS.public.line}\n{COPYS_KEY.public.line}\n")
    stand.following._trust.keys._look_at = 0.0  # type: ignore[union-attr]


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_what_the_primary_hasnt_signed_is_refused_and_the_stream_goes_on(
    stand: Stand, hostile: Hostile, row: Row
) -> None:
    before, count = read_rows(stand.copy, "archive"), stand.counted(row.reason)
    message = row.make(stand, hostile)
    hostile.send(message)
    wait_for(
        lambda: stand.counted(row.reason) == count + 1, 30, what=str(row), explain=lambda: str(stand.following.refused)
    )
    assert read_rows(stand.copy, "archive") == before
    if row.reason in ("sig", "scope"):
        kept = (message.topic, row.reason)
        wait_for(lambda: kept in [entry[1:3] for entry in stand.state.read_refused()], 30, what="the quarantine")
    stand.archive_one()
    assert not stand.differences()
    assert {thread.name for thread in threading.enumerate()} >= {"samesky-requester", "samesky-responder-home"}


def test_signed_loop_packets_reach_the_copy(stand: Stand) -> None:
    packet = {"dateTime": int(time.time()), "usUnits": 1, "outTemp": 50.5}
    stand.serving.publish_loop(packet)
    assert stand.following.take_loop_packet(30) == packet


# ---------------------------------------------------------------------- a hostile primary


def make_false(folder: Path) -> SqliteDatabase:
    """A database of the primary's times in ``folder``, with other values, and a tenth of it missing."""
    false = SqliteDatabase(folder / "false.sdb")
    shutil.copy(folder / "primary.sdb", false.path)
    with false.connect() as connection:
        connection.execute("UPDATE archive SET outTemp = -99")
        connection.execute("DELETE FROM archive WHERE dateTime % 600 = 0")
    return false


def forge_page(database: Path, key: SecretKey | None) -> Callable[[Hostile, Message], None]:
    """Answer each request for a page at once, with a page of the false records that fits the question."""

    def answer(hostile: Hostile, message: Message) -> None:
        if dict(message.properties).get("op") != "page":
            return
        with closing(open_archive(SqliteLocation(database))) as archive:
            asked = decode_request(message)
            origin = archive.read_origin(time.time())
            page = Pager(archive).make_page(asked, origin=origin, max_bytes=1 << 20, now=time.time())
        forged = encode_page(asked, page, qos=1)
        if key is not None:
            forged = Signing(key).sign(forged, "answer", digest_question(message))
        hostile.forged += hostile.link.publish(forged)

    return answer


@pytest.mark.parametrize("key", [None, make_key("home")], ids=["unsigned", "signed by its own key"])
def test_pages_live_records_and_digests_of_a_hostile_primary_change_nothing(
    broker: MosquittoBroker, tmp_path: Path, key: SecretKey | None
) -> None:
    """It answers every question too, from the first on, and often before the primary does."""
    stand = Stand(tmp_path, broker.port)
    false = stand.add_rival(key)
    with Hostile(broker.port, forge_page(tmp_path / "false.sdb", key)) as hostile, stand:
        stand.await_proof()
        for number in range(3):
            false.publish_record({"dateTime": stand.time + 60, "usUnits": 1, "interval": 1, "outTemp": -99.0})
            stand.archive_one(number)
        with stand.primary.connect() as connection:
            connection.execute("UPDATE archive SET outTemp = 1 WHERE dateTime = (SELECT MIN(dateTime) FROM archive)")
        proven = stand.following.check_counts(STREAM)["proven"]
        stand.following.request_check(STREAM)
        wait_for(lambda: stand.following.check_counts(STREAM)["proven"] > proven, 30, what="the next proof")
        wait_for(lambda: hostile.forged >= 1 and false.sent["describe"] >= 1, 30, what="the answers of both")
        wait_for(lambda: stand.counted("sig") > 5, 30, what="what isn't signed", explain=lambda: stand.trouble)
        assert not stand.differences()


def test_a_copy_without_trusted_keys_believes_the_hostile_primary(broker: MosquittoBroker, tmp_path: Path) -> None:
    """What the tests here are worth."""
    with Stand(tmp_path, broker.port) as stand:
        credulous = SqliteDatabase(tmp_path / "credulous.sdb")
        following = stand.make_following(credulous, "replicate/response/credulous")
        following.settings = replace(following.settings, trust=None)
        following._trust = None
        stand.serving.close()
        with stand.make_serving(make_false(tmp_path), "false", None), following:
            wait_for(lambda: len(read_all(credulous)) > 200, 30)
        assert {row["outTemp"] for row in read_rows(credulous, "archive").values()} == {-99.0}


def test_a_primary_that_doesnt_sign_isnt_followed_and_the_copy_says_why(
    broker: MosquittoBroker, tmp_path: Path
) -> None:
    with Stand(tmp_path, broker.port, key=None) as stand:
        wait_for(lambda: "isn't signed" in stand.trouble, 30)
        assert "samesky station key make" in stand.trouble
        assert not read_all(stand.copy)


def test_a_record_that_the_primary_deleted_doesnt_come_back_by_sending_it_again(
    broker: MosquittoBroker, tmp_path: Path
) -> None:
    with Stand(tmp_path, broker.port) as stand, Hostile(broker.port) as hostile:
        stand.await_proof()
        stand.archive_one()
        gone = stand.time
        signed = wait_for(lambda: hostile.find(LIVE), 30)
        assert signed is not None
        with stand.primary.connect() as connection:
            connection.execute("DELETE FROM archive WHERE dateTime = ?", (gone,))
        stand.following.request_check(STREAM)
        wait_for(lambda: gone not in read_rows(stand.copy, "archive"), 30, what="the deletion")
        hostile.send(signed)
        wait_for(lambda: stand.counted("replay") == 1, 30)
        assert gone not in read_rows(stand.copy, "archive")


def test_a_primary_whose_clock_was_set_back_while_it_was_off_is_followed_again(
    broker: MosquittoBroker, tmp_path: Path
) -> None:
    with Stand(tmp_path, broker.port) as stand:
        stand.await_proof()
        stand.serving.close()
        stand.serving = stand.make_serving(stand.primary, "primary", KEY)
        signing = stand.serving._signing
        assert signing is not None
        signing._clock = lambda: time.time() - 86_400
        stand.serving.start()
        wait_for(lambda: stand.serving.snapshots()[0].state == "live", 30)
        stand.archive_one()  # by a page, after the primary has been asked who it is
        stand.archive_one()
        assert not stand.differences()


# ---------------------------------------------------------------------- copies that answer


@pytest.mark.parametrize("answers", [True, False], ids=["with a key of its own", "without a key"])
def test_a_copy_that_answers_is_believed_with_a_trusted_key_of_its_own(
    broker: MosquittoBroker, tmp_path: Path, answers: bool
) -> None:
    with Stand(tmp_path, broker.port, trusted=(KEY, COPYS_KEY)) as stand:
        stand.await_proof()
        settings = replace(stand.following.settings, answer_keys={"home": COPYS_KEY} if answers else {})
        mqtt = MqttSettings("stand-in", port=broker.port)
        (stand_in,) = make_stand_ins(settings, mqtt, stand.following, state=State(None), sums=TreeStore(None))
        third = SqliteDatabase(tmp_path / "third.sdb")
        following = stand.make_following(third, "replicate/response/third")
        with stand_in:
            wait_for(lambda: stand_in.snapshots()[0].state == "live", 30)
            stand.serving.close()
            with following:
                if answers:
                    wait_for(lambda: read_all(third) == read_all(stand.primary), 30)
                else:
                    wait_for(lambda: following.refused["sig"], 30)
                    assert not read_all(third)
