"""What was found in one file, and the exit status of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Finding, Findings
from ..errors import ConfigError, Unreachable
from ..station.source import is_toml, read_source
from ..station.stanza import RequesterConfig, ResponderConfig
from .databases import check_databases
from .installation import check_installation
from .online_copy import check_copy_online
from .online_primary import check_primary_online
from .other_systems import (
    OtherSystems,
    check_other_systems,
    check_others_online,
    check_synchronise_conf,
    is_synchronise_conf,
)
from .raised import describe_raised
from .roles import RequesterRole, ResponderRole, Roles, check_roles
from .toml_file import check_toml
from .weewx_conf import check_weewx_conf

PATIENCE_S = 3.0
_WORDS = {"error": "error", "warning": "warning", "info": "ok"}
_ORDER = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one file. ``unreachable`` are those errors that only say that nobody answered."""

    file: Path
    findings: tuple[Finding, ...]
    unreachable: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return all(each.severity != "error" for each in self.findings)

    @property
    def exit_status(self) -> int:
        """0 without errors, 3 when somebody couldn't be reached and that is all, else 2."""
        errors = [each for each in self.findings if each.severity == "error"]
        if not errors:
            return 0
        return Unreachable.exit_status if set(errors) <= set(self.unreachable) else ConfigError.exit_status

    def lines(self) -> list[str]:
        """The findings as text, errors first, and a last line that sums them up."""
        ordered = sorted(self.findings, key=lambda each: _ORDER.index(each.severity))
        counts = {kind: sum(each.severity == kind for each in ordered) for kind in _ORDER}
        summary = f"{self.file}: {_count(counts['error'], 'error')}, {_count(counts['warning'], 'warning')}"
        return [*(f"{_WORDS[each.severity]:<7} {each}" for each in ordered), summary]

    def as_json(self) -> str:
        """``{file, findings: [{severity, where, what}], ok}``."""
        findings = [{"severity": each.severity, "where": each.where, "what": each.what} for each in self.findings]
        return json.dumps({"file": str(self.file), "findings": findings, "ok": self.ok}, ensure_ascii=False, indent=2)


def check_file(path: Path, *, online: bool = False, patience_s: float = PATIENCE_S) -> Report:
    """Check ``path``; nothing of the user's is changed. ``patience_s``: how long to wait for each answer online.

    Raises `SetupError` when a library for reading the file is missing.
    """
    findings = Findings()
    if is_synchronise_conf(path):
        roles, others = Roles(), check_synchronise_conf(path, findings)
    else:
        try:
            config = read_source(path, findings)
        except ConfigError as error:
            findings.error("file", describe_raised(error))
            return Report(path, tuple(findings.found))
        roles, others = _check_contents(path, config, findings)
    unreachable = _check_online(roles, others, findings, patience_s) if online else ()
    return Report(path, tuple(findings.found), tuple(unreachable))


def _check_contents(path: Path, config: dict[str, Any], findings: Findings) -> tuple[Roles, OtherSystems]:
    others = check_other_systems(path, config, findings) if is_toml(path) else OtherSystems()
    roles = check_toml(config, findings) if is_toml(path) else check_weewx_conf(config, findings)
    check_roles(roles, findings, path, config)
    if "station" in config or not is_toml(path):
        check_installation(roles, findings)
    check_databases(roles, findings)
    return roles, others


def _check_online(roles: Roles, others: OtherSystems, findings: Findings, patience_s: float) -> list[Finding]:
    """Returns what only says that nobody could be reached; it is among ``findings`` too."""
    unreachable = Findings()
    check_others_online(others, findings, unreachable)
    for role in (roles.responder, roles.requester):
        match role:
            case ResponderRole(config=ResponderConfig()):
                check_primary_online(role, findings, unreachable, patience_s)
            case RequesterRole(config=RequesterConfig()):
                check_copy_online(role, findings, unreachable, patience_s)
            case ResponderRole() | RequesterRole():
                findings.tell(role.where, "not tried online: mend the errors in it first")
    findings.include(unreachable)
    return unreachable.found


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
