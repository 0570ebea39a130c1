"""What REST changes at the centre, for clients that don't speak ``/sync/v1``: the seed's own pusher, scripts, people.

One row has one key, and dimension rows one natural key, as when they are pushed: what is there already, equal in every
value, is no error; what is there otherwise is a conflict. A row that a site pushes can't be removed here, and when it
is changed here the site's next push looks at it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, insert, select, update

from ..core.strict import Reason
from ..link.problems import Problem
from .central_database import CentralDatabase, MissingParents
from .central_tables import SITE_COLUMN
from .central_values import row_to_sql, to_sql
from .keys import Caller, Scope
from .model import TableModel
from .page import MOST_FAULTS
from .rest_objects import Given, Values, encode_key
from .rest_reading import RestReading
from .values import PageFault

_AT_ONCE = 200  # values in one statement


@dataclass(frozen=True, slots=True)
class Written:
    """What became of an object: it is new (``created``), or was there already."""

    created: bool
    table: TableModel
    values: Values
    site: int | None


class RestWriting:
    """Writes for ``caller``, within one transaction that is done again if another one is in the way."""

    def __init__(self, central: CentralDatabase, reading: RestReading, connection: Connection, caller: Caller) -> None:
        self._central = central
        self._tables = central.tables
        self._reading = reading
        self._connection = connection
        self._caller = caller

    def create(self, given: Given) -> Written:
        """Store one object; raises `Problem` 409 for what is there otherwise, `MissingParents`."""
        written, faults = self.create_all([given])
        if faults:
            raise describe_conflicts(faults)
        return written[0]

    def create_all(self, given: Sequence[Given]) -> tuple[list[Written], list[PageFault]]:
        """Store objects, parents before children; with faults nothing may be kept. Raises `MissingParents`."""
        placed = [self._place(each) for each in given]
        self.lock({each.site for each in placed if each.site is not None})
        written: list[Written] = []
        faults: list[PageFault] = []
        for table in self._central.model.tables:
            rows = [each for each in placed if each.table is table]
            if rows:
                self._check_parents(table, rows)
                store = self._append if table.append_only else self._create_dimensions
                written += store(table, rows, faults)
        return written, sorted(faults, key=lambda fault: fault.row)

    def change(self, given: Given, key: Mapping[str, object], site: int | None) -> None:
        """Give the row of ``key`` the values of ``given``; raises `Problem` 409, 422, `MissingParents`."""
        table = given.table
        if missing := [name for name in table.names if name not in given.named and name not in table.key]:
            raise Problem(422, "refused", f"all columns are needed, also {missing[0]}", members={"reason": "required"})
        changed = replace(given, values={**given.values, **key}, site=site)
        if any(given.values[name] not in (None, key[name]) for name in table.key):
            raise Problem(409, "conflict", "a row's key can't be changed: remove the row, and make another one")
        self.lock({site} if site is not None else set())
        self._check_parents(table, [changed])
        if not table.append_only:
            self._check_may_change(table, cast(int, key["id"]))
            self._check_natural_key(changed)
        statement = update(self._of(table)).where(*self._at(table, key, site))
        others = {name: value for name, value in changed.values.items() if name not in table.key}
        self._connection.execute(statement.values(row_to_sql(table, others)))
        if not table.append_only:
            self._let_look_again(table, cast(int, key["id"]), site)

    def remove(self, table: TableModel, key: Mapping[str, object], site: int | None) -> None:
        """Remove a row; raises `Problem` 409 when a site pushes it, or other rows refer to it."""
        self.lock({site} if site is not None else set())
        if not table.append_only:
            self._check_unused(table, cast(int, key["id"]), site)
        self._connection.execute(delete(self._of(table)).where(*self._at(table, key, site)))

    def _place(self, given: Given) -> Given:
        """``given`` with the site that it's of; `Problem` 403 for another one's, 422 for nobody's."""
        if not given.table.of_site:
            return given
        site = self._caller.site if given.site is None else given.site
        if site is None:
            words = f"{SITE_COLUMN} is missing: the key is no site's"
            raise Problem(422, "refused", words, members={"reason": "required"})
        if site != self._caller.site and Scope.ADMIN not in self._caller.scopes:
            raise Problem(403, "scope", "the key may write rows of its own site alone")
        return replace(given, site=site)

    def lock(self, sites: Iterable[int] = ()) -> None:
        """From here on nobody else gives ids, changes rows here, or stores rows of these ``sites``.

        In the order in which catalogues and pages lock. `Problem` 422 for a site that isn't there.
        """
        centre, site = self._tables.centre, self._tables.site
        self._connection.execute(select(centre.c.id).with_for_update())
        for number in sorted(sites):
            if self._connection.execute(select(site.c.id).where(site.c.id == number).with_for_update()).first() is None:
                raise Problem(422, "refused", "there is no such site", members={"reason": "not_found"})

    def _check_parents(self, table: TableModel, rows: Sequence[Given]) -> None:
        missing: dict[str, set[int]] = {}
        for column, name in table.references.items():
            parent = self._central.model.table(name)
            for site in {row.site for row in rows} if parent.of_site else {None}:
                wanted = {row.values[column] for row in rows if site in (None, row.site)} - {None}
                found = {row.id for row in self._find_rows(parent, [(each,) for each in wanted], site)}
                if absent := wanted - found:
                    missing.setdefault(name, set()).update(cast(set[int], absent))
        if missing:
            raise MissingParents({name: tuple(sorted(ids)) for name, ids in missing.items()})

    def _append(self, table: TableModel, rows: Sequence[Given], faults: list[PageFault]) -> list[Written]:
        """Store rows of an append-only table; those that are there, and the second of a key, must be equal."""
        known: dict[tuple[object, ...], Values] = {}
        for site in {row.site for row in rows}:
            keys = [tuple(row.values[name] for name in table.key) for row in rows if row.site == site]
            for found in self._find_rows(table, keys, site):
                values = self._values(table, found)
                known[(site, *(values[name] for name in table.key))] = values
        new: list[Given] = []
        written = []
        for row in rows:
            key = (row.site, *(row.values[name] for name in table.key))
            if (before := known.get(key)) is None:
                known[key] = row.values
                new.append(row)
            elif before != row.values:
                faults.append(_conflict(row, "there is a row of this key with other values; PUT changes it"))
            written.append(Written(before is None, table, row.values, row.site))
        self._insert(table, new)
        return written

    def _create_dimensions(self, table: TableModel, rows: Sequence[Given], faults: list[PageFault]) -> list[Written]:
        written = []
        for row in rows:
            if table.keeps_id and row.values["id"] is None:
                faults.append(PageFault(row.place, "id", Reason.REQUIRED, "the site's own id is needed"))
                continue
            same = self._find_same(row)
            if same is None:
                values = row.values if row.values["id"] is not None else {**row.values, "id": self._next_id(row)}
                self._insert(table, [replace(row, values=values)])
                written.append(Written(True, table, values, row.site))
            elif any(
                same[name] != row.values[name] for name in row.named if row.values["id"] is not None or name != "id"
            ):
                faults.append(_conflict(row, f"row {same['id']} has this key, or this natural key, and other values"))
            else:
                written.append(Written(False, table, same, row.site))
        return written

    def _find_same(self, row: Given) -> Values | None:
        """The row that has the id that is asked for, or else the same natural key."""
        if row.values["id"] is not None:
            found = self._find_rows(row.table, [(row.values["id"],)], row.site)
            if found:
                return self._values(row.table, found[0])
        natural = self._find_natural(row)
        return self._values(row.table, natural[0]) if natural else None

    def _find_natural(self, row: Given) -> Sequence[Any]:
        table, columns = row.table, self._of(row.table).c
        if not table.natural_key or table.natural_key == table.key:
            return []
        where = [
            columns[name].is_(None)
            if row.values[name] is None
            else columns[name] == to_sql(table.column(name), row.values[name])
            for name in table.natural_key
        ]
        return self._connection.execute(
            self._reading.select(table).where(*where, *self._of_site(table, row.site))
        ).all()

    def _check_natural_key(self, row: Given) -> None:
        if any(found.id != row.values["id"] for found in self._find_natural(row)):
            raise Problem(409, "conflict", f"another row has the same {' and '.join(row.table.natural_key)}")

    def _check_may_change(self, table: TableModel, number: int) -> None:
        if Scope.ADMIN in self._caller.scopes or table.of_site:
            return
        if self._pushing_sites(table, number, None) - {self._caller.site}:
            raise Problem(409, "shared", "other sites have this row, too; a key with the scope admin may change it")

    def _check_unused(self, table: TableModel, number: int, site: int | None) -> None:
        if self._pushing_sites(table, number, site):
            raise Problem(409, "pushed", "a site pushes this row: it would come again")
        for child in self._central.model.tables:
            for column, name in child.references.items():
                where = [self._of(child).c[column] == number]
                where += self._of_site(child, site) if table.of_site else []
                if name == table.name and self._connection.execute(select(exists().where(*where))).scalar_one():
                    raise Problem(409, "referred-to", f"rows of {child.name} refer to this row")

    def _pushing_sites(self, table: TableModel, number: int, site: int | None) -> set[int]:
        """The sites that push this row; of a table in which each site has its own rows, ``site`` or nobody."""
        ids = self._tables.id.c
        asked = select(ids.site).where(ids.table_name == table.name, ids.centre_row == number)
        pushing = set(self._connection.execute(asked).scalars())
        return pushing & {site} if table.of_site else pushing

    def _let_look_again(self, table: TableModel, number: int, site: int | None) -> None:
        """Forget the catalogues of sites that push this row, so that they send theirs again."""
        sites, columns = self._pushing_sites(table, number, site), self._tables.site.c
        self._connection.execute(update(self._tables.site).where(columns.id.in_(sites)).values(catalogue=None))

    def _next_id(self, row: Given) -> int:
        table = self._of(row.table)
        highest = select(func.coalesce(func.max(table.c.id), 0)).where(*self._of_site(row.table, row.site))
        return 1 + int(self._connection.execute(highest).scalar_one())

    def _insert(self, table: TableModel, rows: Sequence[Given]) -> None:
        if rows:
            site = [{SITE_COLUMN: row.site} if table.of_site else {} for row in rows]
            values = [{**own, **row_to_sql(table, row.values)} for own, row in zip(site, rows, strict=True)]
            self._connection.execute(insert(self._of(table)), values)

    def _find_rows(self, table: TableModel, keys: Sequence[tuple[object, ...]], site: int | None) -> list[Any]:
        """The rows of these keys; ``site`` for tables that have one.

        They are looked for by the first column of the key, since SQLite reads all rows when it's asked for whole keys.
        """
        first, wanted, found = table.key[0], set(keys), []
        places = [table.names.index(name) for name in table.key]
        values = list({key[0]: None for key in keys})
        for start in range(0, len(values), _AT_ONCE):
            some = [to_sql(table.column(first), value) for value in values[start : start + _AT_ONCE]]
            where = [self._of(table).c[first].in_(some), *self._of_site(table, site)]
            rows = self._connection.execute(self._reading.select(table).where(*where)).all()
            found += [row for row in rows if tuple(row[place] for place in places) in wanted]
        return found

    def _values(self, table: TableModel, row: Sequence[object]) -> Values:
        return dict(zip(table.names, row, strict=True))

    def _at(self, table: TableModel, key: Mapping[str, object], site: int | None) -> list[ColumnElement[bool]]:
        columns = self._of(table).c
        equal = [columns[name] == to_sql(table.column(name), value) for name, value in key.items()]
        return [*equal, *self._of_site(table, site)]

    def _of_site(self, table: TableModel, site: int | None) -> list[ColumnElement[bool]]:
        return [self._of(table).c[SITE_COLUMN] == site] if table.of_site else []

    def _of(self, table: TableModel) -> Table:
        return self._tables.of(table)


def locate(written: Written) -> str:
    """Return the path of a row below ``/rest/``."""
    return f"{written.table.name.lower()}/{encode_key(written.table, written.values)}"


def describe_conflicts(faults: Sequence[PageFault]) -> Problem:
    """Return the answer to objects that can't be stored beside what is there: none of the request was."""
    members = {"reason": faults[0].reason.value, "errors": [fault.as_dict() for fault in faults[:MOST_FAULTS]]}
    return Problem(409, "conflict", faults[0].words, members=members)


def _conflict(row: Given, words: str) -> PageFault:
    return PageFault(row.place, row.table.key[0], Reason.CONFLICT, words)
