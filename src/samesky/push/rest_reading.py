"""What REST reads of the centre: lists, single rows, and up to when a house was pushed; only what the caller may see.

A site's key sees the site's own rows; of those that sites share (houses, rooms) the ones that the site pushes and the
ones that nobody pushes; and of dictionaries (kinds of sensors) all. A key of the whole centre, and one that may do
everything, see all rows, with the site in each.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, exists, func, or_, select

from ..core.strict import Reason, Refused
from .access import is_dictionary
from .central_database import CentralDatabase
from .central_tables import SITE_COLUMN
from .central_values import from_sql, selectable, to_sql
from .keys import Caller, Scope
from .model import ColumnModel, Model, TableModel, ValueKind
from .rest_objects import encode_object
from .rest_query import COMPARISONS, Condition, Items, Order, RestQuery

SITE = ColumnModel(SITE_COLUMN, ValueKind.INTEGER)
CHUNK_ROWS = 1000


class Sight(NamedTuple):
    """Whose rows are seen: those of ``site``; with None all of them, and of which site each is."""

    site: int | None

    @classmethod
    def of(cls, caller: Caller | None) -> "Sight":
        """What ``caller`` may see; None is somebody without a key, who sees dictionaries alone."""
        if caller is None:
            return NOBODY
        return cls(None if Scope.ADMIN in caller.scopes else caller.site)

    def tells_site(self, table: TableModel) -> bool:
        """Whether objects of ``table`` say of which site they are."""
        return self.site is None and table.of_site


EVERYBODY = Sight(None)
NOBODY = Sight(0)
"""What somebody without a key sees; no site has the number 0."""


class RestReading:
    """Reads rows as objects; within the connections that it's given."""

    def __init__(self, central: CentralDatabase) -> None:
        self._central = central
        self._dialect = central.database.dialect

    def columns_of(self, table: TableModel, sight: Sight) -> tuple[ColumnModel, ...]:
        """The columns besides the model's by which rows can be chosen."""
        return (SITE,) if sight.tells_site(table) else ()

    def count(self, connection: Connection, table: TableModel, query: RestQuery, sight: Sight) -> int:
        """How many rows ``query`` finds."""
        asked = select(func.count()).select_from(self._of(table)).where(*self._where(table, query.conditions, sight))
        return int(connection.execute(asked).scalar_one())

    def read(
        self, connection: Connection, table: TableModel, query: RestQuery, sight: Sight, items: Items | None = None
    ) -> Iterator[list[dict[str, object]]]:
        """The objects that ``query`` finds, `CHUNK_ROWS` at a time, read as they are asked for."""
        asked = self.select(table, sight).where(*self._where(table, query.conditions, sight))
        asked = asked.order_by(*self._order(table, query.order, sight))
        if items is not None:
            asked = asked.offset(items.first)
            asked = asked if items.last is None else asked.limit(items.last - items.first + 1)
        streaming = connection.execution_options(stream_results=True, yield_per=CHUNK_ROWS)
        for rows in streaming.execute(asked).partitions(CHUNK_ROWS):
            yield [self._encode(table, row, sight) for row in rows]

    def find(
        self, connection: Connection, table: TableModel, key: Mapping[str, object], sight: Sight
    ) -> list[dict[str, object]]:
        """The objects of this key: one, none, or one of each site."""
        conditions = tuple(Condition(name, "eq", value) for name, value in key.items())
        asked = self.select(table, sight).where(*self._where(table, conditions, sight))
        return [self._encode(table, row, sight) for row in connection.execute(asked)]

    def read_last_time(self, connection: Connection, house: int, sight: Sight) -> int | None:
        """When the last reading at one of the house's locations was taken; None without any.

        Raises `Refused` (NOT_FOUND) for a model without houses, or a house that isn't seen.
        """
        found = find_house_path(self._central.model)
        if found is None:
            raise Refused(Reason.NOT_FOUND, "the model has no readings of houses")
        reading, place, location, lives, parent = found
        if not self.find(connection, parent, {"id": house}, sight):
            raise Refused(Reason.NOT_FOUND, "there is no such house")
        time_column, places = reading.column(reading.time_column), self._of(location)
        within = select(places.c.id).where(places.c[lives] == house)
        times = self._of(reading).c[time_column.name]
        # The newest first, and no more than that: a maximum would be looked for among all readings.
        asked = select(times).where(self._of(reading).c[place].in_(within), *self._seen(reading, sight))
        latest = connection.execute(asked.order_by(times.desc()).limit(1)).scalar()
        return None if latest is None else cast(int, from_sql(time_column, latest))

    def select(self, table: TableModel, sight: Sight = NOBODY) -> Select[Any]:
        """All rows of ``table``, their values as the model has them; before them the site, if ``sight`` tells it."""
        site = [self._of(table).c[SITE_COLUMN]] if sight.tells_site(table) else []
        return select(*site, *selectable(self._dialect, table, self._of(table)))

    def _encode(self, table: TableModel, row: Sequence[object], sight: Sight) -> dict[str, object]:
        if sight.tells_site(table):
            return encode_object(table, row[1:], site=row[0])
        return encode_object(table, row)

    def _where(self, table: TableModel, conditions: Sequence[Condition], sight: Sight) -> list[ColumnElement[bool]]:
        return [*(self._condition(table, each) for each in conditions), *self._seen(table, sight)]

    def _condition(self, table: TableModel, condition: Condition) -> ColumnElement[bool]:
        column = self._of(table).c[condition.column]
        if condition.value is None:
            return column.is_(None)
        described = SITE if condition.column == SITE_COLUMN else table.column(condition.column)
        value = to_sql(described, condition.value)
        found: ColumnElement[bool] = (
            column == value if condition.comparison == "eq" else COMPARISONS[condition.comparison](column, value)
        )
        return found

    def _seen(self, table: TableModel, sight: Sight) -> list[ColumnElement[bool]]:
        if sight.site is None or is_dictionary(table):
            return []
        if table.of_site:
            return [self._of(table).c[SITE_COLUMN] == sight.site]
        ids = self._central.tables.id
        mapped = and_(ids.c.table_name == table.name, ids.c.centre_row == self._of(table).c.id)
        return [or_(exists().where(mapped, ids.c.site == sight.site), ~exists().where(mapped))]

    def _order(self, table: TableModel, order: Sequence[Order], sight: Sight) -> list[ColumnElement[Any]]:
        """As asked for, then by key: so that every row has its place. NULL comes before every value."""
        sorted_by = [self._sorted(table, each) for each in order]
        rest = [*([SITE_COLUMN] if sight.tells_site(table) else []), *table.key]
        return sorted_by + [
            self._of(table).c[name].asc() for name in rest if name not in {each.column for each in order}
        ]

    def _sorted(self, table: TableModel, order: Order) -> ColumnElement[Any]:
        column = self._of(table).c[order.column]
        directed = column.desc() if order.descending else column.asc()
        if self._dialect != "postgresql":
            return directed
        return directed.nulls_last() if order.descending else directed.nulls_first()

    def _of(self, table: TableModel) -> Table:
        return self._central.tables.of(table)


def find_house_path(model: Model) -> tuple[TableModel, str, TableModel, str, TableModel] | None:
    """From readings to houses: the append-only table, its column with the location, that, its column, and House."""
    for table in model.append_only():
        for column, name in table.references.items():
            location = model.table(name)
            for lives, parent in location.references.items():
                if parent == "House":
                    return table, column, location, lives, model.table(parent)
    return None
