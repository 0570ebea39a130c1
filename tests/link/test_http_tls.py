"""The HTTP client over TLS."""

import gc
import ssl
import subprocess
from pathlib import Path

import pytest
from tests.link.http_asking import failures, fetch
from tests.stands.mesh_web import ScriptedWeb, Visitor, answering, target_of, whole

from samesky.link.tls import TlsSettings


def echo(request: str) -> bytes:
    """The path asked for, as the body."""
    return whole(target_of(request).encode(), 'ETag: "1"')


def make_certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate that vouches for itself as ``name`` (an alternative name), and a server's context with it."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=test", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, "-addext", f"subjectAltName={name}", *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_files_come_over_tls(tmp_path: Path) -> None:
    authority, context = make_certificate(tmp_path, "IP:127.0.0.1,DNS:localhost")
    with ScriptedWeb(answering(echo), context=context) as web:
        urls = [*(f"{web.url}/{number}" for number in range(100)), f"https://localhost:{web.port}/x"]
        replies = fetch(*urls, tls=TlsSettings(ca_file=str(authority)))
        assert [reply.body for reply in replies] == [*(b"/%d" % number for number in range(100)), b"/x"]


def test_tls_connections_that_end_with_their_answers_leave_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority, context = make_certificate(tmp_path, "IP:127.0.0.1")
    gc.collect()  # what loops of other tests left behind is told of when it is found
    caplog.clear()

    def script(visitor: Visitor) -> None:
        for last in (False, False, True):
            if request := visitor.read_request():
                visitor.send(whole(target_of(request).encode(), *(["Connection: close"] if last else [])))

    with ScriptedWeb(script, context=context) as web:
        urls = [f"{web.url}/{number}" for number in range(31)]
        replies = fetch(*urls, tls=TlsSettings(ca_file=str(authority)), depth=3, connections_per_host=1)
        assert failures(replies) == []
    assert caplog.text == ""


def test_a_server_is_not_believed_without_a_proper_certificate(tmp_path: Path) -> None:
    authority, context = make_certificate(tmp_path, "DNS:another.example")
    with ScriptedWeb(answering(echo), context=context) as web:
        for tls in (None, TlsSettings(ca_file=str(authority))):
            [reply] = fetch(f"{web.url}/a", tls=tls)
            assert reply.failure is not None
            assert (reply.failure.kind, reply.failure.retry) == ("tls", True)
            assert "self-signed" in reply.failure.words or "not valid for" in reply.failure.words


def test_a_redirection_away_from_tls_isnt_followed(tmp_path: Path) -> None:
    authority, context = make_certificate(tmp_path, "IP:127.0.0.1")
    answer = whole(b"", "Location: http://127.0.0.1:1/", status="301 Moved")
    with ScriptedWeb(answering(lambda request: answer), context=context) as web:
        assert failures(fetch(f"{web.url}/a", tls=TlsSettings(ca_file=str(authority)))) == ["redirect"]
