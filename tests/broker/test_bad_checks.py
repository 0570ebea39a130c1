"""Bad inputs for checks: questions that make no sense, answers that nobody awaits, a primary whose answers are spoiled.

As in `test_bad_inputs`: nothing is written or deleted, the message is counted under the reason named, nobody ends, and
the next good message is dealt with at once. Rows 30 and 32 of the table of bad inputs are here.
"""

import sqlite3
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samesky.core.columns import Column, Kind, Table, decode_tables, encode_tables
from samesky.core.timetree import LEAF, STEP, MemoryTree, RowHasher, Sum, View
from samesky.core.treelists import MAX_LIST_BYTES, encode_digests
from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Arrived, Event, Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.station.agreement import CopySettings
from samesky.station.envelope import seal
from samesky.station.follow_settings import FollowSettings
from samesky.station.following import Following
from samesky.station.location import SqliteLocation
from samesky.station.requester import Asking
from samesky.station.requests import Request
from samesky.station.serve_settings import ServedBinding, ServeSettings
from samesky.station.serving import Serving
from samesky.station.state import State
from stands.databases import SqliteDatabase, query_with_names
from stands.rows import Rows, read_rows
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

STREAM = "home/wx_binding"
REQUESTS = "replicate/request/home"
COPY = "replicate/response/copy"
ATTACKER = "replicate/response/attacker"
COUNT = 1000
END = int(time.time()) // 300 * 300 - 3600
AT_ONCE_S = 30.0
"""A second or less, unless the machine is busy."""
THREADS = {"samesky-requester", "samesky-responder-home"}

Spoil = Callable[[Request, Message], Message]


class HostilePrimary(Serving):
    """A primary that spoils what it answers to checks while it has a way to."""

    spoil: Spoil | None = None

    def _make_answer(self, request: Request) -> Message | None:
        message = super()._make_answer(request)
        if self.spoil is None or message is None or request.question is None:
            return message
        return self.spoil(request, message)


class Stand:
    """A primary, a copy that was proven the same, and a stranger on the same broker."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.primary, self.copy = SqliteDatabase(folder / "primary.sdb"), SqliteDatabase(folder / "copy.sdb")
        write_year(self.primary.path, count=COUNT, end_time=END, schema="wview_small")
        binding = ServedBinding("wx_binding", SqliteLocation(self.primary.path))
        self.primary_state, self.copy_state = State(None), State(None)
        self.serving = HostilePrimary(
            ServeSettings("home", (binding,), (REQUESTS,), track_changes=True),
            self._linking("primary"),
            state=self.primary_state,
        )
        settings = FollowSettings(
            (CopySettings(STREAM, SqliteLocation(self.copy.path), create=True),),
            {STREAM: Asking(COPY, (REQUESTS,))},
            COPY,
        )
        self.following = Following(settings, self._linking("copy"), state=self.copy_state)
        self.told: list[Message] = []
        self.stranger = self._linking("stranger")((Subscription(ATTACKER),), self._on_stranger_event)

    def _linking(self, name: str) -> Callable[..., MqttLink]:
        mqtt = MqttSettings(client_id=name, host="127.0.0.1", port=self.port, max_packet_bytes=4 << 20)
        return lambda topics, on_event: MqttLink(mqtt, topics, on_event)

    def _on_stranger_event(self, event: Event) -> None:
        if isinstance(event, Arrived):
            self.told.append(event.message)
            self.stranger.acknowledge(event.message)

    def __enter__(self) -> "Stand":
        for each in (self.serving, self.following, self.stranger):
            each.start()
        wait_for(lambda: self.stranger.connected, 30)
        wait_for(lambda: self.checks("proven"), 30, what="the proof", explain=self.describe)
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.stranger, self.following, self.serving):
            each.close()

    def send(self, message: Message) -> None:
        assert self.stranger.publish(message, timeout_s=30)
        assert self.stranger.drain(30)

    def checks(self, reason: str) -> int:
        """How often a check came to this."""
        return self.following.check_counts(STREAM).get(reason, 0)

    def describe(self) -> str:
        (snapshot,) = self.following.snapshots()
        return f"{snapshot.describe()} {self.following.check_counts(STREAM)} {self.following.refused}"

    @property
    def trouble(self) -> str:
        (snapshot,) = self.following.snapshots()
        return f"{snapshot.last_error} {snapshot.hint}".rstrip()

    def prove_it_works(self) -> None:
        """A good check, of the copy's, is answered and ends; nobody has ended."""
        proven = self.checks("proven")
        self.following.request_check(STREAM)
        wait_for(
            lambda: self.checks("proven") > proven,
            AT_ONCE_S,
            what="the next good check",
            explain=self.describe,
            every_s=0.01,
        )
        assert {thread.name for thread in threading.enumerate()} >= THREADS

    def rows(self) -> Rows:
        return read_rows(self.copy, "archive")


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("bad")
    with MosquittoBroker(dir=folder / "broker") as broker, Stand(folder, broker.port) as stand:
        yield stand


