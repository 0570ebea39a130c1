"""What services tell systemd, over a socket as it makes one, and when they no longer do."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from samesky.cli.systemd import Systemd, describe_streams, watch_worker
from samesky.core.status import Snapshot
from samesky.demo.year import write_year
from samesky.link.memory import MemoryBroker
from samesky.link.web_server import listen, make_server
from samesky.station.worker import Worker
from stands.children import die_with_parent
from stands.notified import NotifySocket, notify_socket
from stands.waiting import wait_for

DEADLINE_S = 60.0


@pytest.fixture
def manager() -> Iterator[NotifySocket]:
    with TemporaryDirectory(prefix="notify-") as folder, notify_socket(Path(folder)) as made:
        yield made


class Clock:
    """A timer that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_service_says_that_it_is_ready_how_it_does_and_that_it_ends(manager: NotifySocket) -> None:
    with Systemd.from_environment(manager.environment()) as systemd:
        systemd.tell_ready("two streams")
        systemd.tell_status("one of\nthem is late")
    assert manager.read() == ["READY=1\nSTATUS=two streams", "STATUS=one of them is late", "STOPPING=1"]


def test_without_systemd_nothing_is_told_and_nothing_fails() -> None:
    with Systemd.from_environment({}) as systemd:
        systemd.tell_ready()
        systemd.watch("loop")()
        assert systemd.longest_wait_s == 60


def test_child_processes_are_not_the_service() -> None:
    environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    Systemd.from_environment(environment)
    assert environment == {"A": "b"}


def test_the_watchdog_of_another_process_is_not_fed(manager: NotifySocket) -> None:
    others = {**manager.environment(watchdog_s=1.0), "WATCHDOG_PID": str(os.getppid())}
    Systemd.from_environment(others).watch("loop")()
    assert manager.read() == []


def test_an_abstract_socket_is_reached() -> None:
    name = f"samesky-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(f"\0{name}")
        Systemd(f"@{name}").tell_ready()
        assert receiving.recv(100) == b"READY=1"


def test_systemd_that_has_gone_is_no_trouble(tmp_path: Path) -> None:
    Systemd(str(tmp_path / "gone")).tell_ready()


def test_a_long_status_is_cut(manager: NotifySocket) -> None:
    Systemd.from_environment(manager.environment()).tell_status("x" * 5000)
    assert len(manager.read()[0]) == len("STATUS=") + 200


def test_a_sign_of_life_needs_a_turn_of_every_loop(manager: NotifySocket) -> None:
    clock = Clock()
    systemd = Systemd(str(manager.path), 8.0, timer=clock)
    first, second = systemd.watch("first"), systemd.watch("second")
    first()
    assert manager.read() == []
    second()
    assert manager.read() == ["WATCHDOG=1"]
    clock.now = 100.0
    first()
    first()
    assert manager.read() == ["WATCHDOG=1"]
    second()
    assert manager.read() == ["WATCHDOG=1"] * 2


def test_signs_of_life_are_few_and_in_time(manager: NotifySocket) -> None:
    clock = Clock()
    systemd = Systemd(str(manager.path), 8.0, timer=clock)
    turn = systemd.watch("loop")
    for tenths in range(160):
        clock.now = tenths / 10
        turn()
    assert len(manager.read()) == 8
    assert systemd.longest_wait_s == 1.0


class Hanging(Worker):
    """A station's worker whose piece of work hangs while ``free`` isn't set."""

    def __init__(self) -> None:
        self.free, self.hangs = threading.Event(), threading.Event()
        self.free.set()
        link = MemoryBroker(seed=1).link
        super().__init__(
            "hanging", lambda topics, take: link("hanging", topics, take), (), clock=Clock(), timer=Clock()
        )

    def step(self, patience_s: float) -> None:
        if not self.free.wait(0.0):
            self.hangs.set()
            self.free.wait()

    def _due(self) -> float:
        return 0.0

    def _finish(self) -> None:
        pass

    def snapshots(self) -> list[Snapshot]:
        return []


def test_a_station_s_worker_that_hangs_is_no_longer_alive(manager: NotifySocket) -> None:
    clock, worker = Clock(), Hanging()
    watch_worker(Systemd(str(manager.path), 8.0, timer=clock), worker)
    with worker:
        manager.wait_for("WATCHDOG=1", DEADLINE_S)
        worker.free.clear()
        assert worker.hangs.wait(DEADLINE_S)
        count = len(manager.read())
        clock.now = 1000.0
        assert len(manager.read()) == count
        worker.free.set()
        manager.wait_for("WATCHDOG=1", DEADLINE_S, times=count + 1)


