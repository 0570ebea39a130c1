"""A check between two trees in memory: what differs is found and nothing else, whatever it is, in few messages."""

import json
from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samesky.core.columns import Column, Kind, Table
from samesky.core.strict import Refused
from samesky.core.timetree import LEAF, MemoryTree, RowHasher, View
from samesky.core.treelists import MAX_LIST_BYTES, decode_rows, encode_rows
from samesky.link.message import Message
from samesky.station.check_answers import MOST_DAYS, answer_question
from samesky.station.check_messages import CheckAnswer, decode_check, encode_check
from samesky.station.check_question import Question, TreeName, decode_question, encode_question
from samesky.station.check_session import CheckSession, Scope
from samesky.station.envelope import check_seal, open_envelope
from samesky.station.requests import Request

NOW = 1_800_000_000
STREAM = "home/wx_binding"
COLUMNS = (Column("dateTime", Kind.INTEGER), Column("outTemp", Kind.REAL))
HASHER = RowHasher([column.name for column in COLUMNS])
Rows = dict[int, float]


def view_of(rows: Mapping[int, float], until: int = NOW) -> View:
    return View(MemoryTree((time, HASHER.hash((time, value))) for time, value in rows.items()), until)


class Origin:
    """The primary's trees, over rows in memory."""

    def __init__(self, rows: Rows, until: int = NOW) -> None:
        self.rows = dict(rows)
        self._views = {"archive": view_of(rows, until), "summary": view_of({}, until)}

    def view(self, tree: TreeName) -> View:
        return self._views[tree]

    def read_rows(self, tree: TreeName, times: Sequence[int]) -> Table:
        return Table.from_rows("archive", COLUMNS, [(time, self.rows[time]) for time in times])


def ask(session: CheckSession, origin: Origin, number: int) -> tuple[Message, Message, CheckAnswer] | None:
    """One question and its answer as they go over the wire; None when the session has nothing to ask."""
    correlation = f"check#{number}".encode()
    question = session.next_question(correlation)
    if question is None:
        return None
    asked = encode_question(STREAM, question, topic="replicate/request/home", reply_to="a/b", correlation=correlation)
    understood = decode_question(asked, open_envelope(asked))
    assert understood == question
    answer = answer_question(understood, origin, stream=STREAM, correlation=correlation, origin="abc")
    request = Request(STREAM, 0, "a/b", correlation, 2, question.op)
    sent = encode_check(request, answer, qos=1)
    properties = open_envelope(sent)
    check_seal(sent, properties)
    assert decode_check(sent, STREAM, properties) == answer
    return asked, sent, answer


def check(mine: Rows, origin: Origin, *, until: int = NOW) -> tuple[bool, int, list[Message]]:
    """Run one session and repair what it finds; returns whether it was the same, repairs, and the messages."""
    session = CheckSession({"archive": view_of(mine, until)}, until, Scope(summaries=False))
    messages: list[Message] = []
    repairs = 0
    for number in range(10_000):
        exchange = ask(session, origin, number)
        if exchange is None:
            assert session.same is not None
            return session.same, repairs, messages
        messages += exchange[:2]
        repair = session.on_answer(exchange[2])
        if repair is not None:
            for row in repair.rows.records():
                assert mine.get(int(row["dateTime"])) != row["outTemp"]  # type: ignore[call-overload]
                mine[row["dateTime"]] = row["outTemp"]  # type: ignore[index, assignment]
                repairs += 1
            for time in repair.gone:
                del mine[time]
                repairs += 1
    raise AssertionError("a session without an end")


def year(count: int, *, interval_s: int = 300) -> Rows:
    return {NOW - interval_s * number: number / 7 for number in range(count)}


def test_two_equal_sides_know_it_after_two_small_messages() -> None:
    same, repairs, messages = check(year(20_000), Origin(year(20_000)))
    assert (same, repairs, len(messages)) == (True, 0, 2)
    said = sum(len(each.payload) + len(json.dumps(each.properties)) for each in messages)
    assert said < 450


