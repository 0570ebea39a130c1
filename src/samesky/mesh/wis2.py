"""The dialect of WIS2: WIS2 Notification Messages (WNM 1.1), GeoJSON over MQTT, read strictly and written strictly.

Where the file is kept here, and under which topic it is told, is in `wis2_topics`; what is a message, in
`wis2_message`. What a message has beyond an `Announcement` travels along in ``extra["wis2"]``, and is in the message
again when it is told onwards: a Global Cache changes its ``id`` and where the data is, and adds its own name (Guide to
WIS, part 2, 2.7.4).
"""

import json
import uuid
from base64 import b64encode
from collections.abc import Mapping
from posixpath import splitext
from typing import Any

from ..core.strict import Reason, Refused, decode_json_object, inflate
from .announcement import Announcement, Integrity, Operation
from .fields import MAX_ANNOUNCEMENT_BYTES, MAX_INLINE_BYTES, check_inline_size, decode_inline_text, decode_integrity
from .pubtime import decode_rfc3339, encode_rfc3339
from .wis2_message import CORE, METHODS, check_message
from .wis2_topics import centre_of_topic, data_of_path, path_of_data

MAX_INFLATED_BYTES = 1 << 20
"""The largest file that is taken from inline content in gzip."""

_VOCABULARY = "http://def.wmo.int/def/rel/wnm/-/"
_OPERATIONS: dict[str, Operation] = {
    "canonical": "put",
    "update": "put",
    "deletion": "remove",
    f"{_VOCABULARY}update": "put",
    f"{_VOCABULARY}deletion": "remove",
}
_MEDIA_TYPES = {
    ".bufr": "application/bufr",
    ".bufr4": "application/bufr",
    ".grib": "application/grib",
    ".grib2": "application/grib",
    ".csv": "text/csv",
    ".json": "application/json",
    ".nc": "application/x-netcdf",
    ".txt": "text/plain",
    ".xml": "application/xml",
}
# What an `Announcement` has a place for, or what is made anew for each message.
_TOLD_MEMBERS = frozenset({"id", "type", "topic", "properties", "links"})
_TOLD_PROPERTIES = frozenset({"data_id", "pubtime", "integrity", "content"})
_TOLD_OF_LINK = frozenset({"href", "length"})
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def decode_wis2(payload: bytes, topic: str, *, now_ns: int) -> Announcement:
    """Return the announcement in the message ``payload`` that came under ``topic``; ``now_ns`` is the time now.

    Its path follows from data_id and centre (`wis2_topics`), and ``retrieve`` is the link's URL. ``integrity`` is None
    when the message has none. Raises ``Refused`` and nothing else; among others for a checksum that was cut off, as in
    the specification's own examples 1 and 2.
    """
    centre_id = centre_of_topic(topic)
    document = check_message(decode_json_object(payload, max_bytes=MAX_ANNOUNCEMENT_BYTES))
    properties, link = document["properties"], _choose_link(document["links"])
    content, size = None, link.get("length")
    if "content" in properties:
        content = check_inline_size(_decode_content(properties["content"]), size, MAX_INFLATED_BYTES)
        size = len(content)
    return Announcement(
        path=path_of_data(centre_id, properties["data_id"]),
        pub_time=decode_rfc3339(properties["pubtime"], now_ns=now_ns),
        integrity=decode_integrity(properties["integrity"]) if "integrity" in properties else None,
        size=size,
        retrieve=link["href"],
        content=content,
        operation=_OPERATIONS[link["rel"]],
        extra={"wis2": _keep_rest(document, link, topic)},
    )


def encode_wis2(announcement: Announcement, *, centre_id: str = "") -> bytes:
    """Return the message that tells ``announcement``; ``centre_id`` is who tells it, and noted for others' data.

    Inline content comes along in base64, where that has at most 4,096 bytes. An MD5 is left out, as WIS2 knows none.
    The ``id`` follows from what is told, so that the same announcement has the same one again. Raises ``Refused`` for
    what has no words in WIS2: a path not below ``wis2/``, an operation other than "put" or "remove", no URL.
    """
    if announcement.operation not in ("put", "remove"):
        raise Refused(Reason.VERSION, "WIS2 has no words for renames, links and directories")
    if not announcement.url:
        raise Refused(Reason.URL, "WIS2 has no words for a file without a URL")
    kept = announcement.extra.get("wis2")
    came_with = kept if isinstance(kept, dict) else {}
    for rest, content in ((came_with, announcement.content), (came_with, None), ({}, None)):
        document = _make_document(announcement, rest, content, centre_id)
        payload = _ENCODER.encode(document).encode()
        if len(payload) <= MAX_ANNOUNCEMENT_BYTES and _is_message(document):
            return payload
    raise Refused(Reason.SIZE, f"the message would have more than {MAX_ANNOUNCEMENT_BYTES} bytes")


def is_not_to_be_cached(announcement: Announcement) -> bool:
    """Whether its producer wants no copies to be kept: a cache passes it on with the link it has (WNM, ``cache``)."""
    came_with = announcement.extra.get("wis2")
    properties = came_with.get("properties") if isinstance(came_with, dict) else None
    return isinstance(properties, dict) and properties.get("cache") is False


