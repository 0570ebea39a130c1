"""Signed messages: a copy that trusts keys believes its primary, and not whoever may publish on the broker.

A signature covers the payload, every user property (those of version 2 say stream, kind, origin and position), what the
message is (a record, a summary, a LOOP packet, an answer), its content type and correlation, and for an answer all of
the question: so what was said once can't be said again of something else. The sequence number rises with each message
that a key signs; what comes live is taken once.

A copy's questions have correlations that nobody can guess, so an answer is fresh. What the primary says of its sequence
in a description holds for what comes live: older messages are old ones, sent again. A primary whose clock was turned
back is understood by the same way.
"""

import base64
import binascii
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ..core.strict import Reason, Refused
from ..link.message import Message
from ..link.signing import SIGNATURE_BYTES, Signer, Verifier, digest_fields
from .envelope import decode_property, decode_stream, open_envelope
from .signing_keys import PublicKey, SecretKey, TrustedKeys

Purpose = Literal["answer", "record", "summary", "loop"]

CONTEXT = b"samesky station1"
MOST_QUESTIONS = 256
"""Questions of which the answer may still come; a copy has two open for each stream."""
MOST_SEEN = 2048
MAX_SEQUENCE = 1 << 63


class Signing:
    """Signs what one process publishes; from any thread."""

    def __init__(self, key: SecretKey, *, clock: Callable[[], float] = time.time) -> None:
        """Raises `SetupError` without PyNaCl."""
        self._signer = Signer(key.secret)
        self._key_id = key.public.key_id
        self._clock = clock
        self._lock = threading.Lock()
        self._sequence = 0

    def sign(self, message: Message, purpose: Purpose, asked: bytes = b"") -> Message:
        """``message``, signed; an answer with the digest of what was ``asked`` (`digest_question`)."""
        marks = (("seq", str(self._next())), ("key", self._key_id))
        marked = replace(message, properties=(*message.properties, *marks))
        signature = self._signer.sign(_digest(marked, dict(marked.properties), purpose, asked))
        said = ("signature", base64.b64encode(signature).decode())
        return replace(marked, properties=(*marked.properties, said))

    def _next(self) -> int:
        """Higher than the last one, and after a restart too, for it follows the clock."""
        with self._lock:
            self._sequence = max(self._sequence + 1, int(self._clock() * 1e6))
            return self._sequence


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """Whom a copy believes."""

    trusted_keys: Path
    required: bool = True
    """Whether a message without a signature is refused; where not, a wrong one of a trusted key still is."""


