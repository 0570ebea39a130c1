"""What Home Assistant is to show of a stream, in one message of its MQTT discovery (device discovery, since 2024.11).

Its templates only name members of the status message: what is null there is "None" then, which means unknown to it. A
state of its entities has 255 characters at most.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

from .. import __version__
from ..core.status import Snapshot
from ..link.message import Message
from .status_message import CONTENT_TYPE, name_role, spell_presence_topic, spell_stream_topic

EXPIRES_AFTER_S: Final = 900
"""Status messages come every five minutes; without any for so long, nothing is known."""
_BOTH: Final[Mapping[str, Mapping[str, object]]] = {
    "problem": {
        "platform": "binary_sensor",
        "name": "Problem",
        "device_class": "problem",
        "value_template": "{{ value_json.problem }}",
    },
    "status": {"platform": "sensor", "name": "Status", "value_template": "{{ value_json.words[:255] }}"},
    "newest": {
        "platform": "sensor",
        "name": "Newest record",
        "device_class": "timestamp",
        "value_template": "{{ value_json.times.newest }}",
    },
}
_OF_A_COPY: Final[Mapping[str, Mapping[str, object]]] = {
    "same": {
        "platform": "binary_sensor",
        "name": "Same as the primary",
        "value_template": "{{ value_json.same }}",
    },
    "proven_at": {
        "platform": "sensor",
        "name": "Proven the same",
        "device_class": "timestamp",
        "value_template": "{{ value_json.times.proven_at }}",
    },
    "lag": {
        "platform": "sensor",
        "name": "Behind",
        "device_class": "duration",
        "state_class": "measurement",
        "unit_of_measurement": "s",
        "value_template": "{{ value_json.lag_s }}",
    },
}


def encode_discovery(prefix: str, topic: str, snapshot: Snapshot, client_id: str) -> Message:
    """The message, retained, that has Home Assistant show a stream; an empty one on its topic makes it forget that.

    ``prefix`` is where Home Assistant looks, ``topic`` where status messages are.
    """
    role = name_role(snapshot)
    name = f"samesky_{_spell_id(f'{snapshot.stream} {role} {client_id}')}"
    document = {
        "device": {
            "identifiers": [name],
            "name": f"{snapshot.stream} {role}",
            "manufacturer": "samesky",
            "model": f"{role} of a WeeWX database",
            "serial_number": client_id,
            "sw_version": __version__,
        },
        "origin": {"name": "samesky", "sw_version": __version__},
        "availability_topic": spell_presence_topic(topic, client_id),
        "payload_available": "online",
        "payload_not_available": "offline",
        "state_topic": spell_stream_topic(topic, snapshot, client_id),
        "components": {key: _make_component(name, key, shown) for key, shown in _shown(snapshot).items()},
    }
    payload = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Message(f"{prefix}/device/{name}/config", payload, retain=True, content_type=CONTENT_TYPE)


def _shown(snapshot: Snapshot) -> Mapping[str, Mapping[str, object]]:
    return {**_BOTH, **_OF_A_COPY} if snapshot.is_copy else _BOTH


def _make_component(device: str, key: str, shown: Mapping[str, object]) -> dict[str, object]:
    made = {"unique_id": f"{device}_{key}", **shown, "expire_after": EXPIRES_AFTER_S}
    if shown["platform"] == "binary_sensor":
        made |= {"payload_on": "True", "payload_off": "False"}  # as its templates write true and false
    return made


def _spell_id(text: str) -> str:
    """``text`` in the letters that Home Assistant takes, and what makes it different from all others."""
    mark = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{re.sub('[^a-zA-Z0-9_-]+', '_', text).strip('_')[:80]}_{mark}"