# ---------------------------------------------------------------------- questions


def question(op: str, payload: bytes, **properties: str) -> Message:
    said = {"op": op, "until": str(END)} | properties
    message = Message(
        REQUESTS, payload, response_topic=ATTACKER, correlation=b"q", properties=(("data_binding", STREAM),)
    )
    return seal(message, [(name, value) for name, value in said.items() if value])


def span(index: int, *digests: bytes) -> bytes:
    return struct.pack(">II", index, (1 << len(digests)) - 1) + b"".join(digests)


def leaf(index: int, *marks: bytes, count: int | None = None) -> bytes:
    return struct.pack(">IH", index, len(marks) if count is None else count) + b"".join(marks)


def mark(second: int) -> bytes:
    return struct.pack(">H", second) + bytes(8)


NODES, ROWS = span(END >> 22, bytes(8)), leaf(END >> LEAF, mark(1))
QUESTIONS = [
    ("a root of three bytes", "shape", question("root", b"abc")),
    ("a root of three digests", "shape", question("root", bytes(24))),
    ("no moment", "required", question("root", bytes(8), until="")),
    ("a moment before 1970", "bad_request", question("root", bytes(8), until="-1")),
    ("a moment of no century", "bad_request", question("root", bytes(8), until=str(10**30))),
    ("another tree", "bad_request", question("nodes", NODES, tree="moon")),
    ("digests of three bytes", "bad_request", question("nodes", NODES, size="3")),
    ("digests of no bytes", "bad_request", question("rows", ROWS, size="0")),
    ("a list of another size", "shape", question("nodes", NODES, size="4")),
    ("half a span", "shape", question("nodes", NODES[:-3])),
    ("spans in disorder", "shape", question("nodes", NODES + span(5, bytes(8)))),
    ("a span twice", "shape", question("nodes", NODES + NODES)),
    ("a span of no century", "range", question("nodes", span(2**32 - 1, bytes(8)))),
    ("too many spans", "size", question("nodes", b"".join(span(n) for n in range(MAX_LIST_BYTES // 8 + 1)))),
    ("half a row", "shape", question("rows", ROWS[:-1])),
    ("a row twice", "shape", question("rows", leaf(7, mark(1), mark(1)))),
    ("a row outside its leaf", "shape", question("rows", leaf(7, mark(5000)))),
    ("more rows than there are", "shape", question("rows", leaf(7, mark(1), count=60_000))),
    ("too many leaves", "size", question("rows", b"".join(leaf(n) for n in range(MAX_LIST_BYTES // 6 + 1)))),
    ("a mebibyte", "size", question("rows", bytes((1 << 20) + 1))),
    ("SQL for a column", "name", question("root", bytes(8), columns="x); DROP TABLE archive; --")),
    ("a column twice", "dupkey", question("root", bytes(8), columns="rain,rain")),
    ("a column that nobody has", "column", question("root", bytes(8), columns="moonPhase,rain")),
    ("a summary that nobody has", "column", question("root", bytes(8), observations="moonPhase")),
    ("answers of one byte", "bad_request", question("rows", ROWS, bytes="1")),
    ("a changed payload", "digest", replace(question("root", bytes(8)), payload=bytes(7) + b"x")),
    ("a ResponseTopic elsewhere", "replyto", replace(question("root", bytes(8)), response_topic="house/door")),
]


@pytest.mark.parametrize(("name", "reason", "message"), QUESTIONS, ids=[each[0] for each in QUESTIONS])
def test_a_bad_question_is_refused_and_counted(stand: Stand, name: str, reason: str, message: Message) -> None:
    before, count = stand.rows(), stand.serving.brain.refused[reason]
    stand.told.clear()
    stand.send(message)
    wait_for(lambda: stand.serving.brain.refused[reason] == count + 1, 30, what=reason, every_s=0.01)
    if reason != "replyto":
        wait_for(lambda: stand.told, 30, what="the error", every_s=0.01)
        assert {("kind", "error"), ("code", "bad_request")} <= set(stand.told[0].properties)
    if reason != "column":  # it takes an open database to know that
        wait_for(lambda: stand.primary_state.read_refused()[-1][1:3] == (REQUESTS, reason), 30, what="the quarantine")
    stand.prove_it_works()
    assert stand.rows() == before


@pytest.mark.parametrize(
    "message",
    [
        question("nodes", span(0) + span(2**27 - 1, *[bytes(8)] * 32)),
        question("rows", b"".join(leaf(n) for n in range(MAX_LIST_BYTES // 6))),
        question("rows", ROWS, tree="summary", bytes="1024"),
        question("root", bytes(16), until=str(2**33)),
        question("root", bytes(8), columns="dateTime"),
    ],
    ids=["the ends of time", "ten thousand empty leaves", "little room", "the year 2242", "times alone"],
)
def test_a_strange_question_is_answered(stand: Stand, message: Message) -> None:
    def ask() -> bool:
        stand.told.clear()
        stand.send(message)
        told = wait_for(lambda: stand.told, 30, what="the answer", every_s=0.01)
        return ("kind", "check") in told[0].properties

    wait_for(ask, 30, what="an answer that isn't that it is busy")
    stand.prove_it_works()


def test_a_hundred_questions_make_one_job_at_a_time(stand: Stand) -> None:
    stand.told.clear()
    for number in range(100):
        message = replace(question("rows", b"".join(leaf(n) for n in range(10_000))), correlation=b"%d" % number)
        assert stand.stranger.publish(message, timeout_s=30)
    assert stand.stranger.drain(30)
    told_before = [-1]

    def told() -> set[tuple[str, str]]:
        answers = [dict(message.properties) for message in list(stand.told)]
        return {(answer["kind"], answer.get("code", "")) for answer in answers}

    def all_told() -> bool:
        """Whether nothing more comes: that it is busy is told as long as the link has room, and no longer."""
        before, told_before[0] = told_before[0], len(stand.told)
        return before == len(stand.told) and len(told()) > 1

    wait_for(all_told, 30, what="the last answer, and that it is busy", explain=lambda: str(told()), every_s=0.5)
    assert told() == {("check", ""), ("error", "busy")}
    stand.prove_it_works()


# ---------------------------------------------------------------------- answers out of nowhere


def answer(payload: bytes = bytes(16), **properties: str) -> Message:
    said = {"kind": "check", "op": "root", "count": str(COUNT)} | properties
    message = Message(COPY, payload, correlation=b"x", properties=(("data_binding", STREAM),))
    return seal(message, [(name, value) for name, value in said.items() if value])


ANSWERS = [
    ("no operation", "shape", answer(op="")),
    ("another operation", "shape", answer(op="delete")),
    ("another tree", "shape", answer(tree="moon")),
    ("digests of three bytes", "bad_request", answer(size="999")),
    ("digests of five bytes", "shape", answer(size="5")),
    ("half a root", "shape", answer(bytes(15))),
    ("no payload", "empty", answer(b"")),
    ("a mebibyte", "size", answer(bytes((1 << 20) + 1))),
    ("a span of no century", "bad_request", answer(reached=str(10**20))),
    ("fewer than no records", "bad_request", answer(count="-1")),
    ("a changed payload", "digest", replace(answer(), payload=bytes(15) + b"x")),
]


@pytest.mark.parametrize(("name", "reason", "message"), ANSWERS, ids=[each[0] for each in ANSWERS])
def test_a_bad_answer_is_refused_counted_and_kept(stand: Stand, name: str, reason: str, message: Message) -> None:
    before, count = stand.rows(), stand.following.refused[reason]
    stand.send(message)
    wait_for(lambda: stand.following.refused[reason] == count + 1, 30, what=reason, explain=stand.describe)
    wait_for(lambda: stand.copy_state.read_refused()[-1][1:3] == (COPY, reason), 30, what="the quarantine")
    stand.prove_it_works()
    assert stand.rows() == before


@pytest.mark.parametrize("op", ["root", "nodes", "rows"])
def test_an_answer_that_nobody_awaits_is_counted_and_changes_nothing(stand: Stand, op: str) -> None:
    before, count = stand.rows(), stand.checks("uncorrelated")
    body = zlib.compress(encode_tables([stolen_rows([]), gone([END])]))
    stand.send(answer(bytes(1) + body, op=op, tree="archive", reached=str(END >> LEAF), origin=origin_of(stand)))
    wait_for(lambda: stand.checks("uncorrelated") == count + 1, 30, what="the count", explain=stand.describe)
    stand.prove_it_works()
    assert stand.rows() == before


def test_an_answer_of_another_primary_is_counted_and_changes_nothing(stand: Stand) -> None:
    before, count = stand.rows(), stand.checks("origin")
    stand.send(answer(origin="0123456789abcdef"))
    wait_for(lambda: stand.checks("origin") == count + 1, 30, what="the count", explain=stand.describe)
    stand.prove_it_works()
    assert stand.rows() == before


def origin_of(stand: Stand) -> str:
    return stand.copy_state.read_origin(STREAM)


# ---------------------------------------------------------------------- spoiled answers to the copy's own questions


def respelt(message: Message, payload: bytes | None = None, **properties: str | None) -> Message:
    """The answer with another payload, or other properties (None: without it), and a digest that fits."""
    plain = {name: value for name, value in message.properties if name not in ("digest", "samesky")} | properties
    said = tuple((name, value) for name, value in plain.items() if value is not None)
    return seal(replace(message, payload=message.payload if payload is None else payload, properties=said), ())


def stolen_rows(times: list[int], *more: Column, value: object = None) -> Table:
    columns = (Column("dateTime", Kind.INTEGER), Column("usUnits", Kind.INTEGER), Column("interval", Kind.INTEGER))
    return Table.from_rows("archive", (*columns, *more), [(time, 1, 5, *([value] * len(more))) for time in times])


def gone(times: list[Any], kind: Kind = Kind.INTEGER) -> Table:
    return Table.from_rows("gone", (Column("dateTime", kind),), [(time,) for time in times])


def tables(message: Message, *replaced: Table) -> Message:
    return respelt(message, b"\0" + zlib.compress(encode_tables(replaced)))


def only(op: str, spoil: Callable[[Message], Message]) -> Spoil:
    return lambda request, message: spoil(message) if request.op == op else message


SPOILED: list[tuple[str, str, Spoil]] = [
    ("an answer to another question", "uncorrelated", only("root", lambda m: respelt(m, op="nodes"))),
    ("roots that differ in no tree", "shape", only("root", lambda m: respelt(m, tree=None))),
    ("half a digest list", "shape", only("root", lambda m: respelt(m, m.payload[:-1]))),
    ("a huge digest list", "size", only("root", lambda m: respelt(m, m.payload + bytes(MAX_LIST_BYTES)))),
    ("nodes of another tree", "shape", only("nodes", lambda m: respelt(m, tree="summary"))),
    ("nodes that weren't asked for", "shape", only("nodes", lambda m: respelt(m, b"\0" + span(7, bytes(8))))),
    ("nodes up to nowhere", "shape", only("nodes", lambda m: respelt(m, reached=None))),
    ("what isn't compressed", "encoding", only("rows", lambda m: respelt(m, b"\0tables"))),
    ("a bomb", "bomb", only("rows", lambda m: respelt(m, b"\0" + zlib.compress(bytes(100_000_000))))),
    ("no tables", "shape", only("rows", lambda m: tables(m))),
    ("rows without times", "required", only("rows", lambda m: tables(m, Table("archive", (), ()), gone([])))),
    ("rows that weren't asked for", "shape", only("rows", lambda m: tables(m, stolen_rows([END - 99_999]), gone([])))),
    ("deletions that weren't asked for", "shape", only("rows", lambda m: tables(m, stolen_rows([]), gone([END])))),
    ("deletions of texts", "shape", only("rows", lambda m: tables(m, stolen_rows([]), gone(["x"], Kind.TEXT)))),
    ("deletions of fractions", "type", only("rows", lambda m: tables(m, stolen_rows([]), gone([1.5])))),
]


@pytest.fixture
def hostile(tmp_path: Path, broker: MosquittoBroker) -> Iterator[Stand]:
    """The primary has one record that the copy hasn't as it should be."""
    with Stand(tmp_path, broker.port) as stand:
        yield stand
        stand.serving.spoil = None


def differ(stand: Stand, *, count: int = 1) -> list[int]:
    """Change old records at the primary; returns their times."""
    times = [END - 300 * (400 + number) for number in range(count)]
    with closing(sqlite3.connect(stand.primary.path, timeout=10)) as connection, connection:
        changing = "UPDATE archive SET outTemp = COALESCE(outTemp, 0) + 50 WHERE dateTime = ?"
        connection.executemany(changing, [(t,) for t in times])
    return times


def mend(stand: Stand) -> None:
    """The primary is itself again: the next checks mend what differs."""
    stand.serving.spoil = None
    proven = stand.checks("proven")

    def is_proven() -> bool:
        stand.following.request_check(STREAM)  # else it waits a while after what can't be mended
        return stand.checks("proven") > proven

    wait_for(is_proven, 30, what="the proof", explain=stand.describe, every_s=0.5)
    assert stand.rows() == read_rows(stand.primary, "archive")
    wait_for(lambda: stand.trouble == "None", 30, what="the end of the trouble", explain=stand.describe)


def test_a_spoiled_answer_ends_the_check_and_the_next_good_one_mends_the_copy(hostile: Stand) -> None:
    for name, reason, spoil in SPOILED:
        before, count, given_up = hostile.rows(), hostile.checks(reason), hostile.checks("given up")
        differ(hostile)
        hostile.serving.spoil = spoil
        hostile.following.request_check(STREAM)
        wait_for(lambda: hostile.checks("given up") > given_up, 30, what=name, explain=hostile.describe)  # noqa: B023
        assert hostile.checks(reason) == count + 1, f"{name}: {hostile.describe()}"
        wait_for(lambda: "makes no sense" in hostile.trouble, 30, what=f"the trouble of {name}")
        assert hostile.rows() == before, name
        mend(hostile)


def test_row_32_digests_that_do_not_add_up_make_the_copy_suspect_its_primary(hostile: Stand) -> None:
    """The primary's root is another one, but none of its spans is."""
    before = hostile.rows()

    def spoil(request: Request, message: Message) -> Message:
        payload = bytes(8) + message.payload[8:16] + own_spans(hostile, request.correlation or b"")
        return respelt(message, payload, tree="archive") if request.op == "root" else message

    hostile.serving.spoil = spoil
    hostile.following.request_check(STREAM)
    wait_for(lambda: hostile.checks("given up"), 30, what="the end of the check", explain=hostile.describe)
    assert hostile.checks("inconsistent") >= 1
    wait_for(lambda: "still different" in hostile.trouble, 30, what="the trouble", explain=hostile.describe)
    assert hostile.rows() == before
    mend(hostile)


def own_spans(stand: Stand, nonce: bytes) -> bytes:
    """The digest list of the copy's spans of 48 days."""
    names, rows = query_with_names(stand.copy, "SELECT * FROM archive")
    order = sorted(range(len(names)), key=names.__getitem__)
    hasher, at = RowHasher(sorted(names)), names.index("dateTime")
    tree = MemoryTree((row[at], hasher.hash([row[place] for place in order])) for row in rows)
    parents: dict[int, dict[int, Sum]] = {}
    for top, each in View(tree, END).tops().items():
        parents.setdefault(top >> STEP, {})[top] = each
    return encode_digests(parents, nonce=nonce, size=8)


@pytest.mark.parametrize("more", [11, 500])
def test_row_30_an_answer_that_asks_for_many_deletions_deletes_nothing(hostile: Stand, more: int) -> None:
    """Of a thousand records, ten are deleted unasked."""
    before, times = hostile.rows(), differ(hostile, count=more)

    def all_gone(message: Message) -> Message:
        found = {table.name: table for table in decode_tables(zlib.decompress(message.payload[1:]), max_rows=10_000)}
        return tables(message, stolen_rows([]), gone(sorted(set(found["archive"].column("dateTime")))))  # type: ignore[type-var]

    hostile.serving.spoil = only("rows", all_gone)
    hostile.following.request_check(STREAM)
    wait_for(lambda: hostile.following.snapshots()[0].state == "stopped", 30, what="the stop", explain=hostile.describe)
    assert f"{more} of 1,000 records of this copy are not at the primary" in hostile.trouble
    assert f"samesky repair --stream {STREAM} --accept-deletions {more}" in hostile.trouble
    assert hostile.rows() == before
    assert len(times) == more
    hostile.serving.spoil = None
    hostile.copy_state.write_hold(STREAM, "")
    wait_for(lambda: hostile.rows() == read_rows(hostile.primary, "archive"), 30, what="the repair")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column("outTemp", Kind.TEXT), "warm"),
        (Column("usUnits", Kind.INTEGER), 99),
        (Column("moonPhase", Kind.REAL), 1.0),
    ],
    ids=["a text for a number", "another unit system", "a column that nobody has"],
)
def test_rows_that_are_no_records_are_not_written(hostile: Stand, column: Column, value: object) -> None:
    before, (time,) = hostile.rows(), differ(hostile)
    columns = (Column("dateTime", Kind.INTEGER), Column("interval", Kind.INTEGER), column)
    table = Table.from_rows("archive", columns, [(time, 5, value)])
    hostile.serving.spoil = only("rows", lambda m: tables(m, table, gone([])))
    hostile.following.request_check(STREAM)
    wait_for(lambda: hostile.checks("given up"), 30, what="the end of the check", explain=hostile.describe)
    assert hostile.rows() == before
    mend(hostile)
