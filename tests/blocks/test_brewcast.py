"""Blocks of today's Brewblox over a real mosquitto (blocks/brewcast*.py); tests/blocks/test_objects.py has the rest."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from samesky.blocks.blocks_settings import ServiceSettings
from samesky.blocks.brewcast import Brewcast
from samesky.blocks.brewcast_events import decode_patch, decode_state, shows
from samesky.blocks.controllers import open_objects
from samesky.blocks.links import decode_primary, decode_replica
from samesky.blocks.mqtt_carrier import MqttCarrier
from samesky.blocks.objects import Block, NoSuchBlock
from samesky.blocks.registry import Registry
from samesky.blocks.service import Synchronising
from samesky.core.strict import Reason, Refused
from samesky.errors import DataError, Unreachable
from samesky.link.broker import MosquittoBroker
from samesky.link.broker_url import read_broker_url
from samesky.link.mqtt import MqttSettings
from stands.amqp_ends import wait_until
from stands.blocks_brewcast import BrewcastStand
from stands.blocks_objects import run
from stands.ports import free_port
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

numbers = count()
DEGREES = {"__bloxtype": "Quantity", "unit": "degC", "value": 20.0}
BLOCK = Block("setpoint", {"setting": DEGREES, "enabled": True, "seen": {"now": 1, "wanted": 2}}, "SetpointSensorPair")


@pytest.fixture(scope="module")
def broker() -> Iterator[MosquittoBroker]:
    with MosquittoBroker() as broker:
        yield broker


@contextmanager
def opened(port: int, name: str, *, timeout_s: float = 30.0) -> Iterator[Brewcast]:
    """The blocks of the service ``name``; asked on a loop each time."""
    objects = Brewcast(MqttSettings(f"test-{next(numbers)}", host="127.0.0.1", port=port), name, timeout_s=timeout_s)
    try:
        yield objects
    finally:
        run(objects.close)


@pytest.fixture
def spark(broker: MosquittoBroker) -> Iterator[BrewcastStand]:
    """A service with one block, of a name of its own."""
    with BrewcastStand(broker.port, f"spark-{next(numbers)}") as stand:
        stand.put(BLOCK)
        yield stand


def with_setting(value: object) -> dict[str, Any]:
    return {**BLOCK.data, "setting": {**DEGREES, "value": value}}


def change(objects: Brewcast, data: dict[str, Any]) -> object:
    """What is told to have been written."""

    async def do() -> object:
        return await objects.write(await objects.read(BLOCK.id), data)

    return run(do)


def read_patiently(objects: Brewcast) -> Block:
    """The block, though what is asked for isn't waited for as long as a busy machine may take."""

    def read() -> Block | None:
        try:
            return run(lambda: objects.read(BLOCK.id))
        except Unreachable:
            return None

    block = wait_for(read, 60, what="the block", explain=lambda: objects.trouble)
    assert block is not None
    return block


def test_only_what_differs_is_sent(broker: MosquittoBroker, spark: BrewcastStand) -> None:
    with opened(broker.port, spark.service) as objects:
        assert change(objects, with_setting(21.5)) == with_setting(21.5)
        assert spark.written == [("patch", {"setting": {**DEGREES, "value": 21.5}})]
        assert change(objects, {"enabled": False}) == {"enabled": False}
        assert spark.written[1:] == [("write", {"enabled": False})]


def test_what_the_controller_makes_of_a_write_is_told(broker: MosquittoBroker, spark: BrewcastStand) -> None:
    spark.adjust = lambda data: {**data, "setting": {**data["setting"], "value": 21.4998}, "seen": {"now": 9}}
    with opened(broker.port, spark.service) as objects:
        assert change(objects, with_setting(21.5)) == {**with_setting(21.4998), "seen": {"now": 9}}


def test_a_write_that_no_event_shows_has_failed(broker: MosquittoBroker, spark: BrewcastStand) -> None:
    """Though the service tells its blocks again and again, and one of them moves."""
    spark.takes_writes = False
    with opened(broker.port, spark.service, timeout_s=2.0) as objects:
        block = read_patiently(objects)

        async def move() -> None:
            for number in range(5):
                await asyncio.sleep(0.1)
                spark.put(Block(BLOCK.id, {**BLOCK.data, "seen": {"now": number, "wanted": 2}}, BLOCK.type))

        async def do() -> None:
            await asyncio.gather(objects.write(block, with_setting(21.5)), move())

        with pytest.raises(DataError, match="setpoint hasn't become what was written within 2 s") as raised:
            run(do)
        assert "its log says why" in raised.value.hint


