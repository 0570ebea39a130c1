"""Questions and answers come through JSON as they were, and nothing else comes through."""

import json
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.core.timetree import Sum
from samesky.mesh.announcement import METHODS, Entry, Integrity
from samesky.mesh.questions import (
    MOST_BYTES,
    Answer,
    DirectoryAnswer,
    DirectoryQuestion,
    FilesAnswer,
    FilesQuestion,
    Question,
    decode_answer,
    decode_question,
    encode_answer,
    encode_question,
)

_NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
_PATHS = st.lists(_NAMES, max_size=4).map("/".join)
_SUMS = st.builds(Sum, st.integers(1, 1 << 40), st.integers(0, (1 << 128) - 1))
_IDS = st.text("0123456789abcdef", min_size=1, max_size=16)
_TIMES = st.integers(0, (1 << 63) - 1)


@st.composite
def _entries(draw: st.DrawFn, path: str) -> tuple[Entry, ...]:
    found = []
    for name in sorted(draw(st.sets(_NAMES, max_size=4))):
        whole = f"{path}/{name}" if path else name
        if draw(st.booleans()):
            found.append(Entry(whole, draw(_TIMES), None, 0, 0, state="removed"))
            continue
        content = draw(st.binary(min_size=64, max_size=64))
        method = draw(st.sampled_from(["", "same", *METHODS]))
        size = METHODS[method]().digest_size if method in METHODS else 0
        integrity = Integrity(method, draw(st.binary(min_size=size, max_size=size))) if size else None
        if method == "same":
            integrity = Integrity("sha512", content)
        extra = draw(st.dictionaries(_NAMES, st.one_of(_NAMES, st.integers(-9, 9), st.lists(_NAMES)), max_size=3))
        found.append(Entry(whole, draw(_TIMES), integrity, draw(_TIMES), 0, content, extra=extra))
    return tuple(found)


@st.composite
def _file_answers(draw: st.DrawFn) -> FilesAnswer:
    path = draw(_PATHS)
    absent = draw(st.frozensets(st.integers(0, 300)))
    return FilesAnswer(path, draw(st.one_of(st.just(""), _NAMES)), absent, draw(_entries(path)))


@st.composite
def _directory_answers(draw: st.DrawFn) -> DirectoryAnswer:
    if draw(st.booleans()):
        return DirectoryAnswer(draw(_PATHS), draw(_SUMS))
    names = sorted(draw(st.sets(_NAMES, max_size=4)))
    children = tuple((name, draw(_SUMS)) for name in names)
    return DirectoryAnswer(draw(_PATHS), draw(_SUMS), draw(_SUMS), children, draw(st.booleans()))


_QUESTIONS = st.one_of(
    st.builds(
        lambda node, to, parts: Question(node, to, directories=tuple(parts)),
        _IDS,
        st.one_of(st.just(""), _IDS),
        st.lists(st.builds(DirectoryQuestion, _PATHS, _SUMS, st.one_of(st.just(""), _NAMES)), min_size=1),
    ),
    st.builds(
        lambda node, parts: Question(node, files=tuple(parts)),
        _IDS,
        st.lists(
            st.builds(
                lambda path, after, marks: FilesQuestion(path, after, after + "z", tuple(marks)),
                _PATHS,
                _NAMES,
                st.lists(st.binary(min_size=8, max_size=8), max_size=5),
            ),
            min_size=1,
        ),
    ),
)
_ANSWERS = st.one_of(
    st.builds(lambda node, seconds: Answer(node, busy_s=seconds), _IDS, st.integers(1, 3600)),
    st.builds(
        lambda node, newest, parts: Answer(node, "https://x.example/data", newest, directories=tuple(parts)),
        _IDS,
        _TIMES,
        st.lists(_directory_answers(), min_size=1, max_size=3),
    ),
    st.builds(
        lambda node, newest, parts: Answer(node, "", newest, files=tuple(parts)),
        _IDS,
        _TIMES,
        st.lists(_file_answers(), min_size=1, max_size=3),
    ),
)


