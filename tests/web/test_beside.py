import ssl
import subprocess
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.stands import web_streams as streams
from tests.stands.waiting import wait_for
from tests.stands.web_page import ServedPage

from samesky.errors import ConfigError
from samesky.web.beside import serve_beside
from samesky.web.noticeboard import open_noticeboard
from samesky.web.web_settings import WebSettings

LOCAL = WebSettings(listen="127.0.0.1:0")


def fetch(url: str, path: str = "", context: ssl.SSLContext | None = None) -> str:
    with urlopen(url + path, timeout=30, context=context) as answer:
        return str(answer.read().decode())


def test_what_the_process_itself_posts_is_shown(tmp_path: Path) -> None:
    open_noticeboard(tmp_path).post("station follow a", [streams.copy_of("a/b", time.time())], time.time())
    with serve_beside(settings=LOCAL, status_dir=tmp_path) as url:
        assert "The copy is the same" in fetch(url)


def test_it_ends_with_its_block_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with serve_beside(settings=LOCAL, status_dir=tmp_path) as url:
        assert fetch(url, "health/live") == "alive\n"
    with pytest.raises(OSError, match="refused"):
        fetch(url, "health/live")
    # A worker of the pool, when it is idle, goes a little later.
    wait_for(lambda: set(threading.enumerate()) <= before, 30, what="the end of all threads")


def test_a_port_that_is_taken_is_told_before_anything_else_starts(tmp_path: Path) -> None:
    with ServedPage(tmp_path) as page:
        taken = WebSettings(listen=page.url.removeprefix("http://").rstrip("/"))
        with pytest.raises(ConfigError, match="nothing can be served"), serve_beside(settings=taken):
            raise AssertionError("it was served")


def test_it_serves_https_with_a_certificate(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    with ServedPage(tmp_path / "board", tls_cert=str(cert), tls_key=str(key)) as page:
        assert page.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(cert))
        assert "Nothing to show yet" in fetch(page.url, context=context)


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.write_text("not a certificate", encoding="utf-8")
    settings = WebSettings(listen="127.0.0.1:0", tls_cert=str(file))
    with pytest.raises(ConfigError, match="can't be used"), serve_beside(settings=settings):
        raise AssertionError("it was served")
