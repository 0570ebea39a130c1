"""`samesky push daemon`: push to every target again and again, until it is stopped."""

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import json_option
from .mesh_options import Listen, needing
from .push_run import describe_outcome, show_outcome
from .push_site_options import posting_pushes, read_site, site_config_option, target_option
from .systemd import Systemd
from .web_options import beside_options, page_beside

if TYPE_CHECKING:
    from ..push.push_settings import TargetSettings
    from ..push.steps import RunReport


@click.command(
    "daemon",
    short_help="Push again and again, until it is stopped.",
    epilog="Example: samesky push daemon --config /etc/samesky/samesky.toml (by systemd)",
)
@site_config_option
@target_option
@beside_options
@json_option
def command(
    config: Path | None,
    target: str | None,
    web: Listen | None,
    web_token_file: Path | None,
    status_dir: Path | None,
    as_json: bool,
) -> None:
    """Push to each target every `period_s` seconds, a tenth more or less, until Ctrl-C or SIGTERM.

    Targets are independent: one that can't be reached is tried again after growing pauses, while the others go on. When
    it is stopped, the page that is in flight is finished first. `samesky push status` shows how it goes.
    """
    site = read_site(config)
    with needing("sqlalchemy", "push"), needing("httpx2", "push"):
        from ..push.daemon import Daemon

    def tell(target: "TargetSettings", report: "RunReport") -> None:
        if as_json:
            click.echo(json.dumps({"target": target.name} | describe_outcome(report)))
        else:
            show_outcome(target, report)

    targets = site.targets(target)
    with (
        page_beside(web, web_token_file, configs=[site.path], status_dir=status_dir, quiet=as_json),
        site.open_cache() as cache,
        posting_pushes("daemon", site, targets, cache, status_dir=status_dir),
        Systemd.from_environment() as systemd,
    ):
        daemon = Daemon(
            site.settings,
            targets,
            cache,
            stop=threading.Event(),
            on_report=tell,
            watch=systemd.watch,
            longest_wait_s=systemd.longest_wait_s,
        )
        systemd.tell_ready(f"pushing to {', '.join(each.name for each in targets)}")
        daemon.run()
