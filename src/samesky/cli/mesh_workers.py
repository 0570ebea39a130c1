"""`samesky mesh workers`: several peers that share the work of one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import json_option
from .mesh_options import SEED_SPELLING, Listen, ListenType, check_exchange, exchange_option
from .systemd import Systemd
from .web_options import beside_options, page_beside

if TYPE_CHECKING:
    from ..mesh.workers import Worker


@click.command(
    "workers",
    short_help="Several peers that share the work.",
    context_settings={**SEED_SPELLING, "ignore_unknown_options": True},
    epilog="Example: samesky mesh workers 5 --broker mqtt://guest:guestpw@cwao --post-broker mqtt://owner:ownerpw@here",
)
@click.argument("count", metavar="N", type=click.IntRange(1, 100))
@click.argument("options", metavar="[OPTIONS OF PEER]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--broker", "brokers", multiple=True, required=True, metavar="URL", help="As of `peer`; may be repeated.")
@click.option("--post-broker", metavar="URL", help="As of `peer`.")
@click.option("--post-base-url", metavar="URL", help="As of `peer`.")
@click.option("--serve", type=ListenType(), help="As of `peer`; the first worker serves the tree.")
@exchange_option
@click.option("--post-exchange", metavar="NAME", help="As of `peer`.")
@click.option(
    "--dir-prefix",
    type=click.Path(file_okay=False, path_type=Path),
    default="data",
    show_default=True,
    help="The tree; made if it isn't there.",
)
@click.option("--client-id", metavar="NAME", help="Workers are NAME-00, NAME-01 … (default: made from the tree's id).")
@click.option("--share", metavar="GROUP", help="The group that shares the announcements (default: the client id).")
@click.option(
    "--post-exchange-split",
    is_flag=True,
    help="Don't share a subscription: take all announcements, and spread them over N topic trees at --post-broker.",
)
@click.option("--log-dir", type=click.Path(file_okay=False, path_type=Path), help="A log for each worker, here.")
@beside_options
@json_option
def command(
    count: int,
    options: tuple[str, ...],
    brokers: tuple[str, ...],
    post_broker: str | None,
    post_base_url: str | None,
    serve: Listen | None,
    exchange: str,
    post_exchange: str | None,
    dir_prefix: Path,
    client_id: str | None,
    share: str | None,
    post_exchange_split: bool,
    log_dir: Path | None,
    web: Listen | None,
    web_token_file: Path | None,
    status_dir: Path | None,
    as_json: bool,
) -> None:
    """Run N peers of one tree, each of which takes a part of the announcements, until Ctrl-C.

    Takes all options of `samesky mesh peer`. The broker gives each announcement to one of the workers (MQTT v5 shared
    subscriptions). A worker that ends, or hangs for a minute, is started again; it has the same name, so what the
    broker keeps for it isn't lost. All end with this command.
    """
    from ..mesh.workers import Supervisor, plan_shared, plan_split

    name = client_id or _make_name(dir_prefix)
    for level in (exchange, name, share or name):
        check_exchange(level)
    common = ["--dir-prefix", str(dir_prefix), *(["--status-dir", str(status_dir)] if status_dir else [])]
    if post_base_url or serve:
        common += ["--post-base-url", post_base_url or serve.url]  # type: ignore[union-attr]
    first = ["--serve", str(serve)] if serve else []
    if post_exchange_split:
        if post_broker is None or count < 2:
            raise click.UsageError("--post-exchange-split needs --post-broker, and two workers or more")
        workers = plan_split(
            count,
            name,
            [*common, *options],
            brokers=brokers,
            post_broker=post_broker,
            exchange=exchange,
            post_exchange=post_exchange or exchange,
            first=first,
        )
    else:
        common += [part for url in brokers for part in ("--broker", url)]
        common += ["--exchange", exchange]
        common += ["--post-broker", post_broker] if post_broker else []
        common += ["--post-exchange", post_exchange] if post_exchange else []
        workers = plan_shared(count, name, [*common, *options], group=share or name, first=first)
    _check(workers)
    with (
        page_beside(web, web_token_file, status_dir=status_dir, quiet=as_json),
        Systemd.from_environment() as systemd,
        Supervisor(workers, log_folder=log_dir) as supervisor,
    ):
        pids = supervisor.pids
        told = f"{len(pids)} workers run: {', '.join(pids)}"
        click.echo(json.dumps({"workers": pids}) if as_json else told)
        systemd.tell_ready(told)
        supervisor.run(systemd.watch("mesh-workers"))


def _make_name(folder: Path) -> str:
    """A name that stays: that of the peer of this tree."""
    from ..mesh.index import Index

    folder.mkdir(parents=True, exist_ok=True)
    with Index(folder) as index:
        return f"samesky-mesh-{index.id}"


def _check(workers: "Sequence[Worker]") -> None:
    """Say at once what is wrong with the options of the peers, in place of so many processes."""
    from .mesh_peer import command as peer

    for worker in workers:
        peer.make_context("peer", list(worker.arguments))
