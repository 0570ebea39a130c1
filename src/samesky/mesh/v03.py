"""The dialect ``v03``: announcements as the seed describes them and Sarracenia sends them, JSON over MQTT.

Read are the object form, the array form of 2019 (``[pubTime, baseUrl, relPath, {"sum": "d,<hex>"}]``), and what is in
the field: ``identity`` for ``integrity``, ``retrievePath``, ``fileOp``, checksums in hexadecimal, times with a Z or
without their T. Written is one form that all of them read, with ``integrity`` and ``identity`` alike.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Literal

from ..core.strict import MAX_PAYLOAD_BYTES, Reason, Refused, decode_json, parse_json
from .announcement import METHODS, Announcement, Integrity
from .fields import (
    MAX_ANNOUNCEMENT_BYTES,
    MAX_INLINE_BYTES,
    check_inline_size,
    check_url_text,
    decode_checksum,
    decode_inline_text,
    decode_integrity,
    decode_size,
)
from .file_operations import decode_operation, encode_operation
from .paths import check_path
from .pubtime import decode_compact, encode_compact

CONTENT_TYPE = "application/json"
"""What Sarracenia wants to see on a message (MQTT v5); it drops announcements without it."""
InlineEncoding = Literal["text", "binary", "guess"]

_UNDERSTOOD = frozenset(
    {"pubTime", "baseUrl", "relPath", "size", "integrity", "identity", "content", "fileOp", "retrievePath", "retPath"}
    | {"parts", "blocks"}
)
# Of JSON values these need no second look: they can't be out of range, or nested.
_PLAIN = frozenset({str, bool, type(None)})
# What the first letter of "sum" says in the array form.
_SUM_METHODS = {"d": "md5", "s": "sha512"}
_SUM_OPERATIONS: dict[str, dict[str, object]] = {
    "R": {"remove": ""},
    "m": {"directory": ""},
    "r": {"remove": "", "directory": ""},
}
_MOST_ESCAPED = 6  # bytes that JSON may take for one: \u0001
_WITH_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# As `_encode_usual` writes it, or without `identity`, as the seed spells it; no text has anything that JSON escapes, or
# that isn't ASCII.
_USUAL = re.compile(
    r'\{"pubTime":"(?P<time>[0-9]{8}T[0-9]{6}\.[0-9]{6,9})","baseUrl":"(?P<url>[!#-\[\]-~]{0,1000})",'
    r'"relPath":"(?P<path>[!#-.0-\[\]-~][ !#-\[\]-~]{0,1023})","size":(?P<size>0|[1-9][0-9]{0,17}),'
    r'"integrity":\{"method":"(?P<method>[a-z0-9-]{1,16})","value":"(?P<value>[A-Za-z0-9+/=]{1,200})"\}'
    r'(?:,"identity":\{"method":"(?P=method)","value":"(?P=value)"\})?\}'
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def decode_v03(payload: bytes, *, now_ns: int, inline_max_bytes: int = MAX_INLINE_BYTES) -> Announcement:
    """Return the announcement in ``payload``, every field of it proven; ``now_ns`` is the time now, since 1970.

    Fields that aren't understood are in ``extra``, and so is ``pubTime`` when it was spelt in another way than
    `encode_v03` would. ``integrity`` is None when there is none, or none by which content can be checked (Sarracenia's
    ``cod``, ``random`` …). Raises ``Refused`` and nothing else.
    """
    usual = _USUAL.fullmatch(payload.decode("latin-1"))
    if usual is not None:
        return _decode_usual(usual, now_ns)
    fields, extra = _parse_fields(payload, inline_max_bytes)
    path, base_url = _decode_path(fields), check_url_text(fields.get("baseUrl", ""))
    pub_time, digits = decode_compact(fields.get("pubTime"), now_ns=now_ns)
    operation, target = decode_operation(fields["fileOp"], path, base_url) if "fileOp" in fields else ("put", "")
    size, content = _decode_size(fields), None
    if "content" in fields:
        content = check_inline_size(_decode_content(fields["content"]), size, inline_max_bytes)
        size = len(content)
    if digits:
        extra["pubTime"] = digits
    integrity, retrieve = _decode_integrity(fields), _decode_retrieve(fields, base_url)
    return Announcement(path, pub_time, integrity, size, base_url, retrieve, content, operation, target, extra)


def _decode_usual(found: re.Match[str], now_ns: int) -> Announcement:
    """What the rest of `decode_v03` returns of it, in half the time: most of it is proven."""
    time, base_url, path, size, method, value = found.groups()
    pub_time, digits = decode_compact(time, now_ns=now_ns)
    checked, integrity = check_path(path), decode_checksum(method, value)
    extra: dict[str, object] = {"pubTime": digits} if digits else {}
    return Announcement(checked, pub_time, integrity, int(size), base_url, "", None, "put", "", extra)


def encode_v03(announcement: Announcement, *, encoding: InlineEncoding = "guess") -> bytes:
    """Return the payload that tells ``announcement``, for a message of content type `CONTENT_TYPE`.

    ``pubTime`` has the digits it came with. What travels along is left out where the announcement would be too long.
    ``encoding`` is for inline content: "text" and "guess" write UTF-8 where the content is, "binary" always base64.
    """
    return _encode_usual(announcement) or _encode_any(announcement, encoding)


def _encode_usual(announcement: Announcement) -> bytes:
    """What `_encode_any` returns of a file announced with its checksum and nothing else, in a quarter of the time.

    Nearly all are; of any other nothing is returned. `_USUAL` reads it.
    """
    integrity = announcement.integrity
    if (
        integrity is None
        or announcement.size is None
        or announcement.content is not None
        or announcement.operation != "put"
        or announcement.retrieve
        or announcement.extra
    ):
        return b""
    checksum = f'{{"method":"{integrity.method}","value":"{integrity.value}"}}'
    return (
        f'{{"pubTime":"{encode_compact(announcement.pub_time)}","baseUrl":{encode_basestring(announcement.base_url)},'
        f'"relPath":{encode_basestring(announcement.path)},"size":{announcement.size},'
        f'"integrity":{checksum},"identity":{checksum}}}'
    ).encode()


def _encode_any(announcement: Announcement, encoding: InlineEncoding) -> bytes:
    fields: dict[str, object] = {
        "pubTime": encode_compact(announcement.pub_time, announcement.extra.get("pubTime")),
        "baseUrl": announcement.base_url,
        "relPath": announcement.path,
    }
    if announcement.retrieve:
        fields["baseUrl"], fields["retrievePath"] = _encode_retrieve(announcement)
    if announcement.size is not None:
        fields["size"] = announcement.size
    if announcement.integrity is not None:
        checksum = {"method": announcement.integrity.method, "value": announcement.integrity.value}
        fields["integrity"] = fields["identity"] = checksum
    if announcement.content is not None:
        fields["content"] = _encode_content(announcement.content, encoding)
    if announcement.operation != "put":
        fields["fileOp"] = encode_operation(announcement.operation, announcement.path, announcement.target)
    extra = {name: value for name, value in announcement.extra.items() if name not in _UNDERSTOOD}
    payload = _ENCODER.encode(fields | extra).encode()
    if extra and _is_too_long(len(payload), fields):
        payload = _ENCODER.encode(fields).encode()
    return payload


def _parse_fields(payload: bytes, inline_max_bytes: int) -> tuple[dict[str, object], dict[str, object]]:
    """Return the named fields in ``payload``, and of these again what isn't understood, which is proven already."""
    most_bytes = min(MAX_PAYLOAD_BYTES, MAX_ANNOUNCEMENT_BYTES + _MOST_ESCAPED * inline_max_bytes)
    fields, extra = _divide_fields(parse_json(payload, max_bytes=most_bytes))
    if b"\\" in payload or not _PLAIN.issuperset(map(type, extra.values())):  # the slow way looks at every value
        fields, extra = _divide_fields(decode_json(payload, max_bytes=most_bytes))
    if _is_too_long(len(payload), fields):
        raise Refused(Reason.SIZE, f"the announcement has more than {MAX_ANNOUNCEMENT_BYTES} bytes")
    return fields, extra


