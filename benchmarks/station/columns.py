"""Catch-up by columns between SQLite and a private MariaDB, either way."""

from pathlib import Path

from tests.stands.databases import MariaDatabase, SqliteDatabase
from tests.stands.mariadb import MariadbServer

from .claims import Claim, same
from .databases import Place, copy_tables, make_year
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
    caught_up = catch_up(source, _place(copy))
    tables = [name for (name,) in server.execute(f"SHOW TABLES FROM {copy.name}")]
    server.execute(*(f"CREATE TABLE {plain.name}.`{name}` LIKE {copy.name}.`{name}`" for name in tables))
    reference_hz = write_plainly(source, _place(plain))
    return _claims("SQLite to MariaDB", records / caught_up["seconds"], reference_hz, compare(source, _place(copy)))


def _from_mariadb(server: MariadbServer, primary: Path, folder: Path, records: int) -> list[Claim]:
    source = server.create_database()
    server.load_sqlite(SqliteDatabase(primary), source)
    copy, plain = folder / "copy.sdb", folder / "plain.sdb"
    caught_up = catch_up(_place(source), {"path": str(copy)})
    copy_tables(primary, plain)
    reference_hz = write_plainly(_place(source), {"path": str(plain)})
    differences = compare(_place(source), {"path": str(copy)})
    return _claims("MariaDB to SQLite", records / caught_up["seconds"], reference_hz, differences)


def _claims(way: str, value: float, reference: float, differences: int) -> list[Claim]:
    what = f"catch-up by columns, {way}"
    claim = f"{what}, summaries included, against executemany of the same rows"
    return [Claim(claim, value, "records/s", reference, at_least=FEWEST_TIMES), same(what, differences)]


def _place(database: MariaDatabase) -> Place:
    return {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.name,
    }
