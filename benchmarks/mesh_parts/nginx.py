"""A private nginx on loopback ports: the web server of the benchmarks, and the count of what was fetched from it."""

import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from samesky.link.child_process import make_die_with_parent

START_S = 10.0


class Nginx:
    """Serves each folder of ``roots`` at its port. A context manager; ``folder`` is for its own files."""

    def __init__(self, folder: Path, roots: Mapping[int, Path]) -> None:
        self._folder = folder
        self._roots = dict(roots)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        if program is None:
            raise RuntimeError("nginx is needed: apt-get install nginx-light (the service needn't run)")
        conf = self._folder / "nginx.conf"
        conf.write_text(self._configuration())
        self._process = subprocess.Popen(
            [program, "-p", str(self._folder), "-c", str(conf), "-e", str(self._folder / "error.log")],
            preexec_fn=make_die_with_parent(),
        )
        for port in self._roots:
            _wait_listening(port)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(START_S)

    def read_counts(self) -> Counter[tuple[int, str]]:
        """How often each (port, path) was fetched with success; ends the server's buffering of its log by a signal."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        lines = (self._folder / "access.log").read_text().splitlines()
        fetched = (line.split(" ", 2) for line in lines)
        return Counter((int(port), path) for port, status, path in fetched if status == "200")

    def _configuration(self) -> str:
        servers = "\n".join(
            f"    server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; }}" for port, root in self._roots.items()
        )
        # No master process: what is ended is all there is. The log is written in large pieces, to cost next to nothing.
        return f"""daemon off;
master_process off;
worker_processes 1;
pid {self._folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    log_format fetched "$server_port $status $uri";
    access_log {self._folder}/access.log fetched buffer=256k;
    client_body_temp_path {self._folder}/body;
    proxy_temp_path {self._folder}/proxy;
    fastcgi_temp_path {self._folder}/fastcgi;
    uwsgi_temp_path {self._folder}/uwsgi;
    scgi_temp_path {self._folder}/scgi;
    keepalive_requests 10000000;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
{servers}
}}
"""


def _wait_listening(port: int) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
