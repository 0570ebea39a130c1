"""What may be done to a value on its way (blocks/transforms.py)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.blocks.paths import MISSING
from samesky.blocks.transforms import Unfit, convert, decode_transform, encode_transform
from samesky.core.strict import Reason, Refused


@pytest.mark.parametrize(
    ("told", "value", "becomes"),
    [
        ({"scale": 2}, 21.5, 43.0),
        ({"offset": -1}, 21.5, 20.5),
        ({"scale": 1.8, "offset": 32}, 100, 212.0),
        ({"clamp": [0, 10]}, 11, 10),
        ({"clamp": [0, None]}, -1, 0),
        ({"clamp": [None, 10]}, -1, -1),
        ({"round": 1}, 21.26, 21.3),
        ({"round": 0}, 21.26, 21),
        ({"unit": ["degC", "degF"]}, 20, pytest.approx(68)),
        ({"unit": ["degF", "degC"]}, 212, pytest.approx(100)),
        ({"unit": ["degC", "degK"]}, 20, pytest.approx(293.15)),
        ({"unit": ["delta_degF", "delta_degC"]}, 9, pytest.approx(5)),
        ({"unit": ["hPa", "mbar"]}, 1013.25, pytest.approx(1013.25)),
        ({"unit": ["degF", "degC"], "round": 2, "clamp": [0, 30]}, 100, 30),
        ({"map": {"Open": "Active", "Closed": "Inactive"}}, "Open", "Active"),
        ({"map": {"true": 1, "false": 0}}, True, 1),
        ({"map": {"3": "three"}}, 3, "three"),
        ({"default": 4}, None, 4),
        ({"default": 4}, MISSING, 4),
        ({"default": 4, "scale": 2}, None, 8),
        ({"default": 4}, 5, 5),
        ({"scale": 2}, None, None),
        ({"scale": 2}, MISSING, MISSING),
        ({"map": {"a": "b"}}, None, None),
    ],
)
def test_a_value_becomes_what_its_link_says(told: dict[str, object], value: object, becomes: object) -> None:
    assert decode_transform(told).apply(value) == becomes


@pytest.mark.parametrize(
    ("told", "value", "words"),
    [
        ({"scale": 2}, "21.5", "isn't a number"),
        ({"scale": 2}, True, "isn't a number"),
        ({"round": 2}, [1], "isn't a number"),
        ({"scale": 1e300}, 1e300, "too large"),
        ({"map": {"a": "b"}}, "c", "isn't among those"),
        ({"map": {"a": "b"}}, {"a": 1}, "an object or a list"),
    ],
)
def test_a_value_that_does_not_fit_is_told(told: dict[str, object], value: object, words: str) -> None:
    with pytest.raises(Unfit, match=words):
        decode_transform(told).apply(value)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, Reason.SHAPE),
        ({}, Reason.SHAPE),
        ("scale", Reason.SHAPE),
        ({"sqrt": 2}, Reason.COLUMN),
        ({"scale": "2"}, Reason.TYPE),
        ({"scale": True}, Reason.TYPE),
        ({"offset": float("inf")}, Reason.TYPE),
        ({"default": None}, Reason.TYPE),
        ({"default": {}}, Reason.TYPE),
        ({"unit": "degF"}, Reason.TYPE),
        ({"unit": ["degF"]}, Reason.TYPE),
        ({"unit": ["degF", "furlong"]}, Reason.NAME),
        ({"unit": ["degF", "bar"]}, Reason.TYPE),
        ({"clamp": [None, None]}, Reason.TYPE),
        ({"clamp": [1, 0]}, Reason.RANGE),
        ({"clamp": 1}, Reason.TYPE),
        ({"round": 1.5}, Reason.RANGE),
        ({"round": True}, Reason.RANGE),
        ({"round": -1}, Reason.RANGE),
        ({"map": {}}, Reason.SHAPE),
        ({"map": {"a": None}}, Reason.TYPE),
        ({"map": {"a": []}}, Reason.TYPE),
    ],
)
def test_a_transform_that_means_nothing_is_refused(told: object, reason: Reason) -> None:
    with pytest.raises(Refused) as refusal:
        decode_transform(told)
    assert refusal.value.reason is reason


@given(
    st.floats(-1e6, 1e6),
    st.sampled_from([("degC", "degF"), ("degK", "degF"), ("bar", "psi"), ("hour", "s"), ("delta_degC", "delta_degF")]),
)
def test_a_value_converted_there_and_back_is_the_same(value: float, units: tuple[str, str]) -> None:
    assert convert(convert(value, *units), *reversed(units)) == pytest.approx(value, rel=1e-9, abs=1e-6)


TOLD: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "default": st.integers() | st.text() | st.booleans(),
        "unit": st.just(["degF", "degC"]),
        "scale": st.floats(allow_nan=False, allow_infinity=False),
        "offset": st.integers(),
        "clamp": st.sampled_from([[0, 1], [None, 5], [5, None]]),
        "round": st.integers(0, 15),
        "map": st.dictionaries(st.text(), st.integers(), min_size=1, max_size=3),
    },
).filter(bool)


@given(TOLD)
def test_a_transform_is_told_as_it_was(told: dict[str, Any]) -> None:
    transform = decode_transform(told)
    assert encode_transform(transform) == told
    assert decode_transform(encode_transform(transform)) == transform
