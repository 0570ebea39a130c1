"""The peer's brain: which announcements are taken, in words of the seed's algorithm."""

import itertools
from dataclasses import replace

import pytest

from samesky.core.strict import Reason, Refused
from samesky.mesh.announcement import Announcement, Entry, integrity_of
from samesky.mesh.peer import Peer, Remove, Rules, Selection, Skip, Take, Touch

NOW_NS = 1_800_000_000 * 10**9
HOUR_NS = 3600 * 10**9


def announce(content: bytes = b"new", *, age_ns: int = 0, path: str = "20270115/CWAO/a.txt", **more) -> Announcement:
    return Announcement(path, NOW_NS - age_ns, more.pop("integrity", integrity_of(content)), len(content), **more)


def removal(*, age_ns: int = 0) -> Announcement:
    return announce(age_ns=age_ns, integrity=None, operation="remove")


def entry(content: bytes = b"old", *, age_ns: int = HOUR_NS, state="here", method: str = "sha512") -> Entry:
    integrity = None if state == "removed" else integrity_of(content, method)
    return Entry(
        "20270115/CWAO/a.txt", NOW_NS - age_ns, integrity, len(content), 0, integrity_of(content).digest, state
    )


def decide(announcement: Announcement, known: Entry | None = None, rules: Rules | None = None):
    return Peer(rules or Rules()).decide(announcement, known, now_ns=NOW_NS)


def test_what_is_not_here_is_taken() -> None:
    assert decide(announce()) == Take(late=False)


def test_what_is_here_with_the_same_checksum_is_left_alone() -> None:
    assert decide(announce(b"old", age_ns=HOUR_NS), entry()) == Skip("same")
    assert decide(announce(b"old", age_ns=2 * HOUR_NS), entry()) == Skip("same")


def test_the_same_content_with_a_newer_time_is_noted_so_that_what_lies_between_comes_too_late() -> None:
    known = entry(b"first", age_ns=3 * HOUR_NS)
    assert decide(announce(b"first", age_ns=HOUR_NS), known) == Touch(NOW_NS - HOUR_NS)
    touched = entry(b"first", age_ns=HOUR_NS)
    assert decide(announce(b"between", age_ns=2 * HOUR_NS), touched) == Skip("older")


def test_a_checksum_of_another_kind_is_known_again() -> None:
    assert decide(announce(b"old", age_ns=HOUR_NS), entry(method="sha256")) == Skip("same")
    by_sha256 = replace(announce(b"old", age_ns=HOUR_NS), integrity=integrity_of(b"old", "sha256"), content=b"old")
    assert decide(by_sha256, entry()) == Skip("same")


def test_a_newer_version_is_taken_and_an_older_one_is_not() -> None:
    assert decide(announce(), entry()) == Take(late=False)
    assert decide(announce(age_ns=2 * HOUR_NS), entry()) == Skip("older")


def test_of_equal_times_the_greater_checksum_wins_whoever_comes_first() -> None:
    one, other = (integrity_of(content).digest for content in (b"one", b"other"))
    winner, loser = (b"one", b"other") if one > other else (b"other", b"one")
    assert decide(announce(winner), entry(loser, age_ns=0)) == Take(late=False)
    assert decide(announce(loser), entry(winner, age_ns=0)) == Skip("older")


def test_every_order_of_the_same_announcements_ends_with_the_same_content() -> None:
    versions = [announce(b"a", age_ns=2), announce(b"b", age_ns=1), announce(b"c", age_ns=1), removal(age_ns=1)]
    rules = Rules(take_removals=True)
    ends = set()
    for order in itertools.permutations(versions):
        known: Entry | None = None
        for each in order:
            match decide(each, known, rules):
                case Take():
                    known = Entry(each.path, each.pub_time, each.integrity, 1, 0, each.integrity.digest)
                case Remove():
                    known = Entry(each.path, each.pub_time, None, 0, 0, state="removed")
        ends.add((known.state, known.version))
    assert len(ends) == 1


def test_what_is_announced_by_ourselves_is_not_fetched() -> None:
    rules = Rules(own_urls=frozenset({"http://here:8000/data"}))
    assert decide(announce(base_url="http://here:8000/data/"), rules=rules) == Skip("own")
    assert decide(announce(base_url="http://there:8000/data/"), rules=rules) == Take(late=False)


def test_what_is_late_comes_last_and_is_left_out_only_when_asked() -> None:
    old = announce(age_ns=3 * HOUR_NS)
    assert decide(old) == Take(late=True)
    assert decide(old, rules=Rules(drop_late=True)) == Skip("late")
    assert decide(old, rules=Rules(late_after_s=4 * 3600, drop_late=True)) == Take(late=False)


def test_without_a_sound_checksum_nothing_is_taken_unless_the_user_says_so() -> None:
    for integrity, allowed in (
        (None, Rules(allow_unchecked=True)),
        (integrity_of(b"new", "md5"), Rules(allow_weak=True)),
    ):
        with pytest.raises(Refused) as refusal:
            decide(announce(integrity=integrity))
        assert refusal.value.reason is Reason.CHECKSUM
        assert decide(announce(integrity=integrity), rules=allowed) == Take(late=False)


def test_a_file_too_large_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        decide(announce(b"12345"), rules=Rules(most_bytes=4))
    assert refusal.value.reason is Reason.SIZE


def test_removals_and_the_like_are_off_unless_asked_for() -> None:
    assert decide(removal(), entry()) == Skip("removal")
    taking = Rules(take_removals=True)
    assert decide(removal(), entry(), taking) == Remove()
    assert decide(removal(age_ns=2 * HOUR_NS), entry(), taking) == Skip("older")
    assert decide(removal(), entry(state="removed"), taking) == Skip("removed")
    for operation in ("mkdir", "rmdir", "link"):
        assert decide(announce(operation=operation, integrity=None), rules=taking) == Skip(operation)


def test_what_was_removed_stays_removed_until_something_newer_comes() -> None:
    gone = entry(state="removed")
    assert decide(announce(b"old", age_ns=2 * HOUR_NS), gone) == Skip("removed")
    assert decide(announce(b"old"), gone) == Take(late=False)


def test_what_was_pruned_is_not_fetched_again() -> None:
    assert decide(announce(b"old", age_ns=HOUR_NS), entry(state="pruned")) == Skip("pruned")
    assert decide(announce(b"old"), entry(state="pruned")) == Skip("pruned")
    assert decide(announce(b"new"), entry(state="pruned")) == Take(late=False)


@pytest.mark.parametrize(
    ("rules", "taken"),
    [
        ([], ["/a/GTS/x", "/b/y"]),
        (["accept /GTS/"], ["/a/GTS/x"]),
        (["reject /GTS/"], ["/b/y"]),
        (["reject x$", "accept .*"], ["/b/y"]),
        (["accept ^/a/", "reject .*"], ["/a/GTS/x"]),
    ],
)
def test_the_first_rule_that_is_found_decides(rules: list[str], taken: list[str]) -> None:
    selection = Selection.parse(rules)
    assert [path for path in ("/a/GTS/x", "/b/y") if selection.takes(path[1:])] == taken


@pytest.mark.parametrize("text", ["", "accept", "allow .*", "accept [", "reject   "])
def test_a_wrong_rule_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"should be|no regular expression"):
        Selection.parse([text])


def test_what_nobody_wants_is_not_even_checked() -> None:
    rules = Rules(Selection.parse(["reject .*"]))
    assert decide(announce(integrity=None), rules=rules) == Skip("unselected")