def _divide_fields(document: object) -> tuple[dict[str, object], dict[str, object]]:
    fields = document if type(document) is dict else _name_fields(document)
    return fields, {name: value for name, value in fields.items() if name not in _UNDERSTOOD}


def _is_too_long(size_bytes: int, fields: Mapping[str, object]) -> bool:
    """Whether an announcement is too long even without its inline content, however that was escaped."""
    if size_bytes <= MAX_ANNOUNCEMENT_BYTES:
        return False
    content = fields.get("content")
    value = content.get("value") if isinstance(content, dict) else None
    inline_bytes = len(value.encode()) if isinstance(value, str) else 0
    return size_bytes - _MOST_ESCAPED * inline_bytes > MAX_ANNOUNCEMENT_BYTES


def _name_fields(document: object) -> dict[str, object]:
    """Return the fields of the array form of 2019 under their names of today."""
    match document:
        case [pub_time, base_url, path]:
            headers: dict[str, object] = {}
        case [pub_time, base_url, path, dict(headers)]:
            pass
        case _:
            raise Refused(
                Reason.SHAPE, "an announcement must be a JSON object, or the array of pubTime, baseUrl, relPath"
            )
    fields = {**headers, "pubTime": pub_time, "baseUrl": base_url, "relPath": path}
    checksum = fields.pop("sum", None)
    if type(checksum) is str:
        kind, _, value = checksum.partition(",")
        if kind in _SUM_METHODS:
            fields["integrity"] = {"method": _SUM_METHODS[kind], "value": value}
        elif kind in _SUM_OPERATIONS:
            fields["fileOp"] = _SUM_OPERATIONS[kind]
        elif kind == "L":
            fields["fileOp"] = {"link": fields.pop("link", "")}
    return fields


