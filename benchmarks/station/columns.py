"""Catch-up by columns between SQLite and a private MariaDB, either way."""

from pathlib import Path

from tests.stands.databases import SqliteDatabase
from tests.stands.mariadb import MariadbServer

from ..claims import Claim, same
from .databases import Place, copy_tables, make_year, place_of
from .files import catch_up, compare, write_plainly

FEWEST_TIMES = 0.6


def measure(folder: Path, *, records: int) -> list[Claim]:
    """SQLite to MariaDB and back, each against executemany of the same rows into the same kind of database."""
    primary = folder / "primary.sdb"
    make_year(primary, records)
    with MariadbServer(folder / "mariadb") as server:
        return [*_to_mariadb(server, primary, records), *_from_mariadb(server, primary, folder, records)]


def _to_mariadb(server: MariadbServer, primary: Path, records: int) -> list[Claim]:
    source: Place = {"path": str(primary)}
    copy, plain = server.create_database(), server.create_database()
    caught_up = catch_up(source, place_of(copy))
    tables = [name for (name,) in server.execute(f"SHOW TABLES FROM {copy.name}")]
    server.execute(*(f"CREATE TABLE {plain.name}.`{name}` LIKE {copy.name}.`{name}`" for name in tables))
    reference_hz = write_plainly(source, place_of(plain))
    return _claims("SQLite to MariaDB", records / caught_up["seconds"], reference_hz, compare(source, place_of(copy)))


def _from_mariadb(server: MariadbServer, primary: Path, folder: Path, records: int) -> list[Claim]:
    source = server.create_database()
    server.load_sqlite(SqliteDatabase(primary), source)
    copy, plain = folder / "copy.sdb", folder / "plain.sdb"
    caught_up = catch_up(place_of(source), {"path": str(copy)})
    copy_tables(primary, plain)
    reference_hz = write_plainly(place_of(source), {"path": str(plain)})
    differences = compare(place_of(source), {"path": str(copy)})
    return _claims("MariaDB to SQLite", records / caught_up["seconds"], reference_hz, differences)


def _claims(way: str, value: float, reference: float, differences: int) -> list[Claim]:
    what = f"catch-up by columns, {way}"
    claim = f"{what}, summaries included, against executemany of the same rows"
    return [Claim(claim, value, "records/s", reference, at_least=FEWEST_TIMES), same(what, differences)]
