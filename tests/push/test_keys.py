"""API keys: random, told once, hashed at rest, ended by time or by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.errors import ConfigError
from samesky.push.building import BUILDING
from samesky.push.central_database import CentralDatabase
from samesky.push.databases import Database
from samesky.push.keys import USE_NOTED_EVERY_S, Caller, Scope


class Clock:
    """A clock that is set by hand."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def central(tmp_path: Path, clock: Clock) -> Iterator[CentralDatabase]:
    with Database(f"sqlite:///{tmp_path / 'central.db'}") as database:
        central = CentralDatabase(database, BUILDING, clock=clock)
        central.ensure_schema()
        yield central


def test_a_key_says_whose_it_is_and_what_it_allows(central: CentralDatabase) -> None:
    site = central.sites.add("hill-farm")
    key = central.keys.add(site, scopes=[Scope.APPEND, Scope.READ])
    assert central.keys.find(key.text) == Caller(key.prefix, site.id, "hill-farm", frozenset({"append", "read"}))


def test_a_key_of_the_whole_centre_has_no_site(central: CentralDatabase) -> None:
    key = central.keys.add(None, scopes=[Scope.ADMIN])
    caller = central.keys.find(key.text)
    assert caller is not None
    assert caller.site is None


def test_the_secret_is_long_random_and_nowhere_in_the_database(central: CentralDatabase, tmp_path: Path) -> None:
    keys = [central.keys.add(None, scopes=[Scope.READ]) for _ in range(20)]
    secrets = {key.text.partition(".")[2] for key in keys}
    assert len(secrets) == 20
    assert all(len(secret) == 43 for secret in secrets)  # 256 bits in base64
    central.database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(secret.encode() in stored for secret in secrets)
    assert not any(key.text in repr(key) for key in keys)


@pytest.mark.parametrize("spoil", [lambda text: text[:-1], lambda text: text + "A", str.upper, lambda text: text[5:]])
def test_a_key_that_is_almost_right_is_none(central: CentralDatabase, spoil: object) -> None:
    key = central.keys.add(None, scopes=[Scope.READ])
    assert central.keys.find(spoil(key.text)) is None  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", ".", "a.", ".b", "\0.\0", "x" * 5000, "' OR 1=1 --.x", "é.é", "\ud800.\ud800"])
def test_what_is_no_key_is_none(central: CentralDatabase, text: str) -> None:
    assert central.keys.find(text) is None


def test_the_prefix_with_the_secret_of_another_key_is_none(central: CentralDatabase) -> None:
    one, other = (central.keys.add(None, scopes=[Scope.READ]) for _ in range(2))
    assert central.keys.find(f"{one.prefix}.{other.text.partition('.')[2]}") is None


def test_a_key_expires(central: CentralDatabase, clock: Clock) -> None:
    key = central.keys.add(None, scopes=[Scope.READ], lifetime_s=100)
    clock.now += 99
    assert central.keys.find(key.text) is not None
    clock.now += 1
    assert central.keys.find(key.text) is None
    assert not central.keys.list()[0].is_good(clock.now)


@pytest.mark.parametrize("whole", [True, False])
def test_a_revoked_key_opens_nothing_any_more(central: CentralDatabase, clock: Clock, whole: bool) -> None:
    key = central.keys.add(None, scopes=[Scope.READ])
    central.keys.revoke(key.text if whole else key.prefix)
    assert central.keys.find(key.text) is None
    clock.now += 10
    central.keys.revoke(key.prefix)
    assert central.keys.list()[0].revoked_s == 1_700_000_000  # the first time counts


def test_revoking_a_key_that_there_isnt_is_a_mistake(central: CentralDatabase) -> None:
    with pytest.raises(ConfigError, match="no key"):
        central.keys.revoke("000000000000")


def test_a_key_that_would_allow_nothing_is_a_mistake(central: CentralDatabase) -> None:
    with pytest.raises(ConfigError, match="needs a scope"):
        central.keys.add(None, scopes=[])
    with pytest.raises(ConfigError, match="needs a site"):
        central.keys.add(None, scopes=[Scope.APPEND])


def test_the_last_use_is_noted_but_not_at_every_request(central: CentralDatabase, clock: Clock) -> None:
    key = central.keys.add(None, scopes=[Scope.READ])
    assert central.keys.list()[0].used_s is None
    for ahead in (0, USE_NOTED_EVERY_S - 1):
        central.keys.find(key.text)
        assert central.keys.list()[0].used_s == 1_700_000_000
        clock.now += ahead
    clock.now += 1
    central.keys.find(key.text)
    assert central.keys.list()[0].used_s == 1_700_000_000 + USE_NOTED_EVERY_S


def test_the_list_of_keys_has_no_secrets(central: CentralDatabase) -> None:
    site = central.sites.add("hill-farm")
    key = central.keys.add(site, scopes=[Scope.APPEND], label="the pump house")
    (status,) = central.keys.list()
    assert (status.prefix, status.site, status.scopes, status.label) == (
        key.prefix,
        "hill-farm",
        (Scope.APPEND,),
        "the pump house",
    )
    assert key.text.partition(".")[2] not in str(status.as_dict())
