"""Keys as MQTT topics: ``spark-one.beer sensor`` is ``syncast/spark-one/beer sensor``. Pure.

The dots of a key are a topic's slashes, so rights can be given by service. What means something in a topic, and what
mustn't be in one, is written as in a URL: ``%2F`` for a slash. There and back again is always the same.
"""

import re
from urllib.parse import unquote_to_bytes

from ..core.strict import Reason, Refused

_MEANING = re.compile(r"[%/+#\x00-\x1f\x7f]")
_SPELT = re.compile(r"%(?:2[35BF]|[01][0-9A-F]|7F)")


def spell_topic(prefix: str, key: str) -> str:
    """Return the topic below ``prefix`` for ``key``."""
    words = _MEANING.sub(lambda found: f"%{ord(found[0]):02X}", key)
    return f"{prefix}/{words.replace('.', '/')}"


def parse_topic(prefix: str, topic: str) -> str:
    """Return the key that `spell_topic` makes ``topic`` of; raises ``Refused`` (NAME) when there is none."""
    words = topic.removeprefix(f"{prefix}/")
    if words == topic or "." in words or "%" in _SPELT.sub("", words):
        raise Refused(Reason.NAME, "the topic isn't one of blocks")
    return _SPELT.sub(lambda found: unquote_to_bytes(found[0]).decode(), words.replace("/", "."))
