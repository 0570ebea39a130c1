"""How a push is going, written down for `samesky push status` while it goes, and told to the centre at its end."""

import socket
import time
from collections.abc import Callable, Mapping

from .. import __version__
from ..errors import SameskyError
from .model import Model
from .push_settings import TargetSettings
from .site_cache import SiteCache
from .status import PushStatus, State, TableStatus
from .steps import RunReport

WRITTEN_EVERY_S = 5.0


class Reporting:
    """Keeps the `PushStatus` of one target in ``cache``, with what is remembered of earlier runs."""

    def __init__(
        self, target: TargetSettings, model: Model, cache: SiteCache, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._target = target
        self._model = model
        self._cache = cache
        self._clock = clock
        self._written_s = 0.0
        self._began_s = clock()
        self._state: State = "pushing"
        self._since = self._began_s
        self._before = cache.read_status(target.name)
        self.next_run_at: float | None = None
        """When a daemon will push again, in Unix seconds."""
        self.backlogs: dict[str, int] = {}
        """Rows of each table that the centre hasn't, as they were counted last."""

    def begin(self) -> None:
        """Forget the run before."""
        self._before = self._cache.read_status(self._target.name)
        self._began_s, self._written_s = self._clock(), 0.0
        self.backlogs = {}

    def write_progress(self, report: RunReport, *, error: SameskyError | None = None) -> None:
        """Note how far a run is, every few seconds; at once when it waits because of ``error``."""
        now, state = self._clock(), "waiting" if error else "pushing"
        if now - self._written_s >= WRITTEN_EVERY_S or state != self._state:
            self._write(report, "waiting" if error else "pushing", now, error=error)

    def write_end(self, report: RunReport, *, error: SameskyError | None = None) -> None:
        """Note how a run ended: well, or with ``error``."""
        state: State = "idle" if error is None or error.transient else "stopped"
        self._write(report, state, self._clock(), error=error, ended=True)

    def describe_heartbeat(self, report: RunReport) -> Mapping[str, object]:
        """What the centre is told at the end of a run."""
        proofs = [table.proof.as_dict() for table in report.tables.values() if table.proof is not None]
        return {
            "hostname": socket.gethostname()[:255],
            "localtime": int(self._clock()),
            "version": __version__,
            "backlog": sum(self.backlogs.values()),
            "proofs": proofs,
        }

    def _write(
        self,
        report: RunReport,
        state: State,
        now: float,
        *,
        error: SameskyError | None = None,
        ended: bool = False,
    ) -> None:
        if state != self._state:
            self._state, self._since = state, now
        self._written_s = now
        sent = sum(table.sent for table in report.tables.values())
        before = self._before
        is_pushed = ended and all(table.is_pushed for table in report.tables.values())
        trouble = error or next((table.trouble for table in report.tables.values() if table.trouble), None)
        self._cache.write_status(
            PushStatus(
                target=self._target.name,
                url=self._target.url,
                state=state,
                at=now,
                since=self._since,
                site=report.start.site if report.start else before.site if before else "",
                tables=tuple(self._describe_tables(report)),
                next_run_at=self.next_run_at if ended else None,
                last_push_at=now if is_pushed else before.last_push_at if before else None,
                sent_rows=sent,
                rows_per_s=sent / (now - self._began_s) if sent and now > self._began_s else None,
                refused_dimensions=(*self._describe_dimensions(report), *report.describe_unfit()),
                last_error=str(trouble or ""),
                hint=trouble.hint if trouble else "",
            )
        )

    def _describe_tables(self, report: RunReport) -> list[TableStatus]:
        before = {table.table: table for table in self._before.tables} if self._before else {}
        quarantine = self._cache.quarantine(self._target.name)
        return [
            TableStatus(
                table=name,
                position=table.position or (before[name].position if name in before else None),
                backlog=self.backlogs.get(name, before[name].backlog if name in before else None),
                proof=table.proof or (before[name].proof if name in before else None),
                quarantined=quarantine.count(name),
            )
            for name, table in report.tables.items()
        ]

    def _describe_dimensions(self, report: RunReport) -> tuple[str, ...]:
        """The words of the last catalogue's refusals; one that isn't sent again is the same as before."""
        if report.catalogue is None:
            return self._before.refused_dimensions if self._before and report.start is None else ()
        return tuple(
            f"{refusal.table} {refusal.site_id}: {refusal.words}"
            for outcome in report.catalogue.tables
            for refusal in outcome.refused
        )[:100]
