"""What a model must be so that it can be pushed; each rule that is broken is told in words."""

from collections import Counter
from collections.abc import Callable, Iterator

from ..config import Findings
from ..core.strict import Refused, check_identifier
from .model import Model, TableModel, ValueKind

MOST_TEXT = 4000
"""The most characters that a text with a bound may have: what every database takes as VARCHAR in one row."""
RESERVED_COLUMNS = frozenset({"siteid", "__table__"})
"""What the centre adds to rows."""
RESERVED_TABLES = frozenset({"pushstatus", "server", "bulk", "lastsync"})
"""Tables of the centre's own, and names that mean something else in its REST interface."""
RESERVED_PREFIX = "samesky_"
"""What the names of the centre's other tables begin with."""

Mistake = str
_Rule = Callable[[TableModel, Model], Iterator[Mistake]]


def check_model(model: Model, findings: Findings, *, where: str = "push.model") -> None:
    """Note in ``findings`` everything for which ``model`` can't be pushed."""
    for mistake in _find_in_tables(model):
        findings.error(where, mistake)
    for table in model.tables:
        for rule in _RULES:
            for mistake in rule(table, model):
                findings.error(f"{where}, table {table.name}", mistake)


def _find_in_tables(model: Model) -> Iterator[Mistake]:
    for name, count in Counter(table.name.lower() for table in model.tables).items():
        if count > 1:
            yield f"there are {count} tables called {name}, capital or small"
        if name in RESERVED_TABLES or name.startswith(RESERVED_PREFIX):
            yield f"a table can't be called {name}: the centre has one of its own"
    if not any(model.append_only()):
        yield "no table is append_only, so there is nothing to push"


def _check_names(table: TableModel, _: Model) -> Iterator[Mistake]:
    for name in (table.name, *table.names):
        try:
            check_identifier(name)
        except Refused as mistake:
            yield f"{name!r}: {mistake}"
        if name.lower() in RESERVED_COLUMNS:
            yield f"a column can't be called {name}: the centre adds it to rows"
    for name, count in Counter(name.lower() for name in table.names).items():
        if count > 1:
            yield f"there are {count} columns called {name}, capital or small"
    for column in table.columns:
        if column.size > MOST_TEXT:
            yield f"{column.name} has more than {MOST_TEXT} characters: write text, without a bound"
        if column.kind is ValueKind.TEXT and not column.size and column.name in (*table.key, *table.natural_key):
            yield f"{column.name} is part of a key, thus needs a bound: text(80)"


def _check_columns_exist(table: TableModel, _: Model) -> Iterator[Mistake]:
    named = {
        "key": table.key,
        "natural_key": table.natural_key,
        "references": tuple(table.references),
        "active_until": (table.active_until,) if table.active_until else (),
    }
    for option, names in named.items():
        for name in names:
            if name not in table.names:
                yield f"{option} has {name}, which is no column"
        if len(set(names)) != len(names):
            yield f"{option} has a column twice"


def _check_dimension(table: TableModel, _: Model) -> Iterator[Mistake]:
    if table.append_only:
        return
    kinds = {column.name: column.kind for column in table.columns}
    if table.key != ("id",) or kinds.get("id") is not ValueKind.INTEGER:
        yield 'a table that isn\'t append_only must have the key ["id"], an integer'
    if not table.natural_key:
        yield "natural_key is missing: by which columns is a row the same at the site and at the centre?"
    if table.keeps_id and not table.of_site:
        yield "keeps_id needs of_site: another site may have the same id"
    if ("id" in table.natural_key or table.keeps_id) and not (table.natural_key == ("id",) and table.keeps_id):
        yield 'natural_key = ["id"] and keeps_id = true need each other'
    if table.active_until and kinds.get(table.active_until, ValueKind.TIME) is not ValueKind.TIME:
        yield f"active_until must be a time, which {table.active_until} isn't"
    for name in table.natural_key:
        if kinds.get(name) is ValueKind.DOUBLE:
            yield f"{name} is a double, and can't be part of natural_key: doubles are rarely equal"


def _check_append_only(table: TableModel, _: Model) -> Iterator[Mistake]:
    if not table.append_only:
        return
    kinds = {column.name: column.kind for column in table.columns}
    if len(table.key) < 2 or kinds.get(table.key[0]) is not ValueKind.TIME:
        yield "key of an append_only table must be its time, then the node (or what else it is of), then what it needs"
    elif kinds.get(table.key[1], ValueKind.INTEGER) is not ValueKind.INTEGER:
        yield f"the key's second column must be an integer, which {table.key[1]} isn't"
    for name in table.key[1:]:
        if kinds.get(name) is ValueKind.DOUBLE:
            yield f"{name} is a double, and can't be part of key: doubles are rarely equal"
    if not table.of_site:
        yield "of_site can't be false: rows of two sites would become one"
    if table.natural_key or table.keeps_id or table.active_until:
        yield "natural_key, keeps_id and active_until mean nothing in an append_only table"


def _check_references(table: TableModel, model: Model) -> Iterator[Mistake]:
    before = {}
    for other in model.tables:
        if other.name == table.name:
            break
        before[other.name] = other
    for column, parent in table.references.items():
        kind = next((each.kind for each in table.columns if each.name == column), ValueKind.INTEGER)
        if kind is not ValueKind.INTEGER or column == "id":
            yield f"references has {column}, which must be an integer other than id"
        if parent not in before:
            yield f"references has {parent}, which must be a table that is described before this one"
        elif before[parent].append_only:
            yield f"references has {parent}, which is append_only and has no id"
        elif before[parent].of_site and not table.of_site:
            yield f"it refers to {parent}, whose rows are of one site, and so must have of_site = true as well"


_RULES: tuple[_Rule, ...] = (
    _check_names,
    _check_columns_exist,
    _check_dimension,
    _check_append_only,
    _check_references,
)
