"""A private RabbitMQ node for the demo and the tests: a child process on loopback ports, with a directory of its own.

It needs no root and no service, and touches nothing of one that runs: it has its own name server (`Epmd`), cookie,
database and log. Debian's scripts in /usr/sbin become another user first; those that they call don't, so we do as well.
"""

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from ..errors import SetupError
from .child_process import accepts, find_free_port, make_die_with_parent, wait_or_kill

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0
RABBITMQ_PLACES = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/opt/homebrew/sbin")
INSTALL_HINT = "apt install rabbitmq-server (the service needn't run)"
_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"


class Epmd:
    """Erlang's name server, by which nodes and `rabbitmqctl` find each other; one for each cluster. Ends with us."""

    def __init__(self) -> None:
        self.port = find_free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if it isn't running, and wait until it listens."""
        if self._process and self._process.poll() is None:
            return
        program = shutil.which("epmd")
        if program is None:
            raise SetupError("Erlang's epmd isn't installed", hint=INSTALL_HINT)
        self._process = subprocess.Popen(
            [program, "-port", str(self.port)],
            env=os.environ | {"ERL_EPMD_ADDRESS": "127.0.0.1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=make_die_with_parent(),
        )
        atexit.register(self.stop)
        _wait_until(lambda: accepts(self.port), 30, "epmd didn't listen")

    def stop(self) -> None:
        """End it; nothing if it isn't running. Nodes that still run lose sight of each other."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


class RabbitmqBroker:
    """One RabbitMQ node on 127.0.0.1, to be used with ``with``; it starts in 4 to 10 s, and ends when we end.

    ``port`` 0 takes a free one and keeps it over restarts, as the node keeps its directory. Without ``dir`` a temporary
    one is used, which goes with the ``with`` block. ``plugins`` are switched on; ``options`` are more lines of
    rabbitmq.conf. Nodes that are to be a cluster share ``epmd`` and ``cookie``, and each has its own ``name``.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        dir: str | Path | None = None,
        name: str = "samesky",
        epmd: Epmd | None = None,
        cookie: str | None = None,
        plugins: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.programs = find_rabbitmq()
        self.port = port or find_free_port()
        self.node = f"{name}@localhost"
        self.epmd = epmd or Epmd()
        self.cookie = cookie or secrets.token_hex(16)
        self._owns_epmd = epmd is None
        self._distribution_port = find_free_port()
        self._plugins = tuple(plugins)
        self._options = tuple(options)
        self._temporary = None if dir else tempfile.TemporaryDirectory(prefix="samesky-rabbitmq-")
        self.dir = Path(dir or self._temporary.name)  # type: ignore[union-attr]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def url(self) -> str:
        """Where clients connect; RabbitMQ takes its user ``guest`` from this machine alone."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def log_text(self) -> str:
        """What the node has said so far."""
        files = [self.dir / "output", *sorted((self.dir / "log").glob("*.log"))]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    @property
    def environment(self) -> dict[str, str]:
        """What the node and the programs that steer it find in their environment."""
        names = {
            "HOME": "",
            "RABBITMQ_CONF_ENV_FILE": "no-environment.conf",
            "RABBITMQ_MNESIA_BASE": "database",
            "RABBITMQ_LOG_BASE": "log",
            "RABBITMQ_PID_FILE": "pid",
            "RABBITMQ_CONFIG_FILE": "rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": "generated",
            "RABBITMQ_FEATURE_FLAGS_FILE": "feature_flags",
        }
        ours = {
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.epmd.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_LOOPBACK} +S 1:1 +A 4",
            "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK,
            "RABBITMQ_ALLOW_INPUT": "true",  # then no shell stands between us and the node
        }
        return os.environ | ours | {name: str(self.dir / place) for name, place in names.items()}

    def start(self) -> Self:
        """Start the node, if it isn't running, and wait until clients can connect.

        Raises ``SetupError`` when it ends, or doesn't listen within ``START_TIMEOUT_S``, with its last words.
        """
        self.launch()
        try:
            _wait_until(self._is_up, START_TIMEOUT_S, f"RabbitMQ didn't listen on port {self.port}")
        except SetupError as error:
            self.kill()
            last = self.log_text.strip().splitlines()[-3:]
            words = " | ".join(last) or "it said nothing"
            raise SetupError(f"{error}: {words}", hint=f"its configuration and its log are in {self.dir}") from None
        return self

    def launch(self) -> None:
        """Start the node, if it isn't running, and don't wait for it; ``start`` then waits, for several in turn.

        Only what the main thread launches ends for certain when we are killed (Linux).
        """
        if self.pid:
            return
        self._prepare()
        self.epmd.start()
        with open(self.dir / "output", "ab") as output:
            self._process = subprocess.Popen(
                [f"{self.programs}/rabbitmq-server", "-noinput", "+B", "i"],
                env=self.environment,
                cwd=self.dir,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=make_die_with_parent(),
            )
        atexit.register(self.kill)

    def stop(self) -> None:
        """End the node in good order; nothing if it isn't running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the node as a power cut would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        if self._owns_epmd:
            self.epmd.stop()
        if self._temporary:
            self._temporary.cleanup()

    def _prepare(self) -> None:
        for folder in ("log", "database", "generated"):
            (self.dir / folder).mkdir(parents=True, exist_ok=True)
        (self.dir / "no-environment.conf").touch()  # else /etc/rabbitmq/rabbitmq-env.conf is read
        (self.dir / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n")
        (self.dir / "rabbitmq.conf").write_text("\n".join([*self._settings(), *self._options]) + "\n")
        cookie = self.dir / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(self.cookie)

    def _settings(self) -> list[str]:
        return [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "log.console = false",
            "log.file.level = info",
            "disk_free_limit.absolute = 50MB",  # the default alarms would stop a small machine's demo
            "vm_memory_high_watermark.absolute = 1GB",
        ]

    def _is_up(self) -> bool:
        if self.pid is None:
            raise SetupError("RabbitMQ ended while starting")
        return accepts(self.port)  # it listens last of all, when clients can be served

    def _end(self, how: signal.Signals) -> None:
        atexit.unregister(self.kill)
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        wait_or_kill(process, STOP_TIMEOUT_S)


def find_rabbitmq() -> Path:
    """Return the folder of RabbitMQ's scripts; raises ``SetupError`` when it isn't installed."""
    program = shutil.which("rabbitmq-server", path=os.pathsep.join((*RABBITMQ_PLACES, os.environ.get("PATH", ""))))
    if program is None:
        raise SetupError("RabbitMQ isn't installed", hint=INSTALL_HINT)
    return Path(program).parent


def _wait_until(condition: Callable[[], bool], timeout_s: float, failure: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SetupError(f"{failure} within {timeout_s:.0f} s")
        time.sleep(0.05)
