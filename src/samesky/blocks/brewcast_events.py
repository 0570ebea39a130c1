"""What services of today's Brewblox tell of their blocks over MQTT, strictly read; and what that proves. Pure.

    brewcast/state/spark-one         all blocks, every few seconds, retained:
        {"key": "spark-one", "type": "Spark.state", "data": {"status": {…}, "blocks": [{…}, …], …}}
        with ``"data": null`` it is the service's will: it has died
    brewcast/state/spark-one/patch   some blocks, each one whole, when they have changed:
        {"key": "spark-one", "type": "Spark.patch", "data": {"changed": [{…}, …], "deleted": ["id", …]}}

From Brewblox's reference of its state events and its blocks API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.strict import Reason, Refused, decode_json_object
from ..errors import DataError
from .objects import Block
from .paths import Value
from .told_blocks import decode_block

STATE_TYPE, PATCH_TYPE = "Spark.state", "Spark.patch"
SYNCHRONIZED = "SYNCHRONIZED"
"""What a service says of the connection to its controller when its blocks may be believed."""
MAX_EVENT_BYTES = 2 << 20
"""A few hundred blocks are some 200 kB."""
_MISSING = object()


@dataclass(frozen=True, slots=True)
class StateEvent:
    """All blocks of a service; or why it can tell none, in words."""

    blocks: Mapping[str, Block] = field(default_factory=dict)
    away: str = ""


@dataclass(frozen=True, slots=True)
class PatchEvent:
    """Blocks that have changed, and ids of those that are gone."""

    changed: Mapping[str, Block]
    deleted: frozenset[str]


def decode_state(payload: bytes) -> StateEvent:
    """Return what a state event says; raises ``Refused`` (as `decode_json_object` does; SHAPE, VERSION)."""
    data = _decode_event(payload, STATE_TYPE)
    if data is None:
        return StateEvent(away="it has died, says its will")
    status = data.get("status")
    connection = status.get("connection_status", SYNCHRONIZED) if isinstance(status, dict) else SYNCHRONIZED
    if connection != SYNCHRONIZED:
        return StateEvent(away=f"its controller is {str(connection).lower()[:40]}")
    return StateEvent(_decode_blocks(data.get("blocks")))


def decode_patch(payload: bytes) -> PatchEvent:
    """Return what a patch event says; raises as `decode_state` does."""
    data = _decode_event(payload, PATCH_TYPE) or {}
    deleted = data.get("deleted", [])
    if not isinstance(deleted, list) or not all(isinstance(id, str) for id in deleted):
        raise Refused(Reason.SHAPE, "deleted blocks aren't a list of ids")
    return PatchEvent(_decode_blocks(data.get("changed", [])), frozenset(deleted))


def shows(old: Mapping[str, Value], wanted: Mapping[str, Value], told: Mapping[str, Value]) -> bool:
    """Whether a block that had the data ``old``, and now has those that are ``told``, was given the ``wanted`` ones.

    A controller rounds and bounds, so what was to change need only be something else than it was. What wasn't to
    change may be anything: it moves by itself.
    """
    return all(
        _shows(old.get(name, _MISSING), wanted.get(name, _MISSING), told.get(name, _MISSING))
        for name in {**old, **wanted}
    )


def _shows(old: object, wanted: object, told: object) -> bool:
    if isinstance(old, dict) and isinstance(wanted, dict) and isinstance(told, dict):
        return shows(old, wanted, told)
    return wanted == old or told == wanted or told != old


def _decode_event(payload: bytes, kind: str) -> dict[str, Any] | None:
    told = decode_json_object(payload, max_bytes=MAX_EVENT_BYTES)
    if told.get("type") != kind:
        raise Refused(Reason.VERSION, f"an event of another type than {kind}")
    data = told.get("data")
    if data is not None and not isinstance(data, dict):
        raise Refused(Reason.SHAPE, "an event's data aren't an object")
    return data


def _decode_blocks(told: object) -> dict[str, Block]:
    if not isinstance(told, list):
        raise Refused(Reason.SHAPE, "blocks aren't a list")
    blocks = {}
    for each in told:
        id = each.get("id") if isinstance(each, dict) else None
        if not isinstance(id, str):
            raise Refused(Reason.REQUIRED, "a block has no id")
        blocks[id] = decode_block(each, id, _TELLER)
    return blocks


class _Teller:
    def damaged(self, words: str) -> DataError:
        """A block of an event that is none."""
        return Refused(Reason.SHAPE, f"a block is none: {words}")


_TELLER = _Teller()
