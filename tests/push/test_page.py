"""Pages of readings on the wire: exact, bounded, and with every bad row named."""

import json
import time
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.columns import Table
from samesky.core.strict import Reason, Refused
from samesky.push.bodies import compress, expand
from samesky.push.building import BUILDING
from samesky.push.model import ColumnModel, TableModel, ValueKind
from samesky.push.page import MOST_FAULTS, FaultyPage, check_page, decode_page, encode_page

READING = BUILDING.table("Reading")
NOW = 1_800_000_000.5
FIRST = 1_700_000_000
NOTE = TableModel(
    name="Note",
    columns=(
        ColumnModel("time", ValueKind.TIME),
        ColumnModel("nodeId", ValueKind.INTEGER),
        ColumnModel("seen", ValueKind.TIME),
        ColumnModel("text", ValueKind.TEXT, 10),
        ColumnModel("sure", ValueKind.FLAG),
        ColumnModel("share", ValueKind.DOUBLE, required=True),
    ),
    key=("time", "nodeId"),
    append_only=True,
    of_site=True,
)
GOOD_NOTE = (FIRST, 1, None, None, None, 0.5)


def page(*rows: tuple[object, ...], table: TableModel = READING) -> Table:
    return Table.from_rows(table.name, table.wire, rows)


def decode(payload: bytes, table: TableModel = READING, **caps: int) -> Table:
    return decode_page(payload, table, now=NOW, **caps)


def document(**changes: object) -> bytes:
    entry = {
        "name": "Reading",
        "count": 2,
        "columns": [[column.name, column.kind] for column in READING.wire],
        "values": [[FIRST, FIRST], [1, 2], [3, 3], None, [20.5, None]],
    }
    return json.dumps({"tables": [entry | changes]}).encode()


def reason_of(payload: bytes, **caps: int) -> Reason:
    with pytest.raises(Refused) as refused:
        decode(payload, **caps)
    assert not isinstance(refused.value, FaultyPage)
    return refused.value.reason


def faults_of(*rows: tuple[object, ...], table: TableModel = READING) -> list[tuple[int, str, Reason]]:
    with pytest.raises(FaultyPage) as faulty:
        check_page(table, page(*rows, table=table), now=NOW)
    return [(fault.row, fault.column, fault.reason) for fault in faulty.value.faults]


# ---------------------------------------------------------------------- there and back


TIMES = st.integers(31_536_000, int(NOW) + 3600)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
ROWS = st.tuples(
    TIMES,
    INTEGERS,
    INTEGERS,
    st.none() | INTEGERS,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.lists(ROWS, max_size=20, unique_by=lambda row: row[:3]))
def test_a_page_comes_back_exactly_as_it_was_sent(rows: list[tuple[object, ...]]) -> None:
    sent = page(*rows)
    assert repr(decode(encode_page(sent))) == repr(sent)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10), max_size=10))
def test_texts_come_back_as_they_are_spelled(texts: list[str]) -> None:
    sent = page(*((FIRST + place, 1, None, text, 1, 0.5) for place, text in enumerate(texts)), table=NOTE)
    assert decode(encode_page(sent), NOTE) == sent


def test_a_page_is_equal_bytes_each_time() -> None:
    sent = page((FIRST, 1, 2, 3, 4.5))
    assert encode_page(sent) == encode_page(replace(sent))


def test_a_page_of_ordinary_readings_takes_less_than_four_bytes_a_row() -> None:
    rows = [
        (FIRST + place // 20 * 5, 1 + place % 20 // 4, place % 4, 7, 20 + place % 97 / 100) for place in range(5000)
    ]
    assert len(encode_page(page(*rows))) < 4 * len(rows)


def test_a_page_that_is_not_compressed_is_taken_as_well() -> None:
    assert decode(document()).count == 2


def test_columns_come_in_the_models_order_whatever_order_they_were_sent_in() -> None:
    columns = [[column.name, column.kind] for column in reversed(READING.wire)]
    values = [[20.5, None], None, [3, 3], [1, 2], [FIRST, FIRST]]
    assert decode(document(columns=columns, values=values)) == decode(document())


def test_of_a_key_that_is_twice_in_a_page_the_last_row_counts() -> None:
    sent = page((FIRST, 1, 2, 3, 1.0), (FIRST, 1, 3, 3, 2.0), (FIRST, 1, 2, 4, 3.0))
    assert list(decode(encode_page(sent)).rows()) == [(FIRST, 1, 3, 3, 2.0), (FIRST, 1, 2, 4, 3.0)]


def test_integers_in_a_column_of_doubles_arrive_as_floats() -> None:
    arrived = decode(encode_page(page((FIRST, 1, 2, 3, 4), (FIRST, 1, 3, 3, None), (FIRST, 1, 4, 3, 0.5))))
    assert repr(arrived.column("value")) == "[4.0, None, 0.5]"


def test_an_empty_page_is_a_page() -> None:
    assert decode(encode_page(page())).count == 0


def test_what_cannot_travel_is_told_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="column value"):
        encode_page(page((FIRST, 1, 2, 3, float("nan"))))
    assert faults_of((FIRST, 1, 2, 3, float("nan"))) == [(0, "value", Reason.NONFINITE)]


