"""What addresses of lists mean: conditions, order, and parts of lists."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.push.building import BUILDING
from samesky.push.model import ColumnModel, TableModel, ValueKind
from samesky.push.rest_query import Condition, Items, Order, decode_query, decode_range

READING, LOCATION, SENSOR_TYPE = (BUILDING.table(name) for name in ("Reading", "Location", "SensorType"))
ODD = TableModel(
    name="Odd",
    columns=tuple(
        ColumnModel(name, kind)
        for name, kind in (
            ("id", ValueKind.INTEGER),
            ("seq_num", ValueKind.INTEGER),
            ("le_time", ValueKind.INTEGER),
            ("time", ValueKind.TIME),
            ("first_name", ValueKind.TEXT),
            ("value", ValueKind.DOUBLE),
            ("on", ValueKind.FLAG),
        )
    ),
)


def conditions(query: str, table: TableModel = ODD) -> tuple[Condition, ...]:
    return decode_query(query.encode(), table).conditions


def refusal(query: bytes, table: TableModel = ODD) -> Reason:
    with pytest.raises(Refused) as refused:
        decode_query(query, table)
    return refused.value.reason


def test_a_column_and_a_value_mean_equality() -> None:
    assert conditions("nodeId=69", READING) == (Condition("nodeId", "eq", 69),)


@pytest.mark.parametrize("comparison", ["le", "lt", "ge", "gt"])
def test_a_prefix_compares(comparison: str) -> None:
    query = f"{comparison}_time=2026-01-01T00:00:00"
    assert conditions(query, READING) == (Condition("time", comparison, 1_767_225_600),)


def test_the_prefix_ends_at_the_first_underscore_whatever_follows() -> None:
    assert conditions("ge_seq_num=3") == (Condition("seq_num", "ge", 3),)
    assert conditions("seq_num=3") == (Condition("seq_num", "eq", 3),)


def test_a_column_that_looks_like_a_prefix_is_a_column() -> None:
    assert conditions("le_time=3") == (Condition("le_time", "eq", 3),)
    assert conditions("le_le_time=3") == (Condition("le_time", "le", 3),)


@pytest.mark.parametrize("value", ["le_a_b", "a_b_c", "_", "null_", "x=y", "ge_time", " a ", "ü", "%", "nulls"])
def test_values_are_never_cut(value: str) -> None:
    assert conditions(f"first_name={quote(value)}") == (Condition("first_name", "eq", value),)


@pytest.mark.parametrize("value", ["", "null", "None"])
def test_no_value_null_and_the_seeds_none_mean_null(value: str) -> None:
    assert conditions(f"roomId={value}&houseId=1", LOCATION) == (
        Condition("roomId", "eq", None),
        Condition("houseId", "eq", 1),
    )


def test_none_is_a_text_like_any_other_in_a_column_of_texts() -> None:
    assert conditions("name=None", SENSOR_TYPE) == (Condition("name", "eq", "None"),)
    assert conditions("name=null", SENSOR_TYPE) == (Condition("name", "eq", None),)


def test_conditions_on_one_column_add_up() -> None:
    assert [each.comparison for each in conditions("ge_value=1&lt_value=2.5")] == ["ge", "lt"]


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("on=true", 1),
        ("on=0", 0),
        ("value=-1.5e3", -1500.0),
        ("value=.5", 0.5),
        ("id=-9223372036854775808", -(1 << 63)),
        ("time=2026-01-31", 1_769_817_600),
        ("time=2026-01-31%2023:59:59", 1_769_903_999),
        ("time=2026-01-31T23:59:59Z", 1_769_903_999),
    ],
)
def test_values_are_of_the_columns_kind(query: str, value: object) -> None:
    assert conditions(query)[0].value == value


@pytest.mark.parametrize(
    "query",
    [
        b"id=abc",
        b"id=1.5",
        b"id=1_0",
        b"id=9223372036854775808",
        b"id=" + b"9" * 5000,
        b"id=%D9%A3",
        b"value=nan",
        b"value=inf",
        b"value=1e999",
        b"value=0x10",
        b"time=yesterday",
        b"time=2026-02-30T00:00:00",
        b"time=1700000000",
        b"time=2026-01-01T00:00:00%2B01:00",
        b"time=2026-01-01T00:00:00.5",
        b"on=maybe",
        b"le_value=",
        b"gt_value=null",
        b"first_name=%00",
        b"&".join([b"id=1"] * 51),
    ],
)
def test_other_values_are_a_bad_request(query: bytes) -> None:
    assert refusal(query) is Reason.BAD_REQUEST


@pytest.mark.parametrize("query", [b"nodeid=1", b"x=1", b"eq_id=1", b"le_=1", b"=1", b"__table__=x", b"id;drop=1"])
def test_a_column_that_is_not_there_is_refused_and_never_left_out(query: bytes) -> None:
    assert refusal(query) is Reason.COLUMN


@pytest.mark.parametrize("query", [b"first_name=%ff", b"first_name=\xff", b"first_name=%ed%a0%80"])
def test_what_is_not_utf8_is_refused(query: bytes) -> None:
    assert refusal(query) is Reason.ENCODING


def test_sort_names_columns_with_a_minus_for_the_other_way() -> None:
    query = decode_query(b"sort=-time&sort=nodeId,value", READING)
    assert query.order == (Order("time", True), Order("nodeId", False), Order("value", False))
    assert refusal(b"sort=--id") is Reason.COLUMN
    assert refusal(b"sort=") is Reason.COLUMN


def test_a_table_may_have_further_columns() -> None:
    site = ColumnModel("siteId", ValueKind.INTEGER)
    assert decode_query(b"siteId=2", READING, extra=(site,)).conditions == (Condition("siteId", "eq", 2),)
    assert refusal(b"siteId=2", READING) is Reason.COLUMN


@pytest.mark.parametrize(
    ("header", "items"),
    [
        (b"items=0-99", Items(0, 99)),
        (b"items=5-5", Items(5, 5)),
        (b"Items = 10-", Items(10, None)),
        (b"bytes=0-99", None),
        (b"nonsense", None),
        (None, None),
    ],
)
def test_a_range_is_a_part_of_the_list(header: bytes | None, items: Items | None) -> None:
    assert decode_range(header) == items


@pytest.mark.parametrize(
    "header", [b"items=abc", b"items=-1", b"items=5-4", b"items=1-2,4-5", b"items=" + b"9" * 31 + b"-", b"items=0-1e3"]
)
def test_another_range_of_items_is_a_bad_request(header: bytes) -> None:
    with pytest.raises(Refused) as refused:
        decode_range(header)
    assert refused.value.reason is Reason.BAD_REQUEST


@given(st.binary(max_size=80))
def test_nothing_but_refusals_comes_out(query: bytes) -> None:
    for part in (query, b"first_name=" + query, b"value=" + query, b"time=" + query, b"sort=" + query):
        try:
            decode_query(part, ODD)
        except Refused:
            pass


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_every_text_can_be_looked_for(text: str) -> None:
    wanted = None if text == "null" else text
    assert conditions(f"first_name={quote(text, safe='')}") == (Condition("first_name", "eq", wanted),)
