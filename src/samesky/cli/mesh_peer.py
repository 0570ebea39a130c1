"""`samesky mesh peer`: follow neighbours, keep what they announce, and announce it."""

import asyncio
import gc
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.counts import count_of
from .configuration import json_option
from .event_loop import run_on_a_loop
from .mesh_options import (
    INLINE_LIMIT_BYTES,
    SEED_SPELLING,
    Listen,
    ListenType,
    ca_file_option,
    check_centre_id,
    check_exchange,
    choose_base_url,
    credentials_option,
    exchange_option,
    needing,
    read_broker,
    read_tls,
)
from .systemd import Systemd
from .web_options import beside_options, page_beside

if TYPE_CHECKING:
    from ..link.broker_url import BrokerUrl
    from ..mesh.peer import Rules
    from ..mesh.peer_settings import Neighbour, PeerSettings, Posting
    from ..mesh.peering import Peering
    from ..mesh.status import MeshStatus
    from ..web.posting import Latest

INLINE_MOST_BYTES = 128 << 10
"""Whatever a text of so many bytes needs in JSON, it stays below what any input may have."""
REPORT_INTERVAL_S = 60.0
LOOK_INTERVAL_S = 1.0
SWITCH_INTERVAL_S = 0.0005
"""How long a busy thread keeps the others waiting: with Python's 5 ms a file waits for four of them in turn."""
GARBAGE_THRESHOLD = 50_000
"""A thousand files under way are some 20,000 objects, none of them garbage: with Python's 700 they are looked through
again and again, and a file in ten waits for that."""


@click.command(
    "peer",
    context_settings=SEED_SPELLING,
    short_help="Keep what neighbours announce, and announce it.",
    epilog="Example: samesky mesh peer --broker mqtt://guest:guestpw@blacklab --post-broker mqtt://owner:ownerpw@here "
    "--serve 8000",
)
@click.option(
    "--broker", "brokers", multiple=True, required=True, metavar="URL", help="A neighbour's broker; may be repeated."
)
@click.option("--post-broker", metavar="URL", help="Where to announce what is here (default: nowhere).")
@click.option(
    "--post-base-url",
    metavar="URL",
    help="Where others fetch the tree from (default: the server of --serve, else http://<this host>:8000/<tree>).",
)
@click.option("--serve", type=ListenType(), help="Serve the tree by HTTP as well; its status is at /.samesky/.")
@exchange_option
@click.option("--post-exchange", metavar="NAME", help="The first level of our own topics (default: --exchange).")
@click.option(
    "--post-exchange-split",
    type=click.IntRange(2, 100),
    metavar="N",
    help="Announce in N topic trees, NAME00 …",
)
@click.option("--subtopic", "subtopics", multiple=True, help="Directories to follow, as in topics (default: #).")
@click.option("--high-priority", "urgent", multiple=True, metavar="SUBTOPIC", help="Directories that come first.")
@click.option("--select", "selects", multiple=True, metavar="'accept|reject REGEX'", help="Files to take or to leave.")
@click.option("--inline/--no-inline", default=False, help="Send small files inside of announcements.")
@click.option(
    "--inline-max",
    type=click.IntRange(1, INLINE_MOST_BYTES),
    default=1024,
    show_default=True,
    metavar="BYTES",
    help=f"The largest file that is sent so. Above {INLINE_LIMIT_BYTES}, which every peer takes, also what is taken.",
)
@click.option("--encoding", type=click.Choice(["text", "binary", "guess"]), default="guess", show_default=True)
@click.option(
    "--dir-prefix",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="The tree; made if it isn't there.",
)
@click.option("--lag-warn", type=click.FloatRange(min=0), default=120.0, show_default=True, help="Seconds.")
@click.option(
    "--lag-drop",
    type=click.FloatRange(min=0),
    help="Leave out what is older than so many seconds (default: what is older than 7200 comes last).",
)
@click.option("--clean-session", is_flag=True, help="Forget what the brokers kept for us; after changing --subtopic.")
@click.option("--client-id", metavar="NAME", help="Who we are at the brokers (default: made from the tree's own id).")
@click.option("--share", metavar="GROUP", help="Share the announcements with other peers of this tree (`workers`).")
@click.option("--download/--no-download", default=True, help="Not: pass announcements on, and fetch nothing.")
@click.option("--compare/--no-compare", default=True, help="Compare trees with neighbours, and fetch what is missing.")
@click.option("--compare-interval", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Seconds.")
@click.option("--removals", is_flag=True, help="Remove and rename files here when that is announced.")
@click.option(
    "--accept-removals",
    type=click.IntRange(min=1),
    metavar="N",
    help="Do up to N removals once that are held because they are many, or because the neighbour's tree is another.",
)
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="HOST", help="Fetch from it though its address isn't public."
)
@click.option("--allow-md5", is_flag=True, help="Take files that are announced with an MD5 alone.")
@click.option("--allow-unchecked", is_flag=True, help="Take files that are announced without a checksum.")
@click.option("--max-size", type=click.IntRange(min=1), default=1 << 30, show_default=True, help="Largest file, bytes.")
@click.option("--durable/--not-durable", default=True, help="Not: leave it to the system when files reach the disk.")
@click.option("--format", "post_format", type=click.Choice(["v03", "wis2"]), default="v03", show_default=True)
@click.option("--centre-id", metavar="NAME", help="For wis2: who announces, such as ca-eccc-msc.")
@click.option(
    "--verbose",
    type=click.IntRange(min=0),
    default=0,
    metavar="LEVEL",
    help="As of the original's programs: 1 says more on standard error, 2 everything; `samesky -v` does as well.",
)
@credentials_option
@ca_file_option
@beside_options
@json_option
def command(**options: Any) -> None:
    """Keep what neighbours announce in the tree, and announce it: files that are in the tree of one are in all.

    What is announced and not here, or other here, is fetched, checked and put in its place whole. Every while the tree
    is compared with those of the neighbours, and what is missing is fetched. Runs until Ctrl-C.
    """
    settings = read_settings(options)
    root = logging.getLogger()
    root.setLevel(min(root.level, (logging.WARNING, logging.INFO, logging.DEBUG)[min(options["verbose"], 2)]))
    from ..web.posting import Latest, posting

    latest, status_dir = Latest(), options["status_dir"]
    with (
        page_beside(options["web"], options["web_token_file"], status_dir=status_dir, quiet=options["as_json"]),
        posting(f"mesh peer {settings.folder.absolute()} {settings.consumer}", latest, status_dir=status_dir),
    ):
        run_on_a_loop(_run(settings, options["serve"], latest, options["as_json"]))


