"""What announcements tell besides new content: removals, renames, links and directories, Sarracenia's ``fileOp``.

Nothing is done here, and a peer does nothing of it unless its user wants that (row 40); but every path that takes part
goes through the checks that any path goes through.
"""

from collections.abc import Mapping
from posixpath import dirname, join, normpath, relpath
from urllib.parse import urlsplit

from ..core.strict import Reason, Refused
from .announcement import Operation
from .paths import check_path

_OPERATIONS: dict[frozenset[str], Operation] = {
    frozenset({"remove"}): "remove",
    frozenset({"directory"}): "mkdir",
    frozenset({"remove", "directory"}): "rmdir",
    frozenset({"link"}): "link",
    frozenset({"rename"}): "rename",
    frozenset({"hlink"}): "put",  # a hard link is a file, and can be fetched like one
}


def decode_operation(value: object, path: str, base_url: str) -> tuple[Operation, str]:
    """Return what ``fileOp`` says is done to ``path``, and the other path that takes part, below the tree as well.

    Raises ``Refused``: TYPE, VERSION (an operation, or several at once, that isn't understood), PATH, RESERVED, URL.
    """
    if type(value) is not dict:
        raise Refused(Reason.TYPE, "fileOp must be an object")
    operation = _OPERATIONS.get(frozenset(value))
    if operation is None:
        raise Refused(Reason.VERSION, "fileOp has an operation that isn't understood")
    if operation == "link":
        return operation, _decode_link(value["link"], path)
    if operation == "rename":
        return operation, _decode_old_path(value["rename"], base_url)
    return operation, ""


def encode_operation(operation: Operation, path: str, target: str) -> Mapping[str, str]:
    """Return ``fileOp`` for ``operation`` (none of content) on ``path``."""
    match operation:
        case "link":
            return {"link": relpath(f"/{target}", f"/{dirname(path)}")}
        case "rename":
            return {"rename": target}
        case "remove":
            return {"remove": ""}
        case "mkdir":
            return {"directory": ""}
        case "rmdir":
            return {"remove": "", "directory": ""}
        case _:
            return {}


def _decode_link(target: object, path: str) -> str:
    """Return where in the tree the link at ``path`` points: it is told relative to the link's directory."""
    if type(target) is not str or not target or target.startswith("/"):
        raise Refused(Reason.PATH, "a link must point to a path inside the tree")
    return check_path(normpath(join(dirname(path), target)))


def _decode_old_path(old: object, base_url: str) -> str:
    """Return a renamed file's former path, or nothing where it can't be told.

    Sarracenia tells where the file was on the announcer's disk. That is below the tree only when it begins as the path
    of baseUrl does (its own rule); a guess could remove another file, so nothing is guessed.
    """
    if type(old) is str and old.startswith("/"):
        folder = _path_of(base_url).rstrip("/") + "/"
        if folder == "/" or not old.startswith(folder):
            return ""
        old = old.removeprefix(folder)
    return check_path(old)


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # such as brackets around what is no IPv6 address
        raise Refused(Reason.URL, "baseUrl isn't a URL") from None