def _decode_path(fields: dict[str, object]) -> str:
    """Return ``relPath`` without the slash that the seed's samples begin it with; a second one is refused."""
    path = fields.get("relPath")
    if path is None:
        raise Refused(Reason.REQUIRED, "the announcement has no relPath")
    return check_path(path[1:] if type(path) is str and path.startswith("/") else path)


def _decode_size(fields: dict[str, object]) -> int | None:
    """Return the file's size in bytes, or None where it isn't told (the seed's example says ``TBD``)."""
    if "blocks" in fields:
        raise Refused(Reason.VERSION, "the file is announced in blocks, which aren't understood")
    size = fields.get("size")
    if size is None and "parts" in fields:
        method, _, rest = str(fields["parts"]).partition(",")
        if method != "1":
            raise Refused(Reason.VERSION, "the file is announced in parts, which aren't understood")
        size = rest.partition(",")[0]
    if size is None or size == "TBD":
        return None
    if type(size) is str and len(size) <= 20 and size.isascii() and size.isdigit():
        size = int(size)
    return decode_size(size)


def _decode_integrity(fields: dict[str, object]) -> Integrity | None:
    """Return the checksum; of two different ones that which stands first in `METHODS`, the strongest."""
    told, twin = fields.get("integrity"), fields.get("identity")
    if told is None:
        told, twin = twin, None
    if told is None:
        return None
    first = decode_integrity(told)
    if twin is None or _same_texts(told, twin):
        return first
    second = decode_integrity(twin)
    if first is None or second is None:
        return first or second
    if first.method == second.method and first.digest != second.digest:
        raise Refused(Reason.CHECKSUM, "integrity and identity contradict each other")
    strength = list(METHODS)
    return min(first, second, key=lambda integrity: strength.index(integrity.method))


def _same_texts(told: object, twin: object) -> bool:
    """Whether the checksum ``twin`` says the same as ``told``, which is proven."""
    if type(told) is not dict or type(twin) is not dict:
        return False
    return bool(twin.get("method") == told["method"] and twin.get("value") == told["value"])


def _decode_retrieve(fields: dict[str, object], base_url: str) -> str:
    """Return the URL that ``retrievePath`` makes with ``baseUrl``, or the path alone where there is no baseUrl.

    It is part of a URL, with queries and percent signs, not a path to quote; ``retPath`` is its older name.
    """
    path = check_url_text(fields.get("retrievePath", fields.get("retPath", "")))
    if not path or not base_url or _WITH_SCHEME.match(path):
        return path
    return f"{base_url.rstrip('/')}/{path.lstrip('/')}"


def _decode_content(content: object) -> bytes:
    if type(content) is not dict or type(content.get("value")) is not str:
        raise Refused(Reason.INLINE, "the inline content must have an encoding and a value, both texts")
    return decode_inline_text(content["value"], content.get("encoding"))


def _encode_retrieve(announcement: Announcement) -> tuple[str, str]:
    """Return the baseUrl and retrievePath that Sarracenia puts together to where the file is."""
    base_url, retrieve = announcement.base_url, announcement.retrieve
    scheme = _WITH_SCHEME.match(retrieve)
    if scheme is None:
        return base_url, retrieve
    folder = base_url.rstrip("/") + "/"
    if base_url and retrieve.startswith(folder):
        return base_url, retrieve.removeprefix(folder)
    host, slash, path = retrieve[scheme.end() :].partition("/")
    return f"{scheme[0]}{host}{slash}", path


def _encode_content(content: bytes, encoding: InlineEncoding) -> Mapping[str, str]:
    if encoding != "binary":
        try:
            return {"encoding": "utf-8", "value": content.decode()}
        except UnicodeDecodeError:
            pass  # even if the user called it text: no text could tell these bytes
    return {"encoding": "base64", "value": b64encode(content).decode()}
