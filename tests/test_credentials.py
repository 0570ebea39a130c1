"""Secrets that systemd passes to a service: ``password_file = "credential:NAME"``."""

from pathlib import Path

import pytest

from samesky.config import Findings, Options, secret_path
from samesky.errors import ConfigError
from samesky.push.push_settings import read_push_settings


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of credentials that systemd gives a service."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "mqtt-password").write_text("a long password\n")
    (folder / "mqtt-password").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def read_secret(values: dict[str, str]) -> tuple[str | None, list[str]]:
    findings = Findings()
    secret = Options(values, "broker", findings).secret("password", "SAMESKY_TEST_PASSWORD")
    return secret, [str(each) for each in findings.found]


def test_a_password_is_read_from_a_credential(credentials: Path) -> None:
    assert read_secret({"password_file": "credential:mqtt-password"}) == ("a long password", [])


def test_a_credential_that_the_unit_lacks_is_a_mistake_with_its_name(credentials: Path) -> None:
    secret, (mistake,) = read_secret({"password_file": "credential:other"})
    assert secret is None
    assert "other can't be read" in mistake


def test_outside_of_a_service_it_is_said_what_to_do() -> None:
    secret, (mistake,) = read_secret({"password_file": "credential:mqtt-password"})
    assert secret is None
    assert "LoadCredential=mqtt-password:FILE" in mistake
    assert "by hand set SAMESKY_TEST_PASSWORD" in mistake


def test_by_hand_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESKY_TEST_PASSWORD", "typed")
    assert read_secret({"password_file": "credential:mqtt-password"}) == ("typed", [])


@pytest.mark.parametrize("name", ["", ".", "..", "../mqtt-password", "a/b", ".hidden", "a b"])
def test_a_credential_never_leads_out_of_its_folder(name: str, credentials: Path) -> None:
    with pytest.raises(ConfigError, match="should be credential:NAME"):
        secret_path(f"credential:{name}")


def test_a_key_of_tls_may_be_a_credential(credentials: Path) -> None:
    options = Options({"key_file": "credential:mqtt-password"}, "broker", Findings())
    assert options.path("key_file") == str(credentials / "mqtt-password")


def test_a_key_of_a_push_may_be_a_credential(credentials: Path, tmp_path: Path) -> None:
    (credentials / "push-key").write_text("abc.secret\n")
    config = tmp_path / "samesky.toml"
    config.write_text(
        "[push]\ndatabase = 'sqlite:///site.db'\n"
        "[push.targets.centre]\nurl = 'http://127.0.0.1/'\nkey_file = 'credential:push-key'\n"
    )
    settings, _ = read_push_settings(config)
    assert settings.targets[0].key == "abc.secret"
