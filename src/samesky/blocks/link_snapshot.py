"""Links of blocks as `Snapshot`s, which the page, the metrics and `samesky status` are made of."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ..core.status import Detail, Snapshot, State, take_snapshot
from ..link.reasons import find_remedy
from .links import Carrier
from .status import Health, PrimaryStatus, ReplicaStatus

MOST_VALUE = 200
"""Characters of a block's data that are shown."""
_LOOK = "Look whether the broker runs, and is reached (RabbitMQ: `sudo systemctl status rabbitmq-server`)."
_STATES: Final[Mapping[Health, State]] = {"ok": "live", "waiting": "waiting", "failing": "waiting", "paused": "stopped"}


class LinkSnapshots:
    """Makes the snapshots of one service's links, and remembers since when each has been as it is."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], tuple[State, float]] = {}

    def snapshot_primary(
        self, status: PrimaryStatus, data: object, now: float, *, carrier: Carrier = "amqp", trouble: str = ""
    ) -> Snapshot:
        """Return how a block that is broadcast is doing, ``data`` being what was read of it last (None: nothing yet).

        ``trouble`` is why its carrier carries nothing; empty when it does.
        """
        name = f"{status.service}.{status.id}"
        rough = Snapshot(
            system="blocks",
            stream=name,
            role="primary",
            state="live",
            unit="values",
            stored=status.published,
            duplicates=status.unchanged,
            refused=status.failed,
            lag_s=status.age_s,
            details={
                "key": status.key,
                "value": show_value(data),
                "age_s": _round(status.age_s),
                "published": status.published,
                "unchanged": status.unchanged,
                "failed": sum(status.failed.values()),
            },
        )
        return self._finish(rough, status, carrier, trouble, now)

    def snapshot_replica(
        self,
        status: ReplicaStatus,
        data: object,
        now: float,
        *,
        carrier: Carrier = "amqp",
        trouble: str = "",
        shares_block: bool = False,
    ) -> Snapshot:
        """Return how a block that follows is doing, ``data`` being what came for it last (None: nothing yet).

        A block that follows several keys, and so ``shares_block``, is a stream for each of them.
        """
        name = f"{status.service}.{status.id}"
        details: dict[str, Detail] = {
            "key": status.key,
            "value": show_value(data),
            "freshness": status.freshness,
            "age_s": _round(status.age_s),
            "written in, s": _round(status.lag_s),
            "received": status.received,
            "written": status.written,
            "unchanged": status.unchanged,
            "dropped": sum(status.dropped.values()),
        }
        rough = Snapshot(
            system="blocks",
            stream=f"{name} ({status.key})" if shares_block else name,
            role="replica",
            state="live",
            unit="values",
            stored=status.written,
            duplicates=status.unchanged,
            refused=status.dropped,
            lag_s=status.age_s,
            details=details,
        )
        return self._finish(rough, status, carrier, trouble, now)

    def _finish(
        self, rough: Snapshot, status: PrimaryStatus | ReplicaStatus, carrier: Carrier, trouble: str, now: float
    ) -> Snapshot:
        remedy = _LOOK if carrier == "amqp" else find_remedy(trouble)
        words, hint = (trouble, remedy) if trouble else (status.last_error, _make_sentence(status.hint))
        state: State = "disconnected" if trouble else _STATES[status.health]
        known = self._states.get((rough.stream, rough.role))
        if known is None or known[0] != state:
            known = self._states[rough.stream, rough.role] = (state, now)
        return take_snapshot(replace(rough, state=state, since=known[1], last_error=words, hint=hint), now)


def show_value(data: object) -> str | None:
    """Return the data of a block as one short line; a number alone is shown as it is."""
    if data is None:
        return None
    if isinstance(data, Mapping) and len(data) == 1 and isinstance(next(iter(data.values())), int | float | str):
        ((name, value),) = data.items()
        return f"{name} = {value}"[:MOST_VALUE]
    text = json.dumps(data, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_VALUE else f"{text[: MOST_VALUE - 1]}…"


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _make_sentence(hint: str) -> str:
    return f"{hint[0].upper()}{hint[1:].rstrip('.')}." if hint else ""
