"""Pushes again and again, to each target in a thread of its own: one that fails never stops another."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from random import random

from ..core.backoff import Backoff
from ..errors import SameskyError
from .centre_errors import NotNow
from .push_settings import PushSettings, TargetSettings
from .pushing import Progress, Stopped, open_pushing
from .site_cache import SiteCache
from .steps import RunReport

log = logging.getLogger(__name__)

FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 900.0
TOLD_EVERY = 20
"""A failure that goes on is logged at first, and then each so many times."""


class Daemon:
    """Runs of all ``targets`` of ``settings``, until ``stop`` is set: then pages in flight are finished first.

    ``watch`` gives each target's thread what it calls at each of its turns, ``longest_wait_s`` apart at most but for a
    page or a question under way.
    """

    def __init__(
        self,
        settings: PushSettings,
        targets: tuple[TargetSettings, ...],
        cache: SiteCache,
        *,
        stop: threading.Event,
        on_progress: Callable[[Progress], None] = lambda _: None,
        on_report: Callable[[TargetSettings, RunReport], None] = lambda _target, _report: None,
        watch: Callable[[str], Callable[[], None]] = lambda _: lambda: None,
        longest_wait_s: float = math.inf,
    ) -> None:
        self._settings = settings
        self._targets = targets
        self._cache = cache
        self._stop = stop
        self._on_progress = on_progress
        self._on_report = on_report
        self._longest_wait_s = longest_wait_s
        self._turns = {target.name: watch(f"push-{target.name}") for target in targets}

    def run(self) -> None:
        """Push until ``stop`` is set, or this thread is interrupted; returns when all threads have ended."""
        threads = [
            threading.Thread(target=self._serve, args=(target,), name=f"push-{target.name}") for target in self._targets
        ]
        for thread in threads:
            thread.start()
        try:
            self._stop.wait()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _serve(self, target: TargetSettings) -> None:
        failures = _Failures(target.name, Backoff(FIRST_RETRY_S, LONGEST_RETRY_S, random=random))
        while not self._stop.is_set():
            try:
                wait_s = self._push(target, failures)
            except Stopped:
                break
            except Exception:  # a fault of ours: the other targets go on, and this one may the next time
                log.exception("push_fault target=%s", target.name)
                wait_s = self._period_s()
            self._wait(target, wait_s)

    def _push(self, target: TargetSettings, failures: "_Failures") -> float:
        """One run; returns the seconds until the next."""
        try:
            settings = replace(self._settings, compare=self._settings.compare and self._is_comparison_due(target))
            with open_pushing(settings, target, self._cache, stop=self._stop, on_progress=self._note) as pushing:
                wait_s = self._period_s()
                pushing.reporting.next_run_at = time.time() + wait_s
                report = pushing.run()
        except SameskyError as error:
            return failures.add(error, self._period_s())
        failures.clear()
        self._on_report(target, report)
        return wait_s

    def _note(self, progress: Progress) -> None:
        self._turns[progress.target]()
        self._on_progress(progress)

    def _wait(self, target: TargetSettings, wait_s: float) -> None:
        end = time.monotonic() + wait_s
        while (left_s := end - time.monotonic()) > 0 and not self._stop.is_set():
            self._turns[target.name]()
            self._stop.wait(min(left_s, self._longest_wait_s))

    def _is_comparison_due(self, target: TargetSettings) -> bool:
        """Whether a table was never compared, or last so long ago."""
        status = self._cache.read_status(target.name)
        proofs = [table.proof for table in status.tables] if status else []
        compared = [proof.at if proof else 0.0 for proof in proofs]
        return time.time() - min(compared, default=0.0) >= self._settings.compare_period_s

    def _period_s(self) -> float:
        """The period, a tenth more or less: many sites that were switched on together don't all come together."""
        return self._settings.period_s * (0.9 + 0.2 * random())


class _Failures:
    """Failures of one target in a row: what to log of them, and how long to wait."""

    def __init__(self, target: str, backoff: Backoff) -> None:
        self._target = target
        self._backoff = backoff
        self._count = 0

    def add(self, error: SameskyError, period_s: float) -> float:
        """Log a failure, if it is the first or has gone on long; returns the seconds until the next try."""
        self._count += 1
        asked_s = (error.wait_s or 0.0) if isinstance(error, NotNow) else 0.0
        wait_s = max(min(self._backoff.next_s(), period_s) if error.transient else period_s, asked_s)
        if self._count % TOLD_EVERY == 1:
            log.warning(
                "push_failed target=%s failures=%d next_s=%.0f error=%r hint=%r",
                *(self._target, self._count, wait_s, str(error), error.hint),
            )
        return wait_s

    def clear(self) -> None:
        """It worked."""
        if self._count:
            log.warning("push_works_again target=%s failures=%d", self._target, self._count)
        self._count = 0
        self._backoff.reset()
