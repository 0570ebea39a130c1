"""The options that concern signatures, of a primary and of a copy."""

import stat
from collections.abc import Iterable
from pathlib import Path

from ..config import Options
from ..errors import SameskyError
from ..link.signing import import_nacl
from .signatures import TrustSettings
from .signing_keys import COPY_MARK, SecretKey, decode_secret_key, read_trusted_keys

SIGN_OPTIONS = ("sign_key", "sign_key_file")
TRUST_OPTIONS = ("trusted_keys", "require_signature")


def read_sign_key(options: Options, instance: str, *, copy: bool = False) -> SecretKey | None:
    """What to sign with as ``instance``, or as a ``copy`` of it that answers; None: nothing, or mistakes were noted."""
    text = options.secret("sign_key", "SAMESKY_SIGN_KEY")
    if not text:
        return None
    try:
        key = decode_secret_key(text, "sign_key_file")
    except SameskyError as error:
        _note(options, error)
        return None
    names = (instance, instance + COPY_MARK) if copy else (instance,)
    if key.name not in names:
        options.findings.error(
            options.where, f"the key of sign_key_file is {key.name}'s: {' or '.join(names)} needs a key of its own"
        )
    return key


def read_trust(options: Options, instances: Iterable[str]) -> TrustSettings | None:
    """Whose signatures a copy of these instances believes; None: it believes without, or mistakes were noted."""
    text, required = options.path("trusted_keys"), options.flag("require_signature", True)
    if not text:
        if required and options.text("require_signature"):
            options.findings.error(
                options.where, "require_signature = true needs trusted_keys, the file with the primary's public key"
            )
        return None
    path = Path(text).expanduser()
    try:
        import_nacl()
        names = {key.name for key in read_trusted_keys(path).values()}
    except SameskyError as error:
        _note(options, error)
        return None
    for instance in sorted(set(instances) - names):
        options.findings.error(
            options.where, f"trusted_keys = {path} has no key of {instance}: add its line (samesky station key show)"
        )
    if path.stat().st_mode & stat.S_IWOTH:
        options.findings.error(options.where, f"trusted_keys = {path} can be written by everybody: chmod 644 {path}")
    if required and options.integer("protocol", 2, 1, 2) == 1:
        options.findings.error(
            options.where, "protocol = 1 and trusted_keys are both set, and version 1 has no signatures: remove one"
        )
    return TrustSettings(path, required)


def _note(options: Options, error: SameskyError) -> None:
    options.findings.error(options.where, f"{error}{'. ' if error.hint else ''}{error.hint}")
