"""How a stream is doing, as a retained message: for pages elsewhere, for home automation, for whoever subscribes.

    <status topic>/<client id>                                   online, or offline (which is the will)
    <status topic>/<instance>/<binding>/<copy or primary>/<client id>
                                                                  JSON: the snapshot, and what to think of it

Whoever is offline hasn't said its last word about its streams: what is retained is how they were doing ``at`` a time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ..core.snapshot_document import decode_snapshot
from ..core.status import Role, Snapshot, judge
from ..core.strict import Reason, Refused, check_topic_level, decode_json_object
from ..link.message import Message

ONLINE, OFFLINE = b"online", b"offline"
MOST_BYTES: Final = 64 << 10
KEPT_S: Final = 30 * 86_400
"""What nobody has told again for so long, the broker forgets."""
CONTENT_TYPE: Final = "application/json"
_ROLE_NAMES: Final[Mapping[Role, str]] = {"requester": "copy", "responder": "primary"}
_ROLES: Final[Mapping[str, Role]] = {name: role for role, name in _ROLE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """What a client told of a stream, and when (Unix seconds, by its clock)."""

    client_id: str
    snapshot: Snapshot
    at: float


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a client is connected."""

    client_id: str
    online: bool


def name_role(snapshot: Snapshot) -> str:
    """``copy`` or ``primary``."""
    return _ROLE_NAMES[snapshot.role]


def spell_presence_topic(topic: str, client_id: str) -> str:
    """Where it is told whether a client is connected."""
    return f"{topic}/{client_id}"


def spell_stream_topic(topic: str, snapshot: Snapshot, client_id: str) -> str:
    """Where a client tells how a stream is doing."""
    return f"{topic}/{snapshot.stream}/{name_role(snapshot)}/{client_id}"


def encode_presence(topic: str, client_id: str, *, online: bool) -> Message:
    """Whether a client is connected, as a message; that it isn't is its will."""
    kept_s = None if online else KEPT_S
    return Message(spell_presence_topic(topic, client_id), ONLINE if online else OFFLINE, retain=True, expiry_s=kept_s)


def encode_status(topic: str, snapshot: Snapshot, client_id: str, now: float) -> Message:
    """How a stream is doing, as a message: what is in the snapshot, and what to think of it."""
    verdict = judge(snapshot)
    document = snapshot.as_dict() | {
        "version": 1,
        "client": client_id,
        "at": round(now, 3),
        "times": {name: _spell_time(moment) for name, moment in _moments(snapshot, now).items()},
        "same": snapshot.same,
        "level": verdict.level,
        "words": verdict.words,
        "todo": verdict.todo,
        "problem": verdict.level == "bad",
    }
    payload = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Message(
        spell_stream_topic(topic, snapshot, client_id), payload, retain=True, content_type=CONTENT_TYPE, expiry_s=KEPT_S
    )


def decode_status(topic: str, message: Message) -> StreamStatus | Presence:
    """What a message below the status topic says, taken strictly; raises `Refused`.

    Who says it, of what stream and in which role, is what the topic says: that is what a broker's ACL watches over.
    """
    levels = message.topic.removeprefix(f"{topic}/").split("/")
    for level in levels:
        check_topic_level(level)
    if len(levels) == 1:
        return _decode_presence(levels[0], message.payload)
    if len(levels) != 4 or levels[2] not in _ROLES:
        raise Refused(Reason.NAME, "the topic isn't one of a status message")
    instance, binding, role_name, client_id = levels
    document = decode_json_object(message.payload, max_bytes=MOST_BYTES, max_depth=4)
    snapshot = decode_snapshot(document)
    if (snapshot.stream, snapshot.role, snapshot.system) != (f"{instance}/{binding}", _ROLES[role_name], "station"):
        raise Refused(Reason.SCOPE, "the message is about another stream than its topic says")
    at = document.get("at")
    if isinstance(at, bool) or not isinstance(at, int | float) or at < 0:
        raise Refused(Reason.TYPE, "at of a status message should be a time")
    return StreamStatus(client_id, snapshot, float(at))


def _moments(snapshot: Snapshot, now: float) -> dict[str, float | None]:
    newest = snapshot.position if snapshot.is_copy else snapshot.newest
    return {"at": now, "since": snapshot.since, "newest": newest or None, "proven_at": snapshot.proven_at}


def _spell_time(moment: float | None) -> str | None:
    """As people, and Home Assistant, read it; None for what is none."""
    try:
        return None if moment is None else datetime.fromtimestamp(round(moment), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _decode_presence(client_id: str, payload: bytes) -> Presence:
    if payload not in (ONLINE, OFFLINE):
        raise Refused(Reason.SHAPE, "a client is online or offline")
    return Presence(client_id, payload == ONLINE)
