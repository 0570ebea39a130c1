"""Ids of a site and of its centre: translated by whole columns, there and back, nothing guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.push.building import BUILDING
from samesky.push.id_maps import IdMaps, MissingParents, translate_to_centre, translate_to_site
from stands.push_centre import DAY, make_page

READING = BUILDING.table("Reading")
MAPS = IdMaps("1", {"Node": {69: 69, 70: 70}, "SensorType": {0: 11, 2: 10, 10: 2}, "Location": {1: 5}})
ROWS = st.lists(
    st.tuples(
        st.integers(DAY, DAY + 99),
        st.sampled_from([69, 70]),
        st.sampled_from([0, 2, 10]),
        st.sampled_from([1, None]),
        st.floats(allow_nan=False),
    )
)


def test_every_reference_gets_the_centres_id_and_null_stays_null() -> None:
    page = make_page([(DAY, 69, 0, 1, 1.0), (DAY, 70, 2, None, None), (DAY, 70, 10, 1, 2.0)])
    assert translate_to_centre(READING, page, MAPS) == [
        [DAY, DAY, DAY],
        [69, 70, 70],
        [11, 10, 2],
        [5, None, 5],
        [1.0, None, 2.0],
    ]


@given(ROWS)
def test_what_was_translated_there_and_back_is_what_it_was(rows: list[tuple[object, ...]]) -> None:
    page = make_page(rows)
    there = translate_to_centre(READING, page, MAPS)
    assert translate_to_site(READING, there, MAPS) == list(page.values)


def test_all_that_is_missing_is_named_by_table_in_order() -> None:
    page = make_page([(DAY, 71, 9, 3, 1.0), (DAY, 69, 8, 1, 1.0), (DAY, 71, 0, 2, 1.0)])
    with pytest.raises(MissingParents) as caught:
        translate_to_centre(READING, page, MAPS)
    assert caught.value.tables == {"Node": (71,), "SensorType": (8, 9), "Location": (2, 3)}


def test_a_row_of_the_centre_that_the_site_has_no_id_for_gets_one_that_no_site_gives() -> None:
    there = [[DAY, DAY], [69, 69], [11, 99], [5, None], [1.0, 1.0]]
    types = translate_to_site(READING, there, MAPS)[2]
    assert types == [0, -100]


def test_a_site_that_never_sent_a_catalogue_misses_everything() -> None:
    with pytest.raises(MissingParents):
        translate_to_centre(READING, make_page([(DAY, 69, 0, None, 1.0)]), IdMaps("", {}))
