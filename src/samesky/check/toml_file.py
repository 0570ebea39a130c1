"""What is special to samesky.toml."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ..config import Findings
from ..station.stanza import read_toml_requester, read_toml_responder
from .other_systems import TABLES as OTHER_TABLES
from .roles import RequesterRole, ResponderRole, Roles

Config = TypeVar("Config")


def check_toml(tables: Mapping[str, Any], findings: Findings) -> Roles:
    """Note mistakes in the tables of stations; returns the roles that are on."""
    _check_names(tables, "", ("broker", "station", *OTHER_TABLES), findings)
    if "station" not in tables and any(name in tables for name in OTHER_TABLES):
        return Roles()
    station = tables.get("station", {})
    if not isinstance(station, Mapping) or not isinstance(tables.get("broker", {}), Mapping):
        findings.error("file", "[broker] and [station.serve] or [station.follow] have to be tables")
        return Roles()
    _check_names(station, "station", ("serve", "follow"), findings)
    for role in ("serve", "follow"):
        if role in station and not isinstance(station[role], Mapping):
            findings.error(f"station.{role}", f"write it as one table, [station.{role}], with a table for the instance")
    tables_of = [role for role in ("serve", "follow") if isinstance(station.get(role), Mapping)]
    if not tables_of:
        findings.error("station", "neither [station.serve] (a primary) nor [station.follow] (a copy) is there")
    return Roles(
        ResponderRole("station.serve", _read(read_toml_responder, tables, findings), False)
        if "serve" in tables_of
        else None,
        RequesterRole("station.follow", _read(read_toml_requester, tables, findings), False)
        if "follow" in tables_of
        else None,
    )


def _read(
    read: Callable[[Mapping[str, Any], Findings], Config | None], tables: Mapping[str, Any], findings: Findings
) -> Config | None:
    own = Findings()
    config = read(tables, own)
    findings.include(own)
    return config


def _check_names(values: Mapping[str, Any], where: str, known: Iterable[str], findings: Findings) -> None:
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"those known are {', '.join(known)}"
            findings.warn(where or "file", f"{name} is no table that is known here; {meant}")
