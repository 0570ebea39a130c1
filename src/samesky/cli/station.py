"""`samesky station`: the two roles without weewxd, and the extension for WeeWX."""

import logging
from pathlib import Path

import click

_config = click.option(
    "-c",
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("samesky.toml"),
    show_default=True,
    envvar="SAMESKY_CONFIG",
    help="The configuration; SAMESKY_CONFIG in the environment names it too.",
)


@click.group("station", epilog="Example: samesky station follow --config /etc/samesky.toml")
def command() -> None:
    """Keep copies of WeeWX databases the same as their primary."""


@command.command(
    "serve",
    short_help="Answer for a WeeWX database without weewxd.",
    epilog="Example: samesky station serve --config /etc/samesky.toml",
)
@_config
def serve(config: Path) -> None:
    """Answer for a WeeWX database where weewxd isn't running, or isn't yours; ends at Ctrl-C or SIGTERM."""
    from ..station.serving import serve as run

    _log_events()
    run(config)


@command.command(
    "follow",
    short_help="Keep a copy on a machine without WeeWX.",
    epilog="Example: samesky station follow --config /etc/samesky.toml",
)
@_config
def follow(config: Path) -> None:
    """Keep a copy on a machine without WeeWX, in SQLite or MariaDB; ends at Ctrl-C or SIGTERM."""
    from ..station.following import follow as run

    _log_events()
    run(config)


@command.command(
    "extension",
    short_help="Write the extension for WeeWX.",
    epilog="Example: samesky station extension samesky-weewx.zip",
)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path), default=Path("samesky-weewx.zip"))
def extension(out: Path) -> None:
    """Write the extension for a WeeWX without samesky to OUT (default: samesky-weewx.zip)."""
    from ..station.extension.build import build_extension

    build_extension(out)
    click.echo(f"wrote {out}; next: weectl extension install {out}")


def _log_events() -> None:
    """A role that runs for months tells its events unasked: its log is what is read afterwards."""
    logger = logging.getLogger("samesky")
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
