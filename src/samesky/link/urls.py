"""Which URLs are fetched at all: `UrlRules` checks the text, then the very address that is connected to.

An announcement says where a file is, and anybody may have written it. So a URL is taken only in its plain form, and a
name is believed only after it was resolved, by its address: no machine of the local network is asked on a stranger's
word, unless the user named that host himself (row 41 of the design's table of bad inputs).
"""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ..core.strict import Reason, Refused

MAX_URL_LENGTH = 8000
"""What servers take as a request line; a path of 1,024 bytes, each percent-encoded, is shorter."""
DEFAULT_PORTS = {"http": 80, "https": 443}
ANY_PUBLIC = "*"
_MOST_ORIGINS = 1024


class Origin(NamedTuple):
    """Whom to ask: one server, and the way to speak to it."""

    scheme: str
    host: str
    """In lower case, without a dot behind; an IPv6 address without brackets."""
    port: int

    @property
    def authority(self) -> str:
        """As a Host field has it: the port only when it isn't the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Url(NamedTuple):
    """A URL that was checked."""

    origin: Origin
    target: str
    """Path and query as they are sent."""


@dataclass(frozen=True, slots=True)
class UrlRules:
    """What may be fetched.

    ``hosts`` None admits every host with a public address. Else only the hosts named in it are admitted: a name or
    address stands for itself, at whatever address it has, loopback and the local network included; ``*.example.org``
    for every name below, and ``*`` for every host, both at public addresses only. ``allow_private`` counts loopback
    and local networks (not link-local, where clouds keep their keys) as public.
    """

    schemes: tuple[str, ...] = ("http", "https")
    hosts: tuple[str, ...] | None = None
    allow_private: bool = False
    _origins: dict[str, Origin] = field(default_factory=dict, init=False, repr=False, compare=False)

    def check_url(self, text: str) -> Url:
        """Return ``text`` taken apart; raises ``Refused`` (URL) when it isn't to be fetched, as far as the text tells.

        Refused are other schemes, user names and passwords, fragments, anything but the ASCII that RFC 3986 allows,
        incomplete percent sequences, and numbers as hosts that aren't four decimal bytes (``127.1``, ``0x7f000001``).
        """
        match = _URL.fullmatch(text) if len(text) <= MAX_URL_LENGTH else None
        if match is None:
            raise Refused(Reason.URL, f"a URL must be {' or '.join(self.schemes)}, plain ASCII and not too long")
        start, target = match.groups()
        origin = self._origins.get(start) or self._check_origin(start)
        return Url(origin, target if target.startswith("/") else f"/{target}")

    def check_address(self, host: str, address: str) -> None:
        """Raise ``Refused`` (URL) unless ``host``, resolved to ``address`` (no name), may be connected to.

        No rule allows multicast, broadcast or unspecified addresses.
        """
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            raise Refused(Reason.URL, "the host's address isn't an IP address") from None
        if _is_in(parsed, _NEVER):
            raise Refused(Reason.URL, f"{parsed} isn't the address of one machine")
        if self._names(host) or _is_public(parsed) or (self.allow_private and _is_in(parsed, _PRIVATE)):
            return
        raise Refused(Reason.URL, f"{parsed} isn't a public address, and its host isn't among the allowed hosts")

    def _check_origin(self, start: str) -> Origin:
        match = _ORIGIN.fullmatch(start)
        if match is None:
            raise Refused(Reason.URL, "a URL needs a host, and must have no user name or password")
        scheme, host, port = match[1].lower(), match[2].lower(), match[3]
        if scheme not in self.schemes or scheme not in DEFAULT_PORTS:
            raise Refused(Reason.URL, f"a URL must be {' or '.join(self.schemes)}")
        origin = Origin(scheme, check_host(host), int(port) if port else DEFAULT_PORTS[scheme])
        if not 0 < origin.port < 65536:
            raise Refused(Reason.URL, "a URL's port must be 1 to 65535")
        if not self._admits(origin.host):
            raise Refused(Reason.URL, "the host isn't among the allowed hosts")
        if ":" in origin.host or _ENDS_IN_NUMBER.search(origin.host):
            self.check_address(origin.host, origin.host)
        if len(self._origins) >= _MOST_ORIGINS:
            self._origins.clear()
        self._origins[start] = origin
        return origin

    def _names(self, host: str) -> bool:
        return self.hosts is not None and any(_same_host(named, host) for named in self.hosts)

    def _admits(self, host: str) -> bool:
        if self.hosts is None or ANY_PUBLIC in self.hosts or self._names(host):
            return True
        return any(named.startswith("*.") and host.endswith(named[1:].lower()) for named in self.hosts)


def check_host(host: str) -> str:
    """Return ``host`` (a name, an IPv4 address, or an IPv6 address in brackets) in its one form, without brackets.

    Raises ``Refused`` (URL). Who resolves names takes ``127.1``, ``2130706433`` and ``0x7f.1`` for addresses; we don't.
    """
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(host[1:-1]))
        host = host.removesuffix(".").lower()
        if _ENDS_IN_NUMBER.search(host):
            return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise Refused(Reason.URL, "the host is a number, but not a proper address") from None
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise Refused(Reason.URL, "the host is neither a name nor an address")
    return host


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address without brackets, is this machine, as it calls itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _same_host(named: str, host: str) -> bool:
    return named.strip("[]").removesuffix(".").lower() == host


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """By IANA's registries of special addresses, which Python's ``is_global`` follows only in part, and not always."""
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False
    return not _is_in(address, _PRIVATE) and not _is_in(address, _SPECIAL)


def _is_in(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
) -> bool:
    return any(address in network for network in networks)


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


_URL = re.compile(r"([A-Za-z]++://[^/?#\\\s]++)((?:[/?](?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]++|%[0-9A-Fa-f]{2})*+)?)")
_ORIGIN = re.compile(r"([A-Za-z]+)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$")

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # thus no ::ffff:0:0/96, no 64:ff9b::/96, no fe80::/10 …
_NEVER = _networks("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8")
_PRIVATE = _networks(
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *("::1/128", "fc00::/7"),
)
_SPECIAL = _networks(
    *("169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),  # Teredo, documentation, 6to4
)
