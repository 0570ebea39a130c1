"""Digests at one end: exact, though only groups whose checksum changed are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samesky.core.columns import Table
from samesky.push import group_digests
from samesky.push.digest_question import WHOLE, By, DigestQuestion, Digests
from samesky.push.digests import DAY_S, Group, combine, combine_days, combine_months, digest_groups
from samesky.push.group_digests import GroupDigests, Kept, Reading, Unfinished, plan_readings
from stands.push_ends import READING, ReadingKey, Readings, group_of, table_of

START_S = 1_700_006_400 // DAY_S * DAY_S
"""2023-11-15."""
END_S = START_S + 100 * DAY_S


@dataclass
class MemorySource:
    """A table in memory, with a checksum of its own kind; it notes what was read."""

    rows: Readings
    readings: list[Reading] = field(default_factory=list)
    unfit: set[ReadingKey] = field(default_factory=set)

    def read_checksums(self, from_s: int, to_s: int) -> Mapping[Group, tuple[int, int]]:
        found: dict[Group, tuple[int, int]] = {}
        for key, value in self.rows.items():
            if from_s <= key.time < to_s:
                count, checksum = found.get(group_of(key), (0, 0))
                found[group_of(key)] = count + 1, checksum + hash((key, value))
        return found

    def read_rows(self, from_s: int, to_s: int, second: int | None) -> Table:
        self.readings.append(Reading(from_s, to_s, second))
        chosen = {
            key: value
            for key, value in self.rows.items()
            if from_s <= key.time < to_s and second in (None, key.node) and key not in self.unfit
        }
        return table_of(chosen)


@dataclass
class MemoryCache:
    """What is kept, in memory."""

    kept: dict[Group, Kept] = field(default_factory=dict)

    def read(self, table: str, from_day: int, to_day: int) -> Mapping[Group, Kept]:
        return {group: each for group, each in self.kept.items() if from_day <= group[0] < to_day}

    def write(self, table: str, kept: Mapping[Group, Kept]) -> None:
        self.kept |= kept


def readings(days: int = 100, nodes: int = 3) -> Readings:
    return {
        ReadingKey(START_S + day * DAY_S + hour * 3600, node): day + node / 4
        for day in range(days)
        for node in range(nodes)
        for hour in range(4)
    }


def ask(by: By, within: tuple[int, ...] = (), *, deep: bool = False, from_s: int = START_S) -> DigestQuestion:
    return DigestQuestion(from_s=from_s, to_s=END_S, by=by, within=within, deep=deep)


def test_answers_are_those_of_all_rows_however_they_are_asked_for() -> None:
    source = MemorySource(readings())
    digests: Digests = GroupDigests(READING, source, MemoryCache())
    groups = digest_groups(READING, table_of(source.rows))
    days = combine_days(groups)
    assert digests.read_digests(ask(By.ALL)) == {WHOLE: combine(combine_months(days))}
    assert digests.read_digests(ask(By.MONTH)) == combine_months(days)
    assert digests.read_digests(ask(By.MONTH, (202312,))) == {202312: combine_months(days)[202312]}
    assert digests.read_digests(ask(By.DAY)) == days
    january = {day: each for day, each in days.items() if 19723 <= day < 19754}
    assert digests.read_digests(ask(By.DAY, (202401,))) == january
    assert digests.read_digests(ask(By.GROUP)) == groups
    chosen = (19700, 19701, 19730)
    assert digests.read_digests(ask(By.GROUP, chosen)) == {
        group: each for group, each in groups.items() if group[0] in chosen
    }


def test_nothing_is_read_twice_and_then_only_what_changed() -> None:
    source, cache = MemorySource(readings()), MemoryCache()
    first = GroupDigests(READING, source, cache).read_digests(ask(By.ALL))
    assert sum(to_s - from_s for from_s, to_s, _ in source.readings) == 100 * DAY_S
    source.readings.clear()
    assert GroupDigests(READING, source, cache).read_digests(ask(By.ALL)) == first
    assert not source.readings
    source.rows[ReadingKey(START_S + 60 * DAY_S, 2)] = -1.0
    assert GroupDigests(READING, source, cache).read_digests(ask(By.ALL)) != first
    assert source.readings == [(START_S + 60 * DAY_S, START_S + 61 * DAY_S, 2)]


def test_a_view_asked_again_is_not_read_again() -> None:
    source = MemorySource(readings())
    digests = GroupDigests(READING, source, MemoryCache())
    whole = digests.read_digests(ask(By.ALL))
    source.read_checksums = None  # type: ignore[method-assign,assignment]
    assert combine(
        {key: each for key, each in digests.read_digests(ask(By.MONTH)).items() if isinstance(key, int)}
    ) in (whole.values())


def test_rows_outside_of_what_is_asked_for_dont_count_though_their_groups_do() -> None:
    source, cache = MemorySource(readings()), MemoryCache()
    noon = START_S + 2 * 3600
    whole = GroupDigests(READING, source, cache).read_digests(ask(By.ALL))[WHOLE]
    cut = GroupDigests(READING, source, cache).read_digests(ask(By.ALL, from_s=noon))[WHOLE]
    assert (whole.count, cut.count) == (1200, 1194)
    rows = {key: value for key, value in source.rows.items() if key.time >= noon}
    assert cut == combine(combine_months(combine_days(digest_groups(READING, table_of(rows)))))


def test_deep_believes_nothing_that_was_kept_and_keeps_what_it_found() -> None:
    source, cache = MemorySource(readings()), MemoryCache()
    truth = GroupDigests(READING, source, cache).read_digests(ask(By.ALL))
    group, kept = next(iter(cache.kept.items()))
    cache.kept[group] = kept._replace(digest=bytes(16))
    assert GroupDigests(READING, source, cache).read_digests(ask(By.ALL)) != truth
    assert GroupDigests(READING, source, cache).read_digests(ask(By.ALL, deep=True)) == truth
    assert GroupDigests(READING, source, cache).read_digests(ask(By.ALL)) == truth


def test_a_first_reading_that_takes_too_long_goes_on_with_the_next_question() -> None:
    source, cache = MemorySource(readings()), MemoryCache()
    tries = 0
    while True:
        tries += 1
        try:
            found = GroupDigests(READING, source, cache, has_time=lambda: False).read_digests(ask(By.ALL))
            break
        except Unfinished:
            pass
    assert Unfinished.transient
    assert tries == 4, "November to February, a month a try"
    assert found == GroupDigests(READING, source, MemoryCache()).read_digests(ask(By.ALL))


def test_what_changes_between_checksum_and_reading_isnt_kept() -> None:
    source, cache = MemorySource(readings(days=1)), MemoryCache()
    before = source.read_checksums(START_S, END_S)
    source.read_checksums = lambda from_s, _: before if from_s == START_S else {}  # type: ignore[method-assign,assignment,misc]
    source.rows[ReadingKey(START_S + 5, 1)] = 0.0
    found = GroupDigests(READING, source, cache).read_digests(ask(By.GROUP))
    group = (START_S // DAY_S, 1)
    assert found[group].count == 5
    assert group not in cache.kept


def test_rows_that_cant_be_sent_are_in_no_digest_and_read_once() -> None:
    source, cache = MemorySource(readings(days=1)), MemoryCache()
    whole = GroupDigests(READING, source, cache).read_digests(ask(By.GROUP))
    source.unfit = {ReadingKey(START_S + hour * 3600, 1) for hour in range(4)} | {ReadingKey(START_S, 2)}
    source.rows |= dict.fromkeys(source.unfit, 9.5)
    for _ in range(2):
        found = GroupDigests(READING, source, cache).read_digests(ask(By.GROUP))
        assert {group: each.count for group, each in found.items()} == {(19_676, 0): 4, (19_676, 2): 3}
        assert found[19_676, 0] == whole[19_676, 0]
    source.readings.clear()
    GroupDigests(READING, source, cache).read_digests(ask(By.ALL))
    assert not source.readings


def test_one_row_of_1970_costs_few_questions() -> None:
    source, cache = MemorySource(readings() | {ReadingKey(5, 1): 1.0}), MemoryCache()
    spans: list[tuple[int, int]] = []
    read_checksums = source.read_checksums

    def note(from_s: int, to_s: int) -> Mapping[Group, tuple[int, int]]:
        spans.append((from_s, to_s))
        return read_checksums(from_s, to_s)

    source.read_checksums = note  # type: ignore[method-assign]
    found = GroupDigests(READING, source, cache).read_digests(ask(By.MONTH, from_s=0))
    assert found == combine_months(combine_days(digest_groups(READING, table_of(source.rows))))
    assert len(spans) < 70
    assert (spans[0][0], spans[-1][1]) == (0, END_S)
    assert all(end_s == start_s for (_, end_s), (start_s, _) in pairwise(spans)), "nothing is left out or read twice"
    some = (197001, 197002, 202311, 202401)
    assert GroupDigests(READING, source, cache).read_digests(ask(By.MONTH, some, from_s=0)) == {
        month: found[month] for month in some if month in found
    }


def test_an_empty_window_has_no_digests() -> None:
    digests = GroupDigests(READING, MemorySource({}), MemoryCache())
    assert digests.read_digests(DigestQuestion(from_s=5, to_s=5, by=By.ALL)) == {}
    for by in By:
        assert digests.read_digests(ask(by)) == {}


def test_whole_days_are_read_together_and_single_groups_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_digests, "ROWS_AT_ONCE", 100)
    counts = {(day, node): 20 for day in range(8) for node in range(4)} | {(5, 0): 50}
    changed = {group for group in counts if group[0] in {0, 3, 5, 7}} | {(2, 1), (6, 0), (6, 1)}
    planned = list(plan_readings(changed, counts, 0, 8 * DAY_S - 1))
    assert planned == [
        (0, DAY_S, None),
        (2 * DAY_S, 3 * DAY_S, 1),
        (3 * DAY_S, 4 * DAY_S, None),
        *((5 * DAY_S, 6 * DAY_S, node) for node in range(4)),  # 110 rows are too many
        (6 * DAY_S, 7 * DAY_S, None),
        (7 * DAY_S, 8 * DAY_S - 1, None),
    ]
    monkeypatch.setattr(group_digests, "ROWS_AT_ONCE", 1000)
    assert list(plan_readings(counts, counts, 5, 8 * DAY_S)) == [(5, 8 * DAY_S, None)]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.builds(ReadingKey, st.integers(START_S, START_S + 40 * DAY_S), st.integers(-3, 3), st.just(1)),
        st.sampled_from([None, 1.0, 2.5]),
        max_size=80,
    ),
    st.lists(st.tuples(st.integers(0, 79), st.sampled_from([None, 1.0, 9.0])), max_size=10),
)
def test_kept_digests_are_always_those_of_the_rows(rows: Readings, edits: list[tuple[int, float | None]]) -> None:
    source, cache = MemorySource(dict(rows)), MemoryCache()
    GroupDigests(READING, source, cache).read_digests(ask(By.MONTH))
    keys = list(rows)
    for place, value in edits:
        if place < len(keys):
            source.rows[keys[place]] = value
    found = GroupDigests(READING, source, cache).read_digests(ask(By.GROUP))
    assert found == digest_groups(READING, table_of(source.rows))
