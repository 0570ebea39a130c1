"""A broker's URL says where and as whom; its password may stand in a file, and is never shown."""

import logging
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.errors import ConfigError
from samesky.link.broker_url import BrokerUrl, decode_broker_url, read_broker_url
from samesky.link.tls import TlsSettings

SECRET = "Geheim-7"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write_credentials(path: Path, *lines: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("mqtt://localhost", BrokerUrl("mqtt", "localhost", 1883)),
        ("mqtts://localhost", BrokerUrl("mqtts", "localhost", 8883)),
        ("mqtt://guest:guestpw@blacklab", BrokerUrl("mqtt", "blacklab", 1883, "guest", "guestpw")),
        ("mqtt://owner@awzz:11883/", BrokerUrl("mqtt", "awzz", 11883, "owner")),
        ("MQTT://Owner:@AWZZ", BrokerUrl("mqtt", "awzz", 1883, "Owner", "")),
        ("mqtts://o%40x:p%2Fw%3A%25@[fe80::1]:8884", BrokerUrl("mqtts", "fe80::1", 8884, "o@x", "p/w:%")),
        ("mqtt://user:with@sign@host", BrokerUrl("mqtt", "host", 1883, "user", "with@sign")),
        ("mqtt://host:", BrokerUrl("mqtt", "host", 1883)),
    ],
)
def test_a_url_says_where_the_broker_is_and_who_we_are(text: str, meant: BrokerUrl) -> None:
    assert decode_broker_url(text) == meant


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.integers(1, 65_535),
)
def test_every_user_and_password_goes_through_percent_encoded(user: str, password: str, port: int) -> None:
    url = decode_broker_url(f"mqtt://{quote(user, safe='')}:{quote(password, safe='')}@h.example:{port}")
    assert url == BrokerUrl("mqtt", "h.example", port, user, password)
    assert decode_broker_url(str(url)) == BrokerUrl("mqtt", "h.example", port, user)


@pytest.mark.parametrize(
    "text",
    [
        f"guest:{SECRET}@host",
        f"http://guest:{SECRET}@host",
        f"mqtt://guest:{SECRET}@host:0",
        f"mqtt://guest:{SECRET}@host:65536",
        f"mqtt://guest:{SECRET}@host:{SECRET}",
        f"mqtt://guest:{SECRET}@",
        f"mqtt://guest:{SECRET}#x@host",
        f"mqtt://guest:{SECRET}/x@host",
        f"mqtt://guest:{SECRET}?x@host",
        f"mqtt://guest:{SECRET}%zz@host",
        f"mqtt://guest:{SECRET}%00@host",
        f"mqtt://guest:{SECRET}%ff@host",
        f"mqtt://:{SECRET}@host",
        f"mqtt://guest:{SECRET}@host/vhost",
        f"mqtt://guest:{SECRET}@ho st",
        f"mqtt://guest:{SECRET}@[::1",
        f"mqtt://guest:{SECRET}@ho\x07st",
    ],
)
def test_what_is_no_brokers_url_is_told_in_a_sentence_without_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        decode_broker_url(text)
    error: BaseException | None = raised.value
    assert raised.value.hint
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_neither_the_url_nor_its_settings_show_the_password() -> None:
    url = decode_broker_url(f"mqtts://owner:{SECRET}@awzz:8884")
    shown = f"{url} {url!r} {url.make_settings('me')!r}"
    assert SECRET not in shown
    assert str(url) == "mqtts://owner@awzz:8884"


def test_settings_have_tls_for_mqtts_alone() -> None:
    mine = TlsSettings(ca_file="ca.pem")
    assert decode_broker_url("mqtts://h").make_settings("me").tls == TlsSettings()
    assert decode_broker_url("mqtts://h").make_settings("me", tls=mine).tls == mine
    assert decode_broker_url("mqtt://h").make_settings("me", tls=mine).tls is None


def test_the_password_is_in_the_usual_credentials_file(home: Path) -> None:
    write_credentials(
        home / ".config/samesky/credentials.conf",
        "# Sarracenia's file has these too",
        "",
        "amqps://anonymous:anonymous@hpfx.example",
        "mqtt://owner:wrong-host@elsewhere",
        "mqtts://owner:wrong-scheme@this_host:1883",
        "mqtt://guest:wrong-user@this_host",
        f"mqtt://owner:{SECRET}@This_Host:1883  ssl_something=x",
    )
    assert read_broker_url("mqtt://owner@this_host", environment={}).password == SECRET


def test_a_password_in_the_url_comes_first_then_the_file_then_the_environment(home: Path) -> None:
    file = write_credentials(home / "own.conf", f"mqtt://owner:{SECRET}@awzz")
    variable = {"SAMESKY_BROKER_PASSWORD": "from-environment"}
    assert read_broker_url("mqtt://owner:said@awzz", credentials=file, environment=variable).password == "said"
    assert read_broker_url("mqtt://owner@awzz", credentials=file, environment=variable).password == SECRET
    assert read_broker_url("mqtt://guest@awzz", credentials=file, environment=variable).password == "from-environment"
    assert read_broker_url("mqtt://awzz", credentials=file, environment=variable).password is None


def test_without_a_password_anywhere_none_is_used_unless_a_file_was_asked_for(home: Path) -> None:
    assert read_broker_url("mqtt://owner@awzz", environment={}).password is None
    file = write_credentials(home / "own.conf", "mqtt://guest:x@awzz")
    with pytest.raises(ConfigError, match="has no password for mqtt://owner@awzz"):
        read_broker_url("mqtt://owner@awzz", credentials=file, environment={})


def test_a_credentials_file_that_cannot_be_read_is_an_error_with_its_name(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.conf can't be read"):
        read_broker_url("mqtt://owner@awzz", credentials=home / "absent.conf")
    (home / "bytes.conf").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.conf can't be read: it isn't UTF-8"):
        read_broker_url("mqtt://owner@awzz", credentials=home / "bytes.conf")


def test_a_bad_line_is_told_by_its_number_and_never_quoted(home: Path) -> None:
    file = write_credentials(home / "own.conf", "mqtt://guest:x@awzz", f"mqtt://owner:{SECRET}#1@awzz")
    with pytest.raises(ConfigError, match=r"own\.conf, line 2: ") as raised:
        read_broker_url("mqtt://owner@awzz", credentials=file)
    assert SECRET not in f"{raised.value!r} {raised.value.hint}"


def test_a_file_that_everybody_can_read_is_warned_of(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_credentials(home / "own.conf", f"mqtt://owner:{SECRET}@awzz", mode=0o644)
    with caplog.at_level(logging.WARNING):
        read_broker_url("mqtt://owner@awzz", credentials=file)
        assert "credentials_public" in caplog.text
        assert SECRET not in caplog.text
        caplog.clear()
        os.chmod(file, 0o640)
        read_broker_url("mqtt://owner@awzz", credentials=file)
    assert not caplog.text
