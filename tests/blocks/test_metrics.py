"""How links are doing, for Prometheus (blocks/metrics.py)."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from samesky.blocks.links import decode_primary, decode_replica
from samesky.blocks.metrics import render_metrics
from samesky.blocks.status import PrimaryStatus, ReplicaStatus
from stands.blocks_world import World
from stands.prometheus_rules import find_mistakes

KEY, FOLLOWER = "a.sensor", "b.dummy"


def statuses(seconds: float) -> tuple[list[PrimaryStatus], list[ReplicaStatus]]:
    """A sensor and its follower after so many seconds; its third message and all that follow are null."""
    world = World(blocks={KEY: {"value": 20.0}, FOLLOWER: {"value": 0.5}})
    world.sensors[KEY] = lambda now: 20.0 if now < 2 else None
    world.add_replica(decode_replica("b", {"id": "dummy", "key": KEY}))
    world.add_primary(decode_primary("a", {"id": "sensor", "interval": 1}))
    world.run(seconds)
    return [each.status(world.now) for each in world.primaries], [each.status(world.now) for each in world.replicas]


@pytest.mark.parametrize("seconds", [0.0, 1.5, 60.0], ids=["none has come", "well", "null"])
def test_the_text_keeps_to_prometheus_rules(seconds: float) -> None:
    assert find_mistakes(render_metrics([], [], {}).decode()) == []
    assert find_mistakes(render_metrics(*statuses(seconds), {"amqp": True, "mqtt": False}).decode()) == []


def test_every_metric_is_there_from_the_first_scrape() -> None:
    def names(primaries: list[PrimaryStatus], replicas: list[ReplicaStatus]) -> set[str]:
        text = render_metrics(primaries, replicas, {"amqp": True}).decode()
        return {family.name for family in text_string_to_metric_families(text)}

    assert names([], []) == names(*statuses(60.0))


def test_a_value_that_was_held_back_is_counted_by_its_reason() -> None:
    text = render_metrics(*statuses(60.0), {"amqp": True}).decode()
    samples = {
        (
            sample.name.removeprefix("samesky_blocks_"),
            sample.labels.get("role"),
            sample.labels.get("reason"),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["dropped_total", "slave", "null"] > 50
    assert (samples["ok", "master", None], samples["ok", "slave", None]) == (1, 0)
    assert samples["written_total", "slave", None] == 1
    assert samples["age_seconds", "slave", None] > 50
