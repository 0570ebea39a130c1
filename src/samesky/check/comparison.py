"""What a copy makes of its primary's description: what differs, and what that means here."""

from ..config import Findings
from ..errors import SameskyError
from ..station.agreement import CopySettings
from ..station.days import days_agree, read_day_offsets
from ..station.description import Description
from ..station.location import SqliteLocation
from .databases import Facts, describe_units, read_facts, read_free_bytes
from .roles import RequesterRole

RECORD_BYTES = 700
"""One record of wview_extended with its share of the daily summaries, in SQLite."""
_MOST_NAMES = 6


def compare(role: RequesterRole, copy: CopySettings, description: Description, findings: Findings) -> None:
    """Note differences between a primary and ``copy`` that change what is stored, or how."""
    where = f"{role.where}, {copy.stream}"
    findings.tell(
        where,
        f"the primary has {description.count} records of {len(description.columns)} columns, units "
        f"{describe_units(description.unit_system)}",
    )
    facts = _read_facts(copy)
    _compare_units(where, role, copy, description, facts, findings)
    _compare_days(where, copy, description, findings)
    _compare_interval(where, role, copy, description, findings)
    if facts is not None:
        _compare_columns(where, copy, description, facts, findings)
    _compare_room(where, copy, description, facts, findings)


def _read_facts(copy: CopySettings) -> Facts | None:
    try:
        if isinstance(copy.location, SqliteLocation) and not copy.location.path.exists():
            return None
        return read_facts(copy.location)
    except SameskyError:
        return None  # said already


def _compare_units(
    where: str, role: RequesterRole, copy: CopySettings, theirs: Description, facts: Facts | None, findings: Findings
) -> None:
    units = (facts.unit_system if facts else None) or copy.unit_system
    if units is None or theirs.unit_system is None or units == theirs.unit_system:
        return
    here, there = describe_units(units), describe_units(theirs.unit_system)
    if role.in_weewx:
        findings.warn(
            where,
            f"the primary is in {there}, this copy in {here}: records are converted and daily summaries rebuilt, so "
            f"they aren't the same to the bit; for an exact copy write [StdConvert] target_unit = {there} and begin "
            "with an empty database",
        )
    else:
        findings.error(
            where,
            f"the primary is in {there}, this copy in {here}, and only WeeWX converts: follow into an empty database",
        )


def _compare_days(where: str, copy: CopySettings, theirs: Description, findings: Findings) -> None:
    if not copy.own_days or theirs.first is None or theirs.last is None:
        return
    if not days_agree(read_day_offsets(theirs.first, theirs.last), theirs.day_offsets):
        findings.warn(
            where,
            "this machine's time zone isn't the primary's: days begin at other times, so daily summaries are rebuilt "
            "from records, without the highs and lows between them; set TZ or /etc/localtime to the primary's zone",
        )


def _compare_interval(
    where: str, role: RequesterRole, copy: CopySettings, theirs: Description, findings: Findings
) -> None:
    assert role.config is not None
    here, there = role.config.archive_interval_s, theirs.interval_s
    if role.in_weewx and copy.main and there and here != there:
        findings.warn(
            where,
            f"the primary archives every {there} s, archive_interval here is {here}: write archive_interval = {there}",
        )


def _compare_columns(where: str, copy: CopySettings, theirs: Description, facts: Facts, findings: Findings) -> None:
    present = {column.name for column in facts.columns}
    missing = [name for name in theirs.column_names if name not in present]
    if not missing:
        findings.tell(where, "this copy has all of the primary's columns")
        return
    more = f" and {len(missing) - _MOST_NAMES} more" if missing[_MOST_NAMES:] else ""
    names = ", ".join(missing[:_MOST_NAMES]) + more
    match copy.missing_columns:
        case "add":
            findings.tell(where, f"the copy lacks {names}: they are added (missing_columns = add)")
        case "ignore":
            findings.warn(where, f"the copy lacks {names}, and leaves them out: missing_columns = add takes them")
        case "stop":
            findings.error(
                where,
                f"the copy lacks {names}, and missing_columns = stop: add them with weectl database add-column, or "
                "write missing_columns = add",
            )


def _compare_room(where: str, copy: CopySettings, theirs: Description, facts: Facts | None, findings: Findings) -> None:
    """Only for a copy that is empty: how much a partly filled one still needs isn't known without counting."""
    if not isinstance(copy.location, SqliteLocation) or (facts is not None and facts.position):
        return
    needed, free = theirs.count * RECORD_BYTES, read_free_bytes(copy.location.path)
    if needed > free:
        findings.warn(
            where, f"the primary's records take about {needed >> 20} MiB, {free >> 20} MiB are free: make room"
        )
