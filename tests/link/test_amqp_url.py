"""URLs of AMQP brokers: read with their virtual host, and with a password from a file; never shown with one."""

from pathlib import Path

import pytest

from samesky.errors import ConfigError
from samesky.link.amqp_url import read_amqp_url


@pytest.mark.parametrize(
    ("text", "shown", "vhost", "address"),
    [
        ("amqp://eventbus", "amqp://eventbus", "/", "eventbus:5672"),
        ("amqp://eventbus/", "amqp://eventbus", "/", "eventbus:5672"),
        ("amqp://eventbus/%2F", "amqp://eventbus", "/", "eventbus:5672"),
        ("amqps://bob:secret@eventbus/brewery", "amqps://bob@eventbus/brewery", "brewery", "eventbus:5671"),
        ("AMQP://bob:se%2Fcret@[::1]:5673/a%2Fb", "amqp://bob@[::1]:5673/a%2Fb", "a/b", "[::1]:5673"),
    ],
)
def test_a_url_names_broker_user_and_virtual_host(text: str, shown: str, vhost: str, address: str) -> None:
    url = read_amqp_url(text, environment={})
    assert (str(url), url.vhost, url.address) == (shown, vhost, address)


@pytest.mark.parametrize(
    "text",
    [
        "mqtt://eventbus",
        "eventbus:5672",
        "amqp://",
        "amqp://bob:hush@eventbus:99999",
        "amqp://bob:hu/sh@eventbus",
        "amqp://bob:hush@eventbus/a/b",
        "amqp://bob:hush@eventbus/a?heartbeat=1",
        "amqp://bob:hush@eventbus/%00",
        "amqp://bob:hush@eventbus/%FF",
        "amqp://bob:hush@eventbus/%zz",
        "amqp://bob:hush@eventbus/" + 256 * "v",
    ],
)
def test_what_is_no_url_of_an_amqp_broker_is_told_without_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as told:
        read_amqp_url(text, environment={})
    assert told.value.hint
    assert "hu" not in str(told.value) + told.value.hint


def test_the_password_is_found_in_the_credentials_file_whatever_the_virtual_host(tmp_path: Path) -> None:
    file = tmp_path / "credentials.conf"
    file.write_text("mqtt://bob:other@eventbus\namqp://bob:hush@eventbus/brewery\n")
    file.chmod(0o600)
    url = read_amqp_url("amqp://bob@eventbus/cellar", credentials=file)
    assert (url.broker.password, url.vhost) == ("hush", "cellar")
    assert "hush" not in repr(url)


def test_the_password_is_found_in_the_environment_under_a_name_of_its_own() -> None:
    environment = {"SAMESKY_AMQP_PASSWORD": "hush", "SAMESKY_BROKER_PASSWORD": "other"}
    assert read_amqp_url("amqp://bob@eventbus", environment=environment).broker.password == "hush"