@dataclass(slots=True)
class _Window:
    """The sequence numbers of what came live: those up to ``floor`` are old, of those above each is taken once."""

    floor: int = 0
    seen: set[int] = field(default_factory=set)

    def take(self, sequence: int) -> bool:
        """Whether this one is new; from now on it isn't."""
        if sequence <= self.floor or sequence in self.seen:
            return False
        self.seen.add(sequence)
        if len(self.seen) > MOST_SEEN:
            self.floor = sorted(self.seen)[MOST_SEEN // 2]
            self.seen = {each for each in self.seen if each > self.floor}
        return True

    def on_answer(self, sequence: int, *, raises: bool) -> None:
        """An answer, which is fresh, has this number; whether it ``raises`` the floor. It lowers it in any case."""
        if sequence <= self.floor:
            self.floor, self.seen = sequence - 1, set()
        elif raises:
            self.floor = sequence


class Trust:
    """Checks what a copy gets. Belongs to one thread."""

    def __init__(self, settings: TrustSettings, *, timer: Callable[[], float] = time.monotonic) -> None:
        """Raises `ConfigError` for a list of keys that can't be used, `SetupError` without PyNaCl."""
        self.keys = TrustedKeys(settings.trusted_keys, timer=timer)
        self.unsigned = 0
        """Messages that were taken without a proof, where none is required."""
        self._required = settings.required
        self._questions: OrderedDict[bytes, bytes] = OrderedDict()
        self._verifiers: dict[str, Verifier] = {}
        self._windows: dict[tuple[str, str], _Window] = {}

    def note_question(self, message: Message) -> None:
        """This question is published; its answer has to be about it."""
        if message.correlation:
            self._questions[message.correlation] = digest_question(message)
            while len(self._questions) > MOST_QUESTIONS:
                self._questions.popitem(last=False)

    def check(self, message: Message, purpose: Purpose) -> None:
        """Refuse a message that isn't signed by a key that speaks for its stream, or that was here before.

        Raises `Refused`: sig, scope, replay, uncorrelated, and what `envelope.open_envelope` finds.
        """
        properties = open_envelope(message)
        stream = decode_stream(properties)
        key = self._find_key(properties)
        if key is None:
            self._take_unproven(properties)
            return
        asked = self._question_of(message) if purpose == "answer" else b""
        self._check_signature(message, properties, key, purpose, asked)
        _check_scope(key, stream, properties, purpose)
        sequence = decode_property(properties, "seq", 1, MAX_SEQUENCE)
        window = self._windows.setdefault((key.key_id, stream), _Window())
        if purpose == "answer":
            window.on_answer(sequence, raises=properties.get("kind") == "description")
        elif not window.take(sequence):
            raise Refused(Reason.REPLAY, "a signed message that was here before, or is older than what came since")

    def is_outdated(self, message: Message) -> bool:
        """Whether a message refused as a replay is one whose key is further on than it, by what was said before.

        So are old messages that somebody sends again, and all of a primary whose clock was turned back: its next
        description tells which.
        """
        properties = open_envelope(message)
        window = self._windows[properties["key"], decode_stream(properties)]
        return decode_property(properties, "seq", 1, MAX_SEQUENCE) not in window.seen

    # ------------------------------------------------------------------ parts

    def _find_key(self, properties: Mapping[str, str]) -> PublicKey | None:
        """The trusted key that the message says it is signed with."""
        key_id = properties.get("key", "")
        return self.keys.find(key_id) if "signature" in properties else None

    def _take_unproven(self, properties: Mapping[str, str]) -> None:
        if not self._required:
            self.unsigned += 1
            return
        if "signature" not in properties:
            raise Refused(
                Reason.SIG,
                "the message isn't signed, and signatures are required here",
                hint="Give the primary a key (samesky station key make, then sign_key_file), or write "
                "require_signature = false here.",
            )
        raise Refused(
            Reason.SIG,
            f"the message is signed with the key {_quote(properties.get('key', ''))}, which isn't trusted here",
            hint="If that is the primary's new key, add its line to the file that trusted_keys names.",
        )

    def _question_of(self, message: Message) -> bytes:
        asked = self._questions.get(message.correlation or b"")
        if asked is None:
            raise Refused(Reason.UNCORRELATED, "an answer to a question that wasn't asked here")
        return asked

    def _check_signature(
        self, message: Message, properties: Mapping[str, str], key: PublicKey, purpose: Purpose, asked: bytes
    ) -> None:
        said = {name: value for name, value in properties.items() if name != "signature"}
        verifier = self._verifiers.get(key.key_id) or self._verifiers.setdefault(key.key_id, Verifier(key.public))
        signature = _decode_signature(properties["signature"])
        if not verifier.is_right(_digest(message, said, purpose, asked), signature):
            raise Refused(
                Reason.SIG, f"the signature isn't that of the key {key.key_id}: the message was forged, or changed"
            )


def digest_question(message: Message) -> bytes:
    """What an answer's signature says of its question: all of it."""
    properties = sorted(dict(reversed(message.properties)).items())
    said = [part.encode("utf-8", "surrogatepass") for each in properties for part in each]
    reply_to = (message.response_topic or "").encode("utf-8", "surrogatepass")
    return digest_fields(CONTEXT, [b"question", reply_to, message.correlation or b"", message.payload, *said])


def _digest(message: Message, properties: Mapping[str, str], purpose: Purpose, asked: bytes) -> bytes:
    """What is signed. ``properties`` are all but the signature itself."""
    head = [purpose.encode(), asked, message.correlation or b"", (message.content_type or "").encode()]
    said = [part.encode("utf-8", "surrogatepass") for each in sorted(properties.items()) for part in each]
    return digest_fields(CONTEXT, [*head, message.payload, *said])


def _check_scope(key: PublicKey, stream: str, properties: Mapping[str, str], purpose: Purpose) -> None:
    instance = stream.partition("/")[0]
    if key.instance != instance:
        raise Refused(Reason.SCOPE, f"the key {key.key_id} is {key.name}'s, and doesn't speak for {instance}")
    if key.is_copys and not (purpose == "answer" and ("copy" in properties or properties.get("kind") == "error")):
        raise Refused(Reason.SCOPE, f"the key {key.key_id} is a copy's, and this is the primary's to say")


def _decode_signature(text: str) -> bytes:
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if len(signature) != SIGNATURE_BYTES:
        raise Refused(Reason.SIG, f"the signature is no {SIGNATURE_BYTES} bytes in base64")
    return signature


def _quote(key_id: str) -> str:
    return key_id if re.fullmatch("[0-9a-f]{16}", key_id) else "(no key id)"
