"""Catch-up from SQLite to SQLite, two processes, through a broker; time and memory."""

import time
from pathlib import Path
from typing import Any

from samesky.link.broker import MosquittoBroker

from ..claims import Claim, same
from .databases import Place, copy_tables, count_differences, make_year
from .peers import Peer

FEWEST_TIMES = 3.0
MILLION, MOST_SECONDS = 1_000_000, 10.0
COPY_MIB, RESPONDER_MIB = 64, 96
SETTLE_S = 60.0


def measure(folder: Path, *, records: int) -> list[Claim]:
    """A copy from nothing to ``records`` records of wview_extended, then the reference on the same rows."""
    primary, copy, plain = (folder / f"{name}.sdb" for name in ("primary", "copy", "plain"))
    make_year(primary, records)
    caught_up = catch_up({"path": str(primary)}, {"path": str(copy)})
    copy_tables(primary, plain)
    reference_hz = write_plainly({"path": str(primary)}, {"path": str(plain)})
    differences = compare({"path": str(primary)}, {"path": str(copy)})
    what = f"catch-up of {records:,} records, SQLite to SQLite"
    return [
        Claim(
            f"{what}, summaries included, through mosquitto, against executemany in one process",
            records / caught_up["seconds"],
            "records/s",
            reference_hz,
            at_least=FEWEST_TIMES,
        ),
        Claim(f"{what}: time", caught_up["seconds"], "s", at_most=MOST_SECONDS if records >= MILLION else None),
        same(what, differences),
        Claim(f"{what}: memory of the copy above idle", caught_up["copy_mib"], "MiB", at_most=COPY_MIB),
        Claim(f"{what}: memory of the responder above idle", caught_up["primary_mib"], "MiB", at_most=RESPONDER_MIB),
    ]


def catch_up(source: Place, target: Place, *, secret: str = "", trusted: str = "") -> dict[str, Any]:
    """Catch up ``target`` from ``source``: seconds, and each side's peak memory above what it had when idle.

    With ``secret`` the primary signs, with ``trusted``, a file, the copy checks that.
    """
    with (
        MosquittoBroker() as broker,
        Peer("serve", port=broker.port, place=source, secret=secret) as primary,
        Peer("follow", port=broker.port, place=target, trusted=trusted) as copy,
    ):
        answer = copy.ask("start", 600)
        if not answer["done"]:
            raise RuntimeError("the copy didn't catch up")
        peak_kib = primary.ask("memory", 10)["peak_kib"]
        return {
            "seconds": answer["seconds"],
            "copy_mib": (answer["peak_kib"] - copy.ready["memory_kib"]) / 1024,
            "primary_mib": (peak_kib - primary.ready["memory_kib"]) / 1024,
        }


def write_plainly(source: Place, target: Place) -> float:
    """The reference, in a process of its own: archive records/s, summary rows included in the time."""
    with Peer("reference", source=source, target=target) as peer:
        peer.tell("write")
        answer = peer.wait("write", 1200)
        return float(answer["count"] / answer["seconds"])


def compare(ours: Place, theirs: Place) -> int:
    """How many tables differ, digested side by side."""
    with Peer("digest", place=ours) as one, Peer("digest", place=theirs) as other:
        for peer in (one, other):
            peer.tell("digest")
        digests = [peer.wait("digest", 1200)["digests"] for peer in (one, other)]
    return count_differences(*digests)


def wait_until_same(ours: Place, theirs: Place) -> int:
    """How many tables differ in the end: the newest daily summaries come once nothing else is due."""
    end = time.monotonic() + SETTLE_S
    while (differences := compare(ours, theirs)) and time.monotonic() < end:
        time.sleep(1.0)
    return differences
