"""The same through a slow line: 384 kbit/s each way, and 150 ms until an answer can be there."""

from pathlib import Path

from tests.stands.push_bulk import fill_site, mariadb_url
from tests.stands.push_proxy import PushProxy

from ..claims import Claim
from .databases import durable_mariadb, durable_postgresql
from .pairs import NO_COMPARISON, differences, make_site, served

LINE_BYTES_S = 384_000 / 8
ROUND_TRIP_S = 0.150
LEAST_HZ = 8_000


def measure(folder: Path, *, rows: int) -> list[Claim]:
    """The rate, and what a reading takes on the line."""
    with durable_mariadb(folder) as mariadb, durable_postgresql(folder) as postgresql:
        source = mariadb.create_database()
        fill_site(mariadb, source.name, rows)
        url = mariadb_url(source)
        with (
            served(folder / "centre", postgresql.create_database().url) as (centre, key),
            PushProxy(centre.port, delay_s=ROUND_TRIP_S / 2, rate_bytes_s=LINE_BYTES_S) as proxy,
        ):
            pushed = make_site(folder / "site", url, url=proxy.url, key=key, options=NO_COMPARISON).run()
            sent = proxy.bytes_up
            equal = differences("  through the line", url, centre)
    what = f"{rows:,} readings, MariaDB to PostgreSQL, through 150 ms and 384 kbit/s"
    return [
        Claim(what, rows / pushed.took_s, "rows/s", at_least=LEAST_HZ),
        Claim("  bytes sent a reading, HTTP and all", sent / rows, "bytes"),
        Claim("  the line's use", sent / pushed.took_s, "bytes/s", reference=LINE_BYTES_S),
        equal,
    ]
