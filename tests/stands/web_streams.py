"""Streams of all four systems, as processes that run would post them: what the tests and pictures of the page show."""

from collections.abc import Sequence
from dataclasses import replace

from samesky.core.status import Snapshot
from samesky.web.noticeboard import Noticeboard

HOUR_S = 3600
STATION, STANDING = "home/wx_binding", "home/archive_backup"


def copy_of(stream: str, now: float, **more: object) -> Snapshot:
    """A station's copy that is the same as its primary."""
    newest = int(now) // 300 * 300
    values = {
        "position": newest,
        "newest": newest,
        "behind": 0,
        "stored": 2_103_840,
        "proven_through": newest - 300,
        "proven_count": 2_103_839,
        "proven_digest": "5f1d6c02a9e4",
        "proven_at": now - 74,
        "different": False,
        "since": now - 5 * HOUR_S,
        "lag_s": 42.0,
        "rate_per_s": 0.003,
    }
    return replace(Snapshot(stream=stream, role="requester", state="live"), **(values | more))


def primary_of(stream: str, now: float, **more: object) -> Snapshot:
    """The primary of a station."""
    newest = int(now) // 300 * 300
    values = {"position": newest, "newest": newest, "since": now - 26 * HOUR_S, "stored": 0}
    return replace(Snapshot(stream=stream, role="responder", state="live"), **(values | more))


def neighbour(name: str, now: float, **more: object) -> Snapshot:
    """A neighbour in a mesh that has nothing that isn't here."""
    values = {
        "behind": 0,
        "stored": 48_211,
        "different": False,
        "proven_at": now - 161,
        "since": now - 9 * HOUR_S,
        "lag_s": 0.31,
        "rate_per_s": 12.4,
        "details": {
            "neighbour": name,
            "tree": "/srv/data",
            "files here": 48_320,
            "newest file at": now - 4,
            "lacking": 0,
            "queue": 0,
            "late": 0,
            "bytes": 91_300_000,
            "lag mean, s": 0.31,
            "lag 95 %, s": 0.74,
            "lag at most, s": 1.9,
            "announced by us": 48_090,
        },
    }
    made = Snapshot(stream=f"data/{name}", role="peer", state="live", system="mesh", unit="files")
    return replace(made, **(values | more))


def lacking_neighbour(name: str, now: float, *, lacking: int) -> Snapshot:
    """A neighbour in a mesh that has files that aren't here."""
    trouble = f"{lacking} files are lacking"
    made = neighbour(name, now, different=True, last_error=trouble, behind=lacking)
    return replace(made, details={**made.details, "lacking": lacking})


def push_site(name: str, now: float, **more: object) -> Snapshot:
    """A site, as its centre sees it."""
    values = {
        "behind": 0,
        "stored": 910_442,
        "different": False,
        "proven_at": now - 412,
        "since": now - 3 * HOUR_S,
        "lag_s": 61.0,
        "details": {
            "host": f"{name}.example.org",
            "version": "0.1.0",
            "clock ahead, s": 1,
            "observation: pushed up to": "2026-11-21 23:55",
            "observation: rows to push": 0,
            "observation: compared": "the same, 910,442 rows",
            "diary: pushed up to": "2026-11-20 08:10",
            "diary: rows to push": 0,
            "diary: compared": "the same, 1,204 rows",
        },
    }
    return replace(Snapshot(stream=name, role="site", state="live", system="push", unit="rows"), **(values | more))


def replica_of(stream: str, now: float, **more: object) -> Snapshot:
    """A block that follows another."""
    values = {
        "behind": 0,
        "stored": 1_205,
        "different": False,
        "proven_at": now - 2,
        "since": now - HOUR_S,
        "lag_s": 1.8,
        "rate_per_s": 0.2,
        "details": {
            "key": "spark-master/sensor-1",
            "value": "value[degC] = 20.44",
            "freshness": "fresh",
            "age_s": 1.8,
            "written in, s": 0.004,
            "received": 1_206,
            "written": 1_205,
            "unchanged": 1,
            "dropped": 0,
        },
    }
    made = Snapshot(stream=stream, role="replica", state="live", system="blocks", unit="values")
    return replace(made, **(values | more))


def all_well(now: float) -> list[Snapshot]:
    """Six copies, a primary and a replica of a block, and nothing to do."""
    return [
        primary_of(STATION, now),
        copy_of(STATION, now),
        copy_of(STANDING, now, proven_at=now - 118),
        neighbour("mqtt://blacklab", now),
        neighbour("mqtt://redlab", now, lag_s=2.4, rate_per_s=3.1),
        push_site("hilltop", now),
        push_site("valley", now, lag_s=None, proven_at=now - 96),
        replica_of("spark-slave.dummy-1", now),
    ]


def held_copy(now: float) -> Snapshot:
    """A copy that waits for a person's decision."""
    repair = f"samesky repair --config /etc/weewx/weewx.conf --stream {STATION}"
    return copy_of(
        STATION,
        now,
        state="stopped",
        last_error="the primary has 1,204 records; it had 2,103,840. Nothing was changed",
        hint=f"Was it restored from an old backup? If the primary is right: `{repair} --accept-deletions 2102636`",
    )


def some_trouble(now: float) -> list[Snapshot]:
    """One of each: held, different, disconnected, catching up, with a trouble that is over."""
    return [
        primary_of(STATION, now),
        held_copy(now),
        copy_of(STANDING, now, state="catching-up", behind=151_312, rate_per_s=18_400.0, lag_s=525 * 86_400.0),
        lacking_neighbour("mqtt://blacklab", now, lacking=12),
        neighbour("mqtt://redlab", now, last_error="a download was cut; it was tried again"),
        push_site("hilltop", now),
        push_site(
            "valley",
            now,
            state="disconnected",
            last_error="nothing was heard of it for 3 h",
            hint="See there: `samesky push status --config /etc/samesky/samesky.toml`",
            behind=None,
        ),
        replica_of("spark-slave.dummy-1", now),
    ]


def post(board: Noticeboard, snapshots: Sequence[Snapshot], now: float) -> None:
    """Post them as one process would."""
    board.post("stand", snapshots, now)
