"""Options of the page: those of `samesky web`, and `--web` of every command that serves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .configuration import tell_warnings
from .mesh_options import Listen, ListenType, needing

if TYPE_CHECKING:
    from ..web.web_settings import WebSettings

Command = TypeVar("Command", bound=Callable[..., object])


def web_options(command: Command) -> Command:
    """The options of `samesky web`; what they say is in place of what [web] in samesky.toml says."""
    options = (
        click.option(
            "-l",
            "--listen",
            type=ListenType(),
            help="Where to listen; port 0 takes a free one (default: 127.0.0.1:8080, which only this machine reaches).",
        ),
        _token_option("--token-file"),
        click.option(
            "--max-lag",
            type=click.FloatRange(min=1),
            metavar="SECONDS",
            help="What is further behind is told as bad (default: nothing is, for that alone).",
        ),
        click.option(
            "--host", "hosts", multiple=True, metavar="NAME", help="A name of this page, if a proxy is before it."
        ),
        click.option(
            "--path", metavar="PATH", help="Where on the proxy's site the page is, such as /samesky (default: at /)."
        ),
        click.option(
            "--tls-cert", type=click.Path(dir_okay=False), metavar="FILE", help="Serve HTTPS with it, in PEM."
        ),
        click.option("--tls-key", type=click.Path(dir_okay=False), metavar="FILE", help="Its key, if it isn't there."),
        status_dir_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def beside_options(command: Command) -> Command:
    """``--web``, ``--web-token-file`` and ``--status-dir`` of a command that serves something else."""
    options = (
        click.option(
            "--web",
            "web",
            type=ListenType(),
            help="Show the page of `samesky web` there as well; a port alone is this machine's.",
        ),
        _token_option("--web-token-file"),
        status_dir_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _token_option(name: str) -> Callable[[Command], Command]:
    return click.option(
        name,
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Holds what one must know to see the page: needed when other machines reach it.",
    )


status_dir_option = click.option(
    "--status-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SAMESKY_STATUS_DIR",
    help="Where the processes of this machine say how they are doing (default: what they take, too).",
)


def read_settings(configs: Sequence[Path], options: Mapping[str, Any]) -> "WebSettings":
    """Return the page's settings, of [web] in the first samesky.toml that has it, and of the command line.

    Raises `ConfigError` with every mistake.
    """
    from ..config import Findings, read_toml
    from ..web.web_settings import read_web

    names = ("listen", "token_file", "max_lag", "path", "tls_cert", "tls_key")
    given = {name: str(options[name]) for name in names if options.get(name) is not None}
    if options.get("hosts"):
        given["hosts"] = ", ".join(options["hosts"])
    tables: Mapping[str, Any] = {}
    where = "command line"
    for config in configs:
        if config.suffix == ".toml" and "web" in (found := read_toml(config)):
            tables, where = found, str(config)
            break
    findings = Findings()
    settings = read_web(tables, findings, given=given)
    tell_warnings(findings, "samesky")
    findings.raise_errors(where)
    return settings


@contextmanager
def page_beside(
    web: Listen | None,
    token_file: Path | None,
    *,
    configs: Sequence[Path] = (),
    status_dir: Path | None = None,
    quiet: bool = False,
) -> Iterator[None]:
    """Serve the page at ``web``, if that is given, while the ``with`` block runs; its address is told.

    What this process does is shown as it writes it down: every process of samesky does so.
    """
    if web is None:
        yield
        return
    with needing("starlette", "web"), needing("uvicorn", "web"), needing("prometheus_client", "web"):
        from ..web.beside import serve_beside
    settings = read_settings(configs, {"listen": web, "token_file": token_file})
    with serve_beside(settings=settings, configs=configs, status_dir=status_dir) as url:
        click.echo(f"the page is at {url}", err=quiet)
        yield
