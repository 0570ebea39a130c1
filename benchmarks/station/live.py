"""Live replication: from ``publish_record``, which the WeeWX service calls, to committed at the copy."""

import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from samesky.link.broker import MosquittoBroker

from ..claims import Claim, same
from .databases import Place, make_part, make_year, read_newest
from .files import wait_until_same
from .peers import Peer

MEDIAN_MS, P99_MS = 50, 250
FEWEST_HZ, OFFERED_HZ = 2000, 2200
BEFORE = 2000
SLOW_LOOK_S, FAST_LOOK_S = 0.001, 0.02
SETTLE_S = 60.0


def measure(folder: Path, *, slow_s: int, fast_s: int) -> list[Claim]:
    """A record a second for ``slow_s`` seconds, then 2,200 a second for ``fast_s`` seconds."""
    slow, slow_differences = _run(folder / "slow", count=slow_s, rate_hz=1.0, batch=1, every_s=SLOW_LOOK_S)
    fast, fast_differences = _run(
        folder / "fast", count=OFFERED_HZ * fast_s, rate_hz=OFFERED_HZ, batch=OFFERED_HZ // 20, every_s=FAST_LOOK_S
    )
    delays_ms = _delays_ms(slow["times"], slow["seen"])
    rate_hz = len(fast["times"]) / (fast["seen"][-1][1] - fast["times"][0][1])
    once = f"live, a record a second for {slow_s} s, publish_record to committed at the copy"
    flood = f"live, {OFFERED_HZ:,} records/s offered for {fast_s} s"
    return [
        Claim(f"{once}: median", statistics.median(delays_ms), "ms", at_most=MEDIAN_MS),
        Claim(f"{once}: 99th percentile", _percentile(delays_ms, 0.99), "ms", at_most=P99_MS),
        same(once, slow_differences),
        Claim(f"{flood}: stored, from the first publish to the last commit", rate_hz, "records/s", at_least=FEWEST_HZ),
        Claim(f"{flood}: share that came live; pages brought the rest", _live_share(fast), "%"),
        same(flood, fast_differences),
    ]


def _run(folder: Path, *, count: int, rate_hz: float, batch: int, every_s: float) -> tuple[dict[str, Any], int]:
    """Let a primary record ``count`` records while a copy follows; what was published and seen, and what differs."""
    folder.mkdir()
    source, primary, copy = (folder / f"{name}.sdb" for name in ("source", "primary", "copy"))
    make_year(source, BEFORE + count)
    make_part(source, primary, count)
    ours: Place = {"path": str(primary)}
    theirs: Place = {"path": str(copy)}
    with ExitStack() as stack:
        broker = stack.enter_context(MosquittoBroker())
        serve = stack.enter_context(Peer("serve", port=broker.port, place=ours, source=str(source)))
        follow = stack.enter_context(Peer("follow", port=broker.port, place=theirs))
        watch = stack.enter_context(Peer("watch", place=theirs, every_s=every_s))
        follow.ask("start", 120)
        deadline_s = count / rate_hz + SETTLE_S
        watch.tell("until", newest=read_newest({"path": str(source)}), deadline_s=deadline_s)
        recorded = serve.ask("record", deadline_s, count=count, rate_hz=rate_hz, batch=batch)
        seen = watch.wait("until", deadline_s)["seen"]
        differences = wait_until_same(ours, theirs)
        sent = serve.ask("sent", 10)
    return {**recorded, "seen": seen, "sent": sent}, differences


def _delays_ms(published: list[tuple[int, float]], seen: list[tuple[int, float]]) -> list[float]:
    """For each record the time until the copy's newest record was it, or a later one."""
    delays, waiting = [], iter(seen)
    newest, when = 0, 0.0
    for timestamp, before in published:
        while newest < timestamp:
            newest, when = next(waiting)
        delays.append((when - before) * 1000)
    return delays


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _live_share(run: dict[str, Any]) -> float:
    return 100.0 * float(run["sent"].get("live", 0)) / len(run["times"])
