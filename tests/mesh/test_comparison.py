"""A peer compares its tree with a neighbour's, and finds what it lacks: nothing more, nothing less, at little cost."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samesky.core.strict import Reason
from samesky.core.timetree import Sum
from samesky.errors import Locked
from samesky.link.message import Message
from samesky.mesh import promised
from samesky.mesh.announcement import Announcement, Entry
from samesky.mesh.index import Index, entry_hash
from samesky.mesh.peer import Peer, Rules, Touch
from samesky.mesh.questions import MOST_BYTES, decode_answer, decode_question, encode_answer
from stands.mesh_trees import (
    SECOND_NS,
    START,
    MemoryIndex,
    Talk,
    copy_of,
    entry_of,
    make_entry,
    make_removal,
    make_tree,
)

pytestmark = pytest.mark.slow


def _cost(talk: Talk) -> tuple[int, int]:
    """How many messages were said, and how many bytes they have with their topics."""
    return len(talk.said), sum(
        len(each.payload) + len(each.topic) + len(each.response_topic or "") + len(each.correlation or b"")
        for each in talk.said
    )


def _paths(found: list[Announcement]) -> list[str]:
    return sorted(each.path for each in found)


# ---------------------------------------------------------------------- what it costs


@pytest.mark.slow
def test_two_equal_trees_of_100_000_files_need_two_messages_and_less_than_a_kilobyte() -> None:
    theirs = make_tree(100_000, directories=200, depth=3)
    talk = Talk(copy_of(theirs), theirs)
    assert talk.connect() == []
    messages, size_bytes = _cost(talk)
    assert messages == 2
    assert size_bytes < 1000
    assert (talk.comparison.messages, talk.comparison.same) == (2, True)


def test_one_file_more_in_a_thousand_directories_is_found_in_a_few_messages() -> None:
    theirs = make_tree(4000, directories=250, depth=3)
    talk = Talk(copy_of(theirs), theirs)
    theirs.put(make_entry("123/d1/d2/new.txt"))
    assert _paths(talk.connect()) == ["123/d1/d2/new.txt"]
    messages, size_bytes = _cost(talk)
    assert messages <= 12
    assert size_bytes < 30_000


def test_no_message_is_ever_longer_than_64_kib() -> None:
    theirs = make_tree(5000, directories=3, depth=1)
    for number in range(3000):
        theirs.put(make_entry(f"a long name of a directory, number {number:06d}/file"))
    for number in range(60):
        theirs.put(replace(make_entry(f"x/{number}"), extra={"note": "é" * 3000, "other": number}))
    theirs.put(replace(make_entry("y/far too much was passed along"), extra={"note": "é" * 30_000}))
    talk = Talk(make_tree(2500, directories=3, depth=1), theirs)
    talk.connect()
    assert talk.ours.contents() == theirs.contents()
    assert max(len(each.payload) for each in talk.said) <= MOST_BYTES
    assert talk.ours.read("x/7").extra == {"note": "é" * 3000, "other": 7}
    assert talk.ours.read("y/far too much was passed along").extra == {}


def test_a_file_that_is_explained_once_costs_nothing_the_next_time() -> None:
    theirs = make_tree(2000)
    pruned = [replace(entry, state="pruned") for entry in theirs.all() if entry.path.startswith("003/")]
    ours = copy_of(theirs)
    for entry in pruned:
        ours.put(entry)
    for number in range(50):
        ours.put(make_entry(f"only-ours/{number}"))
        theirs.put(make_entry(f"unwanted/{number}"))
    ours.put(make_entry("001/both", b"newer", at=START - 10))
    theirs.put(make_entry("001/both", b"older", at=START - 20))
    talk = Talk(ours, theirs, selects=lambda path: not path.startswith("unwanted/"))
    assert talk.connect() == []
    assert talk.comparison.same is True
    said = len(talk.said)
    assert talk.check() == []
    assert len(talk.said) == said + 2
    theirs.put(make_entry("001/d1/new"))
    assert _paths(talk.check()) == ["001/d1/new"]


def test_a_file_that_was_older_there_is_found_when_its_content_was_announced_again() -> None:
    """Which changes no sum: so it is looked for now and then."""
    ours = MemoryIndex([make_entry("a/x", b"1", at=START - 5)])
    theirs = MemoryIndex([make_entry("a/x", b"2", at=START - 9)])
    talk = Talk(ours, theirs, interval_s=3600)
    assert talk.connect() == []
    theirs.put(make_entry("a/x", b"2", at=START - 2))
    talk.pass_time(100)
    assert talk.check() == []
    assert talk.comparison.proven_at == START
    assert _paths(talk.pass_time(4000)) == ["a/x"]


def test_directories_that_nothing_is_wanted_of_are_not_looked_into() -> None:
    theirs = make_tree(3000, directories=10)
    talk = Talk(MemoryIndex(), theirs, covers=lambda directory: directory.startswith("004"))
    assert {path[:4] for path in _paths(talk.connect())} == {"004/"}
    assert theirs.reads <= 600
    said = len(talk.said)
    assert (talk.check(), len(talk.said)) == ([], said + 2)


# ---------------------------------------------------------------------- what is found


def test_what_is_lacking_is_handed_out_as_the_neighbour_would_announce_it() -> None:
    theirs = MemoryIndex([replace(make_entry("20261121/CWAO/a.txt", b"cold"), extra={"source": "CWAO"})])
    talk = Talk(MemoryIndex(), theirs)
    [found] = talk.connect()
    entry = theirs.read("20261121/CWAO/a.txt")
    assert found == Announcement(
        path="20261121/CWAO/a.txt",
        pub_time=entry.pub_time,
        integrity=entry.integrity,
        size=4,
        base_url="http://theirs.example/data",
        extra={"source": "CWAO"},
    )
    assert found.url == "http://theirs.example/data/20261121/CWAO/a.txt"


def test_a_new_peer_finds_the_whole_tree() -> None:
    talk = Talk(MemoryIndex(), make_tree(3000, directories=70, depth=3))
    assert len(talk.connect()) == 3000
    assert talk.ours.contents() == talk.theirs.contents()


def test_files_at_the_top_and_in_directories_with_odd_names_are_found() -> None:
    paths = ["top.txt", 'a "b"/c d.txt', "é/ü/雲.bin", "a\\b/x", "a/b", "a-b/c", "a.b/c", "aa"]
    talk = Talk(MemoryIndex(), MemoryIndex(make_entry(path) for path in paths))
    assert _paths(talk.connect()) == sorted(path for path in paths if "\\" not in path)


def test_of_two_contents_the_newer_is_taken_and_of_equal_times_the_greater_checksum() -> None:
    low, high = sorted([b"one", b"two"], key=lambda content: make_entry("x", content).content)
    ours = MemoryIndex([make_entry("newer-here", b"1", at=START - 5), make_entry("older-here", b"1", at=START - 9)])
    theirs = MemoryIndex([make_entry("newer-here", b"2", at=START - 6), make_entry("older-here", b"2", at=START - 8)])
    for tree, content in ((ours, low), (theirs, high)):
        tree.put(make_entry("tie-taken", content))
    for tree, content in ((ours, high), (theirs, low)):
        tree.put(make_entry("tie-kept", content))
    assert _paths(Talk(ours, theirs).connect()) == ["older-here", "tie-taken"]


def test_what_was_pruned_here_is_not_fetched_again_unless_it_was_made_anew() -> None:
    old, changed = make_entry("old", b"1", at=START - 99), make_entry("changed", b"1", at=START - 99)
    ours = MemoryIndex([replace(old, state="pruned"), replace(changed, state="pruned")])
    theirs = MemoryIndex([replace(old, pub_time=old.pub_time + 1), make_entry("changed", b"2", at=START - 9)])
    assert _paths(Talk(ours, theirs).connect()) == ["changed"]


def test_the_same_content_with_another_time_is_no_difference() -> None:
    ours, theirs = MemoryIndex([make_entry("a", at=START - 9)]), MemoryIndex([make_entry("a", at=START - 3)])
    talk = Talk(ours, theirs)
    assert (talk.connect(), len(talk.said)) == ([], 2)


def test_paths_and_times_that_nobody_should_take_are_counted_and_left() -> None:
    theirs = MemoryIndex([make_entry(path) for path in ("../up", "..", "con", "line\nfeed", ".git/config", "fine")])
    theirs.put(make_entry("from-the-future", at=START + 9999))
    theirs.put(make_entry("from-1970", at=5))
    theirs.put(make_entry("from-1960", at=-300_000_000))
    theirs.put(make_entry("/".join(["a directory with a long name"] * 40) + "/deep"))
    talk = Talk(MemoryIndex(), theirs)
    assert _paths(talk.connect()) == ["fine"]
    assert sum(talk.comparison.refused.values()) == 9
    assert (talk.check(), talk.comparison.same) == ([], True)


def test_the_indexes_of_real_trees_are_compared_like_those_in_memory(tmp_path: Path) -> None:
    entries = [*make_tree(500, directories=7, depth=3).all(), make_removal("000/gone", at=START - 9)]
    entries += [replace(make_entry("000/old", b"old"), state="pruned"), make_entry("at the top", b"top")]
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    with Index(tmp_path / "ours") as ours, Index(tmp_path / "theirs") as theirs:
        theirs.apply(entries)
        talk = Talk(ours, theirs, taking=False, take_removals=True)
        assert _paths(talk.connect()) == sorted(entry.path for entry in entries if entry.state != "pruned")
        ours.apply([entry_of(each) for each in talk.found])
        talk.pass_time(20)
        assert talk.comparison.same is True
        assert ours.sums() == theirs.sums()
        said = len(talk.said)
        assert (talk.check(), len(talk.said)) == ([], said + 2)
        theirs.apply([make_entry("000/new")], forget=["at the top"])
        assert _paths(talk.check()) == ["000/new"]


# ---------------------------------------------------------------------- removals


def test_what_was_removed_there_stays_here_unless_removals_are_taken() -> None:
    ours = MemoryIndex([make_entry("gone"), make_entry("stays")])
    theirs = MemoryIndex([make_removal("gone", at=START - 5), make_entry("stays")])
    talk = Talk(ours, theirs)
    assert talk.connect() == []
    assert talk.comparison.same is True
    [removal] = Talk(ours, theirs, take_removals=True).connect()
    assert (removal.path, removal.operation) == ("gone", "remove")
    assert ours.contents() == theirs.contents()


def test_a_removed_file_does_not_come_back_from_a_neighbour_that_has_it_still() -> None:
    ours, theirs = MemoryIndex([make_removal("gone", at=START - 5)]), MemoryIndex([make_entry("gone", at=START - 9)])
    assert Talk(ours, theirs, take_removals=True).connect() == []
    theirs.put(make_entry("gone", b"new", at=START - 2))
    assert _paths(Talk(ours, theirs, take_removals=True).connect()) == ["gone"]


def test_a_file_that_the_neighbour_merely_lacks_is_never_removed() -> None:
    ours = make_tree(500)
    talk = Talk(ours, MemoryIndex(), take_removals=True)
    assert talk.connect() == []
    assert ours.count == 500


def test_more_than_a_hundred_removals_and_one_percent_are_held_with_an_alarm() -> None:
    ours = make_tree(1000)
    theirs = copy_of(ours)
    for path in list(ours.contents())[:101]:
        theirs.put(make_removal(path, at=START - 1))
    theirs.put(make_entry("new"))
    talk = Talk(ours, theirs, take_removals=True)
    assert _paths(talk.connect()) == ["new"]
    assert talk.ours.count == 1001
    assert "more than the 100" in talk.comparison.trouble
    assert (talk.comparison.same, talk.comparison.lacking) == (False, 102)
    talk.pass_time(30)
    assert (talk.comparison.same, talk.comparison.lacking) == (False, 101)


def test_one_percent_of_a_large_tree_may_be_removed_at_once() -> None:
    ours = make_tree(12_000)
    theirs = copy_of(ours)
    for path in list(ours.contents())[:120]:
        theirs.put(make_removal(path, at=START - 1))
    talk = Talk(ours, theirs, take_removals=True)
    assert len(talk.connect()) == 120
    talk.pass_time(5)
    assert (talk.comparison.same, talk.comparison.trouble) == (True, "")


def test_more_than_one_percent_of_a_large_tree_is_held() -> None:
    ours = make_tree(12_000)
    theirs = copy_of(ours)
    for path in list(ours.contents())[:121]:
        theirs.put(make_removal(path, at=START - 1))
    talk = Talk(ours, theirs, take_removals=True)
    assert talk.connect() == []
    assert "more than the 120" in talk.comparison.trouble
    assert ours.count == 12_000


def test_removals_that_somebody_accepts_are_done_once() -> None:
    ours = make_tree(1000)
    theirs = copy_of(ours)
    first, second = list(ours.contents())[:300:2], list(ours.contents())[1:300:2]
    for path in first:
        theirs.put(make_removal(path, at=START - 1))
    held = Talk(ours, theirs, take_removals=True, accept_removals=149)
    assert held.connect() == []
    assert held.comparison.remedy.endswith("`--accept-removals 150`.")
    talk = Talk(ours, theirs, take_removals=True, accept_removals=150)
    assert len(talk.connect()) == 150
    assert (talk.comparison.trouble, talk.comparison.remedy) == ("", "")
    for path in second:
        theirs.put(make_removal(path, at=START))
    assert talk.check() == []
    assert "more than the 100" in talk.comparison.trouble


def test_no_removals_are_taken_from_another_tree_than_before_until_somebody_says_so() -> None:
    ours, theirs = MemoryIndex([make_entry("gone")]), MemoryIndex([make_removal("gone", at=START - 5)])
    talk = Talk(ours, theirs, take_removals=True, neighbour="the tree before")
    assert talk.connect() == []
    assert "isn't the neighbour's of before" in talk.comparison.trouble
    assert talk.comparison.neighbour == "the tree before"
    talk = Talk(ours, theirs, take_removals=True, neighbour="the tree before", accept_removals=1)
    assert _paths(talk.connect()) == ["gone"]
    assert talk.comparison.neighbour == "theirs"


# ---------------------------------------------------------------------- what is proven


def test_what_was_lacking_and_has_come_proves_the_tree_without_another_message() -> None:
    talk = Talk(MemoryIndex(), make_tree(700), taking=False)
    found = talk.connect()
    began, said = talk.comparison, len(talk.said)
    assert (began.same, began.lacking, began.proven_at) == (False, 700, None)
    for each in found[:650]:
        talk.ours.put(entry_of(each))
    talk.pass_time(20)
    assert (talk.comparison.same, talk.comparison.lacking) == (False, 50)
    for each in found[650:]:
        talk.ours.put(entry_of(each))
    talk.pass_time(5)
    assert (talk.comparison.same, talk.comparison.lacking, talk.comparison.proven_at) == (True, 0, START)
    assert len(talk.said) == said


def test_what_goes_on_lacking_is_handed_out_again_and_ever_more_seldom() -> None:
    talk = Talk(MemoryIndex(), make_tree(5), taking=False)
    talk.connect()
    assert len(talk.pass_time(90)) == 5
    assert 20 <= len(talk.pass_time(3600)) <= 40
    assert talk.comparison.same is False


def test_more_than_can_be_remembered_is_proven_by_another_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promised, "MOST_REMEMBERED", 100)
    talk = Talk(MemoryIndex(), make_tree(700))
    talk.connect()
    assert talk.comparison.lacking == 700
    talk.pass_time(20)
    assert (talk.comparison.same, talk.comparison.lacking) == (True, 0)
    assert talk.comparison.proven_at > START


def test_trees_are_compared_on_connecting_on_a_timer_and_when_asked() -> None:
    tree = make_tree(10)
    talk = Talk(copy_of(tree), tree, interval_s=600)
    talk.connect()
    assert len(talk.said) == 2
    talk.pass_time(530)
    assert len(talk.said) == 2
    talk.pass_time(140)
    assert len(talk.said) == 4
    talk.check()
    assert len(talk.said) == 6
    talk.comparison.on_disconnected()
    talk.pass_time(2000)
    assert len(talk.said) == 6
    talk.connect()
    assert len(talk.said) == 8


def test_a_connection_that_ends_in_the_middle_begins_anew_and_keeps_what_was_proven() -> None:
    talk = Talk(MemoryIndex(), make_tree(300))
    [question] = talk.comparison.on_connected(talk.now)
    answer = talk.answering.on_ask(question)
    talk.comparison.on_disconnected()
    assert talk.comparison.on_answer(answer, talk.now) == ([], [])
    assert len(talk.connect()) == 300


def test_a_deep_comparison_tells_when_a_file_was_announced_again_and_fetches_nothing() -> None:
    ours, theirs = MemoryIndex([make_entry("a/x", b"1", at=START - 9)]), MemoryIndex([make_entry("a/y")])
    ours.put(make_entry("a/y"))
    theirs.put(make_entry("a/x", b"1", at=START - 3))
    talk = Talk(ours, theirs)
    assert talk.connect() == []
    [again] = talk.check(deep=True)
    assert Peer(Rules()).decide(again, make_entry("a/x", b"1", at=START - 9), now_ns=START * SECOND_NS) == Touch(
        (START - 3) * SECOND_NS
    )
    assert (talk.comparison.same, talk.comparison.lacking) == (True, 0)


def test_a_deep_comparison_finds_what_wrong_sums_hide() -> None:
    theirs = make_tree(300)
    talk = Talk(copy_of(theirs), theirs)
    theirs.put(make_entry("003/d1/hidden", b"x"))
    theirs.add("003/d1", Sum() - theirs.sums()["003/d1"] + talk.ours.sums()["003/d1"])
    assert talk.connect() == []
    assert _paths(talk.check(deep=True)) == ["003/d1/hidden"]


def test_trees_are_compared_deeply_once_a_day() -> None:
    tree = make_tree(1000)
    talk = Talk(copy_of(tree), tree, deep_interval_s=86_400, interval_s=3600)
    talk.connect()
    talk.pass_time(3 * 86_400)
    assert talk.comparison.same is True
    deep = [each for each in talk.said if len(each.payload) > 1000]
    assert (
        3 * 7 <= sum(len(each.payload) for each in deep) / 1000 <= 4 * 20
    )  # kB: some 15 bytes for each of 1,000 files
    assert len(talk.said) <= 2 * 80 + 4 * 20


def test_a_check_that_is_asked_for_during_another_follows_it() -> None:
    tree = make_tree(10)
    talk = Talk(copy_of(tree), tree)
    messages = talk.comparison.on_connected(talk.now)
    talk.comparison.ask_for_check(talk.now)
    talk.exchange(messages)
    talk.pass_time(1)
    assert len(talk.said) == 4


# ---------------------------------------------------------------------- a neighbour in trouble


def test_an_answer_that_was_lost_is_asked_for_again() -> None:
    talk = Talk(MemoryIndex(), make_tree(300))
    lost = iter([True, False, True, True, False] + [False] * 99)
    talk.on_the_way = lambda answer: None if next(lost) else answer
    talk.connect()
    talk.pass_time(60)
    assert talk.ours.contents() == talk.theirs.contents()
    assert talk.comparison.same is True


def test_a_neighbour_that_never_answers_is_asked_less_and_less_and_is_no_trouble() -> None:
    talk = Talk(MemoryIndex(), make_tree(3), interval_s=3600)
    talk.on_the_way = lambda answer: None
    talk.connect()
    talk.pass_time(24 * 3600)
    questions = len(talk.said) // 2
    assert 3 * 24 <= questions < 3 * 70
    assert (talk.comparison.same, talk.comparison.answered, talk.comparison.trouble) == (None, False, "")


def test_a_neighbour_that_stops_answering_in_the_middle_is_trouble() -> None:
    talk = Talk(MemoryIndex(), make_tree(300))
    answers = iter([True])
    talk.on_the_way = lambda answer: answer if next(answers, False) else None
    talk.connect()
    talk.pass_time(31)
    assert talk.comparison.trouble == "the neighbour has stopped answering"
    talk.on_the_way = lambda answer: answer
    talk.pass_time(30)
    assert talk.ours.contents() == talk.theirs.contents()
    assert talk.comparison.trouble == ""


def test_whoever_answers_first_is_asked_to_the_end() -> None:
    talk = Talk(MemoryIndex(), make_tree(300))
    talk.connect()
    questions = [decode_question(each.payload) for each in talk.said[::2]]
    assert [each.to for each in questions] == ["", *["theirs"] * (len(questions) - 1)]
    talk.answering.node = "somebody else"
    talk.check()
    talk.pass_time(60)
    assert talk.comparison.same is True


def test_a_busy_neighbour_is_asked_again_when_it_says() -> None:
    talk = Talk(MemoryIndex(), make_tree(300))
    talk.answering._all.left, talk.answering._all.at = 0.0, talk.now + 1.5
    assert talk.connect() == []
    assert len(talk.pass_time(3)) == 300


def test_answers_to_nobody_s_question_are_dropped() -> None:
    talk = Talk(MemoryIndex(), make_tree(300))
    [question] = talk.comparison.on_connected(talk.now)
    answer = talk.answering.on_ask(question)
    assert talk.comparison.on_answer(replace(answer, correlation=b"guessed"), talk.now) == ([], [])
    assert talk.comparison.on_answer(replace(answer, correlation=None), talk.now) == ([], [])
    assert talk.comparison.refused == {Reason.UNCORRELATED: 2}
    messages, _ = talk.comparison.on_answer(answer, talk.now)
    assert talk.comparison.on_answer(answer, talk.now) == ([], [])
    talk.exchange(messages)
    assert talk.comparison.same is False
    assert talk.comparison.lacking == 300


def test_a_neighbour_whose_sums_do_not_add_up_is_suspect_and_nothing_is_taken_from_it() -> None:
    def alter(message: Message) -> Message:
        answer = decode_answer(message.payload)
        [told] = answer.directories
        children = ((told.children[0][0], told.children[0][1] + Sum(1, 7)), *told.children[1:])
        return replace(message, payload=encode_answer(replace(answer, directories=(replace(told, children=children),))))

    talk = Talk(MemoryIndex(), make_tree(300))
    talk.on_the_way = alter
    assert talk.connect() == []
    assert talk.comparison.suspect
    assert "don't add up" in talk.comparison.trouble
    talk.on_the_way = lambda message: message
    assert len(talk.pass_time(30)) == 300
    assert not talk.comparison.suspect


def test_sums_that_never_fit_the_files_they_are_of_are_suspect() -> None:
    talk = Talk(make_tree(50), make_tree(50))
    talk.theirs.add(next(iter(talk.theirs.sums())), Sum(0, 12345))
    talk.connect()
    assert talk.comparison.same is True
    assert not talk.comparison.suspect
    talk.check()
    talk.check()
    assert talk.comparison.suspect


def test_an_index_that_cannot_be_read_is_trouble_for_a_while() -> None:
    talk = Talk(make_tree(30), make_tree(40))
    entries = talk.ours.entries
    talk.ours.entries = _refuse_to_read
    assert talk.connect() == []
    assert "locked" in talk.comparison.trouble
    talk.ours.entries = entries
    assert len(talk.pass_time(20)) == 10


def test_an_index_that_cannot_be_read_after_a_pause_is_trouble_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(make_tree(30), make_tree(40))
    talk.answering._all.left, talk.answering._all.at = 0.0, talk.now + 1.5
    assert talk.connect() == []
    with monkeypatch.context() as patch:
        patch.setattr(talk.ours, "sums_since", _refuse_to_read)
        assert talk.pass_time(3) == []
        assert "locked" in talk.comparison.trouble
    assert len(talk.pass_time(20)) == 10


def _refuse_to_read(*_: object, **__: object) -> list[Entry]:
    raise Locked("the index is locked")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{",
        b'{"samesky": 2}',
        b'{"samesky": 1, "answer": "directories", "from": "x", "base": "", "newest": 0, "directories": []}',
        b'{"samesky": 1, "answer": "files", "from": "x", "base": "", "newest": 0, "files": [["", "", "", []]]}',
        b'{"samesky": 1, "answer": "directories", "from": "x", "base": "", "newest": 0, '
        b'"directories": [["elsewhere", 0, "AAAAAAAAAAAAAAAAAAAAAA=="]]}',
        b"x" * (MOST_BYTES + 1),
    ],
)
def test_an_answer_that_makes_no_sense_ends_the_comparison_and_another_begins_later(payload: bytes) -> None:
    talk = Talk(MemoryIndex(), make_tree(30))
    talk.on_the_way = lambda answer: replace(answer, payload=payload)
    assert talk.connect() == []
    assert not talk.comparison.under_way
    assert sum(talk.comparison.refused.values()) == 1
    talk.on_the_way = lambda answer: answer
    assert len(talk.pass_time(20)) == 30


# ---------------------------------------------------------------------- whatever the trees are

_PATHS = st.sampled_from([f"{a}{b}{c}" for a in ("", "p/", "p/q/", "r/") for b in ("", "s/") for c in "xyz"])
_ENTRIES = st.builds(
    lambda path, content, age, state: replace(
        make_removal(path, at=START - age) if state == "removed" else make_entry(path, content, at=START - age),
        state=state,
    ),
    _PATHS,
    st.sampled_from([b"1", b"2"]),
    st.integers(1, 3),
    st.sampled_from(["here", "here", "here", "removed", "pruned"]),
)


@given(st.lists(_ENTRIES), st.lists(_ENTRIES), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_two_trees_become_the_same_when_each_takes_what_it_lacks(
    here: list[Entry], there: list[Entry], removals: bool
) -> None:
    ours, theirs = MemoryIndex(here, node="ours"), MemoryIndex(there, node="theirs")
    before = {entry.path: entry for entry in (*ours.all(), *theirs.all())}
    one, other = Talk(ours, theirs, take_removals=removals), Talk(theirs, ours, take_removals=removals)
    other.comparison.node, other.answering.node = "theirs", "ours"
    one.connect()
    other.connect()
    for path in before:
        mine, yours = ours.read(path), theirs.read(path)
        states = {each.state for each in (mine, yours) if each}
        if mine and yours and "pruned" not in states and (removals or "removed" not in states):
            assert entry_hash(path, mine.content) == entry_hash(path, yours.content)
    for talk in (one, other):
        talk.pass_time(5)
        talk.check()
        assert talk.comparison.same is True
        assert talk.comparison.trouble == ""
        said = len(talk.said)
        talk.check()
        assert len(talk.said) == said + 2
