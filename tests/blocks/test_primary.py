"""When a primary is read and what is broadcast (blocks/primary.py)."""

from typing import Any

import pytest

from samesky.blocks.links import decode_primary
from samesky.blocks.loops import Lineage
from samesky.blocks.primary import Broadcast, PrimaryBrain, is_near

WALL_S = 1_700_000_000.0


def make_brain(**told: Any) -> PrimaryBrain:
    """A primary that begins at 100 s."""
    return PrimaryBrain(decode_primary("spark", {"id": "sensor", "interval": 5, **told}), epoch=7, now=100.0)


def read(brain: PrimaryBrain, value: Any, now: float, **more: Any) -> Broadcast | None:
    """Read ``value`` at ``now``, and have the broker take what comes of it."""
    brain.begin_reading(now)
    broadcast = brain.on_read({"value": value}, now, wall_s=WALL_S + now, **more)
    if broadcast is not None:
        brain.on_published(now)
    return broadcast


def test_a_block_is_read_at_once_and_then_on_the_beat_of_its_interval() -> None:
    brain = make_brain()
    assert brain.next_time() == 100.0
    for now, then in ((100.0, 105.0), (105.7, 110.0), (110.0, 115.0)):
        read(brain, 1, now)
        assert brain.next_time() == then


def test_beats_that_were_missed_are_left_out() -> None:
    brain = make_brain()
    read(brain, 1, 100.0)
    read(brain, 1, 131.0)
    assert brain.next_time() == 135.0


def test_a_block_that_is_still_being_read_is_not_read_again() -> None:
    brain = make_brain()
    brain.begin_reading(100.0)
    assert brain.next_time() is None


def test_a_message_says_where_it_is_from_and_which_it_is() -> None:
    brain = make_brain()
    first, second = read(brain, 1, 100.0), read(brain, 1, 105.0)
    assert first is not None
    assert second is not None
    told = first.metadata
    assert (told.origin, told.hops, told.epoch, told.sequence, told.interval_s) == ("spark.sensor", 0, 7, 1, 5.0)
    assert told.sent_s == WALL_S + 100.0
    assert second.metadata.sequence == 2


def test_a_block_that_was_given_its_data_passes_on_where_they_are_from() -> None:
    broadcast = read(make_brain(), 1, 100.0, lineage=Lineage("other.sensor", 2))
    assert broadcast is not None
    assert (broadcast.metadata.origin, broadcast.metadata.hops) == ("other.sensor", 2)


def published(brain: PrimaryBrain, values: list[Any]) -> list[Any]:
    """What is broadcast of these, read one every interval."""
    times = [100.0 + brain.link.interval_s * place for place in range(len(values))]
    heard = [read(brain, value, now) for value, now in zip(values, times, strict=True)]
    return [broadcast.data["value"] for broadcast in heard if broadcast is not None]


def test_everything_that_is_read_is_broadcast_unless_the_link_says_otherwise() -> None:
    assert published(make_brain(), [1, 1, 1, 2]) == [1, 1, 1, 2]


def test_only_changes_are_broadcast_where_the_link_says_so() -> None:
    assert published(make_brain(publish="on_change"), [1, 1, 2, 2, 1]) == [1, 2, 1]


def test_what_does_not_change_is_said_again_after_a_while() -> None:
    brain = make_brain(publish="on_change", max_period=15)
    assert len(published(brain, [1] * 10)) == 4


def test_small_changes_are_none_and_many_small_ones_are_one() -> None:
    brain = make_brain(publish="on_change", deadband=0.5)
    assert published(brain, [20.0, 20.3, 20.5, 20.6, 20.9, 21.2]) == [20.0, 20.6, 21.2]


def test_messages_keep_their_distance() -> None:
    brain = make_brain(publish="on_change", min_period=10, max_period=60)
    assert published(brain, [1, 2, 3, 4, 5]) == [1, 3, 5]


def test_what_the_broker_did_not_take_is_said_again_though_it_has_not_changed() -> None:
    brain = make_brain(publish="on_change")
    read(brain, 1, 100.0)
    brain.begin_reading(105.0)
    assert brain.on_read({"value": 2}, 105.0, wall_s=WALL_S) is not None
    brain.on_publish_failed("the broker is away", "start it")
    status = brain.status(106.0)
    assert (status.health, status.last_error, status.hint) == ("failing", "the broker is away", "start it")
    assert read(brain, 2, 110.0) is not None
    assert brain.status(110.0).health == "ok"


def test_a_block_that_cannot_be_read_says_nothing_and_is_told() -> None:
    brain = make_brain()
    brain.begin_reading(100.0)
    brain.on_read_failed("the controller doesn't answer")
    status = brain.status(101.0)
    assert (status.health, status.failed) == ("failing", {"read": 1})
    assert brain.next_time() == 105.0


def test_a_goodbye_has_the_last_data_for_those_who_do_not_know_the_word() -> None:
    brain = make_brain()
    assert brain.goodbye(wall_s=WALL_S) is None
    read(brain, 1, 100.0)
    last = brain.goodbye(wall_s=WALL_S)
    assert last is not None
    assert (last.data, last.metadata.state, last.metadata.sequence) == ({"value": 1}, "goodbye", 2)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        (1, 1.5, True),
        (1, 1.6, False),
        ({"a": [1, 2]}, {"a": [1.5, 2]}, True),
        ({"a": 1}, {"b": 1}, False),
        ([1], [1, 2], False),
        (True, 1, False),
        ("a", "a", True),
        ("a", "b", False),
        (None, None, True),
        (None, 0, False),
    ],
)
def test_what_is_near(one: Any, other: Any, near: bool) -> None:
    assert is_near(one, other, 0.5) is near
