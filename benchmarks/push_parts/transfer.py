"""A million readings from MariaDB to a centre on MariaDB and on PostgreSQL; then the comparison of what is the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stands.push_bulk import NODES, STEP_S, TYPES, fill_site, mariadb_url
from tests.stands.push_proxy import PushProxy
from tests.stands.push_runs import read_cpu_s
from tests.stands.push_serving import ServedCentre

from ..claims import Claim
from .bare import time_copy, time_dump_and_load
from .databases import durable_mariadb, durable_postgresql
from .pairs import NO_COMPARISON, differences, make_site, served

MEMORY_MIB = 64
IDLE_S, IDLE_BYTES = 2.0, 10_000
LAG_WINDOW_S = 30 * 86_400  # the longest there is


def measure(folder: Path, *, rows: int) -> list[Claim]:
    """Rates, memory, and what a run costs that has nothing to do."""
    with durable_mariadb(folder) as mariadb, durable_postgresql(folder) as postgresql:
        source = mariadb.create_database()
        fill_site(mariadb, source.name, rows)
        site_url = mariadb_url(source)
        target = mariadb.create_database()
        to_mariadb = _push(folder / "mariadb-centre", site_url, mariadb_url(target), rows, "MariaDB")
        bare_hz = rows / time_dump_and_load(mariadb, source.name)
        copied = postgresql.create_database()
        to_postgresql = _push(folder / "postgresql-centre", site_url, copied.url, rows, "PostgreSQL")
        copy_hz = rows / time_copy(copied, folder)
    return [
        *_rates(to_mariadb, "MariaDB", 80_000, "mariadb-dump | mariadb", bare_hz, 0.5),
        *_rates(to_postgresql, "PostgreSQL", 100_000, "COPY from a file", copy_hz, 0.35),
        *to_mariadb.claims,
        *to_postgresql.claims,
    ]


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push that is over, and what was found afterwards."""

    rows: int
    took_s: float
    claims: list[Claim]


def _rates(pushed: Pushed, centre: str, bar_hz: float, bare: str, bare_hz: float, share: float) -> list[Claim]:
    """Of the design's two bars one has to hold: the rate, or where that is missed the share of what is bare."""
    rate_hz = pushed.rows / pushed.took_s
    reached = rate_hz >= bar_hz
    what = f"{pushed.rows:,} readings, MariaDB to {centre}, upserts, one request in flight"
    return [
        Claim(what, rate_hz, "rows/s", at_least=bar_hz if reached else None),
        Claim(f"  against {bare}", rate_hz, "rows/s", reference=bare_hz, at_least=None if reached else share),
    ]


def _push(folder: Path, site_url: str, centre_url: str, rows: int, name: str) -> Pushed:
    with served(folder / "centre", centre_url) as (centre, key):
        site = make_site(folder / "site", site_url, url=centre.url, key=key, options=NO_COMPARISON)
        assert centre.pid
        server_cpu_s = read_cpu_s(centre.pid)
        first = site.run()
        server_cpu_s = read_cpu_s(centre.pid) - server_cpu_s
        claims = [
            Claim(f"  to {name}: CPU time of the pusher for a million readings", first.cpu_s / rows * 1e6, "s"),
            Claim(f"  to {name}: CPU time of the server for them", server_cpu_s / rows * 1e6, "s"),
            Claim(f"  to {name}: memory of the pusher at most", first.peak_mib, "MiB", at_most=MEMORY_MIB),
            _push_again(folder, site_url, centre, key, rows, first.took_s, name),
            differences(f"  to {name}", site_url, centre),
            *_compare(folder, site_url, centre, key, rows, name),
        ]
    return Pushed(rows, first.took_s, claims)


def _push_again(
    folder: Path, site_url: str, centre: ServedCentre, key: str, rows: int, first_s: float, name: str
) -> Claim:
    """Rows that the centre has already: the lag window makes the pusher send them again."""
    again = min(rows, LAG_WINDOW_S // STEP_S * NODES * TYPES)
    options = f"{NO_COMPARISON}\nlag_window_s = {LAG_WINDOW_S}"
    took_s = make_site(folder / "again", site_url, url=centre.url, key=key, options=options).run().took_s
    what = f"  to {name}: {again:,} readings that are there already, against new ones"
    return Claim(what, again / took_s, "rows/s", reference=rows / first_s, at_least=0.5)


def _compare(folder: Path, site_url: str, centre: ServedCentre, key: str, rows: int, name: str) -> Iterator[Claim]:
    with PushProxy(centre.port) as proxy:
        site = make_site(folder / "comparing", site_url, url=proxy.url, key=key)
        first = site.run()
        yield Claim(
            f"  {name}: the first comparison of {rows:,} rows, the process from start to end", first.took_s, "s"
        )
        with _counted(proxy) as count:
            idle = site.run()
        what = f"{name}: nothing to do, {rows:,} rows compared"
        yield Claim(f"{what}: the process from start to end", idle.took_s, "s", at_most=IDLE_S)
        yield Claim(f"{what}: bytes both ways", count.bytes_total, "bytes", at_most=IDLE_BYTES)
        yield Claim(
            f"{what}: memory of the pusher at most", max(first.peak_mib, idle.peak_mib), "MiB", at_most=MEMORY_MIB
        )


@dataclass(slots=True)
class Count:
    """Bytes that went over a proxy."""

    bytes_total: int = 0


@contextmanager
def _counted(proxy: PushProxy) -> Iterator[Count]:
    count, before = Count(), proxy.bytes_total
    yield count
    count.bytes_total = proxy.bytes_total - before
