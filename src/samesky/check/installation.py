"""The libraries of the Python that runs the check."""

import importlib.metadata
import importlib.util
import platform
import re
import sqlite3
from collections.abc import Mapping

from ..config import Findings
from ..errors import SetupError
from ..station.archive_mysql import import_driver
from ..station.location import MysqlLocation
from ..station.page_file import is_supported
from .raised import describe_raised
from .roles import Roles

OLDEST_PAHO = (1, 6, 1)
_WHERE = "installation"
_HINT = "apt install python3-paho-mqtt, or pip install paho-mqtt into the Python that runs this"


def check_installation(roles: Roles, findings: Findings) -> None:
    """Note what is missing, too old, or there."""
    _check_paho(findings)
    _check_sqlite(findings)
    if any(isinstance(each.location, MysqlLocation) for each in roles.bindings):
        _check_mysql_driver(findings)


def check_packages(extra: str, packages: Mapping[str, str], findings: Findings) -> bool:
    """Whether all ``packages`` (module -> what pip calls it) are there; notes those that aren't."""
    missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        verb = "isn't" if len(missing) == 1 else "aren't"
        findings.error(_WHERE, f"{', '.join(missing)} {verb} installed: pip install 'samesky[{extra}]'")
    return not missing


def _check_paho(findings: Findings) -> None:
    version = read_version("paho-mqtt")
    if version is None:
        findings.error(_WHERE, f"the MQTT library paho isn't installed: {_HINT}")
    elif parse_version(version) < OLDEST_PAHO:
        findings.error(_WHERE, f"paho-mqtt {version} is too old, 1.6.1 is the oldest that will do: {_HINT}")
    else:
        findings.tell(_WHERE, f"Python {platform.python_version()}, paho-mqtt {version}")


def _check_sqlite(findings: Findings) -> None:
    if is_supported():
        findings.tell(_WHERE, f"SQLite {sqlite3.sqlite_version} makes and takes pages as files")
    else:
        findings.tell(
            _WHERE,
            f"SQLite {sqlite3.sqlite_version} with Python {platform.python_version()} can't make pages as files (that "
            "takes SQLite 3.37 and Python 3.11): pages travel as columns, a few times slower",
        )


def _check_mysql_driver(findings: Findings) -> None:
    try:
        driver = import_driver()
    except SetupError as error:
        findings.error(_WHERE, describe_raised(error))
    else:
        findings.tell(_WHERE, f"MySQL driver {driver.__name__}")


def read_version(package: str) -> str | None:
    """The installed version of ``package``, None when it isn't installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def parse_version(text: str) -> tuple[int, ...]:
    """``1.6.1.post2`` -> (1, 6, 1): the numbers that it begins with."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
