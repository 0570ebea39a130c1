"""Controllers of two generations, one following the other over a real RabbitMQ and a real mosquitto."""

from pathlib import Path

import pytest

from samesky.blocks.blocks_settings import ServiceSettings
from samesky.blocks.carriers import AmqpCarrier
from samesky.blocks.controllers import open_objects
from samesky.blocks.links import PrimaryLink, ReplicaLink, decode_primary, decode_replica
from samesky.blocks.mqtt_carrier import MqttCarrier
from samesky.blocks.objects import Block
from samesky.blocks.registry import Registry
from samesky.blocks.service import Synchronising
from samesky.link.amqp_settings import AmqpSettings
from samesky.link.amqp_url import read_amqp_url
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttSettings
from stands.amqp_ends import wait_until
from stands.blocks_controllers import Controller2018, ControllerToday
from stands.blocks_objects import run
from stands.rabbitmq import RabbitmqNode

pytestmark = pytest.mark.slow

DEGREES = {"__bloxtype": "Quantity", "unit": "degC", "value": 1.0}


def test_a_sensor_of_2018_drives_a_setting_of_today_and_that_a_block_over_mqtt(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    """The old controller's own field names are translated; what the newer one is told, it is told by patches alone."""
    with (
        Controller2018("old") as old,
        ControllerToday("new") as new,
        MosquittoBroker(dir=tmp_path / "mqtt") as mosquitto,
    ):
        old.put(Block("sensor", {"value[degC]": 20.5, "valid": True}, "TempSensorOneWire", (0,)))
        new.put(Block("setpoint", {"storedSetting": DEGREES, "enabled": True}, "SetpointSensorPair"))
        new.put(Block("mirror", {"storedSetting": DEGREES, "enabled": False}, "SetpointSensorPair"))
        links: list[PrimaryLink | ReplicaLink] = [
            decode_primary("old", {"id": "sensor", "interval": 0.2}),
            decode_primary("new", {"id": "setpoint", "interval": 0.2, "link": "mqtt"}),
            decode_replica(
                "new",
                {"id": "setpoint", "key": "old.sensor", "translations": {"value[degC]": "storedSetting/value"}},
            ),
            decode_replica("new", {"id": "mirror", "key": "new.setpoint", "link": "mqtt"}),
        ]

        def value_of(id: str) -> object:
            return new.blocks[id]["data"]["storedSetting"]["value"]

        async def test() -> None:
            amqp = AmqpCarrier(AmqpSettings(urls=(read_amqp_url(rabbitmq.url, environment={}),)))
            mqtt = MqttCarrier(MqttSettings("samesky-blocks", port=mosquitto.port))
            objects = {
                "old": open_objects(ServiceSettings("old", "2018", old.url)),
                "new": open_objects(ServiceSettings("new", "today", new.url)),
            }
            with Registry(tmp_path / "links.sdb") as registry:
                async with Synchronising(registry, objects=objects, carriers={"amqp": amqp, "mqtt": mqtt}) as service:
                    for link in links:
                        assert await service.add(link)
                    await wait_until(lambda: value_of("mirror") == 20.5, 30, what="the first value")
                    old.put(Block("sensor", {"value[degC]": 21.5, "valid": True}, "TempSensorOneWire", (0,)))
                    await wait_until(lambda: value_of("mirror") == 21.5, 30, what="the second value")
                    old.put(Block("sensor", {"value[degC]": None, "valid": False}, "TempSensorOneWire", (0,)))
                    await wait_until(
                        lambda: any(each.dropped.get("null") for each in service.status()[1]), 30, what="the null"
                    )

        run(test)
        assert value_of("setpoint") == value_of("mirror") == 21.5
        assert new.blocks["mirror"]["data"]["enabled"] is True
        assert new.blocks["setpoint"]["data"]["storedSetting"]["unit"] == "degC"
        assert {each for each in new.requests if "write" in each} == set()
