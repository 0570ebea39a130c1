"""Places within a block's data (blocks/paths.py)."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.blocks.paths import MAX_LIST_LENGTH, MISSING, Blocked, find, parse_path, put, spell_path
from samesky.core.strict import Reason, Refused

NAMES = st.text(min_size=1, max_size=8)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("value", ("value",)),
        ("nested/target/value", ("nested", "target", "value")),
        ("/value", ("value",)),
        ("///value", ("value",)),
        ("value[degC]", ("value[degC]",)),
        ("*", ("*",)),
        ("a~1b", ("a~1b",)),
        (" ", (" ",)),
    ],
)
def test_slashes_divide_names_and_nothing_else_means_anything(text: str, path: tuple[str, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["", "/", "///", "value/", "a//b", "/a/b/"])
def test_a_path_that_stopped_the_original_is_refused_before_it_can(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_path(text)
    assert refusal.value.reason is Reason.NAME


@pytest.mark.parametrize("told", [None, 5, True, ["a", "b"], {"a": "b"}])
def test_a_path_that_is_no_text_is_refused(told: object) -> None:
    with pytest.raises(Refused) as refusal:
        parse_path(told)
    assert refusal.value.reason is Reason.TYPE


@pytest.mark.parametrize(("text", "reason"), [("x" * 1025, Reason.NAME), ("/".join("x" * 17), Reason.DEPTH)])
def test_a_path_that_is_too_long_is_refused(text: str, reason: Reason) -> None:
    with pytest.raises(Refused) as refusal:
        parse_path(text)
    assert refusal.value.reason is reason


@pytest.mark.parametrize(
    ("text", "path"), [("/a~1b", ("a/b",)), ("/~01", ("~1",)), ("/", ("",)), ("/a//b", ("a", "", "b"))]
)
def test_a_json_pointer_reaches_every_name(text: str, path: tuple[str, ...]) -> None:
    assert parse_path(text, spelling="pointer") == path


@pytest.mark.parametrize("text", ["", "a", "/a~", "/a~2b"])
def test_what_is_no_json_pointer_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_path(text, spelling="pointer")


@given(PATHS)
def test_every_path_can_be_spelt_as_a_json_pointer(path: tuple[str, ...]) -> None:
    assert parse_path(spell_path(path, spelling="pointer"), spelling="pointer") == path


@given(PATHS.filter(lambda path: all("/" not in part for part in path)))
def test_a_path_without_slashes_in_names_is_spelt_as_the_seed_does(path: tuple[str, ...]) -> None:
    assert parse_path(spell_path(path)) == path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"b": [10, {"c": None}]}),
        ("a/b/0", 10),
        ("a/b/1/c", None),
        ("a/b/2", MISSING),
        ("a/b/00", MISSING),
        ("a/b/-1", MISSING),
        ("a/b/-", MISSING),
        ("a/b/٣", MISSING),
        ("a/b/0/x", MISSING),
        ("a/b/1/c/x", MISSING),
        ("0", "digits are a name"),
        ("A", MISSING),
    ],
)
def test_what_is_at_a_path_is_found_or_missing(path: str, value: object) -> None:
    data = {"a": {"b": [10, {"c": None}]}, "0": "digits are a name"}
    assert find(data, parse_path(path)) == value


def test_objects_on_the_way_are_made() -> None:
    data: dict[str, Any] = {"a": {"kept": 1}}
    put(data, ("a", "b", "0", "c"), 5)
    assert data == {"a": {"kept": 1, "b": {"0": {"c": 5}}}}


@pytest.mark.parametrize(
    ("index", "items"), [("0", [9, 2]), ("1", [1, 9]), ("2", [1, 2, 9]), ("5", [1, 2, None, None, None, 9])]
)
def test_an_item_of_a_list_is_set_or_added_with_nulls_between(index: str, items: list[object]) -> None:
    data: dict[str, Any] = {"list": [1, 2]}
    put(data, ("list", index), 9)
    assert data == {"list": items}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("number/x", "number is a number, so there is no x in it"),
        ("text/x", "text is a text"),
        ("flag/x", "flag is a truth value"),
        ("nothing/x", "nothing is null"),
        ("list/x", "list is a list, and x isn't the number of an item"),
        ("list/01", "01 isn't the number of an item"),
        ("list/0/x", "list/0 is a number"),
        (f"list/{MAX_LIST_LENGTH}", f"a list of more than {MAX_LIST_LENGTH} items"),
        ("list/999999999", "a list of more than"),
        ("list/99999999999999999999", "isn't the number of an item"),
    ],
)
def test_what_cannot_be_written_to_is_told(path: str, words: str) -> None:
    data: dict[str, Any] = {"number": 1, "text": "", "flag": True, "nothing": None, "list": [1]}
    with pytest.raises(Blocked, match=words):
        put(data, parse_path(path), 5)


@given(JSON.filter(lambda data: isinstance(data, dict)), PATHS, JSON)
def test_what_was_put_is_found_and_what_is_blocked_was_no_container(
    data: dict[str, Any], path: tuple[str, ...], value: object
) -> None:
    before = deepcopy(data)
    try:
        put(data, path, value)
    except Blocked:
        above = [find(before, path[:length]) for length in range(1, len(path))]
        assert any(each is not MISSING and not isinstance(each, dict) for each in above)
    else:
        assert find(data, path) == value
        assert {name: data[name] for name in before if name != path[0]} == {
            name: before[name] for name in before if name != path[0]
        }