@given(_QUESTIONS)
def test_a_question_comes_back_as_it_was(question: Question) -> None:
    assert decode_question(encode_question(question)) == question


@given(_ANSWERS)
def test_an_answer_comes_back_as_it_was(answer: Answer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


def test_a_message_longer_than_64_kib_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Refused) as refusal:
        decode_question(b"[" * (MOST_BYTES + 1))
    assert refusal.value.reason == Reason.SIZE


_ENTRY = Entry("a/b", 5, Integrity("md5", b"x" * 16), 3, 0, b"c" * 64, extra={"source": "CWAO"})
_GOOD_QUESTIONS = [
    Question("0a", directories=(DirectoryQuestion("", Sum(2, 3)), DirectoryQuestion("a", Sum(2, 3), "b"))),
    Question("0a", "0b", files=(FilesQuestion("a", "b", "c", (b"12345678",)),)),
]
_GOOD_ANSWERS = [
    Answer("0b", "http://x", 5, directories=(DirectoryAnswer("", Sum(1, 2), Sum(0, 0), (("a", Sum(1, 2)),), True),)),
    Answer(
        "0b", "http://x", 5, files=(FilesAnswer("a", "b", frozenset({0, 9}), (_ENTRY, replace(_ENTRY, path="a/c"))),)
    ),
    Answer("0b", busy_s=3),
]
_ODD = [None, True, -1, 1 << 63, 1.5, "", "a/b", "\0", "é" * 2000, "not base64!", [], [[]], {}, ["a"], "AAAA"]


def _places(document: object, place: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [place, *(found for key, value in inside for found in _places(value, (*place, key)))]


def _put(document: object, place: tuple[object, ...], value: object) -> object:
    if not place:
        return value
    copied = dict(document) if isinstance(document, dict) else list(document)
    copied[place[0]] = _put(document[place[0]], place[1:], value)
    return copied


@pytest.mark.parametrize(
    ("payload", "decode"),
    [
        *((encode_question(each), decode_question) for each in _GOOD_QUESTIONS),
        *((encode_answer(each), decode_answer) for each in _GOOD_ANSWERS),
    ],
)
def test_whatever_stands_in_the_place_of_a_value_is_taken_or_refused(payload: bytes, decode) -> None:
    document = json.loads(payload)
    refused = 0
    for place in _places(document):
        for odd in _ODD:
            try:
                decode(json.dumps(_put(document, place, odd)).encode())
            except Refused:
                refused += 1
    assert refused > len(_places(document)) * len(_ODD) // 2


@pytest.mark.slow
def test_mutated_payloads_are_taken_or_refused_and_nothing_else_happens() -> None:
    random = Random(4)
    payloads = [encode_question(each) for each in _GOOD_QUESTIONS] + [encode_answer(each) for each in _GOOD_ANSWERS]
    for _ in range(100_000):
        mutated = bytearray(random.choice(payloads))
        for _ in range(random.randrange(1, 5)):
            at = random.randrange(len(mutated))
            match random.randrange(3):
                case 0:
                    mutated[at] = random.randrange(256)
                case 1:
                    del mutated[at : at + random.randrange(1, 9)]
                case 2:
                    mutated[at:at] = mutated[: random.randrange(9)]
            if not mutated:
                break
        for decode in (decode_question, decode_answer):
            try:
                decode(bytes(mutated))
            except Refused:
                pass


def test_names_of_an_answer_must_be_in_order_and_told_once() -> None:
    [files] = _GOOD_ANSWERS[1].files
    for entries in ((files.entries[1], files.entries[0]), (files.entries[0], files.entries[0])):
        answer = replace(_GOOD_ANSWERS[1], files=(replace(files, entries=entries),))
        with pytest.raises(Refused, match="order"):
            decode_answer(encode_answer(answer))
