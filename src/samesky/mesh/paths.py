"""Names of files, and the topics they are announced under.

A path comes from outside, and a peer writes to it: `check_path` takes only names that mean the same file, inside the
tree, on every peer and in every program around (rows 34 to 38 of the design's table of bad inputs). It looks at the
text alone; that no symbolic link leads elsewhere is the tree's part.
"""

import re
import unicodedata

from ..core.strict import Reason, Refused
from ..errors import ConfigError

MAX_PART_BYTES = 255  # NAME_MAX of every usual file system
MAX_PARTS = 100
MAX_PATH_BYTES = 1024  # a quarter of PATH_MAX: room for where the tree is, and for a URL
POST_LEVELS = "v03/post"
"""What stands between exchange and directories in a topic: version and kind of the announcement."""

# Names that Windows opens as devices, whatever follows a dot; COM and LPT also with superscript digits.
_DEVICE_NAME = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\.|\Z)", re.IGNORECASE)
_LIKE_A_DEVICE = r"[CPANLcpanl][ORUPorup][NXLMTnxlmt](?:[0-9]|[INOUTinout]{2,3}\$)?(?:[./]|\Z)"
# One part of a usual name: ASCII, so that one character is one byte and NFC. Possessive: a hostile name costs one pass.
_USUAL_PART = (
    rf"(?!{_LIKE_A_DEVICE})[A-Za-z0-9_@=,:~()\[\]{{}}!$&'+%#;^][A-Za-z0-9_@=,:~()\[\]{{}}!$&'+%#;^ .-]{{0,254}}+"
    r"(?<![. ])"
)
_USUAL = re.compile(rf"(?:{_USUAL_PART}/){{0,{MAX_PARTS - 1}}}{_USUAL_PART}")
# Cc and Cs: controls and half surrogate pairs; Zl and Zp: a line's and a paragraph's end.
_BAD_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What turns the direction of writing around, so that a name reads as another; and the byte order mark.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_TOPIC_ESCAPES = str.maketrans({"%": "%25", "#": "%23", "+": "%2B"})
_TO_ESCAPE = re.compile("[%#+]")


def check_path(text: object) -> str:
    """Return ``text`` when it names a file below any tree: parts joined by single slashes, none in front or behind.

    Percent signs are characters like others: nothing is decoded. Raises ``Refused``: REQUIRED (empty), TYPE, RESERVED
    (a part that begins with a dot or a dash: hidden files, options, and our own ``.samesky``), or PATH.
    """
    if type(text) is not str:
        raise Refused(Reason.TYPE, "a path must be a text")
    if len(text) > MAX_PATH_BYTES or not _USUAL.fullmatch(text):
        _check_unusual(text)
    return text


def topic_of(exchange: str, path: str) -> str:
    """Return the topic of an announcement of ``path``: ``<exchange>/v03/post/<directories>``.

    ``#`` and ``+``, which no topic may have, and ``%`` are percent-encoded, the first two as Sarracenia does.
    A file at the tree's root has no directories, thus the topic ``<exchange>/v03/post``.
    """
    directory, slash, _ = path.rpartition("/")
    if _TO_ESCAPE.search(directory):
        directory = directory.translate(_TOPIC_ESCAPES)
    return f"{exchange}/{POST_LEVELS}{slash}{directory}"


def subtopic_filter(exchange: str, subtopic: str) -> str:
    """Return the topic filter for announcements below ``subtopic``, such as ``+/GTS/+/IU/#``, of ``exchange``.

    ``subtopic`` is written as in topics: a directory named ``a+b`` is ``a%2Bb``. Raises ``ConfigError`` when the
    wildcards aren't levels of their own, or anything follows ``#``.
    """
    levels = subtopic.strip("/").split("/")
    for place, level in enumerate(levels):
        wild = "#" in level or "+" in level
        if "\0" in level or not level or (wild and len(level) > 1) or (level == "#" and place + 1 < len(levels)):
            raise ConfigError(
                f"{subtopic!r} is no subtopic: + and # must be levels of their own, and # the last",
                hint="such as '#' for all, or '+/GTS/+/IU/#'",
            )
    return f"{exchange}/{POST_LEVELS}/{'/'.join(levels)}"


def _check_unusual(text: str) -> None:
    """Refuse what is wrong with ``text``, and name the rule; do nothing when it is merely unusual."""
    if not text:
        raise Refused(Reason.REQUIRED, "the path is empty")
    for character in set(text):
        if unicodedata.category(character) in _BAD_CATEGORIES or character in _TURNING or _is_no_character(character):
            raise Refused(Reason.PATH, "the path has a control character, or one that turns the text around")
    if "\\" in text:
        raise Refused(Reason.PATH, "the path has a backslash, which is a slash on some systems")
    if not unicodedata.is_normalized("NFC", text):
        raise Refused(Reason.PATH, "the path isn't in Unicode's composed form (NFC): it could be another's twin")
    if len(text.encode()) > MAX_PATH_BYTES:
        raise Refused(Reason.PATH, f"the path has more than {MAX_PATH_BYTES} bytes")
    parts = text.split("/")
    if len(parts) > MAX_PARTS:
        raise Refused(Reason.PATH, f"the path has more than {MAX_PARTS} parts")
    for part in parts:
        _check_part(part)


def _check_part(part: str) -> None:
    if part in {"", ".", ".."}:
        raise Refused(Reason.PATH, "the path is absolute, leads upwards, or has an empty part")
    if part[0] in ".-":
        raise Refused(Reason.RESERVED, "a part of the path begins with a dot or a dash")
    if part[-1] in ". ":
        raise Refused(Reason.PATH, "a part of the path ends in a dot or a space")
    if len(part.encode()) > MAX_PART_BYTES:
        raise Refused(Reason.PATH, f"a part of the path has more than {MAX_PART_BYTES} bytes")
    if _DEVICE_NAME.match(part):
        raise Refused(Reason.PATH, "a part of the path is the name of a device on Windows")


def _is_no_character(character: str) -> bool:
    """Whether Unicode has set ``character`` apart for no use: MQTT v5 lets a broker end the connection over one."""
    code = ord(character)
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
