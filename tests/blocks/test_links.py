"""What a user registers (blocks/links.py)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.blocks.links import (
    PrimaryLink,
    ReplicaLink,
    decode_primary,
    decode_replica,
    encode_primary,
    encode_replica,
)
from samesky.core.strict import Reason, Refused

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=10)
NUMBERS = st.floats(0.1, 1e5)


def test_the_seeds_master_is_taken_as_it_stands() -> None:
    link = decode_primary("spark-master", {"id": "master-sensor", "interval": 5})
    assert link == PrimaryLink(service="spark-master", id="master-sensor", interval_s=5.0)
    assert link.key == "spark-master.master-sensor"


def test_the_seeds_slave_is_taken_as_it_stands() -> None:
    told = {"id": "dummy-sensor", "key": "spark-master.master-sensor", "translations": {}}
    link = decode_replica("spark-slave", told)
    assert link == ReplicaLink(service="spark-slave", id="dummy-sensor", key="spark-master.master-sensor")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, Reason.SHAPE),
        ([], Reason.SHAPE),
        ("id", Reason.SHAPE),
        ({}, Reason.REQUIRED),
        ({"id": "a"}, Reason.REQUIRED),
        ({"interval": 5}, Reason.REQUIRED),
        ({"id": "a", "interval": "5"}, Reason.TYPE),
        ({"id": "a", "interval": True}, Reason.TYPE),
        ({"id": "a", "interval": None}, Reason.TYPE),
        ({"id": "a", "interval": 0}, Reason.RANGE),
        ({"id": "a", "interval": -5}, Reason.RANGE),
        ({"id": "a", "interval": 0.05}, Reason.RANGE),
        ({"id": "a", "interval": 1e9}, Reason.RANGE),
        ({"id": "a", "interval": float("nan")}, Reason.RANGE),
        ({"id": 5, "interval": 5}, Reason.TYPE),
        ({"id": "", "interval": 5}, Reason.NAME),
        ({"id": "a\nb", "interval": 5}, Reason.NAME),
        ({"id": "x" * 201, "interval": 5}, Reason.NAME),
        ({"id": "\u20ac" * 100, "interval": 5}, Reason.NAME),
        ({"id": "*", "interval": 5}, Reason.NAME),
        ({"id": "a.#", "interval": 5}, Reason.NAME),
        ({"id": "a", "interval": 5, "intervall": 5}, Reason.COLUMN),
        ({"id": "a", "interval": 5, "publish": "sometimes"}, Reason.RANGE),
        ({"id": "a", "interval": 5, "publish": ["always"]}, Reason.RANGE),
        ({"id": "a", "interval": 5, "deadband": -1}, Reason.RANGE),
        ({"id": "a", "interval": 5, "min_period": 9, "max_period": 8}, Reason.RANGE),
        ({"id": "a", "interval": 5, "link": "pigeon"}, Reason.RANGE),
    ],
)
def test_a_master_that_would_do_harm_is_refused(told: object, reason: Reason) -> None:
    with pytest.raises(Refused) as refusal:
        decode_primary("spark", told)
    assert refusal.value.reason is reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"key": 5}, Reason.TYPE),
        ({"key": None}, Reason.TYPE),
        ({"key": ""}, Reason.NAME),
        ({"key": "x" * 256}, Reason.NAME),
        ({"key": "a\x00b"}, Reason.NAME),
        ({"translations": []}, Reason.SHAPE),
        ({"translations": "value"}, Reason.SHAPE),
        ({"translations": {"value": 5}}, Reason.TYPE),
        ({"translations": {"value/": "x"}}, Reason.NAME),
        ({"translations": {"value": ""}}, Reason.NAME),
        ({"translations": {str(n): "x" for n in range(257)}}, Reason.SIZE),
        ({"translations": {"a": "b"}, "transforms": {"c": {"scale": 2}}}, Reason.COLUMN),
        ({"translations": {"a": "b"}, "transforms": {"a": {"sqrt": 2}}}, Reason.COLUMN),
        ({"nulls": "zero"}, Reason.RANGE),
        ({"paths": "dots"}, Reason.RANGE),
        ({"ttl": 0}, Reason.RANGE),
        ({"ttl": "60"}, Reason.TYPE),
        ({"fallback": {}}, Reason.SHAPE),
        ({"fallback": {"a": None}}, Reason.TYPE),
        ({"fallback": {"a": {"b": [None]}}}, Reason.TYPE),
        ({"fallback": {"a/": 5}}, Reason.NAME),
        ({"colour": "blue"}, Reason.COLUMN),
    ],
)
def test_a_slave_that_would_do_harm_is_refused(more: dict[str, object], reason: Reason) -> None:
    with pytest.raises(Refused) as refusal:
        decode_replica("spark", {"id": "a", "key": "b.c", **more})
    assert refusal.value.reason is reason


def test_names_with_slashes_can_be_reached_by_json_pointers() -> None:
    link = decode_replica(
        "spark", {"id": "a", "key": "b", "paths": "pointer", "translations": {"/m~1s": "/speed"}, "fallback": {"/x": 0}}
    )
    assert [(pair.source, pair.target) for pair in link.translation.pairs] == [(("m/s",), ("speed",))]
    assert decode_replica("spark", encode_replica(link)) == link


@pytest.mark.parametrize(("publish", "heard_every_s"), [("always", 5.0), ("on_change", 30.0)])
def test_it_is_known_how_often_a_replica_hears_of_a_primary(publish: str, heard_every_s: float) -> None:
    link = decode_primary("spark", {"id": "a", "interval": 5, "publish": publish, "max_period": 30})
    assert link.heard_every_s == heard_every_s


@given(
    st.fixed_dictionaries(
        {"id": NAMES, "interval": NUMBERS},
        optional={
            "publish": st.sampled_from(["always", "on_change"]),
            "deadband": NUMBERS,
            "max_period": NUMBERS,
            "link": st.sampled_from(["amqp", "mqtt"]),
        },
    )
)
def test_a_master_is_told_as_it_was(told: dict[str, Any]) -> None:
    try:
        link = decode_primary("spark", told)
    except Refused:
        return
    assert decode_primary("spark", json.loads(json.dumps(encode_primary(link)))) == link


@given(
    st.fixed_dictionaries(
        {"id": NAMES, "key": NAMES},
        optional={
            "translations": st.dictionaries(NAMES, NAMES, max_size=3),
            "nulls": st.sampled_from(["hold", "skip", "write"]),
            "paths": st.sampled_from(["slash", "pointer"]),
            "ttl": st.none() | st.floats(1, 1e5),
            "fallback": st.dictionaries(NAMES, st.integers(), min_size=1, max_size=3),
            "link": st.sampled_from(["amqp", "mqtt"]),
        },
    )
)
def test_a_slave_is_told_as_it_was(told: dict[str, Any]) -> None:
    try:
        link = decode_replica("spark", told)
    except Refused:
        return
    assert decode_replica("spark", json.loads(json.dumps(encode_replica(link)))) == link


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["id", "key", "interval", "translations", "transforms", "fallback", "ttl", "nulls", "paths", "link"]


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_whatever_is_told_is_taken_or_refused(told: dict[str, Any]) -> None:
    for decode in (decode_primary, decode_replica):
        try:
            decode("spark", told)
        except Refused:
            pass
