"""Key files: what is written can be read, and what is wrong with a file is said with its line."""

import stat
import sys
from pathlib import Path

import pytest

from samesky.config import Findings, Options
from samesky.errors import ConfigError, SetupError
from samesky.station.signing_keys import (
    decode_secret_key,
    decode_trusted_keys,
    make_key,
    read_trusted_keys,
    write_secret_key,
)
from samesky.station.signing_settings import read_sign_key, read_trust


def test_a_secret_key_is_written_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    key, path = make_key("home"), tmp_path / "home.key"
    write_secret_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert decode_secret_key(path.read_text(), str(path)) == key


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "home.key"
    write_secret_key(path, make_key("home"))
    before = path.read_text()
    with pytest.raises(ConfigError, match="is there already"):
        write_secret_key(path, make_key("home"))
    assert path.read_text() == before


def test_the_secret_is_in_no_representation() -> None:
    key = make_key("home")
    assert repr(key.secret) not in repr(key)


def test_a_list_holds_many_keys_and_remarks(tmp_path: Path) -> None:
    keys = [make_key(name).public for name in ("home", "home", "away", "home+copy", "up on the hill")]
    path = tmp_path / "trusted"
    path.write_text("# ours\n\n" + "\n".join(key.line for key in keys) + "\n")
    assert read_trusted_keys(path) == {key.key_id: key for key in keys}
    assert [key.instance for key in keys] == ["home", "home", "away", "home", "up on the hill"]
    assert [key.is_copys for key in keys] == [False, False, False, True, False]


GOOD = make_key("home")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("home", "NAME KEY-ID BASE64"),
        ("home 00 !!!!", "NAME KEY-ID BASE64"),
        ("home 00 AAAA", "3 bytes instead of 32"),
        (GOOD.public.line.replace(GOOD.public.key_id, "0" * 16), "doesn't fit its key id"),
        (f"a/b {GOOD.public.key_id} {GOOD.public.line.split()[-1]}", "can't be the name"),
    ],
    ids=["one word", "no base64", "too short", "another key id", "no name"],
)
def test_a_line_that_cant_be_used_is_named(line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        decode_trusted_keys(f"# remark\n{line}\n", "keys.txt")
    assert "keys.txt, line 2" in str(raised.value)


def test_a_secret_key_in_a_list_of_trusted_ones_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "home.key"
    write_secret_key(path, make_key("home"))
    with pytest.raises(ConfigError, match="SECRET"):
        read_trusted_keys(path)


def test_a_public_line_is_no_secret_key() -> None:
    with pytest.raises(ConfigError, match="holds no secret key"):
        decode_secret_key(make_key("home").public.line, "x")


def test_without_pynacl_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, trusted = tmp_path / "home.key", tmp_path / "trusted"
    write_secret_key(key, GOOD)
    trusted.write_text(f"{GOOD.public.line}\n")
    monkeypatch.setitem(sys.modules, "nacl.signing", None)
    with pytest.raises(SetupError, match="PyNaCl isn't installed"):
        make_key("home").public  # noqa: B018
    findings = Findings()
    options = Options({"sign_key_file": str(key), "trusted_keys": str(trusted)}, "station", findings)
    assert read_sign_key(options, "home") is None
    assert read_trust(options, ["home"]) is None
    assert len(findings.errors) == 1
    assert "apt install python3-nacl" in findings.errors[0].what


def test_a_secret_key_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    key, findings = tmp_path / "home.key", Findings()
    write_secret_key(key, GOOD)
    key.chmod(0o644)
    assert read_sign_key(Options({"sign_key_file": str(key)}, "station", findings), "home") == GOOD
    assert "can be read by everybody" in findings.found[0].what


def test_a_list_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    trusted, findings = tmp_path / "trusted", Findings()
    trusted.write_text(f"{GOOD.public.line}\n")
    trusted.chmod(0o666)
    read_trust(Options({"trusted_keys": str(trusted)}, "station", findings), ["home"])
    assert "can be written by everybody" in findings.errors[0].what
