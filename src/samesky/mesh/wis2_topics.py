"""WIS2's names: topics, and the paths in a tree that stand for the ``data_id`` of WIS2 Notification Messages.

The rule is: a file's path is its ``data_id``. WIS2 wants a ``data_id`` to be a topic without channel and version, with
a name for the file behind it, and so ``wis2/<centre-id>/data/core/weather/…/<name>`` is both. The first two parts are
always those of the topic it was announced under, because a Global Broker proves that a centre announces under its own
name, and nobody proves a ``data_id``: no centre can overwrite another's files. A ``data_id`` that is anything else goes
below ``wis2/<centre-id>/_/``. Thus two different files of WIS2 never have the same path, and a path tells its
``data_id``.
"""

import re
from typing import Literal

from ..core.strict import Reason, Refused
from .announcement import Announcement
from .paths import check_path

Channel = Literal["origin", "cache"]
"""Where a message stands in the topic hierarchy: from the data's producer, or from who keeps a copy of the data."""
MAX_TOPIC_LENGTH = 1024

_CENTRE = r"[a-z0-9]+-[a-z0-9_-]+"
# That a discipline exists is for Global Brokers to know: the WMO adds to them. Capitals are in what the gateways from
# the Global Telecommunication System announce, whose levels are the letters of its headings.
_LEVELS = r"(?:/[A-Za-z0-9_-]+)*"
_TOPIC = re.compile(
    rf"(?P<channel>origin|cache)/a/(?P<name>wis2/(?P<centre>{_CENTRE})/"
    rf"(?:data/(?:core|recommended){_LEVELS}|(?:metadata|reports){_LEVELS}))"
)
_LIKE_WIS2 = re.compile(r"[^/]+/[^/]+/wis2/")
_PATH = re.compile(rf"wis2/(?P<centre>{_CENTRE})/(?P<elsewhere>_/)?(?P<rest>.+)")


def is_wis2_topic(topic: str) -> bool:
    """Whether ``topic`` is of WIS2's hierarchy, well-formed or not."""
    return _LIKE_WIS2.match(topic) is not None


def centre_of_topic(topic: str) -> str:
    """Return the centre-id in ``topic``; raises ``Refused`` (NAME) when it can't be one of WIS2's data or metadata."""
    match = _TOPIC.fullmatch(topic) if len(topic) <= MAX_TOPIC_LENGTH else None
    if match is None:
        raise Refused(
            Reason.NAME, "the topic isn't one of WIS2's: origin or cache, a, wis2, a centre, data or metadata …"
        )
    return match["centre"]


def path_of_data(centre_id: str, data_id: str) -> str:
    """Return the path of what ``centre_id`` calls ``data_id``; raises ``Refused`` when that can't be a path."""
    folder = f"wis2/{centre_id}/"
    if data_id.startswith(folder) and not data_id.startswith(f"{folder}_/"):
        return check_path(data_id)
    return check_path(f"{folder}_/{data_id}")


def data_of_path(path: str) -> str:
    """Return the ``data_id`` of the file at ``path``; raises ``Refused`` (NAME) when it has none, not being WIS2's."""
    match = _PATH.fullmatch(path)
    if match is not None:
        data_id = match["rest"] if match["elsewhere"] else path
        if path_of_data(match["centre"], data_id) == path:
            return data_id
    raise Refused(Reason.NAME, "only files below wis2/<centre-id>/ have a name in WIS2")


def wis2_topic(announcement: Announcement, channel: Channel | None = None, *, centre_id: str = "") -> str | None:
    """Return the topic to tell ``announcement`` under, or None when its path, or what was done, has no name in WIS2.

    It is the one that it came under, else the directories of its path, behind ``channel``; which is, unless given,
    ``origin`` for the files of ``centre_id`` itself and ``cache`` for those of other centres.
    """
    match = _PATH.fullmatch(announcement.path)
    if match is None or announcement.operation not in ("put", "remove"):
        return None
    came_with = announcement.extra.get("wis2")
    came_under = came_with.get("topic") if isinstance(came_with, dict) else None
    channel = channel or ("origin" if match["centre"] == centre_id else "cache")
    for topic in (came_under, f"{channel}/a/{announcement.path.rpartition('/')[0]}"):
        parts = _TOPIC.fullmatch(topic) if isinstance(topic, str) and len(topic) <= MAX_TOPIC_LENGTH else None
        if parts is not None and parts["centre"] == match["centre"]:
            return f"{channel}/a/{parts['name']}"
    return None