# ---------------------------------------------------------------------- a bad page


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.EMPTY),
        (compress(b""), Reason.EMPTY),
        (document().decode().encode("utf-16"), Reason.ENCODING),
        (document()[:-7], Reason.JSON),
        (b"[1, 2]", Reason.SHAPE),
        (b"42", Reason.SHAPE),
        (b'{"tables":[]}', Reason.SHAPE),
        (b'{"tables":' + b"[" * 100_000, Reason.DEPTH),
        (b'{"tables":[],"tables":[]}', Reason.DUPKEY),
        (document(values=[[FIRST, FIRST], [1, 2], [3, 3], None, [float("nan"), 1]]), Reason.NONFINITE),
        (document().replace(b"20.5", b"1e999"), Reason.NONFINITE),
        (document(values=[[FIRST, FIRST], [1, 2], [3, 2**63], None, None]), Reason.RANGE),
        (document().replace(b"20.5", b"9" * 5000), Reason.RANGE),
        (compress(document())[:-1], Reason.ENCODING),
        (compress(document()) + b"\0", Reason.ENCODING),
        (zlib.compress(document()), Reason.ENCODING),
        (document(name="NodeState"), Reason.SHAPE),
        (document(name="Reading; DROP"), Reason.NAME),
        (document(columns=[["time", "integer"], ["value; DROP", "real"]]), Reason.NAME),
        (document(count=1), Reason.SHAPE),
        (document(count=10**9), Reason.SIZE),
        (document(values=[["a", "b"], [1, 2], [3, 3], None, None]), Reason.TYPE),
        (document(values=[[True, True], [1, 2], [3, 3], None, None]), Reason.TYPE),
        (document(values=[[{}, []], [1, 2], [3, 3], None, None]), Reason.TYPE),
        (document(extra=1), Reason.SHAPE),
    ],
)
def test_a_page_that_is_wrong_as_a_whole_is_refused(payload: bytes, reason: Reason) -> None:
    assert reason_of(payload) is reason


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ([["time", "integer"]], Reason.COLUMN),
        ([["time", "integer"], ["nodeId", "integer"], ["kind", "integer"]], Reason.COLUMN),
        ([["time", "integer"], ["nodeId", "real"]], Reason.TYPE),
        ([["time", "integer"], ["TIME", "integer"]], Reason.DUPKEY),
        ([["time", "blob"]], Reason.SHAPE),
    ],
)
def test_a_page_must_have_the_tables_columns(columns: list[list[str]], reason: Reason) -> None:
    assert reason_of(document(columns=columns, values=[[1, 2]] * len(columns))) is reason


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    bomb = compress(b" " * 50_000_000)
    start = time.process_time()
    assert reason_of(bomb, most_bytes=1 << 20) is Reason.BOMB
    assert time.process_time() - start < 0.1


def test_a_page_may_be_as_large_as_the_caller_says() -> None:
    assert reason_of(document(), most_bytes=100) is Reason.SIZE
    assert reason_of(document(), most_rows=1) is Reason.SIZE
    assert expand(document(), most_bytes=len(document())) == document()


@given(st.binary(max_size=200) | st.binary(max_size=200).map(compress))
def test_whatever_the_bytes_are_nothing_but_a_refusal_is_raised(payload: bytes) -> None:
    with pytest.raises(Refused):
        decode(payload)


@given(st.integers(0, 500), st.integers(0, 255))
def test_a_page_with_one_changed_byte_is_refused_or_has_sound_values(place: int, byte: int) -> None:
    payload = bytearray(document())
    payload[place % len(payload)] = byte
    try:
        arrived = decode(bytes(payload))
    except Refused:
        return
    assert arrived.columns == READING.wire