@contextmanager
def a_server(systemd: Systemd, hangs: threading.Event, free: threading.Event) -> Iterator[int]:
    """A web server of ours, on a port; its loop hangs at a request for as long as ``free`` isn't set."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        hangs.set()
        free.wait()
        await PlainTextResponse("done")(scope, Request(scope, receive).receive, send)

    listening = listen("127.0.0.1", 0)
    server = make_server(answer, started=systemd.tell_ready, on_turn=systemd.watch("server"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), name="server")
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        free.set()
        server.should_exit = True
        thread.join(DEADLINE_S)
        listening.close()


def test_a_server_whose_loop_hangs_is_no_longer_alive(manager: NotifySocket) -> None:
    clock, hangs, free = Clock(), threading.Event(), threading.Event()
    with a_server(Systemd(str(manager.path), 8.0, timer=clock), hangs, free) as port:
        manager.wait_for("READY=1", DEADLINE_S)
        manager.wait_for("WATCHDOG=1", DEADLINE_S)
        with socket.create_connection(("127.0.0.1", port)) as asking:
            asking.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert hangs.wait(DEADLINE_S)
            count = len(manager.read())
            clock.now = 1000.0
            assert len(manager.read()) == count
            free.set()
            assert asking.recv(100).startswith(b"HTTP/1.1 200")
        manager.wait_for("WATCHDOG=1", DEADLINE_S, times=2)


CONFIG = """
[broker]
port = 1
[station.serve.home.wx_binding]
type = "main"
sqlite = "{database}"
"""


@contextmanager
def a_service(arguments: list[str], environment: dict[str, str], folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """The command as a process, as systemd starts it."""
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "samesky", *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent(),
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE_S)


@pytest.mark.slow
def test_a_station_s_service_is_ready_without_a_broker_lives_and_says_goodbye(
    manager: NotifySocket, tmp_path: Path
) -> None:
    write_year(tmp_path / "home.sdb", count=10, end_time=1_790_000_100)
    (tmp_path / "samesky.toml").write_text(CONFIG.format(database=tmp_path / "home.sdb"))
    environment = manager.environment(watchdog_s=2.0)
    with a_service(["station", "serve", "--config", "samesky.toml"], environment, tmp_path) as process:
        manager.wait_for("READY=1\nSTATUS=1 stream: 1 disconnected", DEADLINE_S)
        manager.wait_for("WATCHDOG=1", DEADLINE_S, times=3)
        process.terminate()
        # Read while it ends: Linux keeps ten messages that nobody has read, and then the last would be lost.
        manager.wait_for("STOPPING=1", DEADLINE_S)
        assert process.wait(DEADLINE_S) == 143


@pytest.mark.slow
def test_a_service_that_the_watchdog_ends_says_what_its_threads_were_doing(
    manager: NotifySocket, tmp_path: Path
) -> None:
    write_year(tmp_path / "home.sdb", count=10, end_time=1_790_000_100)
    (tmp_path / "samesky.toml").write_text(CONFIG.format(database=tmp_path / "home.sdb"))
    environment = manager.environment(watchdog_s=60.0)
    with a_service(["station", "serve", "--config", "samesky.toml"], environment, tmp_path) as process:
        manager.wait_for("READY=1", DEADLINE_S)
        process.send_signal(signal.SIGABRT)
        assert process.wait(DEADLINE_S) == -signal.SIGABRT
    told = (tmp_path / "output").read_text()
    assert "worker.py" in told, told


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["push", "serve", "--listen", "127.0.0.1:0"],
        ["mesh", "serve", ".", "--listen", "127.0.0.1:0"],
        ["blocks", "serve", "--service", "a=a.json", "--amqp", "amqp://localhost:1/", "--listen", "127.0.0.1:0"],
        ["mesh", "peer", "--broker", "mqtt://guest@127.0.0.1:1"],
    ],
    ids=["push serve", "mesh serve", "blocks serve", "mesh peer"],
)
def test_every_service_is_ready_lives_and_says_goodbye(
    arguments: list[str], manager: NotifySocket, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text("{}")
    with a_service(arguments, manager.environment(watchdog_s=8.0), tmp_path) as process:
        manager.wait_for("READY=1\nSTATUS=", DEADLINE_S)
        manager.wait_for("WATCHDOG=1", DEADLINE_S, times=2)
        process.terminate()
        wait_for(lambda: manager.read()[-1] == "STOPPING=1", DEADLINE_S, what="STOPPING=1")
        assert process.wait(DEADLINE_S) in (143, -signal.SIGTERM), (tmp_path / "output").read_text()


def test_streams_are_described_in_one_line() -> None:
    live = Snapshot(stream="home/a", role="requester", state="live")
    late = Snapshot(stream="home/b", role="requester", state="catching-up", last_error="the disk is full")
    assert describe_streams([live]) == "1 stream: 1 live"
    assert describe_streams([live, late]) == "2 streams: 1 live, 1 catching-up; home/b: the disk is full"
