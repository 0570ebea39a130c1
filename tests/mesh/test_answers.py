"""What a peer answers to questions about its tree: bounded, only where answers belong, whatever the question."""

from dataclasses import replace

import pytest

from samesky.core.strict import Reason
from samesky.core.timetree import Sum
from samesky.errors import Locked
from samesky.link.message import Message
from samesky.mesh.answers import MOST_AT_ONCE, Answering, answer_topic, ask_topic
from samesky.mesh.directory_sums import mark_of
from samesky.mesh.index import Sums
from samesky.mesh.questions import (
    MOST_BYTES,
    DirectoryQuestion,
    FilesQuestion,
    Question,
    decode_answer,
    encode_question,
)
from stands.mesh_trees import EXCHANGE, MemoryIndex, make_entry, make_tree


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _ask(question: Question, *, client: str = "client") -> Message:
    return Message(
        ask_topic(EXCHANGE),
        encode_question(question),
        response_topic=answer_topic(EXCHANGE, client),
        correlation=b"nonce",
    )


UNLIKE = Sum(1, 1)
"""The sum of no tree."""


def _question(path: str = "", expected: Sum = UNLIKE, after: str = "") -> Question:
    return Question("asker", directories=(DirectoryQuestion(path, expected, after),))


ROOT = _ask(_question())


@pytest.fixture
def answering() -> Answering:
    return Answering(make_tree(300), "answerer", "http://here.example/data", EXCHANGE, clock=Clock())


def test_an_answer_goes_to_the_response_topic_with_the_correlation_of_its_question(answering: Answering) -> None:
    answer = answering.on_ask(ROOT)
    assert (answer.topic, answer.correlation, answer.qos) == ("xpublic/samesky/answer/client", b"nonce", 1)
    assert answer.content_type == "application/json"
    told = decode_answer(answer.payload)
    assert (told.node, told.base_url, told.newest) == ("answerer", "http://here.example/data", answering.tree.newest)
    assert answering.answered == 1


@pytest.mark.parametrize(
    "topic",
    [
        None,
        "",
        "xpublic/v03/post/a",
        "elsewhere",
        "other/samesky/answer/client",
        "xpublic/samesky/answer/",
        "xpublic/samesky/answer/#",
        "xpublic/samesky/answer/+",
        "xpublic/samesky/answer/a/b",
        "xpublic/samesky/answer/a\0",
        "$SYS/broker",
        "xpublic/samesky/answer/" + "x" * 129,
    ],
)
def test_a_question_whose_answer_is_wanted_elsewhere_is_refused(answering: Answering, topic: str | None) -> None:
    assert answering.on_ask(replace(ROOT, response_topic=topic)) is None
    assert answering.refused == {Reason.REPLYTO: 1}
    assert answering.on_ask(ROOT) is not None


def test_ten_thousand_user_properties_are_refused(answering: Answering) -> None:
    assert answering.on_ask(replace(ROOT, properties=(("name", "value"),) * 10_000)) is None
    assert answering.refused == {Reason.PROPS: 1}
    assert answering.on_ask(replace(ROOT, properties=(("name", "value"),))) is not None


@pytest.mark.parametrize("correlation", [None, b"", b"x" * 65])
def test_a_question_without_fitting_correlation_data_is_refused(
    answering: Answering, correlation: bytes | None
) -> None:
    assert answering.on_ask(replace(ROOT, correlation=correlation)) is None
    assert answering.refused == {Reason.UNCORRELATED: 1}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"abc", Reason.JSON),
        (b"-1", Reason.SHAPE),
        (b"1" * 31, Reason.RANGE),
        (b"[" * 50_000, Reason.DEPTH),
        (b" " * (MOST_BYTES + 1), Reason.SIZE),
        (b'{"samesky": 1}', Reason.TYPE),
        (b'{"samesky": 9, "from": "x"}', Reason.VERSION),
        (b'{"samesky": true, "from": "x"}', Reason.VERSION),
        (b'{"samesky": 1, "from": "x", "ask": "everything"}', Reason.BAD_REQUEST),
        (b'{"samesky": 1, "from": "x", "ask": "files", "files": []}', Reason.SHAPE),
        (b'{"samesky": 1, "from": "x", "ask": "files", "files": [["", "b", "a", ""]]}', Reason.SHAPE),
        (b'{"samesky": 1, "from": "x", "ask": "directories", "directories": [["", 1, "AAAA"]]}', Reason.SHAPE),
    ],
)
def test_a_question_that_makes_no_sense_is_counted_and_the_next_one_answered(
    answering: Answering, payload: bytes, reason: Reason
) -> None:
    assert answering.on_ask(replace(ROOT, payload=payload)) is None
    assert answering.refused == {reason: 1}
    assert answering.on_ask(ROOT) is not None


def test_our_own_questions_and_those_for_others_are_passed_over(answering: Answering) -> None:
    own = Question("answerer", directories=(DirectoryQuestion("", Sum()),))
    assert answering.on_ask(_ask(own)) is None
    assert answering.on_ask(_ask(replace(_question(), to="another"))) is None
    assert answering.on_ask(_ask(replace(_question(), to="answerer"))) is not None
    assert answering.refused == {}


