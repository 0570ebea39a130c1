"""`samesky push site` and `samesky push key`: what a centre's owner types first."""

import json
import stat
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.push.central_database import CentralDatabase
from samesky.push.keys import Caller
from stands.push_centre import open_centre


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'central.db'}"


def call(url: str, *words: str) -> int:
    return main(["push", *words, "--database", url])


def find(url: str, key: str) -> Caller | None:
    with open_centre(url) as central:
        assert isinstance(central, CentralDatabase)
        return central.keys.find(key)


def test_a_site_and_its_key_are_made_with_two_commands(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(url, "site", "add", "hill-farm") == 0
    assert capsys.readouterr().out == "site hill-farm added\n"
    assert call(url, "key", "add", "hill-farm") == 0
    told = capsys.readouterr()
    assert told.err == "keep it: it is told this once\n"
    caller = find(url, told.out.strip())
    assert caller is not None
    assert (caller.site_name, caller.scopes) == ("hill-farm", {"append"})


def test_a_key_is_written_to_a_file_that_its_owner_alone_reads(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "admin.key"
    assert call(url, "key", "add", "--scope", "admin", "--output", str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert find(url, file.read_text().strip()) is not None
    assert call(url, "key", "add", "--scope", "admin", "--output", str(file)) == 2
    assert "is there already" in capsys.readouterr().err
    assert call(url, "key", "add", "--scope", "append", "--output", str(tmp_path / "other.key")) == 2
    assert "needs a site" in capsys.readouterr().err
    assert not (tmp_path / "other.key").exists()


def test_a_key_without_a_site_reads_and_a_key_for_an_unknown_site_is_a_mistake(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(url, "key", "add", "--json") == 0
    assert json.loads(capsys.readouterr().out)["scopes"] == ["read"]
    assert call(url, "key", "add", "nowhere") == 2
    assert "There is no site nowhere" in capsys.readouterr().err


def test_keys_are_listed_without_their_secrets_and_revoked_by_prefix(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call(url, "site", "add", "hill-farm")
    call(url, "key", "add", "hill-farm", "--label", "the pump house", "--days", "30", "--json")
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert call(url, "key", "list") == 0
    listed = capsys.readouterr().out
    assert made["prefix"] in listed
    assert made["key"] not in listed
    assert "the pump house" in listed
    assert "good until" in listed
    assert call(url, "key", "revoke", made["prefix"]) == 0
    assert find(url, made["key"]) is None
    capsys.readouterr()
    assert call(url, "key", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["revoked_s"] is not None


def test_sites_are_listed_with_how_they_are_doing(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(url, "site", "list") == 0
    assert "no sites yet" in capsys.readouterr().out
    call(url, "site", "add", "hill-farm")
    assert call(url, "site", "rename", "hill-farm", "upper-farm") == 0
    capsys.readouterr()
    assert call(url, "site", "list") == 0
    assert capsys.readouterr().out == "upper-farm: never heard of\n"
    assert call(url, "site", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["site"] == "upper-farm"
    assert call(url, "site", "add", "upper-farm") == 2


def test_an_option_that_means_nothing_is_told(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "samesky.toml"
    config.write_text('[push.central]\nlisten_at = "127.0.0.1:1"\n')
    assert call(url, "site", "list", "--config", str(config)) == 0
    assert "listen_at is no option; did you mean listen?" in capsys.readouterr().err
