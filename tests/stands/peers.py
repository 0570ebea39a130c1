"""Programs that tests run beside a broker: started, listened to, ended, with their JSON lines as the answer."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from .children import die_with_parent
from .waiting import wait_for


class Peer:
    """One Python program as a child process. It says what it does in JSON lines on stdout. A context manager."""

    def __init__(
        self, script: Path, arguments: Sequence[object], *, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start ``script``; stdout and stderr are kept in ``folder`` under the script's name."""
        folder.mkdir(parents=True, exist_ok=True)
        self._name = script.name
        self._out = folder / f"{script.stem}.out"
        self._err = folder / f"{script.stem}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, str(script), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=None if environment is None else dict(environment),
                preexec_fn=die_with_parent(),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def error_text(self) -> str:
        """What it has written on stderr."""
        return self._err.read_text(errors="replace")

    def read_lines(self) -> list[dict[str, Any]]:
        """The JSON lines it has printed so far."""
        complete = self._out.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.splitlines()]

    def wait_for_event(self, event: str, deadline_s: float = 60) -> dict[str, Any]:
        """The first line whose ``event`` is this one."""

        def find() -> dict[str, Any] | None:
            assert self.running, f"{self._name} has ended: {self.error_text[-2000:]}"
            return next((line for line in self.read_lines() if line.get("event") == event), None)

        found = wait_for(find, deadline_s, what=f"{event} from {self._name}", explain=lambda: self.error_text[-2000:])
        assert found is not None
        return found

    def stop(self) -> dict[str, Any]:
        """Send SIGTERM; returns its last JSON line. Fails when it had ended by itself or ends badly."""
        assert self.running, f"{self._name} ended by itself: {self.error_text[-2000:]}"
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(60) == 0, self.error_text[-2000:]
        return self.read_lines()[-1]

    def kill(self) -> None:
        """End it at once; harmless when it has ended."""
        if self.running:
            self._process.kill()
        self._process.wait()
