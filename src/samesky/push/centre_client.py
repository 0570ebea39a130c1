"""The centre's routes as functions: every answer strictly read, every other answer an exception of `centre_errors`.

Only 2xx with the right document is success. Whatever else answers at that address (a proxy's error page, a portal that
wants a login) is told apart from a centre that says no.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from ..core.columns import Table
from ..core.strict import HIGHEST_INTEGER, Reason, Refused
from ..errors import ConfigError, DataError
from ..link.rest import Answer, RestClient, RestTimeouts
from .bodies import CONTENT_ENCODING, CONTENT_TYPE
from .catalogue import encode_catalogue
from .catalogue_plan import CataloguePlan
from .centre_errors import (
    Denied,
    FaultyRows,
    Fenced,
    MissingRows,
    NotNow,
    NotTheCentre,
    RefusedPage,
    TooLarge,
)
from .digest_question import DigestQuestion, decode_digests
from .digests import GroupDigest
from .digests import Key as DigestKey
from .model import Model, TableModel
from .page import FaultyPage, check_page, encode_page
from .push_settings import TargetSettings
from .steps import Key, RunStart, Stored
from .values import PageFault

Taken = TypeVar("Taken")
_PACKED = {"Content-Type": CONTENT_TYPE, "Content-Encoding": CONTENT_ENCODING}
_ROUTES = "/sync/v1"
MOST_WORDS = 300


class CentreClient:
    """One centre, asked by one thread at a time. Every method raises `Unreachable` and what `centre_errors` lists."""

    def __init__(self, target: TargetSettings, model: Model) -> None:
        """Raises `ConfigError` when the files for TLS can't be used. Nothing is connected yet."""
        self.name = target.name
        self.url = target.url
        self._model = model
        self._rest = RestClient(
            target.url + _ROUTES,
            headers={"Authorization": f"Bearer {target.key}"},
            tls=target.tls,
            timeouts=RestTimeouts(total_s=target.timeout_s, idle_s=target.timeout_s / 2),
        )
        self.page_bytes = 1 << 30
        """The largest body that the centre takes; it tells when a run begins."""

    def close(self) -> None:
        """End the connection."""
        self._rest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def begin_run(self) -> RunStart:
        """Begin a run; pages of older ones aren't taken any more."""
        start = self._read(self._rest.post("/runs", b""), lambda fields: _read_start(fields, self._model))
        self.page_bytes = start.page_bytes
        return start

    def send_catalogue(
        self,
        tables: Mapping[str, Table],
        run: int | None,
        *,
        dry_run: bool = False,
        accept_renames: bool = False,
        partial: bool = False,
    ) -> CataloguePlan:
        """Have dimension rows created, changed and mapped, or (``dry_run``) be told what would be."""
        flags = {"dry_run": dry_run, "accept_renames": accept_renames, "partial": partial}
        query = {name: "true" for name, value in flags.items() if value} | ({} if run is None else {"run": str(run)})
        try:
            body = encode_catalogue(tables)
        except ValueError as error:
            raise DataError(f"rows of this site can't be sent: {error}") from None
        answer = self._rest.post("/catalogue", body, query=query, headers=_PACKED)
        return self._read(answer, lambda fields: CataloguePlan.from_dict(fields.document))

    def encode_page(self, table: TableModel, rows: Table, *, now_s: float, level: int = 6) -> bytes:
        """``rows`` as they travel; ``level`` is zlib's. Raises `FaultyRows` for rows that can't.

        ``now_s``: the centre's clock, as far as we know.
        """
        try:
            return encode_page(rows, level=level)
        except ValueError as error:
            raise _name_faulty(table, rows, now_s, error) from None

    def send_page(self, table: TableModel, body: bytes, *, rows: int, run: int, position: Key | None) -> Stored:
        """Have the ``rows`` rows in ``body`` stored, and with them ``position``."""
        if len(body) > self.page_bytes:
            raise TooLarge(f"the page has {len(body)} bytes, the centre takes {self.page_bytes}")
        query = {"run": str(run)} | ({} if position is None else {"position": json.dumps(position)})
        answer = self._rest.post(f"/pages/{table.name}", body, query=query, headers=_PACKED)
        return self._read(answer, lambda fields: _read_stored(fields, rows))

    def read_digests(self, table: TableModel, question: DigestQuestion) -> Mapping[DigestKey, GroupDigest]:
        """The centre's digests that ``question`` asks for."""
        body = json.dumps(question.as_dict()).encode()
        answer = self._rest.post(f"/digests/{table.name}", body)
        return self._read(answer, lambda fields: decode_digests(fields.document, question))

    def send_heartbeat(self, heartbeat: Mapping[str, object]) -> None:
        """Tell how this site is doing."""
        self._read(self._rest.post("/heartbeat", json.dumps(heartbeat).encode()), lambda _: None)

    def read_status(self) -> Mapping[str, Any]:
        """What the centre knows of all sites that the key may see."""
        return self._read(self._rest.get("/status"), lambda fields: fields.document)

    def read_positions(self) -> Mapping[str, Key | None]:
        """Where this site's tables are at the centre; no run is begun for it."""
        return self._read(self._rest.get("/status"), lambda fields: _find_positions(fields, self._model))

    def _read(self, answer: Answer, take: "Callable[[_Fields], Taken]") -> Taken:
        """What ``take`` makes of a good answer; every other one is raised."""
        if not answer.is_success:
            raise self._describe(answer)
        try:
            return take(_Fields(answer.json))
        except Refused as refusal:
            words = answer.mistake or f"its answer makes no sense: {refusal}"
            raise NotTheCentre(f"{self.url} isn't a samesky centre: {words}", hint=_CHECK_URL) from None

    def _describe(self, answer: Answer) -> Exception:
        fields = answer.json if isinstance(answer.json, dict) else {}
        kind, words = fields.get("type"), _read_words(fields.get("detail"), answer)
        match answer.status:
            case 401 | 403:
                hint = "`samesky push key list` at the centre shows which keys there are, and what they may do."
                return Denied(f"{self.url} doesn't take the key: {words}", hint=hint)
            case 409 if kind == "older":
                return Fenced(
                    "another run of this site has begun at the centre, so this one ends",
                    hint="Let only one pusher of a site run: a daemon, or a command.",
                )
            case 409 if kind == "parent":
                return _read_missing(fields.get("missing"), self._model) or self._misunderstood(answer)
            case 413:
                return TooLarge(f"the centre says that the body is too large: {words}")
            case 422:
                return _read_refusal(fields, words)
            case 408 | 425 | 429 | 500 | 502 | 503 | 504:
                return NotNow(f"{self.url} can't do it now ({answer.status}): {words}", wait_s=answer.retry_after_s)
            case 400 | 404 | 405 | 415 | 431 if isinstance(kind, str):  # a centre's own words
                reason = Reason.NOT_FOUND if answer.status == 404 else Reason.BAD_REQUEST
                return RefusedPage(f"{self.url} refuses what was asked: {words}", reason, hint=_CHECK_VERSION)
        return self._misunderstood(answer)

    def _misunderstood(self, answer: Answer) -> ConfigError:
        where = answer.headers.get("location", "")
        if 300 <= answer.status < 400 and where:
            words = f"it sends us on to {where[:200]!r}, and a key isn't sent on"
        else:
            words = _read_words(answer.json.get("detail") if isinstance(answer.json, dict) else None, answer)
        return NotTheCentre(f"{self.url} answers {answer.status}: {words}", hint=_CHECK_URL)