# ---------------------------------------------------------------------- bad rows


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ((None, 1, 2, 3, 4.0), "time", Reason.REQUIRED),
        ((FIRST, None, 2, 3, 4.0), "nodeId", Reason.REQUIRED),
        ((int(NOW) + 3601, 1, 2, 3, 4.0), "time", Reason.FUTURE),
        ((FIRST * 1000, 1, 2, 3, 4.0), "time", Reason.FUTURE),
        ((0, 1, 2, 3, 4.0), "time", Reason.PAST),
        ((-5, 1, 2, 3, 4.0), "time", Reason.PAST),
        ((FIRST + 0.5, 1, 2, 3, 4.0), "time", Reason.TYPE),
        ((FIRST, 1.5, 2, 3, 4.0), "nodeId", Reason.TYPE),
        ((FIRST, 1, 2, 3.0, 4.0), "locationId", Reason.TYPE),
        ((FIRST, 1, 2, 2**63, 4.0), "locationId", Reason.RANGE),
        ((FIRST, 1, 2, 3, float("inf")), "value", Reason.NONFINITE),
        ((FIRST, 1, 2, 3, 2**53 + 1), "value", Reason.RANGE),
        ((FIRST, 1, 2, 3, 10**400), "value", Reason.RANGE),
        ((FIRST, 1, 2, 3, "4"), "value", Reason.TYPE),
        ((FIRST, 1, 2, 3, True), "value", Reason.TYPE),
    ],
)
def test_a_bad_reading_is_named_by_row_and_column(row: tuple[object, ...], column: str, reason: Reason) -> None:
    assert faults_of((FIRST, 1, 2, 3, 4.0), row, (FIRST, 1, 2, None, None)) == [(1, column, reason)]


@pytest.mark.parametrize(
    ("changes", "column", "reason"),
    [
        ({2: 10**12}, "seen", Reason.RANGE),
        ({3: "x" * 11}, "text", Reason.SIZE),
        ({3: "a\0b"}, "text", Reason.ENCODING),
        ({3: "\udc00"}, "text", Reason.ENCODING),
        ({3: 5}, "text", Reason.TYPE),
        ({4: 2}, "sure", Reason.RANGE),
        ({5: None}, "share", Reason.REQUIRED),
    ],
)
def test_other_kinds_of_values_have_their_bounds_as_well(
    changes: dict[int, object], column: str, reason: Reason
) -> None:
    bad = tuple(changes.get(place, value) for place, value in enumerate(GOOD_NOTE))
    assert faults_of(GOOD_NOTE, bad, table=NOTE) == [(1, column, reason)]


def test_values_at_their_bounds_are_taken() -> None:
    notes = [
        (int(NOW) + 3600, 2**63 - 1, 0, "é" * 10, 0, 0.0),
        (31_536_000, -(2**63), -30_610_224_000, "", 1, 1.7e308),
        (31_536_001, 0, 253_402_300_799, None, None, -1.7e308),
    ]
    assert check_page(NOTE, page(*notes, table=NOTE), now=NOW).count == 3


def test_all_bad_rows_are_named_at_once_in_their_order() -> None:
    bad = [(0, 1, 2, 3, 4.0), (FIRST, 1, 2, 3, 4.0), (FIRST, None, 2, 3, float("inf"))]
    assert faults_of(*bad) == [
        (0, "time", Reason.PAST),
        (2, "nodeId", Reason.REQUIRED),
        (2, "value", Reason.NONFINITE),
    ]


def test_of_very_many_bad_rows_the_first_are_named() -> None:
    faults = faults_of(*((0, number, None, 3, 4.0) for number in range(1000)))
    assert len(faults) == MOST_FAULTS
    assert faults[-1][0] == MOST_FAULTS // 2 - 1


def test_a_faulty_page_is_refused_by_the_reason_of_its_first_fault_without_its_values() -> None:
    with pytest.raises(FaultyPage) as faulty:
        decode(encode_page(page((FIRST, 1, 2, 3, 4.0), (12345, 1, 2, 3, 4.0))))
    assert faulty.value.reason is Reason.PAST
    assert str(faulty.value) == "table Reading, row 1, column time: the time is before 1971"
    assert faulty.value.faults[0].as_dict() == {
        "row": 1,
        "column": "time",
        "reason": "past",
        "words": "the time is before 1971",
    }
