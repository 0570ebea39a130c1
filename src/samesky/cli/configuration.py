"""What the commands about copies have in common: which configuration, which stream, and what to type next."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .console import open_console

if TYPE_CHECKING:
    from ..config import Findings
    from ..station.copying import WeewxCode
    from ..station.stanza import RequesterConfig

USUAL_PLACES = ("samesky.toml", "/etc/weewx/weewx.conf", "~/weewx-data/weewx.conf")
SAID_EVERY_S = 60.0

config_option = click.option(
    "-c",
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="SAMESKY_CONFIG",
    help=f"A samesky.toml or a weewx.conf (default: the first there is of {', '.join(USUAL_PLACES)}).",
)
configs_option = click.option(
    "-c",
    "--config",
    "configs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="SAMESKY_CONFIG",
    help="A weewx.conf or samesky.toml whose streams to show; may be repeated (default: the first there is of "
    f"{', '.join(USUAL_PLACES)}; without one, what runs on this machine and says so).",
)
stream_option = click.option("--stream", metavar="NAME", help="One stream, such as home/wx_binding (default: all).")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@dataclass(frozen=True, slots=True)
class CopyConfig:
    """A configuration that follows a primary."""

    path: Path
    follow: "RequesterConfig"
    state_dir: Path
    weewx: Mapping[str, Any] | None
    """The whole weewx.conf, if it is one."""

    def streams(self, chosen: str | None) -> list[str]:
        """The stream chosen, or all; secondary bindings first, as they are followed."""
        from ..station.verification import find_copy

        if chosen:
            return [find_copy(self.follow, chosen).stream]
        return [each.stream for each in sorted(self.follow.follow.copies, key=lambda each: each.main)]

    def weewx_code(self, stream: str) -> "WeewxCode | None":
        """WeeWX's code for a stream's copy; None without a weewx.conf, or where WeeWX isn't installed."""
        if self.weewx is None:
            return None
        try:
            from ..station.weewx_code import BindingCode
        except ImportError:
            return None
        return BindingCode(self.weewx, self.follow.bindings[stream])


def find_config(given: Path | None) -> Path:
    """The configuration that was given, or the first one in the usual places."""
    from ..errors import ConfigError

    if given is not None:
        return given
    places = [Path(place).expanduser() for place in USUAL_PLACES]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ConfigError(f"there is none of {', '.join(map(str, places))}", hint="Name one with --config.")
    return found


def find_configs(given: Sequence[Path]) -> list[Path]:
    """The configurations that were given, or the first one in the usual places; none is well too."""
    return list(given) or [place for name in USUAL_PLACES if (place := Path(name).expanduser()).is_file()][:1]


def read_copy(given: Path | None) -> CopyConfig:
    """The configuration of a copy; raises `ConfigError` with every mistake in it."""
    from ..config import Findings
    from ..station.databases import read_weewx_location, state_directory
    from ..station.source import read_tables
    from ..station.stanza import read_requester, read_roles_in_use, read_stanza, read_toml_requester

    path, findings = find_config(given), Findings()
    tables, is_weewx = read_tables(path, findings)
    if is_weewx:
        stanza = read_stanza(tables, findings)
        _, section = read_roles_in_use(tables, stanza)
        if section is None:
            is_there = stanza.section("Requester") is not None
            why = "its driver follows nobody" if is_there else "the section [[Requester]] is missing"
            findings.error("[MQTTReplicate]", f"this station is no copy, {why}: ask at a copy")
            findings.raise_errors(str(path))
        assert section is not None
        settings = read_requester(section, lambda name, _: read_weewx_location(tables, name, findings), own_days=True)
    else:
        settings = read_toml_requester(tables, findings)
    findings.raise_errors(str(path))
    assert settings is not None
    usual = state_directory(tables) if is_weewx else path.absolute().parent
    return CopyConfig(path, settings, settings.state_dir or usual, tables if is_weewx else None)


def tell_warnings(findings: "Findings", where: str) -> None:
    """Say on standard error what works in the configuration ``where``, but may not be meant."""
    for finding in findings.found:
        if finding.severity == "warning":
            click.echo(f"{where}: {finding}", err=True)


def with_config(text: str, config: Path) -> str:
    """The commands in ``text`` with the configuration that they need."""
    from ..station.source import with_config

    return with_config(text, config)


def why_stopped(stream: str, held: str, config: Path) -> str:
    """Why a copy is stopped, and what to type, without the stream's name before it."""
    return with_config(held.removeprefix(f"{stream}: "), config)


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """A function that says on standard error what is being done: at once on a terminal, once a minute elsewhere."""
    import time

    console = open_console(stderr=True)
    if console.is_terminal:
        with console.status("connecting") as status:
            yield status.update
        return
    said = time.monotonic()

    def say(text: str) -> None:
        nonlocal said
        if time.monotonic() - said >= SAID_EVERY_S:
            said = time.monotonic()
            console.print(text, soft_wrap=True)

    yield say
