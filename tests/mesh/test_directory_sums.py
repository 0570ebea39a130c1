"""Sums of directories are the sums of all that is below them, however they came to be so."""

from hypothesis import given
from hypothesis import strategies as st

from samesky.core.timetree import NOTHING, Sum, add_up
from samesky.mesh.directory_sums import DirectorySums, TreeSums, hash_of, mark_of
from samesky.mesh.explained import Explained
from stands.mesh_trees import MemoryIndex, make_entry, make_tree

_DIRECTORIES = st.sampled_from(["", "a", "a/b", "a/b/c", "a/bc", "ab", "d/e/f", "é"])
_SUMS = st.one_of(st.just(NOTHING), st.builds(Sum, st.integers(-3, 3), st.integers(0, 9)))


@given(st.lists(st.tuples(_DIRECTORIES, _SUMS)))
def test_sums_that_were_changed_are_those_that_are_made_anew(changes: list[tuple[str, Sum]]) -> None:
    sums, own = DirectorySums(), dict(changes)
    for directory, each in changes:
        sums.put(directory, each)
    anew = DirectorySums({directory: each for directory, each in own.items() if each != NOTHING})
    assert (sums.own, sums._whole, sums._children) == (anew.own, anew._whole, anew._children)


@given(st.dictionaries(_DIRECTORIES, _SUMS))
def test_a_directory_is_its_own_files_and_its_children(own: dict[str, Sum]) -> None:
    sums = DirectorySums(own)
    for directory in ["", *own]:
        children = sums.children(directory)
        assert sums.whole(directory) == add_up([sums.files(directory), *map(sums.whole, children)])
        assert children == sorted(children)
        assert all(child.rpartition("/")[0] == directory for child in children)
    assert sorted(sums.below("")) == sorted(each for each, found in own.items() if found != NOTHING)


def test_the_sums_of_a_tree_follow_it() -> None:
    tree = make_tree(200)
    sums = TreeSums(tree)
    assert sums.read().whole("").count == 200
    tree.put(make_entry("new/one/x"))
    for path in list(tree.contents())[:7]:
        tree.forget(path)
    after = sums.read()
    assert (after.whole("").count, after.whole("new").count) == (194, 1)
    assert after.own == DirectorySums(tree.sums()).own
    tree.forget("new/one/x")
    assert "new" not in sums.read().children("")


def test_an_empty_tree_has_no_sums() -> None:
    sums = TreeSums(MemoryIndex()).read()
    assert (sums.whole(""), sums.children(""), sums.below("")) == (NOTHING, [], [])


def test_only_doubtful_explanations_are_forgotten() -> None:
    explained = Explained(100)
    explained.note("sure", Sum(1, 1), 0)
    explained.note("doubtful", Sum(1, 2), 0, doubtful=True)
    explained.note("later", Sum(1, 3), 50, doubtful=True)
    explained.forget_doubtful(120)
    assert explained.sums.children("") == ["later", "sure"]
    explained.note("sure", NOTHING, 130)
    explained.forget_doubtful(150)
    assert explained.sums.own == {}


def test_a_mark_depends_on_its_nonce() -> None:
    entry = make_entry("a", b"1", at=5)
    assert mark_of(entry, nonce=b"a") == mark_of(make_entry("a", b"1", at=5), nonce=b"a")
    assert mark_of(entry, nonce=b"a") != mark_of(entry, nonce=b"b")
    assert len(mark_of(entry, nonce=b"a")) == 8


def test_a_mark_tells_times_apart_and_a_sum_does_not() -> None:
    early, late = make_entry("a", b"1", at=5), make_entry("a", b"1", at=6)
    assert hash_of(early) == hash_of(late)
    assert mark_of(early, nonce=b"a") != mark_of(late, nonce=b"a")