async def _run(settings: "PeerSettings", listen: Listen | None, latest: "Latest", as_json: bool) -> None:
    from ..mesh.peering import Peering

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # what was imported stays
    gc.set_threshold(GARBAGE_THRESHOLD)
    logging.getLogger("samesky").setLevel(min(logging.getLogger().level, logging.INFO))
    async with AsyncExitStack() as stack:
        systemd = stack.enter_context(Systemd.from_environment())
        peering = await stack.enter_async_context(Peering(settings))
        if listen is not None:
            await stack.enter_async_context(_serve(settings, listen, peering))
        click.echo(_describe(settings, listen), err=as_json)
        systemd.tell_ready(_describe(settings, listen))
        await _report(peering, systemd, latest, as_json)


def _serve(settings: "PeerSettings", listen: Listen, peering: "Peering") -> Any:
    with needing("aiohttp"):
        from ..mesh.serve import Page, WebServer

    def status() -> Page:
        return Page("application/json", json.dumps(peering.status().as_dict()).encode())

    def metrics() -> Page:
        from ..mesh.metrics import CONTENT_TYPE, render_metrics

        return Page(CONTENT_TYPE, render_metrics(peering.status()))

    def page() -> Page:
        from ..mesh.status_page import CONTENT_TYPE, render_status_page

        return Page(CONTENT_TYPE, render_status_page(peering.status()))

    pages = {"/.samesky/": page, "/.samesky/status": status, "/.samesky/metrics": metrics}
    return WebServer(settings.folder, host=listen.host, port=listen.port, pages=pages)


