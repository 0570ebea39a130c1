"""A command of ours as a child process that goes on until it's ended, and what it says."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Self

from .children import die_with_parent
from .waiting import wait_for

END_TIMEOUT_S = 60.0


class RunningCommand:
    """``samesky`` with these arguments, while the ``with`` block runs; then it is ended with SIGTERM."""

    def __init__(self, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        self._arguments = [sys.executable, "-m", "samesky", *map(str, arguments)]
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._lines: dict[str, list[str]] = {"output": [], "errors": []}
        self.status: int | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._arguments,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent(),
        )
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("output", self._process.stdout), ("errors", self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process.poll() is None:
            self.end()

    def _read(self, name: str, stream: object) -> None:
        for line in stream:  # type: ignore[attr-defined]
            self._lines[name].append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> list[str]:
        """The lines it has written so far."""
        return list(self._lines["output"])

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return "\n".join(self._lines["errors"])

    def wait_for_line(self, deadline_s: float = 60.0) -> str:
        """Its first line on standard output."""
        wait_for(lambda: self.output, deadline_s, what="the command's first line", explain=lambda: self.errors)
        return self.output[0]

    def end(self, signum: int = signal.SIGTERM) -> int:
        """Send it a signal and return its exit status."""
        self._process.send_signal(signum)
        return self.wait()

    def wait(self, deadline_s: float = END_TIMEOUT_S) -> int:
        """Wait until it has ended of itself, and return its exit status."""
        try:
            self.status = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.status = self._process.wait()
            raise AssertionError(f"the command went on for {deadline_s} s: {self.errors}") from None
        for reader in self._readers:
            reader.join(20)
        return self.status
