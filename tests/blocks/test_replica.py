"""What is written to a replica, and when nothing is (blocks/replica.py)."""

import json
from typing import Any

import pytest

from samesky.blocks.envelope import Metadata, encode_body
from samesky.blocks.links import decode_primary, decode_replica
from samesky.blocks.replica import PAUSE_S, RETRY_S, ReadOwn, ReplicaBrain, Write
from stands.blocks_world import Faults, World

KEY = "a.sensor"
FOLLOWER = "b.dummy"


def make_world(value: Any = 20.0, more: dict[str, Any] | None = None, **world: Any) -> World:
    """A sensor at service a, broadcast every second, and a dummy at b that follows it."""
    made = World(blocks={KEY: {"value": value}, FOLLOWER: {"value": 0.5}}, **world)
    made.add_replica(decode_replica("b", {"id": "dummy", "key": KEY, **(more or {})}))
    made.add_primary(decode_primary("a", {"id": "sensor", "interval": 1}))
    return made


def metadata(sequence: int, *, epoch: int = 1, **more: Any) -> Metadata:
    """Headers of a message of the sensor."""
    return Metadata(origin=KEY, epoch=epoch, sequence=sequence, interval_s=1.0, **more)


def alone(**more: Any) -> World:
    """The dummy alone: what comes is up to the test."""
    world = World(blocks={FOLLOWER: {"value": 0.5}})
    world.add_replica(decode_replica("b", {"id": "dummy", "key": KEY, **more}))
    return world


def send(world: World, value: Any, headers: Metadata | None = None, **more: Any) -> None:
    """Bring ``value`` to the dummy, and let it be dealt with."""
    world.deliver(KEY, encode_body({"value": value}), headers, **more)
    world.run(0.1)


def dropped(world: World) -> dict[str, int]:
    """What the dummy didn't write, by reason."""
    return dict(world.replicas[0].status(world.now).dropped)


def test_a_replica_follows_its_primary() -> None:
    world = make_world()
    world.run(2.5)
    assert world.blocks[FOLLOWER] == {"value": 20.0}
    status = world.replicas[0].status(world.now)
    assert (status.health, status.freshness, status.written, status.unchanged) == ("ok", "fresh", 1, 2)


def test_a_block_that_is_as_it_should_be_is_not_written() -> None:
    world = make_world()
    world.run(60)
    assert len(world.written) == 1


def test_what_a_person_changed_at_the_replica_is_put_right() -> None:
    world = make_world()
    world.run(2.5)
    world.blocks[FOLLOWER] = {"value": 99.0}
    world.run(2)
    assert world.blocks[FOLLOWER] == {"value": 20.0}


def test_a_controller_that_rounds_is_not_written_to_for_ever() -> None:
    brain = ReplicaBrain(decode_replica("b", {"id": "dummy", "key": KEY}))
    world = alone()
    world.replicas[:] = [brain]
    for sequence in range(1, 4):
        message = metadata(sequence)
        world.deliver(KEY, encode_body({"value": 21.3}), message)
        world.now += 1
        _, _, arrive = world._events.pop()
        world._work = lambda _: None  # type: ignore[method-assign]
        arrive()
        assert isinstance(brain.next_step(world.now), ReadOwn)
        write = brain.on_own({"value": 0.5} if sequence == 1 else {"value": 21.2999}, world.now)
        assert (write is None) == (sequence > 1)
        if write is not None:
            brain.on_written({"value": 21.2999}, world.now)


@pytest.mark.parametrize("value", [None, {"deep": None}, [1, None]])
def test_a_null_is_never_written_and_never_as_0(value: Any) -> None:
    world = make_world()
    world.sensors[KEY] = lambda now: 20.0 if now < 10 else value
    world.run(120)
    assert world.blocks[FOLLOWER] == {"value": 20.0}
    status = world.replicas[0].status(world.now)
    assert (status.health, status.freshness) == ("failing", "stale")
    assert status.dropped["null"] > 100
    assert "null" in status.last_error
    assert "nulls" in status.hint


