"""Whether a JSON document is a WIS2 Notification Message: what the published schema (WNM 1.1) asks for, by hand.

By hand, because a general validator takes a thousand times as long, and because each refusal here has its reason.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from ..core.strict import Reason, Refused
from .fields import check_url_text, decode_size
from .pubtime import check_rfc3339

CORE = "http://wis.wmo.int/spec/wnm/1/conf/core"
"""What a message says it conforms to."""
METHODS = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})
"""The checksums of WIS2."""

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_NUMBERS = frozenset({int, float})


def check_message(document: Mapping[str, object]) -> dict[str, Any]:
    """Return ``document`` when it has the members, types and formats of a message, ``pubtime`` and values apart.

    That is: texts, numbers, objects and arrays are where they are due. What a checksum, inline content or ``pubtime``
    says is for whoever decodes it. Raises ``Refused``: REQUIRED, TYPE, SHAPE, VERSION, RANGE, URL, CHECKSUM, INLINE.
    """
    _check_version(document)
    if not _UUID.fullmatch(_text(document, "id")):
        raise Refused(Reason.SHAPE, "the id of a message must be a UUID")
    if _required(document, "type") != "Feature":
        raise Refused(Reason.SHAPE, "a message must be a GeoJSON Feature")
    if "geometry" not in document:
        raise Refused(Reason.REQUIRED, "the message has no geometry")
    if document["geometry"] is not None:
        _check_geometry(_object(document, "geometry"))
    _check_properties(_object(document, "properties"))
    links = _required(document, "links")
    if not isinstance(links, list) or not links:
        raise Refused(Reason.SHAPE, "a message must have an array of links")
    for link in links:
        _check_link(link)
    return cast(dict[str, Any], document)


def _check_version(document: Mapping[str, object]) -> None:
    claims, version = document.get("conformsTo"), document.get("version")
    if "conformsTo" in document and "version" in document:
        raise Refused(Reason.VERSION, "the message has both conformsTo and version")
    if version != "v04" and not (isinstance(claims, list) and CORE in claims):
        raise Refused(Reason.VERSION, "the message doesn't conform to WNM 1")


def _check_geometry(geometry: Mapping[str, object]) -> None:
    coordinates = geometry.get("coordinates")
    match geometry.get("type"):
        case "Point":
            sound = _is_position(coordinates)
        case "Polygon":
            sound = isinstance(coordinates, list) and all(
                isinstance(ring, list) and len(ring) >= 4 and all(map(_is_position, ring)) for ring in coordinates
            )
        case _:
            sound = False
    if not sound:
        raise Refused(Reason.SHAPE, "the geometry must be null, a Point or a Polygon")


def _is_position(value: object) -> bool:
    return isinstance(value, list) and len(value) >= 2 and _NUMBERS.issuperset(map(type, value))


def _check_properties(properties: Mapping[str, object]) -> None:
    if not _text(properties, "data_id"):
        raise Refused(Reason.REQUIRED, "the data_id is empty")
    _required(properties, "pubtime")
    for name in {"metadata_id", "producer", "global-cache"} & properties.keys():
        _text(properties, name)
    if not isinstance(properties.get("cache", True), bool):
        raise Refused(Reason.TYPE, "cache must be true or false")
    _check_times(properties)
    if "integrity" in properties:
        integrity = _object(properties, "integrity")
        if _text(integrity, "method") not in METHODS:
            raise Refused(Reason.CHECKSUM, "the method of the checksum isn't one of WIS2's")
        _text(integrity, "value")
    if "content" in properties:
        content = _object(properties, "content")
        decode_size(_required(content, "size"))
        _text(content, "encoding")
        _text(content, "value")


def _check_times(properties: Mapping[str, object]) -> None:
    instant, extent = "datetime" in properties, {"start_datetime", "end_datetime"} <= properties.keys()
    if instant == extent:
        raise Refused(Reason.SHAPE, "a message must have either datetime, or start_datetime and end_datetime")
    for name in ("datetime", "start_datetime", "end_datetime"):
        if name in properties and not (name == "datetime" and properties[name] is None):
            check_rfc3339(_text(properties, name))


def _check_link(link: object) -> None:
    if not isinstance(link, dict):
        raise Refused(Reason.TYPE, "a link must be an object")
    check_url_text(_required(link, "href"))
    for name in {"rel", "type", "hreflang", "title"} & (link.keys() | {"rel"}):
        _text(link, name)
    if "length" in link:
        decode_size(link["length"])
    if not isinstance(link.get("security", {}), dict):
        raise Refused(Reason.TYPE, "the security of a link must be an object")


def _required(members: Mapping[str, object], name: str) -> object:
    value = members.get(name)
    if value is None:
        raise Refused(Reason.REQUIRED, f"the message has no {name}")
    return value


def _text(members: Mapping[str, object], name: str) -> str:
    value = _required(members, name)
    if not isinstance(value, str):
        raise Refused(Reason.TYPE, f"{name} must be a text")
    return value


def _object(members: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = _required(members, name)
    if not isinstance(value, dict):
        raise Refused(Reason.TYPE, f"{name} must be an object")
    return value
