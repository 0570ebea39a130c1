"""One peer: how many files a second, against a bare loop and the programs of the field, all in the same minutes."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from samesky.demo.program import HOST, find_ports
from samesky.link.broker import MosquittoBroker

from ..claims import Claim
from .arrivals import wait_for_files
from .nginx import Nginx
from .origin import SIZE_BYTES, File, write_files
from .takers import (
    Taker,
    make_broker,
    read_cpu_s,
    read_peak_mib,
    run_samesky,
    run_sarracenia,
    run_wis2downloader,
    time_bare_loop,
)
from .wire import Wire

START_S = 60.0
WORKERS = 3
LEAST_RATE_HZ = 50
"""A program that is slower than this is given up."""
Start = Callable[[Path, MosquittoBroker], AbstractContextManager[Taker]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a program did."""

    rate_hz: float
    cpu_ms: float
    """CPU time a file."""
    peak_mib: float


def measure(folder: Path, *, files: int, slow_files: int) -> list[Claim]:
    """Throughput of all programs; the slower ones get ``slow_files`` files."""
    with served(folder / "origin", files) as (base_url, written):
        loop_s = time_bare_loop(folder / "bare", base_url, written)
        bare_hz = len(written) / loop_s
        run = partial(time_program, base_url=base_url)
        ours = run(folder / "ours", partial(_ours, options=("--not-durable",)), files=written)
        durable = run(folder / "durable", partial(_ours, options=("--durable",)), files=written)
        shared = run(folder / "shared", partial(_ours, options=("--not-durable",), workers=WORKERS), files=written)
        wis2 = run(folder / "wis2", run_wis2downloader, files=written)
        few = written[:slow_files]
        subscribe = run(folder / "subscribe", partial(run_sarracenia, component="subscribe"), files=few)
        sarra = run(folder / "sarra", partial(run_sarracenia, component="sarra"), files=few)
    what = "one peer: 2 kB files fetched, verified, atomic, announced again"
    rate = partial(Claim, unit="files/s")
    return [
        rate(f"{what}; queue that survives a kill", ours.rate_hz, at_least=6000),
        rate(f"{what}; durable before they are announced", durable.rate_hz, at_least=4000),
        rate(f"  the same by {WORKERS} workers of one tree", shared.rate_hz),
        rate("  against a bare aiohttp loop that fetches and writes", ours.rate_hz, reference=bare_hz),
        rate("  against wis2downloader", ours.rate_hz, reference=wis2.rate_hz, at_least=3),
        rate("  against sr3 subscribe", ours.rate_hz, reference=subscribe.rate_hz),
        rate("  against sr3 sarra", ours.rate_hz, reference=sarra.rate_hz, at_least=20),
        Claim("  CPU time a file, against wis2downloader", ours.cpu_ms, "ms", reference=wis2.cpu_ms),
        Claim("  memory at most", max(ours.peak_mib, durable.peak_mib), "MiB", at_most=80),
    ]


@contextmanager
def served(tree: Path, count: int) -> Iterator[tuple[str, list[File]]]:
    """``count`` files behind an nginx: (base URL, files)."""
    tree.mkdir(parents=True)
    (port,) = find_ports(1)
    files = write_files(tree, count)
    with Nginx(tree.parent / "nginx", {port: tree}):
        yield f"http://{HOST}:{port}", files


def time_program(folder: Path, start: Start, *, files: Sequence[File], base_url: str) -> Measured:
    """Announce all files at once to a program that runs and has subscribed; how fast does it store them?"""
    probe, *rest = files
    with make_broker(folder / "source") as broker, start(folder / "program", broker) as taker:
        with Wire(broker.port, "publisher") as wire:
            wait_until_taking(wire, taker, probe, base_url)
            messages, cpu_s = taker.announce(rest, base_url), read_cpu_s(taker.pid)
            began = time.monotonic()
            wire.publish_all(messages)
        ended = wait_for_files([taker.place_of(file) for file in rest], SIZE_BYTES, len(rest) / LEAST_RATE_HZ + 30)
        cpu_s = read_cpu_s(taker.pid) - cpu_s
        return Measured(len(rest) / (ended - began), cpu_s / len(rest) * 1000, read_peak_mib(taker.pid))


def wait_until_taking(wire: Wire, taker: Taker, probe: File, base_url: str) -> None:
    """Announce one file again and again until it is there: then the program has subscribed, and works."""
    end = time.monotonic() + START_S
    while True:
        wire.publish_all(taker.announce([probe], base_url))
        try:
            wait_for_files([taker.place_of(probe)], SIZE_BYTES, 1.0)
            return
        except TimeoutError:
            if time.monotonic() > end:
                raise


def _ours(
    folder: Path, broker: MosquittoBroker, *, options: Sequence[str], workers: int = 1
) -> AbstractContextManager[Taker]:
    return run_samesky(folder, broker, *options, workers=workers)
