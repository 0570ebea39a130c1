"""RabbitMQ nodes: they end with their test, keep their ports, and bear what is done to them."""

import pytest

from stands.rabbitmq import RabbitmqNode

pytestmark = pytest.mark.slow


def test_a_node_is_asked_what_it_holds_in_milliseconds(rabbitmq: RabbitmqNode) -> None:
    assert rabbitmq.evaluate("1 + 1") == "2"
    assert (rabbitmq.list_exchanges(), rabbitmq.list_bindings("syncast")) == ([], [])
    assert (rabbitmq.count_connections(), rabbitmq.count_messages()) == (0, 0)


def test_an_operator_sees_what_the_stand_sees(rabbitmq: RabbitmqNode) -> None:
    assert "amq.topic\ttopic\ttrue\tfalse" in rabbitmq.control(
        "list_exchanges", "name", "type", "durable", "auto_delete"
    )


def test_a_node_that_was_starved_frozen_and_killed_is_healed_on_its_port(rabbitmq: RabbitmqNode) -> None:
    port = rabbitmq.port
    rabbitmq.raise_memory_alarm()
    rabbitmq.freeze()
    rabbitmq.kill()
    rabbitmq.heal()
    assert (rabbitmq.port, rabbitmq.evaluate("rabbit_alarm:get_alarms()")) == (port, "[]")
