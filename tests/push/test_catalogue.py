"""Catalogues on the wire: they come back as they were, and nothing but good rows comes in."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.columns import Table
from samesky.core.strict import Reason, Refused
from samesky.push.active_rows import choose_active
from samesky.push.bodies import compress
from samesky.push.building import BUILDING
from samesky.push.catalogue import (
    absent_ids,
    chosen_by_activity,
    decode_catalogue,
    digest_catalogue,
    encode_catalogue,
)
from samesky.push.model import ColumnModel, Model, TableModel, ValueKind

ROOM_TYPE = BUILDING.table("RoomType")
HOUSE = BUILDING.table("House")


def houses(*rows: tuple[object, ...]) -> Table:
    return Table.from_rows("House", HOUSE.wire, rows)


def room_types(*rows: tuple[object, ...]) -> Table:
    return Table.from_rows("RoomType", ROOM_TYPE.wire, rows)


GOOD = {
    "House": houses((1, 4, "1 High St", 1_300_000_000, None), (2, None, None, None, 1_400_000_000)),
    "RoomType": room_types((1, "Bedroom"), (2, "Küche")),
}


def document(**changes: object) -> bytes:
    entry = {
        "name": "RoomType",
        "count": 2,
        "columns": [["id", "integer"], ["name", "text"]],
        "values": [[1, 2], ["Bedroom", "Hall"]],
    }
    return json.dumps({"tables": [entry | changes]}).encode()


def reason_of(payload: bytes, **caps: int) -> Reason:
    with pytest.raises(Refused) as refused:
        decode_catalogue(payload, BUILDING, **caps)
    return refused.value.reason


def test_a_catalogue_comes_back_as_it_was_sent() -> None:
    catalogue = decode_catalogue(encode_catalogue(GOOD), BUILDING)
    assert dict(catalogue.tables) == GOOD
    assert list(catalogue.tables) == ["House", "RoomType"]
    assert catalogue.refused == ()


def test_equal_catalogues_are_equal_bytes() -> None:
    assert encode_catalogue(GOOD) == encode_catalogue(dict(GOOD))


def test_a_catalogue_that_is_not_compressed_is_taken_as_well() -> None:
    assert decode_catalogue(document(), BUILDING).tables["RoomType"].count == 2


def test_columns_come_in_the_models_order_whatever_order_they_were_sent_in() -> None:
    payload = document(columns=[["name", "text"], ["id", "integer"]], values=[["Bedroom", "Hall"], [1, 2]])
    assert decode_catalogue(payload, BUILDING).tables["RoomType"] == room_types((1, "Bedroom"), (2, "Hall"))


def test_integers_in_columns_of_doubles_become_floats() -> None:
    table = BUILDING.table("Sensor")
    rows = Table.from_rows("Sensor", table.wire, [(1, 2, 3, 1, None)])
    decoded = decode_catalogue(encode_catalogue({"Sensor": rows}), BUILDING).tables["Sensor"]
    assert repr(decoded.column("calibrationSlope")) == "[1.0]"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"\x1f\x8b\x08nothing", Reason.ENCODING),
        (compress(document())[:-3], Reason.ENCODING),
        (compress(document()) + b"more", Reason.ENCODING),
        ("é".encode("latin-1"), Reason.ENCODING),
        (document()[:-5], Reason.JSON),
        (b"[]", Reason.SHAPE),
        (b"[" * 100_000, Reason.DEPTH),
        (document(name="Room; DROP TABLE Room"), Reason.NAME),
        (document(name="Reading"), Reason.COLUMN),
        (document(name="Roof"), Reason.COLUMN),
        (document(columns=[["id", "integer"], ["colour", "text"]]), Reason.COLUMN),
        (document(columns=[["id", "integer"]], values=[[1, 2]]), Reason.COLUMN),
        (document(columns=[["id", "integer"], ["name", "integer"]], values=[[1, 2], [1, 2]]), Reason.TYPE),
        (document(columns=[["id", "integer"], ["ID", "integer"]]), Reason.DUPKEY),
        (document(values=[[1, None], None]), Reason.REQUIRED),
        (document(values=[[1, 2.5], None]), Reason.TYPE),
        (document(values=[[1, True], None]), Reason.TYPE),
        (document(values=[[1, 1], None]), Reason.DUPKEY),
        (document(values=[[1, 2**63], None]), Reason.RANGE),
        (document(values=[[1, 2], ["a", {}]]), Reason.TYPE),
        (document(values=[[1, 2], ["a", "\ud800"]]), Reason.ENCODING),
        (document(count=3), Reason.SHAPE),
    ],
)
def test_a_catalogue_that_is_wrong_as_a_whole_is_refused(payload: bytes, reason: Reason) -> None:
    assert reason_of(payload) is reason


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    assert reason_of(compress(b" " * 10_000_000), most_bytes=1 << 20) is Reason.BOMB
    assert reason_of(document(), most_bytes=10) is Reason.SIZE
    assert reason_of(document(), most_rows=1) is Reason.SIZE


@pytest.mark.parametrize(
    ("bad", "reason", "column"),
    [
        ((7, None, "x" * 256, None, None), Reason.SIZE, "address"),
        ((7, None, "a\0b", None, None), Reason.ENCODING, "address"),
        ((7, 2.5, None, None, None), Reason.TYPE, "deploymentId"),
        ((7, None, None, 10**12, None), Reason.RANGE, "startDate"),
        ((7, None, None, None, -(10**12)), Reason.RANGE, "endDate"),
    ],
)
def test_a_row_that_no_table_can_hold_is_refused_and_the_rest_goes_on(
    bad: tuple[object, ...], reason: Reason, column: str
) -> None:
    catalogue = decode_catalogue(encode_catalogue({"House": houses(bad, *GOOD["House"].rows())}), BUILDING)
    assert catalogue.tables["House"] == GOOD["House"]
    (refusal,) = catalogue.refused
    assert (refusal.table, refusal.site_id, refusal.reason) == ("House", 7, reason)
    assert column in refusal.words
    assert catalogue.ids("House") == {1, 2, 7}
    assert catalogue.ids("RoomType") == frozenset()


@pytest.mark.parametrize("flag", [2, -1])
def test_a_flag_is_0_or_1(flag: int) -> None:
    table = BUILDING.table("NodeType")
    values = {column.name: None for column in table.columns} | {"id": 1, "blink": flag}
    rows = Table.from_rows("NodeType", table.wire, [tuple(values.values())])
    assert decode_catalogue(encode_catalogue({"NodeType": rows}), BUILDING).refused[0].reason is Reason.RANGE


@given(st.permutations(list(GOOD["House"].rows())), st.permutations(["House", "RoomType"]))
def test_the_digest_does_not_depend_on_any_order(rows: list[tuple[object, ...]], names: list[str]) -> None:
    tables = GOOD | {"House": houses(*rows)}
    assert digest_catalogue(BUILDING, {name: tables[name] for name in names}) == digest_catalogue(BUILDING, GOOD)


def test_the_digest_depends_on_every_value() -> None:
    first, _ = GOOD["House"].rows()
    others = [
        GOOD | {"House": houses(first)},
        GOOD | {"House": houses(first, (2, None, "", None, 1_400_000_000))},
        GOOD | {"House": houses(first, (2, None, None, None, 1_400_000_001))},
        GOOD | {"House": houses(first, (2, None, None, 1_400_000_000, None))},
        {"RoomType": GOOD["RoomType"]},
        GOOD | {"Room": Table.from_rows("Room", BUILDING.table("Room").wire, [])},
    ]
    digests = {digest_catalogue(BUILDING, tables) for tables in [GOOD, *others]}
    assert len(digests) == 1 + len(others)


def test_the_digest_is_that_of_what_arrives() -> None:
    table = BUILDING.table("Sensor")
    sent = {"Sensor": Table.from_rows("Sensor", table.wire, [(1, 2, 3, 1, -0.0)])}
    arrived = decode_catalogue(encode_catalogue(sent), BUILDING).tables
    assert digest_catalogue(BUILDING, sent) == digest_catalogue(BUILDING, arrived)


def test_houses_and_what_is_in_them_are_chosen_by_activity_and_nodes_are_not() -> None:
    assert chosen_by_activity(BUILDING) == {"Deployment", "House", "Location", "Room", "RoomType"}


ACTIVITY = Model(
    "activity",
    tuple(
        TableModel(
            name=name,
            columns=tuple(ColumnModel(column, ValueKind.INTEGER) for column in ("id", *references, "end")),
            natural_key=("end",),
            references=references,
            active_until="end" if name in ("Trial", "Loan") else "",
            of_site=name in ("Logger", "Loan"),
        )
        for name, references in {
            "Owner": {},
            "Trial": {"owner": "Owner"},
            "Kind": {},
            "Note": {"trial": "Trial", "kind": "Kind"},
            "Remark": {"note": "Note"},
            "Logger": {"trial": "Trial", "kind": "Kind"},
            "Loan": {"logger": "Logger"},
        }.items()
    ),
)


def row_of(table: TableModel) -> Callable[[int], list[object]]:
    """A row with this id, and parents of the same id unless it's the site's own; two of three end before 250."""

    def make(id: int) -> list[object]:
        values = {"id": id, table.active_until: id * 100} | dict.fromkeys(
            table.references, None if table.of_site else id
        )
        return [values.get(name) for name in table.names]

    return make


@pytest.mark.parametrize("model", [BUILDING, ACTIVITY], ids=lambda model: model.name)
def test_a_table_that_is_not_chosen_by_activity_is_told_wholly(model: Model) -> None:
    ended = {
        table.name: Table.from_rows(table.name, table.wire, map(row_of(table), (1, 2, 3)))
        for table in model.dimensions()
    }
    told = choose_active(model, ended, 250)
    whole = {name for name in told if told[name].count == 3}
    assert {name for name in ended if name not in chosen_by_activity(model)} <= whole
    assert whole < set(ended)


def test_only_rows_of_a_table_that_is_sent_wholly_can_be_known_to_be_gone() -> None:
    assert absent_ids(BUILDING, BUILDING.table("SensorType"), {1: 5, 2: 6}, {1}) == {2}
    assert absent_ids(BUILDING, BUILDING.table("Room"), {1: 5, 2: 6}, {1}) == frozenset()
