"""The OpenAPI page says what the server does; and nothing that follows from it makes the server fail."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error

from samesky.push.building import BUILDING
from samesky.push.keys import Scope
from stands.push_centre import DAY, PushedSite
from stands.push_server import PushServer

pytestmark = pytest.mark.slow
EXAMPLES = 6
"""So many requests of each kind, good and bad ones; `samesky push serve` bears any number (`schemathesis run`)."""
OPERATIONS = [
    ("GET", "/sync/v1/"),
    ("POST", "/sync/v1/runs"),
    ("POST", "/sync/v1/catalogue"),
    ("POST", "/sync/v1/pages/{table}"),
    ("POST", "/sync/v1/digests/{table}"),
    ("POST", "/sync/v1/heartbeat"),
    ("GET", "/sync/v1/status"),
    ("GET", "/rest/"),
    ("POST", "/rest/bulk/"),
    ("GET", "/rest/lastsync/"),
    ("GET", "/rest/{table}/"),
    ("POST", "/rest/{table}/"),
    ("GET", "/rest/{table}/{key}/"),
    ("PUT", "/rest/{table}/{key}/"),
    ("DELETE", "/rest/{table}/{key}/"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushServer]:
    file = tmp_path_factory.mktemp("openapi") / "central.db"
    with PushServer(f"sqlite:///{file}", limits={"requests_per_s": 100_000.0}) as running:
        PushedSite(running.central, "hill").push([(DAY, 69, 0, 1, 1.0)])
        yield running


@pytest.fixture(scope="module")
def key(server: PushServer) -> str:
    return server.make_key("hill", *Scope)


@pytest.fixture(scope="module")
def described(server: PushServer) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_that_can_be_asked_makes_the_server_fail(
    described: Any, key: str, method: str, path: str, mode: schemathesis.GenerationMode
) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=[not_a_server_error])

    ask()


def test_everything_that_can_be_asked_is_asked(described: Any) -> None:
    operations = {(found.ok().method.upper(), found.ok().path) for found in described.get_all_operations()}
    assert operations == set(OPERATIONS)


def test_every_route_is_described(server: PushServer) -> None:
    document = server.client().get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, routes in document["paths"].items():
        for method, route in routes.items():
            assert route["summary"], (method, path)
            problems = {status for status in route["responses"] if status >= "400"}
            assert {"400", "401", "500"} <= problems, (method, path)
            if method in ("post", "put") and path != "/sync/v1/runs":
                assert route["requestBody"]["content"], (method, path)


def test_every_table_is_described(server: PushServer) -> None:
    schemas = server.client().get("/openapi.json").json()["components"]["schemas"]
    for table in BUILDING.tables:
        assert set(schemas[table.name]["properties"]) == {"__table__", *table.names}


def test_the_page_for_people_is_there(server: PushServer) -> None:
    page = server.client().get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for method, path in OPERATIONS:
        assert f"<code>{method} {path}</code>" in page.text
    for table in BUILDING.tables:
        assert f"<code>{table.name}</code>" in page.text


def test_the_page_for_people_needs_nothing_from_elsewhere(server: PushServer) -> None:
    page = server.client().get("/docs")
    assert "<script" not in page.text
    assert "//" not in page.text.replace("<!doctype", "")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
