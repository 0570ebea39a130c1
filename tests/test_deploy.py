"""What is in deploy/ fits what there is: units of systemd, containers."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pytest

from samesky.cli.main import samesky
from samesky.config import Findings
from samesky.station.stanza import read_toml_requester
from stands.children import die_with_parent
from stands.notified import NotifySocket, notify_socket

ROOT = Path(__file__).parents[1]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
PROGRAM = "/opt/samesky/bin/samesky"
SAFE_ENOUGH = 20
"""`systemd-analyze security`: from 0, safe, to 100; a unit without any of this has 92."""
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
DEADLINE_S = 60.0


def read_unit(path: Path) -> dict[str, list[str]]:
    """The settings of a unit, in order; ``Section.Name`` -> values."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(f"{section}.{name}", []).append(value)
    return found


@pytest.fixture(params=UNITS, ids=[each.stem for each in UNITS])
def unit(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


def read_command(unit: Path) -> list[str]:
    """What the unit runs, as systemd expands it."""
    (line,) = read_unit(unit)["Service.ExecStart"]
    return line.replace("%d", "/run/credentials/x").replace("$SAMESKY_MESH_OPTIONS", "--broker mqtt://a@b").split()


def test_every_service_has_a_unit() -> None:
    names = {" ".join(takewhile(lambda word: not word.startswith("-"), read_command(each)[1:])) for each in UNITS}
    assert names == {"station serve", "station follow", "mesh peer", "push serve", "push daemon", "blocks serve", "web"}


def test_what_a_unit_runs_is_a_command(unit: Path, tmp_path: Path) -> None:
    (tmp_path / "samesky.toml").touch()
    (tmp_path / "brokers").touch()
    program, *words = read_command(unit)
    assert program == PROGRAM
    words = [str(tmp_path / Path(each).name) if each.startswith(("/etc/", "/run/")) else each for each in words]
    command: click.Command = samesky
    context = click.Context(samesky)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    command.make_context(command.name, words)


def test_a_unit_waits_for_the_word_watches_and_starts_again(unit: Path) -> None:
    settings = read_unit(unit)
    assert settings["Service.Type"] == ["notify"]
    assert settings["Service.Restart"] == ["always"]
    assert settings["Unit.StartLimitIntervalSec"] == ["0"]
    assert settings["Service.RestartPreventExitStatus"] == ["2"]
    assert settings["Service.SuccessExitStatus"] == ["143"]
    (watchdog,) = settings["Service.WatchdogSec"]
    assert 2 <= int(watchdog.removesuffix("min")) <= 20


def test_all_units_are_locked_up_alike(unit: Path) -> None:
    text, first = unit.read_text(), UNITS[0].read_text()
    assert text.partition("\n# Who: ")[2] == first.partition("\n# Who: ")[2] != ""


def test_credentials_of_units_are_named_as_the_configuration_names_them(unit: Path) -> None:
    text = unit.read_text()
    for name in re.findall(r"credential:([a-z-]+)", text):
        assert re.search(rf"^#?LoadCredential={name}:/etc/samesky/", text, re.MULTILINE), name
    for name in re.findall(r"^#?LoadCredential=([a-z-]+):", text, re.MULTILINE):
        assert f"credential:{name}" in text or f"%d/{name}" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here; CI has one")
def test_systemd_takes_the_units_and_finds_them_safe(unit: Path, tmp_path: Path) -> None:
    there = tmp_path / unit.name
    there.write_text(unit.read_text().replace(PROGRAM, shutil.which("env") or ""))
    run_analyze("verify", "--man=no", "--recursive-errors=no", there)
    run_analyze("security", "--offline=true", f"--threshold={SAFE_ENOUGH}", there)


def run_analyze(*arguments: str | Path) -> None:
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert done.stderr == "", done.stderr


def test_the_guide_names_every_unit() -> None:
    named = re.findall(r"^\| `(samesky-[a-z-]+)` \|", GUIDE, re.MULTILINE)
    assert sorted(named) == [each.stem for each in UNITS]


def test_a_service_can_use_the_guide_s_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mqtt-password").write_text("a long password")
    (tmp_path / "mqtt-password").chmod(0o400)
    (tmp_path / "ca.crt").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (text,) = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    findings = Findings()
    settings = read_toml_requester(tomllib.loads(text.replace("/etc/samesky", str(tmp_path))), findings)
    assert findings.found == []
    assert settings is not None
    assert settings.mqtt.password == "a long password"
    assert str(settings.state_dir) == read_unit(UNITS[0])["Service.WorkingDirectory"][0]


@pytest.fixture
def manager() -> Iterator[NotifySocket]:
    with TemporaryDirectory(prefix="notify-") as folder, notify_socket(Path(folder)) as made:
        yield made


def refuse_writable_code() -> None:
    """As systemd's MemoryDenyWriteExecute, for a child and its children; before Linux 6.3 it does nothing."""
    ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)
    if die := die_with_parent():
        die()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        "push serve --listen 127.0.0.1:0",
        "mesh peer --broker mqtt://guest@127.0.0.1:1 --post-broker mqtt://guest@127.0.0.1:1 --serve 127.0.0.1:0",
        "blocks serve --service a=a.json --amqp amqp://localhost:1/ --listen 127.0.0.1:0",
        "web --listen 127.0.0.1:0",
    ],
    ids=["push serve", "mesh peer", "blocks serve", "web"],
)
def test_services_run_where_no_code_may_be_made(arguments: str, manager: NotifySocket, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "samesky", *arguments.split()],
            cwd=tmp_path,
            env={**os.environ, **manager.environment(), "SAMESKY_STATUS_DIR": str(tmp_path)},
            stdout=output,
            stderr=output,
            preexec_fn=refuse_writable_code,
        )
    try:
        manager.wait_for("READY=1", DEADLINE_S)
    finally:
        process.kill()
        process.wait(DEADLINE_S)
