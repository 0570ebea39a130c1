"""What is to be done about one file that isn't the same at a neighbour."""

from dataclasses import replace

import pytest

from samesky.core.strict import Reason, Refused
from samesky.mesh.announcement import Entry, integrity_of
from samesky.mesh.wishes import Wishes, check_entry, find_announced_again, is_doubtful
from stands.mesh_trees import SECOND_NS, START, make_entry, make_removal

URL = "http://there.example"
OLD, NEW = make_entry("a", b"old", at=START - 9), make_entry("a", b"new", at=START - 5)
PRUNED = replace(NEW, state="pruned")
REMOVED = make_removal("a", at=START - 7)


@pytest.mark.parametrize(
    ("theirs", "ours", "removals", "lacking"),
    [
        (NEW, None, False, "put"),
        (NEW, OLD, False, "put"),
        (OLD, NEW, False, None),
        (NEW, NEW, False, None),
        (NEW, PRUNED, False, None),
        (OLD, PRUNED, False, None),
        (PRUNED, None, False, "put"),
        (NEW, REMOVED, False, "put"),
        (OLD, REMOVED, False, None),
        (REMOVED, OLD, False, None),
        (REMOVED, OLD, True, "remove"),
        (REMOVED, NEW, True, None),
        (REMOVED, None, True, "remove"),
        (REMOVED, None, False, None),
        (REMOVED, replace(OLD, state="pruned"), True, None),
        (REMOVED, make_removal("a", at=START - 9), True, None),
    ],
)
def test_the_version_decides_what_is_lacking(
    theirs: Entry, ours: Entry | None, removals: bool, lacking: str | None
) -> None:
    found = Wishes(removals=removals).find_lacking(theirs, ours, URL)
    assert (found.operation if found else None) == lacking


def test_what_is_not_wanted_is_not_lacking() -> None:
    assert Wishes(selects=lambda path: path != "a").find_lacking(NEW, None, URL) is None
    assert Wishes(wants=lambda announcement: announcement.size > 3).find_lacking(NEW, None, URL) is None


def test_a_file_that_was_announced_again_is_told_by_the_checksum_that_is_known_here() -> None:
    weak = replace(OLD, integrity=integrity_of(b"old", "md5"))
    again = find_announced_again(replace(OLD, pub_time=OLD.pub_time + 5), weak, URL)
    assert (again.pub_time, again.integrity) == (OLD.pub_time + 5, weak.integrity)
    assert find_announced_again(OLD, OLD, URL) is None
    assert find_announced_again(NEW, OLD, URL) is None
    assert find_announced_again(NEW, None, URL) is None
    assert find_announced_again(replace(NEW, pub_time=NEW.pub_time + 5), PRUNED, URL) is None


def test_only_an_older_version_with_another_content_is_doubtful() -> None:
    assert is_doubtful(OLD, NEW)
    assert is_doubtful(OLD, PRUNED)
    assert not is_doubtful(NEW, OLD)
    assert not is_doubtful(NEW, PRUNED)
    assert not is_doubtful(OLD, None)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (make_entry("../a"), Reason.PATH),
        (make_entry("/a"), Reason.PATH),
        (make_entry("a", at=START + 3601), Reason.FUTURE),
        (make_entry("a", at=5), Reason.PAST),
    ],
)
def test_what_nobody_should_take_is_refused(entry: Entry, reason: Reason) -> None:
    with pytest.raises(Refused) as refusal:
        check_entry(entry, START)
    assert refusal.value.reason == reason
    check_entry(replace(entry, path="a", pub_time=START * SECOND_NS), START)
