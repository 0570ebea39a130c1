"""The programs that are measured: each subscribes, fetches what is announced and stores it, as its users run it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stands.mesh_others import Sarracenia, ensure_environment
from tests.stands.mesh_programs import Running

from samesky.demo.mesh_nodes import Node, stop_nodes
from samesky.demo.program import HOST, find_ports
from samesky.link.broker import MosquittoBroker

from .origin import WIS2_TOPIC, File, Message, announce_v03, announce_wis2

ROOT = Path(__file__).parents[2]
DEEP_QUEUES = ("max_queued_messages 1000000", "max_inflight_messages 1000", "set_tcp_nodelay true")
"""What the seed recommends for mosquitto, and no waiting for full packets."""
WORKERS = 4


@dataclass(frozen=True, slots=True)
class Taker:
    """A program that runs."""

    pid: int
    place_of: Callable[[File], Path]
    """Where it stores a file."""
    announce: Callable[[Sequence[File], str], list[Message]]
    """(files, base URL) -> announcements in the dialect that it reads."""


def make_broker(folder: Path, *, options: Sequence[str] = DEEP_QUEUES) -> MosquittoBroker:
    """A mosquitto, not started."""
    (port,) = find_ports(1)
    return MosquittoBroker(port=port, dir=folder, options=options)


@contextmanager
def run_samesky(folder: Path, source: MosquittoBroker, *options: str, workers: int = 1) -> Iterator[Taker]:
    """`samesky mesh peer`, or `mesh workers`, which announces everything again on a broker of its own."""
    (web_port,) = find_ports(1)  # nobody asks for what it has
    node = Node(
        "bench",
        folder,
        make_broker(folder / "broker"),
        web_port=web_port,
        web="other",
        options=options,
        workers=workers,
    )
    node.join(f"mqtt://{HOST}:{source.port}")
    try:
        node.start()
        assert node.peer.pid
        yield Taker(node.peer.pid, lambda file: node.tree / file.path, announce_v03)
        node.check()
    finally:
        stop_nodes([node])


@contextmanager
def run_wis2downloader(folder: Path, source: MosquittoBroker) -> Iterator[Taker]:
    """wis2downloader as it is quickest here: `WORKERS` threads, and a log of warnings alone."""
    programs = ensure_environment("wis2downloader")
    files = folder / "files"
    files.mkdir(parents=True)
    session = folder / "session.json"
    session.write_text(json.dumps({"topics": {f"{WIS2_TOPIC}/#": "$TOPIC"}, "client_id": "wis2downloader"}))
    config, web_port = folder / "config.json", find_ports(1)[0]
    config.write_text(
        json.dumps(
            {
                "base_url": f"http://{HOST}:{web_port}",
                "broker_hostname": HOST,
                "broker_port": source.port,
                "broker_username": "everyone",
                "broker_password": "everyone",
                "broker_protocol": "tcp",
                "download_dir": str(files),
                "download_workers": WORKERS,
                "flask_host": HOST,
                "flask_port": web_port,
                "log_level": "WARNING",
                "log_path": str(folder),
                "min_free_space": 0,
                "mqtt_session_info": str(session),
                "save_logs": False,
                "validate_topics": False,  # that would fetch the topics from the internet
            }
        )
    )
    environment = {**os.environ, "HOME": str(folder), "WIS2DOWNLOADER_CONFIG": str(config)}
    command = [programs / "wis2downloader", "run-dev"]
    with Running(command, folder / "wis2downloader.out", environment=environment) as running:

        def place_of(file: File) -> Path:
            return files / time.strftime("%Y/%m/%d") / WIS2_TOPIC / file.path

        yield Taker(running.pid, place_of, announce_wis2)


@contextmanager
def run_sarracenia(folder: Path, source: MosquittoBroker, *, component: str) -> Iterator[Taker]:
    """One instance of sr3 ``subscribe``, or of ``sarra``, which announces everything again on a broker of its own."""
    url = f"mqtt://guest:guest@{HOST}:{source.port}"
    tree = folder / "tree"
    tree.mkdir(parents=True)
    with make_broker(folder / "broker") as own:
        own_url = f"mqtt://owner:owner@{HOST}:{own.port}"
        lines = [f"post_broker mqtt://owner@{HOST}:{own.port}", "post_exchange xpublic", "post_topicPrefix v03.post"]
        lines += [f"post_baseUrl http://{HOST}:1/", f"post_baseDir {tree}", "callback importcopy"]
        with Sarracenia(folder / "home", url, own_url) as user:
            flow = user.subscribe("bench", url, tree, *(lines if component == "sarra" else ()), component=component)
            yield Taker(flow.pid, lambda file: tree / file.path, announce_v03)


def time_bare_loop(tree: Path, base_url: str, files: Sequence[File]) -> float:
    """Seconds that `bare` takes for ``files``."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mesh_parts.bare", str(tree), base_url],
        input="\n".join(file.path for file in files),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=300,
    )
    return float(done.stdout)


def read_cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_peak_mib(pid: int) -> float:
    """The most memory a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
