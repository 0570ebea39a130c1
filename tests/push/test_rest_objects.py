"""Rows as JSON objects, and their keys in addresses."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.push.building import BUILDING
from samesky.push.page import FaultyPage
from samesky.push.rest_objects import decode_key, decode_object, decode_objects, encode_key, encode_object

NOW = 1_800_000_000.0
READING, NODE, NODE_TYPE, HOUSE = (BUILDING.table(name) for name in ("Reading", "Node", "NodeType", "House"))
OBJECT = {
    "__table__": "Reading",
    "time": "2023-11-15T00:00:00",
    "nodeId": 69,
    "type": 1,
    "locationId": 1,
    "value": 21.5,
}


def reason(document: object, table: str = "Reading") -> Reason:
    with pytest.raises(Refused) as refused:
        decode_object(document, BUILDING.table(table), now=NOW)
    return refused.value.reason


@given(
    st.integers(31_536_000, int(NOW)),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_row_comes_back_as_it_went(time_s: int, node: int, value: float | None) -> None:
    row = (time_s, node, 1, None, value)
    given_back = decode_object(encode_object(READING, row), READING, now=NOW)
    assert tuple(given_back.values.values()) == row
    assert given_back.site is None


def test_an_object_has_all_columns_and_its_table_and_times_as_people_write_them() -> None:
    row = (5, "Base", 1_700_006_400, None, 2, 300, 1, "yes")
    assert encode_object(NODE_TYPE, row) == {
        "__table__": "NodeType",
        "id": 5,
        "name": "Base",
        "time": "2023-11-15T00:00:00",
        "seq": None,
        "updated_seq": 2,
        "period": 300,
        "blink": True,
        "configured": "yes",
    }


def test_an_object_may_tell_its_site() -> None:
    told = encode_object(NODE, (69, 1, None), site=3)
    assert told == {"__table__": "Node", "siteId": 3, "id": 69, "locationId": 1, "nodeTypeId": None}
    assert decode_object(told, NODE, now=NOW).site == 3


def test_columns_that_are_not_given_are_null_and_known_not_to_be_given() -> None:
    house = decode_object({"address": "Hill Farm"}, HOUSE, now=NOW)
    assert house.values == {
        "id": None,
        "deploymentId": None,
        "address": "Hill Farm",
        "startDate": None,
        "endDate": None,
    }
    assert house.named == {"address"}


def test_integers_become_floats_where_doubles_are_kept() -> None:
    value = decode_object(OBJECT | {"value": 3}, READING, now=NOW).values["value"]
    assert (value, type(value)) == (3.0, float)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"color": 1}, Reason.COLUMN),
        ({"value; DROP TABLE Reading": 1}, Reason.COLUMN),
        ({"__table__": "Node"}, Reason.SHAPE),
        ({"value": "21.5"}, Reason.TYPE),
        ({"value": True}, Reason.TYPE),
        ({"value": {"$binary": "AAAA"}}, Reason.TYPE),
        ({"value": math.inf}, Reason.NONFINITE),
        ({"nodeId": 1.0}, Reason.TYPE),
        ({"nodeId": 1 << 63}, Reason.RANGE),
        ({"nodeId": None}, Reason.REQUIRED),
        ({"time": 1_700_006_400}, Reason.TYPE),
        ({"time": "1970-01-01T00:00:00"}, Reason.PAST),
        ({"time": "2027-01-15T10:00:00"}, Reason.FUTURE),
        ({"siteId": "1"}, Reason.TYPE),
        ({"siteId": True}, Reason.TYPE),
        ({"siteId": None}, Reason.TYPE),
    ],
)
def test_what_no_row_can_be_is_refused(members: dict[str, object], expected: Reason) -> None:
    assert reason(OBJECT | members) is expected


def test_a_table_of_no_site_has_no_site() -> None:
    assert reason({"name": "Attic", "siteId": 1}, "RoomType") is Reason.TYPE


@pytest.mark.parametrize(
    ("text", "expected"), [("x" * 256, Reason.SIZE), ("a\0b", Reason.ENCODING), ("\ud800", Reason.ENCODING)]
)
def test_texts_fit_their_column(text: str, expected: Reason) -> None:
    assert reason({"address": text}, "House") is expected


@pytest.mark.parametrize("document", [[], 5, None, "x"])
def test_what_is_no_object_has_the_wrong_shape(document: object) -> None:
    assert reason(document) is Reason.SHAPE


def test_faults_of_a_list_are_told_by_their_place_in_it() -> None:
    node = {"__table__": "Node", "id": 69}
    with pytest.raises(FaultyPage) as faulty:
        decode_objects([node, OBJECT, node, OBJECT | {"value": "x"}], BUILDING, now=NOW, most=10)
    assert [(fault.row, fault.column) for fault in faulty.value.faults] == [(3, "value")]
    with pytest.raises(FaultyPage) as faulty:
        decode_objects([node, OBJECT | {"time": "noon"}], BUILDING, now=NOW, most=10)
    assert [(fault.row, fault.column) for fault in faulty.value.faults] == [(1, "time")]


def test_a_list_is_of_objects_that_name_their_table_and_not_too_long() -> None:
    for wrong in ({}, [{}], [{"__table__": "Nowhere"}], [{"__table__": ["Node"]}], [5]):
        with pytest.raises(Refused) as refused:
            decode_objects(wrong, BUILDING, now=NOW, most=10)
        assert refused.value.reason is Reason.SHAPE
    with pytest.raises(Refused) as refused:
        decode_objects([OBJECT] * 11, BUILDING, now=NOW, most=10)
    assert refused.value.reason is Reason.SIZE


def test_keys_in_addresses_come_back_as_they_went() -> None:
    values = {"time": 1_700_006_400, "nodeId": 69, "type": -1}
    assert encode_key(READING, values) == "2023-11-15T00:00:00,69,-1"
    assert decode_key("2023-11-15T00:00:00,69,-1", READING) == values
    assert decode_key("0", NODE) == {"id": 0}


@pytest.mark.parametrize("text", ["", "abc", "1,2", "--1", "-", "1.0", "٣", "9" * 31, "9223372036854775808", "../x"])
def test_an_address_that_is_no_key_is_a_bad_request(text: str) -> None:
    with pytest.raises(Refused) as refused:
        decode_key(text, NODE)
    assert refused.value.reason is Reason.BAD_REQUEST
