"""How long after its announcement a file is there to be read: on an idle peer, and at a thousand a second."""

import select
import statistics
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..claims import Claim
from .arrivals import Appearances
from .origin import File, announce_v03
from .takers import make_broker, run_samesky
from .throughput import served, wait_until_taking
from .wire import Wire

IDLE_HZ, BUSY_HZ = 20, 1000
PATIENCE_S = 30.0


def measure(folder: Path, *, idle_files: int, busy_files: int) -> list[Claim]:
    """Delays of files announced now and then, and of many: as throughput is measured, and on the disk first."""
    run = partial(time_peer, idle_files=idle_files, busy_files=busy_files)
    idle, busy = run(folder / "not-durable", "--not-durable")
    durable_idle, durable_busy = run(folder / "durable", "--durable")
    what = "announcement to visible file"
    delay = partial(Claim, unit="ms")
    return [
        delay(f"{what}, idle: median", statistics.median(idle) * 1000, at_most=2.5),
        delay(f"{what}, idle: max", idle[-1] * 1000, at_most=10),
        delay(f"{what} at {BUSY_HZ:,} files/s: median", statistics.median(busy) * 1000),
        delay(f"{what} at {BUSY_HZ:,} files/s: p99", _p99(busy) * 1000, at_most=50),
        delay("  durable, idle: median", statistics.median(durable_idle) * 1000),
        delay("  durable, idle: max", durable_idle[-1] * 1000),
        delay(f"  durable, at {BUSY_HZ:,} files/s: p99", _p99(durable_busy) * 1000),
    ]


def time_peer(folder: Path, option: str, *, idle_files: int, busy_files: int) -> tuple[list[float], list[float]]:
    """Delays in seconds, rising, of a peer with ``option``: idle, and busy."""
    with (
        served(folder / "origin", 1 + idle_files + busy_files) as (base_url, files),
        make_broker(folder / "source") as broker,
        run_samesky(folder / "peer", broker, option) as taker,
        Wire(broker.port, "publisher") as wire,
    ):
        probe, rest = files[0], files[1:]
        for place in {taker.place_of(file).parent for file in files}:
            place.mkdir(parents=True, exist_ok=True)
        wait_until_taking(wire, taker, probe, base_url)
        with Appearances({taker.place_of(file).parent for file in files}) as appearances:
            place_of = {file.path: str(taker.place_of(file)) for file in files}
            idle = sorted(time_files(wire, appearances, rest[:idle_files], place_of, base_url, IDLE_HZ))
            busy = sorted(time_files(wire, appearances, rest[idle_files:], place_of, base_url, BUSY_HZ))
    return idle, busy


def time_files(
    wire: Wire,
    appearances: Appearances,
    files: Sequence[File],
    place_of: dict[str, str],
    base_url: str,
    rate_hz: float,
) -> list[float]:
    """Announce ``files`` at ``rate_hz``; returns for each how long after its announcement it appeared, in seconds."""
    pending = deque(zip([place_of[file.path] for file in files], announce_v03(files, base_url), strict=True))
    told: dict[str, float] = {}
    delays: dict[str, float] = {}
    start = time.monotonic()
    while len(delays) < len(files):
        now = time.monotonic()
        next_at = start + len(told) / rate_hz
        if pending and now >= next_at:
            place, message = pending.popleft()
            told[place] = now
            wire.publish(*message)
            continue
        if now > start + len(files) / rate_hz + PATIENCE_S:
            raise TimeoutError(f"{len(files) - len(delays):,} of {len(files):,} files haven't appeared")
        patience_s = next_at - now if pending else 1.0
        ready, _, _ = select.select([appearances.fileno(), wire.fileno()], [], [], patience_s)
        if appearances.fileno() in ready:
            for place, moment in appearances.read(0):
                if place in told:
                    delays.setdefault(place, moment - told[place])
        if wire.fileno() in ready:
            wire.listen(0)
    return list(delays.values())


def _p99(rising: Sequence[float]) -> float:
    return rising[min(len(rising) - 1, len(rising) * 99 // 100)]
