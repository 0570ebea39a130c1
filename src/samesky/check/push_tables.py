"""``[push]`` and ``[push.central]`` of samesky.toml: a site that pushes, and a centre that gathers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Findings
from ..errors import ConfigError, SameskyError
from ..push.central_settings import CentralSettings, read_central
from ..push.described import read_model
from ..push.model import Model
from ..push.push_settings import PushSettings, TargetSettings, read_push
from .installation import check_packages
from .listening import check_address, check_listening
from .raised import describe_raised, note_raised

_SITE_PACKAGES = {"sqlalchemy": "SQLAlchemy", "httpx2": "httpx2"}
_CENTRE_PACKAGES = {"sqlalchemy": "SQLAlchemy", "fastapi": "fastapi", "uvicorn": "uvicorn"}


def check_site(path: Path, findings: Findings) -> PushSettings | None:
    """Note mistakes in [push], or in a synchronise.conf; None when they keep it from pushing."""
    own = Findings()
    settings = None
    try:
        settings = read_push(path, own)
    except ConfigError as error:
        own.error("push", describe_raised(error))
    findings.include(own)
    if settings is None or own.errors:
        return None
    if not check_packages("push", _SITE_PACKAGES, findings):
        return None
    if not _is_database(settings.database, settings.database_password, "push", findings):
        return None
    names = ", ".join(f"{each.name} at {each.url}" for each in settings.enabled) or "nobody"
    findings.tell("push", f"a site: pushes to {names}")
    return settings


def check_central(tables: Mapping[str, Any], findings: Findings) -> tuple[CentralSettings, Model] | None:
    """Note mistakes in [push.central]; None when they keep it from serving."""
    own = Findings()
    settings = read_central(tables, own, given={})
    model = read_model(tables["push"].get("model"), own)
    check_address("push.central", settings.listen, own)
    findings.include(own)
    if own.errors or not check_packages("push", _CENTRE_PACKAGES, findings):
        return None
    if not _is_database(settings.database, settings.password, "push.central", findings):
        return None
    findings.tell("push.central", f"a centre: serves at {settings.listen}")
    return settings, model


def check_site_online(settings: PushSettings, findings: Findings, unreachable: Findings) -> None:
    """Note what is wrong with the site's tables, and which centres don't take its key. Nothing is changed anywhere."""
    from ..push.databases import Database
    from ..push.site_database import SiteDatabase

    try:
        with Database(settings.database, password=settings.database_password, read_only=True) as database:
            own = SiteDatabase(database, settings.model).check()
            findings.include(own)
            if not own.errors:
                findings.tell("push", f"{database.name} has the tables that are pushed")
    except SameskyError as error:
        note_raised("push", error, findings, unreachable)
    for target in settings.enabled:
        _check_centre(target, settings.model, findings, unreachable)


def check_central_online(settings: CentralSettings, findings: Findings, unreachable: Findings) -> None:
    """Note whether the centre's database can be opened, and whether its address is free."""
    from ..push.databases import Database

    try:
        with Database(settings.database, password=settings.password, read_only=True) as database, database.reading():
            findings.tell("push.central", f"{database.name} can be read")
    except SameskyError as error:
        if settings.database.startswith("sqlite:") and isinstance(error, ConfigError):
            findings.tell("push.central", f"the database isn't there yet ({error}); it is made at the start")
        else:
            note_raised("push.central", error, findings, unreachable)
    check_listening("push.central", settings.listen, findings)


def _check_centre(target: TargetSettings, model: Model, findings: Findings, unreachable: Findings) -> None:
    from ..push.centre_client import CentreClient

    where = f"push.targets.{target.name}"
    try:
        with CentreClient(target, model) as client:
            client.read_positions()
    except SameskyError as error:
        note_raised(where, error, findings, unreachable)
    else:
        findings.tell(where, f"the centre at {target.url} takes the key")


def _is_database(url: str, password: str, where: str, findings: Findings) -> bool:
    from ..push.database_address import read_address

    try:
        read_address(url, password=password)
    except ConfigError as error:
        findings.error(where, f"database: {describe_raised(error)}")
        return False
    return True