def test_a_service_that_is_silent_is_told_and_a_retained_state_is_never_read(broker: MosquittoBroker) -> None:
    with BrewcastStand(broker.port, "retained") as stand:
        stand.put(BLOCK)
        stand.tell_state()
        stand.tells = False
        with opened(broker.port, "retained", timeout_s=0.5) as objects:
            with pytest.raises(Unreachable, match=r"hasn't told the block setpoint within 0\.5 s") as raised:
                run(lambda: objects.read(BLOCK.id))
            assert "brewcast/state/retained" in raised.value.hint
            with pytest.raises(Unreachable):
                run(objects.list)
            stand.tells = True
            assert read_patiently(objects).data == BLOCK.data


def test_a_service_that_has_died_is_told_at_once(broker: MosquittoBroker, spark: BrewcastStand) -> None:
    with opened(broker.port, spark.service) as objects:
        run(lambda: objects.read(BLOCK.id))
        spark.tell_will()
        run(lambda: wait_until(lambda: "died" in objects.trouble, 30, what="the will"))
        with pytest.raises(Unreachable, match="it has died, says its will"):
            change(objects, with_setting(1.0))
        spark.tells = True
        run(lambda: wait_until(lambda: objects.trouble == "", 30, what="the next state"))


def test_a_controller_that_is_not_connected_to_its_service_is_told(
    broker: MosquittoBroker, spark: BrewcastStand
) -> None:
    """There are no blocks then, which doesn't mean that they were deleted."""
    spark.connection_status = "DISCONNECTED"
    spark.tell_state()
    with (
        opened(broker.port, spark.service) as objects,
        pytest.raises(Unreachable, match="its controller is disconnected"),
    ):
        run(lambda: objects.read(BLOCK.id))


def test_a_broker_that_is_away_is_told_and_then_used_again(tmp_path: Path) -> None:
    with (
        MosquittoBroker(dir=tmp_path / "broker") as broker,
        BrewcastStand(broker.port) as stand,
        opened(broker.port, stand.service) as objects,
    ):
        stand.put(BLOCK)
        assert run(lambda: objects.read(BLOCK.id)).data == BLOCK.data
        stand.tells = False
        broker.kill()
        run(lambda: wait_until(lambda: objects.trouble != "", 30, what="the end of the connection"))
        broker.start()
        run(lambda: wait_until(lambda: stand.is_connected and objects.trouble == "", 30, what="the connections"))
        stand.tells = True
        assert run(lambda: objects.read(BLOCK.id)).data == BLOCK.data


def test_a_broker_that_is_not_there_is_told() -> None:
    with opened(free_port(), "spark", timeout_s=0.3) as objects:
        with pytest.raises(Unreachable, match="can't be used") as raised:
            run(objects.list)
        assert "look whether it runs" in raised.value.hint


def test_a_broker_that_lets_nobody_write_is_told(tmp_path: Path) -> None:
    rights = "topic read brewcast/#\ntopic write brewcast/state/#\n"
    with (
        MosquittoBroker(dir=tmp_path / "broker", acl=rights) as broker,
        BrewcastStand(broker.port) as stand,
        opened(broker.port, stand.service, timeout_s=2.0) as objects,
    ):
        stand.put(BLOCK)
        block = read_patiently(objects)
        with pytest.raises(Unreachable, match="refuses what is published on brewcast/spark/blocks/patch") as raised:
            run(lambda: objects.write(block, with_setting(21.5)))
        assert "rights" in raised.value.hint


