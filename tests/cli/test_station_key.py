"""`samesky station key`: a key that a primary and its copies can be set up with."""

import json
import stat
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.station.signing_keys import decode_trusted_keys


def test_a_key_is_made_for_its_owner_alone_and_its_public_line_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "home.key"
    assert main(["station", "key", "make", "home", "--file", str(path)]) == 0
    told = capsys.readouterr()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (key,) = decode_trusted_keys(told.out, "stdout").values()
    assert key.name == "home"
    assert "sign_key_file" in told.err
    secret = path.read_text().split()[-1]
    assert secret not in told.out + told.err

    assert main(["station", "key", "show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "home", "key_id": key.key_id, "line": key.line}


def test_the_key_of_a_copy_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["station", "key", "make", "home", "--copy"]) == 0
    assert capsys.readouterr().out.startswith("home+copy ")
    assert (tmp_path / "home-copy.key").is_file()


def test_a_key_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["station", "key", "make", "home", "--file", str(tmp_path / "home.key")]
    assert main(words) == 0
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_name_that_no_instance_can_have_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["station", "key", "make", "a/b", "--file", str(tmp_path / "key")]) == 2
    assert not list(tmp_path.iterdir())
