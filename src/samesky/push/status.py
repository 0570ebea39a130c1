"""How a push is going: one value that a pusher writes down and `samesky push status` shows; nothing is asked for it."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from ..core.strict import Refused
from .proof import Proof

_log = logging.getLogger(__name__)

State = Literal["pushing", "waiting", "idle", "stopped"]
"""At work; waiting because something went wrong; done, until the next run; given up until somebody does something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """One append-only table."""

    table: str
    position: tuple[object, ...] | None = None
    """The key of the last row that the centre has, in order; its time is first, in Unix seconds."""
    backlog: int | None = None
    """Rows behind the position. None: nobody counted."""
    proof: Proof | None = None
    """What the last comparison found."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Rows that the centre refused, by reason."""

    @property
    def is_well(self) -> bool:
        """Whether nothing is known to differ."""
        return not self.quarantined and (self.proof is None or self.proof.same)

    def as_dict(self) -> dict[str, object]:
        """The status as JSON has it."""
        return {
            "table": self.table,
            "position": None if self.position is None else list(self.position),
            "backlog": self.backlog,
            "proof": None if self.proof is None else self.proof.as_dict(),
            "quarantined": dict(self.quarantined),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PushStatus:
    """The push to one centre, at one moment."""

    target: str
    url: str
    state: State
    at: float
    """The moment, in Unix seconds: when this was written."""
    since: float
    """When it came into ``state``."""
    site: str = ""
    """What the centre calls this site."""
    tables: tuple[TableStatus, ...] = ()
    next_run_at: float | None = None
    """When a daemon goes on; None: it was a single run."""
    last_push_at: float | None = None
    """When a run last had everything stored at the centre."""
    sent_rows: int = 0
    """In the current or last run."""
    rows_per_s: float | None = None
    """In the current or last run, while pages were sent."""
    refused_dimensions: tuple[str, ...] = ()
    """Rows of dimensions that the centre refused, in words."""
    last_error: str = ""
    """What went wrong last, if it isn't over."""
    hint: str = ""
    """What to do about it."""

    @property
    def backlog(self) -> int | None:
        """Rows of all tables that the centre hasn't; None when nobody counted."""
        counts = [table.backlog for table in self.tables]
        return None if None in counts or not counts else sum(count for count in counts if count is not None)

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong, as far as is known."""
        return not self.last_error and not self.refused_dimensions and all(table.is_well for table in self.tables)

    def describe(self) -> str:
        """The status as one log line."""
        backlog = "-" if self.backlog is None else self.backlog
        quarantined = sum(sum(table.quarantined.values()) for table in self.tables)
        proven = [table.proof for table in self.tables if table.proof is not None]
        same = "-" if not proven else str(all(proof.same for proof in proven)).lower()
        error = f" error={json.dumps(self.last_error)}" if self.last_error else ""
        return (
            f"target={self.target} state={self.state} backlog={backlog} sent={self.sent_rows} same={same} "
            f"quarantined={quarantined}{error}"
        )

    def as_dict(self) -> dict[str, object]:
        """The status as JSON has it, and `read` takes it back."""
        tables = [table.as_dict() for table in self.tables]
        return asdict(self) | {"tables": tables, "backlog": self.backlog, "is_well": self.is_well}

    @classmethod
    def read(cls, text: str) -> "PushStatus | None":
        """The status that was written down as ``text``; None when another version wrote it and it can't be read."""
        try:
            document = json.loads(text)
            known = {each.name: document[each.name] for each in fields(cls) if each.name in document}
            known["tables"] = tuple(map(_read_table, document["tables"]))
            known["refused_dimensions"] = tuple(document["refused_dimensions"])
            return cls(**known)
        except (KeyError, TypeError, ValueError, Refused) as error:
            _log.warning("push_status_not_read error=%r", str(error))
            return None


def _read_table(document: dict[str, Any]) -> TableStatus:
    return TableStatus(
        table=document["table"],
        position=None if document["position"] is None else tuple(document["position"]),
        backlog=document["backlog"],
        proof=None if document["proof"] is None else Proof.from_dict(document["proof"]),
        quarantined=document["quarantined"],
    )