def test_a_dead_primary_is_seen_to_be_stale_and_nothing_is_written() -> None:
    world = make_world()
    world.run(10.5)
    world.stop_primary(world.primaries[0])
    world.run(7)
    assert world.replicas[0].status(world.now).freshness == "fresh"
    world.run(2)
    assert world.replicas[0].status(world.now).freshness == "stale"
    world.run(1000)
    assert world.blocks[FOLLOWER] == {"value": 20.0}


def test_a_fallback_is_written_once_when_the_value_is_stale_and_the_value_when_it_comes_again() -> None:
    world = make_world(more={"fallback": {"value": 4.0}, "ttl": 10})
    world.run(3.5)
    world.stop_primary(world.primaries[0])
    world.run(100)
    assert world.blocks[FOLLOWER] == {"value": 4.0}
    assert len(world.written) == 2
    world.add_primary(decode_primary("a", {"id": "sensor", "interval": 1}), epoch=2)
    world.run(3)
    assert world.blocks[FOLLOWER] == {"value": 20.0}


def test_a_fallback_is_tried_until_the_controller_takes_it() -> None:
    world = make_world(more={"fallback": {"value": 4.0}, "ttl": 10})
    world.run(3.5)
    world.stop_primary(world.primaries[0], says_goodbye=True)
    world.faults.controller_failures = 1.0
    world.run(60)
    assert world.blocks[FOLLOWER] == {"value": 20.0}
    world.faults.controller_failures = 0.0
    world.run(RETRY_S + 1)
    assert world.blocks[FOLLOWER] == {"value": 4.0}


def test_a_goodbye_makes_a_value_stale_at_once() -> None:
    world = make_world()
    world.run(3.5)
    world.stop_primary(world.primaries[0], says_goodbye=True)
    world.run(0.1)
    assert world.replicas[0].status(world.now).freshness == "stale"


def test_a_primary_that_starts_again_is_believed() -> None:
    world = make_world()
    world.run(3.5)
    world.stop_primary(world.primaries[0])
    world.blocks[KEY] = {"value": 25.0}
    world.add_primary(decode_primary("a", {"id": "sensor", "interval": 1}), epoch=2)
    world.run(2)
    assert world.blocks[FOLLOWER] == {"value": 25.0}


def test_older_messages_and_copies_change_nothing() -> None:
    world = alone()
    send(world, 2.0, metadata(2))
    send(world, 1.0, metadata(1))
    send(world, 2.0, metadata(2))
    send(world, 9.0, metadata(99, epoch=0))
    assert world.blocks[FOLLOWER] == {"value": 2.0}
    assert dropped(world) == {"older": 2, "duplicate": 1}


def test_two_primaries_of_one_name_are_told() -> None:
    world = alone()
    send(world, 2.0, metadata(2))
    send(world, 3.0, metadata(2))
    status = world.replicas[0].status(world.now)
    assert world.blocks[FOLLOWER] == {"value": 2.0}
    assert dropped(world) == {"conflict": 1}
    assert "rename" in status.hint


def test_messages_of_old_peers_go_by_their_arrival() -> None:
    world = alone()
    for value in (1.0, 2.0, 1.0):
        send(world, value)
    assert world.blocks[FOLLOWER] == {"value": 1.0}
    assert len(world.written) == 3


def test_a_retained_message_is_written_once_and_makes_nothing_fresh() -> None:
    world = alone()
    send(world, 7.0, retained=True)
    assert world.blocks[FOLLOWER] == {"value": 7.0}
    assert world.replicas[0].status(world.now).freshness == "never"
    send(world, 8.0)
    send(world, 7.0, retained=True)
    assert world.blocks[FOLLOWER] == {"value": 8.0}
    assert dropped(world) == {"retained": 1}


def test_what_comes_back_to_its_origin_is_dropped() -> None:
    world = alone()
    send(world, 5.0, Metadata(origin=FOLLOWER, epoch=1, sequence=1, hops=1))
    assert world.blocks[FOLLOWER] == {"value": 0.5}
    assert dropped(world) == {"loop": 1}