class _Fields:
    """A JSON object whose fields are taken one by one, each of its type or `Refused`."""

    def __init__(self, document: object) -> None:
        if not isinstance(document, dict):
            raise Refused(Reason.SHAPE, "a JSON object was expected")
        self.document: dict[str, Any] = document

    def integer(self, name: str, *, low: int = 0, high: int = HIGHEST_INTEGER) -> int:
        value = self.document.get(name)
        if type(value) is not int or not low <= value <= high:
            raise Refused(Reason.TYPE, f"{name} isn't an integer, or is out of range")
        return value

    def text(self, name: str) -> str:
        value = self.document.get(name)
        if not isinstance(value, str) or len(value) > 255:
            raise Refused(Reason.TYPE, f"{name} isn't a text")
        return value

    def inner(self, name: str) -> "_Fields":
        return _Fields(self.document.get(name))


def _read_start(fields: _Fields, model: Model) -> RunStart:
    limits, positions = fields.inner("limits"), fields.inner("positions").document
    return RunStart(
        run=fields.integer("run", low=1),
        centre=fields.text("centre"),
        site=str(fields.document.get("site", "")),
        positions={table.name: _read_position(positions.get(table.name), table) for table in model.append_only()},
        catalogue=None if fields.document.get("catalogue") is None else fields.text("catalogue"),
        page_bytes=limits.integer("page_bytes", low=1),
        page_rows=limits.integer("page_rows", low=1),
        time_s=fields.integer("time"),
    )


