"""Who asks, and what they may do: ``Authorization: Bearer KEY``, or Basic with the key as password (browsers, curl -u).

A key that was proven is believed for two seconds, so that pages don't wait for the look-up; what was revoked is refused
after that.
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Scope as Exchange

from ..link.problems import Problem, wait_and_retry
from ..link.web_requests import Headers, decode_authorization
from .guards import Rates
from .keys import Caller, Scope
from .model import Model, TableModel

BELIEVED_S = 2.0
MOST_BELIEVED = 10_000
FAILURES_PER_S = 5.0
"""Wrong keys from one address over longer spans, before it isn't listened to for a while."""
MOST_KEY_LENGTH = 256
_OPEN = frozenset({"/", "/sync/v1", "/docs", "/openapi.json"})
_KEY = re.compile(r"[0-9a-f]{12}\.[A-Za-z0-9_-]{40,}")
_KEY_NAMES = frozenset({"key", "apikey", "api_key", "api-key", "access_token", "token", "password", "authorization"})
_KEY_IN_QUERY = (
    "keys aren't taken from the address, where logs would keep it: revoke it, and send another in"
    " Authorization: Bearer KEY"
)
_CHALLENGE = {"www-authenticate": 'Bearer realm="samesky", Basic realm="samesky", charset="UTF-8"'}


class FindCaller(Protocol):
    """Finds whose key it is; None for a key that isn't good."""

    def __call__(self, key: str, /) -> Awaitable[Caller | None]: ...


class Door:
    """Proves the key of each request; the `Caller` is in the request's state."""

    def __init__(self, model: Model, *, find_caller: FindCaller, clock: Callable[[], float] = time.monotonic) -> None:
        self._dictionaries = {f"/rest/{table.name.lower()}" for table in model.tables if is_dictionary(table)}
        columns = {name.lower() for table in model.tables for name in table.names}
        self._key_names = _KEY_NAMES - columns
        self._find_caller = find_caller
        self._clock = clock
        self._believed: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._failures = Rates(FAILURES_PER_S, clock=clock)

    async def __call__(self, scope: Exchange, headers: Headers) -> str:
        """Return under what name the request is counted; raises `Problem` (401, 429)."""
        self._refuse_key_in_query(scope["query_string"])
        address = f"address {(scope.get('client') or ('', 0))[0]}"
        scope["state"]["caller"] = None
        if (key := _read_key(headers.get(b"authorization"))) is None:
            if not self._is_open(scope):
                raise Problem(401, "key", "this needs a key: Authorization: Bearer KEY", headers=_CHALLENGE)
            return address
        fingerprint = hashlib.sha256(key.encode()).digest()
        caller, until = self._believed.get(fingerprint, (None, 0.0))
        if caller is None or self._clock() > until:
            caller = await self._prove(key, fingerprint, address)
        scope["state"]["caller"] = caller
        return f"key {caller.key}"

    def _refuse_key_in_query(self, query: bytes) -> None:
        """Addresses are logged everywhere: a key in one is a key lost."""
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name.lower() in self._key_names or _KEY.search(value):
                raise Problem(401, "key", _KEY_IN_QUERY, headers=_CHALLENGE)

    def _is_open(self, scope: Exchange) -> bool:
        path = scope["path"].rstrip("/").lower() or "/"
        open_here = path in _OPEN or path in self._dictionaries or path.rpartition("/")[0] in self._dictionaries
        return scope["method"] in ("GET", "HEAD") and open_here

    async def _prove(self, key: str, fingerprint: bytes, address: str) -> Caller:
        """Look the key up. Who had a good one isn't kept waiting by a neighbour with a wrong one."""
        if fingerprint not in self._believed and self._failures.left(address) < 1:
            raise wait_and_retry(429, "rate", "too many wrong keys came from this address", after_s=1 / FAILURES_PER_S)
        caller = await self._find_caller(key)
        self._believed.pop(fingerprint, None)
        if caller is None:
            self._failures.take(address)
            raise Problem(401, "key", "the key isn't known, was revoked or has expired", headers=_CHALLENGE)
        self._believed[fingerprint] = (caller, self._clock() + BELIEVED_S)
        while len(self._believed) > MOST_BELIEVED:
            self._believed.popitem(last=False)
        return caller


def is_dictionary(table: TableModel) -> bool:
    """Whether everybody may read the table: what kinds of rooms, nodes and sensors there are (the seed's test)."""
    return not (table.append_only or table.of_site or table.references or table.active_until)


def find_caller(request: Request) -> Caller | None:
    """Return whose key came with the request; None when none did, which `Door` allows where everybody may read."""
    caller = request.scope["state"]["caller"]
    assert caller is None or isinstance(caller, Caller)
    return caller


def check_caller(request: Request, *scopes: Scope) -> Caller:
    """Return who asks; `Problem` 401 without a key, 403 when it has none of ``scopes`` (admin allows everything)."""
    caller = find_caller(request)
    if caller is None:
        raise Problem(401, "key", "this needs a key: Authorization: Bearer KEY", headers=_CHALLENGE)
    if caller.scopes.isdisjoint({*scopes, Scope.ADMIN}):
        raise Problem(403, "scope", f"the key hasn't the scope {' or '.join(scopes)}")
    return caller


def check_site(request: Request, *scopes: Scope) -> tuple[int, str]:
    """Return the site whose key this is, and its name; `Problem` 401, and 403 also for a key that is no site's."""
    caller = check_caller(request, *scopes)
    if caller.site is None:
        raise Problem(403, "scope", "the key is no site's: samesky push key add makes one that is")
    return caller.site, caller.site_name


def _read_key(authorization: bytes | None) -> str | None:
    if authorization is None:
        return None
    user, secret = decode_authorization(authorization)
    key = (secret or user).decode("ascii", "replace")
    if not 0 < len(key) <= MOST_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise Problem(
            401, "key", "Authorization must be: Bearer KEY, or Basic with the key as password", headers=_CHALLENGE
        )
    return key