def test_events_that_are_none_change_nothing_and_are_logged_seldom(
    broker: MosquittoBroker, spark: BrewcastStand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    topic = f"brewcast/state/{spark.service}"
    with opened(broker.port, spark.service) as objects:
        run(lambda: objects.read(BLOCK.id))
        for payload in (b"", b"{", b"[]", b'{"type": "Other.state", "data": {"blocks": []}}', b"\xff"):
            spark.tell(topic, payload)
            spark.tell(f"{topic}/patch", payload)
        spark.tell(f"{topic}/patch", {"type": "Spark.patch", "data": {"changed": [{"id": "setpoint"}]}})
        change(objects, with_setting(21.5))
        assert run(lambda: objects.read(BLOCK.id)).data == with_setting(21.5)
        assert run(objects.list) == ["setpoint"]
    lines = [record.message for record in caplog.records if record.message.startswith("brewcast_event_refused")]
    assert len(lines) == 1


def test_a_block_that_is_deleted_while_it_is_written_is_told_at_once(
    broker: MosquittoBroker, spark: BrewcastStand
) -> None:
    spark.takes_writes = False
    with opened(broker.port, spark.service) as objects:

        async def do() -> None:
            writing = asyncio.ensure_future(objects.write(await objects.read(BLOCK.id), with_setting(1.0)))
            await asyncio.sleep(0)
            spark.remove(BLOCK.id)
            await writing

        with pytest.raises(NoSuchBlock, match=f"{spark.service} has no block setpoint"):
            run(do)


@pytest.mark.parametrize("name", ["a/b", "+", "#", "", "$SYS"])
def test_a_name_that_means_something_in_a_topic_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        Brewcast(MqttSettings("test"), name)


def test_a_sensor_over_mqtt_drives_a_setting_over_mqtt(broker: MosquittoBroker, tmp_path: Path) -> None:
    """Both services are today's, and neither is reached over HTTP; the link between them is over MQTT too."""
    url = read_broker_url(f"mqtt://127.0.0.1:{broker.port}", environment={})
    with BrewcastStand(broker.port, "one") as one, BrewcastStand(broker.port, "two", tells_writes=False) as two:
        one.put(Block("sensor", {"value": {**DEGREES, "value": 18.25}}, "TempSensorOneWire"))
        two.put(BLOCK)

        async def test() -> None:
            objects = {
                "one": open_objects(ServiceSettings("one", "brewcast", "one", broker=url)),
                "other": open_objects(ServiceSettings("other", "brewcast", "two", broker=url)),
            }
            carrier = MqttCarrier(MqttSettings("samesky-blocks-brewcast", host="127.0.0.1", port=broker.port))
            with Registry(tmp_path / "links.sdb") as registry:
                async with Synchronising(registry, objects=objects, carriers={"mqtt": carrier}) as service:
                    await service.add(decode_primary("one", {"id": "sensor", "interval": 0.2, "link": "mqtt"}))
                    link = {"id": "setpoint", "key": "one.sensor", "link": "mqtt"}
                    translations = {"value/value": "setting/value"}
                    await service.add(decode_replica("other", {**link, "translations": translations}))
                    await wait_until(lambda: value_of(two) == 18.25, 30, what="the first value")
                    one.put(Block("sensor", {"value": {**DEGREES, "value": 19.5}}, "TempSensorOneWire"))
                    await wait_until(lambda: value_of(two) == 19.5, 30, what="the second value")

        run(test)
        assert two.blocks["setpoint"]["data"] == with_setting(19.5)
        assert {kind for kind, _ in two.written} == {"patch"}


def value_of(stand: BrewcastStand) -> object:
    return stand.blocks["setpoint"]["data"]["setting"]["value"]


# ---------------------------------------------------------------------- events


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "Spark.patch", "data": {}}, Reason.VERSION),
        ({"data": {"blocks": []}}, Reason.VERSION),
        ({"type": "Spark.state", "data": []}, Reason.SHAPE),
        ({"type": "Spark.state", "data": {}}, Reason.SHAPE),
        ({"type": "Spark.state", "data": {"blocks": [5]}}, Reason.REQUIRED),
        ({"type": "Spark.state", "data": {"blocks": [{"id": 5, "data": {}}]}}, Reason.REQUIRED),
        ({"type": "Spark.state", "data": {"blocks": [{"id": "a", "data": []}]}}, Reason.SHAPE),
        ({"type": "Spark.state", "data": {"blocks": [{"id": "a", "type": 1, "data": {}}]}}, Reason.SHAPE),
    ],
)
def test_a_state_that_is_none_is_refused(event: object, reason: Reason) -> None:
    with pytest.raises(Refused) as raised:
        decode_state(json.dumps(event).encode())
    assert raised.value.reason == reason


@pytest.mark.parametrize("deleted", ["a", [5], {}])
def test_a_patch_whose_deleted_blocks_are_none_is_refused(deleted: object) -> None:
    with pytest.raises(Refused):
        decode_patch(json.dumps({"type": "Spark.patch", "data": {"deleted": deleted}}).encode())


def test_an_event_may_leave_out_what_does_not_matter_here() -> None:
    state = decode_state(b'{"type": "Spark.state", "data": {"blocks": [{"id": "a", "data": {"value": 1}}]}}')
    assert (state.away, dict(state.blocks)) == ("", {"a": Block("a", {"value": 1})})
    assert decode_patch(b'{"type": "Spark.patch", "data": {}}').deleted == frozenset()


@pytest.mark.parametrize(
    ("told", "is_shown"),
    [
        ({"a": 2, "b": {"c": 1, "d": 1}}, False),  # as it was
        ({"a": 3, "b": {"c": 1, "d": 1}}, False),  # the half of it
        ({"a": 3, "b": {"c": 5, "d": 1}}, True),
        ({"a": 2.99, "b": {"c": 4.5, "d": 1}}, True),  # rounded, bounded
        ({"a": 3, "b": {"c": 1, "d": 7}}, False),  # something else moved beside it
        ({"a": 3, "b": {"c": 5, "d": 7}, "more": 1}, True),
        ({"a": 3}, True),  # what holds it is something else now
        ({}, True),
    ],
)
def test_a_write_is_shown_by_what_has_become_of_its_values(told: dict[str, Any], is_shown: bool) -> None:
    assert shows({"a": 2, "b": {"c": 1, "d": 1}}, {"a": 3, "b": {"c": 5, "d": 1}}, told) is is_shown


def test_what_is_to_vanish_has_vanished_or_become_something_else() -> None:
    assert not shows({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2})
    assert shows({"a": 1, "b": 2}, {"a": 1}, {"a": 1})
    assert shows({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 0})
