"""What a primary's description means for a copy: which columns, which units, where the daily summaries come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.columns import Column, Kind
from ..errors import ConfigError
from .archive import Archive
from .archive_sqlite import SqliteArchive
from .days import days_agree, read_day_offsets
from .description import Description
from .location import Location
from .page_file import CONTENT_TYPE as FILE_TYPE
from .page_file import is_supported
from .requests import COLUMNS_TYPE
from .schema import UNIT_SYSTEMS

Policy = Literal["add", "ignore", "stop"]
SummarySource = Literal["copied", "rebuilt", "none"]
USUAL_INTERVAL_S = 300


@dataclass(frozen=True, slots=True)
class CopySettings:
    """One binding of the copy."""

    stream: str
    location: Location
    main: bool = True
    create: bool = False
    missing_columns: Policy = "ignore"
    unit_system: int | None = None
    """For an empty table: the unit system WeeWX will archive in here; None takes the primary's."""
    own_days: bool = False
    """Whether summaries must follow this machine's midnights (a WeeWX reads them) rather than the primary's."""
    newest: int = 288
    """Through an engine go the records of the last so many archive intervals; older ones are written directly."""
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a primary's records become the copy's."""

    names: tuple[str, ...]
    """Columns that are stored."""
    page_columns: tuple[Column, ...] = ()
    """Columns that the primary's pages have."""
    units: int | None = None
    """The copy's unit system; None while it has none."""
    source_units: int | None = None
    """The primary's unit system; None when it hasn't said."""
    summaries: SummarySource = "none"
    observations: tuple[str, ...] = ()
    """The daily summaries that both sides have, in the same form."""
    interval_s: int = USUAL_INTERVAL_S
    accepts: tuple[str, ...] = (COLUMNS_TYPE,)
    notes: tuple[str, ...] = ()
    """Log lines about what a person may want to know of it."""

    @property
    def converts(self) -> bool:
        """Whether the primary's records have to be converted."""
        return self.units != self.source_units


def agree(description: Description, archive: Archive, settings: CopySettings, *, weewx: bool) -> Agreement:
    """Make the copy's tables fit for ``description``, as far as its policy allows, and say what follows.

    ``weewx``: whether WeeWX's code is there to convert and rebuild. Raises `ConfigError` when only a person can go on.
    """
    _ensure_tables(description, archive, settings)
    missing = _missing_columns(description, archive, settings)
    units = archive.read_unit_system() or settings.unit_system or description.unit_system
    _check_units(units, description, settings, weewx=weewx)
    same_days = not settings.own_days or _days_agree(description)
    files = isinstance(archive, SqliteArchive) and is_supported() and units == description.unit_system
    return Agreement(
        names=tuple(column.name for column in description.columns if column not in missing),
        page_columns=description.columns,
        units=units,
        source_units=description.unit_system,
        summaries=_source_of_summaries(description, archive, units, same_days=same_days, weewx=weewx),
        observations=_common_observations(description, archive),
        interval_s=description.interval_s or USUAL_INTERVAL_S,
        accepts=(FILE_TYPE, COLUMNS_TYPE) if files else (COLUMNS_TYPE,),
        notes=tuple(_notes(description, settings.stream, missing, units, same_days=same_days)),
    )


def agree_version_1(archive: Archive, settings: CopySettings, *, weewx: bool) -> Agreement:
    """What follows from the copy's own table alone: a version 1 primary describes nothing."""
    columns = archive.read_columns()
    if not columns:
        raise ConfigError(
            f"{settings.stream}: a version 1 primary doesn't describe its tables, and the copy has none",
            hint="Create the copy's database first: weectl database create.",
        )
    return Agreement(
        names=tuple(column.name for column in columns),
        units=archive.read_unit_system() or settings.unit_system,
        summaries="rebuilt" if weewx and archive.read_summary_kinds() else "none",
    )


def _ensure_tables(description: Description, archive: Archive, settings: CopySettings) -> None:
    if archive.read_columns():
        return
    if not settings.create:
        raise ConfigError(
            f"{settings.stream}: the database {settings.location} has no table {archive.table!r}",
            hint="Create it with weectl database create, or set initialize = true for this binding.",
        )
    if not description.columns:
        raise ConfigError(f"{settings.stream}: the primary has no table yet")
    archive.ensure_tables(description)


def _missing_columns(description: Description, archive: Archive, settings: CopySettings) -> list[Column]:
    """Columns of the primary's that aren't stored here, after the policy has been followed."""
    present = {column.name: column.kind for column in archive.read_columns()}
    missing = [column for column in description.columns if not _holds(present.get(column.name), column.kind)]
    addable = [column for column in missing if column.name not in present]
    if missing and settings.missing_columns == "stop":
        raise ConfigError(
            f"{settings.stream}: the copy's table lacks {_some(missing)}",
            hint="Add the columns with weectl database add-column, or set missing_columns = add (or ignore).",
        )
    if addable and settings.missing_columns == "add":
        archive.ensure_columns(addable, dict(description.summaries))
        missing = [column for column in missing if column not in addable]
    return missing


def _check_units(units: int | None, description: Description, settings: CopySettings, *, weewx: bool) -> None:
    if weewx or description.unit_system is None or units == description.unit_system:
        return
    raise ConfigError(
        f"{settings.stream}: the copy is in {_unit_name(units)}, the primary in {_unit_name(description.unit_system)}, "
        "and only WeeWX converts",
        hint="Follow into an empty database, or run the copy inside WeeWX.",
    )


def _source_of_summaries(
    description: Description, archive: Archive, units: int | None, *, same_days: bool, weewx: bool
) -> SummarySource:
    if not archive.read_summary_kinds():
        return "none"
    if description.summaries and units == description.unit_system and same_days:
        return "copied"
    return "rebuilt" if weewx else "none"


def _common_observations(description: Description, archive: Archive) -> tuple[str, ...]:
    kinds = archive.read_summary_kinds()
    return tuple(sorted(obs for obs, kind in description.summaries if kinds.get(obs) == kind))


def _notes(
    description: Description, stream: str, missing: Sequence[Column], units: int | None, *, same_days: bool
) -> Iterator[str]:
    if missing:
        yield f"columns_ignored stream={stream} columns={_some(missing)!r} hint='missing_columns = add takes them'"
    if description.unit_system is not None and units != description.unit_system:
        yield f"units_converted stream={stream} primary={_unit_name(description.unit_system)} copy={_unit_name(units)}"
    if not same_days:
        yield f"days_differ stream={stream} hint='time zones differ: daily summaries are rebuilt here'"


def _days_agree(description: Description) -> bool:
    if description.first is None or description.last is None:
        return True
    return days_agree(read_day_offsets(description.first, description.last), description.day_offsets)


def _holds(here: Kind | None, there: Kind) -> bool:
    """Whether a column of kind ``here`` can hold what one of kind ``there`` holds."""
    return here is not None and (here is Kind.TEXT) == (there is Kind.TEXT)


def _unit_name(units: int | None) -> str:
    return UNIT_SYSTEMS.get(units or 0, str(units))


def _some(columns: Sequence[Column]) -> str:
    names = [column.name for column in columns]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
