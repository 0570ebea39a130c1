"""Sites of a centre: named once, renamed, never mixed up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.errors import ConfigError
from samesky.push.central_database import CentralDatabase
from samesky.push.keys import Scope
from stands.push_centre import open_centre


@pytest.fixture
def central(tmp_path: Path) -> Iterator[CentralDatabase]:
    with open_centre(f"sqlite:///{tmp_path / 'central.db'}") as opened:
        yield opened


def test_sites_have_numbers_of_their_own_and_are_listed_by_name(central: CentralDatabase) -> None:
    mill, hill = central.sites.add("mill"), central.sites.add("hill")
    assert central.sites.list() == [hill, mill]
    assert mill.id != hill.id
    assert central.sites.find("hill") == hill


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "é", "x" * 65, "a\n", "../a"])
def test_a_site_needs_a_plain_name(central: CentralDatabase, name: str) -> None:
    with pytest.raises(ConfigError, match="site's name"):
        central.sites.add(name)


def test_a_name_is_given_once(central: CentralDatabase) -> None:
    central.sites.add("hill")
    with pytest.raises(ConfigError, match="already"):
        central.sites.add("hill")


def test_a_renamed_site_keeps_its_number_and_its_keys(central: CentralDatabase) -> None:
    hill = central.sites.add("hill")
    central.sites.add("mill")
    key = central.keys.add(hill, scopes=[Scope.APPEND])
    assert central.sites.rename("hill", "upper").id == hill.id
    caller = central.keys.find(key.text)
    assert caller is not None
    assert (caller.site, caller.site_name) == (hill.id, "upper")
    with pytest.raises(ConfigError, match="no site hill"):
        central.sites.find("hill")
    with pytest.raises(ConfigError, match="already"):
        central.sites.rename("upper", "mill")