def test_what_has_gone_through_too_many_blocks_is_dropped() -> None:
    world = alone()
    send(world, 5.0, metadata(1, hops=8))
    assert dropped(world) == {"loop": 1}


def test_only_the_newest_of_a_burst_is_written() -> None:
    world = alone()
    for sequence in range(1, 101):
        world.deliver(KEY, encode_body({"value": float(sequence)}), metadata(sequence))
    world.run(1)
    assert world.blocks[FOLLOWER] == {"value": 100.0}
    assert len(world.written) <= 2
    assert dropped(world)["superseded"] >= 98


def test_nothing_old_is_written_after_a_slow_controller_has_recovered() -> None:
    world = make_world()
    world.run(3.5)
    world.faults.controller_failures = 1.0
    world.blocks[KEY] = {"value": 30.0}
    world.run(3)
    world.stop_primary(world.primaries[0])
    world.run(60)
    world.faults.controller_failures = 0.0
    world.run(60)
    assert world.blocks[FOLLOWER] == {"value": 20.0}
    assert world.replicas[0].status(world.now).freshness == "stale"


def test_messages_that_a_broker_kept_back_are_late_and_not_written() -> None:
    world = alone()
    for sequence in range(1, 4):
        send(world, float(sequence), metadata(sequence, sent_s=world.wall_s))
        world.run(1)
    sent_s = world.wall_s
    world.run(60)
    send(world, 99.0, metadata(4, sent_s=sent_s))
    assert world.blocks[FOLLOWER] == {"value": 3.0}
    assert dropped(world) == {"late": 1}
    send(world, 5.0, metadata(5, sent_s=world.wall_s))
    assert world.blocks[FOLLOWER] == {"value": 5.0}


@pytest.mark.parametrize("skew_s", [-3000.0, 3000.0])
def test_a_clock_that_is_wrong_makes_nothing_late(skew_s: float) -> None:
    world = alone()
    for sequence in range(1, 10):
        send(world, float(sequence), metadata(sequence, sent_s=world.wall_s + skew_s))
        world.run(1)
    assert world.blocks[FOLLOWER] == {"value": 9.0}
    assert dropped(world) == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"a":NaN}', b"\xff", b"[" * 100_000, b'{"a":1,"a":2}'])
def test_what_is_no_message_is_counted_and_the_next_one_is_written(body: bytes) -> None:
    world = alone()
    world.deliver(KEY, body)
    send(world, 5.0)
    status = world.replicas[0].status(world.now)
    assert world.blocks[FOLLOWER] == {"value": 5.0}
    assert sum(status.dropped.values()) == 1


def test_a_target_that_cannot_be_written_is_told_with_what_to_do() -> None:
    world = alone(translations={"value": "value/deep"})
    send(world, 5.0)
    status = world.replicas[0].status(world.now)
    assert dropped(world) == {"blocked": 1}
    assert "value/deep" in status.last_error
    assert "preview" in status.hint


def swapping(*, headers: bool, value_of_b: float = 2.0) -> World:
    """Two services whose blocks follow each other."""
    world = World(blocks={"a.x": {"value": 1.0}, "b.y": {"value": value_of_b}}, headers=headers)
    for service, id, key in (("a", "x", "b.y"), ("b", "y", "a.x")):
        world.add_primary(decode_primary(service, {"id": id, "interval": 1}))
        world.add_replica(decode_replica(service, {"id": id, "key": key}))
    return world


def test_two_services_that_follow_each_other_come_to_rest() -> None:
    world = swapping(headers=True)
    world.run(60)
    writes = len(world.written)
    world.run(600)
    assert len(world.written) == writes


def test_old_peers_that_follow_each_other_are_noticed_and_told() -> None:
    world = swapping(headers=False)
    world.run(60)
    paused = [each.status(world.now) for each in world.replicas if each.status(world.now).health == "paused"]
    assert paused
    assert "follow each other" in paused[0].hint
    writes = len(world.written)
    world.run(PAUSE_S / 2)
    assert len(world.written) <= writes + 2


