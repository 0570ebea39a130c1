"""What the centre answers to a catalogue: on the wire, and for a person."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.push.building import BUILDING
from samesky.push.catalogue import CataloguePlan
from samesky.push.catalogue_plan import MOST_TOLD, TableOutcome
from samesky.push.mapping import Adopt, Change, Create, Refusal, TablePlan

PLANS = [
    TablePlan(
        "House",
        changes=(Change(1, 10, {"endDate": None}, {"endDate": 1_356_998_400}),),
        creates=(Create(2, {"address": "1 High St", "deploymentId": None, "startDate": None, "endDate": None}),),
        same=3,
    ),
    TablePlan("RoomType", adopts=(Adopt(1, 7),), refused=(Refusal("RoomType", 2, Reason.AMBIGUOUS, "twice there"),)),
    TablePlan("Node", creates=(Create(69, {"id": 69, "locationId": None, "nodeTypeId": None}),)),
]
REFUSED_BEFORE = [Refusal("Location", 4, Reason.PARENT, "its roomId is the Room 8")]


def answer(**options: object) -> CataloguePlan:
    return CataloguePlan.of(BUILDING, PLANS, refused=REFUSED_BEFORE, **options)


def test_the_answer_counts_what_is_done_in_each_table_parents_first() -> None:
    counts = [
        (table.table, table.created, table.changed, table.adopted, table.same, table.refused_count)
        for table in answer().tables
    ]
    assert counts == [
        ("House", 1, 1, 0, 3, 0),
        ("RoomType", 0, 0, 1, 0, 1),
        ("Location", 0, 0, 0, 0, 1),
        ("Node", 1, 0, 0, 0, 0),
    ]


def test_a_person_reads_what_would_be_done_row_by_row() -> None:
    assert answer(dry_run=True).describe() == [
        "House: 1 to create, 1 to change, 3 the same",
        "  House 2 is new: address: '1 High St', deploymentId: NULL",
        "  House 1 changes endDate: NULL → 2013-01-01T00:00:00",
        "RoomType: 1 found at the centre, 1 refused",
        "  RoomType 1 is the centre's 7",
        "  refused (ambiguous): RoomType 2: twice there",
        "Location: 1 refused",
        "  refused (parent): Location 4: its roomId is the Room 8",
        "Node: 1 to create",
        "  Node 69 is new",
    ]


def test_who_only_wants_the_counts_reads_what_was_refused_all_the_same() -> None:
    assert answer().describe(rows=False) == [
        "House: 1 created, 1 changed, 3 the same",
        "RoomType: 1 found at the centre, 1 refused",
        "  refused (ambiguous): RoomType 2: twice there",
        "Location: 1 refused",
        "  refused (parent): Location 4: its roomId is the Room 8",
        "Node: 1 created",
    ]


def test_of_very_many_rows_the_first_are_told_and_the_others_counted() -> None:
    many = TablePlan(
        "RoomType",
        creates=tuple(Create(number, {"name": "x" * 20}) for number in range(500)),
        refused=tuple(Refusal("RoomType", number, Reason.SHARED, "…") for number in range(500, 800)),
    )
    plan = CataloguePlan.of(BUILDING, [many])
    lines = plan.describe()
    assert lines[0] == "RoomType: 500 created, 300 refused"
    assert f"  … and {500 - MOST_TOLD} more" in lines
    assert lines[-1] == f"  … and {300 - MOST_TOLD} more are refused"
    assert CataloguePlan.from_dict(plan.as_dict()) == plan


def test_a_catalogue_is_taken_wholly_when_nothing_was_refused() -> None:
    assert not answer().taken_wholly
    assert CataloguePlan.of(BUILDING, PLANS[:1]).taken_wholly
    assert CataloguePlan.of(BUILDING, []).taken_wholly


def test_a_table_of_another_database_is_told() -> None:
    plan = CataloguePlan.of(BUILDING, [TablePlan("Room", refused=(Refusal("Room", 1, Reason.ORIGIN, "3 of 5"),))])
    assert plan.another_database == ("Room",)
    assert plan.dry_run, "something may be done though most is refused"
    assert answer().another_database == ()


COUNTS = st.integers(0, 10**6)
REFUSALS = st.tuples(st.integers(), st.sampled_from(Reason), st.text(max_size=50))


@st.composite
def outcomes(draw: st.DrawFn) -> TableOutcome:
    table = draw(st.sampled_from([table.name for table in BUILDING.dimensions()]))
    refused = tuple(Refusal(table, *each) for each in draw(st.lists(REFUSALS, max_size=3)))
    notes = tuple(draw(st.lists(st.text(max_size=50), max_size=3)))
    return TableOutcome(table, *(draw(COUNTS) for _ in range(5)), refused, notes)


@given(st.lists(outcomes(), max_size=4), st.booleans())
def test_an_answer_comes_back_as_it_was_sent(tables: list[TableOutcome], dry_run: bool) -> None:
    plan = CataloguePlan(tuple(tables), dry_run)
    assert CataloguePlan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


def test_an_answer_may_say_more_than_is_known_here() -> None:
    more = answer().as_dict() | {"weather": "fine"}
    assert CataloguePlan.from_dict(more) == answer()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"dry_run": 1, "tables": []},
        {"dry_run": True, "tables": {}},
        {"dry_run": True, "tables": [5]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"created": -1}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"same": True}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"notes": [1]}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"notes": ["x"] * 101}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"notes": ["x" * 1001]}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"refused": [[1, "shared"]]}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"refused": [["1", "shared", "x"]]}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"refused": [[1, "whim", "x"]]}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict() | {"table": 5}]},
        {"dry_run": True, "tables": [TableOutcome("Room").as_dict()] * 257},
    ],
)
def test_what_is_no_answer_is_refused(wrong: object) -> None:
    with pytest.raises(Refused):
        CataloguePlan.from_dict(wrong)
