"""Who is let in: keys in headers, never in addresses; dictionaries for everybody."""

import asyncio
import base64
from typing import Any

import pytest

from samesky.link.problems import Problem
from samesky.push.access import BELIEVED_S, Door
from samesky.push.building import BUILDING
from samesky.push.keys import Caller, Scope
from samesky.push.model import ColumnModel, Model, TableModel, ValueKind

KEY = "1a2b.secret"
CALLER = Caller("1a2b", 1, "hill-farm", frozenset({Scope.APPEND}))


class Centre:
    """A door, the time, and how often the keys were looked up."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.looked_up = 0
        self.caller: Caller | None = CALLER
        self.door = Door(BUILDING, find_caller=self.find, clock=lambda: self.now)

    async def find(self, key: str) -> Caller | None:
        self.looked_up += 1
        return self.caller if key == KEY else None

    def ask(
        self, authorization: bytes | None = None, *, method: str = "GET", path: str = "/rest/node/", query: bytes = b""
    ) -> tuple[str, Caller | None]:
        scope: dict[str, Any] = {"method": method, "path": path, "query_string": query, "state": {}}
        scope["client"] = ("192.0.2.1", 1)
        headers = {} if authorization is None else {b"authorization": authorization}
        name = asyncio.run(self.door(scope, headers))
        return name, scope["state"]["caller"]

    def refuse(self, *arguments: Any, **options: Any) -> Problem:
        with pytest.raises(Problem) as problem:
            self.ask(*arguments, **options)
        return problem.value


@pytest.fixture
def centre() -> Centre:
    return Centre()


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    "authorization",
    [f"Bearer {KEY}".encode(), f"bearer  {KEY} ".encode(), basic(f"anybody:{KEY}"), basic(f":{KEY}"), basic(f"{KEY}:")],
)
def test_a_key_comes_as_bearer_or_as_password(centre: Centre, authorization: bytes) -> None:
    assert centre.ask(authorization) == ("key 1a2b", CALLER)


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer",
        b"Bearer x",
        b"Bearer \xff",
        b"Basic !",
        b"Basic /w==",
        b"Digest x",
        b"Bearer " + b"x" * 300,
        b"Bearer a\tb",
        f"Bearer {KEY}x".encode(),
        basic(""),
    ],
)
def test_anything_else_is_401_and_says_what_is_needed(centre: Centre, authorization: bytes) -> None:
    problem = centre.refuse(authorization)
    assert problem.status == 401
    assert problem.headers["www-authenticate"].startswith("Bearer")
    assert KEY not in problem.detail


@pytest.mark.parametrize(
    "path", ["/rest/sensortype/", "/rest/SensorType", "/rest/roomtype/3", "/rest/nodetype/", "/sync/v1/", "/", "/docs"]
)
def test_dictionaries_and_what_this_is_are_open(centre: Centre, path: str) -> None:
    assert centre.ask(path=path) == ("address 192.0.2.1", None)
    assert centre.refuse(path=path, method="POST").status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/rest/",
        "/rest/node/",
        "/rest/house/1",
        "/rest/reading/",
        "/rest/nowhere/",
        "/sync/v1/status",
        "/sync/v1/runs",
        "/rest/sensortype/1/2",
        "/docs/x",
        "//rest/sensortype",
    ],
)
def test_everything_else_needs_a_key(centre: Centre, path: str) -> None:
    assert centre.refuse(path=path).status == 401


def test_a_wrong_key_is_refused_also_where_none_is_needed(centre: Centre) -> None:
    assert centre.refuse(b"Bearer wrong", path="/rest/sensortype/").status == 401


@pytest.mark.parametrize("query", [b"key=x", b"a=1&API_KEY=x", b"access_token=x", b"%6bey=x", b"token"])
def test_a_key_in_the_address_is_refused_though_another_one_is_in_the_headers(centre: Centre, query: bytes) -> None:
    problem = centre.refuse(f"Bearer {KEY}".encode(), query=query)
    assert problem.status == 401
    assert "revoke" in problem.detail


def test_a_column_may_be_called_key_but_no_value_may_be_one() -> None:
    column = ColumnModel("key", ValueKind.TEXT)
    model = Model("keys", (TableModel(name="Door", columns=(ColumnModel("id", ValueKind.INTEGER), column)),))
    centre = Centre()
    centre.door = Door(model, find_caller=centre.find)
    good, lost = f"Bearer {KEY}".encode(), f"key={'a' * 12}.{'b' * 43}".encode()
    assert centre.ask(good, query=b"key=front")[1] == CALLER
    assert centre.refuse(good, query=lost).status == 401
    assert centre.refuse(good, query=lost.replace(b"key=", b"id=")).status == 401


def test_a_key_is_looked_up_again_after_two_seconds(centre: Centre) -> None:
    good = f"Bearer {KEY}".encode()
    for _ in range(5):
        centre.ask(good)
    assert centre.looked_up == 1
    centre.caller = None  # revoked
    centre.now += BELIEVED_S + 0.1
    assert centre.refuse(good).status == 401


def test_an_address_with_many_wrong_keys_is_not_listened_to_for_a_while(centre: Centre) -> None:
    statuses = [centre.refuse(b"Bearer wrong").status for _ in range(20)]
    assert statuses == [401] * 10 + [429] * 10
    assert centre.looked_up == 10
    assert centre.refuse(f"Bearer {KEY}".encode()).status == 429
    centre.now += 1.0
    assert centre.ask(f"Bearer {KEY}".encode())[1] == CALLER


def test_a_neighbour_with_a_good_key_is_listened_to(centre: Centre) -> None:
    good = f"Bearer {KEY}".encode()
    centre.ask(good)
    for _ in range(20):
        centre.refuse(b"Bearer wrong")
    centre.now += BELIEVED_S + 0.001
    for _ in range(20):
        centre.refuse(b"Bearer wrong")
    assert centre.ask(good)[1] == CALLER
