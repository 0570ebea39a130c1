"""The seed's translation table (blocks/translate.py)."""

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.blocks.paths import find, parse_path
from samesky.blocks.transforms import decode_transform
from samesky.blocks.translate import HeldBack, NullPolicy, Pair, Translation, translate
from samesky.core.strict import Refused

PAGE = Path(__file__).parents[2] / "docs" / "blocks.md"
EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "blocks" / "translation-examples.json"
OTHERWISE = {
    "target through scalar": "held back, and told: the original stopped with an exception",
    "trailing slash source": "refused when it is registered: the original stopped at every message",
    "empty target path": "refused when it is registered: the original stopped at every message",
    "null value copied": "held back: a controller takes null for 0; nulls are written where the link says so",
    "master not an object, empty table: scalar": "refused as a message: a block's data are an object",
    "table value not a string: number": "refused when it is registered: the original stopped at every message",
    "table value list": "refused when it is registered: a path is a text; JSON Pointers reach names with slashes",
    "table is a non-empty list": "refused when it is registered",
    "table is a string": "refused when it is registered",
}
"""Where we differ from what was seen of the original, and why; docs/blocks.md says the same."""


def table(told: Any, nulls: NullPolicy = "hold", **transforms: dict[str, object]) -> Translation:
    """A translation of the seed's spelling; ``transforms`` by source path."""
    pairs = [
        Pair(
            parse_path(source),
            parse_path(target),
            decode_transform(transforms[source]) if source in transforms else None,
        )
        for source, target in told.items()
    ]
    return Translation(tuple(pairs), nulls)


def read_examples() -> list[dict[str, Any]]:
    if not EXAMPLES.is_file():
        assert "CI" not in os.environ, f"{EXAMPLES} is missing"
        return []
    examples: list[dict[str, Any]] = json.loads(EXAMPLES.read_text())
    return examples


@pytest.mark.parametrize("example", read_examples(), ids=lambda example: example["name"])
def test_what_was_observed_of_the_original_holds_or_differs_on_purpose(example: dict[str, Any]) -> None:
    def run() -> object:
        if not isinstance(example["master"], dict) or not isinstance(example["translations"], dict):
            return "refused"
        try:
            return translate(table(example["translations"]), example["master"], example["slave_before"])
        except Refused:
            return "refused"

    if example["name"] in OTHERWISE:
        outcome = run()
        assert outcome == "refused" or isinstance(outcome, HeldBack)
    else:
        assert run() == example["slave_after"]


def test_every_difference_on_purpose_is_one_of_an_example() -> None:
    examples = read_examples()
    assert not examples or OTHERWISE.keys() <= {example["name"] for example in examples}


def test_the_page_tells_the_same_differences() -> None:
    _, _, section = PAGE.read_text(encoding="utf-8").partition("| case | ours |\n|---|---|\n")
    rows = section.partition("\n\n")[0].splitlines()
    assert dict(row.strip("| ").split(" | ") for row in rows) == OTHERWISE


def test_the_seeds_example_comes_out_as_it_stands_there() -> None:
    primary = {"value": 123, "other_value": 567, "nested": {"value": 456, "other_value": 890}}
    replica = {"targetvalue": 0, "value": 0, "nested": {"target": {"thing": 0}, "thang": 0}}
    told = {"value": "targetvalue", "nested/value": "nested/target/value"}
    assert translate(table(told), primary, replica) == {
        "targetvalue": 123,
        "value": 0,
        "nested": {"target": {"value": 456, "thing": 0}, "thang": 0},
    }


@pytest.mark.parametrize("told", [{}, {"value": "value"}, {"nested": "x"}])
def test_a_null_anywhere_in_what_would_be_written_holds_the_whole_message_back(told: dict[str, str]) -> None:
    outcome = translate(table(told), {"value": None, "nested": {"deep": [1, None]}}, {"value": 20.0})
    assert isinstance(outcome, HeldBack)
    assert outcome.reason == "null"
    assert "null" in outcome.words


def test_a_null_beside_what_is_written_is_no_matter() -> None:
    assert translate(table({"a": "a"}), {"a": 1, "b": None}, {}) == {"a": 1}


