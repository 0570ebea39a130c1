"""Processes beside the benchmark: each runs `program`, is told what to do on stdin and answers on stdout."""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
END_S = 60.0


class Peer:
    """One process. A context manager that ends it: closing its stdin asks it to, then it is killed."""

    def __init__(self, role: str, **arguments: Any) -> None:
        self._role = role
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.station.program", role, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self.ready = self.wait("ready", 60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, command: str, **arguments: Any) -> None:
        """Give it something to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._process.stdin.flush()

    def wait(self, event: str, deadline_s: float) -> dict[str, Any]:
        """Its next line, which has to be ``event``; raises TimeoutError or RuntimeError."""
        assert self._process.stdout is not None
        end = time.monotonic() + deadline_s
        while not select.select([self._process.stdout], [], [], 0.5)[0]:
            if time.monotonic() > end:
                raise TimeoutError(f"{self._role}: no {event} within {deadline_s:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._role} ended while {event} was awaited (status {self._process.wait(5)})")
        answer: dict[str, Any] = json.loads(line)
        if answer["event"] != event:
            raise RuntimeError(f"{self._role} said {answer} where {event} was awaited")
        return answer

    def ask(self, command: str, deadline_s: float, **arguments: Any) -> dict[str, Any]:
        """`tell`, then `wait` for the event of the same name."""
        self.tell(command, **arguments)
        return self.wait(command, deadline_s)

    def close(self) -> None:
        """End it; harmless when it has ended."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