def test_a_switch_that_goes_on_and_off_pauses_nothing() -> None:
    world = World(blocks={"a.pin": {"value": 0}, "b.pin": {"value": 0}}, headers=False)
    world.sensors["a.pin"] = lambda now: int(now) % 2
    world.add_primary(decode_primary("a", {"id": "pin", "interval": 1}))
    world.add_primary(decode_primary("b", {"id": "pin", "interval": 1}))
    world.add_replica(decode_replica("b", {"id": "pin", "key": "a.pin"}))
    world.run(120)
    assert "circle" not in dropped(world)


def test_a_chain_tells_where_its_data_come_from() -> None:
    world = World(blocks={name: {"value": 0.0} for name in ("a.x", "b.y", "c.z")})
    world.blocks["a.x"] = {"value": 5.0}
    for service, id in (("a", "x"), ("b", "y")):
        world.add_primary(decode_primary(service, {"id": id, "interval": 1}))
    world.add_replica(decode_replica("b", {"id": "y", "key": "a.x"}))
    last = world.add_replica(decode_replica("c", {"id": "z", "key": "b.y"}))
    world.run(5)
    assert world.blocks["c.z"] == {"value": 5.0}
    assert last.lineage is not None
    assert last.lineage == ("a.x", 2)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_lost_doubled_or_delayed_the_replica_is_right_in_the_end_and_never_0(seed: int) -> None:
    faults = Faults(loss=0.3, duplicates=0.3, jitter_s=3.0, controller_failures=0.2, controller_s=0.3)
    world = make_world(seed=seed, faults=faults)
    world.sensors[KEY] = lambda now: None if int(now) % 50 > 44 else 20.0 + int(now)
    for epoch in range(2, 5):
        world.run(60)
        world.stop_primary(world.primaries[0], says_goodbye=epoch % 2 == 0)
        world.run(5)
        world.add_primary(decode_primary("a", {"id": "sensor", "interval": 1}), epoch=epoch)
    values = [data["value"] for _, _, data in world.written]
    assert values == sorted(values), "something older was written after something newer"
    assert all(value >= 20 for value in values)
    world.sensors[KEY] = lambda _: 500.0
    world.faults = Faults()
    world.run(20)
    assert world.blocks[FOLLOWER] == {"value": 500.0}
    assert world.replicas[0].status(world.now).freshness == "fresh"
    json.dumps(world.replicas[0].status(world.now).as_dict())


def test_a_step_is_under_way_only_once() -> None:
    world = alone()
    brain = world.replicas[0]
    world.deliver(KEY, encode_body({"value": 1.0}))
    world._work = lambda _: None  # type: ignore[method-assign]
    world.run(0.1)
    assert isinstance(brain.next_step(world.now), ReadOwn)
    assert brain.next_step(world.now) is None
    assert isinstance(brain.on_own({"value": 0.5}, world.now), Write)
    assert brain.next_step(world.now) is None
    brain.on_written(None, world.now)
    assert brain.next_step(world.now) is None


def test_what_was_superseded_while_the_block_was_read_is_not_written() -> None:
    world = alone()
    brain = world.replicas[0]
    world._work = lambda _: None  # type: ignore[method-assign]
    for value in (1.0, 2.0):
        world.deliver(KEY, encode_body({"value": value}))
        world.run(0.1)
        brain.next_step(world.now)
    assert brain.on_own({"value": 0.5}, world.now) == Write({"value": 2.0})
    assert dropped(world) == {"superseded": 1}


def test_what_became_too_old_while_the_block_was_read_is_not_written() -> None:
    world = alone(ttl=2)
    brain = world.replicas[0]
    world._work = lambda _: None  # type: ignore[method-assign]
    world.deliver(KEY, encode_body({"value": 1.0}))
    world.run(0.1)
    brain.next_step(world.now)
    assert brain.on_own({"value": 0.5}, world.now + 2.1) is None
    assert dropped(world) == {"late": 1}
    assert brain.next_step(world.now + 2.1) is None
    assert not brain.has_message
