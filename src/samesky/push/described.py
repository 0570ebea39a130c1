"""A model that a user describes in samesky.toml; every mistake is noted with its table and column.

::

    [push.model]
    name = "rivers"

    [[push.model.table]]
    name = "Station"
    natural_key = ["name"]
    active_until = "closed"
    columns = { id = "integer", name = "text(80) required", closed = "time" }

    [[push.model.table]]
    name = "Level"
    append_only = true
    key = ["time", "stationId"]
    references = { stationId = "Station" }
    columns = { time = "time", stationId = "integer", level = "double" }
"""

import difflib
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from ..config import Findings
from .building import BUILDING
from .model import ColumnModel, Model, TableModel, ValueKind
from .model_rules import check_model

__all__ = ["read_model", "check_model", "TABLE_OPTIONS"]

TABLE_OPTIONS = (
    "name",
    "columns",
    "key",
    "natural_key",
    "references",
    "append_only",
    "of_site",
    "keeps_id",
    "active_until",
)
_COLUMN = re.compile(r"(?P<kind>[a-z]+)(?:\((?P<size>[1-9][0-9]{0,4})\))?(?P<required> +required)?")
_COLUMN_WORDS = "integer, double, text(80), time or flag, and perhaps required, such as 'text(80) required'"


def read_model(values: object, findings: Findings, *, where: str = "push.model") -> Model:
    """Return the model that ``values`` (the table ``[push.model]``; None: there is none) describe.

    Without one it is the seed's. Mistakes are noted in ``findings``; what is returned then isn't to be used.
    """
    if values is None:
        return BUILDING
    if not isinstance(values, Mapping) or not isinstance(tables := values.get("table"), list) or not tables:
        findings.error(where, f"a model needs a name, and at least one [[{where}.table]]")
        return BUILDING
    before = len(findings.errors)
    _check_options(values, ("name", "table"), findings, where)
    read = [_TableReader(table, findings, f"{where}.table {place}").read() for place, table in enumerate(tables, 1)]
    model = Model(str(values.get("name", "described")), tuple(read))
    if len(findings.errors) == before:  # else one mistake would be told again as others
        check_model(model, findings, where=where)
    return model


class _TableReader:
    """Reads one ``[[push.model.table]]``."""

    def __init__(self, values: object, findings: Findings, where: str) -> None:
        self._values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        self._findings = findings
        self._where = f"{where} ({self._values['name']})" if "name" in self._values else where

    def read(self) -> TableModel:
        """Return the table, without what is wrong in it."""
        _check_options(self._values, TABLE_OPTIONS, self._findings, self._where)
        append_only = self._flag("append_only", False)
        return TableModel(
            name=self._text("name", required=True),
            columns=self._columns(),
            key=self._names("key", ("id",)),
            natural_key=self._names("natural_key", ()),
            references=MappingProxyType(self._texts("references")),
            append_only=append_only,
            of_site=self._flag("of_site", append_only),
            keeps_id=self._flag("keeps_id", False),
            active_until=self._text("active_until"),
        )

    def _columns(self) -> tuple[ColumnModel, ...]:
        columns = []
        for name, text in self._texts("columns", required=True).items():
            found = _COLUMN.fullmatch(text.strip())
            if found is None or found["kind"] not in _KINDS or (found["size"] and found["kind"] != "text"):
                self._error(f"column {name} = {text!r} should be {_COLUMN_WORDS}")
                continue
            columns.append(
                ColumnModel(name, _KINDS[found["kind"]], int(found["size"] or 0), found["required"] is not None)
            )
        return tuple(columns)

    def _text(self, option: str, *, required: bool = False) -> str:
        value = self._values.get(option, "")
        if not isinstance(value, str) or (required and not value):
            self._error(f"{option} should be a name in quotes")
            return ""
        return value

    def _flag(self, option: str, default: bool) -> bool:
        value = self._values.get(option, default)
        if not isinstance(value, bool):
            self._error(f"{option} should be true or false")
        return value is True

    def _names(self, option: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._values.get(option, list(default))
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self._error(f'{option} should be a list of columns, such as ["name"]')
            return default
        return tuple(value)

    def _texts(self, option: str, *, required: bool = False) -> dict[str, str]:
        value = self._values.get(option, {})
        if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
            self._error(f'{option} should be a table of texts, such as {{ name = "text(80)" }}')
            return {}
        if required and not value:
            self._error(f"{option} are missing")
        return dict(value)

    def _error(self, what: str) -> None:
        self._findings.error(self._where, what)


def _check_options(values: Mapping[str, Any], known: Collection[str], findings: Findings, where: str) -> None:
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            findings.error(where, f"{name} is no option" + (f"; did you mean {near[0]}?" if near else " here"))


_KINDS = {kind.value: kind for kind in ValueKind}
