"""The databases of all bindings, and the disk below them. They are read, and nothing is made or changed."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from ..config import Findings
from ..core.columns import Column
from ..errors import SameskyError
from ..station.archive import open_archive
from ..station.location import Location, SqliteLocation
from ..station.schema import KEY_COLUMNS, UNIT_SYSTEMS
from .raised import describe_raised
from .roles import BindingRole, Roles

LEAST_FREE_BYTES = 100 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What a database holds."""

    columns: tuple[Column, ...]
    unit_system: int | None
    position: int


def check_databases(roles: Roles, findings: Findings) -> None:
    """Note databases that can't be used, other units than WeeWX would write, and disks that are nearly full."""
    for binding in roles.bindings:
        _check_binding(binding, findings)
    folders = {_folder(each.location.path) for each in roles.bindings if isinstance(each.location, SqliteLocation)}
    for folder in sorted(folders):
        _check_disk(folder, findings)


def read_facts(location: Location) -> Facts | None:
    """What the database at ``location`` holds; None when it has no such table. Raises `SameskyError`."""
    with open_archive(location) as archive:
        columns = archive.read_columns()
        if not columns:
            return None
        if _missing_keys(columns):
            return Facts(columns, None, 0)
        return Facts(columns, archive.read_unit_system(), archive.read_position(time.time()))


def _check_binding(binding: BindingRole, findings: Findings) -> None:
    where = f"{binding.where}, binding {binding.name}"
    location = binding.location
    if isinstance(location, SqliteLocation) and not location.path.exists():
        _check_absent(binding, where, f"the database {location} isn't there", findings)
        return
    try:
        facts = read_facts(location)
    except SameskyError as error:
        findings.error(where, describe_raised(error))
        return
    if facts is None:
        _check_absent(binding, where, f"the database {location} has no table {location.table}", findings)
        return
    _check_facts(where, binding, facts, findings)
    if isinstance(location, SqliteLocation):
        _check_access(where, location.path, binding, findings)


def _check_absent(binding: BindingRole, where: str, what: str, findings: Findings) -> None:
    if binding.made:
        findings.tell(where, f"{what} yet; it is made at the first start")
    elif binding.writes:
        findings.error(where, f"{what}: create it with weectl database create, or write initialize = true")
    else:
        findings.error(where, f"{what}: correct its path or its name")


def _check_facts(where: str, binding: BindingRole, facts: Facts, findings: Findings) -> None:
    if missing := _missing_keys(facts.columns):
        table = f"table {binding.location.table} of {binding.location}"
        findings.error(where, f"{table} is no WeeWX archive, it lacks {', '.join(missing)}: correct the table's name")
        return
    units = describe_units(facts.unit_system)
    newest = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(facts.position)) if facts.position else "none"
    findings.tell(where, f"{binding.location}: {len(facts.columns)} columns, units {units}, newest record {newest}")
    if binding.target_unit and facts.unit_system and binding.target_unit != facts.unit_system:
        findings.error(
            where,
            f"the database is in {units}, but [StdConvert] target_unit = {describe_units(binding.target_unit)}, and "
            f"WeeWX stores no record of other units: write target_unit = {units}",
        )


def _missing_keys(columns: tuple[Column, ...]) -> list[str]:
    present = {column.name for column in columns}
    return [name for name in KEY_COLUMNS if name not in present]


def _check_access(where: str, path: Path, binding: BindingRole, findings: Findings) -> None:
    if binding.writes and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        findings.warn(
            where,
            f"{path} or its folder can't be written by this user: run the check as the user who will, or change owner",
        )


def _check_disk(folder: Path, findings: Findings) -> None:
    free = read_free_bytes(folder / "any")
    text = f"{folder}: {free >> 20} MiB free"
    if free < LEAST_FREE_BYTES:
        findings.warn("disk", f"{text}; a year of records takes about 70 MiB: make room")
    else:
        findings.tell("disk", text)


def _folder(path: Path) -> Path:
    """The nearest folder that is there."""
    return next((each for each in path.absolute().parents if each.is_dir()), Path("/"))


def read_free_bytes(path: Path) -> int:
    """Free bytes of the disk on which ``path`` is, or will be."""
    return shutil.disk_usage(_folder(path)).free


def describe_units(unit_system: int | None) -> str:
    """``US`` and so on; ``none yet`` for an empty table."""
    return "none yet" if unit_system is None else UNIT_SYSTEMS.get(unit_system, f"unknown ({unit_system})")