def test_a_link_may_skip_nulls_and_keep_what_the_replica_has() -> None:
    primary = {"a": 1, "b": None, "c": {"d": None, "e": 2}, "f": [1, None]}
    assert translate(table({}, "skip"), primary, {"b": 7, "c": {"d": 8}, "g": 9}) == {
        "a": 1,
        "b": 7,
        "c": {"d": 8, "e": 2},
    }
    assert translate(table({"b": "x", "a": "y"}, "skip"), primary, {"x": 5}) == {"x": 5, "y": 1}


def test_a_link_may_write_nulls() -> None:
    assert translate(table({"a": "x"}, "write"), {"a": None}, {"x": 5}) == {"x": None}
    assert translate(table({}, "write"), {"a": None}, {"x": 5}) == {"a": None}


def test_a_pair_that_cannot_be_written_holds_back_all_of_them() -> None:
    replica = {"number": 5, "x": 1}
    outcome = translate(table({"a": "x", "b": "number/y"}), {"a": 2, "b": 3}, replica)
    assert outcome == HeldBack("blocked", "number/y can't be written: number is a number, so there is no y in it")
    assert replica == {"number": 5, "x": 1}


def test_a_value_is_transformed_on_its_way() -> None:
    told = table({"t": "warm/t"}, t={"unit": ["degF", "degC"], "round": 1})
    assert translate(told, {"t": 70}, {}) == {"warm": {"t": 21.1}}


def test_a_value_that_does_not_fit_its_transform_holds_the_message_back() -> None:
    outcome = translate(table({"t": "t"}, t={"scale": 2}), {"t": "warm"}, {})
    assert isinstance(outcome, HeldBack)
    assert outcome.reason == "unfit"


def test_a_default_takes_the_place_of_a_null_and_of_nothing() -> None:
    assert translate(table({"t": "t"}, t={"default": 4.0}), {"t": None}, {}) == {"t": 4.0}
    assert translate(table({"t": "t"}, t={"default": 4.0}), {}, {}) == {"t": 4.0}


NAMES = st.sampled_from(["a", "b", "c", "0", "1"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
DATA = st.dictionaries(NAMES, JSON, max_size=4)
TABLES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.lists(NAMES, min_size=1, max_size=3).map("/".join)
)


def replaces_a_target(told: dict[str, str]) -> bool:
    """Whether a pair puts something in the place of what an earlier one had written into: nobody would mean that."""
    targets = [path.split("/") for path in told.values()]
    return any(
        len(one) > len(other) and one[: len(other)] == other
        for number, other in enumerate(targets)
        for one in targets[:number]
    )


@given(TABLES.filter(lambda told: not replaces_a_target(told)), DATA, DATA, st.sampled_from(["hold", "skip", "write"]))
def test_neither_side_is_changed_and_the_same_message_twice_changes_nothing_more(
    told: dict[str, str], primary: dict[str, Any], replica: dict[str, Any], nulls: NullPolicy
) -> None:
    before = deepcopy((primary, replica))
    outcome = translate(table(told, nulls), primary, replica)
    assert (primary, replica) == before
    if isinstance(outcome, dict):
        assert translate(table(told, nulls), primary, outcome) == outcome


@given(TABLES.filter(bool), DATA, DATA)
def test_what_no_pair_names_stays_as_it_was(
    told: dict[str, str], primary: dict[str, Any], replica: dict[str, Any]
) -> None:
    outcome = translate(table(told), primary, replica)
    if isinstance(outcome, dict):
        touched = {target.split("/")[0] for target in told.values()}
        assert {name: outcome[name] for name in replica if name not in touched} == {
            name: replica[name] for name in replica if name not in touched
        }


@given(TABLES, DATA, DATA)
def test_no_null_is_written_by_a_link_that_does_not_say_so(
    told: dict[str, str], primary: dict[str, Any], replica: dict[str, Any]
) -> None:
    outcome = translate(table(told), primary, replica)
    if isinstance(outcome, dict) and told:
        *_, last = told.items()
        if find(primary, parse_path(last[0])) is None:
            raise AssertionError("the last pair's null was written")
