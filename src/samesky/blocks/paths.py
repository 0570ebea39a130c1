"""Places within a block's data: ``nested/value`` as the seed writes them, or JSON Pointers. Pure.

A path is a tuple of segments. A segment names a member of an object, or is the index of a list's item: decimal digits
without a leading zero. Nothing in it has a special meaning: ``value[degC]`` and ``*`` are names like any other.
"""

import re
from typing import Final, Literal

from ..core.strict import Reason, Refused

Path = tuple[str, ...]
Spelling = Literal["slash", "pointer"]
Value = object
"""Anything that JSON can say."""

MAX_PATH_LENGTH = 1024
MAX_SEGMENTS = 16
MAX_LIST_LENGTH = 1024
"""Where a list ends that is written to: ``list/999999999`` would be filled up with as many nulls."""
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_TILDES = {"~0": "~", "~1": "/"}


class _Missing:
    """What `find` returns where there is nothing."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class Blocked(Exception):
    """A path can't be written to: it leads through a value that holds no others; ``str()`` says which."""


def parse_path(text: object, *, spelling: Spelling = "slash") -> Path:
    """Return the path that ``text`` spells: segments between slashes, of which any number may stand in front.

    ``pointer``: as RFC 6901 has it, thus with ``~1`` for a slash in a name, and empty names. Raises ``Refused``: TYPE
    (no text), NAME (empty, a slash at the end, two together, too long), each of which stopped the original's slaves.
    """
    if not isinstance(text, str):
        raise Refused(Reason.TYPE, "a path must be a text")
    if len(text) > MAX_PATH_LENGTH:
        raise Refused(Reason.NAME, f"a path has more than {MAX_PATH_LENGTH} characters")
    path = _split_pointer(text) if spelling == "pointer" else tuple(text.lstrip("/").split("/"))
    if len(path) > MAX_SEGMENTS:
        raise Refused(Reason.DEPTH, f"a path has more than {MAX_SEGMENTS} parts")
    if spelling == "slash" and not all(path):
        raise Refused(Reason.NAME, "a path is empty, ends with a slash, or has two slashes together")
    return path


def _split_pointer(text: str) -> Path:
    if not text.startswith("/"):
        raise Refused(Reason.NAME, "a JSON Pointer begins with a slash")
    if re.search(r"~(?![01])", text):
        raise Refused(Reason.NAME, "in a JSON Pointer ~ is written ~0, and a slash in a name ~1")
    return tuple(re.sub(r"~[01]", lambda found: _TILDES[found[0]], part) for part in text[1:].split("/"))


def spell_path(path: Path, *, spelling: Spelling = "slash") -> str:
    """Return the text that `parse_path` reads as ``path``."""
    if spelling == "slash":
        return "/".join(path)
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def find(data: Value, path: Path) -> Value:
    """Return what is at ``path``, or `MISSING`: no such member or item, or a value on the way that holds no others."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(part, MISSING)
        elif isinstance(data, list) and _INDEX.fullmatch(part) and int(part) < len(data):
            data = data[int(part)]
        else:
            return MISSING
    return data


def put(data: Value, path: Path, value: Value) -> None:
    """Set what is at ``path`` in ``data``, which is changed; objects that are missing on the way are made.

    A list's item is replaced, or added at its end, with nulls between. Raises `Blocked`, and may have made objects.
    """
    for place, part in enumerate(path[:-1]):
        below = find(data, (part,))
        if below is MISSING:
            below = {}
            _set(data, part, below, path[:place])
        data = below
    _set(data, path[-1], value, path[:-1])


def _set(data: Value, part: str, value: Value, above: Path) -> None:
    if isinstance(data, dict):
        data[part] = value
        return
    where = f"{'/'.join(above)} " if above else ""
    if not isinstance(data, list):
        raise Blocked(f"{where}is {_describe(data)}, so there is no {part} in it")
    if not _INDEX.fullmatch(part):
        raise Blocked(f"{where}is a list, and {part} isn't the number of an item")
    if int(part) >= MAX_LIST_LENGTH:
        raise Blocked(f"{where}would become a list of more than {MAX_LIST_LENGTH} items")
    data += [None] * (int(part) + 1 - len(data))
    data[int(part)] = value


def _describe(data: Value) -> str:
    if data is None:
        return "null"
    return "a text" if isinstance(data, str) else "a truth value" if isinstance(data, bool) else "a number"
