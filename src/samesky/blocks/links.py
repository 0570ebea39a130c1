"""What a user registers: a block whose state is broadcast (`PrimaryLink`), or one that follows it (`ReplicaLink`).

The seed's fields are ``id``, ``interval``, ``key`` and ``translations``; the others are ours, and may be left out. On
the wire and in URLs the two are *master* and *slave*. Everything is checked here, once, before anything runs with it:
of the original an interval of "5" stopped the whole service, and one of 0 sent 770 messages a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Literal, TypeVar, cast, get_args

from ..core.strict import Reason, Refused, check_text
from .paths import Path, Spelling, Value, parse_path, spell_path
from .transforms import decode_transform, encode_transform
from .translate import NullPolicy, Pair, Translation, find_null

Carrier = Literal["amqp", "mqtt"]
"""Which of the two links a message travels by."""
Publish = Literal["always", "on_change"]

MAX_ID_LENGTH = 200
MAX_KEY_BYTES = 255  # AMQP 0.9.1: a short string
MAX_PAIRS = 256
SHORTEST_INTERVAL_S = 0.1
LONGEST_S = 7 * 86_400.0
Chosen = TypeVar("Chosen", bound=str)
REPLACE = Translation()
"""The primary's data take the place of the replica's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryLink:
    """The block ``id`` of ``service`` is read every ``interval_s``, and its data are broadcast under ``key``."""

    service: str
    id: str
    interval_s: float
    publish: Publish = "always"
    """``on_change``: only when the data have changed, and every ``longest_s`` all the same."""
    deadband: float = 0.0
    """A number that has changed by less hasn't."""
    shortest_s: float = 0.0
    """No two messages come closer to each other, whatever changes."""
    longest_s: float = 60.0
    carrier: Carrier = "amqp"

    @property
    def key(self) -> str:
        """The routing key, the seed's: ``spark-master.master-sensor``."""
        return f"{self.service}.{self.id}"

    @property
    def heard_every_s(self) -> float:
        """At least so often a replica hears of it."""
        return self.interval_s if self.publish == "always" else max(self.interval_s, self.longest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLink:
    """What comes under ``key``, which may have the wildcards ``*`` and ``#``, is written to the block ``id``."""

    service: str
    id: str
    key: str
    translation: Translation = REPLACE
    ttl_s: float | None = None
    """So long after it came a value is fresh; None: what the primary says, or three times the pace it comes at."""
    fallback: Mapping[Path, Value] = field(default_factory=lambda: MappingProxyType({}))
    """What is written when the value gets stale; with none, nothing is."""
    spelling: Spelling = "slash"
    carrier: Carrier = "amqp"

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells two links apart: one block may follow several keys, but each of them once."""
        return self.service, self.id, self.key


def decode_primary(service: str, told: object) -> PrimaryLink:
    """Return the link that the object ``told`` describes, as ``POST /remote/master`` has it; raises ``Refused``."""
    fields = _take_object(told, ("id", "interval"), ("publish", "deadband", "min_period", "max_period", "link"))
    shortest_s = _take_number(fields, "min_period", low=0.0, high=LONGEST_S, default=0.0)
    longest_s = _take_number(
        fields, "max_period", low=SHORTEST_INTERVAL_S, high=LONGEST_S, default=max(60.0, shortest_s)
    )
    if longest_s < shortest_s:
        raise Refused(Reason.RANGE, "max_period is less than min_period")
    link = PrimaryLink(
        service=service,
        id=check_id(fields["id"]),
        interval_s=_take_number(fields, "interval", low=SHORTEST_INTERVAL_S, high=LONGEST_S),
        publish=_take_choice(fields, "publish", get_args(Publish), "always"),
        deadband=_take_number(fields, "deadband", low=0.0, high=float("1e300"), default=0.0),
        shortest_s=shortest_s,
        longest_s=longest_s,
        carrier=_take_choice(fields, "link", get_args(Carrier), "amqp"),
    )
    check_key(link.key)
    if not {"*", "#"}.isdisjoint(link.key.split(".")):
        raise Refused(Reason.NAME, "a key under which something is broadcast can't have the wildcards * and #")
    return link


def encode_primary(link: PrimaryLink) -> dict[str, object]:
    """Return the object that `decode_primary` takes back to an equal link."""
    return {
        "id": link.id,
        "interval": link.interval_s,
        "publish": link.publish,
        "deadband": link.deadband,
        "min_period": link.shortest_s,
        "max_period": link.longest_s,
        "link": link.carrier,
    }


def decode_replica(service: str, told: object) -> ReplicaLink:
    """Return the link that the object ``told`` describes, as ``POST /remote/slave`` has it; raises ``Refused``."""
    ours = ("translations", "transforms", "nulls", "paths", "ttl", "fallback", "link")
    fields = _take_object(told, ("id", "key"), ours)
    spelling = _take_choice(fields, "paths", get_args(Spelling), "slash")
    ttl_s = _take_number(fields, "ttl", low=1.0, high=LONGEST_S) if fields.get("ttl") is not None else None
    return ReplicaLink(
        service=service,
        id=check_id(fields["id"]),
        key=check_key(fields["key"]),
        translation=_decode_translation(fields, spelling),
        ttl_s=ttl_s,
        fallback=_decode_fallback(fields.get("fallback"), spelling),
        spelling=spelling,
        carrier=_take_choice(fields, "link", get_args(Carrier), "amqp"),
    )


def encode_replica(link: ReplicaLink) -> dict[str, object]:
    """Return the object that `decode_replica` takes back to an equal link."""

    def spell(path: Path) -> str:
        return spell_path(path, spelling=link.spelling)

    pairs = link.translation.pairs
    return {
        "id": link.id,
        "key": link.key,
        "translations": {spell(pair.source): spell(pair.target) for pair in pairs},
        "transforms": {spell(pair.source): encode_transform(pair.transform) for pair in pairs if pair.transform},
        "nulls": link.translation.nulls,
        "paths": link.spelling,
        "ttl": link.ttl_s,
        "fallback": {spell(path): value for path, value in link.fallback.items()} or None,
        "link": link.carrier,
    }


def check_id(told: object) -> str:
    """Return ``told`` when it can be the id of a block: 1 to 200 characters, no controls; else ``Refused``."""
    if not isinstance(told, str):
        raise Refused(Reason.TYPE, "an id must be a text")
    if not 0 < len(told) <= MAX_ID_LENGTH or not told.isprintable():
        raise Refused(Reason.NAME, f"an id has 1 to {MAX_ID_LENGTH} characters, and no controls")
    return check_text(told)


def check_key(told: object) -> str:
    """Return ``told`` when it can be a routing key: at most 255 bytes, as AMQP has it; else ``Refused``."""
    if not isinstance(told, str):
        raise Refused(Reason.TYPE, "a key must be a text")
    if not told or not told.isprintable() or len(check_text(told).encode()) > MAX_KEY_BYTES:
        raise Refused(Reason.NAME, f"a key has 1 to {MAX_KEY_BYTES} bytes, and no controls")
    return told


def _decode_translation(fields: Mapping[str, object], spelling: Spelling) -> Translation:
    table = _take_table(fields, "translations")
    transforms = _take_table(fields, "transforms")
    stray = [source for source in transforms if source not in table]
    if stray:
        raise Refused(Reason.COLUMN, "a transform is of a source path that translations hasn't; write both alike")
    pairs = tuple(
        Pair(
            parse_path(source, spelling=spelling),
            parse_path(target, spelling=spelling),
            decode_transform(transforms[source]) if source in transforms else None,
        )
        for source, target in table.items()
    )
    return Translation(pairs, _take_choice(fields, "nulls", get_args(NullPolicy), "hold"))


def _decode_fallback(told: object, spelling: Spelling) -> Mapping[Path, Value]:
    if told is None:
        return MappingProxyType({})
    if not isinstance(told, dict) or not 0 < len(told) <= MAX_PAIRS:
        raise Refused(Reason.SHAPE, "fallback must be an object of paths and the values to be written there")
    if find_null(told) is not None:
        raise Refused(Reason.TYPE, "a fallback can't have a null, which controllers take for 0")
    return MappingProxyType({parse_path(path, spelling=spelling): value for path, value in told.items()})


def _take_object(told: object, required: tuple[str, ...], others: tuple[str, ...]) -> dict[str, object]:
    """``told``, which has all of ``required`` and none but these and ``others``."""
    if not isinstance(told, dict):
        raise Refused(Reason.SHAPE, "the body must be a JSON object")
    for name in required:
        if name not in told:
            raise Refused(Reason.REQUIRED, f"{name} is missing")
    for name in told:
        if name not in required and name not in others:
            raise Refused(Reason.COLUMN, f"a field is unknown; there are {', '.join((*required, *others))}")
    return cast(dict[str, object], told)


def _take_table(fields: Mapping[str, object], name: str) -> dict[str, object]:
    table = fields.get(name)
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise Refused(Reason.SHAPE, f"{name} must be an object")
    if len(table) > MAX_PAIRS:
        raise Refused(Reason.SIZE, f"{name} has more than {MAX_PAIRS} pairs")
    return cast(dict[str, object], table)


def _take_number(
    fields: Mapping[str, object], name: str, *, low: float, high: float, default: float | None = None
) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(Reason.TYPE, f"{name} must be a number")
    if not (isfinite(value) and low <= value <= high):
        raise Refused(Reason.RANGE, f"{name} must be from {low:g} to {high:g}")
    return float(value)


def _take_choice(fields: Mapping[str, object], name: str, allowed: tuple[Chosen, ...], default: Chosen) -> Chosen:
    value = fields.get(name, default)
    if value not in allowed:
        raise Refused(Reason.RANGE, f"{name} must be {' or '.join(allowed)}")
    return value
