"""Rows of a site find their rows at the centre: by the id they had, by natural key, or not at all."""

import time
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason
from samesky.push.building import BUILDING
from samesky.push.mapping import Adopt, Change, Create, TablePlan, plan_table, translate_references

ROOM_TYPE = BUILDING.table("RoomType")
ROOM = BUILDING.table("Room")
HOUSE = BUILDING.table("House")
LOCATION = BUILDING.table("Location")
NODE = BUILDING.table("Node")
SENSOR_TYPE = BUILDING.table("SensorType")

Rows = list[dict[str, object]]


def room_types(**names: str | None) -> Rows:
    """``i3="Kitchen"``: the row 3 is the kitchen."""
    return [{"id": int(key[1:]), "name": name} for key, name in names.items()]


def plan(
    rows: Rows, centre: Rows, known: Mapping[int, int], *, others: Collection[int] = (), **options: object
) -> TablePlan:
    return plan_table(ROOM_TYPE, rows, known=known, candidates=centre, used_by_others=frozenset(others), **options)


def reasons(made: TablePlan) -> dict[int, Reason]:
    return {refusal.site_id: refusal.reason for refusal in made.refused}


def work(made: TablePlan) -> list[object]:
    """All that is to be done."""
    return [*made.forgets, *made.changes, *made.creates, *made.adopts]


# ---------------------------------------------------------------------- references


def test_references_become_the_centres_ids_and_null_stays_null() -> None:
    rows = [
        {"id": 1, "houseId": 5, "roomId": None},
        {"id": 2, "houseId": 5, "roomId": 7},
    ]
    translated, refused = translate_references(LOCATION, rows, {"House": {5: 50}, "Room": {7: 70}})
    assert translated == [{"id": 1, "houseId": 50, "roomId": None}, {"id": 2, "houseId": 50, "roomId": 70}]
    assert refused == ()
    assert rows[0]["houseId"] == 5


def test_a_row_whose_parent_is_not_mapped_is_refused_and_the_others_go_on() -> None:
    rows = [{"id": 1, "houseId": 5, "roomId": 8}, {"id": 2, "houseId": 5, "roomId": None}]
    translated, refused = translate_references(LOCATION, rows, {"House": {5: 50}})
    assert [row["id"] for row in translated] == [2]
    assert [(each.table, each.site_id, each.reason) for each in refused] == [("Location", 1, Reason.PARENT)]
    assert "roomId is the Room 8" in refused[0].words


# ---------------------------------------------------------------------- the first time


def test_what_the_centre_lacks_is_created_without_the_sites_id() -> None:
    made = plan(room_types(i3="Kitchen"), [], {})
    assert made == TablePlan("RoomType", creates=(Create(3, {"name": "Kitchen"}),))


def test_equal_names_with_other_ids_are_the_same_row() -> None:
    made = plan(room_types(i1="Bedroom", i2="Kitchen"), room_types(i1="Kitchen", i2="Bedroom"), {})
    assert made.adopts == (Adopt(1, 2), Adopt(2, 1))
    assert not made.creates
    assert not made.changes


def test_null_in_a_natural_key_is_a_value() -> None:
    rows = [{"id": 1, "houseId": 5, "roomId": None}, {"id": 2, "houseId": 5, "roomId": 9}]
    there = [{"id": 30, "houseId": 5, "roomId": 9}, {"id": 31, "houseId": 5, "roomId": None}]
    assert plan_table(LOCATION, rows, known={}, candidates=there).adopts == (Adopt(1, 31), Adopt(2, 30))


def test_text_and_null_are_told_apart() -> None:
    made = plan(room_types(i1=None, i2="None"), room_types(i8="None"), {})
    assert made.adopts == (Adopt(2, 8),)
    assert [create.site_id for create in made.creates] == [1]


def test_an_adopted_row_is_changed_when_nobody_else_is_mapped_to_it() -> None:
    row = {"id": 1, "deploymentId": 4, "address": "1 High St", "startDate": 0, "endDate": 99}
    there = row | {"id": 6, "endDate": None}
    made = plan_table(HOUSE, [row], known={}, candidates=[there])
    assert made.adopts == (Adopt(1, 6),)
    assert made.changes == (Change(1, 6, {"endDate": None}, {"endDate": 99}),)