def test_who_asks_a_hundred_times_over_is_told_to_wait_and_others_are_answered(answering: Answering) -> None:
    answers = [decode_answer(answering.on_ask(ROOT).payload) for _ in range(100 * 3)]
    assert [each.busy_s > 0 for each in answers] == [False] * int(MOST_AT_ONCE) + [True] * 100
    assert answering.refused == {"busy": 100}
    answering.clock.now += 2
    assert not decode_answer(answering.on_ask(_ask(_question(), client="another")).payload).busy_s
    assert not decode_answer(answering.on_ask(ROOT).payload).busy_s


def test_an_index_that_cannot_be_read_leaves_a_question_unanswered(answering: Answering) -> None:
    class Unreadable(MemoryIndex):
        def sums_since(self, changes: int) -> Sums:
            raise Locked("the index is locked")

    answering.tree = Unreadable()
    assert answering.on_ask(ROOT) is None
    assert answering.refused == {"locked": 1}


def test_a_directory_that_is_as_expected_gets_the_shortest_answer(answering: Answering) -> None:
    whole = decode_answer(answering.on_ask(ROOT).payload).directories[0].whole
    answer = answering.on_ask(_ask(_question(expected=whole)))
    [told] = decode_answer(answer.payload).directories
    assert (told.whole, told.files, told.children) == (whole, None, ())
    assert len(answer.payload) < 200


def test_what_is_told_of_a_directory_adds_up(answering: Answering) -> None:
    answering.tree.put(make_entry("at-the-top"))
    [told] = decode_answer(answering.on_ask(ROOT).payload).directories
    assert sum((each for _, each in told.children), start=told.files) == told.whole
    assert told.whole.count == 301


def test_a_directory_that_is_not_there_holds_nothing(answering: Answering) -> None:
    [told] = decode_answer(answering.on_ask(_ask(_question("no/such"))).payload).directories
    assert (told.whole, told.files, told.children) == (Sum(), Sum(), ())
    question = Question("asker", files=(FilesQuestion("no/such", marks=(b"12345678",)),))
    [files] = decode_answer(answering.on_ask(_ask(question)).payload).files
    assert (files.entries, files.absent, files.reached) == ((), frozenset({0}), "")


def test_only_files_whose_marks_were_not_told_are_told_and_marks_of_none_are_named() -> None:
    tree = MemoryIndex([make_entry(f"a/{name}", name.encode()) for name in "pqrs"])
    answering = Answering(tree, "answerer", "", EXCHANGE, clock=Clock())
    known = [tree.read("a/p"), make_entry("a/other"), tree.read("a/r")]
    marks = tuple(mark_of(each, nonce=b"nonce") for each in known)
    question = Question("asker", files=(FilesQuestion("a", marks=marks), FilesQuestion("a", "p", "r")))
    first, second = decode_answer(answering.on_ask(_ask(question)).payload).files
    assert ([each.path for each in first.entries], first.absent) == (["a/q", "a/s"], frozenset({1}))
    assert [each.path for each in second.entries] == ["a/q", "a/r"]
    assert first.entries[0] == tree.read("a/q")


def test_a_long_list_is_told_in_pages_none_of_which_is_too_long() -> None:
    tree = MemoryIndex([make_entry(f"d/{number:05d} {'x' * 200}") for number in range(3000)])
    answering = Answering(tree, "answerer", "http://x", EXCHANGE, clock=Clock())
    after, found = "", []
    for _ in range(100):
        answer = answering.on_ask(_ask(Question("asker", files=(FilesQuestion("d", after),))))
        assert len(answer.payload) <= MOST_BYTES
        [page] = decode_answer(answer.payload).files
        found += [each.path for each in page.entries]
        after = page.reached
        if not after:
            break
    assert found == sorted(entry.path for entry in tree.all())


def test_pruned_files_are_not_told_of() -> None:
    tree = MemoryIndex([replace(make_entry("a"), state="pruned"), make_entry("b")])
    answering = Answering(tree, "answerer", "", EXCHANGE, clock=Clock())
    [told] = decode_answer(answering.on_ask(ROOT).payload).directories
    assert told.whole.count == 1
    [files] = decode_answer(answering.on_ask(_ask(Question("x", files=(FilesQuestion(""),)))).payload).files
    assert [each.path for each in files.entries] == ["b"]


def test_looking_for_one_answer_has_a_bound_whatever_is_asked() -> None:
    tree = make_tree(20_000, directories=2, depth=1)
    answering = Answering(tree, "answerer", "", EXCHANGE, clock=Clock())
    entries = {each: tree.entries(each, limit=20_000) for each in ("000", "001")}
    marks = tuple(mark_of(each, nonce=b"nonce") for each in entries["000"][:5000])
    tree.reads = 0
    question = Question("asker", files=(FilesQuestion("000", marks=marks), FilesQuestion("001")))
    answer = decode_answer(answering.on_ask(_ask(question)).payload)
    assert len(answer.files) == 1
    assert tree.reads <= 2500
