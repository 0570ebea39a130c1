"""What the centre's part of samesky.toml says."""

from pathlib import Path

import pytest

from samesky.config import Findings
from samesky.push.central_settings import CentralSettings, Limits, read_central


def read(section: object, **given: str) -> tuple[CentralSettings, list[str]]:
    findings = Findings()
    settings = read_central({"push": {"central": section}}, findings, given=given)
    return settings, [finding.what for finding in findings.found]


def test_nothing_is_needed() -> None:
    settings = read_central({}, Findings(), given={})
    assert settings == CentralSettings()
    assert (settings.database, settings.listen) == ("sqlite:///central.db", "127.0.0.1:6543")


def test_everything_can_be_said(tmp_path: Path) -> None:
    for name in ("password", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("secret\n")
        (tmp_path / name).chmod(0o600)
    settings, found = read(
        {
            "database": "postgresql://samesky@localhost/central",
            "database_password_file": str(tmp_path / "password"),
            "listen": "0.0.0.0:443",
            "base_path": "/building/",
            "tls_cert": str(tmp_path / "cert.pem"),
            "tls_key": str(tmp_path / "key.pem"),
            "page_rows": 2000,
            "requests_per_s": 10,
        }
    )
    assert found == []
    assert settings == CentralSettings(
        database="postgresql://samesky@localhost/central",
        password="secret",
        listen="0.0.0.0:443",
        base_path="/building",
        tls_cert=str(tmp_path / "cert.pem"),
        tls_key=str(tmp_path / "key.pem"),
        limits=Limits(page_rows=2000, requests_per_s=10.0),
    )
    assert "secret" not in repr(settings)


def test_every_mistake_is_told(tmp_path: Path) -> None:
    _, found = read({"base_path": "building", "tls_cert": str(tmp_path / "none"), "page_rows": 1, "databse": "x"})
    assert len(found) == 4
    assert any("did you mean database?" in each for each in found)


def test_a_key_needs_its_certificate(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("x")
    assert read({"tls_key": str(tmp_path / "key.pem")})[1] == ["tls_key is set without tls_cert"]


@pytest.mark.parametrize("section", [5, [], "x"])
def test_a_section_is_a_table(section: object) -> None:
    assert read(section)[1] == ["it should be a table: [push.central]"]


def test_the_command_line_comes_before_the_file(tmp_path: Path) -> None:
    section = {"database": "sqlite:///a", "database_password_file": str(tmp_path / "none"), "base_path": "/a"}
    settings, found = read(section, database="sqlite:///b", database_password="p")
    assert (settings.database, settings.password, settings.base_path, found) == ("sqlite:///b", "p", "/a", [])


def test_the_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESKY_CENTRAL_PASSWORD", "from outside")
    assert read({})[0].password == "from outside"
