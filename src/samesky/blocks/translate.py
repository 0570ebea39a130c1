"""What a replica's data become when its primary's have come: the seed's translation table, pair by pair. Pure.

An empty table: the primary's data take the place of the replica's. Otherwise the value at each source path is put at
its target path, and the rest stays. All pairs of a message are applied or none, so nobody ever writes half a message.

A null is a sensor that has failed, and controllers take it for 0. So a message that would write one is held back,
unless the link's null policy says otherwise:

    hold    nothing of the message is written (the default)
    skip    all is written but the nulls: there the replica keeps what it has
    write   nulls are written
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from .paths import MISSING, Blocked, Path, Value, find, put, spell_path
from .transforms import Transform, Unfit

Data = Mapping[str, Value]
"""A block's data: an object."""
NullPolicy = Literal["hold", "skip", "write"]
WhyNot = Literal["null", "blocked", "unfit"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of a translation table."""

    source: Path
    target: Path
    transform: Transform | None = None


@dataclass(frozen=True, slots=True)
class Translation:
    """A translation table; without pairs the data are replaced whole."""

    pairs: tuple[Pair, ...] = ()
    nulls: NullPolicy = "hold"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Why nothing of a message is written: a word to count it under, and a sentence."""

    reason: WhyNot
    words: str


def translate(translation: Translation, primary: Data, replica: Data) -> dict[str, Value] | HeldBack:
    """Return the replica's data after a message with the data of its primary; neither argument is changed.

    What has no value at the primary is skipped, as the original does, so the data may come back as they were.
    """
    if not translation.pairs:
        return _replace_whole(translation.nulls, primary, replica)
    data = cast(dict[str, Value], copy(replica))
    for pair in translation.pairs:
        value = find(primary, pair.source)
        try:
            if pair.transform is not None:
                value = pair.transform.apply(value)
            if value is MISSING:
                continue
            value = _choose(value, find(data, pair.target), translation.nulls)
            if value is not MISSING:
                put(data, pair.target, value)
        except _Null as null:
            return _hold_null((*pair.source, *null.path))
        except Unfit as error:
            return HeldBack("unfit", f"{spell_path(pair.source)} can't be transformed: {error}")
        except Blocked as error:
            return HeldBack("blocked", f"{spell_path(pair.target)} can't be written: {error}")
    return data


def copy(value: Value) -> Value:
    """Return ``value`` with objects and lists of its own. (`copy.deepcopy` takes ten times as long.)"""
    if isinstance(value, dict):
        return {name: copy(member) for name, member in value.items()}
    return [copy(item) for item in value] if isinstance(value, list) else value


def find_null(value: Value) -> Path | None:
    """Return where in ``value`` the first null is, () when it is one itself; None when there is none."""
    if value is None:
        return ()
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        below = find_null(member)
        if below is not None:
            return (str(name), *below)
    return None


class _Null(Exception):
    """A null was found, below what was looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path


def _replace_whole(nulls: NullPolicy, primary: Data, replica: Data) -> dict[str, Value] | HeldBack:
    try:
        return cast(dict[str, Value], _choose(primary, replica, nulls))
    except _Null as null:
        return _hold_null(null.path)


def _hold_null(path: Path) -> HeldBack:
    return HeldBack("null", f"{spell_path(path)} is null, as of a sensor that has failed")


def _choose(value: Value, old: Value, nulls: NullPolicy) -> Value:
    """A copy of ``value`` to be written where ``old`` is; MISSING: write nothing there. Raises `_Null`."""
    if nulls == "write":
        return copy(value)
    if nulls == "skip":
        return _fill(value, old)
    path = find_null(value)
    if path is not None:
        raise _Null(path)
    return copy(value)


def _fill(value: Value, old: Value) -> Value:
    """A copy of ``value`` with what ``old`` has in place of its nulls; members that neither has are left out.

    A list with a null stays as it was: it can't have a gap.
    """
    if value is None:
        return MISSING if old is MISSING or old is None else copy(old)
    if isinstance(value, dict):
        filled = {name: _fill(member, find(old, (name,))) for name, member in value.items()}
        return {name: member for name, member in filled.items() if member is not MISSING}
    if isinstance(value, list):
        items = [_fill(item, find(old, (str(index),))) for index, item in enumerate(value)]
        return items if MISSING not in items else (MISSING if old is MISSING else copy(old))
    return value
