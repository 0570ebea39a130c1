"""The marks of version 2 around a message: what every message is checked for, and the seal over all of it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..core.strict import (
    MAX_PAYLOAD_BYTES,
    Reason,
    Refused,
    check_properties,
    check_topic_level,
    decode_decimal,
)
from ..link.message import Message

VERSION = "2"
MAX_TIME = 1 << 33
SIGNATURE_MARKS = ("seq", "key", "signature")
"""What a signature adds to a sealed message (`signatures`)."""


def seal(message: Message, properties: Iterable[tuple[str, str]]) -> Message:
    """``message`` as a version 2 message with these further properties and the digest over all of it."""
    marked = (*message.properties, ("samesky", VERSION), *properties)
    return replace(message, properties=(*marked, ("digest", _digest(message.payload, dict(marked)))))


def check_seal(message: Message, properties: Mapping[str, str]) -> None:
    """Refuse (digest) a message of which anything has changed since `seal`."""
    covered = {name: value for name, value in properties.items() if name not in ("digest", *SIGNATURE_MARKS)}
    if properties.get("digest") != _digest(message.payload, covered):
        raise Refused(Reason.DIGEST, "the digest doesn't fit: the message was changed on its way")


def _digest(payload: bytes, properties: Mapping[str, str]) -> str:
    digest = hashlib.blake2b(payload, digest_size=16)
    said = "".join([f"\0{name}\0{value}" for name, value in sorted(properties.items())])
    digest.update(said.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def decode_stream(properties: Mapping[str, str]) -> str:
    """The stream that ``data_binding`` names: ``<instance>/<binding>``."""
    instance, separator, binding = properties.get("data_binding", "").partition("/")
    if not separator:
        raise Refused(Reason.REQUIRED, "the user property data_binding = <instance>/<binding> is missing")
    return f"{check_topic_level(instance)}/{check_topic_level(binding)}"


def open_envelope(message: Message) -> dict[str, str]:
    """The checked user properties; refuses the empty, the too large, and another version."""
    if not message.payload and dict(message.properties[:32]).get("kind") != "error":
        raise Refused(Reason.EMPTY, "the payload is empty")
    if len(message.payload) > MAX_PAYLOAD_BYTES:
        raise Refused(Reason.SIZE, f"the payload is larger than {MAX_PAYLOAD_BYTES} bytes")
    properties = check_properties(message.properties)
    if properties.get("samesky", VERSION) != VERSION:
        raise Refused(Reason.VERSION, f"this peer speaks versions 1 and {VERSION}")
    return properties


@dataclass(frozen=True, slots=True)
class StandIn:
    """A copy that answers for its primary."""

    name: str
    """Its response topic, by which it knows its own answers."""
    proven: int
    """Time of the record up to which it was proven the same."""

    def properties(self) -> tuple[tuple[str, str], ...]:
        """What each of its answers carries."""
        return (("copy", self.name), ("proven", str(self.proven)))


def decode_stand_in(properties: Mapping[str, str]) -> StandIn | None:
    """The copy that answers; None when the primary itself does."""
    if "copy" not in properties:
        return None
    return StandIn(properties["copy"], decode_property(properties, "proven", 0, MAX_TIME, 0))


def decode_property(properties: Mapping[str, str], name: str, low: int, high: int, default: int | None = None) -> int:
    """The user property ``name`` as a decimal number; raises `Refused` (required, bad_request)."""
    text = properties.get(name)
    if text is None:
        if default is None:
            raise Refused(Reason.REQUIRED, f"the user property {name} is missing")
        return default
    return decode_decimal(text.encode("utf-8", "replace"), low=low, high=high)
