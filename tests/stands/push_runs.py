"""A site as its owner runs it: a samesky.toml, and the commands of `samesky push` in processes of their own."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .children import die_with_parent
from .push_serving import make_environment

_SAMPLE_S = 0.02


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    status: int
    output: str
    errors: str
    took_s: float
    cpu_s: float
    peak_mib: float
    """The most memory that it had."""

    @property
    def told(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.output)

    def __str__(self) -> str:
        return f"status {self.status}\n{self.output}{self.errors}"


class SiteCommands:
    """A site with its database at ``database_url``, which pushes to one centre.

    ``options`` are more lines for ``[push]``, ``target_options`` for its target.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        centre_url: str,
        key: str,
        options: str = "",
        target_options: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database_url = database_url
        self.config = folder / "samesky.toml"
        self.config.write_text(
            f"[push]\ndatabase = {json.dumps(database_url)}\nstate_dir = 'state'\n{options}\n"
            f"[push.targets.centre]\nurl = '{centre_url}'\nkey = '{key}'\n{target_options}\n"
        )
        self.config.chmod(0o600)

    def launch(self, command: str, *arguments: object) -> "RunningPush":
        """Start ``samesky push command``; returns at once."""
        return RunningPush([command, "--config", str(self.config), *map(str, arguments)], self.folder)

    def call(self, command: str, *arguments: object, deadline_s: float = 300.0) -> Finished:
        """Run ``samesky push command`` to its end, whatever that is."""
        return self.launch(command, *arguments).wait(deadline_s)

    def run(self, *arguments: object, deadline_s: float = 300.0) -> Finished:
        """Run `samesky push run`, which has to succeed."""
        finished = self.call("run", *arguments, deadline_s=deadline_s)
        assert finished.status == 0, str(finished)
        return finished


class RunningPush:
    """A command of `samesky push` that is under way."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self._output = folder / f"{arguments[0]}.out"
        self._errors = folder / f"{arguments[0]}.err"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "samesky", "push", *arguments],
                env=make_environment() | {"COLUMNS": "100"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=folder,
                preexec_fn=die_with_parent(),
            )

    @property
    def text(self) -> str:
        """What it has written so far, and said."""
        return self._output.read_text() + self._errors.read_text()

    def wait(self, deadline_s: float) -> Finished:
        """Wait for its end; fails, with what it said, when that doesn't come in time."""
        end, peak_mib, cpu_s = time.monotonic() + deadline_s, 0.0, 0.0
        while (status := self.process.poll()) is None:
            peak_mib, cpu_s = read_peak_mib(self.process.pid) or peak_mib, read_cpu_s(self.process.pid) or cpu_s
            if time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the command still ran after {deadline_s} s\n{self.text}")
            time.sleep(_SAMPLE_S)
        took_s = time.monotonic() - self.began
        return Finished(status, self._output.read_text(), self._errors.read_text(), took_s, cpu_s, peak_mib)


def read_peak_mib(pid: int) -> float:
    """The most memory that a process has had; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def read_cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used, its threads included; 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
