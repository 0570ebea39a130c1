"""What a pusher's configuration may say, and that every mistake in it is told at once, with no secret in the words."""

from pathlib import Path

import pytest

from samesky.errors import ConfigError
from samesky.push.push_settings import PushSettings, read_push_settings

GOOD = """
[push]
database = "mysql://logger@localhost/ch"
database_password = "hushhush"
lag_window_s = 7200
state_dir = "state"

[push.targets.centre]
url = "https://centre.example.org/building/"
key = "abc.secret"
page_rows = 1000

[push.targets.other]
url = "http://127.0.0.1:6543/rest/"
key_file = "KEY"
enabled = false
"""

SEED = """
[general]
localurl = mysql://test_user:test_user@127.0.0.1/ch
pushlimit = 2000
synctime = 300
lastupdate = None

[locations]
local = 1
Spare = 0

[local]
resturl = http://127.0.0.1:6543/rest/
lastupdate = 2013-01-01 00:00:00
key = abc.secret

[Spare]
resturl = https://spare.example.org/rest
"""


def read(tmp_path: Path, text: str, name: str = "samesky.toml") -> PushSettings:
    (tmp_path / name).write_text(text)
    return read_push_settings(tmp_path / name)[0]


def problems(tmp_path: Path, text: str, name: str = "samesky.toml") -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, name)
    assert "hushhush" not in str(caught.value.problems)
    return caught.value.problems


def warnings(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "samesky.toml").write_text(text)
    (tmp_path / "samesky.toml").chmod(0o600)
    return [str(each) for each in read_push_settings(tmp_path / "samesky.toml")[1].found]


