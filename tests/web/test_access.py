import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.stands.web_page import TOKEN, ServedPage

PAGES = ("/", "/status.json", "/metrics", "/health/ready", "/events?page=/", "/stream/station/a/b", "/streams/mesh")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with ServedPage(tmp_path_factory.mktemp("board"), token=TOKEN) as page:
        yield page


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with ServedPage(tmp_path_factory.mktemp("board"), hosts=("weather.example.org",)) as page:
        yield page


def log_in(page: ServedPage, token: str, target: str = "/") -> tuple[int, str, str]:
    """The status, the cookie and where it leads."""
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    answer = page.ask(f"/login?{urlencode({'next': target})}", "POST", body=urlencode({"token": token}), **form)
    cookie = answer.headers.get("set-cookie", "")
    return answer.status, cookie, answer.headers.get("location", "")


@pytest.mark.parametrize("path", PAGES)
def test_without_the_token_nothing_is_told(guarded: ServedPage, path: str) -> None:
    answer = guarded.ask(path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "token"


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer  {TOKEN}"])
def test_a_program_sends_the_token(guarded: ServedPage, given: str) -> None:
    assert guarded.ask("/", Authorization=given).status == 200


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", f"Basic {TOKEN}", TOKEN, "é"])
def test_another_token_is_refused(guarded: ServedPage, given: str) -> None:
    assert guarded.ask("/", Authorization=given).status == 401


def test_a_browser_is_asked_for_the_token_and_gets_a_cookie_that_is_not_the_token(guarded: ServedPage) -> None:
    asked = guarded.ask("/stream/station/a/b?days=7", Accept="text/html")
    assert asked.status == 401
    assert 'action="/login?next=%2Fstream%2Fstation%2Fa%2Fb%3Fdays%3D7"' in asked.text
    status, cookie, where = log_in(guarded, TOKEN, "/stream/station/a/b?days=7")
    assert (status, where) == (303, "/stream/station/a/b?days=7")
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert guarded.ask("/", Cookie=cookie.partition(";")[0]).status == 200


def test_a_wrong_token_is_told_and_gets_no_cookie(guarded: ServedPage) -> None:
    status, cookie, _ = log_in(guarded, "wrong")
    assert (status, cookie) == (401, "")


@pytest.mark.parametrize("cookie", ["samesky_page=", f"samesky_page={TOKEN}", "samesky_page=a; ;;=\x7f", "x" * 3000])
def test_another_cookie_is_refused(guarded: ServedPage, cookie: str) -> None:
    assert guarded.ask("/", Cookie=cookie).status == 401


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: b"],
)
def test_after_the_token_nobody_is_led_elsewhere(guarded: ServedPage, target: str) -> None:
    status, _, where = log_in(guarded, TOKEN, target)
    assert (status, where) == (303, "/")


def test_a_form_without_end_is_refused(guarded: ServedPage) -> None:
    assert guarded.ask("/login", "POST", body="token=" + "x" * 10_000).status == 413


def test_that_it_lives_and_how_it_looks_is_no_secret(guarded: ServedPage) -> None:
    for path in ("/health/live", "/style.css", "/drawing.css", "/page.js", "/icon.svg"):
        assert guarded.ask(path).status == 200, path


def test_the_page_of_this_machine_needs_no_token(local: ServedPage) -> None:
    assert local.ask("/").status == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "localhost", "LOCALHOST:8080", "[::1]:8080", "192.168.1.4", "weather.example.org"]
)
def test_it_is_known_by_its_addresses_and_the_names_it_was_given(local: ServedPage, host: str) -> None:
    assert local.ask("/", Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "weather.example.org.evil.example", "localhost.evil.example", ""])
def test_a_web_page_from_elsewhere_that_has_its_name_lead_here_learns_nothing(local: ServedPage, host: str) -> None:
    answer = local.ask("/status.json", Host=host)
    assert answer.status == 421
    assert "add it to hosts" in answer.json()["detail"]


def test_every_answer_forbids_what_is_not_from_here(local: ServedPage, guarded: ServedPage) -> None:
    for answer in (local.ask("/"), local.ask("/nothing"), local.ask("/metrics"), guarded.ask("/", Accept="text/html")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(local: ServedPage, method: str) -> None:
    assert local.ask("/", method).status == 405
    assert local.ask("/status.json", method).status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/stream",
        "/stream/",
        "/stream/station",
        "/stream/station/../../x",
        "/%00",
        "/a" * 3000,
        "/streams/x",
    ],
)
def test_a_path_that_leads_nowhere_is_no_page(local: ServedPage, path: str) -> None:
    answer = local.ask(path)
    assert answer.status == 404
    assert not re.search("Traceback|samesky/web", answer.text)


def test_what_does_not_exist_is_told_to_programs_as_a_problem(local: ServedPage) -> None:
    answer = local.ask("/stream/mesh/x?format=json")
    assert (answer.status, answer.json()["type"]) == (404, "page")


def test_a_token_in_a_wrong_request_is_in_no_answer(guarded: ServedPage, tmp_path: Path) -> None:
    assert TOKEN not in guarded.ask("/", Authorization=f"Bearer {TOKEN}").text
