"""What the same rows take without us: `mariadb-dump | mariadb`, and PostgreSQL's COPY. The bars stand on these."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.stands.mariadb import MariadbServer
from tests.stands.postgresql import PostgresDatabase

TABLE = "Reading"


def time_dump_and_load(server: MariadbServer, source: str) -> float:
    """Seconds that `mariadb-dump | mariadb` takes for the readings of the database ``source``, into an empty one."""
    target = f"{source}_loaded"
    server.execute(f"CREATE DATABASE {target}")
    socket = ["--no-defaults", f"--socket={server.socket}", "--user=root"]
    began = time.monotonic()
    dump = subprocess.Popen([_find("mariadb-dump"), *socket, source, TABLE], stdout=subprocess.PIPE)
    subprocess.run([_find("mariadb"), *socket, target], stdin=dump.stdout, check=True)
    took_s = time.monotonic() - began
    if dump.wait():
        raise RuntimeError(f"mariadb-dump ended with {dump.returncode}")
    server.execute(f"DROP DATABASE {target}")
    return took_s


def time_copy(database: PostgresDatabase, folder: Path) -> float:
    """Seconds that COPY takes to load the readings of a centre from a file, into an empty table with the same key."""
    path = folder / "readings.copy"
    _psql(database, f"""\\copy (SELECT * FROM "{TABLE}") TO '{path}'""")
    _psql(database, f'CREATE TABLE loaded (LIKE "{TABLE}" INCLUDING ALL)')
    began = time.monotonic()
    _psql(database, f"\\copy loaded FROM '{path}'")
    took_s = time.monotonic() - began
    _psql(database, "DROP TABLE loaded")
    path.unlink()
    return took_s


def _psql(database: PostgresDatabase, command: str) -> None:
    address = ["-h", database.host, "-p", str(database.port), "-U", database.user, "-d", database.name]
    subprocess.run(
        [_find("psql"), "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", *address, "-c", command],
        env=os.environ | {"PGPASSWORD": database.password},
        check=True,
    )


def _find(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise RuntimeError(f"{program} isn't installed")
    return path
