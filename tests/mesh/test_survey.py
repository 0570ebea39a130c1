"""The trees of several peers are compared from outside, file by file where they differ."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from samesky.core.strict import Refused
from samesky.core.timetree import Sum
from samesky.link.message import Message
from samesky.mesh import survey as survey_module
from samesky.mesh.answers import Answering, answer_topic, ask_topic
from samesky.mesh.questions import Answer, DirectoryAnswer, Question, decode_answer, encode_question
from samesky.mesh.survey import Survey, Surveyed, survey
from stands.mesh_trees import EXCHANGE, SECOND_NS, START, MemoryIndex, copy_of, make_entry, make_removal, make_tree


def _peer(name: str, tree: MemoryIndex, said: list[Message]) -> Surveyed:
    answering = Answering(tree, name, f"http://{name}", EXCHANGE)

    def ask(question: Question) -> Answer:
        answering._all.left = 200  # these tests ask faster than anybody on a network
        answering._askers.clear()
        message = Message(
            ask_topic(EXCHANGE),
            encode_question(question),
            response_topic=answer_topic(EXCHANGE, "lag"),
            correlation=b"nonce",
        )
        answer = answering.on_ask(message)
        said.extend((message, answer))
        return decode_answer(answer.payload)

    return Surveyed(f"mqtt://{name}", name, ask)


def _survey(*trees: MemoryIndex, said: list[Message] | None = None) -> Survey:
    heard = [] if said is None else said
    return survey([_peer(f"p{number}", tree, heard) for number, tree in enumerate(trees)])


def _lacking(found: Survey) -> list[int]:
    return [each.lacking for each in found.peers]


def test_equal_trees_are_the_same_by_two_messages_each() -> None:
    tree, said = make_tree(2000), []
    found = _survey(tree, copy_of(tree), copy_of(tree), said=said)
    assert (found.same, found.complete, found.directories) == (True, True, ())
    assert len(said) == 6
    assert len({each.digest for each in found.peers}) == 1


def test_what_each_peer_lacks_is_counted_by_directory_with_examples() -> None:
    first = make_tree(2000)
    second, third = copy_of(first), copy_of(first)
    gone = [path for path in first.contents() if path.startswith("003/d1/")][:9]
    for path in gone:
        second.forget(path)
    third.put(make_entry("new/file"))
    found = _survey(first, second, third)
    assert not found.same
    assert _lacking(found) == [1, 10, 0]
    assert [(each.path, each.lacking) for each in found.directories] == [("003/d1", (0, 9, 0)), ("new", (1, 1, 0))]
    assert found.peers[1].examples == gone[:5]
    assert found.peers[0].examples == ["new/file"]


def test_an_older_version_counts_as_lacking_and_a_file_removed_elsewhere_as_too_much() -> None:
    first = MemoryIndex([make_entry("a", b"old", at=START - 9), make_entry("gone", at=START - 9)])
    second = MemoryIndex([make_entry("a", b"new", at=START - 5), make_removal("gone", at=START - 2)])
    found = _survey(first, second)
    assert _lacking(found) == [1, 0]
    assert [each.removed_elsewhere for each in found.peers] == [1, 0]


def test_how_far_behind_a_peer_is_follows_from_the_newest_file_that_it_knows() -> None:
    first, second = MemoryIndex([make_entry("a", at=START)]), MemoryIndex([make_entry("a", at=START - 90)])
    second.put(make_entry("b", at=START - 90))
    found = _survey(first, second)
    assert [found.behind_s(each) for each in found.peers] == [0, 90]
    assert found.peers[0].newest == START * SECOND_NS


def test_an_empty_tree_lacks_everything_however_large_the_others_are() -> None:
    found = _survey(make_tree(3000, directories=150, depth=3), MemoryIndex())
    assert _lacking(found) == [0, 3000]
    assert found.complete


def test_what_is_too_much_to_look_at_is_compared_by_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "MOST_LISTED", 1000)
    found = _survey(make_tree(3000), MemoryIndex())
    assert not found.complete
    assert _lacking(found) == [0, 3000]
    assert {each.listed for each in found.directories} == {True, False}


def test_a_directory_with_thousands_of_children_is_read_to_its_end() -> None:
    first = MemoryIndex([make_entry(f"a directory with a long name, number {number:05d}/f") for number in range(2500)])
    second = copy_of(first)
    second.forget("a directory with a long name, number 02499/f")
    assert _lacking(_survey(first, second)) == [0, 1]


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [DirectoryAnswer("elsewhere", Sum())],
    ],
)
def test_an_answer_to_another_question_is_refused(answers: Sequence[DirectoryAnswer]) -> None:
    tree = make_tree(5)
    peer = _peer("p", tree, [])
    ask = peer.ask
    peer.ask = lambda question: replace(ask(question), directories=tuple(answers))
    with pytest.raises(Refused):
        survey([peer])
