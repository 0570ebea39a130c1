"""The tables of a centre's database: those of the model, with the site in each row that is a site's own; and samesky's.

The model's tables keep the names and columns of the sites', so that what reads a site's database reads the centre's.
samesky's own begin with ``samesky_``, but for Pushstatus and Server, which the seed's schema has; their times are Unix
seconds, those of the seed's schema are its own DateTime.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

from .model import ColumnModel, Model, TableModel, ValueKind

SITE_COLUMN = "siteId"
_KEY_TEXT_SIZE = 255  # of a text that is part of a key, when the model doesn't bound it
_NAME_SIZE = 64


class ExactText(String):
    """A text that equals another only when every character does: MariaDB's usual order takes "A" and "a " for "a"."""

    cache_ok = True


@compiles(ExactText, "mysql", "mariadb")
def _compile_exact_text(kind: ExactText, compiler: object, **_: object) -> str:
    mariadb = getattr(getattr(compiler, "dialect", None), "is_mariadb", False)
    collation = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
    name = f"VARCHAR({kind.length})" if kind.length else "LONGTEXT"
    return f"{name} CHARACTER SET utf8mb4 COLLATE {collation}"


class CentralTables:
    """All tables of a centre that has ``model``: `of` gives those of the model, the attributes are the centre's own."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.metadata = MetaData()
        self._of_model = {table.name: _make_model_table(table, self.metadata) for table in model.tables}
        self.schema = self._make("samesky_schema", _integer("version"), _integer("applied_s"), key=("version",))
        self.centre = self._make("samesky_centre", _integer("id"), _name("centre"), key=("id",))
        self.site = self._make_site()
        self.api_key = self._make_api_key()
        self.id = self._make_id()
        self.position = self._make(
            "samesky_position",
            *(_integer("site"), _name("table_name"), Column("position", _text())),  # JSON: the whole key, in site's ids
            *(_integer("row_count"), _integer("stored_s")),  # rows that were new, and when the last page was stored
            key=("site", "table_name"),
        )
        self.digest = self._make_digest()
        self.pushstatus = self._make_pushstatus()
        self.server = self._make(
            "Server",
            *(
                _integer("id"),
                Column("hostname", _text(255)),
                Column("baseid", BigInteger),
                Column("rpc", SmallInteger),
            ),
            key=("id",),
        )

    def of(self, table: TableModel | str) -> Table:
        """The table of the model; KeyError when it has none of the name."""
        return self._of_model[table if isinstance(table, str) else table.name]

    @property
    def own(self) -> list[Table]:
        """The tables that aren't the model's."""
        return [table for table in self.metadata.sorted_tables if table.name not in self._of_model]

    def _make(self, name: str, *columns: Column[Any], key: tuple[str, ...]) -> Table:
        return Table(name, self.metadata, *columns, PrimaryKeyConstraint(*key), mysql_engine="InnoDB")

    def _make_site(self) -> Table:
        """One row a site; the transaction that holds it stores pages of the site, and nobody else does."""
        return self._make(
            "samesky_site",
            *(_integer("id"), Column("name", _text(_NAME_SIZE), nullable=False, unique=True), _integer("created_s")),
            _integer("run"),  # the newest; pages of older ones are refused
            _name("map_version"),  # changes with every change of the site's rows in samesky_id
            Column("catalogue", _text(_NAME_SIZE)),  # the digest of the one that is stored
            *(Column("heartbeat_s", BigInteger), Column("localtime_s", BigInteger), Column("hostname", _text(255))),
            *(Column("version", _text(_NAME_SIZE)), Column("backlog", BigInteger), Column("proofs", _text())),
            key=("id",),
        )

    def _make_api_key(self) -> Table:
        return self._make(
            "samesky_key",
            *(_name("prefix"), _name("digest"), Column("site", BigInteger), Column("scopes", _text(_NAME_SIZE))),
            *(Column("label", _text(255), nullable=False), _integer("created_s"), Column("expires_s", BigInteger)),
            *(Column("revoked_s", BigInteger), Column("used_s", BigInteger)),
            key=("prefix",),
        )

    def _make_id(self) -> Table:
        """A site's id of a dimension's row -> the centre's."""
        columns = (_integer("site"), _name("table_name"), _integer("site_row"), _integer("centre_row"))
        table = self._make("samesky_id", *columns, key=("site", "table_name", "site_row"))
        Index("samesky_id_centre", table.c.table_name, table.c.centre_row)
        # Two ids of a site that were one row of the centre would make two of its readings one.
        Index("samesky_id_one_row", table.c.site, table.c.table_name, table.c.centre_row, unique=True)
        return table

    def _make_digest(self) -> Table:
        """What a site's (day, node) groups were when their rows were last read; may be emptied at any time."""
        return self._make(
            "samesky_digest",
            *(_integer("site"), _name("table_name"), _integer("day"), _integer("second")),
            *(_integer("row_count"), _integer("checksum"), _integer("digest_high"), _integer("digest_low")),
            key=("site", "table_name", "day", "second"),
        )

    def _make_pushstatus(self) -> Table:
        """The heartbeats, as the seed has them."""
        made = Table(
            "Pushstatus",
            self.metadata,
            Column("id", _row_number(), primary_key=True, autoincrement=True),
            *(Column("time", _time()), Column("localtime", _time()), Column("hostname", _text(255))),
            *(Column("version", _text(_NAME_SIZE)), Column(SITE_COLUMN, BigInteger), Column("backlog", BigInteger)),
            mysql_engine="InnoDB",
        )
        Index("samesky_pushstatus_site", made.c[SITE_COLUMN], made.c.time)
        return made


def _make_model_table(table: TableModel, metadata: MetaData) -> Table:
    site = [_integer(SITE_COLUMN)] if table.of_site else []
    columns = [
        Column(
            column.name,
            _type_of(column, in_key=column.name in table.key),
            nullable=not (column.required or column.name in table.key),
            autoincrement=False,  # ids are given under the centre's lock, alike in three databases
        )
        for column in table.columns
    ]
    key = PrimaryKeyConstraint(*([SITE_COLUMN] if table.of_site else []), *table.key)
    # In SQLite a table of readings is the index of its key, as it is in InnoDB: read in the order in which it lies.
    return Table(
        table.name, metadata, *site, *columns, key, mysql_engine="InnoDB", sqlite_with_rowid=not table.append_only
    )


def _type_of(column: ColumnModel, *, in_key: bool) -> TypeEngine[Any]:
    match column.kind:
        case ValueKind.INTEGER:
            return BigInteger()
        case ValueKind.DOUBLE:
            return Double()
        case ValueKind.TEXT:
            return _text(column.size or (_KEY_TEXT_SIZE if in_key else 0))
        case ValueKind.TIME:
            return _time()
        case ValueKind.FLAG:
            return SmallInteger()


def _time() -> TypeEngine[Any]:
    """Whole seconds, UTC, without a zone; the same text in SQLite whoever writes it."""
    return DateTime().with_variant(sqlite.DATETIME(truncate_microseconds=True), "sqlite")  # type: ignore[no-untyped-call]


def _text(size: int = 0) -> TypeEngine[Any]:
    return ExactText(size) if size else Text().with_variant(ExactText(), "mysql", "mariadb")


def _row_number() -> TypeEngine[Any]:
    return BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts by itself in an INTEGER alone


def _integer(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, autoincrement=False)


def _name(name: str) -> Column[Any]:
    return Column(name, _text(_NAME_SIZE), nullable=False)
