"""What is sent to today's controllers (blocks/spark.py)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.blocks.spark import plan_patch
from stands.blocks_controllers import merge_deeply

OBJECTS = st.recursive(
    st.integers(0, 3) | st.none() | st.lists(st.integers(0, 3), max_size=2),
    lambda values: st.dictionaries(st.sampled_from("abc"), values),
    max_leaves=8,
)
DATAS = st.dictionaries(st.sampled_from("abc"), OBJECTS)


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
        ({"a": 1}, {"a": 1, "b": None}, {"b": None}),
        ({"a": {"x": 1, "y": 2}, "b": 2}, {"a": {"x": 1, "y": 3}, "b": 2}, {"a": {"x": 1, "y": 3}}),
        ({"a": [{"x": 1}]}, {"a": [{"y": 1}]}, {"a": [{"y": 1}]}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 1}, {}, None),
        ({"a": {"x": {"deep": 1}}}, {"a": {"x": {}}}, None),
    ],
)
def test_a_patch_has_what_differs_and_there_is_none_where_something_is_to_go(
    old: dict[str, Any], new: dict[str, Any], patch: dict[str, Any] | None
) -> None:
    assert plan_patch(old, new) == patch


@given(DATAS, DATAS)
def test_a_patch_means_the_same_to_old_and_new_firmware(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = plan_patch(old, new)
    if patch is not None:
        assert {**old, **patch} == new
        assert merge_deeply(old, patch) == new


@given(DATAS, DATAS)
def test_where_nothing_is_taken_away_a_patch_will_do(old: dict[str, Any], added: dict[str, Any]) -> None:
    assert plan_patch(old, merge_deeply(old, added)) is not None
