"""What is special to weewx.conf: which role is on, its settings, and what acts on replicated records at a copy."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import Findings, Options
from ..station.databases import read_weewx_location
from ..station.schema import UNIT_SYSTEMS
from ..station.stanza import REQUESTER_OPTIONS, RESPONDER_OPTIONS, read_requester, read_responder, read_roles_in_use
from .engine import Engine
from .roles import RequesterRole, ResponderRole, Roles, check_lists

STANZA, ARCHIVE = "[MQTTReplicate]", "[StdArchive]"
RESPONDER, REQUESTER = f"{STANZA} [[Responder]]", f"{STANZA} [[Requester]]"


def check_weewx_conf(config: Mapping[str, Any], findings: Findings) -> Roles:
    """Note mistakes in weewx.conf; returns the roles that are on."""
    engine = Engine(config)
    values = config.get("MQTTReplicate")
    if not isinstance(values, Mapping):
        findings.error(STANZA, "the section is missing: docs/station.md has one to start from")
        return Roles()
    check_lists(values, "MQTTReplicate", findings)
    stanza = Options(values, STANZA, findings)
    responder, requester = stanza.section("Responder"), stanza.section("Requester")
    stanza.warn_unknown(RESPONDER_OPTIONS | REQUESTER_OPTIONS | {"driver"})
    _check_sections(stanza, findings)
    if responder is None and requester is None:
        findings.error(STANZA, "neither [[Responder]] (a primary) nor [[Requester]] (a copy) is there: add one")
    if responder is None and engine.loads_service:
        findings.error(STANZA, "the service is listed in [Engine], but the section [[Responder]] is missing: add it")
    if requester is None and engine.wants_driver:
        findings.error(STANZA, "the station is a copy by its driver, but the section [[Requester]] is missing: add it")
    target_unit = _read_target_unit(config, findings)
    serves, follows = (section is not None for section in read_roles_in_use(config, stanza))
    if responder is not None and not serves:
        findings.tell(RESPONDER, "enable = false: this station is no primary, and the section wasn't checked")
    if requester is not None and not follows:
        findings.tell(
            REQUESTER, f"station_type = {engine.station_type}: this station is no copy, and the section wasn't checked"
        )
    return Roles(
        _check_responder(config, engine, target_unit, findings) if serves else None,
        _check_requester(config, engine, target_unit, findings) if follows else None,
    )


def _check_sections(stanza: Options, findings: Findings) -> None:
    for name, _ in stanza.sections():
        near = difflib.get_close_matches(name, ("Responder", "Requester"), 1)
        meant = f"did you mean [[{near[0]}]]?" if near else "[[Responder]] and [[Requester]] are"
        findings.warn(STANZA, f"[[{name}]] is no section that is known here; {meant}")


def _check_responder(
    config: Mapping[str, Any], engine: Engine, target_unit: int | None, findings: Findings
) -> ResponderRole:
    own = Findings()
    section = Options(config["MQTTReplicate"], STANZA, own).section("Responder")
    assert section is not None
    settings = read_responder(section, lambda binding, _: read_weewx_location(config, binding, own))
    findings.include(own)
    engine.check_service(findings)
    _check_main(section, ("data_binding",), RESPONDER, config, findings)
    return ResponderRole(RESPONDER, settings, True, target_unit)


def _check_requester(
    config: Mapping[str, Any], engine: Engine, target_unit: int | None, findings: Findings
) -> RequesterRole:
    own = Findings()
    section = Options(config["MQTTReplicate"], STANZA, own).section("Requester")
    assert section is not None
    settings = read_requester(
        section,
        lambda binding, _: read_weewx_location(config, binding, own),
        own_days=True,
        unit_system=target_unit,
    )
    findings.include(own)
    engine.check_driver(findings)
    _check_main(section, ("primary_data_binding", "secondary_data_binding"), REQUESTER, config, findings)
    _check_generation(config, findings)
    if section.text("main", "engine").lower() == "engine":
        _check_alterations(config, engine, section.flag("exact", True), findings)
    return RequesterRole(REQUESTER, settings, True, target_unit, is_ours=engine.loads_driver)


def _check_main(
    section: Options, options: tuple[str, ...], where: str, config: Mapping[str, Any], findings: Findings
) -> None:
    """The binding of type main has to be the one that WeeWX archives into."""
    archive_binding = _option(config, "StdArchive", "data_binding", "wx_binding")
    for main in _main_bindings(section, options):
        if main != archive_binding:
            findings.error(
                where,
                f"the binding of type = main is {main}, but [StdArchive] archives into {archive_binding}: write type = "
                f"main for {archive_binding}, or data_binding = {main} in [StdArchive]",
            )


def _main_bindings(section: Options, options: tuple[str, ...]) -> Iterator[str]:
    """This side's names of the bindings of type main; a later option of ``options`` overrules an earlier one."""
    for _, instance in section.sections():
        for name, binding in instance.sections():
            if binding.text("type").lower() == "main":
                for option in options:
                    name = binding.text(option, name)
                yield name


def _check_generation(config: Mapping[str, Any], findings: Findings) -> None:
    if _option(config, "StdArchive", "record_generation", "hardware").lower() == "software":
        findings.error(
            ARCHIVE,
            "record_generation = software would make records of this copy's own: write record_generation = hardware",
        )
    else:
        findings.tell(ARCHIVE, "records come from the primary, not from software")


def _check_alterations(config: Mapping[str, Any], engine: Engine, exact: bool, findings: Findings) -> None:
    """What WeeWX's services at a copy do, once more, to records that the primary's have been through."""
    result = (
        "exact = true mends the stored row, but uploads and whatever else listens to new records see the altered values"
        if exact
        else "with exact = false the altered values are stored"
    )
    corrections = [name for name in _section(config, "StdCalibrate", "Corrections") if name != "foo"]
    if corrections and engine.loads("StdCalibrate"):
        names = ", ".join(corrections)
        findings.warn(
            "[StdCalibrate] [[Corrections]]",
            f"{names}: corrected at the primary already, and here again; {result}: remove the corrections",
        )
    limits = _section(config, "StdQC", "MinMax")
    if limits and engine.loads("StdQC"):
        say = findings.tell if exact else findings.warn
        say("[StdQC] [[MinMax]]", f"the limits act on the primary's records again; {result}")


def _read_target_unit(config: Mapping[str, Any], findings: Findings) -> int | None:
    """[StdConvert] target_unit as the number WeeWX stores, None when it isn't set."""
    name = _option(config, "StdConvert", "target_unit", "").upper()
    number = next((number for number, known in UNIT_SYSTEMS.items() if known == name), None)
    if name and number is None:
        findings.error("[StdConvert]", f"target_unit = {name} should be {', '.join(UNIT_SYSTEMS.values())}")
    return number


def _option(config: Mapping[str, Any], section: str, name: str, default: str) -> str:
    values = config.get(section, {})
    return str(values.get(name, default)).strip() if isinstance(values, Mapping) else default


def _section(config: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any]:
    values = config.get(section, {})
    inner = values.get(name, {}) if isinstance(values, Mapping) else {}
    return inner if isinstance(inner, Mapping) else {}