def test_a_site_and_its_targets_are_read(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert settings.database == "mysql://logger@localhost/ch"
    assert settings.database_password == "hushhush"
    assert settings.lag_window_s == 7200
    assert settings.state_dir == tmp_path / "state"
    centre, other = settings.targets
    assert (centre.name, centre.url, centre.page_rows) == ("centre", "https://centre.example.org/building", 1000)
    assert (other.url, other.enabled, other.page_rows) == ("http://127.0.0.1:6543", False, 5000)
    assert settings.enabled == (centre,)
    assert settings.choose(None) == (centre,)
    assert settings.choose("other") == (other,)
    with pytest.raises(ConfigError, match="no target elsewhere; the configuration has centre, other"):
        settings.choose("elsewhere")


def test_no_secret_is_in_the_words_for_a_programmer(tmp_path: Path) -> None:
    shown = repr(read(tmp_path, GOOD))
    assert "hushhush" not in shown
    assert "abc.secret" not in shown


def test_the_configuration_of_the_original_is_read_as_it_is(tmp_path: Path) -> None:
    settings = read(tmp_path, SEED, "synchronise.conf")
    assert settings.database == "mysql://test_user:test_user@127.0.0.1/ch"
    assert settings.period_s == 300
    local, spare = settings.targets
    assert (local.name, local.url, local.enabled, local.page_rows) == ("local", "http://127.0.0.1:6543", True, 2000)
    assert (spare.name, spare.url, spare.enabled) == ("Spare", "https://spare.example.org", False)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    bad = """
    [push]
    lag_window_s = "long"
    [push.targets.one]
    url = "ftp://centre.example.org"
    key = "a.b"
    [push.targets.two]
    url = "https://me:hushhush@centre.example.org"
    page_rows = 0
    """
    words = "\n".join(problems(tmp_path, bad))
    assert "push: database is missing" in words
    assert "push: lag_window_s = 'long' should be a number" in words
    assert "push.targets.one: url should be http://" in words
    assert "push.targets.two: url should be http://" in words
    assert "push.targets.two: page_rows = '0'" in words
    assert "push.targets.two: key and key_file are missing" in words


@pytest.mark.parametrize(
    "url", ["centre.example.org", "https://", "https://a b", "https://x?y=1", "https://x#y", "https://x:99999", "//x"]
)
def test_what_is_no_address_of_a_server_is_refused(tmp_path: Path, url: str) -> None:
    text = f'[push]\ndatabase="sqlite:///a"\n[push.targets.one]\nkey="a.b"\nurl="{url}"\n'
    assert problems(tmp_path, text) == (
        "push.targets.one: url should be http:// or https://, a host, and perhaps a path: no password, no ? and no #",
    )


def test_a_location_without_its_section_is_a_mistake(tmp_path: Path) -> None:
    bad = "[general]\nlocalurl = sqlite:///x\n[locations]\nhome = 1\n"
    assert problems(tmp_path, bad, "synchronise.conf") == (
        "[locations]: home has no section [home] with its resturl",
        "[general]: there is no target: add a section [push.targets.NAME] with url and key",
    )


@pytest.mark.parametrize("text", ["[general\n", "key = hushhush\n", "[general]\nkey hushhush\n", "[a]\n[a]\n", "[a]"])
def test_what_is_no_configuration_is_told_without_its_lines(tmp_path: Path, text: str) -> None:
    assert len(problems(tmp_path, text, "synchronise.conf")) == 1


def test_a_file_without_a_push_section_says_so(tmp_path: Path) -> None:
    assert "the section [push] is missing" in problems(tmp_path, "[station]\n")[0]


def test_a_key_that_everybody_can_read_is_told(tmp_path: Path) -> None:
    key = tmp_path / "centre.key"
    key.write_text("abc.secret\n")
    key.chmod(0o644)
    text = f'[push]\ndatabase="sqlite:///a"\n[push.targets.one]\nkey_file="{key}"\nurl="https://centre.example.org"\n'
    assert warnings(tmp_path, text) == [f"push.targets.one: key_file = {key} can be read by everybody: chmod 600 {key}"]
    key.chmod(0o600)
    assert warnings(tmp_path, text) == []


def test_an_open_link_and_an_unknown_option_are_told(tmp_path: Path) -> None:
    text = '[push]\ndatabase="sqlite:///a"\nlagwindow_s=1\n[push.targets.one]\nkey="a.b"\nurl="http://centre.example.org"\n'
    assert warnings(tmp_path, text) == [
        "push: lagwindow_s is no option; did you mean lag_window_s?",
        "push.targets.one: url is http:// to another machine: the key can be read on the way",
    ]


def test_another_schema_is_described_in_the_same_file(tmp_path: Path) -> None:
    model = """
    [push.model]
    name = "river"
    [[push.model.table]]
    name = "Gauge"
    columns = { id = "integer", name = "text(80) required" }
    natural_key = ["name"]
    [[push.model.table]]
    name = "Level"
    append_only = true
    key = ["time", "gaugeId"]
    references = { gaugeId = "Gauge" }
    columns = { time = "time", gaugeId = "integer", level = "double" }
    """
    assert read(tmp_path, GOOD).model.name == "building"
    assert [table.name for table in read(tmp_path, GOOD + model).model.tables] == ["Gauge", "Level"]
    assert "push.model" in problems(tmp_path, GOOD + "[push.model]\nname = 7\n")[0]


def test_paths_are_taken_from_the_folder_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "centre.key").write_text("abc.secret\n")
    (tmp_path / "there" / "centre.key").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    text = '[push]\ndatabase="sqlite:///a.db"\n[push.targets.one]\nkey_file="centre.key"\nurl="https://c.example.org"\n'
    settings = read(tmp_path / "there", text)
    assert settings.database == f"sqlite:///{tmp_path / 'there' / 'a.db'}"
    assert settings.targets[0].key == "abc.secret"
    seed = SEED.replace("key = abc.secret", "key_file = centre.key").replace(
        "mysql://test_user:test_user@127.0.0.1/ch", "sqlite:////data/a.db"
    )
    settings = read(tmp_path / "there", seed, "synchronise.conf")
    assert (settings.database, settings.targets[0].key) == ("sqlite:////data/a.db", "abc.secret")


@pytest.mark.parametrize(
    ("database", "secret", "told"),
    [
        ("sqlite:///a.db", 'key = "abc.secret"', True),
        ("mysql://me:hushhush@host/x", 'key_file = "KEY"', True),
        ("mysql://me@host/x", 'key_file = "KEY"', False),
    ],
)
def test_a_configuration_with_a_secret_is_for_its_owner_alone(
    tmp_path: Path, database: str, secret: str, told: bool
) -> None:
    (tmp_path / "KEY").write_text("abc.secret")
    (tmp_path / "KEY").chmod(0o600)
    config = tmp_path / "samesky.toml"
    config.write_text(f"[push]\ndatabase = '{database}'\n[push.targets.one]\nurl = 'https://c.example.org'\n{secret}\n")
    config.chmod(0o644)
    words = [str(each) for each in read_push_settings(config)[1].found]
    assert words == (
        [f"file: it has a key or a password, and can be read by everybody: chmod 600 {config}"] if told else []
    )
