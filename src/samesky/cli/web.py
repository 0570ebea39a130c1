"""`samesky web`: a page that shows whether all copies are right."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import configs_option, find_configs, json_option
from .mesh_options import needing
from .systemd import Systemd
from .web_options import read_settings, web_options

if TYPE_CHECKING:
    from ..web.sources import Sources
    from ..web.web_settings import WebSettings


@click.command(
    "web",
    short_help="Show on a page whether all copies are right.",
    epilog="Example: samesky web --config /etc/weewx/weewx.conf",
)
@configs_option
@web_options
@json_option
def command(configs: tuple[Path, ...], as_json: bool, **options: object) -> None:
    """Serve a page about everything of samesky that runs on this machine: stations, mesh, push and blocks.

    It shows at a glance whether every copy is right, how far behind it is, and what to type if it isn't. It reads what
    the running processes have written down, and changes nothing. Runs until Ctrl-C.
    """
    with needing("starlette", "web"), needing("uvicorn", "web"), needing("prometheus_client", "web"):
        from ..web.elsewhere import Elsewhere
        from ..web.noticeboard import open_noticeboard
        from ..web.sources import Sources
    chosen = find_configs(configs)
    settings = read_settings(chosen, options)
    status_dir = options["status_dir"]
    assert status_dir is None or isinstance(status_dir, Path)
    with Elsewhere(chosen) as elsewhere:
        _serve(Sources(chosen, open_noticeboard(status_dir), more=[elsewhere.read]), settings, as_json)


def _serve(sources: "Sources", settings: "WebSettings", as_json: bool) -> None:
    from ..link.web_server import listen, serve
    from ..web.app import make_app
    from ..web.beside import name_address

    app = make_app(sources, settings=settings)
    listening = listen(*settings.address)
    url = name_address(settings, listening.getsockname()[1])
    told = json.dumps({"url": url, "port": listening.getsockname()[1]})

    def tell() -> None:
        click.echo(told if as_json else f"the page is at {url}")
        if not as_json:
            click.echo(f"it shows what is in {sources.describe_places()}", err=True)
        systemd.tell_ready(f"the page is at {url}")

    with Systemd.from_environment() as systemd:
        serve(
            app,
            listening,
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
            started=tell,
            on_turn=systemd.watch("web"),
            ending=app.state.end,
        )