def test_ten_differences_take_six_messages_and_nothing_else_is_touched() -> None:
    rows, mine = year(100_000), year(100_000)
    chance = Random(1)
    for time in chance.sample(sorted(mine), 10):
        mine[time] += 1
    same, repairs, messages = check(mine, Origin(rows))
    assert (same, repairs, len(messages)) == (False, 10, 6)
    assert mine == rows
    assert check(mine, Origin(rows))[0]


def test_a_thousand_differences_of_every_kind_are_found_in_messages_that_stay_small() -> None:
    rows, mine = year(100_000), year(100_000)
    chance = Random(2)
    touched = chance.sample(sorted(mine), 1000)
    for time in touched[:300]:
        del mine[time]
    for time in touched[300:600]:
        mine[time] += 1
    for time in touched[600:]:
        mine[time + 7] = 1.0
    _, repairs, messages = check(mine, Origin(rows))
    assert repairs == 1000
    assert mine == rows
    assert max(len(each.payload) for each in messages) <= MAX_LIST_BYTES


def test_an_empty_copy_and_a_large_hole_are_filled() -> None:
    rows = year(30_000)
    for mine in ({}, {time: value for time, value in rows.items() if not NOW - 7_000_000 < time < NOW - 500_000}):
        check(mine, Origin(rows))
        assert mine == rows


def test_what_is_later_than_the_moment_of_the_check_is_left_alone() -> None:
    until = NOW - 1000
    rows, mine = year(500), {time: value for time, value in year(500).items() if time <= NOW - 600}
    assert check(mine, Origin(rows, until), until=until)[0]
    mine[NOW - 900] = 5.0
    assert check(mine, Origin(rows, until), until=until)[0]


def test_what_an_empty_primary_lacks_is_gone() -> None:
    mine = year(3)
    check(mine, Origin({}))
    assert mine == {}


TIMES = st.integers(NOW - 40_000, NOW) | st.integers(NOW - 400_000_000, NOW)
ROWS = st.dictionaries(TIMES, st.floats(allow_nan=False), max_size=30)


@settings(deadline=None)
@given(ROWS, ROWS, TIMES)
def test_any_two_sides_are_equal_up_to_the_moment_after_one_session(common: Rows, other: Rows, until: int) -> None:
    rows, mine = {**common, **other}, dict(common)
    for time in list(other)[::2]:
        mine[time + 1 if time < NOW else time] = 0.5
    check(mine, Origin(rows, until), until=until)
    assert {t: HASHER.hash((t, v)) for t, v in mine.items() if t <= until} == {
        t: HASHER.hash((t, v)) for t, v in rows.items() if t <= until
    }


def test_an_answer_about_something_else_is_refused() -> None:
    rows, mine = year(1000), year(1000)
    mine[NOW - 300] += 1
    session = CheckSession({"archive": view_of(mine)}, NOW, Scope(summaries=False))
    origin = Origin(rows)
    for number in range(2):
        exchange = ask(session, origin, number)
        assert exchange is not None
        session.on_answer(exchange[2])
    session.next_question(b"last")
    far = Question("rows", NOW, b"", "archive")
    answer = answer_question(far, origin, stream=STREAM, correlation=b"last", origin="abc")
    with pytest.raises(Refused, match="answers nothing"):
        session.on_answer(answer)


def test_days_are_asked_about_and_looked_at_a_few_at_a_time() -> None:
    days = view_of({NOW - 86_400 * number: 1.0 for number in range(1, 200)})
    leaves = [time >> LEAF for time in range(NOW - 199 * 86_400, NOW, 86_400)]
    session = CheckSession.of_rows({"summary": days}, NOW, Scope(), {"summary": leaves})
    question = session.next_question(b"1")
    assert question is not None
    assert list(decode_rows(question.payload, size=question.size)) == leaves[:MOST_DAYS]
    every = encode_rows({leaf: days.entries(leaf) for leaf in leaves}, nonce=b"1", size=4)
    greedy = Question(op="rows", until=NOW, payload=every, tree="summary", size=4)
    answer = answer_question(greedy, Origin({}), stream=STREAM, correlation=b"1", origin="abc")
    assert answer.reached == leaves[MOST_DAYS - 1]
