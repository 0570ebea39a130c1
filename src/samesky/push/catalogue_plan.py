"""What the centre makes of a catalogue: its answer to the site, and lines for a person who asked for the plan."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from ..core.strict import Reason, Refused
from .mapping import Change, Create, Refusal, Row, TablePlan
from .model import Model, TableModel, ValueKind

MOST_TOLD = 100
"""How many rows of each table are told one by one; of the others the number."""
_MOST_TABLES = 256
_MOST_CHARACTERS = 1000
_COUNTS = ("created", "changed", "adopted", "same", "refused_count")


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """What becomes of one table: counts, and words for what isn't as it was."""

    table: str
    created: int = 0
    changed: int = 0
    adopted: int = 0
    same: int = 0
    refused_count: int = 0
    refused: tuple[Refusal, ...] = ()
    """The first `MOST_TOLD` of them."""
    notes: tuple[str, ...] = ()
    """What is new and what changes, row by row; the first `MOST_TOLD`."""

    def as_dict(self) -> dict[str, object]:
        """Return it as it stands in the answer."""
        return {
            "table": self.table,
            **{name: getattr(self, name) for name in _COUNTS},
            "refused": [[each.site_id, each.reason.value, each.words] for each in self.refused],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class CataloguePlan:
    """What the centre did with a catalogue, or would do (``dry_run``: nothing was done)."""

    tables: tuple[TableOutcome, ...] = ()
    dry_run: bool = False

    @classmethod
    def of(
        cls, model: Model, plans: Iterable[TablePlan], *, refused: Iterable[Refusal] = (), dry_run: bool = False
    ) -> "CataloguePlan":
        """Return the answer for ``plans`` and the rows ``refused`` before them (`Catalogue.refused`, PARENT …).

        When one table seems to be of another database, so are the others: nothing is to be done then (``dry_run``).
        """
        before: dict[str, list[Refusal]] = {}
        for refusal in refused:
            before.setdefault(refusal.table, []).append(refusal)
        by_table = {plan.table: plan for plan in plans}
        outcomes = [
            _tell(table, by_table.get(table.name, TablePlan(table.name)), before.get(table.name, []))
            for table in model.dimensions()
            if table.name in by_table or table.name in before
        ]
        made = cls(tuple(outcomes), dry_run)
        return replace(made, dry_run=True) if made.another_database else made

    @property
    def taken_wholly(self) -> bool:
        """Whether nothing was refused: only then may the centre keep the catalogue's digest."""
        return not any(outcome.refused_count for outcome in self.tables)

    @property
    def another_database(self) -> tuple[str, ...]:
        """The tables refused as those of another database; if there are any, no pages may follow."""
        return tuple(
            outcome.table
            for outcome in self.tables
            if any(refusal.reason is Reason.ORIGIN for refusal in outcome.refused)
        )

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """The rows that were refused, as far as they are told one by one."""
        return tuple(refusal for outcome in self.tables for refusal in outcome.refused)

    def describe(self, *, rows: bool = True) -> list[str]:
        """Return lines for a person: counts by table, and below them what is new and changed, and what is refused.

        Without ``rows`` only what is refused is told one by one.
        """
        lines = []
        for outcome in self.tables:
            lines.append(f"{outcome.table}: {_describe_counts(outcome, dry_run=self.dry_run)}")
            if rows:
                lines += [f"  {note}" for note in outcome.notes]
                untold = outcome.created + outcome.changed + outcome.adopted - len(outcome.notes)
                lines += [f"  … and {untold} more"] if untold else []
            lines += [
                f"  refused ({refusal.reason.value}): {outcome.table} {refusal.site_id}: {refusal.words}"
                for refusal in outcome.refused
            ]
            untold = outcome.refused_count - len(outcome.refused)
            lines += [f"  … and {untold} more are refused"] if untold else []
        return lines

    def as_dict(self) -> dict[str, object]:
        """Return it as the JSON of the answer."""
        return {"dry_run": self.dry_run, "tables": [outcome.as_dict() for outcome in self.tables]}

    @classmethod
    def from_dict(cls, answer: object) -> "CataloguePlan":
        """Return the plan in the centre's ``answer``, parsed JSON. Raises ``Refused`` for anything else."""
        fields = _take_object(answer, ("dry_run", "tables"))
        tables = _take_list(fields["tables"], _MOST_TABLES)
        if type(fields["dry_run"]) is not bool:
            raise Refused(Reason.TYPE, "dry_run must be true or false")
        return cls(tuple(map(_take_outcome, tables)), fields["dry_run"])


def _tell(table: TableModel, plan: TablePlan, before: Sequence[Refusal]) -> TableOutcome:
    refused = [*before, *plan.refused]
    adopts = [f"{table.name} {adopt.site_id} is the centre's {adopt.centre_id}" for adopt in plan.adopts[:MOST_TOLD]]
    notes = [
        *(_tell_new(table, create) for create in plan.creates[:MOST_TOLD]),
        *(_tell_change(table, change) for change in plan.changes[:MOST_TOLD]),
        *adopts,
    ]
    return TableOutcome(
        table.name,
        created=len(plan.creates),
        changed=len(plan.changes),
        adopted=len(plan.adopts),
        same=plan.same,
        refused_count=len(refused),
        refused=tuple(replace(each, words=each.words[:_MOST_CHARACTERS]) for each in refused[:MOST_TOLD]),
        notes=tuple(note[:_MOST_CHARACTERS] for note in notes[:MOST_TOLD]),
    )


def _tell_new(table: TableModel, create: Create) -> str:
    key = _tell_values(table, create.values, [name for name in table.natural_key if name != "id"])
    return f"{table.name} {create.site_id} is new" + (f": {key}" if key else "")


def _tell_change(table: TableModel, change: Change) -> str:
    told = [
        f"{name}: {_tell_value(table, name, change.before[name])} → {_tell_value(table, name, value)}"
        for name, value in change.after.items()
    ]
    return f"{table.name} {change.site_id} changes {', '.join(told)}"


def _tell_values(table: TableModel, row: Row, names: Iterable[str]) -> str:
    return ", ".join(f"{name}: {_tell_value(table, name, row[name])}" for name in names)


def _tell_value(table: TableModel, name: str, value: object) -> str:
    if value is None:
        return "NULL"
    if table.column(name).kind is ValueKind.TIME:
        return f"{datetime.fromtimestamp(cast(int, value), UTC):%Y-%m-%dT%H:%M:%S}"
    return repr(value)


def _describe_counts(outcome: TableOutcome, *, dry_run: bool) -> str:
    told = [
        f"{outcome.created} {'to create' if dry_run else 'created'}" if outcome.created else "",
        f"{outcome.changed} {'to change' if dry_run else 'changed'}" if outcome.changed else "",
        f"{outcome.adopted} found at the centre" if outcome.adopted else "",
        f"{outcome.same} the same" if outcome.same else "",
        f"{outcome.refused_count} refused" if outcome.refused_count else "",
    ]
    return ", ".join(filter(None, told)) or "nothing"


def _take_outcome(entry: object) -> TableOutcome:
    fields = _take_object(entry, ("table", *_COUNTS, "refused", "notes"))
    table = _take_text(fields["table"])
    created, changed, adopted, same, refused_count = (_take_count(fields[name]) for name in _COUNTS)
    refused = [_take_refusal(table, each) for each in _take_list(fields["refused"], MOST_TOLD)]
    notes = map(_take_text, _take_list(fields["notes"], MOST_TOLD))
    return TableOutcome(table, created, changed, adopted, same, refused_count, tuple(refused), tuple(notes))


def _take_refusal(table: str, entry: object) -> Refusal:
    parts = _take_list(entry, 3)
    if len(parts) != 3 or type(parts[0]) is not int or not isinstance(parts[1], str):
        raise Refused(Reason.SHAPE, "a refusal must be [id, reason, words]")
    if parts[1] not in _REASONS:
        raise Refused(Reason.VERSION, "a refusal has a reason that isn't known here")
    return Refusal(table, parts[0], _REASONS[parts[1]], _take_text(parts[2]))


def _take_object(entry: object, names: tuple[str, ...]) -> Mapping[str, object]:
    if not isinstance(entry, dict) or not entry.keys() >= set(names):  # a newer centre may say more
        raise Refused(Reason.SHAPE, f"a JSON object with {', '.join(names)} was expected")
    return entry


def _take_list(entry: object, most: int) -> list[object]:
    if not isinstance(entry, list) or len(entry) > most:
        raise Refused(Reason.SHAPE, f"a JSON list of at most {most} entries was expected")
    return entry


def _take_text(entry: object) -> str:
    if not isinstance(entry, str) or len(entry) > _MOST_CHARACTERS:
        raise Refused(Reason.TYPE, f"a text of at most {_MOST_CHARACTERS} characters was expected")
    return entry


def _take_count(entry: object) -> int:
    if type(entry) is not int or entry < 0:
        raise Refused(Reason.TYPE, "a number of rows was expected")
    return entry


_REASONS = {reason.value: reason for reason in Reason}
