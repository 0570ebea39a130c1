"""The will: what the broker publishes for us when our connection ends without a farewell (MQTT v5, 3.1.2.5).

A broker that doesn't want our will refuses the whole connection. What a link carries is worth more than its will, so
``mqtt.py`` then connects without it and says so.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from .packet import encode_publish

if TYPE_CHECKING:
    from .mqtt import MqttSettings

_WILL_PROPERTIES = 99  # what paho calls this set of properties

REFUSALS = frozenset({0x80, 0x83, 0x87, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B})
"""The CONNACK reason codes (3.2.2.2) that a will may be the reason of: not authorized, topic, size, quota, payload
format, retain, QoS, and those that say nothing."""


def check_will(settings: "MqttSettings") -> None:
    """Raise ``ValueError`` for a will that can't be MQTT."""
    if settings.will is not None:
        encode_publish(settings.will)
        if not 0 <= settings.will_delay_s <= 0xFFFFFFFF:
            raise ValueError("will_delay_s is outside 0 to 4,294,967,295")


def set_will(paho: ModuleType, client: Any, settings: "MqttSettings") -> None:
    """Have a client of paho's leave the will of ``settings``, which has one, with the broker; at QoS 1 at most."""
    will = settings.will
    assert will is not None
    properties = paho.Properties(_WILL_PROPERTIES)
    if settings.will_delay_s:
        properties.WillDelayInterval = settings.will_delay_s
    if will.expiry_s is not None:
        properties.MessageExpiryInterval = will.expiry_s
    if will.content_type is not None:
        properties.ContentType = will.content_type
    for pair in will.properties:
        properties.UserProperty = pair  # assigned several times, paho sends them all
    client.will_set(will.topic, bytes(will.payload), min(will.qos, 1), will.retain, properties)