async def _report(peering: "Peering", systemd: Systemd, latest: "Latest", as_json: bool) -> None:
    """Say how each neighbour does when its state changes, and once a minute."""
    from ..mesh.neighbour_snapshot import snapshot_neighbours

    said: list[object] = []
    worker = os.environ.get("SAMESKY_WORKER", "")
    loop = asyncio.get_running_loop()
    next_report = 0.0
    on_turn = systemd.watch("mesh-peer")
    while peering.failure is None:
        on_turn()
        status = peering.status()
        latest.put(snapshot_neighbours(status, worker=worker))
        states: list[object] = [(each.state, each.same) for each in status.neighbours]
        if states != said or loop.time() >= next_report:
            said, next_report = states, loop.time() + REPORT_INTERVAL_S
            if as_json:
                click.echo(json.dumps(status.as_dict()))
            else:
                click.echo("\n".join(_sentences(status)))
            _warn_of_lag(peering, status)
            systemd.tell_status("; ".join(line.strip() for line in _sentences(status)))
        await asyncio.sleep(LOOK_INTERVAL_S)
    raise peering.failure


def _sentences(status: "MeshStatus") -> Iterator[str]:
    """How the peer does, for people: a line for the tree, one for each neighbour."""
    announced = f", {status.announced:,} announced" if status.announced else ""
    waiting = f", {status.to_announce:,} to announce" if status.to_announce else ""
    trouble = f"; {status.last_error}" if status.last_error else ""
    yield f"{time.strftime('%H:%M:%S')} {status.tree}: {count_of(status.files, 'file')}{announced}{waiting}{trouble}"
    for each in status.neighbours:
        parts = [each.state, f"{count_of(each.fetched + each.inlined, 'file')} came"]
        if each.lag.count:
            parts.append(f"lag {each.lag.mean_s:.2f} s, at most {each.lag.max_s:.2f} s")
        if each.queue:
            parts.append(f"{each.queue:,} wait" + (f", {each.late:,} of them late" if each.late else ""))
        if each.lacking:
            parts.append(f"{each.lacking:,} are lacking")
        elif each.same and each.proven_at:
            parts.append(f"nothing lacking at {time.strftime('%H:%M:%S', time.localtime(each.proven_at))}")
        if each.refused:
            parts.append("refused " + ", ".join(f"{reason} {count:,}" for reason, count in each.refused.items()))
        if each.last_error:
            parts.append(each.last_error)
        yield f"  {each.name}: {'; '.join(parts)}"


def _warn_of_lag(peering: "Peering", status: "MeshStatus") -> None:
    for each in status.neighbours:
        if each.lag.count and each.lag.mean_s > peering.settings.lag_warn_s:
            logging.getLogger(__name__).warning(
                "mesh_lag neighbour=%s mean_s=%.0f max_s=%.0f hint='more workers, or fewer subtopics?'",
                each.name,
                each.lag.mean_s,
                each.lag.max_s,
            )


def _describe(settings: "PeerSettings", listen: Listen | None) -> str:
    names = ", ".join(dict.fromkeys(each.name for each in settings.neighbours))
    posting = settings.posting
    told = f", announcing on {posting.name} as {posting.base_url}" if posting else ""
    served = f", serving it on port {listen.port}" if listen else ""
    return f"keeping in {settings.folder} what is announced on {names}{told}{served}"


# ---------------------------------------------------------------------- settings


def read_settings(options: dict[str, Any]) -> "PeerSettings":
    """What the options mean; makes the tree if it isn't there. Raises ``ConfigError``, and usage errors."""
    from ..link.urls import ANY_PUBLIC, UrlRules
    from ..mesh.index import Index
    from ..mesh.peer_settings import PeerSettings

    folder: Path = options["dir_prefix"]
    folder.mkdir(parents=True, exist_ok=True)
    with Index(folder) as index:
        client_id = options["client_id"] or f"samesky-mesh-{index.id}"
    brokers = [read_broker(text, options["credentials"]) for text in options["brokers"]]
    posting = _read_posting(options, folder, client_id)
    own_urls = frozenset({posting.base_url.rstrip("/")} if posting and posting.base_url else ())
    hosts = (*dict.fromkeys(each.host for each in brokers), *options["hosts"], ANY_PUBLIC)
    return PeerSettings(
        folder=folder,
        neighbours=tuple(_neighbours(options, brokers, client_id)),
        posting=posting,
        rules=_read_rules(options, own_urls),
        urls=UrlRules(hosts=hosts),
        consumer=client_id,
        inline_max_bytes=max(INLINE_LIMIT_BYTES, options["inline_max"]),
        download=options["download"],
        durable=options["durable"],
        lag_warn_s=options["lag_warn"],
        compare_interval_s=options["compare_interval"],
        accept_removals=options["accept_removals"] or 0,
    )


