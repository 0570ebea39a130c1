"""Key files: what is written can be read, and what is wrong with a file is said with its line."""

import stat
from pathlib import Path

import pytest

from samesky.errors import ConfigError
from samesky.station.signing_keys import (
    decode_secret_key,
    decode_trusted_keys,
    make_key,
    read_trusted_keys,
    write_secret_key,
)


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
