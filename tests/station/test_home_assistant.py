"""What Home Assistant is told: the rules of its MQTT discovery, and that its templates find what they name."""

import json
import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from samesky.core.status import Snapshot
from samesky.station.home_assistant import encode_discovery
from samesky.station.status_message import encode_presence, encode_status

# What its documentation allows: integrations/mqtt (device discovery), sensor.mqtt, binary_sensor.mqtt.
OF_ALL = {"device", "origin", "components", "state_topic", "availability_topic"}
OF_ALL |= {"payload_available", "payload_not_available"}
OF_A_DEVICE = {"identifiers", "connections", "name", "manufacturer", "model", "serial_number", "sw_version"}
OF_AN_ENTITY = {"platform", "unique_id", "name", "device_class", "value_template", "expire_after"}
OF_A_PLATFORM = {
    "sensor": OF_AN_ENTITY | {"state_class", "unit_of_measurement"},
    "binary_sensor": OF_AN_ENTITY | {"payload_on", "payload_off"},
}
DEVICE_CLASSES = {"sensor": {None, "duration", "timestamp"}, "binary_sensor": {None, "problem"}}
TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")

COPY = Snapshot(
    stream="home/wx_binding",
    role="requester",
    state="live",
    position=1_700_000_000,
    proven_at=1_700_000_030.5,
    lag_s=12.5,
    different=False,
)
PRIMARY = Snapshot(stream="home/wx_binding", role="responder", state="live")


def discover(snapshot: Snapshot, client_id: str = "roof") -> dict[str, Any]:
    document = json.loads(encode_discovery("homeassistant", "replicate/status", snapshot, client_id).payload)
    assert isinstance(document, dict)
    return document


def render(template: str, told: dict[str, Any]) -> str:
    """What Jinja makes of a template that names a member, as all of ours do."""
    named = re.fullmatch(r"\{\{ value_json\.([a-z_.]+)(\[:255\])? \}\}", template)
    assert named, template
    value: Any = told
    for name in named[1].split("."):
        value = value[name]
    return str(value[:255] if named[2] else value)


@pytest.mark.parametrize("snapshot", [COPY, PRIMARY], ids=["copy", "primary"])
def test_the_message_is_one_of_device_discovery(snapshot: Snapshot) -> None:
    message = encode_discovery("homeassistant", "replicate/status", snapshot, "roof")
    assert TOPIC.fullmatch(message.topic)
    assert message.retain
    assert message.expiry_s is None  # it would have Home Assistant forget the stream
    document = json.loads(message.payload)
    assert set(document) <= OF_ALL
    assert set(document["device"]) <= OF_A_DEVICE
    assert document["device"]["identifiers"]
    assert document["origin"]["name"] == "samesky"
    for component in document["components"].values():
        assert set(component) <= OF_A_PLATFORM[component["platform"]]
        assert component.get("device_class") in DEVICE_CLASSES[component["platform"]]
        assert component["unique_id"]


def test_what_it_is_to_listen_to_is_what_is_published() -> None:
    document = discover(COPY)
    assert document["state_topic"] == encode_status("replicate/status", COPY, "roof", 0.0).topic
    for online, payload in ((True, "payload_available"), (False, "payload_not_available")):
        presence = encode_presence("replicate/status", "roof", online=online)
        assert (presence.topic, presence.payload.decode()) == (document["availability_topic"], document[payload])


def test_its_templates_find_what_they_name() -> None:
    told = json.loads(encode_status("replicate/status", COPY, "roof", 1_700_000_100.0).payload)
    found = {key: render(each["value_template"], told) for key, each in discover(COPY)["components"].items()}
    assert found == {
        "same": "True",
        "problem": "False",
        "lag": "12.5",
        "status": "the same",
        "newest": "2023-11-14T22:13:20+00:00",
        "proven_at": "2023-11-14T22:13:50+00:00",
    }
    assert datetime.fromisoformat(found["newest"]).timestamp() == COPY.position


def test_what_is_not_known_is_none_which_home_assistant_takes_for_unknown() -> None:
    unknown = replace(COPY, position=None, proven_at=None, lag_s=None, different=None)
    told = json.loads(encode_status("replicate/status", unknown, "roof", 1_700_000_100.0).payload)
    components = discover(unknown)["components"]
    for key in ("same", "lag", "newest", "proven_at"):
        assert render(components[key]["value_template"], told) == "None"


def test_long_words_are_cut_to_what_a_state_may_have() -> None:
    told = json.loads(encode_status("replicate/status", replace(COPY, last_error="x" * 600), "roof", 0.0).payload)
    components = discover(COPY)["components"]
    assert len(render(components["status"]["value_template"], told)) == 255


def test_a_primary_is_not_asked_whether_it_is_the_same() -> None:
    assert set(discover(PRIMARY)["components"]) == {"problem", "status", "newest"}


def test_no_two_streams_or_clients_are_taken_for_one() -> None:
    odd = [replace(COPY, stream=stream) for stream in ("home/a b", "home/a_b", "home/ä", "home/ö", "home/a/b")]
    messages = [encode_discovery("ha", "status", each, "roof") for each in (*odd, PRIMARY, COPY)]
    messages.append(encode_discovery("ha", "status", COPY, "cellar"))
    assert len({message.topic for message in messages}) == len(messages)
    names = [
        component["unique_id"] for each in messages for component in json.loads(each.payload)["components"].values()
    ]
    assert len(set(names)) == len(names)