def _read_rules(options: dict[str, Any], own_urls: frozenset[str]) -> "Rules":
    from ..mesh.peer import LATE_AFTER_S, Rules, Selection

    try:
        selection = Selection.parse(options["selects"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--select") from None
    lag_drop = options["lag_drop"]
    return Rules(
        selection=selection,
        own_urls=own_urls,
        allow_weak=options["allow_md5"],
        allow_unchecked=options["allow_unchecked"],
        late_after_s=LATE_AFTER_S if lag_drop is None else lag_drop,
        drop_late=lag_drop is not None,
        take_removals=options["removals"],
        most_bytes=options["max_size"],
    )


def _neighbours(options: dict[str, Any], brokers: "Sequence[BrokerUrl]", client_id: str) -> "list[Neighbour]":
    """One for each broker; and one more where some of its directories come first."""
    found = []
    for number, broker in enumerate(brokers):
        name = f"{client_id}-{number}"
        found.append(_neighbour(options, broker, name, tuple(options["subtopics"]), compares=options["compare"]))
        if options["urgent"]:
            urgent = _neighbour(options, broker, f"{name}-first", tuple(options["urgent"]), compares=False, priority=1)
            found.insert(number, urgent)
    return found


def _neighbour(
    options: dict[str, Any],
    broker: "BrokerUrl",
    client_id: str,
    subtopics: tuple[str, ...],
    *,
    compares: bool,
    priority: int = 0,
) -> "Neighbour":
    from dataclasses import replace

    from ..link.message import Subscription
    from ..mesh.paths import subtopic_filter
    from ..mesh.peer_settings import RECEIVE_MAXIMUM, SESSION_EXPIRY_S, Neighbour

    exchange = check_exchange(options["exchange"])
    wis2 = [text for text in subtopics if text.split("/")[0] in ("origin", "cache")]
    filters = [text if text in wis2 else subtopic_filter(exchange, text) for text in subtopics or ("#",)]
    share = f"$share/{options['share']}/" if options["share"] else ""
    tls = read_tls(options["ca_file"])
    mqtt = broker.make_settings(client_id, tls=tls, session_expiry_s=SESSION_EXPIRY_S, receive_maximum=RECEIVE_MAXIMUM)
    return Neighbour(
        name=str(broker),
        mqtt=replace(mqtt, clean_start=options["clean_session"]),
        subscriptions=tuple(Subscription(share + each) for each in filters),
        priority=priority,
        exchange=exchange,
        subtopics=subtopics,
        compares=compares and not wis2,
    )


def _read_posting(options: dict[str, Any], folder: Path, client_id: str) -> "Posting | None":
    from dataclasses import replace

    from ..mesh.peer_settings import Posting

    if options["post_broker"] is None:
        return None
    check_centre_id(options)
    broker = read_broker(options["post_broker"], options["credentials"])
    mqtt = broker.make_settings(f"{client_id}-post", tls=read_tls(options["ca_file"]), session_expiry_s=0, window=500)
    return Posting(
        name=str(broker),
        mqtt=replace(mqtt, tell_published=True),
        base_url=_read_base_url(options, folder),
        exchange=check_exchange(options["post_exchange"] or options["exchange"]),
        split=options["post_exchange_split"] or 0,
        inline_most_bytes=options["inline_max"] if options["inline"] else 0,
        encoding=options["encoding"],
        format=options["post_format"],
        centre_id=options["centre_id"] or "",
    )


def _read_base_url(options: dict[str, Any], folder: Path) -> str:
    """Where others fetch from; empty when nothing is fetched here: announcements are passed on with what they say."""
    if not options["download"]:
        return ""
    if options["post_base_url"] is None and options["serve"] is not None:
        return str(options["serve"].url)
    return choose_base_url(options["post_base_url"], folder)
