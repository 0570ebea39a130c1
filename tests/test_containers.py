"""deploy/compose.yaml, deploy/Containerfile and what prepares them, as far as that can be seen without an engine."""

import getpass
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from samesky.cli.main import samesky
from samesky.config import Findings
from samesky.demo.year import write_year
from samesky.station.stanza import read_toml_requester
from samesky.web.web_settings import read_web
from stands.children import die_with_parent
from stands.databases import SqliteDatabase
from stands.ports import free_port
from stands.rows import wait_until_same

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
MOSQUITTO = "/usr/sbin/mosquitto"
DEADLINE_S = 120
SERVICES = sorted(COMPOSE["services"])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of deploy/ in which prepare-compose has run twice."""
    folder = tmp_path_factory.mktemp("compose") / "deploy"
    shutil.copytree(DEPLOY, folder, ignore=shutil.ignore_patterns("secrets", "data", ".env"))
    for _ in range(2):
        subprocess.run([DEPLOY / "prepare-compose", "broker.example.org", folder], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", SERVICES)
def test_all_that_a_container_mounts_is_there(name: str, prepared: Path) -> None:
    mounted = [each.split(":")[0] for each in COMPOSE["services"][name]["volumes"]]
    mounted += [COMPOSE["secrets"][each]["file"] for each in COMPOSE["services"][name].get("secrets", [])]
    assert [each for each in mounted if not (prepared / each).exists()] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_nothing_that_it_need_not(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].startswith("${SAMESKY_UID:?")


def test_other_machines_reach_the_broker_alone() -> None:
    ports = {name: service.get("ports", []) for name, service in COMPOSE["services"].items()}
    assert [name for name, told in ports.items() if any(not port.startswith("127.0.0.1:") for port in told)] == [
        "broker"
    ]


@pytest.mark.parametrize("name", [each for each in SERVICES if each != "broker"])
def test_what_a_container_runs_is_a_command(name: str, tmp_path: Path) -> None:
    (tmp_path / "samesky.toml").touch()
    words = [each.replace("/etc/samesky", str(tmp_path)) for each in COMPOSE["services"][name]["command"]]
    command: click.Command = samesky
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None
        command = found
    command.make_context(command.name, words)


def test_the_configuration_names_what_the_containers_have() -> None:
    settings = tomllib.loads((DEPLOY / "samesky.toml").read_text())
    files = {settings["broker"]["ca_file"], settings["broker"]["password_file"], settings["web"]["token_file"]}
    assert files == {f"/run/secrets/{name}" for name in COMPOSE["services"]["page"]["secrets"]}
    assert settings["broker"]["host"] in COMPOSE["services"]


def test_the_copy_and_the_page_can_use_the_configuration(prepared: Path) -> None:
    text = (DEPLOY / "samesky.toml").read_text().replace("/run/secrets", str(prepared / "secrets"))
    findings, tables = Findings(), tomllib.loads(text)
    copy, page = read_toml_requester(tables, findings), read_web(tables, findings, given={})
    assert findings.errors == ()
    assert copy is not None
    assert copy.mqtt.password == (prepared / "secrets" / "copy-password").read_text().strip()
    assert page.token == (prepared / "secrets" / "web-token").read_text().strip()


def test_passwords_and_certificates_are_for_their_user_alone(prepared: Path) -> None:
    files = [each for each in (prepared / "secrets").iterdir() if each.is_file()]
    assert files
    assert [each.name for each in files if each.stat().st_mode & 0o077] == []
    passwords = (prepared / "secrets" / "passwords").read_text()
    assert all(re.fullmatch(r"\w+:\$\d\$.+", line) for line in passwords.splitlines())


def test_the_broker_s_certificate_is_for_both_its_names(prepared: Path) -> None:
    secrets = prepared / "secrets"
    for name in ("broker.example.org", "broker"):
        command = f"openssl verify -CAfile ca.crt -verify_hostname {name} broker.crt"
        subprocess.run(shlex.split(command), cwd=secrets, check=True, capture_output=True)


def test_the_image_is_made_of_what_is_here() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
    assert [name for line in copied for name in line.split() if not (ROOT / name).exists()] == []
    extras = set(re.search(r'"\.\[(.+)\]"', CONTAINERFILE)[1].split(","))  # type: ignore[index]
    assert extras <= tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    assert re.search(r"^USER (?!root)", CONTAINERFILE, re.MULTILINE)


PRIMARY = """
[broker]
host = "localhost"
port = {port}
ca_file = "{secrets}/ca.crt"
username = "primary"
password_file = "{secrets}/primary-password"
state_dir = "{folder}"

[station.serve.home.wx_binding]
type = "main"
sqlite = "{folder}/home.sdb"
"""


def start(words: list[str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(words, stdout=output, stderr=output, preexec_fn=die_with_parent())


@pytest.mark.slow
def test_what_the_containers_run_keeps_a_copy_over_the_prepared_broker(prepared: Path, tmp_path: Path) -> None:
    port, secrets, data = free_port(), prepared / "secrets", prepared / "data"

    def localize(text: str) -> str:
        """What the containers see of the files here."""
        for inside, here in (
            ("/etc/mosquitto/acl", prepared / "mosquitto" / "acl"),
            ("/etc/mosquitto", secrets),
            ("/run/secrets", secrets),
            ("/var/lib/mosquitto", data / "broker"),
            ("/var/lib/samesky", data / "samesky"),
            ("8883", port),
            ('host = "broker"', 'host = "localhost"'),
        ):
            text = text.replace(inside, str(here))
        return text

    (tmp_path / "broker.conf").write_text(
        localize((prepared / "mosquitto" / "mosquitto.conf").read_text()) + f"user {getpass.getuser()}\n"
    )
    (tmp_path / "copy.toml").write_text(localize((DEPLOY / "samesky.toml").read_text()))
    (tmp_path / "primary.toml").write_text(PRIMARY.format(port=port, secrets=secrets, folder=tmp_path))
    write_year(tmp_path / "home.sdb", count=2_000, end_time=1_790_000_100)
    samesky_station = [sys.executable, "-m", "samesky", "station"]
    running = [
        start([MOSQUITTO, "-c", str(tmp_path / "broker.conf")], tmp_path / "broker.log"),
        start([*samesky_station, "serve", "--config", str(tmp_path / "primary.toml")], tmp_path / "primary.log"),
        start([*samesky_station, "follow", "--config", str(tmp_path / "copy.toml")], tmp_path / "copy.log"),
    ]
    try:
        wait_until_same(
            SqliteDatabase(tmp_path / "home.sdb"),
            SqliteDatabase(data / "samesky" / "home.sdb"),
            DEADLINE_S,
            explain=lambda: "\n".join(each.read_text() for each in sorted(tmp_path.glob("*.log"))),
        )
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(DEADLINE_S)
