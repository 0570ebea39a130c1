"""Digest lists and row lists come back as they were, and rubbish is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.core.timetree import CHILDREN, LEAF, Sum
from samesky.core.treelists import (
    MAX_LIST_BYTES,
    MOST_SPANS,
    SIZES,
    decode_digests,
    decode_rows,
    differing,
    digests_of,
    encode_digests,
    encode_rows,
    row_mark,
    size_for,
    size_for_rows,
)

SUMS = st.builds(Sum, st.integers(1, 10**6), st.integers(0, 2**128 - 1))
SPANS = st.dictionaries(
    st.integers(0, 100_000), st.dictionaries(st.integers(0, CHILDREN - 1), SUMS, max_size=CHILDREN), max_size=5
)
LEAVES = st.dictionaries(
    st.integers(0, 500_000),
    st.dictionaries(st.integers(0, (1 << LEAF) - 1), st.integers(0, 2**128 - 1), max_size=8),
    max_size=5,
)


@given(SPANS, st.sampled_from(SIZES))
def test_digest_lists_come_back(spans: dict[int, dict[int, Sum]], size: int) -> None:
    named = {
        span: {span * CHILDREN + child: each for child, each in children.items()} for span, children in spans.items()
    }
    payload = encode_digests(named, nonce=b"n", size=size)
    expected = {span: digests_of(children, nonce=b"n", size=size) for span, children in named.items()}
    assert decode_digests(payload, size=size) == expected


@given(LEAVES, st.sampled_from(SIZES))
def test_row_lists_come_back(leaves: dict[int, dict[int, int]], size: int) -> None:
    entries = {
        leaf: [((leaf << LEAF) + second, row_hash) for second, row_hash in sorted(rows.items())]
        for leaf, rows in leaves.items()
    }
    payload = encode_rows(entries, nonce=b"n", size=size)
    expected = {
        leaf: {time: row_mark(row_hash, nonce=b"n", size=size) for time, row_hash in rows}
        for leaf, rows in entries.items()
    }
    assert decode_rows(payload, size=size) == expected


def test_spans_that_have_no_children_to_name_are_refused() -> None:
    last = (1 << 27) - 1
    assert list(decode_digests(encode_digests({last: {}}, nonce=b"n", size=8), size=8)) == [last]
    with pytest.raises(Refused) as refusal:
        decode_digests(encode_digests({last + 1: {}}, nonce=b"n", size=8), size=8)
    assert refusal.value.reason is Reason.RANGE


@given(st.binary(max_size=400), st.sampled_from(SIZES))
def test_any_bytes_are_a_list_or_refused(payload: bytes, size: int) -> None:
    for decode in (decode_digests, decode_rows):
        try:
            decode(payload, size=size)
        except Refused:
            pass


@pytest.mark.parametrize("decode", [decode_digests, decode_rows])
def test_a_list_that_is_cut_twice_named_out_of_order_or_too_large_is_refused(decode: object) -> None:
    assert callable(decode)
    good = (
        encode_digests({1: {32: Sum(1, 1)}, 2: {64: Sum(1, 2)}}, nonce=b"n", size=8)
        if decode is decode_digests
        else encode_rows({1: [(4096, 1)], 2: [(8192, 2)]}, nonce=b"n", size=8)
    )
    half = len(good) // 2
    for bad in (good[:-1], good[:half] + good[:half], good[half:] + good[:half], b"\0" * (MAX_LIST_BYTES + 1)):
        with pytest.raises(Refused) as refusal:
            decode(bad, size=8)
        assert refusal.value.reason in (Reason.SHAPE, Reason.SIZE)


def test_a_row_outside_its_leaf_or_named_twice_is_refused() -> None:
    row = (5).to_bytes(2, "big") + b"x" * 8
    outside = (4096).to_bytes(2, "big") + b"x" * 8
    for rows in ((outside,), (row, row)):
        with pytest.raises(Refused):
            decode_rows((1).to_bytes(4, "big") + len(rows).to_bytes(2, "big") + b"".join(rows), size=8)


def test_digests_are_as_long_as_fits() -> None:
    assert [size_for(spans) for spans in (1, 200, 400, MOST_SPANS)] == [8, 8, 4, 2]
    full = {span: {span * CHILDREN + n: Sum(1, n) for n in range(CHILDREN)} for span in range(MOST_SPANS)}
    assert len(encode_digests(full, nonce=b"n", size=2)) <= MAX_LIST_BYTES
    assert [size_for_rows(rows, 1000) for rows in (1000, 8000, 13_900)] == [8, 4, 2]


def test_what_only_one_side_has_differs() -> None:
    assert differing([1, 2, 3], {1: b"a", 2: b"b"}, {1: b"a", 2: b"c", 3: b"d"}) == [2, 3]
