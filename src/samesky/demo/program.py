"""The processes that a demo runs: `samesky`, as a user starts it, on ports of this machine alone."""

import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO
from urllib.error import URLError
from urllib.request import urlopen

from ..errors import SetupError, Unreachable
from ..link.child_process import find_free_port, make_die_with_parent, wait_or_kill

HOST = "127.0.0.1"
STOP_TIMEOUT_S = 10.0
POLL_S = 0.05
TAIL_LINES = 15
SOURCE = Path(__file__).resolve().parents[2]


def check_libraries(names: Sequence[str], *, script: str) -> None:
    """Raise `SetupError` unless this Python has all of ``names``; ``script`` is what brings them in a checkout."""
    missing = [name for name in names if not importlib.util.find_spec(name)]
    if missing:
        raise SetupError(
            f"{', '.join(missing)}: not installed for {sys.executable}",
            hint=f"pip install 'samesky[demo]', which brings it; from a checkout, {script} does it all",
        )


def find_program() -> str:
    """What to type for `samesky` in another terminal: where this one is, if no samesky is found by its name.

    A checkout has it in .venv, which nobody who only runs scripts/demo has on the path.
    """
    here = Path(sys.executable).with_name("samesky")
    return "samesky" if shutil.which("samesky") or not here.exists() else shlex.quote(str(here))


def open_place(stack: ExitStack, directory: Path | None) -> Path:
    """Return where a demo keeps its files: ``directory``, or a folder that goes with ``stack``.

    It goes when the terminal is closed, too.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    place = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="samesky-demo-")))
    return place.absolute()


def start_module(
    *command: str, output_path: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start ``python -m`` with ``command``, which finds this samesky; returns at once. It ends when we are killed.

    In a session of its own: Ctrl-C isn't for it, and what it does to its process group isn't for us.
    """
    with output_path.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            cwd=cwd,
            env=_own_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=make_die_with_parent(),
        )


class Program:
    """One `samesky mesh` process (or ``system``'s), called ``name`` in messages; can be killed and started again.

    ``environment`` is added to ours.
    """

    def __init__(
        self, name: str, *, log_path: Path, system: str = "mesh", environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._system = system
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *arguments: object) -> None:
        """Start `samesky mesh` (or another system) with ``arguments``, if it isn't running; returns at once."""
        if not self.pid:
            command = ("samesky", "-v", self._system, *map(str, arguments))
            self._process = start_module(*command, output_path=self.log_path, environment=self._environment)

    def check(self) -> None:
        """Raise `Unreachable`, with the end of its log, when it has ended by itself."""
        status = None if self._process is None else self._process.poll()
        if status is not None:
            raise Unreachable(
                f"{self.name} has ended with status {status}\n{self.tail()}",
                hint=f"read {self.log_path} (give --directory to keep it)",
            )

    def wait_until_answering(self, url: str, timeout_s: float) -> None:
        """Return as soon as a GET of ``url`` succeeds; raises `Unreachable` after ``timeout_s``, or when it ends."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.check()
            try:
                with urlopen(url, timeout=timeout_s):
                    return
            except URLError as error:
                if time.monotonic() > deadline:
                    raise Unreachable(f"{self.name} doesn't answer: {error}\n{self.tail()}") from error
            time.sleep(POLL_S)

    def tail(self) -> str:
        """The last lines of its log."""
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        return "\n".join([f"--- the end of {self.log_path}", *lines[-TAIL_LINES:]])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; harmless when it doesn't run."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait_ended(self, timeout_s: float) -> None:
        """Wait until it has ended; killed when that takes longer than ``timeout_s``."""
        process, self._process = self._process, None
        if process is not None:
            wait_or_kill(process, timeout_s)

    def end(self, timeout_s: float) -> None:
        """End it as systemd does, and wait for that."""
        self.signal(signal.SIGTERM)
        self.wait_ended(timeout_s)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        self.wait_ended(STOP_TIMEOUT_S)


def run_samesky(
    *words: str, file: TextIO, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """Run `samesky` with ``words`` as a user does, and let it print to ``file``; returns its exit status."""
    file.flush()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "samesky", *words],
        cwd=cwd,
        env=_own_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=file,
        stderr=file,
        check=False,
    )
    return done.returncode


def _own_environment(more: Mapping[str, str] | None) -> dict[str, str]:
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **(more or {}), "PYTHONPATH": path}


def find_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that nobody has, as `find_free_port` finds them."""
    return [find_free_port() for _ in range(count)]
