"""The brains of four peers live through thousands of histories of trouble, and have the same tree in the end.

Trees are dicts here and links a virtual network, so that a history takes some forty milliseconds. ``SAMESKY_HISTORIES``
sets how many, ``SAMESKY_HISTORY_SEED`` where to begin; a failure names its seed::

    SAMESKY_HISTORIES=100000 pytest -n 2 tests/simulation/test_mesh.py

Mistakes that are planted in the brains are found, by the rule that each breaks.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from samesky.link.message import Message
from samesky.mesh.announcement import Announcement, Entry
from samesky.mesh.comparison import Comparison
from samesky.mesh.comparison_walk import Walk
from samesky.mesh.directory_sums import DirectorySums, TreeSums
from samesky.mesh.explained import Explained
from samesky.mesh.peer import Decision, Peer, Skip, Take
from samesky.mesh.wishes import Wishes
from stands.mesh_history import (
    CameBack,
    FalseProof,
    NotEqual,
    NotProven,
    NotQuiet,
    NotTheNewest,
    WentBack,
    live_a_life,
)
from stands.small_network import Storm

HISTORIES = int(os.environ.get("SAMESKY_HISTORIES", "300"))
FIRST_SEED = int(os.environ.get("SAMESKY_HISTORY_SEED", "0"))
HALVES = 2
"""One for each of the processes in which `scripts/test` runs tests."""
WITHIN_HISTORIES = 300


@pytest.mark.slow
@pytest.mark.parametrize("half", range(HALVES))
def test_all_peers_have_the_same_tree_know_it_and_are_quiet_after_any_history(half: int) -> None:
    for seed in range(FIRST_SEED + half, FIRST_SEED + HISTORIES, HALVES):
        live_a_life(seed)


def test_a_few_histories_end_well() -> None:
    """What there is time for in a quick run."""
    for seed in range(20):
        live_a_life(seed)


# ---------------------------------------------------------------------- planted mistakes


def keeps_the_last_to_come(patch: pytest.MonkeyPatch) -> None:
    """As the demonstration did."""

    def decide(peer: Peer, announcement: Announcement, entry: Entry | None, *, now_ns: int) -> Decision:
        decision = real(peer, announcement, entry, now_ns=now_ns)
        return Take(late=False) if decision == Skip("older") and announcement.integrity else decision

    real = Peer.decide
    patch.setattr(Peer, "decide", decide)


def fetches_what_was_pruned(patch: pytest.MonkeyPatch) -> None:
    def decide(peer: Peer, announcement: Announcement, entry: Entry | None, *, now_ns: int) -> Decision:
        return real(peer, announcement, None if entry and entry.state == "pruned" else entry, now_ns=now_ns)

    real = Peer.decide
    patch.setattr(Peer, "decide", decide)


def never_compares(patch: pytest.MonkeyPatch) -> None:
    def on_connected(comparison: Comparison, now: float) -> list[Message]:
        return []

    patch.setattr(Comparison, "on_connected", on_connected)


def compares_on_connecting_only(patch: pytest.MonkeyPatch) -> None:
    def plan_next(comparison: Comparison, now: float, delay_s: float) -> None:
        comparison._next_walk = float("inf")

    patch.setattr(Comparison, "_plan_next", plan_next)


def gives_up_for_good_when_nobody_answers(patch: pytest.MonkeyPatch) -> None:
    def give_up(comparison: Comparison, trouble: str, now: float) -> None:
        real(comparison, trouble, now)
        comparison._next_walk = float("inf")

    real = Comparison._give_up
    patch.setattr(Comparison, "_give_up", give_up)


def proves_before_the_files_are_here(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Walk, "same", property(lambda walk: True))


def leaves_two_contents_of_one_moment(patch: pytest.MonkeyPatch) -> None:
    def find_lacking(wishes: Wishes, theirs: Entry, ours: Entry | None, base_url: str) -> Announcement | None:
        return None if ours and ours.pub_time == theirs.pub_time else real(wishes, theirs, ours, base_url)

    real = Wishes.find_lacking
    patch.setattr(Wishes, "find_lacking", find_lacking)


def never_looks_deep(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Comparison, "_deep_at", property(lambda comparison: 1e18, lambda comparison, value: None), raising=False
    )


def believes_an_explanation_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Unless a deep comparison mends it."""
    never_looks_deep(patch)
    patch.setattr(Explained, "forget_doubtful", lambda explained, now: None)


def forgets_subdirectories(patch: pytest.MonkeyPatch) -> None:
    def compare_children(walk: Walk, answer: Any, asked: Any) -> None:
        if asked.path:
            return
        real(walk, answer, asked)

    real = Walk._compare_children
    patch.setattr(Walk, "_compare_children", compare_children)


def tells_old_sums(patch: pytest.MonkeyPatch) -> None:
    def read(sums: TreeSums) -> DirectorySums:
        return sums._sums if sums._changes >= 0 else real(sums)

    real = TreeSums.read
    patch.setattr(TreeSums, "read", read)


def compares_without_a_pause(patch: pytest.MonkeyPatch) -> None:
    def plan_next(comparison: Comparison, now: float, delay_s: float) -> None:
        real(comparison, now, 1.0)

    real = Comparison._plan_next
    patch.setattr(Comparison, "_plan_next", plan_next)


def find(first: int) -> AssertionError:
    """How the first of these histories fails that does."""
    for seed in range(first, first + WITHIN_HISTORIES):
        try:
            live_a_life(seed)
        except AssertionError as failure:
            return failure
    raise LookupError("no history fails")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "kinds", "first"),
    [
        (keeps_the_last_to_come, (WentBack,), 0),
        (fetches_what_was_pruned, (CameBack, WentBack), 0),
        (never_compares, (NotEqual, NotProven), 0),
        (compares_on_connecting_only, (NotEqual, NotProven, NotTheNewest), 0),
        (gives_up_for_good_when_nobody_answers, (NotEqual, NotProven, NotTheNewest), 0),
        (proves_before_the_files_are_here, (FalseProof,), 0),
        (leaves_two_contents_of_one_moment, (NotEqual, FalseProof), 0),
        (believes_an_explanation_for_ever, (NotEqual,), 70),
        (never_looks_deep, (NotEqual,), 340),
        (forgets_subdirectories, (NotEqual, FalseProof), 0),
        (tells_old_sums, (NotEqual, NotProven, FalseProof), 0),
        (compares_without_a_pause, (NotQuiet, Storm), 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_mistake_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], kinds: tuple[type[AssertionError], ...], first: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        failure = find(first)
    assert isinstance(failure, kinds), repr(failure)
