"""A centre with its server, on a port of this machine, in a thread of the test."""

import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import httpx2

from samesky.link.web_server import listen, make_server
from samesky.push.building import BUILDING
from samesky.push.central import make_app
from samesky.push.central_database import CentralDatabase
from samesky.push.central_settings import CentralSettings, Limits
from samesky.push.keys import Scope
from samesky.push.model import Model
from stands.push_centre import open_centre
from stands.waiting import wait_for

SEND_BUFFER_BYTES = 1 << 16


class PushServer:
    """Serves the database at ``url`` while its ``with`` block runs; makes keys, and speaks HTTP with them."""

    def __init__(
        self, url: str, *, model: Model = BUILDING, limits: Mapping[str, Any] | None = None, base_path: str = ""
    ) -> None:
        self.settings = CentralSettings(
            database=url, base_path=base_path, limits=replace(Limits(), **dict(limits or {}))
        )
        self.model = model
        self.central: CentralDatabase
        self.url = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.central = self._stack.enter_context(open_centre(self.settings.database, self.model))
        listening = listen("127.0.0.1", 0)
        # The system keeps little of an answer, so that a long one is under way until it is read.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = make_server(make_app(self.central, self.settings))
        serving = threading.Thread(target=self.server.run, kwargs={"sockets": [listening]}, name="push-server")
        serving.start()
        self._stack.callback(listening.close)
        self._stack.callback(serving.join)
        self._stack.callback(setattr, self.server, "should_exit", True)
        wait_for(lambda: self.server.started, 60, what="the server", every_s=0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def make_key(self, site: str | None, *scopes: Scope) -> str:
        """A new key of a site, which must be there; of the whole centre for None."""
        found = None if site is None else self.central.sites.find(site)
        return self.central.keys.add(found, scopes=scopes or (Scope.APPEND,)).text

    def client(self, key: str | None = None, **options: Any) -> httpx2.Client:
        """A client that sends ``key``."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        client = httpx2.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False, **options)
        return self._stack.enter_context(client)

    def connect(self) -> socket.socket:
        """A plain connection, for what no client would send."""
        return self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=20))
