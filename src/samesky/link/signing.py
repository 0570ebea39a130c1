"""Ed25519 signatures (RFC 8032): the only import of PyNaCl, and only when something is signed or checked.

What is signed is a digest (BLAKE2b, 64 bytes) of what is to be said: Ed25519 goes over its input twice to sign and
once to check, and over a page of a mebibyte that takes four times as long as to digest it once.
"""

import hashlib
import secrets
from collections.abc import Iterable
from types import ModuleType

from ..errors import SetupError

KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Signer:
    """A secret key that signs."""

    def __init__(self, secret: bytes) -> None:
        """Raises `SetupError` without PyNaCl; ``secret`` is the key's 32 bytes."""
        self._key = import_nacl().SigningKey(secret)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return bytes(self._key.verify_key)

    def sign(self, digest: bytes) -> bytes:
        """The signature of ``digest``, 64 bytes; the same for the same digest."""
        return bytes(self._key.sign(digest).signature)


class Verifier:
    """A public key that checks signatures."""

    def __init__(self, public: bytes) -> None:
        """Raises `SetupError` without PyNaCl; ``public`` is the key's 32 bytes."""
        self._key = import_nacl().VerifyKey(public)

    def is_right(self, digest: bytes, signature: bytes) -> bool:
        """Whether ``signature`` of ``digest`` was made with this key's secret."""
        try:
            self._key.verify(digest, signature)
        except Exception:  # PyNaCl has several, and none of them means that the signature is right
            return False
        return True


def make_secret() -> bytes:
    """A new secret key."""
    return secrets.token_bytes(KEY_BYTES)


def digest_fields(context: bytes, fields: Iterable[bytes]) -> bytes:
    """A digest of ``fields``, each with its length before it, so that no two lists of fields have the same one.

    ``context`` says what the digest is for (16 bytes at most): one made for something else is another one.
    """
    digest = hashlib.blake2b(person=context)
    for field in fields:
        digest.update(len(field).to_bytes(8, "big"))
        digest.update(field)
    return digest.digest()


def import_nacl() -> ModuleType:
    """PyNaCl's signing; raises `SetupError` when it isn't installed."""
    try:
        import nacl.signing as signing
    except ImportError as error:
        raise SetupError(
            "signatures are configured, but the library PyNaCl isn't installed",
            hint="apt install python3-nacl, or pip install PyNaCl into the Python that runs this",
        ) from error
    return signing
