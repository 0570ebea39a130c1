"""Keys, patterns and properties of AMQP messages, and what waits to be published."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.link.amqp_message import (
    Outcome,
    Properties,
    Published,
    Superseded,
    check_key,
    check_pattern,
    check_properties,
    matches,
)
from samesky.link.amqp_outgoing import Outgoing, Waiting, settle

words = st.sampled_from(["a", "b", "", "*", "#"])
keys = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=5).map(".".join)
patterns = st.lists(words, min_size=1, max_size=5).map(".".join)


@pytest.mark.parametrize(
    ("pattern", "key", "matched"),
    [
        ("spark.sensor", "spark.sensor", True),
        ("spark.sensor", "spark.sensors", False),
        ("spark.*", "spark.sensor", True),
        ("spark.*", "spark", False),
        ("spark.*", "spark.a.b", False),
        ("spark.#", "spark", True),
        ("spark.#", "spark.a.b", True),
        ("#", "anything.at.all", True),
        ("#.b.#", "a.b.c.b", True),
        ("*.#.c", "c", False),
        ("#.#", "a", True),
        ("a.*.*", "a..", True),
    ],
)
def test_a_pattern_matches_as_a_topic_exchange_does(pattern: str, key: str, matched: bool) -> None:
    assert matches(pattern, key) is matched


@given(patterns, keys)
def test_matching_agrees_with_a_regular_expression(pattern: str, key: str) -> None:
    parts = {"*": r"\.[^.]*", "#": r"(?:\.[^.]*)*"}
    expression = "".join(parts.get(word, rf"\.{re.escape(word)}") for word in pattern.split("."))
    assert matches(pattern, key) is bool(re.fullmatch(expression, f".{key}"))


@pytest.mark.parametrize("key", ["", "a" * 256, "ä" * 128, "a\0", "\ud800", "a.*", "#"])
def test_a_key_that_no_message_can_have_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        check_key(key)


def test_a_pattern_may_have_wildcards_and_a_key_may_have_nearly_anything() -> None:
    assert check_pattern("spark.*.#") == "spark.*.#"
    assert check_key("spark-master.sensor*1/ä") == "spark-master.sensor*1/ä"


@pytest.mark.parametrize(
    "properties",
    [
        Properties(content_type="x" * 256),
        Properties(message_id="x" * 256),
        Properties(headers={"x" * 256: 1}),
        Properties(headers={"hops": 1 << 63}),
        Properties(headers={"hops": [1]}),
        Properties(headers={"origin": "\ud800"}),
    ],
)
def test_properties_that_amqp_cannot_carry_are_refused(properties: Properties) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_properties(properties)


def test_only_the_newest_of_a_key_waits_in_the_place_of_the_first() -> None:
    async def run() -> None:
        waiting = Waiting()
        first, other, newest = make("a", b"1"), make("b", b"2"), make("a", b"3")
        for outgoing in (first, other, newest):
            waiting.put(outgoing)
        assert first.outcome.result() == Superseded()
        assert waiting.take(9) == [newest, other]
        assert len(waiting) == 0

    asyncio.run(run())


def test_what_comes_back_unpublished_gives_way_to_what_came_meanwhile() -> None:
    async def run() -> None:
        waiting = Waiting()
        old, newer, kept, unwanted = make("a", b"1"), make("a", b"2"), make("b", b"3"), make("c", b"4")
        waiting.put(newer)
        unwanted.outcome.cancel()
        for outgoing in (old, kept, unwanted):
            waiting.put_back(outgoing)
        assert old.outcome.result() == Superseded()
        assert waiting.take(9) == [newer, kept]

    asyncio.run(run())


def test_an_outcome_is_told_once() -> None:
    async def run() -> None:
        outgoing = make("a", b"1")
        settle(outgoing, Published())
        settle(outgoing, Superseded())
        assert outgoing.outcome.result() == Published()

    asyncio.run(run())


def make(key: str, body: bytes) -> Outgoing:
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    return Outgoing(key, body, Properties(), outcome)
