from pathlib import Path
from typing import Any

import pytest
from tests.stands.web_page import TOKEN

from samesky.config import Findings
from samesky.web.web_settings import WebSettings, read_web


def read(values: object, **given: str) -> tuple[WebSettings, list[str], list[str]]:
    findings = Findings()
    settings = read_web({"web": values}, findings, given=given)
    warnings = [each.what for each in findings.found if each.severity == "warning"]
    return settings, [each.what for each in findings.errors], warnings


def test_unless_told_only_this_machine_reaches_the_page() -> None:
    settings, errors, warnings = read({})
    assert (settings.address, settings.is_local, settings.token) == (("127.0.0.1", 8080), True, None)
    assert (errors, warnings) == ([], [])


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        (":8080", ("127.0.0.1", 8080)),
        ("0", None),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:9", ("localhost", 9)),
    ],
)
def test_a_port_alone_is_this_machine_s(listen: str, address: tuple[str, int] | None) -> None:
    settings, errors, _ = read({"listen": listen})
    assert settings.address == (address or ("127.0.0.1", 0))
    assert (settings.is_local, errors) == (True, [])


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.168.1.2:80", "weather.local:80"])
def test_beyond_this_machine_a_token_is_needed(listen: str) -> None:
    _, errors, _ = read({"listen": listen})
    assert len(errors) == 1
    assert "token_file" in errors[0]
    settings, errors, warnings = read({"listen": listen, "token": TOKEN})
    assert (settings.token, errors) == (TOKEN, [])
    assert "unencrypted" in warnings[0]


def test_a_token_that_can_be_guessed_is_refused() -> None:
    _, errors, _ = read({"token": "weather"})
    assert "shorter than 16" in errors[0]


def test_a_token_comes_from_a_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", encoding="utf-8")
    file.chmod(0o600)
    settings, errors, _ = read({"token_file": str(file)})
    assert (settings.token, errors) == (TOKEN, [])
    assert TOKEN not in repr(settings)


def test_a_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESKY_WEB_TOKEN", TOKEN)
    assert read({})[0].token == TOKEN


def test_the_command_line_is_in_place_of_the_file() -> None:
    settings, errors, _ = read({"listen": "127.0.0.1:1", "max_lag": 60}, listen="127.0.0.1:2")
    assert (settings.address[1], settings.max_lag_s, errors) == (2, 60.0, [])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"listen": "8080:"}, "listen"),
        ({"listen": "::1:80"}, "listen"),
        ({"listen": "127.0.0.1:99999"}, "listen"),
        ({"listen": "a b:80"}, "listen"),
        ({"max_lag": "soon"}, "max_lag"),
        ({"max_lag": 0}, "max_lag"),
        ({"tls_cert": "/nowhere/cert.pem"}, "tls_cert"),
        ({"tls_key": __file__}, "without tls_cert"),
        ("127.0.0.1", "table"),
    ],
)
def test_a_mistake_is_told_with_its_name(values: Any, words: str) -> None:
    _, errors, _ = read(values)
    assert words in errors[0]


def test_every_mistake_is_told_at_once() -> None:
    _, errors, warnings = read({"listen": "nowhere", "max_lag": "x", "token": "short", "listne": 1})
    assert len(errors) == 3
    assert warnings == ["listne is no option; did you mean listen?"]


def test_names_may_be_a_list_or_words() -> None:
    assert read({"hosts": ["a.example", "b.example"]})[0].hosts == ("a.example", "b.example")
    assert read({"hosts": "a.example, b.example"})[0].hosts == ("a.example", "b.example")


@pytest.mark.parametrize("path", ["/samesky", "/a/b-c/", "/", ""])
def test_a_path_of_another_site_is_one(path: str) -> None:
    settings, errors, _ = read({"path": path})
    assert (settings.path, errors) == (path.rstrip("/"), [])


@pytest.mark.parametrize("path", ["samesky", "/a//b", "/..", "/a/../b", '/a"b', "/a b", "https://x/y", "/ä", "/a?b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    settings, errors, _ = read({"path": path})
    assert (settings.path, len(errors)) == ("", 1)
    assert "such as /samesky" in errors[0]