def test_an_adopted_row_that_others_use_stays_as_it_is_and_that_is_told() -> None:
    row = {"id": 1, "deploymentId": 4, "address": "1 High St", "startDate": 0, "endDate": 99}
    made = plan_table(HOUSE, [row], known={}, candidates=[row | {"id": 6, "endDate": None}], used_by_others={6})
    assert made.adopts == (Adopt(1, 6),)
    assert made.changes == ()
    assert reasons(made) == {1: Reason.SHARED}
    assert "endDate" in made.refused[0].words


def test_a_key_that_the_centre_has_twice_is_refused_and_the_rest_goes_on() -> None:
    made = plan(room_types(i1="Attic", i2="Hall"), room_types(i7="Attic", i8="Attic"), {})
    assert reasons(made) == {1: Reason.AMBIGUOUS}
    assert "the centre's rows 7 and 8" in made.refused[0].words
    assert [create.site_id for create in made.creates] == [2]


def test_a_key_that_the_site_has_twice_is_refused_and_the_rest_goes_on() -> None:
    made = plan(room_types(i1="Attic", i5="Attic", i2="Hall"), room_types(i7="Attic"), {})
    assert reasons(made) == {1: Reason.AMBIGUOUS, 5: Reason.AMBIGUOUS}
    assert "row 5 has the same name" in made.refused[0].words
    assert [create.site_id for create in made.creates] == [2]


def test_a_table_that_keeps_its_ids_needs_no_other_key() -> None:
    rows = [{"id": 69, "locationId": 3, "nodeTypeId": None}, {"id": 70, "locationId": None, "nodeTypeId": None}]
    there = [{"id": 69, "locationId": 2, "nodeTypeId": None}]
    made = plan_table(NODE, rows, known={69: 69}, candidates=there)
    assert made.changes == (Change(69, 69, {"locationId": 2}, {"locationId": 3}),)
    assert made.creates == (Create(70, {"id": 70, "locationId": None, "nodeTypeId": None}),)


# ---------------------------------------------------------------------- known rows


def test_a_known_row_that_did_not_change_is_the_same() -> None:
    assert plan(room_types(i3="Kitchen"), room_types(i8="Kitchen"), {3: 8}) == TablePlan("RoomType", same=1)


def test_an_integer_equals_the_double_that_a_database_made_of_it() -> None:
    row = {column.name: None for column in SENSOR_TYPE.columns} | {"id": 1, "name": "T", "c0": 1}
    assert plan_table(SENSOR_TYPE, [row], known={1: 1}, candidates=[row | {"c0": 1.0}]).same == 1


def test_a_renamed_row_is_renamed_at_the_centre() -> None:
    made = plan(room_types(i3="Loft"), room_types(i8="Attic"), {3: 8})
    assert made == TablePlan("RoomType", changes=(Change(3, 8, {"name": "Attic"}, {"name": "Loft"}),))


def test_a_row_that_another_site_uses_is_not_renamed() -> None:
    made = plan(room_types(i3="Loft"), room_types(i8="Attic"), {3: 8}, others={8})
    assert reasons(made) == {3: Reason.SHARED}
    assert work(made) == []


def test_a_row_renamed_to_what_the_centre_has_already_becomes_that_row() -> None:
    made = plan(room_types(i3="Kitchen"), room_types(i8="Kitchn", i9="Kitchen"), {3: 8}, others={8, 9})
    assert made == TablePlan("RoomType", forgets=(3,), adopts=(Adopt(3, 9),))


def test_an_id_given_to_something_new_is_not_a_renaming() -> None:
    made = plan(room_types(i3="Bath", i5="Kitchen"), room_types(i8="Kitchen"), {3: 8})
    assert made == TablePlan("RoomType", forgets=(3,), creates=(Create(3, {"name": "Bath"}),), adopts=(Adopt(5, 8),))


