"""`samesky push serve`: a centre that starts by itself, and that curl can ask, as the seed says."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from samesky.cli.main import main
from stands.mesh_command import RunningCommand

pytestmark = pytest.mark.slow


def curl(*arguments: object) -> str:
    """What curl says; it is there wherever the tests run."""
    program = shutil.which("curl")
    assert program, "curl is needed"
    return subprocess.run(
        [program, "--silent", "--show-error", "--fail-with-body", "--max-time", "20", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def make_key(database: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["push", "site", "add", "hill", "--database", database]) == 0
    capsys.readouterr()
    assert main(["push", "key", "add", "hill", "--database", database, "--json"]) == 0
    return str(json.loads(capsys.readouterr().out)["key"])


def test_the_seeds_test_of_the_connection_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = f"sqlite:///{tmp_path / 'central.db'}"
    key = make_key(database, capsys)
    with RunningCommand("push", "serve", "--database", database, "--listen", "0.0.0.0:0", "--json") as serving:
        url = f"http://127.0.0.1:{json.loads(serving.wait_for_line())['port']}/"
        assert json.loads(curl(f"{url}rest/sensortype/")) == []
        sensor_type = json.dumps({"__table__": "SensorType", "name": "Temperature", "code": "Tmp", "units": "C"})
        sent = ("--header", "Content-Type: application/json", "--data", sensor_type)
        curl("--user", f"hill:{key}", *sent, f"{url}rest/sensortype/")
        (shown,) = json.loads(curl(f"{url}rest/sensortype/"))
        assert (shown["__table__"], shown["name"]) == ("SensorType", "Temperature")
        assert json.loads(curl("--header", f"Authorization: Bearer {key}", f"{url}sync/v1/status"))["sites"]
        assert serving.end(signal.SIGTERM) == 143
        assert "--tls-cert" in serving.errors  # others can reach it, unencrypted
        assert "Traceback" not in serving.errors
        assert key not in serving.errors


def test_it_serves_https_below_a_path_of_a_configuration(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    (tmp_path / "samesky.toml").write_text(
        f"""
        [push.central]
        database = "sqlite:///{tmp_path / "central.db"}"
        listen = "127.0.0.1:0"
        base_path = "/building"
        tls_cert = "{tmp_path / "cert.pem"}"
        tls_key = "{tmp_path / "key.pem"}"
        """
    )
    with RunningCommand("push", "serve", "--config", tmp_path / "samesky.toml") as serving:
        said = serving.wait_for_line()
        assert said.startswith(f"serving sqlite:///{tmp_path / 'central.db'} at https://127.0.0.1:")
        url = said.rpartition(" ")[2].rstrip("/")
        assert url.endswith("/building")
        assert curl("--cacert", tmp_path / "cert.pem", f"{url}/rest/sensortype/") == "[]"
        assert curl("--cacert", tmp_path / "cert.pem", f"{url.removesuffix('/building')}/rest/sensortype/") == "[]"
        assert serving.end(signal.SIGINT) == 130
        assert serving.errors == "samesky: interrupted"


def make_certificate(folder: Path) -> None:
    """cert.pem and key.pem for 127.0.0.1."""
    subject = ("-subj", "/CN=centre", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    files = ("-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    command = ["openssl", "req", "-x509", *made, *subject, *map(str, files)]
    subprocess.run(command, check=True, capture_output=True)


def test_every_mistake_of_the_configuration_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "samesky.toml"
    config.write_text('[push.central]\npage_rows = 1\nbase_path = "building"\n')
    assert main(["push", "serve", "--config", str(config)]) == 2
    told = capsys.readouterr().err
    assert "page_rows" in told
    assert "base_path" in told


def test_a_port_alone_is_of_this_machine(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'central.db'}"
    with RunningCommand("push", "serve", "--database", database, "--listen", "0", "--json") as serving:
        assert json.loads(serving.wait_for_line())["url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("listen", ["x", "127.0.0.1:99999"])
def test_where_to_listen_is_a_port(tmp_path: Path, capsys: pytest.CaptureFixture[str], listen: str) -> None:
    database = f"sqlite:///{tmp_path / 'central.db'}"
    assert main(["push", "serve", "--database", database, "--listen", listen]) == 2
    config = tmp_path / "samesky.toml"
    config.write_text(f'[push.central]\ndatabase = "{database}"\nlisten = "{listen}"\n')
    assert main(["push", "serve", "--config", str(config)]) == 2
    assert "port" in capsys.readouterr().err


def test_a_password_in_the_address_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    address = "postgresql://samesky:hush@127.0.0.1:1/central"
    assert main(["push", "serve", "--database", address, "--listen", "127.0.0.1:0"]) == 3
    assert "hush" not in capsys.readouterr().err
