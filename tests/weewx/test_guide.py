"""docs/station.md, followed to the letter: its commands and its configurations, with this machine's names put in."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import configobj
import pytest

from samesky.demo.year import write_year
from samesky.station.extension.build import build_extension
from stands.databases import SqliteDatabase
from stands.pairs import main_binding, place_database
from stands.ports import free_port
from stands.rows import wait_until_same
from stands.waiting import wait_for
from stands.weewx_station import WeewxStation

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs" / "station.md"
ACL = GUIDE.parents[1] / "deploy" / "mosquitto" / "acl"
DEADLINE_S = 120
MOSQUITTO = "/usr/sbin/mosquitto"


def read_blocks(section: str, language: str) -> list[str]:
    """The code blocks of ``language`` in the section of the guide whose heading begins so."""
    text = GUIDE.read_text()
    (body,) = re.findall(rf"^## {re.escape(section)}.*?$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", body, re.MULTILINE | re.DOTALL)


@dataclass
class Broker:
    """mosquitto as the guide's first step leaves it."""

    folder: Path
    port: int

    def localize(self, text: str) -> str:
        """The guide's text with this machine's names, port and folders."""
        text = text.replace("broker.example.org", "localhost").replace("8883", str(self.port))
        return re.sub(r"/etc/(mosquitto|weewx|samesky)/", f"{self.folder}/", text)

    def run(self, commands: str) -> None:
        done = subprocess.run(
            ["bash", "-euc", self.localize(commands)], cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "error" not in done.stderr.lower().replace("-errors", "")


@pytest.fixture
def secure_broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder, free_port())
    certificates, passwords, trial = read_blocks("1. The broker", "sh")
    broker.run(certificates)
    broker.run(passwords)
    (conf,) = read_blocks("1. The broker", "conf")
    shutil.copy(ACL, folder / "acl")
    (folder / "weather.conf").write_text(broker.localize(conf) + f"persistence_location {folder}/\nuser root\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", str(folder / "weather.conf")], stdout=log, stderr=log)
    try:
        wait_for(lambda: "running" in (folder / "log").read_text(), 30, what="mosquitto")
        broker.run(trial)
        yield broker
    finally:
        process.terminate()
        process.wait(30)


def follow_step(station: WeewxStation, broker: Broker, heading: str, user: str, password: str) -> None:
    """Merge the step's stanza into the station's weewx.conf, with a password file of the station's own."""
    secret = station.root / "mqtt-password"
    secret.write_text(password + "\n")
    secret.chmod(0o600)
    (stanza,) = read_blocks(heading, "ini")
    text = broker.localize(stanza).replace(f"{broker.folder}/mqtt-password", str(secret))
    assert f"username = {user}" in text
    station.edit(lambda conf: conf.merge(configobj.ConfigObj(StringIO(text), interpolation=False)))
    if user == "primary":
        station.edit(lambda conf: conf["MQTTReplicate"]["Responder"].pop("enable", None))


def test_the_guide_leads_to_a_copy_over_tls_with_passwords(tmp_path: Path, secure_broker: Broker) -> None:
    year = SqliteDatabase(tmp_path / "year.sdb")
    write_year(year.path, count=2_000, end_time=1_790_000_100, seed=7)
    primary = WeewxStation(
        tmp_path / "primary", [main_binding(place_database("sqlite", tmp_path / "p", like=year))], archive_interval_s=5
    )
    copy = WeewxStation(
        tmp_path / "copy", [main_binding(place_database("sqlite", tmp_path / "c"))], archive_interval_s=5
    )
    extension = tmp_path / "samesky-extension.zip"
    build_extension(extension)
    for station in (primary, copy):
        command = [sys.executable, "-m", "weectl", "extension", "install", str(extension), "--yes"]
        subprocess.run([*command, "--config", str(station.config_path)], check=True, env=station.environment)
    follow_step(primary, secure_broker, "3. The primary", "primary", "a long password")
    follow_step(copy, secure_broker, "4. The copy", "copy", "another long password")
    with primary, copy:
        primary.start()
        primary.wait_for(lambda: "connected instance=home" in primary.log_text, DEADLINE_S, what="the broker")
        check = [sys.executable, "-m", "samesky", "check", "--online", str(copy.config_path)]
        done = subprocess.run(check, capture_output=True, text=True, env=copy.environment, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        copy.start()
        wait_until_same(primary.database(), copy.database(), DEADLINE_S, explain=copy.tail)
        copy.wait_for(lambda: "phase=live" in copy.log_text, DEADLINE_S, what="the copy's word that it is live")


def test_the_guide_serves_and_follows_without_weewx(tmp_path: Path, secure_broker: Broker) -> None:
    year = SqliteDatabase(tmp_path / "year.sdb")
    write_year(year.path, count=2_000, end_time=1_790_000_100, seed=8)
    copy = SqliteDatabase(tmp_path / "copy" / "home.sdb")
    serve, follow = read_blocks("Without WeeWX", "toml")
    follow = re.sub(
        r"\[station\.follow\.home\.wx_binding\.mysql\].*", f'sqlite = "{copy.path}"\n', follow, flags=re.DOTALL
    )
    processes = []
    try:
        for role, text, password in (("serve", serve, "a long password"), ("follow", follow, "another long password")):
            folder = tmp_path / role
            folder.mkdir()
            (folder / "mqtt-password").write_text(password)
            (folder / "mqtt-password").chmod(0o600)
            text = secure_broker.localize(text).replace(
                f"{secure_broker.folder}/mqtt-password", f"{folder}/mqtt-password"
            )
            text = text.replace("/var/lib/weewx/weewx.sdb", str(year.path))
            (folder / "samesky.toml").write_text(text)
            command = [sys.executable, "-m", "samesky", "station", role, "--config", str(folder / "samesky.toml")]
            with (folder / "output").open("wb") as output:
                processes.append(subprocess.Popen(command, stdout=output, stderr=output))
        wait_until_same(year, copy, DEADLINE_S, explain=lambda: (tmp_path / "follow" / "output").read_text())
    finally:
        for process in processes:
            process.terminate()
        codes = [process.wait(60) for process in processes]
    assert codes == [143, 143]
