"""What two peers say to each other when they compare their trees: questions and answers, as JSON over MQTT 5.

The one who asks drives; the one who answers remembers nothing. A question names directories and the sum it expects of
each with all below it, so two equal trees need one question and one answer. Where a sum is another, the answer has the
directory's own files and its children one by one; at the bottom the question lists short marks of the files that the
asker has, and the answer has those files whose marks weren't among them, with all that an announcement needs::

    {"samesky": 1, "ask": "directories", "from": "<node>", "directories": [["20261121/CWAO", 612, "<base64>"]]}
    {"samesky": 1, "ask": "files", "from": "<node>", "files": [["20261121/CWAO", "", "", "<base64 of marks>"]]}

A sum is a count and 16 bytes; a question goes to ``<exchange>/samesky/ask``, its MQTT correlation data is the nonce of
its marks, its response topic ``<exchange>/samesky/answer/<client id>``. Neither is ever longer than 64 KiB.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.strict import Reason, Refused, decode_json_object
from ..core.timetree import Sum
from .announcement import METHODS, Entry, Integrity
from .directory_sums import MARK_BYTES
from .index import join_path

VERSION = 1
MOST_BYTES = 64 << 10
ROOM_BYTES = MOST_BYTES - 2048
"""For the lists in a message; what is left is for what is around them."""
MOST_PATH_BYTES = 1024
MOST_NAME_LENGTH = 255
CONTENT_BYTES = 64
CONTENT_TYPE = "application/json"
NO_SUM = Sum(-1, 0)
"""Expected of a directory, in order to be told of it whatever it has."""
_ENTRY_BYTES = 160
"""What a file takes in an answer, besides its name, its checksum when that isn't its SHA-512, and what came along."""

Op = Literal["directories", "files"]


@dataclass(frozen=True, slots=True)
class DirectoryQuestion:
    """Is what is in and below ``path`` as ``expected``? If not, what is it: its own files, its children."""

    path: str
    expected: Sum
    after: str = ""
    """Tell only of children behind this name: the rest of an answer that was too long."""


@dataclass(frozen=True, slots=True)
class FilesQuestion:
    """Which files of ``path`` itself, by names behind ``after`` and up to ``upto``, aren't those of ``marks``?"""

    path: str
    after: str = ""
    upto: str = ""
    """Empty: to the end."""
    marks: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One question: about directories, or about files, of as many directories as one likes."""

    node: str
    """Who asks: the id of its tree."""
    to: str = ""
    """Who shall answer; empty: whoever is there."""
    directories: tuple[DirectoryQuestion, ...] = ()
    files: tuple[FilesQuestion, ...] = ()


@dataclass(frozen=True, slots=True)
class DirectoryAnswer:
    """What is in and below one directory."""

    path: str
    whole: Sum
    files: Sum | None = None
    """Of the directory's own entries. None: all is as expected, and nothing more is said."""
    children: tuple[tuple[str, Sum], ...] = ()
    """Name, and the sum of all in and below it; in order of names."""
    more: bool = False
    """Whether there are children behind these."""


@dataclass(frozen=True, slots=True)
class FilesAnswer:
    """What is in one directory and wasn't among the marks, and which of the marks aren't there."""

    path: str
    reached: str
    """The last name that was looked at; empty when everything that was asked for was."""
    absent: frozenset[int]
    """The places of marks that nothing there has; says nothing of those of names behind ``reached``."""
    entries: tuple[Entry, ...]
    """In order of names; ``mtime_ns`` is 0."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: to as many of the question's parts as there was room for, at least one, in their order."""

    node: str
    base_url: str = ""
    """Where the tree of the one who answers can be fetched from; empty when it has no web server."""
    newest: int = 0
    """The latest pub_time that it knows, in nanoseconds since 1970."""
    directories: tuple[DirectoryAnswer, ...] = ()
    files: tuple[FilesAnswer, ...] = ()
    busy_s: int = 0
    """Nothing is answered now: ask again after so many seconds."""


# ---------------------------------------------------------------------- encoding


def encode_question(question: Question) -> bytes:
    """The payload of ``question``."""
    head: dict[str, object] = {"samesky": VERSION, "ask": "files" if question.files else "directories"}
    head["from"] = question.node
    if question.to:
        head["to"] = question.to
    if question.files:
        head["files"] = [[each.path, each.after, each.upto, _base64(b"".join(each.marks))] for each in question.files]
    else:
        head["directories"] = [
            [each.path, *_sum_json(each.expected), *([each.after] if each.after else [])]
            for each in question.directories
        ]
    return _dump(head).encode()


def encode_answer(answer: Answer) -> bytes:
    """The payload of ``answer``."""
    head: dict[str, object] = {"samesky": VERSION, "answer": "files" if answer.files else "directories"}
    head["from"] = answer.node
    if answer.busy_s:
        return _dump(head | {"answer": "busy", "seconds": answer.busy_s}).encode()
    head |= {"base": answer.base_url, "newest": answer.newest}
    if answer.files:
        head["files"] = [_files_json(each) for each in answer.files]
    else:
        head["directories"] = [_directory_json(each) for each in answer.directories]
    return _dump(head).encode()


