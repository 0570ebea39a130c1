"""Who names an authority in the address of a database has its server proven, by name; and others are turned away."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.errors import Unreachable
from samesky.push.databases import Database
from stands.mariadb import MariadbServer
from stands.postgresql import PostgresqlServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Certificates where the servers' users reach them: PostgreSQL's can't enter root's own folders."""
    folder = Path(tempfile.mkdtemp(prefix="samesky-tls-"))
    folder.chmod(0o711)
    for name in ("server", "stranger"):
        key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        key.chmod(0o600)
        certificate.chmod(0o644)
        if os.geteuid() == 0:
            shutil.chown(key, "postgres")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def addresses(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Databases on servers that speak TLS, as ``localhost``, which the certificate names."""
    files = folder / "server.pem", folder / "server.key"
    options = (f"--ssl-cert={files[0]}", f"--ssl-key={files[1]}")
    settings = ("ssl=on", f"ssl_cert_file={files[0]}", f"ssl_key_file={files[1]}")
    with (
        MariadbServer(tmp_path_factory.mktemp("mariadb"), options=options) as mariadb,
        PostgresqlServer(tmp_path_factory.mktemp("postgresql"), options=settings) as postgresql,
    ):
        one, other = mariadb.create_database(), postgresql.create_database()
        yield {
            "mysql": f"mysql://{one.user}:{one.password}@HOST:{one.port}/{one.name}?ssl_ca=",
            "postgresql": f"postgresql://{other.user}:{other.password}@HOST:{other.port}/{other.name}?sslrootcert=",
        }


ENCRYPTED = {
    "mysql": "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'",
    "postgresql": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
}


@pytest.mark.parametrize("dialect", ["mysql", "postgresql"])
def test_a_server_is_proven_by_the_authority_that_is_named(
    addresses: dict[str, str], folder: Path, dialect: str
) -> None:
    address = addresses[dialect] + str(folder / "server.pem")
    with Database(address.replace("HOST", "localhost")) as database, database.reading() as connection:
        assert connection.exec_driver_sql(ENCRYPTED[dialect]).scalar()


@pytest.mark.parametrize("dialect", ["mysql", "postgresql"])
@pytest.mark.parametrize(("host", "authority"), [("localhost", "stranger.pem"), ("127.0.0.1", "server.pem")])
def test_a_server_of_another_authority_or_another_name_is_turned_away(
    addresses: dict[str, str], folder: Path, dialect: str, host: str, authority: str
) -> None:
    address = addresses[dialect].replace("HOST", host) + str(folder / authority)
    with Database(address) as database, pytest.raises(Unreachable) as caught, database.reading():
        pass
    assert "certificate" in str(caught.value)
    assert "secret" not in str(caught.value)
