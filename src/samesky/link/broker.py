"""A private broker for the demo and the tests: a child process on a loopback port, with a directory of its own.

``MosquittoBroker`` needs no root and no service; it is what a station should use as well. ``IotcoreBroker`` (rumqttd
from the Python package iotcore) needs nothing but pip, keeps nothing over a restart and silently drops its oldest
messages: good for a first try, because the protocols here survive that.
"""

import atexit
import base64
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from ..errors import SetupError
from .child_process import accepts, find_free_port, make_die_with_parent, wait_or_kill
from .tls import TlsSettings

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
MOSQUITTO_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/opt/mosquitto/sbin")
INSTALL_HINT = "apt install mosquitto (the service needn't run), or pip install 'samesky[broker]'"
LARGEST_PAYLOAD_BYTES = 4 << 20


class _ChildBroker:
    """A broker process that ends with us: on ``stop``, on leaving the ``with`` block, at exit, and when we are killed.

    ``port`` 0 takes a free one and keeps it over restarts. Without ``dir`` a temporary directory is used, which goes
    when the ``with`` block ends.
    """

    name = ""

    def __init__(self, *, port: int = 0, dir: str | Path | None = None) -> None:
        self.port = port or find_free_port()
        self._temporary = None if dir else tempfile.TemporaryDirectory(prefix="samesky-broker-")
        self.dir = Path(dir or self._temporary.name)  # type: ignore[union-attr]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def log_file(self) -> Path:
        """Where the broker writes what happens."""
        return self.dir / f"{self.name}.log"

    def start(self) -> Self:
        """Start the process, if it isn't running, and wait until its port takes connections.

        Raises ``SetupError`` when the port is in use, or when the process ends or doesn't listen within
        ``START_TIMEOUT_S``, with its last words.
        """
        if self.pid:
            return self
        if accepts(self.port):
            raise SetupError(f"port {self.port} of 127.0.0.1 is in use", hint="choose another one, or leave it out")
        self.dir.mkdir(parents=True, exist_ok=True)
        command = self._prepare()
        with open(self.log_file, "ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=make_die_with_parent(),
            )
        atexit.register(self.stop)
        self._wait_until_listening()
        return self

    def stop(self) -> None:
        """End the process in good order (mosquitto saves its sessions then); nothing if it isn't running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a power cut would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    def _prepare(self) -> list[str]:
        """Write the configuration and return the command."""
        raise NotImplementedError

    def _end(self, how: signal.Signals) -> None:
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        wait_or_kill(process, STOP_TIMEOUT_S)

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self._process
            if self._process.poll() is not None:
                raise self._failure(f"ended with status {self._process.returncode} while starting")
            if accepts(self.port):
                return
            time.sleep(0.02)
        self.kill()
        raise self._failure(f"didn't listen on port {self.port} within {START_TIMEOUT_S:.0f} s")

    def _failure(self, what: str) -> SetupError:
        last = self.log_file.read_text(errors="replace").strip().splitlines()[-3:]
        return SetupError(
            f"the private {self.name} broker {what}: {' | '.join(last) or 'it said nothing'}",
            hint=f"its configuration and its log are in {self.dir}",
        )


class MosquittoBroker(_ChildBroker):
    """mosquitto with Debian's defaults, listening on 127.0.0.1.

    ``users`` (name -> password) turns anonymous access off; ``acl`` is the text of an ACL file. ``tls`` holds the
    *server's* files; with a ``ca_file`` in it, clients need a certificate. ``options`` are more lines of configuration.
    ``persistence`` keeps sessions over ``stop`` and ``start`` (and, with ``autosave_interval``, mostly over ``kill``).
    """

    name = "mosquitto"

    def __init__(
        self,
        *,
        port: int = 0,
        dir: str | Path | None = None,
        persistence: bool = True,
        users: Mapping[str, str] | None = None,
        acl: str | None = None,
        tls: TlsSettings | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._program = find_broker()
        if self._program is None:
            raise SetupError("mosquitto isn't installed", hint=INSTALL_HINT)
        super().__init__(port=port, dir=dir)
        self.persistence = persistence
        self.users = users
        self.acl = acl
        self.tls = tls
        self.options = tuple(options)

    def _prepare(self) -> list[str]:
        lines = [f"listener {self.port} 127.0.0.1", *self._tls_lines(), *self._access_lines()]
        if os.getuid() == 0:
            lines.append("user root")  # else it becomes another user, who may not write here
        if self.persistence:
            lines += ["persistence true", f"persistence_location {self.dir}/"]
        lines += ["log_dest stderr", "log_timestamp_format %Y-%m-%dT%H:%M:%S", *self.options]
        self._write("mosquitto.conf", "\n".join(lines) + "\n")
        return [str(self._program), "-c", str(self.dir / "mosquitto.conf")]

    def _tls_lines(self) -> list[str]:
        if self.tls is None:
            return []
        lines = [f"certfile {self.tls.cert_file}", f"keyfile {self.tls.key_file}"]
        return [*lines, f"cafile {self.tls.ca_file}", "require_certificate true"] if self.tls.ca_file else lines

    def _access_lines(self) -> list[str]:
        lines = [f"allow_anonymous {'false' if self.users else 'true'}"]
        if self.users:
            passwords = "".join(f"{name}:{_hash_password(password)}\n" for name, password in self.users.items())
            lines.append(f"password_file {self._write('passwords', passwords)}")
        if self.acl is not None:
            lines.append(f"acl_file {self._write('acl', self.acl)}")
        return lines

    def _write(self, name: str, text: str) -> Path:
        path = self.dir / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path


class IotcoreBroker(_ChildBroker):
    """rumqttd, with one MQTT v5 listener on 127.0.0.1 (iotcore's own default speaks 3.1.1 and takes 20 kB)."""

    name = "iotcore"

    def __init__(self, *, port: int = 0, dir: str | Path | None = None) -> None:
        if importlib.util.find_spec("iotcore") is None:
            raise SetupError("iotcore isn't installed", hint="pip install 'samesky[broker]'")
        super().__init__(port=port, dir=dir)

    def _prepare(self) -> list[str]:
        path = self.dir / "rumqttd.toml"
        path.write_text(_RUMQTTD.format(port=self.port, payload=LARGEST_PAYLOAD_BYTES))
        # rumqttd logs each packet as an error; -P keeps a folder named iotcore in the working directory out of this.
        return [sys.executable, "-P", "-m", "iotcore", "--config", str(path), "--log-level", "CRITICAL"]


_RUMQTTD = """\
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 16777216
max_segment_count = 4

[v5.1]
name = "samesky"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload}
max_inflight_count = 100
"""


def choose_broker(*, port: int = 0, dir: str | Path | None = None) -> MosquittoBroker | IotcoreBroker:
    """Return a broker, not started: mosquitto if it is installed, else iotcore; ``SetupError`` if neither is."""
    if find_broker():
        return MosquittoBroker(port=port, dir=dir)
    if importlib.util.find_spec("iotcore"):
        return IotcoreBroker(port=port, dir=dir)
    raise SetupError("there is no MQTT broker on this machine", hint=INSTALL_HINT)


def find_broker() -> str | None:
    """Return the path of mosquitto; on Debian it is in /usr/sbin, which isn't on a user's path."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(MOSQUITTO_PLACES))


def _hash_password(password: str) -> str:
    """Return ``password`` as mosquitto_passwd writes it: PBKDF2 with SHA-512."""
    salt, rounds = secrets.token_bytes(12), 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
