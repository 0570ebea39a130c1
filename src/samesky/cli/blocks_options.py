"""What the commands that ask a running service have in common: where it is, its token, what it answers."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from .mesh_options import needing

if TYPE_CHECKING:
    from ..link.rest import Answer, RestClient

Command = TypeVar("Command", bound=Callable[..., object])
DEFAULT_URL = "http://127.0.0.1:5000"
TOKEN_VARIABLE = "SAMESKY_BLOCKS_TOKEN"
LONGEST_ANSWER_S = 90.0
"""More than a preview may wait for a message."""


class Service(NamedTuple):
    """Where the running service is."""

    url: str
    token_file: Path | None


def service_options(command: Command) -> Command:
    """Add --url and --token-file, which `open_service` takes."""
    url = click.option(
        "--url",
        default=DEFAULT_URL,
        show_default=True,
        envvar="SAMESKY_BLOCKS_URL",
        help="Where the service is.",
    )
    token = click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help=f"Holds its token (or set {TOKEN_VARIABLE}).",
    )
    return url(token(command))


def link_options(command: Command) -> Command:
    """Add what describes a link, which `read_link` takes."""
    options = (
        click.argument("service"),
        click.argument("id"),
        click.option("--interval", type=float, metavar="SECONDS", help="Broadcast the block so often."),
        click.option("--follow", metavar="KEY", help="Write to the block what comes under this key."),
        click.option(
            "-t",
            "--translate",
            "pairs",
            multiple=True,
            metavar="SOURCE=TARGET",
            help="With --follow: write the value at the source path to the target path, and nothing else;"
            " may be repeated.",
        ),
        click.option(
            "--with",
            "others",
            type=click.File("rb"),
            metavar="FILE",
            help='More of what POST /remote takes, a JSON object, such as {"ttl": 60}; - reads standard input.',
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_link(
    id: str, interval: float | None, follow: str | None, pairs: Sequence[str], others: Any
) -> tuple[str, dict[str, object]]:
    """What is to be registered: ``master`` or ``slave``, and the body. Raises usage errors and `Refused`."""
    from ..core.strict import decode_json_object

    if (interval is None) == (follow is None):
        raise click.UsageError("give one of --interval (to broadcast the block) and --follow (to have it follow a key)")
    more = decode_json_object(others.read()) if others is not None else {}
    if interval is not None:
        if pairs:
            raise click.UsageError("--translate is for a block that follows: give it with --follow")
        return "master", {"id": id, "interval": interval, **more}
    table = dict(map(_read_pair, pairs))
    return "slave", {"id": id, "key": follow, **({"translations": table} if table else {}), **more}


def _read_pair(text: str) -> tuple[str, str]:
    source, _, target = text.partition("=")
    if not source or not target:
        raise click.BadParameter(f"{text!r} should be SOURCE=TARGET", param_hint="--translate")
    return source, target


@contextmanager
def open_service(service: Service) -> "Iterator[RestClient]":
    """A connection to the service. Raises `Unreachable`, which says what to type, when there is none."""
    from ..errors import Unreachable

    with needing("httpx2", "blocks"):
        from ..link.rest import RestClient, RestTimeouts
    token = service.token_file.read_text(encoding="utf-8").strip() if service.token_file else None
    token = token or os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else None
    with RestClient(service.url, headers=headers, timeouts=RestTimeouts(idle_s=LONGEST_ANSWER_S)) as client:
        try:
            yield client
        except Unreachable as error:
            hint = "Start it with `samesky blocks serve`, or say where it is: --url"
            raise Unreachable(str(error), hint=error.hint or hint) from None


def take(answer: "Answer", service: Service) -> Any:
    """What the service answered; what it refused becomes the error that says so, and what to do."""
    from ..errors import ConfigError, DataError, Unreachable

    if answer.is_success:
        return answer.json
    told: Mapping[str, Any] = answer.json if isinstance(answer.json, dict) else {}
    words = str(told.get("detail") or f"{service.url} answered with the status {answer.status}: is it samesky's?")
    hint = str(told.get("hint", ""))
    if answer.status in (401, 403) and told.get("type") in ("token", "host"):
        raise ConfigError(words, hint=f"give --token-file, or set {TOKEN_VARIABLE}")
    if answer.status >= 500:
        raise Unreachable(words, hint=hint)
    raise DataError(words, hint=hint)


def show_json(document: object) -> None:
    """Print ``document`` for programs."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
