"""Several peers for one tree: which processes to run (`plan_shared`, `plan_split`), and keeping them alive.

MQTT v5 shares a subscription between clients, ``$share/<group>/…``: each announcement goes to one worker. Brokers and
programs that can't are served the seed's way: a dispatcher takes all announcements and spreads them over as many topic
trees of our own broker as there are workers.
"""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Self

from ..core.backoff import Backoff
from ..errors import ConfigError
from ..link.child_process import make_die_with_parent
from .signs_of_life import SignsOfLife

log = logging.getLogger(__name__)

FIRST_DELAY_S, MOST_DELAY_S = 1.0, 60.0
STEADY_AFTER_S = 30.0
"""A worker that has run for so long was well: if it ends, it is started again at once."""
STOP_TIMEOUT_S = 15.0
HUNG_AFTER_S = 60.0
"""A worker whose loop hasn't turned for so long hangs: it is ended, and started again."""
ABORT_S = 2.0
LOOK_INTERVAL_S = 0.2
STATUS_CONFIG = 2
WORKER_VARIABLE = "SAMESKY_WORKER"
"""Tells a worker which one it is: workers follow the same neighbours, and are to be told apart on the page."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One process: its name, which is its MQTT client id, and the arguments of its ``samesky mesh peer``."""

    name: str
    arguments: tuple[str, ...]


def plan_shared(
    count: int, name: str, options: Sequence[str], *, group: str, first: Sequence[str] = ()
) -> list[Worker]:
    """Return ``count`` peers that share the announcements as the group ``group``.

    Each keeps its name, thus its session: a worker that comes back gets what the broker kept for it. The first compares
    trees for all, and alone has the options ``first``.
    """
    workers = []
    for number in range(count):
        own = f"{name}-{number:02d}"
        mine = (*first,) if number == 0 else ("--no-compare",)
        workers.append(Worker(own, ("--client-id", own, "--share", group, *mine, *options)))
    return workers


def plan_split(
    count: int,
    name: str,
    options: Sequence[str],
    *,
    brokers: Sequence[str],
    post_broker: str,
    exchange: str,
    post_exchange: str,
    first: Sequence[str] = (),
) -> list[Worker]:
    """Return a dispatcher, which fetches nothing and passes the announcements of ``brokers`` on, and ``count`` workers.

    The dispatcher posts to ``post_broker``, below ``<name>00``, ``<name>01`` …; each worker takes one of these and
    announces below ``post_exchange``. Trees aren't compared this way: workers know nothing of the neighbours.
    """
    sources = [part for url in brokers for part in ("--broker", url)]
    dispatcher = (
        *("--client-id", f"{name}-dispatch", "--no-download", "--no-compare", *sources, "--exchange", exchange),
        *("--post-broker", post_broker, "--post-exchange", name, "--post-exchange-split", str(max(count, 2))),
    )
    workers = [Worker(f"{name}-dispatch", (*dispatcher, *options))]
    for number in range(count):
        own = f"{name}-{number:02d}"
        local = ("--broker", post_broker, "--exchange", f"{name}{number:02d}", "--no-compare")
        mine = (*first,) if number == 0 else ()
        posting = ("--post-broker", post_broker, "--post-exchange", post_exchange)
        workers.append(Worker(own, ("--client-id", own, *local, *posting, *mine, *options)))
    return workers


class Supervisor:
    """Runs ``workers`` while its ``with`` block lasts, and starts those again that end or hang, ever more rarely.

    With ``log_folder`` each has its own log there, ``<name>.log``; else they share our output. They end with us, even
    when we are killed.
    """

    def __init__(self, workers: Sequence[Worker], *, log_folder: Path | None = None) -> None:
        self._workers = workers
        self._log_folder = log_folder
        self._running: list[_Running] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="samesky-workers-")))
            for number, worker in enumerate(self._workers):
                signs = SignsOfLife(folder / str(number), HUNG_AFTER_S)
                stack.callback(signs.close)
                self._running.append(_Running(worker, self._log_folder, signs))
            stack.callback(self._stop)
            for running in self._running:
                running.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now."""
        return {each.worker.name: each.pid for each in self._running if each.pid}

    def run(self, on_turn: Callable[[], bool | None] = lambda: None) -> None:
        """Keep them alive until ``on_turn``, which is called a few times a second, returns False.

        Raises ``ConfigError`` when one ends because of its configuration: it would do so for ever.
        """
        pause = threading.Event()
        while on_turn() is not False:
            for running in self._running:
                running.mend()
            pause.wait(LOOK_INTERVAL_S)

    def _stop(self) -> None:
        for running in self._running:
            running.ask_to_stop()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for running in self._running:
            running.stop(deadline)


class _Running:
    """One worker's process, and when it may be started again."""

    def __init__(self, worker: Worker, log_folder: Path | None, signs: SignsOfLife) -> None:
        self.worker = worker
        self._log_folder = log_folder
        self._signs = signs
        self._backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S, random=random.random)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._next_start = 0.0

    @property
    def pid(self) -> int:
        """The process, 0 when it doesn't run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> None:
        output = self._open_log()
        own = {"PYTHONUNBUFFERED": "1", WORKER_VARIABLE: self.worker.name.rpartition("-")[2]}
        self._signs.begin()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "samesky", "-v", "mesh", "peer", *self.worker.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **own, **self._signs.environment},
                start_new_session=True,  # Ctrl-C is for us alone: we end them in good order
                preexec_fn=make_die_with_parent(),
            )
        finally:
            if output is not None:
                output.close()
        self._started_at = time.monotonic()
        log.info("worker_started name=%s pid=%d", self.worker.name, self._process.pid)

    def mend(self) -> None:
        """Start it again when it has ended and its time has come; end it when it hangs."""
        if self._process is None:
            if time.monotonic() >= self._next_start:
                self.start()
            return
        status = self._process.poll()
        if status is None:
            if self._signs.is_hung():
                log.error("worker_hung name=%s silent_s=%.0f", self.worker.name, HUNG_AFTER_S)
                self._abort()
            return
        self._process = None
        if status == STATUS_CONFIG:
            raise ConfigError(f"the worker {self.worker.name} can't run with this configuration: see what it said")
        if time.monotonic() - self._started_at >= STEADY_AFTER_S:
            self._backoff.reset()
        delay_s = self._backoff.next_s()
        self._next_start = time.monotonic() + delay_s
        log.warning("worker_ended name=%s status=%d restart_s=%.1f", self.worker.name, status, delay_s)

    def _abort(self) -> None:
        """End it so that it writes down what each of its threads was doing, if it still can."""
        assert self._process is not None
        self._process.send_signal(signal.SIGABRT)
        try:
            self._process.wait(ABORT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask_to_stop(self) -> None:
        if self.pid:
            assert self._process is not None
            self._process.send_signal(signal.SIGTERM)

    def stop(self, deadline: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("worker_killed name=%s", self.worker.name)
            self._process.kill()
            self._process.wait()

    def _open_log(self) -> IO[bytes] | None:
        if self._log_folder is None:
            return None
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return open(self._log_folder / f"{self.worker.name}.log", "ab")