def test_two_rows_that_swap_their_names_swap_their_rows() -> None:
    made = plan(room_types(i3="Bath", i5="Kitchen"), room_types(i8="Kitchen", i9="Bath"), {3: 8, 5: 9})
    assert made == TablePlan("RoomType", forgets=(3, 5), adopts=(Adopt(3, 9), Adopt(5, 8)))


def test_of_two_rows_that_have_one_name_now_the_one_that_had_it_goes_on() -> None:
    made = plan(room_types(i3="Kitchen", i5="Kitchen"), room_types(i8="Kitchen", i9="Bath"), {3: 8, 5: 9})
    assert made.same == 1
    assert reasons(made) == {5: Reason.AMBIGUOUS}
    assert work(made) == []


def test_a_known_row_that_is_gone_from_the_centre_is_created_anew() -> None:
    made = plan(room_types(i3="Kitchen"), [], {3: 8})
    assert made == TablePlan("RoomType", forgets=(3,), creates=(Create(3, {"name": "Kitchen"}),))


def test_the_key_of_a_row_that_was_not_sent_is_not_given_to_another_row() -> None:
    made = plan(room_types(i5="Kitchen"), room_types(i8="Kitchen"), {3: 8})
    assert reasons(made) == {5: Reason.AMBIGUOUS}
    assert "row 3, which wasn't sent" in made.refused[0].words
    assert "--accept-renames" in made.refused[0].words


@pytest.mark.parametrize("option", [{"absent": {3}}, {"accept_renames": True}])
def test_the_key_of_a_row_that_is_gone_is_given_to_the_row_that_has_it_now(option: dict[str, object]) -> None:
    made = plan(room_types(i5="Kitchen"), room_types(i8="Kitchen"), {3: 8}, **option)
    assert made == TablePlan("RoomType", forgets=(3,), adopts=(Adopt(5, 8),))


def test_a_row_that_is_gone_without_a_follower_stays_mapped() -> None:
    assert plan([], room_types(i8="Kitchen"), {3: 8}, absent={3}) == TablePlan("RoomType")


def test_a_refused_row_whose_place_is_taken_is_no_longer_mapped_to_it() -> None:
    rows = room_types(i3="Attic", i4="Attic", i5="Kitchen")
    made = plan(rows, room_types(i8="Kitchen"), {3: 8})
    assert reasons(made) == {3: Reason.AMBIGUOUS, 4: Reason.AMBIGUOUS}
    assert made.forgets == (3,)
    assert made.adopts == (Adopt(5, 8),)


def test_of_two_rows_with_one_key_at_the_centre_the_site_goes_on_to_mean_the_one_it_meant() -> None:
    made = plan(room_types(i3="Bath", i5="Kitchen"), room_types(i8="Kitchen", i9="Kitchen"), {3: 9})
    assert made.adopts == (Adopt(5, 9),)
    assert [create.site_id for create in made.creates] == [3]


# ---------------------------------------------------------------------- another database


MANY = room_types(i1="A", i2="B", i3="C", i4="D", i5="E")
RENAMED = room_types(i1="V", i2="W", i3="X", i4="D", i5="E")
IDENTITY = {number: number for number in range(1, 6)}


def test_a_table_where_most_names_changed_at_once_is_taken_for_another_database() -> None:
    made = plan(RENAMED, MANY, IDENTITY)
    assert reasons(made) == dict.fromkeys(IDENTITY, Reason.ORIGIN)
    assert made.another_database
    assert "3 of the 5 rows" in made.refused[0].words
    assert work(made) == []


def test_most_names_may_change_at_once_when_the_user_says_so() -> None:
    made = plan(RENAMED, MANY, IDENTITY, accept_renames=True)
    assert [change.after for change in made.changes] == [{"name": "V"}, {"name": "W"}, {"name": "X"}]
    assert made.same == 2
    assert not made.another_database


def test_two_of_two_names_may_change_at_once() -> None:
    made = plan(room_types(i1="V", i2="W"), MANY, {1: 1, 2: 2})
    assert len(made.changes) == 2


