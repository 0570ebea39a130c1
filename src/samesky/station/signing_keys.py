"""The keys that primaries sign with, and the files they are in.

A secret key is one line, ``secret NAME KEY-ID BASE64``, in a file of its own that nobody else reads; its public key is
the line ``NAME KEY-ID BASE64``, which copies have in their list of trusted keys, as many lines as they like. NAME says
for whom a key speaks: an instance, or, as ``<instance>+copy``, a copy that answers for it. The key id is made from the
public key, so a line that was copied wrongly is noticed. Lines that begin with ``#`` are remarks.
"""

import base64
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..core.strict import Refused, check_topic_level
from ..errors import ConfigError
from ..link.signing import KEY_BYTES, Signer, make_secret

_log = logging.getLogger(__name__)

COPY_MARK = "+copy"
MAX_FILE_BYTES = 1 << 20
LOOK_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key whose signatures are believed, as far as its name goes."""

    name: str
    key_id: str
    public: bytes

    @property
    def instance(self) -> str:
        """The instance that it speaks for."""
        return self.name.removesuffix(COPY_MARK)

    @property
    def is_copys(self) -> bool:
        """Whether it is the key of a copy, which may answer for its primary and no more."""
        return self.name.endswith(COPY_MARK)

    @property
    def line(self) -> str:
        """The line in a list of trusted keys."""
        return f"{self.name} {self.key_id} {base64.b64encode(self.public).decode()}"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key to sign with."""

    name: str
    secret: bytes = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """What others know of it. Raises `SetupError` without PyNaCl."""
        public = Signer(self.secret).public
        return PublicKey(self.name, make_key_id(public), public)


def make_key_id(public: bytes) -> str:
    """16 hexadecimal digits that stand for a public key."""
    return hashlib.blake2b(public, digest_size=8, person=b"samesky key").hexdigest()


def make_key(name: str) -> SecretKey:
    """A new key of that name; raises `ConfigError` for a name that no instance can have."""
    _check_name(name, "the name")
    return SecretKey(name, make_secret())


def write_secret_key(path: Path, key: SecretKey) -> None:
    """Write the key to a new file that only its owner may read; raises `ConfigError` when there is one already."""
    text = (
        f"# The SECRET key of {key.name}: whoever has it can sign as {key.name}.\n"
        f"# Its public line, for the copies: samesky station key show {path.name}\n"
        f"secret {key.name} {key.public.key_id} {base64.b64encode(key.secret).decode()}\n"
    )
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} is there already, and a key isn't written over", hint="Give another name with --file."
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from error
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(text)


def decode_secret_key(text: str, where: str) -> SecretKey:
    """The key in the text of a secret key file; raises `ConfigError` with ``where`` in its message."""
    lines = list(_lines(text))
    if len(lines) != 1 or not lines[0][1].startswith("secret "):
        raise ConfigError(
            f"{where} holds no secret key: one line beginning with 'secret' is expected",
            hint="samesky station key make writes such a file.",
        )
    name, key_id, secret = _fields(lines[0][1].removeprefix("secret "), where)
    key = SecretKey(name, secret)
    if key.public.key_id != key_id:
        raise ConfigError(f"{where}: the key doesn't fit its key id: it was changed or copied wrongly")
    return key


def decode_trusted_keys(text: str, where: str) -> dict[str, PublicKey]:
    """Key id -> key of a list of trusted keys; raises `ConfigError` naming the line."""
    keys: dict[str, PublicKey] = {}
    for number, line in _lines(text):
        place = f"{where}, line {number}"
        if line.startswith("secret "):
            raise ConfigError(
                f"{place}: this is a SECRET key, which mustn't leave its primary",
                hint="samesky station key show prints its public line; make a new key if this file was seen by others.",
            )
        name, key_id, public = _fields(line, place)
        if make_key_id(public) != key_id:
            raise ConfigError(f"{place}: the key doesn't fit its key id: the line was changed or copied wrongly")
        keys[key_id] = PublicKey(name, key_id, public)
    return keys


def read_trusted_keys(path: Path) -> dict[str, PublicKey]:
    """Key id -> key of the list of trusted keys in ``path``; raises `ConfigError`."""
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_FILE_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"trusted_keys = {path} can't be read: {error}") from error
    return decode_trusted_keys(text, str(path))


class TrustedKeys:
    """A list of trusted keys as it is now: a line that is added or removed counts a few seconds later.

    A file that can't be read any more, or has a mistake in it, leaves the keys as they were; the log says so, and
    ``trouble``.
    """

    def __init__(self, path: Path, *, timer: Callable[[], float]) -> None:
        """Raises `ConfigError` for a file that can't be used."""
        self.trouble = ""
        self._path, self._timer = path, timer
        self._mark = self._read_mark()
        self._keys: Mapping[str, PublicKey] = read_trusted_keys(path)
        self._look_at = timer() + LOOK_AGAIN_S

    def find(self, key_id: str) -> PublicKey | None:
        """The trusted key of this id."""
        if self._timer() >= self._look_at:
            self._look()
        return self._keys.get(key_id)

    def _look(self) -> None:
        self._look_at = self._timer() + LOOK_AGAIN_S
        mark = self._read_mark()
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._keys, self.trouble = read_trusted_keys(self._path), ""
            _log.info("trusted_keys_read file=%s keys=%d", self._path, len(self._keys))
        except ConfigError as error:
            self.trouble = f"{error}; the keys that were trusted before are trusted still"
            _log.warning("trusted_keys_not_read error=%r", self.trouble)

    def _read_mark(self) -> tuple[int, ...]:
        try:
            stat = self._path.stat()
        except OSError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _fields(line: str, where: str) -> tuple[str, str, bytes]:
    parts = line.rsplit(None, 2)
    try:
        name, key_id, encoded = parts
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise ConfigError(f"{where}: a key is said as NAME KEY-ID BASE64") from None
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{where}: the key has {len(key)} bytes instead of {KEY_BYTES}")
    _check_name(name, where)
    return name, key_id, key


def _check_name(name: str, where: str) -> None:
    try:
        check_topic_level(name.removesuffix(COPY_MARK))
    except Refused as refusal:
        raise ConfigError(f"{where}: {name[:80]!r} can't be the name of an instance: {refusal}") from refusal
