"""One TLS section -> a context that verifies."""

import ssl
import subprocess
from pathlib import Path

import pytest

from samesky.errors import ConfigError
from samesky.link.tls import TlsSettings


def test_a_context_verifies_certificate_and_name_and_wants_tls_1_2() -> None:
    context = TlsSettings().make_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_missing_ca_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"ca_file /nowhere/ca\.pem can't be used: No such file"):
        TlsSettings(ca_file="/nowhere/ca.pem").make_context()


def test_a_ca_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"ca\.pem can't be used"):
        TlsSettings(ca_file=str(path)).make_context()


def test_a_key_without_a_certificate_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="key_file is set without cert_file"):
        TlsSettings(key_file="key.pem").make_context()


def test_a_missing_certificate_of_our_own_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cert_file /nowhere/us\.pem with key_file k\.pem can't be used"):
        TlsSettings(cert_file="/nowhere/us.pem", key_file="k.pem").make_context()


def test_a_key_with_a_passphrase_is_refused_instead_of_asked_for_on_the_terminal(tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:secret", "-subj", "/CN=us"]
    subprocess.run(
        [*command, "-keyout", tmp_path / "key.pem", "-out", tmp_path / "us.pem"], check=True, capture_output=True
    )
    with pytest.raises(ConfigError, match="passphrase"):
        TlsSettings(cert_file=str(tmp_path / "us.pem"), key_file=str(tmp_path / "key.pem")).make_context()