def test_half_of_the_names_may_change_at_once() -> None:
    rows = room_types(i1="V", i2="W", i3="X", i4="D", i5="E", i6="F")
    assert len(plan(rows, [*MANY, {"id": 6, "name": "F"}], IDENTITY | {6: 6}).changes) == 3


def test_keys_that_change_only_with_their_parents_are_no_other_database() -> None:
    rows = [{"id": number, "roomTypeId": 2, "name": f"room {number}"} for number in range(1, 6)]
    there = [row | {"roomTypeId": 1} for row in rows]
    assert len(plan_table(ROOM, rows, known=IDENTITY, candidates=there).changes) == 5


# ---------------------------------------------------------------------- whatever happens


NAMES = st.sampled_from(["A", "B", "C", "D", None])
IDS = st.integers(1, 6)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Rows, Rows, dict[int, int], frozenset[int], dict[str, object]]:
    centre = draw(st.dictionaries(st.integers(10, 16), NAMES))
    rows = draw(st.dictionaries(IDS, NAMES))
    mapped = draw(st.lists(IDS, unique=True))
    known = dict(zip(mapped, draw(st.permutations(sorted(centre))), strict=False))
    others = draw(st.frozensets(st.sampled_from(sorted(centre)))) if centre else frozenset()
    options = {
        "absent": frozenset(known).difference(rows) if draw(st.booleans()) else frozenset(),
        "accept_renames": draw(st.booleans()),
    }
    as_rows = [[{"id": id, "name": name} for id, name in table.items()] for table in (rows, centre)]
    return as_rows[0], as_rows[1], known, others, options


def carry_out(made: TablePlan, centre: Rows, known: Mapping[int, int]) -> tuple[dict[int, object], dict[int, int]]:
    """The centre's names, and the map, after the plan was carried out as its documentation says."""
    names = {row["id"]: row["name"] for row in centre}
    after = {site_id: centre_id for site_id, centre_id in known.items() if site_id not in made.forgets}
    for change in made.changes:
        assert {"name": names[change.centre_id]} == change.before
        names[change.centre_id] = change.after["name"]
    for number, create in enumerate(made.creates, 100 + len(names)):
        assert create.site_id not in after
        after[create.site_id], names[number] = number, create.values["name"]
    for adopt in made.adopts:
        assert adopt.site_id not in after
        after[adopt.site_id] = adopt.centre_id
    return names, after


@given(situations())
def test_after_any_plan_every_row_is_refused_or_is_at_the_centre_as_it_is_at_the_site(situation) -> None:
    rows, centre, known, others, options = situation
    made = plan(rows, centre, known, others=others, **options)
    names, after = carry_out(made, centre, known)
    assert len(set(after.values())) == len(after), "two rows of a site became one"
    refused = reasons(made)
    for row in rows:
        assert row["id"] in refused or names[after[row["id"]]] == row["name"]
    for row in centre:
        assert row["id"] not in others or names[row["id"]] == row["name"], "a row of another site was changed"
    told = len(made.creates) + len(made.adopts) + made.same + len(made.refused)
    changed = {change.site_id for change in made.changes} - {adopt.site_id for adopt in made.adopts}
    assert told + len(changed) - len({adopt.site_id for adopt in made.adopts} & refused.keys()) == len(rows)


@given(situations())
def test_carrying_out_plans_comes_to_an_end(situation) -> None:
    rows, centre, known, others, options = situation
    for _ in range(3):
        made = plan(rows, centre, known, others=others, **options)
        names, known = carry_out(made, centre, known)
        centre = [{"id": id, "name": name} for id, name in names.items()]
    made = plan(rows, centre, known, others=others, **options)
    assert work(made) == []


def test_very_many_rows_with_one_name_take_no_longer_than_as_many_others() -> None:
    rows = [{"id": number, "name": "Bed"} for number in range(20_000)]
    there = [{"id": number, "name": "Bed"} for number in range(20_000)]
    start = time.process_time()
    made = plan(rows, there, {})
    assert time.process_time() - start < 2
    assert len(made.refused) == 20_000
    assert made.refused[0].words == "the site's rows 1, 2 and 3 … have the same name: make them differ, or remove one"
