"""Mistakes planted in the brains: each is found by the histories of `test_brains`, and by the rule that it breaks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from samesky.core import treelists
from samesky.core.timetree import Entry, RowHasher, Sum, Tree, View
from samesky.station import check_answers, check_session
from samesky.station.check_answers import Trees, _Piece
from samesky.station.check_messages import CheckAnswer
from samesky.station.check_question import Question
from samesky.station.check_session import CheckSession, Repair
from samesky.station.checker import CheckAction, Checker, Delete
from samesky.station.description import Description
from samesky.station.messages import PageAnswer, RecordMessage
from samesky.station.requester import Action, Insert, Requester
from stands.brain_history import (
    POSITION_ALONE,
    FalseProof,
    NotEqual,
    NotHeld,
    NotMended,
    NotProven,
    NotQuiet,
    PassedOver,
    TooEarly,
    WentBack,
    WrongDeletion,
    live_a_life,
)
from stands.brain_tables import Row
from stands.brains import Copy
from stands.small_network import Storm

WITHIN_HISTORIES = 6000
"""Half a minute's, should it come to that."""
Plant = Callable[[pytest.MonkeyPatch], None]


def find(seeds: Iterable[int]) -> tuple[int, AssertionError]:
    """The first of these histories that fails, and how."""
    for seed in seeds:
        try:
            live_a_life(seed)
        except AssertionError as failure:
            return seed, failure
    raise LookupError("no history fails")


