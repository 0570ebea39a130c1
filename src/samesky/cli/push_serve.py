"""`samesky push serve`: the central server."""

import json
from contextlib import ExitStack
from pathlib import Path

import click

from .configuration import json_option
from .mesh_options import ON_THIS_MACHINE, Listen, needing
from .push_options import Centre, centre_options, open_central, read_centre
from .systemd import Systemd
from .web_options import beside_options, page_beside


@click.command(
    "serve",
    short_help="Serve the centre.",
    epilog="Example: samesky push serve --database postgresql://samesky@localhost/central --listen 127.0.0.1:6543",
)
@centre_options
@click.option(
    "-l",
    "--listen",
    type=ON_THIS_MACHINE,
    help="Where to listen; 0.0.0.0:6543 is all addresses, port 0 a free one (default: this machine alone, 6543).",
)
@click.option("--base-path", metavar="PATH", help="Where a proxy puts the server, such as /building.")
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Serve HTTPS with this certificate, in PEM, the authorities that sign it behind it.",
)
@click.option(
    "--tls-key", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Its key, if it isn't in that file."
)
@beside_options
@json_option
def command(
    config: Path | None,
    database: str | None,
    database_password_file: Path | None,
    listen: Listen | None,
    base_path: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    web: Listen | None,
    web_token_file: Path | None,
    status_dir: Path | None,
    as_json: bool,
) -> None:
    """Serve the central database to pushers and to whoever else has a key, until Ctrl-C.

    Its tables are made, or brought up to date, at the start. Keys are made by `samesky push key`. Whoever isn't on this
    machine should come by HTTPS: give a certificate here, or put a web server in front that has one.
    """
    centre = read_centre(
        config, database, database_password_file, base_path=base_path, tls_cert=tls_cert, tls_key=tls_key
    )
    where = listen or ON_THIS_MACHINE.convert(centre.settings.listen, None, None)
    configs = [config] if config else []
    with page_beside(web, web_token_file, configs=configs, status_dir=status_dir, quiet=as_json):
        _serve(centre, where, status_dir, as_json)


_UNENCRYPTED = (
    "samesky: keys and rows travel unencrypted to this server\n"
    "  what to do: give a certificate with --tls-cert, or listen on 127.0.0.1 behind a web server that has one"
)


def _serve(centre: Centre, where: Listen, status_dir: Path | None, as_json: bool) -> None:
    with needing("fastapi", "push"), needing("uvicorn", "push"):
        from ..link.urls import is_loopback
        from ..link.web_server import listen, serve
        from ..push.central import make_app
        from ..push.site_snapshot import FleetSnapshots
    from ..web.posting import posting

    settings = centre.settings
    with open_central(centre) as central, Systemd.from_environment() as systemd, ExitStack() as stack:
        owner = f"push serve {central.database.name}"
        stack.enter_context(posting(owner, FleetSnapshots(central.read_fleet), status_dir=status_dir))
        listening = listen(where.host, where.port)
        url = Listen(where.host, listening.getsockname()[1]).url
        url = f"{url.replace('http:', 'https:', 1) if settings.tls_cert else url}{settings.base_path.lstrip('/')}"
        if not settings.tls_cert and not is_loopback(where.host):
            click.echo(_UNENCRYPTED, err=True)
        told = json.dumps({"url": url, "port": listening.getsockname()[1], "database": central.database.name})
        words = f"serving {central.database.name} at {url}"
        serve(
            make_app(central, settings),
            listening,
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
            started=lambda: _tell_started(systemd, words, told if as_json else words),
            on_turn=systemd.watch("push-serve"),
        )


def _tell_started(systemd: Systemd, words: str, told: str) -> None:
    click.echo(told)
    systemd.tell_ready(words)