def most_size(entry: Entry) -> int:
    """How many bytes ``entry`` takes in an answer at most."""
    integrity = len(_told_digest(entry)) * 4 // 3 + 4
    extra = len(_dump(dict(entry.extra)).encode()) if entry.extra else 0
    return text_size(entry.path.rpartition("/")[2]) + _ENTRY_BYTES + integrity + extra


def text_size(text: str) -> int:
    """How many bytes ``text`` takes in a message."""
    return len(_dump(text).encode()) + 1


def _directory_json(each: DirectoryAnswer) -> list[object]:
    if each.files is None:
        return [each.path, *_sum_json(each.whole)]
    children = [[name, *_sum_json(child)] for name, child in each.children]
    return [each.path, *_sum_json(each.whole), *_sum_json(each.files), children, each.more]


def _files_json(each: FilesAnswer) -> list[object]:
    bits = bytearray(max(each.absent, default=-1) // 8 + 1)
    for place in each.absent:
        bits[place >> 3] |= 1 << (place & 7)
    return [each.path, each.reached, _base64(bytes(bits)), [_entry_json(entry) for entry in each.entries]]


def _entry_json(entry: Entry) -> list[object]:
    name = entry.path.rpartition("/")[2]
    if entry.state == "removed":
        return [name, entry.pub_time]
    method = entry.integrity.method if entry.integrity else ""
    told = [name, entry.pub_time, entry.size, _base64(entry.content), method, _base64(_told_digest(entry))]
    return [*told, dict(entry.extra)] if entry.extra else told


def _told_digest(entry: Entry) -> bytes:
    """The checksum that it was announced with; empty when that is its SHA-512, which is told anyway."""
    integrity = entry.integrity
    if integrity is None or (integrity.method == "sha512" and integrity.digest == entry.content):
        return b""
    return integrity.digest


def _sum_json(each: Sum) -> tuple[int, str]:
    return each.count, _base64(each.total.to_bytes(16, "big"))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _dump(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


# ---------------------------------------------------------------------- decoding


def decode_question(payload: bytes) -> Question:
    """The question in ``payload``; raises `Refused`."""
    document = _decode_head(payload)
    node, to = _text(document.get("from"), 64), _text(document.get("to", ""), 64)
    match document.get("ask"):
        case "directories":
            return Question(node, to, directories=tuple(map(_directory_question, _parts(document, "directories"))))
        case "files":
            return Question(node, to, files=tuple(map(_files_question, _parts(document, "files"))))
    raise Refused(Reason.BAD_REQUEST, "a question of an unknown kind")


def decode_answer(payload: bytes) -> Answer:
    """The answer in ``payload``; raises `Refused`. Paths in it are texts without NUL, and nothing more is proven."""
    document = _decode_head(payload)
    node = _text(document.get("from"), 64)
    if document.get("answer") == "busy":
        return Answer(node, busy_s=_integer(document.get("seconds"), most=3600))
    base_url, newest = _text(document.get("base"), 2048), _integer(document.get("newest"))
    match document.get("answer"):
        case "directories":
            directories = tuple(map(_directory_answer, _parts(document, "directories")))
            return Answer(node, base_url, newest, directories=directories)
        case "files":
            return Answer(node, base_url, newest, files=tuple(map(_files_answer, _parts(document, "files"))))
    raise Refused(Reason.SHAPE, "an answer of an unknown kind")


def _decode_head(payload: bytes) -> dict[str, object]:
    document = decode_json_object(payload, max_bytes=MOST_BYTES)
    if document.get("samesky") != VERSION or isinstance(document.get("samesky"), bool):
        raise Refused(Reason.VERSION, "a comparison in another version than ours")
    return document


def _directory_question(part: Sequence[object]) -> DirectoryQuestion:
    if len(part) not in (3, 4):
        raise Refused(Reason.SHAPE, "a question about a directory has 3 or 4 parts")
    # Expected is what is here and what was explained: after a change the count may be anything.
    expected = _sum(part[1], part[2], least=-(1 << 62))
    return DirectoryQuestion(_path(part[0]), expected, _name(part[3]) if len(part) == 4 else "")


def _files_question(part: Sequence[object]) -> FilesQuestion:
    if len(part) != 4:
        raise Refused(Reason.SHAPE, "a question about files has 4 parts")
    path, after, upto = _path(part[0]), _name(part[1]), _name(part[2])
    marks = _bytes(part[3])
    if len(marks) % MARK_BYTES or (upto and upto <= after):
        raise Refused(Reason.SHAPE, "a question about files with half a mark, or about none")
    return FilesQuestion(path, after, upto, tuple(_cut(marks, MARK_BYTES)))


def _directory_answer(part: Sequence[object]) -> DirectoryAnswer:
    if len(part) == 3:
        return DirectoryAnswer(_path(part[0]), _sum(part[1], part[2]))
    if len(part) != 7 or not isinstance(part[5], list) or not isinstance(part[6], bool):
        raise Refused(Reason.SHAPE, "an answer about a directory has 3 or 7 parts")
    children = []
    for child in part[5]:
        if not isinstance(child, list) or len(child) != 3:
            raise Refused(Reason.SHAPE, "a directory in an answer has 3 parts")
        children.append((_name(child[0], empty=False), _sum(child[1], child[2], least=1)))
    _check_order([name for name, _ in children])
    return DirectoryAnswer(
        _path(part[0]), _sum(part[1], part[2]), _sum(part[3], part[4]), tuple(children), more=part[6]
    )


def _files_answer(part: Sequence[object]) -> FilesAnswer:
    if len(part) != 4 or not isinstance(part[3], list):
        raise Refused(Reason.SHAPE, "an answer about files has 4 parts")
    path, bits = _path(part[0]), _bytes(part[2])
    entries = tuple([_entry(path, each) for each in part[3]])
    _check_order([entry.path for entry in entries])
    absent = frozenset(place for place in range(len(bits) * 8) if bits[place >> 3] >> (place & 7) & 1)
    return FilesAnswer(path, _name(part[1]), absent, entries)


def _entry(directory: str, part: object) -> Entry:
    if not isinstance(part, list) or len(part) not in (2, 6, 7):
        raise Refused(Reason.SHAPE, "a file in an answer has 2, 6 or 7 parts")
    # A file may be older than 1970 there: that is for the one who compares to refuse, not the whole answer.
    path, pub_time = join_path(directory, _name(part[0], empty=False)), _integer(part[1], least=-(1 << 63))
    if len(part) == 2:
        return Entry(path, pub_time, None, 0, 0, state="removed")
    size, content, extra = _integer(part[2]), _bytes(part[3]), part[6] if len(part) == 7 else {}
    if len(content) != CONTENT_BYTES or not isinstance(extra, dict):
        raise Refused(Reason.SHAPE, "a file in an answer without its SHA-512, or with something odd")
    integrity = _integrity(part[4], _bytes(part[5]), content)
    return Entry(path, pub_time, integrity, size, 0, content, extra=extra)


def _integrity(method: object, digest: bytes, content: bytes) -> Integrity | None:
    if method == "" and not digest:
        return None
    if not isinstance(method, str) or method not in METHODS:
        raise Refused(Reason.CHECKSUM, "a file in an answer with a checksum of an unknown kind")
    digest = digest or (content if method == "sha512" else b"")
    if len(digest) != METHODS[method]().digest_size:
        raise Refused(Reason.CHECKSUM, "a file in an answer with a checksum of the wrong length")
    return Integrity(method, digest)


def _parts(document: dict[str, object], name: Op) -> Iterator[Sequence[object]]:
    parts = document.get(name)
    if not isinstance(parts, list) or not parts:
        raise Refused(Reason.SHAPE, "a question or answer about nothing")
    for part in parts:
        if not isinstance(part, list):
            raise Refused(Reason.SHAPE, "a part of a question or answer is no list")
        yield part


def _check_order(names: Iterable[str]) -> None:
    last = ""
    for name in names:
        if name <= last:
            raise Refused(Reason.SHAPE, "names in an answer aren't in order")
        last = name


def _sum(count: object, total: object, *, least: int = 0) -> Sum:
    content = _bytes(total)
    if len(content) != 16:
        raise Refused(Reason.SHAPE, "a sum doesn't have 16 bytes")
    return Sum(_integer(count, least=least), int.from_bytes(content, "big"))


def _integer(value: object, *, least: int = 0, most: int = (1 << 63) - 1) -> int:
    if type(value) is not int:
        raise Refused(Reason.TYPE, "a whole number was expected")
    if not least <= value <= most:
        raise Refused(Reason.RANGE, "a number is out of its range")
    return value


def _text(value: object, most: int) -> str:
    if not isinstance(value, str):
        raise Refused(Reason.TYPE, "a text was expected")
    if len(value) > most or (value and not value.isprintable()):
        raise Refused(Reason.SHAPE, "a text is too long, or has controls in it")
    return value


def _path(value: object) -> str:
    if not isinstance(value, str):
        raise Refused(Reason.TYPE, "a path was expected")
    if len(value) > MOST_PATH_BYTES or "\0" in value:
        raise Refused(Reason.PATH, "a path is too long, or has a NUL in it")
    return value


def _name(value: object, *, empty: bool = True) -> str:
    name = _path(value)
    if len(name) > MOST_NAME_LENGTH or "/" in name or not (name or empty):
        raise Refused(Reason.PATH, "a name is too long, empty, or has a slash in it")
    return name


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise Refused(Reason.TYPE, "base64 was expected")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Reason.ENCODING, "a text isn't base64") from None


def _cut(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))