def check_found(plant: Plant, kinds: tuple[type[AssertionError], ...], *, step: int) -> None:
    """The planted mistake makes a history fail in one of these ways; without it, that one and those before it pass."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        seed, failure = find(range(0, WITHIN_HISTORIES * step, step))
    assert isinstance(failure, kinds), repr(failure)
    for other in range(max(0, seed - 20 * step), seed + 1, step):
        live_a_life(other)


# ---------------------------------------------------------------------- in checks


def leaves_out_the_last_second(patch: pytest.MonkeyPatch) -> None:
    def entries(view: View, leaf: int) -> list[Entry]:
        return [entry for entry in view._tree.entries(leaf) if entry[0] < view.until]

    patch.setattr(View, "entries", entries)


def looks_beyond_the_moment_of_the_check(patch: pytest.MonkeyPatch) -> None:
    real = View.__init__

    def init(view: View, tree: Tree, until: int) -> None:
        real(view, tree, 1 << 33)

    patch.setattr(View, "__init__", init)


def compares_counts_alone(patch: pytest.MonkeyPatch) -> None:
    real = Sum.digest
    patch.setattr(Sum, "digest", lambda each, nonce, size=8: real(Sum(each.count, 0), nonce, size))


def overlooks_what_only_one_side_has(patch: pytest.MonkeyPatch) -> None:
    real = treelists.differing

    def differing(here: Iterable[int], ours: Mapping[int, bytes], theirs: Mapping[int, bytes]) -> list[int]:
        return real(ours.keys() & theirs.keys(), ours, theirs)

    patch.setattr(check_answers, "differing", differing)
    patch.setattr(check_session, "differing", differing)


def believes_a_cut_answer_whole(patch: pytest.MonkeyPatch) -> None:
    real = CheckSession._finish_task
    patch.setattr(CheckSession, "_finish_task", lambda session, rest: real(session, ()))


def deletes_before_all_is_known(patch: pytest.MonkeyPatch) -> None:
    real = Checker._take

    def take(checker: Checker, repair: Repair | None) -> list[CheckAction]:
        gone: list[CheckAction] = [Delete(repair.tree, repair.gone)] if repair and repair.gone else []
        return [*real(checker, repair), *gone]

    patch.setattr(Checker, "_take", take)


def deletes_however_much(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("samesky.station.checker.most_deletions", lambda count: count)


def never_checks_again_after_giving_up(patch: pytest.MonkeyPatch) -> None:
    real = Checker._give_up

    def give_up(checker: Checker, reason: str, now: float) -> None:
        real(checker, reason, now)
        checker._deadline = float("inf")

    patch.setattr(Checker, "_give_up", give_up)


def asks_once(patch: pytest.MonkeyPatch) -> None:
    real = Checker._ask

    def ask(checker: Checker, now: float) -> list[CheckAction]:
        actions = real(checker, now)
        if checker.phase == "checking":
            checker._deadline = float("inf")
        return actions

    patch.setattr(Checker, "_ask", ask)


def checks_without_end(patch: pytest.MonkeyPatch) -> None:
    real = Checker._conclude

    def conclude(checker: Checker, session: CheckSession, now: float) -> list[CheckAction]:
        actions = real(checker, session, now)
        checker.ask_for_check(now, after_s=30.0)
        return actions

    patch.setattr(Checker, "_conclude", conclude)


def overlooks_a_column(patch: pytest.MonkeyPatch) -> None:
    real = RowHasher.hash
    patch.setattr(RowHasher, "hash", lambda hasher, row: real(hasher, (*row[:-1], 0.0)))


def skips_the_last_leaf(patch: pytest.MonkeyPatch) -> None:
    real = check_answers._compare_rows

    def compare(question: Question, trees: Trees, view: View, nonce: bytes) -> _Piece:
        asked = treelists.decode_rows(question.payload, size=question.size)
        piece = real(question, trees, view, nonce)
        return piece if len(asked) == 1 else replace(piece, reached=max(asked))

    patch.setattr(check_answers, "_compare_rows", compare)
    patch.setattr(check_answers, "MOST_ROWS", 1)


def believes_itself_equal_when_roots_differ(patch: pytest.MonkeyPatch) -> None:
    real = CheckSession._on_root

    def on_root(session: CheckSession, answer: CheckAnswer) -> None:
        real(session, answer)
        session.same = True
        session._tasks.clear()

    patch.setattr(CheckSession, "_on_root", on_root)


def lets_a_late_duplicate_undo_an_edit(patch: pytest.MonkeyPatch) -> None:
    def insert(copy: Copy, time: int, row: Row) -> None:
        copy.write("archive", time, row)

    patch.setattr(Copy, "insert", insert)


# ---------------------------------------------------------------------- in what is new


def passes_over_a_second_after_each_page(patch: pytest.MonkeyPatch) -> None:
    real = Requester._on_page

    def on_page(requester: Requester, page: PageAnswer, now: float) -> list[Action]:
        if requester._waiting is not None and page.after == requester.taken and page.count:
            page = replace(page, last=page.last + 1)
        return real(requester, page, now)

    patch.setattr(Requester, "_on_page", on_page)


def takes_live_records_during_catch_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Requester, "_on_live", lambda requester, message, now: [Insert(message)])


def believes_that_nothing_lies_between(patch: pytest.MonkeyPatch) -> None:
    real = Requester._on_live

    def on_live(requester: Requester, message: RecordMessage, now: float) -> list[Action]:
        return real(requester, replace(message, previous=0), now)

    patch.setattr(Requester, "_on_live", on_live)


def forgets_what_it_was_promised(patch: pytest.MonkeyPatch) -> None:
    real = Requester._on_live

    def on_live(requester: Requester, message: RecordMessage, now: float) -> list[Action]:
        actions = real(requester, message, now)
        requester._promised = 0
        return actions

    patch.setattr(Requester, "_on_live", on_live)
    never_looks_again(patch)


def takes_pages_in_any_order(patch: pytest.MonkeyPatch) -> None:
    real = Requester._on_page

    def on_page(requester: Requester, page: PageAnswer, now: float) -> list[Action]:
        requester.taken = page.after
        return real(requester, page, now)

    patch.setattr(Requester, "_on_page", on_page)
    patch.setattr(Requester, "_is_awaited", lambda requester, correlation, op: True)


def goes_on_after_a_failure(patch: pytest.MonkeyPatch) -> None:
    failed, prepared = Requester.on_failed, Requester.on_prepared

    def on_failed(requester: Requester, position: int, reason: str, now: float) -> None:
        failed(requester, requester.taken, reason, now)

    def on_prepared(requester: Requester, description: Description, *, position: int, **rest: Any) -> list[Action]:
        return prepared(requester, description, position=max(position, requester.taken), **rest)

    patch.setattr(Requester, "on_failed", on_failed)
    patch.setattr(Requester, "on_prepared", on_prepared)


def never_looks_again(patch: pytest.MonkeyPatch) -> None:
    def rest(requester: Requester, now: float) -> None:
        requester._deadline = float("inf")

    patch.setattr(Requester, "_rest", rest)


def asks_for_a_page_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Requester, "_timeout_s", lambda requester: float("inf"))


def asks_without_end(patch: pytest.MonkeyPatch) -> None:
    real = Requester._on_page

    def on_page(requester: Requester, page: PageAnswer, now: float) -> list[Action]:
        return [*real(requester, page, now), *requester._ask("page", now)]

    patch.setattr(Requester, "_on_page", on_page)


def asks_on_its_first_connection_alone(patch: pytest.MonkeyPatch) -> None:
    real = Requester.on_connected

    def on_connected(requester: Requester, now: float) -> list[Action]:
        return real(requester, now) if requester.origin is None else []

    patch.setattr(Requester, "on_connected", on_connected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        (leaves_out_the_last_second, (FalseProof,)),
        (looks_beyond_the_moment_of_the_check, (TooEarly,)),
        (compares_counts_alone, (FalseProof, NotMended)),
        (overlooks_what_only_one_side_has, (NotMended, NotEqual)),
        (overlooks_a_column, (FalseProof, NotMended)),
        (skips_the_last_leaf, (NotMended,)),
        (believes_a_cut_answer_whole, (NotMended,)),
        (believes_itself_equal_when_roots_differ, (FalseProof,)),
        (deletes_before_all_is_known, (WrongDeletion,)),
        (deletes_however_much, (WrongDeletion,)),
        (never_checks_again_after_giving_up, (NotEqual, NotHeld, NotProven)),
        (asks_once, (NotEqual, NotHeld, NotProven)),
        (checks_without_end, (NotQuiet,)),
        (lets_a_late_duplicate_undo_an_edit, (WentBack,)),
    ],
)
def test_a_mistake_planted_in_checks_is_found(plant: Plant, kinds: tuple[type[AssertionError], ...]) -> None:
    check_found(plant, kinds, step=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        (passes_over_a_second_after_each_page, (PassedOver,)),
        (takes_live_records_during_catch_up, (PassedOver,)),
        (believes_that_nothing_lies_between, (PassedOver,)),
        (forgets_what_it_was_promised, (NotEqual,)),
        (takes_pages_in_any_order, (PassedOver,)),
        (goes_on_after_a_failure, (PassedOver, NotEqual)),
        (never_looks_again, (NotEqual,)),
        (asks_for_a_page_once, (NotEqual,)),
        (asks_without_end, (NotQuiet, Storm)),
        (asks_on_its_first_connection_alone, (NotEqual,)),
    ],
)
def test_a_mistake_planted_in_catch_up_is_found_though_no_check_mends_it(
    plant: Plant, kinds: tuple[type[AssertionError], ...]
) -> None:
    check_found(plant, kinds, step=POSITION_ALONE)
