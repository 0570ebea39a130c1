"""The page beside other work: served by a thread of its own while a ``with`` block runs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ..errors import ConfigError
from ..link.web_server import listen, make_server
from .app import make_app
from .elsewhere import Elsewhere
from .noticeboard import open_noticeboard
from .sources import Sources
from .web_settings import WebSettings

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 10.0


@contextmanager
def serve_beside(
    *,
    settings: WebSettings,
    configs: Sequence[Path] = (),
    status_dir: Path | None = None,
) -> Iterator[str]:
    """Serve the page in a thread while the ``with`` block runs, and yield its address.

    It shows what ``configs`` and the noticeboard say, on which this process posts what it does, as every other one.
    Work that runs on an asyncio loop may use this as it is: nothing here waits but the start and the end. Raises
    `ConfigError` when the address or the certificate can't be used.
    """
    with Elsewhere(configs) as elsewhere, closing(listen(*settings.address)) as listening:
        sources = Sources(configs, open_noticeboard(status_dir), more=[elsewhere.read])
        app = make_app(sources, settings=settings)
        started = threading.Event()
        server = make_server(
            app,
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
            started=started.set,
            ending=app.state.end,
        )

        def run() -> None:
            try:
                server.run(sockets=[listening])
            finally:
                started.set()  # or it never will

        thread = threading.Thread(target=run, name="page", daemon=True)
        thread.start()
        try:
            if not started.wait(START_TIMEOUT_S) or not server.started:
                raise ConfigError("the page didn't start; the log says why")
            yield name_address(settings, listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(END_TIMEOUT_S)


def name_address(settings: WebSettings, port: int) -> str:
    """Return the page's URL, by which this machine at least reaches it."""
    host = settings.address[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{port}/"
