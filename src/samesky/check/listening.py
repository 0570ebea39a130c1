"""Addresses at which something of ours is to be served."""

import errno
import socket

from ..config import Findings


def check_address(where: str, listen: str, findings: Findings) -> None:
    """Note a ``listen`` that is no HOST:PORT."""
    _, colon, port = listen.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        findings.error(where, f"listen = {listen!r} should be HOST:PORT, such as 127.0.0.1:8080")


def check_listening(where: str, listen: str, findings: Findings) -> None:
    """Note whether ``listen`` (HOST:PORT) can be served at: it is taken for a moment, unless somebody has it."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if port == "0":
        return  # any that is free
    try:
        found = socket.getaddrinfo(host or "127.0.0.1", int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as trying:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            findings.tell(where, f"somebody listens at {listen} already: this one, if it runs")
        else:
            findings.error(where, f"nothing can be served at {listen}: {error.strerror or error}")
    else:
        findings.tell(where, f"{listen} is free")
