"""The tables of samesky.toml that aren't a station's: push, blocks, and the page. Each system reads its own."""

import configparser
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Findings

if TYPE_CHECKING:
    from ..blocks.blocks_settings import BlocksSettings
    from ..push.central_settings import CentralSettings
    from ..push.push_settings import PushSettings
    from ..web.web_settings import WebSettings

TABLES = ("push", "blocks", "web")
_SITE_OPTIONS = frozenset({"database", "targets"})
_SECRETS = frozenset({"token", "key", "password", "database_password"})
_WITH_PASSWORD = re.compile(r"[a-z0-9+]+://[^/@]*:[^/@]+@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OtherSystems:
    """What is configured, and without mistakes."""

    site: "PushSettings | None" = None
    centre: "CentralSettings | None" = None
    blocks: "BlocksSettings | None" = None
    web: "WebSettings | None" = None


def check_other_systems(path: Path, tables: Mapping[str, Any], findings: Findings) -> OtherSystems:
    """Note every mistake in these tables of the samesky.toml at ``path``."""
    named = {name: tables[name] for name in TABLES if name in tables}
    for name in [name for name, table in named.items() if not isinstance(table, Mapping)]:
        findings.error(name, f"it should be a table: [{name}]")
        del named[name]
    _check_secrecy(path, named, findings)
    site, centre = _check_push(path, tables, findings) if "push" in named else (None, None)
    blocks = web = None
    if "blocks" in named:
        from .blocks_table import check_blocks

        blocks = check_blocks(tables, findings)
    if "web" in named:
        from .web_table import check_web

        web = check_web(tables, findings)
    return OtherSystems(site, centre, blocks, web)


def is_synchronise_conf(path: Path) -> bool:
    """Whether ``path`` is the seed's form of [push], by what is in it."""
    parser = configparser.ConfigParser(interpolation=None, default_section="", strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return False
    return parser.has_section("general") and parser.has_section("locations")


def check_synchronise_conf(path: Path, findings: Findings) -> OtherSystems:
    """Note every mistake of a synchronise.conf, which is another form of [push]."""
    from .push_tables import check_site

    return OtherSystems(site=check_site(path, findings))


def check_others_online(systems: OtherSystems, findings: Findings, unreachable: Findings) -> None:
    """Note what databases, centres, brokers and controllers don't do for us; what doesn't answer is ``unreachable``."""
    if systems.site is not None:
        from .push_tables import check_site_online

        check_site_online(systems.site, findings, unreachable)
    if systems.centre is not None:
        from .push_tables import check_central_online

        check_central_online(systems.centre, findings, unreachable)
    if systems.blocks is not None:
        from .blocks_table import check_blocks_online

        check_blocks_online(systems.blocks, findings, unreachable)
    if systems.web is not None:
        from .listening import check_listening

        check_listening("web", systems.web.listen, findings)


def _check_push(
    path: Path, tables: Mapping[str, Any], findings: Findings
) -> "tuple[PushSettings | None, CentralSettings | None]":
    from .push_tables import check_central, check_site

    push = tables["push"]
    site = centre = None
    if push.keys() & _SITE_OPTIONS or "central" not in push:
        site = check_site(path, findings)
    if "central" in push:
        centre = check_central(tables, findings)
    return site, centre[0] if centre else None


def _check_secrecy(path: Path, tables: Mapping[str, Any], findings: Findings) -> None:
    """Secrets in the file itself, when everybody can read it; [push] looks for those of a site by itself."""
    try:
        is_public = bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return
    if not is_public:
        return
    looked_at = {**tables, "push": {"central": tables.get("push", {}).get("central", {})}}
    for where, name in _find_secrets(looked_at, ""):
        findings.warn(
            where, f"{name} has a secret in {path}, which everybody can read: chmod 640 {path}, or name a file for it"
        )


def _find_secrets(values: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """(table, option) of each secret."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _find_secrets(value, f"{where}.{name}".lstrip("."))
        elif (name in _SECRETS and value) or any(_WITH_PASSWORD.match(str(each)) for each in _listed(value)):
            yield where, name


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]