def _choose_link(links: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the link that says where the data is, or that it is no more; both at once make no sense."""
    telling = [link for link in links if link["rel"] in _OPERATIONS]
    if not telling:
        raise Refused(Reason.REQUIRED, "no link of the message is canonical, an update or a deletion")
    if len({_OPERATIONS[link["rel"]] for link in telling}) > 1:
        raise Refused(Reason.SHAPE, "the links say that the data is there, and that it was deleted")
    if "://" not in telling[0]["href"]:
        raise Refused(Reason.URL, "the link to the data isn't a whole URL")
    return telling[0]


def _decode_content(content: Mapping[str, Any]) -> bytes:
    """Return the file in ``content``. Its size is that of the file, or as encoded: programs differ."""
    value, encoding = content["value"], content["encoding"]
    if len(value.encode()) > MAX_INLINE_BYTES or content["size"] > MAX_INLINE_BYTES:
        raise Refused(Reason.INLINE, f"the inline content has more than {MAX_INLINE_BYTES} bytes")
    packed = decode_inline_text(value, "base64" if encoding == "gzip" else encoding)
    unpacked = _gunzip(packed) if encoding == "gzip" else packed
    if content["size"] not in (len(unpacked), len(packed), len(value.encode())):
        raise Refused(Reason.INLINE, "the inline content hasn't the size that was announced")
    return unpacked


def _gunzip(packed: bytes) -> bytes:
    try:
        return inflate(packed, max_bytes=MAX_INFLATED_BYTES, packing="gzip")
    except Refused as refusal:
        if refusal.reason is Reason.BOMB:
            raise
        raise Refused(Reason.INLINE, "the inline content isn't gzip, is cut short, or something follows it") from None


def _keep_rest(document: dict[str, Any], link: dict[str, Any], topic: str) -> dict[str, object]:
    """Return what an `Announcement` has no place for, in the shape it came in; the link that tells stands first."""
    others = [other for other in document["links"] if other is not link]
    return {
        "topic": topic,
        **_without(document, _TOLD_MEMBERS),
        "properties": _without(document["properties"], _TOLD_PROPERTIES),
        "links": [_without(link, _TOLD_OF_LINK), *others],
    }


def _without(members: object, names: frozenset[str]) -> dict[str, Any]:
    """Return the members of an object but those with ``names``; none of what isn't an object."""
    return {name: value for name, value in members.items() if name not in names} if isinstance(members, dict) else {}


def _make_document(
    announcement: Announcement, rest: Mapping[str, Any], content: bytes | None, centre_id: str
) -> dict[str, object]:
    """Return the message, with ``rest`` from the one that it came in; of what we tell, nothing is taken from there."""
    properties: dict[str, Any] = {
        "data_id": data_of_path(announcement.path),
        "pubtime": encode_rfc3339(announcement.pub_time),
    }
    properties |= _without(rest.get("properties"), _TOLD_PROPERTIES) or {"datetime": None}
    if _is_copy(announcement, centre_id):
        properties["global-cache"] = centre_id
    if announcement.integrity is not None and announcement.integrity.method in METHODS:
        properties["integrity"] = _encode_integrity(announcement.integrity)
    if content is not None and (encoded := b64encode(content)) and len(encoded) <= MAX_INLINE_BYTES:
        properties["content"] = {"encoding": "base64", "value": encoded.decode(), "size": len(content)}
    return {
        "id": _make_id(announcement, centre_id),
        **({} if "version" in rest else {"conformsTo": [CORE]}),
        "type": "Feature",
        "geometry": None,
        **_without(rest, _TOLD_MEMBERS),
        "properties": properties,
        "links": _make_links(announcement, rest.get("links")),
    }


def _make_id(announcement: Announcement, centre_id: str) -> str:
    checksum = announcement.integrity.value if announcement.integrity else ""
    told = (announcement.operation, announcement.url, str(announcement.pub_time), checksum, centre_id)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(told)))


def _is_copy(announcement: Announcement, centre_id: str) -> bool:
    """Whether ``centre_id`` tells of its own copy of another centre's file; what it only passes on stays as it is."""
    return bool(centre_id) and not announcement.retrieve and not announcement.path.startswith(f"wis2/{centre_id}/")


def _encode_integrity(integrity: Integrity) -> dict[str, str]:
    return {"method": integrity.method, "value": integrity.value}


def _make_links(announcement: Announcement, kept: object) -> list[object]:
    """Return the link that tells where the file is, with the words it came with, and behind it all others."""
    others = kept if isinstance(kept, list) else []
    first = _without(others[0], _TOLD_OF_LINK) if others else {}
    if _OPERATIONS.get(str(first.get("rel"))) == announcement.operation:
        link = {**first, "href": announcement.url}
        if announcement.replaces:
            link["rel"] = "update"  # else those who have the file keep what they have
    else:
        rel = "deletion" if announcement.operation == "remove" else "update" if announcement.replaces else "canonical"
        link = {"href": announcement.url, "rel": rel}
        link["type"] = _MEDIA_TYPES.get(splitext(announcement.path)[1].lower(), "application/octet-stream")
    if announcement.size is not None:
        link["length"] = announcement.size
    return [link, *others[1:]]


def _is_message(document: Mapping[str, object]) -> bool:
    """Whether ``document`` is sound; what travelled along may have come in any dialect, and be no longer."""
    try:
        check_message(document)
    except Refused:
        return False
    return True
