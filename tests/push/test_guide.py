"""docs/push.md, followed to the letter: its commands and its configurations, with this machine's names put in."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from samesky.config import Findings
from samesky.push.described import read_model
from samesky.push.push_settings import read_push_settings
from stands.mariadb import MariadbServer
from stands.ports import free_port
from stands.push_bulk import fill_site
from stands.push_meaning import count_rows, read_meaning
from stands.push_serving import make_environment
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs" / "push.md"
ROWS = 3_000
DEADLINE_S = 180


def read_blocks(section: str, language: str) -> list[str]:
    """The code blocks of ``language`` in the section of the guide whose heading begins so."""
    text = GUIDE.read_text()
    (body,) = re.findall(rf"^##+ {re.escape(section)}.*?$(.*?)(?=^## |^### |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", body, re.MULTILINE | re.DOTALL)


@dataclass
class Machine:
    """One of the two machines of the guide: a folder, and a shell in it."""

    folder: Path
    port: int
    mariadb: MariadbServer

    def localize(self, text: str) -> str:
        """The guide's text with this machine's ports."""
        text = text.replace("https://centre.example.org:6543", f"http://127.0.0.1:{self.port}")
        text = text.replace("127.0.0.1:6543", f"127.0.0.1:{self.port}")
        text = re.sub(r"(mysql://[a-z:]+)@localhost/", rf"\1@127.0.0.1:{self.mariadb.port}/", text)
        return text.replace("'localhost'", "'127.0.0.1'")

    def launch(self, commands: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["bash", "-euc", f'samesky() {{ "{sys.executable}" -P -m samesky "$@"; }}; {self.localize(commands)}'],
            cwd=self.folder,
            env=make_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, commands: str) -> str:
        """Run commands of the guide, which have to succeed; returns what they write."""
        process = self.launch(commands)
        told, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, told
        return told


@pytest.fixture
def centre(tmp_path: Path, mariadb: MariadbServer) -> Iterator[Machine]:
    """The centre, as the guide's first step leaves it; only the port is another."""
    machine = Machine(tmp_path / "centre", free_port(), mariadb)
    machine.folder.mkdir()
    (machine.folder / "samesky.toml").write_text(f"[push.central]\nlisten = '127.0.0.1:{machine.port}'\n")
    (commands,) = read_blocks("1. The centre", "sh")
    *making, serve = commands.strip().splitlines()
    machine.run("\n".join(making))
    serving = machine.launch(f"exec {serve.replace('samesky', f'{sys.executable} -P -m samesky')}")
    try:
        curl = "curl -sf http://127.0.0.1:6543/rest/sensortype/"
        wait_for(lambda: machine.launch(curl).wait() == 0, DEADLINE_S, what="the centre")
        yield machine
    finally:
        serving.terminate()
        serving.communicate(timeout=DEADLINE_S)


@pytest.fixture
def site(tmp_path: Path, centre: Machine, mariadb: MariadbServer) -> Iterator[Machine]:
    """The site, as the guide's second step begins: with a database, a user who may read it, and the key."""
    machine = Machine(tmp_path / "site", centre.port, mariadb)
    machine.folder.mkdir()
    key = machine.folder / "hillside.key"
    key.write_text((centre.folder / "hillside.key").read_text())
    key.chmod(0o600)
    mariadb.execute("CREATE DATABASE ch")
    fill_site(mariadb, "ch", ROWS)
    (grants,) = read_blocks("2. The site", "sql")
    mariadb.execute(*filter(str.strip, machine.localize(grants).split(";")))
    try:
        yield machine
    finally:
        mariadb.execute("DROP DATABASE ch", "DROP USER 'samesky'@'127.0.0.1'")


def test_the_guide_leads_from_a_database_to_a_centre(site: Machine, centre: Machine) -> None:
    (settings,) = read_blocks("2. The site", "toml")
    (site.folder / "samesky.toml").write_text(site.localize(settings))
    (site.folder / "samesky.toml").chmod(0o600)
    plan, run = read_blocks("2. The site", "sh")
    assert "Sensor" in site.run(plan)
    gathered = f"sqlite:///{centre.folder / 'central.db'}"
    assert count_rows(gathered, "Reading") == 0
    site.run(run)
    url = site.localize("mysql://samesky:a long password@localhost/ch").replace(" ", "%20")
    url = re.sub(r"@localhost/", f"@127.0.0.1:{site.mariadb.port}/", url)
    assert count_rows(gathered, "Reading") == ROWS
    assert read_meaning(url) == read_meaning(gathered, site="hillside")

    for command in re.findall(r"^\| `(samesky push [^`]+)` \|", GUIDE.read_text(), re.MULTILINE):
        site.run(command)
    site.run("samesky push verify --repair")
    (asking,) = read_blocks("The REST interface", "sh")
    assert "Type 1" in site.run(asking)
    assert "hillside" in centre.run("samesky push site list")
    assert "append" in centre.run("samesky push key list")

    site.mariadb.execute("INSERT INTO ch.Reading (time, nodeId, type, value) VALUES ('2024-06-01', 69, 1, 0.5)")
    (daemon,) = read_blocks("3. From now on", "sh")
    pushing = site.launch(f"exec {daemon.replace('samesky', f'{sys.executable} -P -m samesky')}")
    try:
        wait_for(lambda: count_rows(gathered, "Reading") == ROWS + 1, DEADLINE_S, what="the daemon's first push")
    finally:
        pushing.terminate()
        told, _ = pushing.communicate(timeout=DEADLINE_S)
    assert "Traceback" not in told


def test_the_original_s_configuration_is_read_as_it_is(site: Machine, centre: Machine) -> None:
    (settings,) = read_blocks("You have a synchronise.conf", "ini")
    text = site.localize(settings).replace("samesky:secret@", "samesky:a%20long%20password@")
    (site.folder / "synchronise.conf").write_text(text)
    (site.folder / "synchronise.conf").chmod(0o600)
    site.run("samesky push run --config synchronise.conf")
    assert count_rows(f"sqlite:///{centre.folder / 'central.db'}", "Reading") == ROWS


def test_the_options_of_the_guide_are_those_that_are_read(tmp_path: Path) -> None:
    (section,) = re.findall(r"^## The site's options$(.*?)^## ", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`.+?) \| (.*?) \|", section, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    numbers = {name: default for name, default in told.items() if default.isdigit()}
    config = tmp_path / "samesky.toml"
    config.write_text(
        "\n".join(["[push]", *(f"{name} = {default}" for name, default in numbers.items())])
        + "\ndatabase = 'sqlite:///site.db'\n[push.targets.centre]\nurl = 'http://127.0.0.1/'\nkey = 'abc.secret'\n"
    )
    config.chmod(0o600)
    _, findings = read_push_settings(config)
    assert [str(found) for found in findings.found] == []
    config.write_text(
        "[push]\ndatabase = 'sqlite:///site.db'\n[push.targets.c]\nurl = 'http://127.0.0.1/'\nkey = 'a.b'\n"
    )
    usual, _ = read_push_settings(config)
    for name, default in numbers.items():
        assert getattr(usual, name, getattr(usual.targets[0], name, None)) == int(default), name
    assert told.keys() - numbers.keys() >= {"database", "state_dir", "key_file", "ca_file", "accept_renames", "strict"}


def test_the_other_schema_of_the_guide_can_be_pushed() -> None:
    (described,) = read_blocks("Another schema", "toml")
    findings = Findings()
    model = read_model(tomllib.loads(described)["push"]["model"], findings)
    assert [str(each) for each in findings.errors] == []
    assert [table.name for table in model.tables] == ["Station", "Level"]
