"""Links of blocks are told as every system's streams are, with the value that they have."""

from dataclasses import replace
from typing import Any

import pytest

from samesky.blocks.link_snapshot import MOST_VALUE, LinkSnapshots, show_value
from samesky.blocks.status import PrimaryStatus, ReplicaStatus
from samesky.core.snapshot_document import decode_snapshot
from samesky.core.status import judge

NOW = 1_700_000_000.0
PRIMARY = PrimaryStatus(service="spark", id="sensor", key="spark.sensor", health="ok", published=7, age_s=2.0)
REPLICA = ReplicaStatus(
    service="dummy", id="sensor", key="spark.sensor", health="ok", freshness="fresh", received=9, written=3, age_s=1.5
)


def test_a_block_that_is_broadcast_tells_its_value_and_its_age() -> None:
    made = LinkSnapshots().snapshot_primary(PRIMARY, {"value": 20.5}, NOW)
    assert decode_snapshot(made.as_dict()) == made
    assert (made.stream, made.role, made.stored, made.lag_s) == ("spark.sensor", "primary", 7, 2.0)
    assert (made.details["value"], made.details["age_s"], made.details["key"]) == ("value = 20.5", 2.0, "spark.sensor")
    assert judge(made).level == "good"


def test_a_block_that_follows_tells_what_it_dropped() -> None:
    status = replace(REPLICA, dropped={"null": 2, "late": 1})
    made = LinkSnapshots().snapshot_replica(status, {"value": 20.5}, NOW)
    assert decode_snapshot(made.as_dict()) == made
    assert (made.stream, made.role, made.stored, made.refused) == ("dummy.sensor", "replica", 3, {"null": 2, "late": 1})
    assert (made.details["dropped"], made.details["freshness"]) == (3, "fresh")
    assert judge(made).level == "good"


def test_a_block_that_follows_several_keys_is_a_stream_for_each() -> None:
    made = LinkSnapshots().snapshot_replica(REPLICA, None, NOW, shares_block=True)
    assert made.stream == "dummy.sensor (spark.sensor)"


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"health": "waiting", "freshness": "never"}, "working"),
        ({"health": "failing", "freshness": "stale", "last_error": "it is stale", "hint": "Does it run?"}, "bad"),
        ({"health": "paused", "last_error": "a circle"}, "bad"),
    ],
    ids=["waiting", "stale", "paused"],
)
def test_a_link_is_judged_by_its_health(changes: dict[str, Any], level: str) -> None:
    verdict = judge(LinkSnapshots().snapshot_replica(replace(REPLICA, **changes), None, NOW))
    assert verdict.level == level


def test_a_broker_that_is_away_is_told_of_each_link() -> None:
    made = LinkSnapshots().snapshot_primary(PRIMARY, None, NOW, trouble="localhost:5672 refused the connection")
    assert (made.state, made.last_error) == ("disconnected", "localhost:5672 refused the connection")
    assert judge(made).level == "bad"
    assert "rabbitmq" in judge(made).todo


def test_since_when_a_link_is_as_it_is_is_remembered() -> None:
    links = LinkSnapshots()
    links.snapshot_replica(REPLICA, None, NOW)
    assert links.snapshot_replica(REPLICA, None, NOW + 9).since == NOW
    assert links.snapshot_replica(replace(REPLICA, health="failing"), None, NOW + 10).since == NOW + 10


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (None, None),
        ({"value": None}, '{"value": null}'),
        ({"value": 1, "other": 2}, '{"value": 1, "other": 2}'),
        ({}, "{}"),
    ],
    ids=["nothing", "null", "two", "empty"],
)
def test_a_value_is_one_short_line(data: Any, shown: str | None) -> None:
    assert show_value(data) == shown


def test_a_long_value_is_cut() -> None:
    assert len(show_value({"a": "x" * 5000, "b": 1}) or "") == MOST_VALUE