def _find_positions(fields: _Fields, model: Model) -> dict[str, Key | None]:
    """The positions of the key's own site: it is named, or the only one that the key may see."""
    sites, own = fields.document.get("sites"), fields.document.get("site")
    if not isinstance(sites, list):
        raise Refused(Reason.SHAPE, "a list of sites was expected")
    mine = [_Fields(each) for each in sites if own is None or (isinstance(each, dict) and each.get("site") == own)]
    if len(mine) != 1:
        raise Refused(Reason.NOT_FOUND, "the key isn't that of one site")
    tables = mine[0].document.get("tables")
    found = {
        each.text("table"): each.document.get("position")
        for each in map(_Fields, tables if isinstance(tables, list) else [])
    }
    return {table.name: _read_position(found.get(table.name), table) for table in model.append_only()}


def _read_position(position: object, table: TableModel) -> Key | None:
    if position is None:
        return None
    if not isinstance(position, list) or len(position) != len(table.key) or type(position[0]) is not int:
        raise Refused(Reason.SHAPE, "a position isn't the key of a row")
    if not all(type(value) is int or isinstance(value, str) for value in position):
        raise Refused(Reason.TYPE, "a position has values that no key has")
    return tuple(position)


def _read_stored(fields: _Fields, rows: int) -> Stored:
    stored = Stored(
        accepted=fields.integer("accepted"), duplicate=fields.integer("duplicate"), changed=fields.integer("changed")
    )
    if stored.accepted + stored.duplicate + stored.changed > rows:
        raise Refused(Reason.RANGE, "more rows were stored than were sent")
    if faults := _read_faults(fields.document.get("rejected")):
        raise FaultyRows(faults)
    return stored


def _read_refusal(fields: Mapping[str, Any], words: str) -> DataError:
    faults = _read_faults(fields.get("errors"))
    if faults:
        return FaultyRows(faults)
    reason = fields.get("reason")
    known = Reason(reason) if isinstance(reason, str) and reason in set(Reason) else Reason.BAD_REQUEST
    hint = "The centre's [push.model] must have the tables and columns of this site's." if known in _OF_MODEL else ""
    return RefusedPage(f"the centre refuses it: {words}", known, hint=hint)


def _read_faults(errors: object) -> list[PageFault]:
    """The rows that are named; what isn't understood of it is left out."""
    faults = []
    for entry in errors if isinstance(errors, list) else []:
        match entry:
            case {"row": int(row), "column": str(column), "reason": str(reason), "words": str(words)} if row >= 0:
                known = Reason(reason) if reason in set(Reason) else Reason.BAD_REQUEST
                faults.append(PageFault(row, column[:64], known, words[:MOST_WORDS]))
    return faults


def _read_missing(missing: object, model: Model) -> MissingRows | None:
    dimensions = {table.name for table in model.dimensions()}
    if not isinstance(missing, dict) or not missing or not missing.keys() <= dimensions:
        return None
    for ids in missing.values():
        if not isinstance(ids, list) or not ids or not all(type(each) is int for each in ids):
            return None
    return MissingRows({name: frozenset(ids) for name, ids in missing.items()})


def _name_faulty(table: TableModel, rows: Table, now_s: float, error: ValueError) -> DataError:
    """Which rows can't even be sent: infinities, texts in columns of numbers, and so on."""
    try:
        check_page(table, rows, now=now_s)
    except FaultyPage as page:
        return FaultyRows(page.faults)
    return RefusedPage(f"rows of {table.name} can't be sent: {error}", Reason.COLUMN)


def _read_words(detail: object, answer: Answer) -> str:
    if isinstance(detail, str) and detail.isprintable():
        return detail[:MOST_WORDS]
    return answer.mistake or "it doesn't say why"


_OF_MODEL = frozenset({Reason.COLUMN, Reason.SHAPE, Reason.NAME, Reason.TYPE})
_CHECK_VERSION = "Do both ends have the same samesky and the same [push.model], and is the url that of the centre?"
_CHECK_URL = "Is the target's url that of the centre, with its base path? A browser shows <url>/rest/sensortype/."
