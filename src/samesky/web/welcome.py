"""The page while there is nothing to show: what is awaited, and what to type."""

import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path

from .pieces import render_command


def describe_waiting(configs: Sequence[Path]) -> str:
    """What is awaited, as a sentence of HTML."""
    if not configs:
        return "No process of samesky has told this page how it is doing."
    return f"Waiting for what {_name(configs)} {'says' if len(configs) == 1 else 'say'} to start."


def render_waiting(configs: Sequence[Path], places: str) -> str:
    """What to do when the streams of ``configs`` don't appear; ``places`` is where was looked."""
    config = shlex.quote(str(configs[0]))
    return f"""<section class="card prose"><h2>What to do</h2>
<p>Streams appear here by themselves as soon as their process runs. If it runs already:</p>
<ul>
<li>see whether its configuration is right: {render_command(f"samesky check --config {config}")}</li>
<li>see that it writes down how it is doing where this page looks: {escape(places)}. It has to be started with the same
configuration, and this user has to be allowed to read that folder.</li>
</ul></section>"""


def render_welcome(places: str) -> str:
    """What to do for somebody who has configured nothing; ``places`` is where was looked."""
    looked = f"<p>This page looks in {escape(places)}.</p>" if places else ""
    return f"""<section class="card prose"><h2>What to do</h2>
<ul>
<li>To see it at work, with two stations of its own: {render_command("samesky demo")}</li>
<li>For stations that run inside weewxd, name their configuration:
{render_command("samesky web --config /etc/weewx/weewx.conf")}</li>
<li>Commands of samesky that keep running are shown here by themselves as soon as they run, if they run as the same
user as this page, or say how they are doing in the same folder (<code>SAMESKY_STATUS_DIR</code>).</li>
</ul>{looked}</section>"""


def _name(configs: Sequence[Path]) -> str:
    names = [f"<code>{escape(str(each))}</code>" for each in configs]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
