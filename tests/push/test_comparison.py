"""A comparison finds what differs, has it sent, tells what can't be mended, and costs one question if all is well."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samesky.push import comparison
from samesky.push.comparison import Window, window_of
from samesky.push.digest_question import By, encode_digests
from samesky.push.digests import DAY_S
from samesky.push.ends import ask_side_by_side
from samesky.push.explanations import DOUBT_S
from stands.push_ends import MemoryExplained, Pair, ReadingKey, Readings

START_S = 1_700_006_400 // DAY_S * DAY_S
"""2023-11-15."""


def history(days: int, nodes: int = 3, rows_a_day: int = 4) -> Readings:
    """Readings of some nodes, some a day."""
    return {
        ReadingKey(START_S + day * DAY_S + row * 3600, node): node + row / 10
        for day in range(days)
        for node in range(1, nodes + 1)
        for row in range(rows_a_day)
    }


def equal_pair(days: int = 90) -> Pair:
    rows = history(days)
    pair = Pair()
    pair.site.rows = dict(rows)
    pair.centre.rows = dict(rows)
    return pair


def at(day: int, hour: int, node: int) -> ReadingKey:
    return ReadingKey(START_S + day * DAY_S + hour * 3600, node)


def test_equal_ends_are_proven_by_one_short_question() -> None:
    pair = equal_pair()
    proof = pair.compare(now=5.0)
    assert (proof.same, proof.rows, proof.rows_at_centre, proof.at) == (True, 1080, 1080, 5.0)
    assert [question.by for question in pair.centre.questions] == [By.MONTH]
    assert len(json.dumps(encode_digests(pair.centre.read_digests(pair.centre.questions[0])))) < 300
    assert not pair.sent


def test_many_months_are_asked_for_as_one() -> None:
    pair = equal_pair()
    pair.site.rows = {
        key._replace(time=key.time + (key.time - START_S) * 10): value for key, value in pair.site.rows.items()
    }
    pair.centre.rows = dict(pair.site.rows)
    assert pair.compare().same
    assert [question.by for question in pair.centre.questions] == [By.ALL]
    assert len(json.dumps(encode_digests(pair.centre.read_digests(pair.centre.questions[0])))) < 100
    pair.centre.rows.popitem()
    assert pair.compare().same
    assert [question.by for question in pair.centre.questions] == [By.ALL, By.MONTH, By.DAY, By.GROUP, By.GROUP]


def test_a_late_row_is_found_and_sent_with_the_rows_of_its_node_and_day_alone() -> None:
    pair = equal_pair()
    late = ReadingKey(START_S + 40 * DAY_S + 5, 2)
    pair.site.rows[late] = 21.5
    proof = pair.compare()
    assert proof.same
    assert proof.resent_rows == 1
    assert pair.sent == [[(late.time // DAY_S, 2)]]
    assert pair.centre.rows == pair.site.rows
    assert [question.by for question in pair.centre.questions] == [By.MONTH, By.DAY, By.GROUP, By.GROUP]


def test_a_corrected_value_is_found_and_sent() -> None:
    pair = equal_pair()
    pair.site.rows[at(3, 1, 1)] = None
    pair.site.rows[at(80, 2, 3)] = -0.5
    assert pair.compare().same
    assert pair.centre.rows == pair.site.rows


def test_a_hole_at_the_centre_is_filled() -> None:
    pair = equal_pair()
    for key in [key for key in pair.centre.rows if key.node == 2 and 20 <= (key.time - START_S) // DAY_S < 50]:
        del pair.centre.rows[key]
    proof = pair.compare()
    assert (proof.same, proof.resent_rows) == (True, 120)
    assert pair.centre.rows == pair.site.rows


def test_an_empty_centre_is_filled_without_asking_what_it_has_of_each_day() -> None:
    pair = equal_pair()
    pair.centre.rows = {}
    assert pair.compare().same
    assert pair.centre.rows == pair.site.rows
    assert By.DAY not in [question.by for question in pair.centre.questions]


def test_without_a_way_to_send_what_differs_is_told() -> None:
    pair = equal_pair()
    del pair.centre.rows[at(40, 1, 2)]
    pair.site.rows[at(41, 2, 3)] = 99.0
    before = dict(pair.centre.rows)
    proof = pair.compare(repair=False)
    assert (proof.same, proof.different_groups, proof.missing) == (False, 2, 1)
    assert proof.examples == ("2023-12-25 2", "2023-12-26 3")
    assert pair.centre.rows == before
    assert not pair.compare(repair=False).same, "nothing that isn't known may be remembered as explained"


def test_rows_that_only_the_centre_has_are_told_and_never_deleted() -> None:
    pair = equal_pair()
    extra = {ReadingKey(START_S + 7 * DAY_S + 1, 1): 1.0, ReadingKey(START_S + 70 * DAY_S + 1, 9): 2.0}
    pair.centre.rows |= extra
    proof = pair.compare()
    assert (proof.same, proof.extra_at_centre, proof.rows, proof.rows_at_centre) == (True, 2, 1080, 1082)
    assert "the centre has 2 more" in proof.describe()
    assert extra.items() <= pair.centre.rows.items()


def test_what_was_explained_costs_one_question_and_sends_nothing_the_next_time() -> None:
    pair = equal_pair()
    pair.centre.rows[ReadingKey(START_S + 7 * DAY_S + 1, 1)] = 1.0
    first = pair.compare()
    again = pair.compare()
    assert [question.by for question in pair.centre.questions] == [By.MONTH]
    assert not pair.sent
    assert (again.same, again.extra_at_centre) == (True, 1)
    assert again.digest == first.digest


def test_a_new_difference_beside_an_explained_one_is_found() -> None:
    pair = equal_pair()
    pair.centre.rows[ReadingKey(START_S + 7 * DAY_S + 1, 1)] = 1.0
    pair.compare()
    pair.site.rows[at(7, 2, 1)] = 3.25
    pair.site.rows[at(60, 2, 1)] = 3.25
    proof = pair.compare()
    assert (proof.same, proof.extra_at_centre) == (True, 1)
    assert pair.site.rows.items() <= pair.centre.rows.items()


def test_what_the_site_has_purged_stays_at_the_centre() -> None:
    pair = equal_pair()
    everything = dict(pair.centre.rows)
    for key in [key for key in pair.site.rows if (key.time - START_S) // DAY_S in {0, 1, 30, 31, 45}]:
        del pair.site.rows[key]
    proof = pair.compare()
    assert (proof.same, proof.extra_at_centre) == (True, 36)
    assert not pair.sent, "that the site has no row of a day needs no sending to be known"
    assert pair.centre.rows == everything


def test_some_rows_of_many_groups_deleted_at_the_site_are_explained_with_few_pages() -> None:
    pair = equal_pair()
    for key in [key for key in pair.site.rows if (key.time - START_S) // DAY_S % 3 == 1 and key.time % DAY_S == 3600]:
        del pair.site.rows[key]
    proof = pair.compare()
    assert (proof.same, proof.extra_at_centre, proof.resent_rows) == (True, 90, 0)
    assert len(pair.sent) == 4, "a month's groups in one go"
    pair.compare()
    assert not pair.sent


def test_refused_rows_are_no_sameness_but_arent_sent_each_time() -> None:
    pair = equal_pair()
    poison = at(33, 5, 1)
    pair.site.rows[poison] = 7.0
    pair.refuses = poison.__eq__
    proof = pair.compare(now=100.0)
    assert (proof.same, proof.refused, proof.different_groups) == (False, 1, 0)
    assert "1 row refused by the centre (2023-12-18 1)" in proof.describe()
    proof = pair.compare(now=200.0)
    assert (proof.same, proof.refused) == (False, 1)
    assert not pair.sent


@pytest.mark.parametrize(("now", "retry"), [(101.0 + DOUBT_S, False), (150.0, True)])
def test_refused_rows_are_sent_again_after_a_day_or_when_asked_to(now: float, retry: bool) -> None:
    pair = equal_pair()
    poison = at(33, 5, 1)
    pair.site.rows[poison] = 7.0
    pair.refuses = poison.__eq__
    pair.compare(now=100.0)
    pair.refuses = lambda _: False
    assert pair.compare(now=now, retry=retry).same
    assert pair.centre.rows == pair.site.rows


def test_a_retry_that_is_refused_again_ends_with_the_same_words() -> None:
    pair = equal_pair()
    pair.site.rows[at(33, 5, 1)] = 7.0
    pair.refuses = at(33, 5, 1).__eq__
    first, again = pair.compare(now=1.0), pair.compare(now=2.0, retry=True)
    assert again.describe() == first.describe()


def test_a_group_with_refused_and_with_extra_rows_tells_both() -> None:
    pair = equal_pair()
    pair.site.rows[at(33, 5, 1)] = 7.0
    pair.refuses = at(33, 5, 1).__eq__
    pair.centre.rows[at(33, 6, 1)] = 7.0
    proof = pair.compare()
    assert (proof.same, proof.refused, proof.extra_at_centre) == (False, 1, 1)


def test_a_centre_that_keeps_other_values_than_it_is_sent_is_found_out_and_not_sent_to_for_ever() -> None:
    pair = equal_pair()
    pair.alters = lambda value: None if value is None else round(value, 1)
    pair.site.rows[at(33, 1, 1)] = 7.123
    pair.site.rows[at(34, 1, 1)] = 7.5
    pair.centre.rows[at(35, 9, 1)] = 1.0
    proof = pair.compare(now=1.0)
    assert (proof.same, proof.altered_groups, proof.extra_at_centre) == (False, 1, 1)
    assert proof.examples == ("2023-12-18 1",)
    assert len(pair.sent) < 8
    pair.compare(now=2.0)
    assert not pair.sent


def test_a_centre_that_loses_rows_and_says_it_has_them_is_found_out() -> None:
    pair = equal_pair()
    del pair.centre.rows[at(3, 1, 1)]
    pair.store = lambda *_: False  # type: ignore[method-assign]
    proof = pair.compare()
    assert (proof.same, proof.altered_groups) == (False, 1)


def test_a_centre_that_has_other_values_and_says_that_they_are_equal_is_found_out() -> None:
    pair = equal_pair()
    pair.centre.rows[at(3, 1, 1)] = 7.0
    pair.store = lambda *_: False  # type: ignore[method-assign]
    proof = pair.compare()
    assert (proof.same, proof.altered_groups, proof.extra_at_centre) == (False, 1, 0)


def test_deep_reads_anew_a_month_that_has_rows_a_question() -> None:
    pair = equal_pair()
    pair.site.rows[ReadingKey(5, 1)] = pair.centre.rows[ReadingKey(5, 1)] = 1.0
    pair.site.rows[at(33, 1, 1)] = 7.0
    assert pair.compare(deep=True).same
    deep = [question for question in pair.centre.questions if question.deep]
    assert [(question.by, question.within) for question in deep] == [
        (By.MONTH, (197001,)),
        (By.MONTH, (202311,)),
        (By.MONTH, (202312,)),
        (By.MONTH, (202401,)),
        (By.MONTH, (202402,)),
    ]
    assert By.ALL not in [question.by for question in pair.centre.questions]
    assert pair.centre.rows == pair.site.rows


def test_an_interrupted_comparison_keeps_what_it_found() -> None:
    pair = equal_pair()
    pair.centre.rows[ReadingKey(START_S + 1, 1)] = 1.0
    del pair.centre.rows[at(60, 1, 1)]
    pair.refuses = _raise_at(at(60, 0, 1))
    with pytest.raises(ConnectionError):
        pair.compare()
    pair.refuses = lambda _: False
    assert pair.compare().same
    assert pair.sent == [[(START_S // DAY_S + 60, 1)]]


def _raise_at(where: ReadingKey) -> Callable[[ReadingKey], bool]:
    def refuses(key: ReadingKey) -> bool:
        if key == where:
            raise ConnectionError
        return False

    return refuses


def test_many_groups_are_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "GROUPS_A_QUESTION", 7)
    pair = equal_pair(31)
    for key in pair.site.rows:
        pair.site.rows[key] = 0.25
    assert pair.compare().same
    assert {len(sent) for sent in pair.sent} == {3, 6}, "whole days of three nodes"


@pytest.mark.parametrize(
    ("earliest", "position", "window"),
    [
        (None, (1_700_000_000, 1, 1), None),
        (1_600_000_000, None, None),
        (1_700_000_001, (1_700_000_000, 1, 1), None),
        (1_600_000_000, (1_700_000_000, 1, 1), Window(1_600_000_000, 1_700_000_001)),
        (0, (1_700_000_000, 1, 1), Window(0, 1_700_000_001)),
        (-62_167_219_200, (1_700_000_000, 1, 1), Window(0, 1_700_000_001)),
    ],
)
def test_what_can_be_compared_ends_with_what_was_pushed(
    earliest: int | None, position: tuple[int, ...] | None, window: Window | None
) -> None:
    assert window_of(earliest, position) == window


def test_nothing_to_compare_is_the_same() -> None:
    proof = Pair().compare()
    assert proof.same
    assert proof.describe() == "nothing was pushed yet: there is nothing to compare"


KEYS = st.builds(
    ReadingKey,
    st.integers(0, 70).map(lambda step: START_S + step * 43_200),
    st.integers(1, 3),
    st.just(1),
)
VALUES = st.sampled_from([None, 0.0, -0.0, 1.5, 1e300])


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(KEYS, VALUES, max_size=60),
    st.dictionaries(KEYS, VALUES, max_size=60),
    st.sets(KEYS, max_size=3),
)
def test_after_a_comparison_the_centre_has_every_row_but_those_it_refuses_and_the_figures_are_right(
    here: Readings, there: Readings, poison: set[ReadingKey]
) -> None:
    pair = Pair()
    pair.site.rows, pair.centre.rows = dict(here), dict(there)
    pair.refuses = poison.__contains__
    proof = pair.compare(now=1.0)
    assert all(pair.centre.rows[key] == value for key, value in here.items() if key not in poison)
    assert there.keys() <= pair.centre.rows.keys()
    if here:
        seen = pair.centre.chosen(Window(min(here).time, max(here).time + 1))
        assert (proof.rows, proof.rows_at_centre) == (len(here), len(seen))
        assert proof.same == all(pair.centre.rows.get(key, "") == here[key] for key in here)
        if not poison:
            assert proof.extra_at_centre == len(seen) - len(here)
    again = pair.compare(now=2.0)
    assert not pair.sent
    assert (again.same, again.extra_at_centre, again.refused) == (proof.same, proof.extra_at_centre, proof.refused)


@settings(max_examples=150)
@given(
    st.dictionaries(KEYS, VALUES, min_size=1, max_size=40),
    st.dictionaries(KEYS, VALUES, max_size=40),
    st.lists(st.tuples(st.booleans(), KEYS, VALUES | st.just("gone")), max_size=12),
)
def test_rows_that_change_while_they_are_compared_confuse_nobody(
    here: Readings, there: Readings, changes: list[tuple[bool, ReadingKey, Any]]
) -> None:
    pair = Pair()
    pair.site.rows, pair.centre.rows = dict(here), dict(there)
    left = list(changes)

    def change() -> None:
        if left:
            at_site, key, value = left.pop()
            rows = pair.site.rows if at_site else pair.centre.rows
            rows[key] = value
            if value == "gone":
                del rows[key]

    pair.site.before_answer = pair.centre.before_answer = change
    pair.compare(now=1.0)
    left.clear()
    proof = pair.compare(now=2.0)
    assert proof.same
    assert pair.site.rows.items() <= pair.centre.rows.items()


def test_what_was_remembered_may_be_lost() -> None:
    pair = equal_pair()
    pair.centre.rows[ReadingKey(START_S + 7 * DAY_S + 1, 1)] = 1.0
    first = pair.compare()
    pair.explained = MemoryExplained()
    assert pair.compare() == first


def test_both_ends_may_be_asked_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=60)

    def answer(value: int) -> Callable[[], int]:
        return lambda: (meeting.wait(), value)[1]

    assert ask_side_by_side(answer(1), answer(2)) == (1, 2)


@pytest.mark.parametrize("ends", [(True, False), (False, True), (True, True)])
def test_what_goes_wrong_at_either_end_is_told_when_both_are_done(ends: tuple[bool, bool]) -> None:
    done: list[str] = []

    def answer(name: str, fails: bool) -> Callable[[], None]:
        def ask() -> None:
            done.append(name)
            if fails:
                raise ConnectionError(name)

        return ask

    with pytest.raises(ConnectionError, match="site" if ends[0] else "centre"):
        ask_side_by_side(answer("site", ends[0]), answer("centre", ends[1]))
    assert sorted(done) == ["centre", "site"]
