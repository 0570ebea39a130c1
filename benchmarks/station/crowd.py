"""Two hundred copies that catch up at once from one primary, which goes on recording."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from samesky.link.broker import MosquittoBroker

from ..claims import Claim
from .databases import Place, make_part, make_year, read_digests
from .peers import Peer

PROCESSES = 4
BEFORE = 2000
RECORDED = 30
COMPARE_S = 60.0
LATE_S, PUBLISH_MS = 1.0, 5.0


def measure(folder: Path, *, copies: int) -> list[Claim]:
    """All start at once; the primary's own writer records a record a second, with weedb's five seconds of patience."""
    source, primary = folder / "source.sdb", folder / "primary.sdb"
    make_year(source, BEFORE + RECORDED)
    make_part(source, primary, RECORDED)
    ours: Place = {"path": str(primary)}
    with ExitStack() as stack:
        broker = stack.enter_context(MosquittoBroker())
        serve = stack.enter_context(Peer("serve", port=broker.port, place=ours, source=str(source)))
        crowds = [
            stack.enter_context(Peer("crowd", port=broker.port, names=names, folder=str(folder)))
            for names in _names(copies)
        ]
        serve.tell("record", count=RECORDED, rate_hz=1.0, batch=1)
        start = time.monotonic()
        for crowd in crowds:
            crowd.tell("start")
        done = sum(int(crowd.wait("start", 300)["done"]) for crowd in crowds)
        seconds = time.monotonic() - start
        recorded = serve.wait("record", RECORDED + 60)
        equal = _count_equal(crowds, read_digests(ours))
    return _claims(copies, done, seconds, recorded, equal)


def _names(copies: int) -> list[list[str]]:
    return [[f"copy{number}" for number in range(first, copies, PROCESSES)] for first in range(PROCESSES)]


def _count_equal(crowds: list[Peer], digests: dict[str, str]) -> int:
    return sum(
        int(crowd.ask("compare", digests=digests, settle_s=COMPARE_S, deadline_s=600)["equal"]) for crowd in crowds
    )


def _claims(copies: int, done: int, seconds: float, recorded: dict[str, Any], equal: int) -> list[Claim]:
    what = f"{copies} copies catching up at once, {BEFORE:,} records each, one primary"
    publish_ms = recorded["slowest_publish_s"] * 1000
    return [
        Claim(f"{what}: caught up", done, "copies", at_least=copies),
        Claim(f"{what}: time until the last had caught up", seconds, "s"),
        Claim(f"{what}: equal at the end, every row of every table", equal, "copies", at_least=copies),
        Claim(f"{what}: latest record in the primary's own database", recorded["late_s"], "s late", at_most=LATE_S),
        Claim(f"{what}: slowest publish_record", publish_ms, "ms", at_most=PUBLISH_MS),
    ]
