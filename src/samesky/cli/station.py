"""`samesky station`: the two roles without weewxd, and the extension for WeeWX."""

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import tell_warnings
from .mesh_options import Listen
from .station_calendar import command as calendar_command
from .station_key import command as key_command
from .systemd import Systemd, describe_streams, watch_worker
from .web_options import beside_options, page_beside

if TYPE_CHECKING:
    from ..config import Findings
    from ..core.status import Snapshot
    from ..station.following import Following
    from ..station.serving import Serving

REPORT_INTERVAL_S = 60.0

_config = click.option(
    "-c",
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("samesky.toml"),
    show_default=True,
    envvar="SAMESKY_CONFIG",
    help="The configuration; SAMESKY_CONFIG in the environment names it too.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Report each stream's state as a JSON line, for programs.")


@click.group("station", epilog="Example: samesky station follow --config /etc/samesky.toml")
def command() -> None:
    """Keep copies of WeeWX databases the same as their primary."""


@command.command(
    "serve",
    short_help="Answer for a WeeWX database without weewxd.",
    epilog="Example: samesky station serve --config /etc/samesky.toml",
)
@_config
@beside_options
@_json
def serve(
    config: Path, web: Listen | None, web_token_file: Path | None, status_dir: Path | None, as_json: bool
) -> None:
    """Answer for a WeeWX database where weewxd isn't running, or isn't yours; ends at Ctrl-C or SIGTERM."""
    from ..config import Findings, read_toml
    from ..station.serving import Serving
    from ..station.stanza import read_toml_responder
    from ..station.state import State
    from ..station.status_publishing import StatusPublishing
    from ..station.tree_store import TreeStore

    findings = Findings()
    settings = read_toml_responder(read_toml(config), findings)
    _tell_findings(config, findings)
    assert settings is not None
    mqtt = settings.mqtt
    click.echo(f"serving {settings.serve.instance} over {mqtt.address} as {mqtt.client_id}", err=as_json)
    directory = settings.state_dir or config.absolute().parent
    state = State(directory)
    status = StatusPublishing(settings.status, mqtt.client_id, state=state)
    serving = Serving(
        settings.serve,
        status.link_to(mqtt),
        state=state,
        sums=TreeStore(directory),
        status=status,
    )
    with Systemd.from_environment() as systemd, ExitStack() as stack:
        page = page_beside(web, web_token_file, configs=[config], status_dir=status_dir, quiet=as_json)
        stack.enter_context(page)
        stack.enter_context(_posting("serve", serving, config, status_dir))
        _stay(serving, systemd, as_json)


@command.command(
    "follow",
    short_help="Keep a copy on a machine without WeeWX.",
    epilog="Example: samesky station follow --config /etc/samesky.toml",
)
@_config
@beside_options
@_json
def follow(
    config: Path, web: Listen | None, web_token_file: Path | None, status_dir: Path | None, as_json: bool
) -> None:
    """Keep a copy on a machine without WeeWX, in SQLite or MariaDB; ends at Ctrl-C or SIGTERM."""
    from ..config import Findings, read_toml
    from ..station.checks import CheckSettings
    from ..station.following import Following
    from ..station.standing_in import make_stand_ins
    from ..station.stanza import read_toml_requester
    from ..station.state import State
    from ..station.status_publishing import StatusPublishing
    from ..station.tree_store import TreeStore

    findings = Findings()
    settings = read_toml_requester(read_toml(config), findings)
    _tell_findings(config, findings)
    assert settings is not None
    mqtt = settings.mqtt
    streams = ", ".join(each.stream for each in settings.follow.copies)
    click.echo(f"following {streams} over {mqtt.address} as {mqtt.client_id}", err=as_json)
    directory = settings.state_dir or config.absolute().parent
    state, sums = State(directory), TreeStore(directory)
    status = StatusPublishing(settings.status, mqtt.client_id, state=state)
    following = Following(
        settings.follow,
        status.link_to(mqtt),
        state=state,
        status=status,
        checks=CheckSettings(
            sums,
            directory,
            interval_s=settings.check_interval_s,
            track_changes=settings.track_changes,
        ),
    )
    with ExitStack() as stack, Systemd.from_environment() as systemd:
        if settings.answer:
            for stand_in in make_stand_ins(settings.follow, mqtt, following, state=state, sums=sums):
                watch_worker(systemd, stand_in)
                stack.enter_context(stand_in)
        page = page_beside(web, web_token_file, configs=[config], status_dir=status_dir, quiet=as_json)
        stack.enter_context(page)
        stack.enter_context(_posting("follow", following, config, status_dir))
        _stay(following, systemd, as_json)


command.add_command(calendar_command)
command.add_command(key_command)


@command.command(
    "extension",
    short_help="Write the extension that WeeWX installs.",
    epilog="Example: samesky station extension && weectl extension install samesky-extension.zip",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=Path("samesky-extension.zip"),
    show_default=True,
    help="The zip to write.",
)
def extension(output: Path) -> None:
    """Write the WeeWX extension, a zip that needs no samesky where it is installed, only WeeWX and paho."""
    from ..station.extension.build import build_extension

    build_extension(output)
    click.echo(f"wrote {output}; install it with: weectl extension install {output}")


def _tell_findings(config: Path, findings: "Findings") -> None:
    tell_warnings(findings, f"{config}: warning")
    findings.raise_errors(str(config))


def _posting(
    name: str, role: "Serving | Following", config: Path, status_dir: Path | None
) -> AbstractContextManager[None]:
    """Have the commands and the page beside this process know how its streams are doing."""
    from ..station.source import with_hint
    from ..web.posting import posting

    def own() -> "list[Snapshot]":
        return [with_hint(each, config) for each in role.snapshots()]

    return posting(f"station {name} {config.absolute()}", own, status_dir=status_dir)


def _stay(role: "Serving | Following", systemd: Systemd, as_json: bool) -> None:
    """Run until Ctrl-C or SIGTERM; say how each stream does when its state changes, and once a minute."""
    logging.getLogger("samesky").setLevel(min(logging.getLogger().level, logging.INFO))
    watch_worker(systemd, role)
    with role:
        systemd.tell_ready(describe_streams(role.snapshots()))
        _report(role.snapshots, systemd, as_json)


def _report(snapshots: Callable[[], list["Snapshot"]], systemd: Systemd, as_json: bool) -> None:
    said: list[object] = []
    next_report = 0.0
    pause = threading.Event()
    while True:
        now = snapshots()
        states: list[object] = [each.state for each in now]
        if states != said or time.monotonic() >= next_report:
            said, next_report = states, time.monotonic() + REPORT_INTERVAL_S
            for snapshot in now:
                click.echo(json.dumps(snapshot.as_dict()) if as_json else snapshot.describe())
            systemd.tell_status(describe_streams(now))
        pause.wait(1.0)
