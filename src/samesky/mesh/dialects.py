"""Which dialect a message is in. The topic decides: WIS2's hierarchy is fixed, and all other topics are of v03."""

from collections.abc import Sequence

from ..core.strict import Reason, Refused, check_properties
from .announcement import Announcement
from .fields import MAX_INLINE_BYTES
from .v03 import decode_v03
from .wis2 import decode_wis2
from .wis2_topics import is_wis2_topic

# None is what a client of MQTT 3.1.1 says.
_CONTENT_TYPES = frozenset({None, "", "application/json", "application/geo+json"})


def decode(
    message_topic: str,
    payload: bytes,
    content_type: str | None,
    *,
    now_ns: int,
    inline_max_bytes: int = MAX_INLINE_BYTES,
    properties: Sequence[tuple[str, str]] = (),
) -> Announcement:
    """Return the announcement in a message; ``now_ns`` is the time now, in nanoseconds since 1970.

    ``inline_max_bytes`` is the largest file taken from a v03 announcement itself; WIS2 has its own limit. Raises
    ``Refused`` and nothing else, VERSION for a ``content_type`` that isn't JSON (row 11), PROPS for user ``properties``
    that are too many or too long (row 33); none of them means anything here.
    """
    check_properties(properties)
    if content_type not in _CONTENT_TYPES and not _is_json(content_type):
        raise Refused(Reason.VERSION, "the content type of the message isn't JSON")
    if is_wis2_topic(message_topic):
        return decode_wis2(payload, message_topic, now_ns=now_ns)
    return decode_v03(payload, now_ns=now_ns, inline_max_bytes=inline_max_bytes)


def _is_json(content_type: str | None) -> bool:
    """Whether a content type is one of JSON, in other letters or with parameters such as ``charset=utf-8``."""
    return (content_type or "").partition(";")[0].strip().lower() in _CONTENT_TYPES
