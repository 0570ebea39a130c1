"""What was found lacking is looked for until it is here, a few at a time."""

import pytest

from samesky.mesh import promised
from samesky.mesh.promised import Promised
from samesky.mesh.wishes import announcement_of
from stands.mesh_trees import START, MemoryIndex, make_entry


def test_what_has_come_in_that_version_or_a_newer_one_is_here() -> None:
    tree = MemoryIndex()
    found = Promised(tree)
    found.add(announcement_of(make_entry(path, b"2", at=START), "http://x") for path in "abc")
    tree.put(make_entry("a", b"2", at=START))
    tree.put(make_entry("b", b"3", at=START + 1))
    tree.put(make_entry("c", b"1", at=START - 1))
    assert not found.look()
    assert (len(found), found.all_here) == (1, False)
    tree.put(make_entry("c", b"2", at=START))
    found.look()
    assert (len(found), found.all_here) == (0, True)


def test_a_few_are_looked_at_in_one_go_and_those_that_are_missing_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promised, "LOOKED_AT", 10)
    entries = [make_entry(f"{number:03d}") for number in range(30)]
    tree = MemoryIndex(entries[5:])
    found = Promised(tree)
    found.add(announcement_of(entry, "http://x") for entry in entries)
    assert [found.look() for _ in range(4)] == [False, True, True, False]
    assert len(found) == 5


def test_more_than_can_be_remembered_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promised, "MOST_REMEMBERED", 10)
    found = Promised(MemoryIndex())
    found.add(announcement_of(make_entry(f"{number:03d}"), "http://x") for number in range(30))
    assert (len(found), found.forgotten) == (30, 20)
