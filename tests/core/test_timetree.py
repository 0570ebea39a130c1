"""Row hashes, sums and digests: as docs/how-it-proves.md says, and nothing of the rows' order in them."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.timetree import LEAF, NODE, TOP, MemoryTree, RowHasher, Sum, View, add_up, sum_of

PAGE = (Path(__file__).parents[2] / "docs" / "how-it-proves.md").read_text(encoding="utf-8")
NAMES = ["dateTime", "interval", "note", "outTemp", "usUnits"]
FIRST = (1_700_000_000, 5, None, 21.5, 1)
SECOND = (1_700_000_300, 5, "Föhn", -0.0, 1)

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
ENTRIES = st.lists(
    st.tuples(st.integers(1_600_000_000, 1_600_600_000), st.integers(0, 2**128 - 1)),
    unique_by=lambda entry: entry[0],
    max_size=40,
)


def test_the_rows_of_the_documentation_have_the_hashes_it_says() -> None:
    hasher = RowHasher(NAMES)
    entries = [(row[0], hasher.hash(row)) for row in (FIRST, SECOND)]
    for _, row_hash in entries:
        assert f"`{row_hash:032x}`" in PAGE
    total = sum_of(entries)
    assert f"(2, `{total.total:032x}`)" in PAGE
    assert re.search(rf"nonce `c1` is `{total.digest(b'c1').hex()}`", PAGE)


def test_a_column_more_that_is_null_changes_no_hash() -> None:
    without = RowHasher([name for name in NAMES if name != "note"]).hash((1_700_000_000, 5, 21.5, 1))
    assert RowHasher(NAMES).hash(FIRST) == without


@given(st.lists(NUMBERS | st.none() | st.text(max_size=5), min_size=4, max_size=4))
def test_equal_numbers_have_equal_hashes_and_any_other_value_another(values: list[object]) -> None:
    hasher = RowHasher(["a", "b", "c", "d"])
    as_floats = [float(value) if isinstance(value, int) else value for value in values]
    assert hasher.hash(values) == hasher.hash(as_floats)
    for place, value in enumerate(values):
        changed = [*values]
        changed[place] = 1.5 if value != 1.5 else None
        assert hasher.hash(changed) != hasher.hash(values)


def test_signs_of_zero_are_one_and_infinities_are_themselves() -> None:
    hasher = RowHasher(["a", "b"])
    assert hasher.hash((0.0, 1)) == hasher.hash((-0.0, 1)) == hasher.hash((0, 1.0))
    assert len({hasher.hash((value, 1)) for value in (math.inf, -math.inf, 1e308, 5e-324, -5e-324)}) == 5


def test_a_text_is_not_the_number_that_it_looks_like() -> None:
    hasher = RowHasher(["a", "b"])
    assert hasher.hash(("1", 2)) != hasher.hash((1, 2))
    assert hasher.hash(("ab", "c")) != hasher.hash(("a", "bc"))


def test_columns_that_are_not_sorted_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="sorted"):
        RowHasher(["b", "a"])


@given(ENTRIES, st.randoms())
def test_a_sum_is_the_same_in_any_order_and_is_undone_by_subtraction(
    entries: list[tuple[int, int]], chance: object
) -> None:
    shuffled = [*entries]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sum_of(shuffled) == sum_of(entries) == add_up(sum_of([entry]) for entry in entries)
    for entry in entries[:3]:
        rest = [each for each in entries if each != entry]
        assert sum_of(entries) - sum_of([entry]) == sum_of(rest)


def test_a_digest_depends_on_count_total_and_nonce() -> None:
    digests = {each.digest(nonce) for each in (Sum(1, 5), Sum(2, 5), Sum(1, 6)) for nonce in (b"a", b"b")}
    assert len(digests) == 6
    assert Sum(1, 5).digest(b"a", 2) == Sum(1, 5).digest(b"a")[:2]


@given(ENTRIES, st.integers(1_600_000_000, 1_600_600_000))
def test_a_view_holds_what_is_not_later_than_its_moment_on_every_level(
    entries: list[tuple[int, int]], until: int
) -> None:
    view = View(MemoryTree(entries), until)
    kept = [entry for entry in entries if entry[0] <= until]
    assert view.root() == sum_of(kept)
    for top, each in view.tops().items():
        assert each == sum_of([entry for entry in kept if entry[0] >> TOP == top])
        nodes = view.children(NODE, top)
        assert add_up(nodes.values()) == each
        for node, below in nodes.items():
            leaves = view.children(LEAF, node)
            assert add_up(leaves.values()) == below
            for leaf in leaves:
                assert sum_of(view.entries(leaf)) == leaves[leaf]
                assert all(time >> LEAF == leaf for time, _ in view.entries(leaf))
