"""One TLS section of a configuration -> ``ssl.SSLContext``. There is no way to turn verification off."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files in PEM format. Without ``ca_file`` the system's certificate authorities are trusted.

    ``cert_file`` and ``key_file`` (they may be one file: then ``cert_file`` alone) prove who *we* are to the broker.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def make_context(self) -> ssl.SSLContext:
        """Return a client context: certificate and host name verified, TLS 1.2 or newer.

        Raises ``ConfigError`` naming the file that is missing, unreadable or isn't what it should be.
        """
        if self.key_file and not self.cert_file:
            raise ConfigError("key_file is set without cert_file", hint="set both, or neither")
        context = self._make_verifying_context()
        if self.cert_file:
            self._load_own_certificate(context)
        return context

    def _make_verifying_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=_expand(self.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"ca_file {self.ca_file} can't be used: {_words(error)}",
                hint="it must hold the CA's certificate in PEM",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _load_own_certificate(self, context: ssl.SSLContext) -> None:
        assert self.cert_file is not None
        try:
            context.load_cert_chain(str(_expand(self.cert_file)), _expand(self.key_file), password=_refuse_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            files = self.cert_file + (f" with key_file {self.key_file}" if self.key_file else "")
            raise ConfigError(
                f"cert_file {files} can't be used: {_words(error)}",
                hint="both must be readable PEM files that belong together; the key without a passphrase",
            ) from error


def _expand(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser())


def _refuse_password() -> str:
    # Without this OpenSSL would ask on the terminal, and a service would hang there.
    raise ValueError("the key is protected by a passphrase")


def _words(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
